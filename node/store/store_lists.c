#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "credit/catalogue_change.h"
#include "credit/date.h"
#include "credit/listing.h"
#include "credit/measure.h"
#include "credit/package.h"
#include "credit/registry.h"
#include "ident/rootchain.h"
#include "store/store_lists.h"

/* ---- the state of one log ---- */

void lists_free(struct lists **lists)
{
    struct lists *l = *lists;
    *lists = NULL;
    if (l != NULL) {
        buf_fini(&l->text);
        mem_free(l->head);
        mem_free(l->voids);
        mem_free(l->aliases);
        mem_free(l);
    }
}

uint64_t lists_roots_version(const struct store *s)
{
    return s->env.roots != NULL
               ? rootdoc_version(rootchain_newest(s->env.roots))
               : 0;
}

struct lists *lists_new(const struct store *s)
{
    struct lists *l = MEM_NEW(struct lists);
    l->roots = lists_roots_version(s);
    return l;
}

static struct lists *lists_copy(const struct lists *from)
{
    struct lists *l = mem_dup(from, sizeof *from);
    l->text = (struct buf)BUF_INIT;
    buf_put_slice(&l->text, buf_slice(&from->text));
    l->head = from->head != NULL ? mem_dup(from->head, sizeof *l->head) : NULL;
    l->voids = from->voids_n > 0
                   ? mem_dup(from->voids, from->voids_n * sizeof *from->voids)
                   : NULL;
    l->aliases =
        from->aliases_n > 0
            ? mem_dup(from->aliases, from->aliases_n * sizeof *from->aliases)
            : NULL;
    return l;
}

/* The first byte of what is kept. Before there was one it began with `roots`,
 * whose first byte is 0. */
enum { FORM_OLD = 0, FORM = 1 };

static void lists_encode(const struct lists *l, struct buf *out)
{
    buf_put_u8(out, FORM);
    buf_put_u64(out, l->roots);
    buf_put_u64(out, l->visible);
    buf_put_u64(out, l->begin);
    buf_put_u16(out, (uint16_t)l->text.len);
    buf_put_slice(out, buf_slice(&l->text));
    frontier_put(out, &l->packed);
    buf_put_u16(out, (uint16_t)l->aliases_n);
    for (size_t i = 0; i < l->aliases_n; i++) {
        buf_put_u64(out, l->aliases[i].first);
        buf_put_u64(out, l->aliases[i].last);
        buf_put_u64(out, l->aliases[i].incarnation);
        buf_put_u64(out, l->aliases[i].place);
    }
    for (size_t i = 0; i < l->voids_n; i++) {
        buf_put_u64(out, l->voids[i].first);
        buf_put_u64(out, l->voids[i].last);
    }
}

/* Ranges come in rising order; neighbours become one, so there are never more
 * than packages that took effect. */
static void add_void(struct lists *l, uint64_t first, uint64_t last)
{
    if (l->voids != NULL && l->voids_n > 0 &&
        l->voids[l->voids_n - 1].last + 1 >= first) {
        l->voids[l->voids_n - 1].last = last;
        return;
    }
    l->voids = mem_realloc(l->voids, (l->voids_n + 1) * sizeof *l->voids);
    l->voids[l->voids_n++] = (struct lists_void){first, last};
}

static void decode_aliases(struct reader *r, struct lists *l)
{
    size_t n = reader_u16(r);
    if (r->bad || n > LISTS_ALIASES_MAX ||
        reader_left(r) < n * sizeof *l->aliases) {
        r->bad = true;
        return;
    }
    l->aliases = n > 0 ? mem_zalloc(n, sizeof *l->aliases) : NULL;
    for (; l->aliases_n < n; l->aliases_n++) {
        struct lists_alias *a = &l->aliases[l->aliases_n];
        a->first = reader_u64(r);
        a->last = reader_u64(r);
        a->incarnation = reader_u64(r);
        a->place = reader_u64(r);
    }
}

/* What a former build kept serves until it is judged anew: `roots` says by
 * none. */
struct lists *lists_decode(struct slice value)
{
    struct reader r = reader_of(value);
    struct lists *l = MEM_NEW(struct lists);
    bool old = value.len > 0 && value.data[0] == FORM_OLD;
    r.bad = !old && reader_u8(&r) != FORM;
    l->roots = reader_u64(&r);
    l->visible = reader_u64(&r);
    l->begin = reader_u64(&r);
    buf_put_slice(&l->text, reader_bytes(&r, reader_u16(&r)));
    frontier_get(&r, &l->packed);
    if (old) {
        l->roots = 0;
    } else {
        decode_aliases(&r, l);
    }
    while (!r.bad && reader_left(&r) > 0) {
        uint64_t first = reader_u64(&r);
        uint64_t last = reader_u64(&r);
        if (!r.bad) {
            add_void(l, first, last);
        }
    }
    l->nodes = l->rules = l->begin != 0; /* not kept */
    if (r.bad) {
        lists_free(&l);
    }
    return l;
}

bool lists_is_void(const struct lists_void *voids, size_t n, uint64_t number)
{
    size_t lo = 0;
    size_t hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (voids[mid].last < number) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < n && voids[lo].first <= number;
}

/* The state that this group changes. */
struct lists *lists_working(struct group *g, struct touched *t)
{
    if (t->lists == NULL) {
        t->lists = t->slot->lists != NULL ? lists_copy(t->slot->lists)
                                          : lists_new(g->s);
    }
    return t->lists;
}

/* ---- rows ---- */

void lists_package_key(struct subject_key *out, const uint8_t *id)
{
    subject_key_org(out, SUBJECT_NONE, slice_of(id, PACKAGE_ID_LEN));
}

void lists_nodes_key(struct subject_key *out)
{
    subject_key_org(out, SUBJECT_NODE, slice_of(NULL, 0));
}

/* All nodes under one key: their state is read as a whole. */
static void node_row(const struct log_slot *slot, uint64_t number,
                     const struct entry *e, struct list_row *out)
{
    struct registry_decision d;
    if (registry_take(e, slot->log.origin, &d) == ERR_OK) {
        *out = (struct list_row){.log = slot->id,
                                 .number = number,
                                 .type = e->type,
                                 .list = e->item,
                                 .decided = d.decided,
                                 .target_origin = registry_is_of_log(d.what)
                                                      ? d.incarnation
                                                      : d.parent,
                                 .target_incarnation = (uint64_t)d.at_ms,
                                 .target_number = d.code};
        lists_nodes_key(&out->subject);
    }
}

void lists_rules_key(struct subject_key *out)
{
    subject_key_org(out, SUBJECT_RULES, slice_of(NULL, 0));
}

static bool is_rule(uint8_t type)
{
    return type == ENTRY_CATALOGUE || type == ENTRY_MEASURE;
}

/* NULL, or why it has no effect whatever else there is. */
static enum reason judge_rule(const struct store *s, uint64_t origin,
                              const struct entry *e)
{
    struct catalogue_change change;
    struct measure m;
    if (e->type == ENTRY_MEASURE) {
        return measure_take(e, origin, &m) == ERR_OK ? REASON_NONE
                                                     : REASON_MEASURE;
    }
    enum err err = catalogue_change_take(e, &change);
    catalogue_change_fini(&change);
    return err == ERR_OK && store_is_highest(s, origin) ? REASON_NONE
                                                        : REASON_CATALOGUE;
}

/* Whether it has effect is judged when all are read: who is the highest may
 * change. */
static void rule_row(const struct log_slot *slot, uint64_t number,
                     const struct entry *e, struct list_row *out)
{
    *out = (struct list_row){.log = slot->id,
                             .number = number,
                             .type = e->type,
                             .decided = e->decided,
                             .target_number = e->version};
    lists_rules_key(&out->subject);
}

static void row_of(const struct log_slot *slot, uint64_t number,
                   const struct entry *e, struct list_row *out)
{
    struct listing_facts f;
    *out = (struct list_row){.number = 0};
    if (e->type == ENTRY_NODE) {
        node_row(slot, number, e, out);
        return;
    }
    if (is_rule(e->type)) {
        rule_row(slot, number, e, out);
        return;
    }
    if (e->type == ENTRY_PACKAGE_END) {
        *out = (struct list_row){
            .log = slot->id, .number = number, .type = e->type};
        lists_package_key(&out->subject, e->record_key);
        return;
    }
    if (listing_facts(e, slot->log.origin, &f) != ERR_OK) {
        return;
    }
    *out = (struct list_row){
        .log = slot->id,
        .number = number,
        .type = f.type,
        .list = f.list,
        .decided = f.decided,
        .from = f.from,
        .until = f.until,
        .target_origin = f.target.log.origin,
        .target_incarnation = f.target.log.incarnation,
        .target_number = f.target.number,
    };
    subject_key_org(&out->subject, SUBJECT_USCC, e->subject);
}

void lists_row(const struct log_slot *slot, uint64_t number,
               const struct slot *entry, struct list_row *out)
{
    struct entry e;
    *out = (struct list_row){.number = 0};
    if (entry->entry.data != NULL && entry_decode(entry->entry, &e) == ERR_OK) {
        row_of(slot, number, &e, out);
    }
}

/* ---- judging a package ---- */

static bool of_this_log(const struct store *s, const struct log_id *log,
                        const struct package_head *head)
{
    return head->issuer == log->origin && head->suite == s->env.suite &&
           strcmp(head->federation, s->federation) == 0;
}

static enum reason judge_signed(struct group *g, const struct log_id *log,
                                const struct touched *t,
                                const struct lists_closing *c,
                                struct errmsg *why)
{
    struct lists_ends ends = {.size = 0};
    struct lists_ends *known = g->judge_only ? g->ends : &ends;
    enum err err = g->judge_only || t == NULL
                       ? ERR_OK
                       : lists_look_at_ends(t->slot, t->slot->size, known, why);
    known->counted = t != NULL && lists_counts(t->slot->lists, c->number);
    const struct rootdoc_issuer *issuer =
        g->s->env.roots != NULL && err == ERR_OK
            ? rootchain_issuer_for(g->s->env.roots, log->origin,
                                   log->incarnation, c->number, lists_is_of,
                                   known)
            : NULL;
    mem_free(ends.misfits);
    if (err != ERR_OK) {
        g->unread = err;
        g->unread_why = *why;
        return REASON_UNSIGNED;
    }
    if (issuer == NULL) {
        (void)err_set(why, ERR_DENIED,
                      "the root document names no deciders for %012llu",
                      (unsigned long long)log->origin);
        return REASON_UNSIGNED;
    }
    return package_check_signed(issuer, g->s->env.suite, c->text, c->lines,
                                why) == ERR_OK
               ? REASON_NONE
               : REASON_UNSIGNED;
}

enum reason lists_judge_closing(struct group *g, const struct log_id *log,
                                const struct touched *t,
                                const struct lists_closing *c,
                                struct errmsg *why)
{
    if (!of_this_log(g->s, log, c->head)) {
        (void)err_set(why, ERR_DENIED,
                      "the package is of issuer %012llu in federation %.64s: "
                      "publish it at that node",
                      (unsigned long long)c->head->issuer, c->head->federation);
        return REASON_PACKAGE;
    }
    if (date_from_ms(c->at_ms) > c->head->expires) {
        (void)err_set(why, ERR_DENIED,
                      "the package was to be published by %u: prepare it anew",
                      (unsigned)c->head->expires);
        return REASON_LATE;
    }
    if (t != NULL && lists_took_effect(g, t, c->number, c->head, c->same)) {
        (void)err_set(why, ERR_EXISTS, "the package was published already");
        return REASON_REPLAYED;
    }
    return judge_signed(g, log, t, c, why);
}

/* The head of the open package. It was read as it began, unless the process was
 * started between. */
static bool open_head(const struct lists *l, struct package_head *out)
{
    struct errmsg why;
    if (l->head != NULL) {
        *out = *l->head;
        return true;
    }
    return package_head_get(buf_slice(&l->text), out, &why) == ERR_OK;
}

/* The open package, which `head` is filled from, ends with `e`. */
static enum reason judge_end(struct group *g, const struct touched *t,
                             uint64_t number, const struct entry *e,
                             struct package_head *head,
                             struct lists_alias *same)
{
    const struct lists *l = t->lists;
    struct hash root;
    struct errmsg why;
    if (!open_head(l, head) ||
        memcmp(head->id, e->record_key, PACKAGE_ID_LEN) != 0) {
        return REASON_PACKAGE;
    }
    frontier_root(&l->packed, g->s->env.suite, &root);
    if (l->packed.size != head->entries || !hash_eq(&root, &head->root)) {
        return REASON_CONTENT;
    }
    const struct lists_closing c = {.head = head,
                                    .text = buf_slice(&l->text),
                                    .lines = e->body,
                                    .at_ms = e->entered_at_ms,
                                    .number = number,
                                    .same = same};
    return lists_judge_closing(g, &t->slot->log, t, &c, &why);
}

/* ---- one entry after the other ---- */

static void set_issue(struct group *g, const struct touched *t, uint64_t number,
                      enum reason reason)
{
    if (reason != REASON_NONE) {
        group_put_issue(g, t->slot, number, reason);
    } else if (g->judge_only) {
        g->s->backend->del_issue(g->batch, g->rows.generation, t->slot->id,
                                 number);
    }
}

static void close_open(struct lists *l)
{
    l->begin = 0;
    l->nodes = l->rules = false;
    buf_clear(&l->text);
    mem_free(l->head);
    l->head = NULL;
    l->packed.size = 0;
}

/* The package that is open gets no end. */
static void give_up_open(struct group *g, struct touched *t, uint64_t next)
{
    struct lists *l = t->lists;
    if (l->begin != 0) {
        add_void(l, l->begin, next - 1);
        set_issue(g, t, l->begin, REASON_UNFINISHED);
        close_open(l);
    }
}

static void on_begin(struct group *g, struct touched *t, uint64_t number,
                     const struct entry *e)
{
    struct package_head head;
    struct lists *l = t->lists;
    give_up_open(g, t, number);
    bool fits = package_begin_decode(e, &head) == ERR_OK &&
                of_this_log(g->s, &t->slot->log, &head);
    set_issue(g, t, number, fits ? REASON_NONE : REASON_PACKAGE);
    if (fits) {
        l->begin = number;
        buf_put_slice(&l->text, e->body);
        l->head = mem_dup(&head, sizeof head);
    } else {
        add_void(l, number, number);
    }
}

static void takes_effect(struct group *g, struct touched *t, uint64_t number,
                         const struct package_head *head)
{
    t->lists->visible = number;
    g->lists_move = true;
    g->nodes_move = g->nodes_move || t->lists->nodes;
    g->rules_move = g->rules_move || t->lists->rules;
    lists_taken(g, t, head);
}

static void on_end(struct group *g, struct touched *t, uint64_t number,
                   const struct entry *e)
{
    struct lists *l = t->lists;
    struct package_head head = {.entries = 0};
    struct lists_alias same = {.incarnation = 0};
    enum reason reason = l->begin == 0
                             ? REASON_OUTSIDE
                             : judge_end(g, t, number, e, &head, &same);
    set_issue(g, t, number, reason);
    if (reason == REASON_NONE) {
        takes_effect(g, t, number, &head);
    } else {
        add_void(l, l->begin != 0 ? l->begin : number, number);
    }
    if (same.incarnation != 0) {
        lists_add_alias(g, t, number, &same);
    }
    close_open(l);
}

/* What stands between begin and end, whatever it says. */
static void on_content(struct group *g, struct touched *t, uint64_t number,
                       enum reason reason, const struct hash *leaf)
{
    struct lists *l = t->lists;
    if (l->begin == 0) {
        add_void(l, number, number);
        set_issue(g, t, number, REASON_OUTSIDE);
        return;
    }
    frontier_append(&l->packed, g->s->env.suite, leaf, NULL, NULL);
    set_issue(g, t, number, reason);
}

enum reason lists_judge_content(const struct store *s,
                                const struct log_slot *slot,
                                const struct entry *e, enum err decoded)
{
    struct listing_facts f;
    struct registry_decision d;
    if (decoded != ERR_OK) {
        return decoded == ERR_UNSUPPORTED ? REASON_FORMAT : REASON_MALFORMED;
    }
    if (e->type == ENTRY_NODE) {
        return registry_take(e, slot->log.origin, &d) == ERR_OK ? REASON_NONE
                                                                : REASON_NODE;
    }
    if (is_rule(e->type)) {
        return judge_rule(s, slot->log.origin, e);
    }
    if (!listing_is_type(e->type)) {
        return REASON_TYPE;
    }
    return listing_facts(e, slot->log.origin, &f) == ERR_OK ? REASON_NONE
                                                            : REASON_LISTING;
}

static void put_row(struct group *g, const struct log_slot *slot,
                    uint64_t number, const struct entry *e)
{
    struct list_row row = {.number = 0};
    if (!g->judge_only || g->rows_anew) {
        row_of(slot, number, e, &row);
    }
    if (row.number != 0) {
        group_put_list_row(g, &row);
    }
}

void lists_take(struct group *g, struct touched *t, uint64_t number,
                const struct slot *slot, const struct hash *leaf)
{
    struct entry e = {.type = 0};
    (void)lists_working(g, t);
    enum err err =
        slot->entry.data != NULL ? entry_decode(slot->entry, &e) : ERR_INVALID;
    if (err == ERR_OK && e.type == ENTRY_OPEN && number == 1) {
        return;
    }
    if (err == ERR_OK) {
        put_row(g, t->slot, number, &e);
    }
    t->lists->nodes =
        t->lists->nodes || (err == ERR_OK && e.type == ENTRY_NODE);
    t->lists->rules = t->lists->rules || (err == ERR_OK && is_rule(e.type));
    if (err == ERR_OK && e.type == ENTRY_PACKAGE) {
        on_begin(g, t, number, &e);
    } else if (err == ERR_OK && e.type == ENTRY_PACKAGE_END) {
        on_end(g, t, number, &e);
    } else {
        on_content(g, t, number, lists_judge_content(g->s, t->slot, &e, err),
                   leaf);
    }
    lists_at_end(g, t, number);
}

void lists_put(struct group *g, const struct touched *t)
{
    if (t->lists != NULL) {
        struct buf value = BUF_INIT;
        lists_encode(t->lists, &value);
        g->s->backend->put_part(g->batch, t->slot->id, PART_LISTS,
                                buf_slice(&value));
        buf_fini(&value);
    }
}

uint64_t lists_visible(const struct lists *l)
{
    return l != NULL ? l->visible : 0;
}

void lists_say(const struct store *s, const struct log_slot *slot,
               uint64_t before)
{
    char log[LOG_ID_TEXT_MAX];
    uint64_t now = lists_visible(slot->lists);
    if (now > before) {
        log_id_format(&slot->log, log);
        log_info(&s->log, "LISTS-IN-FORCE", "log=%s last=%llu entries=%llu",
                 log, (unsigned long long)now,
                 (unsigned long long)(now - before));
    }
}

void lists_publish(struct touched *t)
{
    if (t->lists != NULL) {
        lists_free(&t->slot->lists);
        t->slot->lists = t->lists;
        t->lists = NULL;
    }
}
