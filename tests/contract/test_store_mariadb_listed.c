/* v_list_entry beside a store on a MariaDB server: what it calls live is what
 * the store answers. */
#include "contract/lists_fixture.h"
#include "store/views.h"

#define STATES                                                                 \
    "SELECT COALESCE(GROUP_CONCAT(state ORDER BY number),'') FROM "            \
    "v_list_entry WHERE subject="
#define THERE "SELECT COUNT(*) FROM v_list_entry"

enum { WAIT_MS = 60000, ANSWER_MAX = 512 };

static struct node township;
static struct views *views;

static int up(void **state)
{
    static struct store_mariadb_conf conf;
    static const struct log_ctx log = {.fields = "test=views"};
    struct errmsg why;
    (void)state;
    fed_mariadb.socket = fed_server.socket;
    start(&township, TOWNSHIP, "township");
    conf = fed_mariadb;
    conf.database = "township";
    const struct views_conf c = {.mariadb = &conf,
                                 .suite = SUITE_INTL,
                                 .self = TOWNSHIP,
                                 .on = true,
                                 .log = &log};
    assert_ok(views_start(&views, township.store, &c, &why));
    return 0;
}

static int down(void **state)
{
    (void)state;
    views_stop(&views);
    node_fini(&township);
    return 0;
}

/* The first column of the first row; "refused" if the query is. */
static const char *ask(const char *sql)
{
    static char answer[ANSWER_MAX];
    MYSQL *m = mysql_init(NULL);
    (void)snprintf(answer, sizeof answer, "refused");
    if (mysql_real_connect(m, NULL, "root", "", "township", 0,
                           fed_server.socket, 0) != NULL &&
        mysql_set_character_set(m, "utf8mb4") == 0 &&
        mysql_query(m, sql) == 0) {
        MYSQL_RES *result = mysql_store_result(m);
        MYSQL_ROW row = mysql_fetch_row(result);
        (void)snprintf(answer, sizeof answer, "%s",
                       row != NULL && row[0] != NULL ? row[0] : "");
        mysql_free_result(result);
    }
    mysql_close(m);
    return answer;
}

static void wait_for(const char *sql, const char *want)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (strcmp(ask(sql), want) != 0 && clock_mono_ms() < until_ms) {
        (void)usleep(20000);
    }
    assert_string_equal(ask(sql), want);
}

static void listings_are_what_the_store_says(void **state)
{
    (void)state;
    const struct decision listed[] = {
        {.subject = SUBJECT_A, .from = 20200301, .until = 20200401},
        {.subject = SUBJECT_A, .from = 20200401},
        {.subject = SUBJECT_A, .from = 20990101},
        {.subject = SUBJECT_B, .from = 20200301},
    };
    struct published p = decide(&township, listed, 4);
    wait_for(THERE, "4");
    wait_for(STATES "'" SUBJECT_A "'", "ended,live,future");
    wait_for(STATES "'" SUBJECT_B "'", "live");

    /* One removal ends what it names, one names another subject's. */
    const struct decision removals[] = {
        {.type = ENTRY_REMOVAL,
         .subject = SUBJECT_B,
         .target = {p.log, p.first + 4}},
        {.type = ENTRY_REMOVAL,
         .subject = SUBJECT_B,
         .target = {p.log, p.first + 2}},
    };
    decide(&township, removals, 2);
    wait_for(STATES "'" SUBJECT_B "'", "removed");
    wait_for(STATES "'" SUBJECT_A "'", "ended,live,future");
    wait_for("SELECT removed_on FROM v_list_entry WHERE subject='" SUBJECT_B
             "'",
             "2026-03-01");
}

static void a_correction_speaks_for_its_listing(void **state)
{
    (void)state;
    const struct decision listed = {.subject = SUBJECT_A, .from = 20200301};
    struct published p = decide(&township, &listed, 1);
    const struct decision correction = {.type = ENTRY_CORRECTION,
                                        .subject = SUBJECT_A,
                                        .from = 20200301,
                                        .until = 20200401,
                                        .reason = "更正后的事由",
                                        .target = {p.log, p.first + 1}};
    wait_for(STATES "'" SUBJECT_A "'", "live");
    decide(&township, &correction, 1);
    wait_for(STATES "'" SUBJECT_A "'", "ended");
    wait_for("SELECT facts FROM v_list_entry WHERE subject='" SUBJECT_A "'",
             "更正后的事由");
    wait_for(THERE, "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(listings_are_what_the_store_says, up,
                                        down),
        cmocka_unit_test_setup_teardown(a_correction_speaks_for_its_listing, up,
                                        down),
    };
    (void)setenv("STORE_BACKEND", "mariadb", 1);
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
