#include "contract/store_fixture.h"
#include "store/store_impl.h"

#define FIRM "91341821MA2T00001X"
#define OTHER "91341821MA2T00002Y"
#define PERSON "111/341821199001010017"
#define CITIZEN "999900200002290017"

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

/* ---- versions ---- */

enum { VERSIONS = 3 };

/* v1 about FIRM, v2 about OTHER, v3 about FIRM again. */
static const struct draft history[VERSIONS] = {
    {.record = 1, .subject = FIRM, .text = "a", .version = 1},
    {.record = 1,
     .subject = OTHER,
     .prev_subject = FIRM,
     .text = "b",
     .version = 2,
     .prev_incarnation = 1,
     .prev_number = 2},
    {.record = 1,
     .subject = FIRM,
     .prev_subject = OTHER,
     .text = "c",
     .version = 3,
     .prev_incarnation = 2,
     .prev_number = 2},
};

static void assert_history(struct store *s)
{
    struct row_list list;
    rows_of(s, FIRM, &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.at[0].version, 3);
    rows_of(s, OTHER, &list);
    assert_int_equal(list.n, 0);
}

static void the_highest_version_wins_in_any_order(void **state)
{
    (void)state;
    static const unsigned orders[6][VERSIONS] = {
        {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0},
    };
    for (size_t o = 0; o < ARRAY_LEN(orders); o++) {
        struct issue_list issues;
        for (size_t i = 0; i < VERSIONS; i++) {
            /* Each version in a log of its own: any may come first. */
            struct forge f;
            assert_ok(forge_open(&f, township.store, &village, i + 1, NULL));
            assert_ok(forge_draft(&f, township.store, &history[orders[o][i]]));
        }
        assert_history(township.store);
        issues_of(township.store, &issues);
        assert_int_equal(issues.n, 0);
        node_fini(&township);
        node_init(&township, backend, TOWNSHIP, "township");
    }
}

static void an_equal_version_is_an_issue_and_the_first_is_kept(void **state)
{
    (void)state;
    struct forge f;
    struct row_list list;
    struct issue_list issues;
    struct draft d = {.record = 1, .subject = FIRM, .text = "a", .version = 1};
    assert_ok(forge_open(&f, township.store, &village, 1, NULL));
    assert_ok(forge_draft(&f, township.store, &d));
    d.text = "b";
    assert_ok(forge_draft(&f, township.store, &d));
    rows_of(township.store, FIRM, &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.at[0].number, 2);
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, 1);
    assert_int_equal(issues.at[0].number, 3);
    assert_int_equal(issues.at[0].effect, EFFECT_VOID);
}

/* Three logs of one origin that claim version 2 of one record; the log of
 * incarnation 1 counts. */
struct claims {
    struct draft drafts[3];
    const char *subject;    /* where the record is found */
    const char *nothing_at; /* and where it is not */
    const char *overruled;  /* incarnations of what has no effect */
};

static const struct claims claims[] = {
    {.drafts = {{.text = "b", .subject = OTHER, .prev_subject = FIRM},
                {.text = "c", .subject = FIRM},
                {.text = "d", .subject = FIRM}},
     .subject = OTHER,
     .nothing_at = FIRM,
     .overruled = "2 3 "},
    {.drafts = {{.text = "b", .subject = FIRM},
                {.text = "c", .subject = FIRM},
                {.text = "d", .subject = FIRM}},
     .subject = FIRM,
     .nothing_at = OTHER,
     .overruled = "2 3 "},
};

static void claim(const struct claims *c, size_t i)
{
    struct forge f;
    struct draft d = c->drafts[i];
    d.record = 1;
    d.version = 2;
    assert_ok(forge_open(&f, township.store, &village, i + 1, NULL));
    assert_ok(forge_draft(&f, township.store, &d));
}

static void assert_claim(const struct claims *c)
{
    struct row_list list;
    struct issue_list issues;
    char overruled[16] = "";
    rows_of(township.store, c->subject, &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.at[0].log.incarnation, 1);
    rows_of(township.store, c->nothing_at, &list);
    assert_int_equal(list.n, 0);
    issues_of(township.store, &issues);
    for (uint64_t incarnation = 1; incarnation <= 3; incarnation++) {
        for (size_t i = 0; i < issues.n; i++) {
            if (issues.at[i].log.incarnation == incarnation) {
                (void)snprintf(overruled + strlen(overruled),
                               sizeof overruled - strlen(overruled), "%d ",
                               (int)incarnation);
            }
        }
    }
    assert_string_equal(overruled, c->overruled);
}

/* Holders get the logs in different orders, and read them again in another. */
static void of_an_equal_version_the_same_is_kept_in_any_order(void **state)
{
    (void)state;
    static const unsigned orders[6][3] = {
        {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0},
    };
    for (size_t n = 0; n < ARRAY_LEN(claims) * ARRAY_LEN(orders); n++) {
        const struct claims *c = &claims[n % ARRAY_LEN(claims)];
        for (size_t i = 0; i < 3; i++) {
            claim(c, orders[n / ARRAY_LEN(claims)][i]);
        }
        assert_claim(c);
        assert_ok(store_reindex(township.store, NULL, NULL, NULL));
        assert_claim(c);
        node_fini(&township);
        node_init(&township, backend, TOWNSHIP, "township");
    }
}

/* What an earlier build made of it: the first that came was kept. */
static enum err first_kept(struct store *s, void *ctx, struct errmsg *why)
{
    const struct row *first = ctx;
    uint8_t generation = atomic_load(&s->generation);
    struct log_id log = {VILLAGE, 1, LOG_RECORDS};
    void *batch = s->backend->batch_new(s->db);
    s->backend->put_row(batch, generation, first);
    s->backend->del_issue(batch, generation, first->log, first->number);
    s->backend->put_issue(batch, generation, heads_find(&s->heads, &log)->id, 2,
                          REASON_CONFLICT);
    enum err err = writer_commit(s, batch, why);
    s->backend->batch_free(batch);
    return err;
}

static void an_equal_version_is_judged_again_by_a_later_build(void **state)
{
    (void)state;
    struct errmsg why;
    struct row row;
    struct row *rows[1] = {&row};
    struct row_key key = {.origin = VILLAGE};
    const struct row_key *keys[1] = {&key};
    const struct claims *c = &claims[1];
    struct store *s = township.store;
    struct row_list list;
    claim(c, 1);
    record_key_of(1, key.record_key);
    subject_key_org(&key.subject, SUBJECT_USCC, slice_str(FIRM));
    assert_ok(s->backend->rows(s->db, atomic_load(&s->generation), keys, 1,
                               rows, &why));
    claim(c, 0);
    claim(c, 2);
    assert_ok(writer_job(s, first_kept, &row, &why));
    rows_of(s, FIRM, &list);
    assert_int_equal(list.at[0].log.incarnation, 2);
    node_restart(&township);
    for (int i = 0; i < 1000 && list.at[0].log.incarnation != 1; i++) {
        (void)usleep(10000);
        rows_of(township.store, FIRM, &list);
    }
    assert_claim(c);
}

static void a_record_key_used_by_two_origins_is_two_records(void **state)
{
    (void)state;
    struct forge f;
    struct row_list list;
    struct issue_list issues;
    struct draft d = {.record = 1, .subject = FIRM, .text = "own"};
    assert_ok(submit(township.store, &d, 1, NULL));
    d.version = 9;
    assert_ok(forge_open(&f, township.store, &village, 1, NULL));
    assert_ok(forge_draft(&f, township.store, &d));
    rows_of(township.store, FIRM, &list);
    assert_int_equal(list.n, 2);
    assert_memory_equal(list.at[0].record_key, list.at[1].record_key,
                        RECORD_KEY_LEN);
    assert_int_equal(list.at[0].log.origin, TOWNSHIP);
    assert_int_equal(list.at[0].version, 1);
    assert_int_equal(list.at[1].log.origin, VILLAGE);
    assert_int_equal(list.at[1].version, 9);
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, 0);
}

static void the_longest_subject_is_found(void **state)
{
    (void)state;
    char subject[SUBJECT_KEY_MAX + 1];
    struct row_list list;
    struct issue_list issues;
    struct forge f;
    struct draft d = {
        .record = 1, .subject = subject, .text = "a", .version = 1};
    memset(subject, '7', sizeof subject);
    assert_ok(forge_open(&f, township.store, &village, 1, NULL));
    subject[SUBJECT_KEY_MAX] = '\0';
    assert_ok(forge_draft(&f, township.store, &d)); /* one too long */
    subject[SUBJECT_KEY_MAX - 1] = '\0';
    assert_ok(forge_draft(&f, township.store, &d));
    rows_of(township.store, subject, &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.at[0].number, 3);
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, 1);
    assert_int_equal(issues.at[0].number, 2);
}

/* ---- poison ---- */

static void append_odd(struct forge *f, const struct entry *e, size_t cut)
{
    struct buf bytes = BUF_INIT;
    entry_encode(e, &bytes);
    assert_ok(
        forge_bytes(f, township.store, slice_of(bytes.data, bytes.len - cut)));
    buf_fini(&bytes);
}

static void poison_never_stops_a_log(void **state)
{
    (void)state;
    static const struct {
        struct entry e;
        size_t cut;
        enum entry_effect effect;
    } odd[] = {
        {{.type = 77}, 0, EFFECT_UNINDEXED},
        {{.type = ENTRY_MARK}, 0, EFFECT_UNINDEXED},
        {{.type = ENTRY_OPEN}, 0, EFFECT_VOID},
        {{.type = ENTRY_KEY}, 0, EFFECT_VOID},
        {{.type = ENTRY_RECORD, .version = 1}, 1, EFFECT_VOID},
        {{.type = ENTRY_RECORD, .version = 1}, 0, EFFECT_UNINDEXED},
        {{.type = ENTRY_RECORD, .version = 1, .subject_kind = SUBJECT_USCC},
         0,
         EFFECT_VOID},
        {{.type = ENTRY_RECORD,
          .version = 1,
          .status = 200,
          .subject_kind = SUBJECT_USCC,
          .subject = {(const uint8_t *)FIRM, sizeof FIRM - 1}},
         0,
         EFFECT_UNINDEXED},
        {{.type = ENTRY_RECORD,
          .version = 1,
          .disclosure = 9,
          .subject_kind = SUBJECT_USCC,
          .subject = {(const uint8_t *)FIRM, sizeof FIRM - 1}},
         0,
         EFFECT_UNINDEXED},
        {{.type = ENTRY_RECORD,
          .version = 0,
          .subject_kind = SUBJECT_USCC,
          .subject = {(const uint8_t *)FIRM, sizeof FIRM - 1}},
         0,
         EFFECT_VOID},
        {{.type = ENTRY_RECORD,
          .version = 1,
          .subject_kind = SUBJECT_PERSON,
          .subject = {(const uint8_t *)PERSON, sizeof PERSON - 1}},
         0,
         EFFECT_VOID},
        {{.type = ENTRY_RECORD, /* a person on the place of a firm */
          .version = 1,
          .subject_kind = SUBJECT_USCC,
          .subject = {(const uint8_t *)CITIZEN, sizeof CITIZEN - 1}},
         0,
         EFFECT_VOID},
    };
    struct forge f;
    struct issue_list issues;
    struct draft good = {
        .record = 5, .subject = FIRM, .text = "a", .version = 1};
    assert_ok(forge_open(&f, township.store, &village, 1, NULL));
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        append_odd(&f, &odd[i].e, odd[i].cut);
    }
    assert_ok(forge_draft(&f, township.store, &good));
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, ARRAY_LEN(odd));
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        assert_int_equal(issues.at[i].number, i + 2);
        assert_int_equal(issues.at[i].effect, odd[i].effect);
        assert_true(issues.at[i].reason[0] != '\0');
    }
    struct row_list list;
    rows_of(township.store, FIRM, &list);
    assert_int_equal(list.n, 1);
    node_restart(&township);
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, ARRAY_LEN(odd));
}

/* ---- persons ---- */

/* A draft about a person, sealed by the village. */
static void person_draft(struct buf *out, uint32_t record)
{
    uint8_t aad[RECORD_AAD_LEN];
    struct buf sealed = BUF_INIT;
    struct entry e = {.type = ENTRY_RECORD,
                      .flags = ENTRY_FLAG_SEALED,
                      .disclosure = DISCLOSURE_AUTHORISED,
                      .subject_kind = SUBJECT_PERSON,
                      .item = 8};
    record_key_of(record, e.record_key);
    record_aad(VILLAGE, e.record_key, RECORD_SUBJECT_FIELD, aad);
    assert_ok(keyring_seal(village.keyring, slice_of(aad, sizeof aad),
                           slice_str(PERSON), &sealed));
    e.subject = buf_slice(&sealed);
    entry_encode(&e, out);
    buf_fini(&sealed);
}

static void submit_person(uint32_t record)
{
    struct buf draft = BUF_INIT;
    person_draft(&draft, record);
    struct slice s = buf_slice(&draft);
    assert_ok(submit_bytes(village.store, &s, 1, NULL));
    buf_fini(&draft);
}

/* The village wraps its key to the township's sealing certificate. */
static void submit_wraps(void)
{
    struct buf entries = BUF_INIT;
    size_t n;
    const struct cert *holder = township.seal.cert;
    keyring_wraps_for(village.keyring, holder, clock_wall_ms(), &entries, &n);
    assert_int_equal(n, 1);
    struct slice s = slice_of(entries.data + 4, be_get32(entries.data));
    assert_ok(submit_bytes(village.store, &s, 1, NULL));
    assert_ok(keyring_wrapped(village.keyring, buf_slice(&entries)));
    buf_fini(&entries);
}

static size_t person_rows(struct node *n)
{
    struct subject_key key;
    struct row_list list = {.n = 0};
    assert_ok(subject_key_person(n->keyring, slice_str(PERSON), &key));
    assert_ok(store_subject(n->store, &key, on_list_row, &list));
    return list.n;
}

static void a_person_is_found_by_a_token_of_each_holder(void **state)
{
    (void)state;
    struct subject_key a;
    struct subject_key b;
    struct log_id log = store_own_log(village.store);
    submit_wraps();
    submit_person(1);
    submit_person(2);
    assert_int_equal(person_rows(&village), 2);
    copy_log(village.store, township.store, &log);
    assert_int_equal(person_rows(&township), 2);
    assert_ok(subject_key_person(village.keyring, slice_str(PERSON), &a));
    assert_ok(subject_key_person(township.keyring, slice_str(PERSON), &b));
    assert_memory_not_equal(a.b, b.b, a.len);
}

static void wait_for_person_rows(struct node *n, size_t want)
{
    WAIT_FOR(person_rows(n) == want);
}

static void records_that_came_before_their_key_are_judged_again(void **state)
{
    (void)state;
    struct issue_list issues;
    struct log_id log = store_own_log(village.store);
    for (uint32_t i = 0; i < 30; i++) {
        submit_person(i);
    }
    copy_log(village.store, township.store, &log);
    assert_int_equal(person_rows(&township), 0);
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, 30);
    assert_int_equal(issues.at[0].effect, EFFECT_UNINDEXED);
    submit_wraps();
    copy_log(village.store, township.store, &log);
    wait_for_person_rows(&township, 30);
    issues_of(township.store, &issues);
    assert_int_equal(issues.n, 0);
    node_restart(&township);
    assert_int_equal(person_rows(&township), 30);
}

static void a_draft_that_cannot_be_opened_here_is_refused(void **state)
{
    (void)state;
    struct buf draft = BUF_INIT;
    person_draft(&draft, 1);
    struct slice s = buf_slice(&draft);
    assert_int_equal(submit_bytes(township.store, &s, 1, NULL), ERR_SEALED);
    buf_fini(&draft);
}

/* ---- rebuilding ---- */

struct all_rows {
    struct buf text;
};

static bool on_any_row(void *ctx, const struct store_row *row)
{
    struct all_rows *all = ctx;
    char log[LOG_ID_TEXT_MAX];
    log_id_format(&row->log, log);
    buf_putf(&all->text, "%02x%02x %s %llu v%u item %u\n", row->record_key[0],
             row->record_key[7], log, (unsigned long long)row->number,
             row->version, row->item);
    return true;
}

static void list_index(struct node *n, struct all_rows *all)
{
    struct subject_key key;
    buf_clear(&all->text);
    for (unsigned i = 0; i < 40; i++) {
        char subject[32];
        (void)snprintf(subject, sizeof subject, "9134182100%08u", i);
        subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
        assert_ok(store_subject(n->store, &key, on_any_row, all));
    }
    assert_ok(subject_key_person(n->keyring, slice_str(PERSON), &key));
    assert_ok(store_subject(n->store, &key, on_any_row, all));
}

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    uint64_t *last = ctx;
    assert_true(done >= *last && done <= total);
    *last = done;
    return true;
}

static void a_rebuilt_index_is_the_same(void **state)
{
    (void)state;
    struct all_rows before = {BUF_INIT};
    struct all_rows after = {BUF_INIT};
    struct issue_list issues;
    struct log_id log = store_own_log(village.store);
    uint64_t last = 0;
    struct draft odd = {.record = 900, .subject = FIRM, .text = "x"};
    struct forge f;
    submit_wraps();
    submit_many(village.store, 0, 500);
    submit_many(village.store, 100, 50); /* unchanged */
    submit_person(7);
    copy_log(village.store, township.store, &log);
    assert_ok(forge_open(&f, township.store, &village, 99, NULL));
    assert_ok(forge_draft(&f, township.store, &odd)); /* version 0: void */
    list_index(&township, &before);
    for (int round = 0; round < 2; round++) {
        last = 0;
        assert_ok(store_reindex(township.store, on_progress, &last, NULL));
        assert_int_equal(last, 506);
        list_index(&township, &after);
        assert_true(slice_eq(buf_slice(&before.text), buf_slice(&after.text)));
        issues_of(township.store, &issues);
        assert_int_equal(issues.n, 1);
    }
    node_restart(&township);
    list_index(&township, &after);
    assert_true(slice_eq(buf_slice(&before.text), buf_slice(&after.text)));
    buf_fini(&before.text);
    buf_fini(&after.text);
}

/* ---- the keyring ---- */

static bool has_other_keyring(void)
{
    struct store_stats stats;
    store_stats(village.store, &stats);
    return stats.other_keyring;
}

/* With what is there instead of the secret. */
static void open_with_keys(const char *change)
{
    struct errmsg why;
    node_stop(&village);
    keyring_free(&village.keyring);
    shell("cd %s && %s", village.keys, change);
    assert_ok(keyring_open(&village.keyring, village.keys, test_suite(),
                           VILLAGE, &village.seal, &why));
    node_start(&village);
}

static void a_lost_secret_is_said_until_the_index_is_made_anew(void **state)
{
    (void)state;
    submit_person(1);
    assert_int_equal(person_rows(&village), 1);
    assert_false(has_other_keyring());
    open_with_keys("mv secret secret.kept");
    assert_true(has_other_keyring());
    assert_int_equal(person_rows(&village), 0);
    open_with_keys("mv secret secret.new && mv secret.kept secret");
    assert_false(has_other_keyring());
    assert_int_equal(person_rows(&village), 1);
    open_with_keys("mv secret.new secret");
    assert_true(has_other_keyring());
    assert_ok(store_reindex(village.store, NULL, NULL, NULL));
    assert_false(has_other_keyring());
    assert_int_equal(person_rows(&village), 1);
    node_restart(&village);
    assert_false(has_other_keyring());
}

/* ---- successors of other nodes' logs ---- */

static void a_named_predecessor_may_not_grow_past_its_end(void **state)
{
    (void)state;
    struct forge old;
    struct forge next;
    struct store_head head;
    struct draft d = {.record = 1, .subject = FIRM, .text = "a", .version = 1};
    assert_ok(forge_open(&old, township.store, &village, 1, NULL));
    assert_ok(forge_draft(&old, township.store, &d));
    struct frontier end = old.frontier;
    struct entry_open open = {.prev_incarnation = 1, .prev_size = 3};
    d.record = 2;
    struct buf entry = BUF_INIT;
    struct hash leaf;
    struct hash root;
    draft_put(&entry, &d);
    suite_hash_leaf(test_suite(), buf_slice(&entry), &leaf);
    frontier_append(&end, test_suite(), &leaf, NULL, NULL);
    frontier_root(&end, test_suite(), &root);
    memcpy(open.prev_root, root.b, HASH_LEN);
    assert_ok(forge_open(&next, township.store, &village, 2, &open));
    assert_ok(forge_bytes(&old, township.store, buf_slice(&entry)));
    d.record = 3;
    assert_int_equal(forge_draft(&old, township.store, &d), ERR_FORKED);
    assert_ok(store_head(township.store, &old.log, &head));
    assert_int_equal(head.state, LOG_FORKED);
    assert_int_equal(head.frontier.size, 3);
    d.record = 4;
    assert_ok(forge_draft(&next, township.store, &d));
    buf_fini(&entry);
}

/* A log of three entries, of which the first `held` are stored; ends[n] names
 * its first n as what a successor follows. */
struct ended {
    struct forge log;
    struct buf entry[3];
    struct entry_open ends[4];
};

static void ended_new(struct ended *e, size_t held)
{
    struct draft d = {.subject = FIRM, .text = "a", .version = 1};
    struct hash root;
    *e = (struct ended){.log = {.signer = NULL}};
    assert_ok(forge_open(&e->log, township.store, &village, 1, NULL));
    struct frontier f = e->log.frontier;
    for (uint32_t n = 1; n < 4; n++) {
        if (n > 1) {
            struct hash leaf;
            d.record = n;
            draft_put(&e->entry[n - 1], &d);
            suite_hash_leaf(test_suite(), buf_slice(&e->entry[n - 1]), &leaf);
            frontier_append(&f, test_suite(), &leaf, NULL, NULL);
        }
        frontier_root(&f, test_suite(), &root);
        e->ends[n] = (struct entry_open){.prev_incarnation = 1, .prev_size = n};
        memcpy(e->ends[n].prev_root, root.b, HASH_LEN);
        if (n > 1 && n <= held) {
            assert_ok(forge_bytes(&e->log, township.store,
                                  buf_slice(&e->entry[n - 1])));
        }
    }
}

static void succeed_at(const struct ended *e, uint64_t incarnation, size_t end)
{
    struct forge next;
    assert_ok(forge_open(&next, township.store, &village, incarnation,
                         &e->ends[end]));
}

static void assert_old_log(const struct ended *e, enum log_state state,
                           uint64_t size)
{
    struct store_head head;
    assert_ok(store_head(township.store, &e->log.log, &head));
    assert_int_equal(head.state, state);
    assert_int_equal(head.frontier.size, size);
}

static void ended_fini(struct ended *e)
{
    for (size_t i = 0; i < ARRAY_LEN(e->entry); i++) {
        buf_fini(&e->entry[i]);
    }
}

/* Two processes of one node end its log, each where it knew it to end, and go
 * on elsewhere: what the later end covers and the earlier does not is signed
 * and denied by one key. */
static void of_two_ends_the_earlier_one_counts(void **state)
{
    (void)state;
    struct ended e;
    ended_new(&e, 3);
    succeed_at(&e, 2, 3);
    succeed_at(&e, 3, 3); /* what both say is no fork */
    assert_old_log(&e, LOG_ACTIVE, 3);
    succeed_at(&e, 4, 2);
    assert_old_log(&e, LOG_FORKED, 3);
    ended_fini(&e);
}

static void a_later_end_than_the_one_that_is_held_is_no_fork_yet(void **state)
{
    (void)state;
    struct ended e;
    ended_new(&e, 2);
    succeed_at(&e, 2, 2);
    succeed_at(&e, 3, 3);
    assert_old_log(&e, LOG_ACTIVE, 2);
    assert_int_equal(
        forge_bytes(&e.log, township.store, buf_slice(&e.entry[2])),
        ERR_FORKED);
    assert_old_log(&e, LOG_FORKED, 2);
    ended_fini(&e);
}

static void an_earlier_end_holds_for_what_is_still_to_come(void **state)
{
    (void)state;
    struct ended e;
    ended_new(&e, 1);
    succeed_at(&e, 2, 3);
    succeed_at(&e, 3, 2);
    node_restart(&township);
    assert_ok(forge_bytes(&e.log, township.store, buf_slice(&e.entry[1])));
    assert_old_log(&e, LOG_ACTIVE, 2);
    assert_int_equal(
        forge_bytes(&e.log, township.store, buf_slice(&e.entry[2])),
        ERR_FORKED);
    assert_old_log(&e, LOG_FORKED, 2);
    ended_fini(&e);
}

static void a_predecessor_that_is_too_long_is_forked(void **state)
{
    (void)state;
    struct forge old;
    struct forge next;
    struct store_head head;
    struct entry_open open = {.prev_incarnation = 1, .prev_size = 1};
    struct draft d = {.record = 1, .subject = FIRM, .text = "a", .version = 1};
    assert_ok(forge_open(&old, township.store, &village, 1, NULL));
    assert_ok(forge_draft(&old, township.store, &d));
    assert_ok(forge_open(&next, township.store, &village, 2, &open));
    assert_ok(store_head(township.store, &old.log, &head));
    assert_int_equal(head.state, LOG_FORKED);
}

static void an_end_is_remembered_until_its_log_comes(void **state)
{
    (void)state;
    struct forge old;
    struct forge next;
    struct store_head head;
    struct entry_open open = {.prev_incarnation = 1, .prev_size = 2};
    struct log_id log = {VILLAGE, 1, LOG_RECORDS};
    assert_ok(forge_open(&next, township.store, &village, 2, &open));
    assert_int_equal(store_head(township.store, &log, &head), ERR_NOT_FOUND);
    assert_int_equal(store_log_count(township.store), 2);
    node_restart(&township);
    struct draft d = {.record = 1, .subject = FIRM, .text = "a", .version = 1};
    assert_ok(forge_open(&old, township.store, &village, 1, NULL));
    /* Its root at 2 is not the one named. */
    assert_int_equal(forge_draft(&old, township.store, &d), ERR_FORKED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(the_highest_version_wins_in_any_order),
        T(an_equal_version_is_an_issue_and_the_first_is_kept),
        T(of_an_equal_version_the_same_is_kept_in_any_order),
        T(an_equal_version_is_judged_again_by_a_later_build),
        T(a_record_key_used_by_two_origins_is_two_records),
        T(the_longest_subject_is_found),
        T(poison_never_stops_a_log),
        T(a_person_is_found_by_a_token_of_each_holder),
        T(records_that_came_before_their_key_are_judged_again),
        T(a_draft_that_cannot_be_opened_here_is_refused),
        T(a_rebuilt_index_is_the_same),
        T(a_lost_secret_is_said_until_the_index_is_made_anew),
        T(a_named_predecessor_may_not_grow_past_its_end),
        T(of_two_ends_the_earlier_one_counts),
        T(a_later_end_than_the_one_that_is_held_is_no_fork_yet),
        T(an_earlier_end_holds_for_what_is_still_to_come),
        T(a_predecessor_that_is_too_long_is_forked),
        T(an_end_is_remembered_until_its_log_comes),
    };
    backend = fixture_backend();
    return cmocka_run_group_tests_name(backend->name, tests, fed_setup,
                                       fed_teardown);
}
