/* link.h - the uplink's connection as a state machine (private to sync).
 *
 *  IDLE --START--> DIALING --OPENED--> GREETING --GREETED--> STREAMING
 *                   ^   |                  |                  |   ^  |
 *          DEADLINE |   |                  |                  |   `--' MESSAGE
 *                  WAITING <----- CLOSED or DEADLINE ---------'
 *  STOP leads from any state to IDLE, RESTART from any but IDLE to DIALING.
 *
 * Pure: no I/O, no clock, no random numbers, no allocation. */
#ifndef SYNC_LINK_H
#define SYNC_LINK_H

#include "sync/sync.h"

enum link_event_type {
    LINK_START,
    LINK_OPENED,   /* the server took the stream */
    LINK_GREETED,  /* its Hello and first Have are in order */
    LINK_MESSAGE,  /* anything else from it */
    LINK_CLOSED,   /* the stream is over */
    LINK_DEADLINE, /* deadline_ms passed */
    LINK_RESTART,  /* new certificates or address */
    LINK_STOP,
    LINK_EVENTS
};

struct link_event {
    enum link_event_type type;
    uint32_t random;         /* CLOSED, DEADLINE: 32 random bits */
    uint32_t retry_after_ms; /* CLOSED: asked for by the server, else 0 */
    bool elsewhere; /* CLOSED: by a process of the parent that stands by */
    bool in_flight; /* MESSAGE: the parent still owes an Ack */
};

enum link_todo {
    LINK_DIAL = 1 << 0,    /* open a stream */
    LINK_HELLO = 1 << 1,   /* send ours */
    LINK_SERVE = 1 << 2,   /* begin to send logs */
    LINK_HANG_UP = 1 << 3, /* end the stream, forget what it was told */
    LINK_ARM = 1 << 4,     /* the timer with deadline_ms; 0 stops it */
};

struct link_conf {
    uint32_t dialing_ms;
    uint32_t greeting_ms;
    uint32_t silence_ms;
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    unsigned addresses; /* that are dialled in turn; 0: as one */
};

struct link {
    enum uplink_state state;
    uint32_t deadline_ms;
    unsigned failures; /* in a row */
    unsigned sent_on;  /* in a row, without a pause */
    struct link_conf conf;
};

void link_init(struct link *link, const struct link_conf *conf);
/* Feeds one event; returns link_todo bits. ERR_PROTOCOL: the peer sent what
 * this state forbids; the driver feeds LINK_CLOSED next. */
MUST_USE enum err link_step(struct link *link, const struct link_event *event,
                            unsigned *todo);
/* Entries went out or all are acknowledged: silence is counted or is not. */
void link_owed(struct link *link, bool in_flight, unsigned *todo);

#endif
