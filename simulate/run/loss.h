/* loss.h - what faults excuse, and what they do not.
 *
 * - A row that an office acknowledged before its store was put back, damaged
 *   or run twice may be gone if no ancestor held it at that moment, or if such
 *   an ancestor lost its store as well; then it must be gone everywhere. What
 *   an ancestor held must be there, by its key: its number may be another.
 * - A log of which its origin committed two trees, because it ran twice or was
 *   put back together with an ancestor, must be marked as forked or be equal.
 *
 * Threads: that of the run. */
#ifndef RUN_LOSS_H
#define RUN_LOSS_H

#include "run/run.h"

enum loss_kind { LOSS_PUT_BACK, LOSS_DAMAGED, LOSS_CLONED };

/* The store of this node, which is down, has changed now. Asks the ancestors
 * that are up what they hold of it. */
void loss_note(struct run_node *n, enum loss_kind kind);
/* May the numbers be others than those of the receipts? */
bool loss_moves(const struct run_node *n);
/* May receipt `i` of the run be gone? */
bool loss_excuses(const struct run *run, size_t i);
/* May records logs of this node be forked? */
bool loss_forks(const struct run *run, unsigned node);

/* How often did a copy of this node run beside it? */
unsigned loss_clones(const struct run_node *n);

/* Was its store put back, damaged or cloned after `before` (run.losses then)?
 */
bool loss_since(const struct run_node *n, const struct loss *before);

void loss_free(struct run *run);

#endif
