/* chinese.h - what the node and its commands say, in Chinese.
 *
 * Texts for people are written in English where they arise; office staff read
 * them through one table of patterns, so that no module has to carry two
 * languages. What the table does not know stays as it is. Pure; any thread. */
#ifndef CREDIT_CHINESE_H
#define CREDIT_CHINESE_H

#include "base/buf.h"

/* Appends the Chinese of `text`, an error, a note or a reason, with what stands
 * in it about names and numbers; or `text` itself. True: it was known. */
bool chinese_put(const char *text, struct buf *out);

/* The table, for its test: `en` has a % for each part that varies, `zh` names
 * them %1, %2 … (said in Chinese too, if that is known) or $1, $2 … (as it is).
 * NULL behind the last. */
struct chinese_text {
    const char *en;
    const char *zh;
};
const struct chinese_text *chinese_text_at(size_t i);

#endif
