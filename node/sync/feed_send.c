/* What goes down to a child: entries it lacks, and newer heads. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sync/feed_impl.h"
#include "sync/fresh.h"

enum {
    TURNS = 4, /* segments to one child before the others get theirs */
};

bool feed_send_bytes(struct reader_conn *conn, struct slice bytes)
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

/* An issuer that was put back signed heads of a tree that it has given up
 * since: they are news of nothing. */
static bool is_of_held(const struct checkpoint *head,
                       const struct store_head *held)
{
    return head->size < held->frontier.size ||
           (head->size == held->frontier.size &&
            hash_eq(&head->root, &held->root));
}

/* The newest head there is: the one that came or was signed last, or that of
 * the last commit. Its bytes are appended. */
static bool newest_head(const struct feed *feed, const struct log_id *log,
                        int64_t after_ms, struct checkpoint *head,
                        struct buf *note, struct buf *chain)
{
    const struct fresh *fresh = feed->env->fresh;
    struct store_head held;
    bool there =
        fresh_newer(feed->env->fresh, log, after_ms, head, note, chain) &&
        note->len > 0; /* else it came with entries */
    if (store_head(feed->env->store, log, &held) != ERR_OK) {
        return there;
    }
    there = there && is_of_held(head, &held);
    if (!fresh_is_later(fresh, held.newest.at_ms, after_ms) ||
        (there && (held.newest.size < head->size ||
                   (held.newest.size == head->size &&
                    !fresh_is_later(fresh, held.newest.at_ms, head->at_ms))))) {
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
        sent = feed_send_bytes(conn, buf_slice(&message));
    }
    struct told *t = sent ? feed_find_told(conn, log) : NULL;
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
void feed_send_head(struct reader_conn *conn, const struct log_id *log)
{
    (void)pthread_mutex_lock(&conn->lock);
    bool sent = send_newer_head(conn, log, INT64_MIN);
    struct told *t = feed_find_told(conn, log);
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

/* Strand. Makes feed->message for entries from `from` on, of about `most`
 * bytes; one that was made for a slower line will do. */
static enum err make_message(struct feed *feed, const struct store_head *head,
                             uint64_t from, size_t most)
{
    struct source *src = &feed->source;
    if (feed->message.len > 0 && feed->message_from == from &&
        (feed->message_most <= most || feed->message.len <= most) &&
        log_id_eq(&feed->message_log, &head->log) &&
        feed->message_head_ms == head->newest.at_ms &&
        feed->message_heads == atomic_load(&feed->heads)) {
        return ERR_OK;
    }
    buf_clear(&feed->message);
    feed->message_heads = atomic_load(&feed->heads);
    enum err err =
        source_read(src, feed->env->store, &head->log, from, UINT64_MAX, most);
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
    feed->message_most = most;
    feed->message_end = src->end;
    feed->message_head_ms = src->head.newest.at_ms;
    return ERR_OK;
}

void feed_note_sent(struct reader_conn *conn, struct told *t, uint64_t end,
                    size_t bytes, int64_t head_ms)
{
    t->sent = end;
    t->bytes += bytes;
    conn->in_flight += bytes;
    flow_sent(&conn->flow, bytes, clock_mono_ms());
    t->head_ms = head_ms > t->head_ms ? head_ms : t->head_ms;
}

/* conn->lock held. False: nothing more to send of it now. */
static bool send_entries(struct reader_conn *conn, struct told *t,
                         const struct store_head *head)
{
    struct feed *feed = conn->feed;
    if (t->sent >= head->frontier.size ||
        !flow_room(&conn->flow, conn->in_flight) ||
        make_message(feed, head, t->sent + 1,
                     flow_segment(&conn->flow, FEED_SEGMENT_BYTES)) != ERR_OK ||
        !feed_send_bytes(conn, buf_slice(&feed->message))) {
        return false;
    }
    feed_note_sent(conn, t, feed->message_end, feed->message.len,
                   feed->message_head_ms);
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
    if (!feed_goes_down(conn->feed, &head->log)) {
        return true;
    }
    (void)pthread_mutex_lock(&conn->lock);
    struct told *t = conn->told_all && conn->stream != NULL
                         ? feed_told_of(conn, &head->log)
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
    conn->waits =
        conn->waits ||
        (t != NULL &&
         (t->head_owed || (!t->stopped && t->sent < head->frontier.size)));
    if (t != NULL && !t->stopped && t->sent == head->frontier.size) {
        (void)send_newer_head(conn, &head->log, t->head_ms);
    }
    (void)pthread_mutex_unlock(&conn->lock);
    return true;
}

bool feed_pump(struct reader_conn *conn)
{
    struct pumping p = {conn, false};
    /* Whoever finds it set has freed room since, and pumps. */
    (void)pthread_mutex_lock(&conn->lock);
    conn->waits = false;
    (void)pthread_mutex_unlock(&conn->lock);
    store_directives(conn->feed->env->store, pump_log, &p);
    return p.more;
}
