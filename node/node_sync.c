#include "node_impl.h"

#include "api/api.h"
#include "base/mem.h"
#include "credit/division.h"

enum {
    CODE_STEPS_MAX = 8,
    ANSWERED_MS = 5000, /* by who took a connection */
};

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
void node_recheck(void *ctx)
{
    struct node *node = ctx;
    downlink_recheck(node->downlink);
    feed_recheck(node->feed);
    if (node->uplink != NULL) {
        uplink_recheck(node->uplink);
    }
}

/* ---- replication ---- */

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
                          .roster_changed = node_recheck,
                          .ctx = node};
}

/* To connect, and to be answered by who took the connection. */
static uint32_t dialing_ms(const struct conf_rpc *c)
{
    return c->handshake_timeout_ms + ANSWERED_MS;
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
    enum err err = node_path(node, "receipts", path, why);
    if (err != ERR_OK) {
        return err;
    }
    err = node_path(node, "set-aside", node->set_aside, why);
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
    node->feed = feed_new(&node->sync, c->renew_ms, c->window_bytes,
                          node->writes ? c->first_log_ms : 0);
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
                             .dialing_ms = dialing_ms(&node->conf->rpc),
                             .greeting_ms = c->greeting_ms,
                             .silence_ms = c->silence_ms};
    err = uplink_start(&node->uplink, &node->sync, &node->rpc_tls, &up, why);
    if (err == ERR_OK) {
        struct follow_conf follow = {.parent_code = up.parent_code,
                                     .backoff_min_ms = c->backoff_min_ms,
                                     .backoff_max_ms = c->backoff_max_ms,
                                     .dialing_ms = up.dialing_ms,
                                     .greeting_ms = c->greeting_ms};
        node->follow = follow_start(&node->sync, uplink_channel(node->uplink),
                                    node->feed, &follow);
    }
    return err;
}

enum err node_up_sync(struct node *node, struct errmsg *why)
{
    enum err err = up_replication(node, why);
    if (err == ERR_OK) { /* node_recheck() needs all of it */
        roster_watch(node->sync.roster);
    }
    return err;
}

void node_down_sync(struct node *node)
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
