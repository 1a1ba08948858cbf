/* ancestry.h - the sealing chains of a node's ancestors (private to sync). */
#ifndef SYNC_ANCESTRY_H
#define SYNC_ANCESTRY_H

#include "sync/sync.h"
#include "sync/wire.h"

/* `fn` is called after each change, on the thread that made it; NULL ends
 * that. One watcher. */
typedef void ancestry_fn(void *ctx);
void ancestry_watch(struct ancestry *ancestry, ancestry_fn *fn, void *ctx);
/* Takes the parent's list over; true if it is not what was known. */
bool ancestry_set(struct ancestry *ancestry, const struct wire_list *chains);
/* Appends the chains, nearest first, and fills `at` with where they are in
 * `out`; returns how many. */
size_t ancestry_get(struct ancestry *ancestry, struct buf *out,
                    struct slice at[WIRE_CHAINS_MAX]);

#endif
