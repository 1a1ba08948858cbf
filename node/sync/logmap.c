#include "sync/logmap.h"

#include <string.h>

#include "base/mem.h"

size_t logmap_lower(const struct logmap *map, const struct log_id *log)
{
    size_t from = 0;
    size_t to = map->count;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (log_id_cmp(map->item[mid], log) < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from;
}

void *logmap_find(const struct logmap *map, const struct log_id *log)
{
    size_t i = logmap_lower(map, log);
    bool there = i < map->count && log_id_eq(map->item[i], log);
    return there ? map->item[i] : NULL;
}

void logmap_insert(struct logmap *map, void *item)
{
    if (map->count == map->cap) {
        map->cap = map->cap == 0 ? 8 : map->cap * 2;
        map->item = mem_realloc(map->item, map->cap * sizeof *map->item);
    }
    size_t i = logmap_lower(map, item);
    memmove(&map->item[i + 1], &map->item[i],
            (map->count - i) * sizeof *map->item);
    map->item[i] = item;
    map->count++;
}

void *logmap_remove(struct logmap *map, const struct log_id *log)
{
    size_t i = logmap_lower(map, log);
    if (i == map->count || !log_id_eq(map->item[i], log)) {
        return NULL;
    }
    void *item = map->item[i];
    map->count--;
    memmove(&map->item[i], &map->item[i + 1],
            (map->count - i) * sizeof *map->item);
    return item;
}

void logmap_free_all(struct logmap *map)
{
    for (size_t i = 0; i < map->count; i++) {
        mem_free(map->item[i]);
    }
    mem_free(map->item);
    *map = (struct logmap){NULL, 0, 0};
}
