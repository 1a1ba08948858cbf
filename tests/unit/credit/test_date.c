#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credit/date.h"

static void reads_the_forms_met_in_files(void **state)
{
    static const struct {
        const char *text;
        enum date_form form;
        uint32_t date;
    } cases[] = {
        {"2018-07-27", DATE_DAY, 20180727},
        {"2018-7-27", DATE_DAY, 20180727},
        {"2019/01/02", DATE_DAY, 20190102},
        {"2019.1.2", DATE_DAY, 20190102},
        {"20190930", DATE_DAY, 20190930},
        {"2026年3月2日", DATE_DAY, 20260302},
        {"2026-03-02 00:00:00", DATE_DAY, 20260302},
        {"2026-03-02T10:11:12.5", DATE_DAY, 20260302},
        {"2022-1-31", DATE_DAY, 20220131},
        {"", DATE_NONE, 0},
        {"1900-1-1 0:00:00", DATE_NONE, 0},
        {"1899-12-31 12:00:00", DATE_NONE, 0},
        {"9999-9-9", DATE_OPEN, DATE_OPEN_END},
        {"99991231", DATE_OPEN, DATE_OPEN_END},
        {"长期", DATE_OPEN, DATE_OPEN_END},
        {"无处罚期限", DATE_OPEN, DATE_OPEN_END},
        {"Ongoing", DATE_OPEN, DATE_OPEN_END},
        {"201406", DATE_MONTH, 20140601},
        {"2014-6", DATE_MONTH, 20140601},
        {"2014年6月", DATE_MONTH, 20140601},
        {"201413", DATE_BAD, 0},
        {"2026-02-30", DATE_BAD, 0},
        {"2025-02-29", DATE_BAD, 0},
        {"2026-13-01", DATE_BAD, 0},
        {"2026-00-10", DATE_BAD, 0},
        {"2026-1-", DATE_BAD, 0},
        {"2026-1-2x", DATE_BAD, 0},
        {"2026-1-2 noon", DATE_BAD, 0},
        {"02-01-2026", DATE_BAD, 0},
        {"2026", DATE_BAD, 0},
        {"暂缓", DATE_BAD, 0},
        {"202603021", DATE_BAD, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t date = 1;
        enum date_form form = date_parse(slice_str(cases[i].text), &date);
        if (form != cases[i].form || date != cases[i].date) {
            fail_msg("\"%s\" gave form %d, %u", cases[i].text, (int)form, date);
        }
    }
}

static void knows_leap_years(void **state)
{
    (void)state;
    assert_true(date_is_valid(20000229));
    assert_true(date_is_valid(20240229));
    assert_false(date_is_valid(19000229));
    assert_false(date_is_valid(20230229));
    assert_false(date_is_valid(20230431));
    assert_false(date_is_valid(0));
    assert_false(date_is_valid(17991231));
}

static void adds_days(void **state)
{
    (void)state;
    assert_int_equal(date_add_days(20240228, 1), 20240229);
    assert_int_equal(date_add_days(20240228, 2), 20240301);
    assert_int_equal(date_add_days(20251231, 1), 20260101);
    assert_int_equal(date_add_days(20260101, -1), 20251231);
    assert_int_equal(date_add_days(20000101, 9131), 20241231);
    assert_int_equal(date_add_days(99991231, 1), 0);
    assert_int_equal(date_add_days(18000101, -1), 0);
}

static void each_day_follows_the_one_before(void **state)
{
    uint32_t day = 18000101;
    size_t count = 1;
    (void)state;
    while (day != 21001231) {
        uint32_t next = date_add_days(day, 1);
        assert_true(next > day && date_is_valid(next));
        assert_int_equal(date_add_days(next, -1), day);
        day = next;
        count++;
    }
    assert_int_equal(count, 301 * 365 + 73); /* 73 leap days in 1800..2100 */
}

static void days_change_at_midnight_in_china(void **state)
{
    (void)state;
    assert_int_equal(date_from_ms(0), 19700101);
    /* 2026-03-01T15:59:59.999Z is still 1 March in China. */
    assert_int_equal(date_from_ms(1772380799999), 20260301);
    assert_int_equal(date_from_ms(1772380800000), 20260302);
    assert_int_equal(date_from_ms(-28800001), 19691231);
    assert_int_equal(date_from_ms(-28800000), 19700101);
    assert_int_equal(date_from_ms(INT64_MAX), 0);
    assert_int_equal(date_from_ms(INT64_MIN), 0);
}

static void formats_with_hyphens(void **state)
{
    char out[11];
    (void)state;
    date_format(20260302, out);
    assert_string_equal(out, "2026-03-02");
    date_format(0, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_forms_met_in_files),
        cmocka_unit_test(knows_leap_years),
        cmocka_unit_test(adds_days),
        cmocka_unit_test(each_day_follows_the_one_before),
        cmocka_unit_test(days_change_at_midnight_in_china),
        cmocka_unit_test(formats_with_hyphens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
