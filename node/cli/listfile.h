/* listfile.h - directives logs to files and from them (private to node/).
 * Both return an exit status. */
#ifndef CLI_LISTFILE_H
#define CLI_LISTFILE_H

#include "cli/cli.h"

/* `log`, `from`: NULL for the default that --help tells. */
int cli_listfile_export(const struct cli_options *o, const char *path,
                        const char *log, const char *from);
/* Is this what an export wrote, by its first bytes? */
bool cli_listfile_is(const char *path);
int cli_listfile_take(const struct cli_options *o, const char *path);

#endif
