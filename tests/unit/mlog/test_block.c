/* Blocks: packing, unpacking, and everything an unpacker must refuse. */
#include "mlog/block.h"

#include <stdio.h>
#include <sys/resource.h>
#include <zstd.h>

#include "unit/mlog/vectors.h"

static int setup(void **state)
{
    *state = block_codec_new();
    return 0;
}

static int teardown(void **state)
{
    struct block_codec *codec = *state;
    block_codec_free(&codec);
    assert_null(codec);
    block_codec_free(&codec);
    return 0;
}

static void assert_slots_equal(const struct slot *a, const struct slot *b,
                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(a[i].entry.data == NULL, b[i].entry.data == NULL);
        if (a[i].entry.data == NULL) {
            assert_true(hash_eq(&a[i].leaf, &b[i].leaf));
        } else {
            assert_true(slice_eq(a[i].entry, b[i].entry));
        }
    }
}

static struct slot erased(uint8_t fill)
{
    struct slot slot = {.entry = {NULL, 0}};
    memset(slot.leaf.b, fill, HASH_LEN);
    return slot;
}

/* A block by hand: the header fields may lie. */
static void put_block(struct buf *out, unsigned form, unsigned count,
                      size_t raw_len, struct slice payload)
{
    buf_clear(out);
    buf_put_u8(out, (uint8_t)form);
    buf_put_u8(out, (uint8_t)count);
    buf_put_u32(out, (uint32_t)raw_len);
    buf_put_slice(out, payload);
}

static enum err unpack(struct block_codec *codec, const struct buf *block)
{
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count = 0;
    /* A copy of exactly this length: a read past it is caught. */
    uint8_t *copy = mem_dup(block->data, block->len);
    enum err err =
        block_unpack(codec, slice_of(copy, block->len), slots, &count);
    mem_free(copy);
    return err;
}

static void every_count_is_read_back(void **state)
{
    struct slot slots[BLOCK_ENTRIES_MAX];
    struct slot again[BLOCK_ENTRIES_MAX];
    struct buf block = BUF_INIT;
    char text[BLOCK_ENTRIES_MAX][40];
    for (size_t n = 1; n <= BLOCK_ENTRIES_MAX; n++) {
        for (size_t i = 0; i < n; i++) {
            snprintf(text[i], sizeof(text[i]), "entry %zu of the block", i);
            slots[i] = i % 5 == 3 ? erased((uint8_t)i)
                                  : (struct slot){.entry = slice_str(text[i])};
        }
        size_t count = 0;
        size_t header_count = 0;
        buf_clear(&block);
        block_pack(*state, slots, n, &block);
        assert_int_equal(block_count(buf_slice(&block), &header_count), ERR_OK);
        assert_int_equal(block_unpack(*state, buf_slice(&block), again, &count),
                         ERR_OK);
        assert_int_equal(count, n);
        assert_int_equal(header_count, n);
        assert_slots_equal(again, slots, n);
    }
    buf_fini(&block);
}

static void packing_appends_and_keeps_what_was_there(void **state)
{
    struct slot slot = {.entry = slice_str("entry")};
    struct buf out = BUF_INIT;
    buf_put_str(&out, "before");
    block_pack(*state, &slot, 1, &out);
    assert_memory_equal(out.data, "before", 6);
    struct slot again[BLOCK_ENTRIES_MAX];
    size_t count = 0;
    assert_int_equal(block_unpack(*state, slice_of(out.data + 6, out.len - 6),
                                  again, &count),
                     ERR_OK);
    assert_slots_equal(again, &slot, 1);
    buf_fini(&out);
}

static void empty_and_largest_entries_are_read_back(void **state)
{
    uint8_t *room = mem_alloc(ENTRY_MAX);
    struct slot slots[BLOCK_ENTRIES_MAX];
    struct slot again[BLOCK_ENTRIES_MAX];
    struct buf block = BUF_INIT;
    size_t count = 0;
    suite_random(room, ENTRY_MAX); /* cannot be compressed */
    for (size_t i = 0; i < BLOCK_ENTRIES_MAX; i++) {
        slots[i] = (struct slot){.entry = slice_of(room, ENTRY_MAX)};
    }
    slots[3] = (struct slot){.entry = slice_of(room, 0)};
    block_pack(*state, slots, BLOCK_ENTRIES_MAX, &block);
    assert_int_equal(block_unpack(*state, buf_slice(&block), again, &count),
                     ERR_OK);
    assert_int_equal(count, BLOCK_ENTRIES_MAX);
    assert_slots_equal(again, slots, count);
    buf_clear(&block);
    block_pack(*state, slots, 1, &block);
    assert_int_equal(block.data[0], 1);
    assert_int_equal(block.len, BLOCK_HEADER_LEN + 4 + ENTRY_MAX);
    assert_int_equal(unpack(*state, &block), ERR_OK);
    buf_fini(&block);
    mem_free(room);
}

static void similar_entries_are_compressed(void **state)
{
    static const char text[] =
        "{\"name\":\"made-up trading company\",\"id\":1}";
    struct slot slots[BLOCK_ENTRIES_MAX];
    struct buf block = BUF_INIT;
    for (size_t i = 0; i < BLOCK_ENTRIES_MAX; i++) {
        slots[i] = (struct slot){.entry = slice_str(text)};
    }
    block_pack(*state, slots, BLOCK_ENTRIES_MAX, &block);
    assert_int_equal(block.data[0], 2);
    assert_true(block.len < 3 * sizeof(text));
    assert_int_equal(unpack(*state, &block), ERR_OK);
    buf_fini(&block);
}

static void blocks_are_those_of_the_vectors(void **state)
{
    struct buf file = BUF_INIT;
    struct buf want = BUF_INIT;
    struct buf got = BUF_INIT;
    struct slot again[BLOCK_ENTRIES_MAX];
    size_t count = 0;
    struct slot slots[3] = {{.entry = slice_str("entry 1")},
                            {.entry = {NULL, 0}},
                            {.entry = slice_str("entry 3")}};
    suite_hash_leaf(SUITE_INTL, slice_str("entry 2"), &slots[1].leaf);
    vectors_load(TEST_DATA "/mlog_block.txt", &file);
    vectors_hex(&file, "stored", &want);
    block_pack(*state, slots, 3, &got);
    assert_true(slice_eq(buf_slice(&got), buf_slice(&want)));
    assert_int_equal(block_unpack(*state, buf_slice(&want), again, &count),
                     ERR_OK);
    assert_int_equal(count, 3);
    assert_slots_equal(again, slots, 3);

    buf_clear(&want);
    vectors_hex(&file, "zstd", &want);
    assert_int_equal(block_unpack(*state, buf_slice(&want), again, &count),
                     ERR_OK);
    assert_int_equal(count, BLOCK_ENTRIES_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_true(slice_eq(again[i].entry, slice_str("entry 1 entry 1")));
    }
    buf_fini(&got);
    buf_fini(&want);
    buf_fini(&file);
}

/* One behind the other, as a segment keeps them; what is malformed leaves no
 * trace. */
static void blocks_unpack_behind_each_other(void **state)
{
    enum { PER_BLOCK = 3 };
    const struct slot first[PER_BLOCK] = {{.entry = slice_str("entry 1")},
                                          {.entry = slice_str("")},
                                          {.entry = slice_str("entry 3")}};
    struct slot second[1] = {{.entry = {NULL, 0}}};
    struct buf blocks[2] = {BUF_INIT, BUF_INIT};
    struct buf room = BUF_INIT;
    struct slot slots[PER_BLOCK + 2];
    size_t count = 0;
    memset(second[0].leaf.b, 7, HASH_LEN);
    block_pack(*state, first, PER_BLOCK, &blocks[0]);
    block_pack(*state, second, 1, &blocks[1]);
    (void)buf_reserve(&room, 1000);
    assert_int_equal(
        block_unpack_to(*state, buf_slice(&blocks[0]), &room, slots, &count),
        ERR_OK);
    assert_int_equal(count, PER_BLOCK);
    size_t len = room.len;
    blocks[1].data[1]++; /* one entry more than there is */
    assert_int_equal(block_unpack_to(*state, buf_slice(&blocks[1]), &room,
                                     slots + PER_BLOCK, &count),
                     ERR_INVALID);
    assert_int_equal(room.len, len);
    blocks[1].data[1]--;
    assert_int_equal(block_unpack_to(*state, buf_slice(&blocks[1]), &room,
                                     slots + PER_BLOCK, &count),
                     ERR_OK);
    assert_int_equal(count, 1);
    assert_slots_equal(slots, first, PER_BLOCK);
    assert_slots_equal(slots + PER_BLOCK, second, 1);
    assert_true(slots[0].entry.data > room.data &&
                slots[0].entry.data < room.data + len);
    buf_fini(&blocks[0]);
    buf_fini(&blocks[1]);
    buf_fini(&room);
}

static void every_truncation_is_refused(void **state)
{
    struct buf file = BUF_INIT;
    vectors_load(TEST_DATA "/mlog_block.txt", &file);
    static const char *const names[] = {"stored", "zstd"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct buf block = BUF_INIT;
        vectors_hex(&file, names[i], &block);
        buf_put_u8(&block, 0);
        assert_int_equal(unpack(*state, &block), ERR_INVALID);
        block.len--;
        assert_int_equal(unpack(*state, &block), ERR_OK);
        while (block.len > 0) {
            block.len--;
            assert_int_equal(unpack(*state, &block), ERR_INVALID);
        }
        buf_fini(&block);
    }
    buf_fini(&file);
}

static void lying_headers_are_refused(void **state)
{
    struct buf block = BUF_INIT;
    struct slice two = slice_of("\0\0\0\1a\0\0\0\1b", 10);
    static const struct {
        unsigned form;
        unsigned count;
        size_t raw_len;
        enum err err;
    } rows[] = {
        {1, 2, 10, ERR_OK},
        {0, 2, 10, ERR_INVALID},
        {3, 2, 10, ERR_INVALID},
        {255, 2, 10, ERR_INVALID},
        {2, 2, 10, ERR_INVALID},
        {1, 0, 10, ERR_INVALID},
        {1, 1, 10, ERR_INVALID},
        {1, 3, 10, ERR_INVALID},
        {1, 16, 10, ERR_INVALID},
        {1, 17, 10, ERR_INVALID},
        {1, 255, 10, ERR_INVALID},
        {1, 2, 9, ERR_INVALID},
        {1, 2, 11, ERR_INVALID},
        {1, 2, 0, ERR_INVALID},
        {1, 2, 0xffffffff, ERR_INVALID},
        {2, 2, 0xffffffff, ERR_INVALID},
        {2, 2, BLOCK_RAW_MAX + 1, ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        put_block(&block, rows[i].form, rows[i].count, rows[i].raw_len, two);
        assert_int_equal(unpack(*state, &block), rows[i].err);
    }
    /* A header that promises too much is refused before the frame is read. */
    size_t count = 0;
    put_block(&block, 2, 2, BLOCK_RAW_MAX, two);
    assert_int_equal(block_count(buf_slice(&block), &count), ERR_OK);
    put_block(&block, 2, 2, BLOCK_RAW_MAX + 1, two);
    assert_int_equal(block_count(buf_slice(&block), &count), ERR_INVALID);
    buf_fini(&block);
}

static void slots_that_do_not_fit_are_refused(void **state)
{
    struct buf block = BUF_INIT;
    static const struct {
        const char *payload;
        size_t len;
        enum err err;
    } rows[] = {
        {"\0\0\0\0", 4, ERR_OK},
        {"\0\0\0\1", 4, ERR_INVALID},
        {"\0\0\0\0x", 5, ERR_INVALID},
        {"\0\0\0", 3, ERR_INVALID},
        {"", 0, ERR_INVALID},
        {"\xff\xff\xff\xff"
         "0123456789abcdef0123456789abcdef",
         36, ERR_OK},
        {"\xff\xff\xff\xff"
         "0123456789abcdef0123456789abcde",
         35, ERR_INVALID},
        {"\xff\xff\xff\xfe"
         "0123456789abcdef0123456789abcdef",
         36, ERR_INVALID},
        {"\x80\0\0\0", 4, ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        put_block(&block, 1, 1, rows[i].len,
                  slice_of(rows[i].payload, rows[i].len));
        assert_int_equal(unpack(*state, &block), rows[i].err);
    }
    uint8_t *big = mem_zalloc(4 + ENTRY_MAX + 1, 1);
    be_put32(big, ENTRY_MAX + 1);
    put_block(&block, 1, 1, 4 + ENTRY_MAX + 1,
              slice_of(big, 4 + ENTRY_MAX + 1));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    be_put32(big, ENTRY_MAX);
    put_block(&block, 1, 1, 4 + ENTRY_MAX, slice_of(big, 4 + ENTRY_MAX));
    assert_int_equal(unpack(*state, &block), ERR_OK);
    mem_free(big);
    buf_fini(&block);
}

/* Packs `len` bytes that hold one entry of zeros. */
static size_t zero_frame(uint8_t *out, size_t room, size_t len, bool sized)
{
    uint8_t *raw = mem_zalloc(len, 1);
    be_put32(raw, (uint32_t)(len - 4));
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, sized);
    size_t n = ZSTD_compress2(ctx, out, room, raw, len);
    assert_false(ZSTD_isError(n));
    ZSTD_freeCCtx(ctx);
    mem_free(raw);
    return n;
}

static void bombs_are_refused(void **state)
{
    uint8_t frame[4096];
    struct buf block = BUF_INIT;
    /* Honest: one entry of 60,000 zeros. */
    size_t n = zero_frame(frame, sizeof(frame), 60004, true);
    put_block(&block, 2, 1, 60004, slice_of(frame, n));
    assert_int_equal(unpack(*state, &block), ERR_OK);
    /* More or less in the frame than the header says. */
    put_block(&block, 2, 1, 60003, slice_of(frame, n));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    put_block(&block, 2, 1, 60005, slice_of(frame, n));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    /* 20 MB behind a header that claims little, and one that claims all. */
    n = zero_frame(frame, sizeof(frame), 20000000, true);
    put_block(&block, 2, 1, 60004, slice_of(frame, n));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    put_block(&block, 2, 1, 20000000, slice_of(frame, n));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    /* A frame that does not say its size. */
    n = zero_frame(frame, sizeof(frame), 60004, false);
    put_block(&block, 2, 1, 60004, slice_of(frame, n));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    buf_fini(&block);
}

static void the_window_a_frame_asks_for_is_not_taken(void **state)
{
    /* Content size 64 in 4 bytes, a window of 2 GiB, one RLE block of zeros:
     * sixteen empty entries. */
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x80, 0xa8, 64,
                                    0,    0,    0,    0x03, 0x02, 0x00, 0x00};
    struct buf block = BUF_INIT;
    struct rusage before;
    struct rusage after;
    put_block(&block, 2, 16, 64, slice_of(frame, sizeof(frame)));
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    assert_int_equal(unpack(*state, &block), ERR_OK);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
    buf_fini(&block);
}

static void frames_beside_the_one_are_refused(void **state)
{
    uint8_t frames[4096];
    struct buf block = BUF_INIT;
    size_t n = zero_frame(frames, sizeof(frames), 60004, true);
    /* An empty frame behind it. */
    size_t more = ZSTD_compress(frames + n, sizeof(frames) - n, frames, 0, 1);
    assert_false(ZSTD_isError(more));
    put_block(&block, 2, 1, 60004, slice_of(frames, n + more));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    /* A skippable frame before it. */
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    memmove(frames + sizeof(skippable), frames, n);
    memcpy(frames, skippable, sizeof(skippable));
    put_block(&block, 2, 1, 60004, slice_of(frames, n + sizeof(skippable)));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    buf_fini(&block);
}

static void a_frame_that_saves_nothing_is_refused(void **state)
{
    uint8_t frame[64];
    struct buf block = BUF_INIT;
    size_t n = ZSTD_compress(frame, sizeof(frame), "\0\0\0\1x", 5, 1);
    assert_false(ZSTD_isError(n));
    put_block(&block, 2, 1, 5, slice_of(frame, n));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    buf_fini(&block);
}

static void frames_of_old_zstd_are_refused(void **state)
{
    /* zstd 0.7: content size 64, an RLE block of 64 zeros, the end block. */
    static const uint8_t frame[] = {0x27, 0xb5, 0x2f, 0xfd, 0x20, 64, 0x80,
                                    0,    64,   0,    0xc0, 0,    0};
    struct buf block = BUF_INIT;
    put_block(&block, 2, 16, 64, slice_of(frame, sizeof(frame)));
    assert_int_equal(unpack(*state, &block), ERR_INVALID);
    buf_fini(&block);
}

static void every_flipped_bit_is_survived(void **state)
{
    struct buf file = BUF_INIT;
    struct buf block = BUF_INIT;
    vectors_load(TEST_DATA "/mlog_block.txt", &file);
    vectors_hex(&file, "zstd", &block);
    for (size_t bit = 0; bit < block.len * 8; bit++) {
        block.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum err err = unpack(*state, &block);
        assert_true(err == ERR_OK || err == ERR_INVALID);
        block.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(unpack(*state, &block), ERR_OK);
    buf_fini(&block);
    buf_fini(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_count_is_read_back),
        cmocka_unit_test(packing_appends_and_keeps_what_was_there),
        cmocka_unit_test(empty_and_largest_entries_are_read_back),
        cmocka_unit_test(similar_entries_are_compressed),
        cmocka_unit_test(blocks_are_those_of_the_vectors),
        cmocka_unit_test(blocks_unpack_behind_each_other),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(lying_headers_are_refused),
        cmocka_unit_test(slots_that_do_not_fit_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(the_window_a_frame_asks_for_is_not_taken),
        cmocka_unit_test(frames_beside_the_one_are_refused),
        cmocka_unit_test(a_frame_that_saves_nothing_is_refused),
        cmocka_unit_test(frames_of_old_zstd_are_refused),
        cmocka_unit_test(every_flipped_bit_is_survived),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
