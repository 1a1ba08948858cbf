/* Tables into a real store: outcomes, batches, versions, and a store that does
 * not take them. */
#include "unit/ingest/table.h"

#include <iconv.h>
#include <sys/resource.h>

#include "base/file.h"
#include "support/scripted_backend.h"

static struct node village;
static struct import_env env;
static struct outcomes seen;
static struct import_counts counts;
static struct errmsg why;

static void use(uint32_t batch_rows)
{
    env = (struct import_env){.store = village.store,
                              .keyring = village.keyring,
                              .suite = test_suite(),
                              .self = VILLAGE,
                              .batch_rows = batch_rows};
}

static int setup(void **state)
{
    (void)state;
    node_init(&village, &store_rocksdb, VILLAGE, "village");
    use(3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    script_lets_go();
    outcomes_fini(&seen);
    node_fini(&village);
    return 0;
}

static struct import *begin(void)
{
    static const struct import_sink sink = {.row = outcomes_row, .ctx = &seen};
    struct import *import;
    outcomes_fini(&seen);
    seen = (struct outcomes){.count = 0};
    why.text[0] = 0;
    import_begin(&import, &env, &sink);
    return import;
}

/* Feeds in steps of `step` bytes; empties `table`. */
static enum err run(struct buf *table, size_t step)
{
    struct import *import = begin();
    enum err err = ERR_OK;
    for (size_t at = 0; err == ERR_OK && at < table->len; at += step) {
        size_t n = table->len - at < step ? table->len - at : step;
        err = import_feed(import, slice_of(table->data + at, n), &why);
    }
    if (err == ERR_OK) {
        err = import_finish(import, &why);
    }
    import_counts(import, &counts);
    size_t reported = seen.count;
    import_free(&import);
    assert_int_equal(seen.count, reported);
    buf_fini(table);
    return err;
}

/* Good rows "g", refused ones "b", from line 2 on. */
static void rows(struct buf *out, const char *pattern, const char *content)
{
    table_header(out);
    for (unsigned i = 0; pattern[i] != 0; i++) {
        if (pattern[i] == 'g') {
            table_row(out, i, content);
        } else {
            table_bad_row(out, i);
        }
    }
}

/* ---- outcomes ---- */

static void outcomes_come_in_the_order_of_the_file(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "g",      "b",         "ggg",           "bbb",
        "bgg",    "ggbg",      "bbbbgggg",      "gbgbgbgbgbgb",
        "gggbbb", "bgbgbbbbg", "ggggggggggggg", "bbbbbbbbbbbbbb",
    };
    for (size_t p = 0; p < ARRAY_LEN(patterns); p++) {
        for (uint32_t batch = 1; batch <= 4; batch++) {
            struct buf table = BUF_INIT;
            char content[32];
            (void)snprintf(content, sizeof content, "准予%zu-%u", p, batch);
            use(batch);
            rows(&table, patterns[p], content);
            assert_ok(run(&table, 7));
            const char *at = buf_cstr(&seen.rows);
            for (unsigned i = 0; patterns[p][i] != 0; i++) {
                char line[32];
                (void)snprintf(line, sizeof line, "%u %s", i + 2,
                               patterns[p][i] == 'b'  ? "refused;"
                               : p == 0 && batch == 1 ? "new;"
                                                      : "");
                assert_memory_equal(at, line, strlen(line));
                assert_int_equal(patterns[p][i] == 'b',
                                 strncmp(strchr(at, ' '), " refused", 8) == 0);
                at = strchr(at, ';') + 1;
            }
            assert_int_equal(*at, 0);
            assert_int_equal(counts.rows, strlen(patterns[p]));
        }
    }
}

static void the_same_file_twice_changes_nothing(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    rows(&table, "gbgg", "准予");
    table_person(&table, 50, table_citizen);
    assert_ok(run(&table, 100));
    assert_string_equal(buf_cstr(&seen.rows),
                        "2 new;3 refused;4 new;5 new;6 new;");
    uint64_t size = size_of(village.store, &seen.log);
    rows(&table, "gbgg", "准予");
    table_person(&table, 50, table_citizen);
    assert_ok(run(&table, 100));
    assert_string_equal(
        buf_cstr(&seen.rows),
        "2 unchanged;3 refused;4 unchanged;5 unchanged;6 unchanged;");
    assert_int_equal(size_of(village.store, &seen.log), size);
    assert_int_equal(counts.outcome[ROW_UNCHANGED], 4);
}

static void a_changed_row_is_a_version_with_its_predecessor(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct entry e;
    rows(&table, "g", "准予一");
    assert_ok(run(&table, 100));
    struct log_id log = seen.log;
    uint64_t first = seen.last_number;
    rows(&table, "g", "准予二");
    assert_ok(run(&table, 100));
    assert_string_equal(buf_cstr(&seen.rows), "2 changed v2;");
    assert_ok(store_entry(village.store, &seen.log, seen.last_number, &bytes));
    assert_ok(entry_decode(buf_slice(&bytes), &e));
    assert_int_equal(e.version, 2);
    assert_int_equal(e.prev_number, first);
    assert_int_equal(e.prev_incarnation, log.incarnation);
    buf_fini(&bytes);
}

static void what_was_reported_survives_the_end_of_the_process(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    rows(&table, "gggggggg", "准予");
    assert_ok(run(&table, 100));
    uint64_t last = seen.last_number;
    node_restart(&village);
    use(3);
    struct buf bytes = BUF_INIT;
    struct entry e;
    assert_ok(store_entry(village.store, &seen.log, last, &bytes));
    assert_ok(entry_decode(buf_slice(&bytes), &e));
    assert_memory_equal(e.record_key, seen.key, RECORD_KEY_LEN);
    buf_fini(&bytes);
}

static void an_import_given_up_keeps_what_it_reported(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    struct import *import = begin();
    buf_put_str(&table, "\xef\xbb\xbf"); /* or a sample is waited for */
    rows(&table, "gggggggggggggggggggg", "准予");
    assert_ok(import_feed(import, slice_of(table.data, table.len - 100), &why));
    size_t reported = seen.count;
    assert_true(reported > 0);
    import_free(&import);
    assert_int_equal(seen.count, reported);
    assert_ok(run(&table, 1000));
    const char *at = buf_cstr(&seen.rows);
    for (size_t i = 0; i < reported; i++) {
        assert_non_null(strstr(at, "unchanged;"));
        assert_true(strstr(at, " new") == NULL ||
                    strstr(at, "unchanged;") < strstr(at, " new"));
        at = strchr(at, ';') + 1;
    }
}

static void personal_values_are_masked_in_faults(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    table_header(&table);
    table_person(&table, 1, "999900200002290018"); /* a wrong check digit */
    buf_put_str(&table, "甲公司,法人及非法人组织,999900200002290017,赵样一,,,");
    table_rest(&table, 2, "准予");
    table_row(&table, 3, "持证人999900200002290017");
    assert_ok(run(&table, 100));
    assert_string_equal(buf_cstr(&seen.rows), "2 refused;3 refused;4 refused;");
    assert_null(strstr(buf_cstr(&seen.texts), "2000022900"));
    assert_null(strstr(buf_cstr(&seen.texts), "王某样"));
}

static void a_person_is_sealed_in_the_store(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    struct buf bytes = BUF_INIT;
    table_header(&table);
    table_person(&table, 1, table_citizen);
    assert_ok(run(&table, 100));
    assert_ok(store_entry(village.store, &seen.log, seen.last_number, &bytes));
    assert_null(memmem(bytes.data, bytes.len, table_citizen, 18));
    assert_null(memmem(bytes.data, bytes.len, "王某样", strlen("王某样")));
    buf_fini(&bytes);
}

/* ---- whole files ---- */

static void a_file_without_a_header_is_refused_as_a_whole(void **state)
{
    (void)state;
    static const char *const files[] = {"", "\n\n", "a,b,c\n1,2,3\n",
                                        "\xff\xfe\x61\0b\0"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct buf table = BUF_INIT;
        buf_put(&table, files[i], i == 3 ? 6 : strlen(files[i]));
        enum err err = run(&table, 100);
        assert_true(err == ERR_INVALID || err == ERR_UNSUPPORTED);
        assert_int_equal(counts.rows, 0);
        assert_true(why.text[0] != 0);
    }
}

/* ---- a store that does not take them ---- */

static void a_full_disk_is_named(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    rows(&table, "ggggg", "准予");
    assert_ok(run(&table, 100));
    village.reserve_bytes = UINT64_MAX / 2;
    node_stop(&village);
    enum err err = node_try_open(&village, &why);
    assert_ok(err);
    use(3);
    rows(&table, "bgggg", "准予二");
    assert_int_equal(run(&table, 100), ERR_NO_SPACE);
    assert_non_null(strstr(why.text, "from line "));
    assert_non_null(strstr(why.text, "free"));
    assert_int_equal(counts.outcome[ROW_CHANGED], 0);
    village.reserve_bytes = 0;
    node_restart(&village);
    use(3);
    rows(&table, "ggggg", "准予二");
    assert_ok(run(&table, 100));
    assert_int_equal(counts.outcome[ROW_CHANGED], 5);
}

/* ---- at once ---- */

static struct backend held_backend;

/* A store whose writer is held within the first commit of a test. */
static int setup_held(void **state)
{
    (void)state;
    held_backend = scripted(&store_rocksdb);
    node_init(&village, &held_backend, VILLAGE, "held");
    use(3);
    atomic_store(&script.held, true);
    return 0;
}

static void on_settled(void *ctx)
{
    atomic_uint *settled = ctx;
    atomic_fetch_add(settled, 1);
}

static void let_go(const atomic_uint *settled, unsigned n)
{
    atomic_store(&script.held, false);
    WAIT_FOR(atomic_load(settled) >= n);
}

static void many_rows(struct buf *out, unsigned n, const char *content)
{
    table_header(out);
    for (unsigned i = 0; i < n; i++) {
        table_row(out, i, content);
    }
}

/* All that a call may bring, though the writer takes nothing meanwhile; what is
 * beyond it is refused and not waited for either. */
static void what_comes_at_once_waits_for_nothing(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        atomic_uint settled = 0;
        struct buf table = BUF_INIT;
        struct import *import = begin();
        many_rows(&table, IMPORT_AT_ONCE_ROWS + more,
                  more == 0 ? "准予一" : "准予二");
        atomic_store(&script.held, true);
        import_at_once(import, buf_slice(&table), on_settled, &settled);
        assert_int_equal(atomic_load(&settled), 0);
        let_go(&settled, 1);
        assert_int_equal(import_finish(import, &why),
                         more == 0 ? ERR_OK : ERR_TOO_LARGE);
        import_counts(import, &counts);
        assert_int_equal(counts.rows, IMPORT_AT_ONCE_ROWS);
        assert_int_equal(counts.outcome[more == 0 ? ROW_NEW : ROW_CHANGED],
                         IMPORT_AT_ONCE_ROWS);
        import_free(&import);
        buf_fini(&table);
    }
}

static void no_room_now_is_said_at_once(void **state)
{
    enum { ENOUGH = 400 }; /* more than the queue takes beside one commit */
    static struct import *imports[ENOUGH];
    atomic_uint settled = 0;
    struct buf table = BUF_INIT;
    unsigned n = 0;
    unsigned refused = 0;
    (void)state;
    many_rows(&table, 1, "准予");
    for (; n < ENOUGH && atomic_load(&settled) == 0; n++) {
        imports[n] = begin();
        import_at_once(imports[n], buf_slice(&table), on_settled, &settled);
        if (n == 0) { /* or a late writer takes a whole group first */
            wait_held();
        }
    }
    assert_int_equal(atomic_load(&settled), 1);
    assert_int_equal(import_finish(imports[n - 1], &why), ERR_BUSY);
    assert_non_null(strstr(why.text, "from line 2 on are not stored"));
    let_go(&settled, n);
    for (unsigned i = 0; i < n; i++) {
        refused += import_finish(imports[i], &why) != ERR_OK;
        import_free(&imports[i]);
    }
    assert_int_equal(refused, 1);
    buf_fini(&table);
}

static void a_call_that_is_no_table_is_refused_as_a_whole(void **state)
{
    atomic_uint settled = 0;
    struct import *import = begin();
    (void)state;
    import_at_once(import, slice_str("A,B\n1,2\n"), on_settled, &settled);
    assert_int_equal(atomic_load(&settled), 1);
    assert_int_equal(import_finish(import, &why), ERR_INVALID);
    assert_true(why.text[0] != 0);
    import_free(&import);
}

/* ---- now, where nothing may wait for a disk ---- */

static bool try_now(struct buf *table, atomic_uint *settled)
{
    struct import *import = begin();
    bool taken = import_now(import, buf_slice(table), on_settled, settled);
    if (taken) {
        let_go(settled, 1);
        assert_int_equal(import_finish(import, &why), ERR_OK);
    }
    import_counts(import, &counts);
    import_free(&import);
    return taken;
}

static void a_few_rows_are_taken_now(void **state)
{
    (void)state;
    atomic_uint settled = 0;
    struct buf table = BUF_INIT;
    struct import *import = begin();
    rows(&table, "gbg", "准予");
    assert_true(import_now(import, buf_slice(&table), on_settled, &settled));
    assert_int_equal(atomic_load(&settled), 0);
    let_go(&settled, 1);
    assert_ok(import_finish(import, &why));
    assert_string_equal(buf_cstr(&seen.rows), "2 new;3 refused;4 new;");
    import_free(&import);
    buf_fini(&table);
}

/* And nothing of it is there. The same goes another way. */
static void left_to_another(struct buf *table, const char *outcomes)
{
    atomic_uint settled = 0;
    uint64_t size = size_of(village.store, &seen.log);
    assert_false(try_now(table, &settled));
    assert_int_equal(atomic_load(&settled), 0);
    assert_int_equal(seen.count, 0);
    struct import *import = begin();
    import_at_once(import, buf_slice(table), on_settled, &settled);
    let_go(&settled, 1);
    assert_ok(import_finish(import, &why));
    assert_string_equal(buf_cstr(&seen.rows), outcomes);
    import_free(&import);
    assert_true(size_of(village.store, &seen.log) > size);
    buf_fini(table);
}

static void what_may_wait_is_left_to_another(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    rows(&table, "g", "准予");
    assert_ok(run(&table, 64)); /* so that there is a log to look at */
    table_header(&table);
    table_row(&table, 10, "准予");
    table_person(&table, 11, table_citizen);
    left_to_another(&table, "2 new;3 new;");
    rows(&table, "ggggggg", "七行");
    assert_true(try_now(&table, &(atomic_uint){0}));
    buf_fini(&table);
    rows(&table, "gggggggg", "八行");
    left_to_another(&table, "2 changed v3;3 changed v2;4 changed v2;"
                            "5 changed v2;6 changed v2;7 changed v2;"
                            "8 changed v2;9 new;");
    table_header(&table);
    table_row(&table, 30, "准予");
    size_t len = table.len;
    (void)memset(buf_reserve(&table, IMPORT_NOW_BYTES), ' ', IMPORT_NOW_BYTES);
    table.len = len + IMPORT_NOW_BYTES;
    left_to_another(&table, "2 new;");
}

/* Its converter comes from a file. */
static void another_character_set_is_left_to_another(void **state)
{
    (void)state;
    struct buf table = BUF_INIT;
    struct buf gb = BUF_INIT;
    rows(&table, "g", "准予");
    assert_ok(run(&table, 64));
    table_header(&table);
    table_row(&table, 40, "准予");
    iconv_t cd = iconv_open("GB18030", "UTF-8");
    char *from = (char *)table.data;
    size_t left = table.len;
    char *to = (char *)buf_reserve(&gb, 2 * table.len);
    size_t room = 2 * table.len;
    assert_int_equal(iconv(cd, &from, &left, &to, &room), 0);
    gb.len = (size_t)(to - (char *)gb.data);
    (void)iconv_close(cd);
    buf_fini(&table);
    left_to_another(&gb, "2 new;");
}

static void what_the_store_does_not_take_is_left_to_another(void **state)
{
    enum { ENOUGH = 400 };
    static struct import *imports[ENOUGH];
    atomic_uint settled = 0;
    struct buf table = BUF_INIT;
    unsigned n = 0;
    bool taken = true;
    (void)state;
    many_rows(&table, 1, "准予");
    while (taken && n < ENOUGH) {
        imports[n] = begin();
        taken = import_now(imports[n], buf_slice(&table), on_settled, &settled);
        n++;
    }
    assert_false(taken);
    assert_int_equal(atomic_load(&settled), 0);
    let_go(&settled, n - 1);
    for (unsigned i = 0; i < n; i++) {
        import_free(&imports[i]);
    }
    buf_fini(&table);
}

static void what_is_no_table_is_refused_now(void **state)
{
    atomic_uint settled = 0;
    struct import *import = begin();
    (void)state;
    assert_true(
        import_now(import, slice_str("A,B\n1,2\n"), on_settled, &settled));
    assert_int_equal(atomic_load(&settled), 1);
    assert_int_equal(import_finish(import, &why), ERR_INVALID);
    import_free(&import);
}

/* ---- size ---- */

static void a_large_row_does_not_make_a_large_batch(void **state)
{
    (void)state;
    enum { ROWS = 400 };
    struct buf table = BUF_INIT;
    struct buf content = BUF_INIT;
    struct store_stats before;
    struct store_stats after;
    for (int i = 0; i < 3500; i++) {
        buf_put_str(&content, "长");
    }
    use(DRAFTS_MAX);
    table_header(&table);
    for (unsigned i = 0; i < ROWS; i++) {
        table_row(&table, i, buf_cstr(&content));
    }
    store_stats(village.store, &before);
    assert_ok(run(&table, 65536));
    store_stats(village.store, &after);
    assert_int_equal(counts.outcome[ROW_NEW], ROWS);
    assert_true(after.commits >= before.commits + 2);
    buf_fini(&content);
}

static long peak_kib(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Feeds rows made on the way, so that only the import takes memory. */
static void feed_many(unsigned first, unsigned n)
{
    struct import *import = begin();
    struct buf part = BUF_INIT;
    table_header(&part);
    for (unsigned i = 0; i < n; i++) {
        table_row(&part, first + i, "准予从事样例活动");
        if (part.len > 60000) {
            assert_ok(import_feed(import, buf_slice(&part), &why));
            buf_clear(&part);
        }
    }
    assert_ok(import_feed(import, buf_slice(&part), &why));
    assert_ok(import_finish(import, &why));
    import_counts(import, &counts);
    import_free(&import);
    buf_fini(&part);
}

/* A sanitizer keeps what was freed: its quarantine alone holds 256 MiB. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { GROWTH_KIB = 512 * 1024 };
#else
enum { GROWTH_KIB = 96 * 1024 };
#endif

static void memory_does_not_grow_with_the_file(void **state)
{
    (void)state;
    enum { WARM = 40000, MANY = 100000 };
    use(1000);
    feed_many(0, WARM);
    assert_int_equal(counts.outcome[ROW_NEW], WARM);
    long before = peak_kib();
    feed_many(WARM, MANY);
    assert_int_equal(counts.outcome[ROW_NEW], MANY);
    assert_true(peak_kib() - before < GROWTH_KIB);
}

/* ---- rows as cells ---- */

enum { CELLS_MAX = 20 };

/* Cuts one line of text without quotes; the cells borrow from it. */
static size_t cut(const struct buf *line, struct slice *cells)
{
    size_t n = 0;
    size_t at = 0;
    for (size_t i = 0; i < line->len; i++) {
        if (line->data[i] == ',' || line->data[i] == '\n') {
            assert_true(n < CELLS_MAX);
            cells[n++] = slice_of(line->data + at, i - at);
            at = i + 1;
        }
    }
    return n;
}

static struct draft_source source_of(uint8_t name)
{
    struct draft_source s;
    memset(&s, name, sizeof s);
    return s;
}

static struct import *begin_cells(void)
{
    struct import *import = begin();
    struct buf header = BUF_INIT;
    struct slice names[CELLS_MAX];
    table_header(&header);
    assert_ok(import_columns(import, names, cut(&header, names), &why));
    assert_int_equal(import_item(import)->id, ITEM_LICENCE);
    buf_fini(&header);
    return import;
}

/* Content "" is a bad row; `line` names the source, too. */
static void feed_row(struct import *import, uint8_t line, unsigned number,
                     const char *content)
{
    struct buf row = BUF_INIT;
    struct slice cells[CELLS_MAX];
    const struct draft_source source = source_of(line);
    if (content[0] != 0) {
        table_row(&row, number, content);
    } else {
        table_bad_row(&row, number);
    }
    assert_ok(
        import_cells(import, line, &source, cells, cut(&row, cells), &why));
    buf_fini(&row);
}

static void a_journal_of_cells_is_taken_row_by_row(void **state)
{
    (void)state;
    struct source_taken taken;
    struct import *import = begin_cells();
    feed_row(import, 1, 7, "准予一");
    feed_row(import, 2, 7, "");
    feed_row(import, 3, 7, "准予二");
    feed_row(import, 4, 7, "准予一");
    feed_row(import, 5, 7, "准予一");
    assert_ok(import_finish(import, &why));
    import_free(&import);
    assert_string_equal(buf_cstr(&seen.rows),
                        "1 new;2 refused;3 changed v2;4 changed v3;"
                        "5 unchanged v3;");
    assert_int_equal(size_of(village.store, &seen.log), seen.last_number);
    const struct draft_source last = source_of(5);
    assert_ok(store_source(village.store, last.name, &taken, &why));
    assert_int_equal(taken.result.number, seen.last_number);
    assert_memory_equal(taken.record_key, seen.key, RECORD_KEY_LEN);
    const struct draft_source refused = source_of(2);
    assert_int_equal(store_source(village.store, refused.name, &taken, &why),
                     ERR_NOT_FOUND);
}

static void cells_keep_to_the_rules_of_files(void **state)
{
    (void)state;
    const struct draft_source source = source_of(1);
    struct import *import = begin_cells();
    struct buf row = BUF_INIT;
    struct buf large = BUF_INIT;
    struct slice cells[CELLS_MAX];
    table_row(&row, 1, "准予");
    size_t n = cut(&row, cells);
    for (size_t i = 0; i < 65537; i++) {
        buf_put_u8(&large, 'x');
    }
    const struct slice bad[] = {slice_of("\xff", 1), slice_of("a\0b", 3),
                                buf_slice(&large)};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cells[9] = bad[i];
        assert_ok(import_cells(import, i + 1, &source, cells, n, &why));
    }
    assert_ok(import_cells(import, 4, &source, cells, n - 1, &why));
    assert_ok(import_finish(import, &why));
    import_free(&import);
    assert_string_equal(buf_cstr(&seen.rows),
                        "1 refused;2 refused;3 refused;4 refused;");
    assert_non_null(strstr(buf_cstr(&seen.texts), "encoding"));
    assert_non_null(strstr(buf_cstr(&seen.texts), "cell-too-long"));
    buf_fini(&row);
    buf_fini(&large);
}

static void columns_that_fit_nothing_are_refused(void **state)
{
    (void)state;
    struct import *import = begin();
    const struct slice names[] = {slice_str("XK_WSH"), slice_str("XK_NR")};
    assert_int_equal(import_columns(import, names, 2, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "XK_XDR_MC"));
    import_free(&import);
}

/* A key that cannot be read says nothing of the rows: none is refused for it,
 * and the table is to come again. */
static void what_cannot_be_sealed_now_is_not_refused(void **state)
{
    struct buf table = BUF_INIT;
    struct keyring *beside = NULL;
    char own[160];
    (void)state;
    (void)snprintf(own, sizeof own, "%s/own", village.keys);
    assert_int_equal(unlink(own), 0);
    assert_ok(keyring_open_beside(&beside, village.keys, test_suite(), VILLAGE,
                                  &village.seal, &why));
    shell("mkdir -m 700 %s", own);
    env.keyring = beside;
    table_header(&table);
    table_person(&table, 1, table_citizen);
    assert_int_equal(run(&table, 64), ERR_IO);
    assert_non_null(strstr(why.text, "keys cannot be used"));
    assert_int_equal(counts.outcome[ROW_REFUSED], 0);
    assert_int_equal(seen.count, 0);
    keyring_free(&beside);
    use(3);
    table_header(&table);
    table_person(&table, 1, table_citizen);
    assert_ok(run(&table, 64));
    assert_string_equal(buf_cstr(&seen.rows), "2 new;");
}

#define IMPORT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define HELD_TEST(f) cmocka_unit_test_setup_teardown(f, setup_held, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IMPORT_TEST(outcomes_come_in_the_order_of_the_file),
        IMPORT_TEST(the_same_file_twice_changes_nothing),
        IMPORT_TEST(a_changed_row_is_a_version_with_its_predecessor),
        IMPORT_TEST(what_was_reported_survives_the_end_of_the_process),
        IMPORT_TEST(an_import_given_up_keeps_what_it_reported),
        IMPORT_TEST(personal_values_are_masked_in_faults),
        IMPORT_TEST(a_person_is_sealed_in_the_store),
        IMPORT_TEST(what_cannot_be_sealed_now_is_not_refused),
        IMPORT_TEST(a_file_without_a_header_is_refused_as_a_whole),
        IMPORT_TEST(a_full_disk_is_named),
        HELD_TEST(what_comes_at_once_waits_for_nothing),
        HELD_TEST(no_room_now_is_said_at_once),
        IMPORT_TEST(a_call_that_is_no_table_is_refused_as_a_whole),
        HELD_TEST(a_few_rows_are_taken_now),
        IMPORT_TEST(what_may_wait_is_left_to_another),
        IMPORT_TEST(another_character_set_is_left_to_another),
        HELD_TEST(what_the_store_does_not_take_is_left_to_another),
        IMPORT_TEST(what_is_no_table_is_refused_now),
        IMPORT_TEST(a_large_row_does_not_make_a_large_batch),
        IMPORT_TEST(a_journal_of_cells_is_taken_row_by_row),
        IMPORT_TEST(cells_keep_to_the_rules_of_files),
        IMPORT_TEST(columns_that_fit_nothing_are_refused),
        IMPORT_TEST(memory_does_not_grow_with_the_file),
    };
    return cmocka_run_group_tests(tests, fed_setup, fed_teardown);
}
