/* clean.h - texts of directives, which every node below shows and logs. Pure;
 * any thread. */
#ifndef CREDIT_CLEAN_H
#define CREDIT_CLEAN_H

#include "base/buf.h"

/* `min` to `max` bytes of UTF-8, without control characters and without a
 * citizen's number? */
bool clean_text(struct slice text, size_t min, size_t max);

#endif
