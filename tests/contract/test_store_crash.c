#include <signal.h>
#include <sys/wait.h>

#include "contract/store_fixture.h"

enum { ROUNDS = 20, LINES_MAX = 100000 };

static const struct backend *backend;

/* One acknowledged record. */
struct ack {
    uint32_t record;
    uint64_t number;
};

struct child {
    int out;
    uint32_t record;
};

static void on_acknowledged(void *ctx, enum err err, const char *why,
                            const struct draft_result *results, size_t n)
{
    struct child *c = ctx;
    (void)why;
    for (size_t i = 0; err == ERR_OK && i < n; i++) {
        struct ack ack = {c->record, results[i].number};
        if (write(c->out, &ack, sizeof ack) != sizeof ack) {
            _exit(3);
        }
    }
    mem_free(c);
}

/* Writes until it is killed. */
static void run_child(const char *dir, int out, uint32_t from)
{
    struct node n;
    struct buf draft = BUF_INIT;
    log_set_level(LOG_ERROR);
    (void)snprintf(fed_dir, sizeof fed_dir, "%s", dir);
    fed_read_trust();
    (void)snprintf(fed_server.socket, sizeof fed_server.socket,
                   "%s/mariadb/socket", dir);
    node_init(&n, backend, VILLAGE, "village");
    for (uint32_t record = from;; record++) {
        struct draft d = {
            .record = record, .subject = "91341821MA2T00001X", .text = "a"};
        struct child *c = MEM_NEW(struct child);
        *c = (struct child){out, record};
        buf_clear(&draft);
        draft_put(&draft, &d);
        struct slice s = buf_slice(&draft);
        while (store_submit(n.store, &s, 1, on_acknowledged, c) != ERR_OK) {
            (void)usleep(100);
        }
    }
}

/* A program of its own: the threads of the database and of the sanitizers do
 * not live on across fork(). */
static pid_t start_child(const int fds[2], uint32_t from)
{
    char out[12];
    char record[12];
    (void)snprintf(out, sizeof out, "%d", fds[1]);
    (void)snprintf(record, sizeof record, "%u", from);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        (void)execl("/proc/self/exe", "writer", fed_dir, out, record, NULL);
        _exit(127);
    }
    return pid;
}

static size_t read_acks(int in, struct ack *acks, size_t n, size_t max)
{
    while (n < max && n < LINES_MAX) {
        ssize_t got = read(in, &acks[n], sizeof acks[n]);
        if (got != sizeof acks[n]) {
            break;
        }
        n++;
    }
    return n;
}

struct killer {
    pthread_t thread;
    pid_t pid;
    unsigned after_us;
};

static void *kill_later(void *arg)
{
    struct killer *k = arg;
    (void)usleep(k->after_us);
    (void)kill(k->pid, SIGKILL);
    return NULL;
}

static void check_acks(struct node *n, const struct ack *acks, size_t count)
{
    struct log_id own = store_own_log(n->store);
    uint64_t size = size_of(n->store, &own);
    bool *seen = mem_zalloc(size + 1, sizeof(*seen));
    for (size_t i = 0; i < count; i++) {
        struct buf bytes = BUF_INIT;
        struct entry e;
        uint8_t key[RECORD_KEY_LEN];
        assert_true(acks[i].number <= size);
        assert_false(seen[acks[i].number]);
        seen[acks[i].number] = true;
        assert_ok(store_entry(n->store, &own, acks[i].number, &bytes));
        assert_ok(entry_decode(buf_slice(&bytes), &e));
        record_key_of(acks[i].record, key);
        assert_memory_equal(e.record_key, key, RECORD_KEY_LEN);
        buf_fini(&bytes);
    }
    mem_free(seen);
}

static void on_fault(void *ctx, const struct log_id *log, uint64_t number,
                     const char *what)
{
    (void)ctx;
    (void)log;
    fail_msg("scrub: number %llu: %s", (unsigned long long)number, what);
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
    (void)state;
    struct node n;
    struct ack *acks = mem_zalloc(LINES_MAX, sizeof(*acks));
    size_t count = 0;
    node_init(&n, backend, VILLAGE, "village");
    struct log_id own = store_own_log(n.store);
    for (unsigned round = 0; round < ROUNDS; round++) {
        int fds[2];
        node_stop(&n); /* the child opens it */
        assert_int_equal(pipe(fds), 0);
        pid_t pid = start_child(fds, (round + 1) * 1000000);
        (void)close(fds[1]);
        count = read_acks(fds[0], acks, count, count + 1); /* it writes */
        struct killer k = {.pid = pid, .after_us = round * 7919};
        assert_int_equal(pthread_create(&k.thread, NULL, kill_later, &k), 0);
        count = read_acks(fds[0], acks, count, LINES_MAX);
        (void)close(fds[0]);
        (void)pthread_join(k.thread, NULL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        node_start(&n);
        struct log_id again = store_own_log(n.store);
        assert_true(log_id_eq(&own, &again));
        check_acks(&n, acks, count);
    }
    assert_true(count > ROUNDS);
    assert_ok(store_scrub(n.store, on_fault, NULL, NULL));
    node_fini(&n);
    mem_free(acks);
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        backend = fixture_backend();
        run_child(argv[1], (int)strtol(argv[2], NULL, 10),
                  (uint32_t)strtoul(argv[3], NULL, 10));
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_kill_9),
    };
    backend = fixture_backend();
    return cmocka_run_group_tests_name(backend->name, tests, fed_setup,
                                       fed_teardown);
}
