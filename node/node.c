#include "node_impl.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"

#ifndef CREDITNODE_VERSION
#define CREDITNODE_VERSION "0.1.0"
#endif

enum {
    GRACE_MS = 2000,
    EFFECTS_WAIT_MS = 2000, /* a Check waits so long for the disk */
    METHODS_MAX = 16,
};

const char *node_version(void)
{
    return CREDITNODE_VERSION;
}

/* ---- rpc ---- */

static enum err up_rpc(struct node *node, struct errmsg *why)
{
    const struct conf_rpc *c = &node->conf->rpc;
    struct rpc_conf conf = rpc_conf_default();
    conf.workers = c->workers;
    conf.calls_max = c->calls_max;
    conf.quota_bytes = c->quota_bytes;
    conf.keepalive_ms = c->keepalive_ms;
    conf.keepalive_timeout_ms = c->keepalive_timeout_ms;
    conf.handshake_timeout_ms = c->handshake_timeout_ms;
    conf.idle_ms = c->idle_ms;
    return rpc_open(&node->rpc, &conf, why);
}

static void down_rpc(struct node *node)
{
    rpc_close(&node->rpc);
}

/* ---- what enters here by itself ---- */

static enum err up_exchange(struct node *node, struct errmsg *why)
{
    const struct conf *c = node->conf;
    const struct conf_exchange *e = &c->exchange;
    node->import = (struct import_env){
        .store = node->store,
        .keyring = node->keyring,
        .suite = (enum suite)c->federation.suite,
        .self = c->node.code,
        .batch_rows = c->ingest.batch_max,
    };
    if (e->tables.count == 0 || !node->writes) {
        return ERR_OK;
    }
    node->exchange_tables =
        mem_zalloc(e->tables.count, sizeof *node->exchange_tables);
    for (size_t i = 0; i < e->tables.count; i++) {
        const struct conf_exchange_table *t = &e->tables.items[i];
        node->exchange_tables[i] = (struct exchange_table_conf){
            .table = t->table, .item = t->item, .digest_needed = t->digest};
    }
    struct exchange_conf conf = {.server = node_server_conf(&e->server),
                                 .tables = node->exchange_tables,
                                 .tables_n = e->tables.count,
                                 .interval_ms = e->interval_ms,
                                 .batch_rows = e->batch_max};
    return exchange_open(&node->exchange, &node->import, &conf, &node->log,
                         why);
}

static void down_exchange(struct node *node)
{
    exchange_close(&node->exchange);
    mem_free(node->exchange_tables);
    node->exchange_tables = NULL;
}

static void fill_api_env(struct node *node)
{
    const struct conf *c = node->conf;
    struct principal self = node_tls_self(node->tls);
    node->api = (struct api_env){
        .conf = node->latest,
        .store = node->store,
        .views = node->views,
        .exchange = node->exchange,
        .keyring = node->keyring,
        .sync = &node->sync,
        .roots = node->roots,
        .lease = node->lease,
        .writes = node->writes,
        .uplink = node->uplink,
        .downlink = node->downlink,
        .feed = node->feed,
        .follow = node->follow,
        .rpc = node->rpc,
        .tls = &node->rpc_tls,
        .import = &node->import,
        .answers = answers_new(node->store, node_answers_bytes(c)),
        .receipts = strand_new(rpc_pool(node->rpc)),
        .self = self,
        .started_ms = clock_wall_ms(),
        .sign_not_after_ms = cert_principal(node->signer.cert)->not_after_ms,
        .seal_not_after_ms = cert_principal(node->sealing.cert)->not_after_ms,
        .version = node_version(),
        .log = &node->log,
    };
    node->api.effects = effects_desk_new(&node->api, EFFECTS_WAIT_MS);
    node->api.entered = entered_new(node->loop, &node->log);
}

static void refuse_stream(struct rpc_stream *s, void *user)
{
    const struct node *node = user;
    char text[256];
    lease_say(node->lease, text, sizeof text);
    rpc_stream_finish(s, ERR_ELSEWHERE, text);
}

static void refused_message(struct rpc_stream *s, void *user,
                            struct slice message)
{
    (void)s;
    (void)user;
    (void)message;
}

static void refused_closed(struct rpc_stream *s, void *user, enum err err,
                           const char *text)
{
    (void)s;
    (void)user;
    (void)err;
    (void)text;
}

static void refuse_call(void *ctx, struct rpc_call *call)
{
    const struct node *node = ctx;
    char text[256];
    lease_say(node->lease, text, sizeof text);
    rpc_fail(call, ERR_ELSEWHERE, text);
}

/* Of a process that stands by: children go on to the one that writes. */
static struct rpc_method refusing(struct node *node, const char *path,
                                  bool stream)
{
    static const struct rpc_stream_ops ops = {.open = refuse_stream,
                                              .message = refused_message,
                                              .closed = refused_closed};
    return (struct rpc_method){.path = path,
                               .unary = stream ? NULL : refuse_call,
                               .stream = stream ? &ops : NULL,
                               .ctx = node};
}

static enum err up_server(struct node *node, struct errmsg *why)
{
    struct rpc_method methods[METHODS_MAX];
    size_t count = 0;
    fill_api_env(node);
    if (node->conf->listen.address[0] == 0) {
        return ERR_OK;
    }
    const struct rpc_method *sync = downlink_methods(node->downlink, &count);
    if (count + 1 + API_METHODS > METHODS_MAX) {
        return ERR_BUG;
    }
    memcpy(methods, sync, count * sizeof *methods);
    methods[count++] = *feed_method(node->feed);
    for (size_t i = 0; !node->writes && i < count; i++) {
        methods[i] = refusing(node, methods[i].path, methods[i].stream != NULL);
    }
    api_methods(&node->api, methods + count);
    return rpc_listen(&node->server, node->rpc, node->conf->listen.address,
                      &node->rpc_tls, methods, count + API_METHODS, why);
}

static void down_server(struct node *node)
{
    if (node->downlink != NULL) {
        downlink_hang_up(node->downlink);
    }
    if (node->feed != NULL) {
        feed_hang_up(node->feed);
    }
    rpc_server_close(&node->server, GRACE_MS);
    answers_free(&node->api.answers);
}

static enum err up_admin(struct node *node, struct errmsg *why)
{
    return admin_open(&node->admin, node->conf->admin.socket, api_commands,
                      api_commands_count, &node->api, why);
}

static void down_admin(struct node *node)
{
    admin_close(&node->admin);
}

static enum err up_inbox(struct node *node, struct errmsg *why)
{
    const struct conf_inbox *c = &node->conf->inbox;
    if (c->path[0] == 0 || !node->writes) {
        return ERR_OK;
    }
    struct inbox_conf conf = {.path = c->path,
                              .interval_ms = c->interval_ms,
                              .settle_ms = c->settle_ms,
                              .file_max_bytes =
                                  node->conf->ingest.file_max_bytes};
    return inbox_open(&node->inbox, &node->import, &conf, &node->log, why);
}

static void down_inbox(struct node *node)
{
    inbox_close(&node->inbox);
}

/* In this order up, backwards down. */
static const struct {
    const char *name;
    enum err (*up)(struct node *node, struct errmsg *why);
    void (*down)(struct node *node); /* also after a failed up */
} parts[] = {
    {"loop", node_up_loop, node_down_loop},
    {"lease", node_up_lease, node_down_lease},
    {"ident", node_up_ident, node_down_ident},
    {"store", node_up_store, node_down_store},
    {"views", node_up_views, node_down_views},
    {"rpc", up_rpc, down_rpc},
    {"sync", node_up_sync, node_down_sync},
    {"exchange", up_exchange, down_exchange},
    {"server", up_server, down_server},
    {"admin", up_admin, down_admin},
    {"inbox", up_inbox, down_inbox},
};

/* Who waits for a commit whose outcome the database cannot tell now, or cannot
 * tell in a moment, such as an import, would keep the node until the database
 * is back. */
static void give_up_doubtful(const struct node *node)
{
    struct store_stats stats;
    if (node->store == NULL) {
        return;
    }
    store_stopping(node->store);
    store_stats(node->store, &stats);
    bool lost = node->lease != NULL && node->writes && !lease_held(node->lease);
    if (!stats.writable || lost) {
        store_closing(node->store);
    }
}

static void take_down(struct node *node, size_t to)
{
    give_up_doubtful(node);
    node->ready = false;
    while (node->up > to) {
        node->up--;
        log_debug(&node->log, "PART-DOWN", "part=%s", parts[node->up].name);
        parts[node->up].down(node);
    }
}

/* On an error those above `keep` go down again. */
static enum err bring_up(struct node *node, size_t keep, struct errmsg *why)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && node->up < ARRAY_LEN(parts)) {
        log_debug(&node->log, "PART-UP", "part=%s", parts[node->up].name);
        err = parts[node->up++].up(node, why);
    }
    if (err != ERR_OK) {
        take_down(node, keep);
        return err;
    }
    node_rest(node);
    node->ready = true;
    log_info(&node->log, "READY", "tier=%s port=%u version=%s%s",
             tier_name((enum tier)node->conf->node.tier),
             node->server != NULL ? rpc_server_port(node->server) : 0,
             node_version(), node->writes ? "" : " stands=by");
    return ERR_OK;
}

/* ---- changing sides ---- */

/* The loop and the lease stay up. */
enum { SIDES_FROM = 2, AGAIN_MS = 500 };

/* Of several processes: what may be otherwise in a moment. */
static bool may_change(enum err err)
{
    return err == ERR_UNAVAILABLE || err == ERR_TIMEOUT || err == ERR_BUSY ||
           err == ERR_CONFLICT || err == ERR_NOT_FOUND || err == ERR_UNCERTAIN;
}

/* Brings up what the lease says. What is passing is tried again by
 * node_run(). */
static enum err take_side(struct node *node, struct errmsg *why)
{
    node->writes = lease_held(node->lease);
    enum err err = bring_up(node, SIDES_FROM, why);
    if (err == ERR_OK && node->reload_owed) {
        node->reload_owed = false;
        node_reload(node);
    }
    if (err != ERR_OK && may_change(err)) {
        log_warn(&node->log, "SIDE-WAITS",
                 "side=%s cause=\"%s\" next=\"tried "
                 "again\"",
                 node->writes ? "writer" : "stand-by", why->text);
        ticker_at(node->again, clock_mono_ms() + AGAIN_MS);
        if (node->writes) {
            lease_yield(node->lease);
        }
        err = ERR_OK;
    }
    return err;
}

/* What one who was frozen knows of the lease may be old: to open the store
 * would take it from who has the lease by now. */
static bool is_sure(const struct node *node)
{
    return !lease_held(node->lease) ||
           clock_mono_ms() < lease_until_ms(node->lease);
}

static enum err change_sides(struct node *node)
{
    struct errmsg why;
    bool replaced = atomic_load(&node->replaced);
    if (node->ready && node->writes == lease_held(node->lease) && !replaced) {
        return ERR_OK; /* it was lost, and won again */
    }
    if (!is_sure(node)) {
        ticker_at(node->again, clock_mono_ms() + AGAIN_MS);
        return ERR_OK;
    }
    if (replaced) {
        log_warn(&node->log, "STORE-REPLACED",
                 "cause=\"another process took the database\" next=\"%s\"",
                 lease_held(node->lease) ? "opened again" : "stands by");
    }
    take_down(node, SIDES_FROM);
    atomic_store(&node->replaced, false);
    enum err err = take_side(node, &why);
    if (err != ERR_OK) {
        log_error(&node->log, "SIDE-FAILED", "side=%s cause=\"%s\"",
                  node->writes ? "writer" : "stand-by", why.text);
    }
    return err;
}

static struct node *node_new(struct conf *conf)
{
    struct node *node = MEM_NEW(struct node);
    char code[CODE_LEN + 1];
    node->conf = conf;
    node->latest = conf;
    code_format(conf->node.code, code);
    (void)snprintf(node->log_fields, sizeof node->log_fields, "node=%s", code);
    node->log.fields = node->log_fields;
    return node;
}

static void node_free(struct node **node)
{
    struct retired *older;
    for (struct retired *r = (*node)->retired; r != NULL; r = older) {
        older = r->older;
        conf_free(&r->conf);
        mem_free(r);
    }
    conf_free(&(*node)->conf);
    mem_free(*node);
    *node = NULL;
}

/* As many descriptors as the machine lets us have: each child is one. */
void node_raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum err bring_up_first(struct node *node, struct errmsg *why)
{
    if (node->conf->node.process[0] == 0) {
        return bring_up(node, 0, why);
    }
    enum err err = ERR_OK;
    while (err == ERR_OK && node->up < SIDES_FROM) {
        err = parts[node->up++].up(node, why);
    }
    return err == ERR_OK ? take_side(node, why) : err;
}

enum err node_start(struct node **out, struct conf **conf,
                    const char *conf_path, const char *const *overrides,
                    size_t overrides_count, struct errmsg *why)
{
    struct node *node = node_new(*conf);
    *conf = NULL;
    node->conf_path = conf_path;
    node->overrides = overrides;
    node->overrides_count = overrides_count;
    log_set_level((enum log_level)node->conf->log.level);
    node_raise_file_limit();
    (void)signal(SIGPIPE, SIG_IGN);
    enum err err = bring_up_first(node, why);
    if (err != ERR_OK) {
        take_down(node, 0);
        node_free(&node);
        return err;
    }
    *out = node;
    return ERR_OK;
}

enum err node_run(struct node *node)
{
    enum err err = ERR_OK;
    /* Damage may have been met while the parts came up. */
    while (err == ERR_OK && !node->stopping && !atomic_load(&node->damaged)) {
        loop_run(node->loop);
        if (node->lease == NULL) {
            break;
        }
        if (!node->stopping && !atomic_load(&node->damaged)) {
            err = change_sides(node);
        }
    }
    return err;
}

bool node_damaged(const struct node *node)
{
    return atomic_load(&node->damaged);
}

enum err node_stop(struct node **node_ptr)
{
    struct node *node = *node_ptr;
    take_down(node, 0);
    log_info(&node->log, "STOPPED", "result=ok");
    node_free(node_ptr);
    return ERR_OK;
}

enum err node_check(const struct conf *conf, struct errmsg *why)
{
    /* Lends the configuration to a node of which only the identity comes up.
     */
    struct node node = {.conf = NULL};
    struct conf copy = *conf;
    node.conf = &copy;
    node.latest = &copy;
    enum err err = node_up_ident(&node, why);
    node_down_ident(&node);
    return err;
}
