/* store_mariadb_check.c - reading what no log's walk reads: the index. The
 * server finds damaged pages itself, when they are read. */
#include <string.h>

#include "base/mem.h"
#include "store/store_mariadb.h"

enum {
    CHECK_ROWS = 1000, /* of one query */
    KEY_MAX = SUBJECT_KEY_MAX,
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

/* The key seen last; all empty before the first. */
struct place {
    uint8_t range;
    uint8_t subject_len;
    uint8_t subject[KEY_MAX];
    uint8_t record_key[RECORD_KEY_LEN]; /* rows */
    uint64_t log;                       /* lists */
    uint64_t last;                      /* origin or number */
    size_t n;                           /* seen by this query */
    bool bad;
};

static void place_get(const struct buf *cursor, struct place *out)
{
    struct reader r = reader_of(buf_slice(cursor));
    *out = (struct place){.range = 0};
    if (reader_left(&r) == 0) {
        return;
    }
    out->range = reader_u8(&r);
    out->subject_len = reader_u8(&r);
    struct slice subject = reader_bytes(&r, out->subject_len);
    struct slice key = reader_bytes(&r, RECORD_KEY_LEN);
    out->log = reader_u64(&r);
    out->last = reader_u64(&r);
    memcpy(out->subject, subject.data, subject.len);
    memcpy(out->record_key, key.data, key.len);
}

static void place_put(const struct place *p, struct buf *cursor)
{
    buf_put_u8(cursor, p->range);
    buf_put_u8(cursor, p->subject_len);
    buf_put(cursor, p->subject, p->subject_len);
    buf_put(cursor, p->record_key, RECORD_KEY_LEN);
    buf_put_u64(cursor, p->log);
    buf_put_u64(cursor, p->last);
}

static bool on_key(void *ctx, const struct mdb_cell *c)
{
    struct place *p = ctx;
    bool rows = ranges[p->range].sql == SQL_CHECK_ROWS;
    p->bad = c[0].b.len > KEY_MAX || (rows && c[1].b.len != RECORD_KEY_LEN);
    if (p->bad) {
        return false;
    }
    p->subject_len = (uint8_t)c[0].b.len;
    memcpy(p->subject, c[0].b.data, c[0].b.len);
    if (rows) {
        memcpy(p->record_key, c[1].b.data, RECORD_KEY_LEN);
    } else {
        p->log = c[1].n;
    }
    p->last = c[2].n;
    p->n++;
    return true;
}

/* Parameters of both statements, but for their types. */
static void cells_of(const struct place *p, struct mdb_cell cells[7])
{
    struct mdb_cell subject = {.b = slice_of(p->subject, p->subject_len)};
    struct mdb_cell middle = {
        .n = p->log,
        .b = slice_of(p->record_key, RECORD_KEY_LEN),
    };
    cells[0] = (struct mdb_cell){.n = ranges[p->range].generation};
    cells[1] = subject;
    cells[2] = subject;
    cells[3] = middle;
    cells[4] = middle;
    cells[5] = (struct mdb_cell){.n = p->last};
    cells[6] = (struct mdb_cell){.n = CHECK_ROWS};
}

enum err mdb_check_index(struct mdb_pool *pool, struct buf *cursor,
                         struct errmsg *why)
{
    struct place before;
    struct mdb_cell cells[7];
    place_get(cursor, &before);
    struct place p = before;
    cells_of(&before, cells);
    enum err err = mdb_read(pool, ranges[p.range].sql, cells, on_key, &p, why);
    buf_clear(cursor);
    if (err == ERR_OK && p.bad) {
        return err_set(why, ERR_CORRUPT, "the index: malformed row");
    }
    if (err == ERR_OK && p.n < CHECK_ROWS) {
        p = (struct place){.range = (uint8_t)(p.range + 1)};
    }
    if (err == ERR_OK && p.range < ARRAY_LEN(ranges)) {
        place_put(&p, cursor);
    }
    return err;
}
