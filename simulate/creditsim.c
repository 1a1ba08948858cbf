/* creditsim.c - the simulator's commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "creditsim.h"
#include "ident/suite.h"

static const char help[] =
    "creditsim - proves that a tree of credit nodes keeps its promises\n"
    "\n"
    "  creditsim pure [options]   the replication machines in one process,\n"
    "                             under faults that follow from a seed\n"
    "  creditsim run [options]    real processes: an area or a shape,\n"
    "                             work by profile, faults, a report\n"
    "  creditsim attach DIR       starts a tree again that a run has kept\n"
    "  creditsim html [options]   the page of a report\n"
    "\n"
    "creditsim COMMAND --help tells more. docs/simulator.md says what is\n"
    "checked and how.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"pure", creditsim_pure},
    {"run", creditsim_run},
    {"attach", creditsim_attach},
    {"html", creditsim_html},
};

bool sim_number(const char *text, unsigned long max, unsigned long *out)
{
    char *end;
    *out = strtoul(text, &end, 10);
    bool good = end != text && *end == '\0' && *text != '-' && *out <= max;
    if (!good) {
        (void)fprintf(stderr, "creditsim: \"%s\": a number up to %lu\n", text,
                      max);
    }
    return good;
}

int main(int argc, char **argv)
{
    suite_init();
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0];
         i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    bool asked = argc > 1 && strcmp(argv[1], "--help") == 0;
    (void)fputs(help, asked ? stdout : stderr);
    return asked ? SIM_HOLDS : SIM_USAGE;
}
