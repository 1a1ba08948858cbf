#include "ident/suite.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    SUITES = SUITE_GM + 1,
    GCM_TAG_LEN = 16,
    MAC_BLOCK = 64, /* of either hash */
};

/* Writes nonce || body || tag; the nonce is in `out` already. */
typedef void seal_fn(const uint8_t key[SEAL_KEY_LEN], struct slice aad,
                     struct slice plain, uint8_t *out);
/* Plain text to `out`; false if the tag does not fit. */
typedef bool unseal_fn(const uint8_t key[SEAL_KEY_LEN], struct slice aad,
                       struct slice sealed, uint8_t *out);

static seal_fn seal_gcm;
static seal_fn seal_sm4;
static unseal_fn unseal_gcm;
static unseal_fn unseal_sm4;

static const struct {
    const char *name;
    const char *md;
    const char *cipher;
    size_t nonce_len;
    size_t tag_len;
    seal_fn *seal;
    unseal_fn *unseal;
} suites[SUITES] = {
    [SUITE_INTL] = {"intl", "SHA256", "AES-256-GCM", SEAL_NONCE_LEN,
                    GCM_TAG_LEN, seal_gcm, unseal_gcm},
    [SUITE_GM] = {"gm", "SM3", "SM4-CTR", 16, HASH_LEN, seal_sm4, unseal_sm4},
};

/* Fetching an algorithm costs more than hashing a record, so each thread keeps
 * contexts that were set up once. */
struct contexts {
    EVP_MD_CTX *md[SUITES];
    EVP_CIPHER_CTX *cipher[SUITES];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static EVP_CIPHER *ciphers[SUITES];
static _Thread_local struct contexts *mine;

/* OpenSSL can fail here only if it is broken or has no memory: neither is
 * something a caller could mend. */
static void must(bool ok, const char *what)
{
    if (!ok) {
        log_error(NULL, "IDENT-CRYPTO", "what=\"%s\" openssl=\"%s\"", what,
                  OpenSSL_version(OPENSSL_VERSION));
        abort();
    }
}

static void contexts_free(void *ctx)
{
    struct contexts *c = ctx;
    for (int i = SUITE_INTL; i < SUITES; i++) {
        EVP_MD_CTX_free(c->md[i]);
        EVP_CIPHER_CTX_free(c->cipher[i]);
    }
    mem_free(c);
    mine = NULL;
}

static void start(void)
{
    for (int i = SUITE_INTL; i < SUITES; i++) {
        ciphers[i] = EVP_CIPHER_fetch(NULL, suites[i].cipher, NULL);
        must(ciphers[i] != NULL, suites[i].cipher);
    }
    must(pthread_key_create(&exit_key, contexts_free) == 0, "thread key");
}

static EVP_MD_CTX *md_ctx_new(const char *name)
{
    EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(md != NULL && ctx != NULL && EVP_DigestInit_ex2(ctx, md, NULL) == 1,
         name);
    EVP_MD_free(md);
    return ctx;
}

static struct contexts *contexts_new(void)
{
    struct contexts *c = MEM_NEW(struct contexts);
    (void)pthread_once(&once, start);
    for (int i = SUITE_INTL; i < SUITES; i++) {
        c->md[i] = md_ctx_new(suites[i].md);
        c->cipher[i] = EVP_CIPHER_CTX_new();
        must(c->cipher[i] != NULL, suites[i].cipher);
    }
    must(pthread_setspecific(exit_key, c) == 0, "thread key");
    return c;
}

static inline struct contexts *contexts(void)
{
    if (mine == NULL) {
        mine = contexts_new();
    }
    return mine;
}

/* By itself OpenSSL takes its thread-local data down when the program ends,
 * and a thread of gRPC that is still there then loses what it has in them. */
void suite_init(void)
{
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

bool hash_eq(const struct hash *a, const struct hash *b)
{
    return CRYPTO_memcmp(a->b, b->b, HASH_LEN) == 0;
}

bool suite_parse(const char *text, enum suite *out)
{
    for (int i = SUITE_INTL; i < SUITES; i++) {
        if (strcmp(text, suites[i].name) == 0) {
            *out = (enum suite)i;
            return true;
        }
    }
    return false;
}

const char *suite_name(enum suite suite)
{
    return suites[suite].name;
}

/* Hashes `a` and then `b`. */
static void hash_two(enum suite suite, struct slice a, struct slice b,
                     struct hash *out)
{
    EVP_MD_CTX *ctx = contexts()->md[suite];
    bool ok = EVP_DigestInit_ex2(ctx, NULL, NULL) == 1 &&
              EVP_DigestUpdate(ctx, a.data, a.len) == 1 &&
              (b.len == 0 || EVP_DigestUpdate(ctx, b.data, b.len) == 1) &&
              EVP_DigestFinal_ex(ctx, out->b, NULL) == 1;
    must(ok, suites[suite].md);
}

void suite_hash(enum suite suite, struct slice data, struct hash *out)
{
    hash_two(suite, data, (struct slice){NULL, 0}, out);
}

void suite_hash_leaf(enum suite suite, struct slice entry, struct hash *out)
{
    static const uint8_t prefix = 0;
    hash_two(suite, slice_of(&prefix, 1), entry, out);
}

void suite_hash_node(enum suite suite, const struct hash *left,
                     const struct hash *right, struct hash *out)
{
    uint8_t joined[1 + 2 * HASH_LEN];
    joined[0] = 1;
    memcpy(joined + 1, left->b, HASH_LEN);
    memcpy(joined + 1 + HASH_LEN, right->b, HASH_LEN);
    suite_hash(suite, slice_of(joined, sizeof joined), out);
}

static bool hash_begin(EVP_MD_CTX *ctx, const uint8_t *pad)
{
    return EVP_DigestInit_ex2(ctx, NULL, NULL) == 1 &&
           EVP_DigestUpdate(ctx, pad, MAC_BLOCK) == 1;
}

static void xor_pad(uint8_t pad[MAC_BLOCK], uint8_t with)
{
    for (size_t i = 0; i < MAC_BLOCK; i++) {
        pad[i] ^= with;
    }
}

/* HMAC over the parts in order: RFC 2104, from the two hashes it is made of.
 * The library's own makes and frees three contexts for each call, which costs
 * as much as hashing the content of a record. */
static void mac_parts(enum suite suite, struct slice key,
                      const struct slice *parts, size_t count, uint8_t *out)
{
    enum { INNER = 0x36, OUTER = 0x5c };
    EVP_MD_CTX *ctx = contexts()->md[suite];
    uint8_t pad[MAC_BLOCK] = {0};
    struct hash inner;
    if (key.len > MAC_BLOCK) {
        suite_hash(suite, key, &inner);
        memcpy(pad, inner.b, HASH_LEN);
    } else if (key.len > 0) {
        memcpy(pad, key.data, key.len);
    }
    xor_pad(pad, INNER);
    bool ok = hash_begin(ctx, pad);
    for (size_t i = 0; i < count; i++) {
        ok = ok && (parts[i].len == 0 ||
                    EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1);
    }
    ok = ok && EVP_DigestFinal_ex(ctx, inner.b, NULL) == 1;
    xor_pad(pad, INNER ^ OUTER);
    ok = ok && hash_begin(ctx, pad) &&
         EVP_DigestUpdate(ctx, inner.b, HASH_LEN) == 1 &&
         EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    must(ok, "HMAC");
    mem_wipe(pad, sizeof pad);
    mem_wipe(&inner, sizeof inner);
}

void suite_mac(enum suite suite, struct slice key, struct slice data,
               struct hash *out)
{
    mac_parts(suite, key, &data, 1, out->b);
}

void suite_random(void *out, size_t len)
{
    assert(len <= INT_MAX);
    must(RAND_bytes(out, (int)len) == 1, "random bytes");
}

static EVP_CIPHER_CTX *cipher_start(enum suite suite, const uint8_t *key,
                                    const uint8_t *nonce, bool encrypt)
{
    EVP_CIPHER_CTX *ctx = contexts()->cipher[suite];
    must(EVP_CipherInit_ex2(ctx, ciphers[suite], key, nonce, encrypt, NULL) ==
             1,
         suites[suite].cipher);
    return ctx;
}

/* `out` NULL feeds additional data. */
static void cipher_feed(EVP_CIPHER_CTX *ctx, struct slice in, uint8_t *out)
{
    int len = 0;
    must(in.len <= INT_MAX, "sealed value above 2 GiB");
    must(in.len == 0 ||
             EVP_CipherUpdate(ctx, out, &len, in.data, (int)in.len) == 1,
         "cipher");
}

static void seal_gcm(const uint8_t key[SEAL_KEY_LEN], struct slice aad,
                     struct slice plain, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = cipher_start(SUITE_INTL, key, out, true);
    uint8_t *body = out + SEAL_NONCE_LEN;
    uint8_t *tag = body + plain.len;
    int len = 0;
    cipher_feed(ctx, aad, NULL);
    cipher_feed(ctx, plain, body);
    must(EVP_CipherFinal_ex(ctx, tag, &len) == 1 &&
             EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN,
                                 tag) == 1,
         "AES-256-GCM");
}

static bool unseal_gcm(const uint8_t key[SEAL_KEY_LEN], struct slice aad,
                       struct slice sealed, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = cipher_start(SUITE_INTL, key, sealed.data, false);
    struct slice body = slice_of(sealed.data + SEAL_NONCE_LEN,
                                 sealed.len - SEAL_NONCE_LEN - GCM_TAG_LEN);
    uint8_t tag[GCM_TAG_LEN];
    uint8_t rest[GCM_TAG_LEN];
    int len = 0;
    memcpy(tag, body.data + body.len, sizeof tag);
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, tag) == 1,
         "AES-256-GCM");
    cipher_feed(ctx, aad, NULL);
    cipher_feed(ctx, body, out);
    return EVP_CipherFinal_ex(ctx, rest, &len) == 1;
}

/* Encrypt-then-MAC. SM4 takes the first half of the key; the key of the MAC
 * comes from all of it, so that a key wrong in any bit is refused. The length
 * of the additional data ends the input: no byte can move between the parts. */
static void sm4_tag(const uint8_t key[SEAL_KEY_LEN], struct slice aad,
                    struct slice nonce_and_body, uint8_t *tag)
{
    static const char label[] = "creditnode seal mac";
    struct hash mac_key;
    uint8_t aad_len[8];
    be_put64(aad_len, aad.len);
    const struct slice parts[] = {aad, nonce_and_body,
                                  slice_of(aad_len, sizeof aad_len)};
    suite_mac(SUITE_GM, slice_of(key, SEAL_KEY_LEN), slice_str(label),
              &mac_key);
    mac_parts(SUITE_GM, slice_of(mac_key.b, HASH_LEN), parts, ARRAY_LEN(parts),
              tag);
    mem_wipe(&mac_key, sizeof mac_key);
}

static void seal_sm4(const uint8_t key[SEAL_KEY_LEN], struct slice aad,
                     struct slice plain, uint8_t *out)
{
    size_t nonce_len = suites[SUITE_GM].nonce_len;
    EVP_CIPHER_CTX *ctx = cipher_start(SUITE_GM, key, out, true);
    cipher_feed(ctx, plain, out + nonce_len);
    sm4_tag(key, aad, slice_of(out, nonce_len + plain.len),
            out + nonce_len + plain.len);
}

static bool unseal_sm4(const uint8_t key[SEAL_KEY_LEN], struct slice aad,
                       struct slice sealed, uint8_t *out)
{
    size_t nonce_len = suites[SUITE_GM].nonce_len;
    size_t len = sealed.len - HASH_LEN;
    uint8_t tag[HASH_LEN];
    sm4_tag(key, aad, slice_of(sealed.data, len), tag);
    if (CRYPTO_memcmp(tag, sealed.data + len, HASH_LEN) != 0) {
        return false;
    }
    EVP_CIPHER_CTX *ctx = cipher_start(SUITE_GM, key, sealed.data, false);
    cipher_feed(ctx, slice_of(sealed.data + nonce_len, len - nonce_len), out);
    return true;
}

void suite_seal(enum suite suite, const uint8_t key[SEAL_KEY_LEN],
                struct slice aad, struct slice plain, struct buf *out)
{
    size_t len = suites[suite].nonce_len + plain.len + suites[suite].tag_len;
    uint8_t *at = buf_reserve(out, len);
    suite_random(at, suites[suite].nonce_len);
    suites[suite].seal(key, aad, plain, at);
    out->len += len;
}

enum err suite_unseal(enum suite suite, const uint8_t key[SEAL_KEY_LEN],
                      struct slice aad, struct slice sealed, struct buf *out)
{
    size_t overhead = suites[suite].nonce_len + suites[suite].tag_len;
    if (sealed.len < overhead) {
        return ERR_SEALED;
    }
    size_t len = sealed.len - overhead;
    uint8_t *at = buf_reserve(out, len + 1); /* never NULL */
    if (!suites[suite].unseal(key, aad, sealed, at)) {
        mem_wipe(at, len);
        return ERR_SEALED;
    }
    out->len += len;
    return ERR_OK;
}
