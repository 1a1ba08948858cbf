/* tail.h - rows of the index that no file holds yet. Private to store/.
 *
 * A memtable puts each row in its place among all others that are in memory:
 * microseconds of comparisons all over a buffer that no CPU cache holds, for an
 * order that is needed once, when the buffer becomes a file. So the rows of a
 * commit are stored as one value, a run, and stand here for those who read, in
 * two hash tables. When there are enough of them they are put in order together
 * and become a file (runs.c), and their runs are deleted.
 *
 * There are two parts: one that grows, and one that is being made into a file.
 * What the growing one says of a key counts before what the other one says, and
 * that before what the files say; within one, what came last. A row without a
 * value says that the key is gone.
 *
 *   run: form u8 (1), number of rows u32, rows:
 *        length of key u8, length of value u8, key, value
 *
 * Keys are those of row_key.h. Integers are big-endian.
 *
 * Threads: one writer, which alone calls what is not about reading; any number
 *          of readers; one thread that walks the frozen part. */
#ifndef STORE_ROCKSDB_TAIL_H
#define STORE_ROCKSDB_TAIL_H

#include "base/buf.h"

/* ---- runs ---- */

/* Adds a row; `value` of 0 bytes: the key is gone. Both at most 255 bytes. */
void run_put(struct buf *run, struct slice key, struct slice value);
/* Rows in it; 0 if it is empty. */
uint32_t run_rows(struct slice run);
/* Is it one, from its first byte to its last? */
bool run_is_sound(struct slice run);
/* That of its first row; 0 if it is empty. */
uint8_t run_generation(struct slice run);

/* Returns false to stop; slices are borrowed. */
typedef bool tail_row_fn(void *ctx, struct slice key, struct slice value);

/* The rows of a sound run as they stand there. */
void run_walk(struct slice run, tail_row_fn *fn, void *ctx);

/* ---- the tail ---- */

struct tail;

/* The growing part takes about `bytes` of memory before it is full. */
struct tail *tail_new(size_t bytes);
/* NULL is allowed. */
void tail_free(struct tail *t);

/* Memory that a run takes in a part. */
size_t tail_cost(struct slice run);
/* Only if it is empty: the growing part has room for that much. */
void tail_expect(struct tail *t, size_t need);
/* Is there room in the growing part? A run that is larger than a part fits into
 * an empty one. */
bool tail_fits(const struct tail *t, struct slice run);
/* Adds the rows of a sound run that fits, stored under `number`: readers see
 * all of them or none. */
void tail_add(struct tail *t, struct slice run, uint64_t number);
/* The growing part is frozen, and an empty one grows. Only if none is. */
void tail_freeze(struct tail *t);
bool tail_is_empty(const struct tail *t);
bool tail_is_frozen(const struct tail *t);

/* ---- the frozen part ---- */

/* Its rows in order of their keys, of each the last. False: `fn` stopped. */
bool tail_walk_frozen(const struct tail *t, tail_row_fn *fn, void *ctx);
/* The numbers of its runs; borrowed. */
const uint64_t *tail_frozen_runs(const struct tail *t, size_t *n);
/* It is in files now, and in front of no reader any more. */
void tail_drop_frozen(struct tail *t);

/* ---- reading ---- */

/* Between these two the tail does not change, and no rows leave it: who opens
 * an iterator over the files meanwhile misses none. `now`: without waiting,
 * ERR_BUSY. Not twice on one thread. */
MUST_USE enum err tail_read_begin(struct tail *t, bool now);
void tail_read_end(struct tail *t);

enum tail_found {
    TAIL_NOTHING, /* ask the files */
    TAIL_GONE,
    TAIL_ROW
};
/* `value` is borrowed until tail_read_end(). */
enum tail_found tail_find(const struct tail *t, struct slice key,
                          struct slice *value);

/* Copies of rows, in order of their keys, of each key the last. */
struct tail_rows {
    struct buf bytes;
    struct tail_row_at {
        size_t at; /* in bytes: key, then value */
        uint8_t key_len;
        uint8_t value_len;
    } * at;
    size_t n;
    size_t room;
};
#define TAIL_ROWS_INIT                                                         \
    {                                                                          \
        .bytes = BUF_INIT                                                      \
    }

/* Those of one subject; `prefix` is what their keys begin with. At most `max`
 * rows are looked at, older and deleted ones among them: else false. */
bool tail_of_subject(const struct tail *t, struct slice prefix, size_t max,
                     struct tail_rows *out);
struct slice tail_row_key(const struct tail_rows *rows, size_t i);
/* 0 bytes: it is gone. */
struct slice tail_row_value(const struct tail_rows *rows, size_t i);
void tail_rows_fini(struct tail_rows *rows);

/* Order of keys in the files. */
int tail_key_cmp(struct slice a, struct slice b);

#endif
