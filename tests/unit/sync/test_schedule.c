/* The sender's and the receiver's machines joined by a network that delays,
 * drops and duplicates, over random schedules. No sockets, no store. */
#include "fixture.h"
#include "sync/recv.h"
#include "sync/send.h"

enum {
    LOGS = 4,
    ENTRIES_MAX = 600,
    BLOCK = 5,
    QUEUE = 256,
    SEGMENT_BYTES = 700,
    WINDOW = 3000,
    STEPS = 3000,
    SCHEDULES = 20,
};

static uint64_t seed;
static uint32_t rnd(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

/* ---- trees in memory ---- */

struct mem_log {
    struct log_id log;
    struct hash leaf[ENTRIES_MAX];
    uint64_t size;
    struct frontier frontier;
};

static struct hash node_hash(const struct hash *leaf, unsigned level)
{
    if (level == 0) {
        return *leaf;
    }
    struct hash left = node_hash(leaf, level - 1);
    struct hash right = node_hash(leaf + (1 << (level - 1)), level - 1);
    struct hash out;
    suite_hash_node(test_suite(), &left, &right, &out);
    return out;
}

static enum err mem_node(void *ctx, unsigned level, uint64_t index,
                         struct hash *out)
{
    const struct mem_log *m = ctx;
    assert_true((index + 1) << level <= m->size);
    *out = node_hash(&m->leaf[index << level], level);
    return ERR_OK;
}

static struct tree_view mem_view(struct mem_log *m)
{
    return (struct tree_view){
        .suite = test_suite(), .size = m->size, .node = mem_node, .ctx = m};
}

static void mem_add(struct mem_log *m, const struct hash *leaf)
{
    assert_true(m->size < ENTRIES_MAX);
    m->leaf[m->size++] = *leaf;
    frontier_append(&m->frontier, test_suite(), leaf, NULL, NULL);
}

static void entry_text(const struct log_id *log, uint64_t number, char out[80])
{
    (void)snprintf(out, 80, "entry %llu of the log %llx and some more text",
                   (unsigned long long)number,
                   (unsigned long long)log->incarnation);
}

/* ---- the two ends ---- */

struct message {
    unsigned stream;
    struct buf bytes;
};

struct commit {
    struct segment *segment;
    unsigned log;
};

struct world {
    const struct identity *signer;
    struct block_codec *codec;
    /* sender */
    struct mem_log origin[LOGS];
    struct buf note[LOGS];
    uint64_t noted[LOGS];
    struct send send;
    unsigned stream; /* of the sender's present connection */
    bool connected;
    /* network, first in first out a direction */
    struct message up[QUEUE];
    size_t up_n;
    struct {
        unsigned stream;
        unsigned log;
        uint64_t size;
    } down[QUEUE];
    size_t down_n;
    /* receiver */
    struct recv *recv;
    struct recv_log *in[LOGS]; /* of stream `in_stream` */
    unsigned in_stream;
    struct mem_log held[LOGS]; /* committed */
    struct commit commits[QUEUE];
    size_t commits_n;
    /* checks */
    uint64_t bytes;
    uint64_t bytes_first; /* of entries sent for the first time */
    uint64_t top[LOGS];   /* highest number ever sent */
    uint64_t stream_top[LOGS];
    unsigned drops;
    size_t widest; /* message */
};

static void grow(struct world *w, unsigned i, unsigned n)
{
    struct mem_log *m = &w->origin[i];
    for (unsigned k = 0; k < n && m->size < ENTRIES_MAX; k++) {
        char text[80];
        struct hash leaf;
        entry_text(&m->log, m->size + 1, text);
        suite_hash_leaf(test_suite(), slice_str(text), &leaf);
        mem_add(m, &leaf);
    }
    send_grew(&w->send, &m->log, m->size, w->connected);
}

static void sign(struct world *w, unsigned i)
{
    struct mem_log *m = &w->origin[i];
    if (w->noted[i] == m->size) {
        return;
    }
    struct checkpoint cp = {
        .log = m->log, .size = m->size, .at_ms = (int64_t)m->size};
    frontier_root(&m->frontier, test_suite(), &cp.root);
    buf_clear(&w->note[i]);
    assert_ok(
        checkpoint_sign(&cp, FEDERATION, test_suite(), w->signer, &w->note[i]));
    w->noted[i] = m->size;
}

static unsigned index_of(const struct world *w, const struct log_id *log)
{
    unsigned i = 0;
    while (!log_id_eq(&w->origin[i].log, log)) {
        i++;
    }
    return i;
}

static void pack(struct world *w, const struct mem_log *m, uint64_t from,
                 uint64_t last, struct buf *blocks, struct block_ref *ref)
{
    char text[BLOCK][80];
    struct slot slots[BLOCK];
    uint32_t n = 0;
    for (uint64_t number = from; number <= last && n < BLOCK; number++, n++) {
        entry_text(&m->log, number, text[n]);
        slots[n].entry = slice_str(text[n]);
    }
    *ref = (struct block_ref){
        .first = from, .count = n, .offset = (uint32_t)blocks->len};
    block_pack(w->codec, slots, n, blocks);
    ref->len = (uint32_t)blocks->len - ref->offset;
}

static void check_order(struct world *w, unsigned i, uint64_t from,
                        uint64_t last, size_t bytes)
{
    /* Within a connection every number goes once, and what is left out is
     * there already: an older connection's entries came through late. */
    if (w->stream_top[i] != 0) {
        assert_true(from > w->stream_top[i]);
        assert_true(from == w->stream_top[i] + 1 ||
                    from <= w->held[i].size + 1);
    }
    w->stream_top[i] = last;
    w->bytes += bytes;
    w->bytes_first += last > w->top[i] ? bytes : 0;
    w->top[i] = last > w->top[i] ? last : w->top[i];
    w->widest = bytes > w->widest ? bytes : w->widest;
}

static void pump(struct world *w)
{
    struct send_job job;
    if (!w->connected || w->up_n == QUEUE || !send_next(&w->send, &job)) {
        return;
    }
    unsigned i = index_of(w, &job.log);
    struct mem_log *m = &w->origin[i];
    sign(w, i);
    struct buf blocks = BUF_INIT;
    struct buf bridge = BUF_INIT;
    struct block_ref refs[32];
    size_t n = 0;
    uint64_t next = job.from;
    while (next <= job.last && n < ARRAY_LEN(refs) &&
           (n == 0 || blocks.len < job.max_bytes)) {
        pack(w, m, next, job.last, &blocks, &refs[n]);
        next += refs[n++].count;
    }
    struct tree_view view = mem_view(m);
    struct bridge proof;
    assert_ok(tree_bridge(&view, next - 1, m->size, &proof));
    bridge_put(&bridge, &proof);
    struct send_log *l = send_find(&w->send, &job.log);
    bool fresh = l->note_size != w->noted[i];
    struct message *msg = &w->up[w->up_n++];
    *msg = (struct message){.stream = w->stream};
    struct wire_segment_out out = {
        .log = job.log,
        .blocks = &blocks,
        .refs = refs,
        .refs_count = n,
        .note = fresh ? buf_slice(&w->note[i]) : slice_of(NULL, 0),
        .bridge = buf_slice(&bridge),
        .chain = l->chain_print == 0 ? buf_slice(&w->signer->chain)
                                     : slice_of(NULL, 0)};
    wire_put_segment(&msg->bytes, &out);
    l->note_size = w->noted[i];
    l->chain_print = 1;
    check_order(w, i, job.from, next - 1, msg->bytes.len);
    send_sent(&w->send, &job, next - 1, msg->bytes.len);
    buf_fini(&blocks);
    buf_fini(&bridge);
}

static void forget_stream(struct world *w)
{
    for (unsigned i = 0; i < LOGS; i++) {
        recv_log_free(&w->in[i]);
    }
}

static struct recv_log *load(struct world *w, unsigned i)
{
    if (w->in[i] == NULL) {
        struct store_head *head = MEM_NEW(struct store_head);
        struct errmsg why;
        head->frontier = w->held[i].frontier;
        w->in[i] = recv_log_new(&w->origin[i].log);
        assert_ok(recv_log_load(w->in[i], fed_trust, head, slice_of(NULL, 0),
                                slice_of(NULL, 0), &why));
        mem_free(head);
    }
    if (w->held[i].size > w->in[i]->verified.size) {
        w->in[i]->verified = w->held[i].frontier;
    }
    return w->in[i];
}

static void deliver_up(struct world *w)
{
    if (w->up_n == 0 || w->commits_n == QUEUE) {
        return;
    }
    struct message msg = w->up[0];
    w->up_n--;
    memmove(&w->up[0], &w->up[1], w->up_n * sizeof w->up[0]);
    if (msg.stream < w->in_stream) {
        buf_fini(&msg.bytes); /* a newer stream took its place */
        return;
    }
    if (msg.stream > w->in_stream) {
        forget_stream(w);
        w->in_stream = msg.stream;
    }
    struct wire_message m;
    struct errmsg why;
    assert_ok(wire_get_child(buf_slice(&msg.bytes), &m, &why));
    unsigned i = index_of(w, &m.segment.log);
    struct tree_view view = mem_view(&w->held[i]);
    struct segment *seg = NULL;
    struct refusal refusal;
    enum err err = recv_segment(w->recv, load(w, i), &m.segment, &view,
                                clock_wall_ms(), &seg, &refusal);
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), refusal.text);
    }
    if (seg != NULL) {
        w->commits[w->commits_n++] = (struct commit){seg, i};
    }
    buf_fini(&msg.bytes);
}

static void ack(struct world *w, unsigned i)
{
    if (w->down_n < QUEUE) {
        w->down[w->down_n].stream = w->in_stream;
        w->down[w->down_n].log = i;
        w->down[w->down_n++].size = w->held[i].size;
    }
}

/* What store_append() does: a run that is there already is no fault. */
static void commit(struct world *w)
{
    if (w->commits_n == 0) {
        return;
    }
    struct commit c = w->commits[0];
    w->commits_n--;
    memmove(&w->commits[0], &w->commits[1], w->commits_n * sizeof c);
    struct mem_log *m = &w->held[c.log];
    assert_true(c.segment->first <= m->size + 1);
    for (size_t k = 0; k < c.segment->count; k++) {
        uint64_t number = c.segment->first + k;
        if (number <= m->size) {
            assert_true(hash_eq(&m->leaf[number - 1], &c.segment->leaves[k]));
        } else {
            mem_add(m, &c.segment->leaves[k]);
        }
    }
    ack(w, c.log);
    segment_free(&c.segment);
}

static void deliver_down(struct world *w)
{
    if (w->down_n == 0) {
        return;
    }
    unsigned stream = w->down[0].stream;
    unsigned i = w->down[0].log;
    uint64_t size = w->down[0].size;
    w->down_n--;
    memmove(&w->down[0], &w->down[1], w->down_n * sizeof w->down[0]);
    if (stream == w->stream && w->connected) {
        assert_true(send_acked(&w->send, &w->origin[i].log, size, 0));
    }
}

static void cut(struct world *w)
{
    w->connected = false;
    w->drops++;
    /* A part of what was under way still arrives. */
    size_t keep = w->up_n == 0 ? 0 : rnd((uint32_t)w->up_n + 1);
    while (w->up_n > keep) {
        buf_fini(&w->up[--w->up_n].bytes);
    }
    send_reset(&w->send, 0);
}

static void join(struct world *w)
{
    w->stream++;
    w->connected = true;
    memset(w->stream_top, 0, sizeof w->stream_top);
    send_reset(&w->send, WINDOW);
    for (unsigned i = 0; i < LOGS; i++) {
        uint64_t size = w->held[i].size;
        (void)send_have(&w->send, &w->origin[i].log,
                        size == 0 ? SEND_NOTHING : SEND_PREFIX, size);
    }
    /* The parent opens the new stream's books when it greets. */
    forget_stream(w);
    w->in_stream = w->stream;
}

static bool done(const struct world *w)
{
    for (unsigned i = 0; i < LOGS; i++) {
        if (w->held[i].size != w->origin[i].size) {
            return false;
        }
    }
    return w->up_n == 0 && w->commits_n == 0;
}

static void step(struct world *w, bool faults)
{
    uint32_t dice = rnd(100);
    if (faults && dice < 2) {
        w->connected ? cut(w) : join(w);
    } else if (faults && dice < 12) {
        grow(w, rnd(LOGS), 1 + rnd(6));
    } else if (dice < 45) {
        pump(w);
    } else if (dice < 65) {
        deliver_up(w);
    } else if (dice < 85) {
        commit(w);
    } else {
        deliver_down(w);
    }
}

static void run_schedule(const struct identity *signer, uint64_t n)
{
    struct world *w = MEM_NEW(struct world);
    seed = n;
    w->signer = signer;
    w->codec = block_codec_new();
    w->recv = recv_new(fed_trust, LOG_RECORDS);
    send_init(&w->send, SEGMENT_BYTES, 0);
    for (unsigned i = 0; i < LOGS; i++) {
        w->origin[i].log = (struct log_id){VILLAGE, i + 1, LOG_RECORDS};
        w->held[i].log = w->origin[i].log;
        grow(w, i, i * 60);
    }
    join(w);
    for (unsigned i = 0; i < STEPS; i++) {
        step(w, true);
    }
    if (!w->connected) {
        join(w);
    }
    for (unsigned i = 0; i < 20000 && !done(w); i++) {
        step(w, false);
    }
    for (unsigned i = 0; i < LOGS; i++) {
        assert_int_equal(w->held[i].size, w->origin[i].size);
        assert_memory_equal(w->held[i].leaf, w->origin[i].leaf,
                            w->held[i].size * sizeof(struct hash));
    }
    /* Sent again at most what was in flight when a connection ended. */
    assert_true(w->bytes <=
                w->bytes_first + (w->drops + 1) * (WINDOW + w->widest));
    assert_true(w->drops > 5);
    for (unsigned i = 0; i < LOGS; i++) {
        buf_fini(&w->note[i]);
    }
    forget_stream(w);
    send_fini(&w->send);
    recv_free(&w->recv);
    block_codec_free(&w->codec);
    mem_free(w);
}

static void everything_arrives_once_and_in_order_whatever_breaks(void **state)
{
    (void)state;
    struct node n = {.code = VILLAGE};
    struct identity sign;
    load_identity(&n, "sign", CERT_USE_SIGN, &sign);
    for (uint64_t i = 1; i <= SCHEDULES; i++) {
        run_schedule(&sign, i * 7919);
    }
    identity_fini(&sign);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_once_and_in_order_whatever_breaks),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
