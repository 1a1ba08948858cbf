/* scripted_backend.h - a backend of the store that fails as it is told, over a
 * real one: as on a full disk, with too many open files, or with a database
 * server that is away. */
#ifndef TESTS_SCRIPTED_BACKEND_H
#define TESTS_SCRIPTED_BACKEND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_backend.h"
#include "support/patience.h"

enum script_commit {
    COMMIT_WORKS,
    COMMIT_REFUSED,      /* certainly not written */
    COMMIT_LOST,         /* not written, and it cannot say so */
    COMMIT_DONE_UNHEARD, /* written, and it cannot say so */
};

enum script_open {
    OPEN_WORKS,
    OPEN_READONLY, /* only for reading */
    OPEN_FAILS,
};

enum script_read {
    READ_BLOCKS = 1,
    READ_NODES = 2,
    READ_SALVAGE = 4,
    READ_ISSUES = 8,
    READ_META = 16,
    READ_PARTS = 32, /* of logs */
    READ_LIST_ROWS = 64,
    READ_ROWS = 128, /* single ones, of records */
};

static struct {
    const struct backend *real;
    _Atomic unsigned failing; /* enum script_read */
    _Atomic int error;        /* enum err that these give */
    _Atomic int parts_left;   /* so many READ_PARTS work, then one does not;
                                 < 0: all do */
    _Atomic unsigned failed;  /* reads and commits that were told to */
    _Atomic int next_commit;  /* enum script_commit, once */
    _Atomic bool refusing;    /* COMMIT_REFUSED, until it is cleared */
    _Atomic int open;         /* enum script_open, until changed */
    _Atomic bool open_held;   /* openings wait until it is cleared */
    _Atomic bool opening;     /* one does */
    _Atomic bool away;        /* a renewal met OPEN_FAILS: no reads either */
    _Atomic bool full;
    _Atomic bool slow;
    _Atomic bool held;    /* commits wait until it is cleared */
    _Atomic bool waiting; /* one does */
    /* Called when a commit is on disk and the store does not know yet. */
    void (*_Atomic committed)(void);
    void (*_Atomic reading)(void); /* called before each read */
} script;

static inline enum err scripted_commit(void *db, void *batch,
                                       struct errmsg *why)
{
    if (atomic_load(&script.slow)) {
        (void)usleep(50000);
    }
    while (atomic_load(&script.held)) {
        atomic_store(&script.waiting, true);
        (void)usleep(1000);
    }
    atomic_store(&script.waiting, false);
    int what = atomic_exchange(&script.next_commit, COMMIT_WORKS);
    if (what == COMMIT_REFUSED || atomic_load(&script.refusing)) {
        atomic_fetch_add(&script.failed, 1);
        return err_set(why, ERR_NO_SPACE, "scripted: refused");
    }
    if (what == COMMIT_LOST) {
        return err_set(why, ERR_UNCERTAIN, "scripted: lost");
    }
    enum err err = script.real->commit(db, batch, why);
    void (*committed)(void) = atomic_load(&script.committed);
    if (committed != NULL) {
        committed();
    }
    return what == COMMIT_DONE_UNHEARD
               ? err_set(why, ERR_UNCERTAIN, "scripted: unheard")
               : err;
}

static inline void scripted_wait_open(void)
{
    while (atomic_load(&script.open_held)) {
        atomic_store(&script.opening, true);
        (void)usleep(1000);
    }
    atomic_store(&script.opening, false);
}

static inline enum err scripted_renew(void *db, const struct store_conf *conf,
                                      struct errmsg *why)
{
    scripted_wait_open();
    int how = atomic_load(&script.open);
    atomic_store(&script.away, how == OPEN_FAILS);
    if (how != OPEN_WORKS) {
        return err_set(why, ERR_NO_SPACE, "scripted: cannot be opened");
    }
    return script.real->renew(db, conf, why);
}

static inline enum err scripted_open(void **db, const struct store_conf *conf,
                                     bool readonly, struct errmsg *why)
{
    scripted_wait_open();
    int how = atomic_load(&script.open);
    if (how == OPEN_FAILS || (how == OPEN_READONLY && !readonly)) {
        return err_set(why, ERR_NO_SPACE, "scripted: cannot be opened");
    }
    atomic_store(&script.away, false);
    return script.real->open(db, conf, readonly, why);
}

static inline enum err scripted_space(void *db, const struct store_conf *conf,
                                      uint64_t *free_bytes, bool *readonly)
{
    enum err err = script.real->space(db, conf, free_bytes, readonly);
    if (atomic_load(&script.full)) {
        *free_bytes = 0;
    }
    return err;
}

static inline enum err scripted_fails(struct errmsg *why)
{
    atomic_fetch_add(&script.failed, 1);
    return err_set(why, (enum err)atomic_load(&script.error),
                   "scripted: Too many open files");
}

static inline enum err scripted_read(enum script_read what, struct errmsg *why)
{
    void (*reading)(void) = atomic_load(&script.reading);
    if (reading != NULL) {
        reading();
    }
    if (atomic_load(&script.away)) {
        return err_set(why, ERR_UNAVAILABLE, "scripted: away");
    }
    return (atomic_load(&script.failing) & (unsigned)what) != 0
               ? scripted_fails(why)
               : ERR_OK;
}

static inline enum err scripted_part(void *db, uint32_t log, enum log_part part,
                                     struct buf *out, struct errmsg *why)
{
    int left = atomic_load(&script.parts_left);
    if (left >= 0) {
        left = atomic_fetch_sub(&script.parts_left, 1);
    }
    enum err err =
        left == 0 ? scripted_fails(why) : scripted_read(READ_PARTS, why);
    return err == ERR_OK ? script.real->part(db, log, part, out, why) : err;
}

static inline enum err scripted_list_rows(void *db, uint8_t generation,
                                          const struct subject_key *subjects,
                                          size_t n, bool now,
                                          backend_list_row_fn *fn, void *ctx,
                                          struct errmsg *why)
{
    enum err err = scripted_read(READ_LIST_ROWS, why);
    return err == ERR_OK ? script.real->list_rows(db, generation, subjects, n,
                                                  now, fn, ctx, why)
                         : err;
}

static inline enum err scripted_rows(void *db, uint8_t generation,
                                     const struct row_key *const *wanted,
                                     size_t n, struct row *const *out,
                                     struct errmsg *why)
{
    enum err err = scripted_read(READ_ROWS, why);
    return err == ERR_OK
               ? script.real->rows(db, generation, wanted, n, out, why)
               : err;
}

static inline enum err scripted_blocks(void *db, uint32_t log, uint64_t from,
                                       bool bulk, backend_block_fn *fn,
                                       void *ctx, struct errmsg *why)
{
    enum err err = scripted_read(READ_BLOCKS, why);
    return err == ERR_OK
               ? script.real->blocks(db, log, from, bulk, fn, ctx, why)
               : err;
}

static inline enum err scripted_node(void *db, uint32_t log, unsigned level,
                                     uint64_t index, struct hash *out,
                                     struct errmsg *why)
{
    enum err err = scripted_read(READ_NODES, why);
    return err == ERR_OK ? script.real->node(db, log, level, index, out, why)
                         : err;
}

static inline enum err scripted_salvage(void *db, uint64_t from,
                                        backend_salvage_fn *fn, void *ctx,
                                        struct errmsg *why)
{
    enum err err = scripted_read(READ_SALVAGE, why);
    return err == ERR_OK ? script.real->salvage(db, from, fn, ctx, why) : err;
}

static inline enum err scripted_issues(void *db, uint8_t generation,
                                       uint32_t log, uint64_t number,
                                       backend_issue_fn *fn, void *ctx,
                                       struct errmsg *why)
{
    enum err err = scripted_read(READ_ISSUES, why);
    return err == ERR_OK
               ? script.real->issues(db, generation, log, number, fn, ctx, why)
               : err;
}

static inline enum err scripted_meta(void *db, enum meta meta, struct buf *out,
                                     struct errmsg *why)
{
    enum err err = scripted_read(READ_META, why);
    return err == ERR_OK ? script.real->meta(db, meta, out, why) : err;
}

/* These (enum script_read) give `err`, until reads_work() or wait_failed(). */
static inline void fail_reads_with(unsigned what, enum err err)
{
    atomic_store(&script.failed, 0);
    atomic_store(&script.error, err);
    atomic_store(&script.failing, what);
}

static inline void fail_reads(unsigned what)
{
    fail_reads_with(what, ERR_IO);
}

static inline void reads_work(void)
{
    atomic_store(&script.failing, 0);
}

/* Until one has failed. */
static inline void wait_failed(void)
{
    WAIT_FOR(atomic_load(&script.failed) > 0);
    (void)usleep(50000); /* and what follows from it */
    reads_work();
}

/* Whatever a test that failed left holding: its store could not be closed. */
static inline void script_lets_go(void)
{
    atomic_store(&script.held, false);
    atomic_store(&script.open_held, false);
    atomic_store(&script.open, OPEN_WORKS);
    atomic_store(&script.refusing, false);
    atomic_store(&script.slow, false);
    reads_work();
}

/* Returns when a commit is held: what is submitted from now on comes behind. */
static inline void wait_held(void)
{
    WAIT_FOR(atomic_load(&script.waiting));
}

static inline struct backend scripted(const struct backend *real)
{
    script.real = real;
    atomic_store(&script.next_commit, COMMIT_WORKS);
    atomic_store(&script.open, OPEN_WORKS);
    atomic_store(&script.open_held, false);
    atomic_store(&script.away, false);
    atomic_store(&script.opening, false);
    atomic_store(&script.full, false);
    atomic_store(&script.slow, false);
    atomic_store(&script.held, false);
    atomic_store(&script.waiting, false);
    atomic_store(&script.failing, 0);
    atomic_store(&script.error, ERR_IO);
    atomic_store(&script.parts_left, -1);
    atomic_store(&script.failed, 0);
    atomic_store(&script.refusing, false);
    atomic_store(&script.committed, NULL);
    atomic_store(&script.reading, NULL);
    struct backend b = *real;
    b.absence_settles = true; /* what it loses is lost */
    b.commit = scripted_commit;
    b.open = scripted_open;
    b.renew = real->renew != NULL ? scripted_renew : NULL;
    b.space = scripted_space;
    b.part = scripted_part;
    b.list_rows = scripted_list_rows;
    b.rows = scripted_rows;
    b.blocks = scripted_blocks;
    b.blocks_at = NULL;
    b.node = scripted_node;
    b.salvage = scripted_salvage;
    b.issues = scripted_issues;
    b.meta = scripted_meta;
    return b;
}

#endif
