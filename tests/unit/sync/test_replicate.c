#include "fixture.h"
#include "sync/remote.h"

#include <stdatomic.h>

static void a_log_is_copied_in_full_and_then_as_it_grows(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v1");
    struct node *town = node_new(TOWNSHIP, "t1");
    struct log_id log = store_own_log(village->store);
    submit(village, 0, 3000);
    node_listen(town);
    node_connect(village, town);
    await_equal(village, town, &log);
    await_acked(village, town, &log);
    assert_int_equal(status_of(village).full, 1);
    assert_int_equal(status_of(village).behind_entries, 0);

    submit(village, 3000, 1);
    await_equal(village, town, &log);
    submit(village, 3001, 500);
    await_equal(village, town, &log);
    await_acked(village, town, &log);
    assert_int_equal(status_of(village).full, 1);
    assert_int_equal(status_of(village).state, UPLINK_STREAMING);

    node_disconnect(village);
    submit(village, 4000, 100);
    node_connect(village, town);
    await_equal(village, town, &log);
    assert_int_equal(status_of(village).incremental, 1);
    assert_int_equal(status_of(village).full, 0);
    node_free(village);
    node_free(town);
}

/* At moments spread over the time that a greeting takes. */
static void a_link_may_stop_while_the_parent_greets(void **state)
{
    enum { TIMES = 100 };
    (void)state;
    struct node *village = node_new(VILLAGE, "v21");
    struct node *town = node_new(TOWNSHIP, "t21");
    struct log_id log = store_own_log(village->store);
    node_listen(town);
    int64_t begun = clock_mono_ms();
    node_connect(village, town);
    await_acked(village, town, &log);
    unsigned took_us = (unsigned)(clock_mono_ms() - begun) * 1000;
    for (unsigned i = 0; i < TIMES; i++) {
        node_disconnect(village);
        node_connect(village, town);
        (void)usleep(i * took_us / TIMES);
    }
    submit(village, 0, 100);
    await_acked(village, town, &log);
    node_free(village);
    node_free(town);
}

static void reconnect(void *ctx)
{
    struct node *n = ctx;
    uplink_reconnect(n->up);
}

struct reach {
    struct node *node;
    struct log_id log;
    uint64_t size;
};
static bool reached(void *ctx)
{
    struct reach *r = ctx;
    return size_of(r->node, &r->log) >= r->size;
}

static void
an_interrupted_full_copy_sends_no_more_than_its_window_again(void **state)
{
    enum { RECORDS = 12000, CUTS = 10, WINDOW = 64 << 10, SEGMENT = 16 << 10 };
    (void)state;
    struct node *village = node_new(VILLAGE, "v2");
    struct node *whole = node_new_with(TOWNSHIP, "t2", WINDOW);
    struct node *town = node_new_with(TOWNSHIP, "t3", WINDOW);
    struct log_id log = store_own_log(village->store);
    submit(village, 0, RECORDS);
    node_listen(whole);
    node_listen(town);
    village->up_conf.segment_bytes = SEGMENT;
    node_connect(village, whole);
    await_acked(village, whole, &log);
    uint64_t once = status_of(village).sent_bytes;
    node_disconnect(village);

    node_connect(village, town);
    for (uint64_t i = 1; i <= CUTS; i++) {
        struct reach r = {town, log, i * RECORDS / (CUTS + 1)};
        assert_true(comes_true(reached, &r, WAIT_MS));
        uplink_reconnect(village->up);
    }
    await_equal(village, town, &log);
    await_acked(village, town, &log);
    struct uplink_status st = status_of(village);
    assert_true(st.sent_bytes <=
                once + (uint64_t)CUTS * (WINDOW + 2 * SEGMENT));
    assert_int_equal(st.full, 1);
    assert_true(st.resumed >= 1);
    assert_int_equal(st.incremental, 0);
    node_free(village);
    node_free(whole);
    node_free(town);
}

static void
records_of_two_villages_reach_the_county_by_their_township(void **state)
{
    (void)state;
    struct node *v1 = node_new(VILLAGE, "v4");
    struct node *v2 = node_new(VILLAGE2, "v5");
    struct node *town = node_new(TOWNSHIP, "t4");
    struct node *county = node_new(COUNTY, "c4");
    struct log_id logs[] = {store_own_log(v1->store), store_own_log(v2->store),
                            store_own_log(town->store)};
    submit(v1, 0, 700);
    submit(v2, 10000, 900);
    submit(town, 20000, 50);
    node_listen(county);
    node_listen(town);
    node_connect(town, county);
    node_connect(v1, town);
    node_connect(v2, town);
    await_equal(v1, county, &logs[0]);
    await_equal(v2, county, &logs[1]);
    await_equal(town, county, &logs[2]);
    for (uint32_t i = 0; i < 20; i++) {
        submit(v1, 1000 + i, 1);
        submit(v2, 11000 + i, 3);
    }
    await_equal(v1, county, &logs[0]);
    await_equal(v2, county, &logs[1]);
    /* A village learns how far above its parent its records have got. */
    await_acked(v1, county, &logs[0]);
    await_acked(v2, county, &logs[1]);
    await_acked(v1, town, &logs[0]);

    /* Nothing is lost while the middle is away. */
    node_disconnect(town);
    submit(v1, 2000, 100);
    await_equal(v1, town, &logs[0]);
    node_connect(town, county);
    await_acked(v1, county, &logs[0]);
    assert_int_equal(status_of(town).incremental, 1);
    node_free(v1);
    node_free(v2);
    node_free(town);
    node_free(county);
}

static void an_emptied_parent_is_filled_again(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v6");
    struct node *town = node_new(TOWNSHIP, "t6");
    struct log_id log = store_own_log(village->store);
    submit(village, 0, 400);
    node_listen(town);
    node_connect(village, town);
    await_acked(village, town, &log);

    node_stop(town);
    shell("rm -rf %s", town->path);
    node_start(town);
    submit(village, 400, 10);
    node_listen(town);
    await_equal(village, town, &log);
    assert_int_equal(status_of(village).full, 2);
    node_free(village);
    node_free(town);
}

struct lost {
    struct node *node;
    const char *text;
};
static bool failed_with(void *ctx)
{
    struct lost *l = ctx;
    return strstr(status_of(l->node).error, l->text) != NULL;
}

static void a_node_that_is_no_child_is_refused_by_name(void **state)
{
    (void)state;
    struct node *stranger = node_new(STRANGER, "s7");
    struct node *county = node_new(COUNTY, "c7");
    node_listen(county);
    node_connect(stranger, county);
    struct lost l = {stranger, "341822100000 is no child of 341821000000"};
    assert_true(comes_true(failed_with, &l, WAIT_MS));
    assert_true(count_lines("SYNC-DENIED", "c7") >= 1);
    node_free(stranger);
    node_free(county);
}

static void a_parent_that_is_another_node_is_not_greeted(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v8");
    struct node *county = node_new(COUNTY, "c8");
    node_listen(county);
    struct node pretended = {.code = TOWNSHIP, .port = county->port};
    node_connect(village, &pretended);
    /* Without the layers of gRPC, behind which a line has no room for it. */
    char said[128];
    (void)snprintf(said, sizeof said,
                   "failed to connect: 127.0.0.1:%u is 341821000000, the "
                   "parent should be 341821100000: correct",
                   (unsigned)county->port);
    struct lost l = {village, said};
    assert_true(comes_true(failed_with, &l, WAIT_MS));
    node_free(village);
    node_free(county);
}

/* Persons' values are sealed for the ancestors: their certificates come down
 * and wrapped keys go up, through a tier between. */
static bool has_two_wraps(void *ctx)
{
    struct node *n = ctx;
    struct log_id log = store_own_log(n->store);
    unsigned keys = 0;
    for (uint64_t i = 1; i <= size_of(n, &log); i++) {
        struct buf bytes = BUF_INIT;
        struct entry e;
        assert_ok(store_entry(n->store, &log, i, &bytes));
        assert_ok(entry_decode(buf_slice(&bytes), &e));
        keys += e.type == ENTRY_KEY;
        buf_fini(&bytes);
    }
    return keys == 2;
}

static void seal_keys_are_wrapped_for_parent_and_grandparent(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v10");
    struct node *town = node_new(TOWNSHIP, "t10");
    struct node *county = node_new(COUNTY, "c10");
    struct log_id log = store_own_log(village->store);
    struct buf sealed = BUF_INIT;
    struct buf plain = BUF_INIT;
    struct slice value = slice_str("sealed for the tiers above");
    assert_ok(keyring_seal(village->keyring, slice_str("t"), value, &sealed));
    node_listen(town);
    node_connect(village, town);
    await_acked(village, town, &log);
    /* The grandparent comes later: the village is greeted again. */
    node_listen(county);
    node_connect(town, county);
    assert_true(comes_true(has_two_wraps, village, WAIT_MS));
    await_equal(village, county, &log);
    assert_ok(keyring_unseal(county->keyring, VILLAGE, slice_str("t"),
                             buf_slice(&sealed), &plain));
    assert_true(slice_eq(buf_slice(&plain), value));
    buf_fini(&sealed);
    buf_fini(&plain);
    node_free(village);
    node_free(town);
    node_free(county);
}

struct gate {
    atomic_uint waiting;
    atomic_bool open;
};

static void wait_at(void *ctx)
{
    struct gate *gate = ctx;
    atomic_fetch_add(&gate->waiting, 1);
    while (!atomic_load(&gate->open)) {
        (void)usleep(1000);
    }
}

/* Takes both workers of each. */
static void hold_workers(struct gate *gate, struct node *a, struct node *b)
{
    for (unsigned i = 0; i < 2; i++) {
        assert_ok(pool_run(rpc_pool(a->rpc), wait_at, gate));
        assert_ok(pool_run(rpc_pool(b->rpc), wait_at, gate));
    }
    WAIT_FOR(atomic_load(&gate->waiting) == 4);
}

/* A record that follows on is verified, forwarded and acknowledged without
 * waking any of them. */
static void a_lone_record_needs_no_worker(void **state)
{
    (void)state;
    static struct gate gate;
    struct node *village = node_new(VILLAGE, "v30");
    struct node *town = node_new(TOWNSHIP, "t30");
    struct node *county = node_new(COUNTY, "c30");
    struct log_id log = store_own_log(village->store);
    node_listen(county);
    node_listen(town);
    node_connect(town, county);
    node_connect(village, town);
    assert_true(comes_true(has_two_wraps, village, WAIT_MS));
    submit(village, 0, 10);
    await_acked(village, county, &log);
    struct log_id towns = store_own_log(town->store);
    await_acked(town, county, &towns);
    hold_workers(&gate, town, county);
    for (uint32_t i = 0; i < 20; i++) {
        submit(village, 10 + i, 1);
        await_acked(village, town, &log);
        await_acked(town, county, &log);
    }
    await_acked(village, county, &log); /* relayed */
    atomic_store(&gate.open, true);
    node_free(village);
    node_free(town);
    node_free(county);
}

static _Atomic bool registered;
static bool entitled_once_registered(void *ctx, uint64_t origin, uint64_t peer)
{
    return registered && node_entitled(ctx, origin, peer);
}

static bool has_stopped_log(void *ctx)
{
    return status_of(ctx).stopped_logs > 0;
}

/* As when a registry entry comes later than the node that it is about: within
 * seconds, not only after the minutes that are right for what stays wrong. */
static void a_stopped_log_is_offered_again(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v12");
    struct node *town = node_new(TOWNSHIP, "t12");
    struct node *county = node_new(COUNTY, "c12");
    struct log_id log = store_own_log(village->store);
    submit(village, 0, 20);
    county->env.entitled = entitled_once_registered;
    node_listen(town);
    node_listen(county);
    node_connect(village, town);
    await_acked(village, town, &log);
    node_connect(town, county);
    assert_true(comes_true(has_stopped_log, town, WAIT_MS));
    struct uplink_status st = status_of(town);
    assert_int_equal(st.stuck_logs, 1);
    assert_true(log_id_eq(&st.stuck_log, &log));
    assert_true(st.stuck_why[0] != 0 && strncmp(st.stuck_why, "log ", 4) != 0);
    assert_int_equal(state_of(county, &log), LOG_ABSENT);
    registered = true;
    await_equal(village, county, &log);
    assert_int_equal(status_of(town).stopped_logs, 0);
    await_acked(town, county, &log);
    assert_int_equal(status_of(town).stuck_logs, 0);
    node_free(village);
    node_free(town);
    node_free(county);
}

struct verified {
    bool ends; /* behind the first */
    unsigned count;
    struct verify_result last;
};
static bool on_result(void *ctx, const struct verify_result *result)
{
    struct verified *v = ctx;
    v->count++;
    v->last = *result;
    return !v->ends;
}

static void two_equal_copies_verify_and_a_lag_is_no_difference(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v11");
    struct node *town = node_new(TOWNSHIP, "t11");
    struct log_id log = store_own_log(village->store);
    submit(village, 0, 100);
    node_listen(town);
    node_connect(village, town);
    await_acked(village, town, &log);
    node_disconnect(village);
    submit(village, 100, 7);
    struct rpc_channel *channel;
    struct errmsg why;
    struct rpc_tls tls = {node_tls, village};
    assert_ok(rpc_channel_open(&channel, village->rpc, village->parent, &tls,
                               NULL, &why));
    struct verified v = {.count = 0};
    assert_ok(sync_verify(&village->env, channel, NULL, on_result, &v, &why));
    assert_int_equal(v.count, 1);
    assert_true(v.last.equal);
    assert_int_equal(v.last.there, size_of(town, &log));
    assert_true(v.last.here >= v.last.there + 7);
    rpc_channel_close(&channel);
    node_free(village);
    node_free(town);
}

static bool is_streaming(void *ctx)
{
    return status_of(ctx).state == UPLINK_STREAMING;
}

/* It listens only when its own parent has greeted it. */
static void restart_relay(struct node *n, const struct node *parent,
                          uint64_t reserve)
{
    node_stop(n);
    n->reserve = reserve;
    node_start(n);
    node_connect(n, parent);
    assert_true(comes_true(is_streaming, n, WAIT_MS));
    node_listen(n);
}

/* A relay passes on what it verified, though its own disk is full: nothing is
 * acknowledged by it, and when it has room again all copies are the same. */
static void a_parent_may_hold_more_than_the_relay_below_it(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v20");
    struct node *town = node_new(TOWNSHIP, "t20");
    struct node *county = node_new(COUNTY, "c20");
    struct log_id log = store_own_log(village->store);
    node_listen(county);
    node_listen(town);
    node_connect(town, county);
    node_connect(village, town);
    submit(village, 0, 10);
    await_acked(village, county, &log);

    restart_relay(town, county, UINT64_MAX / 2);
    uint64_t there = size_of(town, &log);
    struct reach all = {county, log, there + 5};
    on_loop(reconnect, village);
    submit(village, 10, 5);
    assert_true(comes_true(reached, &all, WAIT_MS));
    assert_int_equal(size_of(town, &log), there);

    restart_relay(town, county, 0);
    on_loop(reconnect, village);
    submit(village, 20, 3);
    await_equal(village, town, &log);
    await_equal(village, county, &log);
    await_acked(village, county, &log);
    assert_int_equal(state_of(county, &log), LOG_ACTIVE);
    assert_int_equal(count_lines("SYNC-FORKED", "c20"), 0);
    assert_int_equal(count_lines("SYNC-PROTOCOL", "t20"), 0);
    assert_int_equal(count_lines("SYNC-UNREADABLE", "t20"), 0);
    node_free(village);
    node_free(town);
    node_free(county);
}

/* What lies below a node it may compare with any other holder, above or below;
 * nothing else. */
/* Never different, and of one size once the keys that are wrapped for new
 * ancestors are with both. */
static void verify_same(struct node *n, struct rpc_channel *channel,
                        const struct log_id *log)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    struct verified v;
    struct errmsg why;
    do {
        v = (struct verified){.count = 0};
        assert_ok(sync_verify(&n->env, channel, log, on_result, &v, &why));
        assert_int_equal(v.count, 1);
        assert_true(v.last.equal);
    } while (v.last.here != v.last.there && clock_mono_ms() < until_ms);
    assert_int_equal(v.last.here, v.last.there);
}

static void copies_are_compared_between_any_two_holders(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v13");
    struct node *town = node_new(TOWNSHIP, "t13");
    struct node *county = node_new(COUNTY, "c13");
    struct log_id log = store_own_log(village->store);
    struct log_id theirs = store_own_log(county->store);
    submit(village, 0, 100);
    node_listen(town);
    node_listen(county);
    node_connect(village, town);
    node_connect(town, county);
    await_equal(village, county, &log);
    struct rpc_channel *channel;
    struct errmsg why;
    struct rpc_tls tls = {node_tls, village};
    assert_ok(rpc_channel_open(&channel, village->rpc, town->parent, &tls, NULL,
                               &why));
    verify_same(village, channel, &log);
    rpc_channel_close(&channel);

    tls = (struct rpc_tls){node_tls, county};
    assert_ok(rpc_channel_open(&channel, county->rpc, village->parent, &tls,
                               NULL, &why));
    verify_same(county, channel, &log);
    rpc_channel_close(&channel);

    struct buf bytes = BUF_INIT;
    struct wire_root_reply reply;
    tls = (struct rpc_tls){node_tls, village};
    assert_ok(rpc_channel_open(&channel, village->rpc, town->parent, &tls, NULL,
                               &why));
    assert_int_equal(remote_root(channel, &theirs, 0, &bytes, &reply, &why),
                     ERR_DENIED);
    assert_non_null(strstr(why.text, "neither the caller nor below it"));
    rpc_channel_close(&channel);
    buf_fini(&bytes);
    node_free(village);
    node_free(town);
    node_free(county);
}

/* What `tls` asks the node for; the refusal's text goes to `why`. */
static enum err ask_root(struct node *asker, const struct rpc_tls *tls,
                         unsigned port, const struct log_id *log,
                         struct errmsg *why)
{
    struct rpc_channel *channel;
    struct buf bytes = BUF_INIT;
    struct wire_root_reply reply;
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    assert_ok(rpc_channel_open(&channel, asker->rpc, address, tls, NULL, why));
    enum err err = remote_root(channel, log, 0, &bytes, &reply, why);
    rpc_channel_close(&channel);
    buf_fini(&bytes);
    return err;
}

static const struct tls_material *app_tls(void *ctx, uint64_t *generation)
{
    *generation = 1;
    return ctx;
}

/* Heads are told to nodes alone, and of lists to those at which they count. */
static void heads_are_told_to_nodes_that_they_concern(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v13b");
    struct node *stranger = node_new(STRANGER, "s13b");
    struct node *county = node_new(COUNTY, "c13b");
    struct log_id lists;
    struct tls_material app;
    struct errmsg why;
    char path[3][128];
    static const char *const names[] = {"fed/ca.pem", "app/app.pem",
                                        "app/app.key"};
    shell("$C/make-app.sh fed app --name hall --scopes public >app.out");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path[i], sizeof path[i], "%s/%s", fed_dir, names[i]);
    }
    assert_ok(tls_material_load(&app, path[0], path[1], path[2], &why));
    assert_ok(store_open_directives(county->store, &lists, &why));
    node_listen(county);
    struct rpc_tls tls = {node_tls, village};
    assert_ok(ask_root(village, &tls, county->port, &lists, &why));
    tls.ctx = stranger;
    assert_int_equal(ask_root(stranger, &tls, county->port, &lists, &why),
                     ERR_DENIED);
    assert_non_null(strstr(why.text, "neither the caller nor below it"));
    tls = (struct rpc_tls){app_tls, &app};
    assert_int_equal(ask_root(village, &tls, county->port, &lists, &why),
                     ERR_DENIED);
    assert_non_null(strstr(why.text, "hall is no node"));
    tls_material_fini(&app);
    node_free(village);
    node_free(stranger);
    node_free(county);
}

static void copies_are_what_their_origin_signed(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v14");
    struct node *town = node_new(TOWNSHIP, "t14");
    struct log_id log = store_own_log(village->store);
    struct log_id none = {VILLAGE, 77, LOG_RECORDS};
    struct verified v = {.count = 0};
    struct errmsg why;
    submit(village, 0, 100);
    node_listen(town);
    node_connect(village, town);
    await_acked(village, town, &log);
    assert_ok(sync_verify_origin(&town->env, NULL, on_result, &v, &why));
    assert_int_equal(v.count, 2);
    v = (struct verified){.ends = true};
    assert_int_equal(sync_verify_origin(&town->env, NULL, on_result, &v, &why),
                     ERR_CANCELLED);
    assert_int_equal(v.count, 1);
    v.ends = false;
    assert_ok(sync_verify_origin(&town->env, &log, on_result, &v, &why));
    assert_true(v.last.equal);
    assert_true(v.last.here > 100 && v.last.here == v.last.there);
    assert_int_equal(sync_verify_origin(&town->env, &none, on_result, &v, &why),
                     ERR_NOT_FOUND);
    /* A holder that no longer trusts the signer proves nothing by its head. */
    char ca[160];
    char list[160];
    struct sync_env env = town->env;
    (void)snprintf(ca, sizeof ca, "%s/fed/%s", fed_dir, test_anchor());
    (void)snprintf(list, sizeof list, "%s/list", fed_dir);
    shell("rm -f list && $C/revoke.sh list %012llu/sign.pem >/dev/null",
          (unsigned long long)VILLAGE);
    assert_ok(trust_open(&env.trust, test_suite(), FEDERATION, ca, list, &why));
    assert_ok(sync_verify_origin(&env, &log, on_result, &v, &why));
    trust_free(&env.trust);
    assert_false(v.last.equal);
    assert_non_null(strstr(v.last.text, "revoked"));
    node_free(village);
    node_free(town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_is_copied_in_full_and_then_as_it_grows),
        cmocka_unit_test(a_link_may_stop_while_the_parent_greets),
        cmocka_unit_test(
            an_interrupted_full_copy_sends_no_more_than_its_window_again),
        cmocka_unit_test(
            records_of_two_villages_reach_the_county_by_their_township),
        cmocka_unit_test(an_emptied_parent_is_filled_again),
        cmocka_unit_test(a_node_that_is_no_child_is_refused_by_name),
        cmocka_unit_test(a_parent_that_is_another_node_is_not_greeted),
        cmocka_unit_test(seal_keys_are_wrapped_for_parent_and_grandparent),
        cmocka_unit_test(a_lone_record_needs_no_worker),
        cmocka_unit_test(a_stopped_log_is_offered_again),
        cmocka_unit_test(a_parent_may_hold_more_than_the_relay_below_it),
        cmocka_unit_test(two_equal_copies_verify_and_a_lag_is_no_difference),
        cmocka_unit_test(copies_are_compared_between_any_two_holders),
        cmocka_unit_test(heads_are_told_to_nodes_that_they_concern),
        cmocka_unit_test(copies_are_what_their_origin_signed),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
