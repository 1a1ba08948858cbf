/* roots.h - versions of the root document over one stream (private to sync).
 *
 * Both Hellos name the newest version; who has more sends what the other lacks,
 * one document a message, and until it came nothing else that the documents
 * could say something about is taken. Whatever comes to be known later goes to
 * every neighbour at once.
 *
 * Threads: a stream's callbacks, but for `has`, which has the caller's lock. */
#ifndef SYNC_ROOTS_H
#define SYNC_ROOTS_H

#include "ident/rootchain.h"
#include "sync/sync.h"
#include "sync/wire.h"

/* The other side of one stream. */
struct roots {
    uint64_t has;     /* lock: it knows versions up to this; 0: no Hello yet */
    uint64_t awaited; /* named in its Hello, still to come; 0: nothing */
    struct hash awaited_hash;
};

/* Does the peer's Hello fit ours? On its first one `*has` comes back as what
 * `roots->has` is to be, and what is to be awaited is noted. ERR_FORKED:
 * another text of a version that is known here. */
MUST_USE enum err roots_greeted(struct roots *roots, const struct sync_env *env,
                                const struct principal *peer,
                                const struct wire_hello *hello, uint64_t *has,
                                struct errmsg *why);
/* A document came; `*has` as above. */
MUST_USE enum err roots_take(struct roots *roots, const struct sync_env *env,
                             const struct principal *peer,
                             const struct wire_root_document *message,
                             uint64_t *has, struct errmsg *why);
/* May a message of this kind be taken now? ERR_PROTOCOL: documents were
 * announced and must come first; ERR_FORKED: they are not the ones announced.
 */
MUST_USE enum err roots_settled(struct roots *roots, const struct sync_env *env,
                                const struct principal *peer,
                                enum wire_kind kind, struct errmsg *why);
/* Lock held. Appends the message with the next document that the peer lacks,
 * and counts it as known there; false: it lacks none. `put` is the side's
 * wire_put_…_root(). */
MUST_USE bool roots_next(struct roots *roots, const struct sync_env *env,
                         void (*put)(struct buf *out, struct slice text),
                         struct buf *message);

#endif
