/* exchange_table.h - private to exchange: columns of an exchange table, and the
 * statements over them. */
#ifndef INGEST_EXCHANGE_TABLE_H
#define INGEST_EXCHANGE_TABLE_H

#include "ingest/exchange.h"
#include "store/mdb.h"

enum { EXCHANGE_COLUMNS_MAX = 240 };

/* Places of what is selected of a row; data columns follow. */
enum { CELL_ID, CELL_CONTENT, CELL_CHANGE, CELL_DIGEST, CELL_DATA };

struct exchange_columns {
    struct buf text;
    struct slice names[EXCHANGE_COLUMNS_MAX]; /* into text; without x_… */
    size_t n;
};

/* What becomes of a row; texts are borrowed. */
struct exchange_mark {
    uint64_t id;
    struct slice content; /* as selected */
    enum row_outcome outcome;
    struct slice record_key; /* empty: refused */
    const char *log;         /* "": refused or pending */
    uint64_t number;
    uint32_t version;
    const char *rule; /* "" unless refused */
    const char *field;
    const char *text;
    const char *text_zh;
};

/* Asks the server. ERR_CONF: no such table, or one without a column that an
 * exchange table has; `why` says what to do. */
MUST_USE enum err exchange_columns_read(struct mdb_conn *c, const char *table,
                                        struct exchange_columns *out,
                                        struct errmsg *why);
void exchange_columns_fini(struct exchange_columns *columns);
/* Drops those that are not read. */
void exchange_columns_keep(struct exchange_columns *columns,
                           const bool *is_read);

/* Rows that wait, from id on, by id. Data that is too long for a file's cell is
 * cut behind its limit. */
void exchange_put_select(const char *table, const struct exchange_columns *c,
                         uint64_t from, uint32_t limit, struct buf *sql);
/* How many wait, up to EXCHANGE_WAITING_MAX. */
void exchange_put_count(const char *table, struct buf *sql);
/* One row of the marks that exchange_put_update() writes. */
void exchange_put_mark(const struct exchange_mark *mark, struct buf *out);
/* Marks rows that still wait and say what they said. `marks`: of
 * exchange_put_mark(), " UNION ALL " between. */
void exchange_put_update(const char *table, const struct exchange_columns *c,
                         struct slice marks, struct buf *sql);

#endif
