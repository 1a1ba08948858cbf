/* Text forms: strict both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

static void hex_is_lower_case_and_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[256];
    uint8_t back[256];
    char text[2 * 256 + 1];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    str_hex(bytes, sizeof bytes, text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102", 6);
    assert_string_equal(text + 508, "feff");
    assert_true(str_unhex(text, back, sizeof back));
    assert_memory_equal(back, bytes, sizeof bytes);
    assert_true(str_unhex("DEADbeef", back, 4));
    assert_memory_equal(back, "\xde\xad\xbe\xef", 4);
}

static void hex_of_other_length_or_digits_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",      "ab",      "abc",
        "abcde", "abcdef",  "ab g",
        "0xab",  "abc\x10", "\x11\x12\x13\x14",
        "ab`a",  "@abc",    "ab\xe1\xb0",
        "GHIJ",
    };
    uint8_t out[2];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_unhex(rows[i], out, 2)) {
            fail_msg("row %zu was taken", i);
        }
    }
}

/* RFC 4648, section 10. */
static void base64_gives_the_published_answers(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe\xfb\xff", "//77/w=="},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf text = BUF_INIT;
        struct buf back = BUF_INIT;
        str_base64(slice_str(rows[i][0]), &text);
        assert_string_equal(buf_cstr(&text), rows[i][1]);
        assert_true(str_unbase64(buf_slice(&text), &back));
        assert_true(slice_eq(buf_slice(&back), slice_str(rows[i][0])));
        buf_fini(&text);
        buf_fini(&back);
    }
}

static void base64_that_is_not_canonical_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "Z",    "Zg",   "Zg=",  "Zg===",    "=",        "====",
        "Z===", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\n",   "Zm9 ",
        " Zm9", "Zm-_", "Zg=A", "Zm9vZm9*", "Zm9vZ=9v", "Zm\x80v",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = BUF_INIT;
        if (str_unbase64(slice_str(rows[i]), &out)) {
            fail_msg("'%s' was taken", rows[i]);
        }
        buf_fini(&out);
    }
    struct buf out = BUF_INIT;
    assert_false(str_unbase64(slice_of("Zm\0v", 4), &out));
    buf_fini(&out);
}

static void numbers_are_digits_only(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"18446744073709551620", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x1", false, 0},
        {"1.0", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t v = 4711;
        assert_int_equal(str_u64(slice_str(rows[i].text), &v), rows[i].ok);
        /* A refused number leaves the target alone. */
        assert_true(v == (rows[i].ok ? rows[i].value : 4711));
    }
}

static void utf8_follows_rfc_3629(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool ok;
    } rows[] = {
        {"", 0, true},
        {"abc", 3, true},
        {"\x7f", 1, true},
        {"\xc2\x80", 2, true},
        {"\xdf\xbf", 2, true},
        {"\xe0\xa0\x80", 3, true},
        {"\xed\x9f\xbf", 3, true},     /* last before the surrogates */
        {"\xee\x80\x80", 3, true},     /* first behind them */
        {"\xef\xbf\xbf", 3, true},     /* U+FFFF */
        {"\xf0\x90\x80\x80", 4, true}, /* U+10000 */
        {"\xf4\x8f\xbf\xbf", 4, true}, /* U+10FFFF */
        {"\xe5\xae\xa3\xe5\x9f\x8e", 6, true},
        {"\0", 1, false}, /* NUL */
        {"a\0b", 3, false},
        {"\x80", 1, false}, /* continuation alone */
        {"\xbf", 1, false},
        {"\xc0\xaf", 2, false}, /* overlong '/' */
        {"\xc1\xbf", 2, false},
        {"\xe0\x80\xaf", 3, false}, /* overlong */
        {"\xe0\x9f\xbf", 3, false},
        {"\xf0\x8f\xbf\xbf", 4, false},
        {"\xed\xa0\x80", 3, false},     /* U+D800 */
        {"\xed\xbf\xbf", 3, false},     /* U+DFFF */
        {"\xf4\x90\x80\x80", 4, false}, /* U+110000 */
        {"\xf5\x80\x80\x80", 4, false},
        {"\xf8\x88\x80\x80\x80", 5, false},
        {"\xfe", 1, false},
        {"\xff", 1, false},
        {"\xc2", 1, false}, /* cut short */
        {"\xe5\xae", 2, false},
        {"\xf0\x90\x80", 3, false},
        {"\xc2\x41", 2, false}, /* bad continuation */
        {"\xe5\xae\xc0", 3, false},
        {"\xe5\x2e\xa3", 3, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t *copy = mem_dup(rows[i].bytes, rows[i].len);
        if (str_utf8_valid(slice_of(copy, rows[i].len)) != rows[i].ok) {
            fail_msg("row %zu", i);
        }
        mem_free(copy);
    }
}

/* Length of the character at `p` by the table of RFC 3629 §4, 0: none. */
static size_t char_len(const uint8_t *p, size_t left)
{
    static const struct {
        uint8_t first, last, low, high;
        size_t len;
    } rows[] = {
        {0x01, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (p[0] >= rows[i].first && p[0] <= rows[i].last &&
            rows[i].len <= left &&
            (rows[i].len == 1 ||
             (p[1] >= rows[i].low && p[1] <= rows[i].high))) {
            len = rows[i].len;
        }
    }
    for (size_t i = 2; i < len; i++) {
        len = p[i] >> 6 == 2 ? len : 0;
    }
    return len;
}

static bool chars_valid(const uint8_t *p, size_t len)
{
    size_t n = 1;
    for (size_t i = 0; n > 0 && i < len; i += n) {
        n = char_len(p + i, len - i);
    }
    return n > 0;
}

/* Several bytes are looked at together: any two of them may be bad. */
static void utf8_is_judged_alike_wherever_it_stands(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0x20, 0x7f, 0x80, 0x9f, 0xa0,
                                    0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
                                    0xec, 0xed, 0xee, 0xef, 0xf0, 0xf4, 0xff};
    static const char *const texts[] = {"宣城市宣州区", "abc城市def州",
                                        "abcdefghijklmnopq"};
    (void)state;
    for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
        size_t len = strlen(texts[t]);
        for (size_t at = 0; at < len * len; at++) {
            for (size_t b = 0; b < ARRAY_LEN(bytes) * ARRAY_LEN(bytes); b++) {
                uint8_t *copy = mem_dup(texts[t], len);
                copy[at / len] = bytes[b / ARRAY_LEN(bytes)];
                copy[at % len] = bytes[b % ARRAY_LEN(bytes)];
                if (str_utf8_valid(slice_of(copy, len)) !=
                    chars_valid(copy, len)) {
                    fail_msg("text %zu, places %zu, bytes %zu", t, at, b);
                }
                mem_free(copy);
            }
        }
    }
}

static void width_counts_columns_not_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        size_t width;
    } rows[] = {
        {"", 0, 0},
        {"village", 7, 7},
        {"宣城", 2, 4},
        {"宣城 ok", 5, 7},
        {"（一）", 3, 6}, /* full-width brackets */
        {"é", 1, 1},
        {"한국", 2, 4},
        {"\xf0\xa0\x80\x80", 1, 2}, /* U+20000, an ideograph */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(str_utf8_count(slice_str(rows[i].text)),
                         rows[i].count);
        assert_int_equal(str_width(rows[i].text), rows[i].width);
    }
    /* Bytes that are no UTF-8 take a column each and end. */
    assert_int_equal(str_width("\xff\xe5"), 2);
}

/* ---- harmless text ---- */

static const struct {
    const char *text;
    const char *tame;
} rows_of_marks[] = {
    {"a\x1b[31mb", "a?[31mb"},
    {"a\xc2\x9b"
     "1mb",
     "a?1mb"}, /* U+009B is ESC [ */
    {"\r\n\t\x7f", "????"},
    {"a\xe2\x80\xae"
     "b\xe2\x80\x8f"
     "c\xe2\x81\xa6"
     "d\xd8\x9c",
     "a?b?c?d?"}, /* directions */
    {"a\xe2\x80\xa8"
     "b\xe2\x80\xa9",
     "a?b?"},                         /* ends of lines */
    {"\xd6\xd0\xff", "???"},          /* GBK */
    {"\xe5\xae\xa3\xe5\xae", "宣??"}, /* cut within a character */
    {"\xed\xa0\x80", "???"},          /* a surrogate */
};

static void what_a_terminal_acts_on_is_tamed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows_of_marks); i++) {
        struct slice text = slice_str(rows_of_marks[i].text);
        char *copy = mem_dup(text.data, text.len + 1);
        assert_false(str_is_plain(text));
        copy[str_tame(copy, text.len)] = 0;
        assert_string_equal(copy, rows_of_marks[i].tame);
        assert_true(str_is_plain(slice_str(copy)));
        mem_free(copy);
    }
    char nul[] = {'a', 0, 'b'};
    assert_false(str_is_plain(slice_of(nul, sizeof nul)));
    assert_int_equal(str_tame(nul, sizeof nul), sizeof nul);
    assert_memory_equal(nul, "a?b", sizeof nul);
}

static void all_other_text_stays_as_it_is(void **state)
{
    (void)state;
    static const char text[] = "宣城 “ok” — … ～ é 한국 \xf0\xa0\x80\x80 \"'";
    char copy[sizeof text];
    memcpy(copy, text, sizeof text);
    assert_true(str_is_plain(slice_str(text)));
    assert_int_equal(str_tame(copy, sizeof text - 1), sizeof text - 1);
    assert_string_equal(copy, text);
    assert_true(str_is_plain(slice_of(NULL, 0)));
    assert_int_equal(str_tame(copy, 0), 0);
}

static void a_value_does_not_end_its_quotes(void **state)
{
    (void)state;
    char out[16];
    str_quotable(slice_str("x\" y=\"z\n"), out, sizeof out);
    assert_string_equal(out, "x' y='z?");
    str_quotable(slice_str("aaaaaaaaaaaaa宣城"), out, sizeof out);
    assert_string_equal(out, "aaaaaaaaaaaaa??"); /* half of one is no UTF-8 */
    str_quotable(slice_of(NULL, 0), out, sizeof out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_is_lower_case_and_comes_back),
        cmocka_unit_test(hex_of_other_length_or_digits_is_refused),
        cmocka_unit_test(base64_gives_the_published_answers),
        cmocka_unit_test(base64_that_is_not_canonical_is_refused),
        cmocka_unit_test(numbers_are_digits_only),
        cmocka_unit_test(utf8_follows_rfc_3629),
        cmocka_unit_test(utf8_is_judged_alike_wherever_it_stands),
        cmocka_unit_test(width_counts_columns_not_bytes),
        cmocka_unit_test(what_a_terminal_acts_on_is_tamed),
        cmocka_unit_test(all_other_text_stays_as_it_is),
        cmocka_unit_test(a_value_does_not_end_its_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
