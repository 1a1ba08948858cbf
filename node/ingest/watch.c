#include "ingest/watch.h"

#include <time.h>

#include "base/clock.h"

enum { PAUSE_MAX_MS = 60000 };

bool watch_is_stopping(struct watch *w)
{
    (void)pthread_mutex_lock(&w->lock);
    bool stopping = w->stopping;
    (void)pthread_mutex_unlock(&w->lock);
    return stopping;
}

static void pause_ms(struct watch *w, uint32_t ms)
{
    struct timespec until;
    clock_until(ms, &until);
    (void)pthread_mutex_lock(&w->lock);
    int rc = 0;
    while (!w->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&w->wake, &w->lock, &until);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* While something has to wait, looks become rarer: each would do its work
 * again. */
static uint32_t next_pause(const struct watch *w, bool later, uint32_t last_ms)
{
    uint32_t most =
        w->interval_ms > PAUSE_MAX_MS ? w->interval_ms : PAUSE_MAX_MS;
    if (!later) {
        return w->interval_ms;
    }
    return last_ms < most / 2 ? last_ms * 2 : most;
}

static void *run(void *arg)
{
    struct watch *w = arg;
    uint32_t ms = w->interval_ms;
    (void)pthread_setname_np(pthread_self(), w->name);
    while (!watch_is_stopping(w)) {
        ms = next_pause(w, w->look(w->ctx), ms);
        pause_ms(w, ms);
    }
    return NULL;
}

enum err watch_start(struct watch *w, const char *name, uint32_t interval_ms,
                     watch_look_fn *look, void *ctx, struct errmsg *why)
{
    *w = (struct watch){
        .look = look, .ctx = ctx, .name = name, .interval_ms = interval_ms};
    clock_cond_init(&w->wake);
    (void)pthread_mutex_init(&w->lock, NULL);
    if (pthread_create(&w->thread, NULL, run, w) == 0) {
        return ERR_OK;
    }
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    return err_set(why, ERR_BUSY, "%s: cannot start a thread", name);
}

void watch_stop(struct watch *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->stopping = true;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
}
