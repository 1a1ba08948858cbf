/* sync.h - replication: this node's logs to its parent, its children's to it.
 *
 * One rule (docs/protocol.md): the receiver says what it has, the sender
 * proves consistency from there and sends what is missing. Pure machines
 * decide (link.h, send.h, recv.h: no I/O, no clock, no threads); uplink.c and
 * downlink.c carry out. Nothing but the logs themselves is kept anywhere, so
 * no position can be wrong.
 *
 * Threads: any, unless it says otherwise. */
#ifndef SYNC_SYNC_H
#define SYNC_SYNC_H

#include "rpc/rpc.h"
#include "store/keyring.h"
#include "store/store.h"

/* What both directions share; all borrowed, all outlive them. */
struct rootchain;
struct roster;
struct sync_env {
    struct store *store;
    struct rpc *rpc;
    struct loop *loop;
    struct trust *trust;
    struct keyring *keyring; /* NULL: persons are not handled */
    /* NULL without keyring. Another one is put here when it was renewed; none
     * is freed before the end. */
    _Atomic(const struct identity *) sealing;
    _Atomic(const struct identity *) signer; /* the same way */
    struct principal self;
    struct rootchain *roots;
    struct fresh *fresh;       /* how old the lists are */
    struct roster *roster;     /* who is shut out; NULL: nobody */
    struct receipts *receipts; /* who holds them; NULL: nobody keeps account */
    const char *version;       /* of the program */
    const char *set_aside;     /* folder for packages that a restore undoes */
    struct ancestry *ancestry;
    const struct log_ctx *log;
    /* True if records of `origin` may come from child `peer`: it is the peer
     * or lies below it. */
    bool (*entitled)(void *ctx, uint64_t origin, uint64_t peer);
    /* True if `peer` is a child of this node. */
    bool (*is_child)(void *ctx, const struct principal *peer);
    /* Directives about nodes changed who may call: open calls are to be looked
     * at again (…_recheck()). Once more two seconds later, for those whose
     * other side does not read how they ended. A worker. */
    void (*roster_changed)(void *ctx);
    /* Told which logs are known to have got further above; may be NULL. Hands
     * them to downlink_above_changed(). Any thread, must not block. */
    void (*above_changed)(void *ctx, const struct log_id *logs, size_t n);
    /* Told of a child's segment that was verified, before it is committed;
     * may be NULL. Hands it to uplink_forward(). Any thread, must not block. */
    void (*verified)(void *ctx, const struct segment *segment);
    /* Told of a log of a node below of which a tier above is known to hold
     * more than this node; may be NULL. Hands it to uplink_fetch(). Any thread,
     * must not block. */
    void (*more_above)(void *ctx, const struct log_id *log);
    /* Has this node's parent said all that it has, on the connection that
     * stands? True if there is no parent; may be NULL. Asks uplink_told(). Any
     * thread, must not block. */
    bool (*told_above)(void *ctx);
    void *ctx;
};

/* Sealing certificates of this node's ancestors, nearest first, as learnt
 * from the parent; handed on to children. Takes its own lock. */
struct ancestry;
struct ancestry *ancestry_new(void);
void ancestry_free(struct ancestry **ancestry);

/* Which nodes are shut out and whose child a node is, by the directives in
 * force. */
struct roster *roster_new(const struct sync_env *env);
/* Follows the store from now on: what roster_changed needs is there. After
 * roster_stop() it is not called any more. */
void roster_watch(struct roster *roster);
void roster_stop(struct roster *roster);
void roster_free(struct roster **roster);
/* Has a directive moved the node to another parent? */
bool roster_parent(struct roster *roster, uint64_t code, uint64_t *parent);
/* Calls of revoked nodes, or to them, that were refused or ended since start.
 */
uint64_t roster_refused(struct roster *roster);
/* The decisions that hold, by node. `fn` must not block; false ends it. */
typedef bool roster_fn(void *ctx, const struct store_node *decision);
void roster_each(struct roster *roster, roster_fn *fn, void *ctx);

/* ---- up ---- */

struct uplink_conf {
    const char *parent;     /* host:port */
    uint64_t parent_code;   /* the server must be this node */
    uint32_t segment_bytes; /* of one message, ≤ 1 MiB */
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    uint32_t dialing_ms;  /* until the parent takes the call */
    uint32_t greeting_ms; /* until its Hello and Have */
    uint32_t silence_ms;  /* without a message while something is owed */
};

enum uplink_state {
    UPLINK_IDLE,
    UPLINK_DIALING,
    UPLINK_GREETING,
    UPLINK_STREAMING,
    UPLINK_WAITING,
    UPLINK_STATES
};
const char *uplink_state_name(enum uplink_state state);

/* How a log's replication on this connection began. */
enum catch_up { CATCH_NONE, CATCH_FULL, CATCH_INCREMENTAL, CATCH_RESUMED };
const char *catch_up_name(enum catch_up kind);

struct uplink_status {
    enum uplink_state state;
    int64_t since_ms; /* wall clock of the last change of state */
    uint64_t parent_code;
    char peer[264];          /* address in use */
    char error[256];         /* of the last failure, "" if none */
    int64_t retry_at_ms;     /* WAITING */
    uint64_t behind_entries; /* held here, not yet acknowledged */
    uint64_t behind_logs;
    uint64_t stopped_logs;
    uint64_t in_flight_bytes;
    uint64_t sent_entries; /* since start */
    uint64_t sent_bytes;
    uint64_t full, incremental, resumed; /* logs begun so, since start */
    uint64_t restored; /* logs that came back whole, since start */
    uint64_t forked;   /* copies that the parent's contradicted, since start */
    /* The parent's clock minus this one, both as of now. While connected. */
    int64_t clock_skew_ms;
    /* Logs that the parent takes no more of, and lacks some of. Logs of nodes
     * that are not below this one any more, or revoked, do not count. */
    uint64_t stuck_logs;
    int64_t stuck_for_ms;    /* the longest */
    struct log_id stuck_log; /* one of them, and what was said of it */
    char stuck_why[160];
};

struct uplink;
/* Loop thread, or before the loop runs. */
MUST_USE enum err uplink_start(struct uplink **out, const struct sync_env *env,
                               const struct rpc_tls *tls,
                               const struct uplink_conf *conf,
                               struct errmsg *why);
/* Loop thread. Ends the stream and waits for its callbacks. NULL allowed. */
void uplink_stop(struct uplink **uplink);
/* New certificates or parent address: connect anew. */
void uplink_reconnect(struct uplink *uplink);
/* After trust_reload() or roster_changed: lets go of a parent that was
 * revoked. */
void uplink_recheck(struct uplink *uplink);
/* A version of the root document was added: the parent gets it. Any thread,
 * does not block. */
void uplink_root_changed(struct uplink *uplink);
void uplink_status(struct uplink *uplink, struct uplink_status *out);
/* Sends a verified segment on without waiting for its commit here, if the
 * parent expects just that; else it goes when it is committed. Nothing is
 * acknowledged by it. Any thread, does not block. */
void uplink_forward(struct uplink *uplink, const struct segment *segment);
/* Gets what the parent holds of a log of a node below and this node does not.
 * Any thread, does not block; if it cannot be got now, it is asked for again
 * with the next connection. */
void uplink_fetch(struct uplink *uplink, const struct log_id *log);
/* Has the parent said all that it has, on the connection that stands? Any
 * thread. */
bool uplink_told(struct uplink *uplink);

/* ---- from children ---- */

struct downlink_conf {
    uint64_t window_bytes;  /* unacknowledged, a child */
    uint32_t logs_max;      /* a child */
    uint32_t ack_relay_ms;  /* at most one relayed Ack a log in this time */
    uint32_t full_retry_ms; /* told to a child whose entries find no space */
};

struct child_status {
    struct principal peer;
    char address[64];
    bool connected;
    int64_t since_ms;
    int64_t last_message_ms;
    int64_t clock_skew_ms; /* child's clock minus ours, both as of now */
    int64_t silent_ms;     /* since when nothing was heard of it; 0: it is
                              connected and was greeted */
    uint64_t logs;
    uint64_t received_entries;
    uint64_t refused; /* segments refused by name */
    char last_refusal[256];
    char version[32];
};

struct downlink;
MUST_USE enum err downlink_new(struct downlink **out,
                               const struct sync_env *env,
                               const struct downlink_conf *conf);
/* Methods for rpc_listen(); valid while the downlink is. */
const struct rpc_method *downlink_methods(struct downlink *downlink,
                                          size_t *count);
/* Ends the children's streams in order, so that closing the server need not
 * wait for them. They come back to whoever listens then. */
void downlink_hang_up(struct downlink *downlink);
/* After the server was closed. */
void downlink_free(struct downlink **downlink);
typedef bool downlink_child_fn(void *ctx, const struct child_status *child);
void downlink_children(struct downlink *downlink, downlink_child_fn *fn,
                       void *ctx);
/* Children of which nothing was heard for `ms` and more: of those seen since
 * the start, and of those whose logs are here, whose silence began with the
 * start. Not those that were moved away or shut out since. */
typedef void downlink_silent_fn(void *ctx, uint64_t code, int64_t for_ms);
void downlink_silent(struct downlink *downlink, int64_t ms,
                     downlink_silent_fn *fn, void *ctx);
/* The uplink's acknowledgements, handed on to the children concerned. */
void downlink_above_changed(struct downlink *downlink,
                            const struct log_id *logs, size_t n);
/* This node's sealing certificate was renewed: the children get it. */
void downlink_greet_again(struct downlink *downlink);
/* A version of the root document was added: the children get it. */
void downlink_root_changed(struct downlink *downlink);
/* After trust_reload() or roster_changed: ends the streams of those that are no
 * children any more, by name. */
void downlink_recheck(struct downlink *downlink);

struct rpc_channel *uplink_channel(struct uplink *uplink);

/* ---- directives: down ---- */

/* When a newer signed head of each directives log came last: an issuer renews
 * it every period, so that whoever holds the log knows that nothing is
 * withheld. In memory only: after a start nothing is fresh. `self`: what this
 * node issues is fresh by itself; 0 beside the process that writes, where it is
 * as fresh as the last look at what that has written. */
struct fresh *fresh_new(uint64_t self, uint32_t period_ms);
void fresh_free(struct fresh **fresh);
enum fresh_state {
    FRESH_YES,
    FRESH_STALE, /* none came for three periods, or none since the start; or
                    what came is signed more than three periods ago */
    FRESH_CLOCK, /* they keep coming, for a period at least and never more than
                    three apart on either clock, but by the clock here they are
                    old or of tomorrow: freshness is unproven */
};
const char *fresh_state_name(enum fresh_state state);
struct freshness {
    enum fresh_state state;
    int64_t signed_ms; /* by the issuer's clock; 0: none came */
    int64_t age_ms;    /* since it came, by this node's monotonic clock */
};
/* What this node issues itself is always fresh, as far as it knows what that is
 * (feed_lost(), store_up_to_date()), and so is a log that has ended (its
 * successor is signed instead). */
void fresh_judge(struct fresh *fresh, const struct log_id *log, bool ended,
                 struct freshness *out);

/* Of several processes: the one that writes tells the others which heads came
 * when, at most once a period; they take them for as new, or a little older, if
 * they hold what those heads cover. */
struct fresh_share;
struct lease;
/* Loop thread, as the stop. */
struct fresh_share *fresh_share_start(const struct sync_env *env,
                                      struct lease *lease, bool writes,
                                      uint32_t period_ms);
/* NULL is allowed. */
void fresh_share_stop(struct fresh_share **share);

/* Serves Subscribe to children. Own heads are signed anew in every period. An
 * issuer without a directives log opens its first one `first_log_ms` from now
 * or later (0: never), if neither its parent nor a child knows that it had one.
 */
struct feed;
struct feed *feed_new(const struct sync_env *env, uint32_t period_ms,
                      size_t window_bytes, uint32_t first_log_ms);
const struct rpc_method *feed_method(struct feed *feed);
/* As downlink_hang_up() and downlink_free(). */
void feed_hang_up(struct feed *feed);
void feed_free(struct feed **feed);
/* A newer head came from above, without entries: the children get it. Any
 * thread, does not block. */
void feed_head_came(struct feed *feed);
/* Verified entries came from above and are about to be committed here, where
 * `held` of the log are: the children that expect just these get them now. Any
 * thread, does not block. */
void feed_forward(struct feed *feed, const struct segment *segment,
                  uint64_t held);
/* As downlink_recheck(). */
void feed_recheck(struct feed *feed);
/* What one child holds of one log. */
struct feed_status {
    struct principal peer;
    struct log_id log;
    uint64_t size;
    bool stopped;
};
typedef bool feed_status_fn(void *ctx, const struct feed_status *status);
void feed_children(struct feed *feed, feed_status_fn *fn, void *ctx);

/* Has a child said that it holds more of a log of lists of this node's own than
 * is here by now? One of those who have. Until it is back what was decided is
 * not known here. NULL: no. Any thread. */
bool feed_lost(struct feed *feed, uint64_t *child);

/* ---- receipts: who holds which directives ---- */

/* What this node and those below it hold durably: each node signs for itself
 * and for what its children have signed to it. Kept in the file `path`, so that
 * what was said once is known after a start; it need not be there. What a node
 * holds is known to all above it within moments. */
struct receipts;
struct receipts *receipts_new(const struct sync_env *env, const char *path);
/* Loop thread, after feed and follow. NULL allowed. */
void receipts_free(struct receipts **receipts);

struct receipts_sum {
    uint64_t held;      /* entries of the log that are durable here */
    uint64_t nodes;     /* heard of in this node's subtree, this one counted */
    uint64_t reached;   /* of these hold the entry */
    uint64_t named;     /* of those that do not, were named */
    uint64_t revoked;   /* of the named are shut out, and not expected to */
    uint64_t disagrees; /* children whose receipt contradicts the log */
};
struct receipts_node {
    uint64_t code;
    uint64_t size;    /* what it holds */
    int64_t heard_ms; /* of it, wall clock of its parent */
    uint64_t nodes;   /* it and those below that hold as much */
    bool child;       /* of this node */
    bool here;        /* a child that is connected now */
    bool disagrees;   /* a child: `size` is 0 as what it says is not so */
    bool revoked;     /* itself; those below it are not */
};
typedef void receipts_node_fn(void *ctx, const struct receipts_node *node);
/* Who holds entry `number` of `log`, and, told to `fn`, who does not: of the
 * subtree of each child the first hundred. ERR_NOT_FOUND: no such log here. */
MUST_USE enum err receipts_judge(struct receipts *receipts,
                                 const struct log_id *log, uint64_t number,
                                 receipts_node_fn *fn, void *ctx,
                                 struct receipts_sum *out);
/* Children whose receipts contradict this node's logs. */
uint64_t receipts_disagree(struct receipts *receipts);

/* Follows the parent's feed. */
struct follow;
struct follow_conf {
    uint64_t parent_code;
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    uint32_t dialing_ms; /* as in struct uplink_conf */
    uint32_t greeting_ms;
};
struct follow_status {
    enum uplink_state state;
    int64_t since_ms;
    char error[256];
    uint64_t received_entries;
    uint64_t refused;
    char last_refusal[256];
    /* The parent's signed head of a log is older than what is held here. */
    bool behind;
};
/* `channel` outlives it; `feed` may be NULL. Loop thread, or before it runs. */
struct follow *follow_start(const struct sync_env *env,
                            struct rpc_channel *channel, struct feed *feed,
                            const struct follow_conf *conf);
void follow_stop(struct follow **follow);
/* New certificates: connect anew. */
void follow_reconnect(struct follow *follow);
void follow_status(struct follow *follow, struct follow_status *out);

/* ---- comparing two copies ---- */

struct verify_result {
    struct log_id log;
    uint64_t here; /* sizes */
    uint64_t there;
    bool equal;                /* equal up to min(here, there) */
    uint64_t first_difference; /* number; 0 if none */
    char text[160];
};
/* False: no further log is compared, ERR_CANCELLED. */
typedef bool verify_fn(void *ctx, const struct verify_result *result);
/* Proves this node's copy of each log (or of `only`) equal to that of the node
 * behind `channel` by roots; finds the first differing entry by bisection.
 * Blocks; not on a worker of rpc_pool(). */
MUST_USE enum err sync_verify(const struct sync_env *env,
                              struct rpc_channel *channel,
                              const struct log_id *only, verify_fn *fn,
                              void *ctx, struct errmsg *why);
/* The same against the newest head that the log's origin signed, as far as this
 * node has heard (`there`); asks nobody. `first_difference` stays 0: a root
 * names no entry. */
MUST_USE enum err sync_verify_origin(const struct sync_env *env,
                                     const struct log_id *only, verify_fn *fn,
                                     void *ctx, struct errmsg *why);

#endif
