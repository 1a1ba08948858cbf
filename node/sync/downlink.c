#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pace.h"
#include "sync/ancestry.h"
#include "sync/downlink_impl.h"
#include "sync/hello.h"
#include "sync/roster.h"

enum {
    RECHECK_MS = 10000,    /* how long a call may outlive its certificate */
    ASK_WITHIN_MS = 60000, /* a poor line's way there and back, and more */
    PUT_OFF_MS = 600000,
    HEAR_MS = 5000,
    MORE_MS = 60000,
    HOLD_STREAM_MS = 5000,
};

/* ---- one stream's life ---- */

static void begin_pages(struct inflow *in);

/* The stream is kept from going away meanwhile. */
static void pages_job(void *ctx)
{
    struct inflow *in = ctx;
    if (inflow_hold_stream(in)) {
        begin_pages(in);
        inflow_let_stream_go(in);
    }
    inflow_unref(in);
}

static void queue_pages(struct inflow *in)
{
    (void)pthread_mutex_lock(&in->lock);
    in->refs++;
    (void)pthread_mutex_unlock(&in->lock);
    strand_run(in->strand, pages_job, in);
}

/* Downlink's lock held. A stream of the child is gone, with all that it left
 * in the store's queue: if it was the last before the one that waits, that one
 * goes on. */
static void wake_newest(struct child *c)
{
    struct inflow *in = c->inflow;
    if (in != NULL && in->waits && c->inflows == 1) {
        in->waits = false;
        queue_pages(in);
    }
}

void inflow_unref(struct inflow *in)
{
    struct downlink *down = in->down;
    struct child *child = in->child;
    (void)pthread_mutex_lock(&in->lock);
    bool last = --in->refs == 0;
    (void)pthread_mutex_unlock(&in->lock);
    if (!last) {
        return;
    }
    inflow_fini(in);
    strand_free(in->strand);
    (void)pthread_cond_destroy(&in->progress);
    (void)pthread_mutex_destroy(&in->pages_lock);
    (void)pthread_mutex_destroy(&in->lock);
    mem_free(in);
    (void)pthread_mutex_lock(&down->lock);
    down->inflows--;
    child->inflows--;
    wake_newest(child);
    (void)pthread_cond_broadcast(&down->gone);
    (void)pthread_mutex_unlock(&down->lock);
}

struct child *downlink_child(struct downlink *down,
                             const struct principal *peer)
{
    struct child *c = down->children;
    while (c != NULL && c->status.peer.code != peer->code) {
        c = c->next;
    }
    if (c == NULL) {
        c = MEM_NEW(struct child);
        c->heard_ms = clock_mono_ms();
        c->next = down->children;
        down->children = c;
    }
    c->status.peer = *peer;
    return c;
}

/* A newer stream takes the place of the older one: after a cut the child is
 * often back before this side has noticed. */
static void take_place(struct downlink *down, struct inflow *in)
{
    (void)pthread_mutex_lock(&down->lock);
    struct child *c = downlink_child(down, &in->peer);
    if (c->inflow != NULL) {
        rpc_stream_cut(c->inflow->stream, ERR_CANCELLED,
                       "a newer stream of this node took its place");
        log_info(down->env->log, "SYNC-REPLACED", "child=%012llu",
                 (unsigned long long)in->peer.code);
    }
    in->child = c;
    c->inflow = in;
    c->inflows++;
    c->greeted = false;
    c->status.connected = true;
    c->status.since_ms = clock_wall_ms();
    (void)snprintf(c->status.address, sizeof c->status.address, "%s",
                   rpc_stream_address(in->stream));
    down->inflows++;
    (void)pthread_mutex_unlock(&down->lock);
}

/* False: its certificate expired or was revoked, or it was moved since. */
static bool still_welcome(struct inflow *in, struct errmsg *why)
{
    struct downlink *down = in->down;
    uint64_t generation = admit_generation(down->env);
    if (atomic_load(&in->generation) == generation &&
        in->peer.not_after_ms > clock_wall_ms()) {
        return true;
    }
    if (admit_child(down->env, &in->peer, why) == ERR_OK) {
        atomic_store(&in->generation, generation);
        return true;
    }
    log_warn(down->env->log, "SYNC-DENIED", "child=%012llu text=\"%s\"",
             (unsigned long long)in->peer.code, why->text);
    downlink_refused(in, why->text);
    return false;
}

static void on_open(struct rpc_stream *s, void *user)
{
    struct downlink *down = user;
    const struct principal *peer = rpc_stream_peer(s);
    struct errmsg why;
    uint64_t generation = admit_generation(down->env);
    rpc_stream_set_user(s, NULL);
    enum err err = admit_child(down->env, peer, &why);
    if (err != ERR_OK) {
        static struct pace pace;
        pace_warn(&pace, down->env->log, "SYNC-DENIED", "peer=%s text=\"%s\"",
                  rpc_stream_address(s), why.text);
        rpc_stream_finish(s, err, why.text);
        return;
    }
    struct inflow *in = MEM_NEW(struct inflow);
    in->down = down;
    in->peer = *peer;
    atomic_init(&in->generation, generation);
    in->stream = s;
    in->refs = 1;
    in->due_last = &in->due_first;
    in->recv = recv_new(down->env->trust, LOG_RECORDS);
    recv_heed(in->recv, down->env->roster);
    in->strand = strand_new(rpc_pool(down->env->rpc));
    (void)pthread_mutex_init(&in->lock, NULL);
    (void)pthread_mutex_init(&in->pages_lock, NULL);
    clock_cond_init(&in->progress);
    take_place(down, in);
    rpc_stream_set_user(s, in);
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct inflow *in = user;
    (void)s;
    if (in == NULL) {
        return;
    }
    struct downlink *down = in->down;
    (void)pthread_mutex_lock(&down->lock);
    if (in->child->inflow == in) {
        in->child->inflow = NULL;
        in->child->greeted = false;
        in->child->status.connected = false;
        in->child->status.since_ms = clock_wall_ms();
    }
    (void)pthread_mutex_unlock(&down->lock);
    (void)pthread_mutex_lock(&in->lock);
    while (in->flushing) {
        (void)pthread_cond_wait(&in->progress, &in->lock);
    }
    in->stream = NULL;
    (void)pthread_mutex_unlock(&in->lock);
    log_info(down->env->log, "SYNC-CHILD-GONE",
             "child=%012llu err=%s "
             "text=\"%s\"",
             (unsigned long long)in->peer.code, err_name(err), text);
    inflow_unref(in);
}

/* ---- Hello and Have ---- */

bool downlink_serves(struct downlink *down, const struct principal *peer,
                     const struct log_id *log)
{
    const struct sync_env *env = down->env;
    return log->origin == peer->code ||
           env->entitled(env->ctx, log->origin, peer->code);
}

struct page {
    struct inflow *in;
    struct wire_log_have logs[WIRE_LOGS_MAX];
    size_t count;
    bool more;
};

static bool add_have(void *ctx, const struct store_head *head)
{
    struct page *page = ctx;
    struct inflow *in = page->in;
    if (head->log.kind != LOG_RECORDS ||
        log_id_cmp(&head->log, &in->paged_to) <= 0 ||
        !downlink_serves(in->down, &in->peer, &head->log)) {
        return true;
    }
    if (page->count == WIRE_LOGS_MAX) {
        page->more = true;
        return false;
    }
    page->logs[page->count++] = (struct wire_log_have){
        .log = head->log,
        .size = head->frontier.size,
        .root = head->root,
        .stopped = head->state == LOG_FORKED,
        .signed_ms = (uint64_t)head->newest.at_ms,
    };
    return true;
}

/* Pages locked. False: no room, `drained` goes on. */
static bool send_page(struct inflow *in)
{
    if (rpc_stream_queued(in->stream) >= RPC_WINDOW_BYTES / 2) {
        return false;
    }
    struct page *page = MEM_NEW(struct page);
    struct buf message = BUF_INIT;
    page->in = in;
    store_logs(in->down->env->store, add_have, page);
    wire_put_have(&message, page->logs, page->count, !page->more);
    enum err err = rpc_stream_send(in->stream, &message);
    buf_fini(&message);
    in->paging = err == ERR_OK && page->more;
    for (size_t i = 0; i < page->count; i++) {
        /* What became known above while the child was away. */
        struct store_above above[ABOVE_MAX];
        const struct log_id *log = &page->logs[i].log;
        if (store_above(in->down->env->store, log, above) > 0) {
            inflow_above(in, log, 1);
        }
        in->paged_to = *log;
    }
    mem_free(page);
    return in->paging;
}

struct count {
    struct inflow *in;
    size_t n;
};

static bool count_held(void *ctx, const struct store_head *head)
{
    struct count *c = ctx;
    c->n += head->log.kind == LOG_RECORDS &&
            downlink_serves(c->in->down, &c->in->peer, &head->log);
    return true;
}

static void note_held(struct inflow *in)
{
    struct count c = {in, 0};
    store_logs(in->down->env->store, count_held, &c);
    (void)pthread_mutex_lock(&in->lock);
    in->held = c.n;
    in->paged = true;
    (void)pthread_mutex_unlock(&in->lock);
}

static void send_pages(struct inflow *in)
{
    (void)pthread_mutex_lock(&in->pages_lock);
    while (in->paging && send_page(in)) {
    }
    (void)pthread_mutex_unlock(&in->pages_lock);
}

static void begin_pages(struct inflow *in)
{
    if (inflow_must_wait(in)) {
        return;
    }
    note_held(in);
    (void)pthread_mutex_lock(&in->pages_lock);
    in->paging = true;
    (void)pthread_mutex_unlock(&in->pages_lock);
    send_pages(in);
}

/* What an older stream of the child left on its way into the store is told
 * with the rest, or a child that lost its own copy would give it up. It is not
 * waited for here: the store may need as many workers as there are. */
static bool has_older(struct inflow *in)
{
    struct downlink *down = in->down;
    (void)pthread_mutex_lock(&down->lock);
    /* One whose place was taken since tells nothing more. */
    in->waits = in->child->inflow != in || in->child->inflows > 1;
    bool waits = in->waits;
    (void)pthread_mutex_unlock(&down->lock);
    return waits;
}

static enum err send_hello(struct inflow *in)
{
    struct buf message = BUF_INIT;
    hello_put(in->down->env, in->down->conf.window_bytes, &message);
    enum err err = rpc_stream_send(in->stream, &message);
    buf_fini(&message);
    return err;
}

/* What the child lacks of the root document's versions. Behind the lock, so
 * that they go in order whoever sends them. */
static void send_roots(struct inflow *in, void *ctx)
{
    struct buf message = BUF_INIT;
    enum err err = ERR_OK;
    (void)ctx;
    (void)pthread_mutex_lock(&in->lock);
    while (
        err == ERR_OK && in->stream != NULL &&
        roots_next(&in->roots, in->down->env, wire_put_parent_root, &message)) {
        err = rpc_stream_send(in->stream, &message);
    }
    if (err == ERR_BUSY) {
        rpc_stream_finish(in->stream, err,
                          "the child does not read what it is told");
    }
    (void)pthread_mutex_unlock(&in->lock);
    buf_fini(&message);
}

/* The child knows versions up to `has`: what is newer goes to it. */
static void child_has(struct inflow *in, uint64_t has)
{
    (void)pthread_mutex_lock(&in->lock);
    in->roots.has = has > in->roots.has ? has : in->roots.has;
    (void)pthread_mutex_unlock(&in->lock);
    send_roots(in, NULL);
}

static enum err on_root(struct inflow *in, const struct wire_root_document *m,
                        struct errmsg *why)
{
    uint64_t has = 0;
    enum err err =
        roots_take(&in->roots, in->down->env, &in->peer, m, &has, why);
    if (err == ERR_OK) {
        child_has(in, has);
    }
    return err;
}

static void note_hello(struct inflow *in, const struct wire_hello *hello)
{
    struct downlink *down = in->down;
    int64_t ahead_ms = hello_ahead_ms(hello);
    (void)pthread_mutex_lock(&down->lock);
    struct child_status *st = &in->child->status;
    in->child->ahead_ms = ahead_ms;
    in->child->greeted = in->child->inflow == in;
    in->child->heard_ms = clock_mono_ms();
    (void)snprintf(st->version, sizeof st->version, "%.*s",
                   (int)hello->version.len, (const char *)hello->version.data);
    (void)pthread_mutex_unlock(&down->lock);
    log_info(down->env->log, "SYNC-CHILD",
             "child=%012llu address=%s skew_ms=%lld",
             (unsigned long long)in->peer.code, rpc_stream_address(in->stream),
             (long long)hello_skew_ms(ahead_ms));
}

static enum err on_hello(struct inflow *in, const struct wire_hello *hello,
                         struct errmsg *why)
{
    if (in->greeted) {
        return err_set(why, ERR_PROTOCOL, "a second Hello");
    }
    uint64_t has = 0;
    enum err err = hello_check(in->down->env, hello, &in->peer, why);
    if (err == ERR_OK) {
        err = roots_greeted(&in->roots, in->down->env, &in->peer, hello, &has,
                            why);
    }
    if (err != ERR_OK) {
        return err;
    }
    note_hello(in, hello);
    err = send_hello(in);
    if (err != ERR_OK) {
        return err_set(why, err, "cannot be answered");
    }
    child_has(in, has);
    in->greeted = true;
    if (!has_older(in)) {
        begin_pages(in);
    }
    return ERR_OK;
}

/* ---- messages ---- */

static enum err dispatch(struct inflow *in, const struct wire_message *m,
                         size_t bytes, struct errmsg *why)
{
    if (!in->greeted && m->kind != WIRE_HELLO) {
        return err_set(why, ERR_PROTOCOL, "the first message is no Hello");
    }
    enum err err =
        roots_settled(&in->roots, in->down->env, &in->peer, m->kind, why);
    if (err != ERR_OK) {
        return err;
    }
    switch (m->kind) {
    case WIRE_HELLO:
        return on_hello(in, &m->hello, why);
    case WIRE_ROOT:
        return on_root(in, &m->root, why);
    case WIRE_SEGMENT:
        inflow_segment(in, &m->segment, bytes);
        return ERR_OK;
    case WIRE_EVIDENCE:
        inflow_evidence(in, &m->evidence);
        return ERR_OK;
    case WIRE_OTHER:
    case WIRE_RECEIPT:
    case WIRE_HAVE:
    case WIRE_ACK:
    case WIRE_STOP:
    case WIRE_WANT:
        return ERR_OK;
    }
    return ERR_OK;
}

static void note_message(struct inflow *in)
{
    struct downlink *down = in->down;
    (void)pthread_mutex_lock(&down->lock);
    in->child->status.last_message_ms = clock_wall_ms();
    if (in->child->greeted) {
        in->child->heard_ms = clock_mono_ms();
    }
    (void)pthread_mutex_unlock(&down->lock);
}

static enum rpc_at_once on_at_once(struct rpc_stream *s, void *user,
                                   struct slice message)
{
    struct inflow *in = user;
    struct wire_message m;
    struct errmsg why;
    (void)s;
    if (in == NULL || !in->greeted || in->refused || in->roots.awaited != 0 ||
        atomic_load(&in->generation) != admit_generation(in->down->env) ||
        wire_get_child(message, &m, &why) != ERR_OK || m.kind != WIRE_SEGMENT) {
        return RPC_TAKE_BACK;
    }
    enum rpc_at_once what = inflow_at_once(in, &m.segment, message.len);
    if (what != RPC_TAKE_BACK) {
        note_message(in);
    }
    return what;
}

static void on_rest(struct rpc_stream *s, void *user)
{
    (void)s;
    inflow_rest(user);
}

/* What the child sent behind it is on its way here still. */
static void refuse(struct inflow *in, enum err err, const char *text)
{
    in->refused = true;
    rpc_stream_finish(in->stream, err, text);
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    struct inflow *in = user;
    (void)s;
    if (in == NULL || in->refused) {
        return;
    }
    struct downlink *down = in->down;
    struct errmsg why = {""};
    if (!still_welcome(in, &why)) {
        refuse(in, ERR_DENIED, why.text);
        return;
    }
    note_message(in);
    struct wire_message m;
    enum err err = wire_get_child(message, &m, &why);
    if (err == ERR_OK) {
        err = dispatch(in, &m, message.len, &why);
    }
    if (err != ERR_OK) {
        log_warn(down->env->log, "SYNC-REFUSED", "child=%012llu text=\"%s\"",
                 (unsigned long long)in->peer.code, why.text);
        downlink_refused(in, why.text);
        refuse(in, err, why.text);
    }
}

static void on_drained(struct rpc_stream *s, void *user)
{
    struct inflow *in = user;
    (void)s;
    if (in != NULL) {
        send_pages(in);
    }
}

static const struct rpc_stream_ops replicate_ops = {
    .open = on_open,
    .message = on_message,
    .drained = on_drained,
    .closed = on_closed,
    .at_once = on_at_once,
    .rest = on_rest,
};

void downlink_refused(struct inflow *in, const char *text)
{
    (void)pthread_mutex_lock(&in->down->lock);
    struct child_status *st = &in->child->status;
    st->refused++;
    (void)snprintf(st->last_refusal, sizeof st->last_refusal, "%s", text);
    (void)pthread_mutex_unlock(&in->down->lock);
}

void downlink_received(struct inflow *in, uint64_t entries)
{
    (void)pthread_mutex_lock(&in->down->lock);
    in->child->status.received_entries += entries;
    (void)pthread_mutex_lock(&in->lock);
    in->child->status.logs = in->logs.count;
    (void)pthread_mutex_unlock(&in->lock);
    (void)pthread_mutex_unlock(&in->down->lock);
}

/* ---- all streams ---- */

typedef void inflow_fn(struct inflow *in, void *ctx);

/* Streams stay while they are visited: each is held by a reference, so that
 * no lock is held while `fn` works. */
static void each_inflow(struct downlink *down, inflow_fn *fn, void *ctx)
{
    (void)pthread_mutex_lock(&down->lock);
    struct inflow **list = mem_alloc((down->inflows + 1) * sizeof *list);
    size_t n = 0;
    for (struct child *c = down->children; c != NULL; c = c->next) {
        if (c->inflow != NULL) {
            list[n++] = c->inflow;
            (void)pthread_mutex_lock(&c->inflow->lock);
            c->inflow->refs++;
            (void)pthread_mutex_unlock(&c->inflow->lock);
        }
    }
    (void)pthread_mutex_unlock(&down->lock);
    for (size_t i = 0; i < n; i++) {
        fn(list[i], ctx);
        inflow_unref(list[i]);
    }
    mem_free(list);
}

struct changed {
    const struct log_id *logs;
    size_t n;
};

static void tell_above(struct inflow *in, void *ctx)
{
    const struct changed *changed = ctx;
    inflow_above(in, changed->logs, changed->n);
}

void downlink_above_changed(struct downlink *down, const struct log_id *logs,
                            size_t n)
{
    struct changed changed = {logs, n};
    each_inflow(down, tell_above, &changed);
}

static void relay(struct inflow *in, void *ctx)
{
    (void)ctx;
    inflow_relay(in);
}

static void on_tick(void *ctx)
{
    each_inflow(ctx, relay, NULL);
}

static void look_again(struct inflow *in, void *ctx)
{
    (void)ctx;
    if (inflow_waited(in)) {
        queue_pages(in);
    }
}

static void on_hold(void *ctx)
{
    each_inflow(ctx, look_again, NULL);
}

static void greet_again(struct inflow *in, void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&in->lock);
    enum err err = in->stream != NULL ? send_hello(in) : ERR_OK;
    (void)pthread_mutex_unlock(&in->lock);
    if (err != ERR_OK) {
        log_debug(in->down->env->log, "SYNC-HELLO", "err=%s", err_name(err));
    }
}

void downlink_greet_again(struct downlink *down)
{
    each_inflow(down, greet_again, NULL);
}

static void on_ancestry(void *ctx)
{
    downlink_greet_again(ctx);
}

void downlink_root_changed(struct downlink *down)
{
    each_inflow(down, send_roots, NULL);
}

static void recheck(struct inflow *in, void *ctx)
{
    struct errmsg why;
    (void)ctx;
    if (still_welcome(in, &why)) {
        return;
    }
    (void)pthread_mutex_lock(&in->lock);
    if (in->stream != NULL) {
        rpc_stream_finish(in->stream, ERR_DENIED, why.text);
    }
    (void)pthread_mutex_unlock(&in->lock);
}

void downlink_recheck(struct downlink *down)
{
    each_inflow(down, recheck, NULL);
    serve_fetch_recheck(down);
}

/* Nothing happens when a certificate ends, and a child may have nothing to
 * say for long. */
static void on_recheck(void *ctx)
{
    struct downlink *down = ctx;
    downlink_recheck(down);
    ticker_at(down->recheck, clock_mono_ms() + RECHECK_MS);
}

static void hang_up(struct inflow *in, void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&in->lock);
    if (in->stream != NULL) {
        rpc_stream_finish(in->stream, ERR_UNAVAILABLE, "the node is stopping");
    }
    (void)pthread_mutex_unlock(&in->lock);
}

void downlink_hang_up(struct downlink *down)
{
    each_inflow(down, hang_up, NULL);
}

/* ---- public ---- */

enum err downlink_new(struct downlink **out, const struct sync_env *env,
                      const struct downlink_conf *conf)
{
    struct downlink *down = MEM_NEW(struct downlink);
    down->env = env;
    down->conf = *conf;
    down->ask_within_ms = ASK_WITHIN_MS;
    down->put_off_for_ms = PUT_OFF_MS;
    down->hold_for_ms[WAIT_HEAR] = HEAR_MS;
    down->hold_for_ms[WAIT_MORE] = MORE_MS;
    down->hold_stream_ms = HOLD_STREAM_MS;
    down->since_ms = clock_mono_ms();
    (void)pthread_mutex_init(&down->lock, NULL);
    (void)pthread_cond_init(&down->gone, NULL);
    down->ticker = ticker_new(env->loop, on_tick, down);
    down->recheck = ticker_new(env->loop, on_recheck, down);
    down->hold = ticker_new(env->loop, on_hold, down);
    ticker_at(down->recheck, clock_mono_ms() + RECHECK_MS);
    const struct rpc_method methods[] = {
        {.path = SYNC_REPLICATE, .stream = &replicate_ops, .ctx = down},
        {.path = SYNC_FETCH, .stream = &serve_fetch_ops, .ctx = down},
        {.path = SYNC_ROOT, .unary = serve_root, .ctx = down},
    };
    memcpy(down->methods, methods, sizeof methods);
    ancestry_watch(env->ancestry, on_ancestry, down);
    *out = down;
    return ERR_OK;
}

const struct rpc_method *downlink_methods(struct downlink *down, size_t *count)
{
    *count = ARRAY_LEN(down->methods);
    return down->methods;
}

void downlink_free(struct downlink **downlink)
{
    struct downlink *down = *downlink;
    *downlink = NULL;
    if (down == NULL) {
        return;
    }
    ancestry_watch(down->env->ancestry, NULL, NULL);
    (void)pthread_mutex_lock(&down->lock);
    while (down->inflows > 0) {
        (void)pthread_cond_wait(&down->gone, &down->lock);
    }
    (void)pthread_mutex_unlock(&down->lock);
    ticker_free(&down->ticker);
    ticker_free(&down->recheck);
    ticker_free(&down->hold);
    struct child *next;
    for (struct child *c = down->children; c != NULL; c = next) {
        next = c->next;
        mem_free(c);
    }
    (void)pthread_cond_destroy(&down->gone);
    (void)pthread_mutex_destroy(&down->lock);
    mem_free(down);
}

/* Lock held; NULL: it was not seen since the start. A line that stands was
 * heard of within rpc.keepalive, one whose greeting is refused says nothing. */
static int64_t silent_ms(const struct downlink *down, const struct child *c)
{
    if (c != NULL && c->greeted) {
        return 0;
    }
    int64_t since_ms = c != NULL ? c->heard_ms : down->since_ms;
    int64_t for_ms = clock_mono_ms() - since_ms;
    return for_ms > 0 ? for_ms : 1;
}

void downlink_children(struct downlink *down, downlink_child_fn *fn, void *ctx)
{
    (void)pthread_mutex_lock(&down->lock);
    for (struct child *c = down->children; c != NULL; c = c->next) {
        struct child_status copy = c->status;
        copy.silent_ms = silent_ms(down, c);
        copy.clock_skew_ms = c->ahead_ms != 0 ? hello_skew_ms(c->ahead_ms) : 0;
        (void)pthread_mutex_unlock(&down->lock);
        bool go_on = fn(ctx, &copy);
        (void)pthread_mutex_lock(&down->lock);
        if (!go_on) {
            break;
        }
    }
    (void)pthread_mutex_unlock(&down->lock);
}

/* Codes of children that should be here. */
struct expected {
    struct downlink *down;
    uint64_t last; /* looked at: logs come in order of their origins */
    uint64_t *codes;
    size_t n;
    size_t cap;
};

static void expect(struct expected *e, uint64_t code)
{
    const struct sync_env *env = e->down->env;
    const struct principal peer = {.kind = PRINCIPAL_NODE, .code = code};
    size_t i = 0;
    while (i < e->n && e->codes[i] != code) {
        i++;
    }
    if (i < e->n || !env->is_child(env->ctx, &peer) ||
        roster_is_revoked(env->roster, code)) {
        return;
    }
    if (e->n == e->cap) {
        e->cap = 2 * e->cap + 16;
        e->codes = mem_realloc(e->codes, e->cap * sizeof *e->codes);
    }
    e->codes[e->n++] = code;
}

static bool expect_origin(void *ctx, const struct store_head *head)
{
    struct expected *e = ctx;
    if (head->log.kind == LOG_RECORDS && head->log.origin != e->last) {
        e->last = head->log.origin;
        expect(e, head->log.origin);
    }
    return true;
}

static bool expect_seen(void *ctx, const struct child_status *child)
{
    expect(ctx, child->peer.code);
    return true;
}

static int64_t silence_of(struct downlink *down, uint64_t code)
{
    (void)pthread_mutex_lock(&down->lock);
    const struct child *c = down->children;
    while (c != NULL && c->status.peer.code != code) {
        c = c->next;
    }
    int64_t for_ms = silent_ms(down, c);
    (void)pthread_mutex_unlock(&down->lock);
    return for_ms;
}

void downlink_silent(struct downlink *down, int64_t ms, downlink_silent_fn *fn,
                     void *ctx)
{
    struct expected e = {.down = down};
    store_logs(down->env->store, expect_origin, &e);
    downlink_children(down, expect_seen, &e);
    for (size_t i = 0; i < e.n; i++) {
        int64_t for_ms = silence_of(down, e.codes[i]);
        if (for_ms >= ms) {
            fn(ctx, e.codes[i], for_ms);
        }
    }
    mem_free(e.codes);
}
