/* rows_log.h - a sink that writes down what came out of rows. */
#ifndef TESTS_INGEST_ROWS_LOG_H
#define TESTS_INGEST_ROWS_LOG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/rows.h"

static const struct record_keys rows_log_keys = {
    .suite = SUITE_INTL,
    .identity = {(const uint8_t *)"identity", 8},
    .digest = {(const uint8_t *)"digest", 6},
};

/* Good rows as "line ok;", refused ones as "line column rule, column rule;".
 */
struct rows_log {
    struct buf rows;
    struct buf texts;    /* of faults, a line each */
    struct buf warnings; /* a line each */
    struct errmsg why;
    size_t good;
    size_t persons;
    uint16_t item;
    enum err err;                /* of the file */
    enum err answer;             /* what callbacks return */
    uint8_t key[RECORD_KEY_LEN]; /* of the last good row */
    char subject[RECORD_SUBJECT_MAX + 1];
};

static inline enum err rows_log_record(void *ctx, uint64_t line,
                                       const struct record *record)
{
    struct rows_log *log = ctx;
    log->good++;
    log->persons += record->subject_kind == SUBJECT_PERSON;
    memcpy(log->key, record->key, RECORD_KEY_LEN);
    memcpy(log->subject, record->subject, sizeof log->subject);
    buf_putf(&log->rows, "%u ok;", (unsigned)line);
    return log->answer;
}

static inline enum err rows_log_refused(void *ctx, uint64_t line,
                                        const struct rows_fault *faults,
                                        size_t count)
{
    struct rows_log *log = ctx;
    buf_putf(&log->rows, "%u ", (unsigned)line);
    for (size_t i = 0; i < count; i++) {
        buf_putf(&log->rows, "%s%s%s%s", i > 0 ? ", " : "", faults[i].column,
                 faults[i].column[0] != '\0' ? " " : "", faults[i].rule);
        buf_putf(&log->texts, "%s\n", faults[i].text);
    }
    buf_put_str(&log->rows, ";");
    return log->answer;
}

static inline void rows_log_warning(void *ctx, const char *text)
{
    struct rows_log *log = ctx;
    buf_putf(&log->warnings, "%s\n", text);
}

static inline void rows_log_fini(struct rows_log *log)
{
    buf_fini(&log->rows);
    buf_fini(&log->texts);
    buf_fini(&log->warnings);
}

/* Feeds `text` in steps; the log must be zeroed or of an earlier run. */
static inline const char *rows_log_run(struct rows_log *log, struct slice text,
                                       size_t step)
{
    const struct rows_options options = {.keys = &rows_log_keys,
                                         .today = 20261231};
    const struct rows_sink sink = {rows_log_record, rows_log_refused,
                                   rows_log_warning, log};
    enum err answer = log->answer;
    struct rows *rows;
    rows_log_fini(log);
    *log = (struct rows_log){.answer = answer};
    rows_begin(&rows, &options, &sink);
    for (size_t at = 0; log->err == ERR_OK && at < text.len; at += step) {
        size_t n = text.len - at < step ? text.len - at : step;
        log->err = rows_feed(rows, slice_of(text.data + at, n), &log->why);
    }
    if (log->err == ERR_OK) {
        log->err = rows_finish(rows, &log->why);
    }
    log->item = rows_item(rows) != NULL ? rows_item(rows)->id : 0;
    rows_free(&rows);
    return buf_cstr(&log->rows);
}

#endif
