/* seen.h - a set of keys that forgets none. Private to store/.
 *
 * Each row of a commit is looked for before it is written, and hardly any is
 * there. The filters of files say so for one file each, so that it costs more
 * with every file there is. This set says it for all of them at once.
 *
 * What was added is in it; of what was not, less than one key in a hundred
 * seems to be. It grows as keys come, 16 bits for each, up to a bound; from
 * there on it errs more and more often, which costs a look and nothing else.
 *
 * Threads: one at a time. */
#ifndef STORE_ROCKSDB_SEEN_H
#define STORE_ROCKSDB_SEEN_H

#include "base/buf.h"

struct seen;

/* An empty set; takes memory as keys come, at most `bytes_max`. */
struct seen *seen_new(size_t bytes_max);
/* NULL is allowed. */
void seen_free(struct seen *s);

/* Of a key, for the two below. */
uint64_t seen_hash(struct slice key);
void seen_add(struct seen *s, uint64_t hash);
/* False: it was never added. */
bool seen_may_have(const struct seen *s, uint64_t hash);
/* Memory that it takes. */
size_t seen_bytes(const struct seen *s);

#endif
