/* runs_fixture.h - a database of the embedded backend in which each commit
 * says by its number what it changes, so that what is read can be told right or
 * wrong. For the contract tests of rows on their way into files. */
#ifndef TESTS_RUNS_FIXTURE_H
#define TESTS_RUNS_FIXTURE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/store_backend.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)

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

static inline uint32_t spread(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static inline struct row row_of(uint32_t subject, uint32_t record,
                                uint32_t version)
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
static inline void change(uint32_t n, uint32_t i, uint32_t *subject,
                          uint32_t *record, uint32_t *version)
{
    uint32_t x = spread(n * office.rows + i);
    *subject = x % SUBJECTS;
    *record = x / SUBJECTS % RECORDS;
    *version = x >> 28 == 0 ? 0 : n;
}

static inline void model_apply(struct model *m, uint32_t n)
{
    uint32_t subject;
    uint32_t record;
    uint32_t version;
    for (uint32_t i = 0; i < office.rows; i++) {
        change(n, i, &subject, &record, &version);
        m->version[subject][record] = version;
    }
}

static inline void model_until(struct model *m, uint32_t n)
{
    *m = (struct model){.version = {{0}}};
    for (uint32_t i = 1; i <= n; i++) {
        model_apply(m, i);
    }
}

static struct buf padding = BUF_INIT; /* of each commit, if there is any */

static inline enum err write_commit(void *db, uint32_t n)
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

static inline uint32_t serial_of(void *db)
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

static inline bool on_row(void *ctx, const struct row *row)
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

static inline void check_subject_in(void *db, uint8_t generation,
                                    const struct model *m, uint32_t subject)
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
    assert_ok(b->rows(db, generation, keys, RECORDS, out, &why));
    for (uint32_t i = 0; i < RECORDS; i++) {
        assert_int_equal(got[i].version, m->version[subject][i]);
        assert_int_equal(row_key_cmp(&got[i].key, keys[i]), 0);
    }
    assert_ok(b->rows_of(db, generation, &asked[0].key.subject, false, on_row,
                         &l, &why));
    for (; l.next < RECORDS; l.next++) {
        assert_int_equal(m->version[subject][l.next], 0);
    }
}

static inline void check_subject(void *db, const struct model *m,
                                 uint32_t subject)
{
    check_subject_in(db, GENERATION, m, subject);
}

static inline void check(void *db, uint32_t n)
{
    struct model m;
    model_until(&m, n);
    assert_int_equal(serial_of(db), n);
    for (uint32_t i = 0; i < SUBJECTS; i++) {
        check_subject(db, &m, i);
    }
}

/* ---- databases ---- */

static inline void *open_at(const char *path, bool readonly)
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

static inline void path_of(const char *name, char out[128])
{
    (void)snprintf(out, 128, "%s/%s-%u", dir, name, office.rows);
}

static inline void remove_all(const char *path)
{
    char command[160];
    (void)snprintf(command, sizeof command, "rm -rf %s", path);
    assert_int_equal(system(command), 0);
}

/* ---- a program of tests ---- */

static inline int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/store-runs-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static inline int remove_dir(void **state)
{
    (void)state;
    remove_all(dir);
    return 0;
}

static inline int be_of_size(void **state)
{
    office = *(const struct office *)*state;
    return 0;
}

#define IN_BOTH(test)                                                          \
    cmocka_unit_test_prestate_setup_teardown(test, be_of_size, NULL, &small),  \
        cmocka_unit_test_prestate_setup_teardown(test, be_of_size, NULL,       \
                                                 &large)

#endif
