#include "unit/ident/federation.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ident/ident.h"

#define INTER "fed/intermediate/340000000000/ca"

enum { DAY_MS = 86400000 };

static struct trust *intl;
static struct trust *gm;

static struct trust *open_trust(enum suite suite, const char *federation,
                                const char *ca, const char *revoked)
{
    struct trust *trust = NULL;
    struct errmsg why = {{0}};
    enum err err = trust_open(&trust, suite, federation, at(ca),
                              revoked != NULL ? at(revoked) : NULL, &why);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "%s\n", why.text);
    }
    assert_int_equal(err, ERR_OK);
    return trust;
}

static int setup(void **state)
{
    (void)state;
    fed_open();
    run("$C/make-federation.sh fed --name demo.credit "
        "    --province 340000000000 && "
        "$C/make-federation.sh sm --name demo.gm --suite gm && "
        "$C/make-federation.sh other --name demo.credit && "
        "$C/make-node.sh fed a --tier city --code 341800000000 && "
        "$C/make-node.sh fed b --tier county --code 341821000000 && "
        "$C/make-node.sh fed old --tier county --code 341821000000 "
        "    --not-after 2020-02-01 && "
        "$C/make-node.sh sm g --tier city --code 341800000000 && "
        "$C/make-node.sh other x --tier city --code 341800000000");
    intl = open_trust(SUITE_INTL, "demo.credit", "fed/ca.pem", "fed/revoked");
    gm = open_trust(SUITE_GM, "demo.gm", "sm/signing-ca.pem", "sm/revoked");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    trust_free(&intl);
    trust_free(&gm);
    fed_close();
    return 0;
}

static enum err check(struct trust *trust, const char *pem, enum cert_use use,
                      int64_t at_ms, struct errmsg *why)
{
    struct buf chain = BUF_INIT;
    struct cert *cert = NULL;
    put_chain(pem, &chain);
    memset(why, 0, sizeof *why);
    enum err err =
        trust_check(trust, buf_slice(&chain), use, at_ms, &cert, why);
    assert_true((err == ERR_OK) == (cert != NULL));
    cert_free(&cert);
    buf_fini(&chain);
    return err;
}

static void assert_refused(struct trust *trust, const char *pem,
                           enum cert_use use, int64_t at_ms, const char *says)
{
    struct errmsg why;
    assert_int_equal(check(trust, pem, use, at_ms, &why), ERR_UNAUTHENTICATED);
    assert_says(&why, says);
}

static void assert_accepted(struct trust *trust, const char *pem,
                            enum cert_use use, int64_t at_ms)
{
    struct errmsg why;
    enum err err = check(trust, pem, use, at_ms, &why);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "%s\n", why.text);
    }
    assert_int_equal(err, ERR_OK);
}

/* What a node signs, another verifies by nothing but the wire form. */
static void check_identity(struct trust *trust, const char *cert_path,
                           const char *key_path)
{
    struct identity id;
    struct cert *cert = NULL;
    struct errmsg why = {{0}};
    struct buf sig = BUF_INIT;
    enum suite suite = trust_suite(trust);
    struct hash key_id;
    assert_int_equal(identity_load(&id, trust, CERT_USE_SIGN, at(cert_path),
                                   at(key_path), &why),
                     ERR_OK);
    assert_true(id.chain.len <= CERT_CHAIN_MAX);
    assert_int_equal(trust_check(trust, buf_slice(&id.chain), CERT_USE_SIGN,
                                 clock_wall_ms(), &cert, &why),
                     ERR_OK);
    assert_int_equal(cert_principal(cert)->code, 341800000000);
    assert_string_equal(cert_principal(cert)->federation,
                        trust_federation(trust));
    suite_hash(SUITE_INTL, pubkey_spki(cert_pubkey(cert)), &key_id);
    assert_memory_equal(cert_key_id(cert), key_id.b, HASH_LEN);
    assert_int_equal(key_sign(id.key, suite, slice_str("m"), &sig), ERR_OK);
    assert_int_equal(pubkey_verify(cert_pubkey(cert), suite, slice_str("m"),
                                   buf_slice(&sig)),
                     ERR_OK);
    buf_fini(&sig);
    cert_free(&cert);
    identity_fini(&id);
}

static void an_identity_is_verified_by_its_wire_form(void **state)
{
    (void)state;
    check_identity(intl, "a/sign.pem", "a/sign.key");
    check_identity(gm, "g/sign.pem", "g/sign.key");
}

static void a_sealing_certificate_takes_wrapped_keys(void **state)
{
    (void)state;
    struct identity id;
    struct errmsg why = {{0}};
    uint8_t key[SEAL_KEY_LEN] = {9};
    uint8_t back[SEAL_KEY_LEN];
    struct buf w = BUF_INIT;
    assert_int_equal(identity_load(&id, gm, CERT_USE_SEAL, at("g/seal.pem"),
                                   at("g/seal.key"), &why),
                     ERR_OK);
    assert_int_equal(
        pubkey_wrap(cert_pubkey(id.cert), SUITE_GM, key, slice_str("i"), &w),
        ERR_OK);
    assert_int_equal(
        key_unwrap(id.key, SUITE_GM, buf_slice(&w), slice_str("i"), back),
        ERR_OK);
    assert_memory_equal(back, key, sizeof key);
    buf_fini(&w);
    identity_fini(&id);
}

static void another_ca_of_the_same_name_is_unknown(void **state)
{
    (void)state;
    assert_refused(intl, "x/sign.pem", CERT_USE_SIGN, 0, "unknown CA");
    assert_refused(gm, "a/sign.pem", CERT_USE_SIGN, 0, "unknown CA");
    assert_refused(intl, "g/sign.pem", CERT_USE_SIGN, 0, "unknown CA");
}

static void a_certificate_counts_at_the_time_asked_for(void **state)
{
    (void)state;
    static const int64_t feb_2020_ms = 1580515200000;
    struct errmsg why;
    assert_refused(intl, "old/sign.pem", CERT_USE_SIGN, clock_wall_ms(),
                   "expired at 2020-02-01T00:00:00Z; renew it");
    assert_refused(intl, "a/sign.pem", CERT_USE_SIGN, feb_2020_ms,
                   "is not valid before");
    assert_accepted(intl, "old/sign.pem", CERT_USE_SIGN, 0);
    assert_accepted(intl, "a/sign.pem", CERT_USE_SIGN, clock_wall_ms());
    /* Its issuer is younger than it, so no time fits the whole chain. */
    assert_int_equal(
        check(intl, "old/sign.pem", CERT_USE_SIGN, feb_2020_ms - 1000, &why),
        ERR_UNAUTHENTICATED);
    assert_refused(intl, "a/sign.pem", CERT_USE_SIGN,
                   clock_wall_ms() + (int64_t)400 * DAY_MS, "expired at");
}

static void a_certificate_of_another_use_is_refused(void **state)
{
    (void)state;
    assert_refused(intl, "a/seal.pem", CERT_USE_SIGN, 0,
                   "a sign.pem is needed");
    assert_refused(intl, "a/sign.pem", CERT_USE_SEAL, 0,
                   "a seal.pem is needed");
    assert_refused(intl, "a/tls.pem", CERT_USE_SIGN, 0, "a sign.pem is needed");
}

static void another_federation_is_refused(void **state)
{
    (void)state;
    struct trust *trust =
        open_trust(SUITE_INTL, "demo.other", "fed/ca.pem", NULL);
    assert_refused(trust, "a/sign.pem", CERT_USE_SIGN, 0,
                   "another federation: this node is of demo.other");
    trust_free(&trust);
}

static void a_certificate_with_odd_names_is_refused(void **state)
{
    (void)state;
    issue_odd("fed", INTER, "twice", "sign",
              "URI:spiffe://demo.credit/city/341800000000,"
              "URI:spiffe://demo.credit/city/110000000000");
    assert_refused(intl, "twice.pem", CERT_USE_SIGN, 0, "2 URI names");
    issue_odd("fed", INTER, "crooked", "sign",
              "URI:spiffe://demo.credit/city/3418");
    assert_refused(intl, "crooked.pem", CERT_USE_SIGN, 0, "12-digit-code");
    issue_odd("fed", INTER, "app", "sign", "URI:spiffe://demo.credit/app/x");
    assert_refused(intl, "app.pem", CERT_USE_SIGN, 0, "is not a node's");
}

static void a_node_cannot_issue_certificates(void **state)
{
    (void)state;
    issue_odd("fed", "a/sign", "child", "sign",
              "URI:spiffe://demo.credit/city/341800000000");
    assert_refused(intl, "child.pem", CERT_USE_SIGN, 0, "refused:");
}

static void a_key_of_another_suite_is_refused(void **state)
{
    (void)state;
    struct trust *trust = open_trust(SUITE_GM, "demo.gm", "sm/ca.pem", NULL);
    issue_odd("sm", "sm/intermediate/340000000000/ca", "p256", "sign",
              "URI:spiffe://demo.gm/city/341800000000");
    assert_refused(trust, "p256.pem", CERT_USE_SIGN, 0,
                   "is of suite intl, the federation's is gm");
    trust_free(&trust);
}

static void a_broken_signature_is_refused(void **state)
{
    (void)state;
    static const char *const pems[] = {"a/sign.pem", "g/sign.pem"};
    struct trust *trusts[] = {intl, gm};
    for (size_t i = 0; i < ARRAY_LEN(pems); i++) {
        struct buf chain = BUF_INIT;
        struct cert *cert = NULL;
        struct errmsg why = {{0}};
        put_chain(pems[i], &chain);
        /* The last byte of the leaf is of its signature. */
        size_t end = 4 + be_get32(chain.data);
        chain.data[end - 1] ^= 1;
        assert_int_equal(trust_check(trusts[i], buf_slice(&chain),
                                     CERT_USE_SIGN, 0, &cert, &why),
                         ERR_UNAUTHENTICATED);
        assert_says(&why, "signature failure");
        buf_fini(&chain);
    }
}

static void a_malformed_chain_is_refused(void **state)
{
    (void)state;
    struct buf chain = BUF_INIT;
    struct cert *cert = NULL;
    struct errmsg why = {{0}};
    put_chain("a/sign.pem", &chain);
    for (size_t len = 0; len < chain.len; len += 7) {
        enum err err = trust_check(intl, slice_of(chain.data, len),
                                   CERT_USE_SIGN, 0, &cert, &why);
        assert_int_equal(err, ERR_UNAUTHENTICATED);
        assert_null(cert);
    }
    while (chain.len <= CERT_CHAIN_MAX) {
        put_chain("a/sign.pem", &chain);
    }
    assert_int_equal(
        trust_check(intl, buf_slice(&chain), CERT_USE_SIGN, 0, &cert, &why),
        ERR_UNAUTHENTICATED);
    assert_says(&why, "malformed or longer");
    buf_fini(&chain);
}

static void revoked_certificates_are_refused_after_reload(void **state)
{
    (void)state;
    struct errmsg why = {{0}};
    struct trust *trust = NULL;
    run("cp fed/revoked list");
    trust = open_trust(SUITE_INTL, "demo.credit", "fed/ca.pem", "list");
    assert_accepted(trust, "b/sign.pem", CERT_USE_SIGN, 0);
    run("$C/revoke.sh list b/sign.pem x/sign.pem --reason 'key lost'");
    assert_accepted(trust, "b/sign.pem", CERT_USE_SIGN, 0);
    assert_int_equal(trust_reload(trust, &why), ERR_OK);
    assert_refused(trust, "b/sign.pem", CERT_USE_SIGN, 0, "was revoked");
    assert_accepted(trust, "b/seal.pem", CERT_USE_SEAL, 0);
    /* One revoked intermediate takes all below it along. */
    run("$C/revoke.sh list " INTER ".pem");
    assert_int_equal(trust_reload(trust, &why), ERR_OK);
    assert_refused(trust, "a/sign.pem", CERT_USE_SIGN, 0, "was revoked");
    trust_free(&trust);
}

static void a_list_that_was_not_there_before_counts_after_reload(void **state)
{
    (void)state;
    struct errmsg why = {{0}};
    struct trust *trust = NULL;
    run("cp fed/revoked list; $C/revoke.sh list b/sign.pem");
    trust = open_trust(SUITE_INTL, "demo.credit", "fed/ca.pem", NULL);
    assert_accepted(trust, "b/sign.pem", CERT_USE_SIGN, 0);
    trust_set_revoked(trust, at("none"));
    assert_int_equal(trust_reload(trust, &why), ERR_CONF);
    assert_accepted(trust, "b/sign.pem", CERT_USE_SIGN, 0);
    trust_set_revoked(trust, at("list"));
    assert_int_equal(trust_reload(trust, &why), ERR_OK);
    assert_refused(trust, "b/sign.pem", CERT_USE_SIGN, 0, "was revoked");
    trust_set_revoked(trust, NULL);
    assert_int_equal(trust_reload(trust, &why), ERR_OK);
    assert_accepted(trust, "b/sign.pem", CERT_USE_SIGN, 0);
    trust_free(&trust);
}

static void a_broken_file_leaves_the_old_trust(void **state)
{
    (void)state;
    struct errmsg why = {{0}};
    struct trust *trust = NULL;
    run("cp fed/revoked list; $C/revoke.sh list b/sign.pem; cp fed/ca.pem cas");
    trust = open_trust(SUITE_INTL, "demo.credit", "cas", "list");
    run("printf '12ab\\n' >>list");
    assert_int_equal(trust_reload(trust, &why), ERR_CONF);
    assert_says(&why, "list:3: not a SHA-256 fingerprint");
    assert_refused(trust, "b/sign.pem", CERT_USE_SIGN, 0, "was revoked");
    run("printf '# x\\0\\n' | cat - fed/revoked >list");
    assert_int_equal(trust_reload(trust, &why), ERR_CONF);
    assert_says(&why, "holds a NUL byte");
    run("rm list");
    assert_int_equal(trust_reload(trust, &why), ERR_CONF);
    assert_says(&why, "must be there");
    run("cp fed/revoked list; : >cas");
    assert_int_equal(trust_reload(trust, &why), ERR_CONF);
    assert_says(&why, "certificates in PEM");
    assert_accepted(trust, "a/sign.pem", CERT_USE_SIGN, 0);
    trust_free(&trust);
}

static void an_intermediate_alone_may_be_the_anchor(void **state)
{
    (void)state;
    struct trust *trust =
        open_trust(SUITE_INTL, "demo.credit", INTER ".pem", NULL);
    assert_accepted(trust, "a/sign.pem", CERT_USE_SIGN, 0);
    trust_free(&trust);
    run("cat other/ca.pem fed/ca.pem >both.pem");
    trust = open_trust(SUITE_INTL, "demo.credit", "both.pem", NULL);
    assert_accepted(trust, "a/sign.pem", CERT_USE_SIGN, 0);
    assert_accepted(trust, "x/sign.pem", CERT_USE_SIGN, 0);
    trust_free(&trust);
}

static void an_identity_must_fit_its_key(void **state)
{
    (void)state;
    struct identity id;
    struct errmsg why = {{0}};
    assert_int_equal(identity_load(&id, intl, CERT_USE_SIGN, at("a/sign.pem"),
                                   at("b/sign.key"), &why),
                     ERR_CONF);
    assert_says(&why, "not the key of the certificate in");
    assert_null(id.key);
    assert_int_equal(identity_load(&id, intl, CERT_USE_SIGN, at("a/seal.pem"),
                                   at("a/seal.key"), &why),
                     ERR_CONF);
    assert_says(&why, "a/seal.pem: certificate of spiffe://demo.credit/city/"
                      "341800000000 is of another use");
    assert_int_equal(identity_load(&id, intl, CERT_USE_SIGN, at("old/sign.pem"),
                                   at("old/sign.key"), &why),
                     ERR_CONF);
    assert_says(&why, "expired");
}

static void *check_often(void *arg)
{
    struct buf chain = BUF_INIT;
    size_t *accepted = arg;
    put_chain("a/sign.pem", &chain);
    for (int i = 0; i < 50; i++) {
        struct cert *cert = NULL;
        *accepted += trust_check(intl, buf_slice(&chain), CERT_USE_SIGN, 0,
                                 &cert, NULL) == ERR_OK;
        cert_free(&cert);
    }
    buf_fini(&chain);
    return NULL;
}

static void checks_go_on_during_a_reload(void **state)
{
    (void)state;
    pthread_t threads[2];
    size_t accepted[2] = {0, 0};
    struct errmsg why;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, check_often, &accepted[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        assert_int_equal(trust_reload(intl, &why), ERR_OK);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(accepted[i], 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_identity_is_verified_by_its_wire_form),
        cmocka_unit_test(a_sealing_certificate_takes_wrapped_keys),
        cmocka_unit_test(another_ca_of_the_same_name_is_unknown),
        cmocka_unit_test(a_certificate_counts_at_the_time_asked_for),
        cmocka_unit_test(a_certificate_of_another_use_is_refused),
        cmocka_unit_test(another_federation_is_refused),
        cmocka_unit_test(a_certificate_with_odd_names_is_refused),
        cmocka_unit_test(a_node_cannot_issue_certificates),
        cmocka_unit_test(a_key_of_another_suite_is_refused),
        cmocka_unit_test(a_broken_signature_is_refused),
        cmocka_unit_test(a_malformed_chain_is_refused),
        cmocka_unit_test(revoked_certificates_are_refused_after_reload),
        cmocka_unit_test(a_list_that_was_not_there_before_counts_after_reload),
        cmocka_unit_test(a_broken_file_leaves_the_old_trust),
        cmocka_unit_test(an_intermediate_alone_may_be_the_anchor),
        cmocka_unit_test(an_identity_must_fit_its_key),
        cmocka_unit_test(checks_go_on_during_a_reload),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
