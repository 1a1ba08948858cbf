/* store_listed_kept.c - list rows of subjects, beside a database that each read
 * is a round trip to.
 *
 * Every answer about a subject says what it is listed for, as of now; most
 * subjects are not. Without this an answer that is kept could not be given
 * again on the thread on which a question arrives, and a check of many subjects
 * would be a question for each.
 *
 * What is kept holds as a stamp does (stamp.h): its counter is odd from before
 * a commit that writes list rows until its outcome is known and heads are
 * visible. Which of the rows count is told by the reader's view, as if they had
 * just been read: rows are never changed, and a view shows no row that was not
 * committed before it was taken. */
#include <string.h>

#include "base/mem.h"
#include "store/store_impl.h"

enum {
    ROWS_MAX = 131072,   /* of one call */
    ROWS_KEPT_MAX = 256, /* of one subject */
    BYTES_A_SUBJECT = 128,
};

/* Never changed. */
struct listed_kept {
    size_t refs; /* lock */
    struct listed_stamp stamp;
    struct subject_key subject;
    size_t n;
    struct list_row rows[];
};

void listed_cache_init(struct listed_cache *cache, size_t bytes_max)
{
    (void)pthread_mutex_init(&cache->lock, NULL);
    cache->bytes_max = bytes_max;
    cache->sets = 16;
    while (cache->sets * CACHE_WAYS < bytes_max / BYTES_A_SUBJECT) {
        cache->sets *= 2;
    }
}

static size_t bytes_of(const struct listed_kept *k)
{
    return sizeof *k + k->n * sizeof k->rows[0];
}

/* Lock held, or nobody else has it. */
static void unref(struct listed_kept *k)
{
    if (k != NULL && --k->refs == 0) {
        mem_free(k);
    }
}

static void drop_locked(struct listed_cache *cache, size_t at)
{
    if (cache->slots[at] != NULL) {
        cache->bytes -= bytes_of(cache->slots[at]);
        unref(cache->slots[at]);
        cache->slots[at] = NULL;
    }
}

void listed_cache_fini(struct listed_cache *cache)
{
    for (size_t i = 0; cache->slots != NULL && i < cache->sets * CACHE_WAYS;
         i++) {
        drop_locked(cache, i);
    }
    mem_free(cache->slots);
    (void)pthread_mutex_destroy(&cache->lock);
}

/* ---- does it still count? ---- */

void listed_change_begin(struct store *s)
{
    (void)atomic_fetch_or(&s->listed.changes, 1);
}

void listed_change_end(struct store *s)
{
    (void)atomic_fetch_add(&s->listed.changes, 1);
}

static bool stamp_take(struct store *s, struct listed_stamp *out)
{
    out->changes = atomic_load(&s->listed.changes);
    out->all = atomic_load(&s->stamps.all);
    return ((out->changes | out->all) & 1) == 0 && store_up_to_date(s);
}

static bool stamp_holds(struct store *s, const struct listed_stamp *stamp)
{
    return atomic_load(&s->listed.changes) == stamp->changes &&
           atomic_load(&s->stamps.all) == stamp->all && store_up_to_date(s);
}

/* ---- finding and keeping ---- */

static bool is_of(const struct listed_kept *k,
                  const struct subject_key *subject)
{
    return k != NULL && subject_key_eq(&k->subject, subject);
}

static size_t set_of(const struct listed_cache *cache,
                     const struct subject_key *subject)
{
    return ((size_t)(subject_hash(subject) >> 20) & (cache->sets - 1)) *
           CACHE_WAYS;
}

/* Where the subject's are, or may be. Locked. */
static size_t place_locked(struct listed_cache *cache,
                           const struct subject_key *subject)
{
    size_t set = set_of(cache, subject);
    size_t free = CACHE_WAYS;
    for (size_t i = 0; i < CACHE_WAYS; i++) {
        if (is_of(cache->slots[set + i], subject)) {
            return set + i;
        }
        free = cache->slots[set + i] == NULL ? i : free;
    }
    return set + (free < CACHE_WAYS ? free : cache->hand++ % CACHE_WAYS);
}

/* With a reference; NULL: it must be read. */
static struct listed_kept *find(struct store *s,
                                const struct subject_key *subject)
{
    struct listed_cache *cache = &s->listed;
    struct listed_kept *found = NULL;
    (void)pthread_mutex_lock(&cache->lock);
    if (cache->slots != NULL) {
        size_t at = place_locked(cache, subject);
        struct listed_kept *k = cache->slots[at];
        if (is_of(k, subject) && stamp_holds(s, &k->stamp)) {
            k->refs++;
            found = k;
        }
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return found;
}

static void give_back(struct store *s, struct listed_kept *k)
{
    (void)pthread_mutex_lock(&s->listed.lock);
    unref(k);
    (void)pthread_mutex_unlock(&s->listed.lock);
}

/* Takes the reference. */
static void keep(struct store *s, struct listed_kept *k)
{
    struct listed_cache *cache = &s->listed;
    size_t mask = cache->sets * CACHE_WAYS - 1;
    (void)pthread_mutex_lock(&cache->lock);
    if (cache->slots == NULL) {
        cache->slots = mem_zalloc(mask + 1, sizeof *cache->slots);
    }
    size_t at = place_locked(cache, &k->subject);
    drop_locked(cache, at);
    for (size_t i = at + 1; cache->bytes + bytes_of(k) > cache->bytes_max;
         i++) {
        drop_locked(cache, i & mask);
    }
    cache->slots[at] = k;
    cache->bytes += bytes_of(k);
    (void)pthread_mutex_unlock(&cache->lock);
}

/* ---- reading ---- */

/* One subject: found, or read and then `fresh`. */
struct part {
    struct listed_kept *kept;
    bool fresh;
    bool lasts; /* may be kept */
};

struct collecting {
    struct listed_kept *k;
    size_t cap;
    size_t *left; /* rows that one call may read yet */
};

static bool collect(void *ctx, const struct list_row *row)
{
    struct collecting *c = ctx;
    if (c->k->n == c->cap) {
        c->cap = 2 * c->cap + 2;
        c->k = mem_realloc(c->k, sizeof *c->k + c->cap * sizeof *row);
    }
    c->k->rows[c->k->n++] = *row;
    return --*c->left > 0;
}

static enum err read_one(struct store *s, uint8_t generation,
                         const struct subject_key *subject, struct part *p,
                         size_t *left, struct errmsg *why)
{
    struct collecting c = {.k = MEM_NEW(struct listed_kept), .left = left};
    c.k->refs = 1;
    c.k->subject = *subject;
    p->fresh = true;
    p->lasts = stamp_take(s, &c.k->stamp);
    enum err err = s->backend->list_rows(s->db, generation, subject, 1, false,
                                         collect, &c, why);
    p->lasts = p->lasts && c.k->n <= ROWS_KEPT_MAX;
    p->kept = c.k;
    return err == ERR_OK && *left == 0 ? ERR_TOO_LARGE : err;
}

static enum err read_missing(struct store *s,
                             const struct subject_key *subjects,
                             struct part *parts, size_t n)
{
    struct errmsg why;
    size_t left = ROWS_MAX;
    enum err err = db_enter(s);
    if (err != ERR_OK) {
        return err;
    }
    uint8_t generation = atomic_load(&s->generation);
    for (size_t i = 0; err == ERR_OK && i < n; i++) {
        if (parts[i].kept == NULL) {
            err = read_one(s, generation, &subjects[i], &parts[i], &left, &why);
        }
    }
    err = db_leave_index(s, generation, err, &why);
    return read_failed(s, err, &why);
}

static void give(const struct part *parts, size_t n, backend_list_row_fn *fn,
                 void *ctx)
{
    bool more = true;
    for (size_t i = 0; more && i < n; i++) {
        for (size_t k = 0; more && k < parts[i].kept->n; k++) {
            more = fn(ctx, &parts[i].kept->rows[k]);
        }
    }
}

static void end_part(struct store *s, enum err err, struct part *p)
{
    if (p->fresh && p->lasts && err == ERR_OK &&
        bytes_of(p->kept) <= s->listed.bytes_max) {
        keep(s, p->kept);
    } else {
        give_back(s, p->kept);
    }
}

enum err listed_rows(struct store *s, bool now,
                     const struct subject_key *subjects, size_t n,
                     backend_list_row_fn *fn, void *ctx)
{
    struct part *parts = mem_zalloc(n, sizeof *parts);
    size_t missing = 0;
    for (size_t i = 0; i < n && (!now || missing == 0); i++) {
        parts[i].kept = find(s, &subjects[i]);
        missing += parts[i].kept == NULL;
    }
    enum err err = missing == 0 ? ERR_OK
                   : now        ? ERR_BUSY
                                : read_missing(s, subjects, parts, n);
    if (err == ERR_OK) {
        give(parts, n, fn, ctx);
    }
    for (size_t i = 0; i < n; i++) {
        end_part(s, err, &parts[i]);
    }
    mem_free(parts);
    return err;
}
