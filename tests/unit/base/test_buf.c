/* Buffers and readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

/* The last bytes of an exact allocation, so that the address sanitizer sees a
 * read past the end. */
static struct slice exact(const void *data, size_t len)
{
    return slice_of(mem_dup(data, len), len);
}

static void drop(struct slice s)
{
    union {
        const void *read;
        void *owned;
    } bytes = {s.data};
    mem_free(bytes.owned);
}

static void integers_are_big_endian_and_come_back(void **state)
{
    (void)state;
    static const uint8_t want[] = {0x01, 0x02, 0x03, 0xfe, 0xdc,
                                   0xba, 0x98, 0x80, 0x01, 0x02,
                                   0x03, 0x04, 0x05, 0x06, 0xff};
    struct buf b = BUF_INIT;
    buf_put_u8(&b, 1);
    buf_put_u16(&b, 0x0203);
    buf_put_u32(&b, 0xfedcba98);
    buf_put_u64(&b, 0x80010203040506ff);
    assert_int_equal(b.len, sizeof want);
    assert_memory_equal(b.data, want, sizeof want);

    struct reader r = reader_of(buf_slice(&b));
    assert_int_equal(reader_u8(&r), 1);
    assert_int_equal(reader_u16(&r), 0x0203);
    assert_int_equal(reader_u32(&r), 0xfedcba98);
    assert_true(reader_u64(&r) == 0x80010203040506ff);
    assert_true(reader_done(&r));
    buf_fini(&b);
}

static void buffer_grows_and_keeps_its_content(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    for (uint32_t i = 0; i < 5000; i++) {
        buf_put_u32(&b, i);
    }
    assert_int_equal(b.len, 20000);
    assert_true(b.cap >= b.len);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(be_get32(b.data + (size_t)i * 4), i);
    }
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_non_null(b.data);
    buf_fini(&b);
    assert_null(b.data);
    assert_int_equal(b.cap, 0);
}

static void nothing_put_is_nothing_stored(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    buf_put(&b, NULL, 0);
    buf_put_str(&b, "");
    buf_putf(&b, "%s", "");
    assert_int_equal(b.len, 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_fini(&b);
}

static void formatted_text_is_whole(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    buf_put_str(&b, "a=");
    buf_putf(&b, "%0200d;", 7);
    buf_put_str(&b, "end");
    const char *text = buf_cstr(&b);
    assert_int_equal(strlen(text), 2 + 200 + 1 + 3);
    assert_int_equal(b.len, strlen(text));
    assert_string_equal(text + 200, "07;end");
    buf_fini(&b);
}

static void stolen_bytes_leave_an_empty_buffer(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    size_t len = 99;
    buf_put_str(&b, "xyz");
    uint8_t *data = buf_steal(&b, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "xyz", 3);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    mem_free(data);
    assert_null(buf_steal(&b, &len));
    assert_int_equal(len, 0);
}

static void slices_are_equal_by_content(void **state)
{
    (void)state;
    char a[] = "abc";
    assert_true(slice_eq(slice_str(a), slice_of("abcd", 3)));
    assert_false(slice_eq(slice_str(a), slice_str("abd")));
    assert_false(slice_eq(slice_str(a), slice_str("ab")));
    assert_true(slice_eq(slice_of(NULL, 0), slice_str("")));
}

static void no_read_goes_past_the_end(void **state)
{
    (void)state;
    static const uint8_t bytes[8] = {0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff};
    static const size_t sizes[] = {1, 2, 4, 8};
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        for (size_t len = 0; len < sizes[k]; len++) {
            struct slice s = exact(bytes, len);
            struct reader r = reader_of(s);
            uint64_t v = k == 0   ? reader_u8(&r)
                         : k == 1 ? reader_u16(&r)
                         : k == 2 ? reader_u32(&r)
                                  : reader_u64(&r);
            assert_int_equal(v, 0);
            assert_true(r.bad);
            assert_false(reader_done(&r));
            drop(s);
        }
    }
}

static void a_length_near_the_top_does_not_wrap(void **state)
{
    (void)state;
    struct slice s = exact("abcd", 4);
    struct reader r = reader_of(s);
    struct slice got = reader_bytes(&r, SIZE_MAX);
    assert_null(got.data);
    assert_int_equal(got.len, 0);
    assert_true(r.bad);
    drop(s);
}

static void bad_stays_bad(void **state)
{
    (void)state;
    struct slice s = exact("\x01\x02\x03", 3);
    struct reader r = reader_of(s);
    assert_int_equal(reader_u32(&r), 0);
    /* Three bytes are left, yet nothing comes any more. */
    assert_int_equal(reader_left(&r), 3);
    assert_int_equal(reader_u8(&r), 0);
    assert_int_equal(reader_u16(&r), 0);
    assert_int_equal(reader_varint(&r), 0);
    assert_int_equal(reader_bytes(&r, 1).len, 0);
    assert_true(r.bad);
    assert_false(reader_done(&r));
    drop(s);
}

static void what_is_left_over_is_not_done(void **state)
{
    (void)state;
    struct reader r = reader_of(slice_str("abc"));
    struct slice two = reader_bytes(&r, 2);
    assert_memory_equal(two.data, "ab", 2);
    assert_false(reader_done(&r));
    assert_int_equal(reader_bytes(&r, 0).len, 0);
    assert_int_equal(reader_u8(&r), 'c');
    assert_true(reader_done(&r));
    /* Nothing may be read at the end: that is no fault. */
    assert_int_equal(reader_bytes(&r, 0).len, 0);
    assert_true(reader_done(&r));
}

static void varints_come_back_at_every_length(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        size_t len;
    } rows[] = {
        {0, 1},
        {1, 1},
        {127, 1},
        {128, 2},
        {300, 2},
        {16383, 2},
        {16384, 3},
        {UINT32_MAX, 5},
        {UINT64_C(1) << 56, 9},
        {UINT64_C(1) << 63, 10},
        {UINT64_MAX, 10},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = BUF_INIT;
        buf_put_varint(&b, rows[i].value);
        assert_int_equal(b.len, rows[i].len);
        struct reader r = reader_of(buf_slice(&b));
        assert_true(reader_varint(&r) == rows[i].value);
        assert_true(reader_done(&r));
        for (size_t cut = 0; cut < b.len; cut++) {
            struct slice s = exact(b.data, cut);
            r = reader_of(s);
            assert_int_equal(reader_varint(&r), 0);
            assert_true(r.bad);
            drop(s);
        }
        buf_fini(&b);
    }
}

static void varints_past_64_bits_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reader r = reader_of(slice_str(rows[i]));
        assert_int_equal(reader_varint(&r), 0);
        assert_true(r.bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian_and_come_back),
        cmocka_unit_test(buffer_grows_and_keeps_its_content),
        cmocka_unit_test(nothing_put_is_nothing_stored),
        cmocka_unit_test(formatted_text_is_whole),
        cmocka_unit_test(stolen_bytes_leave_an_empty_buffer),
        cmocka_unit_test(slices_are_equal_by_content),
        cmocka_unit_test(no_read_goes_past_the_end),
        cmocka_unit_test(a_length_near_the_top_does_not_wrap),
        cmocka_unit_test(bad_stays_bad),
        cmocka_unit_test(what_is_left_over_is_not_done),
        cmocka_unit_test(varints_come_back_at_every_length),
        cmocka_unit_test(varints_past_64_bits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
