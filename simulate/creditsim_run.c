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
#include "run/html.h"
#include "run/run.h"

static const char help[] =
    "creditsim run [options]\n"
    "\n"
    "Makes certificates and configurations of a tree, starts a creditnode\n"
    "process for each node, lets every office import licences, and kills "
    "nodes\n"
    "with kill -9 by a plan that follows from the seed; a killed node comes\n"
    "back after a moment. Then all come up, and within the patience every log\n"
    "must have the size and root of its origin at every ancestor; every row\n"
    "that was acknowledged must be there under its log and number, at the\n"
    "office and at every ancestor; and all processes must end cleanly.\n"
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
    "  --fault-ms N    in the mean between two kills (default 1000; 0: none)\n"
    "  --profile NAME  what the offices do: quiet, month-end, first-load,\n"
    "                  campaign, mixed (default), or the path of such a file\n"
    "                  (simulate/profiles/)\n"
    "  --rows N        of one import, whatever the profile says\n"
    "  --seed S        (default 1)\n"
    "  --patience N    seconds for what must come to an end (default 120)\n"
    "  --dir DIR       folder of the tree; must not exist (default: made)\n"
    "  --attach        when all is equal, go on until Ctrl-C: look around\n"
    "  --keep          leave it: logs are DIR/CODE/log\n"
    "  --json          the report for programs\n"
    "  --html FILE     the report as one page with charts, to be filed\n"
    "  --lang zh|en    language of that page (default zh)\n"
    "  --node PROGRAM  another creditnode\n"
    "\n"
    "What is killed and when follows from the seed; how far the processes are\n"
    "then does not.\n"
    "Exit status: 0 all held, 1 something did not, 2 usage, 3 no tree.\n";

struct options {
    struct run_conf conf;
    struct profile profile;
    const char *dir;
    bool keep;
    bool json;
    const char *html;
    bool english;
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

static bool take_fault_ms(struct options *o, const char *text)
{
    return number32(text, 3600000, &o->conf.fault_ms);
}

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
} rows[] = {
    {{"shape", required_argument, NULL, 0}, take_shape},
    {{"area", required_argument, NULL, 0}, take_area},
    {{"below", required_argument, NULL, 0}, take_below},
    {{"table", required_argument, NULL, 0}, take_table},
    {{"suite", required_argument, NULL, 0}, take_suite},
    {{"profile", required_argument, NULL, 0}, take_profile},
    {{"attach", no_argument, NULL, 0}, take_attach},
    {{"seconds", required_argument, NULL, 0}, take_seconds},
    {{"fault-ms", required_argument, NULL, 0}, take_fault_ms},
    {{"rows", required_argument, NULL, 0}, take_rows},
    {{"seed", required_argument, NULL, 0}, take_seed},
    {{"patience", required_argument, NULL, 0}, take_patience},
    {{"dir", required_argument, NULL, 0}, take_dir},
    {{"node", required_argument, NULL, 0}, take_node},
    {{"keep", no_argument, NULL, 0}, take_keep},
    {{"json", no_argument, NULL, 0}, take_json},
    {{"html", required_argument, NULL, 0}, take_html},
    {{"lang", required_argument, NULL, 0}, take_lang},
    {{"help", no_argument, NULL, 0}, NULL},
};

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
                                   .suite = "intl",
                                   .area = {.table = AREA_DIR},
                                   .shape = {.levels = 3, .count = {1, 3, 9}},
                                   .seed = 1,
                                   .seconds = 30,
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
        if (opt != 0 || !rows[at].take(o, optarg)) {
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

static bool make_folder(const struct options *o, char made[64])
{
    /* Not on /tmp: that is memory on many machines. */
    (void)snprintf(made, 64, "/var/tmp/creditsim-XXXXXX");
    bool good =
        o->dir != NULL ? mkdir(o->dir, 0700) == 0 : mkdtemp(made) != NULL;
    if (!good) {
        (void)fprintf(stderr, "creditsim: %s: cannot be made\n",
                      o->dir != NULL ? o->dir : made);
    }
    return good;
}

static void remove_folder(const char *folder)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        (void)fprintf(stderr, "creditsim: %s is left\n", folder);
    }
}

/* ---- the report ---- */

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
    }
}

static void give_report(const struct options *o, const struct run *run)
{
    struct errmsg why;
    json_t *report = run_json(run);
    if (o->json) {
        (void)json_dumpf(report, stdout, JSON_INDENT(2));
        (void)printf("\n");
    } else {
        print_report(report);
    }
    if (o->html != NULL &&
        html_write(report, o->html, o->english, &why) != ERR_OK) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    }
    json_decref(report);
}

static int run_in(struct options *o)
{
    struct run *run = NULL;
    struct errmsg why = {""};
    int status = SIM_CANNOT;
    if (run_all(&run, &o->conf, &why) != ERR_OK) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    } else {
        give_report(o, run);
        status = run->invariant == NULL ? SIM_HOLDS : SIM_BROKEN;
    }
    run_free(&run);
    return status;
}

int creditsim_run(int argc, char **argv)
{
    struct options o;
    char made[64];
    int status = SIM_USAGE;
    if (!parse(&o, argc, argv, &status)) {
        return status;
    }
    if (!make_folder(&o, made)) {
        return SIM_CANNOT;
    }
    o.conf.folder = o.dir != NULL ? o.dir : made;
    status = run_in(&o);
    if (o.keep) {
        (void)fprintf(stderr, "kept: %s\n", o.conf.folder);
    } else {
        remove_folder(o.conf.folder);
    }
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
