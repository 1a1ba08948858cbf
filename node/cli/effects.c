/* feedback, and directive effects */
#include "cli/effects.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

enum { LAST_DEFAULT = 20, NUMBER_MAX = 24 };

/* ---- effects ---- */

/* Behind "LOG#": all are of one log. */
static const char *number_of(const char *listing)
{
    const char *mark = strrchr(listing, '#');
    return mark != NULL ? mark + 1 : listing;
}

static void print_log(json_t *listings)
{
    const char *listing = cli_text(json_array_get(listings, 0), "listing");
    const char *number = number_of(listing);
    if (number > listing) {
        cli_line(stdout, "%.*s", (int)(number - 1 - listing), listing);
    }
}

static void print_listings(json_t *listings, bool english)
{
    static const char *const keys[] = {"hit", "applied", "not_applicable",
                                       "refused"};
    static const char *const en[] = {"number", "subject", "list",
                                     "met",    "applied", "not applicable",
                                     "refused"};
    static const char *const zh[] = {"编号",   "主体",   "名单",  "命中",
                                     "已实施", "不适用", "未实施"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    size_t i;
    json_t *row;
    print_log(listings);
    json_array_foreach(listings, i, row)
    {
        char numbers[ARRAY_LEN(keys)][NUMBER_MAX];
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            (void)snprintf(numbers[k], NUMBER_MAX, "%lld",
                           cli_int(row, keys[k]));
        }
        const char *cells[] = {number_of(cli_text(row, "listing")),
                               cli_text(row, "subject"),
                               cli_text(row, english ? "label_en" : "label"),
                               numbers[0],
                               numbers[1],
                               numbers[2],
                               numbers[3]};
        cli_table_row(t, cells);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

static const char *outcome(json_t *row, bool english)
{
    static const struct cli_word words[] = {{"hit", "命中"},
                                            {"applied", "已实施"},
                                            {"not-applicable", "不适用"},
                                            {"refused", "未实施"},
                                            {NULL, NULL}};
    return cli_word(words, cli_text(row, "outcome"), english);
}

static void print_executions(json_t *rows, bool english)
{
    static const char *const en[] = {"node",    "app",      "day",
                                     "outcome", "measures", "reason"};
    static const char *const zh[] = {"节点", "应用", "日期",
                                     "结果", "措施", "理由"};
    struct cli_table *t = cli_table_new(english ? en : zh, ARRAY_LEN(en));
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *cells[] = {
            cli_text(row, "node"),     cli_text(row, "app"),
            cli_text(row, "day"),      outcome(row, english),
            cli_text(row, "measures"), cli_text(row, "reason")};
        cli_table_row(t, cells);
    }
    cli_table_print(t);
    cli_table_free(&t);
}

int cli_effects(const struct cli_options *o, const char *listing,
                const char *log, const char *last)
{
    uint64_t n = LAST_DEFAULT;
    if (last != NULL && (!str_u64(slice_str(last), &n) || n == 0 || n > 1000)) {
        return cli_usage("directive", "--last takes 1 to 1000");
    }
    json_t *request = json_pack("{s:s, s:I}", "cmd", "directive-effects",
                                "last", (json_int_t)n);
    if (listing != NULL) {
        (void)json_object_set_new(request, "listing", json_string(listing));
    }
    if (log != NULL) {
        (void)json_object_set_new(request, "log", json_string(log));
    }
    json_t *result = cli_call(o, request, NULL, NULL);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (o->json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    json_t *listings = json_object_get(result, "listings");
    print_listings(listings, o->english);
    if (listing != NULL) {
        print_executions(
            json_object_get(json_array_get(listings, 0), "executions"),
            o->english);
    }
    json_decref(result);
    return EXIT_OK;
}

/* ---- feedback ---- */

enum option_id { OPT_OUTCOME = 1, OPT_MEASURE, OPT_REASON, OPT_APP, OPT_DAY };

struct feedback {
    struct cli_options o;
    const char *outcome;
    const char *reason;
    const char *app;
    uint64_t day;
    struct buf measures;
};

static bool take_option(struct feedback *f, int opt)
{
    switch (opt) {
    case OPT_OUTCOME:
        f->outcome = optarg;
        return true;
    case OPT_MEASURE:
        buf_putf(&f->measures, "%s%s", f->measures.len > 0 ? "、" : "", optarg);
        return true;
    case OPT_REASON:
        f->reason = optarg;
        return true;
    case OPT_APP:
        f->app = optarg;
        return true;
    case OPT_DAY:
        return str_u64(slice_str(optarg), &f->day) && f->day <= 99991231;
    default:
        return cli_common(opt, &f->o);
    }
}

static int send_feedback(struct feedback *f, const char *listing)
{
    json_t *result = cli_call(
        &f->o,
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "cmd", "feedback",
                  "listing", listing, "outcome", f->outcome, "measures",
                  buf_cstr(&f->measures), "reason", f->reason, "app", f->app,
                  "day", (json_int_t)f->day),
        NULL, NULL);
    if (result == NULL) {
        return EXIT_FAILED;
    }
    if (f->o.json) {
        (void)json_object_del(result, "type");
        return cli_print_json(result);
    }
    (void)printf(f->o.english ? "Noted as entry %lld of %s.\n"
                              : "已记录：第 %lld 条，日志 %s。\n",
                 cli_int(result, "number"), cli_text(result, "log"));
    json_decref(result);
    return EXIT_OK;
}

int cmd_feedback(int argc, char **argv)
{
    static const struct option longs[] = {
        CLI_LONG,
        {"outcome", required_argument, NULL, OPT_OUTCOME},
        {"measure", required_argument, NULL, OPT_MEASURE},
        {"reason", required_argument, NULL, OPT_REASON},
        {"app", required_argument, NULL, OPT_APP},
        {"day", required_argument, NULL, OPT_DAY},
        {NULL, 0, NULL, 0},
    };
    struct feedback f = {.o = {.english = cli_english()},
                         .outcome = "",
                         .reason = "",
                         .app = "office"};
    int opt;
    int rc = EXIT_OK;
    while (rc == EXIT_OK &&
           (opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        rc = take_option(&f, opt)
                 ? EXIT_OK
                 : cli_usage("feedback", "wrong option or value");
    }
    if (rc == EXIT_OK) {
        rc = optind + 1 == argc
                 ? send_feedback(&f, argv[optind])
                 : cli_usage("feedback", "name one listing, LOG#NUMBER, as "
                                         "check shows it");
    }
    buf_fini(&f.measures);
    return rc;
}
