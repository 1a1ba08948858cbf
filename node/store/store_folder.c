#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/store_impl.h"

enum { DAMAGED_KEPT = 2 };

void folder_path(const char *path, const char *suffix, char out[STORE_PATH_LEN])
{
    (void)snprintf(out, STORE_PATH_LEN, "%.4000s%.64s", path, suffix);
}

static int remove_one(const char *path, const struct stat *st, int flag,
                      struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static enum err is_there(const char *path, bool *there, struct errmsg *why)
{
    *there = access(path, F_OK) == 0;
    return *there || errno == ENOENT ? ERR_OK
                                     : err_set(why, err_from_errno(errno),
                                               "%s: %s", path, strerror(errno));
}

enum err folder_remove(const char *path, struct errmsg *why)
{
    enum { DESCRIPTORS = 16 };
    bool there;
    enum err err = is_there(path, &there, why);
    if (err == ERR_OK && there &&
        nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS) != 0) {
        err = err_set(why, ERR_IO, "%s: cannot be removed", path);
    }
    return err;
}

enum err backend_refuse_other(const char *path, const char *file,
                              const char *other, struct errmsg *why)
{
    char name[2 * STORE_PATH_LEN];
    (void)snprintf(name, sizeof name, "%s/%s", path, file);
    bool there;
    enum err err = is_there(name, &there, why);
    return err == ERR_OK && there
               ? err_set(why, ERR_CONF,
                         "store %s belongs to backend \"%s\": put "
                         "store.backend back, and move what it holds with "
                         "`creditnode store copy`",
                         path, other)
               : err;
}

/* RocksDB's lock is of one kind, the one of store/mariadb/schema.c of the
 * other. */
bool folder_in_use(const char *path)
{
    char lock[STORE_PATH_LEN];
    struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    folder_path(path, "/LOCK", lock);
    int fd = open(lock, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        /* Without a descriptor it cannot be told. */
        return errno == EMFILE || errno == ENFILE;
    }
    bool held = fcntl(fd, F_GETLK, &record) == 0 && record.l_type != F_UNLCK;
    held = held || flock(fd, LOCK_EX | LOCK_NB) != 0;
    (void)close(fd);
    return held;
}

/* Counts folders kept from earlier repairs; the first by name is the oldest. */
static size_t count_kept(const char *folder, const char *prefix,
                         char oldest[STORE_PATH_LEN])
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    oldest[0] = 0;
    for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
        if (strncmp(d->d_name, prefix, strlen(prefix)) != 0) {
            continue;
        }
        n++;
        if (oldest[0] == 0 || strcmp(d->d_name, oldest) < 0) {
            (void)snprintf(oldest, STORE_PATH_LEN, "%s", d->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

enum err folder_drop_oldest(const char *path, struct errmsg *why)
{
    char folder[STORE_PATH_LEN];
    char prefix[STORE_PATH_LEN];
    char name[STORE_PATH_LEN];
    char old[2 * STORE_PATH_LEN];
    folder_path(path, "", folder);
    char *slash = strrchr(folder, '/');
    folder_path(slash != NULL ? slash + 1 : folder, ".damaged-", prefix);
    if (slash != NULL) {
        *slash = 0;
    }
    const char *in = slash != NULL ? folder : ".";
    enum err err = ERR_OK;
    while (err == ERR_OK && count_kept(in, prefix, name) >= DAMAGED_KEPT) {
        (void)snprintf(old, sizeof old, "%s/%s", in, name);
        err = folder_remove(old, why);
    }
    return err;
}

static enum err sync_parent(const char *path, struct errmsg *why)
{
    char folder[STORE_PATH_LEN];
    folder_path(path, "/..", folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok ? ERR_OK : err_set(why, ERR_IO, "%s: cannot sync", folder);
}

static enum err move(const char *from, const char *to, struct errmsg *why)
{
    return rename(from, to) == 0
               ? ERR_OK
               : err_set(why, ERR_IO, "%s: cannot be moved to %s", from, to);
}

enum err rebuild_finish(const struct store_conf *conf, struct errmsg *why)
{
    char fresh[STORE_PATH_LEN];
    char mark[STORE_PATH_LEN];
    char aside[STORE_PATH_LEN];
    char when[32];
    bool there;
    folder_path(conf->path, ".rebuild", fresh);
    folder_path(fresh, "/REBUILT", mark);
    enum err err = is_there(mark, &there, why);
    if (err != ERR_OK || !there) {
        return err;
    }
    err = is_there(conf->path, &there, why);
    if (err == ERR_OK && there) {
        struct tm tm;
        time_t now = (time_t)(clock_wall_ms() / 1000);
        (void)gmtime_r(&now, &tm);
        (void)strftime(when, sizeof when, ".damaged-%Y%m%dT%H%M%SZ", &tm);
        folder_path(conf->path, when, aside);
        err = folder_drop_oldest(conf->path, why);
        if (err == ERR_OK) {
            err = move(conf->path, aside, why);
        }
    }
    if (err == ERR_OK) {
        err = move(fresh, conf->path, why);
    }
    if (err == ERR_OK) {
        err = sync_parent(conf->path, why);
    }
    folder_path(conf->path, "/REBUILT", mark);
    return err == ERR_OK && unlink(mark) != 0
               ? err_set(why, ERR_IO, "%s: cannot be removed", mark)
               : err;
}

uint64_t folder_size(const char *path)
{
    uint64_t bytes = 0;
    DIR *dir = opendir(path);
    for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
        struct stat st;
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode)) {
            bytes += (uint64_t)st.st_size;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return bytes;
}
