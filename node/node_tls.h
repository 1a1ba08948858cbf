/* node_tls.h - the TLS certificate of the running node, read again when its
 * file changes. Private to node/.
 *
 * A new certificate is used at the next handshake. One that cannot be used
 * (garbage, another node's, key does not fit) is refused with a log line and
 * the old one stays. Threads: any. */
#ifndef NODE_NODE_TLS_H
#define NODE_NODE_TLS_H

#include "conf/conf.h"
#include "rpc/rpc.h"

struct node_tls;
typedef enum err node_tls_fits_fn(void *ctx, const struct principal *self,
                                  struct errmsg *why);

MUST_USE enum err node_tls_open(struct node_tls **out,
                                const struct conf_tls *conf,
                                node_tls_fits_fn *fits, void *ctx,
                                const struct log_ctx *log, struct errmsg *why);
/* After every server and channel that uses it. */
void node_tls_close(struct node_tls **tls);
struct rpc_tls node_tls_source(struct node_tls *tls);
struct principal node_tls_self(struct node_tls *tls);
/* Looks at the files now; true if a new certificate was taken since the last
 * call, which a handshake may have done meanwhile. */
bool node_tls_refresh(struct node_tls *tls);

#endif
