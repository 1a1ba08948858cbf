#include "node_copy.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    PATH_LEN = 4096,
    FILE_BYTES_MAX = 1 << 30,
    LOOK_MS = 200,       /* how often: does the node still run? */
    PAUSE_MIN_MS = 2000, /* between two passes */
    PAUSE_MAX_MS = 30000,
    PATIENCE_MS = 60000, /* with a node that starts or stops, or a server */
    PATIENCE_SHORT_MS = 3000,
};

/* In data.dir beside the store; files, or folders of files. */
static const char *const beside[] = {"keys", "root", "receipts", "set-aside"};

/* ---- what goes along ---- */

static enum err copy_file(const char *from, const char *to, struct errmsg *why)
{
    struct buf bytes = BUF_INIT;
    enum err err = file_read(from, FILE_BYTES_MAX, &bytes, why);
    if (err == ERR_OK) {
        err = file_replace(to, buf_slice(&bytes), 0600, why);
    }
    if (bytes.data != NULL) { /* keys are among them */
        mem_wipe(bytes.data, bytes.len);
    }
    buf_fini(&bytes);
    return err;
}

static bool join(char out[PATH_LEN], const char *folder, const char *name)
{
    return snprintf(out, PATH_LEN, "%s/%s", folder, name) < PATH_LEN;
}

static enum err failed(const char *path, struct errmsg *why)
{
    return err_set(why, err_from_errno(errno), "%s: %s", path, strerror(errno));
}

/* `mode` 0: certainly not there. */
static enum err look_at(const char *path, mode_t *mode, struct errmsg *why)
{
    struct stat st = {.st_mode = 0};
    if (stat(path, &st) != 0 && errno != ENOENT) {
        return failed(path, why);
    }
    *mode = st.st_mode;
    return ERR_OK;
}

static enum err copy_named(const char *from, const char *to, const char *name,
                           struct errmsg *why)
{
    char a[PATH_LEN];
    char b[PATH_LEN];
    mode_t mode;
    if (!join(a, from, name) || !join(b, to, name)) {
        return err_set(why, ERR_CONF, "%s: path too long", from);
    }
    enum err err = look_at(a, &mode, why);
    return err == ERR_OK && S_ISREG(mode) ? copy_file(a, b, why) : err;
}

static enum err copy_files(DIR *dir, const char *from, const char *to,
                           struct errmsg *why)
{
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (d == NULL) {
            return errno == 0 ? ERR_OK : failed(from, why);
        }
        err = copy_named(from, to, d->d_name, why);
    }
    return err;
}

static enum err copy_folder(const char *from, const char *to,
                            struct errmsg *why)
{
    enum err err = file_make_dirs(to, why);
    if (err != ERR_OK) {
        return err;
    }
    DIR *dir = opendir(from);
    if (dir == NULL) {
        return failed(from, why);
    }
    err = copy_files(dir, from, to, why);
    (void)closedir(dir);
    return err;
}

static enum err carry_one(const struct node_copy *copy, const char *name,
                          struct errmsg *why)
{
    char a[PATH_LEN];
    char b[PATH_LEN];
    mode_t mode = 0;
    if (!join(a, copy->from->data.dir, name) ||
        !join(b, copy->to->data.dir, name)) {
        return err_set(why, ERR_CONF, "data.dir: path too long");
    }
    enum err err = look_at(a, &mode, why);
    if (err != ERR_OK || mode == 0) {
        return err;
    }
    return S_ISDIR(mode) ? copy_folder(a, b, why) : copy_file(a, b, why);
}

/* All of it or an error: the source is marked as moved behind it. */
static enum err carry(void *ctx, struct errmsg *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(beside); i++) {
        err = carry_one(ctx, beside[i], why);
    }
    return err;
}

/* ---- checks ---- */

static bool same_folder(const char *a, const char *b)
{
    struct stat x;
    struct stat y;
    return strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 &&
                                 x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

static enum err check_sides(const struct node_copy *c, struct errmsg *why)
{
    const struct conf *a = c->from;
    const struct conf *b = c->to;
    if (a->node.code != b->node.code || a->node.tier != b->node.tier ||
        a->federation.suite != b->federation.suite ||
        strcmp(a->federation.name, b->federation.name) != 0) {
        return err_set(why, ERR_CONF,
                       "%s and %s are of two nodes: node.code, node.tier, "
                       "federation.name and federation.suite must be equal",
                       c->from_name, c->to_name);
    }
    if (same_folder(a->data.dir, b->data.dir)) {
        return err_set(why, ERR_CONF,
                       "data.dir is %s in both configurations: give %s a new, "
                       "empty one; the old one stays until you remove it",
                       a->data.dir, c->to_name);
    }
    return ERR_OK;
}

/* ---- passes ---- */

struct run {
    struct node_copy *copy;
    struct node_side *from;
    struct node_side *to;
    struct store_copy *state;
    struct copy_counts *counts;
    uint64_t copied;
    uint64_t read_back;
};

static void on_progress(void *ctx, enum copy_phase phase, uint64_t done,
                        uint64_t total)
{
    const struct node_copy *c = ctx;
    c->progress(c->ctx, phase, done, total);
}

/* `snapshot` NULL: the store itself. */
static enum err make_pass(struct run *r, const char *snapshot, bool last,
                          struct errmsg *why)
{
    struct store_conf from = *node_side_store(r->from);
    struct copy_job job = {.from = &from,
                           .to = node_side_store(r->to),
                           .from_name = r->copy->from_name,
                           .to_name = r->copy->to_name,
                           .last = last,
                           .carry = carry,
                           .progress = on_progress,
                           .ctx = r->copy};
    if (snapshot != NULL) {
        from.path = snapshot;
    }
    enum err err = node_side_open(r->from, why);
    if (err == ERR_OK) {
        job.env = node_side_env(r->from);
        err = copy_pass(r->state, &job, r->counts, why);
    }
    node_side_close(r->from);
    r->copied += r->counts->copied;
    r->read_back += r->counts->read_back;
    return err;
}

/* A snapshot is asked for first: what is opened then is as new as it. */
static enum err pass_beside(struct run *r, struct errmsg *why)
{
    char path[PATH_LEN];
    bool embedded = node_side_store(r->from)->mariadb.database == NULL;
    if (!embedded) {
        return make_pass(r, NULL, false, why);
    }
    enum err err = r->copy->snapshot(r->copy->ctx, path, sizeof path, why);
    if (err != ERR_OK) {
        return ERR_UNAVAILABLE;
    }
    err = make_pass(r, path, false, why);
    copy_drop_snapshot(path);
    return err;
}

/* Waits for the time of the next pass, or until the node is stopped: how long
 * that takes is for people to say, so there is no other end. */
static void wait_for_stop(const struct run *r, int64_t ms)
{
    int64_t until_ms = clock_mono_ms() + ms;
    while (clock_mono_ms() < until_ms &&
           copy_in_use(node_side_store(r->from))) {
        clock_sleep(LOOK_MS);
    }
}

/* The longer a pass takes, and the less it finds, the later is the next. */
static int64_t next_pause(int64_t pause_ms, int64_t took_ms, uint64_t copied)
{
    int64_t ms = copied > 0 ? PAUSE_MIN_MS : 2 * pause_ms;
    ms = took_ms > ms ? took_ms : ms;
    return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

/* It has what the last pass would wait for: nobody could see why. */
static enum err check_to(const struct run *r, struct errmsg *why)
{
    const struct store_conf *to = node_side_store(r->to);
    return copy_in_use(to)
               ? err_set(why, ERR_BUSY,
                         "store %s is open in another process: another copy, "
                         "or a node? stop that first",
                         to->path)
               : ERR_OK;
}

/* One step; ERR_UNAVAILABLE and ERR_BUSY may pass when the node has come up or
 * is gone. */
static enum err step(struct run *r, struct errmsg *why)
{
    bool runs = copy_in_use(node_side_store(r->from));
    if (!runs) {
        enum err err = make_pass(r, NULL, true, why);
        r->copy->moved = err == ERR_OK;
        return err;
    }
    enum err err = pass_beside(r, why);
    if (err == ERR_OK) {
        r->copy->passed(r->copy->ctx, r->counts);
    }
    return err;
}

/* Is it worth another try? `since_ms` is when it failed first, 0: it did not.
 * Who has the source may be gone in a moment; what else is busy is the copy. */
static bool may_pass(const struct run *r, enum err err, int64_t *since_ms,
                     const struct errmsg *why)
{
    int64_t now_ms = clock_mono_ms();
    bool soon = err == ERR_BUSY && !copy_in_use(node_side_store(r->from));
    bool again = err == ERR_UNAVAILABLE || err == ERR_BUSY;
    if (again && *since_ms == 0) {
        *since_ms = now_ms;
        r->copy->waiting(r->copy->ctx, why->text);
    }
    return again &&
           now_ms - *since_ms < (soon ? PATIENCE_SHORT_MS : PATIENCE_MS);
}

static enum err follow(struct run *r, struct errmsg *why)
{
    int64_t pause_ms = PAUSE_MIN_MS;
    int64_t failing_ms = 0;
    bool end = false;
    enum err err = ERR_OK;
    while (!end) {
        int64_t began_ms = clock_mono_ms();
        err = step(r, why);
        if (err == ERR_OK) {
            int64_t took_ms = clock_mono_ms() - began_ms;
            failing_ms = 0;
            end = r->copy->moved || r->copy->once;
            pause_ms = next_pause(pause_ms, took_ms, r->counts->copied);
        } else {
            end = !may_pass(r, err, &failing_ms, why);
        }
        if (!end && err == ERR_OK) {
            wait_for_stop(r, pause_ms);
        } else if (!end) {
            clock_sleep(LOOK_MS);
        }
    }
    return err;
}

enum err node_copy_run(struct node_copy *copy, struct copy_counts *counts,
                       struct errmsg *why)
{
    struct run r = {.copy = copy, .counts = counts, .state = copy_new()};
    copy->moved = false;
    enum err err = check_sides(copy, why);
    if (err == ERR_OK) {
        err = node_side_new(&r.from, copy->from, why);
    }
    if (err == ERR_OK) {
        err = node_side_new(&r.to, copy->to, why);
    }
    if (err == ERR_OK) {
        err = check_to(&r, why);
    }
    if (err == ERR_OK) {
        err = follow(&r, why);
    }
    counts->copied = r.copied;
    counts->read_back = r.read_back;
    node_side_free(&r.from);
    node_side_free(&r.to);
    copy_free(&r.state);
    return err;
}
