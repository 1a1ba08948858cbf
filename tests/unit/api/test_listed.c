/* How fresh a node calls the lists that it issues itself. */
#include "contract/store_fixture.h"

#include "api/directives.h"
#include "store/store_impl.h"

static struct node village;
static int64_t until_ms;

static int64_t alone(void *ctx)
{
    (void)ctx;
    return until_ms;
}

static int setup(void **state)
{
    (void)state;
    node_init(&village, &store_rocksdb, VILLAGE, "village");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    node_fini(&village);
    return 0;
}

/* Another may have become the writer by then, and have decided more. */
static void own_lists_are_fresh_while_no_other_process_writes(void **state)
{
    (void)state;
    struct sync_env sync = {.fresh = fresh_new(VILLAGE, 10000)};
    struct api_env env = {
        .store = village.store, .sync = &sync, .self = {.code = VILLAGE}};
    struct lists_log log = {.log = {VILLAGE, 1, LOG_DIRECTIVES},
                            .state = LOG_ACTIVE};
    struct freshness f;
    lists_fresh(&env, &log, &f); /* the only process */
    assert_int_equal(f.state, FRESH_YES);
    village.store->env.alone_until_ms = alone;
    until_ms = INT64_MAX;
    lists_fresh(&env, &log, &f);
    assert_int_equal(f.state, FRESH_YES);
    until_ms = 0;
    lists_fresh(&env, &log, &f);
    assert_int_equal(f.state, FRESH_STALE);
    log.ended = true; /* for good, whoever writes */
    lists_fresh(&env, &log, &f);
    assert_int_equal(f.state, FRESH_YES);
    fresh_free(&sync.fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            own_lists_are_fresh_while_no_other_process_writes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
