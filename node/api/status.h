/* status.h - the state of the node as one answer (private to api). */
#ifndef API_STATUS_H
#define API_STATUS_H

#include "api/api.h"

/* For api_commands: state and reasons, store, lists, parent, children. */
enum err status_cmd(void *ctx, struct admin_call *call, json_t *args,
                    json_t **result, struct errmsg *why);

#endif
