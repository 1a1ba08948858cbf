#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_impl.h"

enum { PATH_LEN = 4096, MARK_MAX = 4096, SERIAL_LEN = 16 };

static void path_in(const char *folder, const char *name, char out[PATH_LEN])
{
    (void)snprintf(out, PATH_LEN, "%s/%s", folder, name);
}

/* ---- the mark ---- */

enum err damage_marked(const char *path, bool *marked, char what[DAMAGE_MAX],
                       struct errmsg *why)
{
    char mark[PATH_LEN];
    struct buf text = BUF_INIT;
    path_in(path, "DAMAGED", mark);
    enum err err = file_read(mark, MARK_MAX, &text, why);
    (void)snprintf(what, DAMAGE_MAX, "%.*s", (int)text.len,
                   err == ERR_OK ? (const char *)text.data : "");
    buf_fini(&text);
    *marked = err == ERR_OK || err == ERR_TOO_LARGE;
    return *marked || err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err damage_mark(const char *path, const char *what, struct errmsg *why)
{
    char mark[PATH_LEN];
    path_in(path, "DAMAGED", mark);
    return file_replace(mark, slice_str(what), 0600, why);
}

enum err damage_unmark(const char *path, struct errmsg *why)
{
    char mark[PATH_LEN];
    path_in(path, "DAMAGED", mark);
    if ((unlink(mark) != 0 && errno != ENOENT) || !file_sync_folder_of(mark)) {
        return err_set(why, err_from_errno(errno), "%s: %s", mark,
                       strerror(errno));
    }
    return ERR_OK;
}

/* ---- what a node knows of it ---- */

const struct damage_advice *damage_advice(const struct backend *backend)
{
    static const struct damage_advice rebuilt = {
        .line = "check the disk and restart: the node then rebuilds the store "
                "and gets what is lost from its parent and children",
        .state = "restart the node to rebuild its store",
        .copy = "start the node on it, which rebuilds it, and copy then",
    };
    static const struct damage_advice mended = {
        .line = "check the server's disk and restart: the node then cuts the "
                "logs to what can be proven and gets the rest from its parent "
                "and children; where it cannot, restore the database from a "
                "backup",
        .state = "restart the node to mend its database; where it cannot, "
                 "restore a backup",
        .copy = "start the node on it, which mends it, and copy then",
    };
    return backend->open_damaged != NULL ? &rebuilt : &mended;
}

/* state_lock held. */
static void note_damage(struct store *s, const char *what)
{
    (void)snprintf(s->damage, sizeof s->damage, "%s", what);
    atomic_store(&s->damaged, true);
}

void damage_known(struct store *s, const char *what)
{
    (void)pthread_mutex_lock(&s->state_lock);
    note_damage(s, what);
    (void)pthread_mutex_unlock(&s->state_lock);
}

/* state_lock held. A mark may be another process's of this node; beside the one
 * that writes only the mark counts, since that one ends the damage. */
static bool has_damage(struct store *s, char what[DAMAGE_MAX])
{
    struct errmsg unused;
    bool marked = false;
    if (atomic_load(&s->damaged) && s->role != ROLE_FOLLOW) {
        memcpy(what, s->damage, DAMAGE_MAX);
        return true;
    }
    return s->backend->open_damaged == NULL &&
           damage_marked(s->conf.path, &marked, what, &unused) == ERR_OK &&
           marked;
}

void store_damaged(struct store *s, const char *what)
{
    struct errmsg why = {""};
    char before[DAMAGE_MAX];
    bool marked = false;
    bool beside = s->role == ROLE_FOLLOW;
    (void)pthread_mutex_lock(&s->state_lock);
    bool first = beside ? !has_damage(s, before) : !atomic_load(&s->damaged);
    /* To start one that stands by anew mends nothing. */
    bool tell = s->env.damaged != NULL && !beside;
    s->damages++;
    if (first) {
        note_damage(s, what);
        /* Under the lock: store_damage_end() takes the mark away there. */
        marked = damage_mark(s->conf.path, what, &why) == ERR_OK;
    }
    (void)pthread_mutex_unlock(&s->state_lock);
    if (!first) {
        return;
    }
    log_error(&s->log, "STORE-DAMAGED",
              "path=%s cause=\"%s\" marked=%s%s todo=\"%s\"", s->conf.path,
              what, marked ? "yes" : "no ", why.text,
              damage_advice(s->backend)->line);
    if (tell) {
        s->env.damaged(s->env.ctx, what);
    }
}

void damage_tell(struct store *s, const struct store_env *env)
{
    char what[DAMAGE_MAX];
    (void)pthread_mutex_lock(&s->state_lock);
    s->env.damaged = env->damaged;
    bool tell =
        s->damages > 0 && env->damaged != NULL && s->role != ROLE_FOLLOW;
    memcpy(what, s->damage, sizeof what);
    (void)pthread_mutex_unlock(&s->state_lock);
    if (tell) {
        env->damaged(env->ctx, what);
    }
}

void store_damage_look(struct store *store)
{
    char what[DAMAGE_MAX];
    struct errmsg unused;
    bool marked = false;
    if (store->backend->open_damaged == NULL && !atomic_load(&store->damaged) &&
        damage_marked(store->conf.path, &marked, what, &unused) == ERR_OK &&
        marked) {
        store_damaged(store, what);
    }
}

uint64_t store_damages(struct store *store)
{
    (void)pthread_mutex_lock(&store->state_lock);
    uint64_t n = store->damages;
    (void)pthread_mutex_unlock(&store->state_lock);
    return n;
}

bool damage_stats(struct store *s, char what[DAMAGE_MAX])
{
    (void)pthread_mutex_lock(&s->state_lock);
    bool damaged = has_damage(s, what);
    (void)pthread_mutex_unlock(&s->state_lock);
    return damaged;
}

enum err store_damage_end(struct store *store, uint64_t damages, bool *ended,
                          struct errmsg *why)
{
    char what[DAMAGE_MAX];
    enum err err = ERR_OK;
    *ended = false;
    if (store->backend->open_damaged != NULL) {
        return ERR_OK;
    }
    (void)pthread_mutex_lock(&store->state_lock);
    if (store->damages == damages && has_damage(store, what)) {
        err = damage_unmark(store->conf.path, why);
        *ended = err == ERR_OK;
    }
    if (*ended) {
        store->damage[0] = 0;
        atomic_store(&store->damaged, false);
    }
    (void)pthread_mutex_unlock(&store->state_lock);
    if (*ended) {
        log_info(&store->log, "STORE-SOUND", "path=%s was=\"%s\"",
                 store->conf.path, what);
    }
    return err;
}

/* ---- the count of commits ---- */

enum err serial_read(const char *path, uint64_t *out, struct errmsg *why)
{
    char file[PATH_LEN];
    struct buf value = BUF_INIT;
    path_in(path, "SERIAL", file);
    *out = 0;
    enum err err = file_read(file, SERIAL_LEN, &value, why);
    /* A power cut may have left anything in it. */
    if (err == ERR_OK && value.len == SERIAL_LEN &&
        be_get64(value.data) == ~be_get64(value.data + 8)) {
        *out = be_get64(value.data);
    }
    buf_fini(&value);
    return err == ERR_NOT_FOUND || err == ERR_TOO_LARGE ? ERR_OK : err;
}

/* Not synced: after a power cut it may be behind, never ahead. */
void serial_write(struct store *s)
{
    uint8_t value[SERIAL_LEN];
    be_put64(value, s->serial);
    be_put64(value + 8, ~s->serial);
    if (s->serial_fd < 0) {
        char file[PATH_LEN];
        path_in(s->conf.path, "SERIAL", file);
        s->serial_fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    }
    if (s->serial_fd >= 0 &&
        pwrite(s->serial_fd, value, sizeof value, 0) != sizeof value &&
        ftruncate(s->serial_fd, 0) != 0) {
        log_debug(&s->log, "STORE-SERIAL", "cause=\"%s\"", strerror(errno));
    }
}

enum err backend_fenced(struct errmsg *why)
{
    return err_set(why, ERR_CONFLICT,
                   "another process wrote to this database: stop it, and start "
                   "this node again");
}

enum err backend_lacks(uint64_t gone, enum err err, struct errmsg *why)
{
    return err_set(why, err,
                   "the database lacks the last %llu commits: name the server "
                   "that has them; if it was put back on purpose: stop the "
                   "node, delete SERIAL in its store, start it",
                   (unsigned long long)gone);
}

enum err serial_compare(const struct backend *backend, const char *path,
                        uint64_t serial, uint64_t beside, struct errmsg *why)
{
    if (beside <= serial) {
        return ERR_OK;
    }
    uint64_t gone = beside - serial;
    return backend->open_damaged != NULL
               ? err_set(why, ERR_CORRUPT,
                         "store %s: its last %llu commits are gone: the "
                         "write-ahead log is damaged",
                         path, (unsigned long long)gone)
               : backend_lacks(gone, ERR_CONF, why);
}

void serial_is(struct store *s, uint64_t serial)
{
    s->serial = serial;
    atomic_store(&s->known, serial);
}

enum err serial_lasts(struct store *s, uint64_t found, struct errmsg *why)
{
    bool back = found < s->serial;
    atomic_store(&s->put_back, back);
    return back ? backend_lacks(s->serial - found, ERR_UNAVAILABLE, why)
                : ERR_OK;
}

enum err serial_fits(struct store *s, uint64_t found, struct errmsg *why)
{
    enum err err = serial_lasts(s, found, why);
    return err == ERR_OK && found > s->serial ? backend_fenced(why) : err;
}

enum err serial_check(struct store *s, struct errmsg *why)
{
    uint64_t beside;
    enum err err = serial_read(s->conf.path, &beside, why);
    return err == ERR_OK ? serial_compare(s->backend, s->conf.path, s->serial,
                                          beside, why)
                         : err;
}

/* ---- an own log in doubt ---- */

void hold_put(struct buf *out, const struct hold *hold)
{
    if (hold->active) {
        log_id_put(out, &hold->log);
        buf_put_u64(out, hold->base);
    }
}

void hold_get(struct slice value, struct hold *out)
{
    struct reader r = reader_of(value);
    struct hold hold = {.active = true, .log = log_id_get(&r)};
    hold.base = reader_u64(&r);
    *out = reader_done(&r) ? hold : (struct hold){.active = false};
}

enum err hold_load(struct store *s, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    enum err err = s->backend->meta(s->db, META_HOLD, &value, why);
    if (err == ERR_OK) {
        hold_get(buf_slice(&value), &s->hold);
    }
    buf_fini(&value);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

struct release {
    struct group *g;
    uint64_t last;
};

static bool on_known(void *ctx, uint64_t seq, struct slice entry)
{
    struct release *r = ctx;
    (void)entry;
    if (seq > r->last) {
        return false;
    }
    r->g->s->backend->del_salvage(r->g->batch, seq);
    r->g->salvaged--;
    return true;
}

enum err hold_release(struct group *g, uint64_t size, struct errmsg *why)
{
    struct store *s = g->s;
    struct release r = {g, s->hold.base + size};
    s->backend->put_meta(g->batch, META_HOLD, slice_of("", 0));
    return s->backend->salvage(s->db, s->hold.base + 1, on_known, &r, why);
}

/* ---- a new store that awaits its parent ---- */

enum err await_load(struct store *s, struct errmsg *why)
{
    struct buf value = BUF_INIT;
    enum err err = s->backend->meta(s->db, META_AWAIT, &value, why);
    bool awaits = err == ERR_OK && value.len == 1 && s->conf.has_parent;
    atomic_store(&s->awaits_parent, awaits);
    buf_fini(&value);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void await_put(struct group *g, bool awaits)
{
    const uint8_t yes = 1;
    g->s->backend->put_meta(g->batch, META_AWAIT, slice_of(&yes, awaits));
}

bool store_awaits_parent(struct store *store)
{
    return atomic_load(&store->awaits_parent);
}

static enum err do_told(struct store *s, void *ctx, struct errmsg *why)
{
    struct group g;
    (void)ctx;
    group_init(&g, s);
    await_put(&g, false);
    enum err err = group_commit(&g, why);
    if (err == ERR_OK) {
        atomic_store(&s->awaits_parent, false);
        log_info(&s->log, "STORE-ADMITTED", "set_aside=%llu",
                 (unsigned long long)s->salvaged);
    }
    group_fini(&g);
    return err;
}

enum err store_parent_told(struct store *store, struct errmsg *why)
{
    return writer_job(store, do_told, NULL, why);
}

bool store_in_doubt(struct store *store, const struct log_id *log)
{
    (void)pthread_mutex_lock(&store->heads.lock);
    bool doubt = store->hold.active && log_id_eq(&store->hold.log, log);
    (void)pthread_mutex_unlock(&store->heads.lock);
    return doubt;
}

enum err store_settle(struct store *store, struct errmsg *why)
{
    struct log_id own = store_own_log(store);
    struct store_head head;
    struct buf note = BUF_INIT;
    if (!store_in_doubt(store, &own)) {
        return ERR_OK;
    }
    enum err err = store_head(store, &own, &head);
    if (err == ERR_OK) {
        err = store_note(store, &own, &note, NULL);
    }
    if (err == ERR_OK) {
        uint64_t size = head.frontier.size;
        err = store_succeed(store, &own, size, size, &head.root,
                            buf_slice(&note), why);
    } else {
        err = err_set(why, err, "the own log in doubt cannot be read");
    }
    buf_fini(&note);
    return err;
}
