/* log_id.h - the name of a log: (origin, kind, incarnation).
 *
 * Text form, used in checkpoints, log lines and commands:
 *   341821100201/records/9f86d081884c7d65 */
#ifndef MLOG_LOG_ID_H
#define MLOG_LOG_ID_H

#include "base/buf.h"

enum log_kind {
    LOG_RECORDS = 1,    /* flows up */
    LOG_DIRECTIVES = 2, /* reserved: flows down */
    LOG_POST = 3,       /* reserved: parent to one child */
    LOG_AUDIT = 4,      /* reserved: stays, heads flow up */
};

enum { LOG_ID_TEXT_MAX = 48, LOG_ID_LEN = 17 };

struct log_id {
    uint64_t origin;      /* node code */
    uint64_t incarnation; /* random, made with the log; never 0 */
    enum log_kind kind;
};

const char *log_kind_name(enum log_kind kind);
bool log_id_eq(const struct log_id *a, const struct log_id *b);
/* Order of the binary form: origin, kind, incarnation. */
int log_id_cmp(const struct log_id *a, const struct log_id *b);
void log_id_format(const struct log_id *id, char out[LOG_ID_TEXT_MAX]);
/* Strict: the one text that log_id_format() gives. */
MUST_USE bool log_id_parse(const char *text, struct log_id *out);
/* Binary form: u64 origin, u8 kind, u64 incarnation, big-endian. */
void log_id_put(struct buf *out, const struct log_id *id);
/* Sets r->bad on an unknown kind, an origin of over 12 digits or a zero
 * incarnation. */
struct log_id log_id_get(struct reader *r);

#endif
