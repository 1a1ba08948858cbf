#include "unit/ingest/rows_log.h"

#include <stdio.h>

#include "base/mem.h"
#include "credit/rules.h"

/* A small licence table: the columns that are always needed, and a few. */
#define HEADER                                                                 \
    "XK_XDR_MC,XK_XDR_LB,XK_XDR_SHXYM,XK_FRDB,XK_XDR_ZJLX,XK_XDR_ZJHM,"        \
    "XK_XKWS,XK_WSH,XK_XKLB,XK_NR,XK_JDRQ,XK_YXQZ,XK_YXQZI,XK_XKJG,"           \
    "XK_XKJGDM,XK_ZT,XK_LYDW,XK_LYDWDM,BZ"
#define AUTHORITY ",样例局,11230500001755309F,1,样例局,11230500001755309F,"
#define ORG(no)                                                                    \
    "样例公司,法人及非法人组织,91999900MA000100X7,赵样,,,决定书," \
    "样许〔2026〕" no "号,普通,内容,2026-3-2,2026-3-2,长期" AUTHORITY
#define PERSON(name, id)                                                                  \
    name ",自然人,,,身份证," id ",决定书,样许〔2026〕9号,普通,内容,2026-3-2," \
         "2026-3-2,长期" AUTHORITY
#define CITIZEN "999900200002290017"

static struct rows_log seen;

static const char *run(const char *text)
{
    return rows_log_run(&seen, slice_str(text), 1000);
}

static void rows_are_the_same_however_they_arrive(void **state)
{
    const char *text =
        HEADER "\r\n" ORG("1") "\"a\nb\"\r\n" ORG("x") "\"\r\n" ORG("2");
    (void)state;
    for (size_t step = 1; step < 70; step += 3) {
        assert_string_equal(rows_log_run(&seen, slice_str(text), step),
                            "2 ok;4 csv-form;5 ok;");
        assert_int_equal(seen.err, ERR_OK);
        assert_int_equal(seen.item, ITEM_LICENCE);
    }
}

static void columns_come_in_any_order_and_language(void **state)
{
    (void)state;
    assert_string_equal(
        run("当前状态,许可类别,*行政相对人类别,行政相对人名称（必填）,决定日期,"
            "统一社会信用代码,valid from,有效期至,许可机关,XK_XKJGDM,"
            "法定代表人,what is permitted,许可内容,document name,"
            "行政许可决定书文号,xk_lydw,xk_lydwdm,序号,我的列\n"
            "1,普通,企业,样例公司,20260302,91999900MA000100X7,2026/3/2,"
            "9999-9-9,样例局,11230500001755309F,赵样,内容,另一个,决定书,"
            "样许1号,样例局,11230500001755309F,1,x\n"),
        "2 ok;");
    assert_string_equal(seen.subject, "91999900MA000100X7");
    assert_string_equal(buf_cstr(&seen.warnings),
                        "column 13 \"许可内容\" is there already: not read\n"
                        "column 19 \"我的列\" is unknown: not read\n");
}

static void rows_that_are_no_data_are_passed_over(void **state)
{
    (void)state;
    assert_string_equal(
        run("行政许可信息公示表\n\n表格说明：请勿修改表头\n" HEADER "\n" HEADER
            "\n填表说明：必填\n,,,\n" ORG("1") "\n"),
        "8 ok;");
}

static void deletions_are_not_taken(void **state)
{
    (void)state;
    assert_string_equal(run(HEADER ",OPT_TYPE\n" ORG("1") ",d\n" ORG(
                            "1") ",u\n" ORG("2") ",\n"),
                        "2 deletion;3 ok;4 ok;");
}

static void files_without_a_usable_header_are_refused(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"", "no header"},
        {"a,b\nc,d\n", "no header"},
        {"PK\x03\x04\xff\xff\xff\n", "saved as CSV"}, /* a spreadsheet */
        {"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n", "no header in the first 10"},
        {"XK_XDR_MC,XK_XDR_LB,XK_WSH,XK_NR\n",
         "line 1: the header (licence, columns of 2018) lacks: XK_XKWS"},
        {"CF_WSH,CF_CFLB1,CF_SY,CF_XDR_MC,CF_JG\n",
         "line 1: the header (penalty, columns of 2016) lacks: CF_YJ, "
         "CF_JDRQ, CF_XZJG"},
        {"BZ,DFBM,SJC,当前状态\n", "alike"},
        {"\xff\xfeX\n", "UTF-16"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)run(cases[i].text);
        assert_int_not_equal(seen.err, ERR_OK);
        if (strstr(seen.why.text, cases[i].why) == NULL) {
            fail_msg("case %zu: %s", i, seen.why.text);
        }
    }
}

/* Headers are kept, and more of them than there is room for come by. */
static void a_header_that_comes_again_is_read_the_same(void **state)
{
    char text[1024];
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        unsigned blanks = i % 7; /* so many headers that mean the same */
        (void)snprintf(text, sizeof text, "%.*s" HEADER "\n" ORG("1") "\n",
                       (int)blanks, "       ");
        assert_string_equal(run(text), "2 ok;");
        assert_string_equal(buf_cstr(&seen.warnings), "");
        assert_string_equal(run("无此列,BZ," HEADER "\n,," ORG("1") "\n"),
                            "2 ok;");
        assert_string_equal(buf_cstr(&seen.warnings),
                            "column 1 \"无此列\" is unknown: not read\n"
                            "column 21 \"BZ\" is there already: not read\n");
        /* The same columns in another order are another header. */
        assert_string_equal(run("XK_XDR_LB,XK_XDR_MC,XK_XDR_SHXYM,XK_FRDB,"
                                "XK_XDR_ZJLX,XK_XDR_ZJHM,XK_XKWS,XK_WSH,"
                                "XK_XKLB,XK_NR,XK_JDRQ,XK_YXQZ,XK_YXQZI,"
                                "XK_XKJG,XK_XKJGDM,XK_ZT,XK_LYDW,XK_LYDWDM,"
                                "BZ\n" ORG("1") "\n"),
                            "2 XK_XDR_LB enum;");
    }
}

static void a_header_is_read_by_the_catalogue_in_force(void **state)
{
    static const struct catalogue_item *items[CATALOGUE_ITEMS_MAX];
    static struct catalogue other;
    const struct catalogue *builtin = catalogue_builtin();
    (void)state;
    other = *builtin;
    other.items = items;
    other.items_n = 0;
    for (size_t i = 0; i < builtin->items_n; i++) {
        if (builtin->items[i]->id != ITEM_LICENCE) {
            items[other.items_n++] = builtin->items[i];
        }
    }
    assert_string_equal(run(HEADER "\n" ORG("1") "\n"), "2 ok;");
    catalogue_use(&other);
    assert_string_equal(run(HEADER "\n" ORG("1") "\n"), "");
    assert_int_equal(seen.err, ERR_INVALID);
    catalogue_use(builtin);
    assert_string_equal(run(HEADER "\n" ORG("1") "\n"), "2 ok;");
}

static void repeated_decisions_are_refused(void **state)
{
    (void)state;
    assert_string_equal(
        run(HEADER "\n" ORG("1") "\n" ORG("2") "\n" ORG("1") "改\n"),
        "2 ok;3 ok;4 duplicate-in-file;");
    assert_string_equal(buf_cstr(&seen.texts),
                        "the same decision stands earlier in this file: "
                        "line 2\n");
}

static void a_refused_row_does_not_stand_in_the_way(void **state)
{
    (void)state;
    assert_string_equal(run(HEADER "\n样例公司,团体" AUTHORITY "\n" ORG(
                            "1") "\n" ORG("2") ",x\n" ORG("2") ",\n"),
                        "2 column-count;3 ok;4 column-count;5 ok;");
}

static void repeats_are_found_among_many(void **state)
{
    enum { MANY = ROWS_REMEMBERED + 1000 };
    struct buf text = BUF_INIT;
    (void)state;
    buf_put_str(&text, HEADER "\n");
    const char *row = ORG("%");
    const char *cut = strchr(row, '%');
    for (unsigned i = 0; i < MANY; i++) {
        buf_putf(&text, "%.*s%u%s\n", (int)(cut - row), row, i, cut + 1);
    }
    buf_putf(&text, "%.*s%u%s\n", (int)(cut - row), row, 10U, cut + 1);
    (void)rows_log_run(&seen, buf_slice(&text), 65536);
    assert_int_equal(seen.good, MANY);
    assert_string_equal(buf_cstr(&seen.texts),
                        "the same decision stands earlier in this file: "
                        "line 12\n");
    buf_fini(&text);
}

static void faults_name_column_rule_and_value(void **state)
{
    (void)state;
    assert_string_equal(
        run("行政相对人名称,行政相对人类别,统一社会信用代码,法定代表人,"
            "XK_XKWS,XK_WSH,XK_XKLB,XK_NR,XK_JDRQ,XK_YXQZ,XK_YXQZI,XK_XKJG,"
            "XK_XKJGDM,XK_ZT,XK_LYDW,XK_LYDWDM\n"
            "样例公司,企业,91310000631295002H,,决定书,号1,普通,内容,201406,"
            "2026-3-2,2026-3-1,样例局,11230500001755309F,1,样例局,"
            "11230500001755309F\n"),
        "2 统一社会信用代码 uscc-inner-check, XK_JDRQ date-form, "
        "法定代表人 missing, XK_YXQZI date-order;");
    assert_string_equal(
        buf_cstr(&seen.texts),
        "the 17th character (check of the organisation code) does not fit: "
        "\"913***********002H\"\n"
        "not an existing day such as 2026-03-02: \"201406\"\n"
        "a value is needed here\n"
        "ends before it begins: \"2026-3-1\"\n");
}

/* In any row a run of digits may be a number with one digit wrong. */
static void numbers_are_masked_however_they_are_written(void **state)
{
    static const char *const written[] = {
        "999900200002290018",   "９９９９００２００００２２９００１８",
        "999900 20000229 0018", "999900-20000229-0018",
        "99990020000229",       "999900850101003"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(written); i++) {
        char text[1024];
        (void)snprintf(
            text, sizeof text,
            "行政相对人名称,行政相对人类别,统一社会信用代码,法定代表人,"
            "XK_XKWS,XK_WSH,XK_XKLB,XK_NR,XK_JDRQ,XK_YXQZ,XK_YXQZI,XK_XKJG,"
            "XK_XKJGDM,XK_ZT,XK_LYDW,XK_LYDWDM\n"
            "样例公司,企业,91999900MA000100X7,李某样,决定书,号1,普通,内容,"
            "2026-3-1,2026-3-2,2027-3-1,样例局,%s,1,样例局,"
            "11230500001755309F\n",
            written[i]);
        (void)run(text);
        assert_int_equal(seen.good, 0);
        assert_null(strstr(buf_cstr(&seen.texts), "0229"));
        assert_null(strstr(buf_cstr(&seen.texts), "５"));
        assert_null(strstr(buf_cstr(&seen.texts), "２９"));
        assert_null(strstr(buf_cstr(&seen.texts), "8501"));
        assert_non_null(strstr(buf_cstr(&seen.texts), "***"));
    }
}

static void persons_are_masked_in_every_message(void **state)
{
    static const char *const rows[] = {
        /* check digit, exclusivity, shifted cells, category unreadable */
        PERSON("王某样", "999900200002290018"),
        "王某样,自然人,91999900MA000100X7,,身份证," CITIZEN
        ",决定书,号,普通,内容,2026-3-2,2026-3-2,长期" AUTHORITY,
        "王某样,自然人,,,,身份证," CITIZEN ",决定书,号,普通,王某样," CITIZEN
        ",2026-3-2" AUTHORITY,
        CITIZEN ",王某样,王某样," CITIZEN ",王某样,王某样," CITIZEN "," CITIZEN
                "," CITIZEN "," CITIZEN "," CITIZEN "," CITIZEN
                ",王某样" AUTHORITY,
        "样例公司,企业,91999900MA000100X7,赵样,,,决定书,号,普通,见" CITIZEN
        ",2026-3-2,2026-3-2,长期" AUTHORITY,
        "样例公司,企业,91999900MA000100X7,赵样,,,决定书,号," CITIZEN
        ",内容," CITIZEN "," CITIZEN ",长期" AUTHORITY,
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf text = BUF_INIT;
        buf_putf(&text, HEADER "\n%s\n", rows[i]);
        (void)rows_log_run(&seen, buf_slice(&text), 100);
        assert_int_equal(seen.good, 0);
        assert_true(seen.texts.len > 0);
        const char *texts = buf_cstr(&seen.texts);
        if (strstr(texts, CITIZEN) != NULL || strstr(texts, "王某") != NULL ||
            strstr(texts, "20000229") != NULL) {
            fail_msg("row %zu: %s", i, texts);
        }
        buf_fini(&text);
    }
}

static void persons_rows_are_good(void **state)
{
    (void)state;
    assert_string_equal(run(HEADER "\n" PERSON("王某样", CITIZEN) "\n"),
                        "2 ok;");
    assert_int_equal(seen.persons, 1);
    assert_string_equal(seen.subject, "111/" CITIZEN);
}

static enum err seal(void *ctx, struct slice aad, struct slice plain,
                     struct buf *out)
{
    static const uint8_t key[SEAL_KEY_LEN] = {5};
    (void)ctx;
    buf_put_u32(out, 1);
    suite_seal(SUITE_INTL, key, aad, plain, out);
    return ERR_OK;
}

struct digests {
    uint8_t key[2][RECORD_KEY_LEN];
    uint8_t digest[2][RECORD_DIGEST_LEN];
    size_t count;
};

static enum err keep_digest(void *ctx, uint64_t line, const struct record *r)
{
    struct digests *d = ctx;
    const struct sealer sealer = {seal, NULL};
    struct buf room = BUF_INIT;
    struct entry e;
    (void)line;
    assert_int_equal(
        record_to_entry(r, &rows_log_keys, 341821100201, 1, &sealer, &room, &e),
        ERR_OK);
    memcpy(d->key[d->count], e.record_key, RECORD_KEY_LEN);
    assert_true(record_digest(e.body, d->digest[d->count]));
    d->count++;
    buf_fini(&room);
    return ERR_OK;
}

static void digests_of(const char *one, const char *two, struct digests *d)
{
    const char *files[] = {one, two};
    const struct rows_options options = {.keys = &rows_log_keys};
    const struct rows_sink sink = {keep_digest, rows_log_refused, NULL, d};
    *d = (struct digests){.count = 0};
    for (size_t i = 0; i < 2; i++) {
        struct rows *rows;
        rows_begin(&rows, &options, &sink);
        assert_int_equal(rows_feed(rows, slice_str(files[i]), NULL), ERR_OK);
        assert_int_equal(rows_finish(rows, NULL), ERR_OK);
        rows_free(&rows);
    }
    assert_int_equal(d->count, 2);
}

static void the_same_row_again_has_key_and_digest(void **state)
{
    struct digests d;
    (void)state;
    digests_of(HEADER "\n" ORG("1") "\n",
               "\xef\xbb\xbf" HEADER "\r\n"
               "样例公司,企业,91999900MA000100x7,赵样,,,决定书,"
               "样许【2026】1号,普通许可,内容,20260302,2026/03/02,9999-9-9"
               ",样例局,11230500001755309F,有效,样例局,11230500001755309F,"
               "暂无\r\n",
               &d);
    assert_memory_equal(d.key[0], d.key[1], RECORD_KEY_LEN);
    assert_memory_equal(d.digest[0], d.digest[1], RECORD_DIGEST_LEN);
    digests_of(HEADER "\n" PERSON("王某样", CITIZEN) "\n",
               HEADER "\n" PERSON("王某样", CITIZEN) "\n", &d);
    assert_memory_equal(d.key[0], d.key[1], RECORD_KEY_LEN);
    assert_memory_equal(d.digest[0], d.digest[1], RECORD_DIGEST_LEN);
    digests_of(HEADER "\n" ORG("1") "\n", HEADER "\n" ORG("1") "改\n", &d);
    assert_memory_equal(d.key[0], d.key[1], RECORD_KEY_LEN);
    assert_memory_not_equal(d.digest[0], d.digest[1], RECORD_DIGEST_LEN);
}

static void callbacks_can_end_the_file(void **state)
{
    (void)state;
    seen.answer = ERR_NO_SPACE;
    assert_string_equal(run(HEADER "\n" ORG("1") "\n" ORG("2") "\n"), "2 ok;");
    assert_int_equal(seen.err, ERR_NO_SPACE);
    seen.answer = ERR_OK;
}

static int done(void **state)
{
    (void)state;
    rows_log_fini(&seen);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_same_however_they_arrive),
        cmocka_unit_test(columns_come_in_any_order_and_language),
        cmocka_unit_test(rows_that_are_no_data_are_passed_over),
        cmocka_unit_test(deletions_are_not_taken),
        cmocka_unit_test(files_without_a_usable_header_are_refused),
        cmocka_unit_test(a_header_that_comes_again_is_read_the_same),
        cmocka_unit_test(a_header_is_read_by_the_catalogue_in_force),
        cmocka_unit_test(repeated_decisions_are_refused),
        cmocka_unit_test(a_refused_row_does_not_stand_in_the_way),
        cmocka_unit_test(repeats_are_found_among_many),
        cmocka_unit_test(faults_name_column_rule_and_value),
        cmocka_unit_test(numbers_are_masked_however_they_are_written),
        cmocka_unit_test(persons_are_masked_in_every_message),
        cmocka_unit_test(persons_rows_are_good),
        cmocka_unit_test(the_same_row_again_has_key_and_digest),
        cmocka_unit_test(callbacks_can_end_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
