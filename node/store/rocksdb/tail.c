#include "store/rocksdb/tail.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/place_hash.h"

/* ---- runs ---- */

enum { RUN_FORM = 1, RUN_HEAD = 1 + 4 };

void run_put(struct buf *run, struct slice key, struct slice value)
{
    assert(key.len <= UINT8_MAX && value.len <= UINT8_MAX);
    uint32_t rows = run_rows(buf_slice(run));
    if (run->len == 0) {
        buf_put_u8(run, RUN_FORM);
        buf_put_u32(run, 0);
    }
    be_put32(run->data + 1, rows + 1);
    uint8_t *p = buf_reserve(run, 2 + key.len + value.len);
    p[0] = (uint8_t)key.len;
    p[1] = (uint8_t)value.len;
    memcpy(p + 2, key.data, key.len);
    if (value.len > 0) {
        memcpy(p + 2 + key.len, value.data, value.len);
    }
    run->len += 2 + key.len + value.len;
}

uint32_t run_rows(struct slice run)
{
    return run.len >= RUN_HEAD ? be_get32(run.data + 1) : 0;
}

/* The next row of `r`. */
static void run_next(struct reader *r, struct slice *key, struct slice *value)
{
    uint8_t key_len = reader_u8(r);
    uint8_t value_len = reader_u8(r);
    *key = reader_bytes(r, key_len);
    *value = reader_bytes(r, value_len);
}

/* Bytes of what all rows of a subject begin with; 0: the key is none. */
static size_t prefix_len(struct slice key)
{
    return key.len < 2 || key.len < 2u + key.data[1] ? 0 : 2u + key.data[1];
}

bool run_is_sound(struct slice run)
{
    struct reader r = reader_of(run);
    struct slice key;
    struct slice value;
    bool sound = reader_u8(&r) == RUN_FORM;
    uint32_t rows = reader_u32(&r);
    for (; sound && rows > 0; rows--) {
        run_next(&r, &key, &value);
        sound = !r.bad && prefix_len(key) > 0;
    }
    return sound && reader_done(&r);
}

uint8_t run_generation(struct slice run)
{
    return run_rows(run) > 0 && run.len > RUN_HEAD + 2 ? run.data[RUN_HEAD + 2]
                                                       : 0;
}

void run_walk(struct slice run, tail_row_fn *fn, void *ctx)
{
    struct reader r = reader_of(run);
    struct slice key;
    struct slice value;
    bool more = run.len > 0;
    (void)reader_u8(&r);
    for (uint32_t left = reader_u32(&r); more && left > 0; left--) {
        run_next(&r, &key, &value);
        more = fn(ctx, key, value);
    }
}

/* ---- parts ---- */

/* A row in a part. Rows that share a place in a table are linked, the last one
 * first; 0 ends them, for no row stands at the first byte. */
struct row {
    uint32_t same_key; /* while it is not linked yet: its place in the table */
    uint32_t same_subject;
    uint8_t key_len;
    uint8_t value_len;
    uint8_t bytes[]; /* key, value */
};

enum {
    ROW_ALIGN = 4,
    ROW_HEAD = offsetof(struct row, bytes),
    ROW_COST = ROW_HEAD + ROW_ALIGN - 1, /* more than its bytes, at most */
    ROW_USUAL = 80,
    PLACES_MIN = 64,
};

struct part {
    uint8_t *bytes;
    size_t room;
    size_t used;
    uint32_t *by_key;     /* where the newest row of a place stands in bytes */
    uint32_t *by_subject; /* the same; 0: none */
    uint32_t places;      /* of each; a power of two */
    size_t rows;
    uint64_t *runs; /* their numbers */
    size_t runs_n;
    size_t runs_room;
};

struct tail {
    pthread_rwlock_t lock; /* what a reader sees: */
    struct part *growing;  /* NULL: empty */
    struct part *frozen;   /* NULL: none */
    size_t bytes;
};

static struct row *row_at(const struct part *p, uint32_t at)
{
    return (struct row *)(void *)(p->bytes + at);
}

static struct slice key_of(const struct row *row)
{
    return slice_of(row->bytes, row->key_len);
}

static struct slice value_of(const struct row *row)
{
    return slice_of(row->bytes + row->key_len, row->value_len);
}

static struct part *part_new(size_t room)
{
    struct part *p = MEM_NEW(struct part);
    assert(room <= UINT32_MAX);
    p->room = room;
    p->bytes = mem_alloc(room);
    p->used = ROW_ALIGN;
    p->places = PLACES_MIN;
    while (p->places < room / ROW_USUAL) {
        p->places *= 2;
    }
    p->by_key = mem_zalloc(p->places, sizeof *p->by_key);
    p->by_subject = mem_zalloc(p->places, sizeof *p->by_subject);
    return p;
}

static void part_free(struct part *p)
{
    if (p != NULL) {
        mem_free(p->bytes);
        mem_free(p->by_key);
        mem_free(p->by_subject);
        mem_free(p->runs);
        mem_free(p);
    }
}

struct places {
    uint32_t key;
    uint32_t subject;
};

static struct places places_of(const struct part *p, struct slice key)
{
    size_t len = prefix_len(key);
    uint64_t subject = place_hash(0, key.data, len);
    uint64_t all = place_hash(subject, key.data + len, key.len - len);
    return (struct places){(uint32_t)(all >> 32) & (p->places - 1),
                           (uint32_t)(subject >> 32) & (p->places - 1)};
}

/* Copies a run behind what readers know of; each row keeps its places where its
 * links will be. Returns where it ends. */
static size_t part_copy(const struct part *p, struct slice run)
{
    struct reader r = reader_of(run);
    size_t at = p->used;
    (void)reader_u8(&r);
    for (uint32_t left = reader_u32(&r); left > 0; left--) {
        struct slice key;
        struct slice value;
        run_next(&r, &key, &value);
        struct places places = places_of(p, key);
        struct row *row = row_at(p, (uint32_t)at);
        row->same_key = places.key;
        row->same_subject = places.subject;
        row->key_len = (uint8_t)key.len;
        row->value_len = (uint8_t)value.len;
        memcpy(row->bytes, key.data, key.len + value.len);
        at += (ROW_HEAD + key.len + value.len + ROW_ALIGN - 1) &
              ~(size_t)(ROW_ALIGN - 1);
    }
    return at;
}

static size_t row_end(const struct part *p, size_t at)
{
    const struct row *row = row_at(p, (uint32_t)at);
    return (at + ROW_HEAD + row->key_len + row->value_len + ROW_ALIGN - 1) &
           ~(size_t)(ROW_ALIGN - 1);
}

static void part_link(struct part *p, size_t end)
{
    for (; p->used < end; p->used = row_end(p, p->used), p->rows++) {
        struct row *row = row_at(p, (uint32_t)p->used);
        uint32_t *key = &p->by_key[row->same_key];
        uint32_t *subject = &p->by_subject[row->same_subject];
        row->same_key = *key;
        row->same_subject = *subject;
        *key = *subject = (uint32_t)p->used;
    }
}

static void part_add_number(struct part *p, uint64_t number)
{
    if (p->runs_n == p->runs_room) {
        p->runs_room = p->runs_room > 0 ? 2 * p->runs_room : 16;
        p->runs = mem_realloc(p->runs, p->runs_room * sizeof *p->runs);
    }
    p->runs[p->runs_n++] = number;
}

/* ---- the tail ---- */

struct tail *tail_new(size_t bytes)
{
    struct tail *t = MEM_NEW(struct tail);
    pthread_rwlockattr_t attr;
    place_hash_begin();
    (void)pthread_rwlockattr_init(&attr);
    /* Readers without a pause hold up no commit. */
    (void)pthread_rwlockattr_setkind_np(
        &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&t->lock, &attr);
    (void)pthread_rwlockattr_destroy(&attr);
    t->bytes = bytes;
    return t;
}

void tail_free(struct tail *t)
{
    if (t != NULL) {
        part_free(t->growing);
        part_free(t->frozen);
        (void)pthread_rwlock_destroy(&t->lock);
        mem_free(t);
    }
}

size_t tail_cost(struct slice run)
{
    return run.len + (size_t)run_rows(run) * ROW_COST;
}

static struct part *part_for(const struct tail *t, size_t need)
{
    need += ROW_ALIGN;
    return part_new(need > t->bytes ? need : t->bytes);
}

void tail_expect(struct tail *t, size_t need)
{
    struct part *p = part_for(t, need);
    (void)pthread_rwlock_wrlock(&t->lock);
    assert(t->growing == NULL);
    t->growing = p;
    (void)pthread_rwlock_unlock(&t->lock);
}

bool tail_fits(const struct tail *t, struct slice run)
{
    const struct part *p = t->growing;
    return p == NULL || p->room - p->used >= tail_cost(run);
}

void tail_add(struct tail *t, struct slice run, uint64_t number)
{
    if (run_rows(run) == 0) {
        return;
    }
    struct part *p =
        t->growing != NULL ? t->growing : part_for(t, tail_cost(run));
    assert(p->room - p->used >= tail_cost(run));
    size_t end = part_copy(p, run);
    part_add_number(p, number);
    (void)pthread_rwlock_wrlock(&t->lock);
    part_link(p, end);
    t->growing = p;
    (void)pthread_rwlock_unlock(&t->lock);
}

void tail_freeze(struct tail *t)
{
    (void)pthread_rwlock_wrlock(&t->lock);
    assert(t->frozen == NULL);
    t->frozen = t->growing;
    t->growing = NULL;
    (void)pthread_rwlock_unlock(&t->lock);
}

bool tail_is_empty(const struct tail *t)
{
    return t->growing == NULL;
}

bool tail_is_frozen(const struct tail *t)
{
    return t->frozen != NULL;
}

const uint64_t *tail_frozen_runs(const struct tail *t, size_t *n)
{
    *n = t->frozen->runs_n;
    return t->frozen->runs;
}

void tail_drop_frozen(struct tail *t)
{
    (void)pthread_rwlock_wrlock(&t->lock);
    struct part *p = t->frozen;
    t->frozen = NULL;
    (void)pthread_rwlock_unlock(&t->lock);
    part_free(p);
}

/* ---- in order ---- */

int tail_key_cmp(struct slice a, struct slice b)
{
    int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* Rows of a part by where they stand, in stretches that are in order: each run
 * is one. Merging them two by two takes the logarithm of their number. */
struct order {
    const struct part *p;
    uint32_t *rows;
    uint32_t *spare;
    size_t *ends; /* of the stretches */
    size_t n;
};

static int order_cmp(const struct part *p, uint32_t a, uint32_t b)
{
    return tail_key_cmp(key_of(row_at(p, a)), key_of(row_at(p, b)));
}

static void order_begin(struct order *o, const struct part *p)
{
    *o = (struct order){.p = p};
    o->rows = mem_alloc(p->rows * sizeof *o->rows);
    o->spare = mem_alloc(p->rows * sizeof *o->spare);
    o->ends = mem_alloc(p->rows * sizeof *o->ends);
    size_t i = 0;
    for (size_t at = ROW_ALIGN; at < p->used; at = row_end(p, at)) {
        o->rows[i] = (uint32_t)at;
        if (i > 0 && order_cmp(p, o->rows[i - 1], o->rows[i]) > 0) {
            o->ends[o->n++] = i;
        }
        i++;
    }
    o->ends[o->n++] = i;
}

static void order_end(struct order *o)
{
    mem_free(o->rows);
    mem_free(o->spare);
    mem_free(o->ends);
}

/* Of equal keys the older stays in front. */
static void merge_two(struct order *o, size_t from, size_t middle, size_t to)
{
    size_t a = from;
    size_t b = middle;
    for (size_t i = from; i < to; i++) {
        bool left = b == to || (a < middle &&
                                order_cmp(o->p, o->rows[a], o->rows[b]) <= 0);
        o->spare[i] = left ? o->rows[a++] : o->rows[b++];
    }
}

static void order_once(struct order *o)
{
    size_t n = 0;
    size_t from = 0;
    for (size_t i = 0; i < o->n; i += 2) {
        size_t middle = o->ends[i];
        size_t to = i + 1 < o->n ? o->ends[i + 1] : middle;
        merge_two(o, from, middle, to);
        o->ends[n++] = to;
        from = to;
    }
    o->n = n;
    uint32_t *rows = o->rows;
    o->rows = o->spare;
    o->spare = rows;
}

bool tail_walk_frozen(const struct tail *t, tail_row_fn *fn, void *ctx)
{
    const struct part *p = t->frozen;
    struct order o;
    bool more = true;
    order_begin(&o, p);
    while (o.n > 1) {
        order_once(&o);
    }
    for (size_t i = 0; more && i < p->rows; i++) {
        if (i + 1 == p->rows || order_cmp(p, o.rows[i], o.rows[i + 1]) != 0) {
            const struct row *row = row_at(p, o.rows[i]);
            more = fn(ctx, key_of(row), value_of(row));
        }
    }
    order_end(&o);
    return more;
}

/* ---- reading ---- */

enum err tail_read_begin(struct tail *t, bool now)
{
    int rc = now ? pthread_rwlock_tryrdlock(&t->lock)
                 : pthread_rwlock_rdlock(&t->lock);
    return rc == 0 ? ERR_OK : ERR_BUSY;
}

void tail_read_end(struct tail *t)
{
    (void)pthread_rwlock_unlock(&t->lock);
}

static const struct row *part_find(const struct part *p, struct slice key)
{
    if (p == NULL) {
        return NULL;
    }
    const struct row *row = NULL;
    for (uint32_t at = p->by_key[places_of(p, key).key]; at != 0;
         at = row->same_key) {
        row = row_at(p, at);
        if (slice_eq(key_of(row), key)) {
            return row;
        }
    }
    return NULL;
}

enum tail_found tail_find(const struct tail *t, struct slice key,
                          struct slice *value)
{
    const struct row *row = part_find(t->growing, key);
    row = row != NULL ? row : part_find(t->frozen, key);
    if (row == NULL) {
        return TAIL_NOTHING;
    }
    *value = value_of(row);
    return row->value_len > 0 ? TAIL_ROW : TAIL_GONE;
}

static void rows_put(struct tail_rows *out, const struct row *row)
{
    if (out->n == out->room) {
        out->room = out->room > 0 ? 2 * out->room : 8;
        out->at = mem_realloc(out->at, out->room * sizeof *out->at);
    }
    out->at[out->n++] = (struct tail_row_at){
        .at = out->bytes.len,
        .key_len = row->key_len,
        .value_len = row->value_len,
    };
    buf_put(&out->bytes, row->bytes, (size_t)row->key_len + row->value_len);
}

static bool part_of_subject(const struct part *p, struct slice prefix,
                            size_t *max, struct tail_rows *out)
{
    if (p == NULL) {
        return true;
    }
    const struct row *row = NULL;
    for (uint32_t at = p->by_subject[places_of(p, prefix).subject]; at != 0;
         at = row->same_subject) {
        row = row_at(p, at);
        if ((*max)-- == 0) {
            *max = 0;
            return false;
        }
        if (row->key_len >= prefix.len &&
            memcmp(row->bytes, prefix.data, prefix.len) == 0) {
            rows_put(out, row);
        }
    }
    return true;
}

/* A newer row was met, and so copied, before an older one. */
static int by_key(const void *a, const void *b, void *bytes)
{
    const struct tail_row_at *x = a;
    const struct tail_row_at *y = b;
    const uint8_t *all = bytes;
    int c = tail_key_cmp(slice_of(all + x->at, x->key_len),
                         slice_of(all + y->at, y->key_len));
    return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

bool tail_of_subject(const struct tail *t, struct slice prefix, size_t max,
                     struct tail_rows *out)
{
    if (!part_of_subject(t->growing, prefix, &max, out) ||
        !part_of_subject(t->frozen, prefix, &max, out)) {
        return false;
    }
    if (out->n < 2) {
        return true;
    }
    qsort_r(out->at, out->n, sizeof *out->at, by_key, out->bytes.data);
    size_t n = 1;
    for (size_t i = 1; i < out->n; i++) {
        if (tail_key_cmp(tail_row_key(out, n - 1), tail_row_key(out, i)) != 0) {
            out->at[n++] = out->at[i];
        }
    }
    out->n = n;
    return true;
}

struct slice tail_row_key(const struct tail_rows *rows, size_t i)
{
    return slice_of(rows->bytes.data + rows->at[i].at, rows->at[i].key_len);
}

struct slice tail_row_value(const struct tail_rows *rows, size_t i)
{
    return slice_of(rows->bytes.data + rows->at[i].at + rows->at[i].key_len,
                    rows->at[i].value_len);
}

void tail_rows_fini(struct tail_rows *rows)
{
    buf_fini(&rows->bytes);
    mem_free(rows->at);
    *rows = (struct tail_rows)TAIL_ROWS_INIT;
}
