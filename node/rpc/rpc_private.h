/* rpc_private.h - what the parts of rpc/ share. Private.
 *
 * A tag of the completion queue is the address of a struct rpc_tag embedded
 * in the object it belongs to; the poller calls its function. */
#ifndef RPC_RPC_PRIVATE_H
#define RPC_RPC_PRIVATE_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdatomic.h>

#include "rpc/rpc.h"

enum {
    RPC_TEXT_MAX = 1024,   /* bytes of a status text, with the NUL */
    RPC_UNHANDLED_MAX = 4, /* received messages a stream holds */
    RPC_ARGS_MAX = 24,     /* channel arguments */
    RPC_MESSAGE_COST = 64, /* housekeeping of a queued message, bytes */
    RPC_BACKOFF_MIN_MS = 200,
    RPC_BACKOFF_MAX_MS = 5000,
    RPC_SWEEP_MS = 1000, /* between two looks for what is not read */
};

/* ---- core ---- */

struct rpc_tag {
    void (*fn)(struct rpc_tag *tag, bool ok);
};

struct peer_cache;

/* Calls that are due at a time (alarm.c). */
struct rpc_alarm;
struct alarms {
    pthread_mutex_t lock; /* list, running and what is in the alarms */
    pthread_cond_t idle;
    struct rpc_alarm *list;
    struct rpc_alarm *running;
    _Atomic int64_t first_ms; /* when the next is due; INT64_MAX: none is */
};
void alarms_init(struct alarms *alarms);
void alarms_fini(struct alarms *alarms);
/* The poller: how long it may sleep, 1 to `most`; and what is due. */
uint32_t alarms_wait_ms(struct alarms *alarms, int64_t now_ms, uint32_t most);
void alarms_run(struct alarms *alarms, int64_t now_ms);
/* What rpc_run_errand() was given. gRPC wakes its poller for an operation of a
 * call only, so there is a call to nowhere, whose batches are empty and done as
 * soon as they begin. */
struct errands {
    struct rpc_tag bell; /* under way while `ringing` */
    grpc_channel *nowhere;
    grpc_call *call;
    atomic_uint ringers;  /* threads that are about to ring, or just did */
    pthread_mutex_t lock; /* what follows */
    struct rpc_errand *first;
    struct rpc_errand **last;
    bool ringing;
};

struct rpc {
    struct rpc_conf conf;
    grpc_completion_queue *cq;
    grpc_resource_quota *quota;
    struct pool *pool;
    pthread_t poller;
    struct peer_cache *peers;
    struct alarms alarms;
    atomic_uint calls_waiting;   /* unary calls queued for a worker */
    atomic_size_t bytes_waiting; /* their requests */
    atomic_uint calls_open;      /* unary calls, until the answer was sent */
    atomic_size_t bytes_open;    /* their requests and answers */
    pthread_mutex_t lock;        /* taken before an owner's */
    struct rpc_owner *watched;
    struct errands errands;
};

/* ThreadSanitizer does not see the hand-over inside libgrpc, which is not
 * instrumented, so it is told: of tags, of bytes that gRPC frees, and of what
 * its callbacks look at. */
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define RPC_PUBLISH(object) __tsan_release(object)
#define RPC_CONSUME(object) __tsan_acquire(object)
/* Of its runtime, declared in no header of it. */
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#else
#define RPC_PUBLISH(object) ((void)(object))
#define RPC_CONSUME(object) ((void)(object))
#endif

/* Starts a batch; a refusal is a fault of this folder and ends the process,
 * because the tag would never come. */
void rpc_batch(grpc_call *call, const grpc_op *ops, size_t count,
               struct rpc_tag *tag);

/* Channel arguments of both sides, gathered on the stack. */
struct rpc_args {
    grpc_arg list[RPC_ARGS_MAX];
    size_t count;
};
void rpc_args_add(struct rpc_args *args, const char *key, int value);
void rpc_args_add_common(struct rpc_args *args, const struct rpc *rpc);

/* ---- bytes and status ---- */

/* Takes the bytes; `b` is empty and needs no buf_fini(). */
grpc_byte_buffer *rpc_bytes_from(struct buf *b);
/* Takes the reference; its bytes are not copied, those of `tail` are. */
grpc_byte_buffer *rpc_bytes_from_shared(struct shared **s, struct slice tail);
/* One slice, without a copy if the message came in one; destroys `bytes`,
 * which may be NULL. Unref the result. */
grpc_slice rpc_bytes_flatten(grpc_byte_buffer *bytes);
static inline bool rpc_bytes_compressed(const grpc_byte_buffer *bytes)
{
    return bytes->data.raw.compression != GRPC_COMPRESS_NONE;
}
/* Gives up what came in. Messages of several streams share what gRPC read at
 * once, and the last to go frees it. */
void rpc_slice_done(grpc_slice slice);
void rpc_bytes_done(grpc_byte_buffer *bytes); /* which may be NULL */
/* Borrowed view; `s` must stay where it is (short slices hold their bytes). */
struct slice rpc_slice_view(const grpc_slice *s);
extern const char rpc_compressed_text[];

gpr_timespec rpc_deadline(uint32_t ms); /* 0: none */
int64_t rpc_deadline_left_ms(gpr_timespec deadline);

/* A status on its way out. gRPC has fewer codes than enum err, so the name
 * goes along in the trailing metadata. Keep it until the batch is over. */
struct rpc_status_out {
    grpc_slice text;
    grpc_slice writer;
    grpc_metadata with[2]; /* the error's name, and `writer` if there is one */
};
void rpc_status_op(grpc_op *op, struct rpc_status_out *out, enum err err,
                   const char *text);
/* The operation also says who is to be asked instead; "": nobody. */
void rpc_status_refer(grpc_op *op, struct rpc_status_out *out,
                      const char *address);
void rpc_status_out_fini(struct rpc_status_out *out);

/* A status coming in. */
struct rpc_status_in {
    grpc_metadata_array trailing;
    grpc_status_code code;
    grpc_slice text;
};
void rpc_status_in_init(struct rpc_status_in *in);
void rpc_status_in_op(grpc_op *op, struct rpc_status_in *in);
/* The error, and its text for people into `text`. The other side chose it and
 * it goes into lines of the log: it comes as str_quotable() makes it. */
enum err rpc_status_in_read(const struct rpc_status_in *in,
                            char text[RPC_TEXT_MAX]);
void rpc_status_in_fini(struct rpc_status_in *in);

/* ---- TLS and identity (rpc_tls.c) ---- */

/* Server credentials that ask `tls` at each handshake. */
struct rpc_fetcher {
    struct rpc_tls tls;
    uint64_t generation;
    bool loaded;
};
grpc_server_credentials *rpc_tls_server(struct rpc_fetcher *fetcher);

/* A server must be a node of the federation of this side's own certificate;
 * then it asks the channel's rpc_peer_check. gRPC may hold it longer than the
 * channel lives. */
struct rpc_verifier;
struct rpc_verifier *rpc_verifier_new(const struct rpc_peer_check *expect);
/* No check runs or starts afterwards. */
void rpc_verifier_close(struct rpc_verifier *verifier);

grpc_channel_credentials *rpc_tls_client(const struct tls_material *material,
                                         struct rpc_verifier *verifier);

struct peer_cache *peer_cache_new(void);
void peer_cache_free(struct peer_cache *cache);
/* The other side of a call, parsed once for each certificate. */
MUST_USE enum err rpc_peer_of(struct rpc *rpc, grpc_call *call,
                              struct principal *out, struct errmsg *why);

/* ---- connections (connections.c) ---- */

/* Of a server. Threads: any. */
struct rpc_connections;
struct rpc_connection;
struct rpc_connections *rpc_connections_new(unsigned of_one_max);
void rpc_connections_free(struct rpc_connections *table);
/* Counts a call among those of its connection until rpc_connection_leave(),
 * which comes before the call is given up. NULL: it would be the first of a
 * connection, and its certificate uses `of_one_max` already. */
struct rpc_connection *rpc_connection_enter(struct rpc_connections *table,
                                            grpc_call *call,
                                            const struct principal *peer);
void rpc_connection_leave(struct rpc_connection *connection);

/* ---- owners of calls ---- */

/* Server or channel: what of it is under way. Calls are linked so that they
 * can be cancelled; close waits until none is left. */
struct rpc_member {
    struct rpc_member *prev;
    struct rpc_member *next;
    grpc_call *call;
    struct rpc_connection *connection;  /* of a server's; NULL: not counted */
    void (*stop)(struct rpc_member *m); /* ends it with a reason; or NULL */
    /* Monotonic: it is cut off then, since its peer does not read what is left
     * to say; 0: not. Any thread. */
    _Atomic int64_t cut_at_ms;
};
struct rpc_owner {
    struct rpc_owner *next; /* rpc.lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rpc_member members; /* ring */
    size_t count;
    bool closing;
};
void rpc_owner_init(struct rpc_owner *owner);
void rpc_owner_fini(struct rpc_owner *owner);
/* False if the owner is closing. */
MUST_USE bool rpc_owner_join(struct rpc_owner *owner, struct rpc_member *m,
                             grpc_call *call);
/* The same for what may still come while it closes. */
void rpc_owner_add(struct rpc_owner *owner, struct rpc_member *m,
                   grpc_call *call);
/* The call is over: unlinks and unreferences it. */
void rpc_owner_leave(struct rpc_owner *owner, struct rpc_member *m);
/* The last thing said about a member; the owner may go away with it. */
void rpc_owner_done(struct rpc_owner *owner);
void rpc_owner_cancel_all(struct rpc_owner *owner, enum err err,
                          const char *text);
void rpc_owner_stop_all(struct rpc_owner *owner);
/* Its members are cut off when they are due, until rpc_owner_unwatch(). */
void rpc_owner_watch(struct rpc *rpc, struct rpc_owner *owner);
void rpc_owner_unwatch(struct rpc *rpc, struct rpc_owner *owner);
/* This side has said its last word: the peer has so long to read it. */
void rpc_member_unread(const struct rpc *rpc, struct rpc_member *m);
/* Waits until no call is left. */
void rpc_owner_wait(struct rpc_owner *owner);

/* ---- streams ---- */

struct rpc_link;
/* A call that arrived at a server, counted in its connection; runs `open` on a
 * worker. */
void rpc_stream_accept(struct rpc *rpc, struct rpc_owner *owner,
                       grpc_call *call, const struct rpc_method *method,
                       const struct principal *peer,
                       struct rpc_connection *connection);
/* A new call of a client; takes the link's reference. */
struct rpc_dial {
    struct rpc_link *link;
    const char *target;
    const char *path;
    const struct rpc_stream_ops *ops;
    void *user;
    uint32_t deadline_ms;
};
MUST_USE enum err rpc_stream_dial(struct rpc_stream **out, struct rpc *rpc,
                                  struct rpc_owner *owner,
                                  const struct rpc_dial *dial);

/* One connection of a channel with one identity (rpc_client.c). */
grpc_call *rpc_link_call(struct rpc_link *link, struct rpc *rpc,
                         const char *path, uint32_t deadline_ms);
void rpc_link_unref(struct rpc_link *link);

/* accept_guard.c: connections dropped because descriptors ran out. */
unsigned long accept_guard_dropped(void);

#endif
