/* query.h - questions answered from the node's own store. Private to api/. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include "api/api.h"
#include "credit/record.h"
#include "store/stamp.h"

/* What the asker may see. */
struct access {
    bool read;              /* any record at all */
    enum disclosure widest; /* of a record */
    bool ingest;
    bool feedback; /* about listings */
    bool local; /* asks at the node itself: also persons' records, masked, and
                   entries that have no effect here */
};
/* From the asker's certificate and the configuration, at that time; never
 * local. Nothing, unless an entry of `apps` has its key and its name. */
struct access access_of(const struct conf *conf, const struct principal *peer,
                        int64_t now_ms);
/* Who may open the admin socket. */
struct access access_local(void);

/* One version of one record, decoded. */
struct found {
    struct store_row row;
    struct buf bytes;   /* of the entry */
    struct entry entry; /* borrows bytes */
    struct record record;
    bool decoded;           /* record is set; else brief, erased or not of our
                               catalogue */
    enum disclosure widest; /* that the asker may see of its fields */
};
/* Has the record, decoded, a value there that the asker may see? */
bool found_shows(const struct found *f, size_t place);
void found_fini(struct found *f);

/* False: not taken, the answer is full. */
typedef bool found_fn(void *ctx, const struct found *f);
struct subject_query {
    const char *subject; /* credit code, or COLUMN/number */
    uint32_t limit;
    bool brief;           /* index rows only */
    const uint8_t *after; /* a place as from `next`, or NULL */
    struct access access;
    bool now; /* from memory, and few records only; else ERR_BUSY */
};
/* A place in the answer: record key and owner. */
enum { QUERY_PLACE_LEN = RECORD_KEY_LEN + 8 };
struct query_next {
    bool more; /* ask again from `place` */
    uint8_t place[QUERY_PLACE_LEN];
    /* Every entry was there and understood: while `stamp` holds, the same
     * question has the same answer. */
    bool lasting;
    struct store_stamp stamp;
};
/* `what` was not got from the store: says why, and what to do. Returns `err`,
 * which is not ERR_OK. */
enum err api_unread(enum err err, const char *what, struct errmsg *why);
/* Calls `fn` for each record in order of key and says whether there is more.
 * ERR_INVALID names the rule the subject breaks, but never repeats the subject:
 * it could be a person's number. */
MUST_USE enum err query_subject(const struct api_env *env,
                                const struct subject_query *q, found_fn *fn,
                                void *ctx, struct query_next *next,
                                struct errmsg *why);

struct record_query {
    const char *subject;       /* with record_key (ERR_CONFLICT if several
                                  owners use the key), */
    const uint8_t *record_key; /* or NULL */
    const char *log;           /* or log and number */
    uint64_t number;
    struct access access;
    bool now; /* by its key, from memory, if it has one version; else ERR_BUSY,
                 or another error: ask again without it */
};
/* The current version first, also if log and number name an earlier one, then
 * earlier ones that the asker may see. *more: some of them are not here or were
 * not taken. ERR_NOT_FOUND with one text for what an app may not see and for
 * what is not there. */
MUST_USE enum err query_record(const struct api_env *env,
                               const struct record_query *q, found_fn *fn,
                               void *ctx, bool *more, struct errmsg *why);

const char *status_name(uint8_t status);
const char *disclosure_name(enum disclosure disclosure);
struct unsealer query_unsealer(const struct api_env *env);

#endif
