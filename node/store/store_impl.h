/* store_impl.h - what the parts of the store share. Private to store/.
 *
 *   store.c         open and close, stats
 *   store_heads.c   the table of logs and the form of a head on disk
 *   store_read.c    blocks, entries, tree views; the cache of unpacked blocks
 *   store_stamp.c   which subjects may have changed since they were read
 *   store_index.c   what entries mean to the index; rows and issues
 *   store_lists.c   packages of directives: which count, and from when
 *   store_lists_judge.c  all of a log judged anew
 *   store_lists_publish.c  a package into the node's own log
 *   store_lists_once.c  a package counts once; the other places it stands at
 *   store_listed.c  what a subject is listed for
 *   store_listed_kept.c  list rows kept beside a distant database
 *   store_tree_kept.c  and tree nodes
 *   store_group.c   one group of items becomes one batch
 *   store_writer.c  the queue, the writer thread, commits and their doubts
 *   store_succeed.c a rolled back log gets a successor; what was set aside
 *   store_recover.c checks at opening, reindex, scrub
 *   store_damage.c  the mark of damage, the count of commits beside the log
 *   store_folder.c  the folders of a rebuild, and their change of places
 *   store_rebuild.c a new store from what can be read of a damaged one
 *   store_mend.c    a damaged database on a server, mended where it is
 *   store_patrol.c  the scrub that runs by itself
 *   store_follow.c  a store that another process writes
 *   store_mark.c    stores that no node may open: copied from, or to
 *   store_copy.c    a store's way to another database (copy.h)
 *
 * Locks, in the order in which they may nest: db_lock, heads.lock; the others
 * (queue, cache, state) are leaves. */
#ifndef STORE_IMPL_H
#define STORE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "credit/package.h"
#include "store/keyring.h"
#include "store/stamp.h"
#include "store/store_backend.h"

enum {
    GROUP_ENTRIES_MAX = 8192,
    GROUP_ITEMS_MAX = 1024,
    GROUP_BYTES_MAX = 4 << 20,
    WATCHERS_MAX = 4,
    ITEM_WHY_MAX = 160,
    DAMAGE_MAX = 256,
    STORE_PATH_LEN = 4096,
    CODECS_MAX = 8,
    CACHE_WAYS = 4,
};

/* ---- logs ---- */

struct store;
struct touched;

/* One log; lives as long as the store. */
struct log_slot {
    struct store *store;
    uint32_t id;       /* local number, from 1 */
    struct log_id log; /* never changes */
    /* heads.lock; changed by the writer only, which reads without it */
    enum log_state state; /* LOG_ABSENT: known by name only, or not yet */
    bool own;
    bool ended; /* it has a successor, and all of it is here */
    uint64_t size;
    struct buf coded; /* struct head, packed: there may be very many logs */
    struct store_above above[ABOVE_MAX];
    size_t above_n;
    bool above_dirty;
    bool above_writing; /* writer: in the commit under way */
    /* Writer: what is stored was not compared with the head yet; before the
     * head is first changed it is. */
    bool unproven;
    /* Of a directives log, else NULL. heads.lock; changed by the writer only,
     * which reads without it. */
    struct lists *lists;
    struct touched *touched; /* writer: in the group at work */
    bool chain_current;     /* writer: own; the chain on disk is the signer's */
    struct hash chain_hash; /* writer: of the chain on disk; 0: not known */
};

/* A head as the writer works on it. */
struct head {
    struct store_head h;
    /* The log may not grow past this (0: no limit): the size at which its
     * successor took over, and the root it then had. */
    uint64_t limit;
    struct hash limit_root;
};

struct heads {
    pthread_mutex_t lock;
    struct log_slot **by_id;  /* NULL where a number is unused */
    struct log_slot **sorted; /* by log_id_cmp() */
    size_t n;
    size_t cap;
    struct log_slot **directives; /* those of that kind */
    size_t directives_n;
    uint32_t ids; /* the next local number */
    uint32_t ids_cap;
    bool above_dirty;   /* of some slot */
    bool above_writing; /* of some slot */
    uint64_t entries;
};

void heads_init(struct heads *heads);
void heads_fini(struct heads *heads);
void head_encode(const struct head *head, struct buf *out);
MUST_USE enum err head_decode(struct slice coded, struct head *out);
/* NULL if the log is not known. Takes the lock. */
struct log_slot *heads_find(struct heads *heads, const struct log_id *log);
/* Finds or adds, LOG_ABSENT. Writer, or before it runs. */
struct log_slot *heads_add(struct store *s, const struct log_id *log);
/* The slot of a local number; NULL if there is none. Takes the lock. */
struct log_slot *heads_at(struct heads *heads, uint32_t id);
/* One more than the highest local number. */
uint32_t heads_ids(struct heads *heads);
/* The committed head. ERR_NOT_FOUND if the log is known by name only. */
MUST_USE enum err heads_copy(struct heads *heads, struct log_slot *slot,
                             struct head *out);
/* Makes a committed head, and what counts of a directives log, visible.
 * `coded` is consumed. */
void heads_publish(struct heads *heads, struct touched *t, struct buf *coded);
/* Adds under a number that is given. ERR_CONFLICT: it, or the log, has another.
 * Writer, or before it runs. */
MUST_USE enum err heads_add_at(struct store *s, const struct log_id *log,
                               uint32_t id);
/* Reads the parts that make the table. Before the writer runs. */
MUST_USE enum err heads_load(struct store *s, struct errmsg *why);
/* Reads one of them again: another process writes. No writer runs. */
MUST_USE enum err heads_read(struct log_slot *slot, struct errmsg *why);
/* Reads, and adds if need be, the log of a number: another process wrote it.
 * `cut`: set if what is kept of its blocks may be old. Follower. */
MUST_USE enum err heads_follow(struct store *s, uint32_t id, bool *cut,
                               struct errmsg *why);
/* Adds what was set by store_set_above() and is not on disk yet. */
void heads_write_above(struct store *s, void *batch);
/* After that commit: if it is not `done`, the next one adds them again. */
void heads_wrote_above(struct store *s, bool done);

/* ---- index ---- */

/* Why an entry has no effect. The numbers are on disk. */
enum reason {
    REASON_NONE = 0,
    REASON_MALFORMED = 1,
    REASON_FORMAT = 2,
    REASON_TYPE = 3,
    REASON_STATUS = 4,
    REASON_DISCLOSURE = 5,
    REASON_SUBJECT_KIND = 6,
    REASON_CLEAR_PERSON = 7,
    REASON_NO_KEY = 8,
    REASON_SUBJECT = 9,
    REASON_VERSION = 10,
    REASON_OPEN_PLACE = 11,
    REASON_NOT_OPENED = 12,
    REASON_ERASED = 13,
    REASON_CONFLICT = 14,
    REASON_LOST = 15,
    REASON_KEY_UNSAVED = 16,
    REASON_KEYS = 17,
    REASON_OUTSIDE = 18,
    REASON_PACKAGE = 19,
    REASON_UNFINISHED = 20,
    REASON_CONTENT = 21,
    REASON_UNSIGNED = 22,
    REASON_REPLAYED = 23,
    REASON_LATE = 24,
    REASON_LISTING = 25,
    REASON_NODE = 26,
    REASON_CATALOGUE = 27,
    REASON_MEASURE = 28,
    REASON_COUNT
};
enum entry_effect reason_effect(enum reason reason);
/* Is it judged again when a key has come, and at start? */
bool reason_waits(uint8_t reason);
/* Did this build, or the one that wrote it down, not know what the entry is? It
 * is judged again at start: the build may be a later one. */
bool reason_is_of_build(uint8_t reason);
const char *reason_text(enum reason reason);

/* What one entry means to the index; log and number are filled in later. */
struct judged {
    enum reason reason;
    uint8_t type;
    bool indexed;   /* row is set */
    bool has_prev;  /* the subject changed; prev is set */
    bool learned;   /* a seal key that was not known before */
    bool only_new;  /* a draft: makes no later version of a record */
    struct row row; /* key, version, status, … */
    struct row_key prev;
};
/* Reads the envelope; takes in keys. Any thread. `slot->entry.data` NULL: an
 * erased one. */
void index_judge(struct store *s, const struct log_id *log, uint64_t number,
                 const struct slot *slot, struct judged *out);

/* Rows of one group: read once, changed in memory, written together. */
struct row_state {
    uint64_t hash; /* subject_hash() of the row's */
    struct row row;
    bool dirty;    /* to be written, or removed if version is 0 */
    bool presumed; /* not looked for: taken not to be there */
};
struct row_map {
    uint8_t generation;
    struct row_state **at;
    size_t n;
    size_t cap;
    uint32_t *slots;           /* place in `at` plus 1 */
    size_t slots_n;            /* power of two */
    struct row_state **sorted; /* those from place `sorted_from` to */
    size_t sorted_from;        /* `sorted_to`, in order of their keys */
    size_t sorted_to;
    struct row_chunk *chunks; /* what holds those in `at`, the newest first */
};
/* Spreads; of memory only, so it may become another one with any build. */
uint64_t subject_hash(const struct subject_key *subject);
static inline bool subject_key_eq(const struct subject_key *a,
                                  const struct subject_key *b)
{
    return a->len == b->len && memcmp(a->b, b->b, a->len) == 0;
}
void row_map_fini(struct row_map *map);
/* Finds or adds, unread. Borrowed from the map. */
struct row_state *row_map_get(struct row_map *map, const struct row_key *key);
/* Adds the rows that an entry may change. `presume`: its own is taken not to be
 * there, unless another entry wants to know. */
void row_map_want(struct row_map *map, const struct judged *judged,
                  bool presume);
/* Reads all rows from place `from` on that are not presumed, in order of their
 * keys. */
MUST_USE enum err row_map_read(struct row_map *map, struct store *s,
                               size_t from, struct errmsg *why);
void row_map_write(struct row_map *map, struct store *s, void *batch);

/* Counters of changes, see stamp.h. The writer changes them; any thread reads.
 * Pages of the table that no change has met take no memory. */
struct stamps {
    _Atomic uint64_t *at;
    size_t n; /* a power of two */
    _Atomic uint64_t all;
};
void stamps_init(struct stamps *stamps, uint64_t cache_bytes);
void stamps_fini(struct stamps *stamps);
/* Around a commit that changes the dirty rows. */
void stamps_begin_rows(struct stamps *stamps, const struct row_map *rows);
void stamps_end_rows(struct stamps *stamps, const struct row_map *rows);
/* Around what may change any subject. False: a span of this kind is under way,
 * such as a job's around its commits; who began that ends it. */
bool stamps_begin_all(struct stamps *stamps);
void stamps_end_all(struct stamps *stamps);

/* ---- list rows that are kept (store_listed_kept.c) ---- */

struct listed_kept;
struct listed_cache {
    pthread_mutex_t lock;
    struct listed_kept **slots; /* lock: sets of CACHE_WAYS; NULL until one is
                                   kept */
    size_t sets;                /* a power of two */
    size_t hand;                /* lock: who goes next */
    size_t bytes;               /* lock */
    size_t bytes_max;
    _Atomic uint64_t changes; /* odd: a commit that writes some is under way */
};
struct listed_stamp {
    uint64_t changes;
    uint64_t all;
};
void listed_cache_init(struct listed_cache *cache, size_t bytes_max);
void listed_cache_fini(struct listed_cache *cache);
/* Around a commit that writes list rows. Writer. */
void listed_change_begin(struct store *s);
void listed_change_end(struct store *s);
/* The list rows of `n` subjects, as backend.list_rows; `now`: ERR_BUSY unless
 * they are kept. ERR_TOO_LARGE: too many at once. Any thread. */
MUST_USE enum err listed_rows(struct store *s, bool now,
                              const struct subject_key *subjects, size_t n,
                              backend_list_row_fn *fn, void *ctx);

/* ---- tree nodes that are kept (store_tree_kept.c) ---- */

/* Those that this process wrote last, or read. They never change, unless a log
 * is cut. Who checks what the database holds does not ask here. */
struct kept_node;
struct tree_kept {
    pthread_mutex_t lock;
    struct kept_node *nodes; /* lock; NULL: none */
    uint64_t cuts;           /* lock */
};
struct tree_new {
    struct hash hash;
    uint64_t index;
    uint32_t log;
    unsigned level;
};
void tree_kept_init(struct tree_kept *kept);
void tree_kept_fini(struct tree_kept *kept);
/* False: not kept; what is read for it goes to tree_kept_read() with `cuts`. */
bool tree_kept_find(struct tree_kept *kept, uint32_t log, unsigned level,
                    uint64_t index, struct hash *out, uint64_t *cuts);
void tree_kept_read(struct tree_kept *kept, uint32_t log, unsigned level,
                    uint64_t index, const struct hash *hash, uint64_t cuts);
/* Before readers know of the commit. `cut`: it took nodes away, too. */
void tree_kept_committed(struct tree_kept *kept, const struct tree_new *nodes,
                         size_t n, bool cut);

/* ---- groups ---- */

#define REJUDGE_ALL UINT64_MAX

typedef enum err store_job_fn(struct store *s, void *ctx, struct errmsg *why);

enum item_kind { ITEM_SUBMIT, ITEM_APPEND, ITEM_PUBLISH, ITEM_JOB };

/* One thing waiting for the writer. */
struct item {
    struct item *next;
    enum item_kind kind;
    bool past_limit; /* taken though the queue is full */
    size_t bytes;    /* that it keeps in memory */
    size_t entries;  /* drafts, or entries of the segment */
    enum err err;
    char why[ITEM_WHY_MAX];
    struct judged *judged; /* one an entry */

    struct slice *drafts; /* into raw */
    struct buf raw;
    struct draft_result *results;
    struct draft_source *sources; /* of the drafts; NULL: none is kept */
    uint64_t *salvage; /* drafts that come from the salvage: their seqs */
    store_submitted_fn *submitted;

    struct segment *segment;
    uint64_t size;  /* of the log, after the commit */
    uint64_t added; /* entries that were not here before */
    store_appended_fn *appended;

    struct buf text; /* a publication's: signed text and signatures */
    struct buf lines;
    struct buf opening;           /* the first entry of its log */
    struct package_head *package; /* owned */
    struct log_id log;
    uint64_t first;
    uint64_t last;
    store_published_fn *published;

    store_job_fn *job;
    struct errmsg *job_why;
    bool *job_done; /* queue.lock */

    void *ctx;
};

void item_free(struct item *item);
/* Keeps `why` for the callback. */
void item_fail(struct item *item, enum err err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* A log that a group works on. */
struct touched {
    struct log_slot *slot;
    struct head head;
    bool dirty;         /* the head is to be written */
    bool sign;          /* own, grown */
    struct slice note;  /* to be written; borrowed from item or own_note */
    struct slice chain; /* the same */
    struct hash chain_hash;
    struct buf own_note;
    struct lists *lists; /* owned: as it is once this is committed; or NULL */
};

/* A package that takes effect with a group. */
struct package_taken {
    struct log_id log;
    uint64_t begin;
    struct package_head head;
};

/* One batch in the making. */
struct group {
    struct store *s;
    void *batch;
    struct touched **touched;
    size_t touched_n;
    struct row_map rows;
    /* Own entries that are not in a block yet; they borrow from items. */
    struct slot pending[BLOCK_ENTRIES_MAX];
    size_t pending_n;
    struct touched *pending_log;
    struct buf packed;
    /* What entries say about lists, until all is put in the order of keys. */
    struct list_row *list_rows;
    size_t list_rows_n;
    size_t list_rows_room;
    struct tree_new *nodes; /* of a distant database: those in the batch */
    size_t nodes_n;
    size_t nodes_room;
    bool cut;              /* a log gets shorter */
    int64_t issues;        /* change in their number */
    int64_t salvaged;      /* change in the number of set-aside drafts */
    uint64_t salvage_next; /* first free seq */
    /* A key of this origin was learned; 0: none, REJUDGE_ALL: of several. */
    uint64_t rejudge_origin;
    struct package_taken *packages; /* owned */
    size_t packages_n;
    bool lists_written; /* some of these rows are */
    bool lists_move;    /* readers will see other lists */
    bool nodes_move;    /* decisions about nodes may be among what changes */
    bool rules_move;    /* catalogue versions or measures may be */
    bool judge_only;    /* rows are there: only what counts is found anew */
    bool rows_anew;     /* and not all of the rows are */
    struct lists_ends *ends; /* of the log that is judged so; borrowed */
    /* What a judgement rests on could not be read: nothing is committed. */
    enum err unread;
    struct errmsg unread_why;
};

void group_init(struct group *g, struct store *s);
void group_fini(struct group *g);
/* The working head of a log, added to the group on first use. ERR_CORRUPT if
 * the head kept in memory no longer fits its own root. */
MUST_USE enum err group_touch(struct group *g, struct log_slot *slot,
                              struct touched **out, struct errmsg *why);
/* Reads the rows that the entries of `items` may change. `presume`: but for
 * those that are most likely new; group_commit() says ERR_EXISTS if one is not.
 */
MUST_USE enum err group_read_rows(struct group *g, const struct item *items,
                                  bool presume, struct errmsg *why);
/* Works `item` into the batch; what is wrong with it goes into item->err.
 * False: it depends on a log that this group has changed already, so it
 * belongs to the next group. */
bool group_take(struct group *g, struct item *item);
/* Appends one entry to an own log; `bytes` stay where they are till commit. */
uint64_t group_append_own(struct group *g, struct touched *t,
                          struct slice bytes);
void group_put_node(struct group *g, uint32_t log, unsigned level,
                    uint64_t index, const struct hash *hash);
/* Gives an entry its effect, or lists it as an issue. */
void group_index(struct group *g, const struct log_slot *slot, uint64_t number,
                 const struct judged *judged);
void group_put_list_row(struct group *g, const struct list_row *row);
void group_put_issue(struct group *g, const struct log_slot *slot,
                     uint64_t number, enum reason reason);
/* Stops a log for good. */
void group_fork(struct group *g, struct touched *t, struct slice other_note,
                const char *reason);
/* Signs, commits, publishes. On an error nothing was written; ERR_EXISTS: the
 * same items can be worked into another group, without presuming. */
MUST_USE enum err group_commit(struct group *g, struct errmsg *why);

/* ---- catalogue versions and measures ---- */

/* What rules_fold() made of each. */
struct rules {
    pthread_mutex_t lock;
    struct store_rule *all; /* lock */
    size_t n;               /* lock */
};
/* Brings into force what the visible directives say. What cannot be read is
 * logged, and all stays as it is. Writer, or before it runs. */
MUST_USE enum err rules_fold(struct store *s, struct errmsg *why);

/* ---- writer ---- */

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t wake;   /* the writer: something to do */
    pthread_cond_t job;    /* a job is done */
    struct item *first;    /* lock */
    struct item **last;    /* lock */
    uint32_t n;            /* lock */
    uint64_t bytes;        /* lock */
    bool closing;          /* lock */
    bool asleep;           /* lock: the writer waits and is not woken yet */
    uint32_t due;          /* lock: items that wake it */
    uint32_t clients;      /* writer only: see linger() */
    int64_t linger_until;  /* writer only: ns, monotonic */
    int64_t commit_ns;     /* writer only: what a group takes, smoothed */
    struct item *deferred; /* writer only: belongs to the next group */
};

MUST_USE enum err writer_start(struct store *s, struct errmsg *why);
/* Takes no more items; the writer finishes what waits. */
void writer_close(struct store *s);
/* The same, and joins. */
void writer_stop(struct store *s);
/* Nothing can be written now: callers get ERR_NO_SPACE, to try later, unless
 * the store is damaged. Says so when it begins. Any thread. */
void writer_refuses(struct store *s, enum err err, const char *why);
/* A read met a server that cannot be reached: nothing is taken until it is
 * back. Any thread. */
void writer_server_away(struct store *s, const char *why);
/* An item of copies of `drafts`, not judged yet. */
struct item *item_submission(const struct slice *drafts, size_t n);
/* Puts what became of a submission's drafts under their sources. */
void sources_put(struct group *g, const struct item *item);
/* Queues; takes `*item` unless it returns an error. */
MUST_USE enum err writer_push(struct store *s, struct item **item);
/* Runs `fn` on the writer thread, alone, and waits for it. */
MUST_USE enum err writer_job(struct store *s, store_job_fn *fn, void *ctx,
                             struct errmsg *why);
/* The same; meanwhile `watch` is called on this thread, now and then, with the
 * same `ctx` and without a lock. */
typedef void job_watch_fn(void *ctx);
MUST_USE enum err writer_job_watched(struct store *s, store_job_fn *fn,
                                     job_watch_fn *watch, void *ctx,
                                     struct errmsg *why);
/* Calls the watchers for what a committed group changed. Writer thread. */
void writer_tell(struct store *s, const struct group *g);
void writer_tell_logs(struct store *s, const struct log_id *logs, size_t n);
/* Commits `batch`; after a doubtful outcome opens the database again and
 * reads back. Writer, or before it runs. */
MUST_USE enum err writer_commit(struct store *s, void *batch,
                                struct errmsg *why);

/* ---- succession ---- */

/* Next set-aside drafts as an item, NULL if there are none. */
struct item *salvage_next(struct store *s, enum err *err, struct errmsg *why);
/* Reads how many there are and the next seq. Before the writer runs. */
MUST_USE enum err salvage_load(struct store *s, struct errmsg *why);
/* Opens a new own log in `g`; `open` may name a predecessor. */
MUST_USE enum err group_open_log(struct group *g, enum log_kind kind,
                                 const struct entry_open *open,
                                 struct buf *entry, struct touched **out,
                                 struct errmsg *why);
/* The own log of this kind grows from now on by new entries. */
void own_log_is(struct store *s, const struct log_slot *slot);
/* Judges entries again that waited for a key of rejudge_origin, a bounded
 * number a call; sets it to 0 when all were looked at. */
MUST_USE enum err index_rejudge(struct store *s, struct errmsg *why);
/* Makes it begin anew, for every origin. Writer, or before it runs. */
void index_rejudge_all(struct store *s);

/* ---- walking a log ---- */

/* One call of the backend reads a bounded run, so that no lock is held long. */
struct walk {
    struct log_slot *slot;
    struct block_codec *codec;
    uint64_t next; /* number expected */
    uint64_t size;
    size_t blocks;
    void (*entry)(struct walk *w, uint64_t number, const struct slot *slot);
    void *ctx;
    bool bad; /* a block did not unpack or left a gap */
};
enum { WALK_BLOCKS = 256 }; /* of one run */
/* Calls `entry` for a run of entries from `next` on. */
MUST_USE enum err walk_run(struct walk *w, struct errmsg *why);

/* ---- checks ---- */

MUST_USE enum err recover_check_identity(struct store *s, struct errmsg *why);
/* The same for those who may open a store with a mark, which goes to s->mark.
 * `found` false: there is nothing yet, and nothing is written. */
MUST_USE enum err recover_compare_marked(struct store *s, bool *found,
                                         struct errmsg *why);
/* This store's identity as it is kept; `barred`: no node may open it. */
void identity_encode(const struct store *s, bool barred, struct buf *out);
MUST_USE enum err recover_check_heads(struct store *s, struct errmsg *why);
/* Do the log's tree and newest checkpoint fit its head `h`? */
MUST_USE enum err recover_check_head(struct store *s, struct log_slot *slot,
                                     const struct store_head *h,
                                     struct errmsg *why);
/* Signs the heads of own logs anew that carry another chain than the signer's
 * of now. */
MUST_USE enum err recover_renew_notes(struct store *s, struct errmsg *why);
/* Makes the index if there is none yet (generation 0: a rebuilt store). */
MUST_USE enum err recover_index(struct store *s, struct errmsg *why);
/* Was the index made with this node's keyring? Says so in the statistics. */
MUST_USE enum err recover_keyring(struct store *s, struct errmsg *why);
MUST_USE enum err recover_count_issues(struct store *s, struct errmsg *why);
/* The same after a job that is on disk: that is done, counted or not. */
void recover_recount_issues(struct store *s);
MUST_USE enum err recover_meta(struct store *s, struct errmsg *why);
/* Number of the last commit; 0: none. */
MUST_USE enum err recover_serial(struct store *s, uint64_t *out,
                                 struct errmsg *why);
/* This many commits are known to be done. Writer or follower, or before they
 * run. */
void serial_is(struct store *s, uint64_t serial);
/* Is the database, which knows `found` commits, the one that this store knows?
 * ERR_UNAVAILABLE: it was put back; ERR_CONFLICT: somebody else wrote. Writer.
 */
MUST_USE enum err serial_fits(struct store *s, uint64_t found,
                              struct errmsg *why);
/* The first half of it: what a follower asks. */
MUST_USE enum err serial_lasts(struct store *s, uint64_t found,
                               struct errmsg *why);
/* Which index is read. */
MUST_USE enum err recover_generation(struct store *s, struct errmsg *why);
/* Is that still the one in use? Else ERR_UNAVAILABLE: what was read of it may
 * have been half gone. Only beside a writer, who drops it and does not wait.
 * Within db_enter(). */
MUST_USE enum err recover_generation_lasts(struct store *s, uint8_t generation,
                                           struct errmsg *why);
/* Finds the own logs that grow. False: there is none for records yet. Writer,
 * or before it runs. */
bool own_logs_find(struct store *s);

/* ---- damage ---- */

/* An own log that may have lost entries its head was signed over. What could
 * be read behind the hole is in the salvage: number n at base + n. */
struct hold {
    bool active;
    struct log_id log;
    uint64_t base;
};
void hold_put(struct buf *out, const struct hold *hold);
void hold_get(struct slice value, struct hold *out);
MUST_USE enum err hold_load(struct store *s, struct errmsg *why);
/* Does the store await its parent since it was made? */
MUST_USE enum err await_load(struct store *s, struct errmsg *why);
/* Works the beginning or the end of it into the batch. */
void await_put(struct group *g, bool awaits);
/* Works the end of the hold into the batch: set-aside entries up to `size` are
 * in the log. */
MUST_USE enum err hold_release(struct group *g, uint64_t size,
                               struct errmsg *why);

/* What to do about damage: on a log line, in the node's state, and for who
 * wants to copy such a store. Not the same for every backend. */
struct damage_advice {
    const char *line;
    const char *state;
    const char *copy;
};
const struct damage_advice *damage_advice(const struct backend *backend);
/* Marks the store as damaged, says so once. Any thread. */
void store_damaged(struct store *s, const char *what);
/* From now on damage is told to `env`, and what an opening met that went well
 * all the same: one that fails is followed by a rebuild, not by another start.
 */
void damage_tell(struct store *s, const struct store_env *env);
/* It was marked before: only remembers it. */
void damage_known(struct store *s, const char *what);
/* Is there any, and which? Any thread. */
bool damage_stats(struct store *s, char what[DAMAGE_MAX]);
/* Is there a mark in the folder? `what` says why. An error: that cannot be told
 * now. */
MUST_USE enum err damage_marked(const char *path, bool *marked,
                                char what[DAMAGE_MAX], struct errmsg *why);
/* Writes the mark. */
MUST_USE enum err damage_mark(const char *path, const char *what,
                              struct errmsg *why);

/* A count of commits kept beside the database, written after each: if the
 * database knows fewer, its write-ahead log lost some. 0 if there is none. */
MUST_USE enum err serial_read(const char *path, uint64_t *out,
                              struct errmsg *why);
void serial_write(struct store *s);
/* ERR_CORRUPT: commits are gone; ERR_CONF of a server's database, which
 * somebody has put back, or which is another one. */
MUST_USE enum err serial_check(struct store *s, struct errmsg *why);
/* The same of these two counts. */
MUST_USE enum err serial_compare(const struct backend *backend,
                                 const char *path, uint64_t serial,
                                 uint64_t beside, struct errmsg *why);

void folder_path(const char *path, const char *suffix,
                 char out[STORE_PATH_LEN]);
/* With all that is in it; none there is well. */
MUST_USE enum err folder_remove(const char *path, struct errmsg *why);
/* Leaves room for one more damaged folder beside `path`. */
MUST_USE enum err folder_drop_oldest(const char *path, struct errmsg *why);
/* Does another process have the store in it? Not for one's own: asking gives
 * its lock back. */
bool folder_in_use(const char *path);
/* Bytes of the files in it. */
uint64_t folder_size(const char *path);
/* Ends a rebuild that a stop interrupted after its last step. */
MUST_USE enum err rebuild_finish(const struct store_conf *conf,
                                 struct errmsg *why);
/* Makes a new store in place of the damaged one, which is kept beside it.
 * ERR_NO_SPACE: nothing was changed. */
MUST_USE enum err rebuild_run(const struct backend *backend,
                              const struct store_conf *conf,
                              const struct store_env *env, struct errmsg *why);
/* Cuts the logs of a damaged database to what can be proven of them; its index
 * is to be made anew then (ROLE_MENDED). ERR_CORRUPT: it cannot be mended. */
MUST_USE enum err mend_run(const struct backend *backend,
                           const struct store_conf *conf,
                           const struct store_env *env, struct errmsg *why);
/* Takes the mark away. */
MUST_USE enum err damage_unmark(const char *path, struct errmsg *why);
/* Opens without looking for damage. */
MUST_USE enum err store_open_plain(struct store **out,
                                   const struct backend *backend,
                                   const struct store_conf *conf,
                                   const struct store_env *env,
                                   struct errmsg *why);
/* ERR_CONF: another node's, or one that no node may open. */
MUST_USE enum err recover_compare_identity(const struct store_conf *conf,
                                           const struct store_env *env,
                                           struct slice found,
                                           struct errmsg *why);
/* The first half of it, as store_conf.recognise. */
struct whose {
    const struct store_conf *conf;
    const struct store_env *env;
};
MUST_USE enum err recover_recognise(const void *whose, struct slice identity,
                                    struct errmsg *why);

/* ---- roles and marks ---- */

/* Who opens a store. Only a node signs, and opens logs of its own. */
enum store_role {
    ROLE_NODE,
    ROLE_MENDED, /* the same, with an index to be made anew */
    ROLE_SOURCE, /* is copied from, and nobody else has it */
    ROLE_BESIDE, /* the same, read beside the node that has it */
    ROLE_COPY,   /* is being copied to: takes logs as they are */
    ROLE_FOLLOW, /* of a process that stands by */
};

/* Why no node may open a store. */
enum mark_state {
    MARK_NONE = 0,
    MARK_COPY = 1,  /* an unfinished copy of `where` */
    MARK_MOVED = 2, /* goes on at `where` */
};
enum { MARK_ID_LEN = 16, MARK_WHERE_MAX = 256 };
struct mark {
    enum mark_state state;
    uint8_t id[MARK_ID_LEN]; /* of the copy; the same at both ends */
    int64_t at_ms;           /* wall clock */
    char where[MARK_WHERE_MAX];
};
MUST_USE enum err mark_load(struct store *s, struct mark *out,
                            struct errmsg *why);
/* Commits it, and with it an identity that every build refuses, or accepts
 * again if the state is MARK_NONE. Writer, or before it runs. */
MUST_USE enum err mark_write(struct store *s, const struct mark *mark,
                             struct errmsg *why);
/* ERR_CONF with what to do, unless there is no mark. */
MUST_USE enum err mark_refuse(struct store *s, struct errmsg *why);
/* Opens for a role other than ROLE_NODE. ERR_CONF: it is not for that role. */
MUST_USE enum err store_open_as(struct store **out, enum store_role role,
                                const struct backend *backend,
                                const struct store_conf *conf,
                                const struct store_env *env,
                                struct errmsg *why);
const struct backend *backend_of(const struct store_conf *conf);

/* ---- patrol ---- */

struct patrol {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool runs;
    _Atomic bool stop;
};
MUST_USE enum err patrol_start(struct store *s, struct errmsg *why);
/* Joins. */
void patrol_stop(struct store *s);

/* ---- following ---- */

struct follow_thread {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool runs;
    bool stop;       /* lock */
    bool complained; /* thread */
};
/* Takes in what another process commits. Before any other thread. */
MUST_USE enum err follow_start_thread(struct store *s, struct errmsg *why);
/* Joins. */
void follow_stop_thread(struct store *s);

/* ---- reads ---- */

struct unpacked;
struct block_cache {
    pthread_mutex_t lock;
    struct unpacked **slots; /* sets of CACHE_WAYS */
    size_t sets;             /* a power of two */
    size_t hand;             /* who goes next */
    size_t bytes;
    size_t bytes_max;
    uint64_t epoch; /* one more each time it is cleared */
    struct block_codec *codecs[CODECS_MAX]; /* free ones */
    size_t codecs_n;
};
void cache_init(struct block_cache *cache, size_t bytes_max);
void cache_fini(struct block_cache *cache);
/* Forgets everything: a log was cut. */
void cache_clear(struct block_cache *cache);
struct block_codec *codec_take(struct block_cache *cache);
void codec_give(struct block_cache *cache, struct block_codec *codec);

/* Locks the database for reading; ERR_UNAVAILABLE, unlocked, while there is
 * none, or if it takes longer than DB_ENTER_MS to change. Not twice on one
 * thread: what is called in between reads no store. */
enum { DB_ENTER_MS = 5000 };
MUST_USE enum err db_enter(struct store *s);
/* The same without waiting; ERR_BUSY. */
MUST_USE enum err db_enter_now(struct store *s);
void db_leave(struct store *s);
/* Nobody reads from one to the other; the first waits for those who do, and
 * each of them ends by the times of its backend. Nothing that a network can
 * delay comes between the two. Writer. */
void db_change_begin(struct store *s);
void db_change_end(struct store *s);
/* After a read of the index `generation` that ended with `err`: looks whether
 * it counts (recover_generation_lasts()), and leaves. */
MUST_USE enum err db_leave_index(struct store *s, uint8_t generation,
                                 enum err err, struct errmsg *why);
/* Says on a log line and in stats what a failed read met; returns `err`. */
enum err read_failed(struct store *s, enum err err, const struct errmsg *why);
/* Complete nodes and leaves of the committed log; `ctx` is its slot. */
enum err store_tree_node(void *ctx, unsigned level, uint64_t index,
                         struct hash *out);
struct tree_view slot_view(struct log_slot *slot, uint64_t size);
MUST_USE enum err slot_entry(struct log_slot *slot, uint64_t number,
                             struct buf *out);

/* ---- the store ---- */

struct store {
    const struct backend *backend;
    enum store_role role;
    struct mark mark; /* as it was found */
    struct store_conf conf;
    char *path; /* conf.path */
    struct store_env env;
    struct whose whose; /* both, for conf.recognise */
    char *federation;
    struct log_ctx log;

    pthread_rwlock_t db_lock;     /* held for writing only while db changes */
    pthread_mutex_t db_wait_lock; /* of who finds it changing */
    pthread_cond_t db_changed;    /* db_wait_lock */
    void *db;                     /* db_lock; NULL: none now */
    bool db_readonly;             /* writer */

    struct heads heads;
    struct queue queue;
    struct block_cache cache;
    struct stamps stamps;
    struct listed_cache listed;
    struct tree_kept tree_kept;
    pthread_t writer;
    bool writer_runs;
    _Atomic bool stopping; /* store_stopping() */
    bool given_up;         /* writer: the last commit was never read back, so
                              what follows it is not known: no more commits */
    struct block_codec *codec;      /* writer */
    _Atomic uint32_t own_id;        /* the log that store_submit() appends to */
    _Atomic uint32_t directives_id; /* and store_publish(); 0: none yet */
    _Atomic uint64_t nodes_changes; /* store_nodes_changes() */
    struct rules rules;
    size_t pulling; /* writer: own records logs that come back */
    _Atomic bool awaits_parent;
    uint64_t salvaged;      /* writer: drafts set aside */
    uint64_t salvage_seq;   /* writer: next free */
    bool rules_owed;        /* writer: a fold failed; the next commit folds */
    bool judging_due;       /* writer: lists_settle() has work */
    uint64_t salvage_from;  /* writer: none is below */
    uint64_t serial;        /* writer: of the last commit */
    _Atomic uint64_t known; /* the same, for who connects */
    /* The database knows fewer commits: what is read there is not what was
     * stored. */
    _Atomic bool put_back;
    bool background_failed; /* writer: until the next start */
    int64_t background_ms;  /* writer: tried again then; 0: nothing failed */
    struct hold hold;       /* heads.lock; the writer reads without it */
    int serial_fd;          /* writer; -1: none */
    struct patrol patrol;
    struct follow_thread follow;
    _Atomic int64_t trust_until_ms; /* of a follower: store_stamp_holds() */
    _Atomic bool damaged;           /* changes under state_lock */
    char damage[DAMAGE_MAX];        /* state_lock */
    uint64_t damages;               /* state_lock: how often some was found */
    /* writer: where judging again goes on; origin 0: nothing to do,
     * REJUDGE_ALL: keys of several origins came */
    uint64_t rejudge_origin;
    uint32_t rejudge_log;
    uint64_t rejudge_number;
    bool key_unsaved; /* writer: judge again when there is room */
    uint32_t looks;   /* writer: groups until rows are presumed new again */
    _Atomic uint8_t generation;
    _Atomic bool other_keyring; /* than the index was made with */

    struct {
        store_watch_fn *fn;
        void *ctx;
    } watchers[WATCHERS_MAX];
    size_t watchers_n; /* watch_lock, held while they are called */
    pthread_mutex_t watch_lock;

    _Atomic uint64_t commits;
    _Atomic int64_t issues;
    _Atomic int unwritable; /* enum err, ERR_OK: it takes writes */
    pthread_mutex_t state_lock;
    char why[ITEM_WHY_MAX];  /* state_lock */
    int64_t complained_at_s; /* state_lock: last STORE-CORRUPT line */
};

#endif
