/* A township forwards directives to its village before it holds them, and may
 * lose them then: docs/decisions/0029-directives-forwarded.md. */
#define FED_ISSUERS "--issuer 341821000000:1:1"
#include "issuer.h"
#include "support/scripted_backend.h"
#include "sync/fresh.h"

enum { WINDOW_BYTES = 4 << 20, SELDOM_MS = 3600000, OFTEN_MS = 100 };

/* ---- nodes that feed and follow ---- */

struct stage {
    struct node *node;
    struct feed *feed;
    struct rpc_channel *channel;
    struct follow *follow;
    const struct stage *parent;
};

static void feed_on(struct stage *t, uint32_t period_ms)
{
    struct node *n = t->node;
    struct errmsg why;
    char address[32];
    struct rpc_tls tls = {node_tls, n};
    n->env.fresh = fresh_new(n->code, SELDOM_MS);
    t->feed = feed_new(&n->env, period_ms, WINDOW_BYTES, 0);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", n->port);
    assert_ok(rpc_listen(&n->server, n->rpc, address, &tls,
                         feed_method(t->feed), 1, &why));
    n->port = rpc_server_port(n->server);
}

static void free_feed(void *ctx)
{
    struct stage *t = ctx;
    feed_free(&t->feed);
}

static void feed_off(struct stage *t)
{
    feed_hang_up(t->feed);
    rpc_server_close(&t->node->server, 1000);
    on_loop(free_feed, t);
    fresh_free(&t->node->env.fresh);
}

static void start_following(void *ctx)
{
    struct stage *t = ctx;
    const struct follow_conf conf = {.parent_code = t->parent->node->code,
                                     .backoff_min_ms = 20,
                                     .backoff_max_ms = 200,
                                     .dialing_ms = 10000,
                                     .greeting_ms = 10000};
    t->follow = follow_start(&t->node->env, t->channel, t->feed, &conf);
}

static void stop_following(void *ctx)
{
    struct stage *t = ctx;
    follow_stop(&t->follow);
}

/* After feed_on(), which makes what it needs as well. */
static void follow_on(struct stage *t, const struct stage *parent)
{
    struct rpc_tls tls = {node_tls, t->node};
    struct errmsg why;
    char target[32];
    t->parent = parent;
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", parent->node->port);
    assert_ok(
        rpc_channel_open(&t->channel, t->node->rpc, target, &tls, NULL, &why));
    on_loop(start_following, t);
}

static void follow_off(struct stage *t)
{
    on_loop(stop_following, t);
    rpc_channel_close(&t->channel);
}

/* ---- county, township, village ---- */

static struct backend scripted_rocksdb;

struct three {
    struct stage county;
    struct stage town; /* its store does as `script` says */
    struct stage village;
    struct log_id log;
    uint64_t size; /* of the log at the county */
    bool told;     /* is_told() */
    bool ok;       /* all that was expected; judged when all are stopped */
};

#define EXPECT(all, expr)                                                      \
    do {                                                                       \
        if (!(expr)) {                                                         \
            print_error("line %d: not so: %s\n", __LINE__, #expr);             \
            (all)->ok = false;                                                 \
        }                                                                      \
    } while (0)

struct awaited {
    struct stage *at;
    struct three *all;
};

static bool has_all(void *ctx)
{
    const struct awaited *a = ctx;
    return size_of(a->at->node, &a->all->log) == a->all->size;
}

static void await_all(struct three *all, struct stage *at)
{
    struct awaited a = {at, all};
    EXPECT(all, comes_true(has_all, &a, WAIT_MS));
}

static void decide_one(struct three *all, uint32_t seed)
{
    all->log = decide(all->county.node, 1, seed);
    all->size = size_of(all->county.node, &all->log);
}

static struct node *town_new(const char *name)
{
    struct node *n = node_new(TOWNSHIP, name);
    node_stop(n);
    n->backend = &scripted_rocksdb;
    n->reserve = 1; /* less is a full disk */
    node_start(n);
    return n;
}

/* All three hold one decision. */
static void three_on(struct three *all, const char *names, uint32_t period_ms)
{
    char name[16];
    *all = (struct three){.ok = true};
    script.failed = 0;
    scripted_rocksdb = scripted(&store_rocksdb);
    (void)snprintf(name, sizeof name, "c%s", names);
    all->county.node = node_new(COUNTY, name);
    atomic_store(&all->county.node->env.signer, &all->county.node->sign);
    (void)snprintf(name, sizeof name, "t%s", names);
    all->town.node = town_new(name);
    (void)snprintf(name, sizeof name, "v%s", names);
    all->village.node = node_new(VILLAGE, name);
    feed_on(&all->county, period_ms);
    feed_on(&all->town, SELDOM_MS);
    feed_on(&all->village, SELDOM_MS);
    decide_one(all, 1);
    follow_on(&all->town, &all->county);
    follow_on(&all->village, &all->town);
    await_all(all, &all->town);
    await_all(all, &all->village);
}

static void three_off(struct three *all)
{
    follow_off(&all->village);
    follow_off(&all->town);
    feed_off(&all->village);
    feed_off(&all->town);
    feed_off(&all->county);
    node_free(all->village.node);
    node_free(all->town.node);
    node_free(all->county.node);
    assert_true(all->ok);
}

/* The township's process ends, and another begins with what is on the disk; it
 * hears nothing of the county. */
static void town_dies(struct three *all, void (*between)(struct node *n))
{
    follow_off(&all->town);
    feed_off(&all->town);
    node_stop(all->town.node);
    if (between != NULL) {
        between(all->town.node);
    }
    atomic_store(&script.refusing, false);
    node_start(all->town.node);
    feed_on(&all->town, SELDOM_MS);
}

static bool says_put_back(void *ctx)
{
    struct three *all = ctx;
    struct follow_status st;
    follow_status(all->village.follow, &st);
    return st.behind;
}

/* ---- tests ---- */

static void a_directive_goes_on_before_it_is_committed(void **state)
{
    (void)state;
    struct three all;
    three_on(&all, "1", SELDOM_MS);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t before = all.size;
        atomic_store(&script.held, true);
        decide_one(&all, 100 + i);
        struct awaited village = {&all.village, &all};
        bool came = comes_true(has_all, &village, WAIT_MS);
        uint64_t town = size_of(all.town.node, &all.log);
        atomic_store(&script.held, false);
        EXPECT(&all, came);
        EXPECT(&all, town == before);
        await_all(&all, &all.town);
    }
    three_off(&all);
}

/* It comes back with less than the village has of it. */
static void who_dies_before_its_commit_was_not_put_back(void **state)
{
    (void)state;
    struct three all;
    three_on(&all, "2", SELDOM_MS);
    uint64_t before = all.size;
    atomic_store(&script.refusing, true);
    decide_one(&all, 200);
    await_all(&all, &all.village);
    town_dies(&all, NULL);
    EXPECT(&all, size_of(all.town.node, &all.log) == before);
    /* Its head comes before what it gets now. */
    follow_on(&all.town, &all.county);
    await_all(&all, &all.town);
    decide_one(&all, 201);
    await_all(&all, &all.village);
    EXPECT(&all, !says_put_back(&all));
    EXPECT(&all, count_lines("FOLLOW-ROLLBACK", all.village.node->name) == 0);
    three_off(&all);
}

static void go_back(struct node *n)
{
    shell("rm -rf %s && cp -r %s.bak %s", n->path, n->path, n->path);
}

static bool add_told(void *ctx, const struct feed_status *st)
{
    struct three *all = ctx;
    all->told =
        all->told || (log_id_eq(&st->log, &all->log) && st->size == all->size);
    return true;
}

/* The village is there again, and has said what it holds. */
static bool is_told(void *ctx)
{
    struct three *all = ctx;
    all->told = false;
    feed_children(all->town.feed, add_told, all);
    return all->told;
}

static void keep_town(struct three *all)
{
    follow_off(&all->town);
    feed_off(&all->town);
    node_back_up(all->town.node);
    feed_on(&all->town, SELDOM_MS);
    EXPECT(all, comes_true(is_told, all, WAIT_MS));
    follow_on(&all->town, &all->county);
}

/* One decision it has said to hold, of another it has not. */
static void who_lost_more_than_it_forwarded_was_put_back(void **state)
{
    (void)state;
    struct three all;
    three_on(&all, "3", SELDOM_MS);
    keep_town(&all);
    decide_one(&all, 300);
    await_all(&all, &all.town);
    await_all(&all, &all.village);
    atomic_store(&script.refusing, true);
    decide_one(&all, 301);
    await_all(&all, &all.village);
    town_dies(&all, go_back);
    EXPECT(&all, comes_true(says_put_back, &all, WAIT_MS));
    EXPECT(&all, count_lines("FOLLOW-ROLLBACK", all.village.node->name) > 0);
    follow_on(&all.town, &all.county);
    await_all(&all, &all.town);
    three_off(&all);
}

/* The newest head came to the village without entries: who sends it has them.
 */
static bool has_newest_head(void *ctx)
{
    const struct three *all = ctx;
    struct checkpoint head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    bool has = fresh_newer(all->village.node->env.fresh, &all->log, 0, &head,
                           &note, &chain) &&
               note.len > 0 && head.size == all->size;
    buf_fini(&note);
    buf_fini(&chain);
    return has;
}

static void a_head_says_that_what_came_before_is_held(void **state)
{
    (void)state;
    struct three all;
    three_on(&all, "4", OFTEN_MS);
    keep_town(&all);
    decide_one(&all, 400);
    await_all(&all, &all.village);
    EXPECT(&all, comes_true(has_newest_head, &all, WAIT_MS));
    town_dies(&all, go_back);
    EXPECT(&all, comes_true(says_put_back, &all, WAIT_MS));
    follow_on(&all.town, &all.county);
    await_all(&all, &all.town);
    three_off(&all);
}

/* Refused by its store again and again. */
static bool has_tried(void *ctx)
{
    const struct three *all = ctx;
    return count_lines("FOLLOW-PROTOCOL", all->town.node->name) >= 3;
}

static void while_nothing_can_be_written_nothing_is_forwarded(void **state)
{
    (void)state;
    struct three all;
    three_on(&all, "5", SELDOM_MS);
    uint64_t before = all.size;
    atomic_store(&script.full, true);
    EXPECT(&all, submit_once(all.town.node, 1, 1) == ERR_NO_SPACE);
    decide_one(&all, 500);
    bool tried = comes_true(has_tried, &all, WAIT_MS);
    uint64_t village = size_of(all.village.node, &all.log);
    atomic_store(&script.full, false);
    EXPECT(&all, tried);
    EXPECT(&all, village == before);
    await_all(&all, &all.town);
    await_all(&all, &all.village);
    three_off(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directive_goes_on_before_it_is_committed),
        cmocka_unit_test(who_dies_before_its_commit_was_not_put_back),
        cmocka_unit_test(who_lost_more_than_it_forwarded_was_put_back),
        cmocka_unit_test(a_head_says_that_what_came_before_is_held),
        cmocka_unit_test(while_nothing_can_be_written_nothing_is_forwarded),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
