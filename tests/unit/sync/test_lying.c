/* A sender that edits what it carries: a relay in the middle that lies. */
#include "fixture.h"
#include "sync/downlink_impl.h"
#include "sync/hello.h"
#include "sync/source.h"

enum { STOPS_MAX = 8 };

struct stop_seen {
    struct log_id log;
    uint64_t number;
    bool retry;
    bool note;
    char reason[WIRE_TEXT_MAX + 1];
};

struct liar {
    struct node *self; /* whose certificate it uses */
    struct rpc_channel *channel;
    struct rpc_stream *stream;
    struct source source;
    struct block_codec *codec;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool paged;
    bool closed;
    char status[256];
    size_t stops_n;
    struct stop_seen stops[STOPS_MAX];
    uint64_t acked;
};

static void on_open(struct rpc_stream *s, void *user)
{
    struct liar *l = user;
    struct buf hello = BUF_INIT;
    hello_put(&l->self->env, 0, &hello);
    assert_ok(rpc_stream_send(s, &hello));
    buf_fini(&hello);
}

/* Lock held. */
static void note_stop(struct liar *l, const struct wire_stop *stop)
{
    assert_true(l->stops_n < STOPS_MAX);
    struct stop_seen *seen = &l->stops[l->stops_n++];
    seen->log = stop->log;
    seen->number = stop->number;
    seen->retry = stop->retry;
    seen->note = stop->note.len > 0;
    memcpy(seen->reason, stop->reason.data, stop->reason.len);
    seen->reason[stop->reason.len] = '\0';
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    struct liar *l = user;
    struct wire_message m;
    struct errmsg why;
    (void)s;
    assert_ok(wire_get_parent(message, &m, &why));
    (void)pthread_mutex_lock(&l->lock);
    if (m.kind == WIRE_STOP) {
        note_stop(l, &m.stop);
    } else if (m.kind == WIRE_ACK) {
        struct wire_iter it = wire_iter_of(&m.ack.logs);
        struct slice item;
        while (wire_next(&it, &item)) {
            struct wire_log_ack ack;
            wire_log_ack_get(item, &ack);
            l->acked = ack.size;
        }
    }
    l->paged = l->paged || m.kind == WIRE_HAVE;
    (void)pthread_cond_broadcast(&l->wake);
    (void)pthread_mutex_unlock(&l->lock);
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    struct liar *l = user;
    (void)s;
    (void)err;
    (void)pthread_mutex_lock(&l->lock);
    l->closed = true;
    (void)snprintf(l->status, sizeof l->status, "%s", text);
    (void)pthread_cond_broadcast(&l->wake);
    (void)pthread_mutex_unlock(&l->lock);
}

static const struct rpc_stream_ops liar_ops = {
    .open = on_open,
    .message = on_message,
    .closed = on_closed,
};

static struct liar *liar_new(struct node *self, const struct node *target)
{
    struct liar *l = MEM_NEW(struct liar);
    char address[32];
    struct errmsg why;
    struct rpc_tls tls = {node_tls, self};
    l->self = self;
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->wake, NULL);
    source_init(&l->source, FEDERATION);
    l->codec = block_codec_new();
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", target->port);
    assert_ok(
        rpc_channel_open(&l->channel, self->rpc, address, &tls, NULL, &why));
    assert_ok(rpc_stream_open(&l->stream, l->channel, SYNC_REPLICATE, &liar_ops,
                              l, 0));
    (void)pthread_mutex_lock(&l->lock);
    while (!l->paged && !l->closed) {
        (void)pthread_cond_wait(&l->wake, &l->lock);
    }
    assert_false(l->closed);
    (void)pthread_mutex_unlock(&l->lock);
    return l;
}

static void liar_free(struct liar *l)
{
    (void)pthread_mutex_lock(&l->lock);
    if (!l->closed) {
        rpc_stream_finish(l->stream, ERR_CANCELLED, "done");
    }
    while (!l->closed) {
        (void)pthread_cond_wait(&l->wake, &l->lock);
    }
    (void)pthread_mutex_unlock(&l->lock);
    rpc_channel_close(&l->channel);
    source_fini(&l->source);
    block_codec_free(&l->codec);
    (void)pthread_mutex_destroy(&l->lock);
    (void)pthread_cond_destroy(&l->wake);
    mem_free(l);
}

/* ---- edits ---- */

struct entries {
    struct slot slots[64];
    struct buf bytes[64];
    size_t n;
};
typedef void edit_fn(struct entries *e);

static void leave(struct entries *e)
{
    (void)e;
}
static void alter(struct entries *e)
{
    e->bytes[3].data[40] ^= 1;
}
static void drop(struct entries *e)
{
    for (size_t i = 5; i + 1 < e->n; i++) {
        struct buf moved = e->bytes[i];
        e->bytes[i] = e->bytes[i + 1];
        e->bytes[i + 1] = moved;
    }
    e->n--;
    buf_clear(&e->bytes[e->n]);
}
static void reorder(struct entries *e)
{
    struct buf first = e->bytes[1];
    e->bytes[1] = e->bytes[2];
    e->bytes[2] = first;
}
static void invent(struct entries *e)
{
    draft_put(&e->bytes[e->n++], 666);
}

static void unpack(struct liar *l, struct entries *e)
{
    struct source *src = &l->source;
    for (size_t b = 0; b < src->refs_count; b++) {
        const struct block_ref *ref = &src->refs[b];
        struct slot slots[BLOCK_ENTRIES_MAX];
        size_t count;
        assert_ok(block_unpack(
            l->codec, slice_of(src->blocks.data + ref->offset, ref->len), slots,
            &count));
        for (size_t i = 0; i < count; i++) {
            assert_true(e->n < 60);
            buf_put_slice(&e->bytes[e->n++], slots[i].entry);
        }
    }
}

static void pack(struct liar *l, struct entries *e, uint64_t first)
{
    struct source *src = &l->source;
    buf_clear(&src->blocks);
    src->refs_count = 0;
    for (size_t i = 0; i < e->n; i++) {
        struct block_ref *ref = &src->refs[src->refs_count++];
        *ref = (struct block_ref){.first = first + i, .count = 1};
        ref->offset = (uint32_t)src->blocks.len;
        e->slots[i].entry = buf_slice(&e->bytes[i]);
        block_pack(l->codec, &e->slots[i], 1, &src->blocks);
        ref->len = (uint32_t)src->blocks.len - ref->offset;
    }
}

/* Sends `origin`'s entries `from` to `last`, edited. */
static void tell(struct liar *l, struct node *origin, const struct log_id *log,
                 uint64_t from, uint64_t last, edit_fn *edit)
{
    struct entries *e = MEM_NEW(struct entries);
    struct buf message = BUF_INIT;
    assert_ok(source_read(&l->source, origin->store, log, from, last, 1 << 20));
    assert_ok(source_read_note(&l->source, origin->store));
    unpack(l, e);
    edit(e);
    pack(l, e, l->source.refs[0].first);
    struct wire_segment_out out = source_segment(&l->source, true, true);
    wire_put_segment(&message, &out);
    assert_ok(rpc_stream_send(l->stream, &message));
    buf_fini(&message);
    for (size_t i = 0; i < ARRAY_LEN(e->bytes); i++) {
        buf_fini(&e->bytes[i]);
    }
    mem_free(e);
}

static struct stop_seen await_stop(struct liar *l)
{
    (void)pthread_mutex_lock(&l->lock);
    while (l->stops_n == 0 && !l->closed) {
        (void)pthread_cond_wait(&l->wake, &l->lock);
    }
    if (l->stops_n == 0) {
        fail_msg("closed: %s", l->status);
    }
    struct stop_seen stop = l->stops[0];
    l->stops_n = 0;
    (void)pthread_mutex_unlock(&l->lock);
    return stop;
}

static void await_ack(struct liar *l, uint64_t size)
{
    (void)pthread_mutex_lock(&l->lock);
    while (l->acked < size && !l->closed) {
        (void)pthread_cond_wait(&l->wake, &l->lock);
    }
    assert_false(l->closed);
    (void)pthread_mutex_unlock(&l->lock);
}

/* ---- tests ---- */

static void an_edited_entry_is_refused_by_log_and_range(void **state)
{
    static edit_fn *const edits[] = {alter, drop, reorder, invent};
    (void)state;
    struct node *village = node_new(VILLAGE, "v1");
    struct node *town = node_new(TOWNSHIP, "t1");
    struct node *county = node_new(COUNTY, "c1");
    struct log_id log = store_own_log(village->store);
    char name[LOG_ID_TEXT_MAX];
    log_id_format(&log, name);
    submit(village, 0, 1);
    submit(village, 1, 20);
    uint64_t size = size_of(village, &log);
    node_listen(county);
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        struct liar *l = liar_new(town, county);
        tell(l, village, &log, 1, size, edits[i]);
        struct stop_seen stop = await_stop(l);
        assert_true(log_id_eq(&stop.log, &log));
        assert_int_equal(stop.number, edits[i] == invent ? size + 1 : 1);
        assert_non_null(strstr(stop.reason, name));
        assert_int_equal(size_of(county, &log), 0);
        liar_free(l);
    }
    /* The truth is taken, and then a changed copy of what is held is told
     * by its number. */
    struct liar *l = liar_new(town, county);
    tell(l, village, &log, 1, size, leave);
    await_ack(l, size);
    tell(l, village, &log, 1, size, alter);
    struct stop_seen stop = await_stop(l);
    assert_int_equal(stop.number, 4);
    assert_non_null(strstr(stop.reason, "entry 4 is not the one"));
    assert_true(stop.note);
    assert_int_equal(size_of(county, &log), size);
    assert_int_equal(state_of(county, &log), LOG_ACTIVE);
    liar_free(l);
    node_free(village);
    node_free(town);
    node_free(county);
}

static void a_refused_log_does_not_stop_the_others(void **state)
{
    (void)state;
    struct node *v1 = node_new(VILLAGE, "v2");
    struct node *v2 = node_new(VILLAGE2, "v3");
    struct node *town = node_new(TOWNSHIP, "t2");
    struct node *county = node_new(COUNTY, "c2");
    struct log_id log1 = store_own_log(v1->store);
    struct log_id log2 = store_own_log(v2->store);
    submit(v1, 0, 10);
    submit(v2, 100, 10);
    node_listen(county);
    struct liar *l = liar_new(town, county);
    tell(l, v1, &log1, 1, 11, alter);
    (void)await_stop(l);
    tell(l, v2, &log2, 1, 11, leave);
    await_ack(l, 11);
    /* More of the stopped log is dropped without a word. */
    tell(l, v1, &log1, 1, 11, leave);
    tell(l, v2, &log2, 1, 11, leave);
    assert_int_equal(size_of(county, &log1), 0);
    assert_int_equal(size_of(county, &log2), 11);
    liar_free(l);
    /* On a new stream the truth is welcome. */
    l = liar_new(town, county);
    tell(l, v1, &log1, 1, 11, leave);
    await_ack(l, 11);
    assert_int_equal(size_of(county, &log1), 11);
    liar_free(l);
    node_free(v1);
    node_free(v2);
    node_free(town);
    node_free(county);
}

static void a_log_of_a_foreign_subtree_is_refused_by_name(void **state)
{
    (void)state;
    struct node *stranger = node_new(STRANGER, "s3");
    struct node *town = node_new(TOWNSHIP, "t3");
    struct node *county = node_new(COUNTY, "c3");
    struct log_id log = store_own_log(stranger->store);
    submit(stranger, 0, 5);
    node_listen(county);
    struct liar *l = liar_new(town, county);
    tell(l, stranger, &log, 1, 6, leave);
    struct stop_seen stop = await_stop(l);
    assert_true(log_id_eq(&stop.log, &log));
    assert_non_null(strstr(stop.reason, "neither the sender nor below it"));
    assert_non_null(strstr(stop.reason, "341822100000"));
    assert_int_equal(state_of(county, &log), LOG_ABSENT);
    liar_free(l);
    node_free(stranger);
    node_free(town);
    node_free(county);
}

static void a_gap_is_refused_by_number(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v4");
    struct node *town = node_new(TOWNSHIP, "t4");
    struct log_id log = store_own_log(village->store);
    submit(village, 0, 16);
    submit(village, 16, 16);
    node_listen(town);
    struct liar *l = liar_new(village, town);
    tell(l, village, &log, 20, 33, leave);
    struct stop_seen stop = await_stop(l);
    assert_int_equal(stop.number, 1);
    assert_true(stop.retry);
    liar_free(l);
    node_free(village);
    node_free(town);
}

/* A newer head with fewer entries than one seen before on the stream. */
static void two_signed_heads_that_disagree_fork_the_log(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v5");
    struct node *town = node_new(TOWNSHIP, "t5");
    struct log_id log = store_own_log(village->store);
    submit(village, 0, 8);
    node_copy_to(village, "v5twin");
    struct node *twin = node_new(VILLAGE, "v5twin");
    submit(village, 100, 8);
    submit(twin, 200, 8);
    node_listen(town);
    struct liar *l = liar_new(village, town);
    tell(l, village, &log, 1, 17, leave);
    await_ack(l, 17);
    tell(l, twin, &log, 1, 17, leave);
    struct stop_seen stop = await_stop(l);
    assert_false(stop.retry);
    assert_true(stop.note);
    assert_int_equal(state_of(town, &log), LOG_FORKED);
    assert_int_equal(size_of(town, &log), 17);
    assert_true(count_lines("SYNC-FORKED", "t5") >= 1);
    liar_free(l);
    node_free(village);
    node_free(twin);
    node_free(town);
}

struct fork_awaited {
    struct node *node;
    struct log_id log;
};
static bool is_forked(void *ctx)
{
    struct fork_awaited *f = ctx;
    return state_of(f->node, &f->log) == LOG_FORKED;
}

/* The parent above has what this node has, and never meets the twin: it learns
 * of the fork from the other head, whether or not the line was up then. */
static void tell_fork_above(bool line_is_up, const char *names[4])
{
    struct node *village = node_new(VILLAGE, names[0]);
    struct node *town = node_new(TOWNSHIP, names[2]);
    struct node *county = node_new(COUNTY, names[3]);
    struct log_id log = store_own_log(village->store);
    submit(village, 0, 8);
    node_copy_to(village, names[1]);
    struct node *twin = node_new(VILLAGE, names[1]);
    submit(village, 100, 8);
    submit(twin, 200, 8);
    node_listen(county);
    node_listen(town);
    node_connect(town, county);
    struct liar *l = liar_new(village, town);
    tell(l, village, &log, 1, 17, leave);
    await_ack(l, 17);
    await_acked(town, county, &log);
    if (!line_is_up) {
        node_disconnect(town);
    }
    tell(l, twin, &log, 1, 17, leave);
    (void)await_stop(l);
    assert_int_equal(state_of(town, &log), LOG_FORKED);
    if (!line_is_up) {
        node_connect(town, county);
    }
    struct fork_awaited f = {county, log};
    assert_true(comes_true(is_forked, &f, WAIT_MS));
    assert_int_equal(count_lines("SYNC-EVIDENCE", names[2]), 0);
    liar_free(l);
    node_free(village);
    node_free(twin);
    node_free(town);
    node_free(county);
}

static void a_fork_is_told_above_at_once(void **state)
{
    (void)state;
    tell_fork_above(true, (const char *[]){"v8", "v8twin", "t8", "c8"});
}

static void a_fork_is_told_above_when_the_line_is_back(void **state)
{
    (void)state;
    tell_fork_above(false, (const char *[]){"v9", "v9twin", "t9", "c9"});
}

/* Of one child, whatever stream they come by. */
static void a_child_has_so_many_logs_over_all_its_streams(void **state)
{
    (void)state;
    static const char *const names[] = {"many1", "many2", "many3"};
    struct node *village[3];
    struct node *town = node_new(TOWNSHIP, "t7");
    node_stop(town);
    town->down_conf.logs_max = 2;
    node_start(town);
    node_listen(town);
    for (size_t i = 0; i < 3; i++) {
        village[i] = node_new(VILLAGE, names[i]);
    }
    struct log_id log[3];
    for (size_t i = 0; i < 2; i++) {
        log[i] = store_own_log(village[i]->store);
        struct liar *l = liar_new(village[i], town);
        tell(l, village[i], &log[i], 1, 1, leave);
        await_ack(l, 1);
        liar_free(l);
    }
    log[2] = store_own_log(village[2]->store);
    struct liar *l = liar_new(village[2], town);
    tell(l, village[2], &log[2], 1, 1, leave);
    (void)pthread_mutex_lock(&l->lock);
    while (!l->closed) {
        (void)pthread_cond_wait(&l->wake, &l->lock);
    }
    assert_non_null(strstr(l->status, "more logs than"));
    (void)pthread_mutex_unlock(&l->lock);
    liar_free(l);
    assert_int_equal(size_of(town, &log[2]), 0);
    /* What is there goes on. */
    submit(village[0], 0, 5);
    l = liar_new(village[0], town);
    tell(l, village[0], &log[0], 2, 6, leave);
    await_ack(l, 6);
    liar_free(l);
    for (size_t i = 0; i < 3; i++) {
        node_free(village[i]);
    }
    node_free(town);
}

/* A record of many bytes that pack to few. */
static void submit_long(struct node *node, uint32_t record)
{
    struct buf draft = BUF_INIT;
    struct buf longer = BUF_INIT;
    struct buf body = BUF_INIT;
    struct entry e;
    draft_put(&draft, record);
    assert_ok(entry_decode(buf_slice(&draft), &e));
    buf_put_slice(&body, e.body);
    buf_put_u8(&body, 0x1a);
    buf_put_varint(&body, 60000);
    (void)memset(buf_reserve(&body, 60000), 'x', 60000);
    body.len += 60000;
    e.body = buf_slice(&body);
    entry_encode(&e, &longer);
    struct slice one = buf_slice(&longer);
    assert_ok(submit_drafts(node, &one, 1));
    buf_fini(&draft);
    buf_fini(&longer);
    buf_fini(&body);
}

/* What the poller of `at` does with the origin's entries from `from` on, which
 * came by the liar's stream. */
static enum rpc_at_once meet_at_once(struct liar *l, struct node *at,
                                     struct node *origin,
                                     const struct log_id *log, uint64_t from,
                                     struct buf *message)
{
    struct wire_message m;
    struct errmsg why;
    assert_ok(
        source_read(&l->source, origin->store, log, from, UINT64_MAX, 1 << 20));
    assert_ok(source_read_note(&l->source, origin->store));
    struct wire_segment_out out = source_segment(&l->source, true, true);
    wire_put_segment(message, &out);
    assert_true(message->len < RPC_AT_ONCE_MAX);
    assert_ok(wire_get_child(buf_slice(message), &m, &why));
    (void)pthread_mutex_lock(&at->down->lock);
    struct inflow *inflow = at->down->children->inflow;
    (void)pthread_mutex_unlock(&at->down->lock);
    return inflow_at_once(inflow, &m.segment, message->len);
}

/* All other streams wait for the poller: it does not unpack megabytes. */
static void what_packs_well_is_left_to_a_worker(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v20");
    struct node *town = node_new(TOWNSHIP, "t20");
    struct log_id log = store_own_log(village->store);
    struct buf message = BUF_INIT;
    submit(village, 0, 1);
    node_listen(town);
    struct liar *l = liar_new(village, town);
    tell(l, village, &log, 1, 2, leave);
    await_ack(l, 2);
    submit(village, 1, 1);
    assert_int_equal(meet_at_once(l, town, village, &log, 3, &message),
                     RPC_DONE);
    await_ack(l, 3);
    for (uint32_t i = 0; i < 8; i++) {
        submit_long(village, 100 + i);
    }
    buf_clear(&message);
    assert_int_equal(meet_at_once(l, town, village, &log, 4, &message),
                     RPC_TAKE_BACK);
    assert_int_equal(size_of(town, &log), 3);
    /* There it is taken like any other. */
    assert_ok(rpc_stream_send(l->stream, &message));
    await_ack(l, 11);
    liar_free(l);
    buf_fini(&message);
    node_free(village);
    node_free(town);
}

static void rubbish_ends_the_stream_and_names_the_field(void **state)
{
    static const uint8_t rubbish[] = {0x12, 0x03, 0x0a, 0x01, 0x00};
    (void)state;
    struct node *village = node_new(VILLAGE, "v6");
    struct node *town = node_new(TOWNSHIP, "t6");
    node_listen(town);
    struct liar *l = liar_new(village, town);
    struct buf message = BUF_INIT;
    buf_put(&message, rubbish, sizeof rubbish);
    assert_ok(rpc_stream_send(l->stream, &message));
    (void)pthread_mutex_lock(&l->lock);
    while (!l->closed) {
        (void)pthread_cond_wait(&l->wake, &l->lock);
    }
    assert_non_null(strstr(l->status, "Segment.log"));
    (void)pthread_mutex_unlock(&l->lock);
    liar_free(l);
    node_free(village);
    node_free(town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edited_entry_is_refused_by_log_and_range),
        cmocka_unit_test(a_refused_log_does_not_stop_the_others),
        cmocka_unit_test(a_log_of_a_foreign_subtree_is_refused_by_name),
        cmocka_unit_test(a_gap_is_refused_by_number),
        cmocka_unit_test(two_signed_heads_that_disagree_fork_the_log),
        cmocka_unit_test(a_fork_is_told_above_at_once),
        cmocka_unit_test(a_fork_is_told_above_when_the_line_is_back),
        cmocka_unit_test(a_child_has_so_many_logs_over_all_its_streams),
        cmocka_unit_test(what_packs_well_is_left_to_a_worker),
        cmocka_unit_test(rubbish_ends_the_stream_and_names_the_field),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
