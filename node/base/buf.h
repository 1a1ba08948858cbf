/* buf.h - growing byte buffers, borrowed slices and bounded readers.
 *
 * Integers are big-endian on the wire and on disk, host order everywhere else.
 * A reader never reads past its slice: the first read that would sets `bad`
 * and every later one returns 0 or an empty slice, so one check at the end of
 * a decoder is enough. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Borrowed bytes. */
struct slice {
    const uint8_t *data;
    size_t len;
};

struct buf {
    uint8_t *data; /* owned; NULL while cap is 0 */
    size_t len;
    size_t cap;
};

#define BUF_INIT                                                               \
    {                                                                          \
        NULL, 0, 0                                                             \
    }

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){(const uint8_t *)data, len};
}
struct slice slice_str(const char *text);
bool slice_eq(struct slice a, struct slice b);
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data, b->len};
}

void buf_fini(struct buf *b);
static inline void buf_clear(struct buf *b)
{
    b->len = 0;
}
uint8_t *buf_grow(struct buf *b, size_t more); /* buf_reserve()'s */
/* Makes room for `more` bytes behind len and returns their address; the
 * caller adds what it wrote to len. */
static inline uint8_t *buf_reserve(struct buf *b, size_t more)
{
    return b->data != NULL && b->cap - b->len >= more ? b->data + b->len
                                                      : buf_grow(b, more);
}
void buf_put(struct buf *b, const void *data, size_t len);
void buf_put_slice(struct buf *b, struct slice s);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
/* Base-128 varint, low group first (as in protobuf), of at most
 * VARINT_LEN_MAX bytes. */
enum { VARINT_LEN_MAX = 10 };
void buf_put_varint(struct buf *b, uint64_t v);
/* Writes one to `at`; returns the place behind it. */
static inline uint8_t *varint_put(uint8_t *at, uint64_t v)
{
    while (v >= 0x80) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v;
    return at;
}
void buf_put_str(struct buf *b, const char *text);
void buf_putf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vputf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* NUL behind the content (not counted in len); borrowed until next change. */
const char *buf_cstr(struct buf *b);
/* Hands the bytes over; b is empty afterwards. Free with mem_free(). */
uint8_t *buf_steal(struct buf *b, size_t *len);

/* Big-endian at fixed places. */
static inline void be_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void be_put32(uint8_t *p, uint32_t v)
{
    be_put16(p, (uint16_t)(v >> 16));
    be_put16(p + 2, (uint16_t)v);
}
static inline void be_put64(uint8_t *p, uint64_t v)
{
    be_put32(p, (uint32_t)(v >> 32));
    be_put32(p + 4, (uint32_t)v);
}
static inline uint16_t be_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t be_get32(const uint8_t *p)
{
    return (uint32_t)be_get16(p) << 16 | be_get16(p + 2);
}
static inline uint64_t be_get64(const uint8_t *p)
{
    return (uint64_t)be_get32(p) << 32 | be_get32(p + 4);
}

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad; /* a read went past the end */
};

static inline struct reader reader_of(struct slice s)
{
    /* Nothing may be added to no address, not even 0. */
    return (struct reader){s.data, s.len > 0 ? s.data + s.len : s.data, false};
}
static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
uint64_t reader_varint(struct reader *r);
/* `len` bytes, borrowed from the input. */
struct slice reader_bytes(struct reader *r, size_t len);
/* True if everything was read and nothing went past the end. */
static inline bool reader_done(const struct reader *r)
{
    return !r->bad && r->at == r->end;
}

#endif
