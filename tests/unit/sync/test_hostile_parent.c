/* A parent that lies about what it holds of its child's log. */
#include "fixture.h"
#include "sync/ancestry.h"
#include "sync/hello.h"
#include "sync/source.h"

enum root_answer {
    ROOT_ONE_LESS,   /* the newest note, one entry less than it, no proof */
    ROOT_WRONG_SIZE, /* the newest note, its true proof, another size */
    ROOT_TRUE,       /* all it says is true: there was no rollback */
    ROOT_ANSWERS,
};

struct hostile {
    struct node *town;
    struct log_id log;
    uint64_t size;
    struct buf note;
    struct buf chain;
    struct buf frontier;
    struct buf bridge;
    struct hash root;
    enum root_answer answer;
    bool never_opens; /* takes a Fetch, and says nothing */
    bool breaks_off;  /* sends what it is asked for, and ends with an error */
    _Atomic uint64_t clock_ms; /* as its Hello says; 0: the true one */
    /* Named as its own and its ancestors'; none: as they are. */
    struct slice chains[WIRE_CHAINS_MAX];
    size_t chains_n;
    _Atomic unsigned roots;
    _Atomic unsigned fetches;
};
static struct hostile g_hostile;

static void replicate_open(struct rpc_stream *s, void *user)
{
    (void)user;
    rpc_stream_set_user(s, NULL);
}

static void put_hello(const struct hostile *h, struct buf *out)
{
    struct wire_message m;
    struct errmsg why;
    struct buf honest = BUF_INIT;
    hello_put(&h->town->env, 4 << 20, h->chains_n == 0 ? out : &honest);
    if (h->chains_n > 0) {
        assert_ok(wire_get_parent(buf_slice(&honest), &m, &why));
        wire_put_hello(out, &m.hello, h->chains, h->chains_n);
    }
    buf_fini(&honest);
}

/* Greets, then claims another copy of the log. */
static void replicate_message(struct rpc_stream *s, void *user,
                              struct slice message)
{
    struct hostile *h = &g_hostile;
    struct wire_message m;
    struct errmsg why;
    struct buf out = BUF_INIT;
    (void)user;
    assert_ok(wire_get_child(message, &m, &why));
    if (m.kind != WIRE_HELLO) {
        return;
    }
    put_hello(h, &out);
    if (h->clock_ms != 0) {
        struct buf other = BUF_INIT;
        assert_ok(wire_get_parent(buf_slice(&out), &m, &why));
        m.hello.clock_ms = h->clock_ms;
        wire_put_hello(&other, &m.hello, NULL, 0);
        buf_fini(&out);
        out = other;
    }
    assert_ok(rpc_stream_send(s, &out));
    if (h->chains_n > 0) {
        buf_fini(&out);
        return;
    }
    struct wire_log_have have = {.log = h->log, .size = h->size};
    memset(have.root.b, 0x55, HASH_LEN);
    buf_clear(&out);
    wire_put_have(&out, &have, 1, true);
    assert_ok(rpc_stream_send(s, &out));
    buf_fini(&out);
}

static void stream_closed(struct rpc_stream *s, void *user, enum err err,
                          const char *text)
{
    (void)s;
    (void)user;
    (void)err;
    (void)text;
}

static const struct rpc_stream_ops replicate_ops = {
    .open = replicate_open,
    .message = replicate_message,
    .closed = stream_closed,
};

static void fetch_open(struct rpc_stream *s, void *user)
{
    (void)user;
    g_hostile.fetches++;
    if (!g_hostile.breaks_off) {
        rpc_stream_finish(s, ERR_NOT_FOUND, "no");
    }
}

static void fetch_message(struct rpc_stream *s, void *user,
                          struct slice message)
{
    const struct hostile *h = &g_hostile;
    struct source src;
    struct buf out = BUF_INIT;
    (void)user;
    (void)message;
    if (!h->breaks_off) {
        return;
    }
    source_init(&src, FEDERATION);
    for (uint64_t at = 1; at <= h->size; at = src.end + 1) {
        assert_ok(
            source_read(&src, h->town->store, &h->log, at, h->size, 256 << 10));
        assert_ok(source_read_note(&src, h->town->store));
        struct wire_segment_out seg = source_segment(&src, true, true);
        buf_clear(&out);
        wire_put_fetch_reply(&out, &seg);
        assert_ok(rpc_stream_send(s, &out));
    }
    rpc_stream_finish(s, ERR_UNAVAILABLE, "the node is stopping");
    buf_fini(&out);
    source_fini(&src);
}

static const struct rpc_stream_ops fetch_ops = {
    .open = fetch_open,
    .message = fetch_message,
    .closed = stream_closed,
};

static void answer_root(void *ctx, struct rpc_call *call)
{
    struct hostile *h = &g_hostile;
    struct wire_root_request q;
    struct errmsg why;
    struct buf out = BUF_INIT;
    (void)ctx;
    assert_ok(wire_get_root_request(rpc_call_request(call), &q, &why));
    uint64_t held = h->answer == ROOT_TRUE ? h->size : h->size - 1;
    struct wire_root_reply r = {.size = q.size != 0 ? q.size : held,
                                .held = held,
                                .note = buf_slice(&h->note),
                                .chain = buf_slice(&h->chain)};
    memset(r.root.b, 0x77, HASH_LEN);
    if (h->answer != ROOT_ONE_LESS) {
        r.root = h->root;
        r.frontier = buf_slice(&h->frontier);
        r.bridge = buf_slice(&h->bridge);
    }
    wire_put_root_reply(&out, &r);
    h->roots++;
    rpc_reply(call, &out);
    buf_fini(&out);
}

/* What the town honestly holds, for the lies that need a grain of truth. */
static void learn_truth(struct hostile *h)
{
    struct store_head *head = MEM_NEW(struct store_head);
    assert_ok(store_head(h->town->store, &h->log, head));
    assert_ok(store_note(h->town->store, &h->log, &h->note, &h->chain));
    h->root = head->root;
    h->size = head->frontier.size;
    frontier_put(&h->frontier, &head->frontier);
    bridge_put(&h->bridge, &(struct bridge){.size = h->size});
    mem_free(head);
}

/* Not even called: it waits for a request, and the caller for a sign that its
 * call was taken. */
static void wait_for_ever(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    rpc_fail(call, ERR_UNSUPPORTED, "");
}

static void turn_hostile(struct hostile *h)
{
    const struct rpc_method methods[] = {
        {.path = SYNC_REPLICATE, .stream = &replicate_ops},
        {.path = SYNC_FETCH,
         .unary = h->never_opens ? wait_for_ever : NULL,
         .stream = h->never_opens ? NULL : &fetch_ops},
        {.path = SYNC_ROOT, .unary = answer_root},
    };
    struct errmsg why;
    char address[32];
    struct rpc_tls tls = {node_tls, h->town};
    node_deafen(h->town);
    h->town->server = NULL;
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", h->town->port);
    assert_ok(rpc_listen(&h->town->server, h->town->rpc, address, &tls, methods,
                         ARRAY_LEN(methods), &why));
}

static bool recovery_ended(void *ctx)
{
    return count_lines("SYNC-RECOVER", ctx) > 0;
}

/* With what learn_truth() kept. */
static void end_all(struct node *village)
{
    struct hostile *h = &g_hostile;
    node_free(village);
    node_free(h->town);
    buf_fini(&h->note);
    buf_fini(&h->chain);
    buf_fini(&h->frontier);
    buf_fini(&h->bridge);
}

/* A village whose log its parent has, and which has lost its store; the parent
 * has turned hostile since. */
static struct node *emptied_village(const char *name, const char *town)
{
    struct hostile *h = &g_hostile;
    struct node *village = node_new(VILLAGE, name);
    h->town = node_new(TOWNSHIP, town);
    h->log = store_own_log(village->store);
    node_listen(h->town);
    submit(village, 0, 300);
    node_connect(village, h->town);
    await_acked(village, h->town, &h->log);
    node_stop(village);
    shell("rm -rf %s", village->path);
    node_start(village);
    learn_truth(h);
    turn_hostile(h);
    return village;
}

static void a_lying_parent_does_not_make_a_node_give_its_log_up(void **state)
{
    static const char *const names[ROOT_ANSWERS][2] = {
        {"v0", "t0"}, {"v1", "t1"}, {"v2", "t2"}};
    struct hostile *h = &g_hostile;
    (void)state;
    for (enum root_answer a = 0; a < ROOT_ANSWERS; a++) {
        struct node *village = node_new(VILLAGE, names[a][0]);
        *h = (struct hostile){.answer = a, .town = NULL};
        h->town = node_new(TOWNSHIP, names[a][1]);
        h->log = store_own_log(village->store);
        node_listen(h->town);
        submit(village, 0, 300);
        node_connect(village, h->town);
        await_acked(village, h->town, &h->log);
        node_disconnect(village);
        learn_truth(h);
        turn_hostile(h);

        node_connect(village, h->town);
        assert_true(comes_true(recovery_ended, village->name, WAIT_MS));
        assert_true(h->roots > 0);
        assert_int_equal(h->fetches, 0);
        /* A key that was wrapped for the parent may have come in meanwhile. */
        uint64_t size = size_of(village, &h->log);
        assert_in_range(size, h->size, h->size + 1);
        assert_int_equal(state_of(village, &h->log), LOG_ACTIVE);
        assert_int_equal(count_lines("SYNC-SUCCEED", village->name), 0);
        assert_int_equal(count_lines("SYNC-LYING-PARENT", village->name),
                         a == ROOT_TRUE);
        struct log_id own = store_own_log(village->store);
        assert_true(log_id_eq(&own, &h->log));
        submit(village, 5000, 3);
        assert_in_range(size_of(village, &h->log), size + 3, h->size + 4);
        end_all(village);
    }
}

static bool is_streaming(void *ctx)
{
    return status_of(ctx).state == UPLINK_STREAMING;
}

/* A node sees its own wrong clock by its parent's, whatever that says. */
static void the_parents_clock_is_compared(void **state)
{
    enum { HOUR_MS = 3600000 };
    struct hostile *h = &g_hostile;
    (void)state;
    struct node *village = node_new(VILLAGE, "v4");
    *h = (struct hostile){.clock_ms = (uint64_t)clock_wall_ms() + HOUR_MS};
    h->town = node_new(TOWNSHIP, "t4");
    h->log = store_own_log(village->store);
    node_listen(h->town);
    turn_hostile(h);
    node_connect(village, h->town);
    assert_true(comes_true(is_streaming, village, WAIT_MS));
    int64_t skew_ms = status_of(village).clock_skew_ms;
    assert_true(skew_ms > HOUR_MS / 2 && skew_ms <= HOUR_MS);
    node_disconnect(village);
    h->clock_ms = INT64_MAX;
    node_connect(village, h->town);
    assert_true(comes_true(is_streaming, village, WAIT_MS));
    assert_true(status_of(village).clock_skew_ms > HOUR_MS);
    node_free(village);
    node_free(h->town);
}

/* All that was asked for has come: how the stream ended tells nothing. */
static void a_fetch_is_whole_when_its_last_entry_came(void **state)
{
    struct hostile *h = &g_hostile;
    (void)state;
    *h = (struct hostile){.answer = ROOT_TRUE, .breaks_off = true};
    struct node *village = emptied_village("v3", "t3");

    node_connect(village, h->town);
    assert_true(comes_true(recovery_ended, village->name, WAIT_MS));
    assert_int_equal(h->fetches, 1);
    assert_int_equal(count_lines("SYNC-RECOVERED", village->name), 1);
    assert_int_equal(size_of(village, &h->log), h->size);
    assert_int_equal(state_of(village, &h->log), LOG_CLOSED);
    end_all(village);
}

static bool root_was_asked(void *ctx)
{
    const struct hostile *h = ctx;
    return h->roots > 0;
}

static void a_fetch_that_never_opens_holds_no_stop(void **state)
{
    struct hostile *h = &g_hostile;
    (void)state;
    *h = (struct hostile){.answer = ROOT_TRUE, .never_opens = true};
    struct node *village = emptied_village("v5", "t5");

    node_connect(village, h->town);
    assert_true(comes_true(root_was_asked, h, WAIT_MS));
    (void)usleep(200000); /* the Fetch is under way; if not, nothing is lost */
    node_disconnect(village);
    assert_int_equal(size_of(village, &h->log), 0);
    end_all(village);
}

/* How many of the node's keys are wrapped for `holder`. */
static unsigned wraps_for(struct node *n, uint64_t holder)
{
    struct log_id log = store_own_log(n->store);
    unsigned keys = 0;
    for (uint64_t i = 1; i <= size_of(n, &log); i++) {
        struct buf bytes = BUF_INIT;
        struct entry e;
        struct entry_key key;
        assert_ok(store_entry(n->store, &log, i, &bytes));
        assert_ok(entry_decode(buf_slice(&bytes), &e));
        keys += e.type == ENTRY_KEY && entry_key_decode(&e, &key) == ERR_OK &&
                key.holder == holder;
        buf_fini(&bytes);
    }
    return keys;
}

static bool county_has_a_key(void *ctx)
{
    return wraps_for(ctx, COUNTY) > 0;
}

/* Whoever has the town's machine and a neighbour's key: what is wrapped once
 * stays open to that key when the town is the town's again. */
static void no_key_is_wrapped_for_who_is_not_above(void **state)
{
    struct hostile *h = &g_hostile;
    struct node county = {.code = COUNTY};
    struct node other = {.code = VILLAGE2};
    struct buf sealed = BUF_INIT;
    struct buf handed = BUF_INIT;
    struct slice chains[WIRE_CHAINS_MAX];
    (void)state;
    load_identity(&county, "seal", CERT_USE_SEAL, &county.seal);
    load_identity(&other, "seal", CERT_USE_SEAL, &other.seal);
    struct node *village = node_new(VILLAGE, "v4");
    *h = (struct hostile){.town = NULL};
    h->town = node_new(TOWNSHIP, "t4");
    h->chains[h->chains_n++] = buf_slice(&h->town->seal.chain);
    h->chains[h->chains_n++] = buf_slice(&other.seal.chain);
    h->chains[h->chains_n++] = buf_slice(&village->seal.chain);
    h->chains[h->chains_n++] = buf_slice(&county.seal.chain);
    node_listen(h->town);
    turn_hostile(h);
    assert_ok(keyring_seal(village->keyring, slice_str("t"), slice_str("value"),
                           &sealed));

    node_connect(village, h->town);
    assert_true(comes_true(county_has_a_key, village, WAIT_MS));
    assert_int_equal(wraps_for(village, TOWNSHIP), 1);
    assert_int_equal(wraps_for(village, VILLAGE2), 0);
    assert_int_equal(wraps_for(village, VILLAGE), 0);
    assert_int_equal(wraps_for(village, COUNTY), 1);
    assert_true(count_lines("SYNC-WRAP", village->name) >= 2);
    /* Nor do those below hear of them. */
    assert_int_equal(ancestry_get(village->ancestry, &handed, chains), 2);
    assert_true(slice_eq(chains[1], buf_slice(&county.seal.chain)));
    node_free(h->town); /* first: it shows the others' chains */
    node_free(village);
    identity_fini(&county.seal);
    identity_fini(&other.seal);
    buf_fini(&handed);
    buf_fini(&sealed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lying_parent_does_not_make_a_node_give_its_log_up),
        cmocka_unit_test(the_parents_clock_is_compared),
        cmocka_unit_test(a_fetch_is_whole_when_its_last_entry_came),
        cmocka_unit_test(a_fetch_that_never_opens_holds_no_stop),
        cmocka_unit_test(no_key_is_wrapped_for_who_is_not_above),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
