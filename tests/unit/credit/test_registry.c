/* Decisions about nodes: the rules, and as entries of a log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credit/registry.h"

#define CITY 341800000000ull
#define COUNTY 341821000000ull
#define COUNTY2 341822000000ull
#define TOWN 341821100000ull
#define VILLAGE 341821100201ull

static struct registry_decision usual(enum registry_what what)
{
    return (struct registry_decision){
        .what = what,
        .code = TOWN,
        .parent = what == REGISTRY_PARENT ? COUNTY2 : 0,
        .incarnation = registry_is_of_log(what) ? 7 : 0,
        .size = what == REGISTRY_SEALED ? 300 : 0,
        .root.b = {what == REGISTRY_SEALED},
        .decided = 20261127,
        .at_ms = 1795737600000,
        .reason = slice_str("示例：区划调整")};
}

static void each_kind_comes_back_as_it_was(void **state)
{
    (void)state;
    for (int what = REGISTRY_REVOKED; what < REGISTRY_WHATS; what++) {
        const struct registry_decision d = usual((enum registry_what)what);
        struct registry_decision again;
        struct buf room = BUF_INIT;
        struct buf bytes = BUF_INIT;
        struct entry e;
        assert_null(registry_fault(&d, CITY));
        registry_to_entry(&d, &room, &e);
        entry_encode(&e, &bytes);
        assert_int_equal(entry_decode(buf_slice(&bytes), &e), ERR_OK);
        assert_int_equal(registry_take(&e, CITY, &again), ERR_OK);
        assert_int_equal(again.what, what);
        assert_int_equal(again.code, TOWN);
        assert_int_equal(again.parent, d.parent);
        assert_int_equal(again.incarnation, d.incarnation);
        assert_int_equal(again.size, d.size);
        assert_memory_equal(again.root.b, d.root.b, HASH_LEN);
        assert_int_equal(registry_what_of(registry_what_name(again.what)),
                         what);
        assert_int_equal(again.decided, 20261127);
        assert_int_equal(again.at_ms, d.at_ms);
        assert_true(slice_eq(again.reason, d.reason));
        buf_fini(&room);
        buf_fini(&bytes);
    }
}

/* Body of a seal as it stands in docs/protocol.md. */
static void the_bytes_of_a_seal_are_these(void **state)
{
    static const uint8_t body[] = {
        0x12, 0x01, 'x',                    /* reason */
        0x18, 0x07, 0x20, 0xac, 0x02,       /* incarnation, size */
        0x2a, 0x20, 0x01, 0,    0,    0, 0, /* root */
    };
    struct registry_decision d = usual(REGISTRY_SEALED);
    struct buf room = BUF_INIT;
    struct entry e;
    (void)state;
    d.reason = slice_str("x");
    registry_to_entry(&d, &room, &e);
    assert_int_equal(e.item, 4);
    assert_int_equal(e.body.len, 42);
    assert_memory_equal(e.body.data, body, sizeof body);
    buf_fini(&room);
}

static void a_seal_names_size_and_root(void **state)
{
    struct registry_decision d = usual(REGISTRY_SEALED);
    struct registry_decision again;
    struct buf room = BUF_INIT;
    struct entry e;
    (void)state;
    registry_to_entry(&d, &room, &e);
    e.body.len -= HASH_LEN + 2;
    assert_int_equal(registry_take(&e, CITY, &again), ERR_INVALID);
    e.item = REGISTRY_UNSEALED; /* ends none of a certain size */
    assert_int_equal(registry_take(&e, CITY, &again), ERR_INVALID);
    e.item = REGISTRY_REVOKED; /* there they mean nothing */
    assert_int_equal(registry_take(&e, CITY, &again), ERR_OK);
    assert_int_equal(again.size, 0);
    d.size = 0;
    assert_non_null(registry_fault(&d, CITY));
    d = usual(REGISTRY_SEALED);
    assert_non_null(registry_fault(&d, TOWN));
    buf_fini(&room);
}

/* The bytes of docs/protocol.md. */
static void the_bytes_are_these(void **state)
{
    static const uint8_t expected[] = {
        1, 21, 0,    0,    0,    5,    0,    3, /* format … item */
        0, 0,  0x01, 0xa2, 0x1a, 0x4d, 0x40, 0x00,
    };
    static const uint8_t body[] = {
        0x08, 0x80, 0x97, 0xb7, 0xb1, 0xf9, 0x09, /* parent */
        0x12, 0x01, 'x',                          /* reason */
    };
    struct registry_decision d = usual(REGISTRY_PARENT);
    struct buf room = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct entry e;
    (void)state;
    d.reason = slice_str("x");
    registry_to_entry(&d, &room, &e);
    entry_encode(&e, &bytes);
    assert_int_equal(bytes.len, ENTRY_HEADER_LEN + 12 + sizeof body);
    assert_memory_equal(bytes.data, expected, sizeof expected);
    assert_memory_equal(bytes.data + ENTRY_HEADER_LEN, "341821100000", 12);
    assert_memory_equal(bytes.data + ENTRY_HEADER_LEN + 12, body, sizeof body);
    buf_fini(&room);
    buf_fini(&bytes);
}

static void only_an_authority_above_decides(void **state)
{
    struct registry_decision d = usual(REGISTRY_REVOKED);
    (void)state;
    assert_null(registry_fault(&d, 0));
    assert_null(registry_fault(&d, COUNTY));
    assert_non_null(registry_fault(&d, TOWN));
    assert_non_null(registry_fault(&d, VILLAGE));
    assert_non_null(registry_fault(&d, COUNTY2));
    d = usual(REGISTRY_PARENT);
    assert_null(registry_fault(&d, CITY));
    assert_non_null(registry_fault(&d, COUNTY)); /* not over the new parent */
    d.parent = CITY;
    assert_null(registry_fault(&d, CITY));
    d.parent = VILLAGE;
    assert_non_null(registry_fault(&d, CITY));
    d.parent = TOWN;
    assert_non_null(registry_fault(&d, CITY));
}

static void what_is_missing_is_refused(void **state)
{
    struct registry_decision d = usual(REGISTRY_REVOKED);
    char longest[REGISTRY_REASON_MAX + 1];
    (void)state;
    memset(longest, 'x', sizeof longest);
    d.reason = slice_of(longest, REGISTRY_REASON_MAX);
    assert_null(registry_fault(&d, CITY));
    d.reason = slice_of(longest, sizeof longest);
    assert_non_null(registry_fault(&d, CITY));
    d.reason = slice_of(NULL, 0);
    assert_non_null(registry_fault(&d, CITY));
    d.reason = slice_of("\xff", 1);
    assert_non_null(registry_fault(&d, CITY));
    d.reason = slice_str("x\nSYNC-OK");
    assert_non_null(registry_fault(&d, CITY));
    d.reason = slice_str("号码99990019000101003x（样例）");
    assert_non_null(registry_fault(&d, CITY));
    d = usual(REGISTRY_REVOKED);
    d.decided = 20261301;
    assert_non_null(registry_fault(&d, CITY));
    d = usual(REGISTRY_REVOKED);
    d.parent = COUNTY2;
    assert_non_null(registry_fault(&d, CITY));
}

static void malformed_entries_do_not_count(void **state)
{
    const struct registry_decision d = usual(REGISTRY_REVOKED);
    struct registry_decision out;
    struct buf room = BUF_INIT;
    struct entry good;
    (void)state;
    registry_to_entry(&d, &room, &good);
    assert_int_equal(registry_take(&good, CITY, &out), ERR_OK);
    assert_int_equal(registry_take(&good, COUNTY2, &out), ERR_INVALID);
    struct entry e = good;
    e.type = ENTRY_LISTING;
    assert_int_equal(registry_take(&e, CITY, &out), ERR_INVALID);
    e = good;
    e.item = 0;
    assert_int_equal(registry_take(&e, CITY, &out), ERR_INVALID);
    e.item = 4;
    assert_int_equal(registry_take(&e, CITY, &out), ERR_INVALID);
    e = good;
    e.subject_kind = SUBJECT_USCC;
    assert_int_equal(registry_take(&e, CITY, &out), ERR_INVALID);
    e = good;
    e.subject = slice_str("34182110000x");
    assert_int_equal(registry_take(&e, CITY, &out), ERR_INVALID);
    e.subject = slice_str("34182110000");
    assert_int_equal(registry_take(&e, CITY, &out), ERR_INVALID);
    e = good;
    e.body = slice_of(NULL, 0); /* no reason */
    assert_int_equal(registry_take(&e, CITY, &out), ERR_INVALID);
    e = good;
    e.body.len--;
    assert_int_equal(registry_take(&e, CITY, &out), ERR_INVALID);
    e = good;
    e.entered_at_ms = -1;
    assert_int_equal(registry_take(&e, CITY, &out), ERR_INVALID);
    buf_fini(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_comes_back_as_it_was),
        cmocka_unit_test(the_bytes_are_these),
        cmocka_unit_test(the_bytes_of_a_seal_are_these),
        cmocka_unit_test(a_seal_names_size_and_root),
        cmocka_unit_test(only_an_authority_above_decides),
        cmocka_unit_test(what_is_missing_is_refused),
        cmocka_unit_test(malformed_entries_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
