#include "sync/intake.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "credit/listing.h"
#include "ident/rootchain.h"
#include "sync/logmap.h"
#include "sync/source.h"

struct intake {
    const struct sync_env *env;
    struct recv *recv;
    struct logmap logs;
};

struct intake *intake_new(const struct sync_env *env)
{
    struct intake *in = MEM_NEW(struct intake);
    in->env = env;
    in->recv = recv_new(env->trust, LOG_DIRECTIVES);
    return in;
}

void intake_free(struct intake **intake)
{
    struct intake *in = *intake;
    *intake = NULL;
    if (in == NULL) {
        return;
    }
    for (size_t i = 0; i < in->logs.count; i++) {
        struct intake_log *l = in->logs.item[i];
        recv_log_free(&l->recv);
        buf_fini(&l->chain);
    }
    logmap_free_all(&in->logs);
    recv_free(&in->recv);
    mem_free(in);
}

/* ---- which logs ---- */

/* Why the log is not taken; NULL: it is. */
static const char *not_entitled(const struct sync_env *env,
                                const struct log_id *log)
{
    if (log->kind != LOG_DIRECTIVES) {
        return "only directives come down";
    }
    if (log->origin == env->self.code) {
        return "it is this node's own";
    }
    if (!listing_counts_at(log->origin, env->self.code)) {
        return "its issuer is no authority above this node";
    }
    return rootchain_was_issuer(env->roots, log->origin)
               ? NULL
               : "the root document names no deciders for its issuer";
}

/* Replaces l->recv; an error leaves it. */
static enum err load(const struct sync_env *env, struct intake_log *l,
                     struct errmsg *why)
{
    struct store_head head;
    struct buf note = BUF_INIT;
    struct buf chain = BUF_INIT;
    struct recv_log *recv = recv_log_new(&l->log);
    enum err err = source_head(env->store, trust_federation(env->trust),
                               &l->log, &head, &note, &chain);
    if (err == ERR_OK && head.state == LOG_FORKED) {
        err = err_set(why, ERR_FORKED, "forked: it goes no further");
    } else if (err == ERR_OK) {
        err = recv_log_load(recv, env->trust, &head, buf_slice(&note),
                            buf_slice(&chain), why);
    } else if (err != ERR_NOT_FOUND) {
        err = err_set(why, err, "its head cannot be read");
    }
    buf_fini(&note);
    buf_fini(&chain);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        recv_log_free(&recv);
        return err;
    }
    recv_log_free(&l->recv);
    l->recv = recv;
    return ERR_OK;
}

static void refuse(struct refusal *out, const struct log_id *log,
                   const char *text)
{
    char name[LOG_ID_TEXT_MAX];
    log_id_format(log, name);
    (void)snprintf(out->text, sizeof out->text, "log %s: %.400s", name, text);
}

struct room {
    const struct log_id *log;
    size_t others; /* of its issuer */
    bool held;
};

static bool on_held(void *ctx, const struct store_head *head)
{
    struct room *room = ctx;
    if (log_id_eq(&head->log, room->log)) {
        room->held = true;
    } else {
        room->others += head->log.origin == room->log->origin;
    }
    return true;
}

/* What is held already is taken on. Of one issuer only so many: it would fill
 * the store, and take the places of others. */
static bool is_room(const struct intake *intake, const struct log_id *log)
{
    struct room room = {.log = log};
    struct store_head head;
    store_directives(intake->env->store, on_held, &room);
    for (size_t i = 0; i < intake->logs.count; i++) {
        const struct intake_log *l = intake->logs.item[i];
        room.others += l->log.origin == log->origin &&
                       store_head(intake->env->store, &l->log, &head) != ERR_OK;
    }
    return intake->logs.count < LISTS_LOGS_MAX &&
           (room.held || room.others < LISTS_ISSUER_LOGS_MAX);
}

enum err intake_log(struct intake *intake, const struct log_id *log,
                    struct intake_log **out, struct refusal *refusal)
{
    struct intake_log *l = logmap_find(&intake->logs, log);
    *refusal = (struct refusal){.number = 0};
    *out = l;
    if (l != NULL) {
        return l->stopped ? ERR_DENIED : ERR_OK;
    }
    if (!is_room(intake, log)) {
        refuse(refusal, log,
               "more directives logs of one issuer than are taken");
        return ERR_DENIED;
    }
    l = MEM_NEW(struct intake_log);
    l->log = *log;
    struct errmsg why;
    const char *denied = not_entitled(intake->env, log);
    enum err err = denied != NULL ? ERR_DENIED : load(intake->env, l, &why);
    if (err != ERR_OK) {
        refuse(refusal, log, denied != NULL ? denied : why.text);
    }
    if (err_is_passing(err)) {
        mem_free(l);
        return err;
    }
    l->stopped = err != ERR_OK;
    l->shown = l->stopped ? 0 : l->recv->newest.size;
    logmap_insert(&intake->logs, l);
    *out = l;
    return l->stopped ? ERR_DENIED : ERR_OK;
}

void intake_fork(struct intake *intake, struct intake_log *log,
                 struct slice note, const struct refusal *refusal)
{
    const struct sync_env *env = intake->env;
    enum err err =
        store_mark_forked(env->store, &log->log, note, refusal->text);
    log->stopped = true;
    if (err != ERR_OK) {
        log_error(env->log, "INTAKE-FORK", "err=%s text=\"%s\"", err_name(err),
                  refusal->text);
    }
}

/* ---- what comes ---- */

/* Has nothing come another way meanwhile? */
static bool is_current(const struct recv_log *known,
                       const struct store_head *head)
{
    return head->state != LOG_FORKED &&
           head->frontier.size <= known->verified.size &&
           head->newest.size <= known->newest.size;
}

/* What came another way meanwhile is known from now on. */
static enum err catch_up(struct intake *intake, struct intake_log *log,
                         const struct store_head *head, struct refusal *refusal)
{
    struct errmsg why;
    const struct recv_log *before = log->recv;
    if (is_current(before, head)) {
        return ERR_OK;
    }
    struct frontier verified = before->verified;
    enum err err = load(intake->env, log, &why);
    if (err != ERR_OK) {
        refuse(refusal, &log->log, why.text);
    } else if (log->recv->verified.size < verified.size) {
        log->recv->verified = verified; /* not yet committed */
    }
    return err;
}

static void was_shown(struct intake_log *log, uint64_t size)
{
    log->shown = size > log->shown ? size : log->shown;
}

/* Whoever sent the entries holds what their head says, or as much as it tells
 * when they go ahead of its own commit. */
static void came_under(struct intake_log *log, const struct wire_segment *in,
                       uint64_t size)
{
    bool ahead = in->held != 0 && in->held < in->first;
    was_shown(log, ahead ? in->held : size);
    log->ahead = ahead && size > log->ahead ? size : log->ahead;
}

static void keep_chain(struct intake_log *log, struct slice chain)
{
    if (chain.len > 0) {
        buf_clear(&log->chain);
        buf_put_slice(&log->chain, chain);
    }
}

static bool is_older(const struct intake *intake, const struct intake_log *log,
                     struct slice note, uint64_t *size)
{
    struct checkpoint head;
    if (note.len == 0 ||
        checkpoint_parse(note, trust_federation(intake->env->trust), &head) !=
            ERR_OK) {
        return false;
    }
    *size = head.size;
    return head.size < log->recv->newest.size;
}

static enum err compare_older(struct intake *intake, struct intake_log *log,
                              const struct wire_segment *in, uint64_t size,
                              const struct tree_view *held,
                              struct refusal *refusal)
{
    struct checkpoint head;
    char text[160];
    if (held != NULL && size <= held->size) {
        return recv_note(intake->recv, log->recv, in->note,
                         buf_slice(&log->chain), held, clock_wall_ms(), &head,
                         refusal);
    }
    (void)snprintf(text, sizeof text,
                   "its signed head of %llu entries is older than one of %llu "
                   "that is known; the entries up to that are still to come",
                   (unsigned long long)size,
                   (unsigned long long)log->recv->newest.size);
    refuse(refusal, &log->log, text);
    return ERR_BUSY;
}

static enum err judge_segment(struct intake *intake, struct intake_log *log,
                              const struct wire_segment *in,
                              const struct store_head *head,
                              struct segment **out, struct refusal *refusal)
{
    struct tree_view view;
    const struct tree_view *held = NULL;
    uint64_t size = 0;
    enum err err = ERR_OK;
    if (head != NULL) {
        view = store_view(intake->env->store, head);
        held = &view;
        err = catch_up(intake, log, head, refusal);
    }
    keep_chain(log, in->chain);
    if (err != ERR_OK) {
        return err;
    }
    bool older = is_older(intake, log, in->note, &size);
    err = older ? compare_older(intake, log, in, size, held, refusal)
                : recv_segment(intake->recv, log->recv, in, held,
                               clock_wall_ms(), out, refusal);
    if (err == ERR_OK && in->note.len > 0) {
        came_under(log, in, older ? size : log->recv->newest.size);
    }
    return err;
}

enum err intake_segment(struct intake *intake, struct intake_log *log,
                        const struct wire_segment *in, struct segment **out,
                        uint64_t *held, struct refusal *refusal)
{
    struct store_head head;
    bool there = store_head(intake->env->store, &log->log, &head) == ERR_OK;
    *out = NULL;
    *held = there ? head.frontier.size : 0;
    *refusal = (struct refusal){.number = 0};
    enum err err =
        judge_segment(intake, log, in, there ? &head : NULL, out, refusal);
    log->stopped = err != ERR_OK && !err_is_passing(err);
    if (err != ERR_OK && refusal->disagree) {
        intake_fork(intake, log,
                    in->note.len > 0 ? in->note : buf_slice(&log->recv->note),
                    refusal);
    }
    return err;
}

struct segment *intake_segment_now(struct intake *intake,
                                   const struct wire_segment *in,
                                   struct intake_log **out, uint64_t *held)
{
    struct intake_log *log = logmap_find(&intake->logs, &in->log);
    struct store_head head;
    struct segment *seg;
    struct refusal refusal;
    if (log == NULL || log->stopped || in->note.len == 0 ||
        store_head(intake->env->store, &in->log, &head) != ERR_OK ||
        !is_current(log->recv, &head) ||
        in->first != log->recv->verified.size + 1 || !recv_is_small(in)) {
        return NULL;
    }
    /* Without the tree, which is on disk: what follows on overlaps nothing, and
     * a head that is not past what is verified is refused for that. */
    enum err err = recv_segment(intake->recv, log->recv, in, NULL,
                                clock_wall_ms(), &seg, &refusal);
    if (err != ERR_OK) {
        return NULL;
    }
    keep_chain(log, in->chain);
    came_under(log, in, log->recv->newest.size);
    *out = log;
    *held = head.frontier.size;
    return seg;
}

enum err intake_head(struct intake *intake, struct intake_log *log,
                     const struct wire_evidence *in, struct checkpoint *out,
                     uint64_t *held, struct refusal *refusal)
{
    struct store *store = intake->env->store;
    struct store_head head;
    *refusal = (struct refusal){.number = 0};
    if (store_head(store, &log->log, &head) != ERR_OK) {
        return ERR_NOT_FOUND;
    }
    struct tree_view view = store_view(store, &head);
    *held = head.frontier.size;
    enum err err = recv_note(intake->recv, log->recv, in->note, in->chain,
                             &view, clock_wall_ms(), out, refusal);
    if (err == ERR_OK) {
        was_shown(log, out->size);
    }
    log->stopped = err != ERR_OK && !err_is_passing(err);
    return err;
}
