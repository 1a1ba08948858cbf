#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/rocksdb/impl.h"

/* How rows of the index get into files.
 *
 *   commit      the run of its rows is in the family `runs`, and in the tail
 *   freeze      the growing part is full: a thread puts its rows in order
 *   file        one for each generation, beside the database, synced
 *   ingested    RocksDB takes the files in, and says so in its manifest, synced
 *   deleted     the runs are, without a sync
 *   dropped     the tail forgets the part
 *
 * A stop after any step leaves the runs, or the files, or both. Both is well:
 * the tail is made from the runs again and says the same of each key as the
 * files, or something newer. A deletion that a power cut took back is no more
 * than that, for the write-ahead log is lost from its end only: with the
 * deletion of a run go the deletions of all later runs, so for each key its
 * last run is there, or none and the file counts. */

enum {
    RUN_KEY_LEN = 8,
    /* Of the write buffer, as a divisor: one part, or each of two. */
    SHARE_OF_ONE = 4,
    SHARE_OF_TWO = 6,
    TAIL_MIN = 128 << 10,
    TAIL_MAX = 16 << 20,
    SMALL_BUFFER = 8 << 20,
    GENERATIONS_MAX = 4, /* the one that is read and the one that is made */
    STOP_TURN = 1024,    /* rows between two looks */
    FILE_NAME_MAX = 4096 + 32,
    /* Two parts of the largest size, and a commit each: no more was ever left
     * behind. */
    LEFT_MAX = 1 << 30,
};

static size_t part_memory(uint64_t write_buffer_bytes, bool aside)
{
    uint64_t share = write_buffer_bytes / (aside ? SHARE_OF_TWO : SHARE_OF_ONE);
    share = share < TAIL_MIN ? TAIL_MIN : share;
    return (size_t)(share > TAIL_MAX ? TAIL_MAX : share);
}

/* A small office has neither the memory for a second part and a thread, nor so
 * many rows that a commit must not wait for a file: 20 to 40 ms once in 20,000
 * rows. */
static bool is_aside(uint64_t write_buffer_bytes)
{
    return write_buffer_bytes > SMALL_BUFFER;
}

size_t runs_memory(uint64_t write_buffer_bytes)
{
    bool aside = is_aside(write_buffer_bytes);
    size_t all = (aside ? 2 : 1) * part_memory(write_buffer_bytes, aside);
    size_t half = (size_t)(write_buffer_bytes / 2);
    return all < half ? all : half;
}

size_t runs_file_memory(uint64_t write_buffer_bytes)
{
    return part_memory(write_buffer_bytes, is_aside(write_buffer_bytes));
}

void runs_init(struct rdb *r, uint64_t write_buffer_bytes)
{
    r->runs.aside = is_aside(write_buffer_bytes);
    r->runs.tail = tail_new(part_memory(write_buffer_bytes, r->runs.aside));
    (void)pthread_mutex_init(&r->runs.moving, NULL);
    (void)pthread_mutex_init(&r->runs.writing, NULL);
}

/* ---- making files ---- */

struct filing {
    struct rdb *r;
    rocksdb_sstfilewriter_t *writer; /* NULL: none is open */
    rocksdb_envoptions_t *env;
    char *files[GENERATIONS_MAX]; /* owned */
    size_t n;
    int generation; /* of the open one; -1: none */
    size_t rows;
    enum err err;
    struct errmsg *why;
};

static void file_name(const char *path, size_t i, char out[FILE_NAME_MAX])
{
    (void)snprintf(out, FILE_NAME_MAX, "%s/index-%zu.new", path, i);
}

static void filing_failed(struct filing *f, char *status)
{
    enum err err = rdb_error(status, f->err == ERR_OK ? f->why : NULL);
    f->err = f->err == ERR_OK ? err : f->err;
}

static void finish_file(struct filing *f)
{
    if (f->writer != NULL) {
        char *status = NULL;
        if (f->err == ERR_OK) {
            rocksdb_sstfilewriter_finish(f->writer, &status);
            filing_failed(f, status);
        }
        rocksdb_sstfilewriter_destroy(f->writer);
        f->writer = NULL;
    }
}

/* Rows of two generations never share a file: between them stand list rows,
 * which the memtable may hold. */
static void begin_file(struct filing *f, int generation)
{
    char name[FILE_NAME_MAX];
    char *status = NULL;
    finish_file(f);
    if (f->err != ERR_OK || f->n == GENERATIONS_MAX) {
        f->err = f->err != ERR_OK ? f->err
                                  : err_set(f->why, ERR_CORRUPT, "%s",
                                            "rows of too many indexes");
        return;
    }
    file_name(f->r->path, f->n, name);
    f->generation = generation;
    f->files[f->n++] = mem_strdup(name);
    f->writer = rocksdb_sstfilewriter_create(f->env, f->r->young_options);
    rocksdb_sstfilewriter_open(f->writer, name, &status);
    filing_failed(f, status);
}

static bool on_row(void *ctx, struct slice key, struct slice value)
{
    struct filing *f = ctx;
    char *status = NULL;
    if (key.data[0] != f->generation) {
        begin_file(f, key.data[0]);
    }
    if (f->err != ERR_OK) {
        return false;
    }
    if (value.len > 0) {
        rocksdb_sstfilewriter_put(f->writer, (const char *)key.data, key.len,
                                  (const char *)value.data, value.len, &status);
    } else {
        rocksdb_sstfilewriter_delete(f->writer, (const char *)key.data, key.len,
                                     &status);
    }
    filing_failed(f, status);
    if (++f->rows % STOP_TURN == 0 && atomic_load(&f->r->runs.stop)) {
        f->err = err_set(f->why, ERR_CANCELLED, "the store closes");
    }
    return f->err == ERR_OK;
}

static void ingest(struct filing *f)
{
    const struct rdb *r = f->r;
    char *status = NULL;
    rocksdb_ingestexternalfileoptions_t *o =
        rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(o, 1);
    rocksdb_ingest_external_file_cf(r->db, r->family[FAMILY_INDEX],
                                    (const char *const *)f->files, f->n, o,
                                    &status);
    rocksdb_ingestexternalfileoptions_destroy(o);
    filing_failed(f, status);
}

/* Each was put once, so that both vanish with the next flush. */
static void delete_runs(struct filing *f)
{
    const struct rdb *r = f->r;
    char *status = NULL;
    size_t n;
    const uint64_t *runs = tail_frozen_runs(r->runs.tail, &n);
    rocksdb_writeoptions_t *o = rocksdb_writeoptions_create();
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    for (size_t i = 0; i < n; i++) {
        uint8_t key[RUN_KEY_LEN];
        be_put64(key, runs[i]);
        rocksdb_writebatch_singledelete_cf(wb, r->family[FAMILY_RUNS],
                                           (const char *)key, sizeof key);
    }
    (void)pthread_mutex_lock(&f->r->runs.writing);
    rocksdb_write(r->db, o, wb, &status);
    f->r->runs.refused = f->r->runs.refused || status != NULL;
    (void)pthread_mutex_unlock(&f->r->runs.writing);
    rocksdb_writebatch_destroy(wb);
    rocksdb_writeoptions_destroy(o);
    filing_failed(f, status);
}

/* Gives their memory back; if it fails, a later flush does. */
static void flush_runs(const struct rdb *r)
{
    char *status = NULL;
    rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(o, 0);
    rocksdb_flush_cf(r->db, o, r->family[FAMILY_RUNS], &status);
    rocksdb_flushoptions_destroy(o);
    rocksdb_free(status);
}

/* Makes files of the frozen part. */
static enum err file_frozen(struct rdb *r, struct errmsg *why)
{
    struct filing f = {.r = r, .generation = -1, .why = why};
    rocksdb_set_perf_level(rocksdb_disable);
    f.env = rocksdb_envoptions_create();
    (void)tail_walk_frozen(r->runs.tail, on_row, &f);
    finish_file(&f);
    bool written = f.err == ERR_OK;
    (void)pthread_mutex_lock(&r->runs.moving);
    (void)pthread_mutex_lock(&r->runs.writing);
    if (f.err == ERR_OK && r->runs.refused) {
        f.err = err_set(why, ERR_IO, "%s", "a commit failed");
    }
    if (f.err == ERR_OK && f.n > 0) {
        ingest(&f);
    }
    (void)pthread_mutex_unlock(&r->runs.writing);
    if (f.err == ERR_OK) {
        delete_runs(&f);
    }
    (void)pthread_mutex_unlock(&r->runs.moving);
    for (size_t i = 0; i < f.n; i++) {
        (void)unlink(f.files[i]); /* gone, if it was taken in */
        mem_free(f.files[i]);
    }
    rocksdb_envoptions_destroy(f.env);
    r->runs.of_db = written;
    if (f.err == ERR_OK) {
        tail_drop_frozen(r->runs.tail);
        flush_runs(r);
    }
    return f.err;
}

static void *run_filing(void *arg)
{
    struct rdb *r = arg;
    (void)pthread_setname_np(pthread_self(), "store-files");
    r->runs.err = file_frozen(r, &r->runs.why);
    atomic_store(&r->runs.done, true);
    return NULL;
}

/* Begins, or does it here. */
static void start(struct rdb *r)
{
    struct runs *runs = &r->runs;
    atomic_store(&runs->done, false);
    runs->started =
        runs->aside && pthread_create(&runs->thread, NULL, run_filing, r) == 0;
    if (!runs->started) {
        runs->err = file_frozen(r, &runs->why);
    }
}

static void join(struct runs *runs)
{
    if (runs->started) {
        (void)pthread_join(runs->thread, NULL);
        runs->started = false;
    }
}

/* Until no part is frozen; what failed is tried once more. */
static enum err no_frozen(struct rdb *r, struct errmsg *why)
{
    struct runs *runs = &r->runs;
    join(runs);
    if (tail_is_frozen(runs->tail)) {
        start(r);
        join(runs);
    }
    if (!tail_is_frozen(runs->tail)) {
        return ERR_OK;
    }
    if (why != NULL) {
        *why = runs->why;
    }
    /* Nothing of the commit was written. But RocksDB takes nothing any more
     * after some errors of its own, until it is opened again. */
    bool passes = runs->err == ERR_NO_SPACE && !runs->of_db;
    return passes || runs->err == ERR_CORRUPT ? runs->err : ERR_UNCERTAIN;
}

enum err runs_make_room(struct rdb *r, struct slice run, struct errmsg *why)
{
    struct runs *runs = &r->runs;
    if (runs->started && atomic_load(&runs->done)) {
        join(runs);
    }
    if (run_rows(run) == 0 || tail_fits(runs->tail, run)) {
        return ERR_OK;
    }
    enum err err = no_frozen(r, why);
    if (err == ERR_OK) {
        tail_freeze(runs->tail);
        start(r);
    }
    return err;
}

enum err runs_settle(struct rdb *r, struct errmsg *why)
{
    enum err err = no_frozen(r, why);
    if (err == ERR_OK && !tail_is_empty(r->runs.tail)) {
        tail_freeze(r->runs.tail);
        err = no_frozen(r, why);
    }
    return err;
}

uint64_t runs_put(struct rdb *r, rocksdb_writebatch_t *wb, struct slice run)
{
    uint8_t key[RUN_KEY_LEN];
    uint64_t number = r->runs.next++;
    be_put64(key, number);
    rocksdb_writebatch_put_cf(wb, r->family[FAMILY_RUNS], (const char *)key,
                              sizeof key, (const char *)run.data, run.len);
    return number;
}

/* ---- opening and closing ---- */

typedef void run_fn(struct rdb *r, uint64_t number, struct slice run);

static void count_run(struct rdb *r, uint64_t number, struct slice run)
{
    r->runs.next = number + 1 > r->runs.next ? number + 1 : r->runs.next;
    r->runs.left += tail_cost(run);
}

static void load_run(struct rdb *r, uint64_t number, struct slice run)
{
    absent_add(r, run);
    tail_add(r->runs.tail, run, number);
}

static enum err each_run(struct rdb *r, run_fn *fn, struct errmsg *why)
{
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, r->bulk, r->family[FAMILY_RUNS]);
    bool sound = true;
    for (rocksdb_iter_seek_to_first(it); sound && rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        size_t key_len;
        size_t len;
        const char *key = rocksdb_iter_key(it, &key_len);
        const char *value = rocksdb_iter_value(it, &len);
        struct slice run = slice_of(value, len);
        sound = key_len == RUN_KEY_LEN && run_is_sound(run);
        if (sound) {
            fn(r, be_get64((const uint8_t *)key), run);
        }
    }
    char *status = NULL;
    rocksdb_iter_get_error(it, &status);
    rocksdb_iter_destroy(it);
    enum err err = rdb_error(status, why);
    return err == ERR_OK && (!sound || r->runs.left > LEFT_MAX)
               ? err_set(why, ERR_CORRUPT, "%s", "malformed run of index rows")
               : err;
}

/* What a stop left while it was being made. */
static void unlink_left(const struct rdb *r)
{
    char name[FILE_NAME_MAX];
    for (size_t i = 0; i < GENERATIONS_MAX; i++) {
        file_name(r->path, i, name);
        (void)unlink(name);
    }
}

enum err runs_load(struct rdb *r, struct errmsg *why)
{
    if (!r->readonly) {
        unlink_left(r);
    }
    if (r->family[FAMILY_RUNS] == NULL) {
        return ERR_OK;
    }
    /* Grows by one where the sequence grows by one at least, so that no number
     * comes again. */
    r->runs.next = rocksdb_get_latest_sequence_number(r->db) + 1;
    r->runs.left = 0;
    enum err err = each_run(r, count_run, why);
    if (err == ERR_OK && r->runs.left > 0) {
        tail_expect(r->runs.tail, r->runs.left);
        err = each_run(r, load_run, why);
    }
    return err;
}

void runs_fini(struct rdb *r)
{
    atomic_store(&r->runs.stop, true);
    join(&r->runs);
    tail_free(r->runs.tail);
    (void)pthread_mutex_destroy(&r->runs.moving);
    (void)pthread_mutex_destroy(&r->runs.writing);
}
