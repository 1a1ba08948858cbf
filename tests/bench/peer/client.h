/* client.h - private to bench_mariadb: connections, rows and the commands.
 *
 * Everything is rendered before the clock starts, so the client's share of
 * the time is that of sending. A failure ends the program: a benchmark that
 * mends errors measures something else. */
#ifndef BENCH_PEER_CLIENT_H
#define BENCH_PEER_CLIENT_H

#include <mysql.h>

#include "measure.h"
#include "run/rows.h"

#define PEER_COLUMNS                                                           \
    "origin,seq,id,subject,item,category,disclosure,status,decided,expiry,"    \
    "version,digest,body"
#define PEER_INSERT "INSERT INTO bench.record(" PEER_COLUMNS ") VALUES"

enum {
    PEER_THREADS_MAX = 64,
    PEER_SERVERS_MAX = 16,
    PEER_COLUMN_COUNT = 13,
    PEER_ORIGIN_LEN = 12,
};

struct options {
    const char *servers[PEER_SERVERS_MAX]; /* socket paths */
    size_t server_count;
    const char *sink; /* socket path or NULL */
    const char *bench;
    uint64_t rows;
    uint64_t first;
    uint64_t batch;
    uint64_t threads;
    uint64_t subjects;
    uint64_t seconds;
    struct bench_cpu cpu;
};

/* Row image for a prepared INSERT. */
struct image {
    char origin[PEER_ORIGIN_LEN + 1];
    long long seq;
    int8_t category;
    int8_t disclosure;
    int8_t status;
    int version;
    MYSQL_TIME decided;
    MYSQL_TIME until;
    unsigned long item_len;
    unsigned long csv_len;
    struct bench_row row;
};

_Noreturn void peer_die(const char *fmt, ...) PRINTF_LIKE(1, 2);

MYSQL *peer_connect(const char *socket);
MYSQL_STMT *peer_prepare(MYSQL *link, const char *sql);
MYSQL_STMT *peer_prepare_insert(MYSQL *link);
void peer_execute(MYSQL_STMT *stmt);
/* The first column of the first row of an answer. */
void peer_ask(MYSQL *link, const char *sql, char *out, size_t max);

/* Appends one row as "(…)" of a multi-row INSERT. */
void peer_put_values(struct buf *sql, const char *origin, uint64_t seq,
                     const struct bench_row *row);
void peer_make_image(struct image *image, const char *origin, uint64_t number,
                     uint64_t subjects);
/* Each execution sends what `image` holds by then. */
void peer_bind_image(MYSQL_STMT *insert, struct image *image);

/* The commands; each prints its line of JSON. */

/* Rows into the servers, timed until the sink has applied them all. */
void peer_load(struct options *opt);
/* One row at a time: acknowledged here, then visible at the sink. */
void peer_latency(struct options *opt);
/* Queries by subject from many connections. */
void peer_point(struct options *opt);

#endif
