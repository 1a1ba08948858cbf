/* run.h - a tree of real nodes: processes, TLS, stores, faults.
 *
 * One loop does it all: it starts the processes and reads their log lines,
 * lets offices import rows, kills nodes by a plan that follows from the seed,
 * and at the end compares every log at every ancestor and asks for every
 * record that was acknowledged.
 *
 *   run.c     the course of a run
 *   places.c  which nodes: a shape, or an area of the division table
 *   tree.c    their certificates (certs.c) and configurations
 *   procs.c   processes of nodes and imports
 *   check.c   what must hold
 *   receipts.c, rows.c
 *
 * Threads: one. */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include <jansson.h>
#include <uv.h>

#include "pure/rng.h"
#include "run/places.h"
#include "run/receipts.h"

enum { RUN_PATH_MAX = 512, RUN_SOCKET_MAX = 107 };

struct run_conf {
    const char *creditnode;  /* program */
    const char *source;      /* where certs/ and tiers/ are */
    const char *folder;      /* for the tree; made, and empty */
    struct pure_shape shape; /* if there is no area */
    struct area area;
    const char *suite; /* "intl" or "gm" */
    uint64_t seed;
    uint32_t seconds;    /* of work and faults */
    uint32_t fault_ms;   /* in the mean between two; 0: none */
    uint32_t rows;       /* of one import */
    uint32_t patience_s; /* for whatever must come to an end */
    bool quiet;
};

struct run;
struct run_node {
    struct run *run;
    struct place place;
    char folder[RUN_PATH_MAX];
    char socket[RUN_SOCKET_MAX + 1];
    unsigned port;
    uv_process_t process;
    uv_pipe_t lines; /* its standard error */
    FILE *log;
    char line[1024]; /* what came of the next one */
    size_t line_n;
    bool running; /* until its exit was heard of */
    bool reading; /* until its last line came */
    bool ready;
    bool killed;       /* by us: its end is no fault */
    uint64_t start_ms; /* when it is to be started again; 0: not */
    /* Imports, one at a time. */
    uv_process_t import;
    bool importing;
    uint64_t batch; /* of the rows that are entered next */
    uint64_t next_ms;
    unsigned long imports;
    unsigned long broken_off; /* entered again until they are in */
};

struct run {
    const struct run_conf *conf;
    uv_loop_t loop;
    uv_timer_t timer;
    struct rng rng;
    struct run_node *node;
    unsigned nodes;
    unsigned shown;   /* of progress */
    unsigned started; /* nodes below this place were started */
    enum run_phase {
        RUN_STARTING,
        RUN_WORKING,
        RUN_SETTLING,
        RUN_STOPPING,
        RUN_OVER
    } phase;
    uint64_t phase_ms; /* when it began */
    uint64_t fault_ms; /* when the next one is due */
    uint64_t check_ms;
    unsigned stopping;     /* nodes below this place were told to end */
    struct receipt *acked; /* owned */
    unsigned *acked_at;    /* owned: by which node */
    size_t acked_n;
    size_t acked_cap;
    unsigned kills;
    uint64_t made_in_ms;
    uint64_t ready_in_ms;
    uint64_t equal_in_ms;
    size_t logs; /* that were compared */
    uint64_t entries;
    /* The first thing that does not hold. */
    const char *invariant;
    unsigned culprit;
    char text[256];
};

/* ERR_CONF, ERR_IO: it could not be made. ERR_OK: it ran; see out->invariant.
 * *out is ended with run_free(). */
MUST_USE enum err run_all(struct run **out, const struct run_conf *conf,
                          struct errmsg *why);
void run_free(struct run **run);
json_t *run_json(const struct run *run);

/* ---- private to run/ ---- */

void run_broken(struct run *run, const struct run_node *node,
                const char *invariant, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* procs.c */
void node_spawn(struct run_node *n);
void node_signal(struct run_node *n, int signum);
/* Enters the batch; its receipts are added when it ends. */
void node_import(struct run_node *n);

/* check.c */
/* Are all logs at all their ancestors? `say`: what differs is an error. */
bool check_equal(struct run *run, bool say);
void check_acked(struct run *run);

#endif
