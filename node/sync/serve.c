#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "credit/listing.h"
#include "sync/downlink_impl.h"
#include "sync/hello.h"
#include "sync/source.h"

enum {
    /* Nothing is acknowledged, so it is not known what the line carries: a
     * ping waits behind one message. */
    FETCH_SEGMENT_BYTES = 64 << 10,
    FETCHES_A_CHILD = 2, /* one under way, one of before a cut */
};

static enum err check_log(struct downlink *down, const struct principal *peer,
                          const struct log_id *log, struct errmsg *why)
{
    char name[LOG_ID_TEXT_MAX];
    log_id_format(log, name);
    /* What comes down anyway may be compared by whoever it comes to. */
    bool comes_down = log->kind == LOG_DIRECTIVES &&
                      listing_counts_at(log->origin, down->env->self.code) &&
                      listing_counts_at(log->origin, peer->code);
    if (!comes_down &&
        (log->kind != LOG_RECORDS || !downlink_serves(down, peer, log))) {
        return err_set(why, ERR_DENIED,
                       "log %s: its origin is neither the caller nor below it",
                       name);
    }
    return ERR_OK;
}

/* ---- Root ---- */

/* That the root at `size` is of the tree the newest note is signed over. Left
 * out where none leads there: to compare copies the root alone will do. */
static enum err put_proof(struct store *store, const struct store_head *head,
                          uint64_t size, struct buf *frontier,
                          struct buf *bridge)
{
    struct frontier f;
    struct bridge b;
    struct tree_view view = store_view(store, head);
    enum err err = tree_frontier(&view, size, &f);
    if (err == ERR_OK) {
        err = tree_bridge(&view, size, head->newest.size, &b);
    }
    if (err == ERR_OK) {
        frontier_put(frontier, &f);
        bridge_put(bridge, &b);
    }
    return err == ERR_INVALID ? ERR_OK : err;
}

static enum err answer_root(struct downlink *down,
                            const struct wire_root_request *request,
                            struct buf *out, struct errmsg *why)
{
    struct store *store = down->env->store;
    struct store_head head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct buf frontier = BUF_INIT;
    struct buf bridge = BUF_INIT;
    enum err err = source_head(store, trust_federation(down->env->trust),
                               &request->log, &head, &note, &chain);
    if (err == ERR_OK) {
        struct wire_root_reply reply = {.held = head.frontier.size,
                                        .note = buf_slice(&note),
                                        .chain = buf_slice(&chain)};
        bool older = request->size != 0 && request->size < reply.held;
        reply.size = older ? request->size : reply.held;
        struct tree_view view = store_view(store, &head);
        err = tree_root(&view, reply.size, &reply.root);
        if (err == ERR_OK) {
            err = put_proof(store, &head, reply.size, &frontier, &bridge);
        }
        reply.frontier = buf_slice(&frontier);
        reply.bridge = buf_slice(&bridge);
        wire_put_root_reply(out, &reply);
    }
    buf_fini(&note);
    buf_fini(&chain);
    buf_fini(&frontier);
    buf_fini(&bridge);
    if (err == ERR_NOT_FOUND) {
        return err_set(why, err, "the log is not held here");
    }
    return err == ERR_OK ? ERR_OK : err_set(why, err, "%s", err_text(err));
}

/* This node may have passed on what it then could not commit (no space, or it
 * was killed). A child that asks how much there is of a log, for it lost its
 * own copy, would close it below what a tier above holds: it is to ask again
 * when that has come back here. */
static enum err check_none_above(struct downlink *down,
                                 const struct principal *peer,
                                 const struct wire_root_request *request,
                                 struct errmsg *why)
{
    const struct sync_env *env = down->env;
    if (request->size != 0 || request->log.kind != LOG_RECORDS ||
        env->more_above == NULL || !env->is_child(env->ctx, peer)) {
        return ERR_OK;
    }
    struct store_head head;
    uint64_t who = store_head(env->store, &request->log, &head) == ERR_OK
                       ? downlink_more_above(env->store, &head)
                       : 0;
    if (who == 0 ||
        !downlink_put_off(down, peer, WAIT_MORE, down->put_off_for_ms)) {
        return ERR_OK;
    }
    env->more_above(env->ctx, &request->log);
    return err_set(
        why, ERR_UNAVAILABLE,
        "%012llu holds more of it, which has to come back here first",
        (unsigned long long)who);
}

/* Any node may compare what lies below it with any other holder of it. */
void serve_root(void *ctx, struct rpc_call *call)
{
    struct downlink *down = ctx;
    struct wire_root_request request;
    struct buf reply = BUF_INIT;
    struct errmsg why = {""};
    enum err err =
        wire_get_root_request(rpc_call_request(call), &request, &why);
    if (err == ERR_OK) {
        err = admit_node(down->env, rpc_call_peer(call), &why);
    }
    if (err == ERR_OK) {
        err = check_log(down, rpc_call_peer(call), &request.log, &why);
    }
    if (err == ERR_OK) {
        err = check_none_above(down, rpc_call_peer(call), &request, &why);
    }
    if (err == ERR_OK) {
        err = answer_root(down, &request, &reply, &why);
    }
    if (err == ERR_OK) {
        rpc_reply(call, &reply);
    } else {
        rpc_fail(call, err, why.text);
    }
    buf_fini(&reply);
}

/* ---- Fetch ---- */

struct fetch {
    struct downlink *down;
    struct rpc_stream *stream;
    struct fetch *next; /* downlink.lock, as `back` */
    struct fetch **back;
    int64_t opened_ms; /* monotonic */
    atomic_bool asked;
    struct wire_range range; /* what is still to be sent */
    struct source source;
    struct buf parked; /* met a full window */
};

/* Lock held. What a call queues is megabytes, and a child may read none of it:
 * of its calls the older ones give way. */
static void make_room(struct downlink *down, uint64_t code)
{
    unsigned newer = 1;
    for (struct fetch *f = down->fetches; f != NULL; f = f->next) {
        if (rpc_stream_peer(f->stream)->code == code &&
            ++newer > FETCHES_A_CHILD) {
            rpc_stream_cut(f->stream, ERR_CANCELLED,
                           "newer calls of this node took its place");
        }
    }
}

static void on_open(struct rpc_stream *s, void *user)
{
    struct downlink *down = user;
    const struct principal *peer = rpc_stream_peer(s);
    struct errmsg why;
    rpc_stream_set_user(s, NULL);
    enum err err = admit_child(down->env, peer, &why);
    if (err != ERR_OK) {
        rpc_stream_finish(s, err, why.text);
        return;
    }
    struct fetch *f = MEM_NEW(struct fetch);
    f->down = down;
    f->stream = s;
    f->opened_ms = clock_mono_ms();
    source_init(&f->source, trust_federation(down->env->trust));
    (void)pthread_mutex_lock(&down->lock);
    make_room(down, peer->code);
    f->next = down->fetches;
    f->back = &down->fetches;
    if (f->next != NULL) {
        f->next->back = &f->next;
    }
    down->fetches = f;
    (void)pthread_mutex_unlock(&down->lock);
    rpc_stream_set_user(s, f);
}

void serve_fetch_recheck(struct downlink *down)
{
    struct errmsg why;
    int64_t now = clock_mono_ms();
    (void)pthread_mutex_lock(&down->lock);
    for (struct fetch *f = down->fetches; f != NULL; f = f->next) {
        enum err err = admit_child(down->env, rpc_stream_peer(f->stream), &why);
        if (err == ERR_OK && !f->asked &&
            now >= f->opened_ms + down->ask_within_ms) {
            err = err_set(&why, ERR_TIMEOUT, "nothing was asked");
        }
        if (err != ERR_OK) {
            rpc_stream_finish(f->stream, err, why.text);
        }
    }
    (void)pthread_mutex_unlock(&down->lock);
}

static enum err next_reply(struct fetch *f, bool first)
{
    struct source *src = &f->source;
    struct store *store = f->down->env->store;
    enum err err = source_read(src, store, &f->range.log, f->range.first,
                               f->range.last, FETCH_SEGMENT_BYTES);
    if (err == ERR_OK) {
        err = source_read_note(src, store);
    }
    if (err == ERR_OK) {
        struct wire_segment_out out = source_segment(src, true, first);
        buf_clear(&f->parked);
        wire_put_fetch_reply(&f->parked, &out);
        f->range.first = src->end + 1;
    }
    return err;
}

/* Sends until the window is full or all is sent. */
static void go_on(struct rpc_stream *s, struct fetch *f, bool first)
{
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        if (f->parked.len == 0 && f->range.first > f->range.last) {
            rpc_stream_finish(s, ERR_OK, NULL);
            return;
        }
        if (f->parked.len == 0) {
            err = next_reply(f, first);
            first = false;
        }
        if (err == ERR_OK) {
            err = rpc_stream_send(s, &f->parked);
        }
    }
    if (err != ERR_BUSY) {
        rpc_stream_finish(s, err, err_text(err));
    }
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    struct fetch *f = user;
    struct errmsg why = {""};
    if (f == NULL) {
        return;
    }
    enum err err = f->asked ? err_set(&why, ERR_PROTOCOL, "asked twice")
                            : wire_get_fetch_request(message, &f->range, &why);
    if (err == ERR_OK && f->range.first == 0) {
        err = err_set(&why, ERR_PROTOCOL, "FetchRequest.first: 0");
    }
    if (err == ERR_OK) {
        err = admit_child(f->down->env, rpc_stream_peer(s), &why);
    }
    if (err == ERR_OK) {
        err = check_log(f->down, rpc_stream_peer(s), &f->range.log, &why);
    }
    if (err != ERR_OK) {
        rpc_stream_finish(s, err, why.text);
        return;
    }
    f->asked = true;
    go_on(s, f, true);
}

static void on_drained(struct rpc_stream *s, void *user)
{
    struct fetch *f = user;
    if (f != NULL && f->asked) {
        go_on(s, f, false);
    }
}

/* The caller half-closes at once; the stream ends when all is sent. */
static void on_ended(struct rpc_stream *s, void *user)
{
    struct fetch *f = user;
    if (f != NULL && !f->asked) {
        rpc_stream_finish(s, ERR_PROTOCOL, "nothing was asked");
    }
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct fetch *f = user;
    (void)s;
    (void)err;
    (void)text;
    if (f == NULL) {
        return;
    }
    struct downlink *down = f->down;
    (void)pthread_mutex_lock(&down->lock);
    *f->back = f->next;
    if (f->next != NULL) {
        f->next->back = f->back;
    }
    (void)pthread_mutex_unlock(&down->lock);
    source_fini(&f->source);
    buf_fini(&f->parked);
    mem_free(f);
}

const struct rpc_stream_ops serve_fetch_ops = {
    .open = on_open,
    .message = on_message,
    .drained = on_drained,
    .ended = on_ended,
    .closed = on_closed,
};
