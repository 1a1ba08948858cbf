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
#include "store/store_impl.h"

/* ---- the state of one log ---- */

void lists_free(struct lists **lists)
{
    struct lists *l = *lists;
    *lists = NULL;
    if (l != NULL) {
        buf_fini(&l->text);
        mem_free(l->voids);
        mem_free(l->aliases);
        mem_free(l);
    }
}

static uint64_t roots_version(const struct store *s)
{
    return s->env.roots != NULL
               ? rootdoc_version(rootchain_newest(s->env.roots))
               : 0;
}

static struct lists *lists_new(const struct store *s)
{
    struct lists *l = MEM_NEW(struct lists);
    l->roots = roots_version(s);
    return l;
}

static struct lists *lists_copy(const struct lists *from)
{
    struct lists *l = mem_dup(from, sizeof *from);
    l->text = (struct buf)BUF_INIT;
    buf_put_slice(&l->text, buf_slice(&from->text));
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
static struct lists *lists_decode(struct slice value)
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
static struct lists *working(struct group *g, struct touched *t)
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

/* What an end closes, as it is judged. */
struct closing {
    const struct package_head *head;
    struct slice text;
    struct slice lines;
    int64_t at_ms; /* of the end, by the issuer's clock */
    uint64_t number;
    struct lists_alias *same; /* where else it stands, if it counts there */
};

static enum reason judge_signed(struct group *g, const struct log_id *log,
                                const struct touched *t,
                                const struct closing *c, struct errmsg *why)
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

/* `t` NULL: the log is still to be opened. */
static enum reason judge_closing(struct group *g, const struct log_id *log,
                                 const struct touched *t,
                                 const struct closing *c, struct errmsg *why)
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

/* The open package, which `head` is filled from, ends with `e`. */
static enum reason judge_end(struct group *g, const struct touched *t,
                             uint64_t number, const struct entry *e,
                             struct package_head *head,
                             struct lists_alias *same)
{
    const struct lists *l = t->lists;
    struct hash root;
    struct errmsg why;
    if (package_head_get(buf_slice(&l->text), head, &why) != ERR_OK ||
        memcmp(head->id, e->record_key, PACKAGE_ID_LEN) != 0) {
        return REASON_PACKAGE;
    }
    frontier_root(&l->packed, g->s->env.suite, &root);
    if (l->packed.size != head->entries || !hash_eq(&root, &head->root)) {
        return REASON_CONTENT;
    }
    const struct closing c = {.head = head,
                              .text = buf_slice(&l->text),
                              .lines = e->body,
                              .at_ms = e->entered_at_ms,
                              .number = number,
                              .same = same};
    return judge_closing(g, &t->slot->log, t, &c, &why);
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

static enum reason judge_content(const struct store *s,
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
    (void)working(g, t);
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
        on_content(g, t, number, judge_content(g->s, t->slot, &e, err), leaf);
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

/* ---- judging anew ---- */

struct judging {
    struct group *g;
    struct touched *t;
};

static void on_judged_entry(struct walk *w, uint64_t number,
                            const struct slot *slot)
{
    struct judging *j = w->ctx;
    struct hash leaf = slot->leaf;
    if (slot->entry.data != NULL) {
        suite_hash_leaf(j->g->s->env.suite, slot->entry, &leaf);
    }
    lists_take(j->g, j->t, number, slot, &leaf);
}

/* Entries 1 to `size`, into the group's working state. */
static enum err judge_prefix(struct group *g, struct touched *t, uint64_t size,
                             struct errmsg *why)
{
    struct judging j = {g, t};
    struct walk w = {.slot = t->slot,
                     .next = 1,
                     .size = size,
                     .entry = on_judged_entry,
                     .ctx = &j};
    bool before = g->judge_only;
    struct lists_ends ends;
    struct lists_ends *ends_before = g->ends;
    enum err err = lists_look_at_ends(t->slot, size, &ends, why);
    lists_free(&t->lists);
    t->lists = lists_new(g->s);
    g->judge_only = true;
    g->ends = &ends;
    w.codec = codec_take(&g->s->cache);
    while (err == ERR_OK && w.next <= w.size) {
        err = walk_run(&w, why);
    }
    codec_give(&g->s->cache, w.codec);
    g->judge_only = before;
    g->ends = ends_before;
    mem_free(ends.misfits);
    return err;
}

static void note_change(const struct group *g, const struct touched *t)
{
    const struct lists *before = t->slot->lists;
    char log[LOG_ID_TEXT_MAX];
    if (before != NULL && before->visible == t->lists->visible &&
        before->voids_n == t->lists->voids_n) {
        return;
    }
    log_id_format(&t->slot->log, log);
    log_warn(&g->s->log, "LISTS-JUDGED",
             "log=%s counts_to=%llu before=%llu roots=%llu", log,
             (unsigned long long)t->lists->visible,
             (unsigned long long)(before != NULL ? before->visible : 0),
             (unsigned long long)t->lists->roots);
}

static enum err judge_log(struct store *s, struct log_slot *slot,
                          uint8_t generation, bool rows_anew,
                          struct errmsg *why)
{
    struct group g;
    struct touched *t;
    group_init(&g, s);
    g.rows.generation = generation;
    g.rows_anew = rows_anew;
    enum err err = group_touch(&g, slot, &t, why);
    if (err == ERR_OK) {
        err = judge_prefix(&g, t, slot->size, why);
    }
    if (err == ERR_OK) {
        note_change(&g, t);
        t->dirty = true;
        g.lists_move = true;
        g.nodes_move = true;
        g.rules_move = true;
        g.issues = 0; /* counted anew by the caller */
        err = group_commit(&g, why);
    }
    if (err == ERR_OK) {
        writer_tell(s, &g);
    }
    group_fini(&g);
    return err;
}

enum err lists_judge(struct store *s, struct log_slot *slot, uint8_t generation,
                     struct errmsg *why)
{
    return judge_log(s, slot, generation, false, why);
}

/* What did not count since the same counted elsewhere is old, too, if that
 * counts no more. */
static bool is_old(struct store *s, const struct log_slot *slot)
{
    return slot->lists == NULL || slot->lists->roots != roots_version(s) ||
           lists_lost_alias(s, slot);
}

static enum err judge_all_old(struct store *s, struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < s->heads.n; i++) {
        struct log_slot *slot = s->heads.sorted[i];
        if (slot->log.kind == LOG_DIRECTIVES && slot->state != LOG_ABSENT &&
            is_old(s, slot)) {
            err = lists_judge(s, slot, atomic_load(&s->generation), why);
        }
    }
    return err;
}

/* The logs that were judged by another version of the root document. Twice: of
 * two that have one package the first is judged by what the other was. */
enum err lists_judge_old(struct store *s, struct errmsg *why)
{
    enum err err = judge_all_old(s, why);
    return err == ERR_OK ? judge_all_old(s, why) : err;
}

/* ---- what an earlier build did not know ---- */

struct unknown {
    uint32_t log;
    uint64_t number;
    uint8_t reason;
    bool found;
};

/* Stops at the next one of the log. */
static bool on_unknown(void *ctx, uint32_t log, uint64_t number, uint8_t reason)
{
    struct unknown *u = ctx;
    u->found = log == u->log && reason_is_of_build(reason);
    u->number = number;
    u->reason = reason;
    return log == u->log && !u->found;
}

static bool is_known_now(struct store *s, struct log_slot *slot,
                         const struct unknown *u)
{
    struct buf bytes = BUF_INIT;
    struct entry e;
    bool known = false;
    if (slot_entry(slot, u->number, &bytes) == ERR_OK) {
        enum err decoded = entry_decode(buf_slice(&bytes), &e);
        known = judge_content(s, slot, &e, decoded) != (enum reason)u->reason;
    }
    buf_fini(&bytes);
    return known;
}

/* Is there an entry without effect and row that would have them by now? */
static enum err look_for_known(struct store *s, struct log_slot *slot,
                               bool *found, struct errmsg *why)
{
    struct unknown u = {.log = slot->id};
    enum err err = ERR_OK;
    *found = false;
    do {
        u.found = false;
        err = s->backend->issues(s->db, atomic_load(&s->generation), slot->id,
                                 u.number + 1, on_unknown, &u, why);
        *found = err == ERR_OK && u.found && is_known_now(s, slot, &u);
    } while (err == ERR_OK && u.found && !*found);
    return err;
}

/* Of a package of which a build did not know an entry the others count. */
static enum err judge_known(struct store *s, struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < s->heads.n; i++) {
        struct log_slot *slot = s->heads.sorted[i];
        bool found = false;
        if (slot->log.kind == LOG_DIRECTIVES && slot->state != LOG_ABSENT) {
            err = look_for_known(s, slot, &found, why);
        }
        if (err == ERR_OK && found) {
            err = judge_log(s, slot, atomic_load(&s->generation), true, why);
        }
    }
    return err;
}

static bool load_lists(void *ctx, uint32_t id, struct slice value)
{
    struct store *s = ctx;
    struct log_slot *slot = heads_at(&s->heads, id);
    if (slot != NULL) {
        lists_free(&slot->lists);
        slot->lists = lists_decode(value); /* NULL: judged anew */
    }
    return true;
}

enum err lists_read(struct store *s, struct errmsg *why)
{
    return s->backend->parts(s->db, PART_LISTS, load_lists, s, why);
}

enum err lists_follow(struct store *s, uint32_t id, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    struct log_slot *slot = heads_at(&s->heads, id);
    enum err err = s->backend->part(s->db, id, PART_LISTS, &value, why);
    if (err == ERR_OK && slot != NULL) {
        struct lists *lists = lists_decode(buf_slice(&value));
        (void)pthread_mutex_lock(&s->heads.lock);
        struct lists *before = slot->lists;
        slot->lists = lists;
        (void)pthread_mutex_unlock(&s->heads.lock);
        lists_free(&before);
    }
    buf_fini(&value);
    return err;
}

enum err lists_load(struct store *s, struct errmsg *why)
{
    enum err err = lists_read(s, why);
    if (err == ERR_OK) {
        err = lists_judge_old(s, why);
    }
    if (err == ERR_OK) {
        err = judge_known(s, why);
    }
    /* With a full disk what was judged before serves until there is room. */
    return err == ERR_NO_SPACE ? ERR_OK : err;
}

static enum err do_judge_again(struct store *s, void *ctx, struct errmsg *why)
{
    (void)ctx;
    enum err err = lists_judge_old(s, why);
    if (err == ERR_OK) {
        recover_recount_issues(s);
    }
    return err;
}

enum err store_judge_again(struct store *store, struct errmsg *why)
{
    return writer_job(store, do_judge_again, NULL, why);
}

/* ---- cutting ---- */

/* The rows of entries past `size` go; what counts is found anew. */
enum err lists_cut(struct group *g, struct touched *t, uint64_t size,
                   struct errmsg *why)
{
    struct buf bytes = BUF_INIT;
    enum err err = ERR_OK;
    for (uint64_t n = t->slot->size; err == ERR_OK && n > size; n--) {
        struct list_row row;
        buf_clear(&bytes);
        err = slot_entry(t->slot, n, &bytes);
        struct slot one = {.entry = buf_slice(&bytes)};
        if (err == ERR_OK) {
            lists_row(t->slot, n, &one, &row);
            g->s->backend->del_issue(g->batch, g->rows.generation, t->slot->id,
                                     n);
        }
        if (err == ERR_OK && row.number != 0) {
            g->s->backend->del_list_row(g->batch, g->rows.generation, &row);
            g->lists_written = true;
        }
    }
    buf_fini(&bytes);
    if (err != ERR_OK) {
        return err_set(why, err, "directives behind %llu cannot be read",
                       (unsigned long long)size);
    }
    g->lists_move = true;
    g->nodes_move = true;
    g->rules_move = true;
    return judge_prefix(g, t, size, why);
}

/* ---- publishing ---- */

static bool own_directives_pull(struct store *s)
{
    for (size_t i = 0; i < s->heads.n; i++) {
        const struct log_slot *slot = s->heads.sorted[i];
        if (slot->own && slot->log.kind == LOG_DIRECTIVES &&
            slot->state == LOG_PULLING) {
            return true;
        }
    }
    return false;
}

/* The log to append to; NULL: it is still to be opened. */
static enum err publishing_log(struct group *g, struct touched **out,
                               struct errmsg *why)
{
    struct store *s = g->s;
    uint32_t id = atomic_load(&s->directives_id);
    *out = NULL;
    if (atomic_load(&s->awaits_parent) || own_directives_pull(s)) {
        return err_set(why, ERR_BUSY,
                       "this node's own logs are still to come back from its "
                       "parent: publish when they are here");
    }
    if (id == 0) {
        return ERR_OK;
    }
    enum err err = group_touch(g, heads_at(&s->heads, id), out, why);
    if (err == ERR_OK && (*out)->head.h.state != LOG_ACTIVE) {
        err = err_set(why, ERR_FORKED,
                      "this node's directives log is stopped: %s",
                      log_state_name((*out)->head.h.state));
    }
    return err;
}

static void append_all(struct group *g, struct touched *t, struct item *item)
{
    for (size_t i = 0; i < item->entries; i++) {
        struct slot one = {.entry = item->drafts[i]};
        struct hash leaf;
        suite_hash_leaf(g->s->env.suite, one.entry, &leaf);
        uint64_t number = group_append_own(g, t, one.entry);
        item->first = i == 0 ? number : item->first;
        item->last = number;
        lists_take(g, t, number, &one, &leaf);
    }
    item->log = t->slot->log;
}

static enum err err_of(enum reason reason)
{
    return reason == REASON_NONE       ? ERR_OK
           : reason == REASON_REPLAYED ? ERR_EXISTS
           : reason == REASON_UNSIGNED ? ERR_BAD_SIGNATURE
                                       : ERR_DENIED;
}

/* A package that would have no effect does not get into the log. */
static enum err may_publish(struct group *g, struct touched *t,
                            const struct item *item, struct errmsg *why)
{
    const struct log_id none = {.origin = g->s->env.self,
                                .kind = LOG_DIRECTIVES};
    struct lists_alias same;
    struct closing c = {.head = item->package,
                        .text = buf_slice(&item->text),
                        .lines = buf_slice(&item->lines),
                        .at_ms = clock_wall_ms(),
                        .same = &same};
    if (t != NULL) {
        (void)working(g, t);
        c.number = t->head.h.frontier.size + item->entries;
    }
    enum reason reason =
        judge_closing(g, t != NULL ? &t->slot->log : &none, t, &c, why);
    if (g->unread != ERR_OK) {
        *why = g->unread_why;
        return g->unread;
    }
    return err_of(reason);
}

void lists_publication(struct group *g, struct item *item)
{
    struct touched *t;
    struct errmsg why = {""};
    enum err err = publishing_log(g, &t, &why);
    if (err == ERR_OK) {
        err = may_publish(g, t, item, &why);
    }
    if (err == ERR_OK && t == NULL) {
        const struct entry_open first = {0};
        err =
            group_open_log(g, LOG_DIRECTIVES, &first, &item->opening, &t, &why);
    }
    if (err == ERR_OK) {
        append_all(g, t, item);
    } else {
        item_fail(item, err, "%.150s", why.text);
    }
}

static enum err do_open(struct store *s, void *ctx, struct errmsg *why)
{
    const struct entry_open first = {0};
    struct log_id *out = ctx;
    struct buf entry = BUF_INIT;
    struct touched *t;
    struct group g;
    group_init(&g, s);
    enum err err = publishing_log(&g, &t, why);
    if (err == ERR_OK && t != NULL) {
        err = err_set(why, ERR_EXISTS, "this node has a directives log");
    }
    if (err == ERR_OK) {
        err = group_open_log(&g, LOG_DIRECTIVES, &first, &entry, &t, why);
    }
    if (err == ERR_OK) {
        (void)working(&g, t);
        err = group_commit(&g, why);
    }
    if (err == ERR_OK) {
        *out = t->slot->log;
        writer_tell(s, &g);
    }
    group_fini(&g);
    buf_fini(&entry);
    return err;
}

enum err store_open_directives(struct store *store, struct log_id *out,
                               struct errmsg *why)
{
    return writer_job(store, do_open, out, why);
}

static struct item *publication(const struct package *package)
{
    size_t n = package->head.entries + 2U;
    struct slice *entries = mem_zalloc(n, sizeof *entries);
    struct buf room = BUF_INIT;
    package_log_entries(package, clock_wall_ms(), &room, entries);
    struct item *item = item_submission(entries, n);
    buf_fini(&room);
    mem_free(entries);
    mem_free(item->judged);
    item->judged = NULL;
    item->kind = ITEM_PUBLISH;
    item->package = mem_dup(&package->head, sizeof package->head);
    buf_put_slice(&item->text, buf_slice(&package->text));
    buf_put_slice(&item->lines, buf_slice(&package->signatures));
    return item;
}

enum err store_publish(struct store *store, const struct package *package,
                       store_published_fn *done, void *ctx)
{
    enum err err = (enum err)atomic_load(&store->unwritable);
    if (err != ERR_OK) {
        return err;
    }
    struct item *item = publication(package);
    item->published = done;
    item->ctx = ctx;
    err = writer_push(store, &item);
    if (err != ERR_OK) {
        item_free(item);
    }
    return err;
}

enum err store_directives_log(struct store *store, struct log_id *out)
{
    uint32_t id = atomic_load(&store->directives_id);
    if (id == 0) {
        return ERR_NOT_FOUND;
    }
    *out = heads_at(&store->heads, id)->log;
    return ERR_OK;
}
