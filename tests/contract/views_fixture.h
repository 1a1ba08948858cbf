/* views_fixture.h - views beside a node's store on the MariaDB server of
 * store_fixture.h, and questions to them. Include behind it. */
#ifndef TESTS_VIEWS_FIXTURE_H
#define TESTS_VIEWS_FIXTURE_H

#include "store/views.h"

enum { ANSWER_MAX = 512 };

static struct views *views;

static inline void views_of(struct node *n, const char *database, bool on)
{
    static const struct log_ctx log = {.fields = "test=views"};
    static struct store_mariadb_conf conf;
    struct errmsg why;
    conf = fed_mariadb;
    conf.database = database;
    const struct views_conf c = {.mariadb = &conf,
                                 .suite = test_suite(),
                                 .self = n->code,
                                 .on = on,
                                 .log = &log};
    assert_ok(views_start(&views, n->store, &c, &why));
}

/* The first column of the first row, "" if there is none; NULL if the query is
 * refused. Until the next call. */
static inline const char *ask_text(const char *user, const char *database,
                                   const char *sql)
{
    static char answer[ANSWER_MAX];
    const char *out = NULL;
    MYSQL_RES *result = NULL;
    MYSQL *m = mysql_init(NULL);
    if (mysql_real_connect(m, NULL, user, "", database, 0, fed_server.socket,
                           0) != NULL &&
        mysql_set_character_set(m, "utf8mb4") == 0 &&
        mysql_query(m, sql) == 0) {
        result = mysql_store_result(m); /* NULL: it failed on the way */
    }
    if (result != NULL) {
        MYSQL_ROW row = mysql_fetch_row(result);
        (void)snprintf(answer, sizeof answer, "%s",
                       row != NULL && row[0] != NULL ? row[0] : "");
        mysql_free_result(result);
        out = answer;
    } else {
        print_message("%s: %s\n", sql, mysql_error(m));
    }
    mysql_close(m);
    return out;
}

#endif
