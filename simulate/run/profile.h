/* profile.h - what the offices of an area do during a run, from a file.
 *
 *     title = { zh = "..."; en = "..."; };
 *     at_once = 8;     # acts under way at the same time, in the whole area
 *     deciders = 2;    # two of three sign each directive; 1: one alone
 *     persons = 20;    # percent of all rows are about natural persons
 *     acts = (
 *         { act = "import"; tiers = ["village"]; per_minute = 60.0;
 *           rows = 40; dirty = 5; again = 10; },
 *         ...
 *     );
 *
 * `per_minute` counts for the whole area: the same file loads a machine the
 * same with 13 nodes or with 1,000. Which office acts and when follows from the
 * seed. Threads: any. */
#ifndef RUN_PROFILE_H
#define RUN_PROFILE_H

#include "ident/ident.h"

enum {
    PROFILE_ACTS_MAX = 16,
    PROFILE_TITLE_MAX = 95,
    PROFILE_ROWS_MAX = 1000,
};

enum act_kind {
    ACT_IMPORT,    /* rows of licences by `creditnode import` */
    ACT_DIRECTIVE, /* listings by an office that decides */
    ACT_REMOVAL,   /* it ends the listings of an earlier directive */
    ACT_FEEDBACK,  /* what an office did about a listing that it holds */
    ACT_QUERY,     /* of a subject, at the office's own node */
    ACT_CHECK,     /* of subjects against the lists, likewise */
    ACTS,
};
const char *act_name(enum act_kind kind);

struct act {
    enum act_kind kind;
    unsigned tiers; /* bits of profile_tier_bit() */
    double per_minute;
    uint32_t rows;  /* of an import, listings of a directive, subjects of a
                       check; 1 of a query */
    uint32_t dirty; /* percent of an import's rows that must be refused */
    uint32_t again; /* percent of its rows that correct an earlier one */
};

struct profile {
    char title_zh[PROFILE_TITLE_MAX + 1];
    char title_en[PROFILE_TITLE_MAX + 1];
    uint32_t at_once;
    uint32_t deciders; /* who sign each directive: 1 of 1, or 2 of 3 */
    uint32_t persons;  /* percent of all rows that are about natural persons */
    struct act act[PROFILE_ACTS_MAX];
    unsigned acts;
};

/* 0 the national hub … 5 villages; the bit of that number in act.tiers. */
enum { PROFILE_TIERS = 6 };
unsigned profile_tier_index(enum tier tier);
unsigned profile_tier_bit(enum tier tier);
/* ERR_IO: it cannot be read. ERR_CONF: `why` names file, line, field, rule. */
MUST_USE enum err profile_read(const char *path, struct profile *out,
                               struct errmsg *why);

#endif
