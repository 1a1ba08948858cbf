/* conf_source.h - private to conf: a file and what it includes, as one text
 * that still knows where each of its lines stands.
 *
 * libconfig's own @include looks below one folder only; here a relative name
 * starts at the file that includes it. */
#ifndef CONF_CONF_SOURCE_H
#define CONF_CONF_SOURCE_H

#include "conf/conf_schema.h"

enum {
    CONF_FILE_BYTES_MAX = 1 << 20,
    CONF_FILES_MAX = 32,
    CONF_INCLUDE_DEPTH_MAX = 8,
};

struct conf_source {
    struct buf text;
    struct buf places; /* struct conf_place for each line of text */
    char *files[CONF_FILES_MAX];
    size_t files_count;
};

/* Faults go to `errors`; what could be read is there all the same. */
void conf_source_read(struct conf_source *source, const char *path,
                      struct conf_errors *errors);
void conf_source_fini(struct conf_source *source);
/* Where line `line` (from 1) of the text stands. */
struct conf_place conf_source_place(const struct conf_source *source,
                                    unsigned line);
/* Line `line` (from 1) of the text, borrowed. */
struct slice conf_source_line(const struct conf_source *source, unsigned line);

#endif
