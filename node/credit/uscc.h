/* uscc.h - unified social credit codes (GB 32100-2015) and the organisation
 * codes inside them (GB 11714).
 *
 * Both check digits are verified. The registering department, the category
 * and the division are not: one real code in seven names a division that no
 * longer exists. Pure; any thread. */
#ifndef CREDIT_USCC_H
#define CREDIT_USCC_H

#include "base/buf.h"

enum { USCC_LEN = 18, ORGCODE_LEN = 9 };

enum uscc_result {
    USCC_OK,
    USCC_LENGTH,      /* not 18 characters */
    USCC_ALPHABET,    /* a character outside 0-9 A-Z without I O S V Z */
    USCC_CHECK,       /* the 18th character does not fit */
    USCC_INNER_CHECK, /* the 17th does not fit the organisation code */
};

/* Judges a normalised code. */
enum uscc_result uscc_check(struct slice code);
/* The rule's stable id for receipts: "uscc-check" …; NULL for USCC_OK. */
const char *uscc_rule(enum uscc_result result);

/* Upper case without blanks and, for organisation codes as in 74218321-3,
 * without hyphens. False if the result is longer than `max`, nothing else is
 * judged. */
MUST_USE bool uscc_normalise(struct slice text, char *out, size_t max,
                             size_t *len);

/* Judges a code as people write it. `out` gets its normalised text, whatever
 * the result; "" if that is longer than a code. */
MUST_USE enum uscc_result uscc_read(struct slice text, char out[USCC_LEN + 1]);

/* True for 9 normalised characters whose check character fits. */
MUST_USE bool orgcode_check(struct slice code);

/* A valid code out of its parts, for samples and tests: `department` and
 * `category` are characters 1 and 2, `division` 6 digits, `body` the first
 * 8 characters of the organisation code. False if a part is malformed. */
MUST_USE bool uscc_make(char department, char category, const char *division,
                        const char *body, char out[USCC_LEN + 1]);

#endif
