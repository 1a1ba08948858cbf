/* admin.h - the local socket that the commands of this program talk to.
 *
 * A connection carries one call. Frames both ways: u32 length (big-endian, at
 * most ADMIN_FRAME_MAX) and that many bytes. The client's first frame is a
 * JSON object with "cmd"; a command that takes data (import) reads further
 * frames until an empty one. The server answers with JSON objects; the last
 * has "type" "result" or "error". Whoever may open the socket (mode 0600) may
 * do all of it.
 *
 * Threads: an accepting thread, and one thread a call, at most
 * ADMIN_CALLS_MAX; commands may block. */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include <jansson.h>

#include "base/buf.h"

enum {
    ADMIN_FRAME_MAX = 1 << 20,
    ADMIN_CALLS_MAX = 8,
    ADMIN_IDLE_S = 60, /* without a frame the other side is given up */
};

struct admin;
struct admin_call;
/* Runs on the call's thread; sends rows and returns ERR_OK with *result set
 * (or NULL for an empty one), or an error with one line for the person. */
typedef enum err admin_fn(void *ctx, struct admin_call *call, json_t *args,
                          json_t **result, struct errmsg *why);
struct admin_command {
    const char *name;
    admin_fn *fn;
    /* Asked before, with the same ctx, if it is not NULL: the call is refused
     * with its error. */
    enum err (*may)(const void *ctx, struct errmsg *why);
};

/* Replaces a socket left behind by a dead process; ERR_BUSY if a live one
 * answers. `commands` and `ctx` outlive it. */
MUST_USE enum err admin_open(struct admin **out, const char *path,
                             const struct admin_command *commands, size_t n,
                             void *ctx, struct errmsg *why);
/* Ends calls under way and joins their threads. NULL is allowed. */
void admin_close(struct admin **admin);

/* Sends one object; takes the reference. ERR_CANCELLED: the client is gone. */
enum err admin_send(struct admin_call *call, json_t *object);
/* The next data frame (replaces `frame`'s content); len 0 is the end. */
MUST_USE enum err admin_recv(struct admin_call *call, struct buf *frame);
/* True once the node stops or the client is gone: long commands look at it. */
bool admin_cancelled(struct admin_call *call);

/* ---- the client's side ---- */

struct admin_client;
MUST_USE enum err admin_connect(struct admin_client **out, const char *path,
                                struct errmsg *why);
void admin_disconnect(struct admin_client **client);
/* Nothing more will be written: the node sees a call that was cut off. What it
 * answers can still be read. */
void admin_cut(struct admin_client *client);
MUST_USE enum err admin_write(struct admin_client *client, struct slice frame);
/* Takes the reference. */
MUST_USE enum err admin_write_json(struct admin_client *client, json_t *object);
/* The next object, owned by the caller. */
MUST_USE enum err admin_read(struct admin_client *client, json_t **out,
                             struct errmsg *why);

#endif
