/* creditsim.h - the commands of the simulator and what they return. */
#ifndef CREDITSIM_H
#define CREDITSIM_H

#include <limits.h>
#include <stdbool.h>

enum {
    SIM_HOLDS = 0,  /* every invariant held */
    SIM_BROKEN = 1, /* one did not */
    SIM_USAGE = 2,
    SIM_CANNOT = 3, /* the simulation could not be made */
};

int creditsim_pure(int argc, char **argv);
int creditsim_run(int argc, char **argv);
int creditsim_attach(int argc, char **argv);
int creditsim_html(int argc, char **argv);
int creditsim_crowd(int argc, char **argv);

/* A number up to `max`; says what is wrong otherwise. */
bool sim_number(const char *text, unsigned long max, unsigned long *out);

enum { SIM_FOLDER_MAX = PATH_MAX };
/* The folder `dir`, which must not exist, or without one a folder of its own;
 * its whole path into `out`. Says what is wrong otherwise. */
bool sim_folder_make(const char *dir, char out[SIM_FOLDER_MAX]);
/* With all that is in it. */
void sim_folder_remove(const char *folder);

#endif
