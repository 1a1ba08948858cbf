#include "sync/again.h"

#include "base/clock.h"

enum { WAIT_MIN_MS = 5000, WAIT_MAX_MS = 600000 };

int64_t again_at(struct again *again)
{
    int64_t now = clock_mono_ms();
    uint32_t ms = atomic_load(&again->wait_ms);
    /* What comes so long after the last try is another matter. */
    if (ms == 0 || now - atomic_load(&again->tried_ms) > ms) {
        ms = WAIT_MIN_MS;
        atomic_store(&again->wait_ms, ms);
    }
    return now + ms;
}

void again_tried(struct again *again)
{
    uint32_t ms = atomic_load(&again->wait_ms);
    atomic_store(&again->wait_ms, 2 * ms < WAIT_MAX_MS ? 2 * ms : WAIT_MAX_MS);
    atomic_store(&again->tried_ms, clock_mono_ms());
}
