/* store_scripted.h - a backend that fails as it is told, over a real one. */
#ifndef TESTS_STORE_SCRIPTED_H
#define TESTS_STORE_SCRIPTED_H

#include <stdatomic.h>

#include "contract/store_fixture.h"

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

/* Reads that fail: no file descriptor left, say. */
enum script_read {
    READ_BLOCKS = 1,
    READ_NODES = 2,
    READ_SALVAGE = 4,
    READ_ISSUES = 8,
    READ_META = 16,
};

static struct {
    const struct backend *real;
    _Atomic unsigned failing; /* enum script_read */
    _Atomic unsigned failed;  /* how many did */
    _Atomic int next_commit;  /* enum script_commit, once */
    _Atomic int open;         /* enum script_open, until changed */
    _Atomic bool full;
    _Atomic bool slow;
    _Atomic bool held;            /* commits wait until it is cleared */
    _Atomic bool waiting;         /* one does */
    _Atomic bool unreadable;      /* parts of logs: too many open files, say */
    _Atomic bool rows_unreadable; /* of lists */
    /* Called when a commit is on disk and the store does not know yet. */
    void (*_Atomic committed)(void);
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
    if (what == COMMIT_REFUSED) {
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

static inline enum err scripted_open(void **db, const struct store_conf *conf,
                                     bool readonly, struct errmsg *why)
{
    int how = atomic_load(&script.open);
    if (how == OPEN_FAILS || (how == OPEN_READONLY && !readonly)) {
        return err_set(why, ERR_NO_SPACE, "scripted: cannot be opened");
    }
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

static inline enum err scripted_part(void *db, uint32_t log, enum log_part part,
                                     struct buf *out, struct errmsg *why)
{
    return atomic_load(&script.unreadable)
               ? err_set(why, ERR_IO, "scripted: Too many open files")
               : script.real->part(db, log, part, out, why);
}

static inline enum err scripted_list_rows(void *db, uint8_t generation,
                                          const struct subject_key *subjects,
                                          size_t n, bool now,
                                          backend_list_row_fn *fn, void *ctx,
                                          struct errmsg *why)
{
    return atomic_load(&script.rows_unreadable)
               ? err_set(why, ERR_IO, "scripted: Too many open files")
               : script.real->list_rows(db, generation, subjects, n, now, fn,
                                        ctx, why);
}

static inline bool scripted_fails(enum script_read what, struct errmsg *why)
{
    bool fails = (atomic_load(&script.failing) & (unsigned)what) != 0;
    if (fails) {
        atomic_fetch_add(&script.failed, 1);
        (void)err_set(why, ERR_IO, "scripted: Too many open files");
    }
    return fails;
}

static inline enum err scripted_blocks(void *db, uint32_t log, uint64_t from,
                                       bool bulk, backend_block_fn *fn,
                                       void *ctx, struct errmsg *why)
{
    return scripted_fails(READ_BLOCKS, why)
               ? ERR_IO
               : script.real->blocks(db, log, from, bulk, fn, ctx, why);
}

static inline enum err scripted_node(void *db, uint32_t log, unsigned level,
                                     uint64_t index, struct hash *out,
                                     struct errmsg *why)
{
    return scripted_fails(READ_NODES, why)
               ? ERR_IO
               : script.real->node(db, log, level, index, out, why);
}

static inline enum err scripted_salvage(void *db, uint64_t from,
                                        backend_salvage_fn *fn, void *ctx,
                                        struct errmsg *why)
{
    return scripted_fails(READ_SALVAGE, why)
               ? ERR_IO
               : script.real->salvage(db, from, fn, ctx, why);
}

static inline enum err scripted_issues(void *db, uint8_t generation,
                                       uint32_t log, uint64_t number,
                                       backend_issue_fn *fn, void *ctx,
                                       struct errmsg *why)
{
    return scripted_fails(READ_ISSUES, why)
               ? ERR_IO
               : script.real->issues(db, generation, log, number, fn, ctx, why);
}

static inline enum err scripted_meta(void *db, enum meta meta, struct buf *out,
                                     struct errmsg *why)
{
    return scripted_fails(READ_META, why)
               ? ERR_IO
               : script.real->meta(db, meta, out, why);
}

/* These fail, until wait_failed() has met one. */
static inline void fail_reads(enum script_read what)
{
    atomic_store(&script.failed, 0);
    atomic_store(&script.failing, what);
}

static inline void wait_failed(void)
{
    for (int i = 0; i < 3000 && atomic_load(&script.failed) == 0; i++) {
        (void)usleep(10000);
    }
    assert_true(atomic_load(&script.failed) > 0);
    (void)usleep(50000); /* and what follows from it */
    atomic_store(&script.failing, 0);
}

static inline struct backend scripted(const struct backend *real)
{
    script.real = real;
    atomic_store(&script.next_commit, COMMIT_WORKS);
    atomic_store(&script.open, OPEN_WORKS);
    atomic_store(&script.full, false);
    atomic_store(&script.slow, false);
    atomic_store(&script.held, false);
    atomic_store(&script.waiting, false);
    atomic_store(&script.unreadable, false);
    atomic_store(&script.rows_unreadable, false);
    atomic_store(&script.failing, 0);
    atomic_store(&script.committed, NULL);
    struct backend b = *real;
    b.absence_settles = true; /* what it loses is lost */
    b.commit = scripted_commit;
    b.open = scripted_open;
    b.space = scripted_space;
    b.part = scripted_part;
    b.list_rows = scripted_list_rows;
    b.blocks = scripted_blocks;
    b.blocks_at = NULL;
    b.node = scripted_node;
    b.salvage = scripted_salvage;
    b.issues = scripted_issues;
    b.meta = scripted_meta;
    return b;
}

#endif
