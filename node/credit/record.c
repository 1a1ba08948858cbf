#include "credit/record.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/pb.h"
#include "base/str.h"
#include "credit/amount.h"
#include "credit/citizen.h"
#include "credit/date.h"
#include "credit/uscc.h"

enum { DIGEST_FIELD_LEN = 2 + RECORD_DIGEST_LEN, MASK_LEN = 3 };

static const char key_tag[] = "creditnode:record"; /* NUL included */
static const char aad_tag[] = "creditnode:field";

/* What identifies an organisation, best first, and the name of the column in
 * a subject of SUBJECT_ORG. */
static const struct {
    uint16_t field;
    const char *prefix;
} identities[] = {
    {FIELD_USCC, ""},
    {FIELD_ORG_CODE, "ZZJG/"},
    {FIELD_REGISTRATION_NO, "GSZC/"},
    {FIELD_INSTITUTION_NO, "SYDW/"},
    {FIELD_SOCIAL_NO, "SHZZ/"},
    {FIELD_TAX_NO, "SWDJ/"},
};

void record_init(struct record *r, const struct catalogue_item *item)
{
    *r = (struct record){.item = item};
}

struct slice record_get(const struct record *r, uint16_t field_id)
{
    size_t place = catalogue_place(r->item, field_id);
    return place != PLACE_NONE ? r->values[place] : (struct slice){NULL, 0};
}

const struct enum_word *record_word(const struct record *r, uint16_t field_id)
{
    size_t place = catalogue_place(r->item, field_id);
    if (place == PLACE_NONE || r->values[place].len == 0) {
        return NULL;
    }
    return catalogue_word(r->item->fields[place].values, r->values[place]);
}

void record_set(struct record *r, uint16_t field_id, struct slice value)
{
    size_t place = catalogue_place(r->item, field_id);
    assert(place < CATALOGUE_FIELDS_MAX);
    r->values[place] = value;
}

/* ---- derived values ---- */

static bool set_subject(struct record *r, const char *prefix, struct slice id)
{
    size_t prefix_len = strlen(prefix);
    if (prefix_len + id.len > RECORD_SUBJECT_MAX) {
        return false;
    }
    memcpy(r->subject, prefix, prefix_len);
    memcpy(r->subject + prefix_len, id.data, id.len);
    r->subject[prefix_len + id.len] = '\0';
    return true;
}

static enum err identify_org(struct record *r)
{
    for (size_t i = 0; i < ARRAY_LEN(identities); i++) {
        struct slice id = record_get(r, identities[i].field);
        if (id.len > 0) {
            r->subject_kind = i == 0 ? SUBJECT_USCC : SUBJECT_ORG;
            return set_subject(r, identities[i].prefix, id) ? ERR_OK
                                                            : ERR_INVALID;
        }
    }
    return ERR_INVALID;
}

static enum err identify_person(struct record *r)
{
    struct slice id = record_get(r, FIELD_PERSON_ID);
    const struct enum_word *type = record_word(r, FIELD_PERSON_ID_TYPE);
    unsigned code = type != NULL ? type->value : ID_TYPE_OTHER;
    char prefix[] = {(char)('0' + code / 100), (char)('0' + code / 10 % 10),
                     (char)('0' + code % 10), '/', '\0'};
    r->subject_kind = SUBJECT_PERSON;
    return id.len > 0 && set_subject(r, prefix, id) ? ERR_OK : ERR_INVALID;
}

static uint8_t *put_part(uint8_t *at, struct slice part)
{
    be_put16(at, (uint16_t)part.len);
    if (part.len > 0) {
        memcpy(at + 2, part.data, part.len);
    }
    return at + 2 + part.len;
}

/* An authority's name may be 200 characters of up to 4 bytes, a document
 * number 128: rules.h refuses more, and here longer parts are cut rather than
 * written past the end. */
static struct slice cut(struct slice s, size_t max)
{
    return slice_of(s.data, s.len < max ? s.len : max);
}

static void derive_key(struct record *r, const struct record_keys *keys)
{
    enum { AUTHORITY_MAX = 800, DOCUMENT_MAX = 512 };
    uint8_t text[sizeof key_tag + 2 + 2 + AUTHORITY_MAX + 2 + DOCUMENT_MAX + 1 +
                 2 + RECORD_SUBJECT_MAX];
    struct slice subject = slice_str(r->subject);
    struct slice authority = record_get(r, FIELD_AUTHORITY_CODE);
    struct hash keyed;
    struct hash digest;
    if (authority.len == 0) {
        authority = record_get(r, FIELD_AUTHORITY);
    }
    if (r->subject_kind == SUBJECT_PERSON) {
        suite_mac(keys->suite, keys->identity, subject, &keyed);
        subject = slice_of(keyed.b, HASH_LEN);
    }
    memcpy(text, key_tag, sizeof key_tag);
    uint8_t *at = text + sizeof key_tag;
    be_put16(at, r->item->id);
    at = put_part(at + 2, cut(authority, AUTHORITY_MAX));
    at = put_part(at, cut(record_get(r, FIELD_DOCUMENT_NO), DOCUMENT_MAX));
    *at++ = (uint8_t)r->subject_kind;
    at = put_part(at, subject);
    suite_hash(keys->suite, slice_of(text, (size_t)(at - text)), &digest);
    memcpy(r->key, digest.b, RECORD_KEY_LEN);
}

static uint32_t date_of(const struct record *r, uint16_t field)
{
    uint32_t date;
    return date_parse(record_get(r, field), &date) == DATE_DAY ? date : 0;
}

/* Records hold texts that no longer differ between the column sets, except
 * 其他, which the set of 2016 alone has. */
static enum record_status status_of(const struct record *r)
{
    struct slice text = record_get(r, FIELD_STATUS);
    const struct enum_word *word = record_word(r, FIELD_STATUS);
    if (text.len == 0) {
        return STATUS_VALID;
    }
    return word != NULL ? (enum record_status)word->value : STATUS_OTHER;
}

static enum disclosure disclosure_of(const struct record *r)
{
    const struct enum_word *word = record_word(r, FIELD_DISCLOSURE);
    if (r->subject_kind == SUBJECT_PERSON) {
        return DISCLOSURE_AUTHORISED;
    }
    enum disclosure said =
        word != NULL ? (enum disclosure)word->value : DISCLOSURE_PUBLIC;
    return said > r->item->disclosure ? said : r->item->disclosure;
}

enum err record_identify(struct record *r, const struct record_keys *keys)
{
    const struct enum_word *category = record_word(r, FIELD_CATEGORY);
    bool person = category != NULL && category->value == CATEGORY_PERSON;
    enum err err = person ? identify_person(r) : identify_org(r);
    if (err != ERR_OK) {
        return err;
    }
    r->status = status_of(r);
    r->disclosure = disclosure_of(r);
    r->decided = date_of(r, FIELD_DECIDED);
    r->from = date_of(r, FIELD_FROM);
    r->until = date_of(r, FIELD_UNTIL);
    derive_key(r, keys);
    return ERR_OK;
}

/* ---- encoding ---- */

static bool is_sealed_kind(const struct catalogue_field *field,
                           enum subject_kind kind)
{
    return field->personal == PERSONAL_ALWAYS ||
           (field->personal == PERSONAL_IF_PERSON && kind == SUBJECT_PERSON);
}

/* Clear fields behind the digest's place. Returns whether one of them must be
 * sealed. */
static bool put_clear(const struct record *r, struct buf *out)
{
    bool personal = false;
    for (size_t i = 0; i < r->item->count; i++) {
        const struct catalogue_field *field = &r->item->fields[i];
        if (r->values[i].len == 0) {
            continue;
        }
        personal = personal || is_sealed_kind(field, r->subject_kind);
        pb_put_bytes(out, field->id, r->values[i]);
    }
    return personal;
}

void record_put_values(const struct record *r, struct buf *out)
{
    (void)put_clear(r, out);
}

void record_aad(uint64_t origin, const uint8_t key[RECORD_KEY_LEN],
                uint16_t field_id, uint8_t out[RECORD_AAD_LEN])
{
    size_t tag_len = sizeof aad_tag - 1;
    memcpy(out, aad_tag, tag_len);
    be_put64(out + tag_len, origin);
    memcpy(out + tag_len + 8, key, RECORD_KEY_LEN);
    be_put16(out + tag_len + 8 + RECORD_KEY_LEN, field_id);
}

static enum err seal(const struct record *r, uint64_t origin, uint16_t field_id,
                     const struct sealer *sealer, struct slice plain,
                     struct buf *out)
{
    uint8_t aad[RECORD_AAD_LEN];
    record_aad(origin, r->key, field_id, aad);
    return sealer->fn(sealer->ctx, slice_of(aad, sizeof aad), plain, out);
}

static enum err put_sealed(const struct record *r, uint64_t origin,
                           size_t place, const struct sealer *sealer,
                           struct buf *out)
{
    uint16_t id = r->item->fields[place].id;
    size_t mark = pb_begin(out, RECORD_SEALED_BASE + id);
    enum err err = seal(r, origin, id, sealer, r->values[place], out);
    pb_end(out, mark);
    return err;
}

static enum err put_protected(const struct record *r, uint64_t origin,
                              const struct sealer *sealer, struct buf *out)
{
    if (sealer == NULL) {
        return ERR_SEALED;
    }
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < r->item->count; i++) {
        const struct catalogue_field *field = &r->item->fields[i];
        if (r->values[i].len == 0) {
            continue;
        }
        if (is_sealed_kind(field, r->subject_kind)) {
            err = put_sealed(r, origin, i, sealer, out);
            continue;
        }
        pb_put_bytes(out, field->id, r->values[i]);
    }
    return err;
}

/* The digest is taken over the body with the record key in its place. */
static enum err put_body(const struct record *r, const struct record_keys *keys,
                         uint64_t origin, const struct sealer *sealer,
                         struct buf *out)
{
    size_t start = out->len;
    struct hash digest;
    pb_put_bytes(out, FIELD_DIGEST, slice_of(r->key, RECORD_DIGEST_LEN));
    bool personal = put_clear(r, out);
    size_t len = out->len - start;
    suite_mac(keys->suite, keys->digest, slice_of(out->data + start, len),
              &digest);
    memcpy(out->data + start + 2, digest.b, RECORD_DIGEST_LEN);
    if (!personal) {
        return ERR_OK;
    }
    mem_wipe(out->data + start + DIGEST_FIELD_LEN, len - DIGEST_FIELD_LEN);
    out->len = start + DIGEST_FIELD_LEN;
    return put_protected(r, origin, sealer, out);
}

static enum err put_subject(const struct record *r, uint64_t origin,
                            const struct sealer *sealer, struct buf *out)
{
    struct slice subject = slice_str(r->subject);
    if (r->subject_kind == SUBJECT_PERSON) {
        return sealer != NULL
                   ? seal(r, origin, RECORD_SUBJECT_FIELD, sealer, subject, out)
                   : ERR_SEALED;
    }
    buf_put_slice(out, subject);
    return ERR_OK;
}

enum err record_to_entry(const struct record *r, const struct record_keys *keys,
                         uint64_t origin, int64_t entered_at_ms,
                         const struct sealer *sealer, struct buf *room,
                         struct entry *out)
{
    size_t start = room->len;
    enum err err = put_body(r, keys, origin, sealer, room);
    size_t body_end = room->len;
    err = err == ERR_OK ? put_subject(r, origin, sealer, room) : err;
    if (err == ERR_OK && (body_end - start > RECORD_BODY_MAX ||
                          room->len - body_end > SUBJECT_MAX)) {
        err = ERR_TOO_LARGE;
    }
    if (err != ERR_OK) {
        room->len = start;
        return err;
    }
    *out = (struct entry){
        .type = ENTRY_RECORD,
        .flags = r->subject_kind == SUBJECT_PERSON ? ENTRY_FLAG_SEALED : 0,
        .status = (uint8_t)r->status,
        .disclosure = (uint8_t)r->disclosure,
        .subject_kind = (uint8_t)r->subject_kind,
        .item = r->item->id,
        .entered_at_ms = entered_at_ms,
        .decided = r->decided,
        .from = r->from,
        .until = r->until,
        .subject = slice_of(room->data + body_end, room->len - body_end),
        .body = slice_of(room->data + start, body_end - start),
    };
    memcpy(out->record_key, r->key, RECORD_KEY_LEN);
    return ERR_OK;
}

/* ---- decoding ---- */

/* False if a field comes twice. What this build does not know is counted and
 * otherwise left alone. */
static bool take_field(struct record *r, const struct pb_field *field)
{
    bool sealed = field->number > RECORD_SEALED_BASE;
    uint32_t id = field->number - (sealed ? RECORD_SEALED_BASE : 0);
    size_t place = id < CATALOGUE_FIELD_END && field->type == PB_BYTES
                       ? catalogue_place(r->item, (uint16_t)id)
                       : PLACE_NONE;
    if (place == PLACE_NONE) {
        r->unknown += id != FIELD_DIGEST;
        return true;
    }
    if (r->values[place].data != NULL) {
        return false;
    }
    r->values[place] = field->bytes;
    r->sealed |= (uint64_t)sealed << place;
    return true;
}

static enum err take_body(struct record *r, struct slice body)
{
    struct reader in = reader_of(body);
    struct pb_field field;
    while (pb_next(&in, &field)) {
        if (!take_field(r, &field)) {
            return ERR_INVALID;
        }
    }
    return in.bad ? ERR_INVALID : ERR_OK;
}

enum err record_take_values(struct record *out,
                            const struct catalogue_item *item,
                            struct slice body)
{
    record_init(out, item);
    return take_body(out, body);
}

enum err record_from_entry(const struct entry *e, struct record *out)
{
    const struct catalogue_item *item = catalogue_item(e->item);
    if (e->type != ENTRY_RECORD || item == NULL) {
        return ERR_UNSUPPORTED;
    }
    record_init(out, item);
    memcpy(out->key, e->record_key, RECORD_KEY_LEN);
    out->subject_kind = (enum subject_kind)e->subject_kind;
    out->status = (enum record_status)e->status;
    out->disclosure = (enum disclosure)e->disclosure;
    out->decided = e->decided;
    out->from = e->from;
    out->until = e->until;
    if ((e->flags & ENTRY_FLAG_SEALED) == 0 &&
        !set_subject(out, "", e->subject)) {
        return ERR_INVALID;
    }
    return take_body(out, e->body);
}

bool record_digest(struct slice body, uint8_t out[RECORD_DIGEST_LEN])
{
    if (body.len < DIGEST_FIELD_LEN ||
        body.data[0] != (FIELD_DIGEST << 3 | PB_BYTES) ||
        body.data[1] != RECORD_DIGEST_LEN) {
        return false;
    }
    memcpy(out, body.data + 2, RECORD_DIGEST_LEN);
    return true;
}

enum err record_unseal_subject(const struct entry *e, uint64_t origin,
                               const struct unsealer *unsealer, struct buf *out)
{
    uint8_t aad[RECORD_AAD_LEN];
    if ((e->flags & ENTRY_FLAG_SEALED) == 0) {
        buf_put_slice(out, e->subject);
        return ERR_OK;
    }
    if (unsealer == NULL) {
        return ERR_SEALED;
    }
    record_aad(origin, e->record_key, RECORD_SUBJECT_FIELD, aad);
    return unsealer->fn(unsealer->ctx, slice_of(aad, sizeof aad), e->subject,
                        out);
}

bool record_is_citizen(enum subject_kind kind, struct slice subject)
{
    /* Asked in this order for each record: few hold so many digits. */
    return citizen_is_inside(subject) &&
           (kind != SUBJECT_USCC || uscc_check(subject) != USCC_OK);
}

/* ---- showing ---- */

bool record_is_personal(const struct catalogue_field *field,
                        enum subject_kind kind)
{
    return field->personal == PERSONAL_MASKED || is_sealed_kind(field, kind);
}

void record_mask(const struct catalogue_field *field, struct slice value,
                 struct buf *out)
{
    if (field->type == TYPE_PERSON_ID) {
        mask_identifier(value, out);
    } else if (field->id == FIELD_NAME || field->id == FIELD_REP_NAME) {
        mask_name(value, out);
    } else {
        buf_put(out, "***", MASK_LEN);
    }
}

static enum citizen_forms forms_in(const struct catalogue_field *field)
{
    return field->type == TYPE_TEXT || field->type == TYPE_DOCUMENT
               ? CITIZEN_NEW_OR_OLD
               : CITIZEN_NEW;
}

bool record_names_citizen(const struct catalogue_field *field,
                          struct slice value)
{
    struct slice found;
    return field->type <= TYPE_DOCUMENT &&
           citizen_find(value, forms_in(field), &found);
}

/* Whoever wrote it may not have looked for citizen numbers. */
static void show_text(const struct catalogue_field *field, struct slice value,
                      enum record_view view, struct buf *out)
{
    if (view == RECORD_CLEAR ||
        (field->type == TYPE_USCC && uscc_check(value) == USCC_OK)) {
        buf_put_slice(out, value);
    } else {
        citizen_hide(value, forms_in(field), out);
    }
}

/* Values of a decoded record come from another node: what is not in the form
 * of its type is shown as a text. */
static void show_clear(const struct catalogue_field *field, struct slice value,
                       enum record_view view, struct buf *out)
{
    uint64_t fen;
    uint32_t date;
    char text[11];
    if (field->type == TYPE_AMOUNT && str_u64(value, &fen) &&
        fen <= INT64_MAX) {
        amount_format_yuan((int64_t)fen, out);
        return;
    }
    enum date_form form =
        field->type == TYPE_DATE ? date_parse(value, &date) : DATE_BAD;
    if (form == DATE_DAY) {
        date_format(date, text);
        buf_put_str(out, text);
    } else if (form == DATE_OPEN) {
        buf_put_str(out, "长期");
    } else {
        show_text(field, value, view, out);
    }
}

static enum err unseal(const struct record *r, size_t place, uint64_t origin,
                       const struct unsealer *unsealer, struct buf *out)
{
    uint8_t aad[RECORD_AAD_LEN];
    if (unsealer == NULL) {
        return ERR_SEALED;
    }
    record_aad(origin, r->key, r->item->fields[place].id, aad);
    return unsealer->fn(unsealer->ctx, slice_of(aad, sizeof aad),
                        r->values[place], out);
}

enum err record_show(const struct record *r, size_t place, uint64_t origin,
                     enum record_view view, const struct unsealer *unsealer,
                     struct buf *out)
{
    const struct catalogue_field *field = &r->item->fields[place];
    struct buf plain = BUF_INIT;
    struct slice value = r->values[place];
    bool sealed = (r->sealed >> place & 1) != 0;
    enum err err = ERR_OK;
    if (value.len == 0) {
        return ERR_OK;
    }
    if (sealed) {
        err = unseal(r, place, origin, unsealer, &plain);
        value = buf_slice(&plain);
    }
    if (err == ERR_SEALED && view == RECORD_MASKED) {
        buf_put(out, "***", MASK_LEN);
        err = ERR_OK;
    } else if (err == ERR_OK && view == RECORD_MASKED &&
               (sealed || record_is_personal(field, r->subject_kind))) {
        record_mask(field, value, out);
    } else if (err == ERR_OK) {
        show_clear(field, value, view, out);
    }
    if (plain.data != NULL) {
        mem_wipe(plain.data, plain.cap);
    }
    buf_fini(&plain);
    return err;
}
