#include "fixture.h"
#include "sync/recv.h"
#include "sync/source.h"

struct log_in_state {
    struct node *node;
    struct log_id log;
    enum log_state state;
};
static bool is_in_state(void *ctx)
{
    struct log_in_state *l = ctx;
    return state_of(l->node, &l->log) == l->state;
}
static void await_state(struct node *n, const struct log_id *log,
                        enum log_state state)
{
    struct log_in_state l = {n, *log, state};
    if (!comes_true(is_in_state, &l, WAIT_MS)) {
        fail_msg("%s: log is %s", n->name, log_state_name(state_of(n, log)));
    }
}

static uint32_t version_of(struct node *n, uint32_t record)
{
    char subject[32];
    struct subject_key key;
    uint8_t record_key[RECORD_KEY_LEN] = {0};
    struct store_row row;
    (void)snprintf(subject, sizeof subject, "9134182100%08u", record / 16);
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    be_put32(record_key, record * 2654435761u);
    be_put32(record_key + 4, record);
    enum err err = store_row(n->store, &key, record_key, VILLAGE, &row);
    return err == ERR_OK ? row.version : 0;
}

static bool has_subject(struct node *n, uint32_t record)
{
    return version_of(n, record) > 0;
}

struct row_wanted {
    struct node *node;
    uint32_t record;
    uint32_t version;
};
static bool is_version(void *ctx)
{
    struct row_wanted *w = ctx;
    return version_of(w->node, w->record) == w->version;
}
static void await_version(struct node *n, uint32_t record, uint32_t version)
{
    struct row_wanted w = {n, record, version};
    if (!comes_true(is_version, &w, WAIT_MS)) {
        fail_msg("%s: record %u has version %u", n->name, record,
                 version_of(n, record));
    }
}

/* The village is backed up with its records 0 to `kept` - 1, and put back when
 * the town has those up to `all` - 1. Returns the size of the town's copy. */
static uint64_t lose_tail(struct node *village, struct node *town,
                          uint32_t kept, uint32_t all)
{
    struct log_id log = store_own_log(village->store);
    node_listen(town);
    submit(village, 0, kept);
    node_back_up(village);
    node_connect(village, town);
    submit(village, kept, all - kept);
    await_acked(village, town, &log);
    uint64_t whole = size_of(village, &log);
    node_put_back(village);
    return whole;
}

static void a_restored_node_pulls_its_lost_tail_back(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v1");
    struct node *town = node_new(TOWNSHIP, "t1");
    struct log_id old = store_own_log(village->store);
    uint64_t whole = lose_tail(village, town, 300, 800);
    assert_true(size_of(village, &old) < whole);

    node_connect(village, town);
    await_state(village, &old, LOG_CLOSED);
    assert_int_equal(size_of(village, &old), whole);
    await_acked(village, town, &old); /* from where it came, it is */
    await_equal(village, town, &old);
    submit(village, 5000, 3);
    struct log_id new = store_own_log(village->store);
    assert_true(new.incarnation != old.incarnation);
    await_equal(village, town, &new);
    await_acked(village, town, &new);
    assert_true(has_subject(village, 700));
    assert_true(has_subject(town, 5001));
    assert_int_equal(state_of(town, &old), LOG_ACTIVE);
    assert_true(count_lines("SYNC-RESTORED", "v1") >= 1);
    assert_int_equal(count_lines("SYNC-FORKED", "t1"), 0);
    node_free(village);
    node_free(town);
}

static void reconnect(void *ctx)
{
    struct node *n = ctx;
    uplink_reconnect(n->up);
}

static void what_a_restored_node_wrote_off_line_is_kept(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v2");
    struct node *town = node_new(TOWNSHIP, "t2");
    struct log_id old = store_own_log(village->store);
    uint64_t whole = lose_tail(village, town, 100, 150);
    submit(village, 7000, 80); /* the log parts from the parent's copy */
    node_connect(village, town);
    await_state(village, &old, LOG_CLOSED);
    assert_int_equal(size_of(village, &old), whole);
    await_equal(village, town, &old);
    struct log_id new = store_own_log(village->store);
    /* What was set aside is appended after the old log has closed. */
    for (uint32_t i = 0; i < 80; i++) {
        await_version(town, 7000 + i, 1);
    }
    await_equal(village, town, &new);
    await_acked(village, town, &new);
    assert_true(has_subject(village, 120));
    assert_int_equal(count_lines("SYNC-FORKED", "t2"), 0);
    /* On the next connection the old log is not taken for longer. */
    on_loop(reconnect, village);
    submit(village, 7500, 1);
    await_acked(village, town, &new);
    struct uplink_status status = status_of(village);
    assert_int_equal(status.behind_entries, 0);
    assert_int_equal(status.stopped_logs, 0);
    assert_int_equal(count_lines("SYNC-UNREADABLE", "v2"), 0);
    node_free(village);
    node_free(town);
}

static bool has_two_entries(void *ctx)
{
    struct log_in_state *l = ctx;
    return size_of(l->node, &l->log) == 2;
}

static void a_node_that_lost_its_store_gets_its_old_log_back(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v3");
    struct node *town = node_new(TOWNSHIP, "t3");
    struct log_id old = store_own_log(village->store);
    node_listen(town);
    submit(village, 0, 600);
    node_connect(village, town);
    await_acked(village, town, &old);
    uint64_t whole = size_of(village, &old);
    node_stop(village);
    shell("rm -rf %s", village->path);
    node_start(village);
    node_connect(village, town);
    await_state(village, &old, LOG_CLOSED);
    assert_int_equal(size_of(village, &old), whole);
    assert_true(has_subject(village, 555));
    struct log_id new = store_own_log(village->store);
    /* Its opening, and the seal key again: the one above may be lost too. */
    struct log_in_state l = {village, new, LOG_ACTIVE};
    assert_true(comes_true(has_two_entries, &l, WAIT_MS));
    await_equal(village, town, &new);
    /* Nothing of what came down went up again. */
    assert_in_range(status_of(village).sent_entries, 0, 10);
    node_free(village);
    node_free(town);
}

static void a_clone_is_seen_and_its_log_stops(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v4");
    struct node *town = node_new(TOWNSHIP, "t4");
    struct log_id old = store_own_log(village->store);
    node_listen(town);
    submit(village, 0, 100);
    node_copy_to(village, "v4clone");
    node_connect(village, town);
    submit(village, 100, 10);
    await_acked(village, town, &old);
    node_disconnect(village);

    /* The clone writes other entries under the same numbers: to itself it is
     * a restored node, and opens a successor. */
    struct node *clone = node_new(VILLAGE, "v4clone");
    submit(clone, 8000, 4);
    node_connect(clone, town);
    await_state(clone, &old, LOG_CLOSED);
    struct log_id new = store_own_log(clone->store);
    await_acked(clone, town, &new);
    node_disconnect(clone);

    /* The original does not know and goes on in the log that has an end. */
    submit(village, 110, 5);
    node_connect(village, town);
    uint64_t end = size_of(clone, &old);
    await_state(town, &old, LOG_FORKED);
    WAIT_FOR(count_lines("SYNC-FORKED", "t4") >= 1); /* behind the commit */
    assert_int_equal(size_of(town, &old), end);

    /* Other logs go on. */
    node_disconnect(village);
    submit(clone, 9000, 5);
    node_connect(clone, town);
    await_equal(clone, town, &new);
    node_free(village);
    node_free(clone);
    node_free(town);
}

/* As the node does it when it learns what `above` holds; it gets no further,
 * for it is not connected. */
static void succeed_by_hand(struct node *n, struct node *above,
                            const struct log_id *log)
{
    struct buf note = BUF_INIT;
    struct errmsg why = {""};
    struct store_head *head = MEM_NEW(struct store_head);
    assert_ok(store_head(above->store, log, head));
    assert_ok(store_note(above->store, log, &note, NULL));
    assert_ok(store_succeed(n->store, log, size_of(n, log), head->frontier.size,
                            &head->root, buf_slice(&note), &why));
    buf_fini(&note);
    mem_free(head);
}

/* Between the succession and the pull its twin wrote on: the parent holds more
 * than the end that was named. Only what is before it comes back. */
static void a_log_comes_back_to_its_end_whatever_a_twin_wrote(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v4t");
    struct node *town = node_new(TOWNSHIP, "t4t");
    struct log_id old = store_own_log(village->store);
    node_listen(town);
    submit(village, 0, 100);
    node_back_up(village);
    node_connect(village, town);
    submit(village, 100, 50);
    await_acked(village, town, &old);
    uint64_t end = size_of(village, &old);
    node_copy_to(village, "v4twin");
    node_put_back(village);
    succeed_by_hand(village, town, &old);

    struct node *twin = node_new(VILLAGE, "v4twin");
    node_connect(twin, town);
    submit(twin, 8000, 20);
    await_acked(twin, town, &old);
    assert_true(size_of(town, &old) > end);
    node_disconnect(twin);

    node_connect(village, town);
    await_state(village, &old, LOG_CLOSED);
    assert_int_equal(size_of(village, &old), end);
    submit(village, 9000, 1);
    await_version(town, 9000, 1);
    node_free(village);
    node_free(twin);
    node_free(town);
}

/* The twin opened a log of its own, of which the node took what was above; then
 * the twin wrote on in it. It is one tree, so it is to be equal everywhere. */
static void what_a_twin_writes_on_in_its_own_log_comes_back_too(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v4o");
    struct node *town = node_new(TOWNSHIP, "t4o");
    struct log_id old = store_own_log(village->store);
    node_listen(town);
    submit(village, 0, 100);
    node_copy_to(village, "v4own");
    node_connect(village, town);
    submit(village, 100, 10);
    await_acked(village, town, &old);
    node_disconnect(village);
    struct node *twin = node_new(VILLAGE, "v4own");
    node_connect(twin, town);
    await_state(twin, &old, LOG_CLOSED);
    struct log_id own = store_own_log(twin->store);
    submit(twin, 8000, 4);
    await_acked(twin, town, &own);
    node_disconnect(twin);

    node_connect(village, town);
    await_state(village, &own, LOG_CLOSED);
    await_equal(village, town, &own);
    node_disconnect(village);
    node_connect(twin, town);
    submit(twin, 8100, 5);
    await_acked(twin, town, &own);
    node_disconnect(twin);

    node_connect(village, town);
    await_equal(village, town, &own);
    await_state(village, &own, LOG_CLOSED);
    assert_true(has_subject(village, 8104));
    assert_int_equal(state_of(town, &own), LOG_ACTIVE);
    assert_int_equal(count_lines("SYNC-RECOVERY", "v4o"), 0);
    node_free(village);
    node_free(twin);
    node_free(town);
}

struct log_of_size {
    struct node *node;
    struct log_id log;
    uint64_t size;
};
static bool is_of_size(void *ctx)
{
    struct log_of_size *l = ctx;
    return size_of(l->node, &l->log) >= l->size;
}

/* The relay has fewer entries than its parent, of another tail: it sees the
 * fork, and the parent learns of it. */
static void a_relay_that_sees_a_fork_tells_its_parent(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v13");
    struct node *town = node_new(TOWNSHIP, "t13");
    struct node *county = node_new(COUNTY, "c13");
    struct log_id log = store_own_log(village->store);
    node_listen(county);
    node_listen(town);
    submit(village, 0, 100);
    node_connect(village, town);
    /* Behind the opening and the records comes a key, wrapped for the town. */
    struct log_of_size wrapped = {village, log, 102};
    assert_true(comes_true(is_of_size, &wrapped, WAIT_MS));
    await_acked(village, town, &log);
    node_copy_to(village, "v13clone");
    node_back_up(town);
    node_listen(town);
    node_connect(town, county);
    submit(village, 100, 20);
    node_connect(village, town);
    await_equal(village, county, &log);
    node_disconnect(village);
    node_put_back(town);
    node_listen(town);
    struct node *clone = node_new(VILLAGE, "v13clone");
    submit(clone, 8000, 4);
    node_connect(clone, town);
    await_equal(clone, town, &log);
    node_disconnect(clone);
    node_connect(town, county);
    await_state(town, &log, LOG_FORKED);
    await_state(county, &log, LOG_FORKED);
    node_free(village);
    node_free(clone);
    node_free(town);
    node_free(county);
}

static void a_relay_that_was_put_back_is_no_fault(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v5");
    struct node *town = node_new(TOWNSHIP, "t5");
    struct node *county = node_new(COUNTY, "c5");
    struct log_id log = store_own_log(village->store);
    struct log_id own = store_own_log(town->store);
    node_listen(county);
    node_listen(town);
    submit(village, 0, 50);
    node_connect(village, town);
    await_acked(village, town, &log);
    node_back_up(town);
    node_listen(town);
    node_connect(town, county);
    submit(village, 50, 200);
    await_acked(village, county, &log);
    struct log_of_size wrapped = {county, own, 2};
    assert_true(comes_true(is_of_size, &wrapped, WAIT_MS));
    node_put_back(town);
    /* The county holds more of the village's log than the relay. */
    node_connect(town, county);
    node_listen(town);
    await_equal(village, town, &log);
    submit(village, 250, 20);
    await_equal(village, county, &log);
    await_acked(village, county, &log);
    assert_int_equal(state_of(county, &log), LOG_ACTIVE);
    /* Its own log had got a wrapped key since: that one has a successor. */
    await_state(town, &own, LOG_CLOSED);
    await_equal(town, county, &own);
    own = store_own_log(town->store);
    await_equal(town, county, &own);
    assert_int_equal(count_lines("SYNC-FORKED", "c5"), 0);
    node_free(village);
    node_free(town);
    node_free(county);
}

/* ---- less than what was signed ---- */

static void on_appended(void *ctx, enum err err, const char *why,
                        const struct log_id *log, uint64_t size, uint64_t added)
{
    (void)why;
    (void)added;
    (void)log;
    (void)size;
    waiter_done(ctx, err);
}

/* The first `last` entries arrive under the newest head, then the line is
 * cut. */
static void upload_in_part(struct node *from, struct node *to,
                           const struct log_id *log, uint64_t last)
{
    struct source src;
    struct errmsg why;
    struct refusal refusal;
    struct wire_message m;
    struct segment *seg = NULL;
    struct buf bytes = BUF_INIT;
    struct recv *recv = recv_new(fed_trust, LOG_RECORDS);
    struct recv_log *rl = recv_log_new(log);
    struct waiter w;
    source_init(&src, FEDERATION);
    assert_ok(source_read(&src, from->store, log, 1, last, 1 << 20));
    assert_ok(source_read_note(&src, from->store));
    struct wire_segment_out out = source_segment(&src, true, true);
    wire_put_segment(&bytes, &out);
    assert_ok(wire_get_child(buf_slice(&bytes), &m, &why));
    assert_ok(recv_segment(recv, rl, &m.segment, NULL, clock_wall_ms(), &seg,
                           &refusal));
    waiter_init(&w);
    assert_ok(store_append(to->store, &seg, on_appended, &w));
    assert_ok(waiter_end(&w));
    recv_log_free(&rl);
    recv_free(&recv);
    buf_fini(&bytes);
    source_fini(&src);
}

/* The parent holds less than the backup, but a later signed head: under an
 * older one it takes nothing more. */
static void a_node_put_back_during_its_upload_goes_on(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v6b");
    struct node *town = node_new(TOWNSHIP, "t6b");
    struct log_id old = store_own_log(village->store);
    submit(village, 0, 1000);
    node_back_up(village);
    submit(village, 1000, 1000);
    upload_in_part(village, town, &old, 500);
    uint64_t held = size_of(town, &old);
    node_put_back(village);
    node_listen(town);
    node_connect(village, town);
    await_state(village, &old, LOG_CLOSED);
    assert_int_equal(size_of(village, &old), held);
    await_version(town, 999, 1); /* what was set aside */
    submit(village, 9000, 1);
    await_version(town, 9000, 1);
    assert_int_equal(state_of(town, &old), LOG_ACTIVE);
    node_free(village);
    node_free(town);
}

static void lose_store(struct node *n)
{
    node_stop(n);
    shell("rm -rf %s", n->path);
    node_start(n);
}

static void a_node_that_lost_an_upload_half_way_goes_on(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v6");
    struct node *town = node_new(TOWNSHIP, "t6");
    struct log_id old = store_own_log(village->store);
    submit(village, 0, 2000);
    upload_in_part(village, town, &old, 500);
    uint64_t held = size_of(town, &old);
    assert_true(held < size_of(village, &old));
    lose_store(village);
    node_listen(town);
    node_connect(village, town);
    await_state(village, &old, LOG_CLOSED);
    assert_int_equal(size_of(village, &old), held);
    assert_int_equal(count_lines("STORE-GAP", "v6"), 1);
    struct store_stats stats;
    store_stats(village->store, &stats);
    assert_int_equal(stats.issues, 1);
    submit(village, 9000, 1);
    await_version(village, 9000, 1);
    struct log_id own = store_own_log(village->store);
    await_acked(village, town, &own);
    await_version(town, 9000, 1);
    node_free(village);
    node_free(town);
}

/* Goal 700 was signed and seen; then the parent loses it too. */
static void
a_parent_emptied_during_the_pull_does_not_stop_its_child(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v7");
    struct node *town = node_new(TOWNSHIP, "t7");
    struct log_id old = store_own_log(village->store);
    (void)lose_tail(village, town, 300, 700);
    uint64_t left = size_of(village, &old);

    /* The successor opens, and nothing comes back. */
    succeed_by_hand(village, town, &old);
    assert_int_equal(state_of(village, &old), LOG_PULLING);
    submit(village, 9000, 1);
    assert_int_equal(version_of(village, 9000), 0);

    node_deafen(town);
    town->server = NULL;
    lose_store(town);
    node_listen(town);
    node_connect(village, town);
    await_state(village, &old, LOG_CLOSED);
    assert_int_equal(size_of(village, &old), left);
    await_version(village, 9000, 1);
    await_version(town, 9000, 1);
    await_equal(village, town, &old);
    node_free(village);
    node_free(town);
}

static bool is_up(void *ctx)
{
    return status_of(ctx).state == UPLINK_STREAMING;
}

/* The parent has all of a log that is not here: what comes again from below is
 * not sent up again, and the parent is not blamed for knowing it. */
static void a_relay_that_lost_its_store_blames_nobody(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v12");
    struct node *town = node_new(TOWNSHIP, "t12");
    struct node *county = node_new(COUNTY, "c12");
    struct log_id log = store_own_log(village->store);
    village->up_conf.segment_bytes = 16 << 10; /* many of them */
    submit(village, 0, 3000);
    node_listen(county);
    node_listen(town);
    node_connect(town, county);
    node_connect(village, town);
    await_equal(village, county, &log);
    node_disconnect(village);
    node_deafen(town);
    town->server = NULL;
    lose_store(town);
    node_connect(town, county);
    assert_true(comes_true(is_up, town, WAIT_MS));
    submit(village, 3000, 100);
    node_listen(town);
    node_connect(village, town);
    await_equal(village, town, &log);
    await_equal(village, county, &log);
    await_acked(village, town, &log);
    assert_int_equal(count_lines("SYNC-PROTOCOL", "t12"), 0);
    assert_int_equal(count_lines("SYNC-REFUSED", "c12"), 0);
    assert_true(status_of(town).sent_entries < 3000);
    node_free(village);
    node_free(town);
    node_free(county);
}

/* ---- a new store ---- */

static enum err submit_text(struct node *n, uint32_t record, uint32_t text)
{
    struct buf bytes = BUF_INIT;
    struct buf other = BUF_INIT;
    struct entry e;
    struct entry o;
    draft_put(&bytes, record);
    draft_put(&other, text);
    assert_ok(entry_decode(buf_slice(&bytes), &e));
    assert_ok(entry_decode(buf_slice(&other), &o));
    e.body = o.body;
    struct buf draft = BUF_INIT;
    entry_encode(&e, &draft);
    struct slice one = buf_slice(&draft);
    enum err err = submit_drafts(n, &one, 1);
    buf_fini(&bytes);
    buf_fini(&other);
    buf_fini(&draft);
    return err;
}

static void
what_a_new_store_takes_comes_after_the_versions_it_lost(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v8");
    struct node *town = node_new(TOWNSHIP, "t8");
    struct log_id old = store_own_log(village->store);
    village->has_parent = true;
    node_listen(town);
    submit(village, 7, 1);
    assert_ok(submit_text(village, 7, 1007));
    assert_int_equal(version_of(village, 7), 2);
    node_connect(village, town);
    await_acked(village, town, &old);
    lose_store(village);

    /* Nobody has told it yet that there is an older log. */
    assert_true(store_awaits_parent(village->store));
    assert_ok(submit_text(village, 7, 2007));
    assert_int_equal(version_of(village, 7), 0);
    node_stop(village);
    node_start(village);
    assert_true(store_awaits_parent(village->store));
    node_connect(village, town);
    await_version(village, 7, 3);
    await_version(town, 7, 3);
    assert_false(store_awaits_parent(village->store));
    assert_int_equal(state_of(village, &old), LOG_CLOSED);
    assert_int_equal(count_lines("INDEX-CONFLICT", "v8"), 0);
    assert_int_equal(count_lines("INDEX-CONFLICT", "t8"), 0);
    node_free(village);
    node_free(town);
}

static void a_node_that_is_really_new_waits_for_one_word_only(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v9");
    struct node *town = node_new(TOWNSHIP, "t9");
    village->has_parent = true;
    lose_store(village);
    assert_ok(submit_text(village, 7, 7));
    assert_int_equal(version_of(village, 7), 0);
    node_listen(town);
    node_connect(village, town);
    await_version(village, 7, 1);
    await_version(town, 7, 1);
    node_stop(village);
    node_start(village);
    assert_false(store_awaits_parent(village->store));
    node_free(village);
    node_free(town);
}

static void many_lost_logs_all_come_back(void **state)
{
    enum { LOGS = 20 };
    struct log_id logs[LOGS];
    (void)state;
    struct node *village = node_new(VILLAGE, "v10");
    struct node *town = node_new(TOWNSHIP, "t10");
    node_listen(town);
    for (uint32_t i = 0; i < LOGS; i++) {
        logs[i] = store_own_log(village->store);
        submit(village, i * 16, 1);
        upload_in_part(village, town, &logs[i], 2);
        lose_store(village);
    }
    village->has_parent = true;
    lose_store(village);
    submit(village, 0, 1);
    node_connect(village, town);
    struct log_id own = store_own_log(village->store);
    await_acked(village, town, &own);
    for (uint32_t i = 0; i < LOGS; i++) {
        await_state(village, &logs[i], LOG_CLOSED);
        assert_int_equal(version_of(village, i * 16), 1);
    }
    assert_int_equal(count_lines("INDEX-CONFLICT", "v10"), 0);
    node_free(village);
    node_free(town);
}

/* ---- put back twice ---- */

/* Which of the two logs is asked about first depends on their random names. */
static void a_node_put_back_twice_keeps_its_logs(void **state)
{
    enum { RUNS = 4 };
    (void)state;
    for (int i = 0; i < RUNS; i++) {
        char names[2][16];
        (void)snprintf(names[0], sizeof names[0], "v2nd%d", i);
        (void)snprintf(names[1], sizeof names[1], "t2nd%d", i);
        struct node *village = node_new(VILLAGE, names[0]);
        struct node *town = node_new(TOWNSHIP, names[1]);
        struct log_id first = store_own_log(village->store);
        (void)lose_tail(village, town, 10, 20);
        node_connect(village, town);
        await_state(village, &first, LOG_CLOSED);
        struct log_id second = store_own_log(village->store);
        submit(village, 100, 5);
        await_acked(village, town, &second);

        node_put_back(village);
        submit(village, 200, 30); /* longer than what the town has of it */
        node_connect(village, town);
        await_state(village, &first, LOG_CLOSED);
        await_state(village, &second, LOG_CLOSED);
        await_equal(village, town, &first);
        await_version(village, 229, 1);
        await_version(village, 104, 1);
        await_version(town, 229, 1);
        assert_int_equal(count_lines("FORKED", names[0]), 0);
        assert_int_equal(count_lines("FORKED", names[1]), 0);
        node_free(village);
        node_free(town);
    }
}

/* The first log is asked about before the second, in which the last version
 * was: what was written since is not to be counted on from the first. */
static void what_is_changed_after_a_second_restore_is_the_newest(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v2nv");
    struct node *town = node_new(TOWNSHIP, "t2nv");
    struct log_id first = store_own_log(village->store);
    village->has_parent = true;
    node_listen(town);
    submit(village, 7, 1);
    node_back_up(village);
    node_connect(village, town);
    submit(village, 100, 10);
    await_acked(village, town, &first);
    struct log_id second = first;
    while (log_id_cmp(&second, &first) <= 0) {
        node_put_back(village);
        node_connect(village, town);
        await_state(village, &first, LOG_CLOSED);
        second = store_own_log(village->store);
    }
    assert_ok(submit_text(village, 7, 1007));
    await_version(village, 7, 2);
    await_version(town, 7, 2);

    node_put_back(village);
    assert_ok(submit_text(village, 7, 2007));
    assert_int_equal(version_of(village, 7), 2); /* as far as it knows */
    node_connect(village, town);
    await_version(village, 7, 3);
    await_version(town, 7, 3);
    await_state(village, &second, LOG_CLOSED);
    assert_false(store_awaits_parent(village->store));
    assert_int_equal(count_lines("INDEX-CONFLICT", "v2nv"), 0);
    assert_int_equal(count_lines("INDEX-CONFLICT", "t2nv"), 0);
    node_free(village);
    node_free(town);
}

/* What waits after a restore waits over a start, too, and for no longer than
 * until the parent has said all again. */
static void a_restored_node_that_stops_waits_on(void **state)
{
    (void)state;
    struct node *village = node_new(VILLAGE, "v2st");
    struct node *town = node_new(TOWNSHIP, "t2st");
    struct log_id first = store_own_log(village->store);
    village->has_parent = true;
    (void)lose_tail(village, town, 8, 18);
    succeed_by_hand(village, town, &first);
    assert_true(store_awaits_parent(village->store));
    submit(village, 80, 1);
    assert_int_equal(version_of(village, 80), 0);
    node_stop(village);
    node_start(village);
    assert_true(store_awaits_parent(village->store));
    node_connect(village, town);
    await_version(village, 80, 1);
    await_version(town, 80, 1);
    assert_false(store_awaits_parent(village->store));
    node_free(village);
    node_free(town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restored_node_pulls_its_lost_tail_back),
        cmocka_unit_test(what_a_restored_node_wrote_off_line_is_kept),
        cmocka_unit_test(a_node_that_lost_its_store_gets_its_old_log_back),
        cmocka_unit_test(a_clone_is_seen_and_its_log_stops),
        cmocka_unit_test(a_log_comes_back_to_its_end_whatever_a_twin_wrote),
        cmocka_unit_test(what_a_twin_writes_on_in_its_own_log_comes_back_too),
        cmocka_unit_test(a_relay_that_was_put_back_is_no_fault),
        cmocka_unit_test(a_relay_that_sees_a_fork_tells_its_parent),
        cmocka_unit_test(a_node_that_lost_an_upload_half_way_goes_on),
        cmocka_unit_test(a_node_put_back_during_its_upload_goes_on),
        cmocka_unit_test(
            a_parent_emptied_during_the_pull_does_not_stop_its_child),
        cmocka_unit_test(a_relay_that_lost_its_store_blames_nobody),
        cmocka_unit_test(
            what_a_new_store_takes_comes_after_the_versions_it_lost),
        cmocka_unit_test(a_node_that_is_really_new_waits_for_one_word_only),
        cmocka_unit_test(many_lost_logs_all_come_back),
        cmocka_unit_test(a_node_put_back_twice_keeps_its_logs),
        cmocka_unit_test(what_is_changed_after_a_second_restore_is_the_newest),
        cmocka_unit_test(a_restored_node_that_stops_waits_on),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
