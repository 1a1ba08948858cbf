#include "ingest/import.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "credit/date.h"
#include "credit/rules.h"
#include "ingest/rows.h"

/* A row of a batch in file order: a draft, or refused with its faults. */
struct item {
    uint64_t line;
    bool refused;
    uint8_t record_key[RECORD_KEY_LEN];
    size_t faults_at; /* first in batch->faults */
    size_t faults_count;
};

/* Offsets into batch->text: it moves while it grows. */
struct fault_ref {
    size_t column;
    size_t rule;
    size_t text;
};

enum batch_state { BATCH_FREE, BATCH_FILLING, BATCH_SUBMITTED, BATCH_DECIDED };

struct batch {
    struct import *import;
    enum batch_state state; /* import->lock */
    struct item *items;
    size_t items_count;
    size_t items_room;
    struct fault_ref *faults;
    size_t faults_count;
    size_t faults_room;
    struct buf text;              /* of the faults, NUL-terminated pieces */
    struct buf drafts;            /* encoded entries, one behind the other */
    size_t *lens;                 /* of each draft */
    struct draft_source *sources; /* the same */
    size_t drafts_count;
    size_t drafts_room;
    struct draft_result *results; /* of the drafts, once decided */
    enum err err;
    struct errmsg why;
};

struct import {
    const struct import_env *env;
    struct import_sink sink;
    struct record_keys keys;
    struct hash identity_key;
    struct hash digest_key;
    struct rows *rows;
    struct buf room;
    bool at_once;                      /* nothing waits */
    bool now;                          /* import_now() */
    bool needs_keys;                   /* and that cannot do it */
    bool has_sources;                  /* import_cells() */
    const struct draft_source *source; /* of the row at hand */
    struct import_counts counts;
    struct batch batches[IMPORT_BATCHES]; /* a ring */
    size_t head;                          /* oldest not yet reported */
    size_t tail;                          /* being filled */
    pthread_mutex_t lock;
    pthread_cond_t decided;
    size_t under_way;           /* lock; batches */
    import_settled_fn *settled; /* lock */
    void *settled_ctx;
    enum err failed; /* of a batch: nothing more is taken */
    struct errmsg failed_why;
    bool ended;
    enum err ended_err; /* of the last rows, or of all that came at once */
    struct errmsg ended_why;
};

const char *row_outcome_name(enum row_outcome outcome)
{
    static const char *const names[ROW_OUTCOMES] = {
        "new", "changed", "unchanged", "pending", "refused"};
    return names[outcome];
}

enum row_outcome import_outcome(enum draft_outcome outcome)
{
    static const enum row_outcome rows[] = {
        [DRAFT_NEW] = ROW_NEW,
        [DRAFT_CHANGED] = ROW_CHANGED,
        [DRAFT_UNCHANGED] = ROW_UNCHANGED,
        [DRAFT_PENDING] = ROW_PENDING,
    };
    return rows[outcome];
}

/* ---- batches ---- */

static void batch_clear(struct batch *b)
{
    b->items_count = 0;
    b->faults_count = 0;
    b->drafts_count = 0;
    buf_clear(&b->text);
    buf_clear(&b->drafts);
    b->err = ERR_OK;
}

static struct item *batch_item(struct batch *b)
{
    if (b->items_count == b->items_room) {
        b->items_room = b->items_room > 0 ? b->items_room * 2 : 16;
        b->items = mem_realloc(b->items, b->items_room * sizeof *b->items);
    }
    struct item *item = &b->items[b->items_count++];
    *item = (struct item){.line = 0};
    return item;
}

static size_t keep_text(struct batch *b, const char *text)
{
    size_t at = b->text.len;
    buf_put(&b->text, text, strlen(text) + 1);
    return at;
}

static void keep_fault(struct batch *b, const struct rows_fault *fault)
{
    if (b->faults_count == b->faults_room) {
        b->faults_room = b->faults_room > 0 ? b->faults_room * 2 : 16;
        b->faults = mem_realloc(b->faults, b->faults_room * sizeof *b->faults);
    }
    struct fault_ref *ref = &b->faults[b->faults_count++];
    ref->column = keep_text(b, fault->column);
    ref->rule = keep_text(b, fault->rule);
    ref->text = keep_text(b, fault->text);
}

/* ---- outcomes, back in file order ---- */

static void report_refused(struct import *import, const struct batch *b,
                           const struct item *item)
{
    struct row_fault faults[ROWS_FAULTS_MAX];
    size_t n = item->faults_count < ROWS_FAULTS_MAX ? item->faults_count
                                                    : ROWS_FAULTS_MAX;
    const char *text = (const char *)b->text.data;
    for (size_t i = 0; i < n; i++) {
        const struct fault_ref *ref = &b->faults[item->faults_at + i];
        faults[i] = (struct row_fault){.column = text + ref->column,
                                       .rule = text + ref->rule,
                                       .text = text + ref->text};
    }
    struct import_row row = {.line = item->line,
                             .outcome = ROW_REFUSED,
                             .faults = faults,
                             .faults_count = n};
    import->sink.row(import->sink.ctx, &row);
}

static void report_draft(struct import *import, const struct item *item,
                         const struct draft_result *result)
{
    struct import_row row = {.line = item->line,
                             .outcome = import_outcome(result->outcome),
                             .log = result->log,
                             .number = result->number,
                             .version = result->version};
    memcpy(row.record_key, item->record_key, RECORD_KEY_LEN);
    import->sink.row(import->sink.ctx, &row);
}

static void report_batch(struct import *import, struct batch *b)
{
    size_t draft = 0;
    for (size_t i = 0; i < b->items_count; i++) {
        const struct item *item = &b->items[i];
        enum row_outcome outcome =
            item->refused ? ROW_REFUSED
                          : import_outcome(b->results[draft].outcome);
        import->counts.rows++;
        import->counts.outcome[outcome]++;
        if (import->sink.row == NULL) {
            draft += !item->refused;
        } else if (item->refused) {
            report_refused(import, b, item);
        } else {
            report_draft(import, item, &b->results[draft++]);
        }
    }
}

/* Waits for the oldest batch and reports it. The writer answers every
 * submission, so the wait has no deadline of its own. */
static enum err settle_oldest(struct import *import, struct errmsg *why)
{
    struct batch *b = &import->batches[import->head % IMPORT_BATCHES];
    (void)pthread_mutex_lock(&import->lock);
    while (b->state == BATCH_SUBMITTED) {
        (void)pthread_cond_wait(&import->decided, &import->lock);
    }
    b->state = BATCH_FREE;
    (void)pthread_mutex_unlock(&import->lock);
    import->head++;
    if (b->err != ERR_OK) {
        return err_set(why, b->err, "rows from line %llu on are not stored: %s",
                       (unsigned long long)b->items[0].line, b->why.text);
    }
    report_batch(import, b);
    return ERR_OK;
}

static void on_submitted(void *ctx, enum err err, const char *why,
                         const struct draft_result *results, size_t n)
{
    struct batch *b = ctx;
    struct import *import = b->import;
    (void)pthread_mutex_lock(&import->lock);
    b->err = err;
    if (err == ERR_OK) {
        memcpy(b->results, results, n * sizeof *results);
    } else {
        (void)err_set(&b->why, err, "%s", why != NULL ? why : err_text(err));
    }
    b->state = BATCH_DECIDED;
    import->under_way--;
    import_settled_fn *settled =
        import->under_way == 0 ? import->settled : NULL;
    void *settled_ctx = import->settled_ctx;
    (void)pthread_cond_signal(&import->decided);
    (void)pthread_mutex_unlock(&import->lock);
    if (settled != NULL) {
        settled(settled_ctx); /* the import may be gone after it */
    }
}

static void mark(struct import *import, struct batch *b, enum batch_state state)
{
    (void)pthread_mutex_lock(&import->lock);
    import->under_way += state == BATCH_SUBMITTED;
    import->under_way -= b->state == BATCH_SUBMITTED;
    b->state = state;
    (void)pthread_mutex_unlock(&import->lock);
}

static enum err submit(struct import *import, struct batch *b,
                       struct errmsg *why)
{
    struct slice *drafts = mem_zalloc(b->drafts_count, sizeof *drafts);
    size_t at = 0;
    for (size_t i = 0; i < b->drafts_count; i++) {
        drafts[i] = slice_of(b->drafts.data + at, b->lens[i]);
        at += b->lens[i];
    }
    int64_t give_up_ms = clock_mono_ms();
    give_up_ms += import->at_once ? 0 : INT64_C(1000) * IMPORT_BUSY_S;
    enum err err;
    mark(import, b, BATCH_SUBMITTED);
    while ((err = store_submit_from(import->env->store, drafts,
                                    import->has_sources ? b->sources : NULL,
                                    b->drafts_count, on_submitted, b)) ==
               ERR_BUSY &&
           clock_mono_ms() < give_up_ms) {
        /* Nothing of ours may be under way, so wait by the clock. */
        clock_sleep(IMPORT_RETRY_MS);
    }
    mem_free(drafts);
    if (err != ERR_OK) {
        struct store_stats stats = {.writable = true};
        if (!import->now) { /* it looks at the disk */
            store_stats(import->env->store, &stats);
        }
        mark(import, b, BATCH_FREE);
        return err_set(why, err, "rows from line %llu on are not stored: %s",
                       (unsigned long long)b->items[0].line,
                       stats.writable ? err_text(err) : stats.why);
    }
    return ERR_OK;
}

/* Whether no batch can be filled until the oldest is settled. */
static bool all_under_way(const struct import *import)
{
    return import->tail - import->head == IMPORT_BATCHES;
}

/* Sends the batch being filled on its way. With all under way there is none,
 * and the place at the tail is the oldest's, whose state is the writer's. */
static enum err flush(struct import *import, struct errmsg *why)
{
    struct batch *b = &import->batches[import->tail % IMPORT_BATCHES];
    if (all_under_way(import) || b->state != BATCH_FILLING ||
        b->items_count == 0) {
        return ERR_OK;
    }
    enum err err = ERR_OK;
    if (b->drafts_count > 0) {
        err = submit(import, b, why);
    } else {
        b->state = BATCH_DECIDED;
    }
    import->tail += err == ERR_OK;
    return err;
}

static bool oldest_is_decided(struct import *import)
{
    const struct batch *b = &import->batches[import->head % IMPORT_BATCHES];
    (void)pthread_mutex_lock(&import->lock);
    bool decided = b->state == BATCH_DECIDED;
    (void)pthread_mutex_unlock(&import->lock);
    return decided;
}

/* The batch to fill; waits for the oldest if all are under way. */
static enum err current(struct import *import, struct batch **out,
                        struct errmsg *why)
{
    enum err err = ERR_OK;
    if (all_under_way(import)) {
        err = import->at_once && !oldest_is_decided(import)
                  ? err_set(why, ERR_TOO_LARGE,
                            "more rows than are entered at once, of which the "
                            "last are not stored; send fewer at a time")
                  : settle_oldest(import, why);
    }
    struct batch *b = &import->batches[import->tail % IMPORT_BATCHES];
    if (err == ERR_OK && b->state == BATCH_FREE) {
        batch_clear(b);
        b->state = BATCH_FILLING;
    }
    *out = b;
    return err;
}

/* ---- from the rows ---- */

static enum err keep_failure(struct import *import, enum err err)
{
    if (err != ERR_OK) {
        import->failed = err;
    }
    return err;
}

/* Those of a call are larger, so that all of its rows have room. */
static uint32_t batch_rows(const struct import *import)
{
    return import->at_once ? DRAFTS_MAX : import->env->batch_rows;
}

static enum err flush_if_full(struct import *import, const struct batch *b)
{
    if (b->items_count < batch_rows(import) &&
        b->drafts.len < IMPORT_BATCH_BYTES) {
        return ERR_OK;
    }
    return flush(import, &import->failed_why);
}

static enum err seal(void *ctx, struct slice aad, struct slice plain,
                     struct buf *out)
{
    struct import *import = ctx;
    if (import->now) {
        import->needs_keys = true;
        return ERR_BUSY;
    }
    return keyring_seal(import->env->keyring, aad, plain, out);
}

static void make_room(struct batch *b)
{
    if (b->drafts_count < b->drafts_room) {
        return;
    }
    b->drafts_room = b->drafts_room > 0 ? b->drafts_room * 2 : 16;
    b->lens = mem_realloc(b->lens, b->drafts_room * sizeof *b->lens);
    b->results = mem_realloc(b->results, b->drafts_room * sizeof *b->results);
    b->sources = mem_realloc(b->sources, b->drafts_room * sizeof *b->sources);
}

static enum err add_draft(struct import *import, struct batch *b,
                          const struct record *record)
{
    struct sealer sealer = {.fn = seal, .ctx = import};
    struct entry entry;
    buf_clear(&import->room);
    enum err err =
        record_to_entry(record, &import->keys, import->env->self,
                        clock_wall_ms(), &sealer, &import->room, &entry);
    if (err != ERR_OK) {
        return err;
    }
    make_room(b);
    size_t start = b->drafts.len;
    entry_encode(&entry, &b->drafts);
    if (import->source != NULL) {
        b->sources[b->drafts_count] = *import->source;
    }
    b->lens[b->drafts_count++] = b->drafts.len - start;
    return ERR_OK;
}

/* Does the error say something of the row? All others are of this node: its
 * keys cannot be read or written, or there is no space. */
static bool is_of_row(enum err err)
{
    return err == ERR_TOO_LARGE || err == ERR_INVALID;
}

/* The table is no worse for it, so it is to come again whatever the cause. */
static enum err cannot_seal(struct import *import, enum err err)
{
    enum err_class cls = err_class(err);
    bool later = cls == ERR_CLASS_LATER || cls == ERR_CLASS_NOW;
    (void)err_set(&import->failed_why, err,
                  "this node's keys cannot be used: %s", err_text(err));
    return keep_failure(import, later ? err : ERR_UNAVAILABLE);
}

static const char row_too_large[] = "row-too-large"; /* docs/catalogue.md */

/* A good row that cannot become an entry after all. */
static void add_refusal(struct batch *b, uint64_t line, enum err err)
{
    bool large = err == ERR_TOO_LARGE;
    struct rows_fault fault = {.column = "",
                               .rule = large ? row_too_large : "record",
                               .text = large ? rules_text(row_too_large)
                                             : err_text(err)};
    struct item *item = batch_item(b);
    item->line = line;
    item->refused = true;
    item->faults_at = b->faults_count;
    item->faults_count = 1;
    keep_fault(b, &fault);
}

static enum err on_record(void *ctx, uint64_t line, const struct record *record)
{
    struct import *import = ctx;
    struct batch *b;
    enum err err = current(import, &b, &import->failed_why);
    if (err != ERR_OK) {
        return keep_failure(import, err);
    }
    err = add_draft(import, b, record);
    if (err == ERR_OK) {
        struct item *item = batch_item(b);
        item->line = line;
        memcpy(item->record_key, record->key, RECORD_KEY_LEN);
    } else if (is_of_row(err)) {
        add_refusal(b, line, err);
    } else {
        return cannot_seal(import, err);
    }
    return keep_failure(import, flush_if_full(import, b));
}

static enum err on_refused(void *ctx, uint64_t line,
                           const struct rows_fault *faults, size_t count)
{
    struct import *import = ctx;
    struct batch *b;
    enum err err = current(import, &b, &import->failed_why);
    if (err != ERR_OK) {
        return keep_failure(import, err);
    }
    struct item *item = batch_item(b);
    item->line = line;
    item->refused = true;
    item->faults_at = b->faults_count;
    item->faults_count = count;
    for (size_t i = 0; i < count; i++) {
        keep_fault(b, &faults[i]);
    }
    return keep_failure(import, flush_if_full(import, b));
}

static void on_warning(void *ctx, const char *text)
{
    struct import *import = ctx;
    if (import->sink.warning != NULL) {
        import->sink.warning(import->sink.ctx, text);
    }
}

/* ---- public ---- */

void import_begin(struct import **out, const struct import_env *env,
                  const struct import_sink *sink)
{
    struct import *import = MEM_NEW(struct import);
    import->env = env;
    import->sink = *sink;
    (void)pthread_mutex_init(&import->lock, NULL);
    (void)pthread_cond_init(&import->decided, NULL);
    keyring_token(env->keyring, "record-identity", slice_str(""),
                  &import->identity_key);
    keyring_token(env->keyring, "record-digest", slice_str(""),
                  &import->digest_key);
    import->keys = (struct record_keys){
        .suite = env->suite,
        .identity = slice_of(import->identity_key.b, HASH_LEN),
        .digest = slice_of(import->digest_key.b, HASH_LEN)};
    for (size_t i = 0; i < IMPORT_BATCHES; i++) {
        struct batch *b = &import->batches[i];
        b->import = import;
    }
    struct rows_options options = {.keys = &import->keys,
                                   .today = date_from_ms(clock_wall_ms())};
    struct rows_sink rows = {.record = on_record,
                             .refused = on_refused,
                             .warning = on_warning,
                             .ctx = import};
    rows_begin(&import->rows, &options, &rows);
    *out = import;
}

static enum err settle_all(struct import *import, struct errmsg *why)
{
    enum err err = ERR_OK;
    while (import->head < import->tail) {
        struct errmsg one = {{0}};
        enum err now = settle_oldest(import, &one);
        if (err == ERR_OK && now != ERR_OK) {
            err = err_set(why, now, "%s", one.text);
        }
    }
    return err;
}

/* The store's reason stands above what the rows say of the ended file. */
static enum err with_reason(struct import *import, enum err err,
                            struct errmsg *why)
{
    if (import->failed != ERR_OK) {
        return err_set(why, import->failed, "%s", import->failed_why.text);
    }
    return err;
}

enum err import_feed(struct import *import, struct slice bytes,
                     struct errmsg *why)
{
    enum err err =
        with_reason(import, rows_feed(import->rows, bytes, why), why);
    if (err != ERR_OK) { /* what is on its way belongs to the receipt */
        (void)settle_all(import, NULL);
    }
    return err;
}

enum err import_columns(struct import *import, const struct slice *names,
                        size_t count, struct errmsg *why)
{
    return rows_columns(import->rows, names, count, why);
}

enum err import_cells(struct import *import, uint64_t line,
                      const struct draft_source *source,
                      const struct slice *cells, size_t count,
                      struct errmsg *why)
{
    import->has_sources = true;
    import->source = source;
    enum err err = with_reason(
        import, rows_cells(import->rows, line, cells, count, why), why);
    import->source = NULL;
    if (err != ERR_OK) { /* what is on its way belongs to the outcomes */
        (void)settle_all(import, NULL);
    }
    return err;
}

const struct catalogue_item *import_item(const struct import *import)
{
    return rows_item(import->rows);
}

bool import_reads(const struct import *import, size_t column)
{
    return rows_reads(import->rows, column);
}

static void read_last(struct import *import)
{
    struct errmsg *why = &import->ended_why;
    import->ended = true;
    import->ended_err =
        with_reason(import, rows_finish(import->rows, why), why);
}

static void read_all(struct import *import, struct slice bytes)
{
    struct errmsg *why = &import->ended_why;
    enum err err =
        with_reason(import, rows_feed(import->rows, bytes, why), why);
    if (err == ERR_OK) {
        read_last(import);
    } else {
        import->ended = true;
        import->ended_err = err;
    }
}

/* Sends the last rows on their way. */
static void send_last(struct import *import)
{
    if (import->ended_err == ERR_OK) {
        import->ended_err = flush(import, &import->ended_why);
    }
}

/* The last rows are on their way, or none is: has it said when all are
 * decided. */
static void tell_settled(struct import *import, import_settled_fn *settled,
                         void *ctx)
{
    (void)pthread_mutex_lock(&import->lock);
    bool now = import->under_way == 0;
    import->settled = settled;
    import->settled_ctx = ctx;
    (void)pthread_mutex_unlock(&import->lock);
    if (now) {
        settled(ctx);
    }
}

void import_at_once(struct import *import, struct slice bytes,
                    import_settled_fn *settled, void *ctx)
{
    import->at_once = true;
    read_all(import, bytes);
    send_last(import);
    tell_settled(import, settled, ctx);
}

/* And in UTF-8: a converter of another character set may come from a file. */
static bool is_little(struct slice bytes)
{
    size_t lines = 0;
    if (bytes.len > IMPORT_NOW_BYTES) {
        return false;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        lines += bytes.data[i] == '\n';
    }
    return lines <= IMPORT_NOW_LINES && str_utf8_valid(bytes);
}

bool import_now(struct import *import, struct slice bytes,
                import_settled_fn *settled, void *ctx)
{
    if (!is_little(bytes)) {
        return false;
    }
    import->at_once = true;
    import->now = true;
    read_all(import, bytes); /* so few rows that no batch is full before */
    if (import->needs_keys ||
        (import->ended_err == ERR_OK && flush(import, NULL) != ERR_OK)) {
        return false;
    }
    tell_settled(import, settled, ctx);
    return true;
}

enum err import_finish(struct import *import, struct errmsg *why)
{
    if (!import->ended) {
        read_last(import);
        send_last(import);
    }
    struct errmsg settled_why = {{0}};
    enum err settled = settle_all(import, &settled_why);
    if (import->ended_err != ERR_OK) {
        return err_set(why, import->ended_err, "%s", import->ended_why.text);
    }
    return err_set(why, settled, "%s", settled_why.text);
}

void import_counts(const struct import *import, struct import_counts *out)
{
    *out = import->counts;
}

static void batch_fini(struct batch *b)
{
    mem_free(b->items);
    mem_free(b->faults);
    mem_free(b->lens);
    mem_free(b->results);
    mem_free(b->sources);
    buf_fini(&b->text);
    buf_fini(&b->drafts);
}

void import_free(struct import **import_ptr)
{
    struct import *import = *import_ptr;
    *import_ptr = NULL;
    if (import == NULL) {
        return;
    }
    import->sink = (struct import_sink){.row = NULL};
    (void)settle_all(import, NULL);
    rows_free(&import->rows);
    for (size_t i = 0; i < IMPORT_BATCHES; i++) {
        batch_fini(&import->batches[i]);
    }
    buf_fini(&import->room);
    (void)pthread_cond_destroy(&import->decided);
    (void)pthread_mutex_destroy(&import->lock);
    mem_free(import);
}
