/* registry.h - decisions about nodes as entries of a directives log: which are
 * shut out, whose child a node is where that differs from its code, and where
 * a log of a node ends that is no more.
 *
 * ENTRY_NODE: item is what is decided (enum registry_what), subject the node's
 * 12-digit code (SUBJECT_NODE), `decided` the day. Body: protobuf field 1 the
 * new parent's code (u64), field 2 the reason (1 to REGISTRY_REASON_MAX bytes
 * of UTF-8, without control characters and without a citizen's number). It
 * counts only if its issuer is above the node, and, where it names a parent, is
 * that parent or above it. A decision about the node's records log has its
 * incarnation (u64) in field 3; a seal also its size (u64) in field 4 and its
 * root (32 bytes) in field 5.
 *
 * Pure; any thread. */
#ifndef CREDIT_REGISTRY_H
#define CREDIT_REGISTRY_H

#include "ident/suite.h"
#include "mlog/entry.h"
#include "mlog/log_id.h"

enum registry_what {
    REGISTRY_REVOKED = 1,  /* no node talks to it any more */
    REGISTRY_RESTORED = 2, /* ends that */
    REGISTRY_PARENT = 3,   /* it is the child of another node from now on */
    REGISTRY_SEALED = 4, /* this records log of it ends here, whoever signed */
    REGISTRY_UNSEALED = 5, /* ends that */
    REGISTRY_WHATS
};

enum { REGISTRY_REASON_MAX = 500 };

struct registry_decision {
    enum registry_what what;
    uint64_t code;
    uint64_t parent; /* REGISTRY_PARENT */
    uint32_t decided;
    int64_t at_ms; /* when it was prepared, by the issuer's clock */
    struct slice reason;
    uint64_t incarnation; /* of its records log that it is about, if it is */
    uint64_t size;        /* REGISTRY_SEALED: entries of that log … */
    struct hash root;     /* … and their root */
};

/* "revoked", "restored", "parent", "sealed", "unsealed". */
const char *registry_what_name(enum registry_what what);
/* REGISTRY_WHATS: no such name. */
enum registry_what registry_what_of(const char *name);
/* Is it about a log of the node, not about the node as such? */
bool registry_is_of_log(enum registry_what what);
/* Of such a decision: which log. */
struct log_id registry_log(const struct registry_decision *d);

/* NULL, or the rule that a decision of `issuer` breaks. */
const char *registry_fault(const struct registry_decision *d, uint64_t issuer);

/* Fills `out`, borrowing from `room`, to which subject and body are appended.
 * The decision has no fault. */
void registry_to_entry(const struct registry_decision *d, struct buf *room,
                       struct entry *out);
/* Borrows from the entry. ERR_INVALID: not what this page says, or it does not
 * count in a log of `issuer`. */
MUST_USE enum err registry_take(const struct entry *e, uint64_t issuer,
                                struct registry_decision *out);

#endif
