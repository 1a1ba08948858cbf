/* Protobuf wire format, against bytes worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pb.h"

static void assert_bytes(struct buf *b, const char *want, size_t len)
{
    assert_int_equal(b->len, len);
    assert_memory_equal(b->data, want, len);
    buf_fini(b);
}

/* The examples of the encoding's own documentation. */
static void fields_have_the_published_bytes(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    pb_put_u64(&b, 1, 150);
    assert_bytes(&b, "\x08\x96\x01", 3);
    pb_put_str(&b, 2, "testing");
    assert_bytes(&b, "\x12\x07testing", 9);
    pb_put_u64(&b, 1000, 1);
    assert_bytes(&b, "\xc0\x3e\x01", 3);
}

static void defaults_are_left_out(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    pb_put_u64(&b, 1, 0);
    pb_put_str(&b, 2, "");
    pb_put_bytes(&b, 3, slice_of(NULL, 0));
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

static void nested_messages_come_back(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    size_t outer = pb_begin(&b, 3);
    size_t inner = pb_begin(&b, 4);
    pb_put_u64(&b, 1, 7);
    pb_end(&b, inner);
    size_t empty = pb_begin(&b, 5);
    pb_end(&b, empty);
    pb_end(&b, outer);
    pb_put_u64(&b, 9, UINT64_MAX);

    struct reader r = reader_of(buf_slice(&b));
    struct pb_field f;
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.number, 3);
    assert_int_equal(f.type, PB_BYTES);
    struct reader in = reader_of(f.bytes);
    struct pb_field g;
    assert_true(pb_next(&in, &g));
    assert_int_equal(g.number, 4);
    assert_memory_equal(g.bytes.data, "\x08\x07", 2);
    assert_true(pb_next(&in, &g));
    assert_int_equal(g.number, 5);
    assert_int_equal(g.bytes.len, 0);
    assert_false(pb_next(&in, &g));
    assert_true(reader_done(&in));
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.number, 9);
    assert_int_equal(f.type, PB_VARINT);
    assert_true(f.value == UINT64_MAX);
    assert_false(pb_next(&r, &f));
    assert_true(reader_done(&r));
    buf_fini(&b);
}

static void foreign_types_are_stepped_over(void **state)
{
    (void)state;
    struct reader r = reader_of(slice_of("\x09"
                                         "12345678"
                                         "\x15"
                                         "1234"
                                         "\x18\x05",
                                         16));
    struct pb_field f;
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.type, PB_FIXED64);
    assert_int_equal(f.number, 1);
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.type, PB_FIXED32);
    assert_int_equal(f.number, 2);
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.number, 3);
    assert_int_equal(f.value, 5);
    assert_false(pb_next(&r, &f));
    assert_true(reader_done(&r));
}

static void malformed_bytes_end_the_message(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\x08", 1},     /* no value */
        {"\x08\x80", 2}, /* value cut short */
        {"\x80", 1},     /* key cut short */
        {"\x00\x01", 2}, /* field 0 */
        {"\x12\x05"
         "abcd",
         6}, /* shorter than said */
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
        {"\x0b", 1}, /* group */
        {"\x0c", 1},
        {"\x0e\x01", 2}, /* type 6 */
        {"\x0f\x01", 2}, /* type 7 */
        {"\x09"
         "1234567",
         8},
        {"\x0d"
         "123",
         4},
        {"\x80\x80\x80\x80\x10\x01", 6}, /* field 2^29 */
        {"\x88\x80\x80\x80\x80\x80\x80\x80\x80\x02\x01", 11},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t *copy = mem_dup(rows[i].bytes, rows[i].len);
        struct reader r = reader_of(slice_of(copy, rows[i].len));
        struct pb_field f;
        if (pb_next(&r, &f) || !r.bad || pb_next(&r, &f)) {
            fail_msg("row %zu was taken", i);
        }
        mem_free(copy);
    }
}

static void the_largest_field_number_is_read(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    pb_put_u64(&b, (1U << 29) - 1, 1);
    struct reader r = reader_of(buf_slice(&b));
    struct pb_field f;
    assert_true(pb_next(&r, &f));
    assert_int_equal(f.number, (1U << 29) - 1);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_have_the_published_bytes),
        cmocka_unit_test(defaults_are_left_out),
        cmocka_unit_test(nested_messages_come_back),
        cmocka_unit_test(foreign_types_are_stepped_over),
        cmocka_unit_test(malformed_bytes_end_the_message),
        cmocka_unit_test(the_largest_field_number_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
