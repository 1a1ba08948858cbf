#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sync/roster.h"
#include "sync/uplink_impl.h"

enum {
    RECHECK_MS = 1000,
    REWRAP_MS = 3600000,
    PACE_MS = 20, /* docs/decisions/0008-forwarding.md */
};

/* ---- the connection's callbacks ---- */

static void on_open(struct rpc_stream *s, void *user)
{
    struct conn *conn = user;
    (void)pthread_mutex_lock(&conn->up->lock);
    conn->stream = s;
    (void)pthread_mutex_unlock(&conn->up->lock);
    uplink_feed(conn->up, conn, &(struct link_event){.type = LINK_OPENED});
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    (void)s;
    uplink_message(user, message);
}

static enum rpc_at_once on_at_once(struct rpc_stream *s, void *user,
                                   struct slice message)
{
    (void)s;
    return uplink_at_once(user, message);
}

static void on_drained(struct rpc_stream *s, void *user)
{
    (void)s;
    uplink_drained(user);
}

static void note_failure(struct uplink *up, const char *text)
{
    (void)pthread_mutex_lock(&up->lock);
    (void)snprintf(up->status.error, sizeof up->status.error, "%.255s", text);
    (void)pthread_mutex_unlock(&up->lock);
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct conn *conn = user;
    struct uplink *up = conn->up;
    (void)s;
    (void)pthread_mutex_lock(&up->lock);
    bool current = up->conn == conn;
    (void)pthread_mutex_unlock(&up->lock);
    if (current) {
        note_failure(up, text);
        log_warn(up->env->log, "SYNC-LOST", "parent=%s err=%s text=\"%s\"",
                 up->target, err_name(err), text);
        struct link_event event = {.type = LINK_CLOSED,
                                   .elsewhere = err == ERR_ELSEWHERE,
                                   .retry_after_ms = wire_retry_after_ms(text)};
        suite_random(&event.random, sizeof event.random);
        uplink_feed(up, conn, &event);
    }
    (void)pthread_mutex_lock(&up->lock);
    /* The link takes no such event while it stops. */
    up->conn = up->conn == conn ? NULL : up->conn;
    while (up->pumping || conn->dialing) {
        (void)pthread_cond_wait(&up->idle, &up->lock);
    }
    buf_fini(&conn->parked);
    mem_free(conn);
    up->conns--;
    (void)pthread_cond_broadcast(&up->idle);
    (void)pthread_mutex_unlock(&up->lock);
}

static const struct rpc_stream_ops stream_ops = {
    .open = on_open,
    .message = on_message,
    .drained = on_drained,
    .closed = on_closed,
    .at_once = on_at_once,
};

/* ---- what the link asks for ---- */

static void dial(struct uplink *up)
{
    struct conn *conn = MEM_NEW(struct conn);
    conn->up = up;
    conn->dialing = true;
    (void)pthread_mutex_lock(&up->lock);
    bool wanted =
        up->link.state == UPLINK_DIALING && up->conn == NULL && !up->stopping;
    if (wanted) {
        up->conn = conn;
        up->conns++;
    }
    (void)pthread_mutex_unlock(&up->lock);
    if (!wanted) {
        mem_free(conn);
        return;
    }
    struct rpc_stream *stream = NULL;
    up->target = rpc_channel_target(up->channel);
    enum err err = rpc_stream_open(&stream, up->channel, SYNC_REPLICATE,
                                   &stream_ops, conn, 0);
    (void)pthread_mutex_lock(&up->lock);
    if (conn->stream == NULL) { /* else it is open already, and in use */
        conn->stream = stream;
    }
    conn->dialing = false;
    if (stream != NULL && up->conn != conn) {
        rpc_stream_finish(stream, ERR_CANCELLED, "hung up");
    }
    (void)pthread_cond_broadcast(&up->idle);
    (void)pthread_mutex_unlock(&up->lock);
    if (err != ERR_OK) {
        on_closed(NULL, conn, err, err_text(err));
    }
}

static void send_hello(struct conn *conn)
{
    struct buf message = BUF_INIT;
    assert(conn != NULL); /* only an opened one leads here */
    hello_put(conn->up->env, 0, &message);
    enum err err = rpc_stream_send(conn->stream, &message);
    buf_fini(&message);
    if (err != ERR_OK) {
        log_debug(conn->up->env->log, "SYNC-HELLO", "err=%s", err_name(err));
    }
}

/* Lock held. The stream to end, or NULL. It stays valid: its closed callback
 * needs the lock to get past this connection. */
static struct rpc_stream *let_go(struct uplink *up)
{
    struct conn *conn = up->conn;
    up->conn = NULL;
    send_reset(&up->send, 0);
    up->status.in_flight_bytes = 0;
    return conn != NULL ? conn->stream : NULL;
}

/* Lock held. */
static void arm(struct uplink *up)
{
    uint32_t in_ms = up->link.deadline_ms;
    up->deadline_at_ms = in_ms == 0 ? 0 : clock_mono_ms() + in_ms;
    if (in_ms != 0) {
        ticker_at(up->ticker, up->deadline_at_ms);
    }
}

/* Lock held. */
static void tell_state(struct uplink *up)
{
    struct uplink_status *st = &up->status;
    if (st->state == up->link.state) {
        return;
    }
    log_debug(up->env->log, "SYNC-STATE", "parent=%s from=%s to=%s", up->target,
              uplink_state_name(st->state), uplink_state_name(up->link.state));
    st->state = up->link.state;
    st->since_ms = clock_wall_ms();
    st->retry_at_ms =
        st->state == UPLINK_WAITING ? st->since_ms + up->link.deadline_ms : 0;
}

/* The end of what up->acting counts: the channel may go now. */
static void acted(struct uplink *up)
{
    (void)pthread_mutex_lock(&up->lock);
    up->acting--;
    (void)pthread_cond_broadcast(&up->idle);
    (void)pthread_mutex_unlock(&up->lock);
}

void uplink_feed(struct uplink *up, struct conn *conn,
                 const struct link_event *event)
{
    unsigned todo = 0;
    (void)pthread_mutex_lock(&up->lock);
    bool old = conn != NULL && conn != up->conn;
    bool late = up->stopping && event->type != LINK_STOP;
    enum err err = old || late ? ERR_OK : link_step(&up->link, event, &todo);
    if ((todo & LINK_HANG_UP) != 0) {
        struct rpc_stream *stream = let_go(up);
        if (stream != NULL && event->type != LINK_CLOSED) {
            /* Under the lock: its closed callback cannot overtake. */
            rpc_stream_finish(stream, ERR_CANCELLED, "hung up");
        }
    }
    if ((todo & LINK_ARM) != 0) {
        arm(up);
    }
    tell_state(up);
    up->acting++;
    (void)pthread_mutex_unlock(&up->lock);

    if ((todo & LINK_HANG_UP) != 0 && event->type != LINK_STOP &&
        event->type != LINK_RESTART) {
        rpc_channel_next(up->channel); /* another process may be the parent */
    }
    if (err != ERR_OK) {
        uplink_give_up(conn, err, "a message out of turn");
    }
    if ((todo & LINK_DIAL) != 0) {
        dial(up);
    }
    if ((todo & LINK_HELLO) != 0) {
        send_hello(conn);
    }
    if ((todo & LINK_SERVE) != 0) {
        log_info(up->env->log, "SYNC-UP", "parent=%s", up->target);
    }
    acted(up);
}

void uplink_give_up(struct conn *conn, enum err err, const char *text)
{
    assert(conn != NULL); /* nothing else can be out of turn */
    struct uplink *up = conn->up;
    char line[256];
    (void)snprintf(line, sizeof line, "%s: %s", err_text(err), text);
    log_warn(up->env->log, "SYNC-PROTOCOL", "parent=%s err=%s text=\"%s\"",
             up->target, err_name(err), text);
    note_failure(up, line);
    struct link_event event = {.type = LINK_DEADLINE};
    suite_random(&event.random, sizeof event.random);
    uplink_feed(up, conn, &event);
}

static void on_tick(void *ctx)
{
    struct uplink *up = ctx;
    (void)pthread_mutex_lock(&up->lock);
    int64_t at = up->deadline_at_ms;
    bool due = at != 0 && at <= clock_mono_ms();
    if (due) {
        up->deadline_at_ms = 0;
        if (up->link.state != UPLINK_WAITING) {
            (void)snprintf(up->status.error, sizeof up->status.error,
                           "no answer from %s while %s", up->target,
                           uplink_state_name(up->link.state));
            log_warn(up->env->log, "SYNC-TIMEOUT", "parent=%s state=%s",
                     up->target, uplink_state_name(up->link.state));
        }
    }
    (void)pthread_mutex_unlock(&up->lock);
    if (due) {
        struct link_event event = {.type = LINK_DEADLINE};
        suite_random(&event.random, sizeof event.random);
        uplink_feed(up, NULL, &event);
    } else if (at != 0) {
        ticker_at(up->ticker, at);
    }
}

static void on_retry(void *ctx)
{
    struct uplink *up = ctx;
    (void)pthread_mutex_lock(&up->lock);
    bool serving = up->link.state == UPLINK_STREAMING;
    (void)pthread_mutex_unlock(&up->lock);
    again_tried(&up->again);
    if (serving) {
        log_info(up->env->log, "SYNC-RETRY",
                 "parent=%s effect=\"stopped logs are offered again\"",
                 up->target);
        uplink_feed(up, NULL, &(struct link_event){.type = LINK_RESTART});
    }
}

void uplink_retry_later(struct uplink *up)
{
    ticker_at(up->retry, again_at(&up->again));
}

void uplink_retry_soon(struct uplink *up)
{
    ticker_at(up->retry, clock_mono_ms() + RECHECK_MS);
}

static void retry_later(void *ctx)
{
    uplink_retry_later(ctx);
}

/* ---- jobs on the strand ---- */

bool uplink_run(struct uplink *up, pool_fn *fn, void *ctx)
{
    (void)pthread_mutex_lock(&up->lock);
    bool go = !up->stopping;
    up->jobs += go;
    (void)pthread_mutex_unlock(&up->lock);
    if (go) {
        strand_run(up->strand, fn, ctx);
    }
    return go;
}

void uplink_job_done(struct uplink *up)
{
    (void)pthread_mutex_lock(&up->lock);
    up->jobs--;
    (void)pthread_cond_broadcast(&up->idle);
    (void)pthread_mutex_unlock(&up->lock);
}

static void on_rewrap(void *ctx)
{
    struct uplink *up = ctx;
    if (uplink_judge_later(up)) {
        ticker_at(up->rewrap, clock_mono_ms() + REWRAP_MS);
    }
}

/* ---- public ---- */

static enum err expect_parent(void *ctx, const struct principal *peer,
                              struct errmsg *why)
{
    struct uplink *up = ctx;
    if (peer->kind != PRINCIPAL_NODE || peer->code != up->conf.parent_code) {
        return err_set(why, ERR_DENIED,
                       "%s is %012llu, the parent should be %012llu: correct "
                       "parent.address, or parent.code if that is the parent",
                       up->target, (unsigned long long)peer->code,
                       (unsigned long long)up->conf.parent_code);
    }
    if (trust_is_revoked(up->env->trust, peer->fingerprint)) {
        return err_set(why, ERR_DENIED, "certificate of %012llu is revoked",
                       (unsigned long long)peer->code);
    }
    return ERR_OK;
}

static bool know_log(void *ctx, const struct store_head *head)
{
    struct uplink *up = ctx;
    /* Commits are watched already. */
    (void)pthread_mutex_lock(&up->lock);
    if (head->log.kind == LOG_RECORDS) {
        send_grew(&up->send, &head->log, head->frontier.size, false);
    }
    if (head->state == LOG_FORKED) {
        send_bar(&up->send, &head->log);
    }
    (void)pthread_mutex_unlock(&up->lock);
    return true;
}

static unsigned addresses_in(const char *list)
{
    unsigned n = 1;
    for (; *list != 0; list++) {
        n += *list == ',';
    }
    return n;
}

static struct uplink *make(const struct sync_env *env,
                           const struct uplink_conf *conf)
{
    struct uplink *up = MEM_NEW(struct uplink);
    up->env = env;
    up->conf = *conf;
    up->target = conf->parent;
    up->status.parent_code = conf->parent_code;
    up->status.since_ms = clock_wall_ms();
    up->expect = (struct rpc_peer_check){expect_parent, up};
    (void)pthread_mutex_init(&up->lock, NULL);
    (void)pthread_cond_init(&up->idle, NULL);
    link_init(&up->link, &(struct link_conf){
                             .dialing_ms = conf->dialing_ms,
                             .greeting_ms = conf->greeting_ms,
                             .silence_ms = conf->silence_ms,
                             .backoff_min_ms = conf->backoff_min_ms,
                             .backoff_max_ms = conf->backoff_max_ms,
                             .addresses = addresses_in(conf->parent),
                         });
    send_init(&up->send, conf->segment_bytes, PACE_MS);
    source_init(&up->source, trust_federation(env->trust));
    up->recv = recv_new(env->trust, LOG_RECORDS);
    recv_heed(up->recv, env->roster);
    up->ticker = ticker_new(env->loop, on_tick, up);
    up->retry = ticker_new(env->loop, on_retry, up);
    up->rewrap = ticker_new(env->loop, on_rewrap, up);
    up->pace = ticker_new(env->loop, uplink_paced, up);
    up->strand = strand_new(rpc_pool(env->rpc));
    return up;
}

static void dispose(struct uplink *up)
{
    if (up->restore != NULL) {
        rpc_channel_end(up->channel); /* it may be waiting for an answer */
        restore_stop(up->restore);
    }
    (void)pthread_mutex_lock(&up->lock);
    while (up->acting > 0) { /* an event from before the stop */
        (void)pthread_cond_wait(&up->idle, &up->lock);
    }
    (void)pthread_mutex_unlock(&up->lock);
    rpc_channel_close(&up->channel);
    (void)pthread_mutex_lock(&up->lock);
    while (up->conns > 0 || up->jobs > 0 || up->pumping) {
        (void)pthread_cond_wait(&up->idle, &up->lock);
    }
    (void)pthread_mutex_unlock(&up->lock);
    restore_free(&up->restore); /* a message on its way may name a log */
    ticker_free(&up->ticker);
    ticker_free(&up->retry);
    ticker_free(&up->rewrap);
    ticker_free(&up->pace);
    strand_free(up->strand);
    recv_free(&up->recv);
    source_fini(&up->source);
    send_fini(&up->send);
    (void)pthread_cond_destroy(&up->idle);
    (void)pthread_mutex_destroy(&up->lock);
    mem_free(up);
}

enum err uplink_start(struct uplink **out, const struct sync_env *env,
                      const struct rpc_tls *tls, const struct uplink_conf *conf,
                      struct errmsg *why)
{
    struct uplink *up = make(env, conf);
    enum err err = rpc_channel_open(&up->channel, env->rpc, conf->parent, tls,
                                    &up->expect, why);
    if (err != ERR_OK) {
        dispose(up);
        return err;
    }
    up->restore =
        restore_new(env, up->channel, uplink_restored, retry_later, up);
    store_watch(env->store, uplink_committed, up);
    store_logs(env->store, know_log, up);
    if (env->keyring != NULL) {
        ticker_at(up->rewrap, clock_mono_ms() + REWRAP_MS);
    }
    *out = up;
    uplink_feed(up, NULL, &(struct link_event){.type = LINK_START});
    return ERR_OK;
}

void uplink_stop(struct uplink **uplink)
{
    struct uplink *up = *uplink;
    *uplink = NULL;
    if (up == NULL) {
        return;
    }
    store_unwatch(up->env->store, uplink_committed, up);
    (void)pthread_mutex_lock(&up->lock);
    up->stopping = true;
    (void)pthread_mutex_unlock(&up->lock);
    uplink_feed(up, NULL, &(struct link_event){.type = LINK_STOP});
    dispose(up);
}

void uplink_reconnect(struct uplink *up)
{
    rpc_channel_reset(up->channel);
    uplink_feed(up, NULL, &(struct link_event){.type = LINK_RESTART});
}

struct rpc_channel *uplink_channel(struct uplink *up)
{
    return up->channel;
}

void uplink_root_changed(struct uplink *up)
{
    uplink_send_roots(up);
}

void uplink_recheck(struct uplink *up)
{
    (void)pthread_mutex_lock(&up->lock);
    struct errmsg why = {"the parent's certificate was revoked"};
    bool revoked =
        up->conn != NULL &&
        (trust_is_revoked(up->env->trust, up->parent_fingerprint) ||
         roster_check(up->env->roster, up->conf.parent_code, &why) != ERR_OK);
    struct send_totals totals;
    send_totals(&up->send, &totals);
    (void)pthread_mutex_unlock(&up->lock);
    if (totals.stopped_logs > 0) {
        /* Their origins may have come back below this node; the parent, which
         * heard it first, is to have seen to it. */
        ticker_at(up->retry, clock_mono_ms() + RECHECK_MS);
    }
    (void)uplink_judge_later(up); /* who is above it may be another now */
    if (revoked) {
        note_failure(up, why.text);
        log_warn(up->env->log, "SYNC-DENIED", "parent=%s text=\"%s\"",
                 up->target, why.text);
        uplink_reconnect(up);
    }
}

/* ---- logs that do not rise ---- */

struct stuck {
    struct stuck_log {
        struct log_id log;
        int64_t since_ms;
    } * at;
    size_t n;
    size_t cap;
};

static void on_stuck(void *ctx, const struct log_id *log, int64_t since_ms)
{
    struct stuck *s = ctx;
    if (s->n == s->cap) {
        s->cap = 2 * s->cap + 16;
        s->at = mem_realloc(s->at, s->cap * sizeof *s->at);
    }
    s->at[s->n++] = (struct stuck_log){*log, since_ms};
}

/* Whose records are to rise by this node? An own log that has a successor was
 * cut to what it kept; the origin may have been moved away, or shut out. */
static bool must_rise(const struct uplink *up, const struct log_id *log)
{
    const struct sync_env *env = up->env;
    struct store_head head;
    if (log->origin == env->self.code) {
        return store_head(env->store, log, &head) == ERR_OK &&
               head.state == LOG_ACTIVE;
    }
    return env->entitled(env->ctx, log->origin, env->self.code) &&
           !roster_is_revoked(env->roster, log->origin);
}

/* What was last said of a log is told of that one, if it still stands still. */
static void judge_stuck(const struct uplink *up, const struct stuck *stuck,
                        const struct log_id *stopped, struct uplink_status *out)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < stuck->n; i++) {
        const struct stuck_log *s = &stuck->at[i];
        if (!must_rise(up, &s->log)) {
            continue;
        }
        if (out->stuck_logs == 0 || log_id_eq(&s->log, stopped)) {
            out->stuck_log = s->log;
        }
        int64_t for_ms = now_ms - s->since_ms;
        out->stuck_for_ms =
            for_ms > out->stuck_for_ms ? for_ms : out->stuck_for_ms;
        out->stuck_logs++;
    }
    if (out->stuck_logs == 0 || !log_id_eq(&out->stuck_log, stopped)) {
        out->stuck_why[0] = 0;
    }
}

/* A refusal begins with the log's name, which is told beside it. */
static const char *without_name(const char *why, const struct log_id *log)
{
    char name[LOG_ID_TEXT_MAX + 8];
    char id[LOG_ID_TEXT_MAX];
    log_id_format(log, id);
    int n = snprintf(name, sizeof name, "log %s: ", id);
    return strncmp(why, name, (size_t)n) == 0 ? why + n : why;
}

void uplink_status(struct uplink *up, struct uplink_status *out)
{
    struct send_totals totals;
    struct stuck stuck = {NULL, 0, 0};
    (void)pthread_mutex_lock(&up->lock);
    send_totals(&up->send, &totals);
    *out = up->status;
    (void)snprintf(out->peer, sizeof out->peer, "%s", up->target);
    out->in_flight_bytes = up->send.in_flight;
    out->clock_skew_ms =
        out->state == UPLINK_STREAMING ? hello_skew_ms(up->ahead_ms) : 0;
    send_stuck(&up->send, on_stuck, &stuck);
    struct log_id stopped = up->stopped;
    (void)snprintf(out->stuck_why, sizeof out->stuck_why, "%s",
                   without_name(up->stopped_why, &up->stopped));
    (void)pthread_mutex_unlock(&up->lock);
    judge_stuck(up, &stuck, &stopped, out);
    mem_free(stuck.at);
    out->restored = restore_recovered(up->restore);
    out->behind_entries = totals.behind_entries;
    out->behind_logs = totals.behind_logs;
    out->stopped_logs = totals.stopped_logs;
}
