#include "store/rocksdb/seen.h"

#include <limits.h>

#include "base/mem.h"
#include "store/place_hash.h"

/* Parts of blocks of one cache line; a key has its bits in one block of the
 * part that grew when it came. Each part is larger than the one before it, so
 * that there are few to be asked. */
enum {
    BLOCK_WORDS = 8,
    BLOCK_BYTES = 64,
    BITS_A_KEY = 16, /* room */
    BITS_SET = 6,
    PLACE_BITS = 9, /* of a bit in a block */
    PART_FIRST = 16 << 10,
    PART_FACTOR = 4,
    PARTS = 16,
};

struct part {
    uint64_t *words;
    size_t blocks;
    size_t keys;
};

struct seen {
    struct part parts[PARTS];
    size_t n;
    size_t bytes;
    size_t bytes_max;
};

struct seen *seen_new(size_t bytes_max)
{
    place_hash_begin();
    struct seen *s = MEM_NEW(struct seen);
    s->bytes_max = bytes_max;
    return s;
}

void seen_free(struct seen *s)
{
    if (s != NULL) {
        for (size_t i = 0; i < s->n; i++) {
            mem_free(s->parts[i].words);
        }
        mem_free(s);
    }
}

uint64_t seen_hash(struct slice key)
{
    return place_hash(key.len, key.data, key.len);
}

static uint64_t *block_of(const struct part *p, uint64_t hash)
{
    return p->words + ((hash >> 32) * p->blocks >> 32) * BLOCK_WORDS;
}

/* Where the bits of a key are in its block, PLACE_BITS for each. */
static uint64_t places_of(uint64_t hash)
{
    return hash * UINT64_C(0xd6e8feb86659fd93) >> (64 - BITS_SET * PLACE_BITS);
}

static void part_add(struct part *p, uint64_t hash)
{
    uint64_t *block = block_of(p, hash);
    uint64_t places = places_of(hash);
    for (int i = 0; i < BITS_SET; i++, places >>= PLACE_BITS) {
        block[places >> 6 & (BLOCK_WORDS - 1)] |= UINT64_C(1) << (places & 63);
    }
    p->keys++;
}

static bool part_may_have(const struct part *p, uint64_t hash)
{
    const uint64_t *block = block_of(p, hash);
    uint64_t places = places_of(hash);
    for (int i = 0; i < BITS_SET; i++, places >>= PLACE_BITS) {
        if ((block[places >> 6 & (BLOCK_WORDS - 1)] >> (places & 63) & 1) ==
            0) {
            return false;
        }
    }
    return true;
}

static bool part_is_full(const struct part *p)
{
    return p->keys >= p->blocks * (BLOCK_BYTES * CHAR_BIT / BITS_A_KEY);
}

/* False: there is no room for one that were worth it. */
static bool grow(struct seen *s)
{
    size_t want = s->n == 0 ? PART_FIRST
                            : s->parts[s->n - 1].blocks * BLOCK_BYTES *
                                  (size_t)PART_FACTOR;
    size_t room = s->bytes_max - s->bytes;
    size_t bytes = (want < room ? want : room) / BLOCK_BYTES * BLOCK_BYTES;
    if (s->n == PARTS || bytes < PART_FIRST) {
        return false;
    }
    s->parts[s->n++] = (struct part){
        .words = mem_zalloc(bytes / sizeof(uint64_t), sizeof(uint64_t)),
        .blocks = bytes / BLOCK_BYTES};
    s->bytes += bytes;
    return true;
}

/* The part that takes the next key: the last one, or if that is full and there
 * can be no other, the least full one. */
static struct part *part_for_next(struct seen *s)
{
    if ((s->n == 0 || part_is_full(&s->parts[s->n - 1])) && !grow(s)) {
        struct part *least = s->n == 0 ? NULL : &s->parts[0];
        for (size_t i = 1; i < s->n; i++) {
            struct part *p = &s->parts[i];
            least =
                p->keys * least->blocks < least->keys * p->blocks ? p : least;
        }
        return least;
    }
    return &s->parts[s->n - 1];
}

void seen_add(struct seen *s, uint64_t hash)
{
    struct part *p = seen_may_have(s, hash) ? NULL : part_for_next(s);
    if (p != NULL) {
        part_add(p, hash);
    }
}

bool seen_may_have(const struct seen *s, uint64_t hash)
{
    bool found = s->n == 0 && s->bytes_max < PART_FIRST;
    for (size_t i = s->n; i > 0 && !found; i--) {
        found = part_may_have(&s->parts[i - 1], hash);
    }
    return found;
}

size_t seen_bytes(const struct seen *s)
{
    return s->bytes;
}
