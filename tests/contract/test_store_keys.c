/* Seal keys of others: entries that wait for one are judged again, whatever
 * comes in between. */
#include "contract/store_fixture.h"
#include "support/scripted_backend.h"

#define VILLAGE2 341821100202ull
#define PERSON "111/341821199001010017"

enum { PERSONS = 30 };

static struct node villages[2];
static struct node township;
static const struct backend *real;
static struct backend backend;

static int begin(void **state)
{
    if (fed_setup(state) != 0) {
        return -1;
    }
    shell("$C/make-node.sh fed %012llu --tier village --code %012llu "
          ">/dev/null",
          VILLAGE2, VILLAGE2);
    return 0;
}

static int start(void **state)
{
    (void)state;
    backend = scripted(real);
    node_init(&villages[0], real, VILLAGE, "village");
    node_init(&villages[1], real, VILLAGE2, "village2");
    node_init(&township, &backend, TOWNSHIP, "township");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    node_fini(&villages[0]);
    node_fini(&villages[1]);
    node_fini(&township);
    return 0;
}

static void submit_person(struct node *n, uint32_t record)
{
    uint8_t aad[RECORD_AAD_LEN];
    struct buf sealed = BUF_INIT;
    struct buf draft = BUF_INIT;
    struct entry e = {.type = ENTRY_RECORD,
                      .flags = ENTRY_FLAG_SEALED,
                      .disclosure = DISCLOSURE_AUTHORISED,
                      .subject_kind = SUBJECT_PERSON,
                      .item = 8};
    record_key_of(record, e.record_key);
    record_aad(n->code, e.record_key, RECORD_SUBJECT_FIELD, aad);
    assert_ok(keyring_seal(n->keyring, slice_of(aad, sizeof aad),
                           slice_str(PERSON), &sealed));
    e.subject = buf_slice(&sealed);
    entry_encode(&e, &draft);
    struct slice s = buf_slice(&draft);
    assert_ok(submit_bytes(n->store, &s, 1, NULL));
    buf_fini(&sealed);
    buf_fini(&draft);
}

/* Wraps its key to the township's sealing certificate. */
static void submit_wraps(struct node *n)
{
    struct buf entries = BUF_INIT;
    size_t count;
    keyring_wraps_for(n->keyring, township.seal.cert, clock_wall_ms(), &entries,
                      &count);
    assert_int_equal(count, 1);
    struct slice s = slice_of(entries.data + 4, be_get32(entries.data));
    assert_ok(submit_bytes(n->store, &s, 1, NULL));
    buf_fini(&entries);
}

/* Persons that the township holds and has no key for. */
static void hold_sealed(struct node *n)
{
    struct log_id log = store_own_log(n->store);
    for (uint32_t i = 0; i < PERSONS; i++) {
        submit_person(n, i);
    }
    copy_log(n->store, township.store, &log);
    submit_wraps(n);
}

static struct segment *last_entry(struct node *n)
{
    struct log_id log = store_own_log(n->store);
    uint64_t size = size_of(n->store, &log);
    return segment_of(n->store, &log, size, size);
}

static uint64_t issues(void)
{
    struct store_stats stats;
    store_stats(township.store, &stats);
    return stats.issues;
}

static void wait_for_issues(uint64_t want)
{
    WAIT_FOR(issues() == want);
}

static void keys_of_two_origins_in_one_group_both_count(void **state)
{
    (void)state;
    struct waiter *w[2] = {waiter_new(), waiter_new()};
    hold_sealed(&villages[0]);
    hold_sealed(&villages[1]);
    assert_int_equal(issues(), 2 * PERSONS);
    struct segment *segs[] = {last_entry(&villages[0]),
                              last_entry(&villages[1])};
    /* While this commit lasts, both keys wait for the next. */
    atomic_store(&script.held, true);
    struct waiter *filler = waiter_new();
    struct buf draft = BUF_INIT;
    draft_put(&draft, &(struct draft){.record = 1,
                                      .subject = "91341821MA2T00001X",
                                      .text = "a"});
    struct slice s = buf_slice(&draft);
    assert_ok(store_submit(township.store, &s, 1, on_submitted, filler));
    wait_held();
    for (size_t i = 0; i < 2; i++) {
        assert_ok(store_append(township.store, &segs[i], on_appended, w[i]));
    }
    atomic_store(&script.held, false);
    assert_ok(waiter_wait(filler));
    assert_ok(waiter_wait(w[0]));
    assert_ok(waiter_wait(w[1]));
    wait_for_issues(0);
    waiter_free(filler);
    waiter_free(w[0]);
    waiter_free(w[1]);
    buf_fini(&draft);
}

/* The key is committed; next come the entries that are judged again by it. */
static void refuse_next(void)
{
    atomic_store(&script.next_commit, COMMIT_REFUSED);
    atomic_store(&script.committed, NULL);
}

static void a_failed_commit_does_not_end_the_judging(void **state)
{
    (void)state;
    hold_sealed(&villages[0]);
    atomic_store(&script.committed, refuse_next);
    assert_ok(append(township.store, last_entry(&villages[0]), NULL));
    WAIT_FOR(atomic_load(&script.failed) > 0);
    wait_for_issues(0);
}

static void a_key_that_could_not_be_kept_is_tried_again(void **state)
{
    (void)state;
    hold_sealed(&villages[0]);
    shell("mkdir %s/learned", township.keys);
    assert_ok(append(township.store, last_entry(&villages[0]), NULL));
    assert_int_equal(issues(), PERSONS + 1);
    shell("rmdir %s/learned", township.keys);
    node_restart(&township);
    wait_for_issues(0);
    hold_sealed(&villages[1]);
    shell("mv %s aside", township.keys);
    assert_ok(append(township.store, last_entry(&villages[1]), NULL));
    assert_int_equal(issues(), PERSONS + 1);
    shell("mv aside %s", township.keys);
    node_restart(&township);
    wait_for_issues(0);
}

static void issues_that_cannot_be_read_are_judged_later(void **state)
{
    (void)state;
    hold_sealed(&villages[0]);
    assert_int_equal(issues(), PERSONS);
    fail_reads(READ_ISSUES);
    assert_ok(append(township.store, last_entry(&villages[0]), NULL));
    wait_failed();
    wait_for_issues(0);
}

static void what_was_written_is_done_though_nobody_counts(void **state)
{
    (void)state;
    hold_sealed(&villages[0]);
    fail_reads(READ_ISSUES);
    assert_ok(store_reindex(township.store, NULL, NULL, NULL));
    assert_int_equal(issues(), PERSONS);
    wait_failed();
    assert_ok(append(township.store, last_entry(&villages[0]), NULL));
    wait_for_issues(0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(keys_of_two_origins_in_one_group_both_count),
        T(a_failed_commit_does_not_end_the_judging),
        T(a_key_that_could_not_be_kept_is_tried_again),
        T(issues_that_cannot_be_read_are_judged_later),
        T(what_was_written_is_done_though_nobody_counts),
    };
    real = fixture_backend();
    return cmocka_run_group_tests_name(real->name, tests, begin, fed_teardown);
}
