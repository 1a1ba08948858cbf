/* node_impl.h - what the parts of a node share (private to node*.c).
 *
 *   node.c         the parts in their order, services, changing sides
 *   node_ident.c   root document, certificates and keys of the start
 *   node_reload.c  the loop, its signals, and what comes with them: options,
 *                  renewed certificates, what is owed to the store, memory
 *   node_store.c   the lease, the store, its views, and the sides of a copy
 *   node_sync.c    who is whose child, and replication
 *
 * Threads: what has none named is the loop's. */
#ifndef NODE_IMPL_H
#define NODE_IMPL_H

#include <stdatomic.h>

#include <uv.h>

#include "api/api.h"
#include "base/loop.h"
#include "base/rest.h"
#include "base/ticker.h"
#include "ident/rootchain.h"
#include "ingest/exchange.h"
#include "ingest/inbox.h"
#include "node.h"
#include "node_tls.h"
#include "store/lease.h"
#include "store/views.h"

enum { PATH_LEN = 4096 };

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
    bool stopping;    /* loop thread: a signal came */
    bool ready;       /* loop thread: every part is up */
    bool reload_owed; /* loop thread: SIGHUP came while they were not */
    struct rest rest; /* loop thread */
    struct ticker *resting;
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

/* ---- node.c ---- */

/* As many descriptors as the machine lets us have: each child is one. */
void node_raise_file_limit(void);

/* ---- node_ident.c ---- */

MUST_USE enum err node_up_ident(struct node *node, struct errmsg *why);
void node_down_ident(struct node *node);
/* A path of PATH_LEN bytes in data.dir. */
MUST_USE enum err node_path(const struct node *node, const char *name,
                            char *out, struct errmsg *why);
/* From the files of the configuration, for who this node is by it. */
MUST_USE enum err node_load_identity(const struct node *node, enum cert_use use,
                                     struct identity *out, struct errmsg *why);
/* The file of revocations; NULL: none. */
const char *node_revoked(const struct node *node);
/* Any thread; waits for the store. Owed until it is done. */
void node_judge_again(void *ctx);

/* ---- node_reload.c ---- */

MUST_USE enum err node_up_loop(struct node *node, struct errmsg *why);
void node_down_loop(struct node *node);
/* A start is over: gives back what it took, and from now on what else is not
 * used by a node at rest. */
void node_rest(struct node *node);
/* Takes over what may change while it runs; SIGHUP. */
void node_reload(struct node *node);
/* Any thread. What the store could not take in is tried again, later. */
void node_owe(struct node *node);
/* Of node->owed. */
void node_settle_owed(void *ctx);
/* Of several processes: looks at what another one leaves in their folder,
 * again and again. */
void node_look_begin(struct node *node);

/* ---- node_store.c ---- */

MUST_USE enum err node_up_lease(struct node *node, struct errmsg *why);
void node_down_lease(struct node *node);
MUST_USE enum err node_up_store(struct node *node, struct errmsg *why);
void node_down_store(struct node *node);
MUST_USE enum err node_up_views(struct node *node, struct errmsg *why);
void node_down_views(struct node *node);
/* Of store.cache, what answers that are given again may take; the rest is the
 * store's. */
size_t node_answers_bytes(const struct conf *conf);
/* The server of a section. Strings stay the configuration's. */
struct store_mariadb_conf node_server_conf(const struct conf_server *s);

/* ---- node_sync.c ---- */

MUST_USE enum err node_up_sync(struct node *node, struct errmsg *why);
void node_down_sync(struct node *node);
/* Any thread. Who may call is another question now, also of calls that are
 * open. */
void node_recheck(void *ctx);

#endif
