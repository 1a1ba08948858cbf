/* A caller that is no child any more: its open Fetch ends, also if it does not
 * read what it asked for. */
#include "fixture.h"
#include "sync/downlink_impl.h"
#include "sync/hello.h"

static _Atomic bool g_shut_out;

static bool is_child(void *ctx, const struct principal *peer)
{
    return !g_shut_out && node_is_child(ctx, peer);
}

/* ---- a child that asks for all and reads one message ---- */

struct sluggard {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool may_read;
    bool met; /* the first message came */
    bool closed;
    enum err err;
};

static void on_open(struct rpc_stream *s, void *user)
{
    (void)s;
    (void)user;
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
    (void)pthread_mutex_lock(&g->lock);
    g->closed = true;
    g->err = err;
    (void)pthread_cond_broadcast(&g->wake);
    (void)pthread_mutex_unlock(&g->lock);
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

static bool none_is_open(void *ctx)
{
    struct node *n = ctx;
    (void)pthread_mutex_lock(&n->down->lock);
    bool none = n->down->fetches == NULL;
    (void)pthread_mutex_unlock(&n->down->lock);
    return none;
}

static void open_fetches_end(void **state)
{
    struct node *town = node_new(TOWNSHIP, "t");
    struct node *village = node_new(VILLAGE, "v");
    struct rpc_channel *channel;
    struct rpc_tls tls = {node_tls, village};
    struct errmsg why;
    char address[32];
    struct sluggard g = {.err = ERR_OK};
    (void)state;
    (void)pthread_mutex_init(&g.lock, NULL);
    (void)pthread_cond_init(&g.wake, NULL);
    town->env.is_child = is_child;
    node_listen(town);
    struct wire_range all = {store_own_log(village->store), 1, 0};
    submit(village, 0, 80000); /* several times what can be under way */
    node_connect(village, town);
    await_equal(village, town, &all.log);
    node_disconnect(village);
    all.last = size_of(town, &all.log);

    (void)snprintf(address, sizeof address, "127.0.0.1:%u", town->port);
    assert_ok(
        rpc_channel_open(&channel, village->rpc, address, &tls, NULL, &why));
    ask(channel, &g, &all);
    await(&g, &g.met);
    downlink_recheck(town->down);
    assert_false(none_is_open(town)); /* nothing changed for it */
    g_shut_out = true;
    downlink_recheck(town->down);
    downlink_recheck(town->down);
    assert_true(comes_true(none_is_open, town, WAIT_MS));
    (void)pthread_mutex_lock(&g.lock);
    g.may_read = true;
    (void)pthread_cond_broadcast(&g.wake);
    (void)pthread_mutex_unlock(&g.lock);
    await(&g, &g.closed);
    assert_int_not_equal(g.err, ERR_OK);
    rpc_channel_close(&channel);
    node_free(village);
    node_free(town);
    (void)pthread_cond_destroy(&g.wake);
    (void)pthread_mutex_destroy(&g.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(open_fetches_end)};
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
