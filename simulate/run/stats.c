#include "run/stats.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { PATH_LEN = 64, LINE_LEN = 512, FIRST = 256 };

void samples_add(struct samples *s, uint64_t value)
{
    uint32_t v = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    if (s->kept == s->cap && s->cap < SAMPLES_MAX) {
        s->cap = s->cap == 0 ? FIRST : 2 * s->cap;
        s->cap = s->cap > SAMPLES_MAX ? SAMPLES_MAX : s->cap;
        s->value = mem_realloc(s->value, s->cap * sizeof *s->value);
    }
    if (s->kept < s->cap) {
        s->value[s->kept++] = v;
    } else {
        s->value[s->n % s->cap] = v;
    }
    s->n++;
}

void samples_free(struct samples *s)
{
    mem_free(s->value);
    *s = (struct samples){NULL, 0, 0, 0};
}

static int order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint32_t samples_at(const struct samples *s, unsigned percent)
{
    if (s->kept == 0) {
        return 0;
    }
    uint32_t *sorted = mem_dup(s->value, s->kept * sizeof *s->value);
    qsort(sorted, s->kept, sizeof *sorted, order);
    size_t at = ((size_t)s->kept * percent + 99) / 100;
    uint32_t value = sorted[at > 0 ? at - 1 : 0];
    mem_free(sorted);
    return value;
}

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

/* "Name:  123 kB"; adds up what has that name. */
static uint64_t sum_of(pid_t pid, const char *file, const char *name)
{
    char line[LINE_LEN];
    size_t len = strlen(name);
    uint64_t sum = 0;
    FILE *in = open_proc(pid, file);
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, name, len) == 0) {
            sum += strtoull(line + len, NULL, 10);
        }
    }
    if (in != NULL) {
        (void)fclose(in);
    }
    return sum;
}

/* utime and stime, the 12th and 13th after the name in brackets. */
static uint64_t cpu_ms_of(pid_t pid)
{
    char line[LINE_LEN] = "";
    unsigned long user = 0;
    unsigned long kernel = 0;
    FILE *in = open_proc(pid, "stat");
    if (in != NULL) {
        if (fgets(line, sizeof line, in) == NULL) {
            line[0] = '\0';
        }
        (void)fclose(in);
    }
    char *at = strrchr(line, ')');
    for (int field = 2; at != NULL && field < 14; field++) {
        at = strchr(at + 1, ' ');
    }
    if (at != NULL) {
        user = strtoul(at, &at, 10);
        kernel = strtoul(at, NULL, 10);
    }
    return (user + kernel) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK);
}

static uint32_t descriptors_of(pid_t pid)
{
    char path[PATH_LEN];
    uint32_t n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

bool usage_of(pid_t pid, struct usage *out)
{
    *out =
        (struct usage){.rss = sum_of(pid, "status", "VmRSS:") * 1024,
                       .own = (sum_of(pid, "smaps_rollup", "Private_Clean:") +
                               sum_of(pid, "smaps_rollup", "Private_Dirty:")) *
                              1024,
                       .cpu_ms = cpu_ms_of(pid),
                       .threads = (uint32_t)sum_of(pid, "status", "Threads:"),
                       .descriptors = descriptors_of(pid)};
    return out->threads > 0;
}
