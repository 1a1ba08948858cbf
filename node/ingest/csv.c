#include "ingest/csv.h"

#include <csv.h>
#include <string.h>

#include "base/mem.h"

enum { CHUNK = 65536 };

struct csv_reader {
    csv_row_fn *row;
    csv_bad_fn *bad;
    void *ctx;
    struct charset_converter *converter; /* NULL: nothing but ASCII so far */
    bool started;                        /* past the byte order mark */
    bool skipping; /* to the end of a line that was too long */
    struct buf in; /* bytes not yet taken, from `at` */
    size_t at;
    size_t scanned; /* of the row at `at`: how far its end was looked for */
    bool quotes;    /* some were met on the way … */
    bool quoted;    /* … and it is inside them there */
    uint64_t line;  /* at `at` */
    struct csv_parser parser;
    struct buf bytes; /* of cells that libcsv read, one behind the other */
    size_t ends[CSV_COLUMNS_MAX];
    size_t count;
    const char *rule; /* what the row at hand broke */
    struct slice cells[CSV_COLUMNS_MAX];
};

static void parser_start(struct csv_reader *r)
{
    /* Fails only on a NULL parser. */
    (void)csv_init(&r->parser, CSV_STRICT | CSV_STRICT_FINI);
    csv_set_realloc_func(&r->parser, mem_realloc);
    csv_set_free_func(&r->parser, mem_free);
    csv_set_blk_size(&r->parser, 4096);
}

void csv_reader_new(struct csv_reader **out, csv_row_fn *row, csv_bad_fn *bad,
                    void *ctx)
{
    struct csv_reader *r = MEM_NEW(struct csv_reader);
    r->row = row;
    r->bad = bad;
    r->ctx = ctx;
    r->line = 1;
    parser_start(r);
    *out = r;
}

void csv_reader_free(struct csv_reader **reader)
{
    struct csv_reader *r = *reader;
    *reader = NULL;
    if (r == NULL) {
        return;
    }
    csv_free(&r->parser);
    charset_close(&r->converter);
    buf_fini(&r->in);
    buf_fini(&r->bytes);
    mem_free(r);
}

/* ---- one row ---- */

static void on_cell(void *data, size_t len, void *ctx)
{
    struct csv_reader *r = ctx;
    if (len > CSV_CELL_MAX) {
        r->rule = "cell-too-long";
    } else if (r->count == CSV_COLUMNS_MAX) {
        r->rule = "too-many-columns";
    } else {
        buf_put(&r->bytes, data, len);
        r->ends[r->count++] = r->bytes.len;
    }
}

static void on_row_end(int c, void *ctx)
{
    (void)c;
    (void)ctx;
}

static bool has(struct slice text, char c)
{
    return memchr(text.data, c, text.len) != NULL;
}

/* Most rows need no parser: without quotes and line breaks inside, what is
 * between two commas is a cell, less its blanks. The rest is libcsv's.
 * `simple`: there are neither quotes nor line feeds. */
static bool is_plain_row(struct slice text, bool simple)
{
    return text.len > 0 && (simple || (!has(text, '"') && !has(text, '\n'))) &&
           !has(text, '\r');
}

static bool is_csv_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct slice without_blanks(const uint8_t *from, const uint8_t *to)
{
    while (from < to && is_csv_blank(*from)) {
        from++;
    }
    while (from < to && is_csv_blank(to[-1])) {
        to--;
    }
    return slice_of(from, (size_t)(to - from));
}

/* The cells borrow from `text`. */
static void split_row(struct csv_reader *r, struct slice text)
{
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.len;
    bool more = true;
    while (more && r->rule == NULL) {
        const uint8_t *comma = memchr(at, ',', (size_t)(end - at));
        struct slice cell = without_blanks(at, comma != NULL ? comma : end);
        more = comma != NULL;
        if (cell.len > CSV_CELL_MAX) {
            r->rule = "cell-too-long";
        } else if (r->count == CSV_COLUMNS_MAX) {
            r->rule = "too-many-columns";
        } else {
            r->cells[r->count++] = cell;
        }
        at = more ? comma + 1 : end;
    }
}

/* Fills cells, or sets r->rule. `simple` as is_plain_row() has it. */
static void parse_row(struct csv_reader *r, struct slice text, bool simple)
{
    r->count = 0;
    r->rule = NULL;
    buf_clear(&r->bytes);
    if (is_plain_row(text, simple)) {
        split_row(r, text);
        return;
    }
    if (csv_parse(&r->parser, text.data, text.len, on_cell, on_row_end, r) !=
            text.len ||
        csv_fini(&r->parser, on_cell, on_row_end, r) != 0) {
        csv_free(&r->parser);
        parser_start(r);
        r->rule = "csv-form";
    }
    size_t start = 0;
    for (size_t i = 0; i < r->count; i++) {
        r->cells[i] = slice_of(r->bytes.data + start, r->ends[i] - start);
        start = r->ends[i];
    }
}

static bool is_empty_row(const struct csv_reader *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->cells[i].len > 0) {
            return false;
        }
    }
    return true;
}

/* What is simple stays so: quotes and line breaks are the same bytes in every
 * character set taken. */
static enum err read_row(struct csv_reader *r, struct slice raw, bool simple)
{
    struct slice text;
    if (r->converter == NULL) {
        text = raw;
        r->rule = has(raw, '\0') ? "encoding" : NULL;
    } else {
        r->rule = charset_to_utf8(r->converter, raw, &text) != ERR_OK
                      ? "encoding"
                      : NULL;
    }
    if (r->rule == NULL) {
        parse_row(r, text, simple);
    }
    if (r->rule != NULL) {
        return r->bad(r->ctx, r->line, r->rule);
    }
    return is_empty_row(r) ? ERR_OK
                           : r->row(r->ctx, r->line, r->cells, r->count);
}

static uint64_t count_lines(struct slice raw)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < raw.len; i++) {
        lines += raw.data[i] == '\n';
    }
    return lines;
}

/* ---- cutting the stream into rows ---- */

static size_t count_quotes(const uint8_t *at, const uint8_t *end)
{
    size_t quotes = 0;
    for (; at < end; at++) {
        quotes += *at == '"';
    }
    return quotes;
}

/* Length of the row at `at` without its line break; SIZE_MAX: its end has not
 * come yet. */
static size_t find_row(struct csv_reader *r)
{
    const uint8_t *start = r->in.data + r->at;
    const uint8_t *end = r->in.data + r->in.len;
    for (const uint8_t *from = start + r->scanned; from < end;) {
        const uint8_t *nl = memchr(from, '\n', (size_t)(end - from));
        if (nl == NULL) {
            break;
        }
        if (has(slice_of(from, (size_t)(nl - from)), '"')) {
            r->quotes = true;
            r->quoted ^= count_quotes(from, nl) & 1;
        }
        from = nl + 1;
        if (!r->quoted) {
            return (size_t)(nl - start);
        }
        r->scanned = (size_t)(from - start);
    }
    return SIZE_MAX;
}

/* Steps over `len` bytes of rows or lines, with `inside` line breaks in them;
 * the line break behind them too. */
static void pass(struct csv_reader *r, size_t len, uint64_t inside)
{
    bool line_break = r->at + len < r->in.len;
    r->line += inside + line_break;
    r->at += len + line_break;
    r->scanned = 0;
    r->quotes = false;
    r->quoted = false;
}

/* Length of the first line of `raw`. */
static size_t first_line(struct slice raw)
{
    const uint8_t *nl = memchr(raw.data, '\n', raw.len);
    return nl != NULL ? (size_t)(nl - raw.data) : raw.len;
}

static struct slice without_cr(struct slice raw)
{
    raw.len -= raw.len > 0 && raw.data[raw.len - 1] == '\r';
    return raw;
}

/* True if the row is well formed, judged on the bytes as they are: quotes,
 * commas and line breaks are the same in every character set taken. */
static bool is_well_formed(struct csv_reader *r, struct slice raw)
{
    parse_row(r, raw, false);
    return r->rule != NULL ? strcmp(r->rule, "csv-form") != 0 : true;
}

/* Takes the row of `len` bytes at `at`. One that spans lines and is malformed
 * is cut to its first line: a quote too many must not swallow good rows.
 * `simple`: one line without quotes. */
static enum err take_row(struct csv_reader *r, size_t len, bool simple)
{
    struct slice raw = slice_of(r->in.data + r->at, len);
    size_t line_len = simple ? len : first_line(raw);
    if (line_len < len && !is_well_formed(r, without_cr(raw))) {
        len = line_len;
        raw.len = line_len;
    }
    enum err err = read_row(r, without_cr(raw), simple);
    pass(r, len, line_len < len ? count_lines(raw) : 0);
    return err;
}

/* The row at `at` has no end within CSV_ROW_MAX. */
static enum err take_too_long(struct csv_reader *r)
{
    struct slice raw = slice_of(r->in.data + r->at, r->in.len - r->at);
    size_t line_len = first_line(raw);
    bool long_line = line_len == raw.len || line_len > CSV_ROW_MAX;
    r->skipping = line_len == raw.len;
    enum err err =
        r->bad(r->ctx, r->line, long_line ? "row-too-long" : "csv-form");
    pass(r, line_len, 0);
    return err;
}

/* Drops bytes up to the end of the line; true if it was found. */
static bool skip_line(struct csv_reader *r)
{
    struct slice raw = slice_of(r->in.data + r->at, r->in.len - r->at);
    size_t line_len = first_line(raw);
    r->skipping = line_len == raw.len;
    pass(r, line_len, 0);
    return !r->skipping;
}

static enum err choose_charset(struct csv_reader *r, enum charset charset,
                               struct errmsg *why)
{
    return charset == CHARSET_ASCII ? ERR_OK
                                    : charset_open(&r->converter, charset, why);
}

/* Decides on a character set as soon as the bytes at hand allow it. *wait is
 * set if rows must not be taken yet. */
static enum err look_at_charset(struct csv_reader *r, bool last, bool *wait,
                                struct errmsg *why)
{
    struct slice sample = slice_of(r->in.data + r->at, r->in.len - r->at);
    size_t bom = 0;
    *wait = false;
    if (!r->started) {
        *wait = sample.len < CHARSET_BOM_MAX && !last;
        if (*wait) {
            return ERR_OK;
        }
        enum charset charset = charset_by_bom(sample, &bom);
        r->started = true;
        r->at += bom;
        if (charset != CHARSET_ASCII) {
            return choose_charset(r, charset, why);
        }
    }
    if (r->converter != NULL) {
        return ERR_OK;
    }
    enum charset charset = charset_detect(sample);
    *wait =
        charset != CHARSET_ASCII && !last && sample.len < CHARSET_SAMPLE_BYTES;
    return *wait ? ERR_OK : choose_charset(r, charset, why);
}

static enum err take_rows(struct csv_reader *r, bool last)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && r->at < r->in.len) {
        if (r->skipping && !skip_line(r)) {
            break;
        }
        size_t len = find_row(r);
        size_t left = r->in.len - r->at;
        if (len != SIZE_MAX && len <= CSV_ROW_MAX) {
            err = take_row(r, len, !r->quotes);
        } else if (left > CSV_ROW_MAX) {
            err = take_too_long(r);
        } else if (last && left > 0) {
            err = take_row(r, left, false);
        } else {
            break;
        }
    }
    return err;
}

static enum err advance(struct csv_reader *r, bool last, struct errmsg *why)
{
    bool wait = false;
    enum err err = look_at_charset(r, last, &wait, why);
    if (err == ERR_OK && !wait) {
        err = take_rows(r, last);
    }
    r->in.len -= r->at;
    if (r->at > 0 && r->in.len > 0) {
        memmove(r->in.data, r->in.data + r->at, r->in.len);
    }
    r->at = 0;
    return err;
}

enum err csv_reader_feed(struct csv_reader *reader, struct slice bytes,
                         struct errmsg *why)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && bytes.len > 0) {
        size_t n = bytes.len < CHUNK ? bytes.len : CHUNK;
        buf_put(&reader->in, bytes.data, n);
        bytes = slice_of(bytes.data + n, bytes.len - n);
        err = advance(reader, false, why);
    }
    return err;
}

enum err csv_reader_finish(struct csv_reader *reader, struct errmsg *why)
{
    return advance(reader, true, why);
}

void csv_put_cell(FILE *to, const char *text, const char *end)
{
    (void)csv_fwrite(to, text, strlen(text));
    (void)fputs(end, to);
}
