/* Frontiers, roots and the proofs of RFC 6962. */
#include "unit/mlog/ref_tree.h"
#include "unit/mlog/vectors.h"

static const enum suite suites[] = {SUITE_INTL, SUITE_GM};

static struct hash hash_of_hex(const char *hex)
{
    struct hash h;
    assert_true(str_unhex(hex, h.b, HASH_LEN));
    return h;
}

/* The eight inputs that every Certificate Transparency implementation is
 * tested with, and the published answers. */
static const char *const ct_inputs[8] = {"",
                                         "00",
                                         "10",
                                         "2021",
                                         "3031",
                                         "40414243",
                                         "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f"};
static const char *const ct_roots[9] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

#define H01 "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
#define H23 "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
#define H47 "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
#define H4 "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
#define H67 "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
#define H03 "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
#define H45 "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
#define H02 "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
#define H0 "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"

struct ct_proof {
    uint64_t first; /* leaf from 0, or the smaller size */
    uint64_t size;
    size_t n;
    const char *path[3];
};
static const struct ct_proof ct_inclusions[] = {
    {0, 1, 0, {NULL}}, {0, 8, 3, {H01, H23, H47}}, {5, 8, 3, {H4, H67, H03}},
    {2, 3, 1, {H02}},  {1, 5, 3, {H0, H23, H4}},
};
static const struct ct_proof ct_consistencies[] = {
    {1, 1, 0, {NULL}},
    {1, 8, 3, {H01, H23, H47}},
    {6, 8, 3, {H45, H67, H03}},
    {2, 5, 2, {H23, H4}},
};

static void ct_init(struct ref *r)
{
    *r = (struct ref){.suite = SUITE_INTL, .size = 8};
    r->leaf = mem_zalloc(8, sizeof(struct hash));
    for (unsigned i = 0; i < 8; i++) {
        uint8_t bytes[16];
        size_t len = strlen(ct_inputs[i]) / 2;
        assert_true(str_unhex(ct_inputs[i], bytes, len));
        suite_hash_leaf(SUITE_INTL, slice_of(bytes, len), &r->leaf[i]);
    }
}

static void roots_are_those_of_certificate_transparency(void **state)
{
    (void)state;
    struct ref r;
    struct hash root;
    struct frontier f = {.size = 0};
    ct_init(&r);
    struct tree_view view = ref_view(&r, 8, NULL);
    for (uint64_t n = 0; n <= 8; n++) {
        struct hash want = hash_of_hex(ct_roots[n]);
        frontier_root(&f, SUITE_INTL, &root);
        assert_hash_equal(&root, &want);
        assert_int_equal(tree_root(&view, n, &root), ERR_OK);
        assert_hash_equal(&root, &want);
        if (n < 8) {
            frontier_append(&f, SUITE_INTL, &r.leaf[n], NULL, NULL);
        }
    }
    ref_fini(&r);
}

static void proofs_are_those_of_certificate_transparency(void **state)
{
    (void)state;
    struct ref r;
    struct hash path[PROOF_MAX];
    size_t n = 0;
    ct_init(&r);
    struct tree_view view = ref_view(&r, 8, NULL);
    for (size_t i = 0; i < ARRAY_LEN(ct_inclusions); i++) {
        const struct ct_proof *p = &ct_inclusions[i];
        assert_int_equal(tree_inclusion(&view, p->first, p->size, path, &n),
                         ERR_OK);
        assert_int_equal(n, p->n);
        for (size_t j = 0; j < n; j++) {
            struct hash want = hash_of_hex(p->path[j]);
            assert_hash_equal(&path[j], &want);
        }
        struct hash root = hash_of_hex(ct_roots[p->size]);
        assert_int_equal(inclusion_verify(SUITE_INTL, p->first, p->size,
                                          &r.leaf[p->first], path, n, &root),
                         ERR_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(ct_consistencies); i++) {
        const struct ct_proof *p = &ct_consistencies[i];
        assert_int_equal(tree_consistency(&view, p->first, p->size, path, &n),
                         ERR_OK);
        assert_int_equal(n, p->n);
        for (size_t j = 0; j < n; j++) {
            struct hash want = hash_of_hex(p->path[j]);
            assert_hash_equal(&path[j], &want);
        }
        struct hash first = hash_of_hex(ct_roots[p->first]);
        struct hash second = hash_of_hex(ct_roots[p->size]);
        assert_int_equal(consistency_verify(SUITE_INTL, p->first, p->size,
                                            &first, &second, path, n),
                         ERR_OK);
    }
    ref_fini(&r);
}

static void roots_are_those_of_the_vectors(void **state)
{
    (void)state;
    struct buf file = BUF_INIT;
    vectors_load(TEST_DATA "/mlog_tree.txt", &file);
    for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
        struct frontier f = {.size = 0};
        for (unsigned n = 0; n <= 20; n++) {
            char name[32];
            struct buf want = BUF_INIT;
            struct hash root;
            snprintf(name, sizeof(name), "%s.%u", suite_name(suites[s]), n);
            vectors_hex(&file, name, &want);
            frontier_root(&f, suites[s], &root);
            assert_int_equal(want.len, HASH_LEN);
            assert_memory_equal(root.b, want.data, HASH_LEN);
            struct hash leaf = ref_leaf(suites[s], n + 1);
            frontier_append(&f, suites[s], &leaf, NULL, NULL);
            buf_fini(&want);
        }
    }
    buf_fini(&file);
}

static void small_trees_agree_with_the_definition(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
        struct ref r;
        ref_init(&r, suites[s], 300);
        struct tree_view view = ref_view(&r, r.size, NULL);
        struct frontier grown = {.size = 0};
        for (uint64_t n = 0; n <= r.size; n++) {
            struct hash want = ref_mth(&r, 0, n);
            struct hash root;
            struct frontier f;
            r.asked_leaves = 0;
            r.asked_nodes = 0;
            assert_int_equal(tree_root(&view, n, &root), ERR_OK);
            assert_hash_equal(&root, &want);
            assert_true(r.asked_leaves <= 15);
            assert_true(r.asked_nodes <= 16);
            assert_int_equal(tree_frontier(&view, n, &f), ERR_OK);
            assert_int_equal(f.size, n);
            assert_memory_equal(f.node, grown.node,
                                (size_t)__builtin_popcountll(n) * HASH_LEN);
            frontier_root(&f, r.suite, &root);
            assert_hash_equal(&root, &want);
            if (n < r.size) {
                frontier_append(&grown, r.suite, &r.leaf[n], NULL, NULL);
            }
        }
        ref_fini(&r);
    }
}

static void complete_stored_nodes_are_emitted_once_in_order(void **state)
{
    (void)state;
    struct ref r;
    ref_init(&r, SUITE_INTL, 4100);
    assert_int_equal(r.emitted[0], 4100 / 16);
    assert_int_equal(r.emitted[1], 4100 / 256);
    assert_int_equal(r.emitted[2], 4100 / 4096);
    for (unsigned at = 0; at < REF_STORED; at++) {
        unsigned level = (at + 1) * TREE_STRIDE;
        for (uint64_t i = 0; i < r.emitted[at]; i++) {
            struct hash want = ref_mth(&r, i << level, (i + 1) << level);
            assert_hash_equal(&r.stored[at][i], &want);
        }
    }
    ref_fini(&r);
}

/* Every way of spoiling a proof by one step must be refused. */
static void assert_inclusion_spoils(const struct ref *r, uint64_t leaf,
                                    uint64_t size, struct hash *path, size_t n,
                                    const struct hash *root)
{
    struct hash other = *root;
    other.b[31] ^= 1;
    assert_int_equal(
        inclusion_verify(r->suite, leaf, size, &r->leaf[leaf], path, n, &other),
        ERR_BAD_PROOF);
    other = r->leaf[leaf];
    other.b[0] ^= 0x80;
    assert_int_equal(
        inclusion_verify(r->suite, leaf, size, &other, path, n, root),
        ERR_BAD_PROOF);
    path[n] = path[n > 0 ? n - 1 : 0];
    assert_int_equal(inclusion_verify(r->suite, leaf, size, &r->leaf[leaf],
                                      path, n + 1, root),
                     ERR_BAD_PROOF);
    for (size_t i = 0; i < n; i++) {
        path[i].b[i % HASH_LEN] ^= 1;
        assert_int_equal(inclusion_verify(r->suite, leaf, size, &r->leaf[leaf],
                                          path, n, root),
                         ERR_BAD_PROOF);
        path[i].b[i % HASH_LEN] ^= 1;
        assert_int_equal(inclusion_verify(r->suite, leaf, size, &r->leaf[leaf],
                                          path, i, root),
                         ERR_BAD_PROOF);
    }
    for (uint64_t l = 0; l < size; l++) {
        if (l != leaf) {
            assert_int_equal(inclusion_verify(r->suite, l, size, &r->leaf[leaf],
                                              path, n, root),
                             ERR_BAD_PROOF);
        }
    }
    assert_int_equal(
        inclusion_verify(r->suite, size, size, &r->leaf[leaf], path, n, root),
        ERR_BAD_PROOF);
}

static void inclusion_proofs_are_exhaustively_right(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
        struct ref r;
        struct hash path[PROOF_MAX] = {0};
        struct hash want[PROOF_MAX];
        size_t n = 0;
        ref_init(&r, suites[s], 40);
        struct tree_view view = ref_view(&r, r.size, NULL);
        for (uint64_t size = 1; size <= r.size; size++) {
            struct hash root = ref_mth(&r, 0, size);
            for (uint64_t leaf = 0; leaf < size; leaf++) {
                assert_int_equal(tree_inclusion(&view, leaf, size, path, &n),
                                 ERR_OK);
                assert_int_equal(n, ref_path(&r, leaf, 0, size, want));
                assert_memory_equal(path, want, n * HASH_LEN);
                assert_int_equal(inclusion_verify(r.suite, leaf, size,
                                                  &r.leaf[leaf], path, n,
                                                  &root),
                                 ERR_OK);
                assert_inclusion_spoils(&r, leaf, size, path, n, &root);
            }
        }
        ref_fini(&r);
    }
}

static void assert_consistency_spoils(const struct ref *r, uint64_t first,
                                      uint64_t second, struct hash *path,
                                      size_t n)
{
    struct hash a = ref_mth(r, 0, first);
    struct hash b = ref_mth(r, 0, second);
    struct hash bad_a = a;
    struct hash bad_b = b;
    bad_a.b[5] ^= 2;
    bad_b.b[6] ^= 2;
    enum suite suite = r->suite;
    assert_int_equal(
        consistency_verify(suite, first, second, &bad_a, &b, path, n),
        ERR_BAD_PROOF);
    if (first > 0) {
        assert_int_equal(
            consistency_verify(suite, first, second, &a, &bad_b, path, n),
            ERR_BAD_PROOF);
    }
    path[n] = path[0];
    assert_int_equal(
        consistency_verify(suite, first, second, &a, &b, path, n + 1),
        ERR_BAD_PROOF);
    for (size_t i = 0; i < n; i++) {
        path[i].b[9] ^= 4;
        assert_int_equal(
            consistency_verify(suite, first, second, &a, &b, path, n),
            ERR_BAD_PROOF);
        path[i].b[9] ^= 4;
        assert_int_equal(
            consistency_verify(suite, first, second, &a, &b, path, i),
            ERR_BAD_PROOF);
    }
    if (first != second) {
        assert_int_equal(
            consistency_verify(suite, second, first, &b, &a, path, n),
            ERR_BAD_PROOF);
    }
}

static void consistency_proofs_are_exhaustively_right(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
        struct ref r;
        struct hash path[PROOF_MAX] = {0};
        struct hash want[PROOF_MAX];
        size_t n = 0;
        ref_init(&r, suites[s], 70);
        struct tree_view view = ref_view(&r, r.size, NULL);
        for (uint64_t second = 0; second <= r.size; second++) {
            struct hash b = ref_mth(&r, 0, second);
            for (uint64_t first = 0; first <= second; first++) {
                struct hash a = ref_mth(&r, 0, first);
                assert_int_equal(
                    tree_consistency(&view, first, second, path, &n), ERR_OK);
                size_t count =
                    first == 0 ? 0
                               : ref_subproof(&r, first, 0, second, true, want);
                assert_int_equal(n, count);
                assert_memory_equal(path, want, n * HASH_LEN);
                assert_int_equal(
                    consistency_verify(r.suite, first, second, &a, &b, path, n),
                    ERR_OK);
                assert_consistency_spoils(&r, first, second, path, n);
            }
        }
        ref_fini(&r);
    }
}

static void a_path_that_stops_half_way_up_is_refused(void **state)
{
    (void)state;
    struct ref r;
    struct hash path[PROOF_MAX];
    size_t n = 0;
    ref_init(&r, SUITE_INTL, 8);
    struct tree_view view = ref_view(&r, r.size, NULL);
    struct hash first = ref_mth(&r, 0, 1);
    struct hash half = ref_mth(&r, 0, 4);
    assert_int_equal(tree_consistency(&view, 1, 8, path, &n), ERR_OK);
    assert_int_equal(
        consistency_verify(r.suite, 1, 8, &first, &half, path, n - 1),
        ERR_BAD_PROOF);
    assert_int_equal(
        inclusion_verify(r.suite, 0, 8, &first, path, n - 1, &half),
        ERR_BAD_PROOF);
    ref_fini(&r);
}

static void questions_past_the_view_are_refused(void **state)
{
    (void)state;
    struct ref r;
    struct hash path[PROOF_MAX];
    struct frontier f;
    struct bridge b;
    size_t n = 0;
    ref_init(&r, SUITE_INTL, 20);
    struct tree_view view = ref_view(&r, 20, NULL);
    assert_int_equal(tree_root(&view, 21, &path[0]), ERR_INVALID);
    assert_int_equal(tree_frontier(&view, 21, &f), ERR_INVALID);
    assert_int_equal(tree_bridge(&view, 3, 21, &b), ERR_INVALID);
    assert_int_equal(tree_bridge(&view, 4, 3, &b), ERR_INVALID);
    assert_int_equal(tree_inclusion(&view, 0, 21, path, &n), ERR_INVALID);
    assert_int_equal(tree_inclusion(&view, 7, 7, path, &n), ERR_INVALID);
    assert_int_equal(tree_inclusion(&view, 0, 0, path, &n), ERR_INVALID);
    assert_int_equal(tree_consistency(&view, 5, 21, path, &n), ERR_INVALID);
    assert_int_equal(tree_consistency(&view, 6, 5, path, &n), ERR_INVALID);
    ref_fini(&r);
}

static enum err node_fails(void *ctx, unsigned level, uint64_t index,
                           struct hash *out)
{
    unsigned *left = ctx;
    (void)level;
    (void)index;
    memset(out->b, 0, HASH_LEN);
    return (*left)-- > 0 ? ERR_OK : ERR_CORRUPT;
}

static void a_failing_node_ends_every_calculation(void **state)
{
    (void)state;
    struct hash path[PROOF_MAX];
    struct frontier f;
    struct bridge b;
    size_t n = 0;
    for (unsigned good = 0; good < 4; good++) {
        unsigned left = good;
        struct tree_view view = {.suite = SUITE_INTL,
                                 .size = 1000,
                                 .node = node_fails,
                                 .ctx = &left};
        assert_int_equal(tree_root(&view, 999, &path[0]), ERR_CORRUPT);
        left = good;
        assert_int_equal(tree_frontier(&view, 999, &f), ERR_CORRUPT);
        left = good;
        assert_int_equal(tree_bridge(&view, 5, 1000, &b), ERR_CORRUPT);
        left = good;
        assert_int_equal(tree_inclusion(&view, 5, 1000, path, &n), ERR_CORRUPT);
        left = good;
        assert_int_equal(tree_consistency(&view, 5, 1000, path, &n),
                         ERR_CORRUPT);
    }
}

static void frontier_survives_its_wire_form(void **state)
{
    (void)state;
    struct ref r;
    ref_init(&r, SUITE_INTL, 40);
    struct tree_view view = ref_view(&r, r.size, NULL);
    for (uint64_t n = 0; n <= r.size; n++) {
        struct frontier f;
        struct frontier again;
        struct buf wire = BUF_INIT;
        assert_int_equal(tree_frontier(&view, n, &f), ERR_OK);
        frontier_put(&wire, &f);
        size_t count = (size_t)__builtin_popcountll(n);
        assert_int_equal(wire.len, 8 + count * HASH_LEN);
        struct reader reader = reader_of(buf_slice(&wire));
        frontier_get(&reader, &again);
        assert_true(reader_done(&reader));
        assert_int_equal(again.size, n);
        assert_memory_equal(again.node, f.node, count * HASH_LEN);
        for (size_t cut = 0; cut < wire.len; cut++) {
            reader = reader_of(slice_of(wire.data, cut));
            frontier_get(&reader, &again);
            assert_true(reader.bad);
            assert_int_equal(again.size, 0);
        }
        buf_fini(&wire);
    }
    ref_fini(&r);
}

static void frontier_of_an_impossible_size_is_refused(void **state)
{
    (void)state;
    uint8_t wire[8 + TREE_LEVELS * HASH_LEN] = {0x80};
    struct reader reader = reader_of(slice_of(wire, sizeof(wire)));
    struct frontier f;
    frontier_get(&reader, &f);
    assert_true(reader.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_are_those_of_certificate_transparency),
        cmocka_unit_test(proofs_are_those_of_certificate_transparency),
        cmocka_unit_test(roots_are_those_of_the_vectors),
        cmocka_unit_test(small_trees_agree_with_the_definition),
        cmocka_unit_test(complete_stored_nodes_are_emitted_once_in_order),
        cmocka_unit_test(inclusion_proofs_are_exhaustively_right),
        cmocka_unit_test(consistency_proofs_are_exhaustively_right),
        cmocka_unit_test(a_path_that_stops_half_way_up_is_refused),
        cmocka_unit_test(questions_past_the_view_are_refused),
        cmocka_unit_test(a_failing_node_ends_every_calculation),
        cmocka_unit_test(frontier_survives_its_wire_form),
        cmocka_unit_test(frontier_of_an_impossible_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
