/* What a parent tells its child of directives, as the child's Acks say. */
#define FED_ISSUERS "--issuer 341821000000:1:1"
#include <stdatomic.h>

#include "issuer.h"
#include "sync/fresh.h"
#include "sync/hello.h"

enum {
    MANY = 3000,            /* decisions that are some segments, not one */
    WINDOW_BYTES = 1 << 10, /* less than one segment */
    PERIOD_MS = 10000,
};

/* ---- the parent ---- */

struct source_node {
    struct node *node;
    struct feed *feed;
};

static void feed_on(struct source_node *p)
{
    struct node *n = p->node;
    struct errmsg why;
    struct rpc_tls tls = {node_tls, n};
    n->env.fresh = fresh_new(n->code, PERIOD_MS);
    p->feed = feed_new(&n->env, PERIOD_MS, WINDOW_BYTES);
    assert_ok(rpc_listen(&n->server, n->rpc, "127.0.0.1:0", &tls,
                         feed_method(p->feed), 1, &why));
    n->port = rpc_server_port(n->server);
}

static void free_feed(void *ctx)
{
    struct source_node *p = ctx;
    feed_free(&p->feed);
}

static void feed_off(struct source_node *p)
{
    feed_hang_up(p->feed);
    rpc_server_close(&p->node->server, 1000);
    on_loop(free_feed, p);
    fresh_free(&p->node->env.fresh);
}

/* ---- the child ---- */

/* Acknowledges all of the log with its first segment: a file brought it. */
struct child {
    struct node *as;
    struct log_id log;
    uint64_t held;
    _Atomic uint64_t first; /* of the segment that came last */
    atomic_bool closed;
};

static void say(struct rpc_stream *s, struct buf *message)
{
    assert_ok(rpc_stream_send(s, message));
    buf_fini(message);
}

static void child_open(struct rpc_stream *s, void *user)
{
    struct child *c = user;
    struct buf message = BUF_INIT;
    hello_put(&c->as->env, 4 << 20, &message);
    say(s, &message);
    wire_put_have(&message, NULL, 0, true);
    say(s, &message);
}

static void child_message(struct rpc_stream *s, void *user,
                          struct slice message)
{
    struct child *c = user;
    struct wire_message m;
    struct errmsg why;
    assert_ok(wire_get_feed(message, &m, &why));
    if (m.kind != WIRE_SEGMENT) {
        return;
    }
    if (m.segment.first == 1) {
        struct buf ack = BUF_INIT;
        wire_put_ack(&ack,
                     &(struct wire_log_ack){.log = c->log, .size = c->held}, 1);
        say(s, &ack);
    }
    atomic_store(&c->first, m.segment.first);
}

static void child_closed(struct rpc_stream *s, void *user, enum err err,
                         const char *text)
{
    struct child *c = user;
    (void)s;
    (void)err;
    (void)text;
    atomic_store(&c->closed, true);
}

static const struct rpc_stream_ops child_ops = {
    .open = child_open, .message = child_message, .closed = child_closed};

static bool has_begun(void *ctx)
{
    const struct child *c = ctx;
    return atomic_load(&c->first) > 0;
}

static bool has_more(void *ctx)
{
    const struct child *c = ctx;
    return atomic_load(&c->first) > c->held;
}

/* ---- a child that is a whole node ---- */

struct follower {
    struct node *node;
    const struct source_node *parent;
    struct rpc_channel *channel;
    struct follow *follow;
};

static void start_following(void *ctx)
{
    struct follower *c = ctx;
    const struct follow_conf conf = {.parent_code = COUNTY,
                                     .backoff_min_ms = 20,
                                     .backoff_max_ms = 200,
                                     .dialing_ms = 10000,
                                     .greeting_ms = 10000};
    c->follow = follow_start(&c->node->env, c->channel, NULL, &conf);
}

static void stop_following(void *ctx)
{
    struct follower *c = ctx;
    follow_stop(&c->follow);
}

static void follow_on(struct follower *c)
{
    struct rpc_tls tls = {node_tls, c->node};
    struct errmsg why;
    char target[32];
    (void)snprintf(target, sizeof target, "127.0.0.1:%u",
                   c->parent->node->port);
    c->node->env.fresh = fresh_new(c->node->code, PERIOD_MS);
    assert_ok(
        rpc_channel_open(&c->channel, c->node->rpc, target, &tls, NULL, &why));
    on_loop(start_following, c);
}

static void follow_off(struct follower *c)
{
    on_loop(stop_following, c);
    rpc_channel_close(&c->channel);
    fresh_free(&c->node->env.fresh);
}

struct awaited {
    struct node *node;
    struct log_id log;
    uint64_t size;
};

static bool has_size(void *ctx)
{
    struct awaited *a = ctx;
    return size_of(a->node, &a->log) == a->size;
}

/* A signed head came behind the entries. */
static bool has_head(void *ctx)
{
    struct awaited *a = ctx;
    struct checkpoint head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    bool has =
        fresh_newer(a->node->env.fresh, &a->log, 0, &head, &note, &chain);
    buf_fini(&note);
    buf_fini(&chain);
    return has;
}

static bool is_forked(void *ctx)
{
    struct awaited *a = ctx;
    return state_of(a->node, &a->log) == LOG_FORKED;
}

/* ---- tests ---- */

static void who_got_a_file_meanwhile_is_told_on(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "county")};
    struct child child = {.as = node_new(TOWNSHIP, "town")};
    struct rpc_channel *channel = NULL;
    struct rpc_stream *s = NULL;
    struct rpc_tls tls = {node_tls, child.as};
    struct errmsg why;
    char target[32];
    child.log = decide(county.node, MANY, 1);
    child.held = size_of(county.node, &child.log);
    feed_on(&county);
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", county.node->port);
    assert_ok(
        rpc_channel_open(&channel, child.as->rpc, target, &tls, NULL, &why));
    assert_ok(
        rpc_stream_open(&s, channel, SYNC_SUBSCRIBE, &child_ops, &child, 0));
    assert_true(comes_true(has_begun, &child, WAIT_MS));
    assert_int_equal(atomic_load(&child.first), 1);
    (void)decide(county.node, 1, 5000);
    assert_true(comes_true(has_more, &child, WAIT_MS));
    assert_int_equal(atomic_load(&child.first), child.held + 1);
    assert_false(atomic_load(&child.closed));
    rpc_channel_close(&channel);
    feed_off(&county);
    node_free(child.as);
    node_free(county.node);
}

/* Its copy is the shorter one and parts late: the newest head alone contradicts
 * nothing that it holds. Both ends keep the other's head. */
static void who_holds_another_history_is_shown_where_it_parts(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "c2")};
    struct follower town = {.node = node_new(TOWNSHIP, "t2"),
                            .parent = &county};
    struct log_id log = decide(county.node, MANY, 1);
    node_copy_to(county.node, "c2twin");
    (void)decide(county.node, 1, 5000);
    struct awaited held = {town.node, log, size_of(county.node, &log)};
    feed_on(&county);
    follow_on(&town);
    assert_true(comes_true(has_size, &held, WAIT_MS));
    follow_off(&town);
    feed_off(&county);
    node_free(county.node);

    county.node = node_new(COUNTY, "c2twin");
    (void)decide(county.node, 1, 6000);
    (void)decide(county.node, 1, 7000);
    assert_true(size_of(county.node, &log) > held.size);
    feed_on(&county);
    follow_on(&town);
    struct awaited issuer = {.node = county.node, .log = log};
    assert_true(comes_true(is_forked, &held, WAIT_MS));
    assert_true(comes_true(is_forked, &issuer, WAIT_MS));
    assert_int_equal(size_of(town.node, &log), held.size);
    follow_off(&town);
    feed_off(&county);
    node_free(town.node);
    node_free(county.node);
}

/* The issuer was put back, decided and signed the head of that anew; since then
 * it has its own log back. */
static void a_head_of_what_was_given_up_goes_to_nobody(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "c3")};
    struct follower town = {.node = node_new(TOWNSHIP, "t3"),
                            .parent = &county};
    struct log_id log = decide(county.node, 1, 1);
    node_copy_to(county.node, "c3twin");
    struct node *twin = node_new(COUNTY, "c3twin");
    (void)decide(county.node, 1, 5000);
    (void)decide(twin, 1, 6000);
    struct store_head other;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    assert_ok(store_head(twin->store, &log, &other));
    assert_ok(store_note(twin->store, &log, &note, &chain));
    struct awaited held = {town.node, log, size_of(county.node, &log)};
    assert_int_equal(other.frontier.size, held.size);
    feed_on(&county);
    assert_true(fresh_came(county.node->env.fresh, &other.newest, 0,
                           buf_slice(&note), buf_slice(&chain)));
    follow_on(&town);
    assert_true(comes_true(has_size, &held, WAIT_MS));
    follow_off(&town);
    follow_on(&town); /* it holds all, and gets a head */
    assert_true(comes_true(has_head, &held, WAIT_MS));
    (void)decide(county.node, 1, 7000);
    held.size = size_of(county.node, &log);
    assert_true(comes_true(has_size, &held, WAIT_MS));
    follow_off(&town);
    feed_off(&county);
    buf_fini(&note);
    buf_fini(&chain);
    node_free(town.node);
    node_free(twin);
    node_free(county.node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_holds_another_history_is_shown_where_it_parts),
        cmocka_unit_test(a_head_of_what_was_given_up_goes_to_nobody),
        cmocka_unit_test(who_got_a_file_meanwhile_is_told_on),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
