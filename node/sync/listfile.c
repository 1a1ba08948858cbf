#include "sync/listfile.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ident/rootchain.h"
#include "sync/fresh.h"
#include "sync/hello.h"
#include "sync/intake.h"
#include "sync/listframe.h"
#include "sync/reclaim.h"
#include "sync/source.h"

enum {
    SEGMENT_BYTES = 128 << 10,
    STORE_WAIT_MS = 20,
    STALLED_MS = 10000,
    ROUNDS_MAX = 1000, /* of an export that commits overtake */
};

/* ---- writing ---- */

struct writing {
    const struct sync_env *env;
    listfile_put_fn *put;
    void *ctx;
    struct buf frame;
};

/* In pieces: a block alone may be large. */
static enum err put_bytes(const struct writing *w, struct slice bytes)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && bytes.len > 0) {
        size_t len =
            bytes.len < LISTFILE_PIECE_MAX ? bytes.len : LISTFILE_PIECE_MAX;
        err = w->put(w->ctx, slice_of(bytes.data, len));
        bytes = slice_of(bytes.data + len, bytes.len - len);
    }
    return err;
}

static enum err put_frame(struct writing *w, const struct buf *message)
{
    buf_clear(&w->frame);
    buf_put_u32(&w->frame, (uint32_t)message->len);
    buf_put_slice(&w->frame, buf_slice(message));
    return put_bytes(w, buf_slice(&w->frame));
}

static enum err put_roots(struct writing *w)
{
    const struct rootdoc *doc;
    enum err err = ERR_OK;
    for (uint64_t v = 2;
         err == ERR_OK && (doc = rootchain_at(w->env->roots, v)) != NULL; v++) {
        struct buf message = BUF_INIT;
        wire_put_feed_root(&message, rootdoc_bytes(doc));
        err = put_frame(w, &message);
        buf_fini(&message);
    }
    return err;
}

static enum err put_segments(struct writing *w, struct source *src,
                             const struct log_id *log, uint64_t from,
                             uint64_t size)
{
    enum err err = ERR_OK;
    bool first = true;
    while (err == ERR_OK && from <= size) {
        err = source_read(src, w->env->store, log, from, size, SEGMENT_BYTES);
        if (err == ERR_OK) {
            err = source_read_note(src, w->env->store);
        }
        if (err == ERR_OK) {
            struct buf message = BUF_INIT;
            struct wire_segment_out out = source_segment(src, true, first);
            wire_put_segment(&message, &out);
            err = put_frame(w, &message);
            buf_fini(&message);
            from = src->end + 1;
            first = false;
        }
    }
    return err;
}

/* The newest there is: an issuer signs it anew every few seconds. If entries
 * came meanwhile nothing is written, and *size tells how many there are. */
static enum err put_head(struct writing *w, const struct log_id *log,
                         uint64_t *size)
{
    uint64_t written = *size;
    const struct sync_env *env = w->env;
    struct store_head *held = MEM_NEW(struct store_head);
    struct checkpoint head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct buf message = BUF_INIT;
    enum err err = source_head(env->store, trust_federation(env->trust), log,
                               held, &note, &chain);
    if (err == ERR_OK) {
        struct buf newer = BUF_INIT;
        struct buf by = BUF_INIT;
        *size = held->frontier.size;
        if (fresh_newer(env->fresh, log, held->newest.at_ms, &head, &newer,
                        &by) &&
            newer.len > 0 && head.size == *size) {
            buf_clear(&note);
            buf_clear(&chain);
            buf_put_slice(&note, buf_slice(&newer));
            buf_put_slice(&chain, buf_slice(&by));
        }
        buf_fini(&newer);
        buf_fini(&by);
        wire_put_evidence(&message,
                          &(struct wire_evidence){.log = *log,
                                                  .note = buf_slice(&note),
                                                  .chain = buf_slice(&chain)});
        err = *size == written ? put_frame(w, &message) : ERR_OK;
    }
    buf_fini(&message);
    buf_fini(&note);
    buf_fini(&chain);
    mem_free(held);
    return err;
}

static enum err put_begin(struct writing *w)
{
    struct buf message = BUF_INIT;
    enum err err = put_bytes(w, slice_str(LISTFILE_MAGIC));
    if (err == ERR_OK) {
        hello_put(w->env, 0, &message);
        err = put_frame(w, &message);
    }
    buf_fini(&message);
    return err == ERR_OK ? put_roots(w) : err;
}

/* `size` as it was when the file was begun. */
static enum err put_all(struct writing *w, const struct log_id *log,
                        uint64_t from, uint64_t *size)
{
    const struct buf nothing = BUF_INIT;
    struct source src;
    source_init(&src, trust_federation(w->env->trust));
    enum err err = put_begin(w);
    /* Until the head is that of the last entry: commits may come meanwhile. */
    uint64_t end = 0;
    for (unsigned i = 0; err == ERR_OK && end != *size; i++) {
        end = *size;
        err = i < ROUNDS_MAX ? put_segments(w, &src, log, from, end) : ERR_BUSY;
        from = src.end >= from ? src.end + 1 : from;
        if (err == ERR_OK) {
            err = put_head(w, log, size);
        }
    }
    source_fini(&src);
    return err == ERR_OK ? put_frame(w, &nothing) : err;
}

enum err listfile_export(const struct sync_env *env, const struct log_id *log,
                         uint64_t from, listfile_put_fn *put, void *ctx,
                         uint64_t *size, struct errmsg *why)
{
    struct writing w = {.env = env, .put = put, .ctx = ctx};
    struct store_head *head = MEM_NEW(struct store_head);
    enum err err = store_head(env->store, log, head);
    *size = err == ERR_OK ? head->frontier.size : 0;
    mem_free(head);
    if (err != ERR_OK || from == 0 || from > *size + 1) {
        return err_set(why, ERR_NOT_FOUND,
                       "this node holds %" PRIu64 " entries of that log",
                       *size);
    }
    err = put_all(&w, log, from, size);
    buf_fini(&w.frame);
    return err == ERR_OK
               ? ERR_OK
               : err_set(why, err, "the log cannot be written out: %s",
                         err_text(err));
}

/* ---- taking ---- */

struct listfile {
    const struct sync_env *env;
    struct feed *feed;
    struct intake *intake;
    struct reclaim *reclaim; /* a log of this node itself; or NULL */
    struct listframe frames;
    bool greeted;
    struct listfile_sum sum;
};

struct listfile *listfile_new(const struct sync_env *env, struct feed *feed)
{
    struct listfile *f = MEM_NEW(struct listfile);
    f->env = env;
    f->feed = feed;
    f->intake = intake_new(env);
    return f;
}

void listfile_free(struct listfile **file)
{
    struct listfile *f = *file;
    *file = NULL;
    if (f != NULL) {
        intake_free(&f->intake);
        reclaim_free(&f->reclaim);
        listframe_fini(&f->frames);
        mem_free(f);
    }
}

void listfile_sum(const struct listfile *file, struct listfile_sum *out)
{
    *out = file->sum;
    if (file->reclaim != NULL) {
        struct reclaim_sum own;
        reclaim_sum(file->reclaim, &own);
        out->succeeded = own.succeeded;
        out->set_aside = own.set_aside;
    }
}

static enum err on_hello(struct listfile *f, const struct wire_hello *hello,
                         struct errmsg *why)
{
    struct principal from = {.kind = PRINCIPAL_NODE, .code = hello->code};
    (void)snprintf(from.federation, sizeof from.federation, "%.*s",
                   (int)hello->federation.len,
                   (const char *)hello->federation.data);
    enum err err = hello_check(f->env, hello, &from, why);
    f->greeted = err == ERR_OK;
    return err;
}

static enum err on_root(struct listfile *f, struct slice text,
                        struct errmsg *why)
{
    bool added;
    uint64_t version;
    enum err err =
        rootchain_add(f->env->roots, text, "the file", &added, &version, why);
    f->sum.roots += err == ERR_OK && added;
    return err;
}

static enum err one_log(struct listfile *f, const struct log_id *log,
                        struct errmsg *why)
{
    if (f->sum.log.incarnation == 0) {
        f->sum.log = *log;
    }
    return log_id_eq(&f->sum.log, log)
               ? ERR_OK
               : err_set(why, ERR_INVALID, "the file is of several logs");
}

/* The log that the file is of. */
static struct intake_log *log_of(struct listfile *f, const struct log_id *log,
                                 enum err *err, struct errmsg *why)
{
    struct refusal refusal;
    struct intake_log *l;
    *err = intake_log(f->intake, log, &l, &refusal);
    *err = *err == ERR_OK ? one_log(f, log, why)
                          : err_set(why, *err, "%s", refusal.text);
    return *err == ERR_OK ? l : NULL;
}

static void note_held(struct listfile *f, uint64_t size)
{
    f->sum.held = size > f->sum.held ? size : f->sum.held;
}

static enum err not_yet(struct errmsg *why, const char *text)
{
    return err_set(why, ERR_BUSY,
                   "%s: import the newer file, or wait for the line", text);
}

struct appended {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    enum err err;
    char why[160];
    uint64_t size;
    uint64_t added;
};

static void on_appended(void *ctx, enum err err, const char *why,
                        const struct log_id *log, uint64_t size, uint64_t added)
{
    struct appended *a = ctx;
    (void)added;
    (void)log;
    (void)pthread_mutex_lock(&a->lock);
    a->err = err;
    a->size = size;
    a->added = added;
    a->done = true;
    (void)snprintf(a->why, sizeof a->why, "%s", why);
    (void)pthread_cond_signal(&a->wake);
    (void)pthread_mutex_unlock(&a->lock);
}

/* The writer answers each, so the wait has no deadline of its own. */
static enum err append(struct listfile *f, struct segment **seg,
                       struct errmsg *why)
{
    struct appended a = {.done = false};
    int64_t give_up_at = clock_mono_ms() + STALLED_MS;
    enum err err;
    (void)pthread_mutex_init(&a.lock, NULL);
    (void)pthread_cond_init(&a.wake, NULL);
    while ((err = store_append(f->env->store, seg, on_appended, &a)) ==
               ERR_BUSY &&
           clock_mono_ms() < give_up_at) {
        clock_sleep(STORE_WAIT_MS);
    }
    if (err != ERR_OK) {
        segment_free(seg);
        err =
            err_set(why, err, "the store takes nothing now: %s", err_text(err));
    } else {
        (void)pthread_mutex_lock(&a.lock);
        while (!a.done) {
            (void)pthread_cond_wait(&a.wake, &a.lock);
        }
        (void)pthread_mutex_unlock(&a.lock);
        err = a.err == ERR_BUSY ? not_yet(why, a.why)
                                : err_set(why, a.err, "%s", a.why);
        f->sum.added += a.added;
        note_held(f, a.size);
    }
    (void)pthread_cond_destroy(&a.wake);
    (void)pthread_mutex_destroy(&a.lock);
    return err;
}

/* By its signed time: when it came says nothing. */
static void note_fresh(struct listfile *f, const struct checkpoint *head,
                       struct slice note, struct slice chain)
{
    int64_t age = clock_wall_ms() - head->at_ms;
    f->sum.signed_ms = head->at_ms;
    f->sum.is_older = head->size < f->sum.held;
    if (head->size == f->sum.held &&
        fresh_came(f->env->fresh, head, age > 0 ? age : 0, note, chain) &&
        f->feed != NULL) {
        feed_head_came(f->feed);
    }
}

static enum err on_head(struct listfile *f, const struct wire_evidence *m,
                        struct errmsg *why)
{
    enum err err;
    struct checkpoint head;
    struct refusal refusal;
    uint64_t held;
    struct intake_log *l = log_of(f, &m->log, &err, why);
    if (l == NULL) {
        return err;
    }
    err = intake_head(f->intake, l, m, &head, &held, &refusal);
    if (err != ERR_OK && refusal.disagree) {
        intake_fork(f->intake, l, m->note, &refusal);
    }
    if (err == ERR_NOT_FOUND) {
        return err_set(why, ERR_GAP,
                       "the file has no entries, and this node holds none of "
                       "the log: export it with --from 1");
    }
    if (err != ERR_OK) {
        return err_set(why, err, "%s", refusal.text);
    }
    note_held(f, held);
    note_fresh(f, &head, m->note, m->chain);
    return ERR_OK;
}

static enum err on_segment(struct listfile *f, const struct wire_segment *m,
                           struct errmsg *why)
{
    enum err err;
    struct segment *seg;
    struct refusal refusal;
    uint64_t held;
    struct intake_log *l = log_of(f, &m->log, &err, why);
    if (l == NULL) {
        return err;
    }
    err = intake_segment(f->intake, l, m, &seg, &held, &refusal);
    if (err == ERR_GAP) {
        return err_set(why, err,
                       "the file begins at entry %" PRIu64 ", this node holds "
                       "%" PRIu64 ": export it with --from %" PRIu64,
                       m->first, held, held + 1);
    }
    if (err == ERR_BUSY) {
        return not_yet(why, refusal.text);
    }
    if (err != ERR_OK) {
        return err_set(why, err, "%s", refusal.text);
    }
    note_held(f, held);
    return seg != NULL ? append(f, &seg, why) : ERR_OK;
}

/* ---- a log of this node itself ---- */

static bool is_own(const struct listfile *f, const struct log_id *log)
{
    return log->kind == LOG_DIRECTIVES && log->origin == f->env->self.code;
}

static enum err on_own_segment(struct listfile *f, const struct wire_segment *m,
                               struct errmsg *why)
{
    struct segment *seg = NULL;
    enum err err = one_log(f, &m->log, why);
    if (err == ERR_OK && f->reclaim == NULL) {
        f->reclaim = reclaim_new(f->env, &m->log);
    }
    if (err == ERR_OK) {
        err = reclaim_segment(f->reclaim, m, &seg, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct reclaim_sum sum;
    reclaim_sum(f->reclaim, &sum);
    note_held(f, sum.held);
    return seg != NULL ? append(f, &seg, why) : ERR_OK;
}

static enum err on_own_head(struct listfile *f, const struct wire_evidence *m,
                            struct errmsg *why)
{
    struct checkpoint head;
    if (f->reclaim == NULL) {
        return err_set(why, ERR_GAP,
                       "a log of this node's own comes back from a file that "
                       "has its entries: export it without --from");
    }
    enum err err = one_log(f, &m->log, why);
    if (err == ERR_OK) {
        err = checkpoint_parse(m->note, trust_federation(f->env->trust), &head);
    }
    if (err == ERR_OK) {
        f->sum.signed_ms = head.at_ms;
        f->sum.is_older = head.size < f->sum.held;
    }
    return err;
}

static enum err on_message(void *ctx, struct slice bytes, struct errmsg *why)
{
    struct listfile *f = ctx;
    struct wire_message m;
    enum err err = wire_get_feed(bytes, &m, why);
    if (err == ERR_OK && f->greeted == (m.kind == WIRE_HELLO)) {
        err = err_set(why, ERR_INVALID, "Hello must come first, and once");
    }
    if (err != ERR_OK) {
        return err;
    }
    switch (m.kind) {
    case WIRE_HELLO:
        return on_hello(f, &m.hello, why);
    case WIRE_ROOT:
        return on_root(f, m.root.text, why);
    case WIRE_SEGMENT:
        return is_own(f, &m.segment.log) ? on_own_segment(f, &m.segment, why)
                                         : on_segment(f, &m.segment, why);
    case WIRE_EVIDENCE:
        return is_own(f, &m.evidence.log) ? on_own_head(f, &m.evidence, why)
                                          : on_head(f, &m.evidence, why);
    default:
        return ERR_OK; /* of a later build */
    }
}

enum err listfile_feed(struct listfile *f, struct slice bytes,
                       struct errmsg *why)
{
    return listframe_feed(&f->frames, bytes, on_message, f, why);
}

enum err listfile_finish(struct listfile *f, struct errmsg *why)
{
    return f->frames.ended
               ? ERR_OK
               : err_set(why, ERR_INVALID,
                         "the file ends in the middle; what came before "
                         "is kept (%" PRIu64 " entries are held): bring "
                         "it again",
                         f->sum.held);
}
