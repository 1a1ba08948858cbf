#include "node.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/str.h"
#include "base/ticker.h"
#include "credit/division.h"
#include "ident/rootchain.h"
#include "ingest/exchange.h"
#include "ingest/inbox.h"
#include "node_copy.h"
#include "node_tls.h"
#include "store/lease.h"
#include "store/views.h"

#ifndef CREDITNODE_VERSION
#define CREDITNODE_VERSION "0.1.0"
#endif

enum {
    GRACE_MS = 2000,
    EFFECTS_WAIT_MS = 2000, /* a Check waits so long for the disk */
    CODE_STEPS_MAX = 8,
    METHODS_MAX = 16,
    PATH_LEN = 4096,
    ANSWERS_PART = 8, /* of store.cache, beside it: answers given again */
};

/* A certificate and key that a reload brought; older ones may still be in use,
 * so none is freed before the end. A node sees a few in its life. */
struct renewed {
    struct renewed *older;
    struct identity id;
};

/* A configuration that a reload replaced; readers may still hold it. */
struct retired {
    struct retired *older;
    struct conf *conf;
};

struct node {
    _Atomic bool damaged; /* the store: to be rebuilt by the next start */
    /* Another process had the database: the store is to be opened anew. */
    _Atomic bool replaced;
    struct conf *conf;   /* of the start */
    struct conf *latest; /* read by the last reload; else `conf` */
    struct retired *retired;
    const char *conf_path;
    const char *const *overrides;
    size_t overrides_count;
    char log_fields[64];
    struct log_ctx log;
    size_t up; /* how many parts of the table are up */

    struct loop *loop;
    uv_signal_t signals[3];
    size_t signals_open;
    bool stopping;        /* loop thread: a signal came */
    bool ready;           /* loop thread: every part is up */
    bool reload_owed;     /* loop thread: SIGHUP came while they were not */
    struct lease *lease;  /* NULL: the only process */
    struct ticker *again; /* a side is tried again */
    bool writes;          /* else it stands by; for as long as parts are up */
    struct rootchain *roots;
    struct ticker *look; /* at what another process left; with a lease */
    _Atomic bool blind;  /* it could not, and that was logged */
    struct trust *trust;
    struct identity signer; /* of the start */
    struct identity sealing;
    struct renewed *renewed;
    /* What the store could not take in at once; until it can. */
    struct ticker *owed;
    _Atomic bool owes_judging; /* by the newest root document */
    _Atomic bool owes_signing; /* with `signs` */
    _Atomic bool settling;     /* a worker is about it */
    /* In force; changed by the loop thread. */
    const struct identity *_Atomic signs;
    const struct identity *seals;
    struct node_tls *tls;
    struct rpc_tls rpc_tls;
    struct keyring *keyring;
    struct store *store;
    struct store_mariadb_conf mariadb;
    struct views *views;
    struct rpc *rpc;
    struct ancestry *ancestry;
    struct sync_env sync;
    char set_aside[PATH_LEN]; /* sync.set_aside */
    struct downlink *downlink;
    struct uplink *uplink;
    struct feed *feed;
    struct follow *follow;
    struct fresh_share *fresh_share; /* NULL: the only process */
    struct import_env import;
    struct api_env api;
    struct rpc_server *server;
    struct admin *admin;
    struct inbox *inbox;
    struct exchange_table_conf *exchange_tables;
    struct exchange *exchange;
};

const char *node_version(void)
{
    return CREDITNODE_VERSION;
}

/* ---- who is whose child ---- */

static uint64_t configured_parent_of(const struct conf *conf, uint64_t code)
{
    for (size_t i = 0; i < conf->children.count; i++) {
        if (conf->children.items[i].code == code) {
            return conf->children.items[i].parent;
        }
    }
    return division_default_parent(code);
}

/* A directive, else the configuration, else the digits. */
static uint64_t parent_of(const struct node *node, uint64_t code)
{
    uint64_t parent;
    return roster_parent(node->sync.roster, code, &parent)
               ? parent
               : configured_parent_of(node->conf, code);
}

static bool is_child(void *ctx, const struct principal *peer)
{
    const struct node *node = ctx;
    return peer->kind == PRINCIPAL_NODE &&
           peer->code != node->conf->node.code &&
           parent_of(node, peer->code) == node->conf->node.code;
}

/* The peer itself or below it, by the chain of parents. */
static bool entitled(void *ctx, uint64_t origin, uint64_t peer)
{
    const struct node *node = ctx;
    for (int i = 0; i < CODE_STEPS_MAX; i++) {
        if (origin == peer) {
            return true;
        }
        if (origin == 0) {
            return false;
        }
        origin = parent_of(node, origin);
    }
    return false;
}

/* Acknowledgements from above travel on to the children. */
static void above_changed(void *ctx, const struct log_id *logs, size_t n)
{
    const struct node *node = ctx;
    downlink_above_changed(node->downlink, logs, n);
}

/* What a child sent goes on to the parent before it is committed here. */
static void verified(void *ctx, const struct segment *segment)
{
    const struct node *node = ctx;
    if (node->uplink != NULL) {
        uplink_forward(node->uplink, segment);
    }
}

static void more_above(void *ctx, const struct log_id *log)
{
    const struct node *node = ctx;
    if (node->uplink != NULL) {
        uplink_fetch(node->uplink, log);
    }
}

static bool told_above(void *ctx)
{
    const struct node *node = ctx;
    return node->uplink == NULL || uplink_told(node->uplink);
}

static uint64_t own_parent(const struct node *node)
{
    const struct conf *conf = node->conf;
    return conf->parent.code != 0 ? conf->parent.code
                                  : parent_of(node, conf->node.code);
}

/* Who may call is another question now, also of calls that are open. */
static void recheck(void *ctx)
{
    struct node *node = ctx;
    downlink_recheck(node->downlink);
    feed_recheck(node->feed);
    if (node->uplink != NULL) {
        uplink_recheck(node->uplink);
    }
}

/* ---- certificates ---- */

/* `option` names the certificate: the message says where it was configured. */
static enum err check_principal(const struct conf *conf, const char *option,
                                const struct principal *p, struct errmsg *why)
{
    char have[CODE_LEN + 1];
    char want[CODE_LEN + 1];
    struct errmsg place;
    const char *at = conf_origin(conf, option, &place);
    code_format(p->code, have);
    code_format(conf->node.code, want);
    if (p->kind != PRINCIPAL_NODE || p->code != conf->node.code ||
        (int)p->tier != conf->node.tier) {
        return err_set(why, ERR_CONF,
                       "%s: %s: certificate of %s %s, but the configuration "
                       "says %s %s; use this node's own certificate or correct "
                       "node.code and node.tier",
                       at, option, tier_name(p->tier), have,
                       tier_name((enum tier)conf->node.tier), want);
    }
    if (strcmp(p->federation, conf->federation.name) != 0) {
        return err_set(why, ERR_CONF,
                       "%s: %s: certificate of federation '%s', but the "
                       "configuration says '%s'; use a certificate of this "
                       "federation's CA or correct federation.name",
                       at, option, p->federation, conf->federation.name);
    }
    return ERR_OK;
}

static enum err data_path(const struct node *node, const char *name, char *out,
                          struct errmsg *why)
{
    int n = snprintf(out, PATH_LEN, "%s/%s", node->conf->data.dir, name);
    return n < PATH_LEN ? ERR_OK
                        : err_set(why, ERR_CONF, "data.dir: path too long");
}

/* Do the CA files trust no other CAs than this version of the document? */
static enum err check_cas(const struct conf *c, const struct rootdoc *doc,
                          struct errmsg *why)
{
    enum err err = rootdoc_check_ca(doc, c->tls.ca, why);
    return err == ERR_OK ? rootdoc_check_ca(doc, c->trust.ca, why) : err;
}

enum { OWED_MS = 10000 };

static void owe(struct node *node)
{
    ticker_at(node->owed, clock_mono_ms() + OWED_MS);
}

/* Any thread; waits for the store. Owed until it is done. */
static void judge_again(void *ctx)
{
    struct node *node = ctx;
    struct errmsg why = {{0}};
    atomic_store(&node->owes_judging, false);
    if (store_judge_again(node->store, &why) != ERR_OK) {
        atomic_store(&node->owes_judging, true);
        log_error(
            &node->log, "ROOT-JUDGE",
            "reason=\"%s\" effect=\"directives are not judged by it yet\" "
            "next=\"tried again\"",
            why.text);
        owe(node);
    }
}

/* Whoever brought the version: what it says holds from now on. */
static void on_root(void *ctx, const struct rootdoc *doc)
{
    struct node *node = ctx;
    downlink_root_changed(node->downlink);
    if (node->uplink != NULL) {
        uplink_root_changed(node->uplink);
    }
    if (node->writes) {
        judge_again(node);
    }
    struct errmsg why = {{0}};
    if (check_cas(node->conf, doc, &why) != ERR_OK) {
        log_error(&node->log, "ROOT-CA",
                  "reason=\"%s\" effect=\"this node will not start again with "
                  "it\"",
                  why.text);
    }
}

static enum err load_root(struct node *node, struct errmsg *why)
{
    const struct conf *c = node->conf;
    char expected[2 * HASH_LEN + 1];
    char folder[PATH_LEN];
    str_hex(c->federation.root_hash, HASH_LEN, expected);
    enum err err = data_path(node, "root", folder, why);
    if (err == ERR_OK) {
        err = rootchain_open(&node->roots, c->federation.root_document,
                             expected, folder, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    const struct rootdoc *doc = rootchain_newest(node->roots);
    rootchain_watch(node->roots, on_root, node);
    if ((int)rootdoc_suite(doc) != c->federation.suite ||
        strcmp(rootdoc_federation(doc), c->federation.name) != 0) {
        struct errmsg place;
        return err_set(why, ERR_CONF,
                       "%s: federation.root_document: %s is of federation '%s' "
                       "(suite %s), but the configuration says '%s' (suite "
                       "%s); name this federation's document, or correct "
                       "federation.name and federation.suite",
                       conf_origin(c, "federation.root_document", &place),
                       c->federation.root_document, rootdoc_federation(doc),
                       suite_name(rootdoc_suite(doc)), c->federation.name,
                       suite_name((enum suite)c->federation.suite));
    }
    return check_cas(c, doc, why);
}

static enum err load_identity(const struct node *node, enum cert_use use,
                              struct identity *out, struct errmsg *why)
{
    const struct conf *c = node->conf;
    bool sign = use == CERT_USE_SIGN;
    enum err err =
        identity_load(out, node->trust, use, sign ? c->sign.cert : c->seal.cert,
                      sign ? c->sign.key : c->seal.key, why);
    return err == ERR_OK ? check_principal(c, sign ? "sign.cert" : "seal.cert",
                                           cert_principal(out->cert), why)
                         : err;
}

/* NULL: none. */
static const char *revoked_of(const struct node *node)
{
    const char *path = node->latest->trust.revoked;
    return path[0] != 0 ? path : NULL;
}

static enum err load_identities(struct node *node, struct errmsg *why)
{
    const struct conf *c = node->conf;
    enum err err =
        trust_open(&node->trust, (enum suite)c->federation.suite,
                   c->federation.name, c->trust.ca, revoked_of(node), why);
    if (err == ERR_OK) {
        err = load_identity(node, CERT_USE_SIGN, &node->signer, why);
    }
    if (err == ERR_OK) {
        err = load_identity(node, CERT_USE_SEAL, &node->sealing, why);
    }
    atomic_store(&node->signs, &node->signer);
    node->seals = &node->sealing;
    return err;
}

static enum err tls_fits(void *ctx, const struct principal *self,
                         struct errmsg *why)
{
    const struct node *node = ctx;
    enum err err = check_principal(node->conf, "tls.cert", self, why);
    return err == ERR_OK ? rootdoc_check_ca(rootchain_newest(node->roots),
                                            node->conf->tls.ca, why)
                         : err;
}

static enum err up_ident(struct node *node, struct errmsg *why)
{
    enum err err = load_root(node, why);
    if (err == ERR_OK) {
        err = load_identities(node, why);
    }
    if (err == ERR_OK) {
        err = node_tls_open(&node->tls, &node->conf->tls, tls_fits, node,
                            &node->log, why);
    }
    if (err == ERR_OK) {
        node->rpc_tls = node_tls_source(node->tls);
    }
    return err;
}

static void down_ident(struct node *node)
{
    node_tls_close(&node->tls);
    struct renewed *older;
    for (struct renewed *r = node->renewed; r != NULL; r = older) {
        older = r->older;
        identity_fini(&r->id);
        mem_free(r);
    }
    node->renewed = NULL;
    identity_fini(&node->sealing);
    identity_fini(&node->signer);
    trust_free(&node->trust);
    rootchain_free(&node->roots);
}

/* ---- loop and signals ---- */

struct changed {
    struct node *node;
    unsigned restart;
};

static void log_change(void *ctx, const char *path, const char *before,
                       const char *after, bool restart)
{
    struct changed *c = ctx;
    (void)before;
    c->restart += restart;
    if (restart) {
        log_warn(&c->node->log, "RELOAD-RESTART",
                 "option=%s value=%s hint=\"takes effect after a restart\"",
                 path, after);
    } else {
        log_info(&c->node->log, "RELOAD-OPTION", "option=%s value=%s", path,
                 after);
    }
}

/* Apps and names are read from the configuration at each call, so the new one
 * is put in its place; what only a restart takes over stays as it is. */
static void retire(struct node *node, struct conf *fresh)
{
    struct retired *r = MEM_NEW(struct retired);
    r->conf = fresh;
    r->older = node->retired;
    node->retired = r;
    node->latest = fresh;
    atomic_store(&node->api.conf, fresh);
}

static void log_renewed(const struct node *node, const char *use,
                        const struct identity *id)
{
    log_info(&node->log, "CERT-RENEWED", "use=%s not_after_ms=%lld", use,
             (long long)cert_principal(id->cert)->not_after_ms);
}

/* Not the loop: waits for the store, which signs with `signs` too then. Owed
 * until it is done. */
static void renew_store(struct node *node)
{
    struct errmsg why = {{0}};
    atomic_store(&node->owes_signing, false); /* before `signs` is read */
    const struct identity *signs = atomic_load(&node->signs);
    if (node->writes && store_renew(node->store, signs, &why) != ERR_OK) {
        atomic_store(&node->owes_signing, true);
        log_error(&node->log, "RELOAD-SIGN",
                  "reason=\"%s\" next=\"tried again\"", why.text);
        owe(node);
        return;
    }
    log_renewed(node, "sign", signs);
}

/* A worker; one at a time, however long the store takes. */
static void settle(void *ctx)
{
    struct node *node = ctx;
    if (atomic_load(&node->owes_signing)) {
        renew_store(node);
    }
    if (atomic_load(&node->owes_judging)) {
        judge_again(node);
    }
    atomic_store(&node->settling, false);
}

enum { LOOK_MS = 1000 };

/* Any thread. The writer's folder of versions is this process's too. */
static void look_for_roots(void *ctx)
{
    struct node *node = ctx;
    struct errmsg why = {{0}};
    bool blind = rootchain_look(node->roots, &why) != ERR_OK;
    if (blind && !atomic_load(&node->blind)) {
        log_error(&node->log, "ROOT-LOOK",
                  "reason=\"%s\" effect=\"newer versions of the root document "
                  "are not known here\" next=\"tried again\"",
                  why.text);
    }
    atomic_store(&node->blind, blind);
}

/* Any thread. One that stands by may have found damage. */
static void look_for_damage(void *ctx)
{
    const struct node *node = ctx;
    store_damage_look(node->store);
}

static void on_look(void *ctx)
{
    struct node *node = ctx;
    pool_fn *look = node->writes ? look_for_damage : look_for_roots;
    /* Before that, and with a full pool, the next time. */
    bool asked =
        node->ready && pool_run(rpc_pool(node->rpc), look, node) == ERR_OK;
    (void)asked;
    ticker_at(node->look, clock_mono_ms() + LOOK_MS);
}

/* Of several processes: at what another one leaves in their folder. */
static void look_again_and_again(struct node *node)
{
    node->look = ticker_new(node->loop, on_look, node);
    ticker_at(node->look, clock_mono_ms() + LOOK_MS);
}

static void settle_owed(void *ctx)
{
    struct node *node = ctx;
    if (!atomic_load(&node->owes_signing) &&
        !atomic_load(&node->owes_judging)) {
        return;
    }
    if (!node->ready || atomic_exchange(&node->settling, true)) {
        owe(node);
    } else if (pool_run(rpc_pool(node->rpc), settle, node) != ERR_OK) {
        atomic_store(&node->settling, false);
        owe(node);
    }
}

/* Signed with from now on, and the heads of this node's logs anew. */
static void sign_with(struct node *node, const struct identity *id)
{
    atomic_store(&node->signs, id);
    atomic_store(&node->sync.signer, id);
    atomic_store(&node->api.sign_not_after_ms,
                 cert_principal(id->cert)->not_after_ms);
    atomic_store(&node->owes_signing, true);
    settle_owed(node);
}

/* Those below wrap their keys for it. */
static void seal_with(struct node *node, const struct identity *id)
{
    node->seals = id;
    atomic_store(&node->api.seal_not_after_ms,
                 cert_principal(id->cert)->not_after_ms);
    keyring_renew(node->keyring, id);
    atomic_store(&node->sync.sealing, id);
    downlink_greet_again(node->downlink);
    log_renewed(node, "seal", id);
}

/* Takes over a certificate that was renewed; one that does not fit is refused
 * as at the start, and the old one stays. */
static bool renew(struct node *node, enum cert_use use)
{
    bool sign = use == CERT_USE_SIGN;
    const struct identity *now = sign ? node->signs : node->seals;
    struct renewed *r = MEM_NEW(struct renewed);
    struct errmsg why = {{0}};
    enum err err = load_identity(node, use, &r->id, &why);
    if (err != ERR_OK) {
        log_error(&node->log, "CERT-REFUSED",
                  "reason=\"%s\" hint=\"the old certificate stays in use\"",
                  why.text);
    }
    if (err != ERR_OK ||
        slice_eq(buf_slice(&r->id.chain), buf_slice(&now->chain))) {
        identity_fini(&r->id);
        mem_free(r);
        return false;
    }
    r->older = node->renewed;
    node->renewed = r;
    (sign ? sign_with : seal_with)(node, &r->id);
    return true;
}

/* What the root document does not name is not taken over, nor are revocations
 * with it. False, said why: the old ones stay. */
static bool reload_trust(struct node *node)
{
    struct errmsg why = {{0}};
    enum err err = rootdoc_check_ca(rootchain_newest(node->roots),
                                    node->conf->trust.ca, &why);
    trust_set_revoked(node->trust, revoked_of(node));
    err = err == ERR_OK ? trust_reload(node->trust, &why) : err;
    if (err != ERR_OK) {
        log_error(&node->log, "RELOAD-TRUST",
                  "reason=\"%s\" effect=\"the old anchors and revocations "
                  "stay\" hint=\"reload again\"",
                  why.text);
    }
    return err == ERR_OK;
}

static void reload(struct node *node)
{
    if (!node->ready) {
        node->reload_owed = true; /* once it has come to a side */
        return;
    }
    struct conf *fresh = NULL;
    struct conf_errors errors = {.count = 0};
    struct changed changed = {.node = node};
    if (conf_load(&fresh, node->conf_path, node->overrides,
                  node->overrides_count, &errors) != ERR_OK) {
        log_error(&node->log, "RELOAD-REFUSED",
                  "reason=\"%s\" hint=\"the old settings stay\"",
                  errors.count > 0 ? errors.at[0].text : "");
        return;
    }
    conf_diff(node->latest, fresh, log_change, &changed);
    log_set_level((enum log_level)fresh->log.level);
    retire(node, fresh);
    bool trusts = reload_trust(node);
    recheck(node);
    bool renewed = renew(node, CERT_USE_SIGN);
    renewed = renew(node, CERT_USE_SEAL) || renewed;
    bool dial = node_tls_refresh(node->tls);
    if (dial && node->uplink != NULL) {
        uplink_reconnect(node->uplink);
        follow_reconnect(node->follow);
    }
    log_info(&node->log, "RELOAD", "restart_needed=%u certificates=%s trust=%s",
             changed.restart, renewed || dial ? "renewed" : "unchanged",
             trusts ? "read" : "kept");
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct node *node = handle->data;
    if (signum == SIGHUP) {
        reload(node);
        return;
    }
    log_info(&node->log, "STOPPING", "signal=%d", signum);
    node->stopping = true;
    loop_stop(node->loop);
}

static enum err up_loop(struct node *node, struct errmsg *why)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    enum err err = loop_new(&node->loop, why);
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(numbers); i++) {
        uv_signal_t *s = &node->signals[i];
        if (uv_signal_init(loop_uv(node->loop), s) != 0) {
            return err_set(why, ERR_IO, "cannot watch signals");
        }
        node->signals_open++;
        s->data = node;
        if (uv_signal_start(s, on_signal, numbers[i]) != 0) {
            err = err_set(why, ERR_IO, "cannot watch signal %d", numbers[i]);
        }
    }
    return err;
}

/* A reload that comes while the node ends has nothing to do. With its last
 * handle it would be what the system does by default: the end, by a signal. */
static void unwatch_signals(struct node *node)
{
    sigset_t reloads;
    sigset_t before;
    (void)sigemptyset(&reloads);
    (void)sigaddset(&reloads, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &reloads, &before);
    for (size_t i = 0; i < node->signals_open; i++) {
        uv_close((uv_handle_t *)&node->signals[i], NULL);
    }
    node->signals_open = 0;
    (void)signal(SIGHUP, SIG_IGN);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void down_loop(struct node *node)
{
    unwatch_signals(node);
    if (loop_close(&node->loop) != ERR_OK) {
        log_error(&node->log, "LOOP-LEAK", "text=\"a handle was left open\"");
    }
}

/* ---- several processes ---- */

/* The server of a section. Strings stay the configuration's. */
static struct store_mariadb_conf server_of(const struct conf_server *s)
{
    return (struct store_mariadb_conf){.socket = s->socket,
                                       .address = s->address,
                                       .database = s->database,
                                       .user = s->user,
                                       .password_file = s->password_file,
                                       .tls_ca = s->tls_ca,
                                       .tls_cert = s->tls_cert,
                                       .tls_key = s->tls_key,
                                       .connect_ms = s->connect_ms,
                                       .timeout_ms = s->timeout_ms};
}

static struct store_mariadb_conf mariadb_of(const struct conf *c)
{
    if (c->store.backend != CONF_BACKEND_MARIADB) {
        return (struct store_mariadb_conf){.database = NULL};
    }
    struct store_mariadb_conf conf = server_of(&c->mariadb.server);
    conf.connections = c->mariadb.connections;
    conf.shared = c->node.process[0] != 0;
    return conf;
}

/* On the lease's thread. */
static void lease_changed(void *ctx, bool held)
{
    const struct node *node = ctx;
    (void)held;
    loop_stop(node->loop); /* node_run() sees why */
}

static void on_again(void *ctx)
{
    const struct node *node = ctx;
    loop_stop(node->loop);
}

static int64_t alone_until_ms(void *ctx)
{
    const struct node *node = ctx;
    return lease_until_ms(node->lease);
}

/* Another process of this node writes. */
static bool beside(const struct node *node)
{
    return node->lease != NULL && !node->writes;
}

static void who_writes(void *ctx, char *out, size_t cap)
{
    const struct node *node = ctx;
    lease_say(node->lease, out, cap);
}

static enum err up_lease(struct node *node, struct errmsg *why)
{
    const struct conf *c = node->conf;
    struct errmsg place;
    node->writes = c->node.process[0] == 0;
    if (node->writes) {
        return ERR_OK;
    }
    if (c->store.backend != CONF_BACKEND_MARIADB) {
        return err_set(why, ERR_CONF,
                       "%s: node.process: several processes share a database: "
                       "set store.backend = \"mariadb\", or leave it out",
                       conf_origin(c, "node.process", &place));
    }
    node->mariadb = mariadb_of(c);
    node->again = ticker_new(node->loop, on_again, node);
    struct lease_conf conf = {.mariadb = &node->mariadb,
                              .name = c->node.process,
                              .address = c->listen.address,
                              .lapse_ms = c->mariadb.lease_ms,
                              .log = &node->log,
                              .changed = lease_changed,
                              .ctx = node};
    enum err err = lease_open(&node->lease, &conf, why);
    if (err == ERR_OK) {
        node->writes = lease_await(node->lease, c->mariadb.lease_ms);
    }
    return err;
}

static void down_lease(struct node *node)
{
    lease_close(&node->lease);
    ticker_free(&node->again);
}

/* ---- store ---- */

/* Any thread. A clean end; the supervisor's new start rebuilds the store. */
static void store_is_damaged(void *ctx, const char *what)
{
    struct node *node = ctx;
    (void)what;
    if (node->conf->store.repair == CONF_REPAIR_AUTO) {
        log_warn(&node->log, "STOPPING", "reason=\"the store is damaged\"");
        atomic_store(&node->damaged, true);
        loop_stop(node->loop);
    }
}

/* On the writer's thread. Who has the lease takes the database back, by the way
 * of every change of sides; who lost it stands by. */
static void store_is_replaced(void *ctx)
{
    struct node *node = ctx;
    if (!atomic_exchange(&node->replaced, true)) {
        loop_stop(node->loop); /* node_run() sees why */
    }
}

/* Strings are the node's and its configuration's; `path` has PATH_LEN bytes. */
static enum err store_conf_of(const struct node *node, char *path,
                              struct store_conf *out, struct errmsg *why)
{
    const struct conf *c = node->conf;
    *out =
        (struct store_conf){.path = path,
                            .mariadb = mariadb_of(c),
                            .has_parent = c->parent.address[0] != 0,
                            .cache_bytes = c->store.cache_bytes,
                            .write_buffer_bytes = c->store.write_buffer_bytes,
                            .reserve_bytes = c->store.reserve_bytes,
                            .queue_max = c->store.queue_max,
                            .queue_bytes_max = c->store.queue_bytes_max,
                            .scrub_interval_ms = c->store.scrub_interval_ms};
    return data_path(node, "store", path, why);
}

static struct store_env store_env_of(const struct node *node)
{
    const struct conf *c = node->conf;
    return (struct store_env){.suite = (enum suite)c->federation.suite,
                              .federation = c->federation.name,
                              .self = c->node.code,
                              .signer = &node->signer,
                              .keyring = node->keyring,
                              .roots = node->roots,
                              .log = &node->log};
}

static enum err open_keyring(struct node *node, struct errmsg *why)
{
    const struct conf *c = node->conf;
    char keys[PATH_LEN];
    enum err err = data_path(node, "keys", keys, why);
    if (err != ERR_OK) {
        return err;
    }
    return (beside(node) ? keyring_open_beside : keyring_open)(
        &node->keyring, keys, (enum suite)c->federation.suite, c->node.code,
        &node->sealing, why);
}

static enum err up_store(struct node *node, struct errmsg *why)
{
    const struct conf *c = node->conf;
    char path[PATH_LEN];
    struct store_conf conf;
    enum err err = store_conf_of(node, path, &conf, why);
    if (err == ERR_OK) {
        err = file_make_dirs(c->data.dir, why);
    }
    if (err == ERR_OK) {
        err = open_keyring(node, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    node->owed = ticker_new(node->loop, settle_owed, node);
    if (node->lease != NULL) {
        look_again_and_again(node);
    }
    /* What passes through on the way to the store is of that size. */
    mem_keep((size_t)c->store.write_buffer_bytes);
    struct store_env env = store_env_of(node);
    env.damaged = store_is_damaged;
    env.alone_until_ms = node->lease != NULL ? alone_until_ms : NULL;
    env.replaced = node->lease != NULL ? store_is_replaced : NULL;
    env.who_writes = who_writes;
    env.ctx = node;
    return node->writes ? store_open(&node->store, &conf, &env, why)
                        : store_open_beside(&node->store, &conf, &env, why);
}

static void down_store(struct node *node)
{
    ticker_free(&node->look);
    ticker_free(&node->owed);
    /* The next one opens with what is newest. */
    atomic_store(&node->owes_signing, false);
    atomic_store(&node->owes_judging, false);
    store_close(&node->store);
    keyring_free(&node->keyring);
}

static enum err up_views(struct node *node, struct errmsg *why)
{
    const struct conf *c = node->conf;
    node->mariadb = mariadb_of(c);
    if (node->mariadb.database == NULL || !node->writes) {
        return ERR_OK;
    }
    struct views_conf conf = {.mariadb = &node->mariadb,
                              .suite = (enum suite)c->federation.suite,
                              .self = c->node.code,
                              .on = c->mariadb.views != 0,
                              .log = &node->log};
    return views_start(&node->views, node->store, &conf, why);
}

static void down_views(struct node *node)
{
    views_stop(&node->views);
}

/* ---- rpc, replication, services ---- */

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

static void fill_sync_env(struct node *node)
{
    const struct conf *c = node->conf;
    uint64_t issues = node->writes ? c->node.code : 0;
    node->ancestry = ancestry_new();
    node->sync =
        (struct sync_env){.store = node->store,
                          .rpc = node->rpc,
                          .loop = node->loop,
                          .trust = node->trust,
                          .keyring = node->keyring,
                          .sealing = &node->sealing,
                          .signer = &node->signer,
                          .self = node_tls_self(node->tls),
                          .roots = node->roots,
                          .fresh = fresh_new(issues, c->replication.renew_ms),
                          .version = node_version(),
                          .ancestry = node->ancestry,
                          .log = &node->log,
                          .entitled = entitled,
                          .is_child = is_child,
                          .above_changed = above_changed,
                          .verified = verified,
                          .more_above = more_above,
                          .told_above = told_above,
                          .roster_changed = recheck,
                          .ctx = node};
}

static enum err up_replication(struct node *node, struct errmsg *why)
{
    const struct conf_replication *c = &node->conf->replication;
    fill_sync_env(node);
    struct downlink_conf down = {.window_bytes = c->window_bytes,
                                 .logs_max = c->logs_max,
                                 .ack_relay_ms = c->ack_relay_ms,
                                 .full_retry_ms = c->full_retry_ms};
    char path[PATH_LEN];
    enum err err = data_path(node, "receipts", path, why);
    if (err != ERR_OK) {
        return err;
    }
    err = data_path(node, "set-aside", node->set_aside, why);
    if (err != ERR_OK) {
        return err;
    }
    node->sync.set_aside = node->set_aside;
    node->sync.roster = roster_new(&node->sync);
    node->sync.receipts = receipts_new(&node->sync, path);
    err = downlink_new(&node->downlink, &node->sync, &down);
    if (err != ERR_OK) {
        return err_set(why, err, "replication: %s", err_text(err));
    }
    node->feed = feed_new(&node->sync, c->renew_ms, c->window_bytes);
    if (node->lease != NULL) {
        node->fresh_share = fresh_share_start(&node->sync, node->lease,
                                              node->writes, c->renew_ms);
    }
    if (!node->writes) {
        return ERR_OK;
    }
    if (node->conf->parent.address[0] == 0) {
        return store_settle(node->store, why);
    }
    struct uplink_conf up = {.parent = node->conf->parent.address,
                             .parent_code = own_parent(node),
                             .segment_bytes = (uint32_t)c->segment_bytes,
                             .backoff_min_ms = c->backoff_min_ms,
                             .backoff_max_ms = c->backoff_max_ms,
                             .greeting_ms = c->greeting_ms,
                             .silence_ms = c->silence_ms};
    err = uplink_start(&node->uplink, &node->sync, &node->rpc_tls, &up, why);
    if (err == ERR_OK) {
        struct follow_conf follow = {.parent_code = up.parent_code,
                                     .backoff_min_ms = c->backoff_min_ms,
                                     .backoff_max_ms = c->backoff_max_ms,
                                     .greeting_ms = c->greeting_ms};
        node->follow = follow_start(&node->sync, uplink_channel(node->uplink),
                                    node->feed, &follow);
    }
    return err;
}

static enum err up_sync(struct node *node, struct errmsg *why)
{
    enum err err = up_replication(node, why);
    if (err == ERR_OK) { /* recheck() needs all of it */
        roster_watch(node->sync.roster);
    }
    return err;
}

static void down_sync(struct node *node)
{
    store_closing(node->store);
    effects_desk_free(&node->api.effects);
    strand_free(node->api.receipts);
    node->api.receipts = NULL;
    entered_free(&node->api.entered);
    roster_stop(node->sync.roster);
    fresh_share_stop(&node->fresh_share);
    follow_stop(&node->follow);
    /* Its last callbacks still find it. */
    struct uplink *uplink = node->uplink;
    uplink_stop(&uplink);
    node->uplink = NULL;
    feed_free(&node->feed);
    receipts_free(&node->sync.receipts);
    roster_free(&node->sync.roster);
    downlink_free(&node->downlink);
    ancestry_free(&node->ancestry);
    fresh_free(&node->sync.fresh);
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
    struct exchange_conf conf = {.server = server_of(&e->server),
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
        .answers =
            answers_new(node->store, c->store.cache_bytes / ANSWERS_PART),
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
    {"loop", up_loop, down_loop},
    {"lease", up_lease, down_lease},
    {"ident", up_ident, down_ident},
    {"store", up_store, down_store},
    {"views", up_views, down_views},
    {"rpc", up_rpc, down_rpc},
    {"sync", up_sync, down_sync},
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
    mem_trim();
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
        reload(node);
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
static void raise_file_limit(void)
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
    raise_file_limit();
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
    enum err err = up_ident(&node, why);
    down_ident(&node);
    return err;
}

/* ---- the sides of a copy ---- */

struct node_side {
    struct node node; /* of which only what the store needs comes up */
    struct conf conf; /* lent */
    char path[PATH_LEN];
    struct store_conf store;
    struct store_env env;
};

enum err node_side_new(struct node_side **out, const struct conf *conf,
                       struct errmsg *why)
{
    struct node_side *side = MEM_NEW(struct node_side);
    side->conf = *conf;
    side->node.conf = &side->conf;
    side->node.latest = &side->conf;
    *out = side;
    return store_conf_of(&side->node, side->path, &side->store, why);
}

enum err node_side_open(struct node_side *side, struct errmsg *why)
{
    raise_file_limit();
    enum err err = up_ident(&side->node, why);
    if (err == ERR_OK) {
        err = open_keyring(&side->node, why);
    }
    if (err == ERR_OK) {
        keyring_freeze(side->node.keyring);
        side->env = store_env_of(&side->node);
    }
    return err;
}

void node_side_close(struct node_side *side)
{
    keyring_free(&side->node.keyring);
    down_ident(&side->node);
}

void node_side_free(struct node_side **side)
{
    mem_free(*side);
    *side = NULL;
}

const struct store_conf *node_side_store(const struct node_side *side)
{
    return &side->store;
}

const struct store_env *node_side_env(const struct node_side *side)
{
    return &side->env;
}
