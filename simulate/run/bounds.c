#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "run/run.h"

/* Of one process. A node with a thousand children would need more descriptors;
 * a sanitizer's shadow more memory. */
enum {
    RSS_MAX_KIB = 768 * 1024,
    FDS_BASE = 400,
    FDS_CHILD = 4,
    THREADS_MAX = 128,
};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SHADOW = 4 };
#else
enum { SHADOW = 1 };
#endif

static long count_fds(int pid)
{
    char path[64];
    long n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    while (folder != NULL && readdir(folder) != NULL) {
        n++;
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return n;
}

/* Zeros if the process has just ended. */
static void read_status(int pid, long *rss_kib, long *threads)
{
    char path[64];
    char line[256];
    *rss_kib = *threads = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        (void)(sscanf(line, "VmRSS: %ld", rss_kib) == 1 ||
               sscanf(line, "Threads: %ld", threads) == 1);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static long children_of(const struct run_node *n)
{
    long children = 0;
    for (unsigned i = 0; i < n->run->nodes; i++) {
        children += n->run->node[i].place.parent == (int)n->index;
    }
    return children;
}

static void keep_most(long *most, long value)
{
    *most = value > *most ? value : *most;
}

static void look_at(struct run_node *n)
{
    struct run *run = n->run;
    long rss_kib;
    long threads;
    long fds = count_fds(n->process.pid);
    read_status(n->process.pid, &rss_kib, &threads);
    keep_most(&run->most.rss_kib, rss_kib);
    keep_most(&run->most.fds, fds);
    keep_most(&run->most.threads, threads);
    if (rss_kib > (long)RSS_MAX_KIB * SHADOW ||
        fds > FDS_BASE + FDS_CHILD * children_of(n) || threads > THREADS_MAX) {
        run_broken(run, n, "bounded",
                   "it has %ld KiB, %ld descriptors and %ld threads", rss_kib,
                   fds, threads);
    }
}

void bounds_look(struct run *run)
{
    for (unsigned i = 0; i < run->nodes; i++) {
        if (run->node[i].running) {
            look_at(&run->node[i]);
        }
    }
}
