#include "sync/ancestry.h"

#include <pthread.h>

#include "base/mem.h"

struct ancestry {
    pthread_mutex_t lock;
    struct buf bytes;
    size_t len[WIRE_CHAINS_MAX];
    size_t count;
    ancestry_fn *fn; /* called under `watch` */
    void *ctx;
    pthread_mutex_t watch;
};

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
        buf_fini(&a->bytes);
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

bool ancestry_set(struct ancestry *a, const struct wire_list *chains)
{
    struct buf bytes = BUF_INIT;
    size_t len[WIRE_CHAINS_MAX] = {0};
    size_t count = 0;
    struct wire_iter it = wire_iter_of(chains);
    struct slice chain;
    while (count < WIRE_CHAINS_MAX && wire_next(&it, &chain)) {
        buf_put_slice(&bytes, chain);
        len[count++] = chain.len;
    }
    (void)pthread_mutex_lock(&a->lock);
    bool changed = !slice_eq(buf_slice(&bytes), buf_slice(&a->bytes));
    struct buf old = a->bytes;
    a->bytes = bytes;
    a->count = count;
    for (size_t i = 0; i < count; i++) {
        a->len[i] = len[i];
    }
    (void)pthread_mutex_unlock(&a->lock);
    buf_fini(&old);
    (void)pthread_mutex_lock(&a->watch);
    if (changed && a->fn != NULL) {
        a->fn(a->ctx);
    }
    (void)pthread_mutex_unlock(&a->watch);
    return changed;
}

size_t ancestry_get(struct ancestry *a, struct buf *out,
                    struct slice at[WIRE_CHAINS_MAX])
{
    (void)pthread_mutex_lock(&a->lock);
    size_t from = out->len;
    buf_put_slice(out, buf_slice(&a->bytes));
    size_t count = a->count;
    for (size_t i = 0; i < count; i++) {
        at[i] = slice_of(out->data + from, a->len[i]);
        from += a->len[i];
    }
    (void)pthread_mutex_unlock(&a->lock);
    return count;
}
