/* Catalogue versions and measures: preparing them from a JSON file, and what is
 * in force. docs/catalogue.md describes the files. */
#include <stdio.h>
#include <string.h>

#include "api/directives.h"
#include "base/clock.h"
#include "base/mem.h"
#include "credit/catalogue_change.h"
#include "credit/clean.h"
#include "credit/date.h"
#include "credit/measure.h"
#include "credit/package.h"
#include "ident/ident.h"

enum { RULES_FILE_MAX = 1 << 20, PATH_MAX_BYTES = 64 };

/* ---- reading JSON ---- */

/* What stands where; the first fault is kept. */
struct place {
    char path[PATH_MAX_BYTES];
    struct errmsg *why;
};

static enum err fault(const struct place *p, const char *key, const char *text)
{
    return err_set(p->why, ERR_INVALID, "%s%s%s: %s", p->path,
                   p->path[0] != 0 && key[0] != 0 ? "." : "", key, text);
}

/* A key that is not read is a typing error. */
static enum err check_keys(const struct place *p, json_t *object,
                           const char *const *known, size_t n)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object)) {
        return fault(p, "", "must be an object");
    }
    json_object_foreach(object, key, value)
    {
        bool is = false;
        for (size_t i = 0; i < n; i++) {
            is = is || strcmp(key, known[i]) == 0;
        }
        if (!is) {
            return fault(p, key, "is unknown");
        }
    }
    return ERR_OK;
}

/* Nothing if it is not there. `out` owns its text. */
static enum err take_text(const struct place *p, json_t *object,
                          const char *key, char **out)
{
    json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    if (value == NULL) {
        return ERR_OK;
    }
    if (text == NULL || text[0] == 0 || strlen(text) > CHANGE_BASIS_MAX) {
        return fault(p, key, "must be a text of 1 to 500 bytes");
    }
    const char *unclean = clean_fault(slice_str(text));
    if (unclean != NULL) {
        return fault(p, key, unclean);
    }
    mem_free(*out);
    *out = mem_dup(text, strlen(text) + 1);
    return ERR_OK;
}

static enum err take_number(const struct place *p, json_t *object,
                            const char *key, unsigned plus, unsigned *out)
{
    json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);
    if (value == NULL) {
        return ERR_OK;
    }
    if (!json_is_integer(value) || number < 0 || number >= UINT16_MAX) {
        return fault(p, key, "must be a whole number from 0 to 65534");
    }
    *out = (unsigned)number + plus;
    return ERR_OK;
}

/* A word of `words` as its number. */
static enum err take_word(const struct place *p, json_t *object,
                          const char *key, const char *const *words, size_t n,
                          unsigned plus, unsigned *out)
{
    const char *text = json_string_value(json_object_get(object, key));
    struct buf all = BUF_INIT;
    if (json_object_get(object, key) == NULL) {
        return ERR_OK;
    }
    for (size_t i = 0; text != NULL && i < n; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (unsigned)i + plus;
            return ERR_OK;
        }
    }
    for (size_t i = 0; i < n; i++) {
        buf_putf(&all, "%s%s", i > 0 ? ", " : "must be one of ", words[i]);
    }
    enum err err = fault(p, key, buf_cstr(&all));
    buf_fini(&all);
    return err;
}

/* ---- a catalogue version ---- */

static enum err take_words(const struct place *p, json_t *object,
                           struct change_field *out)
{
    json_t *words = json_object_get(object, "words");
    size_t i;
    json_t *word;
    if (words != NULL && !json_is_array(words)) {
        return fault(p, "words", "must be a list of texts");
    }
    json_array_foreach(words, i, word)
    {
        const char *text = json_string_value(word);
        if (text == NULL || text[0] == 0 ||
            !change_add_word(out, slice_str(text))) {
            return fault(p, "words", "must be up to 64 texts");
        }
        const char *unclean = clean_fault(slice_str(text));
        if (unclean != NULL) {
            return fault(p, "words", unclean);
        }
    }
    return ERR_OK;
}

/* A field that all kinds share need not be told anew what it is. */
static void complete(struct change_field *f)
{
    const struct catalogue_field *known =
        catalogue_known_field(catalogue_now(), f->id);
    if (f->code[0] != 0 && f->type == 0 && known != NULL) {
        f->type = (unsigned)known->type + 1;
        f->personal = (unsigned)known->personal;
        f->max_chars = f->max_chars != 0 ? f->max_chars : known->max_chars;
    }
}

static enum err take_field(const struct place *p, json_t *o,
                           struct change_kind *kind)
{
    static const char *const keys[] = {
        "id",  "column", "label",    "label_en",   "headers", "type",
        "max", "need",   "personal", "disclosure", "words"};
    struct change_field *f = change_add_field(kind);
    unsigned id = 0;
    if (f == NULL) {
        return fault(p, "", "more than 64 fields");
    }
    enum err err = check_keys(p, o, keys, ARRAY_LEN(keys));
    const struct {
        const char *key;
        char **to;
    } texts[] = {{"column", &f->code},
                 {"label", &f->label_zh},
                 {"label_en", &f->label_en},
                 {"headers", &f->names_more}};
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(texts); i++) {
        err = take_text(p, o, texts[i].key, texts[i].to);
    }
    const struct {
        const char *key;
        const char *const *words;
        size_t n;
        unsigned plus;
        unsigned *to;
    } words[] = {{"type", change_types, TYPE_COUNT, 1, &f->type},
                 {"need", change_needs, ARRAY_LEN(change_needs), 0, &f->need},
                 {"personal", change_personals, ARRAY_LEN(change_personals), 0,
                  &f->personal},
                 {"disclosure", change_disclosures,
                  ARRAY_LEN(change_disclosures), 1, &f->disclosure}};
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(words); i++) {
        err = take_word(p, o, words[i].key, words[i].words, words[i].n,
                        words[i].plus, words[i].to);
    }
    err = err == ERR_OK ? take_number(p, o, "id", 0, &id) : err;
    err = err == ERR_OK ? take_number(p, o, "max", 0, &f->max_chars) : err;
    err = err == ERR_OK ? take_words(p, o, f) : err;
    f->id = (uint16_t)id;
    complete(f);
    return err;
}

static enum err take_fields(const struct place *p, json_t *fields,
                            struct change_kind *kind)
{
    size_t i;
    json_t *field;
    enum err err = ERR_OK;
    if (fields != NULL && !json_is_array(fields)) {
        return fault(p, "fields", "must be a list");
    }
    json_array_foreach(fields, i, field)
    {
        struct place at = {.why = p->why};
        (void)snprintf(at.path, sizeof at.path, "%.30s.fields[%zu]", p->path,
                       i);
        err = err == ERR_OK ? take_field(&at, field, kind) : err;
    }
    return err;
}

static enum err take_kind(const struct place *p, json_t *o,
                          struct catalogue_change *change)
{
    static const char *const keys[] = {
        "id",    "name", "label", "label_en", "disclosure", "retention_months",
        "fields"};
    struct change_kind *k = change_add_kind(change);
    unsigned id = 0;
    if (k == NULL) {
        return fault(p, "", "more than 8 kinds: make several versions");
    }
    enum err err = check_keys(p, o, keys, ARRAY_LEN(keys));
    err = err == ERR_OK ? take_number(p, o, "id", 0, &id) : err;
    err = err == ERR_OK ? take_text(p, o, "name", &k->name) : err;
    err = err == ERR_OK ? take_text(p, o, "label", &k->label_zh) : err;
    err = err == ERR_OK ? take_text(p, o, "label_en", &k->label_en) : err;
    err = err == ERR_OK
              ? take_word(p, o, "disclosure", change_disclosures,
                          ARRAY_LEN(change_disclosures), 1, &k->disclosure)
              : err;
    err = err == ERR_OK
              ? take_number(p, o, "retention_months", 1, &k->retention)
              : err;
    k->id = (uint16_t)id;
    return err == ERR_OK ? take_fields(p, json_object_get(o, "fields"), k)
                         : err;
}

static enum err take_change(json_t *o, struct catalogue_change *change,
                            struct errmsg *why)
{
    static const char *const keys[] = {"basis", "kinds"};
    struct place p = {.why = why};
    json_t *kinds = json_object_get(o, "kinds");
    size_t i;
    json_t *kind;
    enum err err = check_keys(&p, o, keys, ARRAY_LEN(keys));
    err = err == ERR_OK ? take_text(&p, o, "basis", &change->basis) : err;
    if (err == ERR_OK && (change->basis == NULL || !json_is_array(kinds) ||
                          json_array_size(kinds) == 0)) {
        err = fault(&p, "",
                    "the file needs basis, by what law or decision the "
                    "catalogue changes, and kinds, a list");
    }
    json_array_foreach(kinds, i, kind)
    {
        (void)snprintf(p.path, sizeof p.path, "kinds[%zu]", i);
        err = err == ERR_OK ? take_kind(&p, kind, change) : err;
    }
    return err;
}

static enum err say_rule(const char *where, const char *rule,
                         struct errmsg *why)
{
    return err_set(why, ERR_INVALID, "%s: %s / %s [%s]", where,
                   catalogue_change_text(rule), catalogue_change_text_zh(rule),
                   rule);
}

/* What this node may publish, as the holders will judge it. */
static enum err check_change(const struct api_env *env,
                             const struct catalogue_change *change,
                             const struct entry *e, struct errmsg *why)
{
    char where[CHANGE_WHERE_MAX];
    struct catalogue_change again;
    if (!store_is_highest(env->store, env->self.code)) {
        return say_rule("this node", "not-highest", why);
    }
    const char *rule = catalogue_change_fault(catalogue_now(), change, where);
    if (rule != NULL) {
        return say_rule(where, rule, why);
    }
    enum err err = catalogue_change_take(e, &again);
    catalogue_change_fini(&again);
    return err == ERR_OK
               ? ERR_OK
               : err_set(why, ERR_INVALID,
                         "texts: up to 160 bytes, basis 500, without control "
                         "characters and citizen numbers");
}

static void add_entry(struct buf *bytes, size_t *len, const struct entry *e)
{
    size_t before = bytes->len;
    entry_encode(e, bytes);
    *len = bytes->len - before;
}

static enum err make_change(const struct api_env *env, json_t *file,
                            struct package **out, struct errmsg *why)
{
    struct catalogue_change change = {.at_ms = clock_wall_ms(),
                                      .version = catalogue_now()->version + 1};
    struct buf room = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct entry e;
    size_t len = 0;
    change.decided = date_from_ms(change.at_ms);
    enum err err = take_change(file, &change, why);
    if (err == ERR_OK) {
        catalogue_change_to_entry(&change, &room, &e);
        err = e.body.len > RECORD_BODY_MAX
                  ? err_set(why, ERR_TOO_LARGE,
                            "the version is too large: make several")
                  : check_change(env, &change, &e, why);
    }
    if (err == ERR_OK) {
        add_entry(&bytes, &len, &e);
        const struct slice one = buf_slice(&bytes);
        err = prepare_package(env, change.at_ms, &one, 1, out);
    }
    catalogue_change_fini(&change);
    buf_fini(&room);
    buf_fini(&bytes);
    return err;
}

/* ---- measures ---- */

static enum err copy_text(const struct place *p, json_t *o, const char *key,
                          char *out, size_t size)
{
    json_t *value = json_object_get(o, key);
    const char *text = value != NULL ? json_string_value(value) : "";
    if (text == NULL || strlen(text) >= size) {
        return fault(p, key, "must be a text, and not so long");
    }
    memcpy(out, text, strlen(text) + 1);
    const char *unclean = clean_fault(slice_str(text));
    return unclean == NULL ? ERR_OK : fault(p, key, unclean);
}

static enum err take_date(const struct place *p, json_t *o, const char *key,
                          uint32_t *out)
{
    const char *text = json_string_value(json_object_get(o, key));
    enum date_form form = date_parse(slice_str(text != NULL ? text : ""), out);
    if (form == DATE_OPEN) {
        *out = 0;
    }
    return form == DATE_DAY || form == DATE_OPEN || form == DATE_NONE
               ? ERR_OK
               : fault(p, key, "must be a day such as 2026-03-01");
}

/* Of the same id known here, the next; an authority above has its own. */
static const char *next_revision(const struct api_env *env, struct measure *m)
{
    struct measure old;
    m->revision = 1;
    if (!measures_find(slice_str(m->id), &old)) {
        return NULL;
    }
    if (old.issuer == env->self.code) {
        m->revision = old.revision + 1;
        return NULL;
    }
    return "measure-taken";
}

static enum err take_measure(const struct api_env *env, const struct place *p,
                             json_t *o, struct measure *m)
{
    static const char *const keys[] = {"id",    "name", "name_en",
                                       "basis", "from", "until"};
    enum err err = check_keys(p, o, keys, ARRAY_LEN(keys));
    err = err == ERR_OK ? copy_text(p, o, "id", m->id, sizeof m->id) : err;
    err = err == ERR_OK ? copy_text(p, o, "name", m->name_zh, sizeof m->name_zh)
                        : err;
    err = err == ERR_OK
              ? copy_text(p, o, "name_en", m->name_en, sizeof m->name_en)
              : err;
    err = err == ERR_OK ? copy_text(p, o, "basis", m->basis, sizeof m->basis)
                        : err;
    err = err == ERR_OK ? take_date(p, o, "from", &m->from) : err;
    err = err == ERR_OK ? take_date(p, o, "until", &m->until) : err;
    if (err != ERR_OK) {
        return err;
    }
    const char *rule = next_revision(env, m);
    if (rule != NULL) {
        return say_rule(p->path, rule, p->why);
    }
    rule = measure_fault(m);
    return rule == NULL ? ERR_OK : fault(p, "", rule);
}

struct making {
    struct measure *all;
    struct buf bytes;
    size_t *lens;
    size_t n;
};

static enum err add_measure(const struct api_env *env, const struct place *p,
                            json_t *o, int64_t now_ms, struct making *making)
{
    struct measure *m = &making->all[making->n];
    struct buf room = BUF_INIT;
    struct entry e;
    *m = (struct measure){.at_ms = now_ms,
                          .decided = date_from_ms(now_ms),
                          .issuer = env->self.code};
    enum err err = take_measure(env, p, o, m);
    for (size_t i = 0; err == ERR_OK && i < making->n; i++) {
        if (strcmp(making->all[i].id, m->id) == 0) {
            err = fault(p, "id", "stands twice in the file");
        }
    }
    if (err == ERR_OK) {
        measure_to_entry(m, &room, &e);
        add_entry(&making->bytes, &making->lens[making->n++], &e);
    }
    buf_fini(&room);
    return err;
}

static enum err finish(const struct api_env *env, const struct making *making,
                       int64_t now_ms, struct package **out)
{
    struct slice *entries = mem_zalloc(making->n, sizeof *entries);
    for (size_t i = 0, at = 0; i < making->n; at += making->lens[i++]) {
        entries[i] = slice_of(making->bytes.data + at, making->lens[i]);
    }
    enum err err = prepare_package(env, now_ms, entries, making->n, out);
    mem_free(entries);
    return err;
}

static enum err make_measures(const struct api_env *env, json_t *file,
                              struct package **out, struct errmsg *why)
{
    static const char *const keys[] = {"measures"};
    struct place p = {.why = why};
    json_t *list = json_object_get(file, "measures");
    size_t n = json_array_size(list);
    int64_t now_ms = clock_wall_ms();
    size_t i;
    json_t *o;
    enum err err = check_keys(&p, file, keys, ARRAY_LEN(keys));
    if (err == ERR_OK && (n == 0 || n > MEASURES_MAX)) {
        err = fault(&p, "measures", "must be a list of 1 to 4096");
    }
    if (err != ERR_OK) {
        return err;
    }
    struct making making = {.all = mem_zalloc(n, sizeof *making.all),
                            .lens = mem_zalloc(n, sizeof *making.lens)};
    json_array_foreach(list, i, o)
    {
        (void)snprintf(p.path, sizeof p.path, "measures[%zu]", i);
        err = err == ERR_OK ? add_measure(env, &p, o, now_ms, &making) : err;
    }
    if (err == ERR_OK) {
        err = finish(env, &making, now_ms, out);
    }
    mem_free(making.all);
    mem_free(making.lens);
    buf_fini(&making.bytes);
    return err;
}

/* ---- the commands ---- */

typedef enum err make_fn(const struct api_env *env, json_t *file,
                         struct package **out, struct errmsg *why);

static enum err prepare_rules(const struct api_env *env,
                              struct admin_call *call, make_fn *make,
                              json_t **result, struct errmsg *why)
{
    struct buf text = BUF_INIT;
    struct buf out = BUF_INIT;
    struct package *package = NULL;
    json_error_t bad;
    json_t *file = NULL;
    enum err err = directive_read_file(call, RULES_FILE_MAX, &text, why);
    if (err == ERR_OK) {
        err = directive_check_issuer(env, why);
    }
    if (err == ERR_OK) {
        file = json_loadb((const char *)text.data, text.len,
                          JSON_REJECT_DUPLICATES, &bad);
        err = file != NULL ? make(env, file, &package, why)
                           : err_set(why, ERR_INVALID,
                                     "line %d: not JSON in UTF-8: %.80s",
                                     bad.line, bad.text);
    }
    if (err == ERR_OK && package != NULL) {
        package_put(package, &out);
        directive_send_file(call, buf_slice(&out));
        *result = json_pack("{s:I, s:i}", "rows",
                            (json_int_t)package->head.entries, "refused", 0);
    }
    package_free(&package);
    json_decref(file);
    buf_fini(&text);
    buf_fini(&out);
    return err;
}

enum err directive_catalogue(void *ctx, struct admin_call *call, json_t *args,
                             json_t **result, struct errmsg *why)
{
    (void)args;
    return prepare_rules(ctx, call, make_change, result, why);
}

enum err directive_measure(void *ctx, struct admin_call *call, json_t *args,
                           json_t **result, struct errmsg *why)
{
    (void)args;
    return prepare_rules(ctx, call, make_measures, result, why);
}

static const char *measure_rule(const struct api_env *env,
                                const struct entry *e)
{
    struct measure m;
    struct measure next;
    if (measure_take(e, env->self.code, &m) != ERR_OK) {
        return "malformed";
    }
    next = m;
    const char *rule = next_revision(env, &next);
    return rule == NULL && next.revision != m.revision ? "version-order" : rule;
}

const char *directive_rule_fault(const struct api_env *env,
                                 const struct entry *e)
{
    struct catalogue_change change;
    if (e->type == ENTRY_MEASURE) {
        return measure_rule(env, e);
    }
    if (e->type != ENTRY_CATALOGUE) {
        return NULL;
    }
    if (catalogue_change_take(e, &change) != ERR_OK) {
        return "malformed";
    }
    const char *rule =
        store_is_highest(env->store, env->self.code)
            ? catalogue_change_fault(catalogue_now(), &change, NULL)
            : "not-highest";
    catalogue_change_fini(&change);
    return rule;
}

/* ---- in force ---- */

static json_t *words_json(const struct enum_list *list)
{
    json_t *words = json_array();
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        if (strcmp(list->words[i].word, list->words[i].text) == 0) {
            (void)json_array_append_new(words,
                                        json_string(list->words[i].text));
        }
    }
    return words;
}

static const char *need_name(enum field_need need)
{
    static const char *const names[] = {"no", "always", "organisations",
                                        "persons", "some kinds"};
    return names[need];
}

static json_t *kind_json(const struct catalogue_item *item)
{
    json_t *fields = json_array();
    for (size_t i = 0; i < item->count; i++) {
        const struct catalogue_field *f = &item->fields[i];
        (void)json_array_append_new(
            fields,
            json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:o}",
                      "id", (int)f->id, "column",
                      f->code != NULL ? f->code : "", "label", f->label_zh,
                      "label_en", f->label_en, "type", change_types[f->type],
                      "max", (int)f->max_chars, "need", need_name(f->need),
                      "personal", change_personals[f->personal], "disclosure",
                      change_disclosures[f->disclosure], "words",
                      words_json(f->values)));
    }
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:I, s:o}",
                     "type", "row", "what", "kind", "id", (int)item->id, "name",
                     item->name, "label", item->label_zh, "label_en",
                     item->label_en, "disclosure",
                     change_disclosures[item->disclosure], "retention_months",
                     (int)item->retention_months, "since",
                     (json_int_t)item->since, "fields", fields);
}

static json_t *measure_json(const struct measure *m)
{
    char from[11];
    char until[11];
    char issuer[CODE_LEN + 1];
    date_format(m->from, from);
    date_format(m->until, until);
    code_format(m->issuer, issuer);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s}",
                     "type", "row", "what", "measure", "id", m->id, "name",
                     m->name_zh, "name_en", m->name_en, "basis", m->basis,
                     "from", from, "until", until, "revision",
                     (json_int_t)m->revision, "issuer", issuer);
}

static bool add_rule(void *ctx, const struct store_rule *rule)
{
    json_t *row;
    char log[LOG_ID_TEXT_MAX];
    char issuer[CODE_LEN + 1];
    char day[11];
    if (rule->type == ENTRY_MEASURE && rule->fault == NULL) {
        return true;
    }
    log_id_format(&rule->log, log);
    code_format(rule->log.origin, issuer);
    date_format(rule->decided, day);
    row = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "of",
                    rule->type == ENTRY_CATALOGUE ? "catalogue" : "measure",
                    "issuer", issuer, "decided", day, "log", log, "number",
                    (json_int_t)rule->number, "version",
                    (json_int_t)rule->version, "fault",
                    rule->fault != NULL ? rule->fault : "");
    if (rule->fault != NULL) {
        (void)json_object_set_new(
            row, "text", json_string(catalogue_change_text(rule->fault)));
        (void)json_object_set_new(
            row, "text_zh", json_string(catalogue_change_text_zh(rule->fault)));
    }
    (void)json_array_append_new(ctx, row);
    return json_array_size(ctx) < 1000;
}

enum err catalogue_show(void *ctx, struct admin_call *call, json_t *args,
                        json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    const struct catalogue *c = catalogue_now();
    struct measure m;
    json_t *versions = json_array();
    (void)args;
    (void)why;
    for (size_t i = 0; i < c->items_n; i++) {
        (void)admin_send(call, kind_json(c->items[i]));
    }
    for (size_t i = 0; measures_at(i, &m); i++) {
        (void)admin_send(call, measure_json(&m));
    }
    store_rules(env->store, add_rule, versions);
    *result =
        json_pack("{s:i, s:I, s:o}", "builtin", CATALOGUE_VERSION, "version",
                  (json_int_t)c->version, "versions", versions);
    return ERR_OK;
}
