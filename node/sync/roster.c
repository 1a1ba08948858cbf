#include "sync/roster.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/ticker.h"
#include "credit/date.h"
#include "credit/listing.h"
#include "credit/registry.h"

enum {
    RETRY_MS = 1000,
    AGAIN_MS = 2000,
    REASON_SHOWN = 96, /* bytes: a status keeps 256 of the whole text */
};

struct roster {
    const struct sync_env *env;
    struct strand *strand;
    struct ticker *ticker;
    int64_t look_again_ms;    /* strand; monotonic clock, 0: not due */
    _Atomic uint64_t changes; /* store_nodes_changes() that was looked at */
    pthread_mutex_t lock;     /* all below */
    pthread_cond_t idle;
    struct roster_node *nodes;
    size_t n;
    uint64_t generation;
    uint64_t refused; /* calls, since start */
    bool known;       /* the store was read once */
    unsigned jobs;
    bool queued;
    bool stopping;
};

/* ---- the judgement ---- */

/* Two sequences a node and log: revoked and restored, and parents. */
static int by_sequence(const struct store_node *a, const struct store_node *b)
{
    bool a_moves = a->what == REGISTRY_PARENT;
    bool b_moves = b->what == REGISTRY_PARENT;
    if (a->code != b->code) {
        return a->code < b->code ? -1 : 1;
    }
    return a_moves != b_moves ? a_moves - b_moves
                              : log_id_cmp(&a->log, &b->log);
}

static int by_number(const void *a, const void *b)
{
    const struct store_node *x = a;
    const struct store_node *y = b;
    int order = by_sequence(x, y);
    return order != 0 || x->number == y->number ? order
           : x->number < y->number              ? -1
                                                : 1;
}

/* Of each sequence the newest decision counts alone. It is as late as the
 * latest of those before it, so that the order between logs never contradicts
 * that of the numbers, whatever the issuer's clock did. Returns how many stay.
 */
static size_t reduce(struct store_node *all, size_t n)
{
    size_t kept = 0;
    if (n == 0) {
        return 0;
    }
    qsort(all, n, sizeof *all, by_number);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && by_sequence(&all[kept - 1], &all[i]) == 0) {
            int64_t before_ms = all[--kept].at_ms;
            all[i].at_ms = all[i].at_ms > before_ms ? all[i].at_ms : before_ms;
        }
        all[kept++] = all[i];
    }
    return kept;
}

/* Of different logs. At the same time the higher authority speaks last. */
static bool is_later(const struct store_node *a, const struct store_node *b)
{
    uint64_t x = a->log.origin;
    uint64_t y = b->log.origin;
    if (a->at_ms != b->at_ms) {
        return a->at_ms > b->at_ms;
    }
    return x != y ? listing_may_end(x, y) : log_id_cmp(&a->log, &b->log) > 0;
}

static int by_time(const void *a, const void *b)
{
    const struct store_node *x = a;
    const struct store_node *y = b;
    if (x->code != y->code) {
        return x->code < y->code ? -1 : 1;
    }
    return is_later(x, y) ? 1 : is_later(y, x) ? -1 : 0;
}

/* By the last word of an authority above the issuer, whatever the clocks say: a
 * lower authority's clock must not hold off a higher one. Or by another log of
 * the same issuer, later; `all` is in order of time. */
static bool is_lifted(const struct store_node *all, size_t n, size_t revoked)
{
    uint64_t issuer = all[revoked].log.origin;
    for (size_t i = 0; i < n; i++) {
        uint64_t by = all[i].log.origin;
        if (all[i].what == REGISTRY_RESTORED &&
            (by == issuer ? i > revoked : listing_may_end(by, issuer))) {
            return true;
        }
    }
    return false;
}

/* The issuer is above the parent that the node had. (That it is above the node
 * and the new parent, the entry was judged for.) */
static bool may_move(const struct roster_node *node, const struct store_node *d)
{
    return !node->is_moved ||
           listing_may_end(d->log.origin, node->moved.parent);
}

/* All that counts of one node, the earliest first. */
static struct roster_node judge_one(const struct store_node *all, size_t n)
{
    struct roster_node node = {.code = all[0].code};
    for (size_t i = 0; i < n; i++) {
        if (all[i].what == REGISTRY_PARENT && may_move(&node, &all[i])) {
            node.is_moved = true;
            node.moved = all[i];
        } else if (all[i].what == REGISTRY_REVOKED && !is_lifted(all, n, i)) {
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
    n = reduce(sorted, n);
    struct roster_node *nodes = mem_zalloc(n, sizeof *nodes);
    qsort(sorted, n, sizeof *sorted, by_time);
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

/* Keeps of many decisions about few nodes what counts. */
static bool gather(void *ctx, const struct store_node *node)
{
    struct gathering *g = ctx;
    if (g->n == g->cap) {
        g->n = reduce(g->all, g->n);
        if (g->n >= g->cap / 2) {
            g->cap = g->cap > 0 ? 2 * g->cap : 16;
            g->all = mem_realloc(g->all, g->cap * sizeof *g->all);
        }
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

/* What the issuer gave as the reason, for the text of a refusal: cut between
 * characters, without quotation marks. Owned; "" if it cannot be read. */
static char *reason_of(struct store *store, const struct store_node *d)
{
    struct buf bytes = BUF_INIT;
    struct entry e;
    struct registry_decision full;
    struct slice text = {NULL, 0};
    if (store_entry(store, &d->log, d->number, &bytes) == ERR_OK &&
        entry_decode(buf_slice(&bytes), &e) == ERR_OK &&
        registry_take(&e, d->log.origin, &full) == ERR_OK) {
        text = full.reason;
    }
    if (text.len > REASON_SHOWN) {
        text.len = REASON_SHOWN;
        while (!str_utf8_valid(text)) {
            text.len--;
        }
    }
    char *out = mem_zalloc(text.len + 1, 1);
    for (size_t i = 0; i < text.len; i++) {
        out[i] = (char)text.data[i];
        if (out[i] == '"') {
            out[i] = '\'';
        }
    }
    buf_fini(&bytes);
    return out;
}

static void nodes_free(struct roster_node *nodes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(nodes[i].reason);
    }
    mem_free(nodes);
}

/* `changed`: something did. What cannot be read leaves all as it is. */
static enum err refresh(struct roster *r, bool *changed)
{
    struct roster_node *nodes = NULL;
    size_t n = 0;
    enum err err = read_store(r->env->store, &nodes, &n);
    *changed = false;
    if (err != ERR_OK) {
        log_error(r->env->log, "ROSTER-READ", "err=%s effect=\"%s\"",
                  err_name(err),
                  r->known ? "decisions about nodes stay as they were"
                           : "no node is admitted until they can be read");
        return err;
    }
    /* Only this strand writes `nodes` and `known`. */
    *changed = !r->known || !is_same(r, nodes, n);
    for (size_t i = 0; *changed && i < n; i++) {
        nodes[i].reason = nodes[i].is_revoked
                              ? reason_of(r->env->store, &nodes[i].revoked)
                              : NULL;
    }
    (void)pthread_mutex_lock(&r->lock);
    size_t old_n = n;
    if (*changed) {
        struct roster_node *old = r->nodes;
        old_n = r->n;
        r->nodes = nodes;
        r->n = n;
        r->known = true;
        r->generation++;
        nodes = old;
    }
    (void)pthread_mutex_unlock(&r->lock);
    nodes_free(nodes, old_n);
    return ERR_OK;
}

/* A call that was opened at that very moment, or whose other side does not read
 * how it ended, is met by a second look. */
static void job(void *ctx)
{
    struct roster *r = ctx;
    bool changed;
    (void)pthread_mutex_lock(&r->lock);
    r->queued = false;
    (void)pthread_mutex_unlock(&r->lock);
    int64_t now_ms = clock_mono_ms();
    enum err err = refresh(r, &changed);
    if (err != ERR_OK) {
        ticker_at(r->ticker, now_ms + RETRY_MS);
    }
    if (changed) {
        log_info(r->env->log, "ROSTER-CHANGED", "nodes=%zu", r->n);
        r->look_again_ms = now_ms + AGAIN_MS;
        ticker_at(r->ticker, r->look_again_ms);
    }
    bool again = r->look_again_ms != 0 && now_ms >= r->look_again_ms;
    if (again) {
        r->look_again_ms = 0;
    }
    if (changed || again) {
        r->env->roster_changed(r->env->ctx);
    }
    (void)pthread_mutex_lock(&r->lock);
    r->jobs--;
    (void)pthread_cond_broadcast(&r->idle);
    (void)pthread_mutex_unlock(&r->lock);
}

static void job_later(struct roster *r)
{
    (void)pthread_mutex_lock(&r->lock);
    bool go = !r->queued && !r->stopping;
    r->queued = r->queued || go;
    r->jobs += go;
    (void)pthread_mutex_unlock(&r->lock);
    if (go) {
        strand_run(r->strand, job, r);
    }
}

static void on_tick(void *ctx)
{
    job_later(ctx);
}

/* store_watch() calls it: writer thread. Most directives are about no node. */
static void on_commit(void *ctx, const struct log_id *logs, size_t n)
{
    struct roster *r = ctx;
    uint64_t changes = store_nodes_changes(r->env->store);
    (void)logs;
    (void)n;
    if (atomic_exchange(&r->changes, changes) != changes) {
        job_later(r);
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
    r->ticker = ticker_new(env->loop, on_tick, r);
    bool changed;
    atomic_init(&r->changes, store_nodes_changes(env->store));
    if (refresh(r, &changed) != ERR_OK) {
        ticker_at(r->ticker, clock_mono_ms() + RETRY_MS);
    }
    return r;
}

void roster_watch(struct roster *roster)
{
    store_watch(roster->env->store, on_commit, roster);
    on_commit(roster, NULL, 0); /* what came in between */
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
    ticker_free(&r->ticker);
    strand_free(r->strand);
    nodes_free(r->nodes, r->n);
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
    if (!roster->known) {
        err = err_set(why, ERR_UNAVAILABLE,
                      "which nodes were revoked cannot be read yet");
    } else if (node != NULL && node->is_revoked) {
        const struct store_node *d = &node->revoked;
        char log[LOG_ID_TEXT_MAX];
        char day[11];
        log_id_format(&d->log, log);
        date_format(d->decided, day);
        err = err_set(why, ERR_DENIED,
                      "node %012" PRIu64 " was revoked by %012" PRIu64
                      " on %s, directive %" PRIu64 " of %s: %s",
                      code, d->log.origin, day, d->number, log, node->reason);
    }
    roster->refused += err != ERR_OK;
    (void)pthread_mutex_unlock(&roster->lock);
    return err;
}

bool roster_is_revoked(struct roster *roster, uint64_t code)
{
    if (roster == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&roster->lock);
    const struct roster_node *node = find(roster, code);
    bool revoked = node != NULL && node->is_revoked;
    (void)pthread_mutex_unlock(&roster->lock);
    return revoked;
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

uint64_t roster_refused(struct roster *roster)
{
    (void)pthread_mutex_lock(&roster->lock);
    uint64_t refused = roster->refused;
    (void)pthread_mutex_unlock(&roster->lock);
    return refused;
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
