#include "api/request.h"

#include <string.h>

#include "api/effects.h"
#include "base/mem.h"
#include "base/pb.h"

/* Where a field's value goes. */
struct target {
    uint32_t number;
    enum pb_type type;
    size_t max;          /* of bytes and text; exact length for bytes */
    char *text;          /* a C string of at most `max` with its NUL */
    struct slice *bytes; /* empty or exactly `max` bytes; any if that is 0 */
    uint64_t *value;
};

static bool take(const struct target *t, const struct pb_field *f)
{
    if (f->type != t->type) {
        return false;
    }
    if (t->value != NULL) {
        *t->value = f->value;
    } else if (t->bytes != NULL) {
        *t->bytes = f->bytes;
        return f->bytes.len == 0 || t->max == 0 || f->bytes.len == t->max;
    } else if (f->bytes.len >= t->max || /* an empty one may have no address */
               (f->bytes.len > 0 && memchr(f->bytes.data, 0, f->bytes.len))) {
        return false;
    } else {
        if (f->bytes.len > 0) {
            memcpy(t->text, f->bytes.data, f->bytes.len);
        }
        t->text[f->bytes.len] = 0;
    }
    return true;
}

static bool take_any(const struct target *targets, size_t n,
                     const struct pb_field *f)
{
    for (size_t i = 0; i < n; i++) {
        if (targets[i].number == f->number && !take(&targets[i], f)) {
            return false;
        }
    }
    return true;
}

static enum err parse(struct slice bytes, const struct target *targets,
                      size_t n, const char *name, struct errmsg *why)
{
    struct reader r = reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (!take_any(targets, n, &f)) {
            return err_set(why, ERR_INVALID, "%s: malformed field %u", name,
                           (unsigned)f.number);
        }
    }
    return r.bad ? err_set(why, ERR_INVALID, "%s: not a protobuf message", name)
                 : ERR_OK;
}

enum err request_subject(struct slice bytes, struct subject_request *out,
                         struct errmsg *why)
{
    uint64_t limit = 0;
    uint64_t brief = 0;
    *out = (struct subject_request){.limit = 0};
    const struct target targets[] = {
        {1, PB_BYTES, sizeof out->subject, .text = out->subject},
        {2, PB_VARINT, .value = &limit},
        {3, PB_BYTES, QUERY_PLACE_LEN, .bytes = &out->after},
        {4, PB_VARINT, .value = &brief},
    };
    enum err err =
        parse(bytes, targets, ARRAY_LEN(targets), "SubjectRequest", why);
    out->limit = limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
    out->brief = brief != 0;
    return err;
}

enum err request_check(struct slice bytes, request_subject_fn *fn, void *ctx,
                       struct errmsg *why)
{
    struct reader r = reader_of(bytes);
    struct pb_field f;
    size_t place = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && pb_next(&r, &f)) {
        if (f.number != 1 || f.type != PB_BYTES) {
            continue;
        }
        err = ++place > CHECK_SUBJECTS_MAX || f.bytes.len > CHECK_TEXT_MAX
                  ? err_set(why, ERR_TOO_LARGE,
                            "CheckRequest: at most %d subjects of %d bytes",
                            (int)CHECK_SUBJECTS_MAX, (int)CHECK_TEXT_MAX)
                  : fn(ctx, place, f.bytes, why);
    }
    return err == ERR_OK && r.bad ? err_set(why, ERR_INVALID,
                                            "CheckRequest: not a protobuf "
                                            "message")
                                  : err;
}

enum err request_feedback(struct slice bytes, struct effects_report *out,
                          struct errmsg *why)
{
    *out = (struct effects_report){.number = 0};
    const struct target targets[] = {
        {1, PB_BYTES, sizeof out->log, .text = out->log},
        {2, PB_VARINT, .value = &out->number},
        {3, PB_BYTES, sizeof out->outcome, .text = out->outcome},
        {4, PB_BYTES, sizeof out->measures, .text = out->measures},
        {5, PB_BYTES, sizeof out->reason, .text = out->reason},
        {6, PB_VARINT, .value = &out->day},
    };
    return parse(bytes, targets, ARRAY_LEN(targets), "FeedbackRequest", why);
}

enum err request_record(struct slice bytes, struct record_request *out,
                        struct errmsg *why)
{
    *out = (struct record_request){.number = 0};
    const struct target targets[] = {
        {1, PB_BYTES, sizeof out->subject, .text = out->subject},
        {2, PB_BYTES, RECORD_KEY_LEN, .bytes = &out->key},
        {3, PB_BYTES, sizeof out->log, .text = out->log},
        {4, PB_VARINT, .value = &out->number},
    };
    enum err err =
        parse(bytes, targets, ARRAY_LEN(targets), "RecordRequest", why);
    bool by_key = out->key.len > 0 && out->subject[0] != 0;
    bool by_place = out->log[0] != 0 && out->number != 0;
    if (err == ERR_OK && by_key == by_place) {
        err = err_set(why, ERR_INVALID,
                      "RecordRequest: give subject and record_key, or log and "
                      "number");
    }
    return err;
}

enum err request_submit(struct slice bytes, struct slice *csv,
                        struct errmsg *why)
{
    size_t lines = 0;
    *csv = slice_of(NULL, 0);
    const struct target targets[] = {{1, PB_BYTES, .bytes = csv}};
    enum err err =
        parse(bytes, targets, ARRAY_LEN(targets), "SubmitRequest", why);
    if (err == ERR_OK && csv->len == 0) {
        err = err_set(why, ERR_INVALID, "SubmitRequest: csv is empty");
    }
    for (size_t i = 0; err == ERR_OK && i < csv->len; i++) {
        lines += csv->data[i] == '\n';
    }
    if (lines > SUBMIT_LINES_MAX) {
        err = err_set(why, ERR_TOO_LARGE,
                      "SubmitRequest: %zu lines, at most %d; send fewer at a "
                      "time, or a file by `creditnode import`",
                      lines, (int)SUBMIT_LINES_MAX);
    }
    return err;
}
