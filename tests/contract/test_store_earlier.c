/* A store that an earlier build wrote: what that one did not understand has its
 * effect at the first start of one that does, and a folder of the first days is
 * read, proven and written on. */
#include "contract/lists_fixture.h"

#include "store/store_impl.h"

/* tests/data/store_1.tar.gz */
#define EARLIEST_VILLAGE UINT64_C(0xceb8c1cb08c4a70c)
#define EARLIEST_VILLAGE_ROOT                                                  \
    "8d83f58dd0459c0e6cf6fa3c30a201f2c9e63d1a024463694b06577bf785cd79"
#define EARLIEST_TOWNSHIP UINT64_C(0xcceaf949f11e9b17)
#define EARLIEST_TOWNSHIP_ROOT                                                 \
    "d0affc3247c2b79d9db09dd71f33bd32c8f13f59075b22097c2cee2cebabc6e7"

#define PLAIN "911000000000000017"

/* ---- as a build that knew less would have left it ---- */

struct leaving {
    struct node *node;
    const struct log_id *log;
    uint32_t id; /* of the log, the store's own */
    void *db;
    void *batch;
    uint8_t generation;
};

static bool on_head(void *ctx, uint32_t id, struct slice value)
{
    struct leaving *l = ctx;
    struct head *head = MEM_NEW(struct head);
    assert_ok(head_decode(value, head));
    l->id = log_id_eq(&head->h.log, l->log) ? id : l->id;
    mem_free(head);
    return true;
}

static struct leaving leave_begin(struct node *n, const struct log_id *log)
{
    struct leaving l = {.node = n, .log = log};
    const struct store_conf conf = {.mariadb = node_mariadb(n),
                                    .path = n->path,
                                    .cache_bytes = 2 << 20,
                                    .write_buffer_bytes = 2 << 20};
    struct buf value = BUF_INIT;
    struct errmsg why;
    node_stop(n);
    assert_ok(n->backend->open(&l.db, &conf, false, &why));
    assert_ok(n->backend->parts(l.db, PART_HEAD, on_head, &l, &why));
    assert_true(l.id > 0);
    enum err err = n->backend->meta(l.db, META_GENERATION, &value, &why);
    l.generation = err == ERR_OK ? value.data[0] : 1; /* never reindexed */
    l.batch = n->backend->batch_new(l.db);
    buf_fini(&value);
    return l;
}

static void leave_commit(struct leaving *l)
{
    struct buf serial = BUF_INIT;
    uint8_t next[8];
    struct errmsg why;
    const struct backend *b = l->node->backend;
    assert_ok(b->meta(l->db, META_SERIAL, &serial, &why));
    be_put64(next, be_get64(serial.data) + 1);
    b->put_meta(l->batch, META_SERIAL, slice_of(next, sizeof next));
    assert_ok(b->commit(l->db, l->batch, &why));
    b->batch_free(l->batch);
    b->close(l->db);
    buf_fini(&serial);
}

static void leave_end(struct leaving *l)
{
    leave_commit(l);
    node_start(l->node);
}

/* The record was not indexed. */
static void leave_record(struct leaving *l, uint32_t record,
                         const char *subject, uint64_t number,
                         enum reason reason)
{
    struct row_key key = {.origin = l->log->origin};
    subject_key_org(&key.subject, SUBJECT_USCC, slice_str(subject));
    record_key_of(record, key.record_key);
    l->node->backend->del_row(l->batch, l->generation, &key);
    l->node->backend->put_issue(l->batch, l->generation, l->id, number,
                                (uint8_t)reason);
}

/* The listing was not, and its package counts without it. */
static void leave_listing(struct leaving *l, const char *subject,
                          uint64_t number, enum reason reason)
{
    struct list_row row = {.log = l->id, .number = number};
    subject_key_org(&row.subject, SUBJECT_USCC, slice_str(subject));
    l->node->backend->del_list_row(l->batch, l->generation, &row);
    l->node->backend->put_issue(l->batch, l->generation, l->id, number,
                                (uint8_t)reason);
}

/* ---- looking ---- */

static bool on_listing(void *ctx, const struct store_listing *l)
{
    size_t *n = ctx;
    (void)l;
    ++*n;
    return true;
}

static size_t listed(struct node *n, const char *subject)
{
    struct subject_key key;
    struct lists_view view;
    size_t found = 0;
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    lists_view_take(n->store, &view);
    const struct listing_query q = {
        .view = &view, .subject = &key, .today = TODAY};
    assert_ok(store_listings(n->store, &q, on_listing, &found, NULL));
    lists_view_fini(&view);
    return found;
}

/* Entries are judged again beside what else is done. */
static size_t issues_left(struct node *n, size_t wanted)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    struct issue_list issues;
    do {
        issues_of(n->store, &issues);
    } while (issues.n != wanted && clock_mono_ms() < until_ms &&
             (clock_sleep(10), true));
    return issues.n;
}

/* ---- tests ---- */

static void records_that_were_not_understood_are_found(void **state)
{
    struct node village;
    struct node township;
    struct row_list rows;
    (void)state;
    node_init(&village, fixture_backend(), VILLAGE, "village");
    node_init(&township, fixture_backend(), TOWNSHIP, "township");
    const struct draft drafts[] = {
        {.record = 1, .subject = PLAIN, .text = "licence"},
        {.record = 2, .subject = PLAIN, .text = "penalty"},
        {.record = 3, .subject = PLAIN, .text = "permit"}};
    assert_ok(submit(village.store, drafts, 3, NULL));
    struct log_id log = store_own_log(village.store);
    copy_log(village.store, township.store, &log);
    struct leaving l = leave_begin(&township, &log);
    leave_record(&l, 2, PLAIN, 3, REASON_STATUS);
    leave_record(&l, 3, PLAIN, 4, REASON_FORMAT);
    leave_end(&l);
    assert_int_equal(issues_left(&township, 0), 0);
    rows_of(township.store, PLAIN, &rows);
    assert_int_equal(rows.n, 3);
    node_restart(&township);
    rows_of(township.store, PLAIN, &rows);
    assert_int_equal(rows.n, 3);
    node_fini(&township);
    node_fini(&village);
}

static void decisions_that_were_not_understood_count(void **state)
{
    struct node township;
    (void)state;
    start(&township, TOWNSHIP, "township");
    const struct decision both[] = {
        {.subject = SUBJECT_A, .list = 32, .from = 20260301},
        {.subject = SUBJECT_B, .list = 1, .from = 20260301}};
    struct published p = decide(&township, both, 2);
    struct leaving l = leave_begin(&township, &p.log);
    leave_listing(&l, SUBJECT_B, p.first + 2, REASON_TYPE);
    leave_end(&l);
    assert_int_equal(listed(&township, SUBJECT_A), 1);
    assert_int_equal(listed(&township, SUBJECT_B), 1);
    assert_int_equal(issues_left(&township, 0), 0);
    assert_int_equal(visible(&township, &p.log), p.last);
    node_restart(&township);
    assert_int_equal(listed(&township, SUBJECT_B), 1);
    node_fini(&township);
}

/* And goes on waiting for one that does. */
static void what_this_build_does_not_know_stays_as_it_is(void **state)
{
    enum { LATER = 200 };
    struct node village;
    struct node township;
    struct forge f;
    struct buf bytes = BUF_INIT;
    const struct entry later = {.type = LATER};
    (void)state;
    node_init(&village, fixture_backend(), VILLAGE, "village");
    node_init(&township, fixture_backend(), TOWNSHIP, "township");
    assert_ok(forge_open(&f, township.store, &village, 77, NULL));
    entry_encode(&later, &bytes);
    assert_ok(forge_bytes(&f, township.store, buf_slice(&bytes)));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(issues_left(&township, 1), 1);
        node_restart(&township);
    }
    const struct draft d = {.record = 1, .subject = PLAIN, .text = "licence"};
    assert_ok(submit(township.store, &d, 1, NULL));
    assert_int_equal(issues_left(&township, 1), 1);
    buf_fini(&bytes);
    node_fini(&township);
    node_fini(&village);
}

/* Nobody guesses what a later build wrote, and nothing of it is touched. */
static void a_later_format_is_refused_by_its_number(void **state)
{
    struct node n;
    struct buf identity = BUF_INIT;
    struct errmsg why = {""};
    (void)state;
    node_init(&n, fixture_backend(), VILLAGE, "later");
    const struct log_id log = store_own_log(n.store);
    for (uint16_t format = 2; format >= 1; format--) {
        struct leaving l = leave_begin(&n, &log);
        buf_clear(&identity);
        assert_ok(n.backend->meta(l.db, META_IDENTITY, &identity, &why));
        identity.data[1] = (uint8_t)format;
        n.backend->put_meta(l.batch, META_IDENTITY, buf_slice(&identity));
        leave_commit(&l);
        if (format == 2) {
            assert_int_equal(node_try_open(&n, &why), ERR_CONF);
            assert_non_null(strstr(why.text, "has format 2, this build knows "
                                             "1: install the build that wrote "
                                             "it, or a later one"));
        }
    }
    node_start(&n);
    assert_int_equal(size_of(n.store, &log), 1);
    buf_fini(&identity);
    node_fini(&n);
}

/* A township's folder as the first build with this format left it: its own 20
 * records, and of its village 40, a correction and a move. */
static void extract(const struct node *n)
{
    shell("rm -rf %s && mkdir %s && tar -xzf %s/store_1.tar.gz -C %s", n->path,
          n->path, TEST_DATA, n->path);
}

static void assert_root(struct node *n, const struct log_id *log, uint64_t size,
                        const char *root)
{
    struct store_head head;
    char hex[2 * HASH_LEN + 1];
    assert_ok(store_head(n->store, log, &head));
    assert_int_equal(head.frontier.size, size);
    for (size_t i = 0; i < HASH_LEN; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", head.root.b[i]);
    }
    assert_string_equal(hex, root);
}

static void no_fault(void *ctx, const struct log_id *log, uint64_t number,
                     const char *what)
{
    (void)ctx;
    (void)log;
    fail_msg("entry %llu: %s", (unsigned long long)number, what);
}

static void assert_row(struct node *n, uint32_t record, const char *subject,
                       uint64_t origin, uint64_t number, uint32_t version)
{
    struct subject_key key;
    struct store_row row;
    uint8_t record_key[RECORD_KEY_LEN];
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    record_key_of(record, record_key);
    assert_ok(store_row(n->store, &key, record_key, origin, &row));
    assert_int_equal(row.number, number);
    assert_int_equal(row.version, version);
}

/* What it held, by whatever index. */
static void assert_earliest(struct node *n)
{
    struct row_list rows;
    const struct log_id theirs = {VILLAGE, EARLIEST_VILLAGE, LOG_RECORDS};
    assert_root(n, &theirs, 43, EARLIEST_VILLAGE_ROOT);
    assert_row(n, 1, "913418210000000000", VILLAGE, 3, 1);
    assert_row(n, 5, "913418210000000000", VILLAGE, 42, 2);
    assert_row(n, 7, "913418210000000009", VILLAGE, 43, 2);
    rows_of(n->store, "913418210000000000", &rows);
    assert_int_equal(rows.n, 15); /* of 16, one moved */
    assert_ok(store_scrub(n->store, no_fault, NULL, NULL));
    assert_int_equal(issues_left(n, 0), 0);
}

static void the_earliest_store_is_read_and_written_on(void **state)
{
    struct node n;
    struct errmsg why;
    struct draft_result result;
    const struct log_id own = {TOWNSHIP, EARLIEST_TOWNSHIP, LOG_RECORDS};
    const struct draft same = {.record = 1000,
                               .subject = "913418210000000062",
                               .text = "penalty 1000, office of waters"};
    struct draft other = same;
    other.text = "corrected";
    (void)state;
    if (on_mariadb()) {
        skip();
    }
    start(&n, TOWNSHIP, "earliest");
    node_stop(&n);
    extract(&n);
    node_start(&n);
    assert_root(&n, &own, 21, EARLIEST_TOWNSHIP_ROOT);
    assert_earliest(&n);
    assert_ok(submit(n.store, &same, 1, &result));
    assert_int_equal(result.outcome, DRAFT_UNCHANGED);
    assert_ok(submit(n.store, &other, 1, &result));
    assert_int_equal(result.outcome, DRAFT_CHANGED);
    assert_true(log_id_eq(&result.log, &own));
    assert_int_equal(result.number, 22);
    assert_int_equal(result.version, 2);
    assert_ok(store_reindex(n.store, NULL, NULL, &why));
    assert_earliest(&n);
    node_restart(&n);
    assert_earliest(&n);
    assert_row(&n, 1000, same.subject, TOWNSHIP, 22, 2);
    node_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_that_were_not_understood_are_found),
        cmocka_unit_test(decisions_that_were_not_understood_count),
        cmocka_unit_test(what_this_build_does_not_know_stays_as_it_is),
        cmocka_unit_test(a_later_format_is_refused_by_its_number),
        cmocka_unit_test(the_earliest_store_is_read_and_written_on),
    };
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
