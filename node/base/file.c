#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *file_advice(int error)
{
    return error == EACCES ? "; the node's user must own it (chown), and this "
                             "command must run as that user or as root"
                           : "";
}

static enum err fail(struct errmsg *why, const char *path, const char *what)
{
    int saved = errno;
    return err_set(why, err_from_errno(saved), "%s: cannot %s: %s%s", path,
                   what, strerror(saved), file_advice(saved));
}

static enum err read_all(int fd, const char *path, size_t max, struct buf *out,
                         struct errmsg *why)
{
    size_t start = out->len;
    for (;;) {
        uint8_t *at = buf_reserve(out, 16384);
        ssize_t n = read(fd, at, 16384);
        if (n == 0) {
            return ERR_OK;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail(why, path, "read");
        }
        out->len += (size_t)n;
        if (out->len - start > max) {
            return err_set(why, ERR_TOO_LARGE, "%s: larger than %zu bytes",
                           path, max);
        }
    }
}

enum err file_read(const char *path, size_t max, struct buf *out,
                   struct errmsg *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail(why, path, "open");
    }
    enum err err = read_all(fd, path, max, out, why);
    (void)close(fd);
    return err;
}

static bool write_all(int fd, struct slice data)
{
    for (size_t at = 0; at < data.len;) {
        ssize_t n = write(fd, data.data + at, data.len - at);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool file_sync_folder_of(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    if (len >= sizeof dir) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(dir, path, len);
    dir[len] = 0;
    const char *name = slash == NULL ? "." : len == 0 ? "/" : dir;
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool ok = fsync(fd) == 0;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return ok;
}

enum err file_replace(const char *path, struct slice data, unsigned mode,
                      struct errmsg *why)
{
    char tmp[PATH_MAX];
    if (snprintf(tmp, sizeof tmp, "%s.new", path) >= (int)sizeof tmp) {
        return err_set(why, ERR_INVALID, "%s: name too long", path);
    }
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
    if (fd < 0) {
        return fail(why, tmp, "create");
    }
    bool ok =
        fchmod(fd, (mode_t)mode) == 0 && write_all(fd, data) && fsync(fd) == 0;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    if (!ok) {
        enum err err = fail(why, tmp, "write");
        (void)unlink(tmp);
        return err;
    }
    if (rename(tmp, path) != 0) {
        enum err err = fail(why, path, "replace");
        (void)unlink(tmp);
        return err;
    }
    return file_sync_folder_of(path) ? ERR_OK
                                     : fail(why, path, "sync folder of");
}

enum err file_check_private(const char *path, struct errmsg *why)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return fail(why, path, "open");
    }
    if ((st.st_mode & 077) != 0) {
        return err_set(why, ERR_CONF,
                       "%s: is secret and readable by others (mode %04o); "
                       "run: chmod 600 %s",
                       path, (unsigned)(st.st_mode & 07777), path);
    }
    return ERR_OK;
}

static enum err make_dir(const char *path, struct errmsg *why)
{
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? ERR_OK : fail(why, path, "create folder");
    }
    return file_sync_folder_of(path) ? ERR_OK
                                     : fail(why, path, "sync folder of");
}

enum err file_make_dirs(const char *path, struct errmsg *why)
{
    enum err err = ERR_OK;
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof part) {
        return err_set(why, ERR_INVALID, "%s: name too long", path);
    }
    for (size_t i = 1; err == ERR_OK && i <= len; i++) {
        if (path[i] == '/' || path[i] == 0) {
            memcpy(part, path, i);
            part[i] = 0;
            err = make_dir(part, why);
        }
    }
    return err;
}
