/* pool.c - the connections that read.
 *
 * Who comes while one is free takes it, which wakes nobody. But as soon as the
 * first of those who wait has waited for FAIR_MS, all others stand behind him:
 * else those whose reads are just over would take connections again and again,
 * and one of many would wait for as long as all their reads take. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/mariadb/mariadb.h"

enum { FAIR_MS = 10 };

/* On the stack of who waits. */
struct waiter {
    struct waiter *next;
    pthread_cond_t turn; /* he is the first, and one is free */
    int64_t since_ms;
};

struct mdb_pool {
    const struct store_mariadb_conf *conf;
    const struct mdb_target *writes_to;
    const _Atomic uint64_t *known;
    pthread_mutex_t lock;
    struct waiter *waiting; /* lock: in order of arrival */
    struct mdb_conn **idle; /* lock */
    size_t idle_n;          /* lock */
    size_t open_n;          /* lock: idle and in use */
};

struct mdb_pool *mdb_pool_new(const struct store_mariadb_conf *conf,
                              const struct mdb_target *writes_to,
                              const _Atomic uint64_t *known)
{
    struct mdb_pool *p = MEM_NEW(struct mdb_pool);
    p->conf = conf;
    p->writes_to = writes_to;
    p->known = known;
    p->idle = mem_zalloc(conf->connections, sizeof(*p->idle));
    (void)pthread_mutex_init(&p->lock, NULL);
    return p;
}

void mdb_pool_free(struct mdb_pool **pool)
{
    struct mdb_pool *p = *pool;
    *pool = NULL;
    if (p == NULL) {
        return;
    }
    mdb_pool_drop_idle(p);
    (void)pthread_mutex_destroy(&p->lock);
    mem_free(p->idle);
    mem_free(p);
}

/* ---- in turn ---- */

/* All locked. */

static bool is_free(const struct mdb_pool *p)
{
    return p->idle_n > 0 || p->open_n < p->conf->connections;
}

static bool others_first(const struct mdb_pool *p)
{
    return p->waiting != NULL &&
           clock_mono_ms() - p->waiting->since_ms >= FAIR_MS;
}

static void wake_first(struct mdb_pool *p)
{
    if (p->waiting != NULL && is_free(p)) {
        (void)pthread_cond_signal(&p->waiting->turn);
    }
}

static struct waiter **end_of(struct mdb_pool *p)
{
    struct waiter **at = &p->waiting;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    return at;
}

static void leave(struct mdb_pool *p, const struct waiter *w)
{
    struct waiter **at = &p->waiting;
    while (*at != w) {
        at = &(*at)->next;
    }
    *at = w->next;
}

/* Is it his turn? Not if his time is over before. */
static bool stand_in_line(struct mdb_pool *p)
{
    struct waiter w = {.since_ms = clock_mono_ms()};
    struct timespec until;
    int rc = 0;
    clock_cond_init(&w.turn);
    clock_until(p->conf->timeout_ms, &until);
    *end_of(p) = &w;
    while (rc == 0 && (p->waiting != &w || !is_free(p))) {
        rc = pthread_cond_timedwait(&w.turn, &p->lock, &until);
    }
    bool first = p->waiting == &w && is_free(p);
    leave(p, &w);
    (void)pthread_cond_destroy(&w.turn);
    return first;
}

/* A free connection, or the right to open one. */
static enum err wait_locked(struct mdb_pool *p, struct errmsg *why)
{
    bool mine = is_free(p) && !others_first(p);
    return mine || stand_in_line(p)
               ? ERR_OK
               : err_set(why, ERR_UNAVAILABLE,
                         "all %u connections of mariadb.connections are in "
                         "use",
                         p->conf->connections);
}

/* ---- connections ---- */

/* Is it to the server that is written to? Behind one address there may be
 * several. */
static bool is_writers(const struct mdb_pool *p, const struct mdb_server *s)
{
    uint64_t id = atomic_load(&p->writes_to->id);
    return s->place == atomic_load(&p->writes_to->place) &&
           (id == 0 || s->id == id);
}

/* Locked: one that idles; those at a server that is not written to any more
 * are closed. */
static struct mdb_conn *idle_locked(struct mdb_pool *p)
{
    unsigned place = atomic_load(&p->writes_to->place);
    while (p->idle_n > 0) {
        struct mdb_conn *c = p->idle[--p->idle_n];
        const struct mdb_server *s = mdb_server(c);
        if (is_writers(p, s) || (s->synced && s->place == place)) {
            return c;
        }
        mdb_shut(&c);
        p->open_n--;
    }
    return NULL;
}

/* Not the server that is written to: one of its cluster has to wait until it
 * has all, and any other will lack the next commit. */
static enum err take_other(struct mdb_conn *c, struct errmsg *why)
{
    return mdb_server(c)->cluster
               ? mdb_sync(c, why)
               : err_set(why, ERR_UNAVAILABLE,
                         "mariadb.address leads to a server that is not the "
                         "one written to: name that one alone, not a replica "
                         "nor an address that several servers share");
}

/* To the server that is written to, which has everything, or to one of its
 * cluster. One that lacks what was committed, such as a replica or what was put
 * back from a backup, would answer wrongly. */
static enum err open_reader(struct mdb_pool *p, struct mdb_conn **out,
                            struct errmsg *why)
{
    unsigned place = atomic_load(&p->writes_to->place);
    enum err err = mdb_open_at(out, p->conf, &mdb_store_sql, &place, why);
    if (err == ERR_OK) {
        err = mdb_check_known(*out, p->known, ERR_UNAVAILABLE, why);
    }
    if (err == ERR_OK && !is_writers(p, mdb_server(*out))) {
        err = take_other(*out, why);
    }
    if (err != ERR_OK) {
        mdb_shut(out);
    }
    /* Whoever reads has opened before: a password that is not there, a
     * certificate that does not fit, rights that are gone say nothing about
     * what is stored. */
    return err == ERR_OK ? ERR_OK : ERR_UNAVAILABLE;
}

static enum err pool_take(struct mdb_pool *p, struct mdb_conn **out,
                          struct errmsg *why)
{
    *out = NULL;
    (void)pthread_mutex_lock(&p->lock);
    enum err err = wait_locked(p, why);
    if (err == ERR_OK) {
        *out = idle_locked(p);
        p->open_n += *out == NULL ? 1 : 0;
    }
    wake_first(p); /* there may be another one */
    (void)pthread_mutex_unlock(&p->lock);
    if (err != ERR_OK || *out != NULL) {
        return err;
    }
    err = open_reader(p, out, why);
    if (err != ERR_OK) {
        (void)pthread_mutex_lock(&p->lock);
        p->open_n--;
        wake_first(p);
        (void)pthread_mutex_unlock(&p->lock);
    }
    return err;
}

/* Closed one by one and without the lock: a server that is gone may take its
 * time. */
void mdb_pool_drop_idle(struct mdb_pool *p)
{
    bool more = true;
    while (more) {
        (void)pthread_mutex_lock(&p->lock);
        struct mdb_conn *c = p->idle_n > 0 ? p->idle[--p->idle_n] : NULL;
        more = c != NULL;
        p->open_n -= more ? 1 : 0;
        wake_first(p);
        (void)pthread_mutex_unlock(&p->lock);
        mdb_shut(&c);
    }
}

static void pool_give(struct mdb_pool *p, struct mdb_conn *c)
{
    bool lost = mdb_fault(c) == FAULT_LOST;
    if (lost) {
        mdb_shut(&c);
    }
    (void)pthread_mutex_lock(&p->lock);
    if (lost) {
        p->open_n--;
    } else {
        p->idle[p->idle_n++] = c;
    }
    wake_first(p);
    (void)pthread_mutex_unlock(&p->lock);
    if (lost) { /* and most likely those that idle with it */
        mdb_pool_drop_idle(p);
    }
}

/* Of a connection that was open: only what the server says of its tables is
 * about what is stored. */
static enum err read_err(enum err err, enum mdb_fault fault)
{
    bool away = fault == FAULT_LOST || err == ERR_CONF || err == ERR_TIMEOUT;
    return err != ERR_OK && away ? ERR_UNAVAILABLE : err;
}

enum err mdb_read(struct mdb_pool *pool, enum mdb_sql sql,
                  const struct mdb_cell *params, mdb_row_fn *fn, void *ctx,
                  struct errmsg *why)
{
    enum { ATTEMPTS = 2 };
    int64_t until_ms = clock_mono_ms() + pool->conf->timeout_ms;
    enum err err = ERR_UNAVAILABLE;
    bool again = true;
    for (unsigned i = 0; again && i < ATTEMPTS; i++) {
        struct mdb_conn *c;
        size_t seen = 0;
        err = pool_take(pool, &c, why);
        if (err != ERR_OK) {
            return err;
        }
        err = mdb_select(c, sql, params, fn, ctx, &seen, why);
        enum mdb_fault fault = mdb_fault(c);
        again = err != ERR_OK && seen == 0 &&
                (fault == FAULT_LOST || fault == FAULT_AGAIN) &&
                clock_mono_ms() < until_ms;
        err = read_err(err, fault);
        pool_give(pool, c);
    }
    return err;
}
