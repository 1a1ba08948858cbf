/* mdb.h - connections to a MariaDB server, for the store and for who else
 * brings records from one (ingest/). Connector/C stops here.
 *
 * Threads: a connection belongs to one thread at a time.
 * Waits:   every one ends, at connect_ms or a little after timeout_ms.
 * Errors:  of the server are looked up in one table (store/mariadb/fault.c) by
 *          number; `why` names the server, what it said and what to do. What
 *          is retried follows from mdb_fault(). */
#ifndef STORE_MDB_H
#define STORE_MDB_H

#include "store/store.h"

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

struct mdb_conn;

/* What a server says of itself. */
struct mdb_server {
    uint64_t connection; /* its number of this connection */
    uint64_t packet_max; /* bytes of one statement */
    bool readonly;
    bool cluster;      /* Galera */
    bool synced;       /* each read waits for what the cluster committed */
    unsigned place;    /* in the configuration's list */
    uint64_t id;       /* tells servers apart, also behind one address */
    char datadir[256]; /* "" unless it runs on this machine */
};

/* Refuses what is no MariaDB, too old, or may forget what it committed.
 * ERR_CONF, ERR_UNAVAILABLE. */
MUST_USE enum err mdb_open(struct mdb_conn **out,
                           const struct store_mariadb_conf *conf,
                           const struct mdb_sql_set *set, struct errmsg *why);
/* The same, from the server at *place on: the first that takes it, whose place
 * it says. */
MUST_USE enum err mdb_open_at(struct mdb_conn **out,
                              const struct store_mariadb_conf *conf,
                              const struct mdb_sql_set *set, unsigned *place,
                              struct errmsg *why);
/* The address at `place`; "" if there is none, or a socket is used. */
enum { MDB_ADDRESS_MAX = 256 };
void mdb_address(const struct store_mariadb_conf *conf, unsigned place,
                 char out[MDB_ADDRESS_MAX]);
/* A server that a connection of this process waits for since `for_ms`, and that
 * does not take a new one either, is frozen: ends all connections to it, and
 * tries others first for a while. How many there were; 0: no such server. Any
 * thread; may take as long as a connection. */
unsigned mdb_cut_silent(const struct store_mariadb_conf *conf, uint32_t for_ms,
                        char address[MDB_ADDRESS_MAX]);
/* How many the configuration names; at least 1. */
unsigned mdb_servers(const struct store_mariadb_conf *conf);
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
/* Any query, in the server's text form. Cells are borrowed, those that are NULL
 * have no data; false stops, and what is left is read and dropped. */
typedef bool mdb_text_fn(void *ctx, const struct slice *cells, size_t n);
MUST_USE enum err mdb_query(struct mdb_conn *c, struct slice sql,
                            mdb_text_fn *fn, void *ctx, struct errmsg *why);
/* Rows that the last mdb_query() changed. */
uint64_t mdb_changed(const struct mdb_conn *c);
/* Appends a name of a table or column, quoted. */
void mdb_put_name(struct slice name, struct buf *sql);

#endif
