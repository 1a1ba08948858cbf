#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct slice slice_str(const char *text)
{
    return slice_of(text, strlen(text));
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

void buf_fini(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf)BUF_INIT;
}

uint8_t *buf_grow(struct buf *b, size_t more)
{
    assert(more <= SIZE_MAX / 4);
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap - b->len < more) {
        cap *= 2;
    }
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
    return b->data + b->len;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
    uint8_t *at = buf_reserve(b, len);
    if (len > 0) {
        memcpy(at, data, len);
        b->len += len;
    }
}

void buf_put_slice(struct buf *b, struct slice s)
{
    buf_put(b, s.data, s.len);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    *buf_reserve(b, 1) = v;
    b->len += 1;
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    be_put16(buf_reserve(b, 2), v);
    b->len += 2;
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    be_put32(buf_reserve(b, 4), v);
    b->len += 4;
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    be_put64(buf_reserve(b, 8), v);
    b->len += 8;
}

void buf_put_varint(struct buf *b, uint64_t v)
{
    uint8_t *at = buf_reserve(b, VARINT_LEN_MAX);
    b->len += (size_t)(varint_put(at, v) - at);
}

void buf_put_str(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

void buf_vputf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int need = vsnprintf(NULL, 0, fmt, ap);
    if (need > 0) {
        char *at = (char *)buf_reserve(b, (size_t)need + 1);
        (void)vsnprintf(at, (size_t)need + 1, fmt, again);
        b->len += (size_t)need;
    }
    va_end(again);
}

void buf_putf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vputf(b, fmt, ap);
    va_end(ap);
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = 0;
    return (const char *)b->data;
}

uint8_t *buf_steal(struct buf *b, size_t *len)
{
    uint8_t *data = b->data;
    *len = b->len;
    *b = (struct buf)BUF_INIT;
    return data;
}

struct slice reader_bytes(struct reader *r, size_t len)
{
    if (r->bad || reader_left(r) < len) {
        r->bad = true;
        return (struct slice){NULL, 0};
    }
    struct slice s = {r->at, len};
    r->at += len;
    return s;
}

uint8_t reader_u8(struct reader *r)
{
    struct slice s = reader_bytes(r, 1);
    return s.data != NULL ? s.data[0] : 0;
}

uint16_t reader_u16(struct reader *r)
{
    struct slice s = reader_bytes(r, 2);
    return s.data != NULL ? be_get16(s.data) : 0;
}

uint32_t reader_u32(struct reader *r)
{
    struct slice s = reader_bytes(r, 4);
    return s.data != NULL ? be_get32(s.data) : 0;
}

uint64_t reader_u64(struct reader *r)
{
    struct slice s = reader_bytes(r, 8);
    return s.data != NULL ? be_get64(s.data) : 0;
}

uint64_t reader_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = reader_u8(r);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            /* The tenth byte may carry one bit only. */
            r->bad = r->bad || (shift == 63 && b > 1);
            return r->bad ? 0 : v;
        }
    }
    r->bad = true;
    return 0;
}
