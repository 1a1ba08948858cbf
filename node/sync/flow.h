/* flow.h - how many bytes a line is given at a time (private to sync).
 *
 * The other side announces how much it takes unacknowledged. Of that a fast
 * line gets all, and a slow one so much as it carries in some seconds: what
 * lies in its queues delays everything behind it, the pings too by which a
 * line that lives is told from one that is dead.
 *
 * One message at a time is timed, from when it was handed over until it and
 * all before it were acknowledged. Of that the other side says how long it
 * lay there, waiting for its store; the rest is the line's. Quicker than
 * expected: more may be under way, if that is what held it up. Slower: as much
 * as went in that time.
 *
 * Pure: no I/O, and the clock is the caller's. Threads: the caller's lock. */
#ifndef SYNC_FLOW_H
#define SYNC_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FLOW_LEAST = 32 << 10,        /* bytes under way on the slowest line */
    FLOW_FIRST = 64 << 10,        /* on one that is not known yet */
    FLOW_SEGMENT_LEAST = 8 << 10, /* of a message */
    FLOW_QUEUE_MS = 1000,         /* what a message may wait on its line … */
    FLOW_BASE_MS = 2000, /* … beside its way, which counts up to this */
    FLOW_BLINK_MS = 500, /* where all goes in so long, one message may be all */
};

/* All zero: a line that is not known yet and carries nothing. */
struct flow {
    uint64_t cap;    /* as announced */
    uint64_t window; /* as the line carries; 0: not known */
    uint64_t sent;   /* in all */
    uint64_t acked;
    uint64_t timed_to; /* the message that is timed ends there; 0: none */
    uint64_t acked_then;
    int64_t timed_at_ms;
    uint32_t base_ms; /* the shortest way that was seen */
    bool full;        /* something waited for room since then */
    bool quick;       /* what may be under way goes in FLOW_BLINK_MS */
};

/* A connection begins, and the other side takes `cap` bytes, or it ended (0).
 * What was slow before is begun with slowly. */
void flow_begin(struct flow *flow, uint64_t cap);
/* May more go while so many bytes are under way? Notes that somebody asked. */
bool flow_room(struct flow *flow, uint64_t in_flight);
/* The size of a message, at most `most`: a quarter of what may be under way, so
 * that what is new and small waits for one of four; all of it on a line that is
 * quick enough, because each message costs a proof, a check and a commit at
 * every tier. */
size_t flow_segment(const struct flow *flow, size_t most);
/* May a message of another's making go as it is? Notes that somebody asked. */
bool flow_fits(struct flow *flow, uint64_t bytes);
/* What may be under way. */
uint64_t flow_whole(const struct flow *flow);
/* So many bytes were handed over … */
void flow_sent(struct flow *flow, uint64_t bytes, int64_t now_ms);
/* … and so many came to be durable, the last of which waited there for
 * `held_ms`. */
void flow_acked(struct flow *flow, uint64_t bytes, uint32_t held_ms,
                int64_t now_ms);
/* So many are under way no more, and nothing is learnt from it. */
void flow_dropped(struct flow *flow, uint64_t bytes);

/* ---- the side that takes ---- */

/* Since when what is taken waits for the store. What is at hand as soon as the
 * message before it is through came while that one waited, and waits since
 * then. All zero at first. */
struct flow_taken {
    int64_t since_ms;
    int64_t through_ms;
};
/* A message is taken; returns since when it waits. */
int64_t flow_take(struct flow_taken *taken, int64_t now_ms);
/* It is in the store's hands. */
void flow_through(struct flow_taken *taken, int64_t now_ms);

/* ---- the side that asks ---- */

/* Of what a Fetch brings nothing is acknowledged, so who sends cannot know what
 * the line carries. Who asks does: it asks for so much at a time as came in
 * some seconds. All zero: a line that is not known yet. */
struct flow_asked {
    uint64_t bytes;       /* at a time; 0: not known */
    uint64_t entry_bytes; /* of those of the log, as they come; 0: not known */
    uint32_t base_ms;     /* the shortest time that a call took; 0: not known */
};
/* Another log begins, with entries of another size. */
void flow_ask_log(struct flow_asked *asked);
/* So many entries may be asked for now; at least one. */
uint64_t flow_ask(const struct flow_asked *asked);
/* So many came, in so many bytes. */
void flow_came(struct flow_asked *asked, uint64_t entries, uint64_t bytes,
               uint32_t took_ms);
/* The call was given up: it may have been too much. */
void flow_came_not(struct flow_asked *asked);

#endif
