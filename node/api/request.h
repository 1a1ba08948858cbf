/* request.h - the requests of proto/query.proto and proto/ingest.proto as they
 * arrive. Private to api/. Pure: nothing is believed, nothing is kept. */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include "api/query.h"

enum {
    SUBJECT_TEXT_MAX = 80,
    LOG_TEXT_MAX = 64,
    SUBMIT_LINES_MAX = 4096, /* what an answer has room for */
    CHECK_SUBJECTS_MAX = 10000,
    CHECK_TEXT_MAX = 80, /* bytes of one of them */
};

/* All parsers: ERR_INVALID for what is malformed, too long or of a wrong type;
 * unknown fields are passed over. Slices borrow from `bytes`. */

struct subject_request {
    char subject[SUBJECT_TEXT_MAX];
    uint32_t limit;
    struct slice after; /* empty, or QUERY_PLACE_LEN bytes */
    bool brief;
};
MUST_USE enum err request_subject(struct slice bytes,
                                  struct subject_request *out,
                                  struct errmsg *why);

struct record_request {
    char subject[SUBJECT_TEXT_MAX];
    struct slice key; /* empty, or RECORD_KEY_LEN bytes */
    char log[LOG_TEXT_MAX];
    uint64_t number;
};
MUST_USE enum err request_record(struct slice bytes, struct record_request *out,
                                 struct errmsg *why);

/* Each subject as it came, any bytes; place counts from 1. An error of `fn`
 * ends it. ERR_TOO_LARGE: over CHECK_SUBJECTS_MAX or CHECK_TEXT_MAX. */
typedef enum err request_subject_fn(void *ctx, size_t place, struct slice text,
                                    struct errmsg *why);
MUST_USE enum err request_check(struct slice bytes, request_subject_fn *fn,
                                void *ctx, struct errmsg *why);

struct effects_report;
MUST_USE enum err request_feedback(struct slice bytes,
                                   struct effects_report *out,
                                   struct errmsg *why);

/* ERR_TOO_LARGE: over SUBMIT_LINES_MAX lines. */
MUST_USE enum err request_submit(struct slice bytes, struct slice *csv,
                                 struct errmsg *why);

#endif
