/* Any bytes as a receipt of the federation "example". What was read is within
 * the bounds the header promises, adds up, and can be added to another. */
#include "sync/receipt.h"

#include "fuzz/fuzz.h"

static void check(const struct receipt *r)
{
    uint64_t nodes = 0;
    FUZZ_CHECK(r->at_n >= 1 && r->at_n <= RECEIPT_SIZES_MAX);
    FUZZ_CHECK(r->missing_n <= RECEIPT_NAMES_MAX);
    for (size_t i = 0; i < r->at_n; i++) {
        nodes += r->at[i].nodes;
    }
    FUZZ_CHECK(nodes == r->nodes && nodes <= RECEIPT_NODES_MAX);
    FUZZ_CHECK(receipt_below(r, r->held) <= nodes);
}

static void add(const struct receipt *r)
{
    static struct receipt sum;
    static const struct hash root;
    receipt_init(&sum, 341821000000, &r->log, r->held + 1, &root);
    for (size_t i = 0; i < r->at_n; i++) {
        receipt_add(&sum, &r->at[i]);
    }
    for (size_t i = 0; i < r->missing_n; i++) {
        receipt_add_missing(&sum, &r->missing[i]);
    }
    FUZZ_CHECK(sum.nodes == r->nodes + 1);
    FUZZ_CHECK(sum.at_n <= RECEIPT_SIZES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct receipt r;
    struct slice line;
    struct errmsg why = {""};
    size_t text_len;
    enum err err = receipt_parse(slice_of(data, len), "example", &r, &text_len,
                                 &line, &why);
    FUZZ_CHECK(err == ERR_OK || (err == ERR_INVALID && why.text[0] != 0));
    if (err == ERR_OK) {
        FUZZ_CHECK(text_len < len);
        check(&r);
        add(&r);
    }
    return 0;
}
