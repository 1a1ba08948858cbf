/* Unary calls. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "health.pb-c.h"
#include "unit/rpc/fixture.h"

static void echo(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    struct buf out = BUF_INIT;
    buf_put_slice(&out, rpc_call_request(call));
    rpc_reply(call, &out);
}

static void who(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    char name[160];
    principal_format(rpc_call_peer(call), name, sizeof name);
    struct buf out = BUF_INIT;
    buf_put_str(&out, name);
    rpc_reply(call, &out);
}

static void moved(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    rpc_fail(call, ERR_MOVED, "请到新的上级登记");
}

static void forged(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    rpc_fail(call, ERR_MOVED, "no\" err=OK log=\"x\ninfo FAKE \x1b[31m");
}

static void huge(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    struct buf out = BUF_INIT;
    (void)memset(buf_reserve(&out, RPC_MESSAGE_MAX + 1), 'x',
                 RPC_MESSAGE_MAX + 1);
    out.len = RPC_MESSAGE_MAX + 1;
    rpc_reply(call, &out);
}

static atomic_int held_started;
static atomic_bool held_go;

static void hold(void *ctx, struct rpc_call *call)
{
    atomic_fetch_add(&held_started, 1);
    while (!atomic_load(&held_go)) {
        sleep_ms(1);
    }
    echo(ctx, call);
}

/* Answered later, by release(): no thread waits meanwhile. */
enum { PARKED_MAX = 8 };
static struct rpc_call *parked[PARKED_MAX];
static atomic_uint parked_n;

static void park(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    unsigned n = atomic_load(&parked_n);
    assert_true(n < PARKED_MAX);
    parked[n] = call;
    atomic_store(&parked_n, n + 1);
}

static void release(void)
{
    for (unsigned i = 0; i < atomic_load(&parked_n); i++) {
        echo(NULL, parked[i]);
    }
    atomic_store(&parked_n, 0);
}

/* The same on the poller. */
static bool park_now(void *ctx, struct rpc_call *call)
{
    park(ctx, call);
    return true;
}

/* What begins with "now" is answered at once. */
static bool echo_now(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    struct slice request = rpc_call_request(call);
    if (request.len < 3 || memcmp(request.data, "now", 3) != 0) {
        return false;
    }
    struct shared *reply = shared_new(request);
    rpc_reply_shared(call, &reply, slice_of(NULL, 0));
    return true;
}

static bool huge_now(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    struct buf out = BUF_INIT;
    (void)memset(buf_reserve(&out, RPC_MESSAGE_MAX + 1), 'x',
                 RPC_MESSAGE_MAX + 1);
    out.len = RPC_MESSAGE_MAX + 1;
    struct shared *reply = shared_new(buf_slice(&out));
    buf_fini(&out);
    rpc_reply_shared(call, &reply, slice_of(NULL, 0));
    return true;
}

static const struct rpc_method methods[] = {
    {.path = "/t.T/Echo", .unary = echo},
    {.path = "/t.T/Quick", .unary = echo, .quick = true},
    {.path = "/t.T/Who", .unary = who},
    {.path = "/t.T/Moved", .unary = moved},
    {.path = "/t.T/Forged", .unary = forged},
    {.path = "/t.T/Huge", .unary = huge},
    {.path = "/t.T/Hold", .unary = hold},
    {.path = "/t.T/Park", .unary = park},
    {.path = "/t.T/ParkNow", .unary = park, .at_once = park_now},
    {.path = "/t.T/Now", .unary = echo, .at_once = echo_now},
    {.path = "/t.T/HoldNow", .unary = hold, .at_once = echo_now},
    {.path = "/t.T/HugeNow", .unary = echo, .at_once = huge_now},
};

static struct net net;

static int up(void **state)
{
    (void)state;
    atomic_store(&held_started, 0);
    atomic_store(&held_go, false);
    atomic_store(&parked_n, 0);
    struct rpc_conf conf = patient_conf();
    conf.workers = 1;
    conf.calls_max = 2;
    conf.connections_max = 2;
    net_open_with(&net, &conf, methods, ARRAY_LEN(methods));
    return 0;
}

static int down(void **state)
{
    (void)state;
    atomic_store(&held_go, true); /* a test may have failed before */
    release();
    net_close(&net);
    return 0;
}

static void a_call_is_answered(void **state)
{
    (void)state;
    struct errmsg out;
    assert_int_equal(call_text(net.channel, "/t.T/Echo", "一", &out), ERR_OK);
    assert_string_equal(out.text, "一");
    assert_int_equal(call_text(net.channel, "/t.T/Quick", "two", &out), ERR_OK);
    assert_string_equal(out.text, "two");
    assert_int_equal(call_text(net.channel, "/t.T/Echo", "", &out), ERR_OK);
    assert_string_equal(out.text, "");
}

static void the_handler_knows_the_peer(void **state)
{
    (void)state;
    struct errmsg out;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call_text(net.channel, "/t.T/Who", "", &out), ERR_OK);
        assert_string_equal(out.text, VILLAGE);
    }
}

static void an_error_arrives_with_its_name_and_text(void **state)
{
    (void)state;
    struct errmsg out;
    assert_int_equal(call_text(net.channel, "/t.T/Moved", "", &out), ERR_MOVED);
    assert_string_equal(out.text, "请到新的上级登记");
}

/* It goes between quotes into a line of the log. */
static void a_text_of_the_other_side_forges_no_field(void **state)
{
    (void)state;
    struct errmsg out;
    assert_int_equal(call_text(net.channel, "/t.T/Forged", "", &out),
                     ERR_MOVED);
    assert_string_equal(out.text, "no' err=OK log='x?info FAKE ?[31m");
}

static void an_unknown_method_is_refused_at_once(void **state)
{
    (void)state;
    struct errmsg out;
    int64_t start = clock_mono_ms();
    assert_int_equal(call_text(net.channel, "/t.T/Nothing", "", &out),
                     ERR_UNSUPPORTED);
    assert_has(out.text, "/t.T/Nothing");
    assert_true(clock_mono_ms() - start < CALL_MS / 2);
}

static void the_largest_message_passes_both_ways(void **state)
{
    (void)state;
    struct buf in = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct errmsg why;
    (void)memset(buf_reserve(&in, RPC_MESSAGE_MAX), 'm', RPC_MESSAGE_MAX);
    in.len = RPC_MESSAGE_MAX;
    assert_int_equal(
        rpc_unary_wait(net.channel, "/t.T/Echo", &in, CALL_MS, &reply, &why),
        ERR_OK);
    assert_null(in.data);
    assert_int_equal(reply.len, RPC_MESSAGE_MAX);
    assert_int_equal(reply.data[RPC_MESSAGE_MAX - 1], 'm');
    buf_fini(&reply);
}

static void a_larger_message_is_refused_on_its_own_side(void **state)
{
    (void)state;
    struct buf in = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct errmsg why;
    (void)memset(buf_reserve(&in, RPC_MESSAGE_MAX + 1), 'm',
                 RPC_MESSAGE_MAX + 1);
    in.len = RPC_MESSAGE_MAX + 1;
    assert_int_equal(
        rpc_unary_wait(net.channel, "/t.T/Echo", &in, CALL_MS, &reply, &why),
        ERR_TOO_LARGE);
    struct errmsg out;
    assert_int_equal(call_text(net.channel, "/t.T/Huge", "", &out),
                     ERR_TOO_LARGE);
    buf_fini(&reply);
}

static void a_deadline_ends_the_wait(void **state)
{
    (void)state;
    struct buf in = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct errmsg why;
    int64_t start = clock_mono_ms();
    assert_int_equal(
        rpc_unary_wait(net.channel, "/t.T/Hold", &in, 200, &reply, &why),
        ERR_TIMEOUT);
    assert_in_range(clock_mono_ms() - start, 150, WAIT_MS);
    atomic_store(&held_go, true);
}

struct counts {
    atomic_int ok;
    atomic_int busy;
    atomic_int late;
    atomic_int other;
};

static void count(void *ctx, enum err err, const char *text, struct slice reply)
{
    (void)text;
    (void)reply;
    struct counts *c = ctx;
    atomic_fetch_add(err == ERR_OK        ? &c->ok
                     : err == ERR_BUSY    ? &c->busy
                     : err == ERR_TIMEOUT ? &c->late
                                          : &c->other,
                     1);
}

/* A client that has workers of its own: the server's may be held meanwhile. */
static void client_open(struct net *client)
{
    struct errmsg why;
    struct rpc_conf conf = patient_conf();
    *client = (struct net){.rpc = NULL};
    assert_int_equal(rpc_open(&client->rpc, &conf, &why), ERR_OK);
    memcpy(client->target, net.target, sizeof client->target);
    client->channel = net_dial(client, net.client_tls, NULL);
}

static void client_close(struct net *client)
{
    rpc_channel_close(&client->channel);
    rpc_close(&client->rpc);
}

static void start_held(struct net *from, struct counts *c, int calls,
                       uint32_t deadline_ms)
{
    for (int i = 0; i < calls; i++) {
        struct buf in = BUF_INIT;
        rpc_unary(from->channel, "/t.T/Hold", &in, deadline_ms, count, c);
    }
}

/* The one worker of the server is held by a call of this client. */
static void hold_the_worker(struct net *from, struct counts *c)
{
    start_held(from, c, 1, CALL_MS);
    WAIT_FOR(atomic_load(&held_started) == 1);
}

/* One worker is held, two calls wait. */
static void calls_past_the_limit_are_refused(void **state)
{
    (void)state;
    struct counts c = {0};
    struct net client;
    client_open(&client);
    hold_the_worker(&client, &c);
    start_held(&client, &c, 5, CALL_MS);
    WAIT_FOR(atomic_load(&c.busy) == 3);
    atomic_store(&held_go, true);
    WAIT_FOR(atomic_load(&c.ok) + atomic_load(&c.busy) == 6);
    assert_int_equal(atomic_load(&c.ok), 3);
    assert_int_equal(atomic_load(&held_started), 3);
    client_close(&client);
}

/* No worker is held and none waits: what is under way is memory all the same,
 * here four times two. */
static void calls_under_way_are_bounded(void **state)
{
    (void)state;
    struct counts c = {0};
    struct errmsg out;
    for (unsigned i = 0; i < PARKED_MAX; i++) {
        struct buf in = BUF_INIT;
        rpc_unary(net.channel, "/t.T/Park", &in, CALL_MS, count, &c);
        WAIT_FOR(atomic_load(&parked_n) == i + 1);
    }
    assert_int_equal(call_text(net.channel, "/t.T/Now", "now", &out), ERR_BUSY);
    assert_has(out.text, "under way");
    assert_int_equal(call_text(net.channel, "/t.T/Quick", "q", &out), ERR_OK);
    release();
    WAIT_FOR(atomic_load(&c.ok) == PARKED_MAX);
    WAIT_FOR(call_text(net.channel, "/t.T/Now", "now", &out) == ERR_OK);
}

static void park_on(struct rpc_channel *ch, struct counts *c)
{
    struct buf request = BUF_INIT;
    unsigned before = atomic_load(&parked_n);
    rpc_unary(ch, "/t.T/Park", &request, CALL_MS, count, c);
    WAIT_FOR(atomic_load(&parked_n) > before);
}

/* One certificate has its share of connections, whatever it opens; another has
 * its own, and whose calls are over makes room. */
static void connections_of_a_certificate_are_bounded(void **state)
{
    (void)state;
    struct counts c = {0};
    struct errmsg why;
    struct tls_source *town = source_new("town", "ca");
    struct rpc_channel *second = net_dial(&net, net.client_tls, NULL);
    struct rpc_channel *third = net_dial(&net, net.client_tls, NULL);
    struct rpc_channel *others = net_dial(&net, town, NULL);
    park_on(net.channel, &c);
    park_on(second, &c);
    assert_int_equal(call_text(third, "/t.T/Echo", "x", &why), ERR_BUSY);
    assert_has(why.text, "uses 2 connections");
    assert_int_equal(call_text(second, "/t.T/Quick", "x", &why), ERR_OK);
    assert_int_equal(call_text(others, "/t.T/Echo", "x", &why), ERR_OK);
    release();
    WAIT_FOR(atomic_load(&c.ok) == 2);
    WAIT_FOR(call_text(third, "/t.T/Echo", "x", &why) == ERR_OK);
    rpc_channel_close(&second);
    rpc_channel_close(&third);
    rpc_channel_close(&others);
    source_free(town);
}

/* Its time runs from when it came. What is answered behind it, on the same
 * connection, shows that it came, if it was sent at all. */
static void an_expired_call_never_reaches_its_handler(void **state)
{
    enum { SHORT_MS = 100 };
    (void)state;
    struct counts c = {0};
    struct net client;
    struct errmsg out;
    client_open(&client);
    hold_the_worker(&client, &c);
    start_held(&client, &c, 1, SHORT_MS);
    assert_int_equal(call_text(client.channel, "/t.T/Now", "now", &out),
                     ERR_OK);
    sleep_ms(SHORT_MS + 50);
    atomic_store(&held_go, true);
    WAIT_FOR(atomic_load(&c.ok) == 1 && atomic_load(&c.late) == 1);
    assert_int_equal(call_text(client.channel, "/t.T/Echo", "x", &out), ERR_OK);
    assert_int_equal(atomic_load(&held_started), 1);
    client_close(&client);
}

static void what_is_not_answered_at_once_goes_to_a_worker(void **state)
{
    (void)state;
    struct errmsg out;
    assert_int_equal(call_text(net.channel, "/t.T/Now", "now 一", &out),
                     ERR_OK);
    assert_string_equal(out.text, "now 一");
    assert_int_equal(call_text(net.channel, "/t.T/Now", "later", &out), ERR_OK);
    assert_string_equal(out.text, "later");
    assert_int_equal(call_text(net.channel, "/t.T/Now", "", &out), ERR_OK);
    assert_string_equal(out.text, "");
    assert_int_equal(call_text(net.channel, "/t.T/HugeNow", "", &out),
                     ERR_TOO_LARGE);
}

/* The client's callbacks do: those are on a worker of its own. */
static void what_is_answered_at_once_needs_no_worker(void **state)
{
    (void)state;
    struct counts c = {0};
    struct net client;
    struct errmsg out;
    client_open(&client);
    hold_the_worker(&net, &c);
    assert_int_equal(call_text(client.channel, "/t.T/HoldNow", "now", &out),
                     ERR_OK);
    assert_string_equal(out.text, "now");
    assert_int_equal(atomic_load(&held_started), 1);
    atomic_store(&held_go, true);
    assert_int_equal(call_text(client.channel, "/t.T/HoldNow", "later", &out),
                     ERR_OK);
    assert_int_equal(atomic_load(&held_started), 2);
    WAIT_FOR(atomic_load(&c.ok) == 1);
    client_close(&client);
}

/* ---- errands ---- */

struct paid {
    struct rpc_errand errand;
    unsigned runner;
    unsigned number;
};

enum { RUNNERS = 4, ERRANDS = 5000 };
static struct paid paid[RUNNERS][ERRANDS];
static unsigned paid_next[RUNNERS]; /* the poller's */
static atomic_uint paid_n;
static atomic_uint paid_faults;

static void pay(struct rpc_errand *errand)
{
    struct paid *p = CONTAINER_OF(errand, struct paid, errand);
    if (paid_next[p->runner]++ != p->number) {
        atomic_fetch_add(&paid_faults, 1);
    }
    atomic_fetch_add(&paid_n, 1);
}

static void *run_errands(void *arg)
{
    struct paid *list = arg;
    for (unsigned i = 0; i < ERRANDS; i++) {
        list[i].errand.fn = pay;
        rpc_run_errand(net.rpc, &list[i].errand);
    }
    return NULL;
}

/* All of them, in the order of each thread, and with nothing left behind when
 * the last has been done. */
static void errands_of_many_threads_are_all_done(void **state)
{
    pthread_t threads[RUNNERS];
    (void)state;
    atomic_store(&paid_n, 0);
    memset(paid_next, 0, sizeof paid_next);
    for (unsigned t = 0; t < RUNNERS; t++) {
        for (unsigned i = 0; i < ERRANDS; i++) {
            paid[t][i] = (struct paid){.runner = t, .number = i};
        }
        assert_int_equal(
            pthread_create(&threads[t], NULL, run_errands, paid[t]), 0);
    }
    WAIT_FOR(atomic_load(&paid_n) == RUNNERS * ERRANDS);
    for (unsigned t = 0; t < RUNNERS; t++) {
        (void)pthread_join(threads[t], NULL);
    }
    assert_int_equal(atomic_load(&paid_faults), 0);
}

/* Answers what is parked, from whichever thread does errands. */
static void answer_parked(struct rpc_errand *errand)
{
    (void)errand;
    release();
}

/* The one worker is held: neither taking the call nor answering it later needs
 * one. */
static void an_errand_answers_without_a_worker(void **state)
{
    struct counts c = {0};
    struct counts later = {0};
    struct rpc_errand errand = {.fn = answer_parked};
    struct buf request = BUF_INIT;
    struct net client;
    (void)state;
    client_open(&client);
    hold_the_worker(&net, &c);
    rpc_unary(client.channel, "/t.T/ParkNow", &request, CALL_MS, count, &later);
    WAIT_FOR(atomic_load(&parked_n) == 1);
    rpc_run_errand(net.rpc, &errand);
    WAIT_FOR(atomic_load(&later.ok) == 1);
    assert_int_equal(atomic_load(&c.ok), 0);
    atomic_store(&held_go, true);
    WAIT_FOR(atomic_load(&c.ok) == 1);
    client_close(&client);
}

static void closing_the_channel_ends_its_calls(void **state)
{
    (void)state;
    struct counts c = {0};
    struct rpc_channel *ch = net_dial(&net, net.client_tls, NULL);
    struct buf in = BUF_INIT;
    rpc_unary(ch, "/t.T/Hold", &in, CALL_MS, count, &c);
    WAIT_FOR(atomic_load(&held_started) == 1);
    in = (struct buf)BUF_INIT;
    rpc_unary(ch, "/t.T/Hold", &in, CALL_MS, count, &c);
    atomic_store(&held_go, true);
    rpc_channel_close(&ch);
    assert_int_equal(atomic_load(&c.ok) + atomic_load(&c.other), 2);
}

static enum err check_health(const char *service, bool *serving)
{
    Grpc__Health__V1__HealthCheckRequest req =
        GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    char name[64];
    (void)snprintf(name, sizeof name, "%s", service);
    req.service = name;
    struct buf in = BUF_INIT;
    size_t len = grpc__health__v1__health_check_request__get_packed_size(&req);
    in.len = grpc__health__v1__health_check_request__pack(
        &req, buf_reserve(&in, len));
    struct buf reply = BUF_INIT;
    struct errmsg why;
    enum err err = rpc_unary_wait(net.channel, "/grpc.health.v1.Health/Check",
                                  &in, CALL_MS, &reply, &why);
    *serving = reply.len == 2 && memcmp(reply.data, "\x08\x01", 2) == 0;
    buf_fini(&reply);
    return err;
}

static void health_is_served(void **state)
{
    (void)state;
    bool serving;
    assert_int_equal(check_health("", &serving), ERR_OK);
    assert_true(serving);
    assert_int_equal(check_health("t.T", &serving), ERR_OK);
    assert_true(serving);
    assert_int_equal(check_health("t.Unknown", &serving), ERR_NOT_FOUND);
    assert_int_equal(check_health("t", &serving), ERR_NOT_FOUND);
}

static void an_address_in_use_is_named(void **state)
{
    (void)state;
    struct errmsg why = {""};
    struct rpc_server *second = NULL;
    struct rpc_tls tls = source_tls(net.server_tls);
    assert_int_equal(rpc_listen(&second, net.rpc, net.target, &tls, methods,
                                ARRAY_LEN(methods), &why),
                     ERR_CONF);
    assert_has(why.text, net.target);
}

static void no_server_is_unavailable_with_the_address(void **state)
{
    (void)state;
    struct errmsg out;
    rpc_server_close(&net.server, 0);
    struct rpc_channel *ch = net_dial(&net, net.client_tls, NULL);
    assert_int_equal(call_text(ch, "/t.T/Echo", "", &out), ERR_UNAVAILABLE);
    assert_has(out.text, net.target);
    rpc_channel_close(&ch);
}

/* On a poor line certificates take long: it is the call's deadline that ends
 * the wait for them, if that comes before the connection's. */
static void a_server_may_take_its_time_to_greet(void **state)
{
    enum { PATIENT_MS = 7000 }; /* more than the library's own 5 s */
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(net.target, sizeof net.target, "127.0.0.1:%u",
                   ntohs(at.sin_port));
    struct rpc_channel *ch = net_dial(&net, net.client_tls, NULL);
    struct buf request = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct errmsg why;
    assert_int_equal(
        rpc_unary_wait(ch, "/t.T/Echo", &request, PATIENT_MS, &reply, &why),
        ERR_TIMEOUT);
    (void)close(fd); /* the attempt ends */
    rpc_channel_close(&ch);
}

static void *wait_long(void *arg)
{
    struct buf request = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct errmsg why;
    *(enum err *)arg = rpc_unary_wait(net.channel, "/t.T/Park", &request,
                                      CALL_MS, &reply, &why);
    buf_fini(&reply);
    return NULL;
}

static void who_waits_for_an_answer_is_told_of_the_end(void **state)
{
    unsigned before = atomic_load(&parked_n);
    struct counts c = {0};
    pthread_t waiting;
    enum err err = ERR_OK;
    (void)state;
    assert_int_equal(pthread_create(&waiting, NULL, wait_long, &err), 0);
    WAIT_FOR(atomic_load(&parked_n) > before);
    rpc_channel_end(net.channel);
    (void)pthread_join(waiting, NULL);
    assert_int_equal(err, ERR_CANCELLED);
    struct buf request = BUF_INIT;
    rpc_unary(net.channel, "/t.T/Quick", &request, CALL_MS, count, &c);
    WAIT_FOR(atomic_load(&c.other) == 1);
    release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
        CASE(a_call_is_answered),
        CASE(the_handler_knows_the_peer),
        CASE(an_error_arrives_with_its_name_and_text),
        CASE(a_text_of_the_other_side_forges_no_field),
        CASE(an_unknown_method_is_refused_at_once),
        CASE(the_largest_message_passes_both_ways),
        CASE(a_larger_message_is_refused_on_its_own_side),
        CASE(a_deadline_ends_the_wait),
        CASE(calls_past_the_limit_are_refused),
        CASE(calls_under_way_are_bounded),
        CASE(connections_of_a_certificate_are_bounded),
        CASE(an_expired_call_never_reaches_its_handler),
        CASE(what_is_not_answered_at_once_goes_to_a_worker),
        CASE(what_is_answered_at_once_needs_no_worker),
        CASE(errands_of_many_threads_are_all_done),
        CASE(an_errand_answers_without_a_worker),
        CASE(closing_the_channel_ends_its_calls),
        CASE(health_is_served),
        CASE(an_address_in_use_is_named),
        CASE(no_server_is_unavailable_with_the_address),
        CASE(a_server_may_take_its_time_to_greet),
        CASE(who_waits_for_an_answer_is_told_of_the_end),
#undef CASE
    };
    return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
