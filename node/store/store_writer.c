#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_lists.h"

enum {
    RETRY_MS = 1000,
    WATCH_MS = 500, /* how often who waits for a job looks at it */
    ITEM_BYTES = 512,
    LINGER_ENTRIES = 64, /* a larger group is worth its commit */
    LINGER_MIN_NS = 3000000,
    LINGER_MAX_NS = 4000000,
    LOOKS = 64, /* groups, after one of which something was not new */
    NS_A_SECOND = 1000000000,
};

/* ---- items ---- */

void item_free(struct item *item)
{
    segment_free(&item->segment);
    buf_fini(&item->raw);
    mem_free(item->drafts);
    mem_free(item->judged);
    mem_free(item->results);
    mem_free(item->sources);
    mem_free(item->salvage);
    buf_fini(&item->text);
    buf_fini(&item->lines);
    buf_fini(&item->opening);
    mem_free(item->package);
    mem_free(item);
}

void item_fail(struct item *item, enum err err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(item->why, sizeof item->why, fmt, ap);
    va_end(ap);
    item->err = err;
}

/* Tells who waits, and frees. */
static void item_done(struct store *s, struct item *item)
{
    if (item->kind == ITEM_SUBMIT && item->submitted != NULL) {
        bool ok = item->err == ERR_OK;
        item->submitted(item->ctx, item->err, item->why,
                        ok ? item->results : NULL, ok ? item->entries : 0);
    } else if (item->kind == ITEM_APPEND) {
        item->appended(item->ctx, item->err, item->why, &item->segment->log,
                       item->size, item->added);
    } else if (item->kind == ITEM_PUBLISH) {
        item->published(item->ctx, item->err, item->why, &item->log,
                        item->first, item->last);
    } else if (item->kind == ITEM_JOB) {
        (void)pthread_mutex_lock(&s->queue.lock);
        *item->job_done = true;
        (void)pthread_cond_broadcast(&s->queue.job);
        (void)pthread_mutex_unlock(&s->queue.lock);
    }
    item_free(item);
}

static void fail_all(struct item *items, enum err err, const char *why)
{
    for (struct item *item = items; item != NULL; item = item->next) {
        if (item->err == ERR_OK) {
            item_fail(item, err, "%s", why);
        }
    }
}

static void finish_all(struct store *s, struct item *items)
{
    struct item *next;
    for (struct item *item = items; item != NULL; item = next) {
        next = item->next;
        item_done(s, item);
    }
}

/* ---- state ---- */

void writer_refuses(struct store *s, enum err err, const char *why)
{
    err = err == ERR_CORRUPT ? err : ERR_NO_SPACE;
    (void)pthread_mutex_lock(&s->state_lock); /* store_stats() reads both */
    (void)snprintf(s->why, sizeof s->why, "%s", why);
    bool first = atomic_exchange(&s->unwritable, (int)err) == ERR_OK;
    (void)pthread_mutex_unlock(&s->state_lock);
    if (first) {
        log_error(&s->log, "STORE-FULL",
                  "cause=\"%s\" effect=\"no new entries, reads go on\" "
                  "next=\"tried again every second\"",
                  why);
    }
}

void writer_server_away(struct store *s, const char *why)
{
    writer_refuses(s, ERR_NO_SPACE, why);
    (void)pthread_mutex_lock(&s->queue.lock);
    (void)pthread_cond_broadcast(&s->queue.wake); /* it tries every second */
    (void)pthread_mutex_unlock(&s->queue.lock);
}

static void set_writable(struct store *s)
{
    if (atomic_load(&s->unwritable) != ERR_OK) {
        (void)pthread_mutex_lock(&s->state_lock);
        s->why[0] = '\0';
        atomic_store(&s->unwritable, ERR_OK);
        (void)pthread_mutex_unlock(&s->state_lock);
        log_info(&s->log, "STORE-WRITABLE", "effect=\"entries again\"");
    }
}

/* Refuses in time: RocksDB needs room to tidy up. */
static enum err check_space(struct store *s, struct errmsg *why)
{
    uint64_t free_bytes = 0;
    bool readonly = false;
    enum err err = s->backend->space(s->db, &s->conf, &free_bytes, &readonly);
    if (err != ERR_OK) {
        return err_set(why, err, "store %s: free room cannot be told",
                       s->conf.path);
    }
    if (readonly) {
        return err_set(why, ERR_NO_SPACE, "store %s: read-only file system",
                       s->conf.path);
    }
    if (free_bytes < s->conf.reserve_bytes) {
        return err_set(why, ERR_NO_SPACE,
                       "store %s: %llu MB free, %llu MB are kept in reserve: "
                       "free some disk",
                       s->conf.path, (unsigned long long)(free_bytes >> 20),
                       (unsigned long long)(s->conf.reserve_bytes >> 20));
    }
    return ERR_OK;
}

/* Takes what fits one group; a job goes alone. Locked. */
static struct item *take_locked(struct queue *q)
{
    struct item *items = q->first;
    struct item **at = &q->first;
    size_t entries = 0;
    size_t bytes = 0;
    size_t n = 0;
    while (*at != NULL && n < GROUP_ITEMS_MAX) {
        struct item *item = *at;
        bool alone = item->kind == ITEM_JOB;
        if (item != items &&
            (alone || entries + item->entries > GROUP_ENTRIES_MAX ||
             bytes + item->bytes > GROUP_BYTES_MAX)) {
            break;
        }
        entries += item->entries;
        bytes += item->bytes;
        n++;
        q->n--;
        q->bytes -= item->bytes;
        at = &item->next;
        if (alone) {
            break;
        }
    }
    struct item *rest = *at;
    if (items != NULL) {
        *at = NULL;
        q->first = rest;
        q->last = rest == NULL ? &q->first : q->last;
    }
    return items;
}

/* ---- refusals ---- */

/* While nothing can be written. */
static void refuse(struct store *s, struct item *items)
{
    enum err err = (enum err)atomic_load(&s->unwritable);
    fail_all(items, err, "store takes no writes now");
    if (items->kind == ITEM_JOB) {
        (void)err_set(items->job_why, err, "%s", items->why);
    }
    finish_all(s, items);
}

static struct item *take_queued(struct queue *q)
{
    struct item *items = q->deferred;
    q->deferred = NULL;
    if (items == NULL) {
        (void)pthread_mutex_lock(&q->lock);
        items = take_locked(q);
        (void)pthread_mutex_unlock(&q->lock);
    }
    return items;
}

static void refuse_queued(struct store *s)
{
    struct item *items;
    while ((items = take_queued(&s->queue)) != NULL) {
        refuse(s, items);
    }
}

/* ---- doubtful commits ---- */

static void tell_replaced(struct store *s, enum err err)
{
    if (err == ERR_CONFLICT && s->env.replaced != NULL) {
        s->env.replaced(s->env.ctx);
    }
}

/* Closes, and opens for writing if that can be, else for reading. */
static enum err open_anew(struct store *s, struct errmsg *why)
{
    struct errmsg second;
    db_change_begin(s);
    if (s->db != NULL) {
        s->backend->close(s->db);
        s->db = NULL;
    }
    enum err err = s->backend->open(&s->db, &s->conf, false, why);
    if (err != ERR_OK &&
        s->backend->open(&s->db, &s->conf, true, &second) != ERR_OK) {
        s->db = NULL;
    }
    db_change_end(s);
    return err;
}

/* Makes it one that takes commits, with nothing left of what came before. */
static enum err reopen(struct store *s, struct errmsg *why)
{
    enum err err = s->backend->renew != NULL
                       ? s->backend->renew(s->db, &s->conf, why)
                       : open_anew(s, why);
    s->db_readonly = err != ERR_OK;
    s->conf.reopened = s->conf.reopened || err == ERR_OK;
    tell_replaced(s, err);
    return err;
}

static bool is_ending(struct store *s)
{
    (void)pthread_mutex_lock(&s->queue.lock);
    bool closing = s->queue.closing;
    (void)pthread_mutex_unlock(&s->queue.lock);
    return closing || atomic_load(&s->stopping);
}

/* Finds out whether commit number `serial` is there. What a read-only look
 * finds may not be durable yet; what it does not find may still be on its way,
 * unless the backend says otherwise. */
static enum err settle(struct store *s, uint64_t serial, struct errmsg *why)
{
    struct errmsg again;
    for (;;) {
        uint64_t found = 0;
        enum err err = reopen(s, &again);
        bool known =
            s->db != NULL && recover_serial(s, &found, &again) == ERR_OK;
        bool present = known && found >= serial;
        bool over =
            err == ERR_OK || err == ERR_CONFLICT || s->backend->absence_settles;
        if (known && !present && over) {
            return ERR_NO_SPACE;
        }
        if (present && err == ERR_OK) {
            return ERR_OK;
        }
        writer_refuses(s, read_failed(s, err, &again), again.text);
        if (is_ending(s)) {
            s->given_up = true;
            return err_set(why, ERR_UNCERTAIN,
                           "stopped before the last commit could be read "
                           "back: %s",
                           again.text);
        }
        refuse_queued(s); /* the doubt is not about them */
        clock_sleep(RETRY_MS);
    }
}

enum err writer_commit(struct store *s, void *batch, struct errmsg *why)
{
    enum err err = check_space(s, why);
    if (err == ERR_OK) {
        uint8_t serial[8];
        be_put64(serial, s->serial + 1);
        s->backend->put_meta(batch, META_SERIAL, slice_of(serial, 8));
        err = s->backend->commit(s->db, batch, why);
    }
    if (err == ERR_EXISTS) {
        return err;
    }
    if (err != ERR_OK) {
        writer_refuses(s, ERR_NO_SPACE, why->text);
    }
    if (err == ERR_CORRUPT) {
        store_damaged(s, why->text);
        err = ERR_UNCERTAIN;
    }
    if (err == ERR_UNCERTAIN) {
        err = settle(s, s->serial + 1, why);
    }
    if (err == ERR_OK) {
        serial_is(s, s->serial + 1);
        serial_write(s);
        (void)atomic_fetch_add(&s->commits, 1);
        if (!s->db_readonly) {
            set_writable(s);
        }
    }
    return err;
}

/* Once a second while nothing can be written. */
static void try_again(struct store *s)
{
    struct errmsg why;
    if (s->given_up) {
        return;
    }
    enum err err = check_space(s, &why);
    if (err == ERR_OK && (s->db == NULL || s->db_readonly)) {
        err = reopen(s, &why);
    }
    uint64_t serial;
    if (err == ERR_OK) { /* does it answer, and as the one that it was? */
        err = recover_serial(s, &serial, &why);
    }
    if (err == ERR_OK) {
        err = serial_fits(s, serial, &why);
        tell_replaced(s, err);
    }
    if (err == ERR_OK) {
        set_writable(s);
        if (s->key_unsaved) {
            s->key_unsaved = false;
            index_rejudge_all(s);
        }
    } else {
        writer_refuses(s, read_failed(s, err, &why), why.text);
    }
}

/* ---- one turn ---- */

void writer_tell_logs(struct store *s, const struct log_id *logs, size_t n)
{
    (void)pthread_mutex_lock(&s->watch_lock);
    for (size_t i = 0; n > 0 && i < s->watchers_n; i++) {
        s->watchers[i].fn(s->watchers[i].ctx, logs, n);
    }
    (void)pthread_mutex_unlock(&s->watch_lock);
}

void writer_tell(struct store *s, const struct group *g)
{
    struct log_id *logs = mem_alloc((g->touched_n + 1) * sizeof(*logs));
    size_t n = 0;
    for (size_t i = 0; i < g->touched_n; i++) {
        if (g->touched[i]->dirty) {
            logs[n++] = g->touched[i]->slot->log;
        }
    }
    writer_tell_logs(s, logs, n);
    mem_free(logs);
}

/* Cuts the list at the first item that must wait for the next group. */
static struct item *take_items(struct group *g, struct item *items)
{
    for (struct item **at = &items; *at != NULL; at = &(*at)->next) {
        if (!group_take(g, *at)) {
            struct item *rest = *at;
            *at = NULL;
            return rest;
        }
    }
    return NULL;
}

/* How many clients the next group may have: those of this one and those who
 * are waiting already. */
static void count_clients(struct store *s, const struct item *items,
                          int64_t begun_ns)
{
    struct queue *q = &s->queue;
    size_t entries = 0;
    uint32_t n = 0;
    for (; items != NULL && items->kind == ITEM_SUBMIT; items = items->next) {
        entries += items->entries;
        n++;
    }
    q->clients = 0;
    if (items != NULL || entries > LINGER_ENTRIES || q->deferred != NULL) {
        return;
    }
    (void)pthread_mutex_lock(&q->lock);
    n += q->n;
    (void)pthread_mutex_unlock(&q->lock);
    int64_t now_ns = clock_mono_ns();
    q->commit_ns += (now_ns - begun_ns - q->commit_ns) / 8;
    if (q->commit_ns < LINGER_MIN_NS) {
        return;
    }
    int64_t wait_ns =
        q->commit_ns < LINGER_MAX_NS ? q->commit_ns : LINGER_MAX_NS;
    q->clients = n;
    q->linger_until = now_ns + wait_ns;
}

/* Before what waits already: that came later. */
static void defer(struct queue *q, struct item *items)
{
    struct item **end = &items;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = q->deferred;
    q->deferred = items;
}

static enum err work_group(struct group *g, struct item *items, bool presume,
                           struct errmsg *why)
{
    enum err err = group_read_rows(g, items, presume, why);
    if (err == ERR_OK) {
        defer(&g->s->queue, take_items(g, items));
        err = group_commit(g, why);
    }
    return err;
}

/* Only what may be worked into a second group as if there had been no first. */
static bool may_presume(struct store *s, const struct item *items)
{
    if (s->backend->put_new_row == NULL || s->looks > 0) {
        s->looks -= s->looks > 0 ? 1 : 0;
        return false;
    }
    while (items != NULL && items->kind != ITEM_PUBLISH &&
           (items->kind != ITEM_APPEND ||
            items->segment->log.kind == LOG_RECORDS)) {
        items = items->next;
    }
    return items == NULL;
}

static void forget_outcomes(struct item *items)
{
    for (struct item *item = items; item != NULL; item = item->next) {
        item->err = ERR_OK;
        item->why[0] = '\0';
        item->size = 0;
        item->added = 0;
    }
}

static enum err run_group(struct store *s, struct item *items)
{
    struct group g;
    struct errmsg why;
    int64_t begun_ns = clock_mono_ns();
    group_init(&g, s);
    enum err err = work_group(&g, items, may_presume(s, items), &why);
    if (err == ERR_EXISTS) {
        group_fini(&g);
        group_init(&g, s);
        s->looks = LOOKS;
        forget_outcomes(items);
        err = work_group(&g, items, false, &why);
    }
    if (err != ERR_OK) {
        fail_all(items, err, why.text);
        (void)read_failed(s, err, &why);
    }
    count_clients(s, items, begun_ns);
    enum err first = items->err;
    finish_all(s, items);
    if (err == ERR_OK) {
        writer_tell(s, &g);
    }
    group_fini(&g);
    lists_settle(s);
    return first;
}

static void run_job(struct store *s, struct item *item)
{
    (void)stamps_begin_all(&s->stamps);
    item->err = item->job(s, item->ctx, item->job_why);
    stamps_end_all(&s->stamps);
    item_done(s, item);
}

/* Set-aside drafts first: they are older than what is queued. */
static enum err run_salvage(struct store *s, struct errmsg *why)
{
    enum err err;
    struct item *item = salvage_next(s, &err, why);
    if (item == NULL) {
        return read_failed(s, err, why);
    }
    err = run_group(s, item);
    return err_set(why, err, "what was set aside cannot be appended");
}

static bool may_drain(struct store *s)
{
    if ((s->role != ROLE_NODE && s->role != ROLE_MENDED) || s->salvaged == 0 ||
        s->pulling > 0 || s->hold.active || atomic_load(&s->awaits_parent)) {
        return false;
    }
    return heads_at(&s->heads, atomic_load(&s->own_id))->state == LOG_ACTIVE;
}

/* A read that fails for a reason that passes is tried again. */
static void background_fails(struct store *s, enum err err,
                             const struct errmsg *why)
{
    bool again = err_is_passing(err);
    bool first = s->background_ms == 0;
    s->background_ms = clock_mono_ms() + RETRY_MS;
    s->background_failed = !again;
    if (!again || first) {
        log_error(&s->log, "STORE-BACKGROUND", "cause=\"%s\" effect=\"%s\"",
                  why->text,
                  again ? "tried again every second"
                        : "stopped until the next start");
    }
}

/* Work that nobody waits for: what was set aside, entries whose key came.
 * Returns whether there is more. */
static bool run_background(struct store *s)
{
    struct errmsg why;
    enum err err = ERR_OK;
    if (atomic_load(&s->unwritable) != ERR_OK || s->background_failed ||
        clock_mono_ms() < s->background_ms) {
        return false;
    }
    bool drain = may_drain(s);
    if (drain) {
        err = run_salvage(s, &why);
    } else if (s->rejudge_origin != 0) {
        err = index_rejudge(s, &why);
    }
    if (err != ERR_OK) {
        /* What cannot be written is tried again when it can. */
        if (atomic_load(&s->unwritable) == ERR_OK) {
            background_fails(s, err, &why);
        }
        return false;
    }
    s->background_ms = 0;
    return drain || s->rejudge_origin != 0;
}

/* ---- queue ---- */

static void until_ns(struct timespec *out, int64_t ns)
{
    out->tv_sec = (time_t)(ns / NS_A_SECOND);
    out->tv_nsec = (long)(ns % NS_A_SECOND);
}

/* Clients that send a record each and wait for its answer come back together
 * soon after a commit. Whoever is first would be committed alone, and the
 * others would wait for that sync and then for their own. So the writer gives
 * those whom it has just answered the time of a commit to come back. One
 * client alone is never waited for, nor is anybody where a commit is quicker
 * than they are: there one half is committed while the other half is answered
 * and comes back, and thread and disk have work all the time. Lock held. */
static void linger(struct queue *q)
{
    struct timespec limit;
    q->due = q->clients;
    until_ns(&limit, q->linger_until);
    int rc = 0;
    while (rc == 0 && q->n < q->due && !q->closing) {
        q->asleep = true;
        rc = pthread_cond_timedwait(&q->wake, &q->lock, &limit);
    }
    q->asleep = false;
}

/* Waits for items; NULL: none now, look at other work or end. */
static struct item *next_items(struct store *s, bool wait, bool *end)
{
    struct queue *q = &s->queue;
    struct item *items = q->deferred;
    q->deferred = NULL;
    if (items != NULL) {
        return items;
    }
    struct timespec limit;
    clock_until(RETRY_MS, &limit);
    (void)pthread_mutex_lock(&q->lock);
    if (wait && q->clients > 1) {
        linger(q);
    }
    int rc = 0;
    q->due = 1;
    while (wait && rc == 0 && q->first == NULL && !q->closing) {
        q->asleep = true;
        rc = atomic_load(&s->unwritable) == ERR_OK && s->background_ms == 0
                 ? pthread_cond_wait(&q->wake, &q->lock)
                 : pthread_cond_timedwait(&q->wake, &q->lock, &limit);
    }
    q->asleep = false;
    q->clients = 0;
    items = take_locked(q);
    *end = items == NULL && q->closing;
    (void)pthread_mutex_unlock(&q->lock);
    return items;
}

static void run_items(struct store *s, struct item *items)
{
    if (atomic_load(&s->unwritable) != ERR_OK) {
        try_again(s);
    }
    enum err err = (enum err)atomic_load(&s->unwritable);
    if (err != ERR_OK && items != NULL) {
        refuse(s, items);
    } else if (items != NULL && items->kind == ITEM_JOB) {
        run_job(s, items);
    } else if (items != NULL) {
        (void)run_group(s, items);
    }
}

static void *writer_main(void *arg)
{
    struct store *s = arg;
    (void)pthread_setname_np(pthread_self(), "store-writer");
    bool end = false;
    bool more = true;
    while (!end) {
        struct item *items = next_items(s, !more, &end);
        run_items(s, items);
        more = !end && run_background(s);
    }
    return NULL;
}

enum err writer_start(struct store *s, struct errmsg *why)
{
    struct queue *q = &s->queue;
    (void)pthread_mutex_init(&q->lock, NULL);
    clock_cond_init(&q->wake);
    clock_cond_init(&q->job);
    q->last = &q->first;
    q->closing = false;
    s->writer_runs = true;
    int rc = pthread_create(&s->writer, NULL, writer_main, s);
    if (rc != 0) {
        s->writer_runs = false;
        return err_set(why, ERR_IO, "store: thread: %s", strerror(rc));
    }
    return ERR_OK;
}

void writer_close(struct store *s)
{
    struct queue *q = &s->queue;
    (void)pthread_mutex_lock(&q->lock);
    q->closing = true;
    (void)pthread_cond_broadcast(&q->wake);
    (void)pthread_mutex_unlock(&q->lock);
}

void writer_stop(struct store *s)
{
    struct queue *q = &s->queue;
    if (!s->writer_runs) {
        return;
    }
    writer_close(s);
    (void)pthread_join(s->writer, NULL);
    s->writer_runs = false;
    (void)pthread_cond_destroy(&q->wake);
    (void)pthread_cond_destroy(&q->job);
    (void)pthread_mutex_destroy(&q->lock);
}

/* Lock held. */
static bool is_full(const struct store *s, size_t bytes)
{
    const struct queue *q = &s->queue;
    return q->n >= s->conf.queue_max ||
           (q->n > 0 && q->bytes + bytes > s->conf.queue_bytes_max);
}

enum err writer_push(struct store *s, struct item **item)
{
    struct queue *q = &s->queue;
    struct item *it = *item;
    it->bytes += ITEM_BYTES;
    enum err err = ERR_OK;
    (void)pthread_mutex_lock(&q->lock);
    if (q->closing) {
        err = ERR_CANCELLED;
    } else if (it->kind != ITEM_JOB && !it->past_limit &&
               is_full(s, it->bytes)) {
        err = ERR_BUSY;
    } else {
        q->n++;
        q->bytes += it->bytes;
        *q->last = it;
        q->last = &it->next;
        *item = NULL;
    }
    bool wake =
        err == ERR_OK && q->asleep && (q->n >= q->due || it->kind == ITEM_JOB);
    q->asleep = q->asleep && !wake;
    (void)pthread_mutex_unlock(&q->lock);
    if (wake) { /* without the lock, or the writer would wait for it again */
        (void)pthread_cond_signal(&q->wake);
    }
    return err;
}

struct job_call {
    store_job_fn *fn;
    void *ctx;
    enum err err;
};

static enum err run_call(struct store *s, void *ctx, struct errmsg *why)
{
    struct job_call *call = ctx;
    call->err = call->fn(s, call->ctx, why);
    return call->err;
}

/* Waits until it is done. */
static void wait_job(struct queue *q, const bool *done, job_watch_fn *watch,
                     void *ctx)
{
    (void)pthread_mutex_lock(&q->lock);
    while (!*done) {
        struct timespec limit;
        clock_until(WATCH_MS, &limit);
        int rc = pthread_cond_timedwait(&q->job, &q->lock, &limit);
        if (rc != 0 && watch != NULL && !*done) {
            (void)pthread_mutex_unlock(&q->lock);
            watch(ctx);
            (void)pthread_mutex_lock(&q->lock);
        }
    }
    (void)pthread_mutex_unlock(&q->lock);
}

enum err writer_job(struct store *s, store_job_fn *fn, void *ctx,
                    struct errmsg *why)
{
    return writer_job_watched(s, fn, NULL, ctx, why);
}

enum err writer_job_watched(struct store *s, store_job_fn *fn,
                            job_watch_fn *watch, void *ctx, struct errmsg *why)
{
    struct job_call call = {fn, ctx, ERR_NO_SPACE};
    bool done = false;
    struct item *item = MEM_NEW(struct item);
    item->kind = ITEM_JOB;
    item->job = run_call;
    item->job_why = why;
    item->job_done = &done;
    item->ctx = &call;
    enum err err = writer_push(s, &item);
    if (err != ERR_OK) {
        item_free(item);
        return err_set(why, err,
                       s->role == ROLE_FOLLOW
                           ? "this process stands by: say it to the "
                             "one that writes"
                           : "the store is being closed");
    }
    wait_job(&s->queue, &done, watch, ctx);
    return call.err;
}

/* ---- the public ways in ---- */

static enum err judge_draft(struct store *s, const struct log_id *own,
                            struct slice draft, struct judged *out)
{
    if (draft.len > ENTRY_MAX) {
        return ERR_TOO_LARGE;
    }
    struct slot slot = {.entry = draft};
    /* Its number is not known yet; 0 stands for any but the first. */
    index_judge(s, own, 0, &slot, out);
    if (out->reason == REASON_NO_KEY) {
        return ERR_SEALED;
    }
    bool fits = out->reason == REASON_NONE &&
                (out->type == ENTRY_RECORD || out->type == ENTRY_KEY);
    return fits ? ERR_OK : ERR_INVALID;
}

/* `judged` is left to the caller: index_judge() fills it in. */
struct item *item_submission(const struct slice *drafts, size_t n)
{
    struct item *item = MEM_NEW(struct item);
    item->kind = ITEM_SUBMIT;
    item->entries = n;
    item->drafts = mem_zalloc(n, sizeof(*item->drafts));
    item->judged = mem_alloc(n * sizeof(*item->judged));
    item->results = mem_zalloc(n, sizeof(*item->results));
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        len += drafts[i].len;
    }
    (void)buf_reserve(&item->raw, len);
    for (size_t i = 0; i < n; i++) {
        item->drafts[i] =
            slice_of(item->raw.data + item->raw.len, drafts[i].len);
        buf_put_slice(&item->raw, drafts[i]);
    }
    item->bytes = len + n * (sizeof(*item->drafts) + sizeof(*item->judged) +
                             sizeof(*item->results));
    return item;
}

enum err store_submit(struct store *store, const struct slice *drafts, size_t n,
                      store_submitted_fn *done, void *ctx)
{
    return store_submit_from(store, drafts, NULL, n, done, ctx);
}

enum err store_submit_from(struct store *store, const struct slice *drafts,
                           const struct draft_source *sources, size_t n,
                           store_submitted_fn *done, void *ctx)
{
    enum err err = (enum err)atomic_load(&store->unwritable);
    if (err != ERR_OK) {
        return err;
    }
    if (n == 0 || n > DRAFTS_MAX) {
        return n == 0 ? ERR_INVALID : ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < n; i++) {
        if (drafts[i].len > ENTRY_MAX) {
            return ERR_TOO_LARGE;
        }
    }
    struct item *item = item_submission(drafts, n);
    if (sources != NULL) {
        item->sources = mem_dup(sources, n * sizeof *sources);
        item->bytes += n * sizeof *sources;
    }
    item->submitted = done;
    item->ctx = ctx;
    struct log_id own = store_own_log(store);
    for (size_t i = 0; err == ERR_OK && i < n; i++) {
        err = judge_draft(store, &own, item->drafts[i], &item->judged[i]);
    }
    if (err == ERR_OK) {
        err = writer_push(store, &item);
    }
    if (err != ERR_OK) {
        item_free(item);
    }
    return err;
}

static bool refs_fit(const struct segment *seg)
{
    uint64_t end = seg->first + seg->count;
    uint64_t next = seg->first;
    for (size_t i = 0; i < seg->refs_count; i++) {
        const struct block_ref *ref = &seg->refs[i];
        size_t count;
        if (ref->offset > seg->blocks.len ||
            ref->len > seg->blocks.len - ref->offset ||
            block_count(slice_of(seg->blocks.data + ref->offset, ref->len),
                        &count) != ERR_OK ||
            count != ref->count || ref->first > next ||
            ref->first + count <= next || (i > 0 && ref->first != next)) {
            return false;
        }
        next = ref->first + count;
    }
    return next == end;
}

static bool segment_fits(const struct segment *seg)
{
    return seg->count > 0 && seg->count <= SEGMENT_ENTRIES_MAX &&
           seg->first == seg->before.size + 1 &&
           seg->after.size == seg->before.size + seg->count &&
           seg->newest.size >= seg->after.size &&
           seg->bridge.size == seg->newest.size && seg->note.len > 0 &&
           seg->note.len <= CHECKPOINT_MAX &&
           seg->chain.len <= CERT_CHAIN_MAX &&
           seg->blocks.len <= SEGMENT_BYTES_MAX && refs_fit(seg);
}

static struct item *appending(struct store *s, const struct segment *seg)
{
    struct item *item = MEM_NEW(struct item);
    item->kind = ITEM_APPEND;
    item->entries = seg->count;
    item->judged = mem_alloc(seg->count * sizeof(*item->judged));
    for (size_t i = 0; i < seg->count; i++) {
        index_judge(s, &seg->log, seg->first + i, &seg->slots[i],
                    &item->judged[i]);
    }
    item->bytes = seg->raw.len + seg->blocks.len + seg->note.len +
                  seg->chain.len +
                  seg->count * (sizeof(*item->judged) + sizeof(*seg->leaves) +
                                sizeof(*seg->slots));
    return item;
}

static enum err append(struct store *store, struct segment **segment,
                       bool past_limit, store_appended_fn *done, void *ctx)
{
    enum err err = (enum err)atomic_load(&store->unwritable);
    if (err != ERR_OK) {
        return err;
    }
    if (!segment_fits(*segment)) {
        return ERR_INVALID;
    }
    struct item *item = appending(store, *segment);
    item->past_limit = past_limit;
    item->segment = *segment;
    item->appended = done;
    item->ctx = ctx;
    err = writer_push(store, &item);
    if (err != ERR_OK) {
        item->segment = NULL;
        item_free(item);
        return err;
    }
    *segment = NULL;
    return ERR_OK;
}

enum err store_append(struct store *store, struct segment **segment,
                      store_appended_fn *done, void *ctx)
{
    return append(store, segment, false, done, ctx);
}

bool store_has_room(struct store *store, size_t bytes)
{
    (void)pthread_mutex_lock(&store->queue.lock);
    bool full = is_full(store, bytes);
    (void)pthread_mutex_unlock(&store->queue.lock);
    return !full && atomic_load(&store->unwritable) == ERR_OK;
}

enum err store_append_now(struct store *store, struct segment **segment,
                          store_appended_fn *done, void *ctx)
{
    return append(store, segment, true, done, ctx);
}
