/* Bridges: completing a frontier to the root of a larger tree. */
#include "unit/mlog/ref_tree.h"
#include "unit/mlog/vectors.h"

static const enum suite suites[] = {SUITE_INTL, SUITE_GM};

static void assert_bridge_is(const struct bridge *b, uint64_t size,
                             const struct hash *want, size_t n)
{
    assert_int_equal(b->size, size);
    assert_int_equal(b->n, n);
    assert_memory_equal(b->node, want, n * HASH_LEN);
}

static struct frontier frontier_at(struct ref *r, uint64_t n)
{
    struct frontier f;
    struct tree_view view = ref_view(r, r->size, NULL);
    assert_int_equal(tree_frontier(&view, n, &f), ERR_OK);
    return f;
}

/* A receiver at n, a sender that holds s entries and the bridge from there to
 * `to`: the bridge it passes on must be the one the origin would have given,
 * and so must the standard proofs be. */
static void check_relay(struct ref *r, uint64_t n, uint64_t s, uint64_t to,
                        const struct bridge *held, const struct hash *root)
{
    struct hash want[PROOF_MAX];
    struct hash path[PROOF_MAX];
    struct hash got;
    struct bridge b;
    size_t count = 0;
    struct frontier f = frontier_at(r, n);
    struct tree_view view = ref_view(r, s, held);
    assert_int_equal(tree_bridge(&view, n, to, &b), ERR_OK);
    size_t needed = ref_bridge(r, n, 0, to, want);
    assert_bridge_is(&b, to, want, needed);
    assert_int_equal(bridge_root(&f, r->suite, &b, &got), ERR_OK);
    assert_hash_equal(&got, root);

    assert_int_equal(tree_consistency(&view, n, to, path, &count), ERR_OK);
    assert_int_equal(count, n == 0 ? 0 : ref_subproof(r, n, 0, to, true, want));
    assert_memory_equal(path, want, count * HASH_LEN);
    if (n < s) {
        assert_int_equal(tree_inclusion(&view, n, to, path, &count), ERR_OK);
        assert_int_equal(count, ref_path(r, n, 0, to, want));
        assert_memory_equal(path, want, count * HASH_LEN);
    }
}

static void bridges_are_exhaustively_right(void **state)
{
    (void)state;
    struct ref r;
    ref_init(&r, SUITE_INTL, 70);
    for (uint64_t to = 0; to <= r.size; to++) {
        struct hash root = ref_mth(&r, 0, to);
        struct tree_view origin = ref_view(&r, to, NULL);
        for (uint64_t s = 0; s <= to; s++) {
            struct bridge held;
            r.limit = to;
            assert_int_equal(tree_bridge(&origin, s, to, &held), ERR_OK);
            for (uint64_t n = 0; n <= s; n++) {
                check_relay(&r, n, s, to, &held, &root);
            }
        }
    }
    ref_fini(&r);
}

/* splitmix64: the same numbers in every run. */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void bridges_of_large_trees_are_right(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
        struct ref r;
        ref_init(&r, suites[i], 4200);
        for (unsigned round = 0; round < 30; round++) {
            uint64_t to = next_random(&seed) % (r.size + 1);
            uint64_t s = next_random(&seed) % (to + 1);
            uint64_t n = next_random(&seed) % (s + 1);
            struct hash root = ref_mth(&r, 0, to);
            struct tree_view origin = ref_view(&r, to, NULL);
            struct bridge held;
            assert_int_equal(tree_bridge(&origin, s, to, &held), ERR_OK);
            check_relay(&r, n, s, to, &held, &root);
        }
        ref_fini(&r);
    }
}

/* A log of one entry repeated for ever: every complete node of a level is the
 * same, so trees of any size can be asked about. */
struct uniform {
    struct hash level[TREE_LEVELS];
};

static enum err uniform_node(void *ctx, unsigned level, uint64_t index,
                             struct hash *out)
{
    struct uniform *u = ctx;
    (void)index;
    assert_int_equal(level % TREE_STRIDE, 0);
    *out = u->level[level];
    return ERR_OK;
}

static struct hash uniform_root(const struct uniform *u, uint64_t n)
{
    unsigned level = (unsigned)__builtin_ctzll(n);
    if (n >> level == 1) {
        return u->level[level];
    }
    uint64_t k = ref_split(n);
    struct hash right = uniform_root(u, n - k);
    struct hash out;
    suite_hash_node(SUITE_INTL, &u->level[__builtin_ctzll(k)], &right, &out);
    return out;
}

static void bridges_hold_up_to_the_largest_size(void **state)
{
    (void)state;
    struct uniform u;
    uint64_t seed = 2;
    u.level[0] = ref_leaf(SUITE_INTL, 1);
    for (unsigned i = 1; i < TREE_LEVELS; i++) {
        suite_hash_node(SUITE_INTL, &u.level[i - 1], &u.level[i - 1],
                        &u.level[i]);
    }
    for (unsigned round = 0; round < 300; round++) {
        uint64_t to = (next_random(&seed) >> (1 + round % 40)) | 1;
        to = round == 0 ? TREE_SIZE_MAX : to;
        uint64_t s = next_random(&seed) % to + 1;
        uint64_t n = next_random(&seed) % s + 1;
        struct tree_view origin = {
            .suite = SUITE_INTL, .size = to, .node = uniform_node, .ctx = &u};
        struct bridge held;
        struct bridge b;
        struct bridge direct;
        struct frontier f;
        struct hash got;
        struct hash want = uniform_root(&u, to);
        struct hash path[PROOF_MAX];
        size_t count = 0;
        assert_int_equal(tree_bridge(&origin, s, to, &held), ERR_OK);
        assert_int_equal(tree_bridge(&origin, n, to, &direct), ERR_OK);
        struct tree_view relay = origin;
        relay.size = s;
        relay.bridge = &held;
        assert_int_equal(tree_bridge(&relay, n, to, &b), ERR_OK);
        assert_bridge_is(&b, to, direct.node, direct.n);
        assert_int_equal(tree_frontier(&relay, n, &f), ERR_OK);
        assert_int_equal(bridge_root(&f, SUITE_INTL, &b, &got), ERR_OK);
        assert_hash_equal(&got, &want);
        assert_int_equal(tree_inclusion(&relay, n - 1, to, path, &count),
                         ERR_OK);
        assert_int_equal(inclusion_verify(SUITE_INTL, n - 1, to, &u.level[0],
                                          path, count, &want),
                         ERR_OK);
    }
}

static void bridge_of_the_vectors(void **state)
{
    (void)state;
    struct buf file = BUF_INIT;
    struct buf want = BUF_INIT;
    struct bridge b;
    struct ref r;
    vectors_load(TEST_DATA "/mlog_tree.txt", &file);
    vectors_hex(&file, "bridge.11.20.0", &want);
    vectors_hex(&file, "bridge.11.20.1", &want);
    vectors_hex(&file, "bridge.11.20.2", &want);
    ref_init(&r, SUITE_INTL, 20);
    struct tree_view view = ref_view(&r, 20, NULL);
    assert_int_equal(tree_bridge(&view, 11, 20, &b), ERR_OK);
    assert_int_equal(b.n, 3);
    assert_memory_equal(b.node, want.data, want.len);
    ref_fini(&r);
    buf_fini(&want);
    buf_fini(&file);
}

static void a_bridge_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct ref r;
    struct bridge b;
    struct hash root;
    ref_init(&r, SUITE_INTL, 50);
    struct tree_view view = ref_view(&r, 50, NULL);
    struct hash want = ref_mth(&r, 0, 45);
    for (uint64_t n = 0; n < 45; n++) {
        struct frontier f = frontier_at(&r, n);
        assert_int_equal(tree_bridge(&view, n, 45, &b), ERR_OK);
        b.n--;
        assert_int_equal(bridge_root(&f, SUITE_INTL, &b, &root), ERR_BAD_PROOF);
        b.n += 2;
        assert_int_equal(bridge_root(&f, SUITE_INTL, &b, &root), ERR_BAD_PROOF);
        b.n--;
        for (unsigned i = 0; i < b.n; i++) {
            b.node[i].b[3] ^= 1;
            assert_int_equal(bridge_root(&f, SUITE_INTL, &b, &root), ERR_OK);
            assert_false(hash_eq(&root, &want));
            b.node[i].b[3] ^= 1;
        }
    }
    struct frontier past = frontier_at(&r, 46);
    assert_int_equal(bridge_root(&past, SUITE_INTL, &b, &root), ERR_BAD_PROOF);
    ref_fini(&r);
}

static void a_view_refuses_a_held_bridge_of_another_size(void **state)
{
    (void)state;
    struct ref r;
    struct bridge held;
    struct bridge b;
    ref_init(&r, SUITE_INTL, 50);
    struct tree_view view = ref_view(&r, 50, NULL);
    assert_int_equal(tree_bridge(&view, 11, 50, &held), ERR_OK);
    view = ref_view(&r, 16, &held);
    assert_int_equal(tree_bridge(&view, 3, 50, &b), ERR_BAD_PROOF);
    view = ref_view(&r, 11, &held);
    assert_int_equal(tree_bridge(&view, 3, 49, &b), ERR_INVALID);
    assert_int_equal(tree_bridge(&view, 12, 50, &b), ERR_INVALID);
    assert_int_equal(tree_bridge(&view, 3, 50, &b), ERR_OK);
    ref_fini(&r);
}

static void bridge_survives_its_wire_form(void **state)
{
    (void)state;
    struct ref r;
    struct bridge b;
    struct bridge again;
    struct buf wire = BUF_INIT;
    ref_init(&r, SUITE_INTL, 50);
    struct tree_view view = ref_view(&r, 50, NULL);
    for (uint64_t n = 0; n <= 50; n++) {
        buf_clear(&wire);
        assert_int_equal(tree_bridge(&view, n, 50, &b), ERR_OK);
        bridge_put(&wire, &b);
        struct reader reader = reader_of(buf_slice(&wire));
        bridge_get(&reader, &again);
        assert_true(reader_done(&reader));
        assert_bridge_is(&again, b.size, b.node, b.n);
        for (size_t cut = 0; cut < wire.len; cut++) {
            reader = reader_of(slice_of(wire.data, cut));
            bridge_get(&reader, &again);
            assert_true(reader.bad);
            assert_int_equal(again.n, 0);
        }
    }
    buf_fini(&wire);
    ref_fini(&r);
}

static void bridge_of_too_many_hashes_is_refused(void **state)
{
    (void)state;
    uint8_t wire[9 + 255 * HASH_LEN] = {0, 0, 0, 0, 0, 0, 0, 9};
    struct bridge b;
    for (unsigned n = 0; n <= 255; n++) {
        wire[8] = (uint8_t)n;
        struct reader reader = reader_of(slice_of(wire, sizeof(wire)));
        bridge_get(&reader, &b);
        assert_int_equal(reader.bad, n > TREE_LEVELS);
    }
    wire[0] = 0x80;
    wire[8] = 0;
    struct reader reader = reader_of(slice_of(wire, sizeof(wire)));
    bridge_get(&reader, &b);
    assert_true(reader.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bridges_are_exhaustively_right),
        cmocka_unit_test(bridges_of_large_trees_are_right),
        cmocka_unit_test(bridges_hold_up_to_the_largest_size),
        cmocka_unit_test(bridge_of_the_vectors),
        cmocka_unit_test(a_bridge_that_does_not_fit_is_refused),
        cmocka_unit_test(a_view_refuses_a_held_bridge_of_another_size),
        cmocka_unit_test(bridge_survives_its_wire_form),
        cmocka_unit_test(bridge_of_too_many_hashes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
