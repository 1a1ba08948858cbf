/* places.h - which nodes a run has, and who is whose parent.
 *
 * Two sources give one table: a synthetic shape, or an area cut from a table
 * of divisions (simulate/area/, made by make-area.sh). Parents stand before
 * their children and the top is the first.
 *
 * Threads: any. */
#ifndef RUN_PLACES_H
#define RUN_PLACES_H

#include "pure/pure.h"

enum {
    PLACES_MAX = 2400,
    PLACE_NAME_MAX = 96, /* bytes */
    PLACES_DEPTH_MAX = 5,
};

struct place {
    uint64_t code;
    enum tier tier;
    int parent; /* index; -1: the top */
    char name[PLACE_NAME_MAX + 1];
};

struct area {
    const char *code;  /* 2, 4, 6, 9 or 12 digits of its root; NULL: none */
    const char *table; /* a file, or a folder whose *.csv are searched */
    /* At most so many children of each node, a level below the root of the
     * area; 0: all. */
    unsigned below[PLACES_DEPTH_MAX];
};

/* "2,2,2" of --below. False: `why` says what is wrong. */
MUST_USE bool area_below_parse(const char *text, struct area *out,
                               struct errmsg *why);
/* The ancestors of the area, its root and what lies below it. ERR_CONF: no
 * table has the code, more than PLACES_MAX nodes, or a fault in the table
 * (file, line, field, rule). ERR_IO. *out is owned (mem_free). */
MUST_USE enum err places_of_area(const struct area *area, struct place **out,
                                 unsigned *n, struct errmsg *why);
MUST_USE enum err places_of_shape(const struct pure_shape *shape,
                                  struct place **out, unsigned *n,
                                  struct errmsg *why);

#endif
