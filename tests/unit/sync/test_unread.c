/* A store that cannot be read for a moment, or is slow: nothing is concluded
 * from it, and all goes on when it can be read again. */
#define FED_ISSUERS "--issuer 341821000000:1:1"
#include "issuer.h"
#include "support/scripted_backend.h"
#include "sync/downlink_impl.h"
#include "sync/recv.h"
#include "sync/source.h"

static void script_on(struct node *n)
{
    static struct backend backend;
    backend = scripted(&store_rocksdb);
    n->backend = &backend;
    node_stop(n);
    node_start(n);
}

static bool has_failed(void *ctx)
{
    (void)ctx;
    return atomic_load(&script.failed) > 0;
}

/* ---- records, upwards ---- */

/* Two that were connected: 40 entries are at both, 40 more at the village. One
 * of them does as the script says. */
struct parted {
    struct node *village;
    struct node *town;
    struct log_id log;
};

static struct parted parted_new(const char *village, const char *town,
                                bool scripted_town)
{
    struct parted p = {.village = node_new(VILLAGE, village),
                       .town = node_new(TOWNSHIP, town)};
    p.log = store_own_log(p.village->store);
    script_on(scripted_town ? p.town : p.village);
    node_listen(p.town);
    submit(p.village, 0, 40);
    node_connect(p.village, p.town);
    await_acked(p.village, p.town, &p.log);
    node_disconnect(p.village);
    submit(p.village, 40, 40);
    return p;
}

static void parted_free(struct parted *p)
{
    node_free(p->village);
    node_free(p->town);
}

static void what_cannot_be_compared_is_offered_again(void **state)
{
    (void)state;
    struct parted p = parted_new("unread", "town-unread", false);
    fail_reads(READ_NODES | READ_BLOCKS);
    node_connect(p.village, p.town);
    assert_true(comes_true(has_failed, NULL, WAIT_MS));
    reads_work();
    await_acked(p.village, p.town, &p.log);
    parted_free(&p);
}

static void lose(struct node *n)
{
    node_stop(n);
    shell("rm -rf %s", n->path);
    node_start(n);
}

static bool is_held(void *ctx)
{
    (void)ctx;
    return atomic_load(&script.waiting);
}

static bool is_back(void *ctx)
{
    (void)ctx;
    return count_lines("SYNC-CHILD ", "slow-parent") >= 3;
}

struct lines {
    const char *id;
    const char *node;
    unsigned n;
};
static bool has_lines(void *ctx)
{
    const struct lines *l = ctx;
    return count_lines(l->id, l->node) >= l->n;
}

static bool is_closed(void *ctx)
{
    const struct parted *p = ctx;
    return state_of(p->village, &p->log) == LOG_CLOSED;
}

/* What the parent's store has not committed when the child comes back, without
 * its own: the child is told of it too, and gives nothing up. */
static void what_is_on_its_way_is_told_to_a_child_that_lost_it(void **state)
{
    (void)state;
    struct parted p = parted_new("village-lost", "slow-parent", true);
    uint64_t all = size_of(p.village, &p.log);
    atomic_store(&script.held, true);
    node_connect(p.village, p.town);
    assert_true(comes_true(is_held, NULL, WAIT_MS));
    lose(p.village);
    node_connect(p.village, p.town);
    assert_true(comes_true(is_back, NULL, WAIT_MS));
    (void)usleep(300000); /* for a word that comes too early to be heard */
    atomic_store(&script.held, false);
    assert_true(comes_true(is_closed, &p, WAIT_MS));
    assert_int_equal(size_of(p.village, &p.log), all);
    await_equal(p.village, p.town, &p.log);
    assert_int_equal(count_lines("STORE-GAP", "village-lost"), 0);
    assert_int_equal(count_lines("SYNC-PROTOCOL", "village-lost"), 0);
    parted_free(&p);
}

struct tiers {
    struct parted p;
    struct node *county;
    uint64_t all;
};

static bool knows_above(void *ctx)
{
    const struct tiers *t = ctx;
    struct store_above above[ABOVE_MAX];
    size_t n = store_above(t->p.town->store, &t->p.log, above);
    return n > 0 && above[0].size == t->all;
}

static bool is_passed_on(void *ctx)
{
    const struct tiers *t = ctx;
    return size_of(t->county, &t->p.log) == t->all;
}

/* More entries reach the county through the town, which has not committed them
 * and waits to. Whether a relay passes on before its commit depends on what its
 * line is doing just then: until it does. */
static void pass_on(struct tiers *t)
{
    struct parted *p = &t->p;
    bool passed = false;
    for (uint32_t from = 80; !passed && from < 2000; from += 40) {
        atomic_store(&script.held, false);
        await_acked(p->village, p->town, &p->log);
        await_acked(p->town, t->county, &p->log);
        node_back_up(p->village);
        node_connect(p->village, p->town);
        await_acked(p->village, p->town, &p->log);
        atomic_store(&script.held, true);
        submit(p->village, from, 40);
        t->all = size_of(p->village, &p->log);
        passed = comes_true(is_passed_on, t, 3000);
    }
    assert_true(passed);
}

static bool is_writable(void *ctx)
{
    return submit_once(ctx, 50000, 1) == ERR_OK;
}

/* The town passed on what it could not commit, and the village lost its store
 * since, or was put back to the state of before. */
static struct tiers tiers_new(const char *village, const char *town,
                              const char *county, void (*spoil)(struct node *))
{
    struct tiers t = {.p = parted_new(village, town, true),
                      .county = node_new(COUNTY, county)};
    struct parted *p = &t.p;
    node_listen(t.county);
    node_connect(p->town, t.county);
    node_connect(p->village, p->town);
    pass_on(&t);
    atomic_store(&script.refusing, true);
    atomic_store(&script.held, false);
    assert_true(comes_true(knows_above, &t, WAIT_MS));
    spoil(p->village);
    assert_true(size_of(p->town, &p->log) < t.all);
    atomic_store(&script.refusing, false);
    assert_true(comes_true(is_writable, p->town, WAIT_MS));
    for (int kind = 0; kind < WAIT_KINDS; kind++) {
        p->town->down->hold_for_ms[kind] = WAIT_MS;
    }
    return t;
}

static void tiers_free(struct tiers *t)
{
    parted_free(&t->p);
    node_free(t->county);
}

/* Its parent first gets from above what it has not. */
static void what_only_a_higher_tier_holds_is_not_given_up(void **state)
{
    (void)state;
    struct tiers t =
        tiers_new("village-far", "town-between", "county-above", lose);
    struct parted *p = &t.p;
    node_connect(p->village, p->town);
    assert_true(comes_true(is_closed, p, WAIT_MS));
    assert_int_equal(size_of(p->village, &p->log), t.all);
    submit(p->village, 9000, 1);
    struct log_id own = store_own_log(p->village->store);
    await_equal(p->village, t.county, &own);
    await_equal(p->village, p->town, &p->log);
    assert_int_equal(state_of(t.county, &p->log), LOG_ACTIVE);
    tiers_free(&t);
}

static void a_child_is_put_off_for_a_time_only(void **state)
{
    (void)state;
    struct tiers t = tiers_new("village-off", "town-off", "county-off", lose);
    struct parted *p = &t.p;
    node_disconnect(p->town);
    p->town->down->put_off_for_ms = 0;
    p->town->down->hold_for_ms[WAIT_MORE] = 0;
    node_connect(p->village, p->town);
    assert_true(comes_true(is_closed, p, WAIT_MS));
    assert_int_equal(size_of(p->village, &p->log), size_of(p->town, &p->log));
    tiers_free(&t);
}

/* The village, which wrote on, gave its old log up for all that is above. */
static void assert_whole(struct tiers *t)
{
    struct parted *p = &t->p;
    assert_true(comes_true(is_closed, p, WAIT_MS));
    assert_int_equal(size_of(p->village, &p->log), t->all);
    struct log_id own = store_own_log(p->village->store);
    await_equal(p->village, t->county, &own);
    await_equal(p->village, p->town, &p->log);
    assert_int_equal(state_of(p->town, &p->log), LOG_ACTIVE);
    assert_int_equal(state_of(t->county, &p->log), LOG_ACTIVE);
}

/* It has as much as the town, and would not ask. */
static void a_child_that_misses_nothing_here_is_told_what_is_above(void **state)
{
    (void)state;
    struct tiers t =
        tiers_new("village-same", "town-same", "county-same", node_put_back);
    struct parted *p = &t.p;
    assert_int_equal(size_of(p->village, &p->log), size_of(p->town, &p->log));
    submit(p->village, 9000, 5);
    node_connect(p->village, p->town);
    assert_whole(&t);
    assert_true(count_lines("SYNC-HELD", "town-same") >= 1);
    tiers_free(&t);
}

/* What the town knew of the county is gone with its process. */
static void forget_above(struct tiers *t)
{
    struct parted *p = &t->p;
    node_disconnect(p->town);
    node_deafen(t->county);
    store_set_above(p->town->store, &p->log, NULL, 0);
}

static void a_child_waits_until_its_parent_has_heard_its_own(void **state)
{
    (void)state;
    struct tiers t =
        tiers_new("village-hear", "town-hear", "county-hear", node_put_back);
    struct parted *p = &t.p;
    forget_above(&t);
    node_connect(p->town, t.county);
    submit(p->village, 9000, 5);
    unsigned before = count_lines("SYNC-CHILD ", "town-hear");
    struct lines came = {"SYNC-CHILD ", "town-hear", before + 1};
    node_connect(p->village, p->town);
    assert_true(comes_true(has_lines, &came, WAIT_MS));
    (void)usleep(300000); /* for a word that comes too early to be heard */
    node_listen(t.county);
    assert_whole(&t);
    tiers_free(&t);
}

static void a_child_that_waits_long_is_sent_away_and_comes_again(void **state)
{
    (void)state;
    struct tiers t =
        tiers_new("village-away", "town-away", "county-away", node_put_back);
    struct parted *p = &t.p;
    struct lines away = {"holds more of a log", "village-away", 2};
    node_disconnect(p->town); /* it knows, and cannot ask */
    p->town->down->hold_stream_ms = 0;
    submit(p->village, 9000, 5);
    node_connect(p->village, p->town);
    assert_true(comes_true(has_lines, &away, WAIT_MS));
    node_connect(p->town, t.county);
    assert_whole(&t);
    tiers_free(&t);
}

/* With nobody above to be heard it is served all the same. */
static void a_child_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct tiers t =
        tiers_new("village-ever", "town-ever", "county-ever", node_put_back);
    struct parted *p = &t.p;
    node_disconnect(p->town);
    node_deafen(t.county);
    p->town->down->hold_for_ms[WAIT_MORE] = 200;
    p->town->down->hold_for_ms[WAIT_HEAR] = 200;
    node_connect(p->village, p->town); /* the county holds more */
    await_acked(p->village, p->town, &p->log);
    node_disconnect(p->village);
    node_connect(p->town, t.county); /* and it is away */
    node_connect(p->village, p->town);
    submit(p->village, 9000, 5);
    await_acked(p->village, p->town, &p->log);
    tiers_free(&t);
}

static void a_parent_that_cannot_read_its_log_refuses_nothing(void **state)
{
    (void)state;
    struct parted p = parted_new("village-parent", "unread-parent", true);
    atomic_store(&script.parts_left, 0);
    node_connect(p.village, p.town);
    await_acked(p.village, p.town, &p.log);
    assert_true(has_failed(NULL));
    assert_int_equal(count_lines("SYNC-REFUSED", "unread-parent"), 0);
    assert_int_equal(count_lines("SYNC-STOP", "village-parent"), 0);
    parted_free(&p);
}

/* Entries that are held come again, and cannot be compared. */
static void an_overlap_that_cannot_be_read_breaks_no_rule(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "overlap");
    struct log_id id = store_own_log(village->store);
    struct source source;
    struct buf bytes = BUF_INIT;
    struct wire_message m;
    struct store_head head;
    struct segment *seg;
    struct refusal refusal;
    struct errmsg why;
    script_on(village);
    submit(village, 0, 40);
    source_init(&source, FEDERATION);
    assert_ok(source_read(&source, village->store, &id, 1, 40, 1 << 20));
    assert_ok(source_read_note(&source, village->store));
    struct wire_segment_out out = source_segment(&source, true, true);
    wire_put_segment(&bytes, &out);
    assert_ok(wire_get_child(buf_slice(&bytes), &m, &why));
    struct recv *recv = recv_new(fed_trust, LOG_RECORDS);
    struct recv_log *log = recv_log_new(&id);
    assert_ok(store_head(village->store, &id, &head));
    assert_ok(recv_log_load(log, fed_trust, &head, buf_slice(&source.note),
                            buf_slice(&source.chain), &why));
    struct tree_view held = store_view(village->store, &head);
    fail_reads(READ_NODES | READ_BLOCKS);
    assert_int_equal(recv_segment(recv, log, &m.segment, &held, clock_wall_ms(),
                                  &seg, &refusal),
                     ERR_IO);
    reads_work();
    assert_ok(recv_segment(recv, log, &m.segment, &held, clock_wall_ms(), &seg,
                           &refusal));
    assert_null(seg);
    recv_log_free(&log);
    recv_free(&recv);
    source_fini(&source);
    buf_fini(&bytes);
    node_free(village);
}

static bool keep_result(void *ctx, const struct verify_result *result)
{
    *(struct verify_result *)ctx = *result;
    return true;
}

static void what_cannot_be_read_is_not_called_another_tree(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "unverified");
    struct log_id log = store_own_log(village->store);
    struct verify_result result = {.text = "none"};
    struct errmsg why = {""};
    script_on(village);
    submit(village, 0, 40);
    fail_reads(READ_NODES | READ_BLOCKS);
    assert_int_equal(
        sync_verify_origin(&village->env, &log, keep_result, &result, &why),
        ERR_IO);
    assert_string_equal(result.text, "none");
    reads_work();
    assert_ok(
        sync_verify_origin(&village->env, &log, keep_result, &result, &why));
    assert_string_equal(result.text, "as its origin signed it");
    node_free(village);
}

static bool has_said_so(void *ctx)
{
    return count_lines("SYNC-RECOVERY", ctx) > 0;
}

static bool may_append(void *ctx)
{
    struct node *n = ctx;
    return !store_awaits_parent(n->store);
}

static void a_word_that_could_not_be_noted_is_asked_for_again(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "unnoted");
    struct node *town = node_new(TOWNSHIP, "town-unnoted");
    node_stop(village);
    shell("rm -rf %s", village->path);
    village->has_parent = true;
    node_start(village);
    script_on(village);
    assert_false(may_append(village));
    node_listen(town);
    atomic_store(&script.refusing, true);
    node_connect(village, town);
    assert_true(comes_true(has_said_so, village->name, WAIT_MS));
    atomic_store(&script.refusing, false);
    assert_true(comes_true(may_append, village, WAIT_MS));
    node_free(village);
    node_free(town);
}

/* ---- directives, downwards ---- */

/* A node with its part of the line that directives come down. */
struct line {
    struct node *node;
    struct feed *feed;
    struct rpc_channel *channel;
    struct follow *follow;
};

static void feed_on(struct line *l)
{
    struct node *n = l->node;
    char address[32];
    struct errmsg why;
    struct rpc_tls tls = {node_tls, n};
    n->env.fresh = fresh_new(n->code, 10000);
    l->feed = feed_new(&n->env, 10000, 4 << 20, 0);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", n->port);
    assert_ok(rpc_listen(&n->server, n->rpc, address, &tls,
                         feed_method(l->feed), 1, &why));
    n->port = rpc_server_port(n->server);
}

static void free_feed(void *ctx)
{
    struct line *l = ctx;
    feed_free(&l->feed);
}

static void feed_off(struct line *l)
{
    feed_hang_up(l->feed);
    rpc_server_close(&l->node->server, 1000);
    on_loop(free_feed, l);
    fresh_free(&l->node->env.fresh);
}

static void start_follow(void *ctx)
{
    struct line *l = ctx;
    const struct follow_conf conf = {.parent_code = COUNTY,
                                     .backoff_min_ms = 50,
                                     .backoff_max_ms = 200,
                                     .dialing_ms = 10000,
                                     .greeting_ms = 10000};
    l->follow = follow_start(&l->node->env, l->channel, NULL, &conf);
}

static void stop_follow(void *ctx)
{
    struct line *l = ctx;
    follow_stop(&l->follow);
}

static void follow_on(struct line *l, const struct node *parent)
{
    struct node *n = l->node;
    char address[32];
    struct errmsg why;
    struct rpc_tls tls = {node_tls, n};
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", parent->port);
    n->env.fresh = fresh_new(n->code, 10000);
    assert_ok(rpc_channel_open(&l->channel, n->rpc, address, &tls, NULL, &why));
    on_loop(start_follow, l);
}

static void follow_off(struct line *l)
{
    on_loop(stop_follow, l);
    rpc_channel_close(&l->channel);
    fresh_free(&l->node->env.fresh);
}

static void a_child_that_cannot_be_compared_comes_again(void **state)
{
    (void)state;
    struct line county = {.node = node_new(COUNTY, "unread-twice")};
    struct line town = {.node = node_new(TOWNSHIP, "town-twice")};
    script_on(county.node);
    struct log_id log = decide(county.node, 40, 1);
    feed_on(&county);
    follow_on(&town, county.node);
    await_equal(town.node, county.node, &log);
    follow_off(&town);
    (void)decide(county.node, 40, 100);
    fail_reads(READ_NODES | READ_BLOCKS);
    follow_on(&town, county.node);
    assert_true(comes_true(has_failed, NULL, WAIT_MS));
    reads_work();
    await_equal(town.node, county.node, &log);
    follow_off(&town);
    feed_off(&county);
    node_free(town.node);
    node_free(county.node);
}

static void a_child_that_cannot_read_its_log_refuses_nothing(void **state)
{
    (void)state;
    struct line county = {.node = node_new(COUNTY, "county-child")};
    struct line town = {.node = node_new(TOWNSHIP, "unread-child")};
    struct log_id log = decide(county.node, 10, 1);
    script_on(town.node);
    feed_on(&county);
    follow_on(&town, county.node);
    await_equal(town.node, county.node, &log);
    follow_off(&town);
    (void)decide(county.node, 10, 100);
    atomic_store(&script.parts_left, 0);
    follow_on(&town, county.node);
    await_equal(town.node, county.node, &log);
    assert_true(has_failed(NULL));
    assert_int_equal(count_lines("FOLLOW-REFUSED", "unread-child"), 0);
    assert_int_equal(count_lines("FEED-STOP", "county-child"), 0);
    follow_off(&town);
    feed_off(&county);
    node_free(town.node);
    node_free(county.node);
}

static bool is_forked(void *ctx)
{
    const struct line *l = ctx;
    struct log_id log;
    return store_directives_log(l->node->store, &log) == ERR_OK &&
           state_of(l->node, &log) == LOG_FORKED;
}

/* The county was put back: what its child says of it is heard, if the store
 * cannot be read just then. */
static void evidence_that_cannot_be_weighed_comes_again(void **state)
{
    (void)state;
    struct line county = {.node = node_new(COUNTY, "unread-now")};
    struct line town = {.node = node_new(TOWNSHIP, "town-before")};
    struct log_id log = decide(county.node, 10, 1);
    node_copy_to(county.node, "unread-before");
    (void)decide(county.node, 10, 100);
    feed_on(&county);
    follow_on(&town, county.node);
    await_equal(town.node, county.node, &log);
    follow_off(&town);
    feed_off(&county);
    node_free(county.node);
    county.node = node_new(COUNTY, "unread-before");
    script_on(county.node);
    feed_on(&county);
    atomic_store(&script.parts_left, 2); /* the head that the child is sent */
    follow_on(&town, county.node);
    assert_true(comes_true(is_forked, &county, WAIT_MS));
    assert_true(has_failed(NULL));
    follow_off(&town);
    feed_off(&county);
    node_free(town.node);
    node_free(county.node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_compared_is_offered_again),
        cmocka_unit_test(what_is_on_its_way_is_told_to_a_child_that_lost_it),
        cmocka_unit_test(what_only_a_higher_tier_holds_is_not_given_up),
        cmocka_unit_test(a_child_is_put_off_for_a_time_only),
        cmocka_unit_test(
            a_child_that_misses_nothing_here_is_told_what_is_above),
        cmocka_unit_test(a_child_waits_until_its_parent_has_heard_its_own),
        cmocka_unit_test(a_child_that_waits_long_is_sent_away_and_comes_again),
        cmocka_unit_test(a_child_does_not_wait_for_ever),
        cmocka_unit_test(a_parent_that_cannot_read_its_log_refuses_nothing),
        cmocka_unit_test(an_overlap_that_cannot_be_read_breaks_no_rule),
        cmocka_unit_test(what_cannot_be_read_is_not_called_another_tree),
        cmocka_unit_test(a_word_that_could_not_be_noted_is_asked_for_again),
        cmocka_unit_test(a_child_that_cannot_read_its_log_refuses_nothing),
        cmocka_unit_test(a_child_that_cannot_be_compared_comes_again),
        cmocka_unit_test(evidence_that_cannot_be_weighed_comes_again),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
