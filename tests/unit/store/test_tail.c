/* Rows in memory against a plain list of what was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/rocksdb/tail.h"

enum {
    PART = 16 << 10,
    SUBJECT_LEN = 5,
    PREFIX_LEN = 2 + SUBJECT_LEN,
    KEY_LEN = PREFIX_LEN + 4,
    CHOSEN_LEN = 16 + 4, /* two words of a hash, and a record */
    CHOSEN = 512,
};

struct key {
    uint8_t b[KEY_LEN];
};

static struct key key_of(uint8_t generation, uint8_t subject, uint32_t record)
{
    struct key k = {{generation, SUBJECT_LEN, 's', 'u', 'b', 'j'}};
    k.b[PREFIX_LEN - 1] = subject;
    be_put32(k.b + PREFIX_LEN, record);
    return k;
}

static struct slice of(const struct key *k)
{
    return slice_of(k->b, sizeof k->b);
}

static void put(struct buf *run, struct key k, const char *value)
{
    run_put(run, of(&k), slice_str(value));
}

static void add(struct tail *t, struct key k, const char *value,
                uint64_t number)
{
    struct buf run = BUF_INIT;
    put(&run, k, value);
    assert_true(tail_fits(t, buf_slice(&run)));
    tail_add(t, buf_slice(&run), number);
    buf_fini(&run);
}

static void assert_found(struct tail *t, struct key k, const char *value)
{
    struct slice found = {NULL, 0};
    assert_int_equal(tail_read_begin(t, false), ERR_OK);
    enum tail_found f = tail_find(t, of(&k), &found);
    if (value == NULL) {
        assert_int_equal(f, TAIL_NOTHING);
    } else if (*value == '\0') {
        assert_int_equal(f, TAIL_GONE);
    } else {
        assert_int_equal(f, TAIL_ROW);
        assert_true(slice_eq(found, slice_str(value)));
    }
    tail_read_end(t);
}

static void the_last_row_of_a_key_counts(void **state)
{
    (void)state;
    struct tail *t = tail_new(PART);
    struct key a = key_of(1, 'a', 1);
    struct key b = key_of(1, 'a', 2);
    assert_found(t, a, NULL);
    add(t, a, "one", 1);
    add(t, b, "other", 2);
    add(t, a, "two", 3);
    assert_found(t, a, "two");
    tail_freeze(t);
    assert_found(t, a, "two");
    add(t, a, "", 4);
    assert_found(t, a, "");
    assert_found(t, b, "other");
    assert_found(t, key_of(1, 'a', 3), NULL);
    assert_found(t, key_of(2, 'a', 1), NULL);
    tail_drop_frozen(t);
    assert_found(t, a, "");
    assert_found(t, b, NULL);
    tail_free(t);
}

static void assert_rows(struct tail *t, uint8_t subject, const char *expected)
{
    struct tail_rows rows = TAIL_ROWS_INIT;
    struct buf text = BUF_INIT;
    struct key k = key_of(1, subject, 0);
    assert_int_equal(tail_read_begin(t, false), ERR_OK);
    assert_true(tail_of_subject(t, slice_of(k.b, PREFIX_LEN), SIZE_MAX, &rows));
    tail_read_end(t);
    for (size_t i = 0; i < rows.n; i++) {
        assert_int_equal(tail_row_key(&rows, i).len, KEY_LEN);
        buf_putf(&text,
                 "%u=", be_get32(tail_row_key(&rows, i).data + PREFIX_LEN));
        buf_put_slice(&text, tail_row_value(&rows, i));
        buf_put_str(&text, " ");
    }
    assert_string_equal(buf_cstr(&text), expected);
    buf_fini(&text);
    tail_rows_fini(&rows);
}

static void rows_of_a_subject_come_in_order_and_once(void **state)
{
    (void)state;
    struct tail *t = tail_new(PART);
    assert_rows(t, 'a', "");
    add(t, key_of(1, 'a', 7), "old", 1);
    add(t, key_of(1, 'a', 3), "x", 2);
    add(t, key_of(1, 'b', 5), "of another", 3);
    add(t, key_of(2, 'a', 5), "of another index", 4);
    tail_freeze(t);
    add(t, key_of(1, 'a', 7), "new", 5);
    add(t, key_of(1, 'a', 1), "", 6);
    assert_rows(t, 'a', "1= 3=x 7=new ");
    assert_rows(t, 'b', "5=of another ");
    assert_rows(t, 'c', "");
    tail_free(t);
}

static void too_many_rows_are_not_looked_at(void **state)
{
    (void)state;
    struct tail *t = tail_new(PART);
    struct key k = key_of(1, 'a', 0);
    for (uint32_t i = 0; i < 10; i++) {
        add(t, key_of(1, 'a', i % 2), "v", i);
        if (i == 5) {
            tail_freeze(t);
        }
    }
    assert_int_equal(tail_read_begin(t, true), ERR_OK);
    for (size_t max = 0; max < 12; max++) {
        struct tail_rows rows = TAIL_ROWS_INIT;
        bool all = tail_of_subject(t, slice_of(k.b, PREFIX_LEN), max, &rows);
        assert_int_equal(all, max >= 10);
        tail_rows_fini(&rows);
    }
    tail_read_end(t);
    tail_free(t);
}

/* ---- against a list ---- */

enum { RECORDS = 300, RUNS = 200, ROWS = 20 };

struct written {
    uint32_t last[RECORDS]; /* 0: nothing, odd: gone, else the value */
    uint32_t walked;        /* the key before, plus 1 */
    size_t n;
};

static bool on_walked(void *ctx, struct slice key, struct slice value)
{
    struct written *w = ctx;
    uint32_t record = be_get32(key.data + PREFIX_LEN);
    assert_true(record + 1 > w->walked);
    w->walked = record + 1;
    w->n++;
    uint32_t last = w->last[record];
    assert_true(last != 0);
    if (last % 2 == 1) {
        assert_int_equal(value.len, 0);
    } else {
        assert_int_equal(value.len, 4);
        assert_int_equal(be_get32(value.data), last);
    }
    return true;
}

static uint32_t spread(uint64_t x)
{
    x = (x ^ x >> 31) * UINT64_C(0x7fb5d329728ea185);
    return (uint32_t)(x >> 32);
}

static bool on_first(void *ctx, struct slice key, struct slice value)
{
    size_t *n = ctx;
    (void)key;
    (void)value;
    return ++*n < 3;
}

/* Runs in any order of keys, some with the same key twice. */
static void the_frozen_part_is_walked_in_order(void **state)
{
    (void)state;
    struct tail *t = tail_new((size_t)RUNS * ROWS * 64);
    struct written w = {.n = 0};
    uint32_t turn = 0;
    size_t expected = 0;
    for (uint64_t run = 1; run <= RUNS; run++) {
        struct buf bytes = BUF_INIT;
        for (size_t i = 0; i < ROWS; i++) {
            uint32_t record = spread(run * ROWS + i) % RECORDS;
            struct key k = key_of(1, 'a', record);
            uint8_t value[4];
            be_put32(value, ++turn);
            run_put(&bytes, of(&k), slice_of(value, turn % 2 == 1 ? 0 : 4));
            w.last[record] = turn;
        }
        assert_int_equal(run_rows(buf_slice(&bytes)), ROWS);
        assert_true(run_is_sound(buf_slice(&bytes)));
        assert_true(tail_fits(t, buf_slice(&bytes)));
        tail_add(t, buf_slice(&bytes), run);
        buf_fini(&bytes);
    }
    for (size_t i = 0; i < RECORDS; i++) {
        expected += w.last[i] != 0;
    }
    tail_freeze(t);
    assert_true(tail_walk_frozen(t, on_walked, &w));
    assert_int_equal(w.n, expected);
    size_t n = 0;
    assert_false(tail_walk_frozen(t, on_first, &n));
    assert_int_equal(n, 3);
    const uint64_t *runs = tail_frozen_runs(t, &n);
    assert_int_equal(n, RUNS);
    assert_int_equal(runs[0], 1);
    assert_int_equal(runs[RUNS - 1], RUNS);
    tail_free(t);
}

static void a_part_is_full_but_takes_a_large_run_when_empty(void **state)
{
    (void)state;
    struct tail *t = tail_new(4096);
    struct buf large = BUF_INIT;
    uint64_t number = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        put(&large, key_of(1, 'b', i), "a value of some length");
    }
    assert_true(tail_fits(t, buf_slice(&large)));
    for (uint32_t i = 0;; i++) {
        struct buf run = BUF_INIT;
        put(&run, key_of(1, 'a', i), "v");
        bool fits = tail_fits(t, buf_slice(&run));
        if (fits) {
            tail_add(t, buf_slice(&run), ++number);
        }
        buf_fini(&run);
        if (!fits) {
            break;
        }
    }
    assert_in_range(number, 50, 300);
    tail_freeze(t);
    assert_true(tail_is_empty(t) && tail_is_frozen(t));
    tail_add(t, buf_slice(&large), ++number);
    assert_false(tail_is_empty(t));
    assert_found(t, key_of(1, 'b', 999), "a value of some length");
    assert_found(t, key_of(1, 'a', 0), "v");
    tail_drop_frozen(t);
    assert_false(tail_is_frozen(t));
    assert_found(t, key_of(1, 'a', 0), NULL);
    buf_fini(&large);
    tail_free(t);
}

static bool on_run_row(void *ctx, struct slice key, struct slice value)
{
    struct buf *all = ctx;
    buf_put_u8(all, key.data[KEY_LEN - 1]);
    buf_put_slice(all, value);
    return key.data[KEY_LEN - 1] < 3;
}

static void rows_of_a_run_are_walked_as_they_stand(void **state)
{
    (void)state;
    struct buf run = BUF_INIT;
    struct buf all = BUF_INIT;
    run_walk(slice_of(NULL, 0), on_run_row, &all);
    assert_int_equal(run_generation(slice_of(NULL, 0)), 0);
    put(&run, key_of(2, 'b', 2), "v");
    put(&run, key_of(2, 'a', 1), "");
    put(&run, key_of(2, 'a', 1), "w");
    put(&run, key_of(1, 'a', 3), "x");
    put(&run, key_of(1, 'a', 4), "y"); /* behind the one that stops */
    run_walk(buf_slice(&run), on_run_row, &all);
    assert_int_equal(all.len, 7);
    assert_memory_equal(all.data, "\2v\1\1w\3x", 7);
    assert_int_equal(run_generation(buf_slice(&run)), 2);
    buf_fini(&run);
    buf_fini(&all);
}

static void what_is_no_run_is_told(void **state)
{
    (void)state;
    struct buf run = BUF_INIT;
    put(&run, key_of(1, 'a', 1), "v");
    put(&run, key_of(1, 'a', 2), "");
    assert_true(run_is_sound(buf_slice(&run)));
    for (size_t len = 0; len < run.len; len++) {
        assert_false(run_is_sound(slice_of(run.data, len)));
    }
    buf_put_u8(&run, 0);
    assert_false(run_is_sound(buf_slice(&run)));
    run.len--;
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {
        {0, 2},               /* another form */
        {4, 3},               /* a row too many */
        {5, KEY_LEN + 1},     /* a key that is longer */
        {5, 1},               /* and one without a subject */
        {5 + 2 + 1, KEY_LEN}, /* a subject that is longer than the key */
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        uint8_t right = run.data[wrong[i].at];
        run.data[wrong[i].at] = wrong[i].value;
        assert_false(run_is_sound(buf_slice(&run)));
        run.data[wrong[i].at] = right;
    }
    assert_true(run_is_sound(buf_slice(&run)));
    buf_fini(&run);
}

/* A subject of which all others of its kind would share the place, if each step
 * of the hash were the one that places had before they had a secret. */
static void chosen_key(uint32_t i, uint8_t out[CHOSEN_LEN])
{
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t word;
    memset(out, 0, CHOSEN_LEN);
    out[0] = 1;
    out[1] = CHOSEN_LEN - 2 - 4;
    be_put32(out + 2, i);
    memcpy(&word, out, sizeof word);
    uint64_t h = word * factor;
    h ^= h >> 29 ^ UINT64_C(0x1122334455667788);
    memcpy(out + sizeof word, &h, sizeof h);
}

static void keys_cannot_be_chosen_to_share_a_place(void **state)
{
    (void)state;
    struct buf run = BUF_INIT;
    struct tail *t = tail_new(64 * PART);
    uint8_t key[CHOSEN_LEN];
    for (uint32_t i = 0; i < CHOSEN; i++) {
        chosen_key(i, key);
        run_put(&run, slice_of(key, sizeof key), slice_str("row"));
    }
    tail_add(t, buf_slice(&run), 1);
    for (uint32_t i = 0; i < CHOSEN; i++) {
        struct tail_rows rows = TAIL_ROWS_INIT;
        chosen_key(i, key);
        assert_int_equal(tail_read_begin(t, false), ERR_OK);
        assert_true(tail_of_subject(t, slice_of(key, CHOSEN_LEN - 4),
                                    CHOSEN / 8, &rows));
        tail_read_end(t);
        assert_int_equal(rows.n, 1);
        tail_rows_fini(&rows);
    }
    tail_free(t);
    buf_fini(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_row_of_a_key_counts),
        cmocka_unit_test(rows_of_a_subject_come_in_order_and_once),
        cmocka_unit_test(too_many_rows_are_not_looked_at),
        cmocka_unit_test(the_frozen_part_is_walked_in_order),
        cmocka_unit_test(a_part_is_full_but_takes_a_large_run_when_empty),
        cmocka_unit_test(rows_of_a_run_are_walked_as_they_stand),
        cmocka_unit_test(what_is_no_run_is_told),
        cmocka_unit_test(keys_cannot_be_chosen_to_share_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
