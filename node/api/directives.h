/* directives.h - list decisions on their way into a package, and what a subject
 * is listed for (private to api). */
#ifndef API_DIRECTIVES_H
#define API_DIRECTIVES_H

#include <jansson.h>

#include "api/api.h"
#include "credit/listing.h"
#include "ingest/rows.h"

struct package;
struct registry_decision;

enum { FRAME_PIECE = 256 << 10 };

/* ---- a listing of a node below this one (below.c) ---- */

/* What a removal says of the listing that it ends. */
struct below_listing {
    struct listing_place place;
    struct slice subject; /* credit code */
    uint16_t list;
};
/* Its log is not here; what can be told of it is. ERR_DENIED: its issuer is
 * none by the root document, or it was ended here already. Else `note` is a
 * line for whoever decides, unless an app that met it bears it out: "". */
MUST_USE enum err below_listing_check(const struct api_env *env,
                                      const struct below_listing *listing,
                                      struct errmsg *note, struct errmsg *why);

/* ---- preparing (prepare.c) ---- */

/* ERR_DENIED: the root document in force names no deciders for this node, so
 * that whatever is prepared here could never be published. */
MUST_USE enum err directive_check_issuer(const struct api_env *env,
                                         struct errmsg *why);

/* Decisions from the rows of one file, on their way into one package. */
struct prepare;
/* What the rows are said to be; those with the columns of something else are
 * refused. */
enum prepare_what {
    PREPARE_ANY, /* listings and removals, as the columns are */
    PREPARE_LISTINGS,
    PREPARE_REMOVALS,
    PREPARE_CORRECTIONS, /* of listings in force, with the same columns */
};
/* Faults go to `sink`, and each row that became decisions to its `record`,
 * which may be NULL. */
void prepare_begin(struct prepare **out, const struct api_env *env,
                   enum prepare_what what, const struct rows_sink *sink);
/* The one removal is of this listing, of a node below this one whose log may
 * not be here: nobody but who reads the package can tell whether it is meant.
 * An own one is looked up all the same. Before anything is fed. ERR_DENIED:
 * this node may not end it. */
MUST_USE enum err prepare_about(struct prepare *p,
                                const struct listing_place *place,
                                struct errmsg *why);
MUST_USE enum err prepare_feed(struct prepare *p, struct slice bytes,
                               struct errmsg *why);
/* Appends the package's file, not signed. ERR_INVALID: no row was good;
 * ERR_TOO_LARGE. */
MUST_USE enum err prepare_finish(struct prepare *p, struct buf *file,
                                 struct errmsg *why);
/* Decisions so far: those of the last row are behind those of the one before.
 */
size_t prepare_entries(const struct prepare *p);
/* Rows met, and those refused. */
void prepare_counts(const struct prepare *p, uint64_t *rows, uint64_t *refused);
void prepare_free(struct prepare **p);
/* A package of encoded entries, not signed. ERR_TOO_LARGE. */
MUST_USE enum err prepare_package(const struct api_env *env, int64_t now_ms,
                                  const struct slice *entries, size_t n,
                                  struct package **out);

/* ---- answers (listed.c) ---- */

/* Of each directives log that counts here: how far, how old. Owned. */
json_t *lists_json(const struct api_env *env, const struct lists_view *view);
/* Does the text of the listing that counts now name this document? An error of
 * reading it. */
MUST_USE enum err listed_by(const struct api_env *env,
                            const struct store_listing *l,
                            struct slice document, bool *same);
/* The authorities whose decisions count here and of whom not one log is held:
 * they may have decided nothing yet, or a line, a parent or a file withholds
 * it. So may this node itself be one, whose store was lost. Returns how many.
 */
enum { LISTS_UNHEARD_MAX = 6 }; /* tiers, down to a village */
size_t lists_unheard(const struct api_env *env, const struct lists_view *view,
                     uint64_t out[LISTS_UNHEARD_MAX]);
/* Their codes. Owned. */
json_t *lists_unheard_json(const struct api_env *env,
                           const struct lists_view *view);
/* How fresh one of them is: fresh_judge(), but of a log that stopped. */
void lists_fresh(const struct api_env *env, const struct lists_log *log,
                 struct freshness *out);
/* The listings of one subject in force today, with their values. ERR_INVALID:
 * no organisation's code. */
MUST_USE enum err listed_json(const struct api_env *env,
                              const struct lists_view *view,
                              const char *subject, json_t **out,
                              struct errmsg *why);

/* ---- answers over gRPC (api_lists.c) ---- */

/* Appends fields 4 to 6 of SubjectReply; nothing at a node that no list has
 * reached. `now`: from memory only, ERR_BUSY. */
MUST_USE enum err lists_put_subject(const struct api_env *env,
                                    const char *subject, bool now,
                                    struct buf *out);
/* Query/Check by `app`; what it met is noted. */
void lists_check(struct api_env *env, const char *app, struct rpc_call *call);

/* ---- commands on the local socket (api_directives.c) ---- */

admin_fn directive_prepare;
admin_fn directive_publish;
admin_fn directive_lists;
admin_fn directive_check;
admin_fn directive_status; /* api_receipts.c */
admin_fn directive_node;   /* api_nodes.c */
admin_fn directive_nodes;
admin_fn directive_catalogue; /* api_catalogue.c */
admin_fn directive_measure;
admin_fn catalogue_show;
admin_fn directive_export; /* api_listfile.c */
admin_fn directive_take;
/* ERR_DENIED: a revocation that has no effect, as an authority above this node
 * has restored that node; so that it does not look like one that shuts it out.
 */
MUST_USE enum err directive_check_above(const struct api_env *env,
                                        const struct registry_decision *d,
                                        struct errmsg *why);
/* The log that "log" names, else this node's own, else the only one. */
MUST_USE enum err directive_log(struct store *store, json_t *args,
                                struct log_id *out, struct errmsg *why);
/* What the client sends behind its request. ERR_TOO_LARGE: over `max_bytes`. */
MUST_USE enum err directive_read_file(struct admin_call *call, size_t max_bytes,
                                      struct buf *file, struct errmsg *why);
/* NULL, or the rule that a catalogue version or measure breaks here and now. */
const char *directive_rule_fault(const struct api_env *env,
                                 const struct entry *e);
/* ERR_DENIED names the first entry that would have no effect, or that this node
 * would not have prepared (lawful.c). `note` gets a line of each that nobody
 * here can tell anything of. */
typedef void lawful_note_fn(void *ctx, const char *text);
MUST_USE enum err directive_check_lawful(const struct api_env *env,
                                         const struct package *package,
                                         lawful_note_fn *note, void *ctx,
                                         struct errmsg *why);
/* A package's file, in pieces. */
void directive_send_file(struct admin_call *call, struct slice file);

#endif
