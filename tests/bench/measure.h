/* measure.h - what the load clients measure and how they print it.
 *
 * A result is one line of flat JSON on stdout:
 * {"bench":"batches","peer":"mariadb","rows":200000,"rows_per_s":12576.1} */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <sys/types.h>

#include "base/buf.h"

enum { BENCH_PIDS_MAX = 32 };

/* CPU time of the servers under test and of the calling client. */
struct bench_cpu {
    pid_t pids[BENCH_PIDS_MAX]; /* set by the caller */
    size_t pid_count;
    double servers_s; /* spent between start and stop, user + system */
    double client_s;
};

/* False if a process of the list is gone: then there is no result either.
 * Servers are read from /proc in clock ticks (10 ms each). */
MUST_USE bool bench_cpu_start(struct bench_cpu *cpu);
MUST_USE bool bench_cpu_stop(struct bench_cpu *cpu);

/* Seconds between two clock_mono_ns() readings. */
static inline double bench_seconds(int64_t from_ns, int64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e9;
}

/* The `share` (0 … 1) quantile by nearest rank; sorts `values`. 0 if there
 * are none. */
double bench_quantile(double *values, size_t count, double share);

void bench_json_begin(struct buf *line, const char *bench, const char *peer);
void bench_json_number(struct buf *line, const char *key, double value);
/* cpu_us_per_row (servers + client) and the client's part of it. */
void bench_json_cpu(struct buf *line, const struct bench_cpu *cpu, double rows);
/* Keys p50_ms, p99_ms and max_ms behind `prefix`; sorts `ms`. */
void bench_json_times(struct buf *line, const char *prefix, double *ms,
                      size_t count);
/* Prints the line and frees the buffer. */
void bench_json_end(struct buf *line);

#endif
