/* receipts.h - the receipts of this node's children, checked and kept, and its
 * own to its parent (private to sync; what they say is in sync.h).
 *
 * Threads: any. Every function allows NULL for `receipts`. */
#ifndef SYNC_RECEIPTS_H
#define SYNC_RECEIPTS_H

#include "sync/sync.h"

/* A child's stream began (`here`) or ended. */
void receipts_child(struct receipts *receipts, const struct principal *child,
                    bool here);
/* A child's receipt. ERR_INVALID, ERR_DENIED, ERR_BAD_SIGNATURE and those of
 * trust_check() say that it is none; ERR_BUSY: there are too many. One that
 * contradicts the log held here is no error: it is kept as evidence, and all
 * its nodes count as holding nothing. */
MUST_USE enum err receipts_came(struct receipts *receipts,
                                const struct principal *child,
                                struct slice text, struct slice chain,
                                struct errmsg *why);
/* A directives log grew here: the parent is told soon. Does not block. */
void receipts_changed(struct receipts *receipts);
/* Hands a whole FollowerMessage to the parent; takes its bytes. False: there
 * is no room now, try again. A worker. */
typedef bool receipts_send_fn(void *ctx, struct buf *message);
/* From now on `send` is called, and with everything soon; NULL: nothing is
 * sent, and no call is under way once this returns. */
void receipts_connect(struct receipts *receipts, receipts_send_fn *send,
                      void *ctx);

#endif
