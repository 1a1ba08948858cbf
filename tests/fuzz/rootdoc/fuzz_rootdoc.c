/* Any bytes as a root document. What was read keeps to the limits the header
 * promises, whoever may issue can be decided for, and the next version that is
 * made from it can be read but does not follow unsigned. */
#include "ident/rootdraft.h"

#include <string.h>

#include "fuzz/fuzz.h"

static void check_issuer(const struct rootdoc *doc, size_t at)
{
    const struct rootdoc_issuer *issuer = rootdoc_issuer(doc, at);
    FUZZ_CHECK(issuer->count >= 1 && issuer->count <= ROOTDOC_DECIDERS_MAX);
    FUZZ_CHECK(issuer->threshold >= 1 && issuer->threshold <= issuer->count);
    FUZZ_CHECK(rootdoc_find_issuer(doc, issuer->code) != NULL);
    for (unsigned i = 0; i < issuer->count; i++) {
        size_t len = strlen(issuer->deciders[i].name);
        FUZZ_CHECK(len >= 1 && len <= ROOTDOC_NAME_MAX);
    }
}

static void check_next(const struct rootdoc *doc)
{
    struct rootdoc *next = NULL;
    struct buf text = BUF_INIT;
    struct errmsg why = {""};
    rootdraft_put_next(doc, &text);
    enum err err = rootdoc_parse(&next, buf_slice(&text), "next", &why);
    FUZZ_CHECK(err == ERR_OK);
    FUZZ_CHECK(rootdoc_version(next) == rootdoc_version(doc) + 1);
    FUZZ_CHECK(rootdoc_issuer_count(next) == rootdoc_issuer_count(doc));
    FUZZ_CHECK(rootdoc_follows(next, doc, &why) == ERR_BAD_SIGNATURE);
    FUZZ_CHECK(rootdoc_follows(doc, next, &why) != ERR_OK);
    rootdoc_free(&next);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rootdoc *doc = NULL;
    struct errmsg why = {""};
    enum err err = rootdoc_parse(&doc, slice_of(data, len), "fuzz", &why);
    if (err != ERR_OK) {
        FUZZ_CHECK(doc == NULL && why.text[0] != 0);
        FUZZ_CHECK(err == ERR_INVALID || err == ERR_TOO_LARGE ||
                   err == ERR_UNSUPPORTED);
        return 0;
    }
    FUZZ_CHECK(len <= ROOTDOC_FILE_MAX);
    FUZZ_CHECK(strlen(rootdoc_hash(doc)) == (size_t)2 * HASH_LEN);
    FUZZ_CHECK(rootdoc_federation(doc)[0] != 0);
    FUZZ_CHECK(rootdoc_version(doc) >= 1);
    FUZZ_CHECK(rootdoc_bytes(doc).len == len);
    FUZZ_CHECK(rootdoc_text(doc).len <= len);
    FUZZ_CHECK((rootdoc_text(doc).len < len) ==
               (rootdoc_signature_count(doc) > 0));
    FUZZ_CHECK(rootdoc_signature_count(doc) <= ROOTDOC_SIGNATURES_MAX);
    FUZZ_CHECK(rootdoc_ca_count(doc) >= 1 &&
               rootdoc_ca_count(doc) <= ROOTDOC_CAS_MAX);
    FUZZ_CHECK(rootdoc_issuer_count(doc) <= ROOTDOC_ISSUERS_MAX);
    for (size_t i = 0; i < rootdoc_issuer_count(doc); i++) {
        check_issuer(doc, i);
    }
    if (rootdoc_version(doc) < UINT64_MAX) {
        check_next(doc);
    }
    rootdoc_free(&doc);
    return 0;
}
