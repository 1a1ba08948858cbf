#include "api/elsewhere.h"

/* Who has just lost the lease, or won it, is on the way to the other side. */
enum err elsewhere_check(const void *ctx, struct errmsg *why)
{
    const struct api_env *env = ctx;
    char text[sizeof why->text];
    if (env->lease == NULL || (env->writes && lease_held(env->lease))) {
        return ERR_OK;
    }
    lease_say(env->lease, text, sizeof text);
    return err_set(why, ERR_ELSEWHERE, "%s", text);
}

bool elsewhere_refer(const struct api_env *env, struct rpc_call *call)
{
    struct errmsg why;
    if (elsewhere_check(env, &why) == ERR_OK) {
        return false;
    }
    struct lease_status st;
    lease_status(env->lease, &st);
    rpc_refer(call, st.known && !st.free ? st.address : "", why.text);
    return true;
}
