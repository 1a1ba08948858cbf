/* ident_oid.h - extended key usages of this platform's certificates.
 *
 * They stand under 2.25, the arc of UUIDs (X.667), here
 * 52d25471-bd1a-40db-9002-f6ee3bd603ad, so that no registration is needed.
 * certs/lib.sh uses the same numbers; neither may ever change. */
#ifndef IDENT_IDENT_OID_H
#define IDENT_IDENT_OID_H

#define OID_CREDITNODE "2.25.110088790728368891441502524953391924141"
/* Signs checkpoints and directives. */
#define OID_USE_SIGN OID_CREDITNODE ".1"
/* Receives wrapped seal keys. */
#define OID_USE_SEAL OID_CREDITNODE ".2"
/* RFC 5280 §4.2.1.12. */
#define OID_USE_TLS_SERVER "1.3.6.1.5.5.7.3.1"
#define OID_USE_TLS_CLIENT "1.3.6.1.5.5.7.3.2"

#endif
