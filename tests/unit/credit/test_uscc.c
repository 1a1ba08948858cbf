#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credit/uscc.h"
#include "unit/credit/vectors.h"

static enum uscc_result check(const char *code)
{
    return uscc_check(slice_str(code));
}

static void check_vector(const char *expect, const char *code)
{
    if (strcmp(expect, "valid") == 0) {
        assert_int_equal(check(code), USCC_OK);
    } else {
        assert_int_not_equal(check(code), USCC_OK);
    }
}

static void judges_the_vectors(void **state)
{
    (void)state;
    assert_int_equal(vectors_each("uscc_vectors.csv", check_vector), 48);
}

static void names_the_rule_that_was_broken(void **state)
{
    static const struct {
        const char *code;
        const char *rule;
    } cases[] = {
        {"9144030019220382", "uscc-length"},
        {"", "uscc-length"},
        {"91440300192203821O", "uscc-alphabet"},
        {"113308******315672", "uscc-alphabet"},
        {"914403001922038217", "uscc-check"},
        {"00000000000000000X", "uscc-check"},
        {"91310000631295002H", "uscc-inner-check"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(uscc_rule(check(cases[i].code)), cases[i].rule);
    }
    assert_null(uscc_rule(USCC_OK));
}

static void every_single_error_is_found(void **state)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    const char *valid = "914403001922038216";
    char code[USCC_LEN + 1];
    (void)state;
    for (size_t at = 0; at < USCC_LEN; at++) {
        for (size_t c = 0; c < sizeof alphabet - 1; c++) {
            (void)snprintf(code, sizeof code, "%s", valid);
            code[at] = alphabet[c];
            assert_int_equal(check(code) == USCC_OK, alphabet[c] == valid[at]);
        }
    }
}

static void reads_a_code_as_people_write_it(void **state)
{
    char out[USCC_LEN + 1];
    (void)state;
    assert_int_equal(uscc_read(slice_str(" 91330203 674737244w "), out),
                     USCC_OK);
    assert_string_equal(out, "91330203674737244W");
    assert_int_equal(uscc_read(slice_str("9133020367473724-41"), out),
                     USCC_CHECK);
    assert_string_equal(out, "913302036747372441");
    assert_int_equal(uscc_read(slice_str("9133020367473724411"), out),
                     USCC_LENGTH);
    assert_string_equal(out, "");
    assert_int_equal(uscc_read(slice_str(""), out), USCC_LENGTH);
    assert_string_equal(out, "");
}

static void normalises_case_blanks_and_hyphens(void **state)
{
    char out[USCC_LEN];
    size_t len;
    (void)state;
    assert_true(uscc_normalise(slice_str(" 91330203 674737244w "), out,
                               sizeof out, &len));
    assert_int_equal(uscc_check(slice_of(out, len)), USCC_OK);
    assert_true(
        uscc_normalise(slice_str("74218321-3"), out, ORGCODE_LEN, &len));
    assert_int_equal(len, ORGCODE_LEN);
    assert_memory_equal(out, "742183213", ORGCODE_LEN);
    assert_false(uscc_normalise(slice_str("7421832134"), out, 9, &len));
}

static void checks_organisation_codes(void **state)
{
    (void)state;
    assert_false(orgcode_check(slice_str("631295002")));
    assert_true(orgcode_check(slice_str("L07196379")));
    assert_true(orgcode_check(slice_str("00296433X")));
    assert_false(orgcode_check(slice_str("00296433")));
    assert_false(orgcode_check(slice_str("0029643 X")));
}

static void makes_valid_codes(void **state)
{
    char code[USCC_LEN + 1];
    char body[16];
    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(body, sizeof body, "MA%06u", i);
        assert_true(uscc_make('9', '1', "999900", body, code));
        assert_int_equal(check(code), USCC_OK);
    }
    assert_false(uscc_make('9', '1', "99990", "MA000001", code));
    assert_false(uscc_make('9', '1', "999900", "MA00001", code));
    assert_false(uscc_make('I', '1', "999900", "MA000001", code));
    assert_false(uscc_make('9', '1', "999900", "ma000001", code));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_the_vectors),
        cmocka_unit_test(names_the_rule_that_was_broken),
        cmocka_unit_test(every_single_error_is_found),
        cmocka_unit_test(reads_a_code_as_people_write_it),
        cmocka_unit_test(normalises_case_blanks_and_hyphens),
        cmocka_unit_test(checks_organisation_codes),
        cmocka_unit_test(makes_valid_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
