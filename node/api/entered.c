#include "api/entered.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/ticker.h"

enum {
    SUMS_MAX = 32, /* apps, by method; with as many a line comes early */
    TOLD_MS = 1000,
    KEY_SHOWN = 8, /* bytes of the key's hash */
};

struct sum {
    struct principal peer;
    const char *method;
    uint64_t calls;
    struct import_counts counts;
};

struct entered {
    const struct log_ctx *log;
    struct ticker *ticker;
    pthread_mutex_t lock; /* what follows */
    struct sum sums[SUMS_MAX];
    size_t n;
};

static void tell(const struct entered *e, const struct sum *s)
{
    char name[160];
    char key[2 * KEY_SHOWN + 1];
    const uint64_t *outcome = s->counts.outcome;
    principal_format(&s->peer, name, sizeof name);
    str_hex(s->peer.key_id, KEY_SHOWN, key);
    log_info(e->log, "ENTERED",
             "peer=%s key=%s method=%s calls=%llu rows=%llu new=%llu "
             "changed=%llu refused=%llu",
             name, key, s->method, (unsigned long long)s->calls,
             (unsigned long long)s->counts.rows,
             (unsigned long long)outcome[ROW_NEW],
             (unsigned long long)outcome[ROW_CHANGED],
             (unsigned long long)outcome[ROW_REFUSED]);
}

/* Calls are answered on the poller, so no lock is held while lines go out. */
struct told {
    struct sum *sums;
    size_t n;
};

/* Under the lock. */
static struct told take_all(struct entered *e)
{
    struct told told = {.n = e->n};
    if (e->n > 0) {
        told.sums = mem_dup(e->sums, e->n * sizeof *told.sums);
        e->n = 0;
    }
    return told;
}

static void tell_all(const struct entered *e, struct told *told)
{
    for (size_t i = 0; i < told->n; i++) {
        tell(e, &told->sums[i]);
    }
    mem_free(told->sums);
}

static void on_tick(void *ctx)
{
    struct entered *e = ctx;
    (void)pthread_mutex_lock(&e->lock);
    struct told told = take_all(e);
    (void)pthread_mutex_unlock(&e->lock);
    tell_all(e, &told);
}

struct entered *entered_new(struct loop *loop, const struct log_ctx *log)
{
    struct entered *e = MEM_NEW(struct entered);
    e->log = log;
    (void)pthread_mutex_init(&e->lock, NULL);
    e->ticker = ticker_new(loop, on_tick, e);
    return e;
}

void entered_free(struct entered **entered)
{
    struct entered *e = *entered;
    *entered = NULL;
    if (e != NULL) {
        ticker_free(&e->ticker);
        struct told told = take_all(e);
        tell_all(e, &told);
        (void)pthread_mutex_destroy(&e->lock);
        mem_free(e);
    }
}

/* Under the lock. NULL: there is none. */
static struct sum *find_sum(struct entered *e, const struct principal *peer,
                            const char *method)
{
    for (size_t i = 0; i < e->n; i++) {
        struct sum *s = &e->sums[i];
        if (memcmp(s->peer.fingerprint, peer->fingerprint,
                   sizeof peer->fingerprint) == 0 &&
            strcmp(s->method, method) == 0) {
            return s;
        }
    }
    return NULL;
}

/* Under the lock. There is room. */
static struct sum *add_sum(struct entered *e, const struct principal *peer,
                           const char *method)
{
    if (e->n == 0) {
        ticker_at(e->ticker, clock_mono_ms() + TOLD_MS);
    }
    struct sum *s = &e->sums[e->n++];
    *s = (struct sum){.peer = *peer, .method = method};
    return s;
}

void entered_add(struct entered *entered, const struct principal *peer,
                 const char *method, const struct import_counts *counts)
{
    if (entered == NULL) {
        return;
    }
    struct told told = {.n = 0};
    (void)pthread_mutex_lock(&entered->lock);
    struct sum *s = find_sum(entered, peer, method);
    if (s == NULL) {
        told = entered->n == SUMS_MAX ? take_all(entered) : told;
        s = add_sum(entered, peer, method);
    }
    s->calls++;
    s->counts.rows += counts->rows;
    for (size_t i = 0; i < ROW_OUTCOMES; i++) {
        s->counts.outcome[i] += counts->outcome[i];
    }
    (void)pthread_mutex_unlock(&entered->lock);
    tell_all(entered, &told);
}
