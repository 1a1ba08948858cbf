/* Any bytes as a package's file. What was read is written again the same, its
 * entries give its root, and no decider is made up; any entry in it is judged
 * without harm. */
#include "base/mem.h"
#include "credit/listing.h"
#include "credit/package.h"
#include "credit/registry.h"
#include "fuzz/fuzz.h"

static void check_entry(struct slice bytes)
{
    struct entry e;
    struct listing_facts f;
    struct record r;
    struct package_head head;
    if (entry_decode(bytes, &e) != ERR_OK) {
        return;
    }
    if (listing_facts(&e, 0, &f) == ERR_OK) {
        FUZZ_CHECK(listing_is_type(f.type) && f.list != 0);
        FUZZ_CHECK((f.type == ENTRY_LISTING) == (f.target.number == 0));
        (void)!(listing_values(&e, &r) == ERR_OK);
    }
    struct registry_decision d;
    if (registry_take(&e, 0, &d) == ERR_OK) {
        FUZZ_CHECK(d.what >= REGISTRY_REVOKED && d.what <= REGISTRY_PARENT);
        FUZZ_CHECK(d.reason.len >= 1 && d.reason.len <= REGISTRY_REASON_MAX);
    }
    if (package_begin_decode(&e, &head) == ERR_OK) {
        FUZZ_CHECK(head.entries >= 1 && head.entries <= PACKAGE_ENTRIES_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct package *p = NULL;
    struct package *again = NULL;
    struct buf file = BUF_INIT;
    struct errmsg why = {""};
    enum err err = package_parse(&p, slice_of(data, len), "fuzz", &why);
    check_entry(slice_of(data, len));
    if (err != ERR_OK) {
        FUZZ_CHECK(p == NULL && why.text[0] != 0);
        return 0;
    }
    package_put(p, &file);
    FUZZ_CHECK(package_parse(&again, buf_slice(&file), "again", &why) ==
               ERR_OK);
    FUZZ_CHECK(again->signed_by == p->signed_by &&
               again->head.entries == p->head.entries);
    FUZZ_CHECK(package_merge(again, p) == ERR_OK &&
               again->signed_by == p->signed_by);
    for (size_t i = 0; i < p->head.entries; i++) {
        check_entry(p->entries[i]);
    }
    package_free(&p);
    package_free(&again);
    buf_fini(&file);
    return 0;
}
