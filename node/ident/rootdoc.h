/* rootdoc.h - the root document: who may say what in a federation.
 *
 * The CA proves who a node is; this file says who may issue directives, whose
 * decision that takes, and which CAs count. Each node's configuration names
 * the hash of version 1. One `key value` a line, in this order, LF only; lines
 * that begin with # and empty ones are skipped (but hashed):
 *
 *   creditnode-root 1               form of the file
 *   federation xuancheng.credit
 *   suite intl
 *   version 1                       of the document
 *   previous none                   hash of the version before
 *   ca <sha-256 hex>                of a CA certificate (DER); one or more
 *   issuer <node code> <k> <n>      may issue directives by k of n deciders
 *   decider <key id hex> <name>     n of them behind their issuer
 *
 * Reserved for later versions of the document: the lines `replaces` (last
 * valid log, size, root of a replaced key) and `signature`. This build knows
 * version 1 only and refuses them by name.
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
};

struct rootdoc_decider {
    struct hash key_id; /* SHA-256 of the SubjectPublicKeyInfo, DER */
    char name[ROOTDOC_NAME_MAX + 1];
};

struct rootdoc_issuer {
    uint64_t code;
    unsigned threshold; /* k; ≤ count */
    unsigned count;     /* n */
    struct rootdoc_decider *deciders;
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

/* SHA-256 of the document's bytes as 64 hex digits, whatever the suite;
 * borrowed. */
const char *rootdoc_hash(const struct rootdoc *doc);
/* ERR_CONF naming both if the document is not the one with hash `expected`. */
MUST_USE enum err rootdoc_check(const struct rootdoc *doc, const char *expected,
                                struct errmsg *why);
/* ERR_CONF if the CA file holds a certificate that the document neither names
 * nor covers by a named one in the same file. */
MUST_USE enum err rootdoc_check_ca(const struct rootdoc *doc,
                                   const char *ca_path, struct errmsg *why);

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

#endif
