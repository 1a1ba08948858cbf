/* Versions of the root document between neighbours. */
#include "fixture.h"

#include "ident/rootdraft.h"
#include "sync/hello.h"
#include "sync/source.h"

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

struct error_says {
    struct node *node;
    const char *text;
};

static bool says(void *ctx)
{
    const struct error_says *e = ctx;
    return strstr(status_of(e->node).error, e->text) != NULL;
}

static void await_error(struct node *n, const char *text)
{
    struct error_says e = {n, text};
    if (!comes_true(says, &e, WAIT_MS)) {
        fail_msg("%s: \"%s\" lacks \"%s\"", n->name, status_of(n).error, text);
    }
}

/* The node's log names both texts of version 2. */
static void assert_names_both(struct node *n, struct node *other)
{
    char text[256];
    (void)snprintf(text, sizeof text, "hash %s, this node's %s",
                   rootdoc_hash(rootchain_at(other->roots, 2)),
                   rootdoc_hash(rootchain_at(n->roots, 2)));
    assert_true(count_lines(text, n->name) > 0);
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
    assert_names_both(town, village);
    await_error(village, "another root document version 2");
    assert_int_equal(size_of(town, &log), 0);
    node_free(village);
    node_free(town);
}

/* The parent cannot tell from the child's Hello, but the child from its. */
static void a_fork_below_the_childs_newest_is_refused_by_name(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v11");
    struct node *town = node_new(TOWNSHIP, "t11");
    struct log_id log = store_own_log(village->store);
    publish(village, "one text");
    publish(village, "three");
    publish(town, "another");
    submit(village, 0, 100);
    node_listen(town);
    node_connect(village, town);
    await_line(village, "ROOT-FORKED");
    fork_is_noted(village);
    assert_names_both(village, town);
    await_error(village, "another root document version 2");
    assert_int_equal(rootdoc_version(rootchain_newest(town->roots)), 2);
    assert_int_equal(size_of(town, &log), 0);
    node_free(village);
    node_free(town);
}

/* One is two versions ahead: what it has is not taken for what follows. */
static void a_fork_is_not_overtaken_by_a_later_version(void **state)
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

/* Each publishes while they are connected, before it hears of the other: the
 * text ends the stream, and the next greeting tells the other side, too. */
static void a_fork_while_connected_ends_the_stream(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v12");
    struct node *town = node_new(TOWNSHIP, "t12");
    node_listen(town);
    node_connect(village, town);
    check_flow(village, town, 0);
    rootchain_watch(village->roots, NULL, NULL);
    rootchain_watch(town->roots, NULL, NULL);
    publish(village, "one text");
    publish(town, "another");
    downlink_root_changed(town->down);
    await_line(village, "ROOT-FORKED");
    fork_is_noted(village);
    await_line(town, "ROOT-FORKED");
    fork_is_noted(town);
    assert_names_both(town, village);
    node_free(village);
    node_free(town);
}

/* ---- one who lies ---- */

static const uint8_t no_text[HASH_LEN] = {9}; /* a hash that none has */

/* The other side may have ended the stream over what went before. */
static void say(struct rpc_stream *s, struct buf *message)
{
    enum err err = rpc_stream_send(s, message);
    assert_true(err == ERR_OK || err == ERR_CANCELLED);
}

static void send_hello_as(struct rpc_stream *s, uint64_t code, uint64_t version,
                          const uint8_t hash[HASH_LEN], uint64_t window)
{
    struct buf message = BUF_INIT;
    wire_put_hello(
        &message,
        &(struct wire_hello){.protocol = WIRE_PROTOCOL,
                             .suite = slice_str(suite_name(test_suite())),
                             .federation = slice_str(FEDERATION),
                             .root_document = slice_of(hash, HASH_LEN),
                             .root_version = version,
                             .code = code,
                             .version = slice_str("liar"),
                             .clock_ms = (uint64_t)clock_wall_ms(),
                             .window = window},
        NULL, 0);
    say(s, &message);
    buf_fini(&message);
}

/* Version 2, signed by so many keepers; none: it does not come. */
static void send_version_2(struct rpc_stream *s, unsigned signers,
                           void (*put)(struct buf *out, struct slice text))
{
    char path[160];
    struct rootdoc *doc = NULL;
    struct buf text = BUF_INIT;
    struct buf message = BUF_INIT;
    struct errmsg why;
    if (signers == 0) {
        return;
    }
    (void)snprintf(path, sizeof path, "%s/fed/root-document", fed_dir);
    assert_ok(rootdoc_load(&doc, path, &why));
    put_next(doc, "of a liar", signers, &text);
    put(&message, buf_slice(&text));
    say(s, &message);
    buf_fini(&message);
    buf_fini(&text);
    rootdoc_free(&doc);
}

/* ---- a child that lies ---- */

struct lie {
    const char *village, *town; /* names */
    uint64_t version;           /* in its Hello, with a hash that none has */
    bool fits;                  /* with that of version 1 instead */
    unsigned signers;           /* of version 2, which comes then */
    const char *says;           /* how the town ends the stream */
    uint64_t then;              /* the town's newest version */
};

struct liar {
    const struct lie *lie;
    struct node *as;
    pthread_mutex_t lock;
    bool closed;
    char text[480];
};

/* An honest one: but for the documents it would be taken. */
static void send_segment(struct rpc_stream *s, struct node *as)
{
    struct source source;
    struct buf message = BUF_INIT;
    struct log_id log = store_own_log(as->store);
    source_init(&source, FEDERATION);
    assert_ok(
        source_read(&source, as->store, &log, 1, size_of(as, &log), 1 << 20));
    assert_ok(source_read_note(&source, as->store));
    struct wire_segment_out out = source_segment(&source, true, true);
    wire_put_segment(&message, &out);
    say(s, &message);
    buf_fini(&message);
    source_fini(&source);
}

static void liar_open(struct rpc_stream *s, void *user)
{
    struct liar *l = user;
    const struct rootdoc *first = rootchain_newest(l->as->roots);
    send_hello_as(s, l->as->code, l->lie->version,
                  l->lie->fits ? rootdoc_digest(first)->b : no_text, 0);
    send_version_2(s, l->lie->signers, wire_put_child_root);
    send_segment(s, l->as);
}

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
    (void)err;
    (void)pthread_mutex_lock(&l->lock);
    l->closed = true;
    (void)snprintf(l->text, sizeof l->text, "%s", text);
    (void)pthread_mutex_unlock(&l->lock);
}

static const struct rpc_stream_ops liar_ops = {
    .open = liar_open, .message = liar_message, .closed = liar_closed};

static bool liar_is_out(void *ctx)
{
    struct liar *l = ctx;
    (void)pthread_mutex_lock(&l->lock);
    bool closed = l->closed;
    (void)pthread_mutex_unlock(&l->lock);
    return closed;
}

/* Until the town has ended the stream. */
static void tell(struct liar *l, const struct node *town)
{
    struct rpc_channel *channel = NULL;
    struct rpc_stream *s = NULL;
    struct rpc_tls tls = {node_tls, l->as};
    struct errmsg why;
    char target[32];
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", town->port);
    assert_ok(rpc_channel_open(&channel, l->as->rpc, target, &tls, NULL, &why));
    assert_ok(rpc_stream_open(&s, channel, SYNC_REPLICATE, &liar_ops, l, 0));
    assert_true(comes_true(liar_is_out, l, WAIT_MS));
    rpc_channel_close(&channel);
}

/* Nothing of what comes with a lie is taken. */
static void check_lie(const struct lie *lie)
{
    struct liar liar = {.lie = lie, .as = node_new(VILLAGE, lie->village)};
    struct node *town = node_new(TOWNSHIP, lie->town);
    struct log_id log = store_own_log(liar.as->store);
    (void)pthread_mutex_init(&liar.lock, NULL);
    submit(liar.as, 0, 20);
    node_listen(town);
    tell(&liar, town);
    if (strstr(liar.text, lie->says) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", liar.text, lie->says);
    }
    assert_int_equal(rootdoc_version(rootchain_newest(town->roots)), lie->then);
    assert_int_equal(size_of(town, &log), 0);
    (void)pthread_mutex_destroy(&liar.lock);
    node_free(liar.as);
    node_free(town);
}

static void a_segment_before_the_document_is_refused(void **state)
{
    (void)state;
    check_lie(&(struct lie){
        .village = "v8",
        .town = "t8",
        .version = 2,
        .says = "root document version 2 was announced and did not come first",
        .then = 1});
}

static void a_document_signed_by_too_few_is_refused(void **state)
{
    (void)state;
    check_lie(&(struct lie){.village = "v9",
                            .town = "t9",
                            .version = 2,
                            .signers = 1,
                            .says = "1 of the 2 signatures",
                            .then = 1});
}

/* Its greeting fitted: what came behind the document would have been taken. */
static void a_refused_document_ends_what_is_taken(void **state)
{
    (void)state;
    check_lie(&(struct lie){.village = "v15",
                            .town = "t15",
                            .version = 1,
                            .fits = true,
                            .signers = 1,
                            .says = "1 of the 2 signatures",
                            .then = 1});
}

/* It counts, because enough have signed it, but its sender does not. */
static void a_document_that_is_not_the_announced_one_is_refused(void **state)
{
    (void)state;
    check_lie(&(struct lie){.village = "v13",
                            .town = "t13",
                            .version = 2,
                            .signers = 2,
                            .says = "another root document version 2",
                            .then = 2});
}

static void another_first_version_is_refused(void **state)
{
    (void)state;
    check_lie(&(struct lie){
        .village = "v10",
        .town = "t10",
        .version = 1,
        .says = "another root document version 1 than this node's",
        .then = 1});
}

/* ---- a parent that lies ---- */

static _Atomic unsigned parent_signers; /* of version 2, which it announces */

static void parent_open(struct rpc_stream *s, void *user)
{
    (void)user;
    rpc_stream_set_user(s, NULL);
}

static void parent_message(struct rpc_stream *s, void *user,
                           struct slice message)
{
    struct wire_message m;
    struct errmsg why;
    struct buf have = BUF_INIT;
    (void)user;
    assert_ok(wire_get_child(message, &m, &why));
    assert_int_equal(m.kind, WIRE_HELLO);
    send_hello_as(s, TOWNSHIP, 2, no_text, 4 << 20);
    send_version_2(s, parent_signers, wire_put_parent_root);
    wire_put_have(&have, NULL, 0, true);
    say(s, &have);
    buf_fini(&have);
}

static void parent_closed(struct rpc_stream *s, void *user, enum err err,
                          const char *text)
{
    (void)s;
    (void)user;
    (void)err;
    (void)text;
}

static const struct rpc_stream_ops parent_ops = {
    .open = parent_open, .message = parent_message, .closed = parent_closed};

static void listen_as_liar(struct node *town)
{
    static const struct rpc_method methods[] = {
        {.path = SYNC_REPLICATE, .stream = &parent_ops}};
    struct rpc_tls tls = {node_tls, town};
    struct errmsg why;
    assert_ok(rpc_listen(&town->server, town->rpc, "127.0.0.1:0", &tls, methods,
                         ARRAY_LEN(methods), &why));
    town->port = rpc_server_port(town->server);
}

static void a_parent_must_send_what_it_announces_first(void **state)
{
    static const char *const says[] = {
        "root document version 2 was announced and did not come first",
        "1 of the 2 signatures"};
    (void)state;
    struct node *village = node_new(VILLAGE, "v14");
    struct node *town = node_new(TOWNSHIP, "t14");
    submit(village, 0, 20);
    listen_as_liar(town);
    for (unsigned i = 0; i < ARRAY_LEN(says); i++) {
        parent_signers = i;
        node_connect(village, town);
        await_error(village, says[i]);
        assert_int_equal(status_of(village).sent_entries, 0);
        node_disconnect(village);
        assert_int_equal(rootdoc_version(rootchain_newest(village->roots)), 1);
        assert_int_equal(count_lines("ROOT-REFUSED", village->name) > 0, i);
    }
    node_free(village);
    node_free(town);
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
        cmocka_unit_test(a_fork_below_the_childs_newest_is_refused_by_name),
        cmocka_unit_test(a_fork_is_not_overtaken_by_a_later_version),
        cmocka_unit_test(a_fork_while_connected_ends_the_stream),
        cmocka_unit_test(a_segment_before_the_document_is_refused),
        cmocka_unit_test(a_document_signed_by_too_few_is_refused),
        cmocka_unit_test(a_refused_document_ends_what_is_taken),
        cmocka_unit_test(a_document_that_is_not_the_announced_one_is_refused),
        cmocka_unit_test(another_first_version_is_refused),
        cmocka_unit_test(a_parent_must_send_what_it_announces_first),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
