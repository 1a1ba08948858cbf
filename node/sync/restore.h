/* restore.h - pulling back an own log that was rolled back (private to sync).
 *
 * The parent holds more of it, or another tail: the longest common prefix is
 * found by roots, a successor opens, and the lost tail comes back by Fetch as
 * verified segments. Works on a thread of its own, because it waits for
 * answers. An interrupted pull goes on from where it stands when the log is
 * named again. */
#ifndef SYNC_RESTORE_H
#define SYNC_RESTORE_H

#include "sync/sync.h"

struct restore;
/* `log` was worked on and may be shorter than before; a new own log may have
 * opened. `ended`: it was closed with less than its goal, so that what the
 * parent lacks of it can be sent now. `above`: an own log is the parent's up to
 * there, since it came from it; 0: nothing is known. On the thread. */
typedef void restore_changed_fn(void *ctx, const struct log_id *log, bool ended,
                                uint64_t above);
/* Some logs were not got: the parent should name them again, in a while. */
typedef void restore_retry_fn(void *ctx);
struct restore *restore_new(const struct sync_env *env,
                            struct rpc_channel *channel,
                            restore_changed_fn *changed,
                            restore_retry_fn *retry, void *ctx);
/* Any thread; a log that waits already is not added twice. */
void restore_log(struct restore *restore, const struct log_id *log);
/* A connection begins: it will say anew what the parent has. */
void restore_greeted(struct restore *restore);
/* The parent named all it has; once the own logs among it are worked off, a
 * store that waits for this takes records (store_parent_told()). */
void restore_told(struct restore *restore);
/* How many logs came back whole since the start. */
uint64_t restore_recovered(struct restore *restore);
/* Ends a pull under way; nothing new is begun. */
void restore_cancel(struct restore *restore);
/* Ends the thread; an unanswered question keeps it for its deadline. Before
 * the channel is closed; the calls above are allowed until restore_free(). */
void restore_stop(struct restore *restore);
void restore_free(struct restore **restore);

#endif
