#include "unit/ident/federation.h"

#include "base/mem.h"
#include "ident/ident.h"

static int setup(void **state)
{
    (void)state;
    fed_open();
    run("$C/make-federation.sh fed --name demo.credit && "
        "$C/make-federation.sh other --name demo.credit && "
        "$C/make-node.sh fed a --tier city --code 341800000000 && "
        "$C/make-node.sh fed b --tier county --code 341821000000 && "
        "$C/make-node.sh fed old --tier county --code 341821000000 "
        "    --not-after 2020-02-01 && "
        "$C/make-node.sh other x --tier city --code 341800000000 && "
        "$C/make-app.sh fed app --name hall-1 --scopes public,shared");
    issue_odd("fed", "fed/intermediate/000000000000/ca", "twice", "tls",
              "URI:spiffe://demo.credit/city/341800000000,"
              "URI:spiffe://demo.credit/city/110000000000");
    issue_odd("fed", "fed/intermediate/000000000000/ca", "nameless", "tls",
              "DNS:localhost");
    issue_odd("fed", "fed/intermediate/000000000000/ca", "crooked", "tls",
              "URI:spiffe://demo.credit/hamlet/341800000000");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fed_close();
    return 0;
}

static void a_node_loads_what_the_scripts_made(void **state)
{
    (void)state;
    struct tls_material m;
    struct errmsg why = {{0}};
    assert_int_equal(tls_material_load(&m, at("a/ca.pem"), at("a/tls.pem"),
                                       at("a/tls.key"), &why),
                     ERR_OK);
    assert_int_equal(m.self.kind, PRINCIPAL_NODE);
    assert_int_equal(m.self.tier, TIER_CITY);
    assert_int_equal(m.self.code, 341800000000);
    assert_string_equal(m.self.federation, "demo.credit");
    assert_true(m.self.not_after_ms > 0);
    assert_non_null(strstr(m.ca_pem, "BEGIN CERTIFICATE"));
    assert_non_null(strstr(m.key_pem, "BEGIN PRIVATE KEY"));
    /* The same bytes as gRPC shows them to the peer. */
    struct principal p;
    assert_int_equal(principal_from_pem(slice_str(m.chain_pem), &p, &why),
                     ERR_OK);
    assert_memory_equal(&p, &m.self, sizeof p);
    tls_material_fini(&m);
}

static void an_app_loads_its_client_certificate(void **state)
{
    (void)state;
    struct tls_material m;
    struct errmsg why = {{0}};
    assert_int_equal(tls_material_load(&m, at("app/ca.pem"), at("app/app.pem"),
                                       at("app/app.key"), &why),
                     ERR_OK);
    assert_int_equal(m.self.kind, PRINCIPAL_APP);
    assert_string_equal(m.self.name, "hall-1");
    tls_material_fini(&m);
}

static void the_fingerprint_is_that_of_openssl(void **state)
{
    (void)state;
    struct buf pem = BUF_INIT;
    struct buf hex = BUF_INIT;
    struct errmsg why;
    struct principal p;
    char have[65];
    run("openssl x509 -in a/tls.pem -outform DER | sha256sum >fp");
    assert_int_equal(file_read(at("fp"), 256, &hex, &why), ERR_OK);
    assert_int_equal(file_read(at("a/tls.pem"), 65536, &pem, &why), ERR_OK);
    assert_int_equal(principal_from_pem(buf_slice(&pem), &p, &why), ERR_OK);
    str_hex(p.fingerprint, sizeof p.fingerprint, have);
    assert_memory_equal(have, hex.data, 64);
    buf_fini(&pem);
    buf_fini(&hex);
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *ca, *cert, *key, *says, *file;
    } cases[] = {
        {"a/ca.pem", "a/sign.pem", "a/sign.key", "not a TLS certificate",
         "a/sign.pem"},
        {"a/ca.pem", "a/tls.pem", "b/tls.key", "not the key of", "b/tls.key"},
        {"a/ca.pem", "old/tls.pem", "old/tls.key",
         "expired at 2020-02-01T00:00:00Z; renew", "old/tls.pem"},
        {"a/ca.pem", "x/tls.pem", "x/tls.key", "unknown CA", "x/tls.pem"},
        {"a/ca.pem", "twice.pem", "twice.key", "2 URI names instead of one",
         "twice.pem"},
        {"a/ca.pem", "nameless.pem", "nameless.key", "0 URI names",
         "nameless.pem"},
        {"a/ca.pem", "crooked.pem", "crooked.key",
         "spiffe://federation/tier/12-digit-code", "crooked.pem"},
        {"a/ca.pem", "a/none.pem", "a/tls.key", "cannot open", "a/none.pem"},
        {"none.pem", "a/tls.pem", "a/tls.key", "cannot open", "none.pem"},
        {"a/tls.key", "a/tls.pem", "a/tls.key", "certificates in PEM",
         "a/tls.key"},
        {"a/ca.pem", "a/tls.key", "a/tls.key", "certificates in PEM",
         "a/tls.key"},
        {"a/ca.pem", "a/tls.pem", "a/tls.pem", "chmod 600", "a/tls.pem"},
    };
    run("chmod 644 a/tls.pem");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_material m;
        struct errmsg why = {{0}};
        assert_int_equal(tls_material_load(&m, at(cases[i].ca),
                                           at(cases[i].cert), at(cases[i].key),
                                           &why),
                         ERR_CONF);
        assert_null(m.key_pem);
        assert_says(&why, cases[i].says);
        assert_says(&why, cases[i].file);
    }
}

static void a_damaged_chain_is_refused(void **state)
{
    (void)state;
    struct tls_material m;
    struct errmsg why = {{0}};
    run("sed '3s/^..../AAAA/' a/tls.pem >damaged.pem; "
        "head -n 5 a/tls.pem >short.pem");
    assert_int_equal(tls_material_load(&m, at("a/ca.pem"), at("damaged.pem"),
                                       at("a/tls.key"), &why),
                     ERR_CONF);
    assert_int_equal(tls_material_load(&m, at("a/ca.pem"), at("short.pem"),
                                       at("a/tls.key"), &why),
                     ERR_CONF);
    assert_says(&why, "short.pem");
}

static void a_peer_without_a_proper_name_is_refused(void **state)
{
    (void)state;
    static const char *const files[] = {"twice.pem", "nameless.pem",
                                        "crooked.pem", "a/tls.key"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct buf pem = BUF_INIT;
        struct errmsg why = {{0}};
        struct principal p;
        assert_int_equal(file_read(at(files[i]), 65536, &pem, &why), ERR_OK);
        assert_int_equal(principal_from_pem(buf_slice(&pem), &p, &why),
                         ERR_UNAUTHENTICATED);
        assert_int_equal(p.federation[0], 0);
        assert_true(why.text[0] != 0);
        buf_fini(&pem);
    }
    struct principal p;
    assert_int_equal(principal_from_pem(slice_of(NULL, 0), &p, NULL),
                     ERR_UNAUTHENTICATED);
}

static void renewed_certificates_keep_key_and_names(void **state)
{
    (void)state;
    struct tls_material m;
    struct errmsg why = {{0}};
    run("openssl x509 -in b/tls.pem -noout -pubkey -ext subjectAltName >one && "
        "$C/renew.sh b --federation-dir fed --days 9 && "
        "openssl x509 -in b/tls.pem -noout -pubkey -ext subjectAltName >two && "
        "cmp one two && ! openssl x509 -in b/tls.pem -noout "
        "-checkend 800000");
    assert_int_equal(tls_material_load(&m, at("b/ca.pem"), at("b/tls.pem"),
                                       at("b/tls.key"), &why),
                     ERR_OK);
    tls_material_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_loads_what_the_scripts_made),
        cmocka_unit_test(an_app_loads_its_client_certificate),
        cmocka_unit_test(the_fingerprint_is_that_of_openssl),
        cmocka_unit_test(what_does_not_fit_is_refused_by_name),
        cmocka_unit_test(a_damaged_chain_is_refused),
        cmocka_unit_test(a_peer_without_a_proper_name_is_refused),
        cmocka_unit_test(renewed_certificates_keep_key_and_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
