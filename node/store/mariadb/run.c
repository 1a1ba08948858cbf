/* run.c - queries and prepared statements on a connection. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/mariadb/conn.h"

enum {
    COLUMNS_MAX = 48,
    TEXT_COLUMNS_MAX = 256,
    PARAMS_MAX = MDB_ROWS_KEYS,
    SHORT_MAX = 96, /* bytes of a short column */
    BLOB_FIRST = 64 << 10,
};

/* ---- waiting for an answer ---- */

static bool ask(struct mdb_conn *c, const char *sql, size_t len)
{
    mdb_line_waits(c->line, true);
    bool ok = mysql_real_query(c->mysql, sql, len) == 0;
    mdb_line_waits(c->line, false);
    return ok;
}

static bool execute(struct mdb_conn *c, MYSQL_STMT *stmt)
{
    mdb_line_waits(c->line, true);
    bool ok = mysql_stmt_execute(stmt) == 0;
    mdb_line_waits(c->line, false);
    return ok;
}

/* ---- plain queries ---- */

enum err mdb_run(struct mdb_conn *c, const char *sql, struct errmsg *why)
{
    return ask(c, sql, strlen(sql)) ? ERR_OK : mdb_fail_conn(c, why);
}

enum err mdb_ask(struct mdb_conn *c, const char *sql, char *out, size_t cap,
                 struct errmsg *why)
{
    out[0] = 0;
    enum err err = mdb_run(c, sql, why);
    MYSQL_RES *result = err == ERR_OK ? mysql_store_result(c->mysql) : NULL;
    if (result == NULL) {
        return err != ERR_OK || mysql_errno(c->mysql) == 0
                   ? err
                   : mdb_fail_conn(c, why);
    }
    MYSQL_ROW row = mysql_fetch_row(result);
    if (row != NULL && row[0] != NULL) {
        (void)snprintf(out, cap, "%s", row[0]);
    }
    mysql_free_result(result);
    return ERR_OK;
}

static void text_rows(MYSQL_RES *result, mdb_text_fn *fn, void *ctx)
{
    struct slice cells[TEXT_COLUMNS_MAX];
    unsigned n = mysql_num_fields(result);
    MYSQL_ROW row;
    bool more = n <= TEXT_COLUMNS_MAX;
    while (more && (row = mysql_fetch_row(result)) != NULL) {
        const unsigned long *lens = mysql_fetch_lengths(result);
        for (unsigned i = 0; i < n; i++) {
            cells[i] = slice_of(row[i], row[i] != NULL ? lens[i] : 0);
        }
        more = fn(ctx, cells, n);
    }
}

enum err mdb_query(struct mdb_conn *c, struct slice sql, mdb_text_fn *fn,
                   void *ctx, struct errmsg *why)
{
    c->fault = FAULT_NONE;
    c->number = 0;
    if (!ask(c, (const char *)sql.data, sql.len)) {
        return mdb_fail_conn(c, why);
    }
    MYSQL_RES *result = mysql_use_result(c->mysql);
    if (result == NULL) {
        return mysql_errno(c->mysql) == 0 ? ERR_OK : mdb_fail_conn(c, why);
    }
    text_rows(result, fn, ctx);
    enum err err = mysql_errno(c->mysql) == 0 ? ERR_OK : mdb_fail_conn(c, why);
    mysql_free_result(result);
    return err;
}

uint64_t mdb_changed(const struct mdb_conn *c)
{
    return mysql_affected_rows(c->mysql);
}

void mdb_put_name(struct slice name, struct buf *sql)
{
    buf_put_u8(sql, '`');
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '`') {
            buf_put_u8(sql, '`');
        }
        buf_put_u8(sql, name.data[i]);
    }
    buf_put_u8(sql, '`');
}

/* ---- statements at work ---- */

static enum err prepared(struct mdb_conn *c, unsigned sql, MYSQL_STMT **out,
                         struct errmsg *why)
{
    const char *text = c->set.at[sql].text;
    c->fault = FAULT_NONE;
    c->number = 0;
    *out = c->statements[sql];
    if (*out != NULL) {
        return ERR_OK;
    }
    MYSQL_STMT *stmt = mysql_stmt_init(c->mysql);
    if (stmt == NULL) {
        return mdb_fail_conn(c, why);
    }
    if (mysql_stmt_prepare(stmt, text, strlen(text)) != 0) {
        enum err err = mdb_fail_stmt(c, stmt, why);
        (void)mysql_stmt_close(stmt);
        return err;
    }
    *out = c->statements[sql] = stmt;
    return ERR_OK;
}

/* One column of many rows, as array binding takes it. */
struct column {
    uint64_t *numbers;
    char **bytes;
    unsigned long *lens;
};

static void column_fill(struct column *col, MYSQL_BIND *bind, char type,
                        const struct mdb_cell *cells, size_t step, size_t n)
{
    if (type == 'n') {
        col->numbers = mem_alloc(n * sizeof *col->numbers);
        for (size_t i = 0; i < n; i++) {
            col->numbers[i] = cells[i * step].n;
        }
        *bind = (MYSQL_BIND){.buffer = col->numbers,
                             .buffer_type = MYSQL_TYPE_LONGLONG,
                             .is_unsigned = 1};
        return;
    }
    col->bytes = mem_alloc(n * sizeof *col->bytes);
    col->lens = mem_alloc(n * sizeof *col->lens);
    for (size_t i = 0; i < n; i++) {
        /* The C API takes no const; nobody writes to it. */
        const union {
            const uint8_t *in;
            char *out;
        } borrowed = {.in = cells[i * step].b.data};
        static char none[1];
        col->lens[i] = cells[i * step].b.len;
        col->bytes[i] = col->lens[i] > 0 ? borrowed.out : none;
    }
    *bind = (MYSQL_BIND){.buffer = (void *)col->bytes,
                         .buffer_type = MYSQL_TYPE_BLOB,
                         .length = col->lens};
}

enum err mdb_write(struct mdb_conn *c, unsigned sql,
                   const struct mdb_cell *cells, size_t n, uint64_t *affected,
                   struct errmsg *why)
{
    MYSQL_STMT *stmt;
    MYSQL_BIND bind[COLUMNS_MAX];
    struct column columns[COLUMNS_MAX];
    const char *types = c->set.at[sql].params;
    size_t width = strlen(types);
    unsigned rows = (unsigned)n;
    enum err err = prepared(c, sql, &stmt, why);
    if (err != ERR_OK) {
        return err;
    }
    memset(columns, 0, sizeof columns);
    for (size_t i = 0; i < width; i++) {
        column_fill(&columns[i], &bind[i], types[i], cells + i, width, n);
    }
    bool ok = mysql_stmt_attr_set(stmt, STMT_ATTR_ARRAY_SIZE, &rows) == 0 &&
              mysql_stmt_bind_param(stmt, bind) == 0 && execute(c, stmt);
    if (!ok) {
        err = mdb_fail_stmt(c, stmt, why);
    } else if (affected != NULL) {
        *affected = mysql_stmt_affected_rows(stmt);
    }
    for (size_t i = 0; i < width; i++) {
        mem_free(columns[i].numbers);
        mem_free(columns[i].bytes);
        mem_free(columns[i].lens);
    }
    return err;
}

/* The row under way. */
struct result {
    const char *types;
    MYSQL_BIND bind[COLUMNS_MAX];
    struct mdb_cell cells[COLUMNS_MAX];
    unsigned long lens[COLUMNS_MAX];
    uint8_t bytes[COLUMNS_MAX][SHORT_MAX];
};

static bool result_bind(struct mdb_conn *c, MYSQL_STMT *stmt, struct result *r)
{
    for (size_t i = 0; r->types[i] != 0; i++) {
        MYSQL_BIND *b = &r->bind[i];
        *b =
            (MYSQL_BIND){.buffer_type = MYSQL_TYPE_BLOB, .length = &r->lens[i]};
        if (r->types[i] == 'n') {
            b->buffer_type = MYSQL_TYPE_LONGLONG;
            b->buffer = &r->cells[i].n;
            b->is_unsigned = 1;
        } else if (r->types[i] == 'b') {
            b->buffer = r->bytes[i];
            b->buffer_length = SHORT_MAX;
        } else {
            buf_clear(&c->blob);
            b->buffer = buf_reserve(&c->blob, BLOB_FIRST);
            b->buffer_length = c->blob.cap;
        }
    }
    return mysql_stmt_bind_result(stmt, r->bind) == 0;
}

/* The rest of a value that had no room; the next rows have it. */
static bool blob_grow(struct mdb_conn *c, MYSQL_STMT *stmt, struct result *r,
                      size_t i)
{
    MYSQL_BIND *b = &r->bind[i];
    b->buffer = buf_reserve(&c->blob, r->lens[i]);
    b->buffer_length = c->blob.cap;
    return mysql_stmt_fetch_column(stmt, b, (unsigned)i, 0) == 0 &&
           mysql_stmt_bind_result(stmt, r->bind) == 0;
}

static enum err result_take(struct mdb_conn *c, MYSQL_STMT *stmt,
                            struct result *r, struct errmsg *why)
{
    for (size_t i = 0; r->types[i] != 0; i++) {
        if (r->types[i] == 'b' && r->lens[i] > SHORT_MAX) {
            return err_set(why, ERR_CORRUPT, "MariaDB %s: a value is too long",
                           c->where);
        }
        if (r->types[i] == 'v' && r->lens[i] > c->blob.cap &&
            !blob_grow(c, stmt, r, i)) {
            return mdb_fail_stmt(c, stmt, why);
        }
        r->cells[i].b = r->types[i] == 'v' ? slice_of(c->blob.data, r->lens[i])
                                           : slice_of(r->bytes[i], r->lens[i]);
    }
    return ERR_OK;
}

static enum err result_rows(struct mdb_conn *c, MYSQL_STMT *stmt,
                            struct result *r, mdb_row_fn *fn, void *ctx,
                            size_t *seen, struct errmsg *why)
{
    int rc = 0;
    enum err err = ERR_OK;
    bool more = true;
    while (more && err == ERR_OK) {
        rc = mysql_stmt_fetch(stmt);
        if (rc == MYSQL_NO_DATA) {
            break;
        }
        /* A value without room is no error here: result_take() gets it. */
        err = rc == 0 || rc == MYSQL_DATA_TRUNCATED
                  ? result_take(c, stmt, r, why)
                  : mdb_fail_stmt(c, stmt, why);
        if (err == ERR_OK) {
            ++*seen;
            more = fn(ctx, r->cells);
        }
    }
    return err;
}

enum err mdb_select(struct mdb_conn *c, unsigned sql,
                    const struct mdb_cell *params, mdb_row_fn *fn, void *ctx,
                    size_t *seen, struct errmsg *why)
{
    MYSQL_STMT *stmt;
    const char *types = c->set.at[sql].params;
    *seen = 0;
    enum err err = prepared(c, sql, &stmt, why);
    if (err != ERR_OK) {
        return err;
    }
    struct result *r = MEM_NEW(struct result);
    MYSQL_BIND *bind = mem_zalloc(PARAMS_MAX, sizeof *bind);
    for (size_t i = 0; types[i] != 0; i++) {
        const union {
            const void *in;
            void *out;
        } at = {.in = types[i] == 'n' ? (const void *)&params[i].n
                                      : params[i].b.data};
        bind[i] =
            (MYSQL_BIND){.buffer = at.out,
                         .buffer_type = types[i] == 'n' ? MYSQL_TYPE_LONGLONG
                                                        : MYSQL_TYPE_BLOB,
                         .buffer_length = params[i].b.len,
                         .is_unsigned = 1};
    }
    r->types = c->set.at[sql].columns;
    bool ok = (types[0] == 0 || mysql_stmt_bind_param(stmt, bind) == 0) &&
              execute(c, stmt) && result_bind(c, stmt, r);
    err = ok ? result_rows(c, stmt, r, fn, ctx, seen, why)
             : mdb_fail_stmt(c, stmt, why);
    (void)mysql_stmt_free_result(stmt);
    mem_free(bind);
    mem_free(r);
    return err;
}
