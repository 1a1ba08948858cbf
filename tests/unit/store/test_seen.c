/* A set that forgets no key, in bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/rocksdb/seen.h"

enum { MANY = 200000, ENOUGH = 1 << 20, LITTLE = 64 << 10 };

/* Keys that differ in one place, as those of records do that were not made by
 * hashing. */
static uint64_t key(uint32_t n)
{
    uint8_t b[45] = {1, 19, 's'};
    be_put32(b + 30, n);
    return seen_hash(slice_of(b, sizeof b));
}

static void fill(struct seen *s)
{
    for (uint32_t n = 0; n < MANY; n++) {
        seen_add(s, key(n));
    }
}

/* Of as many others. */
static size_t false_ones(const struct seen *s)
{
    size_t found = 0;
    for (uint32_t n = MANY; n < 2 * MANY; n++) {
        found += seen_may_have(s, key(n));
    }
    return found;
}

static void an_empty_one_has_nothing_and_takes_nothing(void **state)
{
    (void)state;
    struct seen *s = seen_new(ENOUGH);
    assert_false(seen_may_have(s, key(0)));
    assert_int_equal(seen_bytes(s), 0);
    seen_free(s);
    seen_free(NULL);
}

static void no_key_is_forgotten(void **state)
{
    (void)state;
    static const size_t sizes[] = {ENOUGH, LITTLE, 17 << 10, 1 << 10, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct seen *s = seen_new(sizes[i]);
        fill(s);
        for (uint32_t n = 0; n < MANY; n++) {
            assert_true(seen_may_have(s, key(n)));
        }
        assert_in_range(seen_bytes(s), 0, sizes[i]);
        seen_free(s);
    }
}

static void few_others_seem_to_be_there(void **state)
{
    (void)state;
    struct seen *s = seen_new(ENOUGH);
    fill(s);
    assert_in_range(false_ones(s), 0, MANY / 100);
    seen_free(s);
}

/* 2.6 bits a key: about half of the others are told apart still. */
static void with_too_little_room_it_errs_more_often(void **state)
{
    (void)state;
    struct seen *s = seen_new(LITTLE);
    fill(s);
    assert_in_range(false_ones(s), MANY / 100, MANY / 4 * 3);
    seen_free(s);
}

static void hashes_depend_on_each_byte_and_on_the_length(void **state)
{
    (void)state;
    uint8_t b[19] = {0};
    uint64_t all = seen_hash(slice_of(b, sizeof b));
    assert_int_not_equal(seen_hash(slice_of(b, sizeof b - 1)), all);
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] = 1;
        assert_int_not_equal(seen_hash(slice_of(b, sizeof b)), all);
        b[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_has_nothing_and_takes_nothing),
        cmocka_unit_test(no_key_is_forgotten),
        cmocka_unit_test(few_others_seem_to_be_there),
        cmocka_unit_test(with_too_little_room_it_errs_more_often),
        cmocka_unit_test(hashes_depend_on_each_byte_and_on_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
