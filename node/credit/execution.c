#include "credit/execution.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ident/ident.h"

static const char *const names[] = {[OUTCOME_HIT] = "hit",
                                    [OUTCOME_APPLIED] = "applied",
                                    [OUTCOME_NOT_APPLICABLE] = "not-applicable",
                                    [OUTCOME_REFUSED] = "refused"};

const char *outcome_name(enum outcome outcome)
{
    return names[outcome];
}

bool outcome_parse(const char *name, enum outcome *out)
{
    for (int i = OUTCOME_APPLIED; i <= OUTCOME_REFUSED; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum outcome)i;
            return true;
        }
    }
    return false;
}

void execution_subject(const struct listing_place *listing,
                       char out[EXECUTION_SUBJECT_MAX])
{
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&listing->log, log);
    (void)snprintf(out, EXECUTION_SUBJECT_MAX, "%s#%" PRIu64, log,
                   listing->number);
}

bool execution_parse_subject(const char *text, struct listing_place *out)
{
    char log[LOG_ID_TEXT_MAX];
    char again[EXECUTION_SUBJECT_MAX];
    const char *hash = strchr(text, '#');
    size_t len = hash != NULL ? (size_t)(hash - text) : sizeof log;
    if (len >= sizeof log) {
        return false;
    }
    memcpy(log, text, len);
    log[len] = 0;
    if (!log_id_parse(log, &out->log) || out->log.kind != LOG_DIRECTIVES ||
        !str_u64(slice_str(hash + 1), &out->number) || out->number == 0) {
        return false;
    }
    execution_subject(out, again);
    return strcmp(text, again) == 0;
}

void execution_key(enum suite suite, const struct execution *x,
                   uint8_t out[RECORD_KEY_LEN])
{
    char subject[EXECUTION_SUBJECT_MAX];
    char node[CODE_LEN + 1];
    struct buf text = BUF_INIT;
    struct hash hash;
    execution_subject(&x->listing, subject);
    code_format(x->node, node);
    buf_putf(&text, "creditnode-execution\n%s\n%s\n%s\n%08" PRIu32, subject,
             node, x->app, x->day);
    suite_hash(suite, buf_slice(&text), &hash);
    memcpy(out, hash.b, RECORD_KEY_LEN);
    buf_fini(&text);
}

/* ---- to an entry ---- */

struct filling {
    struct record record;
    struct rules_room room;
    char subject[EXECUTION_SUBJECT_MAX];
    char day[12];
    struct errmsg *why;
    bool broken;
};

static void breach(void *ctx, const struct catalogue_field *field,
                   const char *rule)
{
    struct filling *f = ctx;
    f->broken = true;
    (void)err_set(f->why, ERR_INVALID, "%s: %s [%s]", field->label_en,
                  rules_text(rule), rule);
}

static void fill_field(struct filling *f, uint16_t id, struct slice raw)
{
    const struct catalogue_item *item = f->record.item;
    const struct catalogue_field *field =
        &item->fields[catalogue_place(item, id)];
    struct slice value;
    if (!str_utf8_valid(raw)) {
        breach(f, field, "encoding");
        return;
    }
    const char *rule = rules_value(field, SET_2018, raw, &f->room, &value);
    if (rule != NULL) {
        breach(f, field, rule);
    } else {
        record_set(&f->record, id, value);
    }
}

static void fill(struct filling *f, const struct execution *x)
{
    const struct catalogue_list *list = catalogue_list(x->list);
    record_init(&f->record, catalogue_item(ITEM_EXECUTION));
    execution_subject(&x->listing, f->subject);
    (void)snprintf(f->day, sizeof f->day, "%08" PRIu32, x->day);
    fill_field(f, FIELD_USCC, slice_str(x->subject));
    fill_field(f, FIELD_FACTS, x->reason);
    fill_field(f, FIELD_DECIDED, slice_str(f->day));
    fill_field(f, FIELD_LIST, slice_str(list != NULL ? list->label_zh : ""));
    fill_field(f, FIELD_MEASURES, x->measures);
    fill_field(f, FIELD_LISTING, slice_str(f->subject));
    fill_field(f, FIELD_APP, slice_str(x->app));
    fill_field(f, FIELD_OUTCOME, slice_str(outcome_name(x->outcome)));
}

/* What is done must be told as a whole. */
static const char *lack(const struct execution *x)
{
    if (x->outcome == OUTCOME_APPLIED && x->measures.len == 0) {
        return "measures: say which were applied, such as C01";
    }
    if (x->outcome == OUTCOME_REFUSED && x->reason.len == 0) {
        return "reason: say why nothing was done";
    }
    return NULL;
}

enum err execution_to_entry(const struct execution *x, enum suite suite,
                            int64_t now_ms, struct buf *room, struct entry *out,
                            struct errmsg *why)
{
    const struct record_keys keys = {.suite = suite};
    const char *missing = lack(x);
    if (missing != NULL) {
        return err_set(why, ERR_INVALID, "%s", missing);
    }
    struct filling *f = MEM_NEW(struct filling);
    struct record *r = &f->record;
    f->why = why;
    fill(f, x);
    if (!f->broken) {
        (void)rules_record(r, SET_2018, 0, 0, breach, f);
    }
    enum err err = f->broken ? ERR_INVALID : ERR_OK;
    if (err == ERR_OK) {
        r->subject_kind = SUBJECT_LISTING;
        (void)snprintf(r->subject, sizeof r->subject, "%s", f->subject);
        r->disclosure = DISCLOSURE_SHARED;
        r->decided = x->day;
        execution_key(suite, x, r->key);
        err = err_set(
            why, record_to_entry(r, &keys, x->node, now_ms, NULL, room, out),
            "is larger than a record may be");
    }
    mem_free(f);
    return err;
}

/* ---- from an entry ---- */

enum err execution_take(const struct entry *e, struct execution *out,
                        struct slice *app)
{
    struct record *r = MEM_NEW(struct record);
    char subject[EXECUTION_SUBJECT_MAX];
    *out = (struct execution){.day = e->decided};
    bool ok = e->item == ITEM_EXECUTION && e->subject_kind == SUBJECT_LISTING &&
              e->subject.len < sizeof subject &&
              record_from_entry(e, r) == ERR_OK;
    if (ok) {
        memcpy(subject, e->subject.data, e->subject.len);
        subject[e->subject.len] = 0;
        const struct enum_word *word = record_word(r, FIELD_OUTCOME);
        struct slice code = record_get(r, FIELD_USCC);
        /* Texts are cut by a NUL: one listing would have several names. */
        ok = strlen(subject) == e->subject.len &&
             execution_parse_subject(subject, &out->listing) && word != NULL &&
             code.len == USCC_LEN && memchr(code.data, 0, USCC_LEN) == NULL;
        out->outcome = word != NULL ? (enum outcome)word->value : OUTCOME_HIT;
        out->list = listing_list_of(r);
        out->measures = record_get(r, FIELD_MEASURES);
        out->reason = record_get(r, FIELD_FACTS);
        *app = record_get(r, FIELD_APP);
        if (ok) {
            memcpy(out->subject, code.data, USCC_LEN);
        }
    }
    mem_free(r);
    return ok ? ERR_OK : ERR_INVALID;
}

bool execution_is_hit(const struct entry *e)
{
    struct execution x;
    struct slice app;
    return e->item == ITEM_EXECUTION && execution_take(e, &x, &app) == ERR_OK &&
           x.outcome == OUTCOME_HIT;
}
