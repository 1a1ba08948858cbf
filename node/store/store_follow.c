/* store_follow.c - the store of a process that stands by: read beside the one
 * that writes, whose commits are taken in as they come
 * (docs/decisions/0018-several-processes.md).
 *
 * Rows, blocks and tree nodes are read from the database anyway. What is kept
 * in memory beside it, heads and what counts of directives logs, follows here.
 * Only the follower's thread changes it: it stands where a writer would. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/store_lists.h"

enum {
    LOOK_MS = 40,
    AWAY_MS = 500,   /* between looks while the database does not answer */
    TRUST_MS = 1000, /* so long after a look answers may be given again */
};

struct change {
    enum log_part part;
    uint32_t log;
};

struct changes {
    struct change *at;
    size_t n;
    size_t cap;
};

static bool on_change(void *ctx, enum log_part part, uint32_t log)
{
    struct changes *c = ctx;
    if (part != PART_HEAD && part != PART_LISTS) {
        return true;
    }
    if (c->n == c->cap) {
        c->cap = 2 * c->cap + 16;
        c->at = mem_realloc(c->at, c->cap * sizeof *c->at);
    }
    c->at[c->n++] = (struct change){part, log};
    return true;
}

/* Heads first: lists belong to a log that is known. */
static enum err take_heads(struct store *s, const struct changes *c,
                           struct errmsg *why)
{
    enum err err = ERR_OK;
    bool cut = false;
    for (size_t i = 0; err == ERR_OK && i < c->n; i++) {
        if (c->at[i].part == PART_HEAD) {
            err = heads_follow(s, c->at[i].log, &cut, why);
        }
    }
    if (cut) {
        cache_clear(&s->cache);
    }
    return err;
}

static enum err take_lists(struct store *s, const struct changes *c,
                           struct errmsg *why)
{
    enum err err = ERR_OK;
    bool moved = false;
    for (size_t i = 0; err == ERR_OK && i < c->n; i++) {
        if (c->at[i].part == PART_LISTS) {
            err = lists_follow(s, c->at[i].log, why);
            moved = true;
        }
    }
    if (err == ERR_OK && moved) {
        (void)atomic_fetch_add(&s->nodes_changes, 1);
        err = rules_fold(s, why);
    }
    return err;
}

static void tell(struct store *s, const struct changes *c)
{
    struct log_id *logs = mem_alloc((c->n + 1) * sizeof *logs);
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->at[i].part == PART_HEAD) {
            logs[n++] = heads_at(&s->heads, c->at[i].log)->log;
        }
    }
    writer_tell_logs(s, logs, n);
    mem_free(logs);
}

/* Takes in all commits after s->serial up to `serial`, or more: those come
 * once again then, which does no harm. */
static enum err take_in(struct store *s, uint64_t serial, struct errmsg *why)
{
    struct changes c = {.n = 0};
    enum err err = recover_generation(s, why);
    if (err == ERR_OK) {
        err = s->backend->changes(s->db, s->serial, on_change, &c, why);
    }
    if (err == ERR_OK) {
        err = take_heads(s, &c, why);
    }
    if (err == ERR_OK) {
        err = take_lists(s, &c, why);
    }
    if (err == ERR_OK) {
        serial_is(s, serial);
        (void)own_logs_find(s);
        tell(s, &c);
    }
    mem_free(c.at);
    return err;
}

static enum err look(struct store *s, struct errmsg *why)
{
    int64_t asked_ms = clock_mono_ms();
    uint64_t serial = 0;
    enum err err = recover_serial(s, &serial, why);
    if (err == ERR_OK) {
        err = serial_lasts(s, serial, why);
    }
    if (err == ERR_OK && serial != s->serial) {
        (void)stamps_begin_all(&s->stamps); /* or goes on, after a failure */
        err = take_in(s, serial, why);
        if (err == ERR_OK) {
            stamps_end_all(&s->stamps);
        }
    }
    if (err == ERR_OK) {
        atomic_store(&s->trust_until_ms, asked_ms + TRUST_MS);
    }
    return err;
}

static void say(struct store *s, enum err err, const struct errmsg *why)
{
    if (err != ERR_OK && !s->follow.complained) {
        log_warn(&s->log, "STORE-FOLLOW",
                 "cause=\"%s\" effect=\"nothing is answered from %s\" "
                 "next=\"tried again\"",
                 why->text, atomic_load(&s->put_back) ? "it" : "memory");
    } else if (err == ERR_OK && s->follow.complained) {
        log_info(&s->log, "STORE-FOLLOW", "result=ok");
    }
    s->follow.complained = err != ERR_OK;
}

static void *follow_main(void *arg)
{
    struct store *s = arg;
    struct follow_thread *f = &s->follow;
    (void)pthread_setname_np(pthread_self(), "store-follow");
    (void)pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        (void)pthread_mutex_unlock(&f->lock);
        struct errmsg why;
        struct timespec limit;
        enum err err = look(s, &why);
        say(s, err, &why);
        clock_until(err == ERR_OK ? LOOK_MS : AWAY_MS, &limit);
        (void)pthread_mutex_lock(&f->lock);
        if (!f->stop) {
            (void)pthread_cond_timedwait(&f->wake, &f->lock, &limit);
        }
    }
    (void)pthread_mutex_unlock(&f->lock);
    return NULL;
}

enum err follow_start_thread(struct store *s, struct errmsg *why)
{
    struct follow_thread *f = &s->follow;
    (void)pthread_mutex_init(&f->lock, NULL);
    clock_cond_init(&f->wake);
    (void)pthread_mutex_init(&s->queue.lock, NULL); /* nothing is taken */
    clock_cond_init(&s->queue.wake);
    atomic_store(&s->unwritable, ERR_ELSEWHERE);
    (void)snprintf(s->why, sizeof s->why,
                   "this process stands by, another one writes");
    f->runs = true;
    int rc = pthread_create(&f->thread, NULL, follow_main, s);
    if (rc != 0) {
        f->runs = false;
        return err_set(why, ERR_IO, "store: thread: %s", strerror(rc));
    }
    return ERR_OK;
}

void follow_stop_thread(struct store *s)
{
    struct follow_thread *f = &s->follow;
    if (!f->runs) {
        return;
    }
    (void)pthread_mutex_lock(&f->lock);
    f->stop = true;
    (void)pthread_cond_signal(&f->wake);
    (void)pthread_mutex_unlock(&f->lock);
    (void)pthread_join(f->thread, NULL);
    f->runs = false;
    (void)pthread_cond_destroy(&f->wake);
    (void)pthread_mutex_destroy(&f->lock);
    (void)pthread_cond_destroy(&s->queue.wake);
    (void)pthread_mutex_destroy(&s->queue.lock);
}

enum err store_open_beside(struct store **out, const struct store_conf *conf,
                           const struct store_env *env, struct errmsg *why)
{
    const struct backend *backend = backend_of(conf);
    *out = NULL;
    return backend->changes == NULL
               ? err_set(why, ERR_CONF,
                         "several processes need store.backend = \"mariadb\"")
               : store_open_as(out, ROLE_FOLLOW, backend, conf, env, why);
}
