#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ident/ident.h"

static void codes_are_twelve_digits(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "34182110020",
                                      "3418211002011",
                                      "34182110020a",
                                      "+34182110020",
                                      " 34182110020",
                                      "34182110020\n"};
    uint64_t code;
    char text[CODE_LEN + 1];
    assert_true(code_parse("000000000001", &code));
    assert_int_equal(code, 1);
    code_format(code, text);
    assert_string_equal(text, "000000000001");
    assert_true(code_parse("341821100201", &code));
    code_format(code, text);
    assert_string_equal(text, "341821100201");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(code_parse(bad[i], &code));
    }
}

static void tiers_have_names(void **state)
{
    (void)state;
    enum tier tier;
    assert_true(tier_parse("township", &tier));
    assert_int_equal(tier, TIER_TOWNSHIP);
    assert_string_equal(tier_name(TIER_VILLAGE), "village");
    assert_string_equal(tier_name_zh(TIER_VILLAGE), "村");
    assert_string_equal(tier_name(TIER_NONE), "none");
    assert_false(tier_parse("none", &tier));
    assert_false(tier_parse("Village", &tier));
}

static void names_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum principal_kind kind;
        enum tier tier;
        uint64_t code;
        const char *name;
    } cases[] = {
        {"spiffe://demo.credit/city/341800000000", PRINCIPAL_NODE, TIER_CITY,
         341800000000, ""},
        {"spiffe://a/national/000000000000", PRINCIPAL_NODE, TIER_NATIONAL, 0,
         ""},
        {"spiffe://demo.credit/app/Hall-7", PRINCIPAL_APP, TIER_NONE, 0,
         "Hall-7"},
        {"spiffe://demo.credit/operator/wang_1", PRINCIPAL_OPERATOR, TIER_NONE,
         0, "wang_1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct principal p;
        char text[160];
        assert_int_equal(principal_parse(cases[i].text, &p), ERR_OK);
        assert_int_equal(p.kind, cases[i].kind);
        assert_int_equal(p.tier, cases[i].tier);
        assert_int_equal(p.code, cases[i].code);
        assert_string_equal(p.name, cases[i].name);
        principal_format(&p, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

static void malformed_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "spiffe://",
        "spiffe:///city/341800000000",
        "spiffe://demo",
        "spiffe://demo/",
        "spiffe://demo/city",
        "spiffe://demo/city/",
        "spiffe://demo/city/341800000000/",
        "spiffe://demo/city/341800000000/x",
        "spiffe://demo/city/34180000000",
        "spiffe://demo/city//341800000000",
        "spiffe://demo/none/341800000000",
        "spiffe://demo/hamlet/341800000000",
        "spiffe://Demo/city/341800000000",
        "spiffe://demo:443/city/341800000000",
        "spiffe://user@demo/city/341800000000",
        "spiffe://demo/city/341800000000?x",
        "spiffe://demo/city/341800000000#x",
        "SPIFFE://demo/city/341800000000",
        "https://demo/city/341800000000",
        "spiffe://demo/app/a b",
        "spiffe://demo/app/a%20b",
        "spiffe://demo/app/..",
        "spiffe://../city/341800000000",
        "spiffe://demo/app/"
        "a123456789b123456789c123456789d123456789e123456789f123456789g123",
        "spiffe://a123456789b123456789c123456789d123456789e123456789f123456789"
        "g123/app/x",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct principal p;
        assert_int_equal(principal_parse(bad[i], &p), ERR_INVALID);
        assert_int_equal(p.federation[0], 0);
    }
}

static void another_federation_is_named_in_the_refusal(void **state)
{
    (void)state;
    struct principal p;
    struct errmsg why = {{0}};
    assert_int_equal(principal_parse("spiffe://demo/city/341800000000", &p),
                     ERR_OK);
    assert_int_equal(principal_check_federation(&p, "demo", &why), ERR_OK);
    assert_int_equal(principal_check_federation(&p, "demo.b", &why),
                     ERR_UNAUTHENTICATED);
    assert_non_null(strstr(why.text, "spiffe://demo/city/341800000000"));
    assert_non_null(strstr(why.text, "demo.b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_twelve_digits),
        cmocka_unit_test(tiers_have_names),
        cmocka_unit_test(names_round_trip),
        cmocka_unit_test(malformed_names_are_refused),
        cmocka_unit_test(another_federation_is_named_in_the_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
