/* ident.h - who a node is and who its peers are.
 *
 * A node's name is the SPIFFE ID spiffe://<federation>/<tier>/<node code>, the
 * only URI SAN of its certificates. A node has three certificates, told apart
 * by extended key usage: TLS (serverAuth + clientAuth), signing and sealing
 * (OIDs in ident_oid.h). An app or operator has one, spiffe://<federation>/
 * app/<name> or /operator/<name>. The CA proves who a node is, nothing more:
 * what it may do is decided by the caller.
 *
 * Threads: objects are immutable once made, except struct trust, which takes
 * its own lock. */
#ifndef IDENT_IDENT_H
#define IDENT_IDENT_H

#include "ident/suite.h"

/* GB/T 12404 codes of administrative tiers. Tier is an attribute of a node,
 * not its depth. */
enum tier {
    TIER_NONE = 0, /* apps and operators */
    TIER_NATIONAL = 10,
    TIER_PROVINCE = 20,
    TIER_CITY = 40,
    TIER_COUNTY = 50,
    TIER_TOWNSHIP = 60,
    TIER_VILLAGE = 70,
};

enum principal_kind { PRINCIPAL_NODE, PRINCIPAL_APP, PRINCIPAL_OPERATOR };

enum {
    FEDERATION_MAX = 63, /* bytes of a federation name */
    CODE_LEN = 12,       /* digits of a node code */
    CERT_CHAIN_MAX = 8192,
};

struct principal {
    enum principal_kind kind;
    char federation[FEDERATION_MAX + 1];
    enum tier tier;          /* nodes */
    uint64_t code;           /* nodes: the 12-digit division code as a number */
    char name[64];           /* apps and operators */
    uint8_t fingerprint[32]; /* SHA-256 of the leaf certificate, DER */
    uint8_t key_id[32];      /* SHA-256 of its public key (SPKI), DER */
    int64_t not_after_ms;
};

/* Exactly 12 digits. */
MUST_USE bool code_parse(const char *text, uint64_t *out);
void code_format(uint64_t code, char out[CODE_LEN + 1]);
MUST_USE bool tier_parse(const char *text, enum tier *out);
const char *tier_name(enum tier tier);    /* "village" */
const char *tier_name_zh(enum tier tier); /* "村" */

/* Fills kind, federation, tier, code, name from a SPIFFE ID. ERR_INVALID. */
MUST_USE enum err principal_parse(const char *spiffe, struct principal *out);
/* The SPIFFE ID into `out` (at least 160 bytes). */
void principal_format(const struct principal *p, char *out, size_t len);

/* ERR_UNAUTHENTICATED if `p` is of another federation. */
MUST_USE enum err principal_check_federation(const struct principal *p,
                                             const char *federation,
                                             struct errmsg *why);

/* PEM leaf certificate as gRPC hands it over: name, fingerprint, dates. The
 * chain was checked by TLS. ERR_UNAUTHENTICATED with the reason. */
MUST_USE enum err principal_from_pem(struct slice pem, struct principal *out,
                                     struct errmsg *why);

/* What a listener or dialler needs for TLS, read and checked as a whole: key
 * fits certificate, certificate names `self`, leads to a CA of `ca_pem`, is
 * valid now, usage fits. Every failure is ERR_CONF. */
struct tls_material {
    char *ca_pem;    /* trust anchors of the peers */
    char *chain_pem; /* leaf first */
    char *key_pem;
    struct principal self;
};
MUST_USE enum err tls_material_load(struct tls_material *out,
                                    const char *ca_path, const char *cert_path,
                                    const char *key_path, struct errmsg *why);
void tls_material_fini(struct tls_material *m);

/* Verifies signing and sealing certificates to the federation's CA and knows
 * revoked ones. */
struct trust;
MUST_USE enum err trust_open(struct trust **out, enum suite suite,
                             const char *federation, const char *ca_path,
                             const char *revoked_path, /* may be NULL */
                             struct errmsg *why);
void trust_free(struct trust **trust);
/* Where the next trust_reload() finds the revocation file; NULL: none is to be
 * read. From the thread that reloads. */
void trust_set_revoked(struct trust *trust, const char *path);
/* Reads the CA and revocation files again; on error the old ones stay. */
MUST_USE enum err trust_reload(struct trust *trust, struct errmsg *why);
/* Another number behind each trust_reload(): what was checked before it may
 * have been revoked since. */
uint64_t trust_generation(struct trust *trust);
enum suite trust_suite(const struct trust *trust);
const char *trust_federation(const struct trust *trust);
/* True if the certificate with this SHA-256 fingerprint was revoked. */
bool trust_is_revoked(struct trust *trust, const uint8_t fingerprint[32]);

enum cert_use { CERT_USE_SIGN, CERT_USE_SEAL };
/* A checked certificate of another node: its public key and name. */
struct cert;
/* `chain` is DER certificates, each behind its u32 length, leaf first,
 * ≤ CERT_CHAIN_MAX. `at_ms` is the time at which it must be valid (0: any
 * time: an old signature under a newer checkpoint). ERR_UNAUTHENTICATED names
 * the reason: unknown CA, expired, revoked, wrong use, other federation. */
MUST_USE enum err trust_check(struct trust *trust, struct slice chain,
                              enum cert_use use, int64_t at_ms,
                              struct cert **out, struct errmsg *why);
void cert_free(struct cert **cert);
const struct principal *cert_principal(const struct cert *cert);
const struct pubkey *cert_pubkey(const struct cert *cert);
/* SHA-256 of the public key (SubjectPublicKeyInfo, DER). */
const uint8_t *cert_key_id(const struct cert *cert);

/* This node's signing or sealing identity: key and chain in the wire form of
 * trust_check(), checked to fit each other and `trust`. */
struct identity {
    struct key *key;
    struct cert *cert;
    struct buf chain;
};
MUST_USE enum err identity_load(struct identity *out, struct trust *trust,
                                enum cert_use use, const char *cert_path,
                                const char *key_path, struct errmsg *why);
void identity_fini(struct identity *id);

#endif
