/* run.h - a tree of real nodes: processes, TLS, stores, faults.
 *
 * One loop does it all: it starts the processes and reads their log lines,
 * lets offices import rows, does the faults of a schedule, and at the end
 * compares every log at every ancestor and asks for every record that was
 * acknowledged.
 *
 *   run.c     the course of a run
 *   procs.c   processes of nodes and imports
 *   check.c   what must hold; held.c, receipts.c, bounds.c ask for it
 *   schedule.c, fault.c, line.c  what goes wrong; loss.c what that excuses
 *   rows.c    what is entered
 *
 * Threads: one. */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include <jansson.h>
#include <uv.h>

#include "pure/pure.h"
#include "pure/rng.h"
#include "run/receipts.h"
#include "run/schedule.h"

enum {
    RUN_PATH_MAX = 512,
    RUN_FILE_MAX = 560, /* of one in such a folder */
    RUN_NODES_MAX = 1200,
    RUN_SOCKET_MAX = 107,
    RUN_EVENTS = 12, /* last ones, kept for a failure */
    RUN_EVENT_MAX = 160,
    RUN_SUBJECTS = 500, /* whom the rows are about */
};

struct run_conf {
    const char *creditnode; /* program */
    const char *make_tree;  /* script */
    const char *between;    /* library (between.c) */
    const char *liar;       /* program */
    const char *certs;      /* folder of the scripts */
    const char *folder;     /* for the tree; made, and empty */
    struct pure_shape shape;
    uint64_t seed;
    uint32_t seconds; /* of work and faults */
    /* Faults: those of the schedule or, if that has no list, planned. */
    struct schedule schedule;
    const char *schedule_path; /* it was read from */
    uint32_t fault_kinds;      /* a bit a kind */
    uint32_t fault_ms;         /* in the mean between two; 0: none */
    uint32_t rows;             /* of one import */
    uint32_t patience_s;       /* for whatever must come to an end */
    bool quiet;
};

struct run;
struct run_node;
struct faults;
struct loss;
typedef void node_down_fn(struct run_node *n, void *of);

/* A store in which a bit was turned ends the process with this status when the
 * damage is found, and is rebuilt at the next start. */
enum { RUN_DAMAGED_STATUS = 5 };

struct run_node {
    struct run *run;
    unsigned index; /* in run->node; of a twin: of whom it is the copy */
    bool is_twin;
    struct pure_place place;
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
    bool killed; /* by us: its end is no fault */
    bool told;   /* to end, by us: with status 0 */
    uint64_t told_ms;
    bool frozen;
    bool damaged;            /* see RUN_DAMAGED_STATUS */
    bool to_end;             /* the damage was found: it will end */
    unsigned ends;           /* of its process */
    node_down_fn *when_down; /* once, before it is started again */
    void *when_down_of;
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
    enum run_phase {
        RUN_STARTING,
        RUN_WORKING,
        RUN_SETTLING,
        RUN_STOPPING,
        RUN_OVER
    } phase;
    uint64_t phase_ms; /* when it began */
    uint64_t work_ms;  /* when work began; faults count from there */
    uint64_t check_ms;
    uint64_t bounds_ms;
    struct schedule schedule; /* owned */
    struct faults *faults;    /* owned */
    struct loss *losses;      /* owned, the newest first */
    unsigned stopping;        /* nodes below this place were told to end */
    struct receipt *acked;    /* owned */
    unsigned *acked_at;       /* owned: by which node */
    uint64_t *acked_row;      /* owned: which row it is (rows.h) */
    size_t acked_n;
    size_t acked_cap;
    unsigned kills;
    unsigned faulted;  /* faults that began */
    unsigned left_out; /* and could not be done */
    size_t excused;    /* rows that a fault lost, as loss.h allows */
    char event[RUN_EVENTS][RUN_EVENT_MAX];
    unsigned events; /* that were; the last RUN_EVENTS are kept */
    struct {
        long rss_kib;
        long fds;
        long threads;
    } most; /* of one process */
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
/* Only what it would be: nodes and schedule. */
MUST_USE enum err run_plan(struct run **out, const struct run_conf *conf,
                           struct errmsg *why);
void run_free(struct run **run);
json_t *run_json(const struct run *run);

/* ---- private to run/ ---- */

void run_broken(struct run *run, const struct run_node *node,
                const char *invariant, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* With the time since work began; kept among the last events. */
void run_event(struct run *run, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* procs.c */
void node_spawn(struct run_node *n);
/* SIGKILL and SIGTERM are noted as ours. */
void node_signal(struct run_node *n, int signum);
/* Enters the batch; its receipts are added when it ends. */
void node_import(struct run_node *n);

/* check.c */
/* Are all logs at all their ancestors? `say`: what differs is an error. */
bool check_equal(struct run *run, bool say);
void check_acked(struct run *run);

/* bounds.c */
/* Memory, descriptors and threads of every process that runs. */
void bounds_look(struct run *run);

#endif
