/* Subscribe, the side that follows: directives of the authorities above. */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ticker.h"
#include "credit/listing.h"
#include "rpc/alarm.h"
#include "sync/again.h"
#include "sync/flow.h"
#include "sync/fresh.h"
#include "sync/hello.h"
#include "sync/intake.h"
#include "sync/link.h"
#include "sync/receipts.h"
#include "sync/source.h"
#include "sync/tails.h"

enum {
    STORE_WAIT_MS = 20, /* between two tries when the store is full */
    STALLED_MS = 10000,
    /* Nobody waits for an Ack while the parent has room: it goes when what came
     * is worth one, or behind the rush in which all nodes have a directive, and
     * of a flow of small ones once a second. */
    ACK_BYTES = FLOW_LEAST / 2,
    ACK_MS = 100,
    ACK_PACE_MS = 1000,
    /* To read on writes to the parent, too (HTTP/2 opens the window again), and
     * wakes it while all nodes share what a directive costs. So behind one that
     * came alone it waits as well. */
    ALONE_MS = 200,
    SMALL_BYTES = 2 << 10, /* a few directives, packed */
    READ_ON_MS = 100,
};

/* A log that was committed and is not acknowledged yet. */
struct owed {
    struct log_id log;
    uint64_t size;
    int64_t since_ms; /* its last entries were here */
};

struct line {
    struct follow *follow;
    bool greeted;              /* callbacks only */
    struct intake *intake;     /* callbacks only */
    struct flow_taken taken;   /* callbacks only */
    struct segment *rest;      /* callbacks only: verified on the poller */
    int64_t came_ms;           /* callbacks only: the last message did */
    struct rpc_stream *stream; /* follow.lock */
    bool dialing;              /* follow.lock: whoever opens it has it still */
    unsigned pending;   /* follow.lock: appends under way, and who looks */
    uint64_t ack_bytes; /* callbacks only until greeted: worth an Ack */
    struct owed owed[LISTS_LOGS_MAX]; /* follow.lock, as below */
    size_t owed_n;
    uint64_t owed_bytes;
    int64_t said_ms; /* when the last went; 0: none did */
    bool paused;     /* nothing is read before the alarm */
};

struct follow {
    const struct sync_env *env;
    struct follow_conf conf;
    struct rpc_channel *channel;
    struct feed *feed;
    struct ticker *ticker;
    struct ticker *retry;    /* asks again for what was refused */
    struct ticker *acks;     /* sends what is owed … */
    struct rpc_alarm *alarm; /* … as does this, what was met on the poller */
    struct again again;      /* of `retry` */
    pthread_mutex_t lock;    /* all below */
    pthread_cond_t idle;
    bool stopping;
    bool alarmed; /* the alarm is set, also for Acks at … */
    int64_t ack_at_ms;
    struct link link;
    int64_t deadline_at_ms;
    struct line *line; /* the current one, or NULL */
    unsigned lines;    /* not yet closed */
    struct tails tails;
    struct follow_status status;
};

static void feed_link(struct follow *f, struct line *line,
                      enum link_event_type type);
static void feed_event(struct follow *f, struct line *line,
                       struct link_event event);

static void note_failure(struct follow *f, const char *text)
{
    (void)pthread_mutex_lock(&f->lock);
    (void)snprintf(f->status.error, sizeof f->status.error, "%s", text);
    (void)pthread_mutex_unlock(&f->lock);
}

static void give_up(struct line *line, enum err err, const char *text)
{
    assert(line != NULL); /* nothing else can be out of turn */
    struct follow *f = line->follow;
    log_warn(f->env->log, "FOLLOW-PROTOCOL",
             "parent=%012llu err=%s text=\"%s\"",
             (unsigned long long)f->conf.parent_code, err_name(err), text);
    note_failure(f, text);
    feed_link(f, line, LINK_DEADLINE);
}

static void send_or_drop(struct line *line, struct buf *message)
{
    struct follow *f = line->follow;
    (void)pthread_mutex_lock(&f->lock);
    enum err err = f->line == line && line->stream != NULL
                       ? rpc_stream_send(line->stream, message)
                       : ERR_OK;
    (void)pthread_mutex_unlock(&f->lock);
    buf_fini(message);
    if (err == ERR_BUSY) {
        give_up(line, err, "the parent does not read what it is told");
    }
}

/* ---- Hello and Have ---- */

struct page {
    struct wire_log_have logs[LISTS_LOGS_MAX];
    size_t n;
    uint64_t self;
    struct lists_quota quota;
};

static bool add_have(void *ctx, const struct store_head *head)
{
    struct page *page = ctx;
    if (!head->own && listing_counts_at(head->log.origin, page->self) &&
        lists_quota_take(&page->quota, head->log.origin)) {
        page->logs[page->n++] = (struct wire_log_have){
            .log = head->log,
            .size = head->frontier.size,
            .root = head->root,
            .stopped = head->state == LOG_FORKED,
        };
    }
    return true;
}

static int by_log(const void *a, const void *b)
{
    const struct wire_log_have *x = a;
    const struct wire_log_have *y = b;
    return log_id_cmp(&x->log, &y->log);
}

static void send_have(struct line *line)
{
    const struct sync_env *env = line->follow->env;
    struct buf message = BUF_INIT;
    struct page *page = MEM_NEW(struct page);
    page->self = env->self.code;
    store_directives(env->store, add_have, page);
    qsort(page->logs, page->n, sizeof page->logs[0], by_log);
    wire_put_have(&message, page->logs, page->n, true);
    mem_free(page);
    send_or_drop(line, &message);
}

static void on_hello(struct line *line, const struct wire_hello *hello)
{
    struct follow *f = line->follow;
    struct errmsg why;
    enum err err =
        hello_check(f->env, hello, rpc_stream_peer(line->stream), &why);
    if (err != ERR_OK) {
        give_up(line, err, why.text);
        return;
    }
    line->ack_bytes =
        hello->window / 4 < ACK_BYTES ? hello->window / 4 : ACK_BYTES;
    line->greeted = true;
    send_have(line);
    feed_link(f, line, LINK_GREETED);
}

/* After the next greeting all are sent anyway. */
static bool send_receipt(void *ctx, struct buf *message)
{
    struct follow *f = ctx;
    (void)pthread_mutex_lock(&f->lock);
    struct line *line = f->line;
    bool up = line != NULL && line->stream != NULL &&
              f->link.state == UPLINK_STREAMING;
    enum err err = up ? rpc_stream_send(line->stream, message) : ERR_OK;
    (void)pthread_mutex_unlock(&f->lock);
    buf_fini(message);
    return err != ERR_BUSY;
}

/* ---- logs ---- */

static void stop_log(struct line *line, const struct log_id *log,
                     const char *id, const struct refusal *refusal)
{
    struct follow *f = line->follow;
    struct buf message = BUF_INIT;
    log_warn(f->env->log, id, "parent=%012llu text=\"%s\"",
             (unsigned long long)f->conf.parent_code, refusal->text);
    (void)pthread_mutex_lock(&f->lock);
    f->status.refused++;
    (void)snprintf(f->status.last_refusal, sizeof f->status.last_refusal,
                   "%.255s", refusal->text);
    (void)pthread_mutex_unlock(&f->lock);
    wire_put_stop(&message,
                  &(struct wire_stop){.log = *log,
                                      .number = refusal->number,
                                      .reason = slice_str(refusal->text)});
    send_or_drop(line, &message);
    ticker_at(f->retry, again_at(&f->again));
}

/* What is wrong here and now says nothing of the log: it is tried again, by a
 * new line. */
static void refused(struct line *line, const struct log_id *log, enum err err,
                    const struct refusal *refusal)
{
    if (err_is_passing(err)) {
        give_up(line, err, refusal->text);
    } else {
        stop_log(line, log,
                 refusal->disagree ? "FOLLOW-FORKED" : "FOLLOW-REFUSED",
                 refusal);
    }
}

/* What was here before the line is to be there as well; but not what came ahead
 * of the parent's own commit, which may have died with it. */
static void meet(struct follow *f, struct intake_log *l)
{
    uint64_t known = l->shown;
    l->met = true;
    (void)pthread_mutex_lock(&f->lock);
    l->shown = tails_sure(&f->tails, &l->log, known);
    (void)pthread_mutex_unlock(&f->lock);
    l->ahead = l->shown < known ? known : 0;
}

/* Behind what came of the log: what the parent has said to hold of it. */
static void note_tail(struct follow *f, struct intake_log *l)
{
    if (l->ahead == 0) {
        return;
    }
    (void)pthread_mutex_lock(&f->lock);
    tails_note(&f->tails, &l->log, l->shown, l->ahead);
    (void)pthread_mutex_unlock(&f->lock);
    l->ahead = l->shown < l->ahead ? l->ahead : 0;
}

/* The log, ready to take what comes; NULL: refused, now or before. */
static struct intake_log *log_of(struct line *line, const struct log_id *log)
{
    struct refusal refusal;
    struct intake_log *l;
    enum err err = intake_log(line->intake, log, &l, &refusal);
    if (err != ERR_OK && refusal.text[0] != 0) {
        refused(line, log, err, &refusal);
    }
    if (err == ERR_OK && !l->met) {
        meet(line->follow, l);
    }
    return err == ERR_OK ? l : NULL;
}

/* The signed head that is kept here goes to the parent, so that it can see for
 * itself. (One that came on this line may have been taken for newer since.) */
static void say_kept_head(struct line *line, const struct log_id *log)
{
    const struct sync_env *env = line->follow->env;
    struct store_head head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct buf message = BUF_INIT;
    if (source_head(env->store, trust_federation(env->trust), log, &head, &note,
                    &chain) == ERR_OK) {
        wire_put_follower_evidence(
            &message, &(struct wire_evidence){.log = *log,
                                              .note = buf_slice(&note),
                                              .chain = buf_slice(&chain)});
        send_or_drop(line, &message);
    }
    buf_fini(&note);
    buf_fini(&chain);
}

/* ---- segments ---- */

struct appending {
    struct line *line;
    uint64_t count;
    uint64_t bytes;
    struct checkpoint newest;
    int64_t since_ms; /* it waits for the store */
};

static void say_held(struct line *line, const struct log_id *log, uint64_t size,
                     int64_t held_ms)
{
    struct buf message = BUF_INIT;
    const struct wire_log_ack ack = {
        .log = *log, .size = size, .held_ms = (uint32_t)held_ms};
    wire_put_ack(&message, &ack, 1);
    send_or_drop(line, &message);
}

/* ---- what is owed ---- */

/* follow.lock held. */
static void owe(struct line *line, const struct log_id *log, uint64_t size,
                const struct appending *a)
{
    size_t i = 0;
    while (i < line->owed_n && !log_id_eq(&line->owed[i].log, log)) {
        i++;
    }
    if (i == LISTS_LOGS_MAX) {
        return; /* more logs than are taken: see intake_log() */
    }
    line->owed_n += i == line->owed_n;
    line->owed[i] = (struct owed){*log, size, a->since_ms};
    line->owed_bytes += a->bytes;
}

/* follow.lock held. */
static void put_owed(struct line *line, struct buf *message)
{
    struct wire_log_ack *acks = mem_zalloc(line->owed_n, sizeof *acks);
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < line->owed_n; i++) {
        const struct owed *o = &line->owed[i];
        acks[i].log = o->log;
        acks[i].size = o->size;
        acks[i].held_ms = (uint32_t)(now_ms - o->since_ms);
    }
    wire_put_ack(message, acks, line->owed_n);
    mem_free(acks);
    line->owed_n = 0;
    line->owed_bytes = 0;
    line->said_ms = now_ms;
}

/* follow.lock held. When what came just now is to be acknowledged. */
static int64_t ack_due_ms(const struct line *line)
{
    int64_t soon_ms = clock_mono_ms() + ACK_MS;
    int64_t next_ms = line->said_ms + ACK_PACE_MS;
    return line->said_ms != 0 && next_ms > soon_ms ? next_ms : soon_ms;
}

/* The line stays while this runs: who calls is among its pending. */
static void say_owed(struct line *line)
{
    struct follow *f = line->follow;
    struct buf message = BUF_INIT;
    (void)pthread_mutex_lock(&f->lock);
    bool any = line->owed_n > 0;
    if (any) {
        put_owed(line, &message);
    }
    (void)pthread_mutex_unlock(&f->lock);
    if (any) {
        send_or_drop(line, &message);
    }
}

/* Lock held. */
static void let_go(struct line *line)
{
    line->pending--;
    (void)pthread_cond_broadcast(&line->follow->idle);
}

/* The current line, among whose pending the caller is now; or NULL. Lock held.
 */
static struct line *hold(struct follow *f)
{
    if (f->line != NULL) {
        f->line->pending++;
    }
    return f->line;
}

static void say_owed_and_let_go(struct line *line)
{
    struct follow *f = line->follow;
    say_owed(line);
    (void)pthread_mutex_lock(&f->lock);
    let_go(line);
    (void)pthread_mutex_unlock(&f->lock);
}

static void on_acks(void *ctx)
{
    struct follow *f = ctx;
    (void)pthread_mutex_lock(&f->lock);
    struct line *line = hold(f);
    (void)pthread_mutex_unlock(&f->lock);
    if (line != NULL) {
        say_owed_and_let_go(line);
    }
}

/* Lock held. */
static void alarm_acks(struct follow *f)
{
    f->alarmed = true;
    f->ack_at_ms = ack_due_ms(f->line);
    rpc_alarm_at(f->alarm, f->ack_at_ms);
}

/* Lock held. */
static void read_on(struct line *line)
{
    if (line->paused && line->stream != NULL) {
        rpc_stream_read_on(line->stream);
    }
    line->paused = false;
}

/* What came on the poller and is not committed yet has its time again. */
static void on_alarm(void *ctx)
{
    struct follow *f = ctx;
    struct line *line = NULL;
    (void)pthread_mutex_lock(&f->lock);
    if (f->line != NULL) {
        read_on(f->line);
    }
    if (f->alarmed && clock_mono_ms() < f->ack_at_ms) {
        rpc_alarm_at(f->alarm, f->ack_at_ms);
    } else if (f->alarmed) {
        f->alarmed = false;
        if (f->line != NULL && f->line->pending > 0) {
            alarm_acks(f);
        }
        line = hold(f);
    }
    (void)pthread_mutex_unlock(&f->lock);
    if (line != NULL) {
        say_owed_and_let_go(line);
    }
}

/* On the poller: a segment is about to be committed. One that is worth an Ack
 * by itself needs no alarm. */
static void set_alarm(struct line *line, const struct segment *seg)
{
    struct follow *f = line->follow;
    (void)pthread_mutex_lock(&f->lock);
    bool small = line->owed_bytes + seg->blocks.len < line->ack_bytes;
    if (small && !f->alarmed && f->line == line) {
        alarm_acks(f);
    }
    (void)pthread_mutex_unlock(&f->lock);
}

/* On the poller, behind a small segment. Is it one that came alone? */
static bool pause_reading(struct line *line, int64_t now_ms)
{
    struct follow *f = line->follow;
    bool alone = now_ms - line->came_ms >= ALONE_MS;
    if (alone) {
        (void)pthread_mutex_lock(&f->lock);
        alone = f->line == line && !f->stopping;
        line->paused = alone;
        if (alone) {
            rpc_alarm_at(f->alarm, now_ms + READ_ON_MS);
        }
        (void)pthread_mutex_unlock(&f->lock);
    }
    return alone;
}

static void acknowledge(struct line *line, const struct log_id *log,
                        uint64_t size, const struct appending *a)
{
    struct follow *f = line->follow;
    (void)pthread_mutex_lock(&f->lock);
    bool first = line->owed_n == 0;
    owe(line, log, size, a);
    bool worth = line->owed_bytes >= line->ack_bytes;
    bool waits = !worth && first && !f->alarmed;
    int64_t due_ms = ack_due_ms(line);
    (void)pthread_mutex_unlock(&f->lock);
    if (worth) {
        say_owed(line);
    } else if (waits) {
        ticker_at(f->acks, due_ms);
    }
}

/* What was committed under its own newest head is fresh. */
static void note_fresh(struct follow *f, const struct checkpoint *newest,
                       uint64_t size)
{
    struct slice none = slice_of(NULL, 0);
    if (newest->size == size) {
        (void)fresh_came(f->env->fresh, newest, 0, none, none);
    }
}

static void on_appended(void *ctx, enum err err, const char *why,
                        const struct log_id *log, uint64_t size, uint64_t added)
{
    struct appending *a = ctx;
    struct line *line = a->line;
    struct follow *f = line->follow;
    (void)added;
    if (err == ERR_OK) {
        note_fresh(f, &a->newest, size);
        acknowledge(line, log, size, a);
    } else {
        give_up(line, err, why);
    }
    (void)pthread_mutex_lock(&f->lock);
    f->status.received_entries += err == ERR_OK ? a->count : 0;
    let_go(line);
    (void)pthread_mutex_unlock(&f->lock);
    mem_free(a);
}

static struct appending *
appending_new(struct line *line, const struct segment *seg, int64_t since_ms)
{
    struct follow *f = line->follow;
    struct appending *a = MEM_NEW(struct appending);
    *a = (struct appending){line, seg->count, seg->blocks.len, seg->newest,
                            since_ms};
    (void)pthread_mutex_lock(&f->lock);
    line->pending++;
    (void)pthread_mutex_unlock(&f->lock);
    return a;
}

static void append(struct line *line, struct segment *seg)
{
    struct follow *f = line->follow;
    struct log_id log = seg->log;
    struct appending *a =
        appending_new(line, seg, flow_take(&line->taken, clock_mono_ms()));
    int64_t give_up_at = clock_mono_ms() + STALLED_MS;
    enum err err;
    while ((err = store_append(f->env->store, &seg, on_appended, a)) ==
               ERR_BUSY &&
           clock_mono_ms() < give_up_at) {
        clock_sleep(STORE_WAIT_MS);
    }
    if (err != ERR_OK) {
        segment_free(&seg);
        on_appended(a, err, err_text(err), &log, 0, 0);
    }
    flow_through(&line->taken, clock_mono_ms());
}

/* While nothing can be written here, what comes waits above. Much at once, and
 * what comes faster than it is committed, goes on from the store: the commit is
 * little of what it takes, and a message for several costs all below less. What
 * begins a log too: `held` could not say that none of it is here. */
static void forward(struct follow *f, const struct segment *seg, uint64_t held)
{
    if (f->feed != NULL && seg->blocks.len <= SMALL_BYTES && held > 0 &&
        held + 1 == seg->first &&
        store_has_room(f->env->store, seg->blocks.len)) {
        feed_forward(f->feed, seg, held);
    }
}

static void on_segment(struct line *line, const struct wire_segment *m)
{
    struct intake_log *l = log_of(line, &m->log);
    struct segment *seg;
    struct refusal refusal;
    uint64_t held;
    if (l == NULL) {
        return;
    }
    enum err err = intake_segment(line->intake, l, m, &seg, &held, &refusal);
    if (err != ERR_OK && refusal.disagree) {
        say_kept_head(line, &l->log);
    }
    if (err != ERR_OK) {
        refused(line, &l->log, err, &refusal);
        return;
    }
    note_tail(line->follow, l);
    if (seg != NULL) {
        forward(line->follow, seg, held);
        append(line, seg);
    } else {
        say_held(line, &l->log, held, 0);
    }
}

/* Room was seen: this does not wait. */
static void append_now(struct line *line, struct segment *seg)
{
    struct log_id log = seg->log;
    struct appending *a = appending_new(line, seg, clock_mono_ms());
    enum err err =
        store_append_now(line->follow->env->store, &seg, on_appended, a);
    if (err != ERR_OK) {
        segment_free(&seg);
        on_appended(a, err, err_text(err), &log, 0, 0);
    }
}

/* ---- heads ---- */

/* The newest head here goes to the parent. */
static void say_head(struct line *line, const struct intake_log *l)
{
    struct buf message = BUF_INIT;
    wire_put_follower_evidence(
        &message, &(struct wire_evidence){.log = l->log,
                                          .note = buf_slice(&l->recv->note),
                                          .chain = buf_slice(&l->recv->chain)});
    send_or_drop(line, &message);
}

/* The parent's newest head is older than what it has shown on this line, or
 * than what was here before the line: it was put back, or withholds. What is
 * held here stays, and it is told what it lacks. */
static void parent_is_behind(struct line *line, struct intake_log *l,
                             uint64_t size)
{
    struct follow *f = line->follow;
    char log[LOG_ID_TEXT_MAX];
    if (l->behind) {
        return;
    }
    l->behind = true;
    log_id_format(&l->log, log);
    log_warn(f->env->log, "FOLLOW-ROLLBACK",
             "log=%s parent=%012llu offered=%llu held=%llu effect=\"what is "
             "held here stays\"",
             log, (unsigned long long)f->conf.parent_code,
             (unsigned long long)size,
             (unsigned long long)l->recv->newest.size);
    (void)pthread_mutex_lock(&f->lock);
    f->status.behind = true;
    (void)pthread_mutex_unlock(&f->lock);
    say_head(line, l);
}

/* Newer than any before, and of what is held. */
static void head_is_news(struct follow *f)
{
    (void)pthread_mutex_lock(&f->lock);
    f->status.behind = false;
    (void)pthread_mutex_unlock(&f->lock);
    if (f->feed != NULL) {
        feed_head_came(f->feed);
    }
}

static void on_head(struct line *line, const struct wire_evidence *m)
{
    struct follow *f = line->follow;
    struct intake_log *l = log_of(line, &m->log);
    struct checkpoint head;
    struct refusal refusal;
    uint64_t held;
    if (l == NULL) {
        return;
    }
    enum err err = intake_head(line->intake, l, m, &head, &held, &refusal);
    if (err == ERR_NOT_FOUND) {
        return;
    }
    if (err != ERR_OK && refusal.disagree) {
        say_kept_head(line, &l->log);
        intake_fork(line->intake, l, m->note, &refusal);
    }
    if (err != ERR_OK) {
        refused(line, &l->log, err, &refusal);
        return;
    }
    note_tail(f, l);
    if (head.size < l->shown) {
        parent_is_behind(line, l, head.size);
    } else if (head.size == held &&
               fresh_came(f->env->fresh, &head, 0, m->note, m->chain)) {
        head_is_news(f);
    }
}

/* ---- the connection ---- */

static bool is_current(struct line *line)
{
    struct follow *f = line->follow;
    (void)pthread_mutex_lock(&f->lock);
    bool current = f->line == line;
    (void)pthread_mutex_unlock(&f->lock);
    return current;
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    struct line *line = user;
    struct wire_message m;
    struct errmsg why;
    (void)s;
    if (!is_current(line)) {
        return;
    }
    line->came_ms = clock_mono_ms();
    enum err err = wire_get_feed(message, &m, &why);
    if (err == ERR_OK && line->greeted == (m.kind == WIRE_HELLO)) {
        err = err_set(&why, ERR_PROTOCOL, "Hello must come first, and once");
    }
    if (err != ERR_OK) {
        give_up(line, err, why.text);
    } else if (m.kind == WIRE_HELLO) {
        on_hello(line, &m.hello);
    } else if (m.kind == WIRE_SEGMENT) {
        on_segment(line, &m.segment);
    } else if (m.kind == WIRE_EVIDENCE) {
        on_head(line, &m.evidence);
    }
}

/* On the poller: waking a worker takes as long as the work. */
static enum rpc_at_once on_at_once(struct rpc_stream *s, void *user,
                                   struct slice message)
{
    struct line *line = user;
    struct wire_message m;
    struct errmsg why;
    (void)s;
    if (!line->greeted || !is_current(line) ||
        wire_get_feed(message, &m, &why) != ERR_OK || m.kind != WIRE_SEGMENT ||
        !store_has_room(line->follow->env->store, message.len)) {
        return RPC_TAKE_BACK;
    }
    struct intake_log *l;
    uint64_t held;
    struct segment *seg =
        intake_segment_now(line->intake, &m.segment, &l, &held);
    if (seg == NULL) {
        return RPC_TAKE_BACK;
    }
    note_tail(line->follow, l);
    forward(line->follow, seg, held);
    if (segment_has_keys(seg)) {
        line->rest = seg;
        return RPC_REST;
    }
    size_t len = seg->blocks.len;
    set_alarm(line, seg);
    append_now(line, seg);
    int64_t now_ms = clock_mono_ms();
    bool pause = len <= SMALL_BYTES && pause_reading(line, now_ms);
    line->came_ms = now_ms;
    return pause ? RPC_PAUSE : RPC_DONE;
}

static void on_rest(struct rpc_stream *s, void *user)
{
    struct line *line = user;
    struct segment *seg = line->rest;
    (void)s;
    line->rest = NULL;
    append(line, seg);
}

static void on_open(struct rpc_stream *s, void *user)
{
    struct line *line = user;
    (void)pthread_mutex_lock(&line->follow->lock);
    line->stream = s;
    (void)pthread_mutex_unlock(&line->follow->lock);
    feed_link(line->follow, line, LINK_OPENED);
}

static void line_free(struct line *line)
{
    intake_free(&line->intake);
    mem_free(line);
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct line *line = user;
    struct follow *f = line->follow;
    (void)s;
    if (is_current(line)) {
        note_failure(f, text);
        log_info(f->env->log, "FOLLOW-LOST",
                 "parent=%012llu err=%s text=\"%s\"",
                 (unsigned long long)f->conf.parent_code, err_name(err), text);
        feed_event(
            f, line,
            (struct link_event){.type = LINK_CLOSED,
                                .elsewhere = err == ERR_ELSEWHERE,
                                .retry_after_ms = wire_retry_after_ms(text)});
    }
    (void)pthread_mutex_lock(&f->lock);
    /* The link takes no such event while it stops. */
    f->line = f->line == line ? NULL : f->line;
    line->stream = NULL;
    while (line->pending > 0 || line->dialing) {
        (void)pthread_cond_wait(&f->idle, &f->lock);
    }
    (void)pthread_mutex_unlock(&f->lock);
    line_free(line);
    (void)pthread_mutex_lock(&f->lock);
    f->lines--;
    (void)pthread_cond_broadcast(&f->idle);
    (void)pthread_mutex_unlock(&f->lock);
}

static const struct rpc_stream_ops follow_ops = {
    .open = on_open,
    .message = on_message,
    .closed = on_closed,
    .at_once = on_at_once,
    .rest = on_rest,
};

/* ---- what the link asks for ---- */

static void dial(struct follow *f)
{
    struct line *line = MEM_NEW(struct line);
    line->follow = f;
    line->dialing = true;
    line->intake = intake_new(f->env);
    (void)pthread_mutex_lock(&f->lock);
    bool wanted =
        f->link.state == UPLINK_DIALING && f->line == NULL && !f->stopping;
    if (wanted) {
        f->line = line;
        f->lines++;
    }
    (void)pthread_mutex_unlock(&f->lock);
    if (!wanted) {
        line_free(line);
        return;
    }
    struct rpc_stream *stream = NULL;
    enum err err = rpc_stream_open(&stream, f->channel, SYNC_SUBSCRIBE,
                                   &follow_ops, line, 0);
    (void)pthread_mutex_lock(&f->lock);
    if (line->stream == NULL) {
        line->stream = stream;
    }
    line->dialing = false;
    if (stream != NULL && f->line != line) {
        rpc_stream_finish(stream, ERR_CANCELLED, "hung up");
    }
    (void)pthread_cond_broadcast(&f->idle);
    (void)pthread_mutex_unlock(&f->lock);
    if (err != ERR_OK) {
        on_closed(NULL, line, err, err_text(err));
    }
}

/* Lock held. Its closed callback needs the lock to get past this. */
static void hang_up(struct follow *f, bool closed)
{
    struct line *line = f->line;
    f->line = NULL;
    if (line != NULL && line->stream != NULL && !closed) {
        rpc_stream_finish(line->stream, ERR_CANCELLED, "hung up");
    }
}

/* Lock held. */
static void arm(struct follow *f)
{
    uint32_t in_ms = f->link.deadline_ms;
    f->deadline_at_ms = in_ms == 0 ? 0 : clock_mono_ms() + in_ms;
    if (in_ms != 0) {
        ticker_at(f->ticker, f->deadline_at_ms);
    }
}

static void say_hello(struct line *line)
{
    struct buf message = BUF_INIT;
    assert(line != NULL); /* only an opened one leads here */
    hello_put(line->follow->env, 0, &message);
    send_or_drop(line, &message);
}

static void feed_event(struct follow *f, struct line *line,
                       struct link_event event)
{
    enum link_event_type type = event.type;
    unsigned todo = 0;
    suite_random(&event.random, sizeof event.random);
    (void)pthread_mutex_lock(&f->lock);
    bool old = line != NULL && line != f->line;
    bool late = f->stopping && type != LINK_STOP;
    enum err err = old || late ? ERR_OK : link_step(&f->link, &event, &todo);
    if ((todo & LINK_HANG_UP) != 0) {
        hang_up(f, type == LINK_CLOSED);
    }
    if ((todo & LINK_ARM) != 0) {
        arm(f);
    }
    if (f->status.state != f->link.state) {
        f->status.state = f->link.state;
        f->status.since_ms = clock_wall_ms();
    }
    (void)pthread_mutex_unlock(&f->lock);
    if (err != ERR_OK) {
        give_up(line, err, "a message out of turn");
    }
    if ((todo & LINK_DIAL) != 0) {
        dial(f);
    }
    if ((todo & LINK_HELLO) != 0) {
        say_hello(line);
    }
    if ((todo & LINK_SERVE) != 0) {
        receipts_connect(f->env->receipts, send_receipt, f);
        log_info(f->env->log, "FOLLOW-UP", "parent=%012llu",
                 (unsigned long long)f->conf.parent_code);
    }
}

static void feed_link(struct follow *f, struct line *line,
                      enum link_event_type type)
{
    feed_event(f, line, (struct link_event){.type = type});
}

static void on_tick(void *ctx)
{
    struct follow *f = ctx;
    (void)pthread_mutex_lock(&f->lock);
    int64_t at = f->deadline_at_ms;
    bool due = at != 0 && at <= clock_mono_ms();
    if (due) {
        f->deadline_at_ms = 0;
    }
    (void)pthread_mutex_unlock(&f->lock);
    if (due) {
        feed_link(f, NULL, LINK_DEADLINE);
    } else if (at != 0) {
        ticker_at(f->ticker, at);
    }
}

/* What was refused comes again with a new stream. */
static void on_retry(void *ctx)
{
    struct follow *f = ctx;
    (void)pthread_mutex_lock(&f->lock);
    bool serving = f->link.state == UPLINK_STREAMING;
    (void)pthread_mutex_unlock(&f->lock);
    again_tried(&f->again);
    if (serving) {
        log_info(f->env->log, "FOLLOW-RETRY", "parent=%012llu",
                 (unsigned long long)f->conf.parent_code);
        feed_link(f, NULL, LINK_RESTART);
    }
}

/* ---- public ---- */

struct follow *follow_start(const struct sync_env *env,
                            struct rpc_channel *channel, struct feed *feed,
                            const struct follow_conf *conf)
{
    struct follow *f = MEM_NEW(struct follow);
    f->env = env;
    f->conf = *conf;
    f->channel = channel;
    f->feed = feed;
    f->status.since_ms = clock_wall_ms();
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_cond_init(&f->idle, NULL);
    link_init(&f->link, &(struct link_conf){
                            .dialing_ms = conf->dialing_ms,
                            .greeting_ms = conf->greeting_ms,
                            .backoff_min_ms = conf->backoff_min_ms,
                            .backoff_max_ms = conf->backoff_max_ms,
                        });
    f->ticker = ticker_new(env->loop, on_tick, f);
    f->retry = ticker_new(env->loop, on_retry, f);
    f->acks = ticker_new(env->loop, on_acks, f);
    f->alarm = rpc_alarm_new(env->rpc, on_alarm, f);
    feed_link(f, NULL, LINK_START);
    return f;
}

void follow_stop(struct follow **follow)
{
    struct follow *f = *follow;
    *follow = NULL;
    if (f == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&f->lock);
    f->stopping = true;
    (void)pthread_mutex_unlock(&f->lock);
    feed_link(f, NULL, LINK_STOP);
    (void)pthread_mutex_lock(&f->lock);
    while (f->lines > 0) {
        (void)pthread_cond_wait(&f->idle, &f->lock);
    }
    (void)pthread_mutex_unlock(&f->lock);
    receipts_connect(f->env->receipts, NULL, NULL);
    ticker_free(&f->ticker);
    ticker_free(&f->retry);
    ticker_free(&f->acks);
    rpc_alarm_free(&f->alarm);
    (void)pthread_cond_destroy(&f->idle);
    (void)pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

void follow_reconnect(struct follow *follow)
{
    feed_link(follow, NULL, LINK_RESTART);
}

void follow_status(struct follow *follow, struct follow_status *out)
{
    (void)pthread_mutex_lock(&follow->lock);
    *out = follow->status;
    (void)pthread_mutex_unlock(&follow->lock);
}
