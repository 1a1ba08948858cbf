#include "mlog/block.h"

#include <assert.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"

enum { FORM_STORED = 1, FORM_ZSTD = 2 };

enum {
    AT_FORM = 0,
    AT_COUNT = 1,
    AT_RAW_LEN = 2,
};

/* Measured on blocks of 16 records of 460 bytes: levels 1 to 4 all give 132
 * bytes a record, level 1 in 1.2 µs, level 3 in 1.6. */
enum { ZSTD_LEVEL = 1 };

#define SLOT_ERASED UINT32_C(0xFFFFFFFF)

/* RFC 8878 §3.1.1: the only kind of frame a block holds. Debian's library
 * also reads the frames of zstd before 1.0, by decoders nobody fuzzes. */
static const uint8_t frame_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

struct block_codec {
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
    struct buf raw; /* the payload before packing or behind unpacking */
};

struct block_codec *block_codec_new(void)
{
    struct block_codec *codec = MEM_NEW(struct block_codec);
    codec->packer = ZSTD_createCCtx();
    codec->unpacker = ZSTD_createDCtx();
    /* What a bit that flipped in memory, or in a database, gives would pass for
     * another entry until somebody hashes it. */
    (void)ZSTD_CCtx_setParameter(codec->packer, ZSTD_c_compressionLevel,
                                 ZSTD_LEVEL);
    (void)ZSTD_CCtx_setParameter(codec->packer, ZSTD_c_checksumFlag, 1);
    return codec;
}

void block_codec_free(struct block_codec **codec)
{
    if (*codec == NULL) {
        return;
    }
    ZSTD_freeCCtx((*codec)->packer);
    ZSTD_freeDCtx((*codec)->unpacker);
    buf_fini(&(*codec)->raw);
    mem_free(*codec);
    *codec = NULL;
}

static void put_slot(struct buf *raw, const struct slot *slot)
{
    if (slot->entry.data == NULL) {
        buf_put_u32(raw, SLOT_ERASED);
        buf_put(raw, slot->leaf.b, HASH_LEN);
        return;
    }
    assert(slot->entry.len <= ENTRY_MAX);
    buf_put_u32(raw, (uint32_t)slot->entry.len);
    buf_put_slice(raw, slot->entry);
}

void block_pack(struct block_codec *codec, const struct slot *slots,
                size_t count, struct buf *out)
{
    assert(count >= 1 && count <= BLOCK_ENTRIES_MAX);
    struct buf *raw = &codec->raw;
    buf_clear(raw);
    for (size_t i = 0; i < count; i++) {
        put_slot(raw, &slots[i]);
    }
    size_t room = ZSTD_compressBound(raw->len);
    uint8_t *header = buf_reserve(out, BLOCK_HEADER_LEN + room);
    uint8_t *payload = header + BLOCK_HEADER_LEN;
    size_t packed =
        ZSTD_compress2(codec->packer, payload, room, raw->data, raw->len);
    bool saves = !ZSTD_isError(packed) && packed < raw->len;
    if (!saves) {
        memcpy(payload, raw->data, raw->len);
        packed = raw->len;
    }
    header[AT_FORM] = saves ? FORM_ZSTD : FORM_STORED;
    header[AT_COUNT] = (uint8_t)count;
    be_put32(header + AT_RAW_LEN, (uint32_t)raw->len);
    out->len += BLOCK_HEADER_LEN + packed;
}

struct header {
    unsigned form;
    size_t count;
    size_t raw_len;
};

/* A payload is never longer than what it unpacks to, so whoever holds a good
 * header knows that the block is at most BLOCK_HEADER_LEN + BLOCK_RAW_MAX. */
static bool header_get(struct slice block, struct header *h)
{
    if (block.len < BLOCK_HEADER_LEN) {
        return false;
    }
    size_t payload_len = block.len - BLOCK_HEADER_LEN;
    h->form = block.data[AT_FORM];
    h->count = block.data[AT_COUNT];
    h->raw_len = be_get32(block.data + AT_RAW_LEN);
    if (h->count < 1 || h->count > BLOCK_ENTRIES_MAX ||
        h->raw_len > BLOCK_RAW_MAX) {
        return false;
    }
    return h->form == FORM_STORED
               ? payload_len == h->raw_len
               : h->form == FORM_ZSTD && payload_len < h->raw_len;
}

/* Decompressing in one piece takes no memory for the window a frame asks for,
 * so raw_len is the only size to trust, and that was bounded. */
static bool unpack_frame(struct block_codec *codec, struct slice frame,
                         size_t raw_len, struct buf *out)
{
    if (frame.len < sizeof(frame_magic) ||
        memcmp(frame.data, frame_magic, sizeof(frame_magic)) != 0 ||
        ZSTD_getFrameContentSize(frame.data, frame.len) != raw_len ||
        ZSTD_findFrameCompressedSize(frame.data, frame.len) != frame.len) {
        return false;
    }
    uint8_t *room = buf_reserve(out, raw_len);
    size_t len = ZSTD_decompressDCtx(codec->unpacker, room, raw_len, frame.data,
                                     frame.len);
    if (len != raw_len) { /* an error code is larger than any length */
        return false;
    }
    out->len += len;
    return true;
}

static void slot_get(struct reader *r, struct slot *slot)
{
    uint32_t len = reader_u32(r);
    *slot = (struct slot){.entry = {NULL, 0}};
    if (len == SLOT_ERASED) {
        struct slice leaf = reader_bytes(r, HASH_LEN);
        if (!r->bad) {
            memcpy(slot->leaf.b, leaf.data, HASH_LEN);
        }
        return;
    }
    r->bad = r->bad || len > ENTRY_MAX;
    slot->entry = reader_bytes(r, len);
}

static enum err unpack_payload(struct block_codec *codec,
                               const struct header *h, struct slice payload,
                               struct buf *out)
{
    if (h->form == FORM_STORED) {
        buf_put_slice(out, payload);
        return ERR_OK;
    }
    return unpack_frame(codec, payload, h->raw_len, out) ? ERR_OK : ERR_INVALID;
}

enum err block_unpack_to(struct block_codec *codec, struct slice block,
                         struct buf *out, struct slot *slots, size_t *count)
{
    struct header h;
    size_t start = out->len;
    if (!header_get(block, &h)) {
        return ERR_INVALID;
    }
    struct slice payload =
        slice_of(block.data + BLOCK_HEADER_LEN, block.len - BLOCK_HEADER_LEN);
    if (unpack_payload(codec, &h, payload, out) != ERR_OK) {
        return ERR_INVALID;
    }
    struct reader r = reader_of(slice_of(out->data + start, out->len - start));
    for (size_t i = 0; i < h.count; i++) {
        slot_get(&r, &slots[i]);
    }
    if (!reader_done(&r)) {
        out->len = start;
        return ERR_INVALID;
    }
    *count = h.count;
    return ERR_OK;
}

enum err block_unpack(struct block_codec *codec, struct slice block,
                      struct slot slots[BLOCK_ENTRIES_MAX], size_t *count)
{
    buf_clear(&codec->raw);
    return block_unpack_to(codec, block, &codec->raw, slots, count);
}

enum err block_sizes(struct slice block, size_t *count, size_t *raw_len)
{
    struct header h;
    if (!header_get(block, &h)) {
        return ERR_INVALID;
    }
    *count = h.count;
    *raw_len = h.raw_len;
    return ERR_OK;
}

enum err block_count(struct slice block, size_t *count)
{
    size_t raw_len;
    return block_sizes(block, count, &raw_len);
}
