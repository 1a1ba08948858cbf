/* Freshness between the processes of one node: the one that writes hears signed
 * heads and tells the others, beside the lease, when they came. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/ticker.h"
#include "sync/fresh.h"

enum { LOOK_MS = 200 };

struct fresh_share {
    const struct sync_env *env;
    struct lease *lease;
    struct ticker *ticker;
    bool writes;
    uint32_t period_ms;
    uint64_t told; /* fresh_recent() when that was told */
    int64_t told_ms;
};

/* No more often than heads are renewed. */
static void tell(struct fresh_share *share)
{
    struct lease_head heads[LEASE_HEADS_MAX];
    size_t n;
    int64_t now_ms = clock_mono_ms();
    uint64_t news = fresh_recent(share->env->fresh, heads, &n);
    if (news == share->told || now_ms - share->told_ms < share->period_ms) {
        return;
    }
    lease_tell(share->lease, heads, n);
    share->told = news;
    share->told_ms = now_ms;
}

/* A head says how new what it covers is: that must be here, too. Until then it
 * is looked at again. */
static void learn(struct fresh_share *share)
{
    const struct sync_env *env = share->env;
    const struct slice none = slice_of(NULL, 0);
    struct lease_head heads[LEASE_HEADS_MAX];
    size_t n = lease_heard(share->lease, heads);
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < n; i++) {
        struct store_head held;
        const struct checkpoint head = {.log = heads[i].log,
                                        .size = heads[i].size,
                                        .at_ms = heads[i].signed_ms};
        if (store_head(env->store, &head.log, &held) == ERR_OK &&
            held.frontier.size >= head.size) {
            (void)fresh_came(env->fresh, &head, now_ms - heads[i].came_ms, none,
                             none);
        }
    }
}

static void on_tick(void *ctx)
{
    struct fresh_share *share = ctx;
    (share->writes ? tell : learn)(share);
    ticker_at(share->ticker, clock_mono_ms() + LOOK_MS);
}

struct fresh_share *fresh_share_start(const struct sync_env *env,
                                      struct lease *lease, bool writes,
                                      uint32_t period_ms)
{
    struct fresh_share *share = MEM_NEW(struct fresh_share);
    *share = (struct fresh_share){.env = env,
                                  .lease = lease,
                                  .writes = writes,
                                  .period_ms = period_ms,
                                  .told_ms = INT64_MIN / 2};
    share->ticker = ticker_new(env->loop, on_tick, share);
    ticker_at(share->ticker, clock_mono_ms());
    return share;
}

void fresh_share_stop(struct fresh_share **share)
{
    struct fresh_share *s = *share;
    *share = NULL;
    if (s != NULL) {
        ticker_free(&s->ticker);
        mem_free(s);
    }
}
