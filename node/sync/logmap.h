/* logmap.h - logs in order of log_id_cmp() (private to sync).
 *
 * Items are structs whose first member is their struct log_id; the map owns
 * the pointers' array only. Threads: the caller's lock. */
#ifndef SYNC_LOGMAP_H
#define SYNC_LOGMAP_H

#include "mlog/log_id.h"

struct logmap {
    void **item;
    size_t count;
    size_t cap;
};

/* The item, or NULL. */
void *logmap_find(const struct logmap *map, const struct log_id *log);
/* Index of the first item not before `log`. */
size_t logmap_lower(const struct logmap *map, const struct log_id *log);
/* The log must not be there yet. */
void logmap_insert(struct logmap *map, void *item);
/* The item taken out, or NULL. */
void *logmap_remove(struct logmap *map, const struct log_id *log);
/* Frees items with mem_free() and the array. */
void logmap_free_all(struct logmap *map);

#endif
