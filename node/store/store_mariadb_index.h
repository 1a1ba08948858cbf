/* store_mariadb_index.h - private to the backend: how a row of the index stands
 * in cn_index. Pure.
 *
 *   k  generation u8, length of the subject u8, subject, record key 16,
 *      origin u64
 *   v  log u32, number u64, version u32, item u16, status u8, disclosure u8,
 *      moved u8, decided u32, until u32, publish_until u32, digest 16 or
 *      nothing
 *
 * Numbers are big-endian, so that keys sort as row_key_cmp() says. Two columns:
 * a server spends less on them than on fifteen. */
#ifndef STORE_STORE_MARIADB_INDEX_H
#define STORE_STORE_MARIADB_INDEX_H

#include "store/store_mariadb.h"

enum {
    MDB_KEY_REST = RECORD_KEY_LEN + 8, /* behind the subject */
    MDB_KEY_MAX = 2 + SUBJECT_KEY_MAX + MDB_KEY_REST,
    MDB_VALUE_FIXED = 33,
    MDB_VALUE_MAX = MDB_VALUE_FIXED + DIGEST_LEN,
};

struct mdb_key {
    uint8_t len;
    uint8_t b[MDB_KEY_MAX];
};
static inline struct mdb_cell mdb_key_cell(const struct mdb_key *key)
{
    return mdb_bytes(key->b, key->len);
}

void mdb_key_of(uint8_t generation, const struct row_key *row,
                struct mdb_key *out);
/* The lowest and the highest that a row of the subject may have. */
void mdb_keys_of(uint8_t generation, const struct subject_key *subject,
                 struct mdb_key *from, struct mdb_key *to);
/* Bytes written to `out`. */
size_t mdb_value_of(const struct row *row, uint8_t out[MDB_VALUE_MAX]);
/* False: malformed. */
bool mdb_take_row(struct slice key, struct slice value, struct row *out);

#endif
