#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ingest/subjects.h"

#define A "913400001000000167"
#define B "91340000100000032W"

/* A in full width, in UTF-8 and in GB18030. */
#define WIDE_A "９１３４００００１００００００１６７"
#define GB_A                                                                   \
    "\xa3\xb9\xa3\xb1\xa3\xb3\xa3\xb4\xa3\xb0\xa3\xb0\xa3\xb0\xa3\xb0\xa3\xb1" \
    "\xa3\xb0\xa3\xb0\xa3\xb0\xa3\xb0\xa3\xb0\xa3\xb0\xa3\xb1\xa3\xb6\xa3\xb7"

/* Codes as "line=code;", the others as "line!rule(text);". */
static struct buf seen = BUF_INIT;
static enum err answer;

static enum err on_code(void *ctx, uint64_t line, const char *code)
{
    (void)ctx;
    buf_putf(&seen, "%u=%s;", (unsigned)line, code);
    return answer;
}

static enum err on_bad(void *ctx, uint64_t line, struct slice text,
                       const char *rule)
{
    (void)ctx;
    assert_true(subjects_text(rule)[0] != 0);
    assert_true(subjects_text_zh(rule)[0] != 0);
    buf_putf(&seen, "%u!%s(%.*s);", (unsigned)line, rule, (int)text.len,
             text.data);
    return answer;
}

static struct subjects_counts counts;

static const char *read_in(struct slice text)
{
    const struct subjects_sink sink = {on_code, on_bad, NULL};
    struct errmsg why = {""};
    buf_clear(&seen);
    assert_int_equal(subjects_read(text, &sink, &counts, &why), answer);
    return buf_cstr(&seen);
}

static void every_list_of_an_office_is_read(void **state)
{
    static const struct {
        const char *text;
        const char *seen;
    } cases[] = {
        {"", ""},
        {A "\n" B "\n", "1=" A ";2=" B ";"},
        {A "\r\n\r\n  \r\n" B, "1=" A ";4=" B ";"},
        {A "\r" B "\r", "1=" A ";2=" B ";"},
        {"统一社会信用代码\n" A "\n", "2=" A ";"},
        {"\xef\xbb\xbf" A "\n\xef\xbb\xbf" B, "1=" A ";2=" B ";"},
        {"91340000 10000003-2w\n", "1=" B ";"},
        {"\xe3\x80\x80" A "\xc2\xa0\n'" B "\n", "1=" A ";2=" B ";"},
        {"\"=\"\"" A "\"\"\",x\n=\"" B "\"\n", "1=" A ";2=" B ";"},
        /* any column, any order, any mark; headings wherever they stand */
        {"序号,名称,统一社会信用代码\n1,甲," A "\n统一社会信用代码;名称\n" B
         ";乙\n",
         "2=" A ";4=" B ";"},
        {"XX项目投标人,,\n2026年,,\n名称\t信用代码\n甲\t" A "\n", "4=" A ";"},
        {"\xbc\xd7," A "\n乙," B "\n\xb1\xfb,\xb6\xa1\n",
         "1=" A ";2=" B ";3!no-code(\xb1\xfb,\xb6\xa1);"},
        /* a name may have as many letters as a code has characters */
        {"International Trade," A "\n", "1=" A ";"},
        {"Collusive Practice\n", "1!no-code(Collusive Practice);"},
        /* all codes of a row, and lines in quotes */
        {"甲," A ",联合体 " A "," B "\n", "1=" A ";1=" A ";1=" B ";"},
        {"\"甲,\n乙 \"\"丙\"\"\"," A "\n" B "\n", "1=" A ";3=" B ";"},
        {"\"甲\" 公司," A "\n\"乙\n" B "\n", "1=" A ";2!no-code(乙);3=" B ";"},
        /* in full width, beside the code of an agent */
        {WIDE_A "," B "\n", "1=" A ";1=" B ";"},
        {GB_A "," B "\n", "1=" A ";1=" B ";"},
        {"9134\xe2\x80\x8b"
         "00001000000167\t甲\n",
         "1=" A ";"},
        /* within a cell that holds more */
        {"甲（" A "）、乙（" B "）," B "\n", "1=" A ";1=" B ";1=" B ";"},
        {"单位：甲,统一社会信用代码：91340000100000032w\n", "1=" B ";"},
        {"\xcd\xb3\xd2\xbb" A "\xa3\xac" GB_A "\n", "1=" A ";1=" A ";"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(read_in(slice_str(cases[i].text)), cases[i].seen);
    }
}

static void who_is_not_found_does_not_look_unlisted(void **state)
{
    static const struct {
        const char *text;
        const char *seen;
    } cases[] = {
        {"甲公司\n", "1!no-code(甲公司);"},
        {A "\n信用代码公司\n", "1=" A ";2!no-code(信用代码公司);"},
        {"甲公司,宣城,1390000\n" A "\n",
         "1!no-code(甲公司,宣城,1390000);2=" A ";"},
        {"913400001000000168\n", "1!uscc-check(913400001000000168);"},
        {"甲,9134OOOO1000000167\n", "1!uscc-alphabet(9134OOOO1000000167);"},
        {"甲,91340000100000016\n", "1!uscc-length(91340000100000016);"},
        {"甲,9.134E+17\n", "1!code-as-number(9.134E+17);"},
        /* one of a consortium is mistyped */
        {A ",913400001000000168\n",
         "1=" A ";1!uscc-check(913400001000000168);"},
        /* a title is passed over, but no row that may have a code */
        {"913400001000000\n名称,信用代码\n", "1!uscc-length(913400001000000);"},
        {A "９1" A "\n", "1!no-code(" A "９1" A ");"},
        {"甲" A "7\n", "1!no-code(甲" A "7);"},
        {"９１３４００００１０００００１６\n",
         "1!uscc-length(９１３４００００１０００００１６);"},
        /* a digit is missing, in a column that says what it should be */
        {"投标人信用代码,开户账号,代理机构信用代码\n91340000100000016,"
         "6222020200112233," A "\n",
         "2!uscc-length(91340000100000016);2=" A ";"},
        {"信用代码,账号\n" A ",1\n名称,账号,信用代码\n6222020200112233,1," A
         "\n",
         "2=" A ";4=" A ";"},
        /* a person's number beside a code is none, alone it is no code */
        {A ",11010519491231002X\n", "1=" A ";"},
        {"11010519491231002X\n", "1!no-code(11010519491231002X);"},
        {"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nuscc\n",
         "1!no-code(a);2!no-code(b);3!no-code(c);4!no-code(d);5!no-code(e);"
         "6!no-code(f);7!no-code(g);8!no-code(h);9!no-code(i);10!no-code(j);"
         "11!no-code(k);12!no-code(uscc);"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(read_in(slice_str(cases[i].text)), cases[i].seen);
    }
}

static void lines_and_headings_are_counted(void **state)
{
    (void)state;
    (void)read_in(slice_str("名单\n\n名称,信用代码\n\"甲\n乙\"," A "\n\n名称,"
                            "信用代码\n丙," B));
    assert_int_equal(counts.lines, 8);
    assert_int_equal(counts.passed, 3);
    (void)read_in(slice_str(A "\n"));
    assert_int_equal(counts.lines, 1);
    assert_int_equal(counts.passed, 0);
}

static void what_is_no_text_is_refused(void **state)
{
    static const char wide[] = "\xff\xfe"
                               "9\0001\0003\0\n";
    const struct subjects_sink sink = {on_code, on_bad, NULL};
    struct errmsg why = {""};
    (void)state;
    buf_clear(&seen);
    assert_int_equal(
        subjects_read(slice_of(wide, sizeof wide - 1), &sink, &counts, &why),
        ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "CSV"));
    assert_int_equal(seen.len, 0);
}

static void an_error_of_the_caller_ends_it(void **state)
{
    (void)state;
    answer = ERR_CANCELLED;
    assert_string_equal(read_in(slice_str("x\n" A "\n")), "1!no-code(x);");
    assert_string_equal(read_in(slice_str(A "," B "\n")), "1=" A ";");
    answer = ERR_OK;
}

static int fini(void **state)
{
    (void)state;
    buf_fini(&seen);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_list_of_an_office_is_read),
        cmocka_unit_test(who_is_not_found_does_not_look_unlisted),
        cmocka_unit_test(lines_and_headings_are_counted),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(an_error_of_the_caller_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, fini);
}
