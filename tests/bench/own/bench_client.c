/* bench_client - loads and asks real nodes. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "client.h"

static const char usage[] =
    "usage: bench_client singles|import|latency|point|check|arrival OPTIONS\n"
    "  --bench NAME      the name to print\n"
    "  --certs DIR       app.pem, app.key, ca.pem of an operator\n"
    "  --server ADDRESS  HOST:PORT of the node to write to or ask\n"
    "  --sink ADDRESS    HOST:PORT of the node where the rows must arrive\n"
    "  --node PATH       import: the creditnode program\n"
    "  --conf FILE       import: configuration of a node; up to 16\n"
    "  --file FILE       import: what that node takes in; check: codes\n"
    "  --goal LOG#N      an entry that the sink must hold; up to 16\n"
    "  --pid N           a node whose CPU time counts; up to 32\n"
    "  --rows N          rows (latency: isolated rows)\n"
    "  --first N         number of the first row\n"
    "  --subjects N      organisations; a quarter of the rows if not given;\n"
    "                    check: how many of them are listed\n"
    "  --threads N       clients, or calls in flight, at most 64\n"
    "  --seconds N       point: how long each part\n";

static _Noreturn void refuse(const char *what)
{
    fprintf(stderr, "bench_client: %s\n%s", what, usage);
    exit(2);
}

static const struct option names[] = {
    {"bench", required_argument, NULL, 'b'},
    {"certs", required_argument, NULL, 'e'},
    {"server", required_argument, NULL, 'v'},
    {"sink", required_argument, NULL, 'k'},
    {"node", required_argument, NULL, 'x'},
    {"conf", required_argument, NULL, 'c'},
    {"file", required_argument, NULL, 'i'},
    {"goal", required_argument, NULL, 'g'},
    {"pid", required_argument, NULL, 'p'},
    {"rows", required_argument, NULL, 'r'},
    {"first", required_argument, NULL, 'f'},
    {"subjects", required_argument, NULL, 's'},
    {"threads", required_argument, NULL, 't'},
    {"seconds", required_argument, NULL, 'd'},
    {NULL, 0, NULL, 0},
};

static bool take_text(struct options *opt, int c)
{
    const struct {
        int c;
        const char **text;
    } texts[] = {
        {'b', &opt->bench}, {'e', &opt->certs}, {'v', &opt->server},
        {'k', &opt->sink},  {'x', &opt->node},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].c == c) {
            *texts[i].text = optarg;
            return true;
        }
    }
    return false;
}

static bool take_number(struct options *opt, int c, uint64_t value)
{
    const struct {
        int c;
        uint64_t *number;
    } numbers[] = {
        {'r', &opt->rows},    {'f', &opt->first},   {'s', &opt->subjects},
        {'t', &opt->threads}, {'d', &opt->seconds},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (numbers[i].c == c) {
            *numbers[i].number = value;
            return true;
        }
    }
    return false;
}

static bool take_listed(struct options *opt, int c)
{
    if (c == 'c' && opt->conf_count < OWN_FILES_MAX) {
        opt->confs[opt->conf_count++] = optarg;
        return true;
    }
    if (c == 'i' && opt->file_count < OWN_FILES_MAX) {
        opt->files[opt->file_count++] = optarg;
        return true;
    }
    return false;
}

static bool take_goal(struct options *opt, const char *text)
{
    const char *mark = strchr(text, '#');
    struct goal *goal = &opt->goals[opt->goal_count];
    if (mark == NULL || opt->goal_count == OWN_FILES_MAX ||
        (size_t)(mark - text) >= sizeof goal->log ||
        !str_u64(slice_str(mark + 1), &goal->number)) {
        return false;
    }
    snprintf(goal->log, sizeof goal->log, "%.*s", (int)(mark - text), text);
    opt->goal_count++;
    return true;
}

static void take_option(struct options *opt, int c)
{
    uint64_t value;
    if (c == '?' || (c == 'g' && !take_goal(opt, optarg))) {
        refuse("option not understood");
    }
    if (c == 'g' || take_text(opt, c) || take_listed(opt, c)) {
        return;
    }
    if (!str_u64(slice_str(optarg), &value)) {
        refuse("option not understood");
    }
    if (take_number(opt, c, value)) {
        return;
    }
    if (c != 'p' || opt->cpu.pid_count == BENCH_PIDS_MAX || value > INT32_MAX) {
        refuse("too many of one option");
    }
    opt->cpu.pids[opt->cpu.pid_count++] = (pid_t)value;
}

enum { SERVER = 1, SINK = 2, FILES = 4, GOALS = 8, CODES = 16 };

static void check_options(const struct options *opt, unsigned needs)
{
    uint64_t limit = BENCH_NUMBER_MAX / 2;
    if (opt->bench == NULL || opt->certs == NULL ||
        ((needs & SERVER) != 0 && opt->server == NULL) ||
        ((needs & SINK) != 0 && opt->sink == NULL) ||
        ((needs & GOALS) != 0 && opt->goal_count == 0) ||
        ((needs & CODES) != 0 && opt->file_count == 0)) {
        refuse("an option that this command needs is missing");
    }
    if ((needs & FILES) != 0 && (opt->node == NULL || opt->conf_count == 0 ||
                                 opt->conf_count != opt->file_count)) {
        refuse("--node, and a --file for each --conf");
    }
    if (opt->threads < 1 || opt->threads > OWN_THREADS_MAX) {
        refuse("--threads must be 1 to 64");
    }
    if (opt->rows < 1 || opt->rows > limit || opt->first < 1 ||
        opt->first > limit || opt->subjects < 1 || opt->subjects > limit) {
        refuse("--rows, --first or --subjects is out of range");
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct options *opt);
        unsigned needs;
    } commands[] = {
        {"singles", own_singles, SERVER | SINK},
        {"import", own_import, FILES | SINK | GOALS},
        {"latency", own_latency, SERVER | SINK},
        {"point", own_point, SERVER},
        {"check", own_check, SERVER | CODES},
        {"arrival", own_arrival, SINK | GOALS},
    };
    struct options opt = {.rows = 1, .first = 1, .threads = 1, .seconds = 5};
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        take_option(&opt, c);
    }
    if (opt.subjects == 0) {
        opt.subjects = (opt.rows + 3) / 4;
    }
    log_set_level(LOG_ERROR);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (optind + 1 == argc && strcmp(argv[optind], commands[i].name) == 0) {
            check_options(&opt, commands[i].needs);
            commands[i].run(&opt);
            return 0;
        }
    }
    refuse("one of singles, import, latency, point, check, arrival");
}
