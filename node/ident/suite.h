/* suite.h - the cryptographic suite of a federation.
 *
 *          hash, trees  signatures           sealing of values
 *   intl   SHA-256      ECDSA P-256+SHA-256  AES-256-GCM
 *   gm     SM3          SM2-with-SM3         SM4-CTR + HMAC-SM3
 *
 * A federation has one suite for ever; it is chosen when its root document is
 * made. Threads: any; objects are immutable once made. OpenSSL stops here. */
#ifndef IDENT_SUITE_H
#define IDENT_SUITE_H

#include "base/buf.h"

enum suite { SUITE_INTL = 1, SUITE_GM = 2 };

enum {
    HASH_LEN = 32,
    SEAL_KEY_LEN = 32,
    SEAL_NONCE_LEN = 12,         /* intl; gm uses 16 */
    SEAL_OVERHEAD_MAX = 16 + 32, /* nonce and tag, either suite */
    SIGNATURE_MAX = 80,          /* DER ECDSA-Sig-Value, either suite */
    WRAP_MAX = 256,              /* a wrapped seal key */
};

struct hash {
    uint8_t b[HASH_LEN];
};

/* First of all in a program whose libraries have threads that may outlive
 * main(): nothing of theirs is taken away at the end. */
void suite_init(void);

bool hash_eq(const struct hash *a, const struct hash *b);

MUST_USE bool suite_parse(const char *text, enum suite *out);
const char *suite_name(enum suite suite);

void suite_hash(enum suite suite, struct slice data, struct hash *out);
/* RFC 6962 §2.1: H(0x00 || entry) and H(0x01 || left || right). */
void suite_hash_leaf(enum suite suite, struct slice entry, struct hash *out);
void suite_hash_node(enum suite suite, const struct hash *left,
                     const struct hash *right, struct hash *out);
/* HMAC with the suite's hash. */
void suite_mac(enum suite suite, struct slice key, struct slice data,
               struct hash *out);
/* Cryptographic random bytes; ends the process if there are none. */
void suite_random(void *out, size_t len);

/* Appends nonce || ciphertext || tag with a random nonce, so that equal
 * values look different. `aad` is authenticated, not stored. */
void suite_seal(enum suite suite, const uint8_t key[SEAL_KEY_LEN],
                struct slice aad, struct slice plain, struct buf *out);
/* Appends the plain text; ERR_SEALED if key, aad or bytes do not fit. */
MUST_USE enum err suite_unseal(enum suite suite,
                               const uint8_t key[SEAL_KEY_LEN],
                               struct slice aad, struct slice sealed,
                               struct buf *out);

/* A private key on P-256 (intl, TLS) or the SM2 curve (gm). */
struct key;
struct pubkey;
/* PEM file; refused if others may read it. ERR_CONF names what to do. */
MUST_USE enum err key_load(struct key **out, const char *path,
                           struct errmsg *why);
void key_free(struct key **key);
/* Borrowed until key_free(). */
const struct pubkey *key_pubkey(const struct key *key);
/* Appends a DER signature. gm: SM2 with distid "1234567812345678".
 * ERR_INVALID if the key is not one of the suite. */
MUST_USE enum err key_sign(const struct key *key, enum suite suite,
                           struct slice message, struct buf *out);
/* Opens what pubkey_wrap() made for this key. ERR_SEALED. */
MUST_USE enum err key_unwrap(const struct key *key, enum suite suite,
                             struct slice wrapped, struct slice info,
                             uint8_t out[SEAL_KEY_LEN]);

/* A public key, parsed once. SubjectPublicKeyInfo, DER, with an uncompressed
 * point: a key has one form, so its bytes are its name. ERR_INVALID. */
MUST_USE enum err pubkey_from_spki(struct pubkey **out, struct slice der);
/* PEM file ("BEGIN PUBLIC KEY"). ERR_CONF. */
MUST_USE enum err pubkey_load(struct pubkey **out, const char *path,
                              struct errmsg *why);
void pubkey_free(struct pubkey **key);
/* Borrowed until pubkey_free(). */
struct slice pubkey_spki(const struct pubkey *key);
/* The suite whose signatures this key makes. */
enum suite pubkey_suite(const struct pubkey *key);
/* ERR_BAD_SIGNATURE also if the key is not one of the suite. */
MUST_USE enum err pubkey_verify(const struct pubkey *key, enum suite suite,
                                struct slice message, struct slice signature);
/* Appends a seal key wrapped to this public key, bound to `info`. ERR_INVALID
 * if the key is not one of the suite.
 * intl: ephemeral P-256 ECDH, HKDF-SHA-256, AES-256-GCM; gm: SM2 encryption
 * (GB/T 32918.4) of key || SM3(info). */
MUST_USE enum err pubkey_wrap(const struct pubkey *key, enum suite suite,
                              const uint8_t seal_key[SEAL_KEY_LEN],
                              struct slice info, struct buf *out);

#endif
