#include "store/store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/place_hash.h"
#include "store/store_lists.h"

/* The writer needs it seldom and goes first: as long as reads overlap, it
 * would never come in otherwise, and with it no commit. */
static void db_lock_init(struct store *s)
{
    pthread_rwlockattr_t attr;
    (void)pthread_rwlockattr_init(&attr);
    (void)pthread_rwlockattr_setkind_np(
        &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&s->db_lock, &attr);
    (void)pthread_rwlockattr_destroy(&attr);
    (void)pthread_mutex_init(&s->db_wait_lock, NULL);
    clock_cond_init(&s->db_changed);
}

static struct store *store_new(const struct backend *backend,
                               const struct store_conf *conf,
                               const struct store_env *env)
{
    struct store *s = MEM_NEW(struct store);
    s->backend = backend;
    s->conf = *conf;
    s->path = mem_strdup(conf->path);
    s->conf.path = s->path;
    suite_random(&s->conf.instance, sizeof s->conf.instance);
    s->conf.reopened = false;
    s->conf.known = &s->known;
    s->env = *env;
    s->federation = mem_strdup(env->federation);
    s->env.federation = s->federation;
    s->whose = (struct whose){&s->conf, &s->env};
    s->conf.recognise = recover_recognise;
    s->conf.recognise_ctx = &s->whose;
    s->log = (struct log_ctx){env->log, ""};
    if (env->log != NULL) {
        s->log = *env->log;
    }
    place_hash_begin();
    db_lock_init(s);
    tree_kept_init(&s->tree_kept);
    (void)pthread_mutex_init(&s->state_lock, NULL);
    (void)pthread_mutex_init(&s->watch_lock, NULL);
    (void)pthread_mutex_init(&s->rules.lock, NULL);
    heads_init(&s->heads);
    struct cache_parts parts = cache_parts_of(s->backend, conf);
    cache_init(&s->cache, parts.blocks);
    stamps_init(&s->stamps, conf->cache_bytes);
    listed_cache_init(&s->listed, parts.list_rows);
    s->codec = block_codec_new();
    s->serial_fd = -1;
    s->queue.closing = true; /* until the writer runs */
    return s;
}

struct cache_parts cache_parts_of(const struct backend *backend,
                                  const struct store_conf *conf)
{
    size_t all = conf->cache_bytes;
    if (backend == &store_mariadb) {
        return (struct cache_parts){.blocks = all / 8 * 5,
                                    .list_rows = all / 8 * 3};
    }
    return (struct cache_parts){.pages = all / 5 * 4, .blocks = all / 5};
}

static void store_free(struct store *s)
{
    if (s->db != NULL) {
        s->backend->close(s->db);
    }
    if (s->serial_fd >= 0) {
        (void)close(s->serial_fd);
    }
    block_codec_free(&s->codec);
    cache_fini(&s->cache);
    listed_cache_fini(&s->listed);
    tree_kept_fini(&s->tree_kept);
    stamps_fini(&s->stamps);
    mem_free(s->rules.all);
    (void)pthread_mutex_destroy(&s->rules.lock);
    heads_fini(&s->heads);
    (void)pthread_cond_destroy(&s->db_changed);
    (void)pthread_mutex_destroy(&s->db_wait_lock);
    (void)pthread_rwlock_destroy(&s->db_lock);
    (void)pthread_mutex_destroy(&s->watch_lock);
    (void)pthread_mutex_destroy(&s->state_lock);
    mem_free(s->federation);
    mem_free(s->path);
    mem_free(s);
}

/* Mending may have taken longer than the lease: who has it by now must not be
 * disturbed. */
static enum err check_alone(struct store *s, struct errmsg *why)
{
    return s->env.alone_until_ms == NULL ||
                   clock_mono_ms() < s->env.alone_until_ms(s->env.ctx)
               ? ERR_OK
               : err_set(why, ERR_UNAVAILABLE,
                         "store %s: whether another process writes by now is "
                         "not known",
                         s->conf.path);
}

/* A server that knows fewer commits than the folder is another one, or was put
 * back: it is neither written to nor read. */
static enum err know_folder(struct store *s, struct errmsg *why)
{
    uint64_t beside = 0;
    enum err err = serial_read(s->conf.path, &beside, why);
    atomic_store(&s->known, beside);
    return err;
}

/* A full disk does not keep a node from answering questions. */
static enum err open_database(struct store *s, struct errmsg *why)
{
    struct errmsg second;
    enum err err = check_alone(s, why);
    if (err == ERR_OK) {
        err = know_folder(s, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    err = s->backend->open(&s->db, &s->conf, false, why);
    s->conf.reopened = err == ERR_OK;
    if (err == ERR_NO_SPACE &&
        s->backend->open(&s->db, &s->conf, true, &second) == ERR_OK) {
        s->db_readonly = true;
        writer_refuses(s, err, why->text);
        err = ERR_OK;
    }
    return err;
}

/* The log that grows; a stopped one is kept, until a successor is named. */
static struct log_slot *find_own(struct store *s, enum log_kind kind)
{
    struct log_slot *own = NULL;
    for (size_t i = 0; i < s->heads.n; i++) {
        struct log_slot *slot = s->heads.sorted[i];
        if (!slot->own || slot->log.kind != kind) {
            continue;
        }
        if (slot->state == LOG_ACTIVE ||
            (slot->state == LOG_FORKED && own == NULL)) {
            own = slot;
        }
    }
    return own;
}

static size_t count_pulling(const struct store *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->heads.n; i++) {
        const struct log_slot *slot = s->heads.sorted[i];
        n += slot->log.kind == LOG_RECORDS && slot->state == LOG_PULLING;
    }
    return n;
}

/* Of what was wrapped for the tiers above nothing is in a new log. */
static enum err owe_keys(struct store *s, struct errmsg *why)
{
    return s->env.keyring != NULL ? keyring_owe_again(s->env.keyring, why)
                                  : ERR_OK;
}

bool own_logs_find(struct store *s)
{
    static const enum log_kind kinds[] = {LOG_DIRECTIVES, LOG_RECORDS};
    const struct log_slot *own = NULL;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        own = find_own(s, kinds[i]);
        if (own != NULL) {
            own_log_is(s, own);
        }
    }
    return own != NULL;
}

static enum err open_own_log(struct store *s, struct errmsg *why)
{
    s->pulling = count_pulling(s);
    if (own_logs_find(s)) {
        return ERR_OK;
    }
    struct group g;
    struct touched *t = NULL;
    struct buf entry = BUF_INIT;
    const struct entry_open open = {0};
    group_init(&g, s);
    enum err err = owe_keys(s, why);
    if (err == ERR_OK) {
        err = group_open_log(&g, LOG_RECORDS, &open, &entry, &t, why);
    }
    if (err == ERR_OK) {
        await_put(&g, s->conf.has_parent);
        err = group_commit(&g, why);
    }
    if (err == ERR_OK) {
        own_log_is(s, t->slot);
        atomic_store(&s->awaits_parent, s->conf.has_parent);
    }
    group_fini(&g);
    buf_fini(&entry);
    return err;
}

/* ---- for a copy ---- */

static enum err open_source(struct store *s, struct errmsg *why)
{
    char what[DAMAGE_MAX];
    bool marked;
    enum err err = damage_marked(s->conf.path, &marked, what, why);
    if (err == ERR_OK) {
        err = know_folder(s, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (marked && s->role != ROLE_FOLLOW) { /* which is no copy, and reads */
        return err_set(why, ERR_CORRUPT, "store %s is damaged (%s): %s",
                       s->conf.path, what, damage_advice(s->backend)->copy);
    }
    return s->backend->open(&s->db, &s->conf, s->role != ROLE_SOURCE, why);
}

static enum err check_source(struct store *s, struct errmsg *why)
{
    bool found = false;
    enum err err = recover_compare_marked(s, &found, why);
    if (err == ERR_OK && !found) {
        err = err_set(why, ERR_CONF, "store %s is empty: nothing to copy",
                      s->conf.path);
    } else if (err == ERR_OK && s->mark.state == MARK_COPY) {
        err = mark_refuse(s, why);
    }
    return err;
}

/* A writer that begins may not have come so far. */
static enum err await_writer(struct store *s, struct errmsg *why)
{
    return err_set(why, ERR_NOT_FOUND,
                   "store %s is new: the process that writes has still to make "
                   "it",
                   s->conf.path);
}

static enum err check_followed(struct store *s, struct errmsg *why)
{
    bool found = false;
    enum err err = recover_compare_marked(s, &found, why);
    if (err == ERR_OK) {
        err = mark_refuse(s, why);
    }
    return err == ERR_OK && !found ? await_writer(s, why) : err;
}

static enum err find_followed(struct store *s, struct errmsg *why)
{
    return own_logs_find(s) ? ERR_OK : await_writer(s, why);
}

/* Nothing else may be in it. */
static enum err begin_copy(struct store *s, struct errmsg *why)
{
    bool found = false;
    enum err err = recover_compare_marked(s, &found, why);
    if (err == ERR_OK && found && s->mark.state != MARK_COPY) {
        err = s->mark.state == MARK_MOVED
                  ? mark_refuse(s, why)
                  : err_set(why, ERR_CONF,
                            "store %s is not empty: name an empty database, "
                            "and an empty data.dir",
                            s->conf.path);
    }
    return err;
}

typedef enum err open_step_fn(struct store *s, struct errmsg *why);

static open_step_fn *const open_steps[] = {
    open_database,       recover_check_identity,
    recover_meta,        serial_check,
    hold_load,           await_load,
    heads_load,          recover_check_heads,
    recover_index,       recover_keyring,
    lists_load,          rules_fold,
    recover_renew_notes, recover_count_issues,
    salvage_load,        open_own_log,
    writer_start,
};

/* What is copied from is looked at entry by entry anyway. */
static open_step_fn *const source_steps[] = {
    open_source, check_source, recover_meta, serial_check, heads_load,
};

/* Beside its node heads and the count of commits move on. */
static open_step_fn *const beside_steps[] = {
    open_source,
    check_source,
    recover_meta,
    heads_load,
};

/* Signs nothing and opens no log. */
static open_step_fn *const copy_steps[] = {
    open_database, begin_copy,           recover_meta,  serial_check,
    heads_load,    recover_check_heads,  recover_index, lists_load,
    rules_fold,    recover_count_issues, writer_start,
};

/* Writes nothing at all. */
static open_step_fn *const follow_steps[] = {
    open_source,          check_followed, recover_meta,
    heads_load,           lists_read,     rules_fold,
    recover_count_issues, find_followed,  follow_start_thread,
};

static const struct {
    open_step_fn *const *steps;
    size_t n;
} roles[] = {
    [ROLE_NODE] = {open_steps, ARRAY_LEN(open_steps)},
    [ROLE_MENDED] = {open_steps, ARRAY_LEN(open_steps)},
    [ROLE_SOURCE] = {source_steps, ARRAY_LEN(source_steps)},
    [ROLE_BESIDE] = {beside_steps, ARRAY_LEN(beside_steps)},
    [ROLE_COPY] = {copy_steps, ARRAY_LEN(copy_steps)},
    [ROLE_FOLLOW] = {follow_steps, ARRAY_LEN(follow_steps)},
};

enum err store_open_as(struct store **out, enum store_role role,
                       const struct backend *backend,
                       const struct store_conf *conf,
                       const struct store_env *env, struct errmsg *why)
{
    *out = NULL;
    struct store *s = store_new(backend, conf, env);
    enum err err = ERR_OK;
    s->role = role;
    s->env.damaged = NULL;
    for (size_t i = 0; err == ERR_OK && i < roles[role].n; i++) {
        err = roles[role].steps[i](s, why);
    }
    if (err != ERR_OK) {
        store_free(s);
        return err;
    }
    damage_tell(s, env);
    *out = s;
    return ERR_OK;
}

static enum err open_and_say(struct store **out, enum store_role role,
                             const struct backend *backend,
                             const struct store_conf *conf,
                             const struct store_env *env, struct errmsg *why)
{
    enum err err = store_open_as(out, role, backend, conf, env, why);
    if (err != ERR_OK) {
        return err;
    }
    const struct store *s = *out;
    log_info(&s->log, "STORE-OPEN", "path=%s logs=%zu entries=%llu issues=%lld",
             s->conf.path, s->heads.n, (unsigned long long)s->heads.entries,
             (long long)atomic_load(&s->issues));
    return ERR_OK;
}

enum err store_open_plain(struct store **out, const struct backend *backend,
                          const struct store_conf *conf,
                          const struct store_env *env, struct errmsg *why)
{
    return open_and_say(out, ROLE_NODE, backend, conf, env, why);
}

/* The mark goes when all is done: a stop before that begins again. */
static enum err open_mended(struct store **out, const struct backend *backend,
                            const struct store_conf *conf,
                            const struct store_env *env, struct errmsg *why)
{
    enum err err = open_and_say(out, ROLE_MENDED, backend, conf, env, why);
    if (err == ERR_OK) {
        err = damage_unmark(conf->path, why);
    }
    return err;
}

/* Without room for a second store the damaged one goes on, if it can; so does a
 * database that cannot be mended. */
static enum err open_in_place(struct store **out, const struct backend *backend,
                              const struct store_conf *conf,
                              const struct store_env *env, const char *what,
                              struct errmsg *why)
{
    struct store_env untold = *env; /* another start would not help */
    untold.damaged = NULL;
    log_error(env->log, "STORE-REBUILD",
              "path=%s result=postponed cause=\"%s\"", conf->path, why->text);
    enum err err = store_open_plain(out, backend, conf, &untold, why);
    if (err == ERR_OK) {
        damage_known(*out, what);
    }
    return err;
}

static enum err open_or_rebuild(struct store **out,
                                const struct backend *backend,
                                const struct store_conf *conf,
                                const struct store_env *env, struct errmsg *why)
{
    char what[DAMAGE_MAX];
    bool marked;
    bool mends = backend->open_damaged == NULL;
    enum err err = damage_marked(conf->path, &marked, what, why);
    if (err != ERR_OK) {
        return err;
    }
    if (!marked) {
        err = store_open_plain(out, backend, conf, env, why);
        if (err != ERR_CORRUPT) {
            return err;
        }
        (void)snprintf(what, sizeof what, "%.*s", DAMAGE_MAX - 1, why->text);
        err = damage_mark(conf->path, what, why);
    }
    if (err == ERR_OK) {
        log_warn(env->log, "STORE-REBUILD", "path=%s cause=\"%s\"", conf->path,
                 what);
        err = mends ? mend_run(backend, conf, env, why)
                    : rebuild_run(backend, conf, env, why);
    }
    if (err == ERR_NO_SPACE || (mends && err == ERR_CORRUPT)) {
        return open_in_place(out, backend, conf, env, what, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    return mends ? open_mended(out, backend, conf, env, why)
                 : store_open_plain(out, backend, conf, env, why);
}

enum err store_open_on(struct store **out, const struct backend *backend,
                       const struct store_conf *conf,
                       const struct store_env *env, struct errmsg *why)
{
    *out = NULL;
    enum err err =
        backend->open_damaged != NULL ? rebuild_finish(conf, why) : ERR_OK;
    if (err == ERR_OK) {
        err = open_or_rebuild(out, backend, conf, env, why);
    }
    if (err == ERR_OK) {
        err = patrol_start(*out, why);
    }
    if (err != ERR_OK) {
        store_close(out);
    }
    return err;
}

const struct backend *backend_of(const struct store_conf *conf)
{
    return conf->mariadb.database != NULL ? &store_mariadb : &store_rocksdb;
}

enum err store_open(struct store **out, const struct store_conf *conf,
                    const struct store_env *env, struct errmsg *why)
{
    return store_open_on(out, backend_of(conf), conf, env, why);
}

enum err store_snapshot(struct store *store, const char *path,
                        struct errmsg *why)
{
    if (store->backend->snapshot == NULL) {
        return err_set(why, ERR_UNSUPPORTED,
                       "this store is read as it is, without a snapshot");
    }
    enum err err = folder_remove(path, why);
    if (err != ERR_OK) {
        return err;
    }
    err = db_enter(store);
    if (err != ERR_OK) {
        return err_set(why, err, "store %s is away", store->conf.path);
    }
    err = store->backend->snapshot(store->db, path, why);
    db_leave(store);
    return err;
}

void store_closing(struct store *store)
{
    writer_close(store);
}

void store_stopping(struct store *store)
{
    atomic_store(&store->stopping, true);
}

void store_close(struct store **store)
{
    struct store *s = *store;
    *store = NULL;
    if (s != NULL) {
        patrol_stop(s);
        follow_stop_thread(s);
        writer_stop(s);
        store_free(s);
    }
}

void store_watch(struct store *store, store_watch_fn *fn, void *ctx)
{
    (void)pthread_mutex_lock(&store->watch_lock);
    if (store->watchers_n < WATCHERS_MAX) {
        store->watchers[store->watchers_n].fn = fn;
        store->watchers[store->watchers_n].ctx = ctx;
        store->watchers_n++;
    }
    (void)pthread_mutex_unlock(&store->watch_lock);
}

void store_unwatch(struct store *store, store_watch_fn *fn, void *ctx)
{
    (void)pthread_mutex_lock(&store->watch_lock);
    size_t kept = 0;
    for (size_t i = 0; i < store->watchers_n; i++) {
        if (store->watchers[i].fn != fn || store->watchers[i].ctx != ctx) {
            store->watchers[kept++] = store->watchers[i];
        }
    }
    store->watchers_n = kept;
    (void)pthread_mutex_unlock(&store->watch_lock);
}

void store_stats(struct store *store, struct store_stats *out)
{
    *out = (struct store_stats){
        .commits = atomic_load(&store->commits),
        .issues = (uint64_t)atomic_load(&store->issues),
        .awaits_parent = atomic_load(&store->awaits_parent),
        .other_keyring = atomic_load(&store->other_keyring),
    };
    (void)pthread_mutex_lock(&store->heads.lock);
    out->entries = store->heads.entries;
    (void)pthread_mutex_unlock(&store->heads.lock);
    (void)pthread_mutex_lock(&store->queue.lock);
    out->queued = store->queue.n;
    (void)pthread_mutex_unlock(&store->queue.lock);
    (void)pthread_mutex_lock(&store->state_lock);
    out->writable = atomic_load(&store->unwritable) == ERR_OK;
    memcpy(out->why, store->why, sizeof out->why);
    (void)pthread_mutex_unlock(&store->state_lock);
    out->damaged = damage_stats(store, out->damage);
    out->damage_todo = damage_advice(store->backend)->state;
    out->beside = store->role == ROLE_FOLLOW;
    if (out->beside && store->env.who_writes != NULL) {
        store->env.who_writes(store->env.ctx, out->why, sizeof out->why);
    }
    bool readonly = false;
    if (db_enter(store) == ERR_OK) {
        out->bytes_on_disk = store->backend->disk_bytes(store->db);
        (void)store->backend->space(store->db, &store->conf, &out->free_bytes,
                                    &readonly);
        db_leave(store);
    }
}
