/* watch.h - private to ingest: a thread that looks at something again and
 * again, more rarely while something there has to wait. */
#ifndef INGEST_WATCH_H
#define INGEST_WATCH_H

#include <pthread.h>

#include "base/err.h"

/* True: something has to wait; the next look comes later. */
typedef bool watch_look_fn(void *ctx);

struct watch {
    watch_look_fn *look;
    void *ctx;
    const char *name; /* of the thread */
    uint32_t interval_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping; /* lock */
};

/* Looks at once, then each `interval_ms`, or up to a minute later. ERR_BUSY: no
 * thread. */
MUST_USE enum err watch_start(struct watch *w, const char *name,
                              uint32_t interval_ms, watch_look_fn *look,
                              void *ctx, struct errmsg *why);
/* For `look`: it should come to an end. */
bool watch_is_stopping(struct watch *w);
/* Waits for the look under way. */
void watch_stop(struct watch *w);

#endif
