/* effects.h - what apps met on the lists, what they did about it, and what came
 * of a directive (private to api).
 *
 * Threads: any. */
#ifndef API_EFFECTS_H
#define API_EFFECTS_H

#include "api/api.h"
#include "credit/execution.h"

/* ---- hits ---- */

/* Those of one check by one app. */
struct effects;
struct effects *effects_new(struct api_env *env, const char *app);
void effects_free(struct effects **effects);
void effects_add(struct effects *effects, const struct store_listing *listing,
                 const char *subject);
typedef void effects_done_fn(void *ctx, bool recorded);
/* Notes those of today that are not noted yet; then `done` is called, once: at
 * once if nothing is to be written, else by a worker when they are durable or
 * the wait of env->effects is over; what is not durable by then is committed
 * all the same, or a log line says that it is not. `recorded`: all of them are.
 * Takes the object. */
void effects_note(struct effects **effects, effects_done_fn *done, void *ctx);

/* ---- feedback ---- */

struct effects_report {
    char log[LOG_ID_TEXT_MAX];
    uint64_t number;
    char outcome[24];
    char measures[1024];
    char reason[2048];
    uint64_t day; /* of the check; 0: of the last one that met the listing
                     within a week, or today */
};
struct effects_answer {
    uint8_t record_key[RECORD_KEY_LEN];
    struct draft_result result;
};
typedef void effects_reported_fn(void *ctx, enum err err, const char *why,
                                 const struct effects_answer *answer);
/* ERR_OK: `done` follows, on the writer's thread, when it is durable. Else the
 * report is refused: ERR_INVALID names field and rule, ERR_NOT_FOUND: no such
 * listing here. */
MUST_USE enum err effects_report(struct api_env *env, const char *app,
                                 const struct effects_report *report,
                                 effects_reported_fn *done, void *ctx,
                                 struct errmsg *why);

/* Query/Feedback; `app` is who calls. */
void effects_feedback(struct api_env *env, const char *app,
                      struct rpc_call *call);

/* ---- commands on the local socket ---- */

admin_fn effects_cmd_feedback;
admin_fn effects_cmd_list; /* directive effects */

#endif
