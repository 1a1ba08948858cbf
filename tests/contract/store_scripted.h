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

static struct {
    const struct backend *real;
    _Atomic int next_commit; /* enum script_commit, once */
    _Atomic int open;        /* enum script_open, until changed */
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
               ? err_set(why, ERR_IO, "scripted: cannot be read")
               : script.real->part(db, log, part, out, why);
}

static inline enum err scripted_list_rows(void *db, uint8_t generation,
                                          const struct subject_key *subjects,
                                          size_t n, bool now,
                                          backend_list_row_fn *fn, void *ctx,
                                          struct errmsg *why)
{
    return atomic_load(&script.rows_unreadable)
               ? err_set(why, ERR_IO, "scripted: cannot be read")
               : script.real->list_rows(db, generation, subjects, n, now, fn,
                                        ctx, why);
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
    atomic_store(&script.committed, NULL);
    struct backend b = *real;
    b.absence_settles = true; /* what it loses is lost */
    b.commit = scripted_commit;
    b.open = scripted_open;
    b.space = scripted_space;
    b.part = scripted_part;
    b.list_rows = scripted_list_rows;
    return b;
}

#endif
