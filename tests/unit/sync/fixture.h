/* fixture.h - whole nodes (store, rpc over mutual TLS, uplink, downlink) in
 * one process, for the tests of sync/.
 *
 *   county <- township <- village, village2;  other county <- stranger */
#ifndef UNIT_SYNC_FIXTURE_H
#define UNIT_SYNC_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "credit/record.h"
#include "ident/rootchain.h"
#include "store/store_backend.h"
#include "support/patience.h"
#include "support/suite.h"
#include "sync/sync.h"

#define FEDERATION "anhui.test"
/* Arguments of certs/make-federation.sh, for who may issue directives. */
#ifndef FED_ISSUERS
#define FED_ISSUERS ""
#endif
#define VILLAGE 341821100201ull
#define VILLAGE2 341821100202ull
#define TOWNSHIP 341821100000ull
#define COUNTY 341821000000ull
#define STRANGER 341822100000ull
#define OTHER 341822000000ull

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)

struct place {
    uint64_t code;
    uint64_t parent;
    const char *tier;
};
static const struct place places[] = {
    {VILLAGE, TOWNSHIP, "village"}, {VILLAGE2, TOWNSHIP, "village"},
    {TOWNSHIP, COUNTY, "township"}, {COUNTY, 0, "county"},
    {STRANGER, OTHER, "township"},  {OTHER, 0, "county"},
};

static inline uint64_t parent_of(uint64_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (places[i].code == code) {
            return places[i].parent;
        }
    }
    return 0;
}

/* ---- the federation, made once a program ---- */

static char fed_dir[64];
static struct trust *fed_trust;
static struct loop *fed_loop;
static pthread_t fed_thread;

static inline void PRINTF_LIKE(1, 2) shell(const char *fmt, ...)
{
    struct buf line = BUF_INIT;
    va_list ap;
    buf_putf(&line, "cd %s && C=%s/certs && ", fed_dir, SOURCE_DIR);
    va_start(ap, fmt);
    buf_vputf(&line, fmt, ap);
    va_end(ap);
    assert_int_equal(system(buf_cstr(&line)), 0);
    buf_fini(&line);
}

static inline void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static inline void make_certificates(void)
{
    struct buf line = BUF_INIT;
    buf_putf(&line, "$C/make-federation.sh fed --name %s --suite %s %s",
             FEDERATION, suite_name(test_suite()), FED_ISSUERS);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        buf_putf(&line,
                 " && $C/make-node.sh fed %012llu --tier %s --code %012llu",
                 (unsigned long long)places[i].code, places[i].tier,
                 (unsigned long long)places[i].code);
    }
    shell("$C/../tests/support/cast.sh . '%s'", buf_cstr(&line));
    buf_fini(&line);
}

static inline int fed_setup(void **state)
{
    (void)state;
    char path[128];
    struct errmsg why;
    (void)snprintf(fed_dir, sizeof fed_dir, "/tmp/sync-test-XXXXXX");
    assert_non_null(mkdtemp(fed_dir));
    log_set_level(LOG_DEBUG);
    (void)snprintf(path, sizeof path, "%s/log", fed_dir);
    FILE *sink = fopen(path, "a");
    log_set_fd(dup(fileno(sink)));
    (void)fclose(sink);
    make_certificates();
    (void)snprintf(path, sizeof path, "%s/fed/%s", fed_dir, test_anchor());
    assert_ok(
        trust_open(&fed_trust, test_suite(), FEDERATION, path, NULL, &why));
    assert_ok(loop_new(&fed_loop, &why));
    assert_int_equal(pthread_create(&fed_thread, NULL, run_loop, fed_loop), 0);
    return 0;
}

static inline int fed_teardown(void **state)
{
    (void)state;
    loop_stop(fed_loop);
    (void)pthread_join(fed_thread, NULL);
    assert_ok(loop_close(&fed_loop));
    trust_free(&fed_trust);
    if (getenv("SYNC_TEST_LOG") != NULL) {
        shell("cp log %s", getenv("SYNC_TEST_LOG"));
    }
    shell("rm -rf %s", fed_dir);
    return 0;
}

/* Runs on the loop thread and waits. */
struct errand {
    loop_fn *fn;
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
};
static inline void run_errand(void *ctx)
{
    struct errand *e = ctx;
    e->fn(e->ctx);
    (void)pthread_mutex_lock(&e->lock);
    e->done = true;
    (void)pthread_cond_signal(&e->done_cond);
    (void)pthread_mutex_unlock(&e->lock);
}
static inline void on_loop(loop_fn *fn, void *ctx)
{
    struct errand e = {.fn = fn, .ctx = ctx};
    (void)pthread_mutex_init(&e.lock, NULL);
    (void)pthread_cond_init(&e.done_cond, NULL);
    loop_post(fed_loop, run_errand, &e);
    (void)pthread_mutex_lock(&e.lock);
    while (!e.done) {
        (void)pthread_cond_wait(&e.done_cond, &e.lock);
    }
    (void)pthread_mutex_unlock(&e.lock);
    (void)pthread_cond_destroy(&e.done_cond);
    (void)pthread_mutex_destroy(&e.lock);
}

/* ---- nodes ---- */

struct node {
    uint64_t code;
    char name[32];
    char path[128];
    char keys[160];
    char field[48];
    struct log_ctx log;
    struct identity sign;
    struct identity seal;
    struct tls_material tls;
    struct keyring *keyring;
    struct store *store;
    struct rpc *rpc;
    struct ancestry *ancestry;
    struct rootchain *roots;
    struct sync_env env;
    struct downlink *down;
    struct rpc_server *server;
    unsigned port; /* kept over restarts */
    char parent[32];
    bool has_parent; /* its store waits for the parent's word */
    struct uplink_conf up_conf;
    struct downlink_conf down_conf;
    struct uplink *up;
    pthread_mutex_t up_lock; /* held by who forwards, and when `up` changes */
    uint64_t reserve;        /* a huge one: its store takes nothing */
    const struct backend *backend; /* of its next start; NULL: RocksDB */
};

static inline bool node_entitled(void *ctx, uint64_t origin, uint64_t peer)
{
    (void)ctx;
    for (uint64_t at = parent_of(origin); at != 0; at = parent_of(at)) {
        if (at == peer) {
            return true;
        }
    }
    return false;
}

static inline bool node_is_child(void *ctx, const struct principal *peer)
{
    const struct node *n = ctx;
    return parent_of(peer->code) == n->code;
}

static inline void node_above(void *ctx, const struct log_id *logs,
                              size_t count)
{
    struct node *n = ctx;
    downlink_above_changed(n->down, logs, count);
}

static inline void node_verified(void *ctx, const struct segment *segment)
{
    struct node *n = ctx;
    (void)pthread_mutex_lock(&n->up_lock);
    if (n->up != NULL) {
        uplink_forward(n->up, segment);
    }
    (void)pthread_mutex_unlock(&n->up_lock);
}

static inline void node_more_above(void *ctx, const struct log_id *log)
{
    struct node *n = ctx;
    (void)pthread_mutex_lock(&n->up_lock);
    if (n->up != NULL) {
        uplink_fetch(n->up, log);
    }
    (void)pthread_mutex_unlock(&n->up_lock);
}

static inline bool node_told_above(void *ctx)
{
    struct node *n = ctx;
    (void)pthread_mutex_lock(&n->up_lock);
    bool told = n->up == NULL || uplink_told(n->up);
    (void)pthread_mutex_unlock(&n->up_lock);
    return told;
}

static inline void node_root(void *ctx, const struct rootdoc *doc)
{
    struct node *n = ctx;
    (void)doc;
    downlink_root_changed(n->down);
    (void)pthread_mutex_lock(&n->up_lock);
    if (n->up != NULL) {
        uplink_root_changed(n->up);
    }
    (void)pthread_mutex_unlock(&n->up_lock);
}

/* Each node keeps its versions in a folder of its own. */
static inline void open_roots(struct node *n)
{
    char first[160];
    char folder[160];
    struct errmsg why = {""};
    struct rootdoc *doc = NULL;
    (void)snprintf(first, sizeof first, "%s/fed/root-document", fed_dir);
    (void)snprintf(folder, sizeof folder, "%s.roots", n->path);
    assert_ok(rootdoc_load(&doc, first, &why));
    if (rootchain_open(&n->roots, first, rootdoc_hash(doc), folder, &why) !=
        ERR_OK) {
        fail_msg("rootchain_open: %s", why.text);
    }
    rootdoc_free(&doc);
    rootchain_watch(n->roots, node_root, n);
}

static inline const struct tls_material *node_tls(void *ctx, uint64_t *gen)
{
    struct node *n = ctx;
    *gen = 1;
    return &n->tls;
}

static inline void load_identity(const struct node *n, const char *name,
                                 enum cert_use use, struct identity *out)
{
    char cert[160];
    char key[160];
    struct errmsg why;
    (void)snprintf(cert, sizeof cert, "%s/%012llu/%s.pem", fed_dir,
                   (unsigned long long)n->code, name);
    (void)snprintf(key, sizeof key, "%s/%012llu/%s.key", fed_dir,
                   (unsigned long long)n->code, name);
    assert_ok(identity_load(out, fed_trust, use, cert, key, &why));
}

static inline void load_tls(struct node *n)
{
    char ca[160];
    char cert[160];
    char key[160];
    struct errmsg why;
    (void)snprintf(ca, sizeof ca, "%s/fed/ca.pem", fed_dir);
    (void)snprintf(cert, sizeof cert, "%s/%012llu/tls.pem", fed_dir,
                   (unsigned long long)n->code);
    (void)snprintf(key, sizeof key, "%s/%012llu/tls.key", fed_dir,
                   (unsigned long long)n->code);
    assert_ok(tls_material_load(&n->tls, ca, cert, key, &why));
}

static inline void node_start(struct node *n)
{
    struct errmsg why = {""};
    open_roots(n);
    const struct store_conf conf = {.path = n->path,
                                    .has_parent = n->has_parent,
                                    .cache_bytes = 2 << 20,
                                    .reserve_bytes = n->reserve,
                                    .write_buffer_bytes = 4 << 20,
                                    .queue_max = 256,
                                    .queue_bytes_max = 32 << 20};
    const struct store_env env = {.suite = test_suite(),
                                  .federation = FEDERATION,
                                  .self = n->code,
                                  .signer = &n->sign,
                                  .keyring = n->keyring,
                                  .roots = n->roots,
                                  .log = &n->log};
    enum err err = store_open_on(
        &n->store, n->backend != NULL ? n->backend : &store_rocksdb, &conf,
        &env, &why);
    if (err != ERR_OK) {
        fail_msg("store_open: %s: %s", err_name(err), why.text);
    }
    struct rpc_conf rpc_conf = rpc_conf_default();
    rpc_conf.workers = 2;
    assert_ok(rpc_open(&n->rpc, &rpc_conf, &why));
    n->ancestry = ancestry_new();
    n->env = (struct sync_env){.store = n->store,
                               .rpc = n->rpc,
                               .loop = fed_loop,
                               .trust = fed_trust,
                               .keyring = n->keyring,
                               .sealing = &n->seal,
                               .self = n->tls.self,
                               .roots = n->roots,
                               .version = "test",
                               .ancestry = n->ancestry,
                               .log = &n->log,
                               .entitled = node_entitled,
                               .is_child = node_is_child,
                               .above_changed = node_above,
                               .verified = node_verified,
                               .more_above = node_more_above,
                               .told_above = node_told_above,
                               .ctx = n};
    assert_ok(downlink_new(&n->down, &n->env, &n->down_conf));
}

/* `name` tells stores of one code apart; `window` is what it offers. */
static inline struct node *node_new_with(uint64_t code, const char *name,
                                         uint64_t window)
{
    struct errmsg why;
    struct node *n = MEM_NEW(struct node);
    n->code = code;
    (void)snprintf(n->name, sizeof n->name, "%s", name);
    (void)snprintf(n->path, sizeof n->path, "%s/%s", fed_dir, name);
    (void)snprintf(n->keys, sizeof n->keys, "%s.keys", n->path);
    (void)snprintf(n->field, sizeof n->field, "node=%s", name);
    n->log.fields = n->field;
    (void)pthread_mutex_init(&n->up_lock, NULL);
    load_identity(n, "sign", CERT_USE_SIGN, &n->sign);
    load_identity(n, "seal", CERT_USE_SEAL, &n->seal);
    load_tls(n);
    assert_ok(
        keyring_open(&n->keyring, n->keys, test_suite(), code, &n->seal, &why));
    n->up_conf = (struct uplink_conf){.segment_bytes = 256 << 10,
                                      .backoff_min_ms = 20,
                                      .backoff_max_ms = 200,
                                      .dialing_ms = 10000,
                                      .greeting_ms = 10000,
                                      .silence_ms = 20000};
    n->down_conf = (struct downlink_conf){.window_bytes = window,
                                          .logs_max = 1000,
                                          .ack_relay_ms = 50,
                                          .full_retry_ms = 1000};
    node_start(n);
    return n;
}
static inline struct node *node_new(uint64_t code, const char *name)
{
    return node_new_with(code, name, 4 << 20);
}

static inline void node_listen(struct node *n)
{
    struct errmsg why;
    char address[32];
    size_t count;
    struct rpc_tls tls = {node_tls, n};
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", n->port);
    const struct rpc_method *methods = downlink_methods(n->down, &count);
    enum err err =
        rpc_listen(&n->server, n->rpc, address, &tls, methods, count, &why);
    if (err != ERR_OK) {
        fail_msg("rpc_listen: %s", why.text);
    }
    n->port = rpc_server_port(n->server);
}

static inline void start_up(void *ctx)
{
    struct node *n = ctx;
    struct errmsg why;
    struct rpc_tls tls = {node_tls, n};
    struct uplink *up;
    assert_ok(uplink_start(&up, &n->env, &tls, &n->up_conf, &why));
    (void)pthread_mutex_lock(&n->up_lock);
    n->up = up;
    (void)pthread_mutex_unlock(&n->up_lock);
}

static inline void stop_up(void *ctx)
{
    struct node *n = ctx;
    (void)pthread_mutex_lock(&n->up_lock);
    struct uplink *up = n->up;
    n->up = NULL;
    (void)pthread_mutex_unlock(&n->up_lock);
    uplink_stop(&up);
}

static inline void node_connect(struct node *n, const struct node *parent)
{
    (void)snprintf(n->parent, sizeof n->parent, "127.0.0.1:%u", parent->port);
    n->up_conf.parent = n->parent;
    n->up_conf.parent_code = parent->code;
    on_loop(start_up, n);
}

static inline void node_disconnect(struct node *n)
{
    on_loop(stop_up, n);
}

static inline void node_deafen(struct node *n)
{
    rpc_server_close(&n->server, 100);
}

static inline void free_down(void *ctx)
{
    struct node *n = ctx;
    downlink_free(&n->down);
}

static inline void node_stop(struct node *n)
{
    node_disconnect(n);
    if (n->server != NULL) {
        node_deafen(n);
    }
    on_loop(free_down, n);
    rpc_close(&n->rpc);
    store_close(&n->store);
    ancestry_free(&n->ancestry);
    rootchain_free(&n->roots);
}

static inline void node_free(struct node *n)
{
    node_stop(n);
    keyring_free(&n->keyring);
    identity_fini(&n->sign);
    identity_fini(&n->seal);
    tls_material_fini(&n->tls);
    shell("rm -rf %s %s %s.roots", n->path, n->keys, n->path);
    (void)pthread_mutex_destroy(&n->up_lock);
    mem_free(n);
}

/* Stops the node, keeps a copy of its store, starts it again. */
static inline void node_back_up(struct node *n)
{
    node_stop(n);
    shell("rm -rf %s.bak && cp -r %s %s.bak", n->path, n->path, n->path);
    node_start(n);
}

/* And goes on from that copy. */
static inline void node_put_back(struct node *n)
{
    node_stop(n);
    shell("rm -rf %s && cp -r %s.bak %s", n->path, n->path, n->path);
    node_start(n);
}

/* Copies folder and keys as of now to those of a node `name`, which is not made
 * yet. */
static inline void node_copy_to(struct node *n, const char *name)
{
    node_stop(n);
    shell("cp -r %s %s/%s && cp -r %s %s/%s.keys", n->path, fed_dir, name,
          n->keys, fed_dir, name);
    node_start(n);
}

/* ---- records ---- */

/* For the answer of a store. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    enum err err;
};
static inline void waiter_init(struct waiter *w)
{
    w->done = false;
    (void)pthread_mutex_init(&w->lock, NULL);
    clock_cond_init(&w->wake);
}
static inline void waiter_done(struct waiter *w, enum err err)
{
    (void)pthread_mutex_lock(&w->lock);
    w->done = true;
    w->err = err;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}
/* Waits for the answer, which it returns; then there is no waiter any more. */
static inline enum err waiter_end(struct waiter *w)
{
    struct timespec until;
    clock_until(WAIT_MS, &until);
    (void)pthread_mutex_lock(&w->lock);
    while (!w->done) {
        if (pthread_cond_timedwait(&w->wake, &w->lock, &until) != 0) {
            fail_msg("the store does not answer");
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    return w->err;
}

static inline void on_submitted(void *ctx, enum err err, const char *why,
                                const struct draft_result *results, size_t n)
{
    (void)why;
    (void)results;
    (void)n;
    waiter_done(ctx, err);
}

static inline void draft_put(struct buf *out, uint32_t record)
{
    char text[420];
    char subject[32];
    struct hash digest;
    struct buf body = BUF_INIT;
    int n =
        snprintf(text, sizeof text, "penalty %u, office of waters: ", record);
    for (uint32_t i = 0, x = record + 1; n < 250; i++) {
        x = x * 1664525 + 1013904223;
        n += snprintf(text + n, sizeof text - (size_t)n, "%c%c%04x",
                      'a' + (int)(x >> 28), ' ' + (int)(i & 1), x >> 24);
    }
    (void)snprintf(subject, sizeof subject, "9134182100%08u", record / 16);
    suite_hash(test_suite(), slice_str(text), &digest);
    buf_put_u8(&body, 0x0a);
    buf_put_u8(&body, RECORD_DIGEST_LEN);
    buf_put(&body, digest.b, RECORD_DIGEST_LEN);
    buf_put_u8(&body, 0x12);
    buf_put_varint(&body, strlen(text));
    buf_put_str(&body, text);
    struct entry e = {.type = ENTRY_RECORD,
                      .subject_kind = SUBJECT_USCC,
                      .item = 7,
                      .entered_at_ms = 1772000000000,
                      .decided = 20260301,
                      .subject = slice_str(subject),
                      .body = buf_slice(&body)};
    be_put32(e.record_key, record * 2654435761u);
    be_put32(e.record_key + 4, record);
    entry_encode(&e, out);
    buf_fini(&body);
}

static inline enum err submit_drafts(struct node *node,
                                     const struct slice *drafts, size_t n)
{
    struct waiter w;
    waiter_init(&w);
    enum err err = store_submit(node->store, drafts, n, on_submitted, &w);
    if (err != ERR_OK) { /* then it is not called */
        waiter_done(&w, err);
    }
    return waiter_end(&w);
}

static inline enum err submit_once(struct node *node, uint32_t from, uint32_t n)
{
    struct buf bytes = BUF_INIT;
    struct slice drafts[DRAFTS_MAX];
    size_t ends[DRAFTS_MAX];
    for (uint32_t i = 0; i < n; i++) {
        draft_put(&bytes, from + i);
        ends[i] = bytes.len;
    }
    for (size_t i = 0, at = 0; i < n; at = ends[i++]) {
        drafts[i] = slice_of(bytes.data + at, ends[i] - at);
    }
    enum err err = submit_drafts(node, drafts, n);
    buf_fini(&bytes);
    return err;
}

/* Records `from` to `from + n - 1`. */
static inline void submit(struct node *node, uint32_t from, uint32_t n)
{
    for (uint32_t done = 0; done < n;) {
        uint32_t some = n - done < 512 ? n - done : 512;
        assert_ok(submit_once(node, from + done, some));
        done += some;
    }
}

/* ---- conditions ---- */

static inline uint64_t size_of(struct node *n, const struct log_id *log)
{
    struct store_head *head = MEM_NEW(struct store_head);
    uint64_t size =
        store_head(n->store, log, head) == ERR_OK ? head->frontier.size : 0;
    mem_free(head);
    return size;
}

static inline enum log_state state_of(struct node *n, const struct log_id *log)
{
    struct store_head *head = MEM_NEW(struct store_head);
    enum log_state state =
        store_head(n->store, log, head) == ERR_OK ? head->state : LOG_ABSENT;
    mem_free(head);
    return state;
}

typedef bool condition_fn(void *ctx);

static inline bool comes_true(condition_fn *fn, void *ctx, int64_t within_ms)
{
    int64_t until = clock_mono_ms() + within_ms;
    while (!fn(ctx)) {
        if (clock_mono_ms() > until) {
            return false;
        }
        (void)usleep(1000);
    }
    return true;
}

struct pair {
    struct node *below;
    struct node *above;
    struct log_id log;
};
static inline bool pair_equal(void *ctx)
{
    struct pair *p = ctx;
    struct store_head *heads = mem_zalloc(2, sizeof *heads);
    bool equal = store_head(p->below->store, &p->log, &heads[0]) == ERR_OK &&
                 store_head(p->above->store, &p->log, &heads[1]) == ERR_OK &&
                 heads[0].frontier.size == heads[1].frontier.size &&
                 hash_eq(&heads[0].root, &heads[1].root);
    mem_free(heads);
    return equal;
}
static inline void await_equal(struct node *below, struct node *above,
                               const struct log_id *log)
{
    struct pair p = {below, above, *log};
    if (!comes_true(pair_equal, &p, WAIT_MS)) {
        fail_msg("%s has %llu, %s has %llu", below->name,
                 (unsigned long long)size_of(below, log), above->name,
                 (unsigned long long)size_of(above, log));
    }
}
static inline bool pair_acked(void *ctx)
{
    struct pair *p = ctx;
    struct store_above above[ABOVE_MAX];
    size_t n = store_above(p->below->store, &p->log, above);
    for (size_t i = 0; i < n; i++) {
        if (above[i].code == p->above->code &&
            above[i].size == size_of(p->below, &p->log)) {
            return true;
        }
    }
    return false;
}
/* The lower node knows that the upper one has all of it. */
static inline void await_acked(struct node *below, struct node *above,
                               const struct log_id *log)
{
    struct pair p = {below, above, *log};
    assert_true(comes_true(pair_acked, &p, WAIT_MS));
}

static inline struct uplink_status status_of(struct node *n)
{
    struct uplink_status st;
    uplink_status(n->up, &st);
    return st;
}

/* ---- the log file: lines by their stable ids ---- */

static inline unsigned count_lines(const char *id, const char *node)
{
    char path[128];
    char line[2048];
    unsigned n = 0;
    (void)snprintf(path, sizeof path, "%s/log", fed_dir);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        char want[64];
        (void)snprintf(want, sizeof want, "node=%s ", node);
        n += strstr(line, id) != NULL && strstr(line, want) != NULL;
    }
    (void)fclose(f);
    return n;
}

#endif
