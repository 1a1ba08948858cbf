#include <signal.h>
#include <sys/resource.h>

#include "contract/village_fixture.h"
#include "support/scripted_backend.h"

static const struct backend *real;
static struct backend backend;

static int start(void **state)
{
    (void)state;
    backend = scripted(real);
    node_init(&village, &backend, VILLAGE, "village");
    return 0;
}

static int end(void **state)
{
    script_lets_go();
    return stop(state);
}

static bool is_writable(void)
{
    struct store_stats stats;
    store_stats(village.store, &stats);
    assert_int_equal(stats.writable, stats.why[0] == '\0');
    return stats.writable;
}

static void wait_writable(bool want)
{
    WAIT_FOR(is_writable() == want);
}

/* Waits for nothing; the waiter is to be freed by the caller. */
static struct waiter *submit_later(uint32_t record)
{
    struct waiter *w = waiter_new();
    struct buf bytes = BUF_INIT;
    draft_put(&bytes, &(struct draft){
                          .record = record, .subject = SUBJECT, .text = "a"});
    struct slice s = buf_slice(&bytes);
    assert_ok(store_submit(village.store, &s, 1, on_submitted, w));
    buf_fini(&bytes);
    return w;
}

static enum err outcome_of(struct waiter *w)
{
    enum err err = waiter_wait(w);
    waiter_free(w);
    return err;
}

static uint64_t own_size(void)
{
    struct log_id own = store_own_log(village.store);
    return size_of(village.store, &own);
}

static void assert_sound(uint64_t size)
{
    assert_int_equal(own_size(), size);
    node_restart(&village);
    assert_int_equal(own_size(), size);
}

static void a_refused_commit_changes_nothing(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    atomic_store(&script.next_commit, COMMIT_REFUSED);
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    assert_int_equal(own_size(), 2);
    wait_writable(true);
    assert_ok(submit_one(2));
    assert_sound(3);
}

static void a_refused_commit_forgets_no_tier_above(void **state)
{
    (void)state;
    struct log_id own = store_own_log(village.store);
    const struct store_above above = {TIER_TOWNSHIP, TOWNSHIP, 1};
    struct store_above got[ABOVE_MAX];
    store_set_above(village.store, &own, &above, 1);
    atomic_store(&script.next_commit, COMMIT_REFUSED);
    assert_int_equal(submit_one(1), ERR_NO_SPACE);
    wait_writable(true);
    assert_ok(submit_one(1));
    node_restart(&village);
    assert_int_equal(store_above(village.store, &own, got), 1);
    assert_int_equal(got[0].size, 1);
}

static void a_lost_commit_is_found_missing(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    atomic_store(&script.next_commit, COMMIT_LOST);
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    wait_writable(true);
    assert_ok(submit_one(3));
    assert_sound(3);
}

static void an_unheard_commit_is_found_done(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    atomic_store(&script.next_commit, COMMIT_DONE_UNHEARD);
    assert_ok(submit_one(2));
    assert_true(is_writable());
    assert_ok(submit_one(3));
    assert_sound(4);
}

struct later {
    pthread_t thread;
    int open;
};

static void *open_later(void *arg)
{
    const struct later *l = arg;
    (void)usleep(300000);
    atomic_store(&script.open, l->open);
    return NULL;
}

/* What only a read-only look finds may not be durable: no answer until the
 * database opens for writing. */
static void
an_unheard_commit_is_not_acknowledged_before_it_is_safe(void **state)
{
    (void)state;
    struct later l = {.open = OPEN_WORKS};
    assert_ok(submit_one(1));
    atomic_store(&script.next_commit, COMMIT_DONE_UNHEARD);
    atomic_store(&script.open, OPEN_READONLY);
    assert_int_equal(pthread_create(&l.thread, NULL, open_later, &l), 0);
    assert_ok(submit_one(2));
    assert_int_equal(atomic_load(&script.open), OPEN_WORKS);
    (void)pthread_join(l.thread, NULL);
    assert_sound(3);
}

static void reads_go_on_while_nothing_can_be_written(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct row_list list;
    struct log_id own = store_own_log(village.store);
    submit_many(village.store, 100, 50);
    atomic_store(&script.open, OPEN_READONLY);
    atomic_store(&script.next_commit, COMMIT_LOST);
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    assert_false(is_writable());
    assert_int_equal(submit_one(3), ERR_NO_SPACE);
    assert_ok(store_entry(village.store, &own, 20, &bytes));
    rows_of(village.store, "913418210000000008", &list);
    assert_int_equal(list.n, 16);
    atomic_store(&script.open, OPEN_WORKS);
    wait_writable(true);
    assert_ok(submit_one(3));
    assert_sound(52);
    buf_fini(&bytes);
}

static bool was_logged(int fd, const char *id)
{
    char text[4096];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return strstr(text, id) != NULL;
}

static void a_start_without_room_says_so_and_answers(void **state)
{
    (void)state;
    struct row_list list;
    FILE *log = tmpfile();
    assert_non_null(log);
    assert_ok(submit_one(1));
    node_stop(&village);
    atomic_store(&script.open, OPEN_READONLY);
    log_set_fd(fileno(log));
    node_start(&village);
    bool said = was_logged(fileno(log), "STORE-FULL");
    log_nowhere();
    assert_true(said);
    assert_false(is_writable());
    rows_of(village.store, SUBJECT, &list);
    assert_int_equal(list.n, 1);
    atomic_store(&script.open, OPEN_WORKS);
    wait_writable(true);
    assert_ok(submit_one(2));
    assert_sound(3);
    (void)fclose(log);
}

static void reads_are_unavailable_while_there_is_no_database(void **state)
{
    (void)state;
    struct buf note = BUF_INIT;
    struct log_id own = store_own_log(village.store);
    atomic_store(&script.open, OPEN_FAILS);
    atomic_store(&script.next_commit, COMMIT_LOST);
    struct waiter *w = submit_later(1);
    WAIT_FOR(store_note(village.store, &own, &note, NULL) == ERR_UNAVAILABLE);
    assert_false(is_writable());
    assert_false(w->done);
    atomic_store(&script.open, OPEN_WORKS);
    assert_int_equal(outcome_of(w), ERR_NO_SPACE);
    wait_writable(true);
    assert_ok(store_note(village.store, &own, &note, NULL));
    buf_fini(&note);
    assert_sound(1);
}

/* However long it takes: who asks is told, or answered from what is there. */
static void reads_do_not_wait_for_an_opening(void **state)
{
    (void)state;
    struct buf note = BUF_INIT;
    struct log_id own = store_own_log(village.store);
    atomic_store(&script.open_held, true);
    atomic_store(&script.next_commit, COMMIT_LOST);
    struct waiter *w = submit_later(1);
    WAIT_FOR(atomic_load(&script.opening));
    enum err err = store_note(village.store, &own, &note, NULL);
    assert_true(atomic_load(&script.opening));
    assert_int_equal(err, backend.renew != NULL ? ERR_OK : ERR_UNAVAILABLE);
    atomic_store(&script.open_held, false);
    assert_int_equal(outcome_of(w), ERR_NO_SPACE);
    wait_writable(true);
    buf_clear(&note);
    assert_ok(store_note(village.store, &own, &note, NULL));
    buf_fini(&note);
    assert_sound(1);
}

static void a_full_disk_refuses_and_resumes_by_itself(void **state)
{
    (void)state;
    assert_ok(submit_one(1));
    atomic_store(&script.full, true);
    node_stop(&village);
    village.reserve_bytes = 1;
    atomic_store(&script.full, false);
    node_start(&village);
    atomic_store(&script.full, true);
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    assert_false(is_writable());
    assert_int_equal(submit_one(2), ERR_NO_SPACE);
    assert_int_equal(own_size(), 2);
    atomic_store(&script.full, false);
    wait_writable(true);
    assert_ok(submit_one(2));
    assert_sound(3);
}

static enum err submit_nowait(uint32_t record, struct waiter *w)
{
    struct buf bytes = BUF_INIT;
    draft_put(&bytes,
              &(struct draft){.record = record, .subject = "x", .text = "a"});
    struct slice s = buf_slice(&bytes);
    enum err err = store_submit(village.store, &s, 1, on_submitted, w);
    buf_fini(&bytes);
    return err;
}

static void a_full_queue_is_busy(void **state)
{
    (void)state;
    struct waiter *w[800];
    size_t n = 0;
    enum err err = ERR_OK;
    atomic_store(&script.held, true);
    while (n < ARRAY_LEN(w) && err == ERR_OK) {
        w[n] = waiter_new();
        err = submit_nowait((uint32_t)n, w[n]);
        n += err == ERR_OK;
    }
    atomic_store(&script.held, false);
    assert_int_equal(err, ERR_BUSY);
    assert_true(n >= 256);
    waiter_free(w[n]);
    node_stop(&village); /* finishes what waits */
    for (size_t i = 0; i < n; i++) {
        assert_true(w[i]->done);
        assert_ok(w[i]->err);
        waiter_free(w[i]);
    }
    node_start(&village);
    assert_int_equal(own_size(), n + 1);
}

/* ---- real faults of files ---- */

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

enum { NOISE = 400 };

/* Records that do not pack well. */
static enum err submit_noise(uint32_t from)
{
    struct draft drafts[NOISE];
    char text[NOISE][300];
    for (uint32_t i = 0; i < NOISE; i++) {
        uint32_t x = (from + i) * 2654435761u | 1;
        for (size_t k = 0; k < sizeof text[i] - 1; k++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            text[i][k] = (char)('!' + x % 90);
        }
        text[i][sizeof text[i] - 1] = '\0';
        drafts[i] = (struct draft){
            .record = from + i, .subject = SUBJECT, .text = text[i]};
    }
    return submit(village.store, drafts, NOISE, NULL);
}

/* Every write of a file past the limit fails, as on a full disk. */
static void failing_writes_lose_nothing_acknowledged(void **state)
{
    (void)state;
    enum { ROUNDS = 12 };
    uint64_t expected = own_size();
    unsigned failed = 0;
    if (on_mariadb()) {
        skip(); /* the files are the server's: test_store_mariadb.c */
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    set_file_limit(300 << 10);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        enum err err = submit_noise(round * NOISE);
        assert_true(err == ERR_OK || err == ERR_NO_SPACE || err == ERR_IO);
        expected += err == ERR_OK ? NOISE : 0;
        failed += err != ERR_OK;
        assert_int_equal(own_size(), expected);
        for (int i = 0; i < 15 && !is_writable(); i++) {
            (void)usleep(100000); /* if it is not by then, the next fails */
        }
    }
    assert_true(failed > 0);
    set_file_limit(RLIM_INFINITY);
    wait_writable(true);
    assert_ok(submit_one(1000000));
    assert_sound(expected + 1);
}

struct faults {
    size_t n;
    uint64_t first;
};

static void on_fault(void *ctx, const struct log_id *log, uint64_t number,
                     const char *what)
{
    struct faults *f = ctx;
    assert_int_equal(log->origin, VILLAGE);
    assert_true(what[0] != '\0');
    f->first = f->n++ == 0 ? number : f->first;
}

static void on_nothing(void *ctx, const struct log_id *log, uint64_t number,
                       const char *what)
{
    (void)ctx;
    (void)log;
    (void)number;
    fail_msg("a fault: %s", what);
}

static void scrub_finds_nothing_in_a_sound_store(void **state)
{
    (void)state;
    struct faults f = {0};
    for (uint32_t i = 0; i < 10; i++) {
        submit_many(village.store, i * 500, 500);
        assert_ok(submit_one(100000 + i));
    }
    assert_ok(store_scrub(village.store, on_fault, NULL, &f));
    assert_int_equal(f.n, 0);
}

static void flip_bits(void)
{
    if (on_mariadb()) {
        mariadb_sql(&fed_server,
                    "UPDATE village.cn_block SET v=CONCAT(LEFT(v,40),"
                    "REVERSE(SUBSTR(v,41))) WHERE first BETWEEN 500 AND 520");
        return;
    }
    shell("f=$(ls -S %s/*.sst | head -n1) && s=$(stat -c%%s $f) && "
          "printf '\\377\\000\\377' | dd of=$f bs=1 seek=$((s / 3)) "
          "conv=notrunc status=none",
          village.path);
}

static void scrub_finds_a_flipped_bit(void **state)
{
    (void)state;
    struct faults f = {0};
    struct store_stats stats;
    struct buf bytes = BUF_INIT;
    struct log_id own = store_own_log(village.store);
    for (uint32_t i = 0; i < 5; i++) {
        assert_ok(submit_noise(i * NOISE));
    }
    /* Opening writes what was in memory to a table file. */
    node_restart(&village);
    node_stop(&village);
    flip_bits();
    node_start(&village);
    assert_int_equal(store_scrub(village.store, on_fault, NULL, &f),
                     ERR_CORRUPT);
    assert_true(f.n > 0);
    assert_true(f.first > 1 && f.first < 5 * NOISE);
    assert_int_equal(store_entry(village.store, &own, f.first, &bytes),
                     ERR_CORRUPT);
    store_stats(village.store, &stats);
    assert_non_null(strstr(stats.why, on_mariadb() ? "block" : ".sst"));
    assert_ok(store_entry(village.store, &own, 1, &bytes));
    assert_ok(store_entry(village.store, &own, 5 * NOISE + 1, &bytes));
    buf_fini(&bytes);
}

static void scrub_marks_nothing_that_it_could_not_read(void **state)
{
    const enum script_read failing[] = {READ_BLOCKS, READ_NODES};
    struct store_stats stats;
    (void)state;
    submit_many(village.store, 0, 500);
    for (size_t i = 0; i < ARRAY_LEN(failing); i++) {
        struct faults f = {0};
        fail_reads(failing[i]);
        assert_int_equal(store_scrub(village.store, on_fault, NULL, &f),
                         ERR_IO);
        reads_work();
        assert_int_equal(f.n, 0);
        store_stats(village.store, &stats);
        assert_false(stats.damaged);
        shell("! test -e %s/DAMAGED", village.path);
    }
    struct faults f = {0};
    assert_ok(store_scrub(village.store, on_fault, NULL, &f));
}

static void what_cannot_be_read_for_a_while_is_no_damage(void **state)
{
    (void)state;
    struct errmsg why;
    assert_ok(submit_one(1));
    node_stop(&village);
    fail_reads(READ_PARTS);
    assert_int_equal(node_try_open(&village, &why), ERR_IO);
    assert_non_null(strstr(why.text, "cannot be read now"));
    reads_work();
    node_start(&village);
    assert_int_equal(own_size(), 2);
    shell("! ls -d %s.* 2>/dev/null | grep -v keys", village.path);
}

static void
what_was_set_aside_and_cannot_be_read_is_appended_later(void **state)
{
    (void)state;
    struct draft d = {.record = 1, .subject = SUBJECT, .text = "a"};
    struct draft_result r;
    struct errmsg why;
    node_stop(&village);
    node_wipe(&village);
    village.has_parent = true;
    node_start(&village);
    assert_ok(submit(village.store, &d, 1, &r));
    assert_int_equal(r.outcome, DRAFT_PENDING);
    fail_reads(READ_SALVAGE);
    assert_ok(store_parent_told(village.store, &why));
    wait_failed();
    WAIT_FOR(own_size() == 2);
}

static void closing_answers_a_commit_in_doubt(void **state)
{
    (void)state;
    atomic_store(&script.open, OPEN_FAILS);
    atomic_store(&script.next_commit, COMMIT_LOST);
    struct waiter *w = submit_later(1);
    wait_writable(false);
    store_closing(village.store);
    assert_int_equal(outcome_of(w), ERR_UNCERTAIN);
    assert_int_not_equal(submit_one(2), ERR_OK);
    atomic_store(&script.open, OPEN_WORKS);
    node_restart(&village);
    assert_int_equal(own_size(), 1);
}

/* Nothing of theirs was tried: they need not wait until the doubt is over. */
static void who_waits_behind_a_commit_in_doubt_is_told(void **state)
{
    (void)state;
    atomic_store(&script.open, OPEN_FAILS);
    atomic_store(&script.next_commit, COMMIT_LOST);
    atomic_store(&script.held, true);
    struct waiter *first = submit_later(1);
    wait_held();
    struct waiter *behind = submit_later(1);
    atomic_store(&script.held, false);
    assert_int_equal(outcome_of(behind), ERR_NO_SPACE);
    assert_false(first->done);
    atomic_store(&script.open, OPEN_WORKS);
    assert_int_equal(outcome_of(first), ERR_NO_SPACE);
    wait_writable(true);
    assert_ok(submit_one(1));
    assert_sound(2);
}

/* The doubt comes after the stop was announced. What then is in the database
 * and unheard of here must not be written over. */
static void a_stop_waits_for_no_doubt_that_comes_later(void **state)
{
    (void)state;
    struct errmsg why;
    atomic_store(&script.open, OPEN_FAILS);
    atomic_store(&script.next_commit, COMMIT_DONE_UNHEARD);
    atomic_store(&script.held, true);
    struct waiter *w = submit_later(1);
    wait_held();
    store_stopping(village.store);
    atomic_store(&script.held, false);
    assert_int_equal(outcome_of(w), ERR_UNCERTAIN);
    atomic_store(&script.open, OPEN_WORKS);
    assert_int_not_equal(store_renew(village.store, &village.sign, &why),
                         ERR_OK);
    assert_false(is_writable());
    node_restart(&village);
    assert_int_equal(own_size(), 2);
}

/* ---- long work, and who is told how far it is ---- */

struct told {
    unsigned n;
    bool more;
    enum err submitted;
};

/* The commit of before lasts until the second call. */
static bool on_told(void *ctx, uint64_t done, uint64_t total)
{
    struct told *t = ctx;
    assert_true(done <= total);
    atomic_store(&script.held, t->n++ == 0);
    if (t->n == 2 && t->more) {
        t->submitted = submit_one(2);
    }
    return t->more;
}

static void a_reindex_does_not_wait_for_who_is_told_of_it(void **state)
{
    (void)state;
    struct told t = {.more = true, .submitted = ERR_BUG};
    struct errmsg why;
    assert_ok(submit_one(1));
    atomic_store(&script.held, true);
    assert_ok(store_reindex(village.store, on_told, &t, &why));
    assert_true(t.n >= 2);
    assert_ok(t.submitted);
}

static void a_reindex_ends_when_it_is_told_to(void **state)
{
    (void)state;
    struct told t = {.more = false};
    struct row_list rows;
    struct errmsg why;
    assert_ok(submit_one(1));
    atomic_store(&script.held, true);
    assert_int_equal(store_reindex(village.store, on_told, &t, &why),
                     ERR_CANCELLED);
    rows_of(village.store, SUBJECT, &rows);
    assert_int_equal(rows.n, 1);
    assert_ok(submit_one(2));
    assert_ok(store_reindex(village.store, NULL, NULL, &why));
    rows_of(village.store, SUBJECT, &rows);
    assert_int_equal(rows.n, 2);
}

static bool on_told_to_stop(void *ctx, uint64_t done, uint64_t total)
{
    store_stopping(village.store);
    (void)on_told(ctx, done, total);
    return true;
}

static void a_reindex_ends_with_the_node(void **state)
{
    (void)state;
    struct told t = {.more = false};
    struct errmsg why;
    assert_ok(submit_one(1));
    atomic_store(&script.held, true);
    assert_int_equal(store_reindex(village.store, on_told_to_stop, &t, &why),
                     ERR_CANCELLED);
    assert_ok(submit_one(2)); /* that is taken still */
    assert_sound(3);
}

static void a_scrub_ends_when_it_is_told_to(void **state)
{
    (void)state;
    struct told t = {.more = false};
    submit_many(village.store, 0, 500);
    assert_int_equal(store_scrub(village.store, on_nothing, on_told, &t),
                     ERR_CANCELLED);
    assert_int_equal(t.n, 1);
    atomic_store(&script.held, false);
}

enum { ISSUES = 1200, ISSUES_A_RUN = 400 };

struct shown {
    uint64_t n;
    uint64_t last;
};

/* A commit whose outcome is found out by opening the database anew. */
static bool on_shown(void *ctx, const struct store_issue *issue)
{
    struct shown *s = ctx;
    assert_true(issue->number > s->last);
    s->last = issue->number;
    if (s->n++ % ISSUES_A_RUN == 0) {
        atomic_store(&script.next_commit, COMMIT_DONE_UNHEARD);
        assert_ok(submit_one((uint32_t)s->n));
    }
    return true;
}

static void who_is_shown_issues_holds_nothing_up(void **state)
{
    (void)state;
    struct node township;
    struct forge f;
    struct shown shown = {0};
    struct buf entry = BUF_INIT;
    struct slice run[ISSUES_A_RUN];
    node_init(&township, real, TOWNSHIP, "township");
    assert_ok(forge_open(&f, village.store, &township, 99, NULL));
    draft_put(&entry, &(struct draft){.record = 9, /* of no version: void */
                                      .subject = SUBJECT,
                                      .text = "a"});
    for (size_t i = 0; i < ISSUES_A_RUN; i++) {
        run[i] = buf_slice(&entry);
    }
    for (size_t i = 0; i < ISSUES / ISSUES_A_RUN; i++) {
        assert_ok(
            append(village.store, forge_run(&f, run, ISSUES_A_RUN), NULL));
    }
    assert_ok(store_issues(village.store, on_shown, &shown));
    assert_int_equal(shown.n, ISSUES);
    node_fini(&township);
    buf_fini(&entry);
}

/* ---- between a commit and its heads ---- */

static struct {
    unsigned rows;
    unsigned entries;
    enum err err;
    enum err beyond; /* the end of the log */
} seen;

/* On the writer thread. */
static void look_up(void)
{
    struct subject_key key;
    struct row_list rows = {.n = 0};
    struct buf bytes = BUF_INIT;
    struct log_id own = store_own_log(village.store);
    subject_key_org(&key, SUBJECT_USCC, slice_str(SUBJECT));
    seen.err = store_subject(village.store, &key, on_list_row, &rows);
    for (size_t i = 0; i < rows.n; i++) {
        const struct store_row *row = &rows.at[i];
        seen.rows++;
        seen.entries += store_entry(village.store, &row->log, row->number,
                                    &bytes) == ERR_OK;
    }
    seen.beyond = store_entry(village.store, &own, 100, &bytes);
    buf_fini(&bytes);
}

static void a_row_is_never_seen_without_its_entry(void **state)
{
    (void)state;
    seen.rows = seen.entries = 0;
    atomic_store(&script.committed, look_up);
    assert_ok(submit_one(1));
    atomic_store(&script.committed, NULL);
    assert_ok(seen.err);
    assert_int_equal(seen.beyond, ERR_NOT_FOUND);
    assert_int_equal(seen.rows, 1);
    assert_int_equal(seen.entries, 1);
    struct store_stats stats;
    store_stats(village.store, &stats);
    assert_false(stats.damaged);
    assert_int_equal(stats.why[0], '\0');
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, end)
    const struct CMUnitTest tests[] = {
        T(a_row_is_never_seen_without_its_entry),
        T(a_refused_commit_changes_nothing),
        T(a_refused_commit_forgets_no_tier_above),
        T(a_lost_commit_is_found_missing),
        T(an_unheard_commit_is_found_done),
        T(an_unheard_commit_is_not_acknowledged_before_it_is_safe),
        T(reads_go_on_while_nothing_can_be_written),
        T(a_start_without_room_says_so_and_answers),
        T(reads_are_unavailable_while_there_is_no_database),
        T(a_full_disk_refuses_and_resumes_by_itself),
        T(reads_do_not_wait_for_an_opening),
        T(a_full_queue_is_busy),
        T(what_cannot_be_read_for_a_while_is_no_damage),
        T(what_was_set_aside_and_cannot_be_read_is_appended_later),
        T(closing_answers_a_commit_in_doubt),
        T(who_waits_behind_a_commit_in_doubt_is_told),
        T(a_stop_waits_for_no_doubt_that_comes_later),
        T(a_reindex_does_not_wait_for_who_is_told_of_it),
        T(a_reindex_ends_when_it_is_told_to),
        T(a_reindex_ends_with_the_node),
        T(a_scrub_ends_when_it_is_told_to),
        T(who_is_shown_issues_holds_nothing_up),
        T(failing_writes_lose_nothing_acknowledged),
        T(scrub_finds_nothing_in_a_sound_store),
        T(scrub_finds_a_flipped_bit),
        T(scrub_marks_nothing_that_it_could_not_read),
    };
    real = fixture_backend();
    return cmocka_run_group_tests_name(real->name, tests, fed_setup,
                                       fed_teardown);
}
