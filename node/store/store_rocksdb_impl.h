/* store_rocksdb_impl.h - what the parts of the embedded backend share. Private
 * to store/.
 *
 *   store_rocksdb.c       families and their keys, batches, reads
 *   store_rocksdb_runs.c  rows of the index on their way into files */
#ifndef STORE_ROCKSDB_IMPL_H
#define STORE_ROCKSDB_IMPL_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "store/store_backend.h"
#include "store/tail.h"

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
    /* Of one subject's list rows; `now` as above. */
    rocksdb_readoptions_t *subject;
    rocksdb_readoptions_t *subject_now;
    rocksdb_writeoptions_t *synced;
    struct runs runs;
};

/* Takes RocksDB's text, which names the file. */
enum err rdb_error(char *text, struct errmsg *why);

/* What the tail may take of a write buffer of that size. */
size_t runs_memory(uint64_t write_buffer_bytes);
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

#endif
