/* lines.h - the spoiled lines of a run, on a thread of their own.
 *
 * What the run waits for (a node's answer, a script) must not hold up bytes.
 *
 * Threads: all calls from one; the lines run on another. */
#ifndef RUN_LINES_H
#define RUN_LINES_H

#include "base/err.h"
#include "run/line.h"

struct lines;

/* Room for `n` lines. ERR_IO. Ended with lines_close(). */
MUST_USE enum err lines_open(struct lines **out, unsigned n,
                             struct errmsg *why);
/* Line `i` goes to 127.0.0.1:`to` from *port on; before lines_start().
 * ERR_IO: no port. */
MUST_USE enum err lines_add(struct lines *lines, unsigned i, unsigned to,
                            unsigned *port, struct errmsg *why);
MUST_USE enum err lines_start(struct lines *lines, struct errmsg *why);
/* At once, in the order of the calls. A line that was not added is left out. */
void lines_set(struct lines *lines, unsigned i, const struct line_state *state);
void lines_reset(struct lines *lines, unsigned i);
/* NULL is allowed. */
void lines_close(struct lines **lines);

#endif
