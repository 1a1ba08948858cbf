#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client.h"

enum { SAMPLES_MAX = 1 << 20 };

/* One connection of the point queries. */
struct reader_job {
    const struct options *opt;
    uint64_t seed;
    uint64_t queries;
    uint64_t rows;
    double *ms;
    pthread_t thread;
};

static pthread_barrier_t line_up;

/* Fetches every column as text or bytes into one row's worth of space. */
static void bind_answer(MYSQL_STMT *query, char (*cells)[BENCH_CSV_MAX],
                        unsigned long *lens)
{
    MYSQL_BIND binds[PEER_COLUMN_COUNT];
    memset(binds, 0, sizeof binds);
    for (size_t i = 0; i < PEER_COLUMN_COUNT; i++) {
        binds[i].buffer_type = MYSQL_TYPE_BLOB;
        binds[i].buffer = cells[i];
        binds[i].buffer_length = BENCH_CSV_MAX;
        binds[i].length = &lens[i];
    }
    if (mysql_stmt_bind_result(query, binds) != 0) {
        peer_die("bind: %s", mysql_stmt_error(query));
    }
}

static void *run_reader(void *arg)
{
    struct reader_job *job = arg;
    char code[BENCH_CODE_LEN + 1];
    unsigned long code_len = BENCH_CODE_LEN;
    char cells[PEER_COLUMN_COUNT][BENCH_CSV_MAX];
    unsigned long lens[PEER_COLUMN_COUNT];
    MYSQL_BIND key = {
        .buffer_type = MYSQL_TYPE_STRING, .buffer = code, .length = &code_len};
    mysql_thread_init();
    MYSQL *link = peer_connect(job->opt->servers[0]);
    MYSQL_STMT *query = peer_prepare(
        link, "SELECT " PEER_COLUMNS " FROM bench.record WHERE subject=?");
    if (mysql_stmt_bind_param(query, &key) != 0) {
        peer_die("bind: %s", mysql_stmt_error(query));
    }
    bind_answer(query, cells, lens);
    pthread_barrier_wait(&line_up);
    pthread_barrier_wait(&line_up);
    int64_t start_ns = clock_mono_ns();
    int64_t last_ns = start_ns;
    int64_t end_ns = start_ns + (int64_t)job->opt->seconds * 1000000000;
    while (last_ns < end_ns) {
        bench_subject_code(bench_random(&job->seed) % job->opt->subjects, code);
        peer_execute(query);
        while (mysql_stmt_fetch(query) == 0) {
            job->rows++;
        }
        mysql_stmt_free_result(query);
        int64_t now_ns = clock_mono_ns();
        if (job->queries < SAMPLES_MAX) {
            job->ms[job->queries] = bench_seconds(last_ns, now_ns) * 1e3;
        }
        job->queries++;
        last_ns = now_ns;
    }
    mysql_stmt_close(query);
    mysql_close(link);
    mysql_thread_end();
    return NULL;
}

static void print_point(const struct options *opt, struct reader_job *jobs,
                        double seconds)
{
    struct buf line;
    uint64_t queries = 0;
    uint64_t rows = 0;
    size_t samples = 0;
    double *ms = mem_zalloc(opt->threads * SAMPLES_MAX, sizeof *ms);
    for (size_t i = 0; i < opt->threads; i++) {
        size_t n = jobs[i].queries < SAMPLES_MAX ? (size_t)jobs[i].queries
                                                 : SAMPLES_MAX;
        memcpy(ms + samples, jobs[i].ms, n * sizeof *ms);
        samples += n;
        queries += jobs[i].queries;
        rows += jobs[i].rows;
    }
    bench_json_begin(&line, opt->bench, "mariadb");
    bench_json_number(&line, "in_flight", (double)opt->threads);
    bench_json_number(&line, "queries_per_s", (double)queries / seconds);
    bench_json_number(&line, "rows_per_query", (double)rows / (double)queries);
    bench_json_cpu(&line, &opt->cpu, (double)queries);
    bench_json_times(&line, "", ms, samples);
    bench_json_end(&line);
    mem_free(ms);
}

void peer_point(struct options *opt)
{
    struct reader_job jobs[PEER_THREADS_MAX];
    pthread_barrier_init(&line_up, NULL, (unsigned)opt->threads + 1);
    for (size_t i = 0; i < opt->threads; i++) {
        jobs[i] = (struct reader_job){
            .opt = opt,
            .seed = i,
            .ms = mem_zalloc(SAMPLES_MAX, sizeof *jobs[i].ms)};
        pthread_create(&jobs[i].thread, NULL, run_reader, &jobs[i]);
    }
    pthread_barrier_wait(&line_up);
    bool counted = bench_cpu_start(&opt->cpu);
    int64_t start_ns = clock_mono_ns();
    pthread_barrier_wait(&line_up);
    for (size_t i = 0; i < opt->threads; i++) {
        pthread_join(jobs[i].thread, NULL);
    }
    double seconds = bench_seconds(start_ns, clock_mono_ns());
    if (!bench_cpu_stop(&opt->cpu) || !counted) {
        peer_die("a server under test died");
    }
    print_point(opt, jobs, seconds);
    for (size_t i = 0; i < opt->threads; i++) {
        mem_free(jobs[i].ms);
    }
    pthread_barrier_destroy(&line_up);
}
