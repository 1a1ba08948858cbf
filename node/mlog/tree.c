#include "mlog/tree.h"

#include <assert.h>
#include <string.h>

static unsigned ones(uint64_t size)
{
    return (unsigned)__builtin_popcountll(size);
}

/* RFC 6962 §2.1: where a tree of `count` > 1 leaves is split, the largest
 * power of two smaller than count. */
static uint64_t split(uint64_t count)
{
    return UINT64_C(1) << (63 - __builtin_clzll(count - 1));
}

void frontier_append(struct frontier *f, enum suite suite,
                     const struct hash *leaf, tree_emit_fn *emit, void *ctx)
{
    assert(f->size < TREE_SIZE_MAX);
    struct hash hash = *leaf;
    unsigned left = ones(f->size);
    for (unsigned level = 1; (f->size >> (level - 1) & 1) != 0; level++) {
        suite_hash_node(suite, &f->node[--left], &hash, &hash);
        if (level % TREE_STRIDE == 0 && emit != NULL) {
            emit(ctx, level, f->size >> level, &hash);
        }
    }
    f->node[left] = hash;
    f->size++;
}

void frontier_root(const struct frontier *f, enum suite suite,
                   struct hash *root)
{
    unsigned left = ones(f->size);
    if (left == 0) {
        suite_hash(suite, slice_of(NULL, 0), root);
        return;
    }
    struct hash hash = f->node[--left];
    while (left > 0) {
        suite_hash_node(suite, &f->node[--left], &hash, &hash);
    }
    *root = hash;
}

static void put_hashes(struct buf *out, const struct hash *hash, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_put(out, hash[i].b, HASH_LEN);
    }
}

static void get_hashes(struct reader *r, struct hash *hash, unsigned n)
{
    struct slice bytes = reader_bytes(r, (size_t)n * HASH_LEN);
    for (unsigned i = 0; !r->bad && i < n; i++) {
        memcpy(hash[i].b, bytes.data + (size_t)i * HASH_LEN, HASH_LEN);
    }
}

void frontier_put(struct buf *out, const struct frontier *f)
{
    buf_put_u64(out, f->size);
    put_hashes(out, f->node, ones(f->size));
}

void frontier_get(struct reader *r, struct frontier *out)
{
    out->size = reader_u64(r);
    r->bad = r->bad || out->size > TREE_SIZE_MAX;
    get_hashes(r, out->node, ones(out->size));
    if (r->bad) {
        out->size = 0;
    }
}

/* The way down from the root of a tree of `size` entries to the place behind
 * entry number n, with the subtree that is left aside at each turn. It ends
 * at the subtree [lo, hi). */
struct way {
    unsigned n;
    struct {
        uint64_t lo;
        uint64_t hi;
        bool right; /* the subtree aside is right of n */
    } aside[TREE_LEVELS];
    uint64_t lo;
    uint64_t hi;
};

static void way_turn(struct way *w, uint64_t n)
{
    uint64_t mid = w->lo + split(w->hi - w->lo);
    bool right = n <= mid;
    w->aside[w->n].right = right;
    w->aside[w->n].lo = right ? mid : w->lo;
    w->aside[w->n].hi = right ? w->hi : mid;
    w->n++;
    if (right) {
        w->hi = mid;
    } else {
        w->lo = mid;
    }
}

/* Ends at the largest subtree whose right edge is n, 1 ≤ n ≤ size: the last
 * node of the frontier at n. */
static struct way way_to_edge(uint64_t n, uint64_t size)
{
    struct way w = {.hi = size};
    while (w.hi != n) {
        way_turn(&w, n);
    }
    return w;
}

/* Ends at the leaf before n, 1 ≤ n ≤ size. */
static struct way way_to_leaf(uint64_t n, uint64_t size)
{
    struct way w = {.hi = size};
    while (w.hi - w.lo > 1) {
        way_turn(&w, n);
    }
    return w;
}

/* Where each hash of the bridge from n to `to` begins; each ends where the
 * next begins, the last at `to`. Returns their number. */
static unsigned bridge_starts(uint64_t n, uint64_t to,
                              uint64_t start[TREE_LEVELS])
{
    if (n >= to) {
        return 0;
    }
    if (n == 0) {
        start[0] = 0;
        return 1;
    }
    unsigned count = 0;
    struct way w = way_to_edge(n, to);
    for (unsigned i = w.n; i > 0; i--) {
        if (w.aside[i - 1].right) {
            start[count++] = w.aside[i - 1].lo;
        }
    }
    return count;
}

/* A complete subtree within t->size: asked for at stored levels, computed
 * from at most 8 nodes of the next stored level below at the others. */
static enum err node_hash(const struct tree_view *t, unsigned level,
                          uint64_t index, struct hash *out)
{
    if (level % TREE_STRIDE == 0) {
        return t->node(t->ctx, level, index, out);
    }
    struct hash left;
    struct hash right;
    enum err err = node_hash(t, level - 1, 2 * index, &left);
    if (err == ERR_OK) {
        err = node_hash(t, level - 1, 2 * index + 1, &right);
    }
    if (err == ERR_OK) {
        suite_hash_node(t->suite, &left, &right, out);
    }
    return err;
}

/* A subtree that lies right of t->size is one that the bridge holds. */
static enum err bridge_hash(const struct tree_view *t, uint64_t lo,
                            struct hash *out)
{
    uint64_t start[TREE_LEVELS];
    unsigned count = bridge_starts(t->size, t->bridge->size, start);
    if (count != t->bridge->n) {
        return ERR_BAD_PROOF;
    }
    for (unsigned i = 0; i < count; i++) {
        if (start[i] == lo) {
            *out = t->bridge->node[i];
            return ERR_OK;
        }
    }
    return ERR_BAD_PROOF;
}

/* The hash of [lo, hi), a subtree that RFC 6962's recursion meets in a tree
 * the view can speak of. */
static enum err range_hash(const struct tree_view *t, uint64_t lo, uint64_t hi,
                           struct hash *out)
{
    if (lo >= t->size) {
        return bridge_hash(t, lo, out);
    }
    uint64_t count = hi - lo;
    if (hi <= t->size && ones(count) == 1) {
        unsigned level = (unsigned)__builtin_ctzll(count);
        return node_hash(t, level, lo >> level, out);
    }
    uint64_t mid = lo + split(count);
    struct hash left;
    struct hash right;
    enum err err = range_hash(t, lo, mid, &left);
    if (err == ERR_OK) {
        err = range_hash(t, mid, hi, &right);
    }
    if (err == ERR_OK) {
        suite_hash_node(t->suite, &left, &right, out);
    }
    return err;
}

/* True if the tree of `size` entries is one the view can speak of. */
static bool view_reaches(const struct tree_view *t, uint64_t size)
{
    return size <= t->size ||
           (t->bridge != NULL && t->bridge->n > 0 && size == t->bridge->size);
}

enum err tree_frontier(const struct tree_view *t, uint64_t n,
                       struct frontier *out)
{
    if (n > t->size) {
        return ERR_INVALID;
    }
    unsigned count = 0;
    uint64_t lo = 0;
    for (unsigned level = TREE_LEVELS; level-- > 0;) {
        if ((n >> level & 1) == 0) {
            continue;
        }
        enum err err = node_hash(t, level, lo >> level, &out->node[count++]);
        if (err != ERR_OK) {
            return err;
        }
        lo += UINT64_C(1) << level;
    }
    out->size = n;
    return ERR_OK;
}

enum err tree_root(const struct tree_view *t, uint64_t n, struct hash *root)
{
    struct frontier f;
    enum err err = tree_frontier(t, n, &f);
    if (err == ERR_OK) {
        frontier_root(&f, t->suite, root);
    }
    return err;
}

enum err tree_bridge(const struct tree_view *t, uint64_t n, uint64_t to,
                     struct bridge *out)
{
    if (n > to || n > t->size || !view_reaches(t, to)) {
        return ERR_INVALID;
    }
    uint64_t start[TREE_LEVELS];
    unsigned count = bridge_starts(n, to, start);
    for (unsigned i = 0; i < count; i++) {
        uint64_t end = i + 1 < count ? start[i + 1] : to;
        enum err err = range_hash(t, start[i], end, &out->node[i]);
        if (err != ERR_OK) {
            return err;
        }
    }
    out->size = to;
    out->n = count;
    return ERR_OK;
}

enum err bridge_root(const struct frontier *f, enum suite suite,
                     const struct bridge *bridge, struct hash *root)
{
    if (f->size > bridge->size) {
        return ERR_BAD_PROOF;
    }
    uint64_t start[TREE_LEVELS];
    if (bridge->n != bridge_starts(f->size, bridge->size, start)) {
        return ERR_BAD_PROOF;
    }
    if (bridge->n == 0) {
        frontier_root(f, suite, root);
        return ERR_OK;
    }
    if (f->size == 0) {
        *root = bridge->node[0];
        return ERR_OK;
    }
    struct way w = way_to_edge(f->size, bridge->size);
    unsigned left = ones(f->size);
    const struct hash *right = bridge->node;
    struct hash hash = f->node[--left];
    for (unsigned i = w.n; i > 0; i--) {
        if (w.aside[i - 1].right) {
            suite_hash_node(suite, &hash, right++, &hash);
        } else {
            suite_hash_node(suite, &f->node[--left], &hash, &hash);
        }
    }
    *root = hash;
    return ERR_OK;
}

void bridge_put(struct buf *out, const struct bridge *b)
{
    buf_put_u64(out, b->size);
    buf_put_u8(out, (uint8_t)b->n);
    put_hashes(out, b->node, b->n);
}

void bridge_get(struct reader *r, struct bridge *out)
{
    out->size = reader_u64(r);
    out->n = reader_u8(r);
    r->bad = r->bad || out->size > TREE_SIZE_MAX || out->n > TREE_LEVELS;
    if (!r->bad) {
        get_hashes(r, out->node, out->n);
    }
    if (r->bad) {
        out->size = 0;
        out->n = 0;
    }
}

/* The subtrees left aside, deepest first. */
static enum err way_hashes(const struct tree_view *t, const struct way *w,
                           struct hash *path, size_t *n)
{
    for (unsigned i = w->n; i > 0; i--) {
        enum err err =
            range_hash(t, w->aside[i - 1].lo, w->aside[i - 1].hi, &path[*n]);
        if (err != ERR_OK) {
            return err;
        }
        ++*n;
    }
    return ERR_OK;
}

enum err tree_inclusion(const struct tree_view *t, uint64_t leaf, uint64_t size,
                        struct hash *path, size_t *n)
{
    *n = 0;
    if (leaf >= size || leaf >= t->size || !view_reaches(t, size)) {
        return ERR_INVALID;
    }
    struct way w = way_to_leaf(leaf + 1, size);
    return way_hashes(t, &w, path, n);
}

enum err tree_consistency(const struct tree_view *t, uint64_t first,
                          uint64_t second, struct hash *path, size_t *n)
{
    *n = 0;
    if (first > second || first > t->size || !view_reaches(t, second)) {
        return ERR_INVALID;
    }
    if (first == 0 || first == second) {
        return ERR_OK;
    }
    struct way w = way_to_edge(first, second);
    if (w.lo > 0) { /* else it is the first tree itself, whose root is known */
        enum err err = range_hash(t, w.lo, w.hi, &path[0]);
        if (err != ERR_OK) {
            return err;
        }
        *n = 1;
    }
    return way_hashes(t, &w, path, n);
}

static enum err proof_result(bool fits)
{
    return fits ? ERR_OK : ERR_BAD_PROOF;
}

/* Up past the levels at which the path has no hash. */
static void climb(uint64_t *fn, uint64_t *sn)
{
    while ((*fn & 1) == 0 && *fn != 0) {
        *fn >>= 1;
        *sn >>= 1;
    }
}

/* RFC 9162 §2.1.3.2, with its names. */
enum err inclusion_verify(enum suite suite, uint64_t leaf, uint64_t size,
                          const struct hash *leaf_hash, const struct hash *path,
                          size_t n, const struct hash *root)
{
    if (leaf >= size) {
        return ERR_BAD_PROOF;
    }
    uint64_t fn = leaf;
    uint64_t sn = size - 1;
    struct hash r = *leaf_hash;
    for (size_t i = 0; i < n; i++) {
        if (sn == 0) {
            return ERR_BAD_PROOF;
        }
        if ((fn & 1) != 0 || fn == sn) {
            suite_hash_node(suite, &path[i], &r, &r);
            climb(&fn, &sn);
        } else {
            suite_hash_node(suite, &r, &path[i], &r);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return proof_result(sn == 0 && hash_eq(&r, root));
}

/* The cases that need no path. */
static enum err consistency_trivial(enum suite suite, uint64_t first,
                                    const struct hash *first_root,
                                    const struct hash *second_root)
{
    struct hash nothing;
    if (first > 0) {
        return proof_result(hash_eq(first_root, second_root));
    }
    suite_hash(suite, slice_of(NULL, 0), &nothing);
    return proof_result(hash_eq(first_root, &nothing));
}

/* RFC 9162 §2.1.4.2, with its names. */
enum err consistency_verify(enum suite suite, uint64_t first, uint64_t second,
                            const struct hash *first_root,
                            const struct hash *second_root,
                            const struct hash *path, size_t n)
{
    bool trivial = first == 0 || first == second;
    if (first > second || trivial != (n == 0)) {
        return ERR_BAD_PROOF;
    }
    if (trivial) {
        return consistency_trivial(suite, first, first_root, second_root);
    }
    uint64_t fn = first - 1;
    uint64_t sn = second - 1;
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    size_t i = 0;
    struct hash fr = ones(first) == 1 ? *first_root : path[i++];
    struct hash sr = fr;
    for (; i < n; i++) {
        if (sn == 0) {
            return ERR_BAD_PROOF;
        }
        if ((fn & 1) != 0 || fn == sn) {
            suite_hash_node(suite, &path[i], &fr, &fr);
            suite_hash_node(suite, &path[i], &sr, &sr);
            climb(&fn, &sn);
        } else {
            suite_hash_node(suite, &sr, &path[i], &sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return proof_result(sn == 0 && hash_eq(&fr, first_root) &&
                        hash_eq(&sr, second_root));
}
