/* Any bytes as a list of organisations: each line is counted, what is reported
 * comes in order and out of the file, and codes are codes. */
#include "ingest/subjects.h"

#include <string.h>

#include "credit/uscc.h"
#include "fuzz/fuzz.h"

struct tally {
    struct slice file;
    uint64_t last;
    uint64_t reported;
};

static void take_line(struct tally *t, uint64_t line)
{
    FUZZ_CHECK(line >= 1 && line >= t->last);
    t->last = line;
    t->reported++;
}

static enum err on_code(void *ctx, uint64_t line, const char *code)
{
    take_line(ctx, line);
    FUZZ_CHECK(uscc_check(slice_str(code)) == USCC_OK);
    return ERR_OK;
}

static enum err on_bad(void *ctx, uint64_t line, struct slice text,
                       const char *rule)
{
    const struct tally *t = ctx;
    take_line(ctx, line);
    FUZZ_CHECK(text.len > 0 && text.data >= t->file.data &&
               text.data + text.len <= t->file.data + t->file.len);
    FUZZ_CHECK(subjects_text(rule)[0] != 0 && subjects_text_zh(rule)[0] != 0);
    return ERR_OK;
}

static uint64_t lines_of(struct slice file)
{
    uint64_t n = 0;
    bool open = false; /* the last line has no end */
    for (size_t i = 0; i < file.len; i++) {
        bool pair = file.data[i] == '\r' && i + 1 < file.len &&
                    file.data[i + 1] == '\n';
        open = file.data[i] != '\r' && file.data[i] != '\n';
        n += !open && !pair;
    }
    return n + open;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct tally t = {.file = slice_of(data, len)};
    const struct subjects_sink sink = {on_code, on_bad, &t};
    struct subjects_counts counts;
    struct errmsg why = {""};
    enum err err = subjects_read(t.file, &sink, &counts, &why);
    if (len > 0 && memchr(data, 0, len) != NULL) {
        FUZZ_CHECK(err == ERR_UNSUPPORTED && why.text[0] != 0);
        FUZZ_CHECK(t.reported == 0);
        return 0;
    }
    FUZZ_CHECK(err == ERR_OK);
    FUZZ_CHECK(counts.lines == lines_of(t.file));
    FUZZ_CHECK(t.last <= counts.lines && counts.passed <= counts.lines);
    return 0;
}
