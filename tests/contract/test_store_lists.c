/* What a store makes of directives: packages count as a whole, once, and by
 * the signatures of those who decide. What readers see meanwhile:
 * test_store_readers.c. */
#include "contract/lists_fixture.h"
#include "support/scripted_backend.h"

#include "store/stamp.h"

/* ---- looking ---- */

struct listings {
    size_t n;
    struct store_listing at[16];
    bool met;
};

static bool on_listing(void *ctx, const struct store_listing *l)
{
    struct listings *out = ctx;
    assert_true(out->n < ARRAY_LEN(out->at));
    out->at[out->n++] = *l;
    return true;
}

static void look_in(struct node *n, const struct lists_view *view,
                    const char *subject, struct listings *out)
{
    struct subject_key key;
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    const struct listing_query q = {
        .view = view, .subject = &key, .today = TODAY};
    out->n = 0;
    assert_ok(store_listings(n->store, &q, on_listing, out, &out->met));
}

static size_t look(struct node *n, const char *subject, struct listings *out)
{
    struct listings unused;
    struct lists_view view;
    out = out != NULL ? out : &unused;
    lists_view_take(n->store, &view);
    look_in(n, &view, subject, out);
    lists_view_fini(&view);
    return out->n;
}

static void assert_issue(struct node *n, uint64_t number, const char *text)
{
    struct issue_list issues;
    issues_of(n->store, &issues);
    for (size_t i = 0; i < issues.n; i++) {
        if (issues.at[i].number == number &&
            strstr(issues.at[i].reason, text) != NULL) {
            return;
        }
    }
    fail_msg("no issue at %llu that says: %s", (unsigned long long)number,
             text);
}

static void assert_no_issues(struct node *n)
{
    struct issue_list issues;
    issues_of(n->store, &issues);
    assert_int_equal(issues.n, 0);
}

/* ---- publishing ---- */

static void a_package_counts_where_it_was_decided(void **state)
{
    struct node township;
    struct listings l;
    (void)state;
    start(&township, TOWNSHIP, "a");
    const struct decision both[] = {
        {.subject = SUBJECT_A, .list = 32, .from = 20260301},
        {.subject = SUBJECT_B, .list = 1, .from = 20260301, .until = 20261231}};
    struct published p = decide(&township, both, 2);
    assert_int_equal(p.first, 2); /* entry 1 opens the log */
    assert_int_equal(p.last, 5);
    assert_int_equal(p.log.kind, LOG_DIRECTIVES);
    assert_int_equal(visible(&township, &p.log), 5);
    assert_int_equal(look(&township, SUBJECT_A, &l), 1);
    assert_int_equal(l.at[0].number, 3);
    assert_int_equal(l.at[0].text, 3);
    assert_int_equal(l.at[0].list, 32);
    assert_int_equal(l.at[0].until, 0);
    assert_int_equal(look(&township, SUBJECT_B, &l), 1);
    assert_int_equal(l.at[0].list, 1);
    assert_int_equal(look(&township, "91340000000000003J", &l), 0);
    assert_false(l.met);
    assert_no_issues(&township);
    node_restart(&township);
    assert_int_equal(look(&township, SUBJECT_A, NULL), 1);
    node_fini(&township);
}

static void refused(struct node *n, struct package *package, enum err expected,
                    const char *text)
{
    struct published p = {.w = waiter_new()};
    enum err err = store_publish(n->store, package, on_published, &p);
    assert_ok(err);
    assert_int_equal(waiter_wait(p.w), expected);
    if (strstr(p.w->why, text) == NULL) {
        fail_msg("'%s' lacks '%s'", p.w->why, text);
    }
    waiter_free(p.w);
    package_free(&package);
}

static void what_would_not_count_is_not_published(void **state)
{
    struct node t;
    struct log_id log;
    (void)state;
    start(&t, TOWNSHIP, "a");
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    refused(&t, signed_package(TOWNSHIP, 1, &d, 1), ERR_BAD_SIGNATURE,
            "1 of the 2 signatures");
    refused(&t, signed_package(VILLAGE, 1, &d, 1), ERR_DENIED,
            "of issuer 341821100201");
    const char *strange[] = {key_path(TOWNSHIP, 1), key_path(VILLAGE, 1)};
    struct making m = {FEDERATION, TOWNSHIP, 0, strange, 2};
    refused(&t, package_of(&m, &d, 1), ERR_BAD_SIGNATURE,
            "does not decide for 341821100000");
    const char *two[] = {key_path(TOWNSHIP, 1), key_path(TOWNSHIP, 2)};
    m = (struct making){"another", TOWNSHIP, 0, two, 2};
    refused(&t, package_of(&m, &d, 1), ERR_DENIED, "in federation another");
    m = (struct making){FEDERATION, TOWNSHIP, 1600000000000, two, 2};
    refused(&t, package_of(&m, &d, 1), ERR_DENIED, "was to be published by");
    assert_int_equal(store_directives_log(t.store, &log), ERR_NOT_FOUND);
    struct package *package = signed_package(TOWNSHIP, 3, &d, 1);
    assert_ok(publish(&t, package, NULL));
    refused(&t, package, ERR_EXISTS, "published already");
    assert_int_equal(look(&t, SUBJECT_A, NULL), 1);
    node_fini(&t);
}

static void a_log_may_be_opened_before_anything_is_published(void **state)
{
    struct node t;
    struct log_id opened;
    struct log_id again;
    struct errmsg why;
    (void)state;
    start(&t, TOWNSHIP, "a");
    assert_ok(store_open_directives(t.store, &opened, &why));
    assert_int_equal(size_of(t.store, &opened), 1);
    assert_int_equal(visible(&t, &opened), 0);
    assert_int_equal(store_open_directives(t.store, &again, &why), ERR_EXISTS);
    node_restart(&t);
    assert_int_equal(store_open_directives(t.store, &again, &why), ERR_EXISTS);
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct published p = decide(&t, &d, 1);
    assert_true(log_id_eq(&p.log, &opened));
    assert_int_equal(p.first, 2);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 1);
    assert_no_issues(&t);
    node_fini(&t);
}

static void a_node_without_deciders_publishes_nothing(void **state)
{
    struct node t;
    (void)state;
    node_init(&t, fixture_backend(), TOWNSHIP,
              "a"); /* knows no root document */
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    refused(&t, signed_package(TOWNSHIP, 2, &d, 1), ERR_BAD_SIGNATURE,
            "names no deciders");
    node_fini(&t);
}

static void ten_thousand_entries_are_one_package(void **state)
{
    struct node t;
    struct node v;
    struct listings l;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    struct decision *many = mem_zalloc(PACKAGE_ENTRIES_MAX, sizeof *many);
    for (size_t i = 0; i < PACKAGE_ENTRIES_MAX; i++) {
        many[i] = (struct decision){
            .subject = i % 2 == 0 ? SUBJECT_A : SUBJECT_B, .from = 20270101};
    }
    many[PACKAGE_ENTRIES_MAX - 1].from = 20260101;
    struct published p = decide(&t, many, PACKAGE_ENTRIES_MAX);
    mem_free(many);
    assert_int_equal(p.last - p.first + 1, PACKAGE_ENTRIES_MAX + 2);
    assert_int_equal(look(&t, SUBJECT_A, &l), 0);
    assert_true(l.met);
    assert_int_equal(look(&t, SUBJECT_B, NULL), 1);
    copy_log(t.store, v.store, &p.log);
    assert_int_equal(visible(&v, &p.log), p.last);
    assert_int_equal(look(&v, SUBJECT_B, NULL), 1);
    node_fini(&v);
    node_fini(&t);
}

/* ---- many subjects in one call ---- */

enum { MANY = 600 }; /* more than one read */

struct met_listing {
    size_t place;
    uint64_t number;
};
struct met_listings {
    struct met_listing at[8];
    size_t n;
    size_t most; /* then it ends the call */
};

static bool on_met(void *ctx, size_t place, const struct store_listing *l)
{
    struct met_listings *m = ctx;
    assert_true(m->n < ARRAY_LEN(m->at));
    m->at[m->n++] = (struct met_listing){place, l->number};
    return m->n < m->most;
}

static void listings_of_many_subjects_come_in_their_places(void **state)
{
    struct node t;
    struct lists_view view;
    struct subject_key keys[MANY];
    char codes[MANY][24];
    static const size_t places[] = {0, 0, 255, 256, MANY - 1};
    struct decision listed[ARRAY_LEN(places)];
    (void)state;
    start(&t, TOWNSHIP, "a");
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(codes[i], sizeof codes[i], "9134000%011zu", i);
        subject_key_org(&keys[i], SUBJECT_USCC, slice_str(codes[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        listed[i] =
            (struct decision){.subject = codes[places[i]], .from = 20260301};
    }
    struct published p = decide(&t, listed, ARRAY_LEN(listed));
    lists_view_take(t.store, &view);
    const struct listing_query q = {.view = &view, .today = TODAY};
    struct met_listings m = {.most = MANY};
    assert_ok(store_listings_of(t.store, &q, keys, MANY, on_met, &m));
    assert_int_equal(m.n, ARRAY_LEN(places));
    for (size_t i = 0; i < m.n; i++) {
        assert_int_equal(m.at[i].place, places[i]);
        assert_int_equal(m.at[i].number, p.first + 1 + i);
    }
    m = (struct met_listings){.most = 3}; /* at the end of the first read */
    assert_ok(store_listings_of(t.store, &q, keys, MANY, on_met, &m));
    assert_int_equal(m.n, 3);
    m = (struct met_listings){.most = 1}; /* within a subject */
    assert_ok(store_listings_of(t.store, &q, keys, MANY, on_met, &m));
    assert_int_equal(m.n, 1);
    m = (struct met_listings){.most = MANY};
    assert_ok(store_listings_of(t.store, &q, keys, 0, on_met, &m));
    assert_int_equal(m.n, 0);
    lists_view_fini(&view);
    node_fini(&t);
}

/* ---- corrections, removals, dates ---- */

static void a_removal_ends_what_it_names(void **state)
{
    struct node t;
    struct listings l;
    (void)state;
    start(&t, TOWNSHIP, "a");
    const struct decision twice[] = {{.subject = SUBJECT_A, .from = 20260301},
                                     {.subject = SUBJECT_A, .from = 20260401}};
    struct published p = decide(&t, twice, 2);
    struct decision removal = {.type = ENTRY_REMOVAL,
                               .subject = SUBJECT_A,
                               .target = {p.log, p.first + 1}};
    decide(&t, &removal, 1);
    assert_int_equal(look(&t, SUBJECT_A, &l), 1);
    assert_int_equal(l.at[0].number, p.first + 2);
    /* For good: another listing is another entry. */
    decide(&t, twice, 1);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 2);
    /* What names another subject's listing ends nothing. */
    removal = (struct decision){.type = ENTRY_REMOVAL,
                                .subject = SUBJECT_B,
                                .target = {p.log, p.first + 2}};
    decide(&t, &removal, 1);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 2);
    node_fini(&t);
}

static void the_newest_correction_counts(void **state)
{
    struct node t;
    struct listings l;
    (void)state;
    start(&t, TOWNSHIP, "a");
    const struct decision d = {
        .subject = SUBJECT_A, .from = 20260301, .until = 20260401};
    struct published p = decide(&t, &d, 1);
    assert_int_equal(look(&t, SUBJECT_A, &l), 0);
    assert_true(l.met);
    struct decision c = {.type = ENTRY_CORRECTION,
                         .subject = SUBJECT_A,
                         .from = 20260301,
                         .until = 20260701,
                         .target = {p.log, p.first + 1}};
    struct published q = decide(&t, &c, 1);
    assert_int_equal(look(&t, SUBJECT_A, &l), 1);
    assert_int_equal(l.at[0].number, p.first + 1);
    assert_int_equal(l.at[0].text, q.first + 1);
    assert_int_equal(l.at[0].until, 20260701);
    c.until = 20260531;
    decide(&t, &c, 1);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 0);
    node_fini(&t);
}

/* A package of one decision, as what stands in the log. */
struct kept_package {
    struct package *package;
    struct slice entries[3];
    struct buf room;
};

static void keep_package(struct kept_package *k, const struct decision *d)
{
    k->package = signed_package(TOWNSHIP, 2, d, 1);
    k->room = (struct buf)BUF_INIT;
    package_log_entries(k->package, clock_wall_ms(), &k->room, k->entries);
}

static void forge_kept(struct forge *f, struct node *to,
                       const struct kept_package *k, size_t n)
{
    for (size_t i = 0; i < 3 * n; i++) {
        assert_ok(forge_bytes(f, to->store, k[i / 3].entries[i % 3]));
    }
}

/* A successor may come before the log that it follows, as by two files. */
static void the_newest_correction_is_the_successors(void **state)
{
    struct node t;
    struct node scratch;
    struct node v;
    struct forge old;
    struct forge next;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&scratch, VILLAGE, "scratch");
    start(&v, VILLAGE, "b");
    const struct listing_place listing = {{TOWNSHIP, 77, LOG_DIRECTIVES}, 3};
    struct decision d = {
        .subject = SUBJECT_A, .from = 20260301, .until = 20260301};
    struct kept_package before[2];
    struct kept_package after;
    keep_package(&before[0], &d);
    d.type = ENTRY_CORRECTION;
    d.target = listing;
    d.until = 20301231;
    keep_package(&before[1], &d);
    d.until = 20260401; /* it ended long ago */
    keep_package(&after, &d);
    assert_ok(
        forge_open_kind(&old, scratch.store, &t, LOG_DIRECTIVES, 77, NULL));
    forge_kept(&old, &scratch, before, 2);
    assert_int_equal(look(&scratch, SUBJECT_A, NULL), 1);
    struct entry_open open = {.prev_incarnation = 77, .prev_size = 7};
    struct hash root = root_at(&scratch, &old.log, 7);
    memcpy(open.prev_root, root.b, HASH_LEN);
    assert_ok(forge_open_kind(&next, v.store, &t, LOG_DIRECTIVES, 78, &open));
    forge_kept(&next, &v, &after, 1);
    assert_ok(forge_open_kind(&old, v.store, &t, LOG_DIRECTIVES, 77, NULL));
    forge_kept(&old, &v, before, 2);
    assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        package_free(&before[i].package);
        buf_fini(&before[i].room);
    }
    package_free(&after.package);
    buf_fini(&after.room);
    node_fini(&v);
    node_fini(&scratch);
    node_fini(&t);
}

/* Of three the last came first, so that both corrections stand in logs that
 * ended. */
static void the_newest_correction_is_that_of_the_later_log(void **state)
{
    struct node t;
    struct node scratch;
    struct node v;
    struct forge logs[3];
    struct kept_package first[2];
    struct kept_package second;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&scratch, VILLAGE, "scratch");
    start(&v, VILLAGE, "b");
    struct decision d = {
        .subject = SUBJECT_A, .from = 20260301, .until = 20260301};
    keep_package(&first[0], &d);
    d.type = ENTRY_CORRECTION;
    d.target = (struct listing_place){{TOWNSHIP, 77, LOG_DIRECTIVES}, 3};
    d.until = 20301231;
    keep_package(&first[1], &d);
    d.until = 20260401; /* it ended long ago */
    keep_package(&second, &d);
    struct entry_open opens[3] = {{.prev_incarnation = 0},
                                  {.prev_incarnation = 77, .prev_size = 7},
                                  {.prev_incarnation = 78, .prev_size = 4}};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(forge_open_kind(&logs[i], scratch.store, &t, LOG_DIRECTIVES,
                                  77 + i, i > 0 ? &opens[i] : NULL));
        forge_kept(&logs[i], &scratch, i == 0 ? first : &second, 2 - i);
        if (i < 2) {
            struct hash root =
                root_at(&scratch, &logs[i].log, opens[i + 1].prev_size);
            memcpy(opens[i + 1].prev_root, root.b, HASH_LEN);
        }
    }
    for (size_t i = 3; i-- > 0;) {
        assert_ok(forge_open_kind(&logs[i], v.store, &t, LOG_DIRECTIVES, 77 + i,
                                  i > 0 ? &opens[i] : NULL));
        forge_kept(&logs[i], &v, i == 0 ? first : &second, 2 - i);
    }
    assert_int_equal(look(&scratch, SUBJECT_A, NULL), 0);
    assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        package_free(&first[i].package);
        buf_fini(&first[i].room);
    }
    package_free(&second.package);
    buf_fini(&second.room);
    node_fini(&v);
    node_fini(&scratch);
    node_fini(&t);
}

static void days_are_counted_to_the_last(void **state)
{
    struct node t;
    struct listings l;
    (void)state;
    start(&t, TOWNSHIP, "a");
    const struct decision d[] = {
        {.subject = SUBJECT_A, .from = TODAY, .until = TODAY},
        {.subject = SUBJECT_A, .from = 20260101, .until = TODAY - 1},
        {.subject = SUBJECT_A, .from = TODAY + 1},
        {.subject = SUBJECT_A, .from = 0, .until = 0}};
    decide(&t, d, 4);
    assert_int_equal(look(&t, SUBJECT_A, &l), 2);
    assert_int_equal(l.at[0].until, TODAY);
    assert_int_equal(l.at[1].from, 0);
    node_fini(&t);
}

static void only_the_same_authority_or_one_above_ends_a_listing(void **state)
{
    struct node t;
    struct node v;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct published above = decide(&t, &d, 1);
    copy_log(t.store, v.store, &above.log);
    struct published below;
    struct package *p = signed_package(VILLAGE, 1, &d, 1);
    assert_ok(publish(&v, p, &below));
    package_free(&p);
    assert_int_equal(look(&v, SUBJECT_A, NULL), 2);
    struct decision removal = {.type = ENTRY_REMOVAL,
                               .subject = SUBJECT_A,
                               .target = {above.log, above.first + 1}};
    p = signed_package(VILLAGE, 1, &removal, 1);
    assert_ok(publish(&v, p, NULL));
    package_free(&p);
    assert_int_equal(look(&v, SUBJECT_A, NULL), 2);
    removal.target = (struct listing_place){below.log, below.first + 1};
    decide(&t, &removal, 1);
    copy_log(t.store, v.store, &above.log);
    struct listings l;
    assert_int_equal(look(&v, SUBJECT_A, &l), 1);
    assert_true(log_id_eq(&l.at[0].log, &above.log));
    /* What was decided below does not count above. */
    copy_log(v.store, t.store, &below.log);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 1);
    node_fini(&v);
    node_fini(&t);
}

/* ---- what a holder takes ---- */

static void nothing_counts_before_the_end_is_there(void **state)
{
    struct node t;
    struct node v;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    const struct decision d[] = {{.subject = SUBJECT_A, .from = 20260301},
                                 {.subject = SUBJECT_B, .from = 20260301}};
    struct package *p = signed_package(TOWNSHIP, 2, d, 2);
    struct slice entries[4];
    struct buf room = BUF_INIT;
    struct forge f;
    package_log_entries(p, clock_wall_ms(), &room, entries);
    assert_ok(forge_open_kind(&f, v.store, &t, LOG_DIRECTIVES, 77, NULL));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
        assert_int_equal(look(&v, SUBJECT_B, NULL), 0);
        assert_ok(forge_bytes(&f, v.store, entries[i]));
        node_restart(&v); /* what is open is remembered */
    }
    assert_int_equal(look(&v, SUBJECT_A, NULL), 1);
    assert_int_equal(look(&v, SUBJECT_B, NULL), 1);
    assert_no_issues(&v);
    buf_fini(&room);
    package_free(&p);
    node_fini(&v);
    node_fini(&t);
}

/* Of a log that a damaged database lost nothing is remembered either. */
static void a_log_that_comes_again_is_judged_anew(void **state)
{
    const struct decision d[] = {{.subject = SUBJECT_A, .from = 20260301},
                                 {.subject = SUBJECT_B, .from = 20260301}};
    struct node t;
    struct node v;
    struct node w;
    struct slice entries[4];
    struct buf room = BUF_INIT;
    struct forge f;
    (void)state;
    if (!on_mariadb()) {
        skip(); /* another one is made there, without it */
    }
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    start(&w, VILLAGE, "c"); /* keeps it */
    struct package *p = signed_package(TOWNSHIP, 2, d, 2);
    package_log_entries(p, clock_wall_ms(), &room, entries);
    assert_ok(forge_open_kind(&f, w.store, &t, LOG_DIRECTIVES, 77, NULL));
    for (size_t i = 0; i < 4; i++) {
        assert_ok(forge_bytes(&f, w.store, entries[i]));
    }
    copy_log(w.store, v.store, &f.log);
    assert_int_equal(look(&v, SUBJECT_A, NULL), 1);
    node_stop(&v);
    mariadb_sql(&fed_server, "UPDATE b.cn_block SET v=INSERT(v,LENGTH(v),1,"
                             "CHAR(ASCII(RIGHT(v,1))^16)) WHERE first=3");
    shell("echo test >b/DAMAGED");
    node_start(&v);
    assert_int_equal(size_of(v.store, &f.log), 0);
    for (uint64_t n = 1; n <= 5; n++) {
        assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
        assert_ok(append(v.store, segment_of(w.store, &f.log, n, n), NULL));
    }
    assert_int_equal(look(&v, SUBJECT_A, NULL), 1);
    assert_no_issues(&v);
    buf_fini(&room);
    package_free(&p);
    node_fini(&w);
    node_fini(&v);
    node_fini(&t);
}

/* A forged package of one listing as three entries: `alter` spoils it. */
typedef void alter_fn(struct package *p);

static void as_it_is(struct package *p)
{
    (void)p;
}

static void unsigned_one(struct package *p)
{
    buf_clear(&p->signatures);
}

static void other_text(struct package *p)
{
    buf_clear(&p->text);
    p->head.prepared_ms++;
    package_head_put(&p->head, &p->text);
}

static void other_entry(struct package *p)
{
    p->bytes.data[p->bytes.len - 1] ^= 1;
}

static void other_issuer(struct package *p)
{
    buf_clear(&p->text);
    p->head.issuer = VILLAGE;
    package_head_put(&p->head, &p->text);
}

static void torn_signature(struct package *p)
{
    p->signatures.len -= 1;
}

static void forge_package(struct forge *f, struct node *to, alter_fn *alter,
                          int64_t at_ms)
{
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct package *p = signed_package(TOWNSHIP, 2, &d, 1);
    alter(p);
    forge_entries(f, to, p, 1, at_ms);
    package_free(&p);
}

static void a_package_that_is_not_as_it_was_signed_has_no_effect(void **state)
{
    struct node t;
    struct node v;
    struct forge f;
    int64_t now_ms = clock_wall_ms();
    (void)state;
    static const struct {
        alter_fn *alter;
        int64_t later_ms;
        unsigned at; /* entry of the package that is listed as void */
        const char *text;
    } cases[] = {
        {unsigned_one, 0, 2, "not signed by enough"},
        {other_text, 0, 2, "not signed by enough"},
        {other_entry, 0, 2, "other entries than were signed"},
        {other_issuer, 0, 0, "of another issuer"},
        {torn_signature, 0, 2, "not signed by enough"},
        {as_it_is, 40 * 86400000ll, 2, "after its last day"},
    };
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    assert_ok(forge_open_kind(&f, v.store, &t, LOG_DIRECTIVES, 77, NULL));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t first = f.frontier.size + 1;
        forge_package(&f, &v, cases[i].alter, now_ms + cases[i].later_ms);
        assert_issue(&v, first + cases[i].at, cases[i].text);
        assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
    }
    /* The log goes on, and what is right counts. */
    forge_package(&f, &v, as_it_is, now_ms);
    assert_int_equal(look(&v, SUBJECT_A, NULL), 1);
    assert_ok(store_reindex(v.store, NULL, NULL, NULL));
    assert_int_equal(look(&v, SUBJECT_A, NULL), 1);
    assert_issue(&v, 4, "not signed by enough");
    node_restart(&v);
    assert_int_equal(look(&v, SUBJECT_A, NULL), 1);
    node_fini(&v);
    node_fini(&t);
}

static void a_package_takes_effect_once(void **state)
{
    struct node t;
    struct node v;
    struct forge f;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct package *p = signed_package(TOWNSHIP, 2, &d, 1);
    struct slice entries[3];
    struct buf room = BUF_INIT;
    package_log_entries(p, clock_wall_ms(), &room, entries);
    assert_ok(forge_open_kind(&f, v.store, &t, LOG_DIRECTIVES, 77, NULL));
    assert_ok(append(v.store, forge_run(&f, entries, 3), NULL));
    struct decision removal = {
        .type = ENTRY_REMOVAL, .subject = SUBJECT_A, .target = {f.log, 3}};
    struct package *q = signed_package(TOWNSHIP, 2, &removal, 1);
    struct slice ends[3];
    struct buf room2 = BUF_INIT;
    package_log_entries(q, clock_wall_ms(), &room2, ends);
    assert_ok(append(v.store, forge_run(&f, ends, 3), NULL));
    assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
    /* The listing is played back, alone and twice in one commit. */
    assert_ok(append(v.store, forge_run(&f, entries, 3), NULL));
    const struct slice twice[] = {entries[0], entries[1], entries[2],
                                  entries[0], entries[1], entries[2]};
    assert_ok(append(v.store, forge_run(&f, twice, 6), NULL));
    assert_issue(&v, 10, "took effect before");
    assert_issue(&v, 13, "took effect before");
    assert_issue(&v, 16, "took effect before");
    assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
    /* In a successor of the log it counts no more either. */
    struct forge g;
    assert_ok(forge_open_kind(&g, v.store, &t, LOG_DIRECTIVES, 78, NULL));
    assert_ok(append(v.store, forge_run(&g, entries, 3), NULL));
    assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
    assert_ok(store_reindex(v.store, NULL, NULL, NULL));
    assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
    buf_fini(&room);
    buf_fini(&room2);
    package_free(&p);
    package_free(&q);
    node_fini(&v);
    node_fini(&t);
}

static void one_id_twice_in_a_commit_counts_once(void **state)
{
    struct node t;
    struct node v;
    struct forge f;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct package *p = signed_package(TOWNSHIP, 2, &d, 1);
    struct slice e[3];
    struct buf room = BUF_INIT;
    package_log_entries(p, clock_wall_ms(), &room, e);
    const struct slice twice[] = {e[0], e[1], e[2], e[0], e[1], e[2]};
    assert_ok(forge_open_kind(&f, v.store, &t, LOG_DIRECTIVES, 77, NULL));
    assert_ok(append(v.store, forge_run(&f, twice, 6), NULL));
    assert_int_equal(look(&v, SUBJECT_A, NULL), 1);
    buf_fini(&room);
    package_free(&p);
    node_fini(&v);
    node_fini(&t);
}

static void what_has_no_begin_or_no_end_has_no_effect(void **state)
{
    struct node t;
    struct node v;
    struct forge f;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct package *p = signed_package(TOWNSHIP, 2, &d, 1);
    struct slice e[3];
    struct buf room = BUF_INIT;
    package_log_entries(p, clock_wall_ms(), &room, e);
    assert_ok(forge_open_kind(&f, v.store, &t, LOG_DIRECTIVES, 77, NULL));
    assert_ok(forge_bytes(&f, v.store, e[1]));        /* 2: outside */
    assert_ok(forge_bytes(&f, v.store, e[2]));        /* 3: an end alone */
    assert_ok(forge_bytes(&f, v.store, e[0]));        /* 4: begins, */
    assert_ok(forge_bytes(&f, v.store, e[1]));        /* 5 */
    forge_package(&f, &v, as_it_is, clock_wall_ms()); /* 6 to 8, ends not */
    assert_issue(&v, 2, "outside a package");
    assert_issue(&v, 3, "outside a package");
    assert_issue(&v, 4, "without its end");
    struct listings l;
    assert_int_equal(look(&v, SUBJECT_A, &l), 1);
    assert_int_equal(l.at[0].number, 7);
    assert_ok(store_reindex(v.store, NULL, NULL, NULL));
    assert_int_equal(look(&v, SUBJECT_A, &l), 1);
    assert_int_equal(l.at[0].number, 7);
    buf_fini(&room);
    package_free(&p);
    node_fini(&v);
    node_fini(&t);
}

static void directives_from_elsewhere_do_not_count(void **state)
{
    struct node t;
    struct node v;
    (void)state;
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    /* The village decides for itself; the township holds its log. */
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct published p;
    struct package *package = signed_package(VILLAGE, 1, &d, 1);
    assert_ok(publish(&v, package, &p));
    package_free(&package);
    copy_log(v.store, t.store, &p.log);
    assert_int_equal(look(&v, SUBJECT_A, NULL), 1);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 0);
    assert_int_equal(visible(&t, &p.log), 0);
    node_fini(&v);
    node_fini(&t);
}

/* ---- readers ---- */

/* Above is an authority whose key was stolen, or that lost its log again and
 * again; its logs came first. */
static void who_opens_many_logs_takes_no_other_issuers_place(void **state)
{
    enum { LOGS = LISTS_LOGS_MAX + 1 };
    struct node top;
    struct node t;
    struct node v;
    struct lists_view view;
    (void)state;
    start(&top, TOP, "top");
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    for (uint64_t i = 1; i <= LOGS; i++) {
        struct forge f;
        assert_ok(forge_open_kind(&f, v.store, &top, LOG_DIRECTIVES, i, NULL));
    }
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct published p = decide(&t, &d, 1);
    copy_log(t.store, v.store, &p.log);
    assert_int_equal(look(&v, SUBJECT_A, NULL), 1);
    lists_view_take(v.store, &view);
    assert_int_equal(view.n, LISTS_ISSUER_LOGS_MAX + 1);
    lists_view_fini(&view);
    node_fini(&v);
    node_fini(&t);
    node_fini(&top);
}

static void a_view_stays_as_it_was_taken(void **state)
{
    struct node t;
    struct listings l;
    struct lists_view view;
    (void)state;
    start(&t, TOWNSHIP, "a");
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct published p = decide(&t, &d, 1);
    lists_view_take(t.store, &view);
    const struct decision moved[] = {{.type = ENTRY_REMOVAL,
                                      .subject = SUBJECT_A,
                                      .target = {p.log, p.first + 1}},
                                     {.subject = SUBJECT_B, .from = 20260301}};
    decide(&t, moved, 2);
    look_in(&t, &view, SUBJECT_A, &l);
    assert_int_equal(l.n, 1);
    look_in(&t, &view, SUBJECT_B, &l);
    assert_int_equal(l.n, 0);
    lists_view_fini(&view);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 0);
    assert_int_equal(look(&t, SUBJECT_B, NULL), 1);
    node_fini(&t);
}

/* ---- another root document ---- */

/* store_watch() calls it. */
static void count_told(void *ctx, const struct log_id *logs, size_t n)
{
    _Atomic unsigned *told = ctx;
    for (size_t i = 0; i < n; i++) {
        *told += logs[i].kind == LOG_DIRECTIVES;
    }
}

static void
what_a_replaced_key_signed_counts_as_far_as_the_keepers_say(void **state)
{
    const struct decision a = {.subject = SUBJECT_A, .from = 20260301};
    const struct decision b = {.subject = SUBJECT_B, .from = 20260301};
    struct errmsg why;
    (void)state;
    enum { NOT_NAMED, NAMED, NAMED_OTHERWISE, CASES };
    for (int named = 0; named < CASES; named++) {
        struct node t;
        struct rootchain *shared = roots;
        shell("rm -rf roots");
        open_roots();
        start(&t, TOWNSHIP, "a");
        /* Signed by 1 and 3, whose key is stolen then. */
        const char *keys[] = {key_path(TOWNSHIP, 1), key_path(TOWNSHIP, 3)};
        const struct making m = {FEDERATION, TOWNSHIP, 0, keys, 2};
        struct package *p = package_of(&m, &a, 1);
        struct published first;
        assert_ok(publish(&t, p, &first));
        package_free(&p);
        p = package_of(&m, &b, 1);
        assert_ok(publish(&t, p, NULL));
        package_free(&p);
        struct hash root = root_at(&t, &first.log, first.last);
        root.b[0] ^= named == NAMED_OTHERWISE;
        replace_third(roots, &first.log, named != NOT_NAMED ? first.last : 0,
                      &root);
        _Atomic unsigned told = 0;
        store_watch(t.store, count_told, &told);
        assert_ok(store_judge_again(t.store, &why));
        store_unwatch(t.store, count_told, &told);
        assert_int_equal(told, 1);
        assert_int_equal(look(&t, SUBJECT_A, NULL), named == NAMED);
        assert_int_equal(look(&t, SUBJECT_B, NULL), 0);
        assert_issue(&t, first.last + 3, "not signed by enough");
        refused(&t, package_of(&m, &a, 1), ERR_BAD_SIGNATURE,
                "does not decide");
        node_restart(&t);
        assert_int_equal(look(&t, SUBJECT_A, NULL), named == NAMED);
        decide(&t, &b, 1); /* by 1 and 2 */
        assert_int_equal(look(&t, SUBJECT_B, NULL), 1);
        node_fini(&t);
        rootchain_free(&roots);
        roots = shared;
    }
}

#define SUBJECT_LATER "91340000000000003W"

/* One that 1 and 3 signed, or 1 and 2. */
static void forge_signed(struct forge *f, struct node *to, unsigned second,
                         const char *subject)
{
    const struct decision d = {.subject = subject, .from = 20260301};
    const char *keys[] = {key_path(TOWNSHIP, 1), key_path(TOWNSHIP, second)};
    const struct making m = {FEDERATION, TOWNSHIP, 0, keys, 2};
    struct package *p = package_of(&m, &d, 1);
    forge_entries(f, to, p, 1, clock_wall_ms());
    package_free(&p);
}

/* Whoever has the former keys writes another history of the log's name, for a
 * node that holds nothing of it: it counts no further than the entry by which
 * it is seen to be another one. */
static void another_history_counts_not_as_the_one_that_is_named(void **state)
{
    struct node t;
    struct node v;
    struct forge real;
    struct forge forged;
    struct rootchain *shared = roots;
    (void)state;
    for (int other = 0; other < 2; other++) {
        shell("rm -rf roots");
        open_roots();
        start(&t, TOWNSHIP, "a");
        start(&v, VILLAGE, "b");
        /* The village's own copy of the real one is thrown away. */
        assert_ok(
            forge_open_kind(&real, v.store, &t, LOG_DIRECTIVES, 77, NULL));
        forge_signed(&real, &v, 3, SUBJECT_B);
        const struct hash root = root_at(&v, &real.log, 4);
        replace_third(roots, &real.log, 4, &root);
        if (other) {
            node_fini(&v);
            start(&v, VILLAGE, "c");
            assert_ok(forge_open_kind(&forged, v.store, &t, LOG_DIRECTIVES, 77,
                                      NULL));
            forge_signed(&forged, &v, 3, SUBJECT_A);
        }
        forge_signed(other ? &forged : &real, &v, 2, SUBJECT_LATER);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(look(&v, SUBJECT_A, NULL), 0);
            assert_int_equal(look(&v, SUBJECT_B, NULL), !other);
            assert_int_equal(look(&v, SUBJECT_LATER, NULL), 1);
            node_restart(&v);
        }
        node_fini(&v);
        node_fini(&t);
        rootchain_free(&roots);
        roots = shared;
    }
}

/* The writer has done what it does behind the last commit: it answers again,
 * what is held. */
static void after_commit(struct node *n, struct node *from,
                         const struct log_id *log)
{
    assert_ok(append(n->store, segment_of(from->store, log, 1, 1), NULL));
}

/* Kept shorter than what the document names, the other history could not be
 * told from it; nor can the real one, before it is here. */
static void a_history_counts_when_it_is_seen_to_be_the_one_named(void **state)
{
    struct node t;
    struct node v;
    struct forge real;
    struct forge copy;
    struct rootchain *shared = roots;
    (void)state;
    for (int other = 0; other < 2; other++) {
        shell("rm -rf roots");
        open_roots();
        start(&t, TOWNSHIP, "a");
        start(&v, VILLAGE, "b");
        assert_ok(
            forge_open_kind(&real, v.store, &t, LOG_DIRECTIVES, 77, NULL));
        forge_signed(&real, &v, 3, SUBJECT_A);
        forge_signed(&real, &v, 3, SUBJECT_B);
        const struct hash root = root_at(&v, &real.log, 7);
        replace_third(roots, &real.log, 7, &root);
        struct node w;
        start(&w, VILLAGE, "c");
        if (other) {
            assert_ok(
                forge_open_kind(&copy, w.store, &t, LOG_DIRECTIVES, 77, NULL));
            forge_signed(&copy, &w, 3, SUBJECT_A);
        } else {
            assert_ok(
                append(w.store, segment_of(v.store, &real.log, 1, 4), NULL));
        }
        for (int again = 0; again < 2; again++) {
            assert_int_equal(look(&w, SUBJECT_A, NULL), 0);
            assert_ok(store_reindex(w.store, NULL, NULL, NULL));
            assert_int_equal(look(&w, SUBJECT_A, NULL), 0);
            node_restart(&w);
        }
        if (!other) {
            copy_log(v.store, w.store, &real.log);
            after_commit(&w, &v, &real.log);
            assert_int_equal(look(&w, SUBJECT_A, NULL), 1);
            assert_int_equal(look(&w, SUBJECT_B, NULL), 1);
            assert_no_issues(&w);
        }
        node_fini(&w);
        node_fini(&v);
        node_fini(&t);
        rootchain_free(&roots);
        roots = shared;
    }
}

/* A node whose line is cut lists nobody less for it. */
static void what_was_in_force_stays_though_the_rest_is_not_here(void **state)
{
    struct node t;
    struct node v;
    struct node w;
    struct forge real;
    struct errmsg why;
    struct rootchain *shared = roots;
    (void)state;
    shell("rm -rf roots");
    open_roots();
    start(&t, TOWNSHIP, "a");
    start(&v, VILLAGE, "b");
    start(&w, VILLAGE, "c");
    assert_ok(forge_open_kind(&real, v.store, &t, LOG_DIRECTIVES, 77, NULL));
    forge_signed(&real, &v, 3, SUBJECT_A);
    copy_log(v.store, w.store, &real.log);
    forge_signed(&real, &v, 3, SUBJECT_B);
    forge_signed(&real, &v, 3, SUBJECT_LATER);
    const struct hash root = root_at(&v, &real.log, 10);
    replace_third(roots, &real.log, 10, &root);
    assert_ok(store_judge_again(w.store, &why));
    for (int again = 0; again < 2; again++) {
        assert_int_equal(look(&w, SUBJECT_A, NULL), 1);
        assert_ok(store_reindex(w.store, NULL, NULL, NULL));
        assert_int_equal(look(&w, SUBJECT_A, NULL), 1);
        node_restart(&w);
    }
    assert_ok(append(w.store, segment_of(v.store, &real.log, 5, 7), NULL));
    assert_int_equal(look(&w, SUBJECT_A, NULL), 1);
    assert_int_equal(look(&w, SUBJECT_B, NULL), 0);
    copy_log(v.store, w.store, &real.log);
    after_commit(&w, &v, &real.log);
    assert_int_equal(look(&w, SUBJECT_A, NULL), 1);
    assert_int_equal(look(&w, SUBJECT_B, NULL), 1);
    assert_int_equal(look(&w, SUBJECT_LATER, NULL), 1);
    node_fini(&w);
    node_fini(&v);
    node_fini(&t);
    rootchain_free(&roots);
    roots = shared;
}

/* A start finds that the document changed while nobody could tell the store. */
static void a_start_judges_by_the_newest_document(void **state)
{
    const struct decision a = {.subject = SUBJECT_A, .from = 20260301};
    struct node t;
    struct rootchain *shared = roots;
    (void)state;
    shell("rm -rf roots");
    open_roots();
    start(&t, TOWNSHIP, "a");
    const char *keys[] = {key_path(TOWNSHIP, 1), key_path(TOWNSHIP, 3)};
    const struct making m = {FEDERATION, TOWNSHIP, 0, keys, 2};
    struct package *package = package_of(&m, &a, 1);
    struct published p;
    assert_ok(publish(&t, package, &p));
    package_free(&package);
    const struct hash no_root = {{0}};
    replace_third(roots, &p.log, 0, &no_root);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 1);
    node_restart(&t);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 0);
    node_fini(&t);
    rootchain_free(&roots);
    roots = shared;
}

/* ---- damage ---- */

/* What is gone here may be known below: to sign on would be another history. */
static void an_issuer_that_lost_commits_signs_no_second_history(void **state)
{
    const struct decision a = {.subject = SUBJECT_A, .from = 20260301};
    const struct decision b = {.subject = SUBJECT_B, .from = 20260301};
    struct node t;
    struct store_head head;
    struct errmsg why;
    (void)state;
    if (on_mariadb()) {
        skip(); /* there is no such file */
    }
    start(&t, TOWNSHIP, "a");
    struct published p = decide(&t, &a, 1);
    node_restart(&t); /* what is there is in table files now */
    decide(&t, &b, 1);
    node_stop(&t);
    shell(
        "cd a && f=$(ls *.log | tail -n 1) && n=$(stat -c %%s $f) && "
        "printf '\\377\\000\\377' | dd of=$f bs=1 seek=$((n / 3)) conv=notrunc "
        "2>/dev/null");
    node_start(&t);
    assert_ok(store_head(t.store, &p.log, &head));
    assert_int_equal(head.state, LOG_FORKED);
    assert_int_equal(look(&t, SUBJECT_A, NULL), 1);
    refused(&t, signed_package(TOWNSHIP, 2, &b, 1), ERR_FORKED,
            "log is stopped");
    /* Records have a way of their own, and wait for nothing. */
    assert_ok(store_settle(t.store, &why));
    submit_many(t.store, 0, 3);
    node_fini(&t);
    shell("rm -rf a.damaged-*");
}

/* ---- about nodes ---- */

struct decided {
    size_t n;
    struct store_node at[8];
};

static bool on_node(void *ctx, const struct store_node *node)
{
    struct decided *d = ctx;
    assert_true(d->n < ARRAY_LEN(d->at));
    d->at[d->n++] = *node;
    return true;
}

static struct decided decided_at(struct node *n)
{
    struct decided d = {.n = 0};
    struct lists_view view;
    lists_view_take(n->store, &view);
    assert_ok(store_nodes(n->store, &view, on_node, &d));
    lists_view_fini(&view);
    return d;
}

static void decisions_about_nodes_are_kept(void **state)
{
    const struct registry_decision revoked = {.what = REGISTRY_REVOKED,
                                              .code = VILLAGE,
                                              .decided = TODAY,
                                              .at_ms = 1772000000000,
                                              .reason = slice_str("示例")};
    struct registry_decision outside = revoked;
    struct node n;
    (void)state;
    outside.code = TOWNSHIP; /* itself */
    start(&n, TOWNSHIP, "nodes");
    const struct decision decisions[] = {{.node = &revoked},
                                         {.node = &outside}};
    struct published p = decide(&n, decisions, 2);
    for (int i = 0; i < 3; i++) {
        struct decided d = decided_at(&n);
        assert_int_equal(d.n, 1);
        assert_int_equal(d.at[0].code, VILLAGE);
        assert_int_equal(d.at[0].what, REGISTRY_REVOKED);
        assert_int_equal(d.at[0].number, p.first + 1);
        assert_int_equal(d.at[0].decided, TODAY);
        assert_int_equal(d.at[0].at_ms, 1772000000000);
        assert_int_equal(d.at[0].log.origin, TOWNSHIP);
        if (i == 0) {
            node_restart(&n);
        } else {
            assert_ok(store_reindex(n.store, NULL, NULL, NULL));
        }
    }
    struct store_stats stats;
    store_stats(n.store, &stats);
    assert_int_equal(stats.issues, 1); /* the one about itself */
    node_fini(&n);
}

/* So that who follows them reads them again then only, and always then. */
static void only_what_is_about_nodes_changes_them(void **state)
{
    const struct registry_decision revoked = {.what = REGISTRY_REVOKED,
                                              .code = VILLAGE,
                                              .decided = TODAY,
                                              .at_ms = 1772000000000,
                                              .reason = slice_str("示例")};
    const struct decision list = {.subject = SUBJECT_A};
    const struct decision node = {.node = &revoked};
    struct errmsg why;
    struct node n;
    (void)state;
    start(&n, TOWNSHIP, "changes");
    (void)decide(&n, &list, 1);
    uint64_t before = store_nodes_changes(n.store);
    (void)decide(&n, &list, 1);
    submit_many(n.store, 0, 3);
    assert_int_equal(store_nodes_changes(n.store), before);
    (void)decide(&n, &node, 1);
    assert_int_not_equal(store_nodes_changes(n.store), before);
    before = store_nodes_changes(n.store);
    (void)decide(&n, &list, 1);
    assert_int_equal(store_nodes_changes(n.store), before);
    assert_ok(store_judge_again(n.store, &why));
    assert_int_equal(decided_at(&n).n, 1);
    node_fini(&n);
}

static bool count_node(void *ctx, const struct store_node *node)
{
    size_t *n = ctx;
    *n += node->what == REGISTRY_RESTORED;
    return true;
}

/* No revocation hides behind a number of others. */
static void of_decisions_about_nodes_there_may_be_any_number(void **state)
{
    enum { PACKAGES = 7, BOUND_ABOUT_A_SUBJECT = 65536 };
    const struct registry_decision restored = {.what = REGISTRY_RESTORED,
                                               .code = VILLAGE,
                                               .decided = TODAY,
                                               .at_ms = 1772000000000,
                                               .reason = slice_str("示例")};
    struct decision *many = mem_zalloc(PACKAGE_ENTRIES_MAX, sizeof *many);
    struct lists_view view;
    struct node n;
    size_t met = 0;
    (void)state;
    for (size_t i = 0; i < PACKAGE_ENTRIES_MAX; i++) {
        many[i].node = &restored;
    }
    start(&n, TOWNSHIP, "many-nodes");
    for (int i = 0; i < PACKAGES; i++) {
        (void)decide(&n, many, PACKAGE_ENTRIES_MAX);
    }
    lists_view_take(n.store, &view);
    assert_ok(store_nodes(n.store, &view, count_node, &met));
    lists_view_fini(&view);
    assert_int_equal(met, PACKAGES * PACKAGE_ENTRIES_MAX);
    assert_true(met > BOUND_ABOUT_A_SUBJECT);
    node_fini(&n);
    mem_free(many);
}

/* ---- catalogue versions and measures ---- */

static bool count_faults(void *ctx, const struct store_rule *rule)
{
    size_t *n = ctx;
    n[rule->fault != NULL]++;
    return true;
}

static void rules_are(struct node *n, size_t good, size_t without_effect)
{
    size_t counts[2] = {0};
    store_rules(n->store, count_faults, counts);
    assert_int_equal(counts[0], good);
    assert_int_equal(counts[1], without_effect);
}

static enum disclosure disclosure_of_256(void)
{
    const struct catalogue_item *item =
        catalogue_item(CATALOGUE_ITEM_PUBLISHED);
    assert_non_null(item);
    return item->fields[catalogue_place(item, 256)].disclosure;
}

static struct measure a_measure(uint32_t revision)
{
    return (struct measure){.id = "C01",
                            .name_zh = "限制参加政府采购",
                            .basis = "政府采购法",
                            .revision = revision,
                            .decided = 20260301,
                            .from = 20260301,
                            .at_ms = 1772000000000};
}

static void top_decides(struct node *n, const struct decision *decisions,
                        size_t count)
{
    struct package *package = signed_package(TOP, 1, decisions, count);
    assert_ok(publish(n, package, NULL));
    package_free(&package);
}

/* Whatever their order in the log; and from the log alone. */
static void versions_and_measures_are_folded(void **state)
{
    struct catalogue_change first = new_kind(1);
    struct catalogue_change second =
        new_disclosure(2, 256, DISCLOSURE_AUTHORISED);
    struct measure m1 = a_measure(1);
    struct measure m2 = a_measure(2);
    struct measure m4 = a_measure(4);
    struct node n;
    (void)state;
    m2.until = 20260401;
    start(&n, TOP, "rules");
    rules_are(&n, 0, 0);
    assert_null(catalogue_item(CATALOGUE_ITEM_PUBLISHED));
    const struct decision one[] = {{.change = &second}, {.change = &first}};
    top_decides(&n, one, 2);
    const struct decision two[] = {{.measure = &m4},
                                   {.measure = &m2},
                                   {.measure = &m1},
                                   {.change = &first}};
    top_decides(&n, two, 4);
    for (int i = 0; i < 3; i++) {
        rules_are(&n, 4, 2); /* revision 4, and version 1 again */
        assert_int_equal(catalogue_now()->version, 2);
        assert_int_equal(disclosure_of_256(), DISCLOSURE_AUTHORISED);
        assert_null(measures_judge(slice_str("C01"), 20260401));
        assert_string_equal(measures_judge(slice_str("C01"), 20260402),
                            "measure-over");
        assert_string_equal(measures_judge(slice_str("C01、X"), 20260401),
                            "measure-unknown");
        if (i == 0) {
            node_restart(&n);
        } else {
            assert_ok(store_reindex(n.store, NULL, NULL, NULL));
        }
    }
    node_fini(&n);
    catalogue_change_fini(&first);
    catalogue_change_fini(&second);
}

/* The entry is carried all the same. */
static void a_version_of_a_lower_authority_has_no_effect(void **state)
{
    struct catalogue_change first = new_kind(1);
    const struct decision d = {.change = &first};
    struct store_stats stats;
    struct node n;
    (void)state;
    start(&n, TOWNSHIP, "lower");
    (void)decide(&n, &d, 1);
    assert_int_equal(catalogue_now()->version, 0);
    assert_null(catalogue_item(CATALOGUE_ITEM_PUBLISHED));
    assert_int_equal(measures_count(), 0);
    store_stats(n.store, &stats);
    assert_int_equal(stats.issues, 1);
    rules_are(&n, 0, 1);
    node_fini(&n);
    catalogue_change_fini(&first);
}

static void lists_become_unreadable(void)
{
    fail_reads(READ_LIST_ROWS);
}

/* What was decided must not wait for the next decision: it may be narrower. */
static void a_fold_that_could_not_read_is_made_up_for(void **state)
{
    struct catalogue_change first = new_kind(1);
    const struct decision d = {.change = &first};
    const struct draft other = {
        .record = 1, .subject = "91341821MA2T00001X", .text = "a"};
    struct backend backend = scripted(fixture_backend());
    struct node n;
    (void)state;
    start_on(&n, &backend, TOP, "owed");
    script.committed = lists_become_unreadable;
    top_decides(&n, &d, 1);
    assert_int_equal(catalogue_now()->version, 0);
    assert_ok(submit(n.store, &other, 1, NULL));
    assert_int_equal(catalogue_now()->version, 0);
    script.committed = NULL;
    reads_work();
    struct draft another = other;
    another.record = 2;
    assert_ok(submit(n.store, &another, 1, NULL));
    assert_int_equal(catalogue_now()->version, 1);
    rules_are(&n, 1, 0);
    node_fini(&n);
    catalogue_change_fini(&first);
}

/* A list that cannot be read for a moment says nothing of what was decided
 * before: neither "published already" nor "without effect". */
static void what_cannot_be_judged_is_not_written(void **state)
{
    const struct decision a = {.subject = SUBJECT_A, .from = 20260301};
    const struct decision b = {.subject = SUBJECT_B, .from = 20260301};
    struct backend backend = scripted(fixture_backend());
    struct node t;
    struct node v;
    (void)state;
    start_on(&t, &backend, TOWNSHIP, "a");
    start_on(&v, &backend, VILLAGE, "b");
    struct published p = decide(&t, &a, 1);
    copy_log(t.store, v.store, &p.log);
    struct package *second = signed_package(TOWNSHIP, 2, &b, 1);
    fail_reads(READ_LIST_ROWS);
    assert_int_equal(publish(&t, second, NULL), ERR_IO);
    assert_int_equal(size_of(t.store, &p.log), p.last);
    reads_work();
    assert_ok(publish(&t, second, NULL));
    package_free(&second);
    uint64_t size = size_of(t.store, &p.log);
    fail_reads(READ_LIST_ROWS);
    assert_int_equal(
        append(v.store, segment_of(t.store, &p.log, p.last + 1, size), NULL),
        ERR_IO);
    assert_int_equal(size_of(v.store, &p.log), p.last);
    reads_work();
    copy_log(t.store, v.store, &p.log);
    assert_no_issues(&v);
    assert_int_equal(look(&v, SUBJECT_B, NULL), 1);
    node_fini(&v);
    node_fini(&t);
}

/* While the index is made anew answers are kept of no subject, also between the
 * commits that judge the lists. */
static struct {
    struct store *store;
    size_t looks;
    size_t taken;
} stamps;

static void take_stamp(void)
{
    struct subject_key key;
    struct store_stamp stamp;
    subject_key_org(&key, SUBJECT_USCC, slice_str(SUBJECT_A));
    stamps.looks++;
    stamps.taken += store_stamp_take(stamps.store, &key, &stamp);
}

static void no_stamp_is_taken_of_an_index_in_the_making(void **state)
{
    const struct decision d = {.subject = SUBJECT_A, .from = 20260301};
    struct backend backend = scripted(fixture_backend());
    struct subject_key key;
    struct store_stamp before;
    struct node t;
    (void)state;
    start_on(&t, &backend, TOWNSHIP, "a");
    (void)decide(&t, &d, 1);
    subject_key_org(&key, SUBJECT_USCC, slice_str(SUBJECT_A));
    assert_true(store_stamp_take(t.store, &key, &before));
    stamps.store = t.store;
    stamps.looks = stamps.taken = 0;
    script.committed = take_stamp;
    assert_ok(store_reindex(t.store, NULL, NULL, NULL));
    script.committed = NULL;
    assert_true(stamps.looks > 3); /* the last one: the new index is in force */
    assert_int_equal(stamps.taken, 0);
    assert_false(store_stamp_holds(t.store, &before));
    assert_true(store_stamp_take(t.store, &key, &before));
    node_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_package_counts_where_it_was_decided),
        cmocka_unit_test(what_would_not_count_is_not_published),
        cmocka_unit_test(a_log_may_be_opened_before_anything_is_published),
        cmocka_unit_test(a_node_without_deciders_publishes_nothing),
        cmocka_unit_test(ten_thousand_entries_are_one_package),
        cmocka_unit_test(listings_of_many_subjects_come_in_their_places),
        cmocka_unit_test(a_removal_ends_what_it_names),
        cmocka_unit_test(the_newest_correction_counts),
        cmocka_unit_test(the_newest_correction_is_the_successors),
        cmocka_unit_test(the_newest_correction_is_that_of_the_later_log),
        cmocka_unit_test(days_are_counted_to_the_last),
        cmocka_unit_test(only_the_same_authority_or_one_above_ends_a_listing),
        cmocka_unit_test(nothing_counts_before_the_end_is_there),
        cmocka_unit_test(a_log_that_comes_again_is_judged_anew),
        cmocka_unit_test(a_package_that_is_not_as_it_was_signed_has_no_effect),
        cmocka_unit_test(a_package_takes_effect_once),
        cmocka_unit_test(one_id_twice_in_a_commit_counts_once),
        cmocka_unit_test(what_has_no_begin_or_no_end_has_no_effect),
        cmocka_unit_test(directives_from_elsewhere_do_not_count),
        cmocka_unit_test(who_opens_many_logs_takes_no_other_issuers_place),
        cmocka_unit_test(a_view_stays_as_it_was_taken),
        cmocka_unit_test(
            what_a_replaced_key_signed_counts_as_far_as_the_keepers_say),
        cmocka_unit_test(another_history_counts_not_as_the_one_that_is_named),
        cmocka_unit_test(a_history_counts_when_it_is_seen_to_be_the_one_named),
        cmocka_unit_test(what_was_in_force_stays_though_the_rest_is_not_here),
        cmocka_unit_test(a_start_judges_by_the_newest_document),
        cmocka_unit_test(an_issuer_that_lost_commits_signs_no_second_history),
        cmocka_unit_test(decisions_about_nodes_are_kept),
        cmocka_unit_test(only_what_is_about_nodes_changes_them),
        cmocka_unit_test(of_decisions_about_nodes_there_may_be_any_number),
        cmocka_unit_test(versions_and_measures_are_folded),
        cmocka_unit_test(a_version_of_a_lower_authority_has_no_effect),
        cmocka_unit_test(a_fold_that_could_not_read_is_made_up_for),
        cmocka_unit_test(what_cannot_be_judged_is_not_written),
        cmocka_unit_test(no_stamp_is_taken_of_an_index_in_the_making),
    };
    return cmocka_run_group_tests(tests, lists_setup, lists_teardown);
}
