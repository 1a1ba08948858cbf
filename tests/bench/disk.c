/* bench_disk - what a synced append costs on this disk, in this minute.
 *
 * Each commit at each tier waits for one; without it a latency in
 * milliseconds says nothing about another machine. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "measure.h"

enum { ROUNDS = 200, BYTES = 600, PAUSE_US = 2000 };

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "bench_disk: %s: ", path);
    perror(what);
    exit(1);
}

/* Isolated ones: a disk answers a queue of them otherwise. */
static void measure(int fd, const char *path, double *ms)
{
    uint8_t bytes[BYTES];
    memset(bytes, 7, sizeof bytes);
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t from_ns = clock_mono_ns();
        if (write(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes ||
            fdatasync(fd) != 0) {
            fail("write and sync", path);
        }
        ms[i] = bench_seconds(from_ns, clock_mono_ns()) * 1e3;
        (void)usleep(PAUSE_US);
    }
}

int main(int argc, char **argv)
{
    static double ms[ROUNDS];
    struct buf line;
    if (argc != 2) {
        fputs("usage: bench_disk FILE\nTimes synced appends to FILE, which is "
              "made and removed.\n",
              stderr);
        return 2;
    }
    int fd = open(argv[1], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        fail("open", argv[1]);
    }
    measure(fd, argv[1], ms);
    (void)close(fd);
    (void)unlink(argv[1]);
    bench_json_begin(&line, "disk", "machine");
    bench_json_times(&line, "sync_", ms, ROUNDS);
    bench_json_end(&line);
    return 0;
}
