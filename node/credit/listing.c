#include "credit/listing.h"

#include <string.h>

#include "base/mem.h"
#include "base/pb.h"
#include "base/str.h"
#include "credit/division.h"
#include "credit/measure.h"
#include "credit/rules.h"
#include "credit/uscc.h"
#include "credit/width.h"

enum { TARGET_ORIGIN = 1 }; /* field of the body */

bool listing_is_type(uint8_t type)
{
    return type >= ENTRY_LISTING && type <= ENTRY_REMOVAL;
}

static enum err take_target(const struct entry *e, struct listing_place *out)
{
    struct reader r = reader_of(e->body);
    struct pb_field f;
    bool found = false;
    while (!found && pb_next(&r, &f)) {
        found = f.number == TARGET_ORIGIN && f.type == PB_VARINT;
    }
    /* National, 000000000000, is left out as a default value is. */
    uint64_t origin = found ? f.value : 0;
    *out = (struct listing_place){.log = {.origin = origin,
                                          .incarnation = e->prev_incarnation,
                                          .kind = LOG_DIRECTIVES},
                                  .number = e->prev_number};
    return !r.bad && origin <= 999999999999 && e->prev_incarnation != 0 &&
                   e->prev_number != 0
               ? ERR_OK
               : ERR_INVALID;
}

enum err listing_facts(const struct entry *e, uint64_t origin,
                       struct listing_facts *out)
{
    *out = (struct listing_facts){.type = e->type,
                                  .list = e->item,
                                  .decided = e->decided,
                                  .from = e->from,
                                  .until = e->until};
    if (!listing_is_type(e->type) || e->subject_kind != SUBJECT_USCC ||
        (e->flags & ENTRY_FLAG_SEALED) != 0 || e->subject.len != USCC_LEN ||
        record_is_citizen(SUBJECT_USCC, e->subject) || e->item == 0) {
        return ERR_INVALID;
    }
    if (e->type == ENTRY_LISTING) {
        return e->prev_number == 0 ? ERR_OK : ERR_INVALID;
    }
    enum err err = take_target(e, &out->target);
    bool own = out->target.log.origin == origin;
    return err == ERR_OK && (own || e->type == ENTRY_REMOVAL) ? ERR_OK
                                                              : ERR_INVALID;
}

enum err listing_values(const struct entry *e, struct record *out)
{
    enum err err = record_take_values(
        out,
        catalogue_item(e->type == ENTRY_REMOVAL ? ITEM_REMOVAL : ITEM_LISTING),
        e->body);
    memcpy(out->key, e->record_key, RECORD_KEY_LEN);
    out->subject_kind = (enum subject_kind)e->subject_kind;
    out->decided = e->decided;
    out->from = e->from;
    out->until = e->until;
    if (e->subject.len > 0 && e->subject.len < sizeof out->subject) {
        memcpy(out->subject, e->subject.data, e->subject.len);
    }
    return err;
}

/* ---- before it is published ---- */

struct breach {
    const char *rule;
    const char *column;
};

static void on_breach(void *ctx, const struct catalogue_field *field,
                      const char *rule)
{
    struct breach *b = ctx;
    if (b->rule == NULL) {
        *b = (struct breach){rule, field->code};
    }
}

/* Each value is in the form in which records hold it. */
static void judge_values(const struct record *r, struct breach *b)
{
    struct rules_room *room = MEM_NEW(struct rules_room);
    for (size_t i = 0; b->rule == NULL && i < r->item->count; i++) {
        const struct catalogue_field *field = &r->item->fields[i];
        struct slice value = {NULL, 0};
        const char *rule = NULL;
        if (r->values[i].len > 0) {
            rule =
                str_utf8_valid(r->values[i])
                    ? rules_value(field, SET_2018, r->values[i], room, &value)
                    : "encoding";
        }
        if (rule == NULL && !slice_eq(value, r->values[i])) {
            rule = "malformed";
        }
        if (rule != NULL) {
            on_breach(b, field, rule);
        }
    }
    mem_free(room);
}

/* The envelope, by which holders go, says what the values say, which people
 * see. */
static bool envelope_fits(const struct entry *e, const struct record *r)
{
    const struct record_keys none = {.suite = SUITE_INTL};
    struct record said = *r;
    return r->unknown == 0 && r->sealed == 0 &&
           record_identify(&said, &none) == ERR_OK &&
           slice_eq(slice_str(said.subject), e->subject) &&
           said.decided == e->decided && said.from == e->from &&
           said.until == e->until && listing_list_of(r) == e->item;
}

bool listing_is_consistent(const struct entry *e)
{
    struct record r;
    return listing_is_type(e->type) && listing_values(e, &r) == ERR_OK &&
           envelope_fits(e, &r);
}

static bool in_area(const struct record *r, uint64_t issuer)
{
    uint64_t code;
    return str_u64(record_get(r, FIELD_DIVISION), &code) &&
           listing_counts_at(issuer, code);
}

static void judge_authority(const struct record *r, uint64_t issuer,
                            struct breach *b)
{
    const struct catalogue_item *item = r->item;
    const char *rule =
        measures_judge(record_get(r, FIELD_MEASURES), r->decided);
    if (!in_area(r, issuer)) {
        on_breach(b, &item->fields[catalogue_place(item, FIELD_DIVISION)],
                  "authority-area");
    } else if (rule != NULL) {
        on_breach(b, &item->fields[catalogue_place(item, FIELD_MEASURES)],
                  rule);
    }
}

const char *listing_fault(const struct entry *e, uint64_t issuer,
                          uint32_t today, const char **column)
{
    struct listing_facts facts;
    struct record r;
    struct breach b = {NULL, ""};
    *column = "";
    if (listing_facts(e, issuer, &facts) != ERR_OK ||
        listing_values(e, &r) != ERR_OK) {
        return "malformed";
    }
    judge_values(&r, &b);
    if (b.rule == NULL) {
        (void)rules_record(&r, SET_2018, 0, today, on_breach, &b);
    }
    if (b.rule == NULL && !envelope_fits(e, &r)) {
        b.rule = "malformed";
    }
    if (b.rule == NULL && facts.type != ENTRY_REMOVAL) {
        judge_authority(&r, issuer, &b);
    }
    *column = b.column;
    return b.rule;
}

/* ---- document numbers ---- */

/* Cuts the character off that `text` begins with, in half width. */
static struct slice next_narrow(struct slice *text, char *room)
{
    size_t n = str_utf8_first(*text);
    struct slice c = slice_of(text->data, n > 0 ? n : 1);
    *room = width_narrow(*text);
    *text = slice_of(text->data + c.len, text->len - c.len);
    return *room != 0 ? slice_of(room, 1) : c;
}

bool listing_same_document(struct slice a, struct slice b)
{
    bool same = true;
    while (same && a.len > 0 && b.len > 0) {
        char x;
        char y;
        struct slice first = next_narrow(&a, &x);
        same = slice_eq(first, next_narrow(&b, &y));
    }
    return same && a.len == b.len;
}

/* ---- making one ---- */

uint16_t listing_list_of(const struct record *r)
{
    const struct enum_word *word = record_word(r, FIELD_LIST);
    return word != NULL ? word->value : 0;
}

enum domain listing_domain_of(const struct record *r)
{
    const struct enum_word *word = record_word(r, FIELD_DOMAIN);
    const struct catalogue_list *list = catalogue_list(listing_list_of(r));
    if (word != NULL) {
        return (enum domain)word->value;
    }
    return list != NULL ? list->domain : (enum domain)0;
}

enum err listing_to_entry(const struct record *r, uint8_t type,
                          const struct listing_place *target, int64_t now_ms,
                          struct buf *room, struct entry *out)
{
    size_t start = room->len;
    if (target != NULL) {
        pb_put_u64(room, TARGET_ORIGIN, target->log.origin);
    }
    record_put_values(r, room);
    if (room->len - start > RECORD_BODY_MAX) {
        room->len = start;
        return ERR_TOO_LARGE;
    }
    *out = (struct entry){
        .type = type,
        .status = type == ENTRY_REMOVAL ? STATUS_REVOKED : STATUS_VALID,
        .disclosure = DISCLOSURE_PUBLIC,
        .subject_kind = SUBJECT_USCC,
        .item = listing_list_of(r),
        .entered_at_ms = now_ms,
        .version = 1,
        .prev_incarnation = target != NULL ? target->log.incarnation : 0,
        .prev_number = target != NULL ? target->number : 0,
        .decided = r->decided,
        .from = r->from,
        .until = r->until,
        .subject = slice_str(r->subject),
        .body = slice_of(room->data + start, room->len - start),
    };
    memcpy(out->record_key, r->key, RECORD_KEY_LEN);
    return ERR_OK;
}

bool listing_may_end(uint64_t remover, uint64_t origin)
{
    return remover == origin || division_is_below(origin, remover);
}

bool listing_counts_at(uint64_t issuer, uint64_t code)
{
    return issuer == code || division_is_below(code, issuer);
}
