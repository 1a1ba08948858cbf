/* Rows of the index between a commit and a file of the embedded database: what
 * they say is the same whenever it is asked, by whomever, and whatever came
 * between. */
#include <glob.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "contract/runs_fixture.h"
#include "store/rocksdb/impl.h"
#include "store/row_key.h"

/* Under a sanitizer a tenth of it finds the same. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { KILLS = 6, SNAPSHOTS = 8, STEPS = 60, READ_COMMITS = 40, FLIPS = 4 };
#else
enum {
    KILLS = 40,
    SNAPSHOTS = 60,
    STEPS = 300,
    READ_COMMITS = 300,
    FLIPS = 20
};
#endif
enum { READERS = 6 };

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

/* ---- readers beside a writer ---- */

struct readers {
    struct writer w;
    struct model *at; /* by number of the commit */
};

struct seen {
    uint32_t version[RECORDS];
};

static bool on_seen(void *ctx, const struct row *row)
{
    struct seen *seen = ctx;
    uint32_t record = be_get32(row->key.record_key + 4);
    if (record >= RECORDS || seen->version[record] != 0) {
        abort(); /* twice */
    }
    seen->version[record] = row->version;
    return true;
}

/* Rows of a subject are of one moment between the two. */
static void look_at_subject(struct readers *r, uint32_t subject, bool now)
{
    struct seen seen = {.version = {0}};
    struct errmsg why;
    struct row asked = row_of(subject, 0, 1);
    uint32_t before = atomic_load(&r->w.done);
    enum err err = b->rows_of(r->w.db, GENERATION, &asked.key.subject, now,
                              on_seen, &seen, &why);
    uint32_t after = atomic_load(&r->w.done) + 1;
    if (now && err == ERR_BUSY) {
        return;
    }
    bool found = false;
    for (uint32_t n = before; err == ERR_OK && !found && n <= after; n++) {
        found = memcmp(r->at[n].version[subject], seen.version,
                       sizeof seen.version) == 0;
    }
    if (!found) {
        abort();
    }
}

/* Each by itself. */
static void look_at_row(struct readers *r, uint32_t subject, uint32_t record)
{
    struct errmsg why;
    struct row asked = row_of(subject, record, 1);
    struct row got;
    const struct row_key *key = &asked.key;
    struct row *out = &got;
    uint32_t before = atomic_load(&r->w.done);
    enum err err = b->rows(r->w.db, GENERATION, &key, 1, &out, &why);
    uint32_t after = atomic_load(&r->w.done) + 1;
    bool found = false;
    for (uint32_t n = before; err == ERR_OK && !found && n <= after; n++) {
        found = r->at[n].version[subject][record] == got.version;
    }
    if (!found) {
        abort();
    }
}

static void *read_on(void *arg)
{
    struct readers *r = arg;
    for (uint32_t i = 0; !atomic_load(&r->w.stop); i++) {
        uint32_t x = spread(i);
        look_at_subject(r, x % SUBJECTS, x >> 31 != 0);
        look_at_row(r, x / SUBJECTS % SUBJECTS, x / 4096 % RECORDS);
    }
    return NULL;
}

static void a_reader_sees_each_commit_whole(void **state)
{
    (void)state;
    char path[128];
    pthread_t threads[READERS];
    path_of("read", path);
    struct readers r = {.w = {.db = open_at(path, false)}};
    r.at = mem_zalloc(READ_COMMITS + 2, sizeof *r.at);
    for (uint32_t n = 1; n < READ_COMMITS + 2; n++) {
        r.at[n] = r.at[n - 1];
        model_apply(&r.at[n], n);
    }
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    }
    for (uint32_t n = 1; n <= READ_COMMITS; n++) {
        assert_ok(write_commit(r.w.db, n));
        atomic_store(&r.w.done, n);
    }
    atomic_store(&r.w.stop, true);
    for (size_t i = 0; i < READERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    check(r.w.db, READ_COMMITS);
    b->close(r.w.db);
    mem_free(r.at);
}

/* ---- a flipped bit ---- */

static void settle(void *db)
{
    struct errmsg why;
    void *batch = b->batch_new(db);
    b->drop_index(batch, GENERATION + 1); /* there is none */
    assert_ok(b->commit(db, batch, &why));
    b->batch_free(batch);
}

/* The rows of a subject are right, or the read says that they are not. */
static void check_damaged(void *db, const struct model *m, uint32_t subject)
{
    struct seen seen = {.version = {0}};
    struct errmsg why = {""};
    struct row asked = row_of(subject, 0, 1);
    enum err err = b->rows_of(db, GENERATION, &asked.key.subject, false,
                              on_seen, &seen, &why);
    if (err == ERR_OK) {
        assert_memory_equal(seen.version, m->version[subject],
                            sizeof seen.version);
    } else {
        assert_int_equal(err, ERR_CORRUPT);
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct row row = row_of(subject, i, 1);
        struct row got;
        const struct row_key *key = &row.key;
        struct row *out = &got;
        err = b->rows(db, GENERATION, &key, 1, &out, &why);
        assert_true(err == ERR_OK || err == ERR_CORRUPT);
        assert_true(err != ERR_OK || got.version == m->version[subject][i]);
    }
}

static void flip(const char *file, long at)
{
    FILE *f = fopen(file, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fputc(c ^ 1 << at % 8, f), c ^ 1 << at % 8);
    assert_int_equal(fclose(f), 0);
}

/* True: a read or the look at all pages has found it. */
static bool look_at_damaged(const char *path, const struct model *m)
{
    const struct store_conf conf = {.path = path,
                                    .cache_bytes = 1 << 20,
                                    .write_buffer_bytes = office.buffer};
    struct errmsg why = {""};
    void *db = NULL;
    enum err err = b->open(&db, &conf, true, &why);
    if (err != ERR_OK) {
        assert_int_equal(err, ERR_CORRUPT);
        return true;
    }
    for (uint32_t i = 0; i < SUBJECTS; i++) {
        check_damaged(db, m, i);
    }
    struct buf cursor = BUF_INIT;
    do {
        err = b->check(db, &cursor, &why);
    } while (err == ERR_OK && cursor.len > 0);
    assert_true(err == ERR_OK || err == ERR_CORRUPT);
    buf_fini(&cursor);
    b->close(db);
    return err != ERR_OK;
}

/* Everything behind the rows, and some of them. */
static void flip_each(const char *path, const char *file, const struct model *m)
{
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long size = ftell(f);
    (void)fclose(f);
    for (unsigned i = 0; i < FLIPS; i++) {
        uint32_t x = spread(i);
        long at = i % 4 == 0
                      ? (long)(x % size)
                      : size - 1 - (long)(x % (size < 3000 ? size : 3000));
        flip(file, at);
        bool found = look_at_damaged(path, m);
        flip(file, at);
        if (getenv("FLIPS_TOLD") != NULL) {
            printf("%s: %ld of %ld: %d\n", file, at, size, found);
        }
    }
}

static void a_flipped_bit_is_seen_or_does_no_harm(void **state)
{
    (void)state;
    char path[128];
    struct model m;
    glob_t files;
    path_of("flipped", path);
    void *db = open_at(path, false);
    for (uint32_t n = 1; n <= 12; n++) {
        assert_ok(write_commit(db, n));
    }
    settle(db);
    b->close(db);
    model_until(&m, 12);
    char pattern[160];
    (void)snprintf(pattern, sizeof pattern, "%s/*.sst", path);
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        flip_each(path, files.gl_pathv[i], &m);
    }
    globfree(&files);
    db = open_at(path, false);
    check_subject(db, &m, 1);
    b->close(db);
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
        IN_BOTH(a_reader_sees_each_commit_whole),
        IN_BOTH(a_flipped_bit_is_seen_or_does_no_harm),
        IN_BOTH(what_was_committed_survives_kill_9),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
