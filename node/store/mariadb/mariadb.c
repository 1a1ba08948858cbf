/* mariadb.c - the backend on a MariaDB server
 * (docs/decisions/0011-mariadb-store.md). */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/mariadb/read.h"
#include "store/mariadb/writer.h"

enum { SIZE_EVERY_MS = 60000 }; /* how often the size is asked */

struct mdb {
    struct store_conf conf; /* as it was first opened; but for its path */
    struct mdb_target writes_to;
    struct mdb_writer *writer;
    struct mdb_pool *pool;
    char datadir[256];  /* of the server, before: */
    _Atomic bool local; /* its disk can be asked here; stays so */
    _Atomic uint64_t disk_bytes;
    int64_t sized_at_ms; /* writer */
};

struct mdb_pool *mdb_pool_of(void *db)
{
    struct mdb *m = db;
    return m->pool;
}

/* ---- room ---- */

/* Through its socket: then the server's disk is a disk of this machine. Once:
 * a socket is one server's. */
static void find_disk(struct mdb *m)
{
    struct statvfs fs;
    const char *datadir = mdb_writer_datadir(m->writer);
    if (!atomic_load(&m->local) && datadir[0] != 0 &&
        statvfs(datadir, &fs) == 0) {
        memcpy(m->datadir, datadir, sizeof m->datadir);
        atomic_store(&m->local, true);
    }
}

static enum err mdb_space(void *db, const struct store_conf *conf,
                          uint64_t *free_bytes, bool *readonly)
{
    const struct mdb *m = db;
    struct statvfs fs;
    (void)conf;
    *readonly = false; /* a commit or the next open tells */
    *free_bytes = INT64_MAX;
    if (m == NULL || !atomic_load(&m->local)) {
        return ERR_OK;
    }
    if (statvfs(m->datadir, &fs) != 0) {
        return err_from_errno(errno);
    }
    *free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return ERR_OK;
}

static bool take_number(void *ctx, const struct mdb_cell *columns)
{
    *(uint64_t *)ctx = columns[0].n;
    return false;
}

/* On the writer's thread; nobody waits for a size. */
static void ask_size(struct mdb *m)
{
    uint64_t n = 0;
    struct errmsg why;
    m->sized_at_ms = clock_mono_ms();
    if (mdb_read(m->pool, SQL_DISK_BYTES, NULL, take_number, &n, &why) ==
        ERR_OK) {
        atomic_store(&m->disk_bytes, n);
    }
}

static uint64_t mdb_disk_bytes(void *db)
{
    struct mdb *m = db;
    return atomic_load(&m->disk_bytes);
}

/* ---- open, close, commit ---- */

static void mdb_close(void *db)
{
    struct mdb *m = db;
    mdb_pool_free(&m->pool);
    mdb_writer_free(&m->writer);
    mem_free(m);
}

static enum err open_reading(struct mdb *m, struct errmsg *why)
{
    struct mdb_conn *c;
    enum err err = mdb_open(&c, &m->conf.mariadb, &mdb_store_sql, why);
    if (err == ERR_OK) {
        err = mdb_check_schema(c, why);
    }
    mdb_shut(&c);
    return err;
}

static enum err open_writing(struct mdb *m, const struct store_conf *conf,
                             struct errmsg *why)
{
    enum err err = mdb_writer_open(m->writer, conf, why);
    if (err == ERR_OK) {
        find_disk(m);
        ask_size(m);
    }
    return err;
}

static enum err mdb_backend_open(void **db, const struct store_conf *conf,
                                 bool readonly, struct errmsg *why)
{
    struct errmsg cause;
    struct mdb *m = MEM_NEW(struct mdb);
    m->conf = *conf;
    m->writer = mdb_writer_new(&m->conf, &m->writes_to);
    m->pool = mdb_pool_new(&m->conf.mariadb, &m->writes_to, m->conf.known);
    enum err err =
        readonly ? open_reading(m, &cause) : open_writing(m, conf, &cause);
    if (err != ERR_OK) {
        mdb_close(m);
        return err_set(why, err, "%s", cause.text);
    }
    *db = m;
    return ERR_OK;
}

static enum err mdb_renew(void *db, const struct store_conf *conf,
                          struct errmsg *why)
{
    struct mdb *m = db;
    mdb_pool_drop_idle(m->pool);
    return open_writing(m, conf, why);
}

static enum err mdb_commit(void *db, void *batch, struct errmsg *why)
{
    struct mdb *m = db;
    enum err err = mdb_writer_commit(m->writer, batch, why);
    if (err == ERR_OK && clock_mono_ms() - m->sized_at_ms > SIZE_EVERY_MS) {
        ask_size(m);
    }
    return err;
}

const struct backend store_mariadb = {
    .name = "mariadb",
    .open = mdb_backend_open,
    .close = mdb_close,
    .renew = mdb_renew,
    .check = mdb_check,
    .space = mdb_space,
    .disk_bytes = mdb_disk_bytes,
    .distant = true,
    .batch_new = mdb_batch_new,
    .batch_free = mdb_batch_free,
    .batch_count = mdb_batch_count,
    .put_block = mdb_put_block,
    .put_node = mdb_put_node,
    .cut_log = mdb_cut_log,
    .put_part = mdb_put_part,
    .put_meta = mdb_put_meta,
    .put_row = mdb_put_row,
    .put_new_row = mdb_put_new_row,
    .del_row = mdb_del_row,
    .put_list_row = mdb_put_list_row,
    .del_list_row = mdb_del_list_row,
    .put_issue = mdb_put_issue,
    .del_issue = mdb_del_issue,
    .drop_index = mdb_drop_index,
    .put_salvage = mdb_put_salvage,
    .del_salvage = mdb_del_salvage,
    .put_source = mdb_put_source,
    .commit = mdb_commit,
    .blocks = mdb_blocks,
    .blocks_at = mdb_blocks_at,
    .node = mdb_node,
    .rows = mdb_rows,
    .rows_of = mdb_rows_of,
    .list_rows = mdb_list_rows,
    .part = mdb_part,
    .parts = mdb_parts,
    .changes = mdb_changes,
    .meta = mdb_meta,
    .issues = mdb_issues,
    .salvage = mdb_salvage,
    .source = mdb_source,
    .sources = mdb_sources,
};
