/* The gRPC side of api.h: proto/query.proto and proto/ingest.proto. */
#include <stdatomic.h>
#include <string.h>

#include "api/answers.h"
#include "api/directives.h"
#include "api/effects.h"
#include "api/elsewhere.h"
#include "api/entered.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "credit/rules.h"

enum {
    ANSWER_MAX = 1 << 20, /* bytes; what stands beside the records fits behind
                             that into RPC_MESSAGE_MAX */
    ANSWER_USUAL = 4096,
    RECEIPT_FULL = 512 * 1024, /* then faults without their texts */
    SUBMIT_NOW_MAX = IMPORT_NOW_BYTES + 64, /* with what the message adds */
};

struct answer {
    const struct api_env *env;
    struct buf out;
    size_t count;
    struct store_row first;
    bool unread; /* some value; a key may come that opens it */
    bool now;    /* on the poller, which does not wait for a lock of keys */
};

/* ---- a record as a message ---- */

/* Opens values of an answer, and says there if one stays closed. */
struct opener {
    struct unsealer unsealer;
    struct answer *answer;
};

static enum err open_value(void *ctx, struct slice aad, struct slice sealed,
                           struct buf *out)
{
    const struct opener *o = ctx;
    enum err err = o->answer->now
                       ? ERR_BUSY
                       : o->unsealer.fn(o->unsealer.ctx, aad, sealed, out);
    o->answer->unread = o->answer->unread || err != ERR_OK;
    return err;
}

static void put_fields(struct answer *a, const struct found *f)
{
    struct opener opener = {query_unsealer(a->env), a};
    const struct unsealer unsealer = {open_value, &opener};
    struct buf *out = &a->out;
    struct buf value = BUF_INIT;
    for (size_t i = 0; i < f->record.item->count; i++) {
        const struct catalogue_field *field = &f->record.item->fields[i];
        if (!found_shows(f, i)) {
            continue;
        }
        buf_clear(&value);
        if (record_show(&f->record, i, f->row.log.origin, RECORD_MASKED,
                        &unsealer, &value) != ERR_OK) {
            a->unread = true;
            continue;
        }
        size_t mark = pb_begin(out, 12);
        pb_put_str(out, 1, field->code != NULL ? field->code : field->label_en);
        pb_put_bytes(out, 2, buf_slice(&value));
        pb_put_u64(out, 3,
                   record_is_personal(field, f->record.subject_kind) ? 1 : 0);
        pb_end(out, mark);
    }
    buf_fini(&value);
}

static void put_record(struct answer *a, const struct found *f)
{
    struct buf *out = &a->out;
    char log[LOG_ID_TEXT_MAX];
    const struct store_row *row = &f->row;
    const struct catalogue_item *item = catalogue_item(row->item);
    log_id_format(&row->log, log);
    pb_put_bytes(out, 1, slice_of(row->record_key, RECORD_KEY_LEN));
    pb_put_str(out, 2, item != NULL ? item->name : "");
    pb_put_u64(out, 3, row->version);
    pb_put_str(out, 4, status_name(row->status));
    pb_put_str(
        out, 5,
        disclosure_name(catalogue_disclosure(row->item, row->disclosure)));
    pb_put_u64(out, 6, row->decided);
    pb_put_u64(out, 7, row->until);
    pb_put_u64(out, 8, row->publish_until);
    pb_put_u64(out, 9, row->log.origin);
    pb_put_str(out, 10, log);
    pb_put_u64(out, 11, row->number);
    if (f->decoded) {
        put_fields(a, f);
    }
}

/* Puts a record as field `number`, unless it would not fit. */
static bool add_record(struct answer *a, uint32_t number, const struct found *f)
{
    size_t before = a->out.len;
    size_t mark = pb_begin(&a->out, number);
    put_record(a, f);
    pb_end(&a->out, mark);
    if (a->count > 0 && a->out.len > ANSWER_MAX) {
        a->out.len = before;
        return false;
    }
    a->count++;
    return true;
}

/* ---- Query/Subject ---- */

static bool add_subject_record(void *ctx, const struct found *f)
{
    return add_record(ctx, 1, f);
}

/* What the caller's certificate is good for now; nothing if it is revoked or
 * has expired. */
static struct access access_of_call(const struct api_env *env,
                                    const struct rpc_call *call)
{
    const struct principal *peer = rpc_call_peer(call);
    if (trust_is_revoked(env->sync->trust, peer->fingerprint)) {
        return (struct access){.read = false};
    }
    return access_of(atomic_load(&env->conf), peer, clock_wall_ms());
}

/* Is `may` so? If not, says which scope this certificate lacks. */
static bool permit(bool may, struct rpc_call *call, const char *lacks)
{
    struct errmsg why;
    if (!may) {
        rpc_fail(call,
                 err_set(&why, ERR_DENIED,
                         "this certificate %s; the node's administrator lists "
                         "its key and scopes under `apps`, and one that was "
                         "revoked or has expired has none",
                         lacks),
                 why.text);
    }
    return may;
}

static bool may_read(struct rpc_call *call, const struct access *access)
{
    return permit(access->read, call, "has no scope to query");
}

/* Answers, and keeps the answer if the same question has the same one until
 * the subject changes. */
static void reply_subject(struct rpc_call *call, struct answer *a,
                          const struct access *access,
                          const struct query_next *next, struct slice lists)
{
    const struct api_env *env = a->env;
    struct question asked = {rpc_call_request(call), access->widest};
    if (next->more) {
        pb_put_bytes(&a->out, 2, slice_of(next->place, sizeof next->place));
    }
    pb_put_u64(&a->out, 3, env->self.code);
    if (env->answers == NULL || !next->lasting || a->unread) {
        buf_put_slice(&a->out, lists);
        rpc_reply(call, &a->out);
        return;
    }
    struct shared *reply = shared_new(buf_slice(&a->out));
    answers_keep(env->answers, &asked, &next->stamp, reply);
    rpc_reply_shared(call, &reply, lists);
}

/* Fills `a`, `next` and what the lists say, which changes by itself and is not
 * kept; a->now: ERR_BUSY if it takes longer. */
static enum err ask_subject(struct rpc_call *call, const struct access *access,
                            struct answer *a, struct query_next *next,
                            struct buf *lists, struct errmsg *why)
{
    struct subject_request request;
    enum err err = request_subject(rpc_call_request(call), &request, why);
    if (err != ERR_OK) {
        return err;
    }
    struct subject_query q = {
        .subject = request.subject,
        .limit = request.limit,
        .brief = request.brief,
        .after = request.after.len > 0 ? request.after.data : NULL,
        .access = *access,
        .now = a->now};
    (void)buf_reserve(&a->out, ANSWER_USUAL);
    err = query_subject(a->env, &q, add_subject_record, a, next, why);
    if (err == ERR_OK && a->now && a->unread) {
        return ERR_BUSY;
    }
    return err == ERR_OK
               ? lists_put_subject(a->env, request.subject, a->now, lists)
               : err;
}

static void on_subject(void *ctx, struct rpc_call *call)
{
    struct answer a = {.env = ctx, .out = BUF_INIT};
    struct query_next next = {.more = false};
    struct buf lists = BUF_INIT;
    struct errmsg why = {""};
    struct access access = access_of_call(a.env, call);
    if (!may_read(call, &access)) {
        return;
    }
    enum err err = ask_subject(call, &access, &a, &next, &lists, &why);
    if (err == ERR_OK) {
        reply_subject(call, &a, &access, &next, buf_slice(&lists));
    } else {
        rpc_fail(call, err, why.text);
    }
    buf_fini(&a.out);
    buf_fini(&lists);
}

/* False: not answered before, or the lists take longer. */
static bool repeat_subject(const struct api_env *env, struct rpc_call *call,
                           const struct access *access)
{
    struct question asked = {rpc_call_request(call), access->widest};
    struct shared *reply = answers_find(env->answers, &asked);
    struct subject_request request;
    struct buf lists = BUF_INIT;
    bool done = reply != NULL &&
                request_subject(asked.request, &request, NULL) == ERR_OK &&
                lists_put_subject(env, request.subject, true, &lists) == ERR_OK;
    if (done) {
        rpc_reply_shared(call, &reply, buf_slice(&lists));
    }
    shared_unref(&reply);
    buf_fini(&lists);
    return done;
}

/* On the poller: what was answered before, or is a few records in memory.
 * Refusals are a worker's. */
static bool subject_at_once(void *ctx, struct rpc_call *call)
{
    struct answer a = {.env = ctx, .out = BUF_INIT, .now = true};
    struct query_next next = {.more = false};
    struct access access = access_of_call(a.env, call);
    if (!access.read) {
        return false;
    }
    if (repeat_subject(a.env, call, &access)) {
        return true;
    }
    struct buf lists = BUF_INIT;
    bool done = ask_subject(call, &access, &a, &next, &lists, NULL) == ERR_OK;
    if (done) {
        reply_subject(call, &a, &access, &next, buf_slice(&lists));
    }
    buf_fini(&a.out);
    buf_fini(&lists);
    return done;
}

/* ---- Query/Record ---- */

static bool add_version(void *ctx, const struct found *f)
{
    struct answer *a = ctx;
    if (a->count == 0) {
        a->first = f->row;
    }
    return add_record(a, a->count == 0 ? 1 : 2, f);
}

static void put_holder(struct buf *out, uint64_t code, enum tier tier,
                       bool durable)
{
    size_t mark = pb_begin(out, 3);
    pb_put_u64(out, 1, code);
    pb_put_str(out, 2, tier_name(tier));
    pb_put_u64(out, 3, durable ? 1 : 0);
    pb_end(out, mark);
}

static void put_holders(struct answer *a)
{
    struct store_above above[ABOVE_MAX];
    size_t n = store_above(a->env->store, &a->first.log, above);
    put_holder(&a->out, a->env->self.code, a->env->self.tier, true);
    for (size_t i = 0; i < n; i++) {
        put_holder(&a->out, above[i].code, above[i].tier,
                   above[i].size >= a->first.number);
    }
}

/* Fills `a` with all that the answer is. */
static enum err ask_record(const struct record_request *request,
                           const struct access *access, struct answer *a,
                           struct errmsg *why)
{
    struct record_query q = {
        .subject = request->subject,
        .record_key = request->key.len > 0 ? request->key.data : NULL,
        .log = request->log,
        .number = request->number,
        .access = *access,
        .now = a->now};
    bool more = false;
    enum err err = query_record(a->env, &q, add_version, a, &more, why);
    if (err == ERR_OK) {
        put_holders(a);
        pb_put_u64(&a->out, 4, a->env->self.code);
        pb_put_u64(&a->out, 5, more ? 1 : 0);
    }
    return err;
}

static void reply_record(struct rpc_call *call, struct answer *a, enum err err,
                         const struct errmsg *why)
{
    if (err == ERR_OK) {
        rpc_reply(call, &a->out);
    } else {
        rpc_fail(call, err, why->text);
    }
}

static void on_record(void *ctx, struct rpc_call *call)
{
    struct answer a = {.env = ctx, .out = BUF_INIT};
    struct record_request request;
    struct errmsg why = {{0}};
    struct access access = access_of_call(a.env, call);
    if (!may_read(call, &access)) {
        return;
    }
    enum err err = request_record(rpc_call_request(call), &request, &why);
    if (err == ERR_OK) {
        err = ask_record(&request, &access, &a, &why);
    }
    reply_record(call, &a, err, &why);
    buf_fini(&a.out);
}

/* On the poller: one that is in memory, above all one that has just come, and
 * that none is there yet. All else is a worker's. */
static bool record_at_once(void *ctx, struct rpc_call *call)
{
    struct answer a = {.env = ctx, .out = BUF_INIT, .now = true};
    struct record_request request;
    struct errmsg why = {{0}};
    struct access access = access_of_call(a.env, call);
    if (!access.read ||
        request_record(rpc_call_request(call), &request, &why) != ERR_OK) {
        return false;
    }
    enum err err = ask_record(&request, &access, &a, &why);
    bool done = (err == ERR_OK && !a.unread) || err == ERR_NOT_FOUND;
    if (done) {
        reply_record(call, &a, err, &why);
    }
    buf_fini(&a.out);
    return done;
}

/* ---- Query/Check ---- */

static void on_check(void *ctx, struct rpc_call *call)
{
    struct access access = access_of_call(ctx, call);
    if (may_read(call, &access)) {
        lists_check(ctx, rpc_call_peer(call)->name, call);
    }
}

static void on_feedback(void *ctx, struct rpc_call *call)
{
    if (permit(access_of_call(ctx, call).feedback, call,
               "lacks the scope `feedback`") &&
        !elsewhere_refer(ctx, call)) {
        effects_feedback(ctx, rpc_call_peer(call)->name, call);
    }
}

/* ---- Ingest/Submit ---- */

static void put_fault(struct buf *out, const struct row_fault *fault,
                      bool with_text)
{
    size_t mark = pb_begin(out, 7);
    pb_put_str(out, 1, fault->column);
    pb_put_str(out, 2, fault->rule);
    if (with_text) {
        struct buf zh = BUF_INIT;
        rules_put_zh(fault->rule, fault->text, &zh);
        pb_put_str(out, 3, fault->text);
        pb_put_str(out, 4, buf_cstr(&zh));
        buf_fini(&zh);
    }
    pb_end(out, mark);
}

static void add_row(void *ctx, const struct import_row *row)
{
    struct answer *a = ctx;
    struct buf *out = &a->out;
    bool full = out->len > RECEIPT_FULL;
    size_t mark = pb_begin(out, 1);
    pb_put_u64(out, 1, row->line);
    pb_put_str(out, 2, row_outcome_name(row->outcome));
    if (row->outcome != ROW_REFUSED) {
        pb_put_bytes(out, 3, slice_of(row->record_key, RECORD_KEY_LEN));
    }
    if (row->number != 0) {
        char log[LOG_ID_TEXT_MAX];
        log_id_format(&row->log, log);
        pb_put_str(out, 4, log);
        pb_put_u64(out, 5, row->number);
        pb_put_u64(out, 6, row->version);
    }
    for (size_t i = 0; i < (full ? row->faults_count > 0 : row->faults_count);
         i++) {
        put_fault(out, &row->faults[i], !full);
    }
    pb_end(out, mark);
}

static void add_warning(void *ctx, const char *text)
{
    struct answer *a = ctx;
    pb_put_str(&a->out, 2, text);
}

/* One call of Submit; no thread waits while its rows are on their way, so many
 * calls share one commit. */
struct submission {
    struct rpc_call *call;
    struct import *import;
    struct answer answer;
    struct rpc_errand errand; /* of one that was taken on the poller */
};

static void submission_free(struct submission *s)
{
    import_free(&s->import);
    buf_fini(&s->answer.out);
    mem_free(s);
}

static void answer_submit(void *ctx)
{
    struct submission *s = ctx;
    struct errmsg why = {{0}};
    struct import_counts counts;
    enum err err = import_finish(s->import, &why);
    import_counts(s->import, &counts);
    entered_add(s->answer.env->entered, rpc_call_peer(s->call), "Submit",
                &counts);
    if (err == ERR_OK) {
        rpc_reply(s->call, &s->answer.out);
    } else {
        rpc_fail(s->call, err, why.text);
    }
    submission_free(s);
}

static void on_settled(void *ctx)
{
    struct submission *s = ctx;
    strand_run(s->answer.env->receipts, answer_submit, s);
}

static void on_errand(struct rpc_errand *errand)
{
    answer_submit(CONTAINER_OF(errand, struct submission, errand));
}

static void on_settled_now(void *ctx)
{
    struct submission *s = ctx;
    s->errand.fn = on_errand;
    rpc_run_errand(s->answer.env->rpc, &s->errand);
}

_Static_assert((int)SUBMIT_LINES_MAX <= (int)IMPORT_AT_ONCE_ROWS,
               "the rows of a call are taken without a wait");

static struct submission *submission_new(struct api_env *env,
                                         struct rpc_call *call)
{
    struct submission *s = MEM_NEW(struct submission);
    struct import_sink sink = {
        .row = add_row, .warning = add_warning, .ctx = &s->answer};
    s->call = call;
    s->answer = (struct answer){.env = env, .out = BUF_INIT};
    import_begin(&s->import, env->import, &sink);
    return s;
}

static void on_submit(void *ctx, struct rpc_call *call)
{
    struct api_env *env = ctx;
    struct slice csv;
    struct errmsg why = {{0}};
    if (!permit(access_of_call(env, call).ingest, call,
                "lacks the scope `ingest`") ||
        elsewhere_refer(env, call)) {
        return;
    }
    enum err err = request_submit(rpc_call_request(call), &csv, &why);
    if (err != ERR_OK) {
        rpc_fail(call, err, why.text);
        return;
    }
    struct submission *s = submission_new(env, call);
    import_at_once(s->import, csv, on_settled, s);
}

/* A few rows while the store has room for them. */
static bool may_take_now(const struct api_env *env, struct rpc_call *call,
                         struct slice *csv)
{
    struct errmsg why;
    struct slice request = rpc_call_request(call);
    return request.len <= SUBMIT_NOW_MAX && rpc_call_left_ms(call) > 0 &&
           access_of_call(env, call).ingest &&
           elsewhere_check(env, &why) == ERR_OK &&
           store_has_room(env->store, request.len) &&
           request_submit(request, csv, &why) == ERR_OK;
}

/* On the poller: a few rows that need no key of a person's. It neither hands
 * them to a worker nor has one give the answer. Refusals are a worker's. */
static bool submit_at_once(void *ctx, struct rpc_call *call)
{
    struct slice csv;
    if (!may_take_now(ctx, call, &csv)) {
        return false;
    }
    struct submission *s = submission_new(ctx, call);
    bool taken = import_now(s->import, csv, on_settled_now, s);
    if (!taken) {
        submission_free(s);
    }
    return taken;
}

void api_methods(struct api_env *env, struct rpc_method *methods)
{
    static const struct {
        const char *path;
        rpc_unary_fn *fn;
        rpc_at_once_fn *at_once;
    } rows[API_METHODS] = {
        {"/creditnode.query.v1.Query/Subject", on_subject, subject_at_once},
        {"/creditnode.query.v1.Query/Record", on_record, record_at_once},
        {"/creditnode.query.v1.Query/Check", on_check, NULL},
        {"/creditnode.query.v1.Query/Feedback", on_feedback, NULL},
        {"/creditnode.ingest.v1.Ingest/Submit", on_submit, submit_at_once},
    };
    for (size_t i = 0; i < API_METHODS; i++) {
        methods[i] = (struct rpc_method){.path = rows[i].path,
                                         .unary = rows[i].fn,
                                         .at_once = rows[i].at_once,
                                         .ctx = env};
    }
}
