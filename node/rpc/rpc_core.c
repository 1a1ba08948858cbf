#include <dlfcn.h>
#include <grpc/support/log.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pace.h"
#include "rpc/rpc_private.h"

/* The library knows no peer address, so the line has none. */
static void log_handshake(const char *message)
{
    static struct pace pace;
    pace_warn(&pace, NULL, "RPC-HANDSHAKE", "refused=\"%s\"", message);
}

static void log_core(gpr_log_func_args *args)
{
    if (strstr(args->message, "Handshake failed") != NULL) {
        log_handshake(args->message);
        return;
    }
    const char *file = strrchr(args->file, '/');
    log_debug(NULL, "RPC-CORE", "at=%s:%d text=\"%s\"",
              file != NULL ? file + 1 : args->file, args->line, args->message);
}

struct rpc_conf rpc_conf_default(void)
{
    return (struct rpc_conf){
        .workers = 2,
        .calls_max = 1024,
        .quota_bytes = 32 << 20,
        .keepalive_ms = 15000,
        .keepalive_timeout_ms = 45000,
        .handshake_timeout_ms = 10000,
        .idle_ms = 300000,
        .unread_ms = 60000,
        .connections_max = 64,
    };
}

/* ---- what is not read ---- */

void rpc_member_unread(const struct rpc *rpc, struct rpc_member *m)
{
    atomic_store(&m->cut_at_ms, clock_mono_ms() + rpc->conf.unread_ms);
}

void rpc_owner_watch(struct rpc *rpc, struct rpc_owner *owner)
{
    (void)pthread_mutex_lock(&rpc->lock);
    owner->next = rpc->watched;
    rpc->watched = owner;
    (void)pthread_mutex_unlock(&rpc->lock);
}

void rpc_owner_unwatch(struct rpc *rpc, struct rpc_owner *owner)
{
    (void)pthread_mutex_lock(&rpc->lock);
    struct rpc_owner **at = &rpc->watched;
    while (*at != owner) {
        at = &(*at)->next;
    }
    *at = owner->next;
    (void)pthread_mutex_unlock(&rpc->lock);
}

static void cut_unread(struct rpc_owner *owner, int64_t now_ms)
{
    (void)pthread_mutex_lock(&owner->lock);
    for (struct rpc_member *m = owner->members.next; m != &owner->members;
         m = m->next) {
        int64_t at_ms = atomic_load(&m->cut_at_ms);
        if (at_ms != 0 && now_ms >= at_ms) {
            atomic_store(&m->cut_at_ms, 0);
            (void)grpc_call_cancel_with_status(
                m->call, GRPC_STATUS_UNAVAILABLE,
                "what was said last was not read", NULL);
        }
    }
    (void)pthread_mutex_unlock(&owner->lock);
}

static void sweep(struct rpc *rpc, int64_t now_ms)
{
    (void)pthread_mutex_lock(&rpc->lock);
    for (struct rpc_owner *o = rpc->watched; o != NULL; o = o->next) {
        cut_unread(o, now_ms);
    }
    (void)pthread_mutex_unlock(&rpc->lock);
}

/* ---- errands ---- */

/* `ringing` was set by the caller. */
static void ring(struct errands *e)
{
    rpc_batch(e->call, NULL, 0, &e->bell);
}

/* What has come so far, in order. */
static struct rpc_errand *take_errands(struct errands *e)
{
    (void)pthread_mutex_lock(&e->lock);
    struct rpc_errand *first = e->first;
    e->first = NULL;
    e->last = &e->first;
    (void)pthread_mutex_unlock(&e->lock);
    return first;
}

/* False: whoever brings the next one rings. */
static bool more_errands(struct errands *e)
{
    (void)pthread_mutex_lock(&e->lock);
    e->ringing = e->first != NULL;
    bool more = e->ringing;
    (void)pthread_mutex_unlock(&e->lock);
    return more;
}

static void on_bell(struct rpc_tag *tag, bool ok)
{
    struct errands *e = CONTAINER_OF(tag, struct errands, bell);
    struct rpc_errand *next;
    (void)ok; /* nothing was asked of the call */
    for (struct rpc_errand *errand = take_errands(e); errand != NULL;
         errand = next) {
        next = errand->next;
        errand->fn(errand);
    }
    if (more_errands(e)) {
        ring(e); /* behind what gRPC has for the poller by now */
    }
}

static void errands_init(struct errands *e, grpc_completion_queue *cq)
{
    (void)pthread_mutex_init(&e->lock, NULL);
    e->last = &e->first;
    e->bell.fn = on_bell;
    e->nowhere = grpc_lame_client_channel_create(
        "nowhere", GRPC_STATUS_UNAVAILABLE, "goes nowhere");
    e->call = grpc_channel_create_call(
        e->nowhere, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
        grpc_slice_from_static_string("/nowhere"), NULL,
        gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

/* Before the queue is shut down: what rings then would end the process. */
static void errands_fini(struct errands *e)
{
    while (atomic_load(&e->ringers) > 0) {
        (void)sched_yield();
    }
    grpc_call_unref(e->call);
    grpc_channel_destroy(e->nowhere);
}

void rpc_run_errand(struct rpc *rpc, struct rpc_errand *errand)
{
    struct errands *e = &rpc->errands;
    errand->next = NULL;
    (void)atomic_fetch_add(&e->ringers, 1);
    (void)pthread_mutex_lock(&e->lock);
    *e->last = errand;
    e->last = &errand->next;
    bool rings = !e->ringing;
    e->ringing = true;
    (void)pthread_mutex_unlock(&e->lock);
    if (rings) { /* without the lock: the poller comes for it at once */
        ring(e);
    }
    (void)atomic_fetch_sub(&e->ringers, 1);
}

/* ---- the poller ---- */

static void *poll_queue(void *arg)
{
    struct rpc *rpc = arg;
    int64_t now_ms = clock_mono_ms();
    int64_t swept_ms = now_ms;
    for (;;) {
        uint32_t wait_ms = alarms_wait_ms(&rpc->alarms, now_ms, RPC_SWEEP_MS);
        grpc_event event =
            grpc_completion_queue_next(rpc->cq, rpc_deadline(wait_ms), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        if (event.type == GRPC_OP_COMPLETE) {
            struct rpc_tag *tag = event.tag;
            RPC_CONSUME(tag);
            tag->fn(tag, event.success != 0);
        }
        now_ms = clock_mono_ms();
        alarms_run(&rpc->alarms, now_ms);
        if (now_ms >= swept_ms + RPC_SWEEP_MS) {
            swept_ms = now_ms;
            sweep(rpc, now_ms);
        }
    }
}

/* Waits for everything the queue still holds, then ends the library. */
static void stop_core(struct rpc *rpc)
{
    peer_cache_free(rpc->peers);
    grpc_resource_quota_unref(rpc->quota);
    grpc_completion_queue_destroy(rpc->cq);
    grpc_shutdown();
    alarms_fini(&rpc->alarms);
    (void)pthread_mutex_destroy(&rpc->errands.lock);
    (void)pthread_mutex_destroy(&rpc->lock);
    mem_free(rpc);
}

/* Debian builds abseil with checks of the order in which gRPC takes its locks:
 * each goes through one graph, under one lock. They look for faults of that
 * library, and the builds for tests have them. */
static void forgo_lock_checks(void)
{
#ifdef NDEBUG
    enum { IGNORE = 0 }; /* absl::OnDeadlockCycle::kIgnore */
    static const char set_mode[] =
        "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_"
        "15OnDeadlockCycleE";
    const union {
        void *found;
        void (*fn)(int mode);
    } set = {.found = dlsym(RTLD_DEFAULT, set_mode)};
    if (set.found != NULL) { /* another build may have none, and no checks */
        set.fn(IGNORE);
    }
#endif
}

enum err rpc_open(struct rpc **out, const struct rpc_conf *conf,
                  struct errmsg *why)
{
    /* The pool does not refuse: unary calls are counted here, streams have
     * at most one job each. */
    struct pool *pool = NULL;
    enum err err = pool_new(&pool, "rpc", conf->workers, SIZE_MAX, why);
    if (err != ERR_OK) {
        return err;
    }
    gpr_set_log_function(log_core);
    forgo_lock_checks();
    grpc_init();
    struct rpc *rpc = MEM_NEW(struct rpc);
    rpc->conf = *conf;
    rpc->pool = pool;
    (void)pthread_mutex_init(&rpc->lock, NULL);
    alarms_init(&rpc->alarms);
    rpc->peers = peer_cache_new();
    rpc->quota = grpc_resource_quota_create("rpc");
    grpc_resource_quota_resize(rpc->quota, conf->quota_bytes);
    rpc->cq = grpc_completion_queue_create_for_next(NULL);
    errands_init(&rpc->errands, rpc->cq);
    if (pthread_create(&rpc->poller, NULL, poll_queue, rpc) != 0) {
        pool_close(&pool);
        errands_fini(&rpc->errands);
        grpc_completion_queue_shutdown(rpc->cq);
        stop_core(rpc);
        return err_set(why, ERR_BUSY, "cannot start the gRPC poller thread");
    }
    (void)pthread_setname_np(rpc->poller, "rpc-poll");
    *out = rpc;
    return ERR_OK;
}

void rpc_close(struct rpc **rpc_ptr)
{
    struct rpc *rpc = *rpc_ptr;
    *rpc_ptr = NULL;
    if (rpc == NULL) {
        return;
    }
    pool_close(&rpc->pool);
    errands_fini(&rpc->errands);
    grpc_completion_queue_shutdown(rpc->cq);
    (void)pthread_join(rpc->poller, NULL);
    stop_core(rpc);
}

struct pool *rpc_pool(struct rpc *rpc)
{
    return rpc->pool;
}

void rpc_batch(grpc_call *call, const grpc_op *ops, size_t count,
               struct rpc_tag *tag)
{
    RPC_PUBLISH(tag);
    grpc_call_error error = grpc_call_start_batch(call, ops, count, tag, NULL);
    if (error != GRPC_CALL_OK) {
        log_error(NULL, "RPC-BUG", "batch refused: %s",
                  grpc_call_error_to_string(error));
        abort();
    }
}

static void add_arg(struct rpc_args *args, grpc_arg arg)
{
    if (args->count == RPC_ARGS_MAX) {
        abort();
    }
    args->list[args->count++] = arg;
}

/* The library's struct is not const-correct; it copies what it is given. */
static char *key_text(const char *key)
{
    union {
        const char *given;
        char *taken;
    } text = {.given = key};
    return text.taken;
}

void rpc_args_add(struct rpc_args *args, const char *key, int value)
{
    add_arg(args, (grpc_arg){.type = GRPC_ARG_INTEGER,
                             .key = key_text(key),
                             .value.integer = value});
}

static int clamp_int(uint32_t v)
{
    return v > INT_MAX ? INT_MAX : (int)v;
}

void rpc_args_add_common(struct rpc_args *args, const struct rpc *rpc)
{
    const struct {
        const char *key;
        int value;
    } common[] = {
        {GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_MAX},
        /* The limit above is applied after inflating, so nothing is
         * inflated; a compressed message is then refused by name. */
        {GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0},
        {GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0},
        {GRPC_ARG_KEEPALIVE_TIME_MS, clamp_int(rpc->conf.keepalive_ms)},
        {GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
         clamp_int(rpc->conf.keepalive_timeout_ms)},
        {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
        {GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0},
        /* Else each connection on which anything comes is probed up to ten
         * times a second: a ping, its answer and a timer, for windows that
         * replication bounds by itself. */
        {GRPC_ARG_HTTP2_BDP_PROBE, 0},
        {GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, RPC_AHEAD_BYTES},
        {GRPC_ARG_ENABLE_CHANNELZ, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(common); i++) {
        rpc_args_add(args, common[i].key, common[i].value);
    }
    add_arg(args,
            (grpc_arg){
                .type = GRPC_ARG_POINTER,
                .key = key_text(GRPC_ARG_RESOURCE_QUOTA),
                .value.pointer = {.p = rpc->quota,
                                  .vtable = grpc_resource_quota_arg_vtable()},
            });
}

void rpc_owner_init(struct rpc_owner *owner)
{
    *owner = (struct rpc_owner){.count = 0};
    (void)pthread_mutex_init(&owner->lock, NULL);
    clock_cond_init(&owner->changed);
    owner->members.prev = &owner->members;
    owner->members.next = &owner->members;
}

void rpc_owner_fini(struct rpc_owner *owner)
{
    (void)pthread_cond_destroy(&owner->changed);
    (void)pthread_mutex_destroy(&owner->lock);
}

/* Lock held. */
static void link_member(struct rpc_owner *owner, struct rpc_member *m,
                        grpc_call *call)
{
    m->call = call;
    m->next = &owner->members;
    m->prev = owner->members.prev;
    m->prev->next = m;
    m->next->prev = m;
    owner->count++;
}

bool rpc_owner_join(struct rpc_owner *owner, struct rpc_member *m,
                    grpc_call *call)
{
    (void)pthread_mutex_lock(&owner->lock);
    bool in = !owner->closing;
    if (in) {
        link_member(owner, m, call);
    }
    (void)pthread_mutex_unlock(&owner->lock);
    return in;
}

void rpc_owner_add(struct rpc_owner *owner, struct rpc_member *m,
                   grpc_call *call)
{
    (void)pthread_mutex_lock(&owner->lock);
    link_member(owner, m, call);
    (void)pthread_mutex_unlock(&owner->lock);
}

void rpc_owner_leave(struct rpc_owner *owner, struct rpc_member *m)
{
    grpc_call *call = m->call;
    (void)pthread_mutex_lock(&owner->lock);
    m->prev->next = m->next;
    m->next->prev = m->prev;
    (void)pthread_mutex_unlock(&owner->lock);
    if (m->connection != NULL) {
        rpc_connection_leave(m->connection);
    }
    grpc_call_unref(call);
}

void rpc_owner_done(struct rpc_owner *owner)
{
    (void)pthread_mutex_lock(&owner->lock);
    owner->count--;
    (void)pthread_cond_broadcast(&owner->changed);
    (void)pthread_mutex_unlock(&owner->lock);
}

void rpc_owner_cancel_all(struct rpc_owner *owner, enum err err,
                          const char *text)
{
    (void)pthread_mutex_lock(&owner->lock);
    for (struct rpc_member *m = owner->members.next; m != &owner->members;
         m = m->next) {
        (void)grpc_call_cancel_with_status(
            m->call, (grpc_status_code)err_grpc_status(err), text, NULL);
    }
    (void)pthread_mutex_unlock(&owner->lock);
}

void rpc_owner_stop_all(struct rpc_owner *owner)
{
    (void)pthread_mutex_lock(&owner->lock);
    for (struct rpc_member *m = owner->members.next; m != &owner->members;
         m = m->next) {
        if (m->stop != NULL) {
            m->stop(m);
        }
    }
    (void)pthread_mutex_unlock(&owner->lock);
}

void rpc_owner_wait(struct rpc_owner *owner)
{
    (void)pthread_mutex_lock(&owner->lock);
    while (owner->count > 0) {
        (void)pthread_cond_wait(&owner->changed, &owner->lock);
    }
    (void)pthread_mutex_unlock(&owner->lock);
}
