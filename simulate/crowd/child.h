/* child.h - light children of one real parent, many in one process.
 *
 * Each has certificates, keys, a records log and a connection of its own, and
 * says to the parent what a node would say: Hello, signed blocks under signed
 * heads, what it holds of the lists, receipts. It stores nothing, believes what
 * comes down, and of its log keeps what it will say.
 *
 * Threads: functions are called by one; what the parent says comes on workers
 * of rpc and is counted under the lock. */
#ifndef CROWD_CHILD_H
#define CROWD_CHILD_H

#include <pthread.h>

#include "run/places.h"
#include "sync/sync.h"

struct child;

struct children_conf {
    const char *folder;        /* of the tree (run/tree.h) */
    const struct place *place; /* the parent, then the children */
    unsigned n;                /* children */
    unsigned records; /* of each that can be said, besides the opening */
};

struct children {
    struct children_conf conf;
    char address[32]; /* of the parent */
    unsigned port;
    struct trust *trust;
    struct rootchain *roots;
    struct rpc *rpc;
    struct child *child; /* owned, n of them */
    pthread_mutex_t lock;
    pthread_cond_t told; /* something below changed */
    bool over;           /* lock, all below; closed streams are no fault */
    unsigned dialing;    /* neither joined nor lost */
    uint64_t joined;
    unsigned lost;     /* to be dialled again */
    uint64_t acked;    /* entries of all children that the parent has */
    uint64_t followed; /* entries of lists that all children have */
    uint64_t heads;    /* of lists that came without entries */
    char fault[256];   /* the first thing that must not be; "": none */
};

/* Reads keys and certificates, and makes the rows. ERR_CONF, ERR_IO. */
MUST_USE enum err children_open(struct children **out,
                                const struct children_conf *conf,
                                struct errmsg *why);
void children_close(struct children **children);

/* Connects, and sends the opening of its log once the parent says that it lacks
 * it. Joined: the parent has it durably, and the child follows its lists. A
 * child that was lost on the way is dialled anew. */
void child_dial(struct children *all, unsigned i);
/* The first child that was lost; false: none is. */
bool child_lost(struct children *all, unsigned *i);
/* The next record of its log, alone and under a head of its own. */
void child_say_record(struct children *all, unsigned i);
/* What it holds of the lists. */
void child_say_receipt(struct children *all, unsigned i);

/* Waits until fewer than `n` are dialing. False as below. */
bool children_room(struct children *all, unsigned n, int64_t ms);
/* Waits until `*value`, which the lock guards, is `wanted` or more. False: not
 * within `ms`, or there is a fault. */
bool children_wait(struct children *all, const uint64_t *value, uint64_t wanted,
                   int64_t ms);
/* Bytes on all connections since they were made. */
void children_bytes(const struct children *all, uint64_t *up, uint64_t *down);

#endif
