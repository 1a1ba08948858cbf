#include "api/effects.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "api/entered.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "base/ticker.h"
#include "credit/date.h"

enum {
    HITS_MAX = 1000,   /* of one check that are new: one commit */
    FEEDBACK_DAYS = 7, /* a report without its day is about a check in these */
    REPORT_DAYS = 31,  /* an app reports about no earlier day */
    DAY_MS = 86400 * 1000,
};

/* ---- hits ---- */

struct hit {
    struct listing_place listing;
    uint16_t list;
    char subject[USCC_LEN + 1];
};

struct effects {
    struct effects *next; /* strand, as `listed` and `until_ms` */
    bool listed;
    int64_t until_ms; /* monotonic: answered by then */
    struct api_env *env;
    char app[sizeof((struct principal *)0)->name];
    uint32_t day;
    struct hit *hits;
    size_t n;
    size_t cap;
    effects_done_fn *done;
    void *ctx;
    bool recorded;
};

struct effects *effects_new(struct api_env *env, const char *app)
{
    struct effects *e = MEM_NEW(struct effects);
    e->env = env;
    e->day = date_from_ms(clock_wall_ms());
    e->recorded = true;
    (void)snprintf(e->app, sizeof e->app, "%s", app);
    return e;
}

void effects_free(struct effects **effects)
{
    struct effects *e = *effects;
    *effects = NULL;
    if (e != NULL) {
        mem_free(e->hits);
        mem_free(e);
    }
}

void effects_add(struct effects *e, const struct store_listing *listing,
                 const char *subject)
{
    if (e->n == e->cap) {
        e->cap = e->cap > 0 ? 2 * e->cap : 16;
        e->hits = mem_realloc(e->hits, e->cap * sizeof *e->hits);
    }
    struct hit *hit = &e->hits[e->n++];
    *hit = (struct hit){.listing = {listing->log, listing->number},
                        .list = listing->list};
    (void)snprintf(hit->subject, sizeof hit->subject, "%s", subject);
}

static struct execution execution_of(const struct effects *e,
                                     const struct hit *hit)
{
    struct execution x = {.listing = hit->listing,
                          .list = hit->list,
                          .node = e->env->self.code,
                          .app = e->app,
                          .day = e->day,
                          .outcome = OUTCOME_HIT};
    memcpy(x.subject, hit->subject, sizeof x.subject);
    return x;
}

/* Whatever it says by now: what was done is not to be said anew as a hit. */
static enum err is_noted(const struct effects *e, const struct execution *x)
{
    char subject[EXECUTION_SUBJECT_MAX];
    uint8_t record_key[RECORD_KEY_LEN];
    struct subject_key key;
    struct store_row row;
    execution_subject(&x->listing, subject);
    execution_key(trust_suite(e->env->sync->trust), x, record_key);
    subject_key_org(&key, SUBJECT_LISTING, slice_str(subject));
    return store_row(e->env->store, &key, record_key, x->node, &row);
}

/* Appends drafts of what is new. */
static size_t make_drafts(struct effects *e, struct buf *bytes, size_t *lens)
{
    int64_t now_ms = clock_wall_ms();
    struct buf room = BUF_INIT;
    size_t n = 0;
    for (size_t i = 0; i < e->n; i++) {
        struct execution x = execution_of(e, &e->hits[i]);
        struct entry entry;
        struct errmsg why;
        enum err err = is_noted(e, &x);
        if (err == ERR_OK) {
            continue;
        }
        if (err != ERR_NOT_FOUND || n == HITS_MAX ||
            execution_to_entry(&x, trust_suite(e->env->sync->trust), now_ms,
                               &room, &entry, &why) != ERR_OK) {
            e->recorded = false;
            continue;
        }
        size_t before = bytes->len;
        entry_encode(&entry, bytes);
        lens[n++] = bytes->len - before;
        buf_clear(&room);
    }
    buf_fini(&room);
    return n;
}

/* ---- those on their way to the disk ---- */

/* All of it is on the strand of `env->receipts`, but what the lock says. */
struct effects_desk {
    struct api_env *env;
    struct ticker *ticker;
    uint32_t wait_ms;
    struct effects *waiting; /* not answered yet */
    pthread_mutex_t lock;    /* all below */
    pthread_cond_t idle;
    size_t under_way; /* checks until their commit, and ticks */
    bool stopping;
};

static bool begin(struct effects_desk *desk)
{
    (void)pthread_mutex_lock(&desk->lock);
    bool go = !desk->stopping;
    desk->under_way += go;
    (void)pthread_mutex_unlock(&desk->lock);
    return go;
}

static void end(struct effects_desk *desk)
{
    (void)pthread_mutex_lock(&desk->lock);
    desk->under_way--;
    (void)pthread_cond_broadcast(&desk->idle);
    (void)pthread_mutex_unlock(&desk->lock);
}

static void enlist(void *ctx)
{
    struct effects *e = ctx;
    struct effects_desk *desk = e->env->effects;
    e->next = desk->waiting;
    e->listed = true;
    desk->waiting = e;
    ticker_at(desk->ticker, e->until_ms);
}

static void delist(struct effects *e)
{
    struct effects **at = &e->env->effects->waiting;
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    e->listed = false;
}

/* The answers go out; the commits go on. */
static void expire(void *ctx)
{
    struct effects_desk *desk = ctx;
    int64_t now_ms = clock_mono_ms();
    int64_t next_ms = INT64_MAX;
    struct effects *next;
    for (struct effects *e = desk->waiting; e != NULL; e = next) {
        next = e->next;
        if (e->until_ms > now_ms) {
            next_ms = e->until_ms < next_ms ? e->until_ms : next_ms;
            continue;
        }
        delist(e);
        log_warn(desk->env->log, "EFFECTS",
                 "app=%s hits=%zu waited_ms=%u effect=\"answered, not noted "
                 "yet\"",
                 e->app, e->n, (unsigned)desk->wait_ms);
        e->done(e->ctx, false);
    }
    if (next_ms != INT64_MAX) {
        ticker_at(desk->ticker, next_ms);
    }
    end(desk);
}

static void on_tick(void *ctx)
{
    struct effects_desk *desk = ctx;
    if (begin(desk)) {
        strand_run(desk->env->receipts, expire, desk);
    }
}

struct effects_desk *effects_desk_new(struct api_env *env, uint32_t wait_ms)
{
    struct effects_desk *desk = MEM_NEW(struct effects_desk);
    desk->env = env;
    desk->wait_ms = wait_ms;
    (void)pthread_mutex_init(&desk->lock, NULL);
    (void)pthread_cond_init(&desk->idle, NULL);
    desk->ticker = ticker_new(env->sync->loop, on_tick, desk);
    return desk;
}

void effects_desk_free(struct effects_desk **pdesk)
{
    struct effects_desk *desk = *pdesk;
    if (desk == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&desk->lock);
    desk->stopping = true;
    while (desk->under_way > 0) {
        (void)pthread_cond_wait(&desk->idle, &desk->lock);
    }
    (void)pthread_mutex_unlock(&desk->lock);
    *pdesk = NULL; /* what was under way has used it */
    ticker_free(&desk->ticker);
    (void)pthread_cond_destroy(&desk->idle);
    (void)pthread_mutex_destroy(&desk->lock);
    mem_free(desk);
}

static void finish(void *ctx)
{
    struct effects *e = ctx;
    struct effects_desk *desk = e->env->effects;
    if (e->listed) {
        delist(e);
        e->done(e->ctx, e->recorded);
    } else {
        log_info(desk->env->log, "EFFECTS-LATE", "app=%s hits=%zu noted=%d",
                 e->app, e->n, e->recorded);
    }
    effects_free(&e);
    end(desk);
}

static void on_submitted(void *ctx, enum err err, const char *why,
                         const struct draft_result *results, size_t n)
{
    struct effects *e = ctx;
    (void)results;
    (void)n;
    if (err != ERR_OK) {
        log_warn(e->env->log, "EFFECTS", "app=%s err=%s text=\"%s\"", e->app,
                 err_name(err), why);
        e->recorded = false;
    }
    strand_run(e->env->receipts, finish, e);
}

/* finish() follows. */
static void submit(struct effects *e, const struct buf *bytes,
                   const size_t *lens, size_t n)
{
    struct slice *drafts = mem_alloc(n * sizeof *drafts);
    for (size_t i = 0, at = 0; i < n; at += lens[i++]) {
        drafts[i] = slice_of(bytes->data + at, lens[i]);
    }
    e->until_ms = clock_mono_ms() + e->env->effects->wait_ms;
    strand_run(e->env->receipts, enlist, e);
    enum err err = store_submit(e->env->store, drafts, n, on_submitted, e);
    mem_free(drafts);
    if (err != ERR_OK) {
        log_warn(e->env->log, "EFFECTS",
                 "app=%s hits=%zu err=%s effect=\"answered, not noted\"",
                 e->app, n, err_name(err));
        e->recorded = false;
        strand_run(e->env->receipts, finish, e);
    }
}

void effects_note(struct effects **effects, effects_done_fn *done, void *ctx)
{
    struct effects *e = *effects;
    size_t *lens = mem_alloc(HITS_MAX * sizeof *lens);
    struct buf bytes = BUF_INIT;
    *effects = NULL;
    e->done = done;
    e->ctx = ctx;
    size_t n = make_drafts(e, &bytes, lens);
    bool may = n > 0 && begin(e->env->effects);
    if (may) {
        submit(e, &bytes, lens, n);
    } else {
        done(ctx, e->recorded && n == 0);
        effects_free(&e);
    }
    buf_fini(&bytes);
    mem_free(lens);
}

/* ---- feedback ---- */

struct reporting {
    effects_reported_fn *done;
    void *ctx;
    struct effects_answer answer;
};

/* Who is listed, and on which list. */
static enum err find_listing(const struct api_env *env,
                             const struct effects_report *report,
                             struct execution *out, struct errmsg *why)
{
    struct buf bytes = BUF_INIT;
    struct entry e;
    enum err err = ERR_NOT_FOUND;
    if (log_id_parse(report->log, &out->listing.log) &&
        out->listing.log.kind == LOG_DIRECTIVES) {
        err =
            store_entry(env->store, &out->listing.log, report->number, &bytes);
    }
    bool found = err == ERR_OK &&
                 entry_decode(buf_slice(&bytes), &e) == ERR_OK &&
                 e.type == ENTRY_LISTING && e.subject.len == USCC_LEN;
    if (found) {
        out->listing.number = report->number;
        out->list = e.item;
        memcpy(out->subject, e.subject.data, USCC_LEN);
    }
    buf_fini(&bytes);
    if (err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_SEALED) {
        return api_unread(err, "the store", why);
    }
    return found ? ERR_OK
                 : err_set(why, ERR_NOT_FOUND,
                           "no listing %" PRIu64 " in log '%s' is known here",
                           report->number, report->log);
}

/* The day of the app's last check that met the listing, within a week: who
 * answers just after midnight means the check of yesterday. Else today. */
static enum err find_day(const struct api_env *env, struct execution *x,
                         struct errmsg *why)
{
    int64_t now_ms = clock_wall_ms();
    char subject[EXECUTION_SUBJECT_MAX];
    struct subject_key key;
    struct store_row row;
    enum err err = ERR_NOT_FOUND;
    execution_subject(&x->listing, subject);
    subject_key_org(&key, SUBJECT_LISTING, slice_str(subject));
    for (int64_t back = 0; err == ERR_NOT_FOUND && back < FEEDBACK_DAYS;
         back++) {
        uint8_t record_key[RECORD_KEY_LEN];
        x->day = date_from_ms(now_ms - back * DAY_MS);
        execution_key(trust_suite(env->sync->trust), x, record_key);
        err = store_row(env->store, &key, record_key, x->node, &row);
    }
    if (err == ERR_NOT_FOUND) {
        x->day = date_from_ms(now_ms);
        err = ERR_OK;
    }
    return err == ERR_OK ? ERR_OK : api_unread(err, "the store", why);
}

static enum err take_report(const struct api_env *env, const char *app,
                            const struct effects_report *report,
                            struct execution *out, struct errmsg *why)
{
    uint32_t today = date_from_ms(clock_wall_ms());
    uint32_t day = report->day == 0 ? today : (uint32_t)report->day;
    *out = (struct execution){.node = env->self.code,
                              .app = app,
                              .day = day,
                              .measures = slice_str(report->measures),
                              .reason = slice_str(report->reason)};
    if (!outcome_parse(report->outcome, &out->outcome)) {
        return err_set(why, ERR_INVALID,
                       "outcome: applied, not-applicable or refused");
    }
    if (report->day > UINT32_MAX || !date_is_valid(day) || day > today) {
        return err_set(why, ERR_INVALID,
                       "day: of the check, yyyymmdd, not after today");
    }
    enum err err = find_listing(env, report, out, why);
    return err == ERR_OK && report->day == 0 ? find_day(env, out, why) : err;
}

static void on_reported(void *ctx, enum err err, const char *why,
                        const struct draft_result *results, size_t n)
{
    struct reporting *r = ctx;
    if (err == ERR_OK && n == 1) {
        r->answer.result = results[0];
    }
    r->done(r->ctx, err, why, &r->answer);
    mem_free(r);
}

enum err effects_report(struct api_env *env, const char *app,
                        const struct effects_report *report,
                        effects_reported_fn *done, void *ctx,
                        struct errmsg *why)
{
    enum suite suite = trust_suite(env->sync->trust);
    struct execution x;
    struct entry entry;
    struct buf room = BUF_INIT;
    struct buf bytes = BUF_INIT;
    enum err err = take_report(env, app, report, &x, why);
    if (err == ERR_OK) {
        err =
            execution_to_entry(&x, suite, clock_wall_ms(), &room, &entry, why);
    }
    if (err == ERR_OK) {
        struct reporting *r = MEM_NEW(struct reporting);
        r->done = done;
        r->ctx = ctx;
        execution_key(suite, &x, r->answer.record_key);
        entry_encode(&entry, &bytes);
        const struct slice draft = buf_slice(&bytes);
        err = store_submit(env->store, &draft, 1, on_reported, r);
        if (err != ERR_OK) {
            mem_free(r);
            (void)err_set(why, err, "the store takes nothing now: %s",
                          err_text(err));
        }
    }
    buf_fini(&room);
    buf_fini(&bytes);
    return err;
}

/* ---- over gRPC ---- */

struct feedback {
    struct api_env *env;
    struct rpc_call *call;
    enum err err;
    struct errmsg why;
    struct effects_answer answer;
};

static void answer_feedback(void *ctx)
{
    struct feedback *f = ctx;
    const struct draft_result *result = &f->answer.result;
    struct buf out = BUF_INIT;
    char log[LOG_ID_TEXT_MAX];
    if (f->err == ERR_OK) {
        struct import_counts counts = {.rows = 1};
        counts.outcome[import_outcome(result->outcome)] = 1;
        entered_add(f->env->entered, rpc_call_peer(f->call), "Feedback",
                    &counts);
        log_id_format(&result->log, log);
        pb_put_bytes(&out, 1, slice_of(f->answer.record_key, RECORD_KEY_LEN));
        pb_put_str(&out, 2, log);
        pb_put_u64(&out, 3, result->number);
        pb_put_u64(&out, 4, result->version);
        rpc_reply(f->call, &out);
    } else {
        rpc_fail(f->call, f->err, f->why.text);
    }
    buf_fini(&out);
    mem_free(f);
}

static void on_feedback(void *ctx, enum err err, const char *why,
                        const struct effects_answer *answer)
{
    struct feedback *f = ctx;
    f->err = err_set(&f->why, err, "%s", why);
    f->answer = *answer;
    strand_run(f->env->receipts, answer_feedback, f);
}

/* Each day that an app names is a record more, for good and at every tier. */
static enum err check_day(const struct effects_report *report,
                          struct errmsg *why)
{
    uint32_t first =
        date_from_ms(clock_wall_ms() - (int64_t)REPORT_DAYS * DAY_MS);
    return report->day == 0 || report->day >= first
               ? ERR_OK
               : err_set(why, ERR_INVALID,
                         "day: of the check, within the last %d days",
                         REPORT_DAYS);
}

void effects_feedback(struct api_env *env, const char *app,
                      struct rpc_call *call)
{
    struct effects_report *report = MEM_NEW(struct effects_report);
    struct feedback *f = MEM_NEW(struct feedback);
    f->env = env;
    f->call = call;
    enum err err = request_feedback(rpc_call_request(call), report, &f->why);
    err = err == ERR_OK ? check_day(report, &f->why) : err;
    if (err == ERR_OK) {
        err = effects_report(env, app, report, on_feedback, f, &f->why);
    }
    if (err != ERR_OK) {
        rpc_fail(call, err, f->why.text);
        mem_free(f);
    }
    mem_free(report);
}
