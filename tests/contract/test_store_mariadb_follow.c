/* Several processes of one node over one database: one writes, another reads
 * beside it (docs/decisions/0018-several-processes.md). */
#include "contract/store_fixture.h"

#include "base/clock.h"
#include "store/store_impl.h"

#define FIRM "91341821MA2T00001X"

static struct node county;
static struct node village;
static _Atomic int64_t alone_until_ms;

static int64_t alone(void *ctx)
{
    (void)ctx;
    return alone_until_ms;
}

static _Atomic int replaced;
static _Atomic int damaged;

static void on_damaged(void *ctx, const char *what)
{
    (void)ctx;
    (void)what;
    damaged++;
}

static void on_replaced(void *ctx)
{
    (void)ctx;
    replaced++;
}

static void who_writes(void *ctx, char *out, size_t cap)
{
    (void)ctx;
    (void)snprintf(out, cap, "a at 192.0.2.1:7460 writes");
}

/* One more process of the node. */
static enum err open_process(struct store **out, bool beside,
                             struct errmsg *why)
{
    struct store_conf conf = {.mariadb = node_mariadb(&county),
                              .path = county.path,
                              .cache_bytes = 2 << 20,
                              .write_buffer_bytes = 2 << 20,
                              .queue_max = 256,
                              .queue_bytes_max = 32 << 20};
    const struct store_env env = {.suite = test_suite(),
                                  .federation = FEDERATION,
                                  .self = county.code,
                                  .signer = &county.sign,
                                  .keyring = county.keyring,
                                  .alone_until_ms = alone,
                                  .damaged = on_damaged,
                                  .replaced = on_replaced,
                                  .who_writes = who_writes};
    conf.mariadb.shared = true;
    return beside ? store_open_beside(out, &conf, &env, why)
                  : store_open(out, &conf, &env, why);
}

static struct store *process(bool beside)
{
    struct store *s = NULL;
    struct errmsg why = {""};
    enum err err = open_process(&s, beside, &why);
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why.text);
    }
    return s;
}

static int begin(void **state)
{
    (void)setenv("STORE_BACKEND", "mariadb", 1);
    return fed_setup(state);
}

static int start(void **state)
{
    (void)state;
    alone_until_ms = INT64_MAX;
    node_init(&county, &store_mariadb, TOWNSHIP, "county");
    node_stop(&county); /* its processes are opened one by one */
    node_init(&village, &store_mariadb, VILLAGE, "village");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    node_fini(&village);
    node_fini(&county);
    return 0;
}

static enum err submit_one(struct store *s, uint32_t record)
{
    struct draft d = {.record = record, .subject = FIRM, .text = "a"};
    return submit(s, &d, 1, NULL);
}

static void wait_size(struct store *s, const struct log_id *log, uint64_t size)
{
    WAIT_FOR(size_of(s, log) == size);
}

static void what_one_commits_is_seen_beside_it(void **state)
{
    (void)state;
    struct store *a = process(false);
    struct store *b = process(true);
    struct log_id own = store_own_log(a);
    struct row_list rows;
    struct store_stamp before;
    struct subject_key key;
    subject_key_org(&key, SUBJECT_USCC, slice_str(FIRM));
    wait_size(b, &own, 1);
    WAIT_FOR(store_stamp_take(b, &key, &before));
    assert_ok(submit_one(a, 1));
    wait_size(b, &own, 2);
    /* What was read before does not count any more. */
    assert_false(store_stamp_holds(b, &before));
    rows_of(b, FIRM, &rows);
    assert_int_equal(rows.n, 1);
    assert_same_log(a, b, &own);

    /* A log that was not there when it was opened. */
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 10, 40);
    copy_log(village.store, a, &log);
    wait_size(b, &log, size_of(a, &log));
    assert_same_log(a, b, &log);
    store_close(&b);
    store_close(&a);
}

static void beside_nothing_is_taken(void **state)
{
    (void)state;
    struct store *a = process(false);
    struct store *b = process(true);
    struct store_stats stats;
    struct errmsg why = {""};
    assert_int_equal(submit_one(b, 1), ERR_ELSEWHERE);
    store_stats(b, &stats);
    assert_true(stats.beside);
    assert_false(stats.writable);
    assert_non_null(strstr(stats.why, "192.0.2.1:7460 writes"));
    assert_int_equal(store_reindex(b, NULL, NULL, &why), ERR_CANCELLED);
    assert_non_null(strstr(why.text, "stands by"));
    struct log_id own = store_own_log(a);
    assert_int_equal(size_of(a, &own), 1);
    store_close(&b);
    store_close(&a);
}

static void beside_a_database_that_is_new_there_is_nothing_yet(void **state)
{
    (void)state;
    struct store *b = NULL;
    struct errmsg why = {""};
    node_wipe(&county);
    assert_int_equal(open_process(&b, true, &why), ERR_NOT_FOUND);
    assert_null(b);
    store_close(&b);
    b = process(false); /* for who ends it */
    store_close(&b);
}

/* The first was frozen, and lost the lease meanwhile. */
static void who_was_replaced_writes_nothing_and_disturbs_nobody(void **state)
{
    (void)state;
    struct store *a = process(false);
    assert_ok(submit_one(a, 1));
    struct store *b = process(false);
    struct log_id own = store_own_log(b);
    assert_int_equal(size_of(b, &own), 2);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_not_equal(submit_one(a, 100 + i), ERR_OK);
        assert_ok(submit_one(b, 2 + i));
        clock_sleep(300); /* `a` tries to come back once a second */
    }
    assert_int_equal(size_of(b, &own), 7);
    assert_int_equal(size_of(a, &own), 2);
    assert_true(replaced > 0); /* whoever has the lease hears of it */
    store_closing(a);
    store_close(&a);
    store_close(&b);
    /* And nothing of the first is there. */
    b = process(false);
    struct row_list rows;
    rows_of(b, FIRM, &rows);
    assert_int_equal(rows.n, 6);
    store_close(&b);
}

/* Its connection was left alone, as in a cluster: only the number tells. */
static void commits_of_another_are_told(void **state)
{
    (void)state;
    struct store *a = process(false);
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    assert_ok(submit_one(a, 1));
    replaced = 0;
    mariadb_sql(&fed_server, "UPDATE county.cn_meta SET "
                             "v=UNHEX('00000000000003E8') WHERE k=2");
    while (replaced == 0) {
        assert_int_not_equal(submit_one(a, 2), ERR_OK);
        assert_true(clock_mono_ms() < until_ms);
        clock_sleep(5);
    }
    store_closing(a);
    store_close(&a);
    a = process(false); /* as the node does it */
    assert_ok(submit_one(a, 2));
    store_close(&a);
}

static void without_the_lease_nothing_is_answered_again(void **state)
{
    (void)state;
    struct store *a = process(false);
    struct store_stamp stamp;
    struct subject_key key;
    subject_key_org(&key, SUBJECT_USCC, slice_str(FIRM));
    assert_true(store_stamp_take(a, &key, &stamp));
    assert_true(store_stamp_holds(a, &stamp));
    alone_until_ms = clock_mono_ms() - 1;
    assert_false(store_stamp_holds(a, &stamp));
    assert_false(store_stamp_take(a, &key, &stamp));
    assert_ok(submit_one(a, 1)); /* what is written is another matter */
    store_close(&a);
}

static bool on_any(void *ctx, const struct store_row *row)
{
    size_t *n = ctx;
    (void)row;
    ++*n;
    return true;
}

static enum err read_firm(struct store *s, size_t *n)
{
    struct subject_key key;
    *n = 0;
    subject_key_org(&key, SUBJECT_USCC, slice_str(FIRM));
    return store_subject(s, &key, on_any, n);
}

static void wait_rows(struct store *s, size_t want)
{
    size_t n = 0;
    WAIT_FOR(read_firm(s, &n) == ERR_OK && n == want);
}

/* As one of an earlier build has them, which still writes. */
static void beside_tables_of_an_earlier_build_it_waits(void **state)
{
    (void)state;
    struct store *a = process(false);
    struct store *b = NULL;
    struct errmsg why = {""};
    assert_ok(submit_one(a, 1));
    store_close(&a);
    uint64_t newest = mariadb_number(
        &fed_server, "SELECT version FROM county.cn_schema WHERE id=1");
    mariadb_sql(&fed_server,
                "UPDATE county.cn_schema SET version=version-1 WHERE id=1");
    assert_int_equal(open_process(&b, true, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "an earlier build that writes now"));
    assert_null(b);
    assert_int_equal(
        mariadb_number(&fed_server,
                       "SELECT version FROM county.cn_schema WHERE id=1"),
        newest - 1);
    b = process(false); /* it has the lease now */
    assert_int_equal(
        mariadb_number(&fed_server,
                       "SELECT version FROM county.cn_schema WHERE id=1"),
        newest);
    wait_rows(b, 1);
    store_close(&b);
}

/* The one that writes has made the index anew and drops the old one; who stands
 * by has not seen it yet, since the number of commits says nothing here. What
 * is half gone is no answer. */
static void an_index_that_is_dropped_answers_nothing(void **state)
{
    (void)state;
    struct store *a = process(false);
    struct store *b = process(true);
    struct log_id own = store_own_log(a);
    struct errmsg why = {""};
    size_t n;
    assert_ok(submit_one(a, 1));
    wait_size(b, &own, 2); /* rows are seen before the number is */
    wait_rows(b, 1);
    mariadb_sql(&fed_server, "REPLACE INTO county.cn_meta(k,v) VALUES(3,"
                             "CHAR(2))");
    mariadb_sql(&fed_server, "UPDATE county.cn_index SET k=CONCAT(CHAR(2),"
                             "SUBSTR(k,2))");
    assert_int_equal(read_firm(b, &n), ERR_UNAVAILABLE);
    mariadb_sql(&fed_server, "UPDATE county.cn_index SET k=CONCAT(CHAR(1),"
                             "SUBSTR(k,2))");
    mariadb_sql(&fed_server, "DELETE FROM county.cn_meta WHERE k=3");
    wait_rows(b, 1);
    /* The true one, which is followed. */
    assert_ok(store_reindex(a, NULL, NULL, &why));
    wait_rows(b, 1);
    store_close(&b);
    store_close(&a);
}

static bool is_damaged(struct store *s)
{
    struct store_stats stats;
    store_stats(s, &stats);
    return stats.damaged;
}

/* Its own start would mend nothing, and would find the same again: the one that
 * writes finds the mark. */
static void damage_found_beside_is_for_the_writer(void **state)
{
    (void)state;
    struct store *a = process(false);
    struct store *b = process(true);
    damaged = 0;
    store_damage_look(a);
    store_damaged(b, "says a test");
    store_damaged(b, "and again");
    assert_int_equal(damaged, 0);
    assert_true(is_damaged(b));
    store_close(&b);
    b = process(true);
    store_damaged(b, "after a start, too");
    assert_int_equal(damaged, 0);
    store_damage_look(a);
    store_damage_look(a);
    assert_int_equal(damaged, 1);
    store_close(&a);
    a = process(false); /* mends */
    store_damage_look(a);
    assert_int_equal(damaged, 1);
    assert_false(is_damaged(a));
    assert_false(is_damaged(b));
    store_close(&b);
    store_close(&a);
}

/* Put back below all of them: who only reads must not go back either. */
static void beside_a_database_put_back_nothing_is_answered(void **state)
{
    (void)state;
    struct store *a = process(false);
    struct store *b = process(true);
    size_t n;
    assert_ok(submit_one(a, 1));
    wait_rows(b, 1);
    mariadb_sql(&fed_server, "CREATE TABLE county.kept AS SELECT v FROM "
                             "county.cn_meta WHERE k=2");
    mariadb_sql(&fed_server, "UPDATE county.cn_meta SET "
                             "v=UNHEX('0000000000000001') WHERE k=2");
    WAIT_FOR(read_firm(b, &n) == ERR_UNAVAILABLE);
    /* Nor by one that begins to stand by: the folder knows more. */
    struct store *late = NULL;
    struct errmsg why = {""};
    assert_int_equal(open_process(&late, true, &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "lacks the last"));
    mariadb_sql(&fed_server, "UPDATE county.cn_meta SET v=(SELECT v FROM "
                             "county.kept) WHERE k=2");
    wait_rows(b, 1);
    mariadb_sql(&fed_server, "DROP TABLE county.kept");
    store_close(&b);
    store_close(&a);
}

/* A process without a name does not know of the others. */
static void a_process_that_shares_nothing_is_kept_away(void **state)
{
    (void)state;
    struct store *a = process(false);
    struct errmsg why = {""};
    assert_int_equal(node_try_open(&county, &why), ERR_BUSY);
    assert_non_null(strstr(why.text, "node.process"));
    store_close(&a);
    node_start(&county);
    node_stop(&county);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_one_commits_is_seen_beside_it,
                                        start, stop),
        cmocka_unit_test_setup_teardown(beside_nothing_is_taken, start, stop),
        cmocka_unit_test_setup_teardown(
            beside_a_database_that_is_new_there_is_nothing_yet, start, stop),
        cmocka_unit_test_setup_teardown(
            beside_tables_of_an_earlier_build_it_waits, start, stop),
        cmocka_unit_test_setup_teardown(
            who_was_replaced_writes_nothing_and_disturbs_nobody, start, stop),
        cmocka_unit_test_setup_teardown(commits_of_another_are_told, start,
                                        stop),
        cmocka_unit_test_setup_teardown(
            without_the_lease_nothing_is_answered_again, start, stop),
        cmocka_unit_test_setup_teardown(
            an_index_that_is_dropped_answers_nothing, start, stop),
        cmocka_unit_test_setup_teardown(damage_found_beside_is_for_the_writer,
                                        start, stop),
        cmocka_unit_test_setup_teardown(
            beside_a_database_put_back_nothing_is_answered, start, stop),
        cmocka_unit_test_setup_teardown(
            a_process_that_shares_nothing_is_kept_away, start, stop),
    };
    return cmocka_run_group_tests(tests, begin, fed_teardown);
}
