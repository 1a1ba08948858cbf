/* stored.h - the logs in the folder of a store that no process has open.
 *
 * Read as they are written, by no node: what a node answers, and the roots that
 * it tells, do not matter. Writes nothing.
 *
 * Threads: one of a struct stored. */
#ifndef RUN_STORED_H
#define RUN_STORED_H

#include "base/err.h"
#include "ident/suite.h"
#include "mlog/log_id.h"

struct stored;
struct stored_log {
    uint32_t id; /* the store's own */
    struct log_id log;
    uint64_t size;
    struct hash root;
};

/* ERR_IO, ERR_CORRUPT: it cannot be read, or a head cannot. */
MUST_USE enum err stored_open(struct stored **out, const char *path,
                              struct errmsg *why);
/* NULL is allowed; sets it to NULL. */
void stored_close(struct stored **stored);
/* All of them, in order of log_id_cmp(); borrowed. */
const struct stored_log *stored_logs(const struct stored *stored, size_t *n);

/* Of an erased entry no bytes are there. False ends the reading. */
typedef bool stored_entry_fn(void *ctx, const struct log_id *log,
                             uint64_t number, struct slice entry);
/* Every entry once, in order. ERR_CORRUPT: they are not all there or cannot be
 * read, or, if `root` is to be looked at, have another root than the head; in
 * this case `fn` was called for all. ERR_CANCELLED: `fn` said so. ERR_IO. */
MUST_USE enum err stored_read(struct stored *stored,
                              const struct stored_log *log, enum suite suite,
                              bool root, stored_entry_fn *fn, void *ctx,
                              struct errmsg *why);

#endif
