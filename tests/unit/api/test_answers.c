/* Answers given again: by themselves, by concurrent readers and a writer, and
 * over gRPC. */
#include "unit/api/service.h"

#include "api/answers.h"
#include "api/query.h"
#include "base/pb.h"

/* ---- by themselves ---- */

static struct store_stamp stamp_now(void)
{
    struct store_stamp stamp;
    struct subject_key key;
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    assert_true(store_stamp_take(village.store, &key, &stamp));
    return stamp;
}

static void keep(struct answers *a, const char *request, enum disclosure widest,
                 struct slice bytes)
{
    struct question q = {slice_str(request), widest};
    struct store_stamp stamp = stamp_now();
    struct shared *reply = shared_new(bytes);
    answers_keep(a, &q, &stamp, reply);
    shared_unref(&reply);
}

/* "" if there is none. */
static const char *found(struct answers *a, const char *request,
                         enum disclosure widest)
{
    static char text[64];
    struct question q = {slice_str(request), widest};
    struct shared *reply = answers_find(a, &q);
    text[0] = 0;
    if (reply != NULL) {
        struct slice bytes = shared_slice(reply);
        (void)snprintf(text, sizeof text, "%.*s", (int)bytes.len,
                       (const char *)bytes.data);
    }
    shared_unref(&reply);
    return text;
}

static void an_answer_stays_until_its_subject_changes(void **state)
{
    (void)state;
    struct answers *a = answers_new(village.store, BYTES_MAX);
    assert_string_equal(found(a, "q", DISCLOSURE_PUBLIC), "");
    keep(a, "q", DISCLOSURE_PUBLIC, slice_str("before"));
    assert_string_equal(found(a, "q", DISCLOSURE_PUBLIC), "before");
    (void)put(&village, &(struct made){.document = "d", .content = "c"});
    assert_string_equal(found(a, "q", DISCLOSURE_PUBLIC), "");
    keep(a, "q", DISCLOSURE_PUBLIC, slice_str("after"));
    assert_string_equal(found(a, "q", DISCLOSURE_PUBLIC), "after");
    answers_free(&a);
}

static void an_answer_read_before_a_change_is_not_kept(void **state)
{
    (void)state;
    struct answers *a = answers_new(village.store, BYTES_MAX);
    struct question q = {slice_str("q"), DISCLOSURE_PUBLIC};
    struct store_stamp before = stamp_now();
    struct shared *reply = shared_new(slice_str("old"));
    (void)put(&village, &(struct made){.document = "d", .content = "c"});
    answers_keep(a, &q, &before, reply);
    assert_string_equal(found(a, "q", DISCLOSURE_PUBLIC), "");
    shared_unref(&reply);
    answers_free(&a);
}

static void questions_are_told_apart(void **state)
{
    (void)state;
    struct answers *a = answers_new(village.store, BYTES_MAX);
    keep(a, "q", DISCLOSURE_PUBLIC, slice_str("public"));
    keep(a, "q", DISCLOSURE_SHARED, slice_str("shared"));
    keep(a, "q2", DISCLOSURE_PUBLIC, slice_str("other"));
    assert_string_equal(found(a, "q", DISCLOSURE_PUBLIC), "public");
    assert_string_equal(found(a, "q", DISCLOSURE_SHARED), "shared");
    assert_string_equal(found(a, "q", DISCLOSURE_AUTHORISED), "");
    assert_string_equal(found(a, "q2", DISCLOSURE_PUBLIC), "other");
    assert_string_equal(found(a, "", DISCLOSURE_PUBLIC), "");
    answers_free(&a);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    enum { QUESTIONS = 5000, ANSWER = 1000 };
    struct answers *a = answers_new(village.store, BYTES_MAX);
    char bytes[BYTES_MAX] = {0};
    char request[32];
    size_t here = 0;
    assert_int_equal(answers_bytes(a), 0);
    for (int i = 0; i < QUESTIONS; i++) {
        (void)snprintf(request, sizeof request, "%d", i);
        size_t len = (size_t)i % ANSWER;
        (void)snprintf(bytes, sizeof bytes, "answer %d ", i);
        keep(a, request, DISCLOSURE_PUBLIC, slice_of(bytes, 32 + len));
        assert_string_equal(found(a, request, DISCLOSURE_PUBLIC), bytes);
        assert_in_range(answers_bytes(a), 1, BYTES_MAX);
    }
    for (int i = 0; i < QUESTIONS; i++) {
        (void)snprintf(request, sizeof request, "%d", i);
        here += found(a, request, DISCLOSURE_PUBLIC)[0] != 0;
    }
    assert_in_range(here, BYTES_MAX / 2 / ANSWER, BYTES_MAX / 32);
    /* What would push out too many others, and long questions. */
    keep(a, "large", DISCLOSURE_PUBLIC, slice_of(bytes, BYTES_MAX / 4));
    assert_string_equal(found(a, "large", DISCLOSURE_PUBLIC), "");
    memset(bytes, 'q', 1000);
    bytes[1000] = 0;
    keep(a, bytes, DISCLOSURE_PUBLIC, slice_str("x"));
    assert_string_equal(found(a, bytes, DISCLOSURE_PUBLIC), "");
    answers_free(&a);
}

static void without_room_nothing_is_kept(void **state)
{
    (void)state;
    struct answers *none = NULL;
    struct answers *small = answers_new(village.store, 0);
    keep(none, "q", DISCLOSURE_PUBLIC, slice_str("x"));
    keep(small, "q", DISCLOSURE_PUBLIC, slice_str("x"));
    assert_string_equal(found(none, "q", DISCLOSURE_PUBLIC), "");
    assert_string_equal(found(small, "q", DISCLOSURE_PUBLIC), "");
    assert_int_equal(answers_bytes(small), 0);
    answers_free(&none);
    answers_free(&small);
}

/* ---- readers and a writer at once ---- */

enum { READERS = 3, VERSIONS = 150 };

struct contest {
    struct api_env env;
    struct answers *answers;
    atomic_int acknowledged; /* the version that a callback has named */
    atomic_size_t repeated;
    atomic_size_t faults; /* cmocka's asserts are for one thread */
    atomic_bool over;
};

/* A row may be there a moment before its entry: then -1. */
static bool take_version(void *ctx, const struct found *f)
{
    if (!f->decoded) {
        *(int *)ctx = -1;
        return true;
    }
    struct slice text = record_get(&f->record, FIELD_CONTENT);
    char number[16];
    (void)snprintf(number, sizeof number, "%.*s", (int)text.len,
                   (const char *)text.data);
    *(int *)ctx = (int)strtol(number, NULL, 10);
    return true;
}

/* As a call does: what is kept, else from memory, else the whole way. */
static int ask_version(struct contest *c)
{
    struct question asked = {slice_str(subject), DISCLOSURE_PUBLIC};
    struct shared *reply = answers_find(c->answers, &asked);
    int version = 0;
    if (reply != NULL) {
        memcpy(&version, shared_slice(reply).data, sizeof version);
        shared_unref(&reply);
        (void)atomic_fetch_add(&c->repeated, 1);
        return version;
    }
    struct subject_query q = {
        .subject = subject, .access = {.read = true}, .now = true};
    struct query_next next = {.more = false};
    struct errmsg why;
    enum err err =
        query_subject(&c->env, &q, take_version, &version, &next, &why);
    if (err == ERR_BUSY) {
        q.now = false;
        err = query_subject(&c->env, &q, take_version, &version, &next, &why);
    }
    (void)atomic_fetch_add(&c->faults, err != ERR_OK);
    if (err == ERR_OK && next.lasting) {
        reply = shared_new(slice_of(&version, sizeof version));
        answers_keep(c->answers, &asked, &next.stamp, reply);
        shared_unref(&reply);
    }
    return version;
}

static void *read_on(void *ctx)
{
    struct contest *c = ctx;
    int last = 0;
    while (!atomic_load(&c->over)) {
        int acknowledged = atomic_load(&c->acknowledged);
        int version = ask_version(c);
        if (version >= 0) {
            bool older = version < acknowledged || version < last;
            (void)atomic_fetch_add(&c->faults, older);
            last = version;
        }
    }
    return NULL;
}

static void no_answer_is_older_than_what_was_acknowledged(void **state)
{
    (void)state;
    struct contest c = {
        .env = {.store = village.store, .keyring = village.keyring},
        .answers = answers_new(village.store, BYTES_MAX)};
    pthread_t readers[READERS];
    char content[16];
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &c), 0);
    }
    for (int i = 1; i <= VERSIONS; i++) {
        (void)snprintf(content, sizeof content, "%d", i);
        (void)put(&village,
                  &(struct made){.document = "d", .content = content});
        atomic_store(&c.acknowledged, i);
        assert_int_equal(ask_version(&c), i);
    }
    atomic_store(&c.over, true);
    for (int i = 0; i < READERS; i++) {
        (void)pthread_join(readers[i], NULL);
    }
    assert_int_equal(atomic_load(&c.faults), 0);
    assert_true(atomic_load(&c.repeated) > 0);
    answers_free(&c.answers);
}

/* ---- over gRPC ---- */

/* From now on this node is asked. */
static void answer_from(struct service *s, struct node *node)
{
    hang_up(s);
    s->env.store = node->store;
    s->env.keyring = node->keyring;
    s->env.answers = answers_new(node->store, BYTES_MAX);
    listen_and_dial(s);
}

/* Answers hold the contents of records as they are. */
static enum err ask(const char *about, struct buf *reply)
{
    struct buf request = BUF_INIT;
    struct errmsg why;
    buf_clear(reply);
    pb_put_str(&request, 1, about);
    return rpc_unary_wait(service.channel, "/creditnode.query.v1.Query/Subject",
                          &request, CALL_MS, reply, &why);
}

static bool holds(const struct buf *reply, const char *text)
{
    return reply->len > 0 &&
           memmem(reply->data, reply->len, text, strlen(text)) != NULL;
}

static void a_repeated_question_needs_no_worker(void **state)
{
    (void)state;
    struct buf first = BUF_INIT;
    struct buf again = BUF_INIT;
    (void)put(&village, &(struct made){.document = "d", .content = "v1"});
    assert_ok(ask(subject, &first));
    assert_true(holds(&first, "v1"));
    assert_true(answers_bytes(service.env.answers) > 0);
    hold_the_worker();
    assert_ok(ask(subject, &again));
    assert_true(slice_eq(buf_slice(&first), buf_slice(&again)));
    let_go();
    buf_fini(&first);
    buf_fini(&again);
}

static enum err ask_record(struct buf *request, struct buf *reply)
{
    struct errmsg why;
    buf_clear(reply);
    return rpc_unary_wait(service.channel, "/creditnode.query.v1.Query/Record",
                          request, CALL_MS, reply, &why);
}

static enum err ask_by_key(const uint8_t key[RECORD_KEY_LEN], struct buf *reply)
{
    struct buf request = BUF_INIT;
    pb_put_str(&request, 1, subject);
    pb_put_bytes(&request, 2, slice_of(key, RECORD_KEY_LEN));
    return ask_record(&request, reply);
}

/* A worker's answer. */
static enum err ask_by_place(const struct put *at, struct buf *reply)
{
    struct buf request = BUF_INIT;
    pb_put_str(&request, 3, at->log);
    pb_put_u64(&request, 4, at->number);
    return ask_record(&request, reply);
}

static void a_record_that_has_just_come_needs_no_worker(void **state)
{
    (void)state;
    static const uint8_t unknown[RECORD_KEY_LEN] = {1};
    struct buf first = BUF_INIT;
    struct buf none = BUF_INIT;
    struct buf again = BUF_INIT;
    struct put it =
        put(&village, &(struct made){.document = "d", .content = "just-come"});
    hold_the_worker();
    enum err there = ask_by_key(it.key, &first);
    enum err absent = ask_by_key(unknown, &none);
    let_go();
    assert_ok(there);
    assert_int_equal(absent, ERR_NOT_FOUND);
    assert_true(holds(&first, "just-come"));
    assert_ok(ask_by_place(&it, &again));
    assert_true(slice_eq(buf_slice(&first), buf_slice(&again)));
    buf_fini(&first);
    buf_fini(&none);
    buf_fini(&again);
}

/* What it takes time to read is not left out. */
static void a_record_has_its_history_and_its_sealed_values(void **state)
{
    (void)state;
    struct buf reply = BUF_INIT;
    (void)put(&village, &(struct made){.document = "d", .content = "earlier"});
    struct put it =
        put(&village, &(struct made){.document = "d", .content = "later"});
    struct record_query q = {.subject = subject,
                             .record_key = it.key,
                             .access = {.read = true},
                             .now = true};
    struct errmsg why;
    int version = 0;
    bool more;
    assert_int_equal(
        query_record(&service.env, &q, take_version, &version, &more, &why),
        ERR_BUSY);
    assert_int_equal(version, 0);
    assert_ok(ask_by_key(it.key, &reply));
    assert_true(holds(&reply, "earlier"));
    assert_true(holds(&reply, "later"));
    it = put(&village, &(struct made){.document = "e",
                                      .content = "v1",
                                      .representative = true});
    assert_ok(ask_by_key(it.key, &reply));
    assert_true(holds(&reply, "999***********0017"));
    assert_false(holds(&reply, citizen));
    buf_fini(&reply);
}

static void a_record_is_given_to_whom_its_scopes_allow(void **state)
{
    (void)state;
    struct buf reply = BUF_INIT;
    static struct conf_app app;
    static struct conf less[2];
    static struct conf_app none;
    app = service.app;
    app.scopes = SCOPE_PUBLIC;
    none = service.app;
    none.scopes = SCOPE_INGEST;
    less[0] = service.conf;
    less[1] = service.conf;
    less[0].apps = (struct conf_apps){&app, 1};
    less[1].apps = (struct conf_apps){&none, 1};
    struct put it =
        put(&village, &(struct made){.document = "d",
                                     .content = "for-some",
                                     .disclosure = DISCLOSURE_SHARED});
    assert_ok(ask_by_key(it.key, &reply));
    atomic_store(&service.env.conf, &less[0]);
    assert_int_equal(ask_by_key(it.key, &reply), ERR_NOT_FOUND);
    atomic_store(&service.env.conf, &less[1]);
    assert_int_equal(ask_by_key(it.key, &reply), ERR_DENIED);
    buf_fini(&reply);
}

static void a_change_is_answered_at_once(void **state)
{
    (void)state;
    struct buf reply = BUF_INIT;
    char content[32];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(content, sizeof content, "version-%d.", i);
        (void)put(&village,
                  &(struct made){.document = "d", .content = content});
        for (int k = 0; k < 3; k++) {
            assert_ok(ask(subject, &reply));
            assert_true(holds(&reply, content));
        }
    }
    buf_fini(&reply);
}

static void narrowed_scopes_count_from_the_next_call_on(void **state)
{
    (void)state;
    struct buf reply = BUF_INIT;
    /* Like a node's, they stay as long as somebody may be reading them. */
    static struct conf_app narrow;
    static struct conf_app none;
    static struct conf less[2];
    narrow = service.app;
    narrow.scopes = SCOPE_PUBLIC;
    none = service.app;
    none.scopes = SCOPE_INGEST;
    less[0] = service.conf;
    less[1] = service.conf;
    less[0].apps = (struct conf_apps){&narrow, 1};
    less[1].apps = (struct conf_apps){&none, 1};
    (void)put(&village, &(struct made){.document = "d",
                                       .content = "for-some",
                                       .disclosure = DISCLOSURE_SHARED});
    for (int i = 0; i < 2; i++) {
        assert_ok(ask(subject, &reply));
        assert_true(holds(&reply, "for-some"));
    }
    atomic_store(&service.env.conf, &less[0]);
    for (int i = 0; i < 2; i++) {
        assert_ok(ask(subject, &reply));
        assert_false(holds(&reply, "for-some"));
    }
    atomic_store(&service.env.conf, &less[1]);
    assert_int_equal(ask(subject, &reply), ERR_DENIED);
    atomic_store(&service.env.conf, &service.conf);
    assert_ok(ask(subject, &reply));
    assert_true(holds(&reply, "for-some"));
    buf_fini(&reply);
}

static void the_revoked_get_no_answer_again(void **state)
{
    (void)state;
    struct buf reply = BUF_INIT;
    struct errmsg why;
    (void)put(&village, &(struct made){.document = "d", .content = "v1"});
    for (int i = 0; i < 2; i++) {
        assert_ok(ask(subject, &reply));
    }
    shell("$C/revoke.sh list app/app.pem >/dev/null");
    assert_ok(trust_reload(service.trust, &why));
    assert_int_equal(ask(subject, &reply), ERR_DENIED);
    assert_int_equal(reply.len, 0);
    buf_fini(&reply);
}

static void refusals_are_not_kept(void **state)
{
    (void)state;
    struct buf reply = BUF_INIT;
    assert_int_equal(ask(citizen, &reply), ERR_INVALID);
    assert_int_equal(ask("nonsense", &reply), ERR_INVALID);
    assert_int_equal(answers_bytes(service.env.answers), 0);
    assert_ok(ask(subject, &reply)); /* nothing is known, which is an answer */
    assert_true(answers_bytes(service.env.answers) > 0);
    buf_fini(&reply);
}

/* The township holds the record, but no key for it yet. */
static void what_a_key_may_still_open_is_not_kept(void **state)
{
    (void)state;
    struct buf reply = BUF_INIT;
    struct log_id log = store_own_log(village.store);
    (void)put(&village, &(struct made){.document = "d",
                                       .content = "v1",
                                       .representative = true});
    assert_ok(ask(subject, &reply));
    assert_true(holds(&reply, "999***********0017"));
    assert_false(holds(&reply, citizen));
    assert_true(answers_bytes(service.env.answers) > 0);
    copy_log(village.store, township.store, &log);
    answer_from(&service, &township);
    for (int i = 0; i < 2; i++) {
        assert_ok(ask(subject, &reply));
        assert_true(holds(&reply, "v1"));
        assert_false(holds(&reply, "999***********0017"));
        assert_int_equal(answers_bytes(service.env.answers), 0);
    }
    buf_fini(&reply);
}

#define ANSWERS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SERVICE_TEST(f) cmocka_unit_test_setup_teardown(f, serve, unserve)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ANSWERS_TEST(an_answer_stays_until_its_subject_changes),
        ANSWERS_TEST(an_answer_read_before_a_change_is_not_kept),
        ANSWERS_TEST(questions_are_told_apart),
        ANSWERS_TEST(memory_is_bounded),
        ANSWERS_TEST(without_room_nothing_is_kept),
        ANSWERS_TEST(no_answer_is_older_than_what_was_acknowledged),
        SERVICE_TEST(a_repeated_question_needs_no_worker),
        SERVICE_TEST(a_record_that_has_just_come_needs_no_worker),
        SERVICE_TEST(a_record_has_its_history_and_its_sealed_values),
        SERVICE_TEST(a_record_is_given_to_whom_its_scopes_allow),
        SERVICE_TEST(a_change_is_answered_at_once),
        SERVICE_TEST(narrowed_scopes_count_from_the_next_call_on),
        SERVICE_TEST(the_revoked_get_no_answer_again),
        SERVICE_TEST(refusals_are_not_kept),
        SERVICE_TEST(what_a_key_may_still_open_is_not_kept),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
