#include <string.h>

#include "api/admin.h"
#include "base/mem.h"
#include "run/run.h"
#include "run/work.h"

enum { ROOT_HEX = 64 };

/* A log as one node holds it. */
struct held {
    char log[LOG_ID_TEXT_MAX];
    uint64_t size;
    char root[ROOT_HEX + 1];
    bool own;
    bool forked;
};
struct holding {
    struct held *log; /* owned */
    size_t n;
    size_t cap;
};

static void add_row(struct holding *h, const json_t *row)
{
    const char *log = json_string_value(json_object_get(row, "log"));
    const char *root = json_string_value(json_object_get(row, "root"));
    const char *state = json_string_value(json_object_get(row, "state"));
    if (log == NULL || root == NULL ||
        (strstr(log, "/records/") == NULL &&
         strstr(log, "/directives/") == NULL)) {
        return;
    }
    if (h->n == h->cap) {
        h->cap = h->cap == 0 ? 32 : 2 * h->cap;
        h->log = mem_realloc(h->log, h->cap * sizeof *h->log);
    }
    struct held *l = &h->log[h->n++];
    *l = (struct held){
        .size = (uint64_t)json_integer_value(json_object_get(row, "size")),
        .own = json_is_true(json_object_get(row, "own")),
        .forked = state != NULL && strcmp(state, "forked") == 0};
    (void)snprintf(l->log, sizeof l->log, "%s", log);
    (void)snprintf(l->root, sizeof l->root, "%s", root);
}

/* False: the node does not answer. */
static bool ask_logs(const struct run_node *n, struct holding *out)
{
    struct admin_client *client = NULL;
    struct errmsg why;
    json_t *row = NULL;
    bool more =
        admin_connect(&client, n->socket, &why) == ERR_OK &&
        admin_write_json(client, json_pack("{s:s}", "cmd", "logs")) == ERR_OK;
    bool ended = false;
    while (more && admin_read(client, &row, &why) == ERR_OK) {
        const char *type = json_string_value(json_object_get(row, "type"));
        more = type != NULL && strcmp(type, "row") == 0;
        ended = type != NULL && strcmp(type, "result") == 0;
        if (more) {
            add_row(out, row);
        }
        json_decref(row);
    }
    admin_disconnect(&client);
    return ended;
}

static const struct held *find(const struct holding *h, const char *log)
{
    for (size_t i = 0; i < h->n; i++) {
        if (strcmp(h->log[i].log, log) == 0) {
            return &h->log[i];
        }
    }
    return NULL;
}

/* Against every ancestor. False: it differs somewhere. */
static bool compare(struct run *run, const struct holding *all, unsigned node,
                    const struct held *l, bool say)
{
    for (int at = run->node[node].place.parent; at >= 0;
         at = run->node[at].place.parent) {
        const struct held *above = find(&all[at], l->log);
        bool equal = above != NULL && above->size == l->size &&
                     strcmp(above->root, l->root) == 0;
        if (!equal && say) {
            run_broken(run, &run->node[at], "converged",
                       "log %s has %llu entries here and %llu at its origin, "
                       "or another root",
                       l->log,
                       (unsigned long long)(above != NULL ? above->size : 0),
                       (unsigned long long)l->size);
        }
        if (!equal) {
            return false;
        }
    }
    return true;
}

/* Or the node itself. */
static bool is_below(const struct run *run, unsigned node, unsigned top)
{
    int at = (int)node;
    while (at > (int)top) { /* parents stand before their children */
        at = run->node[at].place.parent;
    }
    return at == (int)top;
}

/* As its issuer has it. A log without a decision may not have come yet. */
static bool is_same(const struct held *below, const struct held *l)
{
    return below == NULL
               ? l->size == 0
               : below->size == l->size && strcmp(below->root, l->root) == 0;
}

/* A directives log, at every node below its issuer. */
static bool compare_below(struct run *run, const struct holding *all,
                          unsigned issuer, const struct held *l, bool say)
{
    for (unsigned i = issuer + 1; i < run->nodes; i++) {
        if (!is_below(run, i, issuer)) {
            continue;
        }
        const struct held *below = find(&all[i], l->log);
        bool equal = is_same(below, l);
        if (!equal && say) {
            run_broken(run, &run->node[i], "converged",
                       "log %s has %llu entries here and %llu at its issuer, "
                       "or another root",
                       l->log,
                       (unsigned long long)(below != NULL ? below->size : 0),
                       (unsigned long long)l->size);
        }
        if (!equal) {
            return false;
        }
    }
    return true;
}

static bool compare_node(struct run *run, const struct holding *all,
                         unsigned node, bool say)
{
    bool equal = true;
    for (size_t i = 0; i < all[node].n; i++) {
        const struct held *l = &all[node].log[i];
        if (l->forked) {
            run_broken(run, &run->node[node], "fork", "log %s is marked forked",
                       l->log);
        }
        if (l->own) {
            run->logs++;
            run->entries += l->size;
            bool records = strstr(l->log, "/records/") != NULL;
            equal = (records ? compare(run, all, node, l, say)
                             : compare_below(run, all, node, l, say)) &&
                    equal;
        }
    }
    return equal;
}

bool check_equal(struct run *run, bool say)
{
    struct holding *all = mem_zalloc(run->nodes, sizeof *all);
    bool equal = true;
    run->logs = 0;
    run->entries = 0;
    for (unsigned i = 0; equal && i < run->nodes; i++) {
        equal = ask_logs(&run->node[i], &all[i]);
        if (!equal && say) {
            run_broken(run, &run->node[i], "answers",
                       "it does not say what logs it has");
        }
    }
    for (unsigned i = 0; equal && i < run->nodes; i++) {
        equal = compare_node(run, all, i, say);
    }
    for (unsigned i = 0; i < run->nodes; i++) {
        mem_free(all[i].log);
    }
    mem_free(all);
    return equal;
}

/* At its office and at every ancestor. */
static void check_receipt(struct run *run, const struct receipt *r,
                          unsigned office)
{
    for (int at = (int)office; at >= 0; at = run->node[at].place.parent) {
        struct errmsg why;
        if (!receipt_holds(run->node[at].socket, r, &why)) {
            run_broken(run, &run->node[at], "acknowledged",
                       "record %s, number %llu of %s: %s", r->key,
                       (unsigned long long)r->number, r->log, why.text);
            return;
        }
    }
}

void check_acked(struct run *run)
{
    for (size_t i = 0; i < run->acked_n && run->invariant == NULL; i++) {
        check_receipt(run, &run->acked[i], run->acked_at[i]);
    }
}

/* ---- receipts of directives ---- */

static unsigned nodes_below(const struct run *run, unsigned top)
{
    unsigned n = 0;
    for (unsigned i = top; i < run->nodes; i++) {
        n += is_below(run, i, top);
    }
    return n;
}

static bool check_decided(struct run *run, const struct decided *d, bool say)
{
    const struct run_node *n = &run->node[d->issuer];
    struct errmsg why = {""};
    json_t *answer =
        admin_ask(n->socket,
                  json_pack("{s:s, s:s, s:I}", "cmd", "directive-status", "log",
                            d->log, "number", (json_int_t)d->last),
                  &why);
    json_int_t reached = json_integer_value(json_object_get(answer, "reached"));
    json_int_t nodes = json_integer_value(json_object_get(answer, "nodes"));
    json_int_t wanted = nodes_below(run, d->issuer);
    bool good = reached == wanted && nodes == wanted;
    if (!good && say) {
        const char *text = json_string_value(json_object_get(answer, "text"));
        run_broken(run, n, "receipts",
                   "directive %llu of %s is said to be held by %lld of %lld "
                   "nodes; there are %lld %.80s",
                   (unsigned long long)d->last, d->log, (long long)reached,
                   (long long)nodes, (long long)wanted,
                   text != NULL ? text : why.text);
    }
    json_decref(answer);
    return good;
}

/* Of each log the first and the newest stand for the others. */
static bool is_asked(const struct run *run, size_t at)
{
    bool first = true;
    bool newest = true;
    for (size_t i = 0; i < run->decided_n; i++) {
        if (i != at && run->decided[i].issuer == run->decided[at].issuer) {
            first = first && i > at;
            newest = newest && i < at;
        }
    }
    return first || newest;
}

bool check_receipts(struct run *run, bool say)
{
    bool good = true;
    for (size_t i = 0; i < run->decided_n && good; i++) {
        good = !is_asked(run, i) || check_decided(run, &run->decided[i], say);
    }
    return good;
}
