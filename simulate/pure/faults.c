#include <string.h>

#include "base/mem.h"
#include "pure/impl.h"

enum { FIRST_MS = 3000 };

static const struct {
    const char *name;
    uint32_t weight;
    uint32_t for_least_ms;
    uint32_t for_most_ms;
} kinds[FAULTS] = {
    [FAULT_CRASH] = {"crashes", 8, 10, 15000},
    [FAULT_CUT] = {"loses its line", 6, 50, 30000},
    [FAULT_SWALLOW] = {"has a line that swallows all", 4, 1000, 60000},
    [FAULT_SLOW_LINE] = {"has a slow line", 3, 5000, 60000},
    [FAULT_SLOW_DISK] = {"has a slow disk", 3, 5000, 60000},
    [FAULT_BACKUP] = {"is backed up", 6, 1, 1},
    [FAULT_RESTORE] = {"is put back to its backup", 3, 10, 15000},
    [FAULT_CLONE] = {"runs twice", 1, 5000, 60000},
    [FAULT_LIE] = {"lies to its parent", 3, 5000, 60000},
};

static const char *const lies[LIES] = {
    [LIE_NONE] = "",
    [LIE_FLIP] = "alters entries",
    [LIE_DROP] = "drops blocks",
    [LIE_WITHHOLD] = "withholds runs",
    [LIE_INVENT] = "invents entries",
    [LIE_REORDER] = "turns blocks round",
    [LIE_STRANGER] = "sends a log that is not its to send",
};

static enum fault_kind pick(struct rng *r)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < FAULTS; i++) {
        sum += kinds[i].weight;
    }
    uint32_t at = rng_below(r, sum);
    unsigned kind = 0;
    while (at >= kinds[kind].weight) {
        at -= kinds[kind++].weight;
    }
    return (enum fault_kind)kind;
}

/* By random numbers of its own, so that leaving faults out moves none. */
void faults_plan(struct world *w)
{
    struct rng r = {rng_mix(w->conf->seed ^ UINT64_C(0x5ca1ab1e))};
    w->faults =
        w->conf->faults < PURE_FAULTS_MAX ? w->conf->faults : PURE_FAULTS_MAX;
    for (unsigned i = 0; i < w->faults; i++) {
        enum fault_kind kind = pick(&r);
        uint32_t span =
            w->conf->busy_ms > FIRST_MS ? w->conf->busy_ms - FIRST_MS : 1;
        w->plan[i] =
            (struct fault){.kind = kind,
                           .node = rng_below(&r, w->fed->nodes),
                           .at_ms = FIRST_MS + rng_below(&r, span),
                           .for_ms = rng_between(&r, kinds[kind].for_least_ms,
                                                 kinds[kind].for_most_ms),
                           .lie = (enum lie)rng_between(&r, LIE_FLIP, LIES - 1),
                           .at_work = rng_one_in(&r, 2)};
    }
}

void pure_print_plan(const struct pure_fed *fed, const struct pure_conf *conf,
                     FILE *out)
{
    struct world *w = MEM_NEW(struct world);
    w->fed = fed;
    w->conf = conf;
    faults_plan(w);
    for (unsigned i = 0; i < w->faults; i++) {
        const struct fault *f = &w->plan[i];
        if (conf->left_out != NULL && conf->left_out[i]) {
            continue;
        }
        (void)fprintf(out, "  %3u  %9.3f s  %012llu %s%s%s for %.3f s\n", i,
                      (double)f->at_ms / 1000,
                      (unsigned long long)fed->node[f->node].code,
                      kinds[f->kind].name, f->kind == FAULT_LIE ? ": " : "",
                      f->kind == FAULT_LIE ? lies[f->lie] : "",
                      (double)f->for_ms / 1000);
    }
    mem_free(w);
}

/* ---- lines ---- */

static void cut_line(struct host *h, bool tell)
{
    struct world *w = h->w;
    for (struct conn *c = w->conns; c != NULL; c = c->next) {
        if (c->child->node != h->node || c->black) {
            continue;
        }
        if (tell) {
            post_by(c, true, EV_CLOSE, NULL);
            post_by(c, false, EV_CLOSE, NULL);
        }
        c->black = true;
        c->lost = rng_one_in(&h->rng, 2);
    }
    h->cut = true;
}

/* ---- processes ---- */

static void crash(struct host *h)
{
    host_stop(h);
    truth_crashed(h);
    h->w->result->counts.crashes++;
}

void fault_doom(struct host *h, uint32_t for_ms)
{
    say(h, "crashes while it syncs");
    crash(h);
    post(h->w, &(struct event){.kind = EV_START, .host = h}, for_ms, NULL);
}

static void put_back(struct host *h)
{
    if (!h->has_backup) {
        return;
    }
    crash(h);
    disk_copy(&h->disk, &h->backup);
    h->restored = true;
    h->restored_at_ms = h->w->now_ms;
    truth_put_back(h);
    h->w->result->counts.restores++;
}

static void run_twice(struct host *h)
{
    struct world *w = h->w;
    if (parent_of(h) == NULL || w->hosts == w->fed->nodes + CLONES_MAX) {
        return;
    }
    struct host *twin = host_new(w, h->node);
    twin->clone = true;
    h->cloned = true;
    disk_copy(&twin->disk, h->has_backup ? &h->backup : &h->disk);
    w->host[w->hosts++] = twin;
    truth_cloned(twin);
    host_start(twin);
}

static void find_clones(struct world *w, unsigned node)
{
    for (unsigned i = w->fed->nodes; i < w->hosts; i++) {
        struct host *twin = w->host[i];
        if ((unsigned)twin->node == node && !twin->gone) {
            host_stop(twin);
            twin->gone = true;
            truth_lost_clone(twin);
        }
    }
}

/* ---- lies ---- */

static struct slice altered(struct world *w, struct slice entry)
{
    struct buf copy = BUF_INIT;
    buf_put_slice(&copy, entry);
    copy.data[copy.len - 1] ^= 1;
    struct slice kept = keep(w, buf_slice(&copy));
    buf_fini(&copy);
    return kept;
}

/* The block once more, packed behind `out`, with entry `at` altered. */
static void pack_again(struct world *w, const struct run *run,
                       struct block_ref *ref, uint64_t at, struct buf *out)
{
    struct slot slots[BLOCK_ENTRIES_MAX];
    size_t n = 0;
    struct slice block = slice_of(run->blocks.data + ref->offset, ref->len);
    if (block_unpack(w->codec, block, slots, &n) != ERR_OK) {
        n = 0;
    }
    for (size_t k = 0; k < n; k++) {
        slots[k].entry = ref->first + k == at ? altered(w, slots[k].entry)
                                              : keep(w, slots[k].entry);
    }
    ref->offset = (uint32_t)out->len;
    block_pack(w->codec, slots, n, out);
    ref->len = (uint32_t)out->len - ref->offset;
}

static void alter(struct host *h, struct run *run, uint64_t at)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < run->refs_count; i++) {
        pack_again(h->w, run, &run->refs[i], at, &out);
    }
    buf_fini(&run->blocks);
    run->blocks = out;
}

static void drop_block(struct run *run)
{
    if (run->refs_count > 1) {
        run->refs_count--;
        run->blocks.len -= run->refs[run->refs_count].len;
    }
}

static void invent(struct host *h, struct run *run)
{
    static const char text[] = "an entry that nobody wrote";
    struct slot slot = {.entry = slice_of(text, sizeof text)};
    if (run->refs_count < ARRAY_LEN(run->refs)) {
        struct block_ref *ref = &run->refs[run->refs_count++];
        *ref = (struct block_ref){.first = run->end + 1,
                                  .count = 1,
                                  .offset = (uint32_t)run->blocks.len};
        block_pack(h->w->codec, &slot, 1, &run->blocks);
        ref->len = (uint32_t)run->blocks.len - ref->offset;
    }
}

/* The last block comes first. */
static void turn_round(struct run *run)
{
    struct buf blocks = BUF_INIT;
    uint64_t number = run->refs[0].first;
    struct block_ref turned[ARRAY_LEN(run->refs)];
    for (size_t i = 0; i < run->refs_count; i++) {
        struct block_ref ref = run->refs[run->refs_count - 1 - i];
        turned[i] = ref;
        turned[i].first = number;
        turned[i].offset = (uint32_t)blocks.len;
        buf_put(&blocks, run->blocks.data + ref.offset, ref.len);
        number += ref.count;
    }
    memcpy(run->refs, turned, run->refs_count * sizeof turned[0]);
    buf_fini(&run->blocks);
    run->blocks = blocks;
}

/* The log of the one on top, which is below nobody. */
static void lie_stranger(struct host *h)
{
    struct world *w = h->w;
    struct host *top = w->host[0];
    struct disk_log *l = disk_find(&top->disk, &top->disk.own);
    struct run run;
    if (h->conn == NULL || !h->greeted || parent_of(h) == top || l == NULL) {
        return;
    }
    run_read(w, l, 1, l->frontier.size, SEGMENT_BYTES, &run);
    up_put_segment(h, &l->log, &run, l->note, l->chain);
    run_fini(&run);
}

bool lie_about(struct host *h, struct run *run)
{
    struct rng *r = &h->rng;
    if (h->lie == LIE_NONE || rng_one_in(r, 2)) {
        return true;
    }
    say(h, "lies: it %s", lies[h->lie]);
    switch (h->lie) {
    case LIE_FLIP:
        alter(h, run, run->end - rng_below(r, run->refs[0].count));
        break;
    case LIE_DROP:
        drop_block(run);
        break;
    case LIE_WITHHOLD:
        return false;
    case LIE_INVENT:
        invent(h, run);
        break;
    case LIE_REORDER:
        turn_round(run);
        break;
    case LIE_STRANGER:
        lie_stranger(h);
        break;
    case LIE_NONE:
    case LIES:
        break;
    }
    return true;
}

static void lie(struct host *h, enum lie what)
{
    if (parent_of(h) == NULL || !h->up) {
        return;
    }
    h->lie = what;
    h->lied = true;
}

/* ---- begin and end ---- */

void fault_begin(struct world *w, unsigned i)
{
    const struct fault *f = &w->plan[i];
    struct host *h = w->host[f->node];
    say(h, "%s (fault %u)", kinds[f->kind].name, i);
    switch (f->kind) {
    case FAULT_CRASH:
        if (f->at_work && h->up) {
            h->doomed_ms = f->for_ms;
        } else {
            crash(h);
        }
        break;
    case FAULT_CUT:
        cut_line(h, true);
        break;
    case FAULT_SWALLOW:
        cut_line(h, false);
        break;
    case FAULT_SLOW_LINE:
        h->latency_ms = 2000;
        break;
    case FAULT_SLOW_DISK:
        h->disk_slow = 100;
        break;
    case FAULT_BACKUP:
        disk_copy(&h->backup, &h->disk);
        h->has_backup = true;
        break;
    case FAULT_RESTORE:
        put_back(h);
        break;
    case FAULT_CLONE:
        run_twice(h);
        break;
    case FAULT_LIE:
        lie(h, f->lie);
        break;
    case FAULTS:
        break;
    }
    post(w, &(struct event){.kind = EV_HEAL, .token = i}, f->for_ms, NULL);
}

void fault_end(struct world *w, unsigned i)
{
    const struct fault *f = &w->plan[i];
    struct host *h = w->host[f->node];
    switch (f->kind) {
    case FAULT_CRASH:
    case FAULT_RESTORE:
        host_start(h);
        break;
    case FAULT_CUT:
    case FAULT_SWALLOW:
        h->cut = false;
        break;
    case FAULT_SLOW_LINE:
        h->latency_ms = 20;
        break;
    case FAULT_SLOW_DISK:
        h->disk_slow = 1;
        break;
    case FAULT_CLONE:
        find_clones(w, f->node);
        break;
    case FAULT_LIE:
        h->lie = LIE_NONE;
        break;
    case FAULT_BACKUP:
    case FAULTS:
        break;
    }
}

void faults_end_all(struct world *w)
{
    for (unsigned i = 0; i < w->faults; i++) {
        if (w->plan[i].at_ms <= w->now_ms) {
            fault_end(w, i);
        }
    }
    for (unsigned i = 0; i < w->fed->nodes; i++) {
        find_clones(w, i);
        w->host[i]->doomed_ms = 0;
        host_start(w->host[i]);
    }
}
