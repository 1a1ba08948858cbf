#include "sync/hello.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "ident/rootchain.h"
#include "sync/ancestry.h"
#include "sync/roster.h"

enum err admit_node(const struct sync_env *env, const struct principal *peer,
                    struct errmsg *why)
{
    if (peer->kind != PRINCIPAL_NODE) {
        return err_set(why, ERR_DENIED, "%s is no node", peer->name);
    }
    /* Two federations may share a CA; a Hello says it too late. */
    if (principal_check_federation(peer, trust_federation(env->trust), why) !=
        ERR_OK) {
        return ERR_DENIED;
    }
    if (trust_is_revoked(env->trust, peer->fingerprint)) {
        return err_set(why, ERR_DENIED,
                       "the certificate of %012llu was revoked",
                       (unsigned long long)peer->code);
    }
    /* TLS looked when the connection was made; calls on it come later. */
    if (peer->not_after_ms <= clock_wall_ms()) {
        return err_set(why, ERR_DENIED,
                       "the certificate of %012llu has expired",
                       (unsigned long long)peer->code);
    }
    return roster_check(env->roster, peer->code, why);
}

enum err admit_child(const struct sync_env *env, const struct principal *peer,
                     struct errmsg *why)
{
    enum err err = admit_node(env, peer, why);
    uint64_t parent;
    if (err == ERR_OK && !env->is_child(env->ctx, peer)) {
        return roster_parent(env->roster, peer->code, &parent)
                   ? err_set(why, ERR_MOVED,
                             "%012llu moved to %012llu: set parent.address and "
                             "parent.code there",
                             (unsigned long long)peer->code,
                             (unsigned long long)parent)
                   : err_set(why, ERR_DENIED,
                             "%012llu is no child of %012llu: list it under "
                             "`children` there, or correct its parent.address",
                             (unsigned long long)peer->code,
                             (unsigned long long)env->self.code);
    }
    return err;
}

uint64_t admit_generation(const struct sync_env *env)
{
    return trust_generation(env->trust) + roster_generation(env->roster);
}

int64_t hello_ahead_ms(const struct wire_hello *hello)
{
    const uint64_t max = (uint64_t)1 << 53; /* its differences fit */
    uint64_t clock_ms = hello->clock_ms < max ? hello->clock_ms : max;
    return (int64_t)clock_ms - clock_mono_ms();
}

int64_t hello_skew_ms(int64_t ahead_ms)
{
    return ahead_ms + clock_mono_ms() - clock_wall_ms();
}

void hello_put(const struct sync_env *env, uint64_t window, struct buf *out)
{
    const struct rootdoc *root = rootchain_newest(env->roots);
    struct wire_hello hello = {
        .protocol = WIRE_PROTOCOL,
        .suite = slice_str(suite_name(trust_suite(env->trust))),
        .federation = slice_str(trust_federation(env->trust)),
        .root_document = slice_of(rootdoc_digest(root)->b, HASH_LEN),
        .root_version = rootdoc_version(root),
        .code = env->self.code,
        .version = slice_str(env->version),
        .clock_ms = (uint64_t)clock_wall_ms(),
        .window = window,
    };
    struct slice chains[WIRE_CHAINS_MAX + 1];
    struct buf above = BUF_INIT;
    size_t n = 0;
    if (window != 0) {
        const struct identity *sealing = atomic_load(&env->sealing);
        if (sealing != NULL) {
            chains[n++] = buf_slice(&sealing->chain);
        }
        n += ancestry_get(env->ancestry, &above, chains + n);
        n = n < WIRE_CHAINS_MAX ? n : WIRE_CHAINS_MAX;
    }
    wire_put_hello(out, &hello, chains, n);
    buf_fini(&above);
}

static bool is_text(struct slice s, const char *text)
{
    return slice_eq(s, slice_str(text));
}

enum err hello_check(const struct sync_env *env, const struct wire_hello *hello,
                     const struct principal *peer, struct errmsg *why)
{
    const char *suite = suite_name(trust_suite(env->trust));
    const char *federation = trust_federation(env->trust);
    if (hello->protocol != WIRE_PROTOCOL) {
        return err_set(why, ERR_UNSUPPORTED,
                       "protocol %u is spoken, this node speaks %d",
                       hello->protocol, WIRE_PROTOCOL);
    }
    if (!is_text(hello->suite, suite)) {
        return err_set(why, ERR_CONF, "suite %.*s, this node's is %s",
                       (int)hello->suite.len, (const char *)hello->suite.data,
                       suite);
    }
    if (!is_text(hello->federation, federation) ||
        strcmp(peer->federation, federation) != 0) {
        return err_set(why, ERR_DENIED, "federation %.*s, this node's is %s",
                       (int)hello->federation.len,
                       (const char *)hello->federation.data, federation);
    }
    if (hello->clock_ms > INT64_MAX) {
        return err_set(why, ERR_PROTOCOL, "Hello.clock_ms: no time");
    }
    if (peer->kind != PRINCIPAL_NODE || hello->code != peer->code) {
        return err_set(
            why, ERR_DENIED, "greets as %012llu, its certificate names %012llu",
            (unsigned long long)hello->code, (unsigned long long)peer->code);
    }
    return ERR_OK;
}
