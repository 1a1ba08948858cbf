#include "rpc/reflection.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/pb.h"

enum {
    UNREAD_MAX = 256 << 10, /* bytes of answers that a peer has not taken */

    ASKED_HOST = 1,
    ASKED_FILE = 3,
    ASKED_SYMBOL = 4,
    ASKED_EXTENSION = 5,
    ASKED_EXTENSIONS = 6,
    ASKED_SERVICES = 7,

    SAID_HOST = 1,
    SAID_REQUEST = 2,
    SAID_FILE = 4,
    SAID_EXTENSIONS = 5,
    SAID_SERVICES = 6,
    SAID_ERROR = 7,
};

/* ---- questions and answers ---- */

struct asked {
    struct slice host;
    uint32_t what; /* 0: nothing */
    struct slice text;
    const struct rpc_method *methods;
    size_t count;
};

static void put_error(struct buf *out, enum err err, const char *text)
{
    size_t mark = pb_begin(out, SAID_ERROR);
    pb_put_u64(out, 1, (uint64_t)err_grpc_status(err));
    pb_put_str(out, 2, text);
    pb_end(out, mark);
}

static void put_file(struct buf *out, struct slice file, const char *missing)
{
    if (file.len == 0) {
        put_error(out, ERR_NOT_FOUND, missing);
        return;
    }
    size_t mark = pb_begin(out, SAID_FILE);
    pb_put_bytes(out, 1, file);
    pb_end(out, mark);
}

static void say_file(const struct asked *a, struct buf *out)
{
    put_file(out, reflection_file(a->text), "no file of this name");
}

static void say_symbol(const struct asked *a, struct buf *out)
{
    put_file(out, reflection_declaring(a->text, NULL),
             "no file declares this symbol");
}

/* Messages of proto3 have no extensions. */
static void say_extension(const struct asked *a, struct buf *out)
{
    (void)a;
    put_error(out, ERR_NOT_FOUND, "nothing is extended here");
}

static void say_extensions(const struct asked *a, struct buf *out)
{
    bool is_message = false;
    (void)reflection_declaring(a->text, &is_message);
    if (!is_message) {
        put_error(out, ERR_NOT_FOUND, "no message of this name");
        return;
    }
    size_t mark = pb_begin(out, SAID_EXTENSIONS);
    pb_put_bytes(out, 1, a->text);
    pb_end(out, mark);
}

/* "package.Service" of "/package.Service/Method". */
static struct slice service_of(const struct rpc_method *method)
{
    const char *name = method->path + 1;
    return slice_of(name, strcspn(name, "/"));
}

static bool is_first_of_service(const struct asked *a, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (slice_eq(service_of(&a->methods[i]), service_of(&a->methods[at]))) {
            return false;
        }
    }
    return true;
}

static void say_services(const struct asked *a, struct buf *out)
{
    size_t list = pb_begin(out, SAID_SERVICES);
    for (size_t i = 0; i < a->count; i++) {
        if (is_first_of_service(a, i)) {
            size_t mark = pb_begin(out, 1);
            pb_put_bytes(out, 1, service_of(&a->methods[i]));
            pb_end(out, mark);
        }
    }
    pb_end(out, list);
}

static void say_nothing(const struct asked *a, struct buf *out)
{
    (void)a;
    put_error(out, ERR_INVALID, "nothing was asked that is known here");
}

/* The last question counts, as the last of a oneof does. */
static enum err read_asked(struct slice request, struct asked *a)
{
    struct reader r = reader_of(request);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        bool host = f.number == ASKED_HOST;
        if (!host && (f.number < ASKED_FILE || f.number > ASKED_SERVICES)) {
            continue;
        }
        if (f.type != PB_BYTES) {
            return ERR_INVALID;
        }
        if (host) {
            a->host = f.bytes;
        } else {
            a->what = f.number;
            a->text = f.bytes;
        }
    }
    return r.bad ? ERR_INVALID : ERR_OK;
}

enum err reflection_answer(struct slice request,
                           const struct rpc_method *methods, size_t count,
                           struct buf *out)
{
    static void (*const says[])(const struct asked *a, struct buf *out) = {
        [0] = say_nothing,
        [ASKED_FILE] = say_file,
        [ASKED_SYMBOL] = say_symbol,
        [ASKED_EXTENSION] = say_extension,
        [ASKED_EXTENSIONS] = say_extensions,
        [ASKED_SERVICES] = say_services,
    };
    struct asked a = {.methods = methods, .count = count};
    enum err err = read_asked(request, &a);
    if (err == ERR_OK) {
        pb_put_bytes(out, SAID_HOST, a.host);
        pb_put_bytes(out, SAID_REQUEST, request);
        says[a.what](&a, out);
    }
    return err;
}

/* ---- streams ---- */

struct reflection {
    const struct rpc_method *methods;
    size_t count;
    pthread_mutex_t lock; /* all below; taken before that of a stream */
    struct rpc_stream *places[REFLECTION_STREAMS_MAX]; /* a ring; NULL: free */
    size_t next;
    bool closing;
};

/* Also if the peer does not read what stands before the end. */
static void end_now(struct rpc_stream *s, enum err err, const char *text)
{
    rpc_stream_finish(s, err, text);
    if (rpc_stream_queued(s) > 0) {
        rpc_stream_finish(s, err, text);
    }
}

static const char stopping[] = "the node is stopping";

static void on_open(struct rpc_stream *s, void *user)
{
    struct reflection *r = user;
    (void)pthread_mutex_lock(&r->lock);
    if (r->closing) {
        end_now(s, ERR_UNAVAILABLE, stopping);
    } else {
        struct rpc_stream **place = &r->places[r->next];
        r->next = (r->next + 1) % REFLECTION_STREAMS_MAX;
        if (*place != NULL) {
            end_now(*place, ERR_BUSY, "others ask; ask again");
        }
        *place = s;
    }
    (void)pthread_mutex_unlock(&r->lock);
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    const struct reflection *r = user;
    struct buf out = BUF_INIT;
    if (message.len > REFLECTION_REQUEST_MAX) {
        end_now(s, ERR_TOO_LARGE, "ServerReflectionRequest is too large");
    } else if (reflection_answer(message, r->methods, r->count, &out) !=
               ERR_OK) {
        end_now(s, ERR_INVALID, "ServerReflectionRequest cannot be decoded");
    } else if (rpc_stream_queued(s) + out.len > UNREAD_MAX ||
               rpc_stream_send(s, &out) == ERR_BUSY) {
        end_now(s, ERR_BUSY, "the answers are not read");
    }
    buf_fini(&out);
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct reflection *r = user;
    (void)err;
    (void)text;
    (void)pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < REFLECTION_STREAMS_MAX; i++) {
        if (r->places[i] == s) {
            r->places[i] = NULL;
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
}

static const struct rpc_stream_ops ops = {
    .open = on_open, .message = on_message, .closed = on_closed};

struct reflection *reflection_new(const struct rpc_method *methods,
                                  size_t count,
                                  struct rpc_method own[REFLECTION_METHODS])
{
    static const char *const paths[REFLECTION_METHODS] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    };
    struct reflection *r = MEM_NEW(struct reflection);
    r->methods = methods;
    r->count = count;
    (void)pthread_mutex_init(&r->lock, NULL);
    for (size_t i = 0; i < REFLECTION_METHODS; i++) {
        own[i] =
            (struct rpc_method){.path = paths[i], .stream = &ops, .ctx = r};
    }
    return r;
}

void reflection_hang_up(struct reflection *r)
{
    (void)pthread_mutex_lock(&r->lock);
    r->closing = true;
    for (size_t i = 0; i < REFLECTION_STREAMS_MAX; i++) {
        if (r->places[i] != NULL) {
            end_now(r->places[i], ERR_UNAVAILABLE, stopping);
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
}

void reflection_free(struct reflection *r)
{
    (void)pthread_mutex_destroy(&r->lock);
    mem_free(r);
}
