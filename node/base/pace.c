#include "base/pace.h"

#include "base/clock.h"

bool pace_allows(struct pace *pace, unsigned *held)
{
    long long now = clock_mono_ms();
    long long next = atomic_load(&pace->next_ms);
    long long from;
    do {
        from = next > now ? next : now;
        if (from - now > (PACE_BURST - 1) * (long long)PACE_EVERY_MS) {
            atomic_fetch_add(&pace->held, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&pace->next_ms, &next,
                                           from + PACE_EVERY_MS));
    *held = atomic_exchange(&pace->held, 0);
    return true;
}
