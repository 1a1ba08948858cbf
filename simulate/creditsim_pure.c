/* creditsim pure: many seeds of the pure simulation (pure/pure.h). */
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "creditsim.h"
#include "pure/pure.h"

static const char help[] =
    "creditsim pure [options]\n"
    "\n"
    "Nodes in a tree, in one process: the machines of node/sync and node/mlog\n"
    "as they are, on simulated disks, lines and clocks. Each seed is another\n"
    "schedule: records come, messages are late or lost, nodes crash, are put\n"
    "back to backups or run twice, one in the middle lies. All invariants are\n"
    "checked all the time. The first that breaks is printed by name with the\n"
    "node, log, number and last events; then the faults are made fewer as "
    "long\n"
    "as it breaks, and the command that repeats it is printed.\n"
    "\n"
    "  --seeds N      so many schedules (default 20; 0: until the time is up)\n"
    "  --minutes M    no new one after so many minutes (default: no limit)\n"
    "  --seed S       the first seed (default 1)\n"
    "  --shape LIST   nodes a level from the top (default 1,2,4)\n"
    "  --faults N     faults a schedule (default 24, at most 256)\n"
    "  --busy S       simulated seconds of records and faults (default 120)\n"
    "  --keep LIST    of the faults only those with these numbers, e.g. 3,7\n"
    "  --plan         print the faults of the first seed and stop\n"
    "  --trace        print every event\n"
    "  --no-shrink    leave a failing plan as it is\n"
    "  --certs DIR    keys and certificates are kept there for the next time\n"
    "                 (default: made anew, a second for every ten nodes)\n"
    "  --plant NAME   build a known fault into every node, to see it caught:\n"
    "                 --plant list\n"
    "  --invariants   what is checked, by name\n"
    "\n"
    "Exit status: 0 all held, 1 one broke, 2 usage, 3 no certificates.\n";

struct options {
    unsigned long seeds;
    unsigned long minutes;
    unsigned long seed;
    const char *certs;
    struct pure_shape shape;
    const char *shape_text;
    struct pure_conf conf;
    bool left_out[PURE_FAULTS_MAX];
    bool chosen; /* --keep */
    bool plan;
    bool no_shrink;
};

/* ---- options ---- */

static bool keep_only(struct options *o, const char *text)
{
    o->chosen = true;
    memset(o->left_out, true, sizeof o->left_out);
    while (*text != '\0') {
        char *end;
        unsigned long n = strtoul(text, &end, 10);
        if (end == text || n >= PURE_FAULTS_MAX ||
            (*end != ',' && *end != '\0')) {
            (void)fprintf(stderr,
                          "creditsim: --keep: numbers of faults, as in 3,7\n");
            return false;
        }
        o->left_out[n] = false;
        text = *end == ',' ? end + 1 : end;
    }
    return true;
}

static bool plant(struct options *o, const char *name)
{
    for (unsigned i = 0; i < PLANTS; i++) {
        if (strcmp(name, pure_plants[i].name) == 0) {
            o->conf.plant = (enum pure_plant)i;
            return true;
        }
    }
    FILE *to = strcmp(name, "list") == 0 ? stdout : stderr;
    (void)fprintf(to, "%-14s %-13s %s\n", "plant", "caught by", "what it does");
    for (unsigned i = 1; i < PLANTS; i++) {
        (void)fprintf(to, "%-14s %-13s %s\n", pure_plants[i].name,
                      pure_plants[i].invariant, pure_plants[i].what);
    }
    return false;
}

/* What an option does; false ends the program with *status. */
typedef bool option_fn(struct options *o, const char *text, int *status);

static bool take_seeds(struct options *o, const char *text, int *status)
{
    (void)status;
    return sim_number(text, ULONG_MAX - 1, &o->seeds);
}

static bool take_minutes(struct options *o, const char *text, int *status)
{
    (void)status;
    return sim_number(text, 100000, &o->minutes);
}

static bool take_seed(struct options *o, const char *text, int *status)
{
    (void)status;
    return sim_number(text, ULONG_MAX - 1, &o->seed);
}

static bool take_shape(struct options *o, const char *text, int *status)
{
    struct errmsg why;
    (void)status;
    o->shape_text = text;
    if (!pure_shape_parse(text, &o->shape, &why)) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
        return false;
    }
    return true;
}

static bool take_faults(struct options *o, const char *text, int *status)
{
    unsigned long n = 0;
    (void)status;
    bool good = sim_number(text, PURE_FAULTS_MAX, &n);
    o->conf.faults = (unsigned)n;
    return good;
}

static bool take_busy(struct options *o, const char *text, int *status)
{
    unsigned long n = 0;
    (void)status;
    bool good = sim_number(text, 86400, &n);
    o->conf.busy_ms = (uint32_t)n * 1000;
    return good;
}

static bool take_keep(struct options *o, const char *text, int *status)
{
    (void)status;
    return keep_only(o, text);
}

static bool take_plan(struct options *o, const char *text, int *status)
{
    (void)text;
    (void)status;
    return o->plan = true;
}

static bool take_trace(struct options *o, const char *text, int *status)
{
    (void)text;
    (void)status;
    o->conf.trace = stdout;
    return true;
}

static bool take_no_shrink(struct options *o, const char *text, int *status)
{
    (void)text;
    (void)status;
    return o->no_shrink = true;
}

static bool take_certs(struct options *o, const char *text, int *status)
{
    (void)status;
    o->certs = text;
    return true;
}

static bool take_plant(struct options *o, const char *text, int *status)
{
    *status = strcmp(text, "list") == 0 ? SIM_HOLDS : SIM_USAGE;
    return plant(o, text);
}

static bool list_invariants(struct options *o, const char *text, int *status)
{
    (void)o;
    (void)text;
    *status = SIM_HOLDS;
    for (const struct pure_invariant *i = pure_invariants; i->name != NULL;
         i++) {
        (void)printf("%-13s %s\n", i->name, i->what);
    }
    return false;
}

static bool print_help(struct options *o, const char *text, int *status)
{
    (void)o;
    (void)text;
    *status = SIM_HOLDS;
    (void)fputs(help, stdout);
    return false;
}

enum { OPTIONS = 14 };
static const struct option options[OPTIONS + 1] = {
    {"seeds", required_argument, NULL, 1},
    {"minutes", required_argument, NULL, 2},
    {"seed", required_argument, NULL, 3},
    {"shape", required_argument, NULL, 4},
    {"faults", required_argument, NULL, 5},
    {"busy", required_argument, NULL, 6},
    {"keep", required_argument, NULL, 7},
    {"plan", no_argument, NULL, 8},
    {"trace", no_argument, NULL, 9},
    {"no-shrink", no_argument, NULL, 10},
    {"certs", required_argument, NULL, 11},
    {"plant", required_argument, NULL, 12},
    {"invariants", no_argument, NULL, 13},
    {"help", no_argument, NULL, 14},
    {NULL, 0, NULL, 0},
};
static option_fn *const takers[OPTIONS] = {
    take_seeds, take_minutes, take_seed,       take_shape, take_faults,
    take_busy,  take_keep,    take_plan,       take_trace, take_no_shrink,
    take_certs, take_plant,   list_invariants, print_help,
};

static bool parse(struct options *o, int argc, char **argv, int *status)
{
    int opt;
    *o = (struct options){.seeds = 20,
                          .seed = 1,
                          .shape_text = "1,2,4",
                          .shape = {.levels = 3, .count = {1, 2, 4}},
                          .conf = {.faults = 24, .busy_ms = 120000}};
    *status = SIM_USAGE;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt > OPTIONS || !takers[opt - 1](o, optarg, status)) {
            return false;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "creditsim pure: \"%s\"? See --help\n",
                      argv[optind]);
        return false;
    }
    return true;
}

/* ---- what it says ---- */

static void print_result(const struct options *o, const struct pure_result *r)
{
    char log[LOG_ID_TEXT_MAX];
    (void)printf("seed %llu: BROKEN %s\n  node %012llu",
                 (unsigned long long)o->conf.seed, r->invariant,
                 (unsigned long long)r->node);
    if (r->log.origin != 0) {
        log_id_format(&r->log, log);
        (void)printf("  log %s", log);
    }
    if (r->number != 0) {
        (void)printf("  number %llu", (unsigned long long)r->number);
    }
    (void)printf("\n  %s\n  last events:\n", r->text);
    for (unsigned i = 0; i < r->tail_n; i++) {
        (void)printf("    %s\n", r->tail[i]);
    }
}

static void print_repeat(const struct options *o, const bool *left_out)
{
    const char *comma = "";
    (void)printf("  repeat with:\n    creditsim pure --shape %s --busy %u "
                 "--faults %u --seed %llu --seeds 1 --keep ",
                 o->shape_text, o->conf.busy_ms / 1000, o->conf.faults,
                 (unsigned long long)o->conf.seed);
    for (unsigned i = 0; i < o->conf.faults; i++) {
        if (!left_out[i]) {
            (void)printf("%s%u", comma, i);
            comma = ",";
        }
    }
    if (*comma == '\0') {
        (void)printf("''");
    }
    if (o->conf.plant != PLANT_NONE) {
        (void)printf(" --plant %s", pure_plants[o->conf.plant].name);
    }
    (void)printf("\n");
}

static void print_failure(const struct pure_fed *fed, struct options *o,
                          struct pure_result *r)
{
    bool left_out[PURE_FAULTS_MAX];
    memcpy(left_out, o->left_out, sizeof left_out);
    print_result(o, r);
    if (!o->no_shrink) {
        unsigned n = pure_shrink(fed, &o->conf, left_out, r);
        (void)printf("with the fewest faults, %u:\n", n);
        struct pure_conf conf = o->conf;
        conf.left_out = left_out;
        pure_print_plan(fed, &conf, stdout);
        print_result(o, r);
    }
    print_repeat(o, left_out);
}

struct sums {
    unsigned long runs;
    struct pure_counts all;
};

static void add(struct sums *s, const struct pure_counts *one)
{
    struct pure_counts *all = &s->all;
    s->runs++;
    all->events += one->events;
    all->virtual_ms += one->virtual_ms;
    all->entries += one->entries;
    all->acked += one->acked;
    all->crashes += one->crashes;
    all->restores += one->restores;
    all->successions += one->successions;
    all->forks += one->forks;
    all->refusals += one->refusals;
}

static void print_sums(const struct sums *s, int64_t took_ms)
{
    const struct pure_counts *all = &s->all;
    (void)printf(
        "%lu schedules held: %llu events, %llu entries, %llu records "
        "acknowledged,\n%u crashes, %u restores, %u successions, %u forks "
        "marked, %u refusals;\n%.1f simulated hours in %.1f s\n",
        s->runs, (unsigned long long)all->events,
        (unsigned long long)all->entries, (unsigned long long)all->acked,
        all->crashes, all->restores, all->successions, all->forks,
        all->refusals, (double)all->virtual_ms / 3600000,
        (double)took_ms / 1000);
}

/* ---- runs ---- */

static bool more(const struct options *o, const struct sums *s, int64_t from_ms)
{
    bool time = o->minutes == 0 ||
                clock_mono_ms() - from_ms < (int64_t)o->minutes * 60000;
    return time && (o->seeds == 0 || s->runs < o->seeds);
}

static int run_all(const struct pure_fed *fed, struct options *o)
{
    int64_t from_ms = clock_mono_ms();
    struct sums sums = {.runs = 0};
    int status = SIM_HOLDS;
    struct pure_result *r = MEM_NEW(struct pure_result);
    o->conf.left_out = o->chosen ? o->left_out : NULL;
    for (o->conf.seed = o->seed; more(o, &sums, from_ms); o->conf.seed++) {
        pure_run(fed, &o->conf, r);
        add(&sums, &r->counts);
        if (r->invariant != NULL) {
            print_failure(fed, o, r);
            status = SIM_BROKEN;
            break;
        }
    }
    if (status == SIM_HOLDS) {
        print_sums(&sums, clock_mono_ms() - from_ms);
    }
    mem_free(r);
    return status;
}

static int with_certs(struct options *o)
{
    struct pure_fed *fed = NULL;
    struct errmsg why = {""};
    if (pure_fed_open(&fed, o->certs, CERTS_DIR, &o->shape, &why) != ERR_OK) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
        return SIM_CANNOT;
    }
    int status = SIM_HOLDS;
    if (o->plan) {
        o->conf.seed = o->seed;
        o->conf.left_out = o->chosen ? o->left_out : NULL;
        pure_print_plan(fed, &o->conf, stdout);
    } else {
        status = run_all(fed, o);
    }
    pure_fed_close(&fed);
    return status;
}

int creditsim_pure(int argc, char **argv)
{
    struct options *o = MEM_NEW(struct options);
    int status = SIM_USAGE;
    if (parse(o, argc, argv, &status)) {
        status = with_certs(o);
    }
    mem_free(o);
    return status;
}
