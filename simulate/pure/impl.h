/* impl.h - what the parts of the pure simulation share (private to it). */
#ifndef PURE_IMPL_H
#define PURE_IMPL_H

#include "ident/ident.h"
#include "pure/pure.h"
#include "pure/rng.h"
#include "store/store.h"
#include "sync/link.h"
#include "sync/recv.h"
#include "sync/send.h"
#include "sync/wire.h"

enum {
    SEGMENT_BYTES = 1200,
    WINDOW_BYTES = 5000,
    PACE_MS = 20,
    SILENCE_MS = 20000,
    RETRY_STOPPED_MS = 600000,
    CALL_MS = 10000,
    QUEUE_MAX = 4096, /* items waiting for a disk */
    CLONES_MAX = 32,  /* processes beside the nodes of the tree */
};

/* ---- fed.c ---- */

struct pure_node {
    uint64_t code;
    enum tier tier;
    int parent; /* index; -1: the top */
    struct identity sign;
};
struct pure_fed {
    char made[40]; /* a folder that goes with it; "": none */
    struct trust *trust;
    int64_t now_ms;         /* at which certificates are looked at */
    struct pure_node *node; /* parents before their children */
    unsigned nodes;
};
/* Is `above` an ancestor of `below`, or `below` itself? */
bool fed_covers(const struct pure_fed *fed, int above, int below);
/* -1: no such node. */
int fed_find(const struct pure_fed *fed, uint64_t code);

/* ---- disks ---- */

/* A log as it is on a disk. Bytes are the world's. */
struct disk_log {
    struct log_id log; /* first: see logmap.h */
    enum log_state state;
    bool own;
    struct hash *leaf;   /* owned */
    struct slice *entry; /* owned */
    size_t cap;
    struct frontier frontier; /* its size is the log's */
    struct hash root;
    struct checkpoint newest;
    struct bridge bridge; /* from the end to newest.size */
    struct slice note;
    struct slice chain;
    struct slice fork_note;
    uint64_t limit; /* the size its successor names; 0: none */
    struct hash limit_root;
};
struct disk {
    struct logmap logs;
    struct log_id own;   /* what is entered goes there */
    struct slice *aside; /* drafts set aside, owned */
    size_t aside_n;
    size_t aside_cap;
};

/* ---- hosts ---- */

struct conn {
    uint64_t id;
    struct host *child;
    struct host *parent;
    bool open_below; /* the child's end */
    bool open_above;
    bool black;         /* takes nothing any more */
    bool lost;          /* nor does what is under way arrive */
    int64_t last_ms[2]; /* deliveries keep their order: down, up */
    struct conn *next;  /* of the world */
};

/* One log of one stream, at the parent. */
struct in_log {
    struct log_id log; /* first: see logmap.h */
    struct recv_log *recv;
    unsigned pending;
    bool stopped;
};
struct inflow {
    struct conn *conn; /* NULL: not connected */
    struct recv *recv;
    struct logmap logs;
    uint64_t pending_bytes;
};

/* What waits for the disk: a run of another node's log, or records. */
struct item {
    struct item *next;
    struct segment *seg;
    unsigned child; /* of the inflow it came by */
    uint64_t conn;  /* 0: fetched from above */
    uint64_t bytes;
    uint64_t call;       /* of the fetch, 0: none */
    struct slice *draft; /* owned */
    uint64_t *record;    /* owned; their ids */
    size_t drafts;
};

/* recover.c: one log at a time comes back. */
struct recover {
    struct log_id *waiting; /* owned; the first is worked on */
    size_t n;
    size_t cap;
    bool busy;
    uint64_t call; /* of the answer that is awaited */
    uint64_t low;  /* common prefix: equal there … */
    uint64_t high; /* … and perhaps up to there */
    bool searching;
    uint64_t held;        /* by the parent, at the newest root */
    struct hash root;     /* there */
    struct slice note;    /* the parent's */
    struct recv_log *log; /* of the fetch */
    unsigned pending;     /* its runs on their way to the disk */
    bool came;            /* all of its runs came */
    bool parting; /* a root is awaited that shows whether it is one tree */
    int64_t succeeded_ms[3]; /* 0: none */
};

enum lie {
    LIE_NONE,
    LIE_FLIP,     /* a bit of an entry */
    LIE_DROP,     /* leaves a block out */
    LIE_WITHHOLD, /* sends nothing of a log */
    LIE_INVENT,   /* entries of its own behind */
    LIE_REORDER,  /* an older segment once more, before its turn */
    LIE_STRANGER, /* a log of a node that is not below */
    LIES
};

struct host {
    struct world *w;
    int node; /* index in the federation */
    /* Of its own, so that what goes wrong elsewhere changes little here. */
    struct rng rng;
    struct rng office; /* what is entered, and when */
    bool clone;
    bool up;
    bool gone;     /* a clone that was found */
    uint64_t life; /* events of an earlier one are dropped */
    struct disk disk;
    struct disk backup;
    bool has_backup;
    bool restored;
    bool cloned; /* there was another process of this node */
    int64_t restored_at_ms;
    bool rolled_back;       /* it saw that the parent has more of its log */
    struct logmap promised; /* struct promise: told to be durable here */
    uint32_t disk_slow;     /* factor */
    uint32_t doomed_ms;     /* crashes with its next commit, for so long */
    enum lie lie;
    bool lied; /* ever: what it says is not believed in checks */
    /* Lost with the process. */
    struct item *first;
    struct item **last;
    size_t queued;
    bool syncing;
    struct link link;
    struct send send;
    struct conn *conn;
    uint64_t deadline;   /* token of the armed one */
    int64_t heard_at_ms; /* silence is counted from there */
    int64_t pace_at_ms;  /* of the event that is under way; 0: none */
    bool greeted;
    bool paged;
    bool all_told;
    struct log_id paged_to;
    bool retry_armed;
    struct recv *recv;     /* notes, fetches */
    struct inflow *inflow; /* one a child, by its place */
    struct recover recover;
    /* The line to its parent. */
    bool cut;
    uint32_t latency_ms; /* at most */
    int64_t call_last_ms;
};

/* ---- events ---- */

enum event_kind {
    EV_DIAL,     /* at the parent: a stream is asked for */
    EV_OPENED,   /* at the child */
    EV_HELLO,    /* up or down */
    EV_MESSAGE,  /* up or down */
    EV_CLOSE,    /* up or down: the other end hung up */
    EV_ASK,      /* at the parent: Root, or Fetch */
    EV_ANSWER,   /* at the child: a root */
    EV_FETCHED,  /* at the child: a run */
    EV_CALL_END, /* at the child: the call is over */
    EV_DEADLINE,
    EV_PACE,
    EV_RETRY,
    EV_SYNC,
    EV_DOOM,  /* the process dies while it syncs */
    EV_ENTER, /* an office enters records */
    EV_FAULT,
    EV_HEAL,
    EV_START,
    EV_WATCH,
    EVENTS
};
struct event {
    int64_t at_ms;
    uint64_t order;
    enum event_kind kind;
    struct host *host; /* where it happens */
    uint64_t life;     /* of the host; 0: whatever it is */
    struct conn *conn; /* of messages */
    bool up;           /* goes up */
    struct host *from; /* of EV_ASK: the child */
    bool fetch;        /* runs are asked for, not a root */
    uint64_t token;    /* deadline, call, fault */
    uint64_t size;     /* asked for: a root's, or the first to be fetched */
    uint64_t last;     /* to be fetched */
    struct log_id log;
    enum err err;     /* of EV_CALL_END */
    struct buf bytes; /* owned */
};

struct fault {
    enum fault_kind {
        FAULT_CRASH,
        FAULT_CUT,
        FAULT_SWALLOW,
        FAULT_SLOW_LINE,
        FAULT_SLOW_DISK,
        FAULT_BACKUP,
        FAULT_RESTORE,
        FAULT_CLONE,
        FAULT_LIE,
        FAULTS
    } kind;
    unsigned node;
    int64_t at_ms;
    uint32_t for_ms;
    enum lie lie;
    bool at_work; /* a crash: while the next commit is under way */
};

struct truth;
struct world {
    const struct pure_fed *fed;
    const struct pure_conf *conf;
    struct pure_result *result;
    int64_t now_ms;
    bool quiet; /* nothing is entered, nothing goes wrong any more */
    struct event *heap;
    size_t heap_n;
    size_t heap_cap;
    uint64_t order;
    uint64_t ids; /* of connections and calls */
    struct conn *conns;
    struct host **host; /* nodes, then clones */
    unsigned hosts;
    struct fault plan[PURE_FAULTS_MAX];
    unsigned faults;
    struct block_codec *codec;
    struct truth *truth;
    struct chunk *chunks;        /* bytes that live as long as the world */
    char at_hand[PURE_LINE_MAX]; /* the event under way */
};

/* world.c */
struct slice keep(struct world *w, struct slice bytes);
/* Takes `bytes` over (may be NULL). */
void post(struct world *w, struct event *ev, uint32_t in_ms, struct buf *bytes);
void post_self(struct host *h, enum event_kind kind, uint32_t in_ms,
               uint64_t token);
/* By a connection, in order. */
void post_by(struct conn *c, bool up, enum event_kind kind, struct buf *bytes);
uint32_t latency(struct host *child);
bool planted(const struct world *w, enum pure_plant plant);
/* Notes what happens, for the tail of a failure, the digest and the trace. */
void say(struct host *h, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The run fails here; the first one counts. */
void broken(struct host *h, const char *invariant, const struct log_id *log,
            uint64_t number, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The one process of a node of the tree; NULL: the top has no parent. */
struct host *parent_of(const struct host *h);
void host_start(struct host *h);
void host_stop(struct host *h);
struct host *host_new(struct world *w, int node);
/* Of a stopped one. */
void host_free(struct host **h);

/* disk.c */
struct disk_log *disk_find(const struct disk *d, const struct log_id *log);
struct tree_view disk_view(struct disk_log *l);
void disk_copy(struct disk *to, const struct disk *from);
void disk_fini(struct disk *d);
/* The first log of a new node. */
void disk_begin(struct host *h);
void disk_fork(struct host *h, struct disk_log *l, struct slice other_note,
               const char *reason);
/* What store_append() says by its callback; *size is that of the log now. */
MUST_USE enum err disk_append(struct host *h, const struct segment *seg,
                              uint64_t *size);
/* What store_submit() does; false: the records wait for a lost tail. */
bool disk_submit(struct host *h, const struct item *item);
void disk_succeed(struct host *h, const struct log_id *log, uint64_t common,
                  uint64_t peer_size, const struct hash *peer_root,
                  struct slice note);
void disk_end_pull(struct host *h, const struct log_id *log);
/* Does an own log name the end of this one? */
bool disk_has_successor(const struct disk *disk, const struct log_id *log);
/* Of a closed own log more is above. */
void disk_resume(struct host *h, struct disk_log *l, uint64_t size,
                 const struct hash *root);
/* Queues; the disk syncs what waits together. */
void disk_queue(struct host *h, struct item *item);
void disk_synced(struct host *h);
/* The process dies: what was not synced is lost, or was just written. */
void disk_crash(struct host *h);
void disk_item_free(struct item **item);

/* Blocks of `l` from entry `from`, bridge and all, as source.c reads them. */
struct run {
    struct buf blocks;
    struct block_ref refs[64];
    size_t refs_count;
    uint64_t end;
    struct buf bridge;
};
void run_read(struct world *w, struct disk_log *l, uint64_t from, uint64_t last,
              size_t max_bytes, struct run *out);
void run_fini(struct run *run);

/* down.c */
void down_dial(struct host *h, struct conn *c);
void down_hello(struct host *h, struct conn *c);
void down_message(struct host *h, struct conn *c, struct slice bytes);
void down_closed(struct host *h, struct conn *c);
void down_appended(struct host *h, const struct item *item, enum err err,
                   uint64_t size);
void down_ask(struct host *h, const struct event *ev);
void down_stop(struct host *h);
/* Of a child's processes there is one place at its parent. */
unsigned child_place(const struct world *w, int child);
unsigned child_count(const struct world *w, int node);

/* up.c */
void up_start(struct host *h);
void up_feed(struct host *h, enum link_event_type type);
void up_opened(struct host *h, struct conn *c);
void up_hello(struct host *h, struct conn *c);
void up_message(struct host *h, struct conn *c, struct slice bytes);
void up_deadline(struct host *h, uint64_t token);
void up_pump(struct host *h);
void up_grew(struct host *h, const struct log_id *log);
void up_forward(struct host *h, const struct segment *seg);
void up_evidence(struct host *h, struct disk_log *l, struct slice note);
void up_put_segment(struct host *h, const struct log_id *log,
                    const struct run *run, struct slice note,
                    struct slice chain);
void up_restored(struct host *h, const struct log_id *log, bool ended);
void up_retry_later(struct host *h);
void up_stop(struct host *h);
bool is_own(const struct host *h, const struct log_id *log);

/* recover.c */
void recover_log(struct host *h, const struct log_id *log);
void recover_answer(struct host *h, uint64_t call, struct slice bytes);
void recover_fetched(struct host *h, uint64_t call, struct slice bytes);
void recover_end(struct host *h, uint64_t call, enum err err);
void recover_appended(struct host *h, const struct item *item, enum err err);
void recover_stop(struct host *h);

/* faults.c */
void faults_plan(struct world *w);
void fault_begin(struct world *w, unsigned i);
void fault_end(struct world *w, unsigned i);
/* The crash that waited for a commit. */
void fault_doom(struct host *h, uint32_t for_ms);
void faults_end_all(struct world *w);
/* Alters a segment that a liar is about to send. False: it does not go. */
bool lie_about(struct host *h, struct run *run);

/* truth.c */
struct truth *truth_new(struct world *w);
void truth_free(struct truth **t);
uint64_t truth_record(struct host *h);
void truth_acked(struct host *h, const uint64_t *records, size_t n);
/* An origin committed an entry of its own. */
void truth_written(struct host *h, const struct disk_log *l, uint64_t number,
                   const struct hash *leaf);
/* A holder committed an entry of another's log, or of its own from above. */
void truth_held(struct host *h, const struct disk_log *l, uint64_t number,
                const struct hash *leaf);
void truth_ended(struct host *h, const struct log_id *log, uint64_t size);
/* An Ack or Have reached a child: so much is durable at `parent`. */
void truth_promised(struct host *parent, const struct log_id *log,
                    uint64_t size);
void truth_crashed(struct host *h);
void truth_put_back(struct host *h);
void truth_set_aside(struct host *h, struct slice draft);
void truth_cloned(struct host *twin); /* it is among the hosts, with a disk */
void truth_lost_clone(struct host *h);
void truth_watch(struct world *w);
/* Nothing is left to be done? */
bool truth_settled(struct world *w);
void truth_final(struct world *w);

#endif
