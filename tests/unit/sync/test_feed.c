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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_got_a_file_meanwhile_is_told_on),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
