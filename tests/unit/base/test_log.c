/* Log lines: one event, one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

static int pipe_ends[2];
static char text[8192];

/* What was written since the last look. */
static const char *written(void)
{
    assert_int_equal(write(pipe_ends[1], "", 1), 1);
    ssize_t n = read(pipe_ends[0], text, sizeof text);
    assert_true(n > 0);
    assert_int_equal(text[n - 1], 0);
    return text;
}

static size_t count_of(const char *s, char c)
{
    size_t n = 0;
    for (; *s != 0; s++) {
        n += *s == c;
    }
    return n;
}

static void line_has_time_level_id_and_fields(void **state)
{
    (void)state;
    log_info(NULL, "STORE-OPEN", "logs=%d", 3);
    const char *line = written();
    int year;
    int rest;
    int end = 0;
    assert_int_equal(sscanf(line, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%3dZ %n", &year,
                            &rest, &end),
                     2);
    assert_true(year >= 2024);
    assert_int_equal(end, 25);
    assert_string_equal(line + end, "info  STORE-OPEN logs=3\n");
}

static void ids_stand_in_one_column(void **state)
{
    (void)state;
    log_error(NULL, "X", "%s", "a");
    assert_string_equal(written() + 25, "error X a\n");
    log_line(LOG_WARN, NULL, "X", "%s", "a");
    assert_string_equal(written() + 25, "warn  X a\n");
}

static void context_comes_from_the_outside_in(void **state)
{
    (void)state;
    struct log_ctx node = {NULL, "node=1"};
    struct log_ctx none = {&node, ""};
    struct log_ctx null = {&none, NULL};
    struct log_ctx peer = {&null, "peer=2"};
    log_info(&peer, "ID", "k=v");
    assert_string_equal(written() + 25, "info  ID node=1 peer=2 k=v\n");
}

static void a_chain_too_deep_is_cut_not_followed(void **state)
{
    (void)state;
    struct log_ctx chain[20];
    for (size_t i = 0; i < ARRAY_LEN(chain); i++) {
        chain[i] = (struct log_ctx){i > 0 ? &chain[i - 1] : NULL, "x"};
    }
    log_info(&chain[19], "ID", "end");
    assert_string_equal(written() + 25, "info  ID x x x x x x end\n");
}

static void control_characters_are_tamed(void **state)
{
    (void)state;
    struct log_ctx peer = {NULL, "peer=a\nb"};
    log_info(&peer, "ID", "text=\"%s\"",
             "one\r\n2026-01-01T00:00:00.000Z info FAKE \x1b[31m\x7f\t");
    const char *line = written();
    assert_int_equal(count_of(line, '\n'), 1);
    assert_string_equal(
        line + 25,
        "info  ID peer=a?b text=\"one??2026-01-01T00:00:00.000Z info FAKE "
        "?[31m??\"\n");
}

/* journalctl -o cat and tail -f go to a terminal. */
static void marks_beyond_ascii_are_tamed_too(void **state)
{
    (void)state;
    log_info(NULL, "ID", "text=\"%s\"",
             "a\xc2\x9b"
             "31m\xe2\x80\xa8"
             "b\xe2\x80\xae\xff");
    assert_string_equal(written() + 25, "info  ID text=\"a?31m?b??\"\n");
}

static void chinese_text_passes(void **state)
{
    (void)state;
    log_info(NULL, "ID", "name=%s", "宣城市");
    assert_string_equal(written() + 25, "info  ID name=宣城市\n");
}

static void a_long_line_is_cut_and_ends(void **state)
{
    (void)state;
    char *huge = mem_alloc(5000);
    memset(huge, 'x', 4999);
    huge[4999] = 0;
    struct log_ctx ctx = {NULL, huge};
    for (int i = 0; i < 2; i++) {
        log_info(i == 0 ? NULL : &ctx, "ID", "k=%s", huge);
        const char *line = written();
        assert_in_range(strlen(line), 2000, 2048);
        assert_int_equal(count_of(line, '\n'), 1);
        assert_int_equal(line[strlen(line) - 1], '\n');
    }
    mem_free(huge);
}

static void lines_above_the_level_are_dropped(void **state)
{
    (void)state;
    log_debug(NULL, "QUIET", "%s", "a");
    assert_string_equal(written(), "");
    log_set_level(LOG_ERROR);
    log_warn(NULL, "QUIET", "%s", "a");
    log_error(NULL, "LOUD", "%s", "a");
    assert_string_equal(written() + 25, "error LOUD a\n");
    log_set_level(LOG_DEBUG);
    log_debug(NULL, "LOUD", "%s", "a");
    assert_string_equal(written() + 25, "debug LOUD a\n");
    log_set_level(LOG_INFO);
}

static void level_names_are_read_strictly(void **state)
{
    (void)state;
    enum log_level level = LOG_DEBUG;
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_false(log_level_parse("", &level));
    assert_false(log_level_parse("INFO", &level));
    assert_false(log_level_parse("information", &level));
    assert_int_equal(level, LOG_DEBUG);
}

static int set_up(void **state)
{
    (void)state;
    if (pipe(pipe_ends) != 0) {
        return -1;
    }
    log_set_fd(pipe_ends[1]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_fd(STDERR_FILENO);
    return close(pipe_ends[0]) + close(pipe_ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_has_time_level_id_and_fields),
        cmocka_unit_test(ids_stand_in_one_column),
        cmocka_unit_test(context_comes_from_the_outside_in),
        cmocka_unit_test(a_chain_too_deep_is_cut_not_followed),
        cmocka_unit_test(control_characters_are_tamed),
        cmocka_unit_test(marks_beyond_ascii_are_tamed_too),
        cmocka_unit_test(chinese_text_passes),
        cmocka_unit_test(a_long_line_is_cut_and_ends),
        cmocka_unit_test(lines_above_the_level_are_dropped),
        cmocka_unit_test(level_names_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
