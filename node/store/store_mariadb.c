/* store_mariadb.c - the backend on a MariaDB server
 * (docs/decisions/0011-mariadb-store.md). */
#include <errno.h>
#include <mysqld_error.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/store_mariadb.h"

enum {
    WRITE_ROWS_MAX = 1024, /* of one statement */
    WRITE_BYTES_MAX = 1 << 20,
    ATTEMPTS = 3,          /* of one commit */
    SIZE_EVERY_MS = 60000, /* how often the size is asked */
    BLOCKS_FIRST = 2,      /* of a point read: the one before may not cover */
    BLOCKS_MAX = 256,      /* of one query */
    BLOCKS_GROW = 16,
};

struct mdb {
    struct store_conf conf;     /* as it was first opened; but for its path */
    struct mdb_owner owner;     /* fd -1: opened for reading */
    struct mdb_conn *writer;    /* the writer's thread; NULL: for reading */
    _Atomic unsigned writes_at; /* place of the writer's server */
    struct mdb_pool *pool;
    char datadir[256];  /* of the server, before: */
    _Atomic bool local; /* its disk can be asked here; stays so */
    _Atomic uint64_t disk_bytes;
    int64_t sized_at_ms; /* writer */
};

/* ---- batches ---- */

/* Statements of one table keep their order; tables do not meet. */
enum table {
    TABLE_META,
    TABLE_PART,
    TABLE_BLOCK,
    TABLE_NODE,
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
    bool moves; /* META_SERIAL to `serial` */
    uint64_t serial;
    uint8_t drop[4]; /* generations */
    size_t drop_n;
};

static void *mdb_batch_new(void *db)
{
    (void)db;
    return MEM_NEW(struct mdb_batch);
}

static void mdb_batch_free(void *batch)
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

static size_t mdb_batch_count(void *batch)
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

static struct mdb_cell num(uint64_t n)
{
    return (struct mdb_cell){.n = n};
}

static struct mdb_cell bytes(const void *data, size_t len)
{
    return (struct mdb_cell){.b = slice_of(data, len)};
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

static void mdb_put_block(void *batch, uint32_t log, uint64_t first,
                          struct slice block)
{
    add(batch, TABLE_BLOCK, SQL_PUT_BLOCK,
        (struct mdb_cell[]){num(log), num(first), {.b = block}});
}

static void mdb_put_node(void *batch, uint32_t log, unsigned level,
                         uint64_t index, const struct hash *hash)
{
    add(batch, TABLE_NODE, SQL_PUT_NODE,
        (struct mdb_cell[]){num(log), num(level), num(index),
                            bytes(hash->b, HASH_LEN)});
}

static void mdb_cut_log(void *batch, uint32_t log, uint64_t first,
                        uint64_t size)
{
    add(batch, TABLE_BLOCK, SQL_CUT_BLOCKS,
        (struct mdb_cell[]){num(log), num(first)});
    for (unsigned level = TREE_STRIDE; level < TREE_LEVELS;
         level += TREE_STRIDE) {
        add(batch, TABLE_NODE, SQL_CUT_NODES,
            (struct mdb_cell[]){num(log), num(level), num(size >> level)});
    }
}

static void mdb_put_part(void *batch, uint32_t log, enum log_part part,
                         struct slice value)
{
    add(batch, TABLE_PART, SQL_PUT_PART,
        (struct mdb_cell[]){num(part), num(log), {.b = value}, num(0)});
}

static void mdb_put_meta(void *batch, enum meta meta, struct slice value)
{
    struct mdb_batch *b = batch;
    if (meta == META_SERIAL && value.len == 8) {
        b->moves = true;
        b->serial = be_get64(value.data);
        return;
    }
    add(b, TABLE_META, SQL_PUT_META,
        (struct mdb_cell[]){num(meta), {.b = value}});
}

static void mdb_put_row(void *batch, uint8_t generation, const struct row *row)
{
    const struct row_key *k = &row->key;
    add(batch, TABLE_ROW, SQL_PUT_ROW,
        (struct mdb_cell[]){
            num(generation), bytes(k->subject.b, k->subject.len),
            bytes(k->record_key, RECORD_KEY_LEN), num(k->origin), num(row->log),
            num(row->number), num(row->version), num(row->item),
            num(row->status), num(row->disclosure), num(row->moved),
            num(row->decided), num(row->until), num(row->publish_until),
            bytes(row->digest, row->has_digest ? DIGEST_LEN : 0)});
}

static void mdb_del_row(void *batch, uint8_t generation,
                        const struct row_key *key)
{
    add(batch, TABLE_ROW, SQL_DEL_ROW,
        (struct mdb_cell[]){
            num(generation), bytes(key->subject.b, key->subject.len),
            bytes(key->record_key, RECORD_KEY_LEN), num(key->origin)});
}

static void mdb_put_list_row(void *batch, uint8_t generation,
                             const struct list_row *row)
{
    add(batch, TABLE_LIST, SQL_PUT_LIST,
        (struct mdb_cell[]){
            num(generation), bytes(row->subject.b, row->subject.len),
            num(row->log), num(row->number), num(row->type), num(row->list),
            num(row->decided), num(row->from), num(row->until),
            num(row->target_origin), num(row->target_incarnation),
            num(row->target_number)});
}

static void mdb_del_list_row(void *batch, uint8_t generation,
                             const struct list_row *row)
{
    add(batch, TABLE_LIST, SQL_DEL_LIST,
        (struct mdb_cell[]){num(generation),
                            bytes(row->subject.b, row->subject.len),
                            num(row->log), num(row->number)});
}

static void mdb_put_issue(void *batch, uint8_t generation, uint32_t log,
                          uint64_t number, uint8_t reason)
{
    add(batch, TABLE_ISSUE, SQL_PUT_ISSUE,
        (struct mdb_cell[]){num(generation), num(log), num(number),
                            num(reason)});
}

static void mdb_del_issue(void *batch, uint8_t generation, uint32_t log,
                          uint64_t number)
{
    add(batch, TABLE_ISSUE, SQL_DEL_ISSUE,
        (struct mdb_cell[]){num(generation), num(log), num(number)});
}

static void mdb_drop_index(void *batch, uint8_t generation)
{
    struct mdb_batch *b = batch;
    if (b->drop_n < sizeof b->drop) {
        b->drop[b->drop_n++] = generation;
        b->count++;
    }
}

static void mdb_put_salvage(void *batch, uint64_t seq, struct slice entry)
{
    add(batch, TABLE_SALVAGE, SQL_PUT_SALVAGE,
        (struct mdb_cell[]){num(seq), {.b = entry}});
}

static void mdb_del_salvage(void *batch, uint64_t seq)
{
    add(batch, TABLE_SALVAGE, SQL_DEL_SALVAGE, (struct mdb_cell[]){num(seq)});
}

static void mdb_put_source(void *batch, const uint8_t name[SOURCE_LEN],
                           struct slice value)
{
    add(batch, TABLE_SOURCE, SQL_PUT_SOURCE,
        (struct mdb_cell[]){bytes(name, SOURCE_LEN), {.b = value}});
}

/* ---- committing ---- */

/* First of all: whoever else moved the number holds its row until he is done,
 * and from then on it is another. */
static enum err move_serial(struct mdb_conn *c, uint64_t claim,
                            const struct mdb_batch *b, struct errmsg *why)
{
    uint8_t to[8];
    uint8_t from[8];
    uint64_t moved = 0;
    be_put64(to, b->serial);
    be_put64(from, b->serial - 1);
    const struct mdb_cell cells[] = {bytes(to, 8), num(META_SERIAL),
                                     bytes(from, 8), num(claim)};
    enum err err = b->moves
                       ? mdb_write(c, SQL_MOVE_SERIAL, cells, 1, &moved, why)
                       : ERR_OK;
    return err == ERR_OK && b->moves && moved != 1 ? backend_fenced(why) : err;
}

/* What a transaction begins with that moves no number: it, too, is before
 * another one's claim, or comes to nothing. */
static enum err move_claim(struct mdb_conn *c, uint64_t from, uint64_t to,
                           struct errmsg *why)
{
    uint64_t moved = 0;
    const struct mdb_cell cells[] = {num(to), num(META_SERIAL), num(from)};
    enum err err = mdb_write(c, SQL_MOVE_CLAIM, cells, 1, &moved, why);
    return err == ERR_OK && moved != 1 ? backend_fenced(why) : err;
}

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

static enum err write_lanes(struct mdb_conn *c, const struct mdb_batch *b,
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
        l->cells[i - 1].n = b->moves ? b->serial : 0;
    }
}

/* Under a claim that nobody else can have: who was frozen here and wakes may
 * find another one's index in this generation. A COMMIT without an answer
 * leaves it open which claim stands there. */
static enum err drop_some(struct mdb *m, enum mdb_sql sql, uint8_t generation,
                          uint64_t *gone, struct errmsg *why)
{
    const struct mdb_cell cell = num(generation);
    uint64_t next = m->owner.claim + 1 != 0 ? m->owner.claim + 1 : 1;
    enum err err = move_claim(m->writer, m->owner.claim, next, why);
    if (err == ERR_OK) {
        err = mdb_write(m->writer, sql, &cell, 1, gone, why);
    }
    if (err == ERR_OK) {
        err = mdb_run(m->writer, "COMMIT", why);
        m->owner.claim = err == ERR_OK ? next : 0;
    }
    return err;
}

/* In small transactions: one large one would keep the server busy for minutes,
 * twice if it is rolled back. */
static enum err drop_all(struct mdb *m, enum mdb_sql sql, uint8_t generation,
                         struct errmsg *why)
{
    enum err err = ERR_OK;
    for (uint64_t gone = 1; err == ERR_OK && gone > 0;) {
        err = drop_some(m, sql, generation, &gone, why);
    }
    return err;
}

/* Indexes that nobody reads. */
static enum err drop_indexes(struct mdb *m, const struct mdb_batch *b,
                             struct errmsg *why)
{
    static const enum mdb_sql drops[] = {SQL_DROP_ROWS, SQL_DROP_LISTS,
                                         SQL_DROP_ISSUES};
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < b->drop_n * ARRAY_LEN(drops); i++) {
        err = drop_all(m, drops[i % ARRAY_LEN(drops)],
                       b->drop[i / ARRAY_LEN(drops)], why);
    }
    return err;
}

/* Everything but the COMMIT: until that is sent nothing can be there. */
static enum err fill(struct mdb *m, const struct mdb_batch *b,
                     struct errmsg *why)
{
    enum err err = drop_indexes(m, b, why);
    if (err == ERR_OK) {
        err = move_serial(m->writer, m->owner.claim, b, why);
    }
    return err == ERR_OK ? write_lanes(m->writer, b, why) : err;
}

/* First of all, when it is opened anew. */
static void try_next(struct mdb *m)
{
    unsigned next = atomic_load(&m->writes_at) + 1;
    atomic_store(&m->writes_at, next % mdb_servers(&m->conf.mariadb));
}

static enum err open_writer(struct mdb *m, struct errmsg *why)
{
    unsigned place = atomic_load(&m->writes_at);
    enum err err =
        mdb_open_at(&m->writer, &m->conf.mariadb, &mdb_store_sql, &place, why);
    if (err == ERR_OK && mdb_server(m->writer)->readonly) {
        err = err_set(why, ERR_NO_SPACE,
                      "database %s: the server is read-only: SET GLOBAL "
                      "read_only=0, or name the server that takes writes",
                      m->conf.mariadb.database);
    }
    /* Before anything is changed there: it may be another one's. */
    if (err == ERR_OK) {
        err = mdb_check_whose(m->writer, &m->conf, why);
    }
    if (err == ERR_OK) {
        err = mdb_check_known(m->writer, m->conf.known,
                              m->owner.reopened ? ERR_UNAVAILABLE : ERR_CONF,
                              why);
    }
    if (err == ERR_OK) {
        err = mdb_claim(m->writer, &m->owner, &m->conf.mariadb, why);
    }
    if (err == ERR_OK) {
        atomic_store(&m->writes_at, place);
        m->owner.reopened = true;
    } else {
        mdb_shut(&m->writer);
        try_next(m);
    }
    return err;
}

static void ask_size(struct mdb *m);

static bool has_writer(struct mdb *m, struct errmsg *why)
{
    if (m->owner.claim == 0) {
        mdb_shut(&m->writer); /* its claim is not known */
    }
    return m->writer != NULL || open_writer(m, why) == ERR_OK;
}

/* Who it was that took the database is asked when it is opened anew. */
static void roll_back(struct mdb *m, enum err err)
{
    struct errmsg unused;
    if (mdb_run(m->writer, "ROLLBACK", &unused) != ERR_OK ||
        err == ERR_CONFLICT) {
        mdb_shut(&m->writer);
    }
}

/* `again`: certainly not written, and worth another attempt. */
static enum err attempt(struct mdb *m, const struct mdb_batch *b, bool *again,
                        struct errmsg *why)
{
    *again = false;
    if (!has_writer(m, why)) {
        return ERR_UNCERTAIN; /* the store opens anew until it can read back */
    }
    enum err err = fill(m, b, why);
    bool filled = err == ERR_OK;
    if (filled) {
        err = mdb_run(m->writer, "COMMIT", why);
    }
    enum mdb_fault fault = err == ERR_OK ? FAULT_NONE : mdb_fault(m->writer);
    /* At a COMMIT only this says for certain that nothing is there, and of a
     * cluster not even this: what was certified may be played again. */
    bool undone = !filled || (mdb_errno(m->writer) == ER_LOCK_DEADLOCK &&
                              !mdb_server(m->writer)->cluster);
    if (err == ERR_OK || err == ERR_CORRUPT) {
        return err;
    }
    if (fault == FAULT_LOST) {
        mdb_shut(&m->writer);
        try_next(m);
        *again = !filled;
        return ERR_UNCERTAIN;
    }
    roll_back(m, err);
    *again = (fault == FAULT_AGAIN || err == ERR_TIMEOUT) && undone;
    bool refused =
        fault == FAULT_FULL || fault == FAULT_READONLY || err == ERR_CONFLICT;
    return refused && undone ? ERR_NO_SPACE : ERR_UNCERTAIN;
}

static enum err mdb_commit(void *db, void *batch, struct errmsg *why)
{
    struct mdb *m = db;
    struct mdb_batch *b = batch;
    bool again = true;
    enum err err = ERR_UNCERTAIN;
    if (m->owner.fd < 0) {
        return err_set(why, ERR_NO_SPACE, "database %s is open for reading",
                       m->conf.mariadb.database);
    }
    for (size_t i = 0; i < TABLES; i++) {
        place_bytes(&b->lanes[i], &b->bytes);
    }
    stamp_parts(b);
    for (unsigned i = 0; again && i < ATTEMPTS; i++) {
        err = attempt(m, b, &again, why);
    }
    if (err == ERR_OK && clock_mono_ms() - m->sized_at_ms > SIZE_EVERY_MS) {
        ask_size(m);
    }
    return err;
}

/* ---- open and close ---- */

static void mdb_close(void *db)
{
    struct mdb *m = db;
    mdb_pool_free(&m->pool);
    mdb_shut(&m->writer);
    mdb_owner_drop(&m->owner);
    mem_free(m);
}

static enum err open_reading(struct mdb *m, struct errmsg *why)
{
    struct mdb_conn *c;
    enum err err = mdb_open(&c, &m->conf.mariadb, &mdb_store_sql, why);
    if (err == ERR_OK) {
        err = mdb_check_schema(c, why);
    }
    mdb_shut(&c);
    return err;
}

/* Through its socket: then the server's disk is a disk of this machine. Once:
 * a socket is one server's. */
static void find_disk(struct mdb *m)
{
    struct statvfs fs;
    const char *datadir = mdb_server(m->writer)->datadir;
    if (!atomic_load(&m->local) && datadir[0] != 0 &&
        statvfs(datadir, &fs) == 0) {
        memcpy(m->datadir, datadir, sizeof m->datadir);
        atomic_store(&m->local, true);
    }
}

/* The folder stays taken when the server does not let itself be written to:
 * nobody else writes in the meantime. */
static enum err open_writing(struct mdb *m, const struct store_conf *conf,
                             struct errmsg *why)
{
    enum err err = m->owner.fd < 0 ? mdb_owner_take(&m->owner, conf->path,
                                                    conf->mariadb.shared, why)
                                   : ERR_OK;
    m->owner.instance = conf->instance;
    m->owner.reopened = conf->reopened;
    if (err == ERR_OK) {
        err = open_writer(m, why);
    }
    if (err == ERR_OK) {
        find_disk(m);
        ask_size(m);
    }
    return err;
}

static enum err mdb_backend_open(void **db, const struct store_conf *conf,
                                 bool readonly, struct errmsg *why)
{
    struct errmsg cause;
    struct mdb *m = MEM_NEW(struct mdb);
    m->conf = *conf;
    m->owner.fd = -1;
    m->pool = mdb_pool_new(&m->conf.mariadb, &m->writes_at, m->conf.known);
    enum err err =
        readonly ? open_reading(m, &cause) : open_writing(m, conf, &cause);
    if (err != ERR_OK) {
        mdb_close(m);
        return err_set(why, err, "%s", cause.text);
    }
    *db = m;
    return ERR_OK;
}

/* A claim of its own, on a connection of its own: what the one before has not
 * committed by then comes to nothing. */
static enum err mdb_renew(void *db, const struct store_conf *conf,
                          struct errmsg *why)
{
    struct mdb *m = db;
    mdb_shut(&m->writer);
    mdb_pool_drop_idle(m->pool);
    return open_writing(m, conf, why);
}

static enum err mdb_space(void *db, const struct store_conf *conf,
                          uint64_t *free_bytes, bool *readonly)
{
    const struct mdb *m = db;
    struct statvfs fs;
    (void)conf;
    *readonly = false; /* a commit or the next open tells */
    *free_bytes = INT64_MAX;
    if (m == NULL || !atomic_load(&m->local)) {
        return ERR_OK;
    }
    if (statvfs(m->datadir, &fs) != 0) {
        return err_from_errno(errno);
    }
    *free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return ERR_OK;
}

static bool take_number(void *ctx, const struct mdb_cell *columns)
{
    *(uint64_t *)ctx = columns[0].n;
    return false;
}

/* On the writer's thread; nobody waits for a size. */
static void ask_size(struct mdb *m)
{
    uint64_t n = 0;
    struct errmsg why;
    m->sized_at_ms = clock_mono_ms();
    if (mdb_read(m->pool, SQL_DISK_BYTES, NULL, take_number, &n, &why) ==
        ERR_OK) {
        atomic_store(&m->disk_bytes, n);
    }
}

static uint64_t mdb_disk_bytes(void *db)
{
    struct mdb *m = db;
    return atomic_load(&m->disk_bytes);
}

/* ---- reading ---- */

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
static enum err mdb_blocks(void *db, uint32_t log, uint64_t from, bool bulk,
                           backend_block_fn *fn, void *ctx, struct errmsg *why)
{
    struct mdb *m = db;
    struct block_read r = {.fn = fn, .ctx = ctx, .from = from};
    uint64_t limit = bulk ? BLOCKS_MAX : BLOCKS_FIRST;
    const struct mdb_cell begin[] = {num(log), num(log), num(from), num(limit)};
    enum err err = mdb_read(m->pool, SQL_BLOCKS, begin, on_block, &r, why);
    while (err == ERR_OK && !r.stopped && r.n == limit) {
        limit =
            BLOCKS_GROW * limit < BLOCKS_MAX ? BLOCKS_GROW * limit : BLOCKS_MAX;
        const struct mdb_cell more[] = {num(log), num(r.next), num(limit)};
        r.n = 0;
        err = mdb_read(m->pool, SQL_BLOCKS_ON, more, on_block, &r, why);
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
static enum err mdb_blocks_at(void *db, const struct entry_place *places,
                              size_t n, backend_place_fn *fn, void *ctx,
                              struct errmsg *why)
{
    static const enum mdb_sql sqls[] = {SQL_BLOCKS_AT_1, SQL_BLOCKS_AT_4,
                                        SQL_BLOCKS_AT_16};
    struct mdb *m = db;
    struct places_read r = {fn, ctx};
    struct mdb_cell cells[2 * PLACES_MAX] = {{.n = 0}};
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(sqls) && mdb_params(sqls[i]) < 2 * n) {
        i++;
    }
    for (size_t k = 0; k < n; k++) {
        cells[2 * k] = num(places[k].log);
        cells[2 * k + 1] = num(places[k].number);
    }
    return mdb_read(m->pool, sqls[i], cells, on_block_at, &r, why);
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

static enum err mdb_node(void *db, uint32_t log, unsigned level, uint64_t index,
                         struct hash *out, struct errmsg *why)
{
    struct mdb *m = db;
    struct node_read r = {.out = out};
    const struct mdb_cell cells[] = {num(log), num(level), num(index)};
    enum err err = mdb_read(m->pool, SQL_NODE, cells, on_node, &r, why);
    if (err == ERR_OK && r.bad) {
        return malformed(why, "cn_node");
    }
    return err == ERR_OK && !r.found ? ERR_NOT_FOUND : err;
}

/* In the order of ROW_COLUMNS. */
static bool take_row(const struct mdb_cell *c, struct row *row)
{
    *row = (struct row){.key.origin = c[2].n,
                        .log = (uint32_t)c[3].n,
                        .number = c[4].n,
                        .version = (uint32_t)c[5].n,
                        .item = (uint16_t)c[6].n,
                        .status = (uint8_t)c[7].n,
                        .disclosure = (uint8_t)c[8].n,
                        .moved = c[9].n != 0,
                        .has_digest = c[13].b.len > 0,
                        .decided = (uint32_t)c[10].n,
                        .until = (uint32_t)c[11].n,
                        .publish_until = (uint32_t)c[12].n};
    if (c[0].b.len > SUBJECT_KEY_MAX || c[1].b.len != RECORD_KEY_LEN ||
        (row->has_digest && c[13].b.len != DIGEST_LEN)) {
        return false;
    }
    row->key.subject.len = (uint8_t)c[0].b.len;
    memcpy(row->key.subject.b, c[0].b.data, c[0].b.len);
    memcpy(row->key.record_key, c[1].b.data, RECORD_KEY_LEN);
    memcpy(row->digest, c[13].b.data, c[13].b.len);
    return true;
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
    r->bad = !take_row(columns, &row);
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
static void key_cells(const struct row_key *const *keys, size_t n,
                      struct mdb_cell *out)
{
    for (size_t i = 0; i < MDB_ROWS_KEYS; i++) {
        const struct row_key *k = keys[i < n ? i : n - 1];
        *out++ = bytes(k->subject.b, k->subject.len);
        *out++ = bytes(k->record_key, RECORD_KEY_LEN);
        *out++ = num(k->origin);
    }
}

static enum err mdb_rows(void *db, uint8_t generation,
                         const struct row_key *const *keys, size_t n,
                         struct row *const *out, struct errmsg *why)
{
    struct mdb *m = db;
    struct mdb_cell cells[1 + 3 * MDB_ROWS_KEYS] = {num(generation)};
    enum err err = ERR_OK;
    for (size_t i = 0; i < n; i++) {
        *out[i] = (struct row){.key = *keys[i]};
    }
    for (size_t at = 0; err == ERR_OK && at < n; at += MDB_ROWS_KEYS) {
        size_t some = n - at < MDB_ROWS_KEYS ? n - at : MDB_ROWS_KEYS;
        struct rows_read r = {.keys = keys + at, .out = out + at, .n = some};
        key_cells(keys + at, some, cells + 1);
        err = mdb_read(m->pool, SQL_ROWS, cells, on_wanted_row, &r, why);
        err = err == ERR_OK && r.bad ? malformed(why, "cn_row") : err;
    }
    return err;
}

static bool on_row(void *ctx, const struct mdb_cell *columns)
{
    struct rows_read *r = ctx;
    struct row row;
    r->bad = !take_row(columns, &row);
    return !r->bad && r->fn(r->ctx, &row);
}

static enum err mdb_rows_of(void *db, uint8_t generation,
                            const struct subject_key *subject, bool now,
                            backend_row_fn *fn, void *ctx, struct errmsg *why)
{
    struct mdb *m = db;
    struct rows_read r = {.fn = fn, .ctx = ctx};
    const struct mdb_cell cells[] = {num(generation),
                                     bytes(subject->b, subject->len)};
    if (now) {
        return ERR_BUSY; /* nothing is in this process's memory */
    }
    enum err err = mdb_read(m->pool, SQL_ROWS_OF, cells, on_row, &r, why);
    return err == ERR_OK && r.bad ? malformed(why, "cn_row") : err;
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

static enum err mdb_list_rows(void *db, uint8_t generation,
                              const struct subject_key *subjects, size_t n,
                              bool now, backend_list_row_fn *fn, void *ctx,
                              struct errmsg *why)
{
    struct mdb *m = db;
    struct list_read r = {NULL, fn, ctx, false};
    enum err err = now ? ERR_BUSY : ERR_OK;
    for (size_t i = 0; err == ERR_OK && !r.ended && i < n; i++) {
        const struct mdb_cell cells[] = {num(generation),
                                         bytes(subjects[i].b, subjects[i].len)};
        r.subject = &subjects[i];
        err = mdb_read(m->pool, SQL_LIST_ROWS, cells, on_list_row, &r, why);
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

static enum err read_value(struct mdb *m, enum mdb_sql sql,
                           const struct mdb_cell *cells, struct buf *out,
                           struct errmsg *why)
{
    struct value_read r = {.out = out};
    enum err err = mdb_read(m->pool, sql, cells, on_value, &r, why);
    return err == ERR_OK && !r.found ? ERR_NOT_FOUND : err;
}

static enum err mdb_part(void *db, uint32_t log, enum log_part part,
                         struct buf *out, struct errmsg *why)
{
    const struct mdb_cell cells[] = {num(part), num(log)};
    return read_value(db, SQL_PART, cells, out, why);
}

static enum err mdb_meta(void *db, enum meta meta, struct buf *out,
                         struct errmsg *why)
{
    const struct mdb_cell cells[] = {num(meta)};
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

static enum err mdb_parts(void *db, enum log_part part, backend_part_fn *fn,
                          void *ctx, struct errmsg *why)
{
    struct mdb *m = db;
    struct part_read r = {fn, ctx};
    const struct mdb_cell cells[] = {num(part)};
    return mdb_read(m->pool, SQL_PARTS, cells, on_part, &r, why);
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

static enum err mdb_changes(void *db, uint64_t since, backend_change_fn *fn,
                            void *ctx, struct errmsg *why)
{
    struct mdb *m = db;
    struct change_read r = {fn, ctx};
    const struct mdb_cell cells[] = {num(since)};
    return mdb_read(m->pool, SQL_CHANGES, cells, on_change, &r, why);
}

static enum err mdb_issues(void *db, uint8_t generation, uint32_t log,
                           uint64_t number, backend_issue_fn *fn, void *ctx,
                           struct errmsg *why)
{
    struct mdb *m = db;
    return mdb_issues_from(m->pool, generation, log, number, fn, ctx, why);
}

static enum err mdb_salvage(void *db, uint64_t from, backend_salvage_fn *fn,
                            void *ctx, struct errmsg *why)
{
    struct mdb *m = db;
    return mdb_salvage_from(m->pool, from, fn, ctx, why);
}

static enum err mdb_source(void *db, const uint8_t name[SOURCE_LEN],
                           struct buf *out, struct errmsg *why)
{
    const struct mdb_cell cells[] = {bytes(name, SOURCE_LEN)};
    return read_value(db, SQL_SOURCE, cells, out, why);
}

static enum err mdb_sources(void *db, backend_source_fn *fn, void *ctx,
                            struct errmsg *why)
{
    struct mdb *m = db;
    return mdb_sources_all(m->pool, fn, ctx, why);
}

static enum err mdb_check(void *db, struct buf *cursor, struct errmsg *why)
{
    struct mdb *m = db;
    return mdb_check_index(m->pool, cursor, why);
}

const struct backend store_mariadb = {
    .name = "mariadb",
    .open = mdb_backend_open,
    .close = mdb_close,
    .renew = mdb_renew,
    .check = mdb_check,
    .space = mdb_space,
    .disk_bytes = mdb_disk_bytes,
    .distant = true,
    .batch_new = mdb_batch_new,
    .batch_free = mdb_batch_free,
    .batch_count = mdb_batch_count,
    .put_block = mdb_put_block,
    .put_node = mdb_put_node,
    .cut_log = mdb_cut_log,
    .put_part = mdb_put_part,
    .put_meta = mdb_put_meta,
    .put_row = mdb_put_row,
    .del_row = mdb_del_row,
    .put_list_row = mdb_put_list_row,
    .del_list_row = mdb_del_list_row,
    .put_issue = mdb_put_issue,
    .del_issue = mdb_del_issue,
    .drop_index = mdb_drop_index,
    .put_salvage = mdb_put_salvage,
    .del_salvage = mdb_del_salvage,
    .put_source = mdb_put_source,
    .commit = mdb_commit,
    .blocks = mdb_blocks,
    .blocks_at = mdb_blocks_at,
    .node = mdb_node,
    .rows = mdb_rows,
    .rows_of = mdb_rows_of,
    .list_rows = mdb_list_rows,
    .part = mdb_part,
    .parts = mdb_parts,
    .changes = mdb_changes,
    .meta = mdb_meta,
    .issues = mdb_issues,
    .salvage = mdb_salvage,
    .source = mdb_source,
    .sources = mdb_sources,
};
