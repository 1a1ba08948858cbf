#include "sync/link.h"

#include <string.h>

typedef enum err link_on_fn(struct link *, const struct link_event *,
                            unsigned *);

static const char *const names[UPLINK_STATES] = {
    [UPLINK_IDLE] = "idle",         [UPLINK_DIALING] = "dialing",
    [UPLINK_GREETING] = "greeting", [UPLINK_STREAMING] = "streaming",
    [UPLINK_WAITING] = "waiting",
};

const char *uplink_state_name(enum uplink_state state)
{
    return names[state];
}

/* The only place that assigns link->state. */
static void enter(struct link *link, enum uplink_state next,
                  uint32_t deadline_ms, unsigned *todo)
{
    link->state = next;
    link->deadline_ms = deadline_ms;
    *todo |= LINK_ARM;
}

static enum err dial(struct link *link, unsigned *todo)
{
    enter(link, UPLINK_DIALING, link->conf.dialing_ms, todo);
    *todo |= LINK_DIAL;
    return ERR_OK;
}

/* Exponential with full jitter: any time up to the bound is as likely, so
 * children that lost their parent together do not come back together. It grows
 * when all addresses were tried. */
static uint32_t back_off_ms(const struct link *link, uint32_t random)
{
    uint64_t bound = link->conf.backoff_min_ms;
    unsigned round = link->conf.addresses > 0 ? link->conf.addresses : 1;
    for (unsigned i = round;
         i < link->failures && bound < link->conf.backoff_max_ms; i += round) {
        bound *= 2;
    }
    if (bound > link->conf.backoff_max_ms) {
        bound = link->conf.backoff_max_ms;
    }
    return (uint32_t)(((uint64_t)random * bound) >> 32) + 1;
}

enum {
    FAILURES_MAX = 1000, /* more than doubling to any bound takes */
    /* One who stands by is to write within seconds: whoever was sent on by it
     * comes back soon. */
    SENT_ON_MAX = 2,
};

/* At once to the next address, once to each: none of them may write now. */
static bool go_on(struct link *link, const struct link_event *event)
{
    bool other = event->elsewhere && link->sent_on + 1 < link->conf.addresses;
    link->sent_on = other ? link->sent_on + 1 : 0;
    return other;
}

static enum err give_way(struct link *link, const struct link_event *event,
                         unsigned *todo)
{
    if (go_on(link, event)) {
        *todo |= LINK_HANG_UP;
        return dial(link, todo);
    }
    unsigned most = event->elsewhere ? SENT_ON_MAX : FAILURES_MAX;
    link->failures = link->failures < most ? link->failures + 1 : most;
    uint32_t wait_ms = back_off_ms(link, event->random);
    /* The jitter goes on top: a server that asks everyone for the same delay
     * would otherwise be met by everyone at once. */
    enter(link, UPLINK_WAITING, event->retry_after_ms + wait_ms, todo);
    *todo |= LINK_HANG_UP;
    return ERR_OK;
}

static enum err on_idle(struct link *link, const struct link_event *event,
                        unsigned *todo)
{
    return event->type == LINK_START ? dial(link, todo) : ERR_OK;
}

static enum err on_dialing(struct link *link, const struct link_event *event,
                           unsigned *todo)
{
    if (event->type == LINK_CLOSED || event->type == LINK_DEADLINE) {
        return give_way(link, event, todo);
    }
    if (event->type != LINK_OPENED) {
        return ERR_PROTOCOL;
    }
    enter(link, UPLINK_GREETING, link->conf.greeting_ms, todo);
    *todo |= LINK_HELLO;
    return ERR_OK;
}

static enum err on_greeting(struct link *link, const struct link_event *event,
                            unsigned *todo)
{
    if (event->type == LINK_CLOSED || event->type == LINK_DEADLINE) {
        return give_way(link, event, todo);
    }
    if (event->type != LINK_GREETED) {
        return ERR_PROTOCOL;
    }
    link->failures = 0;
    link->sent_on = 0;
    enter(link, UPLINK_STREAMING, 0, todo);
    *todo |= LINK_SERVE;
    return ERR_OK;
}

static enum err on_streaming(struct link *link, const struct link_event *event,
                             unsigned *todo)
{
    if (event->type == LINK_CLOSED || event->type == LINK_DEADLINE) {
        return give_way(link, event, todo);
    }
    if (event->type != LINK_MESSAGE) {
        return ERR_PROTOCOL;
    }
    link->deadline_ms = event->in_flight ? link->conf.silence_ms : 0;
    *todo |= LINK_ARM;
    return ERR_OK;
}

static enum err on_waiting(struct link *link, const struct link_event *event,
                           unsigned *todo)
{
    return event->type == LINK_DEADLINE ? dial(link, todo) : ERR_OK;
}

static link_on_fn *const handlers[UPLINK_STATES] = {
    [UPLINK_IDLE] = on_idle,         [UPLINK_DIALING] = on_dialing,
    [UPLINK_GREETING] = on_greeting, [UPLINK_STREAMING] = on_streaming,
    [UPLINK_WAITING] = on_waiting,
};

void link_init(struct link *link, const struct link_conf *conf)
{
    memset(link, 0, sizeof *link);
    link->conf = *conf;
}

enum err link_step(struct link *link, const struct link_event *event,
                   unsigned *todo)
{
    *todo = 0;
    if (event->type == LINK_STOP) {
        enter(link, UPLINK_IDLE, 0, todo);
        *todo |= LINK_HANG_UP;
        return ERR_OK;
    }
    if (event->type == LINK_RESTART && link->state != UPLINK_IDLE) {
        link->failures = 0;
        *todo |= LINK_HANG_UP;
        return dial(link, todo);
    }
    return handlers[link->state](link, event, todo);
}

void link_owed(struct link *link, bool in_flight, unsigned *todo)
{
    *todo = 0;
    if (link->state == UPLINK_STREAMING && in_flight &&
        link->deadline_ms == 0) {
        link->deadline_ms = link->conf.silence_ms;
        *todo = LINK_ARM;
    }
}
