/* verify, reindex, scrub, logs, issues: lists with a result. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "ident/ident.h"

enum { EXIT_DIFFERENT = 3, CELLS_MAX = 6, CELL_LEN = 240, ROOT_SHOWN = 16 };

static const struct option longs[] = {
    CLI_LONG,
    {"with", required_argument, NULL, 1},
    {"log", required_argument, NULL, 2},
    {"state", required_argument, NULL, 3},
    {"origin", no_argument, NULL, 4},
    {NULL, 0, NULL, 0},
};

struct list {
    struct cli_options o;
    const char *takes; /* its own options, as their numbers */
    json_t *request;
    const struct cli_word *headings; /* "" as a name: none */
    size_t columns;
    void (*cells)(json_t *row, bool english, char (*cell)[CELL_LEN]);
    void (*sums)(json_t *result, bool english); /* or NULL */
    struct cli_table *table;
    json_t *rows;
    struct cli_progress progress;
};

static const char *text_of(json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "";
}

static long long int_of(json_t *row, const char *key)
{
    return (long long)json_integer_value(json_object_get(row, key));
}

static void take_row(struct list *l, json_t *row)
{
    char cell[CELLS_MAX][CELL_LEN];
    const char *cells[CELLS_MAX];
    if (l->o.json) {
        (void)json_object_del(row, "type");
        (void)json_array_append(l->rows, row);
        return;
    }
    l->cells(row, l->o.english, cell);
    for (size_t i = 0; i < l->columns; i++) {
        cells[i] = cell[i];
    }
    cli_table_row(l->table, cells);
}

static bool on_object(void *ctx, json_t *object)
{
    struct list *l = ctx;
    if (strcmp(text_of(object, "type"), "progress") == 0) {
        cli_progress(&l->progress, (uint64_t)int_of(object, "done"),
                     (uint64_t)int_of(object, "total"));
    } else {
        take_row(l, object);
    }
    return true;
}

static bool is_state(const char *text)
{
    static const char *const states[] = {"active", "closed", "pulling",
                                         "forked"};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (strcmp(states[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static bool takes(const struct list *l, int opt)
{
    if (l->takes == NULL || strchr(l->takes, '0' + opt) == NULL) {
        return false;
    }
    return opt != 3 || is_state(optarg) ||
           cli_bad_value("--state", optarg,
                         "write active, closed, pulling or forked");
}

static bool parse(struct list *l, const char *command, int argc, char **argv)
{
    static const char *const keys[] = {"", "with", "log", "state", "origin"};
    int opt;
    l->o.english = cli_english();
    l->request = json_pack("{s:s}", "cmd", command);
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        if (opt >= 1 && opt <= 4 && takes(l, opt)) {
            (void)json_object_set_new(l->request, keys[opt],
                                      opt == 4 ? json_true()
                                               : json_string(optarg));
        } else if (!cli_common(opt, &l->o)) {
            json_decref(l->request);
            return false;
        }
    }
    if (optind < argc) {
        json_decref(l->request);
    }
    return optind == argc;
}

/* Runs the call and prints the rows; the result is the caller's. */
static json_t *run(struct list *l)
{
    const char *headings[CELLS_MAX];
    for (size_t i = 0; i < l->columns; i++) {
        headings[i] = l->o.english ? l->headings[i].name : l->headings[i].zh;
    }
    l->table = cli_table_new(headings, l->columns);
    l->rows = json_array();
    cli_progress_start(&l->progress, l->o.english ? "checked" : "已检查");
    json_t *result = cli_call(&l->o, l->request, on_object, l);
    cli_progress_end(&l->progress);
    if (result != NULL && !l->o.json) {
        cli_table_print(l->table);
        if (l->sums != NULL) {
            l->sums(result, l->o.english);
        }
    }
    if (result != NULL && l->o.json) {
        (void)json_object_del(result, "type");
        (void)json_object_set(result, "rows", l->rows);
        (void)cli_print_json(json_incref(result));
    }
    json_decref(l->rows);
    cli_table_free(&l->table);
    return result;
}

static int finish(json_t *result, const char *bad_key)
{
    if (result == NULL) {
        return EXIT_FAILED;
    }
    bool bad = bad_key != NULL && int_of(result, bad_key) > 0;
    json_decref(result);
    return bad ? EXIT_DIFFERENT : EXIT_OK;
}

/* A text of the node's. */
static void put_said(json_t *row, const char *key, bool english,
                     char cell[CELL_LEN])
{
    char *said = cli_said(text_of(row, key), english);
    (void)snprintf(cell, CELL_LEN, "%s", said);
    mem_free(said);
}

static const struct cli_word states[] = {{"active", "在用"},
                                         {"closed", "已结束"},
                                         {"pulling", "正在找回"},
                                         {"forked", "分叉"},
                                         {NULL, NULL}};

static const char *tier_of(json_t *above, bool english)
{
    enum tier tier;
    const char *name = text_of(above, "tier");
    return !english && tier_parse(name, &tier) ? tier_name_zh(tier) : name;
}

static void log_cells(json_t *row, bool english, char (*cell)[CELL_LEN])
{
    json_t *above = json_object_get(row, "above");
    size_t at = 0;
    (void)snprintf(cell[0], CELL_LEN, "%s", text_of(row, "log"));
    (void)snprintf(cell[1], CELL_LEN, "%lld", int_of(row, "size"));
    (void)snprintf(cell[2], CELL_LEN, "%.*s", ROOT_SHOWN, text_of(row, "root"));
    (void)snprintf(cell[3], CELL_LEN, "%s",
                   cli_word(states, text_of(row, "state"), english));
    cell[4][0] = 0;
    for (size_t i = 0; i < json_array_size(above) && at < CELL_LEN - 40; i++) {
        json_t *a = json_array_get(above, i);
        at += (size_t)snprintf(cell[4] + at, CELL_LEN - at, "%s%s %lld",
                               i == 0    ? ""
                               : english ? ", "
                                         : "，",
                               tier_of(a, english), int_of(a, "size"));
    }
}

int cmd_logs(int argc, char **argv)
{
    static const struct cli_word headings[] = {{"log", "日志"},
                                               {"entries", "条数"},
                                               {"root", "根"},
                                               {"state", "状态"},
                                               {"durable above", "上级已持有"}};
    struct list l = {
        .takes = "3", .headings = headings, .columns = 5, .cells = log_cells};
    return parse(&l, "logs", argc, argv)
               ? finish(run(&l), NULL)
               : cli_usage("logs", "wrong option, value or argument");
}

static void issue_cells(json_t *row, bool english, char (*cell)[CELL_LEN])
{
    static const struct cli_word effects[] = {
        {"void", "无效"}, {"unindexed", "未识别"}, {NULL, NULL}};
    (void)snprintf(cell[0], CELL_LEN, "%s", text_of(row, "log"));
    (void)snprintf(cell[1], CELL_LEN, "%lld", int_of(row, "number"));
    (void)snprintf(cell[2], CELL_LEN, "%s",
                   cli_word(effects, text_of(row, "effect"), english));
    put_said(row, "reason", english, cell[3]);
}

int cmd_issues(int argc, char **argv)
{
    static const struct cli_word headings[] = {{"log", "日志"},
                                               {"entry", "条目"},
                                               {"effect", "效力"},
                                               {"reason", "原因"}};
    struct list l = {.headings = headings, .columns = 4, .cells = issue_cells};
    return parse(&l, "issues", argc, argv)
               ? finish(run(&l), NULL)
               : cli_usage("issues", "wrong option, value or argument");
}

static void verify_cells(json_t *row, bool english, char (*cell)[CELL_LEN])
{
    static const struct cli_word results[] = {
        {"equal", "一致"}, {"DIFFERENT", "不一致"}, {NULL, NULL}};
    bool equal = json_is_true(json_object_get(row, "equal"));
    (void)snprintf(cell[0], CELL_LEN, "%s", text_of(row, "log"));
    (void)snprintf(cell[1], CELL_LEN, "%lld", int_of(row, "here"));
    (void)snprintf(cell[2], CELL_LEN, "%lld", int_of(row, "there"));
    (void)snprintf(cell[3], CELL_LEN, "%s",
                   cli_word(results, equal ? "equal" : "DIFFERENT", english));
    if (strcmp(text_of(row, "text"), "equal") == 0) {
        cell[4][0] = 0; /* it is said already */
    } else {
        put_said(row, "text", english, cell[4]);
    }
}

static void verify_sums(json_t *result, bool english)
{
    const char *with = text_of(result, "with");
    if (strcmp(with, "origin") == 0) {
        with = english ? "the heads that origins signed" : "来源签名的头部";
    }
    cli_line(stdout,
             english ? "%lld logs compared with %s, %lld different"
                     : "与 %2$s 比对 %1$lld 个日志，%3$lld 个不一致",
             int_of(result, "logs"), with, int_of(result, "different"));
}

int cmd_verify(int argc, char **argv)
{
    static const struct cli_word headings[] = {{"log", "日志"},
                                               {"here", "本节点"},
                                               {"there", "对方"},
                                               {"result", "结果"},
                                               {"", ""}};
    struct list l = {.takes = "124",
                     .headings = headings,
                     .columns = 5,
                     .cells = verify_cells,
                     .sums = verify_sums};
    return parse(&l, "verify", argc, argv)
               ? finish(run(&l), "different")
               : cli_usage("verify", "wrong option, value or argument");
}

static void fault_cells(json_t *row, bool english, char (*cell)[CELL_LEN])
{
    (void)snprintf(cell[0], CELL_LEN, "%s", text_of(row, "log"));
    (void)snprintf(cell[1], CELL_LEN, "%lld", int_of(row, "number"));
    put_said(row, "text", english, cell[2]);
}

static void scrub_sums(json_t *result, bool english)
{
    cli_line(stdout, english ? "%lld faults found" : "发现错误 %lld 处",
             int_of(result, "faults"));
    if (json_is_true(json_object_get(result, "alarm_ended"))) {
        cli_line(stdout, english ? "The alarm store-damaged is over"
                                 : "告警 store-damaged 已解除");
    }
}

int cmd_scrub(int argc, char **argv)
{
    static const struct cli_word headings[] = {
        {"log", "日志"}, {"entry", "条目"}, {"fault", "错误"}};
    struct list l = {.headings = headings,
                     .columns = 3,
                     .cells = fault_cells,
                     .sums = scrub_sums};
    return parse(&l, "scrub", argc, argv)
               ? finish(run(&l), "faults")
               : cli_usage("scrub", "wrong option, value or argument");
}

int cmd_reindex(int argc, char **argv)
{
    static const struct cli_word headings[] = {{"index rebuilt", "索引已重建"}};
    struct list l = {.headings = headings, .columns = 1, .cells = fault_cells};
    return parse(&l, "reindex", argc, argv)
               ? finish(run(&l), NULL)
               : cli_usage("reindex", "wrong option, value or argument");
}
