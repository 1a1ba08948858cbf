/* Versions of the root document between neighbours. */
#include "fixture.h"

#include "ident/rootdraft.h"
#include "sync/hello.h"

/* ---- making versions ---- */

static void sign(struct buf *text, unsigned keeper)
{
    char path[160];
    struct rootdoc *doc = NULL;
    struct key *key = NULL;
    struct errmsg why;
    (void)snprintf(path, sizeof path, "%s/fed/deciders/000000000000-%u.key",
                   fed_dir, keeper);
    assert_ok(rootdoc_parse(&doc, buf_slice(text), "draft", &why));
    assert_ok(key_load(&key, path, &why));
    assert_ok(rootdoc_sign(doc, key, text, &why));
    key_free(&key);
    rootdoc_free(&doc);
}

/* Appends the version behind `doc`; `remark` tells texts of one version
 * apart. */
static void put_next(const struct rootdoc *doc, const char *remark,
                     unsigned signers, struct buf *out)
{
    buf_clear(out);
    rootdraft_put_next(doc, out);
    buf_putf(out, "# %s\n", remark);
    for (unsigned i = 1; i <= signers; i++) {
        sign(out, i);
    }
}

/* What an operator does at this node. */
static void publish(struct node *n, const char *remark)
{
    struct buf text = BUF_INIT;
    struct errmsg why = {""};
    uint64_t version;
    bool added;
    put_next(rootchain_newest(n->roots), remark, 2, &text);
    if (rootchain_add(n->roots, buf_slice(&text), "here", &added, &version,
                      &why) != ERR_OK) {
        fail_msg("publish: %s", why.text);
    }
    assert_true(added);
    buf_fini(&text);
}

/* ---- conditions ---- */

struct at_version {
    struct node *node;
    uint64_t version;
};

static bool has_version(void *ctx)
{
    const struct at_version *at = ctx;
    return rootdoc_version(rootchain_newest(at->node->roots)) == at->version;
}

static void await_version_of_root(struct node *n, uint64_t version)
{
    struct at_version at = {n, version};
    if (!comes_true(has_version, &at, WAIT_MS)) {
        fail_msg(
            "%s has version %llu", n->name,
            (unsigned long long)rootdoc_version(rootchain_newest(n->roots)));
    }
}

static void assert_quiet(const struct node *n)
{
    assert_int_equal(count_lines("SYNC-PROTOCOL", n->name), 0);
    assert_int_equal(count_lines("SYNC-REFUSED", n->name), 0);
    assert_int_equal(count_lines("ROOT-REFUSED", n->name), 0);
    assert_int_equal(count_lines("ROOT-FORKED", n->name), 0);
}

static void check_flow(struct node *below, struct node *above, uint32_t from)
{
    struct log_id log = store_own_log(below->store);
    submit(below, from, 50);
    await_acked(below, above, &log);
}

/* ---- greeting ---- */

static void a_child_that_is_behind_is_brought_up(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v1");
    struct node *town = node_new(TOWNSHIP, "t1");
    publish(town, "two");
    publish(town, "three");
    publish(town, "four");
    node_listen(town);
    node_connect(village, town);
    await_version_of_root(village, 4);
    check_flow(village, town, 0);
    assert_quiet(village);
    assert_quiet(town);
    node_free(village);
    node_free(town);
}

static void a_parent_that_is_behind_is_brought_up(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v2");
    struct node *town = node_new(TOWNSHIP, "t2");
    publish(village, "two");
    publish(village, "three");
    submit(village, 100, 300);
    node_listen(town);
    node_connect(village, town);
    await_version_of_root(town, 3);
    check_flow(village, town, 0);
    assert_quiet(village);
    assert_quiet(town);
    node_free(village);
    node_free(town);
}

static void versions_outlive_a_restart(void **state)
{
    (void)state;
    struct node *town = node_new(TOWNSHIP, "t3");
    publish(town, "two");
    node_stop(town);
    node_start(town);
    assert_int_equal(rootdoc_version(rootchain_newest(town->roots)), 2);
    node_free(town);
}

/* ---- while connected ---- */

static void a_version_spreads_from_wherever_it_was_published(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v4");
    struct node *other = node_new(VILLAGE2, "w4");
    struct node *town = node_new(TOWNSHIP, "t4");
    struct node *county = node_new(COUNTY, "c4");
    struct node *all[] = {village, other, town, county};
    node_listen(county);
    node_listen(town);
    node_connect(town, county);
    node_connect(village, town);
    node_connect(other, town);
    check_flow(village, town, 0);
    check_flow(other, town, 1000);
    check_flow(town, county, 2000);
    uint64_t version = 1;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        publish(all[i], all[i]->name);
        version++;
        for (size_t j = 0; j < ARRAY_LEN(all); j++) {
            await_version_of_root(all[j], version);
        }
    }
    check_flow(village, town, 100);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_quiet(all[i]);
        assert_int_equal(count_lines("ROOT-VERSION", all[i]->name), 3);
    }
    node_free(village);
    node_free(other);
    node_free(town);
    node_free(county);
}

/* Many at once from both ends, while greetings are under way. */
static void versions_and_greetings_may_cross(void **state)
{
    enum { TIMES = 30 };
    (void)state;
    struct node *village = node_new(VILLAGE, "v5");
    struct node *town = node_new(TOWNSHIP, "t5");
    node_listen(town);
    for (unsigned i = 0; i < TIMES; i++) {
        struct node *from = i % 2 == 0 ? town : village;
        node_connect(village, town);
        (void)usleep(i * 700);
        publish(from, "crossing");
        await_version_of_root(village, i + 2);
        await_version_of_root(town, i + 2);
        node_disconnect(village);
    }
    assert_quiet(village);
    assert_quiet(town);
    node_free(village);
    node_free(town);
}

/* ---- what is refused ---- */

struct told {
    struct node *node;
    const char *id;
};

static bool was_told(void *ctx)
{
    const struct told *t = ctx;
    return count_lines(t->id, t->node->name) > 0;
}

static void await_line(struct node *n, const char *id)
{
    struct told t = {n, id};
    if (!comes_true(was_told, &t, WAIT_MS)) {
        fail_msg("%s never said %s", n->name, id);
    }
}

static void fork_is_noted(struct node *n)
{
    struct errmsg text;
    rootchain_fork(n->roots, &text);
    assert_non_null(strstr(text.text, "version 2"));
}

static void two_texts_of_one_version_are_refused_by_name(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v6");
    struct node *town = node_new(TOWNSHIP, "t6");
    struct log_id log = store_own_log(village->store);
    publish(village, "one text");
    publish(town, "another");
    submit(village, 0, 100);
    node_listen(town);
    node_connect(village, town);
    await_line(town, "ROOT-FORKED");
    fork_is_noted(town);
    assert_int_equal(size_of(town, &log), 0);
    node_free(village);
    node_free(town);
}

/* The same while the two are connected: the older text stays at each. */
static void a_fork_that_comes_later_ends_the_stream(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v7");
    struct node *town = node_new(TOWNSHIP, "t7");
    node_listen(town);
    node_connect(village, town);
    check_flow(village, town, 0);
    node_disconnect(village);
    publish(village, "one text");
    publish(town, "another");
    publish(town, "three");
    char before[2 * HASH_LEN + 1];
    (void)snprintf(before, sizeof before, "%s",
                   rootdoc_hash(rootchain_newest(village->roots)));
    node_connect(village, town);
    await_line(town, "ROOT-FORKED");
    assert_string_equal(rootdoc_hash(rootchain_newest(village->roots)), before);
    assert_int_equal(rootdoc_version(rootchain_newest(town->roots)), 3);
    node_free(village);
    node_free(town);
}

/* ---- a child that lies ---- */

struct liar {
    pthread_mutex_t lock;
    bool closed;
    enum err err;
    char text[256];
};

static void liar_message(struct rpc_stream *s, void *user, struct slice m)
{
    (void)s;
    (void)user;
    (void)m;
}

static void liar_closed(struct rpc_stream *s, void *user, enum err err,
                        const char *text)
{
    struct liar *l = user;
    (void)s;
    (void)pthread_mutex_lock(&l->lock);
    l->closed = true;
    l->err = err;
    (void)snprintf(l->text, sizeof l->text, "%s", text);
    (void)pthread_mutex_unlock(&l->lock);
}

static const struct rpc_stream_ops liar_ops = {.message = liar_message,
                                               .closed = liar_closed};

static bool liar_is_out(void *ctx)
{
    struct liar *l = ctx;
    (void)pthread_mutex_lock(&l->lock);
    bool closed = l->closed;
    (void)pthread_mutex_unlock(&l->lock);
    return closed;
}

static void say_hello(struct rpc_stream *s, const struct node *as,
                      uint64_t version, const uint8_t hash[HASH_LEN])
{
    struct buf message = BUF_INIT;
    wire_put_hello(
        &message,
        &(struct wire_hello){.protocol = WIRE_PROTOCOL,
                             .suite = slice_str("intl"),
                             .federation = slice_str(FEDERATION),
                             .root_document = slice_of(hash, HASH_LEN),
                             .root_version = version,
                             .code = as->code,
                             .version = slice_str("liar"),
                             .clock_ms = (uint64_t)clock_wall_ms()},
        NULL, 0);
    assert_ok(rpc_stream_send(s, &message));
    buf_fini(&message);
}

/* Greets with another text of `version`, then sends what is in `message`; the
 * town ends the stream with a text that has `says`. */
static void lie(const char *village_name, const char *town_name,
                uint64_t version, struct buf *message, const char *says)
{
    static const uint8_t hash[HASH_LEN] = {9};
    struct node *village = node_new(VILLAGE, village_name);
    struct node *town = node_new(TOWNSHIP, town_name);
    struct liar liar = {.closed = false};
    struct rpc_channel *channel = NULL;
    struct rpc_stream *s = NULL;
    struct rpc_tls tls = {node_tls, village};
    struct errmsg why;
    char target[32];
    (void)pthread_mutex_init(&liar.lock, NULL);
    node_listen(town);
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", town->port);
    assert_ok(
        rpc_channel_open(&channel, village->rpc, target, &tls, NULL, &why));
    assert_ok(
        rpc_stream_open(&s, channel, SYNC_REPLICATE, &liar_ops, &liar, 0));
    say_hello(s, village, version, hash);
    if (message->len > 0) {
        assert_ok(rpc_stream_send(s, message));
    }
    assert_true(comes_true(liar_is_out, &liar, WAIT_MS));
    if (strstr(liar.text, says) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", liar.text, says);
    }
    assert_int_equal(rootdoc_version(rootchain_newest(town->roots)), 1);
    rpc_channel_close(&channel);
    (void)pthread_mutex_destroy(&liar.lock);
    node_free(village);
    node_free(town);
}

static void a_segment_before_the_document_is_refused(void **state)
{
    (void)state;
    const struct log_id log = {
        .origin = VILLAGE, .kind = LOG_RECORDS, .incarnation = 7};
    struct buf message = BUF_INIT;
    wire_put_evidence(&message,
                      &(struct wire_evidence){.log = log,
                                              .note = slice_str("note"),
                                              .chain = slice_str("chain")});
    lie("v8", "t8", 2, &message,
        "root document version 2 was announced and did not come first");
    buf_fini(&message);
}

static void a_document_signed_by_too_few_is_refused(void **state)
{
    (void)state;
    char path[160];
    struct rootdoc *doc = NULL;
    struct buf text = BUF_INIT;
    struct buf message = BUF_INIT;
    struct errmsg why;
    (void)snprintf(path, sizeof path, "%s/fed/root-document", fed_dir);
    assert_ok(rootdoc_load(&doc, path, &why));
    put_next(doc, "by one", 1, &text);
    wire_put_child_root(&message, buf_slice(&text));
    lie("v9", "t9", 2, &message, "1 of the 2 signatures");
    buf_fini(&message);
    buf_fini(&text);
    rootdoc_free(&doc);
}

static void another_first_version_is_refused(void **state)
{
    struct buf none = BUF_INIT;
    (void)state;
    lie("v10", "t10", 1, &none,
        "another root document version 1 than this node's");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_that_is_behind_is_brought_up),
        cmocka_unit_test(a_parent_that_is_behind_is_brought_up),
        cmocka_unit_test(versions_outlive_a_restart),
        cmocka_unit_test(a_version_spreads_from_wherever_it_was_published),
        cmocka_unit_test(versions_and_greetings_may_cross),
        cmocka_unit_test(two_texts_of_one_version_are_refused_by_name),
        cmocka_unit_test(a_fork_that_comes_later_ends_the_stream),
        cmocka_unit_test(a_segment_before_the_document_is_refused),
        cmocka_unit_test(a_document_signed_by_too_few_is_refused),
        cmocka_unit_test(another_first_version_is_refused),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
