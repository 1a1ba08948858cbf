/* What came of a directive, as a record: keys, rules, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "credit/execution.h"

#define LOG_TEXT "341821000000/directives/9f86d081884c7d65"

static struct execution usual(enum outcome outcome)
{
    return (struct execution){
        .listing = {{341821000000, UINT64_C(0x9f86d081884c7d65),
                     LOG_DIRECTIVES},
                    12},
        .list = 34,
        .subject = "913400001000000167",
        .node = 341821100201,
        .app = "counter",
        .day = 20261127,
        .outcome = outcome,
        .measures = slice_str(outcome == OUTCOME_APPLIED ? "C01、C07" : ""),
        .reason = slice_str(outcome == OUTCOME_REFUSED ? "系统不支持" : "")};
}

static void subjects_have_one_form(void **state)
{
    static const char *const bad[] = {"",
                                      "#12",
                                      LOG_TEXT,
                                      LOG_TEXT "#",
                                      LOG_TEXT "#0",
                                      LOG_TEXT "#012",
                                      LOG_TEXT "#12 ",
                                      LOG_TEXT "#99999999999999999999",
                                      "341821000000/records/9f86d081884c7d65#1",
                                      "91340000000000001X"};
    char text[EXECUTION_SUBJECT_MAX];
    struct listing_place place;
    (void)state;
    struct execution x = usual(OUTCOME_HIT);
    execution_subject(&x.listing, text);
    assert_string_equal(text, LOG_TEXT "#12");
    assert_true(execution_parse_subject(text, &place));
    assert_true(log_id_eq(&place.log, &x.listing.log) && place.number == 12);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(execution_parse_subject(bad[i], &place));
    }
    x.listing.number = UINT64_MAX;
    execution_subject(&x.listing, text);
    assert_true(strlen(text) <= 63); /* fits a subject key */
}

/* The vectors of docs/protocol.md. */
static void the_key_is_this(void **state)
{
    const struct execution x = usual(OUTCOME_HIT);
    uint8_t key[RECORD_KEY_LEN];
    char hex[2 * RECORD_KEY_LEN + 1];
    (void)state;
    execution_key(SUITE_INTL, &x, key);
    str_hex(key, sizeof key, hex);
    assert_string_equal(hex, "4904f86d02f099877c519d9a32779af9");
    execution_key(SUITE_GM, &x, key);
    str_hex(key, sizeof key, hex);
    assert_string_equal(hex, "b5b8ba60c59fb167331f561090ff92a1");
}

static void each_outcome_comes_back_as_it_was(void **state)
{
    (void)state;
    for (int o = OUTCOME_HIT; o <= OUTCOME_REFUSED; o++) {
        const struct execution x = usual((enum outcome)o);
        struct execution again;
        struct buf room = BUF_INIT;
        struct buf bytes = BUF_INIT;
        struct entry e;
        struct slice app;
        struct errmsg why = {""};
        assert_int_equal(execution_to_entry(&x, SUITE_INTL, 1, &room, &e, &why),
                         ERR_OK);
        entry_encode(&e, &bytes);
        assert_int_equal(entry_decode(buf_slice(&bytes), &e), ERR_OK);
        assert_int_equal(e.disclosure, DISCLOSURE_SHARED);
        assert_int_equal(execution_take(&e, &again, &app), ERR_OK);
        assert_int_equal(again.outcome, o);
        assert_int_equal(again.list, 34);
        assert_int_equal(again.day, 20261127);
        assert_string_equal(again.subject, x.subject);
        assert_true(slice_eq(app, slice_str("counter")));
        assert_true(slice_eq(again.measures, x.measures));
        assert_true(slice_eq(again.reason, x.reason));
        assert_int_equal(again.listing.number, 12);
        e.subject_kind = SUBJECT_USCC;
        assert_int_equal(execution_take(&e, &again, &app), ERR_INVALID);
        buf_fini(&room);
        buf_fini(&bytes);
    }
}

static void refuse(struct execution *x, const char *says)
{
    struct buf room = BUF_INIT;
    struct entry e;
    struct errmsg why = {""};
    enum err err = execution_to_entry(x, SUITE_INTL, 1, &room, &e, &why);
    if (err != ERR_INVALID || strstr(why.text, says) == NULL) {
        fail_msg("%s: %s: %s", says, err_name(err), why.text);
    }
    buf_fini(&room);
}

static void what_breaks_a_rule_is_refused(void **state)
{
    char longest[501];
    (void)state;
    memset(longest, 'x', sizeof longest);
    struct execution x = usual(OUTCOME_APPLIED);
    x.measures = slice_str("");
    refuse(&x, "measures");
    x = usual(OUTCOME_REFUSED);
    x.reason = slice_str("");
    refuse(&x, "reason");
    x.reason = slice_of(longest, sizeof longest);
    refuse(&x, "too-long");
    x.reason = slice_str("持证人 11010519491231002X 不同意");
    refuse(&x, "personal-in-text");
    x.reason = slice_of("\xff", 1);
    refuse(&x, "encoding");
    x = usual(OUTCOME_HIT);
    x.day = 20261301;
    refuse(&x, "date-form");
    x = usual(OUTCOME_HIT);
    x.app = "";
    refuse(&x, "missing");
    x = usual(OUTCOME_HIT);
    memcpy(x.subject, "913400000000000011", USCC_LEN + 1);
    refuse(&x, "uscc-check");
}

static void names_are_those_of_the_api(void **state)
{
    enum outcome out;
    (void)state;
    assert_true(outcome_parse("not-applicable", &out));
    assert_int_equal(out, OUTCOME_NOT_APPLICABLE);
    assert_false(outcome_parse("hit", &out)); /* nobody reports that */
    assert_false(outcome_parse("", &out));
    assert_string_equal(outcome_name(OUTCOME_REFUSED), "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects_have_one_form),
        cmocka_unit_test(the_key_is_this),
        cmocka_unit_test(each_outcome_comes_back_as_it_was),
        cmocka_unit_test(what_breaks_a_rule_is_refused),
        cmocka_unit_test(names_are_those_of_the_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
