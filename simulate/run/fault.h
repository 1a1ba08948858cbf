/* fault.h - faults of a schedule, done to real processes, lines and stores.
 *
 *   fault.c       when each begins and ends
 *   fault_do.c    what each kind does
 *   twin.c        a copy of a node that runs beside it
 *   fork.c        an authority that decides two histories
 *   loss.c        what a fault excuses
 *
 * Threads: that of the run. */
#ifndef RUN_FAULT_H
#define RUN_FAULT_H

#include "run/between.h"
#include "run/lines.h"
#include "run/run.h"
#include "run/schedule.h"

enum fault_stage { FAULT_WAITS, FAULT_ON, FAULT_OVER, FAULT_LEFT_OUT };

struct faults;
struct forking;

/* One that is to be, is or was. */
struct mishap {
    struct faults *faults;
    const struct fault *fault;
    struct run_node *node;
    enum fault_stage stage;
    uint64_t began_ms;     /* of the work */
    size_t noted;          /* in run->fault */
    uint64_t reset_ms;     /* when the line is reset; 0: not */
    struct run_node *twin; /* owned; of FAULT_CLONE */
    struct forking *fork;  /* owned; of FAULT_FORK */
    uv_process_t helper;   /* of FAULT_LIE, FAULT_FLIP and FAULT_FORK */
    bool helping;
    bool to_scrub;      /* when it is up */
    bool scrub_again;   /* it was not finished */
    unsigned ends_then; /* of the node, when it was scrubbed */
};

struct faults {
    struct run *run;
    const struct schedule *schedule;
    struct mishap *mishap;    /* owned; one a fault */
    struct lines *lines;      /* owned; NULL: none are spoiled */
    unsigned *port;           /* owned: of each node's line; 0: it has none */
    struct between **between; /* owned: what each node is told; NULL: nothing */
    bool ended;               /* no fault begins any more */
};

/* Lines and what stands between nodes and libc, for the nodes that a fault of
 * `schedule` (borrowed) hits. Ports must have been chosen. ERR_IO. */
MUST_USE enum err faults_open(struct faults **out, struct run *run,
                              const struct schedule *schedule,
                              struct errmsg *why);
/* NULL is allowed. No process may be left. */
void faults_free(struct faults **faults);

/* At which port a node reaches its parent. */
unsigned faults_parent_port(const struct run_node *n);
/* The environment of its process: NULL, or one to be freed by the caller. */
char **faults_environment(const struct run_node *n);
void faults_environment_free(char **environment);

/* Begins and ends what is due. */
void faults_tick(struct run *run);
/* Has every fault begun? */
bool faults_begun(const struct run *run);
/* Ends them all. True: nothing of them goes on. */
bool faults_end(struct run *run);
/* Kills helpers and twins. */
void faults_abort(struct run *run);
/* Since when nothing that `issuer` signs can have come down to the node, by the
 * time of the loop; 0: it may come. */
uint64_t faults_withheld_since(const struct run_node *n, unsigned issuer);
/* May this node write that error line because of a fault that was? */
bool faults_expect(const struct run_node *n, const char *line);

/* ---- between the files of this module ---- */

void mishap_begin(struct mishap *m);
void mishap_end(struct mishap *m);
/* What is to be done between the two. */
void mishap_go_on(struct mishap *m);
bool mishap_stops_at_end(const struct mishap *m);
/* Has all that it began come to its end? */
bool mishap_is_over(const struct mishap *m);

/* Stops the node; `then` is done while it is down, and it starts. */
void mishap_stop_and(struct mishap *m, int signum, node_down_fn *then);
/* For that, with the mishap: its data is copied, or put back to the copy. */
void mishap_back_up(struct run_node *n, void *of);
void mishap_put_back(struct run_node *n, void *of);
/* The line of a node to its parent, if it has one that can be spoiled. */
void mishap_set_line(struct mishap *m, unsigned node,
                     const struct line_state *state);
/* It is left out, and `what` is said. */
void mishap_cannot(struct mishap *m, const char *what);

void fork_begin(struct mishap *m);
void fork_go_on(struct mishap *m);
/* Or left out: it may end. */
bool fork_is_shown(const struct mishap *m);
void fork_end(struct mishap *m);

void twin_start(struct mishap *m);
void twin_tick(struct mishap *m);
void twin_stop(struct mishap *m);
bool twin_is_gone(const struct mishap *m);

#endif
