#include "mlog/checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "mlog/tree.h"

enum {
    KEY_ID_LEN = 4,
    NOTE_SIGNATURE_MAX = 512, /* decoded; another's may be of another kind */
};

#define PRODUCT "creditnode/"
#define TIME "time "
#define SIGNATURE_MARK "\xe2\x80\x94 " /* U+2014 and a space */
/* signed-note has no type byte for SM2: 0xFF and a long name stand for it. */
#define SM2_TYPE                                                               \
    "\xff"                                                                     \
    "creditnode/sm2-with-sm3"

/* One line "— name base64" of a note. */
struct signature {
    struct slice name;
    size_t len; /* of key id and signature */
    uint8_t bytes[NOTE_SIGNATURE_MAX];
};

static void key_id(enum suite suite, const char code[CODE_LEN + 1],
                   const struct cert *cert, uint8_t out[KEY_ID_LEN])
{
    const uint8_t *spki_hash = cert_key_id(cert);
    if (suite == SUITE_INTL) {
        memcpy(out, spki_hash, KEY_ID_LEN);
        return;
    }
    struct buf name = BUF_INIT;
    struct hash hash;
    buf_put_str(&name, code);
    buf_put_str(&name, "\n" SM2_TYPE);
    buf_put(&name, spki_hash, HASH_LEN);
    suite_hash(SUITE_INTL, buf_slice(&name), &hash);
    memcpy(out, hash.b, KEY_ID_LEN);
    buf_fini(&name);
}

static bool cert_is_of(const struct cert *cert, const char *federation,
                       uint64_t origin)
{
    const struct principal *p = cert_principal(cert);
    return p->kind == PRINCIPAL_NODE && p->code == origin &&
           strcmp(p->federation, federation) == 0;
}

static void put_text(const struct checkpoint *cp, const char *federation,
                     struct buf *out)
{
    char id[LOG_ID_TEXT_MAX];
    log_id_format(&cp->log, id);
    buf_putf(out, PRODUCT "%s/%s\n%" PRIu64 "\n", federation, id, cp->size);
    str_base64(slice_of(cp->root.b, HASH_LEN), out);
    buf_putf(out, "\n" TIME "%" PRId64 "\n", cp->at_ms);
}

enum err checkpoint_sign(const struct checkpoint *cp, const char *federation,
                         enum suite suite, const struct identity *signer,
                         struct buf *note)
{
    if (cp->size > TREE_SIZE_MAX || cp->at_ms < 0) {
        return ERR_INVALID;
    }
    if (!cert_is_of(signer->cert, federation, cp->log.origin)) {
        return ERR_DENIED;
    }
    char code[CODE_LEN + 1];
    uint8_t id[KEY_ID_LEN];
    struct buf text = BUF_INIT;
    struct buf signature = BUF_INIT;
    code_format(cp->log.origin, code);
    put_text(cp, federation, &text);
    key_id(suite, code, signer->cert, id);
    buf_put(&signature, id, KEY_ID_LEN);
    enum err err = key_sign(signer->key, suite, buf_slice(&text), &signature);
    if (err == ERR_OK) {
        buf_put_slice(note, buf_slice(&text));
        buf_putf(note, "\n" SIGNATURE_MARK "%s ", code);
        str_base64(buf_slice(&signature), note);
        buf_put_str(note, "\n");
    }
    buf_fini(&text);
    buf_fini(&signature);
    return err;
}

/* Takes the next line off `rest`; false if there is none or it is empty. */
static bool take_line(struct slice *rest, struct slice *line)
{
    const uint8_t *end =
        rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    if (end == NULL || end == rest->data) {
        return false;
    }
    *line = slice_of(rest->data, (size_t)(end - rest->data));
    *rest = slice_of(end + 1, rest->len - line->len - 1);
    return true;
}

static bool take_prefix(struct slice *s, const char *prefix)
{
    size_t len = strlen(prefix);
    if (s->len < len || memcmp(s->data, prefix, len) != 0) {
        return false;
    }
    *s = slice_of(s->data + len, s->len - len);
    return true;
}

/* Decimal as it would be written: no leading zero. */
static bool decimal(struct slice text, uint64_t max, uint64_t *out)
{
    return str_u64(text, out) && *out <= max &&
           (text.len == 1 || text.data[0] != '0');
}

/* Strict base64 of at most `max` bytes; the number of bytes, or 0. */
static size_t unbase64(struct slice text, uint8_t *out, size_t max)
{
    struct buf bytes = BUF_INIT;
    size_t len = 0;
    if (text.len <= (max + 2) / 3 * 4 && str_unbase64(text, &bytes) &&
        bytes.len > 0 && bytes.len <= max) {
        len = bytes.len;
        memcpy(out, bytes.data, len);
    }
    buf_fini(&bytes);
    return len;
}

static bool origin_line(struct slice line, const char *federation,
                        struct log_id *out)
{
    char id[LOG_ID_TEXT_MAX];
    if (!take_prefix(&line, PRODUCT) || !take_prefix(&line, federation) ||
        !take_prefix(&line, "/") || line.len >= sizeof(id)) {
        return false;
    }
    memcpy(id, line.data, line.len);
    id[line.len] = 0;
    return log_id_parse(id, out);
}

/* The text of a note, behind which the signature lines stand. The last empty
 * line parts them; an earlier one makes an empty line of the text. */
static bool split_note(struct slice note, struct slice *text,
                       struct slice *signatures)
{
    if (note.len > CHECKPOINT_MAX || !str_utf8_valid(note)) {
        return false;
    }
    size_t at = 0;
    for (size_t i = 0; i < note.len; i++) {
        if (note.data[i] < 0x20 && note.data[i] != '\n') {
            return false;
        }
        if (i > 0 && note.data[i] == '\n' && note.data[i - 1] == '\n') {
            at = i;
        }
    }
    if (at == 0) {
        return false;
    }
    *text = slice_of(note.data, at);
    *signatures = slice_of(note.data + at + 1, note.len - at - 1);
    return signatures->len > 0;
}

static bool text_get(struct slice text, const char *federation,
                     struct checkpoint *out)
{
    struct slice line;
    uint64_t at_ms = 0;
    if (!take_line(&text, &line) || !origin_line(line, federation, &out->log) ||
        !take_line(&text, &line) || !decimal(line, TREE_SIZE_MAX, &out->size) ||
        !take_line(&text, &line) ||
        unbase64(line, out->root.b, HASH_LEN) != HASH_LEN ||
        !take_line(&text, &line) || !take_prefix(&line, TIME) ||
        !decimal(line, INT64_MAX, &at_ms)) {
        return false;
    }
    out->at_ms = (int64_t)at_ms;
    while (text.len > 0) {
        if (!take_line(&text, &line)) {
            return false;
        }
    }
    return true;
}

/* Takes the next signature line off `rest`. */
static bool take_signature(struct slice *rest, struct signature *out)
{
    struct slice line;
    if (!take_line(rest, &line) || !take_prefix(&line, SIGNATURE_MARK)) {
        return false;
    }
    const uint8_t *space =
        line.len > 0 ? memchr(line.data, ' ', line.len) : NULL;
    if (space == NULL || space == line.data) {
        return false;
    }
    out->name = slice_of(line.data, (size_t)(space - line.data));
    out->len = unbase64(slice_of(space + 1, line.len - out->name.len - 1),
                        out->bytes, sizeof(out->bytes));
    return memchr(out->name.data, '+', out->name.len) == NULL &&
           out->len > KEY_ID_LEN;
}

/* Reads all of the note; what the signatures cover and their lines are lent
 * from it. */
static bool note_get(struct slice note, const char *federation,
                     struct checkpoint *out, struct slice *text,
                     struct slice *signatures)
{
    if (!split_note(note, text, signatures) ||
        !text_get(*text, federation, out)) {
        return false;
    }
    struct slice rest = *signatures;
    struct signature signature;
    while (rest.len > 0) {
        if (!take_signature(&rest, &signature)) {
            return false;
        }
    }
    return true;
}

enum err checkpoint_parse(struct slice note, const char *federation,
                          struct checkpoint *out)
{
    struct slice text;
    struct slice signatures;
    return note_get(note, federation, out, &text, &signatures) ? ERR_OK
                                                               : ERR_INVALID;
}

/* signed-note: lines of other keys are passed over, each line of this key
 * must fit, and there must be one. */
static bool signatures_fit(struct slice text, struct slice signatures,
                           uint64_t origin, enum suite suite,
                           const struct cert *cert)
{
    char code[CODE_LEN + 1];
    uint8_t id[KEY_ID_LEN];
    struct signature s;
    bool found = false;
    code_format(origin, code);
    key_id(suite, code, cert, id);
    while (signatures.len > 0 && take_signature(&signatures, &s)) {
        if (!slice_eq(s.name, slice_str(code)) ||
            memcmp(s.bytes, id, KEY_ID_LEN) != 0) {
            continue;
        }
        struct slice der = slice_of(s.bytes + KEY_ID_LEN, s.len - KEY_ID_LEN);
        if (pubkey_verify(cert_pubkey(cert), suite, text, der) != ERR_OK) {
            return false;
        }
        found = true;
    }
    return found;
}

enum err checkpoint_verify(struct slice note, const char *federation,
                           enum suite suite, const struct cert *cert,
                           struct checkpoint *out)
{
    struct slice text;
    struct slice signatures;
    if (!note_get(note, federation, out, &text, &signatures)) {
        return ERR_INVALID;
    }
    if (!cert_is_of(cert, federation, out->log.origin)) {
        return ERR_DENIED;
    }
    return signatures_fit(text, signatures, out->log.origin, suite, cert)
               ? ERR_OK
               : ERR_BAD_SIGNATURE;
}
