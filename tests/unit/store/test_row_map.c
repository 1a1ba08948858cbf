/* The rows of a group, in the order in which they are read and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/store_impl.h"

enum { ROWS = 500 };

struct seen {
    struct row_key last;
    size_t n;
};

static void put_row(void *batch, uint8_t generation, const struct row *row)
{
    struct seen *seen = batch;
    assert_int_equal(generation, 3);
    assert_true(seen->n == 0 || row_key_cmp(&seen->last, &row->key) < 0);
    seen->last = row->key;
    seen->n++;
}

static uint8_t any_byte(void)
{
    static uint64_t x = 5;
    x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint8_t)(x >> 56);
}

/* Subjects of these lengths with `common` bytes the same in all of them; few
 * different ones, so that other parts of the key decide, too. */
static void write_rows(size_t common, size_t shortest, size_t longest)
{
    static const struct backend backend = {.put_row = put_row};
    struct store *s = MEM_NEW(struct store);
    struct row_map map = {.generation = 3};
    struct seen seen = {.n = 0};
    s->backend = &backend;
    for (size_t i = 0; i < ROWS; i++) {
        struct row_key key = {.origin = any_byte() % 3};
        size_t len = shortest + any_byte() % (longest - shortest + 1);
        key.subject.len = (uint8_t)len;
        memset(key.subject.b, 'x', len);
        for (size_t at = common; at < len; at++) {
            key.subject.b[at] = (uint8_t)(any_byte() % 3 * 127);
        }
        key.record_key[0] = any_byte();
        key.record_key[RECORD_KEY_LEN - 1] = any_byte() % 2;
        struct row_state *state = row_map_get(&map, &key);
        state->row.version = 1;
        state->dirty = true;
    }
    row_map_write(&map, s, &seen);
    assert_int_equal(seen.n, map.n);
    assert_in_range(seen.n, 300, ROWS);
    row_map_fini(&map);
    mem_free(s);
}

static void rows_are_written_in_the_order_of_their_keys(void **state)
{
    (void)state;
    write_rows(0, 19, 19);
    write_rows(11, 19, 19);
    write_rows(17, 19, 19); /* fewer bytes than are looked at are left */
    write_rows(19, 19, 19); /* none */
    write_rows(0, 1, SUBJECT_KEY_MAX);
    write_rows(4, 4, 6); /* some are no more than what all begin with */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_written_in_the_order_of_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
