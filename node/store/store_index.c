#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "credit/execution.h"
#include "credit/record.h"
#include "store/place_hash.h"
#include "store/store_impl.h"

enum { TOKEN_LEN = 16, REJUDGE_MAX = 1024 };

static const struct {
    enum entry_effect effect;
    const char *text;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = {0, ""},
    [REASON_MALFORMED] = {EFFECT_VOID, "malformed entry"},
    [REASON_FORMAT] = {EFFECT_UNINDEXED, "entry format of a later build"},
    [REASON_TYPE] = {EFFECT_UNINDEXED, "entry type unknown to this build"},
    [REASON_STATUS] = {EFFECT_UNINDEXED, "status unknown to this build"},
    [REASON_DISCLOSURE] = {EFFECT_UNINDEXED,
                           "disclosure unknown to this build"},
    [REASON_SUBJECT_KIND] = {EFFECT_UNINDEXED,
                             "subject kind unknown to this build"},
    [REASON_CLEAR_PERSON] = {EFFECT_VOID, "a person's identifier not sealed"},
    [REASON_NO_KEY] = {EFFECT_UNINDEXED, "subject sealed, no key here yet"},
    [REASON_SUBJECT] = {EFFECT_VOID, "no subject, or one too long"},
    [REASON_VERSION] = {EFFECT_VOID, "a version of 0"},
    [REASON_OPEN_PLACE] = {EFFECT_VOID, "opening entry not at number 1"},
    [REASON_NOT_OPENED] = {EFFECT_VOID, "entry 1 does not open the log"},
    [REASON_ERASED] = {EFFECT_UNINDEXED, "erased, erasure entry not met"},
    [REASON_CONFLICT] = {EFFECT_VOID,
                         "same version as another entry of the record"},
    [REASON_LOST] = {EFFECT_VOID, "this and later entries are lost: the "
                                  "parent does not hold them either"},
    [REASON_KEY_UNSAVED] = {EFFECT_UNINDEXED,
                            "seal key could not be kept, is tried again"},
    [REASON_KEYS] = {EFFECT_VOID, "more seal keys than an origin may have"},
    [REASON_OUTSIDE] = {EFFECT_VOID, "a directive outside a package"},
    [REASON_PACKAGE] = {EFFECT_VOID, "a package that is malformed or of "
                                     "another issuer"},
    [REASON_UNFINISHED] = {EFFECT_VOID, "a package without its end"},
    [REASON_CONTENT] = {EFFECT_VOID,
                        "a package with other entries than were signed"},
    [REASON_UNSIGNED] = {EFFECT_VOID,
                         "a package not signed by enough deciders"},
    [REASON_REPLAYED] = {EFFECT_VOID, "a package that took effect before"},
    [REASON_LATE] = {EFFECT_VOID, "a package published after its last day"},
    [REASON_LISTING] = {EFFECT_VOID, "a list decision that is malformed"},
    [REASON_CATALOGUE] = {EFFECT_VOID, "a catalogue version that is malformed, "
                                       "or not of the highest authority"},
    [REASON_MEASURE] = {EFFECT_VOID, "a measure that is malformed"},
    [REASON_NODE] = {EFFECT_VOID, "a decision about a node that is malformed "
                                  "or outside its issuer's area"},
};

bool reason_waits(uint8_t reason)
{
    return reason == REASON_NO_KEY || reason == REASON_KEY_UNSAVED;
}

bool reason_is_of_build(uint8_t reason)
{
    return reason == REASON_FORMAT || reason == REASON_TYPE ||
           reason == REASON_STATUS || reason == REASON_DISCLOSURE ||
           reason == REASON_SUBJECT_KIND;
}

enum entry_effect reason_effect(enum reason reason)
{
    return (size_t)reason < REASON_COUNT ? reasons[reason].effect
                                         : EFFECT_UNINDEXED;
}

const char *reason_text(enum reason reason)
{
    return (size_t)reason < REASON_COUNT ? reasons[reason].text
                                         : "reason of a later build";
}

/* ---- subjects ---- */

void subject_key_org(struct subject_key *out, enum subject_kind kind,
                     struct slice identifier)
{
    size_t len = identifier.len < SUBJECT_KEY_MAX - 1 ? identifier.len
                                                      : SUBJECT_KEY_MAX - 1;
    *out = (struct subject_key){.len = (uint8_t)(len + 1)};
    out->b[0] = (uint8_t)kind;
    if (len > 0) {
        memcpy(out->b + 1, identifier.data, len);
    }
}

enum err subject_key_person(struct keyring *keyring, struct slice identifier,
                            struct subject_key *out)
{
    if (keyring == NULL) {
        return ERR_SEALED;
    }
    struct hash token;
    keyring_token(keyring, "subject", identifier, &token);
    *out = (struct subject_key){.len = 1 + TOKEN_LEN};
    out->b[0] = SUBJECT_PERSON;
    memcpy(out->b + 1, token.b, TOKEN_LEN);
    return ERR_OK;
}

struct opener {
    struct keyring *keyring;
    uint64_t origin;
};

static enum err open_sealed(void *ctx, struct slice aad, struct slice sealed,
                            struct buf *out)
{
    const struct opener *o = ctx;
    return keyring_unseal(o->keyring, o->origin, aad, sealed, out);
}

static enum reason judge_person(struct store *s, uint64_t origin,
                                const struct entry *e, struct subject_key *out)
{
    struct opener opener = {s->env.keyring, origin};
    const struct unsealer unsealer = {open_sealed, &opener};
    struct buf plain = BUF_INIT;
    enum err err = record_unseal_subject(
        e, origin, s->env.keyring != NULL ? &unsealer : NULL, &plain);
    if (err == ERR_OK) {
        err = subject_key_person(s->env.keyring, buf_slice(&plain), out);
    }
    if (plain.len > 0) {
        mem_wipe(plain.data, plain.len);
    }
    buf_fini(&plain);
    return err == ERR_OK ? REASON_NONE : REASON_NO_KEY;
}

static enum reason judge_subject(struct store *s, uint64_t origin,
                                 const struct entry *e, struct subject_key *out)
{
    bool sealed = (e->flags & ENTRY_FLAG_SEALED) != 0;
    switch (e->subject_kind) {
    case SUBJECT_PERSON:
        return sealed ? judge_person(s, origin, e, out) : REASON_CLEAR_PERSON;
    case SUBJECT_USCC:
    case SUBJECT_ORG:
    case SUBJECT_LISTING:
        if (sealed || e->subject.len == 0 ||
            e->subject.len > SUBJECT_KEY_MAX - 1) {
            return REASON_SUBJECT;
        }
        if (record_is_citizen((enum subject_kind)e->subject_kind, e->subject)) {
            return REASON_CLEAR_PERSON;
        }
        subject_key_org(out, (enum subject_kind)e->subject_kind, e->subject);
        return REASON_NONE;
    default:
        return REASON_SUBJECT_KIND;
    }
}

/* ---- judging ---- */

static enum reason judge_record(struct store *s, const struct log_id *log,
                                const struct entry *e, struct judged *out)
{
    if (e->status > STATUS_OTHER) {
        return REASON_STATUS;
    }
    if (e->disclosure > DISCLOSURE_AUTHORISED) {
        return REASON_DISCLOSURE;
    }
    struct row *row = &out->row;
    enum reason reason = judge_subject(s, log->origin, e, &row->key.subject);
    memcpy(row->key.record_key, e->record_key, RECORD_KEY_LEN);
    row->key.origin = log->origin;
    if (reason == REASON_NONE && e->prev_subject.len > 0) {
        struct entry prev = *e;
        prev.subject = e->prev_subject;
        reason = judge_subject(s, log->origin, &prev, &out->prev.subject);
        memcpy(out->prev.record_key, e->record_key, RECORD_KEY_LEN);
        out->prev.origin = log->origin;
        out->has_prev = reason == REASON_NONE;
    }
    if (reason != REASON_NONE) {
        return reason;
    }
    row->version = e->version;
    row->item = e->item;
    row->status = e->status;
    row->disclosure = e->disclosure;
    row->decided = e->decided;
    row->until = e->until;
    row->publish_until = e->publish_until;
    row->has_digest =
        log->origin == s->env.self && record_digest(e->body, row->digest);
    out->only_new = log->origin == s->env.self && execution_is_hit(e);
    out->indexed = true;
    return REASON_NONE;
}

static enum reason judge_key(struct store *s, const struct log_id *log,
                             const struct entry *e, struct judged *out)
{
    struct entry_key key;
    if (entry_key_decode(e, &key) != ERR_OK) {
        return REASON_MALFORMED;
    }
    if (s->env.keyring == NULL || log->origin == s->env.self) {
        return REASON_NONE;
    }
    enum err err = keyring_learn(s->env.keyring, log->origin, &key);
    out->learned = err == ERR_OK;
    /* For us, it says too that the file it is kept in cannot be made. */
    bool others = err == ERR_NOT_FOUND && key.holder != s->env.self;
    if (err == ERR_OK || others || err == ERR_SEALED) {
        return REASON_NONE;
    }
    return err == ERR_TOO_LARGE ? REASON_KEYS : REASON_KEY_UNSAVED;
}

static enum reason judge_open(uint64_t number, const struct entry *e)
{
    struct entry_open open;
    if (number != 1) {
        return REASON_OPEN_PLACE;
    }
    return entry_open_decode(e, &open) == ERR_OK ? REASON_NONE
                                                 : REASON_MALFORMED;
}

void index_judge(struct store *s, const struct log_id *log, uint64_t number,
                 const struct slot *slot, struct judged *out)
{
    memset(out, 0, sizeof *out);
    if (slot->entry.data == NULL) {
        out->reason = REASON_ERASED;
        return;
    }
    struct entry e;
    enum err err = entry_decode(slot->entry, &e);
    if (err != ERR_OK) {
        out->reason = err == ERR_UNSUPPORTED ? REASON_FORMAT : REASON_MALFORMED;
        return;
    }
    out->type = e.type;
    if (number == 1 && e.type != ENTRY_OPEN) {
        out->reason = REASON_NOT_OPENED;
    } else if (e.type == ENTRY_OPEN) {
        out->reason = judge_open(number, &e);
    } else if (e.type == ENTRY_RECORD) {
        out->reason = judge_record(s, log, &e, out);
        if (out->reason == REASON_NONE && log->kind != LOG_RECORDS) {
            out->reason = REASON_TYPE;
        }
    } else if (e.type == ENTRY_KEY) {
        out->reason = judge_key(s, log, &e, out);
    } else {
        out->reason = REASON_TYPE;
    }
}

/* ---- rows of a group ---- */

uint64_t subject_hash(const struct subject_key *subject)
{
    return place_hash(subject->len, subject->b, subject->len);
}

/* `subject`: its hash. */
static uint64_t key_hash(uint64_t subject, const struct row_key *key)
{
    return place_hash(place_mix(subject, key->origin), key->record_key,
                      RECORD_KEY_LEN);
}

/* A group has a state for each of its entries: they are made some at a time,
 * and freed together. */
enum { CHUNK_STATES = 32 };
struct row_chunk {
    struct row_chunk *next;
    size_t used;
    struct row_state at[CHUNK_STATES];
};

static struct row_state *state_new(struct row_map *map, uint64_t hash,
                                   const struct row_key *key)
{
    struct row_chunk *chunk = map->chunks;
    if (chunk == NULL || chunk->used == CHUNK_STATES) {
        chunk = mem_alloc(sizeof *chunk);
        chunk->next = map->chunks;
        chunk->used = 0;
        map->chunks = chunk;
    }
    struct row_state *state = &chunk->at[chunk->used++];
    *state = (struct row_state){.hash = hash, .row = {.key = *key}};
    return state;
}

void row_map_fini(struct row_map *map)
{
    struct row_chunk *next;
    for (struct row_chunk *chunk = map->chunks; chunk != NULL; chunk = next) {
        next = chunk->next;
        mem_free(chunk);
    }
    mem_free(map->at);
    mem_free(map->slots);
    mem_free(map->sorted);
    *map = (struct row_map){0};
}

static void row_map_grow(struct row_map *map)
{
    map->slots_n = map->slots_n == 0 ? 64 : map->slots_n * 2;
    mem_free(map->slots);
    map->slots = mem_zalloc(map->slots_n, sizeof(*map->slots));
    for (size_t i = 0; i < map->n; i++) {
        const struct row_state *state = map->at[i];
        size_t at = key_hash(state->hash, &state->row.key) & (map->slots_n - 1);
        while (map->slots[at] != 0) {
            at = (at + 1) & (map->slots_n - 1);
        }
        map->slots[at] = (uint32_t)(i + 1);
    }
}

static bool key_same(const struct row_key *a, const struct row_key *b)
{
    return a->origin == b->origin &&
           memcmp(a->record_key, b->record_key, RECORD_KEY_LEN) == 0 &&
           subject_key_eq(&a->subject, &b->subject);
}

struct row_state *row_map_get(struct row_map *map, const struct row_key *key)
{
    if (map->n * 2 >= map->slots_n) {
        row_map_grow(map);
    }
    uint64_t hash = subject_hash(&key->subject);
    size_t at = key_hash(hash, key) & (map->slots_n - 1);
    for (; map->slots[at] != 0; at = (at + 1) & (map->slots_n - 1)) {
        struct row_state *state = map->at[map->slots[at] - 1];
        if (key_same(&state->row.key, key)) {
            return state;
        }
    }
    if (map->n == map->cap) {
        map->cap = map->cap == 0 ? 64 : map->cap * 2;
        map->at = mem_realloc(map->at, map->cap * sizeof(struct row_state *));
    }
    struct row_state *state = state_new(map, hash, key);
    map->at[map->n++] = state;
    map->slots[at] = (uint32_t)map->n;
    return state;
}

static void want(struct row_map *map, const struct row_key *key, bool presume)
{
    size_t before = map->n;
    struct row_state *state = row_map_get(map, key);
    state->presumed = presume && (map->n > before || state->presumed);
}

void row_map_want(struct row_map *map, const struct judged *judged,
                  bool presume)
{
    if (judged->indexed) {
        want(map, &judged->row.key, presume);
    }
    if (judged->has_prev) {
        want(map, &judged->prev, false);
    }
}

/* Most keys differ in few places: where the first difference of any two is,
 * eight bytes decide almost every comparison without a look at the row. */
struct sort_item {
    uint64_t head;
    struct row_state *state;
};

static int by_key(const void *a, const void *b)
{
    const struct sort_item *x = a;
    const struct sort_item *y = b;
    if (x->head != y->head) {
        return x->head < y->head ? -1 : 1;
    }
    return row_key_cmp(&x->state->row.key, &y->state->row.key);
}

/* Bytes that all subjects begin with. */
static size_t common_prefix(struct row_state *const *at, size_t n)
{
    const struct subject_key *first = &at[0]->row.key.subject;
    size_t common = first->len;
    for (size_t i = 1; i < n; i++) {
        const struct subject_key *s = &at[i]->row.key.subject;
        size_t same = 0;
        while (same < common && same < s->len && s->b[same] == first->b[same]) {
            same++;
        }
        common = same;
    }
    return common;
}

/* Rises with the key: its length, then seven bytes from place `from` on. */
static uint64_t sort_head(const struct subject_key *subject, size_t from)
{
    uint8_t head[8] = {subject->len};
    size_t len = subject->len - from;
    memcpy(head + 1, subject->b + from, len < 7 ? len : 7);
    return be_get64(head);
}

/* A sorted copy: places in `at` are what `slots` refers to. Borrowed until the
 * next one; what was sorted to be read is written in the same order. */
static struct row_state *const *sorted_states(struct row_map *map, size_t from)
{
    if (map->sorted != NULL && map->sorted_from == from &&
        map->sorted_to == map->n) {
        return map->sorted;
    }
    size_t n = map->n - from;
    size_t common = common_prefix(map->at + from, n);
    struct sort_item *items = mem_alloc(n * sizeof *items);
    for (size_t i = 0; i < n; i++) {
        struct row_state *state = map->at[from + i];
        items[i] = (struct sort_item){
            sort_head(&state->row.key.subject, common), state};
    }
    qsort(items, n, sizeof *items, by_key);
    mem_free(map->sorted);
    map->sorted = mem_alloc(n * sizeof(struct row_state *));
    for (size_t i = 0; i < n; i++) {
        map->sorted[i] = items[i].state;
    }
    mem_free(items);
    map->sorted_from = from;
    map->sorted_to = map->n;
    return map->sorted;
}

/* Those that are to be read from `*at` on, which moves; at most ROWS_BATCH_MAX.
 */
static size_t next_unread(struct row_state *const *sorted, size_t n, size_t *at,
                          const struct row_key **keys, struct row **rows)
{
    size_t found = 0;
    for (; found < ROWS_BATCH_MAX && *at < n; ++*at) {
        if (!sorted[*at]->presumed) {
            keys[found] = &sorted[*at]->row.key;
            rows[found++] = &sorted[*at]->row;
        }
    }
    return found;
}

enum err row_map_read(struct row_map *map, struct store *s, size_t from,
                      struct errmsg *why)
{
    if (from == map->n) {
        return ERR_OK;
    }
    struct row_state *const *sorted = sorted_states(map, from);
    const struct row_key **keys =
        mem_alloc(ROWS_BATCH_MAX * sizeof(struct row_key *));
    struct row **rows = mem_alloc(ROWS_BATCH_MAX * sizeof(struct row *));
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < map->n - from;) {
        size_t n = next_unread(sorted, map->n - from, &i, keys, rows);
        if (n > 0) {
            err = s->backend->rows(s->db, map->generation, keys, n, rows, why);
        }
    }
    mem_free(keys);
    mem_free(rows);
    return err;
}

void row_map_write(struct row_map *map, struct store *s, void *batch)
{
    if (map->n == 0) {
        return;
    }
    struct row_state *const *sorted = sorted_states(map, 0);
    for (size_t i = 0; i < map->n; i++) {
        const struct row_state *state = sorted[i];
        if (state->dirty && state->presumed) {
            s->backend->put_new_row(batch, map->generation, &state->row);
        } else if (state->dirty && state->row.version > 0) {
            s->backend->put_row(batch, map->generation, &state->row);
        } else if (state->dirty) {
            s->backend->del_row(batch, map->generation, &state->row.key);
        }
    }
}

static void complain(struct group *g, const struct log_slot *slot,
                     uint64_t number, enum reason reason)
{
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&slot->log, log);
    if (reason == REASON_CONFLICT) {
        log_error(&g->s->log, "INDEX-CONFLICT",
                  "log=%s number=%llu cause=\"%s\" effect=\"the other one is "
                  "kept, as at every node\"",
                  log, (unsigned long long)number, reason_text(reason));
    } else if (reason == REASON_KEY_UNSAVED) {
        log_error(&g->s->log, "INDEX-KEY",
                  "log=%s number=%llu cause=\"%s\" hint=\"look at the space "
                  "and the rights of the keyring's folder\"",
                  log, (unsigned long long)number, reason_text(reason));
    } else if (reason_effect(reason) == EFFECT_VOID) {
        log_warn(&g->s->log, "INDEX-VOID", "log=%s number=%llu cause=\"%s\"",
                 log, (unsigned long long)number, reason_text(reason));
    }
}

void group_put_issue(struct group *g, const struct log_slot *slot,
                     uint64_t number, enum reason reason)
{
    g->s->backend->put_issue(g->batch, g->rows.generation, slot->id, number,
                             (uint8_t)reason);
    g->issues++;
    complain(g, slot, number, reason);
}

/* Does the row take the place of `cur`? Of two entries of one version every
 * holder names the same one, whichever came first: protocol.md, Entries. */
static bool stands_before(struct store *s, const struct row *row,
                          const struct row *cur)
{
    if (row->version != cur->version) {
        return row->version > cur->version;
    }
    uint64_t ours = heads_at(&s->heads, row->log)->log.incarnation;
    uint64_t theirs = heads_at(&s->heads, cur->log)->log.incarnation;
    return ours != theirs ? ours < theirs : row->number < cur->number;
}

/* A row that says only where a record went keeps its entry, which counts at the
 * new subject. */
static void displace(struct group *g, const struct row *cur)
{
    if (!cur->moved) {
        group_put_issue(g, heads_at(&g->s->heads, cur->log), cur->number,
                        REASON_CONFLICT);
    }
}

/* The highest version wins, whatever the order of arrival. */
static enum reason row_apply(struct group *g, const struct row *row)
{
    struct row_state *state = row_map_get(&g->rows, &row->key);
    const struct row *cur = &state->row;
    if (cur->version > row->version ||
        (cur->version > 0 && cur->log == row->log &&
         cur->number == row->number)) {
        return REASON_NONE;
    }
    if (cur->version == row->version) {
        if (!stands_before(g->s, row, cur)) {
            return REASON_CONFLICT;
        }
        displace(g, cur);
    }
    state->row = *row;
    state->dirty = true;
    return REASON_NONE;
}

void group_index(struct group *g, const struct log_slot *slot, uint64_t number,
                 const struct judged *judged)
{
    enum reason reason = judged->reason;
    if (reason == REASON_NONE && judged->indexed) {
        struct row row = judged->row;
        row.log = slot->id;
        row.number = number;
        reason = row.version == 0 ? REASON_VERSION : row_apply(g, &row);
        if (reason == REASON_NONE && judged->has_prev) {
            row.key = judged->prev;
            row.moved = true;
            row.has_digest = false;
            (void)row_apply(g, &row);
        }
    }
    if (reason != REASON_NONE) {
        group_put_issue(g, slot, number, reason);
    }
    if (judged->learned) {
        bool other =
            g->rejudge_origin != 0 && g->rejudge_origin != slot->log.origin;
        g->rejudge_origin = other ? REJUDGE_ALL : slot->log.origin;
    }
    g->s->key_unsaved = g->s->key_unsaved || reason == REASON_KEY_UNSAVED;
}

/* ---- judging again, when a key or another build has come ---- */

struct waiting {
    struct store *s;
    uint32_t log;
    uint64_t number;
    uint8_t reason;
    bool found;
    size_t looked_at;
    uint64_t origin;
};

/* Directives are judged again by packages (lists_load()). */
static bool is_due(const struct waiting *w, const struct log_slot *slot,
                   uint8_t reason)
{
    bool all = w->origin == REJUDGE_ALL;
    return (reason_waits(reason) || reason == REASON_CONFLICT ||
            (all && reason_is_of_build(reason) &&
             slot->log.kind == LOG_RECORDS)) &&
           (all || slot->log.origin == w->origin);
}

/* Stops at the next one. */
static bool on_waiting(void *ctx, uint32_t log, uint64_t number, uint8_t reason)
{
    struct waiting *w = ctx;
    w->log = log;
    w->number = number;
    w->reason = reason;
    const struct log_slot *slot = heads_at(&w->s->heads, log);
    w->found = slot != NULL && is_due(w, slot, reason);
    return !w->found && ++w->looked_at < REJUDGE_MAX;
}

/* An earlier build kept the one that had come first. */
static bool stays_behind(struct group *g, const struct log_slot *slot,
                         uint64_t number, struct judged *judged)
{
    struct row *row = &judged->row;
    row->log = slot->id;
    row->number = number;
    return judged->indexed &&
           !stands_before(g->s, row, &row_map_get(&g->rows, &row->key)->row);
}

static enum err rejudge_one(struct group *g, const struct waiting *w,
                            struct errmsg *why)
{
    struct store *s = g->s;
    struct log_slot *slot = heads_at(&s->heads, w->log);
    struct buf bytes = BUF_INIT;
    struct judged judged = {.reason = (enum reason)w->reason};
    enum err err = slot_entry(slot, w->number, &bytes);
    if (err == ERR_OK) {
        struct slot one = {.entry = buf_slice(&bytes)};
        index_judge(s, &slot->log, w->number, &one, &judged);
    } else {
        (void)err_set(why, err, "entry %llu of log %u cannot be read",
                      (unsigned long long)w->number, slot->id);
    }
    s->key_unsaved = s->key_unsaved || judged.reason == REASON_KEY_UNSAVED;
    if (judged.reason != (enum reason)w->reason) {
        size_t before = g->rows.n;
        row_map_want(&g->rows, &judged, false);
        err = row_map_read(&g->rows, s, before, why);
        bool stays = err == ERR_OK && w->reason == REASON_CONFLICT &&
                     stays_behind(g, slot, w->number, &judged);
        if (err == ERR_OK && !stays) {
            s->backend->del_issue(g->batch, g->rows.generation, w->log,
                                  w->number);
            g->issues--;
            group_index(g, slot, w->number, &judged);
        }
    }
    buf_fini(&bytes);
    return err;
}

void index_rejudge_all(struct store *s)
{
    s->rejudge_origin = REJUDGE_ALL;
    s->rejudge_log = 0;
    s->rejudge_number = 0;
}

enum err index_rejudge(struct store *s, struct errmsg *why)
{
    struct group g;
    group_init(&g, s);
    struct waiting w = {.s = s, .origin = s->rejudge_origin};
    const uint32_t log = s->rejudge_log;
    const uint64_t number = s->rejudge_number;
    enum err err = ERR_OK;
    bool more = true;
    for (size_t done = 0; err == ERR_OK && more && done < REJUDGE_MAX; done++) {
        w.found = false;
        w.log = 0;
        err = s->backend->issues(s->db, g.rows.generation, s->rejudge_log,
                                 s->rejudge_number, on_waiting, &w, why);
        more = w.log != 0 && w.looked_at < REJUDGE_MAX;
        if (w.log != 0) {
            s->rejudge_log = w.log;
            s->rejudge_number = w.number + 1;
        }
        if (err == ERR_OK && w.found) {
            err = rejudge_one(&g, &w, why);
        } else if (w.log == 0) {
            s->rejudge_origin = 0;
        }
    }
    if (err_is_passing(err)) { /* from there again: nothing was written */
        s->rejudge_origin = w.origin;
        s->rejudge_log = log;
        s->rejudge_number = number;
        (void)read_failed(s, err, why);
    } else if (err != ERR_OK) {
        s->rejudge_origin = 0;
    } else if ((err = group_commit(&g, why)) != ERR_OK) {
        /* The place is past what was not written. */
        index_rejudge_all(s);
    }
    group_fini(&g);
    return err;
}

/* ---- reads ---- */

struct subject_read {
    struct store *s;
    bool now;
    store_row_fn *fn;
    void *ctx;
    size_t rows; /* met so far */
    bool too_many;
};

static bool show_row(struct store *s, const struct row *row,
                     struct store_row *out)
{
    const struct log_slot *slot = heads_at(&s->heads, row->log);
    if (slot == NULL || row->moved) {
        return false;
    }
    *out = (struct store_row){
        .subject = row->key.subject,
        .log = slot->log,
        .number = row->number,
        .version = row->version,
        .item = row->item,
        .status = row->status,
        .disclosure = row->disclosure,
        .decided = row->decided,
        .until = row->until,
        .publish_until = row->publish_until,
    };
    memcpy(out->record_key, row->key.record_key, RECORD_KEY_LEN);
    return true;
}

static bool on_subject_row(void *ctx, const struct row *row)
{
    struct subject_read *r = ctx;
    struct store_row out;
    r->too_many = r->now && r->rows++ == ROWS_NOW_MAX;
    return !r->too_many && (!show_row(r->s, row, &out) || r->fn(r->ctx, &out));
}

static enum err read_subject(struct store *store,
                             const struct subject_key *subject, bool now,
                             store_row_fn *fn, void *ctx)
{
    struct subject_read r = {.s = store, .now = now, .fn = fn, .ctx = ctx};
    struct errmsg why;
    enum err err = now ? db_enter_now(store) : db_enter(store);
    if (err != ERR_OK) {
        return err;
    }
    uint8_t generation = atomic_load(&store->generation);
    err = store->backend->rows_of(store->db, generation, subject, now,
                                  on_subject_row, &r, &why);
    err = db_leave_index(store, generation, err, &why);
    err = err == ERR_OK && r.too_many ? ERR_BUSY : err;
    return read_failed(store, err, &why);
}

enum err store_subject(struct store *store, const struct subject_key *subject,
                       store_row_fn *fn, void *ctx)
{
    return read_subject(store, subject, false, fn, ctx);
}

enum err store_subject_now(struct store *store,
                           const struct subject_key *subject, store_row_fn *fn,
                           void *ctx)
{
    return read_subject(store, subject, true, fn, ctx);
}

enum err store_row(struct store *store, const struct subject_key *subject,
                   const uint8_t record_key[RECORD_KEY_LEN], uint64_t origin,
                   struct store_row *out)
{
    struct row_key key = {.subject = *subject, .origin = origin};
    memcpy(key.record_key, record_key, RECORD_KEY_LEN);
    const struct row_key *keys[1] = {&key};
    struct row row;
    struct row *rows[1] = {&row};
    struct errmsg why;
    enum err err = db_enter(store);
    if (err != ERR_OK) {
        return err;
    }
    uint8_t generation = atomic_load(&store->generation);
    err = store->backend->rows(store->db, generation, keys, 1, rows, &why);
    err = db_leave_index(store, generation, err, &why);
    if (err != ERR_OK) {
        return read_failed(store, err, &why);
    }
    return row.version > 0 && show_row(store, &row, out) ? ERR_OK
                                                         : ERR_NOT_FOUND;
}

enum { ISSUES_PAGE = 512 };

struct issue_page {
    struct {
        uint32_t log;
        uint64_t number;
        uint8_t reason;
    } at[ISSUES_PAGE];
    size_t n;
};

static bool on_issue(void *ctx, uint32_t log, uint64_t number, uint8_t reason)
{
    struct issue_page *p = ctx;
    p->at[p->n].log = log;
    p->at[p->n].number = number;
    p->at[p->n].reason = reason;
    return ++p->n < ISSUES_PAGE;
}

static enum err read_issues(struct store *s, uint32_t log, uint64_t number,
                            struct issue_page *out)
{
    struct errmsg why;
    out->n = 0;
    enum err err = db_enter(s);
    if (err != ERR_OK) {
        return err;
    }
    uint8_t generation = atomic_load(&s->generation);
    err =
        s->backend->issues(s->db, generation, log, number, on_issue, out, &why);
    err = db_leave_index(s, generation, err, &why);
    return read_failed(s, err, &why);
}

/* False: `fn` wants no more. */
static bool show_issues(struct store *s, const struct issue_page *p,
                        store_issue_fn *fn, void *ctx)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct log_slot *slot = heads_at(&s->heads, p->at[i].log);
        enum reason reason = (enum reason)p->at[i].reason;
        if (slot == NULL) {
            continue;
        }
        struct store_issue issue = {.log = slot->log,
                                    .number = p->at[i].number,
                                    .effect = reason_effect(reason)};
        const char *text = reason_text(reason);
        memcpy(issue.reason, text, strnlen(text, sizeof issue.reason - 1));
        if (!fn(ctx, &issue)) {
            return false;
        }
    }
    return true;
}

/* Page by page: no lock of the database is held while `fn` takes its time. */
enum err store_issues(struct store *store, store_issue_fn *fn, void *ctx)
{
    struct issue_page *page = MEM_NEW(struct issue_page);
    uint32_t log = 0;
    uint64_t number = 0;
    bool more = true;
    enum err err = ERR_OK;
    while (more) {
        err = read_issues(store, log, number, page);
        more = err == ERR_OK && show_issues(store, page, fn, ctx) &&
               page->n == ISSUES_PAGE;
        if (more) {
            log = page->at[page->n - 1].log;
            number = page->at[page->n - 1].number + 1;
        }
    }
    mem_free(page);
    return err;
}
