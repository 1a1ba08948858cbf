/* The admin socket: calls, and clients that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/admin.h"
#include "base/clock.h"
#include "base/mem.h"

static char dir[] = "/tmp/admin-test-XXXXXX";
static char path[sizeof dir + 8];
static struct admin *admin;

/* What commands saw, for the tests to wait for. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool open;          /* lets "wait" end */
    unsigned waiting;   /* calls inside "wait" */
    unsigned cancelled; /* calls that noticed */
} stage = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, 0};

static void count(unsigned *what)
{
    (void)pthread_mutex_lock(&stage.lock);
    (*what)++;
    (void)pthread_cond_broadcast(&stage.wake);
    (void)pthread_mutex_unlock(&stage.lock);
}

static void wait_until(const unsigned *what, unsigned n)
{
    (void)pthread_mutex_lock(&stage.lock);
    while (*what < n) {
        (void)pthread_cond_wait(&stage.wake, &stage.lock);
    }
    (void)pthread_mutex_unlock(&stage.lock);
}

static void open_stage(void)
{
    (void)pthread_mutex_lock(&stage.lock);
    stage.open = true;
    (void)pthread_cond_broadcast(&stage.wake);
    (void)pthread_mutex_unlock(&stage.lock);
}

/* ---- commands ---- */

static enum err cmd_echo(void *ctx, struct admin_call *call, json_t *args,
                         json_t **result, struct errmsg *why)
{
    (void)call;
    (void)why;
    *result = json_pack("{s:O, s:s}", "said", json_object_get(args, "say"),
                        "ctx", (const char *)ctx);
    return ERR_OK;
}

static enum err cmd_rows(void *ctx, struct admin_call *call, json_t *args,
                         json_t **result, struct errmsg *why)
{
    (void)ctx;
    (void)args;
    (void)result;
    (void)why;
    for (int i = 0; i < 3; i++) {
        (void)admin_send(call, json_pack("{s:s, s:i}", "type", "row", "n", i));
    }
    return ERR_OK;
}

static enum err cmd_sum(void *ctx, struct admin_call *call, json_t *args,
                        json_t **result, struct errmsg *why)
{
    (void)ctx;
    (void)args;
    (void)why;
    struct buf frame = BUF_INIT;
    uint64_t bytes = 0;
    enum err err;
    while ((err = admin_recv(call, &frame)) == ERR_OK && frame.len > 0) {
        bytes += frame.len;
    }
    buf_fini(&frame);
    *result = json_pack("{s:I}", "bytes", (json_int_t)bytes);
    if (err != ERR_OK) {
        count(&stage.cancelled);
    }
    return err;
}

static enum err cmd_fail(void *ctx, struct admin_call *call, json_t *args,
                         json_t **result, struct errmsg *why)
{
    (void)ctx;
    (void)call;
    *result = json_object(); /* thrown away with an error */
    return json_is_true(json_object_get(args, "say"))
               ? err_set(why, ERR_INVALID, "line 3: not so")
               : ERR_NOT_FOUND;
}

/* An answer with half a character in it, then more. */
static enum err cmd_cut(void *ctx, struct admin_call *call, json_t *args,
                        json_t **result, struct errmsg *why)
{
    static const char half[] = "\xe5\xae";
    (void)ctx;
    (void)result;
    if (json_is_true(json_object_get(args, "say"))) {
        return err_set(why, ERR_INVALID, "no list %s", half);
    }
    (void)admin_send(call, json_pack("{s:s, s:s}", "type", "row", "x", half));
    return ERR_OK;
}

static enum err cmd_wait(void *ctx, struct admin_call *call, json_t *args,
                         json_t **result, struct errmsg *why)
{
    (void)ctx;
    (void)call;
    (void)args;
    (void)result;
    (void)why;
    count(&stage.waiting);
    (void)pthread_mutex_lock(&stage.lock);
    while (!stage.open) {
        (void)pthread_cond_wait(&stage.wake, &stage.lock);
    }
    (void)pthread_mutex_unlock(&stage.lock);
    return ERR_OK;
}

/* Sends until nobody reads any more, as a long list or a live table does. */
static enum err cmd_flood(void *ctx, struct admin_call *call, json_t *args,
                          json_t **result, struct errmsg *why)
{
    static char filling[900000]; /* more than a socket buffers */
    (void)ctx;
    (void)args;
    (void)result;
    (void)why;
    memset(filling, 'x', sizeof filling - 1);
    count(&stage.waiting);
    while (!admin_cancelled(call)) {
        (void)admin_send(call,
                         json_pack("{s:s, s:s}", "type", "row", "x", filling));
    }
    count(&stage.cancelled);
    return ERR_CANCELLED;
}

static enum err may_not(const void *ctx, struct errmsg *why)
{
    return err_set(why, ERR_ELSEWHERE, "not here: %s", (const char *)ctx);
}

static const struct admin_command commands[] = {
    {"echo", cmd_echo, NULL},    {"rows", cmd_rows, NULL},
    {"sum", cmd_sum, NULL},      {"fail", cmd_fail, NULL},
    {"wait", cmd_wait, NULL},    {"flood", cmd_flood, NULL},
    {"shut", cmd_echo, may_not}, {"cut", cmd_cut, NULL},
};

/* ---- help ---- */

static char greeting[] = "context";

static int start(void **state)
{
    (void)state;
    struct errmsg why = {{0}};
    stage.open = false;
    stage.waiting = stage.cancelled = 0;
    if (admin_open(&admin, path, commands, ARRAY_LEN(commands), greeting,
                   &why) != ERR_OK) {
        print_error("%s\n", why.text);
        return -1;
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    open_stage(); /* a test may have failed before */
    admin_close(&admin);
    return access(path, F_OK) != 0 ? 0 : -1;
}

static struct admin_client *dial(void)
{
    struct admin_client *client = NULL;
    struct errmsg why = {{0}};
    if (admin_connect(&client, path, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return client;
}

static struct admin_client *call(const char *command)
{
    struct admin_client *client = dial();
    assert_int_equal(
        admin_write_json(client, json_pack("{s:s}", "cmd", command)), ERR_OK);
    return client;
}

static json_t *next(struct admin_client *client)
{
    json_t *object = NULL;
    struct errmsg why = {{0}};
    if (admin_read(client, &object, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return object;
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void expect_error(struct admin_client *client, const char *name)
{
    json_t *object = next(client);
    assert_string_equal(text_of(object, "type"), "error");
    assert_string_equal(text_of(object, "error"), name);
    assert_true(text_of(object, "text")[0] != 0);
    json_decref(object);
    admin_disconnect(&client);
}

/* A connection below the level of frames. */
static int raw_dial(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof addr),
                     0);
    return fd;
}

/* ---- calls ---- */

static void a_call_gets_its_result(void **state)
{
    (void)state;
    struct admin_client *client = dial();
    assert_int_equal(admin_write_json(client, json_pack("{s:s, s:s}", "cmd",
                                                        "echo", "say", "你好")),
                     ERR_OK);
    json_t *object = next(client);
    assert_string_equal(text_of(object, "type"), "result");
    assert_string_equal(text_of(object, "said"), "你好");
    assert_string_equal(text_of(object, "ctx"), "context");
    json_decref(object);
    admin_disconnect(&client);
}

static void rows_come_before_the_result(void **state)
{
    (void)state;
    struct admin_client *client = call("rows");
    for (int i = 0; i < 3; i++) {
        json_t *object = next(client);
        assert_string_equal(text_of(object, "type"), "row");
        assert_int_equal(json_integer_value(json_object_get(object, "n")), i);
        json_decref(object);
    }
    json_t *object = next(client);
    assert_string_equal(text_of(object, "type"), "result");
    json_decref(object);
    /* One call a connection: then it ends. */
    struct errmsg why = {{0}};
    assert_int_equal(admin_read(client, &object, &why), ERR_CANCELLED);
    admin_disconnect(&client);
}

static void data_frames_arrive_whole(void **state)
{
    (void)state;
    uint8_t *data = mem_zalloc(ADMIN_FRAME_MAX + 1, 1);
    struct admin_client *client = call("sum");
    assert_int_equal(admin_write(client, slice_of(data, 1)), ERR_OK);
    assert_int_equal(admin_write(client, slice_of(data, ADMIN_FRAME_MAX)),
                     ERR_OK);
    /* Refused here already; the connection stays good. */
    assert_int_equal(admin_write(client, slice_of(data, ADMIN_FRAME_MAX + 1)),
                     ERR_TOO_LARGE);
    assert_int_equal(admin_write(client, slice_of(data, 0)), ERR_OK);
    json_t *object = next(client);
    assert_int_equal(json_integer_value(json_object_get(object, "bytes")),
                     1 + ADMIN_FRAME_MAX);
    json_decref(object);
    admin_disconnect(&client);
    mem_free(data);
}

static void failures_come_with_name_and_text(void **state)
{
    (void)state;
    struct admin_client *client = dial();
    assert_int_equal(admin_write_json(client, json_pack("{s:s, s:b}", "cmd",
                                                        "fail", "say", 1)),
                     ERR_OK);
    json_t *object = next(client);
    assert_string_equal(text_of(object, "error"), "INVALID");
    assert_string_equal(text_of(object, "text"), "line 3: not so");
    json_decref(object);
    admin_disconnect(&client);
    expect_error(call("fail"), "NOT_FOUND");
}

static void what_is_no_text_ends_the_answer_by_name(void **state)
{
    (void)state;
    struct admin_client *client = call("cut");
    json_t *object = next(client);
    assert_string_equal(text_of(object, "type"), "error");
    assert_string_equal(text_of(object, "error"), "BUG");
    assert_non_null(strstr(text_of(object, "text"), "UTF-8"));
    json_decref(object);
    admin_disconnect(&client);
    client = dial();
    assert_int_equal(admin_write_json(client, json_pack("{s:s, s:b}", "cmd",
                                                        "cut", "say", 1)),
                     ERR_OK);
    object = next(client);
    assert_string_equal(text_of(object, "error"), "INVALID");
    assert_string_equal(text_of(object, "text"), "no list \xef\xbf\xbd");
    json_decref(object);
    admin_disconnect(&client);
}

static void what_may_not_be_done_now_is_refused_before(void **state)
{
    (void)state;
    struct admin_client *client = call("shut");
    json_t *object = next(client);
    assert_string_equal(text_of(object, "error"), "ELSEWHERE");
    assert_string_equal(text_of(object, "text"), "not here: context");
    json_decref(object);
    admin_disconnect(&client);
}

static void what_is_no_command_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *frame;
        const char *error;
    } rows[] = {
        {"{\"cmd\":\"frobnicate\"}", "UNSUPPORTED"},
        {"{\"cmd\":7}", "UNSUPPORTED"},
        {"{}", "UNSUPPORTED"},
        {"[]", "INVALID"},
        {"\"echo\"", "INVALID"},
        {"{\"cmd\":", "INVALID"},
        {"", "INVALID"},
        {"{\"cmd\":\"\xff\"}", "INVALID"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct admin_client *client = dial();
        assert_int_equal(admin_write(client, slice_str(rows[i].frame)), ERR_OK);
        expect_error(client, rows[i].error);
    }
}

/* ---- clients that misbehave ---- */

static void an_oversized_frame_ends_the_connection(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {ADMIN_FRAME_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        uint8_t header[4];
        uint8_t answer;
        int fd = raw_dial();
        be_put32(header, lengths[i]);
        assert_int_equal(write(fd, header, 4), 4);
        assert_int_equal(read(fd, &answer, 1), 0);
        (void)close(fd);
    }
}

static void half_a_frame_harms_nobody(void **state)
{
    (void)state;
    int header_only = raw_dial();
    int part = raw_dial();
    assert_int_equal(write(header_only, "\0\0", 2), 2);
    assert_int_equal(write(part, "\0\0\0\x10{\"cmd", 9), 9);
    (void)close(header_only);
    (void)close(part);
    expect_error(call("fail"), "NOT_FOUND");
}

static void a_client_gone_while_it_sends_ends_the_command(void **state)
{
    (void)state;
    struct admin_client *client = call("sum");
    assert_int_equal(admin_write(client, slice_str("abc")), ERR_OK);
    admin_disconnect(&client);
    wait_until(&stage.cancelled, 1);
}

static void a_client_gone_while_it_reads_ends_the_command(void **state)
{
    (void)state;
    struct admin_client *client = call("flood");
    json_t *object = next(client);
    json_decref(object);
    admin_disconnect(&client);
    wait_until(&stage.cancelled, 1);
}

static void too_many_calls_are_refused_and_slots_come_free(void **state)
{
    (void)state;
    struct admin_client *clients[ADMIN_CALLS_MAX];
    for (size_t i = 0; i < ADMIN_CALLS_MAX; i++) {
        clients[i] = call("wait");
    }
    wait_until(&stage.waiting, ADMIN_CALLS_MAX);
    expect_error(dial(), "BUSY");
    open_stage();
    for (size_t i = 0; i < ADMIN_CALLS_MAX; i++) {
        json_t *object = next(clients[i]);
        assert_string_equal(text_of(object, "type"), "result");
        json_decref(object);
        /* The end of the connection says that the slot is free. */
        struct errmsg why = {{0}};
        assert_int_equal(admin_read(clients[i], &object, &why), ERR_CANCELLED);
        admin_disconnect(&clients[i]);
    }
    expect_error(call("fail"), "NOT_FOUND");
}

/* ---- closing ---- */

static void close_wakes_calls_that_wait_for_data(void **state)
{
    (void)state;
    (void)start(state);
    struct admin_client *silent = dial();
    struct admin_client *sending = call("sum");
    assert_int_equal(admin_write(sending, slice_str("abc")), ERR_OK);
    int64_t begun = clock_mono_ms();
    assert_int_equal(stop(state), 0);
    assert_true(clock_mono_ms() - begun < ADMIN_IDLE_S * 1000 / 2);
    admin_disconnect(&silent);
    admin_disconnect(&sending);
}

static void close_cuts_off_a_client_that_does_not_read(void **state)
{
    (void)state;
    static const char request[] = "\0\0\0\x0f{\"cmd\":\"flood\"}";
    char first;
    (void)start(state);
    int fd = raw_dial();
    assert_int_equal(write(fd, request, sizeof request - 1),
                     sizeof request - 1);
    /* The answer is on its way and does not fit. */
    assert_int_equal(read(fd, &first, 1), 1);
    int64_t begun = clock_mono_ms();
    assert_int_equal(stop(state), 0);
    assert_true(clock_mono_ms() - begun < ADMIN_IDLE_S * 1000 / 2);
    assert_int_equal(stage.cancelled, 1);
    (void)close(fd);
}

static void close_lets_an_answer_out(void **state)
{
    (void)state;
    (void)start(state);
    struct admin_client *client = call("wait");
    wait_until(&stage.waiting, 1);
    open_stage();
    assert_int_equal(stop(state), 0);
    json_t *object = next(client);
    assert_string_equal(text_of(object, "type"), "result");
    json_decref(object);
    admin_disconnect(&client);
}

/* ---- the socket file ---- */

static void the_socket_is_private(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_live_socket_is_not_taken_over(void **state)
{
    (void)state;
    struct admin *other = NULL;
    struct errmsg why = {{0}};
    assert_int_equal(admin_open(&other, path, commands, 1, NULL, &why),
                     ERR_BUSY);
    assert_null(other);
    assert_non_null(strstr(why.text, path));
    expect_error(call("fail"), "NOT_FOUND");
}

static void a_socket_left_behind_is_replaced(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    (void)close(fd);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(start(state), 0);
    expect_error(call("fail"), "NOT_FOUND");
    assert_int_equal(stop(state), 0);
}

static void paths_that_cannot_be_are_refused(void **state)
{
    (void)state;
    char longer[200];
    struct errmsg why = {{0}};
    struct admin *other = NULL;
    struct admin_client *client = NULL;
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(admin_open(&other, longer, commands, 1, NULL, &why),
                     ERR_CONF);
    assert_non_null(strstr(why.text, "longer than"));
    assert_int_equal(
        admin_open(&other, "/nowhere/at/all", commands, 1, NULL, &why),
        ERR_NOT_FOUND);
    assert_int_equal(admin_connect(&client, path, &why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "creditnode serve"));
    assert_null(client);
    /* Nothing of the process was closed on the way out. */
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
}

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/admin", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

#define WITH_NODE(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NODE(a_call_gets_its_result),
        WITH_NODE(rows_come_before_the_result),
        WITH_NODE(data_frames_arrive_whole),
        WITH_NODE(failures_come_with_name_and_text),
        WITH_NODE(what_is_no_text_ends_the_answer_by_name),
        WITH_NODE(what_may_not_be_done_now_is_refused_before),
        WITH_NODE(what_is_no_command_is_refused),
        WITH_NODE(an_oversized_frame_ends_the_connection),
        WITH_NODE(half_a_frame_harms_nobody),
        WITH_NODE(a_client_gone_while_it_sends_ends_the_command),
        WITH_NODE(a_client_gone_while_it_reads_ends_the_command),
        WITH_NODE(too_many_calls_are_refused_and_slots_come_free),
        cmocka_unit_test(close_wakes_calls_that_wait_for_data),
        cmocka_unit_test(close_cuts_off_a_client_that_does_not_read),
        cmocka_unit_test(close_lets_an_answer_out),
        WITH_NODE(the_socket_is_private),
        WITH_NODE(a_live_socket_is_not_taken_over),
        cmocka_unit_test(a_socket_left_behind_is_replaced),
        cmocka_unit_test(paths_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
