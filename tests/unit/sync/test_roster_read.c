/* Which nodes are shut out, as a real store tells it, or cannot. */
#include "contract/lists_fixture.h"

#include "support/scripted_backend.h"

#include "base/loop.h"
#include "sync/hello.h"
#include "sync/roster.h"

static struct backend backend;
static struct node township;
static struct loop *loop;
static pthread_t loop_thread;
static struct sync_env env;

/* How often open calls were looked at again. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    unsigned n;
} looks = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void on_changed(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&looks.lock);
    looks.n++;
    (void)pthread_cond_broadcast(&looks.wake);
    (void)pthread_mutex_unlock(&looks.lock);
}

static void await_looks(unsigned n)
{
    (void)pthread_mutex_lock(&looks.lock);
    while (looks.n < n) {
        (void)pthread_cond_wait(&looks.wake, &looks.lock);
    }
    (void)pthread_mutex_unlock(&looks.lock);
}

static void *run_loop(void *ctx)
{
    loop_run(ctx);
    return NULL;
}

static int setup(void **state)
{
    struct rpc_conf conf = rpc_conf_default();
    struct errmsg why;
    (void)state;
    looks.n = 0;
    backend = scripted(&store_rocksdb);
    start(&township, TOWNSHIP, "roster");
    township.backend = &backend;
    node_restart(&township);
    assert_ok(loop_new(&loop, &why));
    assert_int_equal(pthread_create(&loop_thread, NULL, run_loop, loop), 0);
    conf.workers = 2;
    env = (struct sync_env){.store = township.store,
                            .loop = loop,
                            .trust = fed_trust,
                            .self = {.code = TOWNSHIP},
                            .roster_changed = on_changed};
    assert_ok(rpc_open(&env.rpc, &conf, &why));
    return 0;
}

/* Loop thread. */
static void free_roster(void *ctx)
{
    roster_free(&env.roster);
    waiter_done(ctx, ERR_OK, "");
}

static int teardown(void **state)
{
    struct waiter *w = waiter_new();
    (void)state;
    roster_stop(env.roster);
    loop_post(loop, free_roster, w);
    assert_ok(waiter_wait(w));
    waiter_free(w);
    rpc_close(&env.rpc);
    loop_stop(loop);
    (void)pthread_join(loop_thread, NULL);
    assert_ok(loop_close(&loop));
    node_fini(&township);
    return 0;
}

static void shut_out(uint64_t code)
{
    const struct registry_decision revoked = {.what = REGISTRY_REVOKED,
                                              .code = code,
                                              .decided = TODAY,
                                              .at_ms = 1772000000000,
                                              .reason = slice_str("示例")};
    const struct decision one = {.node = &revoked};
    (void)decide(&township, &one, 1);
}

static const struct principal village = {.kind = PRINCIPAL_NODE,
                                         .federation = FEDERATION,
                                         .tier = TIER_VILLAGE,
                                         .code = VILLAGE,
                                         .not_after_ms = INT64_MAX};
static const struct principal other = {.kind = PRINCIPAL_NODE,
                                       .federation = FEDERATION,
                                       .tier = TIER_VILLAGE,
                                       .code = VILLAGE + 1,
                                       .not_after_ms = INT64_MAX};

static void nobody_is_admitted_before_the_decisions_were_read(void **state)
{
    struct errmsg why;
    (void)state;
    shut_out(VILLAGE);
    fail_reads(READ_LIST_ROWS);
    env.roster = roster_new(&env);
    roster_watch(env.roster);
    assert_int_equal(admit_node(&env, &village, &why), ERR_UNAVAILABLE);
    assert_int_equal(admit_node(&env, &other, &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "cannot be read yet"));
    assert_int_equal(looks.n, 0);
    /* It tries again by itself. */
    reads_work();
    await_looks(1);
    assert_int_equal(admit_node(&env, &village, &why), ERR_DENIED);
    assert_ok(admit_node(&env, &other, &why));
}

/* Of a CA that two share, the same code. */
static void a_node_of_another_federation_is_not_admitted(void **state)
{
    struct errmsg why;
    struct principal stranger = other;
    (void)state;
    env.roster = roster_new(&env);
    roster_watch(env.roster);
    shut_out(VILLAGE);
    await_looks(1);
    assert_ok(admit_node(&env, &other, &why));
    (void)snprintf(stranger.federation, sizeof stranger.federation, "trial");
    assert_int_equal(admit_node(&env, &stranger, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "another federation"));
}

/* The first look ends a stream in order, which a child that does not read
 * never takes; the second one cuts it off (test_shut_out.c). */
static void open_calls_are_looked_at_twice(void **state)
{
    (void)state;
    env.roster = roster_new(&env);
    roster_watch(env.roster);
    shut_out(VILLAGE);
    await_looks(2);
}

/* What is decided before the parts are there that look again. */
static void nobody_looks_again_before_all_is_there(void **state)
{
    struct errmsg why;
    (void)state;
    env.roster_changed = NULL;
    env.roster = roster_new(&env);
    shut_out(VILLAGE);
    assert_ok(admit_node(&env, &village, &why));
    env.roster_changed = on_changed;
    roster_watch(env.roster);
    await_looks(1);
    assert_int_equal(admit_node(&env, &village, &why), ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            nobody_is_admitted_before_the_decisions_were_read, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_node_of_another_federation_is_not_admitted, setup, teardown),
        cmocka_unit_test_setup_teardown(open_calls_are_looked_at_twice, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nobody_looks_again_before_all_is_there,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
