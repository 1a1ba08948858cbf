/* rootdraft.h - the next version of a root document, while it is changed.
 *
 * Begins as the document it follows. What comes out is text for
 * rootdoc_parse(), which judges it as a whole; here only what was asked for is
 * refused if it does not fit: ERR_NOT_FOUND, ERR_EXISTS, ERR_INVALID (an
 * ambiguous name), ERR_TOO_LARGE.
 *
 * Threads: one at a time. */
#ifndef IDENT_ROOTDRAFT_H
#define IDENT_ROOTDRAFT_H

#include "ident/rootdoc.h"

struct rootdraft;

struct rootdraft *rootdraft_new(const struct rootdoc *from);
void rootdraft_free(struct rootdraft **draft);
/* Appends the text of version N + 1, without remarks or signatures. */
void rootdraft_put(const struct rootdraft *draft, struct buf *out);
/* The same of a draft that nothing was changed in. */
void rootdraft_put_next(const struct rootdoc *from, struct buf *out);

/* Without deciders so far. */
MUST_USE enum err rootdraft_add_issuer(struct rootdraft *draft, uint64_t code,
                                       unsigned threshold, struct errmsg *why);
MUST_USE enum err rootdraft_remove_issuer(struct rootdraft *draft,
                                          uint64_t code, struct errmsg *why);
MUST_USE enum err rootdraft_set_threshold(struct rootdraft *draft,
                                          uint64_t code, unsigned threshold,
                                          struct errmsg *why);
MUST_USE enum err rootdraft_add_decider(struct rootdraft *draft, uint64_t code,
                                        const struct hash *key_id,
                                        const char *name, struct errmsg *why);
/* `who`: a name, or at least 8 digits of a key id. */
MUST_USE enum err rootdraft_remove_decider(struct rootdraft *draft,
                                           uint64_t code, const char *who,
                                           struct errmsg *why);
/* What the former deciders signed counts up to there; a draft begins without
 * such lines. Replaces one of the same incarnation. ERR_TOO_LARGE. */
MUST_USE enum err rootdraft_set_last(struct rootdraft *draft, uint64_t code,
                                     const struct rootdoc_last *last,
                                     struct errmsg *why);
/* `id`: SHA-256 of the certificate, DER. */
MUST_USE enum err rootdraft_add_ca(struct rootdraft *draft,
                                   const struct hash *id, struct errmsg *why);
/* `prefix`: at least 8 digits of the id. */
MUST_USE enum err rootdraft_remove_ca(struct rootdraft *draft,
                                      const char *prefix, struct errmsg *why);

#endif
