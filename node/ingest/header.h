/* header.h - private to rows.c: which column of a file is which field. */
#ifndef INGEST_HEADER_H
#define INGEST_HEADER_H

#include "credit/rules.h"

struct header;

/* A column that says what to do with the row (更新类型). */
enum { PLACE_OPERATION = 0xfe };

/* True for a row of which most cells with text, and at least three, are names
 * of columns. */
bool header_is_header(const struct slice *cells, size_t count);
/* True for the instructions that templates carry: 表格说明 … */
bool header_is_template(const struct slice *cells, size_t count);
bool header_is_deletion(struct slice operation);

struct header_sink {
    void (*warning)(void *ctx, const char *text);
    void *ctx;
};
/* Chooses among the items of `family`. ERR_INVALID: columns of two items in
 * equal number, or mandatory ones missing, which `why` names. Unknown and
 * repeated columns are warned of, once each, and not read. */
MUST_USE enum err header_new(struct header **out, enum item_family family,
                             uint64_t line, const struct slice *cells,
                             size_t count, const struct header_sink *sink,
                             struct errmsg *why);
void header_free(struct header **header);

/* The header that these cells were read as by header_new(), without a warning,
 * if that is one of the last few and by the catalogue in force; else NULL. Any
 * thread; header_free() it. */
struct header *header_again(enum item_family family, const struct slice *cells,
                            size_t count);

/* True for a header among the data, such as labels below codes. Costs little
 * for a row of data. */
bool header_is_repeated(const struct header *h, const struct slice *cells,
                        size_t count);
const struct catalogue_item *header_item(const struct header *h);
enum column_set header_set(const struct header *h);
/* Columns up to the last one with a name. */
size_t header_columns(const struct header *h);
/* Place of a column's field, PLACE_OPERATION or PLACE_NONE. */
size_t header_place(const struct header *h, size_t column);
/* The field as the file names it, or as the catalogue does. */
const char *header_label(const struct header *h,
                         const struct catalogue_field *field);

#endif
