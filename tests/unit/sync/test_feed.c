/* What a parent tells its child of directives, as the child's Acks say. */
#define FED_ISSUERS "--issuer 341821000000:1:1"
#include <stdatomic.h>

#include "issuer.h"
#include "sync/fresh.h"
#include "sync/hello.h"

enum {
    MANY = 3000,            /* decisions that are some segments, not one */
    WINDOW_BYTES = 1 << 10, /* less than one segment */
    WIDE_BYTES = 4 << 20,   /* more than all of them */
    PERIOD_MS = 10000,
};

/* ---- the parent ---- */

struct source_node {
    struct node *node;
    struct feed *feed;
};

static void feed_on(struct source_node *p, size_t window_bytes)
{
    struct node *n = p->node;
    struct errmsg why;
    struct rpc_tls tls = {node_tls, n};
    n->env.fresh = fresh_new(n->code, PERIOD_MS);
    p->feed = feed_new(&n->env, PERIOD_MS, window_bytes);
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

/* Acknowledges all of the log with its first segment: a file brought it. Or,
 * if nothing is held, nothing by itself. */
struct child {
    struct node *as;
    struct log_id log;
    uint64_t held;
    _Atomic uint64_t first; /* of the segment that came last */
    _Atomic uint64_t last;  /* entry of that */
    _Atomic unsigned segments;
    atomic_bool closed;
};

static void say(struct rpc_stream *s, struct buf *message)
{
    assert_ok(rpc_stream_send(s, message));
    buf_fini(message);
}

static void acknowledge(const struct child *c, struct rpc_stream *s,
                        uint64_t size)
{
    const struct wire_log_ack ack = {.log = c->log, .size = size};
    struct buf message = BUF_INIT;
    wire_put_ack(&message, &ack, 1);
    say(s, &message);
}

static uint64_t last_of(const struct wire_segment *segment)
{
    struct wire_iter it = wire_iter_of(&segment->block);
    struct slice block;
    uint64_t next = segment->first;
    while (wire_next(&it, &block)) {
        size_t count;
        assert_ok(block_count(block, &count));
        next += count;
    }
    return next - 1;
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
    if (m.segment.first == 1 && c->held > 0) {
        acknowledge(c, s, c->held);
    }
    (void)atomic_fetch_add(&c->segments, 1);
    atomic_store(&c->last, last_of(&m.segment));
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

struct reaching {
    const struct child *child;
    uint64_t size;
};

static bool has_reached(void *ctx)
{
    const struct reaching *r = ctx;
    return atomic_load(&r->child->last) >= r->size;
}

/* A stream from `child` to `parent`, whose feed is on. */
struct follower {
    struct rpc_channel *channel;
    struct rpc_stream *stream;
};

static void follow(struct follower *f, struct source_node *parent,
                   struct child *child)
{
    struct rpc_tls tls = {node_tls, child->as};
    struct errmsg why;
    char target[32];
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", parent->node->port);
    assert_ok(rpc_channel_open(&f->channel, child->as->rpc, target, &tls, NULL,
                               &why));
    assert_ok(rpc_stream_open(&f->stream, f->channel, SYNC_SUBSCRIBE,
                              &child_ops, child, 0));
}

/* ---- tests ---- */

static void who_got_a_file_meanwhile_is_told_on(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "county")};
    struct child child = {.as = node_new(TOWNSHIP, "town")};
    struct follower f;
    child.log = decide(county.node, MANY, 1);
    child.held = size_of(county.node, &child.log);
    feed_on(&county, WINDOW_BYTES);
    follow(&f, &county, &child);
    assert_true(comes_true(has_begun, &child, WAIT_MS));
    assert_int_equal(atomic_load(&child.first), 1);
    (void)decide(county.node, 1, 5000);
    assert_true(comes_true(has_more, &child, WAIT_MS));
    assert_int_equal(atomic_load(&child.first), child.held + 1);
    assert_false(atomic_load(&child.closed));
    rpc_channel_close(&f.channel);
    feed_off(&county);
    node_free(child.as);
    node_free(county.node);
}

static void what_follows_gathers_until_the_child_has_answered(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "county2")};
    struct child child = {.as = node_new(TOWNSHIP, "town2")};
    struct follower f;
    child.log = decide(county.node, 1, 1);
    uint64_t size = size_of(county.node, &child.log);
    struct reaching r = {&child, size};
    feed_on(&county, WIDE_BYTES);
    follow(&f, &county, &child);
    assert_true(comes_true(has_reached, &r, WAIT_MS));
    for (uint32_t i = 0; i < 3; i++) {
        (void)decide(county.node, 1, 100 + i);
    }
    acknowledge(&child, f.stream, size);
    r.size = size_of(county.node, &child.log);
    assert_true(comes_true(has_reached, &r, WAIT_MS));
    assert_int_equal(atomic_load(&child.first), size + 1);
    assert_int_equal(atomic_load(&child.segments), 2);
    rpc_channel_close(&f.channel);
    feed_off(&county);
    node_free(child.as);
    node_free(county.node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_got_a_file_meanwhile_is_told_on),
        cmocka_unit_test(what_follows_gathers_until_the_child_has_answered),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
