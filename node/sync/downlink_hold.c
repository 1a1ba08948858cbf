/* What tiers above hold of the logs below is heard, and had again, before a
 * child is told what there is. A relay passes on what it verified and may then
 * fail to commit it (no space, a kill). A child that was put back and compares
 * itself with such a relay would find nothing missing, and go on in a log that
 * is longer further up: a log of two trees. */
#include <stdio.h>

#include "base/clock.h"
#include "sync/downlink_impl.h"

enum {
    LOOK_MS = 50,
    ASK_MS = 1000, /* between two questions for what one stream waits for */
    ASKED_MAX = 256,
    HOUR_MS = 3600000,
};

/* What is apart by more was no waiting. */
static const int64_t apart_ms[] = {[WAIT_HEAR] = 1000, [WAIT_MORE] = 60000};

bool downlink_put_off(struct downlink *down, const struct principal *peer,
                      enum wait_kind kind, int64_t at_most_ms)
{
    int64_t now_ms = clock_mono_ms();
    (void)pthread_mutex_lock(&down->lock);
    struct waited *w = &downlink_child(down, peer)->waited[kind];
    if (w->since_ms == 0 || now_ms - w->since_ms > HOUR_MS) {
        *w = (struct waited){.since_ms = now_ms, .last_ms = now_ms};
    }
    int64_t for_ms = now_ms - w->last_ms;
    w->spent_ms += for_ms < apart_ms[kind] ? for_ms : 0;
    w->last_ms = now_ms;
    bool may = w->spent_ms < at_most_ms;
    (void)pthread_mutex_unlock(&down->lock);
    return may;
}

uint64_t downlink_more_above(struct store *store, const struct store_head *head)
{
    struct store_above above[ABOVE_MAX];
    uint64_t size = head->frontier.size;
    if (head->state != LOG_ACTIVE || (head->end != 0 && size >= head->end)) {
        return 0;
    }
    size_t n = store_above(store, &head->log, above);
    for (size_t i = 0; i < n; i++) {
        if (above[i].size > size) {
            return above[i].code;
        }
    }
    return 0;
}

/* ---- before the pages of a stream ---- */

struct behind {
    struct inflow *in;
    uint64_t who; /* a tier above that holds more of a log; 0: none does */
    unsigned ask; /* for so many logs */
};

static bool look_at(void *ctx, const struct store_head *head)
{
    struct behind *b = ctx;
    const struct sync_env *env = b->in->down->env;
    if (head->log.kind != LOG_RECORDS ||
        !downlink_serves(b->in->down, &b->in->peer, &head->log)) {
        return true;
    }
    uint64_t who = downlink_more_above(env->store, head);
    b->who = b->who == 0 ? who : b->who;
    if (who != 0 && b->ask > 0) {
        env->more_above(env->ctx, &head->log);
        b->ask--;
    }
    return b->who == 0 || b->ask > 0;
}

static uint64_t find_behind(struct inflow *in, int64_t now_ms)
{
    const struct sync_env *env = in->down->env;
    bool ask = in->asked_ms == 0 || now_ms - in->asked_ms >= ASK_MS;
    struct behind b = {.in = in, .ask = ask ? ASKED_MAX : 0};
    if (env->more_above == NULL) {
        return 0;
    }
    store_logs(env->store, look_at, &b);
    in->asked_ms = ask && b.who != 0 ? now_ms : in->asked_ms;
    return b.who;
}

static void hold(struct inflow *in, int64_t now_ms)
{
    struct downlink *down = in->down;
    in->held_ms = in->held_ms == 0 ? now_ms : in->held_ms;
    (void)pthread_mutex_lock(&down->lock);
    in->holds = true;
    (void)pthread_mutex_unlock(&down->lock);
    ticker_at(down->hold, now_ms + LOOK_MS);
}

static void send_away(struct inflow *in, uint64_t who)
{
    char text[WIRE_TEXT_MAX];
    (void)snprintf(text, sizeof text,
                   "%012llu holds more of a log, which has to come back here "
                   "first; retry after %u ms",
                   (unsigned long long)who, (unsigned)ASK_MS);
    rpc_stream_finish(in->stream, ERR_UNAVAILABLE, text);
}

bool inflow_must_wait(struct inflow *in)
{
    struct downlink *down = in->down;
    const struct sync_env *env = down->env;
    int64_t now_ms = clock_mono_ms();
    bool told = env->told_above == NULL || env->told_above(env->ctx);
    uint64_t who = told ? find_behind(in, now_ms) : 0;
    enum wait_kind kind = told ? WAIT_MORE : WAIT_HEAR;
    if ((told && who == 0) ||
        !downlink_put_off(down, &in->peer, kind, down->hold_for_ms[kind])) {
        return false;
    }
    if (who != 0 && in->held_ms == 0) {
        log_info(env->log, "SYNC-HELD", "child=%012llu above=%012llu",
                 (unsigned long long)in->peer.code, (unsigned long long)who);
    }
    if (who != 0 && in->held_ms != 0 &&
        now_ms - in->held_ms > down->hold_stream_ms) {
        send_away(in, who);
    } else {
        hold(in, now_ms);
    }
    return true;
}

bool inflow_waited(struct inflow *in)
{
    struct downlink *down = in->down;
    (void)pthread_mutex_lock(&down->lock);
    bool held = in->holds;
    in->holds = false;
    (void)pthread_mutex_unlock(&down->lock);
    return held;
}
