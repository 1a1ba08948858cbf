/* place_hash.h - where keys stand in tables in memory. Private to store/.
 *
 * Others choose the keys: a child that knew the function could give a hundred
 * thousand records of its own one place, and each row of each commit would be
 * compared with all of them. So it is another one in each process.
 *
 * Threads: any, once one has begun. */
#ifndef STORE_PLACE_HASH_H
#define STORE_PLACE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern uint64_t place_secret; /* odd */

/* Before the first table is filled; again: nothing. */
void place_hash_begin(void);

static inline uint64_t place_mix(uint64_t h, uint64_t word)
{
    unsigned __int128 product = (unsigned __int128)(h ^ word) * place_secret;
    return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static inline uint64_t place_hash(uint64_t h, const uint8_t *p, size_t len)
{
    uint64_t word;
    for (; len >= sizeof word; len -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        h = place_mix(h, word);
    }
    word = len;
    memcpy(&word, p, len);
    return place_mix(h, word);
}

#endif
