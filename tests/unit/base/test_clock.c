/* The clocks, and the shift of the wall clock for tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { NEAR_MS = 60000 };

/* The shift is read once in a process, so each look is a process of its own;
 * this one never asks the wall clock. */
static bool wall_is_shifted_by(const char *skew, int64_t ms)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int rc = skew != NULL ? setenv("CREDITNODE_CLOCK_SKEW_MS", skew, 1)
                              : unsetenv("CREDITNODE_CLOCK_SKEW_MS");
        int64_t off = clock_wall_ms() - (int64_t)time(NULL) * 1000 - ms;
        _exit(rc == 0 && off > -NEAR_MS && off < NEAR_MS ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void environment_shifts_the_wall_clock(void **state)
{
    (void)state;
    assert_true(wall_is_shifted_by(NULL, 0));
    assert_true(wall_is_shifted_by("3600000", 3600000));
    assert_true(wall_is_shifted_by("-86400000", -86400000));
    assert_true(wall_is_shifted_by("nonsense", 0));
}

static void monotonic_clock_goes_on_and_is_not_shifted(void **state)
{
    (void)state;
    int64_t last = clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_ns();
        assert_true(now >= last);
        last = now;
    }
    struct timespec ts;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
    int64_t off = clock_mono_ms() - (int64_t)ts.tv_sec * 1000;
    assert_true(off >= 0 && off < NEAR_MS);
}

/* Between two looks at the clock, whatever is carried over. */
static void a_deadline_is_as_far_as_it_says(void **state)
{
    static const int64_t ms[] = {0, 1, 999, 1000, 1001, 123456789};
    (void)state;
    for (size_t i = 0; i < sizeof ms / sizeof ms[0]; i++) {
        struct timespec until;
        int64_t before = clock_mono_ns();
        clock_until(ms[i], &until);
        int64_t after = clock_mono_ns();
        int64_t at = (int64_t)until.tv_sec * 1000000000 + until.tv_nsec;
        assert_true(until.tv_nsec >= 0 && until.tv_nsec < 1000000000);
        assert_true(at >= before + ms[i] * 1000000);
        assert_true(at <= after + ms[i] * 1000000);
    }
}

static void a_condition_waits_by_the_monotonic_clock(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    struct timespec until;
    (void)state;
    clock_cond_init(&cond);
    int64_t before = clock_mono_ms();
    clock_until(20, &until);
    assert_int_equal(pthread_mutex_lock(&lock), 0);
    int rc = 0;
    while (rc == 0) {
        rc = pthread_cond_timedwait(&cond, &lock, &until);
    }
    assert_int_equal(pthread_mutex_unlock(&lock), 0);
    assert_int_equal(rc, ETIMEDOUT);
    assert_true(clock_mono_ms() - before >= 20);
    assert_int_equal(pthread_cond_destroy(&cond), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment_shifts_the_wall_clock),
        cmocka_unit_test(monotonic_clock_goes_on_and_is_not_shifted),
        cmocka_unit_test(a_deadline_is_as_far_as_it_says),
        cmocka_unit_test(a_condition_waits_by_the_monotonic_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
