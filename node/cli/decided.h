/* decided.h - the receipt of directive import: what became of each row of
 * its file (private to node/). */
#ifndef CLI_DECIDED_H
#define CLI_DECIDED_H

#include "cli/cli.h"

struct cli_decided;

/* A new file at `path` about the rows of `name`; both are borrowed. An exit
 * status, with the fault said. */
int cli_decided_open(struct cli_decided **out, const char *path,
                     const char *name);
/* A row as the node told of it, or an error of the file as a whole. All below
 * allow NULL for `decided`. */
void cli_decided_row(struct cli_decided *decided, json_t *row);
void cli_decided_failed(struct cli_decided *decided, const char *why);
/* What was done with the package: `outcome` is prepared, checked, dropped or
 * published; `published` is what the node said then, else NULL. */
void cli_decided_is(struct cli_decided *decided, const char *outcome,
                    json_t *published);
/* Writes it. Returns `rc`, or EXIT_FAILED with the fault said. */
int cli_decided_close(struct cli_decided **decided, int rc);

#endif
