/* The inbox: what is taken, when, and where it goes. */
#include "unit/ingest/table.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "credit/rules.h"
#include "ingest/csv.h"
#include "ingest/inbox.h"
#include "support/scripted_backend.h"

enum { QUIET_MS = 300 };

static struct node village;
static struct import_env env;
static struct inbox_conf conf;
static struct inbox *inbox;
static char folder[128];

/* ---- helpers ---- */

static const char *at(const char *name)
{
    static char paths[4][512]; /* folder, slash, NAME_MAX */
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* At one stroke: on a busy machine it may settle between two. */
static void lay(const char *name, struct slice text)
{
    FILE *f = fopen(at(".laid"), "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(at(".laid"), at(name)), 0);
}

static void lay_rows(const char *name, unsigned first, unsigned n)
{
    struct buf table = BUF_INIT;
    table_header(&table);
    for (unsigned i = 0; i < n; i++) {
        table_row(&table, first + i, "准予");
    }
    lay(name, buf_slice(&table));
    buf_fini(&table);
}

static bool is_there(const char *name)
{
    struct stat st;
    return lstat(at(name), &st) == 0;
}

static void wait_for(const char *name)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (!is_there(name)) {
        if (clock_mono_ms() > until_ms) {
            fail_msg("%s did not come", name);
        }
        (void)usleep(5000);
    }
}

/* Lent until the next call. */
static const char *text_of(const char *name)
{
    static struct buf text;
    buf_fini(&text);
    assert_ok(file_read(at(name), 1 << 24, &text, NULL));
    const char *s = buf_cstr(&text);
    return s;
}

static size_t times(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what)) {
        n++;
    }
    return n;
}

static void open_inbox(void)
{
    struct errmsg why = {""};
    if (inbox_open(&inbox, &env, &conf, NULL, &why) != ERR_OK) {
        fail_msg("inbox_open: %s", why.text);
    }
}

static int setup(void **state)
{
    (void)state;
    node_init(&village, &store_rocksdb, VILLAGE, "village");
    env = (struct import_env){.store = village.store,
                              .keyring = village.keyring,
                              .suite = test_suite(),
                              .self = VILLAGE,
                              .batch_rows = 100};
    (void)snprintf(folder, sizeof folder, "%s/inbox", fed_dir);
    conf = (struct inbox_conf){.path = folder,
                               .interval_ms = 10,
                               .settle_ms = 50,
                               .file_max_bytes = 1 << 24};
    open_inbox();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    script_lets_go();
    inbox_close(&inbox);
    node_fini(&village);
    shell("rm -rf inbox");
    return 0;
}

/* ---- what reaches the disk ---- */

enum { SYNCS_MAX = 16 };

/* The inbox and done/ in the order in which they were synced, and what lay
 * there then. */
static struct {
    _Atomic bool watched;
    _Atomic unsigned n;
    struct {
        bool done; /* done/; else the inbox */
        bool receipt_there;
        bool file_waits;
    } at[SYNCS_MAX];
} syncs;

/* As at() and is_there(), on any thread. */
static bool look(const char *name, struct stat *st)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return lstat(path, st) == 0;
}

/* The disk takes so long for the next receipt of a.csv. */
static _Atomic unsigned slow_ms;

static void take_time(ino_t file)
{
    struct stat draft;
    unsigned ms = atomic_load(&slow_ms);
    if (ms > 0 && look(".a.csv.receipt", &draft) && draft.st_ino == file) {
        atomic_store(&slow_ms, 0);
        (void)usleep(ms * 1000);
    }
}

/* Takes the place of the library's, for the program under test too. */
int fsync(int fd)
{
    struct stat st;
    struct stat done;
    struct stat all;
    if (atomic_load(&slow_ms) > 0 && fstat(fd, &st) == 0) {
        take_time(st.st_ino);
    }
    if (syncs.watched && fstat(fd, &st) == 0 && look(".", &all) &&
        look("done", &done) && syncs.n < SYNCS_MAX &&
        (st.st_ino == done.st_ino || st.st_ino == all.st_ino)) {
        unsigned i = syncs.n;
        syncs.at[i].done = st.st_ino == done.st_ino;
        syncs.at[i].receipt_there = look("done/a.csv.receipt.csv", &done);
        syncs.at[i].file_waits = look("a.csv", &done);
        syncs.n = i + 1;
    }
    return (int)syscall(SYS_fsync, fd);
}

/* Whoever looks at b.csv next is held up so long. */
static _Atomic unsigned stall_ms;

int lstat(const char *path, struct stat *st)
{
    char held[512];
    (void)snprintf(held, sizeof held, "%s/b.csv", folder);
    if (atomic_load(&stall_ms) > 0 && strcmp(path, held) == 0) {
        (void)usleep(atomic_exchange(&stall_ms, 0) * 1000);
    }
    return fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

static void the_receipt_is_on_the_disk_before_the_file_moves(void **state)
{
    (void)state;
    wait_for("done");
    syncs.n = 0;
    syncs.watched = true;
    lay_rows("a.csv", 1, 5);
    wait_for("done/a.csv");
    inbox_close(&inbox);
    syncs.watched = false;
    assert_int_equal(syncs.n, 3);
    assert_true(syncs.at[0].done && syncs.at[0].receipt_there &&
                syncs.at[0].file_waits);
    assert_true(syncs.at[1].done && !syncs.at[1].file_waits);
    assert_false(syncs.at[2].done);
}

static void new_folders_are_on_the_disk_before_a_file_moves(void **state)
{
    (void)state;
    inbox_close(&inbox);
    shell("rm -rf inbox");
    syncs.n = 0;
    syncs.watched = true;
    open_inbox();
    inbox_close(&inbox);
    syncs.watched = false;
    assert_int_equal(syncs.n, 2); /* for done/ and rejected/ */
    assert_false(syncs.at[0].done || syncs.at[1].done);
}

/* ---- what is taken ---- */

static void a_good_file_goes_to_done_with_its_receipt(void **state)
{
    (void)state;
    lay_rows("a.csv", 1, 5);
    wait_for("done/a.csv");
    assert_false(is_there("a.csv"));
    const char *receipt = text_of("done/a.csv.receipt.csv");
    static const char head[] =
        CSV_UTF8_MARK "line,outcome,record_key,log,number,";
    assert_int_equal(strncmp(receipt, head, strlen(head)), 0);
    assert_int_equal(times(receipt, ",new,"), 5);
    assert_int_equal(times(receipt, "341821100201/records/"), 5);
    assert_int_equal(times(receipt, "\r\n"), 6);
}

static void a_file_refused_as_a_whole_goes_to_rejected(void **state)
{
    (void)state;
    lay("a.csv", slice_str("no header\n1,2,3\n"));
    lay("b.csv", slice_str(""));
    wait_for("rejected/a.csv");
    wait_for("rejected/b.csv");
    assert_non_null(strstr(text_of("rejected/a.csv.receipt.csv"),
                           "0,refused,,,0,\"\",\"file\",\"no header: the "
                           "file must name its columns, as in "
                           "docs/catalogue.md\",\"没有表头"));
    assert_true(is_there("rejected/b.csv.receipt.csv"));
}

static void bad_rows_do_not_reject_the_file(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    table_header(&table);
    table_row(&table, 1, "准予");
    table_bad_row(&table, 2);
    lay("a.csv", buf_slice(&table));
    wait_for("done/a.csv");
    const char *receipt = text_of("done/a.csv.receipt.csv");
    assert_int_equal(times(receipt, ",new,"), 1);
    assert_non_null(
        strstr(receipt, "3,refused,,,0,\"XK_XDR_SHXYM\",\"uscc-check\""));
    assert_non_null(strstr(receipt, rules_text_zh("uscc-check")));
    buf_fini(&table);
}

static void a_file_over_the_limit_is_rejected(void **state)
{
    (void)state;
    inbox_close(&inbox);
    conf.file_max_bytes = 1000;
    open_inbox();
    lay_rows("a.csv", 1, 50);
    wait_for("rejected/a.csv");
    assert_non_null(strstr(text_of("rejected/a.csv.receipt.csv"),
                           "larger than ingest.file_max (1000 bytes)"));
}

static void personal_values_are_masked_in_the_receipt(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    table_header(&table);
    table_person(&table, 1, table_citizen);
    table_person(&table, 2, "999900200002290018");
    table_row(&table, 3, "持证人999900200002290017");
    lay("a.csv", buf_slice(&table));
    wait_for("done/a.csv");
    const char *receipt = text_of("done/a.csv.receipt.csv");
    assert_int_equal(times(receipt, ",new,"), 1);
    assert_int_equal(times(receipt, ",refused,"), 2);
    assert_null(strstr(receipt, "20000229"));
    assert_null(strstr(receipt, "王某样"));
    buf_fini(&table);
}

/* ---- when ---- */

static void open_inbox_with(uint32_t settle_ms)
{
    inbox_close(&inbox);
    conf.settle_ms = settle_ms;
    open_inbox();
}

static void a_file_is_left_until_it_has_settled(void **state)
{
    (void)state;
    open_inbox_with(WAIT_MS); /* whatever keeps this program waiting */
    struct buf table = BUF_INIT;
    table_header(&table);
    int fd = open(at("a.csv"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < 10; i++) {
        table_row(&table, i, "准予");
        assert_int_equal(write(fd, table.data, table.len), table.len);
        buf_clear(&table);
        /* who copies may set the time of the content back */
        assert_int_equal(futimens(fd, (struct timespec[2]){{0}, {0}}), 0);
        (void)usleep(50000);
        assert_true(is_there("a.csv"));
    }
    assert_int_equal(close(fd), 0);
    open_inbox_with(50);
    wait_for("done/a.csv");
    assert_int_equal(times(text_of("done/a.csv.receipt.csv"), ",new,"), 10);
    buf_fini(&table);
}

static void append_to(const char *name, const char *text, size_t len)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(close(fd), 0);
}

/* Before its first byte, and within a row: neither is moved away from under
 * who copies. */
static void a_copy_that_stalls_is_waited_for(void **state)
{
    enum { ROWS = 3, CUT = 40 };
    (void)state;
    struct buf table = BUF_INIT;
    open_inbox_with(1500);
    table_header(&table);
    for (unsigned i = 0; i < ROWS; i++) {
        table_row(&table, i, "准予");
    }
    const char *text = buf_cstr(&table);
    append_to("a.csv", text, 0);
    append_to("b.csv", text, table.len - CUT);
    (void)usleep(3500000);
    assert_true(is_there("a.csv"));
    assert_true(is_there("b.csv"));
    append_to("a.csv", text, table.len);
    append_to("b.csv", text + table.len - CUT, CUT);
    wait_for("done/a.csv");
    wait_for("done/b.csv");
    assert_int_equal(times(text_of("done/a.csv.receipt.csv"), ",new,"), ROWS);
    assert_int_equal(times(text_of("done/b.csv.receipt.csv"), ",unchanged,"),
                     ROWS);
    buf_fini(&table);
}

static void names_of_unfinished_files_are_left_alone(void **state)
{
    (void)state;
    static const char *const names[] = {".a.csv", "a.csv.part", "a.csv.tmp"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        lay_rows(names[i], 1, 1);
    }
    (void)usleep(QUIET_MS * 1000);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(is_there(names[i]));
    }
    assert_int_equal(rename(at("a.csv.part"), at("a.csv")), 0);
    wait_for("done/a.csv");
}

static void links_folders_and_pipes_are_ignored(void **state)
{
    (void)state;
    lay_rows("plain.part", 1, 1);
    assert_int_equal(symlink(at("plain.part"), at("link.csv")), 0);
    assert_int_equal(mkdir(at("folder.csv"), 0700), 0);
    assert_int_equal(mkfifo(at("pipe.csv"), 0600), 0);
    lay_rows("z.csv", 1, 1);
    wait_for("done/z.csv");
    assert_true(is_there("link.csv"));
    assert_true(is_there("folder.csv"));
    assert_true(is_there("pipe.csv"));
}

static void a_link_under_the_receipts_name_is_not_followed(void **state)
{
    (void)state;
    lay("victim.part", slice_str("precious"));
    assert_int_equal(symlink(at("victim.part"), at(".a.csv.receipt")), 0);
    lay_rows("a.csv", 1, 1);
    wait_for("done/a.csv");
    assert_string_equal(text_of("victim.part"), "precious");
    assert_int_equal(times(text_of("done/a.csv.receipt.csv"), ",new,"), 1);
}

/* ---- again ---- */

/* What lies in done/ of a.csv and of its receipts. */
static bool done_has(size_t want_files, size_t want_receipts)
{
    DIR *dir = opendir(at("done"));
    struct dirent *e;
    size_t files = 0;
    size_t receipts = 0;
    while ((e = readdir(dir)) != NULL) {
        bool receipt = strstr(e->d_name, ".receipt.csv") != NULL;
        receipts += receipt;
        files += !receipt && e->d_name[0] == 'a';
    }
    (void)closedir(dir);
    return files == want_files && receipts == want_receipts;
}

static void the_same_name_again_keeps_both(void **state)
{
    (void)state;
    lay_rows("a.csv", 1, 2);
    wait_for("done/a.csv");
    lay_rows("a.csv", 1, 3);
    WAIT_FOR(done_has(2, 2));
    assert_int_equal(times(text_of("done/a.csv.receipt.csv"), ",new,"), 2);
}

/* Who reads done/ takes files away and may leave what says how it went. */
static void a_receipt_stays_whose_file_was_taken_away(void **state)
{
    (void)state;
    lay_rows("a.csv", 1, 2);
    wait_for("done/a.csv");
    assert_int_equal(unlink(at("done/a.csv")), 0);
    lay_rows("a.csv", 1, 3);
    WAIT_FOR(done_has(1, 2));
    assert_int_equal(times(text_of("done/a.csv.receipt.csv"), ",new,"), 2);
    assert_false(is_there("done/a.csv"));
}

/* The names of the files in `sub`, at most `max`, receipts left out. */
static size_t names_in(const char *sub, char (*names)[64], size_t max)
{
    size_t n = 0;
    DIR *dir = opendir(at(sub));
    struct dirent *e;
    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        if (e->d_type == DT_REG && e->d_name[0] != '.' &&
            strstr(e->d_name, ".receipt.csv") == NULL && n < max) {
            (void)snprintf(names[n++], sizeof names[0], "%.60s", e->d_name);
        }
    }
    (void)closedir(dir);
    return n;
}

static void what_replaces_a_file_at_work_is_read_too(void **state)
{
    (void)state;
    enum { FILES = 400 };
    static char done[FILES][64];
    char name[96];
    inbox_close(&inbox);
    conf.interval_ms = 1;
    conf.settle_ms = 0;
    open_inbox();
    for (unsigned i = 0; i < FILES; i++) {
        lay_rows("a.part", i, 1);
        assert_int_equal(rename(at("a.part"), at("a.csv")), 0);
        (void)usleep(500 + i % 7 * 300);
    }
    WAIT_FOR(names_in("", done, 1) == 0);
    inbox_close(&inbox);
    size_t n = names_in("done", done, FILES);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "done/%s.receipt.csv", done[i]);
        assert_true(is_there(name));
        (void)snprintf(name, sizeof name, "done/%s", done[i]);
        (void)snprintf(done[i], sizeof done[0], "again%zu.csv", i);
        assert_int_equal(rename(at(name), at(done[i])), 0);
    }
    open_inbox();
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "done/%s", done[i]);
        wait_for(name);
        (void)snprintf(name, sizeof name, "done/%s.receipt.csv", done[i]);
        assert_int_equal(times(text_of(name), ",unchanged,"), 1);
    }
}

static uint64_t entries(void)
{
    struct store_stats stats;
    store_stats(village.store, &stats);
    return stats.entries;
}

/* The inbox is closed, and the store one that does as the script says. */
static void close_and_script_the_store(void)
{
    static struct backend backend;
    inbox_close(&inbox);
    node_fini(&village);
    backend = scripted(&store_rocksdb);
    node_init(&village, &backend, VILLAGE, "village");
    env.store = village.store;
    env.keyring = village.keyring;
}

static void a_file_in_work_when_the_node_stops_is_taken_again(void **state)
{
    (void)state;
    enum { ROWS = 8000 };
    close_and_script_the_store();
    atomic_store(&script.slow, true); /* or all of it is there by then */
    open_inbox();
    uint64_t before = entries();
    lay_rows("a.csv", 1, ROWS);
    WAIT_FOR(entries() > before);
    inbox_close(&inbox);
    atomic_store(&script.slow, false);
    assert_true(is_there("a.csv"));
    assert_false(is_there("done/a.csv"));
    assert_false(is_there("rejected/a.csv"));
    open_inbox();
    wait_for("done/a.csv");
    const char *receipt = text_of("done/a.csv.receipt.csv");
    assert_true(times(receipt, ",unchanged,") > 0);
    assert_int_equal(times(receipt, ",unchanged,") + times(receipt, ",new,"),
                     ROWS);
}

static void files_wait_while_the_store_takes_nothing(void **state)
{
    (void)state;
    inbox_close(&inbox);
    village.reserve_bytes = UINT64_MAX / 2;
    node_restart(&village);
    env.store = village.store;
    open_inbox();
    lay_rows("a.csv", 1, 3);
    (void)usleep(QUIET_MS * 1000);
    inbox_close(&inbox); /* or it is just being tried */
    assert_true(is_there("a.csv"));
    assert_false(is_there(".a.csv.receipt"));
    village.reserve_bytes = 0;
    node_restart(&village);
    env.store = village.store;
    open_inbox();
    wait_for("done/a.csv");
}

static void a_name_too_long_for_its_receipt_waits(void **state)
{
    (void)state;
    char name[240];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    lay_rows(name, 1, 1);
    (void)usleep(QUIET_MS * 1000);
    assert_true(is_there(name));
    lay_rows("a.csv", 1, 1);
    wait_for("done/a.csv");
}

/* A link to itself: what cannot be looked at may be an older file. */
static void what_cannot_be_looked_at_is_not_written_over(void **state)
{
    struct stat st;
    (void)state;
    assert_int_equal(symlink("a.csv", at("done/a.csv")), 0);
    lay_rows("a.csv", 1, 5);
    WAIT_FOR(!is_there("a.csv"));
    assert_int_equal(lstat(at("done/a.csv"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

/* ---- one record in two files ---- */

static void lay_record(const char *name, const char *content)
{
    struct buf table = BUF_INIT;
    table_header(&table);
    table_row(&table, 1, content);
    lay(name, buf_slice(&table));
    buf_fini(&table);
}

static void assert_outcome(const char *receipt, const char *outcome)
{
    const char *text = text_of(receipt);
    if (times(text, outcome) != 1) {
        fail_msg("not once %s in %s:\n%s", outcome, receipt, text);
    }
}

/* Each would take the other's place at every look. */
static void files_that_cannot_move_are_taken_once(void **state)
{
    (void)state;
    wait_for("done");
    uint64_t before = entries();
    assert_int_equal(rmdir(at("done")), 0);
    assert_int_equal(symlink("done", at("done")), 0); /* leads nowhere */
    lay_record("a.csv", "准予");
    lay_record("b.csv", "变更");
    WAIT_FOR(entries() >= before + 2);
    (void)usleep(3 * QUIET_MS * 1000); /* several looks */
    assert_int_equal(entries(), before + 2);
    assert_int_equal(unlink(at("done")), 0);
    assert_int_equal(mkdir(at("done"), 0700), 0);
    wait_for("done/a.csv");
    wait_for("done/b.csv");
    assert_outcome("done/a.csv.receipt.csv", ",new,");
    assert_outcome("done/b.csv.receipt.csv", ",changed,");
    assert_int_equal(entries(), before + 2);
}

/* Its content is another by then. */
static void a_file_that_changes_before_it_can_move_is_taken_again(void **state)
{
    (void)state;
    wait_for("done");
    uint64_t before = entries();
    assert_int_equal(rmdir(at("done")), 0);
    assert_int_equal(symlink("done", at("done")), 0); /* leads nowhere */
    lay_record("a.csv", "准予");
    WAIT_FOR(entries() >= before + 1);
    struct buf row = BUF_INIT;
    table_row(&row, 2, "准予");
    append_to("a.csv", buf_cstr(&row), row.len);
    buf_fini(&row);
    assert_int_equal(unlink(at("done")), 0);
    assert_int_equal(mkdir(at("done"), 0700), 0);
    wait_for("done/a.csv");
    assert_outcome("done/a.csv.receipt.csv", ",unchanged,");
    assert_outcome("done/a.csv.receipt.csv", ",new,");
    assert_int_equal(entries(), before + 2);
}

/* The store takes nothing for a moment, and is back before the next file. */
static void a_file_that_waits_is_not_overtaken(void **state)
{
    (void)state;
    close_and_script_the_store();
    lay_record("a.csv", "准予");
    lay_record("b.csv", "变更");
    atomic_store(&script.next_commit, COMMIT_REFUSED);
    atomic_store(&slow_ms, 2500);
    open_inbox();
    wait_for("done/a.csv");
    wait_for("done/b.csv");
    assert_outcome("done/a.csv.receipt.csv", ",new,");
    assert_outcome("done/b.csv.receipt.csv", ",changed,");
}

/* The older one had not settled a moment ago, and now it has, as the other. */
static void a_look_that_takes_long_overtakes_no_file(void **state)
{
    (void)state;
    open_inbox_with(600);
    atomic_store(&stall_ms, 700);
    lay_record("a.csv", "准予");
    lay_record("b.csv", "变更");
    wait_for("done/a.csv");
    wait_for("done/b.csv");
    assert_outcome("done/a.csv.receipt.csv", ",new,");
    assert_outcome("done/b.csv.receipt.csv", ",changed,");
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    struct inbox *other = NULL;
    struct errmsg why = {""};
    struct inbox_conf bad = conf;
    bad.path = "/proc/no-such-folder";
    assert_int_not_equal(inbox_open(&other, &env, &bad, NULL, &why), ERR_OK);
    assert_non_null(strstr(why.text, "/proc/no-such-folder"));
    assert_null(other);
}

#define INBOX_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INBOX_TEST(the_receipt_is_on_the_disk_before_the_file_moves),
        INBOX_TEST(new_folders_are_on_the_disk_before_a_file_moves),
        INBOX_TEST(a_good_file_goes_to_done_with_its_receipt),
        INBOX_TEST(a_file_refused_as_a_whole_goes_to_rejected),
        INBOX_TEST(bad_rows_do_not_reject_the_file),
        INBOX_TEST(a_file_over_the_limit_is_rejected),
        INBOX_TEST(personal_values_are_masked_in_the_receipt),
        INBOX_TEST(a_file_is_left_until_it_has_settled),
        INBOX_TEST(a_copy_that_stalls_is_waited_for),
        INBOX_TEST(names_of_unfinished_files_are_left_alone),
        INBOX_TEST(links_folders_and_pipes_are_ignored),
        INBOX_TEST(a_link_under_the_receipts_name_is_not_followed),
        INBOX_TEST(the_same_name_again_keeps_both),
        INBOX_TEST(a_receipt_stays_whose_file_was_taken_away),
        INBOX_TEST(what_replaces_a_file_at_work_is_read_too),
        INBOX_TEST(a_file_in_work_when_the_node_stops_is_taken_again),
        INBOX_TEST(files_wait_while_the_store_takes_nothing),
        INBOX_TEST(a_name_too_long_for_its_receipt_waits),
        INBOX_TEST(what_cannot_be_looked_at_is_not_written_over),
        INBOX_TEST(files_that_cannot_move_are_taken_once),
        INBOX_TEST(a_file_that_changes_before_it_can_move_is_taken_again),
        INBOX_TEST(a_file_that_waits_is_not_overtaken),
        INBOX_TEST(a_look_that_takes_long_overtakes_no_file),
        INBOX_TEST(a_folder_that_cannot_be_made_is_named),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
