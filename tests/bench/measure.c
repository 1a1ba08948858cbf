#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* User and system time of a whole process, as in proc(5). */
static bool read_process_s(pid_t pid, double *seconds)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "process %d is gone\n", (int)pid);
        return false;
    }
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    /* The name in brackets may hold anything; what follows does not. */
    const char *rest = strrchr(text, ')');
    unsigned long user;
    unsigned long kernel;
    if (rest == NULL ||
        sscanf(rest, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu",
               &user, &kernel) != 2) {
        fprintf(stderr, "%s cannot be read\n", path);
        return false;
    }
    *seconds += (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
    return true;
}

static bool read_servers_s(const struct bench_cpu *cpu, double *seconds)
{
    *seconds = 0;
    for (size_t i = 0; i < cpu->pid_count; i++) {
        if (!read_process_s(cpu->pids[i], seconds)) {
            return false;
        }
    }
    return true;
}

static double time_s(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* With the processes it has started and waited for. */
static double read_client_s(void)
{
    struct rusage self;
    struct rusage children;
    (void)getrusage(RUSAGE_SELF, &self);
    (void)getrusage(RUSAGE_CHILDREN, &children);
    return time_s(self.ru_utime) + time_s(self.ru_stime) +
           time_s(children.ru_utime) + time_s(children.ru_stime);
}

bool bench_cpu_start(struct bench_cpu *cpu)
{
    cpu->client_s = read_client_s();
    return read_servers_s(cpu, &cpu->servers_s);
}

bool bench_cpu_stop(struct bench_cpu *cpu)
{
    double now;
    cpu->client_s = read_client_s() - cpu->client_s;
    bool ok = read_servers_s(cpu, &now);
    cpu->servers_s = now - cpu->servers_s;
    return ok;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t count, double share)
{
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof *values, compare);
    double rank = ceil(share * (double)count);
    return values[rank < 1 ? 0 : (size_t)rank - 1];
}

void bench_json_begin(struct buf *line, const char *bench, const char *peer)
{
    *line = (struct buf)BUF_INIT;
    buf_putf(line, "{\"bench\":\"%s\",\"peer\":\"%s\"", bench, peer);
}

void bench_json_number(struct buf *line, const char *key, double value)
{
    buf_putf(line, ",\"%s\":%.10g", key, value);
}

void bench_json_cpu(struct buf *line, const struct bench_cpu *cpu, double rows)
{
    bench_json_number(line, "cpu_us_per_row",
                      (cpu->servers_s + cpu->client_s) * 1e6 / rows);
    bench_json_number(line, "cpu_client_us_per_row",
                      cpu->client_s * 1e6 / rows);
}

void bench_json_times(struct buf *line, const char *prefix, double *ms,
                      size_t count)
{
    static const struct {
        const char *key;
        double share;
    } quantiles[] = {{"p50_ms", 0.5}, {"p99_ms", 0.99}, {"max_ms", 1}};
    for (size_t i = 0; i < 3; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%s", prefix, quantiles[i].key);
        bench_json_number(line, key,
                          bench_quantile(ms, count, quantiles[i].share));
    }
}

void bench_json_end(struct buf *line)
{
    buf_put_str(line, "}");
    puts(buf_cstr(line));
    fflush(stdout);
    buf_fini(line);
}
