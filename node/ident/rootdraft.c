#include "ident/rootdraft.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ident/ident.h"

enum { PREFIX_MIN = 8 };

struct draft_issuer {
    uint64_t code;
    unsigned threshold;
    unsigned count;
    struct rootdoc_decider deciders[ROOTDOC_DECIDERS_MAX];
    struct rootdoc_last lasts[ROOTDOC_LASTS_MAX]; /* in order */
    unsigned lasts_count;
};

struct rootdraft {
    char federation[FEDERATION_MAX + 1];
    enum suite suite;
    uint64_t version;
    char previous[2 * HASH_LEN + 1];
    struct hash cas[ROOTDOC_CAS_MAX];
    size_t ca_count;
    struct draft_issuer *issuers[ROOTDOC_ISSUERS_MAX];
    size_t issuer_count;
};

static struct draft_issuer *copy_issuer(const struct rootdoc_issuer *from)
{
    struct draft_issuer *issuer = MEM_NEW(struct draft_issuer);
    issuer->code = from->code;
    issuer->threshold = from->threshold;
    issuer->count = from->count;
    memcpy(issuer->deciders, from->deciders,
           from->count * sizeof from->deciders[0]);
    return issuer;
}

struct rootdraft *rootdraft_new(const struct rootdoc *from)
{
    struct rootdraft *d = MEM_NEW(struct rootdraft);
    memcpy(d->federation, rootdoc_federation(from),
           strlen(rootdoc_federation(from)) + 1);
    d->suite = rootdoc_suite(from);
    d->version = rootdoc_version(from) + 1;
    memcpy(d->previous, rootdoc_hash(from), sizeof d->previous);
    d->ca_count = rootdoc_ca_count(from);
    for (size_t i = 0; i < d->ca_count; i++) {
        d->cas[i] = *rootdoc_ca(from, i);
    }
    d->issuer_count = rootdoc_issuer_count(from);
    for (size_t i = 0; i < d->issuer_count; i++) {
        d->issuers[i] = copy_issuer(rootdoc_issuer(from, i));
    }
    return d;
}

void rootdraft_free(struct rootdraft **draft)
{
    struct rootdraft *d = *draft;
    *draft = NULL;
    for (size_t i = 0; d != NULL && i < d->issuer_count; i++) {
        mem_free(d->issuers[i]);
    }
    mem_free(d);
}

static void put_issuer(const struct draft_issuer *issuer, struct buf *out)
{
    char code[CODE_LEN + 1];
    char hex[2 * HASH_LEN + 1];
    code_format(issuer->code, code);
    buf_putf(out, "issuer %s %u %u\n", code, issuer->threshold, issuer->count);
    for (unsigned i = 0; i < issuer->count; i++) {
        str_hex(issuer->deciders[i].key_id.b, HASH_LEN, hex);
        buf_putf(out, "decider %s %s\n", hex, issuer->deciders[i].name);
    }
    for (unsigned i = 0; i < issuer->lasts_count; i++) {
        str_hex(issuer->lasts[i].root.b, HASH_LEN, hex);
        buf_putf(out, "replaces %016llx %llu %s\n",
                 (unsigned long long)issuer->lasts[i].incarnation,
                 (unsigned long long)issuer->lasts[i].size, hex);
    }
}

void rootdraft_put(const struct rootdraft *d, struct buf *out)
{
    char hex[2 * HASH_LEN + 1];
    buf_putf(out,
             "creditnode-root 1\nfederation %s\nsuite %s\nversion %llu\n"
             "previous %s\n",
             d->federation, suite_name(d->suite),
             (unsigned long long)d->version, d->previous);
    for (size_t i = 0; i < d->ca_count; i++) {
        str_hex(d->cas[i].b, HASH_LEN, hex);
        buf_putf(out, "ca %s\n", hex);
    }
    for (size_t i = 0; i < d->issuer_count; i++) {
        put_issuer(d->issuers[i], out);
    }
}

void rootdraft_put_next(const struct rootdoc *from, struct buf *out)
{
    struct rootdraft *d = rootdraft_new(from);
    rootdraft_put(d, out);
    rootdraft_free(&d);
}

/* -- issuers -------------------------------------------------------------- */

/* Its place, or issuer_count. */
static size_t place_of(const struct rootdraft *d, uint64_t code)
{
    size_t i = 0;
    while (i < d->issuer_count && d->issuers[i]->code != code) {
        i++;
    }
    return i;
}

/* NULL, and `why` says so: ERR_NOT_FOUND. */
static struct draft_issuer *find_issuer(const struct rootdraft *d,
                                        uint64_t code, struct errmsg *why)
{
    size_t i = place_of(d, code);
    if (i < d->issuer_count) {
        return d->issuers[i];
    }
    (void)err_set(why, ERR_NOT_FOUND, "%012llu issues nothing",
                  (unsigned long long)code);
    return NULL;
}

enum err rootdraft_add_issuer(struct rootdraft *d, uint64_t code,
                              unsigned threshold, struct errmsg *why)
{
    if (place_of(d, code) < d->issuer_count) {
        return err_set(why, ERR_EXISTS, "%012llu is an issuer already",
                       (unsigned long long)code);
    }
    if (d->issuer_count == ROOTDOC_ISSUERS_MAX) {
        return err_set(why, ERR_TOO_LARGE, "%d issuers are the most",
                       (int)ROOTDOC_ISSUERS_MAX);
    }
    struct draft_issuer *issuer = MEM_NEW(struct draft_issuer);
    issuer->code = code;
    issuer->threshold = threshold;
    d->issuers[d->issuer_count++] = issuer;
    return ERR_OK;
}

enum err rootdraft_remove_issuer(struct rootdraft *d, uint64_t code,
                                 struct errmsg *why)
{
    struct draft_issuer *issuer = find_issuer(d, code, why);
    if (issuer == NULL) {
        return ERR_NOT_FOUND;
    }
    size_t at = place_of(d, code);
    memmove(d->issuers + at, d->issuers + at + 1,
            (d->issuer_count - at - 1) * sizeof d->issuers[0]);
    d->issuer_count--;
    mem_free(issuer);
    return ERR_OK;
}

enum err rootdraft_set_threshold(struct rootdraft *d, uint64_t code,
                                 unsigned threshold, struct errmsg *why)
{
    struct draft_issuer *issuer = find_issuer(d, code, why);
    if (issuer == NULL) {
        return ERR_NOT_FOUND;
    }
    issuer->threshold = threshold;
    return ERR_OK;
}

/* -- deciders ------------------------------------------------------------- */

enum err rootdraft_add_decider(struct rootdraft *d, uint64_t code,
                               const struct hash *key_id, const char *name,
                               struct errmsg *why)
{
    struct draft_issuer *issuer = find_issuer(d, code, why);
    if (issuer == NULL) {
        return ERR_NOT_FOUND;
    }
    size_t len = strlen(name);
    if (len == 0 || len > ROOTDOC_NAME_MAX ||
        issuer->count == ROOTDOC_DECIDERS_MAX) {
        return err_set(why, ERR_TOO_LARGE,
                       "a name of 1 to %d bytes, and at most %d deciders",
                       (int)ROOTDOC_NAME_MAX, (int)ROOTDOC_DECIDERS_MAX);
    }
    for (unsigned i = 0; i < issuer->count; i++) {
        if (hash_eq(&issuer->deciders[i].key_id, key_id) ||
            strcmp(issuer->deciders[i].name, name) == 0) {
            return err_set(why, ERR_EXISTS,
                           "key or name is that of the decider '%s' already",
                           issuer->deciders[i].name);
        }
    }
    struct rootdoc_decider *decider = &issuer->deciders[issuer->count++];
    decider->key_id = *key_id;
    memcpy(decider->name, name, len + 1);
    return ERR_OK;
}

static bool begins(const struct hash *id, const char *prefix)
{
    char hex[2 * HASH_LEN + 1];
    size_t len = strlen(prefix);
    str_hex(id->b, HASH_LEN, hex);
    return len >= PREFIX_MIN && len < sizeof hex &&
           strncmp(hex, prefix, len) == 0;
}

enum err rootdraft_remove_decider(struct rootdraft *d, uint64_t code,
                                  const char *who, struct errmsg *why)
{
    struct draft_issuer *issuer = find_issuer(d, code, why);
    unsigned found = 0;
    unsigned at = 0;
    if (issuer == NULL) {
        return ERR_NOT_FOUND;
    }
    for (unsigned i = 0; i < issuer->count; i++) {
        if (strcmp(issuer->deciders[i].name, who) == 0 ||
            begins(&issuer->deciders[i].key_id, who)) {
            found++;
            at = i;
        }
    }
    if (found != 1) {
        return err_set(why, found == 0 ? ERR_NOT_FOUND : ERR_INVALID,
                       "'%s' names %s decider of %012llu; give a name or %d or "
                       "more digits of a key id",
                       who, found == 0 ? "no" : "more than one",
                       (unsigned long long)code, (int)PREFIX_MIN);
    }
    memmove(issuer->deciders + at, issuer->deciders + at + 1,
            (issuer->count - at - 1) * sizeof issuer->deciders[0]);
    issuer->count--;
    return ERR_OK;
}

enum err rootdraft_set_last(struct rootdraft *d, uint64_t code,
                            const struct rootdoc_last *last, struct errmsg *why)
{
    struct draft_issuer *issuer = find_issuer(d, code, why);
    if (issuer == NULL) {
        return ERR_NOT_FOUND;
    }
    unsigned at = 0;
    while (at < issuer->lasts_count &&
           issuer->lasts[at].incarnation < last->incarnation) {
        at++;
    }
    bool there = at < issuer->lasts_count &&
                 issuer->lasts[at].incarnation == last->incarnation;
    if (!there && issuer->lasts_count == ROOTDOC_LASTS_MAX) {
        return err_set(why, ERR_TOO_LARGE, "%d logs of one issuer are the most",
                       (int)ROOTDOC_LASTS_MAX);
    }
    if (!there) {
        memmove(issuer->lasts + at + 1, issuer->lasts + at,
                (issuer->lasts_count - at) * sizeof issuer->lasts[0]);
        issuer->lasts_count++;
    }
    issuer->lasts[at] = *last;
    return ERR_OK;
}

/* -- CAs ------------------------------------------------------------------ */

enum err rootdraft_add_ca(struct rootdraft *d, const struct hash *id,
                          struct errmsg *why)
{
    for (size_t i = 0; i < d->ca_count; i++) {
        if (hash_eq(&d->cas[i], id)) {
            return err_set(why, ERR_EXISTS, "that CA is named already");
        }
    }
    if (d->ca_count == ROOTDOC_CAS_MAX) {
        return err_set(why, ERR_TOO_LARGE, "%d CAs are the most",
                       (int)ROOTDOC_CAS_MAX);
    }
    d->cas[d->ca_count++] = *id;
    return ERR_OK;
}

enum err rootdraft_remove_ca(struct rootdraft *d, const char *prefix,
                             struct errmsg *why)
{
    size_t found = 0;
    size_t at = 0;
    for (size_t i = 0; i < d->ca_count; i++) {
        if (begins(&d->cas[i], prefix)) {
            found++;
            at = i;
        }
    }
    if (found != 1) {
        return err_set(why, found == 0 ? ERR_NOT_FOUND : ERR_INVALID,
                       "'%s' names %s CA; give %d or more digits of its id",
                       prefix, found == 0 ? "no" : "more than one",
                       (int)PREFIX_MIN);
    }
    memmove(d->cas + at, d->cas + at + 1,
            (d->ca_count - at - 1) * sizeof d->cas[0]);
    d->ca_count--;
    return ERR_OK;
}
