/* The operator's side of directives: commands on the local socket. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/directives.h"
#include "api/status.h"
#include "base/mem.h"
#include "base/str.h"
#include "credit/citizen.h"
#include "credit/execution.h"
#include "credit/package.h"
#include "credit/registry.h"
#include "credit/uscc.h"
#include "ingest/subjects.h"

static bool keep_open(struct admin_call *call, struct buf *file,
                      size_t max_bytes, enum err *err, struct errmsg *why)
{
    struct buf frame = BUF_INIT;
    *err = admin_recv(call, &frame);
    if (*err != ERR_OK) {
        (void)err_set(why, *err, "the sender went silent before the end");
    } else if (file->len + frame.len > max_bytes) {
        *err = err_set(why, ERR_TOO_LARGE, "the file is larger than %zu bytes",
                       max_bytes);
    }
    bool more = *err == ERR_OK && frame.len > 0;
    if (more) {
        buf_put_slice(file, buf_slice(&frame));
    }
    buf_fini(&frame);
    return more;
}

enum err directive_read_file(struct admin_call *call, size_t max_bytes,
                             struct buf *file, struct errmsg *why)
{
    enum err err;
    while (keep_open(call, file, max_bytes, &err, why)) {
    }
    return err;
}

/* ---- preparing ---- */

static void send_note(void *ctx, const char *text)
{
    (void)admin_send(ctx,
                     json_pack("{s:s, s:s}", "type", "warning", "text", text));
}

/* Who prepares, and what is told of the rows. */
struct preparing {
    struct admin_call *call;
    struct prepare *prepare;
    size_t told; /* decisions */
};

/* With how many decisions: a removal is one for each listing that it ends. */
static enum err send_row(void *ctx, uint64_t line, const struct record *r)
{
    struct preparing *w = ctx;
    size_t n = prepare_entries(w->prepare);
    size_t decisions = n - w->told;
    (void)r;
    w->told = n;
    return admin_send(w->call,
                      json_pack("{s:s, s:I, s:s, s:I}", "type", "row", "line",
                                (json_int_t)line, "outcome", "prepared",
                                "decisions", (json_int_t)decisions));
}

static enum err send_fault_row(void *ctx, uint64_t line,
                               const struct rows_fault *faults, size_t count)
{
    const struct preparing *w = ctx;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s}", "column", faults[i].column,
                            "rule", faults[i].rule, "text", faults[i].text));
    }
    return admin_send(w->call, json_pack("{s:s, s:I, s:s, s:o}", "type", "row",
                                         "line", (json_int_t)line, "outcome",
                                         "refused", "faults", list));
}

static void send_warning(void *ctx, const char *text)
{
    const struct preparing *w = ctx;
    send_note(w->call, text);
}

/* What is decided bears the time of this clock for ever; the store refuses
 * nothing for it, and of two clocks nobody knows here which one is wrong. */
static void note_clock(const struct api_env *env, struct admin_call *call)
{
    char text[256];
    long long off_ms = status_skew_ms(env);
    long long off_s = off_ms / 1000;
    if (llabs(off_ms) < HEALTH_SKEW_MS) {
        return;
    }
    (void)snprintf(text, sizeof text,
                   "this clock is %lld s %s that of a neighbour (creditnode "
                   "status): decisions bear its time, and while it is wrong "
                   "lists are not known to be fresh below",
                   llabs(off_s), off_s > 0 ? "behind" : "ahead of");
    send_note(call, text);
}

/* A frame holds a piece; base64 and plain text, so bytes are characters. */
void directive_send_file(struct admin_call *call, struct slice file)
{
    for (size_t at = 0; at < file.len; at += FRAME_PIECE) {
        size_t left = file.len - at;
        size_t len = left < FRAME_PIECE ? left : FRAME_PIECE;
        (void)admin_send(call,
                         json_pack("{s:s, s:s%}", "type", "package", "text",
                                   (const char *)file.data + at, len));
    }
}

static enum prepare_what what_of(json_t *args)
{
    static const struct {
        const char *name;
        enum prepare_what what;
    } whats[] = {{"listing", PREPARE_LISTINGS}, {"removal", PREPARE_REMOVALS}};
    const char *name = json_string_value(json_object_get(args, "expect"));
    if (json_is_true(json_object_get(args, "correct"))) {
        return PREPARE_CORRECTIONS;
    }
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(whats); i++) {
        if (strcmp(whats[i].name, name) == 0) {
            return whats[i].what;
        }
    }
    return PREPARE_ANY;
}

/* The listing that the one removal names by its place; none is given mostly. */
static enum err take_about(struct prepare *p, json_t *args, struct errmsg *why)
{
    const char *text = json_string_value(json_object_get(args, "listing"));
    struct listing_place place;
    if (text == NULL) {
        return ERR_OK;
    }
    if (what_of(args) != PREPARE_REMOVALS ||
        !execution_parse_subject(text, &place)) {
        return err_set(why, ERR_INVALID,
                       "'%.60s' is no listing that a removal could be of: "
                       "LOG#NUMBER, as creditnode query shows it",
                       text);
    }
    return prepare_about(p, &place, why);
}

enum err directive_prepare(void *ctx, struct admin_call *call, json_t *args,
                           json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct preparing w = {.call = call};
    const struct rows_sink sink = {
        .record = json_is_true(json_object_get(args, "rows")) ? send_row : NULL,
        .refused = send_fault_row,
        .warning = send_warning,
        .ctx = &w};
    struct prepare *p = NULL;
    struct buf csv = BUF_INIT;
    struct buf file = BUF_INIT;
    uint64_t rows = 0;
    uint64_t refused = 0;
    prepare_begin(&p, env, what_of(args), &sink);
    w.prepare = p;
    enum err err = directive_read_file(call, PACKAGE_FILE_MAX, &csv, why);
    if (err == ERR_OK) {
        err = directive_check_issuer(env, why);
    }
    if (err == ERR_OK) {
        err = take_about(p, args, why);
    }
    if (err == ERR_OK) {
        err = prepare_feed(p, buf_slice(&csv), why);
    }
    if (err == ERR_OK) {
        err = prepare_finish(p, &file, why);
    }
    if (err == ERR_OK) {
        note_clock(env, call);
        prepare_counts(p, &rows, &refused);
        directive_send_file(call, buf_slice(&file));
        *result = json_pack("{s:I, s:I}", "rows", (json_int_t)rows, "refused",
                            (json_int_t)refused);
    }
    prepare_free(&p);
    buf_fini(&csv);
    buf_fini(&file);
    return err;
}

/* ---- publishing ---- */

struct publishing {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    enum err err;
    char why[160];
    struct log_id log;
    uint64_t first;
    uint64_t last;
};

static void on_published(void *ctx, enum err err, const char *why,
                         const struct log_id *log, uint64_t first,
                         uint64_t last)
{
    struct publishing *p = ctx;
    (void)pthread_mutex_lock(&p->lock);
    p->err = err;
    (void)snprintf(p->why, sizeof p->why, "%s", why);
    p->log = *log;
    p->first = first;
    p->last = last;
    p->done = true;
    (void)pthread_cond_signal(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
}

/* The writer answers every publication, so the wait has no deadline. */
static enum err publish(struct api_env *env, const struct package *package,
                        struct publishing *p, struct errmsg *why)
{
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->wake, NULL);
    enum err err = store_publish(env->store, package, on_published, p);
    if (err == ERR_OK) {
        (void)pthread_mutex_lock(&p->lock);
        while (!p->done) {
            (void)pthread_cond_wait(&p->wake, &p->lock);
        }
        (void)pthread_mutex_unlock(&p->lock);
        err = err_set(why, p->err, "%s", p->why);
    } else {
        (void)err_set(
            why, err,
            "the store takes no package now (%s); nothing was published: "
            "see creditnode status, then publish it again",
            err_text(err));
    }
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_mutex_destroy(&p->lock);
    return err;
}

/* Which of what was published has no effect, and why. */
struct voids {
    const struct publishing *p;
    json_t *rows;
};

static void add_void(json_t *rows, uint64_t number, const char *reason)
{
    (void)json_array_append_new(rows, json_pack("{s:I, s:s}", "number",
                                                (json_int_t)number, "reason",
                                                reason));
}

static bool on_issue(void *ctx, const struct store_issue *issue)
{
    const struct voids *v = ctx;
    if (log_id_eq(&issue->log, &v->p->log) && issue->number >= v->p->first &&
        issue->number <= v->p->last) {
        add_void(v->rows, issue->number, issue->reason);
    }
    return true;
}

static enum err add_outranked(const struct api_env *env,
                              const struct package *package, struct voids *v)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < package->head.entries; i++) {
        struct entry e;
        struct registry_decision d;
        struct errmsg why;
        if (entry_decode(package->entries[i], &e) != ERR_OK ||
            registry_take(&e, env->self.code, &d) != ERR_OK) {
            continue;
        }
        enum err one = directive_check_above(env, &d, &why);
        if (one == ERR_DENIED) {
            add_void(v->rows, v->p->first + 1 + i, why.text);
        } else if (one != ERR_OK) {
            err = one;
        }
    }
    return err;
}

/* It is published whatever is known of it: void_unknown says that there may be
 * more without effect. */
static void set_voids(const struct api_env *env, const struct package *package,
                      const struct publishing *p, json_t *result)
{
    struct voids v = {p, json_array()};
    enum err err = store_issues(env->store, on_issue, &v);
    enum err above = add_outranked(env, package, &v);
    err = err == ERR_OK ? above : err;
    if (err != ERR_OK) {
        log_warn(env->log, "DIRECTIVES",
                 "err=%s effect=\"which entries have "
                 "no effect is not told\"",
                 err_name(err));
    }
    (void)json_object_set_new(result, "void", v.rows);
    (void)json_object_set_new(result, "void_unknown",
                              json_boolean(err != ERR_OK));
}

enum err directive_publish(void *ctx, struct admin_call *call, json_t *args,
                           json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct buf file = BUF_INIT;
    struct package *package = NULL;
    struct publishing p = {.done = false};
    (void)args;
    enum err err = directive_read_file(call, PACKAGE_FILE_MAX, &file, why);
    if (err == ERR_OK) {
        err = package_parse(&package, buf_slice(&file), "the package", why);
    }
    if (err == ERR_OK) {
        err = directive_check_lawful(env, package, send_note, call, why);
    }
    if (err == ERR_OK) {
        note_clock(env, call);
        err = publish(env, package, &p, why);
    }
    if (err == ERR_OK) {
        char log[LOG_ID_TEXT_MAX];
        log_id_format(&p.log, log);
        log_info(env->log, "DIRECTIVES",
                 "log=%s first=%" PRIu64 " last=%" PRIu64 " entries=%u", log,
                 p.first, p.last, (unsigned)package->head.entries);
        *result = json_pack("{s:s, s:I, s:I, s:I}", "log", log, "first",
                            (json_int_t)p.first, "last", (json_int_t)p.last,
                            "entries", (json_int_t)package->head.entries);
        set_voids(env, package, &p, *result);
    }
    package_free(&package);
    buf_fini(&file);
    return err;
}

/* ---- looking ---- */

static bool add_child(void *ctx, const struct feed_status *st)
{
    char code[CODE_LEN + 1];
    char log[LOG_ID_TEXT_MAX];
    code_format(st->peer.code, code);
    log_id_format(&st->log, log);
    (void)json_array_append_new(
        ctx, json_pack("{s:s, s:s, s:s, s:I, s:b}", "code", code, "tier",
                       tier_name(st->peer.tier), "log", log, "size",
                       (json_int_t)st->size, "stopped", st->stopped ? 1 : 0));
    return true;
}

static json_t *follow_json(const struct api_env *env)
{
    struct follow_status st;
    if (env->follow == NULL) {
        return json_null();
    }
    follow_status(env->follow, &st);
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:s, s:b}", "state",
                     uplink_state_name(st.state), "since_ms",
                     (json_int_t)st.since_ms, "error", st.error,
                     "received_entries", (json_int_t)st.received_entries,
                     "refused", (json_int_t)st.refused, "last_refusal",
                     st.last_refusal, "parent_behind", st.behind ? 1 : 0);
}

enum err directive_lists(void *ctx, struct admin_call *call, json_t *args,
                         json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct lists_view view;
    json_t *children = json_array();
    (void)call;
    (void)args;
    (void)why;
    lists_view_take(env->store, &view);
    feed_children(env->feed, add_child, children);
    *result = json_pack("{s:o, s:o, s:o, s:o}", "lists", lists_json(env, &view),
                        "unheard", lists_unheard_json(env, &view), "children",
                        children, "follow", follow_json(env));
    lists_view_fini(&view);
    return ERR_OK;
}

/* ---- checking many ---- */

/* Codes as they come, to be counted once each. */
struct codes {
    char (*at)[USCC_LEN + 1]; /* owned */
    size_t n;
    size_t cap;
};

struct checking {
    struct api_env *env;
    struct admin_call *call;
    struct lists_view view;
    struct codes asked;
    struct codes listed;
    uint64_t invalid;
    struct errmsg *why;
};

static void codes_add(struct codes *codes, const char *code)
{
    if (codes->n == codes->cap) {
        codes->cap = codes->cap > 0 ? 2 * codes->cap : 64;
        codes->at = mem_realloc(codes->at, codes->cap * sizeof *codes->at);
    }
    (void)snprintf(codes->at[codes->n++], sizeof *codes->at, "%s", code);
}

static int by_code(const void *a, const void *b)
{
    return strcmp(a, b);
}

static json_int_t codes_different(struct codes *codes)
{
    json_int_t n = 0;
    if (codes->n > 0) {
        qsort(codes->at, codes->n, sizeof *codes->at, by_code);
    }
    for (size_t i = 0; i < codes->n; i++) {
        n += i == 0 || strcmp(codes->at[i - 1], codes->at[i]) != 0;
    }
    return n;
}

/* The start of a text as a report shows it: by UTF-8 alone, without a citizen
 * number. Owned. */
static json_t *shown_json(struct slice text)
{
    enum { SHOWN_BYTES = 120 };
    char cut[SHOWN_BYTES];
    struct buf shown = BUF_INIT;
    citizen_hide(text, CITIZEN_NEW_OR_OLD, &shown);
    str_quotable(buf_slice(&shown), cut, sizeof cut);
    buf_fini(&shown);
    return json_string(cut);
}

/* What is missing must not look as if it were on no list. */
static enum err go_on(const struct checking *c, uint64_t line)
{
    return admin_cancelled(c->call)
               ? err_set(c->why, ERR_CANCELLED,
                         "the node stops: only what stands before line %llu "
                         "was checked",
                         (unsigned long long)line)
               : ERR_OK;
}

static enum err check_bad(void *ctx, uint64_t line, struct slice text,
                          const char *rule)
{
    struct checking *c = ctx;
    enum err err = go_on(c, line);
    if (err != ERR_OK) {
        return err;
    }
    c->invalid++;
    return admin_send(c->call,
                      json_pack("{s:s, s:I, s:o, s:s, s:s, s:s}", "type", "row",
                                "line", (json_int_t)line, "subject",
                                shown_json(text), "rule", rule, "error",
                                subjects_text(rule), "error_zh",
                                subjects_text_zh(rule)));
}

static enum err check_code(void *ctx, uint64_t line, const char *code)
{
    struct checking *c = ctx;
    json_t *listings = NULL;
    enum err err = go_on(c, line);
    if (err == ERR_OK) {
        codes_add(&c->asked, code);
        err = listed_json(c->env, &c->view, code, &listings, c->why);
    }
    if (err == ERR_OK && json_array_size(listings) > 0) {
        codes_add(&c->listed, code);
        err =
            admin_send(c->call, json_pack("{s:s, s:I, s:s, s:O}", "type", "row",
                                          "line", (json_int_t)line, "subject",
                                          code, "listings", listings));
    }
    json_decref(listings);
    return err;
}

static json_t *check_result(struct checking *c,
                            const struct subjects_counts *counts)
{
    json_int_t listed = (json_int_t)c->listed.n;
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "lines",
        (json_int_t)counts->lines, "passed", (json_int_t)counts->passed,
        "organisations", codes_different(&c->asked), "listed", listed,
        "listed_organisations", codes_different(&c->listed), "invalid",
        (json_int_t)c->invalid, "lists", lists_json(c->env, &c->view),
        "unheard", lists_unheard_json(c->env, &c->view));
}

enum err directive_check(void *ctx, struct admin_call *call, json_t *args,
                         json_t **result, struct errmsg *why)
{
    enum { SUBJECTS_BYTES_MAX = 4 << 20 };
    struct checking c = {.env = ctx, .call = call, .why = why};
    const struct subjects_sink sink = {check_code, check_bad, &c};
    struct subjects_counts counts;
    struct buf file = BUF_INIT;
    (void)args;
    enum err err = directive_read_file(call, SUBJECTS_BYTES_MAX, &file, why);
    if (err == ERR_OK) {
        lists_view_take(c.env->store, &c.view);
        err = subjects_read(buf_slice(&file), &sink, &counts, why);
        if (err == ERR_OK) {
            *result = check_result(&c, &counts);
        }
        lists_view_fini(&c.view);
    }
    mem_free(c.asked.at);
    mem_free(c.listed.at);
    buf_fini(&file);
    return err;
}
