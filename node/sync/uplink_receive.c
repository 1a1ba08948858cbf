#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pace.h"
#include "base/str.h"
#include "sync/ancestry.h"
#include "sync/roster.h"
#include "sync/uplink_impl.h"

enum {
    PUMP_TURNS = 16,
    WINDOW_MAX = 64 << 20, /* whatever a parent offers */
};

static void say_log(struct uplink *up, enum log_level level, const char *id,
                    const struct log_id *log, const char *text)
{
    char name[LOG_ID_TEXT_MAX];
    log_id_format(log, name);
    log_line(level, up->env->log, id, "log=%s parent=%s text=\"%s\"", name,
             up->target, text);
}

/* The log goes no further: what the state says of it. */
static void note_stop(struct uplink *up, const struct log_id *log,
                      struct slice why)
{
    (void)pthread_mutex_lock(&up->lock);
    up->stopped = *log;
    (void)snprintf(up->stopped_why, sizeof up->stopped_why, "%.*s",
                   (int)why.len, (const char *)why.data);
    (void)pthread_mutex_unlock(&up->lock);
}

static void say_stopped(struct uplink *up, enum log_level level, const char *id,
                        const struct log_id *log, const char *text)
{
    say_log(up, level, id, log, text);
    note_stop(up, log, slice_str(text));
}

/* ---- Hello ---- */

/* A seal key wrapped for one ancestor is on its way into the own log. */
struct wrapping {
    struct uplink *up;
    uint64_t holder;
    struct buf entries;
};

/* While wraps are on their way the same would be made once more. */
static bool begin_wrapping(struct uplink *up)
{
    (void)pthread_mutex_lock(&up->lock);
    bool go = up->wraps == 0;
    up->wraps += go;
    up->judge_again = up->judge_again || !go;
    (void)pthread_mutex_unlock(&up->lock);
    return go;
}

static void end_wrapping(struct uplink *up)
{
    (void)pthread_mutex_lock(&up->lock);
    bool again = --up->wraps == 0 && up->judge_again;
    up->judge_again = up->judge_again && !again;
    (void)pthread_mutex_unlock(&up->lock);
    if (again) {
        (void)uplink_judge_later(up);
    }
}

static void wrapping_done(struct wrapping *w)
{
    struct uplink *up = w->up;
    buf_fini(&w->entries);
    mem_free(w);
    end_wrapping(up);
    uplink_job_done(up);
}

static void mark_wrapped(void *ctx)
{
    struct wrapping *w = ctx;
    const struct uplink *up = w->up;
    enum err err = keyring_wrapped(up->env->keyring, buf_slice(&w->entries));
    if (err != ERR_OK) {
        log_error(up->env->log, "SYNC-WRAP", "holder=%012llu err=%s",
                  (unsigned long long)w->holder, err_name(err));
    }
    wrapping_done(w);
}

/* Writer thread: the file is written elsewhere. */
static void on_wrapped(void *ctx, enum err err, const char *why,
                       const struct draft_result *results, size_t n)
{
    struct wrapping *w = ctx;
    (void)results;
    (void)n;
    if (err == ERR_OK) {
        strand_run(w->up->strand, mark_wrapped, w);
        return;
    }
    log_warn(w->up->env->log, "SYNC-WRAP", "holder=%012llu err=%s text=\"%s\"",
             (unsigned long long)w->holder, err_name(err), why);
    wrapping_done(w);
}

static void submit_wraps(struct uplink *up, const struct cert *holder,
                         struct slice entries, size_t n)
{
    struct slice drafts[DRAFTS_MAX];
    struct reader r = reader_of(entries);
    for (size_t i = 0; i < n; i++) {
        drafts[i] = reader_bytes(&r, reader_u32(&r));
    }
    struct wrapping *w = MEM_NEW(struct wrapping);
    w->up = up;
    w->holder = cert_principal(holder)->code;
    buf_put_slice(&w->entries, entries);
    (void)pthread_mutex_lock(&up->lock);
    up->jobs++;
    up->wraps++;
    (void)pthread_mutex_unlock(&up->lock);
    enum err err = store_submit(up->env->store, drafts, n, on_wrapped, w);
    if (err != ERR_OK) {
        on_wrapped(w, err, err_text(err), NULL, 0);
    }
}

static void wrap_for(struct uplink *up, struct slice chain)
{
    struct cert *cert = NULL;
    struct errmsg why;
    int64_t now_ms = clock_wall_ms();
    if (trust_check(up->env->trust, chain, CERT_USE_SEAL, now_ms, &cert,
                    &why) != ERR_OK) {
        return; /* it was good just now; at the next look it is named */
    }
    struct buf entries = BUF_INIT;
    size_t n = 0;
    keyring_wraps_for(up->env->keyring, cert, now_ms, &entries, &n);
    if (n > 0 && n <= DRAFTS_MAX) {
        submit_wraps(up, cert, buf_slice(&entries), n);
    }
    buf_fini(&entries);
    cert_free(&cert);
}

/* A parent can name whom it likes, and what is wrapped once stays open to its
 * holder for good: the parent itself and who stands above it, as this node
 * knows, and is not shut out. */
static enum err check_above(const struct uplink *up, uint64_t code,
                            struct errmsg *why)
{
    const struct sync_env *env = up->env;
    uint64_t parent = up->conf.parent_code;
    if (code != parent && !env->entitled(env->ctx, parent, code)) {
        return err_set(why, ERR_DENIED,
                       "the parent names %012llu, which is not above it as "
                       "this node knows: a move must be decided by "
                       "directive or stand in `children` here",
                       (unsigned long long)code);
    }
    return roster_is_revoked(env->roster, code)
               ? err_set(why, ERR_DENIED, "node %012llu was revoked",
                         (unsigned long long)code)
               : ERR_OK;
}

static bool is_above(void *ctx, struct slice chain)
{
    const struct uplink *up = ctx;
    const struct sync_env *env = up->env;
    struct cert *cert = NULL;
    struct errmsg why;
    enum err err = trust_check(env->trust, chain, CERT_USE_SEAL,
                               clock_wall_ms(), &cert, &why);
    if (err == ERR_OK) {
        err = check_above(up, cert_principal(cert)->code, &why);
    }
    if (err != ERR_OK) {
        static struct pace pace;
        pace_warn(&pace, env->log, "SYNC-WRAP", "parent=%s err=%s text=\"%s\"",
                  up->target, err_name(err), why.text);
    }
    cert_free(&cert);
    return err == ERR_OK;
}

void uplink_judge_ancestors(struct uplink *up)
{
    struct slice chains[WIRE_CHAINS_MAX];
    struct buf bytes = BUF_INIT;
    bool changed = ancestry_judge(up->env->ancestry, is_above, up);
    size_t n = ancestry_get(up->env->ancestry, &bytes, chains);
    if (changed) {
        log_info(up->env->log, "SYNC-ANCESTRY", "chains=%zu", n);
    }
    if (up->env->keyring != NULL && begin_wrapping(up)) {
        for (size_t i = 0; i < n; i++) {
            wrap_for(up, chains[i]);
        }
        end_wrapping(up);
    }
    buf_fini(&bytes);
}

static void judge_job(void *ctx)
{
    struct uplink *up = ctx;
    uplink_judge_ancestors(up);
    uplink_job_done(up);
}

bool uplink_judge_later(struct uplink *up)
{
    return uplink_run(up, judge_job, up);
}

void uplink_send_roots(struct uplink *up)
{
    struct buf message = BUF_INIT;
    enum err err = ERR_OK;
    (void)pthread_mutex_lock(&up->lock);
    /* Behind the lock, so that they go in order whoever sends them. */
    struct conn *conn = up->conn;
    while (conn != NULL && err == ERR_OK &&
           roots_next(&conn->roots, up->env, wire_put_child_root, &message)) {
        err = rpc_stream_send(conn->stream, &message);
    }
    if (err == ERR_BUSY) {
        rpc_stream_finish(conn->stream, err,
                          "the parent does not read what it is told");
    }
    (void)pthread_mutex_unlock(&up->lock);
    buf_fini(&message);
}

/* The parent knows versions up to `has`: what is newer goes to it. */
static void parent_has(struct conn *conn, uint64_t has)
{
    struct uplink *up = conn->up;
    (void)pthread_mutex_lock(&up->lock);
    conn->roots.has = has > conn->roots.has ? has : conn->roots.has;
    (void)pthread_mutex_unlock(&up->lock);
    uplink_send_roots(up);
}

static void on_root(struct conn *conn, const struct wire_root_document *m)
{
    uint64_t has = 0;
    struct errmsg why;
    enum err err = roots_take(&conn->roots, conn->up->env,
                              rpc_stream_peer(conn->stream), m, &has, &why);
    if (err == ERR_OK) {
        parent_has(conn, has);
    } else {
        uplink_give_up(conn, err, why.text);
    }
}

/* The parent greets again when its sealing chains change: a version that came
 * to it meanwhile comes by itself. */
static enum err check_hello(struct conn *conn, const struct wire_hello *hello,
                            uint64_t *has, struct errmsg *why)
{
    const struct sync_env *env = conn->up->env;
    const struct principal *peer = rpc_stream_peer(conn->stream);
    enum err err = hello_check(env, hello, peer, why);
    if (err == ERR_OK) {
        err = roster_check(env->roster, peer->code, why);
    }
    return err != ERR_OK || conn->greeted
               ? err
               : roots_greeted(&conn->roots, env, peer, hello, has, why);
}

static void on_hello(struct conn *conn, const struct wire_hello *hello)
{
    struct uplink *up = conn->up;
    struct errmsg why;
    const struct principal *peer = rpc_stream_peer(conn->stream);
    uint64_t has = 0;
    enum err err = check_hello(conn, hello, &has, &why);
    if (err != ERR_OK) {
        uplink_give_up(conn, err, why.text);
        return;
    }
    (void)pthread_mutex_lock(&up->lock);
    up->ahead_ms = hello_ahead_ms(hello);
    (void)pthread_mutex_unlock(&up->lock);
    if (!conn->greeted) {
        conn->greeted = true;
        restore_greeted(up->restore);
        uint64_t window = hello->window < up->conf.segment_bytes
                              ? up->conf.segment_bytes
                              : hello->window;
        (void)pthread_mutex_lock(&up->lock);
        if (up->conn == conn) {
            send_reset(&up->send, window < WINDOW_MAX ? window : WINDOW_MAX);
            up->parent_tier = peer->tier;
            memcpy(up->parent_fingerprint, peer->fingerprint,
                   sizeof up->parent_fingerprint);
        }
        (void)pthread_mutex_unlock(&up->lock);
        parent_has(conn, has);
        (void)pthread_mutex_lock(&up->lock);
        conn->introduced = true;
        (void)pthread_mutex_unlock(&up->lock);
    }
    ancestry_set(up->env->ancestry, &hello->sealing_chain);
    uplink_judge_ancestors(up);
}

/* ---- Have ---- */

static bool is_own(const struct uplink *up, const struct log_id *log)
{
    return log->origin == up->env->self.code;
}

static void count_fork(struct uplink *up)
{
    (void)pthread_mutex_lock(&up->lock);
    up->status.forked++;
    (void)pthread_mutex_unlock(&up->lock);
}

static enum send_verdict differs(struct conn *conn, const struct log_id *log)
{
    if (is_own(conn->up, log)) {
        say_log(conn->up, LOG_WARN, "SYNC-RESTORED", log,
                "the parent holds another tail of this node's log");
        restore_log(conn->up->restore, log);
    } else {
        say_stopped(conn->up, LOG_ERROR, "SYNC-DIFFERS", log,
                    "the parent's copy is not of the same tree");
        count_fork(conn->up);
        uplink_send_evidence(conn->up, log);
    }
    return SEND_REFUSED;
}

static enum send_verdict parent_has_more(struct conn *conn,
                                         const struct store_head *head)
{
    if (is_own(conn->up, &head->log)) {
        if (head->state != LOG_PULLING) {
            say_log(conn->up, LOG_WARN, "SYNC-RESTORED", &head->log,
                    "the parent holds more of this node's log");
        }
        restore_log(conn->up->restore, &head->log);
    } else if (conn->up->env->entitled(conn->up->env->ctx, head->log.origin,
                                       conn->up->env->self.code)) {
        /* Lost here by damage or a restore; its origin may be gone. */
        restore_log(conn->up->restore, &head->log);
    }
    return SEND_MORE;
}

void uplink_fetch(struct uplink *up, const struct log_id *log)
{
    restore_log(up->restore, log);
}

bool uplink_told(struct uplink *up)
{
    (void)pthread_mutex_lock(&up->lock);
    bool told = up->conn != NULL && up->conn->all_told;
    (void)pthread_mutex_unlock(&up->lock);
    return told;
}

static enum send_verdict judge(struct conn *conn, const struct store_head *head,
                               const struct wire_log_have *have)
{
    struct uplink *up = conn->up;
    if (have->stopped || head->state == LOG_FORKED) {
        say_stopped(up, LOG_WARN, "SYNC-STOPPED", &have->log,
                    have->stopped ? "the parent takes no more of it"
                                  : "forked here");
        if (!have->stopped && have->size > 0) {
            uplink_tell_fork(up, head, have);
        }
        return SEND_REFUSED;
    }
    if (have->size == 0) {
        return SEND_NOTHING;
    }
    if (have->size > head->frontier.size) {
        return parent_has_more(conn, head);
    }
    struct tree_view view = store_view(up->env->store, head);
    struct hash root = head->root;
    enum err err = have->size == head->frontier.size
                       ? ERR_OK
                       : tree_root(&view, have->size, &root);
    if (err == ERR_UNAVAILABLE) { /* this node's store is away */
        uplink_retry_soon(up);
        return SEND_REFUSED;
    }
    if (err != ERR_OK) {
        say_stopped(up, LOG_ERROR, "SYNC-UNREADABLE", &have->log,
                    err_text(err));
        uplink_retry_later(up);
        return SEND_REFUSED;
    }
    return hash_eq(&root, &have->root) ? SEND_PREFIX
                                       : differs(conn, &have->log);
}

static const char *const begin_ids[] = {
    [CATCH_FULL] = "SYNC-FULL",
    [CATCH_INCREMENTAL] = "SYNC-INCREMENTAL",
    [CATCH_RESUMED] = "SYNC-RESUMED",
};

/* Lock held. */
static void begin(struct uplink *up, const struct log_id *log,
                  enum send_verdict verdict, uint64_t size)
{
    send_at(&up->send, clock_mono_ms());
    enum catch_up kind = send_have(&up->send, log, verdict, size);
    up->status.full += kind == CATCH_FULL;
    up->status.incremental += kind == CATCH_INCREMENTAL;
    up->status.resumed += kind == CATCH_RESUMED;
    if (kind != CATCH_NONE) {
        char name[LOG_ID_TEXT_MAX];
        log_id_format(log, name);
        log_info(up->env->log, begin_ids[kind],
                 "log=%s parent=%s from=%llu to=%llu", name, up->target,
                 (unsigned long long)size + 1,
                 (unsigned long long)send_find(&up->send, log)->held);
    }
}

void uplink_note_above(struct uplink *up, const struct log_id *log,
                       uint64_t size)
{
    struct store_above above[ABOVE_MAX];
    size_t n = store_above(up->env->store, log, above);
    size_t i = 0;
    while (i < n && above[i].code != up->conf.parent_code) {
        i++;
    }
    if (i == ABOVE_MAX) {
        return;
    }
    above[i] = (struct store_above){
        .tier = up->parent_tier, .code = up->conf.parent_code, .size = size};
    store_set_above(up->env->store, log, above, i < n ? n : n + 1);
}

/* This node lost it; from below it may come again. True: just now it has. */
static bool came_meanwhile(struct conn *conn, const struct wire_log_have *have)
{
    struct uplink *up = conn->up;
    (void)pthread_mutex_lock(&up->lock);
    bool came = up->conn == conn && !have->stopped &&
                !send_named(&up->send, &have->log, have->size);
    (void)pthread_mutex_unlock(&up->lock);
    return came;
}

/* The parent names a log that is not here. True: look again. */
static bool on_lost_log(struct conn *conn, const struct wire_log_have *have)
{
    struct uplink *up = conn->up;
    if (have->size == 0) {
        return false;
    }
    if (is_own(up, &have->log)) {
        say_log(up, LOG_WARN, "SYNC-RESTORED", &have->log,
                "the parent holds a log that this node lost");
        /* Else its first entries to come back would be sent up again. */
        bool came = came_meanwhile(conn, have);
        restore_log(up->restore, &have->log);
        return came;
    }
    return up->env->entitled(up->env->ctx, have->log.origin,
                             up->env->self.code) &&
           came_meanwhile(conn, have);
}

static void on_log_have(struct conn *conn, const struct wire_log_have *have)
{
    struct uplink *up = conn->up;
    struct store_head head;
    if (have->log.kind != LOG_RECORDS) {
        return;
    }
    if (store_head(up->env->store, &have->log, &head) != ERR_OK &&
        (!on_lost_log(conn, have) ||
         store_head(up->env->store, &have->log, &head) != ERR_OK)) {
        return;
    }
    enum send_verdict verdict = judge(conn, &head, have);
    /* More of an own log is another tail, or one that this node lost. */
    if (verdict == SEND_PREFIX ||
        (verdict == SEND_MORE && !is_own(up, &have->log))) {
        uplink_note_above(up, &have->log,
                          have->size); /* durable, as an Ack's */
    }
    (void)pthread_mutex_lock(&up->lock);
    if (up->conn == conn) {
        begin(up, &have->log, verdict, have->size);
        send_signed(&up->send, &have->log, head.newest.at_ms,
                    (int64_t)have->signed_ms);
    }
    (void)pthread_mutex_unlock(&up->lock);
}

/* Lock held. Logs of ours after `from` and not after `to` (NULL: to the end)
 * that the page did not name: the parent has none of them. */
static void begin_unnamed(struct uplink *up, const struct log_id *from,
                          const struct log_id *to)
{
    const struct logmap *logs = &up->send.logs;
    for (size_t i = logmap_lower(logs, from); i < logs->count; i++) {
        const struct send_log *l = logs->item[i];
        if (to != NULL && log_id_cmp(&l->log, to) > 0) {
            break;
        }
        if (l->state == SEND_UNKNOWN && !l->heard_of) {
            begin(up, &l->log, SEND_NOTHING, 0);
        }
    }
}

static bool pull_on(void *ctx, const struct store_head *head)
{
    struct uplink *up = ctx;
    if (is_own(up, &head->log) && head->state == LOG_PULLING) {
        restore_log(up->restore, &head->log);
    }
    return true;
}

/* After damage here only the parent can say how far the own log had got; what
 * still comes back may have an end by now. */
static void settle_own(struct uplink *up)
{
    struct log_id own = store_own_log(up->env->store);
    if (store_in_doubt(up->env->store, &own)) {
        restore_log(up->restore, &own);
    }
    store_logs(up->env->store, pull_on, up);
    restore_told(up->restore);
}

static void on_have(struct conn *conn, const struct wire_have *have)
{
    struct uplink *up = conn->up;
    struct wire_log_have item = {.size = 0};
    struct wire_iter it = wire_iter_of(&have->logs);
    struct slice bytes;
    struct log_id from = conn->paged_to;
    const struct log_id none = {.origin = 0};
    while (wire_next(&it, &bytes)) {
        wire_log_have_get(bytes, &item);
        if (!conn->all_told && log_id_cmp(&item.log, &conn->paged_to) <= 0) {
            uplink_give_up(conn, ERR_PROTOCOL, "Have.logs: not in order");
            return;
        }
        on_log_have(conn, &item);
        conn->paged_to = item.log;
    }
    (void)pthread_mutex_lock(&up->lock);
    bool first = !conn->paged;
    bool told = have->last && !conn->all_told;
    if (up->conn == conn && !conn->all_told) {
        /* With the last page also logs born behind an earlier one. */
        begin_unnamed(up, have->last ? &none : &from,
                      have->last ? NULL : &conn->paged_to);
    }
    conn->paged = true;
    conn->all_told = conn->all_told || have->last;
    (void)pthread_mutex_unlock(&up->lock);
    if (told) {
        settle_own(up);
    }
    if (first) {
        uplink_feed(up, conn, &(struct link_event){.type = LINK_GREETED});
    }
}

/* ---- Ack, Stop, Want ---- */

/* True if the parent may have said this. */
static bool on_log_ack(struct conn *conn, const struct wire_log_ack *ack)
{
    struct uplink *up = conn->up;
    (void)pthread_mutex_lock(&up->lock);
    send_at(&up->send, clock_mono_ms());
    bool fits = up->conn != conn || send_find(&up->send, &ack->log) == NULL ||
                send_acked(&up->send, &ack->log, ack->size, ack->held_ms);
    enum tier tier = up->parent_tier;
    (void)pthread_mutex_unlock(&up->lock);
    if (!fits) {
        return false;
    }
    struct store_above above[ABOVE_MAX];
    size_t n = 0;
    above[n++] = (struct store_above){
        .tier = tier, .code = up->conf.parent_code, .size = ack->size};
    for (size_t i = 0; i < ack->above_count && n < ABOVE_MAX; i++) {
        above[n++] = ack->above[i];
    }
    store_set_above(up->env->store, &ack->log, above, n);
    return true;
}

static void on_ack(struct conn *conn, const struct wire_ack *ack)
{
    const struct sync_env *env = conn->up->env;
    struct log_id *logs = mem_alloc((ack->logs.count + 1) * sizeof *logs);
    size_t n = 0;
    struct wire_iter it = wire_iter_of(&ack->logs);
    struct slice bytes;
    bool fits = true;
    while (fits && wire_next(&it, &bytes)) {
        struct wire_log_ack item;
        wire_log_ack_get(bytes, &item);
        fits = on_log_ack(conn, &item);
        logs[n++] = item.log;
    }
    if (env->above_changed != NULL && n > 0) {
        env->above_changed(env->ctx, logs, n);
    }
    mem_free(logs);
    if (!fits) {
        uplink_give_up(conn, ERR_PROTOCOL, "Ack.logs: more than the log has");
    }
}

/* The parent's signed head came along: does ours contradict it? */
static void weigh_head(struct uplink *up, const struct wire_stop *stop)
{
    struct store_head head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct errmsg why;
    if (store_head(up->env->store, &stop->log, &head) != ERR_OK) {
        return;
    }
    struct recv_log *log = recv_log_new(&stop->log);
    struct tree_view view = store_view(up->env->store, &head);
    struct checkpoint theirs;
    struct refusal refusal = {.disagree = false};
    enum err err = store_note(up->env->store, &stop->log, &note, &chain);
    if (err == ERR_OK) {
        err = recv_log_load(log, up->env->trust, &head, buf_slice(&note),
                            buf_slice(&chain), &why);
    }
    if (err == ERR_OK) {
        err = recv_note(up->recv, log, stop->note, slice_of(NULL, 0), &view,
                        clock_wall_ms(), &theirs, &refusal);
    }
    /* A head of ours that is later than what is here: put back while the rest
     * was under way. */
    bool later = err == ERR_OK && theirs.size > head.frontier.size;
    if ((refusal.disagree || later) && is_own(up, &stop->log)) {
        restore_log(up->restore, &stop->log);
    } else if (refusal.disagree) {
        say_log(up, LOG_ERROR, "SYNC-FORKED", &stop->log, refusal.text);
        count_fork(up);
        err = store_mark_forked(up->env->store, &stop->log, stop->note,
                                refusal.text);
    }
    if (err != ERR_OK && err != ERR_CONFLICT) {
        say_log(up, LOG_WARN, "SYNC-EVIDENCE", &stop->log, err_text(err));
    }
    recv_log_free(&log);
    buf_fini(&note);
    buf_fini(&chain);
}

static void on_stop(struct conn *conn, const struct wire_stop *stop)
{
    struct uplink *up = conn->up;
    char log[LOG_ID_TEXT_MAX];
    char reason[WIRE_REASON_SHOWN];
    log_id_format(&stop->log, log);
    str_quotable(stop->reason, reason, sizeof reason);
    static struct pace pace;
    pace_warn(&pace, up->env->log, "SYNC-STOP",
              "log=%s parent=%s number=%llu retry=%d text=\"%s\"", log,
              up->target, (unsigned long long)stop->number, stop->retry,
              reason);
    note_stop(up, &stop->log, stop->reason);
    (void)pthread_mutex_lock(&up->lock);
    if (up->conn == conn) {
        send_at(&up->send, clock_mono_ms());
        send_stop(&up->send, &stop->log);
    }
    (void)pthread_mutex_unlock(&up->lock);
    uplink_retry_later(up);
    if (stop->note.len > 0) {
        weigh_head(up, stop);
    }
}

static void on_want(struct conn *conn, const struct wire_range *want)
{
    struct uplink *up = conn->up;
    (void)pthread_mutex_lock(&up->lock);
    if (up->conn == conn) {
        send_want(&up->send, &want->log, want->first, want->last);
    }
    (void)pthread_mutex_unlock(&up->lock);
}

/* ---- any message ---- */

static void dispatch(struct conn *conn, const struct wire_message *m)
{
    switch (m->kind) {
    case WIRE_HELLO:
        on_hello(conn, &m->hello);
        break;
    case WIRE_HAVE:
        on_have(conn, &m->have);
        break;
    case WIRE_ACK:
        on_ack(conn, &m->ack);
        break;
    case WIRE_STOP:
        on_stop(conn, &m->stop);
        break;
    case WIRE_WANT:
        on_want(conn, &m->want);
        break;
    case WIRE_ROOT:
        on_root(conn, &m->root);
        break;
    case WIRE_OTHER:
    case WIRE_RECEIPT:
    case WIRE_SEGMENT:
    case WIRE_EVIDENCE:
        break;
    }
}

/* Silence is counted while something is owed: an Ack, or the next page of what
 * the parent has, which is not made good by anything else that comes. */
static void note_message(struct conn *conn, enum wire_kind kind)
{
    struct uplink *up = conn->up;
    (void)pthread_mutex_lock(&up->lock);
    bool paging = !conn->all_told;
    struct link_event event = {.type = LINK_MESSAGE,
                               .in_flight = paging || up->send.in_flight > 0};
    bool serving = up->conn == conn && up->link.state == UPLINK_STREAMING;
    (void)pthread_mutex_unlock(&up->lock);
    if (serving && (!paging || kind == WIRE_HAVE)) {
        uplink_feed(up, conn, &event);
    }
}

/* What comes by one that was given up says nothing any more. */
static bool is_current(struct conn *conn)
{
    struct uplink *up = conn->up;
    (void)pthread_mutex_lock(&up->lock);
    bool current = up->conn == conn;
    (void)pthread_mutex_unlock(&up->lock);
    return current;
}

void uplink_message(struct conn *conn, struct slice message)
{
    struct uplink *up = conn->up;
    struct wire_message m;
    struct errmsg why;
    if (!is_current(conn)) {
        return;
    }
    enum err err = wire_get_parent(message, &m, &why);
    if (err == ERR_OK && !conn->greeted && m.kind != WIRE_HELLO) {
        err = err_set(&why, ERR_PROTOCOL, "the first message is no Hello");
    }
    if (err == ERR_OK) {
        err = roots_settled(&conn->roots, up->env,
                            rpc_stream_peer(conn->stream), m.kind, &why);
    }
    if (err != ERR_OK) {
        uplink_give_up(conn, err, why.text);
        return;
    }
    dispatch(conn, &m);
    note_message(conn, m.kind);
    uplink_pump(up, PUMP_TURNS);
}

enum rpc_at_once uplink_at_once(struct conn *conn, struct slice message)
{
    struct wire_message m;
    struct errmsg why;
    if (!conn->greeted || wire_get_parent(message, &m, &why) != ERR_OK ||
        m.kind != WIRE_ACK) {
        return RPC_TAKE_BACK;
    }
    on_ack(conn, &m.ack);
    note_message(conn, m.kind);
    uplink_pump_later(conn->up);
    return RPC_DONE;
}
