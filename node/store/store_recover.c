#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/store_lists.h"

/* A format that no build knows: no node may open the store. */
enum { STORE_FORMAT = 1, FORMAT_BARRED = 0x8000 };

enum {
    GROUP16 = 16,
    TELL_NODES = 64, /* each is made of sixteen reads */
};

/* ---- at opening ---- */

void identity_encode(const struct store *s, bool barred, struct buf *out)
{
    buf_put_u16(out, STORE_FORMAT | (barred ? FORMAT_BARRED : 0));
    buf_put_u64(out, s->env.self);
    buf_put_u8(out, (uint8_t)s->env.suite);
    buf_put_str(out, s->federation);
}

enum err recover_compare_identity(const struct store_conf *conf,
                                  const struct store_env *env,
                                  struct slice found, struct errmsg *why)
{
    const char *path = conf->path;
    struct reader r = reader_of(found);
    uint16_t format = reader_u16(&r);
    uint64_t node = reader_u64(&r);
    uint8_t suite = reader_u8(&r);
    struct slice federation = reader_bytes(&r, reader_left(&r));
    char code[CODE_LEN + 1];
    if (r.bad) {
        return err_set(why, ERR_CORRUPT, "store %s: identity unreadable", path);
    }
    if (format == (STORE_FORMAT | FORMAT_BARRED)) {
        return err_set(why, ERR_CONF,
                       "store %s was moved to another database, or is an "
                       "unfinished copy (creditnode store copy)",
                       path);
    }
    if (format != STORE_FORMAT) {
        return err_set(why, ERR_CONF,
                       "store %s has format %u, this build knows %d: install "
                       "the build that wrote it, or a later one",
                       path, format, STORE_FORMAT);
    }
    if (node != env->self) {
        code_format(node, code);
        return err_set(why, ERR_CONF,
                       "store %s belongs to node %s: give this node a folder "
                       "of its own",
                       path, code);
    }
    if (suite != (uint8_t)env->suite) {
        return err_set(why, ERR_CONF,
                       "store %s was made with suite %s: a federation keeps "
                       "its suite for ever",
                       path, suite_name((enum suite)suite));
    }
    if (!slice_eq(federation, slice_str(env->federation))) {
        return err_set(why, ERR_CONF,
                       "store %s belongs to federation %.*s, not %s", path,
                       (int)federation.len, (const char *)federation.data,
                       env->federation);
    }
    return ERR_OK;
}

/* Takes the bar away; true if there was one. */
static bool unbar(struct buf *identity)
{
    bool barred =
        identity->len > 0 && (identity->data[0] & (FORMAT_BARRED >> 8)) != 0;
    if (barred) {
        identity->data[0] &= (uint8_t) ~(FORMAT_BARRED >> 8);
    }
    return barred;
}

enum err recover_recognise(const void *whose, struct slice identity,
                           struct errmsg *why)
{
    const struct whose *w = whose;
    struct buf value = BUF_INIT;
    buf_put_slice(&value, identity);
    (void)unbar(&value);
    enum err err =
        recover_compare_identity(w->conf, w->env, buf_slice(&value), why);
    buf_fini(&value);
    return err;
}

enum err recover_compare_marked(struct store *s, bool *found,
                                struct errmsg *why)
{
    struct buf value = BUF_INIT;
    enum err err = s->backend->meta(s->db, META_IDENTITY, &value, why);
    *found = err == ERR_OK;
    if (err == ERR_OK) {
        bool barred = unbar(&value);
        err =
            recover_compare_identity(&s->conf, &s->env, buf_slice(&value), why);
        if (err == ERR_OK && barred) {
            err = mark_load(s, &s->mark, why);
        }
    }
    buf_fini(&value);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Tells keyrings apart, and nothing else about them. */
static void put_keyring(const struct store *s, void *batch)
{
    struct hash print;
    if (s->env.keyring != NULL) {
        keyring_token(s->env.keyring, "index", slice_str(""), &print);
        s->backend->put_meta(batch, META_KEYRING,
                             slice_of(print.b, sizeof print.b));
    }
}

static enum err note_keyring(struct store *s, struct errmsg *why)
{
    void *batch = s->backend->batch_new(s->db);
    put_keyring(s, batch);
    enum err err = writer_commit(s, batch, why);
    s->backend->batch_free(batch);
    /* With a full disk the next start does it. */
    return err == ERR_NO_SPACE ? ERR_OK : err;
}

enum err recover_keyring(struct store *s, struct errmsg *why)
{
    struct buf noted = BUF_INIT;
    struct hash print;
    if (s->env.keyring == NULL) {
        return ERR_OK;
    }
    keyring_token(s->env.keyring, "index", slice_str(""), &print);
    enum err err = s->backend->meta(s->db, META_KEYRING, &noted, why);
    bool none = err == ERR_NOT_FOUND || (err == ERR_OK && noted.len == 0);
    bool other = err == ERR_OK && !none &&
                 !slice_eq(buf_slice(&noted), slice_of(print.b, HASH_LEN));
    buf_fini(&noted);
    atomic_store(&s->other_keyring, other);
    if (other) {
        log_error(&s->log, "STORE-KEYRING",
                  "cause=\"data.dir/keys/secret is not the one that this store "
                  "was indexed with\" effect=\"no natural person is found, and "
                  "rows about one count as new when they are imported again\" "
                  "todo=\"put the file back from the backup of the node's keys "
                  "and start again; if it is lost: creditnode reindex\"");
    }
    return none ? note_keyring(s, why) : err;
}

enum err recover_check_identity(struct store *s, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    bool found = false;
    enum err err = recover_compare_marked(s, &found, why);
    if (err == ERR_OK) {
        err = mark_refuse(s, why);
    }
    if (err == ERR_OK && !found) {
        identity_encode(s, false, &value);
        void *batch = s->backend->batch_new(s->db);
        s->backend->put_meta(batch, META_IDENTITY, buf_slice(&value));
        put_keyring(s, batch);
        err = writer_commit(s, batch, why);
        s->backend->batch_free(batch);
    }
    buf_fini(&value);
    return err;
}

enum err recover_serial(struct store *s, uint64_t *out, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    enum err err = s->backend->meta(s->db, META_SERIAL, &value, why);
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        *out = value.len == 8 ? be_get64(value.data) : 0;
        err = ERR_OK;
    }
    buf_fini(&value);
    return err;
}

static enum err read_generation(struct store *s, uint8_t *out,
                                struct errmsg *why)
{
    struct buf value = BUF_INIT;
    enum err err = s->backend->meta(s->db, META_GENERATION, &value, why);
    *out = value.len == 1 ? value.data[0] : 1;
    buf_fini(&value);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err recover_generation(struct store *s, struct errmsg *why)
{
    uint8_t generation;
    enum err err = read_generation(s, &generation, why);
    if (err == ERR_OK) {
        atomic_store(&s->generation, generation);
    }
    return err;
}

enum err recover_generation_lasts(struct store *s, uint8_t generation,
                                  struct errmsg *why)
{
    uint8_t now = generation;
    enum err err =
        s->role == ROLE_FOLLOW ? read_generation(s, &now, why) : ERR_OK;
    return err == ERR_OK && now != generation
               ? err_set(why, ERR_UNAVAILABLE,
                         "store %s: its index was made anew meanwhile: ask "
                         "again",
                         s->conf.path)
               : err;
}

enum err recover_meta(struct store *s, struct errmsg *why)
{
    /* First the number: what is read after it is as new, or newer. */
    uint64_t serial = 0;
    enum err err = recover_serial(s, &serial, why);
    serial_is(s, serial);
    return err == ERR_OK ? recover_generation(s, why) : err;
}

/* The own checkpoint is verified if it was signed under the certificate in
 * use now; else recover_renew_notes() signs anew. */
static enum err check_own_note(struct store *s, struct log_slot *slot,
                               struct slice note)
{
    struct buf chain = BUF_INIT;
    struct errmsg why;
    struct checkpoint cp;
    enum err err = s->backend->part(s->db, slot->id, PART_CHAIN, &chain, &why);
    bool current = err == ERR_OK && slice_eq(buf_slice(&chain),
                                             buf_slice(&s->env.signer->chain));
    buf_fini(&chain);
    slot->chain_current = current;
    return current ? checkpoint_verify(note, s->federation, s->env.suite,
                                       s->env.signer->cert, &cp)
                   : ERR_OK;
}

static enum err compare_note(const struct store *s, const struct store_head *h,
                             struct slice note)
{
    struct checkpoint cp;
    enum err err = checkpoint_parse(note, s->federation, &cp);
    bool fits = err == ERR_OK && log_id_eq(&cp.log, &h->log) &&
                cp.size == h->newest.size && hash_eq(&cp.root, &h->newest.root);
    return err == ERR_OK && !fits ? ERR_BAD_PROOF : err;
}

static enum err check_note(struct store *s, struct log_slot *slot,
                           const struct store_head *h)
{
    struct buf note = BUF_INIT;
    struct errmsg why;
    enum err err = s->backend->part(s->db, slot->id, PART_NOTE, &note, &why);
    if (err == ERR_OK) {
        err = compare_note(s, h, buf_slice(&note));
    }
    if (err == ERR_OK && slot->own) {
        err = check_own_note(s, slot, buf_slice(&note));
    }
    buf_fini(&note);
    return err;
}

static enum err compare_head(struct store *s, struct log_slot *slot,
                             const struct store_head *h)
{
    struct hash root;
    struct frontier *kept = MEM_NEW(struct frontier);
    struct tree_view view = slot_view(slot, h->frontier.size);
    enum err err = tree_frontier(&view, h->frontier.size, kept);
    if (err == ERR_OK) {
        frontier_root(kept, s->env.suite, &root);
        err = hash_eq(&root, &h->root) ? ERR_OK : ERR_CORRUPT;
    }
    bool bridged = h->bridge.size > 0;
    if (err == ERR_OK && bridged) {
        err = bridge_root(kept, s->env.suite, &h->bridge, &root);
        err = err == ERR_OK && !hash_eq(&root, &h->newest.root) ? ERR_CORRUPT
                                                                : err;
    }
    mem_free(kept);
    return err == ERR_OK ? check_note(s, slot, h) : err;
}

enum err recover_check_head(struct store *s, struct log_slot *slot,
                            const struct store_head *h, struct errmsg *why)
{
    char log[LOG_ID_TEXT_MAX];
    enum err err = compare_head(s, slot, h);
    if (err == ERR_OK) {
        return ERR_OK;
    }
    log_id_format(&slot->log, log);
    return err_is_passing(err)
               ? err_set(why, err,
                         "store %s: log %s: its head cannot be read now "
                         "(%s): look at the disk and the limit of open files, "
                         "and start again",
                         s->conf.path, log, err_text(err))
               : err_set(why, ERR_CORRUPT,
                         "store %s: log %s: its head does not fit what is "
                         "stored (%s): restore a backup, or empty the folder "
                         "and fetch everything again",
                         s->conf.path, log, err_text(err));
}

struct notes_read {
    struct store *s;
    struct head *head; /* room for one */
};

/* Of a log of others whose checkpoint fits its head, the rest can wait. */
static bool on_note(void *ctx, uint32_t id, struct slice note)
{
    const struct notes_read *r = ctx;
    struct log_slot *slot = heads_at(&r->s->heads, id);
    if (slot != NULL && !slot->own && slot->state != LOG_ABSENT) {
        slot->unproven =
            head_decode(buf_slice(&slot->coded), r->head) == ERR_OK &&
            compare_note(r->s, &r->head->h, note) == ERR_OK;
    }
    return true;
}

enum err recover_check_heads(struct store *s, struct errmsg *why)
{
    struct head *head = MEM_NEW(struct head);
    struct notes_read r = {s, head};
    enum err err = s->backend->distant
                       ? s->backend->parts(s->db, PART_NOTE, on_note, &r, why)
                       : ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < s->heads.n; i++) {
        struct log_slot *slot = s->heads.sorted[i];
        if (slot->state == LOG_ABSENT || slot->unproven) {
            continue;
        }
        err = head_decode(buf_slice(&slot->coded), head);
        if (err == ERR_OK) {
            err = recover_check_head(s, slot, &head->h, why);
        }
    }
    mem_free(head);
    return err;
}

/* Only logs whose head is at their end here: no other end was ever signed
 * under it. */
static enum err touch_for_renewal(struct group *g, struct log_slot *slot,
                                  struct errmsg *why)
{
    struct touched *t;
    bool whole = slot->state == LOG_ACTIVE || slot->state == LOG_CLOSED;
    if (!slot->own || !whole || slot->chain_current) {
        return ERR_OK;
    }
    enum err err = group_touch(g, slot, &t, why);
    if (err == ERR_OK && t->head.h.newest.size == t->head.h.frontier.size) {
        t->dirty = true;
        t->sign = true;
    }
    return err;
}

enum err recover_renew_notes(struct store *s, struct errmsg *why)
{
    struct group g;
    enum err err = ERR_OK;
    group_init(&g, s);
    for (size_t i = 0; err == ERR_OK && i < s->heads.n; i++) {
        err = touch_for_renewal(&g, s->heads.sorted[i], why);
    }
    if (err == ERR_OK) {
        err = group_commit(&g, why);
    }
    group_fini(&g);
    /* With a full disk the old signature serves until there is room. */
    return err == ERR_NO_SPACE ? ERR_OK : err;
}

static enum err do_renew(struct store *s, void *ctx, struct errmsg *why)
{
    const struct identity *const *signer = ctx;
    s->env.signer = *signer;
    for (size_t i = 0; i < s->heads.n; i++) {
        s->heads.sorted[i]->chain_current = false;
    }
    return recover_renew_notes(s, why);
}

enum err store_renew(struct store *store, const struct identity *signer,
                     struct errmsg *why)
{
    return writer_job(store, do_renew, &signer, why);
}

struct issue_count {
    int64_t n;
    bool waiting;
};

static bool on_issue(void *ctx, uint32_t log, uint64_t number, uint8_t reason)
{
    struct issue_count *c = ctx;
    (void)log;
    (void)number;
    c->n++;
    c->waiting = c->waiting || reason_waits(reason) ||
                 reason_is_of_build(reason) || reason == REASON_CONFLICT;
    return true;
}

/* Keys may have come just before the last stop, and a later build since. */
enum err recover_count_issues(struct store *s, struct errmsg *why)
{
    struct issue_count c = {0};
    enum err err = s->backend->issues(s->db, atomic_load(&s->generation), 0, 0,
                                      on_issue, &c, why);
    if (err == ERR_OK) {
        atomic_store(&s->issues, c.n);
    }
    if (c.waiting) {
        index_rejudge_all(s);
    }
    return err;
}

void recover_recount_issues(struct store *s)
{
    struct errmsg why;
    enum err err = read_failed(s, recover_count_issues(s, &why), &why);
    if (err != ERR_OK) {
        index_rejudge_all(s); /* whether any waits for a key is not known */
        log_warn(&s->log, "STORE-ISSUES",
                 "cause=\"%s\" effect=\"their number in the state is that of "
                 "before, until the next start\"",
                 why.text);
    }
}

/* ---- walking a log ---- */

static bool on_walk(void *ctx, uint64_t first, struct slice block)
{
    struct walk *w = ctx;
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t count;
    w->bad = first > w->next ||
             block_unpack(w->codec, block, slots, &count) != ERR_OK;
    if (w->bad) {
        return false;
    }
    for (size_t i = 0; i < count && w->next <= w->size; i++) {
        if (first + i == w->next) {
            w->entry(w, w->next, &slots[i]);
            w->next++;
        }
    }
    return ++w->blocks % WALK_BLOCKS != 0 && w->next <= w->size;
}

enum err walk_run(struct walk *w, struct errmsg *why)
{
    struct store *s = w->slot->store;
    uint64_t from = w->next;
    enum err err = db_enter(s);
    if (err != ERR_OK) {
        return err_set(why, err, "store %s is away", s->conf.path);
    }
    err = s->backend->blocks(s->db, w->slot->id, from, true, on_walk, w, why);
    db_leave(s);
    if (err == ERR_OK && (w->bad || w->next == from)) {
        err = err_set(why, ERR_CORRUPT,
                      "block for number %llu is missing or damaged",
                      (unsigned long long)w->next);
    }
    return err;
}

/* ---- reindex ---- */

struct reindex {
    store_progress_fn *progress;
    void *ctx;
    _Atomic uint64_t done;
    _Atomic uint64_t total;
    _Atomic bool stop; /* who waits for it does not want it any more */
    uint8_t generation;
    struct judged *judged; /* of one run */
    struct list_row *rows; /* the same, of a directives log */
    uint64_t first;
    size_t n;
};

static void on_reindex_entry(struct walk *w, uint64_t number,
                             const struct slot *slot)
{
    struct reindex *r = w->ctx;
    if (r->n == 0) {
        r->first = number;
    }
    if (w->slot->log.kind == LOG_DIRECTIVES) {
        lists_row(w->slot, number, slot, &r->rows[r->n]);
    }
    index_judge(w->slot->store, &w->slot->log, number, slot,
                &r->judged[r->n++]);
}

static enum err reindex_write(struct store *s, struct reindex *r,
                              struct log_slot *slot, struct errmsg *why)
{
    struct group g;
    group_init(&g, s);
    g.rows.generation = r->generation;
    struct item item = {.judged = r->judged, .entries = r->n};
    enum err err = group_read_rows(&g, &item, false, why);
    bool lists = slot->log.kind == LOG_DIRECTIVES;
    for (size_t i = 0; err == ERR_OK && i < r->n; i++) {
        if (!lists) {
            group_index(&g, slot, r->first + i, &r->judged[i]);
        } else if (r->rows[i].number != 0) {
            group_put_list_row(&g, &r->rows[i]);
        }
    }
    if (err == ERR_OK) {
        err = group_commit(&g, why);
    }
    group_fini(&g);
    (void)atomic_fetch_add(&r->done, r->n);
    r->n = 0;
    if (err == ERR_OK && (atomic_load(&r->stop) || atomic_load(&s->stopping))) {
        err = err_set(why, ERR_CANCELLED,
                      "ended before the new index was whole: the old one stays "
                      "in use");
    }
    return err;
}

static enum err reindex_log(struct store *s, struct reindex *r,
                            struct log_slot *slot, struct errmsg *why)
{
    struct walk w = {.slot = slot,
                     .next = 1,
                     .size = slot->size,
                     .entry = on_reindex_entry,
                     .ctx = r};
    w.codec = codec_take(&s->cache);
    enum err err = ERR_OK;
    while (err == ERR_OK && w.next <= w.size) {
        err = walk_run(&w, why);
        if (err == ERR_OK) {
            err = reindex_write(s, r, slot, why);
        }
    }
    codec_give(&s->cache, w.codec);
    return err == ERR_OK && slot->log.kind == LOG_DIRECTIVES
               ? lists_judge(s, slot, r->generation, why)
               : err;
}

static enum err drop_generation(struct store *s, uint8_t drop, uint8_t use,
                                struct errmsg *why)
{
    void *batch = s->backend->batch_new(s->db);
    if (drop != 0) {
        s->backend->drop_index(batch, drop);
    }
    if (use != 0) {
        s->backend->put_meta(batch, META_GENERATION, slice_of(&use, 1));
        put_keyring(s, batch);
    }
    enum err err = writer_commit(s, batch, why);
    s->backend->batch_free(batch);
    if (use != 0 && err == ERR_OK) {
        atomic_store(&s->other_keyring, false);
    }
    return err;
}

/* Readers go on in the old index until the new one is whole. */
static enum err switch_generation(struct store *s, uint8_t old, uint8_t new,
                                  struct errmsg *why)
{
    enum err err = drop_generation(s, 0, new, why);
    if (err != ERR_OK) {
        return err;
    }
    db_change_begin(s); /* no reader is in the old one */
    atomic_store(&s->generation, new);
    db_change_end(s);
    err = drop_generation(s, old, 0, why);
    if (err == ERR_OK) {
        recover_recount_issues(s);
    }
    return err;
}

static enum err do_reindex(struct store *s, void *ctx, struct errmsg *why)
{
    struct reindex *r = ctx;
    uint8_t old = atomic_load(&s->generation);
    int64_t issues = atomic_load(&s->issues);
    r->generation = old == 1 ? 2 : 1;
    atomic_store(&r->total, s->heads.entries);
    r->judged =
        mem_zalloc((size_t)WALK_BLOCKS * BLOCK_ENTRIES_MAX, sizeof(*r->judged));
    r->rows =
        mem_zalloc((size_t)WALK_BLOCKS * BLOCK_ENTRIES_MAX, sizeof(*r->rows));
    enum err err = drop_generation(s, r->generation, 0, why);
    for (uint32_t id = 1; err == ERR_OK && id < s->heads.ids; id++) {
        struct log_slot *slot = heads_at(&s->heads, id);
        if (slot != NULL && slot->state != LOG_ABSENT) {
            err = reindex_log(s, r, slot, why);
        }
    }
    if (err == ERR_OK) {
        /* Those of the new index were counted beside those of the old one. */
        (void)atomic_fetch_sub(&s->issues, issues);
        err = switch_generation(s, old, r->generation, why);
    }
    if (atomic_load(&s->generation) == old) {
        atomic_store(&s->issues, issues);
    }
    mem_free(r->judged);
    mem_free(r->rows);
    return read_failed(s, err, why);
}

enum err recover_index(struct store *s, struct errmsg *why)
{
    struct reindex r = {.progress = NULL};
    bool there = atomic_load(&s->generation) != 0 && s->role != ROLE_MENDED;
    return there ? ERR_OK : do_reindex(s, &r, why);
}

/* Not on the writer thread: whom it tells may be slow. */
static void tell_reindex(void *ctx)
{
    struct reindex *r = ctx;
    if (r->progress != NULL &&
        !r->progress(r->ctx, atomic_load(&r->done), atomic_load(&r->total))) {
        atomic_store(&r->stop, true);
    }
}

enum err store_reindex(struct store *store, store_progress_fn *progress,
                       void *ctx, struct errmsg *why)
{
    struct reindex r = {.progress = progress, .ctx = ctx};
    struct errmsg unused;
    enum err err = writer_job_watched(store, do_reindex, tell_reindex, &r,
                                      why != NULL ? why : &unused);
    if (err == ERR_OK) {
        tell_reindex(&r);
    }
    return err;
}

/* ---- scrub ---- */

/* Leaves are compared in aligned sixteens with the stored node above them, so
 * that one fault does not hide the next. */
struct scrub {
    struct store *s;
    store_fault_fn *bad;
    store_progress_fn *progress;
    void *ctx;
    uint64_t done;
    uint64_t total;
    size_t faults;
    enum err unread; /* the first read that says nothing about the store;
                        ERR_CANCELLED: it is to end */
    uint64_t size;   /* of the log at work */
    struct frontier sixteen;
    bool whole; /* every leaf of this sixteen was seen */
    struct sixteen {
        uint64_t index;
        struct hash hash;
    } * sixteens; /* of one run */
    size_t n;
};

/* One place that cannot be read does not hide the others; a server that is
 * away does, and would be waited for at each. */
static bool stopped(const struct scrub *c)
{
    return c->unread != ERR_OK && c->unread != ERR_IO;
}

static void tell_scrub(struct scrub *c)
{
    if (!stopped(c) && c->progress != NULL &&
        !c->progress(c->ctx, c->done, c->total)) {
        c->unread = ERR_CANCELLED;
    }
}

/* A log that was cut meanwhile has no fault. */
static void fault(struct scrub *c, struct log_slot *slot, uint64_t number,
                  const char *what)
{
    struct store_head head;
    char log[LOG_ID_TEXT_MAX];
    char text[DAMAGE_MAX];
    if (stopped(c) || store_head(c->s, &slot->log, &head) != ERR_OK ||
        head.frontier.size < c->size) {
        return;
    }
    c->faults++;
    c->bad(c->ctx, &slot->log, number, what);
    log_id_format(&slot->log, log);
    (void)snprintf(text, sizeof text, "log %s, number %llu: %.160s", log,
                   (unsigned long long)number, what);
    store_damaged(c->s, text);
}

/* No fault if the read failed for a reason that passes. */
static void failed_read(struct scrub *c, struct log_slot *slot, uint64_t number,
                        enum err err, const char *what)
{
    if (!err_is_passing(err)) {
        fault(c, slot, number, what);
    } else if (c->unread == ERR_OK || c->unread == ERR_IO) {
        c->unread = err;
    }
}

static void check_node(struct scrub *c, struct log_slot *slot, unsigned level,
                       uint64_t index, const struct hash *hash)
{
    struct hash stored;
    enum err err = store_tree_node(slot, level, index, &stored);
    if (err != ERR_OK) {
        failed_read(c, slot, (index << level) + 1, err,
                    "tree node missing or damaged");
    } else if (!hash_eq(&stored, hash)) {
        fault(c, slot, (index << level) + 1,
              "entries from here do not fit the tree");
    }
}

static void on_scrub_entry(struct walk *w, uint64_t number,
                           const struct slot *slot)
{
    struct scrub *c = w->ctx;
    struct hash hash = slot->leaf;
    if (slot->entry.data != NULL) {
        suite_hash_leaf(c->s->env.suite, slot->entry, &hash);
    }
    if ((number - 1) % GROUP16 == 0) {
        c->sixteen.size = 0;
        c->whole = true;
    }
    frontier_append(&c->sixteen, c->s->env.suite, &hash, NULL, NULL);
    if (number % GROUP16 == 0 && c->whole) {
        frontier_root(&c->sixteen, c->s->env.suite, &hash);
        c->sixteens[c->n++] = (struct sixteen){(number - 1) / GROUP16, hash};
    }
    c->done++;
}

/* After the run, in which the database is locked. */
static void check_sixteens(struct scrub *c, struct log_slot *slot)
{
    for (size_t i = 0; i < c->n; i++) {
        check_node(c, slot, TREE_STRIDE, c->sixteens[i].index,
                   &c->sixteens[i].hash);
    }
    c->n = 0;
}

/* A node above level 4 from the sixteen below it. */
static void scrub_node(struct scrub *c, struct log_slot *slot, unsigned level,
                       uint64_t index)
{
    struct frontier f = {0};
    struct hash hash;
    for (uint64_t k = 0; k < GROUP16; k++) {
        enum err err = store_tree_node(slot, level - TREE_STRIDE,
                                       index * GROUP16 + k, &hash);
        if (err_is_passing(err)) {
            failed_read(c, slot, (index << level) + 1, err, "");
        }
        if (err != ERR_OK) {
            return; /* a fault was said when that level was looked at */
        }
        frontier_append(&f, c->s->env.suite, &hash, NULL, NULL);
    }
    frontier_root(&f, c->s->env.suite, &hash);
    check_node(c, slot, level, index, &hash);
}

static void scrub_level(struct scrub *c, struct log_slot *slot, unsigned level,
                        uint64_t nodes)
{
    for (uint64_t i = 0; i < nodes && !stopped(c); i++) {
        scrub_node(c, slot, level, i);
        if (i % TELL_NODES == TELL_NODES - 1) {
            tell_scrub(c);
        }
    }
}

static void scrub_nodes(struct scrub *c, struct log_slot *slot, uint64_t size)
{
    for (unsigned level = 2 * TREE_STRIDE; size >> level > 0;
         level += TREE_STRIDE) {
        scrub_level(c, slot, level, size >> level);
    }
}

static void scrub_root(struct scrub *c, struct log_slot *slot,
                       const struct head *head)
{
    uint64_t size = head->h.frontier.size;
    struct tree_view view = slot_view(slot, size);
    struct hash root;
    enum err err = tree_root(&view, size, &root);
    if (err != ERR_OK) {
        failed_read(c, slot, size, err, "tree cannot be read");
    } else if (!hash_eq(&root, &head->h.root)) {
        fault(c, slot, size, "tree does not fit the head");
    }
}

static void scrub_log(struct scrub *c, struct log_slot *slot,
                      const struct head *head)
{
    struct errmsg why;
    struct walk w = {.slot = slot,
                     .next = 1,
                     .size = head->h.frontier.size,
                     .entry = on_scrub_entry,
                     .ctx = c};
    c->size = w.size;
    c->sixteens = mem_zalloc(WALK_BLOCKS * BLOCK_ENTRIES_MAX / GROUP16 + 1,
                             sizeof *c->sixteens);
    w.codec = codec_take(&c->s->cache);
    while (w.next <= w.size && !stopped(c)) {
        enum err err = walk_run(&w, &why);
        check_sixteens(c, slot);
        if (err != ERR_OK) {
            failed_read(c, slot, w.next, err, why.text);
            c->whole = false;
            /* On with the next sixteen. */
            w.next = (w.next - 1) / GROUP16 * GROUP16 + GROUP16 + 1;
            w.bad = false;
        }
        tell_scrub(c);
    }
    codec_give(&c->s->cache, w.codec);
    mem_free(c->sixteens);
    scrub_nodes(c, slot, w.size);
    scrub_root(c, slot, head);
}

/* What no log's walk reads: rows of the index, heads, old pages. */
static void scrub_pages(struct scrub *c)
{
    struct store *s = c->s;
    struct errmsg why;
    struct buf cursor = BUF_INIT;
    enum err err = ERR_OK;
    bool more = s->backend->check != NULL;
    while (more && !stopped(c)) {
        err = db_enter(s);
        if (err == ERR_OK) {
            err = s->backend->check(s->db, &cursor, &why);
            db_leave(s);
            (void)read_failed(s, err, &why);
        }
        more = err == ERR_OK && cursor.len > 0;
        tell_scrub(c);
    }
    buf_fini(&cursor);
    if (err == ERR_CORRUPT) {
        struct log_id own = store_own_log(s);
        c->faults++;
        c->bad(c->ctx, &own, 0, why.text);
    } else if (err != ERR_OK && c->unread == ERR_OK) {
        c->unread = err;
    }
}

enum err store_scrub(struct store *store, store_fault_fn *bad,
                     store_progress_fn *progress, void *ctx)
{
    struct scrub c = {.s = store, .bad = bad, .progress = progress, .ctx = ctx};
    struct store_stats stats;
    store_stats(store, &stats);
    c.total = stats.entries;
    cache_clear(&store->cache);
    struct head *head = MEM_NEW(struct head);
    uint32_t ids = heads_ids(&store->heads);
    for (uint32_t id = 1; id < ids && !stopped(&c); id++) {
        struct log_slot *slot = heads_at(&store->heads, id);
        if (slot != NULL && heads_copy(&store->heads, slot, head) == ERR_OK) {
            scrub_log(&c, slot, head);
        }
    }
    mem_free(head);
    scrub_pages(&c);
    return c.faults == 0 || c.unread == ERR_CANCELLED ? c.unread : ERR_CORRUPT;
}
