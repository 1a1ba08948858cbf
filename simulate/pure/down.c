#include <string.h>

#include "base/mem.h"
#include "pure/impl.h"

enum { PAGE_LOGS = 5, FETCH_BYTES = 4000 };

unsigned child_place(const struct world *w, int child)
{
    unsigned place = 0;
    for (int i = 0; i < child; i++) {
        place += w->fed->node[i].parent == w->fed->node[child].parent;
    }
    return place;
}

unsigned child_count(const struct world *w, int node)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->fed->nodes; i++) {
        n += w->fed->node[i].parent == node;
    }
    return n;
}

/* ---- streams ---- */

static void let_go(struct inflow *in)
{
    for (size_t i = 0; i < in->logs.count; i++) {
        struct in_log *il = in->logs.item[i];
        recv_log_free(&il->recv);
    }
    logmap_free_all(&in->logs);
    recv_free(&in->recv);
    if (in->conn != NULL) {
        in->conn->open_above = false;
    }
    *in = (struct inflow){.conn = NULL};
}

static struct inflow *inflow_of(struct host *h, const struct conn *c)
{
    return &h->inflow[child_place(h->w, c->child->node)];
}

/* Ends the stream and says so. */
static void hang_up(struct host *h, struct inflow *in, const char *why)
{
    say(h, "ends a child's stream: %s", why);
    post_by(in->conn, false, EV_CLOSE, NULL);
    let_go(in);
}

void down_dial(struct host *h, struct conn *c)
{
    struct inflow *in = inflow_of(h, c);
    if (in->conn != NULL) {
        hang_up(h, in, "it opened another");
    }
    c->open_above = true;
    *in = (struct inflow){.conn = c,
                          .recv = recv_new(h->w->fed->trust, LOG_RECORDS)};
    post_by(c, false, EV_OPENED, NULL);
}

void down_closed(struct host *h, struct conn *c)
{
    struct inflow *in = inflow_of(h, c);
    if (in->conn == c) {
        let_go(in);
    }
}

void down_stop(struct host *h)
{
    for (unsigned i = 0; i < child_count(h->w, h->node); i++) {
        if (h->inflow[i].conn != NULL) {
            post_by(h->inflow[i].conn, false, EV_CLOSE, NULL);
        }
        let_go(&h->inflow[i]);
    }
    mem_free(h->inflow);
    h->inflow = NULL;
}

static bool may_send(const struct host *h, int child, const struct log_id *log)
{
    int origin = fed_find(h->w->fed, log->origin);
    return origin >= 0 && fed_covers(h->w->fed, child, origin);
}

static void send_haves(struct host *h, struct conn *c)
{
    struct wire_log_have page[PAGE_LOGS];
    size_t n = 0;
    struct buf message = BUF_INIT;
    for (size_t i = 0; i < h->disk.logs.count; i++) {
        const struct disk_log *l = h->disk.logs.item[i];
        if (l->state == LOG_ABSENT || !may_send(h, c->child->node, &l->log)) {
            continue;
        }
        if (n == PAGE_LOGS) {
            wire_put_have(&message, page, n, false);
            post_by(c, false, EV_MESSAGE, &message);
            n = 0;
        }
        page[n++] =
            (struct wire_log_have){.log = l->log,
                                   .size = l->frontier.size,
                                   .root = l->root,
                                   .stopped = l->state == LOG_FORKED,
                                   .signed_ms = (uint64_t)l->newest.at_ms};
    }
    wire_put_have(&message, page, n, true);
    post_by(c, false, EV_MESSAGE, &message);
}

void down_hello(struct host *h, struct conn *c)
{
    if (planted(h->w, PLANT_HASTY)) {
        send_haves(h, c);
    }
    post_by(c, false, EV_HELLO, NULL);
    send_haves(h, c);
}

/* ---- what comes up ---- */

static void say_stop(struct host *h, struct inflow *in, struct in_log *il,
                     enum err err, const struct refusal *refusal)
{
    struct buf message = BUF_INIT;
    struct disk_log *l = disk_find(&h->disk, &il->log);
    bool differ = refusal->disagree || err == ERR_BAD_PROOF ||
                  err == ERR_CONFLICT || err == ERR_FORKED;
    il->stopped = true;
    h->w->result->counts.refusals++;
    say(h, "refuses entry %llu: %s", (unsigned long long)refusal->number,
        refusal->text);
    wire_put_stop(&message,
                  &(struct wire_stop){.log = il->log,
                                      .number = refusal->number,
                                      .reason = slice_str(refusal->text),
                                      .retry = !refusal->disagree,
                                      .note = differ && l != NULL
                                                  ? l->note
                                                  : slice_of(NULL, 0)});
    post_by(in->conn, false, EV_MESSAGE, &message);
}

static void stop_text(struct host *h, struct inflow *in, struct in_log *il,
                      enum err err, uint64_t number, const char *text)
{
    struct refusal refusal = {.number = number};
    (void)snprintf(refusal.text, sizeof refusal.text, "%s", text);
    say_stop(h, in, il, err, &refusal);
}

static struct in_log *find_log(struct inflow *in, const struct log_id *log)
{
    struct in_log *il = logmap_find(&in->logs, log);
    if (il == NULL) {
        il = MEM_NEW(struct in_log);
        il->log = *log;
        logmap_insert(&in->logs, il);
    }
    return il;
}

static struct in_log *admit(struct host *h, struct inflow *in,
                            const struct log_id *log, uint64_t number)
{
    struct in_log *il = find_log(in, log);
    if (il->stopped) {
        return NULL;
    }
    if (!planted(h->w, PLANT_ANY_LOG) &&
        !may_send(h, in->conn->child->node, log)) {
        stop_text(h, in, il, ERR_DENIED, number,
                  "its origin is neither the sender nor below it");
        return NULL;
    }
    return il;
}

/* The receiver's frontier: what was verified, or where the disk stands. */
static enum err load(struct host *h, struct in_log *il, struct disk_log *l)
{
    struct errmsg why;
    uint64_t durable = l != NULL ? l->frontier.size : 0;
    if (l != NULL && l->state == LOG_FORKED) {
        return ERR_FORKED;
    }
    if (il->recv != NULL && durable > il->recv->verified.size) {
        il->recv->verified = l->frontier;
    }
    if (il->recv != NULL &&
        (il->recv->verified.size == durable || il->pending > 0)) {
        return ERR_OK;
    }
    recv_log_free(&il->recv);
    il->recv = recv_log_new(&il->log);
    if (l == NULL) {
        return ERR_OK;
    }
    struct store_head *head = MEM_NEW(struct store_head);
    head->frontier = l->frontier;
    head->newest = l->newest;
    enum err err = recv_log_load(il->recv, h->w->fed->trust, head, l->note,
                                 l->chain, &why);
    mem_free(head);
    return err;
}

static void queue_run(struct host *h, struct inflow *in, struct in_log *il,
                      struct segment *seg, size_t bytes)
{
    struct item *item = MEM_NEW(struct item);
    item->seg = seg;
    item->child = child_place(h->w, in->conn->child->node);
    item->conn = in->conn->id;
    item->bytes = bytes;
    il->pending++;
    in->pending_bytes += bytes;
    if (in->pending_bytes > UINT64_C(2) * WINDOW_BYTES) {
        broken(h, "bounded", &seg->log, seg->first,
               "a child has %llu bytes under way, its window is %d",
               (unsigned long long)in->pending_bytes, WINDOW_BYTES);
    }
    disk_queue(h, item);
}

static void send_ack(struct host *h, struct inflow *in,
                     const struct log_id *log, uint64_t size)
{
    struct buf message = BUF_INIT;
    struct wire_log_ack ack = {.log = *log, .size = size};
    (void)h;
    wire_put_ack(&message, &ack, 1);
    post_by(in->conn, false, EV_MESSAGE, &message);
}

/* PLANT_SKIP_ROOT: what came is taken without asking whose it is. */
static struct segment *believe(struct host *h, const struct wire_segment *in,
                               struct recv_log *log)
{
    struct segment *seg = segment_new();
    struct wire_iter it = wire_iter_of(&in->block);
    struct slice block;
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t n;
    seg->log = in->log;
    seg->first = in->first;
    seg->leaves = mem_zalloc(SEGMENT_ENTRIES_MAX, sizeof *seg->leaves);
    seg->slots = mem_zalloc(SEGMENT_ENTRIES_MAX, sizeof *seg->slots);
    seg->refs = mem_zalloc(1, sizeof *seg->refs);
    seg->before = seg->after = log->verified;
    while (wire_next(&it, &block) &&
           block_unpack(h->w->codec, block, slots, &n) == ERR_OK) {
        for (size_t i = 0; i < n; i++) {
            struct slice bytes = keep(h->w, slots[i].entry);
            suite_hash_leaf(SUITE_INTL, bytes, &seg->leaves[seg->count]);
            frontier_append(&seg->after, SUITE_INTL, &seg->leaves[seg->count],
                            NULL, NULL);
            seg->slots[seg->count++].entry = bytes;
        }
    }
    buf_put_slice(&seg->note, buf_slice(&log->note));
    buf_put_slice(&seg->chain, buf_slice(&log->chain));
    seg->newest = log->newest;
    return seg;
}

static bool believes(struct host *h, const struct wire_segment *in,
                     struct recv_log *log)
{
    return planted(h->w, PLANT_SKIP_ROOT) && log->note.len > 0 &&
           in->first == log->verified.size + 1;
}

static void refused(struct host *h, struct inflow *in, struct in_log *il,
                    const struct wire_segment *m, enum err err,
                    const struct refusal *refusal)
{
    struct disk_log *l = disk_find(&h->disk, &il->log);
    if (refusal->disagree && l != NULL) {
        disk_fork(h, l, m->note.len > 0 ? m->note : buf_slice(&il->recv->note),
                  refusal->text);
        up_grew(h, &il->log);
    }
    say_stop(h, in, il, err, refusal);
}

static void on_segment(struct host *h, struct inflow *in,
                       const struct wire_segment *m, size_t bytes)
{
    struct in_log *il = admit(h, in, &m->log, m->first);
    if (il == NULL) {
        return;
    }
    struct disk_log *l = disk_find(&h->disk, &m->log);
    enum err err = load(h, il, l);
    if (err != ERR_OK) {
        stop_text(h, in, il, err, m->first, err_text(err));
        return;
    }
    struct segment *seg = NULL;
    struct refusal refusal;
    struct tree_view view;
    if (l != NULL) {
        view = disk_view(l);
    }
    err = recv_segment(in->recv, il->recv, m, l != NULL ? &view : NULL,
                       h->w->fed->now_ms, &seg, &refusal);
    if (err != ERR_OK && !refusal.disagree && believes(h, m, il->recv)) {
        seg = believe(h, m, il->recv);
        il->recv->verified = seg->after;
        err = ERR_OK;
    }
    if (err != ERR_OK) {
        refused(h, in, il, m, err, &refusal);
    } else if (seg == NULL) {
        send_ack(h, in, &m->log, l->frontier.size);
    } else {
        if (l != NULL && l->state == LOG_ACTIVE && l->limit == 0) {
            up_forward(h, seg);
        }
        if (planted(h->w, PLANT_ACK_EARLY)) {
            send_ack(h, in, &m->log, seg->after.size);
        }
        queue_run(h, in, il, seg, bytes);
    }
}

static void on_evidence(struct host *h, struct inflow *in,
                        const struct wire_evidence *m)
{
    struct in_log *il = admit(h, in, &m->log, 0);
    struct disk_log *l = disk_find(&h->disk, &m->log);
    if (il == NULL || l == NULL || load(h, il, l) != ERR_OK) {
        return;
    }
    struct tree_view view = disk_view(l);
    struct checkpoint head;
    struct refusal refusal;
    enum err err = recv_note(in->recv, il->recv, m->note, m->chain, &view,
                             h->w->fed->now_ms, &head, &refusal);
    if (err != ERR_OK && refusal.disagree) {
        disk_fork(h, l, m->note, refusal.text);
        up_grew(h, &m->log);
        say_stop(h, in, il, ERR_FORKED, &refusal);
    } else if (err != ERR_OK) {
        say_stop(h, in, il, err, &refusal);
    } else {
        stop_text(h, in, il, ERR_BAD_PROOF, head.size,
                  "the copies differ and neither head shows why");
    }
}

void down_message(struct host *h, struct conn *c, struct slice bytes)
{
    struct inflow *in = inflow_of(h, c);
    struct wire_message m;
    struct errmsg why;
    if (in->conn != c) {
        return;
    }
    if (wire_get_child(bytes, &m, &why) != ERR_OK) {
        hang_up(h, in, why.text);
    } else if (m.kind == WIRE_SEGMENT) {
        on_segment(h, in, &m.segment,
                   bytes.len - m.segment.note.len - m.segment.chain.len);
    } else if (m.kind == WIRE_EVIDENCE) {
        on_evidence(h, in, &m.evidence);
    }
}

void down_appended(struct host *h, const struct item *item, enum err err,
                   uint64_t size)
{
    struct inflow *in = &h->inflow[item->child];
    const struct log_id *log = &item->seg->log;
    if (in->conn == NULL || in->conn->id != item->conn) {
        return; /* its stream is gone */
    }
    struct in_log *il = logmap_find(&in->logs, log);
    in->pending_bytes -= item->bytes;
    il->pending--;
    if (err == ERR_OK) {
        send_ack(h, in, log, size);
    } else if (err == ERR_FORKED) {
        stop_text(h, in, il, err, 0,
                  "forked: it goes past the end its successor names");
    } else {
        hang_up(h, in, err_text(err));
    }
}

/* ---- Root and Fetch ---- */

static void answer(struct host *child, const struct event *ask,
                   enum event_kind kind, enum err err, struct buf *bytes)
{
    struct world *w = child->w;
    if (child->cut) {
        if (bytes != NULL) {
            buf_fini(bytes);
        }
        return;
    }
    int64_t at = w->now_ms + latency(child);
    at = at > child->call_last_ms ? at : child->call_last_ms;
    child->call_last_ms = at;
    post(w,
         &(struct event){.kind = kind,
                         .host = child,
                         .life = child->life,
                         .token = ask->token,
                         .err = err},
         (uint32_t)(at - w->now_ms), bytes);
}

static void answer_root(struct host *child, const struct event *ask,
                        struct disk_log *l)
{
    struct buf out = BUF_INIT;
    struct buf frontier = BUF_INIT;
    struct buf bridge = BUF_INIT;
    struct tree_view view = disk_view(l);
    struct frontier f;
    struct bridge b;
    struct wire_root_reply reply = {
        .held = l->frontier.size, .note = l->note, .chain = l->chain};
    bool older = ask->size != 0 && ask->size < reply.held;
    reply.size = older ? ask->size : reply.held;
    if (tree_root(&view, reply.size, &reply.root) == ERR_OK &&
        tree_frontier(&view, reply.size, &f) == ERR_OK &&
        tree_bridge(&view, reply.size, l->newest.size, &b) == ERR_OK) {
        frontier_put(&frontier, &f);
        bridge_put(&bridge, &b);
    }
    reply.frontier = buf_slice(&frontier);
    reply.bridge = buf_slice(&bridge);
    wire_put_root_reply(&out, &reply);
    answer(child, ask, EV_ANSWER, ERR_OK, &out);
    buf_fini(&frontier);
    buf_fini(&bridge);
}

static void serve_runs(struct host *h, struct host *child,
                       const struct event *ask, struct disk_log *l)
{
    for (uint64_t from = ask->size;
         from <= ask->last && from <= l->frontier.size;) {
        struct run run;
        struct buf out = BUF_INIT;
        run_read(h->w, l, from, ask->last, FETCH_BYTES, &run);
        wire_put_fetch_reply(
            &out, &(struct wire_segment_out){.log = l->log,
                                             .blocks = &run.blocks,
                                             .refs = run.refs,
                                             .refs_count = run.refs_count,
                                             .note = l->note,
                                             .bridge = buf_slice(&run.bridge),
                                             .chain = l->chain});
        from = run.end + 1;
        run_fini(&run);
        answer(child, ask, EV_FETCHED, ERR_OK, &out);
    }
    answer(child, ask, EV_CALL_END, ERR_OK, NULL);
}

void down_ask(struct host *h, const struct event *ev)
{
    struct host *child = ev->from;
    struct disk_log *l = disk_find(&h->disk, &ev->log);
    if (l == NULL || !may_send(h, child->node, &ev->log)) {
        answer(child, ev, EV_CALL_END, ERR_NOT_FOUND, NULL);
    } else if (ev->fetch) {
        serve_runs(h, child, ev, l);
    } else {
        answer_root(child, ev, l);
    }
}
