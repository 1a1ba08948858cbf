#include <string.h>

#include "store/mariadb/index.h"

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

bool mdb_take_row(struct slice key, struct slice value, struct row *out)
{
    *out = (struct row){.has_digest = value.len == MDB_VALUE_MAX};
    if (!row_key_decode(key, &out->key) ||
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
