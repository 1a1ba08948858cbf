/* node_copy.h - a node's store moves to the database of another configuration:
 * passes of store/copy.h beside the running node until that is stopped, and
 * then the last one. Private to node/.
 *
 * Threads: blocks; one at a time in a process. */
#ifndef NODE_NODE_COPY_H
#define NODE_NODE_COPY_H

#include "conf/conf.h"
#include "store/copy.h"

/* What a store of a configuration is opened with (node_store.c). */
struct node_side;
/* Borrows `conf`. Frees it also after an error. */
MUST_USE enum err node_side_new(struct node_side **out, const struct conf *conf,
                                struct errmsg *why);
void node_side_free(struct node_side **side);
/* Certificates, root document and a frozen keyring, as they are now. To be
 * closed also after an error. */
MUST_USE enum err node_side_open(struct node_side *side, struct errmsg *why);
void node_side_close(struct node_side *side);
const struct store_conf *node_side_store(const struct node_side *side);
/* While it is open. */
const struct store_env *node_side_env(const struct node_side *side);

struct node_copy {
    const struct conf *from;
    const struct conf *to;
    const char *from_name; /* the files */
    const char *to_name;
    bool once; /* ends after one pass, though the node still runs */
    /* Asks the node that runs on `from` for a snapshot; its folder. */
    enum err (*snapshot)(void *ctx, char *path, size_t cap, struct errmsg *why);
    copy_progress_fn *progress;
    /* A pass is over; the node still runs. */
    void (*passed)(void *ctx, const struct copy_counts *counts);
    /* Something is not there now; it is tried again for a minute. */
    void (*waiting)(void *ctx, const char *why);
    void *ctx;
    bool moved; /* out: the move is over */
};
/* Goes on until the node on `from` is stopped and the move is over, or `once`.
 * After any error the same call goes on from where it was. */
MUST_USE enum err node_copy_run(struct node_copy *copy,
                                struct copy_counts *counts, struct errmsg *why);

#endif
