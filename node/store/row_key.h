/* row_key.h - the key of a row of the index, as every backend stores it.
 * Private to store/. Pure; any thread.
 *
 *   generation u8, length of the subject u8, subject, record key 16, origin u64
 *
 * Numbers are big-endian, so that keys sort as row_key_cmp() says. */
#ifndef STORE_ROW_KEY_H
#define STORE_ROW_KEY_H

#include "store/store_backend.h"

enum {
    ROW_KEY_REST = RECORD_KEY_LEN + 8, /* behind the subject */
    ROW_KEY_MAX = 2 + SUBJECT_KEY_MAX + ROW_KEY_REST,
};

/* A key as it is stored; with room for any other that a backend has. */
struct key {
    size_t len;
    uint8_t b[ROW_KEY_MAX];
};

/* What all keys of the subject begin with. */
struct key row_key_prefix(uint8_t generation,
                          const struct subject_key *subject);
struct key row_key_encode(uint8_t generation, const struct row_key *key);
/* Whatever its generation. False: malformed. */
MUST_USE bool row_key_decode(struct slice key, struct row_key *out);

#endif
