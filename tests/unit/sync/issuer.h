/* issuer.h - a node of the fixture that issues directives; the includer names
 * who may (FED_ISSUERS). */
#ifndef TESTS_SYNC_ISSUER_H
#define TESTS_SYNC_ISSUER_H

#include "fixture.h"

#include "support/decisions.h"

struct published {
    struct waiter w;
    struct log_id log;
    uint64_t last;
};

static inline void on_published(void *ctx, enum err err, const char *why,
                                const struct log_id *log, uint64_t first,
                                uint64_t last)
{
    struct published *p = ctx;
    (void)why;
    (void)first;
    p->log = *log;
    p->last = last;
    waiter_done(&p->w, err);
}

/* Text that does not pack. */
static inline void fill(char *text, size_t len, uint32_t seed)
{
    for (size_t i = 0; i + 1 < len; i++) {
        seed = seed * 1664525 + 1013904223;
        text[i] = (char)('A' + (seed >> 26) % 58);
    }
    text[len - 1] = 0;
}

/* Publishes `n` listings by one decider; returns the log. */
static inline struct log_id decide(struct node *issuer, size_t n, uint32_t seed)
{
    char path[128];
    char(*reasons)[400] = mem_zalloc(n, sizeof *reasons);
    struct decision *all = mem_zalloc(n, sizeof *all);
    (void)snprintf(path, sizeof path, "%s/fed/deciders/%012llu-1.key", fed_dir,
                   (unsigned long long)issuer->code);
    for (size_t i = 0; i < n; i++) {
        fill(reasons[i], sizeof reasons[i], seed + (uint32_t)i);
        all[i] = (struct decision){
            .subject = SUBJECT_A, .from = 20260301, .reason = reasons[i]};
    }
    const char *keys[] = {path};
    const struct making m = {.federation = FEDERATION,
                             .issuer = issuer->code,
                             .keys = keys,
                             .keys_n = 1};
    struct package *package = package_of(&m, all, n);
    struct published p = {.last = 0};
    waiter_init(&p.w);
    assert_ok(store_publish(issuer->store, package, on_published, &p));
    assert_ok(waiter_end(&p.w));
    package_free(&package);
    mem_free(all);
    mem_free(reasons);
    return p.log;
}

#endif
