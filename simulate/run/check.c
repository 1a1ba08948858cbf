#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "run/held.h"
#include "run/loss.h"
#include "run/rows.h"
#include "run/run.h"

/* Against every ancestor. False: it differs somewhere. */
static bool compare(struct run *run, const struct held_logs *all, unsigned node,
                    const struct held *l, bool say)
{
    for (int at = run->node[node].place.parent; at >= 0;
         at = run->node[at].place.parent) {
        const struct held *above = held_find(&all[at], l->log);
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

/* Whose log it is; the top, if nobody's here. */
static unsigned origin_of(const struct run *run, const char *log)
{
    uint64_t code = strtoull(log, NULL, 10);
    unsigned at = 0;
    for (unsigned i = 0; i < run->nodes; i++) {
        at = run->node[i].place.code == code ? i : at;
    }
    return at;
}

/* By its origin or an ancestor. */
static bool is_marked(const struct run *run, const struct held_logs *all,
                      unsigned node, const char *log)
{
    for (int at = (int)node; at >= 0; at = run->node[at].place.parent) {
        const struct held *l = held_find(&all[at], log);
        if (l != NULL && l->forked) {
            return true;
        }
    }
    return false;
}

static bool compare_node(struct run *run, const struct held_logs *all,
                         unsigned node, bool say)
{
    bool equal = true;
    for (size_t i = 0; i < all[node].n; i++) {
        const struct held *l = &all[node].log[i];
        bool marked = is_marked(run, all, node, l->log);
        bool excused = loss_forks(run, origin_of(run, l->log));
        if (l->forked && !excused) {
            run_broken(run, &run->node[node], "fork", "log %s is marked forked",
                       l->log);
        }
        if (l->own) {
            run->logs++;
            run->entries += l->size;
            equal = ((marked && excused) || compare(run, all, node, l, say)) &&
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

static bool holds_somehow(const struct run *run, size_t i, int at)
{
    char subject[BENCH_CODE_LEN + 1];
    struct bench_row row;
    bench_row_make(run->acked_row[i], RUN_SUBJECTS, &row);
    memcpy(subject, row.code, sizeof subject);
    return receipt_holds_key(run->node[at].socket, subject, &run->acked[i]);
}

/* At its office and at every ancestor: under its number or, if the office's
 * store is not what it was, under its key. */
static void check_receipt(struct run *run, size_t i)
{
    const struct receipt *r = &run->acked[i];
    unsigned office = run->acked_at[i];
    bool moves = loss_moves(&run->node[office]);
    unsigned held = 0;
    int lacks = -1;
    struct errmsg why = {""};
    for (int at = (int)office; at >= 0; at = run->node[at].place.parent) {
        struct errmsg here;
        if (receipt_holds(run->node[at].socket, r, &here) ||
            (moves && holds_somehow(run, i, at))) {
            held++;
        } else if (lacks < 0) {
            lacks = at;
            why = here;
        }
    }
    if (lacks >= 0 && held == 0 && loss_excuses(run, i)) {
        run->excused++;
    } else if (lacks >= 0 && !(held > 0 && loss_forks(run, office))) {
        run_broken(run, &run->node[lacks], "acknowledged",
                   "record %s, number %llu of %s: %s", r->key,
                   (unsigned long long)r->number, r->log, why.text);
    }
}

void check_acked(struct run *run)
{
    for (size_t i = 0; i < run->acked_n && run->invariant == NULL; i++) {
        check_receipt(run, i);
    }
}
