/* clock.h - the wall clock for people and dates, the monotonic one for waits.
 *
 * CREDITNODE_CLOCK_SKEW_MS in the environment shifts the wall clock of one
 * process, so that tests can run a node with a wrong clock. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Milliseconds since 1970-01-01 UTC. May jump. */
int64_t clock_wall_ms(void);
/* Never goes back; start is arbitrary. */
int64_t clock_mono_ms(void);
int64_t clock_mono_ns(void);
/* Processor time of all threads of this process so far. */
int64_t clock_cpu_ms(void);
/* May return early, on a signal. */
void clock_sleep(int64_t ms);

/* For pthread_cond_timedwait() on a condition made by clock_cond_init(), which
 * waits by the monotonic clock. `ms` is not below 0. */
void clock_until(int64_t ms, struct timespec *out);
void clock_cond_init(pthread_cond_t *cond);

#endif
