#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "credit/citizen.h"
#include "unit/credit/vectors.h"

static void check_vector(const char *expect, const char *number)
{
    assert_int_equal(citizen_check(slice_str(number)),
                     strcmp(expect, "valid") == 0);
}

static void judges_the_vectors(void **state)
{
    (void)state;
    assert_int_equal(vectors_each("citizen_number_synthetic.csv", check_vector),
                     7);
    assert_false(citizen_check(slice_str("")));
    assert_false(citizen_check(slice_str("99990019900101003")));
}

static void finds_numbers_inside_text(void **state)
{
    (void)state;
    assert_true(citizen_is_inside(slice_str("99990019000101003X")));
    assert_true(citizen_is_inside(slice_str("号码99990019000101003x（样例）")));
    assert_true(citizen_is_inside(slice_str("0999900200002290017")));
    assert_false(citizen_is_inside(slice_str("999900200002290018")));
    assert_false(citizen_is_inside(slice_str("99990020000229001")));
    assert_false(citizen_is_inside(slice_str("9999 00200002290017")));
    assert_false(citizen_is_inside(slice_of(NULL, 0)));
}

static const char *masked(void (*mask)(struct slice, struct buf *),
                          const char *text, struct buf *out)
{
    buf_clear(out);
    mask(slice_str(text), out);
    return buf_cstr(out);
}

static void masks_identifiers_and_names(void **state)
{
    struct buf out = BUF_INIT;
    (void)state;
    assert_string_equal(masked(mask_identifier, "999900200002290017", &out),
                        "999***********0017");
    assert_string_equal(masked(mask_identifier, "E12345678", &out),
                        "*********");
    assert_string_equal(masked(mask_identifier, "张三张三张三", &out),
                        "******");
    assert_string_equal(masked(mask_name, "张样例", &out), "张**");
    assert_string_equal(masked(mask_name, "", &out), "");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_the_vectors),
        cmocka_unit_test(finds_numbers_inside_text),
        cmocka_unit_test(masks_identifiers_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
