/* measure.h - measures that list decisions name, as entries of a directives
 * log, and those in force here.
 *
 * ENTRY_MEASURE: version is the revision of the measure (1, 2, …), decided,
 * from and until are dates (until 0: open), subject and item are empty. Body:
 * protobuf fields 1 id, 2 name in Chinese, 3 in English, 4 legal basis; all but
 * 3 are needed. An id is 1 to 16 of A-Z, 0-9 and '-'. A measure counts for the
 * list decisions of its issuer and of those below it.
 *
 * Encoding and judging are pure; the set in force is one a process, any thread.
 */
#ifndef CREDIT_MEASURE_H
#define CREDIT_MEASURE_H

#include "base/err.h"
#include "mlog/entry.h"

enum {
    MEASURE_ID_MAX = 16,
    MEASURE_NAME_MAX = 200,   /* bytes */
    MEASURE_BASIS_MAX = 1000, /* bytes */
    MEASURES_MAX = 4096,      /* in force at a node */
};

struct measure {
    char id[MEASURE_ID_MAX + 1];
    char name_zh[MEASURE_NAME_MAX + 1];
    char name_en[MEASURE_NAME_MAX + 1];
    char basis[MEASURE_BASIS_MAX + 1];
    uint32_t revision;
    uint32_t decided; /* yyyymmdd */
    uint32_t from;
    uint32_t until;  /* 0: open */
    int64_t at_ms;   /* prepared, by the issuer's clock */
    uint64_t issuer; /* whose log it stands in */
};

/* NULL, or the rule that is broken. */
const char *measure_fault(const struct measure *m);
/* Fills `out`, borrowing from `room`, to which the body is appended. */
void measure_to_entry(const struct measure *m, struct buf *room,
                      struct entry *out);
/* ERR_INVALID: not what this page says. */
MUST_USE enum err measure_take(const struct entry *e, uint64_t issuer,
                               struct measure *out);

/* The set in force: takes `all` (mem_alloc'd), in order of id. */
void measures_use(struct measure *all, size_t n);
size_t measures_count(void);
/* A copy of the i-th. False: there are fewer. */
bool measures_at(size_t i, struct measure *out);
/* A copy. False: no such id. */
bool measures_find(struct slice id, struct measure *out);
/* NULL if every id that `text` names (between 、 ， ； , ; or blanks) is in
 * force on `day`, or nobody has defined any; else the rule: "measure-unknown",
 * "measure-over". */
const char *measures_judge(struct slice text, uint32_t day);

#endif
