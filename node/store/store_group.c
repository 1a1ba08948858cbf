#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_lists.h"

/* Places of what the store fills in (entry.h). */
enum { VERSION_AT = 32, PREV_INCARNATION_AT = 36, PREV_NUMBER_AT = 44 };

void group_init(struct group *g, struct store *s)
{
    *g = (struct group){.s = s, .salvage_next = s->salvage_seq};
    g->rows.generation = atomic_load(&s->generation);
    g->batch = s->backend->batch_new(s->db);
}

void group_fini(struct group *g)
{
    for (size_t i = 0; i < g->touched_n; i++) {
        g->touched[i]->slot->touched = NULL;
        buf_fini(&g->touched[i]->own_note);
        lists_free(&g->touched[i]->lists);
        mem_free(g->touched[i]);
    }
    mem_free(g->touched);
    row_map_fini(&g->rows);
    buf_fini(&g->packed);
    mem_free(g->packages);
    mem_free(g->list_rows);
    mem_free(g->nodes);
    g->s->backend->batch_free(g->batch);
}

/* ---- logs of the group ---- */

/* A flipped bit in memory must not get signed. */
static enum err check_head(const struct touched *t, enum suite suite,
                           struct errmsg *why)
{
    struct hash root;
    frontier_root(&t->head.h.frontier, suite, &root);
    if (hash_eq(&root, &t->head.h.root)) {
        return ERR_OK;
    }
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&t->slot->log, log);
    return err_set(why, ERR_CORRUPT,
                   "log %s: the head in memory no longer fits its root", log);
}

static enum err prove(struct store *s, struct log_slot *slot,
                      const struct store_head *h, struct errmsg *why)
{
    enum err err = recover_check_head(s, slot, h, why);
    slot->unproven = err != ERR_OK;
    if (err == ERR_CORRUPT) {
        store_damaged(s, why->text);
    }
    return err;
}

enum err group_touch(struct group *g, struct log_slot *slot,
                     struct touched **out, struct errmsg *why)
{
    *out = slot->touched;
    if (*out != NULL) {
        return ERR_OK;
    }
    enum suite suite = g->s->env.suite;
    struct touched *t = MEM_NEW(struct touched);
    t->slot = slot;
    enum err err = ERR_OK;
    if (slot->coded.len == 0) {
        t->head.h.log = slot->log;
        t->head.h.own = slot->log.origin == g->s->env.self;
        frontier_root(&t->head.h.frontier, suite, &t->head.h.root);
    } else {
        err = head_decode(buf_slice(&slot->coded), &t->head);
        if (err == ERR_OK) {
            err = check_head(t, suite, why);
        }
        if (err == ERR_OK && slot->unproven) {
            err = prove(g->s, slot, &t->head.h, why);
        }
    }
    if (err != ERR_OK) {
        mem_free(t);
        return err;
    }
    g->touched =
        mem_realloc(g->touched, (g->touched_n + 1) * sizeof(struct touched *));
    g->touched[g->touched_n++] = t;
    slot->touched = t;
    *out = t;
    return ERR_OK;
}

void group_fork(struct group *g, struct touched *t, struct slice other_note,
                const char *reason)
{
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&t->slot->log, log);
    log_error(&g->s->log, "STORE-FORKED", "log=%s size=%llu cause=\"%s\"", log,
              (unsigned long long)t->head.h.frontier.size, reason);
    struct buf value = BUF_INIT;
    buf_put_u16(&value, (uint16_t)strlen(reason));
    buf_put_str(&value, reason);
    buf_put_slice(&value, other_note);
    g->s->backend->put_part(g->batch, t->slot->id, PART_FORK,
                            buf_slice(&value));
    buf_fini(&value);
    t->head.h.state = LOG_FORKED;
    t->dirty = true;
}

/* ---- tree nodes ---- */

void group_put_node(struct group *g, uint32_t log, unsigned level,
                    uint64_t index, const struct hash *hash)
{
    g->s->backend->put_node(g->batch, log, level, index, hash);
    if (!g->s->backend->distant) {
        return;
    }
    if (g->nodes_n == g->nodes_room) {
        g->nodes_room = g->nodes_room > 0 ? 2 * g->nodes_room : 64;
        g->nodes = mem_realloc(g->nodes, g->nodes_room * sizeof *g->nodes);
    }
    g->nodes[g->nodes_n++] = (struct tree_new){*hash, index, log, level};
}

/* ---- own entries ---- */

struct emit {
    struct group *g;
    uint32_t log;
};

static void on_node(void *ctx, unsigned level, uint64_t index,
                    const struct hash *hash)
{
    struct emit *e = ctx;
    group_put_node(e->g, e->log, level, index, hash);
}

static void flush_pending(struct group *g)
{
    if (g->pending_n == 0) {
        return;
    }
    struct touched *t = g->pending_log;
    uint64_t first = t->head.h.frontier.size - g->pending_n + 1;
    buf_clear(&g->packed);
    block_pack(g->s->codec, g->pending, g->pending_n, &g->packed);
    g->s->backend->put_block(g->batch, t->slot->id, first,
                             buf_slice(&g->packed));
    g->pending_n = 0;
}

uint64_t group_append_own(struct group *g, struct touched *t,
                          struct slice bytes)
{
    if (g->pending_n == BLOCK_ENTRIES_MAX || g->pending_log != t) {
        flush_pending(g);
    }
    struct hash leaf;
    suite_hash_leaf(g->s->env.suite, bytes, &leaf);
    struct emit emit = {g, t->slot->id};
    frontier_append(&t->head.h.frontier, g->s->env.suite, &leaf, on_node,
                    &emit);
    g->pending[g->pending_n++] = (struct slot){.entry = bytes};
    g->pending_log = t;
    t->dirty = true;
    t->sign = true;
    return t->head.h.frontier.size;
}

/* ---- submissions ---- */

static bool same_content(const struct row *a, const struct row *b)
{
    return a->has_digest && b->has_digest &&
           memcmp(a->digest, b->digest, DIGEST_LEN) == 0 &&
           a->item == b->item && a->status == b->status &&
           a->disclosure == b->disclosure && a->decided == b->decided &&
           a->until == b->until && a->publish_until == b->publish_until;
}

static void set_result(const struct group *g, struct draft_result *out,
                       enum draft_outcome outcome, const struct row *row)
{
    *out = (struct draft_result){
        .outcome = outcome,
        .version = row->version,
        .log = heads_at(&g->s->heads, row->log)->log,
        .number = row->number,
    };
}

/* The row that the draft's record has now, under its new or old subject. */
static const struct row *current_row(struct group *g, const struct judged *j)
{
    const struct row *row = &row_map_get(&g->rows, &j->row.key)->row;
    if (j->has_prev) {
        const struct row *prev = &row_map_get(&g->rows, &j->prev)->row;
        row = prev->version > row->version ? prev : row;
    }
    return row->version > 0 ? row : NULL;
}

static void append_record(struct group *g, struct touched *t, uint8_t *bytes,
                          size_t len, struct judged *j,
                          struct draft_result *result)
{
    const struct row *cur = current_row(g, j);
    if (cur != NULL && (j->only_new || (!cur->moved && !j->has_prev &&
                                        same_content(cur, &j->row)))) {
        set_result(g, result, DRAFT_UNCHANGED, cur);
        return;
    }
    j->row.version = cur != NULL ? cur->version + 1 : 1;
    uint64_t prev_incarnation =
        cur != NULL ? heads_at(&g->s->heads, cur->log)->log.incarnation : 0;
    be_put32(bytes + VERSION_AT, j->row.version);
    be_put64(bytes + PREV_INCARNATION_AT, prev_incarnation);
    be_put64(bytes + PREV_NUMBER_AT, cur != NULL ? cur->number : 0);
    bool changed = cur != NULL;
    j->row.log = t->slot->id;
    j->row.number = group_append_own(g, t, slice_of(bytes, len));
    set_result(g, result, changed ? DRAFT_CHANGED : DRAFT_NEW, &j->row);
    group_index(g, t->slot, j->row.number, j);
}

static void append_draft(struct group *g, struct touched *t, struct item *item,
                         size_t i)
{
    struct slice draft = item->drafts[i];
    uint8_t *bytes = item->raw.data + (draft.data - item->raw.data);
    if (item->judged[i].indexed) {
        append_record(g, t, bytes, draft.len, &item->judged[i],
                      &item->results[i]);
        return;
    }
    item->results[i] =
        (struct draft_result){.outcome = DRAFT_NEW, .log = t->slot->log};
    item->results[i].number = group_append_own(g, t, draft);
    group_index(g, t->slot, item->results[i].number, &item->judged[i]);
}

static void set_aside(struct group *g, struct item *item)
{
    for (size_t i = 0; i < item->entries; i++) {
        g->s->backend->put_salvage(g->batch, g->salvage_next++,
                                   item->drafts[i]);
        item->results[i] = (struct draft_result){.outcome = DRAFT_PENDING};
    }
    g->salvaged += (int64_t)item->entries;
}

static void take_submission(struct group *g, struct item *item)
{
    struct store *s = g->s;
    struct touched *t;
    struct errmsg why;
    enum err err =
        group_touch(g, heads_at(&s->heads, atomic_load(&s->own_id)), &t, &why);
    if (err != ERR_OK) {
        item_fail(item, err, "%s", why.text);
        return;
    }
    if (t->head.h.state != LOG_ACTIVE) {
        item_fail(item, ERR_FORKED, "this node's own log is stopped: %s",
                  log_state_name(t->head.h.state));
        return;
    }
    if (item->salvage == NULL &&
        (s->pulling > 0 || s->salvaged > 0 || s->hold.active ||
         atomic_load(&s->awaits_parent))) {
        set_aside(g, item);
        sources_put(g, item);
        return;
    }
    for (size_t i = 0; i < item->entries; i++) {
        append_draft(g, t, item, i);
        if (item->salvage != NULL) {
            s->backend->del_salvage(g->batch, item->salvage[i]);
            g->salvaged--;
        }
    }
    sources_put(g, item);
}

/* ---- segments ---- */

static bool frontier_eq(const struct frontier *a, const struct frontier *b)
{
    if (a->size != b->size) {
        return false;
    }
    size_t n = (size_t)__builtin_popcountll(a->size);
    return memcmp(a->node, b->node, n * sizeof(a->node[0])) == 0;
}

static void conflict(const struct group *g, struct item *item, uint64_t size)
{
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&item->segment->log, log);
    log_error(&g->s->log, "STORE-CONFLICT",
              "log=%s first=%llu count=%zu size=%llu", log,
              (unsigned long long)item->segment->first, item->segment->count,
              (unsigned long long)size);
    item_fail(item, ERR_CONFLICT,
              "log %s: other entries under numbers that are stored already",
              log);
}

static bool checkpoint_newer(const struct checkpoint *a,
                             const struct checkpoint *b)
{
    return a->size > b->size || (a->size == b->size && a->at_ms > b->at_ms);
}

/* The newest head that was signed stays: another way may have brought it while
 * this run was under way. */
static void adopt_note(struct touched *t, struct segment *seg)
{
    t->dirty = true;
    if (!t->head.h.own && !checkpoint_newer(&seg->newest, &t->head.h.newest)) {
        t->head.h.bridge = seg->bridge; /* of the same size: see grow_log() */
        return;
    }
    t->head.h.newest = seg->newest;
    t->head.h.bridge = seg->bridge;
    t->note = buf_slice(&seg->note);
    if (seg->chain.len > 0) {
        t->chain = buf_slice(&seg->chain);
    }
}

/* All of the run is here already: by root, without reading entries. */
static void take_known(struct group *g, struct item *item, struct touched *t)
{
    struct segment *seg = item->segment;
    struct store_head *h = &t->head.h;
    struct tree_view view = slot_view(t->slot, h->frontier.size);
    struct hash ours;
    struct hash theirs;
    frontier_root(&seg->after, g->s->env.suite, &theirs);
    enum err err = tree_root(&view, seg->after.size, &ours);
    if (err != ERR_OK) {
        item_fail(item, err, "%s", "the tree here cannot be read");
    } else if (!hash_eq(&ours, &theirs)) {
        conflict(g, item, h->frontier.size);
    } else if (seg->after.size == h->frontier.size && h->state != LOG_FORKED &&
               checkpoint_newer(&seg->newest, &h->newest)) {
        adopt_note(t, seg);
    }
}

/* Blocks that hold new entries only stay as they came. */
static void put_blocks(struct group *g, const struct touched *t,
                       const struct segment *seg, uint64_t from)
{
    const struct backend *b = g->s->backend;
    for (size_t i = 0; i < seg->refs_count; i++) {
        const struct block_ref *ref = &seg->refs[i];
        uint64_t end = ref->first + ref->count;
        if (ref->first >= from) {
            b->put_block(g->batch, t->slot->id, ref->first,
                         slice_of(seg->blocks.data + ref->offset, ref->len));
        } else if (end > from) {
            buf_clear(&g->packed);
            block_pack(g->s->codec, &seg->slots[from - seg->first],
                       (size_t)(end - from), &g->packed);
            b->put_block(g->batch, t->slot->id, from, buf_slice(&g->packed));
        }
    }
}

/* What the entry says of a log of the same origin that ends before it. */
static bool names_end(const struct segment *seg, struct entry_open *out)
{
    struct entry e;
    return entry_decode(seg->slots[0].entry, &e) == ERR_OK &&
           e.type == ENTRY_OPEN && entry_open_decode(&e, out) == ERR_OK &&
           out->prev_incarnation != 0 &&
           out->prev_incarnation != seg->log.incarnation;
}

/* Of two processes of one node each opens a successor of its own, and they may
 * name two ends: past the earlier one the log does not go. */
static bool ends_earlier(const struct head *head, const struct entry_open *open)
{
    return head->limit == 0 || open->prev_size < head->limit;
}

/* Is what is held of the log neither that end nor a beginning of it? */
static bool is_past_end(const struct group *g, const struct head *head,
                        const struct entry_open *open)
{
    struct hash root;
    uint64_t size = head->h.frontier.size;
    frontier_root(&head->h.frontier, g->s->env.suite, &root);
    return size > open->prev_size ||
           (size == open->prev_size &&
            memcmp(root.b, open->prev_root, HASH_LEN) != 0);
}

/* The opening of a log says where its predecessor ends. */
static void limit_predecessor(struct group *g, struct touched *t,
                              const struct segment *seg)
{
    struct entry_open open;
    if (!names_end(seg, &open)) {
        return;
    }
    struct log_id id = t->slot->log;
    id.incarnation = open.prev_incarnation;
    struct touched *prev;
    struct errmsg why;
    if (group_touch(g, heads_add(g->s, &id), &prev, &why) != ERR_OK) {
        return;
    }
    struct head *head = &prev->head;
    if (head->h.own && head->h.state != LOG_ABSENT) {
        return; /* put back too: it gets its end when it is succeeded */
    }
    bool first = head->limit == 0;
    bool past = is_past_end(g, head, &open);
    if (ends_earlier(head, &open)) {
        head->limit = open.prev_size;
        memcpy(head->limit_root.b, open.prev_root, HASH_LEN);
        prev->dirty = true;
    }
    if (head->h.state != LOG_FORKED && past) {
        group_fork(g, prev, buf_slice(&seg->note),
                   "its successor names another end");
    } else if (head->h.state == LOG_FORKED && !past && first &&
               id.kind == LOG_DIRECTIVES) {
        /* Of the two histories its issuer says which one was real: this one,
         * or its beginning. What is to come must lead to that end. */
        head->h.state = LOG_ACTIVE;
    }
}

/* A copy of this node's own store: what is judged elsewhere was judged there,
 * and the outcome comes with the heads (store_copy.c). */
static bool is_copy(const struct group *g)
{
    return g->s->role == ROLE_COPY;
}

static void index_segment(struct group *g, struct item *item, struct touched *t,
                          uint64_t from)
{
    const struct segment *seg = item->segment;
    bool lists = seg->log.kind == LOG_DIRECTIVES;
    for (uint64_t n = from; n < seg->first + seg->count; n++) {
        size_t i = (size_t)(n - seg->first);
        if (lists) {
            lists_take(g, t, n, &seg->slots[i], &seg->leaves[i]);
        } else {
            group_index(g, t->slot, n, &item->judged[i]);
        }
    }
    if (from == 1 && seg->slots[0].entry.data != NULL && !is_copy(g)) {
        limit_predecessor(g, t, seg);
    }
}

/* An own log that this store did not know comes back from above: it is read
 * only, and whole at its newest checkpoint. */
static void begin_log(const struct group *g, struct touched *t,
                      const struct segment *seg)
{
    bool pulled = t->head.h.own && !is_copy(g);
    t->head.h.state = pulled ? LOG_PULLING : LOG_ACTIVE;
    if (pulled && t->head.limit == 0) {
        t->head.limit = seg->newest.size;
        t->head.limit_root = seg->newest.root;
    }
}

/* May the log grow to `after`? Says so in item->err. */
static bool may_grow(struct group *g, struct item *item, struct touched *t,
                     const struct frontier *after)
{
    struct hash root;
    frontier_root(after, g->s->env.suite, &root);
    if (t->head.limit == 0 || is_copy(g) || after->size < t->head.limit ||
        (after->size == t->head.limit && hash_eq(&root, &t->head.limit_root))) {
        return true;
    }
    if (!t->head.h.own) {
        group_fork(g, t, buf_slice(&item->segment->note),
                   "it grows past the end that its successor names");
    }
    item_fail(item, ERR_FORKED, "log ends at %llu, says its successor",
              (unsigned long long)t->head.limit);
    return false;
}

/* Tree nodes of a run that is not known to fit yet. */
struct node {
    struct hash hash;
    unsigned level;
    uint64_t index;
};
struct nodes {
    struct node *at;
    size_t n;
};

static void keep_node(void *ctx, unsigned level, uint64_t index,
                      const struct hash *hash)
{
    struct nodes *nodes = ctx;
    nodes->at[nodes->n++] = (struct node){*hash, level, index};
}

static void write_run(struct group *g, struct item *item, struct touched *t,
                      uint64_t from, const struct nodes *nodes)
{
    struct segment *seg = item->segment;
    struct store_head *h = &t->head.h;
    item->added = seg->after.size - h->frontier.size;
    if (h->state == LOG_ABSENT) {
        begin_log(g, t, seg);
    }
    h->frontier = seg->after;
    frontier_root(&seg->after, g->s->env.suite, &h->root);
    for (size_t i = 0; i < nodes->n; i++) {
        group_put_node(g, t->slot->id, nodes->at[i].level, nodes->at[i].index,
                       &nodes->at[i].hash);
    }
    put_blocks(g, t, seg, from);
    adopt_note(t, seg);
    index_segment(g, item, t, from);
}

/* A run completes fewer than one stored node per 15 entries, and the levels
 * above its last one. */
static size_t nodes_max(size_t entries)
{
    return entries / 15 + TREE_LEVELS / TREE_STRIDE + 1;
}

/* The head that is held is signed: the run that reaches its size, or comes
 * under a head of its size, must be of its tree, and one under an older head
 * cannot be shown to be. Own logs come back as their holder has them. */
static bool fits_newest(struct group *g, struct item *item, struct touched *t,
                        bool passes)
{
    const struct checkpoint *held = &t->head.h.newest;
    const struct checkpoint *theirs = &item->segment->newest;
    if (t->head.h.own || is_copy(g) || (passes && theirs->size > held->size)) {
        return true;
    }
    if (!passes ||
        (theirs->size == held->size && !hash_eq(&theirs->root, &held->root))) {
        group_fork(g, t, buf_slice(&item->segment->note),
                   "its origin signed two different heads of one size");
        item_fail(item, ERR_FORKED, "another head of size %llu was signed",
                  (unsigned long long)held->size);
        return false;
    }
    if (theirs->size < held->size) {
        item_fail(item, ERR_BUSY,
                  "a signed head of %llu entries came meanwhile: these come "
                  "with it",
                  (unsigned long long)held->size);
        return false;
    }
    return true;
}

static void grow_log(struct group *g, struct item *item, struct touched *t,
                     uint64_t from)
{
    const struct segment *seg = item->segment;
    enum suite suite = g->s->env.suite;
    const struct checkpoint *held = &t->head.h.newest;
    struct hash root;
    bool passes = true; /* through the head that is held */
    struct frontier *after = mem_dup(&t->head.h.frontier, sizeof(*after));
    struct nodes nodes = {
        mem_alloc(nodes_max(seg->count) * sizeof(struct node)), 0};
    for (uint64_t n = from; n < seg->first + seg->count; n++) {
        frontier_append(after, suite, &seg->leaves[n - seg->first], keep_node,
                        &nodes);
        if (n == held->size) {
            frontier_root(after, suite, &root);
            passes = hash_eq(&root, &held->root);
        }
    }
    if (!frontier_eq(after, &seg->after)) {
        item_fail(item, ERR_INVALID, "%s", "run does not add up to its end");
    } else if (bridge_root(after, suite, &seg->bridge, &root) != ERR_OK ||
               !hash_eq(&root, &seg->newest.root)) {
        item_fail(item, ERR_BAD_PROOF, "%s",
                  "run does not lead to its checkpoint");
    } else if (fits_newest(g, item, t, passes) && may_grow(g, item, t, after)) {
        write_run(g, item, t, from, &nodes);
    }
    mem_free(nodes.at);
    mem_free(after);
}

/* Is what overlaps the same? Own numbers are compared by frontier. */
static bool overlap_fits(struct group *g, const struct item *item,
                         const struct touched *t)
{
    const struct segment *seg = item->segment;
    struct frontier *f = mem_dup(&seg->before, sizeof(*f));
    while (f->size < t->head.h.frontier.size) {
        frontier_append(f, g->s->env.suite,
                        &seg->leaves[f->size + 1 - seg->first], NULL, NULL);
    }
    bool fits = frontier_eq(f, &t->head.h.frontier);
    mem_free(f);
    return fits;
}

static bool take_segment(struct group *g, struct item *item)
{
    struct segment *seg = item->segment;
    struct touched *t;
    struct errmsg why;
    enum err err = group_touch(g, heads_add(g->s, &seg->log), &t, &why);
    if (err != ERR_OK) {
        item_fail(item, err, "%s", why.text);
        return true;
    }
    const struct store_head *h = &t->head.h;
    uint64_t size = h->frontier.size;
    bool changed = t->dirty && size != t->slot->size;
    if (seg->before.size < size && changed) {
        return false;
    }
    if (seg->before.size > size) {
        item_fail(item, ERR_GAP, "the log has %llu entries here, not %llu",
                  (unsigned long long)size,
                  (unsigned long long)seg->before.size);
    } else if (seg->after.size <= size) {
        take_known(g, item, t);
    } else if (h->state == LOG_FORKED && !is_copy(g)) {
        item_fail(item, ERR_FORKED, "%s", "the log is stopped");
    } else if (h->own && h->state != LOG_PULLING && h->state != LOG_ABSENT &&
               !is_copy(g)) {
        item_fail(item, ERR_CONFLICT, "%s",
                  "this node's own log is longer elsewhere: it was rolled "
                  "back here");
    } else if (!overlap_fits(g, item, t)) {
        conflict(g, item, size);
    } else {
        grow_log(g, item, t, size + 1);
    }
    item->size = h->frontier.size;
    return true;
}

/* ---- items ---- */

/* A first version of another node's record is new, unless its origin tells the
 * same again in another log. */
static bool is_first(const struct store *s, const struct item *item,
                     const struct judged *j)
{
    return item->kind == ITEM_APPEND && j->row.version == 1 && !j->has_prev &&
           j->row.key.origin != s->env.self;
}

enum err group_read_rows(struct group *g, const struct item *items,
                         bool presume, struct errmsg *why)
{
    size_t from = g->rows.n;
    for (const struct item *item = items; item != NULL; item = item->next) {
        for (size_t i = 0; item->judged != NULL && i < item->entries; i++) {
            const struct judged *j = &item->judged[i];
            row_map_want(&g->rows, j, presume && is_first(g->s, item, j));
        }
    }
    return row_map_read(&g->rows, g->s, from, why);
}

bool group_take(struct group *g, struct item *item)
{
    if (item->kind == ITEM_APPEND) {
        return take_segment(g, item);
    }
    if (item->kind == ITEM_PUBLISH) {
        lists_publication(g, item);
        return true;
    }
    take_submission(g, item);
    return true;
}

/* ---- rows about lists ---- */

void group_put_list_row(struct group *g, const struct list_row *row)
{
    if (g->list_rows_n == g->list_rows_room) {
        g->list_rows_room = g->list_rows_room > 0 ? 2 * g->list_rows_room : 64;
        g->list_rows =
            mem_realloc(g->list_rows, g->list_rows_room * sizeof *g->list_rows);
    }
    g->list_rows[g->list_rows_n++] = *row;
    g->lists_written = true;
}

static int by_key(const void *a, const void *b)
{
    const struct list_row *x = a;
    const struct list_row *y = b;
    int c =
        (x->subject.len > y->subject.len) - (x->subject.len < y->subject.len);
    c = c != 0 ? c : memcmp(x->subject.b, y->subject.b, x->subject.len);
    c = c != 0 ? c : (x->log > y->log) - (x->log < y->log);
    return c != 0 ? c : (x->number > y->number) - (x->number < y->number);
}

/* Each has its place near that of the one before it. */
static void write_list_rows(struct group *g)
{
    if (g->list_rows_n == 0) {
        return;
    }
    qsort(g->list_rows, g->list_rows_n, sizeof *g->list_rows, by_key);
    for (size_t i = 0; i < g->list_rows_n; i++) {
        g->s->backend->put_list_row(g->batch, g->rows.generation,
                                    &g->list_rows[i]);
    }
    g->list_rows_n = 0;
}

/* ---- commit ---- */

/* Of heads of one size the one that was signed later is the newer one, at every
 * holder: also where the clock was put back since. */
static int64_t signing_time(const struct store_head *h)
{
    int64_t now_ms = clock_wall_ms();
    const struct checkpoint *before = &h->newest;
    bool rises = before->size != h->frontier.size || before->at_ms < now_ms ||
                 before->at_ms == INT64_MAX;
    return rises ? now_ms : before->at_ms + 1;
}

static enum err sign_own(struct group *g, struct touched *t, struct errmsg *why)
{
    struct store *s = g->s;
    struct store_head *h = &t->head.h;
    frontier_root(&h->frontier, s->env.suite, &h->root);
    h->newest = (struct checkpoint){.log = t->slot->log,
                                    .size = h->frontier.size,
                                    .root = h->root,
                                    .at_ms = signing_time(h)};
    h->bridge = (struct bridge){.size = h->frontier.size};
    enum err err = checkpoint_sign(&h->newest, s->federation, s->env.suite,
                                   s->env.signer, &t->own_note);
    if (err != ERR_OK) {
        return err_set(why, err,
                       "the head of this node's log cannot be "
                       "signed: check the signing key");
    }
    t->note = buf_slice(&t->own_note);
    if (!t->slot->chain_current) {
        t->chain = buf_slice(&s->env.signer->chain);
    }
    return ERR_OK;
}

/* A chain comes with each note and is another one once a year. */
static bool new_chain(const struct group *g, struct touched *t)
{
    if (t->chain.len == 0) {
        return false;
    }
    suite_hash(g->s->env.suite, t->chain, &t->chain_hash);
    return !hash_eq(&t->chain_hash, &t->slot->chain_hash);
}

static void put_touched(struct group *g, struct touched *t, struct buf *coded)
{
    const struct backend *b = g->s->backend;
    head_encode(&t->head, coded);
    b->put_part(g->batch, t->slot->id, PART_HEAD, buf_slice(coded));
    if (t->note.len > 0) {
        b->put_part(g->batch, t->slot->id, PART_NOTE, t->note);
    }
    if (new_chain(g, t)) {
        b->put_part(g->batch, t->slot->id, PART_CHAIN, t->chain);
    }
    lists_put(g, t);
}

/* Is the head that is held under another certificate than this node's? */
static bool by_other_chain(const struct group *g, const struct touched *t)
{
    const struct store *s = g->s;
    struct slice ours = buf_slice(&s->env.signer->chain);
    struct buf held = BUF_INIT;
    struct errmsg why;
    enum err err = ERR_OK;
    if (t->chain.len > 0) {
        buf_put_slice(&held, t->chain);
    } else {
        err = s->backend->part(s->db, t->slot->id, PART_CHAIN, &held, &why);
    }
    bool other = err != ERR_OK || !slice_eq(buf_slice(&held), ours);
    buf_fini(&held);
    return other;
}

/* The pulled log is whole: what waits for it may be appended. Its holder gave
 * it under the head that it had: if the certificate was renewed since, nobody
 * would take the log once the old one has ended. */
static void close_pulled(struct group *g, struct touched *t)
{
    struct store_head *h = &t->head.h;
    if (h->state != LOG_PULLING || h->frontier.size < t->head.limit) {
        return;
    }
    h->state = LOG_CLOSED;
    if (h->newest.size == h->frontier.size && !is_copy(g) &&
        by_other_chain(g, t)) {
        t->slot->chain_current = false;
        t->sign = true;
    }
}

static enum err prepare(struct group *g, struct buf *coded, struct errmsg *why)
{
    if (g->unread != ERR_OK) {
        return err_set(why, g->unread, "%s", g->unread_why.text);
    }
    enum err err = ERR_OK;
    flush_pending(g);
    for (size_t i = 0; err == ERR_OK && i < g->touched_n; i++) {
        struct touched *t = g->touched[i];
        if (t->dirty) {
            close_pulled(g, t);
        }
        if (t->sign) {
            err = sign_own(g, t, why);
        }
        if (t->dirty && err == ERR_OK) {
            put_touched(g, t, &coded[i]);
        }
    }
    row_map_write(&g->rows, g->s, g->batch);
    write_list_rows(g);
    return err;
}

static void publish_log(struct store *s, struct touched *t, struct buf *coded)
{
    if (t->slot->log.kind == LOG_RECORDS) {
        s->pulling += t->head.h.state == LOG_PULLING;
        s->pulling -= t->slot->state == LOG_PULLING;
    }
    t->slot->chain_current = t->slot->chain_current || t->sign;
    if (t->chain.len > 0) {
        t->slot->chain_hash = t->chain_hash;
    }
    uint64_t before = lists_visible(t->slot->lists);
    heads_publish(&s->heads, t, coded);
    lists_say(s, t->slot, before);
    if (t->slot->own && t->slot->log.kind == LOG_DIRECTIVES &&
        t->slot->state == LOG_ACTIVE) {
        own_log_is(s, t->slot); /* opened by its first publication */
    }
}

static void publish(struct group *g, struct buf *coded)
{
    struct store *s = g->s;
    tree_kept_committed(&s->tree_kept, g->nodes, g->nodes_n, g->cut);
    for (size_t i = 0; i < g->touched_n; i++) {
        if (g->touched[i]->dirty) {
            publish_log(s, g->touched[i], &coded[i]);
        }
    }
    (void)atomic_fetch_add(&s->issues, g->issues);
    (void)atomic_fetch_add(&s->nodes_changes, g->nodes_move);
    s->salvaged += (uint64_t)g->salvaged;
    s->salvage_seq = g->salvage_next;
    if (g->rejudge_origin != 0) {
        bool busy =
            s->rejudge_origin != 0 && s->rejudge_origin != g->rejudge_origin;
        s->rejudge_origin = busy ? REJUDGE_ALL : g->rejudge_origin;
        s->rejudge_log = 0;
        s->rejudge_number = 0;
    }
}

/* While no answer is kept: those that follow are by the new catalogue. */
static void fold(const struct group *g)
{
    struct store *s = g->s;
    struct errmsg why;
    if (!g->rules_move && !s->rules_owed) {
        return;
    }
    enum err err = rules_fold(s, &why);
    if (err != ERR_OK && !s->rules_owed) {
        log_error(&s->log, "CATALOGUE-READ",
                  "err=\"%s\" effect=\"catalogue and measures stay as they "
                  "were; the next commit tries again\"",
                  why.text);
    }
    s->rules_owed = err != ERR_OK;
}

enum err group_commit(struct group *g, struct errmsg *why)
{
    struct buf *coded = mem_zalloc(g->touched_n + 1, sizeof(*coded));
    enum err err = prepare(g, coded, why);
    stamps_begin_rows(&g->s->stamps, &g->rows);
    if (g->lists_written) {
        listed_change_begin(g->s);
    }
    bool all =
        (g->lists_move || g->s->rules_owed) && stamps_begin_all(&g->s->stamps);
    if (err == ERR_OK && g->s->backend->batch_count(g->batch) > 0) {
        heads_write_above(g->s, g->batch);
        err = writer_commit(g->s, g->batch, why);
        heads_wrote_above(g->s, err == ERR_OK);
    }
    if (err == ERR_OK) {
        publish(g, coded);
        fold(g);
    }
    if (all) {
        stamps_end_all(&g->s->stamps);
    }
    if (g->lists_written) {
        listed_change_end(g->s);
    }
    stamps_end_rows(&g->s->stamps, &g->rows);
    for (size_t i = 0; i < g->touched_n; i++) {
        buf_fini(&coded[i]);
    }
    mem_free(coded);
    return err;
}
