#include "node_impl.h"

#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"

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

enum { OWED_MS = 10000 };

void node_owe(struct node *node)
{
    ticker_at(node->owed, clock_mono_ms() + OWED_MS);
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
        node_owe(node);
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
        node_judge_again(node);
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
void node_look_begin(struct node *node)
{
    node->look = ticker_new(node->loop, on_look, node);
    ticker_at(node->look, clock_mono_ms() + LOOK_MS);
}

void node_settle_owed(void *ctx)
{
    struct node *node = ctx;
    if (!atomic_load(&node->owes_signing) &&
        !atomic_load(&node->owes_judging)) {
        return;
    }
    if (!node->ready || atomic_exchange(&node->settling, true)) {
        node_owe(node);
    } else if (pool_run(rpc_pool(node->rpc), settle, node) != ERR_OK) {
        atomic_store(&node->settling, false);
        node_owe(node);
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
    node_settle_owed(node);
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
    enum err err = node_load_identity(node, use, &r->id, &why);
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
    trust_set_revoked(node->trust, node_revoked(node));
    err = err == ERR_OK ? trust_reload(node->trust, &why) : err;
    if (err != ERR_OK) {
        log_error(&node->log, "RELOAD-TRUST",
                  "reason=\"%s\" effect=\"the old anchors and revocations "
                  "stay\" hint=\"reload again\"",
                  why.text);
    }
    return err == ERR_OK;
}

void node_reload(struct node *node)
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
    node_recheck(node);
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
        node_reload(node);
        return;
    }
    log_info(&node->log, "STOPPING", "signal=%d", signum);
    node->stopping = true;
    loop_stop(node->loop);
}

/* ---- memory ---- */

static struct rest_look look_at_memory(void)
{
    return (struct rest_look){.at_ms = clock_mono_ms(),
                              .cpu_ms = clock_cpu_ms(),
                              .resident = mem_resident()};
}

static void on_resting(void *ctx)
{
    struct node *node = ctx;
    struct rest_look now = look_at_memory();
    if (rest_look(&node->rest, &now)) {
        mem_give_back();
    }
    ticker_at(node->resting, clock_mono_ms() + REST_LOOK_MS);
}

void node_rest(struct node *node)
{
    struct rest_look now = look_at_memory();
    mem_give_back();
    rest_begin(&node->rest, &now);
    ticker_at(node->resting, clock_mono_ms() + REST_LOOK_MS);
}

enum err node_up_loop(struct node *node, struct errmsg *why)
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
    if (err == ERR_OK) {
        node->resting = ticker_new(node->loop, on_resting, node);
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

void node_down_loop(struct node *node)
{
    unwatch_signals(node);
    ticker_free(&node->resting);
    if (loop_close(&node->loop) != ERR_OK) {
        log_error(&node->log, "LOOP-LEAK", "text=\"a handle was left open\"");
    }
}
