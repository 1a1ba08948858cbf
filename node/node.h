/* node.h - one running node: the parts and the order in which they come up. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "base/err.h"
#include "conf/conf.h"

struct node;

const char *node_version(void);

/* Brings every part up; on an error those already up go down again. Takes
 * the configuration. `conf_path` and `overrides` are read again by SIGHUP and
 * must outlive the node. */
MUST_USE enum err node_start(struct node **out, struct conf **conf,
                             const char *conf_path,
                             const char *const *overrides,
                             size_t overrides_count, struct errmsg *why);
/* Runs until SIGTERM, SIGINT or, with store.repair "auto", damage. Of several
 * processes one writes and the others stand by, and this changes sides as the
 * lease does; an error ends it if that cannot be done. */
MUST_USE enum err node_run(struct node *node);
/* True if node_run() ended because the store is damaged: a new start rebuilds
 * it. */
bool node_damaged(const struct node *node);
/* ERR_BUG if something was left behind (a handle, a thread). */
enum err node_stop(struct node **node);

/* What start-up checks and `check-config` shows beyond the file itself:
 * certificates fit the code, the role and each other, the root document has
 * the configured hash. */
MUST_USE enum err node_check(const struct conf *conf, struct errmsg *why);

#endif
