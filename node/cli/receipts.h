/* receipts.h - directive status (private to node/). */
#ifndef CLI_RECEIPTS_H
#define CLI_RECEIPTS_H

#include "cli/cli.h"

/* Who holds the directive `number` of `log`; NULL for either: the default that
 * --help tells. Returns the exit status. */
int cli_receipts(const struct cli_options *o, const char *log,
                 const char *number);

#endif
