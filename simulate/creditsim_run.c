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
    "  --seconds N     of work and faults (default 30)\n"
    "  --fault-ms N    in the mean between two kills (default 1000; 0: none)\n"
    "  --rows N        of one import (default 40, at most 1000)\n"
    "  --seed S        (default 1)\n"
    "  --patience N    seconds for what must come to an end (default 120)\n"
    "  --dir DIR       folder of the tree; must not exist (default: made)\n"
    "  --keep          leave it: logs are DIR/CODE/log\n"
    "  --json          the report for programs\n"
    "  --node PROGRAM  another creditnode\n"
    "\n"
    "What is killed and when follows from the seed; how far the processes are\n"
    "then does not.\n"
    "Exit status: 0 all held, 1 something did not, 2 usage, 3 no tree.\n";

struct options {
    struct run_conf conf;
    const char *dir;
    bool keep;
    bool json;
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

enum { OPT_HELP = 11 };
static const struct option options[] = {
    {"shape", required_argument, NULL, 1},
    {"seconds", required_argument, NULL, 2},
    {"fault-ms", required_argument, NULL, 3},
    {"rows", required_argument, NULL, 4},
    {"seed", required_argument, NULL, 5},
    {"patience", required_argument, NULL, 6},
    {"dir", required_argument, NULL, 7},
    {"node", required_argument, NULL, 8},
    {"keep", no_argument, NULL, 9},
    {"json", no_argument, NULL, 10},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};
static option_fn *const takers[OPT_HELP] = {
    NULL,      take_shape, take_seconds,  take_fault_ms,
    take_rows, take_seed,  take_patience, take_dir,
    take_node, take_keep,  take_json,
};

static bool parse(struct options *o, int argc, char **argv, int *status)
{
    int opt;
    *o = (struct options){.conf = {.creditnode = CREDITNODE,
                                   .make_tree = MAKE_TREE,
                                   .shape = {.levels = 3, .count = {1, 3, 9}},
                                   .seed = 1,
                                   .seconds = 30,
                                   .fault_ms = 1000,
                                   .rows = 40,
                                   .patience_s = 120}};
    *status = SIM_USAGE;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == OPT_HELP) {
            (void)fputs(help, stdout);
            *status = SIM_HOLDS;
            return false;
        }
        if (opt > OPT_HELP || !takers[opt](o, optarg)) {
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

static void print_report(const struct run *run)
{
    json_t *report = run_json(run);
    const char *key;
    json_t *value;
    json_object_foreach(report, key, value)
    {
        if (json_is_integer(value)) {
            (void)printf("%-20s %lld\n", key,
                         (long long)json_integer_value(value));
        }
    }
    if (run->invariant == NULL) {
        (void)printf("all held\n");
    } else {
        (void)printf("BROKEN %s at %s\n  %s\n", run->invariant,
                     json_string_value(json_object_get(report, "node")),
                     run->text);
    }
    json_decref(report);
}

static void print_json(const struct run *run)
{
    json_t *report = run_json(run);
    (void)json_dumpf(report, stdout, JSON_INDENT(2));
    (void)printf("\n");
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
        o->json ? print_json(run) : print_report(run);
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
    if (o.keep || status == SIM_CANNOT) {
        (void)fprintf(stderr, "kept: %s\n", o.conf.folder);
    } else {
        remove_folder(o.conf.folder);
    }
    return status;
}
