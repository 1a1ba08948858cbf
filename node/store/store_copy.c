/* A pass brings every log of the copy to the size it has in the source, by the
 * way of a receiver (store_append), and reads back what it wrote:
 *
 *   source --blocks--> segment --store_append--> copy --blocks--> hashes, root
 *
 * The last pass then writes what is not in entries, marks the source as moved
 * and takes the copy's mark away. */
#include "store/copy.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/store_impl.h"

enum {
    SEG_ENTRIES = 2048,
    SEG_RAW = 1 << 20,
    WINDOW = 8,       /* segments on their way */
    WAIT_MS = 300000, /* for one of them: the server may be away */
    PAUSE_MS = 20,    /* before the queue is tried again */
    HEAD_TRIES = 16,  /* a commit may come between two reads */
    BATCH_BYTES = 4 << 20,
};

struct store_copy {
    uint64_t *proven; /* by local number: entries read back */
    uint32_t n;
};

struct store_copy *copy_new(void)
{
    return MEM_NEW(struct store_copy);
}

void copy_free(struct store_copy **copy)
{
    if (*copy != NULL) {
        mem_free((*copy)->proven);
        mem_free(*copy);
        *copy = NULL;
    }
}

bool copy_in_use(const struct store_conf *conf)
{
    return folder_in_use(conf->path);
}

void copy_drop_snapshot(const char *path)
{
    struct errmsg why; /* the next snapshot says it */
    enum err unused = folder_remove(path, &why);
    (void)unused;
}

/* Segments given to the copy's writer. */
struct flight {
    pthread_mutex_t lock;
    pthread_cond_t landed;
    size_t n;          /* lock */
    uint64_t added;    /* lock: entries */
    enum err err;      /* lock: the first failure */
    struct errmsg why; /* lock */
};

struct pass {
    struct store_copy *copy;
    const struct copy_job *job;
    struct copy_counts *counts;
    struct store *from;
    struct store *to;
    struct block_codec *codec;
    struct log_slot **logs; /* of the source: directives, then the others */
    size_t n;
    struct flight flight;
    uint64_t total;
    uint64_t done;
};

static void say(struct pass *p, enum copy_phase phase)
{
    if (p->job->progress != NULL) {
        p->job->progress(p->job->ctx, phase, p->done, p->total);
    }
}

/* ---- segments on their way ---- */

static void flight_init(struct flight *f)
{
    (void)pthread_mutex_init(&f->lock, NULL);
    clock_cond_init(&f->landed);
}

static void flight_fini(struct flight *f)
{
    (void)pthread_cond_destroy(&f->landed);
    (void)pthread_mutex_destroy(&f->lock);
}

static void on_appended(void *ctx, enum err err, const char *why,
                        const struct log_id *log, uint64_t size, uint64_t added)
{
    struct flight *f = ctx;
    char name[LOG_ID_TEXT_MAX];
    (void)size;
    (void)pthread_mutex_lock(&f->lock);
    f->n--;
    f->added += added;
    if (err != ERR_OK && f->err == ERR_OK) {
        log_id_format(log, name);
        f->err = err_set(&f->why, err, "copy of log %s: %.300s", name, why);
    }
    (void)pthread_cond_signal(&f->landed);
    (void)pthread_mutex_unlock(&f->lock);
}

/* Waits until at most `left` are on their way. */
static enum err flight_wait(struct pass *p, size_t left, struct errmsg *why)
{
    struct flight *f = &p->flight;
    struct timespec limit;
    int rc = 0;
    clock_until(WAIT_MS, &limit);
    (void)pthread_mutex_lock(&f->lock);
    while (f->n > left && f->err == ERR_OK && rc == 0) {
        size_t before = f->n;
        rc = pthread_cond_timedwait(&f->landed, &f->lock, &limit);
        if (f->n < before) {
            clock_until(WAIT_MS, &limit);
        }
    }
    enum err err = f->err;
    if (err != ERR_OK) {
        *why = f->why;
    } else if (rc != 0) {
        err = err_set(why, ERR_TIMEOUT,
                      "store %s took nothing for %d s: look after its server, "
                      "then copy again",
                      p->to->conf.path, WAIT_MS / 1000);
    }
    p->done = f->added;
    (void)pthread_mutex_unlock(&f->lock);
    say(p, COPY_WRITES);
    return err;
}

/* Takes `*seg`. */
static enum err send(struct pass *p, struct segment **seg, struct errmsg *why)
{
    struct flight *f = &p->flight;
    enum err err = flight_wait(p, WINDOW - 1, why);
    (void)pthread_mutex_lock(&f->lock);
    f->n++;
    (void)pthread_mutex_unlock(&f->lock);
    while (err == ERR_OK && *seg != NULL) {
        err = store_append(p->to, seg, on_appended, f);
        if (err == ERR_BUSY) { /* its queue is shorter than the window */
            clock_sleep(PAUSE_MS);
            err = ERR_OK;
        } else if (err != ERR_OK) {
            struct store_stats stats;
            store_stats(p->to, &stats);
            err = err_set(why, err, "store %s takes nothing: %s",
                          p->to->conf.path,
                          stats.writable ? err_text(err) : stats.why);
        }
    }
    if (*seg != NULL) { /* no callback comes */
        segment_free(seg);
        (void)pthread_mutex_lock(&f->lock);
        f->n--;
        (void)pthread_mutex_unlock(&f->lock);
    }
    return err;
}

/* ---- a log of the source ---- */

struct signed_head {
    struct head head;
    struct buf note;
    struct buf chain;
};

static void signed_head_fini(struct signed_head *h)
{
    buf_fini(&h->note);
    buf_fini(&h->chain);
}

static enum err part_of(struct store *s, uint32_t id, enum log_part part,
                        struct buf *out, struct errmsg *why)
{
    buf_clear(out);
    enum err err = s->backend->part(s->db, id, part, out, why);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static bool is_note_of(const struct signed_head *h, const char *federation)
{
    struct checkpoint cp;
    const struct checkpoint *newest = &h->head.h.newest;
    return checkpoint_parse(buf_slice(&h->note), federation, &cp) == ERR_OK &&
           cp.size == newest->size && hash_eq(&cp.root, &newest->root);
}

/* The head and its signature, which belong together. */
static enum err read_signed(struct pass *p, struct log_slot *slot,
                            struct signed_head *out, struct errmsg *why)
{
    struct store *s = p->from;
    enum err err = ERR_OK;
    bool fits = false;
    for (int i = 0; i < HEAD_TRIES && err == ERR_OK && !fits; i++) {
        err = heads_read(slot, why);
        if (err == ERR_OK && slot->state == LOG_ABSENT) {
            out->head = (struct head){.h = {.log = slot->log}};
            return ERR_OK;
        }
        if (err == ERR_OK) {
            err = heads_copy(&s->heads, slot, &out->head);
        }
        if (err == ERR_OK) {
            err = part_of(s, slot->id, PART_NOTE, &out->note, why);
        }
        if (err == ERR_OK) {
            err = part_of(s, slot->id, PART_CHAIN, &out->chain, why);
        }
        fits = err == ERR_OK && is_note_of(out, s->federation);
    }
    if (err == ERR_OK && !fits) {
        char name[LOG_ID_TEXT_MAX];
        log_id_format(&slot->log, name);
        err = err_set(why, ERR_CORRUPT,
                      "store %s: log %s: its signed head cannot be read: start "
                      "the node on it and let it `creditnode scrub`",
                      s->conf.path, name);
    }
    return err;
}

static struct tree_view view_of(struct log_slot *slot,
                                const struct store_head *head)
{
    struct tree_view view = slot_view(slot, head->frontier.size);
    view.bridge = head->bridge.n > 0 ? &head->bridge : NULL;
    return view;
}

/* What the copy has must be a beginning of what the source has. */
static enum err check_prefix(struct pass *p, struct log_slot *slot,
                             const struct store_head *theirs,
                             const struct store_head *ours, struct errmsg *why)
{
    struct hash root;
    char name[LOG_ID_TEXT_MAX];
    uint64_t n = ours->frontier.size;
    bool fits = n <= theirs->frontier.size;
    if (n == 0) {
        return ERR_OK;
    }
    log_id_format(&slot->log, name);
    if (fits) {
        struct tree_view view = view_of(slot, theirs);
        enum err err = tree_root(&view, n, &root);
        if (err != ERR_OK) {
            return err_set(why, err,
                           "store %s: log %s: its tree cannot be "
                           "read: start the node on it and let it "
                           "`creditnode scrub`",
                           p->from->conf.path, name);
        }
        fits = hash_eq(&root, &ours->root);
    }
    return fits ? ERR_OK
                : err_set(why, ERR_CONFLICT,
                          "log %s was rolled back since the copy began: empty "
                          "the database and the data.dir of the copy (%s), "
                          "and begin again",
                          name, p->to->conf.path);
}

/* ---- segments ---- */

struct build {
    struct pass *p;
    struct segment *seg;
    uint64_t last; /* of the log */
    bool bad;
};

static bool has_room(const struct segment *seg, size_t entries, size_t len)
{
    return seg->count == 0 ||
           (seg->count + entries <= SEG_ENTRIES && seg->raw.len < SEG_RAW &&
            seg->blocks.len + len <= SEGMENT_BYTES_MAX);
}

static void add_block(struct build *b, uint64_t first, struct slice block,
                      const struct slot *slots, size_t count)
{
    struct segment *seg = b->seg;
    seg->refs[seg->refs_count++] =
        (struct block_ref){.first = first,
                           .count = (uint32_t)count,
                           .offset = (uint32_t)seg->blocks.len,
                           .len = (uint32_t)block.len};
    buf_put_slice(&seg->blocks, block);
    for (size_t i = 0; i < count; i++) {
        if (first + i < seg->first + seg->count) {
            continue; /* the block began before the segment */
        }
        size_t k = seg->count++;
        seg->slots[k] = slots[i];
        if (slots[i].entry.data != NULL) {
            buf_put_slice(&seg->raw, slots[i].entry);
        }
        seg->leaves[k] = slots[i].leaf;
        if (slots[i].entry.data != NULL) {
            suite_hash_leaf(b->p->from->env.suite, slots[i].entry,
                            &seg->leaves[k]);
        }
        frontier_append(&seg->after, b->p->from->env.suite, &seg->leaves[k],
                        NULL, NULL);
    }
}

static bool on_block(void *ctx, uint64_t first, struct slice block)
{
    struct build *b = ctx;
    struct segment *seg = b->seg;
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count;
    uint64_t next = seg->first + seg->count;
    if (first > next || block_unpack(b->p->codec, block, slots, &count) != 0) {
        b->bad = true;
        return false;
    }
    /* Beside a running node a block may reach past the head that was read. */
    if (first + count - 1 > b->last || !has_room(seg, count, block.len)) {
        return false;
    }
    add_block(b, first, block, slots, count);
    return seg->first + seg->count <= b->last;
}

/* Entries lie in `raw`, which has its place now. */
static void place_slots(struct segment *seg)
{
    const uint8_t *at = seg->raw.data;
    for (size_t i = 0; i < seg->count; i++) {
        if (seg->slots[i].entry.data != NULL) {
            seg->slots[i].entry.data = at;
            at += seg->slots[i].entry.len;
        }
    }
}

static struct segment *begin_segment(const struct signed_head *h,
                                     const struct frontier *at)
{
    struct segment *seg = segment_new();
    seg->log = h->head.h.log;
    seg->first = at->size + 1;
    seg->before = *at;
    seg->after = *at;
    seg->slots = mem_alloc(SEG_ENTRIES * sizeof(*seg->slots));
    seg->leaves = mem_alloc(SEG_ENTRIES * sizeof(*seg->leaves));
    seg->refs = mem_alloc(SEG_ENTRIES * sizeof(*seg->refs));
    seg->newest = h->head.h.newest;
    buf_put_slice(&seg->note, buf_slice(&h->note));
    buf_put_slice(&seg->chain, buf_slice(&h->chain));
    return seg;
}

/* Moves `at` on to its end, from where it leads to the signed head. */
static enum err end_segment(struct pass *p, struct log_slot *slot,
                            const struct store_head *head, struct segment *seg,
                            struct frontier *at, struct errmsg *why)
{
    struct tree_view view = view_of(slot, head);
    char name[LOG_ID_TEXT_MAX];
    log_id_format(&slot->log, name);
    place_slots(seg);
    *at = seg->after;
    enum err err =
        tree_bridge(&view, at->size, head->newest.size, &seg->bridge);
    return err == ERR_OK ? ERR_OK
                         : err_set(why, err,
                                   "store %s: log %s: its tree cannot be read "
                                   "at %llu: start the node on it and let it "
                                   "`creditnode scrub`",
                                   p->from->conf.path, name,
                                   (unsigned long long)at->size);
}

static enum err read_blocks(struct pass *p, struct log_slot *slot,
                            struct build *b, struct errmsg *why)
{
    struct store *s = p->from;
    struct segment *seg = b->seg;
    char name[LOG_ID_TEXT_MAX];
    log_id_format(&slot->log, name);
    enum err err =
        s->backend->blocks(s->db, slot->id, seg->first, true, on_block, b, why);
    uint64_t next = seg->first + seg->count;
    if (err == ERR_OK && (b->bad || (seg->count == 0 && p->job->last))) {
        err = err_set(why, ERR_CORRUPT,
                      "store %s: log %s: block for number %llu is missing or "
                      "damaged: %s",
                      s->conf.path, name, (unsigned long long)next,
                      damage_advice(s->backend)->copy);
    }
    return err;
}

/* The next entries behind `at`, which moves on. *out is NULL if none can be
 * read by this head. */
static enum err read_segment(struct pass *p, struct log_slot *slot,
                             const struct signed_head *h, struct frontier *at,
                             struct segment **out, struct errmsg *why)
{
    struct segment *seg = begin_segment(h, at);
    struct build b = {.p = p, .seg = seg, .last = h->head.h.frontier.size};
    enum err err = read_blocks(p, slot, &b, why);
    if (err == ERR_OK && seg->count > 0) {
        err = end_segment(p, slot, &h->head.h, seg, at, why);
    }
    if (err != ERR_OK || seg->count == 0) {
        segment_free(&seg);
    }
    *out = seg;
    return err;
}

static enum err send_rest(struct pass *p, struct log_slot *slot,
                          const struct signed_head *h, struct frontier *at,
                          struct errmsg *why)
{
    enum err err = ERR_OK;
    bool more = true;
    while (err == ERR_OK && more && at->size < h->head.h.frontier.size) {
        struct segment *seg;
        err = read_segment(p, slot, h, at, &seg, why);
        more = err == ERR_OK && seg != NULL;
        if (more) {
            err = send(p, &seg, why);
        }
    }
    return err;
}

static enum err copy_log(struct pass *p, struct log_slot *slot,
                         struct errmsg *why)
{
    struct signed_head *h = MEM_NEW(struct signed_head);
    struct store_head *ours = MEM_NEW(struct store_head);
    enum err err = read_signed(p, slot, h, why);
    if (err == ERR_OK && store_head(p->to, &slot->log, ours) != ERR_OK) {
        *ours = (struct store_head){.log = slot->log};
    }
    if (err == ERR_OK && h->head.h.state != LOG_ABSENT) {
        err = check_prefix(p, slot, &h->head.h, ours, why);
        if (err == ERR_OK) {
            err = send_rest(p, slot, h, &ours->frontier, why);
        }
    }
    signed_head_fini(h);
    mem_free(h);
    mem_free(ours);
    return err;
}

/* ---- reading back ---- */

struct read_back {
    struct pass *p;
    struct frontier at;
};

static void on_entry(struct walk *w, uint64_t number, const struct slot *slot)
{
    struct read_back *r = w->ctx;
    struct hash leaf = slot->leaf;
    (void)number;
    if (slot->entry.data != NULL) {
        suite_hash_leaf(r->p->to->env.suite, slot->entry, &leaf);
    }
    frontier_append(&r->at, r->p->to->env.suite, &leaf, NULL, NULL);
}

static uint64_t *proven_of(struct store_copy *c, uint32_t id)
{
    if (id >= c->n) {
        uint32_t n = 2 * id + 16;
        c->proven = mem_realloc(c->proven, n * sizeof(*c->proven));
        memset(c->proven + c->n, 0, (n - c->n) * sizeof(*c->proven));
        c->n = n;
    }
    return &c->proven[id];
}

static enum err walk_back(struct pass *p, struct walk *w, struct errmsg *why)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && w->next <= w->size) {
        uint64_t from = w->next;
        err = walk_run(w, why);
        p->done += w->next - from;
        p->counts->read_back += w->next - from;
        say(p, COPY_READS_BACK);
    }
    return err;
}

/* Everything that this process has not read back of the log. */
static enum err read_log(struct pass *p, struct log_slot *slot,
                         struct errmsg *why)
{
    struct read_back *r = MEM_NEW(struct read_back);
    struct head *head = MEM_NEW(struct head);
    uint64_t *proven = proven_of(p->copy, slot->id);
    struct walk w = {
        .slot = slot, .size = slot->size, .entry = on_entry, .ctx = r};
    struct hash root;
    r->p = p;
    w.next = *proven + 1;
    w.codec = p->codec;
    enum err err = heads_copy(&p->to->heads, slot, head);
    if (err == ERR_OK) {
        struct tree_view view = slot_view(slot, slot->size);
        err = tree_frontier(&view, *proven, &r->at);
    }
    if (err == ERR_OK) {
        err = walk_back(p, &w, why);
    } else {
        (void)err_set(why, err, "store %s: a tree cannot be read",
                      p->to->conf.path);
    }
    if (err == ERR_OK) {
        frontier_root(&r->at, p->to->env.suite, &root);
        char name[LOG_ID_TEXT_MAX];
        log_id_format(&slot->log, name);
        err =
            hash_eq(&root, &head->h.root)
                ? ERR_OK
                : err_set(why, ERR_CORRUPT,
                          "store %s: log %s: what was written is not what "
                          "is read: check that disk; empty it and begin again",
                          p->to->conf.path, name);
    }
    if (err == ERR_OK) {
        *proven = slot->size;
    }
    mem_free(head);
    mem_free(r);
    return err;
}

/* ---- all logs ---- */

static void list_kind(struct pass *p, bool directives)
{
    const struct heads *heads = &p->from->heads;
    for (size_t i = 0; i < heads->n; i++) {
        if ((heads->sorted[i]->log.kind == LOG_DIRECTIVES) == directives) {
            p->logs[p->n++] = heads->sorted[i];
        }
    }
}

/* Directives first: with their catalogues the records are judged. */
static void list_logs(struct pass *p)
{
    p->logs = mem_alloc((p->from->heads.n + 1) * sizeof(struct log_slot *));
    list_kind(p, true);
    list_kind(p, false);
}

/* The local numbers are the source's: answers come in their order. */
static enum err do_names(struct store *s, void *ctx, struct errmsg *why)
{
    struct pass *p = ctx;
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < p->n; i++) {
        err = heads_add_at(s, &p->logs[i]->log, p->logs[i]->id);
    }
    return err == ERR_OK ? ERR_OK
                         : err_set(why, err,
                                   "store %s is a copy of another store: empty "
                                   "it and begin again",
                                   s->conf.path);
}

static void measure(struct pass *p)
{
    uint64_t there = 0;
    p->counts->logs = p->n;
    for (size_t i = 0; i < p->n; i++) {
        struct log_slot *slot = heads_find(&p->to->heads, &p->logs[i]->log);
        p->total += p->logs[i]->size;
        there += slot->size;
    }
    p->total -= there < p->total ? there : p->total;
}

static enum err copy_logs(struct pass *p, struct errmsg *why)
{
    enum err err = writer_job(p->to, do_names, p, why);
    if (err == ERR_OK) {
        measure(p);
    }
    for (size_t i = 0; err == ERR_OK && i < p->n; i++) {
        err = copy_log(p, p->logs[i], why);
    }
    if (err == ERR_OK) {
        err = flight_wait(p, 0, why);
    }
    p->counts->copied = p->flight.added;
    return err;
}

static enum err read_logs(struct pass *p, struct errmsg *why)
{
    const struct heads *heads = &p->to->heads;
    enum err err = ERR_OK;
    p->done = 0;
    p->total = 0;
    p->counts->entries = heads->entries;
    for (size_t i = 0; i < heads->n; i++) {
        p->total +=
            heads->sorted[i]->size - *proven_of(p->copy, heads->sorted[i]->id);
    }
    for (size_t i = 0; err == ERR_OK && i < heads->n; i++) {
        if (heads->sorted[i]->state != LOG_ABSENT) {
            err = read_log(p, heads->sorted[i], why);
        }
    }
    return err;
}

/* ---- the end ---- */

/* Equal size and root is equal content. */
static enum err check_equal(struct pass *p, struct errmsg *why)
{
    struct head *theirs = MEM_NEW(struct head);
    struct head *ours = MEM_NEW(struct head);
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < p->n; i++) {
        struct log_slot *slot = p->logs[i];
        if (heads_copy(&p->from->heads, slot, theirs) != ERR_OK ||
            theirs->h.frontier.size == 0) {
            continue;
        }
        struct log_slot *copy = heads_find(&p->to->heads, &slot->log);
        bool equal = heads_copy(&p->to->heads, copy, ours) == ERR_OK &&
                     ours->h.frontier.size == theirs->h.frontier.size &&
                     hash_eq(&ours->h.root, &theirs->h.root);
        char name[LOG_ID_TEXT_MAX];
        log_id_format(&slot->log, name);
        err = equal ? ERR_OK
                    : err_set(why, ERR_CONFLICT,
                              "log %s differs between the stores: empty the "
                              "copy (%s) and begin again",
                              name, p->to->conf.path);
    }
    mem_free(theirs);
    mem_free(ours);
    return err;
}

/* What is put as it is. */
struct rest {
    struct pass *p;
    void *batch;
    size_t bytes;
    enum err err;
    struct errmsg *why;
};

static void rest_flush(struct rest *r, bool always)
{
    struct store *to = r->p->to;
    if (r->err == ERR_OK && (always || r->bytes > BATCH_BYTES)) {
        r->err = writer_commit(to, r->batch, r->why);
        to->backend->batch_free(r->batch);
        r->batch = to->backend->batch_new(to->db);
        r->bytes = 0;
    }
}

static void put_parts(struct rest *r, const struct log_slot *slot)
{
    static const enum log_part parts[] = {PART_HEAD, PART_NOTE, PART_CHAIN,
                                          PART_FORK, PART_ABOVE};
    struct buf value = BUF_INIT;
    for (size_t i = 0; r->err == ERR_OK && i < ARRAY_LEN(parts); i++) {
        r->err = part_of(r->p->from, slot->id, parts[i], &value, r->why);
        if (r->err == ERR_OK && value.len > 0) {
            r->p->to->backend->put_part(r->batch, slot->id, parts[i],
                                        buf_slice(&value));
            r->bytes += value.len;
        }
    }
    buf_fini(&value);
    rest_flush(r, false);
}

static void put_meta(struct rest *r, enum meta meta)
{
    struct store *from = r->p->from;
    struct buf value = BUF_INIT;
    enum err err = from->backend->meta(from->db, meta, &value, r->why);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        r->err = err;
    } else {
        r->p->to->backend->put_meta(r->batch, meta, buf_slice(&value));
    }
    buf_fini(&value);
}

static bool on_stale(void *ctx, uint64_t seq, struct slice entry)
{
    struct rest *r = ctx;
    (void)entry;
    r->p->to->backend->del_salvage(r->batch, seq);
    return true;
}

static bool on_salvage(void *ctx, uint64_t seq, struct slice entry)
{
    struct rest *r = ctx;
    r->p->to->backend->put_salvage(r->batch, seq, entry);
    r->p->counts->set_aside++;
    r->bytes += entry.len;
    rest_flush(r, false);
    return r->err == ERR_OK;
}

/* A former attempt may have left what has its number by now. */
static void put_salvage(struct rest *r)
{
    struct store *from = r->p->from;
    struct store *to = r->p->to;
    if (r->err == ERR_OK) {
        r->err = to->backend->salvage(to->db, 0, on_stale, r, r->why);
    }
    rest_flush(r, true);
    if (r->err == ERR_OK) {
        enum err err =
            from->backend->salvage(from->db, 0, on_salvage, r, r->why);
        r->err = r->err == ERR_OK ? err : r->err;
    }
}

static bool on_source(void *ctx, const uint8_t name[SOURCE_LEN],
                      struct slice value)
{
    struct rest *r = ctx;
    r->p->to->backend->put_source(r->batch, name, value);
    r->bytes += SOURCE_LEN + value.len;
    rest_flush(r, false);
    return r->err == ERR_OK;
}

/* Else an exchange would take in again what it has no mark of. */
static void put_sources(struct rest *r)
{
    struct store *from = r->p->from;
    if (r->err == ERR_OK) {
        enum err err = from->backend->sources(from->db, on_source, r, r->why);
        r->err = r->err == ERR_OK ? err : r->err;
    }
}

static enum err do_rest(struct store *s, void *ctx, struct errmsg *why)
{
    struct pass *p = ctx;
    struct rest r = {.p = p, .batch = s->backend->batch_new(s->db), .why = why};
    for (size_t i = 0; r.err == ERR_OK && i < p->n; i++) {
        put_parts(&r, p->logs[i]);
    }
    put_meta(&r, META_HOLD);
    put_meta(&r, META_AWAIT);
    put_salvage(&r);
    put_sources(&r);
    rest_flush(&r, true);
    s->backend->batch_free(r.batch);
    return r.err;
}

static bool on_issue(void *ctx, uint32_t log, uint64_t number, uint8_t reason)
{
    uint64_t *n = ctx;
    (void)log;
    (void)number;
    (void)reason;
    (*n)++;
    return true;
}

static enum err count_issues(struct store *s, uint64_t *n, struct errmsg *why)
{
    return s->backend->issues(s->db, atomic_load(&s->generation), 0, 0,
                              on_issue, n, why);
}

static enum err do_mark(struct store *s, void *ctx, struct errmsg *why)
{
    return mark_write(s, ctx, why);
}

static struct mark mark_now(enum mark_state state, const char *where)
{
    struct mark mark = {.state = state, .at_ms = clock_wall_ms()};
    (void)snprintf(mark.where, sizeof mark.where, "%s", where);
    return mark;
}

/* The source first: a node may open one of them at most, at any moment. */
static enum err change_over(struct pass *p, struct errmsg *why)
{
    struct mark moved = mark_now(MARK_MOVED, p->job->to_name);
    struct mark none = {.state = MARK_NONE};
    enum err err = ERR_OK;
    memcpy(moved.id, p->to->mark.id, MARK_ID_LEN);
    if (p->from->mark.state != MARK_MOVED) {
        err = mark_write(p->from, &moved, why);
    }
    return err == ERR_OK ? writer_job(p->to, do_mark, &none, why) : err;
}

static enum err open_copy(struct pass *p, struct errmsg *why)
{
    return store_open_as(&p->to, ROLE_COPY, backend_of(p->job->to), p->job->to,
                         p->job->env, why);
}

static enum err end_move(struct pass *p, struct errmsg *why)
{
    enum err err = check_equal(p, why);
    if (err == ERR_OK) {
        err = writer_job(p->to, do_rest, p, why);
    }
    if (err == ERR_OK) { /* checks each head against its tree */
        store_close(&p->to);
        err = open_copy(p, why);
    }
    if (err == ERR_OK) {
        err = count_issues(p->from, &p->counts->issues_from, why);
    }
    if (err == ERR_OK) {
        err = count_issues(p->to, &p->counts->issues_to, why);
    }
    if (err == ERR_OK && p->job->carry != NULL) {
        err = p->job->carry(p->job->ctx, why);
    }
    return err == ERR_OK ? change_over(p, why) : err;
}

/* ---- a pass ---- */

/* Of a source that was given up already: is it for this copy? */
static enum err check_moved(struct pass *p, struct errmsg *why)
{
    const struct mark *from = &p->from->mark;
    bool ours = p->job->last && p->to->mark.state == MARK_COPY &&
                memcmp(from->id, p->to->mark.id, MARK_ID_LEN) == 0;
    return from->state == MARK_NONE || ours ? ERR_OK
                                            : mark_refuse(p->from, why);
}

static enum err begin_mark(struct pass *p, struct errmsg *why)
{
    struct mark mark = mark_now(MARK_COPY, p->job->from_name);
    suite_random(mark.id, sizeof mark.id);
    return p->to->mark.state == MARK_NONE
               ? writer_job(p->to, do_mark, &mark, why)
               : ERR_OK;
}

static enum err open_both(struct pass *p, struct errmsg *why)
{
    const struct copy_job *job = p->job;
    enum err err =
        store_open_as(&p->from, job->last ? ROLE_SOURCE : ROLE_BESIDE,
                      backend_of(job->from), job->from, job->env, why);
    if (err == ERR_OK) {
        err = open_copy(p, why);
    }
    if (err == ERR_OK) {
        err = check_moved(p, why);
    }
    return err == ERR_OK ? begin_mark(p, why) : err;
}

enum err copy_pass(struct store_copy *copy, const struct copy_job *job,
                   struct copy_counts *out, struct errmsg *why)
{
    struct pass *p = MEM_NEW(struct pass);
    *out = (struct copy_counts){0};
    p->copy = copy;
    p->job = job;
    p->counts = out;
    p->codec = block_codec_new();
    flight_init(&p->flight);
    enum err err = open_both(p, why);
    if (err == ERR_OK) {
        list_logs(p);
        err = copy_logs(p, why);
    }
    if (err == ERR_OK) {
        err = read_logs(p, why);
    }
    if (err == ERR_OK && job->last) {
        err = end_move(p, why);
    }
    store_close(&p->to); /* its last callbacks still find the flight */
    store_close(&p->from);
    flight_fini(&p->flight);
    block_codec_free(&p->codec);
    mem_free(p->logs);
    mem_free(p);
    return err;
}
