#include <string.h>

#include "base/mem.h"
#include "pure/impl.h"

enum {
    VARIANTS_MAX = 4,
    FORGET_MS =
        60000, /* what was said before a restore is on its way so long */
    SILENCE_SLACK_MS = 2000,
};

const struct pure_invariant pure_invariants[] = {
    {"numbers", "an entry has the number that its origin gave it, no gaps"},
    {"verified", "no entry is held that its origin did not commit"},
    {"entitled", "no log is held of a node that is not below its holder"},
    {"durable", "what a node acknowledged to a child survives its crash"},
    {"acknowledged", "a record once acknowledged is not lost"},
    {"once", "no record is in two places of the logs"},
    {"roots", "size and root are those of the entries that are held"},
    {"converged", "once nothing is wrong, every ancestor has the origin's "
                  "size and root"},
    {"fork", "a log of two trees is marked, and no other log is"},
    {"recovered", "a node that was put back ends its old log and goes on"},
    {"bounded", "bytes in flight and runs that wait stay within the window"},
    {"silence", "who is owed an answer hangs up when none comes"},
    {"lag", "what a node takes for acknowledged is above"},
    {"in-turn", "no end of a line says what its state forbids"},
    {NULL, NULL},
};

/* All leaves that its origin ever committed under one number. */
struct variants {
    struct hash leaf[VARIANTS_MAX];
    unsigned n;
};
struct log_truth {
    struct log_id log;   /* first: see logmap.h */
    struct variants *at; /* owned; number - 1 */
    uint64_t n;
    uint64_t cap;
    uint64_t end; /* that its successor named; 0: none */
    bool parted;  /* its origin committed two trees, or ended it too early */
};

struct record {
    const struct host *host; /* where it was entered */
    bool acked;
    bool away;      /* that host was put back: it must come back from above */
    bool excused;   /* no disk of the world had it any more */
    uint64_t aside; /* processes that ever had it set aside, a bit each */
};

struct promise {
    struct log_id log; /* first: see logmap.h */
    uint64_t size;
};

struct truth {
    struct world *w;
    struct logmap logs;
    struct record *record; /* owned; id - 1 */
    size_t records;
    size_t cap;
};

struct truth *truth_new(struct world *w)
{
    struct truth *t = MEM_NEW(struct truth);
    t->w = w;
    return t;
}

void truth_free(struct truth **t)
{
    for (size_t i = 0; i < (*t)->logs.count; i++) {
        mem_free(((struct log_truth *)(*t)->logs.item[i])->at);
    }
    logmap_free_all(&(*t)->logs);
    mem_free((*t)->record);
    mem_free(*t);
    *t = NULL;
}

/* ---- records ---- */

uint64_t truth_record(struct host *h)
{
    struct truth *t = h->w->truth;
    if (t->records == t->cap) {
        t->cap = t->cap == 0 ? 256 : 2 * t->cap;
        t->record = mem_realloc(t->record, t->cap * sizeof *t->record);
    }
    t->record[t->records++] = (struct record){.host = h};
    return t->records;
}

void truth_acked(struct host *h, const uint64_t *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        h->w->truth->record[records[i] - 1].acked = true;
    }
}

/* 0: not a record. */
static uint64_t record_of(struct slice bytes)
{
    struct entry e;
    return entry_decode(bytes, &e) == ERR_OK && e.type == ENTRY_RECORD
               ? be_get64(e.record_key)
               : 0;
}

static void count_in_log(const struct disk_log *l, uint8_t *seen)
{
    for (uint64_t i = 0; i < l->frontier.size; i++) {
        uint64_t id = record_of(l->entry[i]);
        if (id != 0 && seen[id - 1] < UINT8_MAX) {
            seen[id - 1]++;
        }
    }
}

static const struct log_truth *truth_of(const struct truth *t,
                                        const struct log_id *log)
{
    return logmap_find(&t->logs, log);
}

/* How often each record is on a disk. `sound`: only in logs of one tree. */
static void count_on_disk(const struct truth *t, const struct disk *d,
                          bool sound, uint8_t *seen)
{
    for (size_t i = 0; i < d->logs.count; i++) {
        const struct disk_log *l = d->logs.item[i];
        const struct log_truth *lt = truth_of(t, &l->log);
        if (!sound || (lt != NULL && !lt->parted)) {
            count_in_log(l, seen);
        }
    }
    for (size_t i = 0; i < d->aside_n; i++) {
        seen[record_of(d->aside[i]) - 1]++;
    }
}

static uint8_t *seen_new(const struct truth *t)
{
    return mem_zalloc(t->records + 1, 1);
}

/* ---- what origins write ---- */

static struct log_truth *touch(struct truth *t, const struct log_id *log)
{
    struct log_truth *lt = logmap_find(&t->logs, log);
    if (lt == NULL) {
        lt = MEM_NEW(struct log_truth);
        lt->log = *log;
        logmap_insert(&t->logs, lt);
    }
    return lt;
}

static bool is_variant(const struct variants *v, const struct hash *leaf)
{
    for (unsigned i = 0; i < v->n; i++) {
        if (hash_eq(&v->leaf[i], leaf)) {
            return true;
        }
    }
    return false;
}

void truth_written(struct host *h, const struct disk_log *l, uint64_t number,
                   const struct hash *leaf)
{
    struct log_truth *lt = touch(h->w->truth, &l->log);
    h->w->result->counts.entries++;
    if (number > lt->n + 1) {
        broken(h, "numbers", &l->log, number, "its origin skips from %llu",
               (unsigned long long)lt->n);
        return;
    }
    if (number > lt->cap) {
        lt->cap = lt->cap == 0 ? 128 : 2 * lt->cap;
        lt->at = mem_realloc(lt->at, lt->cap * sizeof *lt->at);
    }
    if (number > lt->n) {
        lt->at[lt->n++] = (struct variants){.n = 0};
    }
    struct variants *v = &lt->at[number - 1];
    if (!is_variant(v, leaf) && v->n < VARIANTS_MAX) {
        v->leaf[v->n++] = *leaf;
        lt->parted = lt->parted || v->n > 1;
    }
    lt->parted = lt->parted || (lt->end != 0 && number > lt->end);
}

void truth_ended(struct host *h, const struct log_id *log, uint64_t size)
{
    struct log_truth *lt = touch(h->w->truth, log);
    lt->parted = lt->parted || lt->n > size || lt->end != 0;
    lt->end = size;
}

/* ---- what others hold ---- */

static void check_place(struct host *h, const struct disk_log *l,
                        const struct log_truth *lt, uint64_t number,
                        const struct hash *leaf)
{
    if (number <= lt->n && is_variant(&lt->at[number - 1], leaf)) {
        return;
    }
    for (uint64_t i = 0; i < lt->n; i++) {
        if (is_variant(&lt->at[i], leaf)) {
            broken(h, "numbers", &l->log, number,
                   "it holds entry %llu in this place",
                   (unsigned long long)i + 1);
            return;
        }
    }
    broken(h, "verified", &l->log, number,
           "it holds an entry that the origin never committed");
}

void truth_held(struct host *h, const struct disk_log *l, uint64_t number,
                const struct hash *leaf)
{
    struct log_truth *lt = touch(h->w->truth, &l->log);
    int origin = fed_find(h->w->fed, l->log.origin);
    if (origin < 0 || !fed_covers(h->w->fed, h->node, origin)) {
        broken(h, "entitled", &l->log, number,
               "its origin is not below this node");
        return;
    }
    check_place(h, l, lt, number, leaf);
    if (h->node != origin) {
        lt->parted = lt->parted || (lt->end != 0 && number > lt->end);
    }
}

/* ---- what was promised ---- */

static void check_promise(struct host *h, const struct promise *p)
{
    const struct disk_log *l = disk_find(&h->disk, &p->log);
    uint64_t size = l != NULL ? l->frontier.size : 0;
    if (size < p->size) {
        broken(h, "durable", &p->log, size + 1,
               "a child was told that %llu entries are durable, there are %llu",
               (unsigned long long)p->size, (unsigned long long)size);
    }
}

void truth_promised(struct host *parent, const struct log_id *log,
                    uint64_t size)
{
    struct promise *p = logmap_find(&parent->promised, log);
    if (parent->restored &&
        parent->w->now_ms - parent->restored_at_ms < FORGET_MS) {
        return;
    }
    if (p == NULL) {
        p = MEM_NEW(struct promise);
        p->log = *log;
        logmap_insert(&parent->promised, p);
    }
    p->size = size > p->size ? size : p->size;
}

static bool is_home(const struct record *r, const struct host *h)
{
    return r->host == h && r->acked && !r->away && !r->excused;
}

static void check_tree(struct host *h, const struct disk_log *l)
{
    struct frontier f = {.size = 0};
    struct hash root;
    for (uint64_t i = 0; i < l->frontier.size; i++) {
        struct hash leaf;
        suite_hash_leaf(SUITE_INTL, l->entry[i], &leaf);
        frontier_append(&f, SUITE_INTL, &leaf, NULL, NULL);
    }
    frontier_root(&f, SUITE_INTL, &root);
    if (l->frontier.size > 0 && !hash_eq(&root, &l->root)) {
        broken(h, "roots", &l->log, l->frontier.size,
               "its entries do not give its root");
    }
}

void truth_crashed(struct host *h)
{
    struct truth *t = h->w->truth;
    uint8_t *seen = seen_new(t);
    count_on_disk(t, &h->disk, false, seen);
    for (size_t i = 0; i < t->records; i++) {
        if (is_home(&t->record[i], h) && seen[i] == 0) {
            broken(h, "acknowledged", &h->disk.own, 0,
                   "record %zu was acknowledged and did not survive", i + 1);
            break;
        }
    }
    for (size_t i = 0; i < h->disk.logs.count; i++) {
        check_tree(h, h->disk.logs.item[i]);
    }
    for (size_t i = 0; i < h->promised.count; i++) {
        check_promise(h, h->promised.item[i]);
    }
    mem_free(seen);
}

/* What no disk has is lost, and nobody could help it. */
static void excuse(struct truth *t)
{
    uint8_t *seen = seen_new(t);
    for (unsigned i = 0; i < t->w->hosts; i++) {
        count_on_disk(t, &t->w->host[i]->disk, false, seen);
    }
    for (size_t i = 0; i < t->records; i++) {
        t->record[i].excused = t->record[i].excused || seen[i] == 0;
    }
    mem_free(seen);
}

void truth_put_back(struct host *h)
{
    struct truth *t = h->w->truth;
    uint8_t *seen = seen_new(t);
    count_on_disk(t, &h->disk, false, seen);
    for (size_t i = 0; i < t->records; i++) {
        struct record *r = &t->record[i];
        r->away = r->away || (r->host == h && seen[i] == 0);
    }
    mem_free(seen);
    logmap_free_all(&h->promised);
    excuse(t);
}

/* Processes of one node cannot know of each other before both have appended
 * what they set aside: it may be in as many places as there were of them. */
void truth_set_aside(struct host *h, struct slice draft)
{
    struct world *w = h->w;
    unsigned process = 0; /* the node's own; clones have bits of their own */
    for (unsigned i = w->fed->nodes; i < w->hosts; i++) {
        process = w->host[i] == h ? i - w->fed->nodes + 1 : process;
    }
    w->truth->record[record_of(draft) - 1].aside |= UINT64_C(1) << process;
}

void truth_cloned(struct host *twin)
{
    for (size_t i = 0; i < twin->disk.aside_n; i++) {
        truth_set_aside(twin, twin->disk.aside[i]);
    }
}

void truth_lost_clone(struct host *h)
{
    struct truth *t = h->w->truth;
    for (size_t i = 0; i < t->records; i++) {
        t->record[i].away = t->record[i].away || t->record[i].host == h;
    }
    disk_fini(&h->disk);
    excuse(t);
}

/* ---- now and then ---- */

/* Either the parent said what is not so, or the child believes what nobody
 * said. */
static void watch_log(struct host *h, struct host *parent,
                      const struct send_log *s)
{
    const struct disk_log *l = disk_find(&parent->disk, &s->log);
    const struct promise *p = logmap_find(&parent->promised, &s->log);
    uint64_t size = l != NULL ? l->frontier.size : 0;
    if (s->state != SEND_LIVE || s->acked <= size) {
        return;
    }
    if (p != NULL && p->size > size) {
        check_promise(parent, p);
    } else {
        broken(h, "lag", &s->log, size + 1,
               "it takes %llu entries for acknowledged, above are %llu",
               (unsigned long long)s->acked, (unsigned long long)size);
    }
}

static void watch_host(struct host *h)
{
    int64_t quiet_ms = h->w->now_ms - h->heard_at_ms;
    if (h->link.state != UPLINK_STREAMING) {
        return;
    }
    if (h->send.in_flight > 0 && quiet_ms > SILENCE_MS + SILENCE_SLACK_MS) {
        broken(h, "silence", NULL, 0,
               "it waits for an answer since %lld ms and thinks it is "
               "connected",
               (long long)quiet_ms);
    }
    if (!h->conn->open_above) {
        return;
    }
    for (size_t i = 0; i < h->send.logs.count; i++) {
        watch_log(h, h->conn->parent, h->send.logs.item[i]);
    }
}

void truth_watch(struct world *w)
{
    for (unsigned i = 0; i < w->hosts; i++) {
        if (w->host[i]->up) {
            watch_host(w->host[i]);
        }
    }
}

/* ---- at the end ---- */

struct verdict {
    struct host *host; /* that differs; NULL: all are equal */
    uint64_t size;     /* there */
    uint64_t want;
    bool forked; /* at some holder */
};

/* The log at its origin, or the lowest holder, against every ancestor. An
 * origin that ran twice may have closed a log in which its twin went on. */
static struct verdict compare(struct world *w, const struct log_truth *lt)
{
    struct verdict v = {.host = NULL};
    const struct disk_log *lowest = NULL;
    bool own_cloned = false;
    int node = fed_find(w->fed, lt->log.origin);
    for (; node >= 0; node = w->fed->node[node].parent) {
        struct host *h = w->host[node];
        const struct disk_log *l = disk_find(&h->disk, &lt->log);
        uint64_t size = l != NULL ? l->frontier.size : 0;
        v.forked = v.forked || (l != NULL && l->state == LOG_FORKED);
        bool twin = lowest != NULL && lowest->own && own_cloned &&
                    size > lowest->frontier.size;
        own_cloned = own_cloned || (lowest == NULL && h->cloned);
        if (size > 0 && (lowest == NULL || twin)) {
            lowest = l;
        } else if (lowest != NULL && v.host == NULL &&
                   (size != lowest->frontier.size ||
                    !hash_eq(&l->root, &lowest->root))) {
            v.host = h;
            v.size = size;
            v.want = lowest->frontier.size;
        }
    }
    return v;
}

static bool is_settled(const struct host *h)
{
    return h->gone ||
           (h->up && !h->syncing && !h->recover.busy &&
            (parent_of(h) == NULL || (h->link.state == UPLINK_STREAMING &&
                                      h->all_told && h->send.in_flight == 0)));
}

bool truth_settled(struct world *w)
{
    for (unsigned i = 0; i < w->hosts; i++) {
        if (!is_settled(w->host[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < w->truth->logs.count; i++) {
        const struct log_truth *lt = w->truth->logs.item[i];
        struct verdict v = compare(w, lt);
        if (v.host != NULL && !(lt->parted && v.forked)) {
            return false;
        }
    }
    return true;
}

/* Only its origin can have spoilt its logs, and it ran once. */
static bool is_sound(const struct world *w, int node)
{
    bool sound = !w->host[node]->cloned;
    for (int at = w->fed->node[node].parent; at >= 0;
         at = w->fed->node[at].parent) {
        sound = sound && !w->host[at]->restored && !w->host[at]->lied;
    }
    return sound;
}

static void check_log(struct world *w, const struct log_truth *lt)
{
    struct verdict v = compare(w, lt);
    int origin = fed_find(w->fed, lt->log.origin);
    if (v.host != NULL && !lt->parted) {
        broken(v.host, "converged", &lt->log, v.size + 1,
               "%llu of %llu entries when nothing is wrong any more",
               (unsigned long long)v.size, (unsigned long long)v.want);
    } else if (v.host != NULL && !v.forked && is_sound(w, origin)) {
        broken(v.host, "recovered", &lt->log, v.size,
               "its origin was put back and wrote on in it");
    } else if (v.host != NULL && !v.forked) {
        broken(v.host, "fork", &lt->log, v.size,
               "its origin committed two trees, and nobody marked it");
    }
}

static void check_forked(struct host *h, const struct disk_log *l)
{
    const struct log_truth *lt = truth_of(h->w->truth, &l->log);
    int origin = fed_find(h->w->fed, l->log.origin);
    if (l->state != LOG_FORKED) {
        return;
    }
    if (lt == NULL || !lt->parted) {
        broken(h, "fork", &l->log, l->frontier.size,
               "it is marked, and its origin committed one tree");
    } else if (is_sound(h->w, origin)) {
        broken(h, "recovered", &l->log, l->frontier.size,
               "its origin was put back and wrote on in it");
    }
}

static void check_disk(struct host *h)
{
    struct truth *t = h->w->truth;
    for (size_t i = 0; i < h->disk.logs.count; i++) {
        check_forked(h, h->disk.logs.item[i]);
    }
    uint8_t *seen = seen_new(t);
    count_on_disk(t, &h->disk, true, seen);
    for (size_t i = 0; i < t->records; i++) {
        int processes = __builtin_popcountll(t->record[i].aside);
        if (seen[i] > 1 && seen[i] > processes) {
            broken(h, "once", NULL, 0, "it holds record %zu %u times", i + 1,
                   seen[i]);
            break;
        }
    }
    mem_free(seen);
}

/* Where an acknowledged record is at all, and in a log that goes on, it is on
 * top. */
static void check_acknowledged(struct world *w)
{
    struct truth *t = w->truth;
    uint8_t *top = seen_new(t);
    uint8_t *anywhere = seen_new(t);
    uint8_t *sound = seen_new(t);
    count_on_disk(t, &w->host[0]->disk, false, top);
    for (unsigned i = 0; i < w->hosts; i++) {
        count_on_disk(t, &w->host[i]->disk, false, anywhere);
        count_on_disk(t, &w->host[i]->disk, true, sound);
    }
    for (size_t i = 0; i < t->records; i++) {
        const struct record *r = &t->record[i];
        if (r->acked && !r->excused && top[i] == 0 &&
            (anywhere[i] == 0 || sound[i] > 0)) {
            struct host *h = w->host[r->host->node];
            broken(h, "acknowledged", &h->disk.own, 0,
                   "record %zu was acknowledged here and is not on top", i + 1);
            break;
        }
    }
    mem_free(top);
    mem_free(anywhere);
    mem_free(sound);
}

void truth_final(struct world *w)
{
    for (unsigned i = 0; i < w->hosts; i++) {
        if (!w->host[i]->gone) {
            truth_crashed(w->host[i]);
        }
    }
    for (size_t i = 0; i < w->truth->logs.count; i++) {
        check_log(w, w->truth->logs.item[i]);
    }
    for (unsigned i = 0; i < w->hosts; i++) {
        if (!w->host[i]->gone) {
            check_disk(w->host[i]);
        }
    }
    check_acknowledged(w);
}
