#include "base/ticker.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"

/* Owned by whoever made it and by each letter on its way to the loop. */
struct ticker {
    uv_timer_t timer; /* loop thread */
    struct loop *loop;
    ticker_fn *fn;
    void *ctx;
    bool initialised; /* loop thread */
    pthread_mutex_t lock;
    unsigned refs;   /* lock */
    bool closed;     /* lock */
    bool posted;     /* lock */
    int64_t want_at; /* lock; 0: not set */
};

struct ticker *ticker_new(struct loop *loop, ticker_fn *fn, void *ctx)
{
    struct ticker *t = MEM_NEW(struct ticker);
    t->loop = loop;
    t->fn = fn;
    t->ctx = ctx;
    t->refs = 1;
    (void)pthread_mutex_init(&t->lock, NULL);
    return t;
}

static void unref(struct ticker *t)
{
    (void)pthread_mutex_lock(&t->lock);
    bool last = --t->refs == 0;
    (void)pthread_mutex_unlock(&t->lock);
    if (last) {
        (void)pthread_mutex_destroy(&t->lock);
        mem_free(t);
    }
}

static void on_timer(uv_timer_t *timer);

static void start(struct ticker *t, int64_t at_ms)
{
    int64_t wait = at_ms - clock_mono_ms();
    uv_update_time(loop_uv(t->loop));
    (void)uv_timer_start(&t->timer, on_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct ticker *t = timer->data;
    (void)pthread_mutex_lock(&t->lock);
    int64_t at = t->want_at;
    bool due = at != 0 && at <= clock_mono_ms();
    t->want_at = due ? 0 : at;
    (void)pthread_mutex_unlock(&t->lock);
    if (due) {
        t->fn(t->ctx);
    } else if (at != 0) {
        start(t, at);
    }
}

static void on_post(void *ctx)
{
    struct ticker *t = ctx;
    (void)pthread_mutex_lock(&t->lock);
    t->posted = false;
    int64_t at = t->want_at;
    bool closed = t->closed;
    (void)pthread_mutex_unlock(&t->lock);
    if (!closed && at != 0) {
        if (!t->initialised) {
            (void)uv_timer_init(loop_uv(t->loop), &t->timer);
            t->timer.data = t;
            t->initialised = true;
        }
        start(t, at);
    }
    unref(t);
}

void ticker_at(struct ticker *t, int64_t at_ms)
{
    (void)pthread_mutex_lock(&t->lock);
    bool earlier = t->want_at == 0 || at_ms < t->want_at;
    if (earlier) {
        t->want_at = at_ms;
    }
    bool post = earlier && !t->posted && !t->closed;
    if (post) {
        t->posted = true;
        t->refs++;
    }
    (void)pthread_mutex_unlock(&t->lock);
    if (post) {
        loop_post(t->loop, on_post, t);
    }
}

static void on_closed(uv_handle_t *handle)
{
    unref(handle->data);
}

void ticker_free(struct ticker **ticker)
{
    struct ticker *t = *ticker;
    *ticker = NULL;
    if (t == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&t->lock);
    t->closed = true;
    (void)pthread_mutex_unlock(&t->lock);
    if (t->initialised) {
        uv_close((uv_handle_t *)&t->timer, on_closed);
    } else {
        unref(t);
    }
}
