/* fresh.h - newest signed heads of directives logs, and when they came
 * (private to sync). See sync.h. Threads: any. */
#ifndef SYNC_FRESH_H
#define SYNC_FRESH_H

#include "store/lease.h"
#include "sync/sync.h"

/* Was the head with signing time `a_ms` signed later than that with `b_ms`? By
 * these times; but of one of now and one that is yet to come, by more than the
 * periods after which a list is stale, that of now is the later one: its
 * signer's clock was put back. */
bool fresh_is_later(const struct fresh *fresh, int64_t a_ms, int64_t b_ms);
/* A head came, `age_ms` ago (0: just now), that fits what is held here, and
 * reaches no further. True if it is newer than any before. */
bool fresh_came(struct fresh *fresh, const struct checkpoint *head,
                int64_t age_ms, struct slice note, struct slice chain);
/* The newest, if it was signed after `after_ms`; appends its bytes. */
bool fresh_newer(struct fresh *fresh, const struct log_id *log,
                 int64_t after_ms, struct checkpoint *head, struct buf *note,
                 struct buf *chain);
/* The newest of each log of other issuers that is not stale by now. Returns how
 * many newer ones have come in all. */
uint64_t fresh_recent(struct fresh *fresh,
                      struct lease_head heads[LEASE_HEADS_MAX], size_t *n);

#endif
