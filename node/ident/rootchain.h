/* rootchain.h - the versions of the root document that a node knows.
 *
 * Version 1 is a file of the configuration, known by its hash. Later ones came
 * from a neighbour or an operator and lie in a folder, one file each, named by
 * their version with eight digits. Each is checked against the one before
 * (rootdoc_follows()) when it comes and again at every start, so it does not
 * matter who brought it. Two texts of one version, both signed by enough, are a
 * fork of the chain: the first stays, the other is refused by name.
 *
 * Versions never leave before the chain is freed, so documents are borrowed.
 *
 * Threads: any; takes its own lock. */
#ifndef IDENT_ROOTCHAIN_H
#define IDENT_ROOTCHAIN_H

#include "ident/rootdoc.h"

enum {
    ROOTCHAIN_VERSIONS_MAX = 1024,
    ROOTCHAIN_FORKS_MAX = 16, /* neighbours remembered that do not agree */
};

struct rootchain;

/* Loads version 1 from `first_path`, whose hash must be `expected` (64 hex
 * digits), and all later ones in `folder` (may be missing; it is made with the
 * first version that comes). ERR_CONF names file, line and what to do; a file
 * in the folder that does not follow is refused, never passed over. */
MUST_USE enum err rootchain_open(struct rootchain **out, const char *first_path,
                                 const char *expected, const char *folder,
                                 struct errmsg *why);
void rootchain_free(struct rootchain **chain);

/* The version in force. */
const struct rootdoc *rootchain_newest(struct rootchain *chain);
/* NULL: not known here. */
const struct rootdoc *rootchain_at(struct rootchain *chain, uint64_t version);

/* Does the version in force name deciders for the node? */
MUST_USE bool rootchain_is_issuer(struct rootchain *chain, uint64_t code);
/* Does it, or did a version before it? What was decided then may count. */
MUST_USE bool rootchain_was_issuer(struct rootchain *chain, uint64_t code);

/* Whose deciders judge what ends at entry `number` of the directives log
 * `incarnation` of `code`: those in force, or those before them where the
 * versions since say so, of a log whose first entries are those that they name.
 * That `is_of` tells; NULL: of any log. NULL: nobody may issue there. */
typedef bool rootchain_is_of_fn(void *ctx, const struct rootdoc_last *last);
const struct rootdoc_issuer *
rootchain_issuer_for(struct rootchain *chain, uint64_t code,
                     uint64_t incarnation, uint64_t number,
                     rootchain_is_of_fn *is_of, void *ctx);

/* The lines `replaces` about that log, of all versions, one after the other:
 * *at is 0 for the first. False: there is no other. */
bool rootchain_next_last(struct rootchain *chain, uint64_t code,
                         uint64_t incarnation, size_t *at,
                         struct rootdoc_last *out);

/* Takes the next version, durably, and puts it in force; `from` (peer or path)
 * stands in messages. `*added` is false if it was known already; `*version` is
 * the document's.
 * ERR_GAP: versions between are missing; ERR_FORKED: another text of a version
 * known here, signed by enough; ERR_CONFLICT: another version 1; else as
 * rootdoc_parse() and rootdoc_follows(). */
MUST_USE enum err rootchain_add(struct rootchain *chain, struct slice bytes,
                                const char *from, bool *added,
                                uint64_t *version, struct errmsg *why);

/* Takes in the versions that another process has put into the folder since,
 * and tells the watcher of each; nothing is written. ERR_CONF: the next file
 * does not follow; else as file_read(). */
MUST_USE enum err rootchain_look(struct rootchain *chain, struct errmsg *why);

/* The neighbour `peer` (node code) has another text of a version; `text` says
 * which. Kept for people until the two agree again. */
void rootchain_note_fork(struct rootchain *chain, uint64_t peer,
                         const char *text);
void rootchain_agrees(struct rootchain *chain, uint64_t peer);
/* What was noted of one that does not agree; "" if all do. */
void rootchain_fork(struct rootchain *chain, struct errmsg *out);

/* Told after each version that was added, on the thread that added it, without
 * the lock. One watcher, set before there are other threads; NULL ends it. */
typedef void rootchain_watch_fn(void *ctx, const struct rootdoc *doc);
void rootchain_watch(struct rootchain *chain, rootchain_watch_fn *fn,
                     void *ctx);

#endif
