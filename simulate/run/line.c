#include "run/line.h"

#include <string.h>

#include "base/mem.h"
#include "pure/rng.h"

enum {
    CHUNK = 16384,
    TICK_MS = 20,
    BACKLOG = 64,
    AGAIN_LEAST_MS = 200, /* until TCP sends again what was lost */
    AGAIN_MOST_MS = 1500,
};

/* Bytes on their way. */
struct parcel {
    struct parcel *next;
    uint64_t due_ms;
    size_t len;
    char bytes[];
};

/* One direction of a connection. */
struct side {
    struct conn *conn;
    uv_tcp_t tcp; /* where the bytes of this way come from */
    uv_write_t write;
    struct parcel *first; /* owned; being written if `writing` */
    struct parcel *last;
    size_t queued;
    bool reading;
    bool writing;
};

struct conn {
    struct line *line;
    struct conn *next;
    struct side side[LINE_WAYS];
    uv_connect_t connect;
    int open; /* handles */
    bool closing;
    bool connected;
};

struct line {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_timer_t ticker;
    struct conn *conns; /* owned */
    struct line_state state;
    struct line_stats stats;
    struct rng rng;
    unsigned to;
    int open; /* own handles */
    bool closing;
    bool flip;
    int64_t allowance[LINE_WAYS]; /* bytes that may move in this tick */
    char chunk[CHUNK];
};

static void pump(struct side *side);

static enum line_way way_of(const struct side *side)
{
    return side == &side->conn->side[LINE_UP] ? LINE_UP : LINE_DOWN;
}

/* ---- ends ---- */

static void free_when_over(struct line *line)
{
    if (line->closing && line->open == 0 && line->conns == NULL) {
        mem_free(line);
    }
}

static void free_conn(struct conn *conn)
{
    struct conn **at = &conn->line->conns;
    while (*at != conn) {
        at = &(*at)->next;
    }
    *at = conn->next;
    for (int way = LINE_UP; way < LINE_WAYS; way++) {
        struct parcel *p = conn->side[way].first;
        while (p != NULL) {
            struct parcel *next = p->next;
            mem_free(p);
            p = next;
        }
    }
    mem_free(conn);
}

static void on_side_closed(uv_handle_t *handle)
{
    struct conn *conn = ((struct side *)handle->data)->conn;
    struct line *line = conn->line;
    if (--conn->open == 0) {
        free_conn(conn);
        free_when_over(line);
    }
}

static void drop(struct conn *conn)
{
    if (conn->closing) {
        return;
    }
    conn->closing = true;
    for (int way = LINE_UP; way < LINE_WAYS; way++) {
        uv_tcp_t *tcp = &conn->side[way].tcp;
        /* A reset is what a cut line looks like in the end. */
        if (uv_tcp_close_reset(tcp, on_side_closed) != 0) {
            uv_close((uv_handle_t *)tcp, on_side_closed);
        }
    }
}

/* ---- bytes ---- */

static void on_written(uv_write_t *write, int status)
{
    struct side *side = write->data;
    struct parcel *p = side->first;
    side->writing = false;
    side->first = p->next;
    side->last = side->first == NULL ? NULL : side->last;
    side->queued -= p->len;
    mem_free(p);
    if (status < 0) {
        drop(side->conn);
    } else {
        pump(side);
    }
}

static void send_due(struct side *side)
{
    struct conn *conn = side->conn;
    struct parcel *p = side->first;
    enum line_way way = way_of(side);
    if (p == NULL || side->writing || conn->closing || !conn->connected ||
        conn->line->state.frozen[way] || p->due_ms > uv_now(conn->line->loop)) {
        return;
    }
    struct side *other = &conn->side[way == LINE_UP ? LINE_DOWN : LINE_UP];
    uv_buf_t out = uv_buf_init(p->bytes, (unsigned)p->len);
    side->write.data = side;
    side->writing = true;
    if (uv_write(&side->write, (uv_stream_t *)&other->tcp, &out, 1,
                 on_written) != 0) {
        side->writing = false;
        drop(conn);
    }
}

static uint64_t due_ms(struct line *line, const struct side *side)
{
    const struct line_state *s = &line->state;
    uint64_t due = uv_now(line->loop) + s->latency_ms;
    if (s->lossy != 0 && rng_one_in(&line->rng, s->lossy)) {
        due += rng_between(&line->rng, AGAIN_LEAST_MS, AGAIN_MOST_MS);
    }
    return side->last != NULL && side->last->due_ms > due ? side->last->due_ms
                                                          : due;
}

static void take(struct side *side, const char *bytes, size_t len)
{
    struct line *line = side->conn->line;
    enum line_way way = way_of(side);
    struct parcel *p = mem_alloc(sizeof *p + len);
    *p = (struct parcel){.due_ms = due_ms(line, side), .len = len};
    memcpy(p->bytes, bytes, len);
    if (way == LINE_UP && line->flip) {
        line->flip = false;
        p->bytes[len / 2] ^= 1;
    }
    *(side->last != NULL ? &side->last->next : &side->first) = p;
    side->last = p;
    side->queued += len;
    line->stats.moved[way] += len;
    line->allowance[way] -= (int64_t)len;
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct side *side = handle->data;
    (void)suggested;
    *buf = uv_buf_init(side->conn->line->chunk, CHUNK);
}

static void on_chunk(uv_stream_t *from, ssize_t n, const uv_buf_t *buf)
{
    struct side *side = from->data;
    if (n < 0) {
        drop(side->conn);
    } else if (n > 0) {
        take(side, buf->base, (size_t)n);
        pump(side);
    }
}

static bool may_read(const struct side *side)
{
    const struct conn *conn = side->conn;
    const struct line *line = conn->line;
    enum line_way way = way_of(side);
    return conn->connected && !conn->closing && !line->state.frozen[way] &&
           side->queued < LINE_QUEUE_MAX - CHUNK &&
           (line->state.rate == 0 || line->allowance[way] > 0);
}

static void pump(struct side *side)
{
    bool want = may_read(side);
    if (want && !side->reading &&
        uv_read_start((uv_stream_t *)&side->tcp, on_room, on_chunk) != 0) {
        drop(side->conn);
        want = false;
    } else if (!want && side->reading) {
        (void)uv_read_stop((uv_stream_t *)&side->tcp);
    }
    side->reading = want;
    send_due(side);
}

static void pump_all(struct line *line)
{
    for (struct conn *conn = line->conns; conn != NULL; conn = conn->next) {
        pump(&conn->side[LINE_UP]);
        pump(&conn->side[LINE_DOWN]);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct line *line = timer->data;
    for (int way = LINE_UP; way < LINE_WAYS; way++) {
        /* What was not used is lost; what was taken too much is paid back. */
        int64_t share = (int64_t)(line->state.rate * TICK_MS / 1000);
        int64_t most = share > 0 ? share : 1;
        int64_t left = line->allowance[way] + most;
        line->allowance[way] = left < most ? left : most;
    }
    pump_all(line);
}

/* ---- connections ---- */

static void on_connected(uv_connect_t *connect, int status)
{
    struct conn *conn = connect->data;
    if (status < 0) {
        drop(conn);
        return;
    }
    conn->connected = true;
    pump(&conn->side[LINE_UP]);
    pump(&conn->side[LINE_DOWN]);
}

static struct conn *conn_new(struct line *line)
{
    struct conn *conn = MEM_NEW(struct conn);
    conn->line = line;
    for (int way = LINE_UP; way < LINE_WAYS; way++) {
        struct side *side = &conn->side[way];
        side->conn = conn;
        (void)uv_tcp_init(line->loop, &side->tcp);
        side->tcp.data = side;
        conn->open++;
    }
    conn->next = line->conns;
    line->conns = conn;
    line->stats.connections++;
    return conn;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct line *line = listener->data;
    struct sockaddr_in to;
    if (status < 0) {
        return;
    }
    struct conn *conn = conn_new(line);
    conn->connect.data = conn;
    (void)uv_ip4_addr("127.0.0.1", (int)line->to, &to);
    if (uv_accept(listener, (uv_stream_t *)&conn->side[LINE_UP].tcp) != 0 ||
        line->state.cut ||
        uv_tcp_connect(&conn->connect, &conn->side[LINE_DOWN].tcp,
                       (const struct sockaddr *)&to, on_connected) != 0) {
        drop(conn);
    }
}

/* ---- public ---- */

static int start_listening(struct line *line, unsigned from, unsigned *port)
{
    struct sockaddr_in address;
    int len = sizeof address;
    (void)uv_ip4_addr("127.0.0.1", (int)from, &address);
    int rc = uv_tcp_bind(&line->listener, (const struct sockaddr *)&address, 0);
    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)&line->listener, BACKLOG, on_connection);
    }
    if (rc == 0) {
        rc = uv_tcp_getsockname(&line->listener, (struct sockaddr *)&address,
                                &len);
    }
    *port = rc == 0 ? ntohs(address.sin_port) : 0;
    return rc;
}

int line_open(struct line **out, uv_loop_t *loop, unsigned from, unsigned to,
              unsigned *port)
{
    struct line *line = MEM_NEW(struct line);
    line->loop = loop;
    line->to = to;
    line->rng.state = to;
    (void)uv_tcp_init(loop, &line->listener);
    (void)uv_timer_init(loop, &line->ticker);
    line->listener.data = line->ticker.data = line;
    line->open = 2;
    int rc = start_listening(line, from, port);
    if (rc == 0) {
        rc = uv_timer_start(&line->ticker, on_tick, TICK_MS, TICK_MS);
    }
    *out = line;
    if (rc != 0) {
        line_close(out);
    }
    return rc;
}

void line_set(struct line *line, const struct line_state *state)
{
    line->state = *state;
    line->allowance[LINE_UP] = line->allowance[LINE_DOWN] = 0;
    if (state->cut) {
        line_reset(line);
    }
    pump_all(line);
}

void line_reset(struct line *line)
{
    for (struct conn *conn = line->conns; conn != NULL; conn = conn->next) {
        drop(conn);
    }
}

void line_flip(struct line *line)
{
    line->flip = true;
}

struct line_stats line_stats(const struct line *line)
{
    return line->stats;
}

static void on_own_closed(uv_handle_t *handle)
{
    struct line *line = handle->data;
    line->open--;
    free_when_over(line);
}

void line_close(struct line **line)
{
    struct line *l = *line;
    *line = NULL;
    l->closing = true;
    line_reset(l);
    uv_close((uv_handle_t *)&l->listener, on_own_closed);
    uv_close((uv_handle_t *)&l->ticker, on_own_closed);
}
