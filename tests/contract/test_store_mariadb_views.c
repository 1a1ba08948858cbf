/* The views beside a store on a MariaDB server: equal to the logs whatever
 * stops in between, for an account that sees nothing else. */
#include "base/file.h"
#include "contract/store_fixture.h"
#include "contract/views_fixture.h"

enum { MANY = 1500 };

static struct node village;

static int start(void **state)
{
    (void)state;
    fed_mariadb.socket = fed_server.socket;
    node_init(&village, &store_mariadb, VILLAGE, "village");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    views_stop(&views);
    node_fini(&village);
    return 0;
}

static void views_up(bool on)
{
    views_of(&village, "village", on);
}

/* First number of a query; UINT64_MAX if it is refused. */
static uint64_t ask(const char *user, const char *sql)
{
    const char *text = ask_text(user, "village", sql);
    return text != NULL ? strtoull(text, NULL, 10) : UINT64_MAX;
}

static void wait_for(const char *sql, uint64_t want)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    uint64_t n = 0;
    while ((n = ask("root", sql)) != want && clock_mono_ms() < until_ms) {
        (void)usleep(20000);
    }
    assert_int_equal(n, want);
}

static void follows_what_is_committed(void **state)
{
    (void)state;
    views_up(true);
    submit_many(village.store, 1, 1000);
    submit_many(village.store, 1001, MANY - 1000);
    wait_for("SELECT COUNT(*) FROM v_record", MANY);
    /* Each entry once, also in what is added up. */
    wait_for("SELECT SUM(entries) FROM v_import", MANY);
    wait_for("SELECT SUM(records) FROM v_subject", MANY);
    assert_int_equal(
        ask("root", "SELECT behind FROM v_node WHERE code='341821100201'"), 0);
    /* A change is the same record. */
    struct draft d = {
        .record = 1, .subject = "913418210000000000", .text = "changed"};
    assert_ok(submit(village.store, &d, 1, NULL));
    wait_for("SELECT SUM(changes) FROM v_import", 1);
    assert_int_equal(
        ask("root", "SELECT COUNT(*) FROM v_record WHERE version=2"), 1);
    assert_int_equal(ask("root", "SELECT COUNT(*) FROM v_record"), MANY);
}

/* As the index has it, in whatever order the logs came. */
static void keeps_the_same_of_one_version(void **state)
{
    (void)state;
    static const struct {
        uint64_t incarnation;
        const char *log;
    } turns[] = {{5, "%5"}, {3, "%3"}, {7, "%3"}};
    struct node other = {.code = TOWNSHIP};
    load_identity(&other, "sign", CERT_USE_SIGN, &other.sign);
    views_up(true);
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        struct forge f;
        char sql[128];
        const struct draft d = {.record = 1,
                                .subject = "913418210000000000",
                                .text = "claimed",
                                .version = 2};
        assert_ok(
            forge_open(&f, village.store, &other, turns[i].incarnation, NULL));
        assert_ok(forge_draft(&f, village.store, &d));
        (void)snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM v_import");
        wait_for(sql, i + 1);
        (void)snprintf(sql, sizeof sql,
                       "SELECT COUNT(*) FROM v_record WHERE log LIKE '%s'",
                       turns[i].log);
        assert_int_equal(ask("root", sql), 1);
    }
    assert_int_equal(ask("root", "SELECT COUNT(*) FROM v_record"), 1);
    identity_fini(&other.sign);
}

static void counts_once_when_the_server_is_killed(void **state)
{
    (void)state;
    views_up(true);
    for (uint32_t i = 0; i < 3; i++) {
        submit_many(village.store, 1 + i * 1000, 1000);
        mariadb_end(&fed_server, SIGKILL);
        mariadb_start(&fed_server);
        struct store_stats st;
        WAIT_FOR((store_stats(village.store, &st), st.writable));
    }
    wait_for("SELECT COUNT(*) FROM v_record", 3000);
    wait_for("SELECT SUM(entries) FROM v_import", 3000);
}

static void is_made_anew(void **state)
{
    (void)state;
    views_up(true);
    submit_many(village.store, 1, 500);
    wait_for("SELECT COUNT(*) FROM v_record", 500);
    mariadb_sql(&fed_server, "UPDATE village.cn_v_record SET version=99,"
                             "status=1");
    views_rebuild(views);
    wait_for("SELECT COUNT(*) FROM v_record WHERE version=1 AND "
             "status='valid'",
             500);
    wait_for("SELECT SUM(entries) FROM v_import", 500);
}

/* Tables of an earlier build go, with what they showed. */
static void is_made_anew_by_a_build_with_other_tables(void **state)
{
    (void)state;
    views_up(true);
    submit_many(village.store, 1, 100);
    wait_for("SELECT COUNT(*) FROM v_record", 100);
    views_stop(&views);
    mariadb_sql(&fed_server, "UPDATE village.cn_schema SET version=1 WHERE "
                             "id=2");
    mariadb_sql(&fed_server, "ALTER TABLE village.cn_v_list DROP COLUMN "
                             "removed_on");
    mariadb_sql(&fed_server, "CREATE TABLE village.cn_v_removal(n INT)");
    mariadb_sql(&fed_server, "UPDATE village.cn_v_record SET version=99,"
                             "status=1");
    views_up(true);
    wait_for("SELECT COUNT(*) FROM v_record WHERE version=1 AND "
             "status='valid'",
             100);
    assert_int_equal(ask("root", "SELECT COUNT(removed_on) FROM v_list_entry"),
                     0);
    assert_true(ask("root", "SELECT COUNT(*) FROM cn_v_removal") == UINT64_MAX);
}

static struct views_stats stats_when(bool well)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    struct views_stats st;
    do {
        (void)usleep(20000);
        views_stats(views, &st);
    } while ((well ? st.why[0] != 0 || st.behind > 0 || st.late_ms > 5000
                   : st.why[0] == 0 || st.late_ms < 1500) &&
             clock_mono_ms() < until_ms);
    return st;
}

/* What they wait for, and how late they are meanwhile. */
static void says_that_it_stands_still(void **state)
{
    (void)state;
    views_up(true);
    submit_many(village.store, 1, 10);
    wait_for("SELECT COUNT(*) FROM v_record", 10);
    assert_string_equal(stats_when(true).why, "");
    views_stop(&views);
    mariadb_sql(&fed_server, "UPDATE village.cn_schema SET version=99 WHERE "
                             "id=2");
    views_up(true);
    struct views_stats st = stats_when(false);
    assert_non_null(strstr(st.why, "of version 99"));
    assert_true(st.late_ms >= 1500);
    mariadb_sql(&fed_server, "UPDATE village.cn_schema SET version=0 WHERE "
                             "id=2");
    st = stats_when(true);
    assert_string_equal(st.why, "");
    assert_true(st.late_ms <= 5000);
    assert_int_equal(ask("root", "SELECT COUNT(*) FROM v_record"), 10);
}

/* What docs/sql.md asks is answered. */
static void answers_the_questions_of_the_page(void **state)
{
    (void)state;
    struct buf page = BUF_INIT;
    struct errmsg why;
    size_t asked = 0;
    assert_ok(file_read(SOURCE_DIR "/docs/sql.md", 1 << 20, &page, &why));
    views_up(true);
    submit_many(village.store, 1, 100);
    wait_for("SELECT COUNT(*) FROM v_record", 100);
    (void)buf_cstr(&page);
    char *at = (char *)page.data;
    for (char *p = at; (p = strstr(p, "```sql\nSELECT")) != NULL; asked++) {
        p += strlen("```sql\n");
        char *end = strstr(p, ";\n```");
        assert_non_null(end);
        *end = 0;
        if (ask("root", p) == UINT64_MAX) {
            fail_msg("refused: %s", p);
        }
        p = end + 1;
    }
    assert_int_equal(asked, 5);
    buf_fini(&page);
}

/* Nobody's identifier, and a name only masked, even where an origin wrote it in
 * clear. */
static void shows_no_person(void **state)
{
    (void)state;
    struct buf body = BUF_INIT;
    struct buf bytes = BUF_INIT;
    const char *name = "张三丰";
    buf_put_u8(&body, FIELD_NAME << 3 | 2);
    buf_put_varint(&body, strlen(name));
    buf_put_str(&body, name);
    struct buf sealed = BUF_INIT;
    uint8_t aad[RECORD_AAD_LEN];
    const uint8_t key[RECORD_KEY_LEN] = {0};
    record_aad(VILLAGE, key, RECORD_SUBJECT_FIELD, aad);
    assert_ok(keyring_seal(village.keyring, slice_of(aad, sizeof aad),
                           slice_str("990/TEST-ONLY"), &sealed));
    const struct entry e = {.type = ENTRY_RECORD,
                            .flags = ENTRY_FLAG_SEALED,
                            .subject_kind = SUBJECT_PERSON,
                            .item = ITEM_PENALTY,
                            .entered_at_ms = 1772000000000,
                            .decided = 20260301,
                            .subject = buf_slice(&sealed),
                            .body = buf_slice(&body)};
    entry_encode(&e, &bytes);
    const struct slice draft = buf_slice(&bytes);
    views_up(true);
    assert_ok(submit_bytes(village.store, &draft, 1, NULL));
    wait_for("SELECT COUNT(*) FROM v_record WHERE subject_kind='person' AND "
             "subject IS NULL AND item='penalty' AND understood=1",
             1);
    assert_int_equal(ask("root", "SELECT COUNT(*) FROM cn_v_record WHERE "
                                 "HEX(name) LIKE '%E4B889%' OR subject<>''"),
                     0);
    assert_int_equal(ask("root", "SELECT COUNT(*) FROM v_subject"), 0);
    buf_fini(&sealed);
    buf_fini(&body);
    buf_fini(&bytes);
}

/* A log that is not what was shown of it, as after a restored database. */
static void takes_back_what_does_not_count(void **state)
{
    (void)state;
    views_up(true);
    submit_many(village.store, 1, 100);
    wait_for("SELECT COUNT(*) FROM v_record", 100);
    views_stop(&views);
    mariadb_sql(&fed_server, "UPDATE village.cn_v_log SET position=position+7");
    mariadb_sql(&fed_server, "UPDATE village.cn_v_record SET version=99,"
                             "status=1");
    views_up(true);
    wait_for("SELECT COUNT(*) FROM v_record WHERE version=1 AND "
             "status='valid'",
             100);
    wait_for("SELECT SUM(entries) FROM v_import", 100);
}

/* The same, and in the middle of it another process is through with that: what
 * is there by now is not this one's to take away. (It has not shown the records
 * again here, so that one sees where this one ended.) */
static void takes_nothing_away_that_another_has_shown(void **state)
{
    (void)state;
    views_up(true);
    submit_many(village.store, 1, 100);
    wait_for("SELECT COUNT(*) FROM v_record", 100);
    wait_for("SELECT SUM(entries) FROM v_import", 100);
    views_stop(&views);
    mariadb_sql(&fed_server, "CREATE TRIGGER village.other BEFORE DELETE ON "
                             "village.cn_v_record FOR EACH ROW UPDATE "
                             "village.cn_v_log SET phase=0,position=position-7 "
                             "WHERE phase>0");
    mariadb_sql(&fed_server, "UPDATE village.cn_v_log SET position=position+7");
    views_up(true);
    wait_for("SELECT COUNT(*) FROM v_record", 0);
    submit_many(village.store, 101, 1);
    wait_for("SELECT SUM(entries) FROM v_import", 101);
    assert_int_equal(ask("root", "SELECT COUNT(*) FROM v_record"), 1);
}

/* A report that has its transaction open for hours. */
static void does_not_wait_for_a_report(void **state)
{
    (void)state;
    views_up(true);
    submit_many(village.store, 1, 10);
    wait_for("SELECT COUNT(*) FROM v_record", 10);
    MYSQL *m = mysql_init(NULL);
    assert_non_null(mysql_real_connect(m, NULL, "root", "", "village", 0,
                                       fed_server.socket, 0));
    assert_int_equal(mysql_query(m, "START TRANSACTION"), 0);
    assert_int_equal(mysql_query(m, "SELECT COUNT(*) FROM v_record"), 0);
    mysql_free_result(mysql_store_result(m));
    views_stop(&views);
    views_up(true);
    submit_many(village.store, 11, 10);
    wait_for("SELECT COUNT(*) FROM cn_v_record", 20);
    mysql_close(m);
}

static void shows_an_account_the_views_alone(void **state)
{
    (void)state;
    views_up(true);
    submit_many(village.store, 1, 10);
    wait_for("SELECT COUNT(*) FROM v_record", 10);
    mariadb_sql(&fed_server, "CREATE OR REPLACE USER report");
    mariadb_sql(&fed_server, "GRANT SELECT ON village.v_record TO report");
    assert_int_equal(ask("report", "SELECT COUNT(*) FROM v_record"), 10);
    assert_true(ask("report", "SELECT COUNT(*) FROM cn_v_record") ==
                UINT64_MAX);
    assert_true(ask("report", "SELECT COUNT(*) FROM cn_block") == UINT64_MAX);
    /* Off: no view that grows old unnoticed. */
    views_stop(&views);
    views_up(false);
    wait_for("SELECT COUNT(*) FROM information_schema.views WHERE "
             "table_schema='village'",
             0);
    views_stop(&views);
    views_up(true);
    wait_for("SELECT COUNT(*) FROM v_record", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(follows_what_is_committed, start, stop),
        cmocka_unit_test_setup_teardown(keeps_the_same_of_one_version, start,
                                        stop),
        cmocka_unit_test_setup_teardown(counts_once_when_the_server_is_killed,
                                        start, stop),
        cmocka_unit_test_setup_teardown(is_made_anew, start, stop),
        cmocka_unit_test_setup_teardown(
            is_made_anew_by_a_build_with_other_tables, start, stop),
        cmocka_unit_test_setup_teardown(says_that_it_stands_still, start, stop),
        cmocka_unit_test_setup_teardown(answers_the_questions_of_the_page,
                                        start, stop),
        cmocka_unit_test_setup_teardown(shows_no_person, start, stop),
        cmocka_unit_test_setup_teardown(takes_back_what_does_not_count, start,
                                        stop),
        cmocka_unit_test_setup_teardown(
            takes_nothing_away_that_another_has_shown, start, stop),
        cmocka_unit_test_setup_teardown(does_not_wait_for_a_report, start,
                                        stop),
        cmocka_unit_test_setup_teardown(shows_an_account_the_views_alone, start,
                                        stop),
    };
    (void)setenv("STORE_BACKEND", "mariadb", 1);
    mariadb_or_skip();
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
