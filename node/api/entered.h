/* entered.h - log lines of what apps and operators enter over gRPC (private to
 * api). One line for each of them and a second at most, so that an app that
 * enters row by row costs no line a row.
 *
 * Threads: any; takes its own lock. */
#ifndef API_ENTERED_H
#define API_ENTERED_H

#include "api/api.h"

/* A call of `method` by `peer` was answered: what became of its rows. NULL is
 * allowed: nothing is told. */
void entered_add(struct entered *entered, const struct principal *peer,
                 const char *method, const struct import_counts *counts);

#endif
