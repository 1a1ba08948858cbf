#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credit/uscc.h"
#include "measure.h"
#include "run/rows.h"

enum { SUBJECTS = 500, ROWS = 4 * SUBJECTS };

static size_t count_char(const char *text, char c)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += *text == c;
    }
    return n;
}

static void a_row_depends_on_its_number_only(void **state)
{
    (void)state;
    struct bench_row a;
    struct bench_row b;
    bench_row_make(7, SUBJECTS, &a);
    bench_row_make(8, SUBJECTS, &b);
    assert_string_not_equal(a.csv, b.csv);
    bench_row_make(7, SUBJECTS, &b);
    assert_string_equal(a.csv, b.csv);
    assert_memory_equal(a.id, b.id, sizeof a.id);
}

static void rows_have_the_columns_and_the_size_promised(void **state)
{
    (void)state;
    size_t bytes = 0;
    for (uint64_t n = 1; n <= ROWS; n++) {
        struct bench_row row;
        bench_row_make(n, SUBJECTS, &row);
        assert_int_equal(strlen(row.csv), row.csv_len);
        assert_int_equal(count_char(row.csv, ','),
                         count_char(bench_csv_header, ','));
        assert_null(strpbrk(row.csv, "\"'\\\r\n"));
        bytes += row.csv_len;
    }
    assert_in_range(bytes / ROWS, 430, 470);
}

static void every_subject_has_four_rows_and_a_valid_code(void **state)
{
    (void)state;
    char codes[SUBJECTS][BENCH_CODE_LEN + 1];
    unsigned found[SUBJECTS] = {0};
    for (uint64_t i = 0; i < SUBJECTS; i++) {
        bench_subject_code(i, codes[i]);
        assert_int_equal(uscc_check(slice_str(codes[i])), USCC_OK);
    }
    for (uint64_t n = 1; n <= ROWS; n++) {
        struct bench_row row;
        bench_row_make(n, SUBJECTS, &row);
        for (size_t i = 0; i < SUBJECTS; i++) {
            found[i] += strcmp(codes[i], row.code) == 0;
        }
    }
    for (size_t i = 0; i < SUBJECTS; i++) {
        assert_int_equal(found[i], 4);
    }
}

static void offices_have_valid_codes(void **state)
{
    (void)state;
    struct bench_row row;
    for (uint64_t n = 1; n <= 50; n++) {
        bench_row_make(n, SUBJECTS, &row);
        const char *code = strstr(row.csv, ",11999900MB");
        assert_non_null(code);
        assert_int_equal(uscc_check(slice_of(code + 1, USCC_LEN)), USCC_OK);
    }
}

static void quantiles_take_the_nearest_rank(void **state)
{
    (void)state;
    double values[] = {5, 1, 4, 2, 3};
    assert_float_equal(bench_quantile(values, 5, 0.5), 3, 0);
    assert_float_equal(bench_quantile(values, 5, 0.99), 5, 0);
    assert_float_equal(bench_quantile(values, 5, 0), 1, 0);
    assert_float_equal(bench_quantile(values, 0, 0.5), 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_depends_on_its_number_only),
        cmocka_unit_test(rows_have_the_columns_and_the_size_promised),
        cmocka_unit_test(every_subject_has_four_rows_and_a_valid_code),
        cmocka_unit_test(offices_have_valid_codes),
        cmocka_unit_test(quantiles_take_the_nearest_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
