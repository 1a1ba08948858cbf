/* Decisions about nodes and their logs: preparing one, and those in force. */
#include <inttypes.h>
#include <string.h>

#include "api/directives.h"
#include "api/query.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
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

/* Where it ends, as told or else as it is held here. What is held must be of
 * that log, and no more: what is past a seal is not copied any more. */
static enum err take_end(const struct api_env *env, json_t *args,
                         const struct log_id *log,
                         struct registry_decision *out, struct errmsg *why)
{
    struct store_head head;
    const char *size = text_of(args, "size");
    const char *root = text_of(args, "root");
    enum err err = store_head(env->store, log, &head);
    bool held = err == ERR_OK;
    if (!held && err != ERR_NOT_FOUND) {
        return api_unread(err, "the log's head", why);
    }
    if (size[0] == 0 && root[0] == 0 && !held) {
        return err_set(why, ERR_NOT_FOUND,
                       "this node holds nothing of that log: give --size and "
                       "--root, as creditnode logs --json says at one that "
                       "does");
    }
    if (size[0] == 0 && root[0] == 0) {
        out->size = head.frontier.size;
        out->root = head.root;
        return ERR_OK;
    }
    if (!str_u64(slice_str(size), &out->size) ||
        !str_unhex(root, out->root.b, HASH_LEN)) {
        return err_set(why, ERR_INVALID,
                       "a seal needs both: --size, a number, and --root, 64 "
                       "hex digits");
    }
    if (held && head.frontier.size > out->size) {
        return err_set(why, ERR_INVALID,
                       "this node holds %" PRIu64
                       " entries of that log: a seal names all there are",
                       head.frontier.size);
    }
    return !held || head.frontier.size < out->size ||
                   hash_eq(&head.root, &out->root)
               ? ERR_OK
               : err_set(why, ERR_INVALID,
                         "what this node holds of that log has another root");
}

/* `log`: of which node, and which of its logs. */
static enum err take_log(const struct api_env *env, json_t *args,
                         struct registry_decision *out, struct errmsg *why)
{
    struct log_id log;
    if (!log_id_parse(text_of(args, "log"), &log) || log.kind != LOG_RECORDS) {
        return err_set(why, ERR_INVALID,
                       "'%.60s' is no log of records: name it as creditnode "
                       "logs does",
                       text_of(args, "log"));
    }
    out->code = log.origin;
    out->incarnation = log.incarnation;
    return out->what == REGISTRY_SEALED ? take_end(env, args, &log, out, why)
                                        : ERR_OK;
}

static enum err take_node(json_t *args, struct registry_decision *out,
                          struct errmsg *why)
{
    const char *code = text_of(args, "code");
    const char *parent = text_of(args, "parent");
    if (!code_parse(code, &out->code)) {
        return err_set(why, ERR_INVALID, "'%.40s' is no node code of 12 digits",
                       code);
    }
    if (parent[0] != 0 && !code_parse(parent, &out->parent)) {
        return err_set(why, ERR_INVALID, "'%.40s' is no node code of 12 digits",
                       parent);
    }
    return ERR_OK;
}

static enum err take_decision(const struct api_env *env, json_t *args,
                              struct registry_decision *out, struct errmsg *why)
{
    *out = (struct registry_decision){
        .what = registry_what_of(text_of(args, "what")),
        .at_ms = clock_wall_ms(),
        .reason = slice_str(text_of(args, "reason"))};
    out->decided = date_from_ms(out->at_ms);
    if (out->what == REGISTRY_WHATS) {
        return err_set(why, ERR_INVALID,
                       "what: revoked, restored, parent, sealed or unsealed");
    }
    enum err err = registry_is_of_log(out->what) ? take_log(env, args, out, why)
                                                 : take_node(args, out, why);
    if (err != ERR_OK) {
        return err;
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
    if (d->code == a->code &&
        (d->what == REGISTRY_REVOKED || d->what == REGISTRY_RESTORED) &&
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
    enum err err = directive_check_issuer(env, why);
    if (err == ERR_OK) {
        err = take_decision(env, args, &d, why);
    }
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

/* Which log of the node, and where it ends. */
static void set_seal(const struct registry_decision *d, json_t *row)
{
    const struct log_id log = registry_log(d);
    char text[LOG_ID_TEXT_MAX];
    char root[2 * HASH_LEN + 1];
    log_id_format(&log, text);
    str_hex(d->root.b, HASH_LEN, root);
    (void)json_object_set_new(row, "sealed", json_string(text));
    (void)json_object_set_new(row, "size", json_integer((json_int_t)d->size));
    (void)json_object_set_new(row, "root", json_string(root));
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
    if (whole && d->what == REGISTRY_SEALED) {
        set_seal(&full, row);
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
