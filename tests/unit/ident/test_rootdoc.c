#include "unit/ident/federation.h"

#include "base/mem.h"
#include "ident/rootdoc.h"

#define H1 "1111111111111111111111111111111111111111111111111111111111111111"
#define H2 "2222222222222222222222222222222222222222222222222222222222222222"
#define HEAD                                                                   \
    "creditnode-root 1\nfederation demo.credit\nsuite intl\nversion 1\n"       \
    "previous none\n"
#define NEXT                                                                   \
    "creditnode-root 1\nfederation demo.credit\nsuite intl\nversion 2\n"       \
    "previous " H2 "\n"
#define CA "ca " H1 "\n"
#define ISSUER                                                                 \
    "issuer 340000000000 1 2\ndecider " H1 " Wang\ndecider " H2 " Li Si\n"

static int setup(void **state)
{
    (void)state;
    fed_open();
    run("$C/make-federation.sh fed --name demo.credit --suite gm "
        "    --issuer 000000000000:2:3 --issuer 340000000000:1:1 >hash && "
        "$C/make-federation.sh other --name demo.credit");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fed_close();
    return 0;
}

static void the_scripts_document_loads(void **state)
{
    (void)state;
    struct rootdoc *doc = NULL;
    struct errmsg why = {{0}};
    struct buf hash = BUF_INIT;
    assert_int_equal(rootdoc_load(&doc, at("fed/root-document"), &why), ERR_OK);
    assert_string_equal(rootdoc_federation(doc), "demo.credit");
    assert_int_equal(rootdoc_suite(doc), SUITE_GM);
    assert_int_equal(rootdoc_version(doc), 1);
    assert_int_equal(rootdoc_ca_count(doc), 2);
    assert_int_equal(rootdoc_issuer_count(doc), 2);
    const struct rootdoc_issuer *national = rootdoc_find_issuer(doc, 0);
    assert_ptr_equal(national, rootdoc_issuer(doc, 0));
    assert_int_equal(national->threshold, 2);
    assert_int_equal(national->count, 3);
    assert_string_equal(national->deciders[2].name, "000000000000-3");
    assert_null(rootdoc_find_issuer(doc, 341800000000));
    /* The script printed the same hash. */
    assert_int_equal(file_read(at("hash"), 256, &hash, &why), ERR_OK);
    assert_memory_equal(rootdoc_hash(doc), hash.data, 64);
    assert_int_equal(rootdoc_check(doc, rootdoc_hash(doc), &why), ERR_OK);
    buf_fini(&hash);
    rootdoc_free(&doc);
}

static void a_decider_is_known_by_the_hash_of_its_key(void **state)
{
    (void)state;
    struct rootdoc *doc = NULL;
    struct errmsg why = {{0}};
    struct key *key = NULL;
    struct hash id;
    assert_int_equal(rootdoc_load(&doc, at("fed/root-document"), &why), ERR_OK);
    assert_int_equal(
        key_load(&key, at("fed/deciders/340000000000-1.key"), &why), ERR_OK);
    suite_hash(SUITE_INTL, pubkey_spki(key_pubkey(key)), &id);
    assert_true(hash_eq(
        &rootdoc_find_issuer(doc, 340000000000)->deciders[0].key_id, &id));
    key_free(&key);
    rootdoc_free(&doc);
}

static void another_hash_is_refused_naming_both(void **state)
{
    (void)state;
    struct rootdoc *doc = NULL;
    struct errmsg why = {{0}};
    assert_int_equal(
        rootdoc_parse(&doc, slice_str(HEAD CA ISSUER), "doc", &why), ERR_OK);
    assert_int_equal(rootdoc_check(doc, H1, &why), ERR_CONF);
    assert_says(&why, rootdoc_hash(doc));
    assert_says(&why, H1);
    assert_int_equal(rootdoc_check(doc, "1234", &why), ERR_CONF);
    assert_says(&why, "not 64 hex digits");
    rootdoc_free(&doc);
}

static void a_ca_it_does_not_name_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        enum err err;
    } cases[] = {
        {"fed/ca.pem", ERR_OK},
        {"fed/signing-ca.pem", ERR_OK},
        {"with.pem", ERR_OK},
        {"mixed.pem", ERR_CONF},
        {"other/ca.pem", ERR_CONF},
        {"other/intermediate/000000000000/ca.pem", ERR_CONF},
        {"none.pem", ERR_CONF},
    };
    struct rootdoc *doc = NULL;
    struct errmsg why = {{0}};
    run("cat fed/ca.pem fed/intermediate/000000000000/ca.pem >with.pem; "
        "cat fed/ca.pem other/intermediate/000000000000/ca.pem >mixed.pem");
    assert_int_equal(rootdoc_load(&doc, at("fed/root-document"), &why), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memset(&why, 0, sizeof why);
        assert_int_equal(rootdoc_check_ca(doc, at(cases[i].file), &why),
                         cases[i].err);
        if (cases[i].err != ERR_OK) {
            assert_says(&why, cases[i].file);
        }
    }
    rootdoc_free(&doc);
}

static void remarks_and_empty_lines_are_skipped_but_hashed(void **state)
{
    (void)state;
    struct rootdoc *a = NULL;
    struct rootdoc *b = NULL;
    assert_int_equal(rootdoc_parse(&a, slice_str(HEAD CA ISSUER), "doc", NULL),
                     ERR_OK);
    assert_int_equal(rootdoc_parse(&b, slice_str(HEAD "\n# remark\n" CA ISSUER),
                                   "doc", NULL),
                     ERR_OK);
    assert_string_not_equal(rootdoc_hash(a), rootdoc_hash(b));
    assert_string_equal(rootdoc_issuer(b, 0)->deciders[1].name, "Li Si");
    rootdoc_free(&a);
    rootdoc_free(&b);
}

static void faults_are_refused_naming_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"", "doc: ends early"},
        {"creditnode-root 2\n", "doc:1: creditnode-root must be 1"},
        {"federation a\n", "doc:1: 'federation' out of order"},
        {"creditnode-root 1\nfederation Demo\n", "doc:2: federation must be"},
        {"creditnode-root 1\nfederation a/b\n", "doc:2: federation must be"},
        {"creditnode-root 1\nfederation a\nsuite sm\n", "doc:3: suite must be"},
        {"creditnode-root 1\nfederation a\nsuite gm\nversion 0\n",
         "doc:4: version must be 1 or more"},
        {"creditnode-root 1\nfederation a\nsuite gm\nversion 02\n",
         "doc:4: version must be 1 or more"},
        {"creditnode-root 1\nfederation a\nsuite gm\nversion 2\n"
         "previous none\n",
         "doc:5: previous must be the hash"},
        {"creditnode-root 1\nfederation a\nsuite gm\nversion 2\n"
         "previous 12\n",
         "doc:5: previous must be a SHA-256"},
        {"creditnode-root 1\nfederation a\nsuite gm\nversion 1\n"
         "previous " H1 "\n",
         "doc:5: previous must be none"},
        {"creditnode-root 1\nfederation a\nsuite gm\nversion 1\nprevious x\n",
         "doc:5: previous must be none in version 1"},
        {HEAD ISSUER, "doc:6: 'issuer' out of order"},
        {HEAD "ca 12\n", "doc:6: ca must be"},
        {HEAD CA, "doc: ends early"},
        {HEAD CA "issuer 34 1 2\n", "doc:7: issuer must be"},
        {HEAD CA "issuer 340000000000 3 2\n", "doc:7: issuer must be"},
        {HEAD CA "issuer 340000000000 0 2\n", "doc:7: issuer must be"},
        {HEAD CA "issuer 340000000000 1 100\n", "doc:7: issuer must be"},
        {HEAD CA "issuer 340000000000 1\n", "doc:7: issuer must be"},
        {HEAD CA "decider " H1 " a\n", "doc:7: decider is one too many"},
        {HEAD CA ISSUER "decider " H1 " a\n",
         "doc:10: decider is one too many"},
        {HEAD CA ISSUER ISSUER, "doc:10: issuer names a node twice"},
        {HEAD CA "issuer 340000000000 1 2\ndecider " H1 " a\n",
         "doc: ends early (1 deciders missing)"},
        {HEAD CA "issuer 340000000000 1 2\ndecider " H1 " a\ndecider " H1
                 " b\n",
         "doc:9: decider names a key twice"},
        {HEAD CA "issuer 340000000000 1 2\nissuer 350000000000 1 1\n",
         "doc:8: issuer comes before all deciders"},
        {HEAD CA "issuer 340000000000 1 1\ndecider " H1 "\n",
         "doc:8: decider must be"},
        {HEAD CA ISSUER CA, "doc:10: 'ca' out of order"},
        {HEAD CA ISSUER "signature x y\n", "doc:10: signature has no place"},
        {NEXT CA ISSUER "signature x y\n", "doc:10: signature must be"},
        {"# remark\n" NEXT CA ISSUER, "doc:1: must begin with"},
        {HEAD CA ISSUER "colour red\n", "doc:10: unknown line 'colour'"},
        {HEAD CA ISSUER "issuer", "doc:10: cut off"},
        {"creditnode-root 1\r\n", "plain line feeds"},
        {"creditnode-root 1\n\xff\n", "not UTF-8"},
        {HEAD CA "issuer 340000000000 1 1\ndecider " H1 " \033[2J\n",
         "plain line feeds"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rootdoc *doc = NULL;
        struct errmsg why = {{0}};
        assert_int_equal(
            rootdoc_parse(&doc, slice_str(cases[i].text), "doc", &why),
            ERR_INVALID);
        assert_null(doc);
        assert_says(&why, cases[i].says);
    }
}

#define ROOT64                                                                 \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Where former deciders' signatures end. */
static void lines_that_replace_are_read_and_judged(void **state)
{
    static const struct {
        const char *lines;
        const char *says; /* NULL: read */
    } cases[] = {
        {"replaces 000000000000000a 7 " ROOT64 "\n"
         "replaces 00000000000000aa 9 " ROOT64 "\n",
         NULL},
        {"replaces x y\n", "must be an incarnation"},
        {"replaces 0000000000000000 7 " ROOT64 "\n", "must be an incarnation"},
        {"replaces 000000000000000a 0 " ROOT64 "\n", "must be an incarnation"},
        {"replaces 000000000000000a 07 " ROOT64 "\n", "must be an incarnation"},
        {"replaces 000000000000000a 9223372036854775808 " ROOT64 "\n",
         "must be an incarnation"},
        {"replaces 000000000000000a 7 00\n", "must be an incarnation"},
        {"replaces 000000000000000a 7 " ROOT64 "\n"
         "replaces 000000000000000a 8 " ROOT64 "\n",
         "not in rising order"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rootdoc *doc = NULL;
        struct errmsg why = {{0}};
        struct buf text = BUF_INIT;
        buf_put_str(&text, NEXT CA ISSUER);
        buf_put_str(&text, cases[i].lines);
        enum err err = rootdoc_parse(&doc, buf_slice(&text), "doc", &why);
        buf_fini(&text);
        if (cases[i].says != NULL) {
            assert_int_equal(err, ERR_INVALID);
            assert_says(&why, cases[i].says);
            continue;
        }
        assert_int_equal(err, ERR_OK);
        const struct rootdoc_issuer *issuer = rootdoc_issuer(doc, 0);
        assert_int_equal(issuer->lasts_count, 2);
        assert_int_equal(rootdoc_find_last(issuer, 0xaa)->size, 9);
        assert_null(rootdoc_find_last(issuer, 0xab));
        rootdoc_free(&doc);
    }
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    struct rootdoc *doc = NULL;
    struct errmsg why = {{0}};
    struct buf text = BUF_INIT;
    buf_put_str(&text, HEAD);
    for (int i = 0; i <= ROOTDOC_CAS_MAX; i++) {
        buf_put_str(&text, CA);
    }
    assert_int_equal(rootdoc_parse(&doc, buf_slice(&text), "doc", &why),
                     ERR_INVALID);
    assert_says(&why, "doc:22: ca is one too many");
    buf_clear(&text);
    buf_put_str(&text, HEAD CA);
    for (int i = 0; i <= ROOTDOC_ISSUERS_MAX; i++) {
        buf_putf(&text, "issuer %012d 1 1\ndecider " H1 " a\n", i);
    }
    assert_int_equal(rootdoc_parse(&doc, buf_slice(&text), "doc", &why),
                     ERR_INVALID);
    assert_says(&why, "issuer is one too many");
    while (text.len <= ROOTDOC_FILE_MAX) {
        buf_put_str(&text, "# remark\n");
    }
    assert_int_equal(rootdoc_parse(&doc, buf_slice(&text), "doc", &why),
                     ERR_TOO_LARGE);
    assert_null(doc);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scripts_document_loads),
        cmocka_unit_test(a_decider_is_known_by_the_hash_of_its_key),
        cmocka_unit_test(another_hash_is_refused_naming_both),
        cmocka_unit_test(a_ca_it_does_not_name_is_refused),
        cmocka_unit_test(remarks_and_empty_lines_are_skipped_but_hashed),
        cmocka_unit_test(faults_are_refused_naming_the_line),
        cmocka_unit_test(lines_that_replace_are_read_and_judged),
        cmocka_unit_test(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
