#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "run/held.h"
#include "run/loss.h"
#include "run/run.h"
#include "run/work.h"

/* `l` is the log as its origin has it. A log of directives without a decision
 * may not have come yet. */
static bool is_same_at(struct run *run, const struct held_logs *all,
                       unsigned at, const struct held *l, bool records,
                       bool say)
{
    const struct held *there = held_find(&all[at], l->log);
    bool equal = there == NULL ? !records && l->size == 0
                               : there->size == l->size &&
                                     strcmp(there->root, l->root) == 0;
    if (!equal && say) {
        run_broken(run, &run->node[at], "converged",
                   "log %s has %llu entries here and %llu at its origin, or "
                   "another root",
                   l->log,
                   (unsigned long long)(there != NULL ? there->size : 0),
                   (unsigned long long)l->size);
    }
    return equal;
}

/* Records rise: against every ancestor. */
static bool compare_above(struct run *run, const struct held_logs *all,
                          unsigned node, const struct held *l, bool say)
{
    bool equal = true;
    for (int at = run->node[node].place.parent; equal && at >= 0;
         at = run->node[at].place.parent) {
        equal = is_same_at(run, all, (unsigned)at, l, true, say);
    }
    return equal;
}

/* Directives come down: against every node below their issuer. */
static bool compare_below(struct run *run, const struct held_logs *all,
                          unsigned issuer, const struct held *l, bool say)
{
    bool equal = true;
    for (unsigned i = issuer + 1; equal && i < run->nodes; i++) {
        equal = !run_is_below(run, i, issuer) ||
                is_same_at(run, all, i, l, false, say);
    }
    return equal;
}

static bool is_marked(const struct run *run, const struct held_logs *all,
                      const char *log)
{
    bool marked = false;
    for (unsigned i = 0; i < run->nodes && !marked; i++) {
        const struct held *l = held_find(&all[i], log);
        marked = l != NULL && l->forked;
    }
    return marked;
}

/* May it be forked? A directives log comes back by file only: its children
 * hold more of it than an issuer that was put back. */
static bool may_fork(const struct run *run, const char *log, bool records)
{
    unsigned origin = run_origin(run, log);
    return loss_forks(run, origin) ||
           (!records && loss_moves(&run->node[origin]));
}

static bool compare_node(struct run *run, const struct held_logs *all,
                         unsigned node, bool say)
{
    bool equal = true;
    for (size_t i = 0; i < all[node].n; i++) {
        const struct held *l = &all[node].log[i];
        bool records = strstr(l->log, "/records/") != NULL;
        bool excused = (l->forked || l->own) && may_fork(run, l->log, records);
        if (l->forked && !excused) {
            run_broken(run, &run->node[node], "fork", "log %s is marked forked",
                       l->log);
        }
        if (l->own) {
            run->logs++;
            run->entries += l->size;
            equal = ((excused && is_marked(run, all, l->log)) ||
                     (records ? compare_above(run, all, node, l, say)
                              : compare_below(run, all, node, l, say))) &&
                    equal;
        }
    }
    return equal;
}

bool check_equal(struct run *run, bool say)
{
    struct held_logs *all = mem_zalloc(run->nodes, sizeof *all);
    bool equal = true;
    run->logs = 0;
    run->entries = 0;
    for (unsigned i = 0; equal && i < run->nodes; i++) {
        equal = held_ask(&run->node[i], &all[i]);
        if (!equal && say) {
            run_broken(run, &run->node[i], "answers",
                       "it does not say what logs it has");
        }
    }
    for (unsigned i = 0; equal && i < run->nodes; i++) {
        equal = compare_node(run, all, i, say);
    }
    for (unsigned i = 0; i < run->nodes; i++) {
        held_free(&all[i]);
    }
    mem_free(all);
    return equal;
}

/* ---- receipts of directives ---- */

static unsigned nodes_below(const struct run *run, unsigned top)
{
    unsigned n = 0;
    for (unsigned i = top; i < run->nodes; i++) {
        n += run_is_below(run, i, top);
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
    /* One that was put back may lack what it published. */
    bool good = (reached == wanted && nodes == wanted) ||
                loss_moves(&run->node[d->issuer]);
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
