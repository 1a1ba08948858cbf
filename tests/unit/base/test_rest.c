/* When a process at rest gives memory back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rest.h"

enum { MIB = 1 << 20, IDLE_MS = REST_LOOK_MS / REST_IDLE_PART };

/* Looks one after the other: what was worked since the last, what is resident,
 * and whether to give back. */
struct seen {
    int64_t worked_ms;
    size_t mib;
    bool gives;
};

struct scene {
    struct rest rest;
    struct rest_look now;
};

static void begin(struct scene *s)
{
    s->now = (struct rest_look){
        .at_ms = 5000, .cpu_ms = 90, .resident = 28 * (size_t)MIB};
    rest_begin(&s->rest, &s->now);
}

static void follow(struct scene *s, const struct seen *seen, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->now.at_ms += REST_LOOK_MS;
        s->now.cpu_ms += seen[i].worked_ms;
        s->now.resident = seen[i].mib * MIB;
        if (rest_look(&s->rest, &s->now) != seen[i].gives) {
            fail_msg("look %zu: not as expected", i + 1);
        }
    }
}
#define FOLLOW(s, ...)                                                         \
    do {                                                                       \
        static const struct seen seen[] = {__VA_ARGS__};                       \
        follow(s, seen, ARRAY_LEN(seen));                                      \
    } while (0)

/* A start that is over, and so many MiB left for long. */
static void begin_at_rest(struct scene *s, size_t mib)
{
    struct seen seen[] = {{5, mib, false}};
    begin(s);
    for (unsigned i = 0; i < 1000; i++) {
        s->now.at_ms += REST_LOOK_MS;
        s->now.resident = mib * MIB;
        (void)rest_look(&s->rest, &s->now);
    }
    while (s->rest.gave) {
        follow(s, seen, ARRAY_LEN(seen));
    }
}

static void what_a_start_left_behind_goes(void **state)
{
    struct scene s;
    (void)state;
    begin(&s);
    FOLLOW(&s, {9000, 25, false}, {9000, 26, false}, {5, 26, true},
           {5, 7, false});
}

/* One, two, four minutes after the last time, and ten at most. */
static void rest_gives_ever_more_rarely(void **state)
{
    struct scene s;
    int64_t gave_ms = 0;
    int64_t wait_ms = 0;
    (void)state;
    begin(&s);
    for (unsigned i = 0; i < 2000; i++) {
        s.now.at_ms += REST_LOOK_MS;
        s.now.resident = 7 * (size_t)MIB;
        if (!rest_look(&s.rest, &s.now)) {
            continue;
        }
        if (gave_ms != 0) {
            int64_t wanted = 2 * (wait_ms > 0 ? wait_ms : REST_LOOK_MS);
            wait_ms = s.now.at_ms - gave_ms;
            assert_int_equal(wait_ms,
                             wanted < REST_AGAIN_MS ? wanted : REST_AGAIN_MS);
        }
        gave_ms = s.now.at_ms;
    }
    assert_int_equal(wait_ms, REST_AGAIN_MS);
}

static void what_rest_takes_is_left_alone(void **state)
{
    struct scene s;
    (void)state;
    begin_at_rest(&s, 7);
    FOLLOW(&s, {5, 7, false}, {5, 9, false}, {5, 8, false});
}

static void what_work_left_behind_goes_at_rest(void **state)
{
    struct scene s;
    (void)state;
    begin_at_rest(&s, 7);
    FOLLOW(&s, {900, 20, false}, {900, 21, false}, {5, 21, true}, {5, 7, false},
           {5, 7, true}, {5, 7, false});
}

static void what_work_left_within_bounds_goes_too(void **state)
{
    struct scene s;
    (void)state;
    begin_at_rest(&s, 7);
    FOLLOW(&s, {900, 8, false}, {5, 8, true}, {5, 7, false});
}

static void little_work_now_and_then_is_rest_too(void **state)
{
    struct scene s;
    (void)state;
    begin_at_rest(&s, 7);
    FOLLOW(&s, {IDLE_MS, 12, true}, {5, 8, false}, {5, 8, true}, {5, 8, false},
           {IDLE_MS + 1, 12, false}, {5, 12, true});
}

/* Else each look would take away what the next moment brings again. */
static void what_comes_again_at_once_stays(void **state)
{
    struct scene s;
    (void)state;
    begin_at_rest(&s, 7);
    FOLLOW(&s, {5, 20, true}, {5, 19, false}, {5, 20, true}, {5, 20, false},
           {5, 20, false}, {5, 20, false}, {5, 20, true});
}

/* A little work between giving back and the next look. */
static void what_was_taken_for_rest_goes_soon(void **state)
{
    struct scene s;
    (void)state;
    begin_at_rest(&s, 7);
    FOLLOW(&s, {5, 12, true}, {60, 25, false}, {5, 25, true}, {5, 7, false});
}

static void of_much_a_little_more_is_no_matter(void **state)
{
    struct scene s;
    (void)state;
    begin_at_rest(&s, 800);
    FOLLOW(&s, {5, 900, false}, {5, 901, true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_start_left_behind_goes),
        cmocka_unit_test(rest_gives_ever_more_rarely),
        cmocka_unit_test(what_rest_takes_is_left_alone),
        cmocka_unit_test(what_work_left_behind_goes_at_rest),
        cmocka_unit_test(what_work_left_within_bounds_goes_too),
        cmocka_unit_test(little_work_now_and_then_is_rest_too),
        cmocka_unit_test(what_comes_again_at_once_stays),
        cmocka_unit_test(what_was_taken_for_rest_goes_soon),
        cmocka_unit_test(of_much_a_little_more_is_no_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
