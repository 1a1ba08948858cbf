/* send.h - what a sender knows of each log and what goes next (private).
 *
 * Per log: what is held here, what the parent has (unknown until its page
 * came), what was sent and what it acknowledged. Logs with little left go
 * before logs with much, each kind in turn; a turn is one segment. The bytes
 * in flight are bounded by the window the parent announced, and by what the
 * line carries (flow.h).
 *
 * A lone entry leaves at once; while a log flows, its small segments keep a
 * pace, because each message costs a proof, a signature and a commit at every
 * tier, whatever it holds.
 *
 * Pure: no I/O, no trees, and the clock is the caller's (send_at()). One small
 * struct a log. Threads: the caller's lock. */
#ifndef SYNC_SEND_H
#define SYNC_SEND_H

#include "sync/flow.h"
#include "sync/logmap.h"
#include "sync/sync.h"

enum send_state {
    SEND_UNKNOWN, /* the parent has not said what it has */
    SEND_LIVE,    /* what is missing there is sent */
    SEND_AHEAD,   /* the parent holds more: nothing to send, no fault */
    SEND_STOPPED, /* goes no further on this connection */
};

/* The caller's finding about the parent's (size, root). */
enum send_verdict {
    SEND_NOTHING, /* it has none of it */
    SEND_PREFIX,  /* size ≤ ours, and the root is ours at that size */
    SEND_MORE,    /* size > ours */
    SEND_REFUSED, /* the copies differ, or it wants none */
};

enum send_queue { QUEUE_NONE, QUEUE_TAIL, QUEUE_BULK, QUEUE_PACED, QUEUES };

struct send_log {
    struct log_id log;   /* first: see logmap.h */
    uint64_t held;       /* committed here */
    uint64_t acked;      /* durable at the parent */
    uint64_t there;      /* what the parent said on this connection */
    uint64_t sent;       /* past `held` if forwarded before its commit */
    uint64_t in_flight;  /* bytes of acked + 1 … sent */
    uint64_t full_goal;  /* size at which an unfinished full copy ends */
    uint64_t want_first; /* to be sent again; 0: nothing */
    uint64_t want_last;
    uint64_t note_size;   /* the checkpoint last sent on this connection … */
    int64_t note_at_ms;   /* … is told by its size and time */
    uint64_t chain_print; /* of the chain last sent, 0: none */
    int64_t head_at_ms;   /* when the newest head here was signed … */
    int64_t told_at_ms;  /* … and what a Have said of the parent's; 0: none */
    int64_t sent_at_ms;  /* of the last segment; 0: none */
    int64_t stuck_at_ms; /* it stopped then and has not got on; 0: it does */
    struct send_log *next;
    uint32_t era;  /* how often its end here or above was told anew */
    uint8_t state; /* enum send_state */
    uint8_t queue; /* enum send_queue */
    bool barred;   /* forked here: never sent again */
    bool heard_of; /* by the parent only: nothing of it was here */
};

/* Logs that only the parent named: it may name as many as it likes. */
enum { SEND_HEARD_MAX = 4096 };

struct send_queue_ends {
    struct send_log *first;
    struct send_log *last;
};

struct send {
    struct logmap logs;
    struct send_queue_ends queue[QUEUES];
    struct flow flow;
    uint64_t in_flight;
    uint32_t segment_bytes; /* at most; less on a slow line */
    uint32_t pace_ms;
    int64_t now_ms;
    unsigned tail_turns; /* in a row while bulk waits */
    size_t heard;        /* logs that are `heard_of` */
};

/* `pace_ms`: between small segments of one log; 0: as they come. */
void send_init(struct send *send, uint32_t segment_bytes, uint32_t pace_ms);
void send_fini(struct send *send);
/* A connection ended or begins: nothing is known of the parent's side, except
 * which full copies were begun. */
void send_reset(struct send *send, uint64_t window);

/* Tells the time, by a clock that does not go back; what was paced is due. */
void send_at(struct send *send, int64_t now_ms);
/* When a paced segment may go; 0: none waits. */
int64_t send_due_ms(const struct send *send);

/* The log holds `size` entries here; makes it known when it is new. With
 * `all_told` (the parent's last page came) a log it did not name is not
 * there. */
void send_grew(struct send *send, const struct log_id *log, uint64_t size,
               bool all_told);
/* The newest head here and the one that the parent said it keeps (0: it did
 * not say) were signed then. Where a newer one, of the same size, is all that
 * the parent lacks, the last entry goes again to bring it: its origin may have
 * a new certificate, and under the old one nobody takes a copy any more. */
void send_signed(struct send *send, const struct log_id *log, int64_t here_ms,
                 int64_t there_ms);
/* How the log begins. CATCH_NONE: nothing is missing or nothing is sent. */
enum catch_up send_have(struct send *send, const struct log_id *log,
                        enum send_verdict verdict, uint64_t size);
/* The parent holds `size` entries of a log that is not here: what comes of it
 * later is sent from there on. Past SEND_HEARD_MAX of them it is forgotten.
 * False, and nothing noted: it came meanwhile, and can be compared. */
bool send_named(struct send *send, const struct log_id *log, uint64_t size);
/* True once, when such a log has come to be here. */
bool send_arrived(struct send *send, const struct log_id *log);
/* `size` may be past what this connection sent: an older one's entries were
 * under way. `held_ms`: of that time the last entries waited at the parent.
 * What is past what is held here and within what the parent said it has means
 * nothing: the log is coming back. False if the log is unknown or neither had
 * so many entries. */
MUST_USE bool send_acked(struct send *send, const struct log_id *log,
                         uint64_t size, uint32_t held_ms);
void send_stop(struct send *send, const struct log_id *log);
/* An own log was restored and holds `size` entries now, perhaps fewer than
 * before. `again`: it is sent on if it had stopped. */
void send_restored(struct send *send, const struct log_id *log, uint64_t size,
                   bool again);
/* The log forked: it stays stopped, on later connections too. */
void send_bar(struct send *send, const struct log_id *log);
void send_want(struct send *send, const struct log_id *log, uint64_t first,
               uint64_t last);

struct send_job {
    struct log_id log;
    uint64_t from;
    uint64_t last; /* not past this */
    size_t max_bytes;
    uint32_t era; /* of the log */
};
/* What to send now; false: nothing, or the window is full. The log keeps its
 * turn until send_sent(), send_unreadable() or send_stop(). */
MUST_USE bool send_next(struct send *send, struct send_job *job);
/* Entries up to `last` went out in `bytes`. */
void send_sent(struct send *send, const struct send_job *job, uint64_t last,
               size_t bytes);

/* The job's entries cannot be read: the log stops. False if it was restored
 * meanwhile: what was read is of the past, and the log goes on. */
MUST_USE bool send_unreadable(struct send *send, const struct send_job *job);

/* Entries `first` to `last`, verified and on their way into the store here,
 * are about to go out in `bytes`. False, and nothing booked: the parent does
 * not expect just these, or the line has no room for them; they are sent when
 * they are committed. */
MUST_USE bool send_forward(struct send *send, const struct log_id *log,
                           uint64_t first, uint64_t last, size_t bytes);

struct send_log *send_find(const struct send *send, const struct log_id *log);

struct send_totals {
    uint64_t behind_entries;
    uint64_t behind_logs;
    uint64_t stopped_logs;
};
void send_totals(const struct send *send, struct send_totals *out);

/* Logs that stopped, also on earlier connections, have not got on since, and
 * hold what the parent lacks; those that are forked here excepted. */
typedef void send_stuck_fn(void *ctx, const struct log_id *log,
                           int64_t since_ms);
void send_stuck(const struct send *send, send_stuck_fn *fn, void *ctx);

#endif
