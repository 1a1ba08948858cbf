#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_lists.h"

enum { SALVAGE_TURN = 1024, SALVAGE_TURN_BYTES = 1 << 20 };

/* ---- a new own log ---- */

enum err group_open_log(struct group *g, enum log_kind kind,
                        const struct entry_open *open, struct buf *entry,
                        struct touched **out, struct errmsg *why)
{
    struct log_id log = {.origin = g->s->env.self, .kind = kind};
    while (log.incarnation == 0 || heads_find(&g->s->heads, &log) != NULL) {
        suite_random(&log.incarnation, sizeof log.incarnation);
    }
    enum err err = group_touch(g, heads_add(g->s, &log), out, why);
    if (err == ERR_OK) {
        (*out)->head.h.state = LOG_ACTIVE;
        (*out)->head.h.own = true;
        entry_open_encode(open, clock_wall_ms(), entry);
        (void)group_append_own(g, *out, buf_slice(entry));
    }
    return err;
}

void own_log_is(struct store *s, const struct log_slot *slot)
{
    atomic_store(slot->log.kind == LOG_DIRECTIVES ? &s->directives_id
                                                  : &s->own_id,
                 slot->id);
}

/* ---- setting the tail aside ---- */

struct succeed {
    const struct log_id *log;
    uint64_t common;
    uint64_t peer_size;
    const struct hash *peer_root;
    struct slice note;
    struct checkpoint newest;
};

/* The row as the predecessor of `e` left it; version 0 if there is none. */
static enum err predecessor(struct store *s, const struct entry *e,
                            struct row *out, struct errmsg *why)
{
    struct log_id id = {s->env.self, e->prev_incarnation, LOG_RECORDS};
    struct log_slot *slot = heads_find(&s->heads, &id);
    out->version = 0;
    if (e->prev_number == 0 || slot == NULL) {
        return ERR_OK;
    }
    struct buf bytes = BUF_INIT;
    enum err err = slot_entry(slot, e->prev_number, &bytes);
    if (err != ERR_OK) {
        (void)err_set(why, err, "the version at %llu cannot be read",
                      (unsigned long long)e->prev_number);
    } else {
        struct slot one = {.entry = buf_slice(&bytes)};
        struct judged j;
        index_judge(s, &id, e->prev_number, &one, &j);
        if (j.indexed) {
            *out = j.row;
            out->log = slot->id;
            out->number = e->prev_number;
        }
    }
    buf_fini(&bytes);
    return err;
}

static bool row_is(const struct row *row, const struct log_slot *slot,
                   uint64_t number)
{
    return row->version > 0 && row->log == slot->id && row->number == number;
}

static void put_back(struct row_state *state, const struct row *old)
{
    struct row_key key = state->row.key;
    bool same = old->version > 0 && row_key_cmp(&key, &old->key) == 0;
    state->row = same ? *old : (struct row){.key = key};
    state->dirty = true;
}

/* Takes back what entry `number` did to the index. Newest entries first. */
static enum err undo(struct group *g, const struct log_slot *slot,
                     uint64_t number, struct slice bytes, struct errmsg *why)
{
    struct slot one = {.entry = bytes};
    struct judged j;
    struct entry e;
    struct row old;
    index_judge(g->s, &slot->log, number, &one, &j);
    g->s->backend->del_issue(g->batch, g->rows.generation, slot->id, number);
    if (!j.indexed || entry_decode(bytes, &e) != ERR_OK) {
        return ERR_OK;
    }
    size_t before = g->rows.n;
    struct row_state *state = row_map_get(&g->rows, &j.row.key);
    struct row_state *moved =
        j.has_prev ? row_map_get(&g->rows, &j.prev) : NULL;
    enum err err = row_map_read(&g->rows, g->s, before, why);
    if (err == ERR_OK) {
        err = predecessor(g->s, &e, &old, why);
    }
    if (err == ERR_OK && row_is(&state->row, slot, number)) {
        put_back(state, &old);
    }
    if (err == ERR_OK && moved != NULL && row_is(&moved->row, slot, number)) {
        put_back(moved, &old);
    }
    return err;
}

/* What can be appended again; an opening entry cannot. */
static bool is_draft(struct slice bytes)
{
    struct entry e;
    return entry_decode(bytes, &e) == ERR_OK &&
           (e.type == ENTRY_RECORD || e.type == ENTRY_KEY);
}

static enum err set_tail_aside(struct group *g, struct log_slot *slot,
                               uint64_t common, struct errmsg *why)
{
    enum err err = ERR_OK;
    struct buf bytes = BUF_INIT;
    uint64_t seq = g->salvage_next + (slot->size - common);
    if (g->s->hold.active) {
        seq = g->s->hold.base + slot->size + 1; /* room was left there */
    } else {
        g->salvage_next = seq;
    }
    for (uint64_t n = slot->size; err == ERR_OK && n > common; n--) {
        buf_clear(&bytes);
        seq--;
        err = slot_entry(slot, n, &bytes);
        if (err != ERR_OK) {
            (void)err_set(why, err, "entry %llu cannot be set aside",
                          (unsigned long long)n);
            break;
        }
        if (is_draft(buf_slice(&bytes))) {
            g->s->backend->put_salvage(g->batch, seq, buf_slice(&bytes));
            g->salvaged++;
        }
        err = undo(g, slot, n, buf_slice(&bytes), why);
    }
    buf_fini(&bytes);
    return err;
}

/* ---- cutting the log ---- */

struct straddle {
    struct group *g;
    const struct log_slot *slot;
    uint64_t common;
    enum err err;
};

static bool on_straddle(void *ctx, uint64_t first, struct slice block)
{
    struct straddle *c = ctx;
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count;
    struct block_codec *codec = codec_take(&c->g->s->cache);
    c->err = block_unpack(codec, block, slots, &count);
    if (c->err == ERR_OK && first <= c->common &&
        first + count - 1 > c->common) {
        buf_clear(&c->g->packed);
        block_pack(c->g->s->codec, slots, (size_t)(c->common - first + 1),
                   &c->g->packed);
        c->g->s->backend->put_block(c->g->batch, c->slot->id, first,
                                    buf_slice(&c->g->packed));
    }
    codec_give(&c->g->s->cache, codec);
    return false;
}

static enum err cut(struct group *g, struct touched *t, uint64_t common,
                    struct errmsg *why)
{
    struct store *s = g->s;
    struct tree_view view = slot_view(t->slot, t->slot->size);
    enum err err = tree_frontier(&view, common, &t->head.h.frontier);
    if (err != ERR_OK) {
        return err_set(why, err, "the tree at %llu cannot be read",
                       (unsigned long long)common);
    }
    frontier_root(&t->head.h.frontier, s->env.suite, &t->head.h.root);
    s->backend->cut_log(g->batch, t->slot->id, common + 1, common);
    g->cut = true;
    struct straddle c = {g, t->slot, common, ERR_OK};
    if (common > 0) {
        err = s->backend->blocks(s->db, t->slot->id, common, false, on_straddle,
                                 &c, why);
    }
    return err == ERR_OK ? c.err : err;
}

/* ---- the job ---- */

static bool is_held(const struct store *s, const struct log_slot *slot)
{
    return s->hold.active && log_id_eq(&s->hold.log, &slot->log);
}

static enum err check_succeed(struct store *s, struct succeed *c,
                              const struct log_slot *slot, struct errmsg *why)
{
    if (slot == NULL || !slot->own || slot->state == LOG_ABSENT) {
        return err_set(why, ERR_NOT_FOUND, "not a log of this node");
    }
    if (slot->state == LOG_PULLING || slot->state == LOG_CLOSED) {
        return err_set(why, ERR_EXISTS, "the log has a successor already");
    }
    if (c->common > slot->size || c->common > c->peer_size ||
        (c->peer_size == 0 && !is_held(s, slot))) {
        return err_set(why, ERR_INVALID, "sizes do not fit each other");
    }
    enum err err = checkpoint_parse(c->note, s->federation, &c->newest);
    bool fits = err == ERR_OK && log_id_eq(&c->newest.log, &slot->log) &&
                c->newest.size >= c->peer_size &&
                (c->newest.size > c->peer_size ||
                 hash_eq(&c->newest.root, c->peer_root));
    return fits ? ERR_OK
                : err_set(why, ERR_BAD_PROOF,
                          "the checkpoint is not one of the size named");
}

static void retire(struct touched *t, const struct succeed *c)
{
    struct head *head = &t->head;
    head->h.state = c->common == c->peer_size ? LOG_CLOSED : LOG_PULLING;
    if (c->peer_size == 0) {
        head->h.state = LOG_ABSENT; /* nobody ever had an entry of it */
    }
    bool same = t->slot->size == c->common &&
                head->h.newest.size == c->newest.size &&
                hash_eq(&head->h.newest.root, &c->newest.root);
    head->h.newest = c->newest;
    if (!same) {
        /* The hashes between here and there come with what is pulled. */
        head->h.bridge = (struct bridge){0};
    }
    if (c->newest.size == c->common) {
        head->h.bridge.size = c->common;
    }
    head->limit = c->peer_size;
    head->limit_root = *c->peer_root;
    t->note = c->note;
    t->dirty = true;
}

/* Whoever was put back once may have been before: the parent may hold
 * successors of this log that are not known here, with later versions. What is
 * appended comes after those. */
static bool waits_for_parent(const struct store *s, const struct log_slot *slot)
{
    return s->conf.has_parent && slot->log.kind == LOG_RECORDS;
}

static enum err fill(struct group *g, const struct succeed *c,
                     struct log_slot *slot, struct buf *entry,
                     struct touched **out, struct errmsg *why)
{
    struct touched *old;
    enum err err = group_touch(g, slot, &old, why);
    if (err == ERR_OK) {
        err = set_tail_aside(g, slot, c->common, why);
    }
    if (err == ERR_OK && slot->log.kind == LOG_DIRECTIVES) {
        err = lists_cut(g, old, c->common, why);
    }
    if (err == ERR_OK) {
        err = cut(g, old, c->common, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (c->common == c->peer_size &&
        !hash_eq(&old->head.h.root, c->peer_root)) {
        return err_set(why, ERR_BAD_PROOF, "the common part is not common");
    }
    bool prefix = c->common == slot->size || c->common == c->peer_size;
    if (is_held(g->s, slot)) {
        err = hold_release(g, prefix ? c->peer_size : 0, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    retire(old, c);
    if (waits_for_parent(g->s, slot)) {
        await_put(g, true);
    }
    struct entry_open open = {0};
    if (c->peer_size > 0) {
        open.prev_incarnation = slot->log.incarnation;
        open.prev_size = c->peer_size;
        memcpy(open.prev_root, c->peer_root->b, HASH_LEN);
    }
    return group_open_log(g, slot->log.kind, &open, entry, out, why);
}

static enum err do_succeed(struct store *s, void *ctx, struct errmsg *why)
{
    struct succeed *c = ctx;
    struct log_slot *slot = heads_find(&s->heads, c->log);
    enum err err = check_succeed(s, c, slot, why);
    if (err != ERR_OK) {
        return err;
    }
    struct group g;
    struct buf entry = BUF_INIT;
    struct touched *own = NULL;
    group_init(&g, s);
    if (s->env.keyring != NULL) {
        /* Entries with wrapped keys may have been lost. */
        err = keyring_owe_again(s->env.keyring, why);
    }
    if (err == ERR_OK) {
        err = fill(&g, c, slot, &entry, &own, why);
    }
    int64_t salvaged = g.salvaged;
    if (err == ERR_OK) {
        err = group_commit(&g, why);
    }
    if (err == ERR_OK) {
        assert(own != NULL); /* fill() opened it */
        own_log_is(s, own->slot);
        if (waits_for_parent(s, slot)) {
            atomic_store(&s->awaits_parent, true);
        }
        (void)pthread_mutex_lock(&s->heads.lock);
        s->hold.active = s->hold.active && !is_held(s, slot);
        (void)pthread_mutex_unlock(&s->heads.lock);
        char text[2][LOG_ID_TEXT_MAX];
        log_id_format(&slot->log, text[0]);
        log_id_format(&own->slot->log, text[1]);
        log_warn(&s->log, "STORE-SUCCEED",
                 "log=%s kept=%llu goal=%llu set_aside=%lld successor=%s",
                 text[0], (unsigned long long)c->common,
                 (unsigned long long)c->peer_size, (long long)salvaged,
                 text[1]);
    }
    cache_clear(&s->cache);
    group_fini(&g);
    buf_fini(&entry);
    if (err == ERR_OK) {
        recover_recount_issues(s);
    }
    return err;
}

enum err store_succeed(struct store *store, const struct log_id *log,
                       uint64_t common, uint64_t peer_size,
                       const struct hash *peer_root, struct slice note,
                       struct errmsg *why)
{
    struct succeed c = {.log = log,
                        .common = common,
                        .peer_size = peer_size,
                        .peer_root = peer_root,
                        .note = note};
    return writer_job(store, do_succeed, &c, why);
}

/* ---- what cannot come back ---- */

struct end_pull {
    const struct log_id *log;
    bool known_above;
};

static void end_at_frontier(struct group *g, struct touched *t,
                            const struct end_pull *c)
{
    struct store_head *h = &t->head.h;
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&t->slot->log, log);
    log_error(&g->s->log, "STORE-GAP",
              "log=%s kept=%llu signed=%llu cause=\"the parent holds no more "
              "of it\" effect=\"the entries between are lost\"",
              log, (unsigned long long)h->frontier.size,
              (unsigned long long)h->newest.size);
    group_put_issue(g, t->slot, h->frontier.size + 1, REASON_LOST);
    t->head.limit = h->frontier.size;
    t->head.limit_root = h->root;
    h->state = h->frontier.size > 0 ? LOG_CLOSED : LOG_ABSENT;
    t->dirty = true;
    /* The hashes that lead to the newest head were to come with the entries.
     * Where that head is known above, another must not contradict it. */
    t->sign = h->state == LOG_CLOSED && !c->known_above &&
              h->bridge.size != h->newest.size;
}

static enum err do_end_pull(struct store *s, void *ctx, struct errmsg *why)
{
    const struct end_pull *c = ctx;
    struct log_slot *slot = heads_find(&s->heads, c->log);
    if (slot == NULL || slot->state != LOG_PULLING) {
        return ERR_OK;
    }
    struct group g;
    struct touched *t;
    group_init(&g, s);
    enum err err = group_touch(&g, slot, &t, why);
    if (err == ERR_OK) {
        end_at_frontier(&g, t, c);
        err = group_commit(&g, why);
    }
    group_fini(&g);
    return err;
}

enum err store_end_pull(struct store *store, const struct log_id *log,
                        bool known_above, struct errmsg *why)
{
    struct end_pull c = {log, known_above};
    return writer_job(store, do_end_pull, &c, why);
}

/* ---- more of what came back ---- */

struct resume {
    const struct log_id *log;
    uint64_t size;
    const struct hash *root;
};

/* Does this log follow the one with that incarnation? */
static enum err follows(struct log_slot *slot, uint64_t incarnation,
                        bool *follows, struct errmsg *why)
{
    struct buf bytes = BUF_INIT;
    struct entry e;
    struct entry_open open;
    enum err err = slot_entry(slot, 1, &bytes);
    if (err != ERR_OK) {
        (void)err_set(why, err, "the first entry of an own log cannot be read");
    }
    *follows = err == ERR_OK && entry_decode(buf_slice(&bytes), &e) == ERR_OK &&
               entry_open_decode(&e, &open) == ERR_OK &&
               open.prev_incarnation == incarnation;
    buf_fini(&bytes);
    return err;
}

/* Has an own log its end from one that follows it? Then it stays as it is. */
static enum err check_open_ended(struct store *s, const struct log_id *log,
                                 struct errmsg *why)
{
    enum err err = ERR_OK;
    bool ends = false;
    for (uint32_t id = 1; err == ERR_OK && !ends && id < heads_ids(&s->heads);
         id++) {
        struct log_slot *slot = heads_at(&s->heads, id);
        if (slot != NULL && slot->own && slot->size > 0 &&
            slot->log.kind == log->kind) {
            err = follows(slot, log->incarnation, &ends, why);
        }
    }
    return ends
               ? err_set(why, ERR_EXISTS, "a log that follows it names its end")
               : err;
}

static enum err check_resume(struct store *s, const struct resume *c,
                             const struct log_slot *slot, struct errmsg *why)
{
    if (slot == NULL || !slot->own || slot->log.kind != LOG_RECORDS) {
        return err_set(why, ERR_NOT_FOUND, "not a log of this node");
    }
    if (slot->state != LOG_CLOSED || c->size <= slot->size) {
        return err_set(why, ERR_INVALID, "it is not closed below that size");
    }
    return check_open_ended(s, c->log, why);
}

static enum err do_resume(struct store *s, void *ctx, struct errmsg *why)
{
    const struct resume *c = ctx;
    struct log_slot *slot = heads_find(&s->heads, c->log);
    enum err err = check_resume(s, c, slot, why);
    if (err != ERR_OK) {
        return err;
    }
    struct group g;
    struct touched *t;
    group_init(&g, s);
    err = group_touch(&g, slot, &t, why);
    if (err == ERR_OK) {
        /* If it had been given up here, that is no gap any more. */
        s->backend->del_issue(g.batch, g.rows.generation, slot->id,
                              slot->size + 1);
        t->head.h.state = LOG_PULLING;
        t->head.limit = c->size;
        t->head.limit_root = *c->root;
        t->dirty = true;
        err = group_commit(&g, why);
    }
    group_fini(&g);
    if (err == ERR_OK) {
        recover_recount_issues(s);
    }
    return err;
}

enum err store_resume_pull(struct store *store, const struct log_id *log,
                           uint64_t size, const struct hash *root,
                           struct errmsg *why)
{
    struct resume c = {log, size, root};
    return writer_job(store, do_resume, &c, why);
}

/* ---- appending what was set aside ---- */

struct gather {
    struct store *s;
    struct buf bytes;
    struct slice at[SALVAGE_TURN]; /* offsets until all are there */
    uint64_t seq[SALVAGE_TURN];
    size_t n;
};

static bool on_salvage(void *ctx, uint64_t seq, struct slice entry)
{
    struct gather *w = ctx;
    if (w->n == SALVAGE_TURN || w->bytes.len > SALVAGE_TURN_BYTES) {
        return false;
    }
    w->seq[w->n] = seq;
    w->at[w->n] = slice_of(NULL, entry.len);
    w->n++;
    buf_put_slice(&w->bytes, entry);
    return true;
}

static struct item *gathered_item(struct store *s, struct gather *w)
{
    size_t offset = 0;
    for (size_t i = 0; i < w->n; i++) {
        w->at[i].data = w->bytes.data + offset;
        offset += w->at[i].len;
    }
    struct item *item = item_submission(w->at, w->n);
    item->salvage = mem_dup(w->seq, w->n * sizeof(w->seq[0]));
    const struct log_id own = heads_at(&s->heads, atomic_load(&s->own_id))->log;
    for (size_t i = 0; i < w->n; i++) {
        struct slot slot = {.entry = item->drafts[i]};
        index_judge(s, &own, 0, &slot, &item->judged[i]);
    }
    return item;
}

struct item *salvage_next(struct store *s, enum err *err, struct errmsg *why)
{
    struct item *item = NULL;
    struct gather *w = MEM_NEW(struct gather);
    *err = s->backend->salvage(s->db, s->salvage_from, on_salvage, w, why);
    if (*err == ERR_OK && w->n > 0) {
        s->salvage_from = w->seq[0];
        item = gathered_item(s, w);
    } else if (*err == ERR_OK) {
        s->salvaged = 0;
    }
    buf_fini(&w->bytes);
    mem_free(w);
    return item;
}

static bool on_count(void *ctx, uint64_t seq, struct slice entry)
{
    struct store *s = ctx;
    (void)entry;
    s->salvaged++;
    s->salvage_seq = seq + 1;
    return true;
}

/* What a log in doubt had is set aside under its numbers, as far as it could be
 * read, and goes by number when its holder gives it back. What is entered
 * meanwhile comes behind any number that it may have had. */
enum err salvage_load(struct store *s, struct errmsg *why)
{
    static const uint64_t numbers = UINT64_C(1) << 48;
    enum err err = s->backend->salvage(s->db, 0, on_count, s, why);
    if (s->hold.active && s->salvage_seq < s->hold.base + numbers) {
        s->salvage_seq = s->hold.base + numbers;
    }
    return err;
}

/* ---- forks ---- */

struct fork_call {
    const struct log_id *log;
    struct slice note;
    const char *reason;
};

/* An own log may have got a successor since somebody weighed the other head:
 * what it contradicted then may be what comes back now, or has. */
static enum err look_settled(struct store *s, const struct store_head *head,
                             struct slice other_note, bool *settled)
{
    struct checkpoint other;
    struct hash root;
    *settled = false;
    if (!head->own ||
        checkpoint_parse(other_note, s->federation, &other) != ERR_OK) {
        return ERR_OK;
    }
    if (other.size <= head->frontier.size) {
        struct tree_view view = store_view(s, head);
        view.node = store_tree_node; /* judged is what is stored */
        enum err err = tree_root(&view, other.size, &root);
        *settled = err == ERR_OK && hash_eq(&root, &other.root);
        return err_is_passing(err) ? err : ERR_OK;
    }
    *settled = head->state == LOG_PULLING &&
               (other.size < head->newest.size ||
                (other.size == head->newest.size &&
                 hash_eq(&other.root, &head->newest.root)));
    return ERR_OK;
}

static enum err do_fork(struct store *s, void *ctx, struct errmsg *why)
{
    const struct fork_call *c = ctx;
    struct log_slot *slot = heads_find(&s->heads, c->log);
    if (slot == NULL || slot->state == LOG_ABSENT) {
        return ERR_NOT_FOUND;
    }
    if (slot->state == LOG_FORKED) {
        return ERR_OK;
    }
    struct group g;
    struct touched *t;
    bool settled;
    group_init(&g, s);
    enum err err = group_touch(&g, slot, &t, why);
    if (err == ERR_OK) {
        err = look_settled(s, &t->head.h, c->note, &settled);
    }
    if (err == ERR_OK && settled) {
        err = ERR_EXISTS;
    }
    if (err == ERR_OK) {
        group_fork(&g, t, c->note, c->reason);
        err = group_commit(&g, why);
    }
    if (err == ERR_OK) {
        writer_tell(s, &g);
    }
    group_fini(&g);
    return err;
}

enum err store_mark_forked(struct store *store, const struct log_id *log,
                           struct slice other_note, const char *reason)
{
    struct errmsg why;
    struct fork_call c = {log, other_note, reason};
    if (other_note.len > CHECKPOINT_MAX) {
        return ERR_TOO_LARGE;
    }
    return writer_job(store, do_fork, &c, &why);
}
