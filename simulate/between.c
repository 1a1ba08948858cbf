/* between.c - a library between a node and libc: its disk and its clock.
 *
 * Loaded into a node (LD_PRELOAD) by the simulator. The file named by
 * CREDITSIM_BETWEEN holds one struct between (run/between.h), mapped, so that
 * the simulator spoils a running process without privileges and without file
 * systems of its own:
 *
 *   full       what makes a regular file larger fails as on a full disk
 *   read-only  what changes files or folders fails as on a read-only one
 *   clock      the wall clock, for the program and for its libraries, is off;
 *              waits until a time of that clock are right all the same
 *
 * Without the variable everything is as it was. Threads: any. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "run/between.h"

#define PUBLIC __attribute__((visibility("default")))
#define NEXT(type, name) ((__typeof__(type) *)dlsym(RTLD_NEXT, name))

enum { NS = 1000000000, WALL_SINCE_S = 1000000000 };

static const struct between untouched;
static const struct between *between = &untouched;

__attribute__((constructor)) static void map_orders(void)
{
    const char *path = getenv("CREDITSIM_BETWEEN");
    int fd = path != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path,
                                         O_RDONLY | O_CLOEXEC)
                          : -1;
    void *at = fd >= 0
                   ? mmap(NULL, sizeof *between, PROT_READ, MAP_SHARED, fd, 0)
                   : MAP_FAILED;
    if (at != MAP_FAILED) {
        between = at;
    }
    if (fd >= 0) {
        (void)syscall(SYS_close, fd);
    }
}

/* ---- the clock ---- */

static void shift(struct timespec *t, int64_t ms)
{
    int64_t ns = (int64_t)t->tv_nsec + ms % 1000 * 1000000 + NS;
    t->tv_sec += (time_t)(ms / 1000 + ns / NS - 1);
    t->tv_nsec = (long)(ns % NS);
}

static int64_t off_ms(void)
{
    return atomic_load_explicit(&between->clock_ms, memory_order_relaxed);
}

PUBLIC int clock_gettime(clockid_t id, struct timespec *out)
{
    static int (*_Atomic real)(clockid_t, struct timespec *);
    if (real == NULL) {
        real = NEXT(int(clockid_t, struct timespec *), "clock_gettime");
    }
    int rc = real(id, out);
    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        shift(out, off_ms());
    }
    return rc;
}

PUBLIC int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return rc;
}

PUBLIC time_t time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

/* A condition's clock cannot be asked for; the monotonic one counts from the
 * start of the machine and has not come so far. */
PUBLIC int pthread_cond_timedwait(pthread_cond_t *restrict cond,
                                  pthread_mutex_t *restrict mutex,
                                  const struct timespec *restrict until)
{
    typedef int wait_fn(pthread_cond_t *, pthread_mutex_t *,
                        const struct timespec *);
    static wait_fn *_Atomic real;
    struct timespec right = *until;
    if (real == NULL) {
        /* Without a version it would be that of 1997. */
        wait_fn *newest = (wait_fn *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait",
                                            "GLIBC_2.3.2");
        real =
            newest != NULL ? newest : NEXT(wait_fn, "pthread_cond_timedwait");
    }
    if (right.tv_sec > WALL_SINCE_S) {
        shift(&right, -off_ms());
    }
    return real(cond, mutex, &right);
}

/* ---- the disk ---- */

static enum between_disk disk(void)
{
    return (enum between_disk)atomic_load_explicit(&between->disk,
                                                   memory_order_relaxed);
}

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Sets errno if this file may not grow now. */
static bool refused(int fd)
{
    enum between_disk now = disk();
    if (now == BETWEEN_DISK_GOOD || !is_file(fd)) {
        return false;
    }
    errno = now == BETWEEN_DISK_FULL ? ENOSPC : EROFS;
    return true;
}

static bool read_only(void)
{
    bool is = disk() == BETWEEN_DISK_READ_ONLY;
    if (is) {
        errno = EROFS;
    }
    return is;
}

/* A function of libc behind a condition: what is behind it is looked up
 * once. */
#define GUARDED(type, name, parameters, arguments, refuse)                     \
    PUBLIC type name parameters                                                \
    {                                                                          \
        static type(*_Atomic real) parameters;                                 \
        if (refuse) {                                                          \
            return -1;                                                         \
        }                                                                      \
        if (real == NULL) {                                                    \
            real = NEXT(type parameters, #name);                               \
        }                                                                      \
        return real arguments;                                                 \
    }

GUARDED(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len),
        refused(fd))
GUARDED(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at),
        (fd, data, len, at), refused(fd))
GUARDED(ssize_t, pwrite64, (int fd, const void *data, size_t len, off_t at),
        (fd, data, len, at), refused(fd))
GUARDED(ssize_t, writev, (int fd, const struct iovec *data, int n),
        (fd, data, n), refused(fd))
GUARDED(ssize_t, pwritev, (int fd, const struct iovec *data, int n, off_t at),
        (fd, data, n, at), refused(fd))
GUARDED(int, fallocate, (int fd, int mode, off_t at, off_t len),
        (fd, mode, at, len), refused(fd))
GUARDED(int, fallocate64, (int fd, int mode, off_t at, off_t len),
        (fd, mode, at, len), refused(fd))
GUARDED(int, ftruncate, (int fd, off_t len), (fd, len), read_only())
GUARDED(int, ftruncate64, (int fd, off_t len), (fd, len), read_only())
GUARDED(int, rename, (const char *from, const char *to), (from, to),
        read_only())
GUARDED(int, unlink, (const char *path), (path), read_only())
GUARDED(int, mkdir, (const char *path, mode_t mode), (path, mode), read_only())
GUARDED(int, rmdir, (const char *path), (path), read_only())
GUARDED(int, link, (const char *from, const char *to), (from, to), read_only())

static int open_next(const char *name, const char *path, int flags, mode_t mode)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
    struct stat st;
    /* /dev/null, say, is on no disk. */
    bool other = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    if (writes && !other && read_only()) {
        return -1;
    }
    return NEXT(int(const char *, int, ...), name)(path, flags, mode);
}

#define OPEN(name)                                                             \
    PUBLIC int name(const char *path, int flags, ...)                          \
    {                                                                          \
        va_list ap;                                                            \
        va_start(ap, flags);                                                   \
        mode_t mode = __OPEN_NEEDS_MODE(flags) ? va_arg(ap, mode_t) : 0;       \
        va_end(ap);                                                            \
        return open_next(#name, path, flags, mode);                            \
    }

OPEN(open)
OPEN(open64)

#define STATVFS(name, type)                                                    \
    PUBLIC int name(const char *restrict path, struct type *restrict out)      \
    {                                                                          \
        int rc = NEXT(int(const char *, struct type *), #name)(path, out);     \
        enum between_disk now = disk();                                        \
        if (rc == 0 && now == BETWEEN_DISK_FULL) {                             \
            out->f_bfree = out->f_bavail = 0;                                  \
        } else if (rc == 0 && now == BETWEEN_DISK_READ_ONLY) {                 \
            out->f_flag |= ST_RDONLY;                                          \
        }                                                                      \
        return rc;                                                             \
    }

STATVFS(statvfs, statvfs)
STATVFS(statvfs64, statvfs64)
