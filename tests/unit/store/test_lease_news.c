/* What is heard of another process is never taken for younger than it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/lease_news.h"

static const struct log_id the_log = {340000000000, 7, LOG_DIRECTIVES};

static struct lease_head head_of(uint64_t size, int64_t came_ms)
{
    return (struct lease_head){.log = the_log,
                               .size = size,
                               .signed_ms = 1767225601000,
                               .came_ms = came_ms};
}

static void ages_travel_and_clocks_do_not(void **state)
{
    (void)state;
    char text[LEASE_TEXT_MAX];
    const struct lease_head told[] = {head_of(9, 70000), head_of(3, 74999)};
    struct lease_head heard[LEASE_HEADS_MAX];
    (void)lease_news_put(told, 2, 75000, text);
    assert_int_equal(lease_news_read(slice_str(text), 1000000, heard), 2);
    assert_true(log_id_eq(&heard[0].log, &the_log));
    assert_int_equal(heard[0].size, 9);
    assert_int_equal(heard[0].signed_ms, 1767225601000);
    assert_int_equal(heard[0].came_ms, 1000000 - 5000);
    assert_int_equal(heard[1].came_ms, 1000000 - 1);
}

static void as_many_as_there_may_be_fit(void **state)
{
    (void)state;
    char text[LEASE_TEXT_MAX];
    struct lease_head told[LEASE_HEADS_MAX];
    struct lease_head heard[LEASE_HEADS_MAX];
    for (size_t i = 0; i < LEASE_HEADS_MAX; i++) {
        told[i] = head_of(UINT64_MAX, 0);
        told[i].log.incarnation = UINT64_MAX - i;
        told[i].signed_ms = INT64_MAX;
    }
    size_t len = lease_news_put(told, LEASE_HEADS_MAX, INT32_MAX, text);
    assert_int_equal(strlen(text), len);
    assert_int_equal(lease_news_read(slice_str(text), 0, heard),
                     LEASE_HEADS_MAX);
    assert_int_equal(heard[LEASE_HEADS_MAX - 1].log.incarnation,
                     UINT64_MAX - LEASE_HEADS_MAX + 1);
}

static void what_is_malformed_is_left_out(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        " \n",
        "340000000000/directives/0000000000000007 9 8 7", /* cut off */
        "340000000000/directives/0000000000000007 9 8\n",
        "340000000000/directives/0000000000000007 9 8 7 6\n",
        "340000000000/directives/0000000000000007 9 8 -7\n",
        "340000000000/directives/0000000000000007 9 8 4000000000\n",
        "340000000000/directives/0000000000000007 9 9223372036854775808 7\n",
        "340000000000/nonsense/0000000000000007 9 8 7\n",
        "34000000000000000000000000000000000000000000000000000000000 9 8 7\n",
    };
    struct lease_head heard[LEASE_HEADS_MAX];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(lease_news_read(slice_str(bad[i]), 0, heard), 0);
    }
    static const char good[] =
        "?\n340000000000/directives/0000000000000007 9 8 7\n";
    assert_int_equal(lease_news_read(slice_str(good), 10, heard), 1);
    assert_int_equal(heard[0].came_ms, 3);
}

static int64_t before(const struct lease_marks *m, uint64_t term, uint64_t beat)
{
    int64_t ms = -1;
    return lease_marks_before(m, term, beat, &ms) ? ms : -1;
}

static void a_beat_was_not_there_when_the_look_before_was_sent(void **state)
{
    (void)state;
    struct lease_marks m = {.met = false};
    lease_marks_look(&m, 4, 10, 100);
    assert_int_equal(before(&m, 4, 10), -1); /* since when, who knows */
    lease_marks_look(&m, 4, 10, 200);
    lease_marks_look(&m, 4, 10, 300);
    lease_marks_look(&m, 4, 12, 400);
    assert_int_equal(before(&m, 4, 10), -1);
    assert_int_equal(before(&m, 4, 11), 300);
    assert_int_equal(before(&m, 4, 12), 300);
    assert_int_equal(before(&m, 4, 13), -1);
    assert_int_equal(before(&m, 5, 12), -1);
    lease_marks_look(&m, 6, 2, 900);
    assert_int_equal(before(&m, 6, 0), 400);
    assert_int_equal(before(&m, 6, 2), 400);
    assert_int_equal(before(&m, 5, 1), -1);
    lease_marks_look(&m, 1, 1, 1000); /* the row was made anew */
    assert_int_equal(before(&m, 6, 2), -1);
    assert_int_equal(before(&m, 1, 1), -1);
}

/* It took effect when it was given up, behind a later one. */
static void a_beat_that_was_there_before_stays_there(void **state)
{
    (void)state;
    struct lease_marks m = {.met = false};
    lease_marks_look(&m, 4, 9, 100);
    lease_marks_look(&m, 4, 10, 200);
    lease_marks_look(&m, 4, 9, 300);
    lease_marks_look(&m, 4, 11, 400);
    assert_int_equal(before(&m, 4, 10), 100);
    assert_int_equal(before(&m, 4, 11), 300);
}

static void what_is_long_past_is_not_known_any_more(void **state)
{
    (void)state;
    struct lease_marks m = {.met = false};
    for (uint64_t beat = 1; beat <= 2 * LEASE_MARKS; beat++) {
        lease_marks_look(&m, 4, beat, (int64_t)beat * 100);
    }
    assert_int_equal(before(&m, 4, LEASE_MARKS), -1);
    assert_int_equal(before(&m, 4, LEASE_MARKS + 1), LEASE_MARKS * 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ages_travel_and_clocks_do_not),
        cmocka_unit_test(as_many_as_there_may_be_fit),
        cmocka_unit_test(what_is_malformed_is_left_out),
        cmocka_unit_test(a_beat_was_not_there_when_the_look_before_was_sent),
        cmocka_unit_test(a_beat_that_was_there_before_stays_there),
        cmocka_unit_test(what_is_long_past_is_not_known_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
