/* v_list_entry beside a store on a MariaDB server: what it says of each listing
 * is what the store answers. */
#include "contract/lists_fixture.h"
#include "contract/views_fixture.h"

#define STATES                                                                 \
    "SELECT COALESCE(GROUP_CONCAT(state ORDER BY log,number),'') FROM "        \
    "v_list_entry WHERE subject="
#define THERE "SELECT COUNT(*) FROM v_list_entry"

static struct node township;
static struct node village; /* holds the township's logs */

static int up_at(struct node *n, uint64_t code, const char *name)
{
    fed_mariadb.socket = fed_server.socket;
    start(n, code, name);
    views_of(n, name, true);
    return 0;
}

static int up(void **state)
{
    (void)state;
    return up_at(&township, TOWNSHIP, "township");
}

static int down(void **state)
{
    (void)state;
    views_stop(&views);
    node_fini(&township);
    return 0;
}

static int up_below(void **state)
{
    (void)state;
    start_on(&township, &store_rocksdb, TOWNSHIP, "signer");
    return up_at(&village, VILLAGE, "village");
}

static int down_below(void **state)
{
    views_stop(&views);
    node_fini(&village);
    return down(state);
}

/* ---- asking ---- */

static const char *ask_in(const struct node *n, const char *sql)
{
    const char *text = ask_text("root", node_database(n), sql);
    return text != NULL ? text : "refused";
}

static const char *ask(const char *sql)
{
    return ask_in(&township, sql);
}

static void wait_in(const struct node *n, const char *sql, const char *want)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (strcmp(ask_in(n, sql), want) != 0 && clock_mono_ms() < until_ms) {
        (void)usleep(20000);
    }
    assert_string_equal(ask_in(n, sql), want);
}

static void wait_for(const char *sql, const char *want)
{
    wait_in(&township, sql, want);
}

/* ---- beside the store's answers ---- */

static bool wait_position(void *ctx, const struct store_head *head)
{
    char name[LOG_ID_TEXT_MAX];
    char sql[256];
    struct node *n = ctx;
    uint64_t size = head->log.kind == LOG_DIRECTIVES ? visible(n, &head->log)
                                                     : head->frontier.size;
    log_id_format(&head->log, name);
    (void)snprintf(sql, sizeof sql,
                   "SELECT COUNT(*) FROM cn_v_log WHERE name='%s' AND "
                   "position>=%llu",
                   name, (unsigned long long)size);
    wait_in(n, sql, "1");
    return true;
}

/* Until the views have seen all that is stored now. */
static void wait_shown(struct node *n)
{
    store_logs(n->store, wait_position, n);
}

struct compared {
    const struct node *node;
    const char *subject;
    unsigned standing;
    unsigned removed;
};

static bool compare(void *ctx, const struct store_listing *l)
{
    struct compared *c = ctx;
    char log[LOG_ID_TEXT_MAX];
    char text_log[LOG_ID_TEXT_MAX];
    char sql[768];
    log_id_format(&l->log, log);
    log_id_format(&l->text_log, text_log);
    *(l->removed ? &c->removed : &c->standing) += 1;
    (void)snprintf(
        sql, sizeof sql,
        "SELECT COUNT(*) FROM v_list_entry WHERE subject='%s' AND log='%s' AND "
        "number=%llu AND text_log='%s' AND text_number=%llu AND "
        "COALESCE(decided+0,0)=%u AND COALESCE(valid_from+0,0)=%u AND "
        "COALESCE(valid_until+0,0)=%u AND (state='removed')=%d AND "
        "COALESCE(removed_on+0,0)=%u",
        c->subject, log, (unsigned long long)l->number, text_log,
        (unsigned long long)l->text, l->decided, l->from, l->until, l->removed,
        l->removed_on);
    if (strcmp(ask_in(c->node, sql), "1") != 0) {
        fail_msg("the views do not say: %s", sql);
    }
    return true;
}

/* All listings of the subject: what stands, what was removed and when, and
 * which entry speaks for it. */
static struct compared as_the_store_says(struct node *n, const char *subject)
{
    struct compared c = {.node = n, .subject = subject};
    struct lists_view view;
    struct subject_key key;
    char sql[256];
    char want[32];
    wait_shown(n);
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    lists_view_take(n->store, &view);
    const struct listing_query q = {
        .view = &view, .subject = &key, .all = true, .removed = true};
    assert_ok(store_listings(n->store, &q, compare, &c, NULL));
    lists_view_fini(&view);
    (void)snprintf(sql, sizeof sql,
                   THERE " WHERE subject='%s' AND "
                         "state<>'void'",
                   subject);
    (void)snprintf(want, sizeof want, "%u", c.standing + c.removed);
    assert_string_equal(ask_in(n, sql), want);
    return c;
}

/* ---- tests ---- */

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
    assert_int_equal(as_the_store_says(&township, SUBJECT_A).standing, 3);
    assert_int_equal(as_the_store_says(&township, SUBJECT_B).removed, 1);
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
    assert_string_equal(ask("SELECT facts FROM v_list_entry"), "更正后的事由");
    assert_string_equal(ask(THERE), "1");
    assert_int_equal(as_the_store_says(&township, SUBJECT_A).standing, 1);
    /* It speaks for a listing that was removed, too. */
    const struct decision removal = {.type = ENTRY_REMOVAL,
                                     .subject = SUBJECT_A,
                                     .target = {p.log, p.first + 1}};
    decide(&township, &removal, 1);
    assert_int_equal(as_the_store_says(&township, SUBJECT_A).removed, 1);
}

static void another_subject_corrects_nothing(void **state)
{
    (void)state;
    const struct decision listed = {.subject = SUBJECT_A, .from = 20200301};
    struct published p = decide(&township, &listed, 1);
    const struct decision correction = {.type = ENTRY_CORRECTION,
                                        .subject = SUBJECT_B,
                                        .from = 20200301,
                                        .until = 20200401,
                                        .reason = "更正后的事由",
                                        .target = {p.log, p.first + 1}};
    decide(&township, &correction, 1);
    assert_int_equal(as_the_store_says(&township, SUBJECT_A).standing, 1);
    assert_int_equal(as_the_store_says(&township, SUBJECT_B).standing, 0);
    assert_string_equal(ask("SELECT facts FROM v_list_entry"), "示例事由");
}

static void the_day_of_a_removal_is_that_of_one_that_counts(void **state)
{
    (void)state;
    const struct decision listed = {.subject = SUBJECT_A, .from = 20200301};
    struct published p = decide(&township, &listed, 1);
    struct decision removal = {.type = ENTRY_REMOVAL,
                               .subject = SUBJECT_B,
                               .decided = 20250101,
                               .target = {p.log, p.first + 1}};
    decide(&township, &removal, 1);
    assert_int_equal(as_the_store_says(&township, SUBJECT_A).standing, 1);
    removal.subject = SUBJECT_A;
    removal.decided = 20260401;
    decide(&township, &removal, 1);
    assert_int_equal(as_the_store_says(&township, SUBJECT_A).removed, 1);
    assert_string_equal(ask("SELECT removed_on FROM v_list_entry"),
                        "2026-04-01");
    removal.decided = 20260301;
    decide(&township, &removal, 1);
    assert_int_equal(as_the_store_says(&township, SUBJECT_A).removed, 1);
    assert_string_equal(ask("SELECT removed_on FROM v_list_entry"),
                        "2026-03-01");
}

/* The first log of an origin may be read after the second. */
static void a_correction_may_come_before_its_listing(void **state)
{
    (void)state;
    struct forge old;
    struct forge new;
    const struct decision listed = {.subject = SUBJECT_A, .from = 20200301};
    assert_ok(forge_open_kind(&old, village.store, &township, LOG_DIRECTIVES,
                              77, NULL));
    assert_ok(forge_open_kind(&new, village.store, &township, LOG_DIRECTIVES, 1,
                              NULL));
    views_stop(&views); /* it meets all of it at once */
    struct package *p = signed_package(TOWNSHIP, 2, &listed, 1);
    forge_entries(&old, &village, p, 1, clock_wall_ms());
    package_free(&p);
    const struct decision correction = {.type = ENTRY_CORRECTION,
                                        .subject = SUBJECT_A,
                                        .from = 20200301,
                                        .until = 20200401,
                                        .reason = "更正后的事由",
                                        .target = {old.log, 3}};
    p = signed_package(TOWNSHIP, 2, &correction, 1);
    forge_entries(&new, &village, p, 1, clock_wall_ms());
    package_free(&p);
    views_of(&village, "village", true);
    assert_int_equal(as_the_store_says(&village, SUBJECT_A).standing, 1);
    assert_string_equal(ask_in(&village, "SELECT facts FROM v_list_entry"),
                        "更正后的事由");
    assert_string_equal(ask_in(&village, "SELECT state FROM v_list_entry"),
                        "ended");
}

static void a_void_package_changes_nothing(void **state)
{
    (void)state;
    struct forge f;
    const struct decision listed = {.subject = SUBJECT_A, .from = 20200301};
    assert_ok(forge_open_kind(&f, village.store, &township, LOG_DIRECTIVES, 77,
                              NULL));
    struct package *p = signed_package(TOWNSHIP, 2, &listed, 1);
    forge_entries(&f, &village, p, 1, clock_wall_ms());
    package_free(&p);
    const struct decision more[] = {
        {.subject = SUBJECT_B, .from = 20200301},
        {.type = ENTRY_CORRECTION,
         .subject = SUBJECT_A,
         .from = 20200301,
         .reason = "更正后的事由",
         .target = {f.log, 3}},
        {.type = ENTRY_REMOVAL, .subject = SUBJECT_A, .target = {f.log, 3}},
    };
    p = signed_package(TOWNSHIP, 1, more, 3); /* one of two */
    forge_entries(&f, &village, p, 3, clock_wall_ms());
    package_free(&p);
    p = signed_package(TOWNSHIP, 2, &listed, 1);
    forge_entries(&f, &village, p, 1, clock_wall_ms());
    package_free(&p);
    assert_int_equal(as_the_store_says(&village, SUBJECT_A).standing, 2);
    assert_int_equal(as_the_store_says(&village, SUBJECT_B).standing, 0);
    assert_string_equal(ask_in(&village, STATES "'" SUBJECT_B "'"), "void");
    assert_string_equal(ask_in(&village, "SELECT facts FROM v_list_entry "
                                         "WHERE subject='" SUBJECT_A "'"),
                        "示例事由");
}

/* What was signed with a key that was stolen loses its effect, and what it
 * ended stands again. */
static void another_root_document_is_followed(void **state)
{
    (void)state;
    struct rootchain *shared = roots;
    struct errmsg why;
    shell("rm -rf roots");
    open_roots();
    up(state);
    const struct decision listed = {.subject = SUBJECT_A, .from = 20200301};
    struct published p = decide(&township, &listed, 1);
    const struct decision removal = {.type = ENTRY_REMOVAL,
                                     .subject = SUBJECT_A,
                                     .target = {p.log, p.first + 1}};
    const char *keys[] = {key_path(TOWNSHIP, 1), key_path(TOWNSHIP, 3)};
    const struct making m = {FEDERATION, TOWNSHIP, 0, keys, 2};
    struct package *package = package_of(&m, &removal, 1);
    assert_ok(publish(&township, package, NULL));
    package_free(&package);
    assert_int_equal(as_the_store_says(&township, SUBJECT_A).removed, 1);
    const struct hash root = root_at(&township, &p.log, p.last);
    replace_third(roots, &p.log, p.last, &root);
    assert_ok(store_judge_again(township.store, &why));
    wait_for(STATES "'" SUBJECT_A "'", "live");
    assert_int_equal(as_the_store_says(&township, SUBJECT_A).standing, 1);
    down(state);
    rootchain_free(&roots);
    roots = shared;
}

/* A higher authority's log that turns out to be another one: what its removal
 * ended is judged anew, though the listing's log is as it was. */
static void listings_of_others_are_judged_anew_with_a_log(void **state)
{
    (void)state;
    const struct decision listed = {.subject = SUBJECT_A, .from = 20200301};
    struct published above = decide(&township, &listed, 1);
    const struct decision other = {.subject = SUBJECT_B, .from = 20200301};
    struct package *p = signed_package(VILLAGE, 1, &other, 1);
    assert_ok(publish(&village, p, NULL));
    package_free(&p);
    copy_log(township.store, village.store, &above.log);
    assert_int_equal(as_the_store_says(&village, SUBJECT_A).standing, 1);
    assert_int_equal(as_the_store_says(&village, SUBJECT_B).standing, 1);
    /* As if a removal had been shown that is not in the log any more. */
    views_stop(&views);
    mariadb_sql(&fed_server, "UPDATE village.cn_v_list SET state=2");
    mariadb_sql(&fed_server,
                "UPDATE village.cn_v_log SET position=position+1 WHERE "
                "origin=341821100000");
    views_of(&village, "village", true);
    wait_in(&village, STATES "'" SUBJECT_B "'", "live");
    assert_int_equal(as_the_store_says(&village, SUBJECT_A).standing, 1);
    assert_int_equal(as_the_store_says(&village, SUBJECT_B).standing, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(listings_are_what_the_store_says, up,
                                        down),
        cmocka_unit_test_setup_teardown(a_correction_speaks_for_its_listing, up,
                                        down),
        cmocka_unit_test_setup_teardown(another_subject_corrects_nothing, up,
                                        down),
        cmocka_unit_test_setup_teardown(
            the_day_of_a_removal_is_that_of_one_that_counts, up, down),
        cmocka_unit_test_setup_teardown(
            a_correction_may_come_before_its_listing, up_below, down_below),
        cmocka_unit_test_setup_teardown(a_void_package_changes_nothing,
                                        up_below, down_below),
        cmocka_unit_test(another_root_document_is_followed),
        cmocka_unit_test_setup_teardown(
            listings_of_others_are_judged_anew_with_a_log, up_below,
            down_below),
    };
    (void)setenv("STORE_BACKEND", "mariadb", 1);
    mariadb_or_skip();
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
