/* import */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/admin.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/outcomes.h"

enum { EXIT_ROWS_REFUSED = 3, CHUNK = 64 * 1024, FAULTS_SHOWN = 50 };

static const struct option longs[] = {
    CLI_LONG,
    {"stdin", no_argument, NULL, 1},
    {"receipt", required_argument, NULL, 2},
    {"quiet", no_argument, NULL, 3},
    {NULL, 0, NULL, 0},
};

struct job {
    struct cli_options o;
    const char *receipt_path;
    FILE *receipt;
    bool from_stdin;
    bool quiet;
    bool unreachable; /* the node: no other file would fare better */
    const char *name; /* of the file at work */
    int fd;
    off_t bytes; /* 0: its size is not known */
    uint64_t shown;
    struct cli_progress progress;
    uint64_t rows;
    json_t *faults;  /* --json: the first ones of the file */
    json_t *results; /* --json: one object a file */
};

static const char *text_of(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void show_fault(struct job *job, json_t *row, json_t *fault)
{
    const char *column = text_of(fault, "column");
    json_int_t line = json_integer_value(json_object_get(row, "line"));
    job->shown++;
    if (job->shown > FAULTS_SHOWN) {
        return;
    }
    if (job->o.json) {
        (void)json_object_set_new(fault, "line", json_integer(line));
        (void)json_array_append(job->faults, fault);
    } else if (!job->quiet) {
        char *zh = cli_fault_zh(fault);
        cli_progress_end(&job->progress);
        cli_line(stdout,
                 job->o.english ? "  line %lld%s%s: %s [%s]"
                                : "  第 %lld 行%s%s：%s [%s]",
                 (long long)line,
                 column == NULL || column[0] == 0 ? ""
                 : job->o.english                 ? ", "
                                                  : "，",
                 column != NULL ? column : "",
                 job->o.english ? text_of(fault, "text") : zh,
                 text_of(fault, "rule"));
        mem_free(zh);
    }
}

static void take_row(struct job *job, json_t *row)
{
    json_t *faults = json_object_get(row, "faults");
    size_t n = json_array_size(faults);
    for (size_t i = 0; i < n; i++) {
        show_fault(job, row, json_array_get(faults, i));
    }
    if (job->receipt == NULL) {
        return;
    }
    for (size_t i = 0; i < (n > 0 ? n : 1); i++) {
        cli_outcomes_put(job->receipt, row,
                         n > 0 ? json_array_get(faults, i) : NULL, job->name);
    }
}

/* Of the whole file. */
static void put_file_line(struct job *job, const char *outcome,
                          const char *rule, const char *text)
{
    if (job->receipt != NULL) {
        json_t *row = json_pack("{s:i, s:s}", "line", 0, "outcome", outcome);
        json_t *fault = json_pack("{s:s, s:s}", "rule", rule, "text", text);
        cli_outcomes_put(job->receipt, row, fault, job->name);
        json_decref(row);
        json_decref(fault);
    }
}

/* The process that sends shares the file's position with this one. What it is
 * ahead of the node is little beside a file that takes long. */
static void show_progress(struct job *job, uint64_t rows)
{
    off_t at = job->bytes > 0 ? lseek(job->fd, 0, SEEK_CUR) : 0;
    double part = at > 0 ? (double)at / (double)job->bytes : 0;
    cli_progress_part(&job->progress, rows, part);
}

static bool on_object(void *ctx, json_t *object)
{
    struct job *job = ctx;
    const char *type = text_of(object, "type");
    if (type != NULL && strcmp(type, "warning") == 0) {
        cli_progress_end(&job->progress);
        cli_note(cli_text(object, "text"), job->o.english);
    } else if (type != NULL && strcmp(type, "progress") == 0) {
        json_t *done = json_object_get(object, "done");
        show_progress(job, (uint64_t)json_integer_value(done));
    } else if (type != NULL && strcmp(type, "row") == 0) {
        job->rows++;
        take_row(job, object);
        show_progress(job, job->rows);
    }
    return true;
}

static void send_file(const struct job *job, struct admin_client *client,
                      int fd)
{
    uint8_t chunk[CHUNK];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            (void)cli_fail("%s: %s", job->name, strerror(errno));
            admin_cut(client); /* no empty frame: it is not the whole file */
            return;
        }
        if (admin_write(client, slice_of(chunk, (size_t)n)) != ERR_OK ||
            n == 0) {
            return;
        }
    }
}

/* The node answers while the file is still being sent, and its answers fill
 * the socket: so a child process sends and this one reads. */
static pid_t send_in_child(const struct job *job, struct admin_client *client,
                           int fd)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        send_file(job, client, fd);
        _exit(0);
    }
    return pid;
}

/* Once the node has answered, nothing that is left of the file matters. */
static void end_child(pid_t pid)
{
    (void)kill(pid, SIGTERM);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* The result, or NULL with `why` set. */
static json_t *read_answer(struct job *job, struct admin_client *client,
                           struct errmsg *why)
{
    json_t *object = NULL;
    while (admin_read(client, &object, why) == ERR_OK) {
        const char *type = text_of(object, "type");
        if (type != NULL && strcmp(type, "result") == 0) {
            return object;
        }
        if (type != NULL && strcmp(type, "error") == 0) {
            const char *text = text_of(object, "text");
            (void)err_set(why, ERR_INVALID, "%s", text != NULL ? text : "");
            cli_note_error(object);
            json_decref(object);
            return NULL;
        }
        (void)on_object(job, object);
        json_decref(object);
    }
    return NULL;
}

static off_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
}

static json_t *import_fd(struct job *job, int fd, struct errmsg *why)
{
    struct admin_client *client = NULL;
    json_t *result = NULL;
    job->fd = fd;
    job->bytes = size_of(fd);
    if (cli_open(&job->o, &client) != EXIT_OK) {
        job->unreachable = true;
        return NULL;
    }
    json_t *request =
        json_pack("{s:s, s:b}", "cmd", "import", "quiet",
                  job->quiet && job->receipt == NULL && !job->o.json ? 1 : 0);
    cli_progress_start(&job->progress, job->name);
    job->rows = 0;
    job->shown = 0;
    if (admin_write_json(client, request) == ERR_OK) {
        pid_t pid = send_in_child(job, client, fd);
        if (pid > 0) {
            result = read_answer(job, client, why);
            end_child(pid);
        } else {
            (void)err_set(why, ERR_BUSY, "%s", strerror(errno));
        }
    } else {
        (void)err_set(why, ERR_CANCELLED,
                      "the node ended the connection; try again");
    }
    cli_progress_end(&job->progress);
    admin_disconnect(&client);
    return result;
}

static long long count_of(json_t *result, const char *key)
{
    return (long long)json_integer_value(json_object_get(result, key));
}

static void print_sums(const struct job *job, json_t *result)
{
    bool english = job->o.english;
    if (job->shown > FAULTS_SHOWN && !job->quiet) {
        (void)printf(english ? "  … and %llu more; --receipt FILE lists all\n"
                             : "  …… 另有 %llu 处；--receipt 文件 列出全部\n",
                     (unsigned long long)(job->shown - FAULTS_SHOWN));
    }
    (void)printf(english ? "%s: %lld rows: %lld new, %lld changed, %lld "
                           "unchanged, %lld pending, %lld refused\n"
                         : "%s：%lld 行：新增 %lld，变更 %lld，未变 %lld，"
                           "待编号 %lld，拒绝 %lld\n",
                 job->name, count_of(result, "rows"), count_of(result, "new"),
                 count_of(result, "changed"), count_of(result, "unchanged"),
                 count_of(result, "pending"), count_of(result, "refused"));
}

static json_t *json_name(const char *name)
{
    json_t *text = json_string(name);
    return text != NULL ? text : json_string("(name is not UTF-8)");
}

static int report(struct job *job, json_t *result)
{
    int rc = count_of(result, "refused") > 0 ? EXIT_ROWS_REFUSED : EXIT_OK;
    if (job->o.json) {
        uint64_t left_out =
            job->shown > FAULTS_SHOWN ? job->shown - FAULTS_SHOWN : 0;
        (void)json_object_del(result, "type");
        (void)json_object_set_new(result, "file", json_name(job->name));
        (void)json_object_set(result, "faults", job->faults);
        (void)json_object_set_new(result, "faults_left_out",
                                  json_integer((json_int_t)left_out));
        (void)json_array_append(job->results, result);
    } else {
        print_sums(job, result);
    }
    json_decref(result);
    return rc;
}

/* The file as a whole was not taken. */
static int report_failed(struct job *job, const struct errmsg *why)
{
    if (job->unreachable) {
        return EXIT_FAILED; /* said already */
    }
    put_file_line(job, "refused", "file", why->text);
    if (job->o.json) {
        (void)json_array_append_new(
            job->results, json_pack("{s:o, s:s}", "file", json_name(job->name),
                                    "error", why->text));
    }
    return cli_fail("%s: %s", job->name, why->text);
}

static int open_file(const char *path, struct errmsg *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        (void)err_set(why, ERR_IO, "%s", strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        (void)err_set(why, ERR_INVALID,
                      "a folder; name the files in it, as in %s/*.csv", path);
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static int import_file(struct job *job, const char *path)
{
    struct errmsg why = {{0}};
    int fd = job->from_stdin ? STDIN_FILENO : open_file(path, &why);
    job->name = path;
    job->faults = json_array();
    if (job->from_stdin && isatty(fd) != 0) {
        (void)fputs(job->o.english
                        ? "reading rows from the terminal; Ctrl-D ends them\n"
                        : "从终端读取各行，按 Ctrl-D 结束\n",
                    stderr);
    }
    json_t *result = fd >= 0 ? import_fd(job, fd, &why) : NULL;
    if (!job->from_stdin && fd >= 0) {
        (void)close(fd);
    }
    int rc = result != NULL ? report(job, result) : report_failed(job, &why);
    json_decref(job->faults);
    return rc;
}

static bool take_option(struct job *job, int opt)
{
    switch (opt) {
    case 1:
        job->from_stdin = true;
        return true;
    case 2:
        job->receipt_path = optarg;
        return true;
    case 3:
        job->quiet = true;
        return true;
    default:
        return cli_common(opt, &job->o);
    }
}

static bool parse(struct job *job, int argc, char **argv)
{
    int opt;
    while ((opt = getopt_long(argc, argv, CLI_SHORT, longs, NULL)) != -1) {
        if (!take_option(job, opt)) {
            return false;
        }
    }
    return job->from_stdin ? optind == argc : optind < argc;
}

static bool open_receipt(struct job *job)
{
    if (job->receipt_path == NULL) {
        return true;
    }
    job->receipt = cli_outcomes_open(job->receipt_path);
    return job->receipt != NULL;
}

/* The worst result. */
static int import_all(struct job *job, int count, char **paths)
{
    int worst = EXIT_OK;
    for (int i = 0; i < count && !job->unreachable; i++) {
        int rc = import_file(job, paths[i]);
        worst = rc == EXIT_FAILED || worst == EXIT_OK ? rc : worst;
    }
    return worst;
}

int cmd_import(int argc, char **argv)
{
    struct job job = {.o = {.english = cli_english()}};
    if (!parse(&job, argc, argv)) {
        return cli_usage("import", "name files, or --stdin and no file");
    }
    if (!open_receipt(&job)) {
        return cli_fail("%s: %s", job.receipt_path, strerror(errno));
    }
    job.results = json_array();
    int worst = job.from_stdin ? import_file(&job, job.o.english || job.o.json
                                                       ? "standard input"
                                                       : "标准输入")
                               : import_all(&job, argc - optind, argv + optind);
    if (job.receipt != NULL && fclose(job.receipt) != 0) {
        worst = cli_fail("%s: %s", job.receipt_path, strerror(errno));
    }
    if (job.o.json) {
        (void)cli_print_json(job.results);
    } else {
        json_decref(job.results);
    }
    return worst;
}
