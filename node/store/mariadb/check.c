/* check.c - reading what no log's walk reads: the index. The
 * server finds damaged pages itself, when they are read. */
#include <string.h>

#include "base/mem.h"
#include "store/mariadb/index.h"

enum {
    CHECK_ROWS = 1000, /* of one query */
};

/* Rows of both generations, then those of lists. */
static const struct {
    enum mdb_sql sql;
    uint8_t generation;
} ranges[] = {
    {SQL_CHECK_ROWS, 1},
    {SQL_CHECK_ROWS, 2},
    {SQL_CHECK_LISTS, 1},
    {SQL_CHECK_LISTS, 2},
};

/* The key seen last. */
struct place {
    uint8_t range;
    struct key key;  /* of a row; of one about lists its subject */
    uint64_t log;    /* lists */
    uint64_t number; /* lists */
    size_t n;        /* seen by this query */
    bool bad;
};

static bool is_rows(const struct place *p)
{
    return ranges[p->range].sql == SQL_CHECK_ROWS;
}

/* Before the first one. */
static struct place place_begin(uint8_t range)
{
    struct place p = {.range = range};
    if (range < ARRAY_LEN(ranges) && is_rows(&p)) {
        p.key = (struct key){.len = 1, .b = {ranges[range].generation}};
    }
    return p;
}

static struct place place_get(const struct buf *cursor)
{
    struct reader r = reader_of(buf_slice(cursor));
    if (reader_left(&r) == 0) {
        return place_begin(0);
    }
    struct place p = {.range = reader_u8(&r)};
    p.key.len = reader_u8(&r);
    struct slice key = reader_bytes(&r, p.key.len);
    p.log = reader_u64(&r);
    p.number = reader_u64(&r);
    memcpy(p.key.b, key.data, key.len);
    return p;
}

static void place_put(const struct place *p, struct buf *cursor)
{
    buf_put_u8(cursor, p->range);
    buf_put_u8(cursor, (uint8_t)p->key.len);
    buf_put(cursor, p->key.b, p->key.len);
    buf_put_u64(cursor, p->log);
    buf_put_u64(cursor, p->number);
}

static bool on_key(void *ctx, const struct mdb_cell *c)
{
    struct place *p = ctx;
    struct row row;
    struct slice key = c[0].b;
    p->bad = is_rows(p) ? !mdb_take_row(key, c[1].b, &row)
                        : key.len > SUBJECT_KEY_MAX;
    if (p->bad) {
        return false;
    }
    p->key.len = key.len;
    memcpy(p->key.b, key.data, key.len);
    if (!is_rows(p)) {
        p->log = c[1].n;
        p->number = c[2].n;
    }
    p->n++;
    return true;
}

static enum err read_rows(struct mdb_pool *pool, const struct place *from,
                          struct place *to, struct errmsg *why)
{
    const uint8_t end = (uint8_t)(ranges[from->range].generation + 1);
    const struct mdb_cell cells[] = {mdb_key_cell(&from->key),
                                     mdb_bytes(&end, 1), mdb_num(CHECK_ROWS)};
    return mdb_read(pool, SQL_CHECK_ROWS, cells, on_key, to, why);
}

static enum err read_lists(struct mdb_pool *pool, const struct place *from,
                           struct place *to, struct errmsg *why)
{
    const struct mdb_cell subject = mdb_key_cell(&from->key);
    const struct mdb_cell cells[] = {
        mdb_num(ranges[from->range].generation),
        subject,
        subject,
        mdb_num(from->log),
        mdb_num(from->log),
        mdb_num(from->number),
        mdb_num(CHECK_ROWS),
    };
    return mdb_read(pool, SQL_CHECK_LISTS, cells, on_key, to, why);
}

enum err mdb_check_index(struct mdb_pool *pool, struct buf *cursor,
                         struct errmsg *why)
{
    struct place from = place_get(cursor);
    struct place to = from;
    enum err err = is_rows(&from) ? read_rows(pool, &from, &to, why)
                                  : read_lists(pool, &from, &to, why);
    buf_clear(cursor);
    if (err == ERR_OK && to.bad) {
        return err_set(why, ERR_CORRUPT, "the index: malformed row");
    }
    if (err == ERR_OK && to.n < CHECK_ROWS) {
        to = place_begin((uint8_t)(to.range + 1));
    }
    if (err == ERR_OK && to.range < ARRAY_LEN(ranges)) {
        place_put(&to, cursor);
    }
    return err;
}
