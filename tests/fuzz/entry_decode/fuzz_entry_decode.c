/* Any bytes as an entry, and as the bodies of the two built-in types. What
 * was read writes back to the same bytes, reserved ones aside. */
#include "mlog/entry.h"

#include <string.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "mlog/block.h"

static void check_same_bytes(const struct entry *e, struct slice bytes)
{
    struct buf again = BUF_INIT;
    entry_encode(e, &again);
    memcpy(again.data + 70, bytes.data + 70, 2);
    FUZZ_CHECK(slice_eq(buf_slice(&again), bytes));
    buf_fini(&again);
}

static void check_bodies(const struct entry *e)
{
    struct entry_open open;
    struct entry_key key;
    struct buf again = BUF_INIT;
    struct entry decoded;
    if (entry_open_decode(e, &open) == ERR_OK) {
        entry_open_encode(&open, e->entered_at_ms, &again);
        FUZZ_CHECK(entry_decode(buf_slice(&again), &decoded) == ERR_OK);
        FUZZ_CHECK(slice_eq(decoded.body, e->body));
    } else if (entry_key_decode(e, &key) == ERR_OK) {
        entry_key_encode(&key, e->entered_at_ms, &again);
        FUZZ_CHECK(entry_decode(buf_slice(&again), &decoded) == ERR_OK);
        FUZZ_CHECK(slice_eq(decoded.body, e->body));
    }
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct entry e;
    enum err err = entry_decode(slice_of(data, len), &e);
    if (err == ERR_OK) {
        FUZZ_CHECK(len <= ENTRY_MAX);
        check_same_bytes(&e, slice_of(data, len));
        check_bodies(&e);
    } else {
        FUZZ_CHECK(err == ERR_INVALID || err == ERR_UNSUPPORTED);
    }
    return 0;
}
