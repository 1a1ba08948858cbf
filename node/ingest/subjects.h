/* subjects.h - the credit codes in a list of organisations as offices have it.
 *
 * One code a line, or a table: cells parted by commas, tabs or semicolons, the
 * columns in any order, with or without headings. The marks are the same bytes
 * in UTF-8 and in GB18030; so no character set has to be known, and lines of
 * both may stand in one file. Codes are found in full width, too, and within a
 * cell that holds more.
 *
 * Whoever is not found must not look as if on no list: a row without a code,
 * and a cell that may be a mistyped one, are reported; of a column whose
 * heading says that it has codes also beside a good one. Every code of a row
 * is: a consortium has several. Pure; any thread. */
#ifndef INGEST_SUBJECTS_H
#define INGEST_SUBJECTS_H

#include "base/buf.h"

enum {
    SUBJECTS_BEFORE_HEADING = 10, /* rows, such as a title */
    SUBJECTS_QUOTED_MAX = 4096,   /* bytes; a quote that ends later is none */
};

/* An error of a callback ends the reading. */
struct subjects_sink {
    /* A valid code in its usual form, lent. `line`: of the row, from 1. */
    enum err (*code)(void *ctx, uint64_t line, const char *code);
    /* Of whom a row or cell is cannot be told. `text`: it, as in the file, lent
     * and of any length; `rule`: an id for subjects_text(). */
    enum err (*bad)(void *ctx, uint64_t line, struct slice text,
                    const char *rule);
    void *ctx;
};

struct subjects_counts {
    uint64_t lines;
    uint64_t passed; /* headings, and rows before the first of them */
};

/* ERR_UNSUPPORTED: no text, or UTF-16; nothing was reported. Else what a
 * callback returned; `out` is then as far as it was read. */
MUST_USE enum err subjects_read(struct slice file,
                                const struct subjects_sink *sink,
                                struct subjects_counts *out,
                                struct errmsg *why);

/* What is wrong by this rule and what to do; "" for an unknown id. */
const char *subjects_text(const char *rule);
const char *subjects_text_zh(const char *rule);

#endif
