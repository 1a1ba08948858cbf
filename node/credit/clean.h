/* clean.h - texts of directives, which every node below shows and logs. Pure;
 * any thread. */
#ifndef CREDIT_CLEAN_H
#define CREDIT_CLEAN_H

#include "base/buf.h"

/* `min` to `max` bytes of UTF-8, without control characters and without a
 * citizen's number? Holders judge by it what has effect, so it stays as it is.
 */
bool clean_text(struct slice text, size_t min, size_t max);
/* NULL if the text may go into a new directive, else why not: it must be
 * str_is_plain() and hold no citizen's number, however written. */
const char *clean_fault(struct slice text);

#endif
