#include "sync/send.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum {
    TAIL_ENTRIES = 64, /* at most so many missing: served first … */
    TAIL_TURNS = 16,   /* … but one bulk segment in so many turns goes */
};

static const char *const catch_names[] = {
    [CATCH_NONE] = "none",
    [CATCH_FULL] = "full",
    [CATCH_INCREMENTAL] = "incremental",
    [CATCH_RESUMED] = "resumed",
};

const char *catch_up_name(enum catch_up kind)
{
    return catch_names[kind];
}

void send_init(struct send *send, uint32_t segment_bytes, uint32_t pace_ms)
{
    memset(send, 0, sizeof *send);
    send->segment_bytes = segment_bytes;
    send->pace_ms = pace_ms;
}

void send_fini(struct send *send)
{
    logmap_free_all(&send->logs);
}

struct send_log *send_find(const struct send *send, const struct log_id *log)
{
    return logmap_find(&send->logs, log);
}

/* ---- turns ---- */

static uint64_t missing(const struct send_log *l)
{
    return l->held > l->sent ? l->held - l->sent : 0;
}

/* While part of a log is under way, a little more of it waits for the
 * acknowledgement, as in Nagle's rule for TCP (RFC 896): an idle line carries
 * a lone record at once, a busy one carries many in a message. */
static bool has_work(const struct send_log *l)
{
    if (l->state != SEND_LIVE || l->want_first != 0) {
        return l->state == SEND_LIVE;
    }
    return missing(l) > TAIL_ENTRIES || (missing(l) > 0 && l->sent == l->acked);
}

static int64_t due_ms(const struct send *send, const struct send_log *l)
{
    return l->sent_at_ms == 0 ? 0 : l->sent_at_ms + send->pace_ms;
}

static enum send_queue queue_for(const struct send *send,
                                 const struct send_log *l)
{
    if (missing(l) > TAIL_ENTRIES) {
        return QUEUE_BULK;
    }
    return l->want_first == 0 && due_ms(send, l) > send->now_ms ? QUEUE_PACED
                                                                : QUEUE_TAIL;
}

static void put_last(struct send *send, struct send_log *l)
{
    l->queue = (uint8_t)queue_for(send, l);
    struct send_queue_ends *q = &send->queue[l->queue];
    l->next = NULL;
    if (q->last != NULL) {
        q->last->next = l;
    } else {
        q->first = l;
    }
    q->last = l;
}

static void take_out(struct send *send, struct send_log *l)
{
    struct send_queue_ends *q = &send->queue[l->queue];
    struct send_log *before = NULL;
    struct send_log **at = &q->first;
    while (*at != l) {
        before = *at;
        at = &(*at)->next;
    }
    *at = l->next;
    q->last = q->last == l ? before : q->last;
    l->queue = QUEUE_NONE;
    l->next = NULL;
}

/* Not while entries are under way, which bring the newest head themselves: the
 * receiver compares with what is durable. */
static bool owes_head(const struct send_log *l)
{
    int64_t told_ms =
        l->note_at_ms > l->told_at_ms ? l->note_at_ms : l->told_at_ms;
    return l->state == SEND_LIVE && l->held > 0 && l->acked == l->held &&
           l->sent == l->held && l->want_first == 0 && told_ms != 0 &&
           l->head_at_ms > told_ms;
}

/* Gives the log a turn, or takes it, as its numbers now say. What was paced
 * and has become much waits no longer. */
static void settle(struct send *send, struct send_log *l)
{
    bool paced = l->queue == QUEUE_PACED;
    if (owes_head(l)) {
        l->told_at_ms = l->head_at_ms;
        l->want_first = l->want_last = l->held;
    }
    if (l->queue != QUEUE_NONE &&
        (!has_work(l) || (paced && queue_for(send, l) != QUEUE_PACED))) {
        take_out(send, l);
    }
    if (has_work(l) && l->queue == QUEUE_NONE) {
        put_last(send, l);
    }
}

/* Logs are put there in order of their growth, not of their last segment: one
 * may wait for those before it, never for longer than the pace. */
void send_at(struct send *send, int64_t now_ms)
{
    struct send_log *l;
    send->now_ms = now_ms;
    while ((l = send->queue[QUEUE_PACED].first) != NULL &&
           due_ms(send, l) <= now_ms) {
        take_out(send, l);
        put_last(send, l);
    }
}

int64_t send_due_ms(const struct send *send)
{
    const struct send_log *l = send->queue[QUEUE_PACED].first;
    return l != NULL ? due_ms(send, l) : 0;
}

static void release(struct send *send, struct send_log *l, uint64_t bytes)
{
    l->in_flight -= bytes;
    send->in_flight -= bytes;
}

/* What is under way of the log will not be acknowledged on this connection, or
 * does not matter any more. */
static void give_up(struct send *send, struct send_log *l)
{
    flow_dropped(&send->flow, l->in_flight);
    release(send, l, l->in_flight);
}

static void handed_over(struct send *send, struct send_log *l, uint64_t bytes)
{
    l->in_flight += bytes;
    send->in_flight += bytes;
    flow_sent(&send->flow, bytes, send->now_ms);
}

/* ---- events ---- */

void send_reset(struct send *send, uint64_t window)
{
    for (size_t i = 0; i < send->logs.count; i++) {
        struct send_log *l = send->logs.item[i];
        l->state = SEND_UNKNOWN;
        l->queue = QUEUE_NONE;
        l->next = NULL;
        l->sent = l->acked;
        l->there = 0;
        l->in_flight = 0;
        l->want_first = l->want_last = 0;
        l->note_size = 0;
        l->note_at_ms = 0;
        l->told_at_ms = 0;
        l->chain_print = 0;
        l->sent_at_ms = 0;
    }
    memset(send->queue, 0, sizeof send->queue);
    send->in_flight = 0;
    flow_begin(&send->flow, window);
}

void send_grew(struct send *send, const struct log_id *log, uint64_t size,
               bool all_told)
{
    struct send_log *l = send_find(send, log);
    if (l == NULL) {
        l = MEM_NEW(struct send_log);
        l->log = *log;
        logmap_insert(&send->logs, l);
    }
    if (size > l->held) {
        l->held = size;
    }
    if (l->state == SEND_UNKNOWN && all_told) {
        (void)send_have(send, log, SEND_NOTHING, 0);
    }
    if (l->state == SEND_AHEAD && l->held > l->acked) {
        /* The lost part came again from below; its origin is the same, so the
         * parent compares what overlaps by hash. */
        l->state = SEND_LIVE;
        l->sent = l->acked;
    }
    settle(send, l);
}

void send_signed(struct send *send, const struct log_id *log, int64_t here_ms,
                 int64_t there_ms)
{
    struct send_log *l = send_find(send, log);
    if (l != NULL) {
        l->head_at_ms = here_ms;
        l->told_at_ms = there_ms > l->told_at_ms ? there_ms : l->told_at_ms;
        settle(send, l);
    }
}

/* Offered again and stopped again, it stands still since the first time. */
static void halt(const struct send *send, struct send_log *l)
{
    l->state = SEND_STOPPED;
    if (l->stuck_at_ms == 0) {
        l->stuck_at_ms = send->now_ms > 0 ? send->now_ms : 1;
    }
}

static enum catch_up begin(struct send_log *l, uint64_t size)
{
    if (size > l->acked || size >= l->held) {
        l->stuck_at_ms = 0;
    }
    l->state = SEND_LIVE;
    l->acked = l->sent = size;
    if (size >= l->held) {
        l->full_goal = 0;
        return CATCH_NONE;
    }
    if (size == 0) {
        l->full_goal = l->held;
        return CATCH_FULL;
    }
    return size < l->full_goal ? CATCH_RESUMED : CATCH_INCREMENTAL;
}

bool send_named(struct send *send, const struct log_id *log, uint64_t size)
{
    struct send_log *l = send_find(send, log);
    if (l != NULL && l->held > 0) {
        return false;
    }
    if (l == NULL && send->heard < SEND_HEARD_MAX) {
        l = MEM_NEW(struct send_log);
        l->log = *log;
        l->heard_of = true;
        send->heard++;
        logmap_insert(&send->logs, l);
    }
    if (l != NULL) {
        (void)send_have(send, log, SEND_MORE, size);
    }
    return true;
}

bool send_arrived(struct send *send, const struct log_id *log)
{
    struct send_log *l = send_find(send, log);
    bool arrived = l != NULL && l->heard_of && l->held > 0;
    if (arrived) {
        l->heard_of = false;
        send->heard--;
    }
    return arrived;
}

enum catch_up send_have(struct send *send, const struct log_id *log,
                        enum send_verdict verdict, uint64_t size)
{
    struct send_log *l = send_find(send, log);
    if (l == NULL) {
        return CATCH_NONE;
    }
    enum catch_up kind = CATCH_NONE;
    l->era++;
    l->there = size;
    give_up(send, l);
    switch (l->barred ? SEND_REFUSED : verdict) {
    case SEND_NOTHING:
        kind = begin(l, 0);
        break;
    case SEND_PREFIX:
        kind = begin(l, size);
        break;
    case SEND_MORE:
        l->state = SEND_AHEAD;
        l->acked = l->sent = size;
        l->full_goal = 0;
        l->stuck_at_ms = 0;
        break;
    case SEND_REFUSED:
        halt(send, l);
        break;
    }
    settle(send, l);
    return kind;
}

bool send_acked(struct send *send, const struct log_id *log, uint64_t size,
                uint32_t held_ms)
{
    struct send_log *l = send_find(send, log);
    if (l == NULL) {
        return false;
    }
    if (l->state != SEND_LIVE || size <= l->acked) {
        return true; /* late, or only about the tiers above */
    }
    if (size > l->held && size > l->sent) {
        return size <= l->there;
    }
    if (size > l->sent) {
        /* What an older connection left in the parent's queue came through
         * meanwhile. */
        l->sent = size;
        settle(send, l);
    }
    /* Bytes are kept a log, not a segment: released in proportion, and all
     * with the last entry. */
    assert(l->sent > l->acked); /* for acked < size ≤ sent */
    uint64_t share = size == l->sent ? l->in_flight
                                     : l->in_flight * (size - l->acked) /
                                           (l->sent - l->acked);
    release(send, l, share);
    flow_acked(&send->flow, share, held_ms, send->now_ms);
    l->acked = size;
    l->stuck_at_ms = 0;
    if (size >= l->full_goal) {
        l->full_goal = 0;
    }
    settle(send, l);
    return true;
}

void send_stop(struct send *send, const struct log_id *log)
{
    struct send_log *l = send_find(send, log);
    if (l == NULL) {
        return;
    }
    give_up(send, l);
    halt(send, l);
    settle(send, l);
}

static uint64_t at_most(uint64_t n, uint64_t max)
{
    return n < max ? n : max;
}

void send_restored(struct send *send, const struct log_id *log, uint64_t size,
                   bool again)
{
    struct send_log *l = send_find(send, log);
    if (l == NULL) {
        return;
    }
    l->era++;
    give_up(send, l);
    l->held = size;
    l->full_goal = at_most(l->full_goal, size);
    if (l->state != SEND_AHEAD) {
        l->acked = at_most(l->acked, size);
    }
    l->sent = l->acked;
    l->want_first = l->want_last = 0;
    if (again && l->state == SEND_STOPPED && !l->barred) {
        l->state = SEND_LIVE;
        l->stuck_at_ms = 0;
    }
    settle(send, l);
}

void send_bar(struct send *send, const struct log_id *log)
{
    struct send_log *l = send_find(send, log);
    if (l != NULL) {
        l->barred = true;
        send_stop(send, log);
    }
}

void send_want(struct send *send, const struct log_id *log, uint64_t first,
               uint64_t last)
{
    struct send_log *l = send_find(send, log);
    if (l == NULL || first == 0 || first > last || last > l->sent ||
        last > l->held) {
        return;
    }
    l->want_first = first;
    l->want_last = last;
    settle(send, l);
}

bool send_next(struct send *send, struct send_job *job)
{
    struct send_log *tail = send->queue[QUEUE_TAIL].first;
    struct send_log *bulk = send->queue[QUEUE_BULK].first;
    bool yield = bulk != NULL && send->tail_turns >= TAIL_TURNS;
    struct send_log *l = tail != NULL && !yield ? tail : bulk;
    if (l == NULL || !flow_room(&send->flow, send->in_flight)) {
        return false;
    }
    bool again = l->want_first != 0;
    job->log = l->log;
    job->from = again ? l->want_first : l->sent + 1;
    job->last = again ? l->want_last : l->held;
    job->max_bytes = flow_segment(&send->flow, send->segment_bytes);
    job->era = l->era;
    return true;
}

bool send_unreadable(struct send *send, const struct send_job *job)
{
    const struct send_log *l = send_find(send, &job->log);
    if (l == NULL || l->era != job->era) {
        return false;
    }
    send_stop(send, &job->log);
    return true;
}

void send_sent(struct send *send, const struct send_job *job, uint64_t last,
               size_t bytes)
{
    struct send_log *l = send_find(send, &job->log);
    if (l == NULL || l->state != SEND_LIVE) {
        return; /* stopped while the segment was read */
    }
    if (l->want_first != 0 && job->from == l->want_first) {
        bool done = last >= l->want_last;
        l->want_first = done ? 0 : last + 1;
        l->want_last = done ? 0 : l->want_last;
    } else if (last > l->sent) {
        l->sent = last;
        l->held = last > l->held ? last : l->held;
        handed_over(send, l, bytes);
    }
    l->sent_at_ms = send->now_ms;
    if (l->queue != QUEUE_NONE) {
        send->tail_turns = l->queue == QUEUE_TAIL ? send->tail_turns + 1 : 0;
        take_out(send, l);
    }
    settle(send, l);
}

/* A message of a quick line below may be much for the one above: it goes in
 * smaller ones. */
static bool forwards(struct send *send, size_t bytes)
{
    return flow_room(&send->flow, send->in_flight) &&
           flow_fits(&send->flow, bytes);
}

bool send_forward(struct send *send, const struct log_id *log, uint64_t first,
                  uint64_t last, size_t bytes)
{
    struct send_log *l = send_find(send, log);
    if (l == NULL || l->state != SEND_LIVE || l->want_first != 0 ||
        l->sent + 1 != first || !forwards(send, bytes)) {
        return false;
    }
    l->sent = last;
    l->sent_at_ms = send->now_ms;
    handed_over(send, l, bytes);
    settle(send, l);
    return true;
}

void send_totals(const struct send *send, struct send_totals *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < send->logs.count; i++) {
        const struct send_log *l = send->logs.item[i];
        if (l->held > l->acked) {
            out->behind_entries += l->held - l->acked;
            out->behind_logs++;
        }
        out->stopped_logs += l->state == SEND_STOPPED;
    }
}

void send_stuck(const struct send *send, send_stuck_fn *fn, void *ctx)
{
    for (size_t i = 0; i < send->logs.count; i++) {
        const struct send_log *l = send->logs.item[i];
        if (l->stuck_at_ms != 0 && l->held > l->acked && !l->barred) {
            fn(ctx, &l->log, l->stuck_at_ms);
        }
    }
}
