/* ref_tree.h - RFC 6962 §2.1 written down as it stands, over the whole list
 * of leaf hashes: the second opinion the tests hold tree.c against. */
#ifndef TESTS_REF_TREE_H
#define TESTS_REF_TREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "mlog/tree.h"

enum {
    REF_STORED = 3, /* levels 4, 8, 12 */
    REF_MEMO = 71,  /* trees up to 70 remember the hash of each range */
};

/* A list of leaves and what a frontier emitted while it grew over them. */
struct ref {
    enum suite suite;
    uint64_t size;
    uint64_t limit; /* of the newest view: more must not be asked for */
    struct hash *leaf;
    struct hash *stored[REF_STORED];
    uint64_t emitted[REF_STORED];
    struct hash *memo; /* [lo * REF_MEMO + hi]; zero: not known yet */
    uint64_t asked_leaves;
    uint64_t asked_nodes;
};

static inline void assert_hash_equal(const struct hash *a, const struct hash *b)
{
    assert_memory_equal(a->b, b->b, HASH_LEN);
}

/* Entry number i of the test trees: the text "entry <i>". */
static inline struct hash ref_leaf(enum suite suite, uint64_t i)
{
    char text[32];
    struct hash hash;
    snprintf(text, sizeof(text), "entry %llu", (unsigned long long)i);
    suite_hash_leaf(suite, slice_str(text), &hash);
    return hash;
}

static inline void ref_emit(void *ctx, unsigned level, uint64_t index,
                            const struct hash *hash)
{
    struct ref *r = ctx;
    assert_true(level > 0 && level % TREE_STRIDE == 0);
    unsigned at = level / TREE_STRIDE - 1;
    assert_true(at < REF_STORED);
    assert_int_equal(index, r->emitted[at]);
    r->stored[at][r->emitted[at]++] = *hash;
}

static inline void ref_init(struct ref *r, enum suite suite, uint64_t size)
{
    *r = (struct ref){.suite = suite, .size = size};
    r->leaf = mem_zalloc(size + 1, sizeof(struct hash));
    if (size < REF_MEMO) {
        r->memo = mem_zalloc(REF_MEMO * REF_MEMO, sizeof(struct hash));
    }
    struct frontier f = {.size = 0};
    for (unsigned i = 0; i < REF_STORED; i++) {
        r->stored[i] = mem_zalloc(size / 16 + 1, sizeof(struct hash));
    }
    for (uint64_t i = 0; i < size; i++) {
        r->leaf[i] = ref_leaf(suite, i + 1);
        frontier_append(&f, suite, &r->leaf[i], ref_emit, r);
    }
}

static inline void ref_fini(struct ref *r)
{
    mem_free(r->leaf);
    mem_free(r->memo);
    for (unsigned i = 0; i < REF_STORED; i++) {
        mem_free(r->stored[i]);
    }
}

/* tree_node_fn: complete leaves and stored nodes of the view, nothing else. */
static inline enum err ref_node(void *ctx, unsigned level, uint64_t index,
                                struct hash *out)
{
    struct ref *r = ctx;
    assert_int_equal(level % TREE_STRIDE, 0);
    if (level == 0) {
        assert_true(index < r->limit);
        *out = r->leaf[index];
        r->asked_leaves++;
        return ERR_OK;
    }
    unsigned at = level / TREE_STRIDE - 1;
    assert_true(at < REF_STORED && index < r->emitted[at]);
    assert_true((index + 1) << level <= r->limit);
    *out = r->stored[at][index];
    r->asked_nodes++;
    return ERR_OK;
}

static inline struct tree_view ref_view(struct ref *r, uint64_t size,
                                        const struct bridge *bridge)
{
    r->limit = size;
    return (struct tree_view){.suite = r->suite,
                              .size = size,
                              .node = ref_node,
                              .ctx = r,
                              .bridge = bridge};
}

static inline uint64_t ref_split(uint64_t n)
{
    uint64_t k = 1;
    while (k * 2 < n) {
        k *= 2;
    }
    return k;
}

static inline struct hash ref_mth(const struct ref *r, uint64_t lo,
                                  uint64_t hi);

static inline struct hash ref_mth_of(const struct ref *r, uint64_t lo,
                                     uint64_t hi)
{
    struct hash out;
    if (lo == hi) {
        suite_hash(r->suite, slice_of("", 0), &out);
        return out;
    }
    if (hi - lo == 1) {
        return r->leaf[lo];
    }
    uint64_t mid = lo + ref_split(hi - lo);
    struct hash left = ref_mth(r, lo, mid);
    struct hash right = ref_mth(r, mid, hi);
    suite_hash_node(r->suite, &left, &right, &out);
    return out;
}

/* MTH(D[lo:hi]) */
static inline struct hash ref_mth(const struct ref *r, uint64_t lo, uint64_t hi)
{
    static const struct hash unknown;
    if (r->memo == NULL) {
        return ref_mth_of(r, lo, hi);
    }
    struct hash *known = &r->memo[lo * REF_MEMO + hi];
    if (hash_eq(known, &unknown)) {
        *known = ref_mth_of(r, lo, hi);
    }
    return *known;
}

/* PATH(m, D[lo:hi]); returns the number of hashes. */
static inline size_t ref_path(const struct ref *r, uint64_t m, uint64_t lo,
                              uint64_t hi, struct hash *out)
{
    if (hi - lo == 1) {
        return 0;
    }
    uint64_t k = ref_split(hi - lo);
    size_t n;
    if (m < k) {
        n = ref_path(r, m, lo, lo + k, out);
        out[n] = ref_mth(r, lo + k, hi);
    } else {
        n = ref_path(r, m - k, lo + k, hi, out);
        out[n] = ref_mth(r, lo, lo + k);
    }
    return n + 1;
}

/* SUBPROOF(m, D[lo:hi], b) */
static inline size_t ref_subproof(const struct ref *r, uint64_t m, uint64_t lo,
                                  uint64_t hi, bool b, struct hash *out)
{
    if (m == hi - lo) {
        if (!b) {
            out[0] = ref_mth(r, lo, hi);
        }
        return b ? 0 : 1;
    }
    uint64_t k = ref_split(hi - lo);
    size_t n;
    if (m <= k) {
        n = ref_subproof(r, m, lo, lo + k, b, out);
        out[n] = ref_mth(r, lo + k, hi);
    } else {
        n = ref_subproof(r, m - k, lo + k, hi, false, out);
        out[n] = ref_mth(r, lo, lo + k);
    }
    return n + 1;
}

/* The right-hand siblings only: docs/protocol.md, "Bridges". */
static inline size_t ref_bridge(const struct ref *r, uint64_t m, uint64_t lo,
                                uint64_t hi, struct hash *out)
{
    if (m == hi - lo) {
        return 0;
    }
    if (m == 0) {
        out[0] = ref_mth(r, lo, hi);
        return 1;
    }
    uint64_t k = ref_split(hi - lo);
    if (m > k) {
        return ref_bridge(r, m - k, lo + k, hi, out);
    }
    size_t n = ref_bridge(r, m, lo, lo + k, out);
    out[n] = ref_mth(r, lo + k, hi);
    return n + 1;
}

#endif
