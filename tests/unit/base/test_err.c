/* The table of errors is whole and its conversions hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"

static void every_row_has_name_text_and_class(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        enum err e = (enum err)i;
        const char *name = err_name(e);
        assert_non_null(name);
        assert_true(name[0] != 0);
        assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"),
                         strlen(name));
        assert_non_null(err_text(e));
        assert_true(err_text(e)[0] != 0);
        assert_in_range(err_class(e), ERR_CLASS_NOW, ERR_CLASS_BUG);
        assert_in_range(err_grpc_status(e), 0, 16);
        assert_in_range(err_http_status(e), 200, 599);
    }
}

static void names_are_unique(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(err_name((enum err)i),
                                    err_name((enum err)k));
        }
    }
}

static void only_ok_says_ok(void **state)
{
    (void)state;
    assert_int_equal(ERR_OK, 0);
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_int_equal(err_grpc_status((enum err)i) == 0, i == ERR_OK);
        assert_int_equal(err_http_status((enum err)i) == 200, i == ERR_OK);
    }
}

/* What was read or what a peer said is never passing. */
static void only_what_may_be_over_in_a_moment_is_passing(void **state)
{
    (void)state;
    static const enum err answers[] = {
        ERR_OK,       ERR_INVALID,   ERR_NOT_FOUND, ERR_CONFLICT, ERR_FORKED,
        ERR_PROTOCOL, ERR_BAD_PROOF, ERR_CORRUPT,   ERR_MOVED,    ERR_BUG};
    static const enum err passing[] = {ERR_IO, ERR_UNAVAILABLE, ERR_TIMEOUT,
                                       ERR_NO_SPACE, ERR_BUSY};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        assert_false(err_is_passing(answers[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
        assert_true(err_is_passing(passing[i]));
    }
}

/* Several errors share a status: the status survives the way there and back,
 * and the name where it is the only one. */
static void grpc_statuses_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        int status = err_grpc_status((enum err)i);
        enum err back = err_from_grpc(status);
        assert_int_equal(err_grpc_status(back), status);
    }
    static const enum err alone[] = {
        ERR_OK,      ERR_NOT_FOUND, ERR_EXISTS,      ERR_DENIED,
        ERR_TIMEOUT, ERR_CANCELLED, ERR_UNSUPPORTED, ERR_UNAUTHENTICATED,
    };
    for (size_t i = 0; i < ARRAY_LEN(alone); i++) {
        assert_int_equal(err_from_grpc(err_grpc_status(alone[i])), alone[i]);
    }
}

static void unknown_statuses_are_never_success(void **state)
{
    (void)state;
    static const int rows[] = {-1, 2, 10, 11, 17, 4711};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(err_from_grpc(rows[i]), ERR_UNAVAILABLE);
    }
}

static void errno_is_converted(void **state)
{
    (void)state;
    static const struct {
        int from;
        enum err to;
    } rows[] = {
        {0, ERR_OK},
        {ENOENT, ERR_NOT_FOUND},
        {EEXIST, ERR_EXISTS},
        {EACCES, ERR_DENIED},
        {EPERM, ERR_DENIED},
        {ENOSPC, ERR_NO_SPACE},
        {EDQUOT, ERR_NO_SPACE},
        {EROFS, ERR_NO_SPACE},
        {EIO, ERR_IO},
        {EMFILE, ERR_IO},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(err_from_errno(rows[i].from), rows[i].to);
    }
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    struct errmsg why;
    memset(&why, 'x', sizeof why);
    assert_int_equal(err_set(&why, ERR_CONF, "%0900d", 1), ERR_CONF);
    assert_int_equal(strlen(why.text), sizeof why.text - 1);
    assert_int_equal(err_set(NULL, ERR_BUSY, "%s", "nobody reads this"),
                     ERR_BUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_name_text_and_class),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(only_ok_says_ok),
        cmocka_unit_test(only_what_may_be_over_in_a_moment_is_passing),
        cmocka_unit_test(grpc_statuses_round_trip),
        cmocka_unit_test(unknown_statuses_are_never_success),
        cmocka_unit_test(errno_is_converted),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
