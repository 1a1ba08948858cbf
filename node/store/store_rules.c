/* Catalogue versions and measures: from visible directives to what is in
 * force. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "credit/catalogue_change.h"
#include "credit/listing.h"
#include "credit/measure.h"
#include "ident/rootchain.h"
#include "store/store_lists.h"

enum { ROWS_MAX = 8192 };

struct found_rule {
    struct store_rule rule;
    bool ended; /* its log has a successor */
    uint32_t log;
    struct measure measure; /* ENTRY_MEASURE */
};
struct fold {
    struct store *s;
    struct lists_view view;
    struct found_rule *all;
    size_t n;
    size_t cap;
    bool over;
};

bool store_is_highest(const struct store *s, uint64_t code)
{
    const struct rootdoc *doc =
        s->env.roots != NULL ? rootchain_newest(s->env.roots) : NULL;
    size_t n = doc != NULL ? rootdoc_issuer_count(doc) : 0;
    bool named = false;
    for (size_t i = 0; i < n; i++) {
        uint64_t other = rootdoc_issuer(doc, i)->code;
        named = named || other == code;
        if (other != code && listing_may_end(other, code)) {
            return false;
        }
    }
    return named;
}

/* ---- reading ---- */

static const struct lists_log *visible_log(const struct lists_view *view,
                                           const struct list_row *row)
{
    for (size_t i = 0; i < view->n; i++) {
        const struct lists_log *log = &view->logs[i];
        if (log->id == row->log) {
            bool counts = row->number <= log->visible &&
                          !lists_is_void(view->voids + log->voids_at,
                                         log->voids_n, row->number);
            return counts ? log : NULL;
        }
    }
    return NULL;
}

static bool on_row(void *ctx, const struct list_row *row)
{
    struct fold *f = ctx;
    const struct lists_log *log = visible_log(&f->view, row);
    if (log == NULL) {
        return true;
    }
    if (f->n == ROWS_MAX) {
        f->over = true;
        return false;
    }
    if (f->n == f->cap) {
        f->cap = f->cap > 0 ? 2 * f->cap : 16;
        f->all = mem_realloc(f->all, f->cap * sizeof *f->all);
    }
    f->all[f->n++] =
        (struct found_rule){.rule = {.log = log->log,
                                     .number = row->number,
                                     .type = row->type,
                                     .version = (uint32_t)row->target_number,
                                     .decided = row->decided},
                            .ended = log->ended,
                            .log = row->log};
    return true;
}

static enum err read_rows(struct fold *f, struct errmsg *why)
{
    struct store *s = f->s;
    struct subject_key key;
    lists_rules_key(&key);
    lists_view_take(s, &f->view);
    enum err err =
        f->view.n > 0
            ? s->backend->list_rows(s->db, atomic_load(&s->generation), &key, 1,
                                    false, on_row, f, why)
            : ERR_OK;
    return err == ERR_OK && f->over
               ? err_set(why, ERR_TOO_LARGE,
                         "more than %d catalogue versions and measures",
                         ROWS_MAX)
               : err;
}

/* `bytes` is what `e` borrows from. */
static enum err read_entry(const struct fold *f, const struct found_rule *r,
                           struct buf *bytes, struct entry *e,
                           struct errmsg *why)
{
    struct log_slot *slot = heads_at(&f->s->heads, r->log);
    buf_clear(bytes);
    enum err err =
        slot != NULL ? slot_entry(slot, r->rule.number, bytes) : ERR_NOT_FOUND;
    if (err == ERR_OK) {
        err = entry_decode(buf_slice(bytes), e);
    }
    return err == ERR_OK
               ? ERR_OK
               : err_set(why, err, "directive %llu of %012llu: %s",
                         (unsigned long long)r->rule.number,
                         (unsigned long long)r->rule.log.origin, err_text(err));
}

/* ---- order ---- */

/* Numbers of a successor begin anew: its log comes behind. */
static int by_place(const struct found_rule *a, const struct found_rule *b)
{
    if (a->ended != b->ended) {
        return b->ended - a->ended;
    }
    int order = log_id_cmp(&a->rule.log, &b->rule.log);
    return order != 0                        ? order
           : a->rule.number < b->rule.number ? -1
                                             : a->rule.number > b->rule.number;
}

/* Versions first; measures by id, the highest authority first. */
static int by_rule(const void *x, const void *y)
{
    const struct found_rule *a = x;
    const struct found_rule *b = y;
    uint64_t p = a->rule.log.origin;
    uint64_t q = b->rule.log.origin;
    int order = a->rule.type - b->rule.type;
    order = order != 0 ? order : strcmp(a->measure.id, b->measure.id);
    if (order == 0 && p != q) {
        return listing_may_end(p, q) ? -1 : 1;
    }
    if (order == 0 && a->rule.version != b->rule.version) {
        return a->rule.version < b->rule.version ? -1 : 1;
    }
    return order != 0 ? order : by_place(a, b);
}

/* ---- folding ---- */

static enum err fold_version(const struct fold *f, struct found_rule *r,
                             const struct catalogue **at, struct buf *bytes,
                             struct errmsg *why)
{
    struct catalogue_change change;
    struct entry e;
    if (!store_is_highest(f->s, r->rule.log.origin)) {
        r->rule.fault = "not-highest";
        return ERR_OK;
    }
    enum err err = read_entry(f, r, bytes, &e, why);
    if (err != ERR_OK) {
        return err;
    }
    if (catalogue_change_take(&e, &change) != ERR_OK) {
        r->rule.fault = "malformed";
        return ERR_OK;
    }
    const char *fault = catalogue_change_fault(*at, &change, NULL);
    const struct catalogue *next =
        fault == NULL ? catalogue_next(*at, &change) : NULL;
    catalogue_change_fini(&change);
    r->rule.fault = fault == NULL && next == NULL ? "too-many" : fault;
    *at = next != NULL ? next : *at;
    return ERR_OK;
}

static enum err load_measures(struct fold *f, struct buf *bytes,
                              struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < f->n; i++) {
        struct found_rule *r = &f->all[i];
        struct entry e;
        if (r->rule.type != ENTRY_MEASURE) {
            continue;
        }
        err = read_entry(f, r, bytes, &e, why);
        if (err == ERR_OK &&
            measure_take(&e, r->rule.log.origin, &r->measure) != ERR_OK) {
            r->measure.id[0] = 0;
            r->rule.fault = "malformed";
        }
    }
    return err;
}

/* `last` is the one in force of those that came before; its id may be another.
 */
static const char *measure_fault_of(const struct found_rule *r,
                                    const struct measure *last, size_t n)
{
    bool same = last != NULL && strcmp(last->id, r->measure.id) == 0;
    if (same && last->issuer != r->measure.issuer) {
        return "measure-taken";
    }
    if (r->measure.revision != (same ? last->revision : 0) + 1) {
        return "version-order";
    }
    return !same && n == MEASURES_MAX ? "too-many" : NULL;
}

static void fold_measures(struct fold *f)
{
    struct measure *all = mem_zalloc(f->n + 1, sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        struct found_rule *r = &f->all[i];
        if (r->rule.type != ENTRY_MEASURE || r->measure.id[0] == 0) {
            continue;
        }
        const struct measure *last = n > 0 ? &all[n - 1] : NULL;
        const char *fault = measure_fault_of(r, last, n);
        r->rule.fault = fault;
        if (fault == NULL) {
            n += last == NULL || strcmp(last->id, r->measure.id) != 0;
            all[n - 1] = r->measure;
        }
    }
    measures_use(all, n);
}

static void say(const struct store *s, const struct catalogue *before,
                const struct catalogue *at)
{
    if (before != at) {
        log_info(&s->log, "CATALOGUE", "version=%u before=%u kinds=%zu",
                 (unsigned)at->version, (unsigned)before->version, at->items_n);
    }
}

static void keep_outcome(struct fold *f)
{
    struct rules *rules = &f->s->rules;
    struct store_rule *all = mem_zalloc(f->n + 1, sizeof *all);
    for (size_t i = 0; i < f->n; i++) {
        all[i] = f->all[i].rule;
    }
    (void)pthread_mutex_lock(&rules->lock);
    struct store_rule *old = rules->all;
    rules->all = all;
    rules->n = f->n;
    (void)pthread_mutex_unlock(&rules->lock);
    mem_free(old);
}

enum err rules_fold(struct store *s, struct errmsg *why)
{
    struct fold f = {.s = s};
    struct buf bytes = BUF_INIT;
    const struct catalogue *at = catalogue_builtin();
    enum err err = read_rows(&f, why);
    if (err == ERR_OK) {
        err = load_measures(&f, &bytes, why);
    }
    if (err == ERR_OK && f.n > 0) {
        qsort(f.all, f.n, sizeof *f.all, by_rule);
    }
    for (size_t i = 0; err == ERR_OK && i < f.n; i++) {
        if (f.all[i].rule.type == ENTRY_CATALOGUE) {
            err = fold_version(&f, &f.all[i], &at, &bytes, why);
        }
    }
    if (err == ERR_OK) {
        say(s, catalogue_now(), at);
        catalogue_use(at);
        fold_measures(&f);
        keep_outcome(&f);
    }
    lists_view_fini(&f.view);
    mem_free(f.all);
    buf_fini(&bytes);
    return err;
}

void store_rules(struct store *store, store_rule_fn *fn, void *ctx)
{
    struct rules *rules = &store->rules;
    bool more = true;
    (void)pthread_mutex_lock(&rules->lock);
    for (size_t i = 0; more && i < rules->n; i++) {
        more = fn(ctx, &rules->all[i]);
    }
    (void)pthread_mutex_unlock(&rules->lock);
}
