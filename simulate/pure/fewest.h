/* fewest.h - which of many are needed for something to happen.
 *
 * Pure; any thread. */
#ifndef PURE_FEWEST_H
#define PURE_FEWEST_H

#include <stdbool.h>
#include <stddef.h>

/* Does it happen without those that are left out? */
typedef bool fewest_fn(void *ctx, const bool *left_out);

/* Leaves out as many of `n` as it happens without: halves first, then one by
 * one, until none can be spared. `left_out` holds `n` and says which may be
 * missing already. How many remain. */
size_t fewest(bool *left_out, size_t n, fewest_fn *happens, void *ctx);

#endif
