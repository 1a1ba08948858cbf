/* Hits and what is reported about them, over a real store whose disk waits, or
 * fails, as it is told. */
#include "contract/lists_fixture.h"

#include "support/executions.h"
#include "support/scripted_backend.h"

#include "api/effects.h"
#include "base/loop.h"
#include "base/pool.h"

#define APP "counter"
#define LISTED "913400001000000167"

static struct backend backend;
static struct node township;
static struct loop *loop;
static pthread_t loop_thread;
static struct pool *pool;
static struct sync_env sync_env;
static struct api_env env;
static struct listing_place listing;

static void *run_loop(void *ctx)
{
    loop_run(ctx);
    return NULL;
}

static void make_desk(uint32_t wait_ms)
{
    env = (struct api_env){.store = township.store,
                           .sync = &sync_env,
                           .receipts = strand_new(pool),
                           .self = {.code = TOWNSHIP}};
    env.effects = effects_desk_new(&env, wait_ms);
}

static struct waiter *freed;

/* Loop thread. */
static void free_desk(void *ctx)
{
    (void)ctx;
    effects_desk_free(&env.effects);
    waiter_done(freed, ERR_OK, "");
}

static void end_desk(void)
{
    freed = waiter_new();
    loop_post(loop, free_desk, NULL);
    assert_ok(waiter_wait(freed));
    waiter_free(freed);
    strand_free(env.receipts);
}

static int setup(void **state)
{
    const struct decision one = {.subject = LISTED};
    struct errmsg why;
    (void)state;
    backend = scripted(&store_rocksdb);
    start(&township, TOWNSHIP, "effects");
    township.backend = &backend;
    node_restart(&township);
    const struct published p = decide(&township, &one, 1);
    listing = (struct listing_place){p.log, p.first + 1};
    assert_ok(loop_new(&loop, &why));
    assert_int_equal(pthread_create(&loop_thread, NULL, run_loop, loop), 0);
    assert_ok(pool_new(&pool, "test", 2, SIZE_MAX, &why));
    sync_env = (struct sync_env){.trust = fed_trust, .loop = loop};
    make_desk(600000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    end_desk();
    loop_stop(loop);
    (void)pthread_join(loop_thread, NULL);
    assert_ok(loop_close(&loop));
    pool_close(&pool);
    node_fini(&township);
    return 0;
}

/* ---- a check and a report ---- */

struct answer {
    struct waiter *w;
    bool recorded;
    struct effects_answer reported;
};

static void on_noted(void *ctx, bool recorded)
{
    struct answer *a = ctx;
    a->recorded = recorded;
    waiter_done(a->w, ERR_OK, "");
}

static void on_reported(void *ctx, enum err err, const char *why,
                        const struct effects_answer *answer)
{
    struct answer *a = ctx;
    a->reported = *answer;
    waiter_done(a->w, err, why);
}

static void begin_check(struct answer *a)
{
    const struct store_listing met = {
        .log = listing.log, .number = listing.number, .list = 32};
    struct effects *e = effects_new(&env, APP);
    effects_add(e, &met, LISTED);
    *a = (struct answer){.w = waiter_new()};
    effects_note(&e, on_noted, a);
}

static bool end_check(struct answer *a)
{
    assert_ok(waiter_wait(a->w));
    waiter_free(a->w);
    return a->recorded;
}

static bool check(void)
{
    struct answer a;
    begin_check(&a);
    return end_check(&a);
}

static void begin_report(struct answer *a, uint64_t day)
{
    struct effects_report r = {.number = listing.number,
                               .outcome = "applied",
                               .measures = "C01",
                               .day = day};
    struct errmsg why;
    log_id_format(&listing.log, r.log);
    *a = (struct answer){.w = waiter_new()};
    assert_ok(effects_report(&env, APP, &r, on_reported, a, &why));
}

static struct effects_answer end_report(struct answer *a)
{
    assert_ok(waiter_wait(a->w));
    waiter_free(a->w);
    return a->reported;
}

static struct effects_answer report(uint64_t day)
{
    struct answer a;
    begin_report(&a, day);
    return end_report(&a);
}

static struct execution execution_on(uint32_t day, enum outcome outcome)
{
    return (struct execution){.listing = listing,
                              .list = 32,
                              .subject = LISTED,
                              .node = TOWNSHIP,
                              .app = APP,
                              .day = day,
                              .outcome = outcome};
}

/* What the record of that day says now, and which version. */
static enum outcome outcome_on(uint32_t day, uint32_t *version)
{
    char subject[EXECUTION_SUBJECT_MAX];
    uint8_t record_key[RECORD_KEY_LEN];
    struct subject_key key;
    struct store_row row;
    struct buf bytes = BUF_INIT;
    struct entry e;
    struct execution x = execution_on(day, OUTCOME_HIT);
    struct slice app;
    execution_subject(&listing, subject);
    execution_key(test_suite(), &x, record_key);
    subject_key_org(&key, SUBJECT_LISTING, slice_str(subject));
    assert_ok(store_row(township.store, &key, record_key, TOWNSHIP, &row));
    assert_ok(store_entry(township.store, &row.log, row.number, &bytes));
    assert_ok(entry_decode(buf_slice(&bytes), &e));
    assert_ok(execution_take(&e, &x, &app));
    buf_fini(&bytes);
    *version = row.version;
    return x.outcome;
}

static uint32_t days_ago(int64_t days)
{
    return date_from_ms(clock_wall_ms() - days * 86400 * 1000);
}

static void hit_on(uint32_t day)
{
    const struct execution x = execution_on(day, OUTCOME_HIT);
    struct buf room = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct entry e;
    struct errmsg why;
    assert_ok(
        execution_to_entry(&x, test_suite(), clock_wall_ms(), &room, &e, &why));
    entry_encode(&e, &bytes);
    const struct slice draft = buf_slice(&bytes);
    assert_ok(submit_bytes(township.store, &draft, 1, NULL));
    buf_fini(&room);
    buf_fini(&bytes);
}

/* ---- tests ---- */

static void a_hit_is_noted_once(void **state)
{
    uint32_t version;
    (void)state;
    assert_true(check());
    assert_true(check());
    assert_int_equal(outcome_on(days_ago(0), &version), OUTCOME_HIT);
    assert_int_equal(version, 1);
}

/* The check finds nothing noted, and its hit comes to the disk behind the
 * report. */
static void a_check_does_not_undo_a_report_that_it_did_not_see(void **state)
{
    struct answer reporting;
    struct answer checking;
    uint32_t version;
    (void)state;
    atomic_store(&script.held, true);
    begin_report(&reporting, days_ago(0));
    begin_check(&checking);
    atomic_store(&script.held, false);
    assert_int_equal(end_report(&reporting).result.version, 1);
    assert_true(end_check(&checking));
    assert_int_equal(outcome_on(days_ago(0), &version), OUTCOME_APPLIED);
    assert_int_equal(version, 1);
}

static void a_check_does_not_wait_for_the_disk_for_ever(void **state)
{
    struct answer a;
    uint32_t version;
    (void)state;
    end_desk();
    make_desk(1);
    atomic_store(&script.held, true);
    begin_check(&a);
    assert_false(end_check(&a)); /* answered while the commit hangs */
    atomic_store(&script.held, false);
    end_desk(); /* waits for it */
    assert_int_equal(outcome_on(days_ago(0), &version), OUTCOME_HIT);
    make_desk(600000);
    assert_true(check());
}

static void a_commit_that_fails_is_answered(void **state)
{
    (void)state;
    atomic_store(&script.next_commit, COMMIT_REFUSED);
    assert_false(check());
}

static void a_report_is_about_the_last_check(void **state)
{
    uint32_t version;
    (void)state;
    hit_on(days_ago(3));
    hit_on(days_ago(1));
    assert_int_equal(report(0).result.version, 2);
    assert_int_equal(outcome_on(days_ago(1), &version), OUTCOME_APPLIED);
    assert_int_equal(outcome_on(days_ago(3), &version), OUTCOME_HIT);
    /* A day that is named is that day. */
    assert_int_equal(report(days_ago(3)).result.version, 2);
    assert_int_equal(report(days_ago(0)).result.version, 1);
    assert_int_equal(outcome_on(days_ago(0), &version), OUTCOME_APPLIED);
}

static void without_a_check_lately_it_is_of_today(void **state)
{
    uint32_t version;
    (void)state;
    hit_on(days_ago(7));
    assert_int_equal(report(0).result.version, 1);
    assert_int_equal(outcome_on(days_ago(0), &version), OUTCOME_APPLIED);
    assert_int_equal(outcome_on(days_ago(7), &version), OUTCOME_HIT);
}

/* The app is to say it again, not to be told that there is no such listing. */
static void a_listing_that_cannot_be_read_is_not_unknown(void **state)
{
    struct effects_report r = {
        .number = listing.number, .outcome = "applied", .measures = "C01"};
    struct errmsg why;
    struct answer a = {.w = NULL};
    (void)state;
    log_id_format(&listing.log, r.log);
    forget_entries(&township);
    fail_reads_with(READ_BLOCKS, ERR_TIMEOUT);
    assert_int_equal(effects_report(&env, APP, &r, on_reported, &a, &why),
                     ERR_TIMEOUT);
    reads_work();
}

static void
what_others_reported_is_shown_without_numbers_of_persons(void **state)
{
    char place[EXECUTION_SUBJECT_MAX];
    struct errmsg why;
    json_t *result = NULL;
    (void)state;
    enter_execution(township.store, TOWNSHIP, &listing, LISTED, "counter",
                    "号码999900200002290017");
    enter_execution(township.store, TOWNSHIP, &listing, LISTED,
                    "999900200002290017", "\xff");
    execution_subject(&listing, place);
    json_t *args = json_pack("{s:s}", "listing", place);
    assert_ok(effects_cmd_list(&env, NULL, args, &result, &why));
    json_t *rows = json_object_get(
        json_array_get(json_object_get(result, "listings"), 0), "executions");
    char text[4096] = "";
    assert_int_equal(json_array_size(rows), 2);
    assert_true(json_dumpb(rows, text, sizeof text - 1, 0) < sizeof text);
    assert_null(strstr(text, "0022900"));
    assert_non_null(strstr(text, "***"));
    json_decref(result);
    json_decref(args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hit_is_noted_once, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_check_does_not_undo_a_report_that_it_did_not_see, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            a_check_does_not_wait_for_the_disk_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(a_commit_that_fails_is_answered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_report_is_about_the_last_check, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_a_check_lately_it_is_of_today,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_listing_that_cannot_be_read_is_not_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_others_reported_is_shown_without_numbers_of_persons, setup,
            teardown),
    };
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
