/* rows.h - the rows of an uploaded table, each a validated record or a list
 * of faults.
 *
 * Bytes go in as they come: CSV in UTF-8, with or without a byte order mark,
 * or in GB18030. The header decides item and column set: column codes of 2018,
 * names of 2016, Chinese or English labels, in any order and mixture. Rows
 * before the header, template rows (表格说明 …), blank rows and a repeated
 * header are passed over. One bad row never stops the file. Memory does not
 * grow with the file.
 *
 * A row with the record key of one of the last ROWS_REMEMBERED good rows or
 * more is refused (duplicate-in-file).
 *
 * Threads: one at a time. Callbacks run inside rows_feed() and
 * rows_finish(), in the order of the file. */
#ifndef INGEST_ROWS_H
#define INGEST_ROWS_H

#include "credit/record.h"

enum { ROWS_REMEMBERED = 32768, ROWS_FAULTS_MAX = 16 };

struct rows;

/* What is wrong with a row; lent for the callback. */
struct rows_fault {
    const char *column; /* as the file names it, "" for the whole row */
    const char *rule;   /* stable id, docs/catalogue.md */
    const char *text;   /* one line for people; personal values masked */
};

/* `line` is that of the row's first character, from 1. An error returned by a
 * callback ends the file and is returned by rows_feed() or rows_finish(). */
struct rows_sink {
    /* `record` was identified; it and what it borrows are lent for the
     * call. */
    enum err (*record)(void *ctx, uint64_t line, const struct record *record);
    enum err (*refused)(void *ctx, uint64_t line,
                        const struct rows_fault *faults, size_t count);
    /* Something about the file that does not stop it, such as an unknown
     * column; may be NULL. */
    void (*warning)(void *ctx, const char *text);
    void *ctx;
};

struct rows_options {
    enum item_family family;        /* of the items a file may hold */
    const struct record_keys *keys; /* outlives the rows */
    uint32_t today; /* yyyymmdd; decisions after it are refused; 0: none */
};

/* Copies `sink` and `options`. */
void rows_begin(struct rows **out, const struct rows_options *options,
                const struct rows_sink *sink);
/* ERR_INVALID: the file as a whole is refused (not a known encoding, no
 * header, mandatory columns missing); `why` names the line and what to do.
 * Nothing may be fed after an error. */
MUST_USE enum err rows_feed(struct rows *rows, struct slice bytes,
                            struct errmsg *why);
/* Instead of rows_feed(): a table that names its columns once and gives its
 * rows as cells, each of which is reported. Rows of one record may follow each
 * other: such a table is a journal. ERR_INVALID: as for a header. */
MUST_USE enum err rows_columns(struct rows *rows, const struct slice *names,
                               size_t count, struct errmsg *why);
/* `line` is how the caller knows the row. Rules of csv.h hold for cells. */
MUST_USE enum err rows_cells(struct rows *rows, uint64_t line,
                             const struct slice *cells, size_t count,
                             struct errmsg *why);
/* Takes the last row, which need not end with a line break. ERR_INVALID as
 * above: also if there was no header at all. */
MUST_USE enum err rows_finish(struct rows *rows, struct errmsg *why);
/* NULL is allowed. */
void rows_free(struct rows **rows);

/* The item the header named; NULL before it was read. */
const struct catalogue_item *rows_item(const struct rows *rows);
/* True if the column is one of its fields. */
bool rows_reads(const struct rows *rows, size_t column);

#endif
