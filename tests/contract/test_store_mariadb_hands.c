/* What other hands do to the database below a node at work: put it back, take
 * it, make its tables long. */
#include "contract/village_fixture.h"
#include "store/store_impl.h"

enum { LONG = 3000, FEW = 400 };

static int start(void **state)
{
    (void)state;
    node_init(&village, &store_mariadb, VILLAGE, "village");
    return 0;
}

static uint64_t number_of(const char *sql)
{
    return mariadb_number(&fed_server, sql);
}

static struct store_stats stats_now(void)
{
    struct store_stats stats;
    store_stats(village.store, &stats);
    return stats;
}

static void wait_says(const char *text)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (strstr(stats_now().why, text) == NULL) {
        if (clock_mono_ms() > until_ms) {
            fail_msg("\"%s\" instead of \"%s\"", stats_now().why, text);
        }
        clock_sleep(10);
    }
}

static void wait_writable(void)
{
    WAIT_FOR(stats_now().writable);
}

/* ---- put back ---- */

static bool on_counted(void *ctx, const struct store_row *row)
{
    size_t *n = ctx;
    (void)row;
    ++*n;
    return true;
}

static enum err read_subject(struct store *s, size_t *n)
{
    struct subject_key key;
    *n = 0;
    subject_key_org(&key, SUBJECT_USCC, slice_str(SUBJECT));
    return store_subject(s, &key, on_counted, n);
}

static void change_places(const char *with, const char *away)
{
    static const char *const tables[] = {"cn_meta", "cn_part", "cn_block",
                                         "cn_node", "cn_index"};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        const char *t = tables[i];
        mariadb_sql(&fed_server,
                    "RENAME TABLE village.%s TO %s.%s, %s.%s TO village.%s", t,
                    away, t, with, t, t);
    }
}

/* Two records are in the backup, of five. */
static void begin_put_back(void)
{
    assert_ok(submit_one(1));
    assert_ok(submit_one(2));
    copy_tables("village", "older", false);
    for (uint32_t i = 3; i <= 5; i++) {
        assert_ok(submit_one(i));
    }
    mariadb_sql(&fed_server, "CREATE DATABASE newer");
    change_places("older", "newer");
}

/* The newer tables are there again. */
static void goes_on(void)
{
    size_t n;
    wait_writable();
    assert_ok(submit_one(6));
    assert_ok(read_subject(village.store, &n));
    assert_int_equal(n, 6);
    mariadb_sql(&fed_server, "DROP DATABASE older");
    mariadb_sql(&fed_server, "DROP DATABASE newer");
}

static void end_put_back(void)
{
    change_places("newer", "older");
    goes_on();
}

/* The next commit finds it, and then nothing is answered from it. */
static void a_database_put_back_below_a_node_is_noticed(void **state)
{
    (void)state;
    size_t n;
    begin_put_back();
    assert_int_equal(submit_one(6), ERR_NO_SPACE);
    wait_says("lacks the last 3 commits");
    for (int i = 0; i < 5; i++) { /* nor does it come and go */
        assert_int_equal(read_subject(village.store, &n), ERR_UNAVAILABLE);
        assert_int_equal(submit_one(6), ERR_NO_SPACE);
        assert_false(stats_now().writable);
        clock_sleep(500);
    }
    end_put_back();
}

/* Files that are put back take a start of the server: of a node that only
 * answers, the first read finds it. */
static void a_server_that_lacks_commits_answers_nothing(void **state)
{
    (void)state;
    size_t n;
    begin_put_back();
    mariadb_end(&fed_server, SIGKILL);
    mariadb_start(&fed_server);
    assert_int_equal(read_subject(village.store, &n), ERR_UNAVAILABLE);
    assert_int_equal(n, 0);
    wait_says("lacks the last 3 commits");
    assert_int_equal(submit_one(6), ERR_NO_SPACE);
    end_put_back();
}

/* It may be another one's replica: nothing is changed there, nor is a commit
 * whose outcome is not known called absent because it is not there. */
static void a_server_that_lacks_commits_is_not_taken(void **state)
{
    (void)state;
    const char *claim = "SELECT claim FROM village.cn_meta WHERE k=2";
    static _Atomic uint64_t known = 1000;
    const struct store_conf conf = {.mariadb = node_mariadb(&village),
                                    .path = village.path,
                                    .reopened = true,
                                    .known = &known};
    struct errmsg why = {""};
    void *db = NULL;
    assert_ok(submit_one(1));
    node_stop(&village);
    uint64_t before = number_of(claim);
    assert_int_equal(store_mariadb.open(&db, &conf, false, &why),
                     ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "lacks the last"));
    assert_true(number_of(claim) == before);
    node_start(&village);
}

/* What a start would change of a database, wrong as it may be. */
static uint64_t claimed(void)
{
    return number_of("SELECT CONV(LEFT(MD5(CONCAT_WS('.',(SELECT claim FROM "
                     "village.cn_meta WHERE k=2),(SELECT GROUP_CONCAT(HEX("
                     "folder),connection,instance) FROM village.cn_owner))),15)"
                     ",16,10)");
}

/* At a start, with and without damage to mend: compared before it is taken. */
static void a_start_takes_no_database_that_lacks_commits(void **state)
{
    (void)state;
    struct errmsg why = {""};
    assert_ok(submit_one(1));
    node_stop(&village);
    mariadb_sql(&fed_server, "UPDATE village.cn_meta SET "
                             "v=UNHEX('0000000000000001') WHERE k=2");
    uint64_t before = claimed();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(node_try_open(&village, &why), ERR_CONF);
        assert_non_null(strstr(why.text, "lacks the last"));
        assert_true(claimed() == before);
        shell("echo test >%s/DAMAGED", village.path);
    }
    shell("rm %s/SERIAL", village.path);
    node_start(&village);
    assert_true(claimed() != before);
}

/* The database's name was given to the wrong node, and its owner has been
 * deleted as for a new folder. */
static void a_start_takes_no_other_nodes_database(void **state)
{
    (void)state;
    struct errmsg why = {""};
    struct node other = village;
    other.code = TOWNSHIP;
    other.store = NULL;
    (void)snprintf(other.path, sizeof other.path, "%s/else/village", fed_dir);
    assert_ok(submit_one(1));
    node_stop(&village);
    mariadb_sql(&fed_server, "DELETE FROM village.cn_owner");
    uint64_t before = claimed();
    assert_int_equal(node_try_open(&other, &why), ERR_CONF);
    assert_non_null(strstr(why.text, "belongs to node"));
    assert_true(claimed() == before);
    node_start(&village);
    assert_ok(submit_one(2));
    shell("rm -rf else");
}

/* ---- taken ---- */

/* As who was frozen finds it. */
static void who_lost_the_database_drops_no_index(void **state)
{
    (void)state;
    struct errmsg why = {""};
    for (uint32_t i = 1; i <= 3; i++) {
        assert_ok(submit_one(i));
    }
    /* The other one's new index is in the other generation. */
    mariadb_sql(&fed_server,
                "INSERT INTO village.cn_index SELECT CONCAT(CHAR(2),"
                "SUBSTR(k,2)),v FROM village.cn_index");
    mariadb_sql(&fed_server, "UPDATE village.cn_meta SET claim=7 WHERE k=2");
    mariadb_sql(&fed_server, "UPDATE village.cn_owner SET instance=7");
    assert_int_not_equal(store_reindex(village.store, NULL, NULL, &why),
                         ERR_OK);
    assert_non_null(strstr(why.text, "another process"));
    assert_int_equal(
        number_of("SELECT COUNT(*) FROM village.cn_index WHERE ASCII(k)=2"), 3);
    /* The next commits find who it was. */
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (strstr(stats_now().why, "has taken the database") == NULL) {
        assert_true(clock_mono_ms() < until_ms);
        assert_int_not_equal(submit_one(4), ERR_OK);
        clock_sleep(10);
    }
    /* Its own next start drops what is not in use, in several transactions. */
    mariadb_sql(&fed_server,
                "INSERT INTO village.cn_index SELECT CONCAT(CHAR(2),CHAR("
                "LENGTH(seq)),seq,REPEAT('r',16),REPEAT('o',8)),REPEAT('v',33) "
                "FROM village.seq_1_to_12000");
    node_restart(&village);
    assert_ok(store_reindex(village.store, NULL, NULL, &why));
    size_t n;
    assert_ok(read_subject(village.store, &n));
    assert_int_equal(n, 3);
    assert_int_equal(number_of("SELECT COUNT(*) FROM village.cn_index"), 3);
    assert_ok(submit_one(4));
}

/* Two that mend one after the other are two, also to the server. */
static void mending_is_an_opening_of_its_own(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 20; i++) {
        assert_ok(submit_one(i));
    }
    store_damaged(village.store, "says a test");
    node_stop(&village);
    mariadb_sql(&fed_server, "SET GLOBAL log_output='TABLE'");
    mariadb_sql(&fed_server, "SET GLOBAL general_log=1");
    node_start(&village);
    mariadb_sql(&fed_server, "SET GLOBAL general_log=0");
    const char *taken = "SELECT COUNT(*) FROM mysql.general_log WHERE argument "
                        "LIKE 'REPLACE INTO cn_owner%'";
    assert_int_equal(number_of(taken), 2);
    assert_int_equal(number_of("SELECT COUNT(*) FROM mysql.general_log WHERE "
                               "argument LIKE 'REPLACE INTO cn_owner%,0)'"),
                     0);
}

/* ---- long tables ---- */

struct counted {
    size_t n;
    size_t most;
    uint64_t last;
    uint8_t name[SOURCE_LEN];
    bool orderly;
};

static bool count_on(struct counted *c, uint64_t at)
{
    c->orderly = c->orderly && (c->n == 0 || at > c->last);
    c->last = at;
    return ++c->n < c->most;
}

static bool on_issue(void *ctx, uint32_t log, uint64_t number, uint8_t reason)
{
    (void)reason;
    return count_on(ctx, (uint64_t)log << 32 | number);
}

static bool on_salvaged(void *ctx, uint64_t seq, struct slice entry)
{
    (void)entry;
    return count_on(ctx, seq);
}

static bool on_source(void *ctx, const uint8_t name[SOURCE_LEN],
                      struct slice value)
{
    struct counted *c = ctx;
    (void)value;
    c->orderly =
        c->orderly && (c->n == 0 || memcmp(name, c->name, SOURCE_LEN) > 0);
    memcpy(c->name, name, SOURCE_LEN);
    return ++c->n < c->most;
}

static enum err read_issues(void *db, struct counted *c, struct errmsg *why)
{
    return store_mariadb.issues(db, 1, 0, 0, on_issue, c, why);
}

static enum err read_salvage(void *db, struct counted *c, struct errmsg *why)
{
    return store_mariadb.salvage(db, 0, on_salvaged, c, why);
}

static enum err read_sources(void *db, struct counted *c, struct errmsg *why)
{
    return store_mariadb.sources(db, on_source, c, why);
}

static uint64_t rows_sent(void)
{
    return number_of("SELECT VARIABLE_VALUE FROM information_schema."
                     "GLOBAL_STATUS WHERE VARIABLE_NAME='ROWS_SENT'");
}

/* Who wants the first is not sent all, and who wants all gets them: what waits
 * for a key, or for its parent, is read a little at a time. */
static void of_a_long_table_a_little_is_read(void **state)
{
    (void)state;
    static enum err (*const reads[])(void *db, struct counted *c,
                                     struct errmsg *why) = {
        read_issues, read_salvage, read_sources};
    const struct store_conf conf = {.mariadb = node_mariadb(&village),
                                    .path = village.path};
    void *db = NULL;
    struct errmsg why;
    node_stop(&village);
    mariadb_sql(&fed_server, "INSERT INTO village.cn_issue SELECT 1,seq DIV "
                             "1000,seq MOD 1000,1 FROM village.seq_1_to_3000");
    mariadb_sql(&fed_server, "INSERT INTO village.cn_salvage SELECT seq,'x' "
                             "FROM village.seq_1_to_3000");
    mariadb_sql(&fed_server,
                "INSERT INTO village.cn_source SELECT UNHEX(MD5(seq)),'x' FROM "
                "village.seq_1_to_3000");
    assert_ok(store_mariadb.open(&db, &conf, true, &why));
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        uint64_t before = rows_sent();
        struct counted few = {.most = 3, .orderly = true};
        assert_ok(reads[i](db, &few, &why));
        assert_int_equal(few.n, 3);
        assert_true(rows_sent() - before < FEW);
        struct counted all = {.most = SIZE_MAX, .orderly = true};
        assert_ok(reads[i](db, &all, &why));
        assert_int_equal(all.n, LONG);
        assert_true(all.orderly);
    }
    store_mariadb.close(db);
    mariadb_sql(&fed_server, "DELETE FROM village.cn_salvage");
    node_start(&village);
}

/* ---- what a server is set to for others ---- */

static void set_global(const char *const *options, size_t n, bool back)
{
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(options[i], '=');
        int len = back ? (int)(equals - options[i]) : (int)strlen(options[i]);
        mariadb_sql(&fed_server, "SET GLOBAL %.*s%s", len, options[i],
                    back ? "=DEFAULT" : "");
    }
}

/* A node that read only the first of its heads would open another log. */
static void what_a_server_is_set_to_for_others_changes_nothing(void **state)
{
    (void)state;
    static const char *const options[] = {
        "sql_select_limit=1",
        "autocommit=0",
        "completion_type='RELEASE'",
        "sql_mode='ORACLE,PAD_CHAR_TO_FULL_LENGTH'",
        "sql_safe_updates=1",
        "sql_big_selects=0",
        "max_join_size=1",
    };
    struct node town;
    struct row_list list;
    node_init(&town, &store_rocksdb, TOWNSHIP, "town");
    submit_many(town.store, 1, 40);
    struct log_id log = store_own_log(town.store);
    struct log_id own = store_own_log(village.store);
    copy_log(town.store, village.store, &log);
    assert_ok(submit_one(1));
    set_global(options, ARRAY_LEN(options), false);
    node_restart(&village);
    struct log_id now = store_own_log(village.store);
    assert_true(log_id_eq(&now, &own));
    assert_same_log(village.store, town.store, &log);
    for (uint32_t i = 2; i <= 5; i++) {
        assert_ok(submit_one(i));
    }
    rows_of(village.store, SUBJECT, &list);
    assert_int_equal(list.n, 5);
    node_restart(&village);
    assert_int_equal(size_of(village.store, &own), 1 + 5);
    set_global(options, ARRAY_LEN(options), true);
    node_fini(&town);
}

/* ---- several servers behind one address ---- */

static struct mariadb_server twin;
static char shared[112]; /* a socket that leads to one of the two */

static void lead_to(const struct mariadb_server *s)
{
    shell("ln -sfn %s %s", s->socket, shared);
}

/* With all that the first one holds. */
static void make_twin(void)
{
    (void)snprintf(twin.dir, sizeof twin.dir, "%s/twin", fed_dir);
    (void)snprintf(twin.socket, sizeof twin.socket, "%s/socket", twin.dir);
    (void)snprintf(shared, sizeof shared, "%s/shared", fed_dir);
    mariadb_end(&fed_server, SIGTERM);
    shell("mkdir twin && cp -r %s/data twin/data", fed_server.dir);
    mariadb_start(&fed_server);
    mariadb_start(&twin);
}

static void end_readers(void)
{
    char sql[64];
    const char *one = "SELECT p.id FROM information_schema.processlist p, "
                      "village.cn_owner o WHERE p.db='village' AND "
                      "p.id<>o.connection LIMIT 1";
    for (uint64_t id; (id = number_of(one)) != 0; clock_sleep(10)) {
        (void)snprintf(sql, sizeof sql, "KILL %llu", (unsigned long long)id);
        mariadb_sql(&fed_server, "%s", sql);
    }
}

/* A replica, or the next one of those that a proxy takes turns with: it had all
 * when it was asked, and lacks the next commit. */
static void another_server_of_the_address_answers_nothing(void **state)
{
    (void)state;
    size_t n = 0;
    assert_ok(submit_one(1));
    assert_ok(submit_one(2));
    node_stop(&village);
    make_twin();
    lead_to(&fed_server);
    fed_mariadb.socket = shared;
    node_start(&village);
    lead_to(&twin);
    end_readers();
    assert_int_equal(read_subject(village.store, &n), ERR_UNAVAILABLE);
    assert_int_equal(n, 0);
    assert_int_not_equal(submit_one(1), ERR_OK);
    lead_to(&fed_server);
    wait_writable();
    assert_ok(submit_one(3));
    assert_ok(read_subject(village.store, &n));
    assert_int_equal(n, 3);
    node_stop(&village);
    fed_mariadb.socket = NULL;
    mariadb_end(&twin, SIGKILL);
    node_start(&village);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(a_database_put_back_below_a_node_is_noticed),
        T(a_server_that_lacks_commits_answers_nothing),
        T(a_server_that_lacks_commits_is_not_taken),
        T(a_start_takes_no_database_that_lacks_commits),
        T(a_start_takes_no_other_nodes_database),
        T(who_lost_the_database_drops_no_index),
        T(mending_is_an_opening_of_its_own),
        T(of_a_long_table_a_little_is_read),
        T(what_a_server_is_set_to_for_others_changes_nothing),
        T(another_server_of_the_address_answers_nothing),
    };
    (void)setenv("STORE_BACKEND", store_mariadb.name, 1);
    mariadb_or_skip();
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
