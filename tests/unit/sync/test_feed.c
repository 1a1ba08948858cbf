/* What a parent tells its child of directives, as the child's Acks say. */
#define FED_ISSUERS "--issuer 341821000000:1:1 --issuer 341821100000:1:1"
#include <stdatomic.h>

#include "issuer.h"
#include "sync/feed_impl.h"
#include "sync/fresh.h"
#include "sync/hello.h"

enum {
    MANY = 3000,            /* decisions that are some segments, not one */
    WINDOW_BYTES = 1 << 10, /* less than one segment */
    ROOMY = 4 << 20,
    PERIOD_MS = 10000,
};

/* ---- the parent ---- */

struct source_node {
    struct node *node;
    struct feed *feed;
    size_t window; /* 0: WINDOW_BYTES */
};

static void feed_on(struct source_node *p)
{
    struct node *n = p->node;
    struct errmsg why;
    struct rpc_tls tls = {node_tls, n};
    n->env.fresh = fresh_new(n->code, PERIOD_MS);
    p->feed = feed_new(&n->env, PERIOD_MS,
                       p->window != 0 ? p->window : WINDOW_BYTES, 0);
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
    bool silent; /* or when the test says so */
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

static void child_ack(const struct child *c, struct rpc_stream *s)
{
    struct buf ack = BUF_INIT;
    wire_put_ack(&ack, &(struct wire_log_ack){.log = c->log, .size = c->held},
                 1);
    say(s, &ack);
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
    if (m.segment.first == 1 && !c->silent) {
        child_ack(c, s);
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

static void child_on(struct child *c, const struct source_node *parent,
                     struct rpc_channel **channel, struct rpc_stream **s)
{
    struct rpc_tls tls = {node_tls, c->as};
    struct errmsg why;
    char target[32];
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", parent->node->port);
    assert_ok(rpc_channel_open(channel, c->as->rpc, target, &tls, NULL, &why));
    assert_ok(rpc_stream_open(s, *channel, SYNC_SUBSCRIBE, &child_ops, c, 0));
}

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

/* ---- an issuer's first log ---- */

struct trial {
    struct feed *feed;
    atomic_bool done;
};

static void try_to_open(void *ctx)
{
    struct trial *t = ctx;
    t->feed->first_log_ms = 1;
    t->feed->began_ms = clock_mono_ms() - 1000;
    feed_open_first(t->feed);
    t->feed->first_log_ms = 0; /* its own periods leave it to the test */
    atomic_store(&t->done, true);
}

static bool is_done(void *ctx)
{
    struct trial *t = ctx;
    return atomic_load(&t->done);
}

/* The time has come. Has the node a directives log of its own then? */
static bool opens(struct source_node *p)
{
    struct trial t = {.feed = p->feed};
    struct log_id log;
    strand_run(p->feed->strand, try_to_open, &t);
    assert_true(comes_true(is_done, &t, WAIT_MS));
    return store_directives_log(p->node->store, &log) == ERR_OK;
}

static bool is_held(void *ctx, const struct feed_status *st)
{
    struct awaited *a = ctx;
    a->size = log_id_eq(&st->log, &a->log) ? st->size : a->size;
    return true;
}

struct telling {
    struct source_node *parent;
    struct awaited at;
};

static bool is_told(void *ctx)
{
    struct telling *t = ctx;
    feed_children(t->parent->feed, is_held, &t->at);
    return t->at.size > 0;
}

static void an_issuer_opens_a_log_before_it_decides(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "c4")};
    struct source_node other = {.node = node_new(VILLAGE, "v4")};
    struct follower town = {.node = node_new(TOWNSHIP, "t4b"),
                            .parent = &county};
    struct log_id first;
    feed_on(&county);
    follow_on(&town);
    assert_true(opens(&county));
    assert_ok(store_directives_log(county.node->store, &first));
    struct awaited held = {town.node, first, 1};
    assert_true(comes_true(has_size, &held, WAIT_MS));
    assert_true(opens(&county)); /* and no second one */
    struct log_id log = decide(county.node, 1, 1);
    assert_true(log_id_eq(&log, &first));
    held.size = 4;
    assert_true(comes_true(has_size, &held, WAIT_MS));
    follow_off(&town);
    feed_off(&county);
    /* No document names this one. */
    feed_on(&other);
    assert_false(opens(&other));
    feed_off(&other);
    node_free(town.node);
    node_free(other.node);
    node_free(county.node);
}

static void beside_a_log_that_was_lost_none_is_opened(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "c5")};
    struct follower town = {.node = node_new(TOWNSHIP, "t5"),
                            .parent = &county};
    struct log_id log = decide(county.node, 1, 1);
    struct awaited held = {town.node, log, size_of(county.node, &log)};
    feed_on(&county);
    follow_on(&town);
    assert_true(comes_true(has_size, &held, WAIT_MS));
    follow_off(&town);
    feed_off(&county);
    node_free(county.node);

    county.node = node_new(COUNTY, "c5new");
    feed_on(&county);
    follow_on(&town);
    struct telling telling = {.parent = &county, .at = {.log = log}};
    assert_true(comes_true(is_told, &telling, WAIT_MS));
    assert_true(count_lines("FEED-LOST-LOG", county.node->name) > 0);
    assert_false(opens(&county));
    /* What it decides now is not all that it decided, until that is back. */
    uint64_t child = 0;
    (void)decide(county.node, 1, 1);
    assert_true(feed_lost(county.feed, &child));
    assert_true(child == TOWNSHIP);
    follow_off(&town);
    feed_off(&county);
    node_free(town.node);
    node_free(county.node);
}

static void a_child_that_says_otherwise_has_no_lost_log(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "c5b")};
    struct principal child = {.kind = PRINCIPAL_NODE, .code = TOWNSHIP};
    struct wire_log_have have = {.log = {COUNTY, 7, LOG_DIRECTIVES}, .size = 9};
    uint64_t who = 0;
    feed_on(&county);
    feed_lost_note(county.feed, &child, &have);
    have.log.incarnation = 8;
    feed_lost_note(county.feed, &child, &have);
    child.code = VILLAGE; /* none of this node's */
    feed_lost_note(county.feed, &child, &have);
    assert_true(feed_lost(county.feed, &who));
    feed_lost_forget(county.feed, TOWNSHIP);
    assert_true(feed_lost(county.feed, &who));
    assert_true(who == VILLAGE);
    feed_recheck(county.feed);
    assert_false(feed_lost(county.feed, &who));
    feed_off(&county);
    node_free(county.node);
}

static void lose_store(struct node *n)
{
    node_stop(n);
    shell("rm -rf %s", n->path);
    node_start(n);
}

static bool is_admitted(void *ctx)
{
    struct node *n = ctx;
    return !store_awaits_parent(n->store);
}

/* The parent knows whether there was a store before this one. */
static void the_parent_is_asked_before_a_first_log_is_opened(void **state)
{
    (void)state;
    struct node *county = node_new(COUNTY, "c6");
    struct source_node town = {.node = node_new(TOWNSHIP, "t6")};
    for (int was_there = 0; was_there < 2; was_there++) {
        node_stop(county);
        node_start(county);
        node_listen(county);
        struct log_id old = store_own_log(town.node->store);
        if (was_there) {
            node_connect(town.node, county);
            await_acked(town.node, county, &old);
        }
        town.node->has_parent = true;
        lose_store(town.node);
        feed_on(&town);
        assert_true(store_awaits_parent(town.node->store));
        assert_false(opens(&town));
        feed_off(&town);
        node_connect(town.node, county);
        assert_true(comes_true(is_admitted, town.node, WAIT_MS));
        node_disconnect(town.node);
        feed_on(&town);
        assert_int_equal(opens(&town), !was_there);
        feed_off(&town);
    }
    node_free(town.node);
    node_free(county);
}

/* ---- tests ---- */

static void who_got_a_file_meanwhile_is_told_on(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "county")};
    struct child child = {.as = node_new(TOWNSHIP, "town")};
    struct rpc_channel *channel = NULL;
    struct rpc_stream *s = NULL;
    child.log = decide(county.node, MANY, 1);
    child.held = size_of(county.node, &child.log);
    feed_on(&county);
    child_on(&child, &county, &channel, &s);
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

/* ---- a parent whose child has acknowledged a decision ---- */

struct acked {
    struct feed *feed;
    uint64_t size;
    bool found;
};

static bool look_at_child(void *ctx, const struct feed_status *status)
{
    struct acked *a = ctx;
    a->found = a->found || status->size == a->size;
    return true;
}

static bool is_acked(void *ctx)
{
    struct acked *a = ctx;
    a->found = false;
    feed_children(a->feed, look_at_child, a);
    return a->found;
}

struct followed {
    struct source_node county;
    struct follower town;
    struct log_id log;
    struct acked acked;
};

/* The county's new size is acknowledged. */
static bool is_all_acked(struct followed *f)
{
    f->acked.size = size_of(f->county.node, &f->log);
    return comes_true(is_acked, &f->acked, WAIT_MS);
}

/* `window`: 0 is that of feed_on(). */
static void followed_init(struct followed *f, const char *county,
                          const char *town, size_t window)
{
    *f = (struct followed){
        .county = {.node = node_new(COUNTY, county), .window = window},
        .town = {.node = node_new(TOWNSHIP, town), .parent = &f->county}};
    f->log = decide(f->county.node, 1, 1);
    feed_on(&f->county);
    follow_on(&f->town);
    f->acked.feed = f->county.feed;
    assert_true(is_all_acked(f));
}

static void followed_fini(struct followed *f)
{
    follow_off(&f->town);
    feed_off(&f->county);
    node_free(f->town.node);
    node_free(f->county.node);
}

/* ---- without workers ---- */

enum { WORKERS = 2 }; /* of a node of the fixture */

struct block {
    pthread_mutex_t lock;
    atomic_uint blocked;
};

static void wait_here(void *ctx)
{
    struct block *b = ctx;
    atomic_fetch_add(&b->blocked, 1);
    (void)pthread_mutex_lock(&b->lock);
    (void)pthread_mutex_unlock(&b->lock);
    atomic_fetch_sub(&b->blocked, 1);
}

static bool all_blocked(void *ctx)
{
    struct block *b = ctx;
    return atomic_load(&b->blocked) == WORKERS;
}

static bool one_blocked(void *ctx)
{
    struct block *b = ctx;
    return atomic_load(&b->blocked) == 1;
}

static bool none_blocked(void *ctx)
{
    struct block *b = ctx;
    return atomic_load(&b->blocked) == 0;
}

static void block_workers(struct block *b, struct node *node)
{
    *b = (struct block){.lock = PTHREAD_MUTEX_INITIALIZER};
    (void)pthread_mutex_lock(&b->lock);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_ok(pool_run(rpc_pool(node->rpc), wait_here, b));
    }
    assert_true(comes_true(all_blocked, b, WAIT_MS));
}

static void free_blocked(struct block *b)
{
    (void)pthread_mutex_unlock(&b->lock);
    assert_true(comes_true(none_blocked, b, WAIT_MS));
    (void)pthread_mutex_destroy(&b->lock);
}

static void one_directive_needs_no_worker_where_it_comes(void **state)
{
    (void)state;
    struct followed f;
    struct block block;
    followed_init(&f, "c4", "t4", 0);
    block_workers(&block, f.town.node);
    (void)decide(f.county.node, 1, 5000);
    struct awaited held = {f.town.node, f.log, size_of(f.county.node, &f.log)};
    bool came = comes_true(has_size, &held, WAIT_MS);
    free_blocked(&block);
    assert_true(came);
    followed_fini(&f);
}

static void an_ack_needs_no_worker(void **state)
{
    (void)state;
    struct source_node county = {.node = node_new(COUNTY, "c5")};
    struct child child = {.as = node_new(TOWNSHIP, "t5"), .silent = true};
    struct rpc_channel *channel = NULL;
    struct rpc_stream *s = NULL;
    struct block block;
    child.log = decide(county.node, 1, 1);
    child.held = size_of(county.node, &child.log);
    feed_on(&county);
    child_on(&child, &county, &channel, &s);
    assert_true(comes_true(has_begun, &child, WAIT_MS));
    block_workers(&block, county.node);
    child_ack(&child, s);
    struct acked acked = {.feed = county.feed, .size = child.held};
    bool came = comes_true(is_acked, &acked, WAIT_MS);
    free_blocked(&block);
    assert_true(came);
    rpc_channel_close(&channel);
    feed_off(&county);
    node_free(child.as);
    node_free(county.node);
}

static void an_ack_waits_for_more_while_the_parent_has_room(void **state)
{
    (void)state;
    struct followed f;
    followed_init(&f, "c6", "t6", ROOMY);
    int64_t from_ms = clock_mono_ms();
    (void)decide(f.county.node, 1, 5000);
    assert_true(is_all_acked(&f));
    assert_true(clock_mono_ms() - from_ms >= 100);
    followed_fini(&f);
}

struct acks {
    uint64_t size;
    unsigned n;
};

static bool count_ack(void *ctx, const struct feed_status *status)
{
    struct acks *a = ctx;
    a->n += status->size != a->size;
    a->size = status->size;
    return true;
}

static void acks_of_a_flow_come_once_a_second(void **state)
{
    enum { DIRECTIVES = 10, APART_MS = 150, LOOK_MS = 5 };
    (void)state;
    struct followed f;
    followed_init(&f, "c8", "t8", ROOMY);
    struct acks acks = {.size = f.acked.size};
    int64_t from_ms = clock_mono_ms();
    for (unsigned i = 0; i < DIRECTIVES; i++) {
        (void)decide(f.county.node, 1, 5000 + i);
        for (unsigned at = 0; at < APART_MS; at += LOOK_MS) {
            feed_children(f.county.feed, count_ack, &acks);
            clock_sleep(LOOK_MS);
        }
    }
    int64_t took_ms = clock_mono_ms() - from_ms;
    assert_in_range(acks.n, 0, took_ms / 1000 + 2);
    assert_true(is_all_acked(&f));
    followed_fini(&f);
}

/* What came on the poller is acknowledged there, too. */
static void an_ack_of_one_directive_needs_no_loop(void **state)
{
    (void)state;
    struct followed f;
    struct block block = {.lock = PTHREAD_MUTEX_INITIALIZER};
    followed_init(&f, "c7", "t7", ROOMY);
    (void)pthread_mutex_lock(&block.lock);
    loop_post(fed_loop, wait_here, &block);
    assert_true(comes_true(one_blocked, &block, WAIT_MS));
    (void)decide(f.county.node, 1, 5000);
    bool came = is_all_acked(&f);
    free_blocked(&block);
    assert_true(came);
    followed_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_holds_another_history_is_shown_where_it_parts),
        cmocka_unit_test(a_head_of_what_was_given_up_goes_to_nobody),
        cmocka_unit_test(who_got_a_file_meanwhile_is_told_on),
        cmocka_unit_test(an_issuer_opens_a_log_before_it_decides),
        cmocka_unit_test(beside_a_log_that_was_lost_none_is_opened),
        cmocka_unit_test(a_child_that_says_otherwise_has_no_lost_log),
        cmocka_unit_test(the_parent_is_asked_before_a_first_log_is_opened),
        cmocka_unit_test(one_directive_needs_no_worker_where_it_comes),
        cmocka_unit_test(an_ack_needs_no_worker),
        cmocka_unit_test(an_ack_waits_for_more_while_the_parent_has_room),
        cmocka_unit_test(acks_of_a_flow_come_once_a_second),
        cmocka_unit_test(an_ack_of_one_directive_needs_no_loop),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
