/* held.h - which logs of records and directives a node holds, as it says
 * itself.
 *
 * Threads: any. Blocks for the node's answer. */
#ifndef RUN_HELD_H
#define RUN_HELD_H

#include "run/run.h"

enum { HELD_ROOT_HEX = 64 };

struct held {
    char log[LOG_ID_TEXT_MAX];
    uint64_t size;
    uint64_t signed_size; /* by the newest signed head that it knows */
    char root[HELD_ROOT_HEX + 1];
    bool own;
    bool forked;
};
struct held_logs {
    struct held *log; /* owned */
    size_t n;
    size_t cap;
};

/* False: the node does not answer. */
bool held_ask(const struct run_node *n, struct held_logs *out);
void held_add(struct held_logs *h, const struct held *l);
/* NULL: there is none. */
struct held *held_find(const struct held_logs *h, const char *log);
void held_free(struct held_logs *h);

#endif
