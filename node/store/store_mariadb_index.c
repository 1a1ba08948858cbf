#include <string.h>

#include "store/store_mariadb_index.h"

static void key_begin(uint8_t generation, const struct subject_key *subject,
                      struct mdb_key *out)
{
    out->b[0] = generation;
    out->b[1] = subject->len;
    memcpy(out->b + 2, subject->b, subject->len);
    out->len = (uint8_t)(2 + subject->len);
}

void mdb_key_of(uint8_t generation, const struct row_key *row,
                struct mdb_key *out)
{
    key_begin(generation, &row->subject, out);
    memcpy(out->b + out->len, row->record_key, RECORD_KEY_LEN);
    be_put64(out->b + out->len + RECORD_KEY_LEN, row->origin);
    out->len += MDB_KEY_REST;
}

void mdb_keys_of(uint8_t generation, const struct subject_key *subject,
                 struct mdb_key *from, struct mdb_key *to)
{
    key_begin(generation, subject, from);
    key_begin(generation, subject, to);
    memset(to->b + to->len, 0xff, MDB_KEY_REST);
    to->len += MDB_KEY_REST;
}

size_t mdb_value_of(const struct row *row, uint8_t out[MDB_VALUE_MAX])
{
    be_put32(out, row->log);
    be_put64(out + 4, row->number);
    be_put32(out + 12, row->version);
    be_put16(out + 16, row->item);
    out[18] = row->status;
    out[19] = row->disclosure;
    out[20] = row->moved ? 1 : 0;
    be_put32(out + 21, row->decided);
    be_put32(out + 25, row->until);
    be_put32(out + 29, row->publish_until);
    if (!row->has_digest) {
        return MDB_VALUE_FIXED;
    }
    memcpy(out + MDB_VALUE_FIXED, row->digest, DIGEST_LEN);
    return MDB_VALUE_MAX;
}

static bool take_key(struct slice key, struct row_key *out)
{
    struct reader r = reader_of(key);
    (void)reader_u8(&r); /* the generation, which was asked for */
    uint8_t len = reader_u8(&r);
    struct slice subject = reader_bytes(&r, len);
    struct slice record_key = reader_bytes(&r, RECORD_KEY_LEN);
    out->origin = reader_u64(&r);
    if (!reader_done(&r) || len > SUBJECT_KEY_MAX) {
        return false;
    }
    out->subject.len = len;
    memcpy(out->subject.b, subject.data, len);
    memcpy(out->record_key, record_key.data, RECORD_KEY_LEN);
    return true;
}

bool mdb_take_row(struct slice key, struct slice value, struct row *out)
{
    *out = (struct row){.has_digest = value.len == MDB_VALUE_MAX};
    if (!take_key(key, &out->key) ||
        (value.len != MDB_VALUE_FIXED && !out->has_digest)) {
        return false;
    }
    const uint8_t *v = value.data;
    out->log = be_get32(v);
    out->number = be_get64(v + 4);
    out->version = be_get32(v + 12);
    out->item = be_get16(v + 16);
    out->status = v[18];
    out->disclosure = v[19];
    out->moved = v[20] != 0;
    out->decided = be_get32(v + 21);
    out->until = be_get32(v + 25);
    out->publish_until = be_get32(v + 29);
    if (out->has_digest) {
        memcpy(out->digest, v + MDB_VALUE_FIXED, DIGEST_LEN);
    }
    return true;
}
