/* creditsim run: a tree of real nodes under load and kill -9 (run/run.h). */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "creditsim.h"
#include "pure/fewest.h"
#include "run/html.h"
#include "run/run.h"

static const char help[] =
    "creditsim run [options]\n"
    "\n"
    "Makes certificates and configurations of a tree, starts a creditnode\n"
    "process for each node, lets every office import licences, and does "
    "faults\n"
    "to processes, lines, disks, stores, certificates and clocks, by a "
    "schedule\n"
    "that follows from the seed or is read from a file. Then all faults end, "
    "and\n"
    "within the patience every log must have the size and root of its origin "
    "at\n"
    "every ancestor; every row that was acknowledged must be there under its "
    "log\n"
    "and number, at the office and at every ancestor; and all processes must "
    "end\n"
    "cleanly. If something does not hold, the schedule is written to a file "
    "and\n"
    "the command is printed that repeats it.\n"
    "\n"
    "  --shape LIST    nodes a level from the top (default 1,3,9)\n"
    "  --area CODE     instead: a division (2 to 12 digits), all below it and\n"
    "                  what is above it, such as 3418: 984 offices\n"
    "  --below LIST    at most so many children of each node, a level below\n"
    "                  the area, as in 2,2,2 (0: all)\n"
    "  --table PATH    division table, or a folder of such (made by\n"
    "                  simulate/area/make-area.sh)\n"
    "  --suite SUITE   intl (default) or gm\n"
    "  --seconds N     of work and faults (default 30)\n"
    "  --profile NAME  what the offices do: quiet, month-end, first-load,\n"
    "                  campaign, mixed (default), or the path of such a file\n"
    "                  (simulate/profiles/)\n"
    "  --rows N        of one import, whatever the profile says\n"
    "  --seed S        (default 1)\n"
    "  --faults LIST   kinds, such as kill,cut,full; all (default); none;\n"
    "                  list: prints which there are\n"
    "  --every S       seconds in the mean between two faults, 0.05 to 3600\n"
    "                  (default 1)\n"
    "  --plan          prints the schedule and stops\n"
    "  --write-plan FILE  writes it, for --replay\n"
    "  --replay FILE   does the faults of FILE, with the options in it\n"
    "  --shrink        if something breaks: again with fewer faults, as long "
    "as\n"
    "                  the same breaks\n"
    "  --patience N    seconds for what must come to an end (default 120)\n"
    "  --dir DIR       folder of the tree; must not exist (default: made)\n"
    "  --attach        when all is equal, go on until Ctrl-C: look around\n"
    "  --keep          leave it: logs are DIR/CODE/log\n"
    "  --json          the report for programs\n"
    "  --html FILE     the report as one page with charts, to be filed\n"
    "  --lang zh|en    language of that page (default zh)\n"
    "  --node PROGRAM  another creditnode\n"
    "  --old PROGRAM[:PERCENT]  an earlier creditnode, which so many of the\n"
    "                  nodes begin with (default 50); the fault upgrade "
    "starts\n"
    "                  one of them with the present program\n"
    "\n"
    "What is spoiled and when follows from the seed; how far the processes "
    "are\n"
    "then does not.\n"
    "Exit status: 0 all held, 1 something did not, 2 usage, 3 no tree.\n";

enum { GIVEN_MAX = 32, GIVEN_LEN = 512, OLD_PERCENT = 50 };

struct options {
    struct run_conf conf;
    struct profile profile;
    const char *dir;
    const char *write_plan;
    bool keep;
    bool json;
    const char *html;
    bool english;
    bool plan;
    bool shrink;
    char old[GIVEN_LEN];
    bool listed; /* what was asked for is printed */
    /* Options that a schedule's file begins with. */
    char given[GIVEN_MAX][GIVEN_LEN];
    size_t given_n;
};

typedef bool option_fn(struct options *o, const char *text);

static bool number32(const char *text, unsigned long max, uint32_t *out)
{
    unsigned long n = 0;
    bool good = sim_number(text, max, &n);
    *out = (uint32_t)n;
    return good;
}

static bool take_shape(struct options *o, const char *text)
{
    struct errmsg why;
    if (!pure_shape_parse(text, &o->conf.shape, &why)) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
        return false;
    }
    return true;
}

static bool take_area(struct options *o, const char *text)
{
    o->conf.area.code = text;
    return true;
}

static bool take_below(struct options *o, const char *text)
{
    struct errmsg why;
    bool good = area_below_parse(text, &o->conf.area, &why);
    if (!good) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    }
    return good;
}

static bool take_table(struct options *o, const char *text)
{
    o->conf.area.table = text;
    return true;
}

static bool take_suite(struct options *o, const char *text)
{
    o->conf.suite = text;
    bool good = strcmp(text, "intl") == 0 || strcmp(text, "gm") == 0;
    if (!good) {
        (void)fprintf(stderr, "creditsim: suite \"%s\": intl or gm\n", text);
    }
    return good;
}

/* A name of simulate/profiles/, or a path. */
static bool take_profile(struct options *o, const char *text)
{
    char path[512];
    struct errmsg why;
    bool is_path = strchr(text, '/') != NULL;
    (void)snprintf(path, sizeof path, is_path ? "%s" : PROFILES_DIR "/%s.cfg",
                   text);
    bool good = profile_read(path, &o->profile, &why) == ERR_OK;
    if (!good) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    }
    return good;
}

static bool take_attach(struct options *o, const char *text)
{
    (void)text;
    return o->conf.attach = true;
}

static bool take_seconds(struct options *o, const char *text)
{
    return number32(text, 86400, &o->conf.seconds);
}

static bool take_every(struct options *o, const char *text)
{
    char *end;
    double s = strtod(text, &end);
    bool good = end != text && *end == '\0' && s >= 0.05 && s <= 3600;
    if (!good) {
        (void)fprintf(stderr, "creditsim: \"%s\": 0.05 to 3600 seconds\n",
                      text);
        return false;
    }
    o->conf.fault_ms = (uint32_t)(s * 1000);
    return true;
}

static bool take_faults(struct options *o, const char *text)
{
    struct errmsg why;
    if (strcmp(text, "list") == 0) {
        schedule_print_kinds(stdout);
        o->listed = true;
        return false;
    }
    bool good = schedule_kinds_parse(text, &o->conf.fault_kinds, &why);
    if (!good) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    }
    return good;
}

static bool take_write_plan(struct options *o, const char *text)
{
    o->write_plan = text;
    return true;
}

static bool take_plan(struct options *o, const char *text)
{
    (void)text;
    return o->plan = true;
}

static bool take_shrink(struct options *o, const char *text)
{
    (void)text;
    return o->shrink = true;
}

static bool take_replay(struct options *o, const char *text);

static bool take_rows(struct options *o, const char *text)
{
    return number32(text, 1000, &o->conf.rows) && o->conf.rows > 0;
}

static bool take_seed(struct options *o, const char *text)
{
    unsigned long n = 0;
    bool good = sim_number(text, ULONG_MAX - 1, &n);
    o->conf.seed = n;
    return good;
}

static bool take_patience(struct options *o, const char *text)
{
    return number32(text, 86400, &o->conf.patience_s);
}

static bool take_dir(struct options *o, const char *text)
{
    o->dir = text;
    return true;
}

static bool take_node(struct options *o, const char *text)
{
    o->conf.creditnode = text;
    return true;
}

/* The percentage stands behind the last colon. */
static bool take_old(struct options *o, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    (void)snprintf(o->old, sizeof o->old, "%.*s", (int)len, text);
    o->conf.old = o->old;
    o->conf.old_percent = OLD_PERCENT;
    bool good =
        len < sizeof o->old && access(o->old, X_OK) == 0 &&
        (colon == NULL || (number32(colon + 1, 100, &o->conf.old_percent) &&
                           o->conf.old_percent > 0));
    if (!good) {
        (void)fprintf(stderr,
                      "creditsim: \"%s\": a program, and 1 to 100 percent\n",
                      text);
    }
    return good;
}

static bool take_html(struct options *o, const char *text)
{
    o->html = text;
    return true;
}

static bool take_lang(struct options *o, const char *text)
{
    o->english = strcmp(text, "en") == 0;
    bool good = o->english || strcmp(text, "zh") == 0;
    if (!good) {
        (void)fprintf(stderr, "creditsim: language \"%s\": zh or en\n", text);
    }
    return good;
}

static bool take_keep(struct options *o, const char *text)
{
    (void)text;
    return o->keep = true;
}

static bool take_json(struct options *o, const char *text)
{
    (void)text;
    return o->json = o->conf.quiet = true;
}

static const struct {
    struct option option;
    option_fn *take; /* NULL: help */
    bool in_file;    /* a schedule's file may have it */
} rows[] = {
    {{"shape", required_argument, NULL, 0}, take_shape, true},
    {{"area", required_argument, NULL, 0}, take_area, true},
    {{"below", required_argument, NULL, 0}, take_below, true},
    {{"table", required_argument, NULL, 0}, take_table, true},
    {{"suite", required_argument, NULL, 0}, take_suite, true},
    {{"profile", required_argument, NULL, 0}, take_profile, true},
    {{"seconds", required_argument, NULL, 0}, take_seconds, true},
    {{"rows", required_argument, NULL, 0}, take_rows, true},
    {{"seed", required_argument, NULL, 0}, take_seed, true},
    {{"faults", required_argument, NULL, 0}, take_faults, false},
    {{"every", required_argument, NULL, 0}, take_every, false},
    {{"plan", no_argument, NULL, 0}, take_plan, false},
    {{"write-plan", required_argument, NULL, 0}, take_write_plan, false},
    {{"replay", required_argument, NULL, 0}, take_replay, false},
    {{"shrink", no_argument, NULL, 0}, take_shrink, false},
    {{"patience", required_argument, NULL, 0}, take_patience, false},
    {{"dir", required_argument, NULL, 0}, take_dir, false},
    {{"node", required_argument, NULL, 0}, take_node, false},
    {{"old", required_argument, NULL, 0}, take_old, true},
    {{"attach", no_argument, NULL, 0}, take_attach, false},
    {{"keep", no_argument, NULL, 0}, take_keep, false},
    {{"json", no_argument, NULL, 0}, take_json, false},
    {{"html", required_argument, NULL, 0}, take_html, false},
    {{"lang", required_argument, NULL, 0}, take_lang, false},
    {{"help", no_argument, NULL, 0}, NULL, false},
};

/* Takes an option and keeps it for the file of the schedule; the value is that
 * of the copy, for the text may be gone before the run is. */
static bool take(struct options *o, size_t row, const char *text)
{
    if (!rows[row].in_file) {
        return rows[row].take(o, text);
    }
    const char *name = rows[row].option.name;
    char *kept = o->given_n < GIVEN_MAX ? o->given[o->given_n++] : NULL;
    if (kept == NULL ||
        snprintf(kept, GIVEN_LEN, "%s %s", name, text) >= GIVEN_LEN) {
        (void)fprintf(stderr, "creditsim: --%s: too long, or too many\n", name);
        return false;
    }
    return rows[row].take(o, kept + strlen(name) + 1);
}

static bool take_from_file(void *ctx, const char *name, const char *value,
                           struct errmsg *why)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].in_file && strcmp(rows[i].option.name, name) == 0) {
            bool good = take(ctx, i, value);
            if (!good) {
                (void)err_set(why, ERR_CONF, "\"%.60s\" is not possible",
                              value);
            }
            return good;
        }
    }
    (void)err_set(why, ERR_CONF,
                  "not one that a file may have: see creditsim run --help");
    return false;
}

static bool take_replay(struct options *o, const char *text)
{
    struct errmsg why;
    schedule_free(&o->conf.schedule);
    o->conf.schedule_path = text;
    bool good = schedule_read(&o->conf.schedule, text, take_from_file, o,
                              &why) == ERR_OK;
    if (!good) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    }
    return good;
}

static bool parse(struct options *o, int argc, char **argv, int *status)
{
    struct option options[ARRAY_LEN(rows) + 1] = {{NULL, 0, NULL, 0}};
    int at = 0;
    int opt;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        options[i] = rows[i].option;
    }
    *o = (struct options){.conf = {.creditnode = CREDITNODE,
                                   .source = SOURCE_DIR,
                                   .between = BETWEEN,
                                   .liar = LIAR,
                                   .suite = "intl",
                                   .area = {.table = AREA_DIR},
                                   .shape = {.levels = 3, .count = {1, 3, 9}},
                                   .seed = 1,
                                   .seconds = 30,
                                   .fault_kinds = UINT32_MAX,
                                   .fault_ms = 1000,
                                   .patience_s = 120}};
    *status = SIM_USAGE;
    if (!take_profile(o, "mixed")) {
        return false;
    }
    o->conf.profile = &o->profile;
    while ((opt = getopt_long(argc, argv, "", options, &at)) != -1) {
        if (opt == 0 && rows[at].take == NULL) {
            (void)fputs(help, stdout);
            *status = SIM_HOLDS;
            return false;
        }
        if (opt != 0 || !take(o, (size_t)at, optarg)) {
            *status = o->listed ? SIM_HOLDS : SIM_USAGE;
            return false;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "creditsim run: \"%s\"? See --help\n",
                      argv[optind]);
        return false;
    }
    return true;
}

/* ---- the folder ---- */

/* ---- the schedule ---- */

static void put_schedule(const struct options *o, const struct schedule *s,
                         FILE *out)
{
    schedule_print_head(out);
    for (size_t i = 0; i < o->given_n; i++) {
        (void)fprintf(out, "option %s\n", o->given[i]);
    }
    (void)fprintf(out, "# at for kind node amount\n");
    schedule_print(s, out);
}

static bool write_schedule(const struct options *o, const struct schedule *s,
                           const char *path)
{
    FILE *out = fopen(path, "we");
    if (out != NULL) {
        put_schedule(o, s, out);
    }
    bool good = out != NULL && fclose(out) == 0;
    if (!good) {
        (void)fprintf(stderr, "creditsim: %s: cannot be written\n", path);
    }
    return good;
}

static int print_plan(const struct options *o)
{
    struct run *run = NULL;
    struct errmsg why;
    enum err err = run_plan(&run, &o->conf, &why);
    if (err == ERR_OK) {
        put_schedule(o, &run->schedule, stdout);
    } else {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    }
    run_free(&run);
    return err == ERR_OK ? SIM_HOLDS : SIM_USAGE;
}

/* ---- the report ---- */

static void print_events(const json_t *report)
{
    size_t i;
    json_t *event;
    (void)printf("last events:\n");
    json_array_foreach(json_object_get(report, "last_events"), i, event)
    {
        (void)printf("  %s\n", json_string_value(event));
    }
}

static void print_report(const json_t *report)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)report, key, value)
    {
        if (json_is_integer(value)) {
            (void)printf("%-20s %lld\n", key,
                         (long long)json_integer_value(value));
        }
    }
    if (json_is_true(json_object_get(report, "holds"))) {
        (void)printf("all held\n");
    } else {
        (void)printf("BROKEN %s at %s\n  %s\n",
                     json_string_value(json_object_get(report, "broken")),
                     json_string_value(json_object_get(report, "node")),
                     json_string_value(json_object_get(report, "text")));
        print_events(report);
    }
}

/* What the node said last, where something does not hold. */
static void show_last_lines(const struct run *run)
{
    enum { LAST = 6, LINE_LEN = 400 };
    char line[LAST][LINE_LEN];
    char path[RUN_FILE_MAX];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/log", run->node[run->culprit].folder);
    FILE *log = fopen(path, "re");
    while (log != NULL && fgets(line[n % LAST], LINE_LEN, log) != NULL) {
        n++;
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    (void)fprintf(stderr, "the last lines of %012llu:\n",
                  (unsigned long long)run->node[run->culprit].place.code);
    for (size_t i = n > LAST ? n - LAST : 0; i < n; i++) {
        (void)fprintf(stderr, "  %s", line[i % LAST]);
    }
}

static void give_report(const struct options *o, json_t *report,
                        const char *replay)
{
    struct errmsg why;
    if (replay != NULL) {
        (void)json_object_set_new(report, "replay", json_string(replay));
    }
    if (o->json) {
        (void)json_dumpf(report, stdout, JSON_INDENT(2));
        (void)printf("\n");
    }
    if (o->html != NULL &&
        html_write(report, o->html, o->english, &why) != ERR_OK) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    }
}

/* ---- fewer faults ---- */

struct shrinking {
    struct options *o;
    const struct schedule *all;
    const char *invariant;
    unsigned tries;
};

static void keep_some(const struct schedule *all, const bool *left_out,
                      struct schedule *out)
{
    *out =
        (struct schedule){.fault = mem_zalloc(all->n + 1, sizeof *out->fault)};
    for (size_t i = 0; i < all->n; i++) {
        if (!left_out[i]) {
            out->fault[out->n++] = all->fault[i];
        }
    }
}

/* Once more, in a folder of its own. */
static bool breaks_too(void *ctx, const bool *left_out)
{
    struct shrinking *s = ctx;
    struct run_conf conf = s->o->conf;
    struct run *run = NULL;
    struct errmsg why = {""};
    char folder[RUN_PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/s%u", s->o->conf.folder,
                   s->tries++);
    conf.folder = folder;
    conf.quiet = true;
    keep_some(s->all, left_out, &conf.schedule);
    bool breaks =
        mkdir(folder, 0700) == 0 && run_all(&run, &conf, &why) == ERR_OK &&
        run->invariant != NULL && strcmp(run->invariant, s->invariant) == 0;
    (void)fprintf(stderr, "with %zu faults: %s\n", conf.schedule.n,
                  breaks ? "breaks too" : "does not");
    if (run != NULL) {
        run_free(&run);
    }
    sim_folder_remove(folder);
    schedule_free(&conf.schedule);
    return breaks;
}

static void shrink(struct options *o, const struct run *run,
                   struct schedule *out)
{
    struct shrinking s = {
        .o = o, .all = &run->schedule, .invariant = run->invariant};
    bool *left_out = mem_zalloc(run->schedule.n + 1, sizeof *left_out);
    size_t remain = fewest(left_out, run->schedule.n, breaks_too, &s);
    (void)fprintf(stderr, "with the fewest faults: %zu of %zu\n", remain,
                  run->schedule.n);
    keep_some(&run->schedule, left_out, out);
    mem_free(left_out);
}

/* Writes what repeats it, and says how. */
static void say_again(struct options *o, const struct run *run,
                      char replay[RUN_PATH_MAX])
{
    struct schedule some = {0};
    const struct schedule *s = &run->schedule;
    if (o->shrink) {
        shrink(o, run, &some);
        s = &some;
    }
    (void)snprintf(replay, RUN_PATH_MAX, "%s.faults", o->conf.folder);
    if (write_schedule(o, s, replay) && !o->json) {
        (void)printf("repeat with\n  creditsim run --replay %s\n", replay);
    }
    schedule_free(&some);
}

static int run_in(struct options *o)
{
    struct run *run = NULL;
    struct errmsg why = {""};
    char replay[RUN_PATH_MAX] = "";
    int status = SIM_CANNOT;
    if (run_all(&run, &o->conf, &why) != ERR_OK) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    } else {
        status = run->invariant == NULL ? SIM_HOLDS : SIM_BROKEN;
        json_t *report = run_json(run);
        if (!o->json) {
            print_report(report);
        }
        if (status == SIM_BROKEN) {
            show_last_lines(run);
            say_again(o, run, replay);
        }
        give_report(o, report, replay[0] != '\0' ? replay : NULL);
        json_decref(report);
        if (o->write_plan != NULL) {
            (void)write_schedule(o, &run->schedule, o->write_plan);
        }
    }
    run_free(&run);
    return status;
}

static int run_folder(struct options *o)
{
    char folder[SIM_FOLDER_MAX];
    if (!sim_folder_make(o->dir, folder)) {
        return SIM_CANNOT;
    }
    o->conf.folder = folder;
    int status = run_in(o);
    if (o->keep || status == SIM_CANNOT) {
        (void)fprintf(stderr, "kept: %s\n", folder);
    } else {
        sim_folder_remove(folder);
    }
    return status;
}

int creditsim_run(int argc, char **argv)
{
    struct options o;
    int status = SIM_USAGE;
    if (parse(&o, argc, argv, &status)) {
        status = o.plan ? print_plan(&o) : run_folder(&o);
    }
    schedule_free(&o.conf.schedule);
    return status;
}

int creditsim_html(int argc, char **argv)
{
    json_error_t fault;
    struct errmsg why;
    bool english = argc == 4 && strcmp(argv[3], "en") == 0;
    if (argc < 3 || argc > 4 || (argc == 4 && !english)) {
        (void)fputs("creditsim html REPORT.json PAGE.html [en]\n\n"
                    "The page of a report that `creditsim run --json` wrote.\n",
                    argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout
                                                                : stderr);
        return argc == 2 ? SIM_HOLDS : SIM_USAGE;
    }
    json_t *report = json_load_file(argv[1], 0, &fault);
    if (report == NULL) {
        (void)fprintf(stderr, "creditsim: %s:%d: %s\n", argv[1], fault.line,
                      fault.text);
        return SIM_CANNOT;
    }
    enum err err = html_write(report, argv[2], english, &why);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    }
    json_decref(report);
    return err == ERR_OK ? SIM_HOLDS : SIM_CANNOT;
}
