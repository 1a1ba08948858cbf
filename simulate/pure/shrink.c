#include <string.h>

#include "base/mem.h"
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

/* Does the same invariant break without these faults? */
static bool still_fails(const struct pure_fed *fed,
                        const struct pure_conf *conf, const bool *left_out,
                        struct pure_result *out)
{
    struct pure_conf without = *conf;
    struct pure_result *r = MEM_NEW(struct pure_result);
    without.left_out = left_out;
    without.trace = NULL;
    pure_run(fed, &without, r);
    bool same = r->invariant != NULL && out->invariant != NULL &&
                strcmp(r->invariant, out->invariant) == 0;
    if (same) {
        *out = *r;
    }
    mem_free(r);
    return same;
}

/* Leaves out `n` faults from `at` on, if it fails all the same. */
static bool try_without(const struct pure_fed *fed,
                        const struct pure_conf *conf, bool *left_out,
                        unsigned at, unsigned n, struct pure_result *out)
{
    bool *trial = mem_dup(left_out, PURE_FAULTS_MAX * sizeof *left_out);
    bool any = false;
    for (unsigned i = at; i < at + n && i < conf->faults; i++) {
        any = any || !trial[i];
        trial[i] = true;
    }
    bool fails = any && still_fails(fed, conf, trial, out);
    if (fails) {
        memcpy(left_out, trial, PURE_FAULTS_MAX * sizeof *left_out);
    }
    mem_free(trial);
    return fails;
}

/* Once over the plan, `n` at a time. True: some were left out. */
static bool pass(const struct pure_fed *fed, const struct pure_conf *conf,
                 bool *left_out, unsigned n, struct pure_result *out)
{
    bool smaller = false;
    for (unsigned at = 0; at < conf->faults; at += n) {
        smaller |= try_without(fed, conf, left_out, at, n, out);
    }
    return smaller;
}

unsigned pure_shrink(const struct pure_fed *fed, const struct pure_conf *conf,
                     bool *left_out, struct pure_result *out)
{
    unsigned remain = 0;
    for (unsigned n = conf->faults; n > 1; n /= 2) {
        (void)pass(fed, conf, left_out, n, out);
    }
    while (pass(fed, conf, left_out, 1, out)) {
    }
    for (unsigned i = 0; i < conf->faults; i++) {
        remain += !left_out[i];
    }
    return remain;
}
