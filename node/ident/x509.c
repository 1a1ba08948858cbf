#include "ident/x509.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"

static const char sm2_distid[] = "1234567812345678";

/* -- reading -------------------------------------------------------------- */

/* OpenSSL 3.0 verifies a signature by an SM2 key only if it is told the
 * signer's id, and refuses to be told for any other algorithm. */
static void tell_sm2_id(X509 *cert)
{
    if (X509_get_signature_nid(cert) != NID_SM2_with_SM3) {
        return;
    }
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    if (id != NULL && ASN1_OCTET_STRING_set(id, (const uint8_t *)sm2_distid,
                                            sizeof sm2_distid - 1) == 1) {
        X509_set0_distinguishing_id(cert, id);
    } else {
        ASN1_OCTET_STRING_free(id);
    }
}

/* A file of certificates must not ask for a passphrase on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf, (void)size, (void)writing, (void)ctx;
    return -1;
}

enum err x509_parse_pem(struct slice pem, int max, STACK_OF(X509) * *out)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *bio =
        pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    bool ok = certs != NULL && bio != NULL;
    while (ok) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (cert == NULL) {
            /* The end looks like this; anything else is damage. */
            ok = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            break;
        }
        tell_sm2_id(cert);
        ok = sk_X509_num(certs) < max && sk_X509_push(certs, cert) > 0;
        if (!ok) {
            X509_free(cert);
        }
    }
    ERR_clear_error();
    BIO_free(bio);
    if (!ok || sk_X509_num(certs) == 0) {
        x509_free_all(&certs);
        return ERR_INVALID;
    }
    *out = certs;
    return ERR_OK;
}

enum err x509_load_pem(const char *path, int max, struct buf *pem,
                       STACK_OF(X509) * *out, struct errmsg *why)
{
    size_t start = pem->len;
    if (file_read(path, PEM_FILE_MAX, pem, why) != ERR_OK) {
        return ERR_CONF;
    }
    struct slice text = slice_of(pem->data + start, pem->len - start);
    if (text.len == 0 || x509_parse_pem(text, max, out) != ERR_OK) {
        return err_set(why, ERR_CONF,
                       "%s: not 1 to %d certificates in PEM; copy the file "
                       "again from where certs/sign.sh wrote it",
                       path, max);
    }
    return ERR_OK;
}

X509 *x509_parse_der(struct slice der)
{
    const unsigned char *at = der.data;
    X509 *cert =
        der.len <= LONG_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    ERR_clear_error();
    if (cert != NULL && at != der.data + der.len) {
        X509_free(cert);
        return NULL;
    }
    if (cert != NULL) {
        tell_sm2_id(cert);
    }
    return cert;
}

void x509_free_all(STACK_OF(X509) * *certs)
{
    sk_X509_pop_free(*certs, X509_free);
    *certs = NULL;
}

/* -- looking -------------------------------------------------------------- */

void x509_fingerprint(const X509 *cert, uint8_t out[32])
{
    unsigned len = 32;
    if (X509_digest(cert, EVP_sha256(), out, &len) != 1) {
        memset(out, 0, 32);
    }
}

/* All zero, which no key has, if there is none. */
static void key_id(const X509 *cert, uint8_t out[32])
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    memset(out, 0, 32);
    if (len > 0 &&
        EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL) != 1) {
        memset(out, 0, 32);
    }
    OPENSSL_free(der);
}

/* Text of the only URI SAN, cut to `size`; how many there are. */
static int uri_names(const X509 *cert, char *out, size_t size)
{
    int count = 0;
    GENERAL_NAMES *names =
        X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    out[0] = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI || count++ > 0) {
            continue;
        }
        /* Its own length counts: it may hold a NUL or a line feed. */
        const uint8_t *text =
            ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
        int len = ASN1_STRING_length(name->d.uniformResourceIdentifier);
        size_t n = 0;
        for (; n < (size_t)len && n + 1 < size; n++) {
            bool plain = text[n] > 0x20 && text[n] < 0x7f;
            out[n] = (char)(plain ? text[n] : '?');
        }
        out[n] = 0;
    }
    GENERAL_NAMES_free(names);
    return count;
}

void x509_label(const X509 *cert, char out[LABEL_MAX])
{
    if (uri_names(cert, out, LABEL_MAX) == 0) {
        (void)X509_NAME_oneline(X509_get_subject_name(cert), out, LABEL_MAX);
    }
}

static int64_t time_ms(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

static int64_t end_ms(const X509 *cert)
{
    return time_ms(X509_get0_notAfter(cert));
}

/* The certificate in `chain` of whoever issued `cert`. A CA that was renewed
 * may be there twice: whoever checks takes the one that is valid. */
static X509 *issuer_in(STACK_OF(X509) * chain, X509 *cert)
{
    X509 *found = NULL;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *ca = sk_X509_value(chain, i);
        if (ca != cert && X509_check_issued(ca, cert) == X509_V_OK &&
            (found == NULL || end_ms(ca) > end_ms(found))) {
            found = ca;
        }
    }
    return found;
}

/* Once a certificate on its way up has ended, nobody takes the first any more.
 */
static int64_t chain_end_ms(STACK_OF(X509) * chain)
{
    X509 *cert = sk_X509_value(chain, 0);
    int64_t end = end_ms(cert);
    for (int i = 1; i < sk_X509_num(chain) && cert != NULL; i++) {
        cert = issuer_in(chain, cert);
        if (cert != NULL && end_ms(cert) < end) {
            end = end_ms(cert);
        }
    }
    ERR_clear_error();
    return end;
}

enum err x509_principal(STACK_OF(X509) * chain, struct principal *out,
                        struct errmsg *why)
{
    const X509 *cert = sk_X509_value(chain, 0);
    char uri[LABEL_MAX];
    int count = uri_names(cert, uri, sizeof uri);
    memset(out, 0, sizeof *out);
    if (count != 1) {
        char label[LABEL_MAX];
        x509_label(cert, label);
        return err_set(why, ERR_UNAUTHENTICATED,
                       "certificate of %s has %d URI names instead of one; "
                       "have it issued with certs/sign.sh",
                       label, count);
    }
    if (principal_parse(uri, out) != ERR_OK) {
        return err_set(why, ERR_UNAUTHENTICATED,
                       "certificate names %s, which is not "
                       "spiffe://federation/tier/12-digit-code; have it issued "
                       "with certs/sign.sh",
                       uri);
    }
    x509_fingerprint(cert, out->fingerprint);
    key_id(cert, out->key_id);
    out->not_after_ms = chain_end_ms(chain);
    return ERR_OK;
}

bool x509_has_usage(const X509 *cert, const char *oid)
{
    bool found = false;
    EXTENDED_KEY_USAGE *uses =
        X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    for (int i = 0; i < sk_ASN1_OBJECT_num(uses) && !found; i++) {
        char text[128];
        (void)OBJ_obj2txt(text, sizeof text, sk_ASN1_OBJECT_value(uses, i), 1);
        found = strcmp(text, oid) == 0;
    }
    EXTENDED_KEY_USAGE_free(uses);
    return found;
}

enum err x509_pubkey(const X509 *cert, struct pubkey **out, struct errmsg *why)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    enum err err = ERR_INVALID;
    *out = NULL;
    if (len > 0) {
        err = pubkey_from_spki(out, slice_of(der, (size_t)len));
    }
    OPENSSL_free(der);
    if (err != ERR_OK) {
        char label[LABEL_MAX];
        x509_label(cert, label);
        return err_set(why, ERR_UNAUTHENTICATED,
                       "key of the certificate of %s is neither P-256 nor SM2; "
                       "make a new one with certs/request.sh",
                       label);
    }
    return ERR_OK;
}

/* -- verifying ------------------------------------------------------------ */

X509_STORE *x509_store_new(STACK_OF(X509) * certs)
{
    X509_STORE *store = X509_STORE_new();
    if (store == NULL) {
        return NULL;
    }
    bool ok = X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1;
    for (int i = 0; i < sk_X509_num(certs) && ok; i++) {
        ok = X509_STORE_add_cert(store, sk_X509_value(certs, i)) == 1;
    }
    if (!ok) {
        X509_STORE_free(store);
        return NULL;
    }
    return store;
}

static void date_text(const ASN1_TIME *t, char out[24])
{
    struct tm tm;
    if (ASN1_TIME_to_tm(t, &tm) != 1 ||
        strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        (void)snprintf(out, 24, "an unreadable date");
    }
}

static bool is_unknown_ca(int code)
{
    return code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           code == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           code == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
           code == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

static enum err refuse(X509_STORE_CTX *ctx, struct errmsg *why)
{
    int code = X509_STORE_CTX_get_error(ctx);
    const X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
    char label[LABEL_MAX] = "?";
    char date[24];
    if (cert != NULL) {
        x509_label(cert, label);
    }
    if (is_unknown_ca(code)) {
        return err_set(why, ERR_UNAUTHENTICATED,
                       "certificate of %s comes from an unknown CA; if that CA "
                       "is of this federation, add it to the CA file",
                       label);
    }
    if (code == X509_V_ERR_CERT_HAS_EXPIRED && cert != NULL) {
        date_text(X509_get0_notAfter(cert), date);
        return err_set(why, ERR_UNAUTHENTICATED,
                       "certificate of %s expired at %s; renew it with "
                       "certs/renew.sh",
                       label, date);
    }
    if (code == X509_V_ERR_CERT_NOT_YET_VALID && cert != NULL) {
        date_text(X509_get0_notBefore(cert), date);
        return err_set(why, ERR_UNAUTHENTICATED,
                       "certificate of %s is not valid before %s; check the "
                       "clocks of both machines",
                       label, date);
    }
    return err_set(why, ERR_UNAUTHENTICATED,
                   "certificate of %s refused: %s; have it issued again with "
                   "certs/sign.sh",
                   label, X509_verify_cert_error_string(code));
}

enum err x509_verify(X509_STORE *store, X509 *leaf, STACK_OF(X509) * others,
                     int64_t at_ms, STACK_OF(X509) * *path, struct errmsg *why)
{
    enum err err = ERR_OK;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    *path = NULL;
    if (ctx == NULL || X509_STORE_CTX_init(ctx, store, leaf, others) != 1) {
        X509_STORE_CTX_free(ctx);
        return err_set(why, ERR_BUG, "cannot start a certificate check");
    }
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    if (at_ms == 0) {
        (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
    } else {
        X509_VERIFY_PARAM_set_time(param, (time_t)(at_ms / 1000));
    }
    X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX);
    if (X509_verify_cert(ctx) != 1) {
        err = refuse(ctx, why);
    } else {
        *path = X509_STORE_CTX_get1_chain(ctx);
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return err;
}
