/* writer.c - one commit is one transaction
 * (docs/decisions/0011-mariadb-store.md). */
#include <mysqld_error.h>
#include <string.h>

#include "base/mem.h"
#include "store/mariadb/writer.h"

enum { ATTEMPTS = 3 }; /* of one commit */

struct mdb_writer {
    const struct store_conf *conf;
    struct mdb_owner owner; /* fd -1: not taken */
    struct mdb_conn *conn;  /* NULL: none now */
    struct mdb_target *writes_to;
};

/* First of all: whoever else moved the number holds its row until he is done,
 * and from then on it is another. */
static enum err move_serial(struct mdb_conn *c, uint64_t claim,
                            const struct mdb_intent *is, struct errmsg *why)
{
    uint8_t to[8];
    uint8_t from[8];
    uint64_t moved = 0;
    be_put64(to, is->serial);
    be_put64(from, is->serial - 1);
    const struct mdb_cell cells[] = {mdb_bytes(to, 8), mdb_num(META_SERIAL),
                                     mdb_bytes(from, 8), mdb_num(claim)};
    enum err err = is->moves
                       ? mdb_write(c, SQL_MOVE_SERIAL, cells, 1, &moved, why)
                       : ERR_OK;
    return err == ERR_OK && is->moves && moved != 1 ? backend_fenced(why) : err;
}

/* What a transaction begins with that moves no number: it, too, is before
 * another one's claim, or comes to nothing. */
static enum err move_claim(struct mdb_conn *c, uint64_t from, uint64_t to,
                           struct errmsg *why)
{
    uint64_t moved = 0;
    const struct mdb_cell cells[] = {mdb_num(to), mdb_num(META_SERIAL),
                                     mdb_num(from)};
    enum err err = mdb_write(c, SQL_MOVE_CLAIM, cells, 1, &moved, why);
    return err == ERR_OK && moved != 1 ? backend_fenced(why) : err;
}

/* Under a claim that nobody else can have: who was frozen here and wakes may
 * find another one's index in this generation. A COMMIT without an answer
 * leaves it open which claim stands there. */
static enum err drop_some(struct mdb_writer *w, enum mdb_sql sql,
                          uint8_t generation, uint64_t *gone,
                          struct errmsg *why)
{
    /* Rows begin with it, the rest has a column of it. */
    const uint8_t from = generation;
    const uint8_t to = (uint8_t)(generation + 1);
    const struct mdb_cell keys[] = {mdb_bytes(&from, 1), mdb_bytes(&to, 1)};
    const struct mdb_cell number = mdb_num(generation);
    uint64_t next = w->owner.claim + 1 != 0 ? w->owner.claim + 1 : 1;
    enum err err = move_claim(w->conn, w->owner.claim, next, why);
    if (err == ERR_OK) {
        err = mdb_write(w->conn, sql, sql == SQL_DROP_ROWS ? keys : &number, 1,
                        gone, why);
    }
    if (err == ERR_OK) {
        err = mdb_run(w->conn, "COMMIT", why);
        w->owner.claim = err == ERR_OK ? next : 0;
    }
    return err;
}

/* In small transactions: one large one would keep the server busy for minutes,
 * twice if it is rolled back. */
static enum err drop_all(struct mdb_writer *w, enum mdb_sql sql,
                         uint8_t generation, struct errmsg *why)
{
    enum err err = ERR_OK;
    for (uint64_t gone = 1; err == ERR_OK && gone > 0;) {
        err = drop_some(w, sql, generation, &gone, why);
    }
    return err;
}

/* Indexes that nobody reads. */
static enum err drop_indexes(struct mdb_writer *w, const struct mdb_intent *is,
                             struct errmsg *why)
{
    static const enum mdb_sql drops[] = {SQL_DROP_ROWS, SQL_DROP_LISTS,
                                         SQL_DROP_ISSUES};
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < is->drop_n * ARRAY_LEN(drops);
         i++) {
        err = drop_all(w, drops[i % ARRAY_LEN(drops)],
                       is->drop[i / ARRAY_LEN(drops)], why);
    }
    return err;
}

/* Everything but the COMMIT: until that is sent nothing can be there. */
static enum err fill(struct mdb_writer *w, const struct mdb_batch *b,
                     struct errmsg *why)
{
    const struct mdb_intent *is = mdb_batch_intent(b);
    enum err err = drop_indexes(w, is, why);
    if (err == ERR_OK) {
        err = move_serial(w->conn, w->owner.claim, is, why);
    }
    return err == ERR_OK ? mdb_batch_write(w->conn, b, why) : err;
}

/* First of all, when it is opened anew. */
static void try_next(struct mdb_writer *w)
{
    unsigned next = atomic_load(&w->writes_to->place) + 1;
    atomic_store(&w->writes_to->place, next % mdb_servers(&w->conf->mariadb));
}

static enum err open_writer(struct mdb_writer *w, struct errmsg *why)
{
    unsigned place = atomic_load(&w->writes_to->place);
    enum err err =
        mdb_open_at(&w->conn, &w->conf->mariadb, &mdb_store_sql, &place, why);
    if (err == ERR_OK && mdb_server(w->conn)->readonly) {
        err = err_set(why, ERR_NO_SPACE,
                      "database %s: the server is read-only: SET GLOBAL "
                      "read_only=0, or name the server that takes writes",
                      w->conf->mariadb.database);
    }
    /* Before anything is changed there: it may be another one's. */
    if (err == ERR_OK) {
        err = mdb_check_whose(w->conn, w->conf, why);
    }
    if (err == ERR_OK) {
        err = mdb_check_known(w->conn, w->conf->known,
                              w->owner.reopened ? ERR_UNAVAILABLE : ERR_CONF,
                              why);
    }
    if (err == ERR_OK) {
        err = mdb_claim(w->conn, &w->owner, &w->conf->mariadb, why);
    }
    if (err == ERR_OK) {
        atomic_store(&w->writes_to->place, place);
        atomic_store(&w->writes_to->id, mdb_server(w->conn)->id);
        w->owner.reopened = true;
    } else {
        mdb_shut(&w->conn);
        try_next(w);
    }
    return err;
}

static bool has_writer(struct mdb_writer *w, struct errmsg *why)
{
    if (w->owner.claim == 0) {
        mdb_shut(&w->conn); /* its claim is not known */
    }
    return w->conn != NULL || open_writer(w, why) == ERR_OK;
}

/* Who it was that took the database is asked when it is opened anew. */
static void roll_back(struct mdb_writer *w, enum err err)
{
    struct errmsg unused;
    if (mdb_run(w->conn, "ROLLBACK", &unused) != ERR_OK ||
        err == ERR_CONFLICT) {
        mdb_shut(&w->conn);
    }
}

/* `again`: certainly not written, and worth another attempt. */
static enum err attempt(struct mdb_writer *w, const struct mdb_batch *b,
                        bool *again, struct errmsg *why)
{
    *again = false;
    if (!has_writer(w, why)) {
        return ERR_UNCERTAIN; /* the store opens anew until it can read back */
    }
    enum err err = fill(w, b, why);
    bool filled = err == ERR_OK;
    if (filled) {
        err = mdb_run(w->conn, "COMMIT", why);
    }
    enum mdb_fault fault = err == ERR_OK ? FAULT_NONE : mdb_fault(w->conn);
    bool exists = !filled && mdb_errno(w->conn) == ER_DUP_ENTRY;
    /* At a COMMIT only this says for certain that nothing is there, and of a
     * cluster not even this: what was certified may be played again. */
    bool undone = !filled || (mdb_errno(w->conn) == ER_LOCK_DEADLOCK &&
                              !mdb_server(w->conn)->cluster);
    if (err == ERR_OK || err == ERR_CORRUPT) {
        return err;
    }
    if (fault == FAULT_LOST) {
        mdb_shut(&w->conn);
        try_next(w);
        *again = !filled;
        return ERR_UNCERTAIN;
    }
    roll_back(w, err);
    if (exists) { /* the only statement that says so: SQL_PUT_NEW_ROW */
        return ERR_EXISTS;
    }
    *again = (fault == FAULT_AGAIN || err == ERR_TIMEOUT) && undone;
    bool refused =
        fault == FAULT_FULL || fault == FAULT_READONLY || err == ERR_CONFLICT;
    return refused && undone ? ERR_NO_SPACE : ERR_UNCERTAIN;
}

enum err mdb_writer_commit(struct mdb_writer *w, struct mdb_batch *batch,
                           struct errmsg *why)
{
    bool again = true;
    enum err err = ERR_UNCERTAIN;
    if (w->owner.fd < 0) {
        return err_set(why, ERR_NO_SPACE, "database %s is open for reading",
                       w->conf->mariadb.database);
    }
    mdb_batch_close(batch);
    for (unsigned i = 0; again && i < ATTEMPTS; i++) {
        err = attempt(w, batch, &again, why);
    }
    return err;
}

struct mdb_writer *mdb_writer_new(const struct store_conf *conf,
                                  struct mdb_target *writes_to)
{
    struct mdb_writer *w = MEM_NEW(struct mdb_writer);
    w->conf = conf;
    w->owner.fd = -1;
    w->writes_to = writes_to;
    return w;
}

void mdb_writer_free(struct mdb_writer **writer)
{
    struct mdb_writer *w = *writer;
    *writer = NULL;
    mdb_shut(&w->conn);
    mdb_owner_drop(&w->owner);
    mem_free(w);
}

enum err mdb_writer_open(struct mdb_writer *w, const struct store_conf *now,
                         struct errmsg *why)
{
    mdb_shut(&w->conn);
    enum err err = w->owner.fd < 0 ? mdb_owner_take(&w->owner, now->path,
                                                    now->mariadb.shared, why)
                                   : ERR_OK;
    w->owner.instance = now->instance;
    w->owner.reopened = now->reopened;
    return err == ERR_OK ? open_writer(w, why) : err;
}

const char *mdb_writer_datadir(const struct mdb_writer *writer)
{
    return mdb_server(writer->conn)->datadir;
}
