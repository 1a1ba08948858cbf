#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pb.h"
#include "credit/record.h"

static const uint64_t origin = 341821100201;
static const char citizen[] = "999900200002290017";

static const struct record_keys keys = {
    .suite = SUITE_INTL,
    .identity = {(const uint8_t *)"identity key of a test", 22},
    .digest = {(const uint8_t *)"digest key of a test", 20},
};

/* Seals with a fixed key, as the keyring does, and counts its calls. */
struct ring {
    uint8_t key[SEAL_KEY_LEN];
    size_t sealed;
    enum err err; /* returned instead of sealing */
};

static enum err ring_seal(void *ctx, struct slice aad, struct slice plain,
                          struct buf *out)
{
    struct ring *ring = ctx;
    if (ring->err != ERR_OK) {
        return ring->err;
    }
    ring->sealed++;
    buf_put_u32(out, 7);
    suite_seal(SUITE_INTL, ring->key, aad, plain, out);
    return ERR_OK;
}

static enum err ring_unseal(void *ctx, struct slice aad, struct slice sealed,
                            struct buf *out)
{
    struct ring *ring = ctx;
    struct reader in = reader_of(sealed);
    if (reader_u32(&in) != 7) {
        return ERR_SEALED;
    }
    return suite_unseal(SUITE_INTL, ring->key, aad,
                        reader_bytes(&in, reader_left(&in)), out);
}

static struct record licence(void)
{
    static const struct {
        uint16_t id;
        const char *value;
    } values[] = {
        {FIELD_NAME, "宣城市样例甲贸易有限公司"},
        {FIELD_CATEGORY, "法人及非法人组织"},
        {FIELD_USCC, "91999900MA000100X7"},
        {FIELD_DOCUMENT_NO, "样许〔2026〕1号"},
        {FIELD_CONTENT, "准予从事样例活动"},
        {FIELD_DECIDED, "20260302"},
        {FIELD_FROM, "20260303"},
        {FIELD_UNTIL, "99991231"},
        {FIELD_AUTHORITY, "宣城市样例市场监督管理局"},
        {FIELD_AUTHORITY_CODE, "11230500001755309F"},
        {FIELD_STATUS, "撤销"},
        {FIELD_DISCLOSURE, "共享"},
    };
    struct record r;
    record_init(&r, catalogue_item(ITEM_LICENCE));
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        record_set(&r, values[i].id, slice_str(values[i].value));
    }
    return r;
}

static struct record person(void)
{
    struct record r = licence();
    record_set(&r, FIELD_NAME, slice_str("王某样"));
    record_set(&r, FIELD_CATEGORY, slice_str("自然人"));
    record_set(&r, FIELD_USCC, (struct slice){NULL, 0});
    record_set(&r, FIELD_PERSON_ID_TYPE, slice_str("身份证"));
    record_set(&r, FIELD_PERSON_ID, slice_str(citizen));
    record_set(&r, FIELD_DISCLOSURE, (struct slice){NULL, 0});
    return r;
}

static void identified(struct record *r)
{
    assert_int_equal(record_identify(r, &keys), ERR_OK);
}

static bool holds(struct slice bytes, const char *text)
{
    return memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

static void envelope_comes_from_the_values(void **state)
{
    struct record r = licence();
    struct buf room = BUF_INIT;
    struct entry e;
    (void)state;
    identified(&r);
    assert_int_equal(record_to_entry(&r, &keys, origin, 1234, NULL, &room, &e),
                     ERR_OK);
    assert_int_equal(e.type, ENTRY_RECORD);
    assert_int_equal(e.item, ITEM_LICENCE);
    assert_int_equal(e.flags, 0);
    assert_int_equal(e.status, STATUS_REVOKED);
    assert_int_equal(e.disclosure, DISCLOSURE_SHARED);
    assert_int_equal(e.subject_kind, SUBJECT_USCC);
    assert_int_equal(e.entered_at_ms, 1234);
    assert_int_equal(e.decided, 20260302);
    assert_int_equal(e.from, 20260303);
    assert_int_equal(e.until, 0); /* open */
    assert_int_equal(e.publish_until, 0);
    assert_int_equal(e.version, 0);
    assert_true(slice_eq(e.subject, slice_str("91999900MA000100X7")));
    assert_memory_equal(e.record_key, r.key, RECORD_KEY_LEN);
    buf_fini(&room);
}

static void values_survive_the_round_trip(void **state)
{
    struct record r = licence();
    struct record back;
    struct buf room = BUF_INIT;
    struct entry e;
    (void)state;
    identified(&r);
    assert_int_equal(record_to_entry(&r, &keys, origin, 1, NULL, &room, &e),
                     ERR_OK);
    assert_int_equal(record_from_entry(&e, &back), ERR_OK);
    for (size_t i = 0; i < r.item->count; i++) {
        assert_true(slice_eq(r.values[i], back.values[i]));
    }
    assert_int_equal(back.sealed, 0);
    assert_int_equal(back.unknown, 0);
    assert_string_equal(back.subject, r.subject);
    assert_int_equal(back.status, r.status);
    assert_int_equal(back.until, r.until);
    buf_fini(&room);
}

static void nothing_of_a_person_is_in_clear(void **state)
{
    static const char *const secrets[] = {citizen, "王某样", "样例活动",
                                          "2000022900"};
    struct ring ring = {.key = {1}};
    struct sealer sealer = {ring_seal, &ring};
    struct record r = person();
    struct buf room = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct entry e;
    (void)state;
    identified(&r);
    assert_int_equal(r.disclosure, DISCLOSURE_AUTHORISED);
    assert_int_equal(record_to_entry(&r, &keys, origin, 1, &sealer, &room, &e),
                     ERR_OK);
    assert_int_equal(ring.sealed, 4); /* name, number, content, subject */
    assert_int_equal(e.flags, ENTRY_FLAG_SEALED);
    assert_true(e.subject.len <= SUBJECT_MAX);
    entry_encode(&e, &bytes);
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        assert_false(holds(buf_slice(&bytes), secrets[i]));
        /* Nor in what was used on the way. */
        assert_false(holds(slice_of(room.data, room.len), secrets[i]));
    }
    assert_true(holds(buf_slice(&bytes), "样许〔2026〕1号"));
    buf_fini(&room);
    buf_fini(&bytes);
}

static void sealed_values_open_under_their_own_name_only(void **state)
{
    struct ring ring = {.key = {1}};
    struct sealer sealer = {ring_seal, &ring};
    struct unsealer unsealer = {ring_unseal, &ring};
    struct record r = person();
    struct record back;
    struct buf room = BUF_INIT;
    struct buf out = BUF_INIT;
    struct entry e;
    (void)state;
    identified(&r);
    assert_int_equal(record_to_entry(&r, &keys, origin, 1, &sealer, &room, &e),
                     ERR_OK);
    assert_int_equal(record_from_entry(&e, &back), ERR_OK);
    size_t place = catalogue_place(back.item, FIELD_PERSON_ID);
    assert_true(back.sealed >> place & 1);
    assert_string_equal(back.subject, "");
    assert_int_equal(
        record_show(&back, place, origin, RECORD_CLEAR, &unsealer, &out),
        ERR_OK);
    assert_string_equal(buf_cstr(&out), citizen);
    buf_clear(&out);
    assert_int_equal(record_unseal_subject(&e, origin, &unsealer, &out),
                     ERR_OK);
    assert_string_equal(buf_cstr(&out), "111/999900200002290017");
    /* Bound to origin, record and field. */
    assert_int_equal(
        record_show(&back, place, origin + 1, RECORD_CLEAR, &unsealer, &out),
        ERR_SEALED);
    size_t name = catalogue_place(back.item, FIELD_NAME);
    back.values[place] = back.values[name];
    assert_int_equal(
        record_show(&back, place, origin, RECORD_CLEAR, &unsealer, &out),
        ERR_SEALED);
    buf_fini(&room);
    buf_fini(&out);
}

static const char *shown(const struct record *r, uint16_t id,
                         const struct unsealer *unsealer, struct buf *out)
{
    buf_clear(out);
    assert_int_equal(record_show(r, catalogue_place(r->item, id), origin,
                                 RECORD_MASKED, unsealer, out),
                     ERR_OK);
    return buf_cstr(out);
}

static void people_see_personal_values_masked(void **state)
{
    struct ring ring = {.key = {1}};
    struct sealer sealer = {ring_seal, &ring};
    struct unsealer unsealer = {ring_unseal, &ring};
    struct record r = person();
    struct record back;
    struct buf room = BUF_INIT;
    struct buf out = BUF_INIT;
    struct entry e;
    (void)state;
    identified(&r);
    assert_int_equal(record_to_entry(&r, &keys, origin, 1, &sealer, &room, &e),
                     ERR_OK);
    assert_int_equal(record_from_entry(&e, &back), ERR_OK);
    assert_string_equal(shown(&back, FIELD_PERSON_ID, &unsealer, &out),
                        "999***********0017");
    assert_string_equal(shown(&back, FIELD_NAME, &unsealer, &out), "王**");
    assert_string_equal(shown(&back, FIELD_CONTENT, &unsealer, &out), "***");
    assert_string_equal(shown(&back, FIELD_PERSON_ID, NULL, &out), "***");
    assert_string_equal(shown(&back, FIELD_DECIDED, NULL, &out), "2026-03-02");
    assert_string_equal(shown(&back, FIELD_UNTIL, NULL, &out), "长期");
    /* A record never sealed is masked all the same. */
    assert_string_equal(shown(&r, FIELD_PERSON_ID, NULL, &out),
                        "999***********0017");
    buf_fini(&room);
    buf_fini(&out);
}

static void a_failing_sealer_leaves_nothing_behind(void **state)
{
    struct ring ring = {.key = {1}, .err = ERR_SEALED};
    struct sealer sealer = {ring_seal, &ring};
    struct record r = person();
    struct buf room = BUF_INIT;
    struct entry e;
    (void)state;
    identified(&r);
    buf_put_str(&room, "before");
    assert_int_equal(record_to_entry(&r, &keys, origin, 1, &sealer, &room, &e),
                     ERR_SEALED);
    assert_int_equal(record_to_entry(&r, &keys, origin, 1, NULL, &room, &e),
                     ERR_SEALED);
    assert_string_equal(buf_cstr(&room), "before");
    buf_fini(&room);
}

static void digest_of(struct record *r, const struct record_keys *with,
                      uint8_t out[RECORD_DIGEST_LEN])
{
    struct ring ring = {.key = {9}};
    struct sealer sealer = {ring_seal, &ring};
    struct buf room = BUF_INIT;
    struct entry e;
    assert_int_equal(record_identify(r, with), ERR_OK);
    assert_int_equal(record_to_entry(r, with, origin, 5, &sealer, &room, &e),
                     ERR_OK);
    assert_true(record_digest(e.body, out));
    buf_fini(&room);
}

static void digest_is_of_the_content_not_of_the_sealing(void **state)
{
    uint8_t one[RECORD_DIGEST_LEN];
    uint8_t two[RECORD_DIGEST_LEN];
    struct record_keys other = keys;
    struct record r = person();
    (void)state;
    other.digest = slice_str("another digest key");
    digest_of(&r, &keys, one);
    digest_of(&r, &keys, two);
    assert_memory_equal(one, two, sizeof one);
    digest_of(&r, &other, two);
    assert_memory_not_equal(one, two, sizeof one);
    record_set(&r, FIELD_NAME, slice_str("王某例"));
    digest_of(&r, &keys, two);
    assert_memory_not_equal(one, two, sizeof one);
    assert_false(record_digest(slice_str("short"), two));
}

static void key_names_the_decision(void **state)
{
    struct record a = licence();
    struct record b = licence();
    (void)state;
    identified(&a);
    record_set(&b, FIELD_CONTENT, slice_str("另一内容"));
    record_set(&b, FIELD_STATUS, slice_str("有效"));
    identified(&b);
    assert_memory_equal(a.key, b.key, RECORD_KEY_LEN);
    record_set(&b, FIELD_DOCUMENT_NO, slice_str("样许〔2026〕2号"));
    identified(&b);
    assert_memory_not_equal(a.key, b.key, RECORD_KEY_LEN);
    b = licence();
    record_set(&b, FIELD_AUTHORITY_CODE, slice_str("12100000400002259P"));
    identified(&b);
    assert_memory_not_equal(a.key, b.key, RECORD_KEY_LEN);
    b = licence();
    record_set(&b, FIELD_USCC, slice_str("914403001922038216"));
    identified(&b);
    assert_memory_not_equal(a.key, b.key, RECORD_KEY_LEN);
}

static void key_of_a_person_needs_the_secret(void **state)
{
    struct record_keys other = keys;
    struct record a = person();
    struct record b = person();
    (void)state;
    other.identity = slice_str("another identity key");
    identified(&a);
    identified(&b);
    assert_memory_equal(a.key, b.key, RECORD_KEY_LEN);
    assert_int_equal(record_identify(&b, &other), ERR_OK);
    assert_memory_not_equal(a.key, b.key, RECORD_KEY_LEN);
    /* Organisations' keys are the same everywhere. */
    a = licence();
    b = licence();
    identified(&a);
    assert_int_equal(record_identify(&b, &other), ERR_OK);
    assert_memory_equal(a.key, b.key, RECORD_KEY_LEN);
}

static void older_codes_identify_where_there_is_no_credit_code(void **state)
{
    struct record r = licence();
    (void)state;
    record_set(&r, FIELD_USCC, (struct slice){NULL, 0});
    assert_int_equal(record_identify(&r, &keys), ERR_INVALID);
    record_set(&r, FIELD_REGISTRATION_NO, slice_str("999900000012345"));
    identified(&r);
    assert_int_equal(r.subject_kind, SUBJECT_ORG);
    assert_string_equal(r.subject, "GSZC/999900000012345");
    record_set(&r, FIELD_ORG_CODE, slice_str("742183213"));
    identified(&r);
    assert_string_equal(r.subject, "ZZJG/742183213");
}

static enum err decode(struct slice body, struct record *out)
{
    struct entry e = {.type = ENTRY_RECORD,
                      .item = ITEM_LICENCE,
                      .subject = slice_str("91999900MA000100X7"),
                      .subject_kind = SUBJECT_USCC,
                      .body = body};
    return record_from_entry(&e, out);
}

static void unknown_fields_are_counted_and_kept_out(void **state)
{
    struct record r;
    struct buf body = BUF_INIT;
    (void)state;
    pb_put_bytes(&body, FIELD_NAME, slice_str("样例"));
    pb_put_bytes(&body, FIELD_FINE, slice_str("1")); /* not of a licence */
    pb_put_bytes(&body, 900, slice_str("later"));
    pb_put_u64(&body, 901, 5);
    pb_put_u64(&body, FIELD_CATEGORY, 5); /* another form than ours */
    pb_put_bytes(&body, 1024 + 950, slice_str("later"));
    assert_int_equal(decode(buf_slice(&body), &r), ERR_OK);
    assert_int_equal(r.unknown, 5);
    assert_int_equal(record_get(&r, FIELD_CATEGORY).len, 0);
    buf_fini(&body);
}

static void malformed_bodies_are_refused(void **state)
{
    struct record r;
    struct buf body = BUF_INIT;
    struct entry e = {.type = ENTRY_RECORD, .item = 9};
    (void)state;
    pb_put_bytes(&body, FIELD_NAME, slice_str("样例"));
    assert_int_equal(decode(slice_of(body.data, body.len - 1), &r),
                     ERR_INVALID);
    pb_put_bytes(&body, FIELD_NAME, slice_str("样例"));
    assert_int_equal(decode(buf_slice(&body), &r), ERR_INVALID);
    assert_int_equal(record_from_entry(&e, &r), ERR_UNSUPPORTED);
    e = (struct entry){.type = ENTRY_KEY, .item = ITEM_LICENCE};
    assert_int_equal(record_from_entry(&e, &r), ERR_UNSUPPORTED);
    buf_fini(&body);
}

static void amounts_of_others_are_shown_safely(void **state)
{
    static const struct {
        const char *value;
        const char *shown;
    } cases[] = {{"123456", "1234.56"},
                 {"9223372036854775807", "92233720368547758.07"},
                 {"9223372036854775808", "9223372036854775808"},
                 {"\xff\xfe", "\xff\xfe"},
                 {"-1", "-1"}};
    struct record r;
    struct buf out = BUF_INIT;
    (void)state;
    record_init(&r, catalogue_item(ITEM_PENALTY));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        record_set(&r, FIELD_FINE, slice_str(cases[i].value));
        assert_string_equal(shown(&r, FIELD_FINE, NULL, &out), cases[i].shown);
    }
    buf_fini(&out);
}

/* An older build, or another maker's, may have let it pass. */
static void numbers_in_clear_texts_of_others_are_hidden(void **state)
{
    static const struct {
        uint16_t field;
        const char *value;
        const char *shown;
    } cases[] = {
        {FIELD_FACTS, "样例人999900200002290017饮酒", "样例人***饮酒"},
        {FIELD_FACTS, "９９９９００２００００２２９００１７", "***"},
        {FIELD_FACTS, "证件349999850101003。", "证件***。"},
        {FIELD_FACTS, "罚款三万元，于2026年缴纳", "罚款三万元，于2026年缴纳"},
        {FIELD_DOCUMENT_NO, "样罚999900200002290017号", "样罚***号"},
        {FIELD_TAX_NO, "999900200002290017", "***"},
        {FIELD_TAX_NO, "349999850101003", "349999850101003"},
        {FIELD_STATUS, "999900200002290017", "***"}, /* no word of the list */
        {FIELD_AUTHORITY_CODE, "999900200002290017", "***"},
    };
    struct record r;
    struct buf out = BUF_INIT;
    (void)state;
    record_init(&r, catalogue_item(ITEM_PENALTY));
    r.subject_kind = SUBJECT_USCC;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        record_set(&r, cases[i].field, slice_str(cases[i].value));
        assert_string_equal(shown(&r, cases[i].field, NULL, &out),
                            cases[i].shown);
        buf_clear(&out);
        assert_int_equal(record_show(&r,
                                     catalogue_place(r.item, cases[i].field),
                                     origin, RECORD_CLEAR, NULL, &out),
                         ERR_OK);
        assert_string_equal(buf_cstr(&out), cases[i].value);
    }
    assert_true(
        record_is_citizen(SUBJECT_USCC, slice_str("999900200002290017")));
    assert_true(
        record_is_citizen(SUBJECT_ORG, slice_str("SWDJ/99990019000101003X")));
    assert_false(
        record_is_citizen(SUBJECT_USCC, slice_str("91999900MA000100X7")));
    assert_false(record_is_citizen(SUBJECT_ORG, slice_str("ZZJG/742183213")));
    buf_fini(&out);
}

static void oversized_records_are_refused(void **state)
{
    struct record r = licence();
    struct buf room = BUF_INIT;
    struct entry e;
    char *text = mem_zalloc(RECORD_BODY_MAX, 1);
    (void)state;
    memset(text, 'x', RECORD_BODY_MAX);
    identified(&r);
    record_set(&r, FIELD_REMARK, slice_of(text, RECORD_BODY_MAX));
    assert_int_equal(record_to_entry(&r, &keys, origin, 1, NULL, &room, &e),
                     ERR_TOO_LARGE);
    assert_int_equal(room.len, 0);
    mem_free(text);
    buf_fini(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelope_comes_from_the_values),
        cmocka_unit_test(values_survive_the_round_trip),
        cmocka_unit_test(nothing_of_a_person_is_in_clear),
        cmocka_unit_test(sealed_values_open_under_their_own_name_only),
        cmocka_unit_test(people_see_personal_values_masked),
        cmocka_unit_test(a_failing_sealer_leaves_nothing_behind),
        cmocka_unit_test(digest_is_of_the_content_not_of_the_sealing),
        cmocka_unit_test(key_names_the_decision),
        cmocka_unit_test(key_of_a_person_needs_the_secret),
        cmocka_unit_test(older_codes_identify_where_there_is_no_credit_code),
        cmocka_unit_test(unknown_fields_are_counted_and_kept_out),
        cmocka_unit_test(malformed_bodies_are_refused),
        cmocka_unit_test(amounts_of_others_are_shown_safely),
        cmocka_unit_test(numbers_in_clear_texts_of_others_are_hidden),
        cmocka_unit_test(oversized_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
