/* recv.h - is this segment what its origin signed? (private to sync)
 *
 * Per log: the frontier of what was verified and not yet committed, and the
 * newest signed head. A segment extends the frontier leaf by leaf and must
 * lead, by its bridge, to the head of a checkpoint that the log's origin
 * signed, or that a seal names. What is held already is trimmed after comparing
 * hashes.
 *
 * Nothing here does I/O but the tree view a caller lends for overlaps. No
 * allocation per entry. Threads: one at a time, an object. */
#ifndef SYNC_RECV_H
#define SYNC_RECV_H

#include "store/store.h"
#include "sync/wire.h"

struct roster;

struct recv_log {
    struct log_id log; /* first: see logmap.h */
    struct frontier verified;
    struct checkpoint newest; /* of a verified note; size 0: none yet */
    struct buf note;          /* its bytes */
    struct cert *cert;        /* of the chain; NULL: not checked yet */
    struct buf chain;         /* of the note's signer */
    int64_t checked_ms;       /* for when the chain was checked */
    uint64_t generation;      /* trust_generation() then */
};
struct recv_log *recv_log_new(const struct log_id *log);
void recv_log_free(struct recv_log **log);
/* Begins where the store stands. The chain is checked with the next new head:
 * only the newest one needs a certificate valid now. */
MUST_USE enum err recv_log_load(struct recv_log *log, struct trust *trust,
                                const struct store_head *head,
                                struct slice note, struct slice chain,
                                struct errmsg *why);

/* Why a segment was refused. */
struct refusal {
    uint64_t number; /* first entry concerned, 0: the whole log */
    bool disagree;   /* two signed heads do: the log is forked */
    char text[WIRE_TEXT_MAX];
};

/* `held` is the committed tree, NULL if there is none. ERR_OK: *out is the
 * segment for store_append(), or NULL if all of it is held already and under no
 * newer head, and the log has moved on. Any error leaves the log as it was and
 * fills `refusal`: ERR_PROTOCOL, ERR_GAP, ERR_BAD_PROOF, ERR_BAD_SIGNATURE,
 * ERR_UNAUTHENTICATED, ERR_CONFLICT (with `disagree`), ERR_SEALED,
 * ERR_TOO_LARGE; or the error of `held`, whose tree could not be read: a
 * passing one says nothing of the segment. */
struct recv;
/* Takes logs of this kind only. */
struct recv *recv_new(struct trust *trust, enum log_kind kind);
/* From now on the seals count that hold at this node: a head that no
 * certificate valid now vouches for is taken if it is what a seal names, and
 * nothing is taken past it (ERR_SEALED). `roster` is borrowed. */
void recv_heed(struct recv *recv, struct roster *roster);
void recv_free(struct recv **recv);
/* Is it soon hashed? A few packed bytes may stand for megabytes, and on the
 * poller all other streams would wait. */
bool recv_is_small(const struct wire_segment *in);
MUST_USE enum err recv_segment(struct recv *recv, struct recv_log *log,
                               const struct wire_segment *in,
                               const struct tree_view *held, int64_t now_ms,
                               struct segment **out, struct refusal *refusal);
/* Checks a signed head of the log without entries (Evidence, a Stop's note)
 * against what is held. ERR_OK: signed, and nothing here contradicts it.
 * ERR_CONFLICT with `disagree`: signed, and not of this tree. */
MUST_USE enum err recv_note(struct recv *recv, struct recv_log *log,
                            struct slice note, struct slice chain,
                            const struct tree_view *held, int64_t now_ms,
                            struct checkpoint *out, struct refusal *refusal);

#endif
