/* A listing that a node below this one decided. Its log is not here, so a
 * removal of it cannot be looked up as one of this node's own. */
#include <inttypes.h>
#include <string.h>

#include "api/directives.h"
#include "api/query.h"
#include "base/mem.h"
#include "credit/execution.h"
#include "credit/uscc.h"
#include "ident/ident.h"
#include "ident/rootchain.h"

enum { WITNESSES_MAX = 64 }; /* records that are read for what they say of it */

/* ---- who ends it ---- */

static enum err check_ended(const struct api_env *env,
                            const struct below_listing *l, struct errmsg *why)
{
    struct lists_view view;
    struct subject_key key;
    struct listing_place by;
    char log[LOG_ID_TEXT_MAX];
    subject_key_org(&key, SUBJECT_USCC, l->subject);
    lists_view_take(env->store, &view);
    enum err err = store_removal_of(env->store, &view, &key, &l->place, &by);
    lists_view_fini(&view);
    if (err != ERR_OK) {
        return api_unread(err, "what is in force", why);
    }
    if (by.number == 0) {
        return ERR_OK;
    }
    log_id_format(&by.log, log);
    return err_set(why, ERR_DENIED,
                   "directive %" PRIu64 " of %s ended that listing already "
                   "[not-listed]",
                   by.number, log);
}

/* What a node that is no issuer, or is none any more, has listed counts
 * nowhere. */
static enum err check_its_issuer(const struct api_env *env,
                                 const struct below_listing *l,
                                 struct errmsg *why)
{
    uint64_t issuer = l->place.log.origin;
    return env->roots == NULL || rootchain_is_issuer(env->roots, issuer)
               ? ERR_OK
               : err_set(why, ERR_DENIED,
                         "%012" PRIu64 " may list nobody by version %" PRIu64
                         " of the root document: is the listing's place "
                         "right? [not-listed]",
                         issuer, rootdoc_version(rootchain_newest(env->roots)));
}

/* ---- what those who met it say ---- */

/* What another node has for a code is shown to people, and stands in no note
 * if it is none. */
static bool take_execution(struct slice bytes, struct execution *out)
{
    struct entry e;
    struct slice app;
    return entry_decode(bytes, &e) == ERR_OK &&
           execution_take(&e, out, &app) == ERR_OK &&
           uscc_check(slice_str(out->subject)) == USCC_OK;
}

struct witness {
    struct log_id log;
    uint64_t number;
};

struct witnesses {
    struct witness at[WITNESSES_MAX];
    size_t n;
};

static bool add_witness(void *ctx, const struct store_row *row)
{
    struct witnesses *w = ctx;
    if (row->item == ITEM_EXECUTION) {
        w->at[w->n++] = (struct witness){row->log, row->number};
    }
    return w->n < WITNESSES_MAX;
}

enum says { SAYS_NOTHING, SAYS_THE_SAME, SAYS_ANOTHER };

static enum err ask_one(const struct api_env *env, const struct witness *w,
                        const struct below_listing *l, enum says *says,
                        struct errmsg *note)
{
    struct buf bytes = BUF_INIT;
    struct execution x;
    *says = SAYS_NOTHING;
    enum err err = store_entry(env->store, &w->log, w->number, &bytes);
    if (err == ERR_OK && take_execution(buf_slice(&bytes), &x)) {
        bool same = slice_eq(slice_str(x.subject), l->subject) &&
                    (x.list == 0 || x.list == l->list);
        *says = same ? SAYS_THE_SAME : SAYS_ANOTHER;
        if (!same) {
            const struct catalogue_list *list = catalogue_list(x.list);
            (void)err_set(note, ERR_INVALID,
                          "by a record of %012" PRIu64 " it lists %s, %s",
                          w->log.origin, x.subject,
                          list != NULL ? list->label_zh : "?");
        }
    }
    buf_fini(&bytes);
    return err == ERR_NOT_FOUND || err == ERR_SEALED ? ERR_OK : err;
}

/* Records of apps that met the listing have risen to here. One that agrees is
 * enough; one that does not refuses nothing, for it is a word of a node below:
 * perhaps of the very one whose listing is to end. */
static enum err ask_witnesses(const struct api_env *env,
                              const struct below_listing *l, enum says *says,
                              struct errmsg *note)
{
    struct witnesses *w = MEM_NEW(struct witnesses);
    struct subject_key key;
    char subject[EXECUTION_SUBJECT_MAX];
    execution_subject(&l->place, subject);
    subject_key_org(&key, SUBJECT_LISTING, slice_str(subject));
    enum err err = store_subject(env->store, &key, add_witness, w);
    *says = SAYS_NOTHING;
    for (size_t i = 0; err == ERR_OK && *says != SAYS_THE_SAME && i < w->n;
         i++) {
        enum says one;
        err = ask_one(env, &w->at[i], l, &one, note);
        *says = one != SAYS_NOTHING ? one : *says;
    }
    mem_free(w);
    return err;
}

enum err below_listing_check(const struct api_env *env,
                             const struct below_listing *l, struct errmsg *note,
                             struct errmsg *why)
{
    struct errmsg said = {""};
    enum says says;
    char place[EXECUTION_SUBJECT_MAX];
    note->text[0] = 0;
    enum err err = check_its_issuer(env, l, why);
    err = err == ERR_OK ? check_ended(env, l, why) : err;
    if (err != ERR_OK) {
        return err;
    }
    err = ask_witnesses(env, l, &says, &said);
    if (err != ERR_OK) {
        return api_unread(err, "what was told of the listing", why);
    }
    execution_subject(&l->place, place);
    if (says != SAYS_THE_SAME) {
        (void)err_set(
            note, ERR_OK,
            "%s is of %012" PRIu64 ", whose lists are not held here: whether "
            "it lists %.*s and is in force was not checked%s%s; compare with "
            "creditnode query %.*s at a node there",
            place, l->place.log.origin, (int)l->subject.len,
            (const char *)l->subject.data, said.text[0] != 0 ? "; " : "",
            said.text, (int)l->subject.len, (const char *)l->subject.data);
    }
    return ERR_OK;
}
