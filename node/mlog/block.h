/* block.h - 1 to 16 consecutive entries packed for disk and wire.
 *
 *   u8  form      1 stored, 2 zstd frame
 *   u8  count     1..16
 *   u32 raw_len   bytes behind unpacking, ≤ BLOCK_RAW_MAX
 *   payload       count × (u32 len, entry bytes); an erased slot is
 *                 len = 0xFFFFFFFF and its 32-byte leaf hash
 *
 * Boundaries have no meaning. Every bound is checked before memory is taken:
 * a frame that unpacks to anything but raw_len bytes is refused. */
#ifndef MLOG_BLOCK_H
#define MLOG_BLOCK_H

#include "ident/suite.h"

enum {
    ENTRY_MAX = 65536, /* bytes of one entry */
    BLOCK_ENTRIES_MAX = 16,
    BLOCK_RAW_MAX = BLOCK_ENTRIES_MAX * (ENTRY_MAX + 4),
    BLOCK_HEADER_LEN = 6,
};

/* One slot: an entry, or the leaf hash of an erased one. */
struct slot {
    struct slice entry; /* data NULL if erased */
    struct hash leaf;   /* set if erased */
};

/* Reusable contexts and room; one per thread. */
struct block_codec;
struct block_codec *block_codec_new(void);
void block_codec_free(struct block_codec **codec);

/* Appends a block; compresses if that saves space. */
void block_pack(struct block_codec *codec, const struct slot *slots,
                size_t count, struct buf *out);
/* Unpacks into `codec`'s room: slots borrow from it until its next call.
 * ERR_INVALID with anything malformed or oversized. */
MUST_USE enum err block_unpack(struct block_codec *codec, struct slice block,
                               struct slot slots[BLOCK_ENTRIES_MAX],
                               size_t *count);
/* The same, but the payload is appended to `out`, from which the slots borrow:
 * it moves unless there is room for raw_len more bytes. `slots` has room for as
 * many as block_sizes() says. On an error the length of `out` is as it was. */
MUST_USE enum err block_unpack_to(struct block_codec *codec, struct slice block,
                                  struct buf *out, struct slot *slots,
                                  size_t *count);
/* Header only: entries, and the bytes behind unpacking. */
MUST_USE enum err block_sizes(struct slice block, size_t *count,
                              size_t *raw_len);
MUST_USE enum err block_count(struct slice block, size_t *count);

#endif
