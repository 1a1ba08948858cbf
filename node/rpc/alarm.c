#include "rpc/alarm.h"

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/rpc_private.h"

/* idle --at--> set --due--> running --> idle, or set if `fn` set it again */
struct rpc_alarm {
    struct rpc_alarm *next; /* all of the rpc; few: two a neighbour */
    struct alarms *alarms;
    void (*fn)(void *ctx);
    void *ctx;
    int64_t at_ms; /* 0: not set */
};

void alarms_init(struct alarms *alarms)
{
    (void)pthread_mutex_init(&alarms->lock, NULL);
    (void)pthread_cond_init(&alarms->idle, NULL);
    atomic_store(&alarms->first_ms, INT64_MAX);
}

void alarms_fini(struct alarms *alarms)
{
    (void)pthread_cond_destroy(&alarms->idle);
    (void)pthread_mutex_destroy(&alarms->lock);
}

/* Lock held. */
static void find_first(struct alarms *alarms)
{
    int64_t first_ms = INT64_MAX;
    for (const struct rpc_alarm *a = alarms->list; a != NULL; a = a->next) {
        first_ms = a->at_ms != 0 && a->at_ms < first_ms ? a->at_ms : first_ms;
    }
    atomic_store(&alarms->first_ms, first_ms);
}

struct rpc_alarm *rpc_alarm_new(struct rpc *rpc, void (*fn)(void *ctx),
                                void *ctx)
{
    struct rpc_alarm *a = MEM_NEW(struct rpc_alarm);
    a->alarms = &rpc->alarms;
    a->fn = fn;
    a->ctx = ctx;
    (void)pthread_mutex_lock(&a->alarms->lock);
    a->next = a->alarms->list;
    a->alarms->list = a;
    (void)pthread_mutex_unlock(&a->alarms->lock);
    return a;
}

void rpc_alarm_at(struct rpc_alarm *alarm, int64_t at_ms)
{
    struct alarms *alarms = alarm->alarms;
    (void)pthread_mutex_lock(&alarms->lock);
    if (alarm->at_ms == 0 || at_ms < alarm->at_ms) {
        alarm->at_ms = at_ms;
        if (at_ms < atomic_load(&alarms->first_ms)) {
            atomic_store(&alarms->first_ms, at_ms);
        }
    }
    (void)pthread_mutex_unlock(&alarms->lock);
}

void rpc_alarm_free(struct rpc_alarm **alarm)
{
    struct rpc_alarm *a = *alarm;
    *alarm = NULL;
    if (a == NULL) {
        return;
    }
    struct alarms *alarms = a->alarms;
    (void)pthread_mutex_lock(&alarms->lock);
    while (alarms->running == a) {
        (void)pthread_cond_wait(&alarms->idle, &alarms->lock);
    }
    struct rpc_alarm **at = &alarms->list;
    while (*at != a) {
        at = &(*at)->next;
    }
    *at = a->next;
    find_first(alarms);
    (void)pthread_mutex_unlock(&alarms->lock);
    mem_free(a);
}

/* ---- the poller's side ---- */

uint32_t alarms_wait_ms(struct alarms *alarms, int64_t now_ms, uint32_t most)
{
    int64_t left = atomic_load(&alarms->first_ms) - now_ms;
    return left < 1 ? 1 : left < most ? (uint32_t)left : most;
}

/* Lock held. */
static struct rpc_alarm *find_due(const struct alarms *alarms, int64_t now_ms)
{
    struct rpc_alarm *a = alarms->list;
    while (a != NULL && (a->at_ms == 0 || a->at_ms > now_ms)) {
        a = a->next;
    }
    return a;
}

void alarms_run(struct alarms *alarms, int64_t now_ms)
{
    if (now_ms < atomic_load(&alarms->first_ms)) {
        return;
    }
    struct rpc_alarm *a;
    (void)pthread_mutex_lock(&alarms->lock);
    while ((a = find_due(alarms, now_ms)) != NULL) {
        a->at_ms = 0;
        alarms->running = a;
        (void)pthread_mutex_unlock(&alarms->lock);
        a->fn(a->ctx);
        (void)pthread_mutex_lock(&alarms->lock);
        alarms->running = NULL;
        (void)pthread_cond_broadcast(&alarms->idle);
    }
    find_first(alarms);
    (void)pthread_mutex_unlock(&alarms->lock);
}
