/* store_fixture.h - nodes with real certificates and a store each, for the
 * contract tests of the store. STORE_BACKEND=mariadb in the environment runs
 * them on a MariaDB server of their own, SUITE=gm with that suite. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "credit/record.h"
#include "store/keyring.h"
#include "store/store_backend.h"
#include "support/mariadb_server.h"
#include "support/patience.h"
#include "support/suite.h"

#define FEDERATION "anhui.test"
/* Arguments of certs/make-federation.sh, for who may issue directives. */
#ifndef FED_ISSUERS
#define FED_ISSUERS ""
#endif
#define VILLAGE 341821100201ull
#define TOWNSHIP 341821100000ull

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)

/* ---- the federation, made once a program ---- */

static char fed_dir[64];
static struct trust *fed_trust;

/* Runs a line of shell in the test's folder; $C is certs/. */
static inline void PRINTF_LIKE(1, 2) shell(const char *fmt, ...)
{
    struct buf line = BUF_INIT;
    va_list ap;
    buf_putf(&line, "cd %s && C=%s/certs && ", fed_dir, SOURCE_DIR);
    va_start(ap, fmt);
    buf_vputf(&line, fmt, ap);
    va_end(ap);
    assert_int_equal(system(buf_cstr(&line)), 0);
    buf_fini(&line);
}

/* The backend under test, and its server if it needs one. */
static struct mariadb_server fed_server;
/* How nodes come to it; tests of faults change that. */
static struct store_mariadb_conf fed_mariadb = {.socket = NULL,
                                                .address = "",
                                                .user = "root",
                                                .password_file = "",
                                                .tls_ca = "",
                                                .tls_cert = "",
                                                .tls_key = "",
                                                .connections = 4,
                                                .connect_ms = 20000,
                                                .timeout_ms = 20000};

static inline const struct backend *fixture_backend(void)
{
    const char *name = getenv("STORE_BACKEND");
    return name != NULL && strcmp(name, store_mariadb.name) == 0
               ? &store_mariadb
               : &store_rocksdb;
}

static inline bool on_mariadb(void)
{
    return fixture_backend() == &store_mariadb;
}

static inline void fed_read_trust(void)
{
    char path[128];
    struct errmsg why;
    (void)snprintf(path, sizeof path, "%s/fed/%s", fed_dir, test_anchor());
    assert_ok(
        trust_open(&fed_trust, test_suite(), FEDERATION, path, NULL, &why));
}

static inline void log_nowhere(void)
{
    FILE *sink = fopen("/dev/null", "w");
    log_set_fd(dup(fileno(sink)));
    (void)fclose(sink);
}

static inline int fed_setup(void **state)
{
    (void)state;
    log_set_level(getenv("STORE_TEST_LOG") != NULL ? LOG_DEBUG : LOG_ERROR);
    if (getenv("STORE_TEST_LOG") == NULL) {
        log_nowhere();
    }
    (void)snprintf(fed_dir, sizeof fed_dir, "/tmp/store-test-XXXXXX");
    assert_non_null(mkdtemp(fed_dir));
    shell("$C/../tests/support/cast.sh . '"
          "$C/make-federation.sh fed --name %s --suite %s %s && "
          "$C/make-node.sh fed %012llu --tier village --code %012llu && "
          "$C/make-node.sh fed %012llu --tier township --code %012llu'",
          FEDERATION, suite_name(test_suite()), FED_ISSUERS, VILLAGE, VILLAGE,
          TOWNSHIP, TOWNSHIP);
    fed_read_trust();
    if (on_mariadb()) {
        mariadb_init(&fed_server, fed_dir);
    }
    return 0;
}

static inline int fed_teardown(void **state)
{
    (void)state;
    trust_free(&fed_trust);
    mariadb_end(&fed_server, SIGKILL);
    shell("rm -rf %s", fed_dir);
    return 0;
}

/* ---- nodes ---- */

struct node {
    const struct backend *backend;
    uint64_t code;
    char path[128];
    char keys[128];
    struct identity sign;
    struct identity seal;
    struct keyring *keyring;
    struct rootchain *roots; /* set by who needs it, from the next start on */
    struct store *store;
    uint64_t reserve_bytes;
    bool has_parent; /* from the next start on */
};

static inline void load_identity(const struct node *n, const char *name,
                                 enum cert_use use, struct identity *out)
{
    char cert[160];
    char key[160];
    struct errmsg why;
    (void)snprintf(cert, sizeof cert, "%s/%012llu/%s.pem", fed_dir,
                   (unsigned long long)n->code, name);
    (void)snprintf(key, sizeof key, "%s/%012llu/%s.key", fed_dir,
                   (unsigned long long)n->code, name);
    assert_ok(identity_load(out, fed_trust, use, cert, key, &why));
}

/* The database is named as the folder is. */
static inline const char *node_database(const struct node *n)
{
    return strrchr(n->path, '/') + 1;
}

static inline struct store_mariadb_conf node_mariadb(const struct node *n)
{
    struct store_mariadb_conf conf = fed_mariadb;
    conf.database = node_database(n);
    conf.socket = conf.socket != NULL ? conf.socket : fed_server.socket;
    return conf;
}

static inline enum err node_try_open(struct node *n, struct errmsg *why)
{
    const struct store_conf conf = {.mariadb = node_mariadb(n),
                                    .path = n->path,
                                    .has_parent = n->has_parent,
                                    .cache_bytes = 2 << 20,
                                    .write_buffer_bytes = 2 << 20,
                                    .reserve_bytes = n->reserve_bytes,
                                    .queue_max = 256,
                                    .queue_bytes_max = 32 << 20};
    const struct store_env env = {.suite = test_suite(),
                                  .federation = FEDERATION,
                                  .self = n->code,
                                  .signer = &n->sign,
                                  .keyring = n->keyring,
                                  .roots = n->roots};
    return store_open_on(&n->store, n->backend, &conf, &env, why);
}

static inline void node_start(struct node *n)
{
    struct errmsg why = {""};
    enum err err = node_try_open(n, &why);
    if (err != ERR_OK) {
        fail_msg("store_open: %s: %s", err_name(err), why.text);
    }
}

static inline void node_init(struct node *n, const struct backend *backend,
                             uint64_t code, const char *name)
{
    struct errmsg why;
    *n = (struct node){.backend = backend, .code = code};
    (void)snprintf(n->path, sizeof n->path, "%s/%s", fed_dir, name);
    (void)snprintf(n->keys, sizeof n->keys, "%s/%s.keys", fed_dir, name);
    load_identity(n, "sign", CERT_USE_SIGN, &n->sign);
    load_identity(n, "seal", CERT_USE_SEAL, &n->seal);
    assert_ok(
        keyring_open(&n->keyring, n->keys, test_suite(), code, &n->seal, &why));
    if (on_mariadb()) {
        mariadb_sql(&fed_server, "CREATE DATABASE IF NOT EXISTS `%s`",
                    node_database(n));
    }
    node_start(n);
}

static inline void node_stop(struct node *n)
{
    store_close(&n->store);
}

static inline void node_fini(struct node *n)
{
    node_stop(n);
    keyring_free(&n->keyring);
    identity_fini(&n->sign);
    identity_fini(&n->seal);
    if (on_mariadb()) {
        mariadb_sql(&fed_server, "DROP DATABASE `%s`", node_database(n));
    }
    shell("rm -rf %s %s", n->path, n->keys);
}

static inline void node_restart(struct node *n)
{
    node_stop(n);
    node_start(n);
}

/* ---- backups of a stopped store ---- */

/* Copies or moves all tables of a database to another, which is new. */
static inline void copy_tables(const char *from, const char *to, bool move)
{
    static const char *const tables[] = {"cn_schema",  "cn_owner", "cn_meta",
                                         "cn_part",    "cn_block", "cn_node",
                                         "cn_index",   "cn_list",  "cn_issue",
                                         "cn_salvage", "cn_source"};
    mariadb_sql(&fed_server, "CREATE DATABASE `%s`", to);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        const char *t = tables[i];
        if (move) {
            mariadb_sql(&fed_server, "RENAME TABLE `%s`.%s TO `%s`.%s", from, t,
                        to, t);
        } else {
            mariadb_sql(&fed_server, "CREATE TABLE `%s`.%s LIKE `%s`.%s", to, t,
                        from, t);
            mariadb_sql(&fed_server,
                        "INSERT INTO `%s`.%s SELECT * FROM `%s`.%s", to, t,
                        from, t);
        }
    }
}

static inline void node_backup(const struct node *n)
{
    char old[64];
    (void)snprintf(old, sizeof old, "%.56s_old", node_database(n));
    shell("cp -r %s %s.old", n->path, n->path);
    if (on_mariadb()) {
        copy_tables(node_database(n), old, false);
    }
}

/* Everything the store keeps is gone. */
static inline void node_wipe(const struct node *n)
{
    shell("rm -rf %s", n->path);
    if (on_mariadb()) {
        mariadb_sql(&fed_server, "DROP DATABASE `%s`", node_database(n));
        mariadb_sql(&fed_server, "CREATE DATABASE `%s`", node_database(n));
    }
}

static inline void node_restore(const struct node *n)
{
    char old[64];
    (void)snprintf(old, sizeof old, "%.56s_old", node_database(n));
    shell("rm -rf %s && mv %s.old %s", n->path, n->path, n->path);
    if (on_mariadb()) {
        mariadb_sql(&fed_server, "DROP DATABASE `%s`", node_database(n));
        copy_tables(old, node_database(n), true);
        mariadb_sql(&fed_server, "DROP DATABASE `%s`", old);
    }
}

/* ---- drafts ---- */

struct draft {
    uint32_t record; /* makes the record key */
    const char *subject;
    const char *prev_subject;
    const char *text; /* of the body */
    uint32_t version; /* for foreign logs; 0 in drafts */
    uint64_t prev_incarnation;
    uint64_t prev_number;
    uint8_t status;
};

static inline void record_key_of(uint32_t record, uint8_t out[RECORD_KEY_LEN])
{
    memset(out, 0xa5, RECORD_KEY_LEN);
    be_put32(out, record * 2654435761u);
    be_put32(out + 4, record);
}

static inline void draft_put(struct buf *out, const struct draft *d)
{
    struct buf body = BUF_INIT;
    struct hash digest;
    suite_hash(test_suite(), slice_str(d->text), &digest);
    buf_put_u8(&body, 0x0a);
    buf_put_u8(&body, RECORD_DIGEST_LEN);
    buf_put(&body, digest.b, RECORD_DIGEST_LEN);
    buf_put_u8(&body, 0x12);
    buf_put_varint(&body, strlen(d->text));
    buf_put_str(&body, d->text);
    struct entry e = {.type = ENTRY_RECORD,
                      .status = d->status,
                      .subject_kind = SUBJECT_USCC,
                      .item = 7,
                      .entered_at_ms = 1772000000000,
                      .version = d->version,
                      .prev_incarnation = d->prev_incarnation,
                      .prev_number = d->prev_number,
                      .decided = 20260301,
                      .subject = slice_str(d->subject),
                      .body = buf_slice(&body)};
    if (d->prev_subject != NULL) {
        e.prev_subject = slice_str(d->prev_subject);
    }
    record_key_of(d->record, e.record_key);
    entry_encode(&e, out);
    buf_fini(&body);
}

/* ---- waiting for callbacks ---- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    enum err err;
    char why[160];
    uint64_t size;
    uint64_t added;
    size_t n;
    struct draft_result results[DRAFTS_MAX];
};

static inline struct waiter *waiter_new(void)
{
    struct waiter *w = MEM_NEW(struct waiter);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->wake, NULL);
    return w;
}

static inline void waiter_done(struct waiter *w, enum err err, const char *why)
{
    (void)pthread_mutex_lock(&w->lock);
    assert_false(w->done);
    w->done = true;
    w->err = err;
    (void)snprintf(w->why, sizeof w->why, "%s", why);
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}

static inline enum err waiter_wait(struct waiter *w)
{
    (void)pthread_mutex_lock(&w->lock);
    while (!w->done) {
        (void)pthread_cond_wait(&w->wake, &w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return w->err;
}

static inline void waiter_free(struct waiter *w)
{
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->wake);
    mem_free(w);
}

static inline void on_submitted(void *ctx, enum err err, const char *why,
                                const struct draft_result *results, size_t n)
{
    struct waiter *w = ctx;
    w->n = n;
    if (n > 0) {
        memcpy(w->results, results, n * sizeof(*results));
    }
    waiter_done(w, err, why);
}

static inline void on_appended(void *ctx, enum err err, const char *why,
                               const struct log_id *log, uint64_t size,
                               uint64_t added)
{
    struct waiter *w = ctx;
    (void)log;
    w->size = size;
    w->added = added;
    waiter_done(w, err, why);
}

/* Submits and waits; results may be NULL. */
static inline enum err submit_bytes(struct store *s, const struct slice *drafts,
                                    size_t n, struct draft_result *results)
{
    struct waiter *w = waiter_new();
    enum err err = store_submit(s, drafts, n, on_submitted, w);
    if (err == ERR_OK) {
        err = waiter_wait(w);
        if (err == ERR_OK && results != NULL) {
            assert_int_equal(w->n, n);
            memcpy(results, w->results, n * sizeof(*results));
        }
    }
    waiter_free(w);
    return err;
}

static inline enum err submit(struct store *s, const struct draft *drafts,
                              size_t n, struct draft_result *results)
{
    struct buf bytes = BUF_INIT;
    size_t *ends = mem_zalloc(n, sizeof(*ends));
    struct slice *slices = mem_zalloc(n, sizeof(*slices));
    for (size_t i = 0; i < n; i++) {
        draft_put(&bytes, &drafts[i]);
        ends[i] = bytes.len;
    }
    for (size_t i = 0, at = 0; i < n; at = ends[i++]) {
        slices[i] = slice_of(bytes.data + at, ends[i] - at);
    }
    enum err err = submit_bytes(s, slices, n, results);
    buf_fini(&bytes);
    mem_free(ends);
    mem_free(slices);
    return err;
}

/* `n` records from number `from` on, 16 to a subject, one submission. */
static inline void submit_many(struct store *s, uint32_t from, uint32_t n)
{
    struct draft *drafts = mem_zalloc(n, sizeof(*drafts));
    char(*text)[64] = mem_zalloc(n, sizeof(*text));
    char(*subject)[32] = mem_zalloc(n, sizeof(*subject));
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(text[i], sizeof text[i], "penalty %u, office of waters",
                       from + i);
        (void)snprintf(subject[i], sizeof subject[i], "9134182100%08u",
                       (from + i) / 16);
        drafts[i] = (struct draft){
            .record = from + i, .subject = subject[i], .text = text[i]};
    }
    assert_ok(submit(s, drafts, n, NULL));
    mem_free(drafts);
    mem_free(text);
    mem_free(subject);
}

/* ---- segments, as sync makes them ---- */

enum { FIXTURE_REFS = 1024 };

static inline void unpack_run(struct segment *seg, struct block_codec *codec)
{
    seg->slots = mem_zalloc(seg->count, sizeof(*seg->slots));
    seg->leaves = mem_zalloc(seg->count, sizeof(*seg->leaves));
    size_t *at = mem_zalloc(seg->count, sizeof(*at));
    for (size_t b = 0; b < seg->refs_count; b++) {
        struct slot slots[BLOCK_ENTRIES_MAX];
        size_t count;
        const struct block_ref *ref = &seg->refs[b];
        assert_ok(block_unpack(
            codec, slice_of(seg->blocks.data + ref->offset, ref->len), slots,
            &count));
        for (size_t i = 0; i < count; i++) {
            uint64_t number = ref->first + i;
            if (number < seg->first || number >= seg->first + seg->count) {
                continue;
            }
            size_t k = (size_t)(number - seg->first);
            suite_hash_leaf(test_suite(), slots[i].entry, &seg->leaves[k]);
            at[k] = seg->raw.len;
            seg->slots[k].entry.len = slots[i].entry.len;
            buf_put_slice(&seg->raw, slots[i].entry);
        }
    }
    for (size_t k = 0; k < seg->count; k++) {
        seg->slots[k].entry.data = seg->raw.data + at[k];
    }
    mem_free(at);
}

/* Entries `from` to `last` or to the end of `last`'s block. */
static inline struct segment *segment_of(struct store *s,
                                         const struct log_id *log,
                                         uint64_t from, uint64_t last)
{
    struct segment *seg = segment_new();
    struct store_head *head = MEM_NEW(struct store_head);
    assert_ok(store_head(s, log, head));
    struct tree_view view = store_view(s, head);
    seg->log = *log;
    seg->first = from;
    seg->refs = mem_zalloc(FIXTURE_REFS, sizeof(*seg->refs));
    assert_ok(store_blocks(s, log, from, last, SEGMENT_BYTES_MAX, &seg->blocks,
                           seg->refs, FIXTURE_REFS, &seg->refs_count));
    const struct block_ref *end = &seg->refs[seg->refs_count - 1];
    seg->count = (size_t)(end->first + end->count - from);
    assert_ok(tree_frontier(&view, from - 1, &seg->before));
    assert_ok(tree_frontier(&view, from + seg->count - 1, &seg->after));
    seg->newest = head->newest;
    assert_ok(
        tree_bridge(&view, seg->after.size, head->newest.size, &seg->bridge));
    assert_ok(store_note(s, log, &seg->note, &seg->chain));
    struct block_codec *codec = block_codec_new();
    unpack_run(seg, codec);
    block_codec_free(&codec);
    mem_free(head);
    return seg;
}

/* Where segment_of(…, last) ends. */
static inline uint64_t segment_end(struct store *s, const struct log_id *log,
                                   uint64_t last)
{
    struct segment *seg = segment_of(s, log, 1, last);
    uint64_t end = seg->after.size;
    segment_free(&seg);
    return end;
}

/* Appends and waits; *size may be NULL. */
static inline enum err append(struct store *s, struct segment *seg,
                              uint64_t *size)
{
    struct waiter *w = waiter_new();
    enum err err = store_append(s, &seg, on_appended, w);
    if (err == ERR_OK) {
        err = waiter_wait(w);
        if (size != NULL) {
            *size = w->size;
        }
    }
    segment_free(&seg);
    waiter_free(w);
    return err;
}

static inline uint64_t size_of(struct store *s, const struct log_id *log)
{
    struct store_head *head = MEM_NEW(struct store_head);
    uint64_t size =
        store_head(s, log, head) == ERR_OK ? head->frontier.size : 0;
    mem_free(head);
    return size;
}

/* Brings `to` up to what `from` has of the log. */
static inline void copy_log(struct store *from, struct store *to,
                            const struct log_id *log)
{
    uint64_t size = size_of(from, log);
    for (uint64_t have = size_of(to, log); have < size;) {
        uint64_t last = size - have < 4096 ? size : have + 4096;
        assert_ok(append(to, segment_of(from, log, have + 1, last), &have));
    }
}

static inline void assert_same_log(struct store *a, struct store *b,
                                   const struct log_id *log)
{
    struct store_head x;
    struct store_head y;
    assert_ok(store_head(a, log, &x));
    assert_ok(store_head(b, log, &y));
    assert_int_equal(x.frontier.size, y.frontier.size);
    assert_memory_equal(x.root.b, y.root.b, HASH_LEN);
    for (uint64_t n = 1; n <= x.frontier.size; n++) {
        struct buf p = BUF_INIT;
        struct buf q = BUF_INIT;
        assert_ok(store_entry(a, log, n, &p));
        assert_ok(store_entry(b, log, n, &q));
        assert_true(slice_eq(buf_slice(&p), buf_slice(&q)));
        buf_fini(&p);
        buf_fini(&q);
    }
}

/* ---- logs written by hand: what store_submit() would never write ---- */

struct forge {
    const struct node *signer;
    struct log_id log;
    struct frontier frontier;
};

/* The run of `n` entries as a segment with its own signed head. */
static inline struct segment *forge_run(struct forge *f,
                                        const struct slice *entries, size_t n)
{
    struct segment *seg = segment_new();
    struct block_codec *codec = block_codec_new();
    seg->log = f->log;
    seg->first = f->frontier.size + 1;
    seg->count = n;
    seg->before = f->frontier;
    seg->refs = mem_zalloc(n, sizeof(*seg->refs));
    for (size_t i = 0; i < n; i++) {
        struct hash leaf;
        struct slot slot = {.entry = entries[i]};
        struct block_ref *ref = &seg->refs[seg->refs_count++];
        suite_hash_leaf(test_suite(), entries[i], &leaf);
        frontier_append(&f->frontier, test_suite(), &leaf, NULL, NULL);
        *ref = (struct block_ref){.first = f->frontier.size, .count = 1};
        ref->offset = (uint32_t)seg->blocks.len;
        block_pack(codec, &slot, 1, &seg->blocks);
        ref->len = (uint32_t)seg->blocks.len - ref->offset;
    }
    unpack_run(seg, codec);
    block_codec_free(&codec);
    seg->after = f->frontier;
    seg->newest.log = f->log;
    seg->newest.size = f->frontier.size;
    seg->newest.at_ms = clock_wall_ms();
    frontier_root(&f->frontier, test_suite(), &seg->newest.root);
    seg->bridge.size = f->frontier.size;
    assert_ok(checkpoint_sign(&seg->newest, FEDERATION, test_suite(),
                              &f->signer->sign, &seg->note));
    buf_put_slice(&seg->chain, buf_slice(&f->signer->sign.chain));
    return seg;
}

/* Begins a log in `to`; `open` may name a predecessor. */
static inline enum err forge_open_kind(struct forge *f, struct store *to,
                                       const struct node *signer,
                                       enum log_kind kind, uint64_t incarnation,
                                       const struct entry_open *open)
{
    const struct entry_open none = {0};
    struct buf entry = BUF_INIT;
    *f = (struct forge){
        .signer = signer,
        .log = {signer->code, incarnation, kind},
    };
    entry_open_encode(open != NULL ? open : &none, 1772000000000, &entry);
    struct slice s = buf_slice(&entry);
    enum err err = append(to, forge_run(f, &s, 1), NULL);
    buf_fini(&entry);
    return err;
}

static inline enum err forge_open(struct forge *f, struct store *to,
                                  const struct node *signer,
                                  uint64_t incarnation,
                                  const struct entry_open *open)
{
    return forge_open_kind(f, to, signer, LOG_RECORDS, incarnation, open);
}

static inline enum err forge_bytes(struct forge *f, struct store *to,
                                   struct slice bytes)
{
    return append(to, forge_run(f, &bytes, 1), NULL);
}

static inline enum err forge_draft(struct forge *f, struct store *to,
                                   const struct draft *d)
{
    struct buf entry = BUF_INIT;
    draft_put(&entry, d);
    enum err err = forge_bytes(f, to, buf_slice(&entry));
    buf_fini(&entry);
    return err;
}

/* ---- the index ---- */

struct row_list {
    size_t n;
    struct store_row at[64];
};

static inline bool on_list_row(void *ctx, const struct store_row *row)
{
    struct row_list *list = ctx;
    assert_true(list->n < ARRAY_LEN(list->at));
    list->at[list->n++] = *row;
    return true;
}

static inline void rows_of(struct store *s, const char *subject,
                           struct row_list *out)
{
    struct subject_key key;
    struct store_stats stats;
    out->n = 0;
    subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
    enum err err = store_subject(s, &key, on_list_row, out);
    if (err != ERR_OK) {
        store_stats(s, &stats);
        fail_msg("%s: %s", err_name(err), stats.why);
    }
}

struct issue_list {
    size_t n;
    struct store_issue at[64];
};

static inline bool on_list_issue(void *ctx, const struct store_issue *issue)
{
    struct issue_list *list = ctx;
    assert_true(list->n < ARRAY_LEN(list->at));
    list->at[list->n++] = *issue;
    return true;
}

static inline bool are_issues_counted(struct store *s, struct issue_list *out)
{
    struct store_stats stats;
    out->n = 0;
    assert_ok(store_issues(s, on_list_issue, out));
    store_stats(s, &stats);
    return stats.issues == out->n;
}

/* The count follows the commit. */
static inline void issues_of(struct store *s, struct issue_list *out)
{
    WAIT_FOR(are_issues_counted(s, out));
}

/* After a failed read the store takes nothing for a moment. */
static inline void submit_patiently(struct store *s, const struct slice *draft,
                                    struct draft_result *result)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    enum err err = ERR_NO_SPACE;
    while (err == ERR_NO_SPACE && clock_mono_ms() < until_ms) {
        err = submit_bytes(s, draft, 1, result);
        if (err == ERR_NO_SPACE) {
            clock_sleep(50);
        }
    }
    assert_ok(err);
}

/* Nothing that was written or read before is in the node's cache of entries. */
static inline void forget_entries(const struct node *n)
{
    enum { OTHERS = 64, TEXT = 16000 };
    char text[TEXT + 1] = {0};
    memset(text, 'x', TEXT);
    for (uint32_t i = 0; i < OTHERS; i++) {
        const struct draft d = {
            .record = 1000 + i, .subject = "911000000000000000", .text = text};
        struct draft_result result;
        struct buf bytes = BUF_INIT;
        draft_put(&bytes, &d);
        const struct slice draft = buf_slice(&bytes);
        submit_patiently(n->store, &draft, &result);
        buf_clear(&bytes);
        assert_ok(store_entry(n->store, &result.log, result.number, &bytes));
        buf_fini(&bytes);
    }
}

#endif
