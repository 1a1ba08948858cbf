#include "base/clock.h"
#include "base/mem.h"
#include "credit/package.h"
#include "store/store_lists.h"

static bool own_directives_pull(struct store *s)
{
    for (size_t i = 0; i < s->heads.n; i++) {
        const struct log_slot *slot = s->heads.sorted[i];
        if (slot->own && slot->log.kind == LOG_DIRECTIVES &&
            slot->state == LOG_PULLING) {
            return true;
        }
    }
    return false;
}

/* The log to append to; NULL: it is still to be opened. */
static enum err publishing_log(struct group *g, struct touched **out,
                               struct errmsg *why)
{
    struct store *s = g->s;
    uint32_t id = atomic_load(&s->directives_id);
    *out = NULL;
    if (atomic_load(&s->awaits_parent) || own_directives_pull(s)) {
        return err_set(why, ERR_BUSY,
                       "this node's own logs are still to come back from its "
                       "parent: publish when they are here");
    }
    if (id == 0) {
        return ERR_OK;
    }
    enum err err = group_touch(g, heads_at(&s->heads, id), out, why);
    if (err == ERR_OK && (*out)->head.h.state != LOG_ACTIVE) {
        err = err_set(why, ERR_FORKED,
                      "this node's directives log is stopped: %s",
                      log_state_name((*out)->head.h.state));
    }
    return err;
}

static void append_all(struct group *g, struct touched *t, struct item *item)
{
    for (size_t i = 0; i < item->entries; i++) {
        struct slot one = {.entry = item->drafts[i]};
        struct hash leaf;
        suite_hash_leaf(g->s->env.suite, one.entry, &leaf);
        uint64_t number = group_append_own(g, t, one.entry);
        item->first = i == 0 ? number : item->first;
        item->last = number;
        lists_take(g, t, number, &one, &leaf);
    }
    item->log = t->slot->log;
}

static enum err err_of(enum reason reason)
{
    return reason == REASON_NONE       ? ERR_OK
           : reason == REASON_REPLAYED ? ERR_EXISTS
           : reason == REASON_UNSIGNED ? ERR_BAD_SIGNATURE
                                       : ERR_DENIED;
}

/* A package that would have no effect does not get into the log. */
static enum err may_publish(struct group *g, struct touched *t,
                            const struct item *item, struct errmsg *why)
{
    const struct log_id none = {.origin = g->s->env.self,
                                .kind = LOG_DIRECTIVES};
    struct lists_alias same;
    struct lists_closing c = {.head = item->package,
                              .text = buf_slice(&item->text),
                              .lines = buf_slice(&item->lines),
                              .at_ms = clock_wall_ms(),
                              .same = &same};
    if (t != NULL) {
        (void)lists_working(g, t);
        c.number = t->head.h.frontier.size + item->entries;
    }
    enum reason reason =
        lists_judge_closing(g, t != NULL ? &t->slot->log : &none, t, &c, why);
    if (g->unread != ERR_OK) {
        *why = g->unread_why;
        return g->unread;
    }
    return err_of(reason);
}

void lists_publication(struct group *g, struct item *item)
{
    struct touched *t;
    struct errmsg why = {""};
    enum err err = publishing_log(g, &t, &why);
    if (err == ERR_OK) {
        err = may_publish(g, t, item, &why);
    }
    if (err == ERR_OK && t == NULL) {
        const struct entry_open first = {0};
        err =
            group_open_log(g, LOG_DIRECTIVES, &first, &item->opening, &t, &why);
    }
    if (err == ERR_OK) {
        append_all(g, t, item);
    } else {
        item_fail(item, err, "%.150s", why.text);
    }
}

static enum err do_open(struct store *s, void *ctx, struct errmsg *why)
{
    const struct entry_open first = {0};
    struct log_id *out = ctx;
    struct buf entry = BUF_INIT;
    struct touched *t;
    struct group g;
    group_init(&g, s);
    enum err err = publishing_log(&g, &t, why);
    if (err == ERR_OK && t != NULL) {
        err = err_set(why, ERR_EXISTS, "this node has a directives log");
    }
    if (err == ERR_OK) {
        err = group_open_log(&g, LOG_DIRECTIVES, &first, &entry, &t, why);
    }
    if (err == ERR_OK) {
        (void)lists_working(&g, t);
        err = group_commit(&g, why);
    }
    if (err == ERR_OK) {
        *out = t->slot->log;
        writer_tell(s, &g);
    }
    group_fini(&g);
    buf_fini(&entry);
    return err;
}

enum err store_open_directives(struct store *store, struct log_id *out,
                               struct errmsg *why)
{
    return writer_job(store, do_open, out, why);
}

static struct item *publication(const struct package *package)
{
    size_t n = package->head.entries + 2U;
    struct slice *entries = mem_zalloc(n, sizeof *entries);
    struct buf room = BUF_INIT;
    package_log_entries(package, clock_wall_ms(), &room, entries);
    struct item *item = item_submission(entries, n);
    buf_fini(&room);
    mem_free(entries);
    mem_free(item->judged);
    item->judged = NULL;
    item->kind = ITEM_PUBLISH;
    item->package = mem_dup(&package->head, sizeof package->head);
    buf_put_slice(&item->text, buf_slice(&package->text));
    buf_put_slice(&item->lines, buf_slice(&package->signatures));
    return item;
}

enum err store_publish(struct store *store, const struct package *package,
                       store_published_fn *done, void *ctx)
{
    enum err err = (enum err)atomic_load(&store->unwritable);
    if (err != ERR_OK) {
        return err;
    }
    struct item *item = publication(package);
    item->published = done;
    item->ctx = ctx;
    err = writer_push(store, &item);
    if (err != ERR_OK) {
        item_free(item);
    }
    return err;
}

enum err store_directives_log(struct store *store, struct log_id *out)
{
    uint32_t id = atomic_load(&store->directives_id);
    if (id == 0) {
        return ERR_NOT_FOUND;
    }
    *out = heads_at(&store->heads, id)->log;
    return ERR_OK;
}
