#include "credit/registry.h"

#include <string.h>

#include "base/pb.h"
#include "base/str.h"
#include "credit/citizen.h"
#include "credit/date.h"
#include "credit/division.h"
#include "ident/ident.h"

enum {
    BODY_PARENT = 1,
    BODY_REASON = 2,
    BODY_INCARNATION = 3,
    BODY_SIZE = 4,
    BODY_ROOT = 5,
};

static const uint64_t code_max = UINT64_C(999999999999);

static const char *const names[REGISTRY_WHATS] = {
    [0] = "",
    [REGISTRY_REVOKED] = "revoked",
    [REGISTRY_RESTORED] = "restored",
    [REGISTRY_PARENT] = "parent",
    [REGISTRY_SEALED] = "sealed",
    [REGISTRY_UNSEALED] = "unsealed",
};

const char *registry_what_name(enum registry_what what)
{
    return names[what];
}

enum registry_what registry_what_of(const char *name)
{
    int what = REGISTRY_REVOKED;
    while (what < REGISTRY_WHATS && strcmp(names[what], name) != 0) {
        what++;
    }
    return (enum registry_what)what;
}

bool registry_is_of_log(enum registry_what what)
{
    return what == REGISTRY_SEALED || what == REGISTRY_UNSEALED;
}

struct log_id registry_log(const struct registry_decision *d)
{
    return (struct log_id){d->code, d->incarnation, LOG_RECORDS};
}

/* It stands in refusals and log lines, and goes to every node below. */
static const char *reason_fault(struct slice reason)
{
    bool control = false;
    if (reason.len == 0 || reason.len > REGISTRY_REASON_MAX ||
        !str_utf8_valid(reason)) {
        return "the reason must be 1 to 500 bytes of UTF-8";
    }
    for (size_t i = 0; i < reason.len; i++) {
        control |= reason.data[i] < 0x20 || reason.data[i] == 0x7f;
    }
    if (control) {
        return "the reason holds a control character";
    }
    return citizen_is_inside(reason) ? "a citizen number stands in the reason"
                                     : NULL;
}

static const char *parent_fault(const struct registry_decision *d,
                                uint64_t issuer)
{
    if (d->parent == d->code || division_is_below(d->parent, d->code)) {
        return "a node cannot be the child of itself or of one below it";
    }
    return d->parent == issuer || division_is_below(d->parent, issuer)
               ? NULL
               : "the new parent is not below this node";
}

const char *registry_fault(const struct registry_decision *d, uint64_t issuer)
{
    if (!division_is_below(d->code, issuer)) {
        return "the node is not below this one";
    }
    const char *fault = reason_fault(d->reason);
    if (fault != NULL) {
        return fault;
    }
    if (!date_is_valid(d->decided)) {
        return "the day of the decision must be a date";
    }
    if (d->what == REGISTRY_PARENT) {
        return parent_fault(d, issuer);
    }
    if ((d->what == REGISTRY_SEALED) != (d->size > 0)) {
        return "a seal, and nothing else, names how long the log is";
    }
    return d->parent == 0 ? NULL : "a parent is named where none is needed";
}

void registry_to_entry(const struct registry_decision *d, struct buf *room,
                       struct entry *out)
{
    char code[CODE_LEN + 1];
    (void)buf_reserve(room, CODE_LEN + REGISTRY_REASON_MAX + 128);
    size_t at = room->len;
    code_format(d->code, code);
    buf_put(room, code, CODE_LEN);
    pb_put_u64(room, BODY_PARENT, d->parent);
    pb_put_bytes(room, BODY_REASON, d->reason);
    if (registry_is_of_log(d->what)) {
        pb_put_u64(room, BODY_INCARNATION, d->incarnation);
        pb_put_u64(room, BODY_SIZE, d->size);
    }
    if (d->what == REGISTRY_SEALED) {
        pb_put_bytes(room, BODY_ROOT, slice_of(d->root.b, HASH_LEN));
    }
    *out = (struct entry){
        .type = ENTRY_NODE,
        .disclosure = DISCLOSURE_PUBLIC,
        .subject_kind = SUBJECT_NODE,
        .item = (uint16_t)d->what,
        .entered_at_ms = d->at_ms,
        .version = 1,
        .decided = d->decided,
        .subject = slice_of(room->data + at, CODE_LEN),
        .body = slice_of(room->data + at + CODE_LEN, room->len - at - CODE_LEN),
    };
}

/* What stands in these fields of a decision about a node as such has no
 * meaning. */
static bool take_log(struct slice body, struct registry_decision *out)
{
    struct reader r = reader_of(body);
    struct pb_field f;
    bool rooted = false;
    while (pb_next(&r, &f)) {
        if (f.number == BODY_INCARNATION && f.type == PB_VARINT) {
            out->incarnation = f.value;
        } else if (f.number == BODY_SIZE && f.type == PB_VARINT) {
            out->size = f.value;
        } else if (f.number == BODY_ROOT && f.type == PB_BYTES &&
                   f.bytes.len == HASH_LEN) {
            memcpy(out->root.b, f.bytes.data, HASH_LEN);
            rooted = true;
        }
    }
    return !r.bad && rooted == (out->what == REGISTRY_SEALED);
}

static bool take_body(struct slice body, struct registry_decision *out)
{
    struct reader r = reader_of(body);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == BODY_PARENT && f.type == PB_VARINT) {
            out->parent = f.value;
        } else if (f.number == BODY_REASON && f.type == PB_BYTES) {
            out->reason = f.bytes;
        }
    }
    return !r.bad && out->parent <= code_max;
}

enum err registry_take(const struct entry *e, uint64_t issuer,
                       struct registry_decision *out)
{
    *out = (struct registry_decision){.decided = e->decided,
                                      .at_ms = e->entered_at_ms};
    if (e->type != ENTRY_NODE || e->subject_kind != SUBJECT_NODE ||
        e->flags != 0 || e->subject.len != CODE_LEN ||
        !str_u64(e->subject, &out->code) || e->item < REGISTRY_REVOKED ||
        e->item >= REGISTRY_WHATS || e->entered_at_ms < 0 ||
        !take_body(e->body, out)) {
        return ERR_INVALID;
    }
    out->what = (enum registry_what)e->item;
    if (registry_is_of_log(out->what) && !take_log(e->body, out)) {
        return ERR_INVALID;
    }
    return registry_fault(out, issuer) == NULL ? ERR_OK : ERR_INVALID;
}
