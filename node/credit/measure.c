#include "credit/measure.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/pb.h"
#include "credit/clean.h"
#include "credit/date.h"
#include "credit/rules.h"

enum { BODY_ID = 1, BODY_NAME_ZH = 2, BODY_NAME_EN = 3, BODY_BASIS = 4 };

/* ---- one ---- */

static bool id_is_good(const char *id)
{
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return len > 0 && len <= MEASURE_ID_MAX && id[len] == 0;
}

const char *measure_fault(const struct measure *m)
{
    if (!id_is_good(m->id)) {
        return "id: 1 to 16 of A-Z, 0-9 and -";
    }
    if (m->revision == 0) {
        return "revision: 1 for a new measure, one more for each change";
    }
    if (!clean_text(slice_str(m->name_zh), 1, MEASURE_NAME_MAX)) {
        return "name_zh: 1 to 200 bytes of plain text";
    }
    if (!clean_text(slice_str(m->name_en), 0, MEASURE_NAME_MAX)) {
        return "name_en: up to 200 bytes of plain text";
    }
    if (!clean_text(slice_str(m->basis), 1, MEASURE_BASIS_MAX)) {
        return "basis: name the law, in 1 to 1000 bytes of plain text";
    }
    if (!date_is_valid(m->decided) || !date_is_valid(m->from)) {
        return "from: must be a date";
    }
    bool ends = m->until != 0;
    return ends && (!date_is_valid(m->until) || m->until < m->from)
               ? "until: a date, not before from"
               : NULL;
}

void measure_to_entry(const struct measure *m, struct buf *room,
                      struct entry *out)
{
    size_t at = room->len;
    pb_put_str(room, BODY_ID, m->id);
    pb_put_str(room, BODY_NAME_ZH, m->name_zh);
    pb_put_str(room, BODY_NAME_EN, m->name_en);
    pb_put_str(room, BODY_BASIS, m->basis);
    *out = (struct entry){
        .type = ENTRY_MEASURE,
        .disclosure = DISCLOSURE_PUBLIC,
        .subject_kind = SUBJECT_NONE,
        .entered_at_ms = m->at_ms,
        .version = m->revision,
        .decided = m->decided,
        .from = m->from,
        .until = m->until,
        .body = slice_of(room->data + at, room->len - at),
    };
}

static bool take_text(struct slice text, char *out, size_t max)
{
    if (text.len > max || memchr(text.data, 0, text.len) != NULL) {
        return false;
    }
    memcpy(out, text.data, text.len);
    out[text.len] = 0;
    return true;
}

static bool take_field(struct measure *m, const struct pb_field *f)
{
    const struct {
        char *to;
        size_t max;
    } texts[] = {[BODY_ID] = {m->id, MEASURE_ID_MAX},
                 [BODY_NAME_ZH] = {m->name_zh, MEASURE_NAME_MAX},
                 [BODY_NAME_EN] = {m->name_en, MEASURE_NAME_MAX},
                 [BODY_BASIS] = {m->basis, MEASURE_BASIS_MAX}};
    if (f->number >= ARRAY_LEN(texts)) {
        return true; /* of a later build */
    }
    return f->type == PB_BYTES && f->bytes.len > 0 &&
           take_text(f->bytes, texts[f->number].to, texts[f->number].max);
}

enum err measure_take(const struct entry *e, uint64_t issuer,
                      struct measure *out)
{
    struct reader r = reader_of(e->body);
    struct pb_field f;
    *out = (struct measure){.revision = e->version,
                            .decided = e->decided,
                            .from = e->from,
                            .until = e->until,
                            .at_ms = e->entered_at_ms,
                            .issuer = issuer};
    if (e->type != ENTRY_MEASURE || e->flags != 0 || e->subject.len != 0 ||
        e->subject_kind != SUBJECT_NONE || e->entered_at_ms < 0) {
        return ERR_INVALID;
    }
    while (pb_next(&r, &f)) {
        if (!take_field(out, &f)) {
            return ERR_INVALID;
        }
    }
    return !r.bad && measure_fault(out) == NULL ? ERR_OK : ERR_INVALID;
}

/* ---- those in force ---- */

static struct {
    pthread_mutex_t lock;
    struct measure *all; /* lock; in order of id */
    size_t n;            /* lock */
} in_force = {.lock = PTHREAD_MUTEX_INITIALIZER};

void measures_use(struct measure *all, size_t n)
{
    (void)pthread_mutex_lock(&in_force.lock);
    struct measure *old = in_force.all;
    in_force.all = all;
    in_force.n = n;
    (void)pthread_mutex_unlock(&in_force.lock);
    mem_free(old);
}

size_t measures_count(void)
{
    (void)pthread_mutex_lock(&in_force.lock);
    size_t n = in_force.n;
    (void)pthread_mutex_unlock(&in_force.lock);
    return n;
}

bool measures_at(size_t i, struct measure *out)
{
    (void)pthread_mutex_lock(&in_force.lock);
    bool there = i < in_force.n;
    if (there) {
        *out = in_force.all[i];
    }
    (void)pthread_mutex_unlock(&in_force.lock);
    return there;
}

bool measures_find(struct slice id, struct measure *out)
{
    bool there = false;
    (void)pthread_mutex_lock(&in_force.lock);
    for (size_t i = 0; !there && i < in_force.n; i++) {
        there = slice_eq(id, slice_str(in_force.all[i].id));
        if (there) {
            *out = in_force.all[i];
        }
    }
    (void)pthread_mutex_unlock(&in_force.lock);
    return there;
}

const char *measures_judge(struct slice text, uint32_t day)
{
    struct slice word;
    struct measure m;
    bool defined = measures_count() > 0;
    while (defined && rules_next_word(&text, &word)) {
        if (word.len == 0) {
            continue;
        }
        if (!measures_find(word, &m)) {
            return "measure-unknown";
        }
        if (day < m.from || (m.until != 0 && day > m.until)) {
            return "measure-over";
        }
    }
    return NULL;
}
