#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client.h"

/* ---- single records ---- */

/* One client: its own connection, one call at a time. */
struct job {
    struct options *opt;
    uint64_t first;
    uint64_t rows;
    struct buf *requests;
    double *ms;
    struct goal last; /* of its rows, the one with the highest number */
    pthread_t thread;
};

static pthread_barrier_t line_up;

static void render(struct job *job)
{
    job->requests = mem_zalloc(job->rows, sizeof *job->requests);
    job->ms = mem_zalloc(job->rows, sizeof *job->ms);
    for (uint64_t i = 0; i < job->rows; i++) {
        struct bench_row row;
        bench_row_make(job->first + i, job->opt->subjects, &row);
        own_render(&job->requests[i], &row);
    }
}

static void *run_job(void *arg)
{
    struct job *job = arg;
    struct buf reply = BUF_INIT;
    struct own_place place;
    struct rpc_channel *channel = own_connect(job->opt, job->opt->server);
    render(job);
    struct buf hello = BUF_INIT;
    (void)own_call(channel, "/grpc.health.v1.Health/Check", &hello, &reply);
    /* Twice: all are ready; then the clock runs. */
    pthread_barrier_wait(&line_up);
    pthread_barrier_wait(&line_up);
    for (uint64_t i = 0; i < job->rows; i++) {
        int64_t start_ns = clock_mono_ns();
        own_submit(channel, &job->requests[i], &reply, &place);
        job->ms[i] = bench_seconds(start_ns, clock_mono_ns()) * 1e3;
        if (place.at.number > job->last.number) {
            job->last = place.at;
        }
    }
    buf_fini(&reply);
    rpc_channel_close(&channel);
    return NULL;
}

static void deal_out(struct options *opt, struct job *jobs)
{
    uint64_t next = opt->first;
    for (uint64_t i = 0; i < opt->threads; i++) {
        jobs[i] = (struct job){.opt = opt,
                               .first = next,
                               .rows = opt->rows / opt->threads +
                                       (i < opt->rows % opt->threads)};
        next += jobs[i].rows;
        pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]);
    }
}

/* All rows are of one log, so its highest number comes last. */
static double *gather(const struct options *opt, struct job *jobs,
                      struct goal *last)
{
    double *ms = mem_zalloc(opt->rows, sizeof *ms);
    size_t at = 0;
    for (uint64_t i = 0; i < opt->threads; i++) {
        memcpy(ms + at, jobs[i].ms, jobs[i].rows * sizeof *ms);
        at += jobs[i].rows;
        if (jobs[i].last.number > last->number) {
            *last = jobs[i].last;
        }
        mem_free(jobs[i].ms);
        mem_free(jobs[i].requests);
    }
    return ms;
}

void own_singles(struct options *opt)
{
    struct job jobs[OWN_THREADS_MAX];
    struct goal last = {.number = 0};
    own_open(opt);
    struct rpc_channel *sink = own_connect(opt, opt->sink);
    pthread_barrier_init(&line_up, NULL, (unsigned)opt->threads + 1);
    deal_out(opt, jobs);
    pthread_barrier_wait(&line_up);
    bool counted = bench_cpu_start(&opt->cpu);
    int64_t start_ns = clock_mono_ns();
    pthread_barrier_wait(&line_up);
    for (uint64_t i = 0; i < opt->threads; i++) {
        pthread_join(jobs[i].thread, NULL);
    }
    int64_t accepted_ns = clock_mono_ns();
    double *ms = gather(opt, jobs, &last);
    own_wait(sink, &last, 1, false);
    int64_t arrived_ns = clock_mono_ns();
    if (!bench_cpu_stop(&opt->cpu) || !counted) {
        own_die("a node under test died");
    }
    own_check_rows(sink, opt);
    own_print_load(opt, bench_seconds(start_ns, accepted_ns),
                   bench_seconds(start_ns, arrived_ns), ms, opt->rows);
    mem_free(ms);
    rpc_channel_close(&sink);
    own_close(opt);
    pthread_barrier_destroy(&line_up);
}

/* ---- imports ---- */

static void start_import(const struct options *opt, size_t i)
{
    pid_t pid = fork();
    if (pid < 0) {
        own_die("fork failed");
    }
    if (pid > 0) {
        return;
    }
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDOUT_FILENO) < 0) {
        _exit(127);
    }
    execl(opt->node, opt->node, "import", "--quiet", "-c", opt->confs[i],
          opt->files[i], (char *)NULL);
    _exit(127);
}

/* The processes that imports leave behind come to this one and are waited for,
 * so that their CPU time counts. */
static void wait_for_imports(void)
{
    int status;
    while (wait(&status) > 0) {
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            own_die("an import failed or refused rows");
        }
    }
}

void own_import(struct options *opt)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    bool counted = bench_cpu_start(&opt->cpu);
    int64_t start_ns = clock_mono_ns();
    for (size_t i = 0; i < opt->conf_count; i++) {
        start_import(opt, i);
    }
    wait_for_imports();
    int64_t accepted_ns = clock_mono_ns();
    /* Only now: gRPC's threads do not outlive a fork. */
    own_open(opt);
    struct rpc_channel *sink = own_connect(opt, opt->sink);
    own_wait(sink, opt->goals, opt->goal_count, false);
    int64_t arrived_ns = clock_mono_ns();
    if (!bench_cpu_stop(&opt->cpu) || !counted) {
        own_die("a node under test died");
    }
    own_check_rows(sink, opt);
    own_print_load(opt, bench_seconds(start_ns, accepted_ns),
                   bench_seconds(start_ns, arrived_ns), NULL, 0);
    rpc_channel_close(&sink);
    own_close(opt);
}

void own_arrival(struct options *opt)
{
    own_open(opt);
    struct rpc_channel *sink = own_connect(opt, opt->sink);
    own_wait(sink, opt->goals, opt->goal_count, true);
    rpc_channel_close(&sink);
    own_close(opt);
}
