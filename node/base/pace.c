#include "base/pace.h"

#include <stdarg.h>
#include <stdio.h>

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

void pace_warn(struct pace *pace, const struct log_ctx *ctx, const char *id,
               const char *fmt, ...)
{
    enum { TEXT_MAX = 2048 }; /* as a line has */
    char text[TEXT_MAX];
    unsigned more;
    if (!pace_allows(pace, &more)) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_warn(ctx, id, "%s more=%u", text, more);
}
