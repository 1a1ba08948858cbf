/* What a MariaDB server is not asked: for records that are new, since the
 * commit finds out that one is not, and for tree nodes that were written just
 * now. */
#include "contract/store_fixture.h"

enum {
    MANY = 2000,
    AT_ONCE = 64,    /* keys of one look */
    IN_PASSING = 10, /* selects of a commit that looks for nothing */
    LOOKS = 64,      /* groups that look after one had to */
};

#define FIRM "91341821MA2T00001X"
#define OTHER "91341821MA2T00002Y"

static struct node village;
static struct node township;

static int up(void **state)
{
    (void)state;
    node_init(&village, &store_rocksdb, VILLAGE, "village");
    node_init(&township, fixture_backend(), TOWNSHIP, "township");
    return 0;
}

static int down(void **state)
{
    (void)state;
    node_fini(&village);
    node_fini(&township);
    return 0;
}

static uint64_t selects(void)
{
    return mariadb_number(&fed_server,
                          "SELECT VARIABLE_VALUE FROM information_schema."
                          "GLOBAL_STATUS WHERE VARIABLE_NAME="
                          "'COM_SELECT'");
}

/* But for the question itself. */
static uint64_t asked_since(uint64_t before)
{
    return selects() - before - 1;
}

/* One run of a log. */
static enum err tell(struct forge *f, const struct draft *drafts, size_t n)
{
    struct buf bytes[4] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    struct slice entries[4];
    assert_true(n <= ARRAY_LEN(entries));
    for (size_t i = 0; i < n; i++) {
        draft_put(&bytes[i], &drafts[i]);
        entries[i] = buf_slice(&bytes[i]);
    }
    enum err err = append(township.store, forge_run(f, entries, n), NULL);
    for (size_t i = 0; i < n; i++) {
        buf_fini(&bytes[i]);
    }
    return err;
}

/* MANY more of the village's records come to the township, as one group. What
 * was asked there. */
static uint64_t bring(uint32_t from)
{
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, from, MANY / 2);
    submit_many(village.store, from + MANY / 2, MANY / 2);
    uint64_t before = selects();
    copy_log(village.store, township.store, &log);
    return asked_since(before);
}

static void assert_row(const char *subject, uint32_t version,
                       uint64_t incarnation, uint64_t number)
{
    struct row_list list;
    rows_of(township.store, subject, &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.at[0].version, version);
    assert_int_equal(list.at[0].log.incarnation, incarnation);
    assert_int_equal(list.at[0].number, number);
}

static void new_records_are_not_looked_for(void **state)
{
    (void)state;
    struct row_list list;
    assert_in_range(bring(0), 0, IN_PASSING);
    rows_of(township.store, "913418210000000003", &list);
    assert_int_equal(list.n, 16);
}

/* What one log told is told again by another, among what is new. */
static void one_that_is_not_new_stays_as_it_is(void **state)
{
    (void)state;
    struct forge first;
    struct forge again;
    struct issue_list issues;
    const struct draft told = {
        .record = 1, .subject = FIRM, .text = "a", .version = 1};
    const struct draft mixed[] = {
        {.record = 2, .subject = OTHER, .text = "new", .version = 1},
        {.record = 1, .subject = FIRM, .text = "another", .version = 1},
        {.record = 3, .subject = OTHER, .text = "void", .version = 0},
    };
    assert_ok(forge_open(&first, township.store, &village, 7, NULL));
    assert_ok(tell(&first, &told, 1));
    assert_ok(forge_open(&again, township.store, &village, 8, NULL));
    assert_ok(tell(&again, mixed, ARRAY_LEN(mixed)));
    assert_row(FIRM, 1, 7, 2);
    assert_row(OTHER, 1, 8, 2);
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, 2);
    assert_int_equal(issues.at[0].number, 3);
    assert_int_equal(issues.at[1].number, 4);
    /* Nothing of the first attempt is left: the log goes on from there. */
    const struct draft next = {
        .record = 1, .subject = FIRM, .text = "b", .version = 2};
    assert_ok(tell(&again, &next, 1));
    assert_row(FIRM, 2, 8, 5);
    node_restart(&township);
    assert_int_equal(size_of(township.store, &again.log), 5);
    assert_row(FIRM, 2, 8, 5);
}

/* A later version in the same group wants to know what is there. */
static void a_record_that_changes_at_once_is_looked_for(void **state)
{
    (void)state;
    struct forge first;
    struct forge again;
    struct issue_list issues;
    const struct draft third = {
        .record = 1, .subject = FIRM, .text = "c", .version = 3};
    const struct draft both[] = {
        {.record = 1, .subject = FIRM, .text = "a", .version = 1},
        {.record = 1, .subject = FIRM, .text = "b", .version = 2},
        {.record = 2, .subject = OTHER, .text = "a", .version = 1},
        {.record = 2, .subject = OTHER, .text = "b", .version = 2},
    };
    assert_ok(forge_open(&first, township.store, &village, 7, NULL));
    assert_ok(tell(&first, &third, 1));
    assert_ok(forge_open(&again, township.store, &village, 8, NULL));
    assert_ok(tell(&again, both, ARRAY_LEN(both)));
    assert_row(FIRM, 3, 7, 2);
    assert_row(OTHER, 2, 8, 5);
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, 0);
}

/* Who tells much again is not asked to do each commit twice. */
static void
after_one_that_was_not_new_others_are_looked_for_awhile(void **state)
{
    (void)state;
    struct forge f;
    struct draft d = {.record = 1, .subject = FIRM, .text = "a", .version = 1};
    assert_ok(forge_open(&f, township.store, &village, 7, NULL));
    assert_ok(tell(&f, &d, 1));
    assert_ok(tell(&f, &d, 1));
    assert_in_range(bring(0), MANY / AT_ONCE, UINT32_MAX);
    for (d.record = 2; d.record < 2 + LOOKS; d.record++) {
        assert_ok(tell(&f, &d, 1));
    }
    assert_in_range(bring(MANY), 0, IN_PASSING);
}

/* As for a run that is sent on, from each end to the head. */
static void nodes_that_were_written_are_known(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    struct store_head head;
    struct store_head there;
    struct bridge from_here;
    struct bridge from_there;
    (void)bring(0);
    assert_ok(store_head(village.store, &log, &head));
    assert_ok(store_head(township.store, &log, &there));
    struct tree_view source = store_view(village.store, &head);
    struct tree_view view = store_view(township.store, &there);
    /* Whole nodes on both sides: else the leaves of a block are asked for. */
    view.size = view.size / 16 * 16;
    uint64_t before = selects();
    for (uint64_t end = 16; end < view.size; end += 16) {
        assert_ok(tree_bridge(&source, end, view.size, &from_here));
        assert_ok(tree_bridge(&view, end, view.size, &from_there));
        assert_int_equal(from_here.n, from_there.n);
        assert_memory_equal(from_here.node, from_there.node,
                            from_here.n * sizeof from_here.node[0]);
    }
    assert_int_equal(asked_since(before), 0);
    /* After a start each is read once. */
    node_restart(&township);
    view = store_view(township.store, &there);
    view.size = view.size / 16 * 16;
    assert_ok(tree_bridge(&view, 16, view.size, &from_there));
    before = selects();
    assert_ok(tree_bridge(&view, 16, view.size, &from_here));
    assert_int_equal(asked_since(before), 0);
    assert_memory_equal(from_here.node, from_there.node,
                        from_here.n * sizeof from_here.node[0]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(new_records_are_not_looked_for),
        T(one_that_is_not_new_stays_as_it_is),
        T(a_record_that_changes_at_once_is_looked_for),
        T(after_one_that_was_not_new_others_are_looked_for_awhile),
        T(nodes_that_were_written_are_known),
    };
    (void)setenv("STORE_BACKEND", store_mariadb.name, 1);
    mariadb_or_skip();
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
