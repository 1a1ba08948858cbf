#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_impl.h"

/* Blocks of larger entries are not kept: one of them could fill the cache. */
enum {
    CACHE_BLOCK_BYTES_MAX = 64 << 10,
    CACHE_BLOCK_BYTES = 8 << 10, /* a usual one: 16 records */
    UNPACK_NOW_MAX = 16 << 10,   /* packed bytes, unpacked within 0.1 ms */
};

/* An unpacked block; never changed. */
struct unpacked {
    size_t refs; /* cache lock */
    uint32_t log;
    uint64_t first;
    size_t count;
    size_t bytes;
    struct slot slots[BLOCK_ENTRIES_MAX]; /* into raw */
    uint8_t raw[];
};

/* ---- the database may be away ---- */

/* The store that this thread reads. Entering twice would end in a deadlock
 * with a writer that waits in between. */
static _Thread_local const struct store *inside;

static bool entered(struct store *s)
{
    if (s->db == NULL || atomic_load(&s->put_back)) {
        (void)pthread_rwlock_unlock(&s->db_lock);
        return false;
    }
    inside = s;
    return true;
}

/* Who changes it says so under `db_wait_lock`, after the change: it cannot come
 * and go unnoticed between a look and the wait. */
static bool wait_unchanging(struct store *s)
{
    struct timespec until;
    int rc = 0;
    clock_until(DB_ENTER_MS, &until);
    (void)pthread_mutex_lock(&s->db_wait_lock);
    bool locked = pthread_rwlock_tryrdlock(&s->db_lock) == 0;
    while (!locked && rc == 0) {
        rc = pthread_cond_timedwait(&s->db_changed, &s->db_wait_lock, &until);
        locked = pthread_rwlock_tryrdlock(&s->db_lock) == 0;
    }
    (void)pthread_mutex_unlock(&s->db_wait_lock);
    return locked;
}

enum err db_enter(struct store *s)
{
    assert(inside != s);
    bool locked =
        pthread_rwlock_tryrdlock(&s->db_lock) == 0 || wait_unchanging(s);
    return locked && entered(s) ? ERR_OK : ERR_UNAVAILABLE;
}

enum err db_enter_now(struct store *s)
{
    assert(inside != s);
    return pthread_rwlock_tryrdlock(&s->db_lock) == 0 && entered(s) ? ERR_OK
                                                                    : ERR_BUSY;
}

void db_leave(struct store *s)
{
    inside = NULL;
    (void)pthread_rwlock_unlock(&s->db_lock);
}

void db_change_begin(struct store *s)
{
    (void)pthread_rwlock_wrlock(&s->db_lock);
}

void db_change_end(struct store *s)
{
    (void)pthread_rwlock_unlock(&s->db_lock);
    (void)pthread_mutex_lock(&s->db_wait_lock);
    (void)pthread_cond_broadcast(&s->db_changed);
    (void)pthread_mutex_unlock(&s->db_wait_lock);
}

enum err db_leave_index(struct store *s, uint8_t generation, enum err err,
                        struct errmsg *why)
{
    if (err == ERR_OK) {
        err = recover_generation_lasts(s, generation, why);
    }
    db_leave(s);
    return err;
}

static void complain(struct store *s, enum err err, const struct errmsg *why)
{
    int64_t now_s = clock_mono_ms() / 1000;
    (void)pthread_mutex_lock(&s->state_lock);
    bool say = now_s != s->complained_at_s;
    s->complained_at_s = now_s;
    (void)snprintf(s->why, sizeof s->why, "%.*s", (int)sizeof s->why - 1,
                   why->text);
    (void)pthread_mutex_unlock(&s->state_lock);
    if (say) {
        log_error(&s->log, "STORE-CORRUPT",
                  "err=%s cause=\"%s\" todo=\"check the disk\"", err_name(err),
                  why->text);
    }
}

bool is_unread(enum err err, const struct errmsg *why)
{
    return err != ERR_IO ? err_is_passing(err)
                         : strstr(why->text, "Too many open files") != NULL ||
                               strstr(why->text, "Cannot allocate") != NULL;
}

enum err read_failed(struct store *s, enum err err, const struct errmsg *why)
{
    if (err == ERR_CORRUPT) {
        store_damaged(s, why->text);
    }
    if (err == ERR_CORRUPT || err == ERR_IO) {
        complain(s, err, why);
    }
    if (err == ERR_UNAVAILABLE && s->writer_runs) {
        writer_server_away(s, why->text);
    }
    return err;
}

/* What is not there may have been cut off a moment ago: no proof of damage,
 * unlike a page that does not fit its checksum. The scrub will tell. */
static enum err read_missing(struct store *s, const struct errmsg *why)
{
    complain(s, ERR_CORRUPT, why);
    return ERR_CORRUPT;
}

/* ---- cache ---- */

void cache_init(struct block_cache *cache, size_t bytes_max)
{
    (void)pthread_mutex_init(&cache->lock, NULL);
    cache->bytes_max = bytes_max;
    cache->sets = 16;
    while (cache->sets * CACHE_WAYS < bytes_max / CACHE_BLOCK_BYTES) {
        cache->sets *= 2;
    }
    cache->slots = mem_zalloc(cache->sets * CACHE_WAYS, sizeof *cache->slots);
}

static void unref_locked(struct unpacked *u)
{
    if (u != NULL && --u->refs == 0) {
        mem_free(u);
    }
}

static void drop_locked(struct block_cache *cache, size_t at)
{
    if (cache->slots[at] != NULL) {
        cache->bytes -= cache->slots[at]->bytes;
        unref_locked(cache->slots[at]);
        cache->slots[at] = NULL;
    }
}

void cache_clear(struct block_cache *cache)
{
    (void)pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < cache->sets * CACHE_WAYS; i++) {
        drop_locked(cache, i);
    }
    cache->epoch++;
    (void)pthread_mutex_unlock(&cache->lock);
}

void cache_fini(struct block_cache *cache)
{
    cache_clear(cache);
    mem_free(cache->slots);
    for (size_t i = 0; i < cache->codecs_n; i++) {
        block_codec_free(&cache->codecs[i]);
    }
    (void)pthread_mutex_destroy(&cache->lock);
}

struct block_codec *codec_take(struct block_cache *cache)
{
    struct block_codec *codec = NULL;
    (void)pthread_mutex_lock(&cache->lock);
    if (cache->codecs_n > 0) {
        codec = cache->codecs[--cache->codecs_n];
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return codec != NULL ? codec : block_codec_new();
}

void codec_give(struct block_cache *cache, struct block_codec *codec)
{
    (void)pthread_mutex_lock(&cache->lock);
    if (cache->codecs_n < CODECS_MAX) {
        cache->codecs[cache->codecs_n++] = codec;
        codec = NULL;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    block_codec_free(&codec);
}

/* The first slot of the set for blocks of this neighbourhood. */
static size_t cache_place(const struct block_cache *cache, uint32_t log,
                          uint64_t number)
{
    uint64_t h = (number / BLOCK_ENTRIES_MAX + log * 0x9e3779b1ull);
    return ((size_t)(h * 0x9e3779b97f4a7c15ull >> 32) & (cache->sets - 1)) *
           CACHE_WAYS;
}

static struct unpacked *cache_find(struct block_cache *cache, uint32_t log,
                                   uint64_t number, uint64_t *epoch)
{
    (void)pthread_mutex_lock(&cache->lock);
    *epoch = cache->epoch;
    struct unpacked **set = &cache->slots[cache_place(cache, log, number)];
    struct unpacked *found = NULL;
    for (size_t i = 0; found == NULL && i < CACHE_WAYS; i++) {
        struct unpacked *u = set[i];
        if (u != NULL && u->log == log && number >= u->first &&
            number < u->first + u->count) {
            u->refs++;
            found = u;
        }
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return found;
}

/* A free slot of the set, or the one whose turn it is to go. */
static size_t cache_victim(struct block_cache *cache, size_t set)
{
    for (size_t i = 0; i < CACHE_WAYS; i++) {
        if (cache->slots[set + i] == NULL) {
            return set + i;
        }
    }
    return set + cache->hand++ % CACHE_WAYS;
}

/* Not if the cache was cleared since the block was looked for. */
static void cache_keep(struct block_cache *cache, struct unpacked *u,
                       uint64_t number, uint64_t epoch)
{
    if (u->bytes > CACHE_BLOCK_BYTES_MAX || u->bytes > cache->bytes_max) {
        return;
    }
    size_t set = cache_place(cache, u->log, number);
    (void)pthread_mutex_lock(&cache->lock);
    if (epoch == cache->epoch) {
        size_t at = cache_victim(cache, set);
        drop_locked(cache, at);
        for (size_t i = at + 1; cache->bytes + u->bytes > cache->bytes_max;
             i++) {
            drop_locked(cache, i & (cache->sets * CACHE_WAYS - 1));
        }
        cache->slots[at] = u;
        cache->bytes += u->bytes;
        u->refs++;
    }
    (void)pthread_mutex_unlock(&cache->lock);
}

static void cache_unref(struct block_cache *cache, struct unpacked *u)
{
    (void)pthread_mutex_lock(&cache->lock);
    unref_locked(u);
    (void)pthread_mutex_unlock(&cache->lock);
}

/* ---- one block ---- */

static struct unpacked *unpacked_new(uint32_t log, uint64_t first,
                                     const struct slot *slots, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += slots[i].entry.data != NULL ? slots[i].entry.len : 0;
    }
    struct unpacked *u = mem_alloc(sizeof(*u) + len);
    *u = (struct unpacked){.refs = 1,
                           .log = log,
                           .first = first,
                           .count = count,
                           .bytes = sizeof(*u) + len};
    uint8_t *at = u->raw;
    for (size_t i = 0; i < count; i++) {
        struct slice e = slots[i].entry;
        u->slots[i] = slots[i];
        if (e.data != NULL) {
            memcpy(at, e.data, e.len);
            u->slots[i].entry = slice_of(at, e.len);
            at += e.len;
        }
    }
    return u;
}

struct one_block {
    struct log_slot *slot;
    uint64_t number;
    struct block_codec *codec;
    struct unpacked *found;
    enum err err;
};

static bool on_one_block(void *ctx, uint64_t first, struct slice block)
{
    struct one_block *o = ctx;
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count;
    o->err = block_unpack(o->codec, block, slots, &count);
    if (o->err != ERR_OK) {
        o->err = ERR_CORRUPT;
    } else if (o->number < first || o->number >= first + count) {
        o->err = ERR_NOT_FOUND;
    } else {
        o->found = unpacked_new(o->slot->id, first, slots, count);
    }
    return false;
}

static bool on_one_block_at(void *ctx, uint32_t log, uint64_t first,
                            struct slice block)
{
    (void)log;
    return on_one_block(ctx, first, block);
}

static enum err read_one(const struct store *s, struct one_block *o,
                         struct errmsg *why)
{
    const struct entry_place place = {o->slot->id, o->number};
    return s->backend->blocks_at != NULL
               ? s->backend->blocks_at(s->db, &place, 1, on_one_block_at, o,
                                       why)
               : s->backend->blocks(s->db, place.log, place.number, false,
                                    on_one_block, o, why);
}

/* The block that covers `number`, with a reference. If it must be there, and
 * is not, the store is damaged; else that is ERR_NOT_FOUND. */
static enum err block_of(struct log_slot *slot, uint64_t number, bool must,
                         struct unpacked **out)
{
    struct store *s = slot->store;
    uint64_t epoch;
    *out = cache_find(&s->cache, slot->id, number, &epoch);
    if (*out != NULL) {
        return ERR_OK;
    }
    struct one_block o = {.slot = slot, .number = number, .err = ERR_NOT_FOUND};
    struct errmsg why;
    enum err err = db_enter(s);
    if (err != ERR_OK) {
        return err;
    }
    o.codec = codec_take(&s->cache);
    err = read_one(s, &o, &why);
    codec_give(&s->cache, o.codec);
    db_leave(s);
    if (err == ERR_OK && o.err == ERR_CORRUPT) {
        err = err_set(&why, ERR_CORRUPT,
                      "block of log %u at number %llu cannot be unpacked",
                      slot->id, (unsigned long long)number);
    }
    if (err == ERR_OK && o.err == ERR_NOT_FOUND && !must) {
        return ERR_NOT_FOUND;
    }
    if (err == ERR_OK && o.err == ERR_NOT_FOUND) {
        (void)err_set(&why, ERR_CORRUPT, "log %u: number %llu is missing",
                      slot->id, (unsigned long long)number);
        return read_missing(s, &why);
    }
    err = read_failed(s, err, &why);
    if (err == ERR_OK) {
        *out = o.found;
        cache_keep(&s->cache, o.found, number, epoch);
    }
    return err;
}

/* Appends the entry; gives the reference back. */
static enum err put_entry(struct log_slot *slot, struct unpacked *u,
                          uint64_t number, struct buf *out)
{
    struct slice entry = u->slots[number - u->first].entry;
    bool erased = entry.data == NULL;
    if (!erased) {
        buf_put_slice(out, entry);
    }
    cache_unref(&slot->store->cache, u);
    return erased ? ERR_SEALED : ERR_OK;
}

static enum err entry_of(struct log_slot *slot, uint64_t number, bool must,
                         struct buf *out)
{
    struct unpacked *u;
    enum err err = block_of(slot, number, must, &u);
    return err == ERR_OK ? put_entry(slot, u, number, out) : err;
}

enum err slot_entry(struct log_slot *slot, uint64_t number, struct buf *out)
{
    return entry_of(slot, number, true, out);
}

static uint64_t slot_size(struct log_slot *slot)
{
    struct heads *heads = &slot->store->heads;
    (void)pthread_mutex_lock(&heads->lock);
    uint64_t size = slot->size;
    (void)pthread_mutex_unlock(&heads->lock);
    return size;
}

enum err store_entry(struct store *store, const struct log_id *log,
                     uint64_t number, struct buf *out)
{
    struct log_slot *slot = heads_find(&store->heads, log);
    if (slot == NULL || number == 0) {
        return ERR_NOT_FOUND;
    }
    /* An index row is seen a moment before the head that goes with it, and its
     * entry is there: both were written by one commit. */
    return entry_of(slot, number, number <= slot_size(slot), out);
}

enum err store_entry_now(struct store *store, const struct log_id *log,
                         uint64_t number, struct buf *out)
{
    struct log_slot *slot = heads_find(&store->heads, log);
    if (slot == NULL || number == 0) {
        return ERR_NOT_FOUND;
    }
    uint64_t epoch;
    struct unpacked *u = cache_find(&store->cache, slot->id, number, &epoch);
    return u != NULL ? put_entry(slot, u, number, out) : ERR_BUSY;
}

static bool on_small_block(void *ctx, uint64_t first, struct slice block)
{
    return block.len <= UNPACK_NOW_MAX && on_one_block(ctx, first, block);
}

/* As block_of(), from what the database has in memory: ERR_BUSY for all that it
 * does not give. */
static enum err block_in_memory(struct log_slot *slot, uint64_t number,
                                struct unpacked **out)
{
    struct store *s = slot->store;
    uint64_t epoch;
    *out = cache_find(&s->cache, slot->id, number, &epoch);
    if (*out != NULL) {
        return ERR_OK;
    }
    struct one_block o = {.slot = slot, .number = number};
    struct errmsg why;
    if (s->backend->block_now == NULL || db_enter_now(s) != ERR_OK) {
        return ERR_BUSY;
    }
    o.codec = codec_take(&s->cache);
    /* What is wrong shows when a worker reads it. */
    (void)!(s->backend->block_now(s->db, slot->id, number, on_small_block, &o,
                                  &why) == ERR_OK);
    codec_give(&s->cache, o.codec);
    db_leave(s);
    if (o.found == NULL) {
        return ERR_BUSY;
    }
    *out = o.found;
    cache_keep(&s->cache, o.found, number, epoch);
    return ERR_OK;
}

enum err store_entry_in_memory(struct store *store, const struct log_id *log,
                               uint64_t number, struct buf *out)
{
    struct log_slot *slot = heads_find(&store->heads, log);
    struct unpacked *u;
    if (slot == NULL || number == 0) {
        return ERR_NOT_FOUND;
    }
    return block_in_memory(slot, number, &u) == ERR_OK
               ? put_entry(slot, u, number, out)
               : ERR_BUSY;
}

/* ---- the blocks of several entries ---- */

struct ahead {
    struct store *s;
    struct block_codec *codec;
    struct entry_place
        places[PLACES_MAX]; /* of blocks that are not in the cache */
    size_t n;
    uint64_t epoch; /* when the first of them was looked for */
};

static bool is_kept(struct block_cache *cache, const struct entry_place *p,
                    uint64_t *epoch)
{
    struct unpacked *u = cache_find(cache, p->log, p->number, epoch);
    if (u != NULL) {
        cache_unref(cache, u);
    }
    return u != NULL;
}

static void ahead_add(struct ahead *a, const struct store_row *row)
{
    uint64_t epoch;
    const struct log_slot *slot = heads_find(&a->s->heads, &row->log);
    if (slot != NULL) {
        const struct entry_place p = {slot->id, row->number};
        if (!is_kept(&a->s->cache, &p, &epoch)) {
            a->epoch = a->n == 0 ? epoch : a->epoch;
            a->places[a->n++] = p;
        }
    }
}

/* What is damaged or not there is left to who reads the entry. */
static bool on_ahead(void *ctx, uint32_t log, uint64_t first,
                     struct slice block)
{
    const struct ahead *a = ctx;
    struct block_cache *cache = &a->s->cache;
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count;
    uint64_t epoch;
    if (block_unpack(a->codec, block, slots, &count) != ERR_OK) {
        return true;
    }
    struct unpacked *u = unpacked_new(log, first, slots, count);
    for (size_t i = 0; i < a->n; i++) {
        const struct entry_place *p = &a->places[i];
        if (p->log == log && p->number >= first && p->number < first + count &&
            !is_kept(cache, p, &epoch)) {
            cache_keep(cache, u, p->number, a->epoch);
        }
    }
    cache_unref(cache, u);
    return true;
}

void store_ahead(struct store *store, const struct store_row *rows, size_t n)
{
    struct ahead a = {.s = store};
    struct errmsg why;
    if (store->backend->blocks_at == NULL) {
        return;
    }
    for (size_t i = 0; i < n && i < PLACES_MAX; i++) {
        ahead_add(&a, &rows[i]);
    }
    if (a.n < 2 || db_enter(store) != ERR_OK) {
        return;
    }
    a.codec = codec_take(&store->cache);
    (void)!(store->backend->blocks_at(store->db, a.places, a.n, on_ahead, &a,
                                      &why) == ERR_OK);
    codec_give(&store->cache, a.codec);
    db_leave(store);
}

/* ---- runs of blocks ---- */

struct run {
    uint64_t from;
    uint64_t last;
    size_t max_bytes;
    struct buf *blocks;
    struct block_ref *refs;
    size_t refs_max;
    size_t count;
    size_t bytes;
    bool bad;
};

static bool on_run_block(void *ctx, uint64_t first, struct slice block)
{
    struct run *run = ctx;
    size_t entries;
    if (first > run->last || run->count == run->refs_max ||
        (run->count > 0 && run->bytes + block.len > run->max_bytes)) {
        return false;
    }
    uint64_t expected = run->count == 0 ? run->from
                                        : run->refs[run->count - 1].first +
                                              run->refs[run->count - 1].count;
    run->bad = block_count(block, &entries) != ERR_OK || first > expected;
    if (run->bad) {
        return false;
    }
    run->refs[run->count++] = (struct block_ref){
        .first = first,
        .count = (uint32_t)entries,
        .offset = (uint32_t)run->blocks->len,
        .len = (uint32_t)block.len,
    };
    buf_put_slice(run->blocks, block);
    run->bytes += block.len;
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): a range, a limit, two outputs */
enum err store_blocks(struct store *store, const struct log_id *log,
                      uint64_t from, uint64_t last, size_t max_bytes,
                      struct buf *blocks, struct block_ref *refs,
                      size_t refs_max, size_t *count)
{
    *count = 0;
    struct log_slot *slot = heads_find(&store->heads, log);
    uint64_t size = slot != NULL ? slot_size(slot) : 0;
    if (from == 0 || from > size || from > last || refs_max == 0) {
        return ERR_NOT_FOUND;
    }
    struct run run = {.from = from,
                      .last = last < size ? last : size,
                      .max_bytes = max_bytes,
                      .blocks = blocks,
                      .refs = refs,
                      .refs_max = refs_max};
    struct errmsg why;
    enum err err = db_enter(store);
    if (err != ERR_OK) {
        return err;
    }
    err = store->backend->blocks(store->db, slot->id, from, false, on_run_block,
                                 &run, &why);
    db_leave(store);
    if (err == ERR_OK && (run.bad || run.count == 0)) {
        (void)err_set(&why, ERR_CORRUPT,
                      "log %u: block for number %llu is missing or damaged",
                      slot->id, (unsigned long long)from);
        return read_missing(store, &why);
    }
    *count = err == ERR_OK ? run.count : 0;
    return read_failed(store, err, &why);
}

/* ---- trees ---- */

enum err store_tree_node(void *ctx, unsigned level, uint64_t index,
                         struct hash *out)
{
    struct log_slot *slot = ctx;
    struct store *s = slot->store;
    struct errmsg why;
    if (level > 0) {
        enum err err = db_enter(s);
        if (err != ERR_OK) {
            return err;
        }
        err = s->backend->node(s->db, slot->id, level, index, out, &why);
        db_leave(s);
        if (err == ERR_NOT_FOUND) {
            (void)err_set(&why, ERR_CORRUPT,
                          "log %u: tree node %u/%llu is missing", slot->id,
                          level, (unsigned long long)index);
            return read_missing(s, &why);
        }
        return read_failed(s, err, &why);
    }
    struct unpacked *u;
    enum err err = block_of(slot, index + 1, true, &u);
    if (err == ERR_OK) {
        const struct slot *leaf = &u->slots[index + 1 - u->first];
        *out = leaf->leaf;
        if (leaf->entry.data != NULL) {
            suite_hash_leaf(s->env.suite, leaf->entry, out);
        }
        cache_unref(&s->cache, u);
    }
    return err;
}

struct tree_view slot_view(struct log_slot *slot, uint64_t size)
{
    return (struct tree_view){.suite = slot->store->env.suite,
                              .size = size,
                              .node = store_tree_node,
                              .ctx = slot};
}

/* From memory, where this process wrote or read it. */
static enum err view_node(void *ctx, unsigned level, uint64_t index,
                          struct hash *out)
{
    struct log_slot *slot = ctx;
    struct store *s = slot->store;
    uint64_t cuts = 0;
    /* Of a process that stands by another one may cut the logs. */
    if (level == 0 || !s->backend->distant || s->role == ROLE_FOLLOW) {
        return store_tree_node(ctx, level, index, out);
    }
    if (tree_kept_find(&s->tree_kept, slot->id, level, index, out, &cuts)) {
        return ERR_OK;
    }
    enum err err = store_tree_node(ctx, level, index, out);
    if (err == ERR_OK) {
        tree_kept_read(&s->tree_kept, slot->id, level, index, out, cuts);
    }
    return err;
}

struct tree_view store_view(struct store *store, const struct store_head *head)
{
    struct log_slot *slot = heads_find(&store->heads, &head->log);
    struct tree_view view = slot_view(slot, head->frontier.size);
    view.node = view_node;
    view.bridge = head->bridge.n > 0 ? &head->bridge : NULL;
    return view;
}
