/* rocksdb.c - the embedded backend.
 *
 * Five column families, so that each has the options that fit it:
 *   default  'M' meta                     → value
 *            'P' part u8, log u32         → value
 *            'I' generation, log, number  → reason u8
 *            'S' seq u64                  → a salvaged entry
 *            'T' name of a source         → what it said, what became of it
 *   blocks   log u32, first number u64    → packed block
 *   tree     log u32, level u8, index u64 → 32 bytes
 *            log u32, 255, 0 → the head once more: one bad page must not take
 *            every head and so all that was not sent yet
 *   index    generation u8, subject len u8, subject, record key, owner → row
 *            generation u8, subject len u8 | 0x80, subject, log u32, number
 *            u64 → list row
 *   runs     number u64 → rows of a commit that are not in `index` yet
 * (tail.h); list rows are never among them
 *
 * Integers in keys are big-endian, so that key order is number order. */
#include "store/rocksdb/impl.h"
#include "store/row_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/mem.h"

/* rocksdb_readoptions_set_read_tier(): what is in memory. */
enum { TIER_MEMORY = 1 };
/* rocksdb_block_based_options_set_checksum(): Debian's RocksDB computes the
 * usual one without the processor's instruction. Each page says which it has.
 */
enum { CHECKSUM_XXH3 = 4 };

enum {
    OPEN_FILES_MAX = 256,
    INFO_LOG_NOTHING = 5, /* above fatal errors */
    MANIFEST_BYTES = 4 << 20,
    ARENA_BYTES = 64 << 10,
    BLOOM_BITS = 10,
    /* Young files of the index before they are merged: that many bytes of the
     * tail, for each merge writes all that was merged before, too. A reader
     * asks each of their filters. */
    YOUNG_BYTES = 48 << 20,
    YOUNG_FILES_MAX = 24,
    /* Files at which commits are slowed and stopped, for merges are behind:
     * RocksDB's own numbers, or so many times as many as are merged at once. */
    SLOWED_AT = 20,
    STOPPED_AT = 36,
    SLOWED_TIMES = 3,
    STOPPED_TIMES = 5,
    HEAD_COPY_LEVEL = 255,
    CHECK_TURN = 4096, /* rows of one call */
    /* A key is put in its place by comparisons all over the buffer: a larger
     * one is in no CPU cache, and costs more than it saves in merges. */
    INDEX_BUFFER_MAX = 8 << 20,
    SKIP_NOW_MAX = 64, /* deleted or older rows that a read `now` may meet */
};

struct batch {
    rocksdb_writebatch_t *wb;
    struct rdb *r;
    struct buf run; /* index rows */
    uint8_t drops; /* an index (0: none): none of its rows may come behind it */
};

static const char *const family_names[FAMILIES] = {
    [FAMILY_META] = "default", [FAMILY_BLOCKS] = "blocks",
    [FAMILY_TREE] = "tree",    [FAMILY_INDEX] = "index",
    [FAMILY_RUNS] = "runs",
};

/* Share of the write buffer, as a divisor, and page size: blocks are read one
 * at a time, index rows several. */
static const struct {
    uint32_t buffer_divisor;
    uint32_t page_bytes;
    int compression;
    bool bloom;
    int young_files; /* so many, at least, are merged into the older ones */
} family_conf[FAMILIES] = {
    /* Most sources that are asked for are not there. */
    [FAMILY_META] = {8, 4096, rocksdb_no_compression, true, 4},
    [FAMILY_BLOCKS] = {3, 16384, rocksdb_no_compression, false, 4},
    [FAMILY_TREE] = {8, 4096, rocksdb_no_compression, false, 4},
    /* Keys without an order: each merge writes all older ones again. */
    [FAMILY_INDEX] = {3, 4096, rocksdb_lz4_compression, true, 8},
    /* Deleted and flushed each time a part of the tail is in a file. */
    [FAMILY_RUNS] = {2, 16384, rocksdb_no_compression, false, 4},
};

/* ---- errors ---- */

static const struct {
    const char *text;
    enum err err;
} status_errors[] = {
    {"lock file", ERR_BUSY},
    {"lock hold", ERR_BUSY},
    {"Corruption", ERR_CORRUPT},
    {"No space left", ERR_NO_SPACE},
    {"Read-only file system", ERR_NO_SPACE},
    {"Disk quota", ERR_NO_SPACE},
    {"File too large", ERR_NO_SPACE},
    {"Result incomplete", ERR_BUSY}, /* `now` only: not without waiting */
};

enum err rdb_error(char *text, struct errmsg *why)
{
    if (text == NULL) {
        return ERR_OK;
    }
    enum err err = ERR_IO;
    for (size_t i = 0; i < ARRAY_LEN(status_errors); i++) {
        if (strstr(text, status_errors[i].text) != NULL) {
            err = status_errors[i].err;
            break;
        }
    }
    /* "Corruption: …  in FILE offset N": the file is what matters. */
    char *file = strstr(text, "  in ");
    if (file != NULL) {
        (void)err_set(why, err, "%s: %.*s", file + 5, (int)(file - text), text);
    } else {
        (void)err_set(why, err, "%s", text);
    }
    rocksdb_free(text);
    return err;
}

/* ---- keys ---- */

static struct key block_key(uint32_t log, uint64_t first)
{
    struct key k = {.len = 12};
    be_put32(k.b, log);
    be_put64(k.b + 4, first);
    return k;
}

static struct key node_key(uint32_t log, unsigned level, uint64_t index)
{
    struct key k = {.len = 13};
    be_put32(k.b, log);
    k.b[4] = (uint8_t)level;
    be_put64(k.b + 5, index);
    return k;
}

static struct key part_key(enum log_part part, uint32_t log)
{
    struct key k = {.len = 6, .b = {'P', (uint8_t)part}};
    be_put32(k.b + 2, log);
    return k;
}

static struct key meta_key(enum meta meta)
{
    return (struct key){.len = 2, .b = {'M', (uint8_t)meta}};
}

static struct key issue_key(uint8_t generation, uint32_t log, uint64_t number)
{
    struct key k = {.len = 14, .b = {'I', generation}};
    be_put32(k.b + 2, log);
    be_put64(k.b + 6, number);
    return k;
}

static struct key salvage_key(uint64_t seq)
{
    struct key k = {.len = 9, .b = {'S'}};
    be_put64(k.b + 1, seq);
    return k;
}

static struct key source_key(const uint8_t name[SOURCE_LEN])
{
    struct key k = {.len = 1 + SOURCE_LEN, .b = {'T'}};
    memcpy(k.b + 1, name, SOURCE_LEN);
    return k;
}

/* ---- rows ---- */

enum { ROW_MOVED = 1, ROW_DIGEST = 2, ROW_FIXED = 4 + 1 + 2 + 1 + 1 + 4 * 3 };

static size_t row_encode(const struct row *row,
                         uint8_t out[ROW_FIXED + 20 + DIGEST_LEN])
{
    uint8_t *p = out;
    be_put32(p, row->log);
    p[4] = (uint8_t)((row->moved ? ROW_MOVED : 0) |
                     (row->has_digest ? ROW_DIGEST : 0));
    be_put16(p + 5, row->item);
    p[7] = row->status;
    p[8] = row->disclosure;
    be_put32(p + 9, row->decided);
    be_put32(p + 13, row->until);
    be_put32(p + 17, row->publish_until);
    p += ROW_FIXED;
    const uint64_t v[2] = {row->number, row->version};
    for (size_t i = 0; i < 2; i++) {
        uint64_t left = v[i];
        for (; left >= 0x80; left >>= 7) {
            *p++ = (uint8_t)(left | 0x80);
        }
        *p++ = (uint8_t)left;
    }
    if (row->has_digest) {
        memcpy(p, row->digest, DIGEST_LEN);
        p += DIGEST_LEN;
    }
    return (size_t)(p - out);
}

enum {
    LIST_ROW_LEN = 1 + 2 + 4 * 3,
    LIST_ROW_LONG = LIST_ROW_LEN + 8 * 3,
};

static struct key list_prefix(uint8_t generation,
                              const struct subject_key *subject)
{
    struct key k = row_key_prefix(generation, subject);
    k.b[1] |= LIST_ROW;
    return k;
}

/* ---- which subjects have rows at all ---- */

/* Who asks for the rows of a subject, or for its list rows, wants those of few
 * files: almost every subject is on no list, and its records came in one or two
 * years of many. What such rows begin with is in the filters of the files, so
 * that one that has none is passed by without reading a page. The name stands
 * in the files: in those of an earlier build, which had another one, only list
 * rows were told of, and they are read. */
static const char *subject_name(void *state)
{
    (void)state;
    return "creditnode.subject.2";
}

static unsigned char subject_is_there(void *state, const char *key, size_t len)
{
    (void)state;
    return len >= 2 && len >= 2u + ((uint8_t)key[1] & (LIST_ROW - 1));
}

static char *subject_of(void *state, const char *key, size_t len, size_t *out)
{
    /* The C API takes no const; nobody writes to it. */
    const union {
        const char *in;
        char *out;
    } borrowed = {.in = key};
    (void)state;
    (void)len;
    *out = 2u + ((uint8_t)key[1] & (LIST_ROW - 1));
    return borrowed.out;
}

static void subject_end(void *state)
{
    (void)state;
}

static rocksdb_slicetransform_t *row_subjects(void)
{
    return rocksdb_slicetransform_create(NULL, subject_end, subject_of,
                                         subject_is_there, subject_is_there,
                                         subject_name);
}

static struct key list_key(uint8_t generation, const struct list_row *row)
{
    struct key k = list_prefix(generation, &row->subject);
    be_put32(k.b + k.len, row->log);
    be_put64(k.b + k.len + 4, row->number);
    k.len += 12;
    return k;
}

static size_t list_row_encode(const struct list_row *row,
                              uint8_t out[LIST_ROW_LONG])
{
    out[0] = row->type;
    be_put16(out + 1, row->list);
    be_put32(out + 3, row->decided);
    be_put32(out + 7, row->from);
    be_put32(out + 11, row->until);
    if (row->target_number == 0) {
        return LIST_ROW_LEN;
    }
    be_put64(out + 15, row->target_origin);
    be_put64(out + 23, row->target_incarnation);
    be_put64(out + 31, row->target_number);
    return LIST_ROW_LONG;
}

/* `key` begins with the prefix of `row->subject`. */
static bool list_row_decode(struct slice key, struct slice value,
                            struct list_row *row)
{
    size_t skip = 2u + row->subject.len;
    if (key.len != skip + 12 ||
        (value.len != LIST_ROW_LEN && value.len != LIST_ROW_LONG)) {
        return false;
    }
    row->log = be_get32(key.data + skip);
    row->number = be_get64(key.data + skip + 4);
    row->type = value.data[0];
    row->list = be_get16(value.data + 1);
    row->decided = be_get32(value.data + 3);
    row->from = be_get32(value.data + 7);
    row->until = be_get32(value.data + 11);
    bool target = value.len == LIST_ROW_LONG;
    row->target_origin = target ? be_get64(value.data + 15) : 0;
    row->target_incarnation = target ? be_get64(value.data + 23) : 0;
    row->target_number = target ? be_get64(value.data + 31) : 0;
    return true;
}

static enum err row_decode(struct slice value, struct row *row)
{
    struct reader r = reader_of(value);
    row->log = reader_u32(&r);
    uint8_t flags = reader_u8(&r);
    row->item = reader_u16(&r);
    row->status = reader_u8(&r);
    row->disclosure = reader_u8(&r);
    row->decided = reader_u32(&r);
    row->until = reader_u32(&r);
    row->publish_until = reader_u32(&r);
    row->number = reader_varint(&r);
    row->version = (uint32_t)reader_varint(&r);
    row->moved = (flags & ROW_MOVED) != 0;
    row->has_digest = (flags & ROW_DIGEST) != 0;
    if (row->has_digest) {
        struct slice digest = reader_bytes(&r, DIGEST_LEN);
        if (digest.data != NULL) {
            memcpy(row->digest, digest.data, DIGEST_LEN);
        }
    }
    return reader_done(&r) ? ERR_OK : ERR_CORRUPT;
}

/* ---- open and close ---- */

static void options_common(struct rdb *r, const struct store_conf *conf)
{
    rocksdb_options_t *o = r->options;
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_create_missing_column_families(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    /* The default drops everything behind a damaged record without a word. A
     * record torn by a power cut is the last one and still no error. */
    rocksdb_options_set_wal_recovery_mode(
        o, rocksdb_tolerate_corrupted_tail_records_recovery);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_max_open_files(o, OPEN_FILES_MAX);
    rocksdb_options_set_db_write_buffer_size(
        o, conf->write_buffer_bytes - runs_memory(conf->write_buffer_bytes));
    /* Small families are rarely flushed; without a bound they would keep every
     * old write-ahead log. */
    rocksdb_options_set_max_total_wal_size(o, 4 * conf->write_buffer_bytes);
    rocksdb_options_set_avoid_unnecessary_blocking_io(o, 1);
    rocksdb_options_set_max_manifest_file_size(o, MANIFEST_BYTES);
    /* Debian builds RocksDB with its assertions, and one of them ends the
     * process at the first line of its own log behind one that the disk did not
     * take. So it writes none: a log of one file leaves out even its heading.
     * What matters comes as the error of a call. */
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_max_log_file_size(o, 0);
    rocksdb_options_set_info_log_level(o, INFO_LOG_NOTHING);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
}

/* Rows of a commit come in the order of their keys: the place of each in the
 * memtable is looked for from that of the last one of its prefix, which is
 * generation and length of the subject. RocksDB 7.8 keeps one such place for
 * rows and for deleted ranges, which it keeps elsewhere, and mixes the two up:
 * the ends of a range in this family must stay shorter than the prefix. */
#define INSERT_HINT "memtable_insert_with_hint_prefix_extractor=fixed:2"

static void hint_inserts(rocksdb_options_t **options)
{
    rocksdb_options_t *hinted = rocksdb_options_create();
    char *status = NULL;
    rocksdb_get_options_from_string(*options, INSERT_HINT, hinted, &status);
    rocksdb_options_t *unused = status == NULL ? *options : hinted;
    *options = status == NULL ? hinted : *options; /* without it: slower */
    rocksdb_free(status);
    rocksdb_options_destroy(unused);
}

/* `young`: of files that lie above all others (runs.c). */
static rocksdb_block_based_table_options_t *
table_options(const struct rdb *r, enum family f, bool young)
{
    rocksdb_block_based_table_options_t *t =
        rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(t, r->cache);
    rocksdb_block_based_options_set_block_size(t, family_conf[f].page_bytes);
    rocksdb_block_based_options_set_format_version(t, 5);
    rocksdb_block_based_options_set_checksum(t, CHECKSUM_XXH3);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(t,
                                                                            1);
    if (family_conf[f].bloom) {
        rocksdb_block_based_options_set_filter_policy(
            t, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
        rocksdb_block_based_options_set_whole_key_filtering(t, 1);
        /* In pages, like all else: a whole filter is larger than the cache of
         * a village. That of a young file is small, stays in memory, and is
         * asked about each subject that anybody asks for. */
        rocksdb_block_based_options_set_index_type(
            t, rocksdb_block_based_table_index_type_two_level_index_search);
        rocksdb_block_based_options_set_partition_filters(t, !young);
        rocksdb_block_based_options_set_metadata_block_size(
            t, family_conf[f].page_bytes);
        rocksdb_block_based_options_set_pin_top_level_index_and_filter(t, 1);
    }
    return t;
}

static void set_table(rocksdb_options_t *o, const struct rdb *r, enum family f,
                      bool young)
{
    rocksdb_block_based_table_options_t *t = table_options(r, f, young);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
}

static int at_least(int n, int least)
{
    return n > least ? n : least;
}

/* So many are merged into the older ones. */
static int young_files(enum family f, uint64_t write_buffer_bytes)
{
    size_t n = f == FAMILY_INDEX
                   ? YOUNG_BYTES / runs_file_memory(write_buffer_bytes)
                   : 0;
    return at_least(n > YOUNG_FILES_MAX ? YOUNG_FILES_MAX : (int)n,
                    family_conf[f].young_files);
}

static void options_family(struct rdb *r, const struct store_conf *conf,
                           enum family f)
{
    rocksdb_options_t *o = rocksdb_options_create_copy(r->options);
    if (f == FAMILY_INDEX) {
        hint_inserts(&o);
    }
    size_t share = conf->write_buffer_bytes / family_conf[f].buffer_divisor;
    size_t buffer = f == FAMILY_INDEX && share > INDEX_BUFFER_MAX
                        ? INDEX_BUFFER_MAX
                        : share;
    rocksdb_options_set_write_buffer_size(o, buffer);
    rocksdb_options_set_arena_block_size(o, ARENA_BYTES);
    rocksdb_options_set_target_file_size_base(o, 16 << 20);
    rocksdb_options_set_max_bytes_for_level_base(o, 64 << 20);
    rocksdb_options_set_compression(o, family_conf[f].compression);
    int young = young_files(f, conf->write_buffer_bytes);
    rocksdb_options_set_level0_file_num_compaction_trigger(o, young);
    rocksdb_options_set_level0_slowdown_writes_trigger(
        o, at_least(SLOWED_TIMES * young, SLOWED_AT));
    rocksdb_options_set_level0_stop_writes_trigger(
        o, at_least(STOPPED_TIMES * young, STOPPED_AT));
    if (family_conf[f].bloom) {
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.05);
        rocksdb_options_set_memtable_whole_key_filtering(o, 1);
    }
    if (f == FAMILY_INDEX) {
        rocksdb_options_set_prefix_extractor(o, row_subjects());
    }
    set_table(o, r, f, false);
    r->family_options[f] = o;
    if (f == FAMILY_INDEX) {
        r->young_options = rocksdb_options_create_copy(o);
        set_table(r->young_options, r, f, true);
    }
}

static void rdb_close(void *db)
{
    struct rdb *r = db;
    runs_fini(r);
    for (size_t i = 0; i < FAMILIES; i++) {
        if (r->family[i] != NULL) {
            rocksdb_column_family_handle_destroy(r->family[i]);
        }
    }
    if (r->db != NULL) {
        rocksdb_close(r->db);
    }
    for (size_t i = 0; i < FAMILIES; i++) {
        rocksdb_options_destroy(r->family_options[i]);
    }
    rocksdb_options_destroy(r->young_options);
    rocksdb_readoptions_destroy(r->point);
    rocksdb_readoptions_destroy(r->bulk);
    rocksdb_readoptions_destroy(r->now);
    rocksdb_readoptions_destroy(r->subject);
    rocksdb_readoptions_destroy(r->subject_now);
    rocksdb_writeoptions_destroy(r->synced);
    rocksdb_options_destroy(r->options);
    absent_fini(r);
    rocksdb_cache_destroy(r->cache);
    mem_free(r->path);
    mem_free(r);
}

static rocksdb_readoptions_t *read_options(bool now)
{
    rocksdb_readoptions_t *o = rocksdb_readoptions_create();
    rocksdb_readoptions_set_total_order_seek(o, 1);
    if (now) {
        rocksdb_readoptions_set_read_tier(o, TIER_MEMORY);
        /* The last reader of an old version would delete its files. */
        rocksdb_readoptions_set_background_purge_on_iterator_cleanup(o, 1);
        rocksdb_readoptions_set_max_skippable_internal_keys(o, SKIP_NOW_MAX);
    } else {
        rocksdb_readoptions_set_verify_checksums(o, 1);
    }
    return o;
}

static struct rdb *rdb_new(const struct store_conf *conf)
{
    struct rdb *r = MEM_NEW(struct rdb);
    r->path = mem_strdup(conf->path);
    runs_init(r, conf->write_buffer_bytes);
    r->options = rocksdb_options_create();
    size_t pages = cache_parts_of(&store_rocksdb, conf).pages;
    r->cache = rocksdb_cache_create_lru(pages);
    absent_init(r, pages);
    options_common(r, conf);
    for (size_t i = 0; i < FAMILIES; i++) {
        options_family(r, conf, (enum family)i);
    }
    r->point = read_options(false);
    r->bulk = read_options(false);
    rocksdb_readoptions_set_fill_cache(r->bulk, 0);
    r->now = read_options(true);
    r->subject = read_options(false);
    r->subject_now = read_options(true);
    /* All others go on past what a filter knows of. */
    rocksdb_readoptions_set_total_order_seek(r->subject, 0);
    rocksdb_readoptions_set_total_order_seek(r->subject_now, 0);
    rocksdb_readoptions_set_prefix_same_as_start(r->subject, 1);
    rocksdb_readoptions_set_prefix_same_as_start(r->subject_now, 1);
    r->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->synced, 1);
    return r;
}

/* Families that a database has which is to be read as it is: one of an earlier
 * build lacks the last. */
static int families_there(const struct rdb *r)
{
    char *status = NULL;
    size_t n = 0;
    char **names =
        rocksdb_list_column_families(r->options, r->path, &n, &status);
    bool there = status != NULL; /* the opening will say it */
    for (size_t i = 0; status == NULL && i < n; i++) {
        there = there || strcmp(names[i], family_names[FAMILY_RUNS]) == 0;
    }
    rocksdb_list_column_families_destroy(names, n);
    rocksdb_free(status);
    return there ? FAMILIES : FAMILIES - 1;
}

static enum err open_families(struct rdb *r, bool readonly, struct errmsg *why)
{
    char *status = NULL;
    const rocksdb_options_t *const *options =
        (const rocksdb_options_t *const *)r->family_options;
    r->readonly = readonly;
    r->db = readonly
                ? rocksdb_open_for_read_only_column_families(
                      r->options, r->path, families_there(r), family_names,
                      options, r->family, 0, &status)
                : rocksdb_open_column_families(r->options, r->path, FAMILIES,
                                               family_names, options, r->family,
                                               &status);
    return rdb_error(status, why);
}

static enum err rdb_open(void **db, const struct store_conf *conf,
                         bool readonly, struct errmsg *why)
{
    struct errmsg cause;
    enum err err = readonly ? ERR_OK : file_make_dirs(conf->path, why);
    if (err == ERR_OK) {
        err = backend_refuse_other(conf->path, "FOLDER", "mariadb", why);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct rdb *r = rdb_new(conf);
    err = open_families(r, readonly, &cause);
    if (err == ERR_OK) {
        err = runs_load(r, &cause);
    }
    if (err == ERR_BUSY) {
        err_set(why, err,
                "store %s is open in another process: stop that one, or give "
                "this node a folder of its own",
                conf->path);
    } else if (err != ERR_OK) {
        err_set(why, err, "store %s: %s", conf->path, cause.text);
    }
    if (err != ERR_OK) {
        rdb_close(r);
        return err;
    }
    *db = r;
    return ERR_OK;
}

/* Damaged records of the write-ahead log are skipped: whoever reads compares
 * what he finds with the trees. The tail stays empty: an index is made anew. */
static enum err rdb_open_damaged(void **db, const struct store_conf *conf,
                                 struct errmsg *why)
{
    struct rdb *r = rdb_new(conf);
    r->damaged = true;
    rocksdb_options_set_paranoid_checks(r->options, 0);
    rocksdb_options_set_wal_recovery_mode(
        r->options, rocksdb_skip_any_corrupted_records_recovery);
    enum err err = open_families(r, true, why);
    if (err != ERR_OK && !is_unread(err, why)) {
        char *status = NULL;
        rocksdb_repair_db(r->options, conf->path, &status);
        err = rdb_error(status, why);
        if (err == ERR_OK) {
            /* For writing: a family may be missing now. */
            err = open_families(r, false, why);
        }
    }
    if (r->db == NULL) {
        rdb_close(r);
        return is_unread(err, why) ? err : ERR_CORRUPT;
    }
    *db = r;
    return ERR_OK;
}

static enum err rdb_space(void *db, const struct store_conf *conf,
                          uint64_t *free_bytes, bool *readonly)
{
    (void)db;
    struct statvfs fs;
    if (statvfs(conf->path, &fs) != 0) {
        return err_from_errno(errno);
    }
    *free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    *readonly = (fs.f_flag & ST_RDONLY) != 0;
    return ERR_OK;
}

static uint64_t rdb_disk_bytes(void *db)
{
    struct rdb *r = db;
    uint64_t sum = 0;
    for (size_t i = 0; i < FAMILIES && r->family[i] != NULL; i++) {
        uint64_t n = 0;
        if (rocksdb_property_int_cf(r->db, r->family[i],
                                    "rocksdb.total-sst-files-size", &n) == 0) {
            sum += n;
        }
        if (rocksdb_property_int_cf(r->db, r->family[i],
                                    "rocksdb.cur-size-active-mem-table",
                                    &n) == 0) {
            sum += n; /* as large in the write-ahead log */
        }
    }
    return sum;
}

/* ---- writing ---- */

static void put(struct batch *b, enum family f, const struct key *k,
                struct slice value)
{
    rocksdb_writebatch_put_cf(b->wb, b->r->family[f], (const char *)k->b,
                              k->len, (const char *)value.data, value.len);
}

static void del(struct batch *b, enum family f, const struct key *k)
{
    rocksdb_writebatch_delete_cf(b->wb, b->r->family[f], (const char *)k->b,
                                 k->len);
}

/* [from, to) */
static void del_range(struct batch *b, enum family f, const struct key *from,
                      const struct key *to)
{
    rocksdb_writebatch_delete_range_cf(b->wb, b->r->family[f],
                                       (const char *)from->b, from->len,
                                       (const char *)to->b, to->len);
}

static void *rdb_batch_new(void *db)
{
    struct batch *b = MEM_NEW(struct batch);
    b->r = db;
    b->wb = rocksdb_writebatch_create();
    return b;
}

static void rdb_batch_free(void *batch)
{
    struct batch *b = batch;
    rocksdb_writebatch_destroy(b->wb);
    buf_fini(&b->run);
    mem_free(b);
}

static size_t rdb_batch_count(void *batch)
{
    struct batch *b = batch;
    return (size_t)rocksdb_writebatch_count(b->wb) +
           run_rows(buf_slice(&b->run));
}

static void rdb_put_block(void *batch, uint32_t log, uint64_t first,
                          struct slice block)
{
    struct key k = block_key(log, first);
    put(batch, FAMILY_BLOCKS, &k, block);
}

static void rdb_put_node(void *batch, uint32_t log, unsigned level,
                         uint64_t index, const struct hash *hash)
{
    struct key k = node_key(log, level, index);
    put(batch, FAMILY_TREE, &k, slice_of(hash->b, HASH_LEN));
}

static void rdb_cut_log(void *batch, uint32_t log, uint64_t first,
                        uint64_t size)
{
    struct key from = block_key(log, first);
    struct key to = block_key(log, UINT64_MAX);
    del_range(batch, FAMILY_BLOCKS, &from, &to);
    for (unsigned level = TREE_STRIDE; level < TREE_LEVELS;
         level += TREE_STRIDE) {
        from = node_key(log, level, size >> level);
        to = node_key(log, level, UINT64_MAX);
        del_range(batch, FAMILY_TREE, &from, &to);
    }
}

static void rdb_put_part(void *batch, uint32_t log, enum log_part part,
                         struct slice value)
{
    struct key k = part_key(part, log);
    put(batch, FAMILY_META, &k, value);
    if (part == PART_HEAD) {
        k = node_key(log, HEAD_COPY_LEVEL, 0);
        put(batch, FAMILY_TREE, &k, value);
    }
}

static void rdb_put_meta(void *batch, enum meta meta, struct slice value)
{
    struct key k = meta_key(meta);
    put(batch, FAMILY_META, &k, value);
}

static void rdb_put_row(void *batch, uint8_t generation, const struct row *row)
{
    struct batch *b = batch;
    uint8_t value[ROW_FIXED + 20 + DIGEST_LEN];
    struct key k = row_key_encode(generation, &row->key);
    size_t len = row_encode(row, value);
    run_put(&b->run, slice_of(k.b, k.len), slice_of(value, len));
}

static void rdb_del_row(void *batch, uint8_t generation,
                        const struct row_key *key)
{
    struct batch *b = batch;
    struct key k = row_key_encode(generation, key);
    run_put(&b->run, slice_of(k.b, k.len), slice_of(NULL, 0));
}

static void rdb_put_list_row(void *batch, uint8_t generation,
                             const struct list_row *row)
{
    uint8_t value[LIST_ROW_LONG];
    struct key k = list_key(generation, row);
    size_t len = list_row_encode(row, value);
    put(batch, FAMILY_INDEX, &k, slice_of(value, len));
}

static void rdb_del_list_row(void *batch, uint8_t generation,
                             const struct list_row *row)
{
    struct key k = list_key(generation, row);
    del(batch, FAMILY_INDEX, &k);
}

static void rdb_put_issue(void *batch, uint8_t generation, uint32_t log,
                          uint64_t number, uint8_t reason)
{
    struct key k = issue_key(generation, log, number);
    put(batch, FAMILY_META, &k, slice_of(&reason, 1));
}

static void rdb_del_issue(void *batch, uint8_t generation, uint32_t log,
                          uint64_t number)
{
    struct key k = issue_key(generation, log, number);
    del(batch, FAMILY_META, &k);
}

static void rdb_drop_index(void *batch, uint8_t generation)
{
    struct batch *b = batch;
    b->drops = generation;
    /* Shorter than the prefix of an insert hint: see there. */
    struct key from = {.len = 1, .b = {generation}};
    struct key to = {.len = 1, .b = {(uint8_t)(generation + 1)}};
    del_range(batch, FAMILY_INDEX, &from, &to);
    from = (struct key){.len = 2, .b = {'I', generation}};
    to = (struct key){.len = 2, .b = {'I', (uint8_t)(generation + 1)}};
    del_range(batch, FAMILY_META, &from, &to);
}

static void rdb_put_salvage(void *batch, uint64_t seq, struct slice entry)
{
    struct key k = salvage_key(seq);
    put(batch, FAMILY_META, &k, entry);
}

static void rdb_del_salvage(void *batch, uint64_t seq)
{
    struct key k = salvage_key(seq);
    del(batch, FAMILY_META, &k);
}

static void rdb_put_source(void *batch, const uint8_t name[SOURCE_LEN],
                           struct slice value)
{
    struct key k = source_key(name);
    put(batch, FAMILY_META, &k, value);
}

static enum err rdb_commit(void *db, void *batch, struct errmsg *why)
{
    struct rdb *r = db;
    struct batch *b = batch;
    struct slice run = buf_slice(&b->run);
    char *status = NULL;
    uint64_t number = 0;
    /* Rows of an index that is dropped must not become a file afterwards. */
    enum err err = b->drops != 0 ? runs_settle(r, why) : ERR_OK;
    if (err == ERR_OK) {
        err = runs_make_room(r, run, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (run.len > 0) {
        number = runs_put(r, b->wb, run);
        absent_add(r, run);
    }
    /* Of this thread: each comparison of keys was counted. */
    rocksdb_set_perf_level(rocksdb_disable);
    (void)pthread_mutex_lock(&r->runs.writing);
    rocksdb_write(r->db, r->synced, b->wb, &status);
    r->runs.refused = r->runs.refused || status != NULL;
    (void)pthread_mutex_unlock(&r->runs.writing);
    err = rdb_error(status, why);
    if (err == ERR_OK) {
        tail_add(r->runs.tail, run, number);
        absent_drop(r, b->drops, run);
        absent_read_on(r, run);
    }
    /* RocksDB cannot say how far a failed write got. */
    return err == ERR_OK || err == ERR_CORRUPT ? err : ERR_UNCERTAIN;
}

/* ---- reading ---- */

static struct slice iter_key(const rocksdb_iterator_t *it)
{
    size_t len;
    const char *key = rocksdb_iter_key(it, &len);
    return slice_of(key, len);
}

static struct slice iter_value(const rocksdb_iterator_t *it)
{
    size_t len;
    const char *value = rocksdb_iter_value(it, &len);
    return slice_of(value, len);
}

static bool iter_within(const rocksdb_iterator_t *it, const struct key *prefix)
{
    if (!rocksdb_iter_valid(it)) {
        return false;
    }
    struct slice key = iter_key(it);
    return key.len >= prefix->len &&
           memcmp(key.data, prefix->b, prefix->len) == 0;
}

static rocksdb_iterator_t *iter_new(struct rdb *r, enum family f, bool bulk)
{
    return rocksdb_create_iterator_cf(r->db, bulk ? r->bulk : r->point,
                                      r->family[f]);
}

static rocksdb_iterator_t *iter_new_now(struct rdb *r, enum family f)
{
    return rocksdb_create_iterator_cf(r->db, r->now, r->family[f]);
}

/* Of what begins as that does which it is moved to. */
static rocksdb_iterator_t *iter_new_subject(struct rdb *r, bool now)
{
    return rocksdb_create_iterator_cf(r->db, now ? r->subject_now : r->subject,
                                      r->family[FAMILY_INDEX]);
}

static enum err iter_end(rocksdb_iterator_t *it, struct errmsg *why)
{
    char *status = NULL;
    rocksdb_iter_get_error(it, &status);
    rocksdb_iter_destroy(it);
    return rdb_error(status, why);
}

static void iter_seek(rocksdb_iterator_t *it, const struct key *k)
{
    rocksdb_iter_seek(it, (const char *)k->b, k->len);
}

static bool block_covers(const rocksdb_iterator_t *it, uint64_t from)
{
    size_t count;
    return block_count(iter_value(it), &count) == ERR_OK &&
           be_get64(iter_key(it).data + 4) + count > from;
}

/* Ends the iterator. */
static enum err blocks_from(rocksdb_iterator_t *it, uint32_t log, uint64_t from,
                            backend_block_fn *fn, void *ctx, struct errmsg *why)
{
    struct key k = block_key(log, from);
    struct key prefix = {.len = 4};
    be_put32(prefix.b, log);
    rocksdb_iter_seek_for_prev(it, (const char *)k.b, k.len);
    /* The next move would forget the error and step over the damage. */
    char *status = NULL;
    rocksdb_iter_get_error(it, &status);
    if (status != NULL) {
        rocksdb_iter_destroy(it);
        return rdb_error(status, why);
    }
    if (!iter_within(it, &prefix)) {
        iter_seek(it, &k);
    } else if (!block_covers(it, from)) {
        rocksdb_iter_next(it);
    }
    for (; iter_within(it, &prefix); rocksdb_iter_next(it)) {
        if (!fn(ctx, be_get64(iter_key(it).data + 4), iter_value(it))) {
            break;
        }
    }
    return iter_end(it, why);
}

static enum err rdb_blocks(void *db, uint32_t log, uint64_t from, bool bulk,
                           backend_block_fn *fn, void *ctx, struct errmsg *why)
{
    return blocks_from(iter_new(db, FAMILY_BLOCKS, bulk), log, from, fn, ctx,
                       why);
}

static enum err rdb_block_now(void *db, uint32_t log, uint64_t from,
                              backend_block_fn *fn, void *ctx,
                              struct errmsg *why)
{
    return blocks_from(iter_new_now(db, FAMILY_BLOCKS), log, from, fn, ctx,
                       why);
}

/* Appends the value; ERR_NOT_FOUND. */
static enum err get(struct rdb *r, enum family f, const struct key *k,
                    struct buf *out, struct errmsg *why)
{
    char *status = NULL;
    rocksdb_pinnableslice_t *value = rocksdb_get_pinned_cf(
        r->db, r->point, r->family[f], (const char *)k->b, k->len, &status);
    if (value == NULL) {
        return status == NULL ? ERR_NOT_FOUND : rdb_error(status, why);
    }
    size_t len;
    const char *data = rocksdb_pinnableslice_value(value, &len);
    buf_put(out, data, len);
    rocksdb_pinnableslice_destroy(value);
    return ERR_OK;
}

static enum err rdb_node(void *db, uint32_t log, unsigned level, uint64_t index,
                         struct hash *out, struct errmsg *why)
{
    struct key k = node_key(log, level, index);
    struct buf value = BUF_INIT;
    enum err err = get(db, FAMILY_TREE, &k, &value, why);
    if (err == ERR_OK && value.len != HASH_LEN) {
        err = err_set(why, ERR_CORRUPT, "tree node of %zu bytes", value.len);
    } else if (err == ERR_OK) {
        memcpy(out->b, value.data, HASH_LEN);
    }
    buf_fini(&value);
    return err;
}

static enum err row_take(struct slice value, const struct row_key *key,
                         struct row *row, struct errmsg *why)
{
    *row = (struct row){.key = *key};
    enum err err = row_decode(value, row);
    return err == ERR_OK ? ERR_OK : err_set(why, err, "malformed index row");
}

static enum err row_take_pinned(rocksdb_pinnableslice_t *value, char *status,
                                const struct row_key *key, struct row *row,
                                struct errmsg *why)
{
    *row = (struct row){.key = *key};
    if (value == NULL) {
        return rdb_error(status, why);
    }
    size_t len;
    const char *data = rocksdb_pinnableslice_value(value, &len);
    enum err err = row_take(slice_of(data, len), key, row, why);
    rocksdb_pinnableslice_destroy(value);
    return err;
}

/* What rows are asked for, and where in `keys` and `out` the files' stand. */
struct wanted {
    struct key *k;
    const char **at;
    size_t *len;
    size_t *place;
    size_t n;
};

/* What is nowhere is not in the tail either. */
static enum tail_found find_in_memory(struct rdb *r, struct slice key,
                                      struct slice *value)
{
    return absent_ask(r, key) ? TAIL_GONE : tail_find(r->runs.tail, key, value);
}

/* Those that the tail knows are taken; of the others those that a file may have
 * are wanted. */
static enum err rows_of_tail(struct rdb *r, uint8_t generation,
                             const struct row_key *const *keys, size_t n,
                             struct row *const *out, struct wanted *w,
                             struct errmsg *why)
{
    enum err err = tail_read_begin(r->runs.tail, false);
    absent_ask_begin(r);
    for (size_t i = 0; err == ERR_OK && i < n; i++) {
        struct key *k = &w->k[w->n];
        struct slice value;
        *k = row_key_encode(generation, keys[i]);
        switch (find_in_memory(r, slice_of(k->b, k->len), &value)) {
        case TAIL_ROW:
            err = row_take(value, keys[i], out[i], why);
            break;
        case TAIL_GONE:
            *out[i] = (struct row){.key = *keys[i]};
            break;
        case TAIL_NOTHING:
            w->at[w->n] = (const char *)k->b;
            w->len[w->n] = k->len;
            w->place[w->n++] = i;
            break;
        }
    }
    absent_ask_end(r);
    tail_read_end(r->runs.tail);
    return err;
}

static enum err rows_of_files(struct rdb *r, const struct wanted *w,
                              const struct row_key *const *keys,
                              struct row *const *out, struct errmsg *why)
{
    rocksdb_pinnableslice_t **values = mem_zalloc(w->n, sizeof(*values));
    char **status = mem_zalloc(w->n, sizeof(*status));
    rocksdb_batched_multi_get_cf(r->db, r->point, r->family[FAMILY_INDEX], w->n,
                                 w->at, w->len, values, status, true);
    enum err first = ERR_OK;
    for (size_t i = 0; i < w->n; i++) {
        size_t place = w->place[i];
        enum err err =
            row_take_pinned(values[i], status[i], keys[place], out[place],
                            first == ERR_OK ? why : NULL);
        first = first == ERR_OK ? err : first;
    }
    mem_free(values);
    mem_free(status);
    return first;
}

static enum err rdb_rows(void *db, uint8_t generation,
                         const struct row_key *const *keys, size_t n,
                         struct row *const *out, struct errmsg *why)
{
    struct rdb *r = db;
    struct wanted w = {
        .k = mem_alloc(n * sizeof(*w.k)),
        .at = mem_alloc(n * sizeof(const char *)),
        .len = mem_alloc(n * sizeof(*w.len)),
        .place = mem_alloc(n * sizeof(*w.place)),
    };
    enum err err = rows_of_tail(r, generation, keys, n, out, &w, why);
    if (err == ERR_OK && w.n > 0) {
        err = rows_of_files(r, &w, keys, out, why);
    }
    mem_free(w.k);
    mem_free(w.at);
    mem_free(w.len);
    mem_free(w.place);
    return err;
}

/* Rows of one subject: those of the tail and those of the files. */
struct both {
    const struct tail_rows *tail;
    size_t i; /* the next of the tail */
    rocksdb_iterator_t *it;
    const struct key *prefix;
};

/* Which has the next row, in order of keys: < 0 the tail, > 0 the files, 0
 * both. False: neither. */
static bool both_next(const struct both *b, int *which)
{
    bool tail = b->i < b->tail->n;
    bool file = iter_within(b->it, b->prefix);
    *which = tail ? -1 : 1;
    if (tail && file) {
        *which = tail_key_cmp(tail_row_key(b->tail, b->i), iter_key(b->it));
    }
    return tail || file;
}

/* Gives `fn` the row; one of the tail counts before one of the files. */
static enum err both_give(const struct both *b, int which, backend_row_fn *fn,
                          void *ctx, bool *more)
{
    bool tail = which <= 0;
    struct slice key = tail ? tail_row_key(b->tail, b->i) : iter_key(b->it);
    struct slice value =
        tail ? tail_row_value(b->tail, b->i) : iter_value(b->it);
    struct row row;
    if (tail && value.len == 0) {
        return ERR_OK; /* it is gone */
    }
    if (!row_key_decode(key, &row.key) || row_decode(value, &row) != ERR_OK) {
        return ERR_CORRUPT;
    }
    *more = fn(ctx, &row);
    return ERR_OK;
}

/* ERR_CORRUPT. */
static enum err rows_in_order(struct both *b, backend_row_fn *fn, void *ctx)
{
    enum err err = ERR_OK;
    bool more = true;
    int which;
    while (err == ERR_OK && more && both_next(b, &which)) {
        err = both_give(b, which, fn, ctx, &more);
        b->i += which <= 0;
        if (which >= 0) {
            rocksdb_iter_next(b->it);
        }
    }
    return err;
}

static enum err rdb_rows_of(void *db, uint8_t generation,
                            const struct subject_key *subject, bool now,
                            backend_row_fn *fn, void *ctx, struct errmsg *why)
{
    struct rdb *r = db;
    struct key prefix = row_key_prefix(generation, subject);
    struct tail_rows tail = TAIL_ROWS_INIT;
    enum err err = tail_read_begin(r->runs.tail, now);
    if (err != ERR_OK) {
        return err_set(why, err, "%s", "rows are being added");
    }
    bool all = tail_of_subject(r->runs.tail, slice_of(prefix.b, prefix.len),
                               now ? SKIP_NOW_MAX : SIZE_MAX, &tail);
    /* Of the same moment. */
    rocksdb_iterator_t *it = iter_new_subject(r, now);
    tail_read_end(r->runs.tail);
    if (all) {
        iter_seek(it, &prefix);
        struct both both = {.tail = &tail, .it = it, .prefix = &prefix};
        err = rows_in_order(&both, fn, ctx);
    } else {
        err = ERR_BUSY;
    }
    tail_rows_fini(&tail);
    enum err end = iter_end(it, why);
    if (err == ERR_CORRUPT) {
        return err_set(why, err, "malformed index row");
    }
    return err == ERR_OK ? end : err_set(why, err, "%s", "many rows");
}

/* Those of one subject. False: `fn` ends it, or *err is set. */
static bool list_rows_of(rocksdb_iterator_t *it, uint8_t generation,
                         const struct subject_key *subject,
                         backend_list_row_fn *fn, void *ctx, enum err *err,
                         struct errmsg *why)
{
    struct key prefix = list_prefix(generation, subject);
    struct list_row row = {.subject = *subject};
    for (iter_seek(it, &prefix); iter_within(it, &prefix);
         rocksdb_iter_next(it)) {
        if (!list_row_decode(iter_key(it), iter_value(it), &row)) {
            *err = err_set(why, ERR_CORRUPT, "malformed list row");
            return false;
        }
        if (!fn(ctx, &row)) {
            return false;
        }
    }
    return true;
}

/* One iterator for all: making one costs as much as a seek. */
static enum err rdb_list_rows(void *db, uint8_t generation,
                              const struct subject_key *subjects, size_t n,
                              bool now, backend_list_row_fn *fn, void *ctx,
                              struct errmsg *why)
{
    struct rdb *r = db;
    rocksdb_iterator_t *it = iter_new_subject(r, now);
    enum err err = ERR_OK;
    size_t i = 0;
    while (i < n &&
           list_rows_of(it, generation, &subjects[i], fn, ctx, &err, why)) {
        i++;
    }
    enum err end = iter_end(it, why);
    return err != ERR_OK ? err : end;
}

static enum err rdb_part(void *db, uint32_t log, enum log_part part,
                         struct buf *out, struct errmsg *why)
{
    struct rdb *r = db;
    struct key k = part_key(part, log);
    enum err err = get(r, FAMILY_META, &k, out, why);
    if (err != ERR_OK && part == PART_HEAD && r->damaged) {
        k = node_key(log, HEAD_COPY_LEVEL, 0);
        err = get(r, FAMILY_TREE, &k, out, why);
    }
    return err;
}

static enum err rdb_parts(void *db, enum log_part part, backend_part_fn *fn,
                          void *ctx, struct errmsg *why)
{
    rocksdb_iterator_t *it = iter_new(db, FAMILY_META, false);
    struct key prefix = {.len = 2, .b = {'P', (uint8_t)part}};
    for (iter_seek(it, &prefix); iter_within(it, &prefix);
         rocksdb_iter_next(it)) {
        if (!fn(ctx, be_get32(iter_key(it).data + 2), iter_value(it))) {
            break;
        }
    }
    return iter_end(it, why);
}

static enum err rdb_meta(void *db, enum meta meta, struct buf *out,
                         struct errmsg *why)
{
    struct key k = meta_key(meta);
    return get(db, FAMILY_META, &k, out, why);
}

static enum err rdb_issues(void *db, uint8_t generation, uint32_t log,
                           uint64_t number, backend_issue_fn *fn, void *ctx,
                           struct errmsg *why)
{
    rocksdb_iterator_t *it = iter_new(db, FAMILY_META, false);
    struct key from = issue_key(generation, log, number);
    struct key prefix = {.len = 2, .b = {'I', generation}};
    for (iter_seek(it, &from); iter_within(it, &prefix);
         rocksdb_iter_next(it)) {
        struct slice key = iter_key(it);
        struct slice value = iter_value(it);
        if (value.len != 1 || !fn(ctx, be_get32(key.data + 2),
                                  be_get64(key.data + 6), value.data[0])) {
            break;
        }
    }
    return iter_end(it, why);
}

static enum err rdb_salvage(void *db, uint64_t from, backend_salvage_fn *fn,
                            void *ctx, struct errmsg *why)
{
    rocksdb_iterator_t *it = iter_new(db, FAMILY_META, false);
    struct key k = salvage_key(from);
    struct key prefix = {.len = 1, .b = {'S'}};
    for (iter_seek(it, &k); iter_within(it, &prefix); rocksdb_iter_next(it)) {
        if (!fn(ctx, be_get64(iter_key(it).data + 1), iter_value(it))) {
            break;
        }
    }
    return iter_end(it, why);
}

static enum err rdb_source(void *db, const uint8_t name[SOURCE_LEN],
                           struct buf *out, struct errmsg *why)
{
    struct key k = source_key(name);
    return get(db, FAMILY_META, &k, out, why);
}

static enum err rdb_sources(void *db, backend_source_fn *fn, void *ctx,
                            struct errmsg *why)
{
    rocksdb_iterator_t *it = iter_new(db, FAMILY_META, false);
    struct key prefix = {.len = 1, .b = {'T'}};
    bool more = true;
    for (iter_seek(it, &prefix); more && iter_within(it, &prefix);
         rocksdb_iter_next(it)) {
        struct slice key = iter_key(it);
        more =
            key.len == 1 + SOURCE_LEN && fn(ctx, key.data + 1, iter_value(it));
    }
    return iter_end(it, why);
}

/* Hard links to the tables, and a copy of what is not in one yet. */
static enum err rdb_snapshot(void *db, const char *path, struct errmsg *why)
{
    struct rdb *r = db;
    char *status = NULL;
    /* It takes the list of files first and the write-ahead log later: of rows
     * that become a file in between it would have neither that nor their run.
     */
    (void)pthread_mutex_lock(&r->runs.moving);
    rocksdb_checkpoint_t *c = rocksdb_checkpoint_object_create(r->db, &status);
    enum err err = rdb_error(status, why);
    if (err == ERR_OK) {
        status = NULL;
        rocksdb_checkpoint_create(c, path, UINT64_MAX, &status);
        err = rdb_error(status, why);
    }
    if (c != NULL) {
        rocksdb_checkpoint_object_destroy(c);
    }
    (void)pthread_mutex_unlock(&r->runs.moving);
    return err;
}

static enum err rdb_check(void *db, struct buf *cursor, struct errmsg *why)
{
    const struct rdb *r = db;
    unsigned f = cursor->len > 0 ? cursor->data[0] : 0;
    rocksdb_iterator_t *it = iter_new(db, (enum family)f, true);
    if (cursor->len > 1) {
        rocksdb_iter_seek(it, (const char *)cursor->data + 1, cursor->len - 1);
    } else {
        rocksdb_iter_seek_to_first(it);
    }
    for (unsigned n = 0; rocksdb_iter_valid(it) && n < CHECK_TURN; n++) {
        rocksdb_iter_next(it);
    }
    buf_clear(cursor);
    if (rocksdb_iter_valid(it)) {
        buf_put_u8(cursor, (uint8_t)f);
        buf_put_slice(cursor, iter_key(it));
    } else if (f + 1 < FAMILIES && r->family[f + 1] != NULL) {
        f += f + 1 == FAMILY_BLOCKS ? 2 : 1;
        buf_put_u8(cursor, (uint8_t)f);
    }
    return iter_end(it, why);
}

const struct backend store_rocksdb = {
    .name = "rocksdb",
    .absence_settles = true, /* nobody else has the files */
    .open = rdb_open,
    .close = rdb_close,
    .open_damaged = rdb_open_damaged,
    .snapshot = rdb_snapshot,
    .check = rdb_check,
    .space = rdb_space,
    .disk_bytes = rdb_disk_bytes,
    .batch_new = rdb_batch_new,
    .batch_free = rdb_batch_free,
    .batch_count = rdb_batch_count,
    .put_block = rdb_put_block,
    .put_node = rdb_put_node,
    .cut_log = rdb_cut_log,
    .put_part = rdb_put_part,
    .put_meta = rdb_put_meta,
    .put_row = rdb_put_row,
    .del_row = rdb_del_row,
    .put_list_row = rdb_put_list_row,
    .del_list_row = rdb_del_list_row,
    .put_issue = rdb_put_issue,
    .del_issue = rdb_del_issue,
    .drop_index = rdb_drop_index,
    .put_salvage = rdb_put_salvage,
    .del_salvage = rdb_del_salvage,
    .put_source = rdb_put_source,
    .commit = rdb_commit,
    .blocks = rdb_blocks,
    .block_now = rdb_block_now,
    .node = rdb_node,
    .rows = rdb_rows,
    .rows_of = rdb_rows_of,
    .list_rows = rdb_list_rows,
    .part = rdb_part,
    .parts = rdb_parts,
    .meta = rdb_meta,
    .issues = rdb_issues,
    .salvage = rdb_salvage,
    .source = rdb_source,
    .sources = rdb_sources,
};
