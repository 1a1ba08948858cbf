/* The bytes of entries. */
#include "mlog/entry.h"

#include "mlog/block.h"
#include "unit/mlog/vectors.h"

static const char subject[] = "91340000000000001X";
static const char prev_subject[] = "913400000000000028";

/* The entry of tests/data/mlog_entry.txt. */
static struct entry sample(struct slice body)
{
    struct entry e = {.type = ENTRY_RECORD,
                      .flags = 0,
                      .status = STATUS_REVOKED,
                      .disclosure = DISCLOSURE_AUTHORISED,
                      .subject_kind = SUBJECT_USCC,
                      .item = 0x0102,
                      .entered_at_ms = 1767225600000,
                      .version = 2,
                      .prev_incarnation = 0x9f86d081884c7d65,
                      .prev_number = 7,
                      .decided = 20251230,
                      .from = 20260101,
                      .until = 20281231,
                      .publish_until = 0,
                      .subject = slice_str(subject),
                      .prev_subject = slice_str(prev_subject),
                      .body = body};
    for (uint8_t i = 0; i < RECORD_KEY_LEN; i++) {
        e.record_key[i] = (uint8_t)(0x10 + i);
    }
    return e;
}

static void assert_entry_equal(const struct entry *a, const struct entry *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->disclosure, b->disclosure);
    assert_int_equal(a->subject_kind, b->subject_kind);
    assert_int_equal(a->item, b->item);
    assert_int_equal(a->entered_at_ms, b->entered_at_ms);
    assert_memory_equal(a->record_key, b->record_key, RECORD_KEY_LEN);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->prev_incarnation, b->prev_incarnation);
    assert_int_equal(a->prev_number, b->prev_number);
    assert_int_equal(a->decided, b->decided);
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->until, b->until);
    assert_int_equal(a->publish_until, b->publish_until);
    assert_true(slice_eq(a->subject, b->subject));
    assert_true(slice_eq(a->prev_subject, b->prev_subject));
    assert_true(slice_eq(a->body, b->body));
}

static void bytes_are_those_of_the_vector(void **state)
{
    (void)state;
    struct buf file = BUF_INIT;
    struct buf want = BUF_INIT;
    struct buf body = BUF_INIT;
    struct buf got = BUF_INIT;
    struct entry decoded;
    vectors_load(TEST_DATA "/mlog_entry.txt", &file);
    vectors_hex(&file, "record", &want);
    vectors_hex(&file, "record.body", &body);
    struct entry e = sample(buf_slice(&body));
    entry_encode(&e, &got);
    assert_true(slice_eq(buf_slice(&got), buf_slice(&want)));
    assert_int_equal(entry_decode(buf_slice(&want), &decoded), ERR_OK);
    assert_entry_equal(&decoded, &e);
    static const char *const leaves[] = {"record.leaf.intl", "record.leaf.gm"};
    for (unsigned i = 0; i < ARRAY_LEN(leaves); i++) {
        struct hash leaf;
        buf_clear(&body);
        vectors_hex(&file, leaves[i], &body);
        suite_hash_leaf(i == 0 ? SUITE_INTL : SUITE_GM, buf_slice(&want),
                        &leaf);
        assert_memory_equal(leaf.b, body.data, HASH_LEN);
    }
    buf_fini(&got);
    buf_fini(&body);
    buf_fini(&want);
    buf_fini(&file);
}

static void limits_are_reached_and_read_back(void **state)
{
    (void)state;
    uint8_t *room = mem_zalloc(ENTRY_MAX, 1);
    memset(room, 0xa5, ENTRY_MAX);
    struct entry e = {
        .type = 255,
        .flags = 255,
        .status = 255,
        .disclosure = 255,
        .subject_kind = 255,
        .item = UINT16_MAX,
        .entered_at_ms = INT64_MIN,
        .version = UINT32_MAX,
        .prev_incarnation = UINT64_MAX,
        .prev_number = UINT64_MAX,
        .decided = UINT32_MAX,
        .from = UINT32_MAX,
        .until = UINT32_MAX,
        .publish_until = UINT32_MAX,
        .subject = slice_of(room, SUBJECT_MAX),
        .prev_subject = slice_of(room, SUBJECT_MAX),
        .body = slice_of(room, ENTRY_MAX - ENTRY_HEADER_LEN - 2 * SUBJECT_MAX)};
    struct buf bytes = BUF_INIT;
    struct entry again;
    entry_encode(&e, &bytes);
    assert_int_equal(bytes.len, ENTRY_MAX);
    assert_int_equal(entry_decode(buf_slice(&bytes), &again), ERR_OK);
    assert_entry_equal(&again, &e);
    buf_put_u8(&bytes, 0);
    assert_int_equal(entry_decode(buf_slice(&bytes), &again), ERR_INVALID);
    buf_fini(&bytes);
    mem_free(room);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct entry e = sample(slice_str("body"));
    entry_encode(&e, &bytes);
    for (size_t cut = 0; cut < bytes.len; cut++) {
        /* A copy of exactly this length: a read past it is caught. */
        uint8_t *copy = mem_dup(bytes.data, cut);
        assert_int_equal(entry_decode(slice_of(copy, cut), &e), ERR_INVALID);
        mem_free(copy);
    }
    buf_put_u8(&bytes, 0);
    assert_int_equal(entry_decode(buf_slice(&bytes), &e), ERR_INVALID);
    buf_fini(&bytes);
}

static void lengths_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = {
        {68, 17}, {68, 19},  {68, 161}, {68, 255}, {69, 0}, {69, 255},
        {72, 1},  {72, 255}, {73, 1},   {74, 1},   {75, 0}, {75, 255},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf bytes = BUF_INIT;
        struct entry e = sample(slice_str("body"));
        entry_encode(&e, &bytes);
        bytes.data[rows[i].at] = rows[i].value;
        assert_int_equal(entry_decode(buf_slice(&bytes), &e), ERR_INVALID);
        buf_fini(&bytes);
    }
}

static void a_subject_past_the_limit_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[ENTRY_HEADER_LEN + SUBJECT_MAX + 1] = {ENTRY_FORMAT};
    struct entry e;
    bytes[68] = SUBJECT_MAX;
    assert_int_equal(entry_decode(slice_of(bytes, sizeof(bytes) - 1), &e),
                     ERR_OK);
    bytes[68] = SUBJECT_MAX + 1;
    assert_int_equal(entry_decode(slice_of(bytes, sizeof(bytes)), &e),
                     ERR_INVALID);
    bytes[68] = 0;
    bytes[69] = SUBJECT_MAX + 1;
    assert_int_equal(entry_decode(slice_of(bytes, sizeof(bytes)), &e),
                     ERR_INVALID);
}

static void another_format_is_unsupported_at_any_length(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct entry e = sample(slice_str("body"));
    entry_encode(&e, &bytes);
    for (unsigned format = 0; format <= 255; format++) {
        bytes.data[0] = (uint8_t)format;
        if (format != ENTRY_FORMAT) {
            assert_int_equal(entry_decode(buf_slice(&bytes), &e),
                             ERR_UNSUPPORTED);
            assert_int_equal(entry_decode(slice_of(bytes.data, 1), &e),
                             ERR_UNSUPPORTED);
        }
    }
    buf_fini(&bytes);
}

static void unknown_types_and_reserved_bytes_are_read(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct entry e = sample(slice_str("body"));
    struct entry again;
    entry_encode(&e, &bytes);
    assert_int_equal(be_get16(bytes.data + 70), 0);
    bytes.data[70] = 0xff;
    bytes.data[71] = 0xff;
    for (unsigned type = 0; type <= 255; type++) {
        bytes.data[1] = (uint8_t)type;
        e.type = (uint8_t)type;
        assert_int_equal(entry_decode(buf_slice(&bytes), &again), ERR_OK);
        assert_entry_equal(&again, &e);
    }
    buf_fini(&bytes);
}

static void opening_entry_is_that_of_the_vector(void **state)
{
    (void)state;
    struct buf file = BUF_INIT;
    struct buf want = BUF_INIT;
    struct buf got = BUF_INIT;
    struct entry e;
    struct entry_open open = {.prev_incarnation = 0x1122334455667788,
                              .prev_size = 20};
    struct entry_open again;
    vectors_load(TEST_DATA "/mlog_entry.txt", &file);
    vectors_hex(&file, "open", &want);
    memcpy(open.prev_root, want.data + want.len - HASH_LEN, HASH_LEN);
    entry_open_encode(&open, 1767225600000, &got);
    assert_true(slice_eq(buf_slice(&got), buf_slice(&want)));
    assert_int_equal(entry_decode(buf_slice(&got), &e), ERR_OK);
    assert_int_equal(e.type, ENTRY_OPEN);
    assert_int_equal(e.entered_at_ms, 1767225600000);
    assert_int_equal(entry_open_decode(&e, &again), ERR_OK);
    assert_int_equal(again.prev_incarnation, open.prev_incarnation);
    assert_int_equal(again.prev_size, open.prev_size);
    assert_memory_equal(again.prev_root, open.prev_root, HASH_LEN);
    e.body.len--;
    assert_int_equal(entry_open_decode(&e, &again), ERR_INVALID);
    e.body.len += 2;
    assert_int_equal(entry_open_decode(&e, &again), ERR_INVALID);
    e.body.len--;
    e.type = ENTRY_RECORD;
    assert_int_equal(entry_open_decode(&e, &again), ERR_INVALID);
    buf_fini(&got);
    buf_fini(&want);
    buf_fini(&file);
}

static void key_entry_is_read_back(void **state)
{
    (void)state;
    uint8_t wrapped[WRAP_MAX + 1];
    memset(wrapped, 0x5a, sizeof(wrapped));
    static const size_t lens[] = {1, 125, WRAP_MAX};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct entry_key key = {.period = 202601,
                                .holder = 341800000000,
                                .holder_key_id = {1, 2, 3},
                                .wrapped = slice_of(wrapped, lens[i])};
        struct entry_key again;
        struct entry e;
        struct buf bytes = BUF_INIT;
        entry_key_encode(&key, 5, &bytes);
        assert_int_equal(entry_decode(buf_slice(&bytes), &e), ERR_OK);
        assert_int_equal(e.type, ENTRY_KEY);
        assert_int_equal(e.body.len, 4 + 8 + 32 + lens[i]);
        assert_int_equal(entry_key_decode(&e, &again), ERR_OK);
        assert_int_equal(again.period, key.period);
        assert_int_equal(again.holder, key.holder);
        assert_memory_equal(again.holder_key_id, key.holder_key_id, 32);
        assert_true(slice_eq(again.wrapped, key.wrapped));
        e.body.len = 4 + 8 + 32;
        assert_int_equal(entry_key_decode(&e, &again), ERR_INVALID);
        buf_fini(&bytes);
    }
    struct entry e = {.type = ENTRY_KEY};
    struct entry_key again;
    assert_int_equal(entry_key_decode(&e, &again), ERR_INVALID);
    uint8_t body[44 + WRAP_MAX + 1] = {0};
    e.body = slice_of(body, sizeof(body));
    assert_int_equal(entry_key_decode(&e, &again), ERR_INVALID);
    e.body.len--;
    assert_int_equal(entry_key_decode(&e, &again), ERR_OK);
    e.type = ENTRY_OPEN;
    assert_int_equal(entry_key_decode(&e, &again), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_the_vector),
        cmocka_unit_test(limits_are_reached_and_read_back),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(lengths_that_do_not_fit_are_refused),
        cmocka_unit_test(a_subject_past_the_limit_is_refused),
        cmocka_unit_test(another_format_is_unsupported_at_any_length),
        cmocka_unit_test(unknown_types_and_reserved_bytes_are_read),
        cmocka_unit_test(opening_entry_is_that_of_the_vector),
        cmocka_unit_test(key_entry_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
