/* Two heads of one log, both signed, that are not of one tree: the parent is
 * told of that one which its own copy contradicts, so that it sees for itself.
 */
#include "base/mem.h"
#include "sync/uplink_impl.h"

static enum err send_head(struct uplink *up, const struct log_id *log,
                          const struct buf *note, const struct buf *chain)
{
    struct buf message = BUF_INIT;
    wire_put_evidence(&message, &(struct wire_evidence){
                                    .log = *log,
                                    .note = buf_slice(note),
                                    .chain = buf_slice(chain),
                                });
    (void)pthread_mutex_lock(&up->lock);
    enum err err = up->conn != NULL && up->conn->introduced
                       ? rpc_stream_send(up->conn->stream, &message)
                       : ERR_UNAVAILABLE;
    (void)pthread_mutex_unlock(&up->lock);
    buf_fini(&message);
    return err;
}

/* What passes is tried again: with the next greeting. */
static void say_unsent(struct uplink *up, const struct log_id *log,
                       enum err err)
{
    char name[LOG_ID_TEXT_MAX];
    log_id_format(log, name);
    log_warn(up->env->log, "SYNC-EVIDENCE", "log=%s parent=%s text=\"%s\"",
             name, up->target, err_text(err));
    if (err_is_passing(err)) {
        uplink_retry_later(up);
    }
}

void uplink_send_evidence(struct uplink *up, const struct log_id *log)
{
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    enum err err = store_note(up->env->store, log, &note, &chain);
    if (err == ERR_OK) {
        err = send_head(up, log, &note, &chain);
    }
    if (err != ERR_OK) {
        say_unsent(up, log, err);
    }
    buf_fini(&note);
    buf_fini(&chain);
}

/* The other head, if the signer's chain at hand proves it. */
struct other {
    struct buf note;
    struct buf chain;
    struct checkpoint head;
};

static enum err other_load(struct other *o, struct uplink *up,
                           const struct log_id *log)
{
    struct trust *trust = up->env->trust;
    struct cert *cert = NULL;
    struct errmsg why;
    enum err err = store_fork_note(up->env->store, log, &o->note);
    if (err == ERR_OK) {
        err = store_note(up->env->store, log, NULL, &o->chain);
    }
    if (err == ERR_OK) {
        err = trust_check(trust, buf_slice(&o->chain), CERT_USE_SIGN, 0, &cert,
                          &why);
    }
    if (err == ERR_OK) {
        err = checkpoint_verify(buf_slice(&o->note), trust_federation(trust),
                                trust_suite(trust), cert, &o->head);
    }
    cert_free(&cert);
    return err == ERR_OK && !log_id_eq(&o->head.log, log) ? ERR_NOT_FOUND : err;
}

static void other_fini(struct other *o)
{
    buf_fini(&o->note);
    buf_fini(&o->chain);
}

/* Whose tree is the parent's copy of? ERR_NOT_FOUND: it has more than ours. */
static enum err is_ours(struct uplink *up, const struct store_head *head,
                        const struct wire_log_have *have, bool *ours)
{
    struct tree_view view = store_view(up->env->store, head);
    struct hash root;
    enum err err = have->size <= head->frontier.size
                       ? tree_root(&view, have->size, &root)
                       : ERR_NOT_FOUND;
    *ours = err == ERR_OK && hash_eq(&root, &have->root);
    return err;
}

static bool is_at(const struct checkpoint *head,
                  const struct wire_log_have *have)
{
    return head->size == have->size && hash_eq(&head->root, &have->root);
}

static void send_other(struct uplink *up, const struct log_id *log,
                       const struct other *other)
{
    enum err err = send_head(up, log, &other->note, &other->chain);
    if (err != ERR_OK) {
        say_unsent(up, log, err);
    }
}

void uplink_tell_fork(struct uplink *up, const struct store_head *head,
                      const struct wire_log_have *have)
{
    struct other other = {.note = BUF_INIT, .chain = BUF_INIT};
    enum err unproven = other_load(&other, up, &head->log);
    bool proven = unproven == ERR_OK;
    bool ours;
    enum err unknown = is_ours(up, head, have, &ours);
    if (err_is_passing(unknown) || err_is_passing(unproven)) {
        say_unsent(up, &head->log,
                   err_is_passing(unknown) ? unknown : unproven);
    } else if (!ours) {
        if (unknown == ERR_OK || (proven && is_at(&other.head, have))) {
            uplink_send_evidence(up, &head->log);
        }
    } else if (proven && other.head.size <= have->size) {
        send_other(up, &head->log, &other); /* a longer one shows it nothing */
    }
    other_fini(&other);
}

/* ---- seen while the parent listens ---- */

struct forked {
    struct uplink *up;
    struct log_id log;
    uint64_t acked;
};

static void tell_job(void *ctx)
{
    struct forked *f = ctx;
    struct uplink *up = f->up;
    struct store_head head;
    enum err err = store_head(up->env->store, &f->log, &head);
    if (err == ERR_OK) {
        /* What it acknowledged was verified there against what went. */
        struct tree_view view = store_view(up->env->store, &head);
        struct wire_log_have have = {.log = f->log, .size = f->acked};
        if (have.size > head.frontier.size) {
            have.size = head.frontier.size; /* the rest was forwarded */
        }
        err = tree_root(&view, have.size, &have.root);
        if (err == ERR_OK) {
            uplink_tell_fork(up, &head, &have);
        }
    }
    if (err != ERR_OK) {
        say_unsent(up, &f->log, err);
    }
    mem_free(f);
    uplink_job_done(up);
}

void uplink_forked(struct uplink *up, const struct log_id *log, uint64_t acked)
{
    struct forked *f = MEM_NEW(struct forked);
    *f = (struct forked){up, *log, acked};
    if (!uplink_run(up, tell_job, f)) {
        mem_free(f);
    }
}
