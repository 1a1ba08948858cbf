/* fault.c - what a server or the library says went wrong, and
 * what that means for the work at hand. */
#include <errmsg.h>
#include <mysqld_error.h>

#include "base/mem.h"
#include "store/mariadb/conn.h"

/* In an advice @ stands for the section of the configuration; NULL: rights are
 * lacking. */
static const struct {
    unsigned number;
    enum err err;
    enum mdb_fault fault;
    const char *advice;
} faults[] = {
    {CR_CONNECTION_ERROR, ERR_UNAVAILABLE, FAULT_LOST,
     "start the server, or correct @.socket or @.address"},
    {CR_CONN_HOST_ERROR, ERR_UNAVAILABLE, FAULT_LOST,
     "start the server, or correct @.socket or @.address"},
    {CR_UNKNOWN_HOST, ERR_UNAVAILABLE, FAULT_LOST,
     "correct the host in @.address"},
    {CR_SERVER_GONE_ERROR, ERR_UNAVAILABLE, FAULT_LOST,
     "the node connects again by itself"},
    {CR_SERVER_LOST, ERR_UNAVAILABLE, FAULT_LOST,
     "the node connects again by itself"},
    {CR_SERVER_LOST_EXTENDED, ERR_UNAVAILABLE, FAULT_LOST,
     "the node connects again by itself"},
    {CR_ERR_NET_READ, ERR_UNAVAILABLE, FAULT_LOST,
     "the node connects again by itself"},
    {CR_ERR_NET_WRITE, ERR_UNAVAILABLE, FAULT_LOST,
     "the node connects again by itself"},
    {CR_COMMANDS_OUT_OF_SYNC, ERR_UNAVAILABLE, FAULT_LOST,
     "the node connects again by itself"},
    {CR_SSL_CONNECTION_ERROR, ERR_CONF, FAULT_LOST,
     "the server's certificate must come from @.tls_ca and name the host "
     "of @.address"},
    {ER_CON_COUNT_ERROR, ERR_UNAVAILABLE, FAULT_LOST,
     "raise max_connections of the server or lower @.connections"},
    {ER_TOO_MANY_USER_CONNECTIONS, ERR_UNAVAILABLE, FAULT_LOST,
     "raise max_user_connections of this user or lower @.connections"},
    {ER_USER_LIMIT_REACHED, ERR_UNAVAILABLE, FAULT_LOST,
     "raise the limits of this user"},
    {ER_ACCESS_DENIED_ERROR, ERR_CONF, FAULT_LOST,
     "correct @.user or the password in @.password_file; an account that asks "
     "for a certificate needs @.tls_cert and @.tls_key"},
    {ER_HOST_NOT_PRIVILEGED, ERR_CONF, FAULT_LOST,
     "let @.user in from this machine"},
    {ER_DBACCESS_DENIED_ERROR, ERR_CONF, FAULT_LOST, NULL},
    {ER_BAD_DB_ERROR, ERR_CONF, FAULT_LOST,
     "CREATE DATABASE and give this user rights on it, or correct "
     "@.database"},
    {ER_TABLEACCESS_DENIED_ERROR, ERR_CONF, FAULT_OTHER, NULL},
    {ER_COLUMNACCESS_DENIED_ERROR, ERR_CONF, FAULT_OTHER, NULL},
    {ER_SERVER_SHUTDOWN, ERR_UNAVAILABLE, FAULT_LOST,
     "the node connects again by itself"},
    {ER_CONNECTION_KILLED, ERR_UNAVAILABLE, FAULT_LOST,
     "the node connects again by itself"},
    /* What a server of a cluster says that has lost the others; in the middle
     * of a transaction: */
    {ER_ERROR_DURING_COMMIT, ERR_UNAVAILABLE, FAULT_LOST,
     "the node goes to another of @.address and reads back what was done"},
    {ER_UNKNOWN_COM_ERROR, ERR_UNAVAILABLE, FAULT_LOST,
     "it is outside the majority of its cluster; the node goes to another of "
     "@.address"},
    {ER_QUERY_INTERRUPTED, ERR_UNAVAILABLE, FAULT_AGAIN, "tried again"},
    {ER_STATEMENT_TIMEOUT, ERR_TIMEOUT, FAULT_OTHER,
     "look at the load of the server or raise @.timeout"},
    {ER_LOCK_DEADLOCK, ERR_UNAVAILABLE, FAULT_AGAIN, "tried again"},
    {ER_LOCK_WAIT_TIMEOUT, ERR_UNAVAILABLE, FAULT_AGAIN, "tried again"},
    {ER_CHECKREAD, ERR_UNAVAILABLE, FAULT_AGAIN, "tried again"},
    {ER_DISK_FULL, ERR_NO_SPACE, FAULT_FULL, "free some disk of the server"},
    {ER_RECORD_FILE_FULL, ERR_NO_SPACE, FAULT_FULL,
     "free some disk of the server"},
    {ER_OPTION_PREVENTS_STATEMENT, ERR_NO_SPACE, FAULT_READONLY,
     "SET GLOBAL read_only=0, or name the server that takes writes"},
    {ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ERR_NO_SPACE, FAULT_READONLY,
     "name the server that takes writes"},
    {ER_INNODB_READ_ONLY, ERR_NO_SPACE, FAULT_READONLY,
     "start the server without innodb_read_only"},
    {ER_CRASHED_ON_USAGE, ERR_CORRUPT, FAULT_OTHER,
     "restore the database from a backup"},
    {ER_NOT_KEYFILE, ERR_CORRUPT, FAULT_OTHER,
     "restore the database from a backup"},
    {ER_TABLE_CORRUPT, ERR_CORRUPT, FAULT_OTHER,
     "restore the database from a backup"},
};

static void put_advice(const struct mdb_conn *c, const char *advice,
                       struct buf *out)
{
    for (const char *p = advice != NULL ? advice : c->rights; *p != 0; p++) {
        if (*p == '@') {
            buf_put_str(out, c->section);
        } else {
            buf_put_u8(out, (uint8_t)*p);
        }
    }
}

static enum err fail_known(const struct mdb_conn *c, size_t at,
                           const char *text, struct errmsg *why)
{
    struct buf advice = BUF_INIT;
    put_advice(c, faults[at].advice, &advice);
    enum err err = err_set(why, faults[at].err, "MariaDB %s: %s: %s", c->where,
                           text, buf_cstr(&advice));
    buf_fini(&advice);
    return err;
}

enum err mdb_fail(struct mdb_conn *c, unsigned number, const char *text,
                  struct errmsg *why)
{
    c->number = number;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        if (faults[i].number == number) {
            c->fault = faults[i].fault;
            return fail_known(c, i, text, why);
        }
    }
    /* 1000 and above up to 2000 are the server's, which still answers. */
    bool of_server = number >= 1000 && (number < 2000 || number >= 3000);
    c->fault = of_server && number < 5000 ? FAULT_OTHER : FAULT_LOST;
    return err_set(why, ERR_IO, "MariaDB %s: %s (%u)", c->where, text, number);
}

enum err mdb_fail_conn(struct mdb_conn *c, struct errmsg *why)
{
    return mdb_fail(c, mysql_errno(c->mysql), mysql_error(c->mysql), why);
}

enum err mdb_fail_stmt(struct mdb_conn *c, MYSQL_STMT *stmt, struct errmsg *why)
{
    unsigned number = mysql_stmt_errno(stmt);
    return number != 0 ? mdb_fail(c, number, mysql_stmt_error(stmt), why)
                       : mdb_fail_conn(c, why);
}
