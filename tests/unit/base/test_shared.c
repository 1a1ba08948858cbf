#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/shared.h"

static void bytes_stay_until_the_last_owner_goes(void **state)
{
    (void)state;
    char text[] = "bytes";
    struct shared *a = shared_new(slice_str(text));
    struct shared *b = shared_ref(a);
    text[0] = 'x';
    shared_unref(&a);
    assert_null(a);
    assert_true(slice_eq(shared_slice(b), slice_str("bytes")));
    shared_unref(&b);
    shared_unref(&b);
}

static void none_is_none(void **state)
{
    (void)state;
    struct shared *empty = shared_new(slice_of(NULL, 0));
    assert_int_equal(shared_slice(empty).len, 0);
    shared_unref(&empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stay_until_the_last_owner_goes),
        cmocka_unit_test(none_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
