/* Decisions on their way into a package, over a real store. */
#include "contract/lists_fixture.h"
#include "support/executions.h"
#include "support/scripted_backend.h"

#include "api/directives.h"
#include "sync/sync.h"

#define LISTING_IN(division)                                                                                \
    "主体名称,主体统一社会信用代码,认定文书号,列入事由,列入依据,认定日期,"   \
    "起始日期,截止日期,认定机关,认定机关统一社会信用代码,认定机关行政区划," \
    "名单类型,失信领域,事先告知（公示）文书号,告知（公示）日期,措施编号,"    \
    "移出条件\n"                                                                                        \
    "示例商贸有限公司,91440300708461136T,示例认〔2026〕7号,示例事由,"                     \
    "示例条例第十条,"                                                                                \
    "2026-03-01,2026-03-05,长期,示例镇法庭,11340000200000013H," division                                    \
    ",失信被执行人,,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n"

static const char listing[] = LISTING_IN("341821100000");
static const char of_county[] = LISTING_IN("341821000000");

static const char removal[] =
    "YC_ZT_SHXYM,YC_WSH,YC_SY,YC_RQ,YC_JG,YC_JGDM,YC_MDLX,YC_YWSH\n"
    "91440300708461136T,示例移〔2026〕1号,履行完毕,2026-04-01,示例镇法庭,"
    "11340000200000013H,失信被执行人,示例认〔2026〕7号\n";

/* ---- what is told of the rows ---- */

static char rule[64];

static enum err on_refused(void *ctx, uint64_t line,
                           const struct rows_fault *faults, size_t count)
{
    (void)ctx;
    (void)line;
    (void)count;
    (void)snprintf(rule, sizeof rule, "%s", faults[0].rule);
    return ERR_OK;
}

static char noted[512];

static void on_warning(void *ctx, const char *text)
{
    (void)ctx;
    (void)snprintf(noted, sizeof noted, "%s", text);
}

/* ---- a township that decides ---- */

static struct {
    struct node node;
    struct backend backend; /* fails when it is told to */
    struct sync_env sync;
    struct api_env env;
    struct buf file; /* what was prepared */
    struct buf off;
    struct log_id log;
} town;

static int setup(void **state)
{
    (void)state;
    town.backend = scripted(fixture_backend());
    start_on(&town.node, &town.backend, TOWNSHIP, "prepare");
    town.sync = (struct sync_env){.store = town.node.store, .trust = fed_trust};
    town.env = (struct api_env){.store = town.node.store,
                                .sync = &town.sync,
                                .self = {.code = TOWNSHIP}};
    town.file = town.off = (struct buf)BUF_INIT;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&town.file);
    buf_fini(&town.off);
    node_fini(&town.node);
    return 0;
}

/* ---- tests ---- */

static struct errmsg last_why;

static enum err prepare(enum prepare_what what, const char *rows,
                        struct buf *file)
{
    const struct rows_sink sink = {.refused = on_refused,
                                   .warning = on_warning};
    struct prepare *p;
    rule[0] = 0;
    prepare_begin(&p, &town.env, what, &sink);
    enum err err = prepare_feed(p, slice_str(rows), &last_why);
    err = err == ERR_OK ? prepare_finish(p, file, &last_why) : err;
    prepare_free(&p);
    return err;
}

/* The package that was prepared, signed and published. */
static void take(const struct buf *file)
{
    struct package *p = NULL;
    struct errmsg why;
    struct key *key = NULL;
    assert_ok(package_parse(&p, buf_slice(file), "test", &why));
    for (unsigned i = 1; i <= 2; i++) {
        assert_ok(key_load(&key, key_path(TOWNSHIP, i), &why));
        assert_ok(package_sign(p, key));
        key_free(&key);
    }
    assert_ok(publish(&town.node, p, NULL));
    package_free(&p);
}

/* While it cannot be read what is in force, a decision is neither new nor one
 * that is listed already, and a correction not without a listing. */
static void what_is_in_force_is_read_or_nothing_is_prepared(void **state)
{
    static const enum prepare_what whats[] = {PREPARE_ANY, PREPARE_CORRECTIONS};
    (void)state;
    assert_ok(prepare(PREPARE_ANY, listing, &town.file));
    take(&town.file);
    forget_entries(&town.node);
    static const enum script_read reads[] = {READ_LIST_ROWS, READ_BLOCKS};
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        for (size_t k = 0; k < ARRAY_LEN(whats); k++) {
            fail_reads_with(reads[i], ERR_UNAVAILABLE);
            buf_clear(&town.file);
            assert_int_equal(prepare(whats[k], listing, &town.file),
                             ERR_UNAVAILABLE);
            assert_non_null(strstr(last_why.text, "cannot be read now"));
            assert_string_equal(rule, "");
            assert_int_equal(town.file.len, 0);
            reads_work();
        }
    }
    assert_int_equal(prepare(PREPARE_ANY, listing, &town.file), ERR_INVALID);
    assert_string_equal(rule, "listed-already");
    assert_ok(prepare(PREPARE_CORRECTIONS, listing, &town.file));
}

/* A mistaken block of columns must not become the opposite decision. */
static void rows_are_judged_by_what_was_said_and_is_in_force(void **state)
{
    static const struct {
        enum prepare_what what;
        const char *rows;
        const char *rule; /* "": it is prepared */
    } cases[] = {
        {PREPARE_REMOVALS, listing, "columns-of-listing"},
        {PREPARE_LISTINGS, removal, "columns-of-removal"},
        {PREPARE_CORRECTIONS, removal, "columns-of-removal"},
        {PREPARE_LISTINGS, listing, "listed-already"},
        {PREPARE_CORRECTIONS, of_county, "authority-area"},
        {PREPARE_REMOVALS, removal, ""},
        {PREPARE_CORRECTIONS, listing, ""},
        {PREPARE_ANY, removal, ""},
    };
    (void)state;
    assert_ok(prepare(PREPARE_LISTINGS, listing, &town.file));
    take(&town.file);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&town.file);
        enum err err = prepare(cases[i].what, cases[i].rows, &town.file);
        assert_string_equal(rule, cases[i].rule);
        assert_int_equal(err, cases[i].rule[0] == 0 ? ERR_OK : ERR_INVALID);
    }
}

static bool count_listing(void *ctx, const struct store_listing *l)
{
    (void)l;
    ++*(size_t *)ctx;
    return true;
}

static size_t listed(const char *code)
{
    struct lists_view view;
    struct subject_key key;
    size_t count = 0;
    subject_key_org(&key, SUBJECT_USCC, slice_str(code));
    lists_view_take(town.node.store, &view);
    const struct listing_query q = {
        .view = &view, .subject = &key, .today = 20260601};
    assert_ok(store_listings(town.node.store, &q, count_listing, &count, NULL));
    lists_view_fini(&view);
    return count;
}

/* Two packages prepared side by side list the same twice: what ends one of them
 * only would keep the subject on the list. */
static void a_removal_ends_all_listings_by_its_document(void **state)
{
    struct buf first = BUF_INIT;
    struct buf second = BUF_INIT;
    (void)state;
    assert_ok(prepare(PREPARE_LISTINGS, listing, &first));
    assert_ok(prepare(PREPARE_LISTINGS, listing, &second));
    take(&first);
    take(&second);
    assert_int_equal(listed("91440300708461136T"), 2);
    assert_ok(prepare(PREPARE_REMOVALS, removal, &town.file));
    take(&town.file);
    assert_int_equal(listed("91440300708461136T"), 0);
    buf_fini(&first);
    buf_fini(&second);
}

/* ---- what was made elsewhere ---- */

/* The package in `file` with its one decision made anew: about the listing at
 * `place`, NULL if it is one itself, and with another value of `field`, if that
 * is not 0. */
static struct package *remade(const struct buf *file, uint8_t type,
                              const struct listing_place *place, uint16_t field,
                              const char *value)
{
    struct package *p = NULL;
    struct package *other = NULL;
    struct errmsg why;
    struct entry e;
    struct record r;
    struct buf room = BUF_INIT;
    struct buf bytes = BUF_INIT;
    assert_ok(package_parse(&p, buf_slice(file), "test", &why));
    assert_ok(entry_decode(p->entries[0], &e));
    assert_ok(listing_values(&e, &r));
    if (field != 0) {
        record_set(&r, field, slice_str(value));
    }
    assert_ok(listing_to_entry(&r, type, place, e.entered_at_ms, &room, &e));
    entry_encode(&e, &bytes);
    const struct slice one = buf_slice(&bytes);
    assert_ok(package_new(&other, &p->head, &one, 1));
    package_free(&p);
    buf_fini(&room);
    buf_fini(&bytes);
    return other;
}

/* The removal or correction in `file`, of the listing of entry `number` of
 * `log`. */
static struct package *about_entry(const struct buf *file, uint8_t type,
                                   const struct log_id *log, uint64_t number)
{
    const struct listing_place place = {*log, number};
    return remade(file, type, &place, 0, NULL);
}

static struct package *removal_of(const struct buf *file,
                                  const struct log_id *log, uint64_t number)
{
    return about_entry(file, ENTRY_REMOVAL, log, number);
}

static struct package *altered(const struct buf *file, uint16_t field,
                               const char *value)
{
    return remade(file, ENTRY_LISTING, NULL, field, value);
}

/* Consumes `p`. */
static void take_package(struct package *p)
{
    struct buf file = BUF_INIT;
    package_put(p, &file);
    package_free(&p);
    take(&file);
    buf_fini(&file);
}

/* Puts the subject on the list, by entry 3 of town.log. */
static void list_the_subject(void)
{
    assert_ok(prepare(PREPARE_ANY, listing, &town.file));
    take(&town.file);
    assert_ok(store_directives_log(town.node.store, &town.log));
}

/* And prepares the removal of that in town.off. */
static void list_and_prepare_removal(void)
{
    list_the_subject();
    assert_ok(prepare(PREPARE_REMOVALS, removal, &town.off));
}

/* What a package may hold as a file, and no node would prepare. */
static struct package *package_of_one(struct slice entry)
{
    struct package *p = NULL;
    assert_ok(prepare_package(&town.env, 1772000000000, &entry, 1, &p));
    return p;
}

static struct package *package_of_type(uint8_t type)
{
    const struct entry e = {.type = type, .entered_at_ms = 1772000000000};
    struct buf bytes = BUF_INIT;
    entry_encode(&e, &bytes);
    struct package *p = package_of_one(buf_slice(&bytes));
    buf_fini(&bytes);
    return p;
}

static struct package *measure_of(const char *name)
{
    struct measure m = {.revision = 1,
                        .decided = 20260301,
                        .from = 20260301,
                        .at_ms = 1772000000000};
    struct entry e;
    struct buf room = BUF_INIT;
    struct buf bytes = BUF_INIT;
    (void)snprintf(m.id, sizeof m.id, "C01");
    (void)snprintf(m.name_zh, sizeof m.name_zh, "%s", name);
    (void)snprintf(m.basis, sizeof m.basis, "basis");
    measure_to_entry(&m, &room, &e);
    entry_encode(&e, &bytes);
    struct package *p = package_of_one(buf_slice(&bytes));
    buf_fini(&room);
    buf_fini(&bytes);
    return p;
}

static void expect_lawful(struct package *p, const char *said)
{
    last_why.text[0] = 0;
    enum err err =
        directive_check_lawful(&town.env, p, on_warning, NULL, &last_why);
    assert_int_equal(err, said == NULL ? ERR_OK : ERR_DENIED);
    if (said != NULL && strstr(last_why.text, said) == NULL) {
        fail_msg("'%s' does not say '%s'", last_why.text, said);
    }
    package_free(&p);
}

static void
what_was_made_elsewhere_is_judged_before_it_is_published(void **state)
{
    static const struct {
        uint16_t field;
        const char *value;
        const char *said;
    } cases[] = {
        {0, "", NULL},
        {FIELD_BASIS, "",
         "entry 1 of the package: MD_YJ: a value is needed "
         "here [missing]"},
        {FIELD_NOTICE_NO, "", "[missing]"},
        {FIELD_DIVISION, "341821100201", NULL},
        {FIELD_DIVISION, "341821000000", "[authority-area]"},
        {FIELD_FACTS, "号码999900200002290017", "[personal-in-text]"},
        {FIELD_DOCUMENT_NO, "\x1b[1A\x1b[2K", "[control-character]"},
    };
    (void)state;
    assert_ok(prepare(PREPARE_ANY, listing, &town.file));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect_lawful(altered(&town.file, cases[i].field, cases[i].value),
                      cases[i].said);
    }
    expect_lawful(measure_of("限制采购"), NULL);
    expect_lawful(measure_of("限制\u202e采购"),
                  "entry 1 of the package: a text holds a control character");
    expect_lawful(measure_of("人９９９９００２００００２２９００１７"),
                  "a text holds a citizen number");
}

static void what_is_no_decision_is_not_published(void **state)
{
    static const uint8_t types[] = {0,
                                    ENTRY_OPEN,
                                    ENTRY_RECORD,
                                    ENTRY_KEY,
                                    ENTRY_PACKAGE,
                                    ENTRY_PACKAGE_END,
                                    ENTRY_MEASURE + 1};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        expect_lawful(package_of_type(types[i]),
                      "entry 1 of the package: no decision");
    }
    expect_lawful(package_of_one(slice_str("?")), "no decision");
}

/* The same number in full width is no other decision: it would stay on the
 * list when the other one is removed. */
static void a_document_number_is_the_same_in_full_width(void **state)
{
    static const char wide[] = "示例认〔２０２６〕７号";
    struct package *p;
    (void)state;
    assert_ok(prepare(PREPARE_LISTINGS, listing, &town.file));
    take_package(altered(&town.file, FIELD_DOCUMENT_NO, wide));
    assert_int_equal(prepare(PREPARE_LISTINGS, listing, &town.off),
                     ERR_INVALID);
    assert_string_equal(rule, "listed-already");
    take(&town.file);
    assert_int_equal(listed("91440300708461136T"), 2);
    assert_ok(prepare(PREPARE_REMOVALS, removal, &town.off));
    assert_ok(package_parse(&p, buf_slice(&town.off), "test", &last_why));
    expect_lawful(p, NULL);
    take(&town.off);
    assert_int_equal(listed("91440300708461136T"), 0);
}

/* Entry 3 of the log lists by the document that the removal names, entry 6 by
 * another one. */
static void a_removal_is_of_the_listing_that_its_values_name(void **state)
{
    static const char other_no[] = "示例认〔2026〕8号";
    const struct log_id *log = &town.log;
    (void)state;
    list_the_subject();
    take_package(altered(&town.file, FIELD_DOCUMENT_NO, other_no));
    assert_ok(prepare(PREPARE_REMOVALS, removal, &town.off));
    expect_lawful(removal_of(&town.off, log, 3), NULL);
    expect_lawful(removal_of(&town.off, log, 6), "[not-listed]");
    expect_lawful(removal_of(&town.off, log, 4), "[not-listed]");
    take(&town.off); /* of 3 */
    expect_lawful(removal_of(&town.off, log, 3), "[not-listed]");
    expect_lawful(removal_of(&town.off, log, 6), "[not-listed]");
}

/* One document may put a subject on two lists. */
static void what_names_one_list_is_not_about_another(void **state)
{
    struct buf right = BUF_INIT;
    const struct log_id *log = &town.log;
    (void)state;
    list_the_subject();
    take_package(altered(&town.file, FIELD_LIST, "重大税收违法"));
    assert_ok(prepare(PREPARE_REMOVALS, removal, &town.off));
    assert_ok(prepare(PREPARE_CORRECTIONS, listing, &right));
    expect_lawful(removal_of(&town.off, log, 3), NULL);
    expect_lawful(removal_of(&town.off, log, 6), "[not-listed]");
    expect_lawful(about_entry(&right, ENTRY_CORRECTION, log, 3), NULL);
    expect_lawful(about_entry(&right, ENTRY_CORRECTION, log, 6),
                  "[not-listed]");
    buf_fini(&right);
}

/* Its log is not held here. */
static void of_a_listing_of_another_node_is_told_what_is_known(void **state)
{
    (void)state;
    list_and_prepare_removal();
    const struct buf off = town.off;
    struct log_id log = town.log;
    log.origin = 341821000000;
    expect_lawful(removal_of(&off, &log, 3), "which is not below");
    log.origin = 341821100201;
    noted[0] = 0;
    expect_lawful(removal_of(&off, &log, 3), NULL);
    assert_non_null(
        strstr(noted, "91440300708461136T and is in force was not"));
    town.env.roots = town.node.roots;
    expect_lawful(removal_of(&off, &log, 3), NULL);
    log.origin = 341821100202; /* no issuer */
    expect_lawful(removal_of(&off, &log, 3), "341821100202 may list nobody");
    log.origin = 341821100201;
    take_package(removal_of(&off, &log, 3));
    expect_lawful(removal_of(&off, &log, 3), "ended that listing already");
    expect_lawful(removal_of(&off, &log, 4), NULL);
}

/* That a removal was not checked is told, whatever the node says whose listing
 * it ends; and nothing of it that is no code. */
static void what_is_told_of_it_is_a_code_or_nothing(void **state)
{
    static const char *const said[] = {
        "999900200002290017", "\xff\xff[2J340000010000X", "91340000100000032X"};
    (void)state;
    list_and_prepare_removal();
    struct log_id log = town.log;
    log.origin = 341821100201;
    const struct listing_place place = {log, 3};
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        enter_execution(town.node.store, TOWNSHIP, &place, said[i], "counter",
                        "");
        noted[0] = 0;
        expect_lawful(removal_of(&town.off, &log, 3), NULL);
        assert_non_null(strstr(noted, "and is in force was not"));
        assert_null(strstr(noted, said[i]));
    }
    enter_execution(town.node.store, TOWNSHIP, &place, "91340000100000032W",
                    "counter", "");
    expect_lawful(removal_of(&town.off, &log, 3), NULL);
    assert_non_null(strstr(noted, "it lists 91340000100000032W"));
}

static void where_nobody_decides_nothing_is_prepared(void **state)
{
    (void)state;
    town.env.roots = town.node.roots;
    assert_ok(directive_check_issuer(&town.env, &last_why));
    town.env.self.code = 341821100202;
    assert_int_equal(directive_check_issuer(&town.env, &last_why), ERR_DENIED);
    assert_non_null(strstr(last_why.text, "341821100202"));
    assert_non_null(strstr(last_why.text, "341821100000"));
    assert_non_null(strstr(last_why.text, "340000000000"));
    assert_null(strstr(last_why.text, "341821100201"));
    town.env.self.code = 110000000000;
    assert_int_equal(directive_check_issuer(&town.env, &last_why), ERR_DENIED);
    assert_non_null(strstr(last_why.text, "no node above it decides"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_in_force_is_read_or_nothing_is_prepared),
        CASE(what_was_made_elsewhere_is_judged_before_it_is_published),
        CASE(rows_are_judged_by_what_was_said_and_is_in_force),
        CASE(a_removal_ends_all_listings_by_its_document),
        CASE(a_document_number_is_the_same_in_full_width),
        CASE(what_is_no_decision_is_not_published),
        CASE(a_removal_is_of_the_listing_that_its_values_name),
        CASE(what_names_one_list_is_not_about_another),
        CASE(of_a_listing_of_another_node_is_told_what_is_known),
        CASE(what_is_told_of_it_is_a_code_or_nothing),
        CASE(where_nobody_decides_nothing_is_prepared),
    };
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
