/* What a child that follows holds: it says so, and shows what contradicts. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pace.h"
#include "base/str.h"
#include "credit/listing.h"
#include "sync/feed_impl.h"
#include "sync/receipts.h"

bool feed_goes_down(const struct feed *feed, const struct log_id *log)
{
    return log->kind == LOG_DIRECTIVES &&
           listing_counts_at(log->origin, feed->env->self.code);
}

/* conn->lock held. NULL: nothing was said of it. */
struct told *feed_find_told(struct reader_conn *conn, const struct log_id *log)
{
    struct told *t = conn->logs;
    while (t != NULL && !log_id_eq(&t->log, log)) {
        t = t->next;
    }
    return t;
}

/* conn->lock held. Finds or adds; who calls bounds the logs. */
struct told *feed_told_of(struct reader_conn *conn, const struct log_id *log)
{
    struct told *t = feed_find_told(conn, log);
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

/* A log of this node's own, of which the child has more. */
static void say_lost(struct reader_conn *conn, const struct wire_log_have *have)
{
    static struct pace pace;
    char name[LOG_ID_TEXT_MAX];
    log_id_format(&have->log, name);
    pace_warn(&pace, conn->feed->env->log, "FEED-LOST-LOG",
              "log=%s child=%012llu size=%llu cause=\"this node's store was "
              "lost or put back\" todo=\"export the log there, and import the "
              "file here\"",
              name, (unsigned long long)conn->peer.code,
              (unsigned long long)have->size);
}

static enum err on_log_have(struct reader_conn *conn,
                            const struct wire_log_have *have,
                            struct errmsg *why)
{
    struct feed *feed = conn->feed;
    struct store_head head;
    if (!feed_goes_down(feed, &have->log)) {
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
    if (have->log.origin == feed->env->self.code && have->size > 0 && more) {
        say_lost(conn, have);
        feed_lost_note(feed, &conn->peer, have);
    }
    (void)pthread_mutex_lock(&conn->lock);
    struct told *t = feed_told_of(conn, &have->log);
    /* Our head may be of more than the child holds, and then contradicts
     * nothing: the entries do, where the trees part. */
    t->parted = !prefix;
    t->sent = t->acked = prefix ? have->size : 0;
    t->stopped = have->stopped;
    (void)pthread_mutex_unlock(&conn->lock);
    if (!prefix || more) {
        /* The child sees in our head who is wrong, and says so. */
        feed_send_head(conn, &have->log);
    }
    return ERR_OK;
}

enum err feed_on_have(struct reader_conn *conn, const struct wire_have *have,
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
    feed_lost_forget(conn->feed, conn->peer.code);
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

/* Lock held. Nothing of the log is in flight any more. */
static void release(struct reader_conn *conn, struct told *t)
{
    conn->in_flight -= t->bytes;
    flow_dropped(&conn->flow, t->bytes);
    t->bytes = 0;
}

/* Lock held. A child may hold more than it was sent: it came by file. */
static void take_ack(struct reader_conn *conn, struct told *t,
                     const struct wire_log_ack *ack)
{
    bool past = ack->size > t->sent;
    uint64_t share =
        past ? t->bytes
             : t->bytes * (ack->size - t->acked) / (t->sent - t->acked);
    conn->in_flight -= share;
    t->bytes -= share;
    t->acked = ack->size;
    if (past) {
        t->sent = ack->size;
        flow_dropped(&conn->flow, share);
    } else {
        flow_acked(&conn->flow, share, ack->held_ms, clock_mono_ms());
    }
}

/* Lock held. */
static void take_acks(struct reader_conn *conn, const struct wire_ack *ack)
{
    struct wire_iter it = wire_iter_of(&ack->logs);
    struct slice bytes;
    while (wire_next(&it, &bytes)) {
        struct wire_log_ack item;
        wire_log_ack_get(bytes, &item);
        struct told *t = feed_find_told(conn, &item.log);
        if (t != NULL && t->parted) {
            release(conn, t); /* the size is that of its own tree */
        } else if (t != NULL && item.size > t->acked) {
            take_ack(conn, t, &item);
        }
    }
}

void feed_on_ack(struct reader_conn *conn, const struct wire_ack *ack)
{
    (void)pthread_mutex_lock(&conn->lock);
    take_acks(conn, ack);
    (void)pthread_mutex_unlock(&conn->lock);
}

bool feed_try_ack(struct reader_conn *conn, const struct wire_ack *ack,
                  bool *waits)
{
    if (pthread_mutex_trylock(&conn->lock) != 0) {
        return false;
    }
    take_acks(conn, ack);
    *waits = conn->waits;
    (void)pthread_mutex_unlock(&conn->lock);
    return true;
}

void feed_on_stop(struct reader_conn *conn, const struct wire_stop *stop)
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
    struct told *t = feed_find_told(conn, &stop->log);
    if (t != NULL) {
        release(conn, t);
        t->stopped = true;
    }
    (void)pthread_mutex_unlock(&conn->lock);
}

/* ---- evidence ---- */

/* What shows that the log is forked, or NULL. A head of this node's own log
 * that it did not keep: it was put back to an older state. What was published
 * since is known below; to sign on from here would fork the log. (Of a log that
 * comes back it has a head before it has the entries.) */
static const char *shows_fork(const struct store_head *head, enum err err,
                              const struct checkpoint *theirs,
                              const struct refusal *refusal)
{
    if (err == ERR_OK && theirs->size > head->frontier.size &&
        theirs->size > head->newest.size && head->own) {
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
    }
    *forked = reason != NULL && err != ERR_EXISTS; /* it comes back by now */
    if (*forked) {
        log_error(feed->env->log, "FEED-FORKED", "err=%s text=\"%s\"",
                  err_name(err), reason);
    }
    recv_log_free(&log);
    return err_is_passing(err) ? err : ERR_OK;
}

/* The child says its head once: what cannot be weighed now must come again. */
enum err feed_on_evidence(struct reader_conn *conn,
                          const struct wire_evidence *e, struct errmsg *why)
{
    struct feed *feed = conn->feed;
    struct store_head head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    bool forked = false;
    enum err err = ERR_NOT_FOUND;
    if (feed_goes_down(feed, &e->log)) {
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
        feed_send_head(conn, &e->log); /* the child is to see it, too */
    }
    buf_fini(&note);
    buf_fini(&chain);
    return err_is_passing(err) ? cannot_now(feed, &e->log, err, why) : ERR_OK;
}

/* A bad one is no reason to keep directives from the child. */
void feed_on_receipt(struct reader_conn *conn, const struct wire_receipt *m)
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
