#include "sync/flow.h"

enum {
    GROWTH = 4,    /* times, at most, for one message that was timed */
    SEGMENTS = 4,  /* of a window */
    BREATH_MS = 5, /* between two messages of which the later waited */
};

static uint64_t at_most(uint64_t n, uint64_t most)
{
    return n < most ? n : most;
}

static uint64_t at_least(uint64_t n, uint64_t least)
{
    return n > least ? n : least;
}

void flow_begin(struct flow *flow, uint64_t cap)
{
    uint64_t known = flow->window != 0 ? flow->window : FLOW_FIRST;
    *flow = (struct flow){.cap = cap,
                          .window = at_most(known, FLOW_FIRST),
                          .base_ms = FLOW_BASE_MS};
}

uint64_t flow_whole(const struct flow *flow)
{
    return at_most(flow->window, flow->cap);
}

bool flow_room(struct flow *flow, uint64_t in_flight)
{
    bool room = in_flight < flow_whole(flow);
    flow->full = flow->full || !room;
    return room;
}

size_t flow_segment(const struct flow *flow, size_t most)
{
    uint64_t whole = flow_whole(flow);
    uint64_t part = flow->quick ? whole : whole / SEGMENTS;
    return (size_t)at_most(at_least(part, FLOW_SEGMENT_LEAST), most);
}

bool flow_fits(struct flow *flow, uint64_t bytes)
{
    bool fits = bytes <= flow_whole(flow);
    flow->full = flow->full || !fits;
    return fits;
}

void flow_sent(struct flow *flow, uint64_t bytes, int64_t now_ms)
{
    flow->sent += bytes;
    if (flow->timed_to == 0) {
        flow->timed_to = flow->sent;
        flow->acked_then = flow->acked;
        flow->timed_at_ms = now_ms;
        flow->full = false;
    }
}

/* What goes in `ms` if `bytes` went in `in_ms`. */
static uint64_t carried(uint64_t bytes, uint64_t ms, uint64_t in_ms)
{
    return at_most(bytes, UINT32_MAX) * ms / in_ms;
}

/* The message took `took_ms`, `line_ms` of it by the line. */
static void learn(struct flow *flow, uint64_t took_ms, uint64_t line_ms)
{
    uint64_t moved = flow->acked - flow->acked_then;
    flow->base_ms = (uint32_t)at_most(flow->base_ms, line_ms);
    uint64_t may_ms = flow->base_ms + FLOW_QUEUE_MS;
    if (line_ms > may_ms) {
        uint64_t fits = carried(moved, may_ms, took_ms);
        flow->window = at_least(at_most(fits, flow->window), FLOW_LEAST);
    } else if (flow->full) {
        uint64_t fits = carried(moved, may_ms, line_ms);
        uint64_t more = at_most(fits, flow->window * GROWTH);
        flow->window = at_most(at_least(more, flow->window),
                               at_least(flow->cap, FLOW_LEAST));
    }
    /* Little that came back soon says neither. */
    bool quick = carried(moved, FLOW_BLINK_MS, line_ms) >= flow->window;
    flow->quick = quick || (flow->quick && line_ms <= FLOW_BLINK_MS);
}

void flow_acked(struct flow *flow, uint64_t bytes, uint32_t held_ms,
                int64_t now_ms)
{
    flow->acked += bytes;
    if (flow->timed_to == 0 || flow->acked < flow->timed_to) {
        return;
    }
    int64_t took_ms = now_ms - flow->timed_at_ms;
    int64_t line_ms = took_ms - (int64_t)held_ms;
    learn(flow, took_ms > 1 ? (uint64_t)took_ms : 1,
          line_ms > 1 ? (uint64_t)line_ms : 1);
    flow->timed_to = 0;
}

void flow_dropped(struct flow *flow, uint64_t bytes)
{
    flow->acked += bytes;
    if (bytes > 0) {
        flow->timed_to = 0;
    }
}

int64_t flow_take(struct flow_taken *taken, int64_t now_ms)
{
    if (now_ms - taken->through_ms > BREATH_MS) {
        taken->since_ms = now_ms;
    }
    return taken->since_ms;
}

void flow_through(struct flow_taken *taken, int64_t now_ms)
{
    taken->through_ms = now_ms;
}

enum {
    ASKED_LEAST = 16 << 10, /* a signed head and certificates come with it */
    ASKED_MOST = 64 << 20,
    ASKED_ENTRY = 1 << 10, /* taken for the size of one that is not known */
};

void flow_ask_log(struct flow_asked *asked)
{
    asked->entry_bytes = 0;
}

uint64_t flow_ask(const struct flow_asked *asked)
{
    uint64_t bytes = asked->bytes > 0 ? asked->bytes : ASKED_LEAST;
    uint64_t each = asked->entry_bytes > 0 ? asked->entry_bytes : ASKED_ENTRY;
    return bytes > each ? bytes / each : 1;
}

void flow_came(struct flow_asked *asked, uint64_t entries, uint64_t bytes,
               uint32_t took_ms)
{
    uint64_t was = asked->bytes > 0 ? asked->bytes : ASKED_LEAST;
    uint32_t way = took_ms > 0 ? took_ms : 1;
    if (entries == 0) {
        return;
    }
    asked->entry_bytes = bytes / entries + 1;
    if (asked->base_ms == 0 || way < asked->base_ms) {
        asked->base_ms = way < FLOW_BASE_MS ? way : FLOW_BASE_MS;
    }
    uint32_t queued_ms = way - asked->base_ms;
    uint64_t next =
        queued_ms > FLOW_QUEUE_MS ? bytes * FLOW_QUEUE_MS / queued_ms : 4 * was;
    next = next > ASKED_LEAST ? next : ASKED_LEAST;
    asked->bytes = next < ASKED_MOST ? next : ASKED_MOST;
}

void flow_came_not(struct flow_asked *asked)
{
    asked->bytes = ASKED_LEAST;
}
