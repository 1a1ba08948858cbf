/* roster.h - which nodes are shut out, whose child a node is, and where logs
 * end that are no more, by the directives in force here (private to sync but
 * for what sync.h says).
 *
 * A revocation holds until the same issuer restores the node later, or one
 * above it at any time: what a higher authority said last of a node ends what
 * lower ones say, so that no clock below holds it off. Who is below it revokes
 * such a node by asking it. Of several parents the one decided last counts, but
 * what an authority has moved out of the area of one below it, that one cannot
 * take back. In one log the later entry is the later decision. Between logs the
 * time of preparing tells, taken as no earlier than that of the entries before
 * it; at the same time the higher authority is the later one.
 *
 * Of one log the newest decision of each issuer counts, and of those the one of
 * the highest authority: its seal holds, or that there is none.
 *
 * Until the store was read once nobody is admitted: what cannot be read must
 * not let a revoked node in.
 *
 * Threads: any. Every function allows NULL for `roster`. */
#ifndef SYNC_ROSTER_H
#define SYNC_ROSTER_H

#include "sync/sync.h"

/* Another number whenever something changed. */
uint64_t roster_generation(struct roster *roster);
/* ERR_OK, or ERR_DENIED: it was revoked; by whom, when, by which directive, and
 * why. ERR_UNAVAILABLE: not known yet. */
MUST_USE enum err roster_check(struct roster *roster, uint64_t code,
                               struct errmsg *why);

/* The same without a refusal that counts. */
bool roster_is_revoked(struct roster *roster, uint64_t code);

/* A records log ends at `size` with this root, says the decision; 0: it cannot
 * be read, and nothing of the log is taken. */
struct roster_seal {
    struct store_node decision;
    struct log_id log;
    uint64_t size;
    struct hash root;
};
/* False: no seal on that log holds here. */
bool roster_seal(struct roster *roster, const struct log_id *log,
                 struct roster_seal *out);
/* The head of a log that its signer's chain does not vouch for now: ERR_OK if
 * the seal on the log names just this head, which then counts whoever signed
 * it; `out` is what it says. Else `err`, which is why the chain does not, and
 * `why` says what the seal names, if there is one. */
MUST_USE enum err roster_vouch(struct roster *roster, enum err err,
                               const struct log_id *log, struct slice note,
                               const char *federation, struct checkpoint *out,
                               struct errmsg *why);

/* ---- the judgement; pure ---- */

struct roster_node {
    uint64_t code;
    bool is_revoked;
    bool is_moved;
    struct store_node revoked; /* the decision that holds */
    struct store_node moved;
    char *reason; /* of the revocation; owned, NULL from roster_judge() */
};
/* Sorted by code; owned, one for each node of which anything was decided. */
struct roster_node *roster_judge(const struct store_node *decisions, size_t n,
                                 size_t *out_n);
/* Of the decisions about logs the seals that hold, by node and incarnation;
 * owned. */
struct store_node *roster_judge_seals(const struct store_node *decisions,
                                      size_t n, size_t *out_n);

#endif
