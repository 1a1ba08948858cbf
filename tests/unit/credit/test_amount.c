#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credit/amount.h"

static void reads_ten_thousands_exactly(void **state)
{
    static const struct {
        const char *text;
        int64_t fen;
    } cases[] = {
        {"0", 0},
        {"1", 1000000},
        {"0.000001", 1},
        {"0.5", 500000},
        {"12.345678", 12345678},
        {"1,234.56", 1234560000},
        {"1234567", 1234567000000},
        {"1,234,567", 1234567000000},
        {"2,000(万人民币元)", 2000000000},
        {"2（万元）", 2000000},
        {"3万元", 3000000},
        {"9223372036854.775807", INT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t fen = -1;
        assert_true(amount_parse_wan(slice_str(cases[i].text), &fen));
        assert_int_equal(fen, cases[i].fen);
    }
}

static void refuses_what_is_not_an_amount(void **state)
{
    static const char *const texts[] = {"",
                                        "-1",
                                        "+1",
                                        "1.",
                                        ".5",
                                        "1.2345678",
                                        "1e3",
                                        "1,23",
                                        ",123",
                                        "1234,567",
                                        "1,2345",
                                        "1.2,345",
                                        "1 000",
                                        "贰万",
                                        "万元",
                                        "5元",
                                        "暂无",
                                        "1..2",
                                        "0x10",
                                        "NaN",
                                        "1.5.2",
                                        "9223372036854.775808",
                                        "99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t fen;
        if (amount_parse_wan(slice_str(texts[i]), &fen)) {
            fail_msg("\"%s\" was taken as %lld fen", texts[i], (long long)fen);
        }
    }
}

static void formats_yuan(void **state)
{
    struct buf out = BUF_INIT;
    (void)state;
    amount_format_yuan(123456, &out);
    assert_string_equal(buf_cstr(&out), "1234.56");
    buf_clear(&out);
    amount_format_yuan(5, &out);
    assert_string_equal(buf_cstr(&out), "0.05");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_ten_thousands_exactly),
        cmocka_unit_test(refuses_what_is_not_an_amount),
        cmocka_unit_test(formats_yuan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
