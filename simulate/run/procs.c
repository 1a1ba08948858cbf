#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "run/fault.h"
#include "run/rows.h"
#include "run/run.h"
#include "run/tree.h"
#include "run/work.h"

enum { ARGS_MAX = 32, AGAIN_BACK = 200 };

/* ---- log lines ---- */

/* The node of a fault is back. */
static void fault_ready(struct run_node *n)
{
    struct run *run = n->run;
    for (size_t i = run->faults_n; !n->is_twin && i-- > 0;) {
        struct run_fault *e = &run->fault[i];
        if (&run->node[e->node] == n && e->end_ms != 0 && e->ready_ms == 0) {
            e->ready_ms = uv_now(&run->loop);
            work_follow(run, i);
        }
    }
}

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
        if (n->to_reload) {
            node_signal(n, SIGHUP);
        }
        fault_ready(n);
    }
    if (strstr(line, "Sanitizer") != NULL ||
        strstr(line, "runtime error:") != NULL) {
        run_broken(n->run, n, "sanitizer", "%.200s", line);
    } else if (is_error(line) && !n->run->conf->kept &&
               !faults_expect(n, line)) {
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
    add(a, "%s", run_program(n));
    add(a, "serve");
    add(a, "-c");
    add(a, "%s/node.cfg", n->folder);
    if (n->is_twin) {
        set(a, "listen.address", "127.0.0.1:0");
        set(a, "admin.socket", n->socket);
    }
    if (n->place.parent >= 0) {
        char address[32];
        (void)snprintf(address, sizeof address, "127.0.0.1:%u",
                       faults_parent_port(n));
        set(a, "parent.address", address);
    }
    set(a, "replication.backoff_max", "2 s");
    set(a, "rpc.keepalive", "5 s");
    set(a, "rpc.keepalive_timeout", "10 s");
    add(a, "--set");
    add(a, "replication.renew=%u ms", n->run->renew_ms);
    if (n->is_twin) {
        char data[RUN_FILE_MAX];
        (void)snprintf(data, sizeof data, "%s/data.twin", n->folder);
        set(a, "data.dir", data);
    }
}

static bool spawn(struct run *run, uv_process_t *process, struct args *a,
                  char **environment, uv_exit_cb on_end, uv_stream_t *lines,
                  int out)
{
    uv_stdio_container_t io[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    if (lines != NULL) {
        io[2].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
        io[2].data.stream = lines;
    }
    if (out >= 0) {
        io[1].flags = UV_INHERIT_FD;
        io[1].data.fd = out;
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
    n->killed = n->ready = n->told = n->to_reload = false;
    n->start_ms = 0;
    n->line_n = 0;
    n->process.data = n->lines.data = n;
    node_args(n, a);
    (void)uv_pipe_init(&n->run->loop, &n->lines, 0);
    n->running = n->reading = true;
    if (!spawn(n->run, &n->process, a, environment, on_process_exit,
               (uv_stream_t *)&n->lines, -1)) {
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

/* Each office has its own numbers, the second half of them its twin. */
static uint64_t numbers_of(const struct run_node *n)
{
    uint64_t apart = BENCH_NUMBER_MAX / n->run->nodes;
    return n->index * apart + (n->is_twin ? apart / 2 : 0) + 1;
}

/* Which row stands first in the import. */
static uint64_t first_row(const struct run_node *n)
{
    return numbers_of(n) + n->first_row;
}

/* What a row is follows from its number, so that an import that was broken off
 * is repeated exactly. */
struct row_plan {
    uint64_t number; /* of the row that is made */
    bool bad;
    bool again; /* it was entered before: a correction */
};

static struct row_plan plan_row(const struct run_node *n, uint64_t number)
{
    uint64_t draw = rng_mix(number ^ n->run->conf->seed);
    /* Each row of a file corrects another: twice the same decision in a file
     * would be refused. */
    uint64_t since = rng_mix(first_row(n) ^ n->run->conf->seed) % AGAIN_BACK;
    uint64_t back = number - first_row(n) + since + 1;
    bool bad = draw % 100 < n->dirty;
    bool again = !bad && draw / 100 % 100 < n->again && back <= n->first_row;
    return (struct row_plan){again ? first_row(n) - back : number, bad, again};
}

/* The check digit no longer fits. */
static void spoil(struct bench_row *row)
{
    char *code = strstr(row->csv, row->code);
    if (code != NULL) {
        char *digit = code + BENCH_CODE_LEN - 1;
        *digit = *digit == '0' ? '1' : '0';
    }
}

/* The same decision with another remark: a correction. */
static void correct(struct bench_row *row, uint64_t salt)
{
    (void)snprintf(row->csv + row->csv_len, sizeof row->csv - row->csv_len,
                   "更正%llu", (unsigned long long)salt);
}

static void make_row(struct run_node *n, uint64_t number, struct bench_row *row)
{
    const struct row_plan plan = plan_row(n, number);
    if (persons_has(n->run, plan.number)) {
        bench_person_row_make(plan.number, row);
    } else {
        bench_row_make(plan.number, RUN_SUBJECTS, row);
    }
    if (plan.bad) {
        spoil(row);
        n->spoiled++;
    } else if (plan.again) {
        correct(row, number);
    }
}

static void write_rows(struct run_node *n)
{
    char path[RUN_FILE_MAX];
    n->spoiled = 0;
    import_path(n, "rows.csv", path);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return; /* the import says that it cannot read it */
    }
    (void)fprintf(file, "%s\n", bench_csv_header);
    for (uint32_t i = 0; i < n->rows; i++) {
        struct bench_row row;
        make_row(n, first_row(n) + i, &row);
        (void)fprintf(file, "%s\n", row.csv);
    }
    (void)fclose(file);
}

static void add_receipt(struct run *run, struct run_node *n,
                        const struct receipt *r)
{
    if (run->acked_n == run->acked_cap) {
        run->acked_cap = run->acked_cap == 0 ? 1024 : 2 * run->acked_cap;
        run->acked =
            mem_realloc(run->acked, run->acked_cap * sizeof *run->acked);
        run->row = mem_realloc(run->row, run->acked_cap * sizeof *run->row);
    }
    /* The header is line 1. */
    uint64_t number = plan_row(n, first_row(n) + r->line - 2).number;
    run->row[run->acked_n] =
        (struct run_row){n->index, number, persons_has(run, number)};
    run->acked[run->acked_n++] = *r;
    n->newest = run->acked_n;
}

static unsigned take_receipts(struct run_node *n)
{
    unsigned taken = 0;
    char path[RUN_FILE_MAX];
    struct receipt r;
    import_path(n, "receipts.csv", path);
    FILE *file = fopen(path, "re");
    /* What a twin acknowledged is lost with it. */
    while (file != NULL && !n->is_twin && receipt_next(file, &r)) {
        add_receipt(n->run, n, &r);
        taken++;
    }
    if (file != NULL) {
        taken += receipts_pending(file);
        (void)fclose(file);
    }
    return taken;
}

static void on_import_closed(uv_handle_t *handle)
{
    struct run_node *n = handle->data;
    n->importing = false;
}

/* The import is in: each good row of it is one more content of its record. */
static void note_entered(const struct run_node *n)
{
    struct run *run = n->run;
    if (run->entered_n + n->rows > run->entered_cap) {
        run->entered_cap = 2 * run->entered_cap + n->rows;
        run->entered =
            mem_realloc(run->entered, run->entered_cap * sizeof *run->entered);
    }
    for (uint32_t i = 0; i < n->rows; i++) {
        const struct row_plan plan = plan_row(n, first_row(n) + i);
        if (!plan.bad) {
            run->entered[run->entered_n++] = plan.number;
        }
    }
}

/* The rows themselves name persons in clear, as what offices enter does. */
static void remove_rows(const struct run_node *n)
{
    char path[RUN_FILE_MAX];
    import_path(n, "rows.csv", path);
    (void)remove(path);
}

/* What was broken off by a fault is entered again: the same rows change
 * nothing. */
static void on_import_end(uv_process_t *process, int64_t status, int signum)
{
    struct run_node *n = process->data;
    size_t before = n->run->acked_n;
    unsigned receipts = take_receipts(n);
    bool in = signum == 0 && (status == 0 || status == 3);
    remove_rows(n);
    if (n->is_twin) {
        n->first_row += status == 0 ? n->rows : 0;
    } else {
        if (in) {
            note_entered(n);
        }
        work_imported(n, signum == 0 ? status : -1, receipts);
    }
    if (n->run->acked_n > before) {
        work_acked(n);
    }
    uv_close((uv_handle_t *)process, on_import_closed);
}

void node_import(struct run_node *n)
{
    char path[RUN_FILE_MAX];
    struct args *a = MEM_NEW(struct args);
    import_path(n, "receipts.csv", path);
    (void)remove(path);
    add(a, "%s", run_program(n));
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
    n->import_ns = uv_hrtime();
    write_rows(n);
    if (!spawn(n->run, &n->import, a, NULL, on_import_end, NULL, -1)) {
        run_broken(n->run, n, "clean-exit", "no import can be started");
        uv_close((uv_handle_t *)&n->import, on_import_closed);
    }
    mem_free(a);
}

/* ---- directives ---- */

static unsigned deciders_of(const struct run_node *n)
{
    return n->run->conf->profile->deciders;
}

/* One who decides alone makes, signs and publishes it at once; two sign it one
 * after the other, as offices do. */
static unsigned last_step(const struct run_node *n)
{
    return deciders_of(n) > 1 ? deciders_of(n) + 1 : 0;
}

static void add_key(const struct run_node *n, struct args *a, unsigned decider)
{
    add(a, "--key");
    add(a, "%s/fed/deciders/%012llu-%u.key", n->run->conf->folder,
        (unsigned long long)n->place.code,
        decider % tree_deciders(deciders_of(n)) + 1);
}

static void decide_args(const struct run_node *n, struct args *a)
{
    char rows[RUN_FILE_MAX];
    char package[RUN_FILE_MAX];
    import_path(n, "listings.csv", rows);
    import_path(n, "today.package", package);
    bool made = n->decide_step > 0;
    bool is_signed = n->decide_step > deciders_of(n);
    add(a, "%s", run_program(n));
    add(a, "directive");
    add(a, "%s", !made ? "import" : is_signed ? "publish" : "sign");
    add(a, "%s", made ? package : rows);
    if (made && !is_signed) {
        add_key(n, a, n->decider + n->decide_step - 1);
        return;
    }
    add(a, "--json");
    add(a, "-s");
    add(a, "%s", n->socket);
    if (last_step(n) == 0) {
        add(a, "--publish");
        add(a, "--yes");
        add_key(n, a, n->decider);
    } else if (!made) {
        add(a, "-o");
        add(a, "%s", package);
    }
}

static void start_step(struct run_node *n);

static void on_decide_closed(uv_handle_t *handle)
{
    struct run_node *n = handle->data;
    if (n->decide_more) {
        n->decide_step++;
        start_step(n);
    } else {
        n->deciding = false;
    }
}

static void on_decide_end(uv_process_t *process, int64_t status, int signum)
{
    struct run_node *n = process->data;
    char path[RUN_FILE_MAX];
    import_path(n, "decided.json", path);
    n->decide_more =
        signum == 0 && status == 0 && n->decide_step < last_step(n);
    if (!n->decide_more) {
        work_decided(n, signum == 0 ? status : -1, path);
    }
    uv_close((uv_handle_t *)process, on_decide_closed);
}

static void start_step(struct run_node *n)
{
    char path[RUN_FILE_MAX];
    struct args *a = MEM_NEW(struct args);
    decide_args(n, a);
    import_path(n, "decided.json", path);
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    n->decide.data = n;
    n->decide_more = false;
    if (!spawn(n->run, &n->decide, a, NULL, on_decide_end, NULL, out)) {
        run_broken(n->run, n, "clean-exit", "no directive can be started");
        uv_close((uv_handle_t *)&n->decide, on_decide_closed);
    }
    if (out >= 0) {
        (void)close(out);
    }
    mem_free(a);
}

void node_decide(struct run_node *n)
{
    char package[RUN_FILE_MAX];
    import_path(n, "today.package", package);
    (void)remove(package); /* an older one is not written over */
    n->deciding = true;
    n->decide_step = 0;
    n->decide_ns = uv_hrtime();
    start_step(n);
}

/* ---- feedback ---- */

static void on_report_closed(uv_handle_t *handle)
{
    struct run_node *n = handle->data;
    n->reporting = false;
}

static void on_report_end(uv_process_t *process, int64_t status, int signum)
{
    work_reported(process->data, signum == 0 ? status : -1);
    uv_close((uv_handle_t *)process, on_report_closed);
}

void node_report(struct run_node *n)
{
    struct args *a = MEM_NEW(struct args);
    const struct decided *d = &n->run->decided[n->report_of];
    add(a, "%s", run_program(n));
    add(a, "feedback");
    add(a, "%s#%llu", d->log, (unsigned long long)decided_first(d));
    add(a, "-s");
    add(a, "%s", n->socket);
    add(a, "--outcome");
    add(a, "applied");
    add(a, "--measure");
    add(a, "C01");
    add(a, "--app");
    add(a, "%s", EFFECT_APP);
    n->report.data = n;
    n->reporting = true;
    n->report_ns = uv_hrtime();
    if (!spawn(n->run, &n->report, a, NULL, on_report_end, NULL, -1)) {
        run_broken(n->run, n, "clean-exit", "no feedback can be started");
        uv_close((uv_handle_t *)&n->report, on_report_closed);
    }
    mem_free(a);
}
