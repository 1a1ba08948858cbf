/* stats.h - what a run measured: latencies, memory of processes.
 *
 * Threads: one. */
#ifndef RUN_STATS_H
#define RUN_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Values in the order in which they came; the first SAMPLES_MAX, then each
 * takes the place of an earlier one. */
struct samples {
    uint32_t *value; /* owned */
    uint32_t kept;
    uint32_t cap;
    uint64_t n; /* all that came */
};
enum { SAMPLES_MAX = 100000 };

void samples_add(struct samples *s, uint64_t value);
void samples_free(struct samples *s);
/* The value that `percent` of them do not exceed; 0: none came. */
uint32_t samples_at(const struct samples *s, unsigned percent);

struct usage {
    uint64_t rss; /* bytes in memory */
    uint64_t own; /* of these, private to the process */
    uint64_t cpu_ms;
    uint32_t threads;
    uint32_t descriptors;
};
/* Of a process, from /proc. False: it is gone. */
bool usage_of(pid_t pid, struct usage *out);

#endif
