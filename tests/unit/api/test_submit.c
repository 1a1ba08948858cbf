/* Rows entered over gRPC: a few of them on the poller, all others by a worker,
 * with the same receipts. */
#include "unit/api/service.h"
#include "unit/ingest/table.h"

#include "base/pb.h"

static void put_request(struct buf *out, const struct buf *csv)
{
    pb_put_bytes(out, 1, buf_slice(csv));
}

/* Empties `csv`. */
static enum err enter(struct buf *csv, struct buf *reply)
{
    struct buf request = BUF_INIT;
    struct errmsg why;
    put_request(&request, csv);
    buf_fini(csv);
    buf_clear(reply);
    return rpc_unary_wait(service.channel,
                          "/creditnode.ingest.v1.Ingest/Submit", &request,
                          CALL_MS, reply, &why);
}

static struct slice outcome(struct slice row)
{
    struct reader r = reader_of(row);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 2) {
            return f.bytes;
        }
    }
    return slice_str("?");
}

/* The outcome of each row, as "new;refused;". */
static const char *outcomes(const struct buf *reply)
{
    static char text[256];
    struct reader r = reader_of(buf_slice(reply));
    struct pb_field f;
    size_t n = 0;
    while (pb_next(&r, &f) && n < sizeof text) {
        if (f.number == 1) {
            struct slice s = outcome(f.bytes);
            n += (size_t)snprintf(text + n, sizeof text - n, "%.*s;",
                                  (int)s.len, (const char *)s.data);
        }
    }
    text[n < sizeof text ? n : 0] = 0;
    return text;
}

static void a_few_rows_need_no_worker(void **state)
{
    (void)state;
    struct buf csv = BUF_INIT;
    struct buf reply = BUF_INIT;
    hold_the_worker();
    for (unsigned i = 0; i < 50; i++) {
        table_header(&csv);
        table_row(&csv, i, "准予");
        table_bad_row(&csv, i);
        assert_ok(enter(&csv, &reply));
        assert_string_equal(outcomes(&reply), "new;refused;");
    }
    struct log_id log = store_own_log(village.store);
    assert_true(size_of(village.store, &log) >= 50);
    let_go();
    buf_fini(&reply);
}

static void what_is_no_table_is_refused_without_a_worker(void **state)
{
    (void)state;
    struct buf csv = BUF_INIT;
    struct buf reply = BUF_INIT;
    hold_the_worker();
    buf_put_str(&csv, "A,B\n1,2\n");
    assert_int_equal(enter(&csv, &reply), ERR_INVALID);
    let_go();
    buf_fini(&reply);
}

static void on_answer(void *ctx, enum err err, const char *text,
                      struct slice reply)
{
    (void)text;
    (void)reply;
    atomic_store((atomic_int *)ctx, err == ERR_OK ? 1 : 2);
}

/* Its values are sealed by keys in a file, for which the poller does not
 * wait. */
static void a_person_is_left_to_a_worker(void **state)
{
    (void)state;
    atomic_int answered = 0;
    struct buf csv = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct buf request = BUF_INIT;
    hold_the_worker();
    table_header(&csv);
    table_person(&csv, 1, table_citizen);
    put_request(&request, &csv);
    buf_fini(&csv);
    rpc_unary(service.channel, "/creditnode.ingest.v1.Ingest/Submit", &request,
              CALL_MS, on_answer, &answered);
    for (unsigned i = 0; i < 20; i++) { /* by the same connection, behind it */
        table_header(&csv);
        table_row(&csv, i, "准予");
        assert_ok(enter(&csv, &reply));
    }
    assert_int_equal(atomic_load(&answered), 0);
    let_go();
    WAIT_FOR(atomic_load(&answered) != 0);
    assert_int_equal(atomic_load(&answered), 1);
    buf_fini(&reply);
}

/* Blank lines make a table one for a worker, and change nothing else. */
static void both_ways_give_the_same_receipt(void **state)
{
    (void)state;
    struct buf csv = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct buf now = BUF_INIT;
    for (unsigned way = 0; way < 2; way++) {
        table_header(&csv);
        table_row(&csv, 1, "准予");
        assert_ok(enter(&csv, &reply)); /* the first time it is new */
        buf_put_str(&csv, "无此列,");
        table_header(&csv);
        buf_put_str(&csv, ",");
        table_row(&csv, 1, "准予");
        buf_put_str(&csv, ",");
        table_bad_row(&csv, 2);
        for (unsigned i = 0; way == 1 && i < IMPORT_NOW_LINES; i++) {
            buf_put_str(&csv, "\n");
        }
        assert_ok(enter(&csv, &reply));
        assert_string_equal(outcomes(&reply), "unchanged;refused;");
        if (way == 0) {
            buf_put_slice(&now, buf_slice(&reply));
        }
    }
    assert_true(slice_eq(buf_slice(&now), buf_slice(&reply)));
    buf_fini(&now);
    buf_fini(&reply);
}

static void who_may_not_enter_is_refused(void **state)
{
    (void)state;
    static struct conf_app app;
    static struct conf conf;
    struct buf csv = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct log_id log = store_own_log(village.store);
    uint64_t size = size_of(village.store, &log);
    app = service.app;
    app.scopes &= ~(unsigned)SCOPE_INGEST;
    conf = service.conf;
    conf.apps = (struct conf_apps){&app, 1};
    atomic_store(&service.env.conf, &conf);
    table_header(&csv);
    table_row(&csv, 1, "准予");
    assert_int_equal(enter(&csv, &reply), ERR_DENIED);
    assert_int_equal(size_of(village.store, &log), size);
    atomic_store(&service.env.conf, &service.conf);
    buf_fini(&reply);
}

#define SERVICE_TEST(f) cmocka_unit_test_setup_teardown(f, serve, unserve)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVICE_TEST(a_few_rows_need_no_worker),
        SERVICE_TEST(what_is_no_table_is_refused_without_a_worker),
        SERVICE_TEST(a_person_is_left_to_a_worker),
        SERVICE_TEST(both_ways_give_the_same_receipt),
        SERVICE_TEST(who_may_not_enter_is_refused),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
