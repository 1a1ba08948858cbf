#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ingest/csv.h"

/* Rows as "line|cell|cell;", bad ones as "line!rule;". */
static struct buf seen = BUF_INIT;
static enum err answer;

static enum err on_row(void *ctx, uint64_t line, const struct slice *cells,
                       size_t count)
{
    (void)ctx;
    buf_putf(&seen, "%u", (unsigned)line);
    for (size_t i = 0; i < count; i++) {
        buf_putf(&seen, "|%.*s", (int)(cells[i].len < 20 ? cells[i].len : 20),
                 cells[i].data);
    }
    buf_put_str(&seen, ";");
    return answer;
}

static enum err on_bad(void *ctx, uint64_t line, const char *rule)
{
    (void)ctx;
    buf_putf(&seen, "%u!%s;", (unsigned)line, rule);
    return answer;
}

static const char *read_in(struct slice text, size_t step)
{
    struct csv_reader *r;
    enum err err = ERR_OK;
    buf_clear(&seen);
    csv_reader_new(&r, on_row, on_bad, NULL);
    for (size_t at = 0; err == ERR_OK && at < text.len; at += step) {
        size_t n = text.len - at < step ? text.len - at : step;
        err = csv_reader_feed(r, slice_of(text.data + at, n), NULL);
    }
    err = err == ERR_OK ? csv_reader_finish(r, NULL) : err;
    csv_reader_free(&r);
    assert_int_equal(err, answer);
    return buf_cstr(&seen);
}

static void rows_are_the_same_however_they_arrive(void **state)
{
    static const struct {
        const char *text;
        const char *rows;
    } cases[] = {
        {"", ""},
        {"a,b\nc,d\n", "1|a|b;2|c|d;"},
        {"a,b\r\nc,d", "1|a|b;2|c|d;"},
        {"a,\n\n,,\nb", "1|a|;4|b;"},
        {"\xef\xbb\xbf样,例\n", "1|样|例;"},
        {"\xef\xbb\xbf\"样\",例\n", "1|样|例;"},
        {"\"a,\"\"b\"\"\",c\n", "1|a,\"b\"|c;"},
        {"\"a\nb\",c\nd\n", "1|a\nb|c;3|d;"},
        {"\"a\r\n\r\nb\",c\r\nd", "1|a\r\n\r\nb|c;4|d;"},
        {" a , b \n", "1|a|b;"},
        /* A quote too many costs its own line. */
        {"a,b\nc\"d,e\nf,g\n", "1|a|b;2!csv-form;3|f|g;"},
        {"a,b\n\"c,d\ne,f\ng,h\n", "1|a|b;2!csv-form;3|e|f;4|g|h;"},
        {"a\n\"c\nd\"x\ne", "1|a;2!csv-form;3!csv-form;4|e;"},
        {"\"a", "1!csv-form;"},
        {"\xd0\xfb,\xb3\xc7\n\xca\xd0\n", "1|宣|城;2|市;"},
        {"宣,城\n\xff,x\n市\n样例样例样例\n",
         "1|宣|城;2!encoding;3|市;4|样例样例样例;"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step < 8; step++) {
            const char *rows = read_in(slice_str(cases[i].text), step);
            if (strcmp(rows, cases[i].rows) != 0) {
                fail_msg("case %zu by %zu: %s", i, step, rows);
            }
        }
    }
}

/* Rows without quotes are cut by commas alone, all others by libcsv. */
static void plain_rows_are_read_as_libcsv_reads_them(void **state)
{
    static const char alphabet[] = "ab,, \t\xe6\x95\xb0";
    struct buf plain = BUF_INIT;
    struct buf quoted = BUF_INIT;
    struct buf expected = BUF_INIT;
    uint32_t random = 1;
    (void)state;
    for (unsigned n = 0; n < 4000; n++) {
        buf_clear(&plain);
        for (random = random * 1103515245 + 12345; random >> 29 > 0;
             random = random * 1103515245 + 12345) {
            unsigned i = (random >> 16) % 7;
            buf_put(&plain, alphabet + i, i == 6 ? 3 : 1);
        }
        buf_clear(&quoted);
        buf_put_str(&quoted, "\"q\",");
        buf_put_slice(&quoted, buf_slice(&plain));
        buf_clear(&expected);
        buf_put_str(&expected, read_in(buf_slice(&quoted), 100));
        buf_clear(&quoted);
        buf_put_str(&quoted, "q,");
        buf_put_slice(&quoted, buf_slice(&plain));
        const char *rows = read_in(buf_slice(&quoted), 100);
        if (strcmp(rows, buf_cstr(&expected)) != 0) {
            fail_msg("%s: %s", buf_cstr(&quoted), rows);
        }
    }
    buf_fini(&plain);
    buf_fini(&quoted);
    buf_fini(&expected);
}

static void nul_is_a_malformed_character(void **state)
{
    (void)state;
    assert_string_equal(read_in(slice_of("a\nb\0c\nd\n", 8), 3),
                        "1|a;2!encoding;3|d;");
}

static void callbacks_can_end_the_file(void **state)
{
    (void)state;
    answer = ERR_NO_SPACE;
    assert_string_equal(read_in(slice_str("a\nb\nc\n"), 6), "1|a;");
    assert_string_equal(read_in(slice_str("\"a\nb\nc\n"), 6), "1!csv-form;");
    answer = ERR_OK;
}

static void fill(struct buf *out, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_put_str(out, text);
    }
}

static void too_large_parts_cost_their_row_only(void **state)
{
    static const struct {
        const char *part;
        size_t count;
        const char *first;
    } cases[] = {
        {"x", CSV_CELL_MAX + 1, "1!cell-too-long;"},
        {"x", CSV_ROW_MAX + 1, "1!row-too-long;"},
        {"x", 3 * CSV_ROW_MAX, "1!row-too-long;"},
        {"x,", CSV_COLUMNS_MAX, "1!too-many-columns;"},
    };
    struct buf text = BUF_INIT;
    struct buf expected = BUF_INIT;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&text);
        buf_clear(&expected);
        fill(&text, cases[i].part, cases[i].count);
        buf_put_str(&text, "\na,b\n");
        buf_putf(&expected, "%s2|a|b;", cases[i].first);
        assert_string_equal(read_in(buf_slice(&text), 50000),
                            buf_cstr(&expected));
        assert_string_equal(read_in(buf_slice(&text), text.len),
                            buf_cstr(&expected));
    }
    buf_fini(&text);
    buf_fini(&expected);
}

static void a_lost_quote_in_a_large_file_loses_one_line(void **state)
{
    struct buf text = BUF_INIT;
    (void)state;
    buf_put_str(&text, "a,b\n\"c,d\n");
    fill(&text, "e,f\n", 200000);
    const char *rows = read_in(buf_slice(&text), 30000);
    assert_memory_equal(rows, "1|a|b;2!csv-form;3|e|f;4|e|f;", 28);
    assert_non_null(strstr(rows, ";200002|e|f;"));
    buf_fini(&text);
}

static void the_largest_cell_is_taken(void **state)
{
    struct buf text = BUF_INIT;
    (void)state;
    fill(&text, "x", CSV_CELL_MAX);
    buf_put_str(&text, ",y\n");
    assert_string_equal(read_in(buf_slice(&text), 1000),
                        "1|xxxxxxxxxxxxxxxxxxxx|y;");
    buf_fini(&text);
}

static void utf16_is_refused(void **state)
{
    struct csv_reader *r;
    struct errmsg why = {""};
    (void)state;
    csv_reader_new(&r, on_row, on_bad, NULL);
    assert_int_equal(csv_reader_feed(r, slice_of("\xff\xfe\x58\x00", 4), &why),
                     ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "UTF-16"));
    csv_reader_free(&r);
}

static int done(void **state)
{
    (void)state;
    buf_fini(&seen);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_same_however_they_arrive),
        cmocka_unit_test(plain_rows_are_read_as_libcsv_reads_them),
        cmocka_unit_test(nul_is_a_malformed_character),
        cmocka_unit_test(callbacks_can_end_the_file),
        cmocka_unit_test(too_large_parts_cost_their_row_only),
        cmocka_unit_test(a_lost_quote_in_a_large_file_loses_one_line),
        cmocka_unit_test(the_largest_cell_is_taken),
        cmocka_unit_test(utf16_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
