/* feed_impl.h - what the parts of the feed share (private to sync).
 *
 *   feed.c        the streams of those who follow, and whose turn it is
 *   feed_held.c   what a child says that it holds, and its evidence
 *   feed_first.c  an issuer's first log
 *   feed_lost.c   logs of this node's own that children have more of
 *   feed_send.c   entries and heads for one child
 *   feed_forward.c entries for all children before this node's own commit
 *
 * Threads: what comes of a stream on its callbacks; what goes on the strand, or
 * with what came from above on whatever thread verified that. */
#ifndef SYNC_FEED_IMPL_H
#define SYNC_FEED_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/ticker.h"
#include "sync/flow.h"
#include "sync/recv.h"
#include "sync/source.h"
#include "sync/sync.h"

enum { FEED_SEGMENT_BYTES = 256 << 10 };

/* One log on one stream. */
struct told {
    struct told *next;
    struct log_id log;
    uint64_t sent;   /* entries up to this went out, committed here or not */
    uint64_t acked;  /* and these are durable there */
    uint64_t bytes;  /* of acked + 1 … sent */
    int64_t head_ms; /* signing time of the newest head that went */
    bool stopped;
    bool parted;    /* it holds another tree: it is to see all of this one */
    bool head_owed; /* it is to see this node's head, whatever went before */
};

struct reader_conn {
    struct reader_conn *next; /* feed.lock */
    struct feed *feed;
    struct principal peer;
    struct rpc_stream *stream; /* lock; NULL: closed */
    unsigned refs;             /* feed.lock */
    bool greeted;              /* callbacks only */
    bool refused;              /* callbacks only */
    pthread_mutex_t lock;      /* all below */
    bool told_all;             /* the last page of its Have came */
    bool waits;                /* not all went when it was last pumped */
    uint64_t in_flight;
    struct flow flow;
    struct told *logs;
};

/* A child named a log of this node's own, of which it has more. */
struct lost_log {
    struct lost_log *next;
    struct principal child;
    struct log_id log;
    uint64_t size;
};

struct feed {
    const struct sync_env *env;
    uint32_t period_ms;
    size_t window_bytes;
    uint32_t first_log_ms; /* 0: never */
    int64_t began_ms;      /* monotonic */
    bool was_lost;         /* strand: the store was, so none is a first log */
    struct rpc_method method;
    struct ticker *ticker;
    struct strand *strand;
    struct recv *recv; /* for evidence; recv_lock */
    pthread_mutex_t recv_lock;
    /* On the strand: the message made last, as children mostly need the same.
     */
    struct source source;
    struct buf message;
    struct log_id message_log;
    uint64_t message_from;
    size_t message_most; /* as large as it may be */
    uint64_t message_end;
    int64_t message_head_ms;
    uint64_t message_heads; /* how many heads had come when it was made */
    _Atomic uint64_t heads; /* that came from above */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t gone;
    struct reader_conn *conns;
    unsigned conns_n;
    unsigned jobs;
    bool queued; /* a job is on the strand and has not begun */
    bool stopping;
    struct lost_log *lost;
    _Atomic bool any_lost; /* changed under the lock */
};

/* ---- feed.c ---- */

/* Owned list of all streams, each with a reference. */
struct reader_conn **feed_conns(struct feed *feed, size_t *n);
void feed_conn_unref(struct reader_conn *conn);

/* ---- feed_forward.c ---- */

/* Does every child that follows have all that is committed of the log, and its
 * newest head? False also where that cannot be told without waiting. */
bool feed_is_sent(struct feed *feed, const struct store_head *head);

/* ---- feed_held.c ---- */

/* Is it a log of lists that counts here, and so below? */
bool feed_goes_down(const struct feed *feed, const struct log_id *log);
/* conn->lock held. NULL: nothing was said of it. */
struct told *feed_find_told(struct reader_conn *conn, const struct log_id *log);
/* conn->lock held. Finds or adds. */
struct told *feed_told_of(struct reader_conn *conn, const struct log_id *log);
/* Messages of the child; an error ends its stream. */
MUST_USE enum err feed_on_have(struct reader_conn *conn,
                               const struct wire_have *have,
                               struct errmsg *why);
void feed_on_ack(struct reader_conn *conn, const struct wire_ack *ack);
/* The same on the poller. False: not now, as who sends holds the lock and may
 * read a disk. `waits`: something for this child waited for room. */
MUST_USE bool feed_try_ack(struct reader_conn *conn, const struct wire_ack *ack,
                           bool *waits);
void feed_on_stop(struct reader_conn *conn, const struct wire_stop *stop);
MUST_USE enum err feed_on_evidence(struct reader_conn *conn,
                                   const struct wire_evidence *e,
                                   struct errmsg *why);
void feed_on_receipt(struct reader_conn *conn, const struct wire_receipt *m);

/* ---- feed_lost.c ---- */

/* The child says anew what it holds: what it said before is forgotten. */
void feed_lost_forget(struct feed *feed, uint64_t child);
void feed_lost_note(struct feed *feed, const struct principal *child,
                    const struct wire_log_have *have);
/* Forgets what those said who are no children any more. Blocks. */
void feed_lost_recheck(struct feed *feed);
void feed_lost_fini(struct feed *feed);

/* ---- feed_first.c ---- */

/* The strand, once in a period. Opens this issuer's first directives log, if
 * it is time and nobody knows of one that was lost. Blocks. */
void feed_open_first(struct feed *feed);

/* ---- feed_send.c ---- */

/* It is to see the newest head of the log here, whatever went before. */
void feed_send_head(struct reader_conn *conn, const struct log_id *log);
/* conn->lock held. Queues a whole message; false: not now. */
MUST_USE bool feed_send_bytes(struct reader_conn *conn, struct slice bytes);
/* conn->lock held. A segment of so many bytes, up to entry `end` and under a
 * head of that time, is on its way. */
void feed_note_sent(struct reader_conn *conn, struct told *t, uint64_t end,
                    size_t bytes, int64_t head_ms);
/* The strand. Some messages to this child of what it lacks. True: there is
 * more, once the others had theirs. */
bool feed_pump(struct reader_conn *conn);

#endif
