/* outcomes.h - what became of each row of a file, as CSV (private to
 * node/). Rows and faults are objects as the node sends them: "line",
 * "outcome", "record_key", "log", "number"; "column", "rule", "text". */
#ifndef CLI_OUTCOMES_H
#define CLI_OUTCOMES_H

#include "cli/cli.h"

/* A new file at `path` with its heading. NULL: errno says why. */
FILE *cli_outcomes_open(const char *path);
/* One line: `row` of the file `name` with one of its faults, which may be NULL.
 */
void cli_outcomes_put(FILE *to, json_t *row, json_t *fault, const char *name);
/* What the fault's rule asks for, in Chinese, with what its text adds to that.
 * Owned. */
char *cli_fault_zh(json_t *fault);

#endif
