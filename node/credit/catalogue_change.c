#include "credit/catalogue_change.h"

#include <string.h>

#include "base/mem.h"
#include "base/pb.h"
#include "credit/clean.h"

enum { BODY_BASIS = 1, BODY_KIND = 2 };
enum {
    KIND_ID = 1,
    KIND_NAME,
    KIND_LABEL_ZH,
    KIND_LABEL_EN,
    KIND_DISCLOSURE,
    KIND_RETENTION,
    KIND_FIELD,
};
enum {
    F_ID = 1,
    F_CODE,
    F_LABEL_ZH,
    F_LABEL_EN,
    F_NAMES_MORE,
    F_TYPE,
    F_MAX_CHARS,
    F_NEED,
    F_PERSONAL,
    F_DISCLOSURE,
    F_WORD,
};

const char *const change_types[] = {
    "text", "code",        "document", "date",      "amount",  "enum",
    "set",  "credit-code", "org-code", "person-id", "division"};
const char *const change_needs[] = {"no", "always"};
const char *const change_personals[] = {"no", "masked", "if-person", "sealed"};
const char *const change_disclosures[] = {"public", "shared", "authorised"};

/* ---- owning ---- */

static char *text_copy(struct slice text)
{
    char *copy = mem_alloc(text.len + 1);
    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    copy[text.len] = 0;
    return copy;
}

static void field_fini(struct change_field *f)
{
    for (size_t i = 0; i < f->words_n; i++) {
        mem_free(f->words[i]);
    }
    mem_free(f->words);
    mem_free(f->code);
    mem_free(f->label_zh);
    mem_free(f->label_en);
    mem_free(f->names_more);
}

static void kind_fini(struct change_kind *k)
{
    for (size_t i = 0; i < k->fields_n; i++) {
        field_fini(&k->fields[i]);
    }
    mem_free(k->fields);
    mem_free(k->name);
    mem_free(k->label_zh);
    mem_free(k->label_en);
}

void catalogue_change_fini(struct catalogue_change *change)
{
    for (size_t i = 0; i < change->kinds_n; i++) {
        kind_fini(&change->kinds[i]);
    }
    mem_free(change->kinds);
    mem_free(change->basis);
    *change = (struct catalogue_change){.version = 0};
}

struct change_kind *change_add_kind(struct catalogue_change *change)
{
    if (change->kinds_n == CHANGE_KINDS_MAX) {
        return NULL;
    }
    change->kinds = mem_realloc(change->kinds,
                                (change->kinds_n + 1) * sizeof *change->kinds);
    struct change_kind *k = &change->kinds[change->kinds_n++];
    *k = (struct change_kind){.name = text_copy(slice_str("")),
                              .label_zh = text_copy(slice_str("")),
                              .label_en = text_copy(slice_str(""))};
    return k;
}

struct change_field *change_add_field(struct change_kind *kind)
{
    if (kind->fields_n == CATALOGUE_FIELDS_MAX) {
        return NULL;
    }
    kind->fields =
        mem_realloc(kind->fields, (kind->fields_n + 1) * sizeof *kind->fields);
    struct change_field *f = &kind->fields[kind->fields_n++];
    *f = (struct change_field){.code = text_copy(slice_str("")),
                               .label_zh = text_copy(slice_str("")),
                               .label_en = text_copy(slice_str("")),
                               .names_more = text_copy(slice_str(""))};
    return f;
}

bool change_add_word(struct change_field *field, struct slice word)
{
    if (field->words_n == CHANGE_WORDS_MAX) {
        return false;
    }
    field->words =
        mem_realloc(field->words, (field->words_n + 1) * sizeof *field->words);
    field->words[field->words_n++] = text_copy(word);
    return true;
}

/* ---- encoding ---- */

static void put_field(const struct change_field *f, struct buf *out)
{
    size_t mark = pb_begin(out, KIND_FIELD);
    pb_put_u64(out, F_ID, f->id);
    pb_put_str(out, F_CODE, f->code);
    pb_put_str(out, F_LABEL_ZH, f->label_zh);
    pb_put_str(out, F_LABEL_EN, f->label_en);
    pb_put_str(out, F_NAMES_MORE, f->names_more);
    pb_put_u64(out, F_TYPE, f->type);
    pb_put_u64(out, F_MAX_CHARS, f->max_chars);
    pb_put_u64(out, F_NEED, f->need);
    pb_put_u64(out, F_PERSONAL, f->personal);
    pb_put_u64(out, F_DISCLOSURE, f->disclosure);
    for (size_t i = 0; i < f->words_n; i++) {
        pb_put_str(out, F_WORD, f->words[i]);
    }
    pb_end(out, mark);
}

static void put_kind(const struct change_kind *k, struct buf *out)
{
    size_t mark = pb_begin(out, BODY_KIND);
    pb_put_u64(out, KIND_ID, k->id);
    pb_put_str(out, KIND_NAME, k->name);
    pb_put_str(out, KIND_LABEL_ZH, k->label_zh);
    pb_put_str(out, KIND_LABEL_EN, k->label_en);
    pb_put_u64(out, KIND_DISCLOSURE, k->disclosure);
    pb_put_u64(out, KIND_RETENTION, k->retention);
    for (size_t i = 0; i < k->fields_n; i++) {
        put_field(&k->fields[i], out);
    }
    pb_end(out, mark);
}

void catalogue_change_to_entry(const struct catalogue_change *change,
                               struct buf *room, struct entry *out)
{
    size_t at = room->len;
    pb_put_str(room, BODY_BASIS, change->basis);
    for (size_t i = 0; i < change->kinds_n; i++) {
        put_kind(&change->kinds[i], room);
    }
    *out = (struct entry){
        .type = ENTRY_CATALOGUE,
        .disclosure = DISCLOSURE_PUBLIC,
        .subject_kind = SUBJECT_NONE,
        .entered_at_ms = change->at_ms,
        .version = change->version,
        .decided = change->decided,
        .body = slice_of(room->data + at, room->len - at),
    };
}

/* ---- decoding ---- */

static bool take_text(const struct pb_field *f, size_t max, char **out)
{
    if (f->type != PB_BYTES || !clean_text(f->bytes, 1, max)) {
        return false;
    }
    mem_free(*out);
    *out = text_copy(f->bytes);
    return true;
}

static bool take_number(const struct pb_field *f, unsigned *out)
{
    *out = (unsigned)f->value;
    return f->type == PB_VARINT && f->value <= UINT16_MAX;
}

static bool take_id(const struct pb_field *f, uint16_t *out)
{
    unsigned id;
    bool ok = take_number(f, &id);
    *out = (uint16_t)id;
    return ok;
}

/* What a later build adds is passed over here and in take_kind(): it cannot
 * change what is said of a value that this build shows. */
static bool take_field_part(struct change_field *out, const struct pb_field *f)
{
    switch (f->number) {
    case F_ID:
        return take_id(f, &out->id);
    case F_CODE:
        return take_text(f, CHANGE_TEXT_MAX, &out->code);
    case F_LABEL_ZH:
        return take_text(f, CHANGE_TEXT_MAX, &out->label_zh);
    case F_LABEL_EN:
        return take_text(f, CHANGE_TEXT_MAX, &out->label_en);
    case F_NAMES_MORE:
        return take_text(f, CHANGE_TEXT_MAX, &out->names_more);
    case F_TYPE:
        return take_number(f, &out->type);
    case F_MAX_CHARS:
        return take_number(f, &out->max_chars);
    case F_NEED:
        return take_number(f, &out->need);
    case F_PERSONAL:
        return take_number(f, &out->personal);
    case F_DISCLOSURE:
        return take_number(f, &out->disclosure);
    case F_WORD:
        return f->type == PB_BYTES &&
               clean_text(f->bytes, 1, CHANGE_TEXT_MAX) &&
               change_add_word(out, f->bytes);
    default:
        return true;
    }
}

static bool take_field(struct change_kind *kind, const struct pb_field *f)
{
    struct reader r = reader_of(f->bytes);
    struct change_field *out =
        f->type == PB_BYTES ? change_add_field(kind) : NULL;
    struct pb_field part;
    bool ok = out != NULL;
    while (ok && pb_next(&r, &part)) {
        ok = take_field_part(out, &part);
    }
    return ok && !r.bad;
}

static bool take_kind_part(struct change_kind *out, const struct pb_field *f)
{
    switch (f->number) {
    case KIND_ID:
        return take_id(f, &out->id);
    case KIND_NAME:
        return take_text(f, CHANGE_TEXT_MAX, &out->name);
    case KIND_LABEL_ZH:
        return take_text(f, CHANGE_TEXT_MAX, &out->label_zh);
    case KIND_LABEL_EN:
        return take_text(f, CHANGE_TEXT_MAX, &out->label_en);
    case KIND_DISCLOSURE:
        return take_number(f, &out->disclosure);
    case KIND_RETENTION:
        return take_number(f, &out->retention);
    case KIND_FIELD:
        return take_field(out, f);
    default:
        return true;
    }
}

static bool take_kind(struct catalogue_change *change, const struct pb_field *f)
{
    struct reader r = reader_of(f->bytes);
    struct change_kind *out =
        f->type == PB_BYTES ? change_add_kind(change) : NULL;
    struct pb_field part;
    bool ok = out != NULL;
    while (ok && pb_next(&r, &part)) {
        ok = take_kind_part(out, &part);
    }
    return ok && !r.bad;
}

enum err catalogue_change_take(const struct entry *e,
                               struct catalogue_change *out)
{
    struct reader r = reader_of(e->body);
    struct pb_field f;
    bool ok = e->type == ENTRY_CATALOGUE && e->flags == 0 &&
              e->subject_kind == SUBJECT_NONE && e->subject.len == 0 &&
              e->version > 0 && e->entered_at_ms >= 0;
    *out = (struct catalogue_change){.version = e->version,
                                     .decided = e->decided,
                                     .at_ms = e->entered_at_ms};
    while (ok && pb_next(&r, &f)) {
        if (f.number == BODY_BASIS) {
            ok = take_text(&f, CHANGE_BASIS_MAX, &out->basis);
        } else if (f.number == BODY_KIND) {
            ok = take_kind(out, &f);
        }
    }
    if (!ok || r.bad || out->basis == NULL || out->kinds_n == 0) {
        catalogue_change_fini(out);
        return ERR_INVALID;
    }
    return ERR_OK;
}
