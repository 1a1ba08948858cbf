/* store.h - the logs a node holds, their trees and the index over them.
 *
 * One writer thread does all commits and groups them: whatever waits goes into
 * one atomic, synced batch. Reads run on the caller's thread and see committed
 * state only. Databases stop here: callers see logs, entries and rows.
 *
 * Threads:   every function from any thread, unless it says otherwise.
 * Callbacks: exactly once, on the writer thread, never before the call that
 *            took them returned, never at all if that call returned an error.
 *            They must not block and not call the store's blocking functions.
 * Backends:  store/rocksdb/rocksdb.c, store/mariadb/mariadb.c, tests'
 * store_scripted.c; private, held equal by tests/contract/test_store*.c. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "mlog/block.h"
#include "mlog/checkpoint.h"
#include "mlog/entry.h"
#include "mlog/tree.h"

struct store;
struct keyring;

enum {
    SEGMENT_ENTRIES_MAX = 8192,
    SEGMENT_BYTES_MAX = BLOCK_HEADER_LEN + BLOCK_RAW_MAX, /* packed */
    DRAFTS_MAX = 1024, /* of one submission */
    SOURCE_LEN = 16,
    SUBJECT_KEY_MAX = 64,
    ROWS_NOW_MAX = 16,
};

/* Refused: certainly not written. There is no third outcome for callers: after
 * an uncertain commit the store itself reads back before it answers. */
enum log_state {
    LOG_ACTIVE = 1,  /* grows */
    LOG_CLOSED = 2,  /* an own log with a successor; read-only, complete */
    LOG_PULLING = 3, /* the same, its lost tail still comes back from above */
    LOG_FORKED = 4,  /* stopped for good: two signed heads do not agree */
    LOG_ABSENT = 0,
};
const char *log_state_name(enum log_state state);

/* What is known of one log; a copy, consistent in itself. */
struct store_head {
    struct log_id log;
    enum log_state state;
    bool own;
    struct frontier frontier; /* at the durable size */
    struct hash root;         /* at the durable size */
    struct checkpoint newest; /* newest checkpoint, its size ≥ the log's */
    struct bridge bridge;     /* from the durable size to newest.size */
    uint64_t end; /* the size that its successor names; 0: it names none */
};

/* Where the index finds a subject. Organisations: kind and identifier.
 * Persons: kind and a token under this holder's own secret. */
struct subject_key {
    uint8_t len;
    uint8_t b[SUBJECT_KEY_MAX];
};

/* The current version of one record. */
struct store_row {
    struct subject_key subject;
    uint8_t record_key[RECORD_KEY_LEN];
    struct log_id log;
    uint64_t number;
    uint32_t version;
    uint16_t item;
    uint8_t status;
    uint8_t disclosure;
    uint32_t decided;
    uint32_t until;
    uint32_t publish_until;
};

/* A MariaDB server (docs/decisions/0011-mariadb-store.md). "" is nothing;
 * strings outlive the store. */
struct store_mariadb_conf {
    const char *socket;  /* or */
    const char *address; /* host:port */
    const char *database;
    const char *user;
    const char *password_file;
    const char *tls_ca; /* "": no TLS, to this machine only */
    const char *tls_cert;
    const char *tls_key;
    uint32_t connections; /* for reads; one more writes */
    uint32_t connect_ms;
    uint32_t timeout_ms; /* of one statement */
    bool shared;         /* with other processes of the node: lease.h */
    uint32_t socket_ms;  /* longest silence of a server that is there; 0: 5 s
                            more than timeout_ms */
    /* For messages: its section of the configuration, and what to do without
     * rights. NULL: "mariadb", GRANT ALL. Who names rights is a guest: whether
     * the server may forget what it committed is not asked. */
    const char *section;
    const char *rights;
};

struct store_conf {
    const char *path; /* folder, made if missing */
    /* database NULL: in the folder, by RocksDB. */
    struct store_mariadb_conf mariadb;
    /* Pages of the database, unless a server has them, blocks unpacked and, of
     * a server's, rows about lists; all together. */
    uint64_t cache_bytes;
    uint64_t write_buffer_bytes;
    uint64_t reserve_bytes; /* free disk below which writes are refused */
    uint32_t queue_max;     /* submissions and segments waiting */
    uint64_t queue_bytes_max;
    /* This node has a parent: what is submitted to a new store waits until
     * store_parent_told(), because the parent may hold older logs of this node,
     * and a record there may have later versions than the new store knows. */
    bool has_parent;
    /* Everything is read and checked in the background this long after the
     * last time; 0: never. */
    uint32_t scrub_interval_ms;
    /* Set by the store itself, for its backend: which opening of a store this
     * is, and whether it had the database before. */
    uint64_t instance;
    bool reopened;
    /* The same: how many commits it has seen. A server that knows fewer was put
     * back, or is another one, and is not asked. NULL or 0: any will do. */
    const _Atomic uint64_t *known;
    /* The same: is a database of this META_IDENTITY this store's? ERR_CONF. For
     * a backend in whose place another one may stand: it asks before it changes
     * anything there. NULL: any will do. */
    enum err (*recognise)(const void *ctx, struct slice identity,
                          struct errmsg *why);
    const void *recognise_ctx;
};

struct store_env {
    enum suite suite;
    const char *federation;
    uint64_t self;                 /* node code */
    const struct identity *signer; /* outlives the store */
    struct keyring *keyring;       /* outlives the store; may be NULL: no
                                      sealed value can be indexed */
    struct rootchain *roots;       /* outlives the store; NULL: no directive
                                      takes effect */
    const struct log_ctx *log;
    /* Told once that damage was found in what is stored; the next open
     * rebuilds the store. Any thread, must not block or call the store.
     * May be NULL. */
    void (*damaged)(void *ctx, const char *what);
    /* Until when no other process can have written (monotonic, ms). NULL:
     * never can one. Any thread; asked with each answer from memory. */
    int64_t (*alone_until_ms)(void *ctx);
    /* Another process has taken the database: this store writes no more. Who
     * writes by right opens it anew. Writer thread, must not block or call the
     * store; told again as long as it is so. May be NULL. */
    void (*replaced)(void *ctx);
    /* Of a store opened beside: who writes, for people. Any thread. */
    void (*who_writes)(void *ctx, char *out, size_t cap);
    void *ctx;
};

/* Opens or makes the store; checks every head against its tree; opens the
 * node's records log (entry 1 is ENTRY_OPEN) if there is none. A store that
 * is marked as damaged, or turns out to be, is rebuilt from what can be read
 * of it (docs/decisions/0006-damaged-store.md), on a server in place. Blocks,
 * then for long.
 * ERR_CONF (belongs to another node, suite or federation), ERR_CORRUPT,
 * ERR_NO_SPACE, ERR_BUSY (another process has it). */
MUST_USE enum err store_open(struct store **out, const struct store_conf *conf,
                             const struct store_env *env, struct errmsg *why);
/* Opens beside another process of the node, which writes: for reads, and
 * follows its commits; whatever would write is refused. ERR_NOT_FOUND: there is
 * nothing yet; ERR_CONF, ERR_UNAVAILABLE. */
MUST_USE enum err store_open_beside(struct store **out,
                                    const struct store_conf *conf,
                                    const struct store_env *env,
                                    struct errmsg *why);
/* Refuses new work, finishes what waits, joins the writer. Blocks. */
void store_close(struct store **store);
/* Takes no more, and answers what waits: with ERR_UNCERTAIN where the database
 * does not come back. Before parts are ended that wait for their callbacks. */
void store_closing(struct store *store);
/* The node is about to end: takes on what comes, but ends a reindex, and waits
 * no longer for a commit whose outcome the database cannot tell. Who asked for
 * it is told ERR_UNCERTAIN, and nothing is written any more. Any thread. */
void store_stopping(struct store *store);

/* From now on signs with `signer`, which outlives the store: the certificate
 * was renewed. Signs the heads of this node's logs anew. Blocks; not on the
 * writer thread. */
MUST_USE enum err store_renew(struct store *store,
                              const struct identity *signer,
                              struct errmsg *why);

/* ---- the node's own records ---- */

enum draft_outcome {
    DRAFT_NEW,       /* version 1 */
    DRAFT_CHANGED,   /* a new version */
    DRAFT_UNCHANGED, /* what is stored already; nothing written */
    DRAFT_PENDING,   /* durable, gets its number when a pulled log is whole */
};
struct draft_result {
    enum draft_outcome outcome;
    uint32_t version;
    struct log_id log;
    uint64_t number;
};
typedef void store_submitted_fn(void *ctx, enum err err, const char *why,
                                const struct draft_result *results, size_t n);
/* Appends encoded entries (version and predecessor left 0: the store fills
 * them in) to the own records log, all or none. Copies them. Whether a draft
 * is unchanged is told by the content digest in its body (record.h); an
 * execution that says `hit` is unchanged whatever is stored of it. ERR_BUSY:
 * queue full, try again; ERR_NO_SPACE; ERR_TOO_LARGE; ERR_ELSEWHERE:
 * this process stands by. */
MUST_USE enum err store_submit(struct store *store, const struct slice *drafts,
                               size_t n, store_submitted_fn *done, void *ctx);

/* Where a draft came from, if the same may be offered again: a name of the
 * source, and what it said. Both are hashes or the like. */
struct draft_source {
    uint8_t name[SOURCE_LEN];
    uint8_t content[SOURCE_LEN];
};
/* What the last draft of a source said, and what became of it. */
struct source_taken {
    uint8_t content[SOURCE_LEN];
    uint8_t record_key[RECORD_KEY_LEN];
    struct draft_result result;
};
/* store_submit(), and in the same commit what becomes of each draft is kept
 * under the name of its source. */
MUST_USE enum err store_submit_from(struct store *store,
                                    const struct slice *drafts,
                                    const struct draft_source *sources,
                                    size_t n, store_submitted_fn *done,
                                    void *ctx);
/* ERR_NOT_FOUND: nothing was taken from it. Not derived from the logs: a store
 * that is rebuilt or lost knows no sources. */
MUST_USE enum err store_source(struct store *store,
                               const uint8_t name[SOURCE_LEN],
                               struct source_taken *out, struct errmsg *why);
/* The id of the log that store_submit() appends to. */
struct log_id store_own_log(struct store *store);

/* ---- directives ---- */

struct package;
typedef void store_published_fn(void *ctx, enum err err, const char *why,
                                const struct log_id *log, uint64_t first,
                                uint64_t last);
/* Appends the package to the node's own directives log, which is opened if
 * there is none, all or none; entries `first` to `last`. By callback:
 * ERR_BAD_SIGNATURE (says what is missing), ERR_EXISTS (it was published),
 * ERR_DENIED (of another issuer or federation, or past its last day),
 * ERR_BUSY: an own log still comes back from above. Copies the package. */
MUST_USE enum err store_publish(struct store *store,
                                const struct package *package,
                                store_published_fn *done, void *ctx);
/* Opens the node's own directives log with nothing in it, before a first
 * publication does. ERR_EXISTS: there is one; ERR_BUSY as above. Blocks; not on
 * the writer thread. */
MUST_USE enum err store_open_directives(struct store *store, struct log_id *out,
                                        struct errmsg *why);
/* Calls `fn` for every directives log held here, whoever's it is. */
typedef bool store_log_fn(void *ctx, const struct store_head *head);
void store_directives(struct store *store, store_log_fn *fn, void *ctx);
/* The own log that grows by store_publish(). ERR_NOT_FOUND: none yet. */
MUST_USE enum err store_directives_log(struct store *store, struct log_id *out);
/* The root document changed: what was signed is judged anew. Blocks; not on
 * the writer thread. */
MUST_USE enum err store_judge_again(struct store *store, struct errmsg *why);

/* How many directives logs a node has to do with: of one issuer, which opens
 * another one each time it lost the last, and in all, of the node itself and
 * one authority above it at each tier. */
enum {
    LISTS_ISSUERS_MAX = 6,
    LISTS_ISSUER_LOGS_MAX = 32,
    LISTS_LOGS_MAX = LISTS_ISSUERS_MAX * LISTS_ISSUER_LOGS_MAX,
};
/* Begins as 0. Who opens many logs takes no other issuer's place. */
struct lists_quota {
    uint64_t issuers[LISTS_ISSUERS_MAX];
    unsigned logs[LISTS_ISSUERS_MAX];
};
/* Counts one more log of the issuer; false: that is one too many. */
bool lists_quota_take(struct lists_quota *quota, uint64_t issuer);

/* One state of the lists: of each directives log that counts at this node (its
 * own and those of the authorities above), the entry up to which it is taken
 * into account. Of packages a reader sees all or nothing. */
struct lists_log {
    struct log_id log;
    enum log_state state;
    bool ended;       /* it has a successor, and all of it is here */
    uint64_t visible; /* everything up to this entry counts */
    uint64_t size;
    uint32_t id; /* the store's own */
    size_t voids_at;
    size_t voids_n;
    size_t aliases_at;
    size_t aliases_n;
};
struct lists_void {
    uint64_t first;
    uint64_t last;
};
/* Entries `first` to `last` are a package without effect, since the same one,
 * byte by byte, took effect elsewhere: it begins at number `place` of the log
 * `incarnation` of the same issuer. What names a decision at one of the two
 * places is about that at the other. */
struct lists_alias {
    uint64_t first;
    uint64_t last;
    uint64_t incarnation;
    uint64_t place;
};
struct lists_view {
    struct lists_log logs[LISTS_LOGS_MAX];
    size_t n;
    struct lists_void *voids; /* owned; packages without effect */
    size_t voids_n;
    struct lists_alias *aliases; /* owned */
    size_t aliases_n;
};
void lists_view_take(struct store *store, struct lists_view *out);
void lists_view_fini(struct lists_view *view);

/* A listing; in force, unless more was asked for. */
struct store_listing {
    struct log_id log; /* and number: its name for ever */
    uint64_t number;
    struct log_id text_log; /* the entry that holds its values now */
    uint64_t text;
    uint16_t list;
    uint32_t decided; /* yyyymmdd */
    uint32_t from;
    uint32_t until; /* 0: open */
    bool removed;
    uint32_t
        removed_on; /* decided: the earliest of its removals; 0: not said */
};
typedef bool store_listing_fn(void *ctx, const struct store_listing *listing);
/* Listings of a subject in force on `today` (yyyymmdd, China), or with `all`
 * also those that are over or begin later, with `removed` also those that were
 * ended by a removal, in order of log and number. `met` (may be NULL): whether
 * there is anything about the subject at all. */
struct listing_query {
    const struct lists_view *view;
    const struct subject_key *subject;
    uint32_t today;
    bool all;
    bool removed;
    bool now; /* from memory only; ERR_BUSY: ask without it */
};
MUST_USE enum err store_listings(struct store *store,
                                 const struct listing_query *query,
                                 store_listing_fn *fn, void *ctx, bool *met);
/* The same of `n` subjects, which rise (memcmp() of their bytes, one length);
 * the query's own is not used. `place` is the subject's among them. Cheaper
 * than one by one. */
typedef bool store_listing_of_fn(void *ctx, size_t place,
                                 const struct store_listing *listing);
MUST_USE enum err store_listings_of(struct store *store,
                                    const struct listing_query *query,
                                    const struct subject_key *subjects,
                                    size_t n, store_listing_of_fn *fn,
                                    void *ctx);

struct listing_place; /* credit/listing.h */
/* A removal that counts here and ends this listing of the subject, which itself
 * may not be here: `by` says where it stands, its number is 0 if there is none.
 */
MUST_USE enum err store_removal_of(struct store *store,
                                   const struct lists_view *view,
                                   const struct subject_key *subject,
                                   const struct listing_place *listing,
                                   struct listing_place *by);

/* A decision about a node (credit/registry.h) of a package that took effect. */
struct store_node {
    struct log_id log;
    uint64_t number;
    uint8_t what; /* enum registry_what */
    uint64_t code;
    uint64_t parent;  /* about one of its logs: that log's incarnation */
    uint32_t decided; /* yyyymmdd */
    int64_t at_ms;
};
typedef bool store_node_fn(void *ctx, const struct store_node *node);
/* All there ever were in the logs of `view`, in order of log and number. */
MUST_USE enum err store_nodes(struct store *store,
                              const struct lists_view *view, store_node_fn *fn,
                              void *ctx);
/* Another number after each commit by which store_nodes() may tell something
 * else; it is so before watchers are told of the commit. */
uint64_t store_nodes_changes(struct store *store);

/* A catalogue version or measure of a package that took effect, and whether it
 * is in force. The catalogue itself: catalogue_now(), measures_at(). */
struct store_rule {
    struct log_id log;
    uint64_t number;
    uint8_t type; /* ENTRY_CATALOGUE, ENTRY_MEASURE */
    uint32_t version;
    uint32_t decided;  /* yyyymmdd */
    const char *fault; /* NULL: it counts; else catalogue_change_text() */
};
typedef bool store_rule_fn(void *ctx, const struct store_rule *rule);
/* Versions in their order, then measures by id. `fn` is called under a lock and
 * asks the store nothing. */
void store_rules(struct store *store, store_rule_fn *fn, void *ctx);
/* No other issuer of the root document in force stands above this one? */
bool store_is_highest(const struct store *store, uint64_t code);

/* ---- other nodes' logs ---- */

/* A verified run of entries; made by sync, consumed by store_append(). */
struct segment {
    struct log_id log;
    uint64_t first;         /* number of the first new entry */
    size_t count;           /* new entries */
    struct frontier before; /* at first - 1 */
    struct frontier after;  /* at first + count - 1 */
    struct hash *leaves;    /* count, owned */
    struct slot *slots;     /* count, owned; bytes point into raw */
    struct buf raw;         /* what the blocks unpack to, owned */
    struct buf blocks;      /* packed blocks as they came, owned */
    struct block_ref *refs; /* where the blocks are, owned */
    size_t refs_count;
    struct checkpoint newest;
    struct buf note;      /* its signed bytes, owned */
    struct bridge bridge; /* from the end to newest.size */
    struct buf chain;     /* signing certificates; empty: as before */
};
/* A packed block: entries from number `first`, which may be before the
 * segment's first if the sender's block boundaries are others. */
struct block_ref {
    uint64_t first;
    uint32_t count;
    uint32_t offset;
    uint32_t len;
};
struct segment *segment_new(void);
void segment_free(struct segment **segment);
/* Do its entries bring or need seal keys? Those are kept in a file, so that
 * store_append() may wait for a disk. What cannot be decoded counts as such. */
bool segment_has_keys(const struct segment *segment);

/* `size` is that of the log now; `added` of its entries this segment brought.
 */
typedef void store_appended_fn(void *ctx, enum err err, const char *why,
                               const struct log_id *log, uint64_t size,
                               uint64_t added);
/* Takes the segment (set to NULL) unless it returns an error. Written only if
 * the log's head is still `before`; a run that is there already is compared by
 * root and answered ERR_OK, one that overlaps is trimmed. ERR_GAP (by
 * callback): the head is behind. ERR_CONFLICT (by callback): other bytes under
 * the same numbers. ERR_BUSY: queue full; by callback: a newer signed head than
 * the segment's is held, whose entries are not all here. ERR_FORKED (by
 * callback): the segment is of another tree than the head that is held. */
MUST_USE enum err store_append(struct store *store, struct segment **segment,
                               store_appended_fn *done, void *ctx);
/* Would store_append() take so many bytes of entries now? */
bool store_has_room(struct store *store, size_t bytes);
/* The same for a thread that may not wait, after store_has_room() said yes: the
 * segment is taken though others filled the queue since. */
MUST_USE enum err store_append_now(struct store *store,
                                   struct segment **segment,
                                   store_appended_fn *done, void *ctx);
/* Stops a log for good and keeps the evidence: our signed head and the other
 * one. Idempotent. Synced before it returns; not on the writer thread.
 * ERR_EXISTS, and nothing is done: the log is this node's own, and the other
 * head is one of the tree that is here by now, or comes back. */
MUST_USE enum err store_mark_forked(struct store *store,
                                    const struct log_id *log,
                                    struct slice other_note,
                                    const char *reason);

/* ---- heads and trees ---- */

MUST_USE enum err store_head(struct store *store, const struct log_id *log,
                             struct store_head *out);
/* The signed bytes of the newest checkpoint and the signer's chain. Either
 * buffer may be NULL. */
MUST_USE enum err store_note(struct store *store, const struct log_id *log,
                             struct buf *note, struct buf *chain);
/* Of a forked log: the other signed head, or its successor's where that names
 * another end. ERR_NOT_FOUND: no such head is kept. */
MUST_USE enum err store_fork_note(struct store *store, const struct log_id *log,
                                  struct buf *note);
/* Calls `fn` for every log in order of log_id_cmp(), from a copy of the list;
 * stops if it returns false. */
void store_logs(struct store *store, store_log_fn *fn, void *ctx);
size_t store_log_count(struct store *store);
/* A view of the log's tree for proofs, valid while the store is open and the
 * log is not truncated. `head` must outlive it. */
struct tree_view store_view(struct store *store, const struct store_head *head);
/* Told after each commit which logs changed (heads are visible already), on
 * the writer thread. At most 4 watchers, set before work begins. */
typedef void store_watch_fn(void *ctx, const struct log_id *logs, size_t n);
void store_watch(struct store *store, store_watch_fn *fn, void *ctx);
/* The watcher is not called any more once this returns; not from within it. */
void store_unwatch(struct store *store, store_watch_fn *fn, void *ctx);

/* ---- entries ---- */

/* Packed blocks covering `from` and following ones, at most `max_bytes` (at
 * least one block) and not past `last`'s block. The first may begin before
 * `from`. Appends bytes to `blocks` and fills `refs` (room for `refs_max`;
 * offsets into `blocks`). ERR_NOT_FOUND: nothing there; ERR_CORRUPT. */
MUST_USE enum err store_blocks(struct store *store, const struct log_id *log,
                               uint64_t from, uint64_t last, size_t max_bytes,
                               struct buf *blocks, struct block_ref *refs,
                               size_t refs_max, size_t *count);
/* One entry's bytes, appended; checked against its leaf in the tree is the
 * caller's choice (store_entry_verified). ERR_NOT_FOUND, ERR_SEALED (erased).
 */
MUST_USE enum err store_entry(struct store *store, const struct log_id *log,
                              uint64_t number, struct buf *out);
/* From memory only, for threads that must not wait for a disk. ERR_BUSY: ask
 * store_entry() on another thread. */
MUST_USE enum err store_entry_now(struct store *store, const struct log_id *log,
                                  uint64_t number, struct buf *out);
/* The same, and what the database still has in memory, such as what has just
 * come: that is unpacked for it, so it is for one entry, not for many. */
MUST_USE enum err store_entry_in_memory(struct store *store,
                                        const struct log_id *log,
                                        uint64_t number, struct buf *out);
/* Before the entries of several rows are read one after the other: takes their
 * blocks into the cache, those that are not there, by one question to a
 * database server. Of at most STORE_AHEAD_MAX rows; nothing where a read is no
 * trip. What fails shows when the entry is read. */
enum { STORE_AHEAD_MAX = 16 };
void store_ahead(struct store *store, const struct store_row *rows, size_t n);

/* ---- index ---- */

void subject_key_org(struct subject_key *out, enum subject_kind kind,
                     struct slice identifier);
/* A person's: token of the identifier under this holder's secret. */
MUST_USE enum err subject_key_person(struct keyring *keyring,
                                     struct slice identifier,
                                     struct subject_key *out);
typedef bool store_row_fn(void *ctx, const struct store_row *row);
/* Current rows of a subject, from one snapshot, in order of record key and
 * owner; stops if `fn` returns false. `fn` calls no store. */
MUST_USE enum err store_subject(struct store *store,
                                const struct subject_key *subject,
                                store_row_fn *fn, void *ctx);
/* The same from memory only, and at most ROWS_NOW_MAX rows. ERR_BUSY: ask
 * store_subject() on another thread; `fn` was called for some rows. */
MUST_USE enum err store_subject_now(struct store *store,
                                    const struct subject_key *subject,
                                    store_row_fn *fn, void *ctx);
/* `origin` owns the record: one key used by two owners is two records.
 * ERR_NOT_FOUND. */
MUST_USE enum err store_row(struct store *store,
                            const struct subject_key *subject,
                            const uint8_t record_key[RECORD_KEY_LEN],
                            uint64_t origin, struct store_row *out);

/* Entries that are carried on without effect. */
enum entry_effect { EFFECT_VOID = 1, EFFECT_UNINDEXED = 2 };
struct store_issue {
    struct log_id log;
    uint64_t number;
    enum entry_effect effect;
    char reason[96];
};
typedef bool store_issue_fn(void *ctx, const struct store_issue *issue);
/* All of them, in order of log and number; those that come or go meanwhile may
 * be among them or not. `fn` may block. */
MUST_USE enum err store_issues(struct store *store, store_issue_fn *fn,
                               void *ctx);

/* ---- recovery ---- */

/* The own log `log` was rolled back: the parent holds `peer_size` entries of
 * it with `peer_root`, and `common` is the longest prefix both agree on. In
 * one commit: the tail past `common` is set aside, the log becomes PULLING
 * with goal peer_size (CLOSED if common == peer_size), and a new incarnation
 * opens whose entry 1 names (log, peer_size, peer_root). What was set aside,
 * and what is submitted meanwhile, is appended to the new log when the old
 * one is whole. `note` is the parent's checkpoint, signed by this node.
 * Blocks; not on the writer thread. */
MUST_USE enum err store_succeed(struct store *store, const struct log_id *log,
                                uint64_t common, uint64_t peer_size,
                                const struct hash *peer_root, struct slice note,
                                struct errmsg *why);

/* True while a store that is new, or whose log was rolled back, waits for
 * store_parent_told(). */
bool store_awaits_parent(struct store *store);
/* The parent named all logs of this node that it has, and they are here or
 * PULLING. Blocks; not on the writer thread. */
MUST_USE enum err store_parent_told(struct store *store, struct errmsg *why);
/* The parent holds no more of the PULLING log `log` than has come back: what
 * is missing behind it is nowhere. Closes the log as it is and lists the gap
 * as an issue. `known_above`: the parent holds some of it. Blocks; not on the
 * writer thread. */
MUST_USE enum err store_end_pull(struct store *store, const struct log_id *log,
                                 bool known_above, struct errmsg *why);
/* The parent holds more of the CLOSED log `log` of this node than came back:
 * entries that were still on their way, or of a twin of this node that wrote
 * on. It is PULLING again, up to `size` entries with `root`, of which the
 * caller knows that what is here is a beginning. ERR_EXISTS: a log that follows
 * it names its end. Blocks; not on the writer thread. */
MUST_USE enum err store_resume_pull(struct store *store,
                                    const struct log_id *log, uint64_t size,
                                    const struct hash *root,
                                    struct errmsg *why);

/* How many entries of `total` are done. False: the work is ended there, with
 * ERR_CANCELLED. Called on the thread of who waits for it, again and again
 * (also if nothing moved), so it may block: the store does not wait for it. */
typedef bool store_progress_fn(void *ctx, uint64_t done, uint64_t total);
/* Rebuilds the index from the logs. Blocks; writes go on afterwards. If it does
 * not come to its end the old index stays, and the next one begins anew.
 * `progress` may be NULL. */
MUST_USE enum err store_reindex(struct store *store,
                                store_progress_fn *progress, void *ctx,
                                struct errmsg *why);
/* Reads every block, hashes every entry and compares with tree and heads;
 * `bad` is called for each fault found: ERR_CORRUPT. A read that failed for a
 * reason that passes is no fault and marks nothing: that error, if there was no
 * fault. ERR_CANCELLED as `progress` (may be NULL) says. Blocks. */
typedef void store_fault_fn(void *ctx, const struct log_id *log,
                            uint64_t number, const char *what);
MUST_USE enum err store_scrub(struct store *store, store_fault_fn *bad,
                              store_progress_fn *progress, void *ctx);
/* Damage that was found in a store on a server stays known until a start mends
 * the database, or a scrub finds none: somebody may have put it right while the
 * node ran. store_damages() before the scrub, store_damage_end() with that
 * number after it was ERR_OK: what was found meanwhile stays. `ended`: there
 * was some, and it is over. Does nothing to an embedded store. Blocks. */
uint64_t store_damages(struct store *store);
/* Takes a mark of damage that another process of the node left for damage found
 * here: one that stands by cannot mend. Does nothing to an embedded store. Any
 * thread; reads a file. */
void store_damage_look(struct store *store);
MUST_USE enum err store_damage_end(struct store *store, uint64_t damages,
                                   bool *ended, struct errmsg *why);

/* Makes a copy of an embedded store as of now in the folder `path`, in place of
 * what is there: hard links, so next to no room until this store moves on. For
 * copy.h. ERR_UNSUPPORTED: of this backend none is needed. */
MUST_USE enum err store_snapshot(struct store *store, const char *path,
                                 struct errmsg *why);

/* True if entries of this own log were lost or may have been: it does not grow,
 * what is submitted waits, until store_succeed() closed it at the size that
 * the parent or this node holds. */
bool store_in_doubt(struct store *store, const struct log_id *log);
/* The same decision where there is no parent to ask: closes a log in doubt as
 * it is. Blocks; not on the writer thread. */
MUST_USE enum err store_settle(struct store *store, struct errmsg *why);

/* ---- what is known of the tiers above ---- */

struct store_above {
    enum tier tier;
    uint64_t code;
    uint64_t size; /* durable there */
};
enum { ABOVE_MAX = 6 };
/* Remembered in memory, written along with a later commit. */
void store_set_above(struct store *store, const struct log_id *log,
                     const struct store_above *above, size_t n);
size_t store_above(struct store *store, const struct log_id *log,
                   struct store_above out[ABOVE_MAX]);

struct store_stats {
    uint64_t entries; /* of all logs */
    uint64_t bytes_on_disk;
    uint64_t free_bytes;
    uint64_t queued;  /* waiting for the writer */
    uint64_t commits; /* since start */
    uint64_t issues;
    bool writable; /* false: see why */
    bool beside;   /* another process writes: see why */
    char why[160];
    bool awaits_parent; /* records wait (store_awaits_parent()) */
    bool other_keyring; /* than the index was made with: no person is found */
    bool damaged;       /* and what to do about it: */
    const char *damage_todo;
    char damage[256];
};
void store_stats(struct store *store, struct store_stats *out);

#endif
