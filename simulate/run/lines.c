#include "run/lines.h"

#include "base/mem.h"

/* What one line is told next. */
struct order {
    struct line_state state;
    bool is_new;
    bool reset;
};

struct lines {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t wake;
    uv_mutex_t lock;     /* of order[] and over */
    struct order *order; /* owned */
    struct line **line;  /* owned; NULL: none */
    unsigned n;
    bool started;
    bool over;
};

static void close_all(struct lines *lines)
{
    for (unsigned i = 0; i < lines->n; i++) {
        if (lines->line[i] != NULL) {
            line_close(&lines->line[i]);
        }
    }
    uv_close((uv_handle_t *)&lines->wake, NULL);
}

static void obey(struct line *line, struct order *order)
{
    if (order->is_new) {
        line_set(line, &order->state);
    }
    if (order->reset) {
        line_reset(line);
    }
    order->is_new = order->reset = false;
}

static void on_wake(uv_async_t *wake)
{
    struct lines *lines = wake->data;
    uv_mutex_lock(&lines->lock);
    for (unsigned i = 0; i < lines->n; i++) {
        if (lines->line[i] != NULL) {
            obey(lines->line[i], &lines->order[i]);
        }
    }
    bool over = lines->over;
    uv_mutex_unlock(&lines->lock);
    if (over) {
        close_all(lines);
    }
}

static void run_loop(void *arg)
{
    struct lines *lines = arg;
    (void)uv_run(&lines->loop, UV_RUN_DEFAULT);
}

enum err lines_open(struct lines **out, unsigned n, struct errmsg *why)
{
    struct lines *lines = MEM_NEW(struct lines);
    *out = NULL;
    lines->n = n;
    if (uv_loop_init(&lines->loop) != 0) {
        mem_free(lines);
        return err_set(why, ERR_IO, "no loop for the lines");
    }
    (void)uv_async_init(&lines->loop, &lines->wake, on_wake);
    (void)uv_mutex_init(&lines->lock);
    lines->wake.data = lines;
    lines->order = mem_zalloc(n, sizeof *lines->order);
    lines->line = mem_zalloc(n, sizeof(struct line *));
    *out = lines;
    return ERR_OK;
}

enum err lines_add(struct lines *lines, unsigned i, unsigned to, unsigned *port,
                   struct errmsg *why)
{
    int rc = line_open(&lines->line[i], &lines->loop, 0, to, port);
    return rc == 0 ? ERR_OK
                   : err_set(why, ERR_IO, "no line to port %u: %s", to,
                             uv_strerror(rc));
}

enum err lines_start(struct lines *lines, struct errmsg *why)
{
    int rc = uv_thread_create(&lines->thread, run_loop, lines);
    lines->started = rc == 0;
    return rc == 0 ? ERR_OK
                   : err_set(why, ERR_IO, "no thread for the lines: %s",
                             uv_strerror(rc));
}

void lines_set(struct lines *lines, unsigned i, const struct line_state *state)
{
    uv_mutex_lock(&lines->lock);
    lines->order[i].state = *state;
    lines->order[i].is_new = true;
    uv_mutex_unlock(&lines->lock);
    (void)uv_async_send(&lines->wake);
}

void lines_reset(struct lines *lines, unsigned i)
{
    uv_mutex_lock(&lines->lock);
    lines->order[i].reset = true;
    uv_mutex_unlock(&lines->lock);
    (void)uv_async_send(&lines->wake);
}

void lines_close(struct lines **lines)
{
    struct lines *l = *lines;
    *lines = NULL;
    if (l == NULL) {
        return;
    }
    uv_mutex_lock(&l->lock);
    l->over = true;
    uv_mutex_unlock(&l->lock);
    (void)uv_async_send(&l->wake);
    if (l->started) {
        (void)uv_thread_join(&l->thread);
    } else {
        run_loop(l);
    }
    (void)uv_loop_close(&l->loop);
    uv_mutex_destroy(&l->lock);
    mem_free(l->order);
    mem_free(l->line);
    mem_free(l);
}
