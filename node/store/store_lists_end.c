/* Where a root document says that a log stood when its deciders changed: what
 * the former ones signed counts in the log that it names, not in another
 * history of the same name, which whoever has their keys could write. */
#include "base/log.h"
#include "base/mem.h"
#include "ident/rootchain.h"
#include "store/store_lists.h"

enum err lists_look_at_ends(struct log_slot *slot, uint64_t size,
                            struct lists_ends *out, struct errmsg *why)
{
    struct rootchain *roots = slot->store->env.roots;
    const struct tree_view view = slot_view(slot, size);
    struct rootdoc_last last;
    size_t at = 0;
    enum err err = ERR_OK;
    *out = (struct lists_ends){.size = size};
    while (err == ERR_OK && roots != NULL &&
           rootchain_next_last(roots, slot->log.origin, slot->log.incarnation,
                               &at, &last)) {
        struct hash root;
        if (last.size > size) {
            continue;
        }
        err = tree_root(&view, last.size, &root);
        if (err == ERR_OK && !hash_eq(&root, &last.root)) {
            out->misfits =
                mem_realloc(out->misfits, (out->n + 1) * sizeof *out->misfits);
            out->misfits[out->n++] = last;
        }
    }
    return err == ERR_OK
               ? ERR_OK
               : err_set(why, err, "the tree of directives cannot be read");
}

/* As long as less is here than the document names it is not known, and another
 * history could be kept that short for ever. So what comes then waits until all
 * is here, and is judged anew; but what was in force before the document came
 * is not taken back for want of a line. */
bool lists_is_of(void *ctx, const struct rootdoc_last *last)
{
    const struct lists_ends *ends = ctx;
    bool fits = last->size <= ends->size || ends->counted;
    for (size_t i = 0; fits && i < ends->n; i++) {
        fits = ends->misfits[i].size != last->size ||
               !hash_eq(&ends->misfits[i].root, &last->root);
    }
    return fits;
}

void lists_at_end(struct group *g, struct touched *t, uint64_t number)
{
    struct store *s = g->s;
    struct rootdoc_last last;
    size_t at = 0;
    bool due = false;
    while (!g->judge_only && !due && s->role != ROLE_COPY &&
           s->env.roots != NULL &&
           rootchain_next_last(s->env.roots, t->slot->log.origin,
                               t->slot->log.incarnation, &at, &last)) {
        due = last.size == number;
    }
    if (due) {
        t->lists->roots = 0; /* by none: a stop before it is, is made up for */
        s->judging_due = true;
    }
}

void lists_settle(struct store *s)
{
    struct errmsg why;
    if (!s->judging_due) {
        return;
    }
    enum err err = lists_judge_old(s, &why);
    s->judging_due = err != ERR_OK;
    if (err == ERR_OK) {
        recover_recount_issues(s);
    } else {
        log_warn(&s->log, "ROOT-JUDGE",
                 "reason=\"%s\" effect=\"directives are not judged by the end "
                 "that the root document names\" next=\"tried again with the "
                 "next commit\"",
                 why.text);
    }
}
