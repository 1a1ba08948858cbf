/* creditsim attach: a tree that a run has kept is started again. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "creditsim.h"
#include "run/run.h"

static const char help[] =
    "creditsim attach DIR [options]\n"
    "\n"
    "Starts the nodes of a tree that `creditsim run --keep --dir DIR` has "
    "left,\n"
    "as they are, and waits until Ctrl-C: nothing is entered, spoiled or\n"
    "checked. When all are ready there is the file DIR/attached.\n"
    "\n"
    "  --node PROGRAM  another creditnode\n"
    "  --patience N    seconds until all are ready (default 120)\n"
    "\n"
    "Exit status: 0 all ended cleanly, 1 one did not come up or ended by\n"
    "itself, 2 usage, 3 no tree.\n";

static bool parse(struct run_conf *conf, int argc, char **argv)
{
    static const struct option options[] = {
        {"node", required_argument, NULL, 'n'},
        {"patience", required_argument, NULL, 'p'},
        {NULL, 0, NULL, 0}};
    int opt;
    unsigned long n = 0;
    bool good = true;
    while (good && (opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'n') {
            conf->creditnode = optarg;
        } else {
            good = opt == 'p' && sim_number(optarg, 86400, &n);
            conf->patience_s = (uint32_t)n;
        }
    }
    return good && optind == argc - 1;
}

static int attach(const struct run_conf *conf)
{
    struct run *run = NULL;
    struct errmsg why = {""};
    char attached[PATH_MAX + 16];
    int status = SIM_CANNOT;
    (void)snprintf(attached, sizeof attached, "%s/attached", conf->folder);
    (void)remove(attached); /* of another time */
    if (run_all(&run, conf, &why) != ERR_OK) {
        (void)fprintf(stderr, "creditsim: %s\n", why.text);
    } else if (run->invariant != NULL) {
        (void)fprintf(stderr, "creditsim: %s at %012llu: %s\n", run->invariant,
                      (unsigned long long)run->node[run->culprit].place.code,
                      run->text);
        status = SIM_BROKEN;
    } else {
        status = SIM_HOLDS;
    }
    run_free(&run);
    return status;
}

int creditsim_attach(int argc, char **argv)
{
    char folder[PATH_MAX];
    struct run_conf conf = {.creditnode = CREDITNODE,
                            .source = SOURCE_DIR,
                            .between = BETWEEN,
                            .liar = LIAR,
                            .folder = folder,
                            .kept = true,
                            .patience_s = 120};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(help, stdout);
        return SIM_HOLDS;
    }
    if (!parse(&conf, argc, argv)) {
        (void)fputs(help, stderr);
        return SIM_USAGE;
    }
    if (realpath(argv[optind], folder) == NULL) {
        (void)fprintf(stderr, "creditsim: %s: no such folder\n", argv[optind]);
        return SIM_CANNOT;
    }
    return attach(&conf);
}
