#include "store/lease.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/lease_news.h"
#include "store/lease_step.h"
#include "store/mdb.h"

enum {
    SQL_MAX = 1024,
    SETTLE_MS = 10,
    TELL_MAX = SQL_MAX + LEASE_TEXT_MAX,
    ANSWER_MS = 1000, /* at least; who does not answer within is left */
};

struct lease {
    struct lease_conf conf;
    struct store_mariadb_conf mariadb; /* with times of its own */
    uint64_t self;
    pthread_t thread;
    struct lease_machine m;   /* thread */
    struct mdb_conn *conn;    /* thread; NULL: none now */
    unsigned place;           /* thread: of its server */
    bool complained;          /* thread */
    int64_t look_at_ms;       /* thread: for silent servers */
    struct lease_marks marks; /* thread */
    uint64_t heard_term;      /* thread: what is in `heard` was told then */
    uint64_t heard_beat;      /* thread */
    _Atomic bool held;
    _Atomic bool yields; /* wish of lease_yield() */
    _Atomic int64_t until_ms;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;                                /* lock */
    struct lease_status shown;                /* lock */
    struct lease_head told[LEASE_HEADS_MAX];  /* lock */
    size_t told_n;                            /* lock */
    bool tells;                               /* lock: not told yet */
    struct lease_head heard[LEASE_HEADS_MAX]; /* lock */
    size_t heard_n;                           /* lock */
};

static const struct mdb_sql_set no_statements = {NULL, 0};

/* ---- the row ---- */

static enum err run(struct lease *l, const char *sql, struct errmsg *why)
{
    return mdb_query(l->conn, slice_str(sql), NULL, NULL, why);
}

/* Quoted text of what the configuration's checks let through. */
static void put_text(const char *text, char *out, size_t cap)
{
    size_t n = 0;
    for (; *text != 0 && n + 1 < cap; text++) {
        if (*text != '\'' && *text != '\\') {
            out[n++] = *text;
        }
    }
    out[n] = 0;
}

/* One row each, which is there before anybody reads it. */
static const char *const tables[] = {
    "CREATE TABLE IF NOT EXISTS cn_lease(id TINYINT UNSIGNED NOT NULL PRIMARY "
    "KEY, term BIGINT UNSIGNED NOT NULL, holder BIGINT UNSIGNED NOT NULL, beat "
    "BIGINT UNSIGNED NOT NULL, free TINYINT UNSIGNED NOT NULL, name "
    "VARCHAR(32) NOT NULL, address VARCHAR(263) NOT NULL) ENGINE=InnoDB "
    "DEFAULT CHARSET=utf8mb4",
    "INSERT IGNORE INTO cn_lease VALUES(1,0,0,0,1,'','')",
    "CREATE TABLE IF NOT EXISTS cn_heard(id TINYINT UNSIGNED NOT NULL PRIMARY "
    "KEY, term BIGINT UNSIGNED NOT NULL, beat BIGINT UNSIGNED NOT NULL, heads "
    "VARBINARY(4096) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    "INSERT IGNORE INTO cn_heard VALUES(1,0,0,'')",
};

/* A look sees all that was committed anywhere when it was sent: how old what
 * is told is follows from that. */
static enum err make_ready(struct lease *l, struct errmsg *why)
{
    enum err err = mdb_server(l->conn)->cluster
                       ? run(l, "SET SESSION wsrep_sync_wait=1", why)
                       : ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(tables); i++) {
        err = run(l, tables[i], why);
    }
    return err;
}

static enum err connect_lease(struct lease *l, struct errmsg *why)
{
    if (l->conn != NULL) {
        return ERR_OK;
    }
    enum err err =
        mdb_open_at(&l->conn, &l->mariadb, &no_statements, &l->place, why);
    if (err == ERR_OK) {
        err = make_ready(l, why);
    }
    if (err != ERR_OK) {
        mdb_shut(&l->conn);
        l->place++;
    }
    return err;
}

struct row_read {
    struct lease_row row;
    char name[LEASE_NAME_MAX];
    char address[LEASE_ADDRESS_MAX];
    uint64_t told_term;
    uint64_t told_beat;
    char told[LEASE_TEXT_MAX];
    bool found;
};

static bool take_text(struct slice cell, char *out, size_t cap)
{
    bool fits = cell.data != NULL && cell.len < cap;
    if (fits) {
        memcpy(out, cell.data, cell.len);
        out[cell.len] = 0;
    }
    return fits;
}

static bool on_row(void *ctx, const struct slice *cells, size_t n)
{
    struct row_read *r = ctx;
    uint64_t freed = 0;
    r->found = n == 9 && str_u64(cells[0], &r->row.term) &&
               str_u64(cells[1], &r->row.holder) &&
               str_u64(cells[2], &r->row.beat) && str_u64(cells[3], &freed) &&
               take_text(cells[4], r->name, sizeof r->name) &&
               take_text(cells[5], r->address, sizeof r->address) &&
               str_u64(cells[6], &r->told_term) &&
               str_u64(cells[7], &r->told_beat) &&
               take_text(cells[8], r->told, sizeof r->told);
    r->row.free = freed != 0;
    return false;
}

static void show(struct lease *l, const struct row_read *r)
{
    (void)pthread_mutex_lock(&l->lock);
    struct lease_status *st = &l->shown;
    st->known = r->row.term > 0;
    st->term = r->row.term;
    st->free = r->row.free;
    memcpy(st->name, r->name, sizeof st->name);
    memcpy(st->address, r->address, sizeof st->address);
    (void)pthread_mutex_unlock(&l->lock);
}

/* How old that is is known if it was told while this process looked on. */
static void hear(struct lease *l, const struct row_read *r)
{
    int64_t at_ms;
    lease_marks_look(&l->marks, r->row.term, r->row.beat, l->m.sent_ms);
    if ((r->told_term == l->heard_term && r->told_beat == l->heard_beat) ||
        !lease_marks_before(&l->marks, r->told_term, r->told_beat, &at_ms)) {
        return;
    }
    l->heard_term = r->told_term;
    l->heard_beat = r->told_beat;
    (void)pthread_mutex_lock(&l->lock);
    l->heard_n = lease_news_read(slice_str(r->told), at_ms, l->heard);
    (void)pthread_mutex_unlock(&l->lock);
}

static enum err read_row(struct lease *l, struct errmsg *why)
{
    struct row_read r = {.found = false};
    enum err err = mdb_query(
        l->conn,
        slice_str("SELECT l.term,l.holder,l.beat,l.free,l.name,l.address,"
                  "h.term,h.beat,h.heads FROM cn_lease l JOIN cn_heard h ON "
                  "h.id=l.id WHERE l.id=1"),
        on_row, &r, why);
    if (err == ERR_OK && !r.found) {
        err = err_set(why, ERR_CORRUPT,
                      "tables cn_lease and cn_heard: no row, or a malformed "
                      "one: DROP them, they are made anew");
    }
    if (err == ERR_OK) {
        hear(l, &r);
        lease_on_row(&l->m, &r.row, clock_mono_ms());
        show(l, &r);
    }
    return err;
}

/* Behind a beat that counted, which is named: it was there before these ages
 * were. */
static enum err tell(struct lease *l, struct errmsg *why)
{
    char text[LEASE_TEXT_MAX];
    char sql[TELL_MAX];
    (void)pthread_mutex_lock(&l->lock);
    bool due = l->tells;
    l->tells = false;
    (void)lease_news_put(l->told, l->told_n, clock_mono_ms(), text);
    (void)pthread_mutex_unlock(&l->lock);
    if (!due) {
        return ERR_OK;
    }
    (void)snprintf(sql, sizeof sql,
                   "UPDATE cn_heard SET term=%llu,beat=%llu,heads='%s' WHERE "
                   "id=1 AND term<=%llu",
                   (unsigned long long)l->m.seen.term,
                   (unsigned long long)l->m.seen.beat, text,
                   (unsigned long long)l->m.seen.term);
    enum err err = run(l, sql, why);
    if (err != ERR_OK) {
        (void)pthread_mutex_lock(&l->lock);
        l->tells = true;
        (void)pthread_mutex_unlock(&l->lock);
    }
    return err;
}

static enum err change_row(struct lease *l, enum lease_work work,
                           struct errmsg *why)
{
    char sql[SQL_MAX];
    char name[LEASE_NAME_MAX];
    char address[LEASE_ADDRESS_MAX];
    const struct lease_row *seen = &l->m.seen;
    put_text(l->conf.name, name, sizeof name);
    put_text(l->conf.address, address, sizeof address);
    if (work == LEASE_TAKE) {
        (void)snprintf(sql, sizeof sql,
                       "UPDATE cn_lease SET term=term+1,holder=%llu,beat=0,"
                       "free=0,name='%s',address='%s' WHERE id=1 AND term=%llu "
                       "AND beat=%llu AND free=%d",
                       (unsigned long long)l->self, name, address,
                       (unsigned long long)seen->term,
                       (unsigned long long)seen->beat, (int)seen->free);
    } else {
        (void)snprintf(
            sql, sizeof sql,
            "UPDATE cn_lease SET beat=%llu WHERE id=1 AND "
            "term=%llu AND holder=%llu AND free=0 AND beat<%llu",
            (unsigned long long)seen->beat, (unsigned long long)seen->term,
            (unsigned long long)l->self, (unsigned long long)seen->beat);
    }
    enum err err = run(l, sql, why);
    if (err == ERR_OK) {
        lease_on_done(&l->m, mdb_changed(l->conn) == 1, clock_mono_ms());
    }
    if (err == ERR_OK && l->m.state == LEASE_HOLDING) {
        struct row_read mine = {.row = l->m.seen};
        memcpy(mine.name, name, sizeof name);
        memcpy(mine.address, address, sizeof address);
        show(l, &mine);
        if (work == LEASE_BEAT) {
            err = tell(l, why);
        }
    }
    return err;
}

/* ---- the thread ---- */

static void say_failure(struct lease *l, const char *text)
{
    (void)pthread_mutex_lock(&l->lock);
    (void)snprintf(l->shown.error, sizeof l->shown.error, "%.255s", text);
    (void)pthread_mutex_unlock(&l->lock);
    if (text[0] != 0 && !l->complained) {
        log_warn(l->conf.log, "LEASE-AWAY", "cause=\"%s\" next=\"tried again\"",
                 text);
    }
    l->complained = text[0] != 0;
}

/* The next server may answer. */
static void drop_connection(struct lease *l)
{
    if (l->conn != NULL && mdb_fault(l->conn) != FAULT_AGAIN) {
        l->place = mdb_server(l->conn)->place + 1;
        mdb_shut(&l->conn);
    }
}

/* Of those that the store waits for. */
static void look_for_silent(struct lease *l)
{
    char address[MDB_ADDRESS_MAX];
    int64_t now_ms = clock_mono_ms();
    if (now_ms < l->look_at_ms) {
        return;
    }
    l->look_at_ms = now_ms + l->conf.lapse_ms / 2;
    unsigned n = mdb_cut_silent(&l->mariadb, l->conf.lapse_ms, address);
    if (n > 0) {
        log_warn(l->conf.log, "LEASE-SILENT",
                 "server=%s connections=%u effect=\"cut, another is asked\"",
                 address, n);
    }
}

static void work(struct lease *l)
{
    struct errmsg why;
    enum lease_work what = lease_begin(&l->m, clock_mono_ms());
    enum err err = connect_lease(l, &why);
    if (err == ERR_OK) {
        err =
            what == LEASE_READ ? read_row(l, &why) : change_row(l, what, &why);
    }
    if (err != ERR_OK) {
        drop_connection(l);
        lease_on_failure(&l->m, clock_mono_ms());
    }
    say_failure(l, err == ERR_OK ? "" : why.text);
}

/* Tells who is to know. */
static void publish(struct lease *l)
{
    bool now = l->m.state == LEASE_HOLDING;
    atomic_store(&l->until_ms, l->m.until_ms);
    if (atomic_exchange(&l->held, now) == now) {
        return;
    }
    log_info(l->conf.log, now ? "LEASE-TAKEN" : "LEASE-LOST",
             "process=%s term=%llu", l->conf.name,
             (unsigned long long)l->m.seen.term);
    l->conf.changed(l->conf.ctx, now);
}

/* False: stop. */
static bool await_due(struct lease *l)
{
    struct timespec limit;
    int64_t in_ms = l->m.at_ms - clock_mono_ms();
    clock_until(in_ms > 0 ? in_ms : 0, &limit);
    int rc = 0;
    (void)pthread_mutex_lock(&l->lock);
    while (!l->stop && rc == 0) {
        rc = pthread_cond_timedwait(&l->wake, &l->lock, &limit);
    }
    bool go = !l->stop;
    (void)pthread_mutex_unlock(&l->lock);
    return go;
}

static void set_free(struct lease *l)
{
    char sql[SQL_MAX];
    struct errmsg why;
    (void)snprintf(sql, sizeof sql,
                   "UPDATE cn_lease SET free=1 WHERE id=1 AND term=%llu AND "
                   "holder=%llu",
                   (unsigned long long)l->m.seen.term,
                   (unsigned long long)l->self);
    enum err err = connect_lease(l, &why);
    if (err == ERR_OK) {
        err = run(l, sql, &why);
    }
    if (err != ERR_OK) {
        log_warn(l->conf.log, "LEASE-KEPT",
                 "cause=\"%s\" effect=\"others wait until it lapses\"",
                 why.text);
    }
}

static void *lease_main(void *arg)
{
    struct lease *l = arg;
    (void)pthread_setname_np(pthread_self(), "lease");
    while (await_due(l)) {
        if (atomic_exchange(&l->yields, false) && l->m.state == LEASE_HOLDING) {
            set_free(l);
            lease_on_freed(&l->m, clock_mono_ms());
        } else {
            work(l);
        }
        publish(l);
        look_for_silent(l);
    }
    if (l->m.state == LEASE_HOLDING) {
        set_free(l);
    }
    mdb_shut(&l->conn);
    return NULL;
}

/* ---- public ---- */

enum err lease_open(struct lease **out, const struct lease_conf *conf,
                    struct errmsg *why)
{
    struct lease *l = MEM_NEW(struct lease);
    *out = NULL;
    l->conf = *conf;
    l->mariadb = *conf->mariadb;
    uint32_t answer_ms =
        conf->lapse_ms / 2 > ANSWER_MS ? conf->lapse_ms / 2 : ANSWER_MS;
    l->mariadb.connect_ms = answer_ms;
    l->mariadb.timeout_ms = answer_ms;
    l->mariadb.socket_ms = answer_ms;
    while (l->self == 0) {
        suite_random(&l->self, sizeof l->self);
    }
    lease_init(&l->m, l->self, conf->lapse_ms, clock_mono_ms());
    (void)pthread_mutex_init(&l->lock, NULL);
    clock_cond_init(&l->wake);
    int rc = pthread_create(&l->thread, NULL, lease_main, l);
    if (rc != 0) {
        mem_free(l);
        return err_set(why, ERR_IO, "lease: thread: %s", strerror(rc));
    }
    *out = l;
    return ERR_OK;
}

void lease_close(struct lease **lease)
{
    struct lease *l = *lease;
    *lease = NULL;
    if (l == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    l->stop = true;
    (void)pthread_cond_signal(&l->wake);
    (void)pthread_mutex_unlock(&l->lock);
    (void)pthread_join(l->thread, NULL);
    (void)pthread_cond_destroy(&l->wake);
    (void)pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

bool lease_await(struct lease *lease, uint32_t for_ms)
{
    int64_t until_ms = clock_mono_ms() + for_ms;
    struct lease_status st = {.known = false};
    while (!st.held && clock_mono_ms() < until_ms && !(st.known && !st.free)) {
        clock_sleep(SETTLE_MS);
        lease_status(lease, &st);
    }
    return st.held;
}

void lease_yield(struct lease *lease)
{
    atomic_store(&lease->yields, true);
}

bool lease_held(struct lease *lease)
{
    return atomic_load(&lease->held);
}

int64_t lease_until_ms(struct lease *lease)
{
    return atomic_load(&lease->until_ms);
}

void lease_status(struct lease *lease, struct lease_status *out)
{
    (void)pthread_mutex_lock(&lease->lock);
    *out = lease->shown;
    (void)pthread_mutex_unlock(&lease->lock);
    out->held = atomic_load(&lease->held);
}

void lease_tell(struct lease *lease, const struct lease_head *heads, size_t n)
{
    (void)pthread_mutex_lock(&lease->lock);
    lease->told_n = n < LEASE_HEADS_MAX ? n : LEASE_HEADS_MAX;
    memcpy(lease->told, heads, lease->told_n * sizeof *heads);
    lease->tells = true;
    (void)pthread_mutex_unlock(&lease->lock);
}

size_t lease_heard(struct lease *lease, struct lease_head out[LEASE_HEADS_MAX])
{
    (void)pthread_mutex_lock(&lease->lock);
    size_t n = lease->heard_n;
    memcpy(out, lease->heard, n * sizeof *out);
    (void)pthread_mutex_unlock(&lease->lock);
    return n;
}

void lease_say(struct lease *lease, char *out, size_t cap)
{
    struct lease_status st;
    lease_status(lease, &st);
    if (st.known) {
        (void)snprintf(out, cap, "this process (%s) stands by: %s at %s writes",
                       lease->conf.name, st.name, st.address);
    } else {
        (void)snprintf(out, cap, "this process (%s) stands by: none writes now",
                       lease->conf.name);
    }
}
