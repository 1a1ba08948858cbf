/* api.h - what a node answers: queries and entry for apps over gRPC, commands
 * for operators over the local socket.
 *
 * Deny is the default: an app or operator may do what the entry of its key in
 * the configuration allows, another node nothing. Natural persons are never
 * answered over gRPC.
 *
 * Threads: any; struct api_env is immutable while served, but for conf. */
#ifndef API_API_H
#define API_API_H

#include "api/admin.h"
#include "conf/conf.h"
#include "health/health.h"
#include "ingest/exchange.h"
#include "rpc/rpc.h"
#include "store/lease.h"
#include "store/views.h"
#include "sync/sync.h"

struct answers;
struct effects_desk;
struct entered;

/* Borrowed, outlive the services. */
struct api_env {
    /* A reload puts another one here; none is freed while served. */
    _Atomic(const struct conf *) conf;
    struct store *store;
    struct views *views;       /* NULL: on another backend */
    struct exchange *exchange; /* NULL: none */
    struct keyring *keyring;
    struct sync_env *sync;
    struct rootchain *roots;
    struct lease *lease;   /* NULL: the only process of the node */
    bool writes;           /* false: this process stands by */
    struct uplink *uplink; /* NULL at the top, and beside who writes */
    struct downlink *downlink;
    struct feed *feed;
    struct follow *follow; /* NULL at the top */
    struct rpc *rpc;
    const struct rpc_tls *tls;
    struct import_env *import;
    struct answers *answers; /* NULL: none are kept */
    /* Answers of Submit: those of one commit are given by one worker, instead
     * of one being woken for each. */
    struct strand *receipts;
    struct effects_desk *effects; /* uses `receipts` */
    struct entered *entered;      /* NULL: what enters is not told */
    struct principal self;
    int64_t started_ms;                /* wall clock */
    _Atomic int64_t sign_not_after_ms; /* of the certificates in use */
    _Atomic int64_t seal_not_after_ms;
    const char *version;
    const struct log_ctx *log;
};

/* creditnode.query.v1.Query and creditnode.ingest.v1.Ingest, for
 * rpc_listen(). `methods` has room for API_METHODS. */
enum { API_METHODS = 5 };
void api_methods(struct api_env *env, struct rpc_method *methods);
/* Answers of Query/Subject that are given again while they are true, at most
 * `bytes_max` of them; for env->answers. The store outlives them. */
struct answers *answers_new(struct store *store, size_t bytes_max);
/* After the server was closed. NULL is allowed. */
void answers_free(struct answers **answers);

/* Checks that wait for the commit of their hits: each is answered within
 * `wait_ms`. For env->effects; `env` outlives it. */
struct effects_desk *effects_desk_new(struct api_env *env, uint32_t wait_ms);
/* Loop thread, after the server was closed: waits for the commits under way,
 * which the store answers, also while it closes. NULL is allowed. */
void effects_desk_free(struct effects_desk **desk);

/* Log lines of what apps enter, a second after it at most; for env->entered. */
struct entered *entered_new(struct loop *loop, const struct log_ctx *log);
/* Loop thread, after the last call was answered. NULL is allowed. */
void entered_free(struct entered **entered);

/* Commands for admin_open(); ctx is the struct api_env. */
extern const struct admin_command api_commands[];
extern const size_t api_commands_count;

#endif
