/* exchange.h - tables that departments write beside the node (前置库).
 *
 * Rows that wait in tables of a MariaDB database are taken in with the rules of
 * files, and each is marked with its outcome; exactly once, whatever crashes:
 * docs/decisions/0015-exchange-tables.md. The database belongs to the
 * departments; while it is away, rows wait there.
 *
 * Threads: one of its own; stats from any thread. */
#ifndef INGEST_EXCHANGE_H
#define INGEST_EXCHANGE_H

#include "base/log.h"
#include "ingest/import.h"

struct exchange_table_conf {
    const char *table;
    const char *item;   /* of the catalogue */
    bool digest_needed; /* rows without one are refused */
};

/* Texts are borrowed and outlive the exchange. */
struct exchange_conf {
    struct store_mariadb_conf server;
    const struct exchange_table_conf *tables;
    size_t tables_n;
    uint32_t interval_ms; /* between looks */
    uint32_t batch_rows;  /* of one query */
};

struct exchange;
/* Returns at once: whether the database can be reached is found later. Copies
 * `conf` and its tables. ERR_CONF: no database or user is named. */
MUST_USE enum err exchange_open(struct exchange **out,
                                const struct import_env *env,
                                const struct exchange_conf *conf,
                                const struct log_ctx *log, struct errmsg *why);
/* Ends after the batch under way. NULL is allowed. */
void exchange_close(struct exchange **exchange);

enum { EXCHANGE_WAITING_MAX = 10000, EXCHANGE_WHY_MAX = 240 };
/* Since the start. */
struct exchange_stats {
    const char *table;
    const char *item;
    char why[EXCHANGE_WHY_MAX]; /* it is stopped, and what to do; "": it runs */
    int64_t looked_at_ms;       /* last look that came to its end; 0: none */
    uint64_t waiting; /* rows then; EXCHANGE_WAITING_MAX: so many or more */
    uint64_t rows[ROW_OUTCOMES]; /* taken in or refused */
    uint64_t marked_again;       /* taken before, the mark was missing */
    uint64_t moved;              /* changed or gone before they were marked */
    uint64_t stuck; /* of the last look: cannot be marked, see the log */
};
/* NULL is allowed: 0. */
size_t exchange_count(const struct exchange *exchange);
void exchange_stats(struct exchange *exchange, size_t i,
                    struct exchange_stats *out);

/* Appends what the administrator of the database runs for a table: the table,
 * the rights of the node's account and of the department's. `user` may be "".
 * ERR_NOT_FOUND: no such kind of record. */
MUST_USE enum err exchange_schema(const struct exchange_table_conf *table,
                                  const char *database, const char *user,
                                  struct buf *out, struct errmsg *why);

#endif
