/* status.h - the state of the node as one answer (private to api). */
#ifndef API_STATUS_H
#define API_STATUS_H

#include "api/api.h"

/* For api_commands: state and reasons, store, lists, parent, children. */
enum err status_cmd(void *ctx, struct admin_call *call, json_t *args,
                    json_t **result, struct errmsg *why);

/* How far the clock of a neighbour that is connected, the parent or a child, is
 * ahead of this one: of the one that is off most. 0: nobody is connected. */
int64_t status_skew_ms(const struct api_env *env);

#endif
