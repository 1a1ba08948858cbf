#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "credit/rules.h"

static struct rules_room room;

static const char *value(uint16_t item_id, enum column_set set,
                         uint16_t field_id, const char *raw, struct slice *out)
{
    const struct catalogue_item *item = catalogue_item(item_id);
    size_t place = catalogue_place(item, field_id);
    room.used = 0;
    return rules_value(&item->fields[place], set, slice_str(raw), &room, out);
}

static void values_are_brought_into_one_form(void **state)
{
    static const struct {
        uint16_t item;
        enum column_set set;
        uint16_t field;
        const char *raw;
        const char *kept;
    } cases[] = {
        {1, SET_2018, FIELD_NAME, "\u3000 样例公司\t", "样例公司"},
        {1, SET_2018, FIELD_NAME, "暂无", ""},
        {1, SET_2018, FIELD_REMARK, "\\N", ""},
        {1, SET_2018, FIELD_REMARK, " N/A ", ""},
        {1, SET_2018, FIELD_REMARK, "无锡", "无锡"},
        {1, SET_2018, FIELD_USCC, "91330203674737244w", "91330203674737244W"},
        {1, SET_2018, FIELD_ORG_CODE, "00296433-x", "00296433X"},
        {1, SET_2018, FIELD_TAX_NO, "ab 12", "AB12"},
        {1, SET_2018, FIELD_DOCUMENT_NO, "市场【2019】1号", "市场〔2019〕1号"},
        {1, SET_2018, FIELD_DOCUMENT_NO, "市场[2019] 1号", "市场〔2019〕1号"},
        {1, SET_2018, FIELD_DOCUMENT_NO, "市场（2019）1号", "市场〔2019〕1号"},
        {1, SET_2018, FIELD_DOCUMENT_NO, "市场〔2019〕1号", "市场〔2019〕1号"},
        {1, SET_2018, FIELD_DECIDED, "2018-7-27", "20180727"},
        {1, SET_2018, FIELD_DECIDED, "1900-1-1 0:00:00", ""},
        {1, SET_2018, FIELD_UNTIL, "长期", "99991231"},
        {1, SET_2018, FIELD_KIND, "普通许可", "普通"},
        {1, SET_2018, FIELD_STATUS, "1", "有效"},
        {1, SET_2016, FIELD_STATUS, "1", "撤销"},
        {1, SET_2018, FIELD_CATEGORY, "企业", "法人及非法人组织"},
        {1, SET_2018, FIELD_PERSON_ID, "99990019000101003x",
         "99990019000101003X"},
        {1, SET_2016, FIELD_DIVISION, "341800", "341800000000"},
        {2, SET_2018, FIELD_FINE, "1,234.5", "1234500000"},
        {2, SET_2018, FIELD_FINE, "暂无", ""},
        {2, SET_2018, FIELD_KIND, "没收违法所得，罚款", "罚款、没收违法所得"},
        {2, SET_2018, FIELD_KIND, "罚款;罚款", "罚款"},
        {2, SET_2018, FIELD_UNTIL, "无处罚期限", "99991231"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice out;
        const char *rule = value(cases[i].item, cases[i].set, cases[i].field,
                                 cases[i].raw, &out);
        if (rule != NULL || !slice_eq(out, slice_str(cases[i].kept))) {
            fail_msg("%s: %s, \"%.*s\"", cases[i].raw,
                     rule != NULL ? rule : "kept", (int)out.len, out.data);
        }
    }
}

static void each_rule_refuses_its_values(void **state)
{
    static const struct {
        uint16_t item;
        uint16_t field;
        const char *raw;
        const char *rule;
    } cases[] = {
        {1, FIELD_USCC, "91310000631295002H", "uscc-inner-check"},
        {1, FIELD_USCC, "914403001922038217", "uscc-check"},
        {1, FIELD_USCC, "9144030019220382160", "uscc-length"},
        {1, FIELD_USCC, "74218321-3", "uscc-length"},
        {1, FIELD_USCC, "113308******315672", "uscc-alphabet"},
        {1, FIELD_AUTHORITY_CODE, "00000000000000000X", "uscc-check"},
        {1, FIELD_ORG_CODE, "742183214", "orgcode-check"},
        {1, FIELD_TAX_NO, "税123", "code-form"},
        {1, FIELD_TAX_NO, "123456789012345678901234567890123", "too-long"},
        {1, FIELD_NAME, "a\001b", "control-character"},
        {1, FIELD_DOCUMENT_NO, "样\001", "control-character"},
        {1, FIELD_NAME, "a\177b", "control-character"},
        {1, FIELD_NAME, "a\xc2\x9b;mb", "control-character"},
        {1, FIELD_NAME, "“样”\u202e", "control-character"},
        {1, FIELD_NAME, "样\n\u2028", "control-character"},
        {1, FIELD_DOCUMENT_NO, "样\u200f1号", "control-character"},
        {1, FIELD_DECIDED, "201406", "date-form"},
        {1, FIELD_DECIDED, "长期", "date-form"},
        {1, FIELD_DECIDED, "2026-02-30", "date-form"},
        {1, FIELD_FROM, "9999-9-9", "date-form"},
        {1, FIELD_KIND, "随意", "enum"},
        {1, FIELD_STATUS, "0", "enum"},
        {1, FIELD_CATEGORY, "团体", "enum"},
        {1, FIELD_DISCLOSURE, "3", "enum"},
        {1, FIELD_PERSON_ID, "证件", "person-id-form"},
        {1, FIELD_PERSON_ID, "123", "person-id-form"},
        {1, FIELD_DIVISION, "3418000000001", "division-form"},
        {1, FIELD_DIVISION, "34x", "division-form"},
        {2, FIELD_FINE, "2千元", "amount-form"},
        {2, FIELD_FINE, "-1", "amount-form"},
        {2, FIELD_FINE, "0.1234567", "amount-form"},
        {2, FIELD_KIND, "罚款、批评", "enum"},
        {2, FIELD_KIND, "、", "enum"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice out;
        const char *rule =
            value(cases[i].item, SET_2018, cases[i].field, cases[i].raw, &out);
        if (rule == NULL || strcmp(rule, cases[i].rule) != 0) {
            fail_msg("%s: %s", cases[i].raw, rule != NULL ? rule : "kept");
        }
        assert_string_not_equal(rules_text(rule), "");
        assert_string_not_equal(rules_text_zh(rule), "");
    }
}

static void length_is_counted_in_characters(void **state)
{
    struct buf text = BUF_INIT;
    struct slice out;
    (void)state;
    for (size_t i = 0; i < 200; i++) {
        buf_put_str(&text, "样");
    }
    assert_null(value(1, SET_2018, FIELD_NAME, buf_cstr(&text), &out));
    buf_put_str(&text, "x");
    assert_string_equal(value(1, SET_2018, FIELD_NAME, buf_cstr(&text), &out),
                        "too-long");
    buf_fini(&text);
}

/* Several bytes are looked at together: each place is another case. */
static void control_characters_are_found_anywhere(void **state)
{
    static const char *const marks[] = {"\xc2\x9b", "\u061c", "\u202e"};
    (void)state;
    for (size_t at = 1; at < 20; at++) {
        for (unsigned c = 1; c < 0x80; c++) {
            char text[22] = "";
            struct slice out;
            bool refused =
                c == 0x7f || (c < ' ' && c != '\t' && c != '\n' && c != '\r');
            memset(text, 'x', sizeof text - 1);
            text[at] = (char)c;
            const char *rule = value(1, SET_2018, FIELD_REMARK, text, &out);
            if (refused != (rule != NULL)) {
                fail_msg("%u at %zu: %s", c, at, rule != NULL ? rule : "kept");
            }
        }
        char text[64];
        struct slice out;
        for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
            (void)snprintf(text, sizeof text, "%.*s%s样样样样", (int)at,
                           "abcdefghijklmnopqrst", marks[i]);
            assert_string_equal(value(1, SET_2018, FIELD_REMARK, text, &out),
                                "control-character");
        }
        (void)snprintf(text, sizeof text, "%.*s“样”…样样样", (int)at,
                       "abcdefghijklmnopqrst");
        assert_null(value(1, SET_2018, FIELD_REMARK, text, &out));
    }
}

/* 128 characters may have four bytes each; there is room for 509 of them. */
static void document_numbers_have_room(void **state)
{
    static const char *const ends[] = {"", "1", "]"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        for (size_t wide = 120; wide <= 128; wide++) {
            struct buf text = BUF_INIT;
            struct slice out;
            for (size_t n = 0; n < wide; n++) {
                buf_put_str(&text, "\U00020000");
            }
            buf_put_str(&text, ends[i]);
            size_t chars = wide + strlen(ends[i]);
            const char *rule =
                value(1, SET_2018, FIELD_DOCUMENT_NO, buf_cstr(&text), &out);
            bool fits = chars <= 128 && 4 * wide <= 508;
            if (fits != (rule == NULL)) {
                fail_msg("%zu and \"%s\": %s", wide, ends[i],
                         rule != NULL ? rule : "kept");
            }
            assert_true(!fits || out.len == 4 * wide + (i == 2 ? 3 : i));
            buf_fini(&text);
        }
    }
}

/* ---- records ---- */

static char breaches[1024];

static void note(void *ctx, const struct catalogue_field *field,
                 const char *rule)
{
    size_t len = strlen(breaches);
    (void)ctx;
    (void)snprintf(breaches + len, sizeof breaches - len, "%s%s %s",
                   len > 0 ? ", " : "",
                   field->code != NULL ? field->code : field->names_2016, rule);
}

struct change {
    uint16_t field;
    const char *value; /* "" takes it away */
};

static const struct change penalty_org[] = {
    {FIELD_NAME, "样例公司"},
    {FIELD_CATEGORY, "法人及非法人组织"},
    {FIELD_USCC, "91999900MA000100X7"},
    {FIELD_REP_NAME, "赵样"},
    {FIELD_DOCUMENT_NO, "样罚〔2026〕1号"},
    {FIELD_KIND, "罚款、吊销许可证件"},
    {FIELD_CONTENT, "罚款"},
    {FIELD_VIOLATION, "样例"},
    {FIELD_FACTS, "样例"},
    {FIELD_BASIS, "样例"},
    {FIELD_FINE, "1"},
    {FIELD_LICENCE_LOST, "样例许可证"},
    {FIELD_DECIDED, "20260302"},
    {FIELD_AUTHORITY, "样例局"},
    {FIELD_AUTHORITY_CODE, "11230500001755309F"},
    {FIELD_SOURCE, "样例局"},
    {FIELD_SOURCE_CODE, "11230500001755309F"},
};

static void change(struct record *r, const struct change *changes, size_t count)
{
    for (size_t i = 0; i < count && changes[i].field != 0; i++) {
        record_set(r, changes[i].field, slice_str(changes[i].value));
    }
}

static void records_are_judged_as_a_whole(void **state)
{
    static const struct {
        struct change changes[8];
        const char *breaches;
    } cases[] = {
        {{{0}}, ""},
        {{{FIELD_NAME, ""}}, "CF_XDR_MC missing"},
        {{{FIELD_USCC, ""}}, "CF_XDR_SHXYM missing"},
        {{{FIELD_USCC, ""}, {FIELD_ORG_CODE, "742183213"}},
         "CF_XDR_SHXYM missing"},
        {{{FIELD_USCC, ""},
          {FIELD_REGISTRATION_NO, "9999"},
          {FIELD_CATEGORY, "个体工商户"}},
         ""},
        {{{FIELD_FINE, ""}}, "CF_NR_FK missing"},
        {{{FIELD_FINE, ""}, {FIELD_KIND, "警告"}}, ""},
        {{{FIELD_KIND, "没收违法所得"}}, "CF_NR_WFFF missing"},
        {{{FIELD_LICENCE_LOST, ""}}, "CF_NR_ZKDX missing"},
        {{{FIELD_PERSON_ID, "999900200002290017"}},
         "CF_XDR_ZJHM org-person-exclusive"},
        {{{FIELD_CATEGORY, "自然人"},
          {FIELD_PERSON_ID_TYPE, "身份证"},
          {FIELD_PERSON_ID, "999900200002290017"}},
         "CF_XDR_SHXYM org-person-exclusive, CF_FRDB org-person-exclusive"},
        {{{FIELD_CATEGORY, "自然人"}, {FIELD_USCC, ""}, {FIELD_REP_NAME, ""}},
         "CF_XDR_ZJLX missing, CF_XDR_ZJHM missing"},
        {{{FIELD_CATEGORY, "自然人"},
          {FIELD_USCC, ""},
          {FIELD_REP_NAME, ""},
          {FIELD_PERSON_ID_TYPE, "身份证"},
          {FIELD_PERSON_ID, "999900200002290018"}},
         "CF_XDR_ZJHM citizen-check"},
        {{{FIELD_CATEGORY, "自然人"},
          {FIELD_USCC, ""},
          {FIELD_REP_NAME, ""},
          {FIELD_PERSON_ID_TYPE, "护照号"},
          {FIELD_PERSON_ID, "E99990000"}},
         ""},
        {{{FIELD_REP_ID, "E99990000"}}, "CF_FR_ZJHM citizen-check"},
        {{{FIELD_REP_ID, "E99990000"}, {FIELD_REP_ID_TYPE, "护照号"}}, ""},
        {{{FIELD_UNTIL, "20260301"}}, "CF_YXQ date-order"},
        {{{FIELD_UNTIL, "99991231"}}, ""},
        {{{FIELD_DECIDED, "20260401"}}, "CF_JDRQ date-future"},
        {{{FIELD_FACTS, "样例人999900200002290017"}}, "CF_SY personal-in-text"},
        {{{FIELD_REGISTRATION_NO, "999900200002290017"}},
         "CF_XDR_GSZC personal-in-text"},
        {{{FIELD_FACTS, "９９９９００２００００２２９００１７"}},
         "CF_SY personal-in-text"},
        {{{FIELD_FACTS, "999900 2000 0229 0017"}}, "CF_SY personal-in-text"},
        {{{FIELD_FACTS, "999900-20000229-0017"}}, "CF_SY personal-in-text"},
        {{{FIELD_FACTS, "证件号349999850101003"}}, "CF_SY personal-in-text"},
        {{{FIELD_FACTS, "注册号110108000000016"}}, ""},
        {{{FIELD_REGISTRATION_NO, "349999850101003"}}, ""},
        {{{FIELD_FACTS, "一、甲\n二、乙"}}, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct record r;
        record_init(&r, catalogue_item(ITEM_PENALTY));
        change(&r, penalty_org, ARRAY_LEN(penalty_org));
        change(&r, cases[i].changes, ARRAY_LEN(cases[i].changes));
        breaches[0] = '\0';
        size_t count = rules_record(&r, SET_2018, 0, 20260331, note, NULL);
        if (strcmp(breaches, cases[i].breaches) != 0) {
            fail_msg("case %zu: %s", i, breaches);
        }
        assert_int_equal(count > 0, breaches[0] != '\0');
    }
}

static void refused_values_are_not_missing_as_well(void **state)
{
    struct record r;
    (void)state;
    record_init(&r, catalogue_item(ITEM_PENALTY));
    change(&r, penalty_org, ARRAY_LEN(penalty_org));
    record_set(&r, FIELD_USCC, (struct slice){NULL, 0});
    uint64_t broken = 1U << catalogue_place(r.item, FIELD_USCC);
    assert_int_equal(rules_record(&r, SET_2018, broken, 0, note, NULL), 0);
}

static void the_older_set_needs_less_and_is_completed(void **state)
{
    static const struct change old[] = {
        {FIELD_NAME, "王某样"},      {FIELD_PERSON_ID, "999900200002290017"},
        {FIELD_DOCUMENT_NO, "样"},   {FIELD_KIND, "警告"},
        {FIELD_CONTENT, "警告"},     {FIELD_FACTS, "样例"},
        {FIELD_BASIS, "样例"},       {FIELD_DECIDED, "20160302"},
        {FIELD_AUTHORITY, "样例局"},
    };
    struct record r;
    (void)state;
    record_init(&r, catalogue_item(ITEM_PENALTY));
    change(&r, old, ARRAY_LEN(old));
    breaches[0] = '\0';
    assert_int_equal(rules_record(&r, SET_2016, 0, 0, note, NULL), 0);
    assert_true(slice_eq(record_get(&r, FIELD_CATEGORY), slice_str("自然人")));
    assert_true(
        slice_eq(record_get(&r, FIELD_PERSON_ID_TYPE), slice_str("身份证")));

    record_init(&r, catalogue_item(ITEM_PENALTY));
    change(&r, old, ARRAY_LEN(old));
    record_set(&r, FIELD_PERSON_ID, (struct slice){NULL, 0});
    assert_int_equal(rules_record(&r, SET_2016, 0, 0, note, NULL), 2);
    assert_string_equal(breaches, "CF_XDR_SHXYM missing, CF_FRDB missing");
    record_set(&r, FIELD_ORG_CODE, slice_str("742183213"));
    record_set(&r, FIELD_REP_NAME, slice_str("赵样"));
    assert_int_equal(rules_record(&r, SET_2016, 0, 0, note, NULL), 0);
}

static void the_page_for_people_has_every_rule(void **state)
{
    static const char *const rules[] = {"missing",
                                        "too-long",
                                        "date-form",
                                        "amount-form",
                                        "uscc-check",
                                        "uscc-inner-check",
                                        "enum",
                                        "csv-form",
                                        "column-count",
                                        "duplicate-in-file",
                                        "row-too-large",
                                        "encoding",
                                        "citizen-check",
                                        "personal-in-text",
                                        "org-person-exclusive"};
    struct buf page = BUF_INIT;
    char row[256];
    (void)state;
    assert_int_equal(
        file_read(SOURCE_DIR "/docs/catalogue.md", 1 << 20, &page, NULL),
        ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        (void)snprintf(row, sizeof row, "| `%s` | %s | %s |", rules[i],
                       rules_text(rules[i]), rules_text_zh(rules[i]));
        assert_non_null(strstr(buf_cstr(&page), row));
    }
    buf_fini(&page);
}

static void assert_zh(const char *rule, const char *text, const char *want)
{
    struct buf out = BUF_INIT;
    rules_put_zh(rule, text, &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_fini(&out);
}

static void a_fault_is_told_in_chinese_with_its_value(void **state)
{
    (void)state;
    char english[256];
    char chinese[256];
    const char *rule = "duplicate-in-file";
    (void)snprintf(english, sizeof english, "%s: line 12: \"甲\"",
                   rules_text(rule));
    (void)snprintf(chinese, sizeof chinese, "%s：第 12 行：\"甲\"",
                   rules_text_zh(rule));
    assert_zh(rule, english, chinese);
    assert_zh(rule, rules_text(rule), rules_text_zh(rule));
    (void)snprintf(english, sizeof english, "%s: \"line 3\"",
                   rules_text("uscc-check"));
    (void)snprintf(chinese, sizeof chinese, "%s：\"line 3\"",
                   rules_text_zh("uscc-check"));
    assert_zh("uscc-check", english, chinese);
    assert_zh("no-such-rule", "as it is", "as it is");
    assert_zh(rule, "another text", "another text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_brought_into_one_form),
        cmocka_unit_test(each_rule_refuses_its_values),
        cmocka_unit_test(length_is_counted_in_characters),
        cmocka_unit_test(control_characters_are_found_anywhere),
        cmocka_unit_test(document_numbers_have_room),
        cmocka_unit_test(records_are_judged_as_a_whole),
        cmocka_unit_test(refused_values_are_not_missing_as_well),
        cmocka_unit_test(the_older_set_needs_less_and_is_completed),
        cmocka_unit_test(the_page_for_people_has_every_rule),
        cmocka_unit_test(a_fault_is_told_in_chinese_with_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
