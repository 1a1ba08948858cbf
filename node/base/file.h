/* file.h - whole small files, read with a bound and replaced atomically. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"

/* Appends the file's bytes to `out`. ERR_TOO_LARGE past `max` bytes. */
MUST_USE enum err file_read(const char *path, size_t max, struct buf *out,
                            struct errmsg *why);
/* Writes a neighbour file with `mode`, syncs it, renames it over `path` and
 * syncs the folder: after ERR_OK the new content survives power loss, after
 * any error the old file is untouched. */
MUST_USE enum err file_replace(const char *path, struct slice data,
                               unsigned mode, struct errmsg *why);
/* Renames into and out of the folder that holds `path` survive power loss once
 * this returns. False: errno is set. */
MUST_USE bool file_sync_folder_of(const char *path);
/* What to do about this errno, as "; …" behind strerror(); "" if that says
 * enough. */
const char *file_advice(int error);
/* Refuses a file that group or others can read (private keys). */
MUST_USE enum err file_check_private(const char *path, struct errmsg *why);
/* mkdir -p with mode 0700 for what is missing; what it made survives power
 * loss. */
MUST_USE enum err file_make_dirs(const char *path, struct errmsg *why);

#endif
