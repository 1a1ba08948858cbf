/* rest.h - when a process at rest gives memory back.
 *
 * A start, an import or some questions leave several times the pages in memory
 * that a node at rest uses. Who looks now and then is told here when to give
 * them back: at the first look without much work, and when there is more than
 * came again by itself after the last time. Of that nobody knows whether rest
 * needs it or a little work did; so it is tried again, after a minute, two,
 * four, and at last every ten minutes.
 *
 * Pure. Threads: one. */
#ifndef BASE_REST_H
#define BASE_REST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REST_LOOK_MS = 30000,
    REST_AGAIN_MS = 600000, /* the longest wait between two times */
    REST_IDLE_PART = 100,   /* idle: a hundredth of one processor at most */
    REST_STEP = 2 << 20,    /* so many bytes more are no matter, */
    REST_STEP_PART = 8,     /* or that part of what there was, if larger */
};

struct rest_look {
    int64_t at_ms;   /* monotonic */
    int64_t cpu_ms;  /* of all threads so far */
    size_t resident; /* bytes; mem_resident() */
};

struct rest {
    struct rest_look last;
    bool gave;       /* at the last look */
    size_t left;     /* bytes resident one look after that */
    int64_t wait_ms; /* from the last time to the next; 0: work was seen */
    int64_t next_ms;
};

/* At the end of a start: from now on it looks. */
void rest_begin(struct rest *rest, const struct rest_look *now);
/* Every REST_LOOK_MS. True: give back now. */
bool rest_look(struct rest *rest, const struct rest_look *now);

#endif
