/* mariadb_proxy.h - a way to a MariaDB server that breaks where it is told: at
 * a COMMIT. Sockets of this machine only. */
#ifndef TESTS_MARIADB_PROXY_H
#define TESTS_MARIADB_PROXY_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

/* What happens to the next COMMIT, once. */
enum proxy_mode {
    PROXY_PASS,
    PROXY_CUT_BEFORE, /* it never gets there */
    PROXY_CUT_AFTER,  /* it gets there, its answer does not come back */
    PROXY_LATE,       /* the client is cut off, the server sees that only
                         after the COMMIT, which comes a while later */
    PROXY_SLOW,       /* by 2 s */
};

enum { PROXY_LATE_MS = 700, PROXY_SLOW_MS = 2000, PROXY_CHUNK = 65536 };

static struct {
    char path[112];
    char server[112];
    int listener;
    pthread_t acceptor;
    _Atomic int mode;
    _Atomic int late; /* COMMITs that came late */
    _Atomic int live; /* connections */
} proxy;

struct proxy_link {
    int client;
    int server;
    uint8_t chunk[PROXY_CHUNK];
};

static inline int proxy_socket(const char *path, struct sockaddr_un *addr)
{
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(addr->sun_path, sizeof addr->sun_path, "%.100s", path);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static inline bool proxy_send(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* A packet of the text protocol: length 7, number 0, COM_QUERY, "COMMIT". */
static inline bool proxy_is_commit(const uint8_t *data, size_t len)
{
    static const uint8_t commit[] = {7,   0,   0,   0,   3,  'C',
                                     'O', 'M', 'M', 'I', 'T'};
    return len == sizeof commit && memcmp(data, commit, len) == 0;
}

/* Returns whether the link goes on. */
static inline bool proxy_commit(struct proxy_link *l, size_t len)
{
    int mode = atomic_exchange(&proxy.mode, PROXY_PASS);
    if (mode == PROXY_CUT_BEFORE) {
        return false;
    }
    if (mode == PROXY_SLOW) {
        (void)usleep(PROXY_SLOW_MS * 1000);
    }
    if (mode == PROXY_LATE) {
        (void)shutdown(l->client, SHUT_RDWR);
        (void)usleep(PROXY_LATE_MS * 1000);
        (void)proxy_send(l->server, l->chunk, len);
        (void)recv(l->server, l->chunk, sizeof l->chunk, 0);
        (void)atomic_fetch_add(&proxy.late, 1);
        return false;
    }
    bool ok = proxy_send(l->server, l->chunk, len);
    if (mode == PROXY_CUT_AFTER) {
        (void)recv(l->server, l->chunk, sizeof l->chunk, 0);
        return false;
    }
    return ok;
}

static inline void *proxy_run(void *arg)
{
    struct proxy_link *l = arg;
    bool ok = true;
    while (ok) {
        struct pollfd fds[2] = {{.fd = l->client, .events = POLLIN},
                                {.fd = l->server, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0) {
            break;
        }
        bool up = fds[0].revents != 0;
        ssize_t n =
            recv(up ? l->client : l->server, l->chunk, sizeof l->chunk, 0);
        if (n <= 0) {
            break;
        }
        ok = up && proxy_is_commit(l->chunk, (size_t)n)
                 ? proxy_commit(l, (size_t)n)
                 : proxy_send(up ? l->server : l->client, l->chunk, (size_t)n);
    }
    (void)close(l->client);
    (void)close(l->server);
    mem_free(l);
    (void)atomic_fetch_sub(&proxy.live, 1);
    return NULL;
}

static inline void *proxy_accept(void *arg)
{
    (void)arg;
    for (;;) {
        struct sockaddr_un addr;
        pthread_t thread;
        int client = accept(proxy.listener, NULL, NULL);
        if (client < 0) {
            return NULL;
        }
        int server = proxy_socket(proxy.server, &addr);
        if (connect(server, (struct sockaddr *)&addr, sizeof addr) != 0) {
            (void)close(client);
            (void)close(server);
            continue;
        }
        struct proxy_link *l = MEM_NEW(struct proxy_link);
        l->client = client;
        l->server = server;
        (void)atomic_fetch_add(&proxy.live, 1);
        (void)pthread_create(&thread, NULL, proxy_run, l);
        (void)pthread_detach(thread);
    }
}

static inline void proxy_start(const char *path, const char *server)
{
    struct sockaddr_un addr;
    (void)snprintf(proxy.path, sizeof proxy.path, "%.100s", path);
    (void)snprintf(proxy.server, sizeof proxy.server, "%.100s", server);
    proxy.listener = proxy_socket(path, &addr);
    assert_int_equal(
        bind(proxy.listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(proxy.listener, 16), 0);
    assert_int_equal(pthread_create(&proxy.acceptor, NULL, proxy_accept, NULL),
                     0);
}

/* When its clients have closed their connections. */
static inline void proxy_stop(void)
{
    (void)shutdown(proxy.listener, SHUT_RDWR);
    (void)pthread_join(proxy.acceptor, NULL);
    (void)close(proxy.listener);
    while (atomic_load(&proxy.live) > 0) {
        (void)usleep(1000);
    }
}

#endif
