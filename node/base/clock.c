#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

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
