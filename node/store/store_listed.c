#include <string.h>

#include "base/mem.h"
#include "credit/listing.h"
#include "store/store_lists.h"

/* ---- what a reader sees ---- */

bool lists_quota_take(struct lists_quota *quota, uint64_t issuer)
{
    size_t i = 0;
    while (i < LISTS_ISSUERS_MAX && quota->logs[i] > 0 &&
           quota->issuers[i] != issuer) {
        i++;
    }
    if (i == LISTS_ISSUERS_MAX || quota->logs[i] == LISTS_ISSUER_LOGS_MAX) {
        return false;
    }
    quota->issuers[i] = issuer;
    quota->logs[i]++;
    return true;
}

/* heads.lock held. */
static void view_voids(struct lists_view *view, const struct lists *l,
                       struct lists_log *log)
{
    log->voids_at = view->voids_n;
    log->voids_n = l->voids_n;
    if (l->voids_n > 0) {
        view->voids = mem_realloc(view->voids, (view->voids_n + l->voids_n) *
                                                   sizeof *view->voids);
        memcpy(view->voids + view->voids_n, l->voids,
               l->voids_n * sizeof *view->voids);
        view->voids_n += l->voids_n;
    }
}

/* heads.lock held. */
static void view_aliases(struct lists_view *view, const struct lists *l,
                         struct lists_log *log)
{
    log->aliases_at = view->aliases_n;
    log->aliases_n = l->aliases_n;
    if (l->aliases_n > 0) {
        view->aliases =
            mem_realloc(view->aliases, (view->aliases_n + l->aliases_n) *
                                           sizeof *view->aliases);
        memcpy(view->aliases + view->aliases_n, l->aliases,
               l->aliases_n * sizeof *view->aliases);
        view->aliases_n += l->aliases_n;
    }
}

/* heads.lock held. */
static void view_log(struct lists_view *view, const struct log_slot *slot)
{
    const struct lists *l = slot->lists;
    struct lists_log *log = &view->logs[view->n++];
    *log = (struct lists_log){
        .log = slot->log,
        .state = slot->state,
        .ended = slot->ended,
        .visible = l != NULL ? l->visible : 0,
        .size = slot->size,
        .id = slot->id,
    };
    if (l != NULL) {
        view_voids(view, l, log);
        view_aliases(view, l, log);
    }
}

void lists_view_take(struct store *store, struct lists_view *out)
{
    struct heads *heads = &store->heads;
    struct lists_quota quota = {.logs = {0}};
    out->n = out->voids_n = out->aliases_n = 0; /* the rest is large */
    out->voids = NULL;
    out->aliases = NULL;
    (void)pthread_mutex_lock(&heads->lock);
    for (size_t i = 0; i < heads->directives_n; i++) {
        const struct log_slot *slot = heads->directives[i];
        if (slot->state != LOG_ABSENT &&
            listing_counts_at(slot->log.origin, store->env.self) &&
            lists_quota_take(&quota, slot->log.origin)) {
            view_log(out, slot);
        }
    }
    (void)pthread_mutex_unlock(&heads->lock);
}

void lists_view_fini(struct lists_view *view)
{
    mem_free(view->voids);
    mem_free(view->aliases);
    view->voids = NULL;
    view->aliases = NULL;
}

/* ---- what a subject is listed for ---- */

enum {
    ROWS_MAX = 65536,      /* of one read */
    SUBJECTS_A_READ = 256, /* while it lasts the store cannot be opened anew */
};

struct gathered_row {
    struct list_row row;
    const struct lists_log *log;
    size_t place; /* of its subject */
};
struct gathered {
    struct store *store;
    const struct listing_query *q;
    const struct subject_key *subjects;
    size_t at; /* the one that rows come of */
    struct gathered_row *rows;
    size_t n;
    size_t cap;
    bool met;
    enum err err;
};

static const struct lists_log *log_of(const struct lists_view *view,
                                      uint32_t id)
{
    for (size_t i = 0; i < view->n; i++) {
        if (view->logs[i].id == id) {
            return &view->logs[i];
        }
    }
    return NULL;
}

/* NULL: the row has no effect. */
static const struct lists_log *counting_log(const struct lists_view *view,
                                            const struct list_row *row)
{
    const struct lists_log *log = log_of(view, row->log);
    bool counts =
        log != NULL && row->number <= log->visible &&
        !lists_is_void(view->voids + log->voids_at, log->voids_n, row->number);
    return counts ? log : NULL;
}

/* A decision may be named at another place than where it counts. */
static void name_counting_place(const struct lists_view *view, uint64_t origin,
                                uint64_t *incarnation, uint64_t *number)
{
    const struct lists_alias *alias = NULL;
    for (size_t i = 0; alias == NULL && i < view->n; i++) {
        const struct lists_log *log = &view->logs[i];
        if (log->log.origin == origin && log->log.incarnation == *incarnation) {
            alias = lists_alias_at(view->aliases + log->aliases_at,
                                   log->aliases_n, *number);
        }
    }
    if (alias != NULL) {
        *incarnation = alias->incarnation;
        *number = alias->place + (*number - alias->first);
    }
}

/* Of a removal or correction. */
static void name_target(const struct lists_view *view, struct list_row *row)
{
    if (row->type == ENTRY_REMOVAL || row->type == ENTRY_CORRECTION) {
        name_counting_place(view, row->target_origin, &row->target_incarnation,
                            &row->target_number);
    }
}

static bool gather(void *ctx, const struct list_row *row)
{
    struct gathered *g = ctx;
    const struct lists_log *log = counting_log(g->q->view, row);
    g->met = true;
    if (log == NULL) {
        return true;
    }
    while (!subject_key_eq(&g->subjects[g->at], &row->subject)) {
        g->at++; /* they come in that order */
    }
    if (g->n == ROWS_MAX) {
        g->err = ERR_TOO_LARGE;
        return false;
    }
    if (g->n == g->cap) {
        g->cap = g->cap > 0 ? 2 * g->cap : 8;
        g->rows = mem_realloc(g->rows, g->cap * sizeof *g->rows);
    }
    g->rows[g->n] = (struct gathered_row){*row, log, g->at};
    name_target(g->q->view, &g->rows[g->n].row);
    g->n++;
    return true;
}

static bool is_about(const struct list_row *row, const struct lists_log *log,
                     uint64_t number)
{
    return row->target_number == number &&
           row->target_origin == log->log.origin &&
           row->target_incarnation == log->log.incarnation;
}

/* The earliest by the day it was decided; NULL: none ends it. */
static const struct list_row *removal_of(const struct gathered *g,
                                         const struct gathered_row *listing)
{
    const struct lists_log *log = listing->log;
    const struct list_row *first = NULL;
    for (size_t i = 0; i < g->n; i++) {
        const struct gathered_row *r = &g->rows[i];
        if (r->row.type == ENTRY_REMOVAL &&
            is_about(&r->row, log, listing->row.number) &&
            listing_may_end(r->log->log.origin, log->log.origin) &&
            (first == NULL || r->row.decided < first->decided)) {
            first = &r->row;
        }
    }
    return first;
}

/* Of the issuer's logs in the view the one that `log` follows, as its first
 * entry says; NULL: none, or it is not here. */
static const struct lists_log *predecessor_of(struct gathered *g,
                                              const struct lists_log *log)
{
    const struct lists_view *view = g->q->view;
    const struct lists_log *found = NULL;
    struct buf bytes = BUF_INIT;
    struct entry e;
    struct entry_open open;
    enum err err = g->q->now ? store_entry_now(g->store, &log->log, 1, &bytes)
                             : store_entry(g->store, &log->log, 1, &bytes);
    bool follows =
        err == ERR_OK && entry_decode(buf_slice(&bytes), &e) == ERR_OK &&
        e.type == ENTRY_OPEN && entry_open_decode(&e, &open) == ERR_OK;
    g->err = g->err == ERR_OK ? err : g->err;
    for (size_t i = 0; follows && found == NULL && i < view->n; i++) {
        const struct log_id *id = &view->logs[i].log;
        if (id->origin == log->log.origin &&
            id->incarnation == open.prev_incarnation) {
            found = &view->logs[i];
        }
    }
    buf_fini(&bytes);
    return found;
}

/* At any remove. Who made the logs may have made a ring of them. */
static bool is_behind(struct gathered *g, const struct lists_log *log,
                      const struct lists_log *than)
{
    const struct lists_log *at = log;
    for (size_t i = 0; at != NULL && at != than && i < g->q->view->n; i++) {
        at = predecessor_of(g, at);
    }
    return at == than;
}

/* Numbers of a successor begin anew, and it may have come before the log that
 * it follows, as by files. That one listing was corrected in two logs is rare
 * enough to read where they begin. */
static bool is_later(struct gathered *g, const struct gathered_row *r,
                     const struct gathered_row *than)
{
    if (r->log == than->log) {
        return r->row.number > than->row.number;
    }
    bool behind = is_behind(g, r->log, than->log);
    if (behind || is_behind(g, than->log, r->log)) {
        return behind;
    }
    return r->log->ended != than->log->ended ? than->log->ended
                                             : r->log->id > than->log->id;
}

/* The newest correction counts. */
static const struct gathered_row *text_of(struct gathered *g,
                                          const struct gathered_row *listing)
{
    const struct gathered_row *text = listing;
    for (size_t i = 0; i < g->n; i++) {
        const struct gathered_row *r = &g->rows[i];
        if (r->row.type == ENTRY_CORRECTION &&
            is_about(&r->row, listing->log, listing->row.number) &&
            r->log->log.origin == listing->log->log.origin &&
            (text == listing || is_later(g, r, text))) {
            text = r;
        }
    }
    return text;
}

static bool in_force(const struct listing_query *q, const struct list_row *text)
{
    return q->all || (text->from <= q->today &&
                      (text->until == 0 || q->today <= text->until));
}

/* `g` is what there is of one subject. False: `fn` or an error ends it. */
static bool give(struct gathered *g, size_t place, store_listing_of_fn *fn,
                 void *ctx)
{
    bool more = true;
    for (size_t i = 0; more && i < g->n; i++) {
        const struct gathered_row *r = &g->rows[i];
        if (r->row.type != ENTRY_LISTING) {
            continue;
        }
        const struct list_row *removal = removal_of(g, r);
        if (removal != NULL && !g->q->removed) {
            continue;
        }
        const struct gathered_row *text = text_of(g, r);
        struct store_listing l = {.log = r->log->log,
                                  .number = r->row.number,
                                  .text_log = text->log->log,
                                  .text = text->row.number,
                                  .list = text->row.list,
                                  .decided = text->row.decided,
                                  .from = text->row.from,
                                  .until = text->row.until,
                                  .removed = removal != NULL,
                                  .removed_on =
                                      removal != NULL ? removal->decided : 0};
        more = g->err == ERR_OK &&
               (!in_force(g->q, &text->row) || fn(ctx, place, &l));
    }
    return more;
}

/* Subject by subject. */
static bool give_all(struct gathered *g, size_t first, store_listing_of_fn *fn,
                     void *ctx)
{
    bool more = true;
    size_t end = 0;
    for (size_t i = 0; more && i < g->n; i = end) {
        while (end < g->n && g->rows[end].place == g->rows[i].place) {
            end++;
        }
        struct gathered one = {
            .store = g->store, .q = g->q, .rows = g->rows + i, .n = end - i};
        more = give(&one, first + g->rows[i].place, fn, ctx);
        g->err = one.err;
    }
    return more;
}

static enum err read_rows(struct store *store, bool now,
                          const struct subject_key *subjects, size_t n,
                          backend_list_row_fn *fn, void *ctx)
{
    struct errmsg why;
    enum err err = now ? db_enter_now(store) : db_enter(store);
    if (err != ERR_OK) {
        return err;
    }
    uint8_t generation = atomic_load(&store->generation);
    err = store->backend->list_rows(store->db, generation, subjects, n, now, fn,
                                    ctx, &why);
    err = db_leave_index(store, generation, err, &why);
    return read_failed(store, err, &why);
}

static enum err rows_of(struct store *store, bool now,
                        const struct subject_key *subjects, size_t n,
                        backend_list_row_fn *fn, void *ctx)
{
    return store->backend->distant
               ? listed_rows(store, now, subjects, n, fn, ctx)
               : read_rows(store, now, subjects, n, fn, ctx);
}

struct one_subject {
    store_listing_fn *fn;
    void *ctx;
};

static bool of_one(void *ctx, size_t place, const struct store_listing *l)
{
    const struct one_subject *one = ctx;
    (void)place;
    return one->fn(one->ctx, l);
}

enum err store_listings(struct store *store, const struct listing_query *query,
                        store_listing_fn *fn, void *ctx, bool *met)
{
    struct gathered g = {
        .store = store, .q = query, .subjects = query->subject};
    struct one_subject one = {fn, ctx};
    enum err err = query->view->n > 0 ? rows_of(store, query->now,
                                                query->subject, 1, gather, &g)
                                      : ERR_OK;
    err = err == ERR_OK ? g.err : err;
    if (err == ERR_OK) {
        (void)give_all(&g, 0, of_one, &one);
        err = g.err;
    }
    if (met != NULL) {
        *met = g.met;
    }
    mem_free(g.rows);
    return err;
}

enum err store_listings_of(struct store *store,
                           const struct listing_query *query,
                           const struct subject_key *subjects, size_t n,
                           store_listing_of_fn *fn, void *ctx)
{
    struct gathered g = {.store = store, .q = query};
    bool more = query->view->n > 0;
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && more && i < n; i += SUBJECTS_A_READ) {
        size_t some = n - i < SUBJECTS_A_READ ? n - i : SUBJECTS_A_READ;
        g.subjects = subjects + i;
        g.at = g.n = 0;
        err = rows_of(store, query->now, g.subjects, some, gather, &g);
        err = err == ERR_OK ? g.err : err;
        more = err == ERR_OK && give_all(&g, i, fn, ctx);
        err = err == ERR_OK ? g.err : err;
    }
    mem_free(g.rows);
    return err;
}

struct removal_search {
    const struct lists_view *view;
    struct listing_place listing; /* where it counts */
    struct listing_place *by;
};

static bool on_removal(void *ctx, const struct list_row *row)
{
    const struct removal_search *s = ctx;
    const struct lists_log *log = counting_log(s->view, row);
    const struct lists_log listed = {.log = s->listing.log};
    struct list_row named = *row;
    name_target(s->view, &named);
    bool ends = log != NULL && row->type == ENTRY_REMOVAL &&
                is_about(&named, &listed, s->listing.number) &&
                listing_may_end(log->log.origin, s->listing.log.origin);
    if (ends) {
        *s->by = (struct listing_place){log->log, row->number};
    }
    return !ends;
}

enum err store_removal_of(struct store *store, const struct lists_view *view,
                          const struct subject_key *subject,
                          const struct listing_place *listing,
                          struct listing_place *by)
{
    struct removal_search s = {view, *listing, by};
    name_counting_place(view, s.listing.log.origin, &s.listing.log.incarnation,
                        &s.listing.number);
    by->number = 0;
    return view->n > 0 ? read_rows(store, false, subject, 1, on_removal, &s)
                       : ERR_OK;
}

/* ---- what is decided about nodes ---- */

struct telling {
    const struct lists_view *view;
    store_node_fn *fn;
    void *ctx;
};

/* As they are read: there is no bound to how many there are. */
static bool tell_node(void *ctx, const struct list_row *row)
{
    const struct telling *t = ctx;
    const struct lists_log *log = counting_log(t->view, row);
    if (log == NULL) {
        return true;
    }
    const struct store_node node = {
        .log = log->log,
        .number = row->number,
        .what = (uint8_t)row->list,
        .code = row->target_number,
        .parent = row->target_origin,
        .decided = row->decided,
        .at_ms = (int64_t)row->target_incarnation,
    };
    return t->fn(t->ctx, &node);
}

enum err store_nodes(struct store *store, const struct lists_view *view,
                     store_node_fn *fn, void *ctx)
{
    struct subject_key key;
    struct telling t = {view, fn, ctx};
    lists_nodes_key(&key);
    return view->n > 0 ? read_rows(store, false, &key, 1, tell_node, &t)
                       : ERR_OK;
}

uint64_t store_nodes_changes(struct store *store)
{
    return atomic_load(&store->nodes_changes);
}
