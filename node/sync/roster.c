#include "sync/roster.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "credit/date.h"
#include "credit/listing.h"
#include "credit/registry.h"

struct roster {
    const struct sync_env *env;
    struct strand *strand;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t idle;
    struct roster_node *nodes;
    size_t n;
    uint64_t generation;
    unsigned jobs;
    bool queued;
    bool stopping;
};

/* ---- the judgement ---- */

static bool is_later(const struct store_node *a, const struct store_node *b)
{
    if (log_id_eq(&a->log, &b->log)) {
        return a->number > b->number;
    }
    return a->at_ms != b->at_ms ? a->at_ms > b->at_ms
                                : log_id_cmp(&a->log, &b->log) > 0;
}

static int by_code(const void *a, const void *b)
{
    const struct store_node *x = a;
    const struct store_node *y = b;
    if (x->code != y->code) {
        return x->code < y->code ? -1 : 1;
    }
    return is_later(x, y) ? 1 : is_later(y, x) ? -1 : 0;
}

static bool is_lifted(const struct store_node *revoked,
                      const struct store_node *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (all[i].what == REGISTRY_RESTORED && is_later(&all[i], revoked) &&
            listing_may_end(all[i].log.origin, revoked->log.origin)) {
            return true;
        }
    }
    return false;
}

/* All decisions about one node, the earliest first. */
static struct roster_node judge_one(const struct store_node *all, size_t n)
{
    struct roster_node node = {.code = all[0].code};
    for (size_t i = 0; i < n; i++) {
        if (all[i].what == REGISTRY_PARENT) {
            node.is_moved = true;
            node.moved = all[i];
        } else if (all[i].what == REGISTRY_REVOKED &&
                   !is_lifted(&all[i], all, n)) {
            node.is_revoked = true;
            node.revoked = all[i];
        }
    }
    return node;
}

struct roster_node *roster_judge(const struct store_node *decisions, size_t n,
                                 size_t *out_n)
{
    *out_n = 0;
    if (n == 0) {
        return NULL;
    }
    struct store_node *sorted = mem_dup(decisions, n * sizeof *decisions);
    struct roster_node *nodes = mem_zalloc(n, sizeof *nodes);
    qsort(sorted, n, sizeof *sorted, by_code);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && sorted[end].code == sorted[i].code;) {
            end++;
        }
        nodes[(*out_n)++] = judge_one(sorted + i, end - i);
    }
    mem_free(sorted);
    return nodes;
}

/* ---- as the store has it ---- */

struct gathering {
    struct store_node *all;
    size_t n;
    size_t cap;
};

static bool gather(void *ctx, const struct store_node *node)
{
    struct gathering *g = ctx;
    if (g->n == g->cap) {
        g->cap = g->cap > 0 ? 2 * g->cap : 16;
        g->all = mem_realloc(g->all, g->cap * sizeof *g->all);
    }
    g->all[g->n++] = *node;
    return true;
}

static enum err read_store(struct store *store, struct roster_node **nodes,
                           size_t *n)
{
    struct gathering g = {.n = 0};
    struct lists_view view;
    lists_view_take(store, &view);
    enum err err = store_nodes(store, &view, gather, &g);
    lists_view_fini(&view);
    if (err == ERR_OK) {
        *nodes = roster_judge(g.all, g.n, n);
    }
    mem_free(g.all);
    return err;
}

/* Lock held. */
static bool is_same(const struct roster *r, const struct roster_node *nodes,
                    size_t n)
{
    bool same = r->n == n;
    for (size_t i = 0; same && i < n; i++) {
        const struct roster_node *a = &r->nodes[i];
        const struct roster_node *b = &nodes[i];
        same = a->code == b->code && a->is_revoked == b->is_revoked &&
               a->is_moved == b->is_moved &&
               a->revoked.number == b->revoked.number &&
               log_id_eq(&a->revoked.log, &b->revoked.log) &&
               a->moved.number == b->moved.number &&
               log_id_eq(&a->moved.log, &b->moved.log);
    }
    return same;
}

/* True if something changed. What cannot be read leaves all as it is. */
static bool refresh(struct roster *r)
{
    struct roster_node *nodes = NULL;
    size_t n = 0;
    enum err err = read_store(r->env->store, &nodes, &n);
    if (err != ERR_OK) {
        log_error(r->env->log, "ROSTER-READ",
                  "err=%s effect=\"decisions about nodes stay as they were\"",
                  err_name(err));
        return false;
    }
    (void)pthread_mutex_lock(&r->lock);
    bool changed = !is_same(r, nodes, n);
    if (changed) {
        struct roster_node *old = r->nodes;
        r->nodes = nodes;
        r->n = n;
        r->generation++;
        nodes = old;
    }
    (void)pthread_mutex_unlock(&r->lock);
    mem_free(nodes);
    return changed;
}

static void job(void *ctx)
{
    struct roster *r = ctx;
    (void)pthread_mutex_lock(&r->lock);
    r->queued = false;
    (void)pthread_mutex_unlock(&r->lock);
    if (refresh(r)) {
        log_info(r->env->log, "ROSTER-CHANGED", "nodes=%zu", r->n);
        r->env->roster_changed(r->env->ctx);
    }
    (void)pthread_mutex_lock(&r->lock);
    r->jobs--;
    (void)pthread_cond_broadcast(&r->idle);
    (void)pthread_mutex_unlock(&r->lock);
}

/* store_watch() calls it: writer thread. */
static void on_commit(void *ctx, const struct log_id *logs, size_t n)
{
    struct roster *r = ctx;
    bool directives = false;
    for (size_t i = 0; i < n && !directives; i++) {
        directives = logs[i].kind == LOG_DIRECTIVES;
    }
    (void)pthread_mutex_lock(&r->lock);
    bool go = directives && !r->queued && !r->stopping;
    r->queued = r->queued || go;
    r->jobs += go;
    (void)pthread_mutex_unlock(&r->lock);
    if (go) {
        strand_run(r->strand, job, r);
    }
}

/* ---- public ---- */

struct roster *roster_new(const struct sync_env *env)
{
    struct roster *r = MEM_NEW(struct roster);
    r->env = env;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->idle, NULL);
    r->strand = strand_new(rpc_pool(env->rpc));
    store_watch(env->store, on_commit, r);
    (void)refresh(r);
    return r;
}

void roster_stop(struct roster *r)
{
    if (r == NULL) {
        return;
    }
    store_unwatch(r->env->store, on_commit, r);
    (void)pthread_mutex_lock(&r->lock);
    r->stopping = true;
    while (r->jobs > 0) {
        (void)pthread_cond_wait(&r->idle, &r->lock);
    }
    (void)pthread_mutex_unlock(&r->lock);
}

void roster_free(struct roster **roster)
{
    struct roster *r = *roster;
    *roster = NULL;
    if (r == NULL) {
        return;
    }
    strand_free(r->strand);
    mem_free(r->nodes);
    (void)pthread_cond_destroy(&r->idle);
    (void)pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

/* Lock held. */
static const struct roster_node *find(const struct roster *r, uint64_t code)
{
    size_t lo = 0;
    size_t hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->nodes[mid].code < code) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < r->n && r->nodes[lo].code == code ? &r->nodes[lo] : NULL;
}

uint64_t roster_generation(struct roster *roster)
{
    if (roster == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&roster->lock);
    uint64_t generation = roster->generation;
    (void)pthread_mutex_unlock(&roster->lock);
    return generation;
}

enum err roster_check(struct roster *roster, uint64_t code, struct errmsg *why)
{
    enum err err = ERR_OK;
    if (roster == NULL) {
        return ERR_OK;
    }
    (void)pthread_mutex_lock(&roster->lock);
    const struct roster_node *node = find(roster, code);
    if (node != NULL && node->is_revoked) {
        const struct store_node *d = &node->revoked;
        char log[LOG_ID_TEXT_MAX];
        char day[11];
        log_id_format(&d->log, log);
        date_format(d->decided, day);
        err = err_set(why, ERR_DENIED,
                      "node %012" PRIu64 " was revoked by %012" PRIu64
                      " on %s, directive %" PRIu64 " of %s",
                      code, d->log.origin, day, d->number, log);
    }
    (void)pthread_mutex_unlock(&roster->lock);
    return err;
}

bool roster_parent(struct roster *roster, uint64_t code, uint64_t *parent)
{
    if (roster == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&roster->lock);
    const struct roster_node *node = find(roster, code);
    bool moved = node != NULL && node->is_moved;
    *parent = moved ? node->moved.parent : 0;
    (void)pthread_mutex_unlock(&roster->lock);
    return moved;
}

void roster_each(struct roster *roster, roster_fn *fn, void *ctx)
{
    bool more = true;
    (void)pthread_mutex_lock(&roster->lock);
    for (size_t i = 0; more && i < roster->n; i++) {
        const struct roster_node *node = &roster->nodes[i];
        if (node->is_moved) {
            more = fn(ctx, &node->moved);
        }
        if (more && node->is_revoked) {
            more = fn(ctx, &node->revoked);
        }
    }
    (void)pthread_mutex_unlock(&roster->lock);
}
