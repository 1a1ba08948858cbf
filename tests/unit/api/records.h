/* records.h - licences of one organisation or one person, put into a store as
 * an import would. */
#ifndef UNIT_API_RECORDS_H
#define UNIT_API_RECORDS_H

#include "contract/store_fixture.h"

static const char subject[] = "91440300708461136T";
static const char citizen[] = "999900200002290017";

static const struct record_keys keys = {
    .suite = SUITE_INTL,
    .identity = {(const uint8_t *)"identity", 8},
    .digest = {(const uint8_t *)"digest", 6},
};

struct made {
    const char *document; /* makes the record key */
    const char *content;
    enum disclosure disclosure;
    bool person;
    uint32_t version; /* for logs written by hand */
    uint64_t prev_incarnation;
    uint64_t prev_number;
    bool representative; /* with a sealed number */
};

static inline enum err seal(void *ctx, struct slice aad, struct slice plain,
                            struct buf *out)
{
    return keyring_seal(ctx, aad, plain, out);
}

static inline void fill(struct record *r, const struct made *m)
{
    record_init(r, catalogue_item(ITEM_LICENCE));
    record_set(r, FIELD_NAME,
               slice_str(m->person ? "王某样" : "宣城市样例甲贸易有限公司"));
    if (m->person) {
        record_set(r, FIELD_CATEGORY, slice_str("自然人"));
        record_set(r, FIELD_PERSON_ID_TYPE, slice_str("身份证"));
        record_set(r, FIELD_PERSON_ID, slice_str(citizen));
    } else {
        record_set(r, FIELD_CATEGORY, slice_str("法人及非法人组织"));
        record_set(r, FIELD_USCC, slice_str(subject));
    }
    if (m->representative) {
        record_set(r, FIELD_REP_NAME, slice_str("李某样"));
        record_set(r, FIELD_REP_ID_TYPE, slice_str("身份证"));
        record_set(r, FIELD_REP_ID, slice_str(citizen));
    }
    record_set(r, FIELD_DOCUMENT_NO, slice_str(m->document));
    record_set(r, FIELD_CONTENT, slice_str(m->content));
    record_set(r, FIELD_DECIDED, slice_str("20260302"));
    record_set(r, FIELD_AUTHORITY, slice_str("宣城市样例市场监督管理局"));
    record_set(r, FIELD_AUTHORITY_CODE, slice_str("11230500001755309F"));
}

static inline void encode(const struct node *owner, const struct made *m,
                          uint8_t key[RECORD_KEY_LEN], struct buf *out)
{
    struct record r;
    struct entry e;
    struct buf room = BUF_INIT;
    struct sealer sealer = {seal, owner->keyring};
    fill(&r, m);
    assert_ok(record_identify(&r, &keys));
    assert_ok(record_to_entry(&r, &keys, owner->code, 1772000000000, &sealer,
                              &room, &e));
    e.disclosure = (uint8_t)m->disclosure;
    e.version = m->version;
    e.prev_incarnation = m->prev_incarnation;
    e.prev_number = m->prev_number;
    entry_encode(&e, out);
    if (key != NULL) {
        memcpy(key, r.key, RECORD_KEY_LEN);
    }
    buf_fini(&room);
}

struct put {
    uint8_t key[RECORD_KEY_LEN];
    char log[LOG_ID_TEXT_MAX];
    uint64_t number;
};

static inline struct put put(struct node *owner, const struct made *m)
{
    struct put out;
    struct draft_result result;
    struct buf bytes = BUF_INIT;
    encode(owner, m, out.key, &bytes);
    struct slice draft = buf_slice(&bytes);
    assert_ok(submit_bytes(owner->store, &draft, 1, &result));
    log_id_format(&result.log, out.log);
    out.number = result.number;
    buf_fini(&bytes);
    return out;
}

#endif
