/* tails.h - what came of logs before the parent itself held it durably
 * (private to sync).
 *
 * A parent forwards what it has verified and then commits it. If it stops
 * between the two it comes back with less than it has shown; that is no
 * rollback, and what it said to hold tells the two apart.
 *
 * Threads: none of its own; whoever has the object. */
#ifndef SYNC_TAILS_H
#define SYNC_TAILS_H

#include "mlog/log_id.h"

enum { TAILS_MAX = 16 }; /* logs; of more the parent is taken to hold all */

struct tails {
    struct tail {
        struct log_id log;
        uint64_t sure; /* so much the parent holds, as it said … */
        uint64_t upto; /* … and the entries up to here came without it */
    } at[TAILS_MAX];
    size_t n;
};

/* Entries up to `upto` came, of which the parent holds `sure`. As much or more
 * ends what was noted of the log. */
void tails_note(struct tails *tails, const struct log_id *log, uint64_t sure,
                uint64_t upto);
/* How much of the `known` entries the parent is to hold. What is known beyond
 * the tail came another way, and is no honest parent's to lack for long. */
uint64_t tails_sure(const struct tails *tails, const struct log_id *log,
                    uint64_t known);

#endif
