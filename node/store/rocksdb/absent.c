#include "base/mem.h"
#include "store/rocksdb/impl.h"

/* Which rows no file has, without asking the files (seen.h), for each of the
 * two generations that an index may have.
 *
 *   - A row is added before it is committed, those that an opening finds in
 *     runs when they are read.
 *   - Rows that were in files before are added by reading these from the
 *     beginning to the end, a piece behind each so many rows that are
 *     committed: who writes little never pays for it. Until the end was
 *     reached the files are asked. Rows do not move to where it has been read:
 *     their place is their key.
 *   - An index that was dropped has no rows but those that came with that.
 *
 * So what is not in the set of a whole generation is in no file, whatever
 * became of a commit. Nothing of it is kept on the disk: an opening begins
 * anew. */

enum {
    READ_TURN = 4096, /* rows */
    READ_FACTOR = 4,  /* rows that are read for each that is written */
    /* A set's share of what is meant for pages. */
    SHARE_NUMBER = 3,
    SHARE_OF = 8,
};

static struct seen *new_set(const struct rdb *r)
{
    return seen_new(r->absent.pages_bytes / SHARE_OF * SHARE_NUMBER);
}

void absent_init(struct rdb *r, size_t pages_bytes)
{
    struct absent *a = &r->absent;
    (void)pthread_mutex_init(&a->lock, NULL);
    a->pages_bytes = pages_bytes;
    for (size_t i = 0; i < GENERATIONS; i++) {
        a->of[i].keys = new_set(r);
    }
}

void absent_fini(struct rdb *r)
{
    for (size_t i = 0; i < GENERATIONS; i++) {
        seen_free(r->absent.of[i].keys);
        buf_fini(&r->absent.of[i].next);
    }
    (void)pthread_mutex_destroy(&r->absent.lock);
}

/* NULL: no index of this build has it. */
static struct absent_of *of_generation(struct rdb *r, uint8_t generation)
{
    return generation >= 1 && generation <= GENERATIONS
               ? &r->absent.of[generation - 1]
               : NULL;
}

/* Pages get what the sets leave of their memory. */
static void share_memory(struct rdb *r)
{
    struct absent *a = &r->absent;
    size_t sets = 0;
    for (size_t i = 0; i < GENERATIONS; i++) {
        sets += seen_bytes(a->of[i].keys);
    }
    if (sets != a->sets_bytes) {
        a->sets_bytes = sets;
        rocksdb_cache_set_capacity(r->cache, a->pages_bytes - sets);
    }
}

static bool add_row(void *ctx, struct slice key, struct slice value)
{
    struct absent_of *of = of_generation(ctx, key.data[0]);
    if (of != NULL && value.len > 0) {
        seen_add(of->keys, seen_hash(key));
    }
    return true;
}

void absent_add(struct rdb *r, struct slice run)
{
    (void)pthread_mutex_lock(&r->absent.lock);
    run_walk(run, add_row, r);
    (void)pthread_mutex_unlock(&r->absent.lock);
    share_memory(r);
}

void absent_drop(struct rdb *r, uint8_t generation, struct slice run)
{
    struct absent_of *of = of_generation(r, generation);
    if (of == NULL) {
        return;
    }
    struct seen *old = of->keys;
    struct seen *keys = new_set(r);
    (void)pthread_mutex_lock(&r->absent.lock);
    of->keys = keys;
    of->whole = true;
    run_walk(run, add_row, r);
    (void)pthread_mutex_unlock(&r->absent.lock);
    seen_free(old);
    share_memory(r);
}

void absent_ask_begin(struct rdb *r)
{
    (void)pthread_mutex_lock(&r->absent.lock);
}

bool absent_ask(struct rdb *r, struct slice key)
{
    const struct absent_of *of = of_generation(r, key.data[0]);
    return of != NULL && of->whole && !seen_may_have(of->keys, seen_hash(key));
}

void absent_ask_end(struct rdb *r)
{
    (void)pthread_mutex_unlock(&r->absent.lock);
}

/* ---- reading what was there before ---- */

/* Rows about lists stand behind the others of their generation. */
static bool is_row_of(struct slice key, uint8_t generation)
{
    return key.len >= 2 && key.data[0] == generation &&
           (key.data[1] & LIST_ROW) == 0;
}

static struct slice iter_key(const rocksdb_iterator_t *it)
{
    size_t len;
    const char *key = rocksdb_iter_key(it, &len);
    return slice_of(key, len);
}

/* Of the next rows, at most READ_TURN; moves `next` behind them. Returns
 * whether there are more. */
static bool read_piece(struct buf *next, uint8_t generation,
                       rocksdb_iterator_t *it, uint64_t *hashes, size_t *n)
{
    *n = 0;
    while (rocksdb_iter_valid(it) && *n < READ_TURN &&
           is_row_of(iter_key(it), generation)) {
        hashes[(*n)++] = seen_hash(iter_key(it));
        rocksdb_iter_next(it);
    }
    bool more = rocksdb_iter_valid(it) && is_row_of(iter_key(it), generation);
    if (more) {
        buf_clear(next);
        buf_put_slice(next, iter_key(it));
    }
    return more;
}

/* A page that cannot be read is damage that others find and tell; here it only
 * means that files are asked on. */
static void read_on(struct rdb *r, struct absent_of *of, uint8_t generation)
{
    char *status = NULL;
    size_t n;
    uint64_t *hashes = mem_alloc(READ_TURN * sizeof *hashes);
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, r->bulk, r->family[FAMILY_INDEX]);
    if (of->next.len == 0) {
        buf_put_u8(&of->next, generation);
    }
    rocksdb_iter_seek(it, (const char *)of->next.data, of->next.len);
    bool more = read_piece(&of->next, generation, it, hashes, &n);
    rocksdb_iter_get_error(it, &status);
    of->unread = status != NULL;
    (void)pthread_mutex_lock(&r->absent.lock);
    for (size_t i = 0; i < n; i++) {
        seen_add(of->keys, hashes[i]);
    }
    of->whole = !more && !of->unread;
    (void)pthread_mutex_unlock(&r->absent.lock);
    rocksdb_iter_destroy(it);
    rocksdb_free(status);
    mem_free(hashes);
    share_memory(r);
}

void absent_read_on(struct rdb *r, struct slice run)
{
    uint8_t generation = run_generation(run);
    struct absent_of *of = of_generation(r, generation);
    if (of == NULL || of->whole || of->unread) {
        return;
    }
    of->owed += (size_t)run_rows(run) * READ_FACTOR;
    for (; of->owed >= READ_TURN && !of->whole && !of->unread;
         of->owed -= READ_TURN) {
        read_on(r, of, generation);
    }
}
