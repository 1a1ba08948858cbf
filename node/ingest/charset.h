/* charset.h - the character sets that tables arrive in, made UTF-8.
 *
 * Line breaks, commas and quotes are the same bytes in all of them and never
 * part of another character, so rows are cut first and converted one by one:
 * a bad character costs its row only. iconv stops here. */
#ifndef INGEST_CHARSET_H
#define INGEST_CHARSET_H

#include "base/buf.h"

enum charset {
    CHARSET_ASCII, /* nothing but ASCII so far: not decided */
    CHARSET_UTF8,
    CHARSET_GB18030,
    CHARSET_UTF16, /* known, not taken */
};

enum { CHARSET_SAMPLE_BYTES = 65536, CHARSET_BOM_MAX = 4 };

const char *charset_name(enum charset charset);

/* Judges the beginning of a file by its byte order mark, whose length goes to
 * *bom (0: none). CHARSET_ASCII: no mark. */
enum charset charset_by_bom(struct slice start, size_t *bom);
/* Judges a sample that begins at a character. A few malformed characters do
 * not make UTF-8 something else. Short samples of GB18030 can look like UTF-8:
 * give CHARSET_SAMPLE_BYTES where there are as many. */
enum charset charset_detect(struct slice sample);

/* Converts rows of one file. One thread at a time. */
struct charset_converter;
/* ERR_UNSUPPORTED: CHARSET_UTF16, or a C library without GB18030. */
MUST_USE enum err charset_open(struct charset_converter **out,
                               enum charset charset, struct errmsg *why);
void charset_close(struct charset_converter **converter);
/* Sets *out to the text in valid UTF-8 without NUL: `raw` itself if it is
 * UTF-8 already, else bytes that last until the next call. ERR_INVALID: a
 * malformed or cut character. */
MUST_USE enum err charset_to_utf8(struct charset_converter *converter,
                                  struct slice raw, struct slice *out);

#endif
