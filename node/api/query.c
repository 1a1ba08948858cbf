#include "api/query.h"

#include <string.h>

#include "base/mem.h"
#include "credit/citizen.h"
#include "credit/execution.h"
#include "credit/uscc.h"

enum {
    HISTORY_MAX = 1000,
    LIMIT_DEFAULT = 100,
    LIMIT_MAX = 1000,
    ROWS_FEW = 8, /* most subjects have no more */
};

static const char *const statuses[] = {"valid", "revoked", "disputed", "other"};
static const char *const disclosures[] = {"public", "shared", "authorised"};

const char *status_name(uint8_t status)
{
    return status < ARRAY_LEN(statuses) ? statuses[status] : "unknown";
}

const char *disclosure_name(enum disclosure disclosure)
{
    return (size_t)disclosure < ARRAY_LEN(disclosures) ? disclosures[disclosure]
                                                       : "unknown";
}

enum err api_unread(enum err err, const char *what, struct errmsg *why)
{
    return err_is_passing(err)
               ? err_set(why, err, "%s cannot be read now (%s): ask again",
                         what, err_text(err))
               : err_set(why, err,
                         "%s cannot be read (%s): creditnode status at this "
                         "node and its log say why",
                         what, err_text(err));
}

/* ---- who may see what ---- */

static struct access access_from_scopes(unsigned scopes)
{
    struct access access = {.ingest = (scopes & SCOPE_INGEST) != 0,
                            .feedback = (scopes & SCOPE_FEEDBACK) != 0};
    static const struct {
        unsigned scope;
        enum disclosure widest;
    } reads[] = {{SCOPE_PUBLIC, DISCLOSURE_PUBLIC},
                 {SCOPE_SHARED, DISCLOSURE_SHARED},
                 {SCOPE_AUTHORISED, DISCLOSURE_AUTHORISED}};
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        if ((scopes & reads[i].scope) != 0) {
            access.read = true;
            access.widest = reads[i].widest; /* the last one is the widest */
        }
    }
    return access;
}

struct access access_local(void)
{
    return (struct access){.read = true,
                           .widest = DISCLOSURE_AUTHORISED,
                           .ingest = true,
                           .feedback = true,
                           .local = true};
}

/* A name proves little: any CA of the federation may issue it again. */
static const struct conf_app *entry_of(const struct conf *conf,
                                       const struct principal *peer)
{
    for (size_t i = 0; i < conf->apps.count; i++) {
        const struct conf_app *app = &conf->apps.items[i];
        if (memcmp(app->key, peer->key_id, sizeof app->key) == 0 &&
            strcmp(app->name, peer->name) == 0) {
            return app;
        }
    }
    return NULL;
}

struct access access_of(const struct conf *conf, const struct principal *peer,
                        int64_t now_ms)
{
    const struct conf_app *app = entry_of(conf, peer);
    /* TLS looked at the dates when the connection was made; calls on it come
     * later. */
    if (app == NULL || peer->kind == PRINCIPAL_NODE ||
        peer->not_after_ms <= now_ms ||
        principal_check_federation(peer, conf->federation.name, NULL) !=
            ERR_OK) {
        return (struct access){0};
    }
    return access_from_scopes(app->scopes);
}

/* ---- sealed values ---- */

enum { AAD_ORIGIN_AT = 16 }; /* behind "creditnode:field", see record.h */

static enum err unseal(void *ctx, struct slice aad, struct slice sealed,
                       struct buf *out)
{
    if (aad.len < AAD_ORIGIN_AT + 8) {
        return ERR_BUG;
    }
    return keyring_unseal(ctx, be_get64(aad.data + AAD_ORIGIN_AT), aad, sealed,
                          out);
}

bool found_shows(const struct found *f, size_t place)
{
    return f->record.values[place].len > 0 &&
           f->record.item->fields[place].disclosure <= f->widest;
}

struct unsealer query_unsealer(const struct api_env *env)
{
    return (struct unsealer){.fn = unseal, .ctx = env->keyring};
}

/* ---- reading ---- */

void found_fini(struct found *f)
{
    buf_fini(&f->bytes);
}

static enum err decode(struct found *f)
{
    enum err err = entry_decode(buf_slice(&f->bytes), &f->entry);
    if (err == ERR_OK) {
        f->decoded = record_from_entry(&f->entry, &f->record) == ERR_OK;
    }
    return err;
}

/* Reads and decodes the version that f->row names. */
static enum err load(const struct api_env *env, struct found *f)
{
    buf_clear(&f->bytes);
    f->decoded = false;
    enum err err =
        store_entry(env->store, &f->row.log, f->row.number, &f->bytes);
    return err == ERR_OK ? decode(f) : err;
}

/* The same from memory only: ERR_BUSY. */
static enum err load_now(const struct api_env *env, struct found *f)
{
    buf_clear(&f->bytes);
    f->decoded = false;
    enum err err =
        store_entry_now(env->store, &f->row.log, f->row.number, &f->bytes);
    return err == ERR_OK ? decode(f) : err;
}

/* An entry that is not here any more, or of another form, is an answer; that it
 * could not be read is none. */
static bool is_fault(enum err err)
{
    return err != ERR_OK && err != ERR_NOT_FOUND && err != ERR_SEALED &&
           err != ERR_UNSUPPORTED && err != ERR_INVALID;
}

static enum err parse_subject(const char *text, struct subject_key *out,
                              struct errmsg *why)
{
    char code[USCC_LEN + 1];
    struct listing_place listing;
    struct slice number;
    enum uscc_result result = uscc_read(slice_str(text), code);
    if (result == USCC_OK) {
        subject_key_org(out, SUBJECT_USCC, slice_str(code));
        return ERR_OK;
    }
    if (citizen_find(slice_str(text), CITIZEN_NEW, &number)) {
        return err_set(why, ERR_INVALID,
                       "a natural person's number is no subject to ask about");
    }
    if (execution_parse_subject(text, &listing)) {
        subject_key_org(out, SUBJECT_LISTING, slice_str(text));
        return ERR_OK;
    }
    if (strchr(text, '/') != NULL && strlen(text) <= RECORD_SUBJECT_MAX) {
        subject_key_org(out, SUBJECT_ORG, slice_str(text));
        return ERR_OK;
    }
    return err_set(why, ERR_INVALID,
                   "no unified social credit code (%s); an older number is "
                   "given as COLUMN/NUMBER, such as ZZJG/742183213",
                   code[0] != 0 ? uscc_rule(result) : "18 characters");
}

struct scan {
    const struct subject_query *q;
    const struct access *access;
    struct store_row few[ROWS_FEW];
    struct store_row *many; /* instead, when there are more */
    size_t room;
    size_t count;
    size_t limit;
    bool more;
};

static const struct store_row *rows_of(const struct scan *s)
{
    return s->many != NULL ? s->many : s->few;
}

static void add_row(struct scan *s, const struct store_row *row)
{
    if (s->count == s->room) {
        struct store_row *more =
            mem_realloc(s->many, 2 * s->room * sizeof *more);
        if (s->many == NULL) {
            memcpy(more, s->few, sizeof s->few);
        }
        s->many = more;
        s->room *= 2;
    }
    (s->many != NULL ? s->many : s->few)[s->count++] = *row;
}

/* `few` is filled as rows come. */
static void scan_init(struct scan *s, const struct subject_query *q)
{
    s->q = q;
    s->access = &q->access;
    s->many = NULL;
    s->room = ROWS_FEW;
    s->count = 0;
    s->limit = q->limit == 0 ? LIMIT_DEFAULT
                             : (q->limit < LIMIT_MAX ? q->limit : LIMIT_MAX);
    s->more = false;
}

static void place_of(const struct store_row *row, uint8_t out[QUERY_PLACE_LEN])
{
    memcpy(out, row->record_key, RECORD_KEY_LEN);
    be_put64(out + RECORD_KEY_LEN, row->log.origin);
}

static bool row_is_for(const struct store_row *row, const struct access *access)
{
    return catalogue_disclosure(row->item, row->disclosure) <= access->widest;
}

static bool collect(void *ctx, const struct store_row *row)
{
    struct scan *s = ctx;
    uint8_t place[QUERY_PLACE_LEN];
    place_of(row, place);
    if (!row_is_for(row, s->access) ||
        (s->q->after != NULL &&
         memcmp(place, s->q->after, sizeof place) <= 0)) {
        return true;
    }
    if (s->count == s->limit) {
        s->more = true;
        return false;
    }
    add_row(s, row);
    return true;
}

/* What the answer says of a row besides the row. */
static enum err load_for(const struct api_env *env,
                         const struct subject_query *q, struct found *f)
{
    if (q->brief) {
        return ERR_OK;
    }
    enum err err = q->now ? load_now(env, f) : load(env, f);
    return is_fault(err) ? err : ERR_OK;
}

/* The rows that fit go to `fn`; the place of the last one to `next`. */
static enum err give_rows(const struct api_env *env, const struct scan *s,
                          found_fn *fn, void *ctx, struct query_next *next)
{
    struct found f = {.bytes = BUF_INIT, .widest = s->q->access.widest};
    enum err err = ERR_OK;
    next->more = s->more;
    for (size_t i = 0; err == ERR_OK && i < s->count; i++) {
        if (i % STORE_AHEAD_MAX == 0 && !s->q->brief && !s->q->now) {
            store_ahead(env->store, rows_of(s) + i, s->count - i);
        }
        f.row = rows_of(s)[i];
        f.decoded = false;
        err = load_for(env, s->q, &f);
        next->lasting = next->lasting && (s->q->brief || f.decoded);
        if (err == ERR_OK && !fn(ctx, &f)) {
            next->more = true;
            break;
        }
        place_of(&f.row, next->place);
    }
    found_fini(&f);
    return err;
}

enum err query_subject(const struct api_env *env, const struct subject_query *q,
                       found_fn *fn, void *ctx, struct query_next *next,
                       struct errmsg *why)
{
    struct subject_key key;
    enum err err = parse_subject(q->subject, &key, why);
    if (err != ERR_OK) {
        return err;
    }
    struct scan s;
    scan_init(&s, q);
    next->lasting = store_stamp_take(env->store, &key, &next->stamp);
    err = q->now ? store_subject_now(env->store, &key, collect, &s)
                 : store_subject(env->store, &key, collect, &s);
    if (err == ERR_OK) {
        err = give_rows(env, &s, fn, ctx, next);
    }
    mem_free(s.many);
    return err == ERR_OK ? ERR_OK : api_unread(err, "the store", why);
}

/* ---- one record ---- */

/* The row of an entry named by its place, as far as the entry tells. */
static void row_from_entry(struct store_row *row, const struct entry *e)
{
    memcpy(row->record_key, e->record_key, RECORD_KEY_LEN);
    row->version = e->version;
    row->item = e->item;
    row->status = e->status;
    row->disclosure = e->disclosure;
    row->decided = e->decided;
    row->until = e->until;
    row->publish_until = e->publish_until;
}

static enum err key_of_person(const struct api_env *env, const struct found *f,
                              struct subject_key *out)
{
    struct unsealer unsealer = query_unsealer(env);
    struct buf plain = BUF_INIT;
    enum err err =
        record_unseal_subject(&f->entry, f->row.log.origin, &unsealer, &plain);
    if (err == ERR_OK) {
        err = subject_key_person(env->keyring, buf_slice(&plain), out);
    }
    if (plain.len > 0) {
        mem_wipe(plain.data, plain.len);
    }
    buf_fini(&plain);
    return err;
}

/* The row that counts now for the record of f's entry. ERR_NOT_FOUND: the entry
 * has no effect here, or its subject has changed since. */
static enum err current_row(const struct api_env *env, const struct found *f,
                            struct store_row *out)
{
    struct subject_key key;
    const struct entry *e = &f->entry;
    enum err err = ERR_OK;
    if (e->subject_kind == SUBJECT_PERSON) {
        err = key_of_person(env, f, &key);
    } else if (e->subject.len > 0 && e->subject.len < SUBJECT_KEY_MAX) {
        subject_key_org(&key, (enum subject_kind)e->subject_kind, e->subject);
    } else {
        err = ERR_NOT_FOUND;
    }
    if (err == ERR_OK) {
        err =
            store_row(env->store, &key, e->record_key, f->row.log.origin, out);
    }
    return is_fault(err) ? err : err == ERR_OK ? ERR_OK : ERR_NOT_FOUND;
}

/* One answer to an app, whatever it is that the place does not hold: who counts
 * numbers up learns neither how many records are persons' nor how many are out
 * of its scopes. */
static enum err no_record(const struct record_query *q, struct errmsg *why)
{
    return err_set(why, ERR_NOT_FOUND,
                   "entry %llu of %s: no record for this asker",
                   (unsigned long long)q->number, q->log);
}

/* From the entry that was named to the version that counts now. */
static enum err go_to_current(const struct api_env *env,
                              const struct record_query *q, struct found *f,
                              struct errmsg *why)
{
    struct store_row row;
    enum err err = current_row(env, f, &row);
    if (err == ERR_NOT_FOUND) {
        return q->access.local ? ERR_OK : no_record(q, why);
    }
    if (err == ERR_OK &&
        (row.number != f->row.number || !log_id_eq(&row.log, &f->row.log))) {
        f->row = row;
        err = load(env, f);
    }
    return err == ERR_OK ? ERR_OK : api_unread(err, "the store", why);
}

static enum err start_at_place(const struct api_env *env,
                               const struct record_query *q, struct found *f,
                               struct errmsg *why)
{
    if (!log_id_parse(q->log, &f->row.log) || f->row.log.kind != LOG_RECORDS) {
        return err_set(why, ERR_INVALID,
                       "no log of records; its form is "
                       "ORIGIN/records/INCARNATION");
    }
    f->row.number = q->number;
    enum err err = load(env, f);
    if (!q->access.local && !is_fault(err) &&
        (err != ERR_OK || f->entry.type != ENTRY_RECORD ||
         f->entry.subject_kind == SUBJECT_PERSON)) {
        return no_record(q, why);
    }
    if (err != ERR_OK) {
        return err_set(why, err, "entry %llu of %s: %s",
                       (unsigned long long)q->number, q->log, err_text(err));
    }
    if (f->entry.type != ENTRY_RECORD) {
        return err_set(why, ERR_INVALID, "entry %llu of %s is no record",
                       (unsigned long long)q->number, q->log);
    }
    row_from_entry(&f->row, &f->entry);
    return go_to_current(env, q, f, why);
}

/* One that has just come lies in memory, but not unpacked. */
static enum err load_fresh(const struct api_env *env, struct found *f)
{
    buf_clear(&f->bytes);
    f->decoded = false;
    enum err err = store_entry_in_memory(env->store, &f->row.log, f->row.number,
                                         &f->bytes);
    err = err == ERR_OK ? decode(f) : err;
    return err == ERR_OK && f->entry.prev_number == 0 ? ERR_OK : ERR_BUSY;
}

struct by_key {
    const struct record_query *q;
    struct store_row *row;
    unsigned owners;
};

static bool match_key(void *ctx, const struct store_row *row)
{
    struct by_key *m = ctx;
    int order = memcmp(row->record_key, m->q->record_key, RECORD_KEY_LEN);
    if (order == 0 && row_is_for(row, &m->q->access)) {
        *m->row = *row;
        m->owners++;
    }
    return order <= 0;
}

static enum err start_at_key(const struct api_env *env,
                             const struct record_query *q, struct found *f,
                             struct errmsg *why)
{
    struct subject_key key;
    enum err err = parse_subject(q->subject, &key, why);
    if (err != ERR_OK) {
        return err;
    }
    struct by_key found = {.q = q, .row = &f->row};
    err = q->now ? store_subject_now(env->store, &key, match_key, &found)
                 : store_subject(env->store, &key, match_key, &found);
    if (err == ERR_OK && found.owners != 1) {
        err = found.owners == 0 ? ERR_NOT_FOUND : ERR_CONFLICT;
    }
    if (err != ERR_OK) {
        return err_set(why, err, "this record of this subject: %s",
                       found.owners > 1
                           ? "several owners use this key; name log and number"
                           : err_text(err));
    }
    err = q->now ? load_fresh(env, f) : load(env, f);
    return err == ERR_OK ? ERR_OK : api_unread(err, "the store", why);
}

/* Goes to the version before. ERR_NOT_FOUND: it is not here, or what the entry
 * names is no earlier version of this record; the owner of a log may have
 * written anything. */
static enum err step_back(const struct api_env *env, struct found *f)
{
    const struct store_row after = f->row;
    uint8_t kind = f->entry.subject_kind;
    f->row.log.incarnation = f->entry.prev_incarnation;
    f->row.number = f->entry.prev_number;
    enum err err = load(env, f);
    if (err != ERR_OK) {
        return is_fault(err) ? err : ERR_NOT_FOUND;
    }
    if (f->entry.type != ENTRY_RECORD || f->entry.version >= after.version ||
        memcmp(f->entry.record_key, after.record_key, RECORD_KEY_LEN) != 0 ||
        (f->entry.subject_kind == SUBJECT_PERSON) != (kind == SUBJECT_PERSON)) {
        return ERR_NOT_FOUND;
    }
    row_from_entry(&f->row, &f->entry);
    return ERR_OK;
}

static enum err give_versions(const struct api_env *env,
                              const struct record_query *q, struct found *f,
                              found_fn *fn, void *ctx, bool *more)
{
    for (int i = 0; i < HISTORY_MAX; i++) {
        if (row_is_for(&f->row, &q->access) && !fn(ctx, f)) {
            *more = true;
            return ERR_OK;
        }
        if (f->entry.prev_number == 0) {
            return ERR_OK;
        }
        enum err err = step_back(env, f);
        if (err != ERR_OK) {
            *more = true;
            return err == ERR_NOT_FOUND ? ERR_OK : err;
        }
    }
    *more = true;
    return ERR_OK;
}

enum err query_record(const struct api_env *env, const struct record_query *q,
                      found_fn *fn, void *ctx, bool *more, struct errmsg *why)
{
    struct found f = {.bytes = BUF_INIT, .widest = q->access.widest};
    *more = false;
    if (q->now && q->record_key == NULL) {
        return ERR_BUSY;
    }
    enum err err = q->record_key != NULL ? start_at_key(env, q, &f, why)
                                         : start_at_place(env, q, &f, why);
    if (err == ERR_OK && !row_is_for(&f.row, &q->access)) {
        err = no_record(q, why); /* by its place: keys were looked at so */
    }
    if (err == ERR_OK) {
        err = give_versions(env, q, &f, fn, ctx, more);
        if (err != ERR_OK) {
            (void)err_set(why, err, "an earlier version: %s", err_text(err));
        }
    }
    found_fini(&f);
    return err;
}
