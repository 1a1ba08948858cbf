#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sync/uplink_impl.h"

enum {
    STRAND_TURNS = 16, /* segments before others get the worker */
    INLINE_TURNS = 1,  /* segments the writer thread sends by itself */
};

/* FNV-1a: tells whether a signer's chain is another than the one last sent. */
static uint64_t print_of(struct slice bytes)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < bytes.len; i++) {
        h = (h ^ bytes.data[i]) * UINT64_C(1099511628211);
    }
    return h == 0 ? 1 : h;
}

/* What a connection was told last about a log's head. */
struct told {
    uint64_t note_size;
    int64_t note_at_ms;
    uint64_t chain_print;
};

/* What is told with a segment under this head; `told` comes to be what the
 * parent knows once it was sent. */
struct news {
    bool note;
    bool chain;
};
static struct news news_of(struct told *told, const struct checkpoint *newest,
                           struct slice chain)
{
    struct news news = {.note = told->note_size != newest->size ||
                                told->note_at_ms != newest->at_ms};
    if (news.note) {
        uint64_t print = print_of(chain);
        news.chain = print != told->chain_print;
        *told = (struct told){newest->size, newest->at_ms, print};
    }
    return news;
}

/* Reads and encodes; `told` comes back as it is once this was sent. */
static enum err build(struct uplink *up, const struct send_job *job,
                      struct told *told, struct buf *message)
{
    struct source *src = &up->source;
    enum err err = source_read(src, up->env->store, &job->log, job->from,
                               job->last, job->max_bytes);
    if (err != ERR_OK) {
        return err;
    }
    if (told->note_size > src->head.newest.size) {
        return ERR_BUSY; /* forwarded, its commit is still to come */
    }
    if (told->note_size != src->head.newest.size ||
        told->note_at_ms != src->head.newest.at_ms) {
        err = source_read_note(src, up->env->store);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct news news = news_of(told, &src->head.newest, buf_slice(&src->chain));
    struct wire_segment_out out = source_segment(src, news.note, news.chain);
    wire_put_segment(message, &out);
    return message->len <= RPC_MESSAGE_MAX ? ERR_OK : ERR_TOO_LARGE;
}

/* Lock held; gives it up while it reads. */
static enum err build_unlocked(struct uplink *up, struct send_job *job,
                               struct told *told, struct buf *message)
{
    const struct send_log *l = send_find(&up->send, &job->log);
    *told = (struct told){l->note_size, l->note_at_ms, l->chain_print};
    (void)pthread_mutex_unlock(&up->lock);
    enum err err = build(up, job, told, message);
    (void)pthread_mutex_lock(&up->lock);
    return err;
}

/* Lock held. The log cannot be read: it goes no further on this connection,
 * unless it is only that commits or a restore overtook us. */
static bool unreadable(struct uplink *up, const struct send_job *job,
                       enum err err)
{
    if (err == ERR_BUSY) {
        return false;
    }
    if (!send_unreadable(&up->send, job)) {
        return true;
    }
    if (err == ERR_UNAVAILABLE) { /* this node's store is away and says so */
        uplink_retry_soon(up);
        return true;
    }
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&job->log, log);
    log_error(up->env->log, "SYNC-UNREADABLE", "log=%s number=%llu err=%s", log,
              (unsigned long long)job->from, err_name(err));
    uplink_retry_later(up);
    return true;
}

/* Lock held. A segment is about to go. */
static void note_sent(struct uplink *up, struct send_log *l,
                      const struct told *told, uint64_t entries, size_t bytes)
{
    l->note_size = told->note_size;
    l->note_at_ms = told->note_at_ms;
    l->chain_print = told->chain_print;
    up->status.sent_entries += entries;
    up->status.sent_bytes += bytes;
    unsigned todo;
    link_owed(&up->link, up->send.in_flight > 0, &todo);
    if ((todo & LINK_ARM) != 0) {
        up->deadline_at_ms = clock_mono_ms() + up->link.deadline_ms;
        ticker_at(up->ticker, up->deadline_at_ms);
    }
}

/* Lock held. Books before it sends: the Ack may come at once. */
static void book(struct uplink *up, const struct send_job *job,
                 const struct told *told, size_t bytes)
{
    const struct source *src = &up->source;
    send_sent(&up->send, job, src->end, bytes);
    note_sent(up, send_find(&up->send, &job->log), told,
              src->end - src->refs[0].first + 1, bytes);
}

/* Lock held, given up while the message goes. The connection cannot end while
 * `pumping`. False: nothing more can be sent now. */
static bool transmit(struct uplink *up, struct conn *conn, struct buf *message)
{
    (void)pthread_mutex_unlock(&up->lock);
    enum err err = rpc_stream_send(conn->stream, message);
    (void)pthread_mutex_lock(&up->lock);
    if (err == ERR_BUSY) {
        conn->blocked = true;
        conn->parked = *message;
        *message = (struct buf)BUF_INIT;
        /* It may have drained before it was marked. */
        if (rpc_stream_queued(conn->stream) < RPC_WINDOW_BYTES / 2) {
            conn->blocked = false;
            up->pump_again = true;
        }
    }
    buf_fini(message);
    return err == ERR_OK;
}

/* Lock held. What is due now; what is paced gets its time. */
static bool next(struct uplink *up, struct send_job *job)
{
    send_at(&up->send, clock_mono_ms());
    bool any = send_next(&up->send, job);
    int64_t due_at = send_due_ms(&up->send);
    if (due_at != 0) {
        ticker_at(up->pace, due_at);
    }
    return any;
}

/* Lock held. One segment; false: nothing to send or no room. */
static bool pump_one(struct uplink *up)
{
    struct conn *conn = up->conn;
    struct buf message = BUF_INIT;
    if (conn == NULL || conn->blocked || !conn->paged) {
        return false;
    }
    if (conn->parked.len > 0) {
        message = conn->parked;
        conn->parked = (struct buf)BUF_INIT;
        return transmit(up, conn, &message);
    }
    struct send_job job;
    struct told told;
    if (!next(up, &job)) {
        return false;
    }
    enum err err = build_unlocked(up, &job, &told, &message);
    if (err != ERR_OK || up->conn != conn) {
        buf_fini(&message);
        return up->conn == conn && unreadable(up, &job, err);
    }
    struct send_log *l = send_find(&up->send, &job.log);
    if (l->state != SEND_LIVE || l->era != job.era) {
        buf_fini(&message);
        return true;
    }
    book(up, &job, &told, message.len);
    return transmit(up, conn, &message);
}

static void pump_job(void *ctx)
{
    struct uplink *up = ctx;
    (void)pthread_mutex_lock(&up->lock);
    up->pump_queued = false;
    (void)pthread_mutex_unlock(&up->lock);
    uplink_pump(up, STRAND_TURNS);
    uplink_job_done(up);
}

/* Lock held. */
static void queue_pump(struct uplink *up)
{
    if (!up->pump_queued && !up->stopping) {
        up->pump_queued = true;
        up->jobs++;
        strand_run(up->strand, pump_job, up);
    }
}

void uplink_pump(struct uplink *up, unsigned turns)
{
    (void)pthread_mutex_lock(&up->lock);
    if (up->pumping) {
        up->pump_again = true;
        (void)pthread_mutex_unlock(&up->lock);
        return;
    }
    up->pumping = true;
    bool more = true;
    do {
        up->pump_again = false;
        while (turns > 0 && (more = pump_one(up))) {
            turns--;
        }
    } while (turns > 0 && up->pump_again);
    up->pumping = false;
    (void)pthread_cond_broadcast(&up->idle);
    struct send_job job;
    if ((more || up->pump_again) && up->conn != NULL && next(up, &job)) {
        queue_pump(up);
    }
    (void)pthread_mutex_unlock(&up->lock);
}

void uplink_pump_later(struct uplink *up)
{
    struct send_job job;
    (void)pthread_mutex_lock(&up->lock);
    if (up->pumping) {
        up->pump_again = true;
    } else if (up->conn != NULL && !up->conn->blocked && next(up, &job)) {
        queue_pump(up);
    }
    (void)pthread_mutex_unlock(&up->lock);
}

void uplink_paced(void *ctx)
{
    uplink_pump_later(ctx);
}

/* ---- forwarding ---- */

enum { FRAMING_MAX = 16 << 10 }; /* of one message: names, lengths of blocks */

/* Lock held. Takes the pump's place, so that segments of a log cannot overtake
 * each other. NULL: not now. */
static struct conn *claim(struct uplink *up, const struct segment *seg,
                          size_t bytes)
{
    struct conn *conn = up->conn;
    send_at(&up->send, clock_mono_ms());
    if (conn == NULL || !conn->paged || conn->blocked || conn->parked.len > 0 ||
        up->pumping ||
        !send_forward(&up->send, &seg->log, seg->first,
                      seg->first + seg->count - 1, bytes)) {
        return NULL;
    }
    up->pumping = true;
    up->pump_again = false;
    return conn;
}

static void put_forwarded(struct buf *message, const struct segment *seg,
                          struct news news)
{
    struct slice none = slice_of(NULL, 0);
    struct buf bridge = BUF_INIT;
    if (seg->bridge.n > 0) {
        bridge_put(&bridge, &seg->bridge);
    }
    wire_put_segment(message,
                     &(struct wire_segment_out){
                         .log = seg->log,
                         .blocks = &seg->blocks,
                         .refs = seg->refs,
                         .refs_count = seg->refs_count,
                         .note = news.note ? buf_slice(&seg->note) : none,
                         .bridge = buf_slice(&bridge),
                         .chain = news.chain ? buf_slice(&seg->chain) : none,
                     });
    buf_fini(&bridge);
}

void uplink_forward(struct uplink *up, const struct segment *seg)
{
    size_t bytes = seg->blocks.len + seg->note.len + seg->chain.len;
    if (seg->refs[0].first != seg->first ||
        bytes + FRAMING_MAX > RPC_MESSAGE_MAX) {
        return;
    }
    (void)pthread_mutex_lock(&up->lock);
    struct conn *conn = claim(up, seg, bytes);
    if (conn != NULL) {
        struct send_log *l = send_find(&up->send, &seg->log);
        struct told told = {l->note_size, l->note_at_ms, l->chain_print};
        struct news news = news_of(&told, &seg->newest, buf_slice(&seg->chain));
        note_sent(up, l, &told, seg->count, bytes);
        (void)pthread_mutex_unlock(&up->lock);
        struct buf message = BUF_INIT;
        put_forwarded(&message, seg, news);
        (void)pthread_mutex_lock(&up->lock);
        (void)transmit(up, conn, &message);
        up->pumping = false;
        (void)pthread_cond_broadcast(&up->idle);
        if (up->pump_again) {
            queue_pump(up);
        }
    }
    (void)pthread_mutex_unlock(&up->lock);
}

/* ---- the pump goes on ---- */

void uplink_drained(struct conn *conn)
{
    struct uplink *up = conn->up;
    (void)pthread_mutex_lock(&up->lock);
    conn->blocked = false;
    (void)pthread_mutex_unlock(&up->lock);
    uplink_pump(up, STRAND_TURNS);
}

/* What the growth of a log is to others. */
struct growth {
    bool arrived;   /* the parent named it before it came */
    uint64_t acked; /* of a log that forked now; else 0 */
};

/* Lock held. */
static struct growth grew(struct uplink *up, const struct store_head *head)
{
    send_grew(&up->send, &head->log, head->frontier.size,
              up->conn != NULL && up->conn->all_told);
    send_signed(&up->send, &head->log, head->newest.at_ms, 0);
    const struct send_log *l = send_find(&up->send, &head->log);
    struct growth g = {.arrived = send_arrived(&up->send, &head->log)};
    if (head->state == LOG_FORKED) {
        g.acked = !l->barred && l->state == SEND_LIVE ? l->acked : 0;
        send_bar(&up->send, &head->log);
    }
    return g;
}

static void note_log(struct uplink *up, const struct store_head *head)
{
    (void)pthread_mutex_lock(&up->lock);
    struct growth g = grew(up, head);
    (void)pthread_mutex_unlock(&up->lock);
    if (g.arrived) {
        /* Is it of one tree? The rest comes back as well. */
        restore_log(up->restore, &head->log);
    }
    if (g.acked > 0) {
        uplink_forked(up, &head->log, g.acked);
    }
}

/* How long the logs are now. False: none of them is sent. */
static bool note_growth(struct uplink *up, const struct log_id *logs, size_t n)
{
    struct store_head head;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (logs[i].kind == LOG_RECORDS &&
            store_head(up->env->store, &logs[i], &head) == ERR_OK) {
            note_log(up, &head);
            any = true;
        }
    }
    return any;
}

void uplink_committed(void *ctx, const struct log_id *logs, size_t n)
{
    struct uplink *up = ctx;
    if (!note_growth(up, logs, n)) {
        return;
    }
    (void)pthread_mutex_lock(&up->lock);
    /* A lone record leaves at once, from here; a flow is the strand's. */
    struct send_job job;
    bool due = next(up, &job);
    bool lone =
        due && up->send.in_flight == 0 && !up->pumping && !up->pump_queued;
    up->pump_again = true;
    if (due && !lone) {
        queue_pump(up);
    }
    (void)pthread_mutex_unlock(&up->lock);
    if (lone) {
        uplink_pump(up, INLINE_TURNS);
    }
}

void uplink_restored(void *ctx, const struct log_id *log, bool ended,
                     uint64_t above)
{
    struct uplink *up = ctx;
    struct store_head head;
    struct log_id logs[] = {*log, store_own_log(up->env->store)};
    enum err err = store_head(up->env->store, log, &head);
    if (err == ERR_OK && head.state == LOG_FORKED) {
        uplink_send_evidence(up, log);
    }
    if (err == ERR_OK && log->origin == up->env->self.code) {
        (void)pthread_mutex_lock(&up->lock);
        send_restored(&up->send, log, head.frontier.size, ended);
        (void)pthread_mutex_unlock(&up->lock);
    }
    if (above > 0) {
        uplink_note_above(up, log, above);
    }
    if (up->env->keyring != NULL) {
        uplink_judge_ancestors(up); /* entries that held some may be gone */
    }
    uplink_committed(up, logs, ARRAY_LEN(logs));
}
