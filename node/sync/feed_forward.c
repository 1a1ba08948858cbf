/* What came from above goes down before it is committed here
 * (docs/decisions/0029-directives-forwarded.md). */
#include "sync/feed_impl.h"

#include "base/mem.h"

/* conn->lock held. The log, if the child expects just this next. */
static struct told *expected_by(struct reader_conn *conn,
                                const struct segment *seg)
{
    struct told *t = conn->told_all ? feed_find_told(conn, &seg->log) : NULL;
    bool fits = t != NULL && !t->stopped && !t->parted && !t->head_owed &&
                t->sent + 1 == seg->first &&
                flow_room(&conn->flow, conn->in_flight);
    return fits ? t : NULL;
}

static void put_segment(struct buf *message, const struct segment *seg,
                        uint64_t held)
{
    struct buf bridge = BUF_INIT;
    if (seg->bridge.n > 0) {
        bridge_put(&bridge, &seg->bridge);
    }
    wire_put_segment(message, &(struct wire_segment_out){
                                  .log = seg->log,
                                  .blocks = &seg->blocks,
                                  .refs = seg->refs,
                                  .refs_count = seg->refs_count,
                                  .note = buf_slice(&seg->note),
                                  .bridge = buf_slice(&bridge),
                                  .chain = buf_slice(&seg->chain),
                                  .held = held,
                              });
    buf_fini(&bridge);
}

/* Whoever sends to it at this moment may read a disk: then it gets this from
 * the store. */
static void offer(struct reader_conn *conn, const struct segment *seg,
                  uint64_t held, struct buf *message)
{
    if (pthread_mutex_trylock(&conn->lock) != 0) {
        return;
    }
    struct told *t = expected_by(conn, seg);
    if (t != NULL && message->len == 0) {
        put_segment(message, seg, held);
    }
    if (t != NULL &&
        message->len <= flow_segment(&conn->flow, FEED_SEGMENT_BYTES) &&
        feed_send_bytes(conn, buf_slice(message))) {
        feed_note_sent(conn, t, seg->first + seg->count - 1, message->len,
                       seg->newest.at_ms);
    }
    (void)pthread_mutex_unlock(&conn->lock);
}

void feed_forward(struct feed *feed, const struct segment *seg, uint64_t held)
{
    struct buf message = BUF_INIT;
    size_t n;
    if (seg->refs[0].first != seg->first || !feed_goes_down(feed, &seg->log)) {
        return;
    }
    struct reader_conn **list = feed_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        offer(list[i], seg, held, &message);
        feed_conn_unref(list[i]);
    }
    mem_free(list);
    buf_fini(&message);
}

static bool has_all(struct reader_conn *conn, const struct store_head *head)
{
    if (pthread_mutex_trylock(&conn->lock) != 0) {
        return false;
    }
    const struct told *t =
        conn->told_all ? feed_find_told(conn, &head->log) : NULL;
    bool all =
        !conn->told_all || (t != NULL && !t->head_owed &&
                            (t->stopped || (t->sent >= head->frontier.size &&
                                            t->head_ms >= head->newest.at_ms)));
    (void)pthread_mutex_unlock(&conn->lock);
    return all;
}

bool feed_is_sent(struct feed *feed, const struct store_head *head)
{
    size_t n;
    bool all = true;
    struct reader_conn **list = feed_conns(feed, &n);
    for (size_t i = 0; i < n; i++) {
        all = all && has_all(list[i], head);
        feed_conn_unref(list[i]);
    }
    mem_free(list);
    return all;
}
