#include "ingest/rows.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credit/citizen.h"
#include "credit/rules.h"
#include "ingest/csv.h"
#include "ingest/header.h"

enum {
    HEADER_WITHIN = 10,  /* rows that may stand before the header */
    SHOWN_CHARS_MAX = 40 /* of a value in a fault's text */
};

/* The record keys seen, in two generations: the older is dropped when the
 * younger is full. They grow with the file: most have one row, from an app. */
enum { SEEN_SLOTS_MIN = 16 };
struct seen_slot {
    uint64_t key; /* first 8 bytes of a record key; 0: free */
    uint64_t line;
};
struct seen {
    struct seen_slot *slots;
    size_t room; /* slots, a power of two; at most half are used */
    size_t used;
};

struct fault {
    const struct catalogue_field *field; /* NULL: the whole row */
    const char *rule;
    struct slice raw;
    uint64_t line; /* duplicate-in-file: the earlier row */
};

struct rows {
    struct rows_options options;
    struct rows_sink sink;
    struct csv_reader *csv;
    struct errmsg *why; /* of the call at hand */
    bool journal;       /* rows_columns(): a record may come again */
    size_t rows_before_header;
    struct header *header; /* NULL: not read yet */
    struct seen seen[2];   /* younger, older */
    /* The row at hand. */
    struct rules_room room;
    struct record record;
    struct slice raw[CATALOGUE_FIELDS_MAX];
    struct fault faults[ROWS_FAULTS_MAX];
    size_t faults_count;
    struct buf texts;
};

/* ---- faults ---- */

static void add_fault(struct rows *r, const struct catalogue_field *field,
                      const char *rule, struct slice raw)
{
    if (r->faults_count < ROWS_FAULTS_MAX) {
        r->faults[r->faults_count++] =
            (struct fault){.field = field, .rule = rule, .raw = raw};
    }
}

static void on_breach(void *ctx, const struct catalogue_field *field,
                      const char *rule)
{
    struct rows *r = ctx;
    size_t place = catalogue_place(r->record.item, field->id);
    add_fault(r, field, rule, r->raw[place]);
}

/* A row may be a person's unless it says that it is not. */
static bool may_be_person(const struct rows *r)
{
    if (catalogue_place(r->record.item, FIELD_CATEGORY) == PLACE_NONE) {
        return false; /* an item about organisations only */
    }
    const struct enum_word *category = record_word(&r->record, FIELD_CATEGORY);
    return category == NULL || category->value == CATEGORY_PERSON;
}

/* At most SHOWN_CHARS_MAX characters, line breaks as blanks, tame. */
static void put_shown(struct slice s, struct buf *out)
{
    size_t start = out->len;
    size_t chars = 0;
    for (size_t i = 0; i < s.len && chars <= SHOWN_CHARS_MAX; i++) {
        uint8_t c = s.data[i];
        chars += c >> 6 != 2;
        if (chars > SHOWN_CHARS_MAX) {
            buf_put_str(out, "…");
        } else {
            buf_put_u8(out, c >= '\t' && c <= '\r' ? ' ' : c);
        }
    }
    if (out->len > start) {
        char *shown = (char *)out->data + start;
        out->len = start + str_tame(shown, out->len - start);
    }
}

/* Cells get shifted, so in a person's row any of them may hold the name or a
 * short identifier, and in any row a citizen number. */
static void put_value(const struct rows *r, const struct fault *f,
                      struct buf *out)
{
    if (record_is_personal(f->field, SUBJECT_USCC) ||
        (may_be_person(r) && record_is_personal(f->field, SUBJECT_PERSON))) {
        record_mask(f->field, f->raw, out);
    } else if (citizen_may_be_inside(f->raw)) {
        mask_identifier(f->raw, out);
    } else if (may_be_person(r)) {
        mask_name(f->raw, out);
    } else {
        put_shown(f->raw, out);
    }
}

static void put_text(const struct rows *r, const struct fault *f,
                     struct buf *out)
{
    buf_put_str(out, rules_text(f->rule));
    if (f->line != 0) {
        buf_putf(out, ": line %llu", (unsigned long long)f->line);
    }
    if (f->field != NULL && f->raw.len > 0) {
        buf_put_str(out, ": \"");
        put_value(r, f, out);
        buf_put_str(out, "\"");
    }
    buf_put_u8(out, 0);
}

static enum err report_faults(struct rows *r, uint64_t line)
{
    struct rows_fault out[ROWS_FAULTS_MAX];
    size_t starts[ROWS_FAULTS_MAX];
    buf_clear(&r->texts);
    for (size_t i = 0; i < r->faults_count; i++) {
        starts[i] = r->texts.len;
        put_text(r, &r->faults[i], &r->texts);
    }
    for (size_t i = 0; i < r->faults_count; i++) {
        const struct fault *f = &r->faults[i];
        out[i] = (struct rows_fault){
            .column = f->field != NULL ? header_label(r->header, f->field) : "",
            .rule = f->rule,
            .text = (const char *)r->texts.data + starts[i],
        };
    }
    return r->sink.refused(r->sink.ctx, line, out, r->faults_count);
}

static enum err on_bad_row(struct rows *r, uint64_t line, const char *rule)
{
    r->faults_count = 0;
    add_fault(r, NULL, rule, (struct slice){NULL, 0});
    return report_faults(r, line);
}

static enum err on_bad(void *ctx, uint64_t line, const char *rule)
{
    struct rows *r = ctx;
    if (r->header == NULL) {
        return err_set(r->why, ERR_INVALID,
                       "line %llu: %s, before any header was found; is it CSV? "
                       "A spreadsheet is to be saved as CSV",
                       (unsigned long long)line, rules_text(rule));
    }
    return on_bad_row(r, line, rule);
}

/* ---- rows seen before ---- */

/* The slot of `key`, or the free one where it belongs. */
static struct seen_slot *slot_of(const struct seen *seen, uint64_t key)
{
    size_t i = key >> 1 & (seen->room - 1);
    while (seen->slots[i].key != 0 && seen->slots[i].key != key) {
        i = (i + 1) & (seen->room - 1);
    }
    return &seen->slots[i];
}

static uint64_t find_seen(const struct seen *seen, uint64_t key)
{
    return seen->used > 0 ? slot_of(seen, key)->line : 0;
}

static void grow_seen(struct seen *seen)
{
    struct seen old = *seen;
    seen->room = old.room > 0 ? 2 * old.room : SEEN_SLOTS_MIN;
    seen->slots = mem_zalloc(seen->room, sizeof *seen->slots);
    for (size_t i = 0; i < old.room; i++) {
        if (old.slots[i].key != 0) {
            *slot_of(seen, old.slots[i].key) = old.slots[i];
        }
    }
    mem_free(old.slots);
}

/* Line of an earlier row with this key, or 0; remembers this one. */
static uint64_t remember(struct rows *r, uint64_t line)
{
    uint64_t key = be_get64(r->record.key) | 1;
    for (size_t g = 0; g < 2; g++) {
        uint64_t earlier = find_seen(&r->seen[g], key);
        if (earlier != 0) {
            return earlier;
        }
    }
    struct seen *seen = &r->seen[0];
    if (seen->used == ROWS_REMEMBERED) {
        struct seen older = r->seen[1];
        r->seen[1] = *seen;
        *seen = older;
        seen->used = 0;
        if (seen->room > 0) {
            memset(seen->slots, 0, seen->room * sizeof *seen->slots);
        }
    }
    if (2 * seen->used == seen->room) {
        grow_seen(seen);
    }
    *slot_of(seen, key) = (struct seen_slot){.key = key, .line = line};
    seen->used++;
    return 0;
}

/* ---- one row of data ---- */

static void collect(struct rows *r, const struct slice *cells, size_t count)
{
    memset(r->raw, 0, sizeof r->raw);
    size_t named = header_columns(r->header);
    bool odd = count < named;
    for (size_t i = 0; i < count; i++) {
        size_t place = header_place(r->header, i);
        if (i >= named) {
            odd = odd || cells[i].len > 0;
        } else if (place < CATALOGUE_FIELDS_MAX) {
            r->raw[place] = cells[i];
        } else if (place == PLACE_OPERATION && header_is_deletion(cells[i])) {
            add_fault(r, NULL, "deletion", (struct slice){NULL, 0});
        }
    }
    if (odd) {
        add_fault(r, NULL, "column-count", (struct slice){NULL, 0});
    }
}

/* Values into the record; returns a bit per place that was refused. */
static uint64_t judge_values(struct rows *r)
{
    const struct catalogue_item *item = r->record.item;
    uint64_t broken = 0;
    for (size_t i = 0; i < item->count; i++) {
        if (r->raw[i].len == 0) {
            continue;
        }
        const char *rule =
            rules_value(&item->fields[i], header_set(r->header), r->raw[i],
                        &r->room, &r->record.values[i]);
        if (rule != NULL) {
            broken |= (uint64_t)1 << i;
            add_fault(r, &item->fields[i], rule, r->raw[i]);
        }
    }
    return broken;
}

static void judge(struct rows *r, uint64_t line)
{
    uint64_t broken = judge_values(r);
    (void)rules_record(&r->record, header_set(r->header), broken,
                       r->options.today, on_breach, r);
    if (r->faults_count > 0) {
        return;
    }
    if (record_identify(&r->record, r->options.keys) != ERR_OK) {
        add_fault(r, NULL, "missing", (struct slice){NULL, 0});
        return;
    }
    uint64_t earlier = r->journal ? 0 : remember(r, line);
    if (earlier != 0) {
        add_fault(r, NULL, "duplicate-in-file", (struct slice){NULL, 0});
        r->faults[0].line = earlier;
    }
}

static enum err take_data(struct rows *r, uint64_t line,
                          const struct slice *cells, size_t count)
{
    r->faults_count = 0;
    r->room.used = 0;
    record_init(&r->record, header_item(r->header));
    collect(r, cells, count);
    if (r->faults_count == 0) {
        judge(r, line);
    }
    return r->faults_count > 0 ? report_faults(r, line)
                               : r->sink.record(r->sink.ctx, line, &r->record);
}

/* ---- header ---- */

static void warn(void *ctx, const char *text)
{
    const struct rows *r = ctx;
    if (r->sink.warning != NULL) {
        r->sink.warning(r->sink.ctx, text);
    }
}

static enum err take_header(struct rows *r, uint64_t line,
                            const struct slice *cells, size_t count)
{
    r->header = header_again(r->options.family, cells, count);
    if (r->header != NULL) {
        return ERR_OK;
    }
    if (!header_is_header(cells, count)) {
        r->rows_before_header++;
        return r->rows_before_header < HEADER_WITHIN
                   ? ERR_OK
                   : err_set(r->why, ERR_INVALID,
                             "line %llu: no header in the first %d rows: the "
                             "file must name its columns, as in docs/"
                             "catalogue.md",
                             (unsigned long long)line, HEADER_WITHIN);
    }
    const struct header_sink warnings = {warn, r};
    return header_new(&r->header, r->options.family, line, cells, count,
                      &warnings, r->why);
}

static enum err on_row(void *ctx, uint64_t line, const struct slice *cells,
                       size_t count)
{
    struct rows *r = ctx;
    if (header_is_template(cells, count)) {
        return ERR_OK;
    }
    if (r->header == NULL) {
        return take_header(r, line, cells, count);
    }
    return header_is_repeated(r->header, cells, count)
               ? ERR_OK
               : take_data(r, line, cells, count);
}

/* ---- public ---- */

void rows_begin(struct rows **out, const struct rows_options *options,
                const struct rows_sink *sink)
{
    struct rows *r = MEM_NEW(struct rows);
    r->options = *options;
    r->sink = *sink;
    csv_reader_new(&r->csv, on_row, on_bad, r);
    *out = r;
}

enum err rows_feed(struct rows *rows, struct slice bytes, struct errmsg *why)
{
    rows->why = why;
    return csv_reader_feed(rows->csv, bytes, why);
}

enum err rows_columns(struct rows *rows, const struct slice *names,
                      size_t count, struct errmsg *why)
{
    const struct header_sink warnings = {warn, rows};
    rows->journal = true;
    return header_new(&rows->header, rows->options.family, 1, names, count,
                      &warnings, why);
}

static const char *unreadable(const struct slice *cells, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += cells[i].len;
        if (cells[i].len > CSV_CELL_MAX) {
            return "cell-too-long";
        }
        if (!str_utf8_valid(cells[i]) ||
            (cells[i].len > 0 &&
             memchr(cells[i].data, 0, cells[i].len) != NULL)) {
            return "encoding";
        }
    }
    return len > CSV_ROW_MAX ? "row-too-long" : NULL;
}

enum err rows_cells(struct rows *rows, uint64_t line, const struct slice *cells,
                    size_t count, struct errmsg *why)
{
    rows->why = why;
    const char *rule = unreadable(cells, count);
    return rule != NULL ? on_bad_row(rows, line, rule)
                        : take_data(rows, line, cells, count);
}

enum err rows_finish(struct rows *rows, struct errmsg *why)
{
    rows->why = why;
    enum err err = csv_reader_finish(rows->csv, why);
    if (err == ERR_OK && rows->header == NULL) {
        err = err_set(why, ERR_INVALID,
                      "no header: the file must name its columns, as in "
                      "docs/catalogue.md");
    }
    return err;
}

void rows_free(struct rows **rows)
{
    struct rows *r = *rows;
    *rows = NULL;
    if (r == NULL) {
        return;
    }
    csv_reader_free(&r->csv);
    header_free(&r->header);
    buf_fini(&r->texts);
    mem_free(r->seen[0].slots);
    mem_free(r->seen[1].slots);
    mem_free(r);
}

const struct catalogue_item *rows_item(const struct rows *rows)
{
    return rows->header != NULL ? header_item(rows->header) : NULL;
}

bool rows_reads(const struct rows *rows, size_t column)
{
    return header_place(rows->header, column) < CATALOGUE_FIELDS_MAX;
}
