/* store_lists.h - what is in force of directives logs, as the parts of the
 * store share it. Private to store/. */
#ifndef STORE_LISTS_H
#define STORE_LISTS_H

#include "credit/package.h"
#include "store/store_impl.h"

/* ---- lists ---- */

struct lists {
    uint64_t roots;   /* version of the root document it was judged by */
    uint64_t visible; /* everything up to this entry counts, but for `voids` */
    uint64_t begin;   /* of the package that is open; 0: none */
    struct buf text;  /* its signed text */
    struct package_head *head; /* of the text, if this process read it */
    struct frontier packed;    /* over its entries so far */
    bool nodes;                /* a decision about a node may be among them */
    bool rules;                /* a catalogue version or measure may be */
    struct lists_void *voids;
    size_t voids_n;
    struct lists_alias *aliases; /* rising; at most LISTS_ALIASES_MAX */
    size_t aliases_n;
};
enum { LISTS_ALIASES_MAX = 1024 }; /* of a log: they are read with its state */
struct lists *lists_new(const struct store *s);
/* What was kept; NULL: it is to be judged anew. */
struct lists *lists_decode(struct slice value);
void lists_free(struct lists **lists);
/* The version of the newest root document; 0: there is none. */
uint64_t lists_roots_version(const struct store *s);
/* The state of a log as the group changes it. */
struct lists *lists_working(struct group *g, struct touched *t);
/* Is the entry in one of the `n` ranges? */
bool lists_is_void(const struct lists_void *voids, size_t n, uint64_t number);
/* Reads what is kept, judges anew where that is old. Before the writer runs. */
MUST_USE enum err lists_load(struct store *s, struct errmsg *why);
/* The same, and judges nothing. */
MUST_USE enum err lists_read(struct store *s, struct errmsg *why);
/* Reads again what is kept of one log. Follower. */
MUST_USE enum err lists_follow(struct store *s, uint32_t id,
                               struct errmsg *why);
/* Entry `number` of a directives log: its rows, and what comes into effect. */
void lists_take(struct group *g, struct touched *t, uint64_t number,
                const struct slot *slot, const struct hash *leaf);
/* What an entry says about lists, as a row; number 0: nothing. */
void lists_row(const struct log_slot *slot, uint64_t number,
               const struct slot *entry, struct list_row *out);
/* Of the row of a package's end. */
void lists_package_key(struct subject_key *out, const uint8_t *id);
/* Of the rows of decisions about nodes. */
void lists_nodes_key(struct subject_key *out);
/* Of the rows of catalogue versions and measures. */
void lists_rules_key(struct subject_key *out);
/* Works the log's state into the batch, if it changed. */
void lists_put(struct group *g, const struct touched *t);
/* Makes it visible. heads.lock held. */
void lists_publish(struct touched *t);
/* Everything up to this entry counts; `l` may be NULL. */
uint64_t lists_visible(const struct lists *l);
/* Logs that readers see more than `before`. */
void lists_say(const struct store *s, const struct log_slot *slot,
               uint64_t before);
/* The log was cut to `size`: takes back what lay behind. */
MUST_USE enum err lists_cut(struct group *g, struct touched *t, uint64_t size,
                            struct errmsg *why);
/* Finds anew what counts of the log, and lists issues in `generation`. Writer,
 * or before it runs. */
MUST_USE enum err lists_judge(struct store *s, struct log_slot *slot,
                              uint8_t generation, struct errmsg *why);
/* Works a publication into the batch. */
void lists_publication(struct group *g, struct item *item);
/* Judges the logs anew that were judged by another root document, or by none.
 */
MUST_USE enum err lists_judge_old(struct store *s, struct errmsg *why);

/* ---- judging (store_lists.c) ---- */

/* By its content alone: has it an effect, if its package counts? `decoded`:
 * what its decoder said. */
enum reason lists_judge_content(const struct store *s,
                                const struct log_slot *slot,
                                const struct entry *e, enum err decoded);

/* What an end closes, as it is judged. */
struct lists_closing {
    const struct package_head *head;
    struct slice text;
    struct slice lines;
    int64_t at_ms; /* of the end, by the issuer's clock */
    uint64_t number;
    struct lists_alias *same; /* where else it stands, if it counts there */
};
/* `t` NULL: the log is still to be opened. If what it rests on cannot be read,
 * g->unread is set. */
enum reason lists_judge_closing(struct group *g, const struct log_id *log,
                                const struct touched *t,
                                const struct lists_closing *c,
                                struct errmsg *why);

/* ---- a package counts once (store_lists_once.c) ---- */

/* Is the entry, which is of a package, one that counts? `l` may be NULL. */
bool lists_counts(const struct lists *l, uint64_t number);
/* Did this issuer's package with the id of `head` take effect before, in a log
 * or in this group? `number` is the end at hand. `same` says where, if the one
 * that did has the same content; else its incarnation is 0. If that cannot be
 * read, g->unread is set, and the group is not committed, whatever is judged
 * now. */
bool lists_took_effect(struct group *g, const struct touched *t,
                       uint64_t number, const struct package_head *head,
                       struct lists_alias *same);
/* The open package of `t` takes effect. */
void lists_taken(struct group *g, const struct touched *t,
                 const struct package_head *head);
/* The open package of `t`, which ends with entry `last`, is the one that counts
 * at `same`. */
void lists_add_alias(struct group *g, const struct touched *t, uint64_t last,
                     const struct lists_alias *same);
/* NULL: the entry is under no other name. */
const struct lists_alias *lists_alias_at(const struct lists_alias *aliases,
                                         size_t n, uint64_t number);
/* Is there one whose package does not count any more where it did? Writer, or
 * before it runs. */
bool lists_lost_alias(struct store *s, const struct log_slot *slot);

/* ---- where a root document says that a log stood (store_lists_end.c) ---- */

/* What root documents say of one log, as a group judges it. */
struct lists_ends {
    struct rootdoc_last *misfits; /* owned: another root is here */
    size_t n;
    uint64_t size; /* so many entries were looked at */
    bool counted;  /* what is judged counted before */
};
/* Looks at the first `size` entries of a committed log; not within a walk. */
MUST_USE enum err lists_look_at_ends(struct log_slot *slot, uint64_t size,
                                     struct lists_ends *out,
                                     struct errmsg *why);
/* rootchain_is_of_fn of a struct lists_ends. */
bool lists_is_of(void *ctx, const struct rootdoc_last *last);
/* Entry `number` was taken: with one that a document names it is known whether
 * the log is the one meant. */
void lists_at_end(struct group *g, struct touched *t, uint64_t number);
/* Judges anew what is due by that. Writer, between two groups. */
void lists_settle(struct store *s);

#endif
