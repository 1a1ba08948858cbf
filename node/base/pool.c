#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"

struct job {
    struct job *next;
    pool_fn *fn;
    void *ctx;
};

struct queue {
    struct job *first;
    struct job *last;
};

struct strand {
    struct pool *pool;
    struct queue jobs;
    bool scheduled; /* a pool job for it is queued or running */
    bool freed;     /* strand_free() came while scheduled */
};

/* One lock for the pool and its strands: sections are a few instructions.
 *
 * Waking a thread costs more than most jobs do. So one is woken at a time: it
 * wakes the next if it finds more than one job, and short jobs that come
 * together are mostly done by one thread. Whoever wakes has let go of the lock
 * before, or the woken thread would wait for it again. */
struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct queue jobs;
    size_t waiting;
    size_t queue_max;
    bool stopping;
    bool waking;        /* a thread was woken and has not come yet */
    unsigned idle;      /* threads that wait */
    atomic_uint wakers; /* between giving up the lock and having woken */
    unsigned count;
    pthread_t *threads;
};

static void push(struct queue *q, struct job *job)
{
    job->next = NULL;
    if (q->last != NULL) {
        q->last->next = job;
    } else {
        q->first = job;
    }
    q->last = job;
}

static struct job *pop(struct queue *q)
{
    struct job *job = q->first;
    if (job != NULL) {
        q->first = job->next;
        q->last = q->first != NULL ? q->last : NULL;
    }
    return job;
}

static struct job *job_new(pool_fn *fn, void *ctx)
{
    struct job *job = MEM_NEW(struct job);
    job->fn = fn;
    job->ctx = ctx;
    return job;
}

/* Gives the lock up, and wakes a thread if there is work for one more.
 * `taken`: so many of the jobs the caller is about to take itself. */
static void unlock_and_wake(struct pool *pool, size_t taken)
{
    bool wake = pool->waiting > taken && pool->idle > 0 && !pool->waking;
    if (wake) {
        pool->waking = true;
        (void)atomic_fetch_add(&pool->wakers, 1);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (wake) {
        (void)pthread_cond_signal(&pool->wake);
        (void)atomic_fetch_sub(&pool->wakers, 1);
    }
}

/* Lock held. Waits; NULL once the pool stops and nothing is queued. */
static struct job *next_job(struct pool *pool)
{
    struct job *job = pop(&pool->jobs);
    while (job == NULL && !pool->stopping) {
        pool->idle++;
        (void)pthread_cond_wait(&pool->wake, &pool->lock);
        pool->idle--;
        pool->waking = false;
        job = pop(&pool->jobs);
    }
    return job;
}

static void *work(void *arg)
{
    struct pool *pool = arg;
    struct job *job;
    (void)pthread_mutex_lock(&pool->lock);
    while ((job = next_job(pool)) != NULL) {
        pool->waiting--;
        unlock_and_wake(pool, 0);
        job->fn(job->ctx);
        mem_free(job);
        (void)pthread_mutex_lock(&pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Lock held. */
static void enqueue(struct pool *pool, struct job *job)
{
    push(&pool->jobs, job);
    pool->waiting++;
}

enum err pool_new(struct pool **out, const char *name, unsigned threads,
                  size_t queue_max, struct errmsg *why)
{
    struct pool *pool = MEM_NEW(struct pool);
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->wake, NULL);
    pool->queue_max = queue_max;
    pool->threads = mem_zalloc(threads, sizeof *pool->threads);
    for (; pool->count < threads; pool->count++) {
        pthread_t *t = &pool->threads[pool->count];
        if (pthread_create(t, NULL, work, pool) != 0) {
            (void)err_set(why, ERR_BUSY, "%s: cannot start thread %u", name,
                          pool->count);
            pool_close(&pool);
            return ERR_BUSY;
        }
        char label[16];
        (void)snprintf(label, sizeof label, "%.11s-%u", name,
                       pool->count % 100);
        (void)pthread_setname_np(*t, label);
    }
    *out = pool;
    return ERR_OK;
}

enum err pool_run(struct pool *pool, pool_fn *fn, void *ctx)
{
    struct job *job = job_new(fn, ctx);
    (void)pthread_mutex_lock(&pool->lock);
    bool full = pool->waiting >= pool->queue_max || pool->stopping;
    if (!full) {
        enqueue(pool, job);
    }
    unlock_and_wake(pool, 0);
    if (full) {
        mem_free(job);
        return ERR_BUSY;
    }
    return ERR_OK;
}

void pool_close(struct pool **pool_ptr)
{
    struct pool *pool = *pool_ptr;
    *pool_ptr = NULL;
    if (pool == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    (void)pthread_cond_broadcast(&pool->wake);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++) {
        (void)pthread_join(pool->threads[i], NULL);
    }
    while (atomic_load(&pool->wakers) > 0) {
        (void)sched_yield();
    }
    (void)pthread_cond_destroy(&pool->wake);
    (void)pthread_mutex_destroy(&pool->lock);
    mem_free(pool->threads);
    mem_free(pool);
}

struct strand *strand_new(struct pool *pool)
{
    struct strand *s = MEM_NEW(struct strand);
    s->pool = pool;
    return s;
}

/* Runs one job, then goes behind the others in the pool: fair to all. */
static void strand_step(void *ctx)
{
    struct strand *s = ctx;
    struct pool *pool = s->pool;
    (void)pthread_mutex_lock(&pool->lock);
    struct job *job = pop(&s->jobs);
    (void)pthread_mutex_unlock(&pool->lock);
    if (job != NULL) {
        job->fn(job->ctx);
        mem_free(job);
    }
    (void)pthread_mutex_lock(&pool->lock);
    bool more = s->jobs.first != NULL;
    bool gone = !more && s->freed;
    s->scheduled = more;
    if (more) {
        enqueue(pool, job_new(strand_step, s));
    }
    unlock_and_wake(pool, 1);
    if (gone) {
        mem_free(s);
    }
}

void strand_run(struct strand *s, pool_fn *fn, void *ctx)
{
    struct job *job = job_new(fn, ctx);
    (void)pthread_mutex_lock(&s->pool->lock);
    push(&s->jobs, job);
    if (!s->scheduled) {
        s->scheduled = true;
        enqueue(s->pool, job_new(strand_step, s));
    }
    unlock_and_wake(s->pool, 0);
}

void strand_free(struct strand *s)
{
    if (s == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&s->pool->lock);
    bool later = s->scheduled;
    s->freed = true;
    (void)pthread_mutex_unlock(&s->pool->lock);
    if (!later) {
        mem_free(s);
    }
}
