#include "ident/rootdoc.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "ident/signature.h"
#include "ident/x509.h"

enum {
    CA_FILE_CERTS_MAX = 512,
    STAGE_ISSUERS = 6, /* the last that must come */
    STAGE_SIGNATURES,
};

/* What is signed begins so, and nothing else that deciders sign does. */
static const char magic[] = "creditnode-root ";

struct rootdoc {
    char name[256]; /* for messages */
    struct buf bytes;
    size_t text_len; /* before the first signature line */
    struct hash digest;
    char hash[2 * HASH_LEN + 1]; /* digest as text */
    char federation[FEDERATION_MAX + 1];
    enum suite suite;
    uint64_t version;
    bool first; /* `previous none` */
    struct hash previous;
    struct hash cas[ROOTDOC_CAS_MAX];
    size_t ca_count;
    struct rootdoc_issuer *issuers;
    size_t issuer_count;
    unsigned missing; /* deciders still to come for the last issuer */
    struct signature *signatures;
    size_t signature_count;
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
    bool ok = str_u64(slice_str(value), &doc->version) && doc->version >= 1 &&
              value[0] != '0';
    return ok ? NULL : "must be 1 or more";
}

static const char *on_previous(struct rootdoc *doc, char *value)
{
    doc->first = strcmp(value, "none") == 0;
    if (doc->first) {
        return doc->version == 1 ? NULL
                                 : "must be the hash of the version before";
    }
    if (doc->version == 1) {
        return "must be none in version 1";
    }
    return str_unhex(value, doc->previous.b, HASH_LEN)
               ? NULL
               : "must be a SHA-256, 64 hex digits";
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

static const char *on_replaces(struct rootdoc *doc, char *value)
{
    if (doc->version == 1) {
        return "has no place in version 1, which follows none";
    }
    if (doc->issuer_count == 0 || doc->missing > 0) {
        return "comes before all deciders of its issuer";
    }
    struct rootdoc_issuer *issuer = &doc->issuers[doc->issuer_count - 1];
    if (issuer->lasts_count == ROOTDOC_LASTS_MAX) {
        return "is one too many for its issuer";
    }
    uint8_t id[8];
    struct rootdoc_last last;
    const char *incarnation = take_word(&value);
    const char *size = take_word(&value);
    bool ok = str_unhex(incarnation, id, sizeof id) &&
              str_u64(slice_str(size), &last.size) && size[0] != '0' &&
              last.size <= INT64_MAX && str_unhex(value, last.root.b, HASH_LEN);
    last.incarnation = be_get64(id);
    if (!ok || last.incarnation == 0) {
        return "must be an incarnation of 16 hex digits, a size and a root of "
               "64 hex digits";
    }
    if (issuer->lasts_count > 0 &&
        issuer->lasts[issuer->lasts_count - 1].incarnation >=
            last.incarnation) {
        return "is not in rising order of incarnation";
    }
    issuer->lasts = mem_realloc(issuer->lasts, (issuer->lasts_count + 1) *
                                                   sizeof *issuer->lasts);
    issuer->lasts[issuer->lasts_count++] = last;
    return NULL;
}

static const char *on_signature(struct rootdoc *doc, char *value)
{
    if (doc->version == 1) {
        return "has no place in version 1, which is known by its hash";
    }
    if (doc->signature_count == ROOTDOC_SIGNATURES_MAX) {
        return "is one too many";
    }
    doc->signatures = mem_realloc(doc->signatures, (doc->signature_count + 1) *
                                                       sizeof *doc->signatures);
    struct signature *s = &doc->signatures[doc->signature_count++];
    bool ok = signature_parse_value(slice_str(value), s) == ERR_OK &&
              pubkey_suite(s->key) == doc->suite;
    return ok ? NULL
              : "must be a public key of the federation's suite and a "
                "signature, both as base64";
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
    {"issuer", on_issuer, STAGE_ISSUERS, true},
    {"decider", on_decider, STAGE_ISSUERS, true},
    {"replaces", on_replaces, STAGE_ISSUERS, true},
    {"signature", on_signature, STAGE_SIGNATURES, true},
};

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
    return err_set(why, ERR_INVALID, "%s:%u: unknown line '%.40s'", doc->name,
                   number, key);
}

/* Behind the text only signatures come: comments there would be signed by
 * nobody. */
static enum err check_place(struct rootdoc *doc, int before, int stage,
                            size_t at, unsigned number, struct errmsg *why)
{
    if (stage == STAGE_SIGNATURES && before != STAGE_SIGNATURES) {
        doc->text_len = at;
        if (doc->missing > 0) {
            return err_set(why, ERR_INVALID, "%s:%u: %u deciders missing",
                           doc->name, number, doc->missing);
        }
    }
    return ERR_OK;
}

static enum err parse_text(struct rootdoc *doc, char *text, struct errmsg *why)
{
    char *start = text;
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
        if ((*line == 0 || *line == '#') && stage != STAGE_SIGNATURES) {
            continue;
        }
        int before = stage;
        enum err err = parse_line(doc, line, number, &stage, why);
        if (err == ERR_OK) {
            err = check_place(doc, before, stage, (size_t)(line - start),
                              number, why);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
    if (stage < STAGE_ISSUERS || doc->missing > 0) {
        return err_set(why, ERR_INVALID,
                       "%s: ends early (%u deciders missing); make it with "
                       "certs/make-federation.sh",
                       doc->name, doc->missing);
    }
    return ERR_OK;
}

/* Version 1 is known by its hash and may begin with a comment. */
static enum err check_begin(const struct rootdoc *doc, struct errmsg *why)
{
    size_t len = sizeof magic - 1;
    return doc->version == 1 || memcmp(doc->bytes.data, magic, len) == 0
               ? ERR_OK
               : err_set(why, ERR_INVALID, "%s:1: must begin with '%s1'",
                         doc->name, magic);
}

/* -- documents ------------------------------------------------------------ */

/* Nothing that a terminal would act on, either. */
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.data[i] < ' ' && text.data[i] != '\n') ||
            text.data[i] == 0x7f) {
            return false;
        }
    }
    return str_utf8_valid(text);
}

enum err rootdoc_parse(struct rootdoc **out, struct slice text,
                       const char *name, struct errmsg *why)
{
    *out = NULL;
    if (text.len > ROOTDOC_FILE_MAX) {
        return err_set(why, ERR_TOO_LARGE, "%s: larger than %d bytes", name,
                       (int)ROOTDOC_FILE_MAX);
    }
    if (!is_plain(text)) {
        return err_set(why, ERR_INVALID,
                       "%s: not UTF-8 text with plain line feeds", name);
    }
    struct rootdoc *doc = MEM_NEW(struct rootdoc);
    struct buf copy = BUF_INIT;
    (void)snprintf(doc->name, sizeof doc->name, "%s", name);
    doc->issuers = mem_zalloc(ROOTDOC_ISSUERS_MAX, sizeof *doc->issuers);
    buf_put_slice(&doc->bytes, text);
    doc->text_len = text.len;
    buf_put_slice(&copy, text);
    buf_put_u8(&copy, 0);
    enum err err = parse_text(doc, (char *)copy.data, why);
    buf_fini(&copy);
    if (err == ERR_OK) {
        err = check_begin(doc, why);
    }
    if (err != ERR_OK) {
        rootdoc_free(&doc);
        return err;
    }
    doc->issuers =
        mem_realloc(doc->issuers, doc->issuer_count * sizeof *doc->issuers);
    suite_hash(SUITE_INTL, rootdoc_text(doc), &doc->digest);
    str_hex(doc->digest.b, HASH_LEN, doc->hash);
    *out = doc;
    return ERR_OK;
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
            mem_free(d->issuers[i].lasts);
        }
        mem_free(d->issuers);
        for (size_t i = 0; i < d->signature_count; i++) {
            signature_fini(&d->signatures[i]);
        }
        mem_free(d->signatures);
        buf_fini(&d->bytes);
        mem_free(d);
        *doc = NULL;
    }
}

struct slice rootdoc_bytes(const struct rootdoc *doc)
{
    return buf_slice(&doc->bytes);
}

struct slice rootdoc_text(const struct rootdoc *doc)
{
    return slice_of(doc->bytes.data, doc->text_len);
}

const char *rootdoc_hash(const struct rootdoc *doc)
{
    return doc->hash;
}

const struct hash *rootdoc_digest(const struct rootdoc *doc)
{
    return &doc->digest;
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

const struct rootdoc_last *
rootdoc_find_last(const struct rootdoc_issuer *issuer, uint64_t incarnation)
{
    for (unsigned i = 0; i < issuer->lasts_count; i++) {
        if (issuer->lasts[i].incarnation == incarnation) {
            return &issuer->lasts[i];
        }
    }
    return NULL;
}

const struct rootdoc_decider *
rootdoc_find_decider(const struct rootdoc_issuer *issuer,
                     const struct hash *key_id)
{
    for (unsigned i = 0; issuer != NULL && i < issuer->count; i++) {
        if (hash_eq(&issuer->deciders[i].key_id, key_id)) {
            return &issuer->deciders[i];
        }
    }
    return NULL;
}

bool rootdoc_same_deciders(const struct rootdoc_issuer *a,
                           const struct rootdoc_issuer *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    bool same = a->threshold == b->threshold && a->count == b->count;
    for (unsigned i = 0; same && i < a->count; i++) {
        same = rootdoc_find_decider(b, &a->deciders[i].key_id) != NULL;
    }
    return same;
}

const struct rootdoc_issuer *rootdoc_keepers(const struct rootdoc *doc)
{
    return doc->issuer_count > 0 ? &doc->issuers[0] : NULL;
}

const struct rootdoc_decider *rootdoc_keeper(const struct rootdoc *doc,
                                             const struct hash *key_id)
{
    return rootdoc_find_decider(rootdoc_keepers(doc), key_id);
}

size_t rootdoc_signature_count(const struct rootdoc *doc)
{
    return doc->signature_count;
}

const struct hash *rootdoc_signer(const struct rootdoc *doc, size_t i)
{
    assert(i < doc->signature_count);
    return &doc->signatures[i].key_id;
}

/* -- one version after another -------------------------------------------- */

bool rootdoc_has_signed(const struct rootdoc *doc, const struct hash *key_id)
{
    for (size_t i = 0; i < doc->signature_count; i++) {
        if (hash_eq(&doc->signatures[i].key_id, key_id)) {
            return true;
        }
    }
    return false;
}

bool rootdoc_signature_fits(const struct rootdoc *doc, size_t i)
{
    assert(i < doc->signature_count);
    return signature_fits(&doc->signatures[i], doc->suite, rootdoc_text(doc));
}

static enum err check_fits(const struct rootdoc *doc, size_t i,
                           struct errmsg *why)
{
    char id[2 * HASH_LEN + 1];
    if (rootdoc_signature_fits(doc, i)) {
        return ERR_OK;
    }
    str_hex(doc->signatures[i].key_id.b, HASH_LEN, id);
    return err_set(why, ERR_BAD_SIGNATURE,
                   "%s: the signature of the key %.16s does not fit; the text "
                   "was changed after it was signed",
                   doc->name, id);
}

enum err rootdoc_check_signatures(const struct rootdoc *doc, struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < doc->signature_count; i++) {
        err = check_fits(doc, i, why);
    }
    return err;
}

/* All of them fit, and each is by a keeper of one of the two. */
static enum err check_signatures(const struct rootdoc *next,
                                 const struct rootdoc *doc, struct errmsg *why)
{
    for (size_t i = 0; i < next->signature_count; i++) {
        const struct signature *s = &next->signatures[i];
        char id[2 * HASH_LEN + 1];
        str_hex(s->key_id.b, HASH_LEN, id);
        if (rootdoc_keeper(doc, &s->key_id) == NULL &&
            rootdoc_keeper(next, &s->key_id) == NULL) {
            return err_set(why, ERR_BAD_SIGNATURE,
                           "%s: signed by the key %.16s, which keeps neither "
                           "version %llu nor %llu",
                           next->name, id, (unsigned long long)doc->version,
                           (unsigned long long)next->version);
        }
        enum err err = check_fits(next, i, why);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

/* At least k keepers of `by` have signed `next`. */
static enum err check_threshold(const struct rootdoc *next,
                                const struct rootdoc *by, struct errmsg *why)
{
    const struct rootdoc_issuer *keepers = rootdoc_keepers(by);
    struct buf names = BUF_INIT;
    unsigned signed_by = 0;
    for (unsigned i = 0; keepers != NULL && i < keepers->count; i++) {
        if (rootdoc_has_signed(next, &keepers->deciders[i].key_id)) {
            signed_by++;
        } else {
            buf_putf(&names, "%s%s", names.len > 0 ? ", " : "",
                     keepers->deciders[i].name);
        }
    }
    enum err err = ERR_OK;
    if (keepers == NULL) {
        err = err_set(why, ERR_BAD_SIGNATURE,
                      "%s: version %llu names no issuer, so nobody can sign "
                      "another",
                      next->name, (unsigned long long)by->version);
    } else if (signed_by < keepers->threshold) {
        err = err_set(why, ERR_BAD_SIGNATURE,
                      "%s: %u of the %u signatures that version %llu asks for; "
                      "to be asked: %.200s",
                      next->name, signed_by, keepers->threshold,
                      (unsigned long long)by->version, buf_cstr(&names));
    }
    buf_fini(&names);
    return err;
}

enum err rootdoc_continues(const struct rootdoc *next,
                           const struct rootdoc *doc, struct errmsg *why)
{
    if (strcmp(next->federation, doc->federation) != 0 ||
        next->suite != doc->suite) {
        return err_set(why, ERR_CONFLICT,
                       "%s: of federation '%s' (suite %s), not of '%s' (suite "
                       "%s); neither ever changes",
                       next->name, next->federation, suite_name(next->suite),
                       doc->federation, suite_name(doc->suite));
    }
    if (next->version != doc->version + 1) {
        return err_set(why, ERR_GAP, "%s: version %llu, expected %llu: %s",
                       next->name, (unsigned long long)next->version,
                       (unsigned long long)doc->version + 1,
                       next->version > doc->version
                           ? "publish those between first"
                           : "it is in force already, or older");
    }
    if (!hash_eq(&next->previous, &doc->digest)) {
        return err_set(why, ERR_CONFLICT,
                       "%s: follows another version %llu than %.16s",
                       next->name, (unsigned long long)doc->version, doc->hash);
    }
    return ERR_OK;
}

enum err rootdoc_follows(const struct rootdoc *next, const struct rootdoc *doc,
                         struct errmsg *why)
{
    enum err err = rootdoc_continues(next, doc, why);
    if (err == ERR_OK) {
        err = check_signatures(next, doc, why);
    }
    if (err == ERR_OK) {
        err = check_threshold(next, doc, why);
    }
    return err == ERR_OK ? check_threshold(next, next, why) : err;
}

enum err rootdoc_sign(const struct rootdoc *doc, const struct key *key,
                      struct buf *line, struct errmsg *why)
{
    if (doc->version == 1) {
        return err_set(why, ERR_INVALID,
                       "%s: version 1 is not signed: its hash stands in every "
                       "node's configuration",
                       doc->name);
    }
    if (signature_put(key, doc->suite, rootdoc_text(doc), line) != ERR_OK) {
        return err_set(why, ERR_INVALID,
                       "the key is not one of suite %s, the federation's",
                       suite_name(doc->suite));
    }
    return ERR_OK;
}

enum err rootdoc_load_ca(const char *path, struct hash *out, struct errmsg *why)
{
    struct buf pem = BUF_INIT;
    STACK_OF(X509) *certs = NULL;
    enum err err = x509_load_pem(path, 1, &pem, &certs, why);
    if (err == ERR_OK) {
        x509_fingerprint(sk_X509_value(certs, 0), out->b);
    }
    x509_free_all(&certs);
    buf_fini(&pem);
    return err;
}
