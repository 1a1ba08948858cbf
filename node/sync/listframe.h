/* listframe.h - the messages of a directives file, cut out of its bytes as they
 * come (private to sync; the form: listfile.h). Pure.
 *
 * Threads: one at a time, an object. */
#ifndef SYNC_LISTFRAME_H
#define SYNC_LISTFRAME_H

#include "base/buf.h"
#include "rpc/rpc.h"

enum { LISTFRAME_MAX = RPC_MESSAGE_MAX }; /* bytes of a message: as on a line */

struct listframe {
    struct buf bytes; /* not yet a whole frame */
    bool begun;       /* the first line was met */
    bool ended;       /* the end was */
};
/* `message` is lent for the call. An error ends the feeding. */
typedef enum err listframe_fn(void *ctx, struct slice message,
                              struct errmsg *why);

/* The next bytes, any number; `fn` gets each message that is whole.
 * ERR_INVALID: not this form, a frame too large, bytes behind the end; or what
 * `fn` said. Nothing may be fed after an error. */
MUST_USE enum err listframe_feed(struct listframe *frames, struct slice bytes,
                                 listframe_fn *fn, void *ctx,
                                 struct errmsg *why);
void listframe_fini(struct listframe *frames);

#endif
