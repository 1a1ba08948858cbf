/* impl.h - what the parts of the embedded backend share. Private
 * to store/.
 *
 *   rocksdb.c       families and their keys, batches, reads
 *   runs.c  rows of the index on their way into files
 *   absent.c  which rows no file has */
#ifndef STORE_ROCKSDB_IMPL_H
#define STORE_ROCKSDB_IMPL_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "store/rocksdb/seen.h"
#include "store/rocksdb/tail.h"
#include "store/store_backend.h"

/* The last one is new: what an earlier build left does not have it. */
enum family {
    FAMILY_META,
    FAMILY_BLOCKS,
    FAMILY_TREE,
    FAMILY_INDEX,
    FAMILY_RUNS,
    FAMILIES,
};

/* Rows of the index that are in no file yet, and who makes one of them. */
struct runs {
    struct tail *tail;
    uint64_t next; /* writer: number of the next run */
    size_t left;   /* opening: what the runs that were left cost in the tail */
    bool aside;    /* files are made beside commits, not between two */
    /* Writer: who makes a file of the frozen part, one thread each time. */
    pthread_t thread;
    bool started;           /* and not joined */
    enum err err;           /* how it ended; once it is joined */
    struct errmsg why;      /* the same */
    bool of_db;             /* the same: the error is the database's */
    _Atomic bool done;      /* it has ended */
    _Atomic bool stop;      /* it is to end */
    pthread_mutex_t moving; /* rows are in a file, and their runs still there */
    pthread_mutex_t writing; /* a commit, or files being taken in; inner */
    /* writing: a write failed. RocksDB takes none any more, and if it were
     * given a file then, 7.8 would fail an assertion. */
    bool refused;
};

/* Of the indexes there may be: one that is read and one that is made. */
enum { GENERATIONS = 2 };

/* In the length of a subject in a key: the row is about a list. */
enum { LIST_ROW = 0x80 };

struct absent {
    pthread_mutex_t lock; /* of the sets, for who reads beside the writer */
    struct absent_of {
        struct seen *keys;
        bool whole;      /* every row that is in a file is in `keys` */
        bool unread;     /* writer: it will not be whole any more */
        struct buf next; /* writer: key where to read on; empty: none yet */
        size_t owed;     /* writer: rows to be read for those written */
    } of[GENERATIONS];
    size_t pages_bytes; /* for pages and sets */
    size_t sets_bytes;
};

struct rdb {
    rocksdb_t *db;
    bool damaged;  /* opened for what can still be read */
    bool readonly; /* takes no commits */
    char *path;
    rocksdb_options_t *options;
    rocksdb_options_t *family_options[FAMILIES];
    rocksdb_options_t *young_options; /* of files made of the tail */
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *family[FAMILIES]; /* NULL: not there */
    rocksdb_readoptions_t *point;
    rocksdb_readoptions_t *bulk;
    rocksdb_readoptions_t *now; /* never touches the disk */
    /* Of one subject's rows or list rows; `now` as above. */
    rocksdb_readoptions_t *subject;
    rocksdb_readoptions_t *subject_now;
    rocksdb_writeoptions_t *synced;
    struct runs runs;
    struct absent absent;
};

/* Takes RocksDB's text, which names the file. */
enum err rdb_error(char *text, struct errmsg *why);

/* What the tail may take of a write buffer of that size. */
size_t runs_memory(uint64_t write_buffer_bytes);
/* Of it, what becomes a file at once. */
size_t runs_file_memory(uint64_t write_buffer_bytes);
void runs_init(struct rdb *r, uint64_t write_buffer_bytes);
/* Lets who is at work end first. */
void runs_fini(struct rdb *r);
/* Reads the runs of an open database. ERR_CORRUPT. */
MUST_USE enum err runs_load(struct rdb *r, struct errmsg *why);
/* Before a commit of `run`: makes room, waits for the part before if need be.
 * An error: nothing was written; as of backend.commit. Writer. */
MUST_USE enum err runs_make_room(struct rdb *r, struct slice run,
                                 struct errmsg *why);
/* All rows into files, now. Errors as above. Writer. */
MUST_USE enum err runs_settle(struct rdb *r, struct errmsg *why);
/* Puts the run into the batch. Returns its number. */
uint64_t runs_put(struct rdb *r, rocksdb_writebatch_t *wb, struct slice run);

void absent_init(struct rdb *r, size_t pages_bytes);
void absent_fini(struct rdb *r);
/* Rows that will be committed, or that are in runs. Writer. */
void absent_add(struct rdb *r, struct slice run);
/* An index was dropped, in a commit with these rows. Writer. */
void absent_drop(struct rdb *r, uint8_t generation, struct slice run);
/* After a commit of these rows: reads some of the files, if they have not been
 * read to the end. Writer. */
void absent_read_on(struct rdb *r, struct slice run);
/* Between the first and the last: true if no file has a row of that key, nor
 * the tail one that becomes a file later. Not twice on one thread. */
void absent_ask_begin(struct rdb *r);
bool absent_ask(struct rdb *r, struct slice key);
void absent_ask_end(struct rdb *r);

#endif
