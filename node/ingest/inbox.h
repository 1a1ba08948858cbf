/* inbox.h - file exchange for departments without systems.
 *
 * A folder is watched: what appears in it, and has not changed for the settle
 * time, is imported and moved to done/ (or rejected/ if the file as a whole
 * was refused), each with a receipt NAME.receipt.csv that lists what happened
 * to every row. Names that begin with "." or end in ".part" or ".tmp" are left
 * alone until they are renamed; one that is empty, or has no line end at its
 * end, for longer than the settle time: its copying may only have stalled. A
 * file that was in work when the node died, or that changed meanwhile, is
 * imported again: rows that are there already change nothing. While the store
 * takes nothing, files stay, and looks become rarer, down to one a minute.
 *
 * Threads: one of its own. */
#ifndef INGEST_INBOX_H
#define INGEST_INBOX_H

#include "base/log.h"
#include "ingest/import.h"

struct inbox_conf {
    const char *path;     /* made if missing, with done/ and rejected/ */
    uint32_t interval_ms; /* between looks */
    uint32_t settle_ms;   /* unchanged for so long: complete */
    uint64_t file_max_bytes;
};

struct inbox;
MUST_USE enum err inbox_open(struct inbox **out, const struct import_env *env,
                             const struct inbox_conf *conf,
                             const struct log_ctx *log, struct errmsg *why);
/* Ends after the batch under way. NULL is allowed. */
void inbox_close(struct inbox **inbox);

#endif
