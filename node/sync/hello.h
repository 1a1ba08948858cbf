/* hello.h - greetings, the same on both sides (private to sync). */
#ifndef SYNC_HELLO_H
#define SYNC_HELLO_H

#include "sync/sync.h"
#include "sync/wire.h"

#define SYNC_REPLICATE "/creditnode.federation.v1.Federation/Replicate"
#define SYNC_SUBSCRIBE "/creditnode.federation.v1.Federation/Subscribe"
#define SYNC_FETCH "/creditnode.federation.v1.Federation/Fetch"
#define SYNC_ROOT "/creditnode.federation.v1.Federation/Root"

/* Is this peer a node of the federation that was not revoked, and for the
 * second one a child of this node? ERR_DENIED names the reason; ERR_MOVED: and
 * the parent that it has now. */
MUST_USE enum err admit_node(const struct sync_env *env,
                             const struct principal *peer, struct errmsg *why);
MUST_USE enum err admit_child(const struct sync_env *env,
                              const struct principal *peer, struct errmsg *why);
/* Another number whenever the answers may have changed. */
uint64_t admit_generation(const struct sync_env *env);
/* A child's Hello if `window` is 0, else a parent's with sealing chains: its
 * own and, but for the farthest, those of its ancestors. */
void hello_put(const struct sync_env *env, uint64_t window, struct buf *out);
/* The other node's clock minus the monotonic one here, whatever it says. */
int64_t hello_ahead_ms(const struct wire_hello *hello);
/* By that, its clock minus the wall clock here, which may have been set since.
 */
int64_t hello_skew_ms(int64_t ahead_ms);
/* Do protocol, suite, federation, root document and name fit? The error's
 * text is for the other side. */
MUST_USE enum err hello_check(const struct sync_env *env,
                              const struct wire_hello *hello,
                              const struct principal *peer, struct errmsg *why);

#endif
