#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "ident/ident_oid.h"
#include "ident/x509.h"

enum {
    ANCHORS_MAX = 512,
    REVOKED_FILE_MAX = 8 * 1024 * 1024,
};

struct fingerprint {
    uint8_t b[32];
};

/* What the two files hold; replaced as a whole. */
struct anchors {
    X509_STORE *store;
    struct fingerprint *revoked; /* sorted */
    size_t revoked_count;
};

struct trust {
    enum suite suite;
    char *federation;
    char *ca_path;
    char *revoked_path; /* NULL: none; of the thread that reloads */
    pthread_mutex_t lock;
    struct anchors now;  /* under lock */
    uint64_t generation; /* the same */
};

struct cert {
    struct principal principal;
    struct pubkey *pub;
    struct hash key_id;
};

static const struct {
    const char *oid;
    const char *file;
} uses[] = {
    [CERT_USE_SIGN] = {OID_USE_SIGN, "sign.pem"},
    [CERT_USE_SEAL] = {OID_USE_SEAL, "seal.pem"},
};

/* -- the CA and revocation files ------------------------------------------ */

static void anchors_fini(struct anchors *a)
{
    X509_STORE_free(a->store);
    mem_free(a->revoked);
    memset(a, 0, sizeof *a);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct fingerprint));
}

/* Adds the fingerprint of a line: first on it, then nothing, white space or a
 * remark. */
static bool parse_revoked_line(const char *line, size_t len, struct buf *list)
{
    char hex[65];
    struct fingerprint fp;
    if (len == 0 || line[0] == '#' || line[0] == '\r') {
        return true;
    }
    if (len < 64 || (len > 64 && strchr(" \t\r#", line[64]) == NULL)) {
        return false;
    }
    memcpy(hex, line, 64);
    hex[64] = 0;
    bool ok = str_unhex(hex, fp.b, sizeof fp.b);
    buf_put(list, &fp, ok ? sizeof fp : 0);
    return ok;
}

static enum err parse_revoked(struct buf *text, const char *path,
                              struct anchors *out, struct errmsg *why)
{
    struct buf list = BUF_INIT;
    unsigned number = 0;
    if (strlen(buf_cstr(text)) != text->len) {
        return err_set(why, ERR_CONF,
                       "%s: holds a NUL byte, so it is no text; copy it again",
                       path);
    }
    for (const char *line = buf_cstr(text); *line != 0;) {
        size_t len = strcspn(line, "\n");
        number++;
        if (!parse_revoked_line(line, len, &list)) {
            buf_fini(&list);
            return err_set(why, ERR_CONF,
                           "%s:%u: not a SHA-256 fingerprint of 64 hex digits; "
                           "add lines with certs/revoke.sh",
                           path, number);
        }
        line += len + (line[len] == '\n');
    }
    out->revoked_count = list.len / sizeof *out->revoked;
    size_t len;
    out->revoked = (struct fingerprint *)(void *)buf_steal(&list, &len);
    if (out->revoked_count > 0) {
        qsort(out->revoked, out->revoked_count, sizeof *out->revoked, compare);
    }
    return ERR_OK;
}

static enum err load_revoked(const char *path, struct anchors *out,
                             struct errmsg *why)
{
    struct buf text = BUF_INIT;
    struct errmsg reason;
    enum err err = file_read(path, REVOKED_FILE_MAX, &text, &reason);
    if (err != ERR_OK) {
        buf_fini(&text);
        return err_set(why, ERR_CONF,
                       "%.300s; the list of revoked certificates must be "
                       "there, though it may be empty",
                       reason.text);
    }
    err = parse_revoked(&text, path, out, why);
    buf_fini(&text);
    return err;
}

static enum err anchors_load(const struct trust *trust, struct anchors *out,
                             struct errmsg *why)
{
    struct buf pem = BUF_INIT;
    STACK_OF(X509) *certs = NULL;
    memset(out, 0, sizeof *out);
    enum err err =
        x509_load_pem(trust->ca_path, ANCHORS_MAX, &pem, &certs, why);
    if (err == ERR_OK) {
        out->store = x509_store_new(certs);
        if (out->store == NULL) {
            err = err_set(why, ERR_CONF, "%s: cannot use the CA file",
                          trust->ca_path);
        }
    }
    if (err == ERR_OK && trust->revoked_path != NULL) {
        err = load_revoked(trust->revoked_path, out, why);
    }
    x509_free_all(&certs);
    buf_fini(&pem);
    if (err != ERR_OK) {
        anchors_fini(out);
    }
    return err;
}

enum err trust_open(struct trust **out, enum suite suite,
                    const char *federation, const char *ca_path,
                    const char *revoked_path, struct errmsg *why)
{
    struct trust *trust = MEM_NEW(struct trust);
    trust->suite = suite;
    trust->federation = mem_strdup(federation);
    trust->ca_path = mem_strdup(ca_path);
    trust_set_revoked(trust, revoked_path);
    (void)pthread_mutex_init(&trust->lock, NULL);
    enum err err = anchors_load(trust, &trust->now, why);
    if (err != ERR_OK) {
        trust_free(&trust);
    }
    *out = trust;
    return err;
}

void trust_free(struct trust **trust)
{
    struct trust *t = *trust;
    if (t != NULL) {
        anchors_fini(&t->now);
        (void)pthread_mutex_destroy(&t->lock);
        mem_free(t->federation);
        mem_free(t->ca_path);
        mem_free(t->revoked_path);
        mem_free(t);
        *trust = NULL;
    }
}

void trust_set_revoked(struct trust *trust, const char *path)
{
    mem_free(trust->revoked_path);
    trust->revoked_path = path != NULL ? mem_strdup(path) : NULL;
}

enum err trust_reload(struct trust *trust, struct errmsg *why)
{
    struct anchors fresh;
    enum err err = anchors_load(trust, &fresh, why);
    if (err != ERR_OK) {
        return err;
    }
    (void)pthread_mutex_lock(&trust->lock);
    struct anchors old = trust->now;
    trust->now = fresh;
    trust->generation++;
    (void)pthread_mutex_unlock(&trust->lock);
    anchors_fini(&old);
    return ERR_OK;
}

enum suite trust_suite(const struct trust *trust)
{
    return trust->suite;
}

const char *trust_federation(const struct trust *trust)
{
    return trust->federation;
}

uint64_t trust_generation(struct trust *trust)
{
    (void)pthread_mutex_lock(&trust->lock);
    uint64_t generation = trust->generation;
    (void)pthread_mutex_unlock(&trust->lock);
    return generation;
}

bool trust_is_revoked(struct trust *trust, const uint8_t fingerprint[32])
{
    (void)pthread_mutex_lock(&trust->lock);
    const struct anchors *a = &trust->now;
    bool found = a->revoked_count > 0 &&
                 bsearch(fingerprint, a->revoked, a->revoked_count,
                         sizeof *a->revoked, compare) != NULL;
    (void)pthread_mutex_unlock(&trust->lock);
    return found;
}

/* The present store, kept by a reference of the caller. */
static X509_STORE *store_ref(struct trust *trust)
{
    (void)pthread_mutex_lock(&trust->lock);
    X509_STORE *store = trust->now.store;
    (void)X509_STORE_up_ref(store);
    (void)pthread_mutex_unlock(&trust->lock);
    return store;
}

/* -- certificates of other nodes ------------------------------------------ */

static enum err parse_chain(struct slice chain, STACK_OF(X509) * *out,
                            struct errmsg *why)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    struct reader r = reader_of(chain);
    bool ok = certs != NULL && chain.len > 0 && chain.len <= CERT_CHAIN_MAX;
    while (ok && !reader_done(&r)) {
        struct slice der = reader_bytes(&r, reader_u32(&r));
        X509 *cert = !r.bad && der.len > 0 ? x509_parse_der(der) : NULL;
        ok = cert != NULL && sk_X509_num(certs) < CHAIN_MAX &&
             sk_X509_push(certs, cert) > 0;
        if (!ok) {
            X509_free(cert);
        }
    }
    if (!ok) {
        x509_free_all(&certs);
        return err_set(why, ERR_UNAUTHENTICATED,
                       "the peer's certificate chain (%zu bytes) is malformed "
                       "or longer than %d certificates or %d bytes",
                       chain.len, (int)CHAIN_MAX, (int)CERT_CHAIN_MAX);
    }
    *out = certs;
    return ERR_OK;
}

static enum err check_path(struct trust *trust, STACK_OF(X509) * certs,
                           int64_t at_ms, struct errmsg *why)
{
    STACK_OF(X509) *path = NULL;
    X509_STORE *store = store_ref(trust);
    enum err err =
        x509_verify(store, sk_X509_value(certs, 0), certs, at_ms, &path, why);
    for (int i = 0; err == ERR_OK && i < sk_X509_num(path); i++) {
        struct fingerprint fp;
        x509_fingerprint(sk_X509_value(path, i), fp.b);
        if (trust_is_revoked(trust, fp.b)) {
            char label[LABEL_MAX];
            x509_label(sk_X509_value(path, i), label);
            err = err_set(why, ERR_UNAUTHENTICATED,
                          "certificate of %s was revoked; a new one needs a "
                          "new key (certs/request.sh)",
                          label);
        }
    }
    x509_free_all(&path);
    X509_STORE_free(store);
    return err;
}

static enum err check_role(const struct trust *trust, STACK_OF(X509) * certs,
                           enum cert_use use, struct cert *cert,
                           struct errmsg *why)
{
    const X509 *leaf = sk_X509_value(certs, 0);
    enum err err = x509_principal(certs, &cert->principal, why);
    if (err == ERR_OK) {
        err = principal_check_federation(&cert->principal, trust->federation,
                                         why);
    }
    if (err != ERR_OK) {
        return err;
    }
    char label[LABEL_MAX];
    x509_label(leaf, label);
    if (cert->principal.kind != PRINCIPAL_NODE) {
        return err_set(why, ERR_UNAUTHENTICATED,
                       "certificate of %s is not a node's; apps and operators "
                       "do not sign or seal",
                       label);
    }
    if (!x509_has_usage(leaf, uses[use].oid)) {
        return err_set(why, ERR_UNAUTHENTICATED,
                       "certificate of %s is of another use: a %s is needed "
                       "here",
                       label, uses[use].file);
    }
    err = x509_pubkey(leaf, &cert->pub, why);
    if (err == ERR_OK && pubkey_suite(cert->pub) != trust->suite) {
        return err_set(why, ERR_UNAUTHENTICATED,
                       "key of the certificate of %s is of suite %s, the "
                       "federation's is %s; make one with certs/request.sh "
                       "--suite %s",
                       label, suite_name(pubkey_suite(cert->pub)),
                       suite_name(trust->suite), suite_name(trust->suite));
    }
    return err;
}

static enum err check_certs(struct trust *trust, STACK_OF(X509) * certs,
                            enum cert_use use, int64_t at_ms, struct cert **out,
                            struct errmsg *why)
{
    struct cert *cert = MEM_NEW(struct cert);
    enum err err = check_path(trust, certs, at_ms, why);
    if (err == ERR_OK) {
        err = check_role(trust, certs, use, cert, why);
    }
    if (err == ERR_OK) {
        suite_hash(SUITE_INTL, pubkey_spki(cert->pub), &cert->key_id);
    } else {
        cert_free(&cert);
    }
    *out = cert;
    return err;
}

enum err trust_check(struct trust *trust, struct slice chain, enum cert_use use,
                     int64_t at_ms, struct cert **out, struct errmsg *why)
{
    STACK_OF(X509) *certs = NULL;
    *out = NULL;
    enum err err = parse_chain(chain, &certs, why);
    if (err == ERR_OK) {
        err = check_certs(trust, certs, use, at_ms, out, why);
    }
    x509_free_all(&certs);
    return err;
}

void cert_free(struct cert **cert)
{
    if (*cert != NULL) {
        pubkey_free(&(*cert)->pub);
        mem_free(*cert);
        *cert = NULL;
    }
}

const struct principal *cert_principal(const struct cert *cert)
{
    return &cert->principal;
}

const struct pubkey *cert_pubkey(const struct cert *cert)
{
    return cert->pub;
}

const uint8_t *cert_key_id(const struct cert *cert)
{
    return cert->key_id.b;
}

/* -- this node's own identity --------------------------------------------- */

static void put_chain(STACK_OF(X509) * certs, struct buf *out)
{
    for (int i = 0; i < sk_X509_num(certs); i++) {
        unsigned char *der = NULL;
        int len = i2d_X509(sk_X509_value(certs, i), &der);
        if (len > 0) {
            buf_put_u32(out, (uint32_t)len);
            buf_put(out, der, (size_t)len);
        }
        OPENSSL_free(der);
    }
}

static enum err load_chain(struct identity *out, struct trust *trust,
                           enum cert_use use, const char *cert_path,
                           struct errmsg *why)
{
    struct errmsg reason;
    struct buf pem = BUF_INIT;
    STACK_OF(X509) *certs = NULL;
    enum err err = x509_load_pem(cert_path, CHAIN_MAX, &pem, &certs, why);
    if (err == ERR_OK) {
        put_chain(certs, &out->chain);
        err = trust_check(trust, buf_slice(&out->chain), use, clock_wall_ms(),
                          &out->cert, &reason);
        if (err != ERR_OK) {
            err = err_set(why, ERR_CONF, "%s: %.*s", cert_path,
                          (int)sizeof reason.text, reason.text);
        }
    }
    x509_free_all(&certs);
    buf_fini(&pem);
    return err;
}

enum err identity_load(struct identity *out, struct trust *trust,
                       enum cert_use use, const char *cert_path,
                       const char *key_path, struct errmsg *why)
{
    memset(out, 0, sizeof *out);
    enum err err = load_chain(out, trust, use, cert_path, why);
    if (err == ERR_OK) {
        err = key_load(&out->key, key_path, why);
    }
    if (err == ERR_OK && !slice_eq(pubkey_spki(key_pubkey(out->key)),
                                   pubkey_spki(out->cert->pub))) {
        err = err_set(why, ERR_CONF,
                      "%s: not the key of the certificate in %s; put the pair "
                      "that certs/request.sh and certs/sign.sh made together",
                      key_path, cert_path);
    }
    if (err != ERR_OK) {
        identity_fini(out);
    }
    return err;
}

void identity_fini(struct identity *id)
{
    key_free(&id->key);
    cert_free(&id->cert);
    buf_fini(&id->chain);
}
