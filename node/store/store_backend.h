/* store_backend.h - what a database must provide. Private to store/ and its
 * tests.
 *
 * In terms of the domain: logs have a small local number (`log`, u32), blocks,
 * tree nodes, parts (head, note, …) and index rows. The store decides what is
 * written; a backend keeps it, all or nothing, and gives it back.
 *
 * Threads:  batches are made, filled and committed by one thread at a time,
 *           which renews, too; reads come from any thread. No call runs during
 *           open and close.
 * Errors:   of a commit: ERR_OK durable; ERR_NO_SPACE certainly not written;
 *           ERR_EXISTS the same, because of put_new_row();
 *           ERR_CORRUPT the database met damage and stopped; ERR_UNCERTAIN
 *           anything else: after these two the store closes, opens again and
 *           compares META_SERIAL. Of a read: ERR_CORRUPT names the file in
 *           `why`; ERR_IO. */
#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include "store/store.h"

enum { DIGEST_LEN = 16, ROWS_BATCH_MAX = 1024, PLACES_MAX = STORE_AHEAD_MAX };

/* Small values that belong to one log. The numbers are on disk. */
enum log_part {
    PART_HEAD = 1,  /* store_heads.c */
    PART_NOTE = 2,  /* newest checkpoint as signed */
    PART_CHAIN = 3, /* its signer's certificates */
    PART_FORK = 4,  /* evidence: the other note and the reason */
    PART_ABOVE = 5, /* durable sizes at the tiers above */
    PART_LISTS = 6, /* of a directives log: store_lists.c */
};

enum meta {
    META_IDENTITY = 1,   /* format, node, suite, federation */
    META_SERIAL = 2,     /* u64, one more with every commit */
    META_GENERATION = 3, /* u8, the index that readers use; 0: to be made */
    META_HOLD = 4,       /* struct hold (store_impl.h); empty: none */
    META_AWAIT = 5,      /* u8 1: a new store that awaits its parent */
    META_MARK = 6,       /* store_mark.c; empty: none */
    META_KEYRING = 7,    /* 32 bytes: whose secret made the tokens of the index;
                            none: not known */
};

/* Index keys: a row is found by its subject, its record key and its owner. The
 * owner is part of the key so that nobody can hide another's record by using
 * its key, and so that the order of arrival never matters. */
struct row_key {
    struct subject_key subject;
    uint8_t record_key[RECORD_KEY_LEN];
    uint64_t origin;
};

/* One index row. A record whose subject changed leaves a `moved` row under the
 * old subject, so that an older version arriving later stays hidden. */
struct row {
    struct row_key key;
    uint32_t log;
    uint64_t number;
    uint32_t version; /* 0: no such row */
    uint16_t item;
    uint8_t status;
    uint8_t disclosure;
    bool moved;
    bool has_digest; /* own records only */
    uint32_t decided;
    uint32_t until;
    uint32_t publish_until;
    uint8_t digest[DIGEST_LEN];
};

/* What one entry says about lists; never changed once written. The end of a
 * package is a row under the package's id. */
struct list_row {
    struct subject_key subject;
    uint32_t log;
    uint64_t number;
    uint8_t type; /* enum entry_type */
    uint16_t list;
    uint32_t decided;
    uint32_t from;
    uint32_t until;
    /* Of a correction or removal: the listing it is about. Of a decision about
     * a node, whose subject is that of all (lists_nodes_key()): new parent,
     * time and node; `list` is what is decided. Of a catalogue version or
     * measure (lists_rules_key()): number is its version. */
    uint64_t target_origin;
    uint64_t target_incarnation;
    uint64_t target_number;
};

/* An entry of a log. */
struct entry_place {
    uint32_t log;
    uint64_t number;
};

/* Iteration callbacks return false to stop; slices are borrowed. */
typedef bool backend_block_fn(void *ctx, uint64_t first, struct slice block);
typedef bool backend_place_fn(void *ctx, uint32_t log, uint64_t first,
                              struct slice block);
typedef bool backend_row_fn(void *ctx, const struct row *row);
typedef bool backend_list_row_fn(void *ctx, const struct list_row *row);
typedef bool backend_part_fn(void *ctx, uint32_t log, struct slice value);
typedef bool backend_change_fn(void *ctx, enum log_part part, uint32_t log);
typedef bool backend_issue_fn(void *ctx, uint32_t log, uint64_t number,
                              uint8_t reason);
typedef bool backend_salvage_fn(void *ctx, uint64_t seq, struct slice entry);
typedef bool backend_source_fn(void *ctx, const uint8_t name[SOURCE_LEN],
                               struct slice value);

struct backend {
    const char *name;
    /* What an opening for reading does not find of a doubtful commit will not
     * come later. Else only an opening for writing tells. */
    bool absence_settles;
    /* Each read is a round trip: what need not be known at opening is looked at
     * later. */
    bool distant;

    /* `readonly` opens what is there without writing a byte: for reads while
     * the disk is full. ERR_BUSY: another process has it; ERR_CONFLICT: one has
     * taken it from this store, which can commit nothing any more. */
    enum err (*open)(void **db, const struct store_conf *conf, bool readonly,
                     struct errmsg *why);
    void (*close)(void *db);
    /* Makes an open database what opening it for writing again would, while
     * reads go on; errors of `open`: it is read then, and takes no commits
     * until the next one that goes well. NULL: it is closed for that. */
    enum err (*renew)(void *db, const struct store_conf *conf,
                      struct errmsg *why);
    /* Opens what can still be read of a damaged database, for reads only; may
     * mend its catalogue of files. ERR_CORRUPT: nothing can; other errors: not
     * now, for a reason that passes. NULL: this backend is mended where it is
     * (store_mend.c). */
    enum err (*open_damaged)(void **db, const struct store_conf *conf,
                             struct errmsg *why);
    /* Reads some pages, those of blocks excepted, from where `cursor` says
     * (empty: the first) and moves it; leaves it empty after the last. */
    enum err (*check)(void *db, struct buf *cursor, struct errmsg *why);
    /* Makes a copy as of now at `path`, which is not there, to be opened for
     * reading beside this one; takes next to no room. NULL: none is needed, a
     * second process may open it for reading as it is. */
    enum err (*snapshot)(void *db, const char *path, struct errmsg *why);
    /* Free room for new data (INT64_MAX: not known), and whether the medium
     * takes writes at all. `db` NULL: there is none now. */
    enum err (*space)(void *db, const struct store_conf *conf,
                      uint64_t *free_bytes, bool *readonly);
    uint64_t (*disk_bytes)(void *db);

    /* One batch at a time; filling it cannot fail. */
    void *(*batch_new)(void *db);
    void (*batch_free)(void *batch);
    size_t (*batch_count)(void *batch);
    void (*put_block)(void *batch, uint32_t log, uint64_t first,
                      struct slice block);
    void (*put_node)(void *batch, uint32_t log, unsigned level, uint64_t index,
                     const struct hash *hash);
    /* Drops blocks that begin at number `first` or later, and tree nodes that
     * are not complete in a tree of `size` entries. */
    void (*cut_log)(void *batch, uint32_t log, uint64_t first, uint64_t size);
    void (*put_part)(void *batch, uint32_t log, enum log_part part,
                     struct slice value);
    void (*put_meta)(void *batch, enum meta meta, struct slice value);
    void (*put_row)(void *batch, uint8_t generation, const struct row *row);
    /* One of a key that has none yet: that is found out by the commit, which is
     * ERR_EXISTS if it has. NULL: looking first costs less. */
    void (*put_new_row)(void *batch, uint8_t generation, const struct row *row);
    void (*del_row)(void *batch, uint8_t generation, const struct row_key *key);
    void (*put_list_row)(void *batch, uint8_t generation,
                         const struct list_row *row);
    /* Subject, log and number name it. */
    void (*del_list_row)(void *batch, uint8_t generation,
                         const struct list_row *row);
    void (*put_issue)(void *batch, uint8_t generation, uint32_t log,
                      uint64_t number, uint8_t reason);
    void (*del_issue)(void *batch, uint8_t generation, uint32_t log,
                      uint64_t number);
    /* Rows and issues of one generation that nobody reads or that the next
     * reindex drops again, all of them; before what else is in the batch, and
     * not necessarily with it. */
    void (*drop_index)(void *batch, uint8_t generation);
    void (*put_salvage)(void *batch, uint64_t seq, struct slice entry);
    void (*del_salvage)(void *batch, uint64_t seq);
    void (*put_source)(void *batch, const uint8_t name[SOURCE_LEN],
                       struct slice value);
    enum err (*commit)(void *db, void *batch, struct errmsg *why);

    /* Blocks in order from the one that covers `from`, or the next behind it
     * if none does. `bulk`: do not disturb the cache. */
    enum err (*blocks)(void *db, uint32_t log, uint64_t from, bool bulk,
                       backend_block_fn *fn, void *ctx, struct errmsg *why);
    /* For each of `n` places, at most PLACES_MAX, the last block that begins
     * there or before; in any order, those that cover several more than once.
     * NULL: one after the other costs no more. */
    enum err (*blocks_at)(void *db, const struct entry_place *places, size_t n,
                          backend_place_fn *fn, void *ctx, struct errmsg *why);
    /* The same for the first block, if it lies in memory; else ERR_BUSY, which
     * may be all that is known of a fault. NULL: nothing does. */
    enum err (*block_now)(void *db, uint32_t log, uint64_t from,
                          backend_block_fn *fn, void *ctx, struct errmsg *why);
    enum err (*node)(void *db, uint32_t log, unsigned level, uint64_t index,
                     struct hash *out, struct errmsg *why);
    /* At most ROWS_BATCH_MAX keys in rising order; absent ones get version 0.
     */
    enum err (*rows)(void *db, uint8_t generation,
                     const struct row_key *const *keys, size_t n,
                     struct row *const *out, struct errmsg *why);
    /* `now`: from memory only, ERR_BUSY if the disk would have to be read. */
    enum err (*rows_of)(void *db, uint8_t generation,
                        const struct subject_key *subject, bool now,
                        backend_row_fn *fn, void *ctx, struct errmsg *why);
    /* About each of `n` subjects, which rise, in order of log and number; `now`
     * as above. */
    enum err (*list_rows)(void *db, uint8_t generation,
                          const struct subject_key *subjects, size_t n,
                          bool now, backend_list_row_fn *fn, void *ctx,
                          struct errmsg *why);
    /* Appends; ERR_NOT_FOUND. */
    enum err (*part)(void *db, uint32_t log, enum log_part part,
                     struct buf *out, struct errmsg *why);
    enum err (*parts)(void *db, enum log_part part, backend_part_fn *fn,
                      void *ctx, struct errmsg *why);
    /* Parts that commits after number `since` wrote. NULL: nobody reads beside
     * the process that writes. */
    enum err (*changes)(void *db, uint64_t since, backend_change_fn *fn,
                        void *ctx, struct errmsg *why);
    enum err (*meta)(void *db, enum meta meta, struct buf *out,
                     struct errmsg *why);
    /* In order of (log, number), from that one on. */
    enum err (*issues)(void *db, uint8_t generation, uint32_t log,
                       uint64_t number, backend_issue_fn *fn, void *ctx,
                       struct errmsg *why);
    enum err (*salvage)(void *db, uint64_t from, backend_salvage_fn *fn,
                        void *ctx, struct errmsg *why);
    /* Appends; ERR_NOT_FOUND. */
    enum err (*source)(void *db, const uint8_t name[SOURCE_LEN],
                       struct buf *out, struct errmsg *why);
    enum err (*sources)(void *db, backend_source_fn *fn, void *ctx,
                        struct errmsg *why);
};

extern const struct backend store_rocksdb;
extern const struct backend store_mariadb;

/* What of conf->cache_bytes is whose: pages of the embedded database; entries
 * of blocks unpacked; rows about lists, which a server would have to be asked
 * for. */
struct cache_parts {
    size_t pages;
    size_t blocks;
    size_t list_rows;
};
struct cache_parts cache_parts_of(const struct backend *backend,
                                  const struct store_conf *conf);

/* ERR_CONF if `file`, which only the backend named `other` keeps in its folder,
 * is in `path`: the node would begin anew beside what it has. */
MUST_USE enum err backend_refuse_other(const char *path, const char *file,
                                       const char *other, struct errmsg *why);

/* ERR_CONFLICT: somebody else has written to this store's database. */
enum err backend_fenced(struct errmsg *why);
/* Sets `why` to what is to be done about a server's database that lacks `gone`
 * commits; returns `err`. */
enum err backend_lacks(uint64_t gone, enum err err, struct errmsg *why);

/* err_is_passing() where damage is what is expected: a disk that cannot read a
 * place has lost it. A process out of descriptors or memory has lost nothing.
 */
bool is_unread(enum err err, const struct errmsg *why);

/* Order of index rows: subject, record key, owner. */
int row_key_cmp(const struct row_key *a, const struct row_key *b);

/* store_open() over another backend. */
MUST_USE enum err store_open_on(struct store **out,
                                const struct backend *backend,
                                const struct store_conf *conf,
                                const struct store_env *env,
                                struct errmsg *why);

#endif
