/* Lines that others can cause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/pace.h"

enum { TIMES = 1000000 };

static void a_burst_passes_and_then_one_a_second(void **state)
{
    static struct pace pace;
    unsigned passed = 0;
    unsigned told = 0;
    unsigned held;
    (void)state;
    int64_t begin = clock_mono_ms();
    for (unsigned i = 0; i < PACE_BURST; i++) {
        assert_true(pace_allows(&pace, &held));
        assert_int_equal(held, 0);
    }
    for (unsigned i = 0; i < TIMES; i++) {
        if (pace_allows(&pace, &held)) {
            passed++;
            told += held;
        }
    }
    int64_t seconds = (clock_mono_ms() - begin) / PACE_EVERY_MS;
    assert_true(passed <= seconds + 1);
    /* What was held back is counted, and said with the next that passes. */
    unsigned asked = TIMES + 1;
    for (; !pace_allows(&pace, &held); asked++) {
        clock_sleep(10);
    }
    assert_int_equal(passed + 1 + told + held, asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_and_then_one_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
