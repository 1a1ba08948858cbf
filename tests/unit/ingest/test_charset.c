#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ingest/charset.h"

#define GB_SAMPLE "\xd0\xfb\xb3\xc7\xca\xd0\xd1\xf9\xc0\xfd" /* 宣城市样例 */

static void detects_by_mark(void **state)
{
    static const struct {
        const char *start;
        enum charset charset;
        size_t bom;
    } cases[] = {
        {"\xef\xbb\xbfXK", CHARSET_UTF8, 3},
        {"\x84\x31\x95\x33XK", CHARSET_GB18030, 4},
        {"\xff\xfeX", CHARSET_UTF16, 2},
        {"\xfe\xff\x01X", CHARSET_UTF16, 2},
        {"XK_WSH", CHARSET_ASCII, 0},
        {"", CHARSET_ASCII, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t bom = 9;
        assert_int_equal(charset_by_bom(slice_str(cases[i].start), &bom),
                         cases[i].charset);
        assert_int_equal(bom, cases[i].bom);
    }
}

static void detects_by_content(void **state)
{
    static const struct {
        const char *text;
        enum charset charset;
    } cases[] = {
        {"", CHARSET_ASCII},
        {"XK_WSH,XK_NR\n", CHARSET_ASCII},
        {"宣城市样例", CHARSET_UTF8},
        {"宣城市样\xe4\xbe", CHARSET_UTF8},         /* cut at the end */
        {"宣城市样例\xff宣城市样例", CHARSET_UTF8}, /* one bad byte */
        {GB_SAMPLE, CHARSET_GB18030},
        {"XK_NR\n" GB_SAMPLE, CHARSET_GB18030},
        {"a\xd0", CHARSET_GB18030},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (charset_detect(slice_str(cases[i].text)) != cases[i].charset) {
            fail_msg("case %zu", i);
        }
    }
}

static enum err convert(enum charset charset, struct slice raw,
                        struct buf *copy)
{
    struct charset_converter *c = NULL;
    struct slice out;
    assert_int_equal(charset_open(&c, charset, NULL), ERR_OK);
    enum err err = charset_to_utf8(c, raw, &out);
    buf_clear(copy);
    if (err == ERR_OK) {
        buf_put_slice(copy, out);
    }
    charset_close(&c);
    return err;
}

static void converts_gb18030(void **state)
{
    struct buf out = BUF_INIT;
    (void)state;
    assert_int_equal(convert(CHARSET_GB18030, slice_str(GB_SAMPLE), &out),
                     ERR_OK);
    assert_string_equal(buf_cstr(&out), "宣城市样例");
    /* Four bytes: U+21413, a character of village names. */
    assert_int_equal(
        convert(CHARSET_GB18030, slice_str("x\x95\x36\x8c\x35y"), &out),
        ERR_OK);
    assert_string_equal(buf_cstr(&out), "x\xf0\xa1\x90\x93y");
    assert_int_equal(convert(CHARSET_GB18030, slice_str("ascii"), &out),
                     ERR_OK);
    assert_string_equal(buf_cstr(&out), "ascii");
    buf_fini(&out);
}

static void refuses_malformed_characters(void **state)
{
    struct buf out = BUF_INIT;
    (void)state;
    assert_int_equal(convert(CHARSET_GB18030, slice_str("a\xd0"), &out),
                     ERR_INVALID);
    assert_int_equal(convert(CHARSET_GB18030, slice_str("\xd0 x"), &out),
                     ERR_INVALID);
    assert_int_equal(convert(CHARSET_GB18030, slice_str("\xff\xff"), &out),
                     ERR_INVALID);
    assert_int_equal(convert(CHARSET_GB18030, slice_of("a\0b", 3), &out),
                     ERR_INVALID);
    assert_int_equal(convert(CHARSET_UTF8, slice_str("样\xe4\xbe"), &out),
                     ERR_INVALID);
    assert_int_equal(convert(CHARSET_UTF8, slice_of("a\0b", 3), &out),
                     ERR_INVALID);
    buf_fini(&out);
}

static void utf16_is_named_and_refused(void **state)
{
    struct charset_converter *c = NULL;
    struct errmsg why;
    (void)state;
    assert_int_equal(charset_open(&c, CHARSET_UTF16, &why), ERR_UNSUPPORTED);
    assert_null(c);
    charset_close(&c);
    assert_string_equal(charset_name(CHARSET_GB18030), "GB18030");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(detects_by_mark),
        cmocka_unit_test(detects_by_content),
        cmocka_unit_test(converts_gb18030),
        cmocka_unit_test(refuses_malformed_characters),
        cmocka_unit_test(utf16_is_named_and_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
