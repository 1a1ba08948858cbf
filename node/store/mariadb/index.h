/* index.h - private to the backend: how a row of the index stands
 * in cn_index. Pure.
 *
 *   k  as row_key.h has it
 *   v  log u32, number u64, version u32, item u16, status u8, disclosure u8,
 *      moved u8, decided u32, until u32, publish_until u32, digest 16 or
 *      nothing
 *
 * Numbers are big-endian. Two columns: a server spends less on them than on
 * fifteen. */
#ifndef STORE_MARIADB_INDEX_H
#define STORE_MARIADB_INDEX_H

#include "store/mariadb/mariadb.h"
#include "store/row_key.h"

enum {
    MDB_VALUE_FIXED = 33,
    MDB_VALUE_MAX = MDB_VALUE_FIXED + DIGEST_LEN,
};

static inline struct mdb_cell mdb_key_cell(const struct key *key)
{
    return mdb_bytes(key->b, key->len);
}

/* Bytes written to `out`. */
size_t mdb_value_of(const struct row *row, uint8_t out[MDB_VALUE_MAX]);
/* False: malformed. */
bool mdb_take_row(struct slice key, struct slice value, struct row *out);

#endif
