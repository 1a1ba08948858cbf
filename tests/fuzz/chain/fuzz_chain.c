/* Any bytes as the chain of certificates that travels with a log, for signing
 * and for sealing. Nobody is made up: whoever is believed holds a certificate
 * of the CA below, whose keys are gone. */
#include "ident/ident.h"

#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

static const char ca[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBkjCCATigAwIBAgIUORB5DIPkYI5VcRo74snXGOKTCQswCgYIKoZIzj0EAwIw\n"
    "JjENMAsGA1UECgwEZnV6ejEVMBMGA1UEAwwMZnV6eiBjYSByb290MCAXDTI2MTEy\n"
    "OTIwMTUwMFoYDzIxMjYxMTA1MjAxNTAwWjAmMQ0wCwYDVQQKDARmdXp6MRUwEwYD\n"
    "VQQDDAxmdXp6IGNhIHJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARjqysS\n"
    "ol2eaKFhaIprAg3vKqqjpn/icAZRKGKQju8/4D82Bb6jyj6wyUQcoLVr0oBlodjc\n"
    "nHeY8pPKvkcSPEQho0IwQDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIB\n"
    "BjAdBgNVHQ4EFgQUwdMFVPM5G41/tQGcPeL73GT1BtEwCgYIKoZIzj0EAwIDSAAw\n"
    "RQIgJpDNUXPPw8H/HGMdpxagxdzzAoS8Grk52pF03oK1cPgCIQDeGLxFKzqaxqI8\n"
    "FldKbq7I1oISiXrcv0+sBDq2dy7xmw==\n"
    "-----END CERTIFICATE-----\n";

static struct trust *trust;

static void read_ca(void)
{
    char path[] = "/tmp/fuzz-chain-XXXXXX";
    struct errmsg why = {""};
    int fd = mkstemp(path);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(write(fd, ca, sizeof ca - 1) == (ssize_t)sizeof ca - 1);
    (void)close(fd);
    FUZZ_CHECK(trust_open(&trust, SUITE_INTL, "fuzz", path, NULL, &why) ==
               ERR_OK);
    (void)unlink(path);
}

static void check(struct slice chain, enum cert_use use)
{
    struct cert *cert = NULL;
    struct errmsg why = {""};
    char name[160];
    enum err err = trust_check(trust, chain, use, 0, &cert, &why);
    if (err != ERR_OK) {
        FUZZ_CHECK(err == ERR_UNAUTHENTICATED);
        FUZZ_CHECK(cert == NULL && why.text[0] != 0);
        return;
    }
    principal_format(cert_principal(cert), name, sizeof name);
    FUZZ_CHECK(strcmp(name, "spiffe://fuzz/village/341821100201") == 0);
    FUZZ_CHECK(pubkey_suite(cert_pubkey(cert)) == SUITE_INTL);
    FUZZ_CHECK(chain.len <= CERT_CHAIN_MAX);
    cert_free(&cert);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (trust == NULL) {
        read_ca();
    }
    check(slice_of(data, len), CERT_USE_SIGN);
    check(slice_of(data, len), CERT_USE_SEAL);
    return 0;
}
