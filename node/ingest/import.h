/* import.h - a file or stream of rows into the node's own log.
 *
 * Bytes are fed in, rows are validated (rows.h), good ones become entries and
 * are submitted in batches; the outcome of every row comes back in file order.
 * A row is reported good only when it is durable. Memory is bounded by
 * IMPORT_BATCHES batches whatever the file's size.
 *
 * Threads: one thread feeds one import; it blocks while the store is busy, but
 * in import_at_once() and import_now(). Row callbacks run on that thread,
 * inside import_feed() and import_finish(). */
#ifndef INGEST_IMPORT_H
#define INGEST_IMPORT_H

#include "credit/record.h"
#include "store/keyring.h"
#include "store/store.h"

struct import;

/* Borrowed, outlives every import. */
struct import_env {
    struct store *store;
    struct keyring *keyring;
    enum suite suite;
    uint64_t self;       /* node code */
    uint32_t batch_rows; /* of one submission, ≤ DRAFTS_MAX */
};

enum {
    IMPORT_BATCHES = 4,
    IMPORT_AT_ONCE_ROWS = IMPORT_BATCHES * DRAFTS_MAX,
    IMPORT_BATCH_BYTES = 2 << 20, /* of entries: such a batch is full, too */
    IMPORT_NOW_BYTES = 8 << 10,   /* of what import_now() takes … */
    IMPORT_NOW_LINES = 8,         /* … with the header */
    IMPORT_RETRY_MS = 20,
    IMPORT_BUSY_S = 60,
};

enum row_outcome {
    ROW_NEW,
    ROW_CHANGED,
    ROW_UNCHANGED,
    ROW_PENDING, /* durable; numbered when a restored log is whole */
    ROW_REFUSED,
    ROW_OUTCOMES
};
const char *row_outcome_name(enum row_outcome outcome);
/* What a draft's outcome is called of a row. */
enum row_outcome import_outcome(enum draft_outcome outcome);

struct row_fault {
    const char *column; /* label, "" for the whole row */
    const char *rule;   /* stable id */
    const char *text;   /* for people; personal values masked */
};
/* Lent for the callback. */
struct import_row {
    uint64_t line; /* of the row's first character, 1-based */
    enum row_outcome outcome;
    uint8_t record_key[RECORD_KEY_LEN]; /* unless refused */
    struct log_id log;                  /* unless refused or pending */
    uint64_t number;
    uint32_t version;
    const struct row_fault *faults;
    size_t faults_count;
};
typedef void import_row_fn(void *ctx, const struct import_row *row);
/* Something about the whole file that does not stop it. */
typedef void import_warning_fn(void *ctx, const char *text);

struct import_counts {
    uint64_t rows;
    uint64_t outcome[ROW_OUTCOMES];
};

struct import_sink {
    import_row_fn *row;         /* may be NULL */
    import_warning_fn *warning; /* may be NULL */
    void *ctx;
};

void import_begin(struct import **out, const struct import_env *env,
                  const struct import_sink *sink);
/* Any error ends the import: the file is refused as a whole (no header, not a
 * known encoding: ERR_INVALID) or the store failed (ERR_NO_SPACE, …). Rows
 * that were under way are reported first; what was reported stays. */
MUST_USE enum err import_feed(struct import *import, struct slice bytes,
                              struct errmsg *why);
/* Instead of import_feed(): rows_columns() and rows_cells(). A row that becomes
 * an entry is kept under its source, which is copied. Of the columns those are
 * read for which import_reads() is true. */
MUST_USE enum err import_columns(struct import *import,
                                 const struct slice *names, size_t count,
                                 struct errmsg *why);
MUST_USE enum err import_cells(struct import *import, uint64_t line,
                               const struct draft_source *source,
                               const struct slice *cells, size_t count,
                               struct errmsg *why);
const struct catalogue_item *import_item(const struct import *import);
bool import_reads(const struct import *import, size_t column);
/* Instead of import_feed(), once: takes all bytes of a call, of no more than
 * IMPORT_AT_ONCE_ROWS rows, and waits for nothing. `settled` is called, once,
 * when import_finish() has nothing to wait for: before this returns, or later
 * on the store's writer thread, where it must not block. It may lead to
 * import_free(). What went wrong import_finish() says: besides what
 * import_feed() gives, ERR_BUSY where the store has no room now, and
 * ERR_TOO_LARGE where the rows need more batches than there are. */
typedef void import_settled_fn(void *ctx);
void import_at_once(struct import *import, struct slice bytes,
                    import_settled_fn *settled, void *ctx);
/* The same for a thread that must not wait for a disk either, and has little
 * time. False: nothing came of it but warnings, `settled` is not called, and
 * another import is to take the bytes, or to say what is wrong: they are more
 * than a few rows, or not UTF-8, or have values that are sealed by keys in
 * files, or the store does not take them. */
bool import_now(struct import *import, struct slice bytes,
                import_settled_fn *settled, void *ctx);
/* Waits until every row is decided. */
MUST_USE enum err import_finish(struct import *import, struct errmsg *why);
void import_counts(const struct import *import, struct import_counts *out);
/* Waits for what is under way, without reporting it; frees. NULL is allowed. */
void import_free(struct import **import);

#endif
