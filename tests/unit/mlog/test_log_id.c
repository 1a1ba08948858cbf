/* The names of logs, as text and as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "mlog/log_id.h"

static const struct log_id village = {341821100201, 0x9f86d081884c7d65,
                                      LOG_RECORDS};

static void text_form_is_read_back(void **state)
{
    (void)state;
    static const struct {
        struct log_id id;
        const char *text;
    } rows[] = {
        {{341821100201, 0x9f86d081884c7d65, LOG_RECORDS},
         "341821100201/records/9f86d081884c7d65"},
        {{0, 1, LOG_DIRECTIVES}, "000000000000/directives/0000000000000001"},
        {{999999999999, UINT64_MAX, LOG_POST},
         "999999999999/post/ffffffffffffffff"},
        {{110112000000, 0xab, LOG_AUDIT},
         "110112000000/audit/00000000000000ab"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[LOG_ID_TEXT_MAX];
        struct log_id id;
        log_id_format(&rows[i].id, text);
        assert_string_equal(text, rows[i].text);
        assert_true(log_id_parse(text, &id));
        assert_true(log_id_eq(&id, &rows[i].id));
    }
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "/",
        "//",
        "341821100201",
        "341821100201/records",
        "341821100201/records/",
        "341821100201//9f86d081884c7d65",
        "/records/9f86d081884c7d65",
        "34182110020/records/9f86d081884c7d65",
        "0341821100201/records/9f86d081884c7d65",
        "1341821100201/records/9f86d081884c7d65",
        "34182110020x/records/9f86d081884c7d65",
        "341821100201/record/9f86d081884c7d65",
        "341821100201/Records/9f86d081884c7d65",
        "341821100201/records/9F86d081884c7d65",
        "341821100201/records/9f86d081884c7d6",
        "341821100201/records/9f86d081884c7d655",
        "341821100201/records/9f86d081884c7d6g",
        "341821100201/records/0000000000000000",
        "341821100201/records/x/9f86d081884c7d65",
        "341821100201/records/9f86d081884c7d65/",
        "341821100201/records/9f86d081884c7d65\n",
        " 341821100201/records/9f86d081884c7d65",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct log_id id = village;
        assert_false(log_id_parse(rows[i], &id));
        assert_true(log_id_eq(&id, &village));
    }
}

static void order_is_that_of_the_binary_form(void **state)
{
    (void)state;
    static const struct log_id rows[] = {
        {1, 5, LOG_RECORDS},
        {1, 6, LOG_RECORDS},
        {1, UINT64_MAX, LOG_RECORDS},
        {1, 1, LOG_POST},
        {2, 1, LOG_RECORDS},
        {2, 1, LOG_DIRECTIVES},
        {999999999999, 1, LOG_RECORDS},
        {999999999999, 1, LOG_AUDIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t j = 0; j < ARRAY_LEN(rows); j++) {
            struct buf a = BUF_INIT;
            struct buf b = BUF_INIT;
            log_id_put(&a, &rows[i]);
            log_id_put(&b, &rows[j]);
            assert_int_equal(a.len, LOG_ID_LEN);
            int bytes = memcmp(a.data, b.data, LOG_ID_LEN);
            int order = log_id_cmp(&rows[i], &rows[j]);
            assert_int_equal((order > 0) - (order < 0),
                             (bytes > 0) - (bytes < 0));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(log_id_eq(&rows[i], &rows[j]), i == j);
            buf_fini(&a);
            buf_fini(&b);
        }
    }
}

static void binary_form_is_read_back(void **state)
{
    (void)state;
    static const uint8_t want[LOG_ID_LEN] = {0x00, 0x00, 0x00, 0x4f, 0x96, 0x20,
                                             0x10, 0xa9, 0x01, 0x9f, 0x86, 0xd0,
                                             0x81, 0x88, 0x4c, 0x7d, 0x65};
    struct buf wire = BUF_INIT;
    log_id_put(&wire, &village);
    assert_memory_equal(wire.data, want, LOG_ID_LEN);
    struct reader r = reader_of(buf_slice(&wire));
    struct log_id id = log_id_get(&r);
    assert_true(reader_done(&r));
    assert_true(log_id_eq(&id, &village));
    for (size_t cut = 0; cut < wire.len; cut++) {
        r = reader_of(slice_of(wire.data, cut));
        (void)log_id_get(&r);
        assert_true(r.bad);
    }
    buf_fini(&wire);
}

static void impossible_binary_forms_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t origin;
        uint8_t kind;
        uint64_t incarnation;
    } rows[] = {
        {1, 0, 1},
        {1, 5, 1},
        {1, 255, 1},
        {1, 1, 0},
        {1000000000000, 1, 1},
        {UINT64_MAX, 1, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf wire = BUF_INIT;
        buf_put_u64(&wire, rows[i].origin);
        buf_put_u8(&wire, rows[i].kind);
        buf_put_u64(&wire, rows[i].incarnation);
        struct reader r = reader_of(buf_slice(&wire));
        (void)log_id_get(&r);
        assert_true(r.bad);
        buf_fini(&wire);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_form_is_read_back),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(order_is_that_of_the_binary_form),
        cmocka_unit_test(binary_form_is_read_back),
        cmocka_unit_test(impossible_binary_forms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
