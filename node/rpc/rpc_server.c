#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pace.h"
#include "health.pb-c.h"
#include "rpc/reflection.h"
#include "rpc/rpc_private.h"

enum {
    REQUESTS_POSTED = 4, /* for each method */
    STREAMS_A_CONNECTION = 256,
    LAST_WORDS_MS = 500,
    OPEN_FOR_EACH = 4,         /* calls under way for each that may wait */
    PING_MIN_MS = 500,         /* a client that pings more often is cut off;
                                * rpc.keepalive has twice as long at least */
    HEALTH_REQUEST_MAX = 1024, /* bytes; unpacked on the poller */
};

/* Stands posted at gRPC until a call of its method arrives. */
struct request {
    struct rpc_tag tag;
    struct rpc_server *server;
    const struct rpc_method *method; /* NULL: any unknown one */
    void *registered;
    grpc_call *call;
    grpc_metadata_array metadata;
    gpr_timespec deadline;
    grpc_byte_buffer *payload;
    grpc_call_details details; /* unknown methods */
};

struct rpc_server {
    struct rpc *rpc;
    grpc_server *core;
    struct rpc_fetcher fetcher;
    struct rpc_owner owner;
    struct rpc_connections *connections;
    struct rpc_method *methods; /* the caller's and our own */
    size_t method_count;
    struct reflection *reflection;
    struct request *requests;
    size_t request_count;
    unsigned port;
    struct rpc_tag shutdown_tag;
    size_t posted; /* requests and the shutdown tag; owner.lock */
};

struct rpc_call {
    struct rpc_tag tag;
    struct rpc_server *server;
    const struct rpc_method *method;
    struct rpc_member member;
    grpc_call *call;
    gpr_timespec deadline;
    grpc_byte_buffer *payload; /* until it is flattened */
    grpc_slice request;
    struct principal peer;
    grpc_byte_buffer *reply;
    struct rpc_status_out status;
    int cancelled;
    size_t bytes; /* counted in rpc.bytes_open */
};

/* ---- answers ---- */

static void on_answered(struct rpc_tag *tag, bool ok)
{
    (void)ok; /* a client that went away needs no answer */
    struct rpc_call *c = CONTAINER_OF(tag, struct rpc_call, tag);
    struct rpc_owner *owner = &c->server->owner;
    struct rpc *rpc = c->server->rpc;
    atomic_fetch_sub(&rpc->calls_open, 1);
    atomic_fetch_sub(&rpc->bytes_open, c->bytes);
    grpc_byte_buffer_destroy(c->reply);
    rpc_bytes_done(c->payload);
    rpc_slice_done(c->request);
    rpc_status_out_fini(&c->status);
    rpc_owner_leave(owner, &c->member);
    mem_free(c);
    rpc_owner_done(owner);
}

/* `instead`: who is to be asked, or "". */
static void answer_with(struct rpc_call *c, enum err err, const char *text,
                        const char *instead)
{
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    ops[1].data.recv_close_on_server.cancelled = &c->cancelled;
    rpc_status_op(&ops[2], &c->status, err, text);
    rpc_status_refer(&ops[2], &c->status, instead);
    size_t count = 3;
    if (c->reply != NULL) {
        size_t bytes = grpc_byte_buffer_length(c->reply);
        c->bytes += bytes;
        atomic_fetch_add(&c->server->rpc->bytes_open, bytes);
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = c->reply;
    }
    rpc_member_unread(c->server->rpc, &c->member);
    rpc_batch(c->call, ops, count, &c->tag);
}

static void answer(struct rpc_call *c, enum err err, const char *text)
{
    answer_with(c, err, text, "");
}

static const char too_large[] = "the reply is larger than a message may be";

void rpc_reply(struct rpc_call *c, struct buf *reply)
{
    if (reply->len > RPC_MESSAGE_MAX) {
        buf_fini(reply);
        answer(c, ERR_TOO_LARGE, too_large);
        return;
    }
    c->reply = rpc_bytes_from(reply);
    answer(c, ERR_OK, "");
}

void rpc_reply_shared(struct rpc_call *c, struct shared **reply,
                      struct slice tail)
{
    if (shared_slice(*reply).len + tail.len > RPC_MESSAGE_MAX) {
        shared_unref(reply);
        answer(c, ERR_TOO_LARGE, too_large);
        return;
    }
    c->reply = rpc_bytes_from_shared(reply, tail);
    answer(c, ERR_OK, "");
}

void rpc_fail(struct rpc_call *c, enum err err, const char *text)
{
    answer(c, err, text != NULL && text[0] != 0 ? text : err_text(err));
}

void rpc_refer(struct rpc_call *c, const char *address, const char *text)
{
    answer_with(c, ERR_ELSEWHERE, text, address);
}

const struct principal *rpc_call_peer(const struct rpc_call *c)
{
    return &c->peer;
}

struct slice rpc_call_request(const struct rpc_call *c)
{
    return rpc_slice_view(&c->request);
}

int64_t rpc_call_left_ms(const struct rpc_call *c)
{
    return rpc_deadline_left_ms(c->deadline);
}

/* ---- calls that arrive ---- */

/* Makes the request readable; once is enough. */
static void take_request(struct rpc_call *c)
{
    if (c->payload != NULL) {
        c->request = rpc_bytes_flatten(c->payload);
        c->payload = NULL;
    }
}

static void handle(struct rpc_call *c)
{
    if (rpc_deadline_left_ms(c->deadline) <= 0) {
        rpc_fail(c, ERR_TIMEOUT,
                 "the deadline passed before a worker was free");
        return;
    }
    take_request(c);
    c->method->unary(c->method->ctx, c);
}

static bool answered_at_once(struct rpc_call *c)
{
    if (c->method->at_once == NULL) {
        return false;
    }
    take_request(c);
    return c->method->at_once(c->method->ctx, c);
}

static size_t waiting_bytes(const struct rpc_call *c)
{
    return c->payload != NULL ? grpc_byte_buffer_length(c->payload)
                              : GRPC_SLICE_LENGTH(c->request);
}

/* True if the call may wait for a worker. */
static bool queue_enter(struct rpc *rpc, const struct rpc_call *c)
{
    unsigned calls = atomic_fetch_add(&rpc->calls_waiting, 1);
    size_t bytes = atomic_fetch_add(&rpc->bytes_waiting, waiting_bytes(c));
    return calls < rpc->conf.calls_max && bytes < rpc->conf.quota_bytes;
}

static void queue_leave(struct rpc *rpc, const struct rpc_call *c)
{
    atomic_fetch_sub(&rpc->calls_waiting, 1);
    atomic_fetch_sub(&rpc->bytes_waiting, waiting_bytes(c));
}

static void handle_on_worker(void *ctx)
{
    struct rpc_call *c = ctx;
    queue_leave(c->server->rpc, c);
    handle(c);
}

/* What waits for a commit, or for a client to read its answer, is memory too,
 * and counts on until it is over. */
static bool may_open(const struct rpc *rpc)
{
    return atomic_load(&rpc->calls_open) <=
               OPEN_FOR_EACH * (size_t)rpc->conf.calls_max &&
           atomic_load(&rpc->bytes_open) <
               OPEN_FOR_EACH * rpc->conf.quota_bytes;
}

static void dispatch(struct rpc_call *c)
{
    struct rpc *rpc = c->server->rpc;
    if (c->method->quick) {
        handle(c);
        return;
    }
    if (!may_open(rpc)) {
        rpc_fail(c, ERR_BUSY, "too many calls are under way, try again");
        return;
    }
    if (answered_at_once(c)) {
        return;
    }
    if (queue_enter(rpc, c) &&
        pool_run(rpc->pool, handle_on_worker, c) == ERR_OK) {
        return;
    }
    queue_leave(rpc, c);
    rpc_fail(c, ERR_BUSY, "too many calls are waiting, try again");
}

static struct rpc_call *call_new(struct request *r)
{
    struct rpc_call *c = MEM_NEW(struct rpc_call);
    c->tag.fn = on_answered;
    c->server = r->server;
    c->method = r->method;
    c->call = r->call;
    c->deadline = r->deadline;
    c->payload = r->payload;
    r->payload = NULL;
    c->bytes = c->payload != NULL ? grpc_byte_buffer_length(c->payload) : 0;
    atomic_fetch_add(&c->server->rpc->calls_open, 1);
    atomic_fetch_add(&c->server->rpc->bytes_open, c->bytes);
    rpc_owner_add(&r->server->owner, &c->member, c->call);
    return c;
}

static void refuse_connection(struct request *r, const struct principal *peer)
{
    static struct pace pace;
    struct errmsg why;
    char name[160];
    principal_format(peer, name, sizeof name);
    (void)err_set(&why, ERR_BUSY,
                  "this certificate uses %u connections already; use those, or "
                  "try again",
                  r->server->rpc->conf.connections_max);
    pace_warn(&pace, NULL, "RPC-CONNECTIONS", "peer=%s in_use=%u", name,
              r->server->rpc->conf.connections_max);
    rpc_fail(call_new(r), ERR_BUSY, why.text);
}

static void take_call(struct request *r)
{
    struct errmsg why;
    if (r->method == NULL) {
        char text[256];
        struct slice path = rpc_slice_view(&r->details.method);
        (void)snprintf(text, sizeof text, "this node has no method %.*s",
                       (int)(path.len < 128 ? path.len : 128),
                       (const char *)path.data);
        rpc_fail(call_new(r), ERR_UNSUPPORTED, text);
        return;
    }
    struct principal peer;
    enum err err = rpc_peer_of(r->server->rpc, r->call, &peer, &why);
    if (err != ERR_OK) {
        rpc_fail(call_new(r), err, why.text);
        return;
    }
    struct rpc_connection *connection =
        rpc_connection_enter(r->server->connections, r->call, &peer);
    if (connection == NULL) {
        refuse_connection(r, &peer);
        return;
    }
    if (r->method->stream != NULL) {
        rpc_stream_accept(r->server->rpc, &r->server->owner, r->call, r->method,
                          &peer, connection);
        return;
    }
    struct rpc_call *c = call_new(r);
    c->peer = peer;
    c->member.connection = connection;
    if (c->payload != NULL && rpc_bytes_compressed(c->payload)) {
        rpc_fail(c, ERR_INVALID, rpc_compressed_text);
        return;
    }
    dispatch(c);
}

/* ---- posted requests ---- */

static void post_request(struct request *r)
{
    struct rpc_server *s = r->server;
    RPC_PUBLISH(&r->tag);
    grpc_call_error error;
    if (r->method == NULL) {
        error = grpc_server_request_call(s->core, &r->call, &r->details,
                                         &r->metadata, s->rpc->cq, s->rpc->cq,
                                         &r->tag);
    } else {
        error = grpc_server_request_registered_call(
            s->core, r->registered, &r->call, &r->deadline, &r->metadata,
            r->method->unary != NULL ? &r->payload : NULL, s->rpc->cq,
            s->rpc->cq, &r->tag);
    }
    if (error != GRPC_CALL_OK) {
        log_error(NULL, "RPC-BUG", "request refused: %s",
                  grpc_call_error_to_string(error));
        abort();
    }
}

static void clear_details(struct request *r)
{
    grpc_call_details_destroy(&r->details);
    grpc_call_details_init(&r->details);
}

static void tag_back(struct rpc_server *s)
{
    (void)pthread_mutex_lock(&s->owner.lock);
    s->posted--;
    (void)pthread_cond_broadcast(&s->owner.changed);
    (void)pthread_mutex_unlock(&s->owner.lock);
}

static void on_request(struct rpc_tag *tag, bool ok)
{
    struct request *r = CONTAINER_OF(tag, struct request, tag);
    if (!ok) { /* the server shuts down */
        tag_back(r->server);
        return;
    }
    take_call(r);
    clear_details(r);
    post_request(r);
}

static void on_shutdown(struct rpc_tag *tag, bool ok)
{
    (void)ok;
    tag_back(CONTAINER_OF(tag, struct rpc_server, shutdown_tag));
}

/* ---- health ---- */

/* A service is known if a method of it is served: "/service/Method". */
static bool serves(const struct rpc_server *s, const char *service)
{
    size_t len = strlen(service);
    for (size_t i = 0; i < s->method_count; i++) {
        const char *path = s->methods[i].path + 1;
        if (strncmp(path, service, len) == 0 && path[len] == '/') {
            return true;
        }
    }
    return len == 0;
}

static void health_check(void *ctx, struct rpc_call *call)
{
    struct slice in = rpc_call_request(call);
    if (in.len > HEALTH_REQUEST_MAX) {
        rpc_fail(call, ERR_TOO_LARGE, "HealthCheckRequest: at most 1024 bytes");
        return;
    }
    Grpc__Health__V1__HealthCheckRequest *req =
        grpc__health__v1__health_check_request__unpack(NULL, in.len, in.data);
    if (req == NULL) {
        rpc_fail(call, ERR_INVALID, "HealthCheckRequest cannot be decoded");
        return;
    }
    bool known = serves(ctx, req->service);
    grpc__health__v1__health_check_request__free_unpacked(req, NULL);
    if (!known) {
        rpc_fail(call, ERR_NOT_FOUND, "no such service");
        return;
    }
    Grpc__Health__V1__HealthCheckResponse reply =
        GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    reply.status =
        GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    struct buf out = BUF_INIT;
    size_t size =
        grpc__health__v1__health_check_response__get_packed_size(&reply);
    out.len = grpc__health__v1__health_check_response__pack(
        &reply, buf_reserve(&out, size));
    rpc_reply(call, &out);
}

/* ---- life of a server ---- */

static grpc_server *core_new(struct rpc *rpc)
{
    struct rpc_args args = {.count = 0};
    rpc_args_add_common(&args, rpc);
    /* Else two processes may share a port without noticing. */
    rpc_args_add(&args, GRPC_ARG_ALLOW_REUSEPORT, 0);
    rpc_args_add(&args, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                 (int)rpc->conf.handshake_timeout_ms);
    rpc_args_add(&args, GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                 (int)rpc->conf.idle_ms);
    rpc_args_add(&args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                 PING_MIN_MS);
    rpc_args_add(&args, GRPC_ARG_MAX_CONCURRENT_STREAMS, STREAMS_A_CONNECTION);
    grpc_channel_args list = {args.count, args.list};
    grpc_server *core = grpc_server_create(&list, NULL);
    grpc_server_register_completion_queue(core, rpc->cq, NULL);
    return core;
}

static void add_request(struct rpc_server *s, const struct rpc_method *method,
                        void *registered)
{
    struct request *r = &s->requests[s->request_count++];
    r->tag.fn = on_request;
    r->server = s;
    r->method = method;
    r->registered = registered;
    grpc_metadata_array_init(&r->metadata);
    grpc_call_details_init(&r->details);
}

/* The caller's, and behind them those that every server has. */
static void gather_methods(struct rpc_server *s,
                           const struct rpc_method *methods, size_t count)
{
    s->method_count = count + 1 + REFLECTION_METHODS;
    s->methods = mem_zalloc(s->method_count, sizeof *s->methods);
    if (count > 0) {
        memcpy(s->methods, methods, count * sizeof *methods);
    }
    s->methods[count] = (struct rpc_method){
        .path = "/grpc.health.v1.Health/Check",
        .unary = health_check,
        .quick = true,
        .ctx = s,
    };
    s->reflection =
        reflection_new(s->methods, s->method_count, &s->methods[count + 1]);
}

static void add_methods(struct rpc_server *s, const struct rpc_method *methods,
                        size_t count)
{
    gather_methods(s, methods, count);
    s->requests = mem_zalloc((s->method_count + 1) * REQUESTS_POSTED,
                             sizeof *s->requests);
    for (size_t i = 0; i < s->method_count; i++) {
        const struct rpc_method *m = &s->methods[i];
        void *registered = grpc_server_register_method(
            s->core, m->path, NULL,
            m->unary != NULL ? GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER
                             : GRPC_SRM_PAYLOAD_NONE,
            0);
        for (unsigned k = 0; k < REQUESTS_POSTED; k++) {
            add_request(s, m, registered);
        }
    }
    /* Unknown methods would hang until the client's deadline. */
    add_request(s, NULL, NULL);
}

static void server_free(struct rpc_server *s)
{
    rpc_owner_unwatch(s->rpc, &s->owner);
    grpc_server_destroy(s->core);
    RPC_CONSUME(&s->fetcher); /* no handshake begins any more */
    for (size_t i = 0; i < s->request_count; i++) {
        grpc_metadata_array_destroy(&s->requests[i].metadata);
        grpc_call_details_destroy(&s->requests[i].details);
        rpc_bytes_done(s->requests[i].payload);
    }
    rpc_owner_fini(&s->owner);
    rpc_connections_free(s->connections);
    reflection_free(s->reflection);
    mem_free(s->requests);
    mem_free(s->methods);
    mem_free(s);
}

static enum err bind_address(struct rpc_server *s, const char *address,
                             struct errmsg *why)
{
    grpc_server_credentials *creds = rpc_tls_server(&s->fetcher);
    int port = grpc_server_add_http2_port(s->core, address, creds);
    grpc_server_credentials_release(creds);
    if (port > 0) {
        s->port = (unsigned)port;
        return ERR_OK;
    }
    if (!s->fetcher.loaded) {
        return err_set(why, ERR_CONF, "%s: no TLS certificate to listen with",
                       address);
    }
    return err_set(why, ERR_CONF,
                   "cannot listen on %s: in use, not an address of this "
                   "machine, or TLS certificate or key not usable",
                   address);
}

/* gRPC wants a shutdown even from a server that never started. */
static void shut_down(struct rpc_server *s)
{
    (void)pthread_mutex_lock(&s->owner.lock);
    s->posted++;
    (void)pthread_mutex_unlock(&s->owner.lock);
    RPC_PUBLISH(&s->shutdown_tag);
    grpc_server_shutdown_and_notify(s->core, s->rpc->cq, &s->shutdown_tag);
}

/* Waits until all tags are back and all calls are over; false after
 * `timeout_ms`, if that is not NULL. */
static bool wait_quiet(struct rpc_server *s, const uint32_t *timeout_ms)
{
    struct timespec until;
    clock_until(timeout_ms != NULL ? *timeout_ms : 0, &until);
    int timed_out = 0;
    (void)pthread_mutex_lock(&s->owner.lock);
    while ((s->posted > 0 || s->owner.count > 0) && timed_out == 0) {
        timed_out = timeout_ms != NULL
                        ? pthread_cond_timedwait(&s->owner.changed,
                                                 &s->owner.lock, &until)
                        : pthread_cond_wait(&s->owner.changed, &s->owner.lock);
    }
    bool quiet = s->posted == 0 && s->owner.count == 0;
    (void)pthread_mutex_unlock(&s->owner.lock);
    return quiet;
}

/* NOLINTNEXTLINE(readability-function-size): each parameter is needed */
enum err rpc_listen(struct rpc_server **out, struct rpc *rpc,
                    const char *address, const struct rpc_tls *tls,
                    const struct rpc_method *methods, size_t count,
                    struct errmsg *why)
{
    struct rpc_server *s = MEM_NEW(struct rpc_server);
    s->rpc = rpc;
    s->fetcher.tls = *tls;
    s->shutdown_tag.fn = on_shutdown;
    rpc_owner_init(&s->owner);
    rpc_owner_watch(rpc, &s->owner);
    s->connections = rpc_connections_new(rpc->conf.connections_max);
    s->core = core_new(rpc);
    add_methods(s, methods, count);
    enum err err = bind_address(s, address, why);
    if (err != ERR_OK) {
        shut_down(s);
        (void)wait_quiet(s, NULL);
        server_free(s);
        return err;
    }
    s->posted = s->request_count;
    grpc_server_start(s->core);
    for (size_t i = 0; i < s->request_count; i++) {
        post_request(&s->requests[i]);
    }
    *out = s;
    return ERR_OK;
}

unsigned rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}

void rpc_server_close(struct rpc_server **server, uint32_t grace_ms)
{
    struct rpc_server *s = *server;
    *server = NULL;
    if (s == NULL) {
        return;
    }
    unsigned long dropped = accept_guard_dropped();
    if (dropped > 0) {
        log_info(NULL, "RPC-DROPPED", "connections=%lu", dropped);
    }
    shut_down(s);
    reflection_hang_up(s->reflection);
    if (!wait_quiet(s, &grace_ms)) {
        /* Cancelling cuts the connection before a reason is written, so the
         * streams are first ended in order. */
        rpc_owner_stop_all(&s->owner);
        static const uint32_t last_words_ms = LAST_WORDS_MS;
        if (!wait_quiet(s, &last_words_ms)) {
            grpc_server_cancel_all_calls(s->core);
            (void)wait_quiet(s, NULL);
        }
    }
    server_free(s);
}
