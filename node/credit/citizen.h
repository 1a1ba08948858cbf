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
 * either case): certain, and what holders judge entries of others by. */
MUST_USE bool citizen_is_inside(struct slice text);

/* Which forms are looked for in a text that people wrote. */
enum citizen_forms {
    CITIZEN_NEW,        /* 18 characters */
    CITIZEN_NEW_OR_OLD, /* also the 15 digits of the first generation */
};
/* The next number as people write them, at its place in `text`: half or full
 * width; the 18 characters also in groups, parted by blanks, hyphens or dots.
 * The 15 digits have no check character: they are one if they stand alone,
 * begin with a province, have a day of birth from 1921 on and fit no number of
 * a business, which has 15 digits too (registration: check of GB/T 17710, tax:
 * that of the organisation code). So one old number in six passes for a
 * business, and one number in a hundred of other things for a person's. */
MUST_USE bool citizen_find(struct slice text, enum citizen_forms forms,
                           struct slice *found);
/* Appends the text with "***" for each number that citizen_find() finds. */
void citizen_hide(struct slice text, enum citizen_forms forms, struct buf *out);
/* True if a run of digits, in any of these ways of writing, is nearly as long
 * as the older number: it may be one with a digit missing. */
MUST_USE bool citizen_may_be_inside(struct slice text);

/* Appends the masked form. Identifiers keep their first 3 and last 4
 * characters if they are long enough to leave 8 between; shorter ones keep
 * nothing. */
void mask_identifier(struct slice value, struct buf *out);
/* Keeps the first character: "张**". */
void mask_name(struct slice value, struct buf *out);

#endif
