#include "sync/remote.h"

#include "sync/roster.h"

enum err remote_root(struct rpc_channel *channel, const struct log_id *log,
                     uint64_t size, struct buf *bytes,
                     struct wire_root_reply *reply, struct errmsg *why)
{
    struct buf request = BUF_INIT;
    wire_put_root_request(
        &request, &(struct wire_root_request){.log = *log, .size = size});
    buf_clear(bytes);
    enum err err = rpc_unary_wait(channel, SYNC_ROOT, &request,
                                  REMOTE_DEADLINE_MS, bytes, why);
    buf_fini(&request);
    if (err == ERR_OK) {
        err = wire_get_root_reply(buf_slice(bytes), reply, why);
    }
    if (err == ERR_OK && size != 0 && reply->size != size) {
        err = err_set(
            why, ERR_PROTOCOL, "asked for the root at %llu, got it at %llu",
            (unsigned long long)size, (unsigned long long)reply->size);
    }
    return err;
}

static enum err prove_place(const struct wire_root_reply *reply,
                            const struct checkpoint *note, enum suite suite)
{
    struct frontier f;
    struct bridge b;
    struct hash root;
    struct reader r = reader_of(reply->frontier);
    frontier_get(&r, &f);
    if (!reader_done(&r) || f.size != reply->size || f.size > reply->held ||
        reply->held > note->size) {
        return ERR_BAD_PROOF;
    }
    r = reader_of(reply->bridge);
    bridge_get(&r, &b);
    frontier_root(&f, suite, &root);
    if (!reader_done(&r) || b.size != note->size ||
        !hash_eq(&root, &reply->root)) {
        return ERR_BAD_PROOF;
    }
    enum err err = bridge_root(&f, suite, &b, &root);
    return err == ERR_OK && hash_eq(&root, &note->root) ? ERR_OK
                                                        : ERR_BAD_PROOF;
}

enum err remote_prove(struct trust *trust, struct roster *roster,
                      const struct log_id *log,
                      const struct wire_root_reply *reply,
                      struct checkpoint *note, struct errmsg *why)
{
    struct cert *cert = NULL;
    enum suite suite = trust_suite(trust);
    const char *federation = trust_federation(trust);
    enum err err =
        trust_check(trust, reply->chain, CERT_USE_SIGN, 0, &cert, why);
    if (err != ERR_OK) {
        err =
            roster_vouch(roster, err, log, reply->note, federation, note, why);
        if (err != ERR_OK) {
            return err;
        }
    } else {
        err = checkpoint_verify(reply->note, federation, suite, cert, note);
        cert_free(&cert);
    }
    if (err == ERR_OK && !log_id_eq(&note->log, log)) {
        err = ERR_BAD_PROOF;
    }
    if (err == ERR_OK) {
        err = prove_place(reply, note, suite);
    }
    return err == ERR_OK
               ? ERR_OK
               : err_set(why, err,
                         "the root at %llu of %llu is not of the tree that "
                         "the log's origin signed",
                         (unsigned long long)reply->size,
                         (unsigned long long)reply->held);
}

static enum err same_at(struct rpc_channel *channel, const struct sync_env *env,
                        const struct log_id *log, const struct tree_view *ours,
                        uint64_t size, bool *same, struct errmsg *why)
{
    struct checkpoint note;
    struct buf bytes = BUF_INIT;
    struct wire_root_reply reply;
    struct hash root;
    enum err err = remote_root(channel, log, size, &bytes, &reply, why);
    if (err == ERR_OK && env != NULL) {
        err = remote_prove(env->trust, env->roster, log, &reply, &note, why);
    }
    if (err == ERR_OK) {
        err = tree_root(ours, size, &root);
        *same = err == ERR_OK && hash_eq(&root, &reply.root);
    }
    buf_fini(&bytes);
    return err;
}

enum err remote_common(struct rpc_channel *channel, const struct sync_env *env,
                       const struct log_id *log, const struct tree_view *ours,
                       uint64_t upto, uint64_t *common, struct errmsg *why)
{
    /* Prefixes agree up to a point and never again: equal at `low`. */
    uint64_t low = 0;
    uint64_t high = upto;
    while (low < high) {
        uint64_t mid = high - (high - low) / 2;
        /* Most copies agree in all of it: asked for first. */
        mid = low == 0 && high == upto ? upto : mid;
        bool same;
        enum err err = same_at(channel, env, log, ours, mid, &same, why);
        if (err != ERR_OK) {
            return err;
        }
        if (same) {
            low = mid;
        } else {
            high = mid - 1;
        }
    }
    *common = low;
    return ERR_OK;
}
