/* Which nodes are shut out, as a real store tells it, or cannot. */
#include "contract/lists_fixture.h"

#include "support/scripted_backend.h"

#include <inttypes.h>

#include "base/loop.h"
#include "mlog/checkpoint.h"
#include "sync/hello.h"
#include "sync/recv.h"
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

/* ---- seals ---- */

static const struct log_id closed = {VILLAGE, 7, LOG_RECORDS};

static void seal_at(uint64_t size, const struct hash *root)
{
    const struct registry_decision sealed = {.what = REGISTRY_SEALED,
                                             .code = closed.origin,
                                             .incarnation = closed.incarnation,
                                             .size = size,
                                             .root = *root,
                                             .decided = TODAY,
                                             .at_ms = 1772000000000,
                                             .reason = slice_str("示例")};
    const struct decision one = {.node = &sealed};
    (void)decide(&township, &one, 1);
}

static void seal(uint64_t size, uint8_t root)
{
    const struct hash hash = {.b = {root}};
    seal_at(size, &hash);
}

/* By whatever key: here by one of another node, whose name is struck out. */
static void put_note(uint64_t incarnation, uint64_t size, uint8_t root,
                     struct buf *out)
{
    const struct checkpoint cp = {.log = {TOWNSHIP, incarnation, LOG_RECORDS},
                                  .size = size,
                                  .root.b = {root},
                                  .at_ms = 1772000000000};
    buf_clear(out);
    assert_ok(
        checkpoint_sign(&cp, FEDERATION, test_suite(), &township.sign, out));
    char theirs[CODE_LEN + 1];
    char ours[CODE_LEN + 1];
    char *at;
    code_format(TOWNSHIP, theirs);
    code_format(VILLAGE, ours);
    while ((at = strstr(buf_cstr(out), theirs)) != NULL) {
        memcpy(out->data + (at - buf_cstr(out)), ours, CODE_LEN);
    }
}

static enum err vouch(uint64_t incarnation, uint64_t size, uint8_t root,
                      struct errmsg *why)
{
    struct buf note = BUF_INIT;
    struct checkpoint head;
    (void)err_set(why, ERR_OK, "was revoked");
    put_note(incarnation, size, root, &note);
    enum err err = roster_vouch(env.roster, ERR_UNAUTHENTICATED, &closed,
                                buf_slice(&note), FEDERATION, &head, why);
    buf_fini(&note);
    return err;
}

static void a_seal_vouches_for_its_head_alone(void **state)
{
    struct errmsg why;
    struct roster_seal held;
    (void)state;
    env.roster = roster_new(&env);
    roster_watch(env.roster);
    assert_int_equal(vouch(7, 30, 1, &why), ERR_UNAUTHENTICATED);
    assert_string_equal(why.text, "was revoked");
    seal(30, 1);
    await_looks(1);
    assert_ok(vouch(7, 30, 1, &why));
    assert_int_equal(vouch(7, 29, 1, &why), ERR_UNAUTHENTICATED);
    assert_int_equal(vouch(7, 31, 1, &why), ERR_UNAUTHENTICATED);
    assert_int_equal(vouch(7, 30, 2, &why), ERR_UNAUTHENTICATED);
    assert_int_equal(vouch(8, 30, 1, &why), ERR_UNAUTHENTICATED);
    assert_non_null(strstr(why.text, "was revoked; the seal by"));
    assert_true(roster_seal(env.roster, &closed, &held));
    assert_int_equal(held.size, 30);
    assert_false(roster_seal(env.roster,
                             &(struct log_id){VILLAGE, 8, LOG_RECORDS}, &held));
    assert_false(
        roster_seal(env.roster, &(struct log_id){VILLAGE, 7, LOG_POST}, &held));
}

/* What a relay makes of it: the same entries under a later time and under
 * certificates that say nothing. */
static void put_retimed(struct segment *seg, struct buf *out)
{
    struct buf note = BUF_INIT;
    struct buf bridge = BUF_INIT;
    const char *time = strstr(buf_cstr(&seg->note), "time ");
    buf_put(&note, seg->note.data, (size_t)(time - buf_cstr(&seg->note)));
    buf_putf(&note, "time %" PRId64 "%s", INT64_MAX, strchr(time, '\n'));
    bridge_put(&bridge, &seg->bridge);
    struct wire_segment_out later = {.log = seg->log,
                                     .blocks = &seg->blocks,
                                     .refs = seg->refs,
                                     .refs_count = seg->refs_count,
                                     .note = buf_slice(&note),
                                     .bridge = buf_slice(&bridge),
                                     .chain = slice_str("no chain")};
    wire_put_segment(out, &later);
    buf_fini(&bridge);
    buf_fini(&note);
}

/* Nobody signed the time of a head that a seal stands for. */
static void a_signed_head_stays_where_a_seal_brings_the_same(void **state)
{
    struct node origin = {.code = VILLAGE};
    struct recv *recv = recv_new(fed_trust, LOG_RECORDS);
    struct recv_log *log = recv_log_new(&closed);
    struct forge f;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct store_head head;
    struct wire_message m;
    struct refusal refusal;
    struct errmsg why;
    (void)state;
    load_identity(&origin, "sign", CERT_USE_SIGN, &origin.sign);
    assert_ok(
        forge_open(&f, township.store, &origin, closed.incarnation, NULL));
    assert_ok(store_head(township.store, &closed, &head));
    assert_ok(store_note(township.store, &closed, &note, &chain));
    assert_ok(recv_log_load(log, fed_trust, &head, buf_slice(&note),
                            buf_slice(&chain), &why));
    env.roster = roster_new(&env);
    roster_watch(env.roster);
    seal_at(1, &head.root);
    await_looks(1);
    recv_heed(recv, env.roster);

    struct tree_view view = store_view(township.store, &head);
    struct segment *seg = segment_of(township.store, &closed, 1, 1);
    put_retimed(seg, &bytes);
    segment_free(&seg);
    assert_ok(wire_get_child(buf_slice(&bytes), &m, &why));
    assert_ok(recv_segment(recv, log, &m.segment, &view, clock_wall_ms(), &seg,
                           &refusal));
    assert_null(seg); /* brings nothing */
    assert_int_equal(log->newest.at_ms, head.newest.at_ms);
    assert_true(slice_eq(buf_slice(&log->note), buf_slice(&note)));
    assert_true(slice_eq(buf_slice(&log->chain), buf_slice(&chain)));
    buf_fini(&bytes);
    buf_fini(&note);
    buf_fini(&chain);
    recv_log_free(&log);
    recv_free(&recv);
    identity_fini(&origin.sign);
}

/* Nobody but the origin forks its log. */
static void what_contradicts_a_seal_is_no_fork(void **state)
{
    struct recv *recv = recv_new(fed_trust, LOG_RECORDS);
    struct recv_log *log = recv_log_new(&closed);
    struct buf note = BUF_INIT;
    struct checkpoint head;
    struct refusal refusal;
    const struct slice none = {NULL, 0};
    (void)state;
    env.roster = roster_new(&env);
    roster_watch(env.roster);
    seal(30, 1);
    await_looks(1);
    recv_heed(recv, env.roster);
    log->newest = (struct checkpoint){.log = closed, .size = 30, .root.b = {9}};
    buf_put_str(&log->chain, "of a CA that is no more");
    put_note(7, 30, 1, &note);
    assert_int_equal(
        recv_note(recv, log, buf_slice(&note), none, NULL, 0, &head, &refusal),
        ERR_CONFLICT);
    assert_false(refusal.disagree);
    assert_non_null(strstr(refusal.text, "not what is sealed"));
    log->newest.root.b[0] = 1;
    assert_ok(
        recv_note(recv, log, buf_slice(&note), none, NULL, 0, &head, &refusal));
    assert_int_equal(head.size, 30);
    buf_fini(&note);
    recv_log_free(&log);
    recv_free(&recv);
}

/* Its entry is damaged: nothing of that log is taken, and nobody else is kept
 * out or let in by it. */
static void a_damaged_seal_hides_no_other_decision(void **state)
{
    struct errmsg why;
    struct roster_seal held;
    (void)state;
    seal(30, 1);
    for (int i = 0; i < 6; i++) { /* a start reads the last sixteen */
        shut_out(VILLAGE);
    }
    node_restart(&township);
    env.store = township.store;
    fail_reads_with(READ_BLOCKS, ERR_CORRUPT);
    env.roster = roster_new(&env);
    roster_watch(env.roster);
    assert_int_equal(admit_node(&env, &village, &why), ERR_DENIED);
    assert_ok(admit_node(&env, &other, &why));
    assert_true(roster_seal(env.roster, &closed, &held));
    assert_int_equal(held.size, 0);
    assert_int_equal(vouch(7, 30, 1, &why), ERR_UNAUTHENTICATED);
    reads_work();
    shut_out(VILLAGE + 1); /* looked at again */
    await_looks(1);
    assert_ok(vouch(7, 30, 1, &why));
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
        cmocka_unit_test_setup_teardown(a_seal_vouches_for_its_head_alone,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_signed_head_stays_where_a_seal_brings_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(what_contradicts_a_seal_is_no_fork,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_seal_hides_no_other_decision,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
