/* log.h - one line per event: time, level, stable id, key=value fields.
 *
 *   2026-03-02T09:14:07.120Z info  STORE-OPEN node=341821100201 logs=3
 *
 * Tests and operators match the id, so ids never change meaning. Context
 * (node, peer, log) comes from a chain of log_ctx made with the object, not
 * from each call. Values never hold a natural person's identifier.
 *
 * Threads: any. A line is written with one write(2). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* `fields` ("peer=… log=…") must outlive the context. */
struct log_ctx {
    const struct log_ctx *up; /* NULL at the root */
    const char *fields;
};

/* Lines above `level` are dropped. Default LOG_INFO to standard error. */
void log_set_level(enum log_level level);
void log_set_fd(int fd);
MUST_USE bool log_level_parse(const char *text, enum log_level *out);

/* `ctx` may be NULL. `fmt` makes the fields behind those of the context. */
void log_line(enum log_level level, const struct log_ctx *ctx, const char *id,
              const char *fmt, ...) PRINTF_LIKE(4, 5);

#define log_error(ctx, id, ...) log_line(LOG_ERROR, (ctx), (id), __VA_ARGS__)
#define log_warn(ctx, id, ...) log_line(LOG_WARN, (ctx), (id), __VA_ARGS__)
#define log_info(ctx, id, ...) log_line(LOG_INFO, (ctx), (id), __VA_ARGS__)
#define log_debug(ctx, id, ...) log_line(LOG_DEBUG, (ctx), (id), __VA_ARGS__)

#endif
