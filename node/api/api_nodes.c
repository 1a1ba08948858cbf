/* Decisions about nodes: preparing one, and those in force. */
#include <inttypes.h>
#include <string.h>

#include "api/directives.h"
#include "api/query.h"
#include "base/clock.h"
#include "base/mem.h"
#include "credit/clean.h"
#include "credit/date.h"
#include "credit/division.h"
#include "credit/package.h"
#include "credit/registry.h"

/* ---- preparing ---- */

static const char *text_of(json_t *args, const char *key)
{
    const char *text = json_string_value(json_object_get(args, key));
    return text != NULL ? text : "";
}

static bool what_of(const char *name, enum registry_what *out)
{
    for (int what = REGISTRY_REVOKED; what <= REGISTRY_PARENT; what++) {
        if (strcmp(name, registry_what_name((enum registry_what)what)) == 0) {
            *out = (enum registry_what)what;
            return true;
        }
    }
    return false;
}

static enum err take_decision(const struct api_env *env, json_t *args,
                              struct registry_decision *out, struct errmsg *why)
{
    const char *code = text_of(args, "code");
    const char *parent = text_of(args, "parent");
    *out = (struct registry_decision){
        .at_ms = clock_wall_ms(), .reason = slice_str(text_of(args, "reason"))};
    out->decided = date_from_ms(out->at_ms);
    if (!what_of(text_of(args, "what"), &out->what)) {
        return err_set(why, ERR_INVALID, "what: revoked, restored or parent");
    }
    if (!code_parse(code, &out->code)) {
        return err_set(why, ERR_INVALID, "'%.40s' is no node code of 12 digits",
                       code);
    }
    if (parent[0] != 0 && !code_parse(parent, &out->parent)) {
        return err_set(why, ERR_INVALID, "'%.40s' is no node code of 12 digits",
                       parent);
    }
    const char *fault = registry_fault(out, env->self.code);
    if (fault != NULL) {
        return err_set(why, ERR_INVALID, "%s", fault);
    }
    fault = clean_fault(out->reason);
    return fault == NULL ? ERR_OK
                         : err_set(why, ERR_INVALID, "the reason %s", fault);
}

/* What authorities above this one said last of a node, log by log. */
struct above {
    uint64_t self;
    uint64_t code;
    struct store_node last; /* of the log at hand; code 0: nothing */
    struct store_node restored;
};

static void end_log(struct above *a)
{
    if (a->last.code != 0 && a->last.what == REGISTRY_RESTORED) {
        a->restored = a->last;
    }
    a->last.code = 0;
}

static bool on_decision(void *ctx, const struct store_node *d)
{
    struct above *a = ctx;
    if (!log_id_eq(&d->log, &a->last.log)) {
        end_log(a);
    }
    if (d->code == a->code && d->what != REGISTRY_PARENT &&
        division_is_below(a->self, d->log.origin)) {
        a->last = *d;
    }
    return true;
}

enum err directive_check_above(const struct api_env *env,
                               const struct registry_decision *d,
                               struct errmsg *why)
{
    struct above a = {.self = env->self.code, .code = d->code};
    struct lists_view view;
    char log[LOG_ID_TEXT_MAX];
    if (d->what != REGISTRY_REVOKED) {
        return ERR_OK;
    }
    lists_view_take(env->store, &view);
    enum err err = store_nodes(env->store, &view, on_decision, &a);
    lists_view_fini(&view);
    end_log(&a);
    if (err != ERR_OK) {
        return api_unread(err, "what was decided about nodes", why);
    }
    log_id_format(&a.restored.log, log);
    return a.restored.code == 0
               ? ERR_OK
               : err_set(why, ERR_DENIED,
                         "%012" PRIu64 " restored this node, directive %" PRIu64
                         " of %s: only it, or one above it, can revoke the "
                         "node now",
                         a.restored.log.origin, a.restored.number, log);
}

enum err directive_node(void *ctx, struct admin_call *call, json_t *args,
                        json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct registry_decision d;
    struct package *package = NULL;
    struct buf room = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct buf file = BUF_INIT;
    enum err err = take_decision(env, args, &d, why);
    if (err == ERR_OK) {
        err = directive_check_above(env, &d, why);
    }
    if (err == ERR_OK) {
        struct entry e;
        registry_to_entry(&d, &room, &e);
        entry_encode(&e, &bytes);
        const struct slice one = buf_slice(&bytes);
        err = prepare_package(env, d.at_ms, &one, 1, &package);
    }
    if (err == ERR_OK) {
        package_put(package, &file);
        directive_send_file(call, buf_slice(&file));
        *result = json_pack("{s:i, s:i}", "rows", 1, "refused", 0);
    }
    package_free(&package);
    buf_fini(&room);
    buf_fini(&bytes);
    buf_fini(&file);
    return err;
}

/* ---- in force ---- */

struct listing_nodes {
    struct store_node *all;
    size_t n;
};

static bool keep(void *ctx, const struct store_node *d)
{
    struct listing_nodes *l = ctx;
    l->all = mem_realloc(l->all, (l->n + 1) * sizeof *l->all);
    l->all[l->n++] = *d;
    return true;
}

static enum err add_node(const struct api_env *env, const struct store_node *d,
                         json_t *rows)
{
    char code[CODE_LEN + 1];
    char parent[CODE_LEN + 1];
    char issuer[CODE_LEN + 1];
    char log[LOG_ID_TEXT_MAX];
    char day[11];
    struct buf bytes = BUF_INIT;
    struct entry e;
    struct registry_decision full = {.reason = {NULL, 0}};
    code_format(d->code, code);
    code_format(d->parent, parent);
    code_format(d->log.origin, issuer);
    log_id_format(&d->log, log);
    date_format(d->decided, day);
    enum err err = store_entry(env->store, &d->log, d->number, &bytes);
    if (err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_SEALED) {
        return err;
    }
    bool whole = err == ERR_OK &&
                 entry_decode(buf_slice(&bytes), &e) == ERR_OK &&
                 registry_take(&e, d->log.origin, &full) == ERR_OK;
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:s%}", "code", code, "what",
        registry_what_name((enum registry_what)d->what), "issuer", issuer,
        "decided", day, "log", log, "number", (json_int_t)d->number, "reason",
        whole ? (const char *)full.reason.data : "",
        whole ? full.reason.len : (size_t)0);
    if (d->what == REGISTRY_PARENT) {
        (void)json_object_set_new(row, "parent", json_string(parent));
    }
    (void)json_array_append_new(rows, row);
    buf_fini(&bytes);
    return ERR_OK;
}

enum err directive_nodes(void *ctx, struct admin_call *call, json_t *args,
                         json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct listing_nodes l = {.n = 0};
    json_t *rows = json_array();
    (void)call;
    (void)args;
    enum err err = ERR_OK;
    roster_each(env->sync->roster, keep, &l);
    for (size_t i = 0; err == ERR_OK && i < l.n; i++) {
        err = add_node(env, &l.all[i], rows);
    }
    mem_free(l.all);
    if (err != ERR_OK) {
        json_decref(rows);
        return err_set(why, err, "decisions about nodes cannot be read: %s",
                       err_text(err));
    }
    *result = json_pack("{s:o, s:I}", "nodes", rows, "refused",
                        (json_int_t)roster_refused(env->sync->roster));
    return ERR_OK;
}
