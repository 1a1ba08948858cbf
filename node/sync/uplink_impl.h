/* uplink_impl.h - what the parts of the uplink share (private to sync).
 *
 *   uplink.c          the connection: carries out what link.h decides
 *   uplink_receive.c  what the parent says: Hello, Have, Ack, Stop, Want
 *   uplink_pump.c     what goes up: fills the window with segments
 *   uplink_fork.c     what the parent is told of a forked log
 *   restore.c         an own log that was rolled back
 *
 * Threads: a connection's callbacks come one at a time; the pump runs on the
 * writer thread (one small segment) or on the strand, and a child's callback
 * takes its place to forward a segment; all meet under `lock`,
 * which is never held while the store is read or a message is sent. */
#ifndef SYNC_UPLINK_IMPL_H
#define SYNC_UPLINK_IMPL_H

#include <pthread.h>

#include "base/log.h"
#include "base/ticker.h"
#include "sync/again.h"
#include "sync/hello.h"
#include "sync/link.h"
#include "sync/recv.h"
#include "sync/restore.h"
#include "sync/roots.h"
#include "sync/send.h"
#include "sync/source.h"

/* One stream; lives until its closed callback and, if that comes while the
 * pump sends, until the pump has let go of it. */
struct conn {
    struct uplink *up;
    /* Only its callbacks use these. */
    bool greeted;           /* Hello came */
    struct log_id paged_to; /* last log of the last page */
    struct roots roots;     /* `has`: uplink.lock */
    /* uplink.lock */
    struct rpc_stream *stream;
    bool dialing;      /* whoever opens the stream still has it in hand */
    bool introduced;   /* Hello came, root documents that it lacks went */
    bool paged;        /* at least one Have came */
    bool all_told;     /* the last page came */
    bool blocked;      /* the stream's window is full */
    struct buf parked; /* the message that met it */
};

struct uplink {
    const struct sync_env *env;
    struct uplink_conf conf;
    const char *_Atomic target; /* address in use; the channel's */
    struct rpc_peer_check expect;
    struct rpc_channel *channel;
    struct ticker *ticker;
    struct ticker *retry;  /* offers stopped logs again */
    struct ticker *rewrap; /* looks for seal keys made since the greeting */
    struct ticker *pace;   /* paced segments are due */
    struct strand *strand;
    struct restore *restore;
    struct source source; /* the pump's */
    struct recv *recv;    /* for notes; connection callbacks only */

    struct again again; /* of `retry` */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t idle;
    bool stopping;
    struct link link;
    int64_t deadline_at_ms; /* monotonic; 0: none */
    struct conn *conn;      /* the current one, or NULL */
    unsigned conns;         /* not yet closed */
    unsigned jobs;          /* on the strand */
    unsigned acting;        /* events being acted on: the channel is in use */
    struct send send;
    bool pumping;
    bool pump_again;  /* something changed while it pumped */
    bool pump_queued; /* a job for it is on the strand */
    unsigned wraps;   /* made, and not yet in the keyring as appended */
    bool judge_again; /* somebody wanted to while there were any */
    enum tier parent_tier;
    uint8_t parent_fingerprint[32];
    int64_t ahead_ms;      /* hello_ahead_ms() of the parent's last */
    struct log_id stopped; /* the last log that stopped, and why */
    char stopped_why[160];
    struct uplink_status status; /* but for what is told as of now */
};

/* uplink.c */
/* Feeds an event that came by `conn` (NULL: by timer or by hand) and does what
 * is to be done; an event of an old connection is dropped. */
void uplink_feed(struct uplink *up, struct conn *conn,
                 const struct link_event *event);
/* The parent broke a rule: logs it and hangs up. */
void uplink_give_up(struct conn *conn, enum err err, const char *text);
/* A log was stopped: it is offered again by a new connection, in seconds and
 * then less and less often (again.h). */
void uplink_retry_later(struct uplink *up);
/* The same, but it was this node that could not: after RECHECK_MS. */
void uplink_retry_soon(struct uplink *up);
/* Runs `fn(ctx)` on the strand; uplink_stop() waits for it. False: stopping. */
bool uplink_run(struct uplink *up, pool_fn *fn, void *ctx);
void uplink_job_done(struct uplink *up);

/* uplink_fork.c */
/* This node's signed head of a log of which the parent's copy is another. */
void uplink_send_evidence(struct uplink *up, const struct log_id *log);
/* A log that is forked here, and what the parent has of it: of the two heads
 * goes the one that its copy contradicts, if there is one. */
void uplink_tell_fork(struct uplink *up, const struct store_head *head,
                      const struct wire_log_have *have);
/* The same for a log of which the parent acknowledged so many entries. */
void uplink_forked(struct uplink *up, const struct log_id *log, uint64_t acked);

/* uplink_receive.c */
/* What the parent lacks of the root document's versions goes to it. */
void uplink_send_roots(struct uplink *up);
void uplink_message(struct conn *conn, struct slice message);
/* The same on the poller, for what needs no disk. */
enum rpc_at_once uplink_at_once(struct conn *conn, struct slice message);
/* Judges anew which of the sealing chains that the parent named are those of
 * ancestors: persons' values are sealed for them, and this node's children
 * learn them too. Wraps the seal keys that one of them has not got yet; a new
 * period begins in the middle of a connection. */
void uplink_judge_ancestors(struct uplink *up);
/* The strand does it. False: stopping. */
bool uplink_judge_later(struct uplink *up);

/* uplink_pump.c */
/* Sends what may be sent; any thread. `turns` bounds the segments sent here,
 * the strand does the rest. */
void uplink_pump(struct uplink *up, unsigned turns);
/* The strand does it, if there is something to send. */
void uplink_pump_later(struct uplink *up);
/* The stream takes messages again. */
void uplink_drained(struct conn *conn);
/* The time of a paced segment has come; loop thread. */
void uplink_paced(void *ctx);
/* store_watch() calls it after each commit. */
void uplink_committed(void *ctx, const struct log_id *logs, size_t n);
/* restore.h calls it. */
void uplink_restored(void *ctx, const struct log_id *log, bool ended,
                     uint64_t above);
/* The parent holds that much of the log durably. What it knows of the tiers
 * above it follows in Acks of its own. */
void uplink_note_above(struct uplink *up, const struct log_id *log,
                       uint64_t size);

#endif
