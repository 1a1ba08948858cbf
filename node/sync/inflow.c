#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sync/downlink_impl.h"

enum {
    LOADED_MAX = 512,   /* logs of a stream with their frontier at hand */
    ACK_LOGS = 128,     /* of one message */
    STORE_WAIT_MS = 20, /* between two tries when the store is full */
    STALLED_MS = 10000, /* the store takes nothing for so long; a worker of
                         * the pool is held meanwhile */
};

/* ---- refusing ---- */

static struct slice text_of(const char *text)
{
    return slice_of(text, strlen(text));
}

static void say_stop(struct inflow *in, const struct wire_stop *stop)
{
    struct buf message = BUF_INIT;
    wire_put_stop(&message, stop);
    enum err err = rpc_stream_send(in->stream, &message);
    buf_fini(&message);
    if (err == ERR_BUSY) {
        rpc_stream_finish(in->stream, ERR_BUSY,
                          "the child does not read what it is told");
    }
}

static void log_refusal(struct inflow *in, const char *id, const char *text)
{
    log_warn(in->down->env->log, id, "child=%012llu text=\"%s\"",
             (unsigned long long)in->peer.code, text);
    downlink_refused(in, text);
}

static bool worth_retrying(enum err err)
{
    return err == ERR_UNAUTHENTICATED || err == ERR_UNSUPPORTED ||
           err == ERR_SEALED || err_class(err) == ERR_CLASS_LATER ||
           err == ERR_GAP;
}

/* Our signed head goes along where the trees may differ, so that the other
 * side can see for itself. */
static void stop_log(struct inflow *in, struct in_log *il, enum err err,
                     const struct refusal *refusal)
{
    struct buf note = BUF_INIT;
    struct store *store = in->down->env->store;
    bool differ = refusal->disagree || err == ERR_BAD_PROOF ||
                  err == ERR_CONFLICT || err == ERR_FORKED;
    if (differ && store_note(store, &il->log, &note, NULL) != ERR_OK) {
        buf_clear(&note);
    }
    il->stopped = true;
    log_refusal(in, refusal->disagree ? "SYNC-FORKED" : "SYNC-REFUSED",
                refusal->text);
    say_stop(in, &(struct wire_stop){
                     .log = il->log,
                     .number = refusal->number,
                     .reason = text_of(refusal->text),
                     .retry = !refusal->disagree && worth_retrying(err),
                     .note = buf_slice(&note),
                 });
    buf_fini(&note);
}

static void stop_text(struct inflow *in, struct in_log *il, enum err err,
                      uint64_t number, const char *text)
{
    char log[LOG_ID_TEXT_MAX];
    struct refusal refusal = {.number = number, .disagree = false};
    log_id_format(&il->log, log);
    (void)snprintf(refusal.text, sizeof refusal.text, "log %s: %s", log, text);
    stop_log(in, il, err, &refusal);
}

static void fork_log(struct inflow *in, struct in_log *il, struct slice note,
                     const struct refusal *refusal)
{
    enum err err =
        store_mark_forked(in->down->env->store, &il->log, note, refusal->text);
    if (err != ERR_OK) {
        log_error(in->down->env->log, "SYNC-FORK", "err=%s text=\"%s\"",
                  err_name(err), refusal->text);
    }
    stop_log(in, il, ERR_FORKED, refusal);
}

/* ---- logs of the stream ---- */

static struct in_log *known_log(struct inflow *in, const struct log_id *log)
{
    (void)pthread_mutex_lock(&in->lock);
    struct in_log *il = logmap_find(&in->logs, log);
    (void)pthread_mutex_unlock(&in->lock);
    return il;
}

static bool is_stored(struct inflow *in, const struct log_id *log)
{
    struct store_head *head = MEM_NEW(struct store_head);
    bool stored = store_head(in->down->env->store, log, head) == ERR_OK;
    mem_free(head);
    return stored;
}

/* Finds or adds; NULL: the child has too many. What is stored counts whether
 * or not this stream names it: a new stream gives no new room. */
static struct in_log *find_log(struct inflow *in, const struct log_id *log)
{
    struct in_log *il = known_log(in, log);
    if (il != NULL) {
        return il;
    }
    bool fresh = !is_stored(in, log);
    (void)pthread_mutex_lock(&in->lock);
    il = logmap_find(&in->logs, log);
    bool room = !fresh || in->held + in->fresh < in->down->conf.logs_max;
    if (il == NULL && room) {
        in->fresh += fresh;
        il = MEM_NEW(struct in_log);
        il->log = *log;
        logmap_insert(&in->logs, il);
    }
    (void)pthread_mutex_unlock(&in->lock);
    return il;
}

static void unload(struct inflow *in, struct in_log *il)
{
    if (il->recv != NULL) {
        recv_log_free(&il->recv);
        in->loaded--;
    }
}

/* Frees the frontier of the log that was idle longest. */
static void unload_one(struct inflow *in)
{
    struct in_log *oldest = NULL;
    (void)pthread_mutex_lock(&in->lock);
    for (size_t i = 0; i < in->logs.count; i++) {
        struct in_log *il = in->logs.item[i];
        if (il->recv != NULL && il->pending == 0 &&
            (oldest == NULL || il->used < oldest->used)) {
            oldest = il;
        }
    }
    (void)pthread_mutex_unlock(&in->lock);
    if (oldest != NULL) {
        unload(in, oldest);
    }
}

static bool is_idle(struct inflow *in, struct in_log *il)
{
    (void)pthread_mutex_lock(&in->lock);
    bool idle = il->pending == 0;
    (void)pthread_mutex_unlock(&in->lock);
    return idle;
}

static enum err load_head(struct inflow *in, struct in_log *il,
                          struct errmsg *why)
{
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    const struct sync_env *env = in->down->env;
    enum err err = store_note(env->store, &il->log, &note, &chain);
    if (err == ERR_OK) {
        err = recv_log_load(il->recv, env->trust, &in->head, buf_slice(&note),
                            buf_slice(&chain), why);
    }
    buf_fini(&note);
    buf_fini(&chain);
    return err;
}

/* Reads il's head into in->head; `*there`: the store has the log. True: what
 * il->recv knows goes with it. */
static bool is_ready(struct inflow *in, struct in_log *il, bool *there,
                     enum err *err)
{
    /* Asked first: a commit between the two would leave an old head that
     * nothing under way explains. */
    bool idle = is_idle(in, il);
    *err = store_head(in->down->env->store, &il->log, &in->head);
    *there = *err == ERR_OK;
    uint64_t durable = *there ? in->head.frontier.size : 0;
    if (il->recv != NULL && durable > il->recv->verified.size) {
        /* What an older stream left in the store's queue came through. */
        il->recv->verified = in->head.frontier;
    }
    return il->recv != NULL && (il->recv->verified.size == durable || !idle);
}

/* Makes il->recv and in->head ready. `*there`: the store has the log. */
static enum err load(struct inflow *in, struct in_log *il, bool *there,
                     struct errmsg *why)
{
    enum err err;
    bool ready = is_ready(in, il, there, &err);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err_set(why, err, "its head cannot be read");
    }
    if (*there && in->head.state == LOG_FORKED) {
        return err_set(why, ERR_FORKED, "forked: it goes no further");
    }
    il->used = ++in->clock;
    if (ready) {
        return ERR_OK;
    }
    unload(in, il);
    if (in->loaded >= LOADED_MAX) {
        unload_one(in);
    }
    il->recv = recv_log_new(&il->log);
    in->loaded++;
    err = *there ? load_head(in, il, why) : ERR_OK;
    if (err != ERR_OK) {
        unload(in, il); /* half of it is not what is held */
    }
    return err;
}

/* ---- commits come back ---- */

struct appending {
    struct inflow *in;
    struct in_log *il;
    uint64_t bytes;
    uint64_t first;
    size_t count;
    int64_t since_ms; /* it waits for the store */
};

static void on_errand(struct rpc_errand *errand);

/* Gives the lock up. Something is due: has it said. What becomes due while that
 * waits goes with it. */
static void unlock_and_flush(struct inflow *in)
{
    bool queue = !in->flush_queued && in->stream != NULL;
    if (queue) {
        in->flush_queued = true;
        in->refs++;
        in->errand.fn = on_errand;
    }
    (void)pthread_mutex_unlock(&in->lock);
    if (queue) { /* without the lock: the poller takes it at once */
        rpc_run_errand(in->down->env->rpc, &in->errand);
    }
}

/* Lock held; unlock_and_flush() is to follow. */
static void make_due(struct inflow *in, struct in_log *il)
{
    if (!il->due) {
        il->due = true;
        il->next_due = NULL;
        *in->due_last = il;
        in->due_last = &il->next_due;
    }
}

/* The same. */
static void commit_failed(struct inflow *in, struct in_log *il, enum err err,
                          const char *why)
{
    if (err == ERR_FORKED) {
        in->stop_log = il;
    } else if (in->failed == ERR_OK) {
        in->failed = err;
        (void)snprintf(in->failure, sizeof in->failure, "%s", why);
    }
}

static void on_appended(void *ctx, enum err err, const char *why,
                        const struct log_id *log, uint64_t size, uint64_t added)
{
    struct appending *a = ctx;
    struct inflow *in = a->in;
    struct in_log *il = a->il;
    (void)log;
    (void)added;
    (void)pthread_mutex_lock(&in->lock);
    in->pending_bytes -= a->bytes;
    il->pending--;
    if (err == ERR_OK) {
        il->durable = size > il->durable ? size : il->durable;
        il->held_ms = (uint32_t)(clock_mono_ms() - a->since_ms);
        make_due(in, il);
    } else {
        commit_failed(in, il, err, why);
    }
    (void)pthread_cond_broadcast(&in->progress);
    unlock_and_flush(in);
    mem_free(a);
    inflow_unref(in);
}

/* ---- into the store ---- */

/* Lock held. False: nothing was committed for `ms`. */
static bool wait_progress(struct inflow *in, uint32_t ms)
{
    struct timespec until;
    clock_until(ms, &until);
    return pthread_cond_timedwait(&in->progress, &in->lock, &until) == 0;
}

/* Lock held. on_appended() takes it back. */
static void count_pending(struct inflow *in, struct in_log *il, uint64_t bytes)
{
    in->pending_bytes += bytes;
    il->pending++;
    in->refs++;
}

/* Reading from the child stops while it has a window's worth of segments
 * under way, whatever it may think its window is. */
static enum err book(struct inflow *in, struct in_log *il, uint64_t bytes)
{
    enum err err = ERR_OK;
    (void)pthread_mutex_lock(&in->lock);
    while (err == ERR_OK && in->pending_bytes > in->down->conf.window_bytes) {
        err = wait_progress(in, STALLED_MS) ? ERR_OK : ERR_BUSY;
    }
    if (err == ERR_OK) {
        count_pending(in, il, bytes);
    }
    (void)pthread_mutex_unlock(&in->lock);
    return err;
}

static enum err try_append(struct inflow *in, struct segment **seg,
                           struct appending *a)
{
    int64_t give_up_at = clock_mono_ms() + STALLED_MS;
    enum err err;
    while ((err = store_append(in->down->env->store, seg, on_appended, a)) ==
               ERR_BUSY &&
           clock_mono_ms() < give_up_at) {
        (void)pthread_mutex_lock(&in->lock);
        (void)wait_progress(in, STORE_WAIT_MS);
        (void)pthread_mutex_unlock(&in->lock);
    }
    return err;
}

/* Not where the log has an end: whether it may grow is judged at its commit. */
static void forward(struct inflow *in, const struct segment *seg, bool there)
{
    const struct sync_env *env = in->down->env;
    if (env->verified != NULL && there && in->head.state == LOG_ACTIVE &&
        in->head.end == 0) {
        env->verified(env->ctx, seg);
    }
}

static struct appending *appending_new(struct inflow *in, struct in_log *il,
                                       const struct segment *seg,
                                       uint64_t bytes, int64_t since_ms)
{
    downlink_received(in, seg->count);
    struct appending *a = MEM_NEW(struct appending);
    *a = (struct appending){.in = in,
                            .il = il,
                            .bytes = bytes,
                            .first = seg->first,
                            .count = seg->count,
                            .since_ms = since_ms};
    return a;
}

static void appending_failed(struct appending *a, struct segment *seg,
                             enum err err)
{
    segment_free(&seg);
    on_appended(a, err, err_text(err), &a->il->log, 0, 0);
}

static void append(struct inflow *in, struct in_log *il, struct segment *seg,
                   uint64_t bytes)
{
    int64_t since_ms = flow_take(&in->taken, clock_mono_ms());
    enum err err = book(in, il, bytes);
    if (err != ERR_OK) {
        segment_free(&seg);
        rpc_stream_finish(in->stream, err, "this node's store is stalled");
        return;
    }
    struct appending *a = appending_new(in, il, seg, bytes, since_ms);
    err = try_append(in, &seg, a);
    if (err != ERR_OK) {
        appending_failed(a, seg, err);
    }
    flow_through(&in->taken, clock_mono_ms());
}

static void held_already(struct inflow *in, struct in_log *il)
{
    (void)pthread_mutex_lock(&in->lock);
    il->durable = in->head.frontier.size;
    make_due(in, il);
    unlock_and_flush(in);
}

static bool may_send(struct inflow *in, const struct log_id *log)
{
    return downlink_serves(in->down, &in->peer, log);
}

/* The stream's log if the child may send it and it was not stopped. */
static struct in_log *admit(struct inflow *in, const struct log_id *log,
                            uint64_t number)
{
    struct in_log *il = find_log(in, log);
    if (il == NULL) {
        rpc_stream_finish(in->stream, ERR_TOO_LARGE,
                          "more logs than this node takes from one child");
        return NULL;
    }
    if (il->stopped) {
        return NULL;
    }
    if (!may_send(in, log)) {
        stop_text(in, il, ERR_DENIED, number,
                  "its origin is neither the sender nor below it");
        return NULL;
    }
    return il;
}

/* Nothing is known against the log: this node cannot read its own store now.
 * The child comes again. */
static bool is_store_away(struct inflow *in, enum err err)
{
    bool away = err_is_passing(err);
    if (away) {
        rpc_stream_finish(in->stream, ERR_UNAVAILABLE,
                          "this node's store cannot be read now");
    }
    return away;
}

void inflow_segment(struct inflow *in, const struct wire_segment *segment,
                    size_t bytes)
{
    struct in_log *il = admit(in, &segment->log, segment->first);
    if (il == NULL) {
        return;
    }
    bool there;
    struct errmsg why = {""};
    enum err err = load(in, il, &there, &why);
    if (err != ERR_OK) {
        if (!is_store_away(in, err)) {
            stop_text(in, il, err, segment->first, why.text);
        }
        return;
    }
    struct tree_view view;
    if (there) {
        view = store_view(in->down->env->store, &in->head);
    }
    struct segment *seg = NULL;
    struct refusal refusal;
    err = recv_segment(in->recv, il->recv, segment, there ? &view : NULL,
                       clock_wall_ms(), &seg, &refusal);
    if (err != ERR_OK && refusal.disagree) {
        fork_log(in, il,
                 segment->note.len > 0 ? segment->note
                                       : buf_slice(&il->recv->note),
                 &refusal);
    } else if (err != ERR_OK) {
        if (!is_store_away(in, err)) {
            stop_log(in, il, err, &refusal);
        }
    } else if (seg == NULL) {
        held_already(in, il);
    } else {
        forward(in, seg, there);
        append(in, il, seg, bytes);
    }
}

/* ---- at once, on the poller ---- */

/* What recv_segment() will do with it needs no disk, and there is room. */
static bool fits_at_once(struct inflow *in, struct in_log *il,
                         const struct wire_segment *segment, size_t bytes,
                         bool *there)
{
    enum err err;
    if (il == NULL || il->stopped || il->recv == NULL ||
        !is_ready(in, il, there, &err) || !*there ||
        in->head.state != LOG_ACTIVE ||
        segment->first != il->recv->verified.size + 1 ||
        !recv_is_small(segment)) {
        return false;
    }
    (void)pthread_mutex_lock(&in->lock);
    bool room = in->pending_bytes <= in->down->conf.window_bytes;
    (void)pthread_mutex_unlock(&in->lock);
    return room && store_has_room(in->down->env->store, bytes) &&
           may_send(in, &segment->log);
}

/* Room was seen: this does not wait. */
static void append_now(struct inflow *in, struct in_log *il,
                       struct segment *seg, uint64_t bytes)
{
    (void)pthread_mutex_lock(&in->lock);
    count_pending(in, il, bytes);
    (void)pthread_mutex_unlock(&in->lock);
    struct appending *a = appending_new(in, il, seg, bytes, clock_mono_ms());
    enum err err = store_append_now(in->down->env->store, &seg, on_appended, a);
    if (err != ERR_OK) {
        appending_failed(a, seg, err);
    }
}

enum rpc_at_once inflow_at_once(struct inflow *in,
                                const struct wire_segment *segment,
                                size_t bytes)
{
    bool there = false;
    struct in_log *il = known_log(in, &segment->log);
    if (!fits_at_once(in, il, segment, bytes, &there)) {
        return RPC_TAKE_BACK;
    }
    struct segment *seg = NULL;
    struct refusal refusal;
    /* Without the tree, which is on disk: entries that follow on overlap
     * nothing, and a head that is not past them is refused for that. */
    enum err err = recv_segment(in->recv, il->recv, segment, NULL,
                                clock_wall_ms(), &seg, &refusal);
    if (err != ERR_OK) {
        return RPC_TAKE_BACK; /* nothing was taken: a worker says why */
    }
    il->used = ++in->clock;
    forward(in, seg, there);
    if (!segment_has_keys(seg)) {
        append_now(in, il, seg, bytes);
        return RPC_DONE;
    }
    in->rest = (struct in_rest){il, seg, bytes};
    return RPC_REST;
}

void inflow_rest(struct inflow *in)
{
    struct in_rest rest = in->rest;
    in->rest = (struct in_rest){NULL, NULL, 0};
    append(in, rest.log, rest.segment, rest.bytes);
}

void inflow_evidence(struct inflow *in, const struct wire_evidence *evidence)
{
    struct in_log *il = admit(in, &evidence->log, 0);
    bool there = false;
    struct errmsg why = {""};
    if (il == NULL) {
        return;
    }
    enum err err = load(in, il, &there, &why);
    if (err != ERR_OK || !there) {
        (void)is_store_away(in, err); /* else: forked, and the child knows */
        return;
    }
    struct tree_view view = store_view(in->down->env->store, &in->head);
    struct checkpoint head;
    struct refusal refusal;
    err = recv_note(in->recv, il->recv, evidence->note, evidence->chain, &view,
                    clock_wall_ms(), &head, &refusal);
    if (err != ERR_OK && refusal.disagree) {
        fork_log(in, il, evidence->note, &refusal);
    } else if (err != ERR_OK) {
        if (!is_store_away(in, err)) {
            stop_log(in, il, err, &refusal);
        }
    } else {
        /* Nothing to be seen here: the child may see it in our head. */
        stop_text(in, il, ERR_BAD_PROOF, head.size,
                  "the copies differ and neither head shows why");
    }
}

/* ---- what is said ---- */

/* Lock held; takes logs off the list. */
static size_t take_due(struct inflow *in, struct wire_log_ack *acks)
{
    size_t n = 0;
    int64_t now_ms = clock_mono_ms();
    while (n < ACK_LOGS && in->due_first != NULL) {
        struct in_log *il = in->due_first;
        in->due_first = il->next_due;
        il->due = false;
        il->relay_due = false;
        il->relayed_ms = now_ms;
        acks[n++] = (struct wire_log_ack){
            .log = il->log, .size = il->durable, .held_ms = il->held_ms};
        il->held_ms = 0;
    }
    if (in->due_first == NULL) {
        in->due_last = &in->due_first;
    }
    return n;
}

static void say_acks(struct inflow *in, struct wire_log_ack *acks, size_t n)
{
    struct store *store = in->down->env->store;
    struct buf message = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        acks[i].above_count = store_above(store, &acks[i].log, acks[i].above);
    }
    wire_put_ack(&message, acks, n);
    enum err err = rpc_stream_send(in->stream, &message);
    buf_fini(&message);
    if (err == ERR_BUSY) {
        rpc_stream_finish(in->stream, ERR_BUSY,
                          "the child does not read what it is told");
    }
}

static void say_failure(struct inflow *in, enum err err, const char *why)
{
    char text[WIRE_TEXT_MAX];
    if (err == ERR_NO_SPACE) {
        (void)snprintf(text, sizeof text, "%.400s; retry after %u ms", why,
                       (unsigned)in->down->conf.full_retry_ms);
    } else {
        (void)snprintf(text, sizeof text, "%.400s", why);
    }
    log_refusal(in, "SYNC-APPEND", text);
    rpc_stream_finish(in->stream, err, text);
}

static void say_forked(struct inflow *in, const struct log_id *log)
{
    char name[LOG_ID_TEXT_MAX];
    char text[WIRE_TEXT_MAX];
    struct buf note = BUF_INIT;
    log_id_format(log, name);
    (void)snprintf(text, sizeof text,
                   "log %s: forked: it goes past the end its successor names",
                   name);
    if (store_note(in->down->env->store, log, &note, NULL) != ERR_OK) {
        buf_clear(&note);
    }
    log_refusal(in, "SYNC-FORKED", text);
    say_stop(in, &(struct wire_stop){.log = *log,
                                     .reason = text_of(text),
                                     .note = buf_slice(&note)});
    buf_fini(&note);
}

bool inflow_hold_stream(struct inflow *in)
{
    (void)pthread_mutex_lock(&in->lock);
    while (in->flushing) {
        (void)pthread_cond_wait(&in->progress, &in->lock);
    }
    bool there = in->stream != NULL;
    in->flushing = there;
    (void)pthread_mutex_unlock(&in->lock);
    return there;
}

void inflow_let_stream_go(struct inflow *in)
{
    (void)pthread_mutex_lock(&in->lock);
    in->flushing = false;
    (void)pthread_cond_broadcast(&in->progress);
    (void)pthread_mutex_unlock(&in->lock);
}

/* One message of Acks. True: there may be more. The stream is held. */
static bool flush_acks(struct inflow *in)
{
    struct wire_log_ack *acks = mem_alloc(ACK_LOGS * sizeof *acks);
    (void)pthread_mutex_lock(&in->lock);
    size_t n = take_due(in, acks);
    (void)pthread_mutex_unlock(&in->lock);
    if (n > 0) {
        say_acks(in, acks, n);
    }
    mem_free(acks);
    return n == ACK_LOGS;
}

/* What a commit came to that is no Ack. True: the stream goes on. The stream is
 * held. */
static bool flush_trouble(struct inflow *in)
{
    (void)pthread_mutex_lock(&in->lock);
    struct in_log *stopped = in->stop_log;
    in->stop_log = NULL;
    enum err failed = in->failed;
    (void)pthread_mutex_unlock(&in->lock);
    if (stopped != NULL) {
        say_forked(in, &stopped->log);
    }
    if (failed != ERR_OK) {
        say_failure(in, failed, in->failure);
    }
    return failed == ERR_OK;
}

/* On the strand: may read the store. */
static void flush_job(void *ctx)
{
    struct inflow *in = ctx;
    (void)pthread_mutex_lock(&in->lock);
    in->flush_queued = false;
    (void)pthread_mutex_unlock(&in->lock);
    if (inflow_hold_stream(in)) {
        bool more;
        do {
            more = flush_acks(in);
        } while (flush_trouble(in) && more);
        inflow_let_stream_go(in);
    }
    inflow_unref(in);
}

enum flush { FLUSH_ACKS, FLUSH_ALL, FLUSH_NOTHING };

/* What the poller may do of it; for FLUSH_ACKS the stream is held. */
static enum flush begin_flush(struct inflow *in)
{
    (void)pthread_mutex_lock(&in->lock);
    enum flush flush = in->stream == NULL ? FLUSH_NOTHING : FLUSH_ACKS;
    if (in->stream != NULL &&
        (in->flushing || in->failed != ERR_OK || in->stop_log != NULL)) {
        flush = FLUSH_ALL;
    }
    in->flush_queued = flush == FLUSH_ALL;
    in->flushing = in->flushing || flush == FLUSH_ACKS;
    (void)pthread_mutex_unlock(&in->lock);
    return flush;
}

/* Lets the stream go. What is to be done still, by who did begin_flush(). */
static enum flush end_flush(struct inflow *in, bool more)
{
    (void)pthread_mutex_lock(&in->lock);
    enum flush flush = more && !in->flush_queued ? FLUSH_ALL : FLUSH_NOTHING;
    in->flush_queued = in->flush_queued || more;
    in->flushing = false;
    (void)pthread_cond_broadcast(&in->progress);
    (void)pthread_mutex_unlock(&in->lock);
    return flush;
}

/* On the poller. It waits for nobody: what is more than a message of Acks, or
 * finds the stream in use, is the strand's. */
static void on_errand(struct rpc_errand *errand)
{
    struct inflow *in = CONTAINER_OF(errand, struct inflow, errand);
    enum flush flush = begin_flush(in);
    if (flush == FLUSH_ACKS) {
        flush = end_flush(in, flush_acks(in));
    }
    if (flush == FLUSH_ALL) {
        strand_run(in->strand, flush_job, in); /* with the reference */
    } else {
        inflow_unref(in);
    }
}

/* Lock held. True: it is due; else it has to wait for the timer. */
static bool relay(struct inflow *in, struct in_log *il, int64_t now_ms)
{
    bool due = now_ms - il->relayed_ms >= in->down->conf.ack_relay_ms;
    if (due) {
        make_due(in, il);
    } else {
        il->relay_due = true;
        in->relays_wait = true;
    }
    return due;
}

/* How far the log is known to be held above changed. True: the timer has to
 * come for it. */
static bool note_above(struct inflow *in, struct in_log *il, uint64_t size,
                       int64_t now_ms)
{
    (void)pthread_mutex_lock(&in->lock);
    il->durable = size > il->durable ? size : il->durable;
    /* Before the pages the child cannot place it; with them it goes too. */
    bool paged = in->paged;
    bool due = paged && relay(in, il, now_ms);
    if (due) {
        unlock_and_flush(in);
    } else {
        (void)pthread_mutex_unlock(&in->lock);
    }
    return paged && !due;
}

void inflow_above(struct inflow *in, const struct log_id *logs, size_t n)
{
    struct store_head *head = MEM_NEW(struct store_head);
    int64_t now_ms = clock_mono_ms();
    bool wait = false;
    for (size_t i = 0; i < n; i++) {
        if (!may_send(in, &logs[i]) ||
            store_head(in->down->env->store, &logs[i], head) != ERR_OK) {
            continue;
        }
        struct in_log *il = find_log(in, &logs[i]);
        if (il == NULL) {
            break;
        }
        wait = note_above(in, il, head->frontier.size, now_ms) || wait;
    }
    mem_free(head);
    if (wait) {
        ticker_at(in->down->ticker, now_ms + in->down->conf.ack_relay_ms);
    }
}

void inflow_relay(struct inflow *in)
{
    (void)pthread_mutex_lock(&in->lock);
    bool any = in->relays_wait;
    in->relays_wait = false;
    for (size_t i = 0; any && i < in->logs.count; i++) {
        struct in_log *il = in->logs.item[i];
        if (il->relay_due) {
            make_due(in, il);
        }
    }
    if (any) {
        unlock_and_flush(in);
    } else {
        (void)pthread_mutex_unlock(&in->lock);
    }
}

void inflow_fini(struct inflow *in)
{
    for (size_t i = 0; i < in->logs.count; i++) {
        struct in_log *il = in->logs.item[i];
        recv_log_free(&il->recv);
    }
    logmap_free_all(&in->logs);
    recv_free(&in->recv);
}
