/* How old is a list, by two clocks, neither of which is believed alone? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sync/fresh.h"

enum { PERIOD_MS = 100000, HOUR_MS = 3600000 };

static const struct log_id the_log = {341821000000, 7, LOG_DIRECTIVES};

/* A head came `ago_ms` ago; it says it was signed `signed_ms` ago. */
static bool came(struct fresh *f, int64_t ago_ms, int64_t signed_ms)
{
    const struct checkpoint head = {
        .log = the_log, .size = 1, .at_ms = clock_wall_ms() - signed_ms};
    const struct slice none = slice_of(NULL, 0);
    return fresh_came(f, &head, ago_ms, none, none);
}

static enum fresh_state state_of(struct fresh *f)
{
    struct freshness out;
    fresh_judge(f, &the_log, false, &out);
    return out.state;
}

static void of_now_is_fresh_and_silence_is_stale(void **state)
{
    struct fresh *f = fresh_new(341821100000, PERIOD_MS);
    (void)state;
    assert_int_equal(state_of(f), FRESH_STALE);
    assert_true(came(f, 4 * PERIOD_MS, 4 * PERIOD_MS));
    assert_int_equal(state_of(f), FRESH_STALE);
    assert_true(came(f, 0, 0));
    assert_int_equal(state_of(f), FRESH_YES);
    assert_false(came(f, 0, HOUR_MS));
    fresh_free(&f);
}

/* As a child of a node that was fed from a file hears it: what there is, at
 * once. */
static void old_heads_that_come_once_are_stale(void **state)
{
    struct fresh *f = fresh_new(341821100000, PERIOD_MS);
    (void)state;
    assert_true(came(f, 0, HOUR_MS));
    assert_int_equal(state_of(f), FRESH_STALE);
    assert_true(came(f, 0, HOUR_MS - 1000));
    assert_true(came(f, 0, HOUR_MS - 2000));
    assert_int_equal(state_of(f), FRESH_STALE);
    fresh_free(&f);
}

/* Two files of half an hour apart, imported one behind the other above. */
static void heads_far_apart_are_no_cadence(void **state)
{
    struct fresh *f = fresh_new(341821100000, PERIOD_MS);
    (void)state;
    assert_true(came(f, PERIOD_MS, 2 * HOUR_MS));
    assert_true(came(f, 0, HOUR_MS));
    assert_int_equal(state_of(f), FRESH_STALE);
    fresh_free(&f);
}

static void old_heads_on_cadence_are_unproven(void **state)
{
    (void)state;
    for (int64_t off = -HOUR_MS; off <= HOUR_MS; off += 2 * (int64_t)HOUR_MS) {
        struct fresh *f = fresh_new(341821100000, PERIOD_MS);
        assert_true(came(f, 2 * PERIOD_MS, off + 2 * PERIOD_MS));
        assert_int_equal(state_of(f), FRESH_STALE); /* only one */
        assert_true(came(f, PERIOD_MS, off + PERIOD_MS));
        assert_int_equal(state_of(f), FRESH_CLOCK);
        assert_true(came(f, 0, off));
        assert_int_equal(state_of(f), FRESH_CLOCK);
        fresh_free(&f);
    }
}

/* What was signed by a clock of tomorrow came with decisions and on cadence;
 * then that clock was put back. */
static void a_clock_that_was_put_back_is_believed_again(void **state)
{
    struct fresh *f = fresh_new(341821100000, PERIOD_MS);
    struct checkpoint head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    int64_t ahead_ms = clock_wall_ms() + HOUR_MS;
    (void)state;
    assert_true(came(f, PERIOD_MS, -HOUR_MS + PERIOD_MS));
    assert_true(came(f, 0, -HOUR_MS));
    assert_int_equal(state_of(f), FRESH_CLOCK);
    assert_true(came(f, 0, 0));
    assert_int_equal(state_of(f), FRESH_YES);
    /* Nor does the one of tomorrow come back, and children hear of it. */
    assert_false(came(f, 0, -HOUR_MS));
    assert_true(fresh_newer(f, &the_log, ahead_ms, &head, &note, &chain));
    assert_false(fresh_newer(f, &the_log, head.at_ms, &head, &note, &chain));
    assert_true(came(f, 0, -PERIOD_MS));
    assert_int_equal(state_of(f), FRESH_YES);
    buf_fini(&note);
    buf_fini(&chain);
    fresh_free(&f);
}

/* This node's own clock is behind: all that comes is of tomorrow. */
static void an_old_head_takes_no_place_of_those_to_come(void **state)
{
    struct fresh *f = fresh_new(341821100000, PERIOD_MS);
    (void)state;
    assert_true(came(f, PERIOD_MS, -HOUR_MS + PERIOD_MS));
    assert_true(came(f, 0, -HOUR_MS));
    assert_false(came(f, 0, HOUR_MS));
    assert_false(came(f, 0, 4 * PERIOD_MS));
    assert_int_equal(state_of(f), FRESH_CLOCK);
    assert_true(fresh_is_later(f, clock_wall_ms() + HOUR_MS, INT64_MIN));
    fresh_free(&f);
}

/* The issuer fell silent, and then a file came that is newer, but older than
 * what the line said last. */
static void a_newer_head_makes_nothing_older(void **state)
{
    struct freshness out;
    struct fresh *f = fresh_new(341821100000, PERIOD_MS);
    (void)state;
    assert_true(came(f, PERIOD_MS, HOUR_MS));
    assert_true(came(f, HOUR_MS, HOUR_MS - 1000));
    fresh_judge(f, &the_log, false, &out);
    assert_true(out.age_ms < HOUR_MS);
    fresh_free(&f);
}

/* What a process that writes tells those beside it, and what they make of it.
 */
static void what_is_told_is_as_old_as_it_was(void **state)
{
    enum { AGO_MS = 2 * PERIOD_MS };
    struct fresh *writer = fresh_new(341821000001, PERIOD_MS);
    struct fresh *beside = fresh_new(0, PERIOD_MS);
    struct lease_head heads[LEASE_HEADS_MAX];
    struct freshness out;
    const struct slice none = slice_of(NULL, 0);
    size_t n;
    (void)state;
    assert_int_equal(fresh_recent(writer, heads, &n), 0);
    assert_int_equal(n, 0);
    assert_true(came(writer, AGO_MS, AGO_MS));
    assert_int_equal(fresh_recent(writer, heads, &n), 1);
    assert_int_equal(n, 1);
    const struct checkpoint head = {.log = heads[0].log,
                                    .size = heads[0].size,
                                    .at_ms = heads[0].signed_ms};
    assert_true(fresh_came(beside, &head, clock_mono_ms() - heads[0].came_ms,
                           none, none));
    fresh_judge(beside, &the_log, false, &out);
    assert_int_equal(out.state, FRESH_YES);
    assert_int_equal(out.signed_ms, head.at_ms);
    assert_true(out.age_ms >= AGO_MS);
    fresh_free(&writer);
    fresh_free(&beside);
}

static void what_is_stale_or_issued_here_is_not_told(void **state)
{
    struct lease_head heads[LEASE_HEADS_MAX];
    size_t n;
    (void)state;
    struct fresh *f = fresh_new(341821100000, PERIOD_MS);
    assert_true(came(f, 4 * PERIOD_MS, 0));
    assert_int_equal(fresh_recent(f, heads, &n), 1);
    assert_int_equal(n, 0);
    fresh_free(&f);
    f = fresh_new(the_log.origin, PERIOD_MS);
    assert_true(came(f, 0, 0));
    (void)fresh_recent(f, heads, &n);
    assert_int_equal(n, 0);
    fresh_free(&f);
}

/* Who stands by did not issue it: it is as new as what was read of it. */
static void beside_the_issuer_nothing_is_fresh_by_itself(void **state)
{
    struct freshness out;
    (void)state;
    struct fresh *f = fresh_new(0, PERIOD_MS);
    fresh_judge(f, &the_log, false, &out);
    assert_int_equal(out.state, FRESH_STALE);
    assert_true(came(f, 0, 0));
    fresh_judge(f, &the_log, false, &out);
    assert_int_equal(out.state, FRESH_YES);
    fresh_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_now_is_fresh_and_silence_is_stale),
        cmocka_unit_test(old_heads_that_come_once_are_stale),
        cmocka_unit_test(heads_far_apart_are_no_cadence),
        cmocka_unit_test(old_heads_on_cadence_are_unproven),
        cmocka_unit_test(a_clock_that_was_put_back_is_believed_again),
        cmocka_unit_test(an_old_head_takes_no_place_of_those_to_come),
        cmocka_unit_test(a_newer_head_makes_nothing_older),
        cmocka_unit_test(what_is_told_is_as_old_as_it_was),
        cmocka_unit_test(what_is_stale_or_issued_here_is_not_told),
        cmocka_unit_test(beside_the_issuer_nothing_is_fresh_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
