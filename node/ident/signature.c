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

enum err signature_parse_value(struct slice value, struct signature *out)
{
    *out = (struct signature){.key = NULL};
    const uint8_t *space =
        value.len > 0 ? memchr(value.data, ' ', value.len) : NULL;
    if (space == NULL) {
        return ERR_INVALID;
    }
    size_t len = (size_t)(space - value.data);
    struct slice der = slice_of(space + 1, value.len - len - 1);
    if (take_key(slice_of(value.data, len), out) &&
        str_unbase64(der, &out->der) && out->der.len > 0 &&
        out->der.len <= SIGNATURE_MAX) {
        return ERR_OK;
    }
    signature_fini(out);
    return ERR_INVALID;
}

enum err signature_parse(struct slice line, struct signature *out)
{
    size_t skip = strlen(lead);
    *out = (struct signature){.key = NULL};
    if (line.len > SIGNATURE_LINE_MAX || line.len < skip ||
        memcmp(line.data, lead, skip) != 0) {
        return ERR_INVALID;
    }
    return signature_parse_value(slice_of(line.data + skip, line.len - skip),
                                 out);
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
