/* lists.h - what the node has of directives (private to node/). Each
 * returns an exit status. */
#ifndef CLI_LISTS_H
#define CLI_LISTS_H

#include "cli/cli.h"

/* How far each authority's lists are here, and how fresh: the members `lists`
 * and `unheard` of an answer. */
void cli_lists_print(json_t *answer, bool english);
/* red, black or watch, as people of the language say it. */
const char *cli_colour(const char *name, bool english);

int cli_lists(const struct cli_options *o);
int cli_nodes(const struct cli_options *o);

#endif
