/* lease_step.h - private to store: what the lease's thread does when. Pure.
 *
 *   WATCHING --lapsed or free--> ASKING --granted--> HOLDING
 *      ^                           |                    |
 *      +------- refused, failed ---+                    |
 *      +----------------- the row names another --------+
 *
 * WATCHING takes up HOLDING when the row names this process: an answer to
 * ASKING that did not come. Times are of one monotonic clock, in ms. */
#ifndef STORE_LEASE_STEP_H
#define STORE_LEASE_STEP_H

#include "base/err.h"

enum lease_state { LEASE_WATCHING, LEASE_ASKING, LEASE_HOLDING };
enum lease_work {
    LEASE_READ, /* the row */
    LEASE_TAKE, /* if it is as in `seen`, for a term one higher */
    LEASE_BEAT, /* to `seen.beat`, if it is of `seen.term` and this process */
};

struct lease_row {
    uint64_t term;
    uint64_t holder; /* a random number of a process; 0: nobody yet */
    uint64_t beat;
    bool free;
};

struct lease_machine {
    uint64_t self;
    uint32_t lapse_ms;
    enum lease_state state;
    bool met;              /* `seen` is set */
    struct lease_row seen; /* holding: of one's own; no beat goes twice */
    int64_t since_ms;      /* `seen` is known to be so since */
    int64_t at_ms;         /* when the next work is due */
    int64_t sent_ms;       /* of the work under way */
    int64_t until_ms;      /* holding: nobody else has it before */
};

void lease_init(struct lease_machine *m, uint64_t self, uint32_t lapse_ms,
                int64_t now_ms);
/* What is due at m->at_ms, and now under way. One of the three below follows.
 */
enum lease_work lease_begin(struct lease_machine *m, int64_t now_ms);
void lease_on_row(struct lease_machine *m, const struct lease_row *row,
                  int64_t now_ms);
/* Of LEASE_TAKE and LEASE_BEAT: whether the row was changed. */
void lease_on_done(struct lease_machine *m, bool changed, int64_t now_ms);
/* It was set free by this process, which asks again after a lapse only. */
void lease_on_freed(struct lease_machine *m, int64_t now_ms);
/* No answer, or an error: the work may have been done. */
void lease_on_failure(struct lease_machine *m, int64_t now_ms);

#endif
