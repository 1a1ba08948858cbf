/* reflection.h - what this node serves, told to tools; private to rpc.
 *
 * grpc.reflection.v1 and v1alpha, which differ in nothing but their name. Any
 * peer that passed TLS may ask: nothing is told but what stands in proto/.
 *
 * Bounded: a request by REFLECTION_REQUEST_MAX, the answers a peer has not
 * read, and how many peers ask at once: the newest takes the place of the one
 * that came longest ago. */
#ifndef RPC_REFLECTION_H
#define RPC_REFLECTION_H

#include "base/buf.h"
#include "rpc/rpc.h"

enum {
    REFLECTION_REQUEST_MAX = 4096, /* bytes */
    REFLECTION_STREAMS_MAX = 32,   /* of a server */
    REFLECTION_METHODS = 2,
};

/* ---- what is known (reflection_files.c); any thread ---- */

/* A FileDescriptorProto for ever; empty: there is none. */
struct slice reflection_file(struct slice name);
/* The file that declares "package.Type", "package.Service.Method" and the
 * like; empty: none does. *is_message, if not NULL: whether it is a message. */
struct slice reflection_declaring(struct slice symbol, bool *is_message);

/* ---- questions and answers ---- */

/* Appends the ServerReflectionResponse to a ServerReflectionRequest; what is
 * asked for and not there is an answer too. `methods` says what is served.
 * ERR_INVALID: no request. */
MUST_USE enum err reflection_answer(struct slice request,
                                    const struct rpc_method *methods,
                                    size_t count, struct buf *out);

struct reflection;
/* `methods` is borrowed; those of reflection itself are written to `own`,
 * which may be part of it. */
struct reflection *reflection_new(const struct rpc_method *methods,
                                  size_t count,
                                  struct rpc_method own[REFLECTION_METHODS]);
/* Ends the streams, those too that are still to open. */
void reflection_hang_up(struct reflection *reflection);
/* After all streams were closed. */
void reflection_free(struct reflection *reflection);

#endif
