/* tree.h - RFC 6962 Merkle trees: frontier, stored nodes, proofs. Pure.
 *
 * level 0 is leaf hashes; node (level, index) covers entries
 * [index << level, (index + 1) << level), counted from 0. Entry number n of a
 * log is leaf n - 1. Stored are the complete nodes of levels 4, 8, 12, …
 * (TREE_STRIDE): all others follow from them and at most 15 leaves. */
#ifndef MLOG_TREE_H
#define MLOG_TREE_H

#include "ident/suite.h"

enum { TREE_LEVELS = 64, TREE_STRIDE = 4, PROOF_MAX = 128 };

/* Largest number of entries: no sum of two sizes overflows. Larger ones are
 * refused where sizes are read. */
#define TREE_SIZE_MAX (UINT64_MAX >> 1)

/* The right-hand edge: one complete subtree per 1 bit of size, largest
 * first. All that appending needs. */
struct frontier {
    uint64_t size;
    struct hash node[TREE_LEVELS];
};

/* Told of each complete node whose level is a positive multiple of
 * TREE_STRIDE, in the order in which they become complete. */
typedef void tree_emit_fn(void *ctx, unsigned level, uint64_t index,
                          const struct hash *hash);
/* `emit` may be NULL. */
void frontier_append(struct frontier *f, enum suite suite,
                     const struct hash *leaf, tree_emit_fn *emit, void *ctx);
/* The RFC 6962 tree head of f->size entries (size 0: the hash of nothing). */
void frontier_root(const struct frontier *f, enum suite suite,
                   struct hash *root);
/* Wire and disk form: u64 size, then the hashes. `get` sets r->bad if the
 * count does not fit the size. */
void frontier_put(struct buf *out, const struct frontier *f);
void frontier_get(struct reader *r, struct frontier *out);

/* Gives the hash of a complete node within the view's size: leaves (level 0)
 * and stored levels only are asked for. Any error ends the calculation and is
 * returned. */
typedef enum err tree_node_fn(void *ctx, unsigned level, uint64_t index,
                              struct hash *out);
/* A tree of which the first `size` entries can be asked for, and, if
 * `bridge.n` > 0, that is known to be the head part of a tree of
 * `bridge.size` entries by the right-hand siblings in `bridge`. */
struct bridge {
    uint64_t size; /* of the larger tree; 0 if there is none */
    unsigned n;
    struct hash node[TREE_LEVELS];
};
struct tree_view {
    enum suite suite;
    uint64_t size;
    tree_node_fn *node;
    void *ctx;
    const struct bridge *bridge; /* NULL or from `size` to bridge->size */
};

/* The root and the frontier at any n ≤ size; ERR_INVALID past it. O(log n)
 * nodes and < 16 leaves. */
MUST_USE enum err tree_root(const struct tree_view *t, uint64_t n,
                            struct hash *root);
MUST_USE enum err tree_frontier(const struct tree_view *t, uint64_t n,
                                struct frontier *out);

/* A bridge is the consistency proof for a receiver that has the frontier at
 * n: the hashes right of n that complete the tree of `to` entries, in the
 * order of RFC 6962's recursion (deepest first, which is left to right: they
 * cover [n, to) without gaps). From n ≤ t->size to to ≤ t->size, or to ==
 * t->bridge->size; ERR_INVALID elsewhere. Empty if n == to; from n == 0 it is
 * the root alone. */
MUST_USE enum err tree_bridge(const struct tree_view *t, uint64_t n,
                              uint64_t to, struct bridge *out);
/* Completes `f` with the bridge: the root of bridge->size entries.
 * ERR_BAD_PROOF if the number of hashes does not fit. With bridge->size ==
 * f->size it is frontier_root(). */
MUST_USE enum err bridge_root(const struct frontier *f, enum suite suite,
                              const struct bridge *bridge, struct hash *root);
/* Wire and disk form: u64 size, u8 n, then the hashes. */
void bridge_put(struct buf *out, const struct bridge *b);
void bridge_get(struct reader *r, struct bridge *out);

/* Standard RFC 6962 proofs (§2.1.1, §2.1.2; verification as RFC 9162
 * §2.1.3.2, §2.1.4.2). *n is the number of hashes written to `path`, which
 * holds PROOF_MAX. The larger size reaches as far as tree_bridge()'s `to`;
 * ERR_INVALID past it. `leaf` counts from 0. The path from size 0 or between
 * equal sizes is empty. What does not verify is ERR_BAD_PROOF. */
MUST_USE enum err tree_inclusion(const struct tree_view *t, uint64_t leaf,
                                 uint64_t size, struct hash *path, size_t *n);
MUST_USE enum err inclusion_verify(enum suite suite, uint64_t leaf,
                                   uint64_t size, const struct hash *leaf_hash,
                                   const struct hash *path, size_t n,
                                   const struct hash *root);
MUST_USE enum err tree_consistency(const struct tree_view *t, uint64_t first,
                                   uint64_t second, struct hash *path,
                                   size_t *n);
MUST_USE enum err consistency_verify(enum suite suite, uint64_t first,
                                     uint64_t second,
                                     const struct hash *first_root,
                                     const struct hash *second_root,
                                     const struct hash *path, size_t n);

#endif
