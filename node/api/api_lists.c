/* What lists say, over gRPC: proto/query.proto. */
#include <stdlib.h>
#include <string.h>

#include "api/directives.h"
#include "api/effects.h"
#include "api/query.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "base/str.h"
#include "credit/citizen.h"
#include "credit/date.h"
#include "credit/uscc.h"

enum {
    LISTINGS_BYTES = 24 << 10, /* of a SubjectReply: fits behind the records */
    CHECK_BYTES = 1 << 20,     /* of a reply */
};

/* ---- messages ---- */

static void put_positions(struct buf *out, uint32_t field,
                          const struct api_env *env,
                          const struct lists_view *view)
{
    for (size_t i = 0; i < view->n; i++) {
        const struct lists_log *l = &view->logs[i];
        char log[LOG_ID_TEXT_MAX];
        struct freshness f;
        lists_fresh(env, l, &f);
        log_id_format(&l->log, log);
        size_t mark = pb_begin(out, field);
        pb_put_str(out, 1, log);
        pb_put_u64(out, 2, l->log.origin);
        pb_put_u64(out, 3, l->visible);
        pb_put_str(out, 4, fresh_state_name(f.state));
        pb_put_u64(out, 5, (uint64_t)f.signed_ms);
        pb_put_u64(out, 6, (uint64_t)f.age_ms);
        pb_put_str(out, 7, log_state_name(l->state));
        pb_end(out, mark);
    }
}

static void put_unheard(struct buf *out, uint32_t field,
                        const struct api_env *env,
                        const struct lists_view *view)
{
    uint64_t codes[LISTS_UNHEARD_MAX];
    size_t n = lists_unheard(env, view, codes);
    for (size_t i = 0; i < n; i++) {
        char code[CODE_LEN + 1];
        code_format(codes[i], code);
        pb_put_str(out, field, code);
    }
}

static void put_value(struct buf *out, uint32_t field, const struct record *r,
                      uint16_t id)
{
    struct buf value = BUF_INIT;
    if (record_show(r, catalogue_place(r->item, id), 0, RECORD_MASKED, NULL,
                    &value) == ERR_OK) {
        pb_put_bytes(out, field, buf_slice(&value));
    }
    buf_fini(&value);
}

static void put_values(struct buf *out, struct slice bytes)
{
    struct entry e;
    struct record r;
    if (entry_decode(bytes, &e) == ERR_OK && listing_values(&e, &r) == ERR_OK) {
        pb_put_str(out, 3, domain_name(listing_domain_of(&r)));
        put_value(out, 5, &r, FIELD_AUTHORITY);
        put_value(out, 6, &r, FIELD_BASIS);
        put_value(out, 7, &r, FIELD_DOCUMENT_NO);
    }
}

static void put_listing(struct buf *out, uint32_t field,
                        const struct store_listing *l, struct slice entry)
{
    char log[LOG_ID_TEXT_MAX];
    const struct catalogue_list *list = catalogue_list(l->list);
    log_id_format(&l->log, log);
    size_t mark = pb_begin(out, field);
    pb_put_str(out, 1, list != NULL ? list->name : "");
    pb_put_str(out, 2, list != NULL ? colour_name(list->colour) : "");
    pb_put_u64(out, 4, l->log.origin);
    put_values(out, entry);
    pb_put_u64(out, 8, l->decided);
    pb_put_u64(out, 9, l->from);
    pb_put_u64(out, 10, l->until);
    pb_put_str(out, 11, log);
    pb_put_u64(out, 12, l->number);
    pb_end(out, mark);
}

struct put {
    const struct api_env *env;
    struct buf *out;
    uint32_t field;
    size_t limit; /* of out->len */
    bool now;
    bool more;
    size_t count;
    enum err err;
    struct effects *effects; /* NULL: hits are not noted */
    const char *code;
};

static bool on_listing(void *ctx, const struct store_listing *l)
{
    struct put *p = ctx;
    struct buf bytes = BUF_INIT;
    size_t before = p->out->len;
    struct store *store = p->env->store;
    p->err = p->now ? store_entry_now(store, &l->text_log, l->text, &bytes)
                    : store_entry(store, &l->text_log, l->text, &bytes);
    if (p->err == ERR_OK) {
        put_listing(p->out, p->field, l, buf_slice(&bytes));
        p->count++;
    }
    if (p->out->len > p->limit) {
        p->out->len = before;
        p->more = true;
    } else if (p->err == ERR_OK && p->effects != NULL) {
        effects_add(p->effects, l, p->code);
    }
    buf_fini(&bytes);
    return p->err == ERR_OK && !p->more;
}

static enum err put_listings(struct put *p, const struct lists_view *view,
                             const char *code)
{
    struct subject_key key;
    subject_key_org(&key, SUBJECT_USCC, slice_str(code));
    const struct listing_query q = {.view = view,
                                    .subject = &key,
                                    .today = date_from_ms(clock_wall_ms()),
                                    .now = p->now};
    enum err err = store_listings(p->env->store, &q, on_listing, p, NULL);
    return err == ERR_OK ? p->err : err;
}

/* ---- one subject ---- */

enum err lists_put_subject(const struct api_env *env, const char *subject,
                           bool now, struct buf *out)
{
    char code[USCC_LEN + 1];
    struct lists_view view;
    struct put p = {.env = env,
                    .out = out,
                    .field = 4,
                    .limit = LISTINGS_BYTES,
                    .now = now};
    lists_view_take(env->store, &view);
    enum err err = ERR_OK;
    if (view.n > 0 && uscc_read(slice_str(subject), code) == USCC_OK) {
        err = put_listings(&p, &view, code);
    }
    if (err == ERR_OK) {
        put_positions(out, 5, env, &view);
        pb_put_u64(out, 6, p.more);
        put_unheard(out, 7, env, &view);
    }
    lists_view_fini(&view);
    return err;
}

/* ---- many ---- */

struct asked {
    size_t place; /* in the request */
    char code[USCC_LEN + 1];
    size_t at; /* what it is listed for, in `found` */
    size_t len;
};

struct checking {
    struct api_env *env;
    struct rpc_call *call;
    struct lists_view view;
    struct effects *effects;
    struct asked *asked; /* CHECK_SUBJECTS_MAX */
    size_t asked_n;
    struct asked **unique; /* those of different codes, rising */
    struct buf found;      /* in that order */
    struct asked *open;    /* the one whose listings come; NULL: none */
    size_t mark;           /* where its message began */
    struct put put;
    struct buf out;
};

static void close_subject(struct checking *c)
{
    if (c->open != NULL) {
        pb_end(&c->found, c->mark);
        c->open->len = c->found.len - c->open->at;
        c->open = NULL;
    }
}

static bool on_found(void *ctx, size_t place, const struct store_listing *l)
{
    struct checking *c = ctx;
    struct asked *asked = c->unique[place];
    if (c->open != asked) {
        close_subject(c);
        c->open = asked;
        asked->at = c->found.len;
        c->mark = pb_begin(&c->found, 1);
        pb_put_str(&c->found, 1, asked->code);
        c->put.code = asked->code;
    }
    return on_listing(&c->put, l);
}

/* As it was asked, so that the asker finds it; a citizen number is not
 * repeated. */
static void put_invalid(struct buf *out, struct slice text)
{
    struct buf shown = BUF_INIT;
    citizen_hide(text, CITIZEN_NEW_OR_OLD, &shown);
    pb_put_bytes(out, 4, buf_slice(&shown));
    buf_fini(&shown);
}

static enum err take_subject(void *ctx, size_t place, struct slice text,
                             struct errmsg *why)
{
    struct checking *c = ctx;
    struct asked *asked = &c->asked[c->asked_n];
    if (uscc_read(text, asked->code) == USCC_OK) {
        asked->place = c->asked_n++;
        return ERR_OK;
    }
    if (!str_utf8_valid(text)) {
        return err_set(why, ERR_INVALID, "CheckRequest: subject %zu: no text",
                       place);
    }
    put_invalid(&c->out, text);
    return ERR_OK;
}

static int by_code(const void *a, const void *b)
{
    const struct asked *x = a;
    const struct asked *y = b;
    return strcmp(x->code, y->code);
}

static int by_place(const void *a, const void *b)
{
    const struct asked *x = a;
    const struct asked *y = b;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Each code once. Returns how many there are. */
static size_t set_keys(struct checking *c, struct subject_key *keys)
{
    size_t n = 0;
    for (size_t i = 0; i < c->asked_n; i++) {
        struct asked *asked = &c->asked[i];
        asked->at = asked->len = 0;
        if (n == 0 || by_code(c->unique[n - 1], asked) != 0) {
            subject_key_org(&keys[n], SUBJECT_USCC, slice_str(asked->code));
            c->unique[n++] = asked;
        }
    }
    return n;
}

/* Who was asked for more than once gets one answer each time. */
static void share_answers(struct checking *c)
{
    for (size_t i = 1; i < c->asked_n; i++) {
        struct asked *asked = &c->asked[i];
        if (by_code(asked - 1, asked) == 0) {
            asked->at = asked[-1].at;
            asked->len = asked[-1].len;
        }
    }
}

static enum err too_much(struct errmsg *why)
{
    return err_set(why, ERR_TOO_LARGE,
                   "the answer is larger than a message: ask for fewer "
                   "subjects at a time, for each once");
}

/* Codes rise. Appends the subjects that are listed to `found`. */
static enum err find_all(struct checking *c, struct errmsg *why)
{
    struct subject_key *keys = mem_zalloc(c->asked_n + 1, sizeof *keys);
    const struct listing_query q = {.view = &c->view,
                                    .today = date_from_ms(clock_wall_ms())};
    size_t n = set_keys(c, keys);
    c->put = (struct put){.env = c->env,
                          .out = &c->found,
                          .field = 2,
                          .limit = CHECK_BYTES,
                          .effects = c->effects};
    enum err err = store_listings_of(c->env->store, &q, keys, n, on_found, c);
    err = err == ERR_OK ? c->put.err : err;
    close_subject(c);
    share_answers(c);
    mem_free(keys);
    if (err != ERR_OK) {
        return api_unread(err, "the store", why);
    }
    return c->put.more ? too_much(why) : ERR_OK;
}

/* In the order in which the store has them: neighbours share a page. The answer
 * has them as they were asked; it is bounded once more, since what was found
 * once may have been asked for ten thousand times. */
static enum err check_all(struct checking *c, struct errmsg *why)
{
    qsort(c->asked, c->asked_n, sizeof *c->asked, by_code);
    enum err err = find_all(c, why);
    qsort(c->asked, c->asked_n, sizeof *c->asked, by_place);
    for (size_t i = 0; err == ERR_OK && i < c->asked_n; i++) {
        const struct asked *asked = &c->asked[i];
        if (c->out.len + asked->len > CHECK_BYTES) {
            return too_much(why);
        }
        buf_put_slice(&c->out, slice_of(c->found.data + asked->at, asked->len));
    }
    return err;
}

static struct checking *checking_new(struct api_env *env, const char *app,
                                     struct rpc_call *call)
{
    struct checking *c = MEM_NEW(struct checking);
    c->env = env;
    c->call = call;
    c->effects = effects_new(env, app);
    c->asked = mem_alloc(CHECK_SUBJECTS_MAX * sizeof *c->asked);
    c->unique = mem_alloc(CHECK_SUBJECTS_MAX * sizeof *c->unique);
    return c;
}

static void checking_free(struct checking *c)
{
    effects_free(&c->effects);
    mem_free(c->asked);
    mem_free(c->unique);
    buf_fini(&c->found);
    buf_fini(&c->out);
    mem_free(c);
}

/* Told once the hits are noted, or cannot be: the answer does not depend on
 * it. */
static void answer_check(void *ctx, bool recorded)
{
    struct checking *c = ctx;
    pb_put_u64(&c->out, 5, recorded);
    rpc_reply(c->call, &c->out);
    checking_free(c);
}

void lists_check(struct api_env *env, const char *app, struct rpc_call *call)
{
    struct checking *c = checking_new(env, app, call);
    struct errmsg why = {""};
    lists_view_take(env->store, &c->view);
    enum err err = request_check(rpc_call_request(call), take_subject, c, &why);
    if (err == ERR_OK) {
        err = check_all(c, &why);
    }
    if (err == ERR_OK) {
        put_positions(&c->out, 2, env, &c->view);
        pb_put_u64(&c->out, 3, env->self.code);
        put_unheard(&c->out, 6, env, &c->view);
    }
    lists_view_fini(&c->view);
    if (err == ERR_OK) {
        effects_note(&c->effects, answer_check, c);
        return;
    }
    rpc_fail(call, err, why.text);
    checking_free(c);
}
