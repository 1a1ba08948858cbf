/* schedule.h - what goes wrong in a run, when and where, as data.
 *
 * A schedule is planned from a seed or read from a file. The file is text: the
 * first line is "creditsim-faults 1", then lines of
 *
 *   option NAME VALUE          as of creditsim run
 *   AT FOR KIND CODE [AMOUNT]  a fault: begin and duration in milliseconds of
 *                              the work, kind (schedule_kinds), node
 *
 * in any order; "#" begins a comment. One process, and one line, has one fault
 * at a time.
 *
 * Pure; any thread. */
#ifndef RUN_SCHEDULE_H
#define RUN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum {
    SCHEDULE_MAX = 2000,       /* faults */
    SCHEDULE_MS_MAX = 86400000 /* of a run */
};

enum fault_kind {
    FAULT_KILL,
    FAULT_RESTART,
    FAULT_FREEZE,
    FAULT_CUT,
    FAULT_SILENT,
    FAULT_ONE_WAY_UP,
    FAULT_ONE_WAY_DOWN,
    FAULT_SLOW,
    FAULT_NARROW,
    FAULT_LOSSY,
    FAULT_PARTITION,
    FAULT_RECONNECT,
    FAULT_FULL,
    FAULT_READ_ONLY,
    FAULT_FLIP,
    FAULT_RESTORE,
    FAULT_CLONE,
    FAULT_EXPIRED,
    FAULT_REVOKED,
    FAULT_WRONG,
    FAULT_CLOCK,
    FAULT_LIE,
    FAULT_FORK,
    FAULT_UPGRADE,
    FAULT_KINDS
};

/* What a fault has to itself: the process, the line to the parent, or those
 * of all children. */
enum fault_spoils {
    SPOILS_PROCESS = 1,
    SPOILS_LINE = 2,
    SPOILS_CHILD_LINES = 4,
};

struct fault_info {
    const char *name;
    const char *what;  /* "… CODE" begins */
    unsigned spoils;   /* enum fault_spoils */
    unsigned weight;   /* how often it is planned, against others */
    uint32_t least_ms; /* durations that are planned */
    uint32_t most_ms;
    bool has_parent;        /* it must have one */
    unsigned children;      /* it must have at least */
    const int64_t *amounts; /* that are planned; NULL: none is needed */
    unsigned amounts_n;
    const char *unit; /* of the amount */
    /* Ids of error lines that it may bring at its node, with a blank behind
     * each, and at the nodes above and below. */
    const char *says;
    const char *neighbours_say;
};
extern const struct fault_info schedule_kinds[FAULT_KINDS];

/* A node of the tree as a schedule sees it. */
struct schedule_node {
    uint64_t code;
    int parent;  /* index; -1: the top */
    bool is_old; /* begins with an earlier program */
};

struct fault {
    enum fault_kind kind;
    uint64_t code;
    unsigned node; /* its index; of a file: after schedule_check() */
    uint32_t at_ms;
    uint32_t for_ms;
    int64_t amount;
    unsigned line; /* of its file; 0: planned */
};
struct schedule {
    struct fault *fault; /* owned; in order of at_ms */
    size_t n;
};

struct schedule_plan {
    uint64_t seed;
    uint32_t kinds; /* a bit a kind */
    uint32_t every_ms;
    uint32_t for_ms; /* faults begin in this time */
};

/* "kill,cut", "all", "none". False: `why` names the word. */
MUST_USE bool schedule_kinds_parse(const char *text, uint32_t *out,
                                   struct errmsg *why);
/* Which kinds there are, a line each. */
void schedule_print_kinds(FILE *out);

void schedule_make(struct schedule *out, const struct schedule_plan *plan,
                   const struct schedule_node *node, unsigned nodes);

/* Given each option of a file; false: `why` says what is wrong with it. */
typedef bool schedule_option_fn(void *ctx, const char *name, const char *value,
                                struct errmsg *why);
/* ERR_CONF: `why` names path, line, field and rule. The caller frees *out. */
MUST_USE enum err schedule_read(struct schedule *out, const char *path,
                                schedule_option_fn *option, void *ctx,
                                struct errmsg *why);
/* Do the nodes exist, may the faults hit them, and does none overlap?
 * ERR_CONF. */
MUST_USE enum err schedule_check(struct schedule *s, const char *path,
                                 const struct schedule_node *node,
                                 unsigned nodes, struct errmsg *why);
/* Would they spoil one process or one line? */
bool schedule_collide(const struct fault *a, int parent_of_a,
                      const struct fault *b, int parent_of_b);
/* The faults only; what a file begins with is schedule_print_head(). */
void schedule_print(const struct schedule *s, FILE *out);
void schedule_print_head(FILE *out);
void schedule_free(struct schedule *s);

#endif
