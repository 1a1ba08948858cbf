#include "contract/store_fixture.h"

static struct node village;
static struct node township;

static const struct backend *backend;

static int start(void **state)
{
    (void)state;
    node_init(&village, backend, VILLAGE, "village");
    node_init(&township, backend, TOWNSHIP, "township");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    node_fini(&village);
    node_fini(&township);
    return 0;
}

static void a_new_store_opens_its_own_log(void **state)
{
    (void)state;
    struct log_id own = store_own_log(village.store);
    struct store_head head;
    struct buf bytes = BUF_INIT;
    struct entry e;
    assert_int_equal(own.origin, VILLAGE);
    assert_int_equal(own.kind, LOG_RECORDS);
    assert_ok(store_head(village.store, &own, &head));
    assert_int_equal(head.frontier.size, 1);
    assert_int_equal(head.state, LOG_ACTIVE);
    assert_true(head.own);
    assert_int_equal(head.newest.size, 1);
    assert_ok(store_entry(village.store, &own, 1, &bytes));
    assert_ok(entry_decode(buf_slice(&bytes), &e));
    assert_int_equal(e.type, ENTRY_OPEN);
    assert_int_equal(store_entry(village.store, &own, 2, &bytes),
                     ERR_NOT_FOUND);
    buf_fini(&bytes);
    node_restart(&village);
    struct log_id again = store_own_log(village.store);
    assert_true(log_id_eq(&own, &again));
}

static void submit_tells_new_changed_and_unchanged(void **state)
{
    (void)state;
    struct draft d = {
        .record = 1, .subject = "91341821MA2T00001X", .text = "a"};
    struct draft_result r;
    assert_ok(submit(village.store, &d, 1, &r));
    assert_int_equal(r.outcome, DRAFT_NEW);
    assert_int_equal(r.version, 1);
    assert_int_equal(r.number, 2);
    assert_ok(submit(village.store, &d, 1, &r));
    assert_int_equal(r.outcome, DRAFT_UNCHANGED);
    assert_int_equal(r.version, 1);
    assert_int_equal(r.number, 2);
    d.text = "b";
    assert_ok(submit(village.store, &d, 1, &r));
    assert_int_equal(r.outcome, DRAFT_CHANGED);
    assert_int_equal(r.version, 2);
    assert_int_equal(r.number, 3);
    d.status = STATUS_REVOKED;
    assert_ok(submit(village.store, &d, 1, &r));
    assert_int_equal(r.outcome, DRAFT_CHANGED);
    assert_int_equal(r.version, 3);
    struct log_id own = store_own_log(village.store);
    struct buf bytes = BUF_INIT;
    struct entry e;
    assert_ok(store_entry(village.store, &own, 4, &bytes));
    assert_ok(entry_decode(buf_slice(&bytes), &e));
    assert_int_equal(e.version, 3);
    assert_int_equal(e.prev_incarnation, own.incarnation);
    assert_int_equal(e.prev_number, 3);
    buf_fini(&bytes);
}

static void one_record_twice_in_one_submission_makes_two_versions(void **state)
{
    (void)state;
    struct draft d[3] = {
        {.record = 1, .subject = "91341821MA2T00001X", .text = "a"},
        {.record = 1, .subject = "91341821MA2T00001X", .text = "b"},
        {.record = 1, .subject = "91341821MA2T00001X", .text = "b"},
    };
    struct draft_result r[3];
    assert_ok(submit(village.store, d, 3, r));
    assert_int_equal(r[0].outcome, DRAFT_NEW);
    assert_int_equal(r[1].outcome, DRAFT_CHANGED);
    assert_int_equal(r[1].version, 2);
    assert_int_equal(r[2].outcome, DRAFT_UNCHANGED);
    assert_int_equal(r[2].number, r[1].number);
}

static void subject_shows_current_versions_in_key_order(void **state)
{
    (void)state;
    struct row_list list;
    struct draft d[3] = {
        {.record = 1, .subject = "91341821MA2T00001X", .text = "a"},
        {.record = 2, .subject = "91341821MA2T00001X", .text = "b"},
        {.record = 3, .subject = "91341821MA2T00002Y", .text = "c"},
    };
    assert_ok(submit(village.store, d, 3, NULL));
    d[1].text = "b2";
    assert_ok(submit(village.store, &d[1], 1, NULL));
    rows_of(village.store, "91341821MA2T00001X", &list);
    assert_int_equal(list.n, 2);
    assert_true(memcmp(list.at[0].record_key, list.at[1].record_key,
                       RECORD_KEY_LEN) < 0);
    struct store_row row;
    struct subject_key key;
    uint8_t record[RECORD_KEY_LEN];
    record_key_of(2, record);
    subject_key_org(&key, SUBJECT_USCC, slice_str("91341821MA2T00001X"));
    assert_ok(store_row(village.store, &key, record, VILLAGE, &row));
    assert_int_equal(row.version, 2);
    assert_int_equal(row.number, 5);
    record_key_of(3, record);
    assert_int_equal(store_row(village.store, &key, record, VILLAGE, &row),
                     ERR_NOT_FOUND);
}

static void a_record_leaves_its_old_subject(void **state)
{
    (void)state;
    struct row_list list;
    struct draft d = {
        .record = 1, .subject = "91341821MA2T00001X", .text = "a"};
    struct draft_result r;
    assert_ok(submit(village.store, &d, 1, NULL));
    d.prev_subject = d.subject;
    d.subject = "91341821MA2T00002Y";
    assert_ok(submit(village.store, &d, 1, &r));
    assert_int_equal(r.outcome, DRAFT_CHANGED);
    assert_int_equal(r.version, 2);
    rows_of(village.store, "91341821MA2T00001X", &list);
    assert_int_equal(list.n, 0);
    rows_of(village.store, "91341821MA2T00002Y", &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.at[0].version, 2);
}

static void submit_refuses_what_is_no_draft(void **state)
{
    (void)state;
    struct slice junk = slice_str("not an entry");
    struct buf open = BUF_INIT;
    struct entry_open body = {0};
    uint8_t *large = mem_zalloc(1, ENTRY_MAX + 1);
    assert_int_equal(submit_bytes(village.store, &junk, 1, NULL), ERR_INVALID);
    assert_int_equal(submit_bytes(village.store, &junk, 0, NULL), ERR_INVALID);
    entry_open_encode(&body, 0, &open);
    struct slice s = buf_slice(&open);
    assert_int_equal(submit_bytes(village.store, &s, 1, NULL), ERR_INVALID);
    s = slice_of(large, ENTRY_MAX + 1);
    assert_int_equal(submit_bytes(village.store, &s, 1, NULL), ERR_TOO_LARGE);
    mem_free(large);
    buf_fini(&open);
}

/* ---- many at once ---- */

enum { THREADS = 8, EACH = 40 };

struct submitter {
    pthread_t thread;
    unsigned id;
    uint64_t numbers[EACH];
};

static void *submit_own(void *arg)
{
    struct submitter *w = arg;
    for (uint32_t i = 0; i < EACH; i++) {
        struct draft d = {.record = w->id * 1000 + i,
                          .subject = "91341821MA2T00001X",
                          .text = "a"};
        struct draft_result r;
        assert_ok(submit(village.store, &d, 1, &r));
        w->numbers[i] = r.number;
    }
    return NULL;
}

static void numbers_have_no_gaps_under_eight_threads(void **state)
{
    (void)state;
    struct submitter w[THREADS];
    bool seen[THREADS * EACH + 2] = {false};
    for (unsigned i = 0; i < THREADS; i++) {
        w[i].id = i;
        assert_int_equal(pthread_create(&w[i].thread, NULL, submit_own, &w[i]),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        for (unsigned k = 0; k < EACH; k++) {
            uint64_t n = w[i].numbers[k];
            assert_true(n >= 2 && n <= THREADS * EACH + 1);
            assert_false(seen[n]);
            assert_true(k == 0 || n > w[i].numbers[k - 1]);
            seen[n] = true;
        }
    }
    struct log_id own = store_own_log(village.store);
    assert_int_equal(size_of(village.store, &own), THREADS * EACH + 1);
}

static void on_count(void *ctx, enum err err, const char *why,
                     const struct draft_result *results, size_t n)
{
    (void)why;
    (void)results;
    (void)n;
    assert_ok(err);
    (void)__atomic_add_fetch((int *)ctx, 1, __ATOMIC_SEQ_CST);
}

/* While the writer is in a commit, what arrives is gathered into the next. */
static void waiting_submissions_share_a_commit(void **state)
{
    (void)state;
    struct store_stats before;
    struct store_stats after;
    int done = 0;
    store_stats(village.store, &before);
    struct buf draft = BUF_INIT;
    for (uint32_t i = 0; i < 200; i++) {
        buf_clear(&draft);
        draft_put(&draft, &(struct draft){.record = i,
                                          .subject = "91341821MA2T00001X",
                                          .text = "a"});
        struct slice s = buf_slice(&draft);
        assert_ok(store_submit(village.store, &s, 1, on_count, &done));
    }
    buf_fini(&draft);
    struct draft last = {.record = 999, .subject = "x", .text = "z"};
    assert_ok(submit(village.store, &last, 1, NULL));
    assert_int_equal(done, 200);
    store_stats(village.store, &after);
    assert_true(after.commits - before.commits < 150);
    assert_int_equal(after.entries, 202);
}

/* ---- reading back ---- */

static void blocks_cover_what_was_asked(void **state)
{
    (void)state;
    struct log_id own = store_own_log(village.store);
    struct block_ref refs[64];
    struct buf blocks = BUF_INIT;
    size_t count;
    submit_many(village.store, 0, 100);
    assert_ok(store_blocks(village.store, &own, 1, UINT64_MAX,
                           SEGMENT_BYTES_MAX, &blocks, refs, 64, &count));
    assert_int_equal(refs[0].first, 1);
    assert_int_equal(refs[count - 1].first + refs[count - 1].count, 102);
    for (size_t i = 1; i < count; i++) {
        assert_int_equal(refs[i].first, refs[i - 1].first + refs[i - 1].count);
    }
    assert_ok(store_blocks(village.store, &own, 20, 20, SEGMENT_BYTES_MAX,
                           &blocks, refs, 64, &count));
    assert_int_equal(count, 1);
    assert_true(refs[0].first <= 20 && refs[0].first + refs[0].count > 20);
    assert_ok(store_blocks(village.store, &own, 2, 101, 1, &blocks, refs, 64,
                           &count));
    assert_int_equal(count, 1);
    assert_int_equal(store_blocks(village.store, &own, 102, 200, 1000, &blocks,
                                  refs, 64, &count),
                     ERR_NOT_FOUND);
    buf_fini(&blocks);
}

static void inclusion_is_proved_for_every_entry(void **state)
{
    (void)state;
    struct log_id own = store_own_log(village.store);
    struct store_head head;
    struct buf bytes = BUF_INIT;
    submit_many(village.store, 0, 300);
    assert_ok(store_head(village.store, &own, &head));
    struct tree_view view = store_view(village.store, &head);
    for (uint64_t leaf = 0; leaf < head.frontier.size; leaf += 7) {
        struct hash path[PROOF_MAX];
        struct hash hash;
        size_t n;
        buf_clear(&bytes);
        assert_ok(store_entry(village.store, &own, leaf + 1, &bytes));
        suite_hash_leaf(test_suite(), buf_slice(&bytes), &hash);
        assert_ok(tree_inclusion(&view, leaf, head.frontier.size, path, &n));
        assert_ok(inclusion_verify(test_suite(), leaf, head.frontier.size,
                                   &hash, path, n, &head.root));
    }
    buf_fini(&bytes);
}

static void the_note_is_signed_by_the_node(void **state)
{
    (void)state;
    struct log_id own = store_own_log(village.store);
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct checkpoint cp;
    struct cert *cert;
    struct errmsg why;
    submit_many(village.store, 0, 5);
    assert_ok(store_note(village.store, &own, &note, &chain));
    assert_ok(trust_check(fed_trust, buf_slice(&chain), CERT_USE_SIGN,
                          clock_wall_ms(), &cert, &why));
    assert_ok(checkpoint_verify(buf_slice(&note), FEDERATION, test_suite(),
                                cert, &cp));
    assert_int_equal(cp.size, 6);
    cert_free(&cert);
    buf_fini(&note);
    buf_fini(&chain);
}

/* The chain that the store keeps with the note of its own log. */
static void assert_chain(const struct identity *signer, uint64_t size)
{
    struct log_id own = store_own_log(village.store);
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct checkpoint cp;
    assert_ok(store_note(village.store, &own, &note, &chain));
    assert_true(slice_eq(buf_slice(&chain), buf_slice(&signer->chain)));
    assert_ok(checkpoint_verify(buf_slice(&note), FEDERATION, test_suite(),
                                signer->cert, &cp));
    assert_int_equal(cp.size, size);
    buf_fini(&note);
    buf_fini(&chain);
}

static void a_renewed_certificate_signs_the_head_anew(void **state)
{
    (void)state;
    struct identity first = village.sign;
    struct identity second;
    struct errmsg why;
    submit_many(village.store, 0, 5);
    assert_chain(&first, 6);
    shell("$C/renew.sh %012llu --federation-dir fed --days 30 >/dev/null",
          VILLAGE);
    load_identity(&village, "sign", CERT_USE_SIGN, &second);
    assert_false(slice_eq(buf_slice(&first.chain), buf_slice(&second.chain)));
    assert_ok(store_renew(village.store, &second, &why));
    assert_chain(&second, 6);
    node_restart(&village); /* with the first one */
    assert_chain(&first, 6);
    village.sign = second;
    node_restart(&village);
    assert_chain(&second, 6);
    submit_many(village.store, 5, 5);
    assert_chain(&second, 11);
    identity_fini(&first);
}

/* It comes back under the head that its holder has, here signed by the first
 * certificate and by a clock that ran ahead. */
static void
a_log_that_came_back_is_signed_by_the_renewed_certificate(void **state)
{
    (void)state;
    enum { DAY_MS = 86400000 };
    struct node before = {.code = VILLAGE, .sign = village.sign};
    struct forge f = {.signer = &before, .log = {VILLAGE, 99, LOG_RECORDS}};
    const struct entry_open open = {0};
    struct buf entry = BUF_INIT;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct checkpoint cp;
    shell("$C/renew.sh %012llu --federation-dir fed --days 30 >/dev/null",
          VILLAGE);
    node_stop(&village);
    load_identity(&village, "sign", CERT_USE_SIGN, &village.sign);
    node_start(&village);
    entry_open_encode(&open, 1772000000000, &entry);
    struct slice bytes = buf_slice(&entry);
    struct segment *seg = forge_run(&f, &bytes, 1);
    int64_t ahead_ms = seg->newest.at_ms += DAY_MS;
    buf_clear(&seg->note);
    assert_ok(checkpoint_sign(&seg->newest, FEDERATION, test_suite(),
                              &before.sign, &seg->note));
    assert_ok(append(village.store, seg, NULL));
    assert_ok(store_note(village.store, &f.log, &note, &chain));
    assert_true(slice_eq(buf_slice(&chain), buf_slice(&village.sign.chain)));
    assert_ok(checkpoint_verify(buf_slice(&note), FEDERATION, test_suite(),
                                village.sign.cert, &cp));
    assert_int_equal(cp.size, 1);
    assert_true(cp.at_ms > ahead_ms); /* so that holders take it */
    buf_fini(&entry);
    buf_fini(&note);
    buf_fini(&chain);
    identity_fini(&before.sign);
}

static void everything_is_there_after_a_restart(void **state)
{
    (void)state;
    struct log_id own = store_own_log(village.store);
    struct store_head before;
    struct store_head after;
    struct row_list list;
    const struct store_above above = {TIER_TOWNSHIP, TOWNSHIP, 17};
    struct store_above got[ABOVE_MAX];
    store_set_above(village.store, &own, &above, 1);
    submit_many(village.store, 0, 100);
    assert_ok(store_head(village.store, &own, &before));
    node_restart(&village);
    assert_ok(store_head(village.store, &own, &after));
    assert_int_equal(after.frontier.size, 101);
    assert_memory_equal(before.root.b, after.root.b, HASH_LEN);
    rows_of(village.store, "913418210000000001", &list);
    assert_int_equal(list.n, 16);
    assert_int_equal(store_above(village.store, &own, got), 1);
    assert_int_equal(got[0].size, 17);
    submit_many(village.store, 100, 5);
    assert_int_equal(size_of(village.store, &own), 106);
}

/* ---- another node's log ---- */

static void a_copied_log_is_the_same(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    struct row_list list;
    submit_many(village.store, 0, 500);
    submit_many(village.store, 500, 3);
    copy_log(village.store, township.store, &log);
    assert_same_log(village.store, township.store, &log);
    rows_of(township.store, "913418210000000002", &list);
    assert_int_equal(list.n, 16);
    assert_true(log_id_eq(&list.at[0].log, &log));
    assert_int_equal(store_log_count(township.store), 2);
    node_restart(&township);
    assert_same_log(village.store, township.store, &log);
}

static void appending_twice_changes_nothing(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    uint64_t size;
    submit_many(village.store, 0, 40);
    copy_log(village.store, township.store, &log);
    assert_ok(
        append(township.store, segment_of(village.store, &log, 1, 41), &size));
    assert_int_equal(size, 41);
    assert_ok(
        append(township.store, segment_of(village.store, &log, 20, 30), &size));
    assert_int_equal(size, 41);
    assert_same_log(village.store, township.store, &log);
}

static void an_overlap_is_trimmed(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 20);
    copy_log(village.store, township.store, &log);
    submit_many(village.store, 20, 50);
    assert_ok(
        append(township.store, segment_of(village.store, &log, 10, 71), NULL));
    assert_same_log(village.store, township.store, &log);
}

/* Two stores cut the same entries into different blocks. */
static void a_block_that_begins_before_is_trimmed(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 60);
    struct segment *seg = segment_of(village.store, &log, 1, 10);
    struct segment *rest = segment_of(village.store, &log, seg->count - 3, 61);
    assert_true(rest->refs[0].first < rest->first);
    assert_ok(append(township.store, seg, NULL));
    assert_ok(append(township.store, rest, NULL));
    assert_same_log(village.store, township.store, &log);
}

static void a_gap_is_refused(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 60);
    assert_int_equal(
        append(township.store, segment_of(village.store, &log, 30, 61), NULL),
        ERR_GAP);
    assert_int_equal(size_of(township.store, &log), 0);
}

static void segments_in_one_group_are_taken_in_order(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    struct waiter *w[4];
    struct segment *seg[4];
    submit_many(village.store, 0, 200);
    seg[0] = segment_of(village.store, &log, 1, 50);
    seg[1] = segment_of(village.store, &log, seg[0]->count + 1, 100);
    seg[2] = segment_of(village.store, &log, 5, 150); /* overlaps both */
    seg[3] = segment_of(village.store, &log, 2, 40);  /* known by then */
    for (size_t i = 0; i < 4; i++) {
        w[i] = waiter_new();
        assert_ok(store_append(township.store, &seg[i], on_appended, w[i]));
        assert_null(seg[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_ok(waiter_wait(w[i]));
        waiter_free(w[i]);
    }
    copy_log(village.store, township.store, &log);
    assert_same_log(village.store, township.store, &log);
}

static struct checkpoint newest_of(struct store *s, const struct log_id *log)
{
    struct store_head head;
    assert_ok(store_head(s, log, &head));
    return head.newest;
}

/* Two ways bring one log at once: one of them is older than the other. */
static void a_newer_signed_head_stays(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 60);
    uint64_t part = segment_end(village.store, &log, 10);
    struct segment *old = segment_of(village.store, &log, part + 1, 61);
    submit_many(village.store, 60, 20);
    struct checkpoint head = newest_of(village.store, &log);
    assert_ok(
        append(township.store, segment_of(village.store, &log, 1, 10), NULL));
    assert_int_equal(append(township.store, old, NULL), ERR_BUSY);
    assert_int_equal(size_of(township.store, &log), part);
    assert_int_equal(newest_of(township.store, &log).size, head.size);

    /* Of the same size, and signed before it: it leads to the same root. */
    struct segment *rest = segment_of(village.store, &log, part + 1, head.size);
    rest->newest.at_ms--;
    assert_ok(append(township.store, rest, NULL));
    assert_int_equal(newest_of(township.store, &log).at_ms, head.at_ms);
    assert_same_log(village.store, township.store, &log);
}

static void what_a_segment_brought_is_told(void **state)
{
    (void)state;
    static const uint64_t brought[] = {41, 0, 20};
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 40);
    for (size_t i = 0; i < ARRAY_LEN(brought); i++) {
        struct waiter *w = waiter_new();
        struct segment *seg =
            segment_of(village.store, &log, 1, size_of(village.store, &log));
        assert_ok(store_append(township.store, &seg, on_appended, w));
        assert_ok(waiter_wait(w));
        assert_int_equal(w->added, brought[i]);
        waiter_free(w);
        if (i == 1) {
            submit_many(village.store, 100, 20);
        }
    }
}

/* The township holds a part of one history, under its head; of another one
 * comes the rest, `longer` entries longer. */
static void another_tree_than_the_held_heads_is_a_fork(uint32_t longer)
{
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 20);
    uint64_t part = segment_end(village.store, &log, 10);
    node_stop(&village);
    node_backup(&village);
    node_start(&village);
    submit_many(village.store, 20, 20);
    assert_ok(
        append(township.store, segment_of(village.store, &log, 1, 10), NULL));
    struct checkpoint head = newest_of(village.store, &log);
    node_stop(&village);
    node_restore(&village);
    node_start(&village);
    submit_many(village.store, 1000, 20 + longer);
    assert_int_equal(
        append(township.store,
               segment_of(village.store, &log, part + 1, head.size + longer),
               NULL),
        ERR_FORKED);
    struct store_head forked;
    assert_ok(store_head(township.store, &log, &forked));
    assert_int_equal(forked.state, LOG_FORKED);
    assert_int_equal(forked.frontier.size, part);
    assert_memory_equal(forked.newest.root.b, head.root.b, HASH_LEN);
}

static void another_head_of_the_held_size_is_a_fork(void **state)
{
    (void)state;
    another_tree_than_the_held_heads_is_a_fork(0);
}

static void a_run_past_the_held_head_must_be_of_its_tree(void **state)
{
    (void)state;
    another_tree_than_the_held_heads_is_a_fork(10);
}

/* A village restored from an old copy enters something else. */
static void other_bytes_under_the_same_number_are_a_conflict(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 20);
    node_stop(&village);
    node_backup(&village);
    node_start(&village);
    submit_many(village.store, 20, 20);
    copy_log(village.store, township.store, &log);
    node_stop(&village);
    node_restore(&village);
    node_start(&village);
    submit_many(village.store, 1000, 30);
    uint64_t before = size_of(township.store, &log);
    assert_int_equal(
        append(township.store, segment_of(village.store, &log, 1, 51), NULL),
        ERR_CONFLICT);
    assert_int_equal(
        append(township.store, segment_of(village.store, &log, 22, 30), NULL),
        ERR_CONFLICT);
    assert_int_equal(size_of(township.store, &log), before);
}

static void a_tampered_segment_is_refused(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 20);
    struct segment *seg = segment_of(village.store, &log, 1, 21);
    seg->leaves[3].b[0] ^= 1;
    assert_int_equal(append(township.store, seg, NULL), ERR_INVALID);
    seg = segment_of(village.store, &log, 1, 21);
    seg->newest.root.b[0] ^= 1;
    assert_int_equal(append(township.store, seg, NULL), ERR_BAD_PROOF);
    seg = segment_of(village.store, &log, 1, 21);
    seg->refs[0].count--;
    assert_int_equal(append(township.store, seg, NULL), ERR_INVALID);
    assert_int_equal(size_of(township.store, &log), 0);
    copy_log(village.store, township.store, &log);
    assert_same_log(village.store, township.store, &log);
}

static void on_forked(void *ctx, const struct log_id *logs, size_t n)
{
    struct store_head head;
    unsigned *told = ctx;
    assert_int_equal(n, 1);
    assert_ok(store_head(township.store, &logs[0], &head));
    *told += head.state == LOG_FORKED;
}

static void a_forked_log_stops_for_good(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    struct store_head head;
    submit_many(village.store, 0, 20);
    copy_log(village.store, township.store, &log);
    unsigned told = 0;
    struct buf note = BUF_INIT;
    assert_int_equal(store_fork_note(township.store, &log, &note),
                     ERR_NOT_FOUND);
    store_watch(township.store, on_forked, &told);
    assert_ok(store_mark_forked(township.store, &log, slice_str("other note"),
                                "two heads of size 21"));
    assert_ok(store_mark_forked(township.store, &log, slice_str("x"), "again"));
    store_unwatch(township.store, on_forked, &told);
    assert_int_equal(told, 1);
    assert_ok(store_fork_note(township.store, &log, &note));
    assert_string_equal(buf_cstr(&note), "other note");
    buf_fini(&note);
    submit_many(village.store, 20, 5);
    assert_int_equal(
        append(township.store, segment_of(village.store, &log, 22, 26), NULL),
        ERR_FORKED);
    node_restart(&township);
    assert_ok(store_head(township.store, &log, &head));
    assert_int_equal(head.state, LOG_FORKED);
    assert_int_equal(head.frontier.size, 21);
    log.incarnation++;
    assert_int_equal(
        store_mark_forked(township.store, &log, slice_str("x"), "no such log"),
        ERR_NOT_FOUND);
}

/* ---- watching ---- */

struct seen {
    struct store *store;
    size_t calls;
    uint64_t size; /* of the first log named, as visible in the callback */
};

static void on_change(void *ctx, const struct log_id *logs, size_t n)
{
    struct seen *seen = ctx;
    assert_true(n > 0);
    seen->calls++;
    seen->size = size_of(seen->store, &logs[0]);
}

static void watchers_see_committed_heads(void **state)
{
    (void)state;
    struct seen seen = {village.store, 0, 0};
    store_watch(village.store, on_change, &seen);
    submit_many(village.store, 0, 5);
    node_stop(&village);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.size, 6);
    node_start(&village);
}

/* ---- opening ---- */

static void another_nodes_store_is_refused(void **state)
{
    (void)state;
    struct errmsg why;
    node_stop(&village);
    struct node other = township;
    other.store = NULL;
    memcpy(other.path, village.path, sizeof other.path);
    assert_int_equal(node_try_open(&other, &why), ERR_CONF);
    assert_non_null(strstr(why.text, "341821100201"));
    assert_null(other.store);
    node_start(&village);
}

static void a_store_in_use_is_refused(void **state)
{
    (void)state;
    struct errmsg why;
    struct node second = village;
    second.store = NULL;
    assert_int_equal(node_try_open(&second, &why), ERR_BUSY);
    assert_non_null(strstr(why.text, "another process"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(a_new_store_opens_its_own_log),
        T(submit_tells_new_changed_and_unchanged),
        T(one_record_twice_in_one_submission_makes_two_versions),
        T(subject_shows_current_versions_in_key_order),
        T(a_record_leaves_its_old_subject),
        T(submit_refuses_what_is_no_draft),
        T(numbers_have_no_gaps_under_eight_threads),
        T(waiting_submissions_share_a_commit),
        T(blocks_cover_what_was_asked),
        T(inclusion_is_proved_for_every_entry),
        T(the_note_is_signed_by_the_node),
        T(a_renewed_certificate_signs_the_head_anew),
        T(a_log_that_came_back_is_signed_by_the_renewed_certificate),
        T(everything_is_there_after_a_restart),
        T(a_copied_log_is_the_same),
        T(appending_twice_changes_nothing),
        T(an_overlap_is_trimmed),
        T(a_block_that_begins_before_is_trimmed),
        T(a_gap_is_refused),
        T(segments_in_one_group_are_taken_in_order),
        T(a_newer_signed_head_stays),
        T(what_a_segment_brought_is_told),
        T(another_head_of_the_held_size_is_a_fork),
        T(a_run_past_the_held_head_must_be_of_its_tree),
        T(other_bytes_under_the_same_number_are_a_conflict),
        T(a_tampered_segment_is_refused),
        T(a_forked_log_stops_for_good),
        T(watchers_see_committed_heads),
        T(another_nodes_store_is_refused),
        T(a_store_in_use_is_refused),
    };
    backend = fixture_backend();
    return cmocka_run_group_tests_name(backend->name, tests, fed_setup,
                                       fed_teardown);
}
