/* Texts of others in answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/json.h"
#include "base/mem.h"

#define BAD "\xef\xbf\xbd"

static void a_text_is_always_a_value(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"泾县 é \xf0\x9f\x98\x80", "泾县 é \xf0\x9f\x98\x80"},
        {"thirty letters and a half: \xe6\xb3",
         "thirty letters and a half: " BAD},
        {"\xb3\xb3 lost its lead", BAD " lost its lead"},
        {"one\xffmore", "one" BAD "more"},
        {"\xc0\xaf", BAD},         /* overlong */
        {"\xed\xa0\x80", BAD},     /* a surrogate */
        {"\xf4\x90\x80\x80", BAD}, /* past the last */
        {"\xe6泾", BAD "泾"},
        {"\xb8\xdf\xcf\xd8 in GBK", BAD BAD BAD BAD " in GBK"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *v = json_text(rows[i].text);
        assert_true(json_is_string(v));
        assert_string_equal(json_string_value(v), rows[i].shown);
        json_decref(v);
        /* Whatever it says, the answer around it stays. */
        json_t *o = json_pack("{s:o}", "text", json_text(rows[i].text));
        assert_non_null(o);
        assert_true(json_dumpb(o, NULL, 0, JSON_COMPACT) > 0);
        json_decref(o);
    }
}

static void a_text_may_hold_nothing_or_zeros(void **state)
{
    (void)state;
    json_t *v = json_text_of(slice_of(NULL, 0));
    assert_string_equal(json_string_value(v), "");
    json_decref(v);
    v = json_text_of(slice_of("a\0b", 3));
    assert_string_equal(json_string_value(v), "a" BAD "b");
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_always_a_value),
        cmocka_unit_test(a_text_may_hold_nothing_or_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
