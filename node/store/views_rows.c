#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credit/date.h"
#include "credit/execution.h"
#include "credit/listing.h"
#include "store/store_impl.h"
#include "store/views_impl.h"

enum {
    NAME_BYTES = 600,
    SHORT_BYTES = 64,
    SOURCE_BYTES = 200,
    TEXT_BYTES = 65000,
    CELLS_MAX = 40,
};
#define NO_FEN UINT64_MAX
#define MS_MAX 253370736000000LL /* 9999-01-01 */

/* ---- a batch ---- */

void batch_init(struct view_batch *b, const struct log_id *log, uint32_t id)
{
    *b = (struct view_batch){.log = *log, .id = id};
}

void batch_fini(struct view_batch *b)
{
    for (size_t i = 0; i < VSQL_COUNT; i++) {
        mem_free(b->rows[i].cells);
    }
    for (size_t i = 0; i < b->texts_n; i++) {
        buf_fini(&b->texts[i]);
    }
    mem_free(b->texts);
    mem_free(b->subjects);
    *b = (struct view_batch){.id = 0};
}

void batch_row(struct view_batch *b, enum views_sql sql,
               const struct mdb_cell *cells)
{
    struct view_rows *r = &b->rows[sql];
    size_t width = strlen(views_statements()->at[sql].params);
    if (r->n + width > r->cap) {
        r->cap = 2 * r->cap + 64 * width;
        r->cells = mem_realloc(r->cells, r->cap * sizeof *r->cells);
    }
    memcpy(r->cells + r->n, cells, width * sizeof *cells);
    r->n += width;
}

/* Bytes that stay where they are until the batch ends. */
static struct slice keep(struct view_batch *b, struct buf *text)
{
    if (b->texts_n == b->texts_cap) {
        b->texts_cap = 2 * b->texts_cap + 64;
        b->texts = mem_realloc(b->texts, b->texts_cap * sizeof *b->texts);
    }
    b->texts[b->texts_n] = *text;
    return buf_slice(&b->texts[b->texts_n++]);
}

/* ---- cells ---- */

struct row_out {
    struct view_batch *b;
    struct mdb_cell cells[CELLS_MAX];
    size_t n;
};

static void put_n(struct row_out *o, uint64_t n)
{
    o->cells[o->n++] = (struct mdb_cell){.n = n};
}

static void put_day(struct row_out *o, uint32_t day)
{
    put_n(o, date_is_valid(day) ? day : 0);
}

static void put_time(struct row_out *o, int64_t at_ms)
{
    int64_t ms = at_ms < 0 ? 0 : at_ms > MS_MAX ? MS_MAX : at_ms;
    put_n(o, (uint64_t)ms * 1000);
}

/* What is no UTF-8 is not shown: the server would refuse the whole batch. Cut
 * between characters. */
static void put_text(struct row_out *o, struct slice s, size_t max)
{
    struct slice out = str_utf8_valid(s) ? s : slice_of(NULL, 0);
    if (out.len > max) {
        out.len = max;
        while (out.len > 0 && (out.data[out.len] & 0xc0) == 0x80) {
            out.len--;
        }
    }
    o->cells[o->n++] = (struct mdb_cell){.b = out};
}

static void put_str(struct row_out *o, const char *text)
{
    o->cells[o->n++] = (struct mdb_cell){.b = slice_str(text)};
}

/* As people without a right see it: a person's values masked or "***". */
static void put_value(struct row_out *o, const struct record *r, uint16_t id,
                      size_t max)
{
    struct buf text = BUF_INIT;
    size_t place = r != NULL ? catalogue_place(r->item, id) : PLACE_NONE;
    if (place == PLACE_NONE || r->values[place].len == 0) {
        put_text(o, slice_of(NULL, 0), max);
        return;
    }
    if (record_show(r, place, o->b->log.origin, RECORD_MASKED, NULL, &text) !=
        ERR_OK) {
        buf_clear(&text);
    }
    put_text(o, keep(o->b, &text), max);
}

static void put_fen(struct row_out *o, const struct record *r, uint16_t id)
{
    struct slice v = r != NULL ? record_get(r, id) : slice_of(NULL, 0);
    uint64_t fen = 0;
    bool good = v.len > 0 && v.len < 19;
    for (size_t i = 0; good && i < v.len; i++) {
        good = v.data[i] >= '0' && v.data[i] <= '9';
        fen = fen * 10 + (uint64_t)(v.data[i] - '0');
    }
    put_n(o, good ? fen : NO_FEN);
}

/* ---- records ---- */

/* The highest one is the entry that the index keeps (store_index.c). */
static struct slice place_of(struct view_batch *b, uint64_t number,
                             const struct entry *e)
{
    struct buf place = BUF_INIT;
    buf_put_u32(&place, e->version);
    buf_put_u64(&place, ~b->log.incarnation);
    buf_put_u64(&place, ~number);
    return keep(b, &place);
}

static struct slice shown_subject(uint8_t kind, bool sealed, struct slice s)
{
    bool clear = kind != SUBJECT_PERSON && !sealed && s.len < SHORT_BYTES &&
                 str_utf8_valid(s) &&
                 !record_is_citizen((enum subject_kind)kind, s);
    return clear ? s : slice_of(NULL, 0);
}

static void put_record(struct view_batch *b, uint64_t number,
                       const struct entry *e, const struct record *r,
                       struct slice subject, bool moved)
{
    struct row_out o = {.b = b};
    put_n(&o, b->log.origin);
    struct buf key = BUF_INIT;
    buf_put(&key, e->record_key, RECORD_KEY_LEN);
    o.cells[o.n++].b = keep(b, &key);
    o.cells[o.n++].b = subject;
    put_n(&o, b->id);
    put_n(&o, number);
    put_n(&o, moved);
    put_n(&o, e->subject_kind);
    put_n(&o, e->item);
    put_n(&o, e->status);
    put_n(&o, e->disclosure);
    put_day(&o, e->decided);
    put_day(&o, e->from);
    put_day(&o, e->until);
    put_day(&o, e->publish_until);
    put_time(&o, e->entered_at_ms);
    put_value(&o, r, FIELD_NAME, NAME_BYTES);
    put_value(&o, r, FIELD_DOCUMENT_NO, NAME_BYTES);
    put_value(&o, r, FIELD_DOCUMENT_NAME, NAME_BYTES);
    put_value(&o, r, FIELD_KIND, NAME_BYTES);
    put_value(&o, r, FIELD_CONTENT, TEXT_BYTES);
    put_value(&o, r, FIELD_VIOLATION, TEXT_BYTES);
    put_value(&o, r, FIELD_FACTS, TEXT_BYTES);
    put_value(&o, r, FIELD_BASIS, TEXT_BYTES);
    put_fen(&o, r, FIELD_FINE);
    put_fen(&o, r, FIELD_CONFISCATED);
    put_value(&o, r, FIELD_AUTHORITY, NAME_BYTES);
    put_value(&o, r, FIELD_AUTHORITY_CODE, SHORT_BYTES);
    put_value(&o, r, FIELD_SOURCE, SOURCE_BYTES);
    put_value(&o, r, FIELD_SOURCE_CODE, SHORT_BYTES);
    put_value(&o, r, FIELD_DIVISION, SHORT_BYTES);
    put_n(&o, r != NULL);
    put_n(&o, e->version);
    o.cells[o.n++].b = place_of(b, number, e);
    batch_row(b, VSQL_PUT_RECORD, o.cells);
}

static void put_import(struct view_batch *b, uint64_t number,
                       const struct entry *e, const struct record *r)
{
    struct row_out o = {.b = b};
    put_n(&o, b->id);
    put_n(&o, date_from_ms(e->entered_at_ms < 0        ? 0
                           : e->entered_at_ms > MS_MAX ? MS_MAX
                                                       : e->entered_at_ms));
    put_n(&o, e->item);
    put_value(&o, r, FIELD_SOURCE, SOURCE_BYTES);
    put_value(&o, r, FIELD_SOURCE_CODE, SHORT_BYTES);
    put_n(&o, 1);
    put_n(&o, e->version > 1);
    put_n(&o, number);
    put_n(&o, number);
    put_time(&o, e->entered_at_ms);
    put_time(&o, e->entered_at_ms);
    batch_row(b, VSQL_PUT_IMPORT, o.cells);
}

static void take_record(struct view_batch *b, uint64_t number,
                        const struct entry *e)
{
    struct record record;
    bool sealed = (e->flags & ENTRY_FLAG_SEALED) != 0;
    struct slice subject = shown_subject(e->subject_kind, sealed, e->subject);
    bool sound = e->version > 0 && (e->subject_kind == SUBJECT_PERSON
                                        ? sealed
                                        : subject.len > 0 && !sealed);
    if (!sound || e->status > STATUS_OTHER ||
        e->disclosure > DISCLOSURE_AUTHORISED ||
        e->subject_kind > SUBJECT_LISTING || b->log.kind != LOG_RECORDS) {
        b->skipped++;
        return;
    }
    struct record *r = record_from_entry(e, &record) == ERR_OK ? &record : NULL;
    b->skipped += r == NULL;
    put_record(b, number, e, r, subject, false);
    put_import(b, number, e, r);
    struct slice prev = shown_subject(SUBJECT_ORG, sealed, e->prev_subject);
    if (prev.len > 0 && !slice_eq(prev, subject)) {
        put_record(b, number, e, NULL, prev, true);
    }
}

/* ---- lists ---- */

static void put_listed(struct row_out *o, const struct entry *e,
                       const struct record *r)
{
    const struct catalogue_list *list = catalogue_list(e->item);
    put_n(o, e->item);
    put_str(o, list != NULL ? list->name : "");
    put_str(o, list != NULL ? list->label_zh : "");
    put_str(o, list != NULL ? colour_name(list->colour) : "");
    const char *domain = domain_name(listing_domain_of(r));
    put_str(o, domain != NULL ? domain : "");
    put_day(o, e->decided);
    put_day(o, e->from);
    put_day(o, e->until);
    put_value(o, r, FIELD_NAME, NAME_BYTES);
    put_value(o, r, FIELD_DOCUMENT_NO, NAME_BYTES);
    put_value(o, r, FIELD_AUTHORITY, NAME_BYTES);
    put_value(o, r, FIELD_AUTHORITY_CODE, SHORT_BYTES);
    put_value(o, r, FIELD_BASIS, TEXT_BYTES);
    put_value(o, r, FIELD_FACTS, TEXT_BYTES);
    put_value(o, r, FIELD_MEASURES, TEXT_BYTES);
    put_value(o, r, FIELD_REMOVAL_TERMS, TEXT_BYTES);
    put_value(o, r, FIELD_NOTICE_NO, NAME_BYTES);
    uint32_t notice = 0;
    (void)date_parse(record_get(r, FIELD_NOTICE_DATE), &notice);
    put_day(o, notice);
}

static void touch_subject(struct view_batch *b, struct slice subject)
{
    if (b->subjects_n == b->subjects_cap) {
        b->subjects_cap = 2 * b->subjects_cap + 64;
        b->subjects =
            mem_realloc(b->subjects, b->subjects_cap * sizeof *b->subjects);
    }
    subject_key_org(&b->subjects[b->subjects_n++], SUBJECT_USCC, subject);
}

static void put_list(struct view_batch *b, uint64_t number,
                     const struct entry *e, const struct record *r)
{
    struct row_out o = {.b = b};
    put_n(&o, b->id);
    put_n(&o, number);
    o.cells[o.n++].b = e->subject;
    put_time(&o, e->entered_at_ms);
    put_n(&o, e->type == ENTRY_LISTING ? LISTED_VOID : LISTED_TEXT);
    put_listed(&o, e, r);
    put_n(&o, b->id);
    put_n(&o, number);
    batch_row(b, VSQL_PUT_LIST, o.cells);
}

/* Only what the entry itself says: what comes of it the store is asked. */
static void take_listing(struct view_batch *b, uint64_t number,
                         const struct entry *e)
{
    struct listing_facts facts;
    struct record r;
    if (shown_subject(e->subject_kind, false, e->subject).len == 0 ||
        listing_facts(e, b->log.origin, &facts) != ERR_OK ||
        listing_values(e, &r) != ERR_OK) {
        b->skipped++;
        return;
    }
    if (e->type != ENTRY_REMOVAL) {
        put_list(b, number, e, &r);
    }
    touch_subject(b, e->subject);
}

static bool has_no_meaning_here(uint8_t type)
{
    return type > ENTRY_MEASURE || (type > ENTRY_KEY && type < ENTRY_PACKAGE);
}

void batch_entry(struct view_batch *b, uint64_t number, struct slice entry)
{
    struct entry e;
    if (entry.data == NULL || entry_decode(entry, &e) != ERR_OK ||
        has_no_meaning_here(e.type)) {
        b->skipped++;
    } else if (e.type == ENTRY_RECORD) {
        take_record(b, number, &e);
    } else if (listing_is_type(e.type) && b->lists) {
        take_listing(b, number, &e);
    }
}
