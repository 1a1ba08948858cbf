#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/send.h"

enum { WINDOW = 1000, SEGMENT = 100 };

static struct log_id id(uint64_t n)
{
    return (struct log_id){341821100201, n, LOG_RECORDS};
}

static void begin(struct send *s)
{
    send_init(s, SEGMENT, 0);
    send_reset(s, WINDOW);
}

static void grew(struct send *s, uint64_t n, uint64_t size)
{
    struct log_id log = id(n);
    send_grew(s, &log, size, false);
}

static enum catch_up have(struct send *s, uint64_t n, enum send_verdict v,
                          uint64_t size)
{
    struct log_id log = id(n);
    return send_have(s, &log, v, size);
}

static bool acked(struct send *s, uint64_t n, uint64_t size)
{
    struct log_id log = id(n);
    return send_acked(s, &log, size, 0);
}

/* The next segment is of log `n` from `from`; `last` and `bytes` go out. */
static void goes(struct send *s, uint64_t n, uint64_t from, uint64_t last,
                 size_t bytes)
{
    struct send_job job;
    assert_true(send_next(s, &job));
    assert_int_equal(job.log.incarnation, n);
    assert_int_equal(job.from, from);
    send_sent(s, &job, last, bytes);
}

static void nothing_goes(struct send *s)
{
    struct send_job job;
    assert_false(send_next(s, &job));
}

static void a_restored_log_is_no_longer_than_it_is(void **state)
{
    struct send s;
    struct send_totals totals;
    struct log_id log = id(1);
    (void)state;
    begin(&s);
    grew(&s, 1, 250);
    (void)have(&s, 1, SEND_REFUSED, 70);
    send_restored(&s, &log, 70, false);
    nothing_goes(&s);
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 70), CATCH_NONE);
    nothing_goes(&s);
    send_totals(&s, &totals);
    assert_int_equal(totals.behind_entries, 0);
    send_fini(&s);
}

static void a_log_that_ended_short_is_sent_again(void **state)
{
    struct send s;
    struct log_id log = id(1);
    (void)state;
    begin(&s);
    grew(&s, 1, 30);
    (void)have(&s, 1, SEND_NOTHING, 0);
    send_stop(&s, &log);
    send_restored(&s, &log, 30, true);
    goes(&s, 1, 1, 30, 10);
    assert_true(acked(&s, 1, 30));
    /* A fork is for good. */
    send_bar(&s, &log);
    grew(&s, 1, 31);
    send_restored(&s, &log, 31, true);
    nothing_goes(&s);
    send_fini(&s);
}

/* A part of what was lost came back before the connection that brought it
 * failed: the parent is right about the rest. */
static void a_log_that_came_back_in_part_may_be_longer_there(void **state)
{
    struct send s;
    struct log_id log = id(1);
    (void)state;
    begin(&s);
    grew(&s, 1, 1);
    (void)have(&s, 1, SEND_REFUSED, 100);
    send_restored(&s, &log, 30, true);
    assert_true(acked(&s, 1, 100));
    assert_false(acked(&s, 1, 101));
    send_reset(&s, WINDOW);
    (void)have(&s, 1, SEND_PREFIX, 20);
    assert_false(acked(&s, 1, 100));
    send_fini(&s);
}

static void what_was_unreadable_before_a_restore_is_sent_after_it(void **state)
{
    struct send s;
    struct send_job job;
    struct log_id log = id(1);
    (void)state;
    begin(&s);
    grew(&s, 1, 30);
    (void)have(&s, 1, SEND_NOTHING, 0);
    assert_true(send_next(&s, &job));
    send_restored(&s, &log, 20, true);
    assert_false(send_unreadable(&s, &job));
    goes(&s, 1, 1, 20, 10);
    /* Nothing happened to it meanwhile: it stops. */
    grew(&s, 1, 30);
    assert_true(acked(&s, 1, 20));
    assert_true(send_next(&s, &job));
    assert_true(send_unreadable(&s, &job));
    nothing_goes(&s);
    send_fini(&s);
}

static void what_only_the_parent_named_is_sent_from_there_on(void **state)
{
    struct send s;
    struct log_id log = id(1);
    (void)state;
    begin(&s);
    assert_true(send_named(&s, &log, 100));
    assert_false(send_arrived(&s, &log));
    nothing_goes(&s);
    grew(&s, 1, 60);
    assert_true(send_arrived(&s, &log));
    assert_false(send_arrived(&s, &log));
    assert_true(acked(&s, 1, 100));
    nothing_goes(&s);
    grew(&s, 1, 130);
    goes(&s, 1, 101, 130, 10);
    for (uint32_t i = 2; i < SEND_HEARD_MAX + 20; i++) {
        log = id(i);
        assert_true(send_named(&s, &log, 1));
    }
    assert_int_equal(s.heard, SEND_HEARD_MAX);
    assert_int_equal(s.logs.count, SEND_HEARD_MAX + 1);
    send_fini(&s);
}

/* It was named, and came before this was noted: it is to be compared. */
static void what_came_while_it_was_named_does_not_wait(void **state)
{
    struct send s;
    struct log_id log = id(1);
    (void)state;
    begin(&s);
    grew(&s, 1, 60);
    assert_false(send_named(&s, &log, 40));
    assert_false(send_arrived(&s, &log));
    assert_int_equal(s.heard, 0);
    assert_int_equal(send_have(&s, &log, SEND_PREFIX, 40), CATCH_INCREMENTAL);
    goes(&s, 1, 41, 60, 10);
    send_fini(&s);
}

static void nothing_is_sent_before_the_parent_said_what_it_has(void **state)
{
    struct send s;
    (void)state;
    begin(&s);
    grew(&s, 1, 10);
    nothing_goes(&s);
    assert_int_equal(have(&s, 1, SEND_NOTHING, 0), CATCH_FULL);
    goes(&s, 1, 1, 10, 50);
    nothing_goes(&s);
    send_fini(&s);
}

static void a_beginning_is_full_incremental_resumed_or_nothing(void **state)
{
    struct send s;
    (void)state;
    begin(&s);
    grew(&s, 1, 100);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 100), CATCH_NONE);
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 40), CATCH_INCREMENTAL);
    goes(&s, 1, 41, 50, 50);
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_NOTHING, 0), CATCH_FULL);
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 40), CATCH_RESUMED);
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 99), CATCH_RESUMED);
    goes(&s, 1, 100, 100, 5);
    assert_true(acked(&s, 1, 100));
    grew(&s, 1, 120);
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 110), CATCH_INCREMENTAL);
    send_fini(&s);
}

static void the_window_bounds_what_is_in_flight(void **state)
{
    struct send s;
    (void)state;
    begin(&s);
    grew(&s, 1, 1000);
    (void)have(&s, 1, SEND_NOTHING, 0);
    goes(&s, 1, 1, 500, 600);
    goes(&s, 1, 501, 800, 400);
    nothing_goes(&s);
    assert_true(acked(&s, 1, 400));
    assert_int_equal(s.in_flight, 500); /* half of it, in proportion */
    goes(&s, 1, 801, 1000, 300);
    assert_true(acked(&s, 1, 1000));
    assert_int_equal(s.in_flight, 0);
    send_fini(&s);
}

static void an_ack_of_what_the_log_never_had_is_wrong(void **state)
{
    struct send s;
    (void)state;
    begin(&s);
    grew(&s, 1, 10);
    (void)have(&s, 1, SEND_NOTHING, 0);
    goes(&s, 1, 1, 5, 50);
    assert_false(acked(&s, 1, 11));
    assert_true(acked(&s, 1, 5));
    assert_true(acked(&s, 1, 3)); /* late */
    assert_true(acked(&s, 1, 8)); /* left over from an older connection */
    goes(&s, 1, 9, 10, 10);
    assert_false(acked(&s, 2, 1));
    send_fini(&s);
}

static void small_tails_go_first_but_do_not_starve_the_rest(void **state)
{
    struct send s;
    unsigned bulk = 0;
    (void)state;
    begin(&s);
    grew(&s, 1, 100000);
    grew(&s, 2, 1);
    (void)have(&s, 1, SEND_NOTHING, 0);
    (void)have(&s, 2, SEND_NOTHING, 0);
    for (uint64_t i = 1; i < 100; i++) {
        struct send_job job;
        assert_true(send_next(&s, &job));
        assert_true(i > 1 || job.log.incarnation == 2);
        bulk += job.log.incarnation == 1;
        send_sent(&s, &job, job.from, 1);
        grew(&s, 2, send_find(&s, &job.log)->held + 1);
    }
    assert_in_range(bulk, 3, 60);
    send_fini(&s);
}

static void logs_with_much_missing_take_turns(void **state)
{
    struct send s;
    (void)state;
    begin(&s);
    for (uint64_t n = 1; n <= 3; n++) {
        grew(&s, n, 1000);
        (void)have(&s, n, SEND_NOTHING, 0);
    }
    goes(&s, 1, 1, 10, 10);
    goes(&s, 2, 1, 10, 10);
    goes(&s, 3, 1, 10, 10);
    goes(&s, 1, 11, 20, 10);
    send_fini(&s);
}

static void a_stopped_log_frees_its_window_and_others_go_on(void **state)
{
    struct send s;
    struct log_id one = id(1);
    (void)state;
    begin(&s);
    grew(&s, 1, 1000);
    grew(&s, 2, 1000);
    (void)have(&s, 1, SEND_NOTHING, 0);
    (void)have(&s, 2, SEND_NOTHING, 0);
    goes(&s, 1, 1, 500, 1000);
    nothing_goes(&s);
    send_stop(&s, &one);
    assert_int_equal(s.in_flight, 0);
    goes(&s, 2, 1, 10, 10);
    goes(&s, 2, 11, 20, 10);
    assert_true(acked(&s, 1, 500)); /* on its way when it was stopped */
    struct send_totals t;
    send_totals(&s, &t);
    assert_int_equal(t.stopped_logs, 1);
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 500), CATCH_RESUMED);
    send_bar(&s, &one);
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 500), CATCH_NONE);
    nothing_goes(&s);
    send_fini(&s);
}

struct seen_stuck {
    unsigned count;
    struct log_id log;
    int64_t since_ms;
};

static void on_stuck(void *ctx, const struct log_id *log, int64_t since_ms)
{
    struct seen_stuck *seen = ctx;
    seen->count++;
    seen->log = *log;
    seen->since_ms = since_ms;
}

static void stuck_since(const struct send *s, int64_t since_ms)
{
    struct seen_stuck seen = {.count = 0};
    const struct log_id one = id(1);
    send_stuck(s, on_stuck, &seen);
    assert_int_equal(seen.count, since_ms != 0);
    if (since_ms != 0) {
        assert_true(log_id_eq(&seen.log, &one));
        assert_int_equal(seen.since_ms, since_ms);
    }
}

/* Offered again and refused again it is stuck since the first time. */
static void a_log_is_stuck_until_it_gets_on(void **state)
{
    struct send s;
    struct log_id one = id(1);
    (void)state;
    begin(&s);
    grew(&s, 1, 1000);
    grew(&s, 2, 1000);
    (void)have(&s, 1, SEND_PREFIX, 500);
    (void)have(&s, 2, SEND_PREFIX, 500);
    stuck_since(&s, 0);
    send_at(&s, 7000);
    send_stop(&s, &one);
    stuck_since(&s, 7000);
    send_at(&s, 9000);
    send_reset(&s, WINDOW); /* a new connection */
    stuck_since(&s, 7000);
    (void)have(&s, 1, SEND_PREFIX, 500);
    stuck_since(&s, 7000);
    send_stop(&s, &one);
    stuck_since(&s, 7000);
    send_reset(&s, WINDOW);
    (void)have(&s, 1, SEND_REFUSED, 500);
    stuck_since(&s, 7000);
    /* It got on: by an acknowledgement, */
    send_reset(&s, WINDOW);
    (void)have(&s, 1, SEND_PREFIX, 500);
    goes(&s, 1, 501, 510, 10);
    assert_true(acked(&s, 1, 510));
    stuck_since(&s, 0);
    /* as the parent says when it comes back, */
    send_stop(&s, &one);
    stuck_since(&s, 9000);
    send_reset(&s, WINDOW);
    (void)have(&s, 1, SEND_PREFIX, 600);
    stuck_since(&s, 0);
    /* or it lacks nothing any more, or has more. */
    send_stop(&s, &one);
    (void)have(&s, 1, SEND_PREFIX, 1000);
    stuck_since(&s, 0);
    grew(&s, 1, 1001);
    send_stop(&s, &one);
    stuck_since(&s, 9000);
    (void)have(&s, 1, SEND_MORE, 2000);
    stuck_since(&s, 0);
    /* What is forked here is told as that. */
    grew(&s, 1, 3000);
    send_stop(&s, &one);
    stuck_since(&s, 9000);
    send_bar(&s, &one);
    stuck_since(&s, 0);
    send_fini(&s);
}

static void a_parent_that_is_ahead_gets_nothing_until_we_pass_it(void **state)
{
    struct send s;
    (void)state;
    begin(&s);
    grew(&s, 1, 10);
    assert_int_equal(have(&s, 1, SEND_MORE, 15), CATCH_NONE);
    nothing_goes(&s);
    grew(&s, 1, 15);
    nothing_goes(&s);
    grew(&s, 1, 17);
    goes(&s, 1, 16, 17, 10);
    send_fini(&s);
}

static void a_wanted_range_is_sent_again_outside_the_order(void **state)
{
    struct send s;
    struct log_id one = id(1);
    (void)state;
    begin(&s);
    grew(&s, 1, 50);
    (void)have(&s, 1, SEND_NOTHING, 0);
    goes(&s, 1, 1, 50, 100);
    send_want(&s, &one, 11, 20);
    goes(&s, 1, 11, 16, 10);
    goes(&s, 1, 17, 24, 10);
    nothing_goes(&s);
    send_want(&s, &one, 40, 51); /* was never sent */
    nothing_goes(&s);
    assert_true(acked(&s, 1, 50));
    send_fini(&s);
}

static void a_log_that_appears_behind_the_last_page_is_new_there(void **state)
{
    struct send s;
    struct log_id two = id(2);
    (void)state;
    begin(&s);
    send_grew(&s, &two, 3, true);
    goes(&s, 2, 1, 3, 10);
    send_fini(&s);
}

enum { PACE = 10 };

static void begin_paced(struct send *s)
{
    send_init(s, SEGMENT, PACE);
    send_reset(s, WINDOW);
}

static void a_lone_entry_leaves_at_once_and_a_flow_keeps_its_pace(void **state)
{
    struct send s;
    (void)state;
    begin_paced(&s);
    send_at(&s, 100);
    grew(&s, 1, 1);
    (void)have(&s, 1, SEND_NOTHING, 0);
    goes(&s, 1, 1, 1, 10);
    assert_true(acked(&s, 1, 1));
    assert_int_equal(send_due_ms(&s), 0);

    send_at(&s, 103);
    grew(&s, 1, 2);
    nothing_goes(&s);
    assert_int_equal(send_due_ms(&s), 100 + PACE);
    send_at(&s, 109);
    grew(&s, 1, 5);
    nothing_goes(&s);
    send_at(&s, 110);
    assert_int_equal(send_due_ms(&s), 0);
    goes(&s, 1, 2, 5, 10);
    assert_true(acked(&s, 1, 5));

    send_at(&s, 150);
    grew(&s, 1, 6);
    goes(&s, 1, 6, 6, 10);
    send_fini(&s);
}

static void what_becomes_much_waits_no_longer(void **state)
{
    struct send s;
    (void)state;
    begin_paced(&s);
    send_at(&s, 100);
    grew(&s, 1, 1);
    (void)have(&s, 1, SEND_NOTHING, 0);
    goes(&s, 1, 1, 1, 10);
    assert_true(acked(&s, 1, 1));
    grew(&s, 1, 3);
    nothing_goes(&s);
    grew(&s, 1, 300);
    assert_int_equal(send_due_ms(&s), 0);
    goes(&s, 1, 2, 300, 100);
    send_fini(&s);
}

static void a_paced_log_holds_up_no_other(void **state)
{
    struct send s;
    (void)state;
    begin_paced(&s);
    send_at(&s, 100);
    for (uint64_t n = 1; n <= 2; n++) {
        grew(&s, n, 1);
        (void)have(&s, n, SEND_NOTHING, 0);
    }
    goes(&s, 1, 1, 1, 10);
    assert_true(acked(&s, 1, 1));
    grew(&s, 1, 2);
    goes(&s, 2, 1, 1, 10); /* its first */
    nothing_goes(&s);
    struct log_id log = id(1);
    send_stop(&s, &log);
    assert_int_equal(send_due_ms(&s), 0);
    /* A new connection begins without a wait. */
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 1), CATCH_INCREMENTAL);
    goes(&s, 1, 2, 2, 10);
    send_fini(&s);
}

static bool forward(struct send *s, uint64_t n, uint64_t first, uint64_t last)
{
    struct log_id log = id(n);
    return send_forward(s, &log, first, last, 100);
}

static void what_was_forwarded_is_not_sent_again(void **state)
{
    struct send s;
    struct send_totals totals;
    (void)state;
    begin(&s);
    grew(&s, 1, 10);
    assert_false(forward(&s, 1, 11, 12)); /* not said yet what it has */
    (void)have(&s, 1, SEND_PREFIX, 10);
    assert_true(forward(&s, 1, 11, 14));
    assert_false(forward(&s, 1, 14, 16)); /* twice */
    assert_false(forward(&s, 1, 16, 17)); /* a gap */
    assert_false(forward(&s, 2, 1, 1));   /* a log not known yet */
    nothing_goes(&s);
    send_totals(&s, &totals);
    assert_int_equal(totals.behind_entries, 0);

    /* Acknowledged above before it is committed here, then committed. */
    assert_true(acked(&s, 1, 13));
    assert_false(acked(&s, 1, 15));
    grew(&s, 1, 14);
    nothing_goes(&s);
    assert_true(acked(&s, 1, 14));
    assert_int_equal(s.in_flight, 0);
    grew(&s, 1, 15);
    goes(&s, 1, 15, 15, 10);
    send_fini(&s);
}

static void a_full_window_or_a_stopped_log_is_not_forwarded_to(void **state)
{
    struct send s;
    struct log_id log = id(1);
    (void)state;
    begin(&s);
    grew(&s, 1, 1);
    (void)have(&s, 1, SEND_PREFIX, 1);
    for (uint64_t n = 2; n < 2 + WINDOW / 100; n++) {
        assert_true(forward(&s, 1, n, n));
    }
    assert_false(forward(&s, 1, 2 + WINDOW / 100, 2 + WINDOW / 100));
    send_stop(&s, &log);
    assert_int_equal(s.in_flight, 0);
    assert_false(forward(&s, 1, 2 + WINDOW / 100, 2 + WINDOW / 100));
    send_fini(&s);
}

/* Its commit here failed, and the child sends it again. */
static void what_was_forwarded_and_lost_here_is_no_gap(void **state)
{
    struct send s;
    (void)state;
    begin(&s);
    grew(&s, 1, 1);
    (void)have(&s, 1, SEND_PREFIX, 1);
    assert_true(forward(&s, 1, 2, 5));
    assert_false(forward(&s, 1, 2, 5));
    nothing_goes(&s);
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_MORE, 5), CATCH_NONE);
    grew(&s, 1, 5);
    nothing_goes(&s);
    grew(&s, 1, 6);
    goes(&s, 1, 6, 6, 10);
    send_fini(&s);
}

static void signed_at(struct send *s, uint64_t n, int64_t here, int64_t there)
{
    struct log_id log = id(n);
    send_signed(s, &log, here, there);
}

/* Its origin has a new certificate, and signed again what did not grow. */
static void a_newer_head_goes_with_the_last_entry(void **state)
{
    struct send s;
    (void)state;
    begin(&s);
    grew(&s, 1, 9);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 9), CATCH_NONE);
    signed_at(&s, 1, 500, 500);
    nothing_goes(&s);
    signed_at(&s, 1, 600, 0);
    goes(&s, 1, 9, 9, 40);
    nothing_goes(&s);
    assert_int_equal(s.in_flight, 0);
    signed_at(&s, 1, 600, 0);
    nothing_goes(&s);
    /* A parent that did not say what it keeps is not told. */
    send_reset(&s, WINDOW);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 9), CATCH_NONE);
    signed_at(&s, 1, 700, 0);
    nothing_goes(&s);
    send_fini(&s);
}

static void a_newer_head_waits_for_what_is_under_way(void **state)
{
    struct send s;
    (void)state;
    begin(&s);
    grew(&s, 1, 9);
    assert_int_equal(have(&s, 1, SEND_PREFIX, 8), CATCH_INCREMENTAL);
    signed_at(&s, 1, 500, 400);
    goes(&s, 1, 9, 9, 40);
    signed_at(&s, 1, 600, 0);
    nothing_goes(&s);
    assert_true(acked(&s, 1, 9));
    goes(&s, 1, 9, 9, 40);
    nothing_goes(&s);
    send_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restored_log_is_no_longer_than_it_is),
        cmocka_unit_test(a_log_that_ended_short_is_sent_again),
        cmocka_unit_test(a_log_that_came_back_in_part_may_be_longer_there),
        cmocka_unit_test(what_was_unreadable_before_a_restore_is_sent_after_it),
        cmocka_unit_test(what_only_the_parent_named_is_sent_from_there_on),
        cmocka_unit_test(what_came_while_it_was_named_does_not_wait),
        cmocka_unit_test(nothing_is_sent_before_the_parent_said_what_it_has),
        cmocka_unit_test(a_beginning_is_full_incremental_resumed_or_nothing),
        cmocka_unit_test(the_window_bounds_what_is_in_flight),
        cmocka_unit_test(an_ack_of_what_the_log_never_had_is_wrong),
        cmocka_unit_test(small_tails_go_first_but_do_not_starve_the_rest),
        cmocka_unit_test(logs_with_much_missing_take_turns),
        cmocka_unit_test(a_stopped_log_frees_its_window_and_others_go_on),
        cmocka_unit_test(a_log_is_stuck_until_it_gets_on),
        cmocka_unit_test(a_parent_that_is_ahead_gets_nothing_until_we_pass_it),
        cmocka_unit_test(a_wanted_range_is_sent_again_outside_the_order),
        cmocka_unit_test(a_log_that_appears_behind_the_last_page_is_new_there),
        cmocka_unit_test(a_lone_entry_leaves_at_once_and_a_flow_keeps_its_pace),
        cmocka_unit_test(what_becomes_much_waits_no_longer),
        cmocka_unit_test(a_paced_log_holds_up_no_other),
        cmocka_unit_test(a_newer_head_goes_with_the_last_entry),
        cmocka_unit_test(a_newer_head_waits_for_what_is_under_way),
        cmocka_unit_test(what_was_forwarded_is_not_sent_again),
        cmocka_unit_test(a_full_window_or_a_stopped_log_is_not_forwarded_to),
        cmocka_unit_test(what_was_forwarded_and_lost_here_is_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
