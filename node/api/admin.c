#include "api/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/json.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    CLOSE_GRACE_MS = 1000, /* for answers under way when the node stops */
    REFUSED_MS = 100,
};

struct admin_call {
    struct admin *admin;
    int fd;
    bool used; /* lock */
    bool done; /* lock: the thread is about to end */
    pthread_t thread;
    atomic_bool gone;
};

struct admin {
    int fd;
    int stop_pipe[2];
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    const struct admin_command *commands;
    size_t commands_count;
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a call was done */
    struct admin_call calls[ADMIN_CALLS_MAX];
    atomic_bool stopping;
};

struct admin_client {
    int fd;
};

/* ---- frames ---- */

static enum err write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return ERR_CANCELLED;
        }
        data += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

static enum err read_all(int fd, uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(fd, data, len, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return ERR_TIMEOUT;
        }
        if (n <= 0) {
            return ERR_CANCELLED;
        }
        data += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

static enum err frame_write(int fd, struct slice frame)
{
    uint8_t header[4];
    if (frame.len > ADMIN_FRAME_MAX) {
        return ERR_TOO_LARGE;
    }
    be_put32(header, (uint32_t)frame.len);
    enum err err = write_all(fd, header, sizeof header);
    return err == ERR_OK ? write_all(fd, frame.data, frame.len) : err;
}

static enum err frame_read(int fd, struct buf *frame)
{
    uint8_t header[4];
    enum err err = read_all(fd, header, sizeof header);
    if (err != ERR_OK) {
        return err;
    }
    uint32_t len = be_get32(header);
    if (len > ADMIN_FRAME_MAX) {
        return ERR_TOO_LARGE;
    }
    buf_clear(frame);
    err = read_all(fd, buf_reserve(frame, len), len);
    frame->len = err == ERR_OK ? len : 0;
    return err;
}

/* ERR_BUG: an object that could not be made; NULL is one. */
static enum err json_write(int fd, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (text == NULL) {
        return ERR_BUG;
    }
    enum err err = frame_write(fd, slice_str(text));
    mem_free(text);
    return err;
}

static void set_timeouts(int fd)
{
    struct timeval tv = {.tv_sec = ADMIN_IDLE_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
}

/* ---- calls ---- */

static json_t *error_object(enum err err, const char *text)
{
    return json_pack("{s:s, s:s, s:o}", "type", "error", "error", err_name(err),
                     "text", json_text(text));
}

enum err admin_send(struct admin_call *call, json_t *object)
{
    if (atomic_load(&call->gone)) { /* not ADMIN_IDLE_S again for each */
        json_decref(object);
        return ERR_CANCELLED;
    }
    enum err err = json_write(call->fd, object);
    if (err == ERR_BUG) { /* or the client waits for what does not come */
        (void)json_write(call->fd,
                         error_object(err, "a part of the answer is no text "
                                           "in UTF-8"));
    }
    if (err != ERR_OK) {
        atomic_store(&call->gone, true);
    }
    return err;
}

enum err admin_recv(struct admin_call *call, struct buf *frame)
{
    return frame_read(call->fd, frame);
}

bool admin_cancelled(struct admin_call *call)
{
    return atomic_load(&call->gone) || atomic_load(&call->admin->stopping);
}

static const struct admin_command *find(const struct admin *admin,
                                        const char *name)
{
    for (size_t i = 0; name != NULL && i < admin->commands_count; i++) {
        if (strcmp(admin->commands[i].name, name) == 0) {
            return &admin->commands[i];
        }
    }
    return NULL;
}

static json_t *result_object(json_t *result)
{
    json_t *object = result != NULL ? result : json_object();
    (void)json_object_set_new(object, "type", json_string("result"));
    return object;
}

static void answer(struct admin_call *call, json_t *request)
{
    struct admin *admin = call->admin;
    const struct admin_command *command =
        find(admin, json_string_value(json_object_get(request, "cmd")));
    struct errmsg why = {{0}};
    json_t *result = NULL;
    if (command == NULL) {
        (void)admin_send(call, error_object(ERR_UNSUPPORTED,
                                            "the running node does not know "
                                            "this command; are program and "
                                            "node of the same version?"));
        return;
    }
    enum err err =
        command->may != NULL ? command->may(admin->ctx, &why) : ERR_OK;
    if (err == ERR_OK) {
        err = command->fn(admin->ctx, call, request, &result, &why);
    }
    if (err == ERR_OK) {
        (void)admin_send(call, result_object(result));
        return;
    }
    json_decref(result);
    (void)admin_send(
        call, error_object(err, why.text[0] != 0 ? why.text : err_text(err)));
}

static void *serve_call(void *arg)
{
    struct admin_call *call = arg;
    struct buf frame = BUF_INIT;
    if (frame_read(call->fd, &frame) == ERR_OK) {
        json_t *request =
            json_loadb((const char *)frame.data, frame.len, 0, NULL);
        if (json_is_object(request)) {
            answer(call, request);
        } else {
            (void)admin_send(call,
                             error_object(ERR_INVALID, "not a JSON object"));
        }
        json_decref(request);
    }
    buf_fini(&frame);
    (void)pthread_mutex_lock(&call->admin->lock);
    (void)close(call->fd);
    call->fd = -1;
    call->done = true;
    (void)pthread_cond_broadcast(&call->admin->ended);
    (void)pthread_mutex_unlock(&call->admin->lock);
    return NULL;
}

/* Lock held. Joins what has ended, so that slots come free. */
static struct admin_call *free_slot(struct admin *admin)
{
    struct admin_call *slot = NULL;
    for (size_t i = 0; i < ADMIN_CALLS_MAX; i++) {
        struct admin_call *call = &admin->calls[i];
        if (call->used && call->done) {
            (void)pthread_join(call->thread, NULL);
            call->used = false;
        }
        if (!call->used) {
            slot = call;
        }
    }
    return slot;
}

static void start_call(struct admin *admin, int fd)
{
    set_timeouts(fd);
    (void)pthread_mutex_lock(&admin->lock);
    struct admin_call *call = free_slot(admin);
    if (call != NULL) {
        call->admin = admin;
        call->fd = fd;
        call->done = false;
        atomic_store(&call->gone, false);
        call->used = pthread_create(&call->thread, NULL, serve_call, call) == 0;
    }
    bool started = call != NULL && call->used;
    (void)pthread_mutex_unlock(&admin->lock);
    if (!started) {
        (void)json_write(
            fd, error_object(ERR_BUSY, "too many commands at once, try again"));
        (void)close(fd);
    }
}

static void *accept_calls(void *arg)
{
    struct admin *admin = arg;
    struct pollfd fds[2] = {{.fd = admin->fd, .events = POLLIN},
                            {.fd = admin->stop_pipe[0], .events = POLLIN}};
    while (!atomic_load(&admin->stopping)) {
        if (poll(fds, 2, -1) < 0 || fds[1].revents != 0) {
            continue;
        }
        int fd = accept4(admin->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            start_call(admin, fd);
        } else { /* no descriptor left, and it still waits */
            clock_sleep(REFUSED_MS);
        }
    }
    return NULL;
}

/* ---- opening and closing ---- */

static enum err dial(const char *path, int *out, struct errmsg *why)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    *out = -1;
    if (strlen(path) >= sizeof addr.sun_path) {
        return err_set(why, ERR_CONF, "%s: socket path longer than %zu bytes",
                       path, sizeof addr.sun_path - 1);
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_set(why, ERR_IO, "socket: %s", strerror(errno));
    }
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) != 0) {
        int saved = errno;
        (void)close(fd);
        return saved == EACCES
                   ? err_set(why, ERR_DENIED,
                             "%s: %s; run this as root, or as the node's user: "
                             "runuser -u creditnode -- creditnode ...",
                             path, strerror(saved))
                   : err_set(why, ERR_UNAVAILABLE,
                             "%s: %s; is the node running (creditnode serve) "
                             "with this configuration?",
                             path, strerror(saved));
    }
    set_timeouts(fd);
    *out = fd;
    return ERR_OK;
}

static enum err bind_socket(struct admin *admin, const char *path,
                            struct errmsg *why)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int probe;
    if (dial(path, &probe, why) == ERR_OK) {
        (void)close(probe);
        return err_set(why, ERR_BUSY, "%s: another node answers there", path);
    }
    if (strlen(path) >= sizeof addr.sun_path) {
        return ERR_CONF;
    }
    (void)unlink(path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    memcpy(admin->path, path, strlen(path) + 1);
    mode_t old = umask(0177);
    int rc = bind(admin->fd, (const struct sockaddr *)&addr, sizeof addr);
    int saved = errno;
    (void)umask(old);
    if (rc != 0 || listen(admin->fd, 16) != 0) {
        saved = rc != 0 ? saved : errno;
        return err_set(why, err_from_errno(saved), "%s: cannot listen: %s",
                       path, strerror(saved));
    }
    return ERR_OK;
}

enum err admin_open(struct admin **out, const char *path,
                    const struct admin_command *commands, size_t n, void *ctx,
                    struct errmsg *why)
{
    struct admin *admin = MEM_NEW(struct admin);
    admin->commands = commands;
    admin->commands_count = n;
    admin->ctx = ctx;
    (void)pthread_mutex_init(&admin->lock, NULL);
    clock_cond_init(&admin->ended);
    admin->stop_pipe[0] = admin->stop_pipe[1] = -1;
    admin->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    enum err err = ERR_OK;
    if (admin->fd < 0 || pipe2(admin->stop_pipe, O_CLOEXEC) != 0) {
        err = err_set(why, ERR_IO, "admin socket: %s", strerror(errno));
    }
    if (err == ERR_OK) {
        err = bind_socket(admin, path, why);
    }
    if (err == ERR_OK &&
        pthread_create(&admin->thread, NULL, accept_calls, admin) != 0) {
        err = err_set(why, ERR_BUSY, "admin socket: cannot start a thread");
    }
    if (err != ERR_OK) {
        (void)close(admin->fd);
        (void)close(admin->stop_pipe[0]);
        (void)close(admin->stop_pipe[1]);
        mem_free(admin);
        return err;
    }
    *out = admin;
    return ERR_OK;
}

/* Lock held. Wakes threads that wait for their client; returns how many. */
static size_t shut_calls(struct admin *admin, int how)
{
    size_t running = 0;
    for (size_t i = 0; i < ADMIN_CALLS_MAX; i++) {
        if (admin->calls[i].used && !admin->calls[i].done) {
            (void)shutdown(admin->calls[i].fd, how);
            running++;
        }
    }
    return running;
}

/* Answers may still be written; a client that does not read them has
 * CLOSE_GRACE_MS before it is cut off, or it would hold up the node's end. */
static void end_calls(struct admin *admin)
{
    struct timespec until;
    clock_until(CLOSE_GRACE_MS, &until);
    (void)pthread_mutex_lock(&admin->lock);
    int rc = 0;
    while (rc == 0 && shut_calls(admin, SHUT_RD) > 0) {
        rc = pthread_cond_timedwait(&admin->ended, &admin->lock, &until);
    }
    (void)shut_calls(admin, SHUT_RDWR);
    (void)pthread_mutex_unlock(&admin->lock);
    for (size_t i = 0; i < ADMIN_CALLS_MAX; i++) {
        if (admin->calls[i].used) {
            (void)pthread_join(admin->calls[i].thread, NULL);
        }
    }
}

void admin_close(struct admin **admin_ptr)
{
    struct admin *admin = *admin_ptr;
    *admin_ptr = NULL;
    if (admin == NULL) {
        return;
    }
    atomic_store(&admin->stopping, true);
    ssize_t ignored = write(admin->stop_pipe[1], "x", 1);
    (void)ignored;
    (void)pthread_join(admin->thread, NULL);
    end_calls(admin);
    (void)unlink(admin->path);
    (void)close(admin->fd);
    (void)close(admin->stop_pipe[0]);
    (void)close(admin->stop_pipe[1]);
    (void)pthread_cond_destroy(&admin->ended);
    (void)pthread_mutex_destroy(&admin->lock);
    mem_free(admin);
}

/* ---- client ---- */

enum err admin_connect(struct admin_client **out, const char *path,
                       struct errmsg *why)
{
    int fd;
    enum err err = dial(path, &fd, why);
    if (err == ERR_OK) {
        *out = MEM_NEW(struct admin_client);
        (*out)->fd = fd;
    }
    return err;
}

void admin_disconnect(struct admin_client **client)
{
    if (*client != NULL) {
        (void)close((*client)->fd);
        mem_free(*client);
        *client = NULL;
    }
}

void admin_cut(struct admin_client *client)
{
    (void)shutdown(client->fd, SHUT_WR);
}

enum err admin_write(struct admin_client *client, struct slice frame)
{
    return frame_write(client->fd, frame);
}

enum err admin_write_json(struct admin_client *client, json_t *object)
{
    return json_write(client->fd, object);
}

enum err admin_read(struct admin_client *client, json_t **out,
                    struct errmsg *why)
{
    struct buf frame = BUF_INIT;
    enum err err = frame_read(client->fd, &frame);
    if (err == ERR_OK) {
        *out = json_loadb((const char *)frame.data, frame.len, 0, NULL);
        err = *out != NULL ? ERR_OK : ERR_PROTOCOL;
    }
    buf_fini(&frame);
    if (err != ERR_OK) {
        (void)err_set(why, err, "the node ended the connection (%s)",
                      err_text(err));
    }
    return err;
}
