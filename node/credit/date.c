#include "credit/date.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { YEAR_MIN = 1800, YEAR_MAX = 9999, CHINA_OFFSET_MS = 8 * 3600 * 1000 };

static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30,
                                     31, 31, 30, 31, 30, 31};

/* Texts that stand for "without end" where a date is expected. */
static const char *const open_texts[] = {
    "长期",       "长期有效", "永久", "永久有效", "无固定期限",
    "无处罚期限", "无期限",   "无限", "Ongoing",  "ongoing"};

/* What spreadsheets and databases export for no date. */
static const uint32_t null_dates[] = {18991230, 18991231, 19000100, 19000101};

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t days_in(uint32_t year, uint32_t month)
{
    return month_days[month - 1] + (month == 2 && is_leap(year) ? 1U : 0U);
}

bool date_is_valid(uint32_t date)
{
    uint32_t year = date / 10000;
    uint32_t month = date / 100 % 100;
    uint32_t day = date % 100;
    return year >= YEAR_MIN && year <= YEAR_MAX && month >= 1 && month <= 12 &&
           day >= 1 && day <= days_in(year, month);
}

static bool take(struct slice *s, const char *text)
{
    size_t len = strlen(text);
    if (s->len < len || memcmp(s->data, text, len) != 0) {
        return false;
    }
    *s = slice_of(s->data + len, s->len - len);
    return true;
}

/* Digits at the start of `s`, at most `max` of them. */
static size_t take_number(struct slice *s, size_t max, uint32_t *out)
{
    size_t n = 0;
    *out = 0;
    while (n < s->len && n < max && s->data[n] >= '0' && s->data[n] <= '9') {
        *out = *out * 10 + (s->data[n] - '0');
        n++;
    }
    *s = slice_of(s->data + n, s->len - n);
    return n;
}

static bool take_mark(struct slice *s, const char *chinese)
{
    return take(s, "-") || take(s, "/") || take(s, ".") || take(s, chinese);
}

/* Nothing, or a blank or T and a time made of digits, colons and dots. */
static bool is_time_of_day(struct slice s)
{
    if (s.len == 0) {
        return true;
    }
    if ((s.data[0] != ' ' && s.data[0] != 'T') || s.len > 24) {
        return false;
    }
    for (size_t i = 1; i < s.len; i++) {
        if (strchr("0123456789:.", s.data[i]) == NULL || s.data[i] == '\0') {
            return false;
        }
    }
    return true;
}

static enum date_form judge(uint32_t date, struct slice rest, uint32_t *out)
{
    if (!is_time_of_day(rest)) {
        return DATE_BAD;
    }
    for (size_t i = 0; i < ARRAY_LEN(null_dates); i++) {
        if (date == null_dates[i]) {
            return DATE_NONE;
        }
    }
    if (!date_is_valid(date)) {
        return DATE_BAD;
    }
    bool open = date / 10000 == YEAR_MAX;
    *out = open ? DATE_OPEN_END : date;
    return open ? DATE_OPEN : DATE_DAY;
}

static enum date_form judge_month(uint32_t year_month, struct slice rest,
                                  uint32_t *out)
{
    uint32_t first = year_month * 100 + 1;
    if (rest.len != 0 || !date_is_valid(first)) {
        return DATE_BAD;
    }
    *out = first;
    return DATE_MONTH;
}

static enum date_form parse_marked(uint32_t year, struct slice s, uint32_t *out)
{
    uint32_t month;
    uint32_t day;
    if (take_number(&s, 2, &month) == 0) {
        return DATE_BAD;
    }
    bool named = take(&s, "月");
    if (s.len == 0 || (!named && !take_mark(&s, "月"))) {
        return judge_month(year * 100 + month, s, out);
    }
    if (take_number(&s, 2, &day) == 0) {
        return DATE_BAD;
    }
    (void)take(&s, "日");
    return judge(year * 10000 + month * 100 + day, s, out);
}

static bool is_open_text(struct slice text)
{
    bool found = false;
    if (text.data[0] >= '0' && text.data[0] <= '9') {
        return false;
    }
    for (size_t i = 0; !found && i < ARRAY_LEN(open_texts); i++) {
        found = slice_eq(text, slice_str(open_texts[i]));
    }
    return found;
}

/* Of 8 digits, as records have it; 0: something else. */
static uint32_t eight_digits(struct slice text)
{
    uint32_t number = 0;
    for (size_t i = 0; text.len == 8 && i < 8; i++) {
        unsigned digit = text.data[i] - (unsigned)'0';
        if (digit > 9) {
            return 0;
        }
        number = number * 10 + digit;
    }
    return number;
}

enum date_form date_parse(struct slice text, uint32_t *out)
{
    *out = 0;
    if (text.len == 0) {
        return DATE_NONE;
    }
    uint32_t date = eight_digits(text);
    if (date != 0) {
        return judge(date, (struct slice){NULL, 0}, out);
    }
    if (is_open_text(text)) {
        *out = DATE_OPEN_END;
        return DATE_OPEN;
    }
    uint32_t number;
    size_t digits = take_number(&text, 8, &number);
    if (digits == 8) {
        return judge(number, text, out);
    }
    if (digits == 6) {
        return judge_month(number, text, out);
    }
    if (digits == 4 && take_mark(&text, "年")) {
        return parse_marked(number, text, out);
    }
    return DATE_BAD;
}

/* Days since 1970-01-01 and back, by counting from 1 March so that the leap
 * day is the last of its year. */
static int64_t to_days(uint32_t date)
{
    int64_t month = date / 100 % 100;
    int64_t year = date / 10000 - (month <= 2);
    int64_t since_march = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;
    int64_t day = since_march + date % 100 - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + day - 719468;
}

static uint32_t from_days(int64_t days)
{
    days += 719468;
    int64_t era = days / 146097;
    int64_t doe = days % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t since_march = (5 * doy + 2) / 153;
    int64_t month = since_march < 10 ? since_march + 3 : since_march - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    int64_t day = doy - (153 * since_march + 2) / 5 + 1;
    return (uint32_t)(year * 10000 + month * 100 + day);
}

static uint32_t checked(int64_t days)
{
    bool inside = days >= to_days(YEAR_MIN * 10000 + 101) &&
                  days <= to_days(YEAR_MAX * 10000 + 1231);
    return inside ? from_days(days) : 0;
}

uint32_t date_from_ms(int64_t at_ms)
{
    const int64_t day_ms = 86400000;
    int64_t days = at_ms / day_ms;
    int64_t left_ms = at_ms % day_ms;
    if (left_ms < 0) {
        left_ms += day_ms;
        days--;
    }
    return checked(days + (left_ms + CHINA_OFFSET_MS >= day_ms));
}

uint32_t date_add_days(uint32_t date, int32_t days)
{
    return checked(to_days(date) + days);
}

void date_format(uint32_t date, char out[11])
{
    out[0] = '\0';
    if (date != 0) {
        (void)snprintf(out, 11, "%04u-%02u-%02u", date / 10000 % 10000,
                       date / 100 % 100, date % 100);
    }
}
