/* Peers that mean harm: gzip bombs, giant messages, too many connections.
 *
 * Server and client are processes of their own, so that limits and memory can
 * be told apart, and so that the parent forks before gRPC ever started. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "unit/rpc/raw_client.h"

enum {
    BOMB = 200 << 20,         /* bytes after inflating; gzip makes it 200 kB */
    SERVER_MAX_KB = 80 << 10, /* growth allowed to the server, sanitizers too */
    FEW_FILES = 48,
    MANY_CONNECTIONS = 120,
};

struct child {
    pid_t pid;
    int in;  /* we write */
    int out; /* we read */
};

typedef void child_fn(int in, int out, const char *arg);

static struct child start(child_fn *fn, const char *arg)
{
    int to[2];
    int from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    (void)fflush(NULL);
    struct child c = {.pid = fork(), .in = to[1], .out = from[0]};
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        (void)close(to[1]);
        (void)close(from[0]);
        fn(to[0], from[1], arg);
        _exit(0);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    return c;
}

/* One line a child wrote. */
static void hear(struct child *c, char *line, size_t size)
{
    size_t at = 0;
    while (at + 1 < size && read(c->out, line + at, 1) == 1 &&
           line[at] != '\n') {
        at++;
    }
    line[at] = 0;
}

static void say(int fd, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
}

/* Ends the child's input and waits for it. */
static void stop(struct child *c)
{
    char rest[64];
    (void)close(c->in);
    while (read(c->out, rest, sizeof rest) > 0) {
    }
    (void)close(c->out);
    int status = 0;
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void echo(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    struct buf out = BUF_INIT;
    buf_put_slice(&out, rpc_call_request(call));
    rpc_reply(call, &out);
}

static void hear_message(struct rpc_stream *s, void *user, struct slice message)
{
    (void)s;
    (void)user;
    (void)message;
}

static void hear_closed(struct rpc_stream *s, void *user, enum err err,
                        const char *text)
{
    (void)s;
    (void)user;
    (void)err;
    (void)text;
}

static const struct rpc_stream_ops sink_ops = {.message = hear_message,
                                               .closed = hear_closed};
static const struct rpc_method methods[] = {
    {.path = "/t.T/Echo", .unary = echo},
    {.path = "/t.T/Sink", .stream = &sink_ops},
};

static long peak_kb(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* Says its address, serves until it is told to stop, says how much its memory
 * grew. `arg`: limit of open files, or "". */
static void serve(int in, int out, const char *arg)
{
    struct net net;
    net_open(&net, methods, ARRAY_LEN(methods));
    if (arg[0] != 0) {
        rlim_t files = (rlim_t)strtoul(arg, NULL, 10);
        struct rlimit limit = {files, files};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    long before = peak_kb();
    char line[64];
    (void)snprintf(line, sizeof line, "%s\n", net.target);
    say(out, line);
    ssize_t n = read(in, line, 1);
    (void)n;
    (void)snprintf(line, sizeof line, "%ld\n", peak_kb() - before);
    say(out, line);
    net_close(&net);
}

/* Sends a bomb to each method of the address in `arg` and a giant message;
 * says what came of it. */
static void attack(int in, int out, const char *arg)
{
    static const struct {
        const char *path;
        bool gzip;
        size_t len;
    } shots[] = {{"/t.T/Echo", true, BOMB},
                 {"/t.T/Sink", true, BOMB},
                 {"/t.T/Echo", false, 8 << 20},
                 {"/t.T/Echo", false, 100}};
    (void)in;
    for (size_t i = 0; i < ARRAY_LEN(shots); i++) {
        char text[512];
        char line[600];
        int status = raw_call(arg, "ca", "village", shots[i].gzip,
                              shots[i].path, shots[i].len, text);
        (void)snprintf(line, sizeof line, "%d %s\n", status, text);
        say(out, line);
    }
}

static void compressed_and_giant_messages_cost_no_memory(void **state)
{
    (void)state;
    char address[64];
    char line[600];
    struct child server = start(serve, "");
    hear(&server, address, sizeof address);
    struct child client = start(attack, address);
    for (int i = 0; i < 2; i++) {
        hear(&client, line, sizeof line);
        assert_has(line, "3 message is compressed");
    }
    hear(&client, line, sizeof line);
    assert_has(line, "8 ");
    hear(&client, line, sizeof line);
    assert_string_equal(line, "0 ");
    stop(&client);
    say(server.in, "q");
    hear(&server, line, sizeof line);
    assert_in_range(strtol(line, NULL, 10), 0, SERVER_MAX_KB);
    stop(&server);
}

static int connect_to(const char *address)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    sin.sin_port = htons((uint16_t)strtoul(strchr(address, ':') + 1, NULL, 10));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    return fd;
}

static void call_once(int in, int out, const char *arg)
{
    (void)in;
    char text[512];
    char line[600];
    int status = raw_call(arg, "ca", "village", false, "/t.T/Echo", 1, text);
    (void)snprintf(line, sizeof line, "%d %s\n", status, text);
    say(out, line);
}

/* True once the other side closed the connection. */
static bool was_dropped(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void the_listener_survives_running_out_of_descriptors(void **state)
{
    (void)state;
    char address[64];
    char line[600];
    char limit[16];
    int conns[MANY_CONNECTIONS];
    (void)snprintf(limit, sizeof limit, "%d", FEW_FILES);
    struct child server = start(serve, limit);
    hear(&server, address, sizeof address);
    for (size_t i = 0; i < MANY_CONNECTIONS; i++) {
        conns[i] = connect_to(address);
    }
    WAIT_FOR(was_dropped(conns[MANY_CONNECTIONS - 1]));
    for (size_t i = 0; i < MANY_CONNECTIONS; i++) {
        (void)close(conns[i]);
    }
    int64_t until = clock_mono_ms() + WAIT_MS;
    do {
        struct child client = start(call_once, address);
        hear(&client, line, sizeof line);
        stop(&client);
    } while (line[0] != '0' && clock_mono_ms() < until);
    assert_string_equal(line, "0 ");
    stop(&server);
}

/* Writes what its stream came to. */
static void tell_open(struct rpc_stream *s, void *user)
{
    (void)s;
    say(*(int *)user, "open\n");
}

static void tell_closed(struct rpc_stream *s, void *user, enum err err,
                        const char *text)
{
    char line[1100];
    (void)s;
    (void)snprintf(line, sizeof line, "%s %s\n", err_name(err), text);
    say(*(int *)user, line);
}

static void hold_stream(int in, int out, const char *arg)
{
    static const struct rpc_stream_ops ops = {
        .open = tell_open, .message = hear_message, .closed = tell_closed};
    struct rpc_conf conf = patient_conf();
    struct errmsg why;
    struct net net = {.client_tls = source_new("village", "ca")};
    assert_int_equal(rpc_open(&net.rpc, &conf, &why), ERR_OK);
    (void)snprintf(net.target, sizeof net.target, "%.31s", arg);
    net.channel = net_dial(&net, net.client_tls, NULL);
    struct rpc_stream *s = NULL;
    assert_int_equal(
        rpc_stream_open(&s, net.channel, "/t.T/Sink", &ops, &out, 0), ERR_OK);
    char c;
    ssize_t n = read(in, &c, 1);
    (void)n;
    rpc_channel_close(&net.channel);
    rpc_close(&net.rpc);
    source_free(net.client_tls);
}

static void a_killed_server_is_unavailable(void **state)
{
    (void)state;
    char address[64];
    char line[1100];
    struct child server = start(serve, "");
    hear(&server, address, sizeof address);
    struct child client = start(hold_stream, address);
    hear(&client, line, sizeof line);
    assert_string_equal(line, "open");
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    hear(&client, line, sizeof line);
    assert_has(line, "UNAVAILABLE ");
    stop(&client);
    (void)close(server.in);
    (void)close(server.out);
    assert_int_equal(waitpid(server.pid, NULL, 0), server.pid);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compressed_and_giant_messages_cost_no_memory),
        cmocka_unit_test(the_listener_survives_running_out_of_descriptors),
        cmocka_unit_test(a_killed_server_is_unavailable),
    };
    return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
