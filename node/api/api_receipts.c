/* directive status: who holds a directive. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/directives.h"
#include "api/query.h"
#include "base/mem.h"
#include "credit/package.h"

/* ---- which log ---- */

/* The only directives log here, or the names of all. */
struct choice {
    struct log_id log;
    size_t n;
    struct buf names;
};

static bool add_log(void *ctx, const struct store_head *head)
{
    struct choice *c = ctx;
    char name[LOG_ID_TEXT_MAX];
    log_id_format(&head->log, name);
    c->log = head->log;
    buf_putf(&c->names, "%s%s", c->n > 0 ? ", " : "", name);
    c->n++;
    return true;
}

enum err directive_log(struct store *store, json_t *args, struct log_id *out,
                       struct errmsg *why)
{
    const char *name = json_string_value(json_object_get(args, "log"));
    struct choice c = {.names = BUF_INIT};
    enum err err = ERR_OK;
    if (name != NULL) {
        return log_id_parse(name, out) && out->kind == LOG_DIRECTIVES
                   ? ERR_OK
                   : err_set(why, ERR_INVALID,
                             "'%.60s' is no directives log; see: creditnode "
                             "directive lists",
                             name);
    }
    if (store_directives_log(store, out) == ERR_OK) {
        return ERR_OK;
    }
    store_directives(store, add_log, &c);
    if (c.n == 1) {
        *out = c.log;
    } else if (c.n == 0) {
        err = err_set(why, ERR_NOT_FOUND, "no directive has come here yet");
    } else {
        err = err_set(why, ERR_INVALID, "say which by --log: %.400s",
                      buf_cstr(&c.names));
    }
    buf_fini(&c.names);
    return err;
}

/* ---- which entries ---- */

/* A directive counts where the whole package is. */
struct span {
    uint64_t number;
    uint64_t end;         /* of its package, or itself */
    int64_t published_ms; /* by the issuer's clock; 0: in no package */
};

/* `begins`: a package does, whether or not it reaches as far as the span. */
static enum err begins_at(struct store *store, const struct log_id *log,
                          uint64_t number, struct span *span, bool *begins)
{
    struct buf bytes = BUF_INIT;
    struct entry e;
    struct package_head head;
    enum err err = store_entry(store, log, number, &bytes);
    *begins = err == ERR_OK && entry_decode(buf_slice(&bytes), &e) == ERR_OK &&
              package_begin_decode(&e, &head) == ERR_OK;
    if (*begins && number + head.entries + 1 >= span->number) {
        span->end = number + head.entries + 1;
        span->published_ms = e.entered_at_ms;
    }
    buf_fini(&bytes);
    return err == ERR_SEALED ? ERR_OK : err;
}

static enum err span_of(struct store *store, const struct log_id *log,
                        uint64_t number, struct span *out)
{
    enum err err = ERR_OK;
    bool begins = false;
    *out = (struct span){.number = number, .end = number};
    for (uint64_t at = number; err == ERR_OK && !begins && at > 1 &&
                               number - at <= PACKAGE_ENTRIES_MAX;
         at--) {
        err = begins_at(store, log, at, out, &begins);
    }
    return err;
}

/* ---- the answer ---- */

struct behind {
    json_t *missing;
    json_t *revoked;
};

/* Who is shut out is not expected to hold anything; those below it are. */
static void add_behind(void *ctx, const struct receipts_node *node)
{
    const struct behind *b = ctx;
    uint64_t nodes = node->nodes - (node->revoked ? 1 : 0);
    char code[CODE_LEN + 1];
    code_format(node->code, code);
    json_t *row = json_pack(
        "{s:s, s:I, s:I, s:I, s:b, s:b, s:b, s:b}", "code", code, "size",
        (json_int_t)node->size, "heard_ms", (json_int_t)node->heard_ms, "nodes",
        (json_int_t)nodes, "child", node->child ? 1 : 0, "connected",
        node->here ? 1 : 0, "disagrees", node->disagrees ? 1 : 0, "revoked",
        node->revoked ? 1 : 0);
    if (nodes > 0) {
        (void)json_array_append(b->missing, row);
    }
    if (node->revoked) {
        (void)json_array_append_new(b->revoked, json_string(code));
    }
    json_decref(row);
}

static enum err answer(const struct api_env *env, const struct log_id *log,
                       const struct span *span, json_t **result,
                       struct errmsg *why)
{
    struct receipts_sum sum;
    char name[LOG_ID_TEXT_MAX];
    struct behind b = {json_array(), json_array()};
    enum err err = receipts_judge(env->sync->receipts, log, span->end,
                                  add_behind, &b, &sum);
    if (err != ERR_OK) {
        json_decref(b.missing);
        json_decref(b.revoked);
        return api_unread(err, "the log", why);
    }
    log_id_format(log, name);
    *result = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "log", name,
        "number", (json_int_t)span->number, "end", (json_int_t)span->end,
        "published_ms", (json_int_t)span->published_ms, "held",
        (json_int_t)sum.held, "nodes", (json_int_t)sum.nodes, "reached",
        (json_int_t)sum.reached, "named", (json_int_t)(sum.named - sum.revoked),
        "disagree", (json_int_t)sum.disagrees, "missing", b.missing, "revoked",
        b.revoked);
    return ERR_OK;
}

enum err directive_status(void *ctx, struct admin_call *call, json_t *args,
                          json_t **result, struct errmsg *why)
{
    struct api_env *env = ctx;
    struct log_id log;
    struct store_head *head;
    json_int_t number = json_integer_value(json_object_get(args, "number"));
    (void)call;
    enum err err = directive_log(env->store, args, &log, why);
    if (err != ERR_OK) {
        return err;
    }
    head = MEM_NEW(struct store_head);
    err = store_head(env->store, &log, head);
    uint64_t size = err == ERR_OK ? head->frontier.size : 0;
    mem_free(head);
    if (err != ERR_OK || number < 0 || (uint64_t)number > size) {
        return err_set(why, ERR_NOT_FOUND,
                       "this node holds %" PRIu64 " entries of that log", size);
    }
    struct span span;
    err =
        span_of(env->store, &log, number > 0 ? (uint64_t)number : size, &span);
    return err == ERR_OK
               ? answer(env, &log, &span, result, why)
               : err_set(why, err, "the log cannot be read: %s", err_text(err));
}
