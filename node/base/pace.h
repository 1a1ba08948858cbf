/* pace.h - how often a line is written that others can cause: who sends
 * without end must not fill the disk with it.
 *
 * Threads: any. */
#ifndef BASE_PACE_H
#define BASE_PACE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/log.h"

enum {
    PACE_BURST = 20,      /* lines at once */
    PACE_EVERY_MS = 1000, /* then one in this time */
};

/* Of one kind of line; all 0 at first, so a static one needs no more. */
struct pace {
    atomic_llong next_ms; /* monotonic: when the burst is whole again */
    atomic_uint held;
};

/* True: write it, and that *held like it were held back before. */
bool pace_allows(struct pace *pace, unsigned *held);

/* log_warn(), with `more` for those lines of `pace` that were held back. */
void pace_warn(struct pace *pace, const struct log_ctx *ctx, const char *id,
               const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
