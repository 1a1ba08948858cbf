/* width.h - letters, digits and signs that Chinese text has in half and in full
 * width. Pure; any thread. */
#ifndef CREDIT_WIDTH_H
#define CREDIT_WIDTH_H

#include "base/buf.h"
#include "base/str.h"

/* The ASCII character whose full-width form (U+FF01 to U+FF5E, in UTF-8)
 * `text`, not empty, begins with; 0: it begins with none. */
static inline char width_narrow(struct slice text)
{
    const uint8_t *d = text.data;
    if (text.len < 3 || d[0] != 0xef || str_utf8_first(text) != 3) {
        return 0;
    }
    if (d[1] == 0xbc && d[2] >= 0x81) {
        return (char)('!' + (d[2] - 0x81));
    }
    if (d[1] == 0xbd && d[2] <= 0x9e) {
        return (char)('`' + (d[2] - 0x80));
    }
    return 0;
}

#endif
