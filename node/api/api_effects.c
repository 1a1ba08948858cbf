/* Feedback and effects for people: commands on the local socket. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "api/directives.h"
#include "api/effects.h"
#include "api/json.h"
#include "api/query.h"
#include "base/mem.h"
#include "base/str.h"
#include "credit/date.h"

/* ---- feedback ---- */

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    enum err err;
    struct errmsg why;
    struct effects_answer answer;
};

static void on_reported(void *ctx, enum err err, const char *why,
                        const struct effects_answer *answer)
{
    struct waiting *w = ctx;
    (void)pthread_mutex_lock(&w->lock);
    w->err = err_set(&w->why, err, "%s", why);
    w->answer = *answer;
    w->done = true;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}

static void copy_text(json_t *args, const char *key, char *out, size_t len)
{
    const char *text = json_string_value(json_object_get(args, key));
    (void)snprintf(out, len, "%s", text != NULL ? text : "");
}

static enum err listing_of(const struct api_env *env, json_t *args,
                           struct listing_place *out, struct errmsg *why)
{
    char text[EXECUTION_SUBJECT_MAX];
    copy_text(args, "listing", text, sizeof text);
    if (execution_parse_subject(text, out)) {
        return ERR_OK;
    }
    if (!str_u64(slice_str(text), &out->number) || out->number == 0) {
        return err_set(why, ERR_INVALID,
                       "'%.60s' is no listing: LOG#NUMBER, or the number in "
                       "this node's own log",
                       text);
    }
    return directive_log(env->store, args, &out->log, why);
}

/* Called for every publication that the store took, so the wait ends. */
static enum err report_and_wait(struct api_env *env, const char *app,
                                const struct effects_report *report,
                                struct waiting *w, struct errmsg *why)
{
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->wake, NULL);
    enum err err = effects_report(env, app, report, on_reported, w, why);
    if (err == ERR_OK) {
        (void)pthread_mutex_lock(&w->lock);
        while (!w->done) {
            (void)pthread_cond_wait(&w->wake, &w->lock);
        }
        (void)pthread_mutex_unlock(&w->lock);
        err = err_set(why, w->err, "%s", w->why.text);
    }
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    return err;
}

enum err effects_cmd_feedback(void *ctx, struct admin_call *call, json_t *args,
                              json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct effects_report *report = MEM_NEW(struct effects_report);
    struct waiting *w = MEM_NEW(struct waiting);
    struct listing_place listing;
    char app[64];
    (void)call;
    copy_text(args, "app", app, sizeof app);
    copy_text(args, "outcome", report->outcome, sizeof report->outcome);
    copy_text(args, "measures", report->measures, sizeof report->measures);
    copy_text(args, "reason", report->reason, sizeof report->reason);
    report->day = (uint64_t)json_integer_value(json_object_get(args, "day"));
    enum err err = listing_of(env, args, &listing, why);
    if (err == ERR_OK) {
        log_id_format(&listing.log, report->log);
        report->number = listing.number;
        err = report_and_wait(env, app, report, w, why);
    }
    if (err == ERR_OK) {
        char log[LOG_ID_TEXT_MAX];
        log_id_format(&w->answer.result.log, log);
        *result = json_pack("{s:s, s:I, s:I}", "log", log, "number",
                            (json_int_t)w->answer.result.number, "version",
                            (json_int_t)w->answer.result.version);
    }
    mem_free(report);
    mem_free(w);
    return err;
}

/* ---- effects ---- */

enum {
    ROWS_MAX = 100000, /* executions of one listing */
    ROWS_SHOWN = 1000,
    LAST_MAX = 1000,
    OUTCOMES = OUTCOME_REFUSED + 1,
};

struct rows {
    struct {
        struct log_id log;
        uint64_t number;
    } * at;
    size_t n;
    size_t cap;
};

static bool keep_row(void *ctx, const struct store_row *row)
{
    struct rows *rows = ctx;
    if (row->item != ITEM_EXECUTION || rows->n == ROWS_MAX) {
        return rows->n < ROWS_MAX;
    }
    if (rows->n == rows->cap) {
        rows->cap = rows->cap > 0 ? 2 * rows->cap : 16;
        rows->at = mem_realloc(rows->at, rows->cap * sizeof *rows->at);
    }
    rows->at[rows->n].log = row->log;
    rows->at[rows->n++].number = row->number;
    return true;
}

struct tally {
    uint64_t outcomes[OUTCOMES];
    json_t *rows; /* NULL: numbers only */
};

static void count_one(struct tally *t, uint64_t origin, struct slice bytes)
{
    struct entry e;
    struct execution x;
    struct slice app;
    char node[CODE_LEN + 1];
    char day[11];
    if (entry_decode(bytes, &e) != ERR_OK ||
        execution_take(&e, &x, &app) != ERR_OK) {
        return;
    }
    t->outcomes[x.outcome]++;
    if (t->rows == NULL || json_array_size(t->rows) == ROWS_SHOWN) {
        return;
    }
    code_format(origin, node);
    date_format(x.day, day);
    (void)json_array_append_new(
        t->rows,
        json_pack("{s:s, s:o, s:s, s:s, s:o, s:o}", "node", node, "app",
                  json_shown(app), "day", day, "outcome",
                  outcome_name(x.outcome), "measures", json_shown(x.measures),
                  "reason", json_shown(x.reason)));
}

static enum err tally_listing(const struct api_env *env,
                              const struct listing_place *listing,
                              struct tally *t)
{
    char subject[EXECUTION_SUBJECT_MAX];
    struct subject_key key;
    struct rows rows = {.n = 0};
    struct buf bytes = BUF_INIT;
    execution_subject(listing, subject);
    subject_key_org(&key, SUBJECT_LISTING, slice_str(subject));
    enum err err = store_subject(env->store, &key, keep_row, &rows);
    for (size_t i = 0; err == ERR_OK && i < rows.n; i++) {
        buf_clear(&bytes);
        err =
            store_entry(env->store, &rows.at[i].log, rows.at[i].number, &bytes);
        if (err == ERR_OK) {
            count_one(t, rows.at[i].log.origin, buf_slice(&bytes));
        }
    }
    buf_fini(&bytes);
    mem_free(rows.at);
    return err;
}

/* Of a listing that is void for it the subject may be a person's number. */
static json_t *subject_json(const struct entry *e)
{
    return record_is_citizen(SUBJECT_USCC, e->subject)
               ? json_string("***")
               : json_text_of(e->subject);
}

/* NULL: it is no listing. */
static json_t *listing_json(const struct api_env *env,
                            const struct listing_place *listing, bool with_rows,
                            enum err *err)
{
    struct buf bytes = BUF_INIT;
    struct entry e;
    struct tally t = {.rows = with_rows ? json_array() : NULL};
    char subject[EXECUTION_SUBJECT_MAX];
    json_t *object = NULL;
    *err = store_entry(env->store, &listing->log, listing->number, &bytes);
    bool is_listing = *err == ERR_OK &&
                      entry_decode(buf_slice(&bytes), &e) == ERR_OK &&
                      e.type == ENTRY_LISTING;
    if (is_listing) {
        *err = tally_listing(env, listing, &t);
    }
    if (is_listing && *err == ERR_OK) {
        const struct catalogue_list *list = catalogue_list(e.item);
        execution_subject(listing, subject);
        object =
            json_pack("{s:s, s:o, s:s, s:s, s:I, s:I, s:I, s:I}", "listing",
                      subject, "subject", subject_json(&e), "label",
                      list != NULL ? list->label_zh : "", "label_en",
                      list != NULL ? list->label_en : "", "hit",
                      (json_int_t)t.outcomes[OUTCOME_HIT], "applied",
                      (json_int_t)t.outcomes[OUTCOME_APPLIED], "not_applicable",
                      (json_int_t)t.outcomes[OUTCOME_NOT_APPLICABLE], "refused",
                      (json_int_t)t.outcomes[OUTCOME_REFUSED]);
        if (with_rows) {
            (void)json_object_set(object, "executions", t.rows);
        }
    }
    json_decref(t.rows);
    buf_fini(&bytes);
    return object;
}

/* The newest first. */
static enum err add_last(const struct api_env *env, struct listing_place at,
                         size_t last, json_t *rows)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && at.number > 1 && json_array_size(rows) < last) {
        json_t *object = listing_json(env, &at, false, &err);
        if (object != NULL) {
            (void)json_array_append_new(rows, object);
        }
        at.number--;
    }
    return err;
}

static enum err list_last(const struct api_env *env, json_t *args, json_t *rows,
                          struct errmsg *why)
{
    struct store_head *head = MEM_NEW(struct store_head);
    struct listing_place at = {.number = 0};
    json_int_t last = json_integer_value(json_object_get(args, "last"));
    enum err err = directive_log(env->store, args, &at.log, why);
    if (err == ERR_OK) {
        err = err_set(why, store_head(env->store, &at.log, head),
                      "no such log is held here");
    }
    at.number = head->frontier.size;
    mem_free(head);
    if (err == ERR_OK) {
        err = add_last(env, at,
                       last > 0 && last < LAST_MAX ? (size_t)last : LAST_MAX,
                       rows);
        err = err == ERR_OK ? ERR_OK : api_unread(err, "the log", why);
    }
    return err;
}

enum err effects_cmd_list(void *ctx, struct admin_call *call, json_t *args,
                          json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    json_t *rows = json_array();
    struct listing_place listing;
    (void)call;
    enum err err;
    if (json_object_get(args, "listing") == NULL) {
        err = list_last(env, args, rows, why);
    } else {
        err = listing_of(env, args, &listing, why);
        json_t *object =
            err == ERR_OK ? listing_json(env, &listing, true, &err) : NULL;
        if (object != NULL) {
            (void)json_array_append_new(rows, object);
        } else if (err == ERR_OK || err == ERR_NOT_FOUND) {
            err = err_set(why, ERR_NOT_FOUND, "no such listing is known here");
        }
    }
    if (err != ERR_OK) {
        json_decref(rows);
        return err;
    }
    *result = json_pack("{s:o}", "listings", rows);
    return ERR_OK;
}
