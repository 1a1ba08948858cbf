/* Requests of apps as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/request.h"
#include "base/mem.h"
#include "base/pb.h"

static struct errmsg why;

static enum err subject_of(struct buf *bytes, struct subject_request *out)
{
    enum err err = request_subject(buf_slice(bytes), out, &why);
    buf_fini(bytes);
    return err;
}

static enum err record_of(struct buf *bytes, struct record_request *out)
{
    enum err err = request_record(buf_slice(bytes), out, &why);
    buf_fini(bytes);
    return err;
}

static void a_subject_request_is_read(void **state)
{
    (void)state;
    struct subject_request r;
    struct buf b = BUF_INIT;
    uint8_t place[QUERY_PLACE_LEN] = {1};
    pb_put_str(&b, 1, "91999900MA000100X7");
    pb_put_u64(&b, 2, UINT64_MAX);
    pb_put_bytes(&b, 3, slice_of(place, sizeof place));
    pb_put_u64(&b, 4, 1);
    pb_put_str(&b, 99, "of a later build");
    assert_int_equal(request_subject(buf_slice(&b), &r, &why), ERR_OK);
    assert_string_equal(r.subject, "91999900MA000100X7");
    assert_int_equal(r.limit, UINT32_MAX);
    assert_int_equal(r.after.len, QUERY_PLACE_LEN);
    assert_true(r.brief);
    buf_fini(&b);
    assert_int_equal(subject_of(&b, &r), ERR_OK);
    assert_string_equal(r.subject, "");
}

static void fields_of_a_wrong_form_are_refused_by_number(void **state)
{
    (void)state;
    struct subject_request r;
    char text[SUBJECT_TEXT_MAX + 1] = "";
    struct buf b = BUF_INIT;
    pb_put_u64(&b, 1, 5);
    assert_int_equal(subject_of(&b, &r), ERR_INVALID);
    assert_string_equal(why.text, "SubjectRequest: malformed field 1");
    pb_put_str(&b, 2, "5");
    assert_int_equal(subject_of(&b, &r), ERR_INVALID);
    pb_put_str(&b, 3, "short");
    assert_int_equal(subject_of(&b, &r), ERR_INVALID);
    assert_string_equal(why.text, "SubjectRequest: malformed field 3");
    pb_put_bytes(&b, 1, slice_of("a\0b", 3));
    assert_int_equal(subject_of(&b, &r), ERR_INVALID);
    memset(text, 'x', SUBJECT_TEXT_MAX);
    pb_put_str(&b, 1, text);
    assert_int_equal(subject_of(&b, &r), ERR_INVALID);
    pb_put_str(&b, 1, text + 1);
    assert_int_equal(subject_of(&b, &r), ERR_OK);
    buf_put(&b,
            "\x0a\x05"
            "abc",
            5);
    assert_int_equal(subject_of(&b, &r), ERR_INVALID);
    assert_non_null(strstr(why.text, "not a protobuf message"));
    buf_put(&b, "\x0a\x00", 2); /* present and empty */
    assert_int_equal(subject_of(&b, &r), ERR_OK);
}

static void a_record_is_named_in_one_way(void **state)
{
    (void)state;
    struct record_request r;
    struct buf b = BUF_INIT;
    uint8_t key[RECORD_KEY_LEN] = {7};
    assert_int_equal(record_of(&b, &r), ERR_INVALID);
    assert_non_null(strstr(why.text, "log and number"));
    pb_put_str(&b, 1, "91999900MA000100X7");
    assert_int_equal(record_of(&b, &r), ERR_INVALID);
    pb_put_str(&b, 1, "91999900MA000100X7");
    pb_put_bytes(&b, 2, slice_of(key, sizeof key));
    assert_int_equal(record_of(&b, &r), ERR_OK);
    pb_put_str(&b, 3, "341821100201/records/0000000000000001");
    assert_int_equal(record_of(&b, &r), ERR_INVALID);
    pb_put_str(&b, 3, "341821100201/records/0000000000000001");
    pb_put_u64(&b, 4, 9);
    assert_int_equal(record_of(&b, &r), ERR_OK);
    assert_int_equal(r.number, 9);
    pb_put_str(&b, 1, "91999900MA000100X7");
    pb_put_bytes(&b, 2, slice_of(key, 15));
    assert_int_equal(record_of(&b, &r), ERR_INVALID);
}

static void a_submission_has_room_for_its_receipt(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    struct buf b = BUF_INIT;
    struct slice csv;
    assert_int_equal(request_submit(buf_slice(&b), &csv, &why), ERR_INVALID);
    for (int i = 0; i < SUBMIT_LINES_MAX; i++) {
        buf_put_str(&text, "\n");
    }
    pb_put_bytes(&b, 1, buf_slice(&text));
    assert_int_equal(request_submit(buf_slice(&b), &csv, &why), ERR_OK);
    assert_int_equal(csv.len, SUBMIT_LINES_MAX);
    buf_fini(&b);
    buf_put_str(&text, "\n");
    pb_put_bytes(&b, 1, buf_slice(&text));
    assert_int_equal(request_submit(buf_slice(&b), &csv, &why), ERR_TOO_LARGE);
    assert_non_null(strstr(why.text, "4097 lines"));
    buf_fini(&b);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subject_request_is_read),
        cmocka_unit_test(fields_of_a_wrong_form_are_refused_by_number),
        cmocka_unit_test(a_record_is_named_in_one_way),
        cmocka_unit_test(a_submission_has_room_for_its_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
