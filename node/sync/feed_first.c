/* An issuer's first log of directives.
 *
 * Until an authority has one, nobody below can tell "decided nothing" from
 * "nothing of it came", so it opens one before it decides anything. One that
 * lost its store had a log, which comes back from below: a new and empty log
 * beside it would say that nothing is decided, and call that fresh. So whoever
 * may know is asked before: the parent, which names the records logs of this
 * node, and the nodes below, which name what they hold when they connect. */
#include "base/clock.h"
#include "ident/rootchain.h"
#include "sync/feed_impl.h"

struct own {
    uint64_t self;
    unsigned records;
    bool below;
};

static bool on_log(void *ctx, const struct store_head *head)
{
    struct own *own = ctx;
    own->records +=
        head->log.origin == own->self && head->log.kind == LOG_RECORDS;
    return own->records <= 1;
}

static bool on_directives(void *ctx, const struct store_head *head)
{
    bool *any = ctx;
    *any = *any || head->own;
    return !*any;
}

static bool on_told(void *ctx, const struct feed_status *told)
{
    struct own *own = ctx;
    own->below =
        own->below || (told->log.origin == own->self && told->size > 0);
    return !own->below;
}

static bool is_issuer(const struct sync_env *env)
{
    return env->roots != NULL &&
           rootchain_is_issuer(env->roots, env->self.code);
}

static bool is_answered_above(const struct sync_env *env)
{
    return !store_awaits_parent(env->store) &&
           (env->told_above == NULL || env->told_above(env->ctx));
}

/* Cheap first: an issuer that is not sure asks in every period. */
static bool is_first(struct feed *feed)
{
    const struct sync_env *env = feed->env;
    struct own own = {.self = env->self.code};
    bool any = false;
    store_directives(env->store, on_directives, &any);
    if (any || !is_answered_above(env)) {
        return false;
    }
    feed_children(feed, on_told, &own);
    if (own.below) {
        return false;
    }
    /* A store that was lost or put back has its former records logs, too. */
    store_logs(env->store, on_log, &own);
    feed->was_lost = own.records != 1;
    return !feed->was_lost;
}

void feed_open_first(struct feed *feed)
{
    struct log_id log;
    struct errmsg why;
    if (feed->first_log_ms == 0 || feed->was_lost ||
        clock_mono_ms() - feed->began_ms < feed->first_log_ms ||
        store_directives_log(feed->env->store, &log) == ERR_OK ||
        !is_issuer(feed->env) || !is_first(feed)) {
        return;
    }
    enum err err = store_open_directives(feed->env->store, &log, &why);
    if (err == ERR_OK) {
        char name[LOG_ID_TEXT_MAX];
        log_id_format(&log, name);
        log_info(feed->env->log, "FEED-FIRST-LOG", "log=%s", name);
    } else if (!err_is_passing(err)) {
        log_warn(feed->env->log, "FEED-FIRST-LOG",
                 "err=%s text=\"%s\" effect=\"nodes below name this issuer as "
                 "unheard\" next=\"tried again in the next period\"",
                 err_name(err), why.text);
    }
}
