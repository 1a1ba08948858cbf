/* accept_guard.c - accept4() that never fails for good, nor takes all
 * descriptors. Private.
 *
 * gRPC 1.51 gives its listener up for ever on any error of accept4() other
 * than EAGAIN (CVE-2023-4785), and anybody can bring about EMFILE by opening
 * connections, before any certificate is asked for. libgrpc calls accept4
 * through the PLT, so this definition in the program is used instead of the
 * one in libc. When descriptors run out a spare one is given up to take the
 * connection off the queue and close it.
 *
 * Whoever reaches the port may open connections as fast as others time out. So
 * that the store and the lines upward still open files and sockets, a
 * connection whose descriptor lies past SHARE of the limit is dropped: the
 * lowest free number is given, so its number tells how many are in use. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/rpc_private.h"

enum {
    WARN_EVERY_MS = 10000,
    SHARE = 3, /* of four descriptors */
    /* Bytes that wait in this machine for a slow line: what comes behind them,
     * pings among it, waits as long. */
    UNSENT_BYTES = 16 << 10,
};

static atomic_int spare_fd = -1;
static atomic_ulong dropped;
static atomic_llong next_warn_ms;

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void __attribute__((constructor)) reserve(void)
{
    atomic_store(&spare_fd, open_spare());
}

static void warn(void)
{
    long long now = clock_mono_ms();
    long long due = atomic_load(&next_warn_ms);
    if (now >= due && atomic_compare_exchange_strong(&next_warn_ms, &due,
                                                     now + WARN_EVERY_MS)) {
        log_warn(NULL, "RPC-FDS-OUT",
                 "connections are dropped, raise the limit of open files "
                 "(ulimit -n) dropped=%lu",
                 atomic_load(&dropped));
    }
}

/* True if a waiting connection was taken off the queue and closed. */
static bool drop_one(int fd)
{
    int spare = atomic_exchange(&spare_fd, -1);
    if (spare < 0) {
        atomic_store(&spare_fd, open_spare());
        return false;
    }
    (void)close(spare);
    int conn = (int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC);
    if (conn >= 0) {
        (void)close(conn);
        atomic_fetch_add(&dropped, 1);
    }
    atomic_store(&spare_fd, open_spare());
    warn();
    return conn >= 0;
}

static bool is_among(int error, const int *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == error) {
            return true;
        }
    }
    return false;
}

/* Troubles of the one connection, handed over by accept(2); the next may be
 * sound. */
static bool was_lost(int error)
{
    static const int lost[] = {
        ECONNABORTED, EPROTO, ENETDOWN,   ENETUNREACH, EHOSTDOWN, EHOSTUNREACH,
        ENOPROTOOPT,  ENONET, EOPNOTSUPP, EPERM,       ETIMEDOUT};
    return is_among(error, lost, ARRAY_LEN(lost));
}

/* None was to be had. True: try again at once; else errno is what the library
 * may be told. */
static bool may_go_on(int fd)
{
    static const int told[] = {EAGAIN, EINTR, EBADF, EINVAL, ENOTSOCK};
    int error = errno;
    if (was_lost(error) ||
        ((error == EMFILE || error == ENFILE) && drop_one(fd))) {
        return true;
    }
    /* No memory and the like pass. */
    errno = is_among(error, told, ARRAY_LEN(told)) ? error : EAGAIN;
    return false;
}

static bool is_past_share(int fd)
{
    struct rlimit files;
    return getrlimit(RLIMIT_NOFILE, &files) == 0 &&
           files.rlim_cur != RLIM_INFINITY &&
           (rlim_t)fd >= files.rlim_cur / 4 * SHARE;
}

/* False: it was dropped. */
static bool admit(int conn)
{
    static const int unsent = UNSENT_BYTES;
    if (is_past_share(conn)) {
        (void)close(conn);
        atomic_fetch_add(&dropped, 1);
        warn();
        return false;
    }
    (void)setsockopt(conn, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent,
                     sizeof unsent);
    return true;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    for (;;) {
        int conn = (int)syscall(SYS_accept4, fd, addr, len, flags);
        if (conn >= 0 ? admit(conn) : !may_go_on(fd)) {
            return conn;
        }
    }
}

unsigned long accept_guard_dropped(void)
{
    return atomic_load(&dropped);
}
