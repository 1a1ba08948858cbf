/* Subscribe, the side that is followed: directives logs go down to children. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pace.h"
#include "base/ticker.h"
#include "store/stamp.h"
#include "sync/feed_impl.h"
#include "sync/fresh.h"
#include "sync/hello.h"
#include "sync/receipts.h"

/* ---- the strand ---- */

void feed_conn_unref(struct reader_conn *conn)
{
    struct feed *feed = conn->feed;
    (void)pthread_mutex_lock(&feed->lock);
    bool last = --conn->refs == 0;
    if (last) {
        struct reader_conn **at = &feed->conns;
        while (*at != conn) {
            at = &(*at)->next;
        }
        *at = conn->next;
    }
    (void)pthread_mutex_unlock(&feed->lock);
    if (!last) {
        return;
    }
    struct told *next;
    for (struct told *t = conn->logs; t != NULL; t = next) {
        next = t->next;
        mem_free(t);
    }
    (void)pthread_mutex_destroy(&conn->lock);
    mem_free(conn);
    (void)pthread_mutex_lock(&feed->lock);
    feed->conns_n--;
    (void)pthread_cond_broadcast(&feed->gone);
    (void)pthread_mutex_unlock(&feed->lock);
}

struct reader_conn **feed_conns(struct feed *feed, size_t *n)
{
    (void)pthread_mutex_lock(&feed->lock);
    struct reader_conn **list = mem_alloc((feed->conns_n + 1) * sizeof *list);
    *n = 0;
    for (struct reader_conn *c = feed->conns; c != NULL; c = c->next) {
        c->refs++;
        list[(*n)++] = c;
    }
    (void)pthread_mutex_unlock(&feed->lock);
    return list;
}

static void pump_job(void *ctx);

static void pump_later(struct feed *feed)
{
    (void)pthread_mutex_lock(&feed->lock);
    bool go = !feed->queued && !feed->stopping && feed->conns_n > 0;
    feed->queued = feed->queued || go;
    feed->jobs += go;
    (void)pthread_mutex_unlock(&feed->lock);
    if (go) {
        strand_run(feed->strand, pump_job, feed);
    }
}

static void pump_job(void *ctx)
{
    struct feed *feed = ctx;
    size_t n;
    bool more = false;
    (void)pthread_mutex_lock(&feed->lock);
    feed->queued = false;
    (void)pthread_mutex_unlock(&feed->lock);
    struct reader_conn **list = feed_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        more = feed_pump(list[i]) || more;
        feed_conn_unref(list[i]);
    }
    mem_free(list);
    if (more) {
        pump_later(feed);
    }
    (void)pthread_mutex_lock(&feed->lock);
    feed->jobs--;
    (void)pthread_cond_broadcast(&feed->gone);
    (void)pthread_mutex_unlock(&feed->lock);
}

/* store_watch() calls it: writer thread. */
static void on_commit(void *ctx, const struct log_id *logs, size_t n)
{
    struct feed *feed = ctx;
    bool grew = false;
    bool sent = true;
    for (size_t i = 0; i < n; i++) {
        struct store_head head;
        if (feed_goes_down(feed, &logs[i])) {
            grew = true;
            sent = sent &&
                   store_head(feed->env->store, &logs[i], &head) == ERR_OK &&
                   feed_is_sent(feed, &head);
        }
    }
    if (!sent) { /* else nobody needs to be woken for it */
        pump_later(feed);
    }
    if (grew) {
        receipts_changed(feed->env->receipts);
    }
}

void feed_head_came(struct feed *feed)
{
    atomic_fetch_add(&feed->heads, 1);
    pump_later(feed);
}

/* ---- the issuer's own heads ---- */

static bool renew_head(void *ctx, const struct store_head *head)
{
    struct feed *feed = ctx;
    const struct sync_env *env = feed->env;
    const struct identity *signer = atomic_load(&env->signer);
    struct buf note = BUF_INIT;
    if (!head->own || head->state != LOG_ACTIVE || signer == NULL) {
        return true;
    }
    struct checkpoint cp = {.log = head->log,
                            .size = head->frontier.size,
                            .root = head->root,
                            .at_ms = clock_wall_ms()};
    enum err err = checkpoint_sign(&cp, trust_federation(env->trust),
                                   trust_suite(env->trust), signer, &note);
    if (err == ERR_OK) {
        (void)fresh_came(env->fresh, &cp, 0, buf_slice(&note),
                         buf_slice(&signer->chain));
    } else {
        log_error(env->log, "FEED-SIGN", "err=%s", err_name(err));
    }
    buf_fini(&note);
    return true;
}

static void renew_job(void *ctx)
{
    struct feed *feed = ctx;
    /* A head of what another process has continued is not as new as it says. */
    if (store_up_to_date(feed->env->store)) {
        feed_open_first(feed);
        store_directives(feed->env->store, renew_head, feed);
    }
    feed_recheck(feed); /* a certificate may have expired */
    pump_job(feed);     /* counts itself off */
}

static void on_tick(void *ctx)
{
    struct feed *feed = ctx;
    (void)pthread_mutex_lock(&feed->lock);
    bool go = !feed->stopping;
    feed->jobs += go;
    (void)pthread_mutex_unlock(&feed->lock);
    if (go) {
        strand_run(feed->strand, renew_job, feed);
        ticker_at(feed->ticker, clock_mono_ms() + feed->period_ms);
    }
}

/* ---- the streams ---- */

/* As in downlink.c: after a cut the child is often back before this side has
 * noticed. One that reads none of them has one queue here, not one a call. */
static void take_place(struct feed *feed, const struct reader_conn *newer)
{
    size_t n;
    struct reader_conn **list = feed_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        struct reader_conn *conn = list[i];
        (void)pthread_mutex_lock(&conn->lock);
        if (conn != newer && conn->stream != NULL &&
            conn->peer.code == newer->peer.code) {
            rpc_stream_cut(conn->stream, ERR_CANCELLED,
                           "a newer stream of this node took its place");
        }
        (void)pthread_mutex_unlock(&conn->lock);
        feed_conn_unref(conn);
    }
    mem_free(list);
}

static void on_open(struct rpc_stream *s, void *user)
{
    struct feed *feed = user;
    struct errmsg why;
    const struct principal *peer = rpc_stream_peer(s);
    rpc_stream_set_user(s, NULL);
    enum err err = admit_child(feed->env, peer, &why);
    if (err != ERR_OK) {
        static struct pace pace;
        pace_warn(&pace, feed->env->log, "FEED-DENIED", "peer=%s text=\"%s\"",
                  rpc_stream_address(s), why.text);
        rpc_stream_finish(s, err, why.text);
        return;
    }
    struct reader_conn *conn = MEM_NEW(struct reader_conn);
    conn->feed = feed;
    conn->peer = *peer;
    conn->stream = s;
    conn->refs = 1;
    flow_begin(&conn->flow, feed->window_bytes);
    (void)pthread_mutex_init(&conn->lock, NULL);
    (void)pthread_mutex_lock(&feed->lock);
    conn->next = feed->conns;
    feed->conns = conn;
    feed->conns_n++;
    (void)pthread_mutex_unlock(&feed->lock);
    take_place(feed, conn);
    rpc_stream_set_user(s, conn);
}

static enum err on_hello(struct reader_conn *conn,
                         const struct wire_hello *hello, struct errmsg *why)
{
    const struct sync_env *env = conn->feed->env;
    struct buf message = BUF_INIT;
    enum err err = hello_check(env, hello, &conn->peer, why);
    if (err != ERR_OK) {
        return err;
    }
    hello_put(env, conn->feed->window_bytes, &message);
    err = rpc_stream_send(conn->stream, &message);
    buf_fini(&message);
    conn->greeted = err == ERR_OK;
    return err_set(why, err, "cannot be answered");
}

static enum err dispatch(struct reader_conn *conn, const struct wire_message *m,
                         struct errmsg *why)
{
    if (conn->greeted == (m->kind == WIRE_HELLO)) {
        return err_set(why, ERR_PROTOCOL, "Hello must come first, and once");
    }
    switch (m->kind) {
    case WIRE_HELLO:
        return on_hello(conn, &m->hello, why);
    case WIRE_HAVE:
        return feed_on_have(conn, &m->have, why);
    case WIRE_ACK:
        feed_on_ack(conn, &m->ack);
        return ERR_OK;
    case WIRE_STOP:
        feed_on_stop(conn, &m->stop);
        return ERR_OK;
    case WIRE_EVIDENCE:
        return feed_on_evidence(conn, &m->evidence, why);
    case WIRE_RECEIPT:
        feed_on_receipt(conn, &m->receipt);
        return ERR_OK;
    case WIRE_OTHER:
    case WIRE_SEGMENT:
    case WIRE_WANT:
    case WIRE_ROOT:
        return ERR_OK;
    }
    return ERR_OK;
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    struct reader_conn *conn = user;
    struct wire_message m;
    struct errmsg why = {""};
    if (conn == NULL || conn->refused) {
        return;
    }
    enum err err = wire_get_follower(message, &m, &why);
    if (err == ERR_OK) {
        err = dispatch(conn, &m, &why);
    }
    if (err != ERR_OK) {
        conn->refused = true;
        if (err != ERR_UNAVAILABLE) { /* else it is no fault of the child's */
            log_warn(conn->feed->env->log, "FEED-REFUSED",
                     "child=%012llu text=\"%s\"",
                     (unsigned long long)conn->peer.code, why.text);
        }
        rpc_stream_finish(s, err, why.text);
        return;
    }
    if (m.kind != WIRE_RECEIPT) { /* which makes no room and asks for nothing */
        pump_later(conn->feed);
    }
}

/* What most messages are: a worker would be woken for a subtraction. */
static enum rpc_at_once on_at_once(struct rpc_stream *s, void *user,
                                   struct slice message)
{
    struct reader_conn *conn = user;
    struct wire_message m;
    struct errmsg why;
    bool waits;
    (void)s;
    if (conn == NULL || conn->refused || !conn->greeted ||
        wire_get_follower(message, &m, &why) != ERR_OK || m.kind != WIRE_ACK ||
        !feed_try_ack(conn, &m.ack, &waits)) {
        return RPC_TAKE_BACK;
    }
    if (waits) {
        pump_later(conn->feed);
    }
    return RPC_DONE;
}

static void on_drained(struct rpc_stream *s, void *user)
{
    struct reader_conn *conn = user;
    (void)s;
    if (conn != NULL) {
        pump_later(conn->feed);
    }
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct reader_conn *conn = user;
    (void)s;
    if (conn == NULL) {
        return;
    }
    log_debug(conn->feed->env->log, "FEED-GONE",
              "child=%012llu err=%s text=\"%s\"",
              (unsigned long long)conn->peer.code, err_name(err), text);
    (void)pthread_mutex_lock(&conn->lock);
    conn->stream = NULL;
    bool was_here = conn->told_all;
    (void)pthread_mutex_unlock(&conn->lock);
    if (was_here) {
        receipts_child(conn->feed->env->receipts, &conn->peer, false);
    }
    feed_conn_unref(conn);
}

static const struct rpc_stream_ops feed_ops = {
    .open = on_open,
    .message = on_message,
    .drained = on_drained,
    .closed = on_closed,
    .at_once = on_at_once,
};

/* ---- all streams ---- */

static void end_stream(struct reader_conn *conn, enum err err, const char *text)
{
    (void)pthread_mutex_lock(&conn->lock);
    if (conn->stream != NULL) {
        rpc_stream_finish(conn->stream, err, text);
    }
    (void)pthread_mutex_unlock(&conn->lock);
}

void feed_hang_up(struct feed *feed)
{
    size_t n;
    struct reader_conn **list = feed_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        end_stream(list[i], ERR_UNAVAILABLE, "the node is stopping");
        feed_conn_unref(list[i]);
    }
    mem_free(list);
}

void feed_recheck(struct feed *feed)
{
    size_t n;
    struct errmsg why;
    struct reader_conn **list = feed_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        enum err err = admit_child(feed->env, &list[i]->peer, &why);
        if (err != ERR_OK) {
            end_stream(list[i], err, why.text);
        }
        feed_conn_unref(list[i]);
    }
    mem_free(list);
    feed_lost_recheck(feed);
}

static void tell_status(struct reader_conn *conn, feed_status_fn *fn, void *ctx)
{
    bool more = true;
    (void)pthread_mutex_lock(&conn->lock);
    for (struct told *t = conn->logs; more && t != NULL; t = t->next) {
        const struct feed_status st = {.peer = conn->peer,
                                       .log = t->log,
                                       .size = t->acked,
                                       .stopped = t->stopped};
        more = conn->stream == NULL || fn(ctx, &st);
    }
    (void)pthread_mutex_unlock(&conn->lock);
}

void feed_children(struct feed *feed, feed_status_fn *fn, void *ctx)
{
    size_t n;
    struct reader_conn **list = feed_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        tell_status(list[i], fn, ctx);
        feed_conn_unref(list[i]);
    }
    mem_free(list);
}

/* ---- public ---- */

struct feed *feed_new(const struct sync_env *env, uint32_t period_ms,
                      size_t window_bytes, uint32_t first_log_ms)
{
    struct feed *feed = MEM_NEW(struct feed);
    feed->env = env;
    feed->period_ms = period_ms;
    feed->window_bytes = window_bytes;
    feed->first_log_ms = first_log_ms;
    feed->began_ms = clock_mono_ms();
    feed->method = (struct rpc_method){
        .path = SYNC_SUBSCRIBE, .stream = &feed_ops, .ctx = feed};
    (void)pthread_mutex_init(&feed->lock, NULL);
    (void)pthread_mutex_init(&feed->recv_lock, NULL);
    (void)pthread_cond_init(&feed->gone, NULL);
    feed->recv = recv_new(env->trust, LOG_DIRECTIVES);
    feed->strand = strand_new(rpc_pool(env->rpc));
    source_init(&feed->source, trust_federation(env->trust));
    feed->ticker = ticker_new(env->loop, on_tick, feed);
    store_watch(env->store, on_commit, feed);
    ticker_at(feed->ticker, clock_mono_ms());
    return feed;
}

const struct rpc_method *feed_method(struct feed *feed)
{
    return &feed->method;
}

void feed_free(struct feed **feed_ptr)
{
    struct feed *feed = *feed_ptr;
    *feed_ptr = NULL;
    if (feed == NULL) {
        return;
    }
    store_unwatch(feed->env->store, on_commit, feed);
    (void)pthread_mutex_lock(&feed->lock);
    feed->stopping = true;
    while (feed->conns_n > 0 || feed->jobs > 0) {
        (void)pthread_cond_wait(&feed->gone, &feed->lock);
    }
    (void)pthread_mutex_unlock(&feed->lock);
    ticker_free(&feed->ticker);
    strand_free(feed->strand);
    source_fini(&feed->source);
    buf_fini(&feed->message);
    recv_free(&feed->recv);
    feed_lost_fini(feed);
    (void)pthread_cond_destroy(&feed->gone);
    (void)pthread_mutex_destroy(&feed->recv_lock);
    (void)pthread_mutex_destroy(&feed->lock);
    mem_free(feed);
}
