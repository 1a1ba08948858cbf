#include "credit/citizen.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "credit/date.h"
#include "credit/uscc.h"

enum {
    OLD_LEN = 15,
    NEARLY_LEN = 14,    /* digits in a row that messages do not show */
    SEPARATORS_MAX = 3, /* between two groups of one number: " - " */
};
enum { KEEP_FIRST = 3, KEEP_LAST = 4, HIDE_MIN = 8, STARS_MAX = 32 };

static const uint8_t weights[CITIZEN_LEN - 1] = {7, 9, 10, 5,  8, 4, 2, 1, 6,
                                                 3, 7, 9,  10, 5, 8, 4, 2};
static const char checks[] = "10X98765432";

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

bool citizen_check(struct slice number)
{
    if (number.len != CITIZEN_LEN) {
        return false;
    }
    unsigned sum = 0;
    uint32_t birth = 0;
    for (size_t i = 0; i < CITIZEN_LEN - 1; i++) {
        if (!is_digit(number.data[i])) {
            return false;
        }
        unsigned digit = number.data[i] - '0';
        sum += digit * weights[i];
        birth = i >= 6 && i < 14 ? birth * 10 + digit : birth;
    }
    return number.data[CITIZEN_LEN - 1] == (uint8_t)checks[sum % 11] &&
           date_is_valid(birth);
}

/* Whether the 17 digits at `at` and the character behind them are a number. */
static bool starts_number(const uint8_t *at)
{
    uint8_t number[CITIZEN_LEN];
    memcpy(number, at, CITIZEN_LEN);
    uint8_t *last = &number[CITIZEN_LEN - 1];
    *last = *last == 'x' ? 'X' : *last;
    return citizen_check(slice_of(number, CITIZEN_LEN));
}

bool citizen_is_inside(struct slice text)
{
    size_t digits = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        digits = is_digit(text.data[i]) ? digits + 1 : 0;
        if (digits >= CITIZEN_LEN - 1 &&
            starts_number(text.data + i + 2 - CITIZEN_LEN)) {
            return true;
        }
    }
    return false;
}

/* ---- as people write them ---- */

/* What a character is for a number; a digit is its value. */
enum { SIGN_X = 10, SIGN_SEPARATOR, SIGN_LETTER, SIGN_OTHER };

/* A byte of no sign, as nearly all of a Chinese text is. */
static bool is_plain_other(uint8_t c)
{
    return c >= 0x80 && c != 0xc2 && c != 0xe2 && c != 0xe3 && c != 0xef;
}

static bool is_letter(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static int ascii_sign(uint8_t c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (is_letter(c)) {
        return c == 'X' || c == 'x' ? SIGN_X : SIGN_LETTER;
    }
    bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    return blank || c == '-' || c == '.' ? SIGN_SEPARATOR : SIGN_OTHER;
}

/* U+FF00 to U+FF7F: the full-width forms, of '!' and so on. */
static int full_width_sign(const uint8_t *p)
{
    unsigned ascii = ((p[1] & 1U) << 6 | (p[2] & 63U)) + 0x20;
    return ascii < 0x7f ? ascii_sign((uint8_t)ascii) : SIGN_OTHER;
}

/* No-break and ideographic space, the blanks and dashes of U+2000 to U+2015,
 * the minus sign, the middle dot, the byte order mark. */
static bool is_wide_separator(const uint8_t *p, size_t len)
{
    static const char *const others[] = {"\u00a0", "\u00b7", "\u3000", "\u2212",
                                         "\ufeff"};
    if (len == 3 && p[0] == 0xe2 && p[1] == 0x80 && p[2] <= 0x95) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (slice_eq(slice_of(p, len), slice_str(others[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_whole(const uint8_t *p, size_t n, size_t left)
{
    return n <= left && p[1] >> 6 == 2 && p[n - 1] >> 6 == 2;
}

/* *len: bytes of the character at `p`; of others than signs 1 is enough. */
static int sign_at(const uint8_t *p, size_t left, size_t *len)
{
    *len = 1;
    if (p[0] < 0x80) {
        return ascii_sign(p[0]);
    }
    if (is_plain_other(p[0])) {
        return SIGN_OTHER;
    }
    size_t n = p[0] == 0xc2 ? 2 : 3;
    if (!is_whole(p, n, left)) {
        return SIGN_OTHER;
    }
    *len = n;
    if (p[0] == 0xef && (p[1] == 0xbc || p[1] == 0xbd)) {
        return full_width_sign(p);
    }
    return is_wide_separator(p, n) ? SIGN_SEPARATOR : SIGN_OTHER;
}

/* A run of digits that at most SEPARATORS_MAX separators part from each other,
 * as far as the next number can reach. */
struct run {
    struct slice text;
    enum citizen_forms forms;
    size_t digits;     /* in all */
    size_t group;      /* since the last separator */
    size_t separators; /* since the last digit */
    bool alone;        /* no letter stands before the group */
    /* Of the last ones, by their number modulo CITIZEN_LEN. */
    uint8_t digit[CITIZEN_LEN];
    size_t start[CITIZEN_LEN];
    bool first[CITIZEN_LEN]; /* of a group */
};

static void end_run(struct run *r, bool letter)
{
    r->digits = r->group = r->separators = 0;
    r->alone = !letter;
}

static void add_digit(struct run *r, uint8_t digit, size_t at)
{
    size_t place = r->digits++ % CITIZEN_LEN;
    r->alone = r->alone || r->separators > 0;
    r->group = r->separators > 0 ? 1 : r->group + 1;
    r->separators = 0;
    r->digit[place] = digit;
    r->start[place] = at;
    r->first[place] = r->group == 1;
}

/* The last `n` digits, in their order; returns the place of the first. */
static size_t last_digits(const struct run *r, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = r->digit[(r->digits - n + i) % CITIZEN_LEN];
    }
    return (r->digits - n) % CITIZEN_LEN;
}

/* `end`: where the last digit ends; `next`: what stands there. */
static bool ends_new(const struct run *r, size_t end, int next,
                     struct slice *found)
{
    uint8_t number[CITIZEN_LEN];
    if (r->digits < CITIZEN_LEN) {
        return false;
    }
    size_t first = last_digits(r, CITIZEN_LEN, number);
    bool in_groups = r->group < CITIZEN_LEN;
    if (in_groups && (!r->first[first] || next <= SIGN_X)) {
        return false;
    }
    *found = slice_of(r->text.data + r->start[first], end - r->start[first]);
    return citizen_check(slice_of(number, CITIZEN_LEN));
}

/* ISO 7064, MOD 11,10. */
static bool is_registration(const uint8_t number[OLD_LEN])
{
    unsigned p = 10;
    for (size_t i = 0; i < OLD_LEN - 1; i++) {
        unsigned s = (p + number[i] - '0') % 10;
        p = (s == 0 ? 10 : s) * 2 % 11;
    }
    return (p + number[OLD_LEN - 1] - '0') % 10 == 1;
}

static bool is_province(const uint8_t *two)
{
    static const uint8_t last[10] = {0, 5, 3, 7, 6, 4, 5, 1, 2, 0};
    unsigned tens = two[0] - '0';
    unsigned ones = two[1] - '0';
    return ones <= last[tens] && (ones >= 1 || tens == 5); /* 50: 重庆 */
}

/* Numbers of other things often hold a year behind their division: one of this
 * century reads as a birth in 1920. */
static bool is_old(const uint8_t number[OLD_LEN])
{
    enum { BIRTH_AT = 6, TAX_AT = OLD_LEN - ORGCODE_LEN };
    uint32_t birth = 19;
    for (size_t i = BIRTH_AT; i < BIRTH_AT + 6; i++) {
        birth = birth * 10 + (number[i] - '0');
    }
    return birth >= 19210101 && date_is_valid(birth) && is_province(number) &&
           !is_registration(number) &&
           !orgcode_check(slice_of(number + TAX_AT, ORGCODE_LEN));
}

static bool ends_old(const struct run *r, size_t end, int next,
                     struct slice *found)
{
    uint8_t number[OLD_LEN];
    if (r->forms != CITIZEN_NEW_OR_OLD || r->group != OLD_LEN || !r->alone ||
        next <= SIGN_X || next == SIGN_LETTER) {
        return false;
    }
    size_t first = last_digits(r, OLD_LEN, number);
    *found = slice_of(r->text.data + r->start[first], end - r->start[first]);
    return is_old(number);
}

/* Takes the character at `at`, whose `sign` and end are known. */
static bool take_sign(struct run *r, int sign, size_t at, size_t end,
                      struct slice *found)
{
    size_t len;
    bool last = sign == SIGN_X && r->digits >= CITIZEN_LEN - 1;
    if (sign < SIGN_X || last) {
        int next = end < r->text.len
                       ? sign_at(r->text.data + end, r->text.len - end, &len)
                       : SIGN_OTHER;
        add_digit(r, (uint8_t)(last ? 'X' : '0' + sign), at);
        bool is = ends_new(r, end, next, found) ||
                  (!last && ends_old(r, end, next, found));
        if (last && !is) {
            end_run(r, true);
        }
        return is;
    }
    if (sign != SIGN_SEPARATOR || ++r->separators > SEPARATORS_MAX) {
        end_run(r, sign == SIGN_X || sign == SIGN_LETTER);
    }
    return false;
}

static bool may_begin(uint8_t c)
{
    return is_digit(c) || c == 0xef;
}

/* The top bit of each of the eight bytes at `p` at which a number may begin. */
static uint64_t beginnings(const uint8_t *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t low = ones * 0x7f;
    uint64_t word;
    memcpy(&word, p, sizeof word);
    uint64_t digit = word ^ ones * '0'; /* under 10, if it is one */
    uint64_t wide = word ^ ones * 0xef; /* 0, if it is one */
    uint64_t neither = (((digit & low) + ones * (0x80 - 10)) | digit) &
                       (((wide & low) + low) | wide);
    return ~neither & (ones << 7);
}

/* Bytes from `p` on at which no number begins, in steps of eight. */
static size_t between_numbers(const uint8_t *p, size_t left)
{
    size_t n = 0;
    while (left - n >= sizeof(uint64_t) && beginnings(p + n) == 0) {
        n += sizeof(uint64_t);
    }
    while (n < left && !may_begin(p[n])) {
        n++;
    }
    return n;
}

/* Each digit takes one byte or begins with one: with fewer there is no number.
 * This looks at every text of every row, most of which have none. */
static bool has_enough_digits(struct slice text)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t digits = 0;
    size_t i = 0;
    for (; text.len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        digits += (beginnings(text.data + i) >> 7) * ones >> 56;
    }
    for (; i < text.len; i++) {
        digits += may_begin(text.data[i]);
    }
    return digits >= OLD_LEN;
}

bool citizen_find(struct slice text, enum citizen_forms forms,
                  struct slice *found)
{
    if (text.len < OLD_LEN || !has_enough_digits(text)) {
        return false;
    }
    struct run r = {.text = text, .forms = forms, .alone = true};
    for (size_t at = 0, len = 0; at < text.len; at += len) {
        size_t skip =
            r.digits == 0 ? between_numbers(text.data + at, text.len - at) : 0;
        at += skip;
        if (at == text.len) {
            return false;
        }
        if (skip > 0) {
            end_run(&r, is_letter(text.data[at - 1]));
        }
        int sign = sign_at(text.data + at, text.len - at, &len);
        if (take_sign(&r, sign, at, at + len, found)) {
            return true;
        }
    }
    return false;
}

void citizen_hide(struct slice text, enum citizen_forms forms, struct buf *out)
{
    struct slice found;
    while (citizen_find(text, forms, &found)) {
        size_t end = (size_t)(found.data - text.data) + found.len;
        buf_put(out, text.data, (size_t)(found.data - text.data));
        buf_put_str(out, "***");
        text = slice_of(text.data + end, text.len - end);
    }
    buf_put_slice(out, text);
}

bool citizen_may_be_inside(struct slice text)
{
    size_t digits = 0;
    size_t separators = 0;
    for (size_t at = 0, len = 0; at < text.len; at += len) {
        int sign = sign_at(text.data + at, text.len - at, &len);
        bool parts = sign == SIGN_SEPARATOR && ++separators <= SEPARATORS_MAX;
        if (sign < SIGN_X) {
            digits++;
            separators = 0;
        } else if (!parts) {
            digits = separators = 0;
        }
        if (digits == NEARLY_LEN) {
            return true;
        }
    }
    return false;
}

/* ---- masks ---- */

static void put_stars(struct buf *out, size_t count)
{
    for (size_t i = 0; i < count && i < STARS_MAX; i++) {
        buf_put_u8(out, '*');
    }
}

void mask_identifier(struct slice value, struct buf *out)
{
    if (value.len < KEEP_FIRST + HIDE_MIN + KEEP_LAST) {
        put_stars(out, str_utf8_count(value));
        return;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~') {
            put_stars(out, str_utf8_count(value));
            return;
        }
    }
    buf_put(out, value.data, KEEP_FIRST);
    put_stars(out, value.len - KEEP_FIRST - KEEP_LAST);
    buf_put(out, value.data + value.len - KEEP_LAST, KEEP_LAST);
}

void mask_name(struct slice value, struct buf *out)
{
    size_t first = 1;
    if (value.len == 0) {
        return;
    }
    while (first < value.len && value.data[first] >> 6 == 2) {
        first++;
    }
    buf_put(out, value.data, first);
    put_stars(out,
              str_utf8_count(slice_of(value.data + first, value.len - first)));
}
