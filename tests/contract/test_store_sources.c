/* What becomes of a draft is kept under its source by the same commit: there
 * if the draft is, not there if it is not. */
#include "contract/store_fixture.h"
#include "support/scripted_backend.h"

static struct node village;
static struct backend backend;

static int start(void **state)
{
    (void)state;
    backend = scripted(fixture_backend());
    node_init(&village, &backend, VILLAGE, "village");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    node_fini(&village);
    return 0;
}

static struct draft_source source_of(uint8_t name, uint8_t content)
{
    struct draft_source s;
    memset(s.name, name, SOURCE_LEN);
    memset(s.content, content, SOURCE_LEN);
    return s;
}

/* One draft of record 1 that says `text`. */
static enum err submit_from(const char *text, const struct draft_source *source,
                            struct draft_result *result)
{
    struct draft d = {
        .record = 1, .subject = "91341821000000001X", .text = text};
    struct buf bytes = BUF_INIT;
    struct waiter *w = waiter_new();
    draft_put(&bytes, &d);
    struct slice draft = buf_slice(&bytes);
    enum err err =
        store_submit_from(village.store, &draft, source, 1, on_submitted, w);
    if (err == ERR_OK) {
        err = waiter_wait(w);
        *result = w->results[0];
    }
    waiter_free(w);
    buf_fini(&bytes);
    return err;
}

static enum err ask(const struct draft_source *source, struct source_taken *out)
{
    struct errmsg why;
    return store_source(village.store, source->name, out, &why);
}

static void assert_taken(const struct draft_source *source,
                         const struct draft_result *result)
{
    struct source_taken taken;
    assert_ok(ask(source, &taken));
    assert_memory_equal(taken.content, source->content, SOURCE_LEN);
    uint8_t key[RECORD_KEY_LEN];
    record_key_of(1, key);
    assert_memory_equal(taken.record_key, key, RECORD_KEY_LEN);
    assert_int_equal(taken.result.outcome, result->outcome);
    assert_int_equal(taken.result.version, result->version);
    assert_int_equal(taken.result.number, result->number);
    if (result->number != 0) {
        assert_true(log_id_eq(&taken.result.log, &result->log));
    }
}

static void the_last_outcome_of_a_source_is_kept(void **state)
{
    (void)state;
    struct source_taken taken;
    struct draft_result result;
    const struct draft_source first = source_of(1, 10);
    const struct draft_source later = source_of(1, 11);
    const struct draft_source other = source_of(2, 10);
    assert_int_equal(ask(&first, &taken), ERR_NOT_FOUND);
    assert_ok(submit_from("a", &first, &result));
    assert_int_equal(result.outcome, DRAFT_NEW);
    assert_taken(&first, &result);
    assert_ok(submit_from("b", &later, &result));
    assert_int_equal(result.outcome, DRAFT_CHANGED);
    assert_taken(&later, &result);
    assert_ok(submit_from("b", &other, &result));
    assert_int_equal(result.outcome, DRAFT_UNCHANGED);
    node_restart(&village);
    assert_taken(&other, &result);
    assert_int_equal(ask(&later, &taken), ERR_OK);
    assert_int_equal(taken.result.version, 2);
}

static void a_source_is_there_if_and_only_if_its_draft_is(void **state)
{
    (void)state;
    struct source_taken taken;
    struct draft_result result = {.outcome = DRAFT_NEW};
    const struct draft_source lost = source_of(1, 10);
    const struct draft_source done = source_of(2, 10);
    atomic_store(&script.next_commit, COMMIT_LOST);
    assert_int_not_equal(submit_from("a", &lost, &result), ERR_OK);
    assert_int_equal(ask(&lost, &taken), ERR_NOT_FOUND);
    node_restart(&village); /* it would try again later */
    atomic_store(&script.next_commit, COMMIT_DONE_UNHEARD);
    assert_ok(submit_from("b", &done, &result));
    assert_int_equal(result.outcome, DRAFT_NEW);
    assert_taken(&done, &result);
}

static void drafts_that_wait_have_a_source_without_number(void **state)
{
    (void)state;
    struct draft_result result;
    const struct draft_source s = source_of(1, 10);
    node_stop(&village);
    node_wipe(&village);
    village.has_parent = true;
    node_start(&village);
    assert_ok(submit_from("a", &s, &result));
    assert_int_equal(result.outcome, DRAFT_PENDING);
    assert_taken(&s, &(struct draft_result){.outcome = DRAFT_PENDING});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_outcome_of_a_source_is_kept,
                                        start, stop),
        cmocka_unit_test_setup_teardown(
            a_source_is_there_if_and_only_if_its_draft_is, start, stop),
        cmocka_unit_test_setup_teardown(
            drafts_that_wait_have_a_source_without_number, start, stop),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
