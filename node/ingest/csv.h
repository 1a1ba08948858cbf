/* csv.h - rows of a CSV file (RFC 4180) out of a stream of bytes.
 *
 * Quoted cells may hold commas, doubled quotes and line breaks. Rows end with
 * LF or CRLF. A row that breaks the form is reported and the next line is
 * tried as a new row, so a stray quote costs its own line only. libcsv stops
 * here. */
#ifndef INGEST_CSV_H
#define INGEST_CSV_H

#include <stdio.h>

#include "ingest/charset.h"

enum {
    CSV_CELL_MAX = 65536,
    CSV_ROW_MAX = 262144, /* bytes, as in the file */
    CSV_COLUMNS_MAX = 256,
};

/* A row's cells in valid UTF-8, lent for the call. `line` is that of its first
 * character, from 1. Rows without any text are not reported. An error ends the
 * file. */
typedef enum err csv_row_fn(void *ctx, uint64_t line, const struct slice *cells,
                            size_t count);
/* A row that could not be read: csv-form, encoding, row-too-long,
 * cell-too-long or too-many-columns. */
typedef enum err csv_bad_fn(void *ctx, uint64_t line, const char *rule);

struct csv_reader;
void csv_reader_new(struct csv_reader **out, csv_row_fn *row, csv_bad_fn *bad,
                    void *ctx);
void csv_reader_free(struct csv_reader **reader);
/* ERR_UNSUPPORTED: a character set that is not taken; or what a callback
 * returned. */
MUST_USE enum err csv_reader_feed(struct csv_reader *reader, struct slice bytes,
                                  struct errmsg *why);
/* The end of the file: takes the last row. */
MUST_USE enum err csv_reader_finish(struct csv_reader *reader,
                                    struct errmsg *why);

/* Begins a file that people open in a spreadsheet: without it some take the
 * system's own encoding, such as GBK, for that of the file. */
#define CSV_UTF8_MARK "\xef\xbb\xbf"
/* Writes a cell, quoted, and what follows it. */
void csv_put_cell(FILE *to, const char *text, const char *end);

#endif
