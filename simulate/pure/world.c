#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "pure/impl.h"

enum {
    CHUNK = 256 << 10,
    WATCH_MS = 2000,
    CALM_MS = 3 * 3600000, /* at most, for all to become equal */
    EVENTS_MAX = 3000000,
};

bool planted(const struct world *w, enum pure_plant plant)
{
    return w->conf->plant == plant;
}

/* ---- bytes that stay ---- */

struct chunk {
    struct chunk *next;
    size_t used;
    size_t cap;
    uint8_t bytes[];
};

struct slice keep(struct world *w, struct slice bytes)
{
    struct chunk *c = w->chunks;
    if (c == NULL || c->cap - c->used < bytes.len) {
        size_t cap = bytes.len > CHUNK ? bytes.len : CHUNK;
        c = mem_alloc(sizeof *c + cap);
        *c = (struct chunk){.next = w->chunks, .cap = cap};
        w->chunks = c;
    }
    uint8_t *at = c->bytes + c->used;
    if (bytes.len > 0) {
        memcpy(at, bytes.data, bytes.len);
    }
    c->used += bytes.len;
    return slice_of(at, bytes.len);
}

/* ---- what is told ---- */

static void fold(struct world *w, const char *text)
{
    uint64_t h = w->result->digest ^ (uint64_t)w->now_ms;
    for (; *text != '\0'; text++) {
        h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
    }
    w->result->digest = h;
}

void say(struct host *h, const char *fmt, ...)
{
    struct world *w = h->w;
    struct pure_result *r = w->result;
    char line[PURE_LINE_MAX];
    va_list ap;
    if (r->invariant != NULL) {
        return;
    }
    int n = snprintf(line, sizeof line, "%9.3f s  %012llu%s  ",
                     (double)w->now_ms / 1000,
                     (unsigned long long)w->fed->node[h->node].code,
                     h->clone ? " (clone)" : "");
    va_start(ap, fmt);
    (void)vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
    va_end(ap);
    fold(w, line);
    if (r->tail_n == PURE_TAIL) {
        memmove(r->tail[0], r->tail[1], sizeof r->tail - sizeof r->tail[0]);
        r->tail_n--;
    }
    (void)snprintf(r->tail[r->tail_n++], PURE_LINE_MAX, "%s", line);
    if (w->conf->trace != NULL) {
        (void)fprintf(w->conf->trace, "%s\n", line);
    }
}

void broken(struct host *h, const char *invariant, const struct log_id *log,
            uint64_t number, const char *fmt, ...)
{
    struct pure_result *r = h->w->result;
    va_list ap;
    if (r->invariant != NULL) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(r->text, sizeof r->text, fmt, ap);
    va_end(ap);
    say(h, "BROKEN %s: %s", invariant, r->text);
    r->invariant = invariant;
    r->node = h->w->fed->node[h->node].code;
    r->log = log != NULL ? *log : (struct log_id){.origin = 0};
    r->number = number;
}

/* ---- events, a heap by time ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct event *a, struct event *b)
{
    struct event t = *a;
    *a = *b;
    *b = t;
}

static void push(struct world *w, const struct event *ev)
{
    if (w->heap_n == w->heap_cap) {
        w->heap_cap = w->heap_cap == 0 ? 1024 : w->heap_cap * 2;
        w->heap = mem_realloc(w->heap, w->heap_cap * sizeof *w->heap);
    }
    size_t at = w->heap_n++;
    w->heap[at] = *ev;
    while (at > 0 && before(&w->heap[at], &w->heap[(at - 1) / 2])) {
        swap(&w->heap[at], &w->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static bool pop(struct world *w, struct event *out)
{
    if (w->heap_n == 0) {
        return false;
    }
    *out = w->heap[0];
    w->heap[0] = w->heap[--w->heap_n];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t k = 2 * at + 1; k <= 2 * at + 2 && k < w->heap_n; k++) {
            least = before(&w->heap[k], &w->heap[least]) ? k : least;
        }
        if (least == at) {
            return true;
        }
        swap(&w->heap[at], &w->heap[least]);
        at = least;
    }
}

void post(struct world *w, struct event *ev, uint32_t in_ms, struct buf *bytes)
{
    ev->at_ms = w->now_ms + in_ms;
    ev->order = w->order++;
    if (bytes != NULL) {
        ev->bytes = *bytes;
        *bytes = (struct buf)BUF_INIT;
    }
    push(w, ev);
}

void post_self(struct host *h, enum event_kind kind, uint32_t in_ms,
               uint64_t token)
{
    post(h->w,
         &(struct event){
             .kind = kind, .host = h, .life = h->life, .token = token},
         in_ms, NULL);
}

uint32_t latency(struct host *child)
{
    struct rng *r = &child->rng;
    uint32_t most = child->latency_ms;
    /* Now and then a packet is lost and sent again. */
    return rng_below(r, most) + 1 + (rng_one_in(r, 50) ? 5 * most : 0);
}

void post_by(struct conn *c, bool up, enum event_kind kind, struct buf *bytes)
{
    struct world *w = c->child->w;
    if (c->black || c->child->cut) {
        if (bytes != NULL) {
            buf_fini(bytes);
        }
        return;
    }
    int64_t at = w->now_ms + latency(c->child);
    at = at > c->last_ms[up] ? at : c->last_ms[up];
    c->last_ms[up] = at;
    post(w,
         &(struct event){.kind = kind,
                         .host = up ? c->parent : c->child,
                         .conn = c,
                         .up = up},
         (uint32_t)(at - w->now_ms), bytes);
}

/* ---- hosts ---- */

struct host *parent_of(const struct host *h)
{
    int parent = h->w->fed->node[h->node].parent;
    return parent >= 0 ? h->w->host[parent] : NULL;
}

struct host *host_new(struct world *w, int node)
{
    struct host *h = MEM_NEW(struct host);
    h->w = w;
    h->node = node;
    h->last = &h->first;
    uint64_t name = w->conf->seed ^ ((uint64_t)w->hosts << 32) ^ (unsigned)node;
    h->rng.state = rng_mix(name + 1);
    h->office.state = rng_mix(name + 2);
    h->latency_ms = rng_between(&h->rng, 1, 80);
    h->disk_slow = 1;
    return h;
}

void host_free(struct host **h)
{
    disk_fini(&(*h)->disk);
    disk_fini(&(*h)->backup);
    logmap_free_all(&(*h)->promised);
    mem_free(*h);
    *h = NULL;
}

void host_start(struct host *h)
{
    if (h->up || h->gone) {
        return;
    }
    h->up = true;
    h->life++;
    say(h, "starts with %zu logs", h->disk.logs.count);
    h->recv = recv_new(h->w->fed->trust, LOG_RECORDS);
    h->inflow = mem_zalloc(child_count(h->w, h->node) + 1, sizeof *h->inflow);
    up_start(h);
    post_self(h, EV_ENTER, rng_between(&h->office, 1, 2000), 0);
}

/* Ends of streams are closed by the system of a process that dies: those that
 * it had are told. */
void host_stop(struct host *h)
{
    if (!h->up) {
        return;
    }
    disk_crash(h);
    up_stop(h);
    down_stop(h);
    recover_stop(h);
    recv_free(&h->recv);
    h->up = false;
    h->life++;
}

/* ---- what an event is ---- */

static void enter_records(struct host *h)
{
    struct world *w = h->w;
    uint32_t n = rng_one_in(&h->office, 12) ? rng_between(&h->office, 30, 90)
                                            : rng_between(&h->office, 1, 4);
    struct item *item = MEM_NEW(struct item);
    if (w->quiet) {
        mem_free(item);
        return;
    }
    item->drafts = n;
    item->record = mem_alloc(n * sizeof *item->record);
    for (uint32_t i = 0; i < n; i++) {
        item->record[i] = truth_record(h);
    }
    say(h, "enters %u records", n);
    if (planted(w, PLANT_SUBMIT_EARLY)) {
        truth_acked(h, item->record, n);
    }
    disk_queue(h, item);
    post_self(h, EV_ENTER, rng_between(&h->office, 200, 4000), 0);
}

static void at_parent(const struct event *ev)
{
    struct host *h = ev->host;
    if (ev->kind == EV_DIAL) {
        down_dial(h, ev->conn);
    } else if (!ev->conn->open_above) {
        /* Its system knows of no such stream. */
        post_by(ev->conn, false, EV_CLOSE, NULL);
    } else if (ev->kind == EV_HELLO) {
        down_hello(h, ev->conn);
    } else if (ev->kind == EV_MESSAGE) {
        down_message(h, ev->conn, buf_slice(&ev->bytes));
    } else if (ev->kind == EV_CLOSE) {
        down_closed(h, ev->conn);
    }
}

static void at_child(const struct event *ev)
{
    struct host *h = ev->host;
    if (!ev->conn->open_below || h->conn != ev->conn) {
        return;
    }
    if (ev->kind == EV_OPENED) {
        up_opened(h, ev->conn);
    } else if (ev->kind == EV_HELLO) {
        up_hello(h, ev->conn);
    } else if (ev->kind == EV_MESSAGE) {
        up_message(h, ev->conn, buf_slice(&ev->bytes));
    } else if (ev->kind == EV_CLOSE) {
        say(h, "hears that its stream is over");
        up_feed(h, LINK_CLOSED);
    }
}

static void at_host(const struct event *ev)
{
    struct host *h = ev->host;
    switch (ev->kind) {
    case EV_ASK:
        down_ask(h, ev);
        break;
    case EV_ANSWER:
        recover_answer(h, ev->token, buf_slice(&ev->bytes));
        break;
    case EV_FETCHED:
        recover_fetched(h, ev->token, buf_slice(&ev->bytes));
        break;
    case EV_CALL_END:
        recover_end(h, ev->token, ev->err);
        break;
    case EV_DEADLINE:
        up_deadline(h, ev->token);
        break;
    case EV_PACE:
        h->pace_at_ms = 0;
        up_pump(h);
        break;
    case EV_RETRY:
        h->retry_armed = false;
        if (h->link.state == UPLINK_STREAMING) {
            up_feed(h, LINK_RESTART);
        }
        break;
    case EV_SYNC:
        disk_synced(h);
        break;
    case EV_DOOM:
        fault_doom(h, (uint32_t)ev->token);
        break;
    case EV_ENTER:
        enter_records(h);
        break;
    case EV_DIAL:
    case EV_OPENED:
    case EV_HELLO:
    case EV_MESSAGE:
    case EV_CLOSE:
    case EV_FAULT:
    case EV_HEAL:
    case EV_START:
    case EV_WATCH:
    case EVENTS:
        break;
    }
}

/* What happens to no running process. */
static bool from_outside(struct world *w, const struct event *ev)
{
    if (ev->kind == EV_FAULT) {
        fault_begin(w, (unsigned)ev->token);
    } else if (ev->kind == EV_HEAL) {
        fault_end(w, (unsigned)ev->token);
    } else if (ev->kind == EV_START) {
        host_start(ev->host);
    } else if (ev->kind == EV_WATCH) {
        truth_watch(w);
        post(w, &(struct event){.kind = EV_WATCH}, WATCH_MS, NULL);
    } else {
        return false;
    }
    return true;
}

static void happen(struct world *w, const struct event *ev)
{
    if (from_outside(w, ev)) {
        return;
    }
    if (!ev->host->up || (ev->life != 0 && ev->life != ev->host->life)) {
        return;
    }
    if (ev->conn != NULL && ev->conn->lost && ev->kind != EV_CLOSE) {
        return;
    }
    if (ev->conn == NULL) {
        at_host(ev);
    } else if (ev->up) {
        at_parent(ev);
    } else {
        at_child(ev);
    }
}

/* ---- one run ---- */

static void step_until(struct world *w, int64_t until_ms, bool settle)
{
    struct event ev;
    while (w->result->invariant == NULL && w->heap_n > 0 &&
           w->heap[0].at_ms <= until_ms &&
           w->result->counts.events < EVENTS_MAX && pop(w, &ev)) {
        w->now_ms = ev.at_ms;
        w->result->counts.events++;
        happen(w, &ev);
        buf_fini(&ev.bytes);
        if (settle && ev.kind == EV_WATCH && truth_settled(w)) {
            return;
        }
    }
}

static void begin(struct world *w)
{
    w->host = mem_zalloc(w->fed->nodes + CLONES_MAX, sizeof(struct host *));
    w->hosts = w->fed->nodes;
    w->truth = truth_new(w);
    for (unsigned i = 0; i < w->fed->nodes; i++) {
        w->host[i] = host_new(w, (int)i);
        disk_begin(w->host[i]);
        post(w, &(struct event){.kind = EV_START, .host = w->host[i]},
             rng_below(&w->host[i]->rng, 3000), NULL);
    }
    faults_plan(w);
    for (unsigned i = 0; i < w->faults; i++) {
        if (w->conf->left_out == NULL || !w->conf->left_out[i]) {
            post(w, &(struct event){.kind = EV_FAULT, .token = i},
                 (uint32_t)w->plan[i].at_ms, NULL);
        }
    }
    post(w, &(struct event){.kind = EV_WATCH}, WATCH_MS, NULL);
}

static void end(struct world *w)
{
    struct event ev;
    w->result->counts.virtual_ms = w->now_ms;
    for (unsigned i = 0; i < w->hosts; i++) {
        host_stop(w->host[i]);
    }
    while (pop(w, &ev)) {
        buf_fini(&ev.bytes);
    }
    mem_free(w->heap);
    for (unsigned i = 0; i < w->hosts; i++) {
        host_free(&w->host[i]);
    }
    mem_free(w->host);
    for (struct conn *c = w->conns; c != NULL;) {
        struct conn *next = c->next;
        mem_free(c);
        c = next;
    }
    truth_free(&w->truth);
    block_codec_free(&w->codec);
    for (struct chunk *c = w->chunks; c != NULL;) {
        struct chunk *next = c->next;
        mem_free(c);
        c = next;
    }
}

void pure_run(const struct pure_fed *fed, const struct pure_conf *conf,
              struct pure_result *out)
{
    struct world *w = MEM_NEW(struct world);
    *out = (struct pure_result){.invariant = NULL};
    w->fed = fed;
    w->conf = conf;
    w->result = out;
    w->codec = block_codec_new();
    begin(w);
    step_until(w, conf->busy_ms, false);
    w->quiet = true;
    faults_end_all(w);
    step_until(w, w->now_ms + CALM_MS, true);
    if (out->invariant == NULL) {
        truth_final(w);
    }
    end(w);
    mem_free(w);
}
