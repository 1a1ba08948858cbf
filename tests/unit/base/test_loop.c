/* The loop and its mailbox. Run under the thread sanitizer, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/loop.h"
#include "base/mem.h"

enum { POSTERS = 4, POSTS = 2000 };

struct poster {
    struct loop *loop;
    pthread_t thread;
    uint32_t sent;
    struct letter {
        struct poster *from;
        uint32_t number;
    } letters[POSTS];
    uint32_t expected; /* loop thread */
    bool in_order;     /* loop thread */
    bool on_loop;      /* loop thread: never on another one */
    pthread_t loop_thread;
    uint32_t *arrived; /* of all posters */
};

static void receive(void *ctx)
{
    struct letter *l = ctx;
    struct poster *p = l->from;
    p->in_order = p->in_order && l->number == p->expected;
    p->on_loop =
        p->on_loop && pthread_equal(pthread_self(), p->loop_thread) != 0;
    p->expected++;
    if (++*p->arrived == POSTERS * POSTS) {
        loop_stop(p->loop);
    }
}

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (uint32_t i = 0; i < POSTS; i++) {
        p->letters[i] = (struct letter){p, i};
        loop_post(p->loop, receive, &p->letters[i]);
    }
    return NULL;
}

static void posts_of_each_thread_arrive_once_and_in_order(void **state)
{
    (void)state;
    struct loop *loop = NULL;
    uint32_t arrived = 0;
    struct poster *posters = mem_zalloc(POSTERS, sizeof *posters);
    assert_int_equal(loop_new(&loop, NULL), ERR_OK);
    for (size_t i = 0; i < POSTERS; i++) {
        struct poster *p = &posters[i];
        p->loop = loop;
        p->in_order = p->on_loop = true;
        p->loop_thread = pthread_self();
        p->arrived = &arrived;
        assert_int_equal(pthread_create(&p->thread, NULL, post_all, p), 0);
    }
    loop_run(loop);
    for (size_t i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_true(posters[i].in_order);
        assert_true(posters[i].on_loop);
        assert_int_equal(posters[i].expected, POSTS);
    }
    assert_int_equal(arrived, POSTERS * POSTS);
    assert_int_equal(loop_close(&loop), ERR_OK);
    assert_null(loop);
    mem_free(posters);
}

struct nested {
    struct loop *loop;
    char trace[8];
};

static void second(void *ctx)
{
    struct nested *n = ctx;
    n->trace[strlen(n->trace)] = '2';
    loop_stop(n->loop);
}

static void first(void *ctx)
{
    struct nested *n = ctx;
    loop_post(n->loop, second, n);
    n->trace[strlen(n->trace)] = '1';
}

static void a_post_from_the_loop_runs_later(void **state)
{
    (void)state;
    struct nested n = {.trace = ""};
    assert_int_equal(loop_new(&n.loop, NULL), ERR_OK);
    loop_post(n.loop, first, &n);
    loop_run(n.loop);
    assert_string_equal(n.trace, "12");
    assert_int_equal(loop_close(&n.loop), ERR_OK);
}

static void add_one(void *ctx)
{
    int *count = ctx;
    (*count)++;
}

static void close_runs_what_is_left(void **state)
{
    (void)state;
    struct loop *loop = NULL;
    int count = 0;
    assert_int_equal(loop_new(&loop, NULL), ERR_OK);
    for (int i = 0; i < 10; i++) {
        loop_post(loop, add_one, &count);
    }
    assert_int_equal(loop_close(&loop), ERR_OK);
    assert_int_equal(count, 10);
    assert_int_equal(loop_close(&loop), ERR_OK);
}

static void *stop_it(void *arg)
{
    loop_stop(arg);
    return NULL;
}

static void another_thread_stops_it_and_it_runs_again(void **state)
{
    (void)state;
    struct loop *loop = NULL;
    pthread_t thread;
    assert_int_equal(loop_new(&loop, NULL), ERR_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&thread, NULL, stop_it, loop), 0);
        loop_run(loop);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    assert_int_equal(loop_close(&loop), ERR_OK);
}

struct ticking {
    struct loop *loop;
    uv_timer_t timer;
    int ticks;
};

static void on_tick(uv_timer_t *timer)
{
    struct ticking *t = timer->data;
    if (++t->ticks == 3) {
        uv_close((uv_handle_t *)timer, NULL);
        loop_stop(t->loop);
    }
}

static void timers_are_plain_handles(void **state)
{
    (void)state;
    struct ticking t = {.ticks = 0};
    assert_int_equal(loop_new(&t.loop, NULL), ERR_OK);
    assert_int_equal(uv_timer_init(loop_uv(t.loop), &t.timer), 0);
    t.timer.data = &t;
    assert_int_equal(uv_timer_start(&t.timer, on_tick, 1, 1), 0);
    loop_run(t.loop);
    assert_int_equal(t.ticks, 3);
    assert_int_equal(loop_close(&t.loop), ERR_OK);
}

/* A signal and a damaged store may both end a node. */
static void a_late_stop_does_not_keep_it_from_closing(void **state)
{
    struct loop *loop = NULL;
    struct errmsg why;
    uv_timer_t timer;
    (void)state;
    assert_int_equal(loop_new(&loop, &why), ERR_OK);
    assert_int_equal(uv_timer_init(loop_uv(loop), &timer), 0);
    loop_stop(loop);
    loop_run(loop);
    loop_stop(loop);
    uv_close((uv_handle_t *)&timer, NULL);
    assert_int_equal(loop_close(&loop), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_of_each_thread_arrive_once_and_in_order),
        cmocka_unit_test(a_post_from_the_loop_runs_later),
        cmocka_unit_test(close_runs_what_is_left),
        cmocka_unit_test(another_thread_stops_it_and_it_runs_again),
        cmocka_unit_test(timers_are_plain_handles),
        cmocka_unit_test(a_late_stop_does_not_keep_it_from_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
