#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
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

/* ---- as people write them ---- */

static const char *const written_new[] = {
    "99990019000101003X",
    "号码99990019000101003x（样例）",
    "0999900200002290017",
    "９９９９００２００００２２９００１７", /* full width */
    "号码９９９９００１９０００１０１００３ｘ。",
    "号９９９９0020000229０0１７",
    "999900 20000229 0017",
    "9999 0020 0002 2900 17",
    "999900-20000229-0017",
    "999900 - 20000229 - 0017",
    "999900.2000.0229.0017",
    "999900—20000229–0017",
    "999900　20000229\u00a00017",
    "999900\n20000229\n0017",
    "99990019000101003 X",
    "第12号 999900200002290017号",
};

static const char *const written_old[] = {
    "349999850101003",
    "证件号码３４９９９９８５０１０１００３，",
    "349999850101003、349999860102004",
};

static const char *const no_numbers[] = {
    "999900200002290018",     /* check character */
    "99990020000229001",      /* too short */
    "12999900 20000229 0017", /* begins within a group */
    "999900 20000229 00171",  /* ends within one */
    "9999年00200002290017",
    "2021-01-01 2021-01-02 2021-01-03",
    "91999900MA000100X7",
    "349999201101003",  /* a year of this century behind a division */
    "349999851301003",  /* no day */
    "999999850101003",  /* no province */
    "A349999850101003", /* a part of something else */
    "1349999850101003",
    "110108000000016", /* registration: the standard's own example */
    "999900",
    "",
};

static bool is_found(const char *text, enum citizen_forms forms)
{
    struct slice found;
    return citizen_find(slice_str(text), forms, &found);
}

static void finds_numbers_as_people_write_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(written_new); i++) {
        assert_true(is_found(written_new[i], CITIZEN_NEW));
        assert_true(is_found(written_new[i], CITIZEN_NEW_OR_OLD));
        assert_true(citizen_may_be_inside(slice_str(written_new[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(written_old); i++) {
        assert_false(is_found(written_old[i], CITIZEN_NEW));
        assert_true(is_found(written_old[i], CITIZEN_NEW_OR_OLD));
        assert_true(citizen_may_be_inside(slice_str(written_old[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(no_numbers); i++) {
        if (is_found(no_numbers[i], CITIZEN_NEW_OR_OLD)) {
            fail_msg("'%s' is none", no_numbers[i]);
        }
    }
}

/* 15 digits whose last one checks them are a business'. */
static void numbers_of_businesses_are_none(void **state)
{
    static const char registration = '7';
    static const char tax = '0';
    (void)state;
    for (char last = '0'; last <= '9'; last++) {
        char text[] = "349999850101003";
        text[14] = last;
        text[13] = '0';
        assert_int_equal(is_found(text, CITIZEN_NEW_OR_OLD),
                         last != registration && last != tax);
    }
}

/* Wherever it stands: what looks for digits in steps must not pass over it. */
static void finds_a_number_at_every_place(void **state)
{
    (void)state;
    for (size_t before = 0; before < 40; before++) {
        char text[128];
        size_t at = 0;
        for (; at < before; at++) {
            text[at] = "ab,c."[at % 5];
        }
        (void)snprintf(text + at, sizeof text - at, ",999900200002290017，后");
        struct slice found;
        assert_true(citizen_find(slice_str(text), CITIZEN_NEW, &found));
        assert_ptr_equal(found.data, text + at + 1);
        assert_int_equal(found.len, CITIZEN_LEN);
    }
}

static void hides_each_number_and_nothing_else(void **state)
{
    struct buf out = BUF_INIT;
    (void)state;
    citizen_hide(
        slice_str("甲999900200002290017、乙９９９９００２００００２２９０"
                  "０１７（1998年），丙349999850101003。"),
        CITIZEN_NEW_OR_OLD, &out);
    assert_string_equal(buf_cstr(&out), "甲***、乙***（1998年），丙***。");
    buf_clear(&out);
    citizen_hide(slice_str("999900 20000229 0017 2026"), CITIZEN_NEW, &out);
    assert_string_equal(buf_cstr(&out), "*** 2026");
    buf_clear(&out);
    citizen_hide(slice_str("341821 2026"), CITIZEN_NEW_OR_OLD, &out);
    assert_string_equal(buf_cstr(&out), "341821 2026");
    buf_fini(&out);
}

/* Bytes that are no UTF-8 hide nothing behind them. */
static void broken_characters_swallow_no_digit(void **state)
{
    (void)state;
    static const char *const firsts[] = {"\xef", "\xe2", "\xc2", "\xe3\x80",
                                         "\xef\xbc"};
    for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s999900200002290017", firsts[i]);
        assert_true(is_found(text, CITIZEN_NEW));
    }
    assert_false(is_found("99990020000229001\xef", CITIZEN_NEW));
    assert_false(is_found("99990020000229001\xef\xbc", CITIZEN_NEW));
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
        cmocka_unit_test(finds_numbers_as_people_write_them),
        cmocka_unit_test(numbers_of_businesses_are_none),
        cmocka_unit_test(finds_a_number_at_every_place),
        cmocka_unit_test(hides_each_number_and_nothing_else),
        cmocka_unit_test(broken_characters_swallow_no_digit),
        cmocka_unit_test(masks_identifiers_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
