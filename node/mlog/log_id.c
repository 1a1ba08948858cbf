#include "mlog/log_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { INCARNATION_DIGITS = 16 };

#define ORIGIN_MAX UINT64_C(999999999999)

static const char *const kind_names[] = {
    [LOG_RECORDS] = "records",
    [LOG_DIRECTIVES] = "directives",
    [LOG_POST] = "post",
    [LOG_AUDIT] = "audit",
};

static bool kind_is_known(unsigned kind)
{
    return kind >= LOG_RECORDS && kind <= LOG_AUDIT;
}

const char *log_kind_name(enum log_kind kind)
{
    return kind_is_known(kind) ? kind_names[kind] : "unknown";
}

bool log_id_eq(const struct log_id *a, const struct log_id *b)
{
    return log_id_cmp(a, b) == 0;
}

int log_id_cmp(const struct log_id *a, const struct log_id *b)
{
    if (a->origin != b->origin) {
        return a->origin < b->origin ? -1 : 1;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->incarnation != b->incarnation) {
        return a->incarnation < b->incarnation ? -1 : 1;
    }
    return 0;
}

void log_id_format(const struct log_id *id, char out[LOG_ID_TEXT_MAX])
{
    (void)snprintf(out, LOG_ID_TEXT_MAX, "%012" PRIu64 "/%s/%016" PRIx64,
                   id->origin, log_kind_name(id->kind), id->incarnation);
}

static bool kind_parse(struct slice text, enum log_kind *out)
{
    for (unsigned k = LOG_RECORDS; k <= LOG_AUDIT; k++) {
        if (slice_eq(text, slice_str(kind_names[k]))) {
            *out = (enum log_kind)k;
            return true;
        }
    }
    return false;
}

bool log_id_parse(const char *text, struct log_id *out)
{
    const char *slash = strchr(text, '/');
    const char *last = strrchr(text, '/');
    uint8_t incarnation[INCARNATION_DIGITS / 2];
    struct log_id id;
    if (slash == NULL || last == slash ||
        !str_u64(slice_of(text, (size_t)(slash - text)), &id.origin) ||
        !kind_parse(slice_of(slash + 1, (size_t)(last - slash - 1)),
                    &id.kind) ||
        !str_unhex(last + 1, incarnation, sizeof(incarnation))) {
        return false;
    }
    id.incarnation = be_get64(incarnation);
    /* One text for one log: upper-case hex or a short code would be a second
     * name. */
    char again[LOG_ID_TEXT_MAX];
    log_id_format(&id, again);
    if (id.incarnation == 0 || id.origin > ORIGIN_MAX ||
        strcmp(text, again) != 0) {
        return false;
    }
    *out = id;
    return true;
}

void log_id_put(struct buf *out, const struct log_id *id)
{
    buf_put_u64(out, id->origin);
    buf_put_u8(out, (uint8_t)id->kind);
    buf_put_u64(out, id->incarnation);
}

struct log_id log_id_get(struct reader *r)
{
    uint64_t origin = reader_u64(r);
    unsigned kind = reader_u8(r);
    uint64_t incarnation = reader_u64(r);
    if (r->bad || origin > ORIGIN_MAX || !kind_is_known(kind) ||
        incarnation == 0) {
        r->bad = true;
        return (struct log_id){.kind = LOG_RECORDS};
    }
    return (struct log_id){origin, incarnation, (enum log_kind)kind};
}
