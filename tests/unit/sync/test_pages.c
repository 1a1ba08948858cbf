/* Have pages and messages at their bounds. */
#include "fixture.h"
#include "sync/hello.h"

/* ---- a parent that pages as it is told ---- */

static struct {
    struct node *self;
    pthread_mutex_t lock;
    struct rpc_stream *stream;
    unsigned segments;
    unsigned hellos;
} parent = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void say(struct rpc_stream *s, struct buf *message)
{
    assert_ok(rpc_stream_send(s, message));
    buf_fini(message);
}

static void on_open(struct rpc_stream *s, void *user)
{
    (void)user;
    rpc_stream_set_user(s, NULL);
}

/* The first page ends behind every log there is, and is not the last. */
static void greet(struct rpc_stream *s)
{
    struct buf hello = BUF_INIT;
    struct buf page = BUF_INIT;
    struct wire_log_have have = {.log = {.origin = 999999999999ull,
                                         .kind = LOG_RECORDS,
                                         .incarnation = 1},
                                 .size = 0};
    hello_put(&parent.self->env, 4 << 20, &hello);
    wire_put_have(&page, &have, 1, false);
    say(s, &hello);
    say(s, &page);
}

static void on_message(struct rpc_stream *s, void *user, struct slice message)
{
    struct wire_message m;
    struct errmsg why;
    (void)user;
    assert_ok(wire_get_child(message, &m, &why));
    if (m.kind == WIRE_HELLO) {
        greet(s);
    }
    (void)pthread_mutex_lock(&parent.lock);
    parent.stream = s;
    parent.hellos += m.kind == WIRE_HELLO;
    parent.segments +=
        m.kind == WIRE_SEGMENT && m.segment.log.origin == VILLAGE;
    (void)pthread_mutex_unlock(&parent.lock);
}

static void on_closed(struct rpc_stream *s, void *user, enum err err,
                      const char *text)
{
    (void)s;
    (void)user;
    (void)err;
    (void)text;
    (void)pthread_mutex_lock(&parent.lock);
    parent.stream = NULL;
    (void)pthread_mutex_unlock(&parent.lock);
}

static const struct rpc_stream_ops parent_ops = {
    .open = on_open,
    .message = on_message,
    .closed = on_closed,
};

static void parent_listen(struct node *county)
{
    static const struct rpc_method methods[] = {
        {.path = SYNC_REPLICATE, .stream = &parent_ops}};
    struct errmsg why;
    struct rpc_tls tls = {node_tls, county};
    parent.self = county;
    assert_ok(rpc_listen(&county->server, county->rpc, "127.0.0.1:0", &tls,
                         methods, 1, &why));
    county->port = rpc_server_port(county->server);
}

static bool is_paged(void *ctx)
{
    struct node *n = ctx;
    return status_of(n).state == UPLINK_STREAMING;
}

static bool has_segments(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&parent.lock);
    bool has = parent.segments > 0;
    (void)pthread_mutex_unlock(&parent.lock);
    return has;
}

static void a_log_born_behind_its_page_goes_with_the_last_one(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "newborn");
    struct node *town = node_new(TOWNSHIP, "town-newborn");
    struct node *county = node_new(COUNTY, "county-newborn");
    struct log_id log = store_own_log(village->store);
    parent_listen(county);
    node_connect(town, county);
    assert_true(comes_true(is_paged, town, WAIT_MS));
    node_listen(town);
    submit(village, 0, 5);
    node_connect(village, town);
    await_acked(village, town, &log);
    assert_false(has_segments(NULL));
    struct buf page = BUF_INIT;
    wire_put_have(&page, NULL, 0, true);
    (void)pthread_mutex_lock(&parent.lock);
    assert_non_null(parent.stream);
    say(parent.stream, &page);
    (void)pthread_mutex_unlock(&parent.lock);
    assert_true(comes_true(has_segments, NULL, WAIT_MS));
    node_free(village);
    node_free(town);
    node_free(county);
}

static bool came_again(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&parent.lock);
    bool again = parent.hellos > 1;
    struct buf ack = BUF_INIT;
    wire_put_ack(&ack, NULL, 0);
    if (parent.stream != NULL) { /* it talks on, but of something else */
        enum err sent = rpc_stream_send(parent.stream, &ack);
        (void)sent; /* or the stream is over */
    }
    buf_fini(&ack);
    (void)pthread_mutex_unlock(&parent.lock);
    return again;
}

/* Else what stands on the page that does not come would never be sent, and the
 * line would look sound. */
static void a_last_page_that_does_not_come_is_not_waited_for(void **state)
{
    (void)state;
    struct node *town = node_new(TOWNSHIP, "town-unpaged");
    struct node *county = node_new(COUNTY, "county-unpaged");
    parent.hellos = 0;
    town->up_conf.silence_ms = 300;
    parent_listen(county);
    node_connect(town, county);
    assert_true(comes_true(came_again, NULL, WAIT_MS));
    node_free(town);
    node_free(county);
}

/* ---- the largest block ---- */

/* An entry of ENTRY_MAX bytes that no packing makes smaller. */
static void large_draft(struct buf *out, uint32_t record)
{
    uint8_t *noise = mem_alloc(ENTRY_MAX);
    suite_random(noise, ENTRY_MAX);
    struct entry e = {.type = ENTRY_RECORD,
                      .subject_kind = SUBJECT_USCC,
                      .item = 7,
                      .entered_at_ms = 1772000000000,
                      .decided = 20260301,
                      .subject = slice_str("913418210000000001"),
                      .body = slice_of(noise, ENTRY_MAX / 2)};
    be_put32(e.record_key, record);
    entry_encode(&e, out);
    e.body.len += ENTRY_MAX - out->len;
    buf_clear(out);
    entry_encode(&e, out);
    assert_int_equal(out->len, ENTRY_MAX);
    mem_free(noise);
}

static void a_block_of_the_largest_entries_passes_every_tier(void **state)
{
    (void)state;
    struct buf bytes[BLOCK_ENTRIES_MAX] = {BUF_INIT};
    struct slice drafts[BLOCK_ENTRIES_MAX];
    struct node *village = node_new(VILLAGE, "large");
    struct node *town = node_new(TOWNSHIP, "town-large");
    struct node *county = node_new(COUNTY, "county-large");
    struct log_id log = store_own_log(village->store);
    for (uint32_t i = 0; i < BLOCK_ENTRIES_MAX; i++) {
        large_draft(&bytes[i], i);
        drafts[i] = buf_slice(&bytes[i]);
    }
    assert_ok(submit_drafts(village, drafts, BLOCK_ENTRIES_MAX));
    node_listen(county);
    node_connect(town, county);
    node_listen(town);
    node_connect(village, town);
    await_acked(village, town, &log);
    await_acked(town, county, &log);
    assert_true(size_of(county, &log) > BLOCK_ENTRIES_MAX);
    assert_int_equal(count_lines("SYNC-UNREADABLE", "town-large"), 0);
    for (size_t i = 0; i < BLOCK_ENTRIES_MAX; i++) {
        buf_fini(&bytes[i]);
    }
    node_free(village);
    node_free(town);
    node_free(county);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_born_behind_its_page_goes_with_the_last_one),
        cmocka_unit_test(a_last_page_that_does_not_come_is_not_waited_for),
        cmocka_unit_test(a_block_of_the_largest_entries_passes_every_tier),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
