#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sync/link.h"

static const struct link_conf conf = {.dialing_ms = 1000,
                                      .greeting_ms = 2000,
                                      .silence_ms = 3000,
                                      .backoff_min_ms = 100,
                                      .backoff_max_ms = 1600};

struct row {
    struct link_event event;
    enum err err;
    enum uplink_state state;
    unsigned todo;
    uint32_t deadline_ms;
};

#define ON(t)                                                                  \
    {                                                                          \
        .type = t                                                              \
    }
#define FULL UINT32_MAX

static void play(struct link *link, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned todo;
        assert_int_equal(link_step(link, &rows[i].event, &todo), rows[i].err);
        assert_int_equal(link->state, rows[i].state);
        assert_int_equal(todo, rows[i].todo);
        assert_int_equal(link->deadline_ms, rows[i].deadline_ms);
    }
}

static void a_link_dials_greets_and_streams(void **state)
{
    static const struct row rows[] = {
        {ON(LINK_DEADLINE), ERR_OK, UPLINK_IDLE, 0, 0},
        {ON(LINK_START), ERR_OK, UPLINK_DIALING, LINK_DIAL | LINK_ARM, 1000},
        {ON(LINK_MESSAGE), ERR_PROTOCOL, UPLINK_DIALING, 0, 1000},
        {ON(LINK_OPENED), ERR_OK, UPLINK_GREETING, LINK_HELLO | LINK_ARM, 2000},
        {ON(LINK_MESSAGE), ERR_PROTOCOL, UPLINK_GREETING, 0, 2000},
        {ON(LINK_GREETED), ERR_OK, UPLINK_STREAMING, LINK_SERVE | LINK_ARM, 0},
        {{.type = LINK_MESSAGE, .in_flight = true},
         ERR_OK,
         UPLINK_STREAMING,
         LINK_ARM,
         3000},
        {ON(LINK_MESSAGE), ERR_OK, UPLINK_STREAMING, LINK_ARM, 0},
        {ON(LINK_STOP), ERR_OK, UPLINK_IDLE, LINK_HANG_UP | LINK_ARM, 0},
    };
    struct link link;
    (void)state;
    link_init(&link, &conf);
    play(&link, rows, ARRAY_LEN(rows));
}

static void a_restart_dials_at_once_but_not_from_idle(void **state)
{
    static const struct row rows[] = {
        {ON(LINK_RESTART), ERR_OK, UPLINK_IDLE, 0, 0},
        {ON(LINK_START), ERR_OK, UPLINK_DIALING, LINK_DIAL | LINK_ARM, 1000},
        {{.type = LINK_CLOSED, .random = FULL},
         ERR_OK,
         UPLINK_WAITING,
         LINK_HANG_UP | LINK_ARM,
         100},
        {ON(LINK_RESTART), ERR_OK, UPLINK_DIALING,
         LINK_DIAL | LINK_ARM | LINK_HANG_UP, 1000},
    };
    struct link link;
    (void)state;
    link_init(&link, &conf);
    play(&link, rows, ARRAY_LEN(rows));
}

static void waiting_doubles_up_to_its_bound_and_starts_anew(void **state)
{
    static const uint32_t bounds[] = {100, 200, 400, 800, 1600, 1600, 1600};
    struct link link;
    unsigned todo;
    (void)state;
    link_init(&link, &conf);
    assert_int_equal(
        link_step(&link, &(struct link_event)ON(LINK_START), &todo), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        struct link_event lost = {.type = LINK_CLOSED, .random = FULL};
        assert_int_equal(link_step(&link, &lost, &todo), ERR_OK);
        assert_int_equal(link.deadline_ms, bounds[i]);
        assert_int_equal(
            link_step(&link, &(struct link_event)ON(LINK_DEADLINE), &todo),
            ERR_OK);
        assert_int_equal(link.state, UPLINK_DIALING);
    }
    static const struct row rows[] = {
        {ON(LINK_OPENED), ERR_OK, UPLINK_GREETING, LINK_HELLO | LINK_ARM, 2000},
        {ON(LINK_GREETED), ERR_OK, UPLINK_STREAMING, LINK_SERVE | LINK_ARM, 0},
        {{.type = LINK_DEADLINE, .random = FULL},
         ERR_OK,
         UPLINK_WAITING,
         LINK_HANG_UP | LINK_ARM,
         100},
    };
    play(&link, rows, ARRAY_LEN(rows));
}

static void
jitter_goes_down_to_nothing_and_on_top_of_a_wished_delay(void **state)
{
    static const struct row rows[] = {
        {ON(LINK_START), ERR_OK, UPLINK_DIALING, LINK_DIAL | LINK_ARM, 1000},
        {{.type = LINK_CLOSED, .random = 0},
         ERR_OK,
         UPLINK_WAITING,
         LINK_HANG_UP | LINK_ARM,
         1},
        {ON(LINK_DEADLINE), ERR_OK, UPLINK_DIALING, LINK_DIAL | LINK_ARM, 1000},
        {{.type = LINK_CLOSED,
          .random = UINT32_C(1) << 31,
          .retry_after_ms = 30000},
         ERR_OK,
         UPLINK_WAITING,
         LINK_HANG_UP | LINK_ARM,
         30101},
    };
    struct link link;
    (void)state;
    link_init(&link, &conf);
    play(&link, rows, ARRAY_LEN(rows));
}

#define ELSEWHERE                                                              \
    {                                                                          \
        .type = LINK_CLOSED, .random = FULL, .elsewhere = true                 \
    }

/* Two addresses: one stands by, the other is dead, until one of them writes. */
static void one_that_stands_by_sends_on_at_once(void **state)
{
    static const struct row rows[] = {
        {ON(LINK_START), ERR_OK, UPLINK_DIALING, LINK_DIAL | LINK_ARM, 1000},
        {ELSEWHERE, ERR_OK, UPLINK_DIALING, LINK_DIAL | LINK_ARM | LINK_HANG_UP,
         1000},
        /* The other as well: neither writes now. */
        {ELSEWHERE, ERR_OK, UPLINK_WAITING, LINK_HANG_UP | LINK_ARM, 100},
        {ON(LINK_DEADLINE), ERR_OK, UPLINK_DIALING, LINK_DIAL | LINK_ARM, 1000},
        {ELSEWHERE, ERR_OK, UPLINK_DIALING, LINK_DIAL | LINK_ARM | LINK_HANG_UP,
         1000},
        {{.type = LINK_CLOSED, .random = FULL},
         ERR_OK,
         UPLINK_WAITING,
         LINK_HANG_UP | LINK_ARM,
         100},
        {ON(LINK_DEADLINE), ERR_OK, UPLINK_DIALING, LINK_DIAL | LINK_ARM, 1000},
    };
    struct link link;
    struct link_conf two = conf;
    (void)state;
    two.addresses = 2;
    link_init(&link, &two);
    play(&link, rows, ARRAY_LEN(rows));
}

static void the_wait_doubles_when_all_addresses_were_tried(void **state)
{
    static const uint32_t waits_ms[] = {100,  100,  100,  200, 200, 200,
                                        400,  400,  400,  800, 800, 800,
                                        1600, 1600, 1600, 1600};
    struct link link;
    struct link_conf three = conf;
    unsigned todo;
    (void)state;
    three.addresses = 3;
    link_init(&link, &three);
    assert_int_equal(
        link_step(&link, &(struct link_event){.type = LINK_START}, &todo),
        ERR_OK);
    for (size_t i = 0; i < 3000; i++) {
        const struct link_event lost = {.type = LINK_CLOSED, .random = FULL};
        size_t at = i < ARRAY_LEN(waits_ms) ? i : ARRAY_LEN(waits_ms) - 1;
        assert_int_equal(link_step(&link, &lost, &todo), ERR_OK);
        assert_int_equal(link.deadline_ms, waits_ms[at]);
        assert_int_equal(link_step(&link,
                                   &(struct link_event){.type = LINK_DEADLINE},
                                   &todo),
                         ERR_OK);
    }
}

/* With one address there is nothing to go on to; and who is told so for long
 * comes back soon all the same, since that is over in seconds. */
static void waiting_for_a_writer_does_not_double(void **state)
{
    static const uint32_t waits_ms[] = {100, 200, 200, 200, 200};
    struct link link;
    unsigned todo;
    (void)state;
    link_init(&link, &conf);
    assert_int_equal(
        link_step(&link, &(struct link_event){.type = LINK_START}, &todo),
        ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(waits_ms); i++) {
        const struct link_event sent = ELSEWHERE;
        assert_int_equal(link_step(&link, &sent, &todo), ERR_OK);
        assert_int_equal(link.state, UPLINK_WAITING);
        assert_int_equal(link.deadline_ms, waits_ms[i]);
        assert_int_equal(link_step(&link,
                                   &(struct link_event){.type = LINK_DEADLINE},
                                   &todo),
                         ERR_OK);
    }
}

static void silence_counts_only_while_something_is_owed(void **state)
{
    struct link link;
    unsigned todo;
    (void)state;
    link_init(&link, &conf);
    link.state = UPLINK_STREAMING;
    link_owed(&link, true, &todo);
    assert_int_equal(todo, LINK_ARM);
    assert_int_equal(link.deadline_ms, 3000);
    link_owed(&link, true, &todo);
    assert_int_equal(todo, 0); /* counted from the first */
}

/* Whatever comes, a state with a deadline has one and WAITING ends. */
static void any_order_of_events_keeps_its_invariants(void **state)
{
    struct link link;
    uint32_t x = 1;
    unsigned todo;
    (void)state;
    link_init(&link, &conf);
    for (unsigned i = 0; i < 100000; i++) {
        x = x * 1664525 + 1013904223;
        struct link_event event = {
            .type = (enum link_event_type)((x >> 16) % LINK_EVENTS),
            .random = x,
            .in_flight = (x & 1) != 0};
        enum err err = link_step(&link, &event, &todo);
        assert_true(err == ERR_OK || err == ERR_PROTOCOL);
        bool timed =
            link.state != UPLINK_IDLE && link.state != UPLINK_STREAMING;
        assert_true(!timed || link.deadline_ms > 0);
        assert_true((todo & LINK_DIAL) == 0 || link.state == UPLINK_DIALING);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_dials_greets_and_streams),
        cmocka_unit_test(a_restart_dials_at_once_but_not_from_idle),
        cmocka_unit_test(waiting_doubles_up_to_its_bound_and_starts_anew),
        cmocka_unit_test(
            jitter_goes_down_to_nothing_and_on_top_of_a_wished_delay),
        cmocka_unit_test(one_that_stands_by_sends_on_at_once),
        cmocka_unit_test(the_wait_doubles_when_all_addresses_were_tried),
        cmocka_unit_test(waiting_for_a_writer_does_not_double),
        cmocka_unit_test(silence_counts_only_while_something_is_owed),
        cmocka_unit_test(any_order_of_events_keeps_its_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
