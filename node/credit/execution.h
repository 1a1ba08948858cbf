/* execution.h - what an app met on a list and what it did about it, as a record
 * of the node where it asked (发起 - 响应 - 反馈).
 *
 * Its subject is the listing: SUBJECT_LISTING, "LOG#NUMBER" (docs/protocol.md).
 * One record an app, listing and day: it says `hit` first, and what was done in
 * a later version. It is shared, not public, and holds no person's data.
 *
 * Pure; any thread. */
#ifndef CREDIT_EXECUTION_H
#define CREDIT_EXECUTION_H

#include "credit/listing.h"
#include "credit/rules.h"
#include "credit/uscc.h"

enum { EXECUTION_SUBJECT_MAX = LOG_ID_TEXT_MAX + 22 };

struct execution {
    struct listing_place listing;
    uint16_t list;              /* 0: not known here */
    char subject[USCC_LEN + 1]; /* who is listed */
    uint64_t node;              /* where it was asked */
    const char *app;
    uint32_t day; /* yyyymmdd, China */
    enum outcome outcome;
    struct slice measures; /* OUTCOME_APPLIED: which */
    struct slice reason;   /* OUTCOME_REFUSED: why */
};

/* "hit", "applied", "not-applicable", "refused". */
const char *outcome_name(enum outcome outcome);
/* Not "hit", which nobody reports. */
bool outcome_parse(const char *name, enum outcome *out);

/* "LOG#NUMBER", both ways. */
void execution_subject(const struct listing_place *listing,
                       char out[EXECUTION_SUBJECT_MAX]);
MUST_USE bool execution_parse_subject(const char *text,
                                      struct listing_place *out);

/* The first 16 bytes of the suite's hash over "creditnode-execution\n",
 * subject,
 * "\n", node code, "\n", app, "\n", day. */
void execution_key(enum suite suite, const struct execution *x,
                   uint8_t out[RECORD_KEY_LEN]);

/* A draft for store_submit(): body and subject are appended to `room`, from
 * which `out` borrows. ERR_INVALID: names the field and the rule that it breaks
 * (rules.h), or what an outcome lacks. */
MUST_USE enum err execution_to_entry(const struct execution *x,
                                     enum suite suite, int64_t now_ms,
                                     struct buf *room, struct entry *out,
                                     struct errmsg *why);
/* Is it an execution that says `hit`? It makes no new version of one that says
 * anything: what was done is not to be said anew as a hit. */
bool execution_is_hit(const struct entry *e);
/* Borrows from the entry; `app` is not set, but *app. ERR_INVALID: none. */
MUST_USE enum err execution_take(const struct entry *e, struct execution *out,
                                 struct slice *app);

#endif
