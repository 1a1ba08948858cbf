/* receipts.h - what an import acknowledged, and whether a node has it.
 *
 * Threads: any. Blocks for a node's answer. */
#ifndef RUN_RECEIPTS_H
#define RUN_RECEIPTS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "mlog/log_id.h"

enum { RECEIPT_KEY_HEX = 32 };

struct receipt {
    char key[RECEIPT_KEY_HEX + 1];
    char log[LOG_ID_TEXT_MAX];
    uint64_t number;
    unsigned long line; /* of the file that was entered */
};
/* The next row that was taken, of `creditnode import --receipt`. A file may
 * end in the middle of a line, if the import was killed. False: no more. */
bool receipt_next(FILE *file, struct receipt *out);
/* Does the node behind this admin socket hold a record of this subject under
 * this key, at whatever number? */
bool receipt_holds_key(const char *socket, const char *subject,
                       const struct receipt *receipt);
/* How many rows the whole file calls pending: durable, but without a number
 * until the node has its parent's word that none of its log is missing. */
unsigned receipts_pending(FILE *file);
/* Does the node behind this admin socket hold just this record under just this
 * number? `why` says what it has instead. */
bool receipt_holds(const char *socket, const struct receipt *receipt,
                   struct errmsg *why);

/* The same of a record of a natural person. *clear: the answer holds a number
 * or name in clear. */
bool receipt_holds_person(const char *socket, const struct receipt *receipt,
                          bool *clear, struct errmsg *why);

/* One call of a node's admin socket; takes `request`. NULL: no answer. */
json_t *admin_ask(const char *socket, json_t *request, struct errmsg *why);

#endif
