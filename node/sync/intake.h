/* intake.h - directives logs of the authorities above this node, verified as
 * they come, whichever way: from the parent or from a file (private to sync).
 *
 * Threads: one at a time, an object. */
#ifndef SYNC_INTAKE_H
#define SYNC_INTAKE_H

#include "sync/recv.h"
#include "sync/sync.h"

struct intake_log {
    struct log_id log; /* first: see logmap.h */
    struct recv_log *recv;
    struct buf chain; /* that came last: heads after it may come without one */
    bool stopped;     /* refused: nothing more of it is taken */
    bool behind;      /* the other side was put back, and that was said */
    bool met;         /* follow.c's: it has looked at `shown` */
    /* Newest size that this way has shown to be there, or was known before … */
    uint64_t shown;
    uint64_t ahead; /* … and what came before the other side held it */
};

/* What comes over one line, or in one file. */
struct intake;
struct intake *intake_new(const struct sync_env *env);
void intake_free(struct intake **intake);

/* The log, ready to take what comes. ERR_DENIED: it is refused, and `refusal`
 * says why; its text is empty if that was said before. A passing error, here
 * and below, says nothing against the log: it can be tried again. */
MUST_USE enum err intake_log(struct intake *intake, const struct log_id *log,
                             struct intake_log **out, struct refusal *refusal);
/* ERR_OK: *out is to be appended to the store, or NULL if all of it is held;
 * `held` is the size here. A segment under an older head than the newest one
 * known, whichever way that came, adds nothing: its head is compared with the
 * tree here, or if it reaches past that, ERR_BUSY: the entries up to the newest
 * one are to come first. After any other error the log is stopped; if two
 * signed heads disagree it was marked as forked, with the other one as
 * evidence. */
MUST_USE enum err intake_segment(struct intake *intake, struct intake_log *log,
                                 const struct wire_segment *in,
                                 struct segment **out, uint64_t *held,
                                 struct refusal *refusal);
/* The same for a small segment that follows on what is here, under a newer
 * head: reads no disk, so that the poller may ask. `out` is its log. NULL: it
 * is none, or is refused; nothing was taken, and intake_segment() says why. */
MUST_USE struct segment *intake_segment_now(struct intake *intake,
                                            const struct wire_segment *in,
                                            struct intake_log **out,
                                            uint64_t *held);
/* A signed head without entries. ERR_OK: it fits; `held` is the size here.
 * ERR_NOT_FOUND: nothing is held of the log. Other errors as above, but
 * marking the log is left to intake_fork(). */
MUST_USE enum err intake_head(struct intake *intake, struct intake_log *log,
                              const struct wire_evidence *in,
                              struct checkpoint *out, uint64_t *held,
                              struct refusal *refusal);
/* Two signed heads disagree: the log goes no further here. */
void intake_fork(struct intake *intake, struct intake_log *log,
                 struct slice note, const struct refusal *refusal);

#endif
