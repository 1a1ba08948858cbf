/* downlink_impl.h - what the parts of the downlink share (private to sync).
 *
 *   downlink.c        children, their streams, Hello and Have
 *   downlink_hold.c   what is above is heard before a child is told
 *   inflow.c          segments of one stream: verify, append, acknowledge
 *   serve.c           the methods Root and Fetch
 *
 * Threads: a stream's callbacks come one at a time, small segments on the
 * poller; commits come back on the writer thread and only mark what is to be
 * said; the poller says it, and the inflow's strand what is not an Ack.
 * Locks nest: downlink.lock or inflow.pages_lock, then inflow.lock. */
#ifndef SYNC_DOWNLINK_IMPL_H
#define SYNC_DOWNLINK_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/ticker.h"
#include "sync/flow.h"
#include "sync/hello.h"
#include "sync/logmap.h"
#include "sync/recv.h"
#include "sync/roots.h"

/* One log of one stream. */
struct in_log {
    struct log_id log;     /* first: see logmap.h */
    struct recv_log *recv; /* stream callbacks only; NULL: not loaded */
    uint64_t used;         /* the same; for dropping what is idle */
    bool stopped;          /* the same */
    /* inflow.lock */
    unsigned pending;   /* segments under way to the store */
    uint64_t durable;   /* 0: not known here */
    uint32_t held_ms;   /* the last of it waited for the store; 0: none */
    bool due;           /* in the list of what to acknowledge */
    bool relay_due;     /* news from above wait for the timer */
    int64_t relayed_ms; /* when such news were sent last */
    struct in_log *next_due;
};

/* A segment that was verified on the poller and is still to be appended. */
struct in_rest {
    struct in_log *log;
    struct segment *segment;
    size_t bytes;
};

/* One Replicate stream; owned by the stream and by each segment and job under
 * way. */
struct inflow {
    struct downlink *down;
    struct child *child;
    struct principal peer;
    struct strand *strand;
    _Atomic uint64_t generation; /* of the trust that the peer passed */
    /* Stream callbacks only. */
    struct recv *recv;
    bool greeted;
    bool refused;           /* the stream is ending: the rest is dropped */
    struct roots roots;     /* `has`: lock */
    size_t loaded;          /* logs with `recv` */
    uint64_t clock;         /* counts segments */
    struct store_head head; /* of the segment's log */
    struct in_rest rest;
    struct flow_taken taken;
    /* While its pages are not begun, whoever is to begin them. */
    int64_t held_ms;  /* monotonic: since when they wait for tiers above */
    int64_t asked_ms; /* when these were asked last */
    /* downlink.lock */
    bool waits; /* with its pages for older streams */
    bool holds; /* with its pages for tiers above: to be looked at again */
    /* pages_lock */
    pthread_mutex_t pages_lock;
    bool paging;            /* Have pages are still to be sent */
    struct log_id paged_to; /* last log of the last page */
    /* lock */
    pthread_mutex_t lock;
    pthread_cond_t progress;
    unsigned refs;
    struct rpc_stream *stream; /* NULL behind its closed callback */
    struct logmap logs;
    bool paged;   /* a first page was begun: Acks may go */
    size_t held;  /* of the child's logs, stored when it was told of them */
    size_t fresh; /* named since, and not stored then */
    uint64_t pending_bytes;
    struct in_log *due_first;
    struct in_log **due_last;
    bool flush_queued; /* `errand` or a job on the strand is on its way */
    struct rpc_errand errand;
    bool relays_wait; /* some log has relay_due */
    bool flushing;    /* the stream is in use outside its callbacks */
    enum err failed;  /* the first commit that failed: the stream ends */
    char failure[WIRE_TEXT_MAX];
    struct in_log *stop_log; /* forked by a commit: to be said */
};

struct fetch; /* serve.c */

/* What a child is put off for. */
enum wait_kind {
    WAIT_HEAR, /* this node's parent says what it has */
    WAIT_MORE, /* entries that a tier above is known to hold come back */
    WAIT_KINDS,
};

/* How long it was, of the last hour; monotonic. */
struct waited {
    int64_t since_ms; /* the hour began; 0: never */
    int64_t last_ms;
    int64_t spent_ms;
};

/* A child as it was seen since start. */
struct child {
    struct child *next;
    /* downlink.lock */
    struct child_status status; /* but for what is told as of now */
    struct inflow *inflow;      /* NULL: not connected */
    unsigned inflows;           /* that are not gone yet; this is the newest */
    bool greeted;               /* by it, and taken */
    int64_t heard_ms;           /* monotonic; first: it came to this node */
    int64_t ahead_ms;           /* hello_ahead_ms(); 0: not greeted yet */
    struct waited waited[WAIT_KINDS];
};

struct downlink {
    const struct sync_env *env;
    struct downlink_conf conf;
    struct rpc_method methods[3];
    struct ticker *ticker;
    struct ticker *recheck; /* are all who call still welcome? */
    struct ticker *hold;    /* may those who wait be told now? */
    int64_t since_ms;       /* monotonic: it can be connected to */
    pthread_mutex_t lock;
    pthread_cond_t gone;
    struct child *children; /* lock; never removed */
    unsigned inflows;       /* lock */
    struct fetch *fetches;  /* lock; the open Fetch calls */
    int64_t ask_within_ms;  /* a Fetch that asks for nothing ends */
    /* At most, of an hour: who asks what there is of a log, who connects. */
    int64_t put_off_for_ms;
    int64_t hold_for_ms[WAIT_KINDS];
    int64_t hold_stream_ms; /* then the child comes again: it does not wait for
                             * its first page much longer */
};

/* downlink.c */
void downlink_refused(struct inflow *in, const char *text);
void downlink_received(struct inflow *in, uint64_t entries);
bool downlink_serves(struct downlink *down, const struct principal *peer,
                     const struct log_id *log);
/* Lock held. */
struct child *downlink_child(struct downlink *down,
                             const struct principal *peer);
void inflow_unref(struct inflow *in);

/* downlink_hold.c */
/* May this child be put off once more? So long of an hour: whoever above says
 * it holds more may never give it, or be away. */
bool downlink_put_off(struct downlink *down, const struct principal *peer,
                      enum wait_kind kind, int64_t at_most_ms);
/* The code of a tier above that is known to hold more of the log than this
 * node, which may still take it; 0: none. */
uint64_t downlink_more_above(struct store *store,
                             const struct store_head *head);
/* Is the child to be told later what there is, since tiers above hold, or may
 * hold, more? Then down->hold comes, or the stream ends. */
bool inflow_must_wait(struct inflow *in);
/* True: it was waiting, and is to be looked at again. */
bool inflow_waited(struct inflow *in);

/* inflow.c */
void inflow_segment(struct inflow *in, const struct wire_segment *segment,
                    size_t bytes);
/* The same on the poller, if it needs no disk; inflow_rest() does what is
 * left. */
enum rpc_at_once inflow_at_once(struct inflow *in,
                                const struct wire_segment *segment,
                                size_t bytes);
void inflow_rest(struct inflow *in);
void inflow_evidence(struct inflow *in, const struct wire_evidence *evidence);
/* Keeps the stream from going away meanwhile; on the strand, waits for the
 * poller, which holds it for an Ack only. False: it is gone. */
bool inflow_hold_stream(struct inflow *in);
void inflow_let_stream_go(struct inflow *in);
/* News from above for these logs; any thread. */
void inflow_above(struct inflow *in, const struct log_id *logs, size_t n);
/* The relay timer came: news that waited are due. */
void inflow_relay(struct inflow *in);
void inflow_fini(struct inflow *in);

/* serve.c */
void serve_root(void *ctx, struct rpc_call *call);
extern const struct rpc_stream_ops serve_fetch_ops;
/* Ends the Fetch calls of those that are no children any more, and those that
 * ask for nothing. */
void serve_fetch_recheck(struct downlink *down);

#endif
