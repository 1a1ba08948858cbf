/* signature.h - a person's signature as a line of text.
 *
 *   signature <key> <signature>     base64: SubjectPublicKeyInfo and DER
 *
 * Any program that signs bytes can make it.
 *
 * Threads: any; pure. */
#ifndef IDENT_SIGNATURE_H
#define IDENT_SIGNATURE_H

#include "ident/suite.h"

/* Longest line, newline not counted. */
enum { SIGNATURE_LINE_MAX = 512 };

struct signature {
    struct pubkey *key; /* owned */
    struct hash key_id; /* SHA-256 of the SubjectPublicKeyInfo, DER */
    struct buf der;     /* owned */
};
void signature_fini(struct signature *s);

/* Key ids as root documents name them. */
void signature_key_id(const struct pubkey *key, struct hash *out);
/* Reads one line, without its newline. ERR_INVALID. */
MUST_USE enum err signature_parse(struct slice line, struct signature *out);
/* Reads what stands behind the word `signature` and its blank, whatever its
 * length. ERR_INVALID. */
MUST_USE enum err signature_parse_value(struct slice value,
                                        struct signature *out);
/* The line of this key over `text`, where it is known whose it must be: decodes
 * no key, which takes as long as the check. ERR_INVALID: no such line;
 * ERR_DENIED: another key's; ERR_BAD_SIGNATURE. */
MUST_USE enum err signature_check(struct slice line, const struct pubkey *key,
                                  enum suite suite, struct slice text);
bool signature_fits(const struct signature *s, enum suite suite,
                    struct slice text);
/* Appends the line of `key` over `text`, with its newline. ERR_INVALID if the
 * key is not one of the suite. */
MUST_USE enum err signature_put(const struct key *key, enum suite suite,
                                struct slice text, struct buf *out);

#endif
