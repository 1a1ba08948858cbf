/* The operator's side of api.h: commands on the local socket. */
#include <stdatomic.h>
#include <string.h>

#include "api/directives.h"
#include "api/effects.h"
#include "api/elsewhere.h"
#include "api/json.h"
#include "api/query.h"
#include "api/status.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "ident/rootchain.h"

/* ---- root document ---- */

static enum err do_root_show(void *ctx, struct admin_call *call, json_t *args,
                             json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    json_int_t asked = json_integer_value(json_object_get(args, "version"));
    const struct rootdoc *doc = asked > 0
                                    ? rootchain_at(env->roots, (uint64_t)asked)
                                    : rootchain_newest(env->roots);
    if (doc == NULL) {
        return err_set(why, ERR_NOT_FOUND,
                       "version %lld of the root document is not known here",
                       (long long)asked);
    }
    const struct rootdoc *known;
    for (uint64_t v = 1; (known = rootchain_at(env->roots, v)) != NULL; v++) {
        json_t *row = json_root(known);
        (void)json_object_set_new(row, "type", json_string("row"));
        (void)admin_send(call, row);
    }
    struct slice bytes = rootdoc_bytes(doc);
    *result = json_root(doc);
    (void)json_object_set_new(
        *result, "text", json_stringn((const char *)bytes.data, bytes.len));
    return ERR_OK;
}

/* Of a log that is not here, or not as far, nothing can be said. */
static enum err check_end(const struct api_env *env, uint64_t code,
                          const struct rootdoc_last *last, struct errmsg *why)
{
    const struct log_id log = {.origin = code,
                               .incarnation = last->incarnation,
                               .kind = LOG_DIRECTIVES};
    struct store_head head;
    struct hash root;
    char name[LOG_ID_TEXT_MAX];
    if (store_head(env->store, &log, &head) != ERR_OK ||
        head.frontier.size < last->size) {
        return ERR_OK;
    }
    struct tree_view view = store_view(env->store, &head);
    enum err err = tree_root(&view, last->size, &root);
    log_id_format(&log, name);
    if (err != ERR_OK) {
        return err_set(why, err, "log %s cannot be read now: %s", name,
                       err_text(err));
    }
    return hash_eq(&root, &last->root)
               ? ERR_OK
               : err_set(why, ERR_DENIED,
                         "replaces: the first %llu entries of log %s have "
                         "another root here: propose it anew with --last as "
                         "`creditnode logs --json` shows it",
                         (unsigned long long)last->size, name);
}

/* What its `replaces` say of logs that are held here must be so: with another
 * root nothing that the former deciders signed would count any more. */
static enum err check_ends(const struct api_env *env, const struct rootdoc *doc,
                           struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < rootdoc_issuer_count(doc); i++) {
        const struct rootdoc_issuer *issuer = rootdoc_issuer(doc, i);
        for (unsigned k = 0; err == ERR_OK && k < issuer->lasts_count; k++) {
            err = check_end(env, issuer->code, &issuer->lasts[k], why);
        }
    }
    return err;
}

static enum err do_root_publish(void *ctx, struct admin_call *call,
                                json_t *args, json_t **result,
                                struct errmsg *why)
{
    struct api_env *env = ctx;
    json_t *text = json_object_get(args, "text");
    uint64_t version = 0;
    bool added = false;
    (void)call;
    if (!json_is_string(text)) {
        return err_set(why, ERR_INVALID, "no document given");
    }
    struct slice bytes =
        slice_of(json_string_value(text), json_string_length(text));
    struct rootdoc *doc = NULL;
    enum err err = rootdoc_parse(&doc, bytes, "root document", why);
    if (err == ERR_OK) {
        err = check_ends(env, doc, why);
    }
    rootdoc_free(&doc);
    if (err == ERR_OK) {
        err = rootchain_add(env->roots, bytes, "root document", &added,
                            &version, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (added) {
        log_info(env->log, "ROOT-VERSION", "version=%llu from=operator",
                 (unsigned long long)version);
    }
    *result =
        json_pack("{s:I, s:b, s:I}", "version", (json_int_t)version, "added",
                  added ? 1 : 0, "in_force",
                  (json_int_t)rootdoc_version(rootchain_newest(env->roots)));
    return ERR_OK;
}

/* ---- logs ---- */

struct list_logs {
    const struct api_env *env;
    struct admin_call *call;
    const char *state;
};

static json_t *above_json(const struct api_env *env, const struct log_id *log)
{
    struct store_above above[ABOVE_MAX];
    size_t n = store_above(env->store, log, above);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(
            list, json_pack("{s:o, s:s, s:I}", "code", json_code(above[i].code),
                            "tier", tier_name(above[i].tier), "size",
                            (json_int_t)above[i].size));
    }
    return list;
}

static bool send_log(void *ctx, const struct store_head *head)
{
    struct list_logs *l = ctx;
    char root[2 * HASH_LEN + 1];
    if (l->state != NULL &&
        strcmp(l->state, log_state_name(head->state)) != 0) {
        return true;
    }
    str_hex(head->root.b, HASH_LEN, root);
    json_t *object = json_pack(
        "{s:s, s:I, s:s, s:s, s:b, s:I, s:I, s:o}", "type", "row", "size",
        (json_int_t)head->frontier.size, "root", root, "state",
        log_state_name(head->state), "own", head->own ? 1 : 0,
        "checkpoint_size", (json_int_t)head->newest.size, "checkpoint_ms",
        (json_int_t)head->newest.at_ms, "above",
        above_json(l->env, &head->log));
    json_set_log(object, &head->log);
    return admin_send(l->call, object) == ERR_OK;
}

static enum err do_logs(void *ctx, struct admin_call *call, json_t *args,
                        json_t **result, struct errmsg *why)
{
    struct list_logs l = {
        .env = ctx,
        .call = call,
        .state = json_string_value(json_object_get(args, "state"))};
    (void)result;
    (void)why;
    store_logs(l.env->store, send_log, &l);
    return ERR_OK;
}

static bool send_issue(void *ctx, const struct store_issue *issue)
{
    json_t *object =
        json_pack("{s:s, s:I, s:s, s:o}", "type", "row", "number",
                  (json_int_t)issue->number, "effect",
                  issue->effect == EFFECT_VOID ? "void" : "unindexed", "reason",
                  json_text(issue->reason));
    json_set_log(object, &issue->log);
    return admin_send(ctx, object) == ERR_OK;
}

static enum err do_issues(void *ctx, struct admin_call *call, json_t *args,
                          json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    (void)args;
    (void)result;
    enum err err = store_issues(env->store, send_issue, call);
    return err == ERR_OK ? ERR_OK : api_unread(err, "the store", why);
}

/* ---- queries ---- */

enum { ANSWER_MAX = ADMIN_FRAME_MAX - 64 * 1024 };

struct records_out {
    const struct api_env *env;
    json_t *list;
    size_t bytes;
};

static json_t *fields_json(const struct api_env *env, const struct found *f)
{
    struct unsealer unsealer = query_unsealer(env);
    json_t *fields = json_array();
    struct buf value = BUF_INIT;
    for (size_t i = 0; i < f->record.item->count; i++) {
        const struct catalogue_field *field = &f->record.item->fields[i];
        buf_clear(&value);
        if (!found_shows(f, i) ||
            record_show(&f->record, i, f->row.log.origin, RECORD_MASKED,
                        &unsealer, &value) != ERR_OK) {
            continue;
        }
        (void)json_array_append_new(
            fields, json_pack("{s:o, s:o, s:o, s:o}", "code",
                              json_text(field->code != NULL ? field->code : ""),
                              "label", json_text(field->label_zh), "label_en",
                              json_text(field->label_en), "value",
                              json_text_of(buf_slice(&value))));
    }
    buf_fini(&value);
    return fields;
}

static bool add_found(void *ctx, const struct found *f)
{
    struct records_out *out = ctx;
    char key[2 * RECORD_KEY_LEN + 1];
    const struct catalogue_item *item = catalogue_item(f->row.item);
    str_hex(f->row.record_key, RECORD_KEY_LEN, key);
    json_t *object = json_pack(
        "{s:s, s:o, s:o, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "record_key", key,
        "item", json_text(item != NULL ? item->name : "unknown"), "item_zh",
        json_text(item != NULL ? item->label_zh : ""), "version",
        (json_int_t)f->row.version, "status", status_name(f->row.status),
        "disclosure",
        disclosure_name(catalogue_disclosure(f->row.item, f->row.disclosure)),
        "decided", (json_int_t)f->row.decided, "until",
        (json_int_t)f->row.until, "publish_until",
        (json_int_t)f->row.publish_until, "number", (json_int_t)f->row.number);
    json_set_log(object, &f->row.log);
    if (f->decoded) {
        (void)json_object_set_new(object, "fields", fields_json(out->env, f));
        (void)json_object_set_new(object, "entered_ms",
                                  json_integer(f->entry.entered_at_ms));
    }
    out->bytes += json_dumpb(object, NULL, 0, JSON_COMPACT);
    if (json_array_size(out->list) > 0 && out->bytes > ANSWER_MAX) {
        json_decref(object);
        return false;
    }
    (void)json_array_append_new(out->list, object);
    return true;
}

static bool text_arg(json_t *args, const char *name, const char **out)
{
    *out = json_string_value(json_object_get(args, name));
    return *out != NULL;
}

/* What the lists say of the subject, and how old they are. A subject without a
 * credit code is on none. */
static enum err add_listings(const struct api_env *env, const char *subject,
                             json_t *result, struct errmsg *why)
{
    struct lists_view view;
    json_t *listings = NULL;
    lists_view_take(env->store, &view);
    enum err err = listed_json(env, &view, subject, &listings, why);
    if (err == ERR_OK) {
        (void)json_object_set_new(result, "listings", listings);
        (void)json_object_set_new(result, "lists", lists_json(env, &view));
        (void)json_object_set_new(result, "unheard",
                                  lists_unheard_json(env, &view));
    }
    lists_view_fini(&view);
    return err == ERR_INVALID ? ERR_OK : err;
}

static enum err do_subject(void *ctx, struct admin_call *call, json_t *args,
                           json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct records_out out = {.env = env};
    struct subject_query q = {.access = access_local()};
    uint8_t after[QUERY_PLACE_LEN];
    struct query_next next = {.more = false};
    const char *text;
    (void)call;
    if (!text_arg(args, "subject", &q.subject)) {
        return err_set(why, ERR_INVALID, "no subject given");
    }
    if (text_arg(args, "after", &text)) {
        if (!str_unhex(text, after, sizeof after)) {
            return err_set(why, ERR_INVALID,
                           "`after` is no place in an answer");
        }
        q.after = after;
    }
    json_int_t limit = json_integer_value(json_object_get(args, "limit"));
    q.limit = limit > 0 && limit < UINT32_MAX ? (uint32_t)limit : 0;
    q.brief = json_is_true(json_object_get(args, "brief"));
    out.list = json_array();
    enum err err = query_subject(env, &q, add_found, &out, &next, why);
    if (err != ERR_OK) {
        json_decref(out.list);
        return err;
    }
    *result =
        json_pack("{s:o, s:o}", "node", json_node(env), "records", out.list);
    err = add_listings(env, q.subject, *result, why);
    if (err != ERR_OK) {
        json_decref(*result);
        *result = NULL;
        return err;
    }
    if (next.more) {
        char hex[2 * QUERY_PLACE_LEN + 1];
        str_hex(next.place, sizeof next.place, hex);
        (void)json_object_set_new(*result, "next", json_string(hex));
    }
    return ERR_OK;
}

static json_t *holders_json(const struct api_env *env, json_t *current)
{
    struct log_id log;
    json_t *list = json_array();
    json_int_t number = json_integer_value(json_object_get(current, "number"));
    (void)json_array_append_new(
        list, json_pack("{s:o, s:s, s:b}", "code", json_code(env->self.code),
                        "tier", tier_name(env->self.tier), "durable", 1));
    if (!log_id_parse(json_string_value(json_object_get(current, "log")),
                      &log)) {
        return list;
    }
    struct store_above above[ABOVE_MAX];
    size_t n = store_above(env->store, &log, above);
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(
            list, json_pack("{s:o, s:s, s:b}", "code", json_code(above[i].code),
                            "tier", tier_name(above[i].tier), "durable",
                            above[i].size >= (uint64_t)number ? 1 : 0));
    }
    return list;
}

static enum err do_record(void *ctx, struct admin_call *call, json_t *args,
                          json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct records_out out = {.env = env};
    struct record_query q = {.access = access_local()};
    uint8_t key[RECORD_KEY_LEN];
    const char *text;
    (void)call;
    if (text_arg(args, "record_key", &text)) {
        if (!str_unhex(text, key, sizeof key) ||
            !text_arg(args, "subject", &q.subject)) {
            return err_set(why, ERR_INVALID,
                           "a record is named by subject and record key (32 "
                           "hex digits), or by log and number");
        }
        q.record_key = key;
    } else if (!text_arg(args, "log", &q.log)) {
        return err_set(why, ERR_INVALID, "no record named");
    }
    q.number = (uint64_t)json_integer_value(json_object_get(args, "number"));
    out.list = json_array();
    bool more = false;
    enum err err = query_record(env, &q, add_found, &out, &more, why);
    if (err != ERR_OK) {
        json_decref(out.list);
        return err;
    }
    json_t *current = json_incref(json_array_get(out.list, 0));
    (void)json_array_remove(out.list, 0);
    *result = json_pack("{s:o, s:o, s:o, s:o, s:b}", "node", json_node(env),
                        "held_by", holders_json(env, current), "record",
                        current, "history", out.list, "more", more ? 1 : 0);
    return ERR_OK;
}

/* ---- import ---- */

static json_t *faults_json(const struct import_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row->faults_count; i++) {
        const struct row_fault *f = &row->faults[i];
        (void)json_array_append_new(
            list, json_pack("{s:o, s:s, s:o}", "column", json_text(f->column),
                            "rule", f->rule, "text", json_text(f->text)));
    }
    return list;
}

enum { PROGRESS_MS = 1000 };

struct import_out {
    struct admin_call *call;
    uint64_t rows;
    int64_t told_ms;
};

static void send_row(void *ctx, const struct import_row *row)
{
    json_t *object = json_pack("{s:s, s:I, s:s}", "type", "row", "line",
                               (json_int_t)row->line, "outcome",
                               row_outcome_name(row->outcome));
    if (row->outcome == ROW_REFUSED) {
        (void)json_object_set_new(object, "faults", faults_json(row));
    } else {
        char key[2 * RECORD_KEY_LEN + 1];
        str_hex(row->record_key, RECORD_KEY_LEN, key);
        (void)json_object_set_new(object, "record_key", json_string(key));
    }
    if (row->number != 0) {
        json_set_log(object, &row->log);
        (void)json_object_set_new(object, "number", json_u64(row->number));
        (void)json_object_set_new(object, "version", json_u64(row->version));
    }
    struct import_out *out = ctx;
    (void)admin_send(out->call, object);
}

/* Instead of rows, for a client that wants the sums only: it would take a long
 * silence for the end of the node. */
static void count_row(void *ctx, const struct import_row *row)
{
    struct import_out *out = ctx;
    int64_t now_ms = clock_mono_ms();
    (void)row;
    out->rows++;
    if (now_ms - out->told_ms >= PROGRESS_MS) {
        out->told_ms = now_ms;
        (void)admin_send(out->call, json_pack("{s:s, s:I}", "type", "progress",
                                              "done", (json_int_t)out->rows));
    }
}

static void send_warning(void *ctx, const char *text)
{
    struct import_out *out = ctx;
    (void)admin_send(out->call, json_pack("{s:s, s:o}", "type", "warning",
                                          "text", json_text(text)));
}

static enum err feed_frames(struct admin_call *call, struct import *import,
                            uint64_t max_bytes, struct errmsg *why)
{
    struct buf frame = BUF_INIT;
    uint64_t total = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        err = admin_recv(call, &frame);
        if (err != ERR_OK) {
            (void)err_set(why, err,
                          "%s before the end of the file; send it again: rows "
                          "that are in change nothing",
                          admin_cancelled(call) ? "the node stops"
                                                : "the sender went silent");
            break;
        }
        if (frame.len == 0) {
            err = import_finish(import, why);
            break;
        }
        total += frame.len;
        err = total > max_bytes
                  ? err_set(why, ERR_TOO_LARGE,
                            "the file is larger than ingest.file_max (%llu "
                            "bytes)",
                            (unsigned long long)max_bytes)
                  : import_feed(import, buf_slice(&frame), why);
    }
    buf_fini(&frame);
    return err;
}

static json_t *counts_json(const struct import_counts *counts)
{
    json_t *object = json_pack("{s:I}", "rows", (json_int_t)counts->rows);
    for (int i = 0; i < ROW_OUTCOMES; i++) {
        (void)json_object_set_new(object, row_outcome_name((enum row_outcome)i),
                                  json_u64(counts->outcome[i]));
    }
    return object;
}

static enum err do_import(void *ctx, struct admin_call *call, json_t *args,
                          json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    bool quiet = json_is_true(json_object_get(args, "quiet"));
    struct import_out out = {.call = call};
    struct import_sink sink = {.row = quiet ? count_row : send_row,
                               .warning = send_warning,
                               .ctx = &out};
    struct import *import = NULL;
    struct import_counts counts;
    import_begin(&import, env->import, &sink);
    enum err err = feed_frames(
        call, import, atomic_load(&env->conf)->ingest.file_max_bytes, why);
    import_counts(import, &counts);
    import_free(&import);
    log_info(env->log, "IMPORT", "rows=%llu new=%llu refused=%llu result=%s",
             (unsigned long long)counts.rows,
             (unsigned long long)counts.outcome[ROW_NEW],
             (unsigned long long)counts.outcome[ROW_REFUSED], err_name(err));
    if (err == ERR_OK) {
        *result = counts_json(&counts);
    }
    return err;
}

/* ---- checking ---- */

/* False: nobody waits for the work any more, or the node stops. */
static bool send_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)admin_send(ctx,
                     json_pack("{s:s, s:I, s:I}", "type", "progress", "done",
                               (json_int_t)done, "total", (json_int_t)total));
    return !admin_cancelled(ctx);
}

static enum err do_reindex(void *ctx, struct admin_call *call, json_t *args,
                           json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    (void)args;
    (void)result;
    enum err err = store_reindex(env->store, send_progress, call, why);
    if (err == ERR_OK) {
        views_rebuild(env->views);
    }
    return err;
}

/* For `creditnode store copy`, which reads it beside this node. */
static enum err do_snapshot(void *ctx, struct admin_call *call, json_t *args,
                            json_t **result, struct errmsg *why)
{
    const struct api_env *env = ctx;
    struct buf path = BUF_INIT;
    (void)call;
    (void)args;
    buf_putf(&path, "%s/store.snapshot", atomic_load(&env->conf)->data.dir);
    enum err err = store_snapshot(env->store, buf_cstr(&path), why);
    if (err == ERR_OK) {
        log_info(env->log, "STORE-SNAPSHOT", "path=%s", buf_cstr(&path));
        *result = json_pack("{s:o}", "path", json_text(buf_cstr(&path)));
    }
    buf_fini(&path);
    return err;
}

struct faults_out {
    struct admin_call *call;
    uint64_t count;
    int64_t told_ms;
};

static void send_fault(void *ctx, const struct log_id *log, uint64_t number,
                       const char *what)
{
    struct faults_out *out = ctx;
    json_t *object = json_pack("{s:s, s:I, s:o}", "type", "row", "number",
                               (json_int_t)number, "text", json_text(what));
    json_set_log(object, log);
    out->count++;
    (void)admin_send(out->call, object);
}

/* store_scrub() has one context for both callbacks. */
static bool scrub_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct faults_out *out = ctx;
    int64_t now_ms = clock_mono_ms();
    if (now_ms - out->told_ms < PROGRESS_MS) {
        return !admin_cancelled(out->call);
    }
    out->told_ms = now_ms;
    return send_progress(out->call, done, total);
}

static enum err do_scrub(void *ctx, struct admin_call *call, json_t *args,
                         json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct faults_out out = {.call = call};
    bool ended = false;
    (void)args;
    uint64_t damages = store_damages(env->store);
    enum err err = store_scrub(env->store, send_fault, scrub_progress, &out);
    if (err == ERR_CANCELLED || (err != ERR_OK && out.count == 0)) {
        return err_set(why, err, "the check could not be finished: %s",
                       err_text(err));
    }
    /* Faults are the answer, no error. */
    err = err == ERR_OK ? store_damage_end(env->store, damages, &ended, why)
                        : ERR_OK;
    if (err == ERR_OK) {
        *result = json_pack("{s:I, s:b}", "faults", (json_int_t)out.count,
                            "alarm_ended", ended ? 1 : 0);
    }
    return err;
}

struct verify_out {
    struct admin_call *call;
    uint64_t logs;
    uint64_t total;
    uint64_t different;
    int64_t told_ms;
};

static bool send_verified(void *ctx, const struct verify_result *r)
{
    struct verify_out *out = ctx;
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:b, s:I, s:o}", "type", "row", "here",
                  (json_int_t)r->here, "there", (json_int_t)r->there, "equal",
                  r->equal ? 1 : 0, "first_difference",
                  (json_int_t)r->first_difference, "text", json_text(r->text));
    json_set_log(object, &r->log);
    out->logs++;
    out->different += !r->equal;
    (void)admin_send(out->call, object);
    int64_t now_ms = clock_mono_ms();
    if (now_ms - out->told_ms >= PROGRESS_MS) {
        out->told_ms = now_ms;
        (void)send_progress(out->call, out->logs, out->total);
    }
    return !admin_cancelled(out->call);
}

static enum err verify_with(struct api_env *env, const char *target,
                            const struct log_id *only, struct verify_out *out,
                            struct errmsg *why)
{
    struct rpc_channel *channel = NULL;
    if (target == NULL) {
        return sync_verify_origin(env->sync, only, send_verified, out, why);
    }
    enum err err =
        rpc_channel_open(&channel, env->rpc, target, env->tls, NULL, why);
    if (err == ERR_OK) {
        err = sync_verify(env->sync, channel, only, send_verified, out, why);
    }
    rpc_channel_close(&channel);
    return err;
}

/* Whose copy to compare with; NULL: the origins' signed heads. */
static enum err verify_target(struct api_env *env, json_t *args,
                              const char **target, struct errmsg *why)
{
    const char *parent = env->uplink != NULL
                             ? rpc_channel_target(uplink_channel(env->uplink))
                             : "";
    bool origin = json_is_true(json_object_get(args, "origin"));
    bool named = text_arg(args, "with", target);
    if (origin && named) {
        return err_set(why, ERR_INVALID, "--with and --origin: one of them");
    }
    if (!origin && !named && parent[0] == 0) {
        return err_set(why, ERR_INVALID,
                       "this node has no parent; name another node's address "
                       "by --with HOST:PORT, or use --origin");
    }
    *target = origin ? NULL : (named ? *target : parent);
    return ERR_OK;
}

static enum err do_verify(void *ctx, struct admin_call *call, json_t *args,
                          json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct verify_out out = {.call = call};
    struct log_id only;
    const char *text;
    const char *target;
    bool one = text_arg(args, "log", &text);
    if (one && !log_id_parse(text, &only)) {
        return err_set(why, ERR_INVALID, "'%.60s' is no log", text);
    }
    enum err err = verify_target(env, args, &target, why);
    if (err == ERR_OK) {
        out.total = one ? 1 : store_log_count(env->store);
        err = verify_with(env, target, one ? &only : NULL, &out, why);
    }
    if (err == ERR_OK) {
        *result = json_pack("{s:o, s:I, s:I}", "with",
                            json_text(target != NULL ? target : "origin"),
                            "logs", (json_int_t)out.logs, "different",
                            (json_int_t)out.different);
    }
    return err;
}

const struct admin_command api_commands[] = {
    {"status", status_cmd, NULL},
    {"logs", do_logs, NULL},
    {"issues", do_issues, NULL},
    {"subject", do_subject, NULL},
    {"record", do_record, NULL},
    {"import", do_import, elsewhere_check},
    {"reindex", do_reindex, elsewhere_check},
    {"scrub", do_scrub, NULL},
    {"store-snapshot", do_snapshot, NULL},
    {"verify", do_verify, NULL},
    {"root-show", do_root_show, NULL},
    {"root-publish", do_root_publish, elsewhere_check},
    {"directive-prepare", directive_prepare, NULL},
    {"directive-publish", directive_publish, elsewhere_check},
    {"directive-lists", directive_lists, NULL},
    {"directive-status", directive_status, NULL},
    {"directive-node", directive_node, NULL},
    {"directive-nodes", directive_nodes, NULL},
    {"directive-catalogue", directive_catalogue, NULL},
    {"directive-measure", directive_measure, NULL},
    {"catalogue", catalogue_show, NULL},
    {"directive-export", directive_export, NULL},
    {"directive-take", directive_take, elsewhere_check},
    {"directive-effects", effects_cmd_list, NULL},
    {"feedback", effects_cmd_feedback, elsewhere_check},
    {"check", directive_check, NULL},
};
const size_t api_commands_count = ARRAY_LEN(api_commands);
