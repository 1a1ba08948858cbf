/* List decisions: the rules at entry, and as entries of a log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credit/listing.h"
#include "credit/rules.h"

#define SUBJECT "91340000000000001X"
#define LAWFUL_SUBJECT "913400001000000167"

static void fill(struct record *r, uint16_t item)
{
    static const struct {
        uint16_t field;
        const char *value;
    } usual[] = {
        {FIELD_NAME, "示例商贸有限公司"},
        {FIELD_USCC, SUBJECT},
        {FIELD_DOCUMENT_NO, "示例认〔2026〕3号"},
        {FIELD_FACTS, "拒不履行生效判决"},
        {FIELD_BASIS, "示例条例第十条"},
        {FIELD_DECIDED, "20260301"},
        {FIELD_FROM, "20260305"},
        {FIELD_UNTIL, "20290304"},
        {FIELD_AUTHORITY, "示例市中级人民法院"},
        {FIELD_AUTHORITY_CODE, "11340000000000001F"},
        {FIELD_DIVISION, "341800000000"},
        {FIELD_LIST, "失信被执行人"},
        {FIELD_NOTICE_NO, "示例告〔2026〕3号"},
        {FIELD_NOTICE_DATE, "20260201"},
        {FIELD_MEASURES, "C01、C07"},
        {FIELD_REMOVAL_TERMS, "履行完毕"},
        {FIELD_LISTED_NO, "示例认〔2025〕9号"},
    };
    record_init(r, catalogue_item(item));
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        if (catalogue_place(r->item, usual[i].field) != PLACE_NONE) {
            record_set(r, usual[i].field, slice_str(usual[i].value));
        }
    }
}

struct breaches {
    char text[512];
    size_t n;
};

static void on_breach(void *ctx, const struct catalogue_field *field,
                      const char *rule)
{
    struct breaches *b = ctx;
    b->n++;
    size_t used = strlen(b->text);
    (void)snprintf(b->text + used, sizeof b->text - used, "%s %s\n",
                   field->code, rule);
}

static const char *judge(struct record *r)
{
    static struct breaches b;
    b = (struct breaches){.n = 0};
    size_t n = rules_record(r, SET_2018, 0, 20260601, on_breach, &b);
    assert_int_equal(n, b.n);
    return b.text;
}

static void a_whole_decision_passes(void **state)
{
    struct record r;
    (void)state;
    fill(&r, ITEM_LISTING);
    assert_string_equal(judge(&r), "");
    fill(&r, ITEM_REMOVAL);
    assert_string_equal(judge(&r), "");
}

static void nothing_that_the_law_asks_for_may_be_missing(void **state)
{
    static const uint16_t needed[] = {
        FIELD_NAME,           FIELD_USCC,        FIELD_DOCUMENT_NO,
        FIELD_FACTS,          FIELD_BASIS,       FIELD_DECIDED,
        FIELD_FROM,           FIELD_UNTIL,       FIELD_AUTHORITY,
        FIELD_AUTHORITY_CODE, FIELD_DIVISION,    FIELD_LIST,
        FIELD_NOTICE_NO,      FIELD_NOTICE_DATE, FIELD_MEASURES,
        FIELD_REMOVAL_TERMS};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        struct record r;
        char expected[64];
        fill(&r, ITEM_LISTING);
        record_set(&r, needed[i], slice_of(NULL, 0));
        (void)snprintf(expected, sizeof expected, "%s missing\n",
                       r.item->fields[catalogue_place(r.item, needed[i])].code);
        assert_string_equal(judge(&r), expected);
    }
}

static void what_contradicts_itself_is_refused(void **state)
{
    static const struct {
        uint16_t field;
        const char *value;
        const char *breach;
    } cases[] = {
        {FIELD_COLOUR, "红", "MD_HHBZ list-colour\n"},
        {FIELD_COLOUR, "黑", ""},
        {FIELD_DOMAIN, "拒不履行国防义务", "MD_LY list-domain\n"},
        {FIELD_DOMAIN, "拒不履行法定义务", ""},
        {FIELD_NOTICE_DATE, "20260302", "MD_GZRQ notice-order\n"},
        {FIELD_NOTICE_DATE, "20260301", ""},
        {FIELD_FROM, "20260228", "MD_QSRQ from-order\n"},
        {FIELD_UNTIL, "20260304", "MD_JZRQ date-order\n"},
        {FIELD_UNTIL, "99991231", ""},
        {FIELD_DECIDED, "20260602",
         "MD_JDRQ date-future\nMD_QSRQ from-order\n"},
        {FIELD_LIST, "严重失信主体名单", "MD_LY missing\n"},
        {FIELD_LIST, "重点关注名单", ""},
        {FIELD_FACTS, "身份证11010519491231002X", "MD_SY personal-in-text\n"},
        {FIELD_FACTS, "甲\n乙", "MD_SY control-character\n"},
        {FIELD_BASIS, "条例\u202e", "MD_YJ control-character\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct record r;
        fill(&r, ITEM_LISTING);
        record_set(&r, cases[i].field, slice_str(cases[i].value));
        assert_string_equal(judge(&r), cases[i].breach);
    }
}

/* ---- as entries ---- */

static void identify(struct record *r)
{
    const struct record_keys keys = {.suite = SUITE_INTL};
    assert_int_equal(record_identify(r, &keys), ERR_OK);
}

static const struct listing_place place = {
    .log = {.origin = 0,
            .incarnation = 0x9f86d081884c7d65,
            .kind = LOG_DIRECTIVES},
    .number = 12};

/* Encoded into `bytes`, decoded from there. */
static void through_the_log(const struct record *r, uint8_t type,
                            const struct listing_place *target,
                            struct buf *bytes, struct entry *out)
{
    struct buf room = BUF_INIT;
    struct entry e;
    assert_int_equal(
        listing_to_entry(r, type, target, 1772000000000, &room, &e), ERR_OK);
    entry_encode(&e, bytes);
    buf_fini(&room);
    assert_int_equal(entry_decode(buf_slice(bytes), out), ERR_OK);
}

static void a_listing_comes_back_from_its_entry(void **state)
{
    struct record r;
    struct record back;
    struct entry e;
    struct listing_facts f;
    struct buf bytes = BUF_INIT;
    (void)state;
    fill(&r, ITEM_LISTING);
    identify(&r);
    assert_int_equal(listing_domain_of(&r), DOMAIN_LEGAL_DUTY);
    through_the_log(&r, ENTRY_LISTING, NULL, &bytes, &e);
    assert_int_equal(listing_facts(&e, 0, &f), ERR_OK);
    assert_int_equal(f.list, 34);
    assert_int_equal(f.decided, 20260301);
    assert_int_equal(f.from, 20260305);
    assert_int_equal(f.until, 20290304);
    assert_int_equal(listing_values(&e, &back), ERR_OK);
    assert_string_equal(back.subject, SUBJECT);
    for (size_t i = 0; i < r.item->count; i++) {
        assert_true(slice_eq(r.values[i], back.values[i]));
    }
    buf_fini(&bytes);
}

static void a_removal_names_its_listing(void **state)
{
    struct record r;
    struct entry e;
    struct listing_facts f;
    struct buf bytes = BUF_INIT;
    (void)state;
    fill(&r, ITEM_REMOVAL);
    identify(&r);
    through_the_log(&r, ENTRY_REMOVAL, &place, &bytes, &e);
    assert_int_equal(listing_facts(&e, 340000000000, &f), ERR_OK);
    assert_int_equal(f.type, ENTRY_REMOVAL);
    assert_true(log_id_eq(&f.target.log, &place.log));
    assert_int_equal(f.target.number, 12);
    /* Another authority's listing is not corrected. */
    e.type = ENTRY_CORRECTION;
    assert_int_equal(listing_facts(&e, 340000000000, &f), ERR_INVALID);
    assert_int_equal(listing_facts(&e, 0, &f), ERR_OK);
    buf_fini(&bytes);
}

static void malformed_entries_say_nothing(void **state)
{
    struct record r;
    struct entry e;
    struct entry bad;
    struct listing_facts f;
    struct buf bytes = BUF_INIT;
    (void)state;
    fill(&r, ITEM_LISTING);
    identify(&r);
    through_the_log(&r, ENTRY_LISTING, NULL, &bytes, &e);
    bad = e;
    bad.type = ENTRY_RECORD;
    assert_int_equal(listing_facts(&bad, 0, &f), ERR_INVALID);
    bad = e;
    bad.subject_kind = SUBJECT_PERSON;
    assert_int_equal(listing_facts(&bad, 0, &f), ERR_INVALID);
    bad = e;
    bad.flags = ENTRY_FLAG_SEALED;
    assert_int_equal(listing_facts(&bad, 0, &f), ERR_INVALID);
    bad = e;
    bad.item = 0;
    assert_int_equal(listing_facts(&bad, 0, &f), ERR_INVALID);
    bad = e;
    bad.prev_number = 4; /* a listing replaces none */
    assert_int_equal(listing_facts(&bad, 0, &f), ERR_INVALID);
    bad = e;
    bad.type = ENTRY_REMOVAL; /* that names none */
    assert_int_equal(listing_facts(&bad, 0, &f), ERR_INVALID);
    bad = e;
    bad.body = slice_of("\x0a\xff", 2);
    assert_int_equal(listing_values(&bad, &r), ERR_INVALID);
    buf_fini(&bytes);
}

/* ---- before it is published ---- */

static const char *fault_of(const struct record *r, uint8_t type,
                            void (*change)(struct entry *e))
{
    static char said[64];
    const char *column;
    struct entry e;
    struct buf bytes = BUF_INIT;
    through_the_log(r, type, type == ENTRY_LISTING ? NULL : &place, &bytes, &e);
    if (change != NULL) {
        change(&e);
    }
    const char *rule = listing_fault(&e, 341800000000, 20260601, &column);
    (void)snprintf(said, sizeof said, "%s %s", column,
                   rule != NULL ? rule : "none");
    buf_fini(&bytes);
    return said;
}

static void fill_lawful(struct record *r, uint16_t item)
{
    fill(r, item);
    record_set(r, FIELD_USCC, slice_str(LAWFUL_SUBJECT));
    record_set(r, FIELD_AUTHORITY_CODE, slice_str("11340000200000013H"));
    identify(r);
}

/* What rules alone do not refuse: values in forms that records do not have. */
static void what_could_not_be_entered_is_not_published(void **state)
{
    static const struct {
        uint16_t field;
        const char *value;
        const char *fault;
    } cases[] = {
        {FIELD_REMARK, "无误", " none"},
        {FIELD_BASIS, "", "MD_YJ missing"},
        {FIELD_NOTICE_NO, "", "MD_GZWSH missing"},
        {FIELD_AUTHORITY, "", "MD_JG missing"},
        {FIELD_NOTICE_DATE, "20260302", "MD_GZRQ notice-order"},
        {FIELD_DIVISION, "330000000000", "MD_XZQH authority-area"},
        {FIELD_DIVISION, "340000000000", "MD_XZQH authority-area"},
        {FIELD_LIST, "黑名单", "MD_MDLX malformed"}, /* a word for files */
        {FIELD_LIST, "随意", " malformed"}, /* holders know no such list */
        {FIELD_DECIDED, "2026-03-01", "MD_JDRQ malformed"},
        {FIELD_DECIDED, "20260230", "MD_JDRQ date-form"},
        {FIELD_FACTS, "身份证９９９９００２００００２２９００１７",
         "MD_SY personal-in-text"},
        {FIELD_FACTS, "\x1b[1A列入", "MD_SY control-character"},
        {FIELD_FACTS, "\xd6\xd0", "MD_SY encoding"},
        {FIELD_DOCUMENT_NO, "示例(2026)3号", "MD_WSH malformed"},
        {FIELD_AUTHORITY_CODE, "11340000200000013X", "MD_JGDM uscc-check"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct record r;
        fill_lawful(&r, ITEM_LISTING);
        record_set(&r, cases[i].field, slice_str(cases[i].value));
        assert_string_equal(fault_of(&r, ENTRY_LISTING, NULL), cases[i].fault);
    }
}

static void of_person(struct entry *e)
{
    e->subject = slice_str("999900200002290017");
}

static void of_another(struct entry *e)
{
    e->subject = slice_str("91340000100000032W");
}

static void decided_later(struct entry *e)
{
    e->decided++;
}

static void for_ever(struct entry *e)
{
    e->until = 0;
}

static void on_another_list(struct entry *e)
{
    e->item = 1;
}

/* Holders go by the envelope, people by the values. */
static void the_envelope_says_what_people_see(void **state)
{
    static void (*const changes[])(struct entry *) = {
        of_person, of_another, decided_later, for_ever, on_another_list};
    struct record r;
    (void)state;
    for (int removal = 0; removal <= 1; removal++) {
        uint8_t type = removal ? ENTRY_REMOVAL : ENTRY_LISTING;
        fill_lawful(&r, removal ? ITEM_REMOVAL : ITEM_LISTING);
        assert_string_equal(fault_of(&r, type, NULL), " none");
        for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
            bool same = removal && changes[i] == for_ever;
            assert_string_equal(fault_of(&r, type, changes[i]),
                                same ? " none" : " malformed");
        }
    }
}

/* Before anybody signs: what is malformed otherwise contradicts nothing. */
static void who_signs_is_told_of_a_contradiction(void **state)
{
    static void (*const changes[])(struct entry *) = {
        of_another, decided_later, for_ever, on_another_list};
    struct record r;
    struct entry e;
    struct buf bytes = BUF_INIT;
    (void)state;
    fill_lawful(&r, ITEM_LISTING);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        through_the_log(&r, ENTRY_LISTING, NULL, &bytes, &e);
        assert_true(listing_is_consistent(&e));
        changes[i](&e);
        assert_false(listing_is_consistent(&e));
        buf_clear(&bytes);
    }
    record_set(&r, FIELD_DOCUMENT_NO, slice_str("\x1b[1A"));
    through_the_log(&r, ENTRY_LISTING, NULL, &bytes, &e);
    assert_true(listing_is_consistent(&e));
    e.type = ENTRY_RECORD;
    assert_false(listing_is_consistent(&e));
    buf_fini(&bytes);
}

static void a_person_is_on_no_list(void **state)
{
    struct record r;
    struct entry e;
    struct listing_facts f;
    struct buf bytes = BUF_INIT;
    (void)state;
    fill(&r, ITEM_LISTING);
    identify(&r);
    through_the_log(&r, ENTRY_LISTING, NULL, &bytes, &e);
    of_person(&e);
    assert_int_equal(listing_facts(&e, 0, &f), ERR_INVALID);
    e.subject = slice_str("999900200002290018");
    assert_int_equal(listing_facts(&e, 0, &f), ERR_OK); /* nobody's number */
    buf_fini(&bytes);
}

static void authority_goes_down_the_tree(void **state)
{
    (void)state;
    assert_true(listing_may_end(341800000000, 341800000000));
    assert_true(listing_may_end(0, 341800000000));
    assert_true(listing_may_end(340000000000, 341800000000));
    assert_false(listing_may_end(341800000000, 340000000000));
    assert_false(listing_may_end(330000000000, 341800000000));
    assert_true(listing_counts_at(0, 341821100201));
    assert_true(listing_counts_at(341821100201, 341821100201));
    assert_false(listing_counts_at(341821100201, 341821100000));
    assert_false(listing_counts_at(330000000000, 341821100201));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_decision_passes),
        cmocka_unit_test(nothing_that_the_law_asks_for_may_be_missing),
        cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(a_listing_comes_back_from_its_entry),
        cmocka_unit_test(a_removal_names_its_listing),
        cmocka_unit_test(malformed_entries_say_nothing),
        cmocka_unit_test(what_could_not_be_entered_is_not_published),
        cmocka_unit_test(the_envelope_says_what_people_see),
        cmocka_unit_test(who_signs_is_told_of_a_contradiction),
        cmocka_unit_test(a_person_is_on_no_list),
        cmocka_unit_test(authority_goes_down_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
