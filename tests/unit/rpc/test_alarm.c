/* Calls that are due at a time, on the poller. */
#include "fixture.h"

#include "rpc/alarm.h"

struct bell {
    struct rpc_alarm *alarm;
    atomic_uint rings;
    unsigned again;  /* sets itself so often, RING_MS later */
    unsigned prompt; /* rings that came within PROMPT_MS of their time */
    int64_t due_ms;
    atomic_bool hold;
    atomic_bool held;
    pthread_t thread;
};

enum { RING_MS = 10, PROMPT_MS = 500 };

static struct rpc *rpc_new(void)
{
    struct rpc *rpc = NULL;
    struct errmsg why;
    struct rpc_conf conf = rpc_conf_default();
    assert_int_equal(rpc_open(&rpc, &conf, &why), ERR_OK);
    return rpc;
}

static void ring(void *ctx)
{
    struct bell *b = ctx;
    b->thread = pthread_self();
    if (atomic_load(&b->rings) < b->again) {
        b->prompt += clock_mono_ms() - b->due_ms < PROMPT_MS;
        b->due_ms = clock_mono_ms() + RING_MS;
        rpc_alarm_at(b->alarm, b->due_ms);
    }
    atomic_store(&b->held, true);
    while (atomic_load(&b->hold)) {
        sleep_ms(1);
    }
    (void)atomic_fetch_add(&b->rings, 1);
}

static void an_alarm_comes_once_and_not_before_its_time(void **state)
{
    (void)state;
    struct rpc *rpc = rpc_new();
    struct bell b = {.again = 0};
    struct bell other = {.again = 0};
    b.alarm = rpc_alarm_new(rpc, ring, &b);
    other.alarm = rpc_alarm_new(rpc, ring, &other);
    /* The poller wakes once a second, and looks. */
    int64_t at_ms = clock_mono_ms() + 1500;
    rpc_alarm_at(b.alarm, at_ms);
    WAIT_FOR(atomic_load(&b.rings) == 1);
    assert_true(clock_mono_ms() >= at_ms);
    assert_false(pthread_equal(b.thread, pthread_self()));
    rpc_alarm_at(other.alarm, 1);
    WAIT_FOR(atomic_load(&other.rings) == 1);
    assert_int_equal(atomic_load(&b.rings), 1);
    rpc_alarm_free(&b.alarm);
    rpc_alarm_free(&other.alarm);
    rpc_close(&rpc);
}

static void of_two_times_the_earlier_counts(void **state)
{
    (void)state;
    struct rpc *rpc = rpc_new();
    struct bell b = {.again = 0};
    b.alarm = rpc_alarm_new(rpc, ring, &b);
    rpc_alarm_at(b.alarm, clock_mono_ms() + 10 * WAIT_MS);
    rpc_alarm_at(b.alarm, clock_mono_ms() + RING_MS);
    rpc_alarm_at(b.alarm, clock_mono_ms() + 10 * WAIT_MS);
    WAIT_FOR(atomic_load(&b.rings) == 1);
    rpc_alarm_free(&b.alarm);
    rpc_close(&rpc);
}

/* Of those that are set elsewhere each may take a second: the poller looks so
 * often. On a busy machine a few come promptly all the same. */
static void set_on_the_poller_it_comes_in_time(void **state)
{
    enum { TIMES = 20 };
    (void)state;
    struct rpc *rpc = rpc_new();
    struct bell b = {.again = TIMES};
    int64_t from_ms = clock_mono_ms();
    b.alarm = rpc_alarm_new(rpc, ring, &b);
    rpc_alarm_at(b.alarm, from_ms);
    WAIT_FOR(atomic_load(&b.rings) > TIMES);
    assert_true(clock_mono_ms() - from_ms >= TIMES * RING_MS);
    assert_in_range(b.prompt, TIMES / 4, TIMES);
    rpc_alarm_free(&b.alarm);
    rpc_close(&rpc);
}

static void *let_go(void *arg)
{
    struct bell *b = arg;
    sleep_ms(50);
    atomic_store(&b->hold, false);
    return NULL;
}

static void who_ends_it_waits_for_a_call_under_way(void **state)
{
    (void)state;
    struct rpc *rpc = rpc_new();
    struct bell b = {.hold = true};
    pthread_t helper;
    b.alarm = rpc_alarm_new(rpc, ring, &b);
    rpc_alarm_at(b.alarm, clock_mono_ms());
    WAIT_FOR(atomic_load(&b.held));
    assert_int_equal(pthread_create(&helper, NULL, let_go, &b), 0);
    rpc_alarm_free(&b.alarm);
    assert_int_equal(atomic_load(&b.rings), 1);
    (void)pthread_join(helper, NULL);
    rpc_close(&rpc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alarm_comes_once_and_not_before_its_time),
        cmocka_unit_test(of_two_times_the_earlier_counts),
        cmocka_unit_test(set_on_the_poller_it_comes_in_time),
        cmocka_unit_test(who_ends_it_waits_for_a_call_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
