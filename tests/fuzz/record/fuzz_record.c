/* Any bytes as the body of a record: the first byte chooses item and subject
 * kind, the rest is the body. What is read can be shown, and a masked view
 * never holds a citizen number. */
#include "credit/record.h"

#include "base/buf.h"
#include "credit/citizen.h"
#include "credit/uscc.h"
#include "fuzz/fuzz.h"

static void show(const struct record *r)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < r->item->count; i++) {
        const struct catalogue_field *field = &r->item->fields[i];
        buf_clear(&out);
        enum err err = record_show(r, i, 1, RECORD_MASKED, NULL, &out);
        FUZZ_CHECK(err == ERR_OK);
        bool code =
            field->type == TYPE_USCC && uscc_check(r->values[i]) == USCC_OK;
        FUZZ_CHECK(code || !citizen_is_inside(buf_slice(&out)));
        err = record_show(r, i, 1, RECORD_CLEAR, NULL, &out);
        FUZZ_CHECK(err == ERR_OK || (r->sealed >> i & 1) != 0);
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct record r;
    uint8_t digest[RECORD_DIGEST_LEN];
    if (len == 0) {
        return 0;
    }
    struct entry e = {
        .type = ENTRY_RECORD,
        .item = 1U + (data[0] & 1),
        .subject_kind = data[0] & 2 ? SUBJECT_PERSON : SUBJECT_USCC,
        .flags = data[0] & 2 ? ENTRY_FLAG_SEALED : 0,
        .subject = slice_of("91999900MA000100X7", 18),
        .body = slice_of(data + 1, len - 1),
    };
    enum err err = record_from_entry(&e, &r);
    FUZZ_CHECK(err == ERR_OK || err == ERR_INVALID);
    if (err == ERR_OK) {
        show(&r);
    }
    FUZZ_CHECK(!record_digest(e.body, digest) || e.body.len >= 18);
    return 0;
}
