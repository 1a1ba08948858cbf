/* clock.h - the wall clock for people and dates, the monotonic one for waits.
 *
 * CREDITNODE_CLOCK_SKEW_MS in the environment shifts the wall clock of one
 * process, so that tests can run a node with a wrong clock. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC. May jump. */
int64_t clock_wall_ms(void);
/* Never goes back; start is arbitrary. */
int64_t clock_mono_ms(void);
int64_t clock_mono_ns(void);

#endif
