/* The messages of a directives file, in whatever pieces its bytes come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sync/listframe.h"
#include "sync/wire.h"
#include "unit/mlog/vectors.h"

#define VECTORS TEST_DATA "/listfile.txt"

struct taken {
    size_t n;
    struct buf at[4];
    enum err answer;
};

static enum err on_message(void *ctx, struct slice message, struct errmsg *why)
{
    struct taken *t = ctx;
    assert_true(t->n < ARRAY_LEN(t->at));
    buf_put_slice(&t->at[t->n++], message);
    return err_set(why, t->answer, "no");
}

static void drop(struct taken *t)
{
    for (size_t i = 0; i < t->n; i++) {
        buf_fini(&t->at[i]);
    }
    t->n = 0;
}

/* In pieces of `step` bytes; *ended if the end was met. */
static enum err feed(struct slice file, size_t step, struct taken *t,
                     bool *ended, struct errmsg *why)
{
    struct listframe f = {.begun = false};
    enum err err = ERR_OK;
    for (size_t at = 0; err == ERR_OK && at < file.len; at += step) {
        size_t n = step < file.len - at ? step : file.len - at;
        err =
            listframe_feed(&f, slice_of(file.data + at, n), on_message, t, why);
    }
    *ended = f.ended;
    listframe_fini(&f);
    return err;
}

static void load(struct buf *text, struct buf *file)
{
    vectors_load(VECTORS, text);
    vectors_hex(text, "file", file);
}

static void the_vector_is_what_is_written(void **state)
{
    struct buf text = BUF_INIT;
    struct buf want = BUF_INIT;
    struct buf got = BUF_INIT;
    uint8_t root[32];
    (void)state;
    memset(root, 0x11, sizeof root);
    const struct wire_hello hello = {.protocol = 1,
                                     .suite = slice_str("intl"),
                                     .federation = slice_str("example"),
                                     .root_document = slice_of(root, 32),
                                     .root_version = 1,
                                     .version = slice_str("1.0"),
                                     .clock_ms = 1767225600000};
    const struct wire_evidence head = {
        .log = {0, 0x9f86d081884c7d65, LOG_DIRECTIVES},
        .note = slice_str("note"),
        .chain = slice_str("chain")};
    vectors_load(VECTORS, &text);
    vectors_hex(&text, "hello", &want);
    wire_put_hello(&got, &hello, NULL, 0);
    assert_true(slice_eq(buf_slice(&got), buf_slice(&want)));
    buf_clear(&got);
    buf_clear(&want);
    vectors_hex(&text, "head", &want);
    wire_put_evidence(&got, &head);
    assert_true(slice_eq(buf_slice(&got), buf_slice(&want)));
    buf_fini(&got);
    buf_fini(&want);
    buf_fini(&text);
}

static void the_vector_is_read_in_any_pieces(void **state)
{
    struct buf text = BUF_INIT;
    struct buf file = BUF_INIT;
    struct buf hello = BUF_INIT;
    struct buf head = BUF_INIT;
    struct taken t = {.answer = ERR_OK};
    struct errmsg why;
    bool ended;
    (void)state;
    load(&text, &file);
    vectors_hex(&text, "hello", &hello);
    vectors_hex(&text, "head", &head);
    for (size_t step = 1; step <= file.len; step++) {
        assert_int_equal(feed(buf_slice(&file), step, &t, &ended, &why),
                         ERR_OK);
        assert_true(ended);
        assert_int_equal(t.n, 2);
        assert_true(slice_eq(buf_slice(&t.at[0]), buf_slice(&hello)));
        assert_true(slice_eq(buf_slice(&t.at[1]), buf_slice(&head)));
        drop(&t);
    }
    buf_fini(&text);
    buf_fini(&file);
    buf_fini(&hello);
    buf_fini(&head);
}

static void cut_off_is_no_fault_and_no_end(void **state)
{
    struct buf text = BUF_INIT;
    struct buf file = BUF_INIT;
    struct taken t = {.answer = ERR_OK};
    struct errmsg why;
    bool ended;
    (void)state;
    load(&text, &file);
    for (size_t len = 0; len < file.len; len++) {
        assert_int_equal(feed(slice_of(file.data, len), 7, &t, &ended, &why),
                         ERR_OK);
        assert_false(ended);
        drop(&t);
    }
    buf_fini(&text);
    buf_fini(&file);
}

static void what_is_not_this_form_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } rows[] = {
        {"x", 1, "no export"},
        {"creditnode-directives 2", 23, "no export"},
        {"creditnode-package 1\n", 21, "no export"},
        {"creditnode-directives 1\n\x00\x10\x80\x01", 28, "larger than"},
        {"creditnode-directives 1\n\xff\xff\xff\xff", 28, "larger than"},
        {"creditnode-directives 1\n\0\0\0\0x", 29, "follows the end"},
        {"creditnode-directives 1\n\0\0\0\0\0\0\0\0", 32, "follows the end"},
        {"creditnode-directives 1\n\0\0\0\1xy", 30, "no"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t step = 1; step <= rows[i].len; step += 3) {
            struct taken t = {.answer = ERR_INVALID};
            struct errmsg why = {""};
            bool ended;
            assert_int_equal(feed(slice_of(rows[i].bytes, rows[i].len), step,
                                  &t, &ended, &why),
                             ERR_INVALID);
            assert_non_null(strstr(why.text, rows[i].text));
            drop(&t);
        }
    }
}

static void the_largest_message_is_taken(void **state)
{
    struct buf file = BUF_INIT;
    struct taken t = {.answer = ERR_OK};
    struct errmsg why;
    bool ended;
    (void)state;
    buf_put_str(&file, "creditnode-directives 1\n");
    buf_put_u32(&file, LISTFRAME_MAX);
    memset(buf_reserve(&file, LISTFRAME_MAX), 0, LISTFRAME_MAX);
    file.len += LISTFRAME_MAX;
    buf_put_u32(&file, 0);
    assert_int_equal(feed(buf_slice(&file), 65536, &t, &ended, &why), ERR_OK);
    assert_true(ended);
    assert_int_equal(t.at[0].len, LISTFRAME_MAX);
    drop(&t);
    buf_fini(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_is_what_is_written),
        cmocka_unit_test(the_vector_is_read_in_any_pieces),
        cmocka_unit_test(cut_off_is_no_fault_and_no_end),
        cmocka_unit_test(what_is_not_this_form_is_refused),
        cmocka_unit_test(the_largest_message_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
