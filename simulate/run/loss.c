#include "run/loss.h"

#include <string.h>

#include "base/mem.h"
#include "run/held.h"

struct loss {
    struct loss *next;
    unsigned node;
    enum loss_kind kind;
    size_t acked_n;         /* receipts before it */
    struct held_logs above; /* owned: what ancestors held then */
};

static void hold_more(struct held_logs *all, const struct held *l)
{
    struct held *have = held_find(all, l->log);
    if (have == NULL) {
        held_add(all, l);
    } else if (have->size < l->size) {
        have->size = l->size;
    }
}

static void ask_above(struct run_node *n, struct held_logs *out)
{
    char origin[CODE_LEN + 2];
    (void)snprintf(origin, sizeof origin, "%012llu/",
                   (unsigned long long)n->place.code);
    for (int up = n->place.parent; up >= 0;
         up = n->run->node[up].place.parent) {
        const struct run_node *above = &n->run->node[up];
        struct held_logs logs = {0};
        /* One that sleeps would not answer. */
        bool asked = above->ready && !above->frozen && held_ask(above, &logs);
        for (size_t i = 0; asked && i < logs.n; i++) {
            if (strncmp(logs.log[i].log, origin, strlen(origin)) == 0) {
                hold_more(out, &logs.log[i]);
            }
        }
        held_free(&logs);
    }
}

void loss_note(struct run_node *n, enum loss_kind kind)
{
    struct run *run = n->run;
    struct loss *l = MEM_NEW(struct loss);
    l->node = n->index;
    l->kind = kind;
    l->acked_n = run->acked_n;
    ask_above(n, &l->above);
    /* The newest first. */
    l->next = run->losses;
    run->losses = l;
}

bool loss_moves(const struct run_node *n)
{
    const struct loss *l = n->run->losses;
    while (l != NULL && l->node != n->index) {
        l = l->next;
    }
    return l != NULL;
}

/* Did an ancestor lose its store after this? */
static bool lost_above(const struct run *run, const struct loss *since)
{
    for (const struct loss *l = run->losses; l != since; l = l->next) {
        if (l->node != since->node && run_is_below(run, since->node, l->node)) {
            return true;
        }
    }
    return false;
}

static bool held_above(const struct loss *l, const struct receipt *r)
{
    const struct held *have = held_find(&l->above, r->log);
    return have != NULL && have->size >= r->number;
}

bool loss_excuses(const struct run *run, size_t i)
{
    bool any = false;
    for (const struct loss *l = run->losses; l != NULL; l = l->next) {
        any = any || (l->node == run->row[i].office && i < l->acked_n &&
                      (!held_above(l, &run->acked[i]) || lost_above(run, l)));
    }
    return any;
}

bool loss_forks(const struct run *run, unsigned node)
{
    bool cloned = false;
    bool here = false;
    bool above = false;
    for (const struct loss *l = run->losses; l != NULL; l = l->next) {
        cloned = cloned || (l->node == node && l->kind == LOSS_CLONED);
        here = here || l->node == node;
        above = above || (l->node != node && run_is_below(run, node, l->node));
    }
    return cloned || (here && above);
}

unsigned loss_clones(const struct run_node *n)
{
    unsigned clones = 0;
    for (const struct loss *l = n->run->losses; l != NULL; l = l->next) {
        clones += l->node == n->index && l->kind == LOSS_CLONED;
    }
    return clones;
}

bool loss_since(const struct run_node *n, const struct loss *before)
{
    const struct loss *l = n->run->losses;
    while (l != before && l->node != n->index) {
        l = l->next;
    }
    return l != before;
}

void loss_free(struct run *run)
{
    while (run->losses != NULL) {
        struct loss *l = run->losses;
        run->losses = l->next;
        held_free(&l->above);
        mem_free(l);
    }
}
