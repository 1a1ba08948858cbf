/* What an origin has in two places of its logs is found, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pb.h"
#include "credit/catalogue.h"
#include "credit/record.h"
#include "run/once.h"

enum { ORIGIN_OLD = 0x0a, ORIGIN_NEW = 0x0b }; /* incarnations */

static struct once *once;
static uint64_t number;

static int setup(void **state)
{
    (void)state;
    once = once_new();
    once_begin(once, 0, 1);
    number = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    once_free(&once);
    return 0;
}

struct what {
    uint64_t incarnation;
    uint32_t key;
    uint32_t version;
    uint8_t content;
    uint8_t status;
    bool moved; /* the version before had another subject */
    uint8_t type;
};

static bool put(struct what w)
{
    uint8_t body[2 + RECORD_DIGEST_LEN] = {FIELD_DIGEST << 3 | PB_BYTES,
                                           RECORD_DIGEST_LEN};
    struct buf bytes = BUF_INIT;
    struct entry e = {.type = w.type != 0 ? w.type : ENTRY_RECORD,
                      .status = w.status,
                      .subject_kind = SUBJECT_USCC,
                      .version = w.version,
                      .subject = slice_str("91340000000000001X"),
                      .body = slice_of(body, sizeof body)};
    struct log_id log = {341821100201, w.incarnation, LOG_RECORDS};
    memset(body + 2, w.content, RECORD_DIGEST_LEN);
    be_put32(e.record_key, w.key * 2654435761u); /* they look like hashes */
    be_put32(e.record_key + 4, w.key);
    if (w.moved) {
        e.prev_subject = slice_str("913400000000000028");
    }
    entry_encode(&e, &bytes);
    bool taken = once_put(once, &log, ++number, buf_slice(&bytes));
    buf_fini(&bytes);
    return taken;
}
#define PUT(...) assert_true(put((struct what){ORIGIN_OLD, __VA_ARGS__}))
#define PUT_NEW(...) assert_true(put((struct what){ORIGIN_NEW, __VA_ARGS__}))

static char text[ONCE_TEXT];

static void versions_that_say_something_else_are_no_copies(void **state)
{
    (void)state;
    PUT(.key = 1, .version = 1, .content = 1);
    PUT(.key = 2, .version = 1, .content = 1); /* another record */
    PUT(.key = 1, .version = 2, .content = 2);
    PUT(.key = 1, .version = 3, .content = 1); /* as it was before */
    PUT(.key = 1, .version = 4, .content = 1, .status = STATUS_REVOKED);
    PUT(.key = 2, .version = 2, .content = 1, .moved = true);
    PUT_NEW(.key = 3, .version = 1, .content = 1);
    PUT_NEW(.key = 2, .version = 3, .content = 2);
    /* A version between them is lost with a store. */
    PUT_NEW(.key = 2, .version = 5, .content = 2);
    assert_true(once_judge(once, 1, text));
}

static void a_version_under_two_numbers_is_found_in_whatever_log(void **state)
{
    (void)state;
    PUT(.key = 1, .version = 1, .content = 1);
    PUT(.key = 2, .version = 1, .content = 1);
    PUT(.key = 2, .version = 2, .content = 2);
    PUT_NEW(.key = 2, .version = 2, .content = 3);
    assert_false(once_judge(once, 1, text));
    assert_non_null(strstr(text, "version 2, is number 3 of "
                                 "341821100201/records/000000000000000a, and "
                                 "number 4 of "
                                 "341821100201/records/000000000000000b"));
}

static void a_version_that_adds_nothing_is_found(void **state)
{
    (void)state;
    PUT(.key = 7, .version = 1, .content = 4);
    PUT_NEW(.key = 7, .version = 2, .content = 4);
    assert_false(once_judge(once, 1, text));
    assert_non_null(strstr(text, "with nothing new"));
}

static void as_many_processes_as_ran_may_have_appended_it(void **state)
{
    (void)state;
    PUT(.key = 1, .version = 1, .content = 1);
    PUT_NEW(.key = 1, .version = 1, .content = 1);
    PUT_NEW(.key = 1, .version = 2, .content = 1);
    assert_true(once_judge(once, 2, text));
    PUT_NEW(.key = 1, .version = 1, .content = 1);
    assert_false(once_judge(once, 2, text));
}

static void a_package_is_there_once_by_its_id(void **state)
{
    (void)state;
    PUT(.key = 1, .type = ENTRY_PACKAGE);
    PUT(.key = 2, .type = ENTRY_PACKAGE);
    PUT(.key = 1, .type = ENTRY_PACKAGE_END);
    assert_true(once_judge(once, 1, text));
    PUT(.key = 2, .type = ENTRY_PACKAGE);
    assert_false(once_judge(once, 1, text));
}

static void what_is_no_entry_is_passed_over(void **state)
{
    struct log_id log = {341821100201, ORIGIN_OLD, LOG_RECORDS};
    (void)state;
    assert_true(once_put(once, &log, 1, slice_str("no entry")));
    assert_true(once_put(once, &log, 2, slice_str("no entry")));
    PUT(.key = 1, .version = 1, .content = 1);
    assert_true(once_judge(once, 1, text));
}

/* Each record is in one part, with all its versions, and no part is too large
 * for what there is room for. */
static void parts_have_all_between_them(void **state)
{
    enum { RECORDS = 20000, PARTS = 7, COPIED = 12345 };
    unsigned found = 0;
    (void)state;
    for (unsigned part = 0; part < PARTS; part++) {
        once_begin(once, part, PARTS);
        for (uint32_t key = 0; key < RECORDS; key++) {
            PUT(.key = key, .version = 1, .content = 1);
        }
        PUT(.key = COPIED, .version = 1, .content = 1);
        found += !once_judge(once, 1, text);
    }
    assert_int_equal(found, 1);
    assert_int_equal(once_parts(0), 1);
    assert_int_equal(once_parts(ONCE_MAX / 2 - 1), 1);
    assert_int_equal(once_parts(UINT64_C(100) * ONCE_MAX), 201);
}

static void no_more_are_kept_than_there_is_room_for(void **state)
{
    uint32_t key = 0;
    (void)state;
    while (key < ONCE_MAX) {
        PUT(.key = key++, .version = 1, .content = 1);
    }
    assert_false(
        put((struct what){ORIGIN_OLD, .key = key, .version = 1, .content = 1}));
    once_begin(once, 0, 1);
    PUT(.key = 1, .version = 1, .content = 1);
    assert_true(once_judge(once, 1, text));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(versions_that_say_something_else_are_no_copies),
        TEST(a_version_under_two_numbers_is_found_in_whatever_log),
        TEST(a_version_that_adds_nothing_is_found),
        TEST(as_many_processes_as_ran_may_have_appended_it),
        TEST(a_package_is_there_once_by_its_id),
        TEST(what_is_no_entry_is_passed_over),
        TEST(parts_have_all_between_them),
        TEST(no_more_are_kept_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
