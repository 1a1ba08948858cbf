/* str.h - text forms of bytes and numbers, strict both ways. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/buf.h"

/* Lower-case hex into out[2 * len + 1]. */
void str_hex(const void *data, size_t len, char *out);
/* Exactly 2 * len hex digits and the NUL; false otherwise. */
MUST_USE bool str_unhex(const char *text, void *out, size_t len);
/* RFC 4648 base64 with padding, appended. */
void str_base64(struct slice data, struct buf *out);
/* Strict (canonical padding, no white space); appended to `out`. */
MUST_USE bool str_unbase64(struct slice text, struct buf *out);
/* Decimal digits only, all of the text, no sign; false on overflow. */
MUST_USE bool str_u64(struct slice text, uint64_t *out);
/* Cuts the next line off `rest`, without its newline; false at the end or if
 * the last line has none. */
bool str_next_line(struct slice *rest, struct slice *line);
/* True if `data` is well-formed UTF-8 (RFC 3629) without NUL. */
MUST_USE bool str_utf8_valid(struct slice data);
/* Bytes of the well-formed character, no NUL, that `text` (not empty) begins
 * with; 0: there is none. */
size_t str_utf8_first(struct slice text);
/* True if `text` is UTF-8 of one line that nothing acts on: no C0, DEL or C1
 * control, no mark that turns the direction of what stands beside it, no line
 * or paragraph separator. */
MUST_USE bool str_is_plain(struct slice text);
/* Makes any bytes harmless for a terminal and for a line of the log: each
 * character that str_is_plain() refuses, and each byte that is no UTF-8,
 * becomes one '?'. In place; returns the new length, which is never larger, and
 * puts no NUL. */
size_t str_tame(char *text, size_t len);
/* A text of others as the value of key="…" in a log line: cut to `size` - 1
 * bytes, tame, with ' for ". Always ends with NUL. */
void str_quotable(struct slice text, char *out, size_t size);
/* Number of code points of valid UTF-8. */
size_t str_utf8_count(struct slice data);
/* Columns on a terminal: CJK and full-width count 2. */
size_t str_width(const char *utf8);

#endif
