#include "sync/wire.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/pb.h"
#include "base/str.h"
#include "sync/receipt.h"

/* ---- reading ---- */

enum form {
    FORM_U64,
    FORM_U32,
    FORM_BOOL,
    FORM_BYTES, /* min..max bytes, borrowed */
    FORM_TEXT,  /* the same, UTF-8 */
    FORM_LOG,
    FORM_ROOT,
    FORM_LIST, /* at most `count` items of min..max bytes, of `item` */
    FORM_ABOVE,
};

struct rule {
    uint32_t number;
    enum form form;
    const char *name;
    size_t offset;
    size_t min;
    size_t max;
    size_t count;
    const struct shape *item;
};

struct shape {
    const char *name;
    const struct rule *rules;
    size_t rules_count;
    size_t size; /* of the struct */
};

#define SHAPE(shape_name, table, type)                                         \
    {                                                                          \
        shape_name, table, ARRAY_LEN(table), sizeof(type)                      \
    }

#define PLAIN(no, f, type, member)                                             \
    {                                                                          \
        .number = no, .form = f, .name = #member,                              \
        .offset = offsetof(type, member)                                       \
    }
#define SIZED(no, f, type, member, least, most)                                \
    {                                                                          \
        .number = no, .form = f, .name = #member,                              \
        .offset = offsetof(type, member), .min = least, .max = most            \
    }
#define LIST(no, type, member, least, most, at_most, shape)                    \
    {                                                                          \
        .number = no, .form = FORM_LIST, .name = #member,                      \
        .offset = offsetof(type, member), .min = least, .max = most,           \
        .count = at_most, .item = shape                                        \
    }

static const struct rule above_rules[] = {
    PLAIN(1, FORM_U64, struct store_above, code),
    PLAIN(2, FORM_U32, struct store_above, tier),
    PLAIN(3, FORM_U64, struct store_above, size),
};
static const struct shape above_shape =
    SHAPE("Above", above_rules, struct store_above);

static const struct rule log_have_rules[] = {
    PLAIN(1, FORM_LOG, struct wire_log_have, log),
    PLAIN(2, FORM_U64, struct wire_log_have, size),
    PLAIN(3, FORM_ROOT, struct wire_log_have, root),
    PLAIN(4, FORM_BOOL, struct wire_log_have, stopped),
    PLAIN(5, FORM_U64, struct wire_log_have, signed_ms),
};
static const struct shape log_have_shape =
    SHAPE("LogHave", log_have_rules, struct wire_log_have);

static const struct rule log_ack_rules[] = {
    PLAIN(1, FORM_LOG, struct wire_log_ack, log),
    PLAIN(2, FORM_U64, struct wire_log_ack, size),
    PLAIN(3, FORM_ABOVE, struct wire_log_ack, above),
    PLAIN(4, FORM_U32, struct wire_log_ack, held_ms),
};
static const struct shape log_ack_shape =
    SHAPE("LogAck", log_ack_rules, struct wire_log_ack);

static const struct rule hello_rules[] = {
    PLAIN(1, FORM_U32, struct wire_hello, protocol),
    SIZED(2, FORM_TEXT, struct wire_hello, suite, 0, 16),
    SIZED(3, FORM_TEXT, struct wire_hello, federation, 0, FEDERATION_MAX),
    SIZED(4, FORM_BYTES, struct wire_hello, root_document, 0, HASH_LEN),
    PLAIN(5, FORM_U64, struct wire_hello, code),
    SIZED(6, FORM_TEXT, struct wire_hello, version, 0, 64),
    PLAIN(7, FORM_U64, struct wire_hello, clock_ms),
    LIST(8, struct wire_hello, sealing_chain, 1, CERT_CHAIN_MAX,
         WIRE_CHAINS_MAX, NULL),
    PLAIN(9, FORM_U64, struct wire_hello, window),
    PLAIN(10, FORM_U64, struct wire_hello, root_version),
};
static const struct shape hello_shape =
    SHAPE("Hello", hello_rules, struct wire_hello);

static const struct rule root_document_rules[] = {
    SIZED(1, FORM_BYTES, struct wire_root_document, text, 1, ROOTDOC_FILE_MAX),
};
static const struct shape root_document_shape =
    SHAPE("RootDocument", root_document_rules, struct wire_root_document);

static const struct rule segment_rules[] = {
    PLAIN(1, FORM_LOG, struct wire_segment, log),
    PLAIN(2, FORM_U64, struct wire_segment, first),
    LIST(3, struct wire_segment, block, BLOCK_HEADER_LEN, WIRE_BLOCK_MAX,
         SEGMENT_ENTRIES_MAX, NULL),
    SIZED(4, FORM_BYTES, struct wire_segment, note, 0, CHECKPOINT_MAX),
    SIZED(5, FORM_BYTES, struct wire_segment, bridge, 0, WIRE_BRIDGE_MAX),
    SIZED(6, FORM_BYTES, struct wire_segment, chain, 0, CERT_CHAIN_MAX),
    PLAIN(7, FORM_U64, struct wire_segment, held),
};
static const struct shape segment_shape =
    SHAPE("Segment", segment_rules, struct wire_segment);

static const struct rule evidence_rules[] = {
    PLAIN(1, FORM_LOG, struct wire_evidence, log),
    SIZED(2, FORM_BYTES, struct wire_evidence, note, 1, CHECKPOINT_MAX),
    SIZED(3, FORM_BYTES, struct wire_evidence, chain, 1, CERT_CHAIN_MAX),
};
static const struct shape evidence_shape =
    SHAPE("Evidence", evidence_rules, struct wire_evidence);

static const struct rule receipt_rules[] = {
    SIZED(1, FORM_BYTES, struct wire_receipt, text, 1, RECEIPT_MAX),
    SIZED(2, FORM_BYTES, struct wire_receipt, chain, 1, CERT_CHAIN_MAX),
};
static const struct shape receipt_shape =
    SHAPE("Receipt", receipt_rules, struct wire_receipt);

static const struct rule have_rules[] = {
    LIST(1, struct wire_have, logs, 1, 256, WIRE_LOGS_MAX, &log_have_shape),
    PLAIN(2, FORM_BOOL, struct wire_have, last),
};
static const struct shape have_shape =
    SHAPE("Have", have_rules, struct wire_have);

static const struct rule ack_rules[] = {
    LIST(1, struct wire_ack, logs, 1, 1024, WIRE_LOGS_MAX, &log_ack_shape),
};
static const struct shape ack_shape = SHAPE("Ack", ack_rules, struct wire_ack);

static const struct rule stop_rules[] = {
    PLAIN(1, FORM_LOG, struct wire_stop, log),
    PLAIN(2, FORM_U64, struct wire_stop, number),
    SIZED(3, FORM_TEXT, struct wire_stop, reason, 0, WIRE_TEXT_MAX),
    PLAIN(4, FORM_BOOL, struct wire_stop, retry),
    SIZED(5, FORM_BYTES, struct wire_stop, note, 0, CHECKPOINT_MAX),
};
static const struct shape stop_shape =
    SHAPE("Stop", stop_rules, struct wire_stop);

static const struct rule want_rules[] = {
    PLAIN(1, FORM_LOG, struct wire_range, log),
    PLAIN(2, FORM_U64, struct wire_range, first),
    PLAIN(3, FORM_U64, struct wire_range, last),
};
static const struct shape want_shape =
    SHAPE("Want", want_rules, struct wire_range);

static const struct shape fetch_shape =
    SHAPE("FetchRequest", want_rules, struct wire_range);

static const struct rule root_request_rules[] = {
    PLAIN(1, FORM_LOG, struct wire_root_request, log),
    PLAIN(2, FORM_U64, struct wire_root_request, size),
};
static const struct shape root_request_shape =
    SHAPE("RootRequest", root_request_rules, struct wire_root_request);

static const struct rule root_reply_rules[] = {
    PLAIN(1, FORM_U64, struct wire_root_reply, size),
    PLAIN(2, FORM_ROOT, struct wire_root_reply, root),
    PLAIN(3, FORM_U64, struct wire_root_reply, held),
    SIZED(4, FORM_BYTES, struct wire_root_reply, note, 0, CHECKPOINT_MAX),
    SIZED(5, FORM_BYTES, struct wire_root_reply, chain, 0, CERT_CHAIN_MAX),
    SIZED(6, FORM_BYTES, struct wire_root_reply, frontier, 0,
          WIRE_FRONTIER_MAX),
    SIZED(7, FORM_BYTES, struct wire_root_reply, bridge, 0, WIRE_BRIDGE_MAX),
};
static const struct shape root_reply_shape =
    SHAPE("RootReply", root_reply_rules, struct wire_root_reply);

static enum err get_shape(struct slice body, const struct shape *shape,
                          void *out, struct errmsg *why);

static enum err get_bytes(const struct rule *rule, struct slice bytes, void *at)
{
    if (bytes.len < rule->min || bytes.len > rule->max ||
        (rule->form == FORM_TEXT && !str_utf8_valid(bytes))) {
        return ERR_PROTOCOL;
    }
    *(struct slice *)at = bytes;
    return ERR_OK;
}

static enum err get_log(struct slice bytes, void *at)
{
    struct reader r = reader_of(bytes);
    *(struct log_id *)at = log_id_get(&r);
    return reader_done(&r) ? ERR_OK : ERR_PROTOCOL;
}

static enum err get_root(struct slice bytes, void *at)
{
    if (bytes.len != HASH_LEN) {
        return ERR_PROTOCOL;
    }
    memcpy(at, bytes.data, HASH_LEN);
    return ERR_OK;
}

static enum err get_above(struct slice bytes, struct wire_log_ack *ack,
                          struct errmsg *why)
{
    if (ack->above_count == ABOVE_MAX) {
        return ERR_PROTOCOL;
    }
    return get_shape(bytes, &above_shape, &ack->above[ack->above_count++], why);
}

/* Room for one decoded item of any list that has a shape. */
union item {
    struct wire_log_have have;
    struct wire_log_ack ack;
};

static enum err check_item(const struct rule *rule, struct slice bytes,
                           struct wire_list *list, struct errmsg *why)
{
    list->count++;
    if (list->count > rule->count || bytes.len < rule->min ||
        bytes.len > rule->max) {
        return ERR_PROTOCOL;
    }
    union item item;
    return rule->item == NULL ? ERR_OK
                              : get_shape(bytes, rule->item, &item, why);
}

static bool is_number(enum form form)
{
    return form == FORM_U64 || form == FORM_U32 || form == FORM_BOOL;
}

static enum err get_number(enum form form, uint64_t value, void *at)
{
    if (form == FORM_U64) {
        *(uint64_t *)at = value;
    } else if (form == FORM_BOOL) {
        *(bool *)at = value != 0;
    } else if (value > INT32_MAX) {
        return ERR_PROTOCOL;
    } else {
        *(uint32_t *)at = (uint32_t)value;
    }
    return ERR_OK;
}

static enum err get_field(const struct rule *rule, const struct pb_field *f,
                          void *out, struct errmsg *why)
{
    void *at = (char *)out + rule->offset;
    if (f->type != (is_number(rule->form) ? PB_VARINT : PB_BYTES)) {
        return ERR_PROTOCOL;
    }
    switch (rule->form) {
    case FORM_U64:
    case FORM_U32:
    case FORM_BOOL:
        return get_number(rule->form, f->value, at);
    case FORM_BYTES:
    case FORM_TEXT:
        return get_bytes(rule, f->bytes, at);
    case FORM_LOG:
        return get_log(f->bytes, at);
    case FORM_ROOT:
        return get_root(f->bytes, at);
    case FORM_LIST:
        return check_item(rule, f->bytes, at, why);
    case FORM_ABOVE:
        return get_above(f->bytes, out, why);
    }
    return ERR_BUG;
}

static const struct rule *rule_of(const struct shape *shape, uint32_t number)
{
    for (size_t i = 0; i < shape->rules_count; i++) {
        if (shape->rules[i].number == number) {
            return &shape->rules[i];
        }
    }
    return NULL;
}

static void clear(const struct shape *shape, struct slice body, void *out)
{
    memset(out, 0, shape->size);
    for (size_t i = 0; i < shape->rules_count; i++) {
        const struct rule *rule = &shape->rules[i];
        if (rule->form == FORM_LIST) {
            struct wire_list *list = (void *)((char *)out + rule->offset);
            *list = (struct wire_list){body, rule->number, 0};
        }
    }
}

/* Every message with a log names one; the id 0 is never valid. */
static bool lacks_log(const struct shape *shape, const void *out)
{
    const struct rule *rule = &shape->rules[0];
    const struct log_id *log = (const void *)out;
    return rule->form == FORM_LOG && log->incarnation == 0;
}

static enum err get_shape(struct slice body, const struct shape *shape,
                          void *out, struct errmsg *why)
{
    struct reader r = reader_of(body);
    struct pb_field f;
    clear(shape, body, out);
    while (pb_next(&r, &f)) {
        const struct rule *rule = rule_of(shape, f.number);
        if (rule == NULL) {
            continue;
        }
        struct errmsg inner = {""};
        if (get_field(rule, &f, out, &inner) != ERR_OK) {
            return err_set(why, ERR_PROTOCOL, "%s.%s: %s", shape->name,
                           rule->name,
                           inner.text[0] != '\0' ? inner.text
                                                 : "wrong form, size or count");
        }
    }
    if (r.bad) {
        return err_set(why, ERR_PROTOCOL, "%s: cut off or malformed",
                       shape->name);
    }
    if (lacks_log(shape, out)) {
        return err_set(why, ERR_PROTOCOL, "%s.log: missing", shape->name);
    }
    return ERR_OK;
}

/* Fields of several messages, with other numbers. */
enum {
    CHILD_ROOT = 4,
    PARENT_ROOT = 6,
    FOLLOWER_EVIDENCE = 5,
    FOLLOWER_RECEIPT = 6,
    FEED_ROOT = 4
};

/* One row a kind of message: its field number in ChildMessage or
 * ParentMessage. */
struct outer {
    uint32_t number;
    enum wire_kind kind;
    const struct shape *shape;
};
static const struct outer child_messages[] = {
    {1, WIRE_HELLO, &hello_shape},
    {2, WIRE_SEGMENT, &segment_shape},
    {3, WIRE_EVIDENCE, &evidence_shape},
    {CHILD_ROOT, WIRE_ROOT, &root_document_shape},
    {0, WIRE_OTHER, NULL},
};
static const struct outer parent_messages[] = {
    {1, WIRE_HELLO, &hello_shape},
    {2, WIRE_HAVE, &have_shape},
    {3, WIRE_ACK, &ack_shape},
    {4, WIRE_STOP, &stop_shape},
    {5, WIRE_WANT, &want_shape},
    {PARENT_ROOT, WIRE_ROOT, &root_document_shape},
    {0, WIRE_OTHER, NULL},
};
static const struct outer follower_messages[] = {
    {1, WIRE_HELLO, &hello_shape},
    {2, WIRE_HAVE, &have_shape},
    {3, WIRE_ACK, &ack_shape},
    {4, WIRE_STOP, &stop_shape},
    {FOLLOWER_EVIDENCE, WIRE_EVIDENCE, &evidence_shape},
    {FOLLOWER_RECEIPT, WIRE_RECEIPT, &receipt_shape},
    {0, WIRE_OTHER, NULL},
};
static const struct outer feed_messages[] = {
    {1, WIRE_HELLO, &hello_shape},
    {2, WIRE_SEGMENT, &segment_shape},
    {3, WIRE_EVIDENCE, &evidence_shape}, /* Head */
    {FEED_ROOT, WIRE_ROOT, &root_document_shape},
    {0, WIRE_OTHER, NULL},
};
static const struct outer fetch_messages[] = {
    {1, WIRE_SEGMENT, &segment_shape},
    {0, WIRE_OTHER, NULL},
};

static enum err get_outer(struct slice bytes, const char *name,
                          const struct outer *outer, struct wire_message *out,
                          struct errmsg *why)
{
    struct reader r = reader_of(bytes);
    struct pb_field f;
    out->kind = WIRE_OTHER;
    while (pb_next(&r, &f)) {
        const struct outer *o = outer;
        while (o->number != 0 && o->number != f.number) {
            o++;
        }
        if (o->number == 0) {
            continue;
        }
        if (out->kind != WIRE_OTHER || f.type != PB_BYTES) {
            return err_set(why, ERR_PROTOCOL, "%s.%s: a second field is set",
                           name, o->shape->name);
        }
        out->kind = o->kind;
        enum err err = get_shape(f.bytes, o->shape, &out->hello, why);
        if (err != ERR_OK) {
            return err;
        }
    }
    return r.bad ? err_set(why, ERR_PROTOCOL, "%s: cut off or malformed", name)
                 : ERR_OK;
}

enum err wire_get_child(struct slice bytes, struct wire_message *out,
                        struct errmsg *why)
{
    return get_outer(bytes, "ChildMessage", child_messages, out, why);
}

enum err wire_get_parent(struct slice bytes, struct wire_message *out,
                         struct errmsg *why)
{
    return get_outer(bytes, "ParentMessage", parent_messages, out, why);
}

enum err wire_get_follower(struct slice bytes, struct wire_message *out,
                           struct errmsg *why)
{
    return get_outer(bytes, "FollowerMessage", follower_messages, out, why);
}

enum err wire_get_feed(struct slice bytes, struct wire_message *out,
                       struct errmsg *why)
{
    return get_outer(bytes, "FeedMessage", feed_messages, out, why);
}

enum err wire_get_fetch_request(struct slice bytes, struct wire_range *out,
                                struct errmsg *why)
{
    return get_shape(bytes, &fetch_shape, out, why);
}

enum err wire_get_fetch_reply(struct slice bytes, struct wire_message *out,
                              struct errmsg *why)
{
    return get_outer(bytes, "FetchReply", fetch_messages, out, why);
}

enum err wire_get_root_request(struct slice bytes,
                               struct wire_root_request *out,
                               struct errmsg *why)
{
    return get_shape(bytes, &root_request_shape, out, why);
}

enum err wire_get_root_reply(struct slice bytes, struct wire_root_reply *out,
                             struct errmsg *why)
{
    return get_shape(bytes, &root_reply_shape, out, why);
}

struct wire_iter wire_iter_of(const struct wire_list *list)
{
    return (struct wire_iter){reader_of(list->body), list->number};
}

bool wire_next(struct wire_iter *it, struct slice *item)
{
    struct pb_field f;
    while (pb_next(&it->r, &f)) {
        if (f.number == it->number) {
            *item = f.bytes;
            return true;
        }
    }
    return false;
}

void wire_log_have_get(struct slice item, struct wire_log_have *out)
{
    enum err err = get_shape(item, &log_have_shape, out, NULL);
    assert(err == ERR_OK);
    (void)err;
}

void wire_log_ack_get(struct slice item, struct wire_log_ack *out)
{
    enum err err = get_shape(item, &log_ack_shape, out, NULL);
    assert(err == ERR_OK);
    (void)err;
}

/* ---- writing ---- */

static void put_log(struct buf *out, const struct log_id *log)
{
    buf_put_u8(out, 1 << 3 | PB_BYTES);
    buf_put_varint(out, LOG_ID_LEN);
    log_id_put(out, log);
}

void wire_put_hello(struct buf *out, const struct wire_hello *hello,
                    const struct slice *sealing, size_t sealing_count)
{
    size_t mark = pb_begin(out, 1);
    pb_put_u64(out, 1, hello->protocol);
    pb_put_bytes(out, 2, hello->suite);
    pb_put_bytes(out, 3, hello->federation);
    pb_put_bytes(out, 4, hello->root_document);
    pb_put_u64(out, 5, hello->code);
    pb_put_bytes(out, 6, hello->version);
    pb_put_u64(out, 7, hello->clock_ms);
    for (size_t i = 0; i < sealing_count; i++) {
        pb_put_bytes(out, 8, sealing[i]);
    }
    pb_put_u64(out, 9, hello->window);
    pb_put_u64(out, 10, hello->root_version);
    pb_end(out, mark);
}

static void put_root(struct buf *out, uint32_t number, struct slice text)
{
    size_t mark = pb_begin(out, number);
    pb_put_bytes(out, 1, text);
    pb_end(out, mark);
}

void wire_put_child_root(struct buf *out, struct slice text)
{
    put_root(out, CHILD_ROOT, text);
}

void wire_put_parent_root(struct buf *out, struct slice text)
{
    put_root(out, PARENT_ROOT, text);
}

void wire_put_feed_root(struct buf *out, struct slice text)
{
    put_root(out, FEED_ROOT, text);
}

static void put_segment(struct buf *out, uint32_t number,
                        const struct wire_segment_out *s)
{
    (void)buf_reserve(out, s->blocks->len + s->refs_count * 4 + s->note.len +
                               s->bridge.len + s->chain.len + 96);
    size_t mark = pb_begin(out, number);
    put_log(out, &s->log);
    pb_put_u64(out, 2, s->refs[0].first);
    for (size_t i = 0; i < s->refs_count; i++) {
        const struct block_ref *ref = &s->refs[i];
        pb_put_bytes(out, 3, slice_of(s->blocks->data + ref->offset, ref->len));
    }
    pb_put_bytes(out, 4, s->note);
    pb_put_bytes(out, 5, s->bridge);
    pb_put_bytes(out, 6, s->chain);
    pb_put_u64(out, 7, s->held);
    pb_end(out, mark);
}

void wire_put_segment(struct buf *out, const struct wire_segment_out *segment)
{
    put_segment(out, 2, segment);
}

void wire_put_fetch_reply(struct buf *out,
                          const struct wire_segment_out *segment)
{
    put_segment(out, 1, segment);
}

static void put_evidence(struct buf *out, uint32_t number,
                         const struct wire_evidence *evidence)
{
    size_t mark = pb_begin(out, number);
    put_log(out, &evidence->log);
    pb_put_bytes(out, 2, evidence->note);
    pb_put_bytes(out, 3, evidence->chain);
    pb_end(out, mark);
}

void wire_put_evidence(struct buf *out, const struct wire_evidence *evidence)
{
    put_evidence(out, 3, evidence);
}

void wire_put_follower_evidence(struct buf *out,
                                const struct wire_evidence *evidence)
{
    put_evidence(out, FOLLOWER_EVIDENCE, evidence);
}

void wire_put_receipt(struct buf *out, const struct wire_receipt *receipt)
{
    size_t mark = pb_begin(out, FOLLOWER_RECEIPT);
    pb_put_bytes(out, 1, receipt->text);
    pb_put_bytes(out, 2, receipt->chain);
    pb_end(out, mark);
}

void wire_put_have(struct buf *out, const struct wire_log_have *logs, size_t n,
                   bool last)
{
    size_t mark = pb_begin(out, 2);
    for (size_t i = 0; i < n; i++) {
        size_t item = pb_begin(out, 1);
        put_log(out, &logs[i].log);
        pb_put_u64(out, 2, logs[i].size);
        pb_put_bytes(out, 3, slice_of(logs[i].root.b, HASH_LEN));
        pb_put_u64(out, 4, logs[i].stopped);
        pb_put_u64(out, 5, logs[i].signed_ms);
        pb_end(out, item);
    }
    pb_put_u64(out, 2, last);
    pb_end(out, mark);
}

static void put_above(struct buf *out, const struct store_above *above)
{
    size_t mark = pb_begin(out, 3);
    pb_put_u64(out, 1, above->code);
    pb_put_u64(out, 2, (uint64_t)above->tier);
    pb_put_u64(out, 3, above->size);
    pb_end(out, mark);
}

void wire_put_ack(struct buf *out, const struct wire_log_ack *logs, size_t n)
{
    size_t mark = pb_begin(out, 3);
    for (size_t i = 0; i < n; i++) {
        size_t item = pb_begin(out, 1);
        put_log(out, &logs[i].log);
        pb_put_u64(out, 2, logs[i].size);
        for (size_t a = 0; a < logs[i].above_count; a++) {
            put_above(out, &logs[i].above[a]);
        }
        pb_put_u64(out, 4, logs[i].held_ms);
        pb_end(out, item);
    }
    pb_end(out, mark);
}

void wire_put_stop(struct buf *out, const struct wire_stop *stop)
{
    size_t mark = pb_begin(out, 4);
    put_log(out, &stop->log);
    pb_put_u64(out, 2, stop->number);
    pb_put_bytes(out, 3, stop->reason);
    pb_put_u64(out, 4, stop->retry);
    pb_put_bytes(out, 5, stop->note);
    pb_end(out, mark);
}

void wire_put_fetch_request(struct buf *out, const struct wire_range *range)
{
    put_log(out, &range->log);
    pb_put_u64(out, 2, range->first);
    pb_put_u64(out, 3, range->last);
}

void wire_put_want(struct buf *out, const struct wire_range *want)
{
    size_t mark = pb_begin(out, 5);
    wire_put_fetch_request(out, want);
    pb_end(out, mark);
}

void wire_put_root_request(struct buf *out,
                           const struct wire_root_request *request)
{
    put_log(out, &request->log);
    pb_put_u64(out, 2, request->size);
}

void wire_put_root_reply(struct buf *out, const struct wire_root_reply *reply)
{
    pb_put_u64(out, 1, reply->size);
    pb_put_bytes(out, 2, slice_of(reply->root.b, HASH_LEN));
    pb_put_u64(out, 3, reply->held);
    pb_put_bytes(out, 4, reply->note);
    pb_put_bytes(out, 5, reply->chain);
    pb_put_bytes(out, 6, reply->frontier);
    pb_put_bytes(out, 7, reply->bridge);
}

uint32_t wire_retry_after_ms(const char *text)
{
    static const char lead[] = "; retry after ";
    enum { DELAY_MAX_MS = 600000, DIGITS_MAX = 6 };
    uint32_t ms = 0;
    const char *at = strstr(text, lead);
    at = at != NULL ? at + sizeof lead - 1 : "";
    for (int i = 0; i < DIGITS_MAX && *at >= '0' && *at <= '9'; i++, at++) {
        ms = ms * 10 + (uint32_t)(*at - '0');
    }
    return ms < DELAY_MAX_MS ? ms : DELAY_MAX_MS;
}
