#include "pure/fewest.h"

#include <string.h>

#include "base/mem.h"

struct search {
    bool *left_out;
    size_t n;
    fewest_fn *happens;
    void *ctx;
};

/* Leaves out `n` from `at` on, if it happens all the same. */
static bool try_without(struct search *s, size_t at, size_t n)
{
    bool *trial = mem_dup(s->left_out, s->n * sizeof *trial);
    bool any = false;
    for (size_t i = at; i < at + n && i < s->n; i++) {
        any = any || !trial[i];
        trial[i] = true;
    }
    bool spared = any && s->happens(s->ctx, trial);
    if (spared) {
        memcpy(s->left_out, trial, s->n * sizeof *trial);
    }
    mem_free(trial);
    return spared;
}

/* Once over all, `n` at a time. True: some were left out. */
static bool pass(struct search *s, size_t n)
{
    bool fewer = false;
    for (size_t at = 0; at < s->n; at += n) {
        fewer |= try_without(s, at, n);
    }
    return fewer;
}

size_t fewest(bool *left_out, size_t n, fewest_fn *happens, void *ctx)
{
    struct search s = {
        .left_out = left_out, .n = n, .happens = happens, .ctx = ctx};
    size_t remain = 0;
    for (size_t step = n; step > 1; step /= 2) {
        (void)pass(&s, step);
    }
    while (pass(&s, 1)) {
    }
    for (size_t i = 0; i < n; i++) {
        remain += !left_out[i];
    }
    return remain;
}
