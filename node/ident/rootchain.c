#include "ident/rootchain.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { PATH_LEN = 4096, FILE_MODE = 0644 };

struct fork {
    uint64_t peer;
    char text[256]; /* "": free */
};

/* Of a line `replaces`. */
struct end {
    uint64_t code;
    struct rootdoc_last last;
};

struct rootchain {
    pthread_mutex_t lock;
    struct rootdoc *docs[ROOTCHAIN_VERSIONS_MAX]; /* of version i + 1 */
    size_t count;
    struct end *ends; /* of all of them: each entry that comes is asked about */
    size_t ends_n;
    rootchain_watch_fn *watch;
    void *watch_ctx;
    struct fork forks[ROOTCHAIN_FORKS_MAX];
    char folder[PATH_LEN];
};

static bool version_path(const struct rootchain *chain, uint64_t version,
                         char out[PATH_LEN])
{
    int n = snprintf(out, PATH_LEN, "%s/%08llu", chain->folder,
                     (unsigned long long)version);
    return n < PATH_LEN;
}

/* Lock held, or before there are other threads. */
static void keep(struct rootchain *chain, struct rootdoc *doc)
{
    chain->docs[chain->count++] = doc;
    for (size_t i = 0; i < rootdoc_issuer_count(doc); i++) {
        const struct rootdoc_issuer *issuer = rootdoc_issuer(doc, i);
        for (unsigned k = 0; k < issuer->lasts_count; k++) {
            chain->ends = mem_realloc(chain->ends, (chain->ends_n + 1) *
                                                       sizeof *chain->ends);
            chain->ends[chain->ends_n++] =
                (struct end){issuer->code, issuer->lasts[k]};
        }
    }
}

/* ---- opening ---- */

static enum err load_first(struct rootchain *chain, const char *path,
                           const char *expected, struct errmsg *why)
{
    struct rootdoc *doc = NULL;
    enum err err = rootdoc_load(&doc, path, why);
    if (err == ERR_OK) {
        err = rootdoc_check(doc, expected, why);
    }
    if (err == ERR_OK && rootdoc_version(doc) != 1) {
        err = err_set(why, ERR_CONF,
                      "%s: version %llu of the root document; name version 1 "
                      "here, later ones come by themselves",
                      path, (unsigned long long)rootdoc_version(doc));
    }
    if (err != ERR_OK) {
        rootdoc_free(&doc);
        return err;
    }
    keep(chain, doc);
    return ERR_OK;
}

/* The version after `last` in the folder. ERR_NOT_FOUND: it was the last one;
 * ERR_CONF: it does not follow. */
static enum err load_after(const struct rootchain *chain,
                           const struct rootdoc *last, struct rootdoc **out,
                           struct errmsg *why)
{
    char path[PATH_LEN];
    struct buf bytes = BUF_INIT;
    *out = NULL;
    if (!version_path(chain, rootdoc_version(last) + 1, path)) {
        return err_set(why, ERR_CONF, "%s: path too long", chain->folder);
    }
    enum err err = file_read(path, ROOTDOC_FILE_MAX, &bytes, why);
    if (err == ERR_OK) {
        err = rootdoc_parse(out, buf_slice(&bytes), path, why);
        if (err == ERR_OK) {
            err = rootdoc_follows(*out, last, why);
        }
        err = err == ERR_OK ? ERR_OK : ERR_CONF;
    }
    buf_fini(&bytes);
    if (err != ERR_OK) {
        rootdoc_free(out);
    }
    return err;
}

enum err rootchain_open(struct rootchain **out, const char *first_path,
                        const char *expected, const char *folder,
                        struct errmsg *why)
{
    struct rootchain *chain = MEM_NEW(struct rootchain);
    (void)pthread_mutex_init(&chain->lock, NULL);
    int n = snprintf(chain->folder, sizeof chain->folder, "%s", folder);
    enum err err = n < PATH_LEN
                       ? load_first(chain, first_path, expected, why)
                       : err_set(why, ERR_CONF, "%s: path too long", folder);
    while (err == ERR_OK && chain->count < ROOTCHAIN_VERSIONS_MAX) {
        struct rootdoc *next;
        err = load_after(chain, chain->docs[chain->count - 1], &next, why);
        if (err == ERR_OK) {
            keep(chain, next);
        }
    }
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        rootchain_free(&chain);
        *out = NULL;
        return ERR_CONF;
    }
    *out = chain;
    return ERR_OK;
}

void rootchain_free(struct rootchain **chain)
{
    struct rootchain *c = *chain;
    *chain = NULL;
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        rootdoc_free(&c->docs[i]);
    }
    mem_free(c->ends);
    (void)pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

/* ---- asking ---- */

const struct rootdoc *rootchain_newest(struct rootchain *chain)
{
    (void)pthread_mutex_lock(&chain->lock);
    const struct rootdoc *doc = chain->docs[chain->count - 1];
    (void)pthread_mutex_unlock(&chain->lock);
    return doc;
}

const struct rootdoc *rootchain_at(struct rootchain *chain, uint64_t version)
{
    (void)pthread_mutex_lock(&chain->lock);
    const struct rootdoc *doc = version >= 1 && version <= chain->count
                                    ? chain->docs[version - 1]
                                    : NULL;
    (void)pthread_mutex_unlock(&chain->lock);
    return doc;
}

bool rootchain_is_issuer(struct rootchain *chain, uint64_t code)
{
    return rootdoc_find_issuer(rootchain_newest(chain), code) != NULL;
}

bool rootchain_was_issuer(struct rootchain *chain, uint64_t code)
{
    const struct rootdoc *doc;
    bool found = false;
    for (uint64_t v = 1; !found && (doc = rootchain_at(chain, v)) != NULL;
         v++) {
        found = rootdoc_find_issuer(doc, code) != NULL;
    }
    return found;
}

/* Lock held. What was noted of the peer, or NULL. */
static struct fork *find_fork(struct rootchain *chain, uint64_t peer)
{
    for (size_t i = 0; i < ROOTCHAIN_FORKS_MAX; i++) {
        if (chain->forks[i].text[0] != 0 && chain->forks[i].peer == peer) {
            return &chain->forks[i];
        }
    }
    return NULL;
}

/* Lock held. One with text, or without; NULL: there is none. */
static struct fork *any_fork(struct rootchain *chain, bool noted)
{
    for (size_t i = 0; i < ROOTCHAIN_FORKS_MAX; i++) {
        if ((chain->forks[i].text[0] != 0) == noted) {
            return &chain->forks[i];
        }
    }
    return NULL;
}

void rootchain_note_fork(struct rootchain *chain, uint64_t peer,
                         const char *text)
{
    (void)pthread_mutex_lock(&chain->lock);
    struct fork *fork = find_fork(chain, peer);
    fork = fork != NULL ? fork : any_fork(chain, false);
    if (fork != NULL) {
        fork->peer = peer;
        (void)snprintf(fork->text, sizeof fork->text, "%s", text);
    }
    (void)pthread_mutex_unlock(&chain->lock);
}

void rootchain_agrees(struct rootchain *chain, uint64_t peer)
{
    (void)pthread_mutex_lock(&chain->lock);
    struct fork *fork = find_fork(chain, peer);
    if (fork != NULL) {
        fork->text[0] = 0;
    }
    (void)pthread_mutex_unlock(&chain->lock);
}

void rootchain_fork(struct rootchain *chain, struct errmsg *out)
{
    (void)pthread_mutex_lock(&chain->lock);
    const struct fork *fork = any_fork(chain, true);
    (void)snprintf(out->text, sizeof out->text, "%s",
                   fork != NULL ? fork->text : "");
    (void)pthread_mutex_unlock(&chain->lock);
}

void rootchain_watch(struct rootchain *chain, rootchain_watch_fn *fn, void *ctx)
{
    (void)pthread_mutex_lock(&chain->lock);
    chain->watch = fn;
    chain->watch_ctx = ctx;
    (void)pthread_mutex_unlock(&chain->lock);
}

bool rootchain_next_last(struct rootchain *chain, uint64_t code,
                         uint64_t incarnation, size_t *at,
                         struct rootdoc_last *out)
{
    bool found = false;
    (void)pthread_mutex_lock(&chain->lock);
    while (!found && *at < chain->ends_n) {
        const struct end *e = &chain->ends[(*at)++];
        found = e->code == code && e->last.incarnation == incarnation;
        *out = e->last;
    }
    (void)pthread_mutex_unlock(&chain->lock);
    return found;
}

const struct rootdoc_issuer *
rootchain_issuer_for(struct rootchain *chain, uint64_t code,
                     uint64_t incarnation, uint64_t number,
                     rootchain_is_of_fn *is_of, void *ctx)
{
    const struct rootdoc *doc = rootchain_newest(chain);
    const struct rootdoc_issuer *issuer = rootdoc_find_issuer(doc, code);
    for (uint64_t v = rootdoc_version(doc); v > 1; v--) {
        const struct rootdoc_issuer *before =
            rootdoc_find_issuer(rootchain_at(chain, v - 1), code);
        const struct rootdoc_last *last =
            issuer != NULL ? rootdoc_find_last(issuer, incarnation) : NULL;
        bool covered = last != NULL && number <= last->size &&
                       (is_of == NULL || is_of(ctx, last));
        if (!rootdoc_same_deciders(issuer, before) && !covered) {
            break;
        }
        issuer = before;
    }
    return issuer;
}

/* ---- adding ---- */

/* Lock held. `*known`: this version is here already. Only a text that would
 * have been taken in the place of ours shows a fork: anybody can write one.
 */
static enum err compare_known(const struct rootchain *chain,
                              const struct rootdoc *doc, const char *from,
                              bool *known, struct errmsg *why)
{
    uint64_t version = rootdoc_version(doc);
    *known = version <= chain->count;
    if (!*known) {
        return ERR_OK;
    }
    const struct rootdoc *ours = chain->docs[version - 1];
    if (strcmp(rootdoc_hash(doc), rootdoc_hash(ours)) == 0) {
        return ERR_OK;
    }
    struct errmsg what = {"version 1 is known by its hash, and by no other"};
    enum err err = version == 1
                       ? ERR_CONFLICT
                       : rootdoc_follows(doc, chain->docs[version - 2], &what);
    if (err != ERR_OK) {
        return err_set(why, err, "%s: another text of version %llu: %.*s", from,
                       (unsigned long long)version, (int)sizeof what.text,
                       what.text);
    }
    return err_set(why, ERR_FORKED,
                   "%s: version %llu has the hash %s, this node's has %s; find "
                   "out with the federation who signed two",
                   from, (unsigned long long)version, rootdoc_hash(doc),
                   rootdoc_hash(ours));
}

/* Lock held: what is added next must follow what is durable. */
static enum err put(struct rootchain *chain, struct rootdoc **doc,
                    struct errmsg *why)
{
    char path[PATH_LEN];
    if (chain->count == ROOTCHAIN_VERSIONS_MAX ||
        !version_path(chain, chain->count + 1, path)) {
        return err_set(why, ERR_TOO_LARGE,
                       "%s: holds as many versions as this build takes, %d",
                       chain->folder, (int)ROOTCHAIN_VERSIONS_MAX);
    }
    enum err err = rootdoc_follows(*doc, chain->docs[chain->count - 1], why);
    if (err == ERR_OK) {
        err = file_make_dirs(chain->folder, why);
    }
    if (err == ERR_OK) {
        err = file_replace(path, rootdoc_bytes(*doc), FILE_MODE, why);
    }
    if (err == ERR_OK) {
        keep(chain, *doc);
        *doc = NULL;
    }
    return err;
}

enum err rootchain_add(struct rootchain *chain, struct slice bytes,
                       const char *from, bool *added, uint64_t *version,
                       struct errmsg *why)
{
    struct rootdoc *doc = NULL;
    bool known = false;
    *added = false;
    enum err err = rootdoc_parse(&doc, bytes, from, why);
    if (err != ERR_OK) {
        return err;
    }
    const struct rootdoc *kept = doc;
    *version = rootdoc_version(doc);
    (void)pthread_mutex_lock(&chain->lock);
    err = compare_known(chain, doc, from, &known, why);
    if (err == ERR_OK && !known) {
        err = put(chain, &doc, why);
        *added = err == ERR_OK;
    }
    rootchain_watch_fn *watch = *added ? chain->watch : NULL;
    void *ctx = chain->watch_ctx;
    (void)pthread_mutex_unlock(&chain->lock);
    if (watch != NULL) {
        watch(ctx, kept);
    }
    rootdoc_free(&doc);
    return err;
}

/* ---- beside the process that adds ---- */

/* False: another thread was first. */
static bool take_in(struct rootchain *chain, struct rootdoc *doc)
{
    (void)pthread_mutex_lock(&chain->lock);
    bool next = rootdoc_version(doc) == chain->count + 1;
    if (next) {
        keep(chain, doc);
    }
    rootchain_watch_fn *watch = next ? chain->watch : NULL;
    void *ctx = chain->watch_ctx;
    (void)pthread_mutex_unlock(&chain->lock);
    if (watch != NULL) {
        watch(ctx, doc);
    }
    return next;
}

enum err rootchain_look(struct rootchain *chain, struct errmsg *why)
{
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        const struct rootdoc *last = rootchain_newest(chain);
        struct rootdoc *next = NULL;
        err = rootdoc_version(last) < ROOTCHAIN_VERSIONS_MAX
                  ? load_after(chain, last, &next, why)
                  : ERR_NOT_FOUND;
        if (err == ERR_OK && !take_in(chain, next)) {
            rootdoc_free(&next);
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
