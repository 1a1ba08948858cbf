/* What the node has of directives: its lists, decisions about nodes, and
 * whether subjects are listed. */
#include "cli/lists.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "api/admin.h"
#include "base/file.h"
#include "base/mem.h"

enum { EXIT_LISTED = 3, EXIT_UNCERTAIN = 4, SUBJECTS_MAX = 4 << 20 };

/* ---- lists ---- */

static const char *freshness(const char *state, bool english)
{
    static const struct {
        const char *state;
        const char *zh;
        const char *en;
    } words[] = {{"fresh", "最新", "fresh"},
                 {"stale", "陈旧", "stale"},
                 {"clock", "时钟不符", "clock: unproven"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i].state, state) == 0) {
            return english ? words[i].en : words[i].zh;
        }
    }
    return state;
}

/* One that grows as it should needs no word. */
static const char *log_state(const char *state, bool english)
{
    static const char *const words[][3] = {
        {"active", "", ""},
        {"closed", "已有后继", "succeeded"},
        {"pulling", "正在找回", "coming back"},
        {"forked", "分叉，已停止", "forked, stopped"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i][0], state) == 0) {
            return words[i][english ? 2 : 1];
        }
    }
    return state;
}

static void print_positions(json_t *lists, bool english)
{
    /* A log's name begins with its issuer's code. */
    static const char *const en[] = {"issuer and log", "position", "freshness",
                                     "age", ""};
    static const char *const zh[] = {"发布节点及日志", "位置", "时效", "距今",
                                     ""};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    size_t i;
    json_t *row;
    json_array_foreach(lists, i, row)
    {
        char position[24];
        char age[32] = "-";
        (void)snprintf(position, sizeof position, "%lld",
                       cli_int(row, "position"));
        if (json_integer_value(json_object_get(row, "signed_ms")) != 0) {
            (void)snprintf(
                age, sizeof age, "%.1f s",
                (double)json_integer_value(json_object_get(row, "age_ms")) /
                    1000.0);
        }
        const char *cells[] = {cli_text(row, "log"), position,
                               freshness(cli_text(row, "freshness"), english),
                               age, log_state(cli_text(row, "state"), english)};
        cli_table_row(t, cells);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static void print_unheard(json_t *unheard, bool english)
{
    size_t i;
    json_t *code;
    json_array_foreach(unheard, i, code)
    {
        cli_line(stdout,
                 english ? "%s: no list of it is here; it decided nothing yet, "
                           "or that is missing"
                         : "%s：这里没有其名单；可能尚未作出决定，也可能缺失",
                 json_string_value(code));
    }
}

void cli_lists_print(json_t *answer, bool english)
{
    print_positions(json_object_get(answer, "lists"), english);
    print_unheard(json_object_get(answer, "unheard"), english);
}

int cli_lists(const struct cli_options *o)
{
    json_t *result =
        cli_call(o, json_pack("{s:s}", "cmd", "directive-lists"), NULL, NULL);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (o->json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    cli_lists_print(result, o->english);
    json_decref(result);
    return EXIT_OK;
}

/* ---- decisions about nodes ---- */

static void say_what(json_t *row, bool english, char *out, size_t size)
{
    const char *name = cli_text(row, "what");
    if (strcmp(name, "parent") == 0) {
        (void)snprintf(out, size, english ? "moved to %s" : "改属 %s",
                       cli_text(row, "parent"));
    } else if (strcmp(name, "sealed") == 0) {
        (void)snprintf(
            out, size, english ? "%s ends at %lld" : "%s 止于第 %lld 条",
            cli_text(row, "sealed"),
            (long long)json_integer_value(json_object_get(row, "size")));
    } else {
        (void)snprintf(out, size, "%s", english ? "revoked" : "撤销");
    }
}

static void print_nodes(json_t *rows, bool english)
{
    static const char *const en[] = {"node", "", "decided by", "on", "reason"};
    static const char *const zh[] = {"节点", "", "决定机关", "日期", "理由"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        char what[160];
        say_what(row, english, what, sizeof what);
        const char *cells[] = {
            cli_text(row, "code"), what, cli_text(row, "issuer"),
            cli_text(row, "decided"), cli_text(row, "reason")};
        cli_table_row(t, cells);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

int cli_nodes(const struct cli_options *o)
{
    json_t *result =
        cli_call(o, json_pack("{s:s}", "cmd", "directive-nodes"), NULL, NULL);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (o->json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    print_nodes(json_object_get(result, "nodes"), o->english);
    json_decref(result);
    return EXIT_OK;
}

/* ---- check ---- */

const char *cli_colour(const char *name, bool english)
{
    static const struct cli_word words[] = {{"red", "红名单"},
                                            {"black", "黑名单"},
                                            {"watch", "关注名单"},
                                            {NULL, NULL}};
    return cli_word(words, name, english);
}

static bool print_hit(void *ctx, json_t *row)
{
    const struct cli_options *o = ctx;
    size_t i;
    json_t *l;
    if (json_object_get(row, "error") != NULL) {
        cli_line(stderr,
                 o->english ? "  line %lld: %s: %s" : "  第 %lld 行：%s：%s",
                 cli_int(row, "line"), cli_text(row, "subject"),
                 cli_text(row, o->english ? "error" : "error_zh"));
        return true;
    }
    json_array_foreach(json_object_get(row, "listings"), i, l)
    {
        cli_line(stdout,
                 o->english ? "%s  %s  %s  %s#%lld  line %lld"
                            : "%s  %s  %s  %s#%lld  第 %lld 行",
                 cli_text(row, "subject"),
                 cli_colour(cli_text(l, "colour"), o->english),
                 cli_text(l, o->english ? "label_en" : "label"),
                 cli_text(l, "log"), cli_int(l, "number"),
                 cli_int(row, "line"));
    }
    return true;
}

static bool keep_hit(void *ctx, json_t *row)
{
    (void)json_array_append(ctx, row);
    return true;
}

static bool all_fresh(json_t *answer)
{
    size_t i;
    json_t *row;
    bool fresh = json_array_size(json_object_get(answer, "unheard")) == 0;
    json_array_foreach(json_object_get(answer, "lists"), i, row)
    {
        fresh = fresh && strcmp(cli_text(row, "freshness"), "fresh") == 0;
    }
    return fresh;
}

/* 0 says that nobody is listed, and that this is sure: a program may take it
 * for that. */
static int check_status(json_int_t listed, json_int_t invalid, bool fresh)
{
    return listed > 0              ? EXIT_LISTED
           : invalid > 0 || !fresh ? EXIT_UNCERTAIN
                                   : EXIT_OK;
}

static void print_sums(json_t *result, bool english)
{
    (void)printf(
        english ? "%lld lines, %lld organisations: %lld of them listed; "
                  "%lld times it cannot be told who is meant\n"
                : "%lld 行，%lld 个主体：%lld 个在名单上；%lld "
                  "处无法确定主体\n",
        cli_int(result, "lines"), cli_int(result, "organisations"),
        cli_int(result, "listed_organisations"), cli_int(result, "invalid"));
    if (cli_int(result, "passed") > 0) {
        (void)printf(english ? "%lld lines are headings or stand above them\n"
                             : "其中 %lld 行为表头或表头之前的行\n",
                     cli_int(result, "passed"));
    }
}

static int print_check(const struct cli_options *o, json_t *result,
                       json_t *hits)
{
    json_int_t listed = json_integer_value(json_object_get(result, "listed"));
    json_int_t invalid = json_integer_value(json_object_get(result, "invalid"));
    bool fresh = all_fresh(result);
    if (o->json) {
        (void)json_object_del(result, "type");
        (void)json_object_set_new(result, "hits", hits);
        (void)cli_print_json(result);
    } else {
        print_sums(result, o->english);
        cli_lists_print(result, o->english);
        json_decref(result);
        json_decref(hits);
    }
    return check_status(listed, invalid, fresh);
}

static int check_file(struct cli_options *o, struct slice subjects)
{
    struct admin_client *client = NULL;
    json_t *result = NULL;
    int rc = cli_open(o, &client);
    if (rc != EXIT_OK) {
        return rc;
    }
    json_t *hits = json_array();
    if (cli_send_file(client, json_pack("{s:s}", "cmd", "check"), subjects)) {
        result = o->json ? cli_read_result(client, keep_hit, hits)
                         : cli_read_result(client, print_hit, o);
    }
    admin_disconnect(&client);
    if (result == NULL) {
        json_decref(hits);
        return EXIT_FAILED;
    }
    return print_check(o, result, hits);
}

int cmd_check(int argc, char **argv)
{
    static const struct option longs[] = {CLI_LONG, {NULL, 0, NULL, 0}};
    struct cli_options o = {.english = cli_english()};
    struct buf subjects = BUF_INIT;
    struct errmsg why;
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        if (!cli_common(opt, &o)) {
            return cli_usage("check", "wrong option or value");
        }
    }
    if (optind + 1 != argc) {
        return cli_usage("check",
                         "name one file: a credit code a line, or a table");
    }
    int rc = file_read(argv[optind], SUBJECTS_MAX, &subjects, &why) == ERR_OK
                 ? check_file(&o, buf_slice(&subjects))
                 : cli_fail("%s", why.text);
    buf_fini(&subjects);
    return rc;
}
