/* work.h - the acts of a profile: done, measured, remembered.
 *
 * Which office acts and when follows from the seed. Imports and directives are
 * processes of `creditnode`, as an office would run them; questions go to the
 * admin socket from libuv's threads, since a frozen node answers nobody. What
 * was acknowledged is the model that check.c compares with.
 *
 * Threads: one, and libuv's for questions. */
#ifndef RUN_WORK_H
#define RUN_WORK_H

#include "run/run.h"

/* A package that was published, by its last entry. */
struct decided {
    char log[LOG_ID_TEXT_MAX];
    unsigned issuer; /* node */
    uint64_t last;
    uint64_t acked_ms;
    uint64_t first_subject; /* of bench_subject_code(), one a listing */
    uint32_t listings;      /* 0: a removal */
    bool ending;            /* a removal of them was begun */
    uint64_t ended;         /* entry with which they end; 0: not known to */
};
/* Are the listings of `d` in force where its log is held up to `position`?
 * Unknown while a removal is under way, and for good when that was broken off.
 */
enum in_force { IN_FORCE_NO, IN_FORCE_YES, IN_FORCE_UNKNOWN };
enum in_force decided_in_force(const struct run *run, const struct decided *d,
                               uint64_t position);

/* A node that holds the log of `d` up to `position` answered whether `subject`,
 * one of those listed, is on a list. */
void decided_judge(struct run_node *n, const struct decided *d,
                   uint64_t position, const char *subject, bool listed);
/* Number of the first listing of `d`: its last entry ends the package. */
uint64_t decided_first(const struct decided *d);

#define EFFECT_APP "counter"

/* What an office did about a listing, as it was acknowledged. */
struct effect {
    unsigned office; /* node */
    size_t decided;
};

void work_start(struct run *run);
/* Begins what is due. */
void work_go_on(struct run *run);
/* Repeats imports that were broken off. True: nothing is under way or left. */
bool work_finish(struct run *run);
/* Once nothing is under way. */
void work_free(struct run *run);

/* Nothing is followed any more: threads end soon. */
void work_stop(struct run *run);

/* The import of `n` ended; status 0 and 3 mean that it is in. `receipts` of its
 * rows were acknowledged, now or before. */
void work_imported(struct run_node *n, int64_t status, unsigned receipts);
/* A record of `n` was acknowledged just now. */
void work_acked(struct run_node *n);
/* The directive of `n` ended; its answer is in the file. */
void work_decided(struct run_node *n, int64_t status, const char *path);
/* The feedback of `n` ended. */
void work_reported(struct run_node *n, int64_t status);
/* That fault is over and its node ready: how long until what it had
 * acknowledged is above? */
void work_follow(struct run *run, size_t fault);

#endif
