/* The scripts in certs/ by themselves; what they make is judged elsewhere. */
#include "unit/ident/federation.h"

#include "base/clock.h"
#include "base/mem.h"
#include "ident/ident.h"
#include "ident/rootdoc.h"

static const struct federation {
    const char *dir;
    const char *name;
    enum suite suite;
    const char *trust_ca;
    const char *sign_ca; /* the intermediate's, for signing certificates */
} feds[] = {
    {"fed", "demo.credit", SUITE_INTL, "node-fed/ca.pem", "ca"},
    {"sm", "demo.gm", SUITE_GM, "node-sm/signing-ca.pem", "signing-ca"},
};

static int setup(void **state)
{
    (void)state;
    fed_open();
    run("$C/make-federation.sh fed --name demo.credit "
        "    --province 340000000000 && "
        "$C/make-federation.sh sm --name demo.gm --suite gm");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fed_close();
    return 0;
}

static void a_node_asks_and_the_ca_answers(void **state)
{
    (void)state;
    run("$C/request.sh asks --federation demo.credit --tier county "
        "    --code 341821000000 --dns node.example --ip 192.0.2.7 && "
        "mkdir desk && cp asks/*.csr desk && "
        "echo 341821000000 | $C/sign.sh fed desk answers >shown && "
        "grep -q 'DNS:node.example,IP:192.0.2.7' shown && "
        "cp answers/*.pem asks && "
        "openssl verify -CAfile asks/ca.pem -untrusted asks/tls.pem "
        "    -verify_hostname node.example asks/tls.pem");
    /* No key left the node. */
    run("test ! -e desk/tls.key && test ! -e answers/tls.key");
}

static void nothing_is_issued_without_consent(void **state)
{
    (void)state;
    run("$C/request.sh no --federation demo.credit --tier county "
        "    --code 341821000000 && "
        "! echo 341821000001 | $C/sign.sh fed no && test ! -e no/tls.pem");
}

static void private_files_are_private(void **state)
{
    (void)state;
    run("umask 022; $C/make-node.sh fed quiet --tier city "
        "    --code 341800000000 && "
        "$C/make-app.sh fed quiet/app --name hall --scopes public && "
        "test -z \"$(find fed sm quiet -name '*.key' ! -perm 600)\"");
}

static void bad_arguments_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *says;
    } cases[] = {
        {"make-federation.sh", "name the folder"},
        {"make-federation.sh fed --name demo.credit", "holds a federation"},
        {"make-federation.sh f2 --name 'Demo!'", "federation 'Demo!'"},
        {"make-federation.sh f2 --name x --suite sm", "suite 'sm'"},
        {"make-federation.sh f2 --name x --issuer 000000000000:3:2",
         "--issuer 000000000000:3:2"},
        {"make-federation.sh f2 --name x --decider 340000000000:l.pub:li",
         "no --issuer 340000000000"},
        {"make-federation.sh f2 --name x --issuer 340000000000:2 "
         "--decider 340000000000:l.pub:li",
         "1 deciders given, 2 are to sign"},
        {"make-federation.sh f2 --name x --issuer 340000000000:2 "
         "--decider 340000000000:l.pub:a --decider 340000000000:l.pub:b",
         "one key stands for two"},
        {"make-federation.sh f2 --name x --issuer 340000000000:1:2 "
         "--decider 340000000000:l.pub:li",
         "with --decider say CODE:K"},
        {"make-federation.sh f2 --name x --suite gm --issuer 340000000000:1 "
         "--decider 340000000000:l.pub:li",
         "l.pub: not a key on SM2"},
        {"make-federation.sh f2 --name x --issuer 340000000000:1 "
         "--issuer 340000000000:2",
         "given twice"},
        {"make-decider.sh l", "is there already"},
        {"make-decider.sh", "name the file"},
        {"make-intermediate.sh fed --code 34", "code '34'"},
        {"make-intermediate.sh fed --code 620000000000 --renew",
         "no such CA to renew"},
        {"make-intermediate.sh fed --code 340000000000", "exists already"},
        {"make-node.sh fed n --tier hamlet --code 341800000000",
         "tier 'hamlet'"},
        {"make-node.sh fed n --tier", "--tier needs a value"},
        {"make-node.sh nofed n --tier city --code 341800000000",
         "no root-document"},
        {"make-node.sh fed n --tier city --code 341800000000 --days x",
         "--days 'x'"},
        {"make-node.sh fed n --tier city --code 341800000000 --dns 'a,b'",
         "DNS name 'a,b'"},
        {"make-app.sh fed a --name hall --scopes all", "scope 'all'"},
        {"make-app.sh fed a --name hall --scopes audit", "scope 'audit'"},
        {"make-app.sh fed a --name Hall --scopes public", "--name 'Hall'"},
        {"make-app.sh fed a --name hall --scopes public --csr none",
         "no file none"},
        {"make-app.sh fed a --name 'a/b' --scopes public", "app/a/b"},
        {"sign.sh fed nothing", "missing; make it with"},
        {"sign.sh fed strange --yes", "is not of federation demo.credit"},
        {"sign.sh fed torn --yes", "sign.csr names"},
        {"sign.sh sm plain --yes", "key is prime256v1, this use needs SM2"},
        {"revoke.sh list fed/revoked", "fed/revoked"},
    };
    run("$C/request.sh strange --federation demo.b --tier city "
        "    --code 341800000000 && "
        "$C/request.sh torn --federation demo.credit --tier city "
        "    --code 341800000000 && "
        "$C/request.sh torn2 --federation demo.credit --tier city "
        "    --code 341900000000 && cp torn2/sign.csr torn && "
        "$C/request.sh plain --federation demo.gm --tier city "
        "    --code 341800000000 && "
        "$C/make-decider.sh l");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf said = BUF_INIT;
        struct errmsg line;
        run("! $C/%s >said 2>&1", cases[i].line);
        assert_int_equal(file_read(at("said"), 65536, &said, NULL), ERR_OK);
        (void)snprintf(line.text, sizeof line.text, "%.500s", buf_cstr(&said));
        assert_says(&line, cases[i].says);
        buf_fini(&said);
    }
}

static void scripts_made_at_once_do_not_disturb_each_other(void **state)
{
    (void)state;
    run("pids=; for i in 1 2 3 4; do $C/make-node.sh fed many$i --tier city "
        "    --code 35020000000$i & pids=\"$pids $!\"; done; "
        "for p in $pids; do wait $p || exit 1; done; "
        "for i in 1 2 3 4; do openssl verify -CAfile fed/ca.pem "
        "    -untrusted many$i/tls.pem many$i/tls.pem || exit 1; done; "
        "test -z \"$(ls -A fed/intermediate | grep new)\"");
}

/* The entry of `apps` holds for every certificate of the same key, wherever it
 * was made, and for none of another key. */
static void an_app_is_listed_by_its_key(void **state)
{
    (void)state;
    run("spki() { openssl x509 -in $1 -noout -pubkey | "
        "    openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1; }; "
        "$C/make-app.sh fed hall --name hall --scopes public,feedback >said && "
        "printf '{ name = \"hall\"; key = \"%%s\"; "
        "scopes = [\"public\", \"feedback\"]; }\\n' "
        "    $(spki hall/app.pem) >wanted && "
        "cmp wanted said && cmp wanted hall/entry && "
        "cp hall/app.pem first && "
        "$C/make-app.sh fed hall --name hall --scopes public,feedback >said && "
        "cmp wanted said && ! cmp -s first hall/app.pem && "
        "$C/make-app.sh fed twin --name hall --scopes public,feedback >said && "
        "! cmp -s wanted said && "
        "openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
        "    -keyout home.key -subj /CN=x -out home.csr 2>said && "
        "$C/make-app.sh fed home --name home --scopes ingest "
        "    --csr home.csr >said && "
        "test ! -e home/app.key && "
        "test $(spki home/app.pem) = $(openssl pkey -in home.key -pubout "
        "    -outform DER | sha256sum | cut -d' ' -f1) && "
        "openssl x509 -in home/app.pem -noout -ext subjectAltName | "
        "    grep -q 'URI:spiffe://demo.credit/app/home$'");
}

/* Nodes run as users of their own, and the CA's umask is 077. */
static void the_list_of_revoked_is_for_every_user(void **state)
{
    (void)state;
    run("$C/make-node.sh fed gone1 --tier city --code 341800000000 && "
        "test $(stat -c %%a gone1/revoked) = 644 && "
        "(umask 077; $C/revoke.sh new-list gone1/tls.pem) && "
        "test $(stat -c %%a new-list) = 644");
}

static void revoking_twice_adds_one_line(void **state)
{
    (void)state;
    run("$C/make-node.sh fed gone --tier city --code 341800000000 && "
        "$C/revoke.sh fed/revoked gone/tls.pem --reason lost && "
        "$C/revoke.sh fed/revoked gone/tls.pem gone/sign.pem && "
        "test \"$(grep -c gone -v fed/revoked)\" = 3 && "
        "grep -q \"^$(openssl x509 -in gone/tls.pem -outform DER | sha256sum "
        "    | cut -d' ' -f1) # .*341800000000 lost\" fed/revoked");
}

static void a_request_to_renew_keeps_the_keys_at_home(void **state)
{
    (void)state;
    run("$C/make-node.sh sm g --tier city --code 341800000000 && "
        "$C/renew.sh g --request again && "
        "test \"$(ls again | tr '\\n' ' ')\" = 'seal.csr sign.csr tls.csr ' && "
        "$C/sign.sh sm again --yes && "
        "test \"$(openssl x509 -in again/sign.pem -noout -pubkey)\" = "
        "    \"$(openssl pkey -in g/sign.key -pubout)\"");
}

static void a_subject_is_the_checked_name(void **state)
{
    (void)state;
    run("$C/request.sh grand --federation demo.credit --tier county "
        "    --code 341821000000 && "
        "openssl req -new -key grand/tls.key -subj '/O=Other/CN=province' "
        "    -addext subjectAltName=URI:spiffe://demo.credit/county/"
        "341821000000 -out grand/tls.csr && "
        "$C/sign.sh fed grand --yes && "
        "openssl x509 -in grand/tls.pem -noout -subject | "
        "    grep -x 'subject=O = demo.credit, CN = county 341821000000 tls'");
}

/* ---- intermediates that end ---- */

static void nothing_outlives_what_signed_it(void **state)
{
    (void)state;
    run("end() { openssl x509 -in $1 -noout -enddate; }; "
        "$C/make-intermediate.sh fed --code 370000000000 --days 20 && "
        "ca=fed/intermediate/370000000000/ca.pem && "
        "$C/request.sh short --federation demo.credit --tier city "
        "    --code 370100000000 && "
        "echo 370100000000 | $C/sign.sh fed short >shown 2>said && "
        "grep -q 'make-intermediate.sh fed --code 370000000000 --renew' said "
        "&& for use in tls sign seal; do "
        "    test \"$(end short/$use.pem)\" = \"$(end $ca)\" || exit 1; done; "
        /* What is shown before it is issued is what is issued. */
        "grep -q \"until *$(openssl x509 -in $ca -noout -enddate "
        "    -dateopt iso_8601 | tr -dc 0-9)Z\" shown && "
        "$C/sign.sh fed short --yes --days 10 2>said && ! test -s said && "
        "$C/make-intermediate.sh fed --code 370000000000 --renew --days 9999 "
        "    2>said && grep -q 'new root CA' said && "
        "test \"$(end $ca)\" = \"$(end fed/ca.pem)\"");
}

static void assert_ends_in(const char *what, const struct principal *p,
                           int days)
{
    int64_t have = (p->not_after_ms - clock_wall_ms()) / 86400000;
    if (have != days) {
        (void)fprintf(stderr, "%s ends in %lld days, not %d\n", what,
                      (long long)have, days);
        fail();
    }
}

/* When the node of `f` says that its certificates end: whole days from now. */
static void assert_node_ends_in(const struct federation *f, int days)
{
    struct tls_material m;
    struct identity id;
    struct trust *trust;
    struct errmsg why = {{0}};
    char path[4][64];
    static const char *const files[] = {"ca.pem", "tls.pem", "tls.key",
                                        "sign.pem"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        (void)snprintf(path[i], sizeof path[i], "node-%s/%s", f->dir, files[i]);
    }
    assert_int_equal(
        tls_material_load(&m, at(path[0]), at(path[1]), at(path[2]), &why),
        ERR_OK);
    assert_ends_in(path[1], &m.self, days);
    tls_material_fini(&m);
    (void)snprintf(path[0], sizeof path[0], "node-%s/sign.key", f->dir);
    assert_int_equal(
        trust_open(&trust, f->suite, f->name, at(f->trust_ca), NULL, &why),
        ERR_OK);
    assert_int_equal(identity_load(&id, trust, CERT_USE_SIGN, at(path[3]),
                                   at(path[0]), &why),
                     ERR_OK);
    assert_ends_in(path[3], cert_principal(id.cert), days);
    identity_fini(&id);
    trust_free(&trust);
}

/* Leaves that were signed before, with the CA's certificates of now. */
static void give_chain(const struct federation *f, const char *cas)
{
    run("cd node-%s && d=../%s/intermediate/360000000000 && "
        "for use in tls sign; do ca=ca; test $use = tls || ca=%s; "
        "    openssl x509 -in $use.pem >leaf && "
        "    (cat leaf; for old in %s; do cat $d/$ca.pem$old; done) >$use.pem; "
        "done",
        f->dir, f->dir, f->sign_ca, cas);
}

static void a_renewed_ca_carries_what_it_signed_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(feds); i++) {
        const struct federation *f = &feds[i];
        run("$C/make-node.sh %s node-%s --tier city --code 360100000000 "
            "    --days 300",
            f->dir, f->dir);
        assert_node_ends_in(f, 299);
        run("cd %s/intermediate/360000000000 && "
            "$C/make-intermediate.sh ../.. --code 360000000000 --renew "
            "    --days 6 && for f in *ca.pem; do cp $f $f.old; done",
            f->dir);
        /* The node is told of its CA's end, not only of its own. */
        give_chain(f, "''");
        assert_node_ends_in(f, 5);
        run("$C/make-intermediate.sh %s --code 360000000000 --renew", f->dir);
        give_chain(f, ".old ''");
        assert_node_ends_in(f, 299);
        give_chain(f, "''");
        assert_node_ends_in(f, 299);
        run("$C/renew.sh node-%s --federation-dir %s --days 400", f->dir,
            f->dir);
        assert_node_ends_in(f, 399);
    }
}

/* ---- deciders ---- */

static void deciders_keep_their_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(feds); i++) {
        struct errmsg why = {{0}};
        struct rootdoc *doc = NULL;
        struct buf id = BUF_INIT;
        struct hash key;
        const char *suite = feds[i].suite == SUITE_GM ? "gm" : "intl";
        run("rm -rf own && for who in li wang zhao; do "
            "    $C/make-decider.sh $who --suite %s >$who.id || exit 1; done; "
            "test -z \"$(find li.key wang.key ! -perm 600)\" && "
            "$C/make-federation.sh own --name own --suite %s "
            "    --issuer 000000000000:2 --issuer 340000000000:1 "
            "    --decider 000000000000:li.pub:li "
            "    --decider '340000000000:zhao.pub:赵 六' "
            "    --decider 000000000000:wang.pub:wang 2>said && "
            "! test -s said && "
            "test -z \"$(find own -name '*.key' | grep -v -e /root/ "
            "    -e /intermediate/)\" && "
            "mv zhao.id id && rm li.* wang.* zhao.*",
            suite, suite);
        assert_int_equal(rootdoc_load(&doc, at("own/root-document"), &why),
                         ERR_OK);
        const struct rootdoc_issuer *hub = rootdoc_find_issuer(doc, 0);
        const struct rootdoc_issuer *province =
            rootdoc_find_issuer(doc, 340000000000);
        assert_true(hub == rootdoc_issuer(doc, 0));
        assert_int_equal(hub->count, 2);
        assert_int_equal(hub->threshold, 2);
        assert_int_equal(file_read(at("id"), 256, &id, &why), ERR_OK);
        assert_int_equal(id.len, 2 * HASH_LEN + 1); /* and a line feed */
        id.len--;
        assert_true(str_unhex(buf_cstr(&id), key.b, HASH_LEN));
        const struct rootdoc_decider *zhao =
            rootdoc_find_decider(province, &key);
        assert_non_null(zhao);
        assert_string_equal(zhao->name, "赵 六");
        buf_fini(&id);
        rootdoc_free(&doc);
    }
}

static void a_trial_is_called_one(void **state)
{
    (void)state;
    run("$C/make-federation.sh all --name all 2>said && "
        "grep -q 'for trials only: all/deciders' said && "
        "test \"$(ls all/deciders/*.key | wc -l)\" = 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_asks_and_the_ca_answers),
        cmocka_unit_test(nothing_is_issued_without_consent),
        cmocka_unit_test(private_files_are_private),
        cmocka_unit_test(bad_arguments_are_refused_by_name),
        cmocka_unit_test(scripts_made_at_once_do_not_disturb_each_other),
        cmocka_unit_test(an_app_is_listed_by_its_key),
        cmocka_unit_test(the_list_of_revoked_is_for_every_user),
        cmocka_unit_test(revoking_twice_adds_one_line),
        cmocka_unit_test(a_request_to_renew_keeps_the_keys_at_home),
        cmocka_unit_test(a_subject_is_the_checked_name),
        cmocka_unit_test(nothing_outlives_what_signed_it),
        cmocka_unit_test(a_renewed_ca_carries_what_it_signed_before),
        cmocka_unit_test(deciders_keep_their_keys),
        cmocka_unit_test(a_trial_is_called_one),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
