/* store_unread.h - a backend whose reads fail while it is told so, as with too
 * many open files, or a database server that is away. */
#ifndef TESTS_STORE_UNREAD_H
#define TESTS_STORE_UNREAD_H

#include <stdatomic.h>

#include "contract/store_fixture.h"

static struct {
    const struct backend *real;
    _Atomic int blocks;    /* enum err of a read of entries; ERR_OK: works */
    _Atomic int list_rows; /* of lists */
    _Atomic int rows;      /* of single rows of records */
} unread;

static inline enum err unread_err(_Atomic int *which, struct errmsg *why)
{
    enum err err = (enum err)atomic_load(which);
    return err == ERR_OK ? ERR_OK : err_set(why, err, "told not to be read");
}

static inline enum err unread_blocks(void *db, uint32_t log, uint64_t from,
                                     bool bulk, backend_block_fn *fn, void *ctx,
                                     struct errmsg *why)
{
    enum err err = unread_err(&unread.blocks, why);
    return err == ERR_OK
               ? unread.real->blocks(db, log, from, bulk, fn, ctx, why)
               : err;
}

static inline enum err unread_rows(void *db, uint8_t generation,
                                   const struct row_key *const *wanted,
                                   size_t n, struct row *const *out,
                                   struct errmsg *why)
{
    enum err err = unread_err(&unread.rows, why);
    return err == ERR_OK
               ? unread.real->rows(db, generation, wanted, n, out, why)
               : err;
}

static inline enum err unread_list_rows(void *db, uint8_t generation,
                                        const struct subject_key *subjects,
                                        size_t n, bool now,
                                        backend_list_row_fn *fn, void *ctx,
                                        struct errmsg *why)
{
    enum err err = unread_err(&unread.list_rows, why);
    return err == ERR_OK ? unread.real->list_rows(db, generation, subjects, n,
                                                  now, fn, ctx, why)
                         : err;
}

static inline struct backend unreadable(const struct backend *real)
{
    struct backend b = *real;
    unread.real = real;
    atomic_store(&unread.blocks, ERR_OK);
    atomic_store(&unread.list_rows, ERR_OK);
    atomic_store(&unread.rows, ERR_OK);
    b.blocks = unread_blocks;
    b.blocks_at = NULL;
    b.rows = unread_rows;
    b.list_rows = unread_list_rows;
    return b;
}

/* After a failed read the store takes nothing for a moment. */
static inline void submit_patiently(struct store *s, const struct slice *draft,
                                    struct draft_result *result)
{
    int64_t until_ms = clock_mono_ms() + 60000;
    enum err err = ERR_NO_SPACE;
    while (err == ERR_NO_SPACE && clock_mono_ms() < until_ms) {
        err = submit_bytes(s, draft, 1, result);
        if (err == ERR_NO_SPACE) {
            clock_sleep(50);
        }
    }
    assert_ok(err);
}

/* Nothing that was written or read before is in the node's cache of entries. */
static inline void forget_entries(const struct node *n)
{
    enum { OTHERS = 64, TEXT = 16000 };
    char text[TEXT + 1] = {0};
    memset(text, 'x', TEXT);
    for (uint32_t i = 0; i < OTHERS; i++) {
        const struct draft d = {
            .record = 1000 + i, .subject = "911000000000000000", .text = text};
        struct draft_result result;
        struct buf bytes = BUF_INIT;
        draft_put(&bytes, &d);
        const struct slice draft = buf_slice(&bytes);
        submit_patiently(n->store, &draft, &result);
        buf_clear(&bytes);
        assert_ok(store_entry(n->store, &result.log, result.number, &bytes));
        buf_fini(&bytes);
    }
}

#endif
