#include <string.h>

#include "base/mem.h"
#include "store/store_lists.h"

static const char *const state_names[] = {
    [LOG_ABSENT] = "absent",   [LOG_ACTIVE] = "active", [LOG_CLOSED] = "closed",
    [LOG_PULLING] = "pulling", [LOG_FORKED] = "forked",
};

const char *log_state_name(enum log_state state)
{
    return (size_t)state < ARRAY_LEN(state_names) ? state_names[state] : "?";
}

/* ---- form on disk ---- */

static struct hash get_hash(struct reader *r)
{
    struct hash h = {{0}};
    struct slice s = reader_bytes(r, HASH_LEN);
    if (s.data != NULL) {
        memcpy(h.b, s.data, HASH_LEN);
    }
    return h;
}

void head_encode(const struct head *head, struct buf *out)
{
    const struct store_head *h = &head->h;
    log_id_put(out, &h->log);
    buf_put_u8(out, (uint8_t)h->state);
    buf_put_u8(out, h->own);
    frontier_put(out, &h->frontier);
    buf_put(out, h->root.b, HASH_LEN);
    buf_put_u64(out, h->newest.size);
    buf_put(out, h->newest.root.b, HASH_LEN);
    buf_put_u64(out, (uint64_t)h->newest.at_ms);
    bridge_put(out, &h->bridge);
    buf_put_u64(out, head->limit);
    buf_put(out, head->limit_root.b, HASH_LEN);
}

enum err head_decode(struct slice coded, struct head *out)
{
    struct reader r = reader_of(coded);
    struct store_head *h = &out->h;
    h->log = log_id_get(&r);
    uint8_t state = reader_u8(&r);
    h->state = (enum log_state)state;
    h->own = reader_u8(&r) != 0;
    frontier_get(&r, &h->frontier);
    h->root = get_hash(&r);
    h->newest.log = h->log;
    h->newest.size = reader_u64(&r);
    h->newest.root = get_hash(&r);
    h->newest.at_ms = (int64_t)reader_u64(&r);
    bridge_get(&r, &h->bridge);
    out->limit = reader_u64(&r);
    out->limit_root = get_hash(&r);
    h->end = out->limit;
    return reader_done(&r) && state <= LOG_FORKED ? ERR_OK : ERR_CORRUPT;
}

/* ---- the table ---- */

void heads_init(struct heads *heads)
{
    (void)pthread_mutex_init(&heads->lock, NULL);
    heads->ids = 1;
}

static void slot_free(struct log_slot *slot)
{
    buf_fini(&slot->coded);
    lists_free(&slot->lists);
    mem_free(slot);
}

void heads_fini(struct heads *heads)
{
    for (size_t i = 0; i < heads->n; i++) {
        slot_free(heads->sorted[i]);
    }
    mem_free(heads->by_id);
    mem_free(heads->sorted);
    mem_free(heads->directives);
    (void)pthread_mutex_destroy(&heads->lock);
}

/* Place of the first slot that is not before `log`. */
static size_t place_of(const struct heads *heads, const struct log_id *log)
{
    size_t lo = 0;
    size_t hi = heads->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (log_id_cmp(&heads->sorted[mid]->log, log) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static struct log_slot *find_locked(const struct heads *heads,
                                    const struct log_id *log)
{
    size_t at = place_of(heads, log);
    if (at == heads->n || !log_id_eq(&heads->sorted[at]->log, log)) {
        return NULL;
    }
    return heads->sorted[at];
}

struct log_slot *heads_find(struct heads *heads, const struct log_id *log)
{
    (void)pthread_mutex_lock(&heads->lock);
    struct log_slot *slot = find_locked(heads, log);
    (void)pthread_mutex_unlock(&heads->lock);
    return slot;
}

struct log_slot *heads_at(struct heads *heads, uint32_t id)
{
    (void)pthread_mutex_lock(&heads->lock);
    struct log_slot *slot = id < heads->ids ? heads->by_id[id] : NULL;
    (void)pthread_mutex_unlock(&heads->lock);
    return slot;
}

static void grow(struct heads *heads, uint32_t id)
{
    if (heads->n == heads->cap) {
        heads->cap = heads->cap < 8 ? 8 : heads->cap * 2;
        heads->sorted =
            mem_realloc(heads->sorted, heads->cap * sizeof(struct log_slot *));
    }
    if (id >= heads->ids_cap) {
        uint32_t cap = id < 8 ? 16 : id * 2;
        heads->by_id =
            mem_realloc(heads->by_id, cap * sizeof(struct log_slot *));
        memset(heads->by_id + heads->ids_cap, 0,
               (cap - heads->ids_cap) * sizeof(struct log_slot *));
        heads->ids_cap = cap;
    }
}

/* The numbers of logs whose first commit failed stay unused. */
static struct log_slot *insert_locked(struct store *s, const struct log_id *log,
                                      uint32_t id)
{
    struct heads *heads = &s->heads;
    grow(heads, id);
    size_t at = place_of(heads, log);
    struct log_slot *slot = MEM_NEW(struct log_slot);
    slot->store = s;
    slot->id = id;
    slot->log = *log;
    memmove(heads->sorted + at + 1, heads->sorted + at,
            (heads->n - at) * sizeof(struct log_slot *));
    heads->sorted[at] = slot;
    heads->n++;
    heads->by_id[id] = slot;
    if (log->kind == LOG_DIRECTIVES) {
        heads->directives =
            mem_realloc(heads->directives,
                        (heads->directives_n + 1) * sizeof(struct log_slot *));
        heads->directives[heads->directives_n++] = slot;
    }
    heads->ids = id + 1 > heads->ids ? id + 1 : heads->ids;
    return slot;
}

struct log_slot *heads_add(struct store *s, const struct log_id *log)
{
    (void)pthread_mutex_lock(&s->heads.lock);
    struct log_slot *slot = find_locked(&s->heads, log);
    if (slot == NULL) {
        slot = insert_locked(s, log, s->heads.ids);
    }
    (void)pthread_mutex_unlock(&s->heads.lock);
    return slot;
}

enum err heads_add_at(struct store *s, const struct log_id *log, uint32_t id)
{
    struct heads *heads = &s->heads;
    (void)pthread_mutex_lock(&heads->lock);
    const struct log_slot *slot = find_locked(heads, log);
    bool free_id = id >= heads->ids || heads->by_id[id] == NULL;
    bool fits = slot != NULL ? slot->id == id : free_id;
    if (fits && slot == NULL) {
        (void)insert_locked(s, log, id);
    }
    (void)pthread_mutex_unlock(&heads->lock);
    return fits ? ERR_OK : ERR_CONFLICT;
}

/* heads.lock held. */
static void publish_locked(struct heads *heads, struct log_slot *slot,
                           const struct head *head, struct buf *coded)
{
    heads->entries += head->h.frontier.size - slot->size;
    slot->state = head->h.state;
    slot->own = head->h.own;
    slot->size = head->h.frontier.size;
    slot->ended = head->limit != 0 && slot->size >= head->limit;
    buf_fini(&slot->coded);
    slot->coded = *coded;
    *coded = (struct buf)BUF_INIT;
}

void heads_publish(struct heads *heads, struct touched *t, struct buf *coded)
{
    (void)pthread_mutex_lock(&heads->lock);
    publish_locked(heads, t->slot, &t->head, coded);
    lists_publish(t);
    (void)pthread_mutex_unlock(&heads->lock);
}

/* ---- loading ---- */

struct load {
    struct store *s;
    enum err err;
    struct errmsg *why;
};

static bool load_head(void *ctx, uint32_t id, struct slice value)
{
    struct load *l = ctx;
    struct head *head = MEM_NEW(struct head);
    l->err = head_decode(value, head);
    if (l->err == ERR_OK && find_locked(&l->s->heads, &head->h.log) == NULL) {
        struct log_slot *slot = insert_locked(l->s, &head->h.log, id);
        struct buf coded = BUF_INIT;
        buf_put_slice(&coded, value);
        publish_locked(&l->s->heads, slot, head, &coded);
    } else {
        l->err = err_set(l->why, ERR_CORRUPT,
                         "store: head of log %u cannot be read", id);
    }
    mem_free(head);
    return l->err == ERR_OK;
}

static bool load_above(void *ctx, uint32_t id, struct slice value)
{
    struct load *l = ctx;
    struct log_slot *slot = heads_at(&l->s->heads, id);
    struct reader r = reader_of(value);
    while (slot != NULL && reader_left(&r) > 0 && slot->above_n < ABOVE_MAX) {
        struct store_above a = {.tier = (enum tier)reader_u8(&r)};
        a.code = reader_u64(&r);
        a.size = reader_u64(&r);
        if (!r.bad) {
            slot->above[slot->above_n++] = a;
        }
    }
    return true;
}

enum err heads_load(struct store *s, struct errmsg *why)
{
    struct load l = {s, ERR_OK, why};
    enum err err = s->backend->parts(s->db, PART_HEAD, load_head, &l, why);
    if (err == ERR_OK) {
        err = l.err;
    }
    if (err == ERR_OK) {
        err = s->backend->parts(s->db, PART_ABOVE, load_above, &l, why);
    }
    return err;
}

/* Both are to be freed, whatever comes of it. */
static enum err read_head(struct store *s, uint32_t id, struct head *head,
                          struct buf *coded, struct errmsg *why)
{
    enum err err = s->backend->part(s->db, id, PART_HEAD, coded, why);
    if (err == ERR_OK && head_decode(buf_slice(coded), head) != ERR_OK) {
        err = err_set(why, ERR_CORRUPT, "store: head of log %u cannot be read",
                      id);
    }
    return err;
}

enum err heads_read(struct log_slot *slot, struct errmsg *why)
{
    struct store *s = slot->store;
    struct buf coded = BUF_INIT;
    struct head *head = MEM_NEW(struct head);
    enum err err = read_head(s, slot->id, head, &coded, why);
    if (err == ERR_OK) {
        (void)pthread_mutex_lock(&s->heads.lock);
        publish_locked(&s->heads, slot, head, &coded);
        (void)pthread_mutex_unlock(&s->heads.lock);
    }
    buf_fini(&coded);
    mem_free(head);
    return err;
}

/* Not growth alone: blocks that are kept unpacked may be other ones now. */
static bool was_cut(const struct log_slot *slot, const struct head *head)
{
    return slot->state != LOG_ABSENT &&
           (head->h.frontier.size < slot->size ||
            (head->h.own && head->h.state != slot->state));
}

enum err heads_follow(struct store *s, uint32_t id, bool *cut,
                      struct errmsg *why)
{
    struct buf coded = BUF_INIT;
    struct head *head = MEM_NEW(struct head);
    enum err err = read_head(s, id, head, &coded, why);
    if (err == ERR_OK && heads_add_at(s, &head->h.log, id) != ERR_OK) {
        err = err_set(why, ERR_CORRUPT, "store: head of log %u cannot be read",
                      id);
    }
    if (err == ERR_OK) {
        struct log_slot *slot = heads_at(&s->heads, id);
        (void)pthread_mutex_lock(&s->heads.lock);
        *cut = *cut || was_cut(slot, head);
        publish_locked(&s->heads, slot, head, &coded);
        (void)pthread_mutex_unlock(&s->heads.lock);
    }
    buf_fini(&coded);
    mem_free(head);
    return err;
}

/* ---- reading ---- */

uint32_t heads_ids(struct heads *heads)
{
    (void)pthread_mutex_lock(&heads->lock);
    uint32_t ids = heads->ids;
    (void)pthread_mutex_unlock(&heads->lock);
    return ids;
}

enum err heads_copy(struct heads *heads, struct log_slot *slot,
                    struct head *out)
{
    enum err err = ERR_NOT_FOUND;
    (void)pthread_mutex_lock(&heads->lock);
    if (slot->state != LOG_ABSENT) {
        err = head_decode(buf_slice(&slot->coded), out);
    }
    (void)pthread_mutex_unlock(&heads->lock);
    return err;
}

enum err store_head(struct store *store, const struct log_id *log,
                    struct store_head *out)
{
    struct head head;
    struct log_slot *slot = heads_find(&store->heads, log);
    enum err err =
        slot != NULL ? heads_copy(&store->heads, slot, &head) : ERR_NOT_FOUND;
    if (err == ERR_OK) {
        *out = head.h;
    }
    return err;
}

static struct log_id *copy_names(struct heads *heads, bool directives,
                                 size_t *n)
{
    (void)pthread_mutex_lock(&heads->lock);
    struct log_slot **slots = directives ? heads->directives : heads->sorted;
    *n = directives ? heads->directives_n : heads->n;
    struct log_id *ids = mem_alloc((*n + 1) * sizeof(*ids));
    for (size_t i = 0; i < *n; i++) {
        ids[i] = slots[i]->log;
    }
    (void)pthread_mutex_unlock(&heads->lock);
    return ids;
}

/* Of the names only there is a copy; each head is taken when its turn comes. */
static void each_log(struct store *store, bool directives, store_log_fn *fn,
                     void *ctx)
{
    size_t n;
    struct log_id *ids = copy_names(&store->heads, directives, &n);
    struct store_head *head = MEM_NEW(struct store_head);
    for (size_t i = 0; i < n; i++) {
        if (store_head(store, &ids[i], head) == ERR_OK && !fn(ctx, head)) {
            break;
        }
    }
    mem_free(head);
    mem_free(ids);
}

void store_logs(struct store *store, store_log_fn *fn, void *ctx)
{
    each_log(store, false, fn, ctx);
}

void store_directives(struct store *store, store_log_fn *fn, void *ctx)
{
    each_log(store, true, fn, ctx);
}

size_t store_log_count(struct store *store)
{
    struct heads *heads = &store->heads;
    size_t count = 0;
    (void)pthread_mutex_lock(&heads->lock);
    for (size_t i = 0; i < heads->n; i++) {
        count += heads->sorted[i]->state != LOG_ABSENT;
    }
    (void)pthread_mutex_unlock(&heads->lock);
    return count;
}

struct log_id store_own_log(struct store *store)
{
    return heads_at(&store->heads, atomic_load(&store->own_id))->log;
}

struct wanted {
    enum log_part part;
    struct buf *out; /* NULL: not wanted */
};

/* Appends parts of a log. ERR_NOT_FOUND: no such log here. */
static enum err read_parts(struct store *store, const struct log_id *log,
                           const struct wanted *wanted, size_t n)
{
    struct log_slot *slot = heads_find(&store->heads, log);
    if (slot == NULL) {
        return ERR_NOT_FOUND;
    }
    enum err err = db_enter(store);
    if (err != ERR_OK) {
        return err;
    }
    struct errmsg why;
    for (size_t i = 0; err == ERR_OK && i < n; i++) {
        if (wanted[i].out != NULL) {
            err = store->backend->part(store->db, slot->id, wanted[i].part,
                                       wanted[i].out, &why);
        }
    }
    db_leave(store);
    return read_failed(store, err, &why);
}

enum err store_note(struct store *store, const struct log_id *log,
                    struct buf *note, struct buf *chain)
{
    const struct wanted both[] = {{PART_NOTE, note}, {PART_CHAIN, chain}};
    return read_parts(store, log, both, ARRAY_LEN(both));
}

/* What group_fork() wrote: the reason with its length, then the note. */
static bool take_fork_note(struct slice value, struct buf *note)
{
    struct reader r = reader_of(value);
    (void)reader_bytes(&r, reader_u16(&r));
    struct slice rest = reader_bytes(&r, reader_left(&r));
    buf_put_slice(note, rest);
    return reader_done(&r) && rest.len > 0;
}

enum err store_fork_note(struct store *store, const struct log_id *log,
                         struct buf *note)
{
    struct buf value = BUF_INIT;
    const struct wanted fork = {PART_FORK, &value};
    enum err err = read_parts(store, log, &fork, 1);
    if (err == ERR_OK && !take_fork_note(buf_slice(&value), note)) {
        err = ERR_NOT_FOUND;
    }
    buf_fini(&value);
    return err;
}

/* ---- tiers above ---- */

void store_set_above(struct store *store, const struct log_id *log,
                     const struct store_above *above, size_t n)
{
    n = n < ABOVE_MAX ? n : ABOVE_MAX;
    (void)pthread_mutex_lock(&store->heads.lock);
    struct log_slot *slot = find_locked(&store->heads, log);
    if (slot != NULL) {
        if (n > 0) {
            memcpy(slot->above, above, n * sizeof(*above));
        }
        slot->above_n = n;
        slot->above_dirty = true;
        store->heads.above_dirty = true;
    }
    (void)pthread_mutex_unlock(&store->heads.lock);
}

size_t store_above(struct store *store, const struct log_id *log,
                   struct store_above out[ABOVE_MAX])
{
    size_t n = 0;
    (void)pthread_mutex_lock(&store->heads.lock);
    const struct log_slot *slot = find_locked(&store->heads, log);
    if (slot != NULL) {
        n = slot->above_n;
        memcpy(out, slot->above, n * sizeof(*out));
    }
    (void)pthread_mutex_unlock(&store->heads.lock);
    return n;
}

static void encode_above(const struct log_slot *slot, struct buf *out)
{
    for (size_t i = 0; i < slot->above_n; i++) {
        buf_put_u8(out, (uint8_t)slot->above[i].tier);
        buf_put_u64(out, slot->above[i].code);
        buf_put_u64(out, slot->above[i].size);
    }
}

void heads_write_above(struct store *s, void *batch)
{
    struct buf value = BUF_INIT;
    (void)pthread_mutex_lock(&s->heads.lock);
    size_t n = s->heads.above_dirty ? s->heads.n : 0;
    s->heads.above_dirty = false;
    s->heads.above_writing = n > 0;
    for (size_t i = 0; i < n; i++) {
        struct log_slot *slot = s->heads.sorted[i];
        if (slot->above_dirty && slot->state != LOG_ABSENT) {
            buf_clear(&value);
            encode_above(slot, &value);
            s->backend->put_part(batch, slot->id, PART_ABOVE,
                                 buf_slice(&value));
            slot->above_dirty = false;
            slot->above_writing = true;
        }
    }
    (void)pthread_mutex_unlock(&s->heads.lock);
    buf_fini(&value);
}

void heads_wrote_above(struct store *s, bool done)
{
    (void)pthread_mutex_lock(&s->heads.lock);
    size_t n = s->heads.above_writing ? s->heads.n : 0;
    s->heads.above_writing = false;
    for (size_t i = 0; i < n; i++) {
        struct log_slot *slot = s->heads.sorted[i];
        bool again = slot->above_writing && !done;
        slot->above_writing = false;
        slot->above_dirty = slot->above_dirty || again;
        s->heads.above_dirty = s->heads.above_dirty || again;
    }
    (void)pthread_mutex_unlock(&s->heads.lock);
}
