/* views.h - tables and views in the node's MariaDB database for people with
 * SQL (docs/sql.md, docs/decisions/0014-views.md).
 *
 * A projector follows the logs behind their commits: a batch of one log and
 * that log's new position are one transaction, so that every entry counts
 * exactly once whatever stops in between. What a natural person is stays
 * sealed: no identifier is written, a name only masked.
 *
 * Threads: one of its own, with one connection; every function from any
 *          thread.
 * Errors:  of the server never reach the store: the projector says what is
 *          wrong (views_stats()), waits and connects again. */
#ifndef STORE_VIEWS_H
#define STORE_VIEWS_H

#include "store/store.h"

struct views;

struct views_conf {
    /* Borrowed, with its strings. */
    const struct store_mariadb_conf *mariadb;
    enum suite suite;
    uint64_t self; /* node code */
    bool on;       /* false: takes the views away, keeps the tables */
    const struct log_ctx *log;
};

struct views_stats {
    bool on;
    uint64_t behind;  /* entries that are stored and not shown yet */
    uint64_t skipped; /* entries without effect, or not understood */
    int64_t late_ms;  /* all that was stored so long ago is shown */
    char why[160];    /* what it waits for; "" if nothing */
};

/* `store` outlives it. */
MUST_USE enum err views_start(struct views **out, struct store *store,
                              const struct views_conf *conf,
                              struct errmsg *why);
/* Ends at the next batch, joins. NULL is allowed. */
void views_stop(struct views **views);
/* `views` may be NULL: off. */
void views_stats(struct views *views, struct views_stats *out);
/* Everything is made anew from the logs; at once, or, if the server is away,
 * when it is back. A node that stops before the server is back has forgotten
 * it: ask again. */
void views_rebuild(struct views *views);

#endif
