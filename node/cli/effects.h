/* effects.h - directive effects (private to node/). */
#ifndef CLI_EFFECTS_H
#define CLI_EFFECTS_H

#include "cli/cli.h"

/* Of one listing, or of the last ones; NULL for the default that --help tells.
 * Returns the exit status. */
int cli_effects(const struct cli_options *o, const char *listing,
                const char *log, const char *last);

#endif
