/* rpc.h - gRPC with mutual TLS: unary calls and bidirectional streams.
 *
 * The only folder that includes <grpc/…>. Messages are bytes; what they mean
 * is the caller's. One completion queue, one poller thread, a bounded pool of
 * workers.
 *
 * Callbacks of one stream never overlap and come in this order: open, then
 * message and drained in any number, ended at most once, then closed exactly
 * once, and nothing after it. A client's open is left out if the server did
 * not take the stream. They run on a worker; what `at_once` can do with a small
 * message needs none. Unary handlers run on a worker unless `quick`; what
 * `at_once` can answer on the poller needs none. A stream object stays valid
 * until its closed callback returned: who uses it from other threads takes a
 * lock of his own that closed takes too.
 *
 * Every size is bounded: a message by RPC_MESSAGE_MAX, what a stream has
 * queued for sending by its window, what is received and not yet handled by
 * four messages a stream; then reading stops and flow control does the rest.
 * What a server has said last is kept for as long as its peer reads on.
 * Compression is off: a compressed message is refused by name. An error
 * travels with its name, so the other side sees the same enum err. */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include "base/pool.h"
#include "base/shared.h"
#include "ident/ident.h"

struct rpc;
struct rpc_server;
struct rpc_channel;
struct rpc_call;
struct rpc_stream;

enum {
    /* Bytes: a segment of the largest block, or of many small ones, with its
     * bridge, signed head and certificates. */
    RPC_MESSAGE_MAX = (1 << 20) + (32 << 10),
    RPC_WINDOW_BYTES = 4 << 20, /* queued and unsent, a stream */
    RPC_AHEAD_BYTES = 1 << 20,  /* received and unread, a stream */
    RPC_AT_ONCE_MAX = 16 << 10, /* bytes of a message tried on the poller */
};

struct rpc_conf {
    unsigned workers;      /* ≥ 1 */
    unsigned calls_max;    /* unary calls waiting for a worker; under way may
                            * be four times as many */
    size_t quota_bytes;    /* memory of the transport; of unary requests that
                            * wait for a worker; and four times as much of all
                            * requests and answers under way */
    uint32_t keepalive_ms; /* ping when idle this long */
    /* A ping waits behind what was handed to the transport before it, and its
     * answer behind what the other side sends. Bytes that the other machine
     * does not take for so long end the connection, too. */
    uint32_t keepalive_timeout_ms;
    /* A server's peer, until its first frame; a client's attempt to connect. */
    uint32_t handshake_timeout_ms; /* ≤ INT_MAX */
    uint32_t idle_ms;   /* a server's connection without a call is closed */
    uint32_t unread_ms; /* who does not read an answer or what a stream ends
                         * with for so long is cut off */
    unsigned connections_max; /* to a server, with calls under way, of one
                               * certificate */
};
struct rpc_conf rpc_conf_default(void);

MUST_USE enum err rpc_open(struct rpc **out, const struct rpc_conf *conf,
                           struct errmsg *why);
/* After every server, channel and stream was closed. Joins all threads. */
void rpc_close(struct rpc **rpc);
struct pool *rpc_pool(struct rpc *rpc);

/* What another thread leaves to the poller, which writes to sockets anyway: a
 * worker would have to be woken for it, and then the poller for what became of
 * the write. Embedded in what it is about, so nothing here grows; that lives
 * until `fn` has begun. */
struct rpc_errand {
    struct rpc_errand *next; /* rpc's, from rpc_run_errand() until fn() */
    void (*fn)(struct rpc_errand *errand); /* on the poller: must not block */
};
/* Has errand->fn called once, soon, never before this returns on the poller
 * itself. In the order they came. Any thread; not
 * again before fn() was called, nor when rpc_close() may have begun. */
void rpc_run_errand(struct rpc *rpc, struct rpc_errand *errand);

/* Asked at each handshake. Returns material the caller keeps owning; a
 * changed `generation` makes the new one be used. On ERR_OK the old one is
 * kept for handshakes under way. */
struct rpc_tls {
    const struct tls_material *(*get)(void *ctx, uint64_t *generation);
    void *ctx;
};

/* ---- server ---- */

/* Answer with exactly one rpc_reply…() or rpc_fail(), from any thread. */
typedef void rpc_unary_fn(void *ctx, struct rpc_call *call);
/* False: not answered, and the call still the caller's. */
typedef bool rpc_at_once_fn(void *ctx, struct rpc_call *call);

/* What became of a message on the poller. */
enum rpc_at_once {
    RPC_TAKE_BACK, /* nothing: message() gets it, on a worker */
    RPC_DONE,
    RPC_PAUSE, /* done, and nothing more is read before rpc_stream_read_on() */
    RPC_REST,  /* rest() does what may block, on a worker, before anything else
                  of the stream */
};

struct rpc_stream_ops {
    /* Server: a peer opened the stream; set user data, or finish it at once.
     * Client: the server took the stream. */
    void (*open)(struct rpc_stream *s, void *user);
    void (*message)(struct rpc_stream *s, void *user, struct slice message);
    /* What was queued for sending fell below half the window. */
    void (*drained)(struct rpc_stream *s, void *user);
    /* Server: the client half-closed and all its messages were handled; what
     * the server has still to say may follow. NULL: finishes with ERR_OK. */
    void (*ended)(struct rpc_stream *s, void *user);
    /* ERR_OK only if both sides finished in order. `text` is the other
     * side's status text or the reason. */
    void (*closed)(struct rpc_stream *s, void *user, enum err err,
                   const char *text);
    /* NULL, or tried on the poller with a message of at most
     * RPC_AT_ONCE_MAX bytes when nothing of the stream is queued: must not
     * block. */
    enum rpc_at_once (*at_once)(struct rpc_stream *s, void *user,
                                struct slice message);
    void (*rest)(struct rpc_stream *s, void *user);
};

struct rpc_method {
    const char *path;                    /* "/package.Service/Method" */
    rpc_unary_fn *unary;                 /* or NULL */
    bool quick;                          /* run on the poller: must not block */
    rpc_at_once_fn *at_once;             /* or NULL; tried on the poller before
                                            the call goes to a worker: must not
                                            block */
    const struct rpc_stream_ops *stream; /* or NULL */
    void *ctx;                           /* first argument; stream: user */
};

/* `address` is host:port, port 0 for any. Refuses peers without a valid
 * certificate of the CA. Unknown methods are answered UNIMPLEMENTED.
 * grpc.health.v1.Health/Check is served: SERVING; and to any peer, what is
 * served and in which messages (reflection.h). */
MUST_USE enum err rpc_listen(struct rpc_server **out, struct rpc *rpc,
                             const char *address, const struct rpc_tls *tls,
                             const struct rpc_method *methods, size_t count,
                             struct errmsg *why);
unsigned rpc_server_port(const struct rpc_server *server);
/* New calls are refused, calls under way have `grace_ms`, then they are
 * cancelled. Blocks until all are over, so not from a callback. */
void rpc_server_close(struct rpc_server **server, uint32_t grace_ms);

/* The peer of a call; its name was checked to be well-formed. */
const struct principal *rpc_call_peer(const struct rpc_call *call);
struct slice rpc_call_request(const struct rpc_call *call);
/* Milliseconds left; INT64_MAX without a deadline. */
int64_t rpc_call_left_ms(const struct rpc_call *call);
/* Consume the call. `reply` is emptied. `text` is for people. */
void rpc_reply(struct rpc_call *call, struct buf *reply);
/* The same without a copy of its own, `tail` behind it; takes the reference. */
void rpc_reply_shared(struct rpc_call *call, struct shared **reply,
                      struct slice tail);
void rpc_fail(struct rpc_call *call, enum err err, const char *text);
/* Fails with ERR_ELSEWHERE; where, host:port, goes along as the metadata
 * `creditnode-writer` unless it is empty. Nothing was done. */
void rpc_refer(struct rpc_call *call, const char *address, const char *text);

/* ---- streams, either side ---- */

/* Client: empty before the stream is open. */
const struct principal *rpc_stream_peer(const struct rpc_stream *s);
/* "ipv4:127.0.0.1:40123"; borrowed while the stream lives. Client: the target
 * before the stream is open. */
const char *rpc_stream_address(const struct rpc_stream *s);
void rpc_stream_set_user(struct rpc_stream *s, void *user);
/* Any thread. Takes the bytes (message is emptied). ERR_BUSY: window full,
 * wait for `drained`; the message is kept by the caller. ERR_CANCELLED: the
 * stream is over or finished by this side. ERR_TOO_LARGE. */
MUST_USE enum err rpc_stream_send(struct rpc_stream *s, struct buf *message);
/* On the poller, once after RPC_PAUSE: messages come again. */
void rpc_stream_read_on(struct rpc_stream *s);
/* Bytes handed to rpc_stream_send() and not yet written, with a little for
 * the housekeeping of each message; 0 when all are written. */
size_t rpc_stream_queued(struct rpc_stream *s);
/* Any thread, once is enough. Server: ends the call with this status when what
 * is queued was sent. Client: ERR_OK half-closes after what is queued, any
 * other error cancels. `closed` follows. Called again with an error it does
 * not wait for the queue: the way out if the peer does not read. */
void rpc_stream_finish(struct rpc_stream *s, enum err err, const char *text);
/* With an error, at once: what is queued is dropped. */
void rpc_stream_cut(struct rpc_stream *s, enum err err, const char *text);

/* ---- client ---- */

/* `target` is host:port. `expect` is asked with the server's name during the
 * handshake, on the poller: it must not block nor call this module; its refusal
 * text reaches the caller's status. NULL: any node of
 * the CA. The channel connects when first used and reconnects by itself with
 * backoff; call rpc_channel_reset() to drop the connection and its identity.
 * `target` may be a list with commas between: the first is used until
 * rpc_channel_next(). */
struct rpc_peer_check {
    enum err (*check)(void *ctx, const struct principal *peer,
                      struct errmsg *why);
    void *ctx;
};
MUST_USE enum err rpc_channel_open(struct rpc_channel **out, struct rpc *rpc,
                                   const char *target,
                                   const struct rpc_tls *tls,
                                   const struct rpc_peer_check *expect,
                                   struct errmsg *why);
/* What begins from now on takes a new connection, with the newest identity and
 * without a wait for backoff; what is under way keeps the old one. A change of
 * generation does the same by itself. */
void rpc_channel_reset(struct rpc_channel *channel);
/* The same, by the next address of the list; nothing if there is one only. */
void rpc_channel_next(struct rpc_channel *channel);
/* The address in use; borrowed from the channel. */
const char *rpc_channel_target(struct rpc_channel *channel);
/* Streams and calls on it end with ERR_CANCELLED, and so do those that begin
 * from now on; whoever waits for one waits no longer. */
void rpc_channel_end(struct rpc_channel *channel);
/* The same first; blocks until their
 * callbacks have returned, so not from one of them. NULL is allowed. */
void rpc_channel_close(struct rpc_channel **channel);

typedef void rpc_done_fn(void *ctx, enum err err, const char *text,
                         struct slice reply);
/* `done` comes exactly once, on a worker. Takes the request's bytes. */
void rpc_unary(struct rpc_channel *channel, const char *path,
               struct buf *request, uint32_t deadline_ms, rpc_done_fn *done,
               void *ctx);
/* The same, waiting; for commands and tests, never on the poller. Appends the
 * reply. */
MUST_USE enum err rpc_unary_wait(struct rpc_channel *channel, const char *path,
                                 struct buf *request, uint32_t deadline_ms,
                                 struct buf *reply, struct errmsg *why);
/* `closed` comes in any case, also if the server is not there.
 * `deadline_ms` 0: none (the user's own state machine has one). */
MUST_USE enum err rpc_stream_open(struct rpc_stream **out,
                                  struct rpc_channel *channel, const char *path,
                                  const struct rpc_stream_ops *ops, void *user,
                                  uint32_t deadline_ms);

#endif
