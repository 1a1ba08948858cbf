/* run.h - a tree of real nodes: processes, TLS, stores, faults.
 *
 * One loop does it all: it starts the processes and reads their log lines,
 * lets offices import rows, does the faults of a schedule, and at the end
 * compares every log at every ancestor and asks for every record that was
 * acknowledged.
 *
 *   run.c     the course of a run
 *   places.c  which nodes: a shape, or an area of the division table
 *   tree.c    their certificates (certs.c) and configurations; kept.c
 *   procs.c   processes of nodes and imports
 *   profile.c what the offices do, read from a file
 *   work.c    doing it; the model of what was acknowledged
 *   check.c   what must hold; held.c, receipts.c, bounds.c ask for it
 *   acked.c   the same of each row that was acknowledged
 *   persons.c the same of persons: nothing of them in clear
 *   walk.c    the same of the logs as they are stored; once.c
 *   lists.c   the same of directives: who is listed, what came of it
 *   schedule.c, fault.c, line.c  what goes wrong; loss.c what that excuses
 *   stats.c   latencies and memory
 *   report.c, html.c
 *   rows.c    what is entered
 *
 * Threads: one, but for questions to nodes. */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include <jansson.h>
#include <uv.h>

#include "pure/rng.h"
#include "run/places.h"
#include "run/profile.h"
#include "run/receipts.h"
#include "run/schedule.h"
#include "run/stats.h"

enum {
    RUN_PATH_MAX = 512,
    RUN_FILE_MAX = 560, /* of one in such a folder */
    RUN_SOCKET_MAX = 107,
    RUN_EVENTS = 12, /* last ones, kept for a failure */
    RUN_EVENT_MAX = 160,
    RUN_SUBJECTS = 500, /* whom the rows are about */
};

struct run_conf {
    const char *creditnode;  /* program */
    const char *old;         /* an earlier program; NULL: none */
    uint32_t old_percent;    /* of the nodes begin with it */
    const char *between;     /* library (between.c) */
    const char *liar;        /* program */
    const char *source;      /* where certs/ and tiers/ are */
    const char *folder;      /* for the tree; made, and empty */
    bool kept;               /* a tree is there: started, and nothing more */
    struct pure_shape shape; /* if there is no area */
    struct area area;
    const char *suite; /* "intl" or "gm"; NULL: of a kept tree */
    uint64_t seed;
    uint32_t seconds; /* of work and faults */
    /* Faults: those of the schedule or, if that has no list, planned. */
    struct schedule schedule;
    const char *schedule_path; /* it was read from */
    uint32_t fault_kinds;      /* a bit a kind */
    uint32_t fault_ms;         /* in the mean between two; 0: none */
    const struct profile *profile;
    uint32_t rows;       /* of one import; 0: what the profile says */
    bool attach;         /* when all is equal, go on until a signal comes */
    uint32_t patience_s; /* for whatever must come to an end */
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
    bool is_old; /* runs conf.old */
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
    bool to_reload; /* as soon as it is ready */
    bool killed;    /* by us: its end is no fault */
    bool told;      /* to end, by us: with status 0 */
    uint64_t told_ms;
    bool frozen;
    bool damaged;            /* see RUN_DAMAGED_STATUS */
    bool to_end;             /* the damage was found: it will end */
    unsigned ends;           /* of its process */
    node_down_fn *when_down; /* once, before it is started again */
    void *when_down_of;
    uint64_t start_ms; /* when it is to be started again; 0: not */
    /* Imports, one at a time. Of the one under way or to be repeated: */
    uv_process_t import;
    bool importing;
    uint64_t import_ns;
    uint64_t next_ms; /* of a twin: when it imports again */
    uint64_t first_row;
    uint32_t rows; /* 0: none */
    uint32_t dirty;
    uint32_t again;
    uint32_t spoiled; /* of its rows */
    unsigned long imports;
    unsigned long broken_off; /* entered again until they are in */
    size_t newest;            /* of run.acked, plus 1; 0: none */
    /* Directives, one at a time. */
    uv_process_t decide;
    bool deciding;
    bool held_back;       /* it decides nothing of the profile for a time */
    bool decide_more;     /* another step follows */
    unsigned decide_step; /* 0: it is made; then each decider; publishing */
    unsigned decider;     /* who signs first */
    uint64_t decide_ns;
    uint64_t first_subject;
    uint32_t listings;
    size_t ends_of; /* of run.decided, plus 1: whose listings; 0: it lists */
    /* Feedback, one at a time. */
    uv_process_t report;
    bool reporting;
    uint64_t report_ns;
    size_t report_of;   /* of run.decided */
    struct usage usage; /* when all were ready; at the end */
    struct usage usage_end;
};

/* A fault and what came of it; times of the loop, 0: not yet. */
struct run_fault {
    const char *kind;
    unsigned node;
    uint64_t begin_ms;
    uint64_t end_ms;   /* the fault ended */
    uint64_t ready_ms; /* the node was there again */
    uint64_t equal_ms; /* and what it had acknowledged was above */
};
/* A row that was acknowledged. */
struct run_row {
    unsigned office; /* node */
    uint64_t number; /* of the row (rows.h) */
    bool person;     /* it is about one */
};
struct run_second {
    uint64_t at_ms;
    size_t acked;
    size_t decided;
    unsigned ready;
};

enum run_phase {
    RUN_STARTING,
    RUN_WORKING,
    RUN_SETTLING,
    RUN_ATTACHED,
    RUN_STOPPING,
    RUN_OVER
};

struct work;
struct decided;
struct effect;
struct run {
    const struct run_conf *conf;
    enum suite suite; /* conf->suite */
    uv_loop_t loop;
    uv_timer_t timer;
    uv_signal_t signals[2];
    struct rng rng;
    struct run_node *node;
    unsigned nodes;
    uint32_t renew_ms; /* between two signed heads of a directives log */
    char at[32];       /* when it began, by the wall clock */
    unsigned shown;    /* of progress */
    unsigned started;  /* nodes below this place were started */
    enum run_phase phase;
    uint64_t phase_ms; /* when it began */
    uint64_t work_ms;  /* when work began; faults count from there */
    uint64_t check_ms;
    uint64_t bounds_ms;
    uint64_t broken_ms;       /* when something was found not to hold */
    struct schedule schedule; /* owned */
    struct faults *faults;    /* owned */
    struct loss *losses;      /* owned, the newest first */
    unsigned stopping;        /* nodes below this place were told to end */
    struct receipt *acked;    /* owned */
    struct run_row *row;      /* owned: which row each of them is of */
    size_t acked_n;
    size_t acked_cap;
    /* Owned: numbers of rows of imports that are in, once for each time that
     * another content was entered. */
    uint64_t *entered;
    size_t entered_n;
    size_t entered_cap;
    uint64_t refused; /* rows */
    struct work *work;
    struct decided *decided; /* owned: directives that were published */
    size_t decided_n;
    size_t decided_cap;
    unsigned long undecided; /* directives that were broken off */
    size_t removals;         /* of run.decided */
    struct effect *effect;   /* owned: feedback that was acknowledged */
    size_t effects_n;
    size_t effects_cap;
    unsigned long unreported; /* feedback that was not */
    unsigned long unanswered; /* questions to nodes that were away */
    unsigned long skipped;    /* acts for which no office was free */
    struct samples act_us[ACTS];
    struct samples hop_ms[PROFILE_TIERS]; /* into that tier from below */
    struct samples top_ms;                /* from the office to the top */
    struct run_fault *fault;              /* owned; in order of begin_ms */
    size_t faults_n;
    size_t faults_cap;
    struct run_second *second; /* owned */
    size_t seconds_n;
    size_t seconds_cap;
    uint64_t phase_at_ms[RUN_OVER + 1];
    unsigned kills;
    unsigned upgrades;
    unsigned old; /* nodes that began with conf.old */
    uint64_t made_in_ms;
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
    size_t walked_logs; /* that were read as they are stored */
    uint64_t walked_entries;
    unsigned unwalked; /* nodes for whose stores there was no time */
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

/* Which creditnode this office runs, the node and its commands. */
const char *run_program(const struct run_node *n);

/* Stands `node` below `top`, or is it that? */
bool run_is_below(const struct run *run, unsigned node, unsigned top);

/* The node of this code; the top, if there is none. */
unsigned run_place(const struct run *run, uint64_t code);
/* The same: whose log it is. */
unsigned run_origin(const struct run *run, const char *log);

/* With the time since work began; kept among the last events. */
void run_event(struct run *run, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* procs.c */
void node_spawn(struct run_node *n);
/* SIGKILL and SIGTERM are noted as ours. */
void node_signal(struct run_node *n, int signum);
/* Enters its rows; receipts are added, then work_imported() hears of it. */
void node_import(struct run_node *n);
/* Makes a package of NODE/listings.csv, lets it be signed, publishes it. */
void node_decide(struct run_node *n);
/* Reports that the office met the first listing of run.decided[report_of]. */
void node_report(struct run_node *n);

/* A line now and then while something is done for many nodes. */
void run_progress(struct run *run, const char *what, unsigned done);

/* check.c */
/* Are all logs at all their ancestors? `say`: what differs is an error. */
bool check_equal(struct run *run, bool say);

/* acked.c */
/* Is each row that was acknowledged where it must be, and once? */
void check_acked(struct run *run);

/* persons.c */
/* Is a row about a person? By the profile and the seed. */
bool persons_has(const struct run *run, uint64_t number);
/* Is a person's number or full name in it, in clear? */
bool persons_inside(struct slice bytes);
bool persons_answered(const json_t *answer);
/* Is one in a file that the run leaves? Nobody writes any more. */
void check_persons(struct run *run);
/* Has every node below each issuer what it decided, and does it know? */
bool check_receipts(struct run *run, bool say);

/* walk.c */
/* Reads every log of every store, once nobody has them open: is all that is
 * told of it there, and nothing of it twice? Takes at most so long; the nodes
 * that are left then are run->unwalked. */
void check_stores(struct run *run, uint64_t patience_ms);

/* fork.c */
/* Did child and issuer notice that there were two histories? */
bool check_forks(struct run *run, bool say);

/* lists.c */
/* Is just who should be on a list at every node? */
void check_lists(struct run *run);
/* Does each issuer know what was done about its listings? */
void check_effects(struct run *run);

/* bounds.c */
/* Memory, descriptors and threads of every process that runs. */
void bounds_look(struct run *run);

#endif
