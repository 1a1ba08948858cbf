/* Who reads while a server is away, or lets itself be waited for: answered from
 * what is there, or told so in time, each in turn. */
#include "contract/village_fixture.h"
#include "support/mariadb_proxy.h"

#define LOCK "CONCAT('creditnode.',MD5('village'))"

static int begin(void **state)
{
    char path[112];
    (void)fed_setup(state);
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
    node_init(&village, &store_mariadb, VILLAGE, "village");
    return 0;
}

static struct waiter *submit_later(uint32_t record)
{
    struct waiter *w = waiter_new();
    struct buf draft = BUF_INIT;
    draft_put(&draft, &(struct draft){
                          .record = record, .subject = SUBJECT, .text = "a"});
    struct slice s = buf_slice(&draft);
    assert_ok(store_submit(village.store, &s, 1, on_submitted, w));
    buf_fini(&draft);
    return w;
}

static bool on_row(void *ctx, const struct store_row *row)
{
    size_t *n = ctx;
    (void)row;
    ++*n;
    return true;
}

static enum err read_subject(size_t *n)
{
    struct subject_key key;
    *n = 0;
    subject_key_org(&key, SUBJECT_USCC, slice_str(SUBJECT));
    return store_subject(village.store, &key, on_row, n);
}

static void wait_writable(void)
{
    struct store_stats stats;
    WAIT_FOR((store_stats(village.store, &stats), stats.writable));
}

/* ---- taken again ---- */

static void *take_lock(void *admin)
{
    assert_int_equal(mysql_query(admin, "SELECT GET_LOCK(" LOCK ",600)"), 0);
    mysql_free_result(mysql_store_result(admin));
    return NULL;
}

/* The connection that waits for it: all of the node's is waited for. */
static uint64_t wait_waiting(void)
{
    uint64_t id = 0;
    WAIT_FOR((id = mariadb_number(&fed_server,
                                  "SELECT MAX(ID) FROM information_schema."
                                  "PROCESSLIST WHERE STATE='User lock'")) != 0);
    return id;
}

/* The writer connects, and waits there for its right to write. */
static void reads_go_on_while_the_database_is_taken_again(void **state)
{
    (void)state;
    pthread_t thread;
    size_t n;
    MYSQL *admin = mariadb_admin(&fed_server);
    uint32_t connect_ms = fed_mariadb.connect_ms;
    fed_mariadb.connect_ms = 60000;
    node_restart(&village);
    fed_mariadb.connect_ms = connect_ms;
    assert_ok(submit_one(1));
    assert_int_equal(pthread_create(&thread, NULL, take_lock, admin), 0);
    (void)wait_waiting();
    atomic_store(&proxy.mode, PROXY_CUT_AFTER);
    struct waiter *w = submit_later(2);
    (void)pthread_join(thread, NULL); /* the writer's connection has ended */
    uint64_t id = wait_waiting();
    assert_ok(read_subject(&n));
    assert_int_equal(n, 2);
    assert_true(wait_waiting() == id);
    assert_false(w->done);
    mysql_close(admin);
    assert_ok(waiter_wait(w));
    waiter_free(w);
    assert_ok(submit_one(3));
}

/* ---- silent ---- */

enum {
    READERS = 8,
    SILENT_MS = 15000,
    CONNECT_MS = 1000,
    TIMEOUT_MS = 1000,
    /* A wait for a connection, one for an answer, with the grace of 5 s, and
     * all of it once more on a machine that is busy. */
    ANSWER_MS = 2 * (TIMEOUT_MS + CONNECT_MS + TIMEOUT_MS + 5000),
};

struct asking {
    pthread_t thread;
    _Atomic bool *over;
    unsigned told;    /* that it is away */
    unsigned others;  /* any other answer */
    int64_t worst_ms; /* an answer took */
};

static void *ask_on(void *arg)
{
    struct asking *a = arg;
    while (!atomic_load(a->over)) {
        size_t n;
        int64_t from_ms = clock_mono_ms();
        enum err err = read_subject(&n);
        int64_t took_ms = clock_mono_ms() - from_ms;
        a->worst_ms = took_ms > a->worst_ms ? took_ms : a->worst_ms;
        a->told += err == ERR_UNAVAILABLE;
        a->others += err != ERR_OK && err != ERR_UNAVAILABLE;
    }
    return NULL;
}

/* It takes connections and says nothing. */
static void of_a_silent_server_all_are_told_in_time(void **state)
{
    (void)state;
    struct asking readers[READERS] = {{0}};
    static _Atomic bool over;
    const struct store_mariadb_conf good = fed_mariadb;
    fed_mariadb.connect_ms = CONNECT_MS;
    fed_mariadb.timeout_ms = TIMEOUT_MS;
    node_restart(&village);
    fed_mariadb = good;
    assert_ok(submit_one(1));
    assert_int_equal(kill(fed_server.pid, SIGSTOP), 0);
    struct waiter *w = submit_later(2);
    atomic_store(&over, false);
    for (size_t i = 0; i < READERS; i++) {
        readers[i].over = &over;
        assert_int_equal(
            pthread_create(&readers[i].thread, NULL, ask_on, &readers[i]), 0);
    }
    clock_sleep(SILENT_MS);
    atomic_store(&over, true);
    for (size_t i = 0; i < READERS; i++) {
        (void)pthread_join(readers[i].thread, NULL);
    }
    assert_int_equal(kill(fed_server.pid, SIGCONT), 0);
    for (size_t i = 0; i < READERS; i++) {
        assert_true(readers[i].told > 0);
        assert_int_equal(readers[i].others, 0);
        assert_in_range(readers[i].worst_ms, 0, ANSWER_MS);
    }
    enum err err = waiter_wait(w);
    assert_true(err == ERR_OK || err == ERR_NO_SPACE || err == ERR_UNAVAILABLE);
    waiter_free(w);
    wait_writable();
    size_t n;
    assert_ok(read_subject(&n));
    assert_int_equal(n, err == ERR_OK ? 2 : 1);
}

/* ---- in turn ---- */

enum { BUSY = 64, READS = 6000, BETWEEN_MAX = 600 };

static _Atomic unsigned long reads;

/* The most reads of others that one of its own took. */
static void *read_on(void *arg)
{
    unsigned long *most = arg;
    while (atomic_load(&reads) < READS) {
        size_t n;
        unsigned long before = atomic_load(&reads);
        enum err err = read_subject(&n);
        unsigned long between = atomic_fetch_add(&reads, 1) - before;
        *most = between > *most ? between : *most;
        *most = err != ERR_OK ? READS : *most;
    }
    return NULL;
}

/* Of many who want the one connection each comes soon, however often the others
 * come again. */
static void nobody_waits_for_those_who_come_again(void **state)
{
    (void)state;
    pthread_t threads[BUSY];
    unsigned long most[BUSY] = {0};
    unsigned long worst = 0;
    uint32_t connections = fed_mariadb.connections;
    fed_mariadb.connections = 1;
    node_restart(&village);
    fed_mariadb.connections = connections;
    assert_ok(submit_one(1));
    atomic_store(&reads, 0);
    for (size_t i = 0; i < BUSY; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &most[i]),
                         0);
    }
    for (size_t i = 0; i < BUSY; i++) {
        (void)pthread_join(threads[i], NULL);
        worst = most[i] > worst ? most[i] : worst;
    }
    print_message("%lu reads of others within one, at most\n", worst);
    assert_in_range(worst, 0, BETWEEN_MAX);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(reads_go_on_while_the_database_is_taken_again),
        T(of_a_silent_server_all_are_told_in_time),
        T(nobody_waits_for_those_who_come_again),
    };
    (void)setenv("STORE_BACKEND", store_mariadb.name, 1);
    mariadb_or_skip();
    return cmocka_run_group_tests(tests, begin, end);
}
