/* What was read about a subject, and how long it counts (store/stamp.h). */
#include "contract/store_fixture.h"

#include "store/stamp.h"

#define FIRM "91341821MA2T00001X"
#define OTHER "91341821MA2T00002Y"

static struct node village;
static struct node township;

static int start(void **state)
{
    (void)state;
    node_init(&village, fixture_backend(), VILLAGE, "village");
    node_init(&township, fixture_backend(), TOWNSHIP, "township");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    node_fini(&village);
    node_fini(&township);
    return 0;
}

static struct subject_key key_of(const char *subject)
{
    struct subject_key key;
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    return key;
}

static struct store_stamp taken(struct store *s, const char *subject)
{
    struct store_stamp stamp;
    struct subject_key key = key_of(subject);
    assert_true(store_stamp_take(s, &key, &stamp));
    assert_true(store_stamp_holds(s, &stamp));
    return stamp;
}

static void put_text(struct store *s, const char *subject, const char *text)
{
    struct draft d = {.record = 1, .subject = subject, .text = text};
    assert_ok(submit(s, &d, 1, NULL));
}

/* ---- stamps ---- */

static void a_stamp_holds_until_its_subject_changes(void **state)
{
    (void)state;
    struct store *s = village.store;
    struct store_stamp firm = taken(s, FIRM);
    struct store_stamp other = taken(s, OTHER);
    put_text(s, FIRM, "a");
    assert_false(store_stamp_holds(s, &firm));
    assert_true(store_stamp_holds(s, &other));
    firm = taken(s, FIRM);
    put_text(s, FIRM, "a"); /* unchanged */
    assert_true(store_stamp_holds(s, &firm));
    put_text(s, FIRM, "b");
    assert_false(store_stamp_holds(s, &firm));
    assert_true(store_stamp_holds(s, &other));
}

static void many_changes_of_one_commit_count(void **state)
{
    (void)state;
    struct store *s = village.store;
    /* Both records of a subject, and so both marks of its counter, in one. */
    const struct draft drafts[] = {
        {.record = 1, .subject = FIRM, .text = "a"},
        {.record = 2, .subject = FIRM, .text = "b"},
        {.record = 3, .subject = OTHER, .text = "c"},
    };
    struct store_stamp firm = taken(s, FIRM);
    struct store_stamp other = taken(s, OTHER);
    assert_ok(submit(s, drafts, ARRAY_LEN(drafts), NULL));
    assert_false(store_stamp_holds(s, &firm));
    assert_false(store_stamp_holds(s, &other));
    (void)taken(s, FIRM);
}

static void a_record_that_moves_changes_both_subjects(void **state)
{
    (void)state;
    struct store *s = village.store;
    put_text(s, FIRM, "a");
    struct store_stamp firm = taken(s, FIRM);
    struct store_stamp other = taken(s, OTHER);
    struct draft moved = {
        .record = 1, .subject = OTHER, .prev_subject = FIRM, .text = "a"};
    assert_ok(submit(s, &moved, 1, NULL));
    assert_false(store_stamp_holds(s, &firm));
    assert_false(store_stamp_holds(s, &other));
}

static void what_a_child_sends_changes_subjects_too(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    put_text(village.store, FIRM, "a");
    struct store_stamp firm = taken(township.store, FIRM);
    copy_log(village.store, township.store, &log);
    assert_false(store_stamp_holds(township.store, &firm));
}

static void a_job_of_the_writer_changes_all(void **state)
{
    (void)state;
    struct store *s = village.store;
    struct errmsg why;
    struct store_stamp firm = taken(s, FIRM);
    struct store_stamp other = taken(s, OTHER);
    assert_ok(store_reindex(s, NULL, NULL, &why));
    assert_false(store_stamp_holds(s, &firm));
    assert_false(store_stamp_holds(s, &other));
    (void)taken(s, FIRM);
}

/* ---- reads that do not wait ---- */

static bool count_row(void *ctx, const struct store_row *row)
{
    (void)row;
    ++*(size_t *)ctx;
    return true;
}

/* A server is never asked by who may not wait. */
static enum err from_memory(void)
{
    return on_mariadb() ? ERR_BUSY : ERR_OK;
}

static void what_is_not_in_memory_is_not_read_now(void **state)
{
    (void)state;
    struct store *s = village.store;
    struct subject_key key = key_of(FIRM);
    struct log_id log = store_own_log(s);
    struct buf entry = BUF_INIT;
    size_t rows = 0;
    put_text(s, FIRM, "a");
    assert_int_equal(store_subject_now(s, &key, count_row, &rows),
                     from_memory());
    assert_int_equal(rows, on_mariadb() ? 0 : 1);
    assert_int_equal(store_entry_now(s, &log, 99, &entry), ERR_BUSY);
    assert_int_equal(store_entry(s, &log, 99, &entry), ERR_NOT_FOUND);
    assert_int_equal(store_entry_now(s, &log, 2, &entry), ERR_BUSY);
    assert_int_equal(store_entry_in_memory(s, &log, 99, &entry), ERR_BUSY);
    assert_int_equal(store_entry_in_memory(s, &log, 2, &entry), from_memory());
    struct buf fresh = entry;
    entry = (struct buf)BUF_INIT;
    assert_ok(store_entry(s, &log, 2, &entry));
    assert_true(on_mariadb() || slice_eq(buf_slice(&fresh), buf_slice(&entry)));
    buf_fini(&fresh);
    size_t len = entry.len;
    assert_ok(store_entry_now(s, &log, 2, &entry));
    assert_int_equal(entry.len, 2 * len);
    assert_memory_equal(entry.data, entry.data + len, len);
    buf_fini(&entry);
}

/* So many rows that the first ones lie in a file; opened anew, none of its
 * pages were read. */
static void a_page_on_the_disk_is_not_read_now(void **state)
{
    (void)state;
    struct subject_key key = key_of(FIRM);
    struct log_id log = store_own_log(village.store);
    struct buf entry = BUF_INIT;
    size_t rows = 0;
    put_text(village.store, FIRM, "a");
    for (uint32_t i = 1; i <= 8; i++) {
        submit_many(village.store, i * 1000, 1000);
    }
    node_restart(&village);
    assert_int_equal(store_subject_now(village.store, &key, count_row, &rows),
                     ERR_BUSY);
    assert_int_equal(store_entry_in_memory(village.store, &log, 2, &entry),
                     ERR_BUSY);
    assert_int_equal(entry.len, 0);
    buf_fini(&entry);
    rows = 0;
    assert_ok(store_subject(village.store, &key, count_row, &rows));
    assert_int_equal(rows, 1);
    rows = 0;
    assert_int_equal(store_subject_now(village.store, &key, count_row, &rows),
                     from_memory());
    assert_int_equal(rows, on_mariadb() ? 0 : 1);
}

static void a_subject_of_many_rows_is_not_read_now(void **state)
{
    (void)state;
    struct subject_key key = key_of(FIRM);
    for (uint32_t n = 1; n <= ROWS_NOW_MAX + 1; n++) {
        size_t rows = 0;
        struct draft d = {.record = n, .subject = FIRM, .text = "a"};
        assert_ok(submit(village.store, &d, 1, NULL));
        enum err want = n <= ROWS_NOW_MAX ? from_memory() : ERR_BUSY;
        assert_int_equal(
            store_subject_now(village.store, &key, count_row, &rows), want);
        size_t given = n <= ROWS_NOW_MAX ? n : ROWS_NOW_MAX;
        assert_int_equal(rows, on_mariadb() ? 0 : given);
    }
}

#define STAMP_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAMP_TEST(a_stamp_holds_until_its_subject_changes),
        STAMP_TEST(many_changes_of_one_commit_count),
        STAMP_TEST(a_record_that_moves_changes_both_subjects),
        STAMP_TEST(what_a_child_sends_changes_subjects_too),
        STAMP_TEST(a_job_of_the_writer_changes_all),
        STAMP_TEST(what_is_not_in_memory_is_not_read_now),
        STAMP_TEST(a_page_on_the_disk_is_not_read_now),
        STAMP_TEST(a_subject_of_many_rows_is_not_read_now),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
