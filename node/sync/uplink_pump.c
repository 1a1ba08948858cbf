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
    bool note = told->note_size != src->head.newest.size ||
                told->note_at_ms != src->head.newest.at_ms;
    bool chain = false;
    if (note) {
        err = source_read_note(src, up->env->store);
        if (err != ERR_OK) {
            return err;
        }
        uint64_t print = print_of(buf_slice(&src->chain));
        chain = print != told->chain_print;
        *told =
            (struct told){src->head.newest.size, src->head.newest.at_ms, print};
    }
    struct wire_segment_out out = source_segment(src, note, chain);
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
 * unless it is only that commits overtook us. */
static bool unreadable(struct uplink *up, const struct send_job *job,
                       enum err err)
{
    if (err == ERR_BUSY) {
        return false;
    }
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&job->log, log);
    log_error(up->env->log, "SYNC-UNREADABLE", "log=%s number=%llu err=%s", log,
              (unsigned long long)job->from, err_name(err));
    send_stop(&up->send, &job->log);
    uplink_retry_later(up);
    return true;
}

/* Lock held. Books before it sends: the Ack may come at once. */
static void book(struct uplink *up, const struct send_job *job,
                 const struct told *told, size_t bytes)
{
    struct send_log *l = send_find(&up->send, &job->log);
    l->note_size = told->note_size;
    l->note_at_ms = told->note_at_ms;
    l->chain_print = told->chain_print;
    const struct source *src = &up->source;
    up->status.sent_entries += src->end - src->refs[0].first + 1;
    up->status.sent_bytes += bytes;
    send_sent(&up->send, job, src->end, bytes);
    unsigned todo;
    link_owed(&up->link, up->send.in_flight > 0, &todo);
    if ((todo & LINK_ARM) != 0) {
        up->deadline_at_ms = clock_mono_ms() + up->link.deadline_ms;
        ticker_at(up->ticker, up->deadline_at_ms);
    }
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
    if (!send_next(&up->send, &job)) {
        return false;
    }
    enum err err = build_unlocked(up, &job, &told, &message);
    if (err != ERR_OK || up->conn != conn) {
        buf_fini(&message);
        return up->conn == conn && unreadable(up, &job, err);
    }
    struct send_log *l = send_find(&up->send, &job.log);
    if (l->state != SEND_LIVE) {
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
    if ((more || up->pump_again) && up->conn != NULL &&
        send_next(&up->send, &job)) {
        queue_pump(up);
    }
    (void)pthread_mutex_unlock(&up->lock);
}

void uplink_drained(struct conn *conn)
{
    struct uplink *up = conn->up;
    (void)pthread_mutex_lock(&up->lock);
    conn->blocked = false;
    (void)pthread_mutex_unlock(&up->lock);
    uplink_pump(up, STRAND_TURNS);
}

/* Lock held. */
static void grew(struct uplink *up, const struct store_head *head)
{
    send_grew(&up->send, &head->log, head->frontier.size,
              up->conn != NULL && up->conn->all_told);
    if (head->state == LOG_FORKED) {
        send_bar(&up->send, &head->log);
    }
}

void uplink_committed(void *ctx, const struct log_id *logs, size_t n)
{
    struct uplink *up = ctx;
    struct store_head head;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (logs[i].kind == LOG_RECORDS &&
            store_head(up->env->store, &logs[i], &head) == ERR_OK) {
            (void)pthread_mutex_lock(&up->lock);
            grew(up, &head);
            any = true;
            (void)pthread_mutex_unlock(&up->lock);
        }
    }
    if (!any) {
        return;
    }
    (void)pthread_mutex_lock(&up->lock);
    /* A lone record leaves at once, from here; a flow is the strand's. */
    struct send_job job;
    bool due = send_next(&up->send, &job);
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

void uplink_restored(void *ctx, const struct log_id *log, bool ended)
{
    struct uplink *up = ctx;
    struct store_head head;
    struct log_id logs[] = {*log, store_own_log(up->env->store)};
    if (log->origin == up->env->self.code &&
        store_head(up->env->store, log, &head) == ERR_OK) {
        (void)pthread_mutex_lock(&up->lock);
        send_restored(&up->send, log, head.frontier.size, ended);
        (void)pthread_mutex_unlock(&up->lock);
    }
    if (up->env->keyring != NULL) {
        uplink_wrap_keys(up); /* entries that held some may be gone */
    }
    uplink_committed(up, logs, ARRAY_LEN(logs));
}
