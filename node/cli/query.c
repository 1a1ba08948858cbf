/* query */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/lists.h"

static const struct option longs[] = {
    CLI_LONG,
    {"log", required_argument, NULL, 1},
    {"number", required_argument, NULL, 2},
    {"limit", required_argument, NULL, 3},
    {"brief", no_argument, NULL, 4},
    {"after", required_argument, NULL, 5},
    {NULL, 0, NULL, 0},
};

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static long long int_of(json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* yyyymmdd -> yyyy-mm-dd; 0 -> "-". */
static const char *date_text(long long date, char out[64])
{
    if (date == 0) {
        return "-";
    }
    (void)snprintf(out, 64, "%04lld-%02lld-%02lld", date / 10000,
                   date / 100 % 100, date % 100);
    return out;
}

/* Of what has no end, in words. */
static const char *until_text(long long date, bool english, char out[64])
{
    return date != 0 ? date_text(date, out) : english ? "open" : "长期";
}

static const char *const words[][2] = {
    {"valid", "有效"},      {"revoked", "撤销"}, {"disputed", "异议"},
    {"other", "其他"},      {"public", "公开"},  {"shared", "共享"},
    {"authorised", "授权"},
};

static const char *word(const char *text, bool english)
{
    for (size_t i = 0; !english && i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i][0], text) == 0) {
            return words[i][1];
        }
    }
    return text;
}

static void print_fields(json_t *record, bool english)
{
    size_t i;
    json_t *field;
    size_t width = 0;
    json_t *fields = json_object_get(record, "fields");
    json_array_foreach(fields, i, field)
    {
        size_t w = str_width(text_of(field, english ? "label_en" : "label"));
        width = w > width ? w : width;
    }
    json_array_foreach(fields, i, field)
    {
        const char *label = text_of(field, english ? "label_en" : "label");
        (void)printf("    %s%*s  %s\n", label, (int)(width - str_width(label)),
                     "", text_of(field, "value"));
    }
}

static void print_record(json_t *r, bool english)
{
    char decided[64];
    char until[64];
    (void)printf("%s  %s  v%lld  %s  %s %s  %s %s\n",
                 text_of(r, english ? "item" : "item_zh"),
                 word(text_of(r, "status"), english), int_of(r, "version"),
                 word(text_of(r, "disclosure"), english),
                 english ? "decided" : "决定日期",
                 date_text(int_of(r, "decided"), decided),
                 english ? "until" : "至",
                 until_text(int_of(r, "until"), english, until));
    (void)printf("    %s %s\n    %s %s #%lld\n",
                 english ? "record key" : "记录键", text_of(r, "record_key"),
                 english ? "log" : "来源日志", text_of(r, "log"),
                 int_of(r, "number"));
    print_fields(r, english);
}

static void print_listing(json_t *l, bool english)
{
    char from[64];
    char until[64];
    (void)printf("%s (%s)  %s %s  %s %s\n    %s %s  %s#%lld\n",
                 text_of(l, english ? "label_en" : "label"),
                 cli_colour(text_of(l, "colour"), english),
                 english ? "from" : "自", date_text(int_of(l, "from"), from),
                 english ? "until" : "至",
                 until_text(int_of(l, "until"), english, until),
                 english ? "decided at" : "决定节点", text_of(l, "issuer"),
                 text_of(l, "log"), int_of(l, "number"));
    print_fields(l, english);
}

/* Of an organisation: the lists it is on, and how new what is known of lists
 * is. */
static void print_listed(json_t *result, bool english)
{
    size_t i;
    json_t *l;
    json_t *listings = json_object_get(result, "listings");
    if (listings == NULL) {
        return;
    }
    (void)printf(english ? "\non %zu lists\n" : "\n在 %zu 个名单上\n",
                 json_array_size(listings));
    json_array_foreach(listings, i, l)
    {
        (void)putchar('\n');
        print_listing(l, english);
    }
    (void)putchar('\n');
    cli_lists_print(result, english);
}

static int print_subject(json_t *result, const char *subject, bool english)
{
    size_t i;
    json_t *record;
    json_t *records = json_object_get(result, "records");
    json_t *node = json_object_get(result, "node");
    (void)printf(english ? "%s: %zu records at %s %s (%s)\n"
                         : "%s：%zu 条记录，答复节点 %s %s（%s）\n",
                 subject, json_array_size(records),
                 text_of(node, english ? "tier" : "tier_zh"),
                 text_of(node, "code"), text_of(node, "name"));
    json_array_foreach(records, i, record)
    {
        (void)putchar('\n');
        print_record(record, english);
    }
    print_listed(result, english);
    const char *next = text_of(result, "next");
    if (next[0] != 0) {
        (void)printf("\n%s --after %s\n", english ? "more:" : "更多：", next);
    }
    json_decref(result);
    return EXIT_OK;
}

static void print_holder(json_t *item, bool english)
{
    const char *yes = english ? "yes" : "是";
    const char *not_yet = english ? "not yet" : "尚未";
    (void)printf(
        "    %s %s  %s\n", text_of(item, "code"), text_of(item, "tier"),
        json_is_true(json_object_get(item, "durable")) ? yes : not_yet);
}

static int print_one(json_t *result, bool english)
{
    size_t i;
    json_t *item;
    print_record(json_object_get(result, "record"), english);
    (void)printf("\n%s\n", english ? "held durably by" : "已持久保存于");
    json_array_foreach(json_object_get(result, "held_by"), i, item)
    {
        print_holder(item, english);
    }
    json_t *history = json_object_get(result, "history");
    if (json_array_size(history) > 0) {
        (void)printf("\n%s\n", english ? "earlier versions" : "历史版本");
    }
    json_array_foreach(history, i, item)
    {
        print_record(item, english);
    }
    json_decref(result);
    return EXIT_OK;
}

static bool take_option(int opt, struct cli_options *o, json_t *request)
{
    uint64_t n;
    if (opt == 1 || opt == 5) {
        return json_object_set_new(request, opt == 1 ? "log" : "after",
                                   json_string(optarg)) == 0;
    }
    if (opt == 2 || opt == 3) {
        const char *key = opt == 2 ? "number" : "limit";
        return str_u64(slice_str(optarg), &n)
                   ? json_object_set_new(request, key,
                                         json_integer((json_int_t)n)) == 0
                   : cli_bad_value(opt == 2 ? "--number" : "--limit", optarg,
                                   "write a whole number");
    }
    if (opt == 4) {
        return json_object_set_new(request, "brief", json_true()) == 0;
    }
    return cli_common(opt, o);
}

static bool parse(int argc, char **argv, struct cli_options *o, json_t *request)
{
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        if (!take_option(opt, o, request)) {
            return false;
        }
    }
    int left = argc - optind;
    if (left >= 1) {
        (void)json_object_set_new(request, "subject",
                                  json_string(argv[optind]));
    }
    if (left == 2) {
        (void)json_object_set_new(request, "record_key",
                                  json_string(argv[optind + 1]));
    }
    bool log = json_object_get(request, "log") != NULL;
    bool number = json_object_get(request, "number") != NULL;
    return log ? number && left == 0 : !number && (left == 1 || left == 2);
}

int cmd_query(int argc, char **argv)
{
    struct cli_options o = {.english = cli_english()};
    json_t *request = json_object();
    if (!parse(argc, argv, &o, request)) {
        json_decref(request);
        return cli_usage("query",
                         "name a subject, or a place by --log and --number");
    }
    bool one = json_object_get(request, "log") != NULL ||
               json_object_get(request, "record_key") != NULL;
    char subject[96];
    (void)snprintf(subject, sizeof subject, "%s", text_of(request, "subject"));
    (void)json_object_set_new(request, "cmd",
                              json_string(one ? "record" : "subject"));
    json_t *result = cli_call(&o, request, NULL, NULL);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (o.json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    cli_tame(result);
    return one ? print_one(result, o.english)
               : print_subject(result, subject, o.english);
}
