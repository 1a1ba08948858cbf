/* copy.h - moves what a node stores to another database
 * (docs/decisions/0016-store-copy.md).
 *
 * Passes bring the copy up to its source and prove it by roots. They may be
 * made beside the node that runs on the source; the last one is made when
 * nobody has it, and ends with the source given up for good: at no moment do
 * two stores exist on which a node would run. A stop at any moment is gone on
 * from by making a pass again.
 *
 * Threads: all functions of one copy on one thread; blocks. */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/store.h"

/* What this process has read back of a copy so far; a pass reads the rest. */
struct store_copy;
struct store_copy *copy_new(void);
/* NULL is allowed; sets it to NULL. */
void copy_free(struct store_copy **copy);

struct copy_counts {
    uint64_t logs;
    uint64_t entries;     /* that the copy holds now */
    uint64_t copied;      /* by this pass */
    uint64_t read_back;   /* by this pass, each hashed */
    uint64_t set_aside;   /* waiting for a number; last pass only */
    uint64_t issues_from; /* entries without effect, on either side */
    uint64_t issues_to;
};

enum copy_phase { COPY_WRITES, COPY_READS_BACK };
typedef void copy_progress_fn(void *ctx, enum copy_phase phase, uint64_t done,
                              uint64_t total);

struct copy_job {
    const struct store_conf
        *from; /* beside: a snapshot's folder, if embedded */
    const struct store_conf *to;
    /* For people, kept in the marks: the configurations. */
    const char *from_name;
    const char *to_name;
    /* Of the node that both belong to; its keyring is frozen. Opened after the
     * snapshot was made. */
    const struct store_env *env;
    bool last; /* take the source, and end the move */
    /* Last pass: copies what belongs to the node and is not in the store. The
     * source is still in use if it fails. */
    enum err (*carry)(void *ctx, struct errmsg *why);
    copy_progress_fn *progress; /* may be NULL */
    void *ctx;                  /* of both */
};

/* One pass. ERR_BUSY: another process has the source (last) or the copy;
 * ERR_CONF: one of them is not what it should be, `why` says what to do;
 * ERR_CORRUPT, ERR_CONFLICT: the logs of the copy are no beginning of the
 * source's. After any error the same may be tried again. */
MUST_USE enum err copy_pass(struct store_copy *copy, const struct copy_job *job,
                            struct copy_counts *out, struct errmsg *why);

/* Does a process have the store in `conf`'s folder? Not for one's own. */
bool copy_in_use(const struct store_conf *conf);
/* Removes what store_snapshot() made. */
void copy_drop_snapshot(const char *path);

#endif
