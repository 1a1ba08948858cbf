/* Small files: bounds, modes, replaced as a whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static char dir[] = "/tmp/file-test-XXXXXX";
static char path_text[256];

static const char *path(const char *name)
{
    (void)snprintf(path_text, sizeof path_text, "%s/%s", dir, name);
    return path_text;
}

static unsigned mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(path(name), &st), 0);
    return st.st_mode & 07777;
}

static void assert_content(const char *name, const char *want)
{
    struct buf b = BUF_INIT;
    assert_int_equal(file_read(path(name), 1 << 20, &b, NULL), ERR_OK);
    assert_string_equal(buf_cstr(&b), want);
    buf_fini(&b);
}

static void put(const char *name, const char *text, unsigned mode)
{
    assert_int_equal(file_replace(path(name), slice_str(text), mode, NULL),
                     ERR_OK);
}

static void read_keeps_its_bound(void **state)
{
    (void)state;
    static const struct {
        size_t max;
        enum err want;
    } rows[] = {
        {0, ERR_TOO_LARGE},
        {40000 - 1, ERR_TOO_LARGE},
        {40000, ERR_OK},
        {40001, ERR_OK},
    };
    uint8_t *data = mem_zalloc(40000, 1);
    assert_int_equal(
        file_replace(path("forty"), slice_of(data, 40000), 0600, NULL), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = BUF_INIT;
        struct errmsg why = {{0}};
        buf_put_str(&b, "before");
        enum err err = file_read(path("forty"), rows[i].max, &b, &why);
        assert_int_equal(err, rows[i].want);
        if (err == ERR_OK) {
            /* Appended, and what was there does not count. */
            assert_int_equal(b.len, 6 + 40000);
            assert_memory_equal(b.data, "before", 6);
        } else {
            assert_non_null(strstr(why.text, "forty"));
        }
        buf_fini(&b);
    }
    mem_free(data);
}

static void missing_and_strange_files_are_named(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct errmsg why = {{0}};
    assert_int_equal(file_read(path("none"), 10, &b, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "/none: cannot open"));
    assert_int_equal(file_read(dir, 10, &b, &why), ERR_IO);
    buf_fini(&b);
}

static void replace_sets_content_and_mode(void **state)
{
    (void)state;
    mode_t old = umask(077);
    put("key", "first", 0644);
    assert_int_equal(mode_of("key"), 0644);
    put("key", "", 0600);
    (void)umask(old);
    assert_int_equal(mode_of("key"), 0600);
    assert_content("key", "");
    put("key", "second", 0600);
    assert_content("key", "second");
    assert_int_not_equal(access(path("key.new"), F_OK), 0);
}

/* In a child, which may not write more than 4 KiB into one file: what a full
 * disk does, too. */
static void replace_that_fails_leaves_the_old_file(void **state)
{
    (void)state;
    put("list", "old content", 0600);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit small = {4096, 4096};
        uint8_t *data = mem_zalloc(100000, 1);
        (void)signal(SIGXFSZ, SIG_IGN);
        bool set = setrlimit(RLIMIT_FSIZE, &small) == 0;
        enum err err =
            file_replace(path("list"), slice_of(data, 100000), 0600, NULL);
        mem_free(data);
        _exit(set && err == ERR_IO ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_content("list", "old content");
    assert_int_not_equal(access(path("list.new"), F_OK), 0);
}

static void replace_of_a_folder_fails_and_leaves_nothing(void **state)
{
    (void)state;
    struct errmsg why = {{0}};
    assert_int_equal(mkdir(path("folder"), 0700), 0);
    assert_int_not_equal(
        file_replace(path("folder"), slice_str("x"), 0600, &why), ERR_OK);
    assert_non_null(strstr(why.text, "/folder: cannot replace"));
    assert_int_not_equal(access(path("folder.new"), F_OK), 0);
    assert_int_equal(
        file_replace(path("none/file"), slice_str("x"), 0600, &why),
        ERR_NOT_FOUND);
}

static void keys_that_others_can_read_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned mode;
        enum err want;
    } rows[] = {
        {0600, ERR_OK},   {0400, ERR_OK},   {0640, ERR_CONF},
        {0604, ERR_CONF}, {0620, ERR_CONF}, {0601, ERR_CONF},
    };
    struct errmsg why = {{0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        put("private", "key", rows[i].mode);
        assert_int_equal(file_check_private(path("private"), &why),
                         rows[i].want);
    }
    assert_non_null(strstr(why.text, "chmod 600"));
    assert_int_equal(file_check_private(path("none"), &why), ERR_NOT_FOUND);
}

static void folders_are_made_private_with_their_parents(void **state)
{
    (void)state;
    struct errmsg why = {{0}};
    assert_int_equal(file_make_dirs(path("a/b/c"), &why), ERR_OK);
    assert_int_equal(mode_of("a"), 0700);
    assert_int_equal(mode_of("a/b/c"), 0700);
    assert_int_equal(file_make_dirs(path("a/b/c/"), &why), ERR_OK);
    put("plain", "x", 0600);
    assert_int_not_equal(file_make_dirs(path("plain/b"), &why), ERR_OK);
    assert_non_null(strstr(why.text, "plain/b"));
}

static void names_too_long_are_refused(void **state)
{
    (void)state;
    char *name = mem_alloc(8192);
    struct errmsg why = {{0}};
    memset(name, 'a', 8191);
    name[8191] = 0;
    assert_int_equal(file_make_dirs(name, &why), ERR_INVALID);
    assert_int_equal(file_replace(name, slice_str("x"), 0600, &why),
                     ERR_INVALID);
    mem_free(name);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[300];
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_keeps_its_bound),
        cmocka_unit_test(missing_and_strange_files_are_named),
        cmocka_unit_test(replace_sets_content_and_mode),
        cmocka_unit_test(replace_that_fails_leaves_the_old_file),
        cmocka_unit_test(replace_of_a_folder_fails_and_leaves_nothing),
        cmocka_unit_test(keys_that_others_can_read_are_refused),
        cmocka_unit_test(folders_are_made_private_with_their_parents),
        cmocka_unit_test(names_too_long_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
