/* receipt.h - what a node and those below it hold of a directives log, signed
 * by that node (private to sync).
 *
 *   creditnode-receipt 1\n
 *   federation <name>\n
 *   node <code>\n                       who says it
 *   log <log id>\n
 *   time <milliseconds since 1970 UTC>\n
 *   held <size>\n                       durable at that node itself
 *   nodes <n>\n                         heard of: it and those below it
 *   at <size> <root> <n>\n              of which so many hold so much;
 *                                       largest first, at most 16
 *   missing <code> <size> <ms> <n>\n    that node holds less than `held`, and
 *                                       so much; last heard of at that time;
 *                                       stands for n nodes, it and those below
 *                                       it that hold as much; least first, at
 *                                       most 100
 *   signature <key> <signature>\n       by the node's signing key, over all
 *                                       lines before
 *
 * Numbers are decimal without leading zeros, a root is 64 hex digits. What
 * stands beyond the 16 sizes is counted at the smallest of all: a receipt says
 * too little, never too much. The sum of the `at` lines is `nodes`; of those
 * below `held` it is at least that of the `missing` lines.
 *
 * Threads: any; pure. */
#ifndef SYNC_RECEIPT_H
#define SYNC_RECEIPT_H

#include "ident/ident.h"
#include "mlog/log_id.h"
#include "mlog/tree.h"

enum {
    RECEIPT_SIZES_MAX = 16,
    RECEIPT_NAMES_MAX = 100,
    RECEIPT_MAX = 16 << 10,       /* bytes */
    RECEIPT_NODES_MAX = 10000000, /* no state has as many offices */
};

struct receipt_at {
    uint64_t size;
    struct hash root;
    uint64_t nodes;
};
struct receipt_missing {
    uint64_t code;
    uint64_t size;
    int64_t heard_ms; /* wall clock of whoever it is a child of */
    uint64_t nodes;
};
struct receipt {
    uint64_t node;
    struct log_id log;
    int64_t at_ms;
    uint64_t held;
    uint64_t nodes;
    struct receipt_at at[RECEIPT_SIZES_MAX + 1]; /* one to add another */
    size_t at_n;
    struct receipt_missing missing[RECEIPT_NAMES_MAX];
    size_t missing_n;
};

/* ---- adding up ---- */

/* A receipt of `node` alone. */
void receipt_init(struct receipt *r, uint64_t node, const struct log_id *log,
                  uint64_t held, const struct hash *root);
/* `nodes` more hold `size`. Sizes may come in any order. */
void receipt_add(struct receipt *r, const struct receipt_at *at);
/* Names one that holds less than r->held; receipt_add() counts it. Of more than
 * can be named those that hold most are left out. */
void receipt_add_missing(struct receipt *r, const struct receipt_missing *m);
/* Nodes that hold less than `size`, as far as the sizes tell: too many rather
 * than too few. */
uint64_t receipt_below(const struct receipt *r, uint64_t size);

/* ---- text ---- */

/* Appends text and signature. ERR_INVALID: the key is not one of the suite. */
MUST_USE enum err receipt_sign(const struct receipt *r, const char *federation,
                               enum suite suite, const struct key *key,
                               struct buf *out);
/* Reads it and checks every rule above; the signature is `line`, behind
 * `text_len` bytes. ERR_INVALID names line and rule. After an error *out
 * means nothing. */
MUST_USE enum err receipt_parse(struct slice text, const char *federation,
                                struct receipt *out, size_t *text_len,
                                struct slice *line, struct errmsg *why);
/* The same, and checks the signature by the certificate of the node that says
 * it. ERR_INVALID names line and rule; ERR_DENIED:
 * another node's key or another federation; ERR_BAD_SIGNATURE. After an error
 * *out means nothing. */
MUST_USE enum err receipt_verify(struct slice text, const char *federation,
                                 enum suite suite, const struct cert *cert,
                                 struct receipt *out, struct errmsg *why);

#endif
