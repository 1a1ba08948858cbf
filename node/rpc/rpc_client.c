#include <grpc/grpc.h>
#include <grpc/impl/codegen/propagation_bits.h>
#include <grpc/slice.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/rpc_private.h"

enum { SETTLE_TRIES = 100 }; /* of 2 ms */

/* A channel of gRPC with the identity it was made with. Calls keep theirs, so
 * a new identity does not disturb what is under way. */
struct rpc_link {
    atomic_uint refs;
    grpc_channel *core;
    uint64_t generation;
};

struct rpc_channel {
    struct rpc *rpc;
    char **targets; /* never changed, targets_n of them */
    size_t targets_n;
    size_t at; /* lock; the one in use */
    struct rpc_tls tls;
    struct rpc_verifier *verifier;
    struct rpc_owner owner;
    pthread_mutex_t lock;
    struct rpc_link *link; /* lock; may be NULL */
};

/* ---- links ---- */

/* Lock held. */
static grpc_channel *core_new(const struct rpc_channel *ch,
                              grpc_channel_credentials *creds)
{
    static const struct {
        const char *key;
        int value;
    } ours[] = {
        {GRPC_ARG_ENABLE_RETRIES, 0}, /* would keep 256 KiB a call */
        {GRPC_ARG_ENABLE_HTTP_PROXY, 0},
        {GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1},
        /* Else channels share connections, and with them the identity. */
        {GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1},
        {GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RPC_BACKOFF_MIN_MS},
        {GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RPC_BACKOFF_MAX_MS},
    };
    struct rpc_args args = {.count = 0};
    rpc_args_add_common(&args, ch->rpc);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        rpc_args_add(&args, ours[i].key, ours[i].value);
    }
    /* So long an attempt may take, whatever its name says. */
    rpc_args_add(&args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                 (int)ch->rpc->conf.handshake_timeout_ms);
    grpc_channel_args list = {args.count, args.list};
    return grpc_channel_create(ch->targets[ch->at], creds, &list);
}

void rpc_link_unref(struct rpc_link *link)
{
    if (atomic_fetch_sub(&link->refs, 1) == 1) {
        grpc_channel_destroy(link->core);
        mem_free(link);
    }
}

/* Lock held. */
static void drop_link(struct rpc_channel *ch)
{
    if (ch->link != NULL) {
        rpc_link_unref(ch->link);
        ch->link = NULL;
    }
}

/* Lock held. A link that is out of date goes; without new material the old
 * one stays. */
static void renew_link(struct rpc_channel *ch)
{
    uint64_t generation = 0;
    const struct tls_material *m = ch->tls.get(ch->tls.ctx, &generation);
    if (ch->link != NULL && (m == NULL || ch->link->generation == generation)) {
        return;
    }
    grpc_channel_credentials *creds = rpc_tls_client(m, ch->verifier);
    if (creds == NULL) {
        return;
    }
    drop_link(ch);
    ch->link = MEM_NEW(struct rpc_link);
    atomic_store(&ch->link->refs, 1);
    ch->link->generation = generation;
    ch->link->core = core_new(ch, creds);
    grpc_channel_credentials_release(creds);
}

/* A reference to the newest link; NULL without TLS material. `fresh`: one that
 * failed to connect is replaced, so that the caller learns how things are now
 * and not how they were: streams have a backoff of their own. `target` (may be
 * NULL): where it leads. */
static struct rpc_link *get_link(struct rpc_channel *ch, bool fresh,
                                 const char **target)
{
    (void)pthread_mutex_lock(&ch->lock);
    if (fresh && ch->link != NULL &&
        grpc_channel_check_connectivity_state(ch->link->core, 0) ==
            GRPC_CHANNEL_TRANSIENT_FAILURE) {
        drop_link(ch);
    }
    renew_link(ch);
    struct rpc_link *link = ch->link;
    if (link != NULL) {
        atomic_fetch_add(&link->refs, 1);
    }
    if (target != NULL) {
        *target = ch->targets[ch->at];
    }
    (void)pthread_mutex_unlock(&ch->lock);
    return link;
}

grpc_call *rpc_link_call(struct rpc_link *link, struct rpc *rpc,
                         const char *path, uint32_t deadline_ms)
{
    grpc_slice method = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(
        link->core, NULL, GRPC_PROPAGATE_DEFAULTS, rpc->cq, method, NULL,
        rpc_deadline(deadline_ms), NULL);
    grpc_slice_unref(method);
    return call;
}

/* ---- channel ---- */

static char *copy_text(const char *p, size_t len)
{
    char *text = mem_zalloc(len + 1, 1);
    memcpy(text, p, len);
    return text;
}

/* "host:port, host:port" */
static void read_targets(struct rpc_channel *ch, const char *list)
{
    size_t n = 1;
    for (const char *p = list; *p != 0; p++) {
        n += *p == ',';
    }
    ch->targets = mem_zalloc(n, sizeof *ch->targets);
    for (const char *p = list; ch->targets_n < n; p += *p == ',') {
        p += strspn(p, " ");
        size_t len = strcspn(p, ", ");
        ch->targets[ch->targets_n++] = copy_text(p, len);
        p += strcspn(p, ",");
    }
}

enum err rpc_channel_open(struct rpc_channel **out, struct rpc *rpc,
                          const char *target, const struct rpc_tls *tls,
                          const struct rpc_peer_check *expect,
                          struct errmsg *why)
{
    struct rpc_channel *ch = MEM_NEW(struct rpc_channel);
    ch->rpc = rpc;
    read_targets(ch, target);
    ch->tls = *tls;
    ch->verifier = rpc_verifier_new(expect);
    rpc_owner_init(&ch->owner);
    (void)pthread_mutex_init(&ch->lock, NULL);
    renew_link(ch);
    if (ch->link == NULL) {
        rpc_channel_close(&ch);
        return err_set(why, ERR_CONF,
                       "%.200s: no TLS certificate to connect with", target);
    }
    *out = ch;
    return ERR_OK;
}

void rpc_channel_reset(struct rpc_channel *ch)
{
    (void)pthread_mutex_lock(&ch->lock);
    drop_link(ch);
    (void)pthread_mutex_unlock(&ch->lock);
}

void rpc_channel_next(struct rpc_channel *ch)
{
    (void)pthread_mutex_lock(&ch->lock);
    if (ch->targets_n > 1) {
        ch->at = (ch->at + 1) % ch->targets_n;
        drop_link(ch);
    }
    (void)pthread_mutex_unlock(&ch->lock);
}

const char *rpc_channel_target(struct rpc_channel *ch)
{
    (void)pthread_mutex_lock(&ch->lock);
    const char *target = ch->targets[ch->at];
    (void)pthread_mutex_unlock(&ch->lock);
    return target;
}

/* A connection given up between its handshake and the server's first frame
 * lives on inside the library until its time is over. With a server that
 * answers it is a matter of milliseconds, so wait for them. */
static void settle(struct rpc_channel *ch)
{
    (void)pthread_mutex_lock(&ch->lock);
    for (unsigned i = 0; i < SETTLE_TRIES && ch->link != NULL; i++) {
        if (grpc_channel_check_connectivity_state(ch->link->core, 0) !=
            GRPC_CHANNEL_CONNECTING) {
            break;
        }
        clock_sleep(2);
    }
    (void)pthread_mutex_unlock(&ch->lock);
}

void rpc_channel_end(struct rpc_channel *ch)
{
    (void)pthread_mutex_lock(&ch->owner.lock);
    ch->owner.closing = true;
    (void)pthread_mutex_unlock(&ch->owner.lock);
    rpc_owner_cancel_all(&ch->owner, ERR_CANCELLED, "the channel was closed");
}

void rpc_channel_close(struct rpc_channel **channel)
{
    struct rpc_channel *ch = *channel;
    *channel = NULL;
    if (ch == NULL) {
        return;
    }
    rpc_channel_end(ch);
    rpc_owner_wait(&ch->owner);
    settle(ch);
    rpc_channel_reset(ch);
    rpc_verifier_close(ch->verifier);
    rpc_owner_fini(&ch->owner);
    (void)pthread_mutex_destroy(&ch->lock);
    for (size_t i = 0; i < ch->targets_n; i++) {
        mem_free(ch->targets[i]);
    }
    mem_free(ch->targets);
    mem_free(ch);
}

enum err rpc_stream_open(struct rpc_stream **out, struct rpc_channel *ch,
                         const char *path, const struct rpc_stream_ops *ops,
                         void *user, uint32_t deadline_ms)
{
    const char *target;
    struct rpc_link *link = get_link(ch, true, &target);
    if (link == NULL) {
        return ERR_CONF;
    }
    struct rpc_dial dial = {link, target, path, ops, user, deadline_ms};
    return rpc_stream_dial(out, ch->rpc, &ch->owner, &dial);
}

/* ---- unary ---- */

struct unary {
    struct rpc_tag tag;
    struct rpc *rpc;
    struct rpc_owner *owner;
    struct rpc_link *link;
    struct rpc_member member;
    bool on_poller; /* where `done` is called */
    grpc_byte_buffer *request;
    grpc_byte_buffer *reply;
    grpc_metadata_array initial;
    struct rpc_status_in status;
    rpc_done_fn *done;
    void *ctx;
};

static void unary_free(struct unary *u)
{
    grpc_byte_buffer_destroy(u->request);
    grpc_metadata_array_destroy(&u->initial);
    rpc_status_in_fini(&u->status);
    if (u->link != NULL) {
        rpc_link_unref(u->link);
    }
    mem_free(u);
}

static void unary_done(void *ctx)
{
    struct unary *u = ctx;
    struct rpc_owner *owner = u->owner;
    char text[RPC_TEXT_MAX];
    enum err err = rpc_status_in_read(&u->status, text);
    if (err == ERR_OK && u->reply != NULL && rpc_bytes_compressed(u->reply)) {
        err = ERR_INVALID;
        (void)snprintf(text, sizeof text, "%s", rpc_compressed_text);
    }
    grpc_slice flat = rpc_bytes_flatten(u->reply);
    u->done(u->ctx, err, text,
            err == ERR_OK ? rpc_slice_view(&flat) : slice_of(NULL, 0));
    rpc_slice_done(flat);
    rpc_owner_leave(owner, &u->member);
    unary_free(u);
    rpc_owner_done(owner);
}

static void on_unary(struct rpc_tag *tag, bool ok)
{
    (void)ok; /* always; the status tells */
    struct unary *u = CONTAINER_OF(tag, struct unary, tag);
    if (u->on_poller || pool_run(u->rpc->pool, unary_done, u) != ERR_OK) {
        unary_done(u);
    }
}

static void unary_start(struct unary *u)
{
    grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_MESSAGE}};
    ops[1].data.send_message.send_message = u->request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &u->initial;
    ops[4].data.recv_message.recv_message = &u->reply;
    rpc_status_in_op(&ops[5], &u->status);
    rpc_batch(u->member.call, ops, ARRAY_LEN(ops), &u->tag);
}

static struct unary *unary_new(struct rpc_channel *ch, rpc_done_fn *done,
                               void *ctx)
{
    struct unary *u = MEM_NEW(struct unary);
    u->tag.fn = on_unary;
    u->rpc = ch->rpc;
    u->owner = &ch->owner;
    u->done = done;
    u->ctx = ctx;
    grpc_metadata_array_init(&u->initial);
    rpc_status_in_init(&u->status);
    return u;
}

/* Anything but ERR_OK: `done` will not come. Takes the request either way. */
static enum err unary_begin(struct unary *u, struct rpc_channel *ch,
                            const char *path, struct buf *request,
                            uint32_t deadline_ms)
{
    if (request->len > RPC_MESSAGE_MAX) {
        buf_fini(request);
        return ERR_TOO_LARGE;
    }
    u->request = rpc_bytes_from(request);
    u->link = get_link(ch, false, NULL);
    if (u->link == NULL) {
        return ERR_CONF;
    }
    grpc_call *call = rpc_link_call(u->link, u->rpc, path, deadline_ms);
    if (!rpc_owner_join(u->owner, &u->member, call)) {
        grpc_call_unref(call);
        return ERR_CANCELLED;
    }
    unary_start(u);
    return ERR_OK;
}

/* A call that was never started: its user hears of it on a worker too. */
struct stillborn {
    rpc_done_fn *done;
    void *ctx;
    enum err err;
};

static void tell_stillborn(void *ctx)
{
    struct stillborn *s = ctx;
    s->done(s->ctx, s->err, err_text(s->err), slice_of(NULL, 0));
    mem_free(s);
}

void rpc_unary(struct rpc_channel *ch, const char *path, struct buf *request,
               uint32_t deadline_ms, rpc_done_fn *done, void *ctx)
{
    struct rpc *rpc = ch->rpc;
    struct unary *u = unary_new(ch, done, ctx);
    enum err err = unary_begin(u, ch, path, request, deadline_ms);
    if (err == ERR_OK) {
        return;
    }
    unary_free(u);
    struct stillborn *s = MEM_NEW(struct stillborn);
    *s = (struct stillborn){done, ctx, err};
    if (pool_run(rpc->pool, tell_stillborn, s) != ERR_OK) {
        tell_stillborn(s);
    }
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool over;
    enum err err;
    struct buf *reply;
    struct errmsg *why;
};

static void wake_waiter(void *ctx, enum err err, const char *text,
                        struct slice reply)
{
    struct waiter *w = ctx;
    if (err == ERR_OK) {
        buf_put_slice(w->reply, reply);
    }
    w->err = err_set(w->why, err, "%s", text);
    (void)pthread_mutex_lock(&w->lock);
    w->over = true;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}

enum err rpc_unary_wait(struct rpc_channel *ch, const char *path,
                        struct buf *request, uint32_t deadline_ms,
                        struct buf *reply, struct errmsg *why)
{
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER,
                       .wake = PTHREAD_COND_INITIALIZER,
                       .reply = reply,
                       .why = why};
    struct unary *u = unary_new(ch, wake_waiter, &w);
    u->on_poller = true;
    enum err err = unary_begin(u, ch, path, request, deadline_ms);
    if (err != ERR_OK) {
        unary_free(u);
        return err_set(why, err, "%s: %s", rpc_channel_target(ch),
                       err_text(err));
    }
    (void)pthread_mutex_lock(&w.lock);
    while (!w.over) {
        (void)pthread_cond_wait(&w.wake, &w.lock);
    }
    (void)pthread_mutex_unlock(&w.lock);
    return w.err;
}
