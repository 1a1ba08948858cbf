#include "sync/restore.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sync/flow.h"
#include "sync/recv.h"
#include "sync/remote.h"

enum {
    LOGS_MAX = 4096,          /* waiting; others are asked for again */
    PENDING_MAX = 4 << 20,    /* bytes not yet committed */
    FETCH_SILENCE_MS = 60000, /* without a reply */
    BUSY_WAIT_MS = 10,        /* the store's queue is full */
    SUCCESSIONS_AN_HOUR = 3,
    HOUR_MS = 3600000,
};

struct restore {
    const struct sync_env *env;
    struct rpc_channel *channel;
    restore_changed_fn *changed;
    restore_retry_fn *retry;
    void *ctx;
    bool ended;     /* the thread's: store_end_pull() was called for the log */
    uint64_t above; /* the thread's: entries of it that came from the parent */
    _Atomic uint64_t recovered;
    pthread_t thread;
    int64_t succeeded_at_ms[SUCCESSIONS_AN_HOUR]; /* the thread's; 0: none */
    struct flow_asked asked;                      /* the thread's */
    pthread_mutex_t lock;                         /* all below */
    pthread_cond_t wake;
    bool started;
    bool cancelled;
    struct pull *pulling;   /* the one under way, or NULL */
    struct log_id *waiting; /* the first is worked on; own ones come next */
    size_t count;
    size_t cap;
    bool missed; /* a log is to be named again by a new connection */
    bool told;   /* the parent named all it has, on this connection */
};

/* The end of one log, by one Fetch after the other. Callbacks of its stream use
 * `recv` and `log`. */
struct pull {
    const struct sync_env *env;
    struct recv *recv;
    struct recv_log *log;
    struct wire_range range;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    struct rpc_stream *stream;
    uint64_t pending; /* bytes */
    uint64_t came;    /* bytes, by this Fetch */
    int64_t ended_at_ms;
    unsigned messages;
    bool closed;
    bool cancelled;
    enum err err; /* the first */
    char why[WIRE_TEXT_MAX];
};

/* ---- pulling ---- */

static void pull_fail(struct pull *p, enum err err, const char *why)
{
    (void)pthread_mutex_lock(&p->lock);
    if (p->err == ERR_OK) {
        p->err = err;
        (void)snprintf(p->why, sizeof p->why, "%s", why);
    }
    (void)pthread_mutex_unlock(&p->lock);
}

static void on_open(struct rpc_stream *s, void *user)
{
    struct pull *p = user;
    struct buf request = BUF_INIT;
    wire_put_fetch_request(&request, &p->range);
    enum err err = rpc_stream_send(s, &request);
    buf_fini(&request);
    rpc_stream_finish(s, err, err_text(err));
    (void)pthread_mutex_lock(&p->lock);
    p->stream = s;
    if (p->cancelled) {
        rpc_stream_finish(s, ERR_CANCELLED, "stopping");
    }
    (void)pthread_mutex_unlock(&p->lock);
}

struct appending {
    struct pull *pull;
    uint64_t bytes;
};

static void on_appended(void *ctx, enum err err, const char *why,
                        const struct log_id *log, uint64_t size, uint64_t added)
{
    struct appending *a = ctx;
    struct pull *p = a->pull;
    (void)log;
    (void)added;
    (void)size;
    if (err != ERR_OK) {
        pull_fail(p, err, why);
    }
    (void)pthread_mutex_lock(&p->lock);
    p->pending -= a->bytes;
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
    mem_free(a);
}

static enum err append(struct pull *p, struct segment **seg, uint64_t bytes)
{
    struct appending *a = MEM_NEW(struct appending);
    *a = (struct appending){p, bytes};
    (void)pthread_mutex_lock(&p->lock);
    while (p->pending > PENDING_MAX) {
        (void)pthread_cond_wait(&p->wake, &p->lock);
    }
    p->pending += bytes;
    (void)pthread_mutex_unlock(&p->lock);
    enum err err = store_append(p->env->store, seg, on_appended, a);
    while (err == ERR_BUSY) {
        clock_sleep(BUSY_WAIT_MS);
        err = store_append(p->env->store, seg, on_appended, a);
    }
    if (err != ERR_OK) {
        segment_free(seg);
        on_appended(a, err, err_text(err), NULL, 0, 0);
    }
    return err;
}

static enum err take(struct pull *p, struct slice message, struct errmsg *why)
{
    struct wire_message m;
    enum err err = wire_get_fetch_reply(message, &m, why);
    if (err != ERR_OK || m.kind != WIRE_SEGMENT) {
        return err;
    }
    if (!log_id_eq(&m.segment.log, &p->range.log)) {
        return err_set(why, ERR_PROTOCOL, "FetchReply: another log");
    }
    struct store_head head;
    bool there = store_head(p->env->store, &p->range.log, &head) == ERR_OK;
    struct tree_view view;
    if (there) {
        view = store_view(p->env->store, &head);
    }
    struct segment *seg = NULL;
    struct refusal refusal;
    err = recv_segment(p->recv, p->log, &m.segment, there ? &view : NULL, 0,
                       &seg, &refusal);
    if (err != ERR_OK) {
        return err_set(why, err, "%s", refusal.text);
    }
    return seg == NULL ? ERR_OK : append(p, &seg, message.len);
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    struct pull *p = user;
    struct errmsg why = {""};
    (void)pthread_mutex_lock(&p->lock);
    bool go = p->err == ERR_OK;
    p->messages++;
    p->came += message.len;
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
    enum err err = go ? take(p, message, &why) : ERR_OK;
    if (err != ERR_OK) {
        pull_fail(p, err, why.text);
        rpc_stream_finish(s, ERR_CANCELLED, why.text);
    }
}

/* How the stream ended says nothing: all has come or it has not. A parent that
 * answers fast has ended it before this side had said that it asks no more. */
static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct pull *p = user;
    (void)s;
    if (p->log->verified.size < p->range.last) {
        bool early = err == ERR_OK;
        pull_fail(p, early ? ERR_PROTOCOL : err,
                  early ? "the parent ended before all had come" : text);
    }
    (void)pthread_mutex_lock(&p->lock);
    p->closed = true;
    p->ended_at_ms = clock_mono_ms();
    p->stream = NULL;
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
}

static const struct rpc_stream_ops pull_ops = {
    .open = on_open,
    .message = on_message,
    .closed = on_closed,
};

/* False: FETCH_SILENCE_MS passed without a message. Lock held. */
static bool wait_change(struct pull *p)
{
    unsigned before = p->messages;
    struct timespec until;
    clock_until(FETCH_SILENCE_MS, &until);
    int rc = pthread_cond_timedwait(&p->wake, &p->lock, &until);
    return rc == 0 || p->messages != before || p->closed;
}

static void wait_for_all(struct pull *p)
{
    (void)pthread_mutex_lock(&p->lock);
    while (!p->closed || p->pending > 0) {
        if (!wait_change(p) && p->stream != NULL) {
            rpc_stream_finish(p->stream, ERR_TIMEOUT, "the parent is silent");
        }
    }
    (void)pthread_mutex_unlock(&p->lock);
}

/* A parent that takes the call and says nothing lets it never open: it can be
 * ended all the same. Its closed callback needs the lock to let it go. */
static void keep_stream(struct pull *p, struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&p->lock);
    p->stream = p->closed ? NULL : s;
    (void)pthread_mutex_unlock(&p->lock);
}

/* It may come before the stream is there. */
static void pull_cancel(struct pull *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->cancelled = true;
    if (p->stream != NULL) {
        rpc_stream_finish(p->stream, ERR_CANCELLED, "stopping");
    }
    (void)pthread_mutex_unlock(&p->lock);
}

/* Makes the pull known to restore_cancel(), or takes it back. */
static void set_pulling(struct restore *r, struct pull *p)
{
    (void)pthread_mutex_lock(&r->lock);
    r->pulling = p;
    if (p != NULL && r->cancelled) {
        pull_cancel(p);
    }
    (void)pthread_mutex_unlock(&r->lock);
}

static enum err pull_load(struct pull *p, const struct log_id *log,
                          struct errmsg *why)
{
    struct store_head head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    enum err err = store_head(p->env->store, log, &head);
    if (err == ERR_OK) {
        err = store_note(p->env->store, log, &note, &chain);
    }
    if (err == ERR_OK) {
        err = recv_log_load(p->log, p->env->trust, &head, buf_slice(&note),
                            buf_slice(&chain), why);
    } else if (err == ERR_NOT_FOUND) {
        err = ERR_OK;
    }
    buf_fini(&note);
    buf_fini(&chain);
    return err;
}

/* So many of the entries up to `last` as the line carries at once. */
static enum err pull_some(struct restore *r, struct pull *p, uint64_t last,
                          struct errmsg *why)
{
    uint64_t left = last - p->log->verified.size;
    uint64_t n = flow_ask(&r->asked);
    n = n < left ? n : left;
    p->range.first = p->log->verified.size + 1;
    p->range.last = p->log->verified.size + n;
    p->came = 0;
    p->closed = false;
    int64_t began_at_ms = clock_mono_ms();
    struct rpc_stream *s;
    enum err err = rpc_stream_open(&s, r->channel, SYNC_FETCH, &pull_ops, p, 0);
    if (err != ERR_OK) {
        return err;
    }
    keep_stream(p, s);
    set_pulling(r, p);
    wait_for_all(p);
    set_pulling(r, NULL);
    if (p->err != ERR_OK) {
        flow_came_not(&r->asked);
        return err_set(why, p->err, "%s", p->why);
    }
    flow_came(&r->asked, n, p->came, (uint32_t)(p->ended_at_ms - began_at_ms));
    return ERR_OK;
}

/* Entries behind what is held, up to `last`. */
static enum err pull(struct restore *r, const struct log_id *log, uint64_t last,
                     struct errmsg *why)
{
    struct pull p = {.env = r->env,
                     .recv = recv_new(r->env->trust, LOG_RECORDS),
                     .log = recv_log_new(log)};
    recv_heed(p.recv, r->env->roster);
    (void)pthread_mutex_init(&p.lock, NULL);
    clock_cond_init(&p.wake);
    enum err err = pull_load(&p, log, why);
    p.range = (struct wire_range){.log = *log};
    flow_ask_log(&r->asked);
    while (err == ERR_OK && p.log->verified.size < last) {
        err = pull_some(r, &p, last, why);
    }
    recv_log_free(&p.log);
    recv_free(&p.recv);
    (void)pthread_cond_destroy(&p.wake);
    (void)pthread_mutex_destroy(&p.lock);
    return err;
}

/* ---- where the copies part ---- */

/* The parent's head must be signed by the log's origin, and what it holds must
 * be of that tree: a parent cannot make us give a log up. */
static enum err check_head(struct restore *r, const struct log_id *log,
                           const struct wire_root_reply *reply,
                           struct checkpoint *note, struct errmsg *why)
{
    if (reply->size != reply->held) {
        return err_set(why, ERR_PROTOCOL, "asked for the newest root");
    }
    return remote_prove(r->env->trust, r->env->roster, log, reply, note, why);
}

/* Nothing was rolled back here if all that the parent's note is signed over is
 * still held: whoever claims more, or another tail, lies. */
static enum err check_rollback(struct restore *r, const struct store_head *head,
                               const struct checkpoint *note,
                               struct errmsg *why)
{
    struct hash root;
    struct tree_view view = store_view(r->env->store, head);
    if (note->size > head->frontier.size) {
        return ERR_OK;
    }
    enum err err = tree_root(&view, note->size, &root);
    if (err != ERR_OK) {
        return err_set(why, err, "the tree here cannot be read");
    }
    if (!hash_eq(&root, &note->root)) {
        return ERR_OK;
    }
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&head->log, log);
    log_error(r->env->log, "SYNC-LYING-PARENT",
              "log=%s held=%llu signed=%llu cause=\"the parent claims another "
              "copy of this node's log, yet all it can prove is here\"",
              log, (unsigned long long)head->frontier.size,
              (unsigned long long)note->size);
    return err_set(why, ERR_BAD_PROOF,
                   "the parent claims a copy that it cannot prove");
}

/* A node is put back seldom; a parent that makes it happen again and again is
 * not followed. */
static enum err may_succeed(struct restore *r, const struct log_id *id,
                            struct errmsg *why)
{
    int64_t now_ms = clock_mono_ms();
    int64_t *oldest = &r->succeeded_at_ms[0];
    for (size_t i = 1; i < SUCCESSIONS_AN_HOUR; i++) {
        oldest =
            r->succeeded_at_ms[i] < *oldest ? &r->succeeded_at_ms[i] : oldest;
    }
    if (*oldest == 0 || now_ms - *oldest > HOUR_MS) {
        *oldest = now_ms;
        return ERR_OK;
    }
    char log[LOG_ID_TEXT_MAX];
    log_id_format(id, log);
    log_error(r->env->log, "SYNC-SUCCEED-OFTEN",
              "log=%s an_hour=%d todo=\"find out why this node's log was "
              "put back so often; what is entered is kept\"",
              log, SUCCESSIONS_AN_HOUR);
    return err_set(why, ERR_BUSY, "too many successions in an hour");
}

/* The parent holds a part of the log, and no later signed head than ours: what
 * it lacks can still be sent. Under a later one it would be refused. */
static bool goes_on_from(const struct restore *r, const struct store_head *head,
                         const struct wire_root_reply *reply)
{
    struct checkpoint theirs;
    return reply->held == 0 ||
           (reply->held <= head->frontier.size &&
            checkpoint_parse(reply->note, trust_federation(r->env->trust),
                             &theirs) == ERR_OK &&
            theirs.size <= head->newest.size);
}

static enum err succeed(struct restore *r, const struct store_head *head,
                        const struct wire_root_reply *reply, struct errmsg *why)
{
    uint64_t ours = head->frontier.size;
    uint64_t both = ours < reply->held ? ours : reply->held;
    uint64_t common = 0;
    struct tree_view view = store_view(r->env->store, head);
    enum err err = remote_common(r->channel, r->env, &head->log, &view, both,
                                 &common, why);
    bool doubt = store_in_doubt(r->env->store, &head->log);
    if (err != ERR_OK) {
        return err;
    }
    if (common == reply->held && goes_on_from(r, head, reply)) {
        /* If not in doubt, equal after all: it had been asked too early. */
        return doubt ? store_settle(r->env->store, why) : ERR_OK;
    }
    err = may_succeed(r, &head->log, why);
    if (err != ERR_OK) {
        return err;
    }
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&head->log, log);
    log_warn(r->env->log, "SYNC-SUCCEED",
             "log=%s held=%llu common=%llu above=%llu", log,
             (unsigned long long)ours, (unsigned long long)common,
             (unsigned long long)reply->held);
    return store_succeed(r->env->store, &head->log, common, reply->held,
                         &reply->root, reply->note, why);
}

/* All that the parent holds has come: an own log cannot get longer. */
static enum err end_pull(struct restore *r, const struct log_id *log,
                         uint64_t held, struct errmsg *why)
{
    struct store_head head;
    enum err err = store_head(r->env->store, log, &head);
    if (err != ERR_OK || head.state != LOG_PULLING ||
        head.frontier.size < held) {
        return err;
    }
    err = store_end_pull(r->env->store, log, held > 0, why);
    r->ended = err == ERR_OK;
    return err;
}

/* The parent has none of it. */
static enum err recover_nothing(struct restore *r, const struct log_id *log,
                                struct errmsg *why)
{
    if (store_in_doubt(r->env->store, log)) {
        return store_settle(r->env->store, why);
    }
    enum err err = end_pull(r, log, 0, why);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Past the end that its successor names nothing is wanted: there a twin of this
 * node may have written on. */
static uint64_t wanted(const struct store_head *head, bool there, uint64_t held)
{
    return there && head->end != 0 && head->end < held ? head->end : held;
}

/* An active log was put back, or was asked for too early. */
static enum err recover_active(struct restore *r, const struct store_head *head,
                               const struct wire_root_reply *reply,
                               const struct checkpoint *note,
                               struct errmsg *why)
{
    enum err err = ERR_OK;
    if (!store_in_doubt(r->env->store, &head->log)) {
        err = check_rollback(r, head, note, why);
    }
    return err == ERR_OK ? succeed(r, head, reply, why) : err;
}

/* A log that had come back got longer above: what was on its way there came
 * through, or a twin of this node wrote on in a log of its own. */
static enum err recover_closed(struct restore *r, const struct store_head *head,
                               const struct wire_root_reply *reply,
                               struct errmsg *why)
{
    uint64_t size = head->frontier.size;
    uint64_t common = 0;
    struct tree_view view = store_view(r->env->store, head);
    if (reply->held <= size) {
        return ERR_OK;
    }
    enum err err = remote_common(r->channel, r->env, &head->log, &view, size,
                                 &common, why);
    if (err != ERR_OK || common < size) {
        return err; /* another tree is for the parent to mark */
    }
    err = store_resume_pull(r->env->store, &head->log, reply->held,
                            &reply->root, why);
    return err == ERR_EXISTS ? ERR_OK : err;
}

static enum err recover_own(struct restore *r, const struct log_id *log,
                            const struct wire_root_reply *reply,
                            const struct checkpoint *note, struct errmsg *why)
{
    struct store_head head;
    enum err err = store_head(r->env->store, log, &head);
    bool there = err == ERR_OK;
    err = err == ERR_NOT_FOUND ? ERR_OK : err;
    if (there && head.state == LOG_ACTIVE) {
        err = recover_active(r, &head, reply, note, why);
    } else if (there && head.state == LOG_CLOSED) {
        err = recover_closed(r, &head, reply, why);
    }
    if (there && err == ERR_OK) {
        err = store_head(r->env->store, log, &head);
    }
    if (err != ERR_OK || (there && head.state != LOG_PULLING)) {
        return err;
    }
    uint64_t last = wanted(&head, there, reply->held);
    err = pull(r, log, last, why);
    r->above = err == ERR_OK ? last : 0;
    return err == ERR_OK ? end_pull(r, log, last, why) : err;
}

/* The root of the first `size` entries held here, if the whole tree is one. */
static enum err own_root(struct restore *r, const struct store_head *head,
                         uint64_t size, struct hash *root, struct errmsg *why)
{
    struct tree_view view = store_view(r->env->store, head);
    enum err err = tree_root(&view, head->frontier.size, root);
    if (err == ERR_OK && !hash_eq(root, &head->root)) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        err = tree_root(&view, size, root);
    }
    if (err != ERR_OK) {
        err = err_is_passing(err) ? err : ERR_CORRUPT;
        (void)err_set(why, err, "the tree here cannot be read");
    }
    return err;
}

/* A log of a node below, of which the parent holds more. Its copy and ours are
 * both proven by heads that the origin signed: if they part anywhere within
 * both, there are two trees. */
static enum err check_parted(struct restore *r, const struct log_id *log,
                             uint64_t held, struct errmsg *why)
{
    struct store_head head;
    struct buf bytes = BUF_INIT;
    struct wire_root_reply reply;
    struct checkpoint note;
    struct hash root;
    struct errmsg reason;
    enum err err = store_head(r->env->store, log, &head);
    if (err != ERR_OK || head.frontier.size == 0 || head.state == LOG_FORKED) {
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    uint64_t both = head.frontier.size < held ? head.frontier.size : held;
    err = remote_root(r->channel, log, both, &bytes, &reply, why);
    if (err == ERR_OK) {
        err = remote_prove(r->env->trust, r->env->roster, log, &reply, &note,
                           why);
    }
    if (err == ERR_OK) {
        err = own_root(r, &head, both, &root, why);
    }
    if (err == ERR_OK && !hash_eq(&root, &reply.root)) {
        (void)err_set(&reason, ERR_CONFLICT,
                      "its origin signed two different heads of size %llu",
                      (unsigned long long)both);
        err = store_mark_forked(r->env->store, log, reply.note, reason.text);
        err =
            err_set(why, err == ERR_OK ? ERR_CONFLICT : err, "%s", reason.text);
    }
    buf_fini(&bytes);
    return err;
}

static enum err recover_below(struct restore *r, const struct log_id *log,
                              uint64_t held, struct errmsg *why)
{
    enum err err = check_parted(r, log, held, why);
    return err == ERR_OK ? pull(r, log, held, why) : err;
}

static enum err recover(struct restore *r, const struct log_id *log,
                        struct errmsg *why)
{
    struct buf bytes = BUF_INIT;
    struct wire_root_reply reply;
    struct checkpoint note;
    bool own = log->origin == r->env->self.code;
    enum err err = remote_root(r->channel, log, 0, &bytes, &reply, why);
    if (err == ERR_NOT_FOUND && own) {
        err = recover_nothing(r, log, why);
        buf_fini(&bytes);
        return err;
    }
    if (err == ERR_OK) {
        err = check_head(r, log, &reply, &note, why);
    }
    if (err == ERR_OK) {
        err = own ? recover_own(r, log, &reply, &note, why)
                  : recover_below(r, log, reply.held, why);
    }
    buf_fini(&bytes);
    return err;
}

/* Not what the parent failed to prove: that a parent could claim for ever. */
static bool worth_waiting(const struct restore *r, const struct log_id *log,
                          enum err err)
{
    bool own = log->origin == r->env->self.code;
    return err_is_passing(err) ||
           (own && err != ERR_OK && err != ERR_BAD_PROOF &&
            err != ERR_BAD_SIGNATURE && err != ERR_PROTOCOL &&
            err != ERR_UNAUTHENTICATED && err != ERR_NOT_FOUND &&
            err != ERR_DENIED);
}

/* False: it is to be tried again. */
static bool recover_log(struct restore *r, const struct log_id *id)
{
    char log[LOG_ID_TEXT_MAX];
    struct errmsg why = {""};
    struct store_head head = {.state = LOG_ABSENT};
    log_id_format(id, log);
    r->ended = false;
    r->above = 0;
    enum err err = recover(r, id, &why);
    if (store_head(r->env->store, id, &head) != ERR_OK) {
        head.frontier.size = 0;
    }
    if (err == ERR_OK) {
        (void)atomic_fetch_add(&r->recovered, 1);
        log_info(r->env->log, "SYNC-RECOVERED", "log=%s entries=%llu state=%s",
                 log, (unsigned long long)head.frontier.size,
                 log_state_name(head.state));
    } else if (head.state == LOG_FORKED) {
        log_error(r->env->log, "SYNC-FORKED", "log=%s text=\"%s\"", log,
                  why.text);
    } else {
        log_warn(r->env->log, "SYNC-RECOVERY",
                 "log=%s entries=%llu err=%s text=\"%s\" next=\"goes on with "
                 "the next connection\"",
                 log, (unsigned long long)head.frontier.size, err_name(err),
                 why.text);
    }
    r->changed(r->ctx, id, r->ended, r->above);
    return !worth_waiting(r, id, err);
}

/* All own logs that the parent knows are back: a new store may append. False:
 * it could not be noted, and it still may not. */
static bool admit(struct restore *r)
{
    struct errmsg why = {""};
    enum err err = store_parent_told(r->env->store, &why);
    if (err != ERR_OK && err != ERR_CANCELLED) { /* the node ends: next time */
        log_error(r->env->log, "SYNC-RECOVERY", "err=%s text=\"%s\"",
                  err_name(err), why.text);
    }
    return err == ERR_OK;
}

/* ---- the thread ---- */

/* Lock held, given up meanwhile. */
static void work_on_first(struct restore *r)
{
    struct log_id log = r->waiting[0];
    (void)pthread_mutex_unlock(&r->lock);
    bool done = recover_log(r, &log);
    (void)pthread_mutex_lock(&r->lock);
    /* Stays listed while it is worked on, so it is not added again. */
    r->count--;
    memmove(r->waiting, r->waiting + 1, r->count * sizeof *r->waiting);
    r->missed = r->missed || !done;
}

/* Lock held, given up meanwhile. Nothing waits: false if nothing was done. What
 * the parent told holds for the whole connection, for a log may be found rolled
 * back at any time of it. */
static bool conclude(struct restore *r)
{
    bool missed = r->missed;
    bool told = r->told && !missed && store_awaits_parent(r->env->store);
    if (!missed && !told) {
        return false;
    }
    r->missed = false;
    (void)pthread_mutex_unlock(&r->lock);
    bool again = !told || !admit(r);
    if (again) {
        r->retry(r->ctx); /* by a new connection all is told again */
    }
    (void)pthread_mutex_lock(&r->lock);
    r->told = r->told && !again;
    return true;
}

static void *work(void *arg)
{
    struct restore *r = arg;
    (void)pthread_mutex_lock(&r->lock);
    while (!r->cancelled) {
        if (r->count > 0) {
            work_on_first(r);
        } else if (!conclude(r)) {
            (void)pthread_cond_wait(&r->wake, &r->lock);
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

struct restore *restore_new(const struct sync_env *env,
                            struct rpc_channel *channel,
                            restore_changed_fn *changed,
                            restore_retry_fn *retry, void *ctx)
{
    struct restore *r = MEM_NEW(struct restore);
    r->changed = changed;
    r->retry = retry;
    r->ctx = ctx;
    r->env = env;
    r->channel = channel;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->wake, NULL);
    return r;
}

static bool listed(const struct restore *r, const struct log_id *log)
{
    for (size_t i = 0; i < r->count; i++) {
        if (log_id_eq(&r->waiting[i], log)) {
            return true;
        }
    }
    return false;
}

/* Lock held. An own log goes before others: what is entered waits for it. */
static void list(struct restore *r, const struct log_id *log)
{
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->waiting = mem_realloc(r->waiting, r->cap * sizeof *r->waiting);
    }
    bool own = log->origin == r->env->self.code;
    size_t at = own && r->count > 0 ? 1 : r->count;
    memmove(r->waiting + at + 1, r->waiting + at,
            (r->count - at) * sizeof *r->waiting);
    r->waiting[at] = *log;
    r->count++;
}

/* Lock held. */
static void wake(struct restore *r)
{
    if (!r->started) {
        r->started = pthread_create(&r->thread, NULL, work, r) == 0;
    }
    (void)pthread_cond_signal(&r->wake);
}

void restore_log(struct restore *r, const struct log_id *log)
{
    (void)pthread_mutex_lock(&r->lock);
    if (!r->cancelled && !listed(r, log)) {
        if (r->count < LOGS_MAX) {
            list(r, log);
            wake(r);
        } else {
            r->missed = true;
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
}

void restore_greeted(struct restore *r)
{
    (void)pthread_mutex_lock(&r->lock);
    r->told = false;
    r->missed = false;
    (void)pthread_mutex_unlock(&r->lock);
}

void restore_told(struct restore *r)
{
    (void)pthread_mutex_lock(&r->lock);
    r->told = !r->cancelled;
    if (r->told && store_awaits_parent(r->env->store)) {
        wake(r);
    }
    (void)pthread_mutex_unlock(&r->lock);
}

uint64_t restore_recovered(struct restore *r)
{
    return atomic_load(&r->recovered);
}

void restore_cancel(struct restore *r)
{
    (void)pthread_mutex_lock(&r->lock);
    r->cancelled = true;
    if (r->pulling != NULL) {
        pull_cancel(r->pulling);
    }
    (void)pthread_cond_broadcast(&r->wake);
    (void)pthread_mutex_unlock(&r->lock);
}

void restore_stop(struct restore *r)
{
    restore_cancel(r);
    if (r->started) {
        (void)pthread_join(r->thread, NULL);
        r->started = false;
    }
}

void restore_free(struct restore **restore)
{
    struct restore *r = *restore;
    *restore = NULL;
    if (r == NULL) {
        return;
    }
    restore_stop(r);
    (void)pthread_cond_destroy(&r->wake);
    (void)pthread_mutex_destroy(&r->lock);
    mem_free(r->waiting);
    mem_free(r);
}
