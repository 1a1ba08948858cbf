/* ancestry.h - the sealing chains of a node's ancestors (private to sync). */
#ifndef SYNC_ANCESTRY_H
#define SYNC_ANCESTRY_H

#include "sync/sync.h"
#include "sync/wire.h"

/* `fn` is called after each change, on the thread that made it; NULL ends
 * that. One watcher. */
typedef void ancestry_fn(void *ctx);
void ancestry_watch(struct ancestry *ancestry, ancestry_fn *fn, void *ctx);
/* What the parent says, to be judged. */
void ancestry_set(struct ancestry *ancestry, const struct wire_list *chains);
/* Asks `fits` about each chain that the parent named; those it says no to are
 * no ancestors' until it is asked again. True if they are other ones than
 * before. One judgement at a time. */
typedef bool ancestry_fits_fn(void *ctx, struct slice chain);
bool ancestry_judge(struct ancestry *ancestry, ancestry_fits_fn *fits,
                    void *ctx);
/* Appends the chains that fitted, nearest first, and fills `at` with where
 * they are in `out`; returns how many. */
size_t ancestry_get(struct ancestry *ancestry, struct buf *out,
                    struct slice at[WIRE_CHAINS_MAX]);

#endif
