#include "sync/ancestry.h"

#include <pthread.h>

#include "base/mem.h"

struct chains {
    struct buf bytes;
    size_t len[WIRE_CHAINS_MAX];
    size_t count;
};

struct ancestry {
    pthread_mutex_t lock; /* the lists; taken under `watch` */
    struct chains told;
    struct chains above; /* those of them that fitted */
    ancestry_fn *fn;     /* called under `watch` */
    void *ctx;
    pthread_mutex_t watch;
};

static void chains_add(struct chains *c, struct slice chain)
{
    buf_put_slice(&c->bytes, chain);
    c->len[c->count++] = chain.len;
}

/* Appends them to `out`, and where each is there to `at`. */
static size_t chains_get(const struct chains *c, struct buf *out,
                         struct slice at[WIRE_CHAINS_MAX])
{
    size_t from = out->len;
    buf_put_slice(out, buf_slice(&c->bytes));
    for (size_t i = 0; i < c->count; i++) {
        at[i] = slice_of(out->data + from, c->len[i]);
        from += c->len[i];
    }
    return c->count;
}

struct ancestry *ancestry_new(void)
{
    struct ancestry *a = MEM_NEW(struct ancestry);
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)pthread_mutex_init(&a->watch, NULL);
    return a;
}

void ancestry_free(struct ancestry **ancestry)
{
    struct ancestry *a = *ancestry;
    *ancestry = NULL;
    if (a != NULL) {
        buf_fini(&a->told.bytes);
        buf_fini(&a->above.bytes);
        (void)pthread_mutex_destroy(&a->watch);
        (void)pthread_mutex_destroy(&a->lock);
        mem_free(a);
    }
}

void ancestry_watch(struct ancestry *a, ancestry_fn *fn, void *ctx)
{
    (void)pthread_mutex_lock(&a->watch);
    a->fn = fn;
    a->ctx = ctx;
    (void)pthread_mutex_unlock(&a->watch);
}

/* Lock held. The old ones go; true if they were others. */
static bool put(struct chains *at, struct chains *next)
{
    bool changed = !slice_eq(buf_slice(&at->bytes), buf_slice(&next->bytes));
    buf_fini(&at->bytes);
    *at = *next;
    return changed;
}

void ancestry_set(struct ancestry *a, const struct wire_list *chains)
{
    struct chains told = {.bytes = BUF_INIT};
    struct wire_iter it = wire_iter_of(chains);
    struct slice chain;
    while (told.count < WIRE_CHAINS_MAX && wire_next(&it, &chain)) {
        chains_add(&told, chain);
    }
    (void)pthread_mutex_lock(&a->lock);
    (void)put(&a->told, &told);
    (void)pthread_mutex_unlock(&a->lock);
}

bool ancestry_judge(struct ancestry *a, ancestry_fits_fn *fits, void *ctx)
{
    struct chains above = {.bytes = BUF_INIT};
    struct slice told[WIRE_CHAINS_MAX];
    struct buf bytes = BUF_INIT;
    (void)pthread_mutex_lock(&a->watch);
    (void)pthread_mutex_lock(&a->lock);
    size_t n = chains_get(&a->told, &bytes, told);
    (void)pthread_mutex_unlock(&a->lock);
    for (size_t i = 0; i < n; i++) {
        if (fits(ctx, told[i])) {
            chains_add(&above, told[i]);
        }
    }
    (void)pthread_mutex_lock(&a->lock);
    bool changed = put(&a->above, &above);
    (void)pthread_mutex_unlock(&a->lock);
    if (changed && a->fn != NULL) {
        a->fn(a->ctx);
    }
    (void)pthread_mutex_unlock(&a->watch);
    buf_fini(&bytes);
    return changed;
}

size_t ancestry_get(struct ancestry *a, struct buf *out,
                    struct slice at[WIRE_CHAINS_MAX])
{
    (void)pthread_mutex_lock(&a->lock);
    size_t count = chains_get(&a->above, out, at);
    (void)pthread_mutex_unlock(&a->lock);
    return count;
}
