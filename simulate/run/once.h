/* once.h - is what an origin entered in one place of its logs only?
 *
 * All versions of records that a holder has of one origin, over all its
 * incarnations, are put in; then it is told what is there twice: one version of
 * a record under two numbers, or a version that says no more than the one
 * before it, which no node appends. Packages of directives go by their ids.
 *
 * At most ONCE_MAX are kept at a time: whoever has more puts them in by parts,
 * one after the other, and all versions of a record are in the same.
 *
 * Pure. Threads: one of a struct once. */
#ifndef RUN_ONCE_H
#define RUN_ONCE_H

#include "mlog/entry.h"
#include "mlog/log_id.h"

enum { ONCE_MAX = 1 << 19, ONCE_TEXT = 240 };

struct once;
struct once *once_new(void);
/* NULL is allowed; sets it to NULL. */
void once_free(struct once **once);

/* Begins anew, and takes only part `part` of `parts`. */
void once_begin(struct once *once, unsigned part, unsigned parts);
/* How many parts are needed of so many entries; at least 1. */
unsigned once_parts(uint64_t entries);
/* Entries of other types, of other parts and those that cannot be read are
 * passed over. `log` must be of the origin, and kind, of the others. False:
 * more than ONCE_MAX. */
MUST_USE bool once_put(struct once *once, const struct log_id *log,
                       uint64_t number, struct slice bytes);
/* `processes` of the origin ran at the same time, and each may have set aside
 * and appended the same: a version may be in so many places. True: all is there
 * once; else `text` says what is not, and where. */
MUST_USE bool once_judge(struct once *once, unsigned processes,
                         char text[ONCE_TEXT]);

#endif
