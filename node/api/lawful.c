/* What must hold of a signed package before it is published. It may have been
 * made by another program, and what is published stands in every log for ever.
 * Whoever publishes at the same moment is judged by the holders. */
#include "api/directives.h"
#include "base/clock.h"
#include "base/mem.h"
#include "credit/catalogue_change.h"
#include "credit/clean.h"
#include "credit/date.h"
#include "credit/listing.h"
#include "credit/measure.h"
#include "credit/package.h"
#include "credit/registry.h"
#include "credit/rules.h"

struct lawful {
    const struct api_env *env;
    lawful_note_fn *note;
    void *ctx;
};

static const char *texts_fault(const char *const *texts, size_t n)
{
    const char *fault = NULL;
    for (size_t i = 0; fault == NULL && i < n; i++) {
        fault = clean_fault(slice_str(texts[i]));
    }
    return fault;
}

static const char *field_fault(const struct change_field *f)
{
    const char *const texts[] = {f->code, f->label_zh, f->label_en,
                                 f->names_more};
    const char *fault = texts_fault(texts, ARRAY_LEN(texts));
    for (size_t i = 0; fault == NULL && i < f->words_n; i++) {
        fault = clean_fault(slice_str(f->words[i]));
    }
    return fault;
}

static const char *kind_fault(const struct change_kind *k)
{
    const char *const texts[] = {k->name, k->label_zh, k->label_en};
    const char *fault = texts_fault(texts, ARRAY_LEN(texts));
    for (size_t i = 0; fault == NULL && i < k->fields_n; i++) {
        fault = field_fault(&k->fields[i]);
    }
    return fault;
}

static const char *change_text_fault(const struct entry *e)
{
    struct catalogue_change c;
    if (catalogue_change_take(e, &c) != ERR_OK) {
        return NULL;
    }
    const char *fault = clean_fault(slice_str(c.basis));
    for (size_t i = 0; fault == NULL && i < c.kinds_n; i++) {
        fault = kind_fault(&c.kinds[i]);
    }
    catalogue_change_fini(&c);
    return fault;
}

static const char *measure_text_fault(const struct entry *e)
{
    struct measure m;
    if (measure_take(e, 0, &m) != ERR_OK) {
        return NULL;
    }
    const char *const texts[] = {m.name_zh, m.name_en, m.basis};
    return texts_fault(texts, ARRAY_LEN(texts));
}

static const char *node_text_fault(const struct entry *e)
{
    struct registry_decision d;
    return registry_take(e, 0, &d) == ERR_OK ? clean_fault(d.reason) : NULL;
}

static const char *text_fault(const struct entry *e)
{
    switch (e->type) {
    case ENTRY_CATALOGUE:
        return change_text_fault(e);
    case ENTRY_MEASURE:
        return measure_text_fault(e);
    case ENTRY_NODE:
        return node_text_fault(e);
    default:
        return NULL;
    }
}

static enum err check_listing(const struct api_env *env, const struct entry *e,
                              size_t number, struct errmsg *why)
{
    const char *column;
    const char *rule = listing_fault(e, env->self.code,
                                     date_from_ms(clock_wall_ms()), &column);
    const char *text = rule != NULL ? rules_text(rule) : "";
    if (rule == NULL) {
        return ERR_OK;
    }
    return err_set(why, ERR_DENIED, "entry %zu of the package: %s%s%s [%s]",
                   number, column, column[0] != 0 ? ": " : "",
                   text[0] != 0 ? text : catalogue_change_text(rule), rule);
}

/* The listing that a correction or removal is about, by its place. */
struct target {
    const struct api_env *env;
    struct listing_place place;
    uint16_t list;
    struct slice document;
    bool there; /* not ended, and on that list */
    bool same;
    enum err err;
};

static bool on_target(void *ctx, const struct store_listing *l)
{
    struct target *t = ctx;
    if (l->number != t->place.number || !log_id_eq(&l->log, &t->place.log)) {
        return true;
    }
    t->there = l->list == t->list;
    t->err = listed_by(t->env, l, t->document, &t->same);
    return false;
}

/* People sign what they read: subject, list and document number. What counts is
 * the place beside it. One that was ended since is looked for in vain, as when
 * it is prepared. */
static enum err find_target(const struct api_env *env, const struct entry *e,
                            const struct listing_facts *f, bool *fits)
{
    struct lists_view view;
    struct subject_key key;
    struct record r;
    struct target t = {.env = env, .place = f->target, .list = f->list};
    *fits = listing_values(e, &r) == ERR_OK;
    if (!*fits) {
        return ERR_OK;
    }
    /* A correction may give the listing another document number. */
    t.document = e->type == ENTRY_REMOVAL ? record_get(&r, FIELD_LISTED_NO)
                                          : slice_of(NULL, 0);
    subject_key_org(&key, SUBJECT_USCC, e->subject);
    lists_view_take(env->store, &view);
    const struct listing_query q = {
        .view = &view, .subject = &key, .all = true};
    enum err err = store_listings(env->store, &q, on_target, &t, NULL);
    lists_view_fini(&view);
    *fits = t.there && (t.same || e->type == ENTRY_CORRECTION);
    return err == ERR_OK ? t.err : err;
}

static enum err check_own(const struct api_env *env, const struct entry *e,
                          const struct listing_facts *f, struct errmsg *why)
{
    bool fits;
    enum err err = find_target(env, e, f, &fits);
    if (err != ERR_OK) {
        return err_set(why, err, "what is in force cannot be read now: %s",
                       err_text(err));
    }
    return fits ? ERR_OK
                : err_set(why, ERR_DENIED,
                          "is about another listing than its values say, or "
                          "about none that is in force [not-listed]");
}

static enum err check_other(const struct lawful *l, const struct entry *e,
                            const struct listing_facts *f, struct errmsg *why)
{
    const struct below_listing below = {
        .place = f->target, .subject = e->subject, .list = f->list};
    struct errmsg note;
    if (!listing_may_end(l->env->self.code, f->target.log.origin)) {
        return err_set(why, ERR_DENIED,
                       "is about a listing of %012llu, which is not below this "
                       "node [not-listed]",
                       (unsigned long long)f->target.log.origin);
    }
    enum err err = below_listing_check(l->env, &below, &note, why);
    if (err == ERR_OK && note.text[0] != 0) {
        l->note(l->ctx, note.text);
    }
    return err;
}

static enum err check_target(const struct lawful *l, const struct entry *e,
                             size_t number, struct errmsg *why)
{
    struct listing_facts f;
    struct errmsg what;
    if (e->type == ENTRY_LISTING ||
        listing_facts(e, l->env->self.code, &f) != ERR_OK) {
        return ERR_OK;
    }
    enum err err = f.target.log.origin == l->env->self.code
                       ? check_own(l->env, e, &f, &what)
                       : check_other(l, e, &f, &what);
    return err == ERR_OK ? ERR_OK
                         : err_set(why, err, "entry %zu of the package: %s",
                                   number, what.text);
}

/* What is none is void at every node, or takes the package apart as the end of
 * another one would. */
static bool take_decision(struct slice bytes, struct entry *out)
{
    return entry_decode(bytes, out) == ERR_OK &&
           (listing_is_type(out->type) || out->type == ENTRY_NODE ||
            out->type == ENTRY_CATALOGUE || out->type == ENTRY_MEASURE);
}

static enum err check_entry(const struct lawful *l, struct slice bytes,
                            size_t number, struct errmsg *why)
{
    const struct api_env *env = l->env;
    struct entry e;
    if (!take_decision(bytes, &e)) {
        return err_set(why, ERR_DENIED,
                       "entry %zu of the package: no decision that this build "
                       "knows [malformed]",
                       number);
    }
    if (listing_is_type(e.type)) {
        enum err err = check_listing(env, &e, number, why);
        return err == ERR_OK ? check_target(l, &e, number, why) : err;
    }
    const char *rule = directive_rule_fault(env, &e);
    if (rule != NULL) {
        return err_set(why, ERR_DENIED, "entry %zu of the package: %s [%s]",
                       number, catalogue_change_text(rule), rule);
    }
    const char *fault = text_fault(&e);
    return fault == NULL
               ? ERR_OK
               : err_set(why, ERR_DENIED, "entry %zu of the package: a text %s",
                         number, fault);
}

enum err directive_check_lawful(const struct api_env *env,
                                const struct package *package,
                                lawful_note_fn *note, void *ctx,
                                struct errmsg *why)
{
    const struct lawful l = {env, note, ctx};
    enum err err = ERR_OK;
    if (package->head.issuer != env->self.code) {
        return ERR_OK; /* the store refuses it, for what it is */
    }
    for (size_t i = 0; err == ERR_OK && i < package->head.entries; i++) {
        err = check_entry(&l, package->entries[i], i + 1, why);
    }
    return err;
}
