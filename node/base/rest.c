#include "base/rest.h"

void rest_begin(struct rest *rest, const struct rest_look *now)
{
    *rest = (struct rest){
        .last = *now, .left = now->resident, .next_ms = now->at_ms};
}

static bool grew(const struct rest *rest, size_t resident)
{
    size_t part = rest->left / REST_STEP_PART;
    return resident > rest->left + (part > REST_STEP ? part : REST_STEP);
}

static void give(struct rest *rest, int64_t now_ms)
{
    int64_t wait_ms = rest->wait_ms > 0 ? rest->wait_ms : REST_LOOK_MS;
    wait_ms = 2 * wait_ms < REST_AGAIN_MS ? 2 * wait_ms : REST_AGAIN_MS;
    rest->gave = true;
    rest->wait_ms = wait_ms;
    rest->next_ms = now_ms + wait_ms;
}

bool rest_look(struct rest *rest, const struct rest_look *now)
{
    int64_t worked_ms = now->cpu_ms - rest->last.cpu_ms;
    bool idle = worked_ms * REST_IDLE_PART <= now->at_ms - rest->last.at_ms;
    if (rest->gave) {
        rest->left = now->resident;
    }
    rest->last = *now;
    rest->gave = false;
    bool more = grew(rest, now->resident);
    if (!idle || more) {
        rest->wait_ms = 0;
        rest->next_ms = now->at_ms;
    }
    if (idle && now->at_ms >= rest->next_ms) {
        give(rest, now->at_ms);
    }
    return rest->gave;
}
