#include "store/row_key.h"

#include <string.h>

struct key row_key_prefix(uint8_t generation, const struct subject_key *subject)
{
    struct key k = {.len = 2u + subject->len};
    k.b[0] = generation;
    k.b[1] = subject->len;
    memcpy(k.b + 2, subject->b, subject->len);
    return k;
}

struct key row_key_encode(uint8_t generation, const struct row_key *key)
{
    struct key k = row_key_prefix(generation, &key->subject);
    memcpy(k.b + k.len, key->record_key, RECORD_KEY_LEN);
    be_put64(k.b + k.len + RECORD_KEY_LEN, key->origin);
    k.len += ROW_KEY_REST;
    return k;
}

bool row_key_decode(struct slice key, struct row_key *out)
{
    struct reader r = reader_of(key);
    (void)reader_u8(&r);
    uint8_t len = reader_u8(&r);
    struct slice subject = reader_bytes(&r, len);
    struct slice record = reader_bytes(&r, RECORD_KEY_LEN);
    uint64_t origin = reader_u64(&r);
    if (!reader_done(&r) || len > SUBJECT_KEY_MAX) {
        return false;
    }
    *out = (struct row_key){.subject.len = len, .origin = origin};
    memcpy(out->subject.b, subject.data, len);
    memcpy(out->record_key, record.data, RECORD_KEY_LEN);
    return true;
}

int row_key_cmp(const struct row_key *a, const struct row_key *b)
{
    if (a->subject.len != b->subject.len) {
        return a->subject.len < b->subject.len ? -1 : 1;
    }
    int c = memcmp(a->subject.b, b->subject.b, a->subject.len);
    c = c != 0 ? c : memcmp(a->record_key, b->record_key, RECORD_KEY_LEN);
    return c != 0 ? c : (a->origin > b->origin) - (a->origin < b->origin);
}
