#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sync/remote.h"
#include "sync/roster.h"
#include "sync/source.h"

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

/* ---- against the origin's signed head ---- */

/* ERR_INVALID: the way to the head is not known before the tail is back. A
 * passing error says nothing of the log. */
static enum err lead_to_head(const struct sync_env *env,
                             const struct store_head *head,
                             struct checkpoint *note)
{
    struct frontier f;
    struct bridge b;
    struct hash root;
    struct tree_view view = store_view(env->store, head);
    enum err err = tree_frontier(&view, head->frontier.size, &f);
    if (err != ERR_OK) {
        return err_is_passing(err) ? err : ERR_CORRUPT;
    }
    err = tree_bridge(&view, f.size, note->size, &b);
    if (err != ERR_OK) {
        return err;
    }
    err = bridge_root(&f, trust_suite(env->trust), &b, &root);
    return err == ERR_OK && hash_eq(&root, &note->root) ? ERR_OK
                                                        : ERR_BAD_PROOF;
}

static enum err check_signed(const struct sync_env *env,
                             const struct store_head *head, struct slice note,
                             struct slice chain, struct checkpoint *out,
                             struct errmsg *why)
{
    struct cert *cert = NULL;
    enum err err = trust_check(env->trust, chain, CERT_USE_SIGN, 0, &cert, why);
    if (err != ERR_OK) {
        err = roster_vouch(env->roster, err, &head->log, note,
                           trust_federation(env->trust), out, why);
    } else {
        err = checkpoint_verify(note, trust_federation(env->trust),
                                trust_suite(env->trust), cert, out);
        (void)err_set(why, err, "%s", err_text(err));
    }
    if (err == ERR_OK && !log_id_eq(&out->log, &head->log)) {
        err = err_set(why, ERR_BAD_SIGNATURE, "it is of another log");
    }
    cert_free(&cert);
    return err;
}

static void say_signed(struct verify_result *r, enum err err,
                       const struct checkpoint *note)
{
    const char *text = err == ERR_OK        ? "as its origin signed it"
                       : err == ERR_INVALID ? "its lost tail is not back yet"
                       : err == ERR_CORRUPT
                           ? "the tree cannot be read; creditnode scrub names "
                             "the place"
                           : "not what its origin signed; creditnode scrub "
                             "names the place";
    r->there = note->size;
    r->equal = err == ERR_OK || err == ERR_INVALID;
    (void)snprintf(r->text, sizeof r->text, "%s", text);
}

static enum err compare_origin(const struct sync_env *env,
                               const struct log_id *log,
                               struct verify_result *r, struct errmsg *why)
{
    struct store_head head;
    struct checkpoint signed_head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct errmsg unproven;
    memset(r, 0, sizeof *r);
    r->log = *log;
    enum err err = source_head(env->store, trust_federation(env->trust), log,
                               &head, &note, &chain);
    if (err == ERR_OK) {
        r->here = head.frontier.size;
        err = check_signed(env, &head, buf_slice(&note), buf_slice(&chain),
                           &signed_head, &unproven);
        if (err == ERR_OK) {
            enum err leads = lead_to_head(env, &head, &signed_head);
            say_signed(r, leads, &signed_head);
            err = err_is_passing(leads) ? leads : ERR_OK;
        } else {
            (void)snprintf(r->text, sizeof r->text, "its signed head: %.130s",
                           unproven.text);
            err = ERR_OK;
        }
    }
    if (err != ERR_OK) {
        err = err_set(why, err, "log %012llu: %s",
                      (unsigned long long)log->origin, err_text(err));
    }
    buf_fini(&note);
    buf_fini(&chain);
    return err;
}

/* ---- all logs, or one ---- */

static void list_ids(const struct sync_env *env, const struct log_id *only,
                     struct ids *ids)
{
    *ids = (struct ids){NULL, 0};
    if (only != NULL) {
        ids->at = mem_dup(only, sizeof *only);
        ids->count = 1;
    } else {
        store_logs(env->store, add_id, ids);
    }
}

/* `channel` NULL: with what the origins signed. */
static enum err verify_all(const struct sync_env *env,
                           struct rpc_channel *channel,
                           const struct log_id *only, verify_fn *fn, void *ctx,
                           struct errmsg *why)
{
    struct ids ids;
    enum err err = ERR_OK;
    list_ids(env, only, &ids);
    for (size_t i = 0; err == ERR_OK && i < ids.count; i++) {
        struct verify_result result;
        err = channel != NULL ? compare(env, channel, &ids.at[i], &result, why)
                              : compare_origin(env, &ids.at[i], &result, why);
        if (err == ERR_OK && !fn(ctx, &result)) {
            err = err_set(why, ERR_CANCELLED,
                          "ended after %zu of %zu logs were compared", i + 1,
                          ids.count);
        }
    }
    mem_free(ids.at);
    return err;
}

enum err sync_verify(const struct sync_env *env, struct rpc_channel *channel,
                     const struct log_id *only, verify_fn *fn, void *ctx,
                     struct errmsg *why)
{
    return verify_all(env, channel, only, fn, ctx, why);
}

enum err sync_verify_origin(const struct sync_env *env,
                            const struct log_id *only, verify_fn *fn, void *ctx,
                            struct errmsg *why)
{
    return verify_all(env, NULL, only, fn, ctx, why);
}
