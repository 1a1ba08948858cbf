/* bench_publish - gives signed packages to a running node, and says when.
 *
 *   bench_publish SOCKET PAUSE_MS PACKAGE...
 *
 * One line a package: its last entry's number, when it was given (before its
 * first byte), and when the node had it durably; milliseconds of the day, UTC,
 * as log lines have them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/admin.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { PIECE = 64 << 10, FILE_MAX = 64 << 20, DAY_S = 86400 };

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_publish: %s: %s\n", what, why);
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)(t.tv_sec % DAY_S) * 1e3 + (double)t.tv_nsec / 1e6;
}

static void send_package(struct admin_client *client, struct slice file)
{
    enum err err = admin_write_json(
        client, json_pack("{s:s}", "cmd", "directive-publish"));
    for (size_t at = 0; err == ERR_OK && at < file.len; at += PIECE) {
        size_t left = file.len - at;
        err = admin_write(
            client, slice_of(file.data + at, left < PIECE ? left : PIECE));
    }
    if (err != ERR_OK || admin_write(client, slice_of(NULL, 0)) != ERR_OK) {
        die("sending", "the node ended the call");
    }
}

static json_int_t read_last(struct admin_client *client)
{
    json_t *object = NULL;
    struct errmsg why = {""};
    if (admin_read(client, &object, &why) != ERR_OK) {
        die("answer", why.text);
    }
    json_t *last = json_object_get(object, "last");
    if (last == NULL) {
        die("refused", json_string_value(json_object_get(object, "text")));
    }
    json_int_t number = json_integer_value(last);
    json_decref(object);
    return number;
}

static void publish(const char *socket, const char *path)
{
    struct admin_client *client = NULL;
    struct buf file = BUF_INIT;
    struct errmsg why;
    if (file_read(path, FILE_MAX, &file, &why) != ERR_OK ||
        admin_connect(&client, socket, &why) != ERR_OK) {
        die(path, why.text);
    }
    double from = now_ms();
    send_package(client, buf_slice(&file));
    json_int_t last = read_last(client);
    (void)printf("%lld %.3f %.3f\n", (long long)last, from, now_ms());
    admin_disconnect(&client);
    buf_fini(&file);
}

int main(int argc, char **argv)
{
    uint64_t pause_ms;
    if (argc < 4 || !str_u64(slice_str(argv[2]), &pause_ms) ||
        pause_ms > 60000) {
        die("usage", "bench_publish SOCKET PAUSE_MS PACKAGE...");
    }
    const struct timespec pause = {(time_t)(pause_ms / 1000),
                                   (long)(pause_ms % 1000) * 1000000};
    for (int i = 3; i < argc; i++) {
        publish(argv[1], argv[i]);
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}
