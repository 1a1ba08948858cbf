#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "store/store_impl.h"

enum {
    FIRST_WAIT_MS = 3600 * 1000, /* a new store, or one never looked at */
    PACE_MS = 5,                 /* rest after each run of blocks */
    IOPRIO_WHO_PROCESS = 1,
    IOPRIO_IDLE = 3 << 13,
    LOWEST_PRIORITY = 19,
    PATH_LEN = 4096,
};

static void path_of_stamp(const struct store *s, char out[PATH_LEN])
{
    (void)snprintf(out, PATH_LEN, "%s/SCRUBBED", s->conf.path);
}

/* Waits; false: the store is being closed. */
static bool rest(struct patrol *p, int64_t ms)
{
    struct timespec until;
    clock_until(ms, &until);
    (void)pthread_mutex_lock(&p->lock);
    int rc = 0;
    while (rc == 0 && !atomic_load(&p->stop)) {
        rc = pthread_cond_timedwait(&p->wake, &p->lock, &until);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return !atomic_load(&p->stop);
}

/* The time of the last run is the stamp's, so that restarts do not matter. */
static int64_t wait_ms(const struct store *s)
{
    struct stat st;
    char stamp[PATH_LEN];
    int64_t interval_ms = s->conf.scrub_interval_ms;
    path_of_stamp(s, stamp);
    if (stat(stamp, &st) != 0) {
        return interval_ms < FIRST_WAIT_MS ? interval_ms : FIRST_WAIT_MS;
    }
    int64_t left_ms =
        (int64_t)st.st_mtime * 1000 + interval_ms - clock_wall_ms();
    left_ms = left_ms < 0 ? 0 : left_ms;
    return left_ms > interval_ms ? interval_ms : left_ms;
}

static void on_fault(void *ctx, const struct log_id *log, uint64_t number,
                     const char *what)
{
    struct store *s = ctx;
    char text[LOG_ID_TEXT_MAX];
    log_id_format(log, text);
    log_error(&s->log, "STORE-FAULT", "log=%s number=%llu cause=\"%s\"", text,
              (unsigned long long)number, what);
}

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct store *s = ctx;
    (void)done;
    (void)total;
    return rest(&s->patrol, PACE_MS);
}

static void scrub(struct store *s)
{
    struct errmsg why;
    char stamp[PATH_LEN];
    int64_t began_ms = clock_mono_ms();
    enum err err = store_scrub(s, on_fault, on_progress, s);
    if (atomic_load(&s->patrol.stop)) {
        return;
    }
    log_info(&s->log, "STORE-SCRUB", "result=%s for_ms=%lld", err_name(err),
             (long long)(clock_mono_ms() - began_ms));
    /* What could not be read was not checked: the next start does it. */
    if (err != ERR_OK && err != ERR_CORRUPT) {
        return;
    }
    path_of_stamp(s, stamp);
    if (file_replace(stamp, slice_str(""), 0600, &why) != ERR_OK) {
        log_warn(&s->log, "STORE-SCRUB", "cause=\"%s\"", why.text);
    }
}

static void *work(void *arg)
{
    struct store *s = arg;
    (void)pthread_setname_np(pthread_self(), "store-patrol");
    /* Of this thread only: Linux keeps both by thread. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), LOWEST_PRIORITY);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
    while (rest(&s->patrol, wait_ms(s))) {
        scrub(s);
        /* Should the stamp not be written, not at once again. */
        if (!rest(&s->patrol, s->conf.scrub_interval_ms)) {
            break;
        }
    }
    return NULL;
}

enum err patrol_start(struct store *s, struct errmsg *why)
{
    struct patrol *p = &s->patrol;
    if (s->conf.scrub_interval_ms == 0) {
        return ERR_OK;
    }
    (void)pthread_mutex_init(&p->lock, NULL);
    clock_cond_init(&p->wake);
    int rc = pthread_create(&p->thread, NULL, work, s);
    if (rc != 0) {
        (void)pthread_cond_destroy(&p->wake);
        (void)pthread_mutex_destroy(&p->lock);
        return err_set(why, ERR_IO, "store: thread: %s", strerror(rc));
    }
    p->runs = true;
    return ERR_OK;
}

void patrol_stop(struct store *s)
{
    struct patrol *p = &s->patrol;
    if (!p->runs) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_mutex_destroy(&p->lock);
    p->runs = false;
}
