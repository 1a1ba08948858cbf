#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sync/flow.h"

enum {
    CAP = 4 << 20,
    SEGMENT = 256 << 10,
    MESSAGES = CAP / FLOW_SEGMENT_LEAST + 1, /* under way at once */
};

struct message {
    size_t bytes;
    int64_t back_ms; /* acknowledged then; 0: not through the line yet */
};

/* A sender that always has more, a line that carries so much a millisecond
 * each after the other, and a store behind it that takes its time. */
struct model {
    struct flow flow;
    int64_t now_ms;
    uint64_t rate;     /* bytes a ms */
    uint32_t way_ms;   /* there and back */
    uint32_t store_ms; /* until what came is durable */
    bool silent;       /* the other side does not say how long that took */
    struct message message[MESSAGES];
    size_t first;
    size_t next; /* on the line */
    size_t end;
    uint64_t carried; /* of `next` */
    uint64_t in_flight;
    uint64_t most_in_flight; /* since it was set to 0 */
    uint64_t idle_ms;        /* the line carried nothing, since then */
};

static void begin(struct model *m, uint64_t rate, uint32_t way_ms)
{
    memset(m, 0, sizeof *m);
    m->rate = rate;
    m->way_ms = way_ms;
    flow_begin(&m->flow, CAP);
}

static struct message *at(struct model *m, size_t i)
{
    return &m->message[i % MESSAGES];
}

static void hand_over(struct model *m)
{
    while (flow_room(&m->flow, m->in_flight)) {
        size_t bytes = flow_segment(&m->flow, SEGMENT);
        assert_true(m->end - m->first < MESSAGES);
        *at(m, m->end++) = (struct message){.bytes = bytes};
        m->in_flight += bytes;
        flow_sent(&m->flow, bytes, m->now_ms);
    }
    if (m->in_flight > m->most_in_flight) {
        m->most_in_flight = m->in_flight;
    }
}

static void carry(struct model *m)
{
    uint64_t room = m->rate;
    m->idle_ms += m->next == m->end;
    while (room > 0 && m->next < m->end) {
        uint64_t rest = at(m, m->next)->bytes - m->carried;
        uint64_t part = rest < room ? rest : room;
        m->carried += part;
        room -= part;
        if (part == rest) {
            at(m, m->next++)->back_ms = m->now_ms + m->way_ms + m->store_ms;
            m->carried = 0;
        }
    }
}

static void come_back(struct model *m)
{
    while (m->first < m->next && at(m, m->first)->back_ms <= m->now_ms) {
        size_t bytes = at(m, m->first++)->bytes;
        m->in_flight -= bytes;
        flow_acked(&m->flow, bytes, m->silent ? 0 : m->store_ms, m->now_ms);
    }
}

static void run(struct model *m, int64_t ms)
{
    m->most_in_flight = 0;
    m->idle_ms = 0;
    for (int64_t until = m->now_ms + ms; m->now_ms < until; m->now_ms++) {
        come_back(m);
        hand_over(m);
        carry(m);
    }
}

static void a_slow_line_is_given_some_seconds_of_what_it_carries(void **state)
{
    static const uint64_t rates[] = {2, 8, 60, 250, 1000};
    static struct model m;
    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        begin(&m, rates[i], 200);
        run(&m, 60000);
        run(&m, 120000);
        uint64_t seconds = rates[i] * (FLOW_QUEUE_MS + FLOW_BASE_MS);
        uint64_t most = seconds > FLOW_LEAST ? seconds : FLOW_LEAST;
        assert_in_range(m.most_in_flight, FLOW_LEAST, most + most / 2);
        assert_int_equal(m.idle_ms, 0);
    }
}

static void a_quick_line_is_given_all(void **state)
{
    static const struct {
        uint64_t rate;
        uint32_t way_ms;
    } lines[] = {{100000, 2}, {12500, 200}, {12500, 600}};
    static struct model m;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        begin(&m, lines[i].rate, lines[i].way_ms);
        run(&m, 5000);
        assert_int_equal(flow_whole(&m.flow), CAP);
        assert_int_equal(flow_segment(&m.flow, SEGMENT), SEGMENT);
    }
}

static void who_has_little_to_send_loses_no_room(void **state)
{
    struct flow flow = {.cap = 0};
    (void)state;
    flow_begin(&flow, CAP);
    for (int64_t now_ms = 0; now_ms < 60000; now_ms += 100) {
        flow_sent(&flow, 500, now_ms);
        flow_acked(&flow, 500, 0, now_ms + 90);
    }
    assert_int_equal(flow_whole(&flow), FLOW_FIRST);
}

/* Hands over a batch, which may wait for room, and sees it through; returns in
 * how many messages it went. */
static size_t send_batch(struct model *m, uint64_t rest)
{
    size_t before = m->end;
    while (rest > 0 || m->in_flight > 0) {
        come_back(m);
        while (rest > 0 && flow_room(&m->flow, m->in_flight)) {
            size_t bytes = flow_segment(&m->flow, SEGMENT);
            bytes = bytes < rest ? bytes : (size_t)rest;
            *at(m, m->end++) = (struct message){.bytes = bytes};
            m->in_flight += bytes;
            rest -= bytes;
            flow_sent(&m->flow, bytes, m->now_ms);
        }
        carry(m);
        m->now_ms++;
    }
    return m->end - before;
}

/* As imports make them: just what may be under way, so that none waits. */
static void a_batch_on_a_quick_line_is_one_message(void **state)
{
    static const struct {
        uint64_t rate;
        uint64_t batch;
        size_t least; /* messages … */
        size_t most;
    } lines[] = {{10000, 259000, 1, 1},
                 {10000, 60000, 1, 1},
                 {1000, 60000, 1, 2},
                 {100, 259000, 4, 20},
                 {2, 32000, 4, 4}};
    static struct model m;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        begin(&m, lines[i].rate, 4);
        for (size_t n = 0; n < 8; n++) {
            (void)send_batch(&m, lines[i].batch);
        }
        assert_in_range(send_batch(&m, lines[i].batch), lines[i].least,
                        lines[i].most);
        (void)send_batch(&m, 300); /* says nothing of the line */
        assert_in_range(send_batch(&m, lines[i].batch), lines[i].least,
                        lines[i].most);
    }
    begin(&m, 10000, 4);
    (void)send_batch(&m, 259000);
    (void)send_batch(&m, 259000);
    m.rate = 20; /* it is another line now */
    (void)send_batch(&m, 259000);
    assert_in_range(flow_segment(&m.flow, SEGMENT), FLOW_SEGMENT_LEAST,
                    64 << 10);
}

/* Of another's making: it goes whole, or not at all. */
static void what_does_not_fit_waits_for_room(void **state)
{
    struct flow flow = {.cap = 0};
    (void)state;
    flow_begin(&flow, CAP);
    assert_true(flow_fits(&flow, FLOW_FIRST));
    flow_sent(&flow, 1000, 0);
    assert_false(flow_fits(&flow, FLOW_FIRST + 1));
    flow_acked(&flow, 1000, 0, 1);
    assert_true(flow_whole(&flow) > FLOW_FIRST);
}

static void a_busy_store_is_not_taken_for_a_slow_line(void **state)
{
    static struct model m;
    (void)state;
    begin(&m, 100000, 2);
    run(&m, 1000);
    m.store_ms = 20000;
    run(&m, 120000);
    assert_int_equal(flow_whole(&m.flow), CAP);
}

static void of_one_that_does_not_say_it_only_for_so_long(void **state)
{
    static struct model m;
    (void)state;
    begin(&m, 100000, 2);
    m.silent = true;
    run(&m, 1000);
    m.store_ms = 20000;
    run(&m, 200000);
    assert_int_equal(flow_whole(&m.flow), FLOW_LEAST);
    m.store_ms = 1;
    run(&m, 21000);
    assert_int_equal(flow_whole(&m.flow), CAP);
}

static void a_line_that_becomes_slow_is_given_less(void **state)
{
    static struct model m;
    (void)state;
    begin(&m, 1000, 20);
    run(&m, 30000);
    assert_true(flow_whole(&m.flow) > 1000 * FLOW_QUEUE_MS / 2);
    m.rate = 10;
    run(&m, (int64_t)(m.in_flight / 10) * 2); /* what lies in its queue */
    run(&m, 30000);
    assert_in_range(m.most_in_flight, FLOW_LEAST, 2 * FLOW_LEAST);
    m.rate = 1000;
    run(&m, 30000);
    assert_true(flow_whole(&m.flow) > 1000 * FLOW_QUEUE_MS / 2);
}

static void what_was_slow_is_begun_with_slowly(void **state)
{
    static struct model m;
    (void)state;
    begin(&m, 2, 200);
    run(&m, 200000);
    assert_int_equal(flow_whole(&m.flow), FLOW_LEAST);
    flow_begin(&m.flow, 0);
    assert_false(flow_room(&m.flow, 0));
    flow_begin(&m.flow, CAP);
    assert_int_equal(flow_whole(&m.flow), FLOW_LEAST);
    assert_int_equal(flow_segment(&m.flow, SEGMENT), FLOW_SEGMENT_LEAST);
    assert_int_equal(flow_segment(&m.flow, 4096), 4096);
    begin(&m, 100000, 2);
    run(&m, 1000);
    flow_begin(&m.flow, CAP); /* may be another line */
    assert_int_equal(flow_whole(&m.flow), FLOW_FIRST);
}

static void nothing_is_learnt_from_what_was_dropped(void **state)
{
    struct flow flow = {.cap = 0};
    (void)state;
    flow_begin(&flow, CAP);
    flow_sent(&flow, 1000, 0);
    assert_false(flow_room(&flow, CAP));
    flow_dropped(&flow, 1000);
    flow_acked(&flow, 0, 0, 60000);
    assert_int_equal(flow_whole(&flow), FLOW_FIRST);
    flow_sent(&flow, 1000, 60000); /* the next one is timed */
    flow_acked(&flow, 1000, 0, 120000);
    assert_int_equal(flow_whole(&flow), FLOW_LEAST);
}

static void never_more_than_was_announced(void **state)
{
    struct flow flow = {.cap = 0};
    (void)state;
    flow_begin(&flow, 1000);
    assert_int_equal(flow_whole(&flow), 1000);
    assert_true(flow_room(&flow, 999));
    assert_false(flow_room(&flow, 1000));
    for (int64_t now_ms = 0; now_ms < 100; now_ms += 2) {
        flow_sent(&flow, 1000, now_ms);
        assert_false(flow_room(&flow, 1000));
        flow_acked(&flow, 1000, 0, now_ms + 1);
    }
    assert_int_equal(flow_whole(&flow), 1000);
}

static void what_came_while_another_waited_waits_since_then(void **state)
{
    struct flow_taken taken = {.since_ms = 0};
    (void)state;
    assert_int_equal(flow_take(&taken, 1000), 1000);
    flow_through(&taken, 3000);
    assert_int_equal(flow_take(&taken, 3001), 1000);
    flow_through(&taken, 3002);
    assert_int_equal(flow_take(&taken, 3100), 3100);
}

/* ---- the side that asks ---- */

/* Asks until `entries` of `entry_bytes` have come over a line of so many bytes
 * a second with so long a way; returns how often. The longest call in *most_ms.
 */
static unsigned fetch(struct flow_asked *asked, uint64_t entries,
                      uint64_t entry_bytes, uint64_t rate, uint32_t way_ms,
                      uint32_t *most_ms)
{
    enum { HEAD_BYTES = 2500 }; /* signed head and certificates */
    unsigned calls = 0;
    *most_ms = 0;
    flow_ask_log(asked);
    while (entries > 0) {
        uint64_t n = flow_ask(asked);
        n = n < entries ? n : entries;
        uint64_t bytes = HEAD_BYTES + n * entry_bytes;
        uint32_t took = way_ms + (uint32_t)(bytes * 1000 / rate);
        flow_came(asked, n, bytes, took);
        *most_ms = took > *most_ms ? took : *most_ms;
        entries -= n;
        calls++;
    }
    return calls;
}

static void a_slow_line_is_asked_for_some_seconds_of_what_it_carries(void **s)
{
    struct flow_asked asked = {.bytes = 0};
    uint32_t most_ms;
    (void)s;
    /* A ping and its answer come through beside it, also when entries of the
     * next log are larger. */
    unsigned calls = fetch(&asked, 10000, 100, 2000, 600, &most_ms);
    assert_in_range(most_ms, 1, 20000);
    assert_in_range(calls, 1000000 / 20000, 1000000 / 10000);
    (void)fetch(&asked, 100, 1000, 2000, 600, &most_ms);
    assert_in_range(most_ms, 1, 20000);
}

static void a_quick_line_is_asked_for_all_of_it_soon(void **s)
{
    struct flow_asked asked = {.bytes = 0};
    uint32_t most_ms;
    (void)s;
    assert_in_range(fetch(&asked, 1000000, 100, 100000000, 200, &most_ms), 2,
                    12);
}

static void after_a_call_that_failed_little_is_asked_for(void **s)
{
    struct flow_asked asked = {.bytes = 0};
    uint32_t most_ms;
    (void)s;
    (void)fetch(&asked, 100000, 100, 100000000, 1, &most_ms);
    assert_true(flow_ask(&asked) > 10000);
    flow_came_not(&asked);
    assert_in_range(flow_ask(&asked), 1, 200);
}

static void at_least_one_is_asked_for(void **s)
{
    struct flow_asked asked = {.bytes = 0};
    (void)s;
    flow_came(&asked, 1, 900000, 400000);
    assert_int_equal(flow_ask(&asked), 1);
    flow_came(&asked, 1, 0, 0);
    assert_true(flow_ask(&asked) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_line_is_given_some_seconds_of_what_it_carries),
        cmocka_unit_test(a_quick_line_is_given_all),
        cmocka_unit_test(who_has_little_to_send_loses_no_room),
        cmocka_unit_test(a_batch_on_a_quick_line_is_one_message),
        cmocka_unit_test(what_does_not_fit_waits_for_room),
        cmocka_unit_test(a_busy_store_is_not_taken_for_a_slow_line),
        cmocka_unit_test(of_one_that_does_not_say_it_only_for_so_long),
        cmocka_unit_test(a_line_that_becomes_slow_is_given_less),
        cmocka_unit_test(what_was_slow_is_begun_with_slowly),
        cmocka_unit_test(nothing_is_learnt_from_what_was_dropped),
        cmocka_unit_test(never_more_than_was_announced),
        cmocka_unit_test(what_came_while_another_waited_waits_since_then),
        cmocka_unit_test(
            a_slow_line_is_asked_for_some_seconds_of_what_it_carries),
        cmocka_unit_test(a_quick_line_is_asked_for_all_of_it_soon),
        cmocka_unit_test(after_a_call_that_failed_little_is_asked_for),
        cmocka_unit_test(at_least_one_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
