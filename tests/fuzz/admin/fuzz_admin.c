/* Any bytes on the local socket. The server goes on, every answer is a JSON
 * object, and the last one is a result or an error. */
#include "api/admin.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"

static char path[64];
static struct admin *server;

/* Gives back each data frame's length, as a command that takes data would. */
static enum err eat(void *ctx, struct admin_call *call, json_t *args,
                    json_t **result, struct errmsg *why)
{
    struct buf frame = BUF_INIT;
    size_t total = 0;
    enum err err = ERR_OK;
    (void)ctx;
    (void)args;
    do {
        err = admin_recv(call, &frame);
        FUZZ_CHECK(err != ERR_OK || frame.len <= ADMIN_FRAME_MAX);
        total += frame.len;
    } while (err == ERR_OK && frame.len > 0);
    buf_fini(&frame);
    *result = json_pack("{s:I}", "bytes", (json_int_t)total);
    return err == ERR_OK ? ERR_OK : err_set(why, err, "cut off");
}

static enum err refuse(void *ctx, struct admin_call *call, json_t *args,
                       json_t **result, struct errmsg *why)
{
    (void)ctx;
    (void)call;
    (void)args;
    (void)result;
    return err_set(why, ERR_INVALID, "no");
}

static const struct admin_command commands[] = {{"eat", eat, NULL},
                                                {"no", refuse, NULL}};

static void stop(void)
{
    admin_close(&server);
}

static void start(void)
{
    struct errmsg why = {""};
    (void)snprintf(path, sizeof path, "/tmp/fuzz-admin-%d", (int)getpid());
    enum err err =
        admin_open(&server, path, commands, ARRAY_LEN(commands), NULL, &why);
    FUZZ_CHECK(err == ERR_OK);
    (void)atexit(stop);
}

static int dial(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(to.sun_path, path, sizeof path);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

/* The fuzzer's own clock interrupts calls. */
static bool interrupted(ssize_t n)
{
    return n < 0 && errno == EINTR;
}

static void put_all(int fd, const uint8_t *data, size_t len)
{
    ssize_t n;
    while (len > 0 &&
           ((n = send(fd, data, len, MSG_NOSIGNAL)) > 0 || interrupted(n))) {
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    (void)shutdown(fd, SHUT_WR);
}

static void get_all(int fd, struct buf *out)
{
    ssize_t n;
    while ((n = recv(fd, buf_reserve(out, 4096), 4096, 0)) > 0 ||
           interrupted(n)) {
        out->len += n > 0 ? (size_t)n : 0;
    }
}

static void check_answer(struct slice bytes)
{
    const char *type = NULL;
    json_t *object = NULL;
    struct reader r = reader_of(bytes);
    while (reader_left(&r) > 0) {
        struct slice frame = reader_bytes(&r, reader_u32(&r));
        FUZZ_CHECK(!r.bad);
        json_decref(object);
        object = json_loadb((const char *)frame.data, frame.len, 0, NULL);
        FUZZ_CHECK(json_is_object(object));
        type = json_string_value(json_object_get(object, "type"));
    }
    FUZZ_CHECK(type == NULL || strcmp(type, "result") == 0 ||
               strcmp(type, "error") == 0);
    json_decref(object);
}

static void as_server(const uint8_t *data, size_t len)
{
    struct buf answer = BUF_INIT;
    int fd = dial();
    put_all(fd, data, len);
    get_all(fd, &answer);
    (void)close(fd);
    check_answer(buf_slice(&answer));
    buf_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (server == NULL) {
        start();
    }
    if (len <= ADMIN_FRAME_MAX) {
        as_server(data, len);
    }
    return 0;
}
