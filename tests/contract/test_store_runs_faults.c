/* Rows of the index on their way into files, on a disk that fails: at any call
 * the process ends, the power goes, there is no room, or the disk says no. */
#include "contract/runs_fixture.h"
#include "support/disk_faults.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ENDS = 6, FAULTS = 6 };
#else
enum { ENDS = 16, FAULTS = 12 };
#endif

enum {
    COMMITS = 20,       /* of one process: two parts of the tail become files */
    CALLS = 330,        /* about, of such a process */
    TRIES = 200,        /* of a commit: a fault passes */
    FOR_EVER = 1 << 30, /* calls */
    TOLD = 3,
};

/* ---- a program of its own: says each commit that is acknowledged ---- */

static void tell(uint32_t n)
{
    if (write(TOLD, &n, sizeof n) != sizeof n) {
        _exit(1);
    }
}

/* As the store does it: what is doubtful is told by an opening. */
static void *open_again(const char *path)
{
    const struct store_conf conf = {.path = path,
                                    .cache_bytes = 1 << 20,
                                    .write_buffer_bytes = office.buffer};
    struct errmsg why = {""};
    void *db = NULL;
    for (unsigned i = 0; i < TRIES; i++) {
        if (b->open(&db, &conf, false, &why) == ERR_OK) {
            return db;
        }
    }
    (void)fprintf(stderr, "%s: %s\n", path, why.text);
    _exit(2);
}

static void *commit_for_certain(void *db, const char *path, uint32_t n)
{
    for (unsigned i = 0; i < TRIES; i++) {
        enum err err = write_commit(db, n);
        if (err == ERR_UNCERTAIN || err == ERR_CORRUPT) {
            b->close(db);
            db = open_again(path);
            err = serial_of(db) == n ? ERR_OK : ERR_NO_SPACE;
        }
        if (err == ERR_OK) {
            return db;
        }
        assert_int_equal(err, ERR_NO_SPACE);
        assert_int_equal(serial_of(db), n - 1);
    }
    _exit(4);
}

struct order {
    const char *path;
    enum disk_fault fault;
    unsigned at;
    unsigned calls;
    const char *only; /* of files with that in their name */
};

/* Nothing can be written: it is opened for reading, and says why. */
static int only_read(const struct order *o)
{
    const struct store_conf conf = {.path = o->path,
                                    .cache_bytes = 1 << 20,
                                    .write_buffer_bytes = office.buffer};
    struct errmsg why;
    void *db = NULL;
    if (b->open(&db, &conf, false, &why) != ERR_NO_SPACE ||
        b->open(&db, &conf, true, &why) != ERR_OK) {
        return 3;
    }
    check(db, serial_of(db));
    b->close(db);
    return 0;
}

static int obey(const struct order *o)
{
    disk_root(o->path);
    disk_only(o->only);
    disk_arm(o->fault, o->at, o->calls);
    if (o->calls == FOR_EVER) {
        return only_read(o);
    }
    void *db = open_again(o->path);
    uint32_t from = serial_of(db) + 1;
    for (uint32_t n = from; n < from + COMMITS; n++) {
        db = commit_for_certain(db, o->path, n);
        tell(n);
    }
    check(db, from + COMMITS - 1);
    b->close(db);
    if (getenv("DISK_COUNT") != NULL) {
        (void)fprintf(stderr, "%u calls\n", disk.count);
    }
    return 0;
}

/* ---- the test ---- */

/* Returns how it ended; the last that was acknowledged into *told. */
static int order(const struct order *o, uint32_t *told)
{
    int fds[2];
    uint32_t n;
    char text[3][16];
    (void)snprintf(text[0], sizeof text[0], "%d", (int)o->fault);
    (void)snprintf(text[1], sizeof text[1], "%u", o->at);
    (void)snprintf(text[2], sizeof text[2], "%u", o->calls);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], TOLD);
        (void)execl("/proc/self/exe", "writer", o->path,
                    office.rows == large.rows ? "large" : "small", text[0],
                    text[1], text[2], o->only, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    while (read(fds[0], &n, sizeof n) == sizeof n) {
        *told = n;
    }
    (void)close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void ends(const char *name, enum disk_fault fault)
{
    char path[128];
    uint32_t told = 0;
    path_of(name, path);
    b->close(open_at(path, false));
    for (uint32_t i = 0; i < ENDS; i++) {
        struct order o = {path, fault, 1 + spread(i) % CALLS, 1, ""};
        int status = order(&o, &told);
        if (status != 0 && status != DISK_ENDED) {
            fail_msg("call %u: ended with %d", o.at, status);
        }
        void *db = open_at(path, i % 3 == 0);
        uint32_t n = serial_of(db);
        assert_in_range(n, told, told + 1);
        check(db, n);
        b->close(db);
        told = n;
    }
}

static void a_process_may_end_at_any_call(void **state)
{
    (void)state;
    ends("stopped", DISK_STOP);
}

static void the_power_may_go_at_any_call(void **state)
{
    (void)state;
    ends("cut", DISK_CUT);
}

/* `at` and `calls`: at most. */
static void faults(const char *name, const struct order *most, unsigned turns)
{
    char path[128];
    uint32_t told = 0;
    path_of(name, path);
    b->close(open_at(path, false));
    for (uint32_t i = 0; i < turns; i++) {
        struct order o = *most;
        o.path = path;
        o.at = 1 + spread(i) % most->at;
        o.calls = 1 + spread(i + FAULTS) % most->calls;
        int status = order(&o, &told);
        if (status != 0) {
            fail_msg("call %u and %u more: ended with %d", o.at, o.calls - 1,
                     status);
        }
        void *db = open_at(path, i % 3 == 0);
        assert_int_equal(serial_of(db), told);
        check(db, told);
        b->close(db);
    }
}

static void a_full_disk_is_read(void **state)
{
    (void)state;
    char path[128];
    uint32_t told = 0;
    struct order o = {path, DISK_SOUND, 1, 1, ""};
    path_of("read", path);
    b->close(open_at(path, false));
    assert_int_equal(order(&o, &told), 0);
    assert_int_equal(told, COMMITS);
    o.fault = DISK_FULL;
    o.calls = FOR_EVER;
    assert_int_equal(order(&o, &told), 0);
}

static void the_disk_may_be_full_at_any_call(void **state)
{
    (void)state;
    const struct order most = {NULL, DISK_FULL, CALLS, 60, ""};
    faults("full", &most, FAULTS);
}

/* Once there is room again, commits go on, whatever RocksDB makes of it. */
static void there_may_be_no_room_for_the_list_of_files(void **state)
{
    (void)state;
    const struct order most = {NULL, DISK_FULL, 40, 6, "MANIFEST"};
    faults("room", &most, FAULTS);
}

/* Also while rows become a file, and when their runs are deleted. */
static void there_may_be_no_room_for_a_commit(void **state)
{
    (void)state;
    const struct order most = {NULL, DISK_FULL, 34, 1, ".log"};
    faults("commit", &most, 2 * FAULTS);
}

/* Not the list of files: that one may name a file then that is no more, which
 * is damage to who opens it, and mended as such. */
static void the_disk_may_fail_at_what_is_written(void **state)
{
    (void)state;
    const struct order commits = {NULL, DISK_BAD, 40, 3, ".log"};
    const struct order files = {NULL, DISK_BAD, 12, 3, ".new"};
    faults("commits", &commits, FAULTS);
    faults("files", &files, FAULTS);
}

static unsigned number_of(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc > 6) {
        office = strcmp(argv[2], "large") == 0 ? large : small;
        const struct order o = {argv[1], (enum disk_fault)number_of(argv[3]),
                                number_of(argv[4]), number_of(argv[5]),
                                argv[6]};
        return obey(&o);
    }
    const struct CMUnitTest tests[] = {
        IN_BOTH(a_process_may_end_at_any_call),
        IN_BOTH(the_power_may_go_at_any_call),
        IN_BOTH(a_full_disk_is_read),
        IN_BOTH(the_disk_may_be_full_at_any_call),
        IN_BOTH(there_may_be_no_room_for_a_commit),
        IN_BOTH(there_may_be_no_room_for_the_list_of_files),
        IN_BOTH(the_disk_may_fail_at_what_is_written),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL); /* by hand */
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
