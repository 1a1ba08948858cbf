/* relay - a TCP line between two nodes that a test can cut, freeze or slow.
 *
 *   relay LISTEN-PORT TO-PORT CONTROL
 *
 * Relays 127.0.0.1:LISTEN-PORT (0: any) to 127.0.0.1:TO-PORT and prints
 * "PORT n". CONTROL is a FIFO; each line is one order:
 *   cut          every connection is reset, new ones are reset at once
 *   join         the line works
 *   freeze up    nothing moves towards TO-PORT, connections stay
 *   freeze down  nothing moves back
 *   rate N       at most N bytes a second each way; 0: no limit
 *   flip         one bit of the next chunk upwards is turned
 *   stats FILE   writes "up N down N connections N" to FILE
 * The relay ends when its parent does. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"
#include "base/str.h"
#include "run/line.h"

enum { TICK_MS = 20, LINE_MAX_LEN = 1024 };

static struct relay {
    uv_loop_t *loop;
    uv_pipe_t control;
    pid_t parent;
    uv_timer_t ticker;
    struct line *line;
    struct line_state state;
    char order[LINE_MAX_LEN];
    size_t order_len;
    char input[LINE_MAX_LEN];
} relay;

static _Noreturn void die(const char *what, int rc)
{
    (void)fprintf(stderr, "relay: %s: %s\n", what, uv_strerror(rc));
    exit(1);
}

static void must(const char *what, int rc)
{
    if (rc < 0) {
        die(what, rc);
    }
}

/* ---- orders ---- */

static void order_cut(const char *arg)
{
    (void)arg;
    relay.state.cut = true;
    line_set(relay.line, &relay.state);
}

static void order_join(const char *arg)
{
    (void)arg;
    relay.state.cut = false;
    relay.state.frozen[LINE_UP] = false;
    relay.state.frozen[LINE_DOWN] = false;
    line_set(relay.line, &relay.state);
}

static void order_freeze(const char *arg)
{
    relay.state.frozen[strcmp(arg, "up") == 0 ? LINE_UP : LINE_DOWN] = true;
    line_set(relay.line, &relay.state);
}

static void order_rate(const char *arg)
{
    if (!str_u64(slice_str(arg), &relay.state.rate)) {
        die("rate", UV_EINVAL);
    }
    line_set(relay.line, &relay.state);
}

static void order_flip(const char *arg)
{
    (void)arg;
    line_flip(relay.line);
}

/* By renaming, so that a waiting reader never sees half a line. */
static void order_stats(const char *arg)
{
    char path[LINE_MAX_LEN + 8];
    struct line_stats stats = line_stats(relay.line);
    (void)snprintf(path, sizeof path, "%s.new", arg);
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        die(path, -errno);
    }
    (void)fprintf(
        f, "up %" PRIu64 " down %" PRIu64 " connections %" PRIu64 "\n",
        stats.moved[LINE_UP], stats.moved[LINE_DOWN], stats.connections);
    if (fclose(f) != 0 || rename(path, arg) != 0) {
        die(arg, -errno);
    }
}

static const struct {
    const char *name;
    void (*run)(const char *arg);
} orders[] = {
    {"cut", order_cut},   {"join", order_join}, {"freeze", order_freeze},
    {"rate", order_rate}, {"flip", order_flip}, {"stats", order_stats},
};

static void obey(char *text)
{
    char *arg = strchr(text, ' ');
    if (arg != NULL) {
        *arg++ = 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        if (strcmp(text, orders[i].name) == 0) {
            orders[i].run(arg != NULL ? arg : "");
            return;
        }
    }
    die(text, UV_EINVAL);
}

static void on_input_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(relay.input, sizeof relay.input);
}

static void on_control(uv_stream_t *control, ssize_t n, const uv_buf_t *buf)
{
    (void)control;
    if (n < 0) {
        die("control", (int)n);
    }
    for (ssize_t i = 0; i < n; i++) {
        if (buf->base[i] != '\n' && relay.order_len < LINE_MAX_LEN - 1) {
            relay.order[relay.order_len++] = buf->base[i];
            continue;
        }
        relay.order[relay.order_len] = 0;
        relay.order_len = 0;
        obey(relay.order);
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    if (getppid() != relay.parent) {
        exit(0);
    }
}

/* ---- set-up ---- */

static void listen_on(unsigned from, unsigned to)
{
    unsigned port = 0;
    must("listen", line_open(&relay.line, relay.loop, from, to, &port));
    (void)printf("PORT %u\n", port);
    (void)fflush(stdout);
}

static void watch_control(int fd)
{
    uv_pipe_t *pipe = &relay.control;
    must("control", uv_pipe_init(relay.loop, pipe, 0));
    must("control", uv_pipe_open(pipe, fd));
    must("control",
         uv_read_start((uv_stream_t *)pipe, on_input_room, on_control));
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: relay LISTEN-PORT TO-PORT CONTROL\n");
        return 2;
    }
    uint64_t port;
    uint64_t to;
    if (!str_u64(slice_str(argv[1]), &port) || port > 65535 ||
        !str_u64(slice_str(argv[2]), &to) || to > 65535) {
        die("port", UV_EINVAL);
    }
    (void)signal(SIGPIPE, SIG_IGN); /* either side may be gone */
    relay.loop = uv_default_loop();
    relay.parent = getppid();
    /* Opened for both, so that it does not end with the first writer. */
    int fd = open(argv[3], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        die(argv[3], -errno);
    }
    listen_on((unsigned)port, (unsigned)to);
    watch_control(fd);
    must("timer", uv_timer_init(relay.loop, &relay.ticker));
    must("timer", uv_timer_start(&relay.ticker, on_tick, TICK_MS, TICK_MS));
    return uv_run(relay.loop, UV_RUN_DEFAULT);
}
