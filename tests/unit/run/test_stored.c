/* The logs of a store that nobody has open, read as they are written. */
#include "contract/store_fixture.h"

#include "run/stored.h"

enum { RECORDS = 40, ALL = RECORDS + 2 }; /* the opening, a correction */

static struct node village;
static struct log_id own;

static int setup(void **state)
{
    const struct draft later = {
        .record = 5, .subject = "913418210000000000", .text = "corrected"};
    (void)state;
    node_init(&village, &store_rocksdb, VILLAGE, "village");
    submit_many(village.store, 0, RECORDS);
    assert_ok(submit(village.store, &later, 1, NULL));
    own = store_own_log(village.store);
    node_stop(&village);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    node_fini(&village);
    return 0;
}

struct reading {
    uint64_t n;
    uint64_t stop_at;
};

static bool on_entry(void *ctx, const struct log_id *log, uint64_t number,
                     struct slice entry)
{
    struct reading *r = ctx;
    assert_true(log_id_eq(log, &own));
    assert_int_equal(number, ++r->n);
    assert_true(entry.len > 0);
    return r->n != r->stop_at;
}

static enum err read_all(struct reading *r, bool root, struct errmsg *why)
{
    struct stored *s = NULL;
    size_t n;
    *why = (struct errmsg){""};
    assert_ok(stored_open(&s, village.path, why));
    const struct stored_log *logs = stored_logs(s, &n);
    assert_int_equal(n, 1);
    assert_int_equal(logs[0].size, ALL);
    enum err err = stored_read(s, &logs[0], SUITE_INTL, root, on_entry, r, why);
    stored_close(&s);
    assert_null(s);
    return err;
}

/* In place of a block, or beside the others: a block of one entry. */
static void put_block(uint64_t first, const char *text)
{
    const struct store_conf conf = {.path = village.path,
                                    .cache_bytes = 1 << 20,
                                    .write_buffer_bytes = 1 << 20};
    struct block_codec *codec = block_codec_new();
    struct slot slot = {.entry = slice_str(text)};
    struct buf packed = BUF_INIT;
    struct errmsg why;
    void *db = NULL;
    assert_ok(store_rocksdb.open(&db, &conf, false, &why));
    void *batch = store_rocksdb.batch_new(db);
    block_pack(codec, &slot, 1, &packed);
    if (text[0] != '\0') {
        store_rocksdb.put_block(batch, 1, first, buf_slice(&packed));
    } else {
        store_rocksdb.cut_log(batch, 1, first, first - 1);
    }
    assert_ok(store_rocksdb.commit(db, batch, &why));
    store_rocksdb.batch_free(batch);
    store_rocksdb.close(db);
    block_codec_free(&codec);
    buf_fini(&packed);
}

static void every_entry_is_read_once_and_in_order(void **state)
{
    struct reading r = {0};
    struct errmsg why;
    (void)state;
    assert_ok(read_all(&r, true, &why));
    assert_int_equal(r.n, ALL);
    node_start(&village); /* nothing was written */
    assert_int_equal(size_of(village.store, &own), ALL);
    node_stop(&village);
}

static void who_has_enough_ends_it(void **state)
{
    struct reading r = {.stop_at = 7};
    struct errmsg why;
    (void)state;
    assert_int_equal(read_all(&r, true, &why), ERR_CANCELLED);
    assert_int_equal(r.n, 7);
}

static void a_block_over_another_adds_nothing(void **state)
{
    struct reading r = {0};
    struct errmsg why;
    (void)state;
    put_block(20, "what stands there is known already");
    assert_ok(read_all(&r, true, &why));
    assert_int_equal(r.n, ALL);
}

static void other_bytes_have_another_root(void **state)
{
    struct reading r = {0};
    struct errmsg why;
    (void)state;
    put_block(1, "not what opened it");
    assert_int_equal(read_all(&r, true, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "another root"));
    r.n = 0;
    assert_ok(read_all(&r, false, &why));
}

static void a_block_that_is_gone_is_missed(void **state)
{
    struct reading r = {0};
    struct errmsg why;
    (void)state;
    put_block(18, "");
    assert_int_equal(read_all(&r, true, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "no entry 18"));
}

static void a_folder_without_a_store_is_an_error(void **state)
{
    struct stored *s = NULL;
    struct errmsg why = {""};
    (void)state;
    assert_int_not_equal(stored_open(&s, fed_dir, &why), ERR_OK);
    assert_null(s);
    assert_true(why.text[0] != '\0');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_entry_is_read_once_and_in_order),
        TEST(who_has_enough_ends_it),
        TEST(a_block_over_another_adds_nothing),
        TEST(other_bytes_have_another_root),
        TEST(a_block_that_is_gone_is_missed),
        TEST(a_folder_without_a_store_is_an_error),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
