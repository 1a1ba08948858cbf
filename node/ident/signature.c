#include "ident/signature.h"

#include <string.h>

#include "base/str.h"

static const char lead[] = "signature ";

void signature_fini(struct signature *s)
{
    pubkey_free(&s->key);
    buf_fini(&s->der);
}

void signature_key_id(const struct pubkey *key, struct hash *out)
{
    suite_hash(SUITE_INTL, pubkey_spki(key), out);
}

static bool take_key(struct slice text, struct signature *out)
{
    struct buf spki = BUF_INIT;
    bool ok = str_unbase64(text, &spki) &&
              pubkey_from_spki(&out->key, buf_slice(&spki)) == ERR_OK;
    buf_fini(&spki);
    if (ok) {
        signature_key_id(out->key, &out->key_id);
    }
    return ok;
}

/* "<key> <signature>", both base64. */
static bool split(struct slice value, struct slice *key, struct slice *der)
{
    const uint8_t *space =
        value.len > 0 ? memchr(value.data, ' ', value.len) : NULL;
    if (space == NULL) {
        return false;
    }
    size_t len = (size_t)(space - value.data);
    *key = slice_of(value.data, len);
    *der = slice_of(space + 1, value.len - len - 1);
    return true;
}

static bool take_der(struct slice text, struct buf *out)
{
    return str_unbase64(text, out) && out->len > 0 && out->len <= SIGNATURE_MAX;
}

enum err signature_parse_value(struct slice value, struct signature *out)
{
    struct slice key;
    struct slice der;
    *out = (struct signature){.key = NULL};
    if (split(value, &key, &der) && take_key(key, out) &&
        take_der(der, &out->der)) {
        return ERR_OK;
    }
    signature_fini(out);
    return ERR_INVALID;
}

/* What stands behind the word `signature`. */
static bool value_of(struct slice line, struct slice *out)
{
    size_t skip = strlen(lead);
    if (line.len > SIGNATURE_LINE_MAX || line.len < skip ||
        memcmp(line.data, lead, skip) != 0) {
        return false;
    }
    *out = slice_of(line.data + skip, line.len - skip);
    return true;
}

enum err signature_parse(struct slice line, struct signature *out)
{
    struct slice value;
    *out = (struct signature){.key = NULL};
    return value_of(line, &value) ? signature_parse_value(value, out)
                                  : ERR_INVALID;
}

enum err signature_check(struct slice line, const struct pubkey *key,
                         enum suite suite, struct slice text)
{
    struct slice value;
    struct slice name;
    struct slice rest;
    struct buf spki = BUF_INIT;
    struct buf der = BUF_INIT;
    enum err err = ERR_INVALID;
    if (value_of(line, &value) && split(value, &name, &rest) &&
        str_unbase64(name, &spki) && take_der(rest, &der)) {
        err = !slice_eq(buf_slice(&spki), pubkey_spki(key)) ? ERR_DENIED
              : pubkey_verify(key, suite, text, buf_slice(&der)) == ERR_OK
                  ? ERR_OK
                  : ERR_BAD_SIGNATURE;
    }
    buf_fini(&spki);
    buf_fini(&der);
    return err;
}

bool signature_fits(const struct signature *s, enum suite suite,
                    struct slice text)
{
    return pubkey_verify(s->key, suite, text, buf_slice(&s->der)) == ERR_OK;
}

enum err signature_put(const struct key *key, enum suite suite,
                       struct slice text, struct buf *out)
{
    struct buf der = BUF_INIT;
    enum err err = key_sign(key, suite, text, &der);
    if (err == ERR_OK) {
        buf_put_str(out, lead);
        str_base64(pubkey_spki(key_pubkey(key)), out);
        buf_put_u8(out, ' ');
        str_base64(buf_slice(&der), out);
        buf_put_u8(out, '\n');
    }
    buf_fini(&der);
    return err;
}
