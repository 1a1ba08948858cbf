/* ticker.h - one timer on the loop that any thread may set.
 *
 * Setting it costs a post only when it must fire earlier than it would. */
#ifndef BASE_TICKER_H
#define BASE_TICKER_H

#include "base/loop.h"

struct ticker;
typedef void ticker_fn(void *ctx);

struct ticker *ticker_new(struct loop *loop, ticker_fn *fn, void *ctx);
/* Loop thread. `fn` is not called any more. NULL is allowed. */
void ticker_free(struct ticker **ticker);
/* Calls `fn` once, on the loop thread, not before `at_ms` of the monotonic
 * clock; the earliest wish wins and the others are forgotten. */
void ticker_at(struct ticker *ticker, int64_t at_ms);

#endif
