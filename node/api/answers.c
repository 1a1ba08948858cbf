#include "api/answers.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

enum {
    WAYS = 4, /* places in which an answer may be */
    QUESTION_MAX = 256,
    BYTES_A_SLOT = 1024,
    SLOTS_MAX = 1 << 22,
    PART_MAX = 16,  /* an answer is at most this part of all */
    OVERHEAD = 128, /* of an answer: headers, and what the allocator adds */
};

struct kept {
    struct store_stamp stamp;
    struct shared *reply;
    size_t bytes;
    enum disclosure widest;
    size_t len;
    uint8_t request[];
};

/* The hash stands here so that others of the set are not looked at: they lie
 * anywhere in memory. */
struct place {
    uint64_t hash;
    struct kept *kept; /* or NULL */
};

struct answers {
    struct store *store;
    size_t bytes_max;
    pthread_mutex_t lock;
    struct place *slots; /* lock; sets of WAYS; NULL until one is kept */
    size_t count;        /* of slots, a power of two */
    size_t hand;         /* lock; who goes next */
    size_t bytes;        /* lock */
};

struct answers *answers_new(struct store *store, size_t bytes_max)
{
    struct answers *a = MEM_NEW(struct answers);
    (void)pthread_mutex_init(&a->lock, NULL);
    a->store = store;
    a->bytes_max = bytes_max;
    a->count = WAYS;
    while (a->count < SLOTS_MAX && a->count * 2 <= bytes_max / BYTES_A_SLOT) {
        a->count *= 2;
    }
    return a;
}

static void drop_locked(struct answers *a, struct place *at)
{
    if (at->kept != NULL) {
        a->bytes -= at->kept->bytes;
        shared_unref(&at->kept->reply);
        mem_free(at->kept);
        at->kept = NULL;
    }
}

void answers_free(struct answers **answers)
{
    struct answers *a = *answers;
    *answers = NULL;
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; a->slots != NULL && i < a->count; i++) {
        drop_locked(a, &a->slots[i]);
    }
    mem_free(a->slots);
    (void)pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

static uint64_t hash_of(const struct question *q)
{
    uint64_t h = 0xcbf29ce484222325ull ^ (uint64_t)q->widest; /* FNV-1a */
    for (size_t i = 0; i < q->request.len; i++) {
        h = (h ^ q->request.data[i]) * 0x100000001b3ull;
    }
    h *= 0x9e3779b97f4a7c15ull;
    return h ^ h >> 32;
}

/* The places in which an answer to a question of this hash may be. */
static struct place *set_of(const struct answers *a, uint64_t hash)
{
    return &a->slots[(size_t)hash * WAYS & (a->count - 1)];
}

static bool answers_it(const struct kept *k, const struct question *q)
{
    return k->widest == q->widest &&
           slice_eq(slice_of(k->request, k->len), q->request);
}

/* Where the answer is; NULL if it is not here. */
static struct place *find_locked(const struct answers *a,
                                 const struct question *q, uint64_t hash)
{
    if (a->slots == NULL) {
        return NULL;
    }
    struct place *set = set_of(a, hash);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].kept != NULL && set[i].hash == hash &&
            answers_it(set[i].kept, q)) {
            return &set[i];
        }
    }
    return NULL;
}

struct shared *answers_find(struct answers *a, const struct question *q)
{
    if (a == NULL || q->request.len > QUESTION_MAX) {
        return NULL;
    }
    struct shared *reply = NULL;
    uint64_t hash = hash_of(q);
    (void)pthread_mutex_lock(&a->lock);
    struct place *at = find_locked(a, q, hash);
    if (at != NULL && store_stamp_holds(a->store, &at->kept->stamp)) {
        reply = shared_ref(at->kept->reply);
    } else if (at != NULL) {
        drop_locked(a, at);
    }
    (void)pthread_mutex_unlock(&a->lock);
    return reply;
}

static size_t cost_of(const struct question *q, const struct shared *reply)
{
    return OVERHEAD + sizeof(struct kept) + q->request.len +
           shared_slice(reply).len;
}

static struct kept *kept_new(const struct question *q,
                             const struct store_stamp *stamp,
                             struct shared *reply)
{
    struct kept *k = mem_alloc(sizeof(*k) + q->request.len);
    *k = (struct kept){.stamp = *stamp,
                       .reply = shared_ref(reply),
                       .bytes = cost_of(q, reply),
                       .widest = q->widest,
                       .len = q->request.len};
    if (k->len > 0) {
        memcpy(k->request, q->request.data, k->len);
    }
    return k;
}

/* The place of an older answer to the question, a free one, or one whose turn
 * it is to go. */
static struct place *place_locked(struct answers *a, const struct question *q,
                                  uint64_t hash)
{
    struct place *at = find_locked(a, q, hash);
    struct place *set = set_of(a, hash);
    for (size_t i = 0; at == NULL && i < WAYS; i++) {
        at = set[i].kept == NULL ? &set[i] : NULL;
    }
    return at != NULL ? at : &set[a->hand++ % WAYS];
}

/* Everybody goes in turn until so many bytes more have room. */
static void make_room_locked(struct answers *a, size_t bytes)
{
    while (a->bytes + bytes > a->bytes_max) {
        drop_locked(a, &a->slots[a->hand++ & (a->count - 1)]);
    }
}

static void keep_locked(struct answers *a, const struct question *q,
                        struct kept *k)
{
    if (a->slots == NULL) {
        a->slots = mem_zalloc(a->count, sizeof(*a->slots));
        a->bytes += a->count * sizeof(*a->slots);
    }
    uint64_t hash = hash_of(q);
    struct place *at = place_locked(a, q, hash);
    drop_locked(a, at);
    make_room_locked(a, k->bytes);
    *at = (struct place){hash, k};
    a->bytes += k->bytes;
}

void answers_keep(struct answers *a, const struct question *q,
                  const struct store_stamp *stamp, struct shared *reply)
{
    if (a == NULL || q->request.len > QUESTION_MAX ||
        cost_of(q, reply) > a->bytes_max / PART_MAX ||
        !store_stamp_holds(a->store, stamp)) {
        return;
    }
    struct kept *k = kept_new(q, stamp, reply);
    (void)pthread_mutex_lock(&a->lock);
    keep_locked(a, q, k);
    (void)pthread_mutex_unlock(&a->lock);
}

size_t answers_bytes(struct answers *a)
{
    (void)pthread_mutex_lock(&a->lock);
    size_t bytes = a->bytes;
    (void)pthread_mutex_unlock(&a->lock);
    return bytes;
}
