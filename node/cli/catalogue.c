/* catalogue */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/cli.h"

static const struct option longs[] = {CLI_LONG, {NULL, 0, NULL, 0}};

struct show {
    struct cli_options o;
    const char *kind; /* NULL: all of them, without fields */
    json_t *kinds;
    json_t *measures;
};

static bool keep(void *ctx, json_t *row)
{
    struct show *s = ctx;
    char id[8];
    bool kind = strcmp(cli_text(row, "what"), "kind") == 0;
    (void)snprintf(id, sizeof id, "%lld", cli_int(row, "id"));
    (void)json_object_del(row, "type");
    if (!kind || s->kind == NULL || strcmp(s->kind, id) == 0 ||
        strcmp(s->kind, cli_text(row, "name")) == 0) {
        (void)json_object_del(row, "what");
        (void)json_array_append(kind ? s->kinds : s->measures, row);
    }
    return true;
}

/* ---- words ---- */

static const char *word(const char *name, bool english)
{
    static const char *const words[][2] = {
        {"public", "公开"},         {"shared", "共享"},
        {"authorised", "授权查询"}, {"no", ""},
        {"always", "必填"},         {"organisations", "法人必填"},
        {"persons", "自然人必填"},  {"some kinds", "视类别"},
        {"masked", "脱敏"},         {"sealed", "加密"},
        {"if-person", "自然人加密"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i][0], name) == 0) {
            return !english ? words[i][1] : words[i][1][0] ? name : "";
        }
    }
    return name;
}

static const char *label(json_t *row, bool english)
{
    return cli_text(row, english ? "label_en" : "label");
}

/* ---- tables ---- */

static void print_kinds(const struct show *s)
{
    static const char *const en[] = {"id",      "name",      "kind",   "fields",
                                     "seen by", "retention", "version"};
    static const char *const zh[] = {"编号",     "名称",     "信息类别", "项数",
                                     "公开属性", "保存期限", "目录版本"};
    bool english = s->o.english;
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    size_t i;
    json_t *k;
    json_array_foreach(s->kinds, i, k)
    {
        char id[24];
        char fields[24];
        char kept[40] = "";
        char since[24] = "";
        long long months = cli_int(k, "retention_months");
        (void)snprintf(id, sizeof id, "%lld", cli_int(k, "id"));
        (void)snprintf(fields, sizeof fields, "%zu",
                       json_array_size(json_object_get(k, "fields")));
        if (months > 0) {
            (void)snprintf(kept, sizeof kept,
                           english ? "%lld months" : "%lld 个月", months);
        }
        if (cli_int(k, "since") > 0) {
            (void)snprintf(since, sizeof since, "%lld", cli_int(k, "since"));
        }
        const char *cells[] = {id,
                               cli_text(k, "name"),
                               label(k, english),
                               fields,
                               word(cli_text(k, "disclosure"), english),
                               kept,
                               since};
        cli_table_row(t, cells);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static void print_fields(json_t *kind, bool english)
{
    static const char *const en[] = {"id",     "column",   "field",  "type",
                                     "needed", "personal", "seen by"};
    static const char *const zh[] = {"编号", "列名",     "信息项",  "类型",
                                     "必填", "个人信息", "公开属性"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(kind, "fields"), i, f)
    {
        char id[24];
        (void)snprintf(id, sizeof id, "%lld", cli_int(f, "id"));
        const char *cells[] = {id,
                               cli_text(f, "column"),
                               label(f, english),
                               cli_text(f, "type"),
                               word(cli_text(f, "need"), english),
                               word(cli_text(f, "personal"), english),
                               word(cli_text(f, "disclosure"), english)};
        cli_table_row(t, cells);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static void print_measures(const struct show *s)
{
    static const char *const en[] = {"measure", "name",  "basis",
                                     "from",    "until", "issuer"};
    static const char *const zh[] = {"措施编号", "名称", "依据",
                                     "自",       "至",   "发布节点"};
    bool english = s->o.english;
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    size_t i;
    json_t *m;
    json_array_foreach(s->measures, i, m)
    {
        const char *name = cli_text(m, english ? "name_en" : "name");
        const char *cells[] = {
            cli_text(m, "id"),    name[0] != 0 ? name : cli_text(m, "name"),
            cli_text(m, "basis"), cli_text(m, "from"),
            cli_text(m, "until"), cli_text(m, "issuer")};
        cli_table_row(t, cells);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static void print_version(json_t *v, bool english)
{
    static const char *const of[2][2] = {{"目录", "version"},
                                         {"措施", "measure, revision"}};
    const char *rule = cli_text(v, "fault");
    bool measure = strcmp(cli_text(v, "of"), "measure") == 0;
    (void)printf(english ? "  %s %lld, decided %s by %s (%s#%lld)"
                         : "  %s第 %lld 版，%s 由 %s 决定（%s#%lld）",
                 of[measure][english], cli_int(v, "version"),
                 cli_text(v, "decided"), cli_text(v, "issuer"),
                 cli_text(v, "log"), cli_int(v, "number"));
    if (rule[0] != 0) {
        (void)printf(english ? ": no effect: %s [%s]" : "：无效：%s [%s]",
                     cli_text(v, english ? "text" : "text_zh"), rule);
    }
    (void)putchar('\n');
}

static void print_versions(json_t *result, bool english)
{
    size_t i;
    json_t *v;
    (void)printf(english ? "Catalogue: built-in version %lld, published "
                           "version %lld\n"
                         : "目录：内置第 %lld 版，已发布第 %lld 版\n",
                 cli_int(result, "builtin"), cli_int(result, "version"));
    json_array_foreach(json_object_get(result, "versions"), i, v)
    {
        print_version(v, english);
    }
}

static int print_all(struct show *s, json_t *result)
{
    if (s->o.json) {
        (void)json_object_del(result, "type");
        (void)json_object_set(result, "kinds", s->kinds);
        (void)json_object_set(result, "measures", s->measures);
        return cli_print_json(json_incref(result));
    }
    cli_tame(result);
    if (s->kind != NULL) {
        print_kinds(s);
        print_fields(json_array_get(s->kinds, 0), s->o.english);
        return EXIT_OK;
    }
    print_versions(result, s->o.english);
    print_kinds(s);
    if (json_array_size(s->measures) > 0) {
        print_measures(s);
    }
    return EXIT_OK;
}

static int show(struct show *s)
{
    json_t *result =
        cli_call(&s->o, json_pack("{s:s}", "cmd", "catalogue"), keep, s);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    int rc =
        s->kind != NULL && json_array_size(s->kinds) == 0
            ? cli_fail("%s: no such kind; see creditnode catalogue", s->kind)
            : print_all(s, result);
    json_decref(result);
    return rc;
}

int cmd_catalogue(int argc, char **argv)
{
    struct show s = {.o = {.english = cli_english()}};
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        if (!cli_common(opt, &s.o)) {
            return cli_usage("catalogue", "wrong option or value");
        }
    }
    optind += optind < argc && strcmp(argv[optind], "show") == 0;
    if (argc - optind > 1) {
        return cli_usage("catalogue", "name one kind, or none");
    }
    s.kind = optind < argc ? argv[optind] : NULL;
    s.kinds = json_array();
    s.measures = json_array();
    int rc = show(&s);
    json_decref(s.kinds);
    json_decref(s.measures);
    return rc;
}
