#include <errno.h>
#include <fcntl.h>
#include <mysqld_error.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/mariadb/mariadb.h"

/* The lock that one connection holds while it writes; names are the server's,
 * so the database is in it. */
#define LOCK_NAME "CONCAT('creditnode.',MD5(DATABASE()))"

enum {
    SQL_MAX = 512,
    NUMBER_MAX = 32,
    PATH_MAX_LEN = 4096,
    HEX_LEN = 33,
    CLAIM_TRIES = 3
};

/* ---- tables ---- */

#define TABLE_END ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"

/* Version N is what the first N groups make. A statement may run twice: what a
 * stop interrupted is begun again. */
static const char *const version_1[] = {
    "CREATE TABLE IF NOT EXISTS cn_owner(id TINYINT UNSIGNED NOT NULL PRIMARY "
    "KEY, folder BINARY(16) NOT NULL, host VARCHAR(255) NOT NULL, connection "
    "BIGINT UNSIGNED NOT NULL" TABLE_END,
    "CREATE TABLE IF NOT EXISTS cn_meta(k TINYINT UNSIGNED NOT NULL PRIMARY "
    "KEY, v VARBINARY(4096) NOT NULL" TABLE_END,
    "CREATE TABLE IF NOT EXISTS cn_part(part TINYINT UNSIGNED NOT NULL, log "
    "INT UNSIGNED NOT NULL, v MEDIUMBLOB NOT NULL, PRIMARY KEY(part, "
    "log)" TABLE_END,
    "CREATE TABLE IF NOT EXISTS cn_block(log INT UNSIGNED NOT NULL, first "
    "BIGINT UNSIGNED NOT NULL, v MEDIUMBLOB NOT NULL, PRIMARY KEY(log, "
    "first)" TABLE_END,
    "CREATE TABLE IF NOT EXISTS cn_node(log INT UNSIGNED NOT NULL, level "
    "TINYINT UNSIGNED NOT NULL, idx BIGINT UNSIGNED NOT NULL, hash BINARY(32) "
    "NOT NULL, PRIMARY KEY(log, level, idx)" TABLE_END,
    "CREATE TABLE IF NOT EXISTS cn_list(generation TINYINT UNSIGNED NOT NULL, "
    "subject VARBINARY(64) NOT NULL, log INT UNSIGNED NOT NULL, number BIGINT "
    "UNSIGNED NOT NULL, type TINYINT UNSIGNED NOT NULL, list SMALLINT UNSIGNED "
    "NOT NULL, decided INT UNSIGNED NOT NULL, valid_from INT UNSIGNED NOT "
    "NULL, valid_until INT UNSIGNED NOT NULL, target_origin BIGINT UNSIGNED "
    "NOT NULL, target_incarnation BIGINT UNSIGNED NOT NULL, target_number "
    "BIGINT UNSIGNED NOT NULL, PRIMARY KEY(generation, subject, log, "
    "number)" TABLE_END,
    "CREATE TABLE IF NOT EXISTS cn_issue(generation TINYINT UNSIGNED NOT NULL, "
    "log INT UNSIGNED NOT NULL, number BIGINT UNSIGNED NOT NULL, reason "
    "TINYINT UNSIGNED NOT NULL, PRIMARY KEY(generation, log, number)" TABLE_END,
    "CREATE TABLE IF NOT EXISTS cn_salvage(seq BIGINT UNSIGNED NOT NULL "
    "PRIMARY KEY, v MEDIUMBLOB NOT NULL" TABLE_END,
    /* META_SERIAL: the first commit, too, is a move from a known number. */
    "INSERT IGNORE INTO cn_meta(k,v) VALUES(2,REPEAT(CHAR(0),8))",
    "COMMIT",
    NULL,
};
static const char *const version_2[] = {
    "CREATE TABLE IF NOT EXISTS cn_source(name BINARY(16) NOT NULL PRIMARY "
    "KEY, v VARBINARY(64) NOT NULL" TABLE_END,
    NULL,
};
/* Nobody knows the claim before. */
static const char *const version_3[] = {
    "ALTER TABLE cn_meta ADD COLUMN IF NOT EXISTS claim BIGINT UNSIGNED NOT "
    "NULL DEFAULT 0",
    "ALTER TABLE cn_owner ADD COLUMN IF NOT EXISTS instance BIGINT UNSIGNED "
    "NOT NULL DEFAULT 0",
    "UPDATE cn_meta SET claim=0",
    "COMMIT",
    NULL,
};
/* Which commit wrote a row: for who follows them (mdb_changes()). */
static const char *const version_4[] = {
    "ALTER TABLE cn_part ADD COLUMN IF NOT EXISTS serial BIGINT UNSIGNED NOT "
    "NULL DEFAULT 0",
    "ALTER TABLE cn_part ADD INDEX IF NOT EXISTS serial(serial)",
    NULL,
};
/* Rows of the index in two columns (index.h). What another
 * process began to write before comes to nothing: nobody has this claim. */
static const char *const version_5[] = {
    "CREATE TABLE IF NOT EXISTS cn_index(k VARBINARY(96) NOT NULL PRIMARY KEY, "
    "v VARBINARY(64) NOT NULL" TABLE_END,
    "UPDATE cn_meta SET claim=0",
    "COMMIT",
    NULL,
};

#define OLDEST_ROWS                                                            \
    " FROM cn_row ORDER BY generation,subject,record_key,origin LIMIT 5000"
static const char copy_rows[] =
    "INSERT INTO cn_index(k,v) SELECT CONCAT(CHAR(generation),"
    "CHAR(LENGTH(subject)),subject,record_key,UNHEX(LPAD(HEX(origin),16,'0'))),"
    "CONCAT(UNHEX(CONCAT(LPAD(HEX(log),8,'0'),LPAD(HEX(number),16,'0'),"
    "LPAD(HEX(version),8,'0'),LPAD(HEX(item),4,'0'),LPAD(HEX(status),2,'0'),"
    "LPAD(HEX(disclosure),2,'0'),LPAD(HEX(moved),2,'0'),"
    "LPAD(HEX(decided),8,'0'),LPAD(HEX(valid_until),8,'0'),"
    "LPAD(HEX(publish_until),8,'0'))),digest)" OLDEST_ROWS;

static enum err write_version(struct mdb_conn *c, unsigned long version,
                              struct errmsg *why)
{
    char sql[SQL_MAX];
    (void)snprintf(sql, sizeof sql,
                   "REPLACE INTO cn_schema(id,version) VALUES(1,%lu)", version);
    enum err err = mdb_run(c, sql, why);
    return err == ERR_OK ? mdb_run(c, "COMMIT", why) : err;
}

/* Beside the version that rows are moved from. Earlier builds refuse that as a
 * later one: they would not find what was moved. */
enum { MOVING = 100 };

/* Those of cn_row, which version 4 has, in transactions that are none too
 * large: where one is interrupted, the next start goes on (`begun`). Before,
 * cn_index has nothing, or what is of a time that is gone: a database to which
 * a dump from before was put back keeps the tables that the dump does not name.
 */
static enum err move_rows(struct mdb_conn *c, bool begun, struct errmsg *why)
{
    char some[NUMBER_MAX];
    enum err err =
        mdb_ask(c, "SELECT 1 FROM cn_row LIMIT 1", some, sizeof some, why);
    uint64_t moved = 1;
    if (err == ERR_OK && !begun) {
        err = mdb_run(c, "TRUNCATE TABLE cn_index", why);
        if (err == ERR_OK) {
            err = write_version(c, MOVING + 4, why);
        }
    }
    while (err == ERR_OK && moved > 0) {
        err = mdb_run(c, copy_rows, why);
        if (err == ERR_OK) {
            err = mdb_run(c, "DELETE" OLDEST_ROWS, why);
            moved = mdb_changed(c);
        }
        if (err == ERR_OK) {
            err = mdb_run(c, "COMMIT", why);
        }
    }
    if (err != ERR_OK && mdb_errno(c) == ER_NO_SUCH_TABLE) {
        return ERR_OK;
    }
    return err == ERR_OK ? mdb_run(c, "DROP TABLE cn_row", why) : err;
}

/* `then`: what is no single statement; NULL: nothing. */
static const struct {
    const char *const *steps;
    enum err (*then)(struct mdb_conn *c, bool begun, struct errmsg *why);
} versions[] = {
    {version_1, NULL}, {version_2, NULL},      {version_3, NULL},
    {version_4, NULL}, {version_5, move_rows},
};

enum { SCHEMA = ARRAY_LEN(versions) };

/* 0: there are no tables. */
static enum err read_version(struct mdb_conn *c, unsigned long *out,
                             struct errmsg *why)
{
    char text[NUMBER_MAX];
    enum err err = mdb_ask(c, "SELECT version FROM cn_schema WHERE id=1", text,
                           sizeof text, why);
    *out = strtoul(text, NULL, 10);
    return err != ERR_OK && mdb_errno(c) == ER_NO_SUCH_TABLE ? ERR_OK : err;
}

/* Rows are on their way to another version: `version` is the one before. */
static bool take_moving(unsigned long *version)
{
    bool moving = *version > MOVING && *version < MOVING + SCHEMA;
    *version -= moving ? MOVING : 0;
    return moving;
}

static enum err refuse_newer(unsigned long version, struct errmsg *why)
{
    return err_set(why, ERR_CONF,
                   "the tables in the database are of version %lu, this build "
                   "knows %d: install the build that made them, or a later one",
                   version, (int)SCHEMA);
}

enum err mdb_check_schema(struct mdb_conn *c, struct errmsg *why)
{
    unsigned long version = 0;
    enum err err = read_version(c, &version, why);
    if (err != ERR_OK || version == SCHEMA) {
        return err;
    }
    (void)take_moving(&version);
    return version > SCHEMA
               ? refuse_newer(version, why)
               : err_set(why, ERR_NOT_FOUND,
                         "the tables in the database are of version %lu, not "
                         "%d: a process that writes makes them so when it "
                         "starts; one of an earlier build that writes now has "
                         "to be stopped",
                         version, (int)SCHEMA);
}

/* A server of a cluster has it when it has played what was committed elsewhere:
 * that is waited for. */
static enum err ask_serial(struct mdb_conn *c, uint64_t *out,
                           struct errmsg *why)
{
    char sql[SQL_MAX];
    char text[NUMBER_MAX] = "";
    bool cluster = mdb_server(c)->cluster;
    enum err err =
        cluster ? mdb_run(c, "SET SESSION wsrep_sync_wait=1", why) : ERR_OK;
    if (err == ERR_OK) {
        (void)snprintf(sql, sizeof sql,
                       "SELECT CONV(HEX(v),16,10) FROM cn_meta WHERE k=%d",
                       (int)META_SERIAL);
        err = mdb_ask(c, sql, text, sizeof text, why);
        err = err != ERR_OK && mdb_errno(c) == ER_NO_SUCH_TABLE ? ERR_OK : err;
    }
    if (err == ERR_OK && cluster) {
        err = mdb_run(c, "SET SESSION wsrep_sync_wait=DEFAULT", why);
    }
    *out = strtoull(text, NULL, 10);
    return err;
}

enum err mdb_check_known(struct mdb_conn *c, const _Atomic uint64_t *known,
                         enum err lacks, struct errmsg *why)
{
    uint64_t want = known != NULL ? atomic_load(known) : 0;
    uint64_t found = 0;
    enum err err = want > 0 ? ask_serial(c, &found, why) : ERR_OK;
    return err == ERR_OK && found < want
               ? backend_lacks(want - found, lacks, why)
               : err;
}

static bool take_value(void *ctx, const struct mdb_cell *columns)
{
    struct buf *out = ctx;
    buf_put_slice(out, columns[0].b);
    return false;
}

/* Of tables of any version. */
static enum err ask_identity(struct mdb_conn *c, struct buf *out,
                             struct errmsg *why)
{
    const struct mdb_cell key = {.n = META_IDENTITY};
    size_t seen = 0;
    enum err err = mdb_select(c, SQL_META, &key, take_value, out, &seen, why);
    return err != ERR_OK && mdb_errno(c) == ER_NO_SUCH_TABLE ? ERR_OK : err;
}

enum err mdb_check_whose(struct mdb_conn *c, const struct store_conf *conf,
                         struct errmsg *why)
{
    struct buf identity = BUF_INIT;
    enum err err =
        conf->recognise != NULL ? ask_identity(c, &identity, why) : ERR_OK;
    if (err == ERR_OK && identity.len > 0) {
        err = conf->recognise(conf->recognise_ctx, buf_slice(&identity), why);
    }
    buf_fini(&identity);
    return err;
}

static enum err make_version(struct mdb_conn *c, unsigned long version,
                             bool begun, struct errmsg *why)
{
    const char *const *step = versions[version - 1].steps;
    enum err err = ERR_OK;
    for (; err == ERR_OK && *step != NULL; step++) {
        err = mdb_run(c, *step, why);
    }
    if (err == ERR_OK && versions[version - 1].then != NULL) {
        err = versions[version - 1].then(c, begun, why);
    }
    return err == ERR_OK ? write_version(c, version, why) : err;
}

static enum err make_tables(struct mdb_conn *c, struct errmsg *why)
{
    unsigned long version = 0;
    enum err err = read_version(c, &version, why);
    if (err != ERR_OK || version == SCHEMA) {
        return err;
    }
    bool begun = take_moving(&version);
    if (version > SCHEMA) {
        return refuse_newer(version, why);
    }
    err = mdb_run(c,
                  "CREATE TABLE IF NOT EXISTS cn_schema(id TINYINT UNSIGNED "
                  "NOT NULL PRIMARY KEY, version INT UNSIGNED NOT "
                  "NULL" TABLE_END,
                  why);
    for (; err == ERR_OK && version < SCHEMA; version++) {
        err = make_version(c, version + 1, begun, why);
        begun = false;
    }
    return err;
}

/* ---- the folder ---- */

static void hex_of(const uint8_t id[16], char out[HEX_LEN])
{
    for (size_t i = 0; i < 16; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", id[i]);
    }
}

/* Made with the folder, kept as long as it. */
static enum err folder_id(const char *path, uint8_t id[16], struct errmsg *why)
{
    char file[PATH_MAX_LEN];
    struct buf value = BUF_INIT;
    (void)snprintf(file, sizeof file, "%s/FOLDER", path);
    enum err err = file_read(file, 16, &value, why);
    if (err == ERR_NOT_FOUND) {
        suite_random(id, 16);
        err = file_replace(file, slice_of(id, 16), 0600, why);
    } else if (err == ERR_OK && value.len != 16) {
        err = err_set(why, ERR_CORRUPT, "%s: %zu bytes instead of 16", file,
                      value.len);
    } else if (err == ERR_OK) {
        memcpy(id, value.data, 16);
    }
    buf_fini(&value);
    return err;
}

/* Who only asks whether the folder is in use (folder_in_use()) has the lock for
 * a moment. */
static bool lock_folder(int fd, bool shared)
{
    enum { TRIES = 10, PAUSE_MS = 20 };
    bool locked = false;
    for (int i = 0; i < TRIES && !locked; i++) {
        if (i > 0) {
            clock_sleep(PAUSE_MS);
        }
        locked = flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0;
    }
    return locked;
}

enum err mdb_owner_take(struct mdb_owner *owner, const char *path, bool shared,
                        struct errmsg *why)
{
    char file[PATH_MAX_LEN];
    *owner = (struct mdb_owner){.fd = -1};
    enum err err = file_make_dirs(path, why);
    if (err == ERR_OK) {
        err = backend_refuse_other(path, "CURRENT", "embedded", why);
    }
    if (err != ERR_OK) {
        return err;
    }
    (void)snprintf(file, sizeof file, "%s/LOCK", path);
    owner->fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (owner->fd < 0) {
        return err_set(why, err_from_errno(errno), "%s: %s", file,
                       strerror(errno));
    }
    err = !lock_folder(owner->fd, shared)
              ? err_set(why, ERR_BUSY,
                        "store %s is open in another process: stop that one, "
                        "or give this node a folder of its own (or each "
                        "process of one node a node.process)",
                        path)
              : folder_id(path, owner->folder, why);
    if (err != ERR_OK) {
        mdb_owner_drop(owner);
    }
    return err;
}

void mdb_owner_drop(struct mdb_owner *owner)
{
    if (owner->fd >= 0) {
        (void)close(owner->fd);
        owner->fd = -1;
    }
}

/* ---- the right to write ---- */

/* What the database says of who wrote last; "" where there is nothing. */
struct last_owner {
    char folder[HEX_LEN];
    char host[64];
    char connection[NUMBER_MAX];
};

static enum err read_owner(struct mdb_conn *c, struct last_owner *out,
                           struct errmsg *why)
{
    *out = (struct last_owner){.folder = ""};
    enum err err =
        mdb_ask(c, "SELECT LOWER(HEX(folder)) FROM cn_owner WHERE id=1",
                out->folder, sizeof out->folder, why);
    if (err != ERR_OK && mdb_errno(c) == ER_NO_SUCH_TABLE) {
        return ERR_OK;
    }
    if (err == ERR_OK) {
        err = mdb_ask(c, "SELECT host FROM cn_owner WHERE id=1", out->host,
                      sizeof out->host, why);
    }
    if (err == ERR_OK) {
        err = mdb_ask(c, "SELECT connection FROM cn_owner WHERE id=1",
                      out->connection, sizeof out->connection, why);
    }
    return err;
}

/* An older connection of this folder may still be at work, or be lost to this
 * side only: as long as it lives it may commit. This folder's lock says that
 * nobody else uses it. */
static enum err end_older(struct mdb_conn *c, const struct last_owner *last,
                          struct errmsg *why)
{
    char sql[SQL_MAX];
    char holder[NUMBER_MAX];
    enum err err = mdb_ask(c, "SELECT IS_USED_LOCK(" LOCK_NAME ")", holder,
                           sizeof holder, why);
    if (err != ERR_OK || holder[0] == 0 ||
        strcmp(holder, last->connection) != 0) {
        return err;
    }
    (void)snprintf(sql, sizeof sql, "KILL CONNECTION %s", holder);
    err = mdb_run(c, sql, why);
    return err != ERR_OK && mdb_errno(c) == ER_NO_SUCH_THREAD ? ERR_OK : err;
}

static enum err take_lock(struct mdb_conn *c,
                          const struct store_mariadb_conf *conf,
                          struct errmsg *why)
{
    char sql[SQL_MAX];
    char got[NUMBER_MAX];
    char holder[NUMBER_MAX];
    (void)snprintf(sql, sizeof sql, "SELECT GET_LOCK(" LOCK_NAME ",%u)",
                   (conf->connect_ms + 999) / 1000);
    enum err err = mdb_ask(c, sql, got, sizeof got, why);
    if (err != ERR_OK || strcmp(got, "1") == 0) {
        return err;
    }
    err = mdb_ask(c, "SELECT IS_USED_LOCK(" LOCK_NAME ")", holder,
                  sizeof holder, why);
    return err != ERR_OK
               ? err
               : err_set(why, ERR_BUSY,
                         "database %s is open in another process (connection "
                         "%s of the server): stop that one, or KILL the "
                         "connection",
                         conf->database, holder);
}

static enum err write_owner(struct mdb_conn *c, const char *folder,
                            const struct mdb_owner *owner, struct errmsg *why)
{
    char sql[SQL_MAX];
    char host[65] = "";
    (void)gethostname(host, sizeof host - 1);
    for (char *p = host; *p != 0; p++) {
        if (*p == '\'' || *p == '\\') {
            *p = '_';
        }
    }
    (void)snprintf(sql, sizeof sql,
                   "REPLACE INTO cn_owner(id,folder,host,connection,instance) "
                   "VALUES(1,UNHEX('%s'),'%s',CONNECTION_ID(),%llu)",
                   folder, host, (unsigned long long)owner->instance);
    return mdb_run(c, sql, why);
}

static enum err check_folder(struct mdb_conn *c, const char *folder,
                             const struct store_mariadb_conf *conf,
                             struct last_owner *last, struct errmsg *why)
{
    enum err err = read_owner(c, last, why);
    return err != ERR_OK || last->folder[0] == 0 ||
                   strcmp(last->folder, folder) == 0
               ? err
               : err_set(why, ERR_BUSY,
                         "database %s belongs to another process's data folder "
                         "(on %s): stop that node for good and DELETE FROM "
                         "cn_owner, or name another database",
                         conf->database, last->host);
}

/* A copy of the folder may have gone to work, on another machine. What this
 * store has in memory is not what is in the database then. */
static enum err check_instance(struct mdb_conn *c,
                               const struct mdb_owner *owner,
                               const struct last_owner *last,
                               struct errmsg *why)
{
    char instance[NUMBER_MAX];
    enum err err = mdb_ask(c, "SELECT instance FROM cn_owner WHERE id=1",
                           instance, sizeof instance, why);
    return err != ERR_OK || !owner->reopened || instance[0] == 0 ||
                   strtoull(instance, NULL, 10) == owner->instance
               ? err
               : err_set(why, ERR_CONFLICT,
                         "another process of this node (on %s) has taken the "
                         "database: stop one of them for good, and start the "
                         "other again",
                         last->host);
}

/* Every commit begins with the row that this changes (SQL_MOVE_SERIAL), and
 * names the claim under which it was begun. So one that is under way on another
 * connection, or another server of a cluster, either is done before this, or
 * never. */
static enum err fence(struct mdb_conn *c, const char *folder,
                      const struct mdb_owner *owner,
                      const struct store_mariadb_conf *conf, struct errmsg *why)
{
    char sql[SQL_MAX];
    struct last_owner last;
    (void)snprintf(sql, sizeof sql, "UPDATE cn_meta SET claim=%llu WHERE k=%d",
                   (unsigned long long)owner->claim, (int)META_SERIAL);
    enum err err = mdb_run(c, sql, why);
    if (err == ERR_OK) {
        err = check_folder(c, folder, conf, &last, why);
    }
    if (err == ERR_OK) {
        err = check_instance(c, owner, &last, why);
    }
    if (err == ERR_OK) {
        err = write_owner(c, folder, owner, why);
    }
    return err == ERR_OK ? mdb_run(c, "COMMIT", why) : err;
}

enum err mdb_claim(struct mdb_conn *c, struct mdb_owner *owner,
                   const struct store_mariadb_conf *conf, struct errmsg *why)
{
    char folder[HEX_LEN];
    struct last_owner last;
    hex_of(owner->folder, folder);
    enum err err = mdb_run(c, "SET autocommit=0", why);
    if (err == ERR_OK) {
        err = check_folder(c, folder, conf, &last, why);
    }
    /* Before what would disturb the other: one that was frozen and wakes. */
    if (err == ERR_OK && owner->reopened) {
        err = check_instance(c, owner, &last, why);
    }
    /* The locks of a server are its own: a cluster has only the fence. */
    bool alone = !mdb_server(c)->cluster;
    if (err == ERR_OK && alone && last.folder[0] != 0) {
        err = end_older(c, &last, why);
    }
    if (err == ERR_OK && alone) {
        err = take_lock(c, conf, why);
    }
    if (err == ERR_OK) {
        err = make_tables(c, why);
    }
    suite_random(&owner->claim, sizeof owner->claim);
    bool again = err == ERR_OK;
    for (int i = 0; again && i < CLAIM_TRIES; i++) {
        err = fence(c, folder, owner, conf, why);
        /* A commit of the older connection came first; it was rolled back. */
        again = err != ERR_OK && mdb_fault(c) == FAULT_AGAIN;
    }
    return err;
}
