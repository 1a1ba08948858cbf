/* One state machine for both sides of a stream.
 *
 * Four tags may be under way: start (initial metadata), send, recv and over
 * (the end of the call). When `over` has come and no tag is left the closed
 * callback is due, and after it the stream is freed.
 *
 * Callbacks: what is due is kept as flags and a ring of received messages.
 * Whoever sets `running` delivers, alone, until nothing is due: a job on the
 * stream's strand or, for a small message, the poller itself, which may leave
 * the rest of it to the strand. */
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/rpc_private.h"

enum {
    BURST = 8, /* callbacks of one stream before others get the worker */
    ADDRESS_MAX = 128,
};

struct outgoing {
    struct outgoing *next;
    grpc_byte_buffer *bytes;
    size_t cost;
};

struct rpc_stream {
    struct rpc *rpc;
    struct rpc_owner *owner;
    struct rpc_link *link; /* client; NULL on the server */
    struct rpc_member member;
    grpc_call *call;
    const struct rpc_stream_ops *ops;
    struct strand *strand;
    struct principal peer;
    char address[ADDRESS_MAX];

    struct rpc_tag start_tag;
    struct rpc_tag send_tag;
    struct rpc_tag recv_tag;
    struct rpc_tag over_tag;
    grpc_metadata took; /* server: tells the client that it took the stream */
    grpc_metadata_array initial;      /* client */
    struct rpc_status_in status;      /* client */
    struct rpc_status_out status_out; /* server */
    int cancelled;                    /* server: by the other side */

    pthread_mutex_t lock; /* all below */
    void *user;
    unsigned in_flight; /* tags */
    bool over;

    struct outgoing *out_first;
    struct outgoing *out_last;
    grpc_byte_buffer *sending; /* under way, or NULL */
    size_t sending_cost;
    size_t queued;   /* cost of all above */
    bool send_busy;  /* the send tag is in use */
    bool was_high;   /* queued reached half the window */
    bool aborted;    /* nothing more is sent */
    bool finishing;  /* rpc_stream_finish() was called */
    bool end_posted; /* half-close or status was started */
    enum err finish_err;
    char finish_text[RPC_TEXT_MAX];

    grpc_byte_buffer *received; /* filled by the recv tag */
    bool recv_busy;
    bool recv_ended; /* no more messages will come */
    bool peer_ended; /* because the peer said so */
    bool paused;     /* until rpc_stream_read_on() */
    bool handling;   /* a message callback runs */
    grpc_byte_buffer *ring[RPC_UNHANDLED_MAX];
    unsigned ring_at;
    unsigned ring_count;

    bool running; /* somebody delivers */
    bool opened;
    bool open_due;
    bool rest_due;
    bool drained_due;
    bool ended_due;
    bool closed_due;
};

enum due {
    DUE_NOTHING,
    DUE_REST,
    DUE_OPEN,
    DUE_DRAINED,
    DUE_MESSAGE,
    DUE_ENDED,
    DUE_CLOSED,
};

static const char took_key[] = "creditnode-stream";

static bool is_client(const struct rpc_stream *s)
{
    return s->link != NULL;
}

/* ---- batches; lock held ---- */

static void post(struct rpc_stream *s, const grpc_op *ops, size_t count,
                 struct rpc_tag *tag)
{
    s->in_flight++;
    rpc_batch(s->call, ops, count, tag);
}

static void post_recv(struct rpc_stream *s)
{
    unsigned held = s->ring_count + (s->handling ? 1 : 0);
    if (s->recv_busy || s->recv_ended || s->over || s->paused ||
        held >= RPC_UNHANDLED_MAX) {
        return;
    }
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &s->received;
    s->recv_busy = true;
    post(s, &op, 1, &s->recv_tag);
}

static void post_message(struct rpc_stream *s)
{
    struct outgoing *out = s->out_first;
    s->out_first = out->next;
    s->sending = out->bytes;
    s->sending_cost = out->cost;
    mem_free(out);
    /* With more behind it, it may wait for them and share a write. */
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE,
                  .flags = s->out_first != NULL ? GRPC_WRITE_BUFFER_HINT : 0};
    op.data.send_message.send_message = s->sending;
    s->send_busy = true;
    post(s, &op, 1, &s->send_tag);
}

static void post_end(struct rpc_stream *s)
{
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    if (!is_client(s)) {
        rpc_status_op(&op, &s->status_out, s->finish_err, s->finish_text);
    }
    s->end_posted = true;
    s->send_busy = true;
    post(s, &op, 1, &s->send_tag);
}

static void post_send(struct rpc_stream *s)
{
    if (s->send_busy || s->over || s->aborted) {
        return;
    }
    if (s->out_first != NULL) {
        post_message(s);
    } else if (s->finishing && !s->end_posted) {
        post_end(s);
    }
}

static void drop_queue(struct rpc_stream *s)
{
    while (s->out_first != NULL) {
        struct outgoing *out = s->out_first;
        s->out_first = out->next;
        s->queued -= out->cost;
        grpc_byte_buffer_destroy(out->bytes);
        mem_free(out);
    }
}

static void abort_call(struct rpc_stream *s)
{
    s->aborted = true;
    drop_queue(s);
    (void)grpc_call_cancel_with_status(
        s->call, (grpc_status_code)err_grpc_status(s->finish_err),
        s->finish_text, NULL);
}

/* A server that has said its last word waits for nobody without end. */
static void note_unread(struct rpc_stream *s)
{
    if (s->finishing && !is_client(s)) {
        rpc_member_unread(s->rpc, &s->member);
    }
}

static void finish(struct rpc_stream *s, enum err err, const char *text)
{
    bool again = s->finishing;
    if (s->over || s->aborted || (again && err == ERR_OK)) {
        return;
    }
    s->finishing = true;
    s->finish_err = err;
    (void)snprintf(s->finish_text, sizeof s->finish_text, "%s",
                   text != NULL ? text : "");
    if (err != ERR_OK && (again || is_client(s))) {
        abort_call(s);
    } else {
        post_send(s);
    }
    note_unread(s);
}

/* ---- delivery ---- */

static enum due next_due(const struct rpc_stream *s)
{
    if (s->rest_due) {
        return DUE_REST;
    }
    if (s->open_due) {
        return DUE_OPEN;
    }
    if (s->drained_due) {
        return DUE_DRAINED;
    }
    if (s->ring_count > 0) {
        return DUE_MESSAGE;
    }
    if (s->ended_due) {
        return DUE_ENDED;
    }
    return s->closed_due ? DUE_CLOSED : DUE_NOTHING;
}

/* The first thing due is this caller's to deliver. */
static enum due take_due(struct rpc_stream *s, grpc_byte_buffer **bytes)
{
    enum due due = next_due(s);
    switch (due) {
    case DUE_REST:
        s->rest_due = false;
        break;
    case DUE_OPEN:
        s->open_due = false;
        break;
    case DUE_DRAINED:
        s->drained_due = false;
        break;
    case DUE_MESSAGE:
        *bytes = s->ring[s->ring_at];
        s->ring_at = (s->ring_at + 1) % RPC_UNHANDLED_MAX;
        s->ring_count--;
        s->handling = true;
        break;
    case DUE_ENDED:
        s->ended_due = false;
        break;
    case DUE_NOTHING:
    case DUE_CLOSED:
        break;
    }
    return due;
}

static void fire_message(struct rpc_stream *s, void *user,
                         grpc_byte_buffer *bytes)
{
    grpc_slice flat = rpc_bytes_flatten(bytes);
    s->ops->message(s, user, rpc_slice_view(&flat));
    rpc_slice_done(flat);
    (void)pthread_mutex_lock(&s->lock);
    s->handling = false;
    post_recv(s);
    (void)pthread_mutex_unlock(&s->lock);
}

static enum err client_outcome(const struct rpc_stream *s,
                               char text[RPC_TEXT_MAX])
{
    enum err err = rpc_status_in_read(&s->status, text);
    if (s->aborted && err_grpc_status(s->finish_err) == (int)s->status.code) {
        return s->finish_err;
    }
    if (err == ERR_OK && !s->end_posted) {
        (void)snprintf(text, RPC_TEXT_MAX, "the server ended the stream");
        return ERR_CANCELLED;
    }
    return err;
}

static enum err server_outcome(const struct rpc_stream *s,
                               char text[RPC_TEXT_MAX])
{
    if (s->finishing && s->finish_err != ERR_OK) {
        (void)snprintf(text, RPC_TEXT_MAX, "%s", s->finish_text);
        return s->finish_err;
    }
    if (s->cancelled != 0 || !s->end_posted) {
        (void)snprintf(text, RPC_TEXT_MAX, "the client cancelled or was lost");
        return ERR_CANCELLED;
    }
    if (!s->peer_ended) {
        (void)snprintf(text, RPC_TEXT_MAX,
                       "finished before the client had finished");
        return ERR_CANCELLED;
    }
    text[0] = 0;
    return ERR_OK;
}

static void stream_dispose(struct rpc_stream *s)
{
    drop_queue(s);
    grpc_metadata_array_destroy(&s->initial);
    rpc_status_in_fini(&s->status);
    rpc_status_out_fini(&s->status_out);
    if (s->link != NULL) {
        rpc_link_unref(s->link);
    }
    strand_free(s->strand);
    (void)pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* Nobody else holds the stream any more. */
static void fire_closed(struct rpc_stream *s, void *user)
{
    char text[RPC_TEXT_MAX];
    enum err err =
        is_client(s) ? client_outcome(s, text) : server_outcome(s, text);
    s->ops->closed(s, user, err, text);
    struct rpc_owner *owner = s->owner;
    rpc_owner_leave(owner, &s->member);
    stream_dispose(s);
    rpc_owner_done(owner);
}

/* False if nothing was due or the stream is gone. */
static bool deliver_one(struct rpc_stream *s)
{
    grpc_byte_buffer *bytes = NULL;
    (void)pthread_mutex_lock(&s->lock);
    enum due due = take_due(s, &bytes);
    void *user = s->user;
    s->running = due != DUE_NOTHING;
    (void)pthread_mutex_unlock(&s->lock);
    switch (due) {
    case DUE_NOTHING:
        return false;
    case DUE_REST:
        s->ops->rest(s, user);
        return true;
    case DUE_OPEN:
        if (s->ops->open != NULL) {
            s->ops->open(s, user);
        }
        return true;
    case DUE_DRAINED:
        if (s->ops->drained != NULL) {
            s->ops->drained(s, user);
        }
        return true;
    case DUE_MESSAGE:
        fire_message(s, user, bytes);
        return true;
    case DUE_ENDED:
        if (s->ops->ended != NULL) {
            s->ops->ended(s, user);
        } else {
            rpc_stream_finish(s, ERR_OK, NULL);
        }
        return true;
    case DUE_CLOSED:
        fire_closed(s, user);
        return false;
    }
    return false;
}

static void deliver(void *ctx)
{
    struct rpc_stream *s = ctx;
    for (unsigned i = 0; i < BURST; i++) {
        if (!deliver_one(s)) {
            return;
        }
    }
    strand_run(s->strand, deliver, s);
}

/* Ends every section that may have made something due. */
static void unlock_and_deliver(struct rpc_stream *s)
{
    if (s->over && s->in_flight == 0) {
        s->closed_due = true;
    }
    bool start = !s->running && next_due(s) != DUE_NOTHING;
    s->running = s->running || start;
    (void)pthread_mutex_unlock(&s->lock);
    if (start) {
        strand_run(s->strand, deliver, s);
    }
}

/* ---- events, on the poller ---- */

static void set_opened(struct rpc_stream *s)
{
    if (s->opened) {
        return;
    }
    s->opened = true;
    struct errmsg why;
    char *address = grpc_call_get_peer(s->call);
    (void)snprintf(s->address, sizeof s->address, "%s", address);
    gpr_free(address);
    if (rpc_peer_of(s->rpc, s->call, &s->peer, &why) != ERR_OK) {
        finish(s, ERR_UNAUTHENTICATED, why.text);
        return;
    }
    s->open_due = true;
}

static bool server_took(const grpc_metadata_array *initial)
{
    for (size_t i = 0; i < initial->count; i++) {
        if (grpc_slice_str_cmp(initial->metadata[i].key, took_key) == 0) {
            return true;
        }
    }
    return false;
}

static void on_start(struct rpc_tag *tag, bool ok)
{
    struct rpc_stream *s = CONTAINER_OF(tag, struct rpc_stream, start_tag);
    (void)pthread_mutex_lock(&s->lock);
    s->in_flight--;
    if (is_client(s) && ok && server_took(&s->initial)) {
        set_opened(s);
    }
    unlock_and_deliver(s);
}

static void on_send(struct rpc_tag *tag, bool ok)
{
    struct rpc_stream *s = CONTAINER_OF(tag, struct rpc_stream, send_tag);
    (void)pthread_mutex_lock(&s->lock);
    s->in_flight--;
    s->send_busy = false;
    if (s->sending != NULL) {
        grpc_byte_buffer_destroy(s->sending);
        s->sending = NULL;
        s->queued -= s->sending_cost;
    }
    if (!ok) {
        s->aborted = true; /* `over` follows with the reason */
        drop_queue(s);
    } else if (s->was_high && s->queued < RPC_WINDOW_BYTES / 2) {
        s->was_high = false;
        s->drained_due = !s->over && !s->finishing;
    }
    post_send(s);
    if (ok) {
        note_unread(s);
    }
    unlock_and_deliver(s);
}

static void on_over(struct rpc_tag *tag, bool ok)
{
    (void)ok; /* always */
    struct rpc_stream *s = CONTAINER_OF(tag, struct rpc_stream, over_tag);
    (void)pthread_mutex_lock(&s->lock);
    s->in_flight--;
    s->over = true;
    s->drained_due = false;
    s->ended_due = false;
    drop_queue(s);
    unlock_and_deliver(s);
}

static void take_received(struct rpc_stream *s, bool ok)
{
    grpc_byte_buffer *bytes = s->received;
    s->received = NULL;
    if (!ok || bytes == NULL) {
        /* The same answer for a half-close, for a dead peer and for a call
         * that this side has ended. */
        s->recv_ended = true;
        s->peer_ended = ok && !s->end_posted &&
                        grpc_call_failed_before_recv_message(s->call) == 0;
        s->ended_due = s->peer_ended && !is_client(s) && !s->over;
        return;
    }
    if (rpc_bytes_compressed(bytes)) {
        rpc_bytes_done(bytes);
        s->recv_ended = true;
        finish(s, ERR_INVALID, rpc_compressed_text);
        return;
    }
    if (is_client(s)) {
        set_opened(s);
    }
    s->ring[(s->ring_at + s->ring_count++) % RPC_UNHANDLED_MAX] = bytes;
}

/* Lock held. */
static bool fits_at_once(struct rpc_stream *s)
{
    return !s->running && s->ops->at_once != NULL &&
           next_due(s) == DUE_MESSAGE && s->ring_count == 1 &&
           grpc_byte_buffer_length(s->ring[s->ring_at]) <= RPC_AT_ONCE_MAX;
}

/* Lock held. The message is the next one again. */
static void put_back(struct rpc_stream *s, grpc_slice flat)
{
    s->ring_at = (s->ring_at + RPC_UNHANDLED_MAX - 1) % RPC_UNHANDLED_MAX;
    s->ring[s->ring_at] = grpc_raw_byte_buffer_create(&flat, 1);
    s->ring_count++;
}

/* Lock held, given up meanwhile. Reading on comes after: it writes a window
 * update, which wakes the other side and is not to hold up what this message
 * leads to. */
static void deliver_at_once(struct rpc_stream *s)
{
    grpc_byte_buffer *bytes = NULL;
    (void)take_due(s, &bytes);
    s->running = true;
    void *user = s->user;
    (void)pthread_mutex_unlock(&s->lock);
    grpc_slice flat = rpc_bytes_flatten(bytes);
    enum rpc_at_once what = s->ops->at_once(s, user, rpc_slice_view(&flat));
    (void)pthread_mutex_lock(&s->lock);
    s->running = false;
    s->handling = false;
    s->rest_due = what == RPC_REST;
    s->paused = what == RPC_PAUSE;
    if (what == RPC_TAKE_BACK) {
        put_back(s, flat);
    }
    post_recv(s);
    rpc_slice_done(flat);
}

static void on_recv(struct rpc_tag *tag, bool ok)
{
    struct rpc_stream *s = CONTAINER_OF(tag, struct rpc_stream, recv_tag);
    (void)pthread_mutex_lock(&s->lock);
    s->in_flight--;
    s->recv_busy = false;
    take_received(s, ok);
    if (fits_at_once(s)) {
        deliver_at_once(s);
    } else {
        post_recv(s);
    }
    unlock_and_deliver(s);
}

/* ---- beginnings ---- */

static struct rpc_stream *stream_new(struct rpc *rpc, struct rpc_owner *owner,
                                     const struct rpc_stream_ops *ops,
                                     void *user)
{
    struct rpc_stream *s = MEM_NEW(struct rpc_stream);
    s->rpc = rpc;
    s->owner = owner;
    s->ops = ops;
    s->user = user;
    s->strand = strand_new(rpc->pool);
    s->start_tag.fn = on_start;
    s->send_tag.fn = on_send;
    s->recv_tag.fn = on_recv;
    s->over_tag.fn = on_over;
    (void)pthread_mutex_init(&s->lock, NULL);
    grpc_metadata_array_init(&s->initial);
    rpc_status_in_init(&s->status);
    return s;
}

/* The server closes. */
static void stop(struct rpc_member *m)
{
    struct rpc_stream *s = CONTAINER_OF(m, struct rpc_stream, member);
    (void)pthread_mutex_lock(&s->lock);
    if (!s->finishing) {
        finish(s, ERR_UNAVAILABLE, "the node is stopping");
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void rpc_stream_accept(struct rpc *rpc, struct rpc_owner *owner,
                       grpc_call *call, const struct rpc_method *method,
                       const struct principal *peer,
                       struct rpc_connection *connection)
{
    struct rpc_stream *s = stream_new(rpc, owner, method->stream, method->ctx);
    s->call = call;
    s->member.connection = connection;
    s->peer = *peer;
    s->member.stop = stop;
    char *address = grpc_call_get_peer(call);
    (void)snprintf(s->address, sizeof s->address, "%s", address);
    gpr_free(address);
    rpc_owner_add(owner, &s->member, call);

    (void)pthread_mutex_lock(&s->lock);
    s->opened = true;
    s->open_due = true;
    s->took.key = grpc_slice_from_static_string(took_key);
    s->took.value = grpc_slice_from_static_string("1");
    grpc_op start = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    start.data.send_initial_metadata.metadata = &s->took;
    start.data.send_initial_metadata.count = 1;
    grpc_op over = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    over.data.recv_close_on_server.cancelled = &s->cancelled;
    post(s, &start, 1, &s->start_tag);
    post(s, &over, 1, &s->over_tag);
    post_recv(s);
    unlock_and_deliver(s);
}

static void start_client(struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&s->lock);
    grpc_op start[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                        {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    start[1].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
    grpc_op over = {.flags = 0};
    rpc_status_in_op(&over, &s->status);
    post(s, start, 2, &s->start_tag);
    post(s, &over, 1, &s->over_tag);
    post_recv(s);
    unlock_and_deliver(s);
}

enum err rpc_stream_dial(struct rpc_stream **out, struct rpc *rpc,
                         struct rpc_owner *owner, const struct rpc_dial *dial)
{
    struct rpc_stream *s = stream_new(rpc, owner, dial->ops, dial->user);
    s->link = dial->link;
    (void)snprintf(s->address, sizeof s->address, "%s", dial->target);
    s->call = rpc_link_call(s->link, rpc, dial->path, dial->deadline_ms);
    if (!rpc_owner_join(owner, &s->member, s->call)) {
        grpc_call_unref(s->call);
        stream_dispose(s);
        return ERR_CANCELLED;
    }
    *out = s; /* before the first callback */
    start_client(s);
    return ERR_OK;
}

/* ---- public ---- */

const struct principal *rpc_stream_peer(const struct rpc_stream *s)
{
    return &s->peer;
}

const char *rpc_stream_address(const struct rpc_stream *s)
{
    return s->address;
}

void rpc_stream_set_user(struct rpc_stream *s, void *user)
{
    (void)pthread_mutex_lock(&s->lock);
    s->user = user;
    (void)pthread_mutex_unlock(&s->lock);
}

static void enqueue(struct rpc_stream *s, struct buf *message, size_t cost)
{
    struct outgoing *out = MEM_NEW(struct outgoing);
    out->bytes = rpc_bytes_from(message);
    out->cost = cost;
    if (s->out_first != NULL) {
        s->out_last->next = out;
    } else {
        s->out_first = out;
    }
    s->out_last = out;
    s->queued += cost;
    s->was_high = s->was_high || s->queued >= RPC_WINDOW_BYTES / 2;
}

enum err rpc_stream_send(struct rpc_stream *s, struct buf *message)
{
    if (message->len > RPC_MESSAGE_MAX) {
        return ERR_TOO_LARGE;
    }
    size_t cost = message->len + RPC_MESSAGE_COST;
    enum err err = ERR_OK;
    (void)pthread_mutex_lock(&s->lock);
    if (s->over || s->aborted || s->finishing) {
        err = ERR_CANCELLED;
    } else if (s->queued + cost > RPC_WINDOW_BYTES) {
        err = ERR_BUSY;
    } else {
        enqueue(s, message, cost);
        post_send(s);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return err;
}

void rpc_stream_read_on(struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->paused = false;
    post_recv(s);
    (void)pthread_mutex_unlock(&s->lock);
}

size_t rpc_stream_queued(struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&s->lock);
    size_t queued = s->queued;
    (void)pthread_mutex_unlock(&s->lock);
    return queued;
}

void rpc_stream_finish(struct rpc_stream *s, enum err err, const char *text)
{
    (void)pthread_mutex_lock(&s->lock);
    finish(s, err, text);
    (void)pthread_mutex_unlock(&s->lock);
}

void rpc_stream_cut(struct rpc_stream *s, enum err err, const char *text)
{
    (void)pthread_mutex_lock(&s->lock);
    finish(s, err, text);
    if (s->queued > 0) {
        finish(s, err, text);
    }
    (void)pthread_mutex_unlock(&s->lock);
}
