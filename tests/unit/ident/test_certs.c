/* The scripts in certs/ by themselves; what they make is judged elsewhere. */
#include "unit/ident/federation.h"

#include "base/mem.h"

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
        {"make-intermediate.sh fed --code 34", "code '34'"},
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
        "    --code 341800000000");
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
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
