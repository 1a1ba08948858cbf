/* certs.h - keys and certificates of many nodes by one process.
 *
 * An office makes its keys with certs/request.sh and the CA signs them with
 * certs/sign.sh, one node at a time and with every name checked. A run of a
 * thousand nodes needs three thousand of them on one machine: here they are
 * made under the same CA (certs/make-federation.sh) with the same names,
 * extensions and files as certs/make-node.sh gives.
 *
 * Threads: one. */
#ifndef RUN_CERTS_H
#define RUN_CERTS_H

#include "ident/ident.h"

struct certs;

/* Reads the intermediate of `province` of the federation in `folder`.
 * `suite`: "intl" or "gm". ERR_CONF, ERR_IO. */
MUST_USE enum err certs_open(struct certs **out, const char *folder,
                             const char *federation, const char *suite,
                             uint64_t province, struct errmsg *why);
void certs_close(struct certs **certs);
/* ca.pem and tls, sign, seal .pem and .key into `out`, which is made. */
MUST_USE enum err certs_make(struct certs *certs, const char *out,
                             enum tier tier, uint64_t code, struct errmsg *why);

#endif
