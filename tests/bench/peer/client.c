#include "client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void peer_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("bench_mariadb: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

MYSQL *peer_connect(const char *socket)
{
    MYSQL *link = mysql_init(NULL);
    if (link == NULL || mysql_real_connect(link, NULL, "root", NULL, NULL, 0,
                                           socket, 0) == NULL) {
        peer_die("%s: %s", socket,
                 link != NULL ? mysql_error(link) : "no memory");
    }
    return link;
}

MYSQL_STMT *peer_prepare(MYSQL *link, const char *sql)
{
    MYSQL_STMT *stmt = mysql_stmt_init(link);
    if (stmt == NULL || mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0) {
        peer_die("%s: %s", sql, mysql_error(link));
    }
    return stmt;
}

void peer_execute(MYSQL_STMT *stmt)
{
    if (mysql_stmt_execute(stmt) != 0) {
        peer_die("execute: %s", mysql_stmt_error(stmt));
    }
}

void peer_ask(MYSQL *link, const char *sql, char *out, size_t max)
{
    MYSQL_RES *answer = NULL;
    MYSQL_ROW row = NULL;
    if (mysql_query(link, sql) == 0) {
        answer = mysql_store_result(link);
    }
    if (answer != NULL) {
        row = mysql_fetch_row(answer);
    }
    if (row == NULL || row[0] == NULL) {
        peer_die("%.80s: %s", sql, mysql_error(link));
    }
    snprintf(out, max, "%s", row[0]);
    mysql_free_result(answer);
}

static void put_hex(struct buf *sql, const uint8_t *data, size_t len)
{
    char *hex = (char *)buf_reserve(sql, 2 * len + 1);
    str_hex(data, len, hex);
    sql->len += 2 * len;
}

void peer_put_values(struct buf *sql, const char *origin, uint64_t seq,
                     const struct bench_row *row)
{
    buf_putf(sql, "('%s',%llu,x'", origin, (unsigned long long)seq);
    put_hex(sql, row->id, sizeof row->id);
    buf_putf(sql, "','%s','%s',%u,%u,1,'%u-%02u-%02u','%u-%02u-%02u',1,x'",
             row->code, row->item, row->category, row->disclosure,
             row->decided.year, row->decided.month, row->decided.day,
             row->until.year, row->until.month, row->until.day);
    put_hex(sql, row->digest, sizeof row->digest);
    buf_putf(sql, "','%s')", row->csv);
}

static MYSQL_TIME date_of(struct bench_date date)
{
    return (MYSQL_TIME){.year = date.year,
                        .month = date.month,
                        .day = date.day,
                        .time_type = MYSQL_TIMESTAMP_DATE};
}

void peer_make_image(struct image *image, const char *origin, uint64_t number,
                     uint64_t subjects)
{
    bench_row_make(number, subjects, &image->row);
    memcpy(image->origin, origin, sizeof image->origin);
    image->seq = (long long)number;
    image->category = (int8_t)image->row.category;
    image->disclosure = (int8_t)image->row.disclosure;
    image->status = 1;
    image->version = 1;
    image->decided = date_of(image->row.decided);
    image->until = date_of(image->row.until);
    image->item_len = strlen(image->row.item);
    image->csv_len = image->row.csv_len;
}

void peer_bind_image(MYSQL_STMT *insert, struct image *image)
{
    static unsigned long origin_len = PEER_ORIGIN_LEN;
    static unsigned long code_len = BENCH_CODE_LEN;
    static unsigned long id_len = sizeof image->row.id;
    static unsigned long digest_len = sizeof image->row.digest;
    const struct {
        enum enum_field_types type;
        void *data;
        unsigned long *len;
    } columns[PEER_COLUMN_COUNT] = {
        {MYSQL_TYPE_STRING, image->origin, &origin_len},
        {MYSQL_TYPE_LONGLONG, &image->seq, NULL},
        {MYSQL_TYPE_BLOB, image->row.id, &id_len},
        {MYSQL_TYPE_STRING, image->row.code, &code_len},
        {MYSQL_TYPE_STRING, image->row.item, &image->item_len},
        {MYSQL_TYPE_TINY, &image->category, NULL},
        {MYSQL_TYPE_TINY, &image->disclosure, NULL},
        {MYSQL_TYPE_TINY, &image->status, NULL},
        {MYSQL_TYPE_DATE, &image->decided, NULL},
        {MYSQL_TYPE_DATE, &image->until, NULL},
        {MYSQL_TYPE_LONG, &image->version, NULL},
        {MYSQL_TYPE_BLOB, image->row.digest, &digest_len},
        {MYSQL_TYPE_BLOB, image->row.csv, &image->csv_len},
    };
    MYSQL_BIND binds[PEER_COLUMN_COUNT];
    memset(binds, 0, sizeof binds);
    for (size_t i = 0; i < PEER_COLUMN_COUNT; i++) {
        binds[i].buffer_type = columns[i].type;
        binds[i].buffer = columns[i].data;
        binds[i].length = columns[i].len;
    }
    if (mysql_stmt_bind_param(insert, binds) != 0) {
        peer_die("bind: %s", mysql_stmt_error(insert));
    }
}

MYSQL_STMT *peer_prepare_insert(MYSQL *link)
{
    return peer_prepare(link, PEER_INSERT "(?,?,?,?,?,?,?,?,?,?,?,?,?)");
}
