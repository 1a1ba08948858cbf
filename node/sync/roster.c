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
#include "mlog/checkpoint.h"

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
    struct roster_seal *seals; /* by node and incarnation */
    size_t seals_n;
    uint64_t generation;
    uint64_t refused; /* calls, since start */
    bool known;       /* the store was read once */
    unsigned jobs;
    bool queued;
    bool stopping;
};

/* ---- the judgement ---- */

static bool is_of_log(const struct store_node *d)
{
    return registry_is_of_log((enum registry_what)d->what);
}

static int by_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* The log of the node that a decision is about; `parent` says which. */
static int by_log(const struct store_node *a, const struct store_node *b)
{
    int order = by_u64(a->code, b->code);
    return order != 0 ? order : by_u64(a->parent, b->parent);
}

/* Sequences a node and log of directives: revoked and restored, parents, and
 * for each log of the node sealed and unsealed. */
static int by_sequence(const struct store_node *a, const struct store_node *b)
{
    int order = by_u64(a->code, b->code);
    order = order != 0
                ? order
                : (a->what == REGISTRY_PARENT) - (b->what == REGISTRY_PARENT);
    order = order != 0 ? order : is_of_log(a) - is_of_log(b);
    order = order != 0 || !is_of_log(a) ? order : by_log(a, b);
    return order != 0 ? order : log_id_cmp(&a->log, &b->log);
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

/* What is said of a log by a lower authority before what a higher one says, of
 * one issuer the earlier before the later. */
static int by_weight(const void *a, const void *b)
{
    const struct store_node *x = a;
    const struct store_node *y = b;
    int order = by_log(x, y);
    if (order != 0) {
        return order;
    }
    if (x->log.origin != y->log.origin) {
        return listing_may_end(x->log.origin, y->log.origin) ? 1 : -1;
    }
    return is_later(x, y) ? 1 : is_later(y, x) ? -1 : 0;
}

struct store_node *roster_judge_seals(const struct store_node *decisions,
                                      size_t n, size_t *out_n)
{
    struct store_node *seals = mem_alloc((n + 1) * sizeof *seals);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_of_log(&decisions[i])) {
            seals[kept++] = decisions[i];
        }
    }
    n = reduce(seals, kept);
    if (n > 0) {
        qsort(seals, n, sizeof *seals, by_weight);
    }
    kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool last = i + 1 == n || by_log(&seals[i], &seals[i + 1]) != 0;
        if (last && seals[i].what == REGISTRY_SEALED) {
            seals[kept++] = seals[i];
        }
    }
    *out_n = kept;
    return seals;
}

/* ---- as the store has it ---- */

/* What is known of nodes and logs, as it comes from the store. */
struct known {
    struct roster_node *nodes;
    size_t n;
    struct roster_seal *seals;
    size_t seals_n;
};

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

/* As its entry has it, which `bytes` keeps. */
static enum err read_whole(struct store *store, const struct store_node *d,
                           struct buf *bytes, struct registry_decision *out)
{
    struct entry e;
    enum err err = store_entry(store, &d->log, d->number, bytes);
    if (err == ERR_OK) {
        err = entry_decode(buf_slice(bytes), &e);
    }
    return err == ERR_OK ? registry_take(&e, d->log.origin, out) : err;
}

/* Size and root stand in the entry alone. If that is damaged, nothing of the
 * log is taken; what is decided about others must not wait for it. */
static enum err read_seal(struct roster *r, const struct store_node *d,
                          struct roster_seal *out)
{
    struct buf bytes = BUF_INIT;
    struct registry_decision full = {.size = 0};
    enum err err = read_whole(r->env->store, d, &bytes, &full);
    if (err == ERR_CORRUPT) {
        log_error(r->env->log, "ROSTER-READ",
                  "err=%s effect=\"a seal cannot be read: nothing of its log "
                  "is taken\"",
                  err_name(err));
        full.size = 0;
        err = ERR_OK;
    }
    *out = (struct roster_seal){.decision = *d,
                                .log = {d->code, d->parent, LOG_RECORDS},
                                .size = full.size,
                                .root = full.root};
    buf_fini(&bytes);
    return err;
}

static enum err read_seals(struct roster *r, const struct gathering *g,
                           struct known *out)
{
    size_t n;
    enum err err = ERR_OK;
    struct store_node *held = roster_judge_seals(g->all, g->n, &n);
    out->seals = mem_zalloc(n + 1, sizeof *out->seals);
    for (size_t i = 0; err == ERR_OK && i < n; i++) {
        err = read_seal(r, &held[i], &out->seals[out->seals_n++]);
    }
    mem_free(held);
    return err;
}

static enum err read_store(struct roster *r, struct known *out)
{
    struct gathering g = {.n = 0};
    struct lists_view view;
    lists_view_take(r->env->store, &view);
    enum err err = store_nodes(r->env->store, &view, gather, &g);
    lists_view_fini(&view);
    if (err == ERR_OK) {
        out->nodes = roster_judge(g.all, g.n, &out->n);
        err = read_seals(r, &g, out);
    }
    mem_free(g.all);
    return err;
}

static bool is_same_seal(const struct roster_seal *a,
                         const struct roster_seal *b)
{
    return log_id_eq(&a->log, &b->log) && a->size == b->size &&
           a->decision.number == b->decision.number &&
           log_id_eq(&a->decision.log, &b->decision.log);
}

static bool is_same(const struct roster *r, const struct known *now)
{
    bool same = r->n == now->n && r->seals_n == now->seals_n;
    for (size_t i = 0; same && i < now->seals_n; i++) {
        same = is_same_seal(&r->seals[i], &now->seals[i]);
    }
    for (size_t i = 0; same && i < now->n; i++) {
        const struct roster_node *a = &r->nodes[i];
        const struct roster_node *b = &now->nodes[i];
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
    struct registry_decision full;
    struct slice text = {NULL, 0};
    if (read_whole(store, d, &bytes, &full) == ERR_OK) {
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

static void known_fini(struct known *k)
{
    for (size_t i = 0; i < k->n; i++) {
        mem_free(k->nodes[i].reason);
    }
    mem_free(k->nodes);
    mem_free(k->seals);
}

/* Lock held. */
static struct known exchange(struct roster *r, const struct known *now)
{
    struct known before = {r->nodes, r->n, r->seals, r->seals_n};
    r->nodes = now->nodes;
    r->n = now->n;
    r->seals = now->seals;
    r->seals_n = now->seals_n;
    r->known = true;
    r->generation++;
    return before;
}

/* `changed`: something did. What cannot be read leaves all as it is. */
static enum err refresh(struct roster *r, bool *changed)
{
    struct known now = {.n = 0};
    enum err err = read_store(r, &now);
    *changed = false;
    if (err != ERR_OK) {
        known_fini(&now);
        log_error(r->env->log, "ROSTER-READ", "err=%s effect=\"%s\"",
                  err_name(err),
                  r->known ? "decisions about nodes stay as they were"
                           : "no node is admitted until they can be read");
        return err;
    }
    /* Only this strand writes what is exchanged here. */
    *changed = !r->known || !is_same(r, &now);
    for (size_t i = 0; *changed && i < now.n; i++) {
        now.nodes[i].reason =
            now.nodes[i].is_revoked
                ? reason_of(r->env->store, &now.nodes[i].revoked)
                : NULL;
    }
    if (*changed) {
        (void)pthread_mutex_lock(&r->lock);
        now = exchange(r, &now);
        (void)pthread_mutex_unlock(&r->lock);
    }
    known_fini(&now);
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
        log_info(r->env->log, "ROSTER-CHANGED", "nodes=%zu seals=%zu", r->n,
                 r->seals_n);
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
    struct known last = {r->nodes, r->n, r->seals, r->seals_n};
    known_fini(&last);
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

/* Lock held. */
static const struct roster_seal *find_seal(const struct roster *r,
                                           const struct log_id *log)
{
    const struct store_node wanted = {.code = log->origin,
                                      .parent = log->incarnation};
    size_t lo = 0;
    size_t hi = log->kind == LOG_RECORDS ? r->seals_n : 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = by_log(&r->seals[mid].decision, &wanted);
        if (order == 0) {
            return &r->seals[mid];
        }
        lo = order < 0 ? mid + 1 : lo;
        hi = order < 0 ? hi : mid;
    }
    return NULL;
}

bool roster_seal(struct roster *roster, const struct log_id *log,
                 struct roster_seal *out)
{
    if (roster == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&roster->lock);
    const struct roster_seal *seal = find_seal(roster, log);
    if (seal != NULL) {
        *out = *seal;
    }
    (void)pthread_mutex_unlock(&roster->lock);
    return seal != NULL;
}

enum err roster_vouch(struct roster *roster, enum err err,
                      const struct log_id *log, struct slice note,
                      const char *federation, struct checkpoint *out,
                      struct errmsg *why)
{
    struct roster_seal seal;
    if (!roster_seal(roster, log, &seal)) {
        return err;
    }
    if (checkpoint_parse(note, federation, out) == ERR_OK &&
        log_id_eq(&out->log, log) && out->size == seal.size &&
        hash_eq(&out->root, &seal.root)) {
        return ERR_OK;
    }
    struct errmsg before = *why;
    return err_set(why, err,
                   "%.300s; the seal by %012" PRIu64
                   " names another head, of %" PRIu64 " entries",
                   before.text, seal.decision.log.origin, seal.size);
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
    for (size_t i = 0; more && i < roster->seals_n; i++) {
        more = fn(ctx, &roster->seals[i].decision);
    }
    (void)pthread_mutex_unlock(&roster->lock);
}
