/* A package takes effect once, by its id, whichever log of its issuer it stands
 * in. An issuer that lost its log publishes again what stood behind the end of
 * the copy that came back; who holds that end has the package already, and the
 * issuer's later decisions name the new place. So the package that has no
 * effect, since it had it before, is remembered as a second name of the one
 * that counts. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "credit/package.h"
#include "store/store_lists.h"

bool lists_counts(const struct lists *l, uint64_t number)
{
    return l != NULL && number <= l->visible &&
           !lists_is_void(l->voids, l->voids_n, number);
}

/* ---- did it take effect before? ---- */

struct earlier {
    const struct group *g;
    const struct touched *t;
    uint64_t number; /* of the end at hand */
    const struct log_slot *slot;
    uint64_t end; /* of the one that counts; 0: there is none */
};

/* The log's own working state; of other logs what is committed. */
static const struct lists *state_of(const struct touched *t,
                                    const struct log_slot *slot)
{
    return slot == t->slot ? t->lists : slot->lists;
}

static bool on_earlier(void *ctx, const struct list_row *row)
{
    struct earlier *e = ctx;
    struct log_slot *slot = heads_at(&e->g->s->heads, row->log);
    bool itself = slot == e->t->slot && row->number >= e->number;
    if (slot != NULL && !itself && slot->log.origin == e->t->slot->log.origin &&
        lists_counts(state_of(e->t, slot), row->number)) {
        e->slot = slot;
        e->end = row->number;
    }
    return e->end == 0;
}

static bool same_content(const struct package_head *a,
                         const struct package_head *b)
{
    return a->entries == b->entries && hash_eq(&a->root, &b->root);
}

struct begin_read {
    struct block_codec *codec;
    const struct package_head *head;
    uint64_t number;
    bool same;
    enum err err;
};

static bool on_begin_block(void *ctx, uint64_t first, struct slice block)
{
    struct begin_read *r = ctx;
    struct slot slots[BLOCK_ENTRIES_MAX];
    struct package_head head;
    struct entry e;
    size_t count;
    r->err = block_unpack(r->codec, block, slots, &count);
    if (r->err == ERR_OK && first <= r->number && r->number - first < count) {
        struct slice bytes = slots[r->number - first].entry;
        r->same = bytes.data != NULL && entry_decode(bytes, &e) == ERR_OK &&
                  package_begin_decode(&e, &head) == ERR_OK &&
                  same_content(&head, r->head);
    }
    return false;
}

/* Is the package that ends there the one of `head`? Both gave the roots that
 * their texts name. Directly from the database: a walk may be under way. */
static enum err look_at_begin(struct store *s, const struct earlier *e,
                              const struct package_head *head,
                              struct lists_alias *same, struct errmsg *why)
{
    uint64_t entries = head->entries;
    if (e->end <= entries + 1) {
        return ERR_OK;
    }
    struct begin_read r = {.head = head, .number = e->end - entries - 1};
    r.codec = codec_take(&s->cache);
    enum err err = s->backend->blocks(s->db, e->slot->id, r.number, false,
                                      on_begin_block, &r, why);
    codec_give(&s->cache, r.codec);
    if (err == ERR_OK && r.err != ERR_OK) {
        err = err_set(why, ERR_CORRUPT,
                      "block of log %u at number %llu cannot be unpacked",
                      e->slot->id, (unsigned long long)r.number);
    }
    if (err == ERR_OK && r.same) {
        same->incarnation = e->slot->log.incarnation;
        same->place = r.number;
    }
    return err;
}

/* Among what takes effect with this group. */
static const struct package_taken *taken(const struct group *g, uint64_t origin,
                                         const struct package_head *head)
{
    for (size_t i = 0; i < g->packages_n; i++) {
        const struct package_taken *p = &g->packages[i];
        if (p->log.origin == origin &&
            memcmp(p->head.id, head->id, PACKAGE_ID_LEN) == 0) {
            return p;
        }
    }
    return NULL;
}

static enum err find_earlier(struct earlier *e, const struct package_head *head,
                             struct errmsg *why)
{
    struct store *s = e->g->s;
    struct subject_key key;
    lists_package_key(&key, head->id);
    return s->backend->list_rows(s->db, e->g->rows.generation, &key, 1, false,
                                 on_earlier, e, why);
}

bool lists_took_effect(struct group *g, const struct touched *t,
                       uint64_t number, const struct package_head *head,
                       struct lists_alias *same)
{
    struct earlier e = {.g = g, .t = t, .number = number};
    const struct package_taken *p = taken(g, t->slot->log.origin, head);
    struct errmsg why;
    same->incarnation = 0;
    if (p != NULL) {
        if (same_content(&p->head, head)) {
            same->incarnation = p->log.incarnation;
            same->place = p->begin;
        }
        return true;
    }
    enum err err = find_earlier(&e, head, &why);
    if (err == ERR_OK && e.end != 0) {
        err = look_at_begin(g->s, &e, head, same, &why);
    }
    if (read_failed(g->s, err, &why) != ERR_OK) {
        g->unread = err;
        g->unread_why = why;
    }
    return e.end != 0;
}

void lists_taken(struct group *g, const struct touched *t,
                 const struct package_head *head)
{
    if (g->judge_only) {
        return; /* its row is there */
    }
    g->packages =
        mem_realloc(g->packages, (g->packages_n + 1) * sizeof *g->packages);
    g->packages[g->packages_n++] = (struct package_taken){
        .log = t->slot->log, .begin = t->lists->begin, .head = *head};
}

/* ---- second names ---- */

void lists_add_alias(struct group *g, const struct touched *t, uint64_t last,
                     const struct lists_alias *same)
{
    struct lists *l = t->lists;
    char log[LOG_ID_TEXT_MAX];
    if (l->aliases_n == LISTS_ALIASES_MAX) {
        return;
    }
    l->aliases =
        mem_realloc(l->aliases, (l->aliases_n + 1) * sizeof *l->aliases);
    l->aliases[l->aliases_n] = *same;
    l->aliases[l->aliases_n].first = l->begin;
    l->aliases[l->aliases_n].last = last;
    l->aliases_n++;
    g->lists_move = true; /* a decision that named it in advance finds it now */
    if (l->aliases_n == LISTS_ALIASES_MAX) {
        log_id_format(&t->slot->log, log);
        log_warn(&g->s->log, "LISTS-ALIASES",
                 "log=%s packages=%d cause=\"so many of its packages took "
                 "effect before, elsewhere\" effect=\"what names one behind "
                 "entry %llu ends nothing here\"",
                 log, LISTS_ALIASES_MAX, (unsigned long long)last);
    }
}

const struct lists_alias *lists_alias_at(const struct lists_alias *aliases,
                                         size_t n, uint64_t number)
{
    size_t lo = 0;
    size_t hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (aliases[mid].last < number) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < n && aliases[lo].first <= number ? &aliases[lo] : NULL;
}

bool lists_lost_alias(struct store *s, const struct log_slot *slot)
{
    const struct lists *l = slot->lists;
    struct log_id log = slot->log;
    for (size_t i = 0; l != NULL && i < l->aliases_n; i++) {
        log.incarnation = l->aliases[i].incarnation;
        const struct log_slot *other = heads_find(&s->heads, &log);
        if (other == NULL || !lists_counts(other->lists, l->aliases[i].place)) {
            return true;
        }
    }
    return false;
}
