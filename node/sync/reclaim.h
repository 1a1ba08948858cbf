/* reclaim.h - an own directives log comes back from a file (private to sync).
 *
 * An issuer that was put back to an older state holds less of its own log, or
 * another tail, than the nodes below it. It must not sign on from there. Any of
 * them can write the log to a file (listfile.h); here it is verified from entry
 * 1 on by the signatures of this node itself, the longest common prefix is
 * found, the log gets a successor (store_succeed()) and its lost tail is read
 * in. Packages that were published behind the common prefix are written to
 * files first, so that a person can decide to publish them again.
 *
 * States: the log is not here at all: it comes back whole. Active or forked: a
 * file that holds no more, and nothing else, changes nothing; one that does
 * makes a successor. Pulling: an interrupted one goes on. Closed: nothing is
 * left to do.
 *
 * Threads: one at a time, an object. Blocks for the store. */
#ifndef SYNC_RECLAIM_H
#define SYNC_RECLAIM_H

#include "sync/recv.h"
#include "sync/sync.h"

struct reclaim;
struct reclaim *reclaim_new(const struct sync_env *env,
                            const struct log_id *log);
void reclaim_free(struct reclaim **reclaim);

/* The next segment of the file, from entry 1 on. ERR_OK: *out is to be appended
 * to the store, or NULL if all of it is held. Errors are those of
 * recv_segment(); ERR_CONFLICT: it is not the copy that is being read in. */
MUST_USE enum err reclaim_segment(struct reclaim *reclaim,
                                  const struct wire_segment *in,
                                  struct segment **out, struct errmsg *why);

struct reclaim_sum {
    bool succeeded;     /* a successor was opened by this file */
    uint64_t held;      /* entries here, without what is to be appended */
    uint64_t set_aside; /* packages written to files */
};
void reclaim_sum(const struct reclaim *reclaim, struct reclaim_sum *out);

#endif
