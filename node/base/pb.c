#include "base/pb.h"

#include <assert.h>
#include <string.h>

enum { LEN_BYTES = 4 };

void pb_put_u64(struct buf *b, uint32_t field, uint64_t value)
{
    if (value != 0) {
        buf_put_varint(b, (uint64_t)field << 3 | PB_VARINT);
        buf_put_varint(b, value);
    }
}

void pb_put_bytes(struct buf *b, uint32_t field, struct slice bytes)
{
    if (bytes.len > 0) {
        uint8_t *start =
            buf_reserve(b, bytes.len + VARINT_LEN_MAX + VARINT_LEN_MAX);
        uint8_t *at = varint_put(start, (uint64_t)field << 3 | PB_BYTES);
        at = varint_put(at, bytes.len);
        memcpy(at, bytes.data, bytes.len);
        b->len += (size_t)(at - start) + bytes.len;
    }
}

void pb_put_str(struct buf *b, uint32_t field, const char *text)
{
    pb_put_bytes(b, field, slice_str(text));
}

size_t pb_begin(struct buf *b, uint32_t field)
{
    buf_put_varint(b, (uint64_t)field << 3 | PB_BYTES);
    (void)buf_reserve(b, LEN_BYTES);
    b->len += LEN_BYTES;
    return b->len;
}

void pb_end(struct buf *b, size_t mark)
{
    size_t len = b->len - mark;
    assert(len < (size_t)1 << (7 * LEN_BYTES));
    uint8_t *at = b->data + mark - LEN_BYTES;
    for (size_t i = 0; i < LEN_BYTES; i++) {
        uint8_t more = i + 1 < LEN_BYTES ? 0x80 : 0;
        at[i] = (uint8_t)((len >> (7 * i) & 0x7f) | more);
    }
}

bool pb_next(struct reader *r, struct pb_field *out)
{
    if (r->bad || r->at == r->end) {
        return false;
    }
    uint64_t key = reader_varint(r);
    *out = (struct pb_field){.number = (uint32_t)(key >> 3),
                             .type = (enum pb_type)(key & 7)};
    r->bad = r->bad || key >> 3 == 0 || key >> 3 >= 1U << 29;
    switch (key & 7) {
    case PB_VARINT:
        out->value = reader_varint(r);
        break;
    case PB_FIXED64:
        out->value = reader_u64(r); /* big-endian as read: not used by us */
        break;
    case PB_BYTES: {
        uint64_t len = reader_varint(r);
        r->bad = r->bad || len > reader_left(r);
        out->bytes = reader_bytes(r, (size_t)len);
        break;
    }
    case PB_FIXED32:
        out->value = reader_u32(r);
        break;
    default:
        r->bad = true;
    }
    return !r->bad;
}
