/* Any bytes as an entry that tells what an app did about a listing. What is
 * taken names the listing in the one way there is, and lies within the entry.
 */
#include "credit/execution.h"

#include <string.h>

#include "fuzz/fuzz.h"

static void check_inside(struct slice whole, struct slice part)
{
    FUZZ_CHECK(part.len == 0 ||
               (part.data >= whole.data &&
                part.data + part.len <= whole.data + whole.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice bytes = slice_of(data, len);
    struct entry e;
    struct execution x;
    struct slice app;
    char subject[EXECUTION_SUBJECT_MAX];
    uint8_t key[RECORD_KEY_LEN];
    if (entry_decode(bytes, &e) != ERR_OK) {
        return 0;
    }
    bool hit = execution_is_hit(&e);
    if (execution_take(&e, &x, &app) != ERR_OK) {
        FUZZ_CHECK(!hit);
        return 0;
    }
    FUZZ_CHECK(hit == (x.outcome == OUTCOME_HIT));
    FUZZ_CHECK(x.outcome >= OUTCOME_HIT && x.outcome <= OUTCOME_REFUSED);
    FUZZ_CHECK(x.listing.number != 0 && x.listing.log.kind == LOG_DIRECTIVES);
    FUZZ_CHECK(strnlen(x.subject, sizeof x.subject) == USCC_LEN);
    execution_subject(&x.listing, subject);
    FUZZ_CHECK(slice_eq(slice_str(subject), e.subject));
    check_inside(bytes, x.measures);
    check_inside(bytes, x.reason);
    check_inside(bytes, app);
    x.app = "hall";
    execution_key(SUITE_INTL, &x, key);
    return 0;
}
