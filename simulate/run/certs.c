#include "run/certs.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "ident/ident_oid.h"

enum {
    PATH_LEN = 640,
    TEXT_LEN = 256,
    PEM_MAX = 64 << 10,
    EARLY_S = 600,
    VALID_S = 365 * 86400,
};

/* One hierarchy: SM2 signs and seals in `gm`, all else is ECDSA. */
struct ca {
    X509 *cert;
    EVP_PKEY *key;
    struct buf chain;  /* its certificate, after each leaf */
    struct buf anchor; /* the root */
    const char *file;  /* of the anchor beside a node */
    bool sm;
};

struct certs {
    char federation[FEDERATION_MAX + 1];
    struct ca ca[2]; /* of TLS; of signing and sealing */
};

static const struct use {
    const char *name;
    int ca;
    const char *usage;
    const char *extended;
    const char *hosts;
} uses[] = {
    {"tls", 0, "critical,digitalSignature", "serverAuth,clientAuth",
     ",DNS:localhost,IP:127.0.0.1"},
    {"sign", 1, "critical,digitalSignature", OID_USE_SIGN, ""},
    {"seal", 1, "critical,keyAgreement,keyEncipherment", OID_USE_SEAL, ""},
};

/* ---- the CA ---- */

static enum err read_ca(struct ca *ca, const char *folder, uint64_t province,
                        const char *base, struct errmsg *why)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof path, "%s/%s.pem", folder, base);
    enum err err = file_read(path, PEM_MAX, &ca->anchor, why);
    (void)snprintf(path, sizeof path, "%s/intermediate/%012llu/%s.pem", folder,
                   (unsigned long long)province, base);
    if (err == ERR_OK) {
        err = file_read(path, PEM_MAX, &ca->chain, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    BIO *pem = BIO_new_mem_buf(ca->chain.data, (int)ca->chain.len);
    ca->cert = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    (void)BIO_free(pem);
    (void)snprintf(path, sizeof path, "%s/intermediate/%012llu/%s.key", folder,
                   (unsigned long long)province, base);
    pem = BIO_new_file(path, "r");
    ca->key =
        pem != NULL ? PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL) : NULL;
    (void)BIO_free(pem);
    ca->sm = strcmp(base, "ca") != 0;
    ca->file = ca->sm ? "signing-ca.pem" : "ca.pem";
    return ca->cert != NULL && ca->key != NULL
               ? ERR_OK
               : err_set(why, ERR_CONF, "%s: no key and certificate of a CA",
                         path);
}

enum err certs_open(struct certs **out, const char *folder,
                    const char *federation, const char *suite,
                    uint64_t province, struct errmsg *why)
{
    struct certs *c = MEM_NEW(struct certs);
    bool gm = strcmp(suite, "gm") == 0;
    (void)snprintf(c->federation, sizeof c->federation, "%s", federation);
    enum err err = read_ca(&c->ca[0], folder, province, "ca", why);
    if (err == ERR_OK) {
        err =
            read_ca(&c->ca[1], folder, province, gm ? "signing-ca" : "ca", why);
    }
    *out = c;
    if (err != ERR_OK) {
        certs_close(out);
    }
    return err;
}

void certs_close(struct certs **certs)
{
    for (size_t i = 0; *certs != NULL && i < ARRAY_LEN((*certs)->ca); i++) {
        struct ca *ca = &(*certs)->ca[i];
        X509_free(ca->cert);
        EVP_PKEY_free(ca->key);
        buf_fini(&ca->chain);
        buf_fini(&ca->anchor);
    }
    mem_free(*certs);
    *certs = NULL;
}

/* ---- a certificate ---- */

static bool extend(X509 *leaf, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, leaf, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool good = ext != NULL && X509_add_ext(leaf, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return good;
}

static bool put_name(X509 *leaf, const char *key, const char *value)
{
    return X509_NAME_add_entry_by_txt(
               X509_get_subject_name(leaf), key, MBSTRING_UTF8,
               (const unsigned char *)value, -1, -1, 0) == 1;
}

static bool put_serial(X509 *leaf)
{
    uint64_t serial = 0;
    bool good = RAND_bytes((unsigned char *)&serial, sizeof serial) == 1;
    /* Positive, as RFC 5280 wants it. */
    return good && ASN1_INTEGER_set_uint64(X509_get_serialNumber(leaf),
                                           (serial >> 1) | 1) == 1;
}

/* OpenSSL 3.0 has no default for SM2's signer id (GB/T 35276). */
static bool sign(X509 *leaf, const struct ca *ca)
{
    static const char id[] = "1234567812345678";
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = EVP_PKEY_CTX_new(ca->key, NULL);
    bool good = md != NULL && pkey != NULL;
    if (ca->sm) {
        good = good && EVP_PKEY_CTX_set1_id(pkey, id, sizeof id - 1) == 1;
        EVP_MD_CTX_set_pkey_ctx(md, pkey);
    }
    good = good &&
           EVP_DigestSignInit(md, NULL, ca->sm ? EVP_sm3() : EVP_sha256(), NULL,
                              ca->key) == 1 &&
           X509_sign_ctx(leaf, md) > 0;
    EVP_MD_CTX_free(md);
    EVP_PKEY_CTX_free(pkey);
    return good;
}

static X509 *make_leaf(const struct certs *c, const struct use *use,
                       EVP_PKEY *key, enum tier tier, uint64_t code)
{
    const struct ca *ca = &c->ca[use->ca];
    char common[TEXT_LEN];
    char san[TEXT_LEN];
    X509 *leaf = X509_new();
    (void)snprintf(common, sizeof common, "%s %012llu %s", tier_name(tier),
                   (unsigned long long)code, use->name);
    (void)snprintf(san, sizeof san, "URI:spiffe://%s/%s/%012llu%s",
                   c->federation, tier_name(tier), (unsigned long long)code,
                   use->hosts);
    bool good =
        leaf != NULL && X509_set_version(leaf, X509_VERSION_3) == 1 &&
        put_serial(leaf) && put_name(leaf, "O", c->federation) &&
        put_name(leaf, "CN", common) &&
        X509_set_issuer_name(leaf, X509_get_subject_name(ca->cert)) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(leaf), -EARLY_S) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(leaf), VALID_S) != NULL &&
        X509_set_pubkey(leaf, key) == 1 &&
        extend(leaf, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
        extend(leaf, ca->cert, NID_key_usage, use->usage) &&
        extend(leaf, ca->cert, NID_ext_key_usage, use->extended) &&
        extend(leaf, ca->cert, NID_subject_alt_name, san) &&
        extend(leaf, ca->cert, NID_authority_key_identifier, "keyid") &&
        sign(leaf, ca);
    if (!good) {
        X509_free(leaf);
        leaf = NULL;
    }
    return leaf;
}

/* ---- files ---- */

static FILE *create(const char *folder, const char *name, const char *end)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof path, "%s/%s%s", folder, name, end);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd >= 0 ? fdopen(fd, "w") : NULL;
}

static bool write_buf(const char *folder, const char *name,
                      const struct buf *data)
{
    FILE *file = create(folder, name, "");
    bool good =
        file != NULL && fwrite(data->data, 1, data->len, file) == data->len;
    return file != NULL && fclose(file) == 0 && good;
}

static bool write_key(const char *folder, const char *name, EVP_PKEY *key)
{
    FILE *file = create(folder, name, ".key");
    bool good = file != NULL &&
                PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    return file != NULL && fclose(file) == 0 && good;
}

static bool write_chain(const char *folder, const char *name, X509 *leaf,
                        const struct ca *ca)
{
    FILE *file = create(folder, name, ".pem");
    bool good = file != NULL && PEM_write_X509(file, leaf) == 1 &&
                fwrite(ca->chain.data, 1, ca->chain.len, file) == ca->chain.len;
    return file != NULL && fclose(file) == 0 && good;
}

static bool make_use(const struct certs *c, const struct use *use,
                     const char *out, enum tier tier, uint64_t code)
{
    const struct ca *ca = &c->ca[use->ca];
    EVP_PKEY *key =
        ca->sm ? EVP_PKEY_Q_keygen(NULL, NULL, "SM2") : EVP_EC_gen("P-256");
    X509 *leaf = key != NULL ? make_leaf(c, use, key, tier, code) : NULL;
    bool good = leaf != NULL && write_key(out, use->name, key) &&
                write_chain(out, use->name, leaf, ca);
    X509_free(leaf);
    EVP_PKEY_free(key);
    return good;
}

enum err certs_make(struct certs *certs, const char *out, enum tier tier,
                    uint64_t code, struct errmsg *why)
{
    bool good = mkdir(out, 0700) == 0 || errno == EEXIST;
    for (size_t i = 0; good && i < ARRAY_LEN(uses); i++) {
        good = make_use(certs, &uses[i], out, tier, code);
    }
    for (size_t i = 0; good && i < ARRAY_LEN(certs->ca); i++) {
        good = write_buf(out, certs->ca[i].file, &certs->ca[i].anchor);
    }
    return good ? ERR_OK
                : err_set(why, ERR_IO, "%s: no certificates could be written",
                          out);
}
