/* mariadb.h - private to store: the store's use of a MariaDB server.
 *
 *   conn.c    connecting (mdb.h, as the next two)
 *   run.c     queries and statements on a connection
 *   fault.c   what errors mean
 *   sql.c     the store's statements
 *   silent.c  servers that do not answer
 *   pool.c    the connections that read
 *   schema.c  tables and their versions, who may write
 *   check.c   reading what no log's walk reads
 *   pages.c   reading tables that may be very long
 *   batch.c   what a commit is to write
 *   writer.c  the connection that writes: one commit, one
 *                           transaction
 *   read.c    the backend's reads
 *   mariadb.c         the backend
 *
 * Threads: the pool is for all; connections as mdb.h says. */
#ifndef STORE_MARIADB_MARIADB_H
#define STORE_MARIADB_MARIADB_H

#include "store/mdb.h"
#include "store/store_backend.h"

/* The store's own. */
extern const struct mdb_sql_set mdb_store_sql;
enum mdb_sql {
    SQL_MOVE_SERIAL,
    SQL_MOVE_CLAIM,
    SQL_PUT_META,
    SQL_PUT_PART,
    SQL_PUT_BLOCK,
    SQL_PUT_NODE,
    SQL_PUT_ROW,
    SQL_PUT_NEW_ROW,
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
    SQL_BLOCKS_AT_1,
    SQL_BLOCKS_AT_4,
    SQL_BLOCKS_AT_16,
    SQL_NODE,
    SQL_ROWS,
    SQL_ROWS_OF,
    SQL_LIST_ROWS,
    SQL_CHECK_ROWS,
    SQL_CHECK_LISTS,
    SQL_PART,
    SQL_PARTS,
    SQL_CHANGES,
    SQL_META,
    SQL_ISSUES,
    SQL_SALVAGE,
    SQL_SOURCE,
    SQL_SOURCES,
    SQL_DISK_BYTES,
    SQL_COUNT
};
enum { MDB_ROWS_KEYS = 64 }; /* keys of one SQL_ROWS */

/* Parameters of one row of the store's. */
size_t mdb_params(enum mdb_sql sql);
static inline struct mdb_cell mdb_num(uint64_t n)
{
    return (struct mdb_cell){.n = n};
}

static inline struct mdb_cell mdb_bytes(const void *data, size_t len)
{
    return (struct mdb_cell){.b = slice_of(data, len)};
}

/* ---- silent servers ---- */

struct mdb_line;
/* Makes it known to mdb_cut_silent(); NULL: out of descriptors. */
struct mdb_line *mdb_line_new(int fd, const char *address);
/* It waits for an answer from now on, or does not any more. NULL is allowed. */
void mdb_line_waits(struct mdb_line *line, bool waits);
/* NULL is allowed. */
void mdb_line_free(struct mdb_line *line);
/* Does the server take a connection, or refuse it in words? */
bool mdb_is_alive(const struct store_mariadb_conf *conf, unsigned place);
/* Was it cut a moment ago? */
bool mdb_is_silent(const char *address);

/* ---- the pool ---- */

/* The server that is written to. */
struct mdb_target {
    _Atomic unsigned place;
    _Atomic uint64_t id; /* 0: none yet */
};

struct mdb_pool;
/* `writes_to`: the server that is written to; `known` as in store_conf. Both
 * outlive the pool. */
struct mdb_pool *mdb_pool_new(const struct store_mariadb_conf *conf,
                              const struct mdb_target *writes_to,
                              const _Atomic uint64_t *known);
/* Nobody reads any more. */
void mdb_pool_free(struct mdb_pool **pool);
/* Closes the connections that idle: what they are to may be gone. */
void mdb_pool_drop_idle(struct mdb_pool *pool);
/* mdb_select() on a connection of the pool, which is waited for in turn; once
 * more on a new one if an old one turns out, in time, to be gone before it gave
 * a row. ERR_UNAVAILABLE: no connection (whatever the reason), too few of them,
 * rights that are lacking, or no answer in time; `why` says which. */
MUST_USE enum err mdb_read(struct mdb_pool *pool, enum mdb_sql sql,
                           const struct mdb_cell *params, mdb_row_fn *fn,
                           void *ctx, struct errmsg *why);

/* ---- checking ---- */

/* backend.check: some rows of the index. */
MUST_USE enum err mdb_check_index(struct mdb_pool *pool, struct buf *cursor,
                                  struct errmsg *why);

/* ---- tables that may be very long ---- */

/* backend.issues, .salvage and .sources: many statements, not one snapshot. */
MUST_USE enum err mdb_issues_from(struct mdb_pool *pool, uint8_t generation,
                                  uint32_t log, uint64_t number,
                                  backend_issue_fn *fn, void *ctx,
                                  struct errmsg *why);
MUST_USE enum err mdb_salvage_from(struct mdb_pool *pool, uint64_t from,
                                   backend_salvage_fn *fn, void *ctx,
                                   struct errmsg *why);
MUST_USE enum err mdb_sources_all(struct mdb_pool *pool, backend_source_fn *fn,
                                  void *ctx, struct errmsg *why);

/* ---- schema and owner ---- */

/* This data folder's right to write: a lock on the folder, which keeps other
 * processes of this machine away, and its name, which the database keeps. Those
 * who share it, by the lease, keep away those who do not. */
struct mdb_owner {
    int fd; /* -1: none */
    uint8_t folder[16];
    uint64_t instance; /* of the store that has it open */
    bool reopened;     /* by the same store */
    uint64_t claim;    /* number of the last one; 0: none */
};
/* ERR_BUSY: another process has the folder. */
MUST_USE enum err mdb_owner_take(struct mdb_owner *owner, const char *path,
                                 bool shared, struct errmsg *why);
void mdb_owner_drop(struct mdb_owner *owner);
/* Makes `c` the one connection that writes, under a new owner->claim: what an
 * older one has not committed by then comes to nothing. ERR_BUSY if the
 * database belongs to another folder, ERR_CONFLICT if another instance took it
 * since this store had it. Makes or upgrades the tables. Leaves autocommit off.
 */
MUST_USE enum err mdb_claim(struct mdb_conn *c, struct mdb_owner *owner,
                            const struct store_mariadb_conf *conf,
                            struct errmsg *why);
/* `lacks`: it has fewer commits than are known. */
MUST_USE enum err mdb_check_known(struct mdb_conn *c,
                                  const _Atomic uint64_t *known, enum err lacks,
                                  struct errmsg *why);
/* Asks conf->recognise, unless there is nothing yet. */
MUST_USE enum err mdb_check_whose(struct mdb_conn *c,
                                  const struct store_conf *conf,
                                  struct errmsg *why);
/* From now on each read of the connection waits for what other servers of its
 * cluster have committed. */
MUST_USE enum err mdb_sync(struct mdb_conn *conn, struct errmsg *why);
/* ERR_NOT_FOUND: no tables yet, or of an older version; ERR_CONF: of a newer
 * one. */
MUST_USE enum err mdb_check_schema(struct mdb_conn *c, struct errmsg *why);

#endif
