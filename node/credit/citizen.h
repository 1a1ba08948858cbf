/* citizen.h - citizen numbers (GB 11643) and how personal values are masked.
 *
 * The division part is not judged: old codes stay in use for life. Pure; any
 * thread. */
#ifndef CREDIT_CITIZEN_H
#define CREDIT_CITIZEN_H

#include "base/buf.h"

enum { CITIZEN_LEN = 18 };

/* 18 characters, last one 0-9 or upper-case X, an existing birth date and a
 * fitting check character. */
MUST_USE bool citizen_check(struct slice number);
/* True if the text holds, anywhere, 18 characters that pass the check (in
 * either case). */
MUST_USE bool citizen_is_inside(struct slice text);

/* Appends the masked form. Identifiers keep their first 3 and last 4
 * characters if they are long enough to leave 8 between; shorter ones keep
 * nothing. */
void mask_identifier(struct slice value, struct buf *out);
/* Keeps the first character: "张**". */
void mask_name(struct slice value, struct buf *out);

#endif
