/* Rows of the index between a commit and a file of the embedded database: what
 * they say is the same whenever it is asked, by whomever, and whatever came
 * between. */
#include <rocksdb/c.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/mem.h"
#include "store/row_key.h"
#include "store/store_rocksdb_impl.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)

/* Under a sanitizer a tenth of it finds the same. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { KILLS = 6, SNAPSHOTS = 8, STEPS = 60 };
#else
enum { KILLS = 40, SNAPSHOTS = 60, STEPS = 300 };
#endif
enum {
    SUBJECTS = 40,
    RECORDS = 25, /* of each */
    GENERATION = 1,
};

/* A small office makes files between commits, a large one beside them. A part
 * of the tail is full after eight commits or so. */
struct office {
    uint32_t buffer;
    uint32_t rows; /* of a commit */
};
static struct office small = {256 << 10, 200};
static struct office large = {9 << 20, 2000};
static struct office office;

static char dir[64];
static const struct backend *const b = &store_rocksdb;

/* ---- what is written: by the number of the commit, and nothing else ---- */

struct model {
    uint32_t version[SUBJECTS][RECORDS]; /* 0: there is none */
};

static uint32_t spread(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static struct row row_of(uint32_t subject, uint32_t record, uint32_t version)
{
    struct row row = {.log = 3,
                      .number = version * UINT64_C(1000) + record,
                      .version = version,
                      .key.subject.len = 10,
                      .key.origin = 341802001200};
    (void)snprintf((char *)row.key.subject.b, sizeof row.key.subject.b,
                   "subject-%02u", subject);
    be_put32(row.key.record_key + 4, record);
    return row;
}

/* Row number i of commit n: a version of the record, or its deletion. */
static void change(uint32_t n, uint32_t i, uint32_t *subject, uint32_t *record,
                   uint32_t *version)
{
    uint32_t x = spread(n * office.rows + i);
    *subject = x % SUBJECTS;
    *record = x / SUBJECTS % RECORDS;
    *version = x >> 28 == 0 ? 0 : n;
}

static void model_apply(struct model *m, uint32_t n)
{
    uint32_t subject;
    uint32_t record;
    uint32_t version;
    for (uint32_t i = 0; i < office.rows; i++) {
        change(n, i, &subject, &record, &version);
        m->version[subject][record] = version;
    }
}

static void model_until(struct model *m, uint32_t n)
{
    *m = (struct model){.version = {{0}}};
    for (uint32_t i = 1; i <= n; i++) {
        model_apply(m, i);
    }
}

static struct buf padding = BUF_INIT; /* of each commit, if there is any */

static enum err write_commit(void *db, uint32_t n)
{
    uint32_t subject;
    uint32_t record;
    uint32_t version;
    uint8_t serial[8];
    struct errmsg why;
    void *batch = b->batch_new(db);
    for (uint32_t i = 0; i < office.rows; i++) {
        change(n, i, &subject, &record, &version);
        struct row row = row_of(subject, record, version);
        if (version > 0) {
            b->put_row(batch, GENERATION, &row);
        } else {
            b->del_row(batch, GENERATION, &row.key);
        }
    }
    if (padding.len > 0) {
        b->put_block(batch, 1, 1, buf_slice(&padding));
    }
    be_put64(serial, n);
    b->put_meta(batch, META_SERIAL, slice_of(serial, sizeof serial));
    enum err err = b->commit(db, batch, &why);
    b->batch_free(batch);
    return err;
}

/* ---- what is read ---- */

static uint32_t serial_of(void *db)
{
    struct buf value = BUF_INIT;
    struct errmsg why;
    enum err err = b->meta(db, META_SERIAL, &value, &why);
    uint32_t n = err == ERR_OK ? (uint32_t)be_get64(value.data) : 0;
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    buf_fini(&value);
    return n;
}

struct listed {
    const uint32_t *version; /* by record */
    uint32_t next;
};

static bool on_row(void *ctx, const struct row *row)
{
    struct listed *l = ctx;
    uint32_t record = be_get32(row->key.record_key + 4);
    while (l->next < record) {
        assert_int_equal(l->version[l->next], 0);
        l->next++;
    }
    assert_int_equal(l->next, record);
    assert_int_equal(row->version, l->version[record]);
    assert_int_equal(row->number, row->version * UINT64_C(1000) + record);
    l->next++;
    return true;
}

static void check_subject(void *db, const struct model *m, uint32_t subject)
{
    struct errmsg why;
    struct row asked[RECORDS];
    struct row got[RECORDS];
    const struct row_key *keys[RECORDS];
    struct row *out[RECORDS];
    struct listed l = {m->version[subject], 0};
    for (uint32_t i = 0; i < RECORDS; i++) {
        asked[i] = row_of(subject, i, 1);
        keys[i] = &asked[i].key;
        out[i] = &got[i];
    }
    assert_ok(b->rows(db, GENERATION, keys, RECORDS, out, &why));
    for (uint32_t i = 0; i < RECORDS; i++) {
        assert_int_equal(got[i].version, m->version[subject][i]);
        assert_int_equal(row_key_cmp(&got[i].key, keys[i]), 0);
    }
    assert_ok(b->rows_of(db, GENERATION, &asked[0].key.subject, false, on_row,
                         &l, &why));
    for (; l.next < RECORDS; l.next++) {
        assert_int_equal(m->version[subject][l.next], 0);
    }
}

static void check(void *db, uint32_t n)
{
    struct model m;
    model_until(&m, n);
    assert_int_equal(serial_of(db), n);
    for (uint32_t i = 0; i < SUBJECTS; i++) {
        check_subject(db, &m, i);
    }
}

/* ---- databases ---- */

static void *open_at(const char *path, bool readonly)
{
    const struct store_conf conf = {.path = path,
                                    .cache_bytes = 1 << 20,
                                    .write_buffer_bytes = office.buffer};
    struct errmsg why = {""};
    void *db = NULL;
    enum err err = b->open(&db, &conf, readonly, &why);
    if (err != ERR_OK) {
        fail_msg("%s: %s: %s", path, err_name(err), why.text);
    }
    return db;
}

static void path_of(const char *name, char out[128])
{
    (void)snprintf(out, 128, "%s/%s-%u", dir, name, office.rows);
}

static void remove_all(const char *path)
{
    char command[160];
    (void)snprintf(command, sizeof command, "rm -rf %s", path);
    assert_int_equal(system(command), 0);
}

static void rows_are_the_same_before_and_after_they_are_filed(void **state)
{
    (void)state;
    char path[128];
    path_of("filed", path);
    void *db = open_at(path, false);
    for (uint32_t n = 1; n <= STEPS; n++) {
        assert_ok(write_commit(db, n));
        struct model m;
        model_until(&m, n);
        check_subject(db, &m, n % SUBJECTS);
        if (n % 23 == 0) {
            b->close(db);
            db = open_at(path, n % 2 == 0);
            check(db, n);
            b->close(db);
            db = open_at(path, false);
        }
    }
    check(db, STEPS);
    b->close(db);
}

/* Not more of them is kept in memory and in the log than two parts. */
static void runs_that_are_filed_are_deleted(void **state)
{
    (void)state;
    char path[128];
    size_t runs = 0;
    path_of("filed", path);
    static const char *const names[] = {"default", "blocks", "tree", "index",
                                        "runs"};
    rocksdb_options_t *o = rocksdb_options_create();
    const rocksdb_options_t *const options[] = {o, o, o, o, o};
    rocksdb_column_family_handle_t *family[5];
    rocksdb_readoptions_t *ro = rocksdb_readoptions_create();
    char *status = NULL;
    /* An earlier build does not open it: it would not see these rows. */
    assert_null(rocksdb_open_column_families(o, path, 4, names, options, family,
                                             &status));
    assert_non_null(status);
    rocksdb_free(status);
    status = NULL;
    rocksdb_t *raw = rocksdb_open_for_read_only_column_families(
        o, path, 5, names, options, family, 0, &status);
    assert_null(status);
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(raw, ro, family[4]);
    for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        runs++;
    }
    assert_in_range(runs, 1, 24);
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(ro);
    for (size_t i = 0; i < 5; i++) {
        rocksdb_column_family_handle_destroy(family[i]);
    }
    rocksdb_close(raw);
    rocksdb_options_destroy(o);
}

/* Opens with all families of this build, for tests that spoil something. */
static rocksdb_t *open_raw(const char *path,
                           rocksdb_column_family_handle_t *family[5])
{
    static const char *const names[] = {"default", "blocks", "tree", "index",
                                        "runs"};
    rocksdb_options_t *o = rocksdb_options_create();
    const rocksdb_options_t *const options[] = {o, o, o, o, o};
    char *status = NULL;
    rocksdb_t *raw = rocksdb_open_column_families(o, path, 5, names, options,
                                                  family, &status);
    assert_null(status);
    rocksdb_options_destroy(o);
    return raw;
}

static void close_raw(rocksdb_t *raw, rocksdb_column_family_handle_t *family[5])
{
    for (size_t i = 0; i < 5; i++) {
        rocksdb_column_family_handle_destroy(family[i]);
    }
    rocksdb_close(raw);
}

static void a_database_of_an_earlier_build_is_read_and_written(void **state)
{
    (void)state;
    char path[128];
    char *status = NULL;
    struct model none = {.version = {{0}}};
    rocksdb_column_family_handle_t *family[5];
    path_of("earlier", path);
    b->close(open_at(path, false));
    rocksdb_t *raw = open_raw(path, family);
    rocksdb_drop_column_family(raw, family[4], &status);
    assert_null(status);
    close_raw(raw, family);
    void *db = open_at(path, true); /* as while the disk is full */
    check_subject(db, &none, 0);
    b->close(db);
    db = open_at(path, false);
    assert_ok(write_commit(db, 1));
    check(db, 1);
    b->close(db);
}

static void a_malformed_run_is_damage(void **state)
{
    (void)state;
    char path[128];
    char *status = NULL;
    rocksdb_column_family_handle_t *family[5];
    path_of("malformed", path);
    void *db = open_at(path, false);
    assert_ok(write_commit(db, 1));
    b->close(db);
    rocksdb_t *raw = open_raw(path, family);
    rocksdb_writeoptions_t *wo = rocksdb_writeoptions_create();
    rocksdb_put_cf(raw, wo, family[4], "\xff\0\0\0\0\0\0\0", 8, "\1\0\0\0\1", 5,
                   &status);
    assert_null(status);
    rocksdb_writeoptions_destroy(wo);
    close_raw(raw, family);
    const struct store_conf conf = {.path = path,
                                    .cache_bytes = 1 << 20,
                                    .write_buffer_bytes = office.buffer};
    struct errmsg why;
    assert_int_equal(b->open(&db, &conf, false, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "malformed run"));
    /* Its logs can be read, and an index is made of them. */
    assert_ok(b->open_damaged(&db, &conf, &why));
    assert_int_equal(serial_of(db), 1);
    b->close(db);
}

/* Also those that are becoming a file just then. */
static void a_dropped_index_does_not_come_back(void **state)
{
    (void)state;
    char path[128];
    struct errmsg why;
    struct model none = {.version = {{0}}};
    path_of("dropped", path);
    void *db = open_at(path, false);
    uint32_t n = 1;
    for (; n <= 40; n++) {
        assert_ok(write_commit(db, n));
    }
    for (uint32_t turn = 0; turn < 12; turn++) {
        for (uint32_t end = n + turn; n < end; n++) {
            assert_ok(write_commit(db, n));
        }
        void *batch = b->batch_new(db);
        struct row row = row_of(1, 1, 7);
        b->drop_index(batch, GENERATION);
        if (turn % 2 == 0) {
            b->put_row(batch, GENERATION, &row); /* of the new one */
        }
        assert_ok(b->commit(db, batch, &why));
        b->batch_free(batch);
        none.version[1][1] = turn % 2 == 0 ? 7 : 0;
        for (uint32_t i = 0; i < SUBJECTS; i++) {
            check_subject(db, &none, i);
        }
        if (turn % 3 == 0) {
            b->close(db);
            db = open_at(path, false);
        }
        for (uint32_t i = 0; i < SUBJECTS; i++) {
            check_subject(db, &none, i);
        }
    }
    b->close(db);
}

/* ---- what no file has ---- */

enum {
    OLD_ROWS = 10000, /* of a small office, read in three pieces */
    NEW_ROWS = 5000,  /* of commits that have them read, at most */
    COMMIT_ROWS = 500,
    COMMITS_MAX = 20,
    /* More than RocksDB's own log of what it does: it ends the program when
     * that could not be written. */
    FULL_BYTES = 4 << 20,
};

static struct row numbered(uint32_t n)
{
    return row_of(n % 97, n, 1);
}

/* [from, to) */
static void write_numbered(void *db, uint8_t generation, uint32_t from,
                           uint32_t to)
{
    struct errmsg why;
    while (from < to) {
        void *batch = b->batch_new(db);
        for (uint32_t i = 0; i < COMMIT_ROWS && from < to; i++, from++) {
            struct row row = numbered(from);
            b->put_row(batch, generation, &row);
        }
        assert_ok(b->commit(db, batch, &why));
        b->batch_free(batch);
    }
}

/* How many of [from, to) are there. */
static uint32_t count_numbered(void *db, uint8_t generation, uint32_t from,
                               uint32_t to)
{
    struct errmsg why;
    uint32_t found = 0;
    for (; from < to; from++) {
        struct row asked = numbered(from);
        struct row got;
        const struct row_key *key = &asked.key;
        struct row *out = &got;
        assert_ok(b->rows(db, generation, &key, 1, &out, &why));
        found += got.version == 1;
    }
    return found;
}

static const struct absent_of *absent_of(void *db, uint8_t generation)
{
    const struct rdb *r = db;
    return &r->absent.of[generation - 1];
}

/* Commits until the files need not be asked any more. Returns the last one. */
static uint32_t write_until_known(void *db, uint32_t n)
{
    uint32_t first = n;
    while (!absent_of(db, GENERATION)->whole) {
        assert_in_range(n, first, first + COMMITS_MAX);
        assert_ok(write_commit(db, ++n));
    }
    return n;
}

static void put_a_list_row(void *db, uint8_t generation)
{
    struct errmsg why;
    struct list_row row = {.subject = numbered(0).key.subject, .log = 1};
    void *batch = b->batch_new(db);
    b->put_list_row(batch, generation, &row);
    assert_ok(b->commit(db, batch, &why));
    b->batch_free(batch);
}

/* What was there at the opening is read while others are written; then the
 * files are not asked any more, and nothing is missed. */
static void rows_of_before_are_known_after_a_while(void **state)
{
    (void)state;
    char path[128];
    path_of("known", path);
    for (unsigned g = 1; g <= GENERATIONS; g++) {
        uint8_t generation = (uint8_t)g;
        void *db = open_at(path, false);
        write_numbered(db, generation, 0, OLD_ROWS);
        put_a_list_row(db, generation);
        b->close(db);
        db = open_at(path, false);
        assert_false(absent_of(db, generation)->whole);
        uint32_t n = OLD_ROWS;
        for (; !absent_of(db, generation)->whole; n += COMMIT_ROWS) {
            assert_true(n < OLD_ROWS + NEW_ROWS);
            /* Not yet read to the end, it is no reason to miss any. */
            assert_int_equal(
                count_numbered(db, generation, OLD_ROWS - 100, OLD_ROWS), 100);
            write_numbered(db, generation, n, n + COMMIT_ROWS);
        }
        /* Of the tail and of files that were made since. */
        write_numbered(db, generation, n, n + OLD_ROWS);
        assert_int_equal(count_numbered(db, generation, 0, n + OLD_ROWS),
                         n + OLD_ROWS);
        assert_int_equal(
            count_numbered(db, generation, n + OLD_ROWS, n + OLD_ROWS + 1000),
            0);
        b->close(db);
    }
}

/* An index that was dropped is known to be empty at once. */
static void a_dropped_index_is_known_at_once(void **state)
{
    (void)state;
    char path[128];
    struct errmsg why;
    path_of("known", path);
    void *db = open_at(path, false);
    void *batch = b->batch_new(db);
    struct row row = numbered(7);
    b->drop_index(batch, GENERATION);
    b->put_row(batch, GENERATION, &row);
    assert_ok(b->commit(db, batch, &why));
    b->batch_free(batch);
    assert_true(absent_of(db, GENERATION)->whole);
    assert_false(absent_of(db, GENERATION + 1)->whole);
    assert_int_equal(count_numbered(db, GENERATION, 0, OLD_ROWS), 1);
    assert_int_equal(count_numbered(db, GENERATION + 1, 0, OLD_ROWS), OLD_ROWS);
    b->close(db);
}

/* Sets and pages together have what was given to pages. */
static void sets_take_their_memory_from_pages(void **state)
{
    (void)state;
    char path[128];
    path_of("known", path);
    void *db = open_at(path, false);
    const struct rdb *r = db;
    write_numbered(db, GENERATION, 0, 4 * OLD_ROWS);
    assert_true(r->absent.sets_bytes > 0);
    assert_int_equal(rocksdb_cache_get_capacity(r->cache) +
                         r->absent.sets_bytes,
                     r->absent.pages_bytes);
    b->close(db);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Rows of a commit that failed are nowhere, and all others where they were. */
static void rows_are_the_same_when_the_disk_was_full(void **state)
{
    (void)state;
    char path[128];
    path_of("full", path);
    void *db = open_at(path, false);
    uint32_t n = write_until_known(db, 0);
    for (; n < 30; n++) {
        assert_ok(write_commit(db, n + 1));
    }
    limit_files(FULL_BYTES);
    memset(buf_reserve(&padding, FULL_BYTES), 1, FULL_BYTES);
    padding.len = FULL_BYTES;
    enum err err = write_commit(db, n + 1);
    buf_fini(&padding);
    limit_files(RLIM_INFINITY);
    assert_int_not_equal(err, ERR_OK);
    check(db, n);
    b->close(db);
    db = open_at(path, false);
    uint32_t there = serial_of(db);
    assert_in_range(there, n, n + 1);
    check(db, there);
    check(db, write_until_known(db, there));
    b->close(db);
}

/* ---- filters of an earlier build ---- */

static const char *earlier_name(void *state)
{
    (void)state;
    return "creditnode.list-subject.1";
}

static unsigned char earlier_has(void *state, const char *key, size_t len)
{
    (void)state;
    return len >= 2 && ((uint8_t)key[1] & 0x80) != 0 &&
           len >= 2u + ((uint8_t)key[1] & 0x7f);
}

static char *earlier_prefix(void *state, const char *key, size_t len,
                            size_t *out)
{
    const union {
        const char *in;
        char *out;
    } borrowed = {.in = key};
    (void)state;
    (void)len;
    *out = 2u + ((uint8_t)key[1] & 0x7f);
    return borrowed.out;
}

static void earlier_end(void *state)
{
    (void)state;
}

/* All files of the index as that build would write them. */
static void rewrite_as_earlier(const char *path)
{
    static const char *const names[] = {"default", "blocks", "tree", "index",
                                        "runs"};
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_t *index = rocksdb_options_create();
    rocksdb_block_based_table_options_t *t =
        rocksdb_block_based_options_create();
    const rocksdb_options_t *const options[] = {o, o, o, index, o};
    rocksdb_column_family_handle_t *family[5];
    char *status = NULL;
    rocksdb_block_based_options_set_filter_policy(
        t, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(index, t);
    rocksdb_options_set_prefix_extractor(
        index,
        rocksdb_slicetransform_create(NULL, earlier_end, earlier_prefix,
                                      earlier_has, earlier_has, earlier_name));
    rocksdb_t *raw = rocksdb_open_column_families(o, path, 5, names, options,
                                                  family, &status);
    assert_null(status);
    rocksdb_compactoptions_t *all = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_bottommost_level_compaction(all, 2);
    rocksdb_compact_range_cf_opt(raw, family[3], all, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(all);
    close_raw(raw, family);
    rocksdb_block_based_options_destroy(t);
    rocksdb_options_destroy(index);
    rocksdb_options_destroy(o);
}

/* Their filters know of no subject that has records. */
static void files_of_an_earlier_build_are_read(void **state)
{
    (void)state;
    char path[128];
    uint32_t n = 1;
    path_of("filters", path);
    void *db = open_at(path, false);
    for (; n <= 40; n++) {
        assert_ok(write_commit(db, n));
    }
    b->close(db);
    rewrite_as_earlier(path);
    db = open_at(path, false);
    check(db, n - 1);
    for (; n <= 80; n++) {
        assert_ok(write_commit(db, n));
    }
    check(db, n - 1);
    b->close(db);
}

/* ---- copies of a database that is written ---- */

struct writer {
    void *db;
    _Atomic uint32_t done;
    _Atomic bool stop;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    for (uint32_t n = 1; !atomic_load(&w->stop); n++) {
        if (write_commit(w->db, n) != ERR_OK) {
            abort();
        }
        atomic_store(&w->done, n);
    }
    return NULL;
}

static void a_snapshot_is_of_one_moment(void **state)
{
    (void)state;
    char path[128];
    char copy[128];
    pthread_t thread;
    struct errmsg why;
    path_of("source", path);
    path_of("copy", copy);
    struct writer w = {.db = open_at(path, false)};
    assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
    for (int i = 0; i < SNAPSHOTS; i++) {
        uint32_t before = atomic_load(&w.done);
        assert_ok(b->snapshot(w.db, copy, &why));
        void *db = open_at(copy, true);
        uint32_t n = serial_of(db);
        assert_true(n >= before);
        check(db, n);
        b->close(db);
        remove_all(copy);
    }
    atomic_store(&w.stop, true);
    (void)pthread_join(thread, NULL);
    check(w.db, atomic_load(&w.done));
    b->close(w.db);
}

/* ---- kill -9 ---- */

/* In a program of its own: says each commit that is acknowledged. */
static int run_child(const char *path)
{
    void *db = open_at(path, false);
    for (uint32_t n = serial_of(db) + 1;; n++) {
        if (write_commit(db, n) != ERR_OK ||
            write(STDOUT_FILENO, &n, sizeof n) != sizeof n) {
            return 1;
        }
    }
}

static uint32_t write_and_kill(const char *path, uint32_t commits)
{
    int fds[2];
    uint32_t last = 0;
    uint32_t n;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)close(fds[0]);
        (void)execl("/proc/self/exe", "writer", path,
                    office.rows == large.rows ? "large" : "small",
                    (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    for (uint32_t i = 0; read(fds[0], &n, sizeof n) == sizeof n; i++) {
        last = n;
        if (i == commits) {
            (void)kill(pid, SIGKILL);
        }
    }
    (void)close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return last;
}

static void what_was_committed_survives_kill_9(void **state)
{
    (void)state;
    char path[128];
    path_of("killed", path);
    for (uint32_t i = 0; i < KILLS; i++) {
        uint32_t acknowledged = write_and_kill(path, spread(i) % 30);
        void *db = open_at(path, i % 3 == 0);
        uint32_t n = serial_of(db);
        assert_in_range(n, acknowledged, acknowledged + 1);
        check(db, n);
        if (i % 3 != 0) {
            check(db, write_until_known(db, n));
        }
        b->close(db);
    }
}

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/store-runs-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    remove_all(dir);
    return 0;
}

static int be_of_size(void **state)
{
    office = *(const struct office *)*state;
    return 0;
}

#define IN_BOTH(test)                                                          \
    cmocka_unit_test_prestate_setup_teardown(test, be_of_size, NULL, &small),  \
        cmocka_unit_test_prestate_setup_teardown(test, be_of_size, NULL,       \
                                                 &large)

int main(int argc, char **argv)
{
    if (argc > 2) {
        office = strcmp(argv[2], "large") == 0 ? large : small;
        return run_child(argv[1]);
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        IN_BOTH(rows_are_the_same_before_and_after_they_are_filed),
        IN_BOTH(runs_that_are_filed_are_deleted),
        IN_BOTH(a_database_of_an_earlier_build_is_read_and_written),
        IN_BOTH(a_malformed_run_is_damage),
        IN_BOTH(a_dropped_index_does_not_come_back),
        IN_BOTH(rows_of_before_are_known_after_a_while),
        IN_BOTH(a_dropped_index_is_known_at_once),
        IN_BOTH(sets_take_their_memory_from_pages),
        IN_BOTH(rows_are_the_same_when_the_disk_was_full),
        IN_BOTH(files_of_an_earlier_build_are_read),
        IN_BOTH(a_snapshot_is_of_one_moment),
        IN_BOTH(what_was_committed_survives_kill_9),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
