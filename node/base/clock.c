#include "base/clock.h"

#include <stdlib.h>

static int64_t skew_ms;
static pthread_once_t skew_once = PTHREAD_ONCE_INIT;

static void read_skew(void)
{
    const char *text = getenv("CREDITNODE_CLOCK_SKEW_MS");
    skew_ms = text != NULL ? strtoll(text, NULL, 10) : 0;
}

static int64_t read_ns(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    (void)pthread_once(&skew_once, read_skew);
    return read_ns(CLOCK_REALTIME) / 1000000 + skew_ms;
}

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}

int64_t clock_cpu_ms(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000000;
}

void clock_sleep(int64_t ms)
{
    const struct timespec t = {.tv_sec = ms / 1000,
                               .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

void clock_until(int64_t ms, struct timespec *out)
{
    (void)clock_gettime(CLOCK_MONOTONIC, out);
    int64_t ns = out->tv_nsec + ms % 1000 * 1000000;
    out->tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    out->tv_nsec = (long)(ns % 1000000000);
}

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}
