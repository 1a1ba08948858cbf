#include "credit/rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credit/amount.h"
#include "credit/chinese.h"
#include "credit/citizen.h"
#include "credit/date.h"
#include "credit/uscc.h"

enum { SENTINEL_MAX = 6, DOCUMENT_BYTES_MAX = 512, CODE_BYTES_MAX = 128 };

static const struct rule_text texts[] = {
    {"missing", "a value is needed here", "必填项为空"},
    {"too-long", "longer than the field allows", "超出字段长度"},
    {"control-character", "holds a control character", "含有控制字符"},
    {"code-form", "only letters, digits and ASCII signs", "编码含有非法字符"},
    {"date-form", "not an existing day such as 2026-03-02", "日期格式错误"},
    {"date-order", "ends before it begins", "截止日期早于起始日期"},
    {"date-future", "a decision after today", "决定日期晚于当日"},
    {"amount-form", "not an amount in 万元 with up to 6 decimals",
     "金额格式错误（单位：万元，最多六位小数）"},
    {"enum", "not one of the values of the catalogue", "不在代码集范围内"},
    {"uscc-length", "a credit code has 18 characters",
     "统一社会信用代码应为18位"},
    {"uscc-alphabet", "a character that no credit code has",
     "统一社会信用代码含有非法字符"},
    {"uscc-check", "the last character (check) does not fit",
     "统一社会信用代码校验码错误"},
    {"uscc-inner-check",
     "the 17th character (check of the organisation code) does not fit",
     "主体标识码（组织机构代码）校验码错误"},
    {"orgcode-check", "not an organisation code whose check character fits",
     "组织机构代码校验码错误"},
    {"person-id-form", "not the form of an identity document's number",
     "证件号码格式错误"},
    {"citizen-check", "not a citizen number whose date and check fit",
     "身份证号码校验错误"},
    {"division-form", "not a division code of up to 12 digits",
     "地方编码格式错误"},
    {"org-person-exclusive",
     "persons have no organisation's values, organisations no person's",
     "自然人与法人信息项不得同时填报"},
    {"personal-in-text", "a citizen number stands in clear text: remove it",
     "文本中含有身份证号码，请删除"},
    {"deletion", "files do not delete: report the record as revoked",
     "不接受删除操作，请报送撤销状态"},
    {"duplicate-in-file", "the same decision stands earlier in this file",
     "与本文件前面的行重复"},
    {"column-count", "the row has another number of cells than the header",
     "列数与表头不一致"},
    {"list-colour", "the list is of another colour", "红黑标识与名单类型不符"},
    {"list-domain", "the list is of another domain", "失信领域与名单类型不符"},
    {"notice-order", "the notice comes after the decision",
     "告知日期晚于认定日期"},
    {"from-order", "in force before it was decided", "起始日期早于认定日期"},
    {"authority-area", "an authority outside this node's area",
     "认定机关不在本节点辖区"},
    {"listed-already", "the subject is on this list by this decision already",
     "该主体已按此决定列入该名单"},
    {"not-listed", "no listing in force by this document number",
     "没有该文书号下的有效列入"},
    {"columns-of-removal",
     "these are the columns of a removal: use list-remove, or import without "
     "--correct",
     "这是移出的数据列：请用 list-remove，或不带 --correct 的 import"},
    {"columns-of-listing",
     "these are the columns of a listing: use list-add, or list-correct to "
     "correct one",
     "这是列入的数据列：请用 list-add；更正用 list-correct"},
    {"measure-unknown", "no authority of this node or above has this measure",
     "措施清单中没有该措施编号"},
    {"measure-over", "the measure is not in force on the day of the decision",
     "认定日该措施不在有效期内"},
    {"row-too-large", "the row is too large for a record", "整行数据过大"},
    {"csv-form", "quotes do not fit: not a CSV row",
     "CSV格式错误（引号不匹配）"},
    {"change-flag", "x_change is I for a new record, U for a changed one",
     "增删改标志应为I（新增）或U（修改）"},
    {"digest", "x_digest is not that of the row's values",
     "摘要与数据内容不符"},
    {"digest-missing", "rows of this table need a digest: x_digest",
     "缺少摘要"},
    {"encoding", "a character is malformed in this encoding", "字符编码错误"},
    {"row-too-long", "the row is longer than 256 KiB", "行过长"},
    {"cell-too-long", "a cell is longer than 64 KiB", "单元格过长"},
    {"too-many-columns", "more than 256 columns", "列数过多"},
};

#define EMPTY ((struct slice){NULL, 0})

static const char *const sentinels[] = {"暂无", "无",   "\\N",  "\\n", "N/A",
                                        "n/a",  "NULL", "null", "-",   "--",
                                        "/",    "—",    "空"};

/* ---- trimming ---- */

/* Bytes of the blank at `s`: ASCII blanks, no-break and ideographic space, the
 * byte order mark; 0 if there is none. */
static size_t blank_len(struct slice s)
{
    static const char *const wide[] = {"\u00a0", "\u3000", "\ufeff"};
    if (s.len == 0) {
        return 0;
    }
    uint8_t c = s.data[0];
    if (c < 0x80) {
        return c == ' ' || (c >= '\t' && c <= '\r') ? 1 : 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        size_t len = c == (uint8_t)wide[i][0] ? strlen(wide[i]) : 0;
        if (len > 0 && s.len >= len && memcmp(s.data, wide[i], len) == 0) {
            return len;
        }
    }
    return 0;
}

/* First and last bytes of what blank_len() knows. */
static bool may_begin_blank(uint8_t c)
{
    return c <= ' ' || c == 0xc2 || c == 0xe3 || c == 0xef;
}

static bool may_end_blank(uint8_t c)
{
    return c <= ' ' || c == 0xa0 || c == 0x80 || c == 0xbf;
}

static size_t blank_len_at_end(struct slice s)
{
    if (s.data[s.len - 1] < 0x80) {
        return blank_len(slice_of(s.data + s.len - 1, 1));
    }
    for (size_t len = 2; len <= 3 && len <= s.len; len++) {
        if (blank_len(slice_of(s.data + s.len - len, len)) == len) {
            return len;
        }
    }
    return 0;
}

static struct slice trim(struct slice s)
{
    for (size_t n;
         s.len > 0 && may_begin_blank(s.data[0]) && (n = blank_len(s)) > 0;) {
        s = slice_of(s.data + n, s.len - n);
    }
    for (size_t n; s.len > 0 && may_end_blank(s.data[s.len - 1]) &&
                   (n = blank_len_at_end(s)) > 0;) {
        s.len -= n;
    }
    return s;
}

static bool is_sentinel(struct slice s)
{
    for (size_t i = 0; s.len <= SENTINEL_MAX && i < ARRAY_LEN(sentinels); i++) {
        if (s.data[0] == (uint8_t)sentinels[i][0] &&
            slice_eq(s, slice_str(sentinels[i]))) {
            return true;
        }
    }
    return false;
}

/* ---- values by type ---- */

/* Takes `len` bytes at the end of the room's used part; false if full. */
static bool keep(struct rules_room *room, const void *bytes, size_t len,
                 struct slice *out)
{
    if (len > sizeof room->bytes - room->used) {
        return false;
    }
    uint8_t *at = room->bytes + room->used;
    memcpy(at, bytes, len);
    room->used += len;
    *out = slice_of(at, len);
    return true;
}

static bool is_line_break(uint8_t c)
{
    return c == '\n' || c == '\r' || c == '\t';
}

/* Could one of the eight bytes at `p` be of a character that is refused? Line
 * breaks and some marks beyond ASCII are looked at more closely. */
static bool may_control(const uint8_t *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, p, sizeof word);
    /* A top bit set says: below a blank, or 0x7f, … */
    uint64_t ascii = ((word - ones * ' ') | (word + ones)) & ~word;
    /* … 0xc2 or 0xe2, 0xd8. A borrow may set it above one that is. */
    uint64_t c2 = (word | ones * 0x20) ^ ones * 0xe2;
    uint64_t d8 = word ^ ones * 0xd8;
    uint64_t wide = ((c2 - ones) & ~c2) | ((d8 - ones) & ~d8);
    return ((ascii | wide) & (ones << 7)) != 0;
}

/* True if no byte is of a character that is refused. */
static bool is_harmless(struct slice s)
{
    const size_t step = sizeof(uint64_t);
    if (s.len < step) {
        return false;
    }
    for (size_t i = 0; i + step <= s.len; i += step) {
        if (may_control(s.data + i)) {
            return false;
        }
    }
    return !may_control(s.data + s.len - step);
}

/* A text may have several lines; else nothing that str_is_plain() refuses. */
static bool has_control(struct slice s)
{
    bool found = false;
    bool look = false; /* a first byte of what is refused beyond ASCII */
    if (is_harmless(s)) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        found |= c == 0x7f || (c < 0x20 && !is_line_break(c));
        look |= c == 0xc2 || c == 0xd8 || c == 0xe2;
    }
    for (size_t i = 0, n; look && !found && i < s.len; i += n + 1) {
        for (n = 0; i + n < s.len && !is_line_break(s.data[i + n]);) {
            n++;
        }
        found = !str_is_plain(slice_of(s.data + i, n));
    }
    return found;
}

typedef const char *value_fn(const struct catalogue_field *field,
                             const struct enum_list *values, struct slice raw,
                             struct rules_room *room, struct slice *out);

static const char *text_value(const struct catalogue_field *field,
                              const struct enum_list *values, struct slice raw,
                              struct rules_room *room, struct slice *out)
{
    (void)values;
    (void)room;
    if (raw.len > field->max_chars && str_utf8_count(raw) > field->max_chars) {
        return "too-long";
    }
    if (has_control(raw)) {
        return "control-character";
    }
    *out = raw;
    return NULL;
}

static const char *code_value(const struct catalogue_field *field,
                              const struct enum_list *values, struct slice raw,
                              struct rules_room *room, struct slice *out)
{
    char code[CODE_BYTES_MAX];
    size_t len = 0;
    (void)values;
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.data[i];
        if (c == ' ') {
            continue;
        }
        if (c < ' ' || c > '~') {
            return "code-form";
        }
        if (len == field->max_chars || len == sizeof code) {
            return "too-long";
        }
        code[len++] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    return keep(room, code, len, out) ? NULL : "too-long";
}

/* The brackets around the year, in all the ways people write them. */
static const struct {
    const char *met;
    const char *kept;
} brackets[] = {
    {"【", "〔"}, {"[", "〔"}, {"(", "〔"}, {"（", "〔"}, {"［", "〔"},
    {"】", "〕"}, {"]", "〕"}, {")", "〕"}, {"）", "〕"}, {"］", "〕"},
};

/* Length of the bracket at `s`, and what is kept instead. */
static size_t bracket_at(struct slice s, const char **kept)
{
    for (size_t i = 0; i < ARRAY_LEN(brackets); i++) {
        size_t len = strlen(brackets[i].met);
        if (s.len >= len && memcmp(s.data, brackets[i].met, len) == 0) {
            *kept = brackets[i].kept;
            return len;
        }
    }
    return 0;
}

/* First bytes of what is in `brackets`. */
static bool may_be_bracket(uint8_t c)
{
    return c == '(' || c == ')' || c == '[' || c == ']' || c == 0xe3 ||
           c == 0xef;
}

/* 〔 and 〕, as they are kept. */
static bool is_kept_bracket(const uint8_t *p, size_t left)
{
    return left >= 3 && p[0] == 0xe3 && p[1] == 0x80 && (p[2] | 1) == 0x95;
}

/* Bytes at the start of `s` that stay as they are. */
static size_t bare_run(struct slice s)
{
    size_t n = 0;
    while (n < s.len &&
           (is_kept_bracket(s.data + n, s.len - n) ||
            (!may_begin_blank(s.data[n]) && !may_be_bracket(s.data[n])))) {
        n++;
    }
    return n;
}

/* A document number in the making. */
struct document {
    uint8_t text[DOCUMENT_BYTES_MAX];
    size_t len;
};

/* Takes what stays as it is, and then one bracket or blank, off `raw`. False:
 * it is too long. */
static bool document_take(struct document *d, struct slice *raw)
{
    enum { ROOM = 4 }; /* bytes that must be left where something begins */
    const char *kept = NULL;
    size_t bare = bare_run(*raw);
    if (bare > 0 && d->len + bare - 1 + ROOM > sizeof d->text) {
        return false;
    }
    memcpy(d->text + d->len, raw->data, bare);
    d->len += bare;
    *raw = slice_of(raw->data + bare, raw->len - bare);
    if (raw->len == 0) {
        return true;
    }
    if (d->len + ROOM > sizeof d->text) {
        return false;
    }
    size_t step = blank_len(*raw);
    if (step == 0 && may_be_bracket(raw->data[0])) {
        step = bracket_at(*raw, &kept);
    }
    struct slice part = slice_of(raw->data, step == 0);
    part = kept != NULL ? slice_str(kept) : part;
    memcpy(d->text + d->len, part.data, part.len);
    d->len += part.len;
    step = step > 0 ? step : 1;
    *raw = slice_of(raw->data + step, raw->len - step);
    return true;
}

static const char *document_value(const struct catalogue_field *field,
                                  const struct enum_list *values,
                                  struct slice raw, struct rules_room *room,
                                  struct slice *out)
{
    struct document d;
    (void)values;
    d.len = 0;
    while (raw.len > 0) {
        if (!document_take(&d, &raw)) {
            return "too-long";
        }
    }
    struct slice done = slice_of(d.text, d.len);
    if (has_control(done)) {
        return "control-character";
    }
    if (str_utf8_count(done) > field->max_chars) {
        return "too-long";
    }
    return keep(room, d.text, d.len, out) ? NULL : "too-long";
}

static bool may_be_open(const struct catalogue_field *field)
{
    return field->id == FIELD_UNTIL || field->id == FIELD_PUBLISH_UNTIL;
}

static const char *date_value(const struct catalogue_field *field,
                              const struct enum_list *values, struct slice raw,
                              struct rules_room *room, struct slice *out)
{
    uint32_t date;
    char text[8];
    (void)values;
    enum date_form form = date_parse(raw, &date);
    if (form == DATE_NONE) {
        *out = EMPTY;
        return NULL;
    }
    if (form != DATE_DAY && (form != DATE_OPEN || !may_be_open(field))) {
        return "date-form";
    }
    for (size_t i = sizeof text; i-- > 0; date /= 10) {
        text[i] = (char)('0' + date % 10);
    }
    return keep(room, text, sizeof text, out) ? NULL : "date-form";
}

static const char *amount_value(const struct catalogue_field *field,
                                const struct enum_list *values,
                                struct slice raw, struct rules_room *room,
                                struct slice *out)
{
    int64_t fen;
    char text[24];
    (void)field;
    (void)values;
    if (!amount_parse_wan(raw, &fen)) {
        return "amount-form";
    }
    int len = snprintf(text, sizeof text, "%" PRId64, fen);
    return keep(room, text, (size_t)len, out) ? NULL : "amount-form";
}

static const char *enum_value(const struct catalogue_field *field,
                              const struct enum_list *values, struct slice raw,
                              struct rules_room *room, struct slice *out)
{
    (void)field;
    (void)room;
    const struct enum_word *word = catalogue_word(values, raw);
    if (word == NULL) {
        return "enum";
    }
    *out = slice_str(word->text);
    return NULL;
}

bool rules_next_word(struct slice *rest, struct slice *word)
{
    static const char *const marks[] = {"、", "，", "；", ",",     ";",
                                        "/",  "+",  "|",  "\u3000"};
    size_t len = 0;
    size_t mark = 0;
    if (rest->len == 0) {
        return false;
    }
    while (len < rest->len && mark == 0) {
        struct slice at = slice_of(rest->data + len, rest->len - len);
        mark = blank_len(at);
        for (size_t i = 0; mark == 0 && i < ARRAY_LEN(marks); i++) {
            size_t n = strlen(marks[i]);
            mark = at.len >= n && memcmp(at.data, marks[i], n) == 0 ? n : 0;
        }
        len += mark == 0;
    }
    *word = slice_of(rest->data, len);
    *rest = slice_of(rest->data + len + mark, rest->len - len - mark);
    return true;
}

/* Bits 1 << value of the words; false at the first unknown one. */
static bool set_bits(const struct enum_list *values, struct slice text,
                     uint32_t *bits)
{
    struct slice word;
    *bits = 0;
    while (rules_next_word(&text, &word)) {
        const struct enum_word *known = catalogue_word(values, word);
        if (word.len > 0 && known == NULL) {
            return false;
        }
        *bits |= known != NULL ? 1U << known->value : 0U;
    }
    return true;
}

static const char *enum_set_value(const struct catalogue_field *field,
                                  const struct enum_list *values,
                                  struct slice raw, struct rules_room *room,
                                  struct slice *out)
{
    uint32_t bits;
    char text[512];
    size_t len = 0;
    (void)field;
    if (!set_bits(values, raw, &bits) || bits == 0) {
        return "enum";
    }
    for (uint16_t v = 0; v < 32; v++) {
        const char *word =
            (bits >> v & 1) != 0 ? catalogue_text(values, v) : NULL;
        if (word != NULL) {
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%s",
                                    len > 0 ? "、" : "", word);
        }
    }
    return keep(room, text, len, out) ? NULL : "too-long";
}

static const char *uscc_value(const struct catalogue_field *field,
                              const struct enum_list *values, struct slice raw,
                              struct rules_room *room, struct slice *out)
{
    char code[USCC_LEN + 1];
    (void)field;
    (void)values;
    enum uscc_result result = uscc_read(raw, code);
    if (result != USCC_OK) {
        return uscc_rule(result);
    }
    return keep(room, code, USCC_LEN, out) ? NULL : "too-long";
}

static const char *org_code_value(const struct catalogue_field *field,
                                  const struct enum_list *values,
                                  struct slice raw, struct rules_room *room,
                                  struct slice *out)
{
    char code[ORGCODE_LEN];
    size_t len;
    (void)field;
    (void)values;
    if (!uscc_normalise(raw, code, sizeof code, &len) ||
        !orgcode_check(slice_of(code, len))) {
        return "orgcode-check";
    }
    return keep(room, code, len, out) ? NULL : "too-long";
}

static const char *person_id_value(const struct catalogue_field *field,
                                   const struct enum_list *values,
                                   struct slice raw, struct rules_room *room,
                                   struct slice *out)
{
    enum { SHORTEST = 4 };
    const char *rule = code_value(field, values, raw, room, out);
    if (rule != NULL) {
        return "person-id-form";
    }
    return out->len >= SHORTEST ? NULL : "person-id-form";
}

static const char *division_value(const struct catalogue_field *field,
                                  const struct enum_list *values,
                                  struct slice raw, struct rules_room *room,
                                  struct slice *out)
{
    uint64_t code;
    char text[] = "000000000000";
    (void)field;
    (void)values;
    if (raw.len < 2 || raw.len > 12 || !str_u64(raw, &code)) {
        return "division-form";
    }
    memcpy(text, raw.data, raw.len);
    return keep(room, text, 12, out) ? NULL : "division-form";
}

static value_fn *const by_type[TYPE_COUNT] = {
    [TYPE_TEXT] = text_value,         [TYPE_CODE] = code_value,
    [TYPE_DOCUMENT] = document_value, [TYPE_DATE] = date_value,
    [TYPE_AMOUNT] = amount_value,     [TYPE_ENUM] = enum_value,
    [TYPE_ENUM_SET] = enum_set_value, [TYPE_USCC] = uscc_value,
    [TYPE_ORG_CODE] = org_code_value, [TYPE_PERSON_ID] = person_id_value,
    [TYPE_DIVISION] = division_value,
};

const char *rules_value(const struct catalogue_field *field,
                        enum column_set set, struct slice raw,
                        struct rules_room *room, struct slice *out)
{
    const struct enum_list *values =
        set == SET_2016 && field->values_2016 != NULL ? field->values_2016
                                                      : field->values;
    *out = EMPTY;
    raw = trim(raw);
    if (raw.len == 0 || is_sentinel(raw)) {
        return NULL;
    }
    return by_type[field->type](field, values, raw, room, out);
}

const struct rule_text *rule_text_in(const struct rule_text *list, size_t n,
                                     const char *rule)
{
    static const struct rule_text none = {"", "", ""};
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].rule, rule) == 0) {
            return &list[i];
        }
    }
    return &none;
}

const char *rules_text(const char *rule)
{
    return rule_text_in(texts, ARRAY_LEN(texts), rule)->text;
}

const char *rules_text_zh(const char *rule)
{
    return rule_text_in(texts, ARRAY_LEN(texts), rule)->text_zh;
}

const char *rules_zh_of(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strcmp(texts[i].rule, text) == 0 ||
            strcmp(texts[i].text, text) == 0) {
            return texts[i].text_zh;
        }
    }
    return "";
}

void rules_put_zh(const char *rule, const char *text, struct buf *out)
{
    static const char line[] = ": line ";
    const char *english = rules_text(rule);
    size_t len = strlen(english);
    if (len == 0 || strncmp(text, english, len) != 0) {
        (void)chinese_put(text, out);
        return;
    }
    buf_put_str(out, rules_text_zh(rule));
    const char *rest = text + len;
    if (strncmp(rest, line, strlen(line)) == 0) {
        rest += strlen(line);
        size_t digits = strspn(rest, "0123456789");
        buf_putf(out, "：第 %.*s 行", (int)digits, rest);
        rest += digits;
    }
    if (rest[0] == ':' && rest[1] == ' ') {
        buf_put_str(out, "：");
        rest += 2;
    }
    buf_put_str(out, rest);
}

/* ---- records ---- */

struct check {
    struct record *r;
    enum column_set set;
    uint64_t broken;
    enum category category; /* 0: unknown, then its needs are not judged */
    uint32_t kinds;         /* bits of FIELD_KIND */
    size_t count;
    rules_breach_fn *breach;
    void *ctx;
};

static const uint16_t org_fields[] = {
    FIELD_USCC,     FIELD_REGISTRATION_NO, FIELD_ORG_CODE,
    FIELD_TAX_NO,   FIELD_INSTITUTION_NO,  FIELD_SOCIAL_NO,
    FIELD_REP_NAME, FIELD_REP_ID_TYPE,     FIELD_REP_ID};
static const uint16_t person_fields[] = {FIELD_PERSON_ID_TYPE, FIELD_PERSON_ID};
enum { ORG_IDENTITIES = 6 /* the first of org_fields */ };

static void report(struct check *c, size_t place, const char *rule)
{
    c->count++;
    c->breach(c->ctx, &c->r->item->fields[place], rule);
}

static bool has(const struct check *c, uint16_t field_id)
{
    return record_get(c->r, field_id).len > 0;
}

static bool has_org_identity(const struct check *c)
{
    for (size_t i = 0; i < ORG_IDENTITIES; i++) {
        if (has(c, org_fields[i])) {
            return true;
        }
    }
    return false;
}

static bool is_citizen_type(const struct check *c, uint16_t field_id)
{
    const struct enum_word *type = record_word(c->r, field_id);
    return type != NULL && type->value == ID_TYPE_CITIZEN;
}

/* The set of 2016 names neither category nor ID type. */
static void complete_2016(struct check *c)
{
    struct slice person = record_get(c->r, FIELD_PERSON_ID);
    bool is_person = person.len > 0 && !has_org_identity(c);
    record_set(c->r, FIELD_CATEGORY,
               slice_str(is_person ? "自然人" : "法人及非法人组织"));
    if (person.len > 0) {
        record_set(c->r, FIELD_PERSON_ID_TYPE,
                   slice_str(citizen_check(person) ? "身份证" : "其他"));
    }
}

static void learn(struct check *c)
{
    static const uint16_t kinds[] = {FIELD_KIND, FIELD_KIND_2};
    const struct enum_word *category = record_word(c->r, FIELD_CATEGORY);
    c->category =
        category != NULL ? (enum category)category->value : (enum category)0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t place = catalogue_place(c->r->item, kinds[i]);
        uint32_t bits;
        if (place != PLACE_NONE &&
            c->r->item->fields[place].type == TYPE_ENUM_SET &&
            set_bits(c->r->item->fields[place].values, c->r->values[place],
                     &bits)) {
            c->kinds |= bits;
        }
    }
}

/* Organisations older than the credit code, and businesses of one person, may
 * be known by another number. */
static bool other_identity_will_do(const struct check *c)
{
    return (c->set == SET_2016 || c->category == CATEGORY_BUSINESS) &&
           has_org_identity(c);
}

static bool is_needed(const struct check *c,
                      const struct catalogue_field *field)
{
    if (c->set == SET_2016 && field->names_2016 == NULL) {
        return false;
    }
    switch (field->need) {
    case NEED_NONE:
        return false;
    case NEED_ALWAYS:
        return true;
    case NEED_ORG:
        return (c->category == CATEGORY_ORG ||
                c->category == CATEGORY_BUSINESS) &&
               (field->id != FIELD_USCC || !other_identity_will_do(c));
    case NEED_PERSON:
        return c->category == CATEGORY_PERSON;
    case NEED_KINDS:
        return (c->kinds & field->needed_by) != 0;
    }
    return false;
}

static void check_needs(struct check *c)
{
    for (size_t i = 0; i < c->r->item->count; i++) {
        if (c->r->values[i].len == 0 && (c->broken >> i & 1) == 0 &&
            is_needed(c, &c->r->item->fields[i])) {
            report(c, i, "missing");
        }
    }
}

static void check_absent(struct check *c, const uint16_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (has(c, ids[i])) {
            report(c, catalogue_place(c->r->item, ids[i]),
                   "org-person-exclusive");
        }
    }
}

static void check_exclusive(struct check *c)
{
    if (c->category == CATEGORY_PERSON) {
        check_absent(c, org_fields, ARRAY_LEN(org_fields));
    } else if (c->category != 0) {
        check_absent(c, person_fields, ARRAY_LEN(person_fields));
    }
}

/* A number without a type comes from the older columns, which mean citizen
 * numbers. */
static void check_citizen(struct check *c, uint16_t type, uint16_t number)
{
    struct slice value = record_get(c->r, number);
    bool citizen = !has(c, type) || is_citizen_type(c, type);
    if (value.len > 0 && citizen && !citizen_check(value)) {
        report(c, catalogue_place(c->r->item, number), "citizen-check");
    }
}

/* The date of a field as a number; 0: none. No end is the largest. */
static uint32_t date_of(const struct check *c, uint16_t field_id)
{
    uint32_t date;
    (void)date_parse(record_get(c->r, field_id), &date);
    return date;
}

static void check_dates(struct check *c, uint32_t today)
{
    uint32_t decided = date_of(c, FIELD_DECIDED);
    uint32_t from = date_of(c, FIELD_FROM);
    uint32_t until = date_of(c, FIELD_UNTIL);
    if (until != 0 && until < (from != 0 ? from : decided)) {
        report(c, catalogue_place(c->r->item, FIELD_UNTIL), "date-order");
    }
    if (today != 0 && decided > today) {
        report(c, catalogue_place(c->r->item, FIELD_DECIDED), "date-future");
    }
}

/* Clear text travels to every holder, so no citizen number may hide in it. */
static void check_clear_text(struct check *c)
{
    enum subject_kind kind =
        c->category == CATEGORY_PERSON ? SUBJECT_PERSON : SUBJECT_USCC;
    for (size_t i = 0; i < c->r->item->count; i++) {
        const struct catalogue_field *field = &c->r->item->fields[i];
        if (c->r->values[i].len == 0) {
            continue;
        }
        bool clear = field->personal == PERSONAL_MASKED ||
                     !record_is_personal(field, kind);
        if (clear && record_names_citizen(field, c->r->values[i])) {
            report(c, i, "personal-in-text");
        }
    }
}

/* Directives go to every node below, and people sign them by what a terminal
 * shows: each text is one line of it. */
static void check_plain(struct check *c)
{
    for (size_t i = 0; i < c->r->item->count; i++) {
        if (!str_is_plain(c->r->values[i])) {
            report(c, i, "control-character");
        }
    }
}

/* What the list is and what the decision says of it; the order that the law
 * gives (国办发〔2020〕49号 §8): notice, decision, listing. */
static void check_listing(struct check *c)
{
    const struct enum_word *word = record_word(c->r, FIELD_LIST);
    const struct catalogue_list *list =
        word != NULL ? catalogue_list(word->value) : NULL;
    const struct enum_word *colour = record_word(c->r, FIELD_COLOUR);
    const struct enum_word *domain = record_word(c->r, FIELD_DOMAIN);
    uint32_t notice = date_of(c, FIELD_NOTICE_DATE);
    uint32_t decided = date_of(c, FIELD_DECIDED);
    if (list != NULL && colour != NULL && colour->value != list->colour) {
        report(c, catalogue_place(c->r->item, FIELD_COLOUR), "list-colour");
    }
    if (list != NULL && list->domain != 0 && domain != NULL &&
        domain->value != list->domain) {
        report(c, catalogue_place(c->r->item, FIELD_DOMAIN), "list-domain");
    }
    if (list != NULL && list->domain == 0 && domain == NULL &&
        list->colour == COLOUR_BLACK) {
        report(c, catalogue_place(c->r->item, FIELD_DOMAIN), "missing");
    }
    if (notice != 0 && decided != 0 && notice > decided) {
        report(c, catalogue_place(c->r->item, FIELD_NOTICE_DATE),
               "notice-order");
    }
    if (decided != 0 && date_of(c, FIELD_FROM) != 0 &&
        date_of(c, FIELD_FROM) < decided) {
        report(c, catalogue_place(c->r->item, FIELD_FROM), "from-order");
    }
}

size_t rules_record(struct record *r, enum column_set set, uint64_t broken,
                    uint32_t today, rules_breach_fn *breach, void *ctx)
{
    struct check c = {
        .r = r, .set = set, .broken = broken, .breach = breach, .ctx = ctx};
    bool has_category = catalogue_place(r->item, FIELD_CATEGORY) != PLACE_NONE;
    if (has_category && set == SET_2016 && !has(&c, FIELD_CATEGORY)) {
        complete_2016(&c);
    }
    learn(&c);
    check_needs(&c);
    check_exclusive(&c);
    check_citizen(&c, FIELD_PERSON_ID_TYPE, FIELD_PERSON_ID);
    check_citizen(&c, FIELD_REP_ID_TYPE, FIELD_REP_ID);
    check_dates(&c, today);
    check_clear_text(&c);
    if (r->item->family == FAMILY_DIRECTIVES) {
        check_plain(&c);
    }
    if (r->item->id == ITEM_LISTING) {
        check_listing(&c);
    }
    return c.count;
}
