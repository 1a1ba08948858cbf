/* Server reflection: what is told, and what becomes of those who ask too much.
 * Answers are read by the generated code, not by what wrote them. */
#include <dirent.h>

#include "base/pb.h"
#include "reflection.pb-c.h"
#include "rpc/reflection.h"
#include "unit/rpc/fixture.h"

#define INFO "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define OLD_INFO                                                               \
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

typedef Grpc__Reflection__V1__ServerReflectionResponse response;

enum {
    ASK_FILE = 3,
    ASK_SYMBOL = 4,
    ASK_EXTENSION = 5,
    ASK_EXTENSIONS = 6,
    ASK_SERVICES = 7,
    GRACE_MS = 600000, /* longer than the test may take */
    NOT_FOUND = 5,     /* of gRPC */
    INVALID = 3,
};

static const struct rpc_method served[] = {
    {.path = "/creditnode.query.v1.Query/Subject"},
    {.path = "/creditnode.ingest.v1.Ingest/Submit"},
    {.path = "/creditnode.query.v1.Query/Record"},
};

/* An empty text stands in a oneof too. */
static void put_question(struct buf *b, uint32_t what, const char *text)
{
    buf_put_varint(b, what << 3 | PB_BYTES);
    buf_put_varint(b, strlen(text));
    buf_put_str(b, text);
}

static response *answer_to(const struct buf *request)
{
    struct buf out = BUF_INIT;
    assert_int_equal(
        reflection_answer(buf_slice(request), served, ARRAY_LEN(served), &out),
        ERR_OK);
    response *r = grpc__reflection__v1__server_reflection_response__unpack(
        NULL, out.len, out.data);
    assert_non_null(r);
    buf_fini(&out);
    return r;
}

static response *ask(uint32_t what, const char *text)
{
    struct buf b = BUF_INIT;
    put_question(&b, what, text);
    response *r = answer_to(&b);
    buf_fini(&b);
    return r;
}

static void done(response *r)
{
    grpc__reflection__v1__server_reflection_response__free_unpacked(r, NULL);
}

/* The name that the descriptor told begins with. */
static void assert_file(response *r, const char *name)
{
    assert_int_equal(
        r->message_response_case,
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE);
    assert_int_equal(r->file_descriptor_response->n_file_descriptor_proto, 1);
    ProtobufCBinaryData file =
        r->file_descriptor_response->file_descriptor_proto[0];
    assert_true(file.len > strlen(name) + 2 && file.data[0] == 10);
    assert_int_equal(file.data[1], strlen(name));
    assert_memory_equal(file.data + 2, name, strlen(name));
}

static void assert_refused(response *r, int code)
{
    assert_int_equal(
        r->message_response_case,
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE);
    assert_int_equal(r->error_response->error_code, code);
    assert_true(r->error_response->error_message[0] != 0);
}

static void every_file_is_known_by_its_name(void **state)
{
    (void)state;
    unsigned files = 0;
    DIR *dir = opendir(SOURCE_DIR "/proto");
    assert_non_null(dir);
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        const char *end = strrchr(d->d_name, '.');
        if (end != NULL && strcmp(end, ".proto") == 0) {
            response *r = ask(ASK_FILE, d->d_name);
            assert_file(r, d->d_name);
            done(r);
            files++;
        }
    }
    (void)closedir(dir);
    assert_true(files >= 6);
}

static void what_is_declared_is_found(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"creditnode.query.v1.Query", "query.proto"},
        {"creditnode.query.v1.Query.Subject", "query.proto"},
        {"creditnode.query.v1.Record", "query.proto"},
        {"creditnode.query.v1.Record.record_key", "query.proto"},
        {"creditnode.ingest.v1.Ingest", "ingest.proto"},
        {"creditnode.federation.v1.Federation", "federation.proto"},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", "health.proto"},
        {"grpc.health.v1.HealthCheckResponse.NOT_SERVING", "health.proto"},
        {"grpc.reflection.v1.ServerReflection", "reflection.proto"},
        {"grpc.reflection.v1alpha.ServerReflection",
         "reflection_v1alpha.proto"},
        {"grpc.reflection.v1.ServerReflectionRequest.message_request",
         "reflection.proto"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        response *r = ask(ASK_SYMBOL, rows[i][0]);
        assert_file(r, rows[i][1]);
        done(r);
    }
}

static void what_is_not_declared_is_an_answer(void **state)
{
    (void)state;
    static const struct {
        uint32_t what;
        const char *text;
    } rows[] = {
        {ASK_FILE, ""},
        {ASK_FILE, "query"},
        {ASK_FILE, "../proto/query.proto"},
        {ASK_SYMBOL, ""},
        {ASK_SYMBOL, "."},
        {ASK_SYMBOL, "Query"},
        {ASK_SYMBOL, "creditnode.query.v1"},
        {ASK_SYMBOL, "creditnode.query.v1."},
        {ASK_SYMBOL, "creditnode.query.v1.Query."},
        {ASK_SYMBOL, ".creditnode.query.v1.Query"},
        {ASK_SYMBOL, "creditnode.query.v1.Que"},
        {ASK_SYMBOL, "creditnode.query.v1.Query.Subject.x"},
        {ASK_SYMBOL, "creditnode.query.v2.Query"},
        {ASK_SYMBOL,
         "grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING"},
        {ASK_EXTENSION, ""},
        {ASK_EXTENSIONS, "creditnode.query.v1.Nothing"},
        {ASK_EXTENSIONS, "creditnode.query.v1.Query"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        response *r = ask(rows[i].what, rows[i].text);
        assert_refused(r, NOT_FOUND);
        done(r);
    }
}

static void a_message_without_extensions_is_told(void **state)
{
    (void)state;
    response *r = ask(ASK_EXTENSIONS, "creditnode.query.v1.Record");
    assert_int_equal(
        r->message_response_case,
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE);
    assert_string_equal(r->all_extension_numbers_response->base_type_name,
                        "creditnode.query.v1.Record");
    assert_int_equal(r->all_extension_numbers_response->n_extension_number, 0);
    done(r);
}

static void services_are_listed_once(void **state)
{
    (void)state;
    response *r = ask(ASK_SERVICES, "");
    assert_int_equal(
        r->message_response_case,
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE);
    assert_int_equal(r->list_services_response->n_service, 2);
    assert_string_equal(r->list_services_response->service[0]->name,
                        "creditnode.query.v1.Query");
    assert_string_equal(r->list_services_response->service[1]->name,
                        "creditnode.ingest.v1.Ingest");
    done(r);
}

static void the_last_question_of_a_request_counts(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    pb_put_str(&b, 1, "county.example");
    put_question(&b, ASK_SERVICES, "");
    put_question(&b, ASK_FILE, "query.proto");
    response *r = answer_to(&b);
    assert_file(r, "query.proto");
    assert_string_equal(r->valid_host, "county.example");
    assert_string_equal(r->original_request->file_by_filename, "query.proto");
    done(r);
    b.len = 0;
    r = answer_to(&b); /* nothing */
    assert_refused(r, INVALID);
    done(r);
    buf_fini(&b);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    static const char *const rows[] = {"\x1a\x05q", "\x38\x01", "\x0a"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(reflection_answer(slice_str(rows[i]), served,
                                           ARRAY_LEN(served), &out),
                         ERR_INVALID);
        assert_int_equal(out.len, 0);
    }
    buf_fini(&out);
}

/* ---- streams ---- */

struct asker {
    struct rpc_stream *stream;
    atomic_uint answers;
    atomic_bool blocked; /* reads nothing while it is set */
    atomic_bool closed;
    enum err err;
    char text[512];
};

static void answered(struct rpc_stream *s, void *user, struct slice message)
{
    struct asker *a = user;
    (void)s;
    (void)message;
    while (atomic_load(&a->blocked)) {
        sleep_ms(1);
    }
    atomic_fetch_add(&a->answers, 1);
}

static void closed(struct rpc_stream *s, void *user, enum err err,
                   const char *text)
{
    struct asker *a = user;
    (void)s;
    a->err = err;
    (void)snprintf(a->text, sizeof a->text, "%s", text);
    atomic_store(&a->closed, true);
}

static const struct rpc_stream_ops asker_ops = {.message = answered,
                                                .closed = closed};
static struct net net;
static struct asker askers[REFLECTION_STREAMS_MAX + 1];

static int up(void **state)
{
    (void)state;
    memset(askers, 0, sizeof askers);
    net_open(&net, NULL, 0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        atomic_store(&askers[i].blocked, false);
    }
    net_close(&net);
    return 0;
}

static enum err say(struct asker *a, size_t len)
{
    struct buf b = BUF_INIT;
    buf_put_varint(&b, ASK_SYMBOL << 3 | PB_BYTES);
    buf_put_varint(&b, len);
    memset(buf_reserve(&b, len), 'x', len);
    b.len += len;
    enum err err = rpc_stream_send(a->stream, &b);
    buf_fini(&b);
    return err;
}

static void start(struct asker *a, const char *path)
{
    assert_int_equal(
        rpc_stream_open(&a->stream, net.channel, path, &asker_ops, a, 0),
        ERR_OK);
}

static void start_and_ask(struct asker *a, const char *path)
{
    start(a, path);
    assert_int_equal(say(a, 10), ERR_OK);
    WAIT_FOR(atomic_load(&a->answers) == 1);
}

static void both_names_are_served(void **state)
{
    (void)state;
    start_and_ask(&askers[0], INFO);
    start_and_ask(&askers[1], OLD_INFO);
    for (unsigned i = 0; i < 2; i++) {
        rpc_stream_finish(askers[i].stream, ERR_OK, NULL);
        WAIT_FOR(atomic_load(&askers[i].closed));
        assert_int_equal(askers[i].err, ERR_OK);
    }
}

static void a_large_request_ends_the_stream(void **state)
{
    (void)state;
    start_and_ask(&askers[0], INFO);
    assert_int_equal(say(&askers[0], REFLECTION_REQUEST_MAX), ERR_OK);
    WAIT_FOR(atomic_load(&askers[0].closed));
    assert_int_equal(askers[0].err, ERR_TOO_LARGE);
}

static void what_cannot_be_decoded_ends_the_stream(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    start(&askers[0], INFO);
    buf_put_str(&b, "\x1a\x05q");
    assert_int_equal(rpc_stream_send(askers[0].stream, &b), ERR_OK);
    WAIT_FOR(atomic_load(&askers[0].closed));
    assert_int_equal(askers[0].err, ERR_INVALID);
    buf_fini(&b);
}

static void who_reads_no_answers_is_cut_off(void **state)
{
    (void)state;
    struct asker *a = &askers[0];
    atomic_store(&a->blocked, true);
    start(a, INFO);
    enum err err = ERR_OK;
    WAIT_FOR((err = say(a, 4000)) != ERR_OK && err != ERR_BUSY);
    assert_int_equal(err, ERR_CANCELLED); /* it is over */
    atomic_store(&a->blocked, false);
    WAIT_FOR(atomic_load(&a->closed));
    assert_int_not_equal(a->err, ERR_OK);
}

static void the_newest_takes_the_oldest_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        start_and_ask(&askers[i], i % 2 == 0 ? INFO : OLD_INFO);
    }
    WAIT_FOR(atomic_load(&askers[0].closed));
    assert_int_equal(askers[0].err, ERR_BUSY);
    assert_has(askers[0].text, "others ask");
    for (size_t i = 1; i < ARRAY_LEN(askers); i++) {
        assert_int_equal(say(&askers[i], 10), ERR_OK);
        WAIT_FOR(atomic_load(&askers[i].answers) == 2);
    }
}

static void a_stream_that_rests_holds_up_no_stop(void **state)
{
    (void)state;
    start_and_ask(&askers[0], INFO);
    rpc_server_close(&net.server, GRACE_MS);
    WAIT_FOR(atomic_load(&askers[0].closed));
    assert_int_equal(askers[0].err, ERR_UNAVAILABLE);
    assert_has(askers[0].text, "stopping");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
        cmocka_unit_test(every_file_is_known_by_its_name),
        cmocka_unit_test(what_is_declared_is_found),
        cmocka_unit_test(what_is_not_declared_is_an_answer),
        cmocka_unit_test(a_message_without_extensions_is_told),
        cmocka_unit_test(services_are_listed_once),
        cmocka_unit_test(the_last_question_of_a_request_counts),
        cmocka_unit_test(what_is_no_request_is_refused),
        CASE(both_names_are_served),
        CASE(a_large_request_ends_the_stream),
        CASE(what_cannot_be_decoded_ends_the_stream),
        CASE(who_reads_no_answers_is_cut_off),
        CASE(the_newest_takes_the_oldest_place),
        CASE(a_stream_that_rests_holds_up_no_stop),
#undef CASE
    };
    return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
