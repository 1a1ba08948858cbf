#include <string.h>

#include "base/mem.h"
#include "pure/impl.h"

enum { FRAMING = 200 }; /* what a message has beside its blocks, about */

bool is_own(const struct host *h, const struct log_id *log)
{
    return log->origin == h->w->fed->node[h->node].code;
}

/* ---- the connection ---- */

static void dial(struct host *h)
{
    struct world *w = h->w;
    struct conn *c = MEM_NEW(struct conn);
    *c = (struct conn){.id = ++w->ids,
                       .child = h,
                       .parent = parent_of(h),
                       .open_below = true,
                       .next = w->conns};
    w->conns = c;
    h->conn = c;
    h->greeted = h->paged = h->all_told = false;
    h->paged_to = (struct log_id){.origin = 0};
    if (c->parent->up && !h->cut) {
        post_by(c, true, EV_DIAL, NULL);
    } else if (!h->cut) {
        post_by(c, false, EV_CLOSE, NULL); /* the machine refuses */
    }
}

static void hang_up(struct host *h, bool tell)
{
    struct conn *c = h->conn;
    h->conn = NULL;
    send_reset(&h->send, 0);
    if (c != NULL) {
        c->open_below = false;
        if (tell) {
            post_by(c, true, EV_CLOSE, NULL);
        }
    }
}

static void arm(struct host *h)
{
    h->deadline = ++h->w->ids;
    h->heard_at_ms = h->w->now_ms;
    if (h->link.deadline_ms != 0) {
        post_self(h, EV_DEADLINE, h->link.deadline_ms, h->deadline);
    }
}

static void step(struct host *h, struct link_event ev)
{
    unsigned todo = 0;
    enum uplink_state from = h->link.state;
    ev.random = (uint32_t)rng_next(&h->rng);
    enum err err = link_step(&h->link, &ev, &todo);
    if (h->link.state != from) {
        say(h, "uplink %s", uplink_state_name(h->link.state));
    }
    if ((todo & LINK_HANG_UP) != 0) {
        hang_up(h, ev.type != LINK_CLOSED);
    }
    if ((todo & LINK_ARM) != 0) {
        arm(h);
    }
    if (err != ERR_OK) {
        broken(h, "in-turn", NULL, 0, "event %d in state %s", (int)ev.type,
               uplink_state_name(from));
    }
    if ((todo & LINK_DIAL) != 0) {
        dial(h);
    }
    if ((todo & LINK_HELLO) != 0) {
        post_by(h->conn, true, EV_HELLO, NULL);
    }
}

void up_feed(struct host *h, enum link_event_type type)
{
    step(h, (struct link_event){.type = type});
}

void up_start(struct host *h)
{
    const struct link_conf conf = {.dialing_ms = 10000,
                                   .greeting_ms = 10000,
                                   .silence_ms = SILENCE_MS,
                                   .backoff_min_ms = 50,
                                   .backoff_max_ms = 30000};
    link_init(&h->link, &conf);
    send_init(&h->send, SEGMENT_BYTES, PACE_MS);
    h->pace_at_ms = 0;
    h->retry_armed = false;
    for (size_t i = 0; i < h->disk.logs.count; i++) {
        const struct disk_log *l = h->disk.logs.item[i];
        if (l->state != LOG_ABSENT) {
            send_grew(&h->send, &l->log, l->frontier.size, false);
        }
        if (l->state == LOG_FORKED) {
            send_bar(&h->send, &l->log);
        }
    }
    if (parent_of(h) != NULL) {
        up_feed(h, LINK_START);
    }
}

void up_stop(struct host *h)
{
    hang_up(h, true);
    send_fini(&h->send);
}

void up_deadline(struct host *h, uint64_t token)
{
    if (h->deadline != token ||
        (planted(h->w, PLANT_DEAF) && h->link.state == UPLINK_STREAMING)) {
        return;
    }
    up_feed(h, LINK_DEADLINE);
}

void up_opened(struct host *h, struct conn *c)
{
    (void)c;
    up_feed(h, LINK_OPENED);
}

void up_hello(struct host *h, struct conn *c)
{
    (void)c;
    h->greeted = true;
    send_reset(&h->send, planted(h->w, PLANT_NO_WINDOW) ? 100 * WINDOW_BYTES
                                                        : WINDOW_BYTES);
}

void up_retry_later(struct host *h)
{
    if (!h->retry_armed) {
        h->retry_armed = true;
        post_self(h, EV_RETRY, RETRY_STOPPED_MS, 0);
    }
}

/* ---- Have ---- */

void up_evidence(struct host *h, struct disk_log *l, struct slice note)
{
    struct buf message = BUF_INIT;
    if (h->conn == NULL || !h->greeted) {
        return;
    }
    wire_put_evidence(&message, &(struct wire_evidence){
                                    .log = l->log,
                                    .note = note,
                                    .chain = l->chain,
                                });
    post_by(h->conn, true, EV_MESSAGE, &message);
}

/* Of two heads that contradict each other the parent is told of the one that
 * its copy contradicts. */
static void tell_fork(struct host *h, struct disk_log *l,
                      const struct wire_log_have *have)
{
    struct tree_view view = disk_view(l);
    struct hash root;
    struct checkpoint other;
    bool known = have->size <= l->frontier.size &&
                 tree_root(&view, have->size, &root) == ERR_OK;
    bool ours = known && hash_eq(&root, &have->root);
    bool proven =
        l->fork_note.len > 0 &&
        checkpoint_parse(l->fork_note, trust_federation(h->w->fed->trust),
                         &other) == ERR_OK &&
        log_id_eq(&other.log, &l->log);
    bool theirs =
        proven && other.size == have->size && hash_eq(&other.root, &have->root);
    if (!ours && (known || theirs)) {
        up_evidence(h, l, l->note);
    } else if (ours && proven && other.size <= have->size) {
        up_evidence(h, l, l->fork_note);
    }
}

static enum send_verdict differs(struct host *h, struct disk_log *l)
{
    say(h, "sees another copy above");
    if (is_own(h, &l->log)) {
        h->rolled_back = true;
        recover_log(h, &l->log);
    } else {
        up_evidence(h, l, l->note);
    }
    return SEND_REFUSED;
}

static enum send_verdict judge(struct host *h, struct disk_log *l,
                               const struct wire_log_have *have)
{
    struct hash root = l->root;
    if (have->stopped || l->state == LOG_FORKED) {
        if (!have->stopped && have->size > 0) {
            tell_fork(h, l, have);
        }
        return SEND_REFUSED;
    }
    if (have->size == 0) {
        return SEND_NOTHING;
    }
    if (have->size > l->frontier.size) {
        h->rolled_back = h->rolled_back || is_own(h, &l->log);
        if (planted(h->w, PLANT_NO_SUCCESSOR) && is_own(h, &l->log)) {
            return SEND_NOTHING;
        }
        recover_log(h, &l->log);
        return SEND_MORE;
    }
    struct tree_view view = disk_view(l);
    if (tree_root(&view, have->size, &root) != ERR_OK) {
        broken(h, "roots", &l->log, have->size, "its tree cannot be read");
    }
    return hash_eq(&root, &have->root) ? SEND_PREFIX : differs(h, l);
}

static void on_log_have(struct host *h, const struct wire_log_have *have)
{
    struct disk_log *l = disk_find(&h->disk, &have->log);
    truth_promised(parent_of(h), &have->log, have->size);
    if (l == NULL && have->size == 0) {
        return;
    }
    if (l == NULL && is_own(h, &have->log)) {
        recover_log(h, &have->log);
        return;
    }
    if (l == NULL) {
        (void)send_named(&h->send, &have->log, have->size);
        return;
    }
    enum send_verdict verdict = judge(h, l, have);
    (void)send_have(&h->send, &have->log, verdict, have->size);
    send_signed(&h->send, &have->log, l->newest.at_ms,
                (int64_t)have->signed_ms);
}

static void begin_unnamed(struct host *h, const struct log_id *from,
                          const struct log_id *to)
{
    const struct logmap *logs = &h->send.logs;
    for (size_t i = logmap_lower(logs, from); i < logs->count; i++) {
        const struct send_log *l = logs->item[i];
        if (to != NULL && log_id_cmp(&l->log, to) > 0) {
            break;
        }
        if (l->state == SEND_UNKNOWN && !l->heard_of) {
            (void)send_have(&h->send, &l->log, SEND_NOTHING, 0);
        }
    }
}

/* An interrupted pull goes on. */
static void settle_own(struct host *h)
{
    for (size_t i = 0; i < h->disk.logs.count; i++) {
        const struct disk_log *l = h->disk.logs.item[i];
        if (l->own && l->state == LOG_PULLING) {
            recover_log(h, &l->log);
        }
    }
}

static void on_have(struct host *h, const struct wire_have *have)
{
    struct wire_log_have item = {.size = 0};
    struct wire_iter it = wire_iter_of(&have->logs);
    struct slice bytes;
    struct log_id from = h->paged_to;
    const struct log_id none = {.origin = 0};
    bool first = !h->paged;
    bool told = have->last && !h->all_told;
    while (wire_next(&it, &bytes)) {
        wire_log_have_get(bytes, &item);
        on_log_have(h, &item);
        h->paged_to = item.log;
    }
    if (!h->all_told) {
        begin_unnamed(h, have->last ? &none : &from,
                      have->last ? NULL : &h->paged_to);
    }
    h->paged = true;
    h->all_told = h->all_told || have->last;
    if (told) {
        settle_own(h);
    }
    if (first) {
        up_feed(h, LINK_GREETED);
    }
}

/* ---- Ack, Stop ---- */

static void on_ack(struct host *h, const struct wire_ack *ack)
{
    struct wire_iter it = wire_iter_of(&ack->logs);
    struct slice bytes;
    struct wire_log_ack item;
    while (wire_next(&it, &bytes)) {
        wire_log_ack_get(bytes, &item);
        truth_promised(parent_of(h), &item.log, item.size);
        if (send_find(&h->send, &item.log) != NULL &&
            !send_acked(&h->send, &item.log, item.size, item.held_ms)) {
            say(h, "is told of more than its log has");
            up_feed(h, LINK_DEADLINE);
            return;
        }
    }
}

static void weigh_head(struct host *h, const struct wire_stop *stop)
{
    struct disk_log *l = disk_find(&h->disk, &stop->log);
    struct store_head *head = MEM_NEW(struct store_head);
    struct errmsg why;
    if (l == NULL) {
        mem_free(head);
        return;
    }
    struct recv_log *log = recv_log_new(&stop->log);
    struct tree_view view = disk_view(l);
    struct checkpoint theirs;
    struct refusal refusal = {.disagree = false};
    head->frontier = l->frontier;
    head->newest = l->newest;
    enum err err =
        recv_log_load(log, h->w->fed->trust, head, l->note, l->chain, &why);
    if (err == ERR_OK) {
        err = recv_note(h->recv, log, stop->note, slice_of(NULL, 0), &view,
                        h->w->fed->now_ms, &theirs, &refusal);
    }
    bool later = err == ERR_OK && theirs.size > l->frontier.size;
    if ((later || refusal.disagree) && is_own(h, &stop->log)) {
        recover_log(h, &stop->log);
    } else if (err != ERR_OK && refusal.disagree) {
        disk_fork(h, l, stop->note, refusal.text);
        up_grew(h, &stop->log);
    }
    recv_log_free(&log);
    mem_free(head);
}

static void on_stop(struct host *h, const struct wire_stop *stop)
{
    say(h, "is told to stop a log: %.*s", (int)stop->reason.len,
        (const char *)stop->reason.data);
    send_stop(&h->send, &stop->log);
    up_retry_later(h);
    if (stop->note.len > 0) {
        weigh_head(h, stop);
    }
}

void up_message(struct host *h, struct conn *c, struct slice bytes)
{
    struct wire_message m;
    struct errmsg why = {"it has not greeted yet"};
    if (!h->greeted || wire_get_parent(bytes, &m, &why) != ERR_OK) {
        broken(h, "in-turn", NULL, 0, "a parent's message: %.100s", why.text);
        return;
    }
    if (m.kind == WIRE_HAVE) {
        on_have(h, &m.have);
    } else if (m.kind == WIRE_ACK) {
        on_ack(h, &m.ack);
    } else if (m.kind == WIRE_STOP) {
        on_stop(h, &m.stop);
    }
    if (h->conn == c && h->link.state == UPLINK_STREAMING) {
        step(h, (struct link_event){.type = LINK_MESSAGE,
                                    .in_flight = h->send.in_flight > 0});
    }
    up_pump(h);
}

/* ---- what goes up ---- */

static void note_sent(struct host *h, struct send_log *l,
                      const struct checkpoint *head)
{
    unsigned todo;
    l->note_size = head->size;
    l->note_at_ms = head->at_ms;
    l->chain_print = 1;
    link_owed(&h->link, h->send.in_flight > 0, &todo);
    if ((todo & LINK_ARM) != 0) {
        arm(h);
    }
    if (h->send.in_flight > WINDOW_BYTES + 4 * SEGMENT_BYTES) {
        broken(h, "bounded", &l->log, l->sent,
               "%llu bytes in flight, the window is %d",
               (unsigned long long)h->send.in_flight, WINDOW_BYTES);
    }
}

/* Note and chain may be empty: as before. */
void up_put_segment(struct host *h, const struct log_id *log,
                    const struct run *run, struct slice note,
                    struct slice chain)
{
    struct buf message = BUF_INIT;
    struct wire_segment_out out = {.log = *log,
                                   .blocks = &run->blocks,
                                   .refs = run->refs,
                                   .refs_count = run->refs_count,
                                   .note = note,
                                   .bridge = buf_slice(&run->bridge),
                                   .chain = chain};
    wire_put_segment(&message, &out);
    post_by(h->conn, true, EV_MESSAGE, &message);
}

/* What may be planted here. */
static void spoil(struct host *h, const struct log_id *log, struct run *run)
{
    if (planted(h->w, PLANT_DROP_BLOCK) && run->refs_count > 1) {
        run->refs_count--;
        run->blocks.len -= run->refs[run->refs_count].len;
    }
    if (planted(h->w, PLANT_ACKED_UNSEEN) &&
        !send_acked(&h->send, log, run->end, 0)) {
        say(h, "cannot believe it");
    }
}

/* One segment. False: nothing to send, or it waits for a commit. */
static bool pump_one(struct host *h)
{
    struct send_job job;
    struct run run;
    const struct slice none = slice_of(NULL, 0);
    if (!send_next(&h->send, &job)) {
        return false;
    }
    struct disk_log *l = disk_find(&h->disk, &job.log);
    struct send_log *s = send_find(&h->send, &job.log);
    if (l == NULL || job.from > l->frontier.size) {
        say(h, "cannot read entry %llu", (unsigned long long)job.from);
        if (send_unreadable(&h->send, &job)) {
            up_retry_later(h);
        }
        return true;
    }
    if (s->note_size > l->newest.size) {
        return false; /* forwarded, its commit is still to come */
    }
    run_read(h->w, l, job.from, job.last, job.max_bytes, &run);
    size_t bytes = run.blocks.len + FRAMING;
    bool news =
        s->note_size != l->newest.size || s->note_at_ms != l->newest.at_ms;
    send_sent(&h->send, &job, run.end, bytes);
    spoil(h, &job.log, &run);
    if (lie_about(h, &run)) {
        up_put_segment(h, &job.log, &run, news ? l->note : none,
                       news ? l->chain : none);
    }
    note_sent(h, s, &l->newest);
    run_fini(&run);
    return true;
}

void up_pump(struct host *h)
{
    unsigned turns = 0;
    if (!h->up || h->conn == NULL || !h->paged ||
        h->link.state != UPLINK_STREAMING) {
        return;
    }
    send_at(&h->send, h->w->now_ms);
    while (turns++ < 1000 && pump_one(h)) {
    }
    int64_t due = send_due_ms(&h->send);
    if (due > h->w->now_ms && h->pace_at_ms == 0) {
        h->pace_at_ms = due;
        post_self(h, EV_PACE, (uint32_t)(due - h->w->now_ms), 0);
    }
}

void up_grew(struct host *h, const struct log_id *log)
{
    struct disk_log *l = disk_find(&h->disk, log);
    if (l == NULL) {
        return;
    }
    send_grew(&h->send, log, l->frontier.size, h->conn != NULL && h->all_told);
    send_signed(&h->send, log, l->newest.at_ms, 0);
    const struct send_log *s = send_find(&h->send, log);
    if (send_arrived(&h->send, log)) {
        recover_log(h, log);
    }
    if (l->state == LOG_FORKED) {
        uint64_t acked = !s->barred && s->state == SEND_LIVE ? s->acked : 0;
        struct wire_log_have have = {
            .log = *log,
            .size = acked < l->frontier.size ? acked : l->frontier.size};
        struct tree_view view = disk_view(l);
        send_bar(&h->send, log);
        if (acked > 0 && tree_root(&view, have.size, &have.root) == ERR_OK) {
            tell_fork(h, l, &have);
        }
    }
}

void up_forward(struct host *h, const struct segment *seg)
{
    const struct slice none = slice_of(NULL, 0);
    struct run run = {.refs_count = 0};
    if (h->conn == NULL || !h->paged || h->lie != LIE_NONE ||
        h->link.state != UPLINK_STREAMING || seg->refs[0].first != seg->first ||
        seg->refs_count > ARRAY_LEN(run.refs)) {
        return;
    }
    send_at(&h->send, h->w->now_ms);
    if (!send_forward(&h->send, &seg->log, seg->first,
                      seg->first + seg->count - 1, seg->blocks.len + FRAMING)) {
        return;
    }
    struct send_log *s = send_find(&h->send, &seg->log);
    bool news =
        s->note_size != seg->newest.size || s->note_at_ms != seg->newest.at_ms;
    buf_put_slice(&run.blocks, buf_slice(&seg->blocks));
    memcpy(run.refs, seg->refs, seg->refs_count * sizeof run.refs[0]);
    run.refs_count = seg->refs_count;
    if (seg->bridge.n > 0) {
        bridge_put(&run.bridge, &seg->bridge);
    }
    up_put_segment(h, &seg->log, &run, news ? buf_slice(&seg->note) : none,
                   news ? buf_slice(&seg->chain) : none);
    note_sent(h, s, &seg->newest);
    run_fini(&run);
}

void up_restored(struct host *h, const struct log_id *log, bool ended)
{
    struct disk_log *l = disk_find(&h->disk, log);
    if (l != NULL && l->state == LOG_FORKED) {
        up_evidence(h, l, l->note);
    }
    if (l != NULL && is_own(h, log)) {
        send_restored(&h->send, log, l->frontier.size, ended);
    }
    up_grew(h, log);
    up_grew(h, &h->disk.own);
    up_pump(h);
}
