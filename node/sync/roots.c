#include "sync/roots.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

/* `theirs` is the hash of the peer's text of the version of `ours`. */
static enum err forked(const struct sync_env *env, const struct principal *peer,
                       const uint8_t theirs[HASH_LEN],
                       const struct rootdoc *ours, struct errmsg *why)
{
    uint64_t version = rootdoc_version(ours);
    char hex[2 * HASH_LEN + 1];
    char text[256];
    str_hex(theirs, HASH_LEN, hex);
    enum err err = err_set(
        why, ERR_FORKED,
        "another root document version %llu than this node's: hash %s, this "
        "node's %s; find out with the federation who signed two",
        (unsigned long long)version, hex, rootdoc_hash(ours));
    (void)snprintf(text, sizeof text,
                   "the node %012llu says it has another root document "
                   "version %llu",
                   (unsigned long long)peer->code, (unsigned long long)version);
    rootchain_note_fork(env->roots, peer->code, text);
    log_error(env->log, "ROOT-FORKED", "peer=%012llu version=%llu text=\"%s\"",
              (unsigned long long)peer->code, (unsigned long long)version,
              why->text);
    return err;
}

/* What stands in a Hello of a build that knew version 1 only is 0. */
static uint64_t version_of(const struct wire_hello *hello)
{
    return hello->root_version == 0 ? 1 : hello->root_version;
}

static bool is_hash(const struct rootdoc *doc, struct slice hash)
{
    return slice_eq(hash, slice_of(rootdoc_digest(doc)->b, HASH_LEN));
}

enum err roots_greeted(struct roots *roots, const struct sync_env *env,
                       const struct principal *peer,
                       const struct wire_hello *hello, uint64_t *has,
                       struct errmsg *why)
{
    uint64_t version = version_of(hello);
    const struct rootdoc *ours = rootchain_at(env->roots, version);
    if (hello->root_document.len != HASH_LEN) {
        return err_set(why, ERR_PROTOCOL, "Hello.root_document: not a hash");
    }
    if (ours != NULL && !is_hash(ours, hello->root_document)) {
        return forked(env, peer, hello->root_document.data, ours, why);
    }
    *has = version;
    if (ours == NULL) {
        roots->awaited = version;
        memcpy(roots->awaited_hash.b, hello->root_document.data, HASH_LEN);
    } else {
        rootchain_agrees(env->roots, peer->code);
    }
    return ERR_OK;
}

enum err roots_take(struct roots *roots, const struct sync_env *env,
                    const struct principal *peer,
                    const struct wire_root_document *message, uint64_t *has,
                    struct errmsg *why)
{
    char from[32];
    bool added;
    (void)roots;
    (void)snprintf(from, sizeof from, "%012llu",
                   (unsigned long long)peer->code);
    enum err err =
        rootchain_add(env->roots, message->text, from, &added, has, why);
    if (err == ERR_FORKED) {
        rootchain_note_fork(env->roots, peer->code, why->text);
        log_error(env->log, "ROOT-FORKED", "peer=%s text=\"%s\"", from,
                  why->text);
    } else if (err != ERR_OK) {
        log_warn(env->log, "ROOT-REFUSED", "peer=%s text=\"%s\"", from,
                 why->text);
    } else if (added) {
        log_info(env->log, "ROOT-VERSION", "version=%llu from=%s",
                 (unsigned long long)*has, from);
    }
    return err;
}

/* What a document may say something about. */
static bool waits(enum wire_kind kind)
{
    return kind == WIRE_HAVE || kind == WIRE_SEGMENT || kind == WIRE_EVIDENCE;
}

enum err roots_settled(struct roots *roots, const struct sync_env *env,
                       const struct principal *peer, enum wire_kind kind,
                       struct errmsg *why)
{
    uint64_t version = roots->awaited;
    if (version == 0 || !waits(kind)) {
        return ERR_OK;
    }
    const struct rootdoc *doc = rootchain_at(env->roots, version);
    if (doc == NULL) {
        return err_set(why, ERR_PROTOCOL,
                       "root document version %llu was announced and did not "
                       "come first",
                       (unsigned long long)version);
    }
    if (!is_hash(doc, slice_of(roots->awaited_hash.b, HASH_LEN))) {
        return forked(env, peer, roots->awaited_hash.b, doc, why);
    }
    roots->awaited = 0;
    rootchain_agrees(env->roots, peer->code);
    return ERR_OK;
}

bool roots_next(struct roots *roots, const struct sync_env *env,
                void (*put)(struct buf *out, struct slice text),
                struct buf *message)
{
    const struct rootdoc *doc =
        roots->has == 0 ? NULL : rootchain_at(env->roots, roots->has + 1);
    if (doc == NULL) {
        return false;
    }
    put(message, rootdoc_bytes(doc));
    roots->has++;
    return true;
}
