#include "contract/store_fixture.h"
#include "support/scripted_backend.h"

#define FIRM "91341821MA2T00001X"

static struct node village;
static struct node township;
static const struct backend *real;
static struct backend backend;

static int start(void **state)
{
    (void)state;
    backend = scripted(real);
    node_init(&village, &backend, VILLAGE, "village");
    node_init(&township, &backend, TOWNSHIP, "township");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    node_fini(&village);
    node_fini(&township);
    return 0;
}

static void submit_text(uint32_t record, const char *text,
                        struct draft_result *result)
{
    struct draft d = {.record = record, .subject = FIRM, .text = text};
    assert_ok(submit(village.store, &d, 1, result));
}

static uint32_t version_of(struct node *n, uint32_t record)
{
    struct subject_key key;
    struct store_row row;
    uint8_t record_key[RECORD_KEY_LEN];
    record_key_of(record, record_key);
    subject_key_org(&key, SUBJECT_USCC, slice_str(FIRM));
    enum err err = store_row(n->store, &key, record_key, VILLAGE, &row);
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    return err == ERR_OK ? row.version : 0;
}

static void take_backup(void)
{
    node_stop(&village);
    node_backup(&village);
    node_start(&village);
}

static void restore_backup(void)
{
    node_stop(&village);
    node_restore(&village);
    node_start(&village);
}

/* The township tells what it holds of the log. */
static enum err succeed(const struct log_id *log, uint64_t common)
{
    struct store_head peer;
    struct buf note = BUF_INIT;
    struct errmsg why = {""};
    assert_ok(store_head(township.store, log, &peer));
    assert_ok(store_note(township.store, log, &note, NULL));
    enum err err = store_succeed(village.store, log, common, peer.frontier.size,
                                 &peer.root, buf_slice(&note), &why);
    buf_fini(&note);
    return err;
}

static void wait_size(const struct log_id *log, uint64_t size)
{
    WAIT_FOR(size_of(village.store, log) >= size);
    assert_int_equal(size_of(village.store, log), size);
}

static void assert_state(const struct log_id *log, enum log_state state,
                         uint64_t size, uint64_t goal)
{
    struct store_head head;
    assert_ok(store_head(village.store, log, &head));
    assert_int_equal(head.state, state);
    assert_int_equal(head.frontier.size, size);
    assert_int_equal(state == LOG_PULLING ? head.end : 0, goal);
}

/* Numbers 2 to 21 are common; 22 to 41 are lost here, 22 to 25 were written
 * here since the restore. */
static struct log_id diverge(void)
{
    struct log_id log = store_own_log(village.store);
    for (uint32_t i = 0; i < 20; i++) {
        submit_text(i, "common", NULL);
    }
    take_backup();
    for (uint32_t i = 0; i < 20; i++) {
        submit_text(10 + i, "lost", NULL); /* 10 to 19 changed, 20 to 29 new */
    }
    copy_log(village.store, township.store, &log);
    restore_backup();
    assert_int_equal(size_of(village.store, &log), 21);
    submit_text(3, "since", NULL);   /* version 2 of a common one */
    submit_text(12, "since", NULL);  /* 2 here, and 2 was lost */
    submit_text(25, "since", NULL);  /* 1 here, and 1 was lost */
    submit_text(100, "since", NULL); /* new to both */
    return log;
}

static void a_rolled_back_log_gets_a_successor(void **state)
{
    (void)state;
    struct log_id old = diverge();
    struct draft_result r;
    struct entry_open open;
    struct entry e;
    struct buf bytes = BUF_INIT;
    assert_ok(succeed(&old, 21));
    assert_state(&old, LOG_PULLING, 21, 41);
    struct log_id new = store_own_log(village.store);
    assert_false(log_id_eq(&old, &new));
    assert_state(&new, LOG_ACTIVE, 1, 0);
    assert_ok(store_entry(village.store, &new, 1, &bytes));
    assert_ok(entry_decode(buf_slice(&bytes), &e));
    assert_ok(entry_open_decode(&e, &open));
    assert_int_equal(open.prev_incarnation, old.incarnation);
    assert_int_equal(open.prev_size, 41);
    /* The index is as it was at the common size. */
    assert_int_equal(version_of(&village, 3), 1);
    assert_int_equal(version_of(&village, 12), 1);
    assert_int_equal(version_of(&village, 25), 0);
    assert_int_equal(version_of(&village, 100), 0);
    submit_text(3, "meanwhile", &r);
    assert_int_equal(r.outcome, DRAFT_PENDING);
    node_restart(&village);
    assert_state(&old, LOG_PULLING, 21, 41);
    submit_text(101, "meanwhile", &r);
    assert_int_equal(r.outcome, DRAFT_PENDING);
    /* It comes back from above in two parts. */
    assert_ok(
        append(village.store, segment_of(township.store, &old, 22, 25), NULL));
    copy_log(township.store, village.store, &old);
    assert_state(&old, LOG_CLOSED, 41, 0);
    wait_size(&new, 1 + 4 + 2);
    assert_int_equal(version_of(&village, 3), 3);
    assert_int_equal(version_of(&village, 12), 3);
    assert_int_equal(version_of(&village, 25), 2);
    assert_int_equal(version_of(&village, 29), 1);
    assert_int_equal(version_of(&village, 100), 1);
    assert_int_equal(version_of(&village, 101), 1);
    submit_text(102, "after", &r);
    assert_int_equal(r.outcome, DRAFT_NEW);
    assert_true(log_id_eq(&r.log, &new));
    buf_fini(&bytes);
    /* The township gets the same, without an alarm. */
    struct issue_list issues;
    copy_log(village.store, township.store, &new);
    assert_same_log(village.store, township.store, &old);
    assert_same_log(village.store, township.store, &new);
    assert_int_equal(version_of(&township, 12), 3);
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, 0);
    issues_of(village.store, &issues);
    assert_int_equal(issues.n, 0);
    node_restart(&village);
    assert_int_equal(version_of(&village, 12), 3);
    struct log_id again = store_own_log(village.store);
    assert_true(log_id_eq(&again, &new));
}

static void a_log_without_a_tail_of_its_own_comes_back_whole(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 20);
    take_backup();
    submit_many(village.store, 20, 30);
    copy_log(village.store, township.store, &log);
    restore_backup();
    assert_ok(succeed(&log, 21));
    copy_log(township.store, village.store, &log);
    assert_state(&log, LOG_CLOSED, 51, 0);
    assert_same_log(village.store, township.store, &log);
    struct log_id new = store_own_log(village.store);
    assert_state(&new, LOG_ACTIVE, 1, 0);
}

static void a_block_across_the_common_end_is_cut(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    struct buf bytes = BUF_INIT;
    submit_many(village.store, 0, 5);
    take_backup();
    submit_many(village.store, 5, 30);
    copy_log(village.store, township.store, &log);
    restore_backup();
    /* One block of numbers 7 to 11, of which none is common but 7 to 8. */
    submit_many(village.store, 5, 5);
    assert_ok(succeed(&log, 8));
    assert_state(&log, LOG_PULLING, 8, 36);
    assert_ok(store_entry(village.store, &log, 8, &bytes));
    assert_int_equal(store_entry(village.store, &log, 9, &bytes),
                     ERR_NOT_FOUND);
    buf_fini(&bytes);
    node_restart(&village);
    copy_log(township.store, village.store, &log);
    assert_same_log(village.store, township.store, &log);
    struct log_id new = store_own_log(village.store);
    /* What was set aside is what came back: unchanged, nothing appended. */
    submit_many(village.store, 500, 1);
    assert_int_equal(size_of(village.store, &new), 2);
}

static void an_own_log_does_not_grow_from_outside(void **state)
{
    (void)state;
    struct log_id log = diverge();
    assert_int_equal(
        append(village.store, segment_of(township.store, &log, 22, 41), NULL),
        ERR_CONFLICT);
    assert_state(&log, LOG_ACTIVE, 25, 0);
}

static void a_wrong_claim_is_refused(void **state)
{
    (void)state;
    struct log_id log = diverge();
    struct log_id unknown = log;
    struct hash root = {{1}};
    struct errmsg why;
    struct buf note = BUF_INIT;
    assert_ok(store_note(township.store, &log, &note, NULL));
    struct slice n = buf_slice(&note);
    unknown.incarnation++;
    assert_int_equal(
        store_succeed(village.store, &unknown, 21, 41, &root, n, &why),
        ERR_NOT_FOUND);
    assert_int_equal(store_succeed(village.store, &log, 99, 41, &root, n, &why),
                     ERR_INVALID);
    assert_int_equal(store_succeed(village.store, &log, 21, 41, &root, n, &why),
                     ERR_BAD_PROOF);
    assert_state(&log, LOG_ACTIVE, 25, 0);
    assert_ok(succeed(&log, 21));
    assert_int_equal(succeed(&log, 21), ERR_EXISTS);
    buf_fini(&note);
}

static void a_log_lost_with_its_disk_comes_back_read_only(void **state)
{
    (void)state;
    struct log_id old = store_own_log(village.store);
    struct draft_result r;
    submit_many(village.store, 0, 40);
    copy_log(village.store, township.store, &old);
    node_stop(&village);
    node_wipe(&village);
    node_start(&village);
    struct log_id new = store_own_log(village.store);
    assert_false(log_id_eq(&old, &new));
    assert_ok(
        append(village.store, segment_of(township.store, &old, 1, 20), NULL));
    submit_text(500, "meanwhile", &r);
    assert_int_equal(r.outcome, DRAFT_PENDING);
    copy_log(township.store, village.store, &old);
    assert_state(&old, LOG_CLOSED, 41, 0);
    wait_size(&new, 2);
    assert_same_log(village.store, township.store, &old);
}

/* ---- beside what others bring ---- */

enum { SET_ASIDE = 700 }; /* each time; appended in three turns */

static void hold_the_next(void)
{
    atomic_store(&script.held, true);
}

static struct segment *run_of(struct forge *f, uint32_t from, uint32_t n)
{
    struct buf bytes[2] = {BUF_INIT, BUF_INIT};
    struct slice entries[2];
    for (uint32_t i = 0; i < n; i++) {
        struct draft d = {
            .record = from + i, .subject = FIRM, .text = "a", .version = 1};
        draft_put(&bytes[i], &d);
        entries[i] = buf_slice(&bytes[i]);
    }
    struct segment *seg = forge_run(f, entries, n);
    buf_fini(&bytes[0]);
    buf_fini(&bytes[1]);
    return seg;
}

/* Two runs of a child's log overlap, so the second one waits for another group;
 * before that comes the next turn of what was set aside. */
static void who_waits_for_the_next_group_is_answered(void **state)
{
    (void)state;
    struct log_id old = store_own_log(village.store);
    struct forge f;
    struct waiter *w[2] = {waiter_new(), waiter_new()};
    submit_many(village.store, 0, 40);
    copy_log(village.store, township.store, &old);
    node_stop(&village);
    node_wipe(&village);
    node_start(&village);
    assert_ok(forge_open(&f, village.store, &township, 5, NULL));
    struct forge longer = f;
    struct segment *runs[2] = {run_of(&f, 1, 1), run_of(&longer, 1, 2)};
    struct log_id new = store_own_log(village.store);
    assert_ok(
        append(village.store, segment_of(township.store, &old, 1, 20), NULL));
    for (uint32_t i = 1; i <= 3; i++) {
        submit_many(village.store, 1000 * i, SET_ASIDE);
    }
    atomic_store(&script.committed, hold_the_next);
    copy_log(township.store, village.store, &old);
    wait_held();
    atomic_store(&script.committed, NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_ok(store_append(village.store, &runs[i], on_appended, w[i]));
    }
    atomic_store(&script.held, false);
    for (size_t i = 0; i < 2; i++) {
        assert_ok(waiter_wait(w[i]));
        waiter_free(w[i]);
    }
    assert_int_equal(size_of(village.store, &f.log), 3);
    wait_size(&new, 1 + 3 * SET_ASIDE);
}

static struct node other;

/* 61 entries, of which the township has 41, and another holder all. */
static struct log_id lose_more_than_the_township_has(void)
{
    struct log_id log = store_own_log(village.store);
    node_init(&other, &backend, TOWNSHIP, "other");
    submit_many(village.store, 0, 40);
    copy_log(village.store, township.store, &log);
    submit_many(village.store, 40, 20);
    copy_log(village.store, other.store, &log);
    return log;
}

static enum err resume(const struct log_id *log, const struct node *from)
{
    struct store_head peer;
    struct errmsg why;
    assert_ok(store_head(from->store, log, &peer));
    return store_resume_pull(village.store, log, peer.frontier.size, &peer.root,
                             &why);
}

static void a_log_that_came_back_is_taken_up_where_it_ended(void **state)
{
    (void)state;
    struct log_id old = lose_more_than_the_township_has();
    struct draft_result r;
    struct issue_list issues;
    node_stop(&village);
    node_wipe(&village);
    node_start(&village);
    struct log_id new = store_own_log(village.store);
    copy_log(township.store, village.store, &old);
    assert_state(&old, LOG_CLOSED, 41, 0);
    assert_int_equal(resume(&old, &township), ERR_INVALID);
    assert_ok(resume(&old, &other));
    assert_state(&old, LOG_PULLING, 41, 61);
    submit_text(500, "meanwhile", &r);
    assert_int_equal(r.outcome, DRAFT_PENDING);
    node_restart(&village);
    assert_state(&old, LOG_PULLING, 41, 61);
    copy_log(other.store, village.store, &old);
    assert_state(&old, LOG_CLOSED, 61, 0);
    assert_same_log(village.store, other.store, &old);
    wait_size(&new, 2);
    issues_of(village.store, &issues);
    assert_int_equal(issues.n, 0);
    node_fini(&other);
}

static void what_was_given_up_may_come_after_all(void **state)
{
    (void)state;
    struct log_id old = lose_more_than_the_township_has();
    struct issue_list issues;
    struct errmsg why;
    node_stop(&village);
    node_wipe(&village);
    node_start(&village);
    assert_ok(
        append(village.store, segment_of(other.store, &old, 1, 41), NULL));
    assert_ok(store_end_pull(village.store, &old, true, &why));
    assert_state(&old, LOG_CLOSED, 41, 0);
    issues_of(village.store, &issues);
    assert_int_equal(issues.n, 1);
    assert_ok(resume(&old, &other));
    copy_log(other.store, village.store, &old);
    assert_state(&old, LOG_CLOSED, 61, 0);
    issues_of(village.store, &issues);
    assert_int_equal(issues.n, 0);
    node_fini(&other);
}

static void a_log_whose_end_was_named_is_not_taken_up(void **state)
{
    (void)state;
    struct log_id old = lose_more_than_the_township_has();
    node_stop(&village);
    node_wipe(&village);
    node_start(&village);
    struct forge next;
    struct store_head peer;
    assert_ok(store_head(township.store, &old, &peer));
    struct entry_open open = {.prev_incarnation = old.incarnation,
                              .prev_size = peer.frontier.size};
    memcpy(open.prev_root, peer.root.b, HASH_LEN);
    assert_ok(forge_open(&next, township.store, &village, 7, &open));
    copy_log(township.store, village.store, &next.log);
    copy_log(township.store, village.store, &old);
    assert_state(&old, LOG_CLOSED, 41, 0);
    assert_int_equal(resume(&old, &other), ERR_EXISTS);
    assert_state(&old, LOG_CLOSED, 41, 0);
    node_fini(&other);
}

/* Somebody weighed the head above against what was here before the log got its
 * successor, and comes with that when it comes back. */
static void a_head_of_what_comes_back_forks_nothing(void **state)
{
    (void)state;
    struct log_id log = diverge();
    struct buf above = BUF_INIT;
    struct buf here = BUF_INIT;
    assert_ok(store_note(township.store, &log, &above, NULL));
    assert_ok(store_note(village.store, &log, &here, NULL));
    assert_ok(succeed(&log, 21));
    assert_int_equal(store_mark_forked(village.store, &log, buf_slice(&above),
                                       "weighed before"),
                     ERR_EXISTS);
    assert_state(&log, LOG_PULLING, 21, 41);
    copy_log(township.store, village.store, &log);
    assert_int_equal(store_mark_forked(village.store, &log, buf_slice(&above),
                                       "weighed before"),
                     ERR_EXISTS);
    assert_state(&log, LOG_CLOSED, 41, 0);
    fail_reads_with(READ_NODES, ERR_UNAVAILABLE);
    assert_int_equal(store_mark_forked(village.store, &log, buf_slice(&here),
                                       "not to be weighed now"),
                     ERR_UNAVAILABLE);
    assert_state(&log, LOG_CLOSED, 41, 0);
    reads_work();
    /* What was signed here since is a second history, and stays one. */
    assert_ok(store_mark_forked(village.store, &log, buf_slice(&here),
                                "two heads of size 25"));
    assert_state(&log, LOG_FORKED, 41, 0);
    buf_fini(&above);
    buf_fini(&here);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(a_rolled_back_log_gets_a_successor),
        T(a_log_without_a_tail_of_its_own_comes_back_whole),
        T(a_block_across_the_common_end_is_cut),
        T(an_own_log_does_not_grow_from_outside),
        T(a_wrong_claim_is_refused),
        T(a_head_of_what_comes_back_forks_nothing),
        T(a_log_lost_with_its_disk_comes_back_read_only),
        T(who_waits_for_the_next_group_is_answered),
        T(a_log_that_came_back_is_taken_up_where_it_ended),
        T(what_was_given_up_may_come_after_all),
        T(a_log_whose_end_was_named_is_not_taken_up),
    };
    real = fixture_backend();
    return cmocka_run_group_tests_name(real->name, tests, fed_setup,
                                       fed_teardown);
}
