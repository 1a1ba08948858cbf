#include "base/loop.h"

#include <pthread.h>

#include "base/mem.h"

struct letter {
    struct letter *next;
    loop_fn *fn;
    void *ctx;
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    pthread_mutex_t lock;
    struct letter *first; /* lock */
    struct letter **last; /* lock */
    bool closed;          /* lock */
};

static struct letter *take_all(struct loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    struct letter *list = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    (void)pthread_mutex_unlock(&loop->lock);
    return list;
}

/* Wake-ups coalesce, so every one drains the whole mailbox. */
static void on_wake(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    struct letter *next;
    for (struct letter *l = take_all(loop); l != NULL; l = next) {
        next = l->next;
        l->fn(l->ctx);
        mem_free(l);
    }
}

enum err loop_new(struct loop **out, struct errmsg *why)
{
    struct loop *loop = MEM_NEW(struct loop);
    int rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        mem_free(loop);
        return err_set(why, ERR_IO, "event loop: %s", uv_strerror(rc));
    }
    rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (rc != 0) {
        (void)uv_loop_close(&loop->uv);
        mem_free(loop);
        return err_set(why, ERR_IO, "event loop: %s", uv_strerror(rc));
    }
    loop->wake.data = loop;
    loop->last = &loop->first;
    (void)pthread_mutex_init(&loop->lock, NULL);
    *out = loop;
    return ERR_OK;
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

void loop_post(struct loop *loop, loop_fn *fn, void *ctx)
{
    struct letter *l = MEM_NEW(struct letter);
    l->fn = fn;
    l->ctx = ctx;
    (void)pthread_mutex_lock(&loop->lock);
    if (loop->closed) {
        (void)pthread_mutex_unlock(&loop->lock);
        mem_free(l);
        return;
    }
    *loop->last = l;
    loop->last = &l->next;
    /* Sent under the lock: the handle is not closed before `closed` is set. */
    (void)uv_async_send(&loop->wake);
    (void)pthread_mutex_unlock(&loop->lock);
}

void loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void stop_here(void *ctx)
{
    struct loop *loop = ctx;
    uv_stop(&loop->uv);
}

void loop_stop(struct loop *loop)
{
    loop_post(loop, stop_here, loop);
}

enum err loop_close(struct loop **loop_ptr)
{
    struct loop *loop = *loop_ptr;
    *loop_ptr = NULL;
    if (loop == NULL) {
        return ERR_OK;
    }
    on_wake(&loop->wake);
    (void)pthread_mutex_lock(&loop->lock);
    loop->closed = true;
    (void)pthread_mutex_unlock(&loop->lock);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    /* A wish to stop that is still open ends the first one at once. */
    if (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
    struct letter *next;
    for (struct letter *l = loop->first; l != NULL; l = next) {
        next = l->next;
        mem_free(l);
    }
    int rc = uv_loop_close(&loop->uv);
    (void)pthread_mutex_destroy(&loop->lock);
    mem_free(loop);
    return rc == 0 ? ERR_OK : ERR_BUG;
}
