#include "store/views.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "credit/division.h"
#include "credit/registry.h"
#include "store/views_impl.h"

enum {
    BATCH_ENTRIES = 1024,
    BATCH_BYTES = 1 << 20, /* packed */
    BATCH_REFS = 256,
    BIND_ROWS = 256,
    WAIT_MS = 200,
    RETRY_MS = 1000,
    RETRY_MAX_MS = 30000,
};

/* A log, as the tables have it and as the store does. */
struct shown {
    uint32_t id;
    struct log_id log;
    uint64_t position;
    struct buf frontier; /* at `position`, as frontier_put() */
    struct hash sound;   /* the store's root when this was last found equal */
    struct hash voids;   /* digest of packages without effect up to there */
    uint8_t phase;       /* 1, 2: what it showed is being taken away */
    uint64_t told_size;
    enum log_state told;
    uint64_t mark; /* its limit when v->mark_ms was taken */
    /* of this look */
    uint64_t size;
    uint64_t limit;
    struct hash root;
    enum log_state state;
    int64_t signed_ms;
    const struct lists_log *list;
};

struct views {
    struct store *store;
    struct views_conf conf;
    struct log_ctx log;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;     /* lock */
    bool rebuild;  /* lock */
    char why[160]; /* lock */
    _Atomic uint64_t behind;
    _Atomic uint64_t skipped;
    _Atomic int64_t current_ms; /* all that was stored then is shown */
    /* the thread's */
    int64_t mark_ms; /* monotonic; 0: none */
    struct mdb_conn *conn;
    struct block_codec *codec;
    struct shown **shown;
    size_t n;
    size_t cap;
    struct lists_view lists;
    uint64_t nodes_changes;
    size_t nodes_of; /* logs when nodes were written */
};

/* ---- waiting ---- */

static bool stopping(struct views *v)
{
    (void)pthread_mutex_lock(&v->lock);
    bool stop = v->stop;
    (void)pthread_mutex_unlock(&v->lock);
    return stop;
}

/* False: it is to end. */
static bool pause_for(struct views *v, int64_t ms, bool or_rebuild)
{
    struct timespec until;
    clock_until(ms, &until);
    (void)pthread_mutex_lock(&v->lock);
    int rc = 0;
    while (rc == 0 && !v->stop && !(or_rebuild && v->rebuild)) {
        rc = pthread_cond_timedwait(&v->wake, &v->lock, &until);
    }
    bool go = !v->stop;
    (void)pthread_mutex_unlock(&v->lock);
    return go;
}

/* ---- what is known ---- */

static void forget(struct views *v)
{
    for (size_t i = 0; i < v->n; i++) {
        buf_fini(&v->shown[i]->frontier);
        mem_free(v->shown[i]);
    }
    v->n = 0;
    v->nodes_of = 0;
    v->mark_ms = 0;
    mdb_shut(&v->conn);
}

static struct shown *add(struct views *v, const struct log_id *log)
{
    if (v->n == v->cap) {
        v->cap = 2 * v->cap + 16;
        v->shown = mem_realloc(v->shown, v->cap * sizeof(struct shown *));
    }
    struct shown *s = MEM_NEW(struct shown);
    s->log = *log;
    s->frontier = (struct buf)BUF_INIT;
    s->told_size = UINT64_MAX; /* what stands there is not known */
    v->shown[v->n++] = s;
    return s;
}

static int by_log(const void *a, const void *b)
{
    const struct shown *const *x = a;
    const struct shown *const *y = b;
    return log_id_cmp(&(*x)->log, &(*y)->log);
}

static struct shown *find(struct views *v, const struct log_id *log)
{
    size_t low = 0;
    size_t high = v->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = log_id_cmp(log, &v->shown[mid]->log);
        if (order == 0) {
            return v->shown[mid];
        }
        *(order < 0 ? &high : &low) = order < 0 ? mid : mid + 1;
    }
    return NULL;
}

static bool on_known(void *ctx, const struct mdb_cell *c)
{
    struct views *v = ctx;
    const struct log_id log = {
        .origin = c[1].n, .kind = (enum log_kind)c[2].n, .incarnation = c[3].n};
    struct shown *s = add(v, &log);
    s->id = (uint32_t)c[0].n;
    s->position = c[4].n;
    if (c[5].b.len == HASH_LEN) {
        memcpy(s->voids.b, c[5].b.data, HASH_LEN);
    }
    s->phase = (uint8_t)c[6].n;
    atomic_fetch_add(&v->skipped, c[8].n);
    buf_put_slice(&s->frontier, c[10].b);
    return true;
}

static enum err load(struct views *v, struct errmsg *why)
{
    size_t seen;
    atomic_store(&v->skipped, 0);
    enum err err =
        mdb_select(v->conn, VSQL_LOGS, NULL, on_known, v, &seen, why);
    if (v->n > 0) {
        qsort(v->shown, v->n, sizeof(struct shown *), by_log);
    }
    return err;
}

static enum err connect_to(struct views *v, struct errmsg *why)
{
    forget(v);
    enum err err = mdb_open(&v->conn, v->conf.mariadb, views_statements(), why);
    if (err != ERR_OK || !v->conf.on) {
        return err == ERR_OK ? views_hide(v->conn, why) : err;
    }
    (void)pthread_mutex_lock(&v->lock);
    bool rebuild = v->rebuild;
    (void)pthread_mutex_unlock(&v->lock);
    if (rebuild) {
        err = views_spoil(v->conn, why);
    }
    if (rebuild && err == ERR_OK) {
        (void)pthread_mutex_lock(&v->lock);
        v->rebuild = false;
        (void)pthread_mutex_unlock(&v->lock);
    }
    if (err == ERR_OK) {
        err = views_make(v->conn, why);
    }
    return err == ERR_OK ? load(v, why) : err;
}

/* ---- looking at the store ---- */

struct look {
    struct views *v;
    size_t known; /* sorted ones */
    enum err err;
    struct errmsg *why;
};

static enum err add_log(struct views *v, const struct log_id *log,
                        struct shown **out, struct errmsg *why)
{
    char name[LOG_ID_TEXT_MAX];
    char id[24];
    log_id_format(log, name);
    const struct mdb_cell cells[] = {{.b = slice_str(name)},
                                     {.n = log->origin},
                                     {.n = log->kind},
                                     {.n = log->incarnation}};
    enum err err = mdb_write(v->conn, VSQL_ADD_LOG, cells, 1, NULL, why);
    if (err == ERR_OK) {
        err = mdb_ask(v->conn, "SELECT LAST_INSERT_ID()", id, sizeof id, why);
    }
    if (err == ERR_OK) {
        *out = add(v, log);
        (*out)->id = (uint32_t)strtoul(id, NULL, 10);
    }
    return err;
}

static const struct lists_log *list_of(const struct views *v,
                                       const struct log_id *log)
{
    for (size_t i = 0; i < v->lists.n; i++) {
        if (log_id_eq(&v->lists.logs[i].log, log)) {
            return &v->lists.logs[i];
        }
    }
    return NULL;
}

static bool on_log(void *ctx, const struct store_head *head)
{
    struct look *l = ctx;
    size_t all = l->v->n;
    l->v->n = l->known; /* those in order */
    struct shown *s = find(l->v, &head->log);
    l->v->n = all;
    if (s == NULL) {
        l->err = add_log(l->v, &head->log, &s, l->why);
    }
    if (l->err != ERR_OK) {
        return false;
    }
    bool directives = head->log.kind == LOG_DIRECTIVES;
    s->size = head->frontier.size;
    s->root = head->root;
    s->state = head->state;
    s->signed_ms = head->newest.at_ms;
    s->list = directives ? list_of(l->v, &head->log) : NULL;
    uint64_t counts = s->list != NULL ? s->list->visible : 0;
    s->limit = !directives ? s->size : counts < s->size ? counts : s->size;
    return true;
}

/* Once all that was stored at the mark is shown, the next is taken: of a store
 * that grows without a pause, too, this says how late the views are. */
static void follow_mark(struct views *v, int64_t now_ms)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct shown *s = v->shown[i];
        if (s->position < s->mark && s->position < s->limit) {
            return;
        }
    }
    if (v->mark_ms != 0) {
        atomic_store(&v->current_ms, v->mark_ms);
    }
    v->mark_ms = now_ms;
    for (size_t i = 0; i < v->n; i++) {
        v->shown[i]->mark = v->shown[i]->limit;
    }
}

static enum err look(struct views *v, struct errmsg *why)
{
    int64_t now_ms = clock_mono_ms();
    struct look l = {.v = v, .known = v->n, .why = why};
    for (size_t i = 0; i < v->n; i++) {
        v->shown[i]->size = v->shown[i]->limit = 0;
        v->shown[i]->list = NULL;
        v->shown[i]->state = LOG_ABSENT;
    }
    lists_view_fini(&v->lists);
    lists_view_take(v->store, &v->lists);
    store_logs(v->store, on_log, &l);
    if (v->n > l.known) {
        qsort(v->shown, v->n, sizeof(struct shown *), by_log);
    }
    uint64_t behind = 0;
    for (size_t i = 0; i < v->n; i++) {
        const struct shown *s = v->shown[i];
        behind += s->limit > s->position ? s->limit - s->position : 0;
    }
    atomic_store(&v->behind, behind);
    if (l.err == ERR_OK) {
        follow_mark(v, now_ms);
    }
    return l.err;
}

/* ---- one batch ---- */

static enum err write_rows(struct views *v, const struct view_batch *b,
                           struct errmsg *why)
{
    enum err err = ERR_OK;
    for (unsigned sql = 0; sql < VSQL_COUNT; sql++) {
        const struct view_rows *r = &b->rows[sql];
        size_t width = strlen(views_statements()->at[sql].params);
        for (size_t i = 0; err == ERR_OK && i < r->n; i += BIND_ROWS * width) {
            size_t n = (r->n - i) / width;
            err = mdb_write(v->conn, sql, r->cells + i,
                            n < BIND_ROWS ? n : BIND_ROWS, NULL, why);
        }
    }
    return err;
}

struct judging {
    struct views *v;
    struct view_batch *b;
};

/* What is not shown yet is judged with the batch that shows it. */
static bool on_listing(void *ctx, size_t place, const struct store_listing *l)
{
    struct judging *j = ctx;
    const struct shown *log = find(j->v, &l->log);
    const struct shown *text = find(j->v, &l->text_log);
    (void)place;
    if (log != NULL) {
        const struct mdb_cell cells[] = {
            {.n = text != NULL ? text->id : 0},
            {.n = l->text},
            {.n = l->removed ? LISTED_REMOVED : LISTED_LIVE},
            {.n = l->removed_on},
            {.n = log->id},
            {.n = l->number}};
        batch_row(j->b, VSQL_JUDGE_LIST, cells);
    }
    return true;
}

static int by_subject(const void *a, const void *b)
{
    const struct subject_key *x = a;
    const struct subject_key *y = b;
    return memcmp(x->b, y->b, x->len); /* organisations: all of one length */
}

/* The store judges what is in force, of each subject once. */
static enum err put_states(struct views *v, struct view_batch *b,
                           struct errmsg *why)
{
    struct judging j = {v, b};
    const struct listing_query q = {
        .view = &v->lists, .all = true, .removed = true};
    size_t n = 0;
    if (b->subjects_n > 0) {
        qsort(b->subjects, b->subjects_n, sizeof *b->subjects, by_subject);
    }
    for (size_t i = 0; i < b->subjects_n; i++) {
        if (n == 0 || by_subject(&b->subjects[n - 1], &b->subjects[i]) != 0) {
            b->subjects[n++] = b->subjects[i];
        }
    }
    enum err err =
        store_listings_of(v->store, &q, b->subjects, n, on_listing, &j);
    return err == ERR_OK
               ? ERR_OK
               : err_set(why, err, "the store's lists: %s", err_text(err));
}

/* Packages without effect up to `number`: if others are so later, what the log
 * showed is not what counts. */
static void digest_voids(const struct views *v, const struct shown *s,
                         uint64_t number, struct hash *out)
{
    struct buf text = BUF_INIT;
    for (size_t i = 0; s->list != NULL && i < s->list->voids_n; i++) {
        const struct lists_void *at = &v->lists.voids[s->list->voids_at + i];
        if (at->last <= number) {
            buf_put_u64(&text, at->first);
            buf_put_u64(&text, at->last);
        }
    }
    suite_hash(v->conf.suite, buf_slice(&text), out);
    buf_fini(&text);
}

static enum err move(struct views *v, struct shown *s, const struct frontier *f,
                     const struct view_batch *b, struct errmsg *why)
{
    struct buf packed = BUF_INIT;
    struct hash voids;
    uint64_t moved = 0;
    frontier_put(&packed, f);
    digest_voids(v, s, f->size, &voids);
    const struct mdb_cell cells[] = {{.n = f->size},
                                     {.b = buf_slice(&packed)},
                                     {.b = slice_of(voids.b, HASH_LEN)},
                                     {.n = b->skipped},
                                     {.n = s->id},
                                     {.n = s->position}};
    enum err err = mdb_run(v->conn, "START TRANSACTION", why);
    if (err == ERR_OK) {
        err = mdb_write(v->conn, VSQL_MOVE, cells, 1, &moved, why);
    }
    if (err == ERR_OK && moved != 1) {
        err = err_set(why, ERR_CONFLICT,
                      "another process moved the position of a log in the "
                      "views");
    }
    if (err == ERR_OK) {
        err = write_rows(v, b, why);
    }
    if (err == ERR_OK) {
        err = mdb_run(v->conn, "COMMIT", why);
    }
    if (err == ERR_OK) {
        s->position = f->size;
        s->voids = voids;
        buf_clear(&s->frontier);
        buf_put_slice(&s->frontier, buf_slice(&packed));
        atomic_fetch_add(&v->skipped, b->skipped);
    }
    buf_fini(&packed);
    return err;
}

static void frontier_of(const struct shown *s, struct frontier *out)
{
    struct reader r = reader_of(buf_slice(&s->frontier));
    *out = (struct frontier){.size = 0};
    if (s->position > 0) {
        frontier_get(&r, out);
    }
}

/* Entries behind `f` up to the limit; `raw` keeps their bytes. */
static enum err take_block(struct views *v, struct slice block, uint64_t first,
                           uint64_t limit, struct frontier *f,
                           struct view_batch *b, struct buf *raw)
{
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count;
    struct hash leaf;
    enum err err = block_unpack(v->codec, block, slots, &count);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        uint64_t number = first + i;
        if (number != f->size + 1 || number > limit) {
            continue;
        }
        struct slice e = slots[i].entry;
        leaf = slots[i].leaf;
        if (e.data != NULL) {
            suite_hash_leaf(v->conf.suite, e, &leaf);
            buf_put_slice(raw, e);
            e = slice_of(raw->data + raw->len - e.len, e.len);
        }
        frontier_append(f, v->conf.suite, &leaf, NULL, NULL);
        batch_entry(b, number, e);
    }
    return err;
}

static enum err batch_of(struct views *v, struct shown *s, struct errmsg *why)
{
    struct buf blocks = BUF_INIT;
    struct block_ref refs[BATCH_REFS];
    size_t count = 0;
    struct frontier f;
    struct view_batch b;
    uint64_t limit = s->limit - s->position > BATCH_ENTRIES
                         ? s->position + BATCH_ENTRIES
                         : s->limit;
    frontier_of(s, &f);
    batch_init(&b, &s->log, s->id);
    b.lists = s->list != NULL;
    enum err err = store_blocks(v->store, &s->log, s->position + 1, limit,
                                BATCH_BYTES, &blocks, refs, BATCH_REFS, &count);
    struct buf *raws = mem_zalloc(count + 1, sizeof *raws);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        /* Never grows under what borrows from it. */
        (void)buf_reserve(&raws[i], BLOCK_RAW_MAX);
        err = take_block(v, slice_of(blocks.data + refs[i].offset, refs[i].len),
                         refs[i].first, limit, &f, &b, &raws[i]);
    }
    if (err == ERR_OK && f.size == s->position) {
        err = ERR_NOT_FOUND;
    }
    if (err != ERR_OK) {
        err = err_set(why, err, "a log cannot be read: %s", err_text(err));
    } else {
        err = put_states(v, &b, why);
    }
    if (err == ERR_OK) {
        err = move(v, s, &f, &b, why);
    }
    for (size_t i = 0; i < count; i++) {
        buf_fini(&raws[i]);
    }
    mem_free(raws);
    batch_fini(&b);
    buf_fini(&blocks);
    return err;
}

/* ---- a log that shows what does not count any more ---- */

/* What is taken away together. */
static const struct scope {
    enum views_sql spoil;
    enum views_sql still;
    enum views_sql rows[2];
    enum views_sql anew;
} scopes[] = {
    {VSQL_SPOIL_RECORDS,
     VSQL_STILL_RECORDS,
     {VSQL_DEL_RECORDS, VSQL_DEL_IMPORTS},
     VSQL_ANEW_RECORDS},
    {VSQL_SPOIL_LISTS,
     VSQL_STILL_LISTS,
     {VSQL_DEL_LISTS, VSQL_DEL_LISTS},
     VSQL_ANEW_LISTS},
};

/* One statement of taking away, if that is still to be done: whoever froze in
 * the middle of it may wake when another process has shown all again. The rows
 * of the logs change with it, so that servers of a cluster see it, too. */
static enum err take_away(struct views *v, const struct scope *scope,
                          enum views_sql sql, const struct mdb_cell *cell,
                          uint64_t *gone, struct errmsg *why)
{
    uint64_t still = 0;
    enum err err = mdb_run(v->conn, "START TRANSACTION", why);
    if (err == ERR_OK) {
        err = mdb_write(v->conn, scope->still, cell, 1, &still, why);
    }
    if (err == ERR_OK && still == 0) {
        err = err_set(why, ERR_CONFLICT,
                      "another process has made this part of the views anew");
    }
    if (err == ERR_OK) {
        err = mdb_write(v->conn, sql, cell, 1, gone, why);
    }
    return err == ERR_OK ? mdb_run(v->conn, "COMMIT", why) : err;
}

/* Records of an origin may hide each other across its logs, and what stands on
 * a list is said by all lists together. */
static enum err clear(struct views *v, const struct log_id *log,
                      struct errmsg *why)
{
    bool lists = log->kind == LOG_DIRECTIVES;
    const struct scope *scope = &scopes[lists];
    const struct mdb_cell cell = {.n = lists ? LOG_DIRECTIVES : log->origin};
    enum err err = mdb_write(v->conn, scope->spoil, &cell, 1, NULL, why);
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(scope->rows); i++) {
        uint64_t gone = 1;
        while (err == ERR_OK && gone > 0 && !stopping(v)) {
            err = take_away(v, scope, scope->rows[i], &cell, &gone, why);
        }
    }
    if (err == ERR_OK && stopping(v)) {
        return err_set(why, ERR_CANCELLED, "stopping");
    }
    return err == ERR_OK ? take_away(v, scope, scope->anew, &cell, NULL, why)
                         : err;
}

/* Is another root there than what was shown comes to? Hashed once for a root:
 * most logs are as they were at the last look. */
static bool is_other(const struct views *v, struct shown *s)
{
    struct frontier f;
    struct hash h;
    if (s->position == 0 || s->position != s->size ||
        memcmp(s->sound.b, s->root.b, HASH_LEN) == 0) {
        return false;
    }
    frontier_of(s, &f);
    frontier_root(&f, v->conf.suite, &h);
    s->sound = h;
    return memcmp(h.b, s->root.b, HASH_LEN) != 0;
}

static bool is_wrong(const struct views *v, struct shown *s)
{
    struct hash h;
    if (s->phase != 0 || s->position > s->size || is_other(v, s)) {
        return true;
    }
    if (s->position == 0 || s->log.kind != LOG_DIRECTIVES) {
        return false; /* only directives come in packages */
    }
    digest_voids(v, s, s->position, &h);
    return memcmp(h.b, s->voids.b, HASH_LEN) != 0;
}

static enum err tell(struct views *v, struct shown *s, struct errmsg *why)
{
    if (s->told == s->state && s->told_size == s->size) {
        return ERR_OK;
    }
    const struct mdb_cell cells[] = {
        {.n = s->size},
        {.b = slice_str(log_state_name(s->state))},
        {.n = s->signed_ms > 0 ? (uint64_t)s->signed_ms * 1000 : 0},
        {.n = s->id}};
    enum err err = mdb_write(v->conn, VSQL_FACTS, cells, 1, NULL, why);
    if (err == ERR_OK) {
        s->told = s->state;
        s->told_size = s->size;
    }
    return err;
}

/* ---- nodes ---- */

struct place {
    uint64_t code;
    uint64_t parent;
    uint32_t decided;
    bool revoked;
    bool moved;
};
struct places {
    struct place *at;
    size_t n;
};

static struct place *place_of(struct places *p, uint64_t code)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->at[i].code == code) {
            return &p->at[i];
        }
    }
    p->at = mem_realloc(p->at, (p->n + 1) * sizeof *p->at);
    p->at[p->n] = (struct place){.code = code};
    return &p->at[p->n++];
}

static bool on_node(void *ctx, const struct store_node *n)
{
    enum registry_what what = (enum registry_what)n->what;
    if (registry_is_of_log(what)) {
        return true; /* about a log of the node, which stays what it was */
    }
    struct place *p = place_of(ctx, n->code);
    p->decided = n->decided;
    if (what == REGISTRY_PARENT) {
        p->parent = n->parent;
        p->moved = true;
    } else {
        p->revoked = what == REGISTRY_REVOKED;
    }
    return true;
}

static void code_text(uint64_t code, enum tier tier, enum tier at, char out[16])
{
    out[0] = 0;
    if (code != 0 && tier >= at) {
        code_format(division_at(code, at), out);
    }
}

static void put_place(struct view_batch *b, const struct place *p,
                      char text[4][16])
{
    enum tier tier = division_tier(p->code);
    text[0][0] = 0;
    if (p->code != 0) {
        code_format(p->moved ? p->parent : division_default_parent(p->code),
                    text[0]);
    }
    code_text(p->code, tier, TIER_PROVINCE, text[1]);
    code_text(p->code, tier, TIER_CITY, text[2]);
    code_text(p->code, tier, TIER_COUNTY, text[3]);
    const struct mdb_cell cells[] = {
        {.n = p->code},
        {.b = slice_str(tier_name(tier))},
        {.b = slice_str(tier_name_zh(tier))},
        {.b = slice_str(text[0])},
        {.b = slice_str(text[1])},
        {.b = slice_str(text[2])},
        {.b = slice_str(text[3])},
        {.b = slice_str(p->revoked ? "revoked" : "active")},
        {.n = p->decided}};
    batch_row(b, VSQL_PUT_NODE, cells);
}

static enum err put_nodes(struct views *v, struct errmsg *why)
{
    uint64_t changes = store_nodes_changes(v->store);
    if (v->nodes_of == v->n && v->nodes_changes == changes) {
        return ERR_OK;
    }
    struct places p = {.n = 0};
    struct view_batch b;
    const struct log_id none = {.origin = v->conf.self};
    batch_init(&b, &none, 0);
    (void)place_of(&p, v->conf.self);
    uint64_t last = v->conf.self;
    for (size_t i = 0; i < v->n; i++) {
        if (v->shown[i]->log.origin != last) {
            last = v->shown[i]->log.origin;
            (void)place_of(&p, last);
        }
    }
    enum err err = store_nodes(v->store, &v->lists, on_node, &p);
    if (err != ERR_OK) {
        err = err_set(why, err, "the store's nodes: %s", err_text(err));
    }
    char(*texts)[4][16] = mem_zalloc(p.n, sizeof *texts);
    for (size_t i = 0; i < p.n; i++) {
        put_place(&b, &p.at[i], texts[i]);
    }
    if (err == ERR_OK) {
        err = mdb_run(v->conn, "START TRANSACTION", why);
    }
    if (err == ERR_OK) {
        err = mdb_run(v->conn, "DELETE FROM cn_v_node", why);
    }
    if (err == ERR_OK) {
        err = write_rows(v, &b, why);
    }
    if (err == ERR_OK) {
        err = mdb_run(v->conn, "COMMIT", why);
    }
    if (err == ERR_OK) {
        v->nodes_of = v->n;
        v->nodes_changes = changes;
    }
    mem_free(texts);
    mem_free(p.at);
    batch_fini(&b);
    return err;
}

/* ---- rounds ---- */

/* One batch of each log that has more. `wrong`: logs begin anew, after
 * which everything is read anew. */
static enum err run_round(struct views *v, bool *more, bool *wrong,
                          struct errmsg *why)
{
    *more = *wrong = false;
    enum err err = look(v, why);
    for (size_t i = 0; err == ERR_OK && i < v->n && !*wrong && !stopping(v);
         i++) {
        struct shown *s = v->shown[i];
        if (is_wrong(v, s)) {
            *wrong = true;
            log_info(&v->log, "VIEWS-ANEW", "origin=%012llu lists=%d",
                     (unsigned long long)s->log.origin,
                     s->log.kind == LOG_DIRECTIVES);
            err = clear(v, &s->log, why);
        } else if (s->limit > s->position) {
            err = batch_of(v, s, why);
            *more = *more || s->limit > s->position;
        }
        if (err == ERR_OK && !*wrong) {
            err = tell(v, s, why);
        }
    }
    return err == ERR_OK && !*wrong ? put_nodes(v, why) : err;
}

static void say(struct views *v, const char *text)
{
    (void)pthread_mutex_lock(&v->lock);
    bool news = strncmp(v->why, text, sizeof v->why - 1) != 0;
    (void)snprintf(v->why, sizeof v->why, "%s", text);
    (void)pthread_mutex_unlock(&v->lock);
    if (news && text[0] != 0) {
        log_warn(&v->log, "VIEWS-WAIT", "reason=\"%s\" hint=\"tried again\"",
                 text);
    }
}

/* Until something is wrong, or it is to end or to begin anew. */
static enum err follow(struct views *v, struct errmsg *why)
{
    enum err err = connect_to(v, why);
    bool more = true;
    bool wrong = false;
    bool go = v->conf.on;
    while (err == ERR_OK && go) {
        err = run_round(v, &more, &wrong, why);
        if (err == ERR_OK) {
            say(v, "");
        }
        if (err == ERR_OK && !more && !wrong) {
            atomic_store(&v->behind, 0);
            go = pause_for(v, WAIT_MS, true);
        }
        (void)pthread_mutex_lock(&v->lock);
        go = go && !wrong && !v->stop && !v->rebuild;
        (void)pthread_mutex_unlock(&v->lock);
    }
    return err;
}

static void *run(void *arg)
{
    struct views *v = arg;
    int64_t wait_ms = RETRY_MS;
    bool go = true;
    while (go) {
        struct errmsg why = {{0}};
        enum err err = follow(v, &why);
        go = !stopping(v) && (v->conf.on || err != ERR_OK);
        if (go && err != ERR_OK) {
            say(v, why.text);
            mdb_shut(&v->conn);
            go = pause_for(v, wait_ms, false);
            wait_ms = wait_ms < RETRY_MAX_MS ? 2 * wait_ms : RETRY_MAX_MS;
        } else {
            wait_ms = RETRY_MS;
        }
    }
    forget(v);
    return NULL;
}

/* ---- public ---- */

enum err views_start(struct views **out, struct store *store,
                     const struct views_conf *conf, struct errmsg *why)
{
    struct views *v = MEM_NEW(struct views);
    v->store = store;
    v->conf = *conf;
    v->log.up = conf->log;
    v->log.fields = "part=views";
    v->codec = block_codec_new();
    atomic_store(&v->current_ms, clock_mono_ms());
    (void)pthread_mutex_init(&v->lock, NULL);
    clock_cond_init(&v->wake);
    *out = v;
    if (pthread_create(&v->thread, NULL, run, v) != 0) {
        v->thread = pthread_self();
        views_stop(out);
        return err_set(why, ERR_IO, "no thread for the views");
    }
    return ERR_OK;
}

void views_stop(struct views **views)
{
    struct views *v = *views;
    *views = NULL;
    if (v == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&v->lock);
    v->stop = true;
    (void)pthread_cond_signal(&v->wake);
    (void)pthread_mutex_unlock(&v->lock);
    if (!pthread_equal(v->thread, pthread_self())) {
        (void)pthread_join(v->thread, NULL);
    }
    lists_view_fini(&v->lists);
    block_codec_free(&v->codec);
    mem_free(v->shown);
    (void)pthread_cond_destroy(&v->wake);
    (void)pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

void views_stats(struct views *views, struct views_stats *out)
{
    *out = (struct views_stats){.on = false};
    if (views == NULL || !views->conf.on) {
        return;
    }
    out->on = true;
    out->behind = atomic_load(&views->behind);
    out->skipped = atomic_load(&views->skipped);
    out->late_ms = clock_mono_ms() - atomic_load(&views->current_ms);
    (void)pthread_mutex_lock(&views->lock);
    memcpy(out->why, views->why, sizeof out->why);
    (void)pthread_mutex_unlock(&views->lock);
}

void views_rebuild(struct views *views)
{
    if (views == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&views->lock);
    views->rebuild = true;
    (void)pthread_cond_signal(&views->wake);
    (void)pthread_mutex_unlock(&views->lock);
}
