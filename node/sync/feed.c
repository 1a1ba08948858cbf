/* Subscribe, the side that is followed: directives logs go down to children. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pace.h"
#include "base/str.h"
#include "base/ticker.h"
#include "credit/listing.h"
#include "store/stamp.h"
#include "sync/fresh.h"
#include "sync/hello.h"
#include "sync/receipts.h"
#include "sync/recv.h"
#include "sync/source.h"

enum {
    SEGMENT_BYTES = 256 << 10,
    TURNS = 4, /* segments to one child before the others get theirs */
};

/* One log on one stream. */
struct told {
    struct told *next;
    struct log_id log;
    uint64_t sent;   /* entries up to this went out */
    uint64_t acked;  /* and these are durable there */
    uint64_t bytes;  /* of acked + 1 … sent */
    int64_t head_ms; /* signing time of the newest head that went */
    bool stopped;
    bool head_owed; /* it is to see this node's head, whatever went before */
};

struct reader_conn {
    struct reader_conn *next; /* feed.lock */
    struct feed *feed;
    struct principal peer;
    struct rpc_stream *stream; /* lock; NULL: closed */
    unsigned refs;             /* feed.lock */
    bool greeted;              /* callbacks only */
    bool refused;              /* callbacks only */
    pthread_mutex_t lock;      /* all below */
    bool told_all;             /* the last page of its Have came */
    uint64_t in_flight;
    struct told *logs;
};

struct feed {
    const struct sync_env *env;
    uint32_t period_ms;
    size_t window_bytes;
    struct rpc_method method;
    struct ticker *ticker;
    struct strand *strand;
    struct recv *recv; /* for evidence; recv_lock */
    pthread_mutex_t recv_lock;
    /* On the strand: the message made last, as children mostly need the same.
     */
    struct source source;
    struct buf message;
    struct log_id message_log;
    uint64_t message_from;
    uint64_t message_end;
    int64_t message_head_ms;
    uint64_t message_heads; /* how many heads had come when it was made */
    _Atomic uint64_t heads; /* that came from above */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t gone;
    struct reader_conn *conns;
    unsigned conns_n;
    unsigned jobs;
    bool queued; /* a job is on the strand and has not begun */
    bool stopping;
};

static bool goes_down(const struct feed *feed, const struct log_id *log)
{
    return log->kind == LOG_DIRECTIVES &&
           listing_counts_at(log->origin, feed->env->self.code);
}

/* ---- what a child holds ---- */

/* conn->lock held. NULL: nothing was said of it. */
static struct told *find_told(struct reader_conn *conn,
                              const struct log_id *log)
{
    struct told *t = conn->logs;
    while (t != NULL && !log_id_eq(&t->log, log)) {
        t = t->next;
    }
    return t;
}

/* conn->lock held. Finds or adds; who calls bounds the logs. */
static struct told *told_of(struct reader_conn *conn, const struct log_id *log)
{
    struct told *t = find_told(conn, log);
    if (t == NULL) {
        t = MEM_NEW(struct told);
        t->log = *log;
        t->next = conn->logs;
        conn->logs = t;
    }
    return t;
}

/* The stream ends with it: the child comes again, and says all of it again. */
static enum err cannot_now(struct feed *feed, const struct log_id *log,
                           enum err err, struct errmsg *why)
{
    char name[LOG_ID_TEXT_MAX];
    log_id_format(log, name);
    log_warn(feed->env->log, "FEED-UNREADABLE", "log=%s err=%s", name,
             err_name(err));
    return err_set(why, ERR_UNAVAILABLE, "log %s cannot be compared now: %s",
                   name, err_text(err));
}

/* Is (size, root), no larger than what is held here, a prefix of it? Damage
 * here counts as no; a passing error is returned. */
static enum err is_prefix(const struct feed *feed,
                          const struct store_head *head,
                          const struct wire_log_have *have, bool *prefix)
{
    struct hash root;
    *prefix = have->size == 0;
    if (*prefix) {
        return ERR_OK;
    }
    struct tree_view view = store_view(feed->env->store, head);
    enum err err = tree_root(&view, have->size, &root);
    *prefix = err == ERR_OK && hash_eq(&root, &have->root);
    return err_is_passing(err) ? err : ERR_OK;
}

static void send_head(struct reader_conn *conn, const struct log_id *log);

static enum err on_log_have(struct reader_conn *conn,
                            const struct wire_log_have *have,
                            struct errmsg *why)
{
    struct feed *feed = conn->feed;
    struct store_head head;
    if (!goes_down(feed, &have->log)) {
        return ERR_OK;
    }
    /* A larger copy is no fault: this node may be behind. */
    bool more = store_head(feed->env->store, &have->log, &head) != ERR_OK ||
                have->size > head.frontier.size;
    bool prefix = true;
    enum err err = more ? ERR_OK : is_prefix(feed, &head, have, &prefix);
    if (err != ERR_OK) {
        return cannot_now(feed, &have->log, err, why);
    }
    (void)pthread_mutex_lock(&conn->lock);
    struct told *t = told_of(conn, &have->log);
    t->sent = t->acked = have->size;
    t->stopped = have->stopped || !prefix;
    (void)pthread_mutex_unlock(&conn->lock);
    if (!prefix || more) {
        /* The child sees in our head who is wrong, and says so. */
        send_head(conn, &have->log);
    }
    return ERR_OK;
}

static enum err on_have(struct reader_conn *conn, const struct wire_have *have,
                        struct errmsg *why)
{
    struct wire_iter it = wire_iter_of(&have->logs);
    struct slice bytes;
    (void)pthread_mutex_lock(&conn->lock);
    bool again = conn->told_all;
    (void)pthread_mutex_unlock(&conn->lock);
    if (again || !have->last || have->logs.count > LISTS_LOGS_MAX) {
        return err_set(why, ERR_PROTOCOL,
                       "Have must come once, with `last` and at most %d logs",
                       LISTS_LOGS_MAX);
    }
    enum err err = ERR_OK;
    while (err == ERR_OK && wire_next(&it, &bytes)) {
        struct wire_log_have item;
        wire_log_have_get(bytes, &item);
        err = on_log_have(conn, &item, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    (void)pthread_mutex_lock(&conn->lock);
    conn->told_all = true;
    (void)pthread_mutex_unlock(&conn->lock);
    receipts_child(conn->feed->env->receipts, &conn->peer, true);
    return ERR_OK;
}

/* Lock held. A child may hold more than it was sent: it came by file. */
static void take_ack(struct reader_conn *conn, struct told *t, uint64_t size)
{
    bool past = size > t->sent;
    uint64_t share =
        past ? t->bytes : t->bytes * (size - t->acked) / (t->sent - t->acked);
    conn->in_flight -= share;
    t->bytes -= share;
    t->acked = size;
    t->sent = past ? size : t->sent;
}

static void on_ack(struct reader_conn *conn, const struct wire_ack *ack)
{
    struct wire_iter it = wire_iter_of(&ack->logs);
    struct slice bytes;
    (void)pthread_mutex_lock(&conn->lock);
    while (wire_next(&it, &bytes)) {
        struct wire_log_ack item;
        wire_log_ack_get(bytes, &item);
        struct told *t = find_told(conn, &item.log);
        if (t != NULL && item.size > t->acked) {
            take_ack(conn, t, item.size);
        }
    }
    (void)pthread_mutex_unlock(&conn->lock);
}

static void on_stop(struct reader_conn *conn, const struct wire_stop *stop)
{
    char log[LOG_ID_TEXT_MAX];
    char reason[WIRE_REASON_SHOWN];
    log_id_format(&stop->log, log);
    str_quotable(stop->reason, reason, sizeof reason);
    static struct pace pace;
    pace_warn(&pace, conn->feed->env->log, "FEED-STOP",
              "child=%012llu log=%s number=%llu text=\"%s\"",
              (unsigned long long)conn->peer.code, log,
              (unsigned long long)stop->number, reason);
    (void)pthread_mutex_lock(&conn->lock);
    struct told *t = find_told(conn, &stop->log);
    if (t != NULL) {
        conn->in_flight -= t->bytes;
        t->bytes = 0;
        t->stopped = true;
    }
    (void)pthread_mutex_unlock(&conn->lock);
}

/* ---- evidence ---- */

/* What shows that the log is forked, or NULL. A head of this node's own log
 * that it did not keep: it was put back to an older state. What was published
 * since is known below; to sign on from here would fork the log. */
static const char *shows_fork(const struct store_head *head, enum err err,
                              const struct checkpoint *theirs,
                              const struct refusal *refusal)
{
    if (err == ERR_OK && theirs->size > head->frontier.size && head->own) {
        return "a child holds more of it than this node, which was put back: "
               "bring its log back by file (directive export there, directive "
               "import here)";
    }
    return refusal->disagree ? refusal->text : NULL;
}

/* An error only where nothing could be said of it now. */
static enum err weigh_evidence(struct feed *feed, const struct wire_evidence *e,
                               const struct store_head *head, struct slice note,
                               struct slice chain, bool *forked)
{
    struct recv_log *log = recv_log_new(&e->log);
    struct tree_view view = store_view(feed->env->store, head);
    struct checkpoint theirs;
    struct refusal refusal = {.disagree = false};
    struct errmsg why;
    enum err err =
        recv_log_load(log, feed->env->trust, head, note, chain, &why);
    if (err == ERR_OK) {
        err = recv_note(feed->recv, log, e->note, e->chain, &view,
                        clock_wall_ms(), &theirs, &refusal);
    }
    const char *reason = shows_fork(head, err, &theirs, &refusal);
    if (reason != NULL) {
        err = store_mark_forked(feed->env->store, &e->log, e->note, reason);
        log_error(feed->env->log, "FEED-FORKED", "err=%s text=\"%s\"",
                  err_name(err), reason);
    }
    *forked = reason != NULL;
    recv_log_free(&log);
    return err_is_passing(err) ? err : ERR_OK;
}

/* The child says its head once: what cannot be weighed now must come again. */
static enum err on_evidence(struct reader_conn *conn,
                            const struct wire_evidence *e, struct errmsg *why)
{
    struct feed *feed = conn->feed;
    struct store_head head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    bool forked = false;
    enum err err = ERR_NOT_FOUND;
    if (goes_down(feed, &e->log)) {
        err = source_head(feed->env->store, trust_federation(feed->env->trust),
                          &e->log, &head, &note, &chain);
    }
    if (err == ERR_OK) {
        (void)pthread_mutex_lock(&feed->recv_lock);
        err = weigh_evidence(feed, e, &head, buf_slice(&note),
                             buf_slice(&chain), &forked);
        (void)pthread_mutex_unlock(&feed->recv_lock);
    }
    if (forked) {
        send_head(conn, &e->log); /* the child is to see it, too */
    }
    buf_fini(&note);
    buf_fini(&chain);
    return err_is_passing(err) ? cannot_now(feed, &e->log, err, why) : ERR_OK;
}

/* A bad one is no reason to keep directives from the child. */
static void on_receipt(struct reader_conn *conn, const struct wire_receipt *m)
{
    const struct sync_env *env = conn->feed->env;
    struct errmsg why;
    enum err err =
        receipts_came(env->receipts, &conn->peer, m->text, m->chain, &why);
    if (err != ERR_OK) {
        static struct pace pace;
        pace_warn(&pace, env->log, "RECEIPT-REFUSED", "err=%s text=\"%s\"",
                  err_name(err), why.text);
    }
}

/* ---- sending ---- */

/* conn->lock held. False: not now. */
static bool send_bytes(struct reader_conn *conn, struct slice bytes)
{
    struct buf copy = BUF_INIT;
    if (conn->stream == NULL ||
        rpc_stream_queued(conn->stream) >= RPC_WINDOW_BYTES / 2) {
        return false;
    }
    buf_put_slice(&copy, bytes);
    enum err err = rpc_stream_send(conn->stream, &copy);
    buf_fini(&copy);
    return err == ERR_OK;
}

/* The newest head there is: the one that came or was signed last, or that of
 * the last commit. Its bytes are appended. */
static bool newest_head(const struct feed *feed, const struct log_id *log,
                        int64_t after_ms, struct checkpoint *head,
                        struct buf *note, struct buf *chain)
{
    struct store_head held;
    bool there =
        fresh_newer(feed->env->fresh, log, after_ms, head, note, chain) &&
        note->len > 0; /* else it came with entries */
    if (store_head(feed->env->store, log, &held) != ERR_OK ||
        held.newest.at_ms <= after_ms ||
        (there && (held.newest.size < head->size ||
                   (held.newest.size == head->size &&
                    held.newest.at_ms <= head->at_ms)))) {
        return there;
    }
    buf_clear(note);
    buf_clear(chain);
    enum err err =
        source_head(feed->env->store, trust_federation(feed->env->trust), log,
                    &held, note, chain);
    *head = held.newest;
    return err == ERR_OK;
}

/* conn->lock held. What is newer than the child has. */
static bool send_newer_head(struct reader_conn *conn, const struct log_id *log,
                            int64_t after_ms)
{
    struct checkpoint head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct buf message = BUF_INIT;
    bool sent = false;
    if (newest_head(conn->feed, log, after_ms, &head, &note, &chain)) {
        wire_put_evidence(&message,
                          &(struct wire_evidence){.log = *log,
                                                  .note = buf_slice(&note),
                                                  .chain = buf_slice(&chain)});
        sent = send_bytes(conn, buf_slice(&message));
    }
    struct told *t = sent ? find_told(conn, log) : NULL;
    if (t != NULL) {
        t->head_ms = head.at_ms;
    }
    buf_fini(&note);
    buf_fini(&chain);
    buf_fini(&message);
    return sent;
}

/* What does not go now, for want of room or of a readable store, goes with a
 * later turn of the pump. */
static void send_head(struct reader_conn *conn, const struct log_id *log)
{
    (void)pthread_mutex_lock(&conn->lock);
    bool sent = send_newer_head(conn, log, INT64_MIN);
    struct told *t = find_told(conn, log);
    if (t != NULL) {
        t->head_owed = !sent;
    }
    (void)pthread_mutex_unlock(&conn->lock);
}

static void swap(struct buf *a, struct buf *b)
{
    struct buf c = *a;
    *a = *b;
    *b = c;
}

/* The head on disk is of the last commit, and its signer's certificate may have
 * ended since: a newer one of that size under another goes with the entries. */
static void take_newest(const struct feed *feed, struct source *src)
{
    const struct checkpoint *held = &src->head.newest;
    struct checkpoint head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    if (fresh_newer(feed->env->fresh, &held->log, held->at_ms, &head, &note,
                    &chain) &&
        head.size == held->size && hash_eq(&head.root, &held->root) &&
        chain.len > 0 && !slice_eq(buf_slice(&chain), buf_slice(&src->chain))) {
        swap(&src->note, &note);
        swap(&src->chain, &chain);
    }
    buf_fini(&note);
    buf_fini(&chain);
}

/* Strand. Makes feed->message for entries from `from` on. */
static enum err make_message(struct feed *feed, const struct store_head *head,
                             uint64_t from)
{
    struct source *src = &feed->source;
    if (feed->message.len > 0 && feed->message_from == from &&
        log_id_eq(&feed->message_log, &head->log) &&
        feed->message_head_ms == head->newest.at_ms &&
        feed->message_heads == atomic_load(&feed->heads)) {
        return ERR_OK;
    }
    buf_clear(&feed->message);
    feed->message_heads = atomic_load(&feed->heads);
    enum err err = source_read(src, feed->env->store, &head->log, from,
                               UINT64_MAX, SEGMENT_BYTES);
    if (err == ERR_OK) {
        err = source_read_note(src, feed->env->store);
    }
    if (err != ERR_OK) {
        return err;
    }
    take_newest(feed, src);
    struct wire_segment_out out = source_segment(src, true, true);
    wire_put_segment(&feed->message, &out);
    feed->message_log = head->log;
    feed->message_from = from;
    feed->message_end = src->end;
    feed->message_head_ms = src->head.newest.at_ms;
    return ERR_OK;
}

/* conn->lock held. False: nothing more to send of it now. */
static bool send_entries(struct reader_conn *conn, struct told *t,
                         const struct store_head *head)
{
    struct feed *feed = conn->feed;
    if (t->sent >= head->frontier.size ||
        conn->in_flight >= feed->window_bytes ||
        make_message(feed, head, t->sent + 1) != ERR_OK ||
        !send_bytes(conn, buf_slice(&feed->message))) {
        return false;
    }
    t->sent = feed->message_end;
    t->bytes += feed->message.len;
    conn->in_flight += feed->message.len;
    t->head_ms =
        feed->message_head_ms > t->head_ms ? feed->message_head_ms : t->head_ms;
    return true;
}

struct pumping {
    struct reader_conn *conn;
    bool more;
};

static bool pump_log(void *ctx, const struct store_head *head)
{
    struct pumping *p = ctx;
    struct reader_conn *conn = p->conn;
    if (!goes_down(conn->feed, &head->log)) {
        return true;
    }
    (void)pthread_mutex_lock(&conn->lock);
    struct told *t = conn->told_all && conn->stream != NULL
                         ? told_of(conn, &head->log)
                         : NULL;
    unsigned turns = 0;
    if (t != NULL && t->head_owed) {
        t->head_owed = !send_newer_head(conn, &head->log, INT64_MIN);
    }
    while (t != NULL && !t->stopped && turns < TURNS &&
           send_entries(conn, t, head)) {
        turns++;
    }
    p->more = p->more || turns == TURNS;
    if (t != NULL && !t->stopped && t->sent == head->frontier.size) {
        (void)send_newer_head(conn, &head->log, t->head_ms);
    }
    (void)pthread_mutex_unlock(&conn->lock);
    return true;
}

/* ---- the strand ---- */

static void conn_unref(struct reader_conn *conn)
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

/* Owned list, each with a reference. */
static struct reader_conn **all_conns(struct feed *feed, size_t *n)
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
    bool go = !feed->queued && !feed->stopping;
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
    struct reader_conn **list = all_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        struct pumping p = {list[i], false};
        store_directives(feed->env->store, pump_log, &p);
        more = more || p.more;
        conn_unref(list[i]);
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
    for (size_t i = 0; i < n; i++) {
        if (goes_down(feed, &logs[i])) {
            pump_later(feed);
            receipts_changed(feed->env->receipts);
            return;
        }
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
    struct reader_conn **list = all_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        struct reader_conn *conn = list[i];
        (void)pthread_mutex_lock(&conn->lock);
        if (conn != newer && conn->stream != NULL &&
            conn->peer.code == newer->peer.code) {
            rpc_stream_cut(conn->stream, ERR_CANCELLED,
                           "a newer stream of this node took its place");
        }
        (void)pthread_mutex_unlock(&conn->lock);
        conn_unref(conn);
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
        return on_have(conn, &m->have, why);
    case WIRE_ACK:
        on_ack(conn, &m->ack);
        return ERR_OK;
    case WIRE_STOP:
        on_stop(conn, &m->stop);
        return ERR_OK;
    case WIRE_EVIDENCE:
        return on_evidence(conn, &m->evidence, why);
    case WIRE_RECEIPT:
        on_receipt(conn, &m->receipt);
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
    pump_later(conn->feed);
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
    conn_unref(conn);
}

static const struct rpc_stream_ops feed_ops = {
    .open = on_open,
    .message = on_message,
    .drained = on_drained,
    .closed = on_closed,
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
    struct reader_conn **list = all_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        end_stream(list[i], ERR_UNAVAILABLE, "the node is stopping");
        conn_unref(list[i]);
    }
    mem_free(list);
}

void feed_recheck(struct feed *feed)
{
    size_t n;
    struct errmsg why;
    struct reader_conn **list = all_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        enum err err = admit_child(feed->env, &list[i]->peer, &why);
        if (err != ERR_OK) {
            end_stream(list[i], err, why.text);
        }
        conn_unref(list[i]);
    }
    mem_free(list);
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
    struct reader_conn **list = all_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        tell_status(list[i], fn, ctx);
        conn_unref(list[i]);
    }
    mem_free(list);
}

/* ---- public ---- */

struct feed *feed_new(const struct sync_env *env, uint32_t period_ms,
                      size_t window_bytes)
{
    struct feed *feed = MEM_NEW(struct feed);
    feed->env = env;
    feed->period_ms = period_ms;
    feed->window_bytes = window_bytes;
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
    (void)pthread_cond_destroy(&feed->gone);
    (void)pthread_mutex_destroy(&feed->recv_lock);
    (void)pthread_mutex_destroy(&feed->lock);
    mem_free(feed);
}
