/* views_impl.h - what the parts of the projection share. Private to store/.
 *
 *   views.c       the thread: which log is next, a batch of it, its position
 *   views_rows.c  entries to rows
 *   views_sql.c   tables, views, statements */
#ifndef STORE_VIEWS_IMPL_H
#define STORE_VIEWS_IMPL_H

#include "store/mariadb/mariadb.h"
#include "store/views.h"

enum views_sql {
    VSQL_LOGS,    /* all that is known of the logs */
    VSQL_ADD_LOG, /* a log is met */
    VSQL_MOVE,    /* its position, compared and set */
    VSQL_FACTS,   /* what is told of it */
    /* What logs of an origin showed is taken away, and begins anew. */
    VSQL_SPOIL_RECORDS,
    VSQL_STILL_RECORDS, /* is it so still? in the transaction */
    VSQL_DEL_RECORDS,
    VSQL_DEL_IMPORTS,
    VSQL_ANEW_RECORDS,
    /* The same of all lists: one authority's removal ends another's listing. */
    VSQL_SPOIL_LISTS,
    VSQL_STILL_LISTS,
    VSQL_DEL_LISTS,
    VSQL_ANEW_LISTS,
    VSQL_PUT_RECORD,
    VSQL_PUT_IMPORT,
    VSQL_PUT_LIST,
    VSQL_JUDGE_LIST, /* what the store says of one that is there */
    VSQL_PUT_NODE,
    VSQL_COUNT
};

/* What a row of a list is; whether a listing is over is a question of the day,
 * which the view answers. */
enum {
    LISTED_TEXT = 0, /* a correction: values of a listing, if the store says */
    LISTED_LIVE = 1,
    LISTED_REMOVED = 2,
    LISTED_VOID = 3, /* until the store says that it counts */
};

/* Made at the first call. */
const struct mdb_sql_set *views_statements(void);
/* Makes the tables and views, anew if they are of another version or are to be
 * rebuilt. ERR_CONF: of a later build. */
MUST_USE enum err views_make(struct mdb_conn *c, struct errmsg *why);
/* Notes that they are to be rebuilt. */
MUST_USE enum err views_spoil(struct mdb_conn *c, struct errmsg *why);
/* Takes the views away. */
MUST_USE enum err views_hide(struct mdb_conn *c, struct errmsg *why);

/* ---- rows of a batch ---- */

/* Cells of one statement, rows one behind the other. */
struct view_rows {
    struct mdb_cell *cells;
    size_t n; /* cells */
    size_t cap;
};

/* What a run of entries of one log comes to. */
struct view_batch {
    struct log_id log;
    uint32_t id; /* of the log in the tables */
    bool lists;  /* a directives log */
    struct view_rows rows[VSQL_COUNT];
    struct buf *texts; /* pieces that cells borrow from */
    size_t texts_n;
    size_t texts_cap;
    struct subject_key *subjects; /* whose listings changed */
    size_t subjects_n;
    size_t subjects_cap;
    uint64_t skipped;
};
void batch_init(struct view_batch *b, const struct log_id *log, uint32_t id);
void batch_fini(struct view_batch *b);
/* Bytes of `entry` must stay until batch_fini(). */
void batch_entry(struct view_batch *b, uint64_t number, struct slice entry);
/* A row of a statement; cells are copied, what they borrow is not. */
void batch_row(struct view_batch *b, enum views_sql sql,
               const struct mdb_cell *cells);

#endif
