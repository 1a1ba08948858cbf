/* bench_mariadb - loads and asks MariaDB servers, for comparison. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client.h"

static const char usage[] =
    "usage: bench_mariadb load|latency|point OPTIONS\n"
    "  --bench NAME    the name to print\n"
    "  --server PATH   socket of a server to write to or ask; load: up to 16,\n"
    "                  one connection each\n"
    "  --sink PATH     socket of the server where the rows must arrive\n"
    "  --pid N         a server whose CPU time counts; up to 32\n"
    "  --rows N        rows (latency: isolated rows)\n"
    "  --first N       number of the first row\n"
    "  --subjects N    organisations; a quarter of the rows if not given\n"
    "  --batch N       rows a statement; 1: prepared single rows\n"
    "  --threads N     connections to one server, at most 64\n"
    "  --seconds N     point: how long\n";

static _Noreturn void refuse(const char *what)
{
    fprintf(stderr, "bench_mariadb: %s\n%s", what, usage);
    exit(2);
}

static const struct option names[] = {
    {"bench", required_argument, NULL, 'b'},
    {"server", required_argument, NULL, 'v'},
    {"sink", required_argument, NULL, 'k'},
    {"pid", required_argument, NULL, 'p'},
    {"rows", required_argument, NULL, 'r'},
    {"first", required_argument, NULL, 'f'},
    {"subjects", required_argument, NULL, 's'},
    {"batch", required_argument, NULL, 'n'},
    {"threads", required_argument, NULL, 't'},
    {"seconds", required_argument, NULL, 'd'},
    {NULL, 0, NULL, 0},
};

static uint64_t *number_option(struct options *opt, int c)
{
    const struct {
        int c;
        uint64_t *number;
    } numbers[] = {
        {'r', &opt->rows},  {'f', &opt->first},   {'s', &opt->subjects},
        {'n', &opt->batch}, {'t', &opt->threads}, {'d', &opt->seconds},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (numbers[i].c == c) {
            return numbers[i].number;
        }
    }
    return NULL;
}

static void take_option(struct options *opt, int c)
{
    uint64_t value;
    uint64_t *number = number_option(opt, c);
    if (c == 'b') {
        opt->bench = optarg;
    } else if (c == 'k') {
        opt->sink = optarg;
    } else if (c == 'v' && opt->server_count < PEER_SERVERS_MAX) {
        opt->servers[opt->server_count++] = optarg;
    } else if (c == '?' || c == 'v' || !str_u64(slice_str(optarg), &value)) {
        refuse("option not understood");
    } else if (number != NULL) {
        *number = value;
    } else if (opt->cpu.pid_count < BENCH_PIDS_MAX && value <= INT32_MAX) {
        opt->cpu.pids[opt->cpu.pid_count++] = (pid_t)value;
    } else {
        refuse("too many --pid");
    }
}

static void check_options(const struct options *opt)
{
    uint64_t limit = BENCH_NUMBER_MAX / 2;
    if (opt->bench == NULL || opt->server_count == 0) {
        refuse("--bench and --server are needed");
    }
    if (opt->threads < 1 || opt->threads > PEER_THREADS_MAX || opt->batch < 1) {
        refuse("--threads must be 1 to 64, --batch at least 1");
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
        bool needs_sink;
    } commands[] = {
        {"load", peer_load, false},
        {"latency", peer_latency, true},
        {"point", peer_point, false},
    };
    struct options opt = {
        .rows = 1, .first = 1, .batch = 1000, .threads = 1, .seconds = 5};
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        take_option(&opt, c);
    }
    if (opt.subjects == 0) {
        opt.subjects = (opt.rows + 3) / 4;
    }
    check_options(&opt);
    mysql_library_init(0, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (optind + 1 == argc && strcmp(argv[optind], commands[i].name) == 0) {
            if (commands[i].needs_sink && opt.sink == NULL) {
                refuse("--sink is needed");
            }
            commands[i].run(&opt);
            mysql_library_end();
            return 0;
        }
    }
    refuse("one of load, latency, point");
}
