/* What only a server can do to a store: go away, refuse, be cut off in the
 * middle of a commit. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "contract/village_fixture.h"
#include "store/mariadb/mariadb.h"
#include "store/store_impl.h"
#include "support/mariadb_proxy.h"

#define OTHER "91341821MA2T000028"

static char password_file[128];

/* An account like an office's: everything on its database, nothing else. */
static int begin(void **state)
{
    (void)fed_setup(state);
    mariadb_sql(&fed_server, "CREATE USER node IDENTIFIED BY 'not a secret'");
    mariadb_sql(&fed_server, "GRANT ALL ON `village`.* TO node");
    shell("echo 'not a secret' >password && chmod 600 password");
    (void)snprintf(password_file, sizeof password_file, "%s/password", fed_dir);
    fed_mariadb.user = "node";
    fed_mariadb.password_file = password_file;
    char path[112];
    (void)snprintf(path, sizeof path, "%s/proxy", fed_dir);
    proxy_start(path, fed_server.socket);
    return 0;
}

static int end(void **state)
{
    proxy_stop();
    return fed_teardown(state);
}

static int start(void **state)
{
    (void)state;
    fed_mariadb.socket = proxy.path;
    atomic_store(&proxy.mode, PROXY_PASS);
    node_init(&village, &store_mariadb, VILLAGE, "village");
    return 0;
}

static bool is_writable(void)
{
    struct store_stats stats;
    store_stats(village.store, &stats);
    return stats.writable;
}

static void wait_writable(void)
{
    WAIT_FOR(is_writable());
}

static void assert_says(const char *text)
{
    struct store_stats stats;
    store_stats(village.store, &stats);
    if (strstr(stats.why, text) == NULL) {
        fail_msg("\"%s\" instead of \"%s\"", stats.why, text);
    }
}

static uint64_t own_size(void)
{
    struct log_id own = store_own_log(village.store);
    return size_of(village.store, &own);
}

/* `n` records and the entry that opens the log, before and after a start. */
static void assert_records(size_t n)
{
    struct row_list list;
    assert_int_equal(own_size(), n + 1);
    node_restart(&village);
    assert_int_equal(own_size(), n + 1);
    rows_of(village.store, SUBJECT, &list);
    assert_int_equal(list.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(list.at[i].version, 1);
    }
}

/* ---- opening ---- */

/* What is stored of others' logs is not all read again at each opening: a
 * change of sides would take as long as there are logs. */
static void a_log_that_does_not_fit_its_head_does_not_grow(void **state)
{
    (void)state;
    struct node town;
    struct store_stats stats;
    node_init(&town, &store_rocksdb, TOWNSHIP, "town");
    submit_many(town.store, 1, 300);
    struct log_id log = store_own_log(town.store);
    copy_log(town.store, village.store, &log);
    uint64_t size = size_of(village.store, &log);
    submit_many(town.store, 301, 40);
    node_restart(&village);
    assert_ok(append(village.store,
                     segment_of(town.store, &log, size + 1, size + 10), &size));
    node_stop(&village);
    mariadb_sql(&fed_server,
                "UPDATE village.cn_node SET hash=UNHEX(SHA2(hash,256))");
    node_start(&village);
    store_stats(village.store, &stats);
    assert_false(stats.damaged);
    assert_ok(submit_one(1));
    assert_int_equal(append(village.store,
                            segment_of(town.store, &log, size + 1, size + 10),
                            NULL),
                     ERR_CORRUPT);
    assert_int_equal(size_of(village.store, &log), size);
    store_stats(village.store, &stats);
    assert_true(stats.damaged);
    assert_non_null(strstr(stats.damage, "does not fit what is stored"));
    assert_ok(submit_one(2));
    node_fini(&town);
}

/* ---- the server goes ---- */

static void a_restart_of_the_server_is_not_noticed(void **state)
{
    (void)state;
    struct row_list list;
    assert_ok(submit_one(1));
    rows_of(village.store, SUBJECT, &list);
    mariadb_end(&fed_server, SIGKILL);
    mariadb_start(&fed_server);
    rows_of(village.store, SUBJECT, &list);
    assert_int_equal(list.n, 1);
    assert_ok(submit_one(2));
    mariadb_end(&fed_server, SIGTERM);
    mariadb_start(&fed_server);
    assert_ok(submit_one(3));
    assert_records(3);
}

static void without_a_server_the_node_says_so_and_goes_on_later(void **state)
{
    (void)state;
    struct buf note = BUF_INIT;
    struct log_id own = store_own_log(village.store);
    assert_ok(submit_one(1));
    mariadb_end(&fed_server, SIGKILL);
    assert_int_equal(store_note(village.store, &own, &note, NULL),
                     ERR_UNAVAILABLE);
    assert_false(is_writable()); /* though only a read met it */
    assert_says("MariaDB");
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    (void)usleep(1500000); /* it has tried again, and still says so */
    assert_false(is_writable());
    mariadb_start(&fed_server);
    wait_writable();
    assert_ok(store_note(village.store, &own, &note, NULL));
    assert_ok(submit_one(2));
    buf_fini(&note);
    assert_records(2);
}

enum { LOAD_RECORDS = 40, KILLS = 4 };

/* Each record until it is acknowledged: what was written without saying so is
 * found unchanged. */
static void *load(void *arg)
{
    _Atomic int *done = arg;
    for (uint32_t i = 0; i < LOAD_RECORDS; i++) {
        while (submit_one(i) != ERR_OK) {
            (void)usleep(1000);
        }
        (void)atomic_fetch_add(done, 1);
    }
    return NULL;
}

static void a_server_killed_under_load_loses_and_doubles_nothing(void **state)
{
    (void)state;
    pthread_t thread;
    _Atomic int done = 0;
    assert_int_equal(pthread_create(&thread, NULL, load, &done), 0);
    for (int i = 1; i <= KILLS; i++) {
        WAIT_FOR(atomic_load(&done) >= i * LOAD_RECORDS / (KILLS + 1));
        mariadb_end(&fed_server, SIGKILL);
        mariadb_start(&fed_server);
    }
    (void)pthread_join(thread, NULL);
    assert_records(LOAD_RECORDS);
}

/* ---- cut off at a COMMIT ---- */

static void a_cut_before_the_commit_wrote_nothing(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    atomic_store(&proxy.mode, PROXY_CUT_BEFORE);
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    wait_writable();
    assert_records(1);
    assert_ok(submit_one(2));
    assert_records(2);
}

static void a_cut_behind_the_commit_is_found_done(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    atomic_store(&proxy.mode, PROXY_CUT_AFTER);
    assert_ok(submit_one(2));
    assert_records(2);
}

/* What was answered "not written" must never be written afterwards. */
static void a_commit_that_comes_late_comes_to_nothing(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    atomic_store(&proxy.late, 0);
    atomic_store(&proxy.mode, PROXY_LATE);
    enum err err = submit_one(2);
    WAIT_FOR(atomic_load(&proxy.late) > 0);
    assert_int_equal(err, ERR_NO_SPACE);
    wait_writable();
    assert_records(1);
    assert_ok(submit_one(3));
    assert_records(2);
}

/* Gives the database back to the village's folder. */
static void *give_back_later(void *arg)
{
    const char *folder = arg;
    (void)usleep(2 * PROXY_LATE_MS * 1000);
    mariadb_sql(&fed_server, "UPDATE village.cn_owner SET folder=UNHEX('%s')",
                folder);
    return NULL;
}

/* As long as it may still come nobody is told that it did not. */
static void a_commit_on_its_way_is_not_given_up(void **state)
{
    (void)state;
    pthread_t thread;
    char folder[] = "0123456789abcdef0123456789abcdef";
    struct row_list list;
    assert_ok(submit_one(1));
    mariadb_text(&fed_server, "SELECT HEX(folder) FROM village.cn_owner",
                 folder, sizeof folder);
    /* It cannot be opened for writing again, but read. */
    mariadb_sql(&fed_server,
                "UPDATE village.cn_owner SET folder=REPEAT('x',16)");
    assert_int_equal(pthread_create(&thread, NULL, give_back_later, folder), 0);
    atomic_store(&proxy.mode, PROXY_LATE);
    enum err err = submit_one(2);
    (void)pthread_join(thread, NULL);
    rows_of(village.store, SUBJECT, &list);
    assert_ok(err);
    assert_int_equal(list.n, 2);
    assert_records(2);
}

static void a_slow_server_is_waited_for(void **state)
{
    (void)state;
    atomic_store(&proxy.mode, PROXY_SLOW);
    assert_ok(submit_one(1));
    assert_true(is_writable());
    assert_records(1);
}

/* ---- the server refuses ---- */

static void a_read_only_server_is_read_and_written_again_later(void **state)
{
    (void)state;
    struct row_list list;
    assert_ok(submit_one(1));
    mariadb_sql(&fed_server, "SET GLOBAL read_only=1");
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    assert_false(is_writable());
    assert_says("read");
    rows_of(village.store, SUBJECT, &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    mariadb_sql(&fed_server, "SET GLOBAL read_only=0");
    wait_writable();
    assert_ok(submit_one(2));
    assert_records(2);
}

struct held_row {
    MYSQL *admin;
    unsigned for_ms;
};

static void *release_later(void *arg)
{
    struct held_row *h = arg;
    (void)usleep(h->for_ms * 1000);
    mysql_close(h->admin); /* rolls back */
    return NULL;
}

static void a_lock_held_by_others_is_waited_for(void **state)
{
    (void)state;
    pthread_t thread;
    static struct held_row h;
    h = (struct held_row){mariadb_admin(&fed_server), 3000};
    fed_mariadb.timeout_ms = 4000; /* the wait for a lock ends after 2 s */
    node_restart(&village);
    fed_mariadb.timeout_ms = 20000;
    assert_int_equal(mysql_query(h.admin, "BEGIN"), 0);
    assert_int_equal(
        mysql_query(h.admin, "UPDATE village.cn_meta SET v=v WHERE k=2"), 0);
    assert_int_equal(pthread_create(&thread, NULL, release_later, &h), 0);
    enum err err = submit_one(1);
    (void)pthread_join(thread, NULL);
    assert_ok(err);
    assert_records(1);
}

/* The number in the database is the only thing that two writers share. */
static void another_writer_is_noticed_by_the_number(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    mariadb_sql(&fed_server, "UPDATE village.cn_meta SET "
                             "v=UNHEX('00000000000003E8') WHERE k=2");
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    assert_says("another process wrote");
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    assert_int_equal(own_size(), 2);
    assert_int_equal(
        mariadb_number(&fed_server, "SELECT MAX(first) FROM village.cn_block"),
        2);
}

static void a_full_server_refuses_and_resumes(void **state)
{
    (void)state;
    enum { LEN = 60000 };
    char *text = mem_alloc(LEN + 1);
    uint64_t size = 0;
    enum err err = ERR_OK;
    node_stop(&village);
    mariadb_sql(&fed_server, "DROP DATABASE village");
    mariadb_sql(&fed_server, "CREATE DATABASE village");
    shell("rm %s/SERIAL", village.path);
    mariadb_end(&fed_server, SIGTERM);
    mariadb_start_with(
        &fed_server, "--skip-networking --innodb-file-per-table=0 "
                     "--innodb-data-file-path=ibdata1:12M:autoextend:max:14M");
    node_start(&village);
    /* Random, so that it does not pack. */
    for (uint32_t i = 0; err == ERR_OK && i < 400; i++) {
        suite_random(text, LEN);
        for (size_t k = 0; k < LEN; k++) {
            text[k] = (char)('!' + (uint8_t)text[k] % 90);
        }
        text[LEN] = 0;
        struct draft d = {.record = i, .subject = SUBJECT, .text = text};
        size = own_size();
        err = submit(village.store, &d, 1, NULL);
    }
    mem_free(text);
    assert_int_equal(err, ERR_NO_SPACE);
    assert_int_equal(own_size(), size);
    mariadb_end(&fed_server, SIGTERM);
    mariadb_start_with(&fed_server,
                       "--skip-networking --innodb-file-per-table=0 "
                       "--innodb-data-file-path=ibdata1:12M:autoextend");
    wait_writable();
    assert_ok(submit_one(100000));
    assert_int_equal(own_size(), size + 1);
    node_restart(&village);
    assert_int_equal(own_size(), size + 1);
    node_stop(&village);
    mariadb_end(&fed_server, SIGTERM);
    mariadb_start(&fed_server);
    node_start(&village);
}

/* ---- refused at the start ---- */

static void refused(enum err want, const char *text)
{
    struct errmsg why = {""};
    enum err err = node_try_open(&village, &why);
    if (err == ERR_OK || strstr(why.text, text) == NULL) {
        fail_msg("%s: \"%s\" instead of \"%s\"", err_name(err), why.text, text);
    }
    assert_int_equal(err, want);
    assert_null(village.store);
}

static void what_is_wrong_is_said_in_a_sentence(void **state)
{
    (void)state;
    const struct store_mariadb_conf good = fed_mariadb;
    node_stop(&village);
    fed_mariadb.password_file = "";
    refused(ERR_CONF, "mariadb.password_file");
    fed_mariadb = good;
    fed_mariadb.socket = "/nowhere/socket";
    refused(ERR_UNAVAILABLE, "or correct mariadb.socket");
    fed_mariadb.socket = "";
    refused(ERR_CONF, "set mariadb.socket or mariadb.address");
    fed_mariadb.address = "192.0.2.1:3306";
    refused(ERR_CONF, "mariadb.tls_ca is needed");
    fed_mariadb.address = "localhost:1";
    refused(ERR_UNAVAILABLE, "or mariadb.address");
    fed_mariadb = good;
    mariadb_sql(&fed_server, "SET GLOBAL innodb_flush_log_at_trx_commit=2");
    refused(ERR_CONF, "innodb_flush_log_at_trx_commit = 1");
    mariadb_sql(&fed_server, "SET GLOBAL innodb_flush_log_at_trx_commit=1");
    mariadb_sql(&fed_server, "SET GLOBAL max_allowed_packet=1048576");
    refused(ERR_CONF, "max_allowed_packet");
    mariadb_sql(&fed_server, "SET GLOBAL max_allowed_packet=16777216");
    mariadb_sql(&fed_server, "UPDATE village.cn_schema SET version=99");
    refused(ERR_CONF, "version 99");
    mariadb_sql(&fed_server, "UPDATE village.cn_schema SET version=2");
    node_start(&village);
}

static void rights_that_are_missing_are_named(void **state)
{
    (void)state;
    node_stop(&village);
    node_wipe(&village);
    mariadb_sql(&fed_server, "REVOKE ALL ON `village`.* FROM node");
    refused(ERR_CONF, "GRANT ALL");
    mariadb_sql(&fed_server, "GRANT SELECT ON `village`.* TO node");
    refused(ERR_CONF, "GRANT ALL");
    mariadb_sql(&fed_server, "GRANT ALL ON `village`.* TO node");
    node_start(&village);
    assert_ok(submit_one(1));
}

static void an_old_server_is_refused(void **state)
{
    (void)state;
    node_stop(&village);
    mariadb_end(&fed_server, SIGTERM);
    mariadb_start_with(&fed_server, "--skip-networking "
                                    "--version=10.4.30-MariaDB");
    refused(ERR_CONF, "MariaDB 10.5 or later");
    mariadb_end(&fed_server, SIGTERM);
    mariadb_start(&fed_server);
    node_start(&village);
}

static void no_free_connection_is_named(void **state)
{
    (void)state;
    enum { HELD = 10 };
    MYSQL *held[HELD];
    node_stop(&village);
    mariadb_sql(&fed_server, "SET GLOBAL max_connections=%d", HELD);
    for (size_t i = 0; i < HELD; i++) {
        held[i] = mariadb_admin(&fed_server);
        assert_non_null(held[i]);
    }
    refused(ERR_UNAVAILABLE, "max_connections");
    for (size_t i = 0; i < HELD; i++) {
        mysql_close(held[i]);
    }
    mariadb_sql(&fed_server, "SET GLOBAL max_connections=151");
    node_start(&village);
}

static void connections_refused_later_are_tried_again(void **state)
{
    (void)state;
    struct row_list list;
    struct log_id own = store_own_log(village.store);
    struct buf note = BUF_INIT;
    assert_ok(submit_one(1));
    mariadb_end(&fed_server, SIGKILL);
    mariadb_start(&fed_server);
    /* One only: the writer's or a reader's. */
    mariadb_sql(&fed_server, "ALTER USER node WITH MAX_USER_CONNECTIONS 1");
    assert_ok(store_note(village.store, &own, &note, NULL));
    struct waiter *w = waiter_new();
    struct buf draft = BUF_INIT;
    draft_put(&draft,
              &(struct draft){.record = 2, .subject = SUBJECT, .text = "a"});
    struct slice s = buf_slice(&draft);
    assert_ok(store_submit(village.store, &s, 1, on_submitted, w));
    WAIT_FOR(!is_writable());
    mariadb_sql(&fed_server, "ALTER USER node WITH MAX_USER_CONNECTIONS 0");
    assert_int_equal(waiter_wait(w), ERR_NO_SPACE);
    wait_writable();
    assert_ok(submit_one(2));
    rows_of(village.store, SUBJECT, &list);
    assert_int_equal(list.n, 2);
    waiter_free(w);
    buf_fini(&draft);
    buf_fini(&note);
    assert_records(2);
}

/* What keeps a node from starting is, in one that runs, no word about what is
 * stored. */
static void a_server_that_lets_nobody_in_is_away(void **state)
{
    (void)state;
    struct log_id own = store_own_log(village.store);
    struct buf note = BUF_INIT;
    const char *const nobody[][2] = {
        {"mv password aside", "mv aside password"},
        {"cp password aside && echo wrong >password", "mv aside password"},
    };
    assert_ok(submit_one(1));
    for (size_t i = 0; i < ARRAY_LEN(nobody); i++) {
        mariadb_end(&fed_server, SIGKILL);
        shell("%s", nobody[i][0]);
        mariadb_start(&fed_server);
        assert_int_equal(store_note(village.store, &own, &note, NULL),
                         ERR_UNAVAILABLE);
        shell("%s", nobody[i][1]);
        assert_ok(store_note(village.store, &own, &note, NULL));
        wait_writable();
    }
    mariadb_sql(&fed_server, "REVOKE SELECT ON `village`.* FROM node");
    mariadb_sql(&fed_server, "KILL USER node");
    assert_int_equal(store_note(village.store, &own, &note, NULL),
                     ERR_UNAVAILABLE);
    mariadb_sql(&fed_server, "GRANT ALL ON `village`.* TO node");
    mariadb_sql(&fed_server, "KILL USER node"); /* rights are the session's */
    assert_ok(store_note(village.store, &own, &note, NULL));
    wait_writable();
    buf_fini(&note);
    assert_records(1);
}

/* ---- whose database it is ---- */

static void another_folder_is_refused(void **state)
{
    (void)state;
    struct errmsg why;
    struct node other = village;
    assert_ok(submit_one(1));
    /* Of the same name, elsewhere. */
    (void)snprintf(other.path, sizeof other.path, "%s/else/village", fed_dir);
    other.store = NULL;
    assert_int_equal(node_try_open(&other, &why), ERR_BUSY);
    assert_non_null(strstr(why.text, "another process"));
    node_stop(&village);
    assert_int_equal(node_try_open(&other, &why), ERR_BUSY);
    assert_non_null(strstr(why.text, "DELETE FROM cn_owner"));
    mariadb_sql(&fed_server, "DELETE FROM village.cn_owner");
    node_start(&other);
    assert_int_equal(node_try_open(&village, &why), ERR_BUSY);
    node_stop(&other);
    mariadb_sql(&fed_server, "DELETE FROM village.cn_owner");
    node_start(&village);
    shell("rm -rf else");
}

static unsigned free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    (void)close(fd);
    return ntohs(addr.sin_port);
}

static void a_folder_whose_name_cannot_be_read_gets_no_other(void **state)
{
    (void)state;
    struct errmsg why;
    assert_ok(submit_one(1));
    node_stop(&village);
    shell("cd %s && mv FOLDER aside && ln -s loop FOLDER && ln -s FOLDER loop",
          village.path);
    assert_int_equal(node_try_open(&village, &why), ERR_IO);
    shell("cd %s && rm loop && mv aside FOLDER", village.path);
    node_start(&village);
    assert_records(1);
}

/* A copy of the folder at work elsewhere: not even a lock of the server tells,
 * in a cluster. */
static void a_second_process_ends_the_first_ones_writing(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    mariadb_sql(&fed_server, "UPDATE village.cn_meta SET claim=7 WHERE k=2");
    mariadb_sql(&fed_server, "UPDATE village.cn_owner SET instance=7");
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    assert_says("another process wrote");
    /* Nor does it take the database back when it connects again. */
    mariadb_end(&fed_server, SIGKILL);
    mariadb_start(&fed_server);
    struct store_stats stats;
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    do {
        enum err err = submit_one(2);
        assert_true(err == ERR_NO_SPACE || err == ERR_UNAVAILABLE);
        (void)usleep(10000);
        store_stats(village.store, &stats);
    } while (strstr(stats.why, "has taken the database") == NULL &&
             clock_mono_ms() < until_ms);
    assert_says("has taken the database");
    assert_int_equal(own_size(), 2);
    /* Its next start is another matter: its folder's lock is its own. */
    assert_records(1);
    assert_ok(submit_one(2));
}

/* The first version of the tables knew no claims. */
static void tables_of_an_older_build_are_brought_up(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    node_stop(&village);
    mariadb_sql(&fed_server, "ALTER TABLE village.cn_meta DROP COLUMN claim");
    mariadb_sql(&fed_server,
                "ALTER TABLE village.cn_owner DROP COLUMN instance");
    mariadb_sql(&fed_server, "DROP TABLE village.cn_source");
    mariadb_sql(&fed_server, "UPDATE village.cn_schema SET version=1");
    node_start(&village);
    assert_ok(submit_one(2));
    assert_records(2);
}

static uint64_t rows_sum(void)
{
    return mariadb_number(&fed_server, "SELECT SUM(CRC32(CONCAT(k,v))) FROM "
                                       "village.cn_index");
}

/* The fourth version had a column for each field of a row. */
static void make_old_rows(void)
{
    mariadb_sql(
        &fed_server,
        "CREATE TABLE village.cn_row(generation TINYINT UNSIGNED NOT NULL, "
        "subject VARBINARY(64) NOT NULL, record_key BINARY(16) NOT NULL, "
        "origin BIGINT UNSIGNED NOT NULL, log INT UNSIGNED NOT NULL, number "
        "BIGINT UNSIGNED NOT NULL, version INT UNSIGNED NOT NULL, item "
        "SMALLINT UNSIGNED NOT NULL, status TINYINT UNSIGNED NOT NULL, "
        "disclosure TINYINT UNSIGNED NOT NULL, moved TINYINT UNSIGNED NOT "
        "NULL, decided INT UNSIGNED NOT NULL, valid_until INT UNSIGNED NOT "
        "NULL, publish_until INT UNSIGNED NOT NULL, digest VARBINARY(16) NOT "
        "NULL, PRIMARY KEY(generation,subject,record_key,origin))");
    mariadb_sql(
        &fed_server,
        "CREATE FUNCTION village.num(s VARBINARY(96),a INT,n INT) RETURNS "
        "BIGINT UNSIGNED DETERMINISTIC RETURN CONV(HEX(SUBSTR(s,a,n)),16,10)");
    mariadb_sql(
        &fed_server,
        "INSERT INTO village.cn_row SELECT village.num(k,1,1),SUBSTR(k,3,"
        "village.num(k,2,1)),SUBSTR(k,-24,16),village.num(k,-8,8),village.num("
        "v,1,4),village.num(v,5,8),village.num(v,13,4),village.num(v,17,2),"
        "village.num(v,19,1),village.num(v,20,1),village.num(v,21,1),village."
        "num(v,22,4),village.num(v,26,4),village.num(v,30,4),SUBSTR(v,34) FROM "
        "village.cn_index");
    mariadb_sql(&fed_server, "DROP FUNCTION village.num");
}

/* More than one transaction's, all different, some with a digest; and of one
 * move that was interrupted some are there. */
static void rows_of_an_older_build_are_kept(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    mariadb_sql(
        &fed_server,
        "INSERT INTO village.cn_index SELECT CONCAT(CHAR(2),CHAR(1+seq%%64),"
        "LPAD(seq,1+seq%%64,'s'),UNHEX(MD5(seq)),UNHEX(LPAD(HEX(seq),16,'0'))),"
        "CONCAT(UNHEX(MD5(seq+1)),UNHEX(MD5(seq+2)),'v',IF(seq%%3,'',UNHEX("
        "MD5(seq+3)))) FROM village.seq_1_to_12000");
    node_stop(&village);
    uint64_t sum = rows_sum();
    make_old_rows();
    mariadb_sql(&fed_server,
                "DELETE FROM village.cn_row WHERE LENGTH(subject)<20");
    mariadb_sql(&fed_server,
                "DELETE FROM village.cn_index WHERE ORD(SUBSTR(k,2,1))>=20");
    mariadb_sql(&fed_server, "UPDATE village.cn_schema SET version=104");
    assert_in_range(
        mariadb_number(&fed_server, "SELECT COUNT(*) FROM village.cn_index"),
        3000, 4000);
    node_start(&village);
    assert_true(rows_sum() == sum);
    assert_int_equal(mariadb_number(&fed_server,
                                    "SELECT COUNT(*) FROM information_schema."
                                    "tables WHERE table_name='cn_row'"),
                     0);
    assert_records(1);
    assert_ok(submit_one(2));
    assert_records(2);
}

/* Earlier builds refuse every version that is later than theirs. */
static void an_earlier_build_is_kept_from_rows_that_are_moved(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    node_stop(&village);
    make_old_rows();
    mariadb_sql(&fed_server, "DELETE FROM village.cn_index");
    mariadb_sql(&fed_server,
                "UPDATE village.cn_schema SET version=4 WHERE id=1");
    mariadb_sql(&fed_server, "ALTER TABLE village.cn_row RENAME COLUMN digest "
                             "TO digest_");
    refused(ERR_IO, "digest");
    assert_true(mariadb_number(&fed_server,
                               "SELECT version FROM "
                               "village.cn_schema WHERE id=1") > 4);
    mariadb_sql(&fed_server, "ALTER TABLE village.cn_row RENAME COLUMN digest_ "
                             "TO digest");
    node_start(&village);
    assert_records(1);
    assert_true(mariadb_number(&fed_server,
                               "SELECT version FROM "
                               "village.cn_schema WHERE id=1") == 5);
}

/* A dump from before an upgrade was put back into the database, which keeps the
 * tables that it does not name: their rows are of a time that is gone. */
static void rows_of_a_time_that_is_gone_are_dropped(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    node_stop(&village);
    uint64_t sum = rows_sum();
    make_old_rows();
    mariadb_sql(&fed_server,
                "INSERT INTO village.cn_index SELECT CONCAT(SUBSTR(k,1,LENGTH("
                "k)-1),CHAR(ORD(RIGHT(k,1))^1)),v FROM village.cn_index");
    mariadb_sql(&fed_server,
                "UPDATE village.cn_schema SET version=4 WHERE id=1");
    node_start(&village);
    assert_true(rows_sum() == sum);
    assert_records(1);
    assert_ok(submit_one(2));
    assert_records(2);
}

/* Servers of one list; those that do not answer are passed over. */
static void the_next_server_of_the_list_is_used(void **state)
{
    (void)state;
    const struct store_mariadb_conf good = fed_mariadb;
    char options[64];
    char addresses[96];
    unsigned port = free_port();
    unsigned dead = free_port();
    node_stop(&village);
    mariadb_end(&fed_server, SIGTERM);
    (void)snprintf(options, sizeof options,
                   "--port=%u --bind-address=127.0.0.1", port);
    mariadb_start_with(&fed_server, options);
    mariadb_sql(&fed_server, "CREATE USER lists@'%%'");
    mariadb_sql(&fed_server, "GRANT ALL ON village.* TO lists@'%%'");
    (void)snprintf(addresses, sizeof addresses, "127.0.0.1:%u, 127.0.0.1:%u",
                   dead, port);
    fed_mariadb.socket = "";
    fed_mariadb.address = addresses;
    fed_mariadb.user = "lists";
    fed_mariadb.password_file = "";
    node_start(&village);
    assert_ok(submit_one(1));
    assert_records(1);
    mariadb_sql(&fed_server, "DROP USER lists@'%%'");
    fed_mariadb = good;
}

/* ---- damage ---- */

static bool is_damaged(void)
{
    struct store_stats stats;
    store_stats(village.store, &stats);
    return stats.damaged;
}

static void on_fault(void *ctx, const struct log_id *log, uint64_t number,
                     const char *what)
{
    size_t *n = ctx;
    (void)log;
    (void)number;
    (void)what;
    (*n)++;
}

/* As `creditnode scrub` does it. */
static bool scrub_ends_the_alarm(enum err want)
{
    size_t faults = 0;
    bool ended = false;
    struct errmsg why;
    uint64_t damages = store_damages(village.store);
    assert_int_equal(store_scrub(village.store, on_fault, NULL, &faults), want);
    assert_int_equal(faults > 0, want != ERR_OK);
    if (want == ERR_OK) {
        assert_ok(store_damage_end(village.store, damages, &ended, &why));
    }
    return ended;
}

/* By another process that has the folder, too. */
static enum err open_as(enum store_role role, struct store **out,
                        struct errmsg *why)
{
    const struct store_conf conf = {.mariadb = node_mariadb(&village),
                                    .path = village.path,
                                    .cache_bytes = 2 << 20,
                                    .queue_max = 16,
                                    .queue_bytes_max = 1 << 20};
    const struct store_env env = {.suite = test_suite(),
                                  .federation = FEDERATION,
                                  .self = village.code,
                                  .signer = &village.sign,
                                  .keyring = village.keyring};
    return store_open_as(out, role, &store_mariadb, &conf, &env, why);
}

static void flip_a_block(void)
{
    mariadb_sql(&fed_server, "UPDATE village.cn_block SET "
                             "v=INSERT(v,LENGTH(v)-3,1,CHAR(ASCII(SUBSTR(v,"
                             "LENGTH(v)-3,1))^255)) WHERE first>2 "
                             "ORDER BY first LIMIT 1");
}

static void damage_stays_known_until_a_scrub_finds_none(void **state)
{
    (void)state;
    struct store_stats stats;
    struct store *other = NULL;
    struct errmsg why = {""};
    for (uint32_t i = 1; i <= 20; i++) {
        assert_ok(submit_one(i));
    }
    assert_false(scrub_ends_the_alarm(ERR_OK)); /* there is none */
    mariadb_sql(&fed_server, "CREATE TABLE village.kept AS SELECT * FROM "
                             "village.cn_block");
    flip_a_block();
    (void)scrub_ends_the_alarm(ERR_CORRUPT);
    store_stats(village.store, &stats);
    assert_true(stats.damaged);
    assert_non_null(strstr(stats.damage, "number"));
    assert_non_null(strstr(stats.damage_todo, "restart"));
    /* Who stands by reads on, and says it. */
    assert_ok(open_as(ROLE_FOLLOW, &other, &why));
    store_stats(other, &stats);
    assert_true(stats.damaged);
    store_close(&other);
    /* Somebody puts it right. */
    mariadb_sql(&fed_server, "REPLACE INTO village.cn_block SELECT * FROM "
                             "village.kept");
    mariadb_sql(&fed_server, "DROP TABLE village.kept");
    assert_true(is_damaged()); /* nobody has looked yet */
    assert_true(scrub_ends_the_alarm(ERR_OK));
    assert_false(is_damaged());
    assert_records(20);
}

static void a_damaged_store_is_copied_when_it_is_mended(void **state)
{
    (void)state;
    struct store *other = NULL;
    struct errmsg why = {""};
    struct log_id own = store_own_log(village.store);
    for (uint32_t i = 1; i <= 20; i++) {
        assert_ok(submit_one(i));
    }
    flip_a_block();
    (void)scrub_ends_the_alarm(ERR_CORRUPT);
    node_stop(&village);
    assert_int_equal(open_as(ROLE_SOURCE, &other, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "mends"));
    node_start(&village);
    assert_false(is_damaged());
    assert_true(store_in_doubt(village.store, &own));
    assert_false(scrub_ends_the_alarm(ERR_OK)); /* there is none */
    node_stop(&village);
    assert_ok(open_as(ROLE_SOURCE, &other, &why));
    store_close(&other);
    node_start(&village);
}

/* Another server, or one that was put back: it is not damaged, and is not cut
 * to what it still has. */
static void a_database_that_lacks_commits_is_refused(void **state)
{
    (void)state;
    struct errmsg why = {""};
    assert_ok(submit_one(1));
    node_stop(&village);
    mariadb_sql(&fed_server, "UPDATE village.cn_meta SET "
                             "v=UNHEX('0000000000000001') WHERE k=2");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(node_try_open(&village, &why), ERR_CONF);
        assert_non_null(strstr(why.text, "lacks the last"));
        shell("echo test >%s/DAMAGED", village.path);
    }
    shell("rm %s/SERIAL", village.path);
    node_start(&village);
    assert_false(is_damaged());
}

/* One bit of a page of InnoDB in the middle of the blocks; the server is down.
 * Leaves of an index: type 17855, level 0. */
static void flip_a_page(void)
{
    enum {
        PAGE = 16384,
        TYPE = 24,
        RECORDS = 54,
        LEVEL = 64,
        LEAVES_MAX = 256
    };
    char path[256];
    uint8_t page[PAGE];
    off_t leaves[LEAVES_MAX];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/data/village/cn_block.ibd",
                   fed_server.dir);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (off_t at = 0; pread(fd, page, PAGE, at) == PAGE; at += PAGE) {
        if (be_get16(page + TYPE) == 17855 && be_get16(page + LEVEL) == 0 &&
            be_get16(page + RECORDS) > 0 && n < LEAVES_MAX) {
            leaves[n++] = at;
        }
    }
    assert_true(n > 2);
    off_t at = leaves[n / 2] + PAGE / 2;
    assert_int_equal(pread(fd, page, 1, at), 1);
    page[0] ^= 0x10;
    assert_int_equal(pwrite(fd, page, 1, at), 1);
    (void)close(fd);
}

/* Found, named, told once; the rest is answered, whoever starts it again. */
static void a_page_that_the_server_cannot_read_is_damage(void **state)
{
    enum { PART = 300, PARTS = 4 };
    (void)state;
    struct store_stats stats;
    struct log_id own = store_own_log(village.store);
    struct buf entry = BUF_INIT;
    for (uint32_t i = 0; i < PARTS; i++) {
        submit_many(village.store, i * PART, PART);
    }
    node_stop(&village);
    mariadb_end(&fed_server, SIGTERM);
    flip_a_page();
    mariadb_start(&fed_server);
    node_start(&village);
    (void)scrub_ends_the_alarm(ERR_CORRUPT);
    for (int i = 0; i < 2; i++) {
        store_stats(village.store, &stats);
        assert_true(stats.damaged);
        assert_non_null(strstr(stats.damage, "corrupt"));
        assert_ok(store_entry(village.store, &own, 2, &entry));
        node_restart(&village);
    }
    buf_fini(&entry);
}

static void what_is_found_while_a_scrub_runs_stays_known(void **state)
{
    (void)state;
    bool ended = true;
    struct errmsg why;
    uint64_t damages = store_damages(village.store);
    store_damaged(village.store, "met by a read meanwhile");
    assert_ok(store_damage_end(village.store, damages, &ended, &why));
    assert_false(ended);
    assert_true(is_damaged());
    assert_true(scrub_ends_the_alarm(ERR_OK));
    assert_false(is_damaged());
}

/* More than one query's rows, of one subject and of many. */
static void a_scrub_reads_the_whole_index(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    for (int i = 0; i < 2; i++) {
        mariadb_sql(&fed_server,
                    "INSERT INTO village.cn_index SELECT CONCAT(CHAR(2),CHAR("
                    "%d*LENGTH(seq)),IF(%d,seq,''),LPAD(seq,24,'r')),REPEAT('v'"
                    ",33) FROM village.seq_1_to_1500",
                    i, i);
        mariadb_sql(&fed_server,
                    "INSERT INTO village.cn_list SELECT 2,IF(%d,'many',CONCAT("
                    "'s',seq)),1,seq+9000*%d,1,1,0,0,0,0,0,0 FROM "
                    "village.seq_1_to_1500",
                    i, i);
    }
    (void)scrub_ends_the_alarm(ERR_OK);
    /* The very last row, as the key has it. */
    mariadb_sql(&fed_server, "UPDATE village.cn_index SET k=CONCAT(k,'x') "
                             "WHERE ASCII(k)=2 ORDER BY k DESC LIMIT 1");
    (void)scrub_ends_the_alarm(ERR_CORRUPT);
    assert_true(is_damaged());
}

/* ---- reading ---- */

/* Records of one subject, each in a block with those of another. What is named
 * twice, or of a log that is not here, does no harm. */
static void the_blocks_of_an_answer_are_read_ahead(void **state)
{
    (void)state;
    enum { RECORDS = 5, TOGETHER = 16 };
    struct row_list list;
    struct buf read = BUF_INIT;
    struct buf ahead = BUF_INIT;
    size_t absent = 0;
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct draft drafts[TOGETHER];
        for (uint32_t k = 0; k < TOGETHER; k++) {
            drafts[k] = (struct draft){.record = i * TOGETHER + k + 1,
                                       .subject = k == 0 ? SUBJECT : OTHER,
                                       .text = "a"};
        }
        assert_ok(submit(village.store, drafts, TOGETHER, NULL));
    }
    rows_of(village.store, SUBJECT, &list);
    assert_int_equal(list.n, RECORDS);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_ok(store_entry(village.store, &list.at[i].log, list.at[i].number,
                              &read));
    }
    node_restart(&village); /* reads the end of the log */
    for (size_t i = 0; i < RECORDS; i++) {
        absent += store_entry_now(village.store, &list.at[i].log,
                                  list.at[i].number, &ahead) == ERR_BUSY;
    }
    assert_in_range(absent, 2, RECORDS);
    list.at[RECORDS] = list.at[0];
    list.at[RECORDS + 1] = list.at[1];
    list.at[RECORDS + 1].log.incarnation++;
    store_ahead(village.store, list.at, RECORDS + 2);
    buf_clear(&ahead);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_ok(store_entry_now(village.store, &list.at[i].log,
                                  list.at[i].number, &ahead));
    }
    assert_true(slice_eq(buf_slice(&read), buf_slice(&ahead)));
    buf_fini(&read);
    buf_fini(&ahead);
}

/* ---- over a network ---- */

/* Certificates of the server and of its client, localhost and node, of the CA
 * ca; and a CA that is none of theirs. */
static const char making[] =
    "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';"
    "for ca in ca other; do openssl req -x509 $new -keyout $ca.key"
    " -out $ca.pem -days 2 -subj /CN=$ca || exit 1; done;"
    "for name in localhost node; do"
    " openssl req $new -keyout $name.key -out $name.csr -subj /CN=$name &&"
    " echo subjectAltName=DNS:$name >$name.ext &&"
    " openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
    " -days 2 -extfile $name.ext -out $name.pem || exit 1; done";

/* Paths in fed_dir. */
static char ca_pem[128];
static char other_pem[128];
static char node_pem[128];
static char node_key[128];

/* Starts the server anew, reached over TLS only. */
static void serve_tls(unsigned port)
{
    char options[640];
    (void)snprintf(ca_pem, sizeof ca_pem, "%s/ca.pem", fed_dir);
    (void)snprintf(other_pem, sizeof other_pem, "%s/other.pem", fed_dir);
    (void)snprintf(node_pem, sizeof node_pem, "%s/node.pem", fed_dir);
    (void)snprintf(node_key, sizeof node_key, "%s/node.key", fed_dir);
    if (access(node_pem, F_OK) != 0) {
        shell("{ %s; } 2>/dev/null", making);
    }
    (void)snprintf(options, sizeof options,
                   "--bind-address=localhost --port=%u "
                   "--ssl-cert=%s/localhost.pem --ssl-key=%s/localhost.key "
                   "--ssl-ca=%s --require-secure-transport",
                   port, fed_dir, fed_dir, ca_pem);
    mariadb_end(&fed_server, SIGTERM);
    mariadb_start_with(&fed_server, options);
    fed_mariadb.socket = "";
}

/* Back to the socket, where the record entered meanwhile is. */
static void serve_socket(const struct store_mariadb_conf *good)
{
    node_stop(&village);
    fed_mariadb = *good;
    mariadb_end(&fed_server, SIGTERM);
    mariadb_start(&fed_server);
    node_start(&village);
    assert_records(1);
}

static void the_server_must_prove_its_name(void **state)
{
    (void)state;
    char by_name[64];
    char by_number[64];
    const struct store_mariadb_conf good = fed_mariadb;
    unsigned port = free_port();
    (void)snprintf(by_name, sizeof by_name, "localhost:%u", port);
    (void)snprintf(by_number, sizeof by_number, "127.0.0.1:%u", port);
    node_stop(&village);
    serve_tls(port);
    fed_mariadb.address = by_name;
    fed_mariadb.tls_ca = other_pem;
    refused(ERR_CONF, "mariadb.tls_ca");
    fed_mariadb.tls_ca = ca_pem;
    fed_mariadb.address = by_number;
    refused(ERR_CONF, "name the host");
    fed_mariadb.address = by_name;
    node_start(&village);
    assert_ok(submit_one(1));
    serve_socket(&good);
}

/* An account without a password, let in by its certificate alone. */
static void the_node_shows_its_certificate_to_the_server(void **state)
{
    (void)state;
    char address[64];
    const struct store_mariadb_conf good = fed_mariadb;
    unsigned port = free_port();
    (void)snprintf(address, sizeof address, "localhost:%u", port);
    node_stop(&village);
    serve_tls(port);
    mariadb_sql(&fed_server,
                "CREATE USER shown@'%%' REQUIRE SUBJECT '/CN=node'");
    mariadb_sql(&fed_server, "GRANT ALL ON village.* TO shown@'%%'");
    fed_mariadb.address = address;
    fed_mariadb.tls_ca = ca_pem;
    fed_mariadb.user = "shown";
    fed_mariadb.password_file = "";
    refused(ERR_CONF, "mariadb.tls_cert");
    fed_mariadb.tls_cert = node_pem;
    fed_mariadb.tls_key = node_key;
    node_start(&village);
    assert_ok(submit_one(1));
    mariadb_sql(&fed_server, "DROP USER shown@'%%'");
    serve_socket(&good);
}

/* Of a client that lends its files a server may ask for any of them. */
static void the_server_gets_no_file(void **state)
{
    (void)state;
    struct mdb_conn *c = NULL;
    struct errmsg why = {""};
    struct store_mariadb_conf conf = fed_mariadb;
    char sql[256];
    conf.database = "village";
    mariadb_sql(&fed_server, "CREATE TABLE village.taken(line TEXT)");
    (void)snprintf(sql, sizeof sql,
                   "LOAD DATA LOCAL INFILE '%s' INTO TABLE taken",
                   password_file);
    assert_ok(mdb_open(&c, &conf, &mdb_store_sql, &why));
    assert_int_not_equal(mdb_run(c, sql, &why), ERR_OK);
    mdb_shut(&c);
    assert_int_equal(
        mariadb_number(&fed_server, "SELECT COUNT(*) FROM village.taken"), 0);
    mariadb_sql(&fed_server, "DROP TABLE village.taken");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(a_log_that_does_not_fit_its_head_does_not_grow),
        T(a_restart_of_the_server_is_not_noticed),
        T(without_a_server_the_node_says_so_and_goes_on_later),
        T(a_server_killed_under_load_loses_and_doubles_nothing),
        T(a_cut_before_the_commit_wrote_nothing),
        T(a_cut_behind_the_commit_is_found_done),
        T(a_commit_that_comes_late_comes_to_nothing),
        T(a_commit_on_its_way_is_not_given_up),
        T(a_slow_server_is_waited_for),
        T(a_read_only_server_is_read_and_written_again_later),
        T(a_lock_held_by_others_is_waited_for),
        T(another_writer_is_noticed_by_the_number),
        T(a_full_server_refuses_and_resumes),
        T(what_is_wrong_is_said_in_a_sentence),
        T(rights_that_are_missing_are_named),
        T(an_old_server_is_refused),
        T(no_free_connection_is_named),
        T(connections_refused_later_are_tried_again),
        T(a_server_that_lets_nobody_in_is_away),
        T(another_folder_is_refused),
        T(a_folder_whose_name_cannot_be_read_gets_no_other),
        T(a_second_process_ends_the_first_ones_writing),
        T(tables_of_an_older_build_are_brought_up),
        T(rows_of_an_older_build_are_kept),
        T(an_earlier_build_is_kept_from_rows_that_are_moved),
        T(rows_of_a_time_that_is_gone_are_dropped),
        T(the_next_server_of_the_list_is_used),
        T(the_blocks_of_an_answer_are_read_ahead),
        T(damage_stays_known_until_a_scrub_finds_none),
        T(a_damaged_store_is_copied_when_it_is_mended),
        T(a_page_that_the_server_cannot_read_is_damage),
        T(a_database_that_lacks_commits_is_refused),
        T(what_is_found_while_a_scrub_runs_stays_known),
        T(a_scrub_reads_the_whole_index),
        T(the_server_must_prove_its_name),
        T(the_node_shows_its_certificate_to_the_server),
        T(the_server_gets_no_file),
    };
    (void)setenv("STORE_BACKEND", store_mariadb.name, 1);
    mariadb_or_skip();
    return cmocka_run_group_tests(tests, begin, end);
}
