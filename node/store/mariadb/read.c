/* read.c - the backend's reads: each is one statement on a
 * connection of the pool, or as pages.c says. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/mariadb/index.h"
#include "store/mariadb/read.h"

enum {
    BLOCKS_FIRST = 2, /* of a point read: the one before may not cover */
    BLOCKS_MAX = 256, /* of one query */
    BLOCKS_GROW = 16,
};

struct block_read {
    backend_block_fn *fn;
    void *ctx;
    uint64_t from;
    uint64_t next; /* where the next query begins */
    size_t n;      /* of this query */
    bool begun;
    bool stopped;
};

static bool on_block(void *ctx, const struct mdb_cell *columns)
{
    struct block_read *r = ctx;
    uint64_t first = columns[0].n;
    size_t count = 0;
    bool covers =
        block_count(columns[1].b, &count) == ERR_OK && first + count > r->from;
    r->n++;
    r->next = first + 1;
    if (!r->begun && first <= r->from && !covers) {
        return true;
    }
    r->begun = true;
    r->stopped = !r->fn(r->ctx, first, columns[1].b);
    return !r->stopped;
}

/* Few first: most reads want one block. */
enum err mdb_blocks(void *db, uint32_t log, uint64_t from, bool bulk,
                    backend_block_fn *fn, void *ctx, struct errmsg *why)
{
    struct block_read r = {.fn = fn, .ctx = ctx, .from = from};
    uint64_t limit = bulk ? BLOCKS_MAX : BLOCKS_FIRST;
    const struct mdb_cell begin[] = {mdb_num(log), mdb_num(log), mdb_num(from),
                                     mdb_num(limit)};
    enum err err =
        mdb_read(mdb_pool_of(db), SQL_BLOCKS, begin, on_block, &r, why);
    while (err == ERR_OK && !r.stopped && r.n == limit) {
        limit =
            BLOCKS_GROW * limit < BLOCKS_MAX ? BLOCKS_GROW * limit : BLOCKS_MAX;
        const struct mdb_cell more[] = {mdb_num(log), mdb_num(r.next),
                                        mdb_num(limit)};
        r.n = 0;
        err = mdb_read(mdb_pool_of(db), SQL_BLOCKS_ON, more, on_block, &r, why);
    }
    return err;
}

struct places_read {
    backend_place_fn *fn;
    void *ctx;
};

static bool on_block_at(void *ctx, const struct mdb_cell *columns)
{
    const struct places_read *r = ctx;
    return r->fn(r->ctx, (uint32_t)columns[0].n, columns[1].n, columns[2].b);
}

/* One question. Places that a statement has beyond `n` stay 0, where nothing
 * begins. */
enum err mdb_blocks_at(void *db, const struct entry_place *places, size_t n,
                       backend_place_fn *fn, void *ctx, struct errmsg *why)
{
    static const enum mdb_sql sqls[] = {SQL_BLOCKS_AT_1, SQL_BLOCKS_AT_4,
                                        SQL_BLOCKS_AT_16};
    struct places_read r = {fn, ctx};
    struct mdb_cell cells[2 * PLACES_MAX] = {{.n = 0}};
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(sqls) && mdb_params(sqls[i]) < 2 * n) {
        i++;
    }
    for (size_t k = 0; k < n; k++) {
        cells[2 * k] = mdb_num(places[k].log);
        cells[2 * k + 1] = mdb_num(places[k].number);
    }
    return mdb_read(mdb_pool_of(db), sqls[i], cells, on_block_at, &r, why);
}

static enum err malformed(struct errmsg *why, const char *table)
{
    return err_set(why, ERR_CORRUPT, "table %s: malformed row", table);
}

struct node_read {
    struct hash *out;
    bool found;
    bool bad;
};

static bool on_node(void *ctx, const struct mdb_cell *columns)
{
    struct node_read *r = ctx;
    r->found = true;
    r->bad = columns[0].b.len != HASH_LEN;
    if (!r->bad) {
        memcpy(r->out->b, columns[0].b.data, HASH_LEN);
    }
    return false;
}

enum err mdb_node(void *db, uint32_t log, unsigned level, uint64_t index,
                  struct hash *out, struct errmsg *why)
{
    struct node_read r = {.out = out};
    const struct mdb_cell cells[] = {mdb_num(log), mdb_num(level),
                                     mdb_num(index)};
    enum err err = mdb_read(mdb_pool_of(db), SQL_NODE, cells, on_node, &r, why);
    if (err == ERR_OK && r.bad) {
        return malformed(why, "cn_node");
    }
    return err == ERR_OK && !r.found ? ERR_NOT_FOUND : err;
}

struct rows_read {
    const struct row_key *const *keys;
    struct row *const *out;
    size_t n;
    backend_row_fn *fn;
    void *ctx;
    bool bad;
};

static int key_cmp(const void *a, const void *b)
{
    const struct row_key *key = a;
    const struct row_key *const *at = b;
    return row_key_cmp(key, *at);
}

static bool on_wanted_row(void *ctx, const struct mdb_cell *columns)
{
    struct rows_read *r = ctx;
    struct row row;
    r->bad = !mdb_take_row(columns[0].b, columns[1].b, &row);
    if (r->bad) {
        return false;
    }
    const struct row_key *const *at =
        bsearch(&row.key, r->keys, r->n, sizeof(*r->keys), key_cmp);
    if (at != NULL) {
        *r->out[at - r->keys] = row;
    }
    return true;
}

/* The last key fills what is left of the statement's list. */
static void key_cells(uint8_t generation, const struct row_key *const *wanted,
                      size_t n, struct key keys[MDB_ROWS_KEYS],
                      struct mdb_cell cells[MDB_ROWS_KEYS])
{
    for (size_t i = 0; i < MDB_ROWS_KEYS; i++) {
        if (i < n) {
            keys[i] = row_key_encode(generation, wanted[i]);
        }
        cells[i] = mdb_key_cell(&keys[i < n ? i : n - 1]);
    }
}

enum err mdb_rows(void *db, uint8_t generation,
                  const struct row_key *const *keys, size_t n,
                  struct row *const *out, struct errmsg *why)
{
    struct key coded[MDB_ROWS_KEYS];
    struct mdb_cell cells[MDB_ROWS_KEYS];
    enum err err = ERR_OK;
    for (size_t i = 0; i < n; i++) {
        *out[i] = (struct row){.key = *keys[i]};
    }
    for (size_t at = 0; err == ERR_OK && at < n; at += MDB_ROWS_KEYS) {
        size_t some = n - at < MDB_ROWS_KEYS ? n - at : MDB_ROWS_KEYS;
        struct rows_read r = {.keys = keys + at, .out = out + at, .n = some};
        key_cells(generation, keys + at, some, coded, cells);
        err =
            mdb_read(mdb_pool_of(db), SQL_ROWS, cells, on_wanted_row, &r, why);
        err = err == ERR_OK && r.bad ? malformed(why, "cn_index") : err;
    }
    return err;
}

static bool on_row(void *ctx, const struct mdb_cell *columns)
{
    struct rows_read *r = ctx;
    struct row row;
    r->bad = !mdb_take_row(columns[0].b, columns[1].b, &row);
    return !r->bad && r->fn(r->ctx, &row);
}

enum err mdb_rows_of(void *db, uint8_t generation,
                     const struct subject_key *subject, bool now,
                     backend_row_fn *fn, void *ctx, struct errmsg *why)
{
    struct rows_read r = {.fn = fn, .ctx = ctx};
    struct key from = row_key_prefix(generation, subject);
    struct key to = from;
    if (now) {
        return ERR_BUSY; /* nothing is in this process's memory */
    }
    memset(to.b + to.len, 0xff, ROW_KEY_REST); /* behind all that begin so */
    to.len += ROW_KEY_REST;
    const struct mdb_cell cells[] = {mdb_key_cell(&from), mdb_key_cell(&to)};
    enum err err =
        mdb_read(mdb_pool_of(db), SQL_ROWS_OF, cells, on_row, &r, why);
    return err == ERR_OK && r.bad ? malformed(why, "cn_index") : err;
}

struct list_read {
    const struct subject_key *subject;
    backend_list_row_fn *fn;
    void *ctx;
    bool ended; /* `fn` said so */
};

/* In the order of LIST_COLUMNS. */
static bool on_list_row(void *ctx, const struct mdb_cell *c)
{
    struct list_read *r = ctx;
    const struct list_row row = {.subject = *r->subject,
                                 .log = (uint32_t)c[0].n,
                                 .number = c[1].n,
                                 .type = (uint8_t)c[2].n,
                                 .list = (uint16_t)c[3].n,
                                 .decided = (uint32_t)c[4].n,
                                 .from = (uint32_t)c[5].n,
                                 .until = (uint32_t)c[6].n,
                                 .target_origin = c[7].n,
                                 .target_incarnation = c[8].n,
                                 .target_number = c[9].n};
    r->ended = !r->fn(r->ctx, &row);
    return !r->ended;
}

enum err mdb_list_rows(void *db, uint8_t generation,
                       const struct subject_key *subjects, size_t n, bool now,
                       backend_list_row_fn *fn, void *ctx, struct errmsg *why)
{
    struct list_read r = {NULL, fn, ctx, false};
    enum err err = now ? ERR_BUSY : ERR_OK;
    for (size_t i = 0; err == ERR_OK && !r.ended && i < n; i++) {
        const struct mdb_cell cells[] = {
            mdb_num(generation), mdb_bytes(subjects[i].b, subjects[i].len)};
        r.subject = &subjects[i];
        err = mdb_read(mdb_pool_of(db), SQL_LIST_ROWS, cells, on_list_row, &r,
                       why);
    }
    return err;
}

struct value_read {
    struct buf *out;
    bool found;
};

static bool on_value(void *ctx, const struct mdb_cell *columns)
{
    struct value_read *r = ctx;
    r->found = true;
    buf_put_slice(r->out, columns[0].b);
    return false;
}

static enum err read_value(void *db, enum mdb_sql sql,
                           const struct mdb_cell *cells, struct buf *out,
                           struct errmsg *why)
{
    struct value_read r = {.out = out};
    enum err err = mdb_read(mdb_pool_of(db), sql, cells, on_value, &r, why);
    return err == ERR_OK && !r.found ? ERR_NOT_FOUND : err;
}

enum err mdb_part(void *db, uint32_t log, enum log_part part, struct buf *out,
                  struct errmsg *why)
{
    const struct mdb_cell cells[] = {mdb_num(part), mdb_num(log)};
    return read_value(db, SQL_PART, cells, out, why);
}

enum err mdb_meta(void *db, enum meta meta, struct buf *out, struct errmsg *why)
{
    const struct mdb_cell cells[] = {mdb_num(meta)};
    return read_value(db, SQL_META, cells, out, why);
}

struct part_read {
    backend_part_fn *fn;
    void *ctx;
};

static bool on_part(void *ctx, const struct mdb_cell *columns)
{
    const struct part_read *r = ctx;
    return r->fn(r->ctx, (uint32_t)columns[0].n, columns[1].b);
}

enum err mdb_parts(void *db, enum log_part part, backend_part_fn *fn, void *ctx,
                   struct errmsg *why)
{
    struct part_read r = {fn, ctx};
    const struct mdb_cell cells[] = {mdb_num(part)};
    return mdb_read(mdb_pool_of(db), SQL_PARTS, cells, on_part, &r, why);
}

struct change_read {
    backend_change_fn *fn;
    void *ctx;
};

static bool on_change(void *ctx, const struct mdb_cell *columns)
{
    const struct change_read *r = ctx;
    return r->fn(r->ctx, (enum log_part)columns[0].n, (uint32_t)columns[1].n);
}

enum err mdb_changes(void *db, uint64_t since, backend_change_fn *fn, void *ctx,
                     struct errmsg *why)
{
    struct change_read r = {fn, ctx};
    const struct mdb_cell cells[] = {mdb_num(since)};
    return mdb_read(mdb_pool_of(db), SQL_CHANGES, cells, on_change, &r, why);
}

enum err mdb_issues(void *db, uint8_t generation, uint32_t log, uint64_t number,
                    backend_issue_fn *fn, void *ctx, struct errmsg *why)
{
    return mdb_issues_from(mdb_pool_of(db), generation, log, number, fn, ctx,
                           why);
}

enum err mdb_salvage(void *db, uint64_t from, backend_salvage_fn *fn, void *ctx,
                     struct errmsg *why)
{
    return mdb_salvage_from(mdb_pool_of(db), from, fn, ctx, why);
}

enum err mdb_source(void *db, const uint8_t name[SOURCE_LEN], struct buf *out,
                    struct errmsg *why)
{
    const struct mdb_cell cells[] = {mdb_bytes(name, SOURCE_LEN)};
    return read_value(db, SQL_SOURCE, cells, out, why);
}

enum err mdb_sources(void *db, backend_source_fn *fn, void *ctx,
                     struct errmsg *why)
{
    return mdb_sources_all(mdb_pool_of(db), fn, ctx, why);
}

enum err mdb_check(void *db, struct buf *cursor, struct errmsg *why)
{
    return mdb_check_index(mdb_pool_of(db), cursor, why);
}
