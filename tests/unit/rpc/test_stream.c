/* Bidirectional streams, either side. */
#include "unit/rpc/fixture.h"

enum {
    MANY = 1000,
    BIG = 256 << 10,
    TEXT_MAX = 1024,
    STUCK = 500, /* tries, 2 ms apart */
    QUOTA = 512 << 20
};

/* What one side of a stream saw. */
struct side {
    pthread_mutex_t lock;
    struct rpc_stream *stream;
    bool opened;
    unsigned messages;
    unsigned out_of_order; /* numbers that were not the next, and overlaps */
    unsigned drained;
    bool ended;
    unsigned closed;
    enum err err;
    char text[TEXT_MAX];
    char peer[160];
    char address[128];
    atomic_int inside;   /* callbacks running */
    atomic_bool blocked; /* the message callback waits while it is set */
    bool keep_open;      /* server: does not finish when the client did */
};

static struct side server_side;
static struct side client_side;
static struct net net;

static void enter(struct side *side)
{
    if (atomic_fetch_add(&side->inside, 1) != 0) {
        (void)pthread_mutex_lock(&side->lock);
        side->out_of_order++;
        (void)pthread_mutex_unlock(&side->lock);
    }
    (void)pthread_mutex_lock(&side->lock);
    side->out_of_order += side->closed;
}

static void leave(struct side *side)
{
    (void)pthread_mutex_unlock(&side->lock);
    atomic_fetch_sub(&side->inside, 1);
}

static void opened(struct rpc_stream *s, void *user)
{
    struct side *side = user;
    enter(side);
    side->stream = s;
    side->out_of_order += side->opened || side->messages > 0;
    side->opened = true;
    principal_format(rpc_stream_peer(s), side->peer, sizeof side->peer);
    (void)snprintf(side->address, sizeof side->address, "%s",
                   rpc_stream_address(s));
    leave(side);
}

static void put_number(struct buf *b, uint32_t number, size_t len)
{
    buf_put_u32(b, number);
    if (len > 4) {
        (void)memset(buf_reserve(b, len - 4), 'p', len - 4);
        b->len = len;
    }
}

static void numbered(struct rpc_stream *s, void *user, struct slice message)
{
    struct side *side = user;
    (void)s;
    while (atomic_load(&side->blocked)) {
        sleep_ms(1);
    }
    enter(side);
    if (message.len < 4 || be_get32(message.data) != side->messages) {
        side->out_of_order++;
    }
    side->messages++;
    leave(side);
}

static void echoed(struct rpc_stream *s, void *user, struct slice message)
{
    struct buf out = BUF_INIT;
    buf_put_slice(&out, message);
    numbered(s, user, message);
    assert_int_equal(rpc_stream_send(s, &out), ERR_OK);
}

static void drained(struct rpc_stream *s, void *user)
{
    struct side *side = user;
    (void)s;
    enter(side);
    side->drained++;
    leave(side);
}

static void ended(struct rpc_stream *s, void *user)
{
    struct side *side = user;
    enter(side);
    side->ended = true;
    bool keep = side->keep_open;
    leave(side);
    if (!keep) {
        rpc_stream_finish(s, ERR_OK, NULL);
    }
}

static void closed(struct rpc_stream *s, void *user, enum err err,
                   const char *text)
{
    struct side *side = user;
    (void)s;
    enter(side);
    side->stream = NULL;
    side->closed++;
    side->err = err;
    (void)snprintf(side->text, sizeof side->text, "%s", text);
    leave(side);
}

/* On the poller: in turn it is done there, begun there, or not wanted. */
static atomic_uint tried;
static uint8_t begun[RPC_AT_ONCE_MAX];
static size_t begun_len;

static enum rpc_at_once echo_at_once(struct rpc_stream *s, void *user,
                                     struct slice message)
{
    unsigned n = atomic_fetch_add(&tried, 1);
    if (n % 3 == 0) {
        return RPC_TAKE_BACK;
    }
    if (n % 3 == 1) {
        echoed(s, user, message);
        return RPC_DONE;
    }
    memcpy(begun, message.data, message.len);
    begun_len = message.len;
    return RPC_REST;
}

static void echo_rest(struct rpc_stream *s, void *user)
{
    echoed(s, user, slice_of(begun, begun_len));
}

static enum rpc_at_once number_at_once(struct rpc_stream *s, void *user,
                                       struct slice message)
{
    numbered(s, user, message);
    return RPC_DONE;
}

static const struct rpc_stream_ops echo_ops = {
    .open = opened, .message = echoed, .drained = drained, .closed = closed};
static const struct rpc_stream_ops echo_inline_ops = {.open = opened,
                                                      .message = echoed,
                                                      .drained = drained,
                                                      .closed = closed,
                                                      .at_once = echo_at_once,
                                                      .rest = echo_rest};
static const struct rpc_stream_ops sink_ops = {.open = opened,
                                               .message = numbered,
                                               .drained = drained,
                                               .ended = ended,
                                               .closed = closed};

static const struct rpc_method methods[] = {
    {.path = "/t.T/Echo", .stream = &echo_ops, .ctx = &server_side},
    {.path = "/t.T/Inline", .stream = &echo_inline_ops, .ctx = &server_side},
    {.path = "/t.T/Sink", .stream = &sink_ops, .ctx = &server_side},
};

static void side_init(struct side *side)
{
    (void)memset(side, 0, sizeof *side);
    (void)pthread_mutex_init(&side->lock, NULL);
}

static int up_with(uint32_t unread_ms)
{
    side_init(&server_side);
    side_init(&client_side);
    /* Both ends share it here, and a machine with much else to do fills it:
     * the library then ends the stream of a receiver that does not read. */
    struct rpc_conf conf = patient_conf();
    conf.quota_bytes = QUOTA;
    conf.unread_ms = unread_ms;
    net_open_with(&net, &conf, methods, ARRAY_LEN(methods));
    return 0;
}

static int up(void **state)
{
    (void)state;
    return up_with(rpc_conf_default().unread_ms);
}

static int up_impatient(void **state)
{
    (void)state;
    return up_with(100);
}

static int down(void **state)
{
    (void)state;
    atomic_store(&server_side.blocked, false);
    atomic_store(&client_side.blocked, false);
    net_close(&net);
    return 0;
}

#define READ(side, field)                                                      \
    ((void)pthread_mutex_lock(&(side)->lock), read_value = (side)->field,      \
     (void)pthread_mutex_unlock(&(side)->lock), read_value)
static _Thread_local unsigned read_value;

static struct rpc_stream *
dial(const char *path, const struct rpc_stream_ops *ops, uint32_t deadline_ms)
{
    struct rpc_stream *s = NULL;
    assert_int_equal(
        rpc_stream_open(&s, net.channel, path, ops, &client_side, deadline_ms),
        ERR_OK);
    return s;
}

static void send_number(struct rpc_stream *s, uint32_t number, size_t len)
{
    struct buf b = BUF_INIT;
    put_number(&b, number, len);
    enum err err = rpc_stream_send(s, &b);
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS;
         err == ERR_BUSY && clock_mono_ms() < until_ms;) {
        sleep_ms(1);
        err = rpc_stream_send(s, &b);
    }
    assert_int_equal(err, ERR_OK);
    assert_null(b.data);
}

static void assert_ordered(void)
{
    assert_int_equal(READ(&server_side, out_of_order), 0);
    assert_int_equal(READ(&client_side, out_of_order), 0);
}

static void wait_closed(void)
{
    WAIT_FOR(READ(&server_side, closed) == 1 &&
             READ(&client_side, closed) == 1);
    assert_ordered();
}

static void echo_many(const char *path, const struct rpc_stream_ops *ops)
{
    struct rpc_stream *s = dial(path, ops, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        send_number(s, i, 4 + i % 700);
    }
    WAIT_FOR(READ(&client_side, messages) == MANY);
    assert_int_equal(READ(&server_side, messages), MANY);
    assert_int_equal(rpc_stream_queued(s), 0);
    rpc_stream_finish(s, ERR_OK, NULL);
    wait_closed();
    assert_int_equal(server_side.err, ERR_OK);
    assert_int_equal(client_side.err, ERR_OK);
    assert_string_equal(server_side.peer, VILLAGE);
    assert_string_equal(client_side.peer, COUNTY);
    assert_has(server_side.address, "127.0.0.1:");
    assert_has(client_side.address, net.target);
}

static const struct rpc_stream_ops client_ops = {
    .open = opened, .message = numbered, .drained = drained, .closed = closed};
static const struct rpc_stream_ops client_inline_ops = {.open = opened,
                                                        .message = numbered,
                                                        .drained = drained,
                                                        .closed = closed,
                                                        .at_once =
                                                            number_at_once};

static void messages_keep_their_order_both_ways(void **state)
{
    (void)state;
    echo_many("/t.T/Echo", &client_ops);
}

static void messages_keep_their_order_inline(void **state)
{
    (void)state;
    echo_many("/t.T/Inline", &client_inline_ops);
}

static void inline_and_queued_messages_keep_their_order(void **state)
{
    (void)state;
    struct rpc_stream *s = dial("/t.T/Inline", &client_inline_ops, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        send_number(s, i, i % 7 == 0 ? 2 * RPC_AT_ONCE_MAX : 100);
    }
    WAIT_FOR(READ(&client_side, messages) == MANY);
    rpc_stream_finish(s, ERR_OK, NULL);
    wait_closed();
    assert_true(atomic_load(&tried) > 0);
    assert_int_equal(client_side.err, ERR_OK);
}

/* ---- a reader that pauses ---- */

static _Atomic(struct rpc_stream *) paused;

static enum rpc_at_once pause_at_once(struct rpc_stream *s, void *user,
                                      struct slice message)
{
    numbered(s, user, message);
    atomic_store(&paused, s);
    return RPC_PAUSE;
}

static const struct rpc_stream_ops pausing_ops = {.open = opened,
                                                  .message = numbered,
                                                  .drained = drained,
                                                  .closed = closed,
                                                  .at_once = pause_at_once};

struct reading_on {
    struct rpc_errand errand;
    atomic_bool done;
};

static void read_on(struct rpc_errand *errand)
{
    struct reading_on *r = CONTAINER_OF(errand, struct reading_on, errand);
    rpc_stream_read_on(atomic_exchange(&paused, NULL));
    atomic_store(&r->done, true);
}

enum { FEW = 20 };

static struct rpc_stream *dial_pausing(void)
{
    atomic_store(&paused, NULL);
    struct rpc_stream *s = dial("/t.T/Echo", &pausing_ops, 0);
    for (uint32_t i = 0; i < FEW; i++) {
        send_number(s, i, 100);
    }
    WAIT_FOR(READ(&server_side, messages) == FEW);
    return s;
}

static void after_a_pause_messages_come_in_order(void **state)
{
    (void)state;
    struct rpc_stream *s = dial_pausing();
    while (READ(&client_side, messages) < FEW) {
        struct reading_on r = {.errand = {.fn = read_on}};
        /* One that comes while a worker has the stream pauses nothing. */
        WAIT_FOR(atomic_load(&paused) != NULL ||
                 READ(&client_side, messages) == FEW);
        if (atomic_load(&paused) != NULL) {
            rpc_run_errand(net.rpc, &r.errand);
            WAIT_FOR(atomic_load(&r.done));
        }
    }
    rpc_stream_finish(s, ERR_OK, NULL);
    wait_closed();
    assert_int_equal(client_side.err, ERR_OK);
}

/* What is given up meanwhile is closed: nobody need read on. */
static void a_stream_that_is_given_up_in_a_pause_is_closed(void **state)
{
    (void)state;
    struct rpc_stream *s = dial_pausing();
    WAIT_FOR(atomic_load(&paused) != NULL);
    unsigned came = READ(&client_side, messages);
    assert_true(came < FEW);
    rpc_stream_finish(s, ERR_CANCELLED, "given up");
    wait_closed();
    assert_int_equal(READ(&client_side, messages), came);
    assert_int_equal(client_side.err, ERR_CANCELLED);
}

/* Sends until the window stays full; how many messages were taken. Tries are
 * counted, not time: a machine that lets nobody on makes no stream stuck. */
static uint32_t fill(struct rpc_stream *s, struct buf *kept)
{
    enum err err = ERR_OK;
    for (uint32_t sent = 0; sent < 400; sent += err == ERR_OK) {
        kept->len = 0;
        put_number(kept, sent, BIG);
        err = rpc_stream_send(s, kept);
        assert_true(rpc_stream_queued(s) <= RPC_WINDOW_BYTES);
        for (unsigned i = 0; err == ERR_BUSY && i < STUCK; i++) {
            sleep_ms(2);
            err = rpc_stream_send(s, kept);
        }
        if (err == ERR_BUSY) {
            return sent;
        }
        assert_int_equal(err, ERR_OK);
    }
    fail_msg("the window never filled");
    return 0;
}

static void a_slow_receiver_bounds_what_is_queued(void **state)
{
    (void)state;
    atomic_store(&server_side.blocked, true);
    struct rpc_stream *s = dial("/t.T/Sink", &client_ops, 0);
    struct buf b = BUF_INIT;
    uint32_t sent = fill(s, &b);
    assert_int_equal(b.len, BIG); /* kept by the caller */
    unsigned before = READ(&client_side, drained);
    assert_int_equal(rpc_stream_send(s, &b), ERR_BUSY);
    atomic_store(&server_side.blocked, false);
    WAIT_FOR(READ(&client_side, drained) == before + 1);
    assert_int_equal(rpc_stream_send(s, &b), ERR_OK);
    WAIT_FOR(READ(&server_side, messages) == sent + 1);
    rpc_stream_finish(s, ERR_OK, NULL);
    wait_closed();
    assert_int_equal(server_side.err, ERR_OK);
    assert_true(server_side.ended);
}

static void finishing_sends_what_is_queued_first(void **state)
{
    (void)state;
    /* What is queued cannot all go, so the stream is still there below. */
    atomic_store(&server_side.blocked, true);
    struct rpc_stream *s = dial("/t.T/Sink", &client_ops, 0);
    for (uint32_t i = 0; i < 50; i++) {
        send_number(s, i, 50000);
    }
    rpc_stream_finish(s, ERR_OK, NULL);
    struct buf late = BUF_INIT;
    buf_put_u32(&late, 50);
    assert_int_equal(rpc_stream_send(s, &late), ERR_CANCELLED);
    buf_fini(&late);
    atomic_store(&server_side.blocked, false);
    wait_closed();
    assert_int_equal(server_side.messages, 50);
    assert_int_equal(server_side.err, ERR_OK);
    assert_int_equal(client_side.err, ERR_OK);
}

static void the_server_ends_with_its_reason(void **state)
{
    (void)state;
    (void)dial("/t.T/Sink", &client_ops, 0);
    WAIT_FOR(READ(&server_side, opened) && READ(&client_side, opened));
    for (uint32_t i = 0; i < 10; i++) {
        send_number(server_side.stream, i, 70000);
    }
    rpc_stream_finish(server_side.stream, ERR_FORKED, "log 7 is forked");
    wait_closed();
    assert_int_equal(client_side.messages, 10);
    assert_int_equal(client_side.err, ERR_FORKED);
    assert_string_equal(client_side.text, "log 7 is forked");
    assert_int_equal(server_side.err, ERR_FORKED);
}

static void the_client_cancels_with_its_reason(void **state)
{
    (void)state;
    struct rpc_stream *s = dial("/t.T/Sink", &client_ops, 0);
    WAIT_FOR(READ(&server_side, opened));
    rpc_stream_finish(s, ERR_PROTOCOL, "answer out of turn");
    wait_closed();
    assert_int_equal(client_side.err, ERR_PROTOCOL);
    assert_string_equal(client_side.text, "answer out of turn");
    assert_int_equal(server_side.err, ERR_CANCELLED);
}

static void a_server_that_ends_early_is_not_ok(void **state)
{
    (void)state;
    (void)dial("/t.T/Sink", &client_ops, 0);
    WAIT_FOR(READ(&server_side, opened) && READ(&client_side, opened));
    rpc_stream_finish(server_side.stream, ERR_OK, NULL);
    wait_closed();
    assert_int_equal(client_side.err, ERR_CANCELLED);
    assert_int_equal(server_side.err, ERR_CANCELLED);
}

static void the_server_may_go_on_after_the_client_ended(void **state)
{
    (void)state;
    server_side.keep_open = true;
    struct rpc_stream *s = dial("/t.T/Sink", &client_ops, 0);
    rpc_stream_finish(s, ERR_OK, NULL);
    WAIT_FOR(READ(&server_side, ended));
    for (uint32_t i = 0; i < 100; i++) {
        send_number(server_side.stream, i, 2000);
    }
    rpc_stream_finish(server_side.stream, ERR_OK, NULL);
    wait_closed();
    assert_int_equal(client_side.messages, 100);
    assert_int_equal(client_side.err, ERR_OK);
    assert_int_equal(server_side.err, ERR_OK);
}

static void finishing_twice_does_not_wait_for_a_stuck_peer(void **state)
{
    (void)state;
    atomic_store(&client_side.blocked, true);
    (void)dial("/t.T/Sink", &client_ops, 0);
    WAIT_FOR(READ(&server_side, opened) && READ(&client_side, opened));
    struct buf kept = BUF_INIT;
    (void)fill(server_side.stream, &kept);
    buf_fini(&kept);
    rpc_stream_finish(server_side.stream, ERR_BUSY, "too slow");
    sleep_ms(200);
    assert_int_equal(READ(&server_side, closed), 0);
    rpc_stream_finish(server_side.stream, ERR_TIMEOUT, "far too slow");
    WAIT_FOR(READ(&server_side, closed) == 1);
    assert_int_equal(server_side.err, ERR_TIMEOUT);
    atomic_store(&client_side.blocked, false);
    wait_closed();
    assert_true(client_side.err != ERR_OK);
}

/* Megabytes are queued for it, and more come with each stream. */
static void who_does_not_read_to_the_end_is_cut_off(void **state)
{
    (void)state;
    atomic_store(&client_side.blocked, true);
    (void)dial("/t.T/Sink", &client_ops, 0);
    WAIT_FOR(READ(&server_side, opened) && READ(&client_side, opened));
    struct buf kept = BUF_INIT;
    (void)fill(server_side.stream, &kept);
    buf_fini(&kept);
    rpc_stream_finish(server_side.stream, ERR_OK, NULL);
    WAIT_FOR(READ(&server_side, closed) == 1);
    assert_true(server_side.err != ERR_OK);
    atomic_store(&client_side.blocked, false);
    wait_closed();
    assert_true(client_side.err != ERR_OK);
}

static void a_server_that_stops_is_unavailable(void **state)
{
    (void)state;
    struct rpc_stream *s = dial("/t.T/Echo", &client_ops, 0);
    send_number(s, 0, 10);
    WAIT_FOR(READ(&client_side, messages) == 1);
    rpc_server_close(&net.server, 0);
    wait_closed();
    assert_int_equal(client_side.err, ERR_UNAVAILABLE);
    assert_has(client_side.text, "stopping");
    assert_int_equal(server_side.err, ERR_UNAVAILABLE);
}

static void a_stream_to_no_server_only_closes(void **state)
{
    (void)state;
    rpc_server_close(&net.server, 0);
    for (int i = 0; i < 3; i++) {
        side_init(&client_side);
        (void)dial("/t.T/Echo", &client_ops, 0);
        WAIT_FOR(READ(&client_side, closed) == 1);
        assert_int_equal(client_side.err, ERR_UNAVAILABLE);
        assert_has(client_side.text, net.target);
        assert_false(client_side.opened);
    }
}

static void a_new_stream_finds_a_server_that_came_back(void **state)
{
    (void)state;
    rpc_server_close(&net.server, 0);
    (void)dial("/t.T/Echo", &client_ops, 0);
    WAIT_FOR(READ(&client_side, closed) == 1);
    struct errmsg why;
    struct rpc_tls tls = source_tls(net.server_tls);
    assert_int_equal(rpc_listen(&net.server, net.rpc, net.target, &tls, methods,
                                ARRAY_LEN(methods), &why),
                     ERR_OK);
    side_init(&client_side);
    struct rpc_stream *s = dial("/t.T/Echo", &client_ops, 0);
    send_number(s, 0, 10);
    WAIT_FOR(READ(&client_side, messages) == 1);
    rpc_stream_finish(s, ERR_OK, NULL);
    wait_closed();
}

static void an_unknown_stream_only_closes(void **state)
{
    (void)state;
    (void)dial("/t.T/Nothing", &client_ops, 0);
    WAIT_FOR(READ(&client_side, closed) == 1);
    assert_int_equal(client_side.err, ERR_UNSUPPORTED);
    assert_has(client_side.text, "/t.T/Nothing");
    assert_false(client_side.opened);
}

/* On a connection that is there: making one may take longer than this. */
static void a_deadline_closes_both_sides(void **state)
{
    (void)state;
    rpc_stream_finish(dial("/t.T/Sink", &client_ops, 0), ERR_OK, NULL);
    wait_closed();
    side_init(&server_side);
    side_init(&client_side);
    (void)dial("/t.T/Sink", &client_ops, 4000);
    wait_closed();
    assert_int_equal(client_side.err, ERR_TIMEOUT);
    assert_int_equal(server_side.err, ERR_CANCELLED);
}

static void closing_the_channel_closes_its_streams(void **state)
{
    (void)state;
    (void)dial("/t.T/Sink", &client_ops, 0);
    WAIT_FOR(READ(&server_side, opened));
    rpc_channel_close(&net.channel);
    assert_int_equal(READ(&client_side, closed), 1);
    assert_int_equal(client_side.err, ERR_CANCELLED);
    wait_closed();
}

static void a_message_too_large_is_kept_by_the_caller(void **state)
{
    (void)state;
    struct rpc_stream *s = dial("/t.T/Sink", &client_ops, 0);
    struct buf b = BUF_INIT;
    put_number(&b, 0, RPC_MESSAGE_MAX + 1);
    assert_int_equal(rpc_stream_send(s, &b), ERR_TOO_LARGE);
    assert_int_equal(b.len, RPC_MESSAGE_MAX + 1);
    buf_fini(&b);
    send_number(s, 0, RPC_MESSAGE_MAX);
    WAIT_FOR(READ(&server_side, messages) == 1);
    rpc_stream_finish(s, ERR_OK, NULL);
    wait_closed();
}

static void *send_from_thread(void *arg)
{
    for (uint32_t i = 0; i < 200; i++) {
        struct buf b = BUF_INIT;
        put_number(&b, i, 3000);
        if (rpc_stream_send(arg, &b) != ERR_OK) {
            buf_fini(&b);
        }
    }
    return NULL;
}

static void many_threads_may_send(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct rpc_stream *s = dial("/t.T/Sink", &client_ops, 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, send_from_thread, s),
                         0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        (void)pthread_join(threads[i], NULL);
    }
    WAIT_FOR(READ(&server_side, messages) == 800);
    rpc_stream_finish(s, ERR_OK, NULL);
    WAIT_FOR(READ(&client_side, closed) == 1 &&
             READ(&server_side, closed) == 1);
    assert_int_equal(client_side.err, ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
        CASE(messages_keep_their_order_both_ways),
        CASE(messages_keep_their_order_inline),
        CASE(inline_and_queued_messages_keep_their_order),
        CASE(after_a_pause_messages_come_in_order),
        CASE(a_stream_that_is_given_up_in_a_pause_is_closed),
        CASE(a_slow_receiver_bounds_what_is_queued),
        CASE(finishing_sends_what_is_queued_first),
        CASE(the_server_ends_with_its_reason),
        CASE(the_client_cancels_with_its_reason),
        CASE(a_server_that_ends_early_is_not_ok),
        CASE(the_server_may_go_on_after_the_client_ended),
        CASE(finishing_twice_does_not_wait_for_a_stuck_peer),
        cmocka_unit_test_setup_teardown(who_does_not_read_to_the_end_is_cut_off,
                                        up_impatient, down),
        CASE(a_server_that_stops_is_unavailable),
        CASE(a_stream_to_no_server_only_closes),
        CASE(a_new_stream_finds_a_server_that_came_back),
        CASE(an_unknown_stream_only_closes),
        CASE(a_deadline_closes_both_sides),
        CASE(closing_the_channel_closes_its_streams),
        CASE(a_message_too_large_is_kept_by_the_caller),
        CASE(many_threads_may_send),
#undef CASE
    };
    return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
