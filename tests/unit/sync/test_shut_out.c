/* Fetch calls whose caller does not read what it asked for, asks for nothing,
 * calls again and again, or is no child any more: they end. */
#include "fixture.h"
#include "sync/downlink_impl.h"
#include "sync/hello.h"

static _Atomic bool g_shut_out;

static bool is_child(void *ctx, const struct principal *peer)
{
    return !g_shut_out && node_is_child(ctx, peer);
}

/* ---- a child that asks for all and reads one message ---- */

/* Static ones: what is open when a test fails still ends. */
struct sluggard {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool opened;
    bool may_read;
    bool met; /* the first message came */
    bool closed;
    enum err err;
};

static void sluggard_init(struct sluggard *g)
{
    *g = (struct sluggard){.err = ERR_OK};
    (void)pthread_mutex_init(&g->lock, NULL);
    (void)pthread_cond_init(&g->wake, NULL);
}

static void sluggard_fini(struct sluggard *g)
{
    (void)pthread_cond_destroy(&g->wake);
    (void)pthread_mutex_destroy(&g->lock);
}

static void set(struct sluggard *g, bool *what)
{
    (void)pthread_mutex_lock(&g->lock);
    *what = true;
    (void)pthread_cond_broadcast(&g->wake);
    (void)pthread_mutex_unlock(&g->lock);
}

static void on_open(struct rpc_stream *s, void *user)
{
    struct sluggard *g = user;
    (void)s;
    set(g, &g->opened);
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    struct sluggard *g = user;
    (void)s;
    (void)message;
    (void)pthread_mutex_lock(&g->lock);
    g->met = true;
    (void)pthread_cond_broadcast(&g->wake);
    while (!g->may_read) {
        (void)pthread_cond_wait(&g->wake, &g->lock);
    }
    (void)pthread_mutex_unlock(&g->lock);
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct sluggard *g = user;
    (void)s;
    (void)text;
    g->err = err;
    set(g, &g->closed);
}

static const struct rpc_stream_ops sluggard_ops = {
    .open = on_open, .message = on_message, .closed = on_closed};

static void await(struct sluggard *g, const bool *what)
{
    (void)pthread_mutex_lock(&g->lock);
    while (!*what) {
        (void)pthread_cond_wait(&g->wake, &g->lock);
    }
    (void)pthread_mutex_unlock(&g->lock);
}

static void ask(struct rpc_channel *channel, struct sluggard *g,
                const struct wire_range *range)
{
    struct rpc_stream *s;
    struct buf request = BUF_INIT;
    wire_put_fetch_request(&request, range);
    assert_ok(rpc_stream_open(&s, channel, SYNC_FETCH, &sluggard_ops, g, 0));
    assert_ok(rpc_stream_send(s, &request));
    rpc_stream_finish(s, ERR_OK, NULL);
}

/* Asks for nothing. */
static void call_only(struct rpc_channel *channel, struct sluggard *g)
{
    struct rpc_stream *s;
    assert_ok(rpc_stream_open(&s, channel, SYNC_FETCH, &sluggard_ops, g, 0));
}

static bool none_is_open(void *ctx)
{
    struct node *n = ctx;
    (void)pthread_mutex_lock(&n->down->lock);
    bool none = n->down->fetches == NULL;
    (void)pthread_mutex_unlock(&n->down->lock);
    return none;
}

struct fetching {
    struct node *town;
    struct node *village;
    struct rpc_channel *channel;
    struct wire_range all; /* of the village's log, at the town */
};

static int begin(void **state)
{
    static struct fetching f;
    struct rpc_tls tls;
    struct errmsg why;
    char address[32];
    f = (struct fetching){.town = node_new(TOWNSHIP, "t"),
                          .village = node_new(VILLAGE, "v")};
    g_shut_out = false;
    f.town->env.is_child = is_child;
    node_listen(f.town);
    f.all = (struct wire_range){store_own_log(f.village->store), 1, 0};
    submit(f.village, 0, 80000); /* several times what can be under way */
    node_connect(f.village, f.town);
    await_equal(f.village, f.town, &f.all.log);
    node_disconnect(f.village);
    f.all.last = size_of(f.town, &f.all.log);
    tls = (struct rpc_tls){node_tls, f.village};
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", f.town->port);
    assert_ok(rpc_channel_open(&f.channel, f.village->rpc, address, &tls, NULL,
                               &why));
    *state = &f;
    return 0;
}

static int end(void **state)
{
    struct fetching *f = *state;
    rpc_channel_close(&f->channel);
    node_free(f->village);
    node_free(f->town);
    return 0;
}

static void of_a_child_no_longer_welcome_they_end(struct fetching *f)
{
    static struct sluggard g;
    static struct sluggard late;
    sluggard_init(&g);
    sluggard_init(&late);
    ask(f->channel, &g, &f->all);
    await(&g, &g.met);
    downlink_recheck(f->town->down);
    assert_false(none_is_open(f->town)); /* nothing changed for it */
    g_shut_out = true;
    downlink_recheck(f->town->down);
    downlink_recheck(f->town->down);
    assert_true(comes_true(none_is_open, f->town, WAIT_MS));
    set(&g, &g.may_read);
    await(&g, &g.closed);
    assert_int_not_equal(g.err, ERR_OK);
    /* Nor does one begin, whether it asks for something or not. */
    call_only(f->channel, &late);
    await(&late, &late.closed);
    assert_int_equal(late.err, ERR_DENIED);
    sluggard_fini(&g);
    sluggard_fini(&late);
}

/* Of a welcome one that opens them and reads nothing. */
static void the_older_give_way(struct fetching *f)
{
    static struct sluggard g;
    static struct sluggard idle[2];
    sluggard_init(&g);
    ask(f->channel, &g, &f->all);
    await(&g, &g.met);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        sluggard_init(&idle[i]);
        call_only(f->channel, &idle[i]);
        await(&idle[i], &idle[i].opened);
    }
    set(&g, &g.may_read);
    await(&g, &g.closed);
    assert_int_equal(g.err, ERR_CANCELLED);
    /* Those have asked for nothing yet, and then for too long. */
    downlink_recheck(f->town->down);
    assert_false(none_is_open(f->town));
    f->town->down->ask_within_ms = 0;
    downlink_recheck(f->town->down);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        await(&idle[i], &idle[i].closed);
        assert_int_equal(idle[i].err, ERR_TIMEOUT);
        sluggard_fini(&idle[i]);
    }
    sluggard_fini(&g);
}

static void open_fetches_end(void **state)
{
    the_older_give_way(*state);
    of_a_child_no_longer_welcome_they_end(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(open_fetches_end, begin, end)};
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
