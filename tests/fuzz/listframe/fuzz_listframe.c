/* Any bytes as a directives file. However they are cut into pieces, the same
 * messages come out, with the same end; what is kept meanwhile is bounded; and
 * each message is one that the reader of the line can be given. */
#include "sync/listframe.h"

#include <string.h>

#include "fuzz/fuzz.h"
#include "sync/wire.h"

struct seen {
    size_t messages;
    size_t bytes;
    uint64_t sum;
};

static enum err on_message(void *ctx, struct slice message, struct errmsg *why)
{
    struct seen *seen = ctx;
    struct wire_message m;
    FUZZ_CHECK(message.len > 0 && message.len <= LISTFRAME_MAX);
    seen->messages++;
    seen->bytes += message.len;
    for (size_t i = 0; i < message.len; i++) {
        seen->sum = seen->sum * 31 + message.data[i];
    }
    why->text[0] = 0;
    enum err err = wire_get_feed(message, &m, why);
    FUZZ_CHECK(err == ERR_OK || why->text[0] != 0);
    return err;
}

/* In pieces of `step` bytes and of others. */
static enum err feed(const uint8_t *data, size_t len, size_t step,
                     struct seen *seen, bool *ended)
{
    struct listframe frames = {.begun = false};
    struct errmsg why = {""};
    enum err err = ERR_OK;
    memset(seen, 0, sizeof *seen);
    for (size_t at = 0, n; err == ERR_OK && at < len; at += n) {
        n = step < len - at ? step : len - at;
        err = listframe_feed(&frames, slice_of(data + at, n), on_message, seen,
                             &why);
        FUZZ_CHECK(err == ERR_OK || why.text[0] != 0);
        FUZZ_CHECK(err != ERR_OK || frames.bytes.len < LISTFRAME_MAX + 4);
        step = step * 5 % 17 + 1;
    }
    *ended = frames.ended;
    FUZZ_CHECK(seen->bytes + 4 * seen->messages <= len);
    listframe_fini(&frames);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct seen whole;
    struct seen cut;
    bool whole_ended;
    bool cut_ended;
    enum err err = feed(data, len, len + 1, &whole, &whole_ended);
    FUZZ_CHECK(feed(data, len, 1, &cut, &cut_ended) == err);
    FUZZ_CHECK(memcmp(&whole, &cut, sizeof whole) == 0);
    FUZZ_CHECK(whole_ended == cut_ended);
    return 0;
}
