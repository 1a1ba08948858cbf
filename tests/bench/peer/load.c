#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client.h"

enum {
    APPLY_GIVE_UP_S = 900,
    GTID_MAX = 256, /* of one server */
};

/* One connection's share of a load. */
struct job {
    const struct options *opt;
    const char *server;
    char origin[PEER_ORIGIN_LEN + 1];
    uint64_t first;
    uint64_t rows;
    MYSQL *link;
    MYSQL_STMT *insert;     /* single rows */
    struct image *images;   /* single rows */
    struct buf *statements; /* batches */
    size_t statement_count;
    double *ms; /* per statement */
    pthread_t thread;
};

static pthread_barrier_t line_up;

static void render_statements(struct job *job)
{
    uint64_t batch = job->opt->batch;
    job->statement_count = (size_t)((job->rows + batch - 1) / batch);
    job->statements = mem_zalloc(job->statement_count, sizeof(struct buf));
    for (uint64_t i = 0; i < job->rows; i++) {
        struct buf *sql = &job->statements[i / batch];
        struct bench_row row;
        bench_row_make(job->first + i, job->opt->subjects, &row);
        buf_put_str(sql, i % batch == 0 ? PEER_INSERT : ",");
        peer_put_values(sql, job->origin, job->first + i, &row);
    }
}

static void render_images(struct job *job)
{
    job->insert = peer_prepare_insert(job->link);
    job->statement_count = (size_t)job->rows;
    job->images = mem_zalloc(job->statement_count, sizeof *job->images);
    for (uint64_t i = 0; i < job->rows; i++) {
        peer_make_image(&job->images[i], job->origin, job->first + i,
                        job->opt->subjects);
    }
}

static void send_statement(struct job *job, size_t i)
{
    const struct buf *sql = &job->statements[i];
    if (mysql_real_query(job->link, (const char *)sql->data, sql->len) != 0) {
        peer_die("insert: %s", mysql_error(job->link));
    }
}

static void send_all(struct job *job, struct image *bound)
{
    for (size_t i = 0; i < job->statement_count; i++) {
        int64_t start_ns = clock_mono_ns();
        if (job->images != NULL) {
            *bound = job->images[i];
            peer_execute(job->insert);
        } else {
            send_statement(job, i);
        }
        job->ms[i] = bench_seconds(start_ns, clock_mono_ns()) * 1e3;
    }
}

static void *run_job(void *arg)
{
    struct job *job = arg;
    struct image bound;
    mysql_thread_init();
    job->link = peer_connect(job->server);
    if (job->opt->batch > 1) {
        render_statements(job);
    } else {
        render_images(job);
        peer_bind_image(job->insert, &bound);
    }
    job->ms = mem_zalloc(job->statement_count, sizeof *job->ms);
    /* Twice: all are ready; then the clock runs. */
    pthread_barrier_wait(&line_up);
    pthread_barrier_wait(&line_up);
    send_all(job, &bound);
    mysql_thread_end();
    return NULL;
}

/* Several servers: one connection each, each with its own origin and row
 * numbers. One server: the rows are shared among the threads. */
static size_t deal_out(const struct options *opt, struct job *jobs)
{
    bool fan = opt->server_count > 1;
    size_t count = fan ? opt->server_count : (size_t)opt->threads;
    uint64_t next = opt->first;
    for (size_t i = 0; i < count; i++) {
        struct job *job = &jobs[i];
        *job =
            (struct job){.opt = opt,
                         .server = opt->servers[fan ? i : 0],
                         .first = next,
                         .rows = opt->rows / count + (i < opt->rows % count)};
        snprintf(job->origin, sizeof job->origin, "3418020012%02u",
                 fan ? (unsigned)i : 0);
        next += job->rows;
    }
    return count;
}

/* The positions of all servers, as the sink has to reach them. */
static void read_positions(const struct job *jobs, size_t servers,
                           struct buf *out)
{
    for (size_t i = 0; i < servers; i++) {
        char position[GTID_MAX];
        peer_ask(jobs[i].link, "SELECT @@gtid_binlog_pos", position,
                 sizeof position);
        buf_putf(out, "%s%s", i > 0 ? "," : "", position);
    }
}

static void wait_for_sink(MYSQL *sink, const char *positions)
{
    struct buf sql = BUF_INIT;
    char result[16];
    buf_putf(&sql, "SELECT MASTER_GTID_WAIT('%s', %d)", positions,
             APPLY_GIVE_UP_S);
    peer_ask(sink, buf_cstr(&sql), result, sizeof result);
    buf_fini(&sql);
    if (strcmp(result, "0") != 0) {
        peer_die("the sink has not applied all after %d s", APPLY_GIVE_UP_S);
    }
}

/* A peer that lost rows has no figure. */
static void check_rows(MYSQL *link, const struct options *opt)
{
    char sql[128];
    char count[32];
    snprintf(sql, sizeof sql,
             "SELECT COUNT(*) FROM bench.record WHERE seq BETWEEN %llu AND "
             "%llu",
             (unsigned long long)opt->first,
             (unsigned long long)(opt->first + opt->rows - 1));
    peer_ask(link, sql, count, sizeof count);
    if (strtoull(count, NULL, 10) != opt->rows) {
        peer_die("%s rows arrived instead of %llu", count,
                 (unsigned long long)opt->rows);
    }
}

static void print_load(const struct options *opt, const struct job *jobs,
                       size_t count, double accepted_s, double arrived_s)
{
    struct buf line;
    size_t statements = 0;
    for (size_t i = 0; i < count; i++) {
        statements += jobs[i].statement_count;
    }
    double *ms = mem_zalloc(statements, sizeof *ms);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(ms + at, jobs[i].ms, jobs[i].statement_count * sizeof *ms);
        at += jobs[i].statement_count;
    }
    double rows = (double)opt->rows;
    bench_json_begin(&line, opt->bench, "mariadb");
    bench_json_number(&line, "rows", rows);
    bench_json_number(&line, "seconds", arrived_s);
    bench_json_number(&line, "rows_per_s", rows / arrived_s);
    bench_json_number(&line, "accepted_rows_per_s", rows / accepted_s);
    bench_json_cpu(&line, &opt->cpu, rows);
    bench_json_times(&line, "accept_", ms, statements);
    bench_json_end(&line);
    mem_free(ms);
}

static void close_jobs(struct job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0;
             jobs[i].statements != NULL && k < jobs[i].statement_count; k++) {
            buf_fini(&jobs[i].statements[k]);
        }
        if (jobs[i].insert != NULL) {
            mysql_stmt_close(jobs[i].insert);
        }
        mem_free(jobs[i].statements);
        mem_free(jobs[i].images);
        mem_free(jobs[i].ms);
        mysql_close(jobs[i].link);
    }
}

void peer_load(struct options *opt)
{
    struct job jobs[PEER_THREADS_MAX];
    struct buf positions = BUF_INIT;
    size_t count = deal_out(opt, jobs);
    MYSQL *sink = peer_connect(opt->sink != NULL ? opt->sink : opt->servers[0]);
    pthread_barrier_init(&line_up, NULL, (unsigned)count + 1);
    for (size_t i = 0; i < count; i++) {
        pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]);
    }
    pthread_barrier_wait(&line_up);
    bool counted = bench_cpu_start(&opt->cpu);
    int64_t start_ns = clock_mono_ns();
    pthread_barrier_wait(&line_up);
    for (size_t i = 0; i < count; i++) {
        pthread_join(jobs[i].thread, NULL);
    }
    int64_t accepted_ns = clock_mono_ns();
    if (opt->sink != NULL) {
        read_positions(jobs, opt->server_count, &positions);
        wait_for_sink(sink, buf_cstr(&positions));
    }
    int64_t arrived_ns = clock_mono_ns();
    if (!bench_cpu_stop(&opt->cpu) || !counted) {
        peer_die("a server under test died");
    }
    check_rows(sink, opt);
    print_load(opt, jobs, count, bench_seconds(start_ns, accepted_ns),
               bench_seconds(start_ns, arrived_ns));
    buf_fini(&positions);
    close_jobs(jobs, count);
    mysql_close(sink);
    pthread_barrier_destroy(&line_up);
}
