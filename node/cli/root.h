/* root.h - changes of the root document in words (private to node/). */
#ifndef CLI_ROOT_H
#define CLI_ROOT_H

#include "ident/rootdraft.h"

enum { ROOT_CHANGES_MAX = 256 };

enum root_change_kind {
    CHANGE_ADD_ISSUER,     /* CODE:K */
    CHANGE_REMOVE_ISSUER,  /* CODE */
    CHANGE_THRESHOLD,      /* CODE:K */
    CHANGE_ADD_DECIDER,    /* CODE:PUBLIC-KEY-FILE:NAME */
    CHANGE_REMOVE_DECIDER, /* CODE:NAME or CODE:KEY-ID */
    CHANGE_LAST,           /* CODE:INCARNATION:SIZE:ROOT */
    CHANGE_ADD_CA,         /* FILE */
    CHANGE_REMOVE_CA,      /* ID */
    ROOT_CHANGES
};

/* As it was given on the command line; borrowed. */
struct root_change {
    enum root_change_kind kind;
    const char *text;
};

MUST_USE enum err root_change(struct rootdraft *draft,
                              const struct root_change *change,
                              struct errmsg *why);
/* One line for each difference, to standard output. */
void root_print_changes(const struct rootdoc *from, const struct rootdoc *to,
                        bool english);
/* Whose signatures are still needed, and what comes next with `file`; `from`
 * may be NULL. */
void root_print_needs(const struct rootdoc *from, const struct rootdoc *to,
                      const char *file, bool english);

#endif
