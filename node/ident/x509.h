/* x509.h - private to ident: certificates as this platform uses them.
 *
 * Threads: any. */
#ifndef IDENT_X509_H
#define IDENT_X509_H

#include <openssl/x509.h>

#include "ident/ident.h"

enum {
    PEM_FILE_MAX = 262144, /* CA files: several hundred certificates */
    CHAIN_MAX = 8,         /* certificates of one chain */
    LABEL_MAX = 192,
};

/* Certificates of a PEM text, in order, 1 to `max`; what else stands there is
 * skipped. Owned by the caller: x509_free_all(). ERR_INVALID. */
MUST_USE enum err x509_parse_pem(struct slice pem, int max,
                                 STACK_OF(X509) * *out);
/* The same from a file whose bytes are appended to `pem`. ERR_CONF. */
MUST_USE enum err x509_load_pem(const char *path, int max, struct buf *pem,
                                STACK_OF(X509) * *out, struct errmsg *why);
/* One DER certificate, all of the slice. NULL if it is none. */
X509 *x509_parse_der(struct slice der);
void x509_free_all(STACK_OF(X509) * *certs);

void x509_fingerprint(const X509 *cert, uint8_t out[32]);
/* Printable name for messages: the first URI SAN, else the subject. */
void x509_label(const X509 *cert, char out[LABEL_MAX]);
/* Whom the first of `chain` names, and until when: no longer than the CAs that
 * come with it. ERR_UNAUTHENTICATED. */
MUST_USE enum err x509_principal(STACK_OF(X509) * chain, struct principal *out,
                                 struct errmsg *why);
bool x509_has_usage(const X509 *cert, const char *oid);
MUST_USE enum err x509_pubkey(const X509 *cert, struct pubkey **out,
                              struct errmsg *why);

/* A store in which every one of `certs` is a trust anchor. */
X509_STORE *x509_store_new(STACK_OF(X509) * certs);
/* Builds and checks the path of `leaf`; `others` may help. `at_ms` 0 ignores
 * dates. The path is the caller's. ERR_UNAUTHENTICATED. */
MUST_USE enum err x509_verify(X509_STORE *store, X509 *leaf,
                              STACK_OF(X509) * others, int64_t at_ms,
                              STACK_OF(X509) * *path, struct errmsg *why);

#endif
