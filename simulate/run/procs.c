#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "run/fault.h"
#include "run/rows.h"
#include "run/run.h"

enum { ARGS_MAX = 24, ROWS_APART = 10000000 };

/* ---- log lines ---- */

/* The level stands behind the time. */
static bool is_error(const char *line)
{
    const char *level = strchr(line, ' ');
    return level != NULL && strncmp(level, " error ", 7) == 0;
}

/* A failing commit of a killed parent, say, is a warning; errors are expected
 * only of what a fault brings (schedule_kinds). */
static void take_line(struct run_node *n, const char *line)
{
    (void)fprintf(n->log, "%s\n", line);
    if (strstr(line, " READY ") != NULL) {
        n->ready = true;
    }
    if (strstr(line, "Sanitizer") != NULL ||
        strstr(line, "runtime error:") != NULL) {
        run_broken(n->run, n, "sanitizer", "%.200s", line);
    } else if (is_error(line) && !faults_expect(n, line)) {
        run_broken(n->run, n, "error-line", "%.200s", line);
    }
}

static void take_bytes(struct run_node *n, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool full = n->line_n == sizeof n->line - 1;
        if (bytes[i] == '\n' || full) {
            n->line[n->line_n] = '\0';
            take_line(n, n->line);
            n->line_n = 0;
        }
        if (bytes[i] != '\n') {
            n->line[n->line_n++] = bytes[i];
        }
    }
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    (void)handle;
    *buf = uv_buf_init(mem_alloc(wanted), (unsigned)wanted);
}

static void on_lines_closed(uv_handle_t *handle)
{
    struct run_node *n = handle->data;
    n->reading = false;
}

static void on_lines(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct run_node *n = stream->data;
    if (len > 0) {
        take_bytes(n, buf->base, (size_t)len);
    }
    mem_free(buf->base);
    if (len < 0) {
        uv_close((uv_handle_t *)stream, on_lines_closed);
    }
}

/* ---- nodes ---- */

static void on_process_closed(uv_handle_t *handle)
{
    struct run_node *n = handle->data;
    n->running = false;
}

static void on_process_exit(uv_process_t *process, int64_t status, int signum)
{
    struct run_node *n = process->data;
    n->ready = n->to_end = false;
    n->ends++;
    bool damage = n->damaged && status == RUN_DAMAGED_STATUS && signum == 0;
    if (n->killed) {
        n->frozen = false;
    } else if (damage) {
        run_event(n->run, "%012llu ends: its store is damaged",
                  (unsigned long long)n->place.code);
        n->start_ms = uv_now(&n->run->loop);
    } else if (status != 0 || signum != 0) {
        run_broken(n->run, n, "clean-exit",
                   "it ended with status %lld, by "
                   "signal %d",
                   (long long)status, signum);
    } else if (!n->told) {
        run_broken(n->run, n, "clean-exit", "it ended by itself");
    }
    uv_close((uv_handle_t *)process, on_process_closed);
}

/* Strings that live as long as the arguments are needed. */
struct args {
    char text[ARGS_MAX][RUN_PATH_MAX + 64];
    char *at[ARGS_MAX];
    size_t n;
};

static void add(struct args *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void add(struct args *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(a->text[a->n], sizeof a->text[0], fmt, ap);
    va_end(ap);
    a->at[a->n] = a->text[a->n];
    a->at[++a->n] = NULL;
}

static void set(struct args *a, const char *key, const char *value)
{
    add(a, "--set");
    add(a, "%s=%s", key, value);
}

static void node_args(const struct run_node *n, struct args *a)
{
    char address[64];
    add(a, "%s", n->run->conf->creditnode);
    add(a, "serve");
    add(a, "-c");
    add(a, "%s/node.cfg", n->folder);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", n->port);
    set(a, "listen.address", address);
    if (n->place.parent >= 0) {
        (void)snprintf(address, sizeof address, "127.0.0.1:%u",
                       faults_parent_port(n));
        set(a, "parent.address", address);
    }
    set(a, "admin.socket", n->socket);
    set(a, "replication.backoff_max", "2 s");
    set(a, "rpc.keepalive", "5 s");
    if (n->is_twin) {
        char data[RUN_FILE_MAX];
        (void)snprintf(data, sizeof data, "%s/data.twin", n->folder);
        set(a, "data.dir", data);
    }
}

static bool spawn(struct run *run, uv_process_t *process, struct args *a,
                  char **environment, uv_exit_cb on_end, uv_stream_t *lines)
{
    uv_stdio_container_t io[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    if (lines != NULL) {
        io[2].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
        io[2].data.stream = lines;
    }
    uv_process_options_t options = {.exit_cb = on_end,
                                    .file = a->at[0],
                                    .args = a->at,
                                    .env = environment,
                                    .stdio = io,
                                    .stdio_count = 3};
    return uv_spawn(&run->loop, process, &options) == 0;
}

void node_spawn(struct run_node *n)
{
    struct args *a = MEM_NEW(struct args);
    char **environment = n->is_twin ? NULL : faults_environment(n);
    n->killed = n->ready = n->told = false;
    n->start_ms = 0;
    n->line_n = 0;
    n->process.data = n->lines.data = n;
    node_args(n, a);
    (void)uv_pipe_init(&n->run->loop, &n->lines, 0);
    n->running = n->reading = true;
    if (!spawn(n->run, &n->process, a, environment, on_process_exit,
               (uv_stream_t *)&n->lines)) {
        run_broken(n->run, n, "clean-exit", "it cannot be started");
        uv_close((uv_handle_t *)&n->process, on_process_closed);
        uv_close((uv_handle_t *)&n->lines, on_lines_closed);
    } else {
        (void)uv_read_start((uv_stream_t *)&n->lines, on_room, on_lines);
    }
    faults_environment_free(environment);
    mem_free(a);
}

void node_signal(struct run_node *n, int signum)
{
    if (n->running) {
        n->killed = n->killed || signum == SIGKILL;
        n->told_ms = signum == SIGTERM ? uv_now(&n->run->loop) : n->told_ms;
        n->told = n->told || signum == SIGTERM;
        (void)uv_process_kill(&n->process, signum);
    }
}

/* ---- imports ---- */

static void import_path(const struct run_node *n, const char *name,
                        char out[RUN_FILE_MAX])
{
    (void)snprintf(out, RUN_FILE_MAX, "%s/%s%s", n->folder,
                   n->is_twin ? "twin." : "", name);
}

/* Which row stands first in the batch. */
static uint64_t first_row(const struct run_node *n)
{
    return (uint64_t)n->index * ROWS_APART / 10 +
           n->batch * n->run->conf->rows + 1;
}

static void write_rows(const struct run_node *n)
{
    const struct run_conf *conf = n->run->conf;
    char path[RUN_FILE_MAX];
    uint64_t first = first_row(n);
    import_path(n, "rows.csv", path);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return; /* the import says that it cannot read it */
    }
    (void)fprintf(file, "%s\n", bench_csv_header);
    for (uint32_t i = 0; i < conf->rows; i++) {
        struct bench_row row;
        bench_row_make(first + i, RUN_SUBJECTS, &row);
        (void)fprintf(file, "%s\n", row.csv);
    }
    (void)fclose(file);
}

static void add_receipt(struct run *run, const struct run_node *n,
                        const struct receipt *r)
{
    if (run->acked_n == run->acked_cap) {
        run->acked_cap = run->acked_cap == 0 ? 1024 : 2 * run->acked_cap;
        run->acked =
            mem_realloc(run->acked, run->acked_cap * sizeof *run->acked);
        run->acked_at =
            mem_realloc(run->acked_at, run->acked_cap * sizeof *run->acked_at);
        run->acked_row = mem_realloc(run->acked_row,
                                     run->acked_cap * sizeof *run->acked_row);
    }
    run->acked_at[run->acked_n] = n->index;
    /* The header is line 1. */
    run->acked_row[run->acked_n] = first_row(n) + r->line - 2;
    run->acked[run->acked_n++] = *r;
}

static void take_receipts(struct run_node *n)
{
    char path[RUN_FILE_MAX];
    struct receipt r;
    import_path(n, "receipts.csv", path);
    FILE *file = fopen(path, "r");
    /* What a twin acknowledged is lost with it. */
    while (file != NULL && !n->is_twin && receipt_next(file, &r)) {
        add_receipt(n->run, n, &r);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void on_import_closed(uv_handle_t *handle)
{
    struct run_node *n = handle->data;
    n->importing = false;
}

/* What was broken off by a fault is entered again: the same rows change
 * nothing. */
static void on_import_end(uv_process_t *process, int64_t status, int signum)
{
    struct run_node *n = process->data;
    take_receipts(n);
    if (status == 0 && signum == 0) {
        n->imports++;
        n->batch++;
    } else {
        n->broken_off++;
    }
    uv_close((uv_handle_t *)process, on_import_closed);
}

void node_import(struct run_node *n)
{
    char path[RUN_FILE_MAX];
    struct args *a = MEM_NEW(struct args);
    import_path(n, "receipts.csv", path);
    (void)remove(path);
    add(a, "%s", n->run->conf->creditnode);
    add(a, "import");
    add(a, "--quiet");
    add(a, "-s");
    add(a, "%s", n->socket);
    add(a, "--receipt");
    add(a, "%s", path);
    import_path(n, "rows.csv", path);
    add(a, "%s", path);
    n->import.data = n;
    n->importing = true;
    write_rows(n);
    if (!spawn(n->run, &n->import, a, NULL, on_import_end, NULL)) {
        run_broken(n->run, n, "clean-exit", "no import can be started");
        uv_close((uv_handle_t *)&n->import, on_import_closed);
    }
    mem_free(a);
}
