/* rootdoc.h - the root document: who may say what in a federation.
 *
 * The CA proves who a node is; this file says who may issue directives, whose
 * decision that takes, and which CAs count. Each node's configuration names
 * the hash of version 1; each later version names the one before and is signed
 * for both (rootchain.h). One `key value` a line, in this order, LF only; lines
 * that begin with # and empty ones are skipped (but hashed):
 *
 *   creditnode-root 1               form of the file
 *   federation xuancheng.credit
 *   suite intl
 *   version 2                       of the document
 *   previous <sha-256 hex>          hash of the version before; 1: none
 *   ca <sha-256 hex>                of a CA certificate (DER); one or more
 *   issuer <node code> <k> <n>      may issue directives by k of n deciders
 *   decider <key id hex> <name>     n of them behind their issuer
 *   replaces <inc> <size> <root>    what former deciders signed counts so far
 *   signature <key> <signature>     base64: SubjectPublicKeyInfo and DER
 *
 * The text is what stands before the first signature line: it is what is hashed
 * and signed, so that who signed does not change the name of a version. Version
 * 1 has no signatures. The deciders of the first issuer are the document's
 * keepers: by k of them it changes.
 *
 * Where an issuer's deciders or threshold are others than in the version
 * before, `replaces` lines say up to where what was signed by the former ones
 * counts: of the directives log with this incarnation (16 hex digits), the
 * first `size` entries, whose tree has this root. What comes behind, and logs
 * that no line names, are judged by the deciders of this version on.
 *
 * Threads: immutable once made. */
#ifndef IDENT_ROOTDOC_H
#define IDENT_ROOTDOC_H

#include "ident/suite.h"

enum {
    ROOTDOC_FILE_MAX = 262144,
    ROOTDOC_CAS_MAX = 16,
    ROOTDOC_ISSUERS_MAX = 512,
    ROOTDOC_DECIDERS_MAX = 99, /* of one issuer */
    ROOTDOC_NAME_MAX = 96,     /* bytes of a decider's name, UTF-8 */
    ROOTDOC_LASTS_MAX = 16,    /* of one issuer */
    ROOTDOC_SIGNATURES_MAX = 2 * ROOTDOC_DECIDERS_MAX,
};

struct rootdoc_decider {
    struct hash key_id; /* SHA-256 of the SubjectPublicKeyInfo, DER */
    char name[ROOTDOC_NAME_MAX + 1];
};

/* A `replaces` line. */
struct rootdoc_last {
    uint64_t incarnation;
    uint64_t size;
    struct hash root;
};

struct rootdoc_issuer {
    uint64_t code;
    unsigned threshold; /* k; ≤ count */
    unsigned count;     /* n */
    struct rootdoc_decider *deciders;
    struct rootdoc_last *lasts; /* in order of incarnation */
    unsigned lasts_count;
};

struct rootdoc;

/* `name` (path or peer) stands in the messages. ERR_INVALID, ERR_TOO_LARGE;
 * ERR_UNSUPPORTED for what a newer build made. */
MUST_USE enum err rootdoc_parse(struct rootdoc **out, struct slice text,
                                const char *name, struct errmsg *why);
/* ERR_CONF, whatever is wrong. */
MUST_USE enum err rootdoc_load(struct rootdoc **out, const char *path,
                               struct errmsg *why);
void rootdoc_free(struct rootdoc **doc);

/* All bytes as they were read, signatures too; borrowed. */
struct slice rootdoc_bytes(const struct rootdoc *doc);
/* What is hashed and signed; borrowed. */
struct slice rootdoc_text(const struct rootdoc *doc);
/* SHA-256 of the text as 64 hex digits, whatever the suite; borrowed. */
const char *rootdoc_hash(const struct rootdoc *doc);
/* The same as bytes; borrowed. */
const struct hash *rootdoc_digest(const struct rootdoc *doc);
/* ERR_CONF naming both if the document is not the one with hash `expected`. */
MUST_USE enum err rootdoc_check(const struct rootdoc *doc, const char *expected,
                                struct errmsg *why);
/* ERR_OK if `next` is the version behind `doc`: of the same federation and
 * suite, naming it, with a signature that fits by at least k keepers of `doc`
 * and by at least k of its own. ERR_GAP: of another version; ERR_CONFLICT: it
 * names another predecessor; ERR_BAD_SIGNATURE: one does not fit, is of no
 * keeper, or too few are there (says how many are missing, and whose). */
MUST_USE enum err rootdoc_follows(const struct rootdoc *next,
                                  const struct rootdoc *doc,
                                  struct errmsg *why);
/* Only what `next` says of itself, nothing of signatures: is it the version
 * behind `doc`? ERR_GAP, ERR_CONFLICT as above. */
MUST_USE enum err rootdoc_continues(const struct rootdoc *next,
                                    const struct rootdoc *doc,
                                    struct errmsg *why);
/* The signature line of `key` for the document, appended. ERR_INVALID: the key
 * is not one of the suite, or version 1 is to be signed. */
MUST_USE enum err rootdoc_sign(const struct rootdoc *doc, const struct key *key,
                               struct buf *line, struct errmsg *why);

/* ERR_CONF if the CA file holds a certificate that the document neither names
 * nor covers by a named one in the same file. */
MUST_USE enum err rootdoc_check_ca(const struct rootdoc *doc,
                                   const char *ca_path, struct errmsg *why);

/* What a `ca` line names: of a file with one certificate (PEM). ERR_CONF. */
MUST_USE enum err rootdoc_load_ca(const char *path, struct hash *out,
                                  struct errmsg *why);

const char *rootdoc_federation(const struct rootdoc *doc);
enum suite rootdoc_suite(const struct rootdoc *doc);
uint64_t rootdoc_version(const struct rootdoc *doc);
size_t rootdoc_ca_count(const struct rootdoc *doc);
/* SHA-256 of the DER certificate; i < rootdoc_ca_count(). */
const struct hash *rootdoc_ca(const struct rootdoc *doc, size_t i);
size_t rootdoc_issuer_count(const struct rootdoc *doc);
const struct rootdoc_issuer *rootdoc_issuer(const struct rootdoc *doc,
                                            size_t i);
/* NULL if this node may not issue directives. */
const struct rootdoc_issuer *rootdoc_find_issuer(const struct rootdoc *doc,
                                                 uint64_t code);

/* NULL: no line names the log. */
const struct rootdoc_last *
rootdoc_find_last(const struct rootdoc_issuer *issuer, uint64_t incarnation);
/* The decider of `issuer` whose key it is, or NULL; `issuer` may be NULL. */
const struct rootdoc_decider *
rootdoc_find_decider(const struct rootdoc_issuer *issuer,
                     const struct hash *key_id);
/* The same keys and the same threshold? Either may be NULL. */
bool rootdoc_same_deciders(const struct rootdoc_issuer *a,
                           const struct rootdoc_issuer *b);

/* The first issuer, whose deciders keep the document; NULL if it has none, and
 * then it never changes. */
const struct rootdoc_issuer *rootdoc_keepers(const struct rootdoc *doc);
/* The keeper with this key id, or NULL. */
const struct rootdoc_decider *rootdoc_keeper(const struct rootdoc *doc,
                                             const struct hash *key_id);
size_t rootdoc_signature_count(const struct rootdoc *doc);
/* Key id of the i-th signature; nothing is said of whether it fits. */
const struct hash *rootdoc_signer(const struct rootdoc *doc, size_t i);
/* ERR_BAD_SIGNATURE if one does not fit the text; whose they are, and whether
 * they suffice, only the version before tells. */
MUST_USE enum err rootdoc_check_signatures(const struct rootdoc *doc,
                                           struct errmsg *why);
/* Verifies the i-th of them. */
bool rootdoc_signature_fits(const struct rootdoc *doc, size_t i);
bool rootdoc_has_signed(const struct rootdoc *doc, const struct hash *key_id);

#endif
