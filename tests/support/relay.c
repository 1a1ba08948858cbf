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
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"
#include "base/str.h"

enum { CHUNK = 16384, TICK_MS = 20, LINE_MAX_LEN = 1024, BACKLOG = 64 };

enum way { UP, DOWN, WAYS };

struct line;

/* One direction of a connection; `chunk` waits for its write. */
struct side {
    struct line *line;
    uv_tcp_t tcp; /* where the bytes of this way come from */
    uv_write_t write;
    char chunk[CHUNK];
    bool reading;
    bool writing;
};

struct line {
    struct side side[WAYS];
    uv_connect_t connect;
    struct line *next;
    int open; /* handles */
    bool closing;
    bool connected;
};

static struct relay {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_pipe_t control;
    pid_t parent;
    uv_timer_t ticker;
    struct line *lines;
    int to_port;
    bool cut;
    bool flip;
    bool frozen[WAYS];
    uint64_t rate;
    int64_t allowance[WAYS]; /* bytes that may move in this tick */
    uint64_t moved[WAYS];
    uint64_t connections;
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

/* ---- connections ---- */

static void on_line_closed(uv_handle_t *handle)
{
    struct line *line = ((struct side *)handle->data)->line;
    if (--line->open > 0) {
        return;
    }
    struct line **at = &relay.lines;
    while (*at != line) {
        at = &(*at)->next;
    }
    *at = line->next;
    mem_free(line);
}

static void drop(struct line *line)
{
    if (line->closing) {
        return;
    }
    line->closing = true;
    for (int way = UP; way < WAYS; way++) {
        uv_handle_t *handle = (uv_handle_t *)&line->side[way].tcp;
        /* A reset is what a cut line looks like in the end. */
        if (uv_tcp_close_reset(&line->side[way].tcp, on_line_closed) != 0) {
            uv_close(handle, on_line_closed);
        }
    }
}

static void on_chunk(uv_stream_t *from, ssize_t n, const uv_buf_t *buf);

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct side *side = handle->data;
    (void)suggested;
    *buf = uv_buf_init(side->chunk, CHUNK);
}

static bool may_move(enum way way)
{
    return !relay.frozen[way] && (relay.rate == 0 || relay.allowance[way] > 0);
}

static void pump(struct side *side, enum way way)
{
    struct line *line = side->line;
    bool want =
        line->connected && !line->closing && !side->writing && may_move(way);
    if (want && !side->reading) {
        must("read",
             uv_read_start((uv_stream_t *)&side->tcp, on_room, on_chunk));
    } else if (!want && side->reading) {
        (void)uv_read_stop((uv_stream_t *)&side->tcp);
    }
    side->reading = want;
}

static void pump_all(void)
{
    for (struct line *line = relay.lines; line != NULL; line = line->next) {
        pump(&line->side[UP], UP);
        pump(&line->side[DOWN], DOWN);
    }
}

static enum way way_of(const struct side *side)
{
    return side == &side->line->side[UP] ? UP : DOWN;
}

static void on_written(uv_write_t *write, int status)
{
    struct side *side = write->data;
    side->writing = false;
    if (status < 0) {
        drop(side->line);
        return;
    }
    pump(side, way_of(side));
}

static void on_chunk(uv_stream_t *from, ssize_t n, const uv_buf_t *buf)
{
    struct side *side = from->data;
    enum way way = way_of(side);
    (void)buf;
    if (n < 0) {
        drop(side->line);
        return;
    }
    if (n == 0) {
        return;
    }
    if (way == UP && relay.flip) {
        relay.flip = false;
        side->chunk[n / 2] ^= 1;
    }
    relay.moved[way] += (uint64_t)n;
    relay.allowance[way] -= n;
    side->writing = true;
    side->write.data = side;
    uv_buf_t out = uv_buf_init(side->chunk, (unsigned)n);
    struct side *other = &side->line->side[way == UP ? DOWN : UP];
    if (uv_write(&side->write, (uv_stream_t *)&other->tcp, &out, 1,
                 on_written) != 0) {
        side->writing = false;
        drop(side->line);
        return;
    }
    pump(side, way);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct line *line = connect->data;
    if (status < 0) {
        drop(line);
        return;
    }
    line->connected = true;
    pump(&line->side[UP], UP);
    pump(&line->side[DOWN], DOWN);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct sockaddr_in to;
    if (status < 0) {
        return;
    }
    struct line *line = MEM_NEW(struct line);
    for (int way = UP; way < WAYS; way++) {
        struct side *side = &line->side[way];
        side->line = line;
        must("socket", uv_tcp_init(relay.loop, &side->tcp));
        side->tcp.data = side;
        line->open++;
    }
    line->next = relay.lines;
    relay.lines = line;
    relay.connections++;
    must("accept", uv_accept(listener, (uv_stream_t *)&line->side[UP].tcp));
    if (relay.cut) {
        drop(line);
        return;
    }
    line->connect.data = line;
    must("address", uv_ip4_addr("127.0.0.1", relay.to_port, &to));
    if (uv_tcp_connect(&line->connect, &line->side[DOWN].tcp,
                       (const struct sockaddr *)&to, on_connected) != 0) {
        drop(line);
    }
}

/* ---- orders ---- */

static void order_cut(const char *arg)
{
    (void)arg;
    relay.cut = true;
    for (struct line *line = relay.lines; line != NULL; line = line->next) {
        drop(line);
    }
}

static void order_join(const char *arg)
{
    (void)arg;
    relay.cut = false;
    relay.frozen[UP] = false;
    relay.frozen[DOWN] = false;
    pump_all();
}

static void order_freeze(const char *arg)
{
    relay.frozen[strcmp(arg, "up") == 0 ? UP : DOWN] = true;
    pump_all();
}

static void order_rate(const char *arg)
{
    if (!str_u64(slice_str(arg), &relay.rate)) {
        die("rate", UV_EINVAL);
    }
    pump_all();
}

static void order_flip(const char *arg)
{
    (void)arg;
    relay.flip = true;
}

/* By renaming, so that a waiting reader never sees half a line. */
static void order_stats(const char *arg)
{
    char path[LINE_MAX_LEN + 8];
    (void)snprintf(path, sizeof path, "%s.new", arg);
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        die(path, -errno);
    }
    (void)fprintf(f,
                  "up %" PRIu64 " down %" PRIu64 " connections %" PRIu64 "\n",
                  relay.moved[UP], relay.moved[DOWN], relay.connections);
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
    if (relay.rate == 0) {
        return;
    }
    int64_t share = (int64_t)(relay.rate * TICK_MS / 1000);
    for (int way = UP; way < WAYS; way++) {
        /* What was not used is lost; what was taken too much is paid back. */
        relay.allowance[way] += share > 0 ? share : 1;
        if (relay.allowance[way] > share) {
            relay.allowance[way] = share;
        }
    }
    pump_all();
}

/* ---- set-up ---- */

static void listen_on(int port)
{
    struct sockaddr_in at;
    int len = sizeof at;
    must("socket", uv_tcp_init(relay.loop, &relay.listener));
    must("address", uv_ip4_addr("127.0.0.1", port, &at));
    must("bind", uv_tcp_bind(&relay.listener, (const struct sockaddr *)&at, 0));
    must("listen",
         uv_listen((uv_stream_t *)&relay.listener, BACKLOG, on_connection));
    must("name",
         uv_tcp_getsockname(&relay.listener, (struct sockaddr *)&at, &len));
    (void)printf("PORT %d\n", ntohs(at.sin_port));
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
    relay.loop = uv_default_loop();
    relay.parent = getppid();
    relay.to_port = (int)to;
    /* Opened for both, so that it does not end with the first writer. */
    int fd = open(argv[3], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        die(argv[3], -errno);
    }
    listen_on((int)port);
    watch_control(fd);
    must("timer", uv_timer_init(relay.loop, &relay.ticker));
    must("timer", uv_timer_start(&relay.ticker, on_tick, TICK_MS, TICK_MS));
    return uv_run(relay.loop, UV_RUN_DEFAULT);
}
