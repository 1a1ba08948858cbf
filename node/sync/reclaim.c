#include "sync/reclaim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "credit/package.h"

enum { PATH_LEN = 4096 + 64 };

struct reclaim {
    const struct sync_env *env;
    struct recv *recv;
    struct recv_log *log; /* of the file, from its first entry */
    struct reclaim_sum sum;
};

struct reclaim *reclaim_new(const struct sync_env *env,
                            const struct log_id *log)
{
    struct reclaim *r = MEM_NEW(struct reclaim);
    r->env = env;
    r->recv = recv_new(env->trust, LOG_DIRECTIVES);
    r->log = recv_log_new(log);
    return r;
}

void reclaim_free(struct reclaim **reclaim)
{
    struct reclaim *r = *reclaim;
    *reclaim = NULL;
    if (r != NULL) {
        recv_log_free(&r->log);
        recv_free(&r->recv);
        mem_free(r);
    }
}

void reclaim_sum(const struct reclaim *r, struct reclaim_sum *out)
{
    *out = r->sum;
}

/* ---- what was published behind the common prefix ---- */

struct tail {
    struct reclaim *r;
    struct buf file; /* of the package at hand; empty: none was begun */
};

/* Its own check, so that what is kept can be published again as it is. */
static enum err keep_package(struct tail *t, struct errmsg *why)
{
    struct package *package = NULL;
    char path[PATH_LEN];
    char id[2 * PACKAGE_ID_LEN + 1];
    enum err err = package_parse(&package, buf_slice(&t->file), "package", why);
    if (err == ERR_OK) {
        str_hex(package->head.id, PACKAGE_ID_LEN, id);
        (void)snprintf(path, sizeof path, "%s/package-%s", t->r->env->set_aside,
                       id);
        err = file_make_dirs(t->r->env->set_aside, why);
    }
    if (err == ERR_OK) {
        err = file_replace(path, buf_slice(&t->file), 0600, why);
    }
    if (err == ERR_OK) {
        t->r->sum.set_aside++;
        log_error(t->r->env->log, "RECLAIM-SET-ASIDE",
                  "package=%s cause=\"published by this node after it was put "
                  "back; it stands in no copy below\" todo=\"read it with "
                  "`creditnode directive show`, and publish it again\"",
                  path);
    }
    package_free(&package);
    return err;
}

static void put_entry(struct buf *file, struct slice bytes)
{
    buf_put_str(file, "entry ");
    str_base64(bytes, file);
    buf_put_u8(file, '\n');
}

static enum err tail_entry(struct tail *t, struct slice bytes,
                           struct errmsg *why)
{
    struct entry e;
    if (entry_decode(bytes, &e) != ERR_OK || e.type == ENTRY_OPEN) {
        return ERR_OK;
    }
    if (e.type == ENTRY_PACKAGE) {
        buf_clear(&t->file);
        buf_put_slice(&t->file, e.body);
        return ERR_OK;
    }
    if (e.type != ENTRY_PACKAGE_END) {
        put_entry(&t->file, bytes);
        return ERR_OK;
    }
    buf_put_slice(&t->file, e.body);
    enum err err = keep_package(t, why);
    buf_clear(&t->file);
    return err;
}

static enum err keep_tail(struct reclaim *r, uint64_t common, uint64_t size,
                          struct errmsg *why)
{
    struct tail t = {.r = r};
    struct buf bytes = BUF_INIT;
    enum err err = ERR_OK;
    for (uint64_t n = common + 1; err == ERR_OK && n <= size; n++) {
        buf_clear(&bytes);
        err = store_entry(r->env->store, &r->log->log, n, &bytes);
        err = err == ERR_OK
                  ? tail_entry(&t, buf_slice(&bytes), why)
                  : err_set(why, err, "entry %" PRIu64 " cannot be read", n);
    }
    buf_fini(&bytes);
    buf_fini(&t.file);
    return err;
}

/* ---- where the copies part ---- */

/* The file's tree at entry `n` of `seg` against the one held here. */
struct walk {
    const struct tree_view *held;
    const struct segment *seg;
    enum suite suite;
    struct frontier at;
};

static enum err step_to(struct walk *w, uint64_t n, bool *same)
{
    struct hash theirs;
    struct hash ours;
    while (w->at.size < n) {
        size_t i = (size_t)(w->at.size - w->seg->before.size);
        frontier_append(&w->at, w->suite, &w->seg->leaves[i], NULL, NULL);
    }
    frontier_root(&w->at, w->suite, &theirs);
    enum err err = tree_root(w->held, n, &ours);
    *same = err == ERR_OK && hash_eq(&ours, &theirs);
    return err;
}

/* The last entry up to `end` at which both trees are one; at least the one
 * before the segment, which was compared before. */
static enum err last_common(struct walk *w, uint64_t end, uint64_t *common)
{
    bool same;
    w->at = w->seg->before;
    *common = w->at.size;
    enum err err = step_to(w, end, &same);
    if (err == ERR_OK && same) {
        *common = end;
        return ERR_OK;
    }
    w->at = w->seg->before;
    same = true;
    for (uint64_t n = *common + 1; err == ERR_OK && same && n < end; n++) {
        err = step_to(w, n, &same);
        *common = same ? n : *common;
    }
    return err;
}

static enum err succeed(struct reclaim *r, const struct store_head *head,
                        const struct segment *seg, uint64_t common,
                        struct errmsg *why)
{
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&head->log, log);
    log_warn(r->env->log, "RECLAIM",
             "log=%s held=%" PRIu64 " common=%" PRIu64 " file=%" PRIu64, log,
             head->frontier.size, common, seg->newest.size);
    enum err err = keep_tail(r, common, head->frontier.size, why);
    if (err == ERR_OK) {
        err = store_succeed(r->env->store, &head->log, common, seg->newest.size,
                            &seg->newest.root, buf_slice(&seg->note), why);
    }
    r->sum.succeeded = err == ERR_OK;
    return err;
}

/* Is what is held here the file's, and all of it? If not: the log gets a
 * successor, unless it has one and this is the copy that comes back. */
static enum err compare(struct reclaim *r, const struct store_head *head,
                        const struct segment *seg, struct errmsg *why)
{
    uint64_t size = head->frontier.size;
    uint64_t end = seg->after.size < size ? seg->after.size : size;
    uint64_t common = end;
    enum err err = ERR_OK;
    if (end > seg->before.size) {
        struct tree_view view = store_view(r->env->store, head);
        struct walk *w = MEM_NEW(struct walk);
        w->held = &view;
        w->seg = seg;
        w->suite = trust_suite(r->env->trust);
        err = last_common(w, end, &common);
        mem_free(w);
    }
    if (err != ERR_OK) {
        return err_set(why, err, "the tree here cannot be read");
    }
    bool parted = common < end;
    bool longer = !parted && seg->newest.size > size && seg->after.size >= size;
    if (!parted && !longer) {
        return ERR_OK;
    }
    if (head->state == LOG_ACTIVE || head->state == LOG_FORKED) {
        return succeed(r, head, seg, common, why);
    }
    return !parted && head->state == LOG_PULLING
               ? ERR_OK
               : err_set(why, ERR_CONFLICT,
                         "the log has a successor since it ended at entry "
                         "%" PRIu64 "; this file goes on otherwise behind "
                         "entry %" PRIu64,
                         head->end, common);
}

/* False: nothing of the log is here, so it comes back whole. */
static bool known(const struct reclaim *r, struct store_head *head)
{
    return store_head(r->env->store, &r->log->log, head) == ERR_OK &&
           head->state != LOG_ABSENT;
}

enum err reclaim_segment(struct reclaim *r, const struct wire_segment *in,
                         struct segment **out, struct errmsg *why)
{
    struct segment *seg = NULL;
    struct refusal refusal;
    *out = NULL;
    if (in->first != r->log->verified.size + 1) {
        return err_set(why, ERR_GAP,
                       "a log of this node's own comes back from a file that "
                       "begins at entry 1: export it without --from");
    }
    /* What this node signed it signed, though it was put back so late that the
     * certificate of that time has ended. */
    enum err err = recv_segment(r->recv, r->log, in, NULL, 0, &seg, &refusal);
    if (err != ERR_OK) {
        return err_set(why, err, "%s", refusal.text);
    }
    struct store_head *head = MEM_NEW(struct store_head);
    err = known(r, head) ? compare(r, head, seg, why) : ERR_OK;
    r->sum.held = known(r, head) ? head->frontier.size : 0;
    if (err != ERR_OK || seg->after.size <= r->sum.held) {
        segment_free(&seg);
    }
    mem_free(head);
    *out = seg;
    return err;
}
