#include "base/log.h"
#include "base/mem.h"
#include "store/store_lists.h"

/* ---- judging anew ---- */

struct judging {
    struct group *g;
    struct touched *t;
};

static void on_judged_entry(struct walk *w, uint64_t number,
                            const struct slot *slot)
{
    struct judging *j = w->ctx;
    struct hash leaf = slot->leaf;
    if (slot->entry.data != NULL) {
        suite_hash_leaf(j->g->s->env.suite, slot->entry, &leaf);
    }
    lists_take(j->g, j->t, number, slot, &leaf);
}

/* Entries 1 to `size`, into the group's lists_working state. */
static enum err judge_prefix(struct group *g, struct touched *t, uint64_t size,
                             struct errmsg *why)
{
    struct judging j = {g, t};
    struct walk w = {.slot = t->slot,
                     .next = 1,
                     .size = size,
                     .entry = on_judged_entry,
                     .ctx = &j};
    bool before = g->judge_only;
    struct lists_ends ends;
    struct lists_ends *ends_before = g->ends;
    enum err err = lists_look_at_ends(t->slot, size, &ends, why);
    lists_free(&t->lists);
    t->lists = lists_new(g->s);
    g->judge_only = true;
    g->ends = &ends;
    w.codec = codec_take(&g->s->cache);
    while (err == ERR_OK && w.next <= w.size) {
        err = walk_run(&w, why);
    }
    codec_give(&g->s->cache, w.codec);
    g->judge_only = before;
    g->ends = ends_before;
    mem_free(ends.misfits);
    return err;
}

static void note_change(const struct group *g, const struct touched *t)
{
    const struct lists *before = t->slot->lists;
    char log[LOG_ID_TEXT_MAX];
    if (before != NULL && before->visible == t->lists->visible &&
        before->voids_n == t->lists->voids_n) {
        return;
    }
    log_id_format(&t->slot->log, log);
    log_warn(&g->s->log, "LISTS-JUDGED",
             "log=%s counts_to=%llu before=%llu roots=%llu", log,
             (unsigned long long)t->lists->visible,
             (unsigned long long)(before != NULL ? before->visible : 0),
             (unsigned long long)t->lists->roots);
}

static enum err judge_log(struct store *s, struct log_slot *slot,
                          uint8_t generation, bool rows_anew,
                          struct errmsg *why)
{
    struct group g;
    struct touched *t;
    group_init(&g, s);
    g.rows.generation = generation;
    g.rows_anew = rows_anew;
    enum err err = group_touch(&g, slot, &t, why);
    if (err == ERR_OK) {
        err = judge_prefix(&g, t, slot->size, why);
    }
    if (err == ERR_OK) {
        note_change(&g, t);
        t->dirty = true;
        g.lists_move = true;
        g.nodes_move = true;
        g.rules_move = true;
        g.issues = 0; /* counted anew by the caller */
        err = group_commit(&g, why);
    }
    if (err == ERR_OK) {
        writer_tell(s, &g);
    }
    group_fini(&g);
    return err;
}

enum err lists_judge(struct store *s, struct log_slot *slot, uint8_t generation,
                     struct errmsg *why)
{
    return judge_log(s, slot, generation, false, why);
}

/* What did not count since the same counted elsewhere is old, too, if that
 * counts no more. */
static bool is_old(struct store *s, const struct log_slot *slot)
{
    return slot->lists == NULL ||
           slot->lists->roots != lists_roots_version(s) ||
           lists_lost_alias(s, slot);
}

static enum err judge_all_old(struct store *s, struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < s->heads.n; i++) {
        struct log_slot *slot = s->heads.sorted[i];
        if (slot->log.kind == LOG_DIRECTIVES && slot->state != LOG_ABSENT &&
            is_old(s, slot)) {
            err = lists_judge(s, slot, atomic_load(&s->generation), why);
        }
    }
    return err;
}

/* The logs that were judged by another version of the root document. Twice: of
 * two that have one package the first is judged by what the other was. */
enum err lists_judge_old(struct store *s, struct errmsg *why)
{
    enum err err = judge_all_old(s, why);
    return err == ERR_OK ? judge_all_old(s, why) : err;
}

/* ---- what an earlier build did not know ---- */

struct unknown {
    uint32_t log;
    uint64_t number;
    uint8_t reason;
    bool found;
};

/* Stops at the next one of the log. */
static bool on_unknown(void *ctx, uint32_t log, uint64_t number, uint8_t reason)
{
    struct unknown *u = ctx;
    u->found = log == u->log && reason_is_of_build(reason);
    u->number = number;
    u->reason = reason;
    return log == u->log && !u->found;
}

static bool is_known_now(struct store *s, struct log_slot *slot,
                         const struct unknown *u)
{
    struct buf bytes = BUF_INIT;
    struct entry e;
    bool known = false;
    if (slot_entry(slot, u->number, &bytes) == ERR_OK) {
        enum err decoded = entry_decode(buf_slice(&bytes), &e);
        known =
            lists_judge_content(s, slot, &e, decoded) != (enum reason)u->reason;
    }
    buf_fini(&bytes);
    return known;
}

/* Is there an entry without effect and row that would have them by now? */
static enum err look_for_known(struct store *s, struct log_slot *slot,
                               bool *found, struct errmsg *why)
{
    struct unknown u = {.log = slot->id};
    enum err err = ERR_OK;
    *found = false;
    do {
        u.found = false;
        err = s->backend->issues(s->db, atomic_load(&s->generation), slot->id,
                                 u.number + 1, on_unknown, &u, why);
        *found = err == ERR_OK && u.found && is_known_now(s, slot, &u);
    } while (err == ERR_OK && u.found && !*found);
    return err;
}

/* Of a package of which a build did not know an entry the others count. */
static enum err judge_known(struct store *s, struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < s->heads.n; i++) {
        struct log_slot *slot = s->heads.sorted[i];
        bool found = false;
        if (slot->log.kind == LOG_DIRECTIVES && slot->state != LOG_ABSENT) {
            err = look_for_known(s, slot, &found, why);
        }
        if (err == ERR_OK && found) {
            err = judge_log(s, slot, atomic_load(&s->generation), true, why);
        }
    }
    return err;
}

static bool load_lists(void *ctx, uint32_t id, struct slice value)
{
    struct store *s = ctx;
    struct log_slot *slot = heads_at(&s->heads, id);
    if (slot != NULL) {
        lists_free(&slot->lists);
        slot->lists = lists_decode(value); /* NULL: judged anew */
    }
    return true;
}

enum err lists_read(struct store *s, struct errmsg *why)
{
    return s->backend->parts(s->db, PART_LISTS, load_lists, s, why);
}

enum err lists_follow(struct store *s, uint32_t id, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    struct log_slot *slot = heads_at(&s->heads, id);
    enum err err = s->backend->part(s->db, id, PART_LISTS, &value, why);
    if (err == ERR_OK && slot != NULL) {
        struct lists *lists = lists_decode(buf_slice(&value));
        (void)pthread_mutex_lock(&s->heads.lock);
        struct lists *before = slot->lists;
        slot->lists = lists;
        (void)pthread_mutex_unlock(&s->heads.lock);
        lists_free(&before);
    }
    buf_fini(&value);
    return err;
}

enum err lists_load(struct store *s, struct errmsg *why)
{
    enum err err = lists_read(s, why);
    if (err == ERR_OK) {
        err = lists_judge_old(s, why);
    }
    if (err == ERR_OK) {
        err = judge_known(s, why);
    }
    /* With a full disk what was judged before serves until there is room. */
    return err == ERR_NO_SPACE ? ERR_OK : err;
}

static enum err do_judge_again(struct store *s, void *ctx, struct errmsg *why)
{
    (void)ctx;
    enum err err = lists_judge_old(s, why);
    if (err == ERR_OK) {
        recover_recount_issues(s);
    }
    return err;
}

enum err store_judge_again(struct store *store, struct errmsg *why)
{
    return writer_job(store, do_judge_again, NULL, why);
}

/* ---- cutting ---- */

/* The rows of entries past `size` go; what counts is found anew. */
enum err lists_cut(struct group *g, struct touched *t, uint64_t size,
                   struct errmsg *why)
{
    struct buf bytes = BUF_INIT;
    enum err err = ERR_OK;
    for (uint64_t n = t->slot->size; err == ERR_OK && n > size; n--) {
        struct list_row row;
        buf_clear(&bytes);
        err = slot_entry(t->slot, n, &bytes);
        struct slot one = {.entry = buf_slice(&bytes)};
        if (err == ERR_OK) {
            lists_row(t->slot, n, &one, &row);
            g->s->backend->del_issue(g->batch, g->rows.generation, t->slot->id,
                                     n);
        }
        if (err == ERR_OK && row.number != 0) {
            g->s->backend->del_list_row(g->batch, g->rows.generation, &row);
            g->lists_written = true;
        }
    }
    buf_fini(&bytes);
    if (err != ERR_OK) {
        return err_set(why, err, "directives behind %llu cannot be read",
                       (unsigned long long)size);
    }
    g->lists_move = true;
    g->nodes_move = true;
    g->rules_move = true;
    return judge_prefix(g, t, size, why);
}
