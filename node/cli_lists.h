/* cli_lists.h - what the node has of directives (private to node/). Each
 * returns an exit status. */
#ifndef NODE_CLI_LISTS_H
#define NODE_CLI_LISTS_H

#include "cli.h"

int cli_lists(const struct cli_options *o);
int cli_nodes(const struct cli_options *o);

#endif
