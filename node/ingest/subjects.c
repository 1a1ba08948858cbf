#include "ingest/subjects.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credit/citizen.h"
#include "credit/rules.h"
#include "credit/uscc.h"
#include "credit/width.h"

static const struct rule_text texts[] = {
    {"no-code",
     "no unified social credit code; a name does not say which organisation "
     "is meant",
     "没有统一社会信用代码；仅凭名称不能确定主体"},
    {"code-as-number",
     "a spreadsheet made a number of the code: make the column one of text and "
     "enter the code again",
     "表格软件已将代码转成数值：请将该列设为文本格式后重新填写代码"},
};

const char *subjects_text(const char *rule)
{
    const char *text = rule_text_in(texts, ARRAY_LEN(texts), rule)->text;
    return text[0] != 0 ? text : rules_text(rule);
}

const char *subjects_text_zh(const char *rule)
{
    const char *text = rule_text_in(texts, ARRAY_LEN(texts), rule)->text_zh;
    return text[0] != 0 ? text : rules_text_zh(rule);
}

/* ---- cells ---- */

static struct slice slice_from(struct slice s, size_t at)
{
    return slice_of(s.data + at, s.len - at);
}

static bool is_line_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

static bool is_mark(uint8_t c)
{
    return c == ',' || c == '\t' || c == ';' || is_line_end(c);
}

/* Bytes of the quoted cell that `text` begins with, both quotes included; 0:
 * it begins with none, or that never ends, as in names that people quote. */
static size_t quoted_len(struct slice text)
{
    size_t max =
        text.len < SUBJECTS_QUOTED_MAX ? text.len : SUBJECTS_QUOTED_MAX;
    if (text.len == 0 || text.data[0] != '"') {
        return 0;
    }
    for (size_t i = 1; i < max; i++) {
        if (text.data[i] != '"') {
            continue;
        }
        if (i + 1 == text.len || is_mark(text.data[i + 1])) {
            return i + 1;
        }
        i += text.data[i + 1] == '"';
    }
    return 0;
}

/* Takes the next cell off `rest`, with the mark behind it. False if that ends
 * the row. */
static bool next_cell(struct slice *rest, struct slice *cell)
{
    size_t n = quoted_len(*rest);
    *cell = n > 0 ? slice_of(rest->data + 1, n - 2) : *rest;
    if (n == 0) {
        while (n < rest->len && !is_mark(rest->data[n])) {
            n++;
        }
        cell->len = n;
    }
    if (n == rest->len) {
        *rest = slice_from(*rest, n);
        return false;
    }
    bool more = !is_line_end(rest->data[n]);
    bool two =
        rest->data[n] == '\r' && n + 1 < rest->len && rest->data[n + 1] == '\n';
    *rest = slice_from(*rest, n + (two ? 2 : 1));
    return more;
}

/* Blanks, quotes, and what spreadsheets and web pages put around a code: a
 * byte order mark, ="…", wide, fixed and invisible blanks. */
static size_t edge_len(struct slice s, bool front)
{
    static const char *const edges[] = {" ",           "'",
                                        "\"",          "=",
                                        "\xc2\xa0",    "\xe3\x80\x80",
                                        "\xa1\xa1",    "\xe2\x80\x8b",
                                        "\xef\xbb\xbf"};
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        size_t len = strlen(edges[i]);
        if (s.len >= len &&
            memcmp(front ? s.data : s.data + s.len - len, edges[i], len) == 0) {
            return len;
        }
    }
    return 0;
}

static struct slice trimmed(struct slice s)
{
    for (size_t n; (n = edge_len(s, true)) > 0;) {
        s = slice_from(s, n);
    }
    for (size_t n; (n = edge_len(s, false)) > 0;) {
        s.len -= n;
    }
    return s;
}

/* ---- as people write letters and digits in Chinese text ---- */

/* The character at the front in half width; 0: it is invisible, and nothing
 * stands for it; SEPARATES: it is no part of a code. Returns its bytes. */
enum { SEPARATES = 1 };

static size_t narrow_utf8(struct slice s, char *out)
{
    const uint8_t *d = s.data;
    size_t len = str_utf8_first(s);
    *out = (char)(d[0] < 0x80 ? d[0] : SEPARATES);
    char narrow = width_narrow(s);
    if (narrow != 0) {
        *out = narrow;
    } else if (len == 3 && (memcmp(d, "\xef\xbb\xbf", 3) == 0 ||
                            (d[0] == 0xe2 && d[1] == 0x80 && d[2] >= 0x8b &&
                             d[2] <= 0x8d))) {
        *out = 0;
    } else if ((len == 2 && d[0] == 0xc2 && d[1] == 0xa0) ||
               (len == 3 && memcmp(d, "\xe3\x80\x80", 3) == 0)) {
        *out = ' ';
    }
    return len;
}

/* GB18030: half of a character may look like a letter. */
static size_t narrow_gb(struct slice s, char *out)
{
    const uint8_t *d = s.data;
    *out = (char)(d[0] < 0x80 ? d[0] : SEPARATES);
    if (d[0] < 0x80 || s.len == 1) {
        return 1;
    }
    if (d[0] == 0xa3 && d[1] >= 0xa1 && d[1] <= 0xfe) {
        *out = (char)('!' + (d[1] - 0xa1));
    } else if (d[0] == 0xa1 && d[1] == 0xa1) {
        *out = ' ';
    }
    bool four = d[1] >= '0' && d[1] <= '9' && s.len >= 4;
    return four ? 4 : 2;
}

static void narrow(struct slice cell, struct buf *out)
{
    bool utf8 = str_utf8_valid(cell);
    buf_clear(out);
    while (cell.len > 0) {
        char c;
        size_t n = (utf8 ? narrow_utf8 : narrow_gb)(cell, &c);
        if (c != 0) {
            buf_put_u8(out, (uint8_t)c);
        }
        cell = slice_from(cell, n);
    }
}

/* ---- what a cell is ---- */

enum kind { BLANK, CODE, WRONG, NEARLY, HEADING, OTHER };

/* A code begins with its division: names in Latin letters are as long. */
enum { NEARLY_MIN = 15, NEARLY_MAX = 20, DIGITS_MIN = 3 };

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

static char upper(uint8_t c)
{
    return (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
}

/* Letters and digits alone, some of these. */
static bool may_be_code(const char *text, size_t len)
{
    size_t digits = 0;
    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(text[i])) {
            return false;
        }
        digits += text[i] <= '9';
    }
    return digits >= DIGITS_MIN;
}

/* 9.134E+17: its last digits are gone. */
static bool is_number_of(struct slice cell)
{
    bool exponent = false;
    for (size_t i = 0; i < cell.len; i++) {
        uint8_t c = cell.data[i];
        if ((c == 'E' || c == 'e') && i > 0 && i + 1 < cell.len &&
            cell.data[i + 1] == '+') {
            exponent = true;
        } else if ((c < '0' || c > '9') && c != '.' && c != '+') {
            return false;
        }
    }
    return exponent;
}

static bool holds(struct slice cell, const char *upper)
{
    size_t len = strlen(upper);
    for (size_t at = 0; at + len <= cell.len; at++) {
        size_t i = 0;
        while (i < len &&
               (cell.data[at + i] == (uint8_t)upper[i] ||
                (upper[i] >= 'A' && upper[i] <= 'Z' &&
                 cell.data[at + i] == (uint8_t)(upper[i] - 'A' + 'a')))) {
            i++;
        }
        if (i == len) {
            return true;
        }
    }
    return false;
}

static bool names_column(struct slice cell)
{
    static const char *const names[] = {
        "信用代码", "\xd0\xc5\xd3\xc3\xb4\xfa\xc2\xeb" /* in GB18030 */,
        "SHXYM", "CREDIT CODE", "USCC"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (holds(cell, names[i])) {
            return true;
        }
    }
    return false;
}

/* `code` and `rule` are set for what they are about. */
static enum kind kind_of(struct slice cell, char code[USCC_LEN + 1],
                         const char **rule)
{
    char text[NEARLY_MAX];
    size_t len = 0;
    enum uscc_result result = uscc_read(cell, code);
    if (cell.len == 0) {
        return BLANK;
    }
    if (result == USCC_OK) {
        return CODE;
    }
    if (is_number_of(cell)) {
        *rule = "code-as-number";
        return WRONG;
    }
    if (!uscc_normalise(cell, text, sizeof text, &len) || len < NEARLY_MIN ||
        !may_be_code(text, len) || citizen_check(slice_of(text, len))) {
        return names_column(cell) ? HEADING : OTHER;
    }
    *rule = uscc_rule(result);
    return len == USCC_LEN ? WRONG : NEARLY;
}

/* ---- rows ---- */

struct seen {
    unsigned columns; /* cells so far */
    size_t cells;     /* that are not blank */
    size_t codes;
    size_t wrong;
    size_t headings;
    uint64_t heading_columns; /* as struct reading's code_columns */
    struct slice nearly;      /* the first one; len 0: none */
    const char *nearly_rule;
};

struct reading {
    const struct subjects_sink *sink; /* NULL: only looks */
    struct subjects_counts counts;
    uint64_t line; /* of the row at hand */
    uint64_t
        code_columns;    /* by the last headings; a bit each, of the first 64 */
    struct buf narrowed; /* the cell at hand, in half width */
};

static enum err take_code(const struct reading *r, struct seen *seen,
                          const char *code)
{
    seen->codes++;
    return r->sink == NULL ? ERR_OK
                           : r->sink->code(r->sink->ctx, r->line, code);
}

/* Those that stand in a text, with something else around them: several of a
 * consortium in one cell, or one behind its name. */
static enum err take_inside(const struct reading *r, struct seen *seen)
{
    const struct slice text = buf_slice(&r->narrowed);
    enum err err = ERR_OK;
    size_t start = 0;
    for (size_t i = 0; err == ERR_OK && i <= text.len; i++) {
        char code[USCC_LEN + 1];
        if (i < text.len && is_alnum(upper(text.data[i]))) {
            continue;
        }
        if (i - start == USCC_LEN &&
            uscc_read(slice_of(text.data + start, USCC_LEN), code) == USCC_OK) {
            err = take_code(r, seen, code);
        }
        start = i + 1;
    }
    return err;
}

/* Neither a code nor a mistyped one as a whole. */
static bool is_text(enum kind kind)
{
    return kind == OTHER || kind == HEADING;
}

static enum kind narrow_kind_of(struct reading *r, struct slice cell,
                                char code[USCC_LEN + 1], const char **rule)
{
    enum kind kind = kind_of(cell, code, rule);
    buf_clear(&r->narrowed);
    if (!is_text(kind) || cell.len < USCC_LEN) {
        return kind;
    }
    narrow(cell, &r->narrowed);
    enum kind narrowed = kind_of(buf_slice(&r->narrowed), code, rule);
    return narrowed == OTHER ? kind : narrowed; /* of Chinese nothing is left */
}

/* In a column that says so what is nearly a code is a mistyped one, whatever
 * stands beside it; elsewhere it may be the number of a register or account. */
static enum kind kind_in(const struct reading *r, uint64_t column,
                         enum kind kind)
{
    return kind == NEARLY && (r->code_columns & column) != 0 ? WRONG : kind;
}

static enum err take_cell(struct reading *r, struct slice cell,
                          struct seen *seen)
{
    char code[USCC_LEN + 1];
    const char *rule = "";
    uint64_t column = seen->columns < 64 ? UINT64_C(1) << seen->columns : 0;
    size_t before = seen->codes;
    enum kind kind = kind_in(r, column, narrow_kind_of(r, cell, code, &rule));
    enum err err = ERR_OK;
    seen->columns++;
    seen->cells += kind != BLANK;
    seen->wrong += kind == WRONG;
    if (kind == CODE) {
        err = take_code(r, seen, code);
    } else if (is_text(kind)) {
        err = take_inside(r, seen);
    } else if (kind == WRONG && r->sink != NULL) {
        err = r->sink->bad(r->sink->ctx, r->line, cell, rule);
    } else if (kind == NEARLY && seen->nearly.len == 0) {
        seen->nearly = cell;
        seen->nearly_rule = rule;
    }
    if (kind == HEADING && seen->codes == before) {
        seen->headings++;
        seen->heading_columns |= column;
    }
    return err;
}

/* Rows in quotes may have several lines. */
static uint64_t count_lines(struct slice row)
{
    uint64_t n = 0;
    for (size_t i = 0; i < row.len; i++) {
        n += row.data[i] == '\n' ||
             (row.data[i] == '\r' &&
              (i + 1 == row.len || row.data[i + 1] != '\n'));
    }
    return n > 0 && is_line_end(row.data[row.len - 1]) ? n : n + 1;
}

/* Takes a row off `rest`. */
static enum err take_row(struct reading *r, struct slice *rest,
                         struct seen *seen)
{
    struct slice row = *rest;
    enum err err = ERR_OK;
    bool more = true;
    *seen = (struct seen){.cells = 0};
    r->line = r->counts.lines + 1;
    while (err == ERR_OK && more) {
        struct slice cell;
        more = next_cell(rest, &cell);
        err = take_cell(r, trimmed(cell), seen);
    }
    row.len -= rest->len;
    r->counts.lines += count_lines(row);
    if (err != ERR_OK || seen->cells == 0 || seen->codes + seen->wrong > 0) {
        return err;
    }
    if (seen->headings > 0 && seen->cells > 1) { /* of another table below */
        r->code_columns = seen->heading_columns;
        r->counts.passed++;
        return ERR_OK;
    }
    bool nearly = seen->nearly.len > 0;
    while (row.len > 0 && is_line_end(row.data[row.len - 1])) {
        row.len--;
    }
    return r->sink == NULL
               ? ERR_OK
               : r->sink->bad(r->sink->ctx, r->line,
                              nearly ? seen->nearly : trimmed(row),
                              nearly ? seen->nearly_rule : "no-code");
}

/* Passes over the headings and a title above them, if there are any. */
static void skip_title(struct reading *r, struct slice *rest)
{
    struct reading look = {.sink = NULL};
    struct slice at = *rest;
    uint64_t rows = 0;
    while (at.len > 0 && rows <= SUBJECTS_BEFORE_HEADING) {
        struct seen seen;
        (void)take_row(&look, &at, &seen); /* a look cannot fail */
        rows += seen.cells > 0;
        if (seen.codes + seen.wrong > 0 || seen.nearly.len > 0) {
            break;
        }
        if (seen.headings > 0) {
            *rest = at;
            r->counts = (struct subjects_counts){look.counts.lines, rows};
            r->code_columns = seen.heading_columns;
            break;
        }
    }
    buf_fini(&look.narrowed);
}

enum err subjects_read(struct slice file, const struct subjects_sink *sink,
                       struct subjects_counts *out, struct errmsg *why)
{
    struct reading r = {.sink = sink};
    struct slice rest = file;
    enum err err = ERR_OK;
    *out = r.counts;
    if (file.len > 0 && memchr(file.data, 0, file.len) != NULL) {
        return err_set(why, ERR_UNSUPPORTED,
                       "the file is no text that can be read (UTF-16, or a "
                       "spreadsheet's own format): save it as CSV, in UTF-8 "
                       "or GB18030");
    }
    skip_title(&r, &rest);
    while (err == ERR_OK && rest.len > 0) {
        struct seen seen;
        err = take_row(&r, &rest, &seen);
    }
    buf_fini(&r.narrowed);
    *out = r.counts;
    return err;
}
