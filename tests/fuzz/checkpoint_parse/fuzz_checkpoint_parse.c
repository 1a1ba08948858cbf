/* Any bytes as a checkpoint of the federation "example". What was read is
 * within the bounds the header promises. */
#include "mlog/checkpoint.h"

#include "fuzz/fuzz.h"
#include "mlog/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct checkpoint cp;
    enum err err = checkpoint_parse(slice_of(data, len), "example", &cp);
    FUZZ_CHECK(err == ERR_OK || err == ERR_INVALID);
    if (err == ERR_OK) {
        char text[LOG_ID_TEXT_MAX];
        struct log_id again;
        FUZZ_CHECK(len <= CHECKPOINT_MAX);
        FUZZ_CHECK(cp.size <= TREE_SIZE_MAX && cp.at_ms >= 0);
        log_id_format(&cp.log, text);
        FUZZ_CHECK(log_id_parse(text, &again) && log_id_eq(&cp.log, &again));
    }
    return 0;
}
