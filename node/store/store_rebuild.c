/* A damaged store is not mended in place: what can be read of it is copied to
 * a new one beside it, and then the folders change places. Each step can be
 * interrupted; the next start begins again or ends it.
 *
 *   PATH with the mark, PATH.rebuild in the making
 *   PATH.rebuild with REBUILT in it: complete (store_folder.c goes on)
 *   PATH.damaged-<time>, PATH.rebuild
 *   PATH
 *
 * Of each log the longest prefix is kept that provably leads to its signed
 * head; neighbours send the rest by the ordinary rules of replication. A
 * database on a server is mended where it is, by the same rules
 * (store_mend.c). */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/rebuild_impl.h"

enum {
    IDS_GAP_MAX = 16384, /* unused or unreadable numbers in a row */
    BATCH_BYTES = 4 << 20,
    BATCH_ENTRIES = 16384,
    GROUP16 = 16,
    STEPS_FINE = 2048, /* entries tried one by one behind a hole */
    STEP_COARSE = 64,
    SAY_EVERY_MS = 10000,
    PATH_LEN = STORE_PATH_LEN,
};

/* ---- a rebuild ---- */

/* What cannot be read is lost, unless the read says nothing about it: then all
 * ends with the next flush(), and the next start begins again. */
bool rebuild_was_read(struct rebuild *r, enum err err, const struct errmsg *why)
{
    if (r->unread == ERR_OK && is_unread(err, why)) {
        r->unread = err;
        r->unread_why = *why;
    }
    return err == ERR_OK;
}

static enum err flush(struct rebuild *r, struct errmsg *why)
{
    uint8_t serial[8];
    if (r->in_place) {
        be_put64(serial, ++r->serial);
        r->b->put_meta(r->batch, META_SERIAL, slice_of(serial, sizeof serial));
    }
    enum err err =
        r->unread == ERR_OK
            ? r->b->commit(r->to, r->batch, why)
            : err_set(why, r->unread, "store %s cannot be rebuilt now: %.200s",
                      r->conf->path, r->unread_why.text);
    r->b->batch_free(r->batch);
    r->batch = r->b->batch_new(r->to);
    r->batch_bytes = 0;
    r->batch_entries = 0;
    return err;
}

static enum err flush_if_full(struct rebuild *r, struct errmsg *why)
{
    bool full =
        r->batch_bytes > BATCH_BYTES || r->batch_entries > BATCH_ENTRIES;
    return full ? flush(r, why) : ERR_OK;
}

void rebuild_leaf(const struct rebuild *r, const struct slot *slot,
                  struct hash *out)
{
    *out = slot->leaf;
    if (slot->entry.data != NULL) {
        suite_hash_leaf(r->env->suite, slot->entry, out);
    }
}

/* ---- reading what is left of a log ---- */

static bool on_scan(void *ctx, uint64_t first, struct slice block)
{
    struct scan *c = ctx;
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count;
    if (first > c->next ||
        block_unpack(c->r->codec, block, slots, &count) != ERR_OK) {
        return false;
    }
    for (size_t i = 0; i < count && c->next <= c->last && !c->stop; i++) {
        if (first + i == c->next) {
            c->entry(c->ctx, c->next, &slots[i]);
            c->next++;
        }
    }
    return c->next <= c->last && !c->stop;
}

void rebuild_scan(struct scan *c)
{
    struct errmsg why;
    uint64_t before = 0;
    while (c->next <= c->last && c->next != before && !c->stop) {
        before = c->next;
        (void)rebuild_was_read(
            c->r,
            c->r->b->blocks(c->r->from, c->id, c->next, true, on_scan, c, &why),
            &why);
    }
}

struct leaf_of {
    const struct rebuild *r;
    struct hash *out;
    bool found;
};

static void on_leaf(void *ctx, uint64_t number, const struct slot *slot)
{
    struct leaf_of *l = ctx;
    (void)number;
    rebuild_leaf(l->r, slot, l->out);
    l->found = true;
}

struct old_view {
    struct rebuild *r;
    const struct old_log *log;
};

/* A stored node, or what the sixteen below it give. */
static enum err old_node(void *ctx, unsigned level, uint64_t index,
                         struct hash *out)
{
    const struct old_view *v = ctx;
    struct rebuild *r = v->r;
    struct errmsg why;
    if (level == 0) {
        struct leaf_of leaf = {.r = r, .out = out};
        struct scan c = {.r = r,
                         .id = v->log->id,
                         .next = index + 1,
                         .last = index + 1,
                         .entry = on_leaf,
                         .ctx = &leaf};
        rebuild_scan(&c);
        return leaf.found ? ERR_OK : ERR_CORRUPT;
    }
    enum err err = r->b->node(r->from, v->log->id, level, index, out, &why);
    if (rebuild_was_read(r, err, &why)) {
        return ERR_OK;
    }
    struct frontier f = {0};
    struct hash below;
    for (uint64_t k = 0; k < GROUP16; k++) {
        if (old_node(ctx, level - TREE_STRIDE, index * GROUP16 + k, &below) !=
            ERR_OK) {
            return ERR_CORRUPT;
        }
        frontier_append(&f, r->env->suite, &below, NULL, NULL);
    }
    frontier_root(&f, r->env->suite, out);
    return ERR_OK;
}

/* First pass: how far do the entries fit the tree? */
struct measure {
    struct rebuild *r;
    const struct old_log *log;
    struct frontier at;
    uint64_t good; /* entries that could be read */
    bool unfit;    /* a node is missing, or … */
    bool misfit;   /* … is not what they give … */
    uint64_t sure; /* … behind so many entries, and none before */
};

static void on_measured_node(void *ctx, unsigned level, uint64_t index,
                             const struct hash *hash)
{
    struct measure *m = ctx;
    struct rebuild *r = m->r;
    struct hash stored;
    struct errmsg why;
    enum err err = r->b->node(r->from, m->log->id, level, index, &stored, &why);
    bool fits = rebuild_was_read(r, err, &why) && hash_eq(&stored, hash);
    m->unfit = m->unfit || !fits;
    if (err == ERR_OK && !fits && !m->misfit) {
        m->misfit = true;
        m->sure = index << level;
    }
}

static void on_measured(void *ctx, uint64_t number, const struct slot *slot)
{
    struct measure *m = ctx;
    struct hash leaf;
    rebuild_leaf(m->r, slot, &leaf);
    m->good = number;
    frontier_append(&m->at, m->r->env->suite, &leaf, on_measured_node, m);
}

static bool is_whole(const struct rebuild *r, const struct old_log *log,
                     const struct measure *m)
{
    struct hash root;
    frontier_root(&m->at, r->env->suite, &root);
    return m->good == log->head.h.frontier.size && m->at.size == m->good &&
           hash_eq(&root, &log->head.h.root);
}

/* The way from the last whole sixteen to the end, by the head's own edge: the
 * entries there may be what is damaged, and no node stands for them. False: the
 * head knows none. */
static bool tail_bridge(const struct rebuild *r, const struct old_log *log,
                        struct bridge *out)
{
    const struct frontier *edge = &log->head.h.frontier;
    struct frontier tail = {.size = edge->size % GROUP16};
    *out = (struct bridge){.size = edge->size, .n = 1};
    if (log->by_note || log->head.h.bridge.n > 0 || tail.size == 0) {
        return false;
    }
    unsigned peaks = (unsigned)__builtin_popcountll(edge->size);
    unsigned ours = (unsigned)__builtin_popcountll(tail.size);
    memcpy(tail.node, &edge->node[peaks - ours], ours * sizeof *tail.node);
    frontier_root(&tail, r->env->suite, &out->node[0]);
    return true;
}

/* Shorter and shorter prefixes, until one leads to the signed head. */
static void plan_prefix(struct rebuild *r, const struct old_log *log,
                        uint64_t good, struct plan *plan)
{
    const struct store_head *h = &log->head.h;
    struct old_view ctx = {r, log};
    struct bridge tail;
    struct tree_view view = {.suite = r->env->suite,
                             .size = h->frontier.size,
                             .node = old_node,
                             .ctx = &ctx,
                             .bridge = h->bridge.n > 0 ? &h->bridge : NULL};
    if (tail_bridge(r, log, &tail)) {
        view.size -= view.size % GROUP16;
        view.bridge = &tail;
    }
    for (unsigned level = TREE_STRIDE; good >> level > 0;
         level += TREE_STRIDE) {
        plan->keep = good >> level << level;
        if (tree_bridge(&view, plan->keep, h->newest.size, &plan->bridge) ==
            ERR_OK) {
            return;
        }
    }
    plan->keep = 0;
    plan->bridge = (struct bridge){.size = h->newest.size, .n = 1};
    plan->bridge.node[0] = h->newest.root;
}

static void plan_log(struct rebuild *r, const struct old_log *log,
                     struct plan *plan)
{
    struct measure *m = MEM_NEW(struct measure);
    struct scan c = {.r = r,
                     .id = log->id,
                     .next = 1,
                     .last = log->head.h.frontier.size,
                     .entry = on_measured,
                     .ctx = m};
    m->r = r;
    m->log = log;
    rebuild_scan(&c);
    /* Entries that lead to the head are right, whatever nodes say. */
    plan->whole = is_whole(r, log, m);
    plan->unfit = m->unfit;
    if (plan->whole) {
        plan->keep = m->good;
        plan->bridge = log->head.h.bridge;
    } else {
        plan_prefix(r, log, m->misfit ? m->sure : m->good, plan);
    }
    mem_free(m);
}

/* ---- copying a log ---- */

struct copy {
    struct rebuild *r;
    uint32_t id;
    struct frontier at;
    struct slot pending[BLOCK_ENTRIES_MAX];
    struct buf bytes[BLOCK_ENTRIES_MAX]; /* of pending entries */
    size_t pending_n;
    struct buf packed;
    struct scan *scan;
    enum err err;
    struct errmsg *why;
};

static void on_copied_node(void *ctx, unsigned level, uint64_t index,
                           const struct hash *hash)
{
    const struct copy *c = ctx;
    c->r->b->put_node(c->r->batch, c->id, level, index, hash);
}

static void pack_pending(struct copy *c)
{
    if (c->pending_n == 0) {
        return;
    }
    buf_clear(&c->packed);
    block_pack(c->r->packer, c->pending, c->pending_n, &c->packed);
    c->r->b->put_block(c->r->batch, c->id, c->at.size - c->pending_n + 1,
                       buf_slice(&c->packed));
    c->r->batch_bytes += c->packed.len;
    c->r->batch_entries += c->pending_n;
    c->pending_n = 0;
    if (c->err == ERR_OK) {
        c->err = flush_if_full(c->r, c->why);
    }
    c->scan->stop = c->err != ERR_OK;
}

/* Boundaries of blocks have no meaning: small ones are merged. */
static void on_copied(void *ctx, uint64_t number, const struct slot *slot)
{
    struct copy *c = ctx;
    struct hash leaf;
    size_t i = c->pending_n++;
    (void)number;
    rebuild_leaf(c->r, slot, &leaf);
    frontier_append(&c->at, c->r->env->suite, &leaf, on_copied_node, c);
    c->pending[i] = *slot;
    if (slot->entry.data != NULL) {
        buf_clear(&c->bytes[i]);
        buf_put_slice(&c->bytes[i], slot->entry);
        c->pending[i].entry = buf_slice(&c->bytes[i]);
    }
    if (c->pending_n == BLOCK_ENTRIES_MAX) {
        pack_pending(c);
    }
}

bool rebuild_proven(const struct rebuild *r, const struct old_log *log,
                    const struct plan *plan, const struct frontier *at)
{
    struct hash root;
    if (at->size != plan->keep) {
        return false;
    }
    return plan->bridge.size == 0 ||
           (bridge_root(at, r->env->suite, &plan->bridge, &root) == ERR_OK &&
            hash_eq(&root, &log->head.h.newest.root));
}

/* Copies `keep` entries and proves them; *at is the frontier there. */
static enum err copy_entries(struct rebuild *r, const struct old_log *log,
                             const struct plan *plan, struct frontier *at,
                             struct errmsg *why)
{
    struct copy *c = MEM_NEW(struct copy);
    struct scan s = {.r = r,
                     .id = log->id,
                     .next = 1,
                     .last = plan->keep,
                     .entry = on_copied,
                     .ctx = c};
    c->r = r;
    c->id = log->id;
    c->scan = &s;
    c->why = why;
    rebuild_scan(&s);
    pack_pending(c);
    enum err err = c->err;
    *at = c->at;
    if (err == ERR_OK && !rebuild_proven(r, log, plan, at)) {
        err = ERR_BAD_PROOF;
    }
    for (size_t i = 0; i < BLOCK_ENTRIES_MAX; i++) {
        buf_fini(&c->bytes[i]);
    }
    buf_fini(&c->packed);
    mem_free(c);
    return err;
}

static bool part_of(struct rebuild *r, uint32_t id, enum log_part part,
                    struct buf *out)
{
    struct errmsg why;
    buf_clear(out);
    return rebuild_was_read(r, r->b->part(r->from, id, part, out, &why), &why);
}

static void copy_part(struct rebuild *r, uint32_t id, enum log_part part)
{
    struct buf value = BUF_INIT;
    if (part_of(r, id, part, &value)) {
        r->b->put_part(r->batch, id, part, buf_slice(&value));
    }
    buf_fini(&value);
}

/* The signed head and its signer. An own one that is lost is signed again: it
 * is the head that was signed before. */
static enum err copy_note(struct rebuild *r, const struct old_log *log,
                          struct errmsg *why)
{
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct checkpoint cp;
    const struct checkpoint *newest = &log->head.h.newest;
    bool there =
        part_of(r, log->id, PART_NOTE, &note) &&
        part_of(r, log->id, PART_CHAIN, &chain) &&
        checkpoint_parse(buf_slice(&note), r->env->federation, &cp) == ERR_OK &&
        cp.size == newest->size && hash_eq(&cp.root, &newest->root);
    enum err err = there ? ERR_OK : ERR_NOT_FOUND;
    if (!there && log->head.h.own) {
        buf_clear(&note);
        buf_clear(&chain);
        err = checkpoint_sign(newest, r->env->federation, r->env->suite,
                              r->env->signer, &note);
        buf_put_slice(&chain, buf_slice(&r->env->signer->chain));
        if (err != ERR_OK) {
            err = err_set(why, err, "store: own head cannot be signed");
        }
    }
    if (err == ERR_OK) {
        r->b->put_part(r->batch, log->id, PART_NOTE, buf_slice(&note));
        r->b->put_part(r->batch, log->id, PART_CHAIN, buf_slice(&chain));
    }
    buf_fini(&note);
    buf_fini(&chain);
    return err;
}

/* ---- own entries behind the hole ---- */

struct salvage {
    struct rebuild *r;
    uint64_t base;
    uint64_t n;
};

static void on_behind(void *ctx, uint64_t number, const struct slot *slot)
{
    struct salvage *w = ctx;
    struct entry e;
    if (slot->entry.data != NULL && entry_decode(slot->entry, &e) == ERR_OK &&
        (e.type == ENTRY_RECORD || e.type == ENTRY_KEY)) {
        w->r->b->put_salvage(w->r->batch, w->base + number, slot->entry);
        w->r->batch_bytes += slot->entry.len;
        w->r->batch_entries++;
        w->n++;
    }
}

static void put_hold(struct rebuild *r)
{
    struct buf value = BUF_INIT;
    hold_put(&value, &r->hold);
    r->b->put_meta(r->batch, META_HOLD, buf_slice(&value));
    buf_fini(&value);
}

/* The hold comes before all that is set aside: what is interrupted begins again
 * at the same place.
 *
 * Numbers keep their distance, so that those which the parent gives back are
 * told from those which only this node had. */
static enum err set_aside(struct rebuild *r, const struct old_log *log,
                          uint64_t keep, struct errmsg *why)
{
    uint64_t size = log->head.h.frontier.size;
    struct salvage w = {.r = r, .base = r->salvage_seq};
    enum err err = ERR_OK;
    if (r->hold.active && log_id_eq(&r->hold.log, &log->head.h.log)) {
        w.base = r->hold.base; /* it was in doubt already */
    }
    r->hold = (struct hold){true, log->head.h.log, w.base};
    r->held = true;
    put_hold(r);
    uint64_t end = w.base + size + 1;
    r->salvage_seq = end > r->salvage_seq ? end : r->salvage_seq;
    struct scan c = {.r = r,
                     .id = log->id,
                     .next = keep + 1,
                     .last = size,
                     .entry = on_behind,
                     .ctx = &w};
    uint64_t failed = 0;
    while (err == ERR_OK && c.next <= size) {
        uint64_t from = c.next;
        rebuild_scan(&c);
        failed += c.next == from;
        c.next += failed < STEPS_FINE ? 1 : STEP_COARSE;
        err = flush_if_full(r, why);
    }
    r->aside += w.n;
    return err;
}

/* ---- one log ---- */

static void say_log(const struct rebuild *r, const struct old_log *log,
                    uint64_t keep, const char *what)
{
    char name[LOG_ID_TEXT_MAX];
    log_id_format(&log->head.h.log, name);
    log_warn(r->env->log, "STORE-REBUILD",
             "log=%s kept=%llu lost=%llu next=\"%s\"", name,
             (unsigned long long)keep,
             (unsigned long long)(log->head.h.frontier.size - keep), what);
}

static void say_progress(struct rebuild *r, size_t i)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms - r->said_at_ms > SAY_EVERY_MS) {
        r->said_at_ms = now_ms;
        log_info(r->env->log, "STORE-REBUILD",
                 "logs=%zu of=%zu entries=%llu lost=%llu", i, r->logs_n,
                 (unsigned long long)r->kept, (unsigned long long)r->lost);
    }
}

/* The parent gives back what an own log lost that has a successor already. A
 * directives log that may have lost entries is known whole below: to sign on
 * would give it two histories. */
static void new_state(const struct rebuild *r, const struct old_log *log,
                      const struct plan *plan, struct store_head *h)
{
    bool doubt = !plan->whole || r->doubt || log->by_note;
    if (h->own && h->state == LOG_CLOSED && !plan->whole) {
        h->state = LOG_PULLING;
    } else if (h->own && h->state == LOG_ACTIVE &&
               h->log.kind == LOG_DIRECTIVES && doubt) {
        h->state = LOG_FORKED;
    }
}

static enum err put_head(struct rebuild *r, const struct old_log *log,
                         const struct plan *plan, const struct frontier *at,
                         struct errmsg *why)
{
    struct head *head = mem_dup(&log->head, sizeof(*head));
    struct buf coded = BUF_INIT;
    head->h.frontier = *at;
    frontier_root(at, r->env->suite, &head->h.root);
    head->h.bridge = plan->bridge;
    new_state(r, log, plan, &head->h);
    enum err err = copy_note(r, log, why);
    if (err == ERR_OK) {
        head_encode(head, &coded);
        r->b->put_part(r->batch, log->id, PART_HEAD, buf_slice(&coded));
        copy_part(r, log->id, PART_FORK);
        copy_part(r, log->id, PART_ABOVE);
    }
    buf_fini(&coded);
    mem_free(head);
    return err;
}

static enum err drop_log(struct rebuild *r, const struct old_log *log,
                         struct errmsg *why)
{
    r->lost += log->head.h.frontier.size;
    say_log(r, log, 0, "its neighbours send it again");
    r->b->cut_log(r->batch, log->id, 1, 0);
    if (r->in_place || log->head.limit != 0) {
        mend_forget(r, log);
    }
    return flush(r, why);
}

/* What is planned of it; if that proves to be wrong, nothing. */
static enum err keep_entries(struct rebuild *r, const struct old_log *log,
                             struct plan *plan, struct frontier *at,
                             struct errmsg *why)
{
    enum err err = r->in_place ? mend_prove(r, log, plan, at)
                               : copy_entries(r, log, plan, at, why);
    if (err != ERR_BAD_PROOF) {
        return err;
    }
    plan_prefix(r, log, 0, plan);
    plan->whole = false;
    *at = (struct frontier){0};
    if (r->in_place) {
        return ERR_OK; /* it is cut with its head */
    }
    r->b->cut_log(r->batch, log->id, 1, 0);
    return flush(r, why);
}

/* The own log that grows. */
static bool is_own_active(const struct old_log *log)
{
    const struct store_head *h = &log->head.h;
    return h->own && h->state == LOG_ACTIVE && h->log.kind == LOG_RECORDS;
}

static bool is_in_doubt(const struct rebuild *r, const struct old_log *log,
                        const struct plan *plan)
{
    return !plan->whole || r->doubt || log->by_note ||
           (r->hold.active && log_id_eq(&r->hold.log, &log->head.h.log));
}

static void say_kept(struct rebuild *r, const struct old_log *log,
                     const struct plan *plan)
{
    if (!plan->whole) {
        say_log(r, log, plan->keep,
                log->head.h.own ? "the parent is asked for it"
                                : "the child sends it");
    }
    r->kept += plan->keep;
    r->lost += log->head.h.frontier.size - plan->keep;
}

static enum err rebuild_log(struct rebuild *r, const struct old_log *log,
                            struct errmsg *why)
{
    struct plan plan;
    struct frontier at;
    bool active = is_own_active(log);
    plan_log(r, log, &plan);
    enum err err = keep_entries(r, log, &plan, &at, why);
    if (err == ERR_OK && plan.keep == 0 && log->head.h.frontier.size > 0 &&
        !active) {
        return drop_log(r, log, why);
    }
    if (err == ERR_OK && active && is_in_doubt(r, log, &plan)) {
        err = set_aside(r, log, plan.keep, why);
    }
    if (err == ERR_OK) {
        err = put_head(r, log, &plan, &at, why);
    }
    if (err == ERR_NOT_FOUND) {
        return drop_log(r, log, why);
    }
    if (err == ERR_OK && r->in_place && !plan.whole) {
        err = mend_cut(r, log, plan.keep, why);
    }
    say_kept(r, log, &plan);
    return err == ERR_OK ? flush(r, why) : err;
}

/* ---- which logs there are ---- */

static bool read_head(struct rebuild *r, uint32_t id, struct old_log *out)
{
    struct buf value = BUF_INIT;
    struct head *head = &out->head;
    struct checkpoint *cp = &head->h.newest;
    out->id = id;
    out->by_note = false;
    bool found = part_of(r, id, PART_HEAD, &value) &&
                 head_decode(buf_slice(&value), head) == ERR_OK;
    if (!found) {
        out->by_note = true;
        *head = (struct head){.h.state = LOG_ACTIVE};
        found = part_of(r, id, PART_NOTE, &value) &&
                checkpoint_parse(buf_slice(&value), r->env->federation, cp) ==
                    ERR_OK;
        head->h.log = cp->log;
        head->h.own = cp->log.origin == r->env->self;
        head->h.frontier.size = cp->size;
        head->h.root = cp->root;
        head->h.bridge.size = cp->size;
    }
    buf_fini(&value);
    return found;
}

static void list_logs(struct rebuild *r)
{
    struct old_log *log = MEM_NEW(struct old_log);
    uint32_t gap = 0;
    for (uint32_t id = 1; r->in_place ? id <= r->last_id : gap < IDS_GAP_MAX;
         id++) {
        gap++;
        if (!read_head(r, id, log)) {
            continue;
        }
        gap = 0;
        r->logs = mem_realloc(r->logs, (r->logs_n + 1) * sizeof(*r->logs));
        r->logs[r->logs_n++] = *log;
        r->own_active = r->own_active || (!log->by_note && log->head.h.own &&
                                          log->head.h.log.kind == LOG_RECORDS &&
                                          log->head.h.state == LOG_ACTIVE);
    }
    mem_free(log);
}

/* Names of logs that are not held yet have nothing to lose. */
static enum err copy_name(struct rebuild *r, const struct old_log *log)
{
    struct buf coded = BUF_INIT;
    head_encode(&log->head, &coded);
    r->b->put_part(r->batch, log->id, PART_HEAD, buf_slice(&coded));
    buf_fini(&coded);
    return ERR_OK;
}

static enum err rebuild_logs(struct rebuild *r, struct errmsg *why)
{
    enum err err = ERR_OK;
    list_logs(r);
    for (size_t i = 0; err == ERR_OK && i < r->logs_n; i++) {
        const struct old_log *log = &r->logs[i];
        if (log->head.h.state == LOG_ABSENT) {
            err = copy_name(r, log);
        } else if (log->by_note && log->head.h.own && r->own_active &&
                   log->head.h.log.kind == LOG_RECORDS) {
            err = drop_log(r, log, why); /* an earlier one; the parent has it */
        } else {
            err = rebuild_log(r, log, why);
        }
        say_progress(r, i);
    }
    return err;
}

/* ---- the rest ---- */

static bool on_old_salvage(void *ctx, uint64_t seq, struct slice entry)
{
    struct rebuild *r = ctx;
    r->salvage_seq = seq + 1;
    if (r->in_place) {
        return true;
    }
    r->b->put_salvage(r->batch, seq, entry);
    r->batch_bytes += entry.len;
    r->batch_entries++;
    return r->batch_bytes < BATCH_BYTES;
}

static enum err copy_salvage(struct rebuild *r, struct errmsg *why)
{
    struct errmsg unread;
    enum err err = ERR_OK;
    uint64_t from = UINT64_MAX;
    while (err == ERR_OK && from != r->salvage_seq) {
        from = r->salvage_seq;
        if (!rebuild_was_read(
                r, r->b->salvage(r->from, from, on_old_salvage, r, &unread),
                &unread)) {
            log_error(r->env->log, "STORE-REBUILD",
                      "cause=\"%s\" effect=\"entries that waited for a number "
                      "may be lost; enter them again\"",
                      unread.text);
        }
        err = flush(r, why);
    }
    return err;
}

bool rebuild_meta_of(struct rebuild *r, enum meta meta, struct buf *out,
                     bool *lost)
{
    struct errmsg why;
    buf_clear(out);
    enum err err = r->b->meta(r->from, meta, out, &why);
    *lost = err != ERR_OK && err != ERR_NOT_FOUND;
    return rebuild_was_read(r, err, &why);
}

void rebuild_brakes(struct rebuild *r)
{
    const uint8_t yes = 1;
    struct buf value = BUF_INIT;
    bool lost;
    if (rebuild_meta_of(r, META_HOLD, &value, &lost)) {
        hold_get(buf_slice(&value), &r->hold);
    }
    r->doubt = r->doubt || lost;
    if (rebuild_meta_of(r, META_AWAIT, &value, &lost)) {
        r->b->put_meta(r->batch, META_AWAIT, buf_slice(&value));
    } else if (lost) {
        r->b->put_meta(r->batch, META_AWAIT, slice_of(&yes, 1));
    }
    buf_fini(&value);
}

static enum err rebuild_meta(struct rebuild *r, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    uint64_t beside;
    uint64_t serial = 0;
    bool lost;
    struct errmsg unread;
    enum err err = serial_read(r->conf->path, &beside, &unread);
    bool unknown = !rebuild_was_read(r, err, &unread);
    err = ERR_OK;
    if (rebuild_meta_of(r, META_IDENTITY, &value, &lost)) {
        err = recover_compare_identity(r->conf, r->env, buf_slice(&value), why);
        err = err == ERR_CONF ? err : ERR_OK;
    }
    if (rebuild_meta_of(r, META_SERIAL, &value, &lost) && value.len == 8) {
        serial = be_get64(value.data);
    }
    /* Equal at a clean stop and after a kill; never ahead of the disk. */
    r->doubt = unknown || serial == 0 || serial < beside;
    rebuild_brakes(r);
    serial = serial > beside ? serial : beside;
    uint8_t bytes[8];
    const uint8_t no_index = 0;
    be_put64(bytes, serial + 1);
    r->b->put_meta(r->batch, META_SERIAL, slice_of(bytes, sizeof bytes));
    r->b->put_meta(r->batch, META_GENERATION, slice_of(&no_index, 1));
    buf_fini(&value);
    return err;
}

enum err rebuild_all(struct rebuild *r, struct errmsg *why)
{
    r->codec = block_codec_new();
    r->packer = block_codec_new();
    r->batch = r->b->batch_new(r->to);
    enum err err = r->in_place ? mend_meta(r, why) : rebuild_meta(r, why);
    if (err == ERR_OK) {
        err = copy_salvage(r, why);
    }
    if (err == ERR_OK) {
        err = rebuild_logs(r, why);
    }
    if (err == ERR_OK) {
        r->hold.active = r->held;
        put_hold(r);
        err = flush(r, why);
    }
    r->b->batch_free(r->batch);
    block_codec_free(&r->codec);
    block_codec_free(&r->packer);
    mem_free(r->logs);
    return err;
}

/* Opening makes the index and checks every head. */
static enum err try_open(struct rebuild *r, struct errmsg *why)
{
    struct store *s = NULL;
    struct store_env env = *r->env;
    env.damaged = NULL;
    enum err err = store_open_plain(&s, r->b, &r->fresh, &env, why);
    store_close(&s);
    return err;
}

/* RocksDB locks its folder when it writes; reading a damaged one does not. */
static enum err check_free(const char *path, struct errmsg *why)
{
    return folder_in_use(path)
               ? err_set(why, ERR_BUSY, "store %s is open in another process",
                         path)
               : ERR_OK;
}

static enum err check_room(struct rebuild *r, struct errmsg *why)
{
    uint64_t free_bytes = 0;
    bool readonly = false;
    uint64_t folder_bytes = folder_size(r->conf->path);
    enum err err = r->b->space(NULL, r->conf, &free_bytes, &readonly);
    if (err != ERR_OK) {
        return err_set(why, err, "store %s: free room cannot be told",
                       r->conf->path);
    }
    if (readonly || free_bytes < folder_bytes + r->conf->reserve_bytes) {
        return err_set(
            why, ERR_NO_SPACE,
            "store %s: %llu MB are needed to rebuild it, %llu MB "
            "are free: make room and restart",
            r->conf->path,
            (unsigned long long)((folder_bytes + r->conf->reserve_bytes) >> 20),
            (unsigned long long)(free_bytes >> 20));
    }
    return ERR_OK;
}

static enum err fill(struct rebuild *r, struct errmsg *why)
{
    struct errmsg unread = {""};
    enum err err = r->b->open(&r->to, &r->fresh, false, why);
    if (err != ERR_OK) {
        return err;
    }
    err = r->b->open_damaged(&r->from, r->conf, &unread);
    if (err == ERR_OK) {
        err = rebuild_all(r, why);
        r->b->close(r->from);
    } else if (err != ERR_CORRUPT) {
        err = err_set(why, err, "store %s cannot be rebuilt now: %.200s",
                      r->conf->path, unread.text);
    } else {
        err = ERR_OK;
        log_error(r->env->log, "STORE-REBUILD",
                  "cause=\"%s\" effect=\"nothing can be read: all comes from "
                  "the neighbours\"",
                  unread.text);
    }
    r->b->close(r->to);
    return err;
}

static enum err make(struct rebuild *r, struct errmsg *why)
{
    enum err err = check_free(r->conf->path, why);
    if (err == ERR_OK) {
        err = folder_remove(r->fresh_path, why);
    }
    if (err == ERR_OK) {
        err = folder_drop_oldest(r->conf->path, why);
    }
    if (err == ERR_OK) {
        err = check_room(r, why);
    }
    if (err == ERR_OK) {
        err = fill(r, why);
    }
    if (err == ERR_OK) {
        err = try_open(r, why);
    }
    return err;
}

enum err rebuild_run(const struct backend *backend,
                     const struct store_conf *conf, const struct store_env *env,
                     struct errmsg *why)
{
    struct rebuild *r = MEM_NEW(struct rebuild);
    char mark[PATH_LEN];
    r->b = backend;
    r->conf = conf;
    r->env = env;
    r->said_at_ms = clock_mono_ms();
    folder_path(conf->path, ".rebuild", r->fresh_path);
    r->fresh = *conf;
    r->fresh.path = r->fresh_path;
    enum err err = make(r, why);
    if (err == ERR_OK) {
        folder_path(r->fresh_path, "/REBUILT", mark);
        err = file_replace(mark, slice_str(""), 0600, why);
    }
    if (err == ERR_OK) {
        err = rebuild_finish(conf, why);
    }
    if (err == ERR_OK) {
        log_warn(
            env->log, "STORE-REBUILD",
            "path=%s result=ok logs=%zu kept=%llu lost=%llu set_aside=%llu "
            "in_doubt=%s old=%s.damaged-*",
            conf->path, r->logs_n, (unsigned long long)r->kept,
            (unsigned long long)r->lost, (unsigned long long)r->aside,
            r->hold.active ? "own" : "none", conf->path);
    }
    mem_free(r);
    return err;
}
