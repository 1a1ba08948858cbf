/* disk_faults.h - a program's files on a disk that may fail at any call.
 *
 * The functions of libc through which RocksDB changes files stand here once
 * more; the ones of the program win. Calls about files below one folder are
 * counted, and at the one that was chosen
 *
 *   DISK_STOP   the process ends, as by kill -9
 *   DISK_CUT    the same, and with the power goes what was not synced: ends of
 *               files and what was written over, files made, linked or renamed
 *               in a folder that was not synced; what was unlinked stays so
 *   DISK_FULL   this and some following calls that take room find none
 *   DISK_BAD    this call fails with EIO, if it syncs or writes
 *
 * Include it in one source of a program. Threads: any. */
#ifndef TESTS_DISK_FAULTS_H
#define TESTS_DISK_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum disk_fault { DISK_SOUND, DISK_STOP, DISK_CUT, DISK_FULL, DISK_BAD };

/* Of a process that was stopped or cut. */
enum { DISK_ENDED = 99 };

enum {
    DISK_FDS = 4096,
    DISK_FILES = 4096,
    DISK_NAMES = 4096,
    DISK_PATH = 256,
    DISK_KEPT = 512, /* bytes written over at once */
};

/* What a file holds for certain. */
struct disk_file {
    ino_t ino; /* 0: free */
    int fd;    /* of ours, to spoil it */
    off_t synced;
};

/* What stood where something was written over, since the last sync. */
struct disk_over {
    ino_t ino; /* 0: synced since */
    off_t at;
    size_t len;
    char bytes[DISK_KEPT];
};

/* A name that is there, and may not be after a cut. */
struct disk_name {
    bool unsynced;
    char now[DISK_PATH];
    char before[DISK_PATH];  /* "": it was nowhere */
    char covered[DISK_PATH]; /* a link to what it took the place of; "" */
};

static struct {
    pthread_mutex_t lock;
    char root[DISK_PATH - 32]; /* "": nothing is watched */
    enum disk_fault fault;
    unsigned at;    /* number of the call; 0: not armed */
    unsigned calls; /* until then: calls so far; then: those that fail still */
    unsigned count; /* since it was armed */
    char only[32];  /* what the name of a file has in it, to be counted */
    bool is_folder[DISK_FDS];
    ino_t ino[DISK_FDS]; /* 0: not of ours */
    struct disk_file files[DISK_FILES];
    size_t files_n;
    struct disk_name names[DISK_NAMES];
    size_t names_n;
    struct disk_over over[64];
    size_t over_n;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- what would be lost ---- */

static inline struct disk_file *disk_file(ino_t ino)
{
    for (size_t i = 0; ino != 0 && i < disk.files_n; i++) {
        if (disk.files[i].ino == ino) {
            return &disk.files[i];
        }
    }
    return NULL;
}

static inline bool disk_is_ours(const char *path)
{
    return disk.root[0] != 0 &&
           strncmp(path, disk.root, strlen(disk.root)) == 0;
}

static inline off_t disk_size(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_size : 0;
}

/* Lock held. */
static inline void disk_name_is_new(const char *now, const char *before,
                                    const char *covered)
{
    if (disk.names_n == DISK_NAMES) {
        abort();
    }
    struct disk_name *n = &disk.names[disk.names_n++];
    n->unsynced = true;
    (void)snprintf(n->now, sizeof n->now, "%s", now);
    (void)snprintf(n->before, sizeof n->before, "%s", before);
    (void)snprintf(n->covered, sizeof n->covered, "%s", covered);
}

/* Lock held. */
static inline void disk_watch(int fd, const char *path, bool is_new)
{
    struct stat st;
    if (fd < 0 || fd >= DISK_FDS || fstat(fd, &st) != 0) {
        return;
    }
    disk.ino[fd] = st.st_ino;
    disk.is_folder[fd] = S_ISDIR(st.st_mode);
    if (is_new) {
        disk_name_is_new(path, "", "");
    }
    struct disk_file *f = disk_file(st.st_ino);
    if (f != NULL || !S_ISREG(st.st_mode)) {
        return;
    }
    if (disk.files_n == DISK_FILES) {
        abort();
    }
    f = &disk.files[disk.files_n++];
    f->ino = st.st_ino;
    f->synced = st.st_size;
    f->fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
}

/* Lock held. Keeps what is about to be written over. */
static inline void disk_keep(int fd, off_t at, size_t len)
{
    struct disk_file *f = disk_file(disk.ino[fd]);
    if (f == NULL || at >= f->synced || len == 0) {
        return;
    }
    struct disk_over *o = &disk.over[disk.over_n++];
    if (disk.over_n > 64 || len > DISK_KEPT) {
        abort();
    }
    o->ino = f->ino;
    o->at = at;
    ssize_t n = syscall(SYS_pread64, f->fd, o->bytes, len, at);
    o->len = n > 0 ? (size_t)n : 0;
}

/* Lock held. */
static inline void disk_is_synced(int fd)
{
    if (disk.is_folder[fd]) {
        disk.names_n = 0; /* there is one folder */
        return;
    }
    struct disk_file *f = disk_file(disk.ino[fd]);
    if (f == NULL) {
        return;
    }
    f->synced = disk_size(fd);
    for (size_t i = 0; i < disk.over_n; i++) {
        disk.over[i].ino = disk.over[i].ino == f->ino ? 0 : disk.over[i].ino;
    }
    while (disk.over_n > 0 && disk.over[disk.over_n - 1].ino == 0) {
        disk.over_n--;
    }
}

/* Lock held. */
static inline void disk_lose(void)
{
    for (size_t i = disk.over_n; i-- > 0;) {
        const struct disk_over *o = &disk.over[i];
        struct disk_file *f = disk_file(o->ino);
        if (f != NULL) {
            (void)syscall(SYS_pwrite64, f->fd, o->bytes, o->len, o->at);
        }
    }
    for (size_t i = 0; i < disk.files_n; i++) {
        const struct disk_file *f = &disk.files[i];
        if (disk_size(f->fd) > f->synced) {
            (void)syscall(SYS_ftruncate, f->fd, f->synced);
        }
    }
    for (size_t i = disk.names_n; i-- > 0;) {
        const struct disk_name *n = &disk.names[i];
        if (n->before[0] != 0) {
            (void)syscall(SYS_rename, n->now, n->before);
        } else {
            (void)syscall(SYS_unlink, n->now);
        }
        if (n->covered[0] != 0) {
            (void)syscall(SYS_rename, n->covered, n->now);
        }
    }
}

/* ---- the call that was chosen ---- */

/* Locks. True: go on; else errno is set, and it is unlocked. */
static inline bool disk_begin(const char *name, bool takes_room, bool syncs)
{
    (void)pthread_mutex_lock(&disk.lock);
    if (disk.only[0] != 0 && strstr(name, disk.only) == NULL) {
        return true;
    }
    disk.count++;
    bool now = disk.at != 0 && disk.count >= disk.at &&
               disk.count < disk.at + disk.calls;
    if (!now) {
        return true;
    }
    switch (disk.fault) {
    case DISK_CUT:
        disk_lose();
        _exit(DISK_ENDED);
    case DISK_STOP:
        _exit(DISK_ENDED);
    case DISK_FULL:
        errno = ENOSPC;
        now = takes_room;
        break;
    case DISK_BAD:
        errno = EIO;
        now = takes_room || syncs;
        break;
    case DISK_SOUND:
        now = false;
        break;
    }
    if (now) {
        (void)pthread_mutex_unlock(&disk.lock);
    }
    return !now;
}

static inline void disk_end(void)
{
    (void)pthread_mutex_unlock(&disk.lock);
}

/* The same for an open file. */
static inline bool disk_begin_at(int fd, bool takes_room, bool syncs)
{
    char link[32];
    char name[DISK_PATH] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (disk.only[0] != 0 && readlink(link, name, sizeof name - 1) < 0) {
        abort();
    }
    return disk_begin(name, takes_room, syncs);
}

static inline bool disk_has(int fd)
{
    return fd >= 0 && fd < DISK_FDS && disk.ino[fd] != 0;
}

/* ---- for the test ---- */

/* Before a file below it is opened. */
static inline void disk_root(const char *root)
{
    (void)snprintf(disk.root, sizeof disk.root, "%s", root);
}

/* Calls about other files are not counted. */
static inline void disk_only(const char *part_of_name)
{
    (void)snprintf(disk.only, sizeof disk.only, "%s", part_of_name);
}

/* From now on, call number `at` and the `calls - 1` behind it. */
static inline void disk_arm(enum disk_fault fault, unsigned at, unsigned calls)
{
    (void)pthread_mutex_lock(&disk.lock);
    disk.fault = fault;
    disk.at = at;
    disk.calls = calls;
    disk.count = 0;
    (void)pthread_mutex_unlock(&disk.lock);
}

/* ---- instead of those of libc ---- */

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        va_list ap;
        va_start(ap, flags);
        mode = (mode_t)va_arg(ap, unsigned);
        va_end(ap);
    }
    if (!disk_is_ours(path)) {
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    }
    bool is_new = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
    if (!disk_begin(path, is_new, false)) {
        return -1;
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    disk_watch(fd, path, is_new);
    if (fd >= 0 && (flags & O_TRUNC) != 0) {
        struct disk_file *f = disk_file(disk.ino[fd]);
        if (f != NULL) {
            f->synced = 0;
        }
    }
    disk_end();
    return fd;
}

int close(int fd)
{
    if (fd >= 0 && fd < DISK_FDS) {
        (void)pthread_mutex_lock(&disk.lock);
        disk.ino[fd] = 0;
        (void)pthread_mutex_unlock(&disk.lock);
    }
    return (int)syscall(SYS_close, fd);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    if (!disk_has(fd)) {
        return syscall(SYS_write, fd, bytes, len);
    }
    if (!disk_begin_at(fd, true, false)) {
        return -1;
    }
    disk_keep(fd, (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR), len);
    ssize_t n = syscall(SYS_write, fd, bytes, len);
    disk_end();
    return n;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    if (!disk_has(fd)) {
        return syscall(SYS_pwrite64, fd, bytes, len, at);
    }
    if (!disk_begin_at(fd, true, false)) {
        return -1;
    }
    disk_keep(fd, at, len);
    ssize_t n = syscall(SYS_pwrite64, fd, bytes, len, at);
    disk_end();
    return n;
}

static inline int disk_sync(int fd, long call)
{
    if (!disk_has(fd)) {
        return (int)syscall(call, fd);
    }
    if (!disk_begin_at(fd, false, true)) {
        return -1;
    }
    disk_is_synced(fd); /* what it says is all that counts */
    disk_end();
    return 0;
}

int fsync(int fd)
{
    return disk_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return disk_sync(fd, SYS_fdatasync);
}

int ftruncate(int fd, off_t size)
{
    if (!disk_has(fd)) {
        return (int)syscall(SYS_ftruncate, fd, size);
    }
    if (!disk_begin_at(fd, false, false)) {
        return -1;
    }
    struct disk_file *f = disk_file(disk.ino[fd]);
    if (f != NULL && size < f->synced) {
        f->synced = size;
    }
    int rc = (int)syscall(SYS_ftruncate, fd, size);
    disk_end();
    return rc;
}

int link(const char *from, const char *to)
{
    if (!disk_is_ours(to)) {
        return (int)syscall(SYS_link, from, to);
    }
    if (!disk_begin(to, true, false)) {
        return -1;
    }
    int rc = (int)syscall(SYS_link, from, to);
    if (rc == 0) {
        disk_name_is_new(to, "", "");
    }
    disk_end();
    return rc;
}

int rename(const char *from, const char *to)
{
    static unsigned covered;
    char grave[DISK_PATH] = "";
    if (!disk_is_ours(to)) {
        return (int)syscall(SYS_rename, from, to);
    }
    if (!disk_begin(to, true, false)) {
        return -1;
    }
    if (access(to, F_OK) == 0) {
        (void)snprintf(grave, sizeof grave, "%s.covered-%u", disk.root,
                       covered++);
        (void)syscall(SYS_unlink, grave);
        (void)syscall(SYS_link, to, grave);
    }
    int rc = (int)syscall(SYS_rename, from, to);
    if (rc == 0) {
        disk_name_is_new(to, from, grave);
    }
    disk_end();
    return rc;
}

int unlink(const char *path)
{
    if (!disk_is_ours(path)) {
        return (int)syscall(SYS_unlink, path);
    }
    if (!disk_begin(path, false, false)) {
        return -1;
    }
    int rc = (int)syscall(SYS_unlink, path);
    disk_end();
    return rc;
}

#endif
