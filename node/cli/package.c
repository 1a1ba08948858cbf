/* A package of directives as a file and on the terminal. */
#include "cli/package.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/lists.h"
#include "credit/catalogue_change.h"
#include "credit/date.h"
#include "credit/listing.h"
#include "credit/measure.h"
#include "credit/registry.h"
#include "ident/ident.h"

enum {
    FILE_MODE = 0644,
    SHOWN = 50, /* entries of a package to who has just made it */
};

/* ---- files ---- */

int cli_package_load(const char *path, struct package **out)
{
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    enum err err = file_read(path, PACKAGE_FILE_MAX, &bytes, &why);
    if (err == ERR_OK) {
        err = package_parse(out, buf_slice(&bytes), path, &why);
    }
    buf_fini(&bytes);
    return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
}

int cli_package_store(const char *path, const struct package *package)
{
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    package_put(package, &bytes);
    enum err err = file_replace(path, buf_slice(&bytes), FILE_MODE, &why);
    buf_fini(&bytes);
    return err == ERR_OK ? EXIT_OK : cli_fail("%s", why.text);
}

/* ---- showing ---- */

static const char *what(uint8_t type, bool english)
{
    static const char *const names[][2] = {
        {"列入", "goes on"}, {"更正", "corrected"}, {"移出", "comes off"}};
    size_t at = (size_t)type - ENTRY_LISTING;
    return at < ARRAY_LEN(names) ? names[at][english] : "?";
}

static void log_of(const struct registry_decision *d, char out[LOG_ID_TEXT_MAX])
{
    const struct log_id log = registry_log(d);
    log_id_format(&log, out);
}

/* All that is decided beside the node: whoever signs signs that. */
static void say_more(const struct registry_decision *d, bool english, char *out,
                     size_t size)
{
    char log[LOG_ID_TEXT_MAX];
    char root[2 * HASH_LEN + 1];
    log_of(d, log);
    str_hex(d->root.b, HASH_LEN, root);
    if (d->what == REGISTRY_PARENT) {
        (void)snprintf(out, size, "%012llu", (unsigned long long)d->parent);
    } else if (d->what == REGISTRY_SEALED) {
        (void)snprintf(out, size,
                       english ? "%s at %llu, root %s" : "%s 第 %llu 条，根 %s",
                       log, (unsigned long long)d->size, root);
    } else {
        (void)snprintf(out, size, "%s", registry_is_of_log(d->what) ? log : "");
    }
}

/* Nothing is added if it is none about a node. */
static void add_node_entry(struct cli_table *t, const struct entry *e,
                           bool english)
{
    static const char *const names[][2] = {{"", ""},
                                           {"撤销", "revoked"},
                                           {"恢复", "restored"},
                                           {"改属", "moves to"},
                                           {"封存", "sealed"},
                                           {"启封", "unsealed"}};
    struct registry_decision d;
    char code[CODE_LEN + 1];
    char more[LOG_ID_TEXT_MAX + 2 * HASH_LEN + 32];
    char day[11];
    char reason[REGISTRY_REASON_MAX + 1];
    /* Who prepared it is checked by the node; any issuer will do here. */
    if (registry_take(e, 0, &d) != ERR_OK) {
        return;
    }
    code_format(d.code, code);
    say_more(&d, english, more, sizeof more);
    date_format(d.decided, day);
    (void)snprintf(reason, sizeof reason, "%.*s", (int)d.reason.len,
                   (const char *)d.reason.data);
    const char *cells[] = {names[d.what][english], code, more, day, reason};
    cli_table_row(t, cells);
}

/* ---- catalogue versions and measures ---- */

/* What is no UTF-8 is shown all the same. */
static json_t *text_json(struct slice text)
{
    char *copy = mem_dup(text.data, text.len);
    bool valid = str_utf8_valid(text);
    json_t *json =
        json_stringn(copy, valid ? text.len : str_tame(copy, text.len));
    mem_free(copy);
    return json;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text[0] != 0) {
        (void)json_object_set_new(object, key, json_string(text));
    }
}

static void set_number(json_t *object, const char *key, unsigned value,
                       unsigned plus)
{
    if (value >= plus) {
        (void)json_object_set_new(object, key,
                                  json_integer((json_int_t)value - plus));
    }
}

/* A later build's as its number. */
static void set_word(json_t *object, const char *key, const char *const *words,
                     size_t n, unsigned value, unsigned plus)
{
    if (value >= plus && value - plus < n) {
        (void)json_object_set_new(object, key,
                                  json_string(words[value - plus]));
    } else {
        set_number(object, key, value, plus);
    }
}

/* All that is given, by the keys of the file that it was made of. Of a field
 * that is there only what changes is given. */
static json_t *change_field_json(const struct change_field *f)
{
    json_t *o = json_pack("{s:i}", "id", (int)f->id);
    bool is_new = f->type != 0;
    set_word(o, "disclosure", change_disclosures, ARRAY_LEN(change_disclosures),
             f->disclosure, 1);
    set_word(o, "type", change_types, TYPE_COUNT, f->type, 1);
    set_number(o, "max", f->max_chars, is_new ? 0 : 1);
    set_word(o, "need", change_needs, ARRAY_LEN(change_needs), f->need,
             is_new ? 0 : 1);
    set_word(o, "personal", change_personals, ARRAY_LEN(change_personals),
             f->personal, is_new ? 0 : 1);
    set_text(o, "column", f->code);
    set_text(o, "label", f->label_zh);
    set_text(o, "label_en", f->label_en);
    set_text(o, "headers", f->names_more);
    if (f->words_n > 0) {
        json_t *words = json_array();
        for (size_t i = 0; i < f->words_n; i++) {
            (void)json_array_append_new(words, json_string(f->words[i]));
        }
        (void)json_object_set_new(o, "words", words);
    }
    return o;
}

static json_t *change_kind_json(const struct change_kind *k)
{
    json_t *o = json_pack("{s:i}", "id", (int)k->id);
    set_word(o, "disclosure", change_disclosures, ARRAY_LEN(change_disclosures),
             k->disclosure, 1);
    set_number(o, "retention_months", k->retention, 1);
    set_text(o, "name", k->name);
    set_text(o, "label", k->label_zh);
    set_text(o, "label_en", k->label_en);
    if (k->fields_n > 0) {
        json_t *fields = json_array();
        for (size_t i = 0; i < k->fields_n; i++) {
            (void)json_array_append_new(fields,
                                        change_field_json(&k->fields[i]));
        }
        (void)json_object_set_new(o, "fields", fields);
    }
    return o;
}

/* NULL: it is neither a catalogue version nor a measure. */
static json_t *rule_entry_json(const struct entry *e)
{
    struct catalogue_change change;
    struct measure m;
    char from[11];
    char until[11];
    if (measure_take(e, 0, &m) == ERR_OK) {
        date_format(m.from, from);
        date_format(m.until, until);
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "what",
                         "measure", "id", m.id, "name", m.name_zh, "name_en",
                         m.name_en, "basis", m.basis, "from", from, "until",
                         until, "version", (json_int_t)m.revision);
    }
    if (catalogue_change_take(e, &change) != ERR_OK) {
        return NULL;
    }
    json_t *kinds = json_array();
    for (size_t i = 0; i < change.kinds_n; i++) {
        (void)json_array_append_new(kinds, change_kind_json(&change.kinds[i]));
    }
    json_t *row = json_pack("{s:s, s:I, s:s, s:o}", "what", "catalogue",
                            "version", (json_int_t)change.version, "basis",
                            change.basis, "kinds", kinds);
    catalogue_change_fini(&change);
    return row;
}

static void put_value(struct buf *out, json_t *value)
{
    char text[4 * CHANGE_TEXT_MAX];
    size_t i;
    json_t *word;
    if (json_is_integer(value)) {
        buf_putf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_string(value)) {
        str_quotable(slice_str(json_string_value(value)), text, sizeof text);
        buf_putf(out, "\"%s\"", text);
    }
    json_array_foreach(value, i, word)
    {
        buf_put_str(out, i > 0 ? "|" : "");
        put_value(out, word);
    }
}

/* disclosure="public" max=32 …: a text cannot look like another member. */
static void put_members(struct buf *out, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (strcmp(key, "id") != 0 && strcmp(key, "fields") != 0) {
            buf_putf(out, " %s=", key);
            put_value(out, value);
        }
    }
}

/* What is built in has a name that everybody knows; "" without. */
static const char *known_label(uint16_t kind, uint16_t field, bool english)
{
    const struct catalogue_item *item =
        catalogue_item_of(catalogue_builtin(), kind);
    size_t place =
        item != NULL && field != 0 ? catalogue_place(item, field) : PLACE_NONE;
    if (field == 0 && item != NULL) {
        return english ? item->label_en : item->label_zh;
    }
    return place == PLACE_NONE ? ""
           : english           ? item->fields[place].label_en
                               : item->fields[place].label_zh;
}

/* A kind, or a field of it, as a row of its own. */
static void add_change_row(struct cli_table *t, uint16_t kind, uint16_t field,
                           json_t *object, bool english)
{
    struct buf what = BUF_INIT;
    if (field == 0) {
        buf_putf(&what, english ? "kind %u" : "信息类别 %u", (unsigned)kind);
    } else {
        buf_putf(&what,
                 english ? "kind %u, field %u" : "信息类别 %u，信息项 %u",
                 (unsigned)kind, (unsigned)field);
    }
    const char *label = known_label(kind, field, english);
    buf_putf(&what, "%s%s:", label[0] != 0 ? " " : "", label);
    put_members(&what, object);
    const char *cells[] = {"", buf_cstr(&what), ""};
    cli_table_row(t, cells);
    buf_fini(&what);
}

static void add_kinds(struct cli_table *t, json_t *kinds, bool english)
{
    size_t i;
    size_t f;
    json_t *kind;
    json_t *field;
    json_array_foreach(kinds, i, kind)
    {
        uint16_t id = (uint16_t)cli_int(kind, "id");
        add_change_row(t, id, 0, kind, english);
        json_array_foreach(json_object_get(kind, "fields"), f, field)
        {
            add_change_row(t, id, (uint16_t)cli_int(field, "id"), field,
                           english);
        }
    }
}

static void add_rule(struct cli_table *t, json_t *row, bool english)
{
    bool measure = strcmp(cli_text(row, "what"), "measure") == 0;
    struct buf name = BUF_INIT;
    struct buf what = BUF_INIT;
    if (measure) {
        buf_putf(&name,
                 english ? "measure %s, revision %lld" : "措施 %s，第 %lld 版",
                 cli_text(row, "id"), cli_int(row, "version"));
        buf_putf(&what, "%s%s%s, %s – %s", cli_text(row, "name"),
                 cli_text(row, "name_en")[0] != 0 ? " / " : "",
                 cli_text(row, "name_en"), cli_text(row, "from"),
                 cli_text(row, "until"));
    } else {
        buf_putf(&name, english ? "catalogue version %lld" : "目录第 %lld 版",
                 cli_int(row, "version"));
    }
    const char *cells[] = {buf_cstr(&name), buf_cstr(&what),
                           cli_text(row, "basis")};
    cli_table_row(t, cells);
    if (!measure) {
        add_kinds(t, json_object_get(row, "kinds"), english);
    }
    buf_fini(&name);
    buf_fini(&what);
}

static void print_rules(const struct package *p, size_t from, size_t to,
                        bool english)
{
    static const char *const en[] = {"", "what", "basis"};
    static const char *const zh[] = {"", "内容", "依据"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    for (size_t i = from; i < to; i++) {
        static const char *const unknown[] = {"?", "", ""};
        struct entry e;
        json_t *row = entry_decode(p->entries[i], &e) == ERR_OK
                          ? rule_entry_json(&e)
                          : NULL;
        if (row != NULL) {
            add_rule(t, row, english);
        } else {
            cli_table_row(t, unknown);
        }
        json_decref(row);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

/* ---- list decisions and nodes ---- */

/* The days it counts; of a removal the day it was decided. */
static void days_of(const struct listing_facts *f, bool english, char *out,
                    size_t size)
{
    char from[11];
    char until[11];
    if (f->type == ENTRY_REMOVAL) {
        date_format(f->decided, from);
        (void)snprintf(out, size, "%s", from);
        return;
    }
    date_format(f->from, from);
    date_format(f->until, until);
    (void)snprintf(out, size, "%s–%s", from,
                   f->until != 0 ? until
                   : english     ? "open"
                                 : "长期");
}

static void add_entry(struct cli_table *t, uint64_t issuer, struct slice bytes,
                      bool english)
{
    struct entry e;
    struct record r;
    struct listing_facts f;
    char days[40];
    char document[520];
    bool decoded = entry_decode(bytes, &e) == ERR_OK;
    if (!decoded || listing_facts(&e, issuer, &f) != ERR_OK ||
        listing_values(&e, &r) != ERR_OK) {
        const char *cells[] = {"?", "", "", "", ""};
        cli_table_row(t, cells);
        return;
    }
    const struct catalogue_list *list = catalogue_list(f.list);
    struct slice no = record_get(&r, FIELD_DOCUMENT_NO);
    (void)snprintf(document, sizeof document, "%.*s", (int)no.len,
                   (const char *)no.data);
    days_of(&f, english, days, sizeof days);
    const char *cells[] = {what(e.type, english),
                           list == NULL ? "?"
                           : english    ? list->label_en
                                        : list->label_zh,
                           r.subject, days, document};
    cli_table_row(t, cells);
}

static void print_lists(const struct package *p, size_t from, size_t to,
                        bool english)
{
    static const char *const en[] = {"", "list", "subject", "days", "document"};
    static const char *const zh[] = {"", "名单", "主体", "日期", "文书号"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    for (size_t i = from; i < to; i++) {
        add_entry(t, p->head.issuer, p->entries[i], english);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

/* The listing that a correction or removal is about; "" of a listing. */
static void about_of(const struct listing_facts *f, char *out, size_t size)
{
    char log[LOG_ID_TEXT_MAX];
    out[0] = 0;
    if (f->type != ENTRY_LISTING) {
        log_id_format(&f->target.log, log);
        (void)snprintf(out, size, "%s#%llu", log,
                       (unsigned long long)f->target.number);
    }
}

static const char *colour_word(const struct catalogue_list *list, bool english)
{
    return cli_colour(list != NULL ? colour_name(list->colour) : "", english);
}

/* Subject and list stand in the line above. */
static void print_values(const struct record *r, bool english)
{
    for (size_t i = 0; i < r->item->count; i++) {
        const struct catalogue_field *f = &r->item->fields[i];
        struct buf value = BUF_INIT;
        if (r->values[i].len > 0 && f->id != FIELD_USCC &&
            f->id != FIELD_LIST &&
            record_show(r, i, 0, RECORD_MASKED, NULL, &value) == ERR_OK) {
            cli_line(stdout, english ? "      %s: %.*s" : "      %s：%.*s",
                     english ? f->label_en : f->label_zh, (int)value.len,
                     (const char *)value.data);
        }
        buf_fini(&value);
    }
}

/* Holders go by the envelope, people read the values. */
static void warn_contradiction(const struct entry *e, bool english)
{
    if (!listing_is_consistent(e)) {
        cli_line(stdout,
                 english ? "      ! subject, list or dates above are not "
                           "those of the values: do not sign this"
                         : "      ! 上面的主体、名单或日期与各项内容不一致："
                           "请勿签名");
    }
}

static void print_whole_entry(const struct package *p, size_t i, bool english)
{
    struct entry e;
    struct record r;
    struct listing_facts f;
    char days[40];
    char about[LOG_ID_TEXT_MAX + 24];
    if (entry_decode(p->entries[i], &e) != ERR_OK ||
        listing_facts(&e, p->head.issuer, &f) != ERR_OK ||
        listing_values(&e, &r) != ERR_OK) {
        cli_line(stdout, "%zu  ?", i + 1);
        return;
    }
    const struct catalogue_list *list = catalogue_list(f.list);
    days_of(&f, english, days, sizeof days);
    about_of(&f, about, sizeof about);
    cli_line(stdout, "%zu  %s  %s (%s)  %s  %s  %s", i + 1,
             what(e.type, english),
             list == NULL ? "?"
             : english    ? list->label_en
                          : list->label_zh,
             colour_word(list, english), r.subject, days, about);
    print_values(&r, english);
    warn_contradiction(&e, english);
}

/* All that is said of each, for who is to sign it. */
static void print_whole_lists(const struct package *p, size_t from, size_t to,
                              bool english)
{
    for (size_t i = from; i < to; i++) {
        print_whole_entry(p, i, english);
    }
}

static void print_decisions(const struct package *p, size_t from, size_t to,
                            const char *const labels[5], bool english)
{
    struct cli_table *t = cli_table_new(labels, 5);
    for (size_t i = from; i < to; i++) {
        struct entry e;
        if (entry_decode(p->entries[i], &e) == ERR_OK) {
            add_node_entry(t, &e, english);
        }
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static void print_nodes(const struct package *p, size_t from, size_t to,
                        bool english)
{
    static const char *const en[] = {"", "node", "new parent", "decided",
                                     "reason"};
    static const char *const zh[] = {"", "节点", "新上级", "决定日期", "理由"};
    print_decisions(p, from, to, english ? en : zh, english);
}

static void print_logs(const struct package *p, size_t from, size_t to,
                       bool english)
{
    static const char *const en[] = {"", "node", "log", "decided", "reason"};
    static const char *const zh[] = {"", "节点", "日志", "决定日期", "理由"};
    print_decisions(p, from, to, english ? en : zh, english);
}

typedef void print_fn(const struct package *p, size_t from, size_t to,
                      bool english);

static print_fn *printer_of(struct slice bytes)
{
    struct entry e;
    struct registry_decision d;
    bool decoded = entry_decode(bytes, &e) == ERR_OK;
    if (decoded && (e.type == ENTRY_CATALOGUE || e.type == ENTRY_MEASURE)) {
        return print_rules;
    }
    if (!decoded || registry_take(&e, 0, &d) != ERR_OK) {
        return print_lists;
    }
    return registry_is_of_log(d.what) ? print_logs : print_nodes;
}

/* In order; each sort has columns of its own. */
static void print_entries(const struct package *p, size_t n, bool all,
                          bool english)
{
    for (size_t i = 0, end; i < n; i = end) {
        print_fn *print = printer_of(p->entries[i]);
        for (end = i + 1; end < n && printer_of(p->entries[end]) == print;) {
            end++;
        }
        (print == print_lists && all ? print_whole_lists : print)(p, i, end,
                                                                  english);
    }
}

void cli_package_print(const struct package *p, bool all, bool english)
{
    char id[2 * PACKAGE_ID_LEN + 1];
    char last[11];
    size_t shown =
        all || p->head.entries < SHOWN ? p->head.entries : (size_t)SHOWN;
    str_hex(p->head.id, PACKAGE_ID_LEN, id);
    date_format(p->head.expires, last);
    (void)printf(english
                     ? "Package %s of %012llu:\n%u entries, %zu signatures, to "
                       "be published by %s\n"
                     : "包 %s，发布节点 %012llu：\n%u 条，签名 %zu 个，"
                       "最迟于 %s 发布\n",
                 id, (unsigned long long)p->head.issuer,
                 (unsigned)p->head.entries, p->signed_by, last);
    print_entries(p, shown, all, english);
    if (p->head.entries > shown) {
        (void)printf(english ? "… and %u more\n" : "…… 另有 %u 条\n",
                     (unsigned)(p->head.entries - shown));
    }
}

/* NULL: it is none about a node. */
static json_t *node_entry_json(const struct entry *e)
{
    struct registry_decision d;
    char code[CODE_LEN + 1];
    char parent[CODE_LEN + 1];
    char log[LOG_ID_TEXT_MAX];
    char root[2 * HASH_LEN + 1];
    if (registry_take(e, 0, &d) != ERR_OK) {
        return NULL;
    }
    code_format(d.code, code);
    code_format(d.parent, parent);
    json_t *row = json_pack("{s:s, s:s, s:s%}", "what",
                            registry_what_name(d.what), "node", code, "reason",
                            (const char *)d.reason.data, d.reason.len);
    if (d.what == REGISTRY_PARENT) {
        (void)json_object_set_new(row, "parent", json_string(parent));
    }
    if (registry_is_of_log(d.what)) {
        log_of(&d, log);
        (void)json_object_set_new(row, "log", json_string(log));
    }
    if (d.what == REGISTRY_SEALED) {
        str_hex(d.root.b, HASH_LEN, root);
        (void)json_object_set_new(row, "size",
                                  json_integer((json_int_t)d.size));
        (void)json_object_set_new(row, "root", json_string(root));
    }
    return row;
}

/* Beside the values what holders go by. Takes `values`. */
static json_t *listing_json(const struct entry *e,
                            const struct listing_facts *f, json_t *values)
{
    char about[LOG_ID_TEXT_MAX + 24];
    const struct catalogue_list *list = catalogue_list(f->list);
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:b, s:o}", "what",
        what(e->type, true), "list", list != NULL ? list->name : "", "colour",
        list != NULL ? colour_name(list->colour) : "", "subject",
        text_json(e->subject), "decided", (json_int_t)f->decided, "from",
        (json_int_t)f->from, "until", (json_int_t)f->until, "consistent",
        listing_is_consistent(e) ? 1 : 0, "values", values);
    about_of(f, about, sizeof about);
    if (about[0] != 0) {
        (void)json_object_set_new(row, "about", json_string(about));
    }
    return row;
}

static json_t *entry_json(uint64_t issuer, struct slice bytes)
{
    struct entry e;
    struct record r;
    struct listing_facts f;
    bool decoded = entry_decode(bytes, &e) == ERR_OK;
    json_t *node = decoded ? node_entry_json(&e) : NULL;
    if (node == NULL && decoded) {
        node = rule_entry_json(&e);
    }
    if (node != NULL) {
        return node;
    }
    if (!decoded || listing_facts(&e, issuer, &f) != ERR_OK ||
        listing_values(&e, &r) != ERR_OK) {
        return json_pack("{s:s}", "what", "unknown");
    }
    json_t *values = json_object();
    for (size_t i = 0; i < r.item->count; i++) {
        if (r.values[i].len > 0) {
            (void)json_object_set_new(values, r.item->fields[i].code,
                                      text_json(r.values[i]));
        }
    }
    return listing_json(&e, &f, values);
}

static json_t *package_json(const struct package *p)
{
    char id[2 * PACKAGE_ID_LEN + 1];
    char issuer[CODE_LEN + 1];
    json_t *entries = json_array();
    str_hex(p->head.id, PACKAGE_ID_LEN, id);
    code_format(p->head.issuer, issuer);
    for (size_t i = 0; i < p->head.entries; i++) {
        (void)json_array_append_new(entries,
                                    entry_json(p->head.issuer, p->entries[i]));
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "id", id, "issuer", issuer,
                     "expires", (json_int_t)p->head.expires, "signatures",
                     (json_int_t)p->signed_by, "entries", entries);
}

int cli_package_show(const struct cli_options *o, const struct package *p)
{
    if (o->json) {
        return cli_print_json(package_json(p));
    }
    cli_package_print(p, true, o->english);
    return EXIT_OK;
}
