/* html.h - the report of a run as one page that an office can file.
 *
 * Everything is in the page: no script, no font, no picture from elsewhere.
 * Charts are inline SVG. Pure but for the file; any thread. */
#ifndef RUN_HTML_H
#define RUN_HTML_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* `report` is what run_json() gave, perhaps read back from a file. ERR_IO. */
MUST_USE enum err html_write(const json_t *report, const char *path,
                             bool english, struct errmsg *why);

#endif
