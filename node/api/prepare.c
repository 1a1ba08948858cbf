#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/directives.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "credit/date.h"
#include "credit/measure.h"
#include "credit/package.h"
#include "credit/rules.h"
#include "ident/ident.h"
#include "ident/rootchain.h"

struct prepare {
    const struct api_env *env;
    struct rows_sink sink;
    struct record_keys keys;
    struct rows *rows;
    struct lists_view view;
    enum prepare_what what;
    struct listing_place about; /* number 0: what the row names */
    int64_t now_ms;
    struct buf bytes; /* entries, one behind the other */
    size_t *lens;
    size_t n;
    uint64_t rows_met;
    uint64_t refused;
    enum err unread; /* of what is in force */
    struct errmsg
        why; /* of a listing of another node that is not to be ended */
};

/* ---- what a row is about ---- */

/* The listings in force of this subject, on this list, by this document, that
 * this node may end. Of two packages prepared side by side each may have listed
 * it: a removal that ended one of them only would keep the subject listed. */
struct search {
    const struct prepare *p;
    uint16_t list;
    struct slice document;
    bool own_only;
    enum err err; /* of reading a text */
    struct places *found;
};

struct places {
    struct listing_place *at; /* owned */
    size_t n;
};

enum err listed_by(const struct api_env *env, const struct store_listing *l,
                   struct slice document, bool *same)
{
    struct buf bytes = BUF_INIT;
    struct entry e;
    struct record r;
    enum err err = store_entry(env->store, &l->text_log, l->text, &bytes);
    *same = err == ERR_OK && entry_decode(buf_slice(&bytes), &e) == ERR_OK &&
            listing_values(&e, &r) == ERR_OK &&
            listing_same_document(record_get(&r, FIELD_DOCUMENT_NO), document);
    buf_fini(&bytes);
    return err;
}

/* Is it of another node's log? Those of nodes below are not here. */
static bool is_elsewhere(const struct prepare *p)
{
    return p->about.number != 0 && p->about.log.origin != p->env->self.code;
}

static bool on_listing(void *ctx, const struct store_listing *l)
{
    struct search *s = ctx;
    struct places *found = s->found;
    uint64_t self = s->p->env->self.code;
    bool same = s->own_only ? l->log.origin == self
                            : listing_may_end(self, l->log.origin);
    if (s->p->about.number != 0) {
        same = same && l->number == s->p->about.number &&
               log_id_eq(&l->log, &s->p->about.log);
    }
    if (l->list == s->list && same) {
        s->err = listed_by(s->p->env, l, s->document, &same);
    }
    if (l->list == s->list && same) {
        found->at = mem_realloc(found->at, (found->n + 1) * sizeof *found->at);
        found->at[found->n++] = (struct listing_place){l->log, l->number};
    }
    return s->err == ERR_OK;
}

/* ERR_DENIED: it is ended already, or cannot be. */
static enum err check_below(struct prepare *p, const struct record *r)
{
    const struct below_listing l = {.place = p->about,
                                    .subject = slice_str(r->subject),
                                    .list = listing_list_of(r)};
    struct errmsg note;
    enum err err = below_listing_check(p->env, &l, &note, &p->why);
    if (err == ERR_OK && note.text[0] != 0) {
        p->sink.warning(p->sink.ctx, note.text);
    }
    return err;
}

/* A listing is new, and a correction possible, by what this node decided; a
 * removal ends what is below, too. `out` is empty after an error. */
static enum err find_listings(struct prepare *p, const struct record *r,
                              uint8_t type, uint16_t document_field,
                              struct places *out)
{
    struct subject_key key;
    struct search s = {.p = p,
                       .list = listing_list_of(r),
                       .document = record_get(r, document_field),
                       .own_only = type != ENTRY_REMOVAL,
                       .found = out};
    subject_key_org(&key, SUBJECT_USCC, slice_str(r->subject));
    if (is_elsewhere(p)) {
        out->at = mem_dup(&p->about, sizeof p->about);
        out->n = 1;
        return check_below(p, r);
    }
    const struct listing_query q = {
        .view = &p->view, .subject = &key, .all = true};
    enum err err = store_listings(p->env->store, &q, on_listing, &s, NULL);
    err = err == ERR_OK ? s.err : err;
    out->n = err == ERR_OK ? out->n : 0;
    return err;
}

/* ---- one row ---- */

/* Is the deciding authority's division this node's area? */
static bool in_area(const struct prepare *p, const struct record *r)
{
    uint64_t code;
    return str_u64(record_get(r, FIELD_DIVISION), &code) &&
           listing_counts_at(p->env->self.code, code);
}

/* Who may list, and only what the law's list of measures has may follow: of a
 * correction as of a listing, as it is judged again before it is published. */
static const char *judge_authority(const struct prepare *p,
                                   const struct record *r, uint16_t *field)
{
    *field = in_area(p, r) ? FIELD_MEASURES : FIELD_DIVISION;
    return *field == FIELD_DIVISION
               ? "authority-area"
               : measures_judge(record_get(r, FIELD_MEASURES), r->decided);
}

static uint8_t type_of(const struct prepare *p, const struct record *r)
{
    return r->item->id == ITEM_REMOVAL      ? ENTRY_REMOVAL
           : p->what == PREPARE_CORRECTIONS ? ENTRY_CORRECTION
                                            : ENTRY_LISTING;
}

/* Who said list-remove must not list anybody, nor the other way round. */
static const char *judge_columns(const struct prepare *p, uint8_t type)
{
    bool removal = type == ENTRY_REMOVAL;
    if (p->what == PREPARE_ANY || (p->what == PREPARE_REMOVALS) == removal) {
        return NULL;
    }
    return removal ? "columns-of-removal" : "columns-of-listing";
}

/* `rule` NULL, or the one that is broken; `field` is where. An error: what is
 * in force could not be read, so nothing is said of the row. */
static enum err judge(struct prepare *p, const struct record *r,
                      struct places *targets, uint16_t *field,
                      const char **rule)
{
    uint8_t type = type_of(p, r);
    bool removal = type == ENTRY_REMOVAL;
    *field = removal ? FIELD_LISTED_NO : FIELD_DOCUMENT_NO;
    *rule = judge_columns(p, type);
    if (*rule != NULL) {
        return ERR_OK;
    }
    enum err err = find_listings(p, r, type, *field, targets);
    if (err != ERR_OK) {
        *rule = NULL;
    } else if (type == ENTRY_LISTING && targets->n > 0) {
        *rule = "listed-already";
    } else if (type != ENTRY_LISTING && targets->n == 0) {
        *rule = "not-listed";
    } else {
        *rule = removal ? NULL : judge_authority(p, r, field);
    }
    return err;
}

static enum err refuse(struct prepare *p, uint64_t line, const struct record *r,
                       uint16_t field, const char *rule)
{
    const struct catalogue_field *f =
        &r->item->fields[catalogue_place(r->item, field)];
    const struct rows_fault fault = {
        .column = f->code, .rule = rule, .text = rules_text(rule)};
    p->refused++;
    return p->sink.refused(p->sink.ctx, line, &fault, 1);
}

static void add_entry(struct prepare *p, const struct entry *e)
{
    size_t before = p->bytes.len;
    entry_encode(e, &p->bytes);
    p->lens = mem_realloc(p->lens, (p->n + 1) * sizeof *p->lens);
    p->lens[p->n++] = p->bytes.len - before;
}

/* One entry, or one for each listing that it is about. ERR_TOO_LARGE: no more
 * fit into a package. */
static enum err add_decisions(struct prepare *p, const struct record *r,
                              uint8_t type, const struct places *targets,
                              const char **rule)
{
    size_t n = type == ENTRY_LISTING ? 1 : targets->n;
    if (n > PACKAGE_ENTRIES_MAX - p->n) {
        return ERR_TOO_LARGE;
    }
    for (size_t i = 0; *rule == NULL && i < n; i++) {
        struct buf room = BUF_INIT;
        struct entry e;
        if (listing_to_entry(r, type,
                             type == ENTRY_LISTING ? NULL : &targets->at[i],
                             p->now_ms, &room, &e) == ERR_OK) {
            add_entry(p, &e);
        } else {
            *rule = "row-too-large"; /* for each alike: none was added */
        }
        buf_fini(&room);
    }
    return ERR_OK;
}

static enum err on_record(void *ctx, uint64_t line, const struct record *r)
{
    struct prepare *p = ctx;
    struct places targets = {NULL, 0};
    uint16_t field;
    const char *rule;
    p->rows_met++;
    enum err err = judge(p, r, &targets, &field, &rule);
    p->unread = err;
    if (err == ERR_OK && rule == NULL) {
        err = add_decisions(p, r, type_of(p, r), &targets, &rule);
    }
    mem_free(targets.at);
    if (err == ERR_OK && rule != NULL) {
        return refuse(p, line, r, field, rule);
    }
    return err == ERR_OK && p->sink.record != NULL
               ? p->sink.record(p->sink.ctx, line, r)
               : err;
}

static enum err on_refused(void *ctx, uint64_t line,
                           const struct rows_fault *faults, size_t count)
{
    struct prepare *p = ctx;
    p->rows_met++;
    p->refused++;
    return p->sink.refused(p->sink.ctx, line, faults, count);
}

static void on_warning(void *ctx, const char *text)
{
    const struct prepare *p = ctx;
    p->sink.warning(p->sink.ctx, text);
}

/* ---- who may ---- */

enum err directive_check_issuer(const struct api_env *env, struct errmsg *why)
{
    struct buf others = BUF_INIT;
    if (env->roots == NULL || rootchain_is_issuer(env->roots, env->self.code)) {
        return ERR_OK;
    }
    const struct rootdoc *doc = rootchain_newest(env->roots);
    for (size_t i = 0; i < rootdoc_issuer_count(doc); i++) {
        uint64_t code = rootdoc_issuer(doc, i)->code;
        if (listing_counts_at(code, env->self.code)) {
            buf_putf(&others, "%s%012" PRIu64, others.len > 0 ? ", " : "",
                     code);
        }
    }
    enum err err = err_set(
        why, ERR_DENIED,
        "version %" PRIu64 " of the root document names no deciders for "
        "%012" PRIu64 ", so nothing could be published here; %s%s [no-issuer]",
        rootdoc_version(doc), env->self.code,
        others.len > 0 ? "for this area decide: " : "no node above it decides",
        buf_cstr(&others));
    buf_fini(&others);
    return err;
}

/* ---- the file ---- */

void prepare_begin(struct prepare **out, const struct api_env *env,
                   enum prepare_what what, const struct rows_sink *sink)
{
    struct prepare *p = MEM_NEW(struct prepare);
    p->env = env;
    p->sink = *sink;
    p->what = what;
    p->now_ms = clock_wall_ms();
    p->keys = (struct record_keys){.suite = trust_suite(env->sync->trust)};
    lists_view_take(env->store, &p->view);
    const struct rows_options options = {.family = FAMILY_DIRECTIVES,
                                         .keys = &p->keys,
                                         .today = date_from_ms(p->now_ms)};
    const struct rows_sink rows = {.record = on_record,
                                   .refused = on_refused,
                                   .warning = on_warning,
                                   .ctx = p};
    rows_begin(&p->rows, &options, &rows);
    *out = p;
}

enum err prepare_about(struct prepare *p, const struct listing_place *place,
                       struct errmsg *why)
{
    if (place->number == 0 || place->log.kind != LOG_DIRECTIVES ||
        !listing_may_end(p->env->self.code, place->log.origin)) {
        return err_set(why, ERR_DENIED,
                       "the listing must be of this node or of one below it");
    }
    p->about = *place;
    return ERR_OK;
}

/* Of the errors of on_record: rows say their own. */
static enum err say(const struct prepare *p, enum err err, struct errmsg *why)
{
    if (err == ERR_TOO_LARGE) {
        return err_set(why, err,
                       "more than %d decisions: split the file, each part "
                       "becomes a package",
                       PACKAGE_ENTRIES_MAX);
    }
    if (err != ERR_OK && p->why.text[0] != 0) {
        *why = p->why;
        return err;
    }
    return err == ERR_OK || err != p->unread
               ? err
               : err_set(why, err, "what is in force cannot be read now: %s",
                         err_text(err));
}

enum err prepare_feed(struct prepare *p, struct slice bytes, struct errmsg *why)
{
    return say(p, rows_feed(p->rows, bytes, why), why);
}

enum err prepare_package(const struct api_env *env, int64_t now_ms,
                         const struct slice *entries, size_t n,
                         struct package **out)
{
    const struct trust *trust = env->sync->trust;
    struct package_head head = {.suite = trust_suite(trust),
                                .issuer = env->self.code,
                                .prepared_ms = now_ms};
    (void)snprintf(head.federation, sizeof head.federation, "%s",
                   trust_federation(trust));
    return package_new(out, &head, entries, n);
}

static enum err make(struct prepare *p, struct package **out)
{
    struct slice *entries = mem_alloc((p->n + 1) * sizeof *entries);
    for (size_t i = 0, at = 0; i < p->n; at += p->lens[i++]) {
        entries[i] = slice_of(p->bytes.data + at, p->lens[i]);
    }
    enum err err = prepare_package(p->env, p->now_ms, entries, p->n, out);
    mem_free(entries);
    return err;
}

enum err prepare_finish(struct prepare *p, struct buf *file, struct errmsg *why)
{
    struct package *package = NULL;
    enum err err = say(p, rows_finish(p->rows, why), why);
    if (err == ERR_OK && p->n == 0) {
        err = err_set(why, ERR_INVALID,
                      "no decision can be published: %" PRIu64 " of %" PRIu64
                      " rows were refused",
                      p->refused, p->rows_met);
    }
    if (err == ERR_OK) {
        err = make(p, &package);
    }
    if (err == ERR_OK) {
        package_put(package, file);
    }
    package_free(&package);
    return err;
}

size_t prepare_entries(const struct prepare *p)
{
    return p->n;
}

void prepare_counts(const struct prepare *p, uint64_t *rows, uint64_t *refused)
{
    *rows = p->rows_met;
    *refused = p->refused;
}

void prepare_free(struct prepare **prepare)
{
    struct prepare *p = *prepare;
    *prepare = NULL;
    if (p != NULL) {
        rows_free(&p->rows);
        lists_view_fini(&p->view);
        buf_fini(&p->bytes);
        mem_free(p->lens);
        mem_free(p);
    }
}
