/* Exchange tables on a real MariaDB server: what becomes of rows of every kind,
 * and that none is taken twice whatever goes wrong on either side. The tables
 * and rights are those that `creditnode exchange schema` prints. */

#include "contract/store_fixture.h"

#include "ingest/exchange.h"
#include "support/scripted_backend.h"

enum { LOOK_MS = 100, BATCH = 50 };

#define WATER "`exchange`.`water`"

static struct node village;
static struct backend backend;
static struct import_env env;
static struct exchange *exchange;
static struct exchange_table_conf tables[2];
static struct exchange_conf conf;
static struct mariadb_server server;
static char digest_sql[8192]; /* of a row of `water` */

/* ---- the department ---- */

static MYSQL *connect_as(const char *user, unsigned long flags)
{
    MYSQL *m = mysql_init(NULL);
    assert_non_null(m);
    if (mysql_real_connect(m, NULL, user, "", NULL, 0, server.socket, flags) ==
            NULL ||
        mysql_set_character_set(m, "utf8mb4") != 0) {
        fail_msg("%s: %s", user, mysql_error(m));
    }
    return m;
}

/* 0, or the number of the error. */
static unsigned run_as(const char *user, const char *sql)
{
    MYSQL *m = connect_as(user, CLIENT_MULTI_STATEMENTS);
    unsigned err = mysql_query(m, sql) == 0 ? 0 : mysql_errno(m);
    while (err == 0 && mysql_next_result(m) == 0) {
    }
    err = err == 0 ? mysql_errno(m) : err;
    if (err != 0) {
        print_message("%s: %s\n", user, mysql_error(m));
    }
    mysql_close(m);
    return err;
}

static void PRINTF_LIKE(1, 2) department(const char *fmt, ...)
{
    struct buf sql = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vputf(&sql, fmt, ap);
    va_end(ap);
    assert_int_equal(run_as("DEPARTMENT", buf_cstr(&sql)), 0);
    buf_fini(&sql);
}

static uint64_t ask(const char *sql)
{
    return mariadb_number(&server, sql);
}

#define COLUMNS                                                                \
    "XK_XDR_MC,XK_XDR_LB,XK_XDR_SHXYM,XK_FRDB,XK_XDR_ZJLX,XK_XDR_ZJHM,"        \
    "XK_XKWS,XK_WSH,XK_XKLB,XK_NR,XK_JDRQ,XK_YXQZ,XK_YXQZI,XK_XKJG,"           \
    "XK_XKJGDM,XK_ZT,XK_LYDW,XK_LYDWDM"
#define ORG(code) "'样例公司','法人及非法人组织','" code "','赵样',NULL,NULL"
#define PERSON "'王某样','自然人',NULL,NULL,'身份证','999900200002290017'"
#define OFFICE "'样例局','11230500001755309F','1','样例局','11230500001755309F'"
#define GOOD_CODE "91999900MA000100X7"

/* A row of table `water`, `who` as above; it waits if `on`. */
static void put(const char *change, int on, const char *who, unsigned record,
                const char *content)
{
    department("INSERT INTO " WATER "(x_change,x_switch," COLUMNS ") VALUES("
               "'%s',%d,%s,'决定书','样许〔2026〕%u号','普通','%s','2026-3-2',"
               "'2026-3-2','长期'," OFFICE ")",
               change, on, who, record, content);
}

static void put_good(unsigned record, const char *content)
{
    put("I", 1, ORG(GOOD_CODE), record, content);
}

static void wait_for(const char *sql, uint64_t value)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (ask(sql) != value) {
        if (clock_mono_ms() > until_ms) {
            fail_msg("%s is %llu, not %llu", sql, (unsigned long long)ask(sql),
                     (unsigned long long)value);
        }
        (void)usleep(20000);
    }
}

static void wait_until_decided(void)
{
    wait_for("SELECT COUNT(*) FROM " WATER " WHERE x_status=0 AND x_switch=1",
             0);
}

static void assert_rows(const char *where, uint64_t n)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM " WATER " WHERE %s",
                   where);
    if (ask(sql) != n) {
        fail_msg("%s: %llu, not %llu", where, (unsigned long long)ask(sql),
                 (unsigned long long)n);
    }
}

/* ---- the node ---- */

static void start_exchange(void)
{
    static const struct log_ctx log = {.fields = "test=exchange"};
    struct errmsg why;
    conf = (struct exchange_conf){.server = {.socket = server.socket,
                                             .address = "",
                                             .database = "exchange",
                                             .user = "creditnode",
                                             .password_file = "",
                                             .tls_ca = "",
                                             .tls_cert = "",
                                             .tls_key = "",
                                             .connect_ms = 2000,
                                             .timeout_ms = 5000},
                                  .tables = tables,
                                  .tables_n = ARRAY_LEN(tables),
                                  .interval_ms = LOOK_MS,
                                  .batch_rows = BATCH};
    env = (struct import_env){.store = village.store,
                              .keyring = village.keyring,
                              .suite = test_suite(),
                              .self = VILLAGE,
                              .batch_rows = 20};
    assert_ok(exchange_open(&exchange, &env, &conf, &log, &why));
}

static uint64_t entries(void)
{
    struct log_id log = store_own_log(village.store);
    return size_of(village.store, &log);
}

static void stats(size_t i, struct exchange_stats *out)
{
    exchange_stats(exchange, i, out);
}

/* The table is stopped, and says so. */
static void wait_stopped(size_t i, const char *part)
{
    struct exchange_stats st;
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    do {
        (void)usleep(20000);
        stats(i, &st);
    } while (strstr(st.why, part) == NULL && clock_mono_ms() < until_ms);
    if (strstr(st.why, part) == NULL) {
        fail_msg("\"%s\" is not \"%s\"", st.why, part);
    }
}

static void wait_running(size_t i)
{
    struct exchange_stats st;
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    do {
        (void)usleep(20000);
        stats(i, &st);
    } while ((st.why[0] != 0 || st.looked_at_ms == 0) &&
             clock_mono_ms() < until_ms);
    assert_string_equal(st.why, "");
}

static void make_table(const struct exchange_table_conf *t)
{
    struct buf sql = BUF_INIT;
    struct errmsg why;
    assert_ok(exchange_schema(t, "exchange", "", &sql, &why));
    assert_int_equal(run_as("root", buf_cstr(&sql)), 0);
    buf_fini(&sql);
}

/* What stands behind "-- " after "x_digest in SQL", as one expression. */
static void find_digest(void)
{
    struct buf sql = BUF_INIT;
    struct errmsg why;
    assert_ok(exchange_schema(&tables[0], "exchange", "", &sql, &why));
    const char *at = strstr(buf_cstr(&sql), "SHA2(");
    size_t n = 0;
    for (; at != NULL && *at != 0; at++) {
        if (at[0] == '\n' && strncmp(at + 1, "--", 2) == 0) {
            at += 2;
        } else {
            digest_sql[n++] = *at;
        }
    }
    digest_sql[n] = 0;
    buf_fini(&sql);
}

static int begin(void **state)
{
    if (fed_setup(state) != 0) {
        return -1;
    }
    mariadb_init(&server, fed_dir);
    mariadb_sql(&server, "CREATE USER creditnode");
    mariadb_sql(&server, "CREATE USER DEPARTMENT");
    return 0;
}

static int end(void **state)
{
    mariadb_end(&server, SIGKILL);
    return fed_teardown(state);
}

static int setup(void **state)
{
    (void)state;
    tables[0] = (struct exchange_table_conf){"water", "licence", false};
    tables[1] = (struct exchange_table_conf){"fines", "penalty", false};
    backend = scripted(&store_rocksdb);
    node_init(&village, &backend, VILLAGE, "village");
    mariadb_sql(&server, "CREATE DATABASE exchange");
    make_table(&tables[0]);
    make_table(&tables[1]);
    find_digest();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    exchange_close(&exchange);
    node_fini(&village);
    mariadb_sql(&server, "DROP DATABASE exchange");
    return 0;
}

/* ---- rows ---- */

static void every_row_gets_its_outcome(void **state)
{
    (void)state;
    put_good(1, "一");
    put("U", 1, ORG(GOOD_CODE), 1, "二");
    put("i", 1, ORG(GOOD_CODE), 1, "二");
    put("I", 1, ORG("91999900MA000100X8"), 2, "一");
    put("D", 1, ORG(GOOD_CODE), 1, "二");
    put("X", 1, ORG(GOOD_CODE), 3, "一");
    put("I", 0, ORG(GOOD_CODE), 4, "一");
    put("I", 1, PERSON, 5, "一");
    uint64_t before = entries();
    start_exchange();
    wait_until_decided();
    assert_rows("x_id=1 AND x_status=1 AND x_outcome='new' AND x_version=1 AND "
                "x_number>0 AND LENGTH(x_record_key)=32 AND x_log LIKE "
                "'341821100201/records/%' AND x_rule IS NULL",
                1);
    assert_rows("x_id=2 AND x_outcome='changed' AND x_version=2", 1);
    assert_rows("x_id=3 AND x_outcome='unchanged' AND x_version=2", 1);
    assert_rows("x_id=4 AND x_status=2 AND x_rule='uscc-check' AND "
                "x_field='XK_XDR_SHXYM' AND x_text LIKE '%check%' AND "
                "x_text_zh LIKE '%校验%' AND x_record_key IS NULL",
                1);
    assert_rows("x_id=5 AND x_status=2 AND x_rule='deletion'", 1);
    assert_rows("x_id=6 AND x_status=2 AND x_rule='change-flag'", 1);
    assert_rows("x_id=7 AND x_status=0 AND x_marked_at IS NULL", 1);
    assert_rows("x_id=8 AND x_outcome='new'", 1);
    assert_int_equal(entries() - before, 3);
}

static void a_person_in_a_refused_row_is_masked(void **state)
{
    (void)state;
    put("I", 1, "'王某样','自然人',NULL,NULL,'身份证','999900200002290018'", 1,
        "一");
    start_exchange();
    wait_until_decided();
    assert_rows("x_rule='citizen-check' AND x_text NOT LIKE '%2290018%' AND "
                "x_text_zh NOT LIKE '%2290018%'",
                1);
}

static void digests_are_checked(void **state)
{
    (void)state;
    tables[0].digest_needed = true;
    for (unsigned i = 1; i <= 3; i++) {
        put("I", 0, ORG(GOOD_CODE), i, "一");
    }
    department("UPDATE " WATER " SET x_switch=1,x_digest=%s WHERE x_id<3",
               digest_sql);
    department("UPDATE " WATER " SET XK_NR='改' WHERE x_id=2");
    department("UPDATE " WATER " SET x_switch=1 WHERE x_id=3");
    start_exchange();
    wait_until_decided();
    assert_rows("x_id=1 AND x_outcome='new'", 1);
    assert_rows("x_id=2 AND x_rule='digest'", 1);
    assert_rows("x_id=3 AND x_rule='digest-missing'", 1);
}

static void a_row_that_is_changed_back_is_a_version(void **state)
{
    (void)state;
    static const char *const texts[] = {"一", "二", "一"};
    put_good(1, "〇");
    start_exchange();
    wait_until_decided();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        department("UPDATE " WATER " SET XK_NR='%s',x_change='U',x_status=0",
                   texts[i]);
        wait_until_decided();
    }
    assert_rows("x_outcome='changed' AND x_version=4", 1);
}

static void many_rows_go_in_batches_and_in_order(void **state)
{
    (void)state;
    enum { MANY = 3 * BATCH };
    for (unsigned i = 0; i < MANY; i++) {
        char content[16];
        (void)snprintf(content, sizeof content, "第%u", i);
        put_good(i % 2, content);
    }
    uint64_t before = entries();
    start_exchange();
    wait_until_decided();
    assert_int_equal(entries() - before, MANY);
    assert_rows("x_version=(x_id+1) DIV 2", MANY);
}

static void a_view_and_typed_columns_will_do(void **state)
{
    (void)state;
    mariadb_sql(&server, "RENAME TABLE " WATER " TO exchange.own");
    mariadb_sql(&server,
                "ALTER TABLE exchange.own CHANGE XK_NR content TEXT, MODIFY "
                "XK_JDRQ DATE, MODIFY XK_ZT TINYINT, ADD more DECIMAL(9,2)");
    mariadb_sql(&server, "CREATE VIEW " WATER " AS SELECT *,content AS `许可内"
                         "容` FROM exchange.own");
    mariadb_sql(&server, "INSERT INTO exchange.own SET x_switch=1,"
                         "XK_XDR_MC='样例公司',XK_XDR_LB='法人及非法人组织',"
                         "XK_XDR_SHXYM='" GOOD_CODE "',XK_FRDB='赵样',"
                         "XK_XKWS='决定书',XK_WSH='样许1号',XK_XKLB='普通',"
                         "content='一',XK_JDRQ='2026-03-02'");
    mariadb_sql(&server,
                "UPDATE exchange.own SET XK_YXQZ='2026-3-2',XK_YXQZI='长期',"
                "XK_XKJG='样例局',XK_XKJGDM='11230500001755309F',XK_ZT=1,"
                "XK_LYDW='样例局',XK_LYDWDM='11230500001755309F'");
    start_exchange();
    wait_until_decided();
    assert_rows("x_outcome='new'", 1);
    mariadb_sql(&server, "DROP TABLE exchange.own");
}

/* ---- nothing twice ---- */

static void a_lost_mark_is_written_again_from_the_store(void **state)
{
    (void)state;
    struct exchange_stats st;
    put_good(1, "一");
    put_good(1, "二");
    start_exchange();
    wait_until_decided();
    uint64_t after = entries();
    /* As if the exchange database were put back. */
    mariadb_sql(&server, "UPDATE " WATER " SET x_status=0,x_outcome=NULL,"
                         "x_version=NULL,x_record_key=NULL");
    wait_until_decided();
    assert_rows("x_id=1 AND x_outcome='new' AND x_version=1 AND x_number>0", 1);
    assert_rows("x_id=2 AND x_outcome='changed' AND x_version=2 AND "
                "LENGTH(x_record_key)=32",
                1);
    assert_int_equal(entries(), after);
    stats(0, &st);
    assert_int_equal(st.marked_again, 2);
}

static void who_may_not_mark_takes_nothing_twice(void **state)
{
    (void)state;
    mariadb_sql(&server,
                "REVOKE UPDATE(x_status) ON " WATER " FROM creditnode");
    put_good(1, "一");
    start_exchange();
    wait_stopped(0, "creditnode exchange schema");
    uint64_t after = entries();
    exchange_close(&exchange);
    node_restart(&village);
    start_exchange();
    wait_stopped(0, "creditnode exchange schema");
    mariadb_sql(&server, "GRANT UPDATE(x_status) ON " WATER " TO creditnode");
    wait_until_decided();
    wait_running(0);
    assert_rows("x_outcome='new' AND x_version=1", 1);
    assert_int_equal(entries(), after);
}

/* Holds the node between reading and marking, does `sql`, lets it go. */
static void meanwhile(const char *sql)
{
    atomic_store(&script.held, true);
    start_exchange();
    wait_held();
    department("%s", sql);
    atomic_store(&script.held, false);
}

static void a_row_that_changes_while_it_is_taken_is_taken_again(void **state)
{
    (void)state;
    struct exchange_stats st;
    put_good(1, "一");
    put_good(2, "一");
    uint64_t before = entries();
    meanwhile("UPDATE " WATER " SET XK_NR='二' WHERE x_id=1");
    wait_until_decided();
    assert_rows("x_id=1 AND x_outcome='changed' AND x_version=2", 1);
    assert_rows("x_id=2 AND x_outcome='new'", 1);
    assert_int_equal(entries() - before, 3);
    stats(0, &st);
    assert_int_equal(st.moved, 1);
}

static void a_row_that_is_deleted_meanwhile_stays_taken(void **state)
{
    (void)state;
    put_good(1, "一");
    put_good(2, "一");
    uint64_t before = entries();
    meanwhile("DELETE FROM " WATER " WHERE x_id=1");
    wait_until_decided();
    assert_rows("x_outcome='new'", 1);
    assert_int_equal(entries() - before, 2);
}

/* ---- what goes wrong ---- */

static void a_server_that_dies_and_comes_back_loses_nothing(void **state)
{
    (void)state;
    put_good(1, "一");
    start_exchange();
    wait_until_decided();
    uint64_t after = entries();
    mariadb_end(&server, SIGKILL);
    wait_stopped(0, "MariaDB");
    wait_stopped(1, "MariaDB");
    mariadb_start(&server);
    put_good(2, "一");
    wait_until_decided();
    wait_running(0);
    assert_int_equal(entries(), after + 1);
}

static void a_server_that_only_reads_is_named(void **state)
{
    (void)state;
    put_good(1, "一");
    mariadb_sql(&server, "SET GLOBAL read_only=1");
    start_exchange();
    wait_stopped(0, "read_only=0");
    uint64_t after = entries();
    mariadb_sql(&server, "SET GLOBAL read_only=0");
    wait_until_decided();
    assert_rows("x_outcome='new'", 1);
    assert_int_equal(entries(), after);
}

static void a_wrong_table_does_not_keep_the_others(void **state)
{
    (void)state;
    mariadb_sql(&server, "DROP TABLE exchange.fines");
    put_good(1, "一");
    start_exchange();
    wait_until_decided();
    wait_stopped(1, "no table fines");
    make_table(&tables[1]);
    wait_running(1);
    mariadb_sql(&server, "ALTER TABLE exchange.fines DROP x_rule");
    wait_stopped(1, "no column x_rule");
    mariadb_sql(&server, "ALTER TABLE exchange.fines ADD x_rule VARCHAR(64),"
                         "DROP CF_WSH");
    wait_stopped(1, "CF_WSH");
    wait_running(0);
}

static void a_table_of_another_kind_is_refused(void **state)
{
    (void)state;
    tables[1] = (struct exchange_table_conf){"water", "penalty", false};
    tables[0] = (struct exchange_table_conf){"fines", "penalty", false};
    start_exchange();
    wait_stopped(1, "its columns are those of licence");
    wait_running(0);
}

static void a_row_that_cannot_be_marked_does_not_keep_the_others(void **state)
{
    (void)state;
    struct exchange_stats st;
    mariadb_sql(&server, "CREATE TRIGGER exchange.no BEFORE UPDATE ON " WATER
                         " FOR EACH ROW IF NEW.x_id=2 THEN SIGNAL SQLSTATE "
                         "'45000' SET MESSAGE_TEXT='no'; END IF");
    for (unsigned i = 1; i <= 4; i++) {
        put_good(i, "一");
    }
    start_exchange();
    wait_for("SELECT COUNT(*) FROM " WATER " WHERE x_status=1", 3);
    uint64_t after = entries();
    wait_running(0);
    stats(0, &st);
    assert_int_equal(st.stuck, 1);
    put_good(5, "一");
    wait_for("SELECT COUNT(*) FROM " WATER " WHERE x_status=1", 4);
    mariadb_sql(&server, "DROP TRIGGER exchange.no");
    wait_until_decided();
    assert_int_equal(entries(), after + 1);
}

static void a_full_store_leaves_rows_waiting(void **state)
{
    (void)state;
    put_good(1, "一");
    atomic_store(&script.next_commit, COMMIT_REFUSED);
    start_exchange();
    wait_until_decided();
    assert_rows("x_outcome='new' AND x_version=1", 1);
}

/* What an administrator sets for others: the character set of who connects is
 * not asked, sessions commit by themselves only if told, few rows are sent. The
 * second character of the name is one that utf8mb3 lacks. */
static void what_the_server_is_set_to_changes_nothing(void **state)
{
    (void)state;
    static const char name[] = "样\xf0\xa0\xae\xb7公司";
    struct log_id log = store_own_log(village.store);
    struct buf bytes = BUF_INIT;
    mariadb_end(&server, SIGTERM);
    mariadb_start_with(&server, "--skip-networking "
                                "--skip-character-set-client-handshake "
                                "--character-set-server=utf8mb3");
    for (unsigned i = 1; i <= 3; i++) {
        put_good(i, "一");
    }
    department("UPDATE " WATER " SET XK_XDR_MC='%s'", name);
    mariadb_sql(&server, "SET GLOBAL sql_select_limit=1, autocommit=0, "
                         "completion_type='CHAIN', sql_mode='ORACLE,"
                         "EMPTY_STRING_IS_NULL,PAD_CHAR_TO_FULL_LENGTH'");
    start_exchange();
    wait_until_decided();
    mariadb_sql(&server, "SET GLOBAL sql_select_limit=DEFAULT, autocommit=1, "
                         "completion_type=DEFAULT, sql_mode=DEFAULT");
    assert_rows("x_outcome='new' AND x_version=1", 3);
    assert_ok(store_entry(village.store, &log, 2, &bytes));
    assert_non_null(memmem(bytes.data, bytes.len, name, sizeof name - 1));
    buf_fini(&bytes);
    exchange_close(&exchange);
    mariadb_end(&server, SIGTERM);
    mariadb_start(&server);
}

static void rights_are_the_least(void **state)
{
    (void)state;
    put_good(1, "一");
    assert_int_not_equal(
        run_as("DEPARTMENT", "UPDATE " WATER " SET x_outcome='new'"), 0);
    assert_int_not_equal(run_as("creditnode", "UPDATE " WATER " SET XK_NR=''"),
                         0);
    assert_int_not_equal(run_as("creditnode", "DELETE FROM " WATER), 0);
    assert_int_not_equal(
        run_as("creditnode", "INSERT INTO " WATER "(XK_NR) VALUES('')"), 0);
    assert_int_not_equal(
        run_as("DEPARTMENT", "SELECT 1 FROM exchange.fines, mysql.user"), 0);
}

#define EXCHANGE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(every_row_gets_its_outcome),
        EXCHANGE_TEST(a_person_in_a_refused_row_is_masked),
        EXCHANGE_TEST(digests_are_checked),
        EXCHANGE_TEST(a_row_that_is_changed_back_is_a_version),
        EXCHANGE_TEST(many_rows_go_in_batches_and_in_order),
        EXCHANGE_TEST(a_view_and_typed_columns_will_do),
        EXCHANGE_TEST(a_lost_mark_is_written_again_from_the_store),
        EXCHANGE_TEST(who_may_not_mark_takes_nothing_twice),
        EXCHANGE_TEST(a_row_that_changes_while_it_is_taken_is_taken_again),
        EXCHANGE_TEST(a_row_that_is_deleted_meanwhile_stays_taken),
        EXCHANGE_TEST(a_server_that_dies_and_comes_back_loses_nothing),
        EXCHANGE_TEST(a_server_that_only_reads_is_named),
        EXCHANGE_TEST(a_wrong_table_does_not_keep_the_others),
        EXCHANGE_TEST(a_table_of_another_kind_is_refused),
        EXCHANGE_TEST(a_row_that_cannot_be_marked_does_not_keep_the_others),
        EXCHANGE_TEST(a_full_store_leaves_rows_waiting),
        EXCHANGE_TEST(what_the_server_is_set_to_changes_nothing),
        EXCHANGE_TEST(rights_are_the_least),
    };
    mariadb_or_skip();
    return cmocka_run_group_tests(tests, begin, end);
}
