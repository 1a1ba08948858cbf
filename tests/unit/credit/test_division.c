#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credit/division.h"

static void counts_significant_digits(void **state)
{
    static const struct {
        uint64_t code;
        unsigned digits;
        enum tier tier;
    } cases[] = {
        {0, 0, TIER_NATIONAL},
        {340000000000, 2, TIER_PROVINCE},
        {341800000000, 4, TIER_CITY},
        {341821000000, 6, TIER_COUNTY},
        {341821100000, 9, TIER_TOWNSHIP},
        {341821100201, 12, TIER_VILLAGE},
        {441900003000, 9,
         TIER_TOWNSHIP}, /* a town of a city without counties */
        {100000000000, 2, TIER_PROVINCE},
        {110112000000, 6, TIER_COUNTY},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(division_digits(cases[i].code), cases[i].digits);
        assert_int_equal(division_tier(cases[i].code), cases[i].tier);
    }
}

static void below_is_strict_and_by_prefix(void **state)
{
    (void)state;
    assert_true(division_is_below(341821100201, 341800000000));
    assert_true(division_is_below(341821100201, 0));
    assert_true(division_is_below(441900003000, 441900000000));
    assert_false(division_is_below(341800000000, 341800000000));
    assert_false(division_is_below(341800000000, 341821100201));
    assert_false(division_is_below(341900000000, 341800000000));
    assert_false(division_is_below(0, 0));
}

static void default_parents_step_over_placeholders(void **state)
{
    static const struct {
        uint64_t code;
        uint64_t parent;
    } cases[] = {
        {341821100201, 341821100000},
        {341821100000, 341821000000},
        {341821000000, 341800000000},
        {341800000000, 340000000000},
        {340000000000, 0},
        {0, 0},
        {110112000000, 110000000000}, /* Tongzhou hangs on Beijing */
        {429004000000, 420000000000}, /* run by the province */
        {441900003000, 441900000000}, /* no county between */
        {500112000000, 500000000000},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(division_default_parent(cases[i].code),
                         cases[i].parent);
    }
}

static void cuts_codes_to_a_tier(void **state)
{
    (void)state;
    assert_int_equal(division_at(341821100201, TIER_CITY), 341800000000);
    assert_int_equal(division_at(341821100201, TIER_COUNTY), 341821000000);
    assert_int_equal(division_at(341821100201, TIER_NATIONAL), 0);
    assert_int_equal(division_at(341800000000, TIER_VILLAGE), 341800000000);
    assert_true(division_is_placeholder(110100000000));
    assert_false(division_is_placeholder(110112000000));
    assert_false(division_is_placeholder(341800000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_significant_digits),
        cmocka_unit_test(below_is_strict_and_by_prefix),
        cmocka_unit_test(default_parents_step_over_placeholders),
        cmocka_unit_test(cuts_codes_to_a_tier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
