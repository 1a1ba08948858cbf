/* batch.c - what a commit is to write, gathered table by table.
 */
#include <string.h>

#include "base/mem.h"
#include "store/mariadb/batch.h"
#include "store/mariadb/index.h"

enum {
    WRITE_ROWS_MAX = 8192, /* of one statement: a group has no more */
    WRITE_BYTES_MAX = 1 << 20,
};

/* Statements of one table keep their order; tables do not meet. */
enum table {
    TABLE_META,
    TABLE_PART,
    TABLE_BLOCK,
    TABLE_NODE,
    TABLE_NEW_ROW, /* of cn_index too; a key is in one of the two only */
    TABLE_ROW,
    TABLE_LIST,
    TABLE_ISSUE,
    TABLE_SALVAGE,
    TABLE_SOURCE,
    TABLES,
};

/* The same statement, for one row after the other. */
struct run {
    enum mdb_sql sql;
    size_t n;
    size_t cells_at; /* in the table's cells */
};

/* Cells hold offsets into `bytes` until they are written. */
struct lane {
    struct run *runs;
    size_t runs_n;
    size_t runs_cap;
    struct mdb_cell *cells;
    size_t *offsets;
    size_t cells_n;
    size_t cells_cap;
};

struct mdb_batch {
    struct lane lanes[TABLES];
    struct buf bytes;
    size_t count;
    struct mdb_intent is;
};

void *mdb_batch_new(void *db)
{
    (void)db;
    return MEM_NEW(struct mdb_batch);
}

void mdb_batch_free(void *batch)
{
    struct mdb_batch *b = batch;
    for (size_t i = 0; i < TABLES; i++) {
        mem_free(b->lanes[i].runs);
        mem_free(b->lanes[i].cells);
        mem_free(b->lanes[i].offsets);
    }
    buf_fini(&b->bytes);
    mem_free(b);
}

size_t mdb_batch_count(void *batch)
{
    const struct mdb_batch *b = batch;
    return b->count;
}

static void lane_room(struct lane *l, size_t more)
{
    if (l->cells_n + more > l->cells_cap) {
        l->cells_cap = 2 * l->cells_cap + more;
        l->cells = mem_realloc(l->cells, l->cells_cap * sizeof *l->cells);
        l->offsets = mem_realloc(l->offsets, l->cells_cap * sizeof *l->offsets);
    }
    if (l->runs_n == l->runs_cap) {
        l->runs_cap = 2 * l->runs_cap + 4;
        l->runs = mem_realloc(l->runs, l->runs_cap * sizeof *l->runs);
    }
}

/* Copies one row of cells. */
static void add(struct mdb_batch *b, enum table table, enum mdb_sql sql,
                const struct mdb_cell *cells)
{
    struct lane *l = &b->lanes[table];
    size_t width = mdb_params(sql);
    lane_room(l, width);
    if (l->runs_n == 0 || l->runs[l->runs_n - 1].sql != sql) {
        l->runs[l->runs_n++] = (struct run){sql, 0, l->cells_n};
    }
    for (size_t i = 0; i < width; i++) {
        l->cells[l->cells_n] = cells[i];
        l->offsets[l->cells_n++] = b->bytes.len;
        buf_put_slice(&b->bytes, cells[i].b);
    }
    l->runs[l->runs_n - 1].n++;
    b->count++;
}

void mdb_put_block(void *batch, uint32_t log, uint64_t first,
                   struct slice block)
{
    add(batch, TABLE_BLOCK, SQL_PUT_BLOCK,
        (struct mdb_cell[]){mdb_num(log), mdb_num(first), {.b = block}});
}

void mdb_put_node(void *batch, uint32_t log, unsigned level, uint64_t index,
                  const struct hash *hash)
{
    add(batch, TABLE_NODE, SQL_PUT_NODE,
        (struct mdb_cell[]){mdb_num(log), mdb_num(level), mdb_num(index),
                            mdb_bytes(hash->b, HASH_LEN)});
}

void mdb_cut_log(void *batch, uint32_t log, uint64_t first, uint64_t size)
{
    add(batch, TABLE_BLOCK, SQL_CUT_BLOCKS,
        (struct mdb_cell[]){mdb_num(log), mdb_num(first)});
    for (unsigned level = TREE_STRIDE; level < TREE_LEVELS;
         level += TREE_STRIDE) {
        add(batch, TABLE_NODE, SQL_CUT_NODES,
            (struct mdb_cell[]){mdb_num(log), mdb_num(level),
                                mdb_num(size >> level)});
    }
}

void mdb_put_part(void *batch, uint32_t log, enum log_part part,
                  struct slice value)
{
    add(batch, TABLE_PART, SQL_PUT_PART,
        (struct mdb_cell[]){
            mdb_num(part), mdb_num(log), {.b = value}, mdb_num(0)});
}

void mdb_put_meta(void *batch, enum meta meta, struct slice value)
{
    struct mdb_batch *b = batch;
    if (meta == META_SERIAL && value.len == 8) {
        b->is.moves = true;
        b->is.serial = be_get64(value.data);
        return;
    }
    add(b, TABLE_META, SQL_PUT_META,
        (struct mdb_cell[]){mdb_num(meta), {.b = value}});
}

static void add_row(void *batch, enum table table, enum mdb_sql sql,
                    uint8_t generation, const struct row *row)
{
    struct key key = row_key_encode(generation, &row->key);
    uint8_t value[MDB_VALUE_MAX];
    add(batch, table, sql,
        (struct mdb_cell[]){mdb_key_cell(&key),
                            mdb_bytes(value, mdb_value_of(row, value))});
}

void mdb_put_row(void *batch, uint8_t generation, const struct row *row)
{
    add_row(batch, TABLE_ROW, SQL_PUT_ROW, generation, row);
}

void mdb_put_new_row(void *batch, uint8_t generation, const struct row *row)
{
    add_row(batch, TABLE_NEW_ROW, SQL_PUT_NEW_ROW, generation, row);
}

void mdb_del_row(void *batch, uint8_t generation, const struct row_key *key)
{
    struct key k = row_key_encode(generation, key);
    add(batch, TABLE_ROW, SQL_DEL_ROW, (struct mdb_cell[]){mdb_key_cell(&k)});
}

void mdb_put_list_row(void *batch, uint8_t generation,
                      const struct list_row *row)
{
    add(batch, TABLE_LIST, SQL_PUT_LIST,
        (struct mdb_cell[]){
            mdb_num(generation), mdb_bytes(row->subject.b, row->subject.len),
            mdb_num(row->log), mdb_num(row->number), mdb_num(row->type),
            mdb_num(row->list), mdb_num(row->decided), mdb_num(row->from),
            mdb_num(row->until), mdb_num(row->target_origin),
            mdb_num(row->target_incarnation), mdb_num(row->target_number)});
}

void mdb_del_list_row(void *batch, uint8_t generation,
                      const struct list_row *row)
{
    add(batch, TABLE_LIST, SQL_DEL_LIST,
        (struct mdb_cell[]){mdb_num(generation),
                            mdb_bytes(row->subject.b, row->subject.len),
                            mdb_num(row->log), mdb_num(row->number)});
}

void mdb_put_issue(void *batch, uint8_t generation, uint32_t log,
                   uint64_t number, uint8_t reason)
{
    add(batch, TABLE_ISSUE, SQL_PUT_ISSUE,
        (struct mdb_cell[]){mdb_num(generation), mdb_num(log), mdb_num(number),
                            mdb_num(reason)});
}

void mdb_del_issue(void *batch, uint8_t generation, uint32_t log,
                   uint64_t number)
{
    add(batch, TABLE_ISSUE, SQL_DEL_ISSUE,
        (struct mdb_cell[]){mdb_num(generation), mdb_num(log),
                            mdb_num(number)});
}

void mdb_drop_index(void *batch, uint8_t generation)
{
    struct mdb_batch *b = batch;
    if (b->is.drop_n < sizeof b->is.drop) {
        b->is.drop[b->is.drop_n++] = generation;
        b->count++;
    }
}

void mdb_put_salvage(void *batch, uint64_t seq, struct slice entry)
{
    add(batch, TABLE_SALVAGE, SQL_PUT_SALVAGE,
        (struct mdb_cell[]){mdb_num(seq), {.b = entry}});
}

void mdb_del_salvage(void *batch, uint64_t seq)
{
    add(batch, TABLE_SALVAGE, SQL_DEL_SALVAGE,
        (struct mdb_cell[]){mdb_num(seq)});
}

void mdb_put_source(void *batch, const uint8_t name[SOURCE_LEN],
                    struct slice value)
{
    add(batch, TABLE_SOURCE, SQL_PUT_SOURCE,
        (struct mdb_cell[]){mdb_bytes(name, SOURCE_LEN), {.b = value}});
}

const struct mdb_intent *mdb_batch_intent(const struct mdb_batch *batch)
{
    return &batch->is;
}

/* ---- writing ---- */

/* Rows of `run` from `at` on that fit one statement. */
static size_t rows_that_fit(const struct lane *l, const struct run *run,
                            size_t at, size_t width)
{
    size_t n = 0;
    size_t len = 0;
    for (; at + n < run->n && n < WRITE_ROWS_MAX; n++) {
        const struct mdb_cell *row =
            &l->cells[run->cells_at + (at + n) * width];
        for (size_t i = 0; i < width; i++) {
            len += row[i].b.len;
        }
        if (n > 0 && len > WRITE_BYTES_MAX) {
            break;
        }
    }
    return n;
}

static enum err write_run(struct mdb_conn *c, const struct lane *l,
                          const struct run *run, struct errmsg *why)
{
    size_t width = mdb_params(run->sql);
    enum err err = ERR_OK;
    for (size_t at = 0; err == ERR_OK && at < run->n;) {
        size_t n = rows_that_fit(l, run, at, width);
        err = mdb_write(c, run->sql, &l->cells[run->cells_at + at * width], n,
                        NULL, why);
        at += n;
    }
    return err;
}

enum err mdb_batch_write(struct mdb_conn *c, const struct mdb_batch *b,
                         struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t t = 0; err == ERR_OK && t < TABLES; t++) {
        const struct lane *l = &b->lanes[t];
        for (size_t i = 0; err == ERR_OK && i < l->runs_n; i++) {
            err = write_run(c, l, &l->runs[i], why);
        }
    }
    return err;
}

/* The bytes do not move any more. */
static void place_bytes(struct lane *l, const struct buf *data)
{
    for (size_t i = 0; i < l->cells_n; i++) {
        if (l->cells[i].b.len > 0) {
            l->cells[i].b.data = data->data + l->offsets[i];
        }
    }
}

/* The number of the commit, which is known last. */
static void stamp_parts(struct mdb_batch *b)
{
    const struct lane *l = &b->lanes[TABLE_PART];
    size_t width = mdb_params(SQL_PUT_PART);
    for (size_t i = width; i <= l->cells_n; i += width) {
        l->cells[i - 1].n = b->is.moves ? b->is.serial : 0;
    }
}

void mdb_batch_close(struct mdb_batch *b)
{
    for (size_t i = 0; i < TABLES; i++) {
        place_bytes(&b->lanes[i], &b->bytes);
    }
    stamp_parts(b);
}
