#include "ident/rootdoc.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "ident/x509.h"

enum { CA_FILE_CERTS_MAX = 512, STAGES = 7 };

struct rootdoc {
    char name[256]; /* for messages */
    struct hash digest;
    char hash[2 * HASH_LEN + 1]; /* digest as text */
    char federation[FEDERATION_MAX + 1];
    enum suite suite;
    uint64_t version;
    struct hash cas[ROOTDOC_CAS_MAX];
    size_t ca_count;
    struct rootdoc_issuer *issuers;
    size_t issuer_count;
    unsigned missing; /* deciders still to come for the last issuer */
};

/* Reads one line's value into the document; NULL or what is wrong with it. */
typedef const char *line_fn(struct rootdoc *doc, char *value);

/* -- lines ---------------------------------------------------------------- */

/* Cuts the word before the next space off `*at`. */
static char *take_word(char **at)
{
    char *word = *at;
    char *space = strchr(word, ' ');
    if (space == NULL) {
        *at = word + strlen(word);
    } else {
        *space = 0;
        *at = space + 1;
    }
    return word;
}

static const char *on_form(struct rootdoc *doc, char *value)
{
    (void)doc;
    return strcmp(value, "1") == 0 ? NULL : "must be 1, the only known form";
}

static const char *on_federation(struct rootdoc *doc, char *value)
{
    /* Whatever may stand in a SPIFFE ID, by the one parser of these. */
    struct buf id = BUF_INIT;
    struct principal p;
    buf_putf(&id, "spiffe://%s/app/x", value);
    bool ok = principal_parse(buf_cstr(&id), &p) == ERR_OK &&
              strcmp(p.federation, value) == 0;
    buf_fini(&id);
    if (!ok) {
        return "must be 1 to 63 of a-z 0-9 . _ -";
    }
    memcpy(doc->federation, p.federation, sizeof p.federation);
    return NULL;
}

static const char *on_suite(struct rootdoc *doc, char *value)
{
    return suite_parse(value, &doc->suite) ? NULL : "must be intl or gm";
}

static const char *on_version(struct rootdoc *doc, char *value)
{
    bool ok = str_u64(slice_str(value), &doc->version) && doc->version == 1;
    return ok ? NULL : "must be 1, the only one this build knows";
}

static const char *on_previous(struct rootdoc *doc, char *value)
{
    (void)doc;
    return strcmp(value, "none") == 0 ? NULL : "must be none in version 1";
}

static const char *on_ca(struct rootdoc *doc, char *value)
{
    if (doc->ca_count == ROOTDOC_CAS_MAX) {
        return "is one too many";
    }
    if (!str_unhex(value, doc->cas[doc->ca_count].b, HASH_LEN)) {
        return "must be a SHA-256 fingerprint, 64 hex digits";
    }
    doc->ca_count++;
    return NULL;
}

static const char *on_issuer(struct rootdoc *doc, char *value)
{
    uint64_t code;
    uint64_t k;
    uint64_t n;
    const char *first = take_word(&value);
    const char *second = take_word(&value);
    if (doc->missing > 0) {
        return "comes before all deciders of the issuer above";
    }
    if (doc->issuer_count == ROOTDOC_ISSUERS_MAX) {
        return "is one too many";
    }
    if (!code_parse(first, &code) || !str_u64(slice_str(second), &k) ||
        !str_u64(slice_str(value), &n) || k < 1 || k > n ||
        n > ROOTDOC_DECIDERS_MAX) {
        return "must be a 12-digit node code, k and n with 1 <= k <= n <= 99";
    }
    if (rootdoc_find_issuer(doc, code) != NULL) {
        return "names a node twice";
    }
    struct rootdoc_issuer *issuer = &doc->issuers[doc->issuer_count++];
    issuer->code = code;
    issuer->threshold = (unsigned)k;
    issuer->deciders = mem_zalloc(n, sizeof *issuer->deciders);
    doc->missing = (unsigned)n;
    return NULL;
}

static const char *on_decider(struct rootdoc *doc, char *value)
{
    if (doc->missing == 0) {
        return "is one too many for its issuer";
    }
    struct rootdoc_issuer *issuer = &doc->issuers[doc->issuer_count - 1];
    struct rootdoc_decider *decider = &issuer->deciders[issuer->count];
    const char *id = take_word(&value);
    size_t len = strlen(value);
    if (!str_unhex(id, decider->key_id.b, HASH_LEN) || len == 0 ||
        len > ROOTDOC_NAME_MAX) {
        return "must be a key id of 64 hex digits and a name";
    }
    /* One key twice would let one person be two of k. */
    for (unsigned i = 0; i < issuer->count; i++) {
        if (hash_eq(&issuer->deciders[i].key_id, &decider->key_id)) {
            return "names a key twice for one issuer";
        }
    }
    memcpy(decider->name, value, len + 1);
    issuer->count++;
    doc->missing--;
    return NULL;
}

static const struct {
    const char *key;
    line_fn *on;
    unsigned stage; /* keys come in this order */
    bool repeats;
} lines[] = {
    {"creditnode-root", on_form, 0, false},
    {"federation", on_federation, 1, false},
    {"suite", on_suite, 2, false},
    {"version", on_version, 3, false},
    {"previous", on_previous, 4, false},
    {"ca", on_ca, 5, true},
    {"issuer", on_issuer, 6, true},
    {"decider", on_decider, 6, true},
};

static const char *const reserved[] = {"replaces", "signature"};

/* `stage` is that of the line before, -1 at the start. */
static enum err parse_line(struct rootdoc *doc, char *line, unsigned number,
                           int *stage, struct errmsg *why)
{
    const char *key = take_word(&line);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (strcmp(key, lines[i].key) != 0) {
            continue;
        }
        int at = (int)lines[i].stage;
        if (at != *stage + 1 && !(at == *stage && lines[i].repeats)) {
            return err_set(why, ERR_INVALID, "%s:%u: '%s' out of order",
                           doc->name, number, key);
        }
        *stage = at;
        const char *wrong = lines[i].on(doc, line);
        return wrong == NULL ? ERR_OK
                             : err_set(why, ERR_INVALID, "%s:%u: %s %s",
                                       doc->name, number, key, wrong);
    }
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (strcmp(key, reserved[i]) == 0) {
            return err_set(why, ERR_UNSUPPORTED,
                           "%s:%u: '%s' needs a newer build of creditnode",
                           doc->name, number, key);
        }
    }
    return err_set(why, ERR_INVALID, "%s:%u: unknown line '%.40s'", doc->name,
                   number, key);
}

static enum err parse_text(struct rootdoc *doc, char *text, struct errmsg *why)
{
    unsigned number = 0;
    int stage = -1;
    while (*text != 0) {
        char *line = text;
        char *end = strchr(line, '\n');
        number++;
        if (end == NULL) {
            return err_set(why, ERR_INVALID, "%s:%u: cut off in mid-line",
                           doc->name, number);
        }
        *end = 0;
        text = end + 1;
        if (*line == 0 || *line == '#') {
            continue;
        }
        enum err err = parse_line(doc, line, number, &stage, why);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (stage != STAGES - 1 || doc->missing > 0) {
        return err_set(why, ERR_INVALID,
                       "%s: ends early (%u deciders missing); make it with "
                       "certs/make-federation.sh",
                       doc->name, doc->missing);
    }
    return ERR_OK;
}

/* -- documents ------------------------------------------------------------ */

enum err rootdoc_parse(struct rootdoc **out, struct slice text,
                       const char *name, struct errmsg *why)
{
    *out = NULL;
    if (text.len > ROOTDOC_FILE_MAX) {
        return err_set(why, ERR_TOO_LARGE, "%s: larger than %d bytes", name,
                       (int)ROOTDOC_FILE_MAX);
    }
    if (!str_utf8_valid(text) ||
        (text.len > 0 && memchr(text.data, '\r', text.len) != NULL)) {
        return err_set(why, ERR_INVALID,
                       "%s: not UTF-8 text with plain line feeds", name);
    }
    struct rootdoc *doc = MEM_NEW(struct rootdoc);
    struct buf copy = BUF_INIT;
    (void)snprintf(doc->name, sizeof doc->name, "%s", name);
    doc->issuers = mem_zalloc(ROOTDOC_ISSUERS_MAX, sizeof *doc->issuers);
    suite_hash(SUITE_INTL, text, &doc->digest);
    str_hex(doc->digest.b, HASH_LEN, doc->hash);
    buf_put_slice(&copy, text);
    buf_put_u8(&copy, 0);
    enum err err = parse_text(doc, (char *)copy.data, why);
    buf_fini(&copy);
    if (err != ERR_OK) {
        rootdoc_free(&doc);
    }
    *out = doc;
    return err;
}

enum err rootdoc_load(struct rootdoc **out, const char *path,
                      struct errmsg *why)
{
    struct buf text = BUF_INIT;
    *out = NULL;
    enum err err = file_read(path, ROOTDOC_FILE_MAX, &text, why);
    if (err == ERR_OK) {
        err = rootdoc_parse(out, buf_slice(&text), path, why);
    }
    buf_fini(&text);
    return err == ERR_OK ? ERR_OK : ERR_CONF;
}

void rootdoc_free(struct rootdoc **doc)
{
    struct rootdoc *d = *doc;
    if (d != NULL) {
        for (size_t i = 0; i < d->issuer_count; i++) {
            mem_free(d->issuers[i].deciders);
        }
        mem_free(d->issuers);
        mem_free(d);
        *doc = NULL;
    }
}

const char *rootdoc_hash(const struct rootdoc *doc)
{
    return doc->hash;
}

enum err rootdoc_check(const struct rootdoc *doc, const char *expected,
                       struct errmsg *why)
{
    struct hash want;
    if (!str_unhex(expected, want.b, HASH_LEN)) {
        return err_set(why, ERR_CONF,
                       "the configured root document hash '%.80s' is not 64 "
                       "hex digits; ask the federation for it",
                       expected);
    }
    if (!hash_eq(&want, &doc->digest)) {
        return err_set(why, ERR_CONF,
                       "%s: hash is %s, the configuration expects %s; compare "
                       "both with the federation before you change either",
                       doc->name, doc->hash, expected);
    }
    return ERR_OK;
}

static bool names_ca(const struct rootdoc *doc, const X509 *cert)
{
    uint8_t fp[HASH_LEN];
    x509_fingerprint(cert, fp);
    for (size_t i = 0; i < doc->ca_count; i++) {
        if (memcmp(doc->cas[i].b, fp, HASH_LEN) == 0) {
            return true;
        }
    }
    return false;
}

/* Those of `certs` that the document names; each holds a reference. */
static STACK_OF(X509) *
    named_of(const struct rootdoc *doc, STACK_OF(X509) * certs)
{
    STACK_OF(X509) *named = sk_X509_new_null();
    for (int i = 0; named != NULL && i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        if (names_ca(doc, cert) && X509_up_ref(cert) == 1 &&
            sk_X509_push(named, cert) <= 0) {
            X509_free(cert);
        }
    }
    return named;
}

/* Every certificate of a CA file is an anchor, so each must be named by the
 * document or come from one that is. */
static enum err check_anchors(const struct rootdoc *doc, STACK_OF(X509) * certs,
                              const char *ca_path, struct errmsg *why)
{
    STACK_OF(X509) *named = named_of(doc, certs);
    X509_STORE *store = x509_store_new(named);
    enum err err = ERR_OK;
    for (int i = 0; err == ERR_OK && i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        STACK_OF(X509) *path = NULL;
        if (store == NULL ||
            x509_verify(store, cert, certs, 0, &path, NULL) != ERR_OK) {
            char label[LABEL_MAX];
            x509_label(cert, label);
            err = err_set(why, ERR_CONF,
                          "%s: the CA %s is not one of the root document %s; "
                          "use the federation's ca.pem",
                          ca_path, label, doc->name);
        }
        x509_free_all(&path);
    }
    X509_STORE_free(store);
    x509_free_all(&named);
    return err;
}

enum err rootdoc_check_ca(const struct rootdoc *doc, const char *ca_path,
                          struct errmsg *why)
{
    struct buf pem = BUF_INIT;
    STACK_OF(X509) *certs = NULL;
    enum err err = x509_load_pem(ca_path, CA_FILE_CERTS_MAX, &pem, &certs, why);
    if (err == ERR_OK) {
        err = check_anchors(doc, certs, ca_path, why);
    }
    x509_free_all(&certs);
    buf_fini(&pem);
    return err;
}

const char *rootdoc_federation(const struct rootdoc *doc)
{
    return doc->federation;
}

enum suite rootdoc_suite(const struct rootdoc *doc)
{
    return doc->suite;
}

uint64_t rootdoc_version(const struct rootdoc *doc)
{
    return doc->version;
}

size_t rootdoc_ca_count(const struct rootdoc *doc)
{
    return doc->ca_count;
}

const struct hash *rootdoc_ca(const struct rootdoc *doc, size_t i)
{
    assert(i < doc->ca_count);
    return &doc->cas[i];
}

size_t rootdoc_issuer_count(const struct rootdoc *doc)
{
    return doc->issuer_count;
}

const struct rootdoc_issuer *rootdoc_issuer(const struct rootdoc *doc, size_t i)
{
    assert(i < doc->issuer_count);
    return &doc->issuers[i];
}

const struct rootdoc_issuer *rootdoc_find_issuer(const struct rootdoc *doc,
                                                 uint64_t code)
{
    for (size_t i = 0; i < doc->issuer_count; i++) {
        if (doc->issuers[i].code == code) {
            return &doc->issuers[i];
        }
    }
    return NULL;
}
