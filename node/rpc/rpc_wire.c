#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "rpc/rpc_private.h"

enum { SLACK_MAX = 4096 }; /* unused bytes a queued message may hold */

static const char err_key[] = "creditnode-err";
static const char writer_key[] = "creditnode-writer";

const char rpc_compressed_text[] =
    "message is compressed; switch gRPC compression off";

/* On any thread of gRPC, when it has written the bytes. */
static void free_sent(void *data)
{
    RPC_CONSUME(data);
    mem_free(data);
}

grpc_byte_buffer *rpc_bytes_from(struct buf *b)
{
    grpc_slice slice;
    if (b->data == NULL) {
        slice = grpc_empty_slice();
    } else if (b->cap - b->len > SLACK_MAX + b->len) {
        slice = grpc_slice_from_copied_buffer((const char *)b->data, b->len);
        buf_fini(b);
    } else {
        size_t len;
        uint8_t *data = buf_steal(b, &len);
        RPC_PUBLISH(data);
        slice = grpc_slice_new(data, len, free_sent);
    }
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return bytes;
}

static void unref_sent(void *data)
{
    struct shared *s = data;
    RPC_CONSUME(s);
    shared_unref(&s);
}

/* The library's slices are not const-correct; it only reads what it sends. */
static void *sent_bytes(struct slice bytes)
{
    union {
        const uint8_t *given;
        uint8_t *taken;
    } at = {.given = bytes.data};
    return at.taken;
}

grpc_byte_buffer *rpc_bytes_from_shared(struct shared **s, struct slice tail)
{
    struct slice bytes = shared_slice(*s);
    RPC_PUBLISH(*s);
    grpc_slice slice = grpc_slice_new_with_user_data(sent_bytes(bytes),
                                                     bytes.len, unref_sent, *s);
    *s = NULL;
    grpc_slice parts[2] = {slice, grpc_slice_from_copied_buffer(
                                      (const char *)tail.data, tail.len)};
    grpc_byte_buffer *out =
        grpc_raw_byte_buffer_create(parts, tail.len > 0 ? 2 : 1);
    grpc_slice_unref(parts[0]);
    grpc_slice_unref(parts[1]);
    return out;
}

/* The count of references is an atomic inside libgrpc, and free() is called
 * from there by a jump: ThreadSanitizer takes it for a call of ours, unordered
 * with what other threads read of their messages in the same memory. */
static void frees_begin(void)
{
#if defined(__SANITIZE_THREAD__)
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
}

static void frees_end(void)
{
#if defined(__SANITIZE_THREAD__)
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
}

void rpc_slice_done(grpc_slice slice)
{
    frees_begin();
    grpc_slice_unref(slice);
    frees_end();
}

void rpc_bytes_done(grpc_byte_buffer *bytes)
{
    frees_begin();
    grpc_byte_buffer_destroy(bytes);
    frees_end();
}

grpc_slice rpc_bytes_flatten(grpc_byte_buffer *bytes)
{
    if (bytes == NULL) {
        return grpc_empty_slice();
    }
    grpc_slice out = grpc_empty_slice();
    const grpc_slice_buffer *parts = &bytes->data.raw.slice_buffer;
    grpc_byte_buffer_reader reader;
    if (parts->count == 1) {
        out = grpc_slice_ref(parts->slices[0]);
    } else if (grpc_byte_buffer_reader_init(&reader, bytes)) {
        out = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    rpc_bytes_done(bytes);
    return out;
}

struct slice rpc_slice_view(const grpc_slice *s)
{
    return slice_of(GRPC_SLICE_START_PTR(*s), GRPC_SLICE_LENGTH(*s));
}

gpr_timespec rpc_deadline(uint32_t ms)
{
    if (ms == 0) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(ms, GPR_TIMESPAN));
}

int64_t rpc_deadline_left_ms(gpr_timespec deadline)
{
    if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) {
        return INT64_MAX;
    }
    gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
    return left.tv_sec * 1000 + left.tv_nsec / 1000000;
}

void rpc_status_op(grpc_op *op, struct rpc_status_out *out, enum err err,
                   const char *text)
{
    op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    op->data.send_status_from_server.status =
        (grpc_status_code)err_grpc_status(err);
    if (err == ERR_OK) {
        return;
    }
    size_t len = strnlen(text, RPC_TEXT_MAX - 1);
    out->text = grpc_slice_from_copied_buffer(text, len);
    out->with[0].key = grpc_slice_from_static_string(err_key);
    out->with[0].value = grpc_slice_from_static_string(err_name(err));
    op->data.send_status_from_server.trailing_metadata = out->with;
    op->data.send_status_from_server.trailing_metadata_count = 1;
    op->data.send_status_from_server.status_details = &out->text;
}

void rpc_status_refer(grpc_op *op, struct rpc_status_out *out,
                      const char *address)
{
    if (address[0] == 0) {
        return;
    }
    out->writer = grpc_slice_from_copied_string(address);
    out->with[1].key = grpc_slice_from_static_string(writer_key);
    out->with[1].value = out->writer;
    op->data.send_status_from_server.trailing_metadata_count = 2;
}

void rpc_status_out_fini(struct rpc_status_out *out)
{
    grpc_slice_unref(out->writer);
    grpc_slice_unref(out->text);
}

void rpc_status_in_init(struct rpc_status_in *in)
{
    grpc_metadata_array_init(&in->trailing);
    in->code = GRPC_STATUS_UNKNOWN;
    in->text = grpc_empty_slice();
}

void rpc_status_in_op(grpc_op *op, struct rpc_status_in *in)
{
    op->op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    op->data.recv_status_on_client.trailing_metadata = &in->trailing;
    op->data.recv_status_on_client.status = &in->code;
    op->data.recv_status_on_client.status_details = &in->text;
}

/* The error of this name, if it agrees with the code. */
static bool err_named(grpc_slice name, grpc_status_code code, enum err *out)
{
    for (int e = 0; e < ERR_COUNT; e++) {
        if (err_grpc_status((enum err)e) == (int)code &&
            grpc_slice_str_cmp(name, err_name((enum err)e)) == 0) {
            *out = (enum err)e;
            return true;
        }
    }
    return false;
}

static bool find_name(const struct rpc_status_in *in, enum err *out)
{
    for (size_t i = 0; i < in->trailing.count; i++) {
        const grpc_metadata *md = &in->trailing.metadata[i];
        if (grpc_slice_str_cmp(md->key, err_key) == 0) {
            return err_named(md->value, in->code, out);
        }
    }
    return false;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What this side's own check said of the server, without the layers through
 * which gRPC hands it on: they are longer than what a line has room for. */
static void unwrap(char text[RPC_TEXT_MAX])
{
    static const char layer[] = "Custom verification check failed with error: ";
    static const char begin[] = "failed to connect: ";
    char *said = strstr(text, layer);
    char *words = said != NULL ? strstr(said + sizeof layer - 1, ": ") : NULL;
    if (words != NULL) {
        (void)memmove(text + sizeof begin - 1, words + 2,
                      strlen(words + 2) + 1);
        memcpy(text, begin, sizeof begin - 1);
    }
}

/* With TLS 1.3 a client has finished before the server refuses its
 * certificate, so all it ever sees is a closed socket. */
static void explain(char text[RPC_TEXT_MAX])
{
    static const char hint[] = " (if the server is up, it refused this node's"
                               " certificate; its log has the reason)";
    size_t len = strlen(text);
    if (starts_with(text, "failed to connect") &&
        strstr(text, "Socket closed") != NULL &&
        len + sizeof hint <= RPC_TEXT_MAX) {
        memcpy(text + len, hint, sizeof hint);
    }
}

enum err rpc_status_in_read(const struct rpc_status_in *in,
                            char text[RPC_TEXT_MAX])
{
    str_quotable(rpc_slice_view(&in->text), text, RPC_TEXT_MAX);
    enum err err;
    if (find_name(in, &err)) {
        return err;
    }
    unwrap(text);
    explain(text);
    return err_from_grpc((int)in->code);
}

void rpc_status_in_fini(struct rpc_status_in *in)
{
    grpc_metadata_array_destroy(&in->trailing);
    grpc_slice_unref(in->text);
}
