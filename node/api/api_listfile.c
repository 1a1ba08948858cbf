/* Directives logs to files and from them. */
#include <inttypes.h>
#include <string.h>

#include "api/directives.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "sync/listfile.h"

/* ---- export ---- */

static enum err put_piece(void *ctx, struct slice piece)
{
    struct buf text = BUF_INIT;
    str_base64(piece, &text);
    enum err err =
        admin_send(ctx, json_pack("{s:s, s:s%}", "type", "piece", "data",
                                  (const char *)text.data, text.len));
    buf_fini(&text);
    return err;
}

enum err directive_export(void *ctx, struct admin_call *call, json_t *args,
                          json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct log_id log;
    uint64_t size = 0;
    char name[LOG_ID_TEXT_MAX];
    json_int_t from = json_integer_value(json_object_get(args, "from"));
    enum err err = directive_log(env->store, args, &log, why);
    if (err == ERR_OK) {
        err = listfile_export(env->sync, &log, from > 0 ? (uint64_t)from : 1,
                              put_piece, call, &size, why);
    }
    if (err == ERR_OK) {
        log_id_format(&log, name);
        *result = json_pack("{s:s, s:I, s:I}", "log", name, "from",
                            from > 0 ? from : 1, "size", (json_int_t)size);
    }
    return err;
}

/* ---- taking ---- */

struct taking {
    struct admin_call *call;
    struct listfile *file;
    int64_t said_ms;
};

static void say_progress(struct taking *t)
{
    enum { EVERY_MS = 500 };
    struct listfile_sum sum;
    int64_t now = clock_mono_ms();
    if (now >= t->said_ms + EVERY_MS) {
        t->said_ms = now;
        listfile_sum(t->file, &sum);
        (void)admin_send(t->call, json_pack("{s:s, s:I}", "type", "progress",
                                            "done", (json_int_t)sum.held));
    }
}

static enum err take_frames(struct taking *t, struct errmsg *why)
{
    struct buf frame = BUF_INIT;
    enum err err = ERR_OK;
    bool more = true;
    while (err == ERR_OK && more) {
        err = admin_recv(t->call, &frame);
        more = err == ERR_OK && frame.len > 0;
        if (err != ERR_OK) {
            (void)err_set(why, err, "the sender went silent before the end");
        } else if (more) {
            err = listfile_feed(t->file, buf_slice(&frame), why);
            say_progress(t);
        }
    }
    buf_fini(&frame);
    return err == ERR_OK ? listfile_finish(t->file, why) : err;
}

enum err directive_take(void *ctx, struct admin_call *call, json_t *args,
                        json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct listfile_sum sum;
    char name[LOG_ID_TEXT_MAX];
    struct taking t = {.call = call, .said_ms = clock_mono_ms()};
    (void)args;
    t.file = listfile_new(env->sync, env->feed);
    enum err err = take_frames(&t, why);
    listfile_sum(t.file, &sum);
    listfile_free(&t.file);
    log_id_format(&sum.log, name);
    log_line(err == ERR_OK ? LOG_INFO : LOG_WARN, env->log, "DIRECTIVES-FILE",
             "log=%s added=%" PRIu64 " held=%" PRIu64 " result=%s text=\"%s\"",
             name, sum.added, sum.held, err_name(err),
             err == ERR_OK ? "" : why->text);
    if (err == ERR_OK) {
        *result = json_pack(
            "{s:s, s:I, s:I, s:I, s:b, s:I, s:b, s:I}", "log", name, "added",
            (json_int_t)sum.added, "held", (json_int_t)sum.held, "signed_ms",
            (json_int_t)sum.signed_ms, "older", sum.is_older ? 1 : 0, "roots",
            (json_int_t)sum.roots, "succeeded", sum.succeeded ? 1 : 0,
            "set_aside", (json_int_t)sum.set_aside);
    }
    return err;
}
