#include "node_impl.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "node_copy.h"

/* ---- several processes ---- */

/* The server of a section. Strings stay the configuration's. */
struct store_mariadb_conf node_server_conf(const struct conf_server *s)
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
    struct store_mariadb_conf conf = node_server_conf(&c->mariadb.server);
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

enum err node_up_lease(struct node *node, struct errmsg *why)
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

void node_down_lease(struct node *node)
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

size_t node_answers_bytes(const struct conf *conf)
{
    return conf->store.cache_bytes / 2;
}

/* Strings are the node's and its configuration's; `path` has PATH_LEN bytes. */
static enum err store_conf_of(const struct node *node, char *path,
                              struct store_conf *out, struct errmsg *why)
{
    const struct conf *c = node->conf;
    *out = (struct store_conf){
        .path = path,
        .mariadb = mariadb_of(c),
        .has_parent = c->parent.address[0] != 0,
        .cache_bytes = c->store.cache_bytes - node_answers_bytes(c),
        .write_buffer_bytes = c->store.write_buffer_bytes,
        .reserve_bytes = c->store.reserve_bytes,
        .queue_max = c->store.queue_max,
        .queue_bytes_max = c->store.queue_bytes_max,
        .scrub_interval_ms = c->store.scrub_interval_ms};
    return node_path(node, "store", path, why);
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
    enum err err = node_path(node, "keys", keys, why);
    if (err != ERR_OK) {
        return err;
    }
    return (beside(node) ? keyring_open_beside : keyring_open)(
        &node->keyring, keys, (enum suite)c->federation.suite, c->node.code,
        &node->sealing, why);
}

enum err node_up_store(struct node *node, struct errmsg *why)
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
    node->owed = ticker_new(node->loop, node_settle_owed, node);
    if (node->lease != NULL) {
        node_look_begin(node);
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

void node_down_store(struct node *node)
{
    ticker_free(&node->look);
    ticker_free(&node->owed);
    /* The next one opens with what is newest. */
    atomic_store(&node->owes_signing, false);
    atomic_store(&node->owes_judging, false);
    store_close(&node->store);
    keyring_free(&node->keyring);
}

enum err node_up_views(struct node *node, struct errmsg *why)
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

void node_down_views(struct node *node)
{
    views_stop(&node->views);
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
    node_raise_file_limit();
    enum err err = node_up_ident(&side->node, why);
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
    node_down_ident(&side->node);
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
