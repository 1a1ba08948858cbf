#include "store/stamp.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/store_impl.h"

enum {
    STAMPS_MIN = 1024,
    STAMPS_MAX = 1 << 20,
    CACHE_BYTES_A_STAMP = 1024, /* so that they are a little of the cache */
};

void stamps_init(struct stamps *stamps, uint64_t cache_bytes)
{
    stamps->n = STAMPS_MIN;
    while (stamps->n < STAMPS_MAX &&
           stamps->n < cache_bytes / CACHE_BYTES_A_STAMP) {
        stamps->n *= 2;
    }
    stamps->at = mem_zalloc(stamps->n, sizeof *stamps->at);
}

void stamps_fini(struct stamps *stamps)
{
    mem_free(stamps->at);
}

/* Of a subject with this subject_hash(). */
static size_t place_of(const struct stamps *stamps, uint64_t hash)
{
    return (size_t)(hash >> 32) & (stamps->n - 1);
}

/* ---- the writer's side; several rows may share a counter ---- */

/* False: it had begun. */
static bool begin(_Atomic uint64_t *counter)
{
    return (atomic_fetch_or(counter, 1) & 1) == 0;
}

static void end(_Atomic uint64_t *counter)
{
    if ((atomic_load(counter) & 1) != 0) {
        (void)atomic_fetch_add(counter, 1);
    }
}

void stamps_begin_rows(struct stamps *stamps, const struct row_map *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->at[i]->dirty) {
            (void)begin(&stamps->at[place_of(stamps, rows->at[i]->hash)]);
        }
    }
}

void stamps_end_rows(struct stamps *stamps, const struct row_map *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->at[i]->dirty) {
            end(&stamps->at[place_of(stamps, rows->at[i]->hash)]);
        }
    }
}

bool stamps_begin_all(struct stamps *stamps)
{
    return begin(&stamps->all);
}

void stamps_end_all(struct stamps *stamps)
{
    end(&stamps->all);
}

/* ---- the readers' side ---- */

bool store_up_to_date(const struct store *s)
{
    if (s->role == ROLE_FOLLOW) {
        return clock_mono_ms() < atomic_load(&s->trust_until_ms);
    }
    return s->env.alone_until_ms == NULL ||
           clock_mono_ms() < s->env.alone_until_ms(s->env.ctx);
}

bool store_stamp_take(struct store *store, const struct subject_key *subject,
                      struct store_stamp *out)
{
    const struct stamps *stamps = &store->stamps;
    out->place = place_of(stamps, subject_hash(subject));
    out->all = atomic_load(&stamps->all);
    out->subject = atomic_load(&stamps->at[out->place]);
    return ((out->all | out->subject) & 1) == 0 && store_up_to_date(store);
}

bool store_stamp_holds(struct store *store, const struct store_stamp *stamp)
{
    const struct stamps *stamps = &store->stamps;
    return atomic_load(&stamps->all) == stamp->all &&
           atomic_load(&stamps->at[stamp->place]) == stamp->subject &&
           store_up_to_date(store);
}
