/* creditsim.c - the simulator's commands. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
    "  creditsim crowd [options]  one real node and its very many children\n"
    "  creditsim html [options]   the page of a report\n"
    "\n"
    "creditsim COMMAND --help tells more. docs/simulator.md says what is\n"
    "checked and how.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"pure", creditsim_pure},     {"run", creditsim_run},
    {"attach", creditsim_attach}, {"crowd", creditsim_crowd},
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

bool sim_folder_make(const char *dir, char out[SIM_FOLDER_MAX])
{
    /* Not on /tmp: that is memory on many machines. */
    char made[] = "/var/tmp/creditsim-XXXXXX";
    bool good = dir != NULL ? mkdir(dir, 0700) == 0 : mkdtemp(made) != NULL;
    /* Configurations name it, and a path in them begins at themselves. */
    good = good && realpath(dir != NULL ? dir : made, out) != NULL;
    if (!good) {
        (void)fprintf(stderr, "creditsim: %s: cannot be made\n",
                      dir != NULL ? dir : made);
    }
    return good;
}

void sim_folder_remove(const char *folder)
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

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN); /* lines end at any moment */
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
