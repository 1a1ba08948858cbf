#include <string.h>

#include "api/directives.h"
#include "api/query.h"
#include "base/clock.h"
#include "base/mem.h"
#include "credit/date.h"
#include "credit/division.h"
#include "credit/uscc.h"
#include "ident/rootchain.h"
#include "store/stamp.h"

static json_t *code_json(uint64_t code)
{
    char text[CODE_LEN + 1];
    code_format(code, text);
    return json_string(text);
}

static void set_log(json_t *object, const struct log_id *log)
{
    char text[LOG_ID_TEXT_MAX];
    log_id_format(log, text);
    (void)json_object_set_new(object, "log", json_string(text));
    (void)json_object_set_new(object, "issuer", code_json(log->origin));
}

/* What this node decided itself: until its lost lists are back it does not know
 * that, nor does a process that another may have followed as the writer, or
 * that could not look at what the writer did. */
static bool knows_own(const struct api_env *env)
{
    uint64_t child;
    return store_up_to_date(env->store) && !feed_lost(env->feed, &child);
}

/* Of a log that stopped the rest is unknown: at an issuer that was put back, as
 * elsewhere. A successor that is here tells how new things are instead. */
void lists_fresh(const struct api_env *env, const struct lists_log *log,
                 struct freshness *out)
{
    bool stopped = log->state == LOG_FORKED || log->state == LOG_PULLING;
    fresh_judge(env->sync->fresh, &log->log, log->ended, out);
    bool own = log->log.origin == env->self.code;
    if (!log->ended && (stopped || (own && !knows_own(env)))) {
        out->state = FRESH_STALE;
    }
}

static bool is_heard(const struct lists_view *view, uint64_t issuer)
{
    for (size_t i = 0; i < view->n; i++) {
        if (view->logs[i].log.origin == issuer) {
            return true;
        }
    }
    return false;
}

/* By the digits of the code, as in listing_counts_at(): a root document may
 * name hundreds of issuers, and each answer asks. The last one is the node
 * itself, whatever its tier. */
size_t lists_unheard(const struct api_env *env, const struct lists_view *view,
                     uint64_t out[LISTS_UNHEARD_MAX])
{
    static const enum tier tiers[LISTS_UNHEARD_MAX] = {
        TIER_NATIONAL, TIER_PROVINCE, TIER_CITY,
        TIER_COUNTY,   TIER_TOWNSHIP, TIER_VILLAGE};
    uint64_t before = UINT64_MAX;
    size_t n = 0;
    for (size_t i = 0; env->roots != NULL && i < ARRAY_LEN(tiers); i++) {
        uint64_t code = division_at(env->self.code, tiers[i]);
        if (code != before && !is_heard(view, code) &&
            rootchain_is_issuer(env->roots, code)) {
            out[n++] = code;
        }
        before = code;
    }
    return n;
}

json_t *lists_unheard_json(const struct api_env *env,
                           const struct lists_view *view)
{
    uint64_t codes[LISTS_UNHEARD_MAX];
    size_t n = lists_unheard(env, view, codes);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(list, code_json(codes[i]));
    }
    return list;
}

json_t *lists_json(const struct api_env *env, const struct lists_view *view)
{
    json_t *list = json_array();
    for (size_t i = 0; i < view->n; i++) {
        const struct lists_log *log = &view->logs[i];
        struct freshness f;
        lists_fresh(env, log, &f);
        json_t *object =
            json_pack("{s:I, s:I, s:s, s:s, s:I, s:I}", "position",
                      (json_int_t)log->visible, "size", (json_int_t)log->size,
                      "state", log_state_name(log->state), "freshness",
                      fresh_state_name(f.state), "signed_ms",
                      (json_int_t)f.signed_ms, "age_ms", (json_int_t)f.age_ms);
        set_log(object, &log->log);
        (void)json_array_append_new(list, object);
    }
    return list;
}

struct listed {
    const struct api_env *env;
    json_t *list;
    enum err err;
};

static json_t *values_json(const struct record *r)
{
    json_t *fields = json_array();
    struct buf value = BUF_INIT;
    for (size_t i = 0; i < r->item->count; i++) {
        const struct catalogue_field *f = &r->item->fields[i];
        buf_clear(&value);
        if (r->values[i].len > 0 &&
            record_show(r, i, 0, RECORD_MASKED, NULL, &value) == ERR_OK) {
            (void)json_array_append_new(
                fields,
                json_pack("{s:s, s:s, s:s, s:s%}", "code", f->code, "label",
                          f->label_zh, "label_en", f->label_en, "value",
                          (const char *)value.data, value.len));
        }
    }
    buf_fini(&value);
    return fields;
}

static void set_values(json_t *object, struct slice bytes)
{
    struct entry e;
    struct record r;
    if (entry_decode(bytes, &e) != ERR_OK || listing_values(&e, &r) != ERR_OK) {
        return;
    }
    (void)json_object_set_new(object, "domain",
                              json_string(domain_name(listing_domain_of(&r))));
    (void)json_object_set_new(object, "fields", values_json(&r));
}

static bool add_listing(void *ctx, const struct store_listing *l)
{
    struct listed *out = ctx;
    struct buf bytes = BUF_INIT;
    const struct catalogue_list *list = catalogue_list(l->list);
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "list",
                  (int)l->list, "name", list != NULL ? list->name : "", "label",
                  list != NULL ? list->label_zh : "", "label_en",
                  list != NULL ? list->label_en : "", "colour",
                  list != NULL ? colour_name(list->colour) : "", "decided",
                  (json_int_t)l->decided, "from", (json_int_t)l->from, "until",
                  (json_int_t)l->until, "number", (json_int_t)l->number);
    set_log(object, &l->log);
    out->err = store_entry(out->env->store, &l->text_log, l->text, &bytes);
    if (out->err == ERR_OK) {
        set_values(object, buf_slice(&bytes));
    }
    buf_fini(&bytes);
    (void)json_array_append_new(out->list, object);
    return out->err == ERR_OK;
}

enum err listed_json(const struct api_env *env, const struct lists_view *view,
                     const char *subject, json_t **out, struct errmsg *why)
{
    char code[USCC_LEN + 1];
    struct subject_key key;
    *out = NULL;
    if (uscc_read(slice_str(subject), code) != USCC_OK) {
        return err_set(why, ERR_INVALID, "no unified social credit code");
    }
    subject_key_org(&key, SUBJECT_USCC, slice_str(code));
    const struct listing_query q = {
        .view = view, .subject = &key, .today = date_from_ms(clock_wall_ms())};
    struct listed found = {.env = env, .list = json_array()};
    enum err err = store_listings(env->store, &q, add_listing, &found, NULL);
    err = err == ERR_OK ? found.err : err;
    if (err != ERR_OK) {
        json_decref(found.list);
        return api_unread(err, "the store", why);
    }
    *out = found.list;
    return ERR_OK;
}
