/* line.h - a TCP line between two nodes that can be spoiled.
 *
 * Listens on a port of this machine and relays each connection to another one.
 * What goes wrong is a state that may change at any time; a connection feels
 * it from then on. Bytes are never altered but by line_flip(), and stay in
 * order.
 *
 * Memory: at most LINE_QUEUE_MAX bytes wait a way of a connection; who sends
 * more is not read from.
 * Threads: that of the loop. */
#ifndef RUN_LINE_H
#define RUN_LINE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum { LINE_QUEUE_MAX = 1 << 20 };

enum line_way { LINE_UP, LINE_DOWN, LINE_WAYS }; /* up: to who is relayed to */

struct line_state {
    bool cut;               /* connections are reset, new ones at once */
    bool frozen[LINE_WAYS]; /* nothing moves, connections stay */
    uint64_t rate;          /* bytes a second each way; 0: no limit */
    uint32_t latency_ms;
    /* One chunk in so many is lost and comes when it is sent again; what is
     * behind it waits. 0: none. */
    uint32_t lossy;
};
struct line_stats {
    uint64_t moved[LINE_WAYS]; /* bytes */
    uint64_t connections;
};

struct line;

/* From 127.0.0.1:`from` (0: any; *port is the one) to 127.0.0.1:`to`. Ended
 * with line_close(). A negative error of libuv: *out is NULL. */
int line_open(struct line **out, uv_loop_t *loop, unsigned from, unsigned to,
              unsigned *port);
void line_set(struct line *line, const struct line_state *state);
/* Every connection is reset; new ones work. */
void line_reset(struct line *line);
/* One bit of the next chunk upwards is turned. */
void line_flip(struct line *line);
struct line_stats line_stats(const struct line *line);
/* The loop must run on until it has no handles. */
void line_close(struct line **line);

#endif
