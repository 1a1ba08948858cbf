/* service.h - a node's server and an app that calls it. */
#ifndef UNIT_API_SERVICE_H
#define UNIT_API_SERVICE_H

#include "unit/api/records.h"

#include <stdatomic.h>

#include "api/api.h"
#include "support/patience.h"

enum { BYTES_MAX = 128 << 10, CALL_MS = WAIT_MS };

static struct node village;
static struct node township;

static inline int setup(void **state)
{
    (void)state;
    node_init(&village, &store_rocksdb, VILLAGE, "village");
    node_init(&township, &store_rocksdb, TOWNSHIP, "township");
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    node_fini(&village);
    node_fini(&township);
    return 0;
}

/* A node's server and an app that asks it. */
struct service {
    struct rpc *rpc;        /* the server's: one worker */
    struct rpc *client_rpc; /* so that the app's callbacks need none of it */
    struct rpc_server *server;
    struct rpc_channel *channel;
    struct trust *trust;
    struct tls_material server_tls;
    struct tls_material client_tls;
    struct sync_env sync;
    struct conf conf;
    struct conf_app app;
    struct import_env import;
    struct api_env env;
    atomic_int held;
    atomic_bool go;
};

static struct service service;

static inline const struct tls_material *get_tls(void *ctx,
                                                 uint64_t *generation)
{
    *generation = 1;
    return ctx;
}

static inline void load_tls(const char *folder, const char *name,
                            struct tls_material *out)
{
    char ca[128];
    char cert[160];
    char key[160];
    struct errmsg why;
    (void)snprintf(ca, sizeof ca, "%s/fed/ca.pem", fed_dir);
    (void)snprintf(cert, sizeof cert, "%s/%s/%s.pem", fed_dir, folder, name);
    (void)snprintf(key, sizeof key, "%s/%s/%s.key", fed_dir, folder, name);
    assert_ok(tls_material_load(out, ca, cert, key, &why));
}

static inline void hold(void *ctx, struct rpc_call *call)
{
    struct service *s = ctx;
    struct buf reply = BUF_INIT;
    atomic_store(&s->held, 1);
    while (!atomic_load(&s->go)) {
        (void)usleep(1000);
    }
    rpc_reply(call, &reply);
}

static inline void open_rpc(struct service *s)
{
    struct errmsg why;
    struct rpc_conf conf = rpc_conf_default();
    conf.handshake_timeout_ms = WAIT_MS; /* on a busy machine */
    assert_ok(rpc_open(&s->client_rpc, &conf, &why));
    conf.workers = 1;
    assert_ok(rpc_open(&s->rpc, &conf, &why));
}

static inline void listen_and_dial(struct service *s)
{
    struct errmsg why;
    char target[32];
    struct rpc_method methods[API_METHODS + 1];
    api_methods(&s->env, methods);
    methods[API_METHODS] =
        (struct rpc_method){.path = "/t.T/Hold", .unary = hold, .ctx = s};
    struct rpc_tls tls = {get_tls, &s->server_tls};
    assert_ok(rpc_listen(&s->server, s->rpc, "127.0.0.1:0", &tls, methods,
                         API_METHODS + 1, &why));
    (void)snprintf(target, sizeof target, "127.0.0.1:%u",
                   rpc_server_port(s->server));
    tls = (struct rpc_tls){get_tls, &s->client_tls};
    assert_ok(
        rpc_channel_open(&s->channel, s->client_rpc, target, &tls, NULL, &why));
}

static inline void hang_up(struct service *s)
{
    rpc_channel_close(&s->channel);
    rpc_server_close(&s->server, 1000);
    answers_free(&s->env.answers);
}

static inline int serve(void **state)
{
    struct service *s = &service;
    struct errmsg why;
    char ca[128];
    char revoked[128];
    (void)setup(state);
    *s = (struct service){.app = {.name = "hall",
                                  .scopes = SCOPE_PUBLIC | SCOPE_SHARED |
                                            SCOPE_AUTHORISED | SCOPE_INGEST}};
    shell(
        "[ -e app ] || $C/make-app.sh fed app --name hall --scopes authorised "
        ">/dev/null; cp fed/revoked list");
    (void)snprintf(ca, sizeof ca, "%s/fed/%s", fed_dir, test_anchor());
    (void)snprintf(revoked, sizeof revoked, "%s/list", fed_dir);
    assert_ok(
        trust_open(&s->trust, test_suite(), FEDERATION, ca, revoked, &why));
    load_tls("341821100201", "tls", &s->server_tls);
    load_tls("app", "app", &s->client_tls);
    memcpy(s->app.key, s->client_tls.self.key_id, sizeof s->app.key);
    s->sync.trust = s->trust;
    s->conf.federation.name = FEDERATION;
    s->conf.apps = (struct conf_apps){&s->app, 1};
    s->env = (struct api_env){.conf = &s->conf,
                              .store = village.store,
                              .keyring = village.keyring,
                              .sync = &s->sync,
                              .answers = answers_new(village.store, BYTES_MAX)};
    open_rpc(s);
    s->import = (struct import_env){.store = village.store,
                                    .keyring = village.keyring,
                                    .suite = test_suite(),
                                    .self = VILLAGE,
                                    .batch_rows = 100};
    s->env.import = &s->import;
    s->env.rpc = s->rpc;
    s->env.receipts = strand_new(rpc_pool(s->rpc));
    listen_and_dial(s);
    return 0;
}

static inline int unserve(void **state)
{
    struct service *s = &service;
    atomic_store(&s->go, true); /* a test may have failed before */
    hang_up(s);
    strand_free(s->env.receipts);
    rpc_close(&s->client_rpc);
    rpc_close(&s->rpc);
    tls_material_fini(&s->server_tls);
    tls_material_fini(&s->client_tls);
    trust_free(&s->trust);
    return teardown(state);
}

static inline void on_held(void *ctx, enum err err, const char *text,
                           struct slice reply)
{
    (void)text;
    (void)reply;
    atomic_store((atomic_int *)ctx, err == ERR_OK ? 2 : 3);
}

/* The only worker is held: who is answered needed none. */
static inline void hold_the_worker(void)
{
    struct buf request = BUF_INIT;
    rpc_unary(service.channel, "/t.T/Hold", &request, CALL_MS, on_held,
              &service.held);
    WAIT_FOR(atomic_load(&service.held) != 0);
}

static inline void let_go(void)
{
    atomic_store(&service.go, true);
    WAIT_FOR(atomic_load(&service.held) >= 2);
    assert_int_equal(atomic_load(&service.held), 2);
}

#endif
