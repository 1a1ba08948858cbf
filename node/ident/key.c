#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "ident/suite.h"

enum {
    KEY_FILE_MAX = 16384,
    POINT_LEN = 65, /* uncompressed: 04 || x || y */
    SPKI_PREFIX_LEN = 26,
    SPKI_LEN = SPKI_PREFIX_LEN + POINT_LEN,
    KEYS_KEPT = 64,
    WRAP_INTL_LEN = POINT_LEN + SEAL_NONCE_LEN + SEAL_KEY_LEN + 16,
};

struct pubkey {
    EVP_PKEY *pkey;
    enum suite suite;
    uint8_t spki[SPKI_LEN];
};

struct key {
    EVP_PKEY *pkey;
    struct pubkey *pub;
};

/* SEQUENCE { SEQUENCE { ecPublicKey, curve }, BIT STRING … }: the only two
 * beginnings that a key of ours can have. */
static const uint8_t spki_prefix[][SPKI_PREFIX_LEN] = {
    [SUITE_INTL] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                    0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00},
    [SUITE_GM] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                  0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x81, 0x1c,
                  0xcf, 0x55, 0x01, 0x82, 0x2d, 0x03, 0x42, 0x00},
};

/* OpenSSL 3.0 has no default for it; GB/T 35276 names this one. */
static const char sm2_distid[] = "1234567812345678";

/* -- public keys ---------------------------------------------------------- */

static bool spki_suite(struct slice der, enum suite *out)
{
    for (int i = SUITE_INTL; i <= SUITE_GM && der.len == SPKI_LEN; i++) {
        if (memcmp(der.data, spki_prefix[i], SPKI_PREFIX_LEN) == 0) {
            *out = (enum suite)i;
            return true;
        }
    }
    return false;
}

/* Keys decoded last. Decoding takes OpenSSL as long as checking a signature
 * does, and a node meets few keys, again and again: those of its neighbours
 * and of the deciders above. A slot is found by the point. */
static struct {
    pthread_mutex_t lock;
    struct {
        EVP_PKEY *pkey; /* NULL: none; holds a reference */
        /* Set up to check ECDSA signatures by it; NULL: not yet, or in use. */
        EVP_PKEY_CTX *checker;
        uint8_t spki[SPKI_LEN];
    } slot[KEYS_KEPT];
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t kept_slot(const uint8_t *spki)
{
    return be_get32(spki + SPKI_PREFIX_LEN + 1) % KEYS_KEPT;
}

/* A reference, or NULL. */
static EVP_PKEY *kept_find(const uint8_t *spki)
{
    size_t i = kept_slot(spki);
    (void)pthread_mutex_lock(&kept.lock);
    EVP_PKEY *pkey = kept.slot[i].pkey;
    if (pkey != NULL && (memcmp(kept.slot[i].spki, spki, SPKI_LEN) != 0 ||
                         EVP_PKEY_up_ref(pkey) != 1)) {
        pkey = NULL;
    }
    (void)pthread_mutex_unlock(&kept.lock);
    return pkey;
}

static void kept_put(const uint8_t *spki, EVP_PKEY *pkey)
{
    size_t i = kept_slot(spki);
    if (EVP_PKEY_up_ref(pkey) != 1) {
        return;
    }
    (void)pthread_mutex_lock(&kept.lock);
    EVP_PKEY *old = kept.slot[i].pkey;
    EVP_PKEY_CTX *checker = kept.slot[i].checker;
    kept.slot[i].pkey = pkey;
    kept.slot[i].checker = NULL;
    memcpy(kept.slot[i].spki, spki, SPKI_LEN);
    (void)pthread_mutex_unlock(&kept.lock);
    EVP_PKEY_CTX_free(checker);
    EVP_PKEY_free(old);
}

/* Owned; NULL: the point is not on the curve. */
static EVP_PKEY *decode(struct slice der)
{
    const unsigned char *at = der.data;
    EVP_PKEY *pkey = kept_find(der.data);
    if (pkey != NULL) {
        return pkey;
    }
    pkey = d2i_PUBKEY(NULL, &at, (long)der.len);
    if (pkey != NULL) {
        kept_put(der.data, pkey);
    } else {
        ERR_clear_error();
    }
    return pkey;
}

enum err pubkey_from_spki(struct pubkey **out, struct slice der)
{
    enum suite suite = SUITE_INTL;
    *out = NULL;
    if (!spki_suite(der, &suite)) {
        return ERR_INVALID;
    }
    EVP_PKEY *pkey = decode(der);
    if (pkey == NULL) {
        return ERR_INVALID;
    }
    struct pubkey *key = MEM_NEW(struct pubkey);
    key->pkey = pkey;
    key->suite = suite;
    memcpy(key->spki, der.data, SPKI_LEN);
    *out = key;
    return ERR_OK;
}

void pubkey_free(struct pubkey **key)
{
    if (*key != NULL) {
        EVP_PKEY_free((*key)->pkey);
        mem_free(*key);
        *key = NULL;
    }
}

struct slice pubkey_spki(const struct pubkey *key)
{
    return slice_of(key->spki, SPKI_LEN);
}

enum suite pubkey_suite(const struct pubkey *key)
{
    return key->suite;
}

/* Owned. NULL: OpenSSL failed. */
static EVP_PKEY_CTX *checker_new(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (ctx != NULL && EVP_PKEY_verify_init(ctx) != 1) {
        EVP_PKEY_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* The caller's until checker_give(). */
static EVP_PKEY_CTX *checker_take(const struct pubkey *key)
{
    size_t i = kept_slot(key->spki);
    EVP_PKEY_CTX *ctx = NULL;
    (void)pthread_mutex_lock(&kept.lock);
    if (kept.slot[i].pkey == key->pkey) {
        ctx = kept.slot[i].checker;
        kept.slot[i].checker = NULL;
    }
    (void)pthread_mutex_unlock(&kept.lock);
    return ctx != NULL ? ctx : checker_new(key->pkey);
}

static void checker_give(const struct pubkey *key, EVP_PKEY_CTX *ctx)
{
    size_t i = kept_slot(key->spki);
    (void)pthread_mutex_lock(&kept.lock);
    if (kept.slot[i].pkey == key->pkey && kept.slot[i].checker == NULL) {
        kept.slot[i].checker = ctx;
        ctx = NULL;
    }
    (void)pthread_mutex_unlock(&kept.lock);
    EVP_PKEY_CTX_free(ctx);
}

static bool verify_ecdsa(const struct pubkey *key, struct slice message,
                         struct slice signature)
{
    struct hash digest;
    suite_hash(SUITE_INTL, message, &digest);
    EVP_PKEY_CTX *ctx = checker_take(key);
    bool ok = ctx != NULL && EVP_PKEY_verify(ctx, signature.data, signature.len,
                                             digest.b, HASH_LEN) == 1;
    checker_give(key, ctx);
    return ok;
}

/* A context for one SM2 signature, `sign` or verify. SM2 signs the hash of
 * (distid, public key, message), so the digest is part of the operation. The
 * id is set behind the init: some releases of OpenSSL 3.0 refuse it there. */
static EVP_MD_CTX *sm2_start(EVP_PKEY *pkey, bool sign)
{
    char distid[sizeof sm2_distid];
    memcpy(distid, sm2_distid, sizeof distid);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_DIST_ID, distid,
                                          sizeof distid - 1),
        OSSL_PARAM_construct_end()};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL; /* ctx owns it */
    int ok =
        sign ? EVP_DigestSignInit_ex(ctx, &pctx, "SM3", NULL, NULL, pkey, NULL)
             : EVP_DigestVerifyInit_ex(ctx, &pctx, "SM3", NULL, NULL, pkey,
                                       NULL);
    if (ok != 1 || EVP_PKEY_CTX_set_params(pctx, params) != 1) {
        EVP_MD_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static bool verify_sm2(const struct pubkey *key, struct slice message,
                       struct slice signature)
{
    EVP_MD_CTX *ctx = sm2_start(key->pkey, false);
    bool ok =
        ctx != NULL && EVP_DigestVerify(ctx, signature.data, signature.len,
                                        message.data, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

enum err pubkey_verify(const struct pubkey *key, enum suite suite,
                       struct slice message, struct slice signature)
{
    if (key->suite != suite || signature.len > SIGNATURE_MAX) {
        return ERR_BAD_SIGNATURE;
    }
    bool ok = suite == SUITE_GM ? verify_sm2(key, message, signature)
                                : verify_ecdsa(key, message, signature);
    if (!ok) {
        ERR_clear_error();
    }
    return ok ? ERR_OK : ERR_BAD_SIGNATURE;
}

static struct pubkey *public_half(EVP_PKEY *pkey)
{
    struct pubkey *pub = NULL;
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(pkey, &der);
    if (len > 0 &&
        pubkey_from_spki(&pub, slice_of(der, (size_t)len)) != ERR_OK) {
        pub = NULL;
    }
    OPENSSL_free(der);
    return pub;
}

enum err pubkey_load(struct pubkey **out, const char *path, struct errmsg *why)
{
    struct buf pem = BUF_INIT;
    *out = NULL;
    enum err err = file_read(path, KEY_FILE_MAX, &pem, why);
    if (err == ERR_OK) {
        BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
        EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        *out = pkey != NULL ? public_half(pkey) : NULL;
        EVP_PKEY_free(pkey);
        BIO_free(bio);
        ERR_clear_error();
        if (*out == NULL) {
            err = err_set(why, ERR_CONF,
                          "%s: not a public key in PEM on P-256 or the SM2 "
                          "curve; make it with: openssl pkey -in KEY -pubout",
                          path);
        }
    }
    buf_fini(&pem);
    return err == ERR_OK ? ERR_OK : ERR_CONF;
}

/* -- private keys --------------------------------------------------------- */

/* Keys must open without a person: an encrypted one is refused, never asked
 * for on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf, (void)size, (void)writing, (void)ctx;
    return -1;
}

static EVP_PKEY *parse_private(struct slice pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return pkey;
}

static enum err key_parse(struct key **out, const char *path, struct slice pem,
                          struct errmsg *why)
{
    EVP_PKEY *pkey = parse_private(pem);
    if (pkey == NULL) {
        return err_set(why, ERR_CONF,
                       "%s: not a private key in PEM without passphrase; make "
                       "one with certs/request.sh",
                       path);
    }
    struct pubkey *pub = public_half(pkey);
    if (pub == NULL) {
        EVP_PKEY_free(pkey);
        return err_set(why, ERR_CONF,
                       "%s: neither a P-256 nor an SM2 key; make one with "
                       "certs/request.sh",
                       path);
    }
    struct key *key = MEM_NEW(struct key);
    key->pkey = pkey;
    key->pub = pub;
    *out = key;
    return ERR_OK;
}

enum err key_load(struct key **out, const char *path, struct errmsg *why)
{
    struct buf pem = BUF_INIT;
    *out = NULL;
    enum err err = file_check_private(path, why);
    if (err == ERR_OK) {
        err = file_read(path, KEY_FILE_MAX, &pem, why);
    }
    if (err == ERR_OK) {
        err = key_parse(out, path, buf_slice(&pem), why);
    }
    if (pem.cap > 0) {
        mem_wipe(pem.data, pem.cap);
    }
    buf_fini(&pem);
    return err == ERR_OK ? ERR_OK : ERR_CONF;
}

void key_free(struct key **key)
{
    if (*key != NULL) {
        pubkey_free(&(*key)->pub);
        EVP_PKEY_free((*key)->pkey);
        mem_free(*key);
        *key = NULL;
    }
}

const struct pubkey *key_pubkey(const struct key *key)
{
    return key->pub;
}

static bool sign_ecdsa(const struct key *key, struct slice message,
                       uint8_t *out, size_t *len)
{
    struct hash digest;
    suite_hash(SUITE_INTL, message, &digest);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
              EVP_PKEY_sign(ctx, out, len, digest.b, HASH_LEN) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bool sign_sm2(const struct key *key, struct slice message, uint8_t *out,
                     size_t *len)
{
    EVP_MD_CTX *ctx = sm2_start(key->pkey, true);
    bool ok = ctx != NULL &&
              EVP_DigestSign(ctx, out, len, message.data, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

enum err key_sign(const struct key *key, enum suite suite, struct slice message,
                  struct buf *out)
{
    if (key->pub->suite != suite) {
        return ERR_INVALID;
    }
    uint8_t *at = buf_reserve(out, SIGNATURE_MAX);
    size_t len = SIGNATURE_MAX;
    bool ok = suite == SUITE_GM ? sign_sm2(key, message, at, &len)
                                : sign_ecdsa(key, message, at, &len);
    if (!ok) {
        ERR_clear_error();
        return ERR_BUG;
    }
    out->len += len;
    return ERR_OK;
}

/* -- wrapping: intl ------------------------------------------------------- */

/* HKDF-SHA-256 (RFC 5869, no salt, one block) of an ECDH secret; both public
 * points and `info` are bound in. */
static void wrap_key(struct slice secret, const uint8_t *ephemeral,
                     const uint8_t *recipient, struct slice info,
                     struct hash *out)
{
    static const uint8_t salt[HASH_LEN];
    struct buf text = BUF_INIT;
    struct hash prk;
    suite_mac(SUITE_INTL, slice_of(salt, sizeof salt), secret, &prk);
    buf_put_str(&text, "creditnode wrap 1");
    buf_put(&text, ephemeral, POINT_LEN);
    buf_put(&text, recipient, POINT_LEN);
    buf_put_slice(&text, info);
    buf_put_u8(&text, 1);
    suite_mac(SUITE_INTL, slice_of(prk.b, HASH_LEN), buf_slice(&text), out);
    mem_wipe(&prk, sizeof prk);
    buf_fini(&text);
}

static bool ecdh(EVP_PKEY *own, EVP_PKEY *peer, uint8_t out[HASH_LEN])
{
    size_t len = HASH_LEN;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    bool ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
              EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
              EVP_PKEY_derive(ctx, out, &len) == 1 && len == HASH_LEN;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bool wrap_intl(const struct pubkey *key,
                      const uint8_t seal_key[SEAL_KEY_LEN], struct slice info,
                      struct buf *out)
{
    uint8_t secret[HASH_LEN];
    struct hash kek;
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    struct pubkey *eph = pkey != NULL ? public_half(pkey) : NULL;
    bool ok = eph != NULL && ecdh(pkey, key->pkey, secret);
    if (ok) {
        const uint8_t *point = eph->spki + SPKI_PREFIX_LEN;
        wrap_key(slice_of(secret, sizeof secret), point,
                 key->spki + SPKI_PREFIX_LEN, info, &kek);
        buf_put(out, point, POINT_LEN);
        suite_seal(SUITE_INTL, kek.b, info, slice_of(seal_key, SEAL_KEY_LEN),
                   out);
        mem_wipe(secret, sizeof secret);
        mem_wipe(&kek, sizeof kek);
    }
    pubkey_free(&eph);
    EVP_PKEY_free(pkey);
    return ok;
}

static bool unwrap_intl(const struct key *key, struct slice wrapped,
                        struct slice info, struct buf *out)
{
    uint8_t spki[SPKI_LEN];
    uint8_t secret[HASH_LEN];
    struct hash kek;
    struct pubkey *eph = NULL;
    if (wrapped.len != WRAP_INTL_LEN) {
        return false;
    }
    memcpy(spki, spki_prefix[SUITE_INTL], SPKI_PREFIX_LEN);
    memcpy(spki + SPKI_PREFIX_LEN, wrapped.data, POINT_LEN);
    bool ok = pubkey_from_spki(&eph, slice_of(spki, SPKI_LEN)) == ERR_OK &&
              ecdh(key->pkey, eph->pkey, secret);
    if (ok) {
        wrap_key(slice_of(secret, sizeof secret), wrapped.data,
                 key->pub->spki + SPKI_PREFIX_LEN, info, &kek);
        ok = suite_unseal(
                 SUITE_INTL, kek.b, info,
                 slice_of(wrapped.data + POINT_LEN, wrapped.len - POINT_LEN),
                 out) == ERR_OK;
        mem_wipe(secret, sizeof secret);
        mem_wipe(&kek, sizeof kek);
    }
    pubkey_free(&eph);
    return ok;
}

/* -- wrapping: gm --------------------------------------------------------- */

static bool wrap_gm(const struct pubkey *key,
                    const uint8_t seal_key[SEAL_KEY_LEN], struct slice info,
                    struct buf *out)
{
    uint8_t plain[SEAL_KEY_LEN + HASH_LEN];
    struct hash bound;
    suite_hash(SUITE_GM, info, &bound);
    memcpy(plain, seal_key, SEAL_KEY_LEN);
    memcpy(plain + SEAL_KEY_LEN, bound.b, HASH_LEN);
    size_t len = WRAP_MAX;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
              EVP_PKEY_encrypt(ctx, buf_reserve(out, WRAP_MAX), &len, plain,
                               sizeof plain) == 1;
    EVP_PKEY_CTX_free(ctx);
    mem_wipe(plain, sizeof plain);
    out->len += ok ? len : 0;
    return ok;
}

static bool unwrap_gm(const struct key *key, struct slice wrapped,
                      struct slice info, struct buf *out)
{
    uint8_t plain[WRAP_MAX];
    struct hash bound;
    size_t len = sizeof plain;
    if (wrapped.len > WRAP_MAX) {
        return false;
    }
    suite_hash(SUITE_GM, info, &bound);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    bool ok =
        ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 &&
        EVP_PKEY_decrypt(ctx, plain, &len, wrapped.data, wrapped.len) == 1 &&
        len == SEAL_KEY_LEN + HASH_LEN &&
        CRYPTO_memcmp(plain + SEAL_KEY_LEN, bound.b, HASH_LEN) == 0;
    EVP_PKEY_CTX_free(ctx);
    if (ok) {
        buf_put(out, plain, SEAL_KEY_LEN);
    }
    mem_wipe(plain, sizeof plain);
    return ok;
}

enum err key_unwrap(const struct key *key, enum suite suite,
                    struct slice wrapped, struct slice info,
                    uint8_t out[SEAL_KEY_LEN])
{
    struct buf plain = BUF_INIT;
    if (key->pub->suite != suite) {
        return ERR_SEALED;
    }
    bool ok = suite == SUITE_GM ? unwrap_gm(key, wrapped, info, &plain)
                                : unwrap_intl(key, wrapped, info, &plain);
    if (ok) {
        assert(plain.len == SEAL_KEY_LEN);
        memcpy(out, plain.data, SEAL_KEY_LEN);
        mem_wipe(plain.data, plain.len);
    } else {
        ERR_clear_error();
    }
    buf_fini(&plain);
    return ok ? ERR_OK : ERR_SEALED;
}

enum err pubkey_wrap(const struct pubkey *key, enum suite suite,
                     const uint8_t seal_key[SEAL_KEY_LEN], struct slice info,
                     struct buf *out)
{
    if (key->suite != suite) {
        return ERR_INVALID;
    }
    bool ok = suite == SUITE_GM ? wrap_gm(key, seal_key, info, out)
                                : wrap_intl(key, seal_key, info, out);
    if (!ok) {
        ERR_clear_error();
    }
    return ok ? ERR_OK : ERR_BUG;
}
