/* The pool and its strands. Run under the thread sanitizer, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "base/mem.h"
#include "base/pool.h"

enum { THREADS = 4, STRANDS = 8, JOBS = 500 };

static struct pool *pool_of(unsigned threads, size_t queue_max)
{
    struct pool *pool = NULL;
    assert_int_equal(pool_new(&pool, "test", threads, queue_max, NULL), ERR_OK);
    return pool;
}

/* Holds a worker until it is opened. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool open;
    unsigned inside;
};

#define GATE_INIT                                                              \
    {                                                                          \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0          \
    }

static void pass_gate(void *ctx)
{
    struct gate *g = ctx;
    (void)pthread_mutex_lock(&g->lock);
    g->inside++;
    (void)pthread_cond_broadcast(&g->wake);
    while (!g->open) {
        (void)pthread_cond_wait(&g->wake, &g->lock);
    }
    (void)pthread_mutex_unlock(&g->lock);
}

static void wait_inside(struct gate *g, unsigned n)
{
    (void)pthread_mutex_lock(&g->lock);
    while (g->inside < n) {
        (void)pthread_cond_wait(&g->wake, &g->lock);
    }
    (void)pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct gate *g)
{
    (void)pthread_mutex_lock(&g->lock);
    g->open = true;
    (void)pthread_cond_broadcast(&g->wake);
    (void)pthread_mutex_unlock(&g->lock);
}

static void count_one(void *ctx)
{
    (void)atomic_fetch_add((atomic_uint *)ctx, 1);
}

static void close_waits_for_every_job(void **state)
{
    (void)state;
    struct pool *pool = pool_of(THREADS, JOBS);
    atomic_uint count = 0;
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(pool_run(pool, count_one, &count), ERR_OK);
    }
    pool_close(&pool);
    assert_null(pool);
    assert_int_equal(atomic_load(&count), JOBS);
    pool_close(&pool);
}

static void a_full_queue_is_refused_and_recovers(void **state)
{
    (void)state;
    struct gate gate = GATE_INIT;
    atomic_uint count = 0;
    struct pool *pool = pool_of(1, 3);
    assert_int_equal(pool_run(pool, pass_gate, &gate), ERR_OK);
    wait_inside(&gate, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pool_run(pool, count_one, &count), ERR_OK);
    }
    assert_int_equal(pool_run(pool, count_one, &count), ERR_BUSY);
    assert_int_equal(pool_run(pool, count_one, &count), ERR_BUSY);
    open_gate(&gate);
    while (atomic_load(&count) < 3) {
        (void)sched_yield();
    }
    assert_int_equal(pool_run(pool, count_one, &count), ERR_OK);
    pool_close(&pool);
    assert_int_equal(atomic_load(&count), 4);
}

static void jobs_run_side_by_side(void **state)
{
    (void)state;
    struct gate gate = GATE_INIT;
    struct pool *pool = pool_of(THREADS, THREADS);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pool_run(pool, pass_gate, &gate), ERR_OK);
    }
    wait_inside(&gate, THREADS);
    open_gate(&gate);
    pool_close(&pool);
}

/* Plain fields on purpose: only the strand protects them. */
struct lane {
    struct strand *strand;
    uint32_t expected;
    bool in_order;
    atomic_bool inside;
    bool overlapped;
    struct step {
        struct lane *lane;
        uint32_t number;
    } steps[JOBS];
};

static void step(void *ctx)
{
    struct step *s = ctx;
    struct lane *lane = s->lane;
    if (atomic_exchange(&lane->inside, true)) {
        lane->overlapped = true;
    }
    lane->in_order = lane->in_order && s->number == lane->expected;
    lane->expected++;
    if (s->number % 16 == 0) {
        (void)sched_yield();
    }
    atomic_store(&lane->inside, false);
}

static void strands_keep_order_and_never_overlap(void **state)
{
    (void)state;
    struct pool *pool = pool_of(THREADS, 4);
    struct lane *lanes = mem_zalloc(STRANDS, sizeof *lanes);
    for (size_t k = 0; k < STRANDS; k++) {
        lanes[k].strand = strand_new(pool);
        lanes[k].in_order = true;
    }
    for (uint32_t i = 0; i < JOBS; i++) {
        for (size_t k = 0; k < STRANDS; k++) {
            lanes[k].steps[i] = (struct step){&lanes[k], i};
            strand_run(lanes[k].strand, step, &lanes[k].steps[i]);
        }
    }
    for (size_t k = 0; k < STRANDS; k++) {
        strand_free(lanes[k].strand);
    }
    pool_close(&pool);
    for (size_t k = 0; k < STRANDS; k++) {
        assert_int_equal(lanes[k].expected, JOBS);
        assert_true(lanes[k].in_order);
        assert_false(lanes[k].overlapped);
    }
    mem_free(lanes);
}

static void a_blocked_strand_does_not_hold_up_another(void **state)
{
    (void)state;
    struct gate gate = GATE_INIT;
    atomic_uint count = 0;
    struct pool *pool = pool_of(2, 4);
    struct strand *slow = strand_new(pool);
    struct strand *fast = strand_new(pool);
    strand_run(slow, pass_gate, &gate);
    strand_run(slow, count_one, &count);
    wait_inside(&gate, 1);
    for (int i = 0; i < 10; i++) {
        strand_run(fast, count_one, &count);
    }
    while (atomic_load(&count) < 10) {
        (void)sched_yield();
    }
    /* The slow one's second job waits for its first, not for a thread. */
    assert_int_equal(atomic_load(&count), 10);
    open_gate(&gate);
    strand_free(slow);
    strand_free(fast);
    pool_close(&pool);
    assert_int_equal(atomic_load(&count), 11);
}

struct last_job {
    struct strand *strand;
    atomic_uint *count;
};

static void free_own_strand(void *ctx)
{
    struct last_job *job = ctx;
    strand_free(job->strand);
    count_one(job->count);
}

static void the_last_job_may_free_its_strand(void **state)
{
    (void)state;
    enum { ROUNDS = 200 };
    struct pool *pool = pool_of(THREADS, 4);
    struct last_job *jobs = mem_zalloc(ROUNDS, sizeof *jobs);
    atomic_uint count = 0;
    for (int i = 0; i < ROUNDS; i++) {
        jobs[i] = (struct last_job){strand_new(pool), &count};
        strand_run(jobs[i].strand, count_one, &count);
        strand_run(jobs[i].strand, free_own_strand, &jobs[i]);
    }
    pool_close(&pool);
    assert_int_equal(atomic_load(&count), 2 * ROUNDS);
    mem_free(jobs);
}

static void an_idle_strand_is_freed_at_once(void **state)
{
    (void)state;
    struct pool *pool = pool_of(1, 1);
    strand_free(strand_new(pool));
    strand_free(NULL);
    pool_close(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_waits_for_every_job),
        cmocka_unit_test(a_full_queue_is_refused_and_recovers),
        cmocka_unit_test(jobs_run_side_by_side),
        cmocka_unit_test(strands_keep_order_and_never_overlap),
        cmocka_unit_test(a_blocked_strand_does_not_hold_up_another),
        cmocka_unit_test(the_last_job_may_free_its_strand),
        cmocka_unit_test(an_idle_strand_is_freed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
