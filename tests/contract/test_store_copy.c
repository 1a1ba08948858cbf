/* A store moves to the other backend: with STORE_BACKEND=mariadb from there to
 * an embedded one, else the other way. */
#include "contract/lists_fixture.h"

#include "base/str.h"
#include "store/copy.h"
#include "store/store_impl.h"

#define FIRM "913418210000000001"
#define OTHER "913418210000000002"
#define MALFORMED "not an entry"

enum { MANY = 1200 };

/* ---- the two sides ---- */

static struct node from;
static struct node to; /* its store is open only where a test opens it */
static struct store_copy *copy;
static int carried;
static enum err carry_says;

static const struct backend *other_backend(void)
{
    return on_mariadb() ? &store_rocksdb : &store_mariadb;
}

static struct store_conf conf_of(const struct node *n)
{
    struct store_conf conf = {.path = n->path,
                              .has_parent = n->has_parent,
                              .cache_bytes = 2 << 20,
                              .write_buffer_bytes = 2 << 20,
                              .queue_max = 256,
                              .queue_bytes_max = 32 << 20};
    if (n->backend == &store_mariadb) {
        conf.mariadb = node_mariadb(n);
    }
    return conf;
}

static struct store_env env_of(const struct node *n)
{
    return (struct store_env){.suite = test_suite(),
                              .federation = FEDERATION,
                              .self = n->code,
                              .signer = &n->sign,
                              .keyring = n->keyring,
                              .roots = roots};
}

static enum err carry(void *ctx, struct errmsg *why)
{
    (void)ctx;
    carried++;
    if (carry_says != ERR_OK) {
        return err_set(why, carry_says, "told to fail");
    }
    shell("rm -rf %s && cp -r %s %s", to.keys, from.keys, to.keys);
    return ERR_OK;
}

/* `beside`: the folder of a snapshot, "" to read it as it is; NULL: last. */
static enum err pass_by(const struct node *n, const char *beside,
                        struct copy_counts *counts, struct errmsg *why)
{
    struct store_conf a = conf_of(&from);
    struct store_conf b = conf_of(&to);
    struct store_env env = env_of(n);
    struct copy_job job = {.from = &a,
                           .to = &b,
                           .from_name = "from.cfg",
                           .to_name = "to.cfg",
                           .env = &env,
                           .last = beside == NULL,
                           .carry = carry};
    if (beside != NULL && beside[0] != 0) {
        a.path = beside;
    }
    why->text[0] = 0;
    return copy_pass(copy, &job, counts, why);
}

static void last_pass(struct copy_counts *counts)
{
    struct errmsg why;
    enum err err = pass_by(&from, NULL, counts, &why);
    if (err != ERR_OK) {
        fail_msg("copy_pass: %s: %s", err_name(err), why.text);
    }
}

/* Beside the running node. */
static void pass_beside(struct copy_counts *counts)
{
    struct errmsg why = {""};
    char path[160];
    bool embedded = from.backend == &store_rocksdb;
    (void)snprintf(path, sizeof path, "%s.snapshot", from.path);
    if (embedded) {
        assert_ok(store_snapshot(from.store, path, &why));
    }
    enum err err = pass_by(&from, embedded ? path : "", counts, &why);
    if (err != ERR_OK) {
        fail_msg("copy_pass: %s: %s", err_name(err), why.text);
    }
    shell("rm -rf %s", path);
}

static void new_database(const struct node *n)
{
    if (n->backend == &store_mariadb) {
        mariadb_sql(&fed_server, "DROP DATABASE IF EXISTS `%s`",
                    node_database(n));
        mariadb_sql(&fed_server, "CREATE DATABASE `%s`", node_database(n));
    }
}

/* The node that goes on with the copy, not started. */
static void init_to(void)
{
    to = (struct node){.backend = other_backend(), .code = from.code};
    (void)snprintf(to.path, sizeof to.path, "%s/moved", fed_dir);
    (void)snprintf(to.keys, sizeof to.keys, "%s/moved.keys", fed_dir);
    load_identity(&to, "sign", CERT_USE_SIGN, &to.sign);
    load_identity(&to, "seal", CERT_USE_SEAL, &to.seal);
    to.roots = roots;
    new_database(&to);
}

static enum err try_start(struct node *n, struct errmsg *why)
{
    struct store_conf conf = conf_of(n);
    struct store_env env = env_of(n);
    return store_open_on(&n->store, n->backend, &conf, &env, why);
}

static void start_to(void)
{
    struct errmsg why = {""};
    assert_ok(keyring_open(&to.keyring, to.keys, test_suite(), to.code,
                           &to.seal, &why));
    enum err err = try_start(&to, &why);
    if (err != ERR_OK) {
        fail_msg("store_open: %s: %s", err_name(err), why.text);
    }
}

static void assert_said(const struct errmsg *why, const char *what)
{
    if (strstr(why->text, what) == NULL) {
        fail_msg("'%s' is not in: %s", what, why->text);
    }
}

static void assert_refused(struct node *n, const char *what)
{
    struct errmsg why = {""};
    assert_int_equal(try_start(n, &why), ERR_CONF);
    assert_said(&why, what);
}

/* ---- what a store answers ---- */

static bool dump_row(void *ctx, const struct store_row *row)
{
    struct buf *out = ctx;
    char key[2 * RECORD_KEY_LEN + 1];
    char log[LOG_ID_TEXT_MAX];
    str_hex(row->record_key, RECORD_KEY_LEN, key);
    log_id_format(&row->log, log);
    buf_putf(out, "  row %s %s#%llu v%u i%u s%u d%u %u-%u %u\n", key, log,
             (unsigned long long)row->number, row->version, row->item,
             row->status, row->disclosure, row->decided, row->until,
             row->publish_until);
    return true;
}

static bool dump_listing(void *ctx, const struct store_listing *l)
{
    struct buf *out = ctx;
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&l->log, log);
    buf_putf(out, "  listing %s#%llu %llu list=%u %u %u-%u\n", log,
             (unsigned long long)l->number, (unsigned long long)l->text,
             l->list, l->decided, l->from, l->until);
    return true;
}

static void dump_subject(struct store *s, const char *subject, struct buf *out)
{
    struct subject_key key;
    struct lists_view view;
    buf_putf(out, "subject %s\n", subject);
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    assert_ok(store_subject(s, &key, dump_row, out));
    lists_view_take(s, &view);
    const struct listing_query query = {
        .view = &view, .subject = &key, .today = TODAY, .all = true};
    assert_ok(store_listings(s, &query, dump_listing, out, NULL));
    lists_view_fini(&view);
}

static bool dump_issue(void *ctx, const struct store_issue *issue)
{
    struct buf *out = ctx;
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&issue->log, log);
    buf_putf(out, "issue %s#%llu %d %s\n", log,
             (unsigned long long)issue->number, issue->effect, issue->reason);
    return true;
}

static void dump_hex(struct buf *out, const char *name, struct buf *bytes)
{
    struct hash h;
    char text[2 * HASH_LEN + 1];
    suite_hash(test_suite(), buf_slice(bytes), &h);
    str_hex(h.b, HASH_LEN, text);
    buf_putf(out, " %s=%zu:%s", name, bytes->len, text);
    buf_clear(bytes);
}

struct dump {
    struct store *s;
    struct buf *out;
};

static bool dump_log(void *ctx, const struct store_head *h)
{
    struct dump *d = ctx;
    struct buf *out = d->out;
    struct buf bytes = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct store_above above[ABOVE_MAX];
    char log[LOG_ID_TEXT_MAX];
    char root[2 * HASH_LEN + 1];
    log_id_format(&h->log, log);
    str_hex(h->root.b, HASH_LEN, root);
    buf_putf(out, "log %s %s own=%d %llu %s newest=%llu@%lld end=%llu", log,
             log_state_name(h->state), h->own,
             (unsigned long long)h->frontier.size, root,
             (unsigned long long)h->newest.size, (long long)h->newest.at_ms,
             (unsigned long long)h->end);
    assert_ok(store_note(d->s, &h->log, &bytes, &chain));
    dump_hex(out, "note", &bytes);
    dump_hex(out, "chain", &chain);
    enum err err = store_fork_note(d->s, &h->log, &bytes);
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    dump_hex(out, "fork", &bytes);
    for (uint64_t n = 1; n <= h->frontier.size; n++) {
        assert_ok(store_entry(d->s, &h->log, n, &bytes));
    }
    dump_hex(out, "entries", &bytes);
    size_t n = store_above(d->s, &h->log, above);
    for (size_t i = 0; i < n; i++) {
        buf_putf(out, " above=%d:%llu", above[i].tier,
                 (unsigned long long)above[i].size);
    }
    buf_putf(out, " doubt=%d\n", store_in_doubt(d->s, &h->log));
    buf_fini(&bytes);
    buf_fini(&chain);
    return true;
}

static bool dump_node(void *ctx, const struct store_node *node)
{
    struct buf *out = ctx;
    buf_putf(out, "node #%llu %u %llu %llu\n", (unsigned long long)node->number,
             node->what, (unsigned long long)node->code,
             (unsigned long long)node->parent);
    return true;
}

/* Every question that store.h takes. */
static void dump(struct store *s, struct buf *out)
{
    struct dump d = {s, out};
    struct lists_view view;
    struct store_stats stats;
    char subject[32];
    store_logs(s, dump_log, &d);
    assert_ok(store_issues(s, dump_issue, out));
    dump_subject(s, FIRM, out);
    dump_subject(s, OTHER, out);
    for (unsigned i = 0; i <= MANY / 16; i++) {
        (void)snprintf(subject, sizeof subject, "9134182100%08u", i);
        dump_subject(s, subject, out);
    }
    lists_view_take(s, &view);
    for (size_t i = 0; i < view.n; i++) {
        buf_putf(out, "list id=%u state=%d ended=%d %llu of %llu voids=%zu\n",
                 view.logs[i].id, view.logs[i].state, view.logs[i].ended,
                 (unsigned long long)view.logs[i].visible,
                 (unsigned long long)view.logs[i].size, view.logs[i].voids_n);
    }
    assert_ok(store_nodes(s, &view, dump_node, out));
    lists_view_fini(&view);
    store_stats(s, &stats);
    buf_putf(out, "entries=%llu issues=%llu awaits=%d salvaged=%llu\n",
             (unsigned long long)stats.entries,
             (unsigned long long)stats.issues, stats.awaits_parent,
             (unsigned long long)s->salvaged);
}

static void assert_same_text(const struct buf *a, const struct buf *b)
{
    size_t at = 0;
    while (at < a->len && at < b->len && a->data[at] == b->data[at]) {
        at++;
    }
    if (a->len != b->len || at < a->len) {
        size_t begin = at > 200 ? at - 200 : 0;
        fail_msg("answers differ at %zu:\n--- %.*s\n+++ %.*s", at,
                 (int)(a->len - begin > 500 ? 500 : a->len - begin),
                 (const char *)a->data + begin,
                 (int)(b->len - begin > 500 ? 500 : b->len - begin),
                 (const char *)b->data + begin);
    }
}

/* The source as it was before it was given up, against the copy. */
static void assert_same_answers(void)
{
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    node_restore(&from);
    struct errmsg why = {""};
    assert_ok(try_start(&from, &why));
    dump(from.store, &a);
    node_stop(&from);
    start_to();
    dump(to.store, &b);
    assert_true(a.len > 1000);
    assert_same_text(&a, &b);
    buf_fini(&a);
    buf_fini(&b);
}

/* ---- what is in it ---- */

static void fill_own(void)
{
    submit_many(from.store, 0, MANY / 2);
    submit_many(from.store, MANY / 2, MANY / 2);
    struct draft d = {.record = 9001, .subject = FIRM, .text = "first"};
    assert_ok(submit(from.store, &d, 1, NULL));
    d.text = "second";
    assert_ok(submit(from.store, &d, 1, NULL));
    d = (struct draft){.record = 9001,
                       .subject = OTHER,
                       .prev_subject = FIRM,
                       .text = "of another firm"};
    assert_ok(submit(from.store, &d, 1, NULL));
}

static void fill_lists(void)
{
    struct decision listings[] = {
        {.subject = FIRM, .list = 1, .from = 20260101, .until = 20290101},
        {.subject = OTHER, .list = 1, .from = 20260101, .until = 20290101}};
    struct published p = decide(&from, listings, 2);
    const struct decision removal = {
        .type = ENTRY_REMOVAL, .subject = FIRM, .target = {p.log, p.first + 1}};
    (void)decide(&from, &removal, 1);
}

/* Another node's logs: one that another continues, with an entry that nobody
 * understands, one that forked. */
static void fill_foreign(void)
{
    static struct node village;
    struct forge f;
    village = (struct node){.code = VILLAGE};
    load_identity(&village, "sign", CERT_USE_SIGN, &village.sign);
    struct draft d = {
        .record = 1, .subject = FIRM, .text = "from below", .version = 1};
    assert_ok(forge_open(&f, from.store, &village, 1, NULL));
    assert_ok(forge_draft(&f, from.store, &d));
    d.text = "under the same version";
    assert_ok(forge_draft(&f, from.store, &d));
    assert_ok(forge_bytes(&f, from.store, slice_str(MALFORMED)));
    struct entry_open open = {.prev_incarnation = 1,
                              .prev_size = f.frontier.size};
    struct hash root;
    frontier_root(&f.frontier, test_suite(), &root);
    memcpy(open.prev_root, root.b, HASH_LEN);
    struct log_id ended = f.log;
    const struct store_above above[] = {{TIER_COUNTY, 341821000000ull, 3}};
    store_set_above(from.store, &ended, above, 1);
    assert_ok(forge_open(&f, from.store, &village, 2, &open));
    assert_ok(forge_open(&f, from.store, &village, 3, NULL));
    assert_ok(store_mark_forked(from.store, &f.log, slice_str("another head"),
                                "two heads of one size"));
    identity_fini(&village.sign);
}

static int setup(void **state)
{
    (void)state;
    start(&from, TOWNSHIP, "county");
    init_to();
    copy = copy_new();
    carried = 0;
    carry_says = ERR_OK;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    node_fini(&from);
    node_stop(&to);
    keyring_free(&to.keyring);
    identity_fini(&to.sign);
    identity_fini(&to.seal);
    copy_free(&copy);
    shell("rm -rf %s %s", to.path, to.keys);
    return 0;
}

static int group_setup(void **state)
{
    int rc = lists_setup(state);
    if (!on_mariadb()) {
        mariadb_init(&fed_server, fed_dir);
    }
    return rc;
}

/* ---- tests ---- */

static void source_name(uint8_t i, struct draft_source *out)
{
    memset(out, i + 1, sizeof *out);
}

/* One draft each, of records of their own. */
static void fill_sources(size_t n)
{
    for (uint8_t i = 0; i < n; i++) {
        struct draft d = {.record = 9100u + i, .subject = FIRM, .text = "row"};
        struct draft_source source;
        struct buf bytes = BUF_INIT;
        struct waiter *w = waiter_new();
        draft_put(&bytes, &d);
        struct slice draft = buf_slice(&bytes);
        source_name(i, &source);
        assert_ok(
            store_submit_from(from.store, &draft, &source, 1, on_submitted, w));
        assert_ok(waiter_wait(w));
        waiter_free(w);
        buf_fini(&bytes);
    }
}

static void assert_sources(struct store *s, size_t n)
{
    struct errmsg why;
    struct source_taken taken;
    struct draft_source source;
    for (uint8_t i = 0; i < n; i++) {
        source_name(i, &source);
        assert_ok(store_source(s, source.name, &taken, &why));
        assert_memory_equal(taken.content, source.content, SOURCE_LEN);
        assert_int_equal(taken.result.version, 1);
    }
    source_name((uint8_t)n, &source);
    assert_int_equal(store_source(s, source.name, &taken, &why), ERR_NOT_FOUND);
}

static void rows_of_an_exchange_are_not_taken_in_again(void **state)
{
    (void)state;
    struct copy_counts counts;
    fill_own();
    fill_sources(5);
    assert_sources(from.store, 5);
    node_stop(&from);
    last_pass(&counts);
    start_to();
    assert_sources(to.store, 5);
}

static void every_answer_is_the_same_after_a_move(void **state)
{
    (void)state;
    struct copy_counts counts;
    fill_own();
    fill_lists();
    fill_foreign();
    node_stop(&from);
    node_backup(&from);
    last_pass(&counts);
    assert_int_equal(counts.copied, counts.entries);
    assert_int_equal(counts.read_back, counts.entries);
    assert_true(counts.entries > MANY);
    assert_int_equal(counts.issues_from, 2);
    assert_int_equal(counts.issues_to, 2);
    assert_int_equal(carried, 1);
    assert_refused(&from, "was moved to to.cfg");
    assert_same_answers();
}

static void the_copy_goes_on_where_the_source_ended(void **state)
{
    (void)state;
    struct copy_counts counts;
    struct draft_result result;
    struct log_id own = store_own_log(from.store);
    fill_own();
    fill_lists();
    uint64_t size = size_of(from.store, &own);
    node_stop(&from);
    last_pass(&counts);
    start_to();
    struct log_id now = store_own_log(to.store);
    assert_true(log_id_eq(&now, &own));
    struct draft d = {
        .record = 9001, .subject = OTHER, .text = "of another firm"};
    assert_ok(submit(to.store, &d, 1, &result));
    assert_int_equal(result.outcome, DRAFT_UNCHANGED);
    d.text = "changed behind the move";
    assert_ok(submit(to.store, &d, 1, &result));
    assert_int_equal(result.outcome, DRAFT_CHANGED);
    assert_int_equal(result.version, 4);
    assert_int_equal(result.number, size + 1);
    const struct decision more = {
        .subject = FIRM, .list = 1, .from = 20260101, .until = 20290101};
    struct published p = decide(&to, &more, 1);
    assert_int_equal(p.log.origin, TOWNSHIP);
    assert_true(p.first > 3);
}

static void passes_beside_a_running_node_leave_little_to_the_last(void **state)
{
    (void)state;
    struct copy_counts counts;
    submit_many(from.store, 0, 400);
    pass_beside(&counts);
    assert_true(counts.copied > 400);
    assert_refused(&to, "unfinished copy of from.cfg");
    submit_many(from.store, 400, 600);
    fill_lists();
    fill_foreign();
    pass_beside(&counts);
    assert_true(counts.copied >= 600);
    assert_int_equal(counts.read_back, counts.copied);
    struct draft d = {.record = 9001, .subject = FIRM, .text = "the last"};
    assert_ok(submit(from.store, &d, 1, NULL));
    node_stop(&from);
    node_backup(&from);
    last_pass(&counts);
    assert_int_equal(counts.copied, 1);
    assert_int_equal(counts.read_back, 1);
    assert_same_answers();
}

static void another_process_reads_back_what_a_former_one_wrote(void **state)
{
    (void)state;
    struct copy_counts counts;
    submit_many(from.store, 0, 500);
    pass_beside(&counts);
    copy_free(&copy);
    copy = copy_new();
    node_stop(&from);
    last_pass(&counts);
    assert_int_equal(counts.copied, 0);
    assert_int_equal(counts.read_back, counts.entries);
}

static void nobody_is_given_up_before_all_is_there(void **state)
{
    (void)state;
    struct copy_counts counts;
    struct errmsg why;
    fill_own();
    node_stop(&from);
    carry_says = ERR_IO;
    assert_int_equal(pass_by(&from, NULL, &counts, &why), ERR_IO);
    assert_refused(&to, "unfinished copy");
    assert_ok(try_start(&from, &why));
    struct draft d = {.record = 77, .subject = FIRM, .text = "meanwhile"};
    assert_ok(submit(from.store, &d, 1, NULL));
    node_stop(&from);
    node_backup(&from);
    carry_says = ERR_OK;
    last_pass(&counts);
    assert_int_equal(counts.copied, 1);
    assert_same_answers();
}

/* Leaves the copy as a stop between the two marks would. */
static void mark_again(uint8_t first)
{
    struct store_conf a = conf_of(&from);
    struct store_conf b = conf_of(&to);
    struct store_env env = env_of(&from);
    struct errmsg why = {""};
    struct store *s;
    struct mark mark = {.state = MARK_COPY, .where = "from.cfg"};
    assert_ok(store_open_as(&s, ROLE_SOURCE, from.backend, &a, &env, &why));
    assert_int_equal(s->mark.state, MARK_MOVED);
    memcpy(mark.id, s->mark.id, MARK_ID_LEN);
    mark.id[0] ^= first;
    store_close(&s);
    assert_ok(store_open_as(&s, ROLE_SOURCE, to.backend, &b, &env, &why));
    assert_int_equal(s->mark.state, MARK_NONE);
    assert_ok(mark_write(s, &mark, &why));
    store_close(&s);
}

static void between_the_marks_no_node_starts_and_the_copy_goes_on(void **state)
{
    (void)state;
    struct copy_counts counts;
    fill_own();
    node_stop(&from);
    node_backup(&from);
    last_pass(&counts);
    mark_again(0);
    assert_refused(&from, "was moved to to.cfg");
    assert_refused(&to, "unfinished copy of from.cfg");
    last_pass(&counts);
    assert_int_equal(counts.copied, 0);
    assert_same_answers();
}

static void a_source_that_was_moved_elsewhere_stays_there(void **state)
{
    (void)state;
    struct copy_counts counts;
    struct errmsg why;
    submit_many(from.store, 0, 100);
    node_stop(&from);
    last_pass(&counts);
    mark_again(1);
    assert_int_equal(pass_by(&from, NULL, &counts, &why), ERR_CONF);
    assert_said(&why, "was moved to to.cfg");
    assert_refused(&to, "unfinished copy of from.cfg");
}

static void drafts_that_wait_for_the_parent_still_wait(void **state)
{
    (void)state;
    struct copy_counts counts;
    struct draft_result result;
    struct errmsg why;
    node_fini(&from);
    from.has_parent = true;
    node_init(&from, fixture_backend(), TOWNSHIP, "county");
    node_stop(&from);
    node_wipe(&from);
    from.has_parent = true;
    to.has_parent = true;
    node_start(&from);
    assert_true(store_awaits_parent(from.store));
    struct draft d = {.record = 1, .subject = FIRM, .text = "waits"};
    assert_ok(submit(from.store, &d, 1, &result));
    assert_int_equal(result.outcome, DRAFT_PENDING);
    pass_beside(&counts);
    d.record = 2;
    assert_ok(submit(from.store, &d, 1, &result));
    node_stop(&from);
    last_pass(&counts);
    assert_int_equal(counts.set_aside, 2);
    start_to();
    assert_true(store_awaits_parent(to.store));
    assert_ok(store_parent_told(to.store, &why));
    struct row_list rows;
    WAIT_FOR((rows_of(to.store, FIRM, &rows), rows.n == 2));
}

static void what_is_not_for_each_other_is_refused(void **state)
{
    (void)state;
    struct copy_counts counts;
    struct errmsg why;
    submit_many(from.store, 0, 100);
    assert_int_equal(pass_by(&from, NULL, &counts, &why), ERR_BUSY);
    node_stop(&from);
    struct node other = from;
    other.code = VILLAGE;
    assert_int_equal(pass_by(&other, NULL, &counts, &why), ERR_CONF);
    assert_said(&why, "belongs to node");
    /* A store of its own on the other side. */
    assert_ok(keyring_open(&to.keyring, to.keys, test_suite(), to.code,
                           &to.seal, &why));
    assert_ok(try_start(&to, &why));
    node_stop(&to);
    assert_int_equal(pass_by(&from, NULL, &counts, &why), ERR_CONF);
    assert_said(&why, "is not empty");
    assert_ok(try_start(&from, &why));
    node_stop(&from);
    assert_int_equal(carried, 0);
}

static void another_backend_does_not_begin_anew_in_the_folder(void **state)
{
    (void)state;
    submit_many(from.store, 0, 100);
    node_stop(&from);
    struct node other = from;
    other.backend = other_backend();
    new_database(&other);
    assert_refused(&other, "store copy");
    new_database(&from);
    shell("rm -rf %s", from.path);
    node_start(&from);
}

static void an_empty_source_is_refused(void **state)
{
    (void)state;
    struct copy_counts counts;
    struct errmsg why;
    node_stop(&from);
    node_wipe(&from);
    assert_int_equal(pass_by(&from, NULL, &counts, &why), ERR_CONF);
    assert_said(&why, "nothing to copy");
    node_start(&from);
}

static void a_source_that_was_rolled_back_is_no_continuation(void **state)
{
    (void)state;
    struct copy_counts counts;
    struct errmsg why;
    submit_many(from.store, 0, 100);
    node_stop(&from);
    node_backup(&from);
    node_start(&from);
    submit_many(from.store, 100, 100);
    pass_beside(&counts);
    node_stop(&from);
    node_restore(&from);
    assert_int_equal(pass_by(&from, NULL, &counts, &why), ERR_CONFLICT);
    assert_said(&why, "rolled back");
    assert_ok(try_start(&from, &why));
    submit_many(from.store, 5000, 300);
    node_stop(&from);
    assert_int_equal(pass_by(&from, NULL, &counts, &why), ERR_CONFLICT);
    assert_ok(try_start(&from, &why));
    node_stop(&from);
}

/* A block of the copy holds other entries than were written. */
static void swap_a_block(void)
{
    struct store_conf b = conf_of(&to);
    struct errmsg why;
    void *db = NULL;
    assert_ok(to.backend->open(&db, &b, false, &why));
    struct slot slot = {.entry = slice_str("something else")};
    struct block_codec *codec = block_codec_new();
    struct buf packed = BUF_INIT;
    struct buf serial = BUF_INIT;
    uint8_t next[8];
    block_pack(codec, &slot, 1, &packed);
    assert_ok(to.backend->meta(db, META_SERIAL, &serial, &why));
    be_put64(next, be_get64(serial.data) + 1);
    void *batch = to.backend->batch_new(db);
    to.backend->put_meta(batch, META_SERIAL, slice_of(next, 8));
    to.backend->put_block(batch, 1, 1, buf_slice(&packed));
    assert_ok(to.backend->commit(db, batch, &why));
    to.backend->batch_free(batch);
    to.backend->close(db);
    block_codec_free(&codec);
    buf_fini(&packed);
    buf_fini(&serial);
}

static void what_does_not_read_as_written_stops_the_move(void **state)
{
    (void)state;
    struct copy_counts counts;
    struct errmsg why;
    submit_many(from.store, 0, 100);
    pass_beside(&counts);
    swap_a_block();
    copy_free(&copy);
    copy = copy_new();
    node_stop(&from);
    assert_int_equal(pass_by(&from, NULL, &counts, &why), ERR_CORRUPT);
    assert_refused(&to, "unfinished copy");
    assert_ok(try_start(&from, &why));
    node_stop(&from);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_answer_is_the_same_after_a_move),
        TEST(rows_of_an_exchange_are_not_taken_in_again),
        TEST(the_copy_goes_on_where_the_source_ended),
        TEST(passes_beside_a_running_node_leave_little_to_the_last),
        TEST(another_process_reads_back_what_a_former_one_wrote),
        TEST(nobody_is_given_up_before_all_is_there),
        TEST(between_the_marks_no_node_starts_and_the_copy_goes_on),
        TEST(a_source_that_was_moved_elsewhere_stays_there),
        TEST(drafts_that_wait_for_the_parent_still_wait),
        TEST(what_is_not_for_each_other_is_refused),
        TEST(another_backend_does_not_begin_anew_in_the_folder),
        TEST(an_empty_source_is_refused),
        TEST(a_source_that_was_rolled_back_is_no_continuation),
        TEST(what_does_not_read_as_written_stops_the_move),
    };
    mariadb_or_skip();
    return cmocka_run_group_tests(tests, group_setup, lists_teardown);
}
