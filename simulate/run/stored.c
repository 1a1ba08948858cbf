#include "run/stored.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store_impl.h"

enum { CACHE_BYTES = 4 << 20, LOGS_FIRST = 64 };

struct stored {
    void *db;
    struct block_codec *codec;
    struct stored_log *log; /* owned */
    size_t n;
    size_t cap;
    bool unreadable; /* a head is */
};

static bool on_head(void *ctx, uint32_t id, struct slice value)
{
    struct stored *s = ctx;
    struct head *head = MEM_NEW(struct head);
    s->unreadable = head_decode(value, head) != ERR_OK;
    if (!s->unreadable && s->n == s->cap) {
        s->cap = s->cap == 0 ? LOGS_FIRST : 2 * s->cap;
        s->log = mem_realloc(s->log, s->cap * sizeof *s->log);
    }
    if (!s->unreadable) {
        s->log[s->n++] = (struct stored_log){.id = id,
                                             .log = head->h.log,
                                             .size = head->h.frontier.size,
                                             .root = head->h.root};
    }
    mem_free(head);
    return !s->unreadable;
}

static int by_name(const void *a, const void *b)
{
    const struct stored_log *x = a;
    const struct stored_log *y = b;
    return log_id_cmp(&x->log, &y->log);
}

enum err stored_open(struct stored **out, const char *path, struct errmsg *why)
{
    const struct store_conf conf = {.path = path,
                                    .cache_bytes = CACHE_BYTES,
                                    .write_buffer_bytes = CACHE_BYTES};
    struct stored *s = MEM_NEW(struct stored);
    enum err err = store_rocksdb.open(&s->db, &conf, true, why);
    s->codec = block_codec_new();
    if (err == ERR_OK) {
        err = store_rocksdb.parts(s->db, PART_HEAD, on_head, s, why);
    }
    if (err == ERR_OK && s->unreadable) {
        err = err_set(why, ERR_CORRUPT, "%s: a head cannot be read", path);
    }
    if (err != ERR_OK) {
        stored_close(&s);
    } else if (s->n > 0) {
        qsort(s->log, s->n, sizeof *s->log, by_name);
    }
    *out = s;
    return err;
}

void stored_close(struct stored **stored)
{
    struct stored *s = *stored;
    if (s != NULL) {
        if (s->db != NULL) {
            store_rocksdb.close(s->db);
        }
        block_codec_free(&s->codec);
        mem_free(s->log);
        mem_free(s);
        *stored = NULL;
    }
}

const struct stored_log *stored_logs(const struct stored *stored, size_t *n)
{
    *n = stored->n;
    return stored->log;
}

/* ---- entries ---- */

struct reading {
    struct stored *stored;
    const struct stored_log *log;
    enum suite suite;
    bool root;
    stored_entry_fn *fn;
    void *ctx;
    uint64_t read;
    struct frontier frontier; /* of them, if `root` */
    enum err err;
    struct errmsg *why;
};

static void take(struct reading *r, const struct slot *slot)
{
    struct hash leaf = slot->leaf;
    r->read++;
    if (r->root) {
        if (slot->entry.data != NULL) {
            suite_hash_leaf(r->suite, slot->entry, &leaf);
        }
        frontier_append(&r->frontier, r->suite, &leaf, NULL, NULL);
    }
    if (!r->fn(r->ctx, &r->log->log, r->read, slot->entry)) {
        r->err = ERR_CANCELLED;
    }
}

/* Where blocks begin means nothing: they may overlap, and the last one may go
 * past the head. */
static bool on_block(void *ctx, uint64_t first, struct slice block)
{
    struct reading *r = ctx;
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count = 0;
    if (first > r->read + 1) {
        r->err = err_set(r->why, ERR_CORRUPT, "no entry %llu",
                         (unsigned long long)r->read + 1);
    } else if (block_unpack(r->stored->codec, block, slots, &count) != ERR_OK) {
        r->err = err_set(r->why, ERR_CORRUPT, "block %llu cannot be unpacked",
                         (unsigned long long)first);
    }
    for (size_t i = 0; r->err == ERR_OK && i < count; i++) {
        if (first + i == r->read + 1 && r->read < r->log->size) {
            take(r, &slots[i]);
        }
    }
    return r->err == ERR_OK && r->read < r->log->size;
}

static enum err compare_root(const struct reading *r)
{
    struct hash root;
    frontier_root(&r->frontier, r->suite, &root);
    return !r->root || memcmp(&root, &r->log->root, sizeof root) == 0
               ? ERR_OK
               : err_set(r->why, ERR_CORRUPT,
                         "its entries have another root than its head");
}

enum err stored_read(struct stored *stored, const struct stored_log *log,
                     enum suite suite, bool root, stored_entry_fn *fn,
                     void *ctx, struct errmsg *why)
{
    struct reading *r = MEM_NEW(struct reading);
    *r = (struct reading){.stored = stored,
                          .log = log,
                          .suite = suite,
                          .root = root,
                          .fn = fn,
                          .ctx = ctx,
                          .why = why};
    enum err err = log->size > 0 ? store_rocksdb.blocks(stored->db, log->id, 1,
                                                        true, on_block, r, why)
                                 : ERR_OK;
    err = err == ERR_OK ? r->err : err;
    if (err == ERR_OK && r->read < log->size) {
        err = err_set(why, ERR_CORRUPT, "no entry %llu",
                      (unsigned long long)r->read + 1);
    }
    err = err == ERR_OK ? compare_root(r) : err;
    mem_free(r);
    return err;
}
