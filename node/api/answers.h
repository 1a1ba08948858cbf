/* answers.h - answers that may be given again as they are. Private to api/.
 *
 * A node is asked about the same subjects again and again, and most of what an
 * answer costs is the way to a worker, reading and encoding. So whole encoded
 * answers are kept, to be given on the thread on which a question arrives.
 *
 * What an answer depends on, and why none is given that the store would now
 * answer otherwise:
 *   - the question: the bytes of the request are part of the key, compared as
 *     they are;
 *   - how far the asker sees: part of the key. Whether and how far he may see
 *     is found out anew for each call, before it is looked here: a revoked
 *     certificate or narrowed scopes count from the next call on;
 *   - the subject's rows and entries: only while the stamp holds that was taken
 *     before they were read (store/stamp.h);
 *   - seal keys: an answer in which a value could not be opened, or an entry
 *     not be read, is not kept (query_next.lasting);
 *   - the program and the node's name: they do not change while it runs.
 * Dates have no part in it: what is past its term is answered like the rest.
 * A new dependence of an answer belongs into this list first.
 *
 * Refusals are not kept. What is kept was masked for its asker, as it was sent:
 * no value of a person is here in clear.
 *
 * Bounded: by bytes, counted with all that belongs to an answer. Memory is
 * taken as answers come; when it is used up, they go in turn.
 *
 * Threads: any. The lock is held for a few instructions, never while something
 * is read: it may be taken on the poller. */
#ifndef API_ANSWERS_H
#define API_ANSWERS_H

#include "api/api.h"
#include "base/shared.h"
#include "credit/record.h"
#include "store/stamp.h"

struct question {
    struct slice request; /* as it came */
    enum disclosure widest;
};

/* A reference of the caller's, or NULL: ask the store. `answers` may be NULL.
 */
struct shared *answers_find(struct answers *answers, const struct question *q);
/* Keeps `reply` beside the caller, if it is still true and fits. `stamp` was
 * taken before the store was read. `answers` may be NULL. */
void answers_keep(struct answers *answers, const struct question *q,
                  const struct store_stamp *stamp, struct shared *reply);
/* That are in use now. */
size_t answers_bytes(struct answers *answers);

#endif
