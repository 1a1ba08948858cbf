/* loop.h - the one libuv loop of a process and its mailbox.
 *
 * Timers and pipes are plain libuv handles on loop_uv(). Other threads reach
 * the loop only by loop_post(). */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <uv.h>

#include "base/err.h"

struct loop;
typedef void loop_fn(void *ctx);

MUST_USE enum err loop_new(struct loop **out, struct errmsg *why);
uv_loop_t *loop_uv(struct loop *loop);
/* Runs `fn(ctx)` on the loop thread, in posting order. Any thread. Posts made
 * after loop_close() are dropped. */
void loop_post(struct loop *loop, loop_fn *fn, void *ctx);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
/* Any thread. */
void loop_stop(struct loop *loop);
/* Loop thread, after every other handle was closed: runs what is left, closes
 * the mailbox and frees; ERR_BUG if a handle was left open. */
enum err loop_close(struct loop **loop);

#endif
