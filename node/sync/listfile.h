/* listfile.h - directives logs as files, for nodes that no line reaches.
 *
 *   "creditnode-directives 1\n"
 *   frames: u32 length, and so many bytes of a FeedMessage (federation.proto);
 *   a length of 0 ends the file
 *
 * First a Hello of whoever exported it, the root documents behind version 1,
 * then what Subscribe sends: Segments that lead to a signed head, and the
 * newest head. The bytes and signatures are those of the line, and so is what
 * is checked (intake.h).
 *
 * A file of a log of this node itself brings back what the node lost when it
 * was put back to an older state (reclaim.h).
 *
 * Threads: any; an object, one at a time. Both block: not on rpc workers. */
#ifndef SYNC_LISTFILE_H
#define SYNC_LISTFILE_H

#include "sync/sync.h"

#define LISTFILE_MAGIC "creditnode-directives 1\n"

/* ---- writing ---- */

/* Takes the next piece, at most LISTFILE_PIECE_MAX bytes. An error ends it. */
enum { LISTFILE_PIECE_MAX = 384 << 10 };
typedef enum err listfile_put_fn(void *ctx, struct slice piece);
/* Entries `from` and later of a directives log that is held here; from one past
 * its end: the newest head alone. *size is the size that the file leads to.
 * ERR_NOT_FOUND says how much is held. */
MUST_USE enum err listfile_export(const struct sync_env *env,
                                  const struct log_id *log, uint64_t from,
                                  listfile_put_fn *put, void *ctx,
                                  uint64_t *size, struct errmsg *why);

/* ---- taking ---- */

struct listfile;
/* `feed` may be NULL: it sends news on to the children. */
struct listfile *listfile_new(const struct sync_env *env, struct feed *feed);
void listfile_free(struct listfile **file);
/* The next bytes, any number. What was verified is durable when this returns.
 * An error says what is wrong and what to do, and ends the taking; what came
 * before is kept. */
MUST_USE enum err listfile_feed(struct listfile *file, struct slice bytes,
                                struct errmsg *why);
/* There are no more. ERR_INVALID: the file ends in the middle. */
MUST_USE enum err listfile_finish(struct listfile *file, struct errmsg *why);

/* What was taken so far. */
struct listfile_sum {
    struct log_id log;  /* that the file is of; incarnation 0: none came yet */
    uint64_t added;     /* entries that the file brought */
    uint64_t held;      /* in all, with what came another way meanwhile */
    int64_t signed_ms;  /* of the newest head in it, 0: none */
    bool is_older;      /* that head is older than what is held */
    bool succeeded;     /* a log of this node's own got a successor */
    uint64_t set_aside; /* of its packages, those that went to files */
    uint64_t roots;     /* root documents that were new */
};
void listfile_sum(const struct listfile *file, struct listfile_sum *out);

#endif
