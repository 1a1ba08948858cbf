#include "credit/citizen.h"

#include <string.h>

#include "base/str.h"
#include "credit/date.h"

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
        if (value.data[i] >= 0x80) {
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
