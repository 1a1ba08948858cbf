/* Questions over a real store: who sees what, pages, histories, owners. */
#include "unit/api/records.h"

#include "api/query.h"
#include "support/scripted_backend.h"

static struct node village;
static struct node township;
static struct api_env env; /* asks the village, or the township */

/* ---- asking ---- */

struct seen {
    struct buf contents; /* of each record, with a blank */
    size_t count;
    size_t room; /* 0: any number */
    char name[64];
};

static bool see(void *ctx, const struct found *f)
{
    struct seen *s = ctx;
    if (s->room > 0 && s->count == s->room) {
        return false;
    }
    s->count++;
    if (f->decoded) {
        buf_put_slice(&s->contents, record_get(&f->record, FIELD_CONTENT));
        buf_put_str(&s->contents, " ");
        struct unsealer unsealer = query_unsealer(&env);
        struct buf name = BUF_INIT;
        for (size_t i = 0; i < f->record.item->count; i++) {
            if (f->record.item->fields[i].id == FIELD_PERSON_ID) {
                assert_ok(record_show(&f->record, i, f->row.log.origin,
                                      RECORD_MASKED, &unsealer, &name));
            }
        }
        (void)snprintf(s->name, sizeof s->name, "%s", buf_cstr(&name));
        buf_fini(&name);
    }
    return true;
}

static void seen_clear(struct seen *s)
{
    buf_fini(&s->contents);
    *s = (struct seen){.room = s->room};
}

static struct access reader(enum disclosure widest)
{
    return (struct access){.read = true, .widest = widest};
}

static size_t ask_subject(struct access access, struct seen *s)
{
    struct subject_query q = {.subject = subject, .access = access};
    struct query_next next = {.more = false};
    struct errmsg why;
    seen_clear(s);
    assert_ok(query_subject(&env, &q, see, s, &next, &why));
    assert_false(next.more);
    return s->count;
}

static bool had_more;
static struct errmsg last_why;

static enum err ask_place(const struct put *p, struct access access,
                          struct seen *s)
{
    struct record_query q = {
        .log = p->log, .number = p->number, .access = access};
    last_why.text[0] = 0;
    seen_clear(s);
    return query_record(&env, &q, see, s, &had_more, &last_why);
}

static enum err ask_key(const struct put *p, struct access access,
                        struct seen *s)
{
    struct record_query q = {
        .subject = subject, .record_key = p->key, .access = access};
    last_why.text[0] = 0;
    seen_clear(s);
    return query_record(&env, &q, see, s, &had_more, &last_why);
}

static int setup(void **state)
{
    (void)state;
    node_init(&village, &store_rocksdb, VILLAGE, "village");
    node_init(&township, &store_rocksdb, TOWNSHIP, "township");
    env = (struct api_env){.store = village.store, .keyring = village.keyring};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    node_fini(&village);
    node_fini(&township);
    return 0;
}

static void at_the_township(void)
{
    env.store = township.store;
    env.keyring = township.keyring;
}

/* ---- who sees what ---- */

static void deny_is_the_default(void **state)
{
    (void)state;
    static const struct conf_app apps[] = {
        {"hall", SCOPE_PUBLIC, {1}},
        {"hospital", SCOPE_PUBLIC | SCOPE_SHARED, {2}},
        {"court", SCOPE_AUTHORISED, {3}},
        {"entry", SCOPE_INGEST, {4}},
        {"counter", SCOPE_FEEDBACK, {5}},
        {"wang", SCOPE_AUTHORISED | SCOPE_INGEST, {6}},
        {"hall", SCOPE_SHARED, {7}}, /* its next key */
    };
    enum { NOW = 1000, READ = 1, INGEST = 2, FEEDBACK = 4 };
    struct conf conf = {.federation = {.name = FEDERATION},
                        .apps = {apps, ARRAY_LEN(apps)}};
    static const struct {
        enum principal_kind kind;
        const char *federation;
        const char *name;
        uint8_t key;
        int64_t not_after_ms;
        unsigned may;
        enum disclosure widest;
    } cases[] = {
        {PRINCIPAL_APP, FEDERATION, "hall", 1, NOW + 1, READ,
         DISCLOSURE_PUBLIC},
        {PRINCIPAL_APP, FEDERATION, "hall", 7, NOW + 1, READ,
         DISCLOSURE_SHARED},
        {PRINCIPAL_APP, FEDERATION, "hospital", 2, NOW + 1, READ,
         DISCLOSURE_SHARED},
        {PRINCIPAL_APP, FEDERATION, "court", 3, NOW + 1, READ,
         DISCLOSURE_AUTHORISED},
        {PRINCIPAL_APP, FEDERATION, "entry", 4, NOW + 1, INGEST,
         DISCLOSURE_PUBLIC},
        {PRINCIPAL_APP, FEDERATION, "counter", 5, NOW + 1, FEEDBACK,
         DISCLOSURE_PUBLIC},
        {PRINCIPAL_OPERATOR, FEDERATION, "wang", 6, NOW + 1, READ | INGEST,
         DISCLOSURE_AUTHORISED},
        /* not listed, be it an operator's */
        {PRINCIPAL_APP, FEDERATION, "unheard", 8, NOW + 1, 0, 0},
        {PRINCIPAL_OPERATOR, FEDERATION, "li", 9, NOW + 1, 0, 0},
        /* of another office, with the name of one that is listed */
        {PRINCIPAL_APP, FEDERATION, "hall", 8, NOW + 1, 0, 0},
        {PRINCIPAL_APP, FEDERATION, "hall", 2, NOW + 1, 0, 0},
        {PRINCIPAL_OPERATOR, FEDERATION, "wang", 8, NOW + 1, 0, 0},
        {PRINCIPAL_APP, "other.test", "hall", 1, NOW + 1, 0, 0},
        {PRINCIPAL_OPERATOR, "other.test", "wang", 6, NOW + 1, 0, 0},
        {PRINCIPAL_NODE, FEDERATION, "hall", 1, NOW + 1, 0, 0},
        /* expired on an open connection */
        {PRINCIPAL_APP, FEDERATION, "hall", 1, NOW, 0, 0},
        {PRINCIPAL_OPERATOR, FEDERATION, "wang", 6, NOW, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct principal p = {.kind = cases[i].kind,
                              .key_id = {cases[i].key},
                              .not_after_ms = cases[i].not_after_ms};
        (void)snprintf(p.federation, sizeof p.federation, "%s",
                       cases[i].federation);
        (void)snprintf(p.name, sizeof p.name, "%s", cases[i].name);
        struct access access = access_of(&conf, &p, NOW);
        assert_int_equal((access.read ? READ : 0) |
                             (access.ingest ? INGEST : 0) |
                             (access.feedback ? FEEDBACK : 0),
                         cases[i].may);
        assert_int_equal(access.widest, cases[i].widest);
        assert_false(access.local);
    }
}

static void each_scope_sees_as_far_as_it_reaches(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    struct put puts[3];
    for (int i = 0; i < 3; i++) {
        char document[32];
        (void)snprintf(document, sizeof document, "样许%d号", i);
        puts[i] = put(&village, &(struct made){.document = document,
                                               .content = "准予",
                                               .disclosure = i});
    }
    for (int i = 0; i < 3; i++) {
        struct access access = reader((enum disclosure)i);
        assert_int_equal(ask_subject(access, &s), i + 1);
        for (int k = 0; k < 3; k++) {
            enum err want = k <= i ? ERR_OK : ERR_NOT_FOUND;
            assert_int_equal(ask_place(&puts[k], access, &s), want);
            assert_int_equal(s.count, k <= i ? 1 : 0);
            assert_int_equal(ask_key(&puts[k], access, &s), want);
            assert_int_equal(s.count, k <= i ? 1 : 0);
        }
    }
    seen_clear(&s);
}

static void persons_are_answered_at_the_node_only_and_masked(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    struct conf conf = {.federation = {.name = FEDERATION}};
    struct principal app = {
        .kind = PRINCIPAL_APP, .name = "all", .key_id = {1}, .not_after_ms = 2};
    (void)snprintf(app.federation, sizeof app.federation, FEDERATION);
    struct put p = put(&village, &(struct made){.document = "样许1号",
                                                .content = "准予",
                                                .person = true});
    static const enum principal_kind kinds[] = {PRINCIPAL_APP,
                                                PRINCIPAL_OPERATOR};
    for (unsigned scopes = 0; scopes < 1U << 5; scopes++) {
        struct conf_app one = {"all", scopes, {1}};
        conf.apps = (struct conf_apps){&one, 1};
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
            app.kind = kinds[i];
            assert_int_equal(ask_place(&p, access_of(&conf, &app, 1), &s),
                             ERR_NOT_FOUND);
            assert_int_equal(s.count, 0);
        }
    }
    assert_ok(ask_place(&p, access_local(), &s));
    assert_string_equal(s.name, "999***********0017");
    seen_clear(&s);
}

/* Who counts numbers up learns nothing of what is not answered. */
static void what_an_app_may_not_see_looks_as_if_it_were_not_there(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    struct put person = put(&village, &(struct made){.document = "样许1号",
                                                     .content = "准予",
                                                     .person = true});
    struct put narrow =
        put(&village, &(struct made){.document = "样许2号",
                                     .content = "准予",
                                     .disclosure = DISCLOSURE_AUTHORISED});
    struct put opening = narrow;
    struct put beyond = narrow;
    struct put elsewhere = narrow;
    opening.number = 1;
    beyond.number += 1000;
    (void)snprintf(elsewhere.log, sizeof elsewhere.log,
                   "341821100209/records/0123456789abcdef");
    const struct put *const places[] = {&person, &narrow, &opening, &beyond,
                                        &elsewhere};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char text[sizeof last_why.text];
        assert_int_equal(ask_place(places[i], reader(DISCLOSURE_PUBLIC), &s),
                         ERR_NOT_FOUND);
        assert_int_equal(s.count, 0);
        (void)snprintf(text, sizeof text,
                       "entry %llu of %s: no record for this asker",
                       (unsigned long long)places[i]->number, places[i]->log);
        assert_string_equal(last_why.text, text);
    }
    struct put none = narrow;
    none.key[0] ^= 1;
    assert_int_equal(ask_key(&narrow, reader(DISCLOSURE_PUBLIC), &s),
                     ERR_NOT_FOUND);
    struct errmsg narrow_why = last_why;
    assert_int_equal(ask_key(&none, reader(DISCLOSURE_PUBLIC), &s),
                     ERR_NOT_FOUND);
    assert_string_equal(last_why.text, narrow_why.text);
    seen_clear(&s);
}

static void a_persons_number_is_no_subject_and_not_repeated(void **state)
{
    (void)state;
    static const char *const asked[] = {
        "999900200002290017", "111/999900200002290017",
        "9999 0020 0002 2900 17", "111/9999-0020-0002-2900-17"};
    struct seen s = {.count = 0};
    (void)put(&village, &(struct made){.document = "样许1号",
                                       .content = "准予",
                                       .person = true});
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        struct subject_query q = {.subject = asked[i],
                                  .access = access_local()};
        struct query_next next = {.more = false};
        struct errmsg why = {""};
        uint8_t key[RECORD_KEY_LEN] = {0};
        assert_int_equal(query_subject(&env, &q, see, &s, &next, &why),
                         ERR_INVALID);
        assert_int_equal(s.count, 0);
        assert_null(strstr(why.text, "2900"));
        struct record_query r = {
            .subject = asked[i], .record_key = key, .access = access_local()};
        assert_int_not_equal(query_record(&env, &r, see, &s, &had_more, &why),
                             ERR_OK);
        assert_null(strstr(why.text, "2900"));
    }
    seen_clear(&s);
}

/* ---- pages ---- */

static void pages_give_every_record_once(void **state)
{
    (void)state;
    enum { RECORDS = 7 };
    struct access access = reader(DISCLOSURE_PUBLIC);
    struct seen all = {.count = 0};
    struct seen s = {.count = 0};
    for (int i = 0; i < RECORDS; i++) {
        char content[32];
        (void)snprintf(content, sizeof content, "c%d", i);
        (void)put(&village,
                  &(struct made){.document = content, .content = content});
    }
    assert_int_equal(ask_subject(access, &all), RECORDS);
    /* by the limit, and by an answer that is full after two */
    for (int full = 0; full < 2; full++) {
        struct buf pages = BUF_INIT;
        struct query_next next = {.more = true};
        struct subject_query q = {
            .subject = subject, .limit = full ? 0 : 2, .access = access};
        size_t asked = 0;
        while (next.more) {
            struct errmsg why;
            s = (struct seen){.room = full ? 2 : 0};
            struct query_next place = next;
            q.after = asked > 0 ? place.place : NULL;
            assert_ok(query_subject(&env, &q, see, &s, &next, &why));
            assert_in_range(s.count, 1, 2);
            buf_put_slice(&pages, buf_slice(&s.contents));
            buf_fini(&s.contents);
            asked++;
        }
        assert_int_equal(asked, 4);
        assert_true(slice_eq(buf_slice(&pages), buf_slice(&all.contents)));
        buf_fini(&pages);
    }
    seen_clear(&all);
}

/* ---- histories ---- */

static void the_current_version_stands_first_wherever_one_asks(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    struct put v[3];
    static const char *const contents[] = {"v1", "v2", "v3"};
    for (int i = 0; i < 3; i++) {
        v[i] = put(&village,
                   &(struct made){.document = "d", .content = contents[i]});
    }
    for (int i = 0; i < 3; i++) {
        assert_ok(ask_place(&v[i], reader(DISCLOSURE_PUBLIC), &s));
        assert_string_equal(buf_cstr(&s.contents), "v3 v2 v1 ");
        assert_false(had_more);
    }
    assert_ok(ask_key(&v[0], reader(DISCLOSURE_PUBLIC), &s));
    assert_string_equal(buf_cstr(&s.contents), "v3 v2 v1 ");
    s.room = 2;
    assert_ok(ask_key(&v[0], reader(DISCLOSURE_PUBLIC), &s));
    assert_string_equal(buf_cstr(&s.contents), "v3 v2 ");
    assert_true(had_more);
    assert_int_equal(ask_subject(reader(DISCLOSURE_PUBLIC), &s), 1);
    seen_clear(&s);
}

static void a_restricted_version_is_hidden_in_the_history_too(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    (void)put(&village, &(struct made){.document = "d", .content = "v1"});
    (void)put(&village, &(struct made){.document = "d",
                                       .content = "v2",
                                       .disclosure = DISCLOSURE_SHARED});
    struct put v3 =
        put(&village, &(struct made){.document = "d", .content = "v3"});
    assert_ok(ask_place(&v3, reader(DISCLOSURE_PUBLIC), &s));
    assert_string_equal(buf_cstr(&s.contents), "v3 v1 ");
    assert_ok(ask_place(&v3, reader(DISCLOSURE_SHARED), &s));
    assert_string_equal(buf_cstr(&s.contents), "v3 v2 v1 ");
    seen_clear(&s);
}

static void
a_record_that_became_restricted_is_closed_with_its_past(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    struct put v1 =
        put(&village, &(struct made){.document = "d", .content = "v1"});
    (void)put(&village, &(struct made){.document = "d",
                                       .content = "v2",
                                       .disclosure = DISCLOSURE_AUTHORISED});
    assert_int_equal(ask_place(&v1, reader(DISCLOSURE_SHARED), &s),
                     ERR_NOT_FOUND);
    assert_int_equal(s.count, 0);
    assert_ok(ask_place(&v1, reader(DISCLOSURE_AUTHORISED), &s));
    assert_string_equal(buf_cstr(&s.contents), "v2 v1 ");
    seen_clear(&s);
}

/* ---- what other nodes wrote ---- */

static void two_owners_of_a_key_are_two_records(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    struct log_id log;
    struct put a =
        put(&village, &(struct made){.document = "d", .content = "village"});
    struct put b =
        put(&township, &(struct made){.document = "d", .content = "township"});
    assert_memory_equal(a.key, b.key, RECORD_KEY_LEN);
    assert_true(log_id_parse(a.log, &log));
    copy_log(village.store, township.store, &log);
    at_the_township();
    assert_int_equal(ask_subject(reader(DISCLOSURE_PUBLIC), &s), 2);
    assert_int_equal(ask_key(&a, reader(DISCLOSURE_PUBLIC), &s), ERR_CONFLICT);
    assert_non_null(strstr(last_why.text, "log and number"));
    assert_ok(ask_place(&a, reader(DISCLOSURE_PUBLIC), &s));
    assert_string_equal(buf_cstr(&s.contents), "village ");
    assert_ok(ask_place(&b, reader(DISCLOSURE_PUBLIC), &s));
    assert_string_equal(buf_cstr(&s.contents), "township ");
    seen_clear(&s);
}

static struct put forge_made(struct forge *f, const struct made *m)
{
    struct put out;
    struct buf bytes = BUF_INIT;
    encode(&village, m, out.key, &bytes);
    assert_ok(forge_bytes(f, township.store, buf_slice(&bytes)));
    log_id_format(&f->log, out.log);
    out.number = f->frontier.size;
    buf_fini(&bytes);
    return out;
}

static void a_forged_history_leads_nowhere(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    struct forge f;
    const uint64_t inc = 77;
    at_the_township();
    assert_ok(forge_open(&f, township.store, &village, inc, NULL));
    struct put person = forge_made(&f, &(struct made){.document = "p",
                                                      .content = "secret",
                                                      .person = true,
                                                      .version = 1});
    const struct made cases[] = {
        {"to a person", "a", 0, false, 2, inc, person.number, false},
        {"to itself", "a", 0, false, 2, inc, f.frontier.size + 2, false},
        {"to what is not here", "a", 0, false, 2, inc, 999, false},
        {"to another log", "a", 0, false, 2, 78, 1, false},
        {"to the opening", "a", 0, false, 2, inc, 1, false},
        {"to another record", "a", 0, false, 2, inc, f.frontier.size + 1,
         false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct put p = forge_made(&f, &cases[i]);
        assert_ok(ask_place(&p, reader(DISCLOSURE_AUTHORISED), &s));
        assert_string_equal(buf_cstr(&s.contents), "a ");
        assert_true(had_more);
    }
    seen_clear(&s);
}

static void what_has_no_effect_is_no_record_for_apps(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    struct forge f;
    at_the_township();
    assert_ok(forge_open(&f, township.store, &village, 77, NULL));
    struct put p = forge_made(
        &f, &(struct made){.document = "d", .content = "void", .version = 0});
    assert_int_equal(ask_place(&p, reader(DISCLOSURE_AUTHORISED), &s),
                     ERR_NOT_FOUND);
    assert_int_equal(s.count, 0);
    assert_ok(ask_place(&p, access_local(), &s));
    assert_int_equal(s.count, 1);
    seen_clear(&s);
}

/* ---- questions that make no sense ---- */

static void malformed_questions_are_refused_by_name(void **state)
{
    (void)state;
    struct seen s = {.count = 0};
    struct put p =
        put(&village, &(struct made){.document = "d", .content = "c"});
    struct access access = reader(DISCLOSURE_PUBLIC);
    struct put other = p;
    other.number = 1; /* opens the log */
    assert_int_equal(ask_place(&other, access_local(), &s), ERR_INVALID);
    other.number = 99;
    assert_int_equal(ask_place(&other, access, &s), ERR_NOT_FOUND);
    other.number = UINT64_MAX;
    assert_int_equal(ask_place(&other, access, &s), ERR_NOT_FOUND);
    static const char *const logs[] = {"", "x",
                                       "341821100201/audit/0000000000000001",
                                       "341821100201/records/1"};
    for (size_t i = 0; i < ARRAY_LEN(logs); i++) {
        (void)snprintf(other.log, sizeof other.log, "%s", logs[i]);
        assert_int_equal(ask_place(&other, access, &s), ERR_INVALID);
    }
    other.key[0] ^= 1;
    assert_int_equal(ask_key(&other, access, &s), ERR_NOT_FOUND);
    static const char *const subjects[] = {"", "91999900MA000100", "甲公司",
                                           "91999900MA000100XU"};
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
        struct subject_query q = {.subject = subjects[i], .access = access};
        struct query_next next;
        struct errmsg why = {""};
        assert_int_equal(query_subject(&env, &q, see, &s, &next, &why),
                         ERR_INVALID);
        assert_non_null(strstr(why.text, "COLUMN/NUMBER"));
    }
    assert_int_equal(s.count, 0);
    seen_clear(&s);
}

/* What cannot be read for a moment is not told as what is not there. */
static void a_failed_read_is_no_answer(void **state)
{
    static const enum err errs[] = {ERR_IO, ERR_TIMEOUT};
    struct backend backend = scripted(&store_rocksdb);
    struct node n;
    struct seen s = {.count = 0};
    struct made m = {.document = "1", .content = "first"};
    (void)state;
    node_init(&n, &backend, VILLAGE, "unread");
    env.store = n.store;
    env.keyring = n.keyring;
    (void)put(&n, &m);
    m.content = "second";
    struct put second = put(&n, &m);
    struct access access = reader(DISCLOSURE_PUBLIC);
    const struct subject_query q = {.subject = subject, .access = access};
    for (size_t i = 0; i < ARRAY_LEN(errs); i++) {
        struct query_next next = {.more = false};
        struct errmsg why;
        struct log_id log;
        struct buf bytes = BUF_INIT;
        forget_entries(&n);
        fail_reads_with(READ_BLOCKS, errs[i]);
        assert_int_equal(query_subject(&env, &q, see, &s, &next, &why),
                         errs[i]);
        reads_work();
        /* The newest version is in the cache, the one before is not. */
        assert_true(log_id_parse(second.log, &log));
        assert_ok(store_entry(n.store, &log, second.number, &bytes));
        fail_reads_with(READ_BLOCKS, errs[i]);
        assert_int_equal(ask_key(&second, access, &s), errs[i]);
        reads_work();
        fail_reads_with(READ_ROWS, errs[i]);
        assert_int_equal(ask_place(&second, access, &s), errs[i]);
        reads_work();
        buf_fini(&bytes);
    }
    assert_ok(ask_place(&second, access, &s));
    assert_string_equal(buf_cstr(&s.contents), "second first ");
    seen_clear(&s);
    node_fini(&n);
}

#define QUERY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deny_is_the_default),
        QUERY_TEST(each_scope_sees_as_far_as_it_reaches),
        QUERY_TEST(persons_are_answered_at_the_node_only_and_masked),
        QUERY_TEST(what_an_app_may_not_see_looks_as_if_it_were_not_there),
        QUERY_TEST(a_persons_number_is_no_subject_and_not_repeated),
        QUERY_TEST(pages_give_every_record_once),
        QUERY_TEST(the_current_version_stands_first_wherever_one_asks),
        QUERY_TEST(a_restricted_version_is_hidden_in_the_history_too),
        QUERY_TEST(a_record_that_became_restricted_is_closed_with_its_past),
        QUERY_TEST(two_owners_of_a_key_are_two_records),
        QUERY_TEST(a_forged_history_leads_nowhere),
        QUERY_TEST(what_has_no_effect_is_no_record_for_apps),
        QUERY_TEST(malformed_questions_are_refused_by_name),
        QUERY_TEST(a_failed_read_is_no_answer),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
