/* One package at two places of its issuer's logs, as after a history that was
 * given up: it counts once, and what names the one place is about the other. */
#include "contract/lists_fixture.h"
#include "mlog/tree.h"
#include "store/stamp.h"
#include "support/scripted_backend.h"

/* The township's logs: the history that was given up, and its successor. Where
 * the listing stands in each. */
enum { GIVEN_UP = 77, SUCCESSOR = 78, THERE = 3, HERE = 6 };

struct kept {
    struct package *package;
    struct slice entries[3];
    struct buf room;
};

static void keep(struct kept *k, struct package *package)
{
    k->package = package;
    k->room = (struct buf)BUF_INIT;
    package_log_entries(k->package, clock_wall_ms(), &k->room, k->entries);
}

static void drop(struct kept *k)
{
    package_free(&k->package);
    buf_fini(&k->room);
}

static void put(struct forge *f, struct node *to, const struct kept *k)
{
    assert_ok(append(to->store, forge_run(f, k->entries, 3), NULL));
}

static void put_signed(struct forge *f, struct node *to, uint64_t issuer,
                       const struct decision *d)
{
    struct kept k;
    keep(&k, signed_package(issuer, issuer == TOWNSHIP ? 2 : 1, d, 1));
    put(f, to, &k);
    drop(&k);
}

static void open_log(struct forge *f, struct node *to,
                     const struct node *issuer, uint64_t incarnation)
{
    assert_ok(forge_open_kind(f, to->store, issuer, LOG_DIRECTIVES, incarnation,
                              NULL));
}

/* A log whose first package is about somebody else. */
static void open_successor(struct forge *f, struct node *to,
                           const struct node *issuer)
{
    const struct decision other = {.subject = SUBJECT_B, .from = 20260301};
    open_log(f, to, issuer, SUCCESSOR);
    put_signed(f, to, TOWNSHIP, &other);
}

static struct package *listing_of_a(void)
{
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    return signed_package(TOWNSHIP, 2, &d, 1);
}

static struct decision about(uint8_t type, uint64_t incarnation,
                             uint64_t number)
{
    return (struct decision){
        .type = type,
        .subject = SUBJECT_A,
        .target = {{TOWNSHIP, incarnation, LOG_DIRECTIVES}, number}};
}

static bool on_listing(void *ctx, const struct store_listing *l)
{
    struct store_listing *out = ctx;
    *out = *l;
    return true;
}

/* Where A is listed. False: nowhere. */
static bool is_listed(struct node *n, struct store_listing *out)
{
    struct subject_key key;
    struct lists_view view;
    struct store_listing unused;
    out = out != NULL ? out : &unused;
    out->number = 0;
    subject_key_org(&key, SUBJECT_USCC, slice_str(SUBJECT_A));
    lists_view_take(n->store, &view);
    const struct listing_query q = {
        .view = &view, .subject = &key, .today = TODAY};
    assert_ok(store_listings(n->store, &q, on_listing, out, NULL));
    lists_view_fini(&view);
    return out->number != 0;
}

/* Of the listing at either place. */
static bool was_removed(struct node *n, uint64_t incarnation, uint64_t number)
{
    const struct listing_place listing = {
        .log = {TOWNSHIP, incarnation, LOG_DIRECTIVES}, .number = number};
    struct listing_place by;
    struct subject_key key;
    struct lists_view view;
    subject_key_org(&key, SUBJECT_USCC, slice_str(SUBJECT_A));
    lists_view_take(n->store, &view);
    assert_ok(store_removal_of(n->store, &view, &key, &listing, &by));
    lists_view_fini(&view);
    return by.number != 0;
}

/* ---- names ---- */

static void a_removal_that_names_the_one_place_ends_the_other(void **state)
{
    struct node t;
    struct node v;
    struct forge old;
    struct forge new;
    struct kept k;
    (void)state;
    start(&t, TOWNSHIP, "a");
    keep(&k, listing_of_a());
    for (int successor_first = 0; successor_first < 2; successor_first++) {
        for (int named = 0; named < 2; named++) {
            start(&v, VILLAGE, "b");
            if (successor_first) {
                open_successor(&new, &v, &t);
                put(&new, &v, &k);
            }
            open_log(&old, &v, &t, GIVEN_UP);
            put(&old, &v, &k);
            if (!successor_first) {
                open_successor(&new, &v, &t);
                put(&new, &v, &k);
            }
            struct store_listing l;
            assert_true(is_listed(&v, &l));
            assert_int_equal(l.log.incarnation,
                             successor_first ? SUCCESSOR : GIVEN_UP);
            const struct decision removal =
                named ? about(ENTRY_REMOVAL, SUCCESSOR, HERE)
                      : about(ENTRY_REMOVAL, GIVEN_UP, THERE);
            assert_false(was_removed(&v, GIVEN_UP, THERE));
            put_signed(&new, &v, TOWNSHIP, &removal);
            assert_false(is_listed(&v, NULL));
            assert_true(was_removed(&v, GIVEN_UP, THERE));
            assert_true(was_removed(&v, SUCCESSOR, HERE));
            node_restart(&v);
            assert_false(is_listed(&v, NULL));
            assert_ok(store_reindex(v.store, NULL, NULL, NULL));
            assert_false(is_listed(&v, NULL));
            node_fini(&v);
        }
    }
    drop(&k);
    node_fini(&t);
}

/* Its neighbours in the log are no names of it. */
static void only_its_own_place_is_another_name(void **state)
{
    struct node t;
    struct node v;
    struct forge old;
    struct forge new;
    struct kept k;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    keep(&k, listing_of_a());
    open_log(&old, &v, &t, GIVEN_UP);
    put(&old, &v, &k);
    open_successor(&new, &v, &t);
    put(&new, &v, &k);
    for (uint64_t number = 1; number <= 10; number++) {
        const struct decision removal = about(ENTRY_REMOVAL, SUCCESSOR, number);
        if (number != HERE) {
            put_signed(&new, &v, TOWNSHIP, &removal);
        }
    }
    assert_true(is_listed(&v, NULL));
    drop(&k);
    node_fini(&v);
    node_fini(&t);
}

static void a_correction_finds_it_as_well(void **state)
{
    struct node t;
    struct node v;
    struct forge old;
    struct forge new;
    struct kept k;
    struct store_listing l;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    keep(&k, listing_of_a());
    open_log(&old, &v, &t, GIVEN_UP);
    put(&old, &v, &k);
    open_successor(&new, &v, &t);
    put(&new, &v, &k);
    struct decision c = about(ENTRY_CORRECTION, SUCCESSOR, HERE);
    c.from = 20260301;
    c.until = 20261231;
    put_signed(&new, &v, TOWNSHIP, &c);
    assert_true(is_listed(&v, &l));
    assert_int_equal(l.number, THERE);
    assert_int_equal(l.until, 20261231);
    drop(&k);
    node_fini(&v);
    node_fini(&t);
}

/* The authority above named the new place, and came first. What was answered
 * before is not given again. */
static void a_removal_may_come_before_the_place_that_it_names(void **state)
{
    struct node top;
    struct node t;
    struct node v;
    struct forge above;
    struct forge old;
    struct forge new;
    struct kept k;
    struct subject_key key;
    struct store_stamp before;
    (void)state;
    start(&top, TOP, "top");
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    keep(&k, listing_of_a());
    open_log(&old, &v, &t, GIVEN_UP);
    put(&old, &v, &k);
    open_log(&above, &v, &top, 5);
    const struct decision removal = about(ENTRY_REMOVAL, SUCCESSOR, HERE);
    put_signed(&above, &v, TOP, &removal);
    open_successor(&new, &v, &t);
    assert_true(is_listed(&v, NULL));
    subject_key_org(&key, SUBJECT_USCC, slice_str(SUBJECT_A));
    assert_true(store_stamp_take(v.store, &key, &before));
    put(&new, &v, &k);
    assert_false(is_listed(&v, NULL));
    assert_false(store_stamp_holds(v.store, &before));
    drop(&k);
    node_fini(&v);
    node_fini(&t);
    node_fini(&top);
}

/* ---- what is no second name ---- */

/* Whoever decides could sign two packages of one id. */
static void other_decisions_under_the_same_id_are_others(void **state)
{
    struct node t;
    struct node v;
    struct forge old;
    struct forge new;
    struct kept one;
    struct kept other;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    keep(&one, listing_of_a());
    const struct decision d = {.subject = SUBJECT_A, .from = 20260302};
    struct package *p = signed_package(TOWNSHIP, 0, &d, 1);
    memcpy(p->head.id, one.package->head.id, PACKAGE_ID_LEN);
    buf_clear(&p->text);
    package_head_put(&p->head, &p->text);
    for (unsigned i = 1; i <= 2; i++) {
        struct key *key = NULL;
        struct errmsg why;
        assert_ok(key_load(&key, key_path(TOWNSHIP, i), &why));
        assert_ok(package_sign(p, key));
        key_free(&key);
    }
    keep(&other, p);
    open_log(&old, &v, &t, GIVEN_UP);
    put(&old, &v, &one);
    open_successor(&new, &v, &t);
    put(&new, &v, &other);
    const struct decision removal = about(ENTRY_REMOVAL, SUCCESSOR, HERE);
    put_signed(&new, &v, TOWNSHIP, &removal);
    assert_true(is_listed(&v, NULL));
    drop(&one);
    drop(&other);
    node_fini(&v);
    node_fini(&t);
}

/* ---- in one commit ---- */

static void append_later(struct node *n, struct segment *seg, struct waiter *w)
{
    assert_ok(store_append(n->store, &seg, on_appended, w));
}

static void both_logs_may_come_at_once(void **state)
{
    struct backend backend = scripted(fixture_backend());
    struct node t;
    struct node v;
    struct forge old;
    struct forge new;
    struct forge next;
    struct kept k;
    const struct decision b = {.subject = SUBJECT_B, .from = 20260301};
    struct kept first;
    struct waiter *done[3];
    (void)state;
    start(&t, TOWNSHIP, "a");
    start_on(&v, &backend, VILLAGE, "b");
    keep(&k, listing_of_a());
    keep(&first, signed_package(TOWNSHIP, 2, &b, 1));
    open_log(&old, &v, &t, GIVEN_UP);
    open_successor(&new, &v, &t);
    open_log(&next, &v, &t, 79);
    for (int i = 0; i < 3; i++) {
        done[i] = waiter_new();
    }
    atomic_store(&script.held, true);
    append_later(&v, forge_run(&next, first.entries, 3), done[0]);
    wait_held();
    append_later(&v, forge_run(&old, k.entries, 3), done[1]);
    append_later(&v, forge_run(&new, k.entries, 3), done[2]);
    atomic_store(&script.held, false);
    for (int i = 0; i < 3; i++) {
        assert_ok(waiter_wait(done[i]));
        waiter_free(done[i]);
    }
    assert_true(is_listed(&v, NULL));
    const struct decision removal = about(ENTRY_REMOVAL, SUCCESSOR, HERE);
    put_signed(&new, &v, TOWNSHIP, &removal);
    assert_false(is_listed(&v, NULL));
    drop(&k);
    drop(&first);
    node_fini(&v);
    node_fini(&t);
}

/* ---- judged anew ---- */

/* By a version of the root document by which the one that counted does not
 * count any more, the other one does. */
static void the_other_counts_when_the_one_does_no_more(void **state)
{
    struct rootchain *shared = roots;
    (void)state;
    for (int successor_first = 0; successor_first < 2; successor_first++) {
        struct node t;
        struct node v;
        struct forge logs[2];
        struct kept k;
        struct store_listing l;
        struct errmsg why;
        const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
        const char *keys[] = {key_path(TOWNSHIP, 1), key_path(TOWNSHIP, 3)};
        const struct making m = {FEDERATION, TOWNSHIP, 0, keys, 2};
        uint64_t first = successor_first ? SUCCESSOR : GIVEN_UP;
        uint64_t second = successor_first ? GIVEN_UP : SUCCESSOR;
        shell("rm -rf roots");
        open_roots();
        start(&t, TOWNSHIP, "a");
        start(&v, VILLAGE, "b");
        keep(&k, package_of(&m, &d, 1));
        open_log(&logs[0], &v, &t, first);
        put(&logs[0], &v, &k);
        open_log(&logs[1], &v, &t, second);
        put(&logs[1], &v, &k);
        assert_true(is_listed(&v, &l));
        assert_int_equal(l.log.incarnation, first);
        const struct hash root = root_at(&v, &logs[1].log, 4);
        replace_third(roots, &logs[1].log, 4, &root);
        assert_ok(store_judge_again(v.store, &why));
        assert_true(is_listed(&v, &l));
        assert_int_equal(l.log.incarnation, second);
        drop(&k);
        node_fini(&v);
        node_fini(&t);
        rootchain_free(&roots);
    }
    roots = shared;
}

/* ---- what a former build kept ---- */

struct part {
    uint32_t log;
    struct buf bytes;
};
struct parts {
    struct part at[8];
    size_t n;
};

static bool on_part(void *ctx, uint32_t log, struct slice value)
{
    struct parts *parts = ctx;
    assert_true(parts->n < ARRAY_LEN(parts->at));
    struct part *p = &parts->at[parts->n++];
    p->log = log;
    p->bytes = (struct buf)BUF_INIT;
    buf_put_slice(&p->bytes, value);
    return true;
}

/* Without form and second names. */
static void put_old_form(struct slice value, struct buf *out)
{
    struct reader r = reader_of(value);
    struct frontier packed;
    assert_int_equal(reader_u8(&r), 1);
    for (int i = 0; i < 3; i++) {
        buf_put_u64(out, reader_u64(&r));
    }
    uint16_t len = reader_u16(&r);
    buf_put_u16(out, len);
    buf_put_slice(out, reader_bytes(&r, len));
    frontier_get(&r, &packed);
    frontier_put(out, &packed);
    size_t names = reader_u16(&r);
    (void)reader_bytes(&r, 32 * names);
    buf_put_slice(out, reader_bytes(&r, reader_left(&r)));
    assert_false(r.bad);
}

/* While the node is down. Returns how many logs there are. */
static size_t write_old_form(struct node *n)
{
    const struct store_conf conf = {.mariadb = node_mariadb(n),
                                    .path = n->path,
                                    .cache_bytes = 2 << 20,
                                    .write_buffer_bytes = 2 << 20};
    struct parts *parts = MEM_NEW(struct parts);
    struct errmsg why;
    void *db;
    assert_ok(n->backend->open(&db, &conf, false, &why));
    assert_ok(n->backend->parts(db, PART_LISTS, on_part, parts, &why));
    void *batch = n->backend->batch_new(db);
    for (size_t i = 0; i < parts->n; i++) {
        struct buf old = BUF_INIT;
        put_old_form(buf_slice(&parts->at[i].bytes), &old);
        n->backend->put_part(batch, parts->at[i].log, PART_LISTS,
                             buf_slice(&old));
        buf_fini(&old);
        buf_fini(&parts->at[i].bytes);
    }
    size_t logs = parts->n;
    assert_ok(n->backend->commit(db, batch, &why));
    n->backend->batch_free(batch);
    n->backend->close(db);
    mem_free(parts);
    return logs;
}

static void what_a_former_build_judged_is_judged_anew(void **state)
{
    struct node t;
    struct node v;
    struct forge old;
    struct forge new;
    struct kept k;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    keep(&k, listing_of_a());
    open_log(&old, &v, &t, GIVEN_UP);
    put(&old, &v, &k);
    open_successor(&new, &v, &t);
    put(&new, &v, &k);
    const struct decision removal = about(ENTRY_REMOVAL, SUCCESSOR, HERE);
    put_signed(&new, &v, TOWNSHIP, &removal);
    node_stop(&v);
    assert_int_equal(write_old_form(&v), 2);
    node_start(&v);
    assert_false(is_listed(&v, NULL));
    assert_int_equal(visible(&v, &new.log), 10);
    drop(&k);
    node_fini(&v);
    node_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_removal_that_names_the_one_place_ends_the_other),
        cmocka_unit_test(only_its_own_place_is_another_name),
        cmocka_unit_test(a_correction_finds_it_as_well),
        cmocka_unit_test(a_removal_may_come_before_the_place_that_it_names),
        cmocka_unit_test(other_decisions_under_the_same_id_are_others),
        cmocka_unit_test(both_logs_may_come_at_once),
        cmocka_unit_test(the_other_counts_when_the_one_does_no_more),
        cmocka_unit_test(what_a_former_build_judged_is_judged_anew),
    };
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
