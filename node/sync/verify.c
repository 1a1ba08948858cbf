#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sync/remote.h"

/* The logs to compare: a copy, so that no lock is held while asking. */
struct ids {
    struct log_id *at;
    size_t count;
};

static bool add_id(void *ctx, const struct store_head *head)
{
    struct ids *ids = ctx;
    ids->at = mem_realloc(ids->at, (ids->count + 1) * sizeof *ids->at);
    ids->at[ids->count++] = head->log;
    return true;
}

static void say(struct verify_result *r)
{
    if (r->there == 0) {
        (void)snprintf(r->text, sizeof r->text, "not there");
    } else if (!r->equal) {
        (void)snprintf(r->text, sizeof r->text, "differs from entry %llu on",
                       (unsigned long long)r->first_difference);
    } else if (r->here == r->there) {
        (void)snprintf(r->text, sizeof r->text, "equal");
    } else {
        (void)snprintf(r->text, sizeof r->text, "equal as far as both go");
    }
}

static enum err compare(const struct sync_env *env, struct rpc_channel *channel,
                        const struct log_id *log, struct verify_result *r,
                        struct errmsg *why)
{
    struct store_head head;
    struct buf bytes = BUF_INIT;
    struct wire_root_reply reply;
    memset(r, 0, sizeof *r);
    r->log = *log;
    enum err err = store_head(env->store, log, &head);
    if (err != ERR_OK) {
        return err_set(why, err, "log %012llu: %s",
                       (unsigned long long)log->origin, err_text(err));
    }
    r->here = head.frontier.size;
    err = remote_root(channel, log, 0, &bytes, &reply, why);
    if (err == ERR_NOT_FOUND) {
        err = ERR_OK;
        r->equal = true;
    } else if (err == ERR_OK) {
        r->there = reply.held;
        uint64_t both = r->here < r->there ? r->here : r->there;
        uint64_t common = 0;
        struct tree_view view = store_view(env->store, &head);
        err = remote_common(channel, NULL, log, &view, both, &common, why);
        r->equal = common == both;
        r->first_difference = r->equal ? 0 : common + 1;
    }
    buf_fini(&bytes);
    say(r);
    return err;
}

enum err sync_verify(const struct sync_env *env, struct rpc_channel *channel,
                     const struct log_id *only, verify_fn *fn, void *ctx,
                     struct errmsg *why)
{
    struct ids ids = {NULL, 0};
    if (only != NULL) {
        ids.at = mem_dup(only, sizeof *only);
        ids.count = 1;
    } else {
        store_logs(env->store, add_id, &ids);
    }
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < ids.count; i++) {
        struct verify_result result;
        err = compare(env, channel, &ids.at[i], &result, why);
        if (err == ERR_OK) {
            fn(ctx, &result);
        }
    }
    mem_free(ids.at);
    return err;
}
