/* crowd.h - what very many children cost one parent.
 *
 *   crowd.c   the course: all join, say records, get directives, rest
 *   child.c   a light child, thousands of them in this process
 *   parent.c  the real node, a process of its own
 *
 * What is measured is the parent: its memory, descriptors, threads, processor
 * time, and the bytes on its lines.
 *
 * Threads: one. */
#ifndef CROWD_CROWD_H
#define CROWD_CROWD_H

#include "crowd/parent.h"

struct crowd_conf {
    const char *creditnode;
    const char *source;
    const char *folder;
    const char *set[PARENT_SET_MAX]; /* options of the parent */
    unsigned set_n;
    uint32_t children;
    uint32_t at_once; /* handshakes under way */
    uint32_t records; /* of each child, one a message, all at the same time */
    uint32_t directives; /* one after the other, each to all children */
    uint32_t quiet_s;
    uint32_t patience_s; /* for whatever must come to an end */
};

/* Processor time is the parent's. */
struct crowd_report {
    struct usage alone;  /* the parent before anybody came */
    struct usage joined; /* when all had */
    struct usage end;
    double join_s;
    uint32_t again; /* dials that were lost on the way and repeated */
    uint64_t up;    /* bytes until all had joined */
    uint64_t down;
    uint64_t join_ms; /* processor time until all had joined */
    double records_s;
    uint64_t records_ms;
    double directive_s; /* the slowest, until the last child had it */
    uint64_t directives_ms;
    uint64_t first_receipts_ms; /* of one of each child, its first */
    uint64_t receipts_ms;       /* until the parent knew who holds the last */
    uint64_t quiet_ms;
    uint64_t heads; /* renewed ones that children got */
};

/* ERR_CONF, ERR_IO: it could not be made. ERR_CONFLICT, ERR_TIMEOUT: something
 * did not hold, `why` says what. */
MUST_USE enum err crowd_run(const struct crowd_conf *conf,
                            struct crowd_report *out, struct errmsg *why);

#endif
