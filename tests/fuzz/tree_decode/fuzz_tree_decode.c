/* A log's name, a frontier and a bridge one behind the other, as in a
 * message. What was read writes back to the same bytes, and whatever the
 * bridge says, completing the frontier ends. */
#include "mlog/tree.h"

#include <string.h>

#include "fuzz/fuzz.h"
#include "mlog/log_id.h"

static void check_log_id(struct reader *r)
{
    const uint8_t *from = r->at;
    struct log_id id = log_id_get(r);
    if (!r->bad) {
        struct buf again = BUF_INIT;
        log_id_put(&again, &id);
        FUZZ_CHECK(slice_eq(buf_slice(&again), slice_of(from, LOG_ID_LEN)));
        buf_fini(&again);
    }
}

static void check_same(struct buf *again, const uint8_t *from,
                       const uint8_t *to)
{
    FUZZ_CHECK(slice_eq(buf_slice(again), slice_of(from, (size_t)(to - from))));
    buf_fini(again);
}

static void check_tree(struct reader *r)
{
    struct frontier frontier;
    struct bridge bridge;
    struct hash root;
    struct buf again = BUF_INIT;
    const uint8_t *from = r->at;
    frontier_get(r, &frontier);
    if (r->bad) {
        FUZZ_CHECK(frontier.size == 0);
        return;
    }
    frontier_put(&again, &frontier);
    check_same(&again, from, r->at);
    frontier_root(&frontier, SUITE_INTL, &root);

    from = r->at;
    bridge_get(r, &bridge);
    if (r->bad) {
        FUZZ_CHECK(bridge.n == 0);
        return;
    }
    bridge_put(&again, &bridge);
    check_same(&again, from, r->at);
    enum err err = bridge_root(&frontier, SUITE_INTL, &bridge, &root);
    FUZZ_CHECK(err == ERR_OK || err == ERR_BAD_PROOF);
    if (frontier.size < TREE_SIZE_MAX) {
        frontier_append(&frontier, SUITE_INTL, &root, NULL, NULL);
    }
}

/* The same bytes as a proof, under sizes taken from them. */
static void check_proofs(const uint8_t *data, size_t len)
{
    struct hash path[PROOF_MAX];
    struct reader r = reader_of(slice_of(data, len));
    uint64_t a = reader_u64(&r);
    uint64_t b = reader_u64(&r);
    size_t n = reader_left(&r) / HASH_LEN;
    if (r.bad || n == 0) {
        return;
    }
    n = n < PROOF_MAX ? n : PROOF_MAX;
    memcpy(path, r.at, n * HASH_LEN);
    for (size_t i = 0; i <= n; i++) {
        enum err err =
            inclusion_verify(SUITE_INTL, a, b, &path[0], path, i, &path[n - 1]);
        FUZZ_CHECK(err == ERR_OK || err == ERR_BAD_PROOF);
        err = consistency_verify(SUITE_INTL, a, b, &path[0], &path[n - 1], path,
                                 i);
        FUZZ_CHECK(err == ERR_OK || err == ERR_BAD_PROOF);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(slice_of(data, len));
    check_log_id(&r);
    if (!r.bad) {
        check_tree(&r);
    }
    check_proofs(data, len);
    return 0;
}
