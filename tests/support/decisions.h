/* decisions.h - list decisions and packages for tests, signed with the
 * deciders' keys that certs/make-federation.sh made. Include behind cmocka. */
#ifndef TESTS_DECISIONS_H
#define TESTS_DECISIONS_H

#include "base/clock.h"
#include "base/mem.h"
#include "credit/date.h"
#include "credit/listing.h"
#include "credit/package.h"
#include "credit/registry.h"
#include "ident/rootchain.h"

#define SUBJECT_A "91340000000000001X"
#define SUBJECT_B "913400000000000028"

/* One decision; what is NULL or 0 gets a usual value. */
struct decision {
    uint8_t type; /* 0: ENTRY_LISTING */
    const char *subject;
    uint16_t list;
    uint32_t from;
    uint32_t until;
    const char *reason;
    struct listing_place target;
    const struct registry_decision *node; /* instead of all above */
};

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
    r.decided = 20260301;
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
        .suite = SUITE_INTL,
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
