#include "ingest/exchange.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "credit/rules.h"
#include "ingest/exchange_table.h"
#include "ingest/watch.h"

enum {
    MARKS_ROWS = 100, /* of one statement */
    MARKS_BYTES = 256 << 10,
    STUCK_MAX = 100, /* in one look: then the table is stopped */
    MARK_ATTEMPTS = 2,
    PAUSE_MAX_MS = 60000, /* of a table that is stopped */
};

struct table {
    struct exchange_table_conf conf;
    struct exchange_stats stats; /* exchange->lock */
    bool noted;                  /* its unread columns were */
    /* Of the look under way. */
    struct exchange_columns columns;
    uint64_t from; /* x_id to go on with */
    bool more;
    bool failed; /* it was told why */
    uint32_t pause_ms;
    int64_t again_at_ms; /* monotonic; not looked at before */
    size_t stuck;
};

struct exchange {
    const struct import_env *env;
    struct exchange_conf conf;
    struct table *tables;
    const struct log_ctx *log;
    struct watch watch;
    pthread_mutex_t lock;
    struct mdb_conn *conn; /* NULL: to be opened */
    bool over;             /* this look can do no more for any table */
};

/* A row under way. */
struct row {
    uint64_t id;
    uint8_t content[SOURCE_LEN];
    size_t content_len;
    size_t mark_at;  /* in batch->marks */
    size_t mark_len; /* 0: not decided */
};

struct batch {
    struct exchange *x;
    struct table *t;
    struct import *import;
    struct row *rows;
    size_t n;
    struct buf marks;
    uint64_t counts[ROW_OUTCOMES];
    uint64_t again;
    bool no_id;   /* a row without */
    enum err err; /* of the store */
    struct errmsg why;
};

/* ---- what is told ---- */

/* One that is stopped does not keep the others: it is looked at more rarely by
 * itself, unless the whole look has to wait. */
static void stop_table(const struct exchange *x, struct table *t)
{
    t->more = false;
    t->failed = true;
    if (x->over) {
        return;
    }
    uint32_t next = 2 * t->pause_ms;
    next = next > x->conf.interval_ms ? next : x->conf.interval_ms;
    t->pause_ms = next < PAUSE_MAX_MS ? next : PAUSE_MAX_MS;
    t->again_at_ms = clock_mono_ms() + t->pause_ms;
}

/* NULL: it runs. */
static void tell(struct exchange *x, struct table *t, const char *why)
{
    const char *text = why != NULL ? why : "";
    (void)pthread_mutex_lock(&x->lock);
    bool news = strncmp(t->stats.why, text, sizeof t->stats.why - 1) != 0;
    (void)snprintf(t->stats.why, sizeof t->stats.why, "%s", text);
    (void)pthread_mutex_unlock(&x->lock);
    if (why != NULL) {
        stop_table(x, t);
    }
    if (news && why != NULL) {
        log_warn(x->log, "EXCHANGE-STOPPED", "table=%s reason=\"%s\"",
                 t->conf.table, text);
    } else if (news) {
        log_info(x->log, "EXCHANGE-RUNS", "table=%s", t->conf.table);
    }
}

static void tell_all(struct exchange *x, const char *why)
{
    x->over = true;
    for (size_t i = 0; i < x->conf.tables_n; i++) {
        tell(x, &x->tables[i], why);
    }
}

/* The connection may be gone with the last statement. */
static void drop_if_lost(struct exchange *x)
{
    if (mdb_fault(x->conn) == FAULT_LOST) {
        mdb_shut(&x->conn);
        x->over = true;
    }
}

/* ---- what becomes of a row ---- */

static void source_of(const struct exchange *x, const struct table *t,
                      const struct row *row, struct draft_source *out)
{
    struct buf text = BUF_INIT;
    struct hash hash;
    buf_put_str(&text, "creditnode:exchange");
    buf_put_u8(&text, 0);
    buf_put_str(&text, t->conf.table);
    buf_put_u8(&text, 0);
    buf_put_u64(&text, row->id);
    suite_hash(x->env->suite, buf_slice(&text), &hash);
    memcpy(out->name, hash.b, SOURCE_LEN);
    memcpy(out->content, row->content, SOURCE_LEN);
    buf_fini(&text);
}

static void decide(struct batch *b, struct row *row, struct exchange_mark *mark)
{
    mark->id = row->id;
    mark->content = slice_of(row->content, row->content_len);
    row->mark_at = b->marks.len;
    exchange_put_mark(mark, &b->marks);
    row->mark_len = b->marks.len - row->mark_at;
}

static void refuse(struct batch *b, struct row *row, const char *field,
                   const char *rule)
{
    struct exchange_mark mark = {.outcome = ROW_REFUSED,
                                 .log = "",
                                 .rule = rule,
                                 .field = field,
                                 .text = rules_text(rule),
                                 .text_zh = rules_text_zh(rule)};
    b->counts[ROW_REFUSED]++;
    decide(b, row, &mark);
}

static void accept(struct batch *b, struct row *row, enum row_outcome outcome,
                   const uint8_t *record_key, const struct log_id *log,
                   uint64_t number, uint32_t version)
{
    char text[LOG_ID_TEXT_MAX] = "";
    if (number != 0) {
        log_id_format(log, text);
    }
    struct exchange_mark mark = {.outcome = outcome,
                                 .record_key =
                                     slice_of(record_key, RECORD_KEY_LEN),
                                 .log = text,
                                 .number = number,
                                 .version = version,
                                 .rule = "",
                                 .field = "",
                                 .text = "",
                                 .text_zh = ""};
    decide(b, row, &mark);
}

/* All faults of a row, the first one's field and rule by themselves. */
static void refuse_by(struct batch *b, struct row *row,
                      const struct import_row *r)
{
    struct buf text = BUF_INIT;
    struct buf zh = BUF_INIT;
    for (size_t i = 0; i < r->faults_count; i++) {
        const struct row_fault *f = &r->faults[i];
        const char *between = i > 0 ? "; " : "";
        const char *colon = f->column[0] != 0 ? ": " : "";
        buf_putf(&text, "%s%s%s%s", between, f->column, colon, f->text);
        buf_putf(&zh, "%s%s%s", between, f->column, colon);
        rules_put_zh(f->rule, f->text, &zh);
    }
    struct exchange_mark mark = {
        .outcome = ROW_REFUSED,
        .log = "",
        .rule = r->faults_count > 0 ? r->faults[0].rule : "",
        .field = r->faults_count > 0 ? r->faults[0].column : "",
        .text = buf_cstr(&text),
        .text_zh = buf_cstr(&zh)};
    decide(b, row, &mark);
    buf_fini(&text);
    buf_fini(&zh);
}

static void on_outcome(void *ctx, const struct import_row *r)
{
    struct batch *b = ctx;
    struct row *row = &b->rows[r->line - 1];
    b->counts[r->outcome]++;
    if (r->outcome == ROW_REFUSED) {
        refuse_by(b, row, r);
    } else {
        accept(b, row, r->outcome, r->record_key, &r->log, r->number,
               r->version);
    }
}

/* Taken before: the mark is what is missing. */
static bool was_taken(struct batch *b, struct row *row,
                      const struct draft_source *source)
{
    struct source_taken taken;
    enum err err =
        store_source(b->x->env->store, source->name, &taken, &b->why);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        b->err = err;
    }
    if (err != ERR_OK ||
        memcmp(taken.content, source->content, SOURCE_LEN) != 0) {
        return false;
    }
    const struct draft_result *r = &taken.result;
    b->again++;
    accept(b, row, import_outcome(r->outcome), taken.record_key, &r->log,
           r->number, r->version);
    return true;
}

/* ---- what a row says of itself ---- */

static bool is_blank(struct slice s)
{
    size_t i = 0;
    while (i < s.len && s.data[i] == ' ') {
        i++;
    }
    return i == s.len;
}

/* Over "NAME=VALUE" and a line break each, of what has a value. */
static bool digest_fits(const struct batch *b, const struct slice *cells)
{
    const struct exchange_columns *c = &b->t->columns;
    struct buf text = BUF_INIT;
    struct hash hash;
    char hex[2 * HASH_LEN + 1];
    buf_put_str(&text, "x_change=");
    buf_put_slice(&text, cells[CELL_CHANGE]);
    buf_put_str(&text, "\n");
    for (size_t i = 0; i < c->n; i++) {
        if (!is_blank(cells[CELL_DATA + i])) {
            buf_put_slice(&text, c->names[i]);
            buf_put_str(&text, "=");
            buf_put_slice(&text, cells[CELL_DATA + i]);
            buf_put_str(&text, "\n");
        }
    }
    suite_hash(b->x->env->suite, buf_slice(&text), &hash);
    buf_fini(&text);
    str_hex(hash.b, HASH_LEN, hex);
    return cells[CELL_DIGEST].len == sizeof hex - 1 &&
           strncasecmp((const char *)cells[CELL_DIGEST].data, hex,
                       sizeof hex - 1) == 0;
}

/* The rule that is broken before any value is looked at, or NULL. */
static const char *control_fault(const struct batch *b,
                                 const struct slice *cells, const char **field)
{
    struct slice change = cells[CELL_CHANGE];
    int flag = change.len == 1 ? change.data[0] & ~0x20 : 0;
    *field = "x_change";
    if (flag == 'D') {
        return "deletion";
    }
    if (flag != 'I' && flag != 'U') {
        return "change-flag";
    }
    *field = "x_digest";
    if (is_blank(cells[CELL_DIGEST])) {
        return b->t->conf.digest_needed ? "digest-missing" : NULL;
    }
    return digest_fits(b, cells) ? NULL : "digest";
}

static bool read_row(struct row *row, const struct slice *cells)
{
    struct slice content = cells[CELL_CONTENT];
    *row = (struct row){.content_len = content.len};
    if (!str_u64(cells[CELL_ID], &row->id) || content.len > SOURCE_LEN) {
        return false;
    }
    if (content.len > 0) {
        memcpy(row->content, content.data, content.len);
    }
    return true;
}

static bool on_row(void *ctx, const struct slice *cells, size_t n)
{
    struct batch *b = ctx;
    struct draft_source source;
    const char *field;
    struct row *row = &b->rows[b->n];
    if (watch_is_stopping(&b->x->watch)) {
        return false;
    }
    if (!read_row(row, cells)) {
        b->no_id = true;
        return false;
    }
    b->n++;
    source_of(b->x, b->t, row, &source);
    if (was_taken(b, row, &source) || b->err != ERR_OK) {
        return b->err == ERR_OK;
    }
    const char *rule = control_fault(b, cells, &field);
    if (rule != NULL) {
        refuse(b, row, field, rule);
        return true;
    }
    b->err = import_cells(b->import, b->n, &source, cells + CELL_DATA,
                          n - CELL_DATA, &b->why);
    return b->err == ERR_OK;
}

/* ---- marks ---- */

/* Marks rows [from, to) that were decided. */
static enum err mark_run(struct batch *b, size_t from, size_t to,
                         struct errmsg *why)
{
    struct buf marks = BUF_INIT;
    struct buf sql = BUF_INIT;
    uint64_t n = 0;
    for (size_t i = from; i < to; i++) {
        const struct row *row = &b->rows[i];
        if (row->mark_len > 0) {
            buf_put_str(&marks, n > 0 ? " UNION ALL " : "");
            buf_put(&marks, b->marks.data + row->mark_at, row->mark_len);
            n++;
        }
    }
    exchange_put_update(b->t->conf.table, &b->t->columns, buf_slice(&marks),
                        &sql);
    enum err err = ERR_OK;
    enum mdb_fault fault = FAULT_AGAIN;
    for (int i = 0; n > 0 && i < MARK_ATTEMPTS && fault == FAULT_AGAIN; i++) {
        err = mdb_query(b->x->conn, buf_slice(&sql), NULL, NULL, why);
        fault = mdb_fault(b->x->conn);
    }
    if (err == ERR_OK && n > 0) {
        uint64_t changed = mdb_changed(b->x->conn);
        (void)pthread_mutex_lock(&b->x->lock);
        b->t->stats.moved += n > changed ? n - changed : 0;
        (void)pthread_mutex_unlock(&b->x->lock);
    }
    buf_fini(&marks);
    buf_fini(&sql);
    return err;
}

/* The statement itself can be run; some row of it is in the way. */
static bool is_about_a_row(const struct batch *b, enum err err)
{
    return err != ERR_CONF && mdb_fault(b->x->conn) == FAULT_OTHER;
}

static enum err mark_single(struct batch *b, size_t i, struct errmsg *why)
{
    enum err err = mark_run(b, i, i + 1, why);
    if (err == ERR_OK || !is_about_a_row(b, err)) {
        return err;
    }
    /* Told when none was in the look before. */
    enum log_level level = b->t->stats.stuck == 0 ? LOG_WARN : LOG_DEBUG;
    log_line(level, b->x->log, "EXCHANGE-STUCK",
             "table=%s x_id=%llu reason=\"%s\" effect=\"the row is decided and "
             "cannot be marked; others go on\"",
             b->t->conf.table, (unsigned long long)b->rows[i].id, why->text);
    b->t->stuck++;
    return b->t->stuck < STUCK_MAX ? ERR_OK : err;
}

static enum err mark_chunk(struct batch *b, size_t from, size_t to,
                           struct errmsg *why)
{
    enum err err = mark_run(b, from, to, why);
    if (err == ERR_OK || !is_about_a_row(b, err)) {
        return err;
    }
    err = ERR_OK;
    for (size_t i = from; err == ERR_OK && i < to; i++) {
        err = mark_single(b, i, why);
    }
    return err;
}

static enum err mark_rows(struct batch *b, struct errmsg *why)
{
    enum err err = ERR_OK;
    size_t from = 0;
    while (err == ERR_OK && from < b->n) {
        size_t to = from;
        size_t len = 0;
        while (to < b->n && to - from < MARKS_ROWS && len < MARKS_BYTES) {
            len += b->rows[to++].mark_len;
        }
        err = mark_chunk(b, from, to, why);
        from = to;
    }
    return err;
}

/* ---- one batch ---- */

static void on_warning(void *ctx, const char *text)
{
    const struct batch *b = ctx;
    if (!b->t->noted) {
        log_warn(b->x->log, "EXCHANGE-COLUMN", "table=%s note=\"%s\"",
                 b->t->conf.table, text);
    }
}

static enum err begin_import(struct batch *b, struct errmsg *why)
{
    const struct import_sink sink = {
        .row = on_outcome, .warning = on_warning, .ctx = b};
    const struct table *t = b->t;
    struct errmsg text = {{0}};
    import_begin(&b->import, b->x->env, &sink);
    enum err err =
        import_columns(b->import, t->columns.names, t->columns.n, &text);
    if (err != ERR_OK) {
        return err_set(why, ERR_CONF, "table %s: %s", t->conf.table, text.text);
    }
    const char *item = import_item(b->import)->name;
    return strcmp(item, t->conf.item) == 0
               ? ERR_OK
               : err_set(why, ERR_CONF,
                         "table %s: its columns are those of %s, but "
                         "exchange.tables says %s",
                         t->conf.table, item, t->conf.item);
}

static void add_up(struct batch *b)
{
    struct exchange_stats *st = &b->t->stats;
    (void)pthread_mutex_lock(&b->x->lock);
    for (size_t i = 0; i < ROW_OUTCOMES; i++) {
        st->rows[i] += b->counts[i];
    }
    st->marked_again += b->again;
    (void)pthread_mutex_unlock(&b->x->lock);
    if (b->n > 0) {
        log_info(b->x->log, "EXCHANGE",
                 "table=%s rows=%zu new=%llu changed=%llu unchanged=%llu "
                 "refused=%llu again=%llu",
                 b->t->conf.table, b->n, (unsigned long long)b->counts[ROW_NEW],
                 (unsigned long long)b->counts[ROW_CHANGED],
                 (unsigned long long)b->counts[ROW_UNCHANGED],
                 (unsigned long long)b->counts[ROW_REFUSED],
                 (unsigned long long)b->again);
    }
}

/* Reads and takes in. Whatever goes wrong, rows that were decided are known
 * afterwards. */
static enum err take_rows(struct batch *b, struct errmsg *why)
{
    struct buf sql = BUF_INIT;
    struct errmsg late = {{0}};
    exchange_put_select(b->t->conf.table, &b->t->columns, b->t->from,
                        b->x->conf.batch_rows, &sql);
    enum err err = mdb_query(b->x->conn, buf_slice(&sql), on_row, b, why);
    buf_fini(&sql);
    enum err end = import_finish(b->import, &late);
    if (b->err != ERR_OK || end != ERR_OK) {
        /* The store's: no other table can do better. */
        b->x->over = true;
        return b->err != ERR_OK ? err_set(why, b->err, "%s", b->why.text)
                                : err_set(why, end, "%s", late.text);
    }
    return err == ERR_OK && b->no_id
               ? err_set(why, ERR_CONF,
                         "table %s: x_id is no number from 0 on in some row",
                         b->t->conf.table)
               : err;
}

static void take_batch(struct exchange *x, struct table *t)
{
    struct batch b = {.x = x, .t = t};
    struct errmsg why = {{0}};
    struct errmsg unmarked = {{0}};
    b.rows = mem_zalloc(x->conf.batch_rows, sizeof *b.rows);
    enum err err = begin_import(&b, &why);
    if (err == ERR_OK) {
        err = take_rows(&b, &why);
    }
    import_free(&b.import);
    add_up(&b);
    enum err mark_err =
        mdb_fault(x->conn) == FAULT_LOST ? err : mark_rows(&b, &unmarked);
    if (err == ERR_OK && mark_err != ERR_OK) {
        err = err_set(&why, mark_err, "%s", unmarked.text);
    }
    t->more = b.n == x->conf.batch_rows && b.rows[b.n - 1].id != UINT64_MAX;
    t->from = b.n > 0 ? b.rows[b.n - 1].id + 1 : t->from;
    drop_if_lost(x);
    if (err != ERR_OK) {
        tell(x, t, why.text);
    }
    buf_fini(&b.marks);
    mem_free(b.rows);
}

/* ---- looks ---- */

static enum err find_columns(struct exchange *x, struct table *t,
                             struct errmsg *why)
{
    struct batch b = {.x = x, .t = t};
    bool is_read[EXCHANGE_COLUMNS_MAX];
    exchange_columns_fini(&t->columns);
    enum err err =
        exchange_columns_read(x->conn, t->conf.table, &t->columns, why);
    if (err != ERR_OK) {
        return err;
    }
    err = begin_import(&b, why);
    for (size_t i = 0; err == ERR_OK && i < t->columns.n; i++) {
        is_read[i] = import_reads(b.import, i);
    }
    if (err == ERR_OK) {
        exchange_columns_keep(&t->columns, is_read);
        t->noted = true;
    }
    import_free(&b.import);
    return err;
}

static void begin_look(struct exchange *x, struct table *t)
{
    struct errmsg why = {{0}};
    t->from = 0;
    t->stuck = 0;
    t->more = clock_mono_ms() >= t->again_at_ms;
    t->failed = !t->more;
    if (!t->more) {
        return;
    }
    enum err err = find_columns(x, t, &why);
    drop_if_lost(x);
    if (err != ERR_OK) {
        tell(x, t, why.text);
    }
}

static bool on_waiting(void *ctx, const struct slice *cells, size_t n)
{
    (void)n;
    return str_u64(cells[0], ctx);
}

/* It came to its end: nothing of it is in the way. */
static void end_look(struct exchange *x, struct table *t)
{
    struct errmsg why = {{0}};
    struct buf sql = BUF_INIT;
    uint64_t waiting = 0;
    exchange_put_count(t->conf.table, &sql);
    enum err err =
        mdb_query(x->conn, buf_slice(&sql), on_waiting, &waiting, &why);
    buf_fini(&sql);
    drop_if_lost(x);
    if (err != ERR_OK) {
        tell(x, t, why.text);
        return;
    }
    t->pause_ms = 0;
    (void)pthread_mutex_lock(&x->lock);
    t->stats.waiting = waiting;
    t->stats.stuck = t->stuck;
    t->stats.looked_at_ms = clock_wall_ms();
    (void)pthread_mutex_unlock(&x->lock);
    tell(x, t, NULL);
}

/* One batch of each table in turn: a long one does not keep the others. */
static bool go_round(struct exchange *x)
{
    bool more = false;
    for (size_t i = 0; i < x->conf.tables_n && !x->over; i++) {
        struct table *t = &x->tables[i];
        if (!t->more || watch_is_stopping(&x->watch)) {
            continue;
        }
        take_batch(x, t);
        more = more || t->more;
        if (!t->more && !x->over && !t->failed) {
            end_look(x, t);
        }
    }
    return more && !x->over && !watch_is_stopping(&x->watch);
}

static bool look(void *ctx)
{
    struct exchange *x = ctx;
    struct errmsg why = {{0}};
    x->over = false;
    if (x->conn == NULL) {
        static const struct mdb_sql_set none = {NULL, 0};
        if (mdb_open(&x->conn, &x->conf.server, &none, &why) != ERR_OK) {
            tell_all(x, why.text);
            return true;
        }
    }
    for (size_t i = 0; i < x->conf.tables_n && !x->over; i++) {
        begin_look(x, &x->tables[i]);
    }
    while (!x->over && go_round(x)) {
    }
    return x->over;
}

/* ---- public ---- */

enum err exchange_open(struct exchange **out, const struct import_env *env,
                       const struct exchange_conf *conf,
                       const struct log_ctx *log, struct errmsg *why)
{
    if (conf->server.database[0] == 0 || conf->server.user[0] == 0) {
        return err_set(why, ERR_CONF,
                       "exchange.tables names tables: set exchange.database "
                       "and exchange.user");
    }
    struct exchange *x = MEM_NEW(struct exchange);
    x->env = env;
    x->conf = *conf;
    x->log = log;
    x->conf.server.section = "exchange";
    x->conf.server.rights =
        "give this user the rights that `creditnode exchange schema` prints";
    x->tables = mem_zalloc(conf->tables_n, sizeof *x->tables);
    for (size_t i = 0; i < conf->tables_n; i++) {
        struct table *t = &x->tables[i];
        t->conf = conf->tables[i];
        t->stats.table = t->conf.table;
        t->stats.item = t->conf.item;
    }
    (void)pthread_mutex_init(&x->lock, NULL);
    enum err err =
        watch_start(&x->watch, "exchange", conf->interval_ms, look, x, why);
    if (err != ERR_OK) {
        (void)pthread_mutex_destroy(&x->lock);
        mem_free(x->tables);
        mem_free(x);
        return err;
    }
    *out = x;
    return ERR_OK;
}

void exchange_close(struct exchange **exchange)
{
    struct exchange *x = *exchange;
    *exchange = NULL;
    if (x == NULL) {
        return;
    }
    watch_stop(&x->watch);
    mdb_shut(&x->conn);
    for (size_t i = 0; i < x->conf.tables_n; i++) {
        exchange_columns_fini(&x->tables[i].columns);
    }
    (void)pthread_mutex_destroy(&x->lock);
    mem_free(x->tables);
    mem_free(x);
}

size_t exchange_count(const struct exchange *exchange)
{
    return exchange != NULL ? exchange->conf.tables_n : 0;
}

void exchange_stats(struct exchange *exchange, size_t i,
                    struct exchange_stats *out)
{
    (void)pthread_mutex_lock(&exchange->lock);
    *out = exchange->tables[i].stats;
    (void)pthread_mutex_unlock(&exchange->lock);
}
