#include <string.h>

#include "base/mem.h"
#include "pure/fewest.h"
#include "pure/impl.h"

const struct pure_plant_info pure_plants[PLANTS] = {
    [PLANT_NONE] = {"none", NULL, NULL, "nothing is planted"},
    [PLANT_ACK_EARLY] = {"ack-early", "durable", NULL,
                         "a parent acknowledges before its disk has synced"},
    [PLANT_SUBMIT_EARLY] = {"submit-early", "acknowledged", NULL,
                            "an office is answered before the disk has synced"},
    [PLANT_SKIP_ROOT] = {"skip-root", "verified", "numbers",
                         "runs that do not lead to the signed root are taken"},
    [PLANT_DROP_BLOCK] = {"drop-block", "converged", NULL,
                          "a sender leaves blocks out and books them as sent"},
    [PLANT_SKIP_ENTRY] = {"skip-entry", "numbers", NULL,
                          "a holder leaves an entry of a run out"},
    [PLANT_ANY_LOG] = {"any-log", "entitled", NULL,
                       "a parent takes logs of nodes that are not below"},
    [PLANT_FORK_BLIND] = {"fork-blind", "fork", NULL,
                          "two signed trees of a log are not marked"},
    [PLANT_TWICE] = {"twice", "once", NULL,
                     "some of what was set aside is appended twice"},
    [PLANT_NO_SUCCESSOR] = {"no-successor", "recovered", NULL,
                            "a node that was put back writes on in its log"},
    [PLANT_NO_WINDOW] = {"no-window", "bounded", NULL,
                         "a sender takes the window for a wider one"},
    [PLANT_DEAF] = {"deaf", "silence", NULL,
                    "a silent parent is waited for for ever"},
    [PLANT_ACKED_UNSEEN] = {"acked-unseen", "lag", NULL,
                            "what was sent counts as acknowledged"},
    [PLANT_ROT] = {"rot", "roots", NULL, "a disk alters an entry now and then"},
    [PLANT_HASTY] = {"hasty", "in-turn", NULL,
                     "a parent says what it has before it has greeted"},
};

struct shrinking {
    const struct pure_fed *fed;
    const struct pure_conf *conf;
    struct pure_result *out;
};

/* Does the same invariant break without these faults? */
static bool still_fails(void *ctx, const bool *left_out)
{
    struct shrinking *s = ctx;
    struct pure_conf without = *s->conf;
    struct pure_result *r = MEM_NEW(struct pure_result);
    without.left_out = left_out;
    without.trace = NULL;
    pure_run(s->fed, &without, r);
    bool same = r->invariant != NULL && s->out->invariant != NULL &&
                strcmp(r->invariant, s->out->invariant) == 0;
    if (same) {
        *s->out = *r;
    }
    mem_free(r);
    return same;
}

unsigned pure_shrink(const struct pure_fed *fed, const struct pure_conf *conf,
                     bool *left_out, struct pure_result *out)
{
    struct shrinking s = {.fed = fed, .conf = conf, .out = out};
    return (unsigned)fewest(left_out, conf->faults, still_fails, &s);
}
