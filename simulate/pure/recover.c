/* As restore.c does it, but as a machine instead of a thread that waits. */
#include <string.h>

#include "base/mem.h"
#include "pure/impl.h"
#include "sync/remote.h"

enum { FETCH_MS = 60000, HOUR_MS = 3600000 };

static void next(struct host *h);

static void ask(struct host *h, bool fetch, uint64_t size, uint64_t last)
{
    struct recover *r = &h->recover;
    struct host *parent = parent_of(h);
    r->call = ++h->w->ids;
    post(h->w,
         &(struct event){.kind = EV_CALL_END,
                         .host = h,
                         .life = h->life,
                         .token = r->call,
                         .err = ERR_UNAVAILABLE},
         fetch ? FETCH_MS : CALL_MS, NULL);
    if (parent->up && !h->cut) {
        post(h->w,
             &(struct event){.kind = EV_ASK,
                             .host = parent,
                             .from = h,
                             .fetch = fetch,
                             .token = r->call,
                             .size = size,
                             .last = last,
                             .log = r->waiting[0]},
             latency(h), NULL);
    }
}

static void finish(struct host *h, enum err err)
{
    struct recover *r = &h->recover;
    struct log_id log = r->waiting[0];
    bool ended = false;
    struct disk_log *l = disk_find(&h->disk, &log);
    if (err == ERR_OK && l != NULL && l->state == LOG_PULLING &&
        l->frontier.size >= r->held) {
        disk_end_pull(h, &log);
        ended = true;
    }
    say(h, "recovery ends: %s", err_name(err));
    memmove(r->waiting, r->waiting + 1, --r->n * sizeof *r->waiting);
    recv_log_free(&r->log);
    r->busy = r->searching = r->parting = r->came = false;
    r->call = 0;
    r->pending = 0;
    r->held = 0;
    if (err != ERR_OK) {
        up_retry_later(h);
    }
    up_restored(h, &log, ended);
    next(h);
}

static void next(struct host *h)
{
    struct recover *r = &h->recover;
    if (r->busy || r->n == 0 || parent_of(h) == NULL) {
        return;
    }
    r->busy = true;
    ask(h, false, 0, 0);
}

void recover_log(struct host *h, const struct log_id *log)
{
    struct recover *r = &h->recover;
    if (planted(h->w, PLANT_NO_SUCCESSOR) && is_own(h, log)) {
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        if (log_id_eq(&r->waiting[i], log)) {
            return;
        }
    }
    if (r->n == r->cap) {
        r->cap = r->cap == 0 ? 8 : 2 * r->cap;
        r->waiting = mem_realloc(r->waiting, r->cap * sizeof *r->waiting);
    }
    r->waiting[r->n++] = *log;
    next(h);
}

void recover_stop(struct host *h)
{
    struct recover *r = &h->recover;
    recv_log_free(&r->log);
    mem_free(r->waiting);
    *r = (struct recover){.n = 0};
}

/* ---- the lost tail ---- */

static void pull(struct host *h)
{
    struct recover *r = &h->recover;
    struct disk_log *l = disk_find(&h->disk, &r->waiting[0]);
    uint64_t size = l != NULL ? l->frontier.size : 0;
    if (l != NULL && l->own && l->limit != 0 && l->limit < r->held) {
        r->held = l->limit; /* past it a twin may have written on */
    }
    if (size >= r->held) {
        finish(h, ERR_OK);
        return;
    }
    struct store_head *head = MEM_NEW(struct store_head);
    struct errmsg why;
    enum err err = ERR_OK;
    r->log = recv_log_new(&r->waiting[0]);
    if (l != NULL) {
        head->frontier = l->frontier;
        head->newest = l->newest;
        err = recv_log_load(r->log, h->w->fed->trust, head, l->note, l->chain,
                            &why);
    }
    mem_free(head);
    if (err != ERR_OK) {
        finish(h, err);
    } else {
        ask(h, true, size + 1, r->held);
    }
}

void recover_fetched(struct host *h, uint64_t call, struct slice bytes)
{
    struct recover *r = &h->recover;
    struct wire_message m;
    struct errmsg why;
    struct refusal refusal = {.number = 0};
    struct segment *seg = NULL;
    if (call != r->call || r->log == NULL) {
        return;
    }
    struct disk_log *l = disk_find(&h->disk, &r->waiting[0]);
    struct tree_view view;
    if (l != NULL) {
        view = disk_view(l);
    }
    enum err err = wire_get_fetch_reply(bytes, &m, &why);
    if (err == ERR_OK) {
        err =
            recv_segment(h->recv, r->log, &m.segment, l != NULL ? &view : NULL,
                         h->w->fed->now_ms, &seg, &refusal);
    }
    if (err != ERR_OK) {
        say(h, "refuses what it fetched: %s", refusal.text);
        finish(h, err);
    } else if (seg != NULL) {
        struct item *item = MEM_NEW(struct item);
        item->seg = seg;
        item->call = call;
        r->pending++;
        disk_queue(h, item);
    }
}

void recover_appended(struct host *h, const struct item *item, enum err err)
{
    struct recover *r = &h->recover;
    if (item->call != r->call) {
        return;
    }
    r->pending--;
    if (err != ERR_OK) {
        finish(h, err);
    } else if (r->came && r->pending == 0) {
        finish(h, ERR_OK);
    }
}

void recover_end(struct host *h, uint64_t call, enum err err)
{
    struct recover *r = &h->recover;
    if (!r->busy || call != r->call || (r->came && err == ERR_UNAVAILABLE)) {
        return;
    }
    if (err != ERR_OK) {
        finish(h, err);
        return;
    }
    r->came = true;
    if (r->pending == 0) {
        finish(h, ERR_OK);
    }
}

/* ---- where the copies part ---- */

static bool may_succeed(struct host *h)
{
    int64_t *oldest = &h->recover.succeeded_ms[0];
    for (size_t i = 1; i < ARRAY_LEN(h->recover.succeeded_ms); i++) {
        int64_t *at = &h->recover.succeeded_ms[i];
        oldest = *at < *oldest ? at : oldest;
    }
    if (*oldest != 0 && h->w->now_ms - *oldest <= HOUR_MS) {
        return false;
    }
    *oldest = h->w->now_ms;
    return true;
}

/* The parent has a later signed head of this log than is here. */
static bool later_above(const struct host *h)
{
    const struct recover *r = &h->recover;
    const struct disk_log *l = disk_find(&h->disk, &r->waiting[0]);
    struct checkpoint theirs;
    return checkpoint_parse(r->note, trust_federation(h->w->fed->trust),
                            &theirs) == ERR_OK &&
           theirs.size > l->newest.size;
}

static void found_common(struct host *h)
{
    struct recover *r = &h->recover;
    struct log_id log = r->waiting[0];
    if (r->low == r->held && !later_above(h)) {
        finish(h, ERR_OK); /* equal after all */
    } else if (!may_succeed(h)) {
        finish(h, ERR_BUSY);
    } else {
        disk_succeed(h, &log, r->low, r->held, &r->root, r->note);
        pull(h);
    }
}

static uint64_t middle(const struct recover *r)
{
    return r->high - (r->high - r->low) / 2;
}

static void search(struct host *h, const struct hash *theirs, uint64_t at)
{
    struct recover *r = &h->recover;
    struct disk_log *l = disk_find(&h->disk, &r->waiting[0]);
    struct tree_view view = disk_view(l);
    struct hash ours;
    if (tree_root(&view, at, &ours) != ERR_OK) {
        finish(h, ERR_CORRUPT);
        return;
    }
    if (hash_eq(&ours, theirs)) {
        r->low = at;
    } else {
        r->high = at - 1;
    }
    if (r->low < r->high) {
        ask(h, false, middle(r), 0);
    } else {
        found_common(h);
    }
}

/* Nothing was rolled back if all that the parent can prove is still here. */
static bool lies(struct disk_log *l, const struct checkpoint *note)
{
    struct tree_view view = disk_view(l);
    struct hash root;
    return note->size <= l->frontier.size &&
           tree_root(&view, note->size, &root) == ERR_OK &&
           hash_eq(&root, &note->root);
}

static void own_answer(struct host *h, const struct checkpoint *note)
{
    struct recover *r = &h->recover;
    struct disk_log *l = disk_find(&h->disk, &r->waiting[0]);
    if (l == NULL || l->state == LOG_PULLING) {
        pull(h);
    } else if (l->state == LOG_CLOSED && r->held > l->frontier.size &&
               !disk_has_successor(&h->disk, &l->log)) {
        r->parting = true; /* is more of it above, or another tree? */
        ask(h, false, l->frontier.size, 0);
    } else if (l->state != LOG_ACTIVE) {
        finish(h, ERR_OK);
    } else if (lies(l, note)) {
        finish(h, ERR_BAD_PROOF);
    } else {
        r->searching = true;
        r->low = 0;
        r->high = l->frontier.size < r->held ? l->frontier.size : r->held;
        ask(h, false, r->high, 0);
    }
}

static void below_answer(struct host *h)
{
    struct recover *r = &h->recover;
    struct disk_log *l = disk_find(&h->disk, &r->waiting[0]);
    if (l == NULL || l->frontier.size == 0 || l->state == LOG_FORKED) {
        pull(h);
        return;
    }
    r->parting = true;
    r->high = l->frontier.size < r->held ? l->frontier.size : r->held;
    ask(h, false, r->high, 0);
}

static void parted(struct host *h, const struct wire_root_reply *reply)
{
    struct recover *r = &h->recover;
    struct disk_log *l = disk_find(&h->disk, &r->waiting[0]);
    struct tree_view view = disk_view(l);
    struct hash ours;
    bool same = tree_root(&view, reply->size, &ours) == ERR_OK &&
                hash_eq(&ours, &reply->root);
    if (same && l->own) {
        disk_resume(h, l, r->held, &r->root);
    }
    if (same) {
        pull(h);
    } else if (l->own) {
        finish(h, ERR_OK);
    } else {
        disk_fork(h, l, reply->note, "above it is another tree");
        finish(h, ERR_CONFLICT);
    }
}

void recover_answer(struct host *h, uint64_t call, struct slice bytes)
{
    struct recover *r = &h->recover;
    struct wire_root_reply reply;
    struct checkpoint note;
    struct errmsg why;
    if (call != r->call) {
        return;
    }
    r->call = 0;
    enum err err = wire_get_root_reply(bytes, &reply, &why);
    if (err == ERR_OK) {
        err = remote_prove(h->w->fed->trust, NULL, &r->waiting[0], &reply,
                           &note, &why);
    }
    if (err != ERR_OK) {
        finish(h, err);
    } else if (r->searching) {
        search(h, &reply.root, reply.size);
    } else if (r->parting) {
        parted(h, &reply);
    } else {
        r->held = reply.held;
        r->root = reply.root;
        r->note = keep(h->w, reply.note);
        is_own(h, &r->waiting[0]) ? own_answer(h, &note) : below_answer(h);
    }
}
