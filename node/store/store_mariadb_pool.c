/* store_mariadb_pool.c - the connections that read. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/store_mariadb.h"

struct mdb_pool {
    const struct store_mariadb_conf *conf;
    const _Atomic unsigned *writes_at;
    const _Atomic uint64_t *known;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct mdb_conn **idle; /* lock */
    size_t idle_n;          /* lock */
    size_t open_n;          /* lock: idle and in use */
};

struct mdb_pool *mdb_pool_new(const struct store_mariadb_conf *conf,
                              const _Atomic unsigned *writes_at,
                              const _Atomic uint64_t *known)
{
    struct mdb_pool *p = MEM_NEW(struct mdb_pool);
    p->conf = conf;
    p->writes_at = writes_at;
    p->known = known;
    p->idle = mem_zalloc(conf->connections, sizeof(*p->idle));
    (void)pthread_mutex_init(&p->lock, NULL);
    clock_cond_init(&p->freed);
    return p;
}

void mdb_pool_free(struct mdb_pool **pool)
{
    struct mdb_pool *p = *pool;
    *pool = NULL;
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < p->idle_n; i++) {
        mdb_shut(&p->idle[i]);
    }
    (void)pthread_cond_destroy(&p->freed);
    (void)pthread_mutex_destroy(&p->lock);
    mem_free(p->idle);
    mem_free(p);
}

/* A free connection, or the right to open one. Locked. */
static enum err wait_locked(struct mdb_pool *p, struct errmsg *why)
{
    struct timespec until;
    clock_until(p->conf->timeout_ms, &until);
    int rc = 0;
    while (rc == 0 && p->idle_n == 0 && p->open_n == p->conf->connections) {
        rc = pthread_cond_timedwait(&p->freed, &p->lock, &until);
    }
    bool free = p->idle_n > 0 || p->open_n < p->conf->connections;
    return free ? ERR_OK
                : err_set(why, ERR_UNAVAILABLE,
                          "all %u connections of mariadb.connections are in "
                          "use",
                          p->conf->connections);
}

/* Locked: one that idles; those at a server that is not written to any more
 * are closed. */
static struct mdb_conn *idle_locked(struct mdb_pool *p)
{
    unsigned place = atomic_load(p->writes_at);
    while (p->idle_n > 0) {
        struct mdb_conn *c = p->idle[--p->idle_n];
        if (mdb_server(c)->place == place) {
            return c;
        }
        mdb_shut(&c);
        p->open_n--;
    }
    return NULL;
}

/* To the server that is written to, which has everything, or to one of its
 * cluster that waits until it has. One that lacks what was committed, such as
 * a replica or what was put back from a backup, would answer wrongly. */
static enum err open_reader(struct mdb_pool *p, struct mdb_conn **out,
                            struct errmsg *why)
{
    unsigned writes_at = atomic_load(p->writes_at);
    unsigned place = writes_at;
    enum err err = mdb_open_at(out, p->conf, &mdb_store_sql, &place, why);
    if (err == ERR_OK) {
        err = mdb_check_known(*out, p->known, why);
    }
    if (err == ERR_OK && mdb_server(*out)->cluster && place != writes_at) {
        err = mdb_run(*out, "SET SESSION wsrep_sync_wait=1", why);
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
    (void)pthread_mutex_unlock(&p->lock);
    if (err != ERR_OK || *out != NULL) {
        return err;
    }
    err = open_reader(p, out, why);
    if (err != ERR_OK) {
        (void)pthread_mutex_lock(&p->lock);
        p->open_n--;
        (void)pthread_cond_signal(&p->freed);
        (void)pthread_mutex_unlock(&p->lock);
    }
    return err;
}

/* With one connection gone the others that wait are most likely gone too. */
static void pool_give(struct mdb_pool *p, struct mdb_conn *c)
{
    bool lost = mdb_fault(c) == FAULT_LOST;
    (void)pthread_mutex_lock(&p->lock);
    p->idle[p->idle_n++] = c;
    while (lost && p->idle_n > 0) {
        mdb_shut(&p->idle[--p->idle_n]);
        p->open_n--;
    }
    (void)pthread_cond_signal(&p->freed);
    (void)pthread_mutex_unlock(&p->lock);
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
                (fault == FAULT_LOST || fault == FAULT_AGAIN);
        err = read_err(err, fault);
        pool_give(pool, c);
    }
    return err;
}
