/* Bytes flipped in every kind of file, or of row: no answer is ever wrong, the
 * damage is named, and the rebuilt store keeps what can be proven. */
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "contract/store_fixture.h"

#include "base/file.h"
#include "store/store_impl.h"
#include "support/scripted_backend.h"

enum { RECORDS = 1200, PART = 300 };

static struct node village;
static struct node township;
static struct store *sound; /* holds every log whole */
static struct node witness;

static int start(void **state)
{
    (void)state;
    node_init(&village, fixture_backend(), VILLAGE, "village");
    node_init(&township, fixture_backend(), TOWNSHIP, "township");
    node_init(&witness, &store_rocksdb, TOWNSHIP, "witness");
    sound = witness.store;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    shell("rm -rf village.damaged-* township.damaged-*");
    node_fini(&village);
    node_fini(&township);
    node_fini(&witness);
    return 0;
}

/* ---- flipping ---- */

static void path_of_file(const struct node *n, const char *name, char out[512])
{
    (void)snprintf(out, 512, "%s/%s", n->path, name);
}

static bool flip(const char *path, off_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    bool done = pread(fd, &byte, 1, at) == 1;
    byte ^= 0x10;
    done = done && pwrite(fd, &byte, 1, at) == 1;
    (void)close(fd);
    return done;
}

static off_t size_of_file(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static bool contains(const char *path, const char *text)
{
    struct buf bytes = BUF_INIT;
    struct errmsg why;
    assert_ok(file_read(path, 64 << 20, &bytes, &why));
    bool found = memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
    buf_fini(&bytes);
    return found;
}

/* The largest file whose name ends so, with this text in it. */
static void largest(const struct node *n, const char *end, const char *text,
                    char out[512])
{
    DIR *dir = opendir(n->path);
    off_t size = -1;
    out[0] = 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        char path[512];
        path_of_file(n, d->d_name, path);
        if (strstr(d->d_name, end) != NULL && size_of_file(path) > size &&
            contains(path, text)) {
            size = size_of_file(path);
            (void)snprintf(out, 512, "%s", path);
        }
    }
    (void)closedir(dir);
    assert_true(size > 0);
}

/* One byte in the middle of a column of one row of the log that has most
 * blocks; `which` ends the statement. */
static void flip_row(const struct node *n, const char *table,
                     const char *column, const char *which)
{
    const char *db = node_database(n);
    const char *c = column;
    mariadb_sql(&fed_server,
                "UPDATE %s.%s SET %s=INSERT(%s,LENGTH(%s) DIV 2,1,CHAR(ASCII("
                "SUBSTR(%s,LENGTH(%s) DIV 2,1))^16)) WHERE log=(SELECT log "
                "FROM (SELECT log FROM %s.cn_block GROUP BY log ORDER BY "
                "COUNT(*) DESC LIMIT 1) AS most) %s",
                db, table, c, c, c, c, c, db, which);
}

/* RocksDB writes the family's name into each table file. */
static void flip_blocks(const struct node *n)
{
    char table[512];
    if (on_mariadb()) {
        flip_row(n, "cn_block", "v", "AND first>600 ORDER BY first LIMIT 1");
        return;
    }
    largest(n, ".sst", "nameblocks", table);
    assert_true(flip(table, size_of_file(table) / 2));
}

/* Opening writes what was in memory to table files. */
static void to_tables(struct node *n)
{
    node_restart(n);
    node_stop(n);
}

/* ---- what must hold ---- */

/* Every entry is the original or cannot be read; how many could be. */
static uint64_t check_entries(struct store *s, const struct log_id *log)
{
    uint64_t good = 0;
    struct buf ours = BUF_INIT;
    struct buf theirs = BUF_INIT;
    uint64_t size = size_of(s, log);
    assert_true(size <= size_of(sound, log));
    for (uint64_t n = 1; n <= size; n++) {
        buf_clear(&ours);
        buf_clear(&theirs);
        enum err err = store_entry(s, log, n, &ours);
        assert_ok(store_entry(sound, log, n, &theirs));
        if (err != ERR_CORRUPT) {
            assert_ok(err);
            assert_true(slice_eq(buf_slice(&ours), buf_slice(&theirs)));
        }
        good += err == ERR_OK;
    }
    buf_fini(&ours);
    buf_fini(&theirs);
    return good;
}

static void check_rows(struct store *s)
{
    for (uint32_t i = 0; i < RECORDS; i += 16) {
        char subject[32];
        struct subject_key key;
        struct row_list ours = {.n = 0};
        struct row_list theirs = {.n = 0};
        (void)snprintf(subject, sizeof subject, "9134182100%08u", i / 16);
        subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
        enum err err = store_subject(s, &key, on_list_row, &ours);
        assert_ok(store_subject(sound, &key, on_list_row, &theirs));
        assert_true(err == ERR_OK || err == ERR_CORRUPT);
        assert_true(ours.n <= theirs.n);
    }
}

static bool is_damaged(struct store *s)
{
    struct store_stats stats;
    store_stats(s, &stats);
    return stats.damaged;
}

static void nothing(void *ctx, const struct log_id *log, uint64_t number,
                    const char *what)
{
    (void)ctx;
    (void)log;
    (void)number;
    (void)what;
}

static bool has_kept_folder(const struct node *n)
{
    char command[512];
    (void)snprintf(command, sizeof command,
                   "ls -d %s.damaged-* >/dev/null 2>&1", n->path);
    return system(command) == 0;
}

/* The township holds 1200 records of the village, in tables. */
static struct log_id fill_township(void)
{
    struct log_id log = store_own_log(village.store);
    for (uint32_t i = 0; i < RECORDS; i += PART) {
        submit_many(village.store, i, PART);
        copy_log(village.store, township.store, &log);
    }
    copy_log(village.store, sound, &log);
    to_tables(&township);
    return log;
}

/* What was lost comes again from below; then all is as it was. */
static void refill_and_compare(const struct log_id *log)
{
    copy_log(village.store, township.store, log);
    assert_same_log(township.store, sound, log);
    assert_ok(store_scrub(township.store, nothing, NULL, NULL));
    for (uint32_t i = 0; i < RECORDS / 16; i++) {
        char subject[32];
        struct row_list rows;
        (void)snprintf(subject, sizeof subject, "9134182100%08u", i);
        rows_of(township.store, subject, &rows);
        assert_int_equal(rows.n, 16);
    }
}

/* ---- every file, at many places ---- */

static void try_flip(const struct log_id *log, const char *name, off_t at)
{
    char path[512];
    path_of_file(&township, name, path);
    assert_true(flip(path, at));
    node_start(&township); /* rebuilds by itself what keeps it from opening */
    if (size_of(township.store, log) > 0) {
        (void)check_entries(township.store, log);
    }
    check_rows(township.store);
    enum err err = store_scrub(township.store, nothing, NULL, NULL);
    bool damaged = is_damaged(township.store);
    assert_int_equal(err == ERR_CORRUPT, damaged);
    if (damaged) {
        node_restart(&township);
        assert_true(has_kept_folder(&township));
    }
    assert_false(is_damaged(township.store));
    if (size_of(township.store, log) > 0) {
        assert_int_equal(check_entries(township.store, log),
                         size_of(township.store, log));
    }
    refill_and_compare(log);
    node_stop(&township);
}

/* At how many places; files that are hardly read, at one. */
static int flips_of(const char *name)
{
    static const struct {
        const char *part;
        int flips;
    } kinds[] = {
        {".sst", 3}, {"MANIFEST", 2}, {"CURRENT", 1}, {".log", 1},
        {"LOG", 1},  {"OPTIONS", 1},  {"SERIAL", 1},  {"IDENTITY", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strstr(name, kinds[i].part) != NULL) {
            return kinds[i].flips;
        }
    }
    return 0;
}

static size_t list_files(const char *path, char names[][64], size_t max)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        assert_true(n < max);
        (void)snprintf(names[n++], 64, "%.63s", d->d_name);
    }
    (void)closedir(dir);
    return n;
}

static void no_flip_in_any_file_gives_a_wrong_answer(void **state)
{
    (void)state;
    struct log_id log = fill_township();
    shell("cp -a township master");
    char names[64][64];
    size_t n = list_files(township.path, names, ARRAY_LEN(names));
    assert_true(n > 5);
    for (size_t i = 0; i < n; i++) {
        char path[512];
        path_of_file(&township, names[i], path);
        off_t size = size_of_file(path);
        int flips = flips_of(names[i]);
        for (int k = 0; size > 0 && k < flips; k++) {
            try_flip(&log, names[i], size * (2 * k + 1) / (2 * flips));
            shell(
                "rm -rf township township.damaged-* && cp -a master township");
        }
    }
    shell("rm -rf master");
    node_start(&township);
}

/* ---- every kind of row, on a server ---- */

static void no_flip_in_any_row_gives_a_wrong_answer(void **state)
{
    static const struct {
        const char *table;
        const char *column;
        const char *which;
    } kinds[] = {
        {"cn_block", "v", "ORDER BY first LIMIT 1"},
        {"cn_block", "v", "AND first>600 ORDER BY first LIMIT 1"},
        {"cn_block", "v", "ORDER BY first DESC LIMIT 1"},
        {"cn_node", "hash", "ORDER BY level,idx LIMIT 1"},
        {"cn_node", "hash", "ORDER BY level DESC,idx DESC LIMIT 1"},
        {"cn_part", "v", "AND part=1"}, /* its head */
        {"cn_part", "v", "AND part=2"}, /* and that as signed */
    };
    (void)state;
    struct log_id log = fill_township();
    node_start(&township);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        print_message("%s.%s %s\n", kinds[i].table, kinds[i].column,
                      kinds[i].which);
        node_stop(&township);
        flip_row(&township, kinds[i].table, kinds[i].column, kinds[i].which);
        node_start(&township); /* mends by itself what keeps it from opening */
        if (size_of(township.store, &log) > 0) {
            (void)check_entries(township.store, &log);
        }
        enum err err = store_scrub(township.store, nothing, NULL, NULL);
        assert_int_equal(err == ERR_CORRUPT, is_damaged(township.store));
        if (is_damaged(township.store)) {
            node_restart(&township);
        }
        assert_false(is_damaged(township.store));
        assert_int_equal(check_entries(township.store, &log),
                         size_of(township.store, &log));
        refill_and_compare(&log);
    }
}

/* Who has all entries needs no neighbour, who may have none. */
static void a_flipped_node_costs_no_entry(void **state)
{
    static const char *const which[] = {"ORDER BY level,idx LIMIT 1",
                                        "AND level=4 AND idx=37",
                                        "ORDER BY level DESC,idx DESC LIMIT 1"};
    (void)state;
    struct log_id log = fill_township();
    for (size_t i = 0; i < ARRAY_LEN(which); i++) {
        flip_row(&township, "cn_node", "hash", which[i]);
        node_start(&township);
        assert_int_equal(store_scrub(township.store, nothing, NULL, NULL),
                         ERR_CORRUPT);
        node_restart(&township);
        assert_false(is_damaged(township.store));
        assert_same_log(township.store, sound, &log);
        assert_ok(store_scrub(township.store, nothing, NULL, NULL));
        node_stop(&township);
    }
}

/* ---- one kind after the other ---- */

static void the_longest_provable_prefix_is_kept(void **state)
{
    (void)state;
    struct log_id log = fill_township();
    node_start(&township);
    node_stop(&township);
    flip_blocks(&township);
    node_start(&township);
    uint64_t readable = check_entries(township.store, &log);
    uint64_t size = size_of(township.store, &log);
    assert_int_equal(size, RECORDS + 1);
    assert_true(readable > 0 && readable < size);
    assert_true(is_damaged(township.store));
    node_restart(&township);
    uint64_t kept = size_of(township.store, &log);
    assert_true(kept > 0 && kept < size);
    assert_int_equal(check_entries(township.store, &log), kept);
    refill_and_compare(&log);
}

/* Text that does not pack. */
static void put_noise(char *out, size_t len, uint32_t seed)
{
    for (size_t i = 0; i + 1 < len; i++) {
        seed = seed * 1664525 + 1013904223;
        out[i] = (char)('!' + (seed >> 16) % 90);
    }
    out[len - 1] = 0;
}

/* Of a log whose entries are lost the successor still says where it ends. */
static void the_end_of_a_lost_log_is_remembered(void **state)
{
    (void)state;
    enum { ENTRIES = 8 };
    static char noise[6000];
    struct forge old;
    struct forge next;
    struct hash root;
    const struct draft d = {
        .record = 1, .subject = "x", .text = noise, .version = 1};
    to_tables(&township); /* its own log is in another file */
    node_start(&township);
    assert_ok(forge_open(&old, sound, &village, 1, NULL));
    for (uint32_t i = 0; i < ENTRIES; i++) {
        put_noise(noise, sizeof noise, i);
        assert_ok(forge_draft(&old, sound, &d));
    }
    copy_log(sound, township.store, &old.log);
    struct entry_open open = {.prev_incarnation = 1,
                              .prev_size = old.frontier.size};
    frontier_root(&old.frontier, test_suite(), &root);
    memcpy(open.prev_root, root.b, HASH_LEN);
    assert_ok(forge_open(&next, township.store, &village, 2, &open));
    assert_ok(forge_draft(&old, sound, &d)); /* a twin wrote on */

    to_tables(&township);
    if (on_mariadb()) {
        flip_row(&township, "cn_block", "v", "ORDER BY first LIMIT 1");
    } else {
        char table[512];
        largest(&township, ".sst", "nameblocks", table);
        assert_true(flip(table, 1000));
    }
    node_start(&township);
    if (size_of(township.store, &old.log) > 0) {
        assert_int_equal(store_scrub(township.store, nothing, NULL, NULL),
                         ERR_CORRUPT);
        node_restart(&township);
    }
    assert_int_equal(size_of(township.store, &old.log), 0);
    assert_int_equal(append(township.store,
                            segment_of(sound, &old.log, 1, old.frontier.size),
                            NULL),
                     ERR_FORKED);
}

static void the_last_two_damaged_folders_are_kept(void **state)
{
    (void)state;
    struct errmsg why;
    node_stop(&township);
    shell(
        "mkdir township.damaged-20200101T000000Z "
        "township.damaged-20210101T000000Z township.damaged-20220101T000000Z");
    assert_ok(damage_mark(township.path, "by hand", &why));
    node_start(&township);
    shell("test $(ls -d township.damaged-* | wc -l) = 2");
    shell("test -d township.damaged-20220101T000000Z");
    assert_false(is_damaged(township.store));
}

static void an_interrupted_rebuild_begins_again(void **state)
{
    (void)state;
    struct errmsg why;
    struct log_id log = fill_township();
    shell("mkdir township.rebuild && echo half > township.rebuild/CURRENT");
    assert_ok(damage_mark(township.path, "by hand", &why));
    node_start(&township);
    assert_int_equal(size_of(township.store, &log), RECORDS + 1);
    /* Stopped between its two last steps. */
    node_stop(&township);
    shell("mv township township.rebuild && touch township.rebuild/REBUILT");
    node_start(&township);
    assert_int_equal(size_of(township.store, &log), RECORDS + 1);
    refill_and_compare(&log);
}

static void lost_commits_are_noticed(void **state)
{
    (void)state;
    char wal[512];
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 100);
    copy_log(village.store, sound, &log);
    to_tables(&village);
    node_start(&village);
    submit_many(village.store, 100, 100);
    submit_many(village.store, 200, 100);
    copy_log(village.store, sound, &log);
    node_stop(&village);
    shell("cp -a village master");
    largest(&village, ".log", "", wal);
    off_t size = size_of_file(wal);
    for (off_t at = 4; at < size; at += size / 6) {
        assert_true(flip(wal, at));
        node_start(&village);
        assert_true(has_kept_folder(&village));
        struct store_head head;
        assert_ok(store_head(village.store, &log, &head));
        assert_true(head.frontier.size >= 96);
        assert_int_equal(check_entries(village.store, &log),
                         head.frontier.size);
        assert_true(store_in_doubt(village.store, &log));
        node_stop(&village);
        shell("rm -rf village village.damaged-* && cp -a master village");
    }
    shell("rm -rf master");
    node_start(&village);
}

/* A power cut leaves a part of a record that nobody was told of. */
static void a_torn_last_write_is_no_damage(void **state)
{
    (void)state;
    char wal[512];
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 100);
    node_stop(&village);
    largest(&village, ".log", "", wal);
    /* Checksum, length, whole record; then the power went. */
    shell("printf '\\001\\002\\003\\004\\377\\017\\001 begun' >> %s", wal);
    node_start(&village);
    assert_int_equal(size_of(village.store, &log), 101);
    assert_false(has_kept_folder(&village));
    assert_false(store_in_doubt(village.store, &log));
}

/* ---- the own log ---- */

/* Of the first `most` records; those that are there. */
static uint32_t count_of(struct store *s, uint32_t most)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < most; i++) {
        char subject[32];
        struct subject_key key;
        struct store_row row;
        uint8_t record[RECORD_KEY_LEN];
        (void)snprintf(subject, sizeof subject, "9134182100%08u", i / 16);
        subject_key_org(&key, SUBJECT_USCC, slice_str(subject));
        record_key_of(i, record);
        enum err err = store_row(s, &key, record, VILLAGE, &row);
        assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
        if (err == ERR_OK) {
            assert_int_equal(row.version, 1);
            n++;
        }
    }
    return n;
}

static uint32_t count_records(struct store *s)
{
    return count_of(s, RECORDS);
}

static void wait_records(uint32_t n)
{
    WAIT_FOR(count_records(village.store) >= n);
    uint32_t found = count_records(village.store);
    assert_true(found >= n && found < n + 16);
}

/* Damages the middle of the own log, which the township has up to `above`.
 * How many own entries can still be read. */
static uint64_t damage_own(struct log_id *log, uint32_t above)
{
    *log = store_own_log(village.store);
    for (uint32_t i = 0; i < RECORDS; i += PART) {
        submit_many(village.store, i, PART);
        if (i + PART <= above) {
            copy_log(village.store, township.store, log);
        }
    }
    copy_log(village.store, sound, log);
    to_tables(&village);
    flip_blocks(&village);
    node_start(&village);
    uint64_t readable = check_entries(village.store, log);
    assert_true(is_damaged(village.store));
    node_restart(&village);
    assert_true(store_in_doubt(village.store, log));
    return readable;
}

static void pull_back(const struct log_id *log)
{
    struct store_head peer;
    struct buf note = BUF_INIT;
    struct errmsg why = {""};
    assert_ok(store_head(township.store, log, &peer));
    assert_ok(store_note(township.store, log, &note, NULL));
    uint64_t ours = size_of(village.store, log);
    uint64_t theirs = peer.frontier.size;
    assert_ok(store_succeed(village.store, log, ours < theirs ? ours : theirs,
                            theirs, &peer.root, buf_slice(&note), &why));
    buf_fini(&note);
    copy_log(township.store, village.store, log);
    assert_false(store_in_doubt(village.store, log));
}

/* What the next one is appended to: a start reads it. */
static void a_damaged_last_block_keeps_no_store_shut(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    for (uint32_t i = 0; i < RECORDS; i += PART) {
        submit_many(village.store, i, PART);
    }
    copy_log(village.store, township.store, &log);
    copy_log(village.store, sound, &log);
    node_stop(&village);
    flip_row(&village, "cn_block", "v", "ORDER BY first DESC LIMIT 1");
    node_start(&village);
    assert_false(is_damaged(village.store));
    uint64_t kept = size_of(village.store, &log);
    assert_true(kept > 0 && kept < RECORDS + 1);
    assert_int_equal(check_entries(village.store, &log), kept);
    assert_true(store_in_doubt(village.store, &log));
    pull_back(&log);
    assert_same_log(village.store, sound, &log);
    wait_records(RECORDS);
    assert_ok(store_scrub(village.store, nothing, NULL, NULL));
}

/* The parent has entries of whose numbers nothing is left here; others are
 * entered before it gives them back. */
static void enter_meanwhile(const struct log_id *log)
{
    enum { MEANWHILE = 60 };
    uint32_t above = (uint32_t)size_of(township.store, log) - 1;
    uint32_t all = above + MEANWHILE;
    assert_true(store_in_doubt(village.store, log));
    assert_true(size_of(village.store, log) < above);
    submit_many(village.store, above, MEANWHILE); /* waits */
    pull_back(log);
    WAIT_FOR(count_of(village.store, all) >= all);
    assert_int_equal(count_of(village.store, all), all);
}

static void what_is_entered_in_doubt_stays_when_more_comes_back(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 100);
    node_stop(&village);
    node_backup(&village);
    node_start(&village);
    submit_many(village.store, 100, 50);
    copy_log(village.store, township.store, &log);
    node_stop(&village);
    /* As after a power cut that cost the end of the write-ahead log. */
    shell("cp village/SERIAL newer");
    node_restore(&village);
    shell("mv newer village/SERIAL");
    node_start(&village);
    enter_meanwhile(&log);
}

static void what_is_entered_behind_a_damaged_end_stays(void **state)
{
    (void)state;
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, 44); /* the last block: 33 to 45 */
    copy_log(village.store, township.store, &log);
    node_stop(&village);
    flip_row(&village, "cn_block", "v", "ORDER BY first DESC LIMIT 1");
    node_start(&village);
    enter_meanwhile(&log);
}

static void what_the_parent_has_comes_back_and_nothing_twice(void **state)
{
    (void)state;
    struct log_id log;
    (void)damage_own(&log, RECORDS);
    submit_many(village.store, 0, PART); /* waits */
    pull_back(&log);
    assert_same_log(village.store, sound, &log);
    wait_records(RECORDS);
    struct log_id own = store_own_log(village.store);
    assert_false(log_id_eq(&own, &log));
    /* All of it was known: the new log has its opening only. */
    assert_int_equal(size_of(village.store, &own), 1);
}

static void what_only_this_node_had_is_appended_again(void **state)
{
    (void)state;
    struct log_id log;
    uint64_t readable = damage_own(&log, PART);
    assert_true(readable < RECORDS + 1);
    struct errmsg why;
    uint64_t kept = size_of(village.store, &log);
    assert_true(kept < RECORDS + 1);
    assert_ok(store_settle(village.store, &why));
    /* A walk reads up to the damaged page; a point read may need that page to
     * find its block. */
    wait_records((uint32_t)readable - 1);
    /* The old log can go on rising to the township, then its successor. */
    copy_log(village.store, township.store, &log);
    struct log_id own = store_own_log(village.store);
    copy_log(village.store, township.store, &own);
    assert_same_log(village.store, township.store, &own);
    node_restart(&village);
    assert_true(count_records(village.store) >= readable - 1);
    assert_false(store_in_doubt(village.store, &log));
}

static void nothing_is_appended_to_a_log_in_doubt(void **state)
{
    (void)state;
    struct log_id log;
    struct draft_result r;
    struct draft d = {
        .record = 90000, .subject = "91341821MA2T00001X", .text = "new"};
    (void)damage_own(&log, RECORDS);
    uint64_t kept = size_of(village.store, &log);
    assert_ok(submit(village.store, &d, 1, &r));
    assert_int_equal(r.outcome, DRAFT_PENDING);
    node_restart(&village);
    assert_int_equal(size_of(village.store, &log), kept);
    pull_back(&log);
    struct row_list rows = {.n = 0};
    WAIT_FOR((rows_of(village.store, d.subject, &rows), rows.n > 0));
    assert_int_equal(rows.n, 1);
}

/* ---- nothing can be read ---- */

/* The village's own log is known above; of its store nothing is left. */
static struct log_id lose_all(void)
{
    struct log_id log = store_own_log(village.store);
    submit_many(village.store, 0, PART);
    copy_log(village.store, township.store, &log);
    to_tables(&village);
    shell("for f in village/CURRENT village/MANIFEST-* village/*.sst; do "
          "head -c 3000 /dev/urandom >$f; done");
    return log;
}

static void a_lost_store_waits_for_its_parent(void **state)
{
    (void)state;
    struct draft_result r;
    struct errmsg why = {""};
    struct draft d = {
        .record = 90000, .subject = "91341821MA2T00001X", .text = "new"};
    village.has_parent = true;
    struct log_id old = lose_all();
    node_start(&village);
    for (int i = 0; i < 2; i++) {
        assert_true(store_awaits_parent(village.store));
        assert_ok(submit(village.store, &d, 1, &r));
        assert_int_equal(r.outcome, DRAFT_PENDING);
        assert_int_equal(size_of(village.store, &old), 0);
        node_restart(&village);
        d.record++;
    }
    assert_ok(store_parent_told(village.store, &why));
    struct row_list rows = {.n = 0};
    WAIT_FOR((rows_of(village.store, d.subject, &rows), rows.n >= 2));
    assert_int_equal(rows.n, 2);
    struct log_id own = store_own_log(village.store);
    assert_false(log_id_eq(&own, &old));
    node_restart(&village);
    assert_false(store_awaits_parent(village.store));
    assert_false(is_damaged(village.store));
}

static void a_lost_store_without_a_parent_goes_on(void **state)
{
    (void)state;
    struct draft_result r;
    struct draft d = {
        .record = 90000, .subject = "91341821MA2T00001X", .text = "new"};
    struct log_id old = lose_all();
    node_start(&village);
    for (int i = 0; i < 2; i++) {
        assert_false(store_awaits_parent(village.store));
        assert_ok(submit(village.store, &d, 1, &r));
        assert_int_equal(r.outcome, DRAFT_NEW);
        struct log_id own = store_own_log(village.store);
        assert_false(log_id_eq(&own, &old));
        assert_false(store_in_doubt(village.store, &own));
        node_restart(&village);
        d.record++;
    }
}

/* ---- what is there and cannot be read now ---- */

static void a_mark_that_cannot_be_told_keeps_the_store_shut(void **state)
{
    struct errmsg why;
    (void)state;
    const char *const marks[] = {"village.rebuild/REBUILT", "village/DAMAGED"};
    shell("mkdir village.rebuild");
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        node_stop(&village);
        shell("ln -s loop %s && ln -s %s %.*s/loop", marks[i],
              strrchr(marks[i], '/') + 1,
              (int)(strrchr(marks[i], '/') - marks[i]), marks[i]);
        assert_int_equal(node_try_open(&village, &why), ERR_IO);
        shell("rm %s", marks[i]);
        node_start(&village);
        assert_false(is_damaged(village.store));
    }
}

static void expect_no_rebuild_now(struct node *n)
{
    struct errmsg why;
    enum err err = node_try_open(n, &why);
    assert_true(err == ERR_IO || err == ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "cannot be rebuilt now"));
    shell("! ls -d %s.damaged-* 2>/dev/null", n->path);
}

static void what_cannot_be_read_now_is_not_left_out(void **state)
{
    const enum script_read failing[] = {READ_META, READ_NODES, READ_SALVAGE,
                                        READ_BLOCKS};
    struct backend backend = scripted(fixture_backend());
    struct node n;
    (void)state;
    node_init(&n, &backend, VILLAGE, "starved");
    submit_many(n.store, 0, 100);
    struct log_id own = store_own_log(n.store);
    node_stop(&n);
    shell("echo test >%s/DAMAGED", n.path);
    for (size_t i = 0; i < ARRAY_LEN(failing); i++) {
        fail_reads(failing[i]);
        expect_no_rebuild_now(&n);
    }
    reads_work();
    fail_reads(READ_PARTS);
    expect_no_rebuild_now(&n);
    reads_work();
    node_start(&n);
    assert_int_equal(size_of(n.store, &own), 101);
    assert_false(store_in_doubt(n.store, &own));
    shell("ls -d %s.damaged-* >/dev/null && rm -rf %s.damaged-*", n.path,
          n.path);
    node_fini(&n);
}

/* ---- told ---- */

static _Atomic int told;

static void on_damaged(void *ctx, const char *what)
{
    (void)ctx;
    assert_non_null(strstr(what, on_mariadb() ? "number" : ".sst"));
    (void)atomic_fetch_add(&told, 1);
}

static struct store_mariadb_conf township_mariadb(void)
{
    const struct store_mariadb_conf none = {.database = NULL};
    return on_mariadb() ? node_mariadb(&township) : none;
}

static void damage_is_told_once_and_found_by_the_patrol(void **state)
{
    (void)state;
    struct errmsg why;
    struct log_id log = fill_township();
    flip_blocks(&township);
    const struct store_conf conf = {.mariadb = township_mariadb(),
                                    .path = township.path,
                                    .cache_bytes = 2 << 20,
                                    .write_buffer_bytes = 2 << 20,
                                    .queue_max = 256,
                                    .queue_bytes_max = 32 << 20,
                                    .scrub_interval_ms = 100};
    const struct store_env env = {.suite = test_suite(),
                                  .federation = FEDERATION,
                                  .self = TOWNSHIP,
                                  .signer = &township.sign,
                                  .keyring = township.keyring,
                                  .damaged = on_damaged};
    atomic_store(&told, 0);
    assert_ok(store_open(&township.store, &conf, &env, &why));
    WAIT_FOR(atomic_load(&told) > 0);
    (void)check_entries(township.store, &log);
    assert_int_equal(atomic_load(&told), 1);
    bool marked = false;
    char what[DAMAGE_MAX];
    assert_ok(damage_marked(township.path, &marked, what, &why));
    assert_true(marked);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest files[] = {
        T(no_flip_in_any_file_gives_a_wrong_answer),
        T(the_last_two_damaged_folders_are_kept),
        T(an_interrupted_rebuild_begins_again),
        T(lost_commits_are_noticed),
        T(what_is_entered_in_doubt_stays_when_more_comes_back),
        T(a_torn_last_write_is_no_damage),
        T(a_lost_store_waits_for_its_parent),
        T(a_lost_store_without_a_parent_goes_on),
        T(what_cannot_be_read_now_is_not_left_out),
        T(a_mark_that_cannot_be_told_keeps_the_store_shut),
    };
    const struct CMUnitTest rows[] = {
        T(no_flip_in_any_row_gives_a_wrong_answer),
        T(a_flipped_node_costs_no_entry),
        T(what_is_entered_behind_a_damaged_end_stays),
        T(a_damaged_last_block_keeps_no_store_shut),
    };
    const struct CMUnitTest both[] = {
        T(the_longest_provable_prefix_is_kept),
        T(the_end_of_a_lost_log_is_remembered),
        T(what_the_parent_has_comes_back_and_nothing_twice),
        T(what_only_this_node_had_is_appended_again),
        T(nothing_is_appended_to_a_log_in_doubt),
        T(damage_is_told_once_and_found_by_the_patrol),
    };
    int failed = on_mariadb()
                     ? cmocka_run_group_tests(rows, fed_setup, fed_teardown)
                     : cmocka_run_group_tests(files, fed_setup, fed_teardown);
    return failed + cmocka_run_group_tests(both, fed_setup, fed_teardown);
}
