/* conn.h - one connection, to those who work with it. Private to
 * conn.c, _fault.c and _run.c. */
#ifndef STORE_MARIADB_CONN_H
#define STORE_MARIADB_CONN_H

#include <mysql.h>

#include "store/mariadb/mariadb.h"

enum { MDB_WHERE_MAX = 160 };

struct mdb_conn {
    MYSQL *mysql;
    struct mdb_sql_set set;
    MYSQL_STMT **statements; /* set.n, prepared where first used */
    struct mdb_server server;
    enum mdb_fault fault;
    unsigned number;
    char where[MDB_WHERE_MAX];
    const char *section;
    const char *rights;
    struct mdb_line *line; /* may be NULL */
    struct buf blob;       /* its room is bound to the last column */
};

/* Sets the connection's fault and number, and `why` to what the server said and
 * what to do about it. The error that this is to the store. */
enum err mdb_fail(struct mdb_conn *c, unsigned number, const char *text,
                  struct errmsg *why);
/* The same of what the last call of the library met. */
enum err mdb_fail_conn(struct mdb_conn *c, struct errmsg *why);
/* And of a statement: what ends a result in the middle is said of the
 * connection only. */
enum err mdb_fail_stmt(struct mdb_conn *c, MYSQL_STMT *stmt,
                       struct errmsg *why);

#endif
