/* store_mariadb.h - private to store: connections to a MariaDB server.
 *
 *   store_mariadb_conn.c    connections, statements, errors, the pool of reads
 *   store_mariadb_schema.c  tables and their versions, who may write
 *   store_mariadb.c         the backend
 *
 * Threads: a connection belongs to one thread at a time; the pool is for all.
 * Waits:   every one ends, at connect_ms or a little after timeout_ms.
 * Errors:  of the server are looked up in one table (store_mariadb_conn.c) by
 *          number; `why` names the server, what it said and what to do. What
 *          is retried follows from mdb_fault(). */
#ifndef STORE_STORE_MARIADB_H
#define STORE_STORE_MARIADB_H

#include "store/store_backend.h"

/* What the last error of a connection means for the work at hand. */
enum mdb_fault {
    FAULT_NONE,
    FAULT_LOST,     /* the connection is gone; uncommitted work with it */
    FAULT_AGAIN,    /* rolled back; the same may work now */
    FAULT_FULL,     /* no room; rolled back */
    FAULT_READONLY, /* the server takes no writes */
    FAULT_OTHER,
};

/* One parameter or column: a number, or bytes. */
struct mdb_cell {
    uint64_t n;
    struct slice b;
};

/* Parameters and columns: n a number, b bytes, of columns b short ones and v
 * any, which comes last. */
struct mdb_statement {
    const char *text;
    const char *params;
    const char *columns;
};
/* What a connection may be asked, by place; outlives it. Prepared where first
 * used, once a connection. */
struct mdb_sql_set {
    const struct mdb_statement *at;
    size_t n;
};

/* The store's own. */
extern const struct mdb_sql_set mdb_store_sql;
enum mdb_sql {
    SQL_MOVE_SERIAL,
    SQL_PUT_META,
    SQL_PUT_PART,
    SQL_PUT_BLOCK,
    SQL_PUT_NODE,
    SQL_PUT_ROW,
    SQL_PUT_LIST,
    SQL_PUT_ISSUE,
    SQL_PUT_SALVAGE,
    SQL_PUT_SOURCE,
    SQL_DEL_ROW,
    SQL_DEL_LIST,
    SQL_DEL_ISSUE,
    SQL_DEL_SALVAGE,
    SQL_CUT_BLOCKS,
    SQL_CUT_NODES,
    SQL_DROP_ROWS,
    SQL_DROP_LISTS,
    SQL_DROP_ISSUES,
    SQL_BLOCKS,
    SQL_BLOCKS_ON,
    SQL_NODE,
    SQL_ROWS,
    SQL_ROWS_OF,
    SQL_LIST_ROWS,
    SQL_PART,
    SQL_PARTS,
    SQL_META,
    SQL_ISSUES,
    SQL_SALVAGE,
    SQL_SOURCE,
    SQL_DISK_BYTES,
    SQL_COUNT
};
enum { MDB_ROWS_KEYS = 64 }; /* keys of one SQL_ROWS */

struct mdb_conn;

/* What a server says of itself. */
struct mdb_server {
    uint64_t connection; /* its number of this connection */
    uint64_t packet_max; /* bytes of one statement */
    bool readonly;
    char datadir[256]; /* "" unless it runs on this machine */
};

/* Refuses what is no MariaDB, too old, or may forget what it committed.
 * ERR_CONF, ERR_UNAVAILABLE. */
MUST_USE enum err mdb_open(struct mdb_conn **out,
                           const struct store_mariadb_conf *conf,
                           const struct mdb_sql_set *set, struct errmsg *why);
/* NULL is allowed; sets it to NULL. Work under way is rolled back. */
void mdb_shut(struct mdb_conn **conn);
const struct mdb_server *mdb_server(const struct mdb_conn *conn);
enum mdb_fault mdb_fault(const struct mdb_conn *conn);
/* The server's number of the last error. */
unsigned mdb_errno(const struct mdb_conn *conn);
/* One line of SQL without a result. */
MUST_USE enum err mdb_run(struct mdb_conn *c, const char *sql,
                          struct errmsg *why);
/* First column of the first row of a query, cut to `cap` - 1 characters; ""
 * if there is none or it is NULL. */
MUST_USE enum err mdb_ask(struct mdb_conn *c, const char *sql, char *out,
                          size_t cap, struct errmsg *why);
/* Runs a statement for each of `n` rows of cells, by array binding. */
MUST_USE enum err mdb_write(struct mdb_conn *c, unsigned sql,
                            const struct mdb_cell *cells, size_t n,
                            uint64_t *affected, struct errmsg *why);
/* Cells are borrowed; false stops. `seen`: rows that `fn` was given. */
typedef bool mdb_row_fn(void *ctx, const struct mdb_cell *columns);
MUST_USE enum err mdb_select(struct mdb_conn *c, unsigned sql,
                             const struct mdb_cell *params, mdb_row_fn *fn,
                             void *ctx, size_t *seen, struct errmsg *why);
/* Parameters of one row of the store's. */
size_t mdb_params(enum mdb_sql sql);

/* ---- the pool ---- */

struct mdb_pool;
struct mdb_pool *mdb_pool_new(const struct store_mariadb_conf *conf);
/* Nobody reads any more. */
void mdb_pool_free(struct mdb_pool **pool);
/* mdb_select() on a connection of the pool; once more on a new one if an old
 * one turns out to be gone before it gave a row. */
MUST_USE enum err mdb_read(struct mdb_pool *pool, enum mdb_sql sql,
                           const struct mdb_cell *params, mdb_row_fn *fn,
                           void *ctx, struct errmsg *why);

/* ---- schema and owner ---- */

/* This data folder's right to write: a lock on the folder, which keeps other
 * processes of this machine away, and its name, which the database keeps. */
struct mdb_owner {
    int fd; /* -1: none */
    uint8_t folder[16];
};
/* ERR_BUSY: another process has the folder. */
MUST_USE enum err mdb_owner_take(struct mdb_owner *owner, const char *path,
                                 struct errmsg *why);
void mdb_owner_drop(struct mdb_owner *owner);
/* Makes `c` the one connection that writes: ends an older one of this folder,
 * so that nothing of it can commit later; ERR_BUSY if the database belongs to
 * another folder. Makes or upgrades the tables. */
MUST_USE enum err mdb_claim(struct mdb_conn *c, const struct mdb_owner *owner,
                            const struct store_mariadb_conf *conf,
                            struct errmsg *why);
/* ERR_CONF: no tables yet, or of another version. */
MUST_USE enum err mdb_check_schema(struct mdb_conn *c, struct errmsg *why);

#endif
