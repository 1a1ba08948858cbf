#include "credit/amount.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

enum { DECIMALS = 6 };

/* Longest first where one ends with another. */
static const char *const units[] = {"(万人民币元)", "（万人民币元）", "(万元)",
                                    "（万元）", "万元"};

static struct slice without_unit(struct slice text)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t len = strlen(units[i]);
        if (text.len >= len &&
            memcmp(text.data + text.len - len, units[i], len) == 0) {
            return slice_of(text.data, text.len - len);
        }
    }
    return text;
}

static bool add_digit(int64_t *sum, uint8_t digit)
{
    return !__builtin_mul_overflow(*sum, 10, sum) &&
           !__builtin_add_overflow(*sum, digit - '0', sum);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* A separator stands behind 1 to 3 digits and before exactly 3. */
static bool is_separator(struct slice s, size_t i, size_t since_separator)
{
    return s.data[i] == ',' && since_separator >= 1 && since_separator <= 3 &&
           i + 3 < s.len && is_digit(s.data[i + 1]) &&
           is_digit(s.data[i + 2]) && is_digit(s.data[i + 3]) &&
           (i + 4 == s.len || !is_digit(s.data[i + 4]));
}

static bool whole_part(struct slice s, size_t *at, int64_t *sum)
{
    size_t i = 0;
    size_t since_separator = 0;
    for (; i < s.len && s.data[i] != '.'; i++) {
        if (is_separator(s, i, since_separator)) {
            since_separator = 0;
            continue;
        }
        if (!is_digit(s.data[i]) || !add_digit(sum, s.data[i])) {
            return false;
        }
        since_separator++;
    }
    *at = i;
    return i > 0;
}

bool amount_parse_wan(struct slice text, int64_t *fen)
{
    struct slice s = without_unit(text);
    size_t i;
    int64_t sum = 0;
    if (!whole_part(s, &i, &sum)) {
        return false;
    }
    size_t decimals = 0;
    bool point = i < s.len;
    for (i += point; i < s.len; i++, decimals++) {
        if (decimals == DECIMALS || !is_digit(s.data[i]) ||
            !add_digit(&sum, s.data[i])) {
            return false;
        }
    }
    if (point && decimals == 0) {
        return false;
    }
    for (; decimals < DECIMALS; decimals++) {
        if (!add_digit(&sum, '0')) {
            return false;
        }
    }
    *fen = sum;
    return true;
}

void amount_format_yuan(int64_t fen, struct buf *out)
{
    buf_putf(out, "%" PRId64 ".%02d", fen / 100, (int)(fen % 100));
}
