/* rebuild_impl.h - private to store: what a rebuild in a new place and one in
 * place share (docs/decisions/0006-damaged-store.md).
 *
 *   store_rebuild.c  what of each log can be proven; a new store from it
 *   store_mend.c     a database on a server, mended where it is
 *
 * Threads: one, before the store is open. */
#ifndef STORE_REBUILD_IMPL_H
#define STORE_REBUILD_IMPL_H

#include "store/store_impl.h"

struct old_log {
    uint32_t id;
    bool by_note; /* its head is lost: what its signed note says */
    struct head head;
};

struct rebuild {
    const struct backend *b;
    const struct store_conf *conf;
    const struct store_env *env;
    bool in_place;           /* `to` is `from` */
    uint64_t serial;         /* in place: of the last commit */
    uint32_t last_id;        /* in place: of the last log */
    struct store_conf fresh; /* path is fresh_path */
    char fresh_path[STORE_PATH_LEN];
    void *from; /* NULL: nothing can be read */
    void *to;
    void *batch;
    size_t batch_bytes;
    size_t batch_entries;
    struct block_codec *codec;
    struct block_codec *packer;
    struct old_log *logs;
    size_t logs_n;
    bool own_active; /* some log grows */
    bool doubt;      /* commits may be gone: the own log too */
    enum err unread; /* a read that failed though nothing may be lost */
    struct errmsg unread_why;
    struct hold hold;
    bool held;            /* the log in doubt is there */
    uint64_t salvage_seq; /* next free */
    uint64_t kept;
    uint64_t lost;
    uint64_t aside;
    int64_t said_at_ms;
};

/* What of a log is kept, and the way from there to its signed head. */
struct plan {
    uint64_t keep;
    bool whole;
    bool unfit; /* not all stored nodes are what the entries give */
    struct bridge bridge;
};

typedef void old_entry_fn(void *ctx, uint64_t number, const struct slot *slot);

/* Entries in order from `next` on; ends where the first is missing. */
struct scan {
    struct rebuild *r;
    uint32_t id;
    uint64_t next;
    uint64_t last;
    old_entry_fn *entry;
    void *ctx;
    bool stop; /* set by `entry` */
};
void rebuild_scan(struct scan *c);

/* Was it read? What says nothing about the store ends the rebuild. */
bool rebuild_was_read(struct rebuild *r, enum err err,
                      const struct errmsg *why);
void rebuild_leaf(const struct rebuild *r, const struct slot *slot,
                  struct hash *out);
/* Does the frontier of what is kept lead to the signed head? */
bool rebuild_proven(const struct rebuild *r, const struct old_log *log,
                    const struct plan *plan, const struct frontier *at);
/* `lost`: it may have been there. */
bool rebuild_meta_of(struct rebuild *r, enum meta meta, struct buf *out,
                     bool *lost);
/* What forbids an own log to grow holds, too, if it cannot be read. */
void rebuild_brakes(struct rebuild *r);
/* Everything, from `from` to `to`. */
MUST_USE enum err rebuild_all(struct rebuild *r, struct errmsg *why);

/* ---- in place (store_mend.c) ---- */

/* Reads what belongs to no log. ERR_CONF: not a store of this node, or an older
 * one than this folder's. */
MUST_USE enum err mend_meta(struct rebuild *r, struct errmsg *why);
/* The frontier of what is kept; ERR_BAD_PROOF: it does not lead to the head.
 * Works its nodes into the batch that are missing or wrong. */
MUST_USE enum err mend_prove(struct rebuild *r, const struct old_log *log,
                             const struct plan *plan, struct frontier *at);
/* Works into the batch that the log ends after `keep` entries. */
MUST_USE enum err mend_cut(struct rebuild *r, const struct old_log *log,
                           uint64_t keep, struct errmsg *why);
/* Works into the batch that nothing is held of the log. */
void mend_forget(struct rebuild *r, const struct old_log *log);

#endif
