/* conn.c - connecting to a server that may be trusted with what
 * is stored. */
#include <errmsg.h>
#include <mysqld_error.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "store/mariadb/conn.h"

enum {
    VERSION_MIN = 100500,
    PACKET_MIN = 4 << 20, /* a block of the largest entries, twice */
    PASSWORD_MAX = 256,
    GRACE_S = 5, /* for the server to say itself that a time is over */
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
                       char out[MDB_WHERE_MAX])
{
    const char *p = addresses;
    for (; place > 0 && strchr(p, ',') != NULL; place--) {
        p = strchr(p, ',') + 1;
    }
    p += strspn(p, " ");
    size_t len = strcspn(p, ", ");
    (void)snprintf(out, MDB_WHERE_MAX, "%.*s",
                   len < MDB_WHERE_MAX ? (int)len : 0, p);
}

void mdb_address(const struct store_mariadb_conf *conf, unsigned place,
                 char out[MDB_ADDRESS_MAX])
{
    char address[MDB_WHERE_MAX] = "";
    if (conf->socket[0] == 0) {
        address_at(conf->address, place, address);
    }
    (void)snprintf(out, MDB_ADDRESS_MAX, "%.*s", MDB_ADDRESS_MAX - 1, address);
}

/* "host:port", "[address]:port". */
static bool split_address(const char *address, char host[MDB_WHERE_MAX],
                          unsigned *port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address ||
        (size_t)(colon - address) >= MDB_WHERE_MAX) {
        return false;
    }
    size_t skip = address[0] == '[' ? 1 : 0;
    (void)snprintf(host, MDB_WHERE_MAX, "%.*s",
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
    char address[MDB_WHERE_MAX];
    char host[MDB_WHERE_MAX] = "";
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
    return ok ? ERR_OK : mdb_fail_conn(c, why);
}

/* The server ends what this side does not end: a statement, a transaction of
 * a node that is gone. All else is what a server may be set to for others: the
 * character set that was asked for in connecting is not taken by one with
 * skip-character-set-client-handshake, and every character that its own lacks
 * would come as a question mark; rows past its sql_select_limit would not come
 * at all. */
static enum err set_session(struct mdb_conn *c,
                            const struct store_mariadb_conf *conf,
                            struct errmsg *why)
{
    char sql[512];
    unsigned timeout_s = seconds(conf->timeout_ms);
    (void)snprintf(sql, sizeof sql,
                   "SET NAMES utf8mb4,"
                   "sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
                   "tx_isolation='READ-COMMITTED',max_statement_time=%u,"
                   "innodb_lock_wait_timeout=%u,idle_transaction_timeout=%u,"
                   "wait_timeout=31536000,autocommit=1,completion_type=0,"
                   "sql_select_limit=18446744073709551615,sql_big_selects=1,"
                   "sql_safe_updates=0",
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
               : mdb_fail(c, ER_UNKNOWN_COM_ERROR, "wsrep_ready is OFF", why);
}

/* Of the words by which it tells itself from others, FNV-1a. */
static enum err ask_id(struct mdb_conn *c, struct errmsg *why)
{
    char words[512];
    uint64_t h = UINT64_C(14695981039346656037);
    enum err err = mdb_ask(c,
                           "SELECT CONCAT_WS(' ',@@hostname,@@port,@@server_id,"
                           "@@datadir,@@socket)",
                           words, sizeof words, why);
    for (const char *p = words; *p != 0; p++) {
        h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
    }
    c->server.id = h != 0 ? h : 1;
    return err;
}

static enum err check_version(struct mdb_conn *c, struct errmsg *why)
{
    return mariadb_connection(c->mysql) &&
                   mysql_get_server_version(c->mysql) >= VERSION_MIN
               ? ERR_OK
               : err_set(why, ERR_CONF,
                         "MariaDB %s: the server is %.60s: MariaDB 10.5 or "
                         "later is needed",
                         c->where, mysql_get_server_info(c->mysql));
}

static enum err check_server(struct mdb_conn *c,
                             const struct store_mariadb_conf *conf,
                             struct errmsg *why)
{
    uint64_t readonly = 0;
    struct mdb_server *s = &c->server;
    s->connection = mysql_thread_id(c->mysql);
    bool guest = conf->rights != NULL;
    enum err err = check_cluster(c, why);
    if (err == ERR_OK) {
        err = ask_id(c, why);
    }
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
        err = check_version(c, why);
    }
    if (err == ERR_OK) {
        err = set_session(c, conf, why);
    }
    if (err == ERR_OK) {
        err = check_server(c, conf, why);
    }
    *number = c->number;
    if (err != ERR_OK) {
        mdb_shut(&c);
    }
    *out = c;
    return err;
}

enum err mdb_sync(struct mdb_conn *conn, struct errmsg *why)
{
    enum err err = mdb_run(conn, "SET SESSION wsrep_sync_wait=1", why);
    conn->server.synced = err == ERR_OK;
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
