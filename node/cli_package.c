/* A package of directives as a file and on the terminal. */
#include "cli_package.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "credit/catalogue_change.h"
#include "credit/date.h"
#include "credit/listing.h"
#include "credit/measure.h"
#include "credit/registry.h"
#include "ident/ident.h"

enum {
    FILE_MODE = 0644,
    SHOWN = 50, /* entries of a package on a terminal */
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

/* Nothing is added if it is none about a node. */
static void add_node_entry(struct cli_table *t, const struct entry *e,
                           bool english)
{
    static const char *const names[][2] = {{"", ""},
                                           {"撤销", "revoked"},
                                           {"恢复", "restored"},
                                           {"改属", "moves to"}};
    struct registry_decision d;
    char code[CODE_LEN + 1];
    char parent[CODE_LEN + 1];
    char day[11];
    char reason[REGISTRY_REASON_MAX + 1];
    /* Who prepared it is checked by the node; any issuer will do here. */
    if (registry_take(e, 0, &d) != ERR_OK) {
        return;
    }
    code_format(d.code, code);
    code_format(d.parent, parent);
    date_format(d.decided, day);
    (void)snprintf(reason, sizeof reason, "%.*s", (int)d.reason.len,
                   (const char *)d.reason.data);
    const char *cells[] = {names[d.what][english], code,
                           d.what == REGISTRY_PARENT ? parent : "", day,
                           reason};
    cli_table_row(t, cells);
}

/* "kind 1024 qualification +7 fields; …" */
static void describe_change(const struct catalogue_change *c, struct buf *out)
{
    for (size_t i = 0; i < c->kinds_n; i++) {
        const struct change_kind *k = &c->kinds[i];
        buf_putf(out, "%s%u %s", i > 0 ? "; " : "", (unsigned)k->id, k->name);
        for (size_t f = 0; f < k->fields_n; f++) {
            buf_putf(out, "%s%u %s", f > 0 ? ", " : ": ",
                     (unsigned)k->fields[f].id, k->fields[f].code);
        }
    }
}

/* A catalogue version or measure as what, id, basis. */
static bool rule_cells(const struct entry *e, bool english, struct buf *name,
                       struct buf *what, struct buf *basis)
{
    struct catalogue_change change;
    struct measure m;
    if (measure_take(e, 0, &m) == ERR_OK) {
        buf_putf(name,
                 english ? "measure %s, revision %u" : "措施 %s，第 %u 版",
                 m.id, (unsigned)m.revision);
        buf_put_str(what, english && m.name_en[0] != 0 ? m.name_en : m.name_zh);
        buf_put_str(basis, m.basis);
        return true;
    }
    if (catalogue_change_take(e, &change) != ERR_OK) {
        return false;
    }
    buf_putf(name, english ? "catalogue version %u" : "目录第 %u 版",
             (unsigned)change.version);
    describe_change(&change, what);
    buf_put_str(basis, change.basis);
    catalogue_change_fini(&change);
    return true;
}

static void print_rules(const struct package *p, size_t from, size_t to,
                        bool english)
{
    static const char *const en[] = {"", "what", "basis"};
    static const char *const zh[] = {"", "内容", "依据"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    for (size_t i = from; i < to; i++) {
        struct buf name = BUF_INIT;
        struct buf what = BUF_INIT;
        struct buf basis = BUF_INIT;
        struct entry e;
        if (entry_decode(p->entries[i], &e) == ERR_OK &&
            rule_cells(&e, english, &name, &what, &basis)) {
            const char *cells[] = {buf_cstr(&name), buf_cstr(&what),
                                   buf_cstr(&basis)};
            cli_table_row(t, cells);
        }
        buf_fini(&name);
        buf_fini(&what);
        buf_fini(&basis);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static void add_entry(struct cli_table *t, struct slice bytes, bool english)
{
    struct entry e;
    struct record r;
    struct listing_facts f;
    char from[11];
    char until[11];
    char document[520];
    bool decoded = entry_decode(bytes, &e) == ERR_OK;
    if (!decoded || listing_facts(&e, 0, &f) != ERR_OK ||
        listing_values(&e, &r) != ERR_OK) {
        const char *cells[] = {"?", "", "", "", "", ""};
        cli_table_row(t, cells);
        return;
    }
    const struct catalogue_list *list = catalogue_list(f.list);
    struct slice no = record_get(&r, FIELD_DOCUMENT_NO);
    (void)snprintf(document, sizeof document, "%.*s", (int)no.len,
                   (const char *)no.data);
    date_format(e.type == ENTRY_REMOVAL ? f.decided : f.from, from);
    date_format(f.until, until);
    const char *cells[] = {what(e.type, english),
                           list == NULL ? "?"
                           : english    ? list->label_en
                                        : list->label_zh,
                           r.subject,
                           document,
                           from,
                           until};
    cli_table_row(t, cells);
}

static void print_lists(const struct package *p, size_t from, size_t to,
                        bool english)
{
    static const char *const en[] = {"",         "list", "subject",
                                     "document", "from", "until"};
    static const char *const zh[] = {"", "名单", "主体", "文书号", "自", "至"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    for (size_t i = from; i < to; i++) {
        add_entry(t, p->entries[i], english);
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
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    for (size_t i = from; i < to; i++) {
        struct entry e;
        if (entry_decode(p->entries[i], &e) == ERR_OK) {
            add_node_entry(t, &e, english);
        }
    }
    cli_table_print(t);
    cli_table_free(&t);
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
    return decoded && registry_take(&e, 0, &d) == ERR_OK ? print_nodes
                                                         : print_lists;
}

/* In order; each sort has columns of its own. */
static void print_entries(const struct package *p, size_t n, bool english)
{
    for (size_t i = 0, end; i < n; i = end) {
        print_fn *print = printer_of(p->entries[i]);
        for (end = i + 1; end < n && printer_of(p->entries[end]) == print;) {
            end++;
        }
        print(p, i, end, english);
    }
}

void cli_package_print(const struct package *p, bool english)
{
    char id[2 * PACKAGE_ID_LEN + 1];
    size_t shown = p->head.entries < SHOWN ? p->head.entries : SHOWN;
    str_hex(p->head.id, PACKAGE_ID_LEN, id);
    (void)printf(
        english ? "Package %s of %012llu: %u entries, %zu signatures, to "
                  "be published by %u\n"
                : "包 %s，发布节点 %012llu：%u 条，签名 %zu 个，须于 %u "
                  "前发布\n",
        id, (unsigned long long)p->head.issuer, (unsigned)p->head.entries,
        p->signed_by, (unsigned)p->head.expires);
    print_entries(p, shown, english);
    if (p->head.entries > SHOWN) {
        (void)printf(english ? "… and %u more\n" : "…… 另有 %u 条\n",
                     (unsigned)(p->head.entries - SHOWN));
    }
}

/* NULL: it is none about a node. */
static json_t *node_entry_json(const struct entry *e)
{
    struct registry_decision d;
    char code[CODE_LEN + 1];
    char parent[CODE_LEN + 1];
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
    return row;
}

/* NULL: it is neither a catalogue version nor a measure. */
static json_t *rule_entry_json(const struct entry *e)
{
    struct buf name = BUF_INIT;
    struct buf what = BUF_INIT;
    struct buf basis = BUF_INIT;
    json_t *row = NULL;
    if (rule_cells(e, true, &name, &what, &basis)) {
        row = json_pack("{s:s, s:s, s:s, s:s, s:I}", "what",
                        e->type == ENTRY_CATALOGUE ? "catalogue" : "measure",
                        "name", buf_cstr(&name), "content", buf_cstr(&what),
                        "basis", buf_cstr(&basis), "version",
                        (json_int_t)e->version);
    }
    buf_fini(&name);
    buf_fini(&what);
    buf_fini(&basis);
    return row;
}

static json_t *entry_json(struct slice bytes)
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
    if (!decoded || listing_facts(&e, 0, &f) != ERR_OK ||
        listing_values(&e, &r) != ERR_OK) {
        return json_pack("{s:s}", "what", "unknown");
    }
    json_t *values = json_object();
    for (size_t i = 0; i < r.item->count; i++) {
        if (r.values[i].len > 0) {
            (void)json_object_set_new(
                values, r.item->fields[i].code,
                json_stringn((const char *)r.values[i].data, r.values[i].len));
        }
    }
    const struct catalogue_list *list = catalogue_list(f.list);
    return json_pack("{s:s, s:s, s:s, s:o}", "what", what(e.type, true), "list",
                     list != NULL ? list->name : "", "subject", r.subject,
                     "values", values);
}

static json_t *package_json(const struct package *p)
{
    char id[2 * PACKAGE_ID_LEN + 1];
    char issuer[CODE_LEN + 1];
    json_t *entries = json_array();
    str_hex(p->head.id, PACKAGE_ID_LEN, id);
    code_format(p->head.issuer, issuer);
    for (size_t i = 0; i < p->head.entries; i++) {
        (void)json_array_append_new(entries, entry_json(p->entries[i]));
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
    cli_package_print(p, o->english);
    return EXIT_OK;
}
