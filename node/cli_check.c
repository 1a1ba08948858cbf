/* verify, reindex, scrub, logs, issues: lists with a result. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli.h"

enum { EXIT_DIFFERENT = 3, CELLS_MAX = 6, ROOT_SHOWN = 16 };

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
    const char *const *headings;
    size_t columns;
    void (*cells)(json_t *row, char (*cell)[160]);
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
    char cell[CELLS_MAX][160];
    const char *cells[CELLS_MAX];
    if (l->o.json) {
        (void)json_object_del(row, "type");
        (void)json_array_append(l->rows, row);
        return;
    }
    l->cells(row, cell);
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
    l->o.english = true;
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
    l->table = cli_table_new(l->headings, l->columns);
    l->rows = json_array();
    cli_progress_start(&l->progress, "checked");
    json_t *result = cli_call(&l->o, l->request, on_object, l);
    cli_progress_end(&l->progress);
    if (result != NULL && !l->o.json) {
        cli_table_print(l->table);
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

static void log_cells(json_t *row, char (*cell)[160])
{
    json_t *above = json_object_get(row, "above");
    size_t at = 0;
    (void)snprintf(cell[0], 160, "%s", text_of(row, "log"));
    (void)snprintf(cell[1], 160, "%lld", int_of(row, "size"));
    (void)snprintf(cell[2], 160, "%.*s", ROOT_SHOWN, text_of(row, "root"));
    (void)snprintf(cell[3], 160, "%s", text_of(row, "state"));
    cell[4][0] = 0;
    for (size_t i = 0; i < json_array_size(above) && at < 120; i++) {
        json_t *a = json_array_get(above, i);
        at += (size_t)snprintf(cell[4] + at, 160 - at, "%s%s %lld",
                               i > 0 ? ", " : "", text_of(a, "tier"),
                               int_of(a, "size"));
    }
}

int cmd_logs(int argc, char **argv)
{
    static const char *const headings[] = {"log", "entries", "root", "state",
                                           "durable above"};
    struct list l = {
        .takes = "3", .headings = headings, .columns = 5, .cells = log_cells};
    return parse(&l, "logs", argc, argv)
               ? finish(run(&l), NULL)
               : cli_usage("logs", "wrong option, value or argument");
}

static void issue_cells(json_t *row, char (*cell)[160])
{
    (void)snprintf(cell[0], 160, "%s", text_of(row, "log"));
    (void)snprintf(cell[1], 160, "%lld", int_of(row, "number"));
    (void)snprintf(cell[2], 160, "%s", text_of(row, "effect"));
    (void)snprintf(cell[3], 160, "%s", text_of(row, "reason"));
}

int cmd_issues(int argc, char **argv)
{
    static const char *const headings[] = {"log", "entry", "effect", "reason"};
    struct list l = {.headings = headings, .columns = 4, .cells = issue_cells};
    return parse(&l, "issues", argc, argv)
               ? finish(run(&l), NULL)
               : cli_usage("issues", "wrong option, value or argument");
}

static void verify_cells(json_t *row, char (*cell)[160])
{
    (void)snprintf(cell[0], 160, "%s", text_of(row, "log"));
    (void)snprintf(cell[1], 160, "%lld", int_of(row, "here"));
    (void)snprintf(cell[2], 160, "%lld", int_of(row, "there"));
    (void)snprintf(cell[3], 160, "%s",
                   json_is_true(json_object_get(row, "equal")) ? "equal"
                                                               : "DIFFERENT");
    (void)snprintf(cell[4], 160, "%s", text_of(row, "text"));
}

int cmd_verify(int argc, char **argv)
{
    static const char *const headings[] = {"log", "here", "there", "result",
                                           ""};
    struct list l = {.takes = "124",
                     .headings = headings,
                     .columns = 5,
                     .cells = verify_cells};
    return parse(&l, "verify", argc, argv)
               ? finish(run(&l), "different")
               : cli_usage("verify", "wrong option, value or argument");
}

static void fault_cells(json_t *row, char (*cell)[160])
{
    (void)snprintf(cell[0], 160, "%s", text_of(row, "log"));
    (void)snprintf(cell[1], 160, "%lld", int_of(row, "number"));
    (void)snprintf(cell[2], 160, "%s", text_of(row, "text"));
}

int cmd_scrub(int argc, char **argv)
{
    static const char *const headings[] = {"log", "entry", "fault"};
    struct list l = {.headings = headings, .columns = 3, .cells = fault_cells};
    return parse(&l, "scrub", argc, argv)
               ? finish(run(&l), "faults")
               : cli_usage("scrub", "wrong option, value or argument");
}

int cmd_reindex(int argc, char **argv)
{
    static const char *const headings[] = {"index rebuilt"};
    struct list l = {.headings = headings, .columns = 1, .cells = fault_cells};
    return parse(&l, "reindex", argc, argv)
               ? finish(run(&l), NULL)
               : cli_usage("reindex", "wrong option, value or argument");
}
