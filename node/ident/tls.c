#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "ident/ident_oid.h"
#include "ident/x509.h"

enum { ANCHORS_MAX = 512 };

enum err principal_from_pem(struct slice pem, struct principal *out,
                            struct errmsg *why)
{
    STACK_OF(X509) *certs = NULL;
    memset(out, 0, sizeof *out);
    if (pem.len == 0 || pem.len > PEM_FILE_MAX ||
        x509_parse_pem(pem, CHAIN_MAX, &certs) != ERR_OK) {
        return err_set(why, ERR_UNAUTHENTICATED,
                       "the peer's certificate is not readable as PEM");
    }
    enum err err = x509_principal(certs, out, why);
    x509_free_all(&certs);
    return err;
}

/* Puts the file's name before a reason. */
static enum err conf_error(struct errmsg *why, const char *path,
                           const struct errmsg *reason)
{
    return err_set(why, ERR_CONF, "%s: %.*s", path,
                   (int)(sizeof reason->text - 1), reason->text);
}

static enum err check_usage(const X509 *leaf, bool server, const char *path,
                            struct errmsg *why)
{
    if (!x509_has_usage(leaf, OID_USE_TLS_CLIENT) ||
        (server && !x509_has_usage(leaf, OID_USE_TLS_SERVER))) {
        return err_set(why, ERR_CONF,
                       "%s: not a TLS certificate (its extended key usage is "
                       "another); use tls.pem, not sign.pem or seal.pem",
                       path);
    }
    return ERR_OK;
}

static enum err check_key(const X509 *leaf, const char *cert_path,
                          const char *key_path, struct errmsg *why)
{
    struct errmsg reason;
    struct key *key = NULL;
    struct pubkey *pub = NULL;
    enum err err = key_load(&key, key_path, why);
    if (err == ERR_OK && x509_pubkey(leaf, &pub, &reason) != ERR_OK) {
        err = conf_error(why, cert_path, &reason);
    }
    if (err == ERR_OK &&
        !slice_eq(pubkey_spki(pub), pubkey_spki(key_pubkey(key)))) {
        err = err_set(why, ERR_CONF,
                      "%s: not the key of the certificate in %s; put the pair "
                      "that certs/request.sh and certs/sign.sh made together",
                      key_path, cert_path);
    }
    pubkey_free(&pub);
    key_free(&key);
    return err;
}

/* Own chain against the CA file: a node whose peers would all refuse it
 * should learn that at its start, by name. */
static enum err check_chain(STACK_OF(X509) * anchors, STACK_OF(X509) * chain,
                            const char *cert_path, struct errmsg *why)
{
    struct errmsg reason;
    STACK_OF(X509) *path = NULL;
    X509_STORE *store = x509_store_new(anchors);
    if (store == NULL) {
        return err_set(why, ERR_CONF, "%s: cannot use the CA file", cert_path);
    }
    enum err err = x509_verify(store, sk_X509_value(chain, 0), chain,
                               clock_wall_ms(), &path, &reason);
    x509_free_all(&path);
    X509_STORE_free(store);
    return err == ERR_OK ? ERR_OK : conf_error(why, cert_path, &reason);
}

static enum err check_all(struct tls_material *out, STACK_OF(X509) * anchors,
                          STACK_OF(X509) * chain, const char *cert_path,
                          const char *key_path, struct errmsg *why)
{
    struct errmsg reason;
    const X509 *leaf = sk_X509_value(chain, 0);
    if (x509_principal(chain, &out->self, &reason) != ERR_OK) {
        return conf_error(why, cert_path, &reason);
    }
    enum err err =
        check_usage(leaf, out->self.kind == PRINCIPAL_NODE, cert_path, why);
    if (err == ERR_OK) {
        err = check_chain(anchors, chain, cert_path, why);
    }
    if (err == ERR_OK) {
        err = check_key(leaf, cert_path, key_path, why);
    }
    return err;
}

static char *steal_text(struct buf *b)
{
    (void)buf_cstr(b);
    size_t len;
    return (char *)buf_steal(b, &len);
}

enum err tls_material_load(struct tls_material *out, const char *ca_path,
                           const char *cert_path, const char *key_path,
                           struct errmsg *why)
{
    struct buf ca = BUF_INIT;
    struct buf cert = BUF_INIT;
    struct buf key = BUF_INIT;
    STACK_OF(X509) *anchors = NULL;
    STACK_OF(X509) *chain = NULL;
    memset(out, 0, sizeof *out);
    enum err err = x509_load_pem(ca_path, ANCHORS_MAX, &ca, &anchors, why);
    if (err == ERR_OK) {
        err = x509_load_pem(cert_path, CHAIN_MAX, &cert, &chain, why);
    }
    if (err == ERR_OK) {
        err = check_all(out, anchors, chain, cert_path, key_path, why);
    }
    if (err == ERR_OK) {
        err = file_read(key_path, PEM_FILE_MAX, &key, why);
    }
    if (err == ERR_OK) {
        out->ca_pem = steal_text(&ca);
        out->chain_pem = steal_text(&cert);
        out->key_pem = steal_text(&key);
    }
    x509_free_all(&anchors);
    x509_free_all(&chain);
    buf_fini(&ca);
    buf_fini(&cert);
    buf_fini(&key);
    return err;
}

void tls_material_fini(struct tls_material *m)
{
    if (m->key_pem != NULL) {
        mem_wipe(m->key_pem, strlen(m->key_pem));
    }
    mem_free(m->ca_pem);
    mem_free(m->chain_pem);
    mem_free(m->key_pem);
    memset(m, 0, sizeof *m);
}
