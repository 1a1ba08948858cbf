/* stamp.h - does what was read about a subject still count?
 *
 * Who keeps an answer takes the subject's stamp, reads, and keeps both; while
 * the stamp holds, reading again would give the same rows and entries. Each
 * subject has a counter, by hash of its key: subjects that share one are taken
 * for changed together. There is one more counter for all of them.
 *
 * The writer makes the counters of all subjects whose rows a batch changes odd
 * before it commits, and the next even number when the outcome is known,
 * whatever it is, and heads are visible; only then is anybody called back. A
 * job of the writer (succession, reindexing, …) may change anything, so it does
 * the same with the counter of all, from before its beginning to its end.
 *
 * Why what is kept is never older than what a reader of the database would get:
 *   - A stamp is taken with even counters only. If the read that follows did
 *     not see a commit, this commit made its counter odd after the stamp was
 *     taken, or else the commit had been visible when the read began. So the
 *     stamp holds no longer, from before the commit is visible to anyone.
 *   - The counters never come back: 64 bits, only growing.
 *   - So as long as a stamp holds no change of the subject is visible to any
 *     reader, and as soon as a change is acknowledged no earlier stamp holds.
 * While a commit is under way its subjects are read from the database, as if
 * nothing were kept.
 *
 * Not told by stamps: seal keys that come later (what was shown as unreadable
 * may not be kept), and what is known of the tiers above.
 *
 * Threads: any; never blocks. */
#ifndef STORE_STAMP_H
#define STORE_STAMP_H

#include "store/store.h"

struct store_stamp {
    size_t place; /* of the subject's counter */
    uint64_t subject;
    uint64_t all;
};

/* Before reading. False: a change is under way, keep nothing of it. */
MUST_USE bool store_stamp_take(struct store *store,
                               const struct subject_key *subject,
                               struct store_stamp *out);
/* Is every commit there is known here? False where another process may have
 * written and it was not seen yet. */
bool store_up_to_date(const struct store *store);
/* False from the beginning of the next change on, for ever. */
MUST_USE bool store_stamp_holds(struct store *store,
                                const struct store_stamp *stamp);

#endif
