/* Any bytes as a block. What was unpacked packs and unpacks to the same. */
#include "mlog/block.h"

#include "base/buf.h"
#include "fuzz/fuzz.h"

static struct block_codec *reader; /* kept: a node reuses it for all input */
static struct block_codec *writer;

static void check_slot(const struct slot *a, const struct slot *b)
{
    FUZZ_CHECK((a->entry.data == NULL) == (b->entry.data == NULL));
    FUZZ_CHECK(a->entry.data == NULL ? hash_eq(&a->leaf, &b->leaf)
                                     : slice_eq(a->entry, b->entry));
}

static void check_again(const struct slot *slots, size_t count)
{
    struct buf packed = BUF_INIT;
    struct slot again[BLOCK_ENTRIES_MAX];
    size_t n = 0;
    block_pack(writer, slots, count, &packed);
    FUZZ_CHECK(packed.len <= BLOCK_HEADER_LEN + BLOCK_RAW_MAX);
    FUZZ_CHECK(block_unpack(writer, buf_slice(&packed), again, &n) == ERR_OK);
    FUZZ_CHECK(n == count);
    for (size_t i = 0; i < n; i++) {
        check_slot(&slots[i], &again[i]);
    }
    buf_fini(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (reader == NULL) {
        reader = block_codec_new();
        writer = block_codec_new();
    }
    struct slot slots[BLOCK_ENTRIES_MAX];
    struct slice block = slice_of(data, len);
    size_t count = 0;
    size_t header_count = 0;
    enum err header = block_count(block, &header_count);
    enum err err = block_unpack(reader, block, slots, &count);
    FUZZ_CHECK(err == ERR_OK || err == ERR_INVALID);
    if (err == ERR_OK) {
        FUZZ_CHECK(header == ERR_OK && header_count == count);
        FUZZ_CHECK(count >= 1 && count <= BLOCK_ENTRIES_MAX);
        check_again(slots, count);
    }
    return 0;
}
