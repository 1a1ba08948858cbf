#include "mlog/entry.h"

#include <assert.h>
#include <string.h>

#include "ident/suite.h"
#include "mlog/block.h"

/* Where the fields of the header stand; the table in entry.h. */
enum {
    AT_FORMAT = 0,
    AT_TYPE = 1,
    AT_FLAGS = 2,
    AT_STATUS = 3,
    AT_DISCLOSURE = 4,
    AT_SUBJECT_KIND = 5,
    AT_ITEM = 6,
    AT_ENTERED = 8,
    AT_RECORD_KEY = 16,
    AT_VERSION = 32,
    AT_PREV_INCARNATION = 36,
    AT_PREV_NUMBER = 44,
    AT_DECIDED = 52,
    AT_FROM = 56,
    AT_UNTIL = 60,
    AT_PUBLISH_UNTIL = 64,
    AT_SUBJECT_LEN = 68,
    AT_PREV_SUBJECT_LEN = 69,
    AT_RESERVED = 70,
    AT_BODY_LEN = 72,
};

enum {
    OPEN_BODY_LEN = 8 + 8 + HASH_LEN,
    KEY_BODY_FIXED = 4 + 8 + HASH_LEN,
};

void entry_encode(const struct entry *e, struct buf *out)
{
    assert(e->subject.len <= SUBJECT_MAX);
    assert(e->prev_subject.len <= SUBJECT_MAX);
    assert(e->body.len <=
           ENTRY_MAX - ENTRY_HEADER_LEN - e->subject.len - e->prev_subject.len);
    uint8_t *p = buf_reserve(out, ENTRY_HEADER_LEN);
    p[AT_FORMAT] = ENTRY_FORMAT;
    p[AT_TYPE] = e->type;
    p[AT_FLAGS] = e->flags;
    p[AT_STATUS] = e->status;
    p[AT_DISCLOSURE] = e->disclosure;
    p[AT_SUBJECT_KIND] = e->subject_kind;
    be_put16(p + AT_ITEM, e->item);
    be_put64(p + AT_ENTERED, (uint64_t)e->entered_at_ms);
    memcpy(p + AT_RECORD_KEY, e->record_key, RECORD_KEY_LEN);
    be_put32(p + AT_VERSION, e->version);
    be_put64(p + AT_PREV_INCARNATION, e->prev_incarnation);
    be_put64(p + AT_PREV_NUMBER, e->prev_number);
    be_put32(p + AT_DECIDED, e->decided);
    be_put32(p + AT_FROM, e->from);
    be_put32(p + AT_UNTIL, e->until);
    be_put32(p + AT_PUBLISH_UNTIL, e->publish_until);
    p[AT_SUBJECT_LEN] = (uint8_t)e->subject.len;
    p[AT_PREV_SUBJECT_LEN] = (uint8_t)e->prev_subject.len;
    be_put16(p + AT_RESERVED, 0);
    be_put32(p + AT_BODY_LEN, (uint32_t)e->body.len);
    out->len += ENTRY_HEADER_LEN;
    buf_put_slice(out, e->subject);
    buf_put_slice(out, e->prev_subject);
    buf_put_slice(out, e->body);
}

enum err entry_decode(struct slice bytes, struct entry *out)
{
    const uint8_t *p = bytes.data;
    if (bytes.len == 0 || bytes.len > ENTRY_MAX) {
        return ERR_INVALID;
    }
    if (p[AT_FORMAT] != ENTRY_FORMAT) {
        return ERR_UNSUPPORTED;
    }
    if (bytes.len < ENTRY_HEADER_LEN) {
        return ERR_INVALID;
    }
    size_t subject_len = p[AT_SUBJECT_LEN];
    size_t prev_len = p[AT_PREV_SUBJECT_LEN];
    size_t body_len = be_get32(p + AT_BODY_LEN);
    if (subject_len > SUBJECT_MAX || prev_len > SUBJECT_MAX ||
        body_len > ENTRY_MAX ||
        bytes.len != ENTRY_HEADER_LEN + subject_len + prev_len + body_len) {
        return ERR_INVALID;
    }
    out->type = p[AT_TYPE];
    out->flags = p[AT_FLAGS];
    out->status = p[AT_STATUS];
    out->disclosure = p[AT_DISCLOSURE];
    out->subject_kind = p[AT_SUBJECT_KIND];
    out->item = be_get16(p + AT_ITEM);
    out->entered_at_ms = (int64_t)be_get64(p + AT_ENTERED);
    memcpy(out->record_key, p + AT_RECORD_KEY, RECORD_KEY_LEN);
    out->version = be_get32(p + AT_VERSION);
    out->prev_incarnation = be_get64(p + AT_PREV_INCARNATION);
    out->prev_number = be_get64(p + AT_PREV_NUMBER);
    out->decided = be_get32(p + AT_DECIDED);
    out->from = be_get32(p + AT_FROM);
    out->until = be_get32(p + AT_UNTIL);
    out->publish_until = be_get32(p + AT_PUBLISH_UNTIL);
    p += ENTRY_HEADER_LEN;
    out->subject = slice_of(p, subject_len);
    out->prev_subject = slice_of(p + subject_len, prev_len);
    out->body = slice_of(p + subject_len + prev_len, body_len);
    return ERR_OK;
}

/* An entry about the log itself: no subject, no record. */
static void encode_bare(enum entry_type type, int64_t now_ms,
                        const struct buf *body, struct buf *out)
{
    struct entry e = {.type = (uint8_t)type,
                      .subject_kind = SUBJECT_NONE,
                      .entered_at_ms = now_ms,
                      .body = buf_slice(body)};
    entry_encode(&e, out);
}

void entry_open_encode(const struct entry_open *open, int64_t now_ms,
                       struct buf *out)
{
    struct buf body = BUF_INIT;
    buf_put_u64(&body, open->prev_incarnation);
    buf_put_u64(&body, open->prev_size);
    buf_put(&body, open->prev_root, HASH_LEN);
    encode_bare(ENTRY_OPEN, now_ms, &body, out);
    buf_fini(&body);
}

enum err entry_open_decode(const struct entry *e, struct entry_open *out)
{
    if (e->type != ENTRY_OPEN || e->body.len != OPEN_BODY_LEN) {
        return ERR_INVALID;
    }
    out->prev_incarnation = be_get64(e->body.data);
    out->prev_size = be_get64(e->body.data + 8);
    memcpy(out->prev_root, e->body.data + 16, HASH_LEN);
    return ERR_OK;
}

void entry_key_encode(const struct entry_key *key, int64_t now_ms,
                      struct buf *out)
{
    assert(key->wrapped.len > 0 && key->wrapped.len <= WRAP_MAX);
    struct buf body = BUF_INIT;
    buf_put_u32(&body, key->period);
    buf_put_u64(&body, key->holder);
    buf_put(&body, key->holder_key_id, HASH_LEN);
    buf_put_slice(&body, key->wrapped);
    encode_bare(ENTRY_KEY, now_ms, &body, out);
    buf_fini(&body);
}

enum err entry_key_decode(const struct entry *e, struct entry_key *out)
{
    const uint8_t *p = e->body.data;
    if (e->type != ENTRY_KEY || e->body.len <= KEY_BODY_FIXED ||
        e->body.len > KEY_BODY_FIXED + WRAP_MAX) {
        return ERR_INVALID;
    }
    out->period = be_get32(p);
    out->holder = be_get64(p + 4);
    memcpy(out->holder_key_id, p + 12, HASH_LEN);
    out->wrapped = slice_of(p + KEY_BODY_FIXED, e->body.len - KEY_BODY_FIXED);
    return ERR_OK;
}
