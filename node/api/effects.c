#include "api/effects.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/request.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "credit/date.h"

enum {
    HITS_MAX = 1000, /* of one check that are new: one commit */
};

/* ---- hits ---- */

struct hit {
    struct listing_place listing;
    uint16_t list;
    char subject[USCC_LEN + 1];
};

struct effects {
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

static void finish(void *ctx)
{
    struct effects *e = ctx;
    e->done(e->ctx, e->recorded);
    effects_free(&e);
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

/* True: on_submitted() follows. */
static bool submit(struct effects *e, const struct buf *bytes,
                   const size_t *lens, size_t n)
{
    struct slice *drafts = mem_alloc(n * sizeof *drafts);
    for (size_t i = 0, at = 0; i < n; at += lens[i++]) {
        drafts[i] = slice_of(bytes->data + at, lens[i]);
    }
    enum err err = store_submit(e->env->store, drafts, n, on_submitted, e);
    mem_free(drafts);
    if (err != ERR_OK) {
        log_warn(e->env->log, "EFFECTS",
                 "app=%s hits=%zu err=%s effect=\"answered, not noted\"",
                 e->app, n, err_name(err));
        e->recorded = false;
    }
    return err == ERR_OK;
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
    bool under_way = n > 0 && submit(e, &bytes, lens, n);
    buf_fini(&bytes);
    mem_free(lens);
    if (!under_way) {
        finish(e);
    }
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
    bool found = log_id_parse(report->log, &out->listing.log) &&
                 out->listing.log.kind == LOG_DIRECTIVES &&
                 store_entry(env->store, &out->listing.log, report->number,
                             &bytes) == ERR_OK &&
                 entry_decode(buf_slice(&bytes), &e) == ERR_OK &&
                 e.type == ENTRY_LISTING && e.subject.len == USCC_LEN;
    if (found) {
        out->listing.number = report->number;
        out->list = e.item;
        memcpy(out->subject, e.subject.data, USCC_LEN);
    }
    buf_fini(&bytes);
    return found ? ERR_OK
                 : err_set(why, ERR_NOT_FOUND,
                           "no listing %" PRIu64 " in log '%s' is known here",
                           report->number, report->log);
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
    return find_listing(env, report, out, why);
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

void effects_feedback(struct api_env *env, const char *app,
                      struct rpc_call *call)
{
    struct effects_report *report = MEM_NEW(struct effects_report);
    struct feedback *f = MEM_NEW(struct feedback);
    f->env = env;
    f->call = call;
    enum err err = request_feedback(rpc_call_request(call), report, &f->why);
    if (err == ERR_OK) {
        err = effects_report(env, app, report, on_feedback, f, &f->why);
    }
    if (err != ERR_OK) {
        rpc_fail(call, err, f->why.text);
        mem_free(f);
    }
    mem_free(report);
}
