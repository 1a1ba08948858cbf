/* shared.h - bytes that several owners hold and nobody changes.
 *
 * Threads: any; each owner has a reference of its own. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include "base/buf.h"

struct shared;

/* A copy of `bytes` with one reference, the caller's. */
struct shared *shared_new(struct slice bytes);
/* One reference more; returns `s`. */
struct shared *shared_ref(struct shared *s);
/* The last one frees. Sets *s to NULL, which is allowed. */
void shared_unref(struct shared **s);
/* Borrowed while a reference is held. */
struct slice shared_slice(const struct shared *s);

#endif
