/* parent.h - the real node above a crowd: a city without a parent, in a process
 * of its own.
 *
 * Threads: one. */
#ifndef CROWD_PARENT_H
#define CROWD_PARENT_H

#include "run/places.h"
#include "run/stats.h"

enum { PARENT_CHILDREN_MAX = 2097, PARENT_SET_MAX = 8 };

struct parent {
    const char *creditnode;          /* program */
    const char *source;              /* where certs/ and tiers/ are */
    const char *folder;              /* of the tree; there, and empty */
    const char *set[PARENT_SET_MAX]; /* of `creditnode serve --set` */
    unsigned set_n;
    struct place *place; /* owned: itself, then its children */
    unsigned n;
    pid_t pid; /* 0: it does not run */
    unsigned port;
    unsigned listed; /* subjects */
    char log[64];    /* of its directives; "": there is none yet */
    uint64_t last;   /* its newest entry */
};

/* A city has so many children by their codes alone. */
void parent_places(struct parent *p, unsigned children);
void parent_free(struct parent *p);
/* Certificates and configurations. ERR_CONF, ERR_IO. */
MUST_USE enum err parent_make(struct parent *p, struct errmsg *why);
/* Starts it and waits until it is ready. ERR_TIMEOUT, ERR_IO. */
MUST_USE enum err parent_start(struct parent *p, int64_t ms,
                               struct errmsg *why);
/* Decides `n` listings; they are durable there once this returns. */
MUST_USE enum err parent_decide(struct parent *p, unsigned n,
                                struct errmsg *why);
/* How many nodes, itself among them, are known to hold its lists. */
MUST_USE enum err parent_reached(const struct parent *p, uint64_t *out,
                                 struct errmsg *why);
struct usage parent_usage(const struct parent *p);
/* Its processor time of the next second, in ms, is below `busy`, or so many
 * seconds have passed. */
void parent_rest(const struct parent *p, uint64_t busy, unsigned seconds);
/* Ends it. ERR_CONFLICT: not cleanly. */
MUST_USE enum err parent_stop(struct parent *p, int64_t ms, struct errmsg *why);

#endif
