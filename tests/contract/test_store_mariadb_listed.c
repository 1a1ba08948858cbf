/* v_list_entry beside a store on a MariaDB server: what it calls live is what
 * the store answers. */
#include "contract/lists_fixture.h"
#include "contract/views_fixture.h"

#define STATES                                                                 \
    "SELECT COALESCE(GROUP_CONCAT(state ORDER BY number),'') FROM "            \
    "v_list_entry WHERE subject="
#define THERE "SELECT COUNT(*) FROM v_list_entry"

static struct node township;

static int up(void **state)
{
    (void)state;
    fed_mariadb.socket = fed_server.socket;
    start(&township, TOWNSHIP, "township");
    views_of(&township, "township", true);
    return 0;
}

static int down(void **state)
{
    (void)state;
    views_stop(&views);
    node_fini(&township);
    return 0;
}

static const char *ask(const char *sql)
{
    const char *text = ask_text("root", "township", sql);
    return text != NULL ? text : "refused";
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
