/* package.h - a package of directives as a file and on the terminal
 * (private to node/). */
#ifndef CLI_PACKAGE_H
#define CLI_PACKAGE_H

#include "cli/cli.h"
#include "credit/package.h"

/* Both return an exit status, and say what is wrong. */
int cli_package_load(const char *path, struct package **out);
int cli_package_store(const char *path, const struct package *package);
/* `all` entries, or the first few. */
void cli_package_print(const struct package *p, bool all, bool english);
/* All of it, as the options say: for people, or as JSON. */
int cli_package_show(const struct cli_options *o, const struct package *p);

#endif
