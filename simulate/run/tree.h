/* tree.h - the folder of a run: federation, certificates, configurations.
 *
 * The layout is that of simulate/tree.sh, so its functions work in a tree
 * that was kept: fed/ (the federation's CA), NODE-CODE/ for each node (certs/,
 * node.cfg with common.cfg and identity.cfg, revoked, parent, log, data/),
 * order (codes, parents first), root_hash. The configurations are the role
 * files of tiers/ with every FILL-IN filled in.
 *
 * Threads: one. */
#ifndef RUN_TREE_H
#define RUN_TREE_H

#include "run/places.h"

#define TREE_FEDERATION "run.simulation"

struct tree {
    const char *folder; /* of the run */
    const char *source; /* where certs/ and tiers/ are */
    const char *suite;  /* "intl" or "gm" */
    const struct place *place;
    const unsigned *port; /* where each listens, on 127.0.0.1 */
    unsigned n;
    unsigned deciders; /* who must sign: 1 of 1, or 2 of 3 */
};
/* How many there are, if `needed` must sign. */
unsigned tree_deciders(unsigned needed);

/* Called after each node. */
typedef void tree_progress_fn(void *ctx, unsigned done);

/* Whether directives are decided there; the keys of its deciders are
 * fed/deciders/CODE-1.key and so on. */
bool tree_is_issuer(const struct place *place);
/* Which nodes stand in a tree that was kept, and where each listens, as their
 * configurations say; both arrays are owned by the caller. ERR_CONF. */
MUST_USE enum err tree_read(const char *folder, struct place **place,
                            unsigned **port, unsigned *n, struct errmsg *why);
/* Makes it all; `folder` is there and empty. ERR_CONF, ERR_IO. */
MUST_USE enum err tree_make(const struct tree *tree, tree_progress_fn *progress,
                            void *ctx, struct errmsg *why);

#endif
