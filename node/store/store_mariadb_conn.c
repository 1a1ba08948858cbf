#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "store/store_mariadb.h"

enum {
    COLUMNS_MAX = 48,
    TEXT_COLUMNS_MAX = 256,
    PARAMS_MAX = 1 + 3 * MDB_ROWS_KEYS,
    SHORT_MAX = 64, /* bytes of a short column */
    BLOB_FIRST = 64 << 10,
    VERSION_MIN = 100500,
    PACKET_MIN = 4 << 20, /* a block of the largest entries, twice */
    PASSWORD_MAX = 256,
    WHERE_MAX = 160,
    GRACE_S = 5, /* for the server to say itself that a time is over */
};

/* ---- statements ---- */

#define ROW_COLUMNS                                                            \
    "subject,record_key,origin,log,number,version,item,status,disclosure,"     \
    "moved,decided,valid_until,publish_until,digest"
#define LIST_COLUMNS                                                           \
    "log,number,type,list,decided,valid_from,valid_until,target_origin,"       \
    "target_incarnation,target_number"
/* MDB_ROWS_KEYS of them. */
#define KEYS_4 "(?,?,?),(?,?,?),(?,?,?),(?,?,?)"
#define KEYS_16 KEYS_4 "," KEYS_4 "," KEYS_4 "," KEYS_4
#define KEYS_64 KEYS_16 "," KEYS_16 "," KEYS_16 "," KEYS_16
#define TYPES_4 "bbnbbnbbnbbn"
#define TYPES_16 TYPES_4 TYPES_4 TYPES_4 TYPES_4

/* The last block that begins at or before a number. */
#define BLOCK_AT                                                               \
    "(SELECT log,first,v FROM cn_block WHERE log=? AND first<=? "              \
    "ORDER BY first DESC LIMIT 1)"
#define BLOCKS_AT_4                                                            \
    BLOCK_AT " UNION ALL " BLOCK_AT " UNION ALL " BLOCK_AT                     \
             " UNION ALL " BLOCK_AT
#define PLACES_4 "nnnnnnnn"

static const struct mdb_statement store_statements[SQL_COUNT] = {
    [SQL_MOVE_SERIAL] = {"UPDATE cn_meta SET v=? WHERE k=? AND v=? AND claim=?",
                         "bnbn", ""},
    [SQL_MOVE_CLAIM] = {"UPDATE cn_meta SET claim=? WHERE k=? AND claim=?",
                        "nnn", ""},
    [SQL_PUT_META] = {"INSERT INTO cn_meta(k,v) VALUES(?,?) "
                      "ON DUPLICATE KEY UPDATE v=VALUES(v)",
                      "nb", ""},
    [SQL_PUT_PART] = {"INSERT INTO cn_part(part,log,v,serial) VALUES(?,?,?,?) "
                      "ON DUPLICATE KEY UPDATE v=VALUES(v),"
                      "serial=VALUES(serial)",
                      "nnbn", ""},
    [SQL_PUT_BLOCK] = {"INSERT INTO cn_block(log,first,v) VALUES(?,?,?) "
                       "ON DUPLICATE KEY UPDATE v=VALUES(v)",
                       "nnb", ""},
    [SQL_PUT_NODE] = {"INSERT INTO cn_node(log,level,idx,hash) "
                      "VALUES(?,?,?,?) "
                      "ON DUPLICATE KEY UPDATE hash=VALUES(hash)",
                      "nnnb", ""},
    [SQL_PUT_ROW] =
        {"INSERT INTO cn_row(generation," ROW_COLUMNS
         ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON DUPLICATE KEY UPDATE "
         "log=VALUES(log),number=VALUES(number),version=VALUES(version),"
         "item=VALUES(item),status=VALUES(status),"
         "disclosure=VALUES(disclosure),moved=VALUES(moved),"
         "decided=VALUES(decided),valid_until=VALUES(valid_until),"
         "publish_until=VALUES(publish_until),digest=VALUES(digest)",
         "nbbnnnnnnnnnnnb", ""},
    [SQL_PUT_LIST] =
        {"INSERT INTO cn_list(generation,subject," LIST_COLUMNS
         ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON DUPLICATE KEY UPDATE "
         "type=VALUES(type),list=VALUES(list),decided=VALUES(decided),"
         "valid_from=VALUES(valid_from),valid_until=VALUES(valid_until),"
         "target_origin=VALUES(target_origin),"
         "target_incarnation=VALUES(target_incarnation),"
         "target_number=VALUES(target_number)",
         "nbnnnnnnnnnn", ""},
    [SQL_PUT_ISSUE] = {"INSERT INTO cn_issue(generation,log,number,reason) "
                       "VALUES(?,?,?,?) "
                       "ON DUPLICATE KEY UPDATE reason=VALUES(reason)",
                       "nnnn", ""},
    [SQL_PUT_SALVAGE] = {"INSERT INTO cn_salvage(seq,v) VALUES(?,?) "
                         "ON DUPLICATE KEY UPDATE v=VALUES(v)",
                         "nb", ""},
    [SQL_PUT_SOURCE] = {"INSERT INTO cn_source(name,v) VALUES(?,?) "
                        "ON DUPLICATE KEY UPDATE v=VALUES(v)",
                        "bb", ""},
    [SQL_DEL_ROW] = {"DELETE FROM cn_row WHERE generation=? AND subject=? AND "
                     "record_key=? AND origin=?",
                     "nbbn", ""},
    [SQL_DEL_LIST] = {"DELETE FROM cn_list WHERE generation=? AND subject=? "
                      "AND log=? AND number=?",
                      "nbnn", ""},
    [SQL_DEL_ISSUE] = {"DELETE FROM cn_issue WHERE generation=? AND log=? AND "
                       "number=?",
                       "nnn", ""},
    [SQL_DEL_SALVAGE] = {"DELETE FROM cn_salvage WHERE seq=?", "n", ""},
    [SQL_CUT_BLOCKS] = {"DELETE FROM cn_block WHERE log=? AND first>=?", "nn",
                        ""},
    [SQL_CUT_NODES] = {"DELETE FROM cn_node WHERE log=? AND level=? AND "
                       "idx>=?",
                       "nnn", ""},
    [SQL_DROP_ROWS] = {"DELETE FROM cn_row WHERE generation=? LIMIT 5000", "n",
                       ""},
    [SQL_DROP_LISTS] = {"DELETE FROM cn_list WHERE generation=? LIMIT 5000",
                        "n", ""},
    [SQL_DROP_ISSUES] = {"DELETE FROM cn_issue WHERE generation=? LIMIT 5000",
                         "n", ""},
    /* From the last one that begins at or before the number. */
    [SQL_BLOCKS] = {"SELECT first,v FROM cn_block WHERE log=? AND "
                    "first>=COALESCE((SELECT MAX(first) FROM cn_block WHERE "
                    "log=? AND first<=?),0) ORDER BY first LIMIT ?",
                    "nnnn", "nv"},
    [SQL_BLOCKS_ON] = {"SELECT first,v FROM cn_block WHERE log=? AND first>=? "
                       "ORDER BY first LIMIT ?",
                       "nnn", "nv"},
    [SQL_BLOCKS_AT_1] = {BLOCK_AT, "nn", "nnv"},
    [SQL_BLOCKS_AT_4] = {BLOCKS_AT_4, PLACES_4, "nnv"},
    [SQL_BLOCKS_AT_16] = {BLOCKS_AT_4 " UNION ALL " BLOCKS_AT_4
                                      " UNION ALL " BLOCKS_AT_4
                                      " UNION ALL " BLOCKS_AT_4,
                          PLACES_4 PLACES_4 PLACES_4 PLACES_4, "nnv"},
    [SQL_NODE] = {"SELECT hash FROM cn_node WHERE log=? AND level=? AND idx=?",
                  "nnn", "b"},
    [SQL_ROWS] = {"SELECT " ROW_COLUMNS " FROM cn_row WHERE generation=? AND "
                  "(subject,record_key,origin) IN (" KEYS_64 ")",
                  "n" TYPES_16 TYPES_16 TYPES_16 TYPES_16, "bbnnnnnnnnnnnb"},
    [SQL_ROWS_OF] = {"SELECT " ROW_COLUMNS " FROM cn_row WHERE generation=? "
                     "AND subject=? ORDER BY record_key,origin",
                     "nb", "bbnnnnnnnnnnnb"},
    [SQL_LIST_ROWS] = {"SELECT " LIST_COLUMNS " FROM cn_list WHERE "
                       "generation=? AND subject=? ORDER BY log,number",
                       "nb", "nnnnnnnnnn"},
    [SQL_CHECK_ROWS] = {"SELECT subject,record_key,origin FROM cn_row WHERE "
                        "generation=? AND subject>=? AND (subject>? OR "
                        "record_key>? OR (record_key=? AND origin>?)) ORDER BY "
                        "generation,subject,record_key,origin LIMIT ?",
                        "nbbbbnn", "bbn"},
    [SQL_CHECK_LISTS] = {"SELECT subject,log,number FROM cn_list WHERE "
                         "generation=? AND subject>=? AND (subject>? OR log>? "
                         "OR (log=? AND number>?)) ORDER BY "
                         "generation,subject,log,number LIMIT ?",
                         "nbbnnnn", "bnn"},
    [SQL_PART] = {"SELECT v FROM cn_part WHERE part=? AND log=?", "nn", "v"},
    [SQL_PARTS] = {"SELECT log,v FROM cn_part WHERE part=? ORDER BY log", "n",
                   "nv"},
    [SQL_CHANGES] = {"SELECT part,log FROM cn_part WHERE serial>?", "n", "nn"},
    [SQL_META] = {"SELECT v FROM cn_meta WHERE k=?", "n", "v"},
    [SQL_ISSUES] = {"SELECT log,number,reason FROM cn_issue WHERE "
                    "generation=? AND (log>? OR (log=? AND number>=?)) "
                    "ORDER BY log,number LIMIT ?",
                    "nnnnn", "nnn"},
    [SQL_SALVAGE] = {"SELECT seq,v FROM cn_salvage WHERE seq>=? ORDER BY seq "
                     "LIMIT ?",
                     "nn", "nv"},
    [SQL_SOURCE] = {"SELECT v FROM cn_source WHERE name=?", "b", "v"},
    [SQL_SOURCES] = {"SELECT name,v FROM cn_source WHERE name>? ORDER BY name "
                     "LIMIT ?",
                     "bn", "bv"},
    [SQL_DISK_BYTES] = {"SELECT CAST(COALESCE(SUM(data_length+index_length),0)"
                        " AS UNSIGNED) FROM information_schema.tables WHERE "
                        "table_schema=DATABASE() AND table_name LIKE 'cn\\_%'",
                        "", "n"},
};

const struct mdb_sql_set mdb_store_sql = {store_statements, SQL_COUNT};

size_t mdb_params(enum mdb_sql sql)
{
    return strlen(store_statements[sql].params);
}

/* ---- errors ---- */

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

struct mdb_conn {
    MYSQL *mysql;
    struct mdb_sql_set set;
    MYSQL_STMT **statements; /* set.n, prepared where first used */
    struct mdb_server server;
    enum mdb_fault fault;
    unsigned number;
    char where[WHERE_MAX];
    const char *section;
    const char *rights;
    struct mdb_line *line; /* may be NULL */
    struct buf blob;       /* its room is bound to the last column */
};

const struct mdb_server *mdb_server(const struct mdb_conn *conn)
{
    return &conn->server;
}

enum mdb_fault mdb_fault(const struct mdb_conn *conn)
{
    return conn->fault;
}

unsigned mdb_errno(const struct mdb_conn *conn)
{
    return conn->number;
}

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

static enum err fail(struct mdb_conn *c, unsigned number, const char *text,
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

static enum err fail_conn(struct mdb_conn *c, struct errmsg *why)
{
    return fail(c, mysql_errno(c->mysql), mysql_error(c->mysql), why);
}

/* What ends a result in the middle is said of the connection only. */
static enum err fail_stmt(struct mdb_conn *c, MYSQL_STMT *stmt,
                          struct errmsg *why)
{
    unsigned number = mysql_stmt_errno(stmt);
    return number != 0 ? fail(c, number, mysql_stmt_error(stmt), why)
                       : fail_conn(c, why);
}

/* ---- connecting ---- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
    (void)mysql_server_init(0, NULL, NULL);
}

static unsigned seconds(uint32_t ms)
{
    return (ms + 999) / 1000;
}

static enum err read_password(const struct store_mariadb_conf *conf,
                              struct buf *out, struct errmsg *why)
{
    if (conf->password_file[0] == 0) {
        return ERR_OK;
    }
    enum err err = file_read(conf->password_file, PASSWORD_MAX, out, why);
    while (
        err == ERR_OK && out->len > 0 &&
        (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r')) {
        out->len--;
    }
    return err;
}

unsigned mdb_servers(const struct store_mariadb_conf *conf)
{
    unsigned n = 1;
    for (const char *p = conf->address; conf->socket[0] == 0 && *p != 0; p++) {
        n += *p == ',' ? 1 : 0;
    }
    return n;
}

/* The one at `place` of "host:port, host:port"; "" if it is too long. */
static void address_at(const char *addresses, unsigned place,
                       char out[WHERE_MAX])
{
    const char *p = addresses;
    for (; place > 0 && strchr(p, ',') != NULL; place--) {
        p = strchr(p, ',') + 1;
    }
    p += strspn(p, " ");
    size_t len = strcspn(p, ", ");
    (void)snprintf(out, WHERE_MAX, "%.*s", len < WHERE_MAX ? (int)len : 0, p);
}

void mdb_address(const struct store_mariadb_conf *conf, unsigned place,
                 char out[MDB_ADDRESS_MAX])
{
    char address[WHERE_MAX] = "";
    if (conf->socket[0] == 0) {
        address_at(conf->address, place, address);
    }
    (void)snprintf(out, MDB_ADDRESS_MAX, "%.*s", MDB_ADDRESS_MAX - 1, address);
}

/* "host:port", "[address]:port". */
static bool split_address(const char *address, char host[WHERE_MAX],
                          unsigned *port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address ||
        (size_t)(colon - address) >= WHERE_MAX) {
        return false;
    }
    size_t skip = address[0] == '[' ? 1 : 0;
    (void)snprintf(host, WHERE_MAX, "%.*s",
                   (int)((size_t)(colon - address) - 2 * skip), address + skip);
    *port = (unsigned)strtoul(colon + 1, NULL, 10);
    return true;
}

static bool is_this_machine(const char *host)
{
    return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static void set_tls(MYSQL *mysql, const struct store_mariadb_conf *conf)
{
    my_bool yes = 1;
    if (conf->tls_ca[0] == 0) {
        return;
    }
    const char *cert = conf->tls_cert[0] != 0 ? conf->tls_cert : NULL;
    const char *key = conf->tls_key[0] != 0 ? conf->tls_key : NULL;
    (void)mysql_ssl_set(mysql, key, cert, conf->tls_ca, NULL, NULL);
    (void)mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
    (void)mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
    (void)mysql_options(mysql, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
}

static enum err connect_to(struct mdb_conn *c,
                           const struct store_mariadb_conf *conf,
                           struct errmsg *why)
{
    char address[WHERE_MAX];
    char host[WHERE_MAX] = "";
    unsigned port = 0;
    bool local = conf->socket[0] != 0;
    unsigned connect_s = seconds(conf->connect_ms);
    unsigned timeout_s = conf->socket_ms != 0
                             ? seconds(conf->socket_ms)
                             : seconds(conf->timeout_ms) + GRACE_S;
    if (conf->database[0] == 0 || conf->user[0] == 0) {
        return err_set(why, ERR_CONF, "set %s.database and %s.user", c->section,
                       c->section);
    }
    address_at(conf->address, c->server.place, address);
    if (!local && !split_address(address, host, &port)) {
        return err_set(why, ERR_CONF, "set %s.socket or %s.address", c->section,
                       c->section);
    }
    if (!local && conf->tls_ca[0] == 0 && !is_this_machine(host)) {
        return err_set(why, ERR_CONF,
                       "%s.tls_ca is needed for a server on another machine "
                       "(%s)",
                       c->section, host);
    }
    (void)snprintf(c->where, sizeof c->where, "%.80s, database %.64s",
                   local ? conf->socket : address, conf->database);
    struct buf password = BUF_INIT;
    enum err err = read_password(conf, &password, why);
    if (err != ERR_OK) {
        return err;
    }
    (void)mysql_options(c->mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    (void)mysql_options(c->mysql, MYSQL_OPT_READ_TIMEOUT, &timeout_s);
    (void)mysql_options(c->mysql, MYSQL_OPT_WRITE_TIMEOUT, &timeout_s);
    (void)mysql_options(c->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    /* Else a server may ask for any file of this machine, keys included. */
    unsigned no_files = 0;
    (void)mysql_options(c->mysql, MYSQL_OPT_LOCAL_INFILE, &no_files);
    if (!local) {
        set_tls(c->mysql, conf);
        unsigned tcp = MYSQL_PROTOCOL_TCP;
        (void)mysql_options(c->mysql, MYSQL_OPT_PROTOCOL, &tcp);
    }
    bool ok = mysql_real_connect(c->mysql, local ? NULL : host, conf->user,
                                 buf_cstr(&password), conf->database, port,
                                 local ? conf->socket : NULL, 0) != NULL;
    mem_wipe(password.data, password.cap);
    buf_fini(&password);
    if (ok && !local) {
        c->line = mdb_line_new(mysql_get_socket(c->mysql), address);
    }
    return ok ? ERR_OK : fail_conn(c, why);
}

/* The server ends what this side does not end: a statement, a transaction of
 * a node that is gone. */
static enum err set_session(struct mdb_conn *c,
                            const struct store_mariadb_conf *conf,
                            struct errmsg *why)
{
    char sql[512];
    unsigned timeout_s = seconds(conf->timeout_ms);
    (void)snprintf(
        sql, sizeof sql,
        "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
        "tx_isolation='READ-COMMITTED',max_statement_time=%u,"
        "innodb_lock_wait_timeout=%u,idle_transaction_timeout=%u,"
        "wait_timeout=31536000",
        timeout_s, (timeout_s + 1) / 2, timeout_s);
    return mdb_run(c, sql, why);
}

static enum err ask_number(struct mdb_conn *c, const char *sql, uint64_t *out,
                           struct errmsg *why)
{
    char text[32];
    enum err err = mdb_ask(c, sql, text, sizeof text, why);
    *out = strtoull(text, NULL, 10);
    return err;
}

/* What is acknowledged must be on the server's disk. */
static enum err check_durable(struct mdb_conn *c, struct errmsg *why)
{
    uint64_t flush = 0;
    uint64_t binlog = 0;
    enum err err =
        ask_number(c, "SELECT @@innodb_flush_log_at_trx_commit", &flush, why);
    if (err == ERR_OK) {
        err = ask_number(c, "SELECT @@log_bin AND @@sync_binlog<>1", &binlog,
                         why);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (flush != 1 && flush != 3) {
        return err_set(why, ERR_CONF,
                       "MariaDB %s: it may forget what it committed: set "
                       "innodb_flush_log_at_trx_commit = 1 (it is %llu)",
                       c->where, (unsigned long long)flush);
    }
    return binlog == 0 ? ERR_OK
                       : err_set(why, ERR_CONF,
                                 "MariaDB %s: it may forget what it committed: "
                                 "with log_bin set sync_binlog = 1",
                                 c->where);
}

/* Servers without Galera have no such variables. */
static enum err check_cluster(struct mdb_conn *c, struct errmsg *why)
{
    uint64_t in_one = 0;
    uint64_t ready = 0;
    enum err err =
        ask_number(c,
                   "SELECT COUNT(*) FROM information_schema.global_variables "
                   "WHERE variable_name='wsrep_on' AND variable_value='ON'",
                   &in_one, why);
    c->server.cluster = in_one != 0;
    if (err != ERR_OK || in_one == 0) {
        return err;
    }
    err = ask_number(c,
                     "SELECT COUNT(*) FROM information_schema.global_status "
                     "WHERE variable_name='wsrep_ready' AND "
                     "variable_value='ON'",
                     &ready, why);
    return err != ERR_OK || ready != 0
               ? err
               : fail(c, ER_UNKNOWN_COM_ERROR, "wsrep_ready is OFF", why);
}

static enum err check_server(struct mdb_conn *c,
                             const struct store_mariadb_conf *conf,
                             struct errmsg *why)
{
    uint64_t readonly = 0;
    const char *version = mysql_get_server_info(c->mysql);
    if (!mariadb_connection(c->mysql) ||
        mysql_get_server_version(c->mysql) < VERSION_MIN) {
        return err_set(why, ERR_CONF,
                       "MariaDB %s: the server is %.60s: MariaDB 10.5 or later "
                       "is needed",
                       c->where, version);
    }
    struct mdb_server *s = &c->server;
    s->connection = mysql_thread_id(c->mysql);
    bool guest = conf->rights != NULL;
    enum err err = check_cluster(c, why);
    if (err == ERR_OK && !guest) {
        err = check_durable(c, why);
    }
    if (err == ERR_OK) {
        err = ask_number(c, "SELECT @@read_only OR @@innodb_read_only",
                         &readonly, why);
    }
    if (err == ERR_OK) {
        err = ask_number(c, "SELECT @@max_allowed_packet", &s->packet_max, why);
    }
    if (err == ERR_OK && conf->socket[0] != 0) {
        err =
            mdb_ask(c, "SELECT @@datadir", s->datadir, sizeof s->datadir, why);
    }
    s->readonly = readonly != 0;
    return err == ERR_OK && !guest && s->packet_max < PACKET_MIN
               ? err_set(why, ERR_CONF,
                         "MariaDB %s: max_allowed_packet is %llu: set it to "
                         "16M",
                         c->where, (unsigned long long)s->packet_max)
               : err;
}

static enum err open_one(struct mdb_conn **out,
                         const struct store_mariadb_conf *conf, unsigned place,
                         const struct mdb_sql_set *set, unsigned *number,
                         struct errmsg *why)
{
    (void)pthread_once(&library_once, library_init);
    struct mdb_conn *c = MEM_NEW(struct mdb_conn);
    c->server.place = place;
    c->set = *set;
    c->section = conf->section != NULL ? conf->section : "mariadb";
    c->rights = conf->rights != NULL
                    ? conf->rights
                    : "GRANT ALL on the database to this user: the node makes "
                      "its tables itself";
    c->statements = mem_zalloc(set->n, sizeof(*c->statements));
    c->mysql = mysql_init(NULL);
    enum err err = c->mysql != NULL
                       ? connect_to(c, conf, why)
                       : err_set(why, ERR_IO, "MariaDB: no connection object");
    if (err == ERR_OK) {
        err = check_server(c, conf, why);
    }
    if (err == ERR_OK) {
        err = set_session(c, conf, why);
    }
    *number = c->number;
    if (err != ERR_OK) {
        mdb_shut(&c);
    }
    *out = c;
    return err;
}

bool mdb_is_alive(const struct store_mariadb_conf *conf, unsigned place)
{
    static const struct mdb_sql_set none = {NULL, 0};
    struct mdb_conn *c = NULL;
    struct errmsg why;
    unsigned number = 0;
    enum err err = open_one(&c, conf, place, &none, &number, &why);
    mdb_shut(&c);
    /* From CR_MIN_ERROR on they are this side's own: nobody said anything. */
    return err == ERR_OK || number < CR_MIN_ERROR || number > CR_MAX_ERROR;
}

enum err mdb_open_at(struct mdb_conn **out,
                     const struct store_mariadb_conf *conf,
                     const struct mdb_sql_set *set, unsigned *place,
                     struct errmsg *why)
{
    unsigned n = mdb_servers(conf);
    unsigned number = 0;
    struct errmsg last = {{0}};
    enum err err = ERR_UNAVAILABLE;
    /* Those that were silent a moment ago come last. */
    for (unsigned i = 0; err != ERR_OK && i < 2 * n; i++) {
        char address[MDB_ADDRESS_MAX];
        unsigned at = (*place + i) % n;
        mdb_address(conf, at, address);
        if (mdb_is_silent(address) == (i >= n)) {
            err = open_one(out, conf, at, set, &number, &last);
        }
    }
    if (err == ERR_OK) {
        *place = mdb_server(*out)->place;
        return ERR_OK;
    }
    return n == 1 ? err_set(why, err, "%s", last.text)
                  : err_set(why, err, "none of %u servers takes it; one: %s", n,
                            last.text);
}

enum err mdb_open(struct mdb_conn **out, const struct store_mariadb_conf *conf,
                  const struct mdb_sql_set *set, struct errmsg *why)
{
    unsigned place = 0;
    return mdb_open_at(out, conf, set, &place, why);
}

void mdb_shut(struct mdb_conn **conn)
{
    struct mdb_conn *c = *conn;
    *conn = NULL;
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->set.n; i++) {
        if (c->statements[i] != NULL) {
            (void)mysql_stmt_close(c->statements[i]);
        }
    }
    mdb_line_free(c->line);
    mysql_close(c->mysql);
    buf_fini(&c->blob);
    mem_free(c->statements);
    mem_free(c);
}

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
    return ask(c, sql, strlen(sql)) ? ERR_OK : fail_conn(c, why);
}

enum err mdb_ask(struct mdb_conn *c, const char *sql, char *out, size_t cap,
                 struct errmsg *why)
{
    out[0] = 0;
    enum err err = mdb_run(c, sql, why);
    MYSQL_RES *result = err == ERR_OK ? mysql_store_result(c->mysql) : NULL;
    if (result == NULL) {
        return err != ERR_OK || mysql_errno(c->mysql) == 0 ? err
                                                           : fail_conn(c, why);
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
        return fail_conn(c, why);
    }
    MYSQL_RES *result = mysql_use_result(c->mysql);
    if (result == NULL) {
        return mysql_errno(c->mysql) == 0 ? ERR_OK : fail_conn(c, why);
    }
    text_rows(result, fn, ctx);
    enum err err = mysql_errno(c->mysql) == 0 ? ERR_OK : fail_conn(c, why);
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
        return fail_conn(c, why);
    }
    if (mysql_stmt_prepare(stmt, text, strlen(text)) != 0) {
        enum err err = fail_stmt(c, stmt, why);
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
        err = fail_stmt(c, stmt, why);
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
            return fail_stmt(c, stmt, why);
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
                  : fail_stmt(c, stmt, why);
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
             : fail_stmt(c, stmt, why);
    (void)mysql_stmt_free_result(stmt);
    mem_free(bind);
    mem_free(r);
    return err;
}
