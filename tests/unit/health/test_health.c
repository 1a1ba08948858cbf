/* Which facts make a node warn or raise the alarm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "health/health.h"

static const int64_t now_ms = INT64_C(1767225600000);
static const int64_t minute_ms = 60000;
static const int64_t day_ms = INT64_C(86400000);

static struct health_facts good(void)
{
    return (struct health_facts){
        .now_ms = now_ms,
        .has_parent = true,
        .connected = true,
        .connected_since_ms = now_ms - minute_ms,
        .connect_error = "",
        .store = {.writable = true, .why = "", .damage_todo = ""},
        .tls_not_after_ms = now_ms + 300 * day_ms,
        .sign_not_after_ms = now_ms + 300 * day_ms,
        .seal_not_after_ms = now_ms + 300 * day_ms,
        .root_ca = "",
        .root_fork = "",
        .exchange_why = "",
        .stuck_log = "",
        .stuck_why = "",
    };
}

/* The only reason is `id` at `level`; "" for none. */
static void expect(const struct health_facts *f, enum health_level level,
                   const char *id)
{
    struct health_report r;
    health_judge(f, &r);
    if (r.level != level || r.count != (id[0] != 0 ? 1 : 0)) {
        fail_msg("%s: level %d, %zu reasons", id, (int)r.level, r.count);
    }
    if (r.count > 0) {
        assert_string_equal(r.reason[0].id, id);
        assert_int_equal(r.reason[0].level, level);
        assert_true(r.reason[0].text[0] != 0);
        assert_true(r.reason[0].text_zh[0] != 0);
    }
}

static void a_sound_node_has_no_reason(void **state)
{
    (void)state;
    struct health_facts f = good();
    expect(&f, HEALTH_OK, "");
    /* The top of the federation has nobody to be connected to. */
    f.has_parent = f.connected = false;
    f.connected_since_ms = 0;
    expect(&f, HEALTH_OK, "");
}

static void a_root_document_that_does_not_fit_alarms(void **state)
{
    (void)state;
    struct health_facts f = good();
    f.root_ca = "ca.pem: the CA x is not one of the root document";
    expect(&f, HEALTH_ALARM, "root-ca");
    f = good();
    f.root_fork = "version 2 has the hash x, this node's has y";
    expect(&f, HEALTH_ALARM, "root-forked");
}

static void lists_are_judged(void **state)
{
    struct health_facts f = good();
    (void)state;
    f.stale_lists = 2;
    expect(&f, HEALTH_WARN, "lists-stale");
    f = good();
    f.unproven_lists = 1;
    expect(&f, HEALTH_WARN, "lists-clock");
    f = good();
    f.parent_offers_older = true;
    expect(&f, HEALTH_ALARM, "lists-rolled-back");
    f.parent_offers_older = false;
    f.other_histories = 1;
    expect(&f, HEALTH_ALARM, "lists-forked-below");
    f = good();
    f.lost_lists = true;
    f.lost_lists_child = 341821100000;
    expect(&f, HEALTH_ALARM, "lists-lost");
}

static void another_keyring_is_an_alarm(void **state)
{
    struct health_facts f = good();
    (void)state;
    f.store.other_keyring = true;
    expect(&f, HEALTH_ALARM, "store-keyring");
}

static void a_store_that_awaits_its_parent_warns(void **state)
{
    struct health_facts f = good();
    (void)state;
    f.store.awaits_parent = true;
    expect(&f, HEALTH_WARN, "store-on-hold");
}

static void a_damaged_store_alarms(void **state)
{
    (void)state;
    struct health_facts f = good();
    struct health_report r;
    f.store.damaged = true;
    f.store.damage_todo = "restore the database";
    (void)snprintf(f.store.damage, sizeof f.store.damage, "000012.sst");
    expect(&f, HEALTH_ALARM, "store-damaged");
    health_judge(&f, &r); /* what to do is not the same for every backend */
    assert_string_equal(r.reason[0].text, "restore the database: 000012.sst");
}

static void a_log_that_does_not_rise_warns_then_alarms(void **state)
{
    (void)state;
    struct health_facts f = good();
    struct health_report r;
    f.stuck_for_ms = 20 * minute_ms; /* of none */
    expect(&f, HEALTH_OK, "");
    f.stuck_logs = 2;
    f.stuck_log = "341821100201/records/9f86d081884c7d65";
    f.stuck_why = "not below 341821000000";
    f.stuck_for_ms = 15 * minute_ms - 1;
    expect(&f, HEALTH_WARN, "logs-stopped");
    f.stuck_for_ms++;
    expect(&f, HEALTH_ALARM, "logs-stopped");
    health_judge(&f, &r);
    assert_string_equal(r.reason[0].text,
                        "2 logs do not rise, for 15 min: "
                        "341821100201/records/9f86d081884c7d65: not below "
                        "341821000000");
    f.stuck_why = "";
    health_judge(&f, &r);
    assert_non_null(strstr(r.reason[0].text, "SYNC-"));
}

static void silent_children_warn(void **state)
{
    (void)state;
    struct health_facts f = good();
    struct health_report r;
    f.silent_children = 3;
    f.silent_child = 41821100201ull; /* codes have 12 digits */
    f.silent_for_ms = 12 * minute_ms;
    expect(&f, HEALTH_WARN, "child-silent");
    health_judge(&f, &r);
    assert_non_null(strstr(r.reason[0].text, "3 children"));
    assert_non_null(strstr(r.reason[0].text, "041821100201 for 12 min"));
    assert_non_null(strstr(r.reason[0].text_zh, "041821100201 已 12 分钟"));
}

static void a_cut_line_warns_then_alarms(void **state)
{
    (void)state;
    static const struct {
        int64_t down_ms;
        const char *error;
        enum health_level level;
    } rows[] = {
        {0, "", HEALTH_OK},
        {59999, "", HEALTH_OK},
        {60000, "", HEALTH_WARN},
        {1000, "connection refused", HEALTH_WARN},
        {899999, "connection refused", HEALTH_WARN},
        {900000, "connection refused", HEALTH_ALARM},
        {900000, "", HEALTH_ALARM},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct health_facts f = good();
        f.connected = false;
        f.connected_since_ms = now_ms - rows[i].down_ms;
        f.connect_error = rows[i].error;
        expect(&f, rows[i].level,
               rows[i].level == HEALTH_OK ? "" : "uplink-down");
    }
}

static void an_old_error_of_a_standing_line_is_no_reason(void **state)
{
    (void)state;
    struct health_facts f = good();
    f.connect_error = "connection refused";
    expect(&f, HEALTH_OK, "");
}

static void a_store_that_refuses_writes_is_an_alarm(void **state)
{
    (void)state;
    struct health_facts f = good();
    struct health_report r;
    f.store.writable = false;
    (void)snprintf(f.store.why, sizeof f.store.why, "%s", "3 MiB free");
    expect(&f, HEALTH_ALARM, "store-not-writable");
    health_judge(&f, &r);
    assert_non_null(strstr(r.reason[0].text, "3 MiB free"));
}

static void views_that_stay_behind_warn(void **state)
{
    (void)state;
    struct health_facts f = good();
    struct health_report r;
    f.views = (struct views_stats){
        .on = true, .behind = 7, .late_ms = 59 * 1000, .why = "no server"};
    expect(&f, HEALTH_OK, "");
    f.views.late_ms = 60 * 1000;
    expect(&f, HEALTH_WARN, "views-stopped");
    health_judge(&f, &r);
    assert_non_null(strstr(r.reason[0].text, "no server"));
    f.views.why[0] = 0;
    f.views.late_ms = 5 * 60 * 1000 - 1;
    expect(&f, HEALTH_OK, "");
    f.views.late_ms++;
    expect(&f, HEALTH_WARN, "views-behind");
    health_judge(&f, &r);
    assert_non_null(strstr(r.reason[0].text, "7 entries and 5 minutes"));
    f.views.on = false;
    expect(&f, HEALTH_OK, "");
}

static void logs_and_entries_are_judged(void **state)
{
    (void)state;
    struct health_facts f = good();
    f.forked_logs = 1;
    expect(&f, HEALTH_ALARM, "log-forked");
    f = good();
    f.pulling_logs = 1;
    expect(&f, HEALTH_WARN, "log-restored");
    f = good();
    f.store.issues = 1;
    expect(&f, HEALTH_WARN, "entries-without-effect");
}

static void certificates_are_judged_by_days_left(void **state)
{
    (void)state;
    static const struct {
        int64_t left_ms;
        enum health_level level;
        const char *id;
    } rows[] = {
        {INT64_C(86400000) * 30, HEALTH_OK, ""},
        {INT64_C(86400000) * 30 - 1, HEALTH_WARN, "certificate-expiring"},
        {INT64_C(86400000) * 7, HEALTH_WARN, "certificate-expiring"},
        {INT64_C(86400000) * 7 - 1, HEALTH_ALARM, "certificate-expiring"},
        {1, HEALTH_ALARM, "certificate-expiring"},
        {0, HEALTH_ALARM, "certificate-expired"},
        {-1, HEALTH_ALARM, "certificate-expired"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct health_facts f = good();
        f.tls_not_after_ms = now_ms + rows[i].left_ms;
        expect(&f, rows[i].level, rows[i].id);
        f = good();
        f.sign_not_after_ms = now_ms + rows[i].left_ms;
        expect(&f, rows[i].level, rows[i].id);
        f = good();
        f.seal_not_after_ms = now_ms + rows[i].left_ms;
        expect(&f, rows[i].level, rows[i].id);
    }
    struct health_facts f = good();
    f.seal_not_after_ms = 0; /* has none */
    expect(&f, HEALTH_OK, "");
}

static void a_clock_that_differs_warns_in_both_directions(void **state)
{
    (void)state;
    struct health_facts f = good();
    struct health_report r;
    int64_t *const skews[] = {&f.parent_skew_ms, &f.child_skew_ms};
    for (size_t i = 0; i < ARRAY_LEN(skews); i++) {
        *skews[i] = 59999;
        expect(&f, HEALTH_OK, "");
        *skews[i] = 60000;
        expect(&f, HEALTH_WARN, "clock");
        *skews[i] = -60000;
        expect(&f, HEALTH_WARN, "clock");
        *skews[i] = 0;
    }
    /* One clock off is one reason, and the parent's is likelier right. */
    f.child_skew_ms = f.parent_skew_ms = 90000;
    expect(&f, HEALTH_WARN, "clock");
    health_judge(&f, &r);
    assert_non_null(strstr(r.reason[0].text, "90 s behind the parent's"));
    assert_non_null(strstr(r.reason[0].text_zh, "慢 90 秒"));
    f.parent_skew_ms = -90000;
    health_judge(&f, &r);
    assert_non_null(strstr(r.reason[0].text, "90 s ahead of the parent's"));
    assert_non_null(strstr(r.reason[0].text_zh, "快 90 秒"));
}

static bool is_listed(const char *id)
{
    size_t i = 0;
    while (health_reason_ids[i] != NULL &&
           strcmp(health_reason_ids[i], id) != 0) {
        i++;
    }
    return health_reason_ids[i] != NULL;
}

/* Everything wrong at once: nothing is left out, and every id is listed. */
static void the_worst_reason_gives_the_level(void **state)
{
    (void)state;
    struct health_facts f = good();
    struct health_report r;
    size_t ids = 0;
    while (health_reason_ids[ids] != NULL) {
        ids++;
    }
    f.store.writable = false;
    f.store.damaged = f.store.awaits_parent = true;
    f.forked_logs = f.pulling_logs = f.store.issues = 1;
    f.views = (struct views_stats){.on = true, .late_ms = INT64_MAX};
    f.connected = false;
    f.connected_since_ms = now_ms - minute_ms;
    f.stuck_logs = f.silent_children = 1;
    f.tls_not_after_ms = f.sign_not_after_ms = f.seal_not_after_ms = now_ms;
    f.root_ca = f.root_fork = "x";
    f.stale_lists = f.unproven_lists = f.other_histories = 1;
    f.parent_offers_older = f.lost_lists = f.store.other_keyring = true;
    f.exchange_stopped = f.exchange_stuck = 1;
    f.child_skew_ms = INT64_MAX;
    health_judge(&f, &r);
    assert_int_equal(r.level, HEALTH_ALARM);
    /* views-stopped or -behind, expired or expiring; three certificates. */
    assert_int_equal(r.count, ids - 2 + 2);
    assert_in_range(r.count, 1, HEALTH_REASONS_MAX - 1);
    for (size_t i = 0; i < r.count; i++) {
        assert_non_null(memchr(r.reason[i].text, 0, sizeof r.reason[i].text));
        assert_in_range(strlen(r.reason[i].text_zh), 1,
                        sizeof r.reason[i].text_zh - 2);
        assert_true(is_listed(r.reason[i].id));
    }
    assert_true(is_listed("views-stopped"));
    assert_true(is_listed("certificate-expiring"));
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char error[1000];
    struct health_report r;
    struct health_facts f = good();
    memset(error, 'x', sizeof error - 1);
    error[sizeof error - 1] = 0;
    f.connected = false;
    f.connect_error = error;
    for (int i = 0; i < 2; i++) {
        f.connected_since_ms = i == 0 ? now_ms : 0;
        health_judge(&f, &r);
        assert_int_equal(r.count, 1);
        assert_true(strlen(r.reason[0].text) < sizeof r.reason[0].text);
    }
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(health_level_name(HEALTH_OK), "ok");
    assert_string_equal(health_level_name(HEALTH_WARN), "warn");
    assert_string_equal(health_level_name(HEALTH_ALARM), "alarm");
}

static void an_exchange_that_stops_is_told(void **state)
{
    (void)state;
    struct health_facts f = good();
    f.exchange_stopped = 1;
    f.exchange_why = "no table water there";
    expect(&f, HEALTH_WARN, "exchange-stopped");
    f = good();
    f.exchange_stuck = 3;
    expect(&f, HEALTH_WARN, "exchange-stuck");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_that_stops_is_told),
        cmocka_unit_test(a_sound_node_has_no_reason),
        cmocka_unit_test(a_root_document_that_does_not_fit_alarms),
        cmocka_unit_test(lists_are_judged),
        cmocka_unit_test(views_that_stay_behind_warn),
        cmocka_unit_test(another_keyring_is_an_alarm),
        cmocka_unit_test(a_store_that_awaits_its_parent_warns),
        cmocka_unit_test(a_damaged_store_alarms),
        cmocka_unit_test(a_log_that_does_not_rise_warns_then_alarms),
        cmocka_unit_test(silent_children_warn),
        cmocka_unit_test(a_cut_line_warns_then_alarms),
        cmocka_unit_test(an_old_error_of_a_standing_line_is_no_reason),
        cmocka_unit_test(a_store_that_refuses_writes_is_an_alarm),
        cmocka_unit_test(logs_and_entries_are_judged),
        cmocka_unit_test(certificates_are_judged_by_days_left),
        cmocka_unit_test(a_clock_that_differs_warns_in_both_directions),
        cmocka_unit_test(the_worst_reason_gives_the_level),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
