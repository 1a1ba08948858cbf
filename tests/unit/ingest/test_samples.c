/* The tables in simulate/samples come out as its README says. */
#include "unit/ingest/rows_log.h"

#include "base/file.h"
#include "base/mem.h"

static void run(const char *name, struct rows_log *log)
{
    struct buf text = BUF_INIT;
    struct buf path = BUF_INIT;
    buf_putf(&path, "%s/simulate/samples/%s", SOURCE_DIR, name);
    assert_int_equal(file_read(buf_cstr(&path), 1 << 20, &text, NULL), ERR_OK);
    (void)rows_log_run(log, buf_slice(&text), 777);
    assert_int_equal(log->err, ERR_OK);
    buf_fini(&text);
    buf_fini(&path);
}

static void clean_tables_are_good_throughout(void **state)
{
    static const struct {
        const char *name;
        uint16_t item;
        size_t good;
        size_t persons;
    } cases[] = {
        {"licences-2018-utf8bom.csv", ITEM_LICENCE, 24, 3},
        {"penalties-2018-gb18030.csv", ITEM_PENALTY, 20, 2},
        {"penalties-2016.csv", ITEM_PENALTY, 18, 1},
    };
    struct rows_log log = {.good = 0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        run(cases[i].name, &log);
        assert_string_equal(buf_cstr(&log.texts), "");
        assert_int_equal(log.item, cases[i].item);
        assert_int_equal(log.good, cases[i].good);
        assert_int_equal(log.persons, cases[i].persons);
        assert_int_equal(log.warnings.len, 0);
    }
    rows_log_fini(&log);
}

static void the_dirty_table_is_refused_row_by_row(void **state)
{
    struct rows_log log = {.good = 0};
    (void)state;
    run("licences-dirty.csv", &log);
    assert_string_equal(
        buf_cstr(&log.rows),
        "2 ok;3 ok;4 XK_XDR_SHXYM uscc-check;5 XK_XDR_SHXYM uscc-inner-check;"
        "6 XK_XDR_SHXYM uscc-alphabet;7 XK_JDRQ date-form;8 XK_JDRQ date-form;"
        "9 ok;10 XK_XKLB enum;11 XK_XDR_MC missing;12 XK_XDR_MC too-long;"
        "13 XK_XDR_SHXYM org-person-exclusive;14 XK_XDR_ZJHM citizen-check;"
        "15 XK_YXQZI date-order;16 XK_XKJGDM uscc-check;17 ok;"
        "18 duplicate-in-file;19 XK_NR personal-in-text;20 deletion;"
        "21 XK_ZT enum, XK_YXQZ missing;22 ok;23 ok;");
    assert_string_equal(buf_cstr(&log.warnings),
                        "column 30 \"自定义列\" is unknown: not read\n");
    assert_null(strstr(buf_cstr(&log.texts), "99990019"));
    rows_log_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_tables_are_good_throughout),
        cmocka_unit_test(the_dirty_table_is_refused_row_by_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
