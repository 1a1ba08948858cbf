/* remote.h - asking another node for roots (private to sync). Blocks. */
#ifndef SYNC_REMOTE_H
#define SYNC_REMOTE_H

#include "sync/hello.h"

/* A poor line may carry something else for 16 s, each way. */
enum { REMOTE_DEADLINE_MS = 45000 };

/* `bytes` holds what `reply` borrows. Size 0: the newest. */
MUST_USE enum err remote_root(struct rpc_channel *channel,
                              const struct log_id *log, uint64_t size,
                              struct buf *bytes, struct wire_root_reply *reply,
                              struct errmsg *why);
/* Is (size, root) part of the tree that the note is signed over, and the note
 * signed by the log's origin, or what a seal names? Then nobody but the origin
 * can have made it up. ERR_BAD_PROOF, ERR_BAD_SIGNATURE, ERR_UNAUTHENTICATED.
 */
MUST_USE enum err remote_prove(struct trust *trust, struct roster *roster,
                               const struct log_id *log,
                               const struct wire_root_reply *reply,
                               struct checkpoint *note, struct errmsg *why);
/* The longest prefix, at most `upto`, that both copies agree on. With `env`
 * each answer must be proven; NULL: it is taken as told. */
MUST_USE enum err remote_common(struct rpc_channel *channel,
                                const struct sync_env *env,
                                const struct log_id *log,
                                const struct tree_view *ours, uint64_t upto,
                                uint64_t *common, struct errmsg *why);

#endif
