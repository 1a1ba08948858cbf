/* Many streams and calls at once, ended in every way, and closings in the
 * midst of it: for the sanitizers, and every stream must be closed once. */
#include "unit/rpc/fixture.h"

enum { THREADS = 4, ROUNDS = 60, UNARY_CALLS = 5 };

static atomic_uint server_open;
static atomic_uint server_closed;

static void count_open(struct rpc_stream *s, void *user)
{
    (void)s;
    (void)user;
    atomic_fetch_add(&server_open, 1);
}

/* The first byte says how the server shall end, if it is the server's turn. */
static void obey(struct rpc_stream *s, void *user, struct slice message)
{
    (void)user;
    struct buf out = BUF_INIT;
    switch (message.len > 0 ? message.data[0] : 0) {
    case 'o':
        rpc_stream_finish(s, ERR_OK, NULL);
        break;
    case 'e':
        rpc_stream_finish(s, ERR_BUSY, "asked for");
        break;
    case 'a':
        rpc_stream_finish(s, ERR_BUSY, "asked for");
        rpc_stream_finish(s, ERR_TIMEOUT, "twice");
        break;
    default:
        buf_put_slice(&out, message);
        if (rpc_stream_send(s, &out) != ERR_OK) {
            buf_fini(&out);
        }
    }
}

static void count_closed(struct rpc_stream *s, void *user, enum err err,
                         const char *text)
{
    (void)s;
    (void)user;
    (void)err;
    (void)text;
    atomic_fetch_add(&server_closed, 1);
}

static void echo(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    struct buf out = BUF_INIT;
    buf_put_slice(&out, rpc_call_request(call));
    rpc_reply(call, &out);
}

static enum rpc_at_once obey_at_once(struct rpc_stream *s, void *user,
                                     struct slice message)
{
    obey(s, user, message);
    return RPC_DONE;
}

static const struct rpc_stream_ops server_ops = {.open = count_open,
                                                 .message = obey,
                                                 .closed = count_closed,
                                                 .at_once = obey_at_once};
static const struct rpc_method methods[] = {
    {.path = "/t.T/Stream", .stream = &server_ops},
    {.path = "/t.T/Echo", .unary = echo},
};

/* A client's stream. Other threads may use it under the lock while it is
 * there: the way for every user of streams. */
struct end {
    pthread_mutex_t lock;
    struct rpc_stream *stream; /* NULL once closed */
    unsigned closed;
    atomic_uint heard;
};

static void hear(struct rpc_stream *s, void *user, struct slice message)
{
    (void)s;
    (void)message;
    struct end *end = user;
    atomic_fetch_add(&end->heard, 1);
}

static void end_closed(struct rpc_stream *s, void *user, enum err err,
                       const char *text)
{
    (void)s;
    (void)err;
    (void)text;
    struct end *end = user;
    (void)pthread_mutex_lock(&end->lock);
    end->stream = NULL;
    end->closed++;
    (void)pthread_mutex_unlock(&end->lock);
}

static enum rpc_at_once hear_at_once(struct rpc_stream *s, void *user,
                                     struct slice message)
{
    hear(s, user, message);
    return RPC_DONE;
}

static const struct rpc_stream_ops client_ops = {
    .message = hear, .closed = end_closed, .at_once = hear_at_once};
static const struct rpc_stream_ops client_worker_ops = {.message = hear,
                                                        .closed = end_closed};

static struct net net;
static atomic_uint dones;
static atomic_uint asked;
static atomic_uint dialled;

static void done(void *ctx, enum err err, const char *text, struct slice reply)
{
    (void)ctx;
    (void)err;
    (void)text;
    (void)reply;
    atomic_fetch_add(&dones, 1);
}

/* Lock held, as in finish(). */
static void say(struct end *end, char c, size_t len)
{
    struct buf b = BUF_INIT;
    (void)memset(buf_reserve(&b, len), c, len);
    b.len = len;
    if (end->stream == NULL || rpc_stream_send(end->stream, &b) != ERR_OK) {
        buf_fini(&b);
    }
}

static void finish(struct end *end, enum err err)
{
    if (end->stream != NULL) {
        rpc_stream_finish(end->stream, err, "enough");
    }
}

static void one_stream(unsigned round, struct end *end)
{
    (void)pthread_mutex_lock(&end->lock);
    enum err err = rpc_stream_open(&end->stream, net.channel, "/t.T/Stream",
                                   round % 2 ? &client_ops : &client_worker_ops,
                                   end, round % 11 == 0 ? 5 : 0);
    (void)pthread_mutex_unlock(&end->lock);
    assert_int_equal(err, ERR_OK);
    atomic_fetch_add(&dialled, 1);
    for (unsigned step = 0; step < 3; step++) {
        (void)pthread_mutex_lock(&end->lock);
        if (step < 2) {
            say(end, "xoeaxx"[step * (round % 5)], 10 + round % 5 * 40000);
        } else if (round % 5 == 0 || round % 5 == 4) {
            finish(end, round % 5 == 0 ? ERR_OK : ERR_PROTOCOL);
        }
        (void)pthread_mutex_unlock(&end->lock);
    }
}

static bool is_closed(struct end *end)
{
    (void)pthread_mutex_lock(&end->lock);
    bool closed = end->closed > 0;
    (void)pthread_mutex_unlock(&end->lock);
    return closed;
}

static void ask(void)
{
    for (unsigned k = 0; k < UNARY_CALLS; k++) {
        struct buf b = BUF_INIT;
        buf_put_str(&b, "hello");
        atomic_fetch_add(&asked, 1);
        rpc_unary(net.channel, "/t.T/Echo", &b, CALL_MS, done, NULL);
    }
}

static void *churn(void *arg)
{
    struct end *ends = mem_zalloc(ROUNDS, sizeof *ends);
    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)pthread_mutex_init(&ends[i].lock, NULL);
        one_stream(i * 7 + *(const unsigned *)arg, &ends[i]);
        ask();
        if (i % 16 == 0) {
            rpc_channel_reset(net.channel);
        }
        if (i % 4 == 0) {
            sleep_ms(1);
        }
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        WAIT_FOR(is_closed(&ends[i]));
        assert_int_equal(ends[i].closed, 1);
        (void)pthread_mutex_destroy(&ends[i].lock);
    }
    mem_free(ends);
    return NULL;
}

static void run_churn(bool close_server)
{
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];
    net_open(&net, methods, ARRAY_LEN(methods));
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &seeds[i]),
                         0);
    }
    if (close_server) {
        sleep_ms(30);
        rpc_server_close(&net.server, 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    WAIT_FOR(atomic_load(&dones) == atomic_load(&asked));
    net_close(&net);
    assert_int_equal(atomic_load(&server_open), atomic_load(&server_closed));
    assert_in_range(atomic_load(&server_open), 1, atomic_load(&dialled));
}

static void every_stream_is_closed_once(void **state)
{
    (void)state;
    run_churn(false);
}

static void a_server_may_close_in_the_midst(void **state)
{
    (void)state;
    run_churn(true);
}

static void everything_may_close_in_the_midst(void **state)
{
    (void)state;
    struct end ends[20] = {0};
    for (int round = 0; round < 10; round++) {
        net_open(&net, methods, ARRAY_LEN(methods));
        (void)memset(ends, 0, sizeof ends);
        for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
            (void)pthread_mutex_init(&ends[i].lock, NULL);
            one_stream(i, &ends[i]);
            ask();
        }
        sleep_ms(round * 2);
        net_close(&net);
        assert_int_equal(atomic_load(&dones), atomic_load(&asked));
        for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
            assert_int_equal(ends[i].closed, 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stream_is_closed_once),
        cmocka_unit_test(a_server_may_close_in_the_midst),
        cmocka_unit_test(everything_may_close_in_the_midst),
    };
    return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
