/* A damaged database on a server is mended where it is: there may be no room,
 * or no right, for a second one, and a transaction leaves nothing half done.
 * Each log is cut to what can be proven of it, in one commit with its head; the
 * mark stays until all are done and the index is made anew, so that the next
 * start begins again what a stop interrupted. Who reads beside sees each commit
 * as he sees any other. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/rebuild_impl.h"

/* ---- what belongs to no log ---- */

static bool on_part(void *ctx, uint32_t id, struct slice value)
{
    struct rebuild *r = ctx;
    (void)value;
    r->last_id = id > r->last_id ? id : r->last_id;
    return true;
}

/* A log is known by its head, or by its note if that is lost. */
static enum err find_last(struct rebuild *r, struct errmsg *why)
{
    enum err err = r->b->parts(r->from, PART_HEAD, on_part, r, why);
    return err == ERR_OK ? r->b->parts(r->from, PART_NOTE, on_part, r, why)
                         : err;
}

static enum err check_identity(struct rebuild *r, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    enum err err = r->b->meta(r->from, META_IDENTITY, &value, why);
    if (err == ERR_OK) {
        err = recover_compare_identity(r->conf, r->env, buf_slice(&value), why);
    }
    buf_fini(&value);
    return err == ERR_NOT_FOUND ? err_set(why, ERR_CORRUPT,
                                          "store %s: it says no more whose "
                                          "it is",
                                          r->conf->path)
                                : err;
}

static enum err check_serial(struct rebuild *r, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    uint64_t beside = 0;
    enum err err = r->b->meta(r->from, META_SERIAL, &value, why);
    if (err == ERR_OK && value.len != 8) {
        err = err_set(why, ERR_CORRUPT,
                      "store %s: its count of commits cannot "
                      "be read",
                      r->conf->path);
    }
    if (err == ERR_OK) {
        r->serial = be_get64(value.data);
        err = serial_read(r->conf->path, &beside, why);
    }
    buf_fini(&value);
    return err == ERR_OK
               ? serial_compare(r->b, r->conf->path, r->serial, beside, why)
               : err;
}

enum err mend_meta(struct rebuild *r, struct errmsg *why)
{
    enum err err = check_identity(r, why);
    if (err == ERR_OK) {
        err = check_serial(r, why);
    }
    if (err == ERR_OK) {
        err = find_last(r, why);
    }
    if (err == ERR_OK) {
        rebuild_brakes(r);
    }
    return err;
}

/* ---- one log ---- */

struct proof {
    struct rebuild *r;
    uint32_t id;
    bool unfit;
    struct frontier *at;
};

static void on_kept_node(void *ctx, unsigned level, uint64_t index,
                         const struct hash *hash)
{
    const struct proof *p = ctx;
    struct rebuild *r = p->r;
    struct hash stored;
    struct errmsg why;
    bool fits = !p->unfit;
    if (!fits) {
        enum err err = r->b->node(r->from, p->id, level, index, &stored, &why);
        fits = rebuild_was_read(r, err, &why) && hash_eq(&stored, hash);
    }
    if (!fits) {
        r->b->put_node(r->batch, p->id, level, index, hash);
    }
}

static void on_kept(void *ctx, uint64_t number, const struct slot *slot)
{
    struct proof *p = ctx;
    struct hash leaf;
    (void)number;
    rebuild_leaf(p->r, slot, &leaf);
    frontier_append(p->at, p->r->env->suite, &leaf, on_kept_node, p);
}

enum err mend_prove(struct rebuild *r, const struct old_log *log,
                    const struct plan *plan, struct frontier *at)
{
    struct proof p = {r, log->id, plan->unfit, at};
    struct scan c = {.r = r,
                     .id = log->id,
                     .next = 1,
                     .last = plan->keep,
                     .entry = on_kept,
                     .ctx = &p};
    *at = (struct frontier){0};
    rebuild_scan(&c);
    return rebuild_proven(r, log, plan, at) ? ERR_OK : ERR_BAD_PROOF;
}

struct straddle {
    struct rebuild *r;
    uint32_t id;
    uint64_t keep;
    bool done;
};

/* Of the block in which the log ends now the first entries stay. */
static bool on_straddle(void *ctx, uint64_t first, struct slice block)
{
    struct straddle *c = ctx;
    struct rebuild *r = c->r;
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count;
    if (first > c->keep ||
        block_unpack(r->codec, block, slots, &count) != ERR_OK ||
        first + count <= c->keep) {
        return false;
    }
    struct buf packed = BUF_INIT;
    block_pack(r->packer, slots, (size_t)(c->keep - first + 1), &packed);
    r->b->put_block(r->batch, c->id, first, buf_slice(&packed));
    buf_fini(&packed);
    c->done = true;
    return false;
}

enum err mend_cut(struct rebuild *r, const struct old_log *log, uint64_t keep,
                  struct errmsg *why)
{
    struct straddle c = {r, log->id, keep, keep == 0};
    r->b->cut_log(r->batch, log->id, keep + 1, keep);
    enum err err = keep > 0 ? r->b->blocks(r->from, log->id, keep, false,
                                           on_straddle, &c, why)
                            : ERR_OK;
    return err == ERR_OK && !c.done ? err_set(why, ERR_CORRUPT,
                                              "the block of number %llu cannot "
                                              "be read again",
                                              (unsigned long long)keep)
                                    : err;
}

void mend_forget(struct rebuild *r, const struct old_log *log)
{
    struct head *head = MEM_NEW(struct head);
    struct buf coded = BUF_INIT;
    head->h.log = log->head.h.log;
    head->h.own = log->head.h.own;
    head->h.state = LOG_ABSENT;
    head->limit = log->head.limit;
    head->limit_root = log->head.limit_root;
    frontier_root(&head->h.frontier, r->env->suite, &head->h.root);
    head_encode(head, &coded);
    r->b->put_part(r->batch, log->id, PART_HEAD, buf_slice(&coded));
    /* What counted of it is judged as it comes again. */
    r->b->put_part(r->batch, log->id, PART_LISTS, slice_of("", 0));
    buf_fini(&coded);
    mem_free(head);
}

/* ---- all ---- */

static void say_end(const struct rebuild *r)
{
    log_warn(r->env->log, "STORE-REBUILD",
             "path=%s result=ok logs=%zu kept=%llu lost=%llu set_aside=%llu "
             "in_doubt=%s next=\"the index is made anew\"",
             r->conf->path, r->logs_n, (unsigned long long)r->kept,
             (unsigned long long)r->lost, (unsigned long long)r->aside,
             r->hold.active ? "own" : "none");
}

enum err mend_run(const struct backend *backend, const struct store_conf *conf,
                  const struct store_env *env, struct errmsg *why)
{
    struct rebuild *r = MEM_NEW(struct rebuild);
    const struct whose whose = {conf, env};
    uint64_t beside = 0;
    enum err err = serial_read(conf->path, &beside, why);
    _Atomic uint64_t known = beside;
    /* An opening of its own: two that mend must not take each other for one. */
    struct store_conf own = *conf;
    suite_random(&own.instance, sizeof own.instance);
    own.known = &known;
    own.recognise = recover_recognise;
    own.recognise_ctx = &whose;
    r->b = backend;
    r->conf = conf;
    r->env = env;
    r->in_place = true;
    r->said_at_ms = clock_mono_ms();
    if (err == ERR_OK) {
        err = backend->open(&r->from, &own, false, why);
    }
    if (r->from != NULL) {
        r->to = r->from;
        err = rebuild_all(r, why);
        backend->close(r->from);
    }
    /* Whatever became of the last commit, the next start begins again. */
    if (err == ERR_UNCERTAIN) {
        err = ERR_UNAVAILABLE;
    }
    if (err == ERR_OK) {
        say_end(r);
    }
    mem_free(r);
    return err;
}
