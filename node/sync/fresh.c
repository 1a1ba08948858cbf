#include "sync/fresh.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"

enum { PERIODS = 3 }; /* without news: stale */

struct heard {
    struct heard *next;
    struct checkpoint head;
    struct buf note;
    struct buf chain;
    int64_t came_ms;   /* monotonic */
    int64_t steady_ms; /* monotonic: since then they came on cadence */
};

struct fresh {
    pthread_mutex_t lock;
    struct heard *first; /* few: one an authority above */
    uint64_t self;       /* code of this node */
    uint32_t period_ms;
    uint64_t news; /* heads that were newer than any before */
};

const char *fresh_state_name(enum fresh_state state)
{
    static const char *const names[] = {"fresh", "stale", "clock"};
    return names[state];
}

struct fresh *fresh_new(uint64_t self, uint32_t period_ms)
{
    struct fresh *fresh = MEM_NEW(struct fresh);
    (void)pthread_mutex_init(&fresh->lock, NULL);
    fresh->self = self;
    fresh->period_ms = period_ms;
    return fresh;
}

void fresh_free(struct fresh **fresh)
{
    struct fresh *f = *fresh;
    *fresh = NULL;
    if (f == NULL) {
        return;
    }
    struct heard *next;
    for (struct heard *h = f->first; h != NULL; h = next) {
        next = h->next;
        buf_fini(&h->note);
        buf_fini(&h->chain);
        mem_free(h);
    }
    (void)pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

/* Lock held. */
static struct heard *find(struct fresh *f, const struct log_id *log)
{
    struct heard *h = f->first;
    while (h != NULL && !log_id_eq(&h->head.log, log)) {
        h = h->next;
    }
    return h;
}

static void replace(struct buf *buf, struct slice bytes)
{
    buf_clear(buf);
    buf_put_slice(buf, bytes);
}

static int64_t limit_ms(const struct fresh *fresh)
{
    return (int64_t)fresh->period_ms * PERIODS;
}

/* A clock that ran ahead is put back some day, and what was signed by it stays
 * in the future: the head of now is the later one then. Only one of now: an old
 * one, from a file or a parent that plays it again, does not take the place of
 * heads that keep coming while this node's own clock is behind. */
bool fresh_is_later(const struct fresh *fresh, int64_t a_ms, int64_t b_ms)
{
    int64_t now_ms = clock_wall_ms();
    int64_t limit = limit_ms(fresh);
    bool a_is_to_come = a_ms > now_ms + limit;
    bool b_is_to_come = b_ms > now_ms + limit;
    if (a_is_to_come == b_is_to_come) {
        return a_ms > b_ms;
    }
    int64_t past_ms = a_is_to_come ? b_ms : a_ms;
    bool of_now = past_ms >= now_ms - limit;
    return of_now ? b_is_to_come : a_is_to_come;
}

/* Lock held. A parent that was fed from a file gives what it has at once, and
 * then nothing: that says nothing about a clock. */
static void note_arrival(const struct fresh *fresh, struct heard *h,
                         const struct checkpoint *head, int64_t came_ms)
{
    bool on_cadence = h->head.at_ms != 0 &&
                      came_ms - h->came_ms <= limit_ms(fresh) &&
                      head->at_ms - h->head.at_ms <= limit_ms(fresh);
    /* One by file may be older than how long the line is silent. */
    h->came_ms =
        came_ms > h->came_ms || h->head.at_ms == 0 ? came_ms : h->came_ms;
    h->steady_ms = on_cadence ? h->steady_ms : h->came_ms;
}

bool fresh_came(struct fresh *fresh, const struct checkpoint *head,
                int64_t age_ms, struct slice note, struct slice chain)
{
    (void)pthread_mutex_lock(&fresh->lock);
    struct heard *h = find(fresh, &head->log);
    bool newer = h == NULL || fresh_is_later(fresh, head->at_ms, h->head.at_ms);
    if (h == NULL) {
        h = MEM_NEW(struct heard);
        h->next = fresh->first;
        fresh->first = h;
    }
    if (newer) {
        fresh->news++;
        note_arrival(fresh, h, head, clock_mono_ms() - age_ms);
        h->head = *head;
        replace(&h->note, note);
        replace(&h->chain, chain);
    }
    (void)pthread_mutex_unlock(&fresh->lock);
    return newer;
}

bool fresh_newer(struct fresh *fresh, const struct log_id *log,
                 int64_t after_ms, struct checkpoint *head, struct buf *note,
                 struct buf *chain)
{
    (void)pthread_mutex_lock(&fresh->lock);
    const struct heard *h = find(fresh, log);
    bool newer = h != NULL && fresh_is_later(fresh, h->head.at_ms, after_ms);
    if (newer) {
        *head = h->head;
        buf_put_slice(note, buf_slice(&h->note));
        buf_put_slice(chain, buf_slice(&h->chain));
    }
    (void)pthread_mutex_unlock(&fresh->lock);
    return newer;
}

uint64_t fresh_recent(struct fresh *fresh,
                      struct lease_head heads[LEASE_HEADS_MAX], size_t *n)
{
    int64_t after_ms = clock_mono_ms() - limit_ms(fresh);
    *n = 0;
    (void)pthread_mutex_lock(&fresh->lock);
    for (const struct heard *h = fresh->first;
         h != NULL && *n < LEASE_HEADS_MAX; h = h->next) {
        if (h->came_ms > after_ms && h->head.log.origin != fresh->self) {
            heads[(*n)++] = (struct lease_head){.log = h->head.log,
                                                .size = h->head.size,
                                                .signed_ms = h->head.at_ms,
                                                .came_ms = h->came_ms};
        }
    }
    uint64_t news = fresh->news;
    (void)pthread_mutex_unlock(&fresh->lock);
    return news;
}

void fresh_judge(struct fresh *fresh, const struct log_id *log, bool ended,
                 struct freshness *out)
{
    bool always = ended || log->origin == fresh->self;
    bool steady = false;
    int64_t limit = limit_ms(fresh);
    int64_t now_ms = clock_mono_ms();
    *out = (struct freshness){.state = always ? FRESH_YES : FRESH_STALE};
    (void)pthread_mutex_lock(&fresh->lock);
    const struct heard *h = find(fresh, log);
    if (h != NULL) {
        out->signed_ms = h->head.at_ms;
        out->age_ms = now_ms - h->came_ms;
        steady = h->came_ms - h->steady_ms >= fresh->period_ms;
    }
    (void)pthread_mutex_unlock(&fresh->lock);
    if (always || out->signed_ms == 0 || out->age_ms > limit) {
        return;
    }
    int64_t off = clock_wall_ms() - out->signed_ms;
    bool apart = off > limit || off < -limit;
    out->state = !apart ? FRESH_YES : steady ? FRESH_CLOCK : FRESH_STALE;
}
