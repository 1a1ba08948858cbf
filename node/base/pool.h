/* pool.h - a bounded pool of threads for what may block or compute long.
 *
 * A strand is a queue whose jobs run one at a time, in order, on whichever
 * thread is free: per-stream state needs no further lock while only its
 * strand touches it. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

struct pool;
struct strand;
typedef void pool_fn(void *ctx);

/* Threads named `name`-N. `queue_max` bounds jobs waiting outside strands. */
MUST_USE enum err pool_new(struct pool **out, const char *name,
                           unsigned threads, size_t queue_max,
                           struct errmsg *why);
/* ERR_BUSY when the queue is full: the caller refuses or stops reading. */
MUST_USE enum err pool_run(struct pool *pool, pool_fn *fn, void *ctx);
/* Waits for running and queued jobs, then joins and frees. NULL is allowed.
 * Strands must have been freed or be empty. */
void pool_close(struct pool **pool);

/* A strand outlives its jobs; free it when none is queued or running (its own
 * last job may free it). */
struct strand *strand_new(struct pool *pool);
/* Never refuses: whoever feeds a strand bounds what it has under way. */
void strand_run(struct strand *strand, pool_fn *fn, void *ctx);
void strand_free(struct strand *strand);

#endif
