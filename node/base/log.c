#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { LINE_MAX_BYTES = 2048, CTX_DEPTH = 6 };

static atomic_int max_level = LOG_INFO;
static atomic_int out_fd = STDERR_FILENO;

static const char *const names[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
    atomic_store(&max_level, (int)level);
}

void log_set_fd(int fd)
{
    atomic_store(&out_fd, fd);
}

bool log_level_parse(const char *text, enum log_level *out)
{
    for (int i = 0; i <= LOG_DEBUG; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Adds formatted text at *at, leaving one byte for the newline. */
static void PRINTF_LIKE(3, 0)
    add(char *line, size_t *at, const char *fmt, va_list ap)
{
    size_t room = LINE_MAX_BYTES - 1 - *at;
    int n = vsnprintf(line + *at, room, fmt, ap);
    if (n > 0) {
        *at += (size_t)n < room ? (size_t)n : room - 1;
    }
}

static void PRINTF_LIKE(3, 4) addf(char *line, size_t *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(line, at, fmt, ap);
    va_end(ap);
}

static void add_context(char *line, size_t *at, const struct log_ctx *ctx)
{
    const struct log_ctx *chain[CTX_DEPTH];
    int n = 0;
    for (; ctx != NULL && n < CTX_DEPTH; ctx = ctx->up) {
        chain[n++] = ctx;
    }
    while (n-- > 0) {
        if (chain[n]->fields != NULL && chain[n]->fields[0] != 0) {
            addf(line, at, " %s", chain[n]->fields);
        }
    }
}

void log_line(enum log_level level, const struct log_ctx *ctx, const char *id,
              const char *fmt, ...)
{
    if ((int)level > atomic_load(&max_level)) {
        return;
    }
    char line[LINE_MAX_BYTES];
    size_t at = 0;
    int64_t now = clock_wall_ms();
    time_t sec = (time_t)(now / 1000);
    struct tm tm;
    (void)gmtime_r(&sec, &tm);
    addf(line, &at, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %-5s %s",
         tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
         tm.tm_sec, (int)(now % 1000), names[level], id);
    add_context(line, &at, ctx);
    if (fmt[0] != 0) {
        addf(line, &at, " ");
        va_list ap;
        va_start(ap, fmt);
        add(line, &at, fmt, ap);
        va_end(ap);
    }
    at = str_tame(line, at); /* a value may come from a peer */
    line[at++] = '\n';
    ssize_t ignored = write(atomic_load(&out_fd), line, at);
    (void)ignored;
}
