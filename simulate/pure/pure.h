/* pure.h - a tree of simulated nodes in one process, by one seed.
 *
 * The pure machines of sync/ (link, send, recv) and of mlog/ are the real ones;
 * around them stand simulated hosts: disks that lose what was not synced, lines
 * that delay, cut and swallow, a clock that jumps from event to event. What
 * happens follows from the seed alone, so that a failing run can be repeated
 * and made smaller.
 *
 *   fed.c     keys and certificates, made once a program
 *   world.c   events in order of their time; lines
 *   disk.c    what a node holds; commits as the store makes them
 *   down.c    a node as a parent     } drivers as in sync/, but with no
 *   up.c      a node as a child      } threads and no sockets
 *   recover.c an own log that was put back; lost tails from above
 *   faults.c  what goes wrong, planned before the run
 *   truth.c   what was written and acknowledged, and the invariants
 *   shrink.c  the smallest plan that still fails
 *
 * Threads: one at a time, an object; nothing is global. */
#ifndef PURE_PURE_H
#define PURE_PURE_H

#include <stdio.h>

#include "ident/ident.h"
#include "mlog/log_id.h"

enum {
    PURE_LEVELS_MAX = 5,
    PURE_NODES_MAX = 4096,
    PURE_FAULTS_MAX = 256,
    PURE_TAIL = 12, /* last events kept for a failure */
    PURE_LINE_MAX = 160,
};

/* Faults put into the simulated hosts on purpose, to see that each is caught by
 * the invariant that forbids it (pure_plants). */
enum pure_plant {
    PLANT_NONE,
    PLANT_ACK_EARLY,
    PLANT_SUBMIT_EARLY,
    PLANT_SKIP_ROOT,
    PLANT_DROP_BLOCK,
    PLANT_SKIP_ENTRY,
    PLANT_ANY_LOG,
    PLANT_FORK_BLIND,
    PLANT_TWICE,
    PLANT_NO_SUCCESSOR,
    PLANT_NO_WINDOW,
    PLANT_DEAF,
    PLANT_ACKED_UNSEEN,
    PLANT_ROT,
    PLANT_HASTY,
    PLANTS
};
struct pure_plant_info {
    const char *name;
    const char *invariant; /* that catches it … */
    const char *also;      /* … or this one; NULL: no other */
    const char *what;
};
extern const struct pure_plant_info pure_plants[PLANTS];

struct pure_invariant {
    const char *name;
    const char *what;
};
/* Ends with a NULL name. */
extern const struct pure_invariant pure_invariants[];

/* Keys and certificates of a tree; shared by its runs. */
struct pure_fed;
struct pure_shape {
    unsigned levels;
    unsigned count[PURE_LEVELS_MAX]; /* nodes a level, from the top */
};
/* "1,3,9": each level at least as wide as the one above it, at most 99 children
 * a node. False: `why` says what is wrong. */
MUST_USE bool pure_shape_parse(const char *text, struct pure_shape *out,
                               struct errmsg *why);
/* Where a node of a shape stands. Codes are made up from the division's digits
 * of each tier. */
struct pure_place {
    uint64_t code;
    enum tier tier;
    int parent; /* index; -1: the top */
};
/* All of them, parents first; room for PURE_NODES_MAX. How many there are. */
unsigned pure_places(const struct pure_shape *shape, struct pure_place *out);

/* Makes what is missing in `folder` by the scripts in `scripts` (certs/). NULL:
 * in a folder that is removed with it. ERR_CONF, ERR_IO. */
MUST_USE enum err pure_fed_open(struct pure_fed **out, const char *folder,
                                const char *scripts,
                                const struct pure_shape *shape,
                                struct errmsg *why);
void pure_fed_close(struct pure_fed **fed);

struct pure_conf {
    uint64_t seed;
    unsigned faults;  /* at most PURE_FAULTS_MAX */
    uint32_t busy_ms; /* virtual: records and faults come for so long */
    enum pure_plant plant;
    const bool *left_out; /* of `faults`; NULL: all happen */
    FILE *trace;          /* every event; NULL: none */
};

/* Of a run, or of many. */
struct pure_counts {
    uint64_t events;
    int64_t virtual_ms;
    uint64_t entries;
    uint64_t acked;
    unsigned crashes;
    unsigned restores;
    unsigned successions;
    unsigned forks;
    unsigned refusals;
};

struct pure_result {
    const char *invariant; /* that does not hold; NULL: all do */
    uint64_t node;
    struct log_id log; /* origin 0: about no log */
    uint64_t number;   /* 0: about no entry */
    char text[PURE_LINE_MAX];
    char tail[PURE_TAIL][PURE_LINE_MAX]; /* the last events, oldest first */
    unsigned tail_n;
    /* What the run was. */
    uint64_t digest; /* of all events: equal runs have equal ones */
    struct pure_counts counts;
};
void pure_run(const struct pure_fed *fed, const struct pure_conf *conf,
              struct pure_result *out);

/* Leaves out faults as long as the invariant of `out` breaks, which is that of
 * the last run and comes to be the smallest one's. `left_out` holds
 * PURE_FAULTS_MAX; the number of faults that remain. */
unsigned pure_shrink(const struct pure_fed *fed, const struct pure_conf *conf,
                     bool *left_out, struct pure_result *out);
/* One line a fault of the plan that is not left out. */
void pure_print_plan(const struct pure_fed *fed, const struct pure_conf *conf,
                     FILE *out);

#endif
