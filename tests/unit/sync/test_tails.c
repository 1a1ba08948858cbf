/* What came before the parent held it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/tails.h"

static struct log_id numbered(uint64_t n)
{
    return (struct log_id){
        .origin = 341821000000, .incarnation = n, .kind = LOG_DIRECTIVES};
}

static void the_parent_need_not_hold_the_tail(void **state)
{
    (void)state;
    struct tails t = {.n = 0};
    struct log_id a = numbered(1);
    struct log_id b = numbered(2);
    assert_int_equal(tails_sure(&t, &a, 9), 9);
    tails_note(&t, &a, 7, 9);
    assert_int_equal(tails_sure(&t, &a, 9), 7);
    assert_int_equal(tails_sure(&t, &a, 8), 7);
    assert_int_equal(tails_sure(&t, &a, 6), 6); /* never more than is known */
    assert_int_equal(tails_sure(&t, &b, 9), 9);
}

/* A file brought more, say, and then it is the parent that withholds. */
static void what_came_another_way_is_no_tail(void **state)
{
    (void)state;
    struct tails t = {.n = 0};
    struct log_id a = numbered(1);
    tails_note(&t, &a, 7, 9);
    assert_int_equal(tails_sure(&t, &a, 10), 10);
}

static void what_is_held_ends_the_tail(void **state)
{
    (void)state;
    struct tails t = {.n = 0};
    struct log_id a = numbered(1);
    struct log_id b = numbered(2);
    tails_note(&t, &a, 7, 9);
    tails_note(&t, &b, 1, 2);
    tails_note(&t, &a, 9, 9);
    assert_int_equal(t.n, 1);
    assert_int_equal(tails_sure(&t, &a, 9), 9);
    assert_int_equal(tails_sure(&t, &b, 2), 1);
    tails_note(&t, &b, 3, 2);
    assert_int_equal(t.n, 0);
    tails_note(&t, &b, 3, 3);
    assert_int_equal(t.n, 0);
}

static void of_more_logs_the_parent_is_to_hold_all(void **state)
{
    (void)state;
    struct tails t = {.n = 0};
    for (uint64_t i = 1; i <= TAILS_MAX + 1; i++) {
        struct log_id log = numbered(i);
        tails_note(&t, &log, 1, 2);
        assert_int_equal(tails_sure(&t, &log, 2), i <= TAILS_MAX ? 1 : 2);
    }
    for (uint64_t i = 1; i <= TAILS_MAX + 1; i++) {
        struct log_id log = numbered(i);
        tails_note(&t, &log, 2, 2);
        assert_int_equal(tails_sure(&t, &log, 2), 2);
    }
    assert_int_equal(t.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parent_need_not_hold_the_tail),
        cmocka_unit_test(what_came_another_way_is_no_tail),
        cmocka_unit_test(what_is_held_ends_the_tail),
        cmocka_unit_test(of_more_logs_the_parent_is_to_hold_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
