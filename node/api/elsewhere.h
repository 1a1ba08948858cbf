/* elsewhere.h - what would write, at a process that stands by: it is sent to
 * the one that writes (docs/decisions/0018-several-processes.md). Private to
 * api/. */
#ifndef API_ELSEWHERE_H
#define API_ELSEWHERE_H

#include "api/api.h"

/* `ctx` is the struct api_env. ERR_ELSEWHERE: another process of this node
 * writes, or none does now; `why` names it. */
MUST_USE enum err elsewhere_check(const void *ctx, struct errmsg *why);
/* The same of a call, which is answered then, with the other's address. */
bool elsewhere_refer(const struct api_env *env, struct rpc_call *call);

#endif
