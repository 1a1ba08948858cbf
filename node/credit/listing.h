/* listing.h - decisions about red and black lists as entries of a directives
 * log.
 *
 *   ENTRY_LISTING     a subject goes on a list
 *   ENTRY_CORRECTION  a listing of the same log reads otherwise from now on
 *   ENTRY_REMOVAL     a listing ends, for good; by the authority that decided
 *                     it or by one above
 *
 * Envelope: item is the list (catalogue_list()), subject the organisation's
 * credit code, decided/from/until the decision's; the predecessor's
 * incarnation and number name the listing that a correction or removal is
 * about. Body: protobuf field 1 is the origin of that listing (u64), the
 * others are the values of ITEM_LISTING or ITEM_REMOVAL by field id. What the
 * index needs is read without the catalogue.
 *
 * Pure; any thread. */
#ifndef CREDIT_LISTING_H
#define CREDIT_LISTING_H

#include "credit/record.h"
#include "mlog/log_id.h"

/* A listing is named by its place for ever. */
struct listing_place {
    struct log_id log;
    uint64_t number;
};

/* What the envelope says. */
struct listing_facts {
    uint8_t type; /* one of the three */
    uint16_t list;
    uint32_t decided;
    uint32_t from;               /* first day, yyyymmdd */
    uint32_t until;              /* last day, 0: open */
    struct listing_place target; /* of a correction or removal */
};

bool listing_is_type(uint8_t type);
/* `origin` is that of the entry's log. ERR_INVALID: not what this page says, or
 * about a natural person. */
MUST_USE enum err listing_facts(const struct entry *e, uint64_t origin,
                                struct listing_facts *out);
/* The values, borrowed. ERR_INVALID. */
MUST_USE enum err listing_values(const struct entry *e, struct record *out);

/* Do the values, which people read, say what the envelope says, by which
 * holders go? False of what is no list decision, too. */
bool listing_is_consistent(const struct entry *e);

/* What makes the entry lawful, judged once more before it is published: it may
 * be by another program than this one. NULL, or the id of the first rule of
 * rules.h that it breaks, or "malformed"; *column (static; "" if none) is
 * where. `issuer`: the node whose log it goes to; `today`: yyyymmdd. */
const char *listing_fault(const struct entry *e, uint64_t issuer,
                          uint32_t today, const char **column);

/* Fills `out`, borrowing from `r` and `room`, to which the body is appended.
 * `r` passed rules.h and was identified; its item is ITEM_REMOVAL for a
 * removal, else ITEM_LISTING; `target` is NULL for a listing. ERR_TOO_LARGE. */
MUST_USE enum err listing_to_entry(const struct record *r, uint8_t type,
                                   const struct listing_place *target,
                                   int64_t now_ms, struct buf *room,
                                   struct entry *out);
/* Do two document numbers name one decision? Who types one does not see whether
 * its digits are wide. */
bool listing_same_document(struct slice a, struct slice b);
/* The list that a record of either item names; 0: none. */
uint16_t listing_list_of(const struct record *r);
/* What the decision says, or the list itself where it does not. */
enum domain listing_domain_of(const struct record *r);

/* May the authority at `remover` end a listing of the one at `origin`? */
bool listing_may_end(uint64_t remover, uint64_t origin);
/* Do decisions of the authority at `issuer` count at the node `code`? */
bool listing_counts_at(uint64_t issuer, uint64_t code);

#endif
