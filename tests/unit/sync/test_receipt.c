/* Receipts: how they add up, their one text, and everything a reader must
 * refuse. */
#define FED_ISSUERS "--issuer 341821000000:1:1"

#include "issuer.h"

#include "base/file.h"
#include "ident/signature.h"
#include "sync/receipt.h"
#include "sync/receipts.h"

#include "support/scripted_backend.h"

static const struct log_id province_log = {
    340000000000, UINT64_C(0x9f86d081884c7d65), LOG_DIRECTIVES};

static struct hash root_of(uint64_t size)
{
    struct hash h;
    memset(h.b, (int)(size & 0xff), HASH_LEN);
    return h;
}

static void add(struct receipt *r, uint64_t size, uint64_t nodes)
{
    receipt_add(r, &(struct receipt_at){size, root_of(size), nodes});
}

static void miss(struct receipt *r, uint64_t code, uint64_t size,
                 uint64_t nodes)
{
    receipt_add_missing(
        r, &(struct receipt_missing){code, size, 1767225600000, nodes});
}

static struct receipt *new_receipt(uint64_t held)
{
    struct receipt *r = MEM_NEW(struct receipt);
    struct hash root = root_of(held);
    receipt_init(r, TOWNSHIP, &province_log, held, &root);
    r->at_ms = 1767225601000;
    return r;
}

/* A township at 9; one village has all, the other stopped at 7. */
static struct receipt *sample(void)
{
    struct receipt *r = new_receipt(9);
    add(r, 7, 1);
    add(r, 9, 1);
    miss(r, VILLAGE2, 7, 1);
    return r;
}

static const char sample_text[] =
    "creditnode-receipt 1\n"
    "federation anhui.test\n"
    "node 341821100000\n"
    "log 340000000000/directives/9f86d081884c7d65\n"
    "time 1767225601000\n"
    "held 9\n"
    "nodes 3\n"
    "at 9 "
    "0909090909090909090909090909090909090909090909090909090909090909 2\n"
    "at 7 "
    "0707070707070707070707070707070707070707070707070707070707070707 1\n"
    "missing 341821100202 7 1767225600000 1\n";

static void sums_are_by_size_and_root(void **state)
{
    (void)state;
    struct receipt *r = sample();
    assert_int_equal(r->nodes, 3);
    assert_int_equal(r->at_n, 2);
    assert_int_equal(r->at[0].nodes, 2);
    assert_int_equal(receipt_below(r, 9), 1);
    assert_int_equal(receipt_below(r, 7), 0);
    assert_int_equal(receipt_below(r, 10), 3);
    struct receipt_at other = {9, root_of(1), 5}; /* of another history */
    receipt_add(r, &other);
    assert_int_equal(r->at_n, 3);
    mem_free(r);
}

/* Whoever does not fit into the sizes is said to hold less, never more. */
static void too_many_sizes_say_too_little(void **state)
{
    (void)state;
    struct receipt *r = new_receipt(1000);
    for (uint64_t size = 1; size <= 40; size++) {
        add(r, size * 7 % 41, 1);
    }
    assert_int_equal(r->at_n, RECEIPT_SIZES_MAX);
    assert_int_equal(r->nodes, 41);
    assert_int_equal(r->at[RECEIPT_SIZES_MAX - 1].size, 1);
    for (uint64_t size = 1; size <= 40; size++) {
        assert_true(receipt_below(r, size) >= size - 1);
    }
    assert_int_equal(receipt_below(r, 27), 26); /* the 15 largest are exact */
    mem_free(r);
}

static void the_least_are_named(void **state)
{
    (void)state;
    struct receipt *r = new_receipt(1000);
    for (uint64_t i = 0; i < 150; i++) {
        add(r, 900 - i, 1);
        miss(r, VILLAGE + i, 900 - i, 1);
    }
    assert_int_equal(r->missing_n, RECEIPT_NAMES_MAX);
    assert_int_equal(r->missing[0].size, 751);
    assert_int_equal(r->missing[RECEIPT_NAMES_MAX - 1].size, 850);
    mem_free(r);
}

struct signing {
    struct identity id;
    struct identity other;
};

static int load_keys(void **state)
{
    struct signing *s = MEM_NEW(struct signing);
    struct node n = {.code = TOWNSHIP};
    load_identity(&n, "sign", CERT_USE_SIGN, &s->id);
    n.code = VILLAGE;
    load_identity(&n, "sign", CERT_USE_SIGN, &s->other);
    *state = s;
    return 0;
}

static int free_keys(void **state)
{
    struct signing *s = *state;
    identity_fini(&s->id);
    identity_fini(&s->other);
    mem_free(s);
    return 0;
}

static void assert_same(const struct receipt *a, const struct receipt *b)
{
    assert_int_equal(a->node, b->node);
    assert_true(log_id_eq(&a->log, &b->log));
    assert_int_equal(a->at_ms, b->at_ms);
    assert_int_equal(a->held, b->held);
    assert_int_equal(a->nodes, b->nodes);
    assert_int_equal(a->at_n, b->at_n);
    assert_int_equal(a->missing_n, b->missing_n);
    for (size_t i = 0; i < a->at_n; i++) {
        assert_int_equal(a->at[i].size, b->at[i].size);
        assert_int_equal(a->at[i].nodes, b->at[i].nodes);
        assert_true(hash_eq(&a->at[i].root, &b->at[i].root));
    }
    for (size_t i = 0; i < a->missing_n; i++) {
        assert_int_equal(a->missing[i].code, b->missing[i].code);
        assert_int_equal(a->missing[i].size, b->missing[i].size);
        assert_int_equal(a->missing[i].heard_ms, b->missing[i].heard_ms);
        assert_int_equal(a->missing[i].nodes, b->missing[i].nodes);
    }
}

static void one_text_both_ways(void **state)
{
    struct signing *s = *state;
    struct receipt *r = sample();
    struct receipt *again = MEM_NEW(struct receipt);
    struct buf text = BUF_INIT;
    struct errmsg why = {""};
    assert_ok(receipt_sign(r, FEDERATION, test_suite(), s->id.key, &text));
    assert_memory_equal(text.data, sample_text, sizeof sample_text - 1);
    assert_ok(receipt_verify(buf_slice(&text), FEDERATION, test_suite(),
                             s->id.cert, again, &why));
    assert_same(again, r);
    buf_fini(&text);
    mem_free(again);
    mem_free(r);
}

static void the_largest_fits(void **state)
{
    struct signing *s = *state;
    struct receipt *r = new_receipt(TREE_SIZE_MAX);
    struct buf text = BUF_INIT;
    struct errmsg why = {""};
    for (uint64_t i = 1; i <= 150; i++) {
        add(r, TREE_SIZE_MAX - i, 60000);
        receipt_add_missing(r, &(struct receipt_missing){VILLAGE + i,
                                                         TREE_SIZE_MAX - i,
                                                         INT64_MAX, 60000});
    }
    r->at_ms = INT64_MAX;
    assert_ok(receipt_sign(r, FEDERATION, test_suite(), s->id.key, &text));
    assert_true(text.len <= RECEIPT_MAX);
    assert_ok(receipt_verify(buf_slice(&text), FEDERATION, test_suite(),
                             s->id.cert, r, &why));
    buf_fini(&text);
    mem_free(r);
}

/* The sample with `from` replaced, signed or not as it should be. */
static enum err read_altered(const struct signing *s, const char *from,
                             const char *to, bool sign, struct errmsg *why)
{
    struct receipt *r = MEM_NEW(struct receipt);
    struct buf text = BUF_INIT;
    struct buf line = BUF_INIT;
    const char *at = strstr(sample_text, from);
    assert_non_null(at);
    buf_put(&text, sample_text, (size_t)(at - sample_text));
    buf_put_str(&text, to);
    buf_put_str(&text, at + strlen(from));
    assert_ok(signature_put(s->id.key, test_suite(),
                            sign ? buf_slice(&text) : slice_str(sample_text),
                            &line));
    buf_put_slice(&text, buf_slice(&line));
    enum err err = receipt_verify(buf_slice(&text), FEDERATION, test_suite(),
                                  s->id.cert, r, why);
    buf_fini(&line);
    buf_fini(&text);
    mem_free(r);
    return err;
}

static void what_breaks_a_rule_is_refused(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        const char *says;
    } cases[] = {
        {"receipt 1", "receipt 2", "line 1: creditnode-receipt"},
        {"anhui.test", "other", "line 2: federation"},
        {"node 341821100000", "node 34182110000", "line 3: node"},
        {"/directives/", "/records/", "line 4: log"},
        {"time 1767225601000", "time -1", "line 5: time"},
        {"time 1767225601000", "time 01767225601000", "the one way"},
        {"held 9\n", "", "line 6: must be `held`"},
        {"nodes 3", "nodes 0", "line 7: nodes"},
        {"nodes 3", "nodes 4", "not the sum"},
        {" 2\n", " 0\n", "line 8: at"},
        {"at 7", "at 10", "line 9: at"},
        {"at 9 09", "at 9 9", "line 8: at"},
        {"202 7", "202 9", "line 10: missing"},
        {"1767225600000 1", "1767225600000 2", "names more nodes"},
        {"missing", "absent", "signature"},
        {"held 9", "held 9 9", "line 6: held"},
        {"held 9", "held 18446744073709551615", "line 6: held"},
    };
    struct signing *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errmsg why = {""};
        enum err err = read_altered(s, cases[i].from, cases[i].to, true, &why);
        if (err != ERR_INVALID || strstr(why.text, cases[i].says) == NULL) {
            fail_msg("%s -> %s: %s: %s", cases[i].from, cases[i].to,
                     err_name(err), why.text);
        }
    }
}

static void only_the_node_itself_signs(void **state)
{
    struct signing *s = *state;
    struct receipt *r = sample();
    struct receipt *out = MEM_NEW(struct receipt);
    struct buf text = BUF_INIT;
    struct errmsg why = {""};
    assert_int_equal(read_altered(s, "held 9", "held 8", false, &why),
                     ERR_BAD_SIGNATURE);
    assert_ok(receipt_sign(r, FEDERATION, test_suite(), s->other.key, &text));
    assert_int_equal(receipt_verify(buf_slice(&text), FEDERATION, test_suite(),
                                    s->id.cert, out, &why),
                     ERR_DENIED);
    assert_int_equal(receipt_verify(buf_slice(&text), FEDERATION, test_suite(),
                                    s->other.cert, out, &why),
                     ERR_DENIED);
    for (size_t cut = 0; cut < text.len; cut++) {
        assert_int_not_equal(receipt_verify(slice_of(text.data, cut),
                                            FEDERATION, test_suite(),
                                            s->other.cert, out, &why),
                             ERR_OK);
    }
    buf_fini(&text);
    mem_free(out);
    mem_free(r);
}

/* ---- what is kept of a child ---- */

static struct log_id log_at(uint64_t incarnation)
{
    return (struct log_id){340000000000, incarnation, LOG_DIRECTIVES};
}

/* Takes the receipt. */
static void say(struct receipts *rs, const struct signing *s, struct receipt *r)
{
    struct buf text = BUF_INIT;
    struct errmsg why = {""};
    assert_ok(receipt_sign(r, FEDERATION, test_suite(), s->id.key, &text));
    if (receipts_came(rs, cert_principal(s->id.cert), buf_slice(&text),
                      buf_slice(&s->id.chain), &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    buf_fini(&text);
    mem_free(r);
}

static void tell(struct receipts *rs, const struct signing *s,
                 uint64_t incarnation)
{
    struct receipt *r = new_receipt(9);
    r->log = log_at(incarnation);
    say(rs, s, r);
}

static unsigned receipts_in(const char *path)
{
    static const char begin[] = "creditnode-receipt 1\n";
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    unsigned n = 0;
    assert_ok(file_read(path, 64 << 20, &bytes, &why));
    for (size_t i = 0; i + sizeof begin - 1 <= bytes.len; i++) {
        n += memcmp(bytes.data + i, begin, sizeof begin - 1) == 0;
    }
    buf_fini(&bytes);
    return n;
}

static bool file_names(const char *path, uint64_t incarnation)
{
    char name[LOG_ID_TEXT_MAX];
    struct log_id log = log_at(incarnation);
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    log_id_format(&log, name);
    assert_ok(file_read(path, 64 << 20, &bytes, &why));
    bool found = memmem(bytes.data, bytes.len, name, strlen(name)) != NULL;
    buf_fini(&bytes);
    return found;
}

static void free_receipts(void *ctx)
{
    receipts_free(ctx);
}

/* The number of a log is free, and nobody need hold it. */
static void of_a_child_no_more_logs_are_kept_than_a_node_follows(void **state)
{
    struct signing *s = *state;
    struct node *county = node_new(COUNTY, "c1");
    char path[160];
    (void)snprintf(path, sizeof path, "%s/receipts", fed_dir);
    struct receipts *rs = receipts_new(&county->env, path);
    for (uint64_t i = 1; i <= 3 * LISTS_LOGS_MAX; i++) {
        tell(rs, s, i);
        tell(rs, s, 1);
    }
    on_loop(free_receipts, &rs);
    assert_int_equal(receipts_in(path), LISTS_LOGS_MAX);
    assert_true(file_names(path, 1));
    assert_true(file_names(path, 3 * LISTS_LOGS_MAX));
    assert_false(file_names(path, 2));
    /* And it is read again. */
    rs = receipts_new(&county->env, path);
    assert_int_equal(count_lines("RECEIPTS-LOAD", county->name), 0);
    tell(rs, s, 1);
    on_loop(free_receipts, &rs);
    assert_int_equal(receipts_in(path), LISTS_LOGS_MAX);
    node_free(county);
}

/* ---- while the log is read ---- */

enum { HELD = 16 }; /* a whole subtree, which the database has */

static struct receipts *of_county;
static atomic_uint reads;

/* As the store's writer and the loop come in at that moment: a lock that is
 * held now holds them up as long as the database takes. */
static void on_read(void)
{
    atomic_fetch_add(&reads, 1);
    receipts_changed(of_county);
    (void)receipts_disagree(of_county);
}

static void ignore_node(void *ctx, const struct receipts_node *node)
{
    (void)ctx;
    (void)node;
}

/* The township says that it holds HELD entries of the county's log. */
static void hold(const struct signing *s, const struct log_id *log,
                 const struct hash *root)
{
    struct receipt *r = MEM_NEW(struct receipt);
    receipt_init(r, TOWNSHIP, log, HELD, root);
    r->at_ms = clock_wall_ms();
    say(of_county, s, r);
}

static uint64_t reached(const struct log_id *log, uint64_t number)
{
    struct receipts_sum sum;
    assert_ok(receipts_judge(of_county, log, number, ignore_node, NULL, &sum));
    assert_int_equal(sum.nodes, 2);
    return sum.reached;
}

static void no_lock_is_held_while_the_log_is_read(void **state)
{
    struct signing *s = *state;
    struct backend backend = scripted(&store_rocksdb);
    struct node *county = node_new(COUNTY, "c2");
    struct store_head head;
    struct hash root;
    char path[160];
    node_stop(county);
    county->backend = &backend;
    node_start(county);
    struct log_id log = decide(county, HELD + 4, 1);
    assert_ok(store_head(county->store, &log, &head));
    struct tree_view view = store_view(county->store, &head);
    assert_ok(tree_root(&view, HELD, &root));
    (void)snprintf(path, sizeof path, "%s/receipts-2", fed_dir);
    of_county = receipts_new(&county->env, path);
    atomic_store(&script.reading, on_read);
    hold(s, &log, &root);
    assert_true(atomic_load(&reads) > 0);
    assert_int_equal(reached(&log, HELD), 2);
    assert_int_equal(reached(&log, HELD + 1), 1);
    root.b[0] ^= 1;
    hold(s, &log, &root);
    assert_int_equal(receipts_disagree(of_county), 1);
    assert_int_equal(reached(&log, HELD), 1);
    atomic_store(&script.reading, NULL);
    on_loop(free_receipts, &of_county);
    node_free(county);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_by_size_and_root),
        cmocka_unit_test(too_many_sizes_say_too_little),
        cmocka_unit_test(the_least_are_named),
        cmocka_unit_test_setup_teardown(one_text_both_ways, load_keys,
                                        free_keys),
        cmocka_unit_test_setup_teardown(the_largest_fits, load_keys, free_keys),
        cmocka_unit_test_setup_teardown(what_breaks_a_rule_is_refused,
                                        load_keys, free_keys),
        cmocka_unit_test_setup_teardown(only_the_node_itself_signs, load_keys,
                                        free_keys),
        cmocka_unit_test_setup_teardown(
            of_a_child_no_more_logs_are_kept_than_a_node_follows, load_keys,
            free_keys),
        cmocka_unit_test_setup_teardown(no_lock_is_held_while_the_log_is_read,
                                        load_keys, free_keys),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
