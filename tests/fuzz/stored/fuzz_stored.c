/* Any bytes as a log's head, or as the note of what waits, as the database gave
 * them back: what is read keeps to its limits, and written again it reads the
 * same. */
#include "store/store_impl.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"

static void check_head(struct slice bytes)
{
    struct head *first = MEM_NEW(struct head);
    struct head *second = MEM_NEW(struct head);
    struct buf out = BUF_INIT;
    struct buf again = BUF_INIT;
    if (head_decode(bytes, first) == ERR_OK) {
        FUZZ_CHECK(first->h.state <= LOG_FORKED);
        FUZZ_CHECK(first->h.bridge.n <= ARRAY_LEN(first->h.bridge.node));
        head_encode(first, &out);
        FUZZ_CHECK(head_decode(buf_slice(&out), second) == ERR_OK);
        head_encode(second, &again);
        FUZZ_CHECK(slice_eq(buf_slice(&out), buf_slice(&again)));
        FUZZ_CHECK(log_id_eq(&first->h.log, &second->h.log));
    }
    buf_fini(&out);
    buf_fini(&again);
    mem_free(first);
    mem_free(second);
}

static void check_hold(struct slice bytes)
{
    struct hold first = {.active = false};
    struct hold second = {.active = false};
    struct buf out = BUF_INIT;
    hold_get(bytes, &first);
    hold_put(&out, &first);
    hold_get(buf_slice(&out), &second);
    FUZZ_CHECK(first.active == second.active);
    FUZZ_CHECK(!first.active || (log_id_eq(&first.log, &second.log) &&
                                 first.base == second.base));
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    check_head(slice_of(data, len));
    check_hold(slice_of(data, len));
    return 0;
}
