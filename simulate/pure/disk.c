#include <string.h>

#include "base/mem.h"
#include "pure/impl.h"

static enum suite suite_of(const struct host *h)
{
    return trust_suite(h->w->fed->trust);
}

/* ---- logs in memory ---- */

struct disk_log *disk_find(const struct disk *d, const struct log_id *log)
{
    struct disk_log *l = logmap_find(&d->logs, log);
    return l != NULL && l->state != LOG_ABSENT ? l : NULL;
}

static struct disk_log *touch(struct disk *d, const struct log_id *log)
{
    struct disk_log *l = logmap_find(&d->logs, log);
    if (l == NULL) {
        l = MEM_NEW(struct disk_log);
        l->log = *log;
        logmap_insert(&d->logs, l);
    }
    return l;
}

static struct hash subtree(const struct hash *leaf, unsigned level)
{
    if (level == 0) {
        return *leaf;
    }
    struct hash left = subtree(leaf, level - 1);
    struct hash right = subtree(leaf + (1u << (level - 1)), level - 1);
    struct hash out;
    suite_hash_node(SUITE_INTL, &left, &right, &out);
    return out;
}

static enum err view_node(void *ctx, unsigned level, uint64_t index,
                          struct hash *out)
{
    const struct disk_log *l = ctx;
    *out = subtree(&l->leaf[index << level], level);
    return ERR_OK;
}

struct tree_view disk_view(struct disk_log *l)
{
    return (struct tree_view){
        .suite = SUITE_INTL,
        .size = l->frontier.size,
        .node = view_node,
        .ctx = l,
        .bridge = l->bridge.size > l->frontier.size ? &l->bridge : NULL};
}

static void add_entry(struct host *h, struct disk_log *l, struct slice bytes)
{
    uint64_t at = l->frontier.size;
    if (at == l->cap) {
        l->cap = l->cap == 0 ? 64 : l->cap * 2;
        l->leaf = mem_realloc(l->leaf, l->cap * sizeof *l->leaf);
        l->entry = mem_realloc(l->entry, l->cap * sizeof *l->entry);
    }
    l->entry[at] = keep(h->w, bytes);
    suite_hash_leaf(suite_of(h), bytes, &l->leaf[at]);
    frontier_append(&l->frontier, suite_of(h), &l->leaf[at], NULL, NULL);
    frontier_root(&l->frontier, suite_of(h), &l->root);
}

static void copy_aside(struct disk *d, struct slice draft)
{
    if (d->aside_n == d->aside_cap) {
        d->aside_cap = d->aside_cap == 0 ? 64 : d->aside_cap * 2;
        d->aside = mem_realloc(d->aside, d->aside_cap * sizeof *d->aside);
    }
    d->aside[d->aside_n++] = draft;
}

static void put_aside(struct host *h, struct slice draft)
{
    copy_aside(&h->disk, draft);
    truth_set_aside(h, draft);
}

void disk_fini(struct disk *d)
{
    for (size_t i = 0; i < d->logs.count; i++) {
        struct disk_log *l = d->logs.item[i];
        mem_free(l->leaf);
        mem_free(l->entry);
    }
    logmap_free_all(&d->logs);
    mem_free(d->aside);
    *d = (struct disk){.own = {.origin = 0}};
}

void disk_copy(struct disk *to, const struct disk *from)
{
    disk_fini(to);
    to->own = from->own;
    for (size_t i = 0; i < from->logs.count; i++) {
        const struct disk_log *l = from->logs.item[i];
        struct disk_log *copy = mem_dup(l, sizeof *l);
        copy->cap = l->frontier.size;
        copy->leaf = NULL;
        copy->entry = NULL;
        if (copy->cap > 0) {
            copy->leaf = mem_dup(l->leaf, copy->cap * sizeof *l->leaf);
            copy->entry = mem_dup(l->entry, copy->cap * sizeof *l->entry);
        }
        logmap_insert(&to->logs, copy);
    }
    for (size_t i = 0; i < from->aside_n; i++) {
        copy_aside(to, from->aside[i]);
    }
}

/* ---- the own log ---- */

static void sign(struct host *h, struct disk_log *l)
{
    struct world *w = h->w;
    const struct identity *signer = &w->fed->node[h->node].sign;
    struct buf note = BUF_INIT;
    l->newest = (struct checkpoint){.log = l->log,
                                    .size = l->frontier.size,
                                    .root = l->root,
                                    .at_ms = w->fed->now_ms + w->now_ms};
    l->bridge = (struct bridge){.size = l->frontier.size};
    enum err err = checkpoint_sign(&l->newest, trust_federation(w->fed->trust),
                                   suite_of(h), signer, &note);
    if (err != ERR_OK) {
        broken(h, "roots", &l->log, l->frontier.size, "cannot sign: %s",
               err_text(err));
    }
    l->note = keep(w, buf_slice(&note));
    l->chain = keep(w, buf_slice(&signer->chain));
    buf_fini(&note);
}

static void write_own(struct host *h, struct disk_log *l, struct slice bytes)
{
    add_entry(h, l, bytes);
    truth_written(h, l, l->frontier.size, &l->leaf[l->frontier.size - 1]);
}

static void open_log(struct host *h, const struct entry_open *open)
{
    struct disk *d = &h->disk;
    struct buf entry = BUF_INIT;
    d->own = (struct log_id){.origin = h->w->fed->node[h->node].code,
                             .incarnation = rng_next(&h->rng) | 1,
                             .kind = LOG_RECORDS};
    struct disk_log *l = touch(d, &d->own);
    l->state = LOG_ACTIVE;
    l->own = true;
    entry_open_encode(open, h->w->now_ms, &entry);
    write_own(h, l, buf_slice(&entry));
    sign(h, l);
    buf_fini(&entry);
}

void disk_begin(struct host *h)
{
    open_log(h, &(struct entry_open){.prev_incarnation = 0});
}

static bool comes_back(const struct disk *d)
{
    for (size_t i = 0; i < d->logs.count; i++) {
        const struct disk_log *l = d->logs.item[i];
        if (l->own && l->state == LOG_PULLING) {
            return true;
        }
    }
    return false;
}

bool disk_submit(struct host *h, const struct item *item)
{
    struct disk *d = &h->disk;
    bool wait = d->aside_n > 0 || comes_back(d);
    struct disk_log *l = disk_find(d, &d->own);
    for (size_t i = 0; i < item->drafts; i++) {
        if (wait) {
            put_aside(h, item->draft[i]);
        } else {
            write_own(h, l, item->draft[i]);
        }
    }
    if (!wait) {
        sign(h, l);
    }
    return !wait;
}

/* Any number of its own logs may hold it: one may have come back. */
static bool has_record(const struct disk *d, const struct entry *draft)
{
    struct entry e;
    for (size_t i = 0; i < d->logs.count; i++) {
        const struct disk_log *l = d->logs.item[i];
        for (uint64_t n = 0; l->own && n < l->frontier.size; n++) {
            if (entry_decode(l->entry[n], &e) == ERR_OK &&
                e.type == ENTRY_RECORD &&
                memcmp(e.record_key, draft->record_key, 8) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* What was set aside goes into the own log once nothing comes back, unless it
 * came back itself (store_group.c: DRAFT_UNCHANGED). */
static bool take_back(struct host *h)
{
    struct disk *d = &h->disk;
    if (d->aside_n == 0 || comes_back(d)) {
        return false;
    }
    struct disk_log *l = disk_find(d, &d->own);
    for (size_t i = 0; i < d->aside_n; i++) {
        struct entry draft;
        if (entry_decode(d->aside[i], &draft) != ERR_OK ||
            has_record(d, &draft)) {
            continue;
        }
        write_own(h, l, d->aside[i]);
        if (planted(h->w, PLANT_TWICE) && i % 4 == 0) {
            write_own(h, l, d->aside[i]);
        }
    }
    d->aside_n = 0;
    sign(h, l);
    return true;
}

static bool is_draft(struct slice bytes)
{
    struct entry e;
    return entry_decode(bytes, &e) == ERR_OK && e.type == ENTRY_RECORD;
}

static uint32_t sync_ms(struct host *h)
{
    return rng_between(&h->rng, 1, 15) * h->disk_slow;
}

void disk_succeed(struct host *h, const struct log_id *log, uint64_t common,
                  uint64_t peer_size, const struct hash *peer_root,
                  struct slice note)
{
    struct disk_log *l = disk_find(&h->disk, log);
    struct checkpoint newest;
    if (checkpoint_parse(note, trust_federation(h->w->fed->trust), &newest) !=
        ERR_OK) {
        return;
    }
    struct tree_view view = disk_view(l);
    struct frontier start;
    for (uint64_t n = common; n < l->frontier.size; n++) {
        if (is_draft(l->entry[n])) {
            put_aside(h, l->entry[n]);
        }
    }
    if (tree_frontier(&view, common, &start) != ERR_OK) {
        broken(h, "roots", log, common, "its tree cannot be read");
        return;
    }
    say(h, "succeeds its log at %llu, common %llu",
        (unsigned long long)peer_size, (unsigned long long)common);
    if (l->frontier.size != common || l->newest.size != newest.size) {
        /* The hashes between come with what is pulled. */
        l->bridge = (struct bridge){.size = newest.size == common ? common : 0};
    }
    l->newest = newest;
    l->note = note;
    l->frontier = start;
    frontier_root(&l->frontier, suite_of(h), &l->root);
    l->state = common == peer_size ? LOG_CLOSED : LOG_PULLING;
    l->limit = peer_size;
    l->limit_root = *peer_root;
    struct entry_open open = {.prev_incarnation = log->incarnation,
                              .prev_size = peer_size};
    memcpy(open.prev_root, peer_root->b, HASH_LEN);
    truth_ended(h, log, peer_size);
    open_log(h, &open);
    if (!h->syncing) { /* what was set aside may follow at once */
        h->syncing = true;
        post_self(h, EV_SYNC, sync_ms(h), 0);
    }
    h->w->result->counts.successions++;
}

void disk_end_pull(struct host *h, const struct log_id *log)
{
    struct disk_log *l = disk_find(&h->disk, log);
    if (l != NULL && l->state == LOG_PULLING) {
        say(h, "ends its log with %llu of %llu entries",
            (unsigned long long)l->frontier.size, (unsigned long long)l->limit);
        l->state = LOG_CLOSED;
    }
}

bool disk_has_successor(const struct disk *disk, const struct log_id *log)
{
    struct entry e;
    struct entry_open open;
    for (size_t i = 0; i < disk->logs.count; i++) {
        const struct disk_log *l = disk->logs.item[i];
        if (l->own && l->frontier.size > 0 &&
            entry_decode(l->entry[0], &e) == ERR_OK &&
            entry_open_decode(&e, &open) == ERR_OK &&
            open.prev_incarnation == log->incarnation) {
            return true;
        }
    }
    return false;
}

void disk_resume(struct host *h, struct disk_log *l, uint64_t size,
                 const struct hash *root)
{
    say(h, "takes its log up again at %llu of %llu entries",
        (unsigned long long)l->frontier.size, (unsigned long long)size);
    l->state = LOG_PULLING;
    l->limit = size;
    l->limit_root = *root;
}

/* ---- other nodes' logs: store_group.c without a database ---- */

void disk_fork(struct host *h, struct disk_log *l, struct slice other_note,
               const char *reason)
{
    if (planted(h->w, PLANT_FORK_BLIND)) {
        return;
    }
    if (l->state != LOG_FORKED) {
        char log[LOG_ID_TEXT_MAX];
        log_id_format(&l->log, log);
        say(h, "marks %s forked: %s", log, reason);
        h->w->result->counts.forks++;
    }
    l->state = LOG_FORKED;
    l->fork_note = keep(h->w, other_note);
}

static bool newer(const struct checkpoint *a, const struct checkpoint *b)
{
    return a->size > b->size || (a->size == b->size && a->at_ms > b->at_ms);
}

static void adopt_note(struct host *h, struct disk_log *l,
                       const struct segment *seg)
{
    if (!l->own && !newer(&seg->newest, &l->newest)) {
        l->bridge = seg->bridge;
        return;
    }
    l->newest = seg->newest;
    l->bridge = seg->bridge;
    l->note = keep(h->w, buf_slice(&seg->note));
    if (seg->chain.len > 0) {
        l->chain = keep(h->w, buf_slice(&seg->chain));
    }
}

static enum err take_known(struct host *h, struct disk_log *l,
                           const struct segment *seg)
{
    struct tree_view view = disk_view(l);
    struct hash ours;
    struct hash theirs;
    frontier_root(&seg->after, suite_of(h), &theirs);
    if (tree_root(&view, seg->after.size, &ours) != ERR_OK ||
        !hash_eq(&ours, &theirs)) {
        return ERR_CONFLICT;
    }
    if (seg->after.size == l->frontier.size && l->state != LOG_FORKED &&
        newer(&seg->newest, &l->newest)) {
        adopt_note(h, l, seg);
    }
    return ERR_OK;
}

/* Is what is held neither that end nor a beginning of it? */
static bool is_past_end(const struct disk_log *l, const struct entry_open *open)
{
    return l->frontier.size > open->prev_size ||
           (l->frontier.size == open->prev_size &&
            memcmp(l->root.b, open->prev_root, HASH_LEN) != 0);
}

/* The opening of a log says where its predecessor ends; of two that name two
 * ends the earlier one counts. */
static void limit_predecessor(struct host *h, const struct segment *seg)
{
    struct entry e;
    struct entry_open open;
    if (entry_decode(seg->slots[0].entry, &e) != ERR_OK ||
        e.type != ENTRY_OPEN || entry_open_decode(&e, &open) != ERR_OK ||
        open.prev_incarnation == 0) {
        return;
    }
    struct log_id id = seg->log;
    id.incarnation = open.prev_incarnation;
    struct disk_log *prev = touch(&h->disk, &id);
    if (prev->own && prev->state != LOG_ABSENT) {
        return;
    }
    if (prev->limit == 0 || open.prev_size < prev->limit) {
        prev->limit = open.prev_size;
        memcpy(prev->limit_root.b, open.prev_root, HASH_LEN);
    }
    if (prev->state != LOG_FORKED && is_past_end(prev, &open)) {
        disk_fork(h, prev, buf_slice(&seg->note),
                  "its successor names another end");
    }
}

/* Does the run lead through the signed head that is held? */
static bool passes(struct host *h, const struct disk_log *l,
                   const struct segment *seg)
{
    struct frontier f = l->frontier;
    struct hash root;
    if (l->newest.size <= f.size || l->newest.size > seg->after.size) {
        return true;
    }
    while (f.size < l->newest.size) {
        frontier_append(&f, suite_of(h), &seg->leaves[f.size + 1 - seg->first],
                        NULL, NULL);
    }
    frontier_root(&f, suite_of(h), &root);
    return hash_eq(&root, &l->newest.root);
}

static enum err fits(struct host *h, struct disk_log *l,
                     const struct segment *seg, const struct hash *root)
{
    bool ends =
        l->limit != 0 &&
        (seg->after.size > l->limit ||
         (seg->after.size == l->limit && !hash_eq(root, &l->limit_root)));
    const struct checkpoint *held = &l->newest;
    if (!l->own &&
        (!passes(h, l, seg) || (seg->newest.size == held->size &&
                                !hash_eq(&seg->newest.root, &held->root)))) {
        disk_fork(h, l, buf_slice(&seg->note),
                  "its origin signed two different heads of one size");
        return ERR_FORKED;
    }
    if (!l->own && seg->newest.size < held->size) {
        return ERR_BUSY;
    }
    if (ends && !l->own) {
        disk_fork(h, l, buf_slice(&seg->note),
                  "it grows past the end that its successor names");
    }
    return ends ? ERR_FORKED : ERR_OK;
}

static void begin_log(struct host *h, struct disk_log *l,
                      const struct segment *seg)
{
    l->own = is_own(h, &l->log);
    l->state = l->own ? LOG_PULLING : LOG_ACTIVE;
    if (l->own && l->limit == 0) {
        l->limit = seg->newest.size;
        l->limit_root = seg->newest.root;
    }
}

static void write_entries(struct host *h, struct disk_log *l,
                          const struct segment *seg)
{
    for (uint64_t n = l->frontier.size + 1; n < seg->first + seg->count; n++) {
        if (!planted(h->w, PLANT_SKIP_ENTRY) || n % 40 != 0) {
            add_entry(h, l, seg->slots[n - seg->first].entry);
            truth_held(h, l, l->frontier.size, &l->leaf[l->frontier.size - 1]);
        }
    }
}

static void write_run(struct host *h, struct disk_log *l,
                      const struct segment *seg)
{
    uint64_t from = l->frontier.size + 1;
    if (l->state == LOG_ABSENT) {
        begin_log(h, l, seg);
    }
    write_entries(h, l, seg);
    if (planted(h->w, PLANT_ROT) && from % 5 == 0) {
        l->entry[from - 1].len--;
    }
    adopt_note(h, l, seg);
    if (l->state == LOG_PULLING && l->frontier.size >= l->limit) {
        l->state = LOG_CLOSED;
    }
    if (from == 1) {
        limit_predecessor(h, seg);
    }
}

static bool overlap_fits(const struct disk_log *l, const struct segment *seg)
{
    for (uint64_t n = seg->first; n <= l->frontier.size; n++) {
        if (!hash_eq(&l->leaf[n - 1], &seg->leaves[n - seg->first])) {
            return false;
        }
    }
    return true;
}

enum err disk_append(struct host *h, const struct segment *seg, uint64_t *size)
{
    struct disk_log *l = touch(&h->disk, &seg->log);
    struct hash root;
    enum err err = ERR_OK;
    *size = l->frontier.size;
    frontier_root(&seg->after, suite_of(h), &root);
    if (seg->before.size > l->frontier.size) {
        return ERR_GAP;
    }
    if (seg->after.size <= l->frontier.size) {
        return take_known(h, l, seg);
    }
    if (l->state == LOG_FORKED) {
        return ERR_FORKED;
    }
    if ((l->own && l->state != LOG_PULLING && l->state != LOG_ABSENT) ||
        !overlap_fits(l, seg)) {
        return ERR_CONFLICT;
    }
    err = fits(h, l, seg, &root);
    if (err == ERR_OK) {
        write_run(h, l, seg);
        *size = l->frontier.size;
    }
    return err;
}

/* ---- the queue ---- */

void disk_item_free(struct item **item)
{
    segment_free(&(*item)->seg);
    mem_free((*item)->draft);
    mem_free((*item)->record);
    mem_free(*item);
    *item = NULL;
}

void disk_queue(struct host *h, struct item *item)
{
    item->next = NULL;
    *h->last = item;
    h->last = &item->next;
    if (++h->queued > QUEUE_MAX) {
        broken(h, "bounded", NULL, 0, "%zu runs wait for its disk", h->queued);
    }
    if (!h->syncing) {
        h->syncing = true;
        uint32_t in_ms = sync_ms(h);
        post_self(h, EV_SYNC, in_ms, 0);
        if (h->doomed_ms != 0) {
            post_self(h, EV_DOOM, rng_below(&h->rng, in_ms), h->doomed_ms);
            h->doomed_ms = 0;
        }
    }
}

static void entry_of(struct host *h, uint64_t record, struct buf *out)
{
    char text[64];
    struct buf body = BUF_INIT;
    (void)snprintf(text, sizeof text, "decision %llu of an office of waters",
                   (unsigned long long)record);
    buf_put_str(&body, text);
    struct entry e = {.type = ENTRY_RECORD,
                      .item = 7,
                      .entered_at_ms = h->w->now_ms,
                      .subject_kind = SUBJECT_USCC,
                      .subject = slice_str("913418210000000000"),
                      .version = 1,
                      .body = buf_slice(&body)};
    be_put64(e.record_key, record);
    entry_encode(&e, out);
    buf_fini(&body);
}

static void encode(struct host *h, struct item *item)
{
    struct buf bytes = BUF_INIT;
    item->draft = mem_alloc(item->drafts * sizeof *item->draft);
    for (size_t i = 0; i < item->drafts; i++) {
        buf_clear(&bytes);
        entry_of(h, item->record[i], &bytes);
        item->draft[i] = keep(h->w, buf_slice(&bytes));
    }
    buf_fini(&bytes);
}

static void commit_drafts(struct host *h, struct item *item)
{
    struct log_id own = h->disk.own;
    encode(h, item);
    bool grew = disk_submit(h, item);
    truth_acked(h, item->record, item->drafts);
    h->w->result->counts.acked += item->drafts;
    if (grew) {
        up_grew(h, &own);
    }
}

static void commit_run(struct host *h, struct item *item)
{
    uint64_t size = 0;
    enum err err = disk_append(h, item->seg, &size);
    if (err == ERR_OK) {
        up_grew(h, &item->seg->log);
    }
    if (item->conn != 0) {
        down_appended(h, item, err, size);
    } else {
        recover_appended(h, item, err);
    }
}

void disk_synced(struct host *h)
{
    struct item *item = h->first;
    h->first = NULL;
    h->last = &h->first;
    h->queued = 0;
    h->syncing = false;
    uint64_t life = h->life;
    while (item != NULL) {
        struct item *next = item->next;
        if (h->life == life && h->w->result->invariant == NULL) {
            item->drafts > 0 ? commit_drafts(h, item) : commit_run(h, item);
        }
        disk_item_free(&item);
        item = next;
    }
    if (take_back(h)) {
        up_grew(h, &h->disk.own);
    }
    up_pump(h);
}

void disk_crash(struct host *h)
{
    /* Half of the time the sync under way came through, and nobody heard. */
    bool written = h->syncing && rng_one_in(&h->rng, 2);
    for (struct item *item = h->first; item != NULL;) {
        struct item *next = item->next;
        uint64_t size;
        if (written && item->drafts > 0) {
            encode(h, item);
            (void)disk_submit(h, item);
        } else if (written && disk_append(h, item->seg, &size) != ERR_OK) {
            written = false;
        }
        disk_item_free(&item);
        item = next;
    }
    h->first = NULL;
    h->last = &h->first;
    h->queued = 0;
    h->syncing = false;
}

/* ---- reading ---- */

/* Boundaries have no meaning: any will do, always the same for a log. */
static uint32_t block_entries(const struct world *w, const struct disk_log *l,
                              uint64_t from)
{
    struct rng r = {rng_mix(w->conf->seed ^ l->log.incarnation ^ from)};
    return rng_between(&r, 1, BLOCK_ENTRIES_MAX);
}

void run_read(struct world *w, struct disk_log *l, uint64_t from, uint64_t last,
              size_t max_bytes, struct run *out)
{
    struct slot slots[BLOCK_ENTRIES_MAX];
    uint64_t next = from;
    *out = (struct run){.blocks = BUF_INIT, .bridge = BUF_INIT};
    last = last < l->frontier.size ? last : l->frontier.size;
    while (next <= last && out->refs_count < ARRAY_LEN(out->refs) &&
           (out->refs_count == 0 || out->blocks.len < max_bytes)) {
        struct block_ref *ref = &out->refs[out->refs_count++];
        uint32_t most = block_entries(w, l, next);
        uint32_t n = 0;
        for (; n < most && next <= last; n++, next++) {
            slots[n].entry = l->entry[next - 1];
        }
        *ref = (struct block_ref){
            .first = next - n, .count = n, .offset = (uint32_t)out->blocks.len};
        block_pack(w->codec, slots, n, &out->blocks);
        ref->len = (uint32_t)out->blocks.len - ref->offset;
    }
    out->end = next - 1;
    struct tree_view view = disk_view(l);
    struct bridge bridge;
    if (out->end != l->newest.size &&
        tree_bridge(&view, out->end, l->newest.size, &bridge) == ERR_OK) {
        bridge_put(&out->bridge, &bridge);
    }
}

void run_fini(struct run *run)
{
    buf_fini(&run->blocks);
    buf_fini(&run->bridge);
}
