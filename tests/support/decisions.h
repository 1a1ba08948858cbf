/* decisions.h - list decisions and packages for tests, signed with the
 * deciders' keys that certs/make-federation.sh made. Include behind cmocka. */
#ifndef TESTS_DECISIONS_H
#define TESTS_DECISIONS_H

#include "base/clock.h"
#include "base/mem.h"
#include "credit/catalogue_change.h"
#include "credit/date.h"
#include "credit/listing.h"
#include "credit/measure.h"
#include "credit/package.h"
#include "credit/registry.h"
#include "ident/rootchain.h"
#include "support/suite.h"

#define SUBJECT_A "91340000000000001X"
#define SUBJECT_B "913400000000000028"

/* One decision; what is NULL or 0 gets a usual value. */
struct decision {
    uint8_t type; /* 0: ENTRY_LISTING */
    const char *subject;
    uint16_t list;
    uint32_t decided;
    uint32_t from;
    uint32_t until;
    const char *reason;
    struct listing_place target;
    const struct registry_decision *node;  /* instead of all above */
    const struct catalogue_change *change; /* the same */
    const struct measure *measure;         /* the same */
};

/* A kind 1024 with what a kind needs, and a field 256; owned. */
static inline struct catalogue_change new_kind(uint32_t version)
{
    static const struct {
        uint16_t id;
        const char *column;
        enum field_type type;
        enum field_personal personal;
    } fields[] = {{FIELD_NAME, "RY_MC", TYPE_TEXT, PERSONAL_IF_PERSON},
                  {FIELD_USCC, "RY_SHXYM", TYPE_USCC, PERSONAL_NO},
                  {FIELD_DOCUMENT_NO, "RY_WSH", TYPE_DOCUMENT, PERSONAL_NO},
                  {FIELD_DECIDED, "RY_RQ", TYPE_DATE, PERSONAL_NO},
                  {FIELD_AUTHORITY, "RY_JG", TYPE_TEXT, PERSONAL_NO},
                  {256, "RY_NR", TYPE_TEXT, PERSONAL_NO}};
    struct catalogue_change c = {.version = version,
                                 .decided = 20260301,
                                 .at_ms = 1772000000000,
                                 .basis = mem_dup("basis", sizeof "basis")};
    struct change_kind *k = change_add_kind(&c);
    mem_free(k->name);
    mem_free(k->label_zh);
    mem_free(k->label_en);
    k->id = CATALOGUE_ITEM_PUBLISHED;
    k->name = mem_dup("honour", sizeof "honour");
    k->label_zh = mem_dup("荣誉", sizeof "荣誉");
    k->label_en = mem_dup("honours", sizeof "honours");
    k->retention = 36 + 1;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        struct change_field *f = change_add_field(k);
        mem_free(f->code);
        mem_free(f->label_zh);
        mem_free(f->label_en);
        f->id = fields[i].id;
        f->code = mem_dup(fields[i].column, strlen(fields[i].column) + 1);
        f->label_zh = mem_dup("项", sizeof "项");
        f->label_en = mem_dup("field", sizeof "field");
        f->type = (unsigned)fields[i].type + 1;
        f->personal = (unsigned)fields[i].personal;
        f->max_chars = 200;
        f->need = i < 5 ? NEED_ALWAYS : NEED_NONE;
    }
    return c;
}

/* Another disclosure of a field of kind 1024; owned. */
static inline struct catalogue_change
new_disclosure(uint32_t version, uint16_t field, enum disclosure disclosure)
{
    struct catalogue_change c = {.version = version,
                                 .decided = 20260301,
                                 .at_ms = 1772000000000,
                                 .basis = mem_dup("basis", sizeof "basis")};
    struct change_kind *k = change_add_kind(&c);
    k->id = CATALOGUE_ITEM_PUBLISHED;
    struct change_field *f = change_add_field(k);
    f->id = field;
    f->disclosure = (unsigned)disclosure + 1;
    return c;
}

static inline void decision_put(struct buf *out, const struct decision *d)
{
    struct record r;
    struct entry e;
    struct buf room = BUF_INIT;
    uint8_t type = d->type != 0 ? d->type : ENTRY_LISTING;
    if (d->node != NULL) {
        registry_to_entry(d->node, &room, &e);
        entry_encode(&e, out);
        buf_fini(&room);
        return;
    }
    if (d->change != NULL || d->measure != NULL) {
        if (d->change != NULL) {
            catalogue_change_to_entry(d->change, &room, &e);
        } else {
            measure_to_entry(d->measure, &room, &e);
        }
        entry_encode(&e, out);
        buf_fini(&room);
        return;
    }
    record_init(&r, catalogue_item(type == ENTRY_REMOVAL ? ITEM_REMOVAL
                                                         : ITEM_LISTING));
    record_set(&r, FIELD_USCC, slice_str(d->subject));
    record_set(&r, FIELD_FACTS,
               slice_str(d->reason != NULL ? d->reason : "示例事由"));
    record_set(&r, FIELD_AUTHORITY, slice_str("示例市发展和改革委员会"));
    record_set(&r, FIELD_AUTHORITY_CODE, slice_str("11340000000000001F"));
    record_set(&r, FIELD_DOCUMENT_NO, slice_str("示例〔2026〕1号"));
    (void)snprintf(r.subject, sizeof r.subject, "%s", d->subject);
    r.subject_kind = SUBJECT_USCC;
    r.decided = d->decided != 0 ? d->decided : 20260301;
    r.from = d->from;
    r.until = d->until;
    memset(r.key, 0x11, sizeof r.key);
    assert_int_equal(listing_to_entry(&r, type,
                                      d->target.number != 0 ? &d->target : NULL,
                                      1772000000000, &room, &e),
                     ERR_OK);
    e.item = d->list != 0 ? d->list : 32;
    entry_encode(&e, out);
    buf_fini(&room);
}

/* How a package is made. */
struct making {
    const char *federation;
    uint64_t issuer;
    int64_t prepared_ms;     /* 0: now */
    const char *const *keys; /* paths of private keys */
    size_t keys_n;
};

static inline struct package *
package_of(const struct making *m, const struct decision *decisions, size_t n)
{
    struct package_head head = {
        .suite = test_suite(),
        .issuer = m->issuer,
        .prepared_ms = m->prepared_ms != 0 ? m->prepared_ms : clock_wall_ms()};
    struct package *p = NULL;
    struct buf *bytes = mem_zalloc(n, sizeof *bytes);
    struct slice *entries = mem_zalloc(n, sizeof *entries);
    struct errmsg why;
    (void)snprintf(head.federation, sizeof head.federation, "%s",
                   m->federation);
    for (size_t i = 0; i < n; i++) {
        decision_put(&bytes[i], &decisions[i]);
        entries[i] = buf_slice(&bytes[i]);
    }
    assert_int_equal(package_new(&p, &head, entries, n), ERR_OK);
    for (size_t i = 0; i < m->keys_n; i++) {
        struct key *key = NULL;
        assert_int_equal(key_load(&key, m->keys[i], &why), ERR_OK);
        assert_int_equal(package_sign(p, key), ERR_OK);
        key_free(&key);
    }
    for (size_t i = 0; i < n; i++) {
        buf_fini(&bytes[i]);
    }
    mem_free(bytes);
    mem_free(entries);
    return p;
}

#endif
